//! The stored offsets of a job as people see and change them, beside the job itself.

use super::SinkError;
use super::ddl::OFFSETS_TABLE;
use super::offsets;
use crate::batch::TopicPartition;
use crate::database::{Address, Connection, Dialect, Purpose, Value, table};

/// One row of the table of offsets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredOffset {
    pub partition: TopicPartition,
    pub next_offset: i64,
    pub epoch: i64,
    /// Time of the last message that was processed, UTC, as text.
    pub message_time: Option<String>,
    /// When the row was written last, by the database's clock in UTC, as text.
    pub updated_at: String,
}

/// A connection to the offsets of one job.
pub struct StoredOffsets {
    connection: Connection,
    job: String,
}

impl StoredOffsets {
    /// Connects; `None` where no job has stored anything in this database. Nothing is created.
    ///
    /// # Errors
    /// The database's.
    pub async fn open(address: &Address, job: &str) -> Result<Option<Self>, SinkError> {
        let mut connection = Connection::open(address, Purpose::Write { create: false }).await?;
        let found = table(&mut connection, OFFSETS_TABLE).await?;
        Ok(found.map(|_| Self { connection, job: job.to_owned() }))
    }

    /// All partitions of the job, in topic, partition order.
    ///
    /// # Errors
    /// The database's.
    pub async fn all(&mut self) -> Result<Vec<StoredOffset>, SinkError> {
        let text = |column: &str| match self.connection.dialect() {
            Dialect::Sqlite => column.to_owned(),
            Dialect::MySql | Dialect::MariaDb => format!("CAST({column} AS CHAR)"),
        };
        let sql = format!(
            "SELECT kafka_topic, kafka_partition, next_offset, epoch, {}, {} FROM {OFFSETS_TABLE} WHERE job = ? \
             ORDER BY kafka_topic, kafka_partition",
            text("message_time"),
            text("updated_at")
        );
        let rows = self.connection.query(&sql, vec![Value::text(self.job.clone())]).await?;
        let read = |row: Vec<Value<'static>>| {
            let text = |index: usize| row.get(index).and_then(Value::as_text).map(str::to_owned);
            let number = |index: usize| row.get(index).and_then(Value::as_i64);
            Some(StoredOffset {
                partition: TopicPartition {
                    topic: text(0)?.into(),
                    partition: i32::try_from(number(1)?).ok()?,
                },
                next_offset: number(2)?,
                epoch: number(3)?,
                message_time: text(4),
                updated_at: text(5)?,
            })
        };
        let broken = || SinkError::Sql(format!("{OFFSETS_TABLE} has a row that cannot be read"));
        rows.into_iter().map(|row| read(row).ok_or_else(broken)).collect()
    }

    /// Stores where each partition goes on, in one transaction, and raises the epochs: an instance that runs is
    /// fenced, and reads from there when it has claimed the partitions again. Partitions the job never had are
    /// added.
    ///
    /// # Errors
    /// The database's; then nothing has changed.
    pub async fn reset(&mut self, targets: &[(TopicPartition, i64)]) -> Result<(), SinkError> {
        // Invariant: rows are locked in topic, partition order everywhere.
        let mut targets = targets.to_vec();
        targets.sort();
        if let Err(error) = offsets::overwrite(&mut self.connection, &self.job, &targets).await {
            // Why: what is left of the transaction ends with the connection.
            let _ = self.connection.rollback().await;
            return Err(error.into());
        }
        Ok(self.connection.commit().await?)
    }
}
