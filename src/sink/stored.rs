//! The stored offsets of a job as people see and change them, beside the job itself.

use super::SinkError;
use super::columns::{partition_of, text, time_text};
use super::ddl::OFFSETS_TABLE;
use super::{offsets, versions};
use crate::batch::{PARTITION_COLUMNS, TopicPartition};
use crate::database::{Address, Connection, DatabaseError, Dialect, Purpose, Value, quote_table, table};

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

/// Rows of a state table that a reset deletes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateRows {
    pub table: String,
    /// Those whose messages come by these partitions, in a table that follows them; `None`: all.
    pub partitions: Option<Vec<TopicPartition>>,
}

/// Rows of state that one reset deletes, at most: they are one transaction.
pub const CLEARED_ROWS_MAX: i64 = 1_000_000;
/// Rows that one statement deletes, so that its answer comes in time.
const DELETED_ROWS_MAX: u64 = 100_000;

/// A connection to the offsets of one job.
pub struct StoredOffsets {
    connection: Connection,
    job: String,
}

impl StoredOffsets {
    /// Connects; `None` where no job has stored anything in this database. Nothing is created.
    pub async fn open(address: &Address, job: &str) -> Result<Option<Self>, SinkError> {
        Self::over(Connection::open(address, Purpose::Write { create: false }).await?, job).await
    }

    /// As [`StoredOffsets::open`], for looking only; `None` also where there is no SQLite file.
    pub async fn look(address: &Address, job: &str) -> Result<Option<Self>, SinkError> {
        match Connection::look(address).await? {
            Some(connection) => Self::over(connection, job).await,
            None => Ok(None),
        }
    }

    async fn over(mut connection: Connection, job: &str) -> Result<Option<Self>, SinkError> {
        let found = table(&mut connection, OFFSETS_TABLE).await?;
        Ok(found.map(|_| Self { connection, job: job.to_owned() }))
    }

    /// All partitions of the job, in topic, partition order.
    pub async fn all(&mut self) -> Result<Vec<StoredOffset>, SinkError> {
        let dialect = self.connection.dialect();
        let sql = format!(
            "SELECT kafka_topic, kafka_partition, next_offset, epoch, {}, {} FROM {OFFSETS_TABLE} WHERE job = ? \
             ORDER BY kafka_topic, kafka_partition",
            time_text(dialect, "message_time"),
            time_text(dialect, "updated_at")
        );
        let rows = self.connection.query(&sql, vec![Value::text(self.job.clone())]).await?;
        let read = |row: Vec<Value<'static>>| {
            let number = |index: usize| row.get(index).and_then(Value::as_i64);
            Some(StoredOffset {
                partition: partition_of(&row, 0)?,
                next_offset: number(2)?,
                epoch: number(3)?,
                message_time: text(&row, 4),
                updated_at: text(&row, 5)?,
            })
        };
        let broken = || SinkError::Sql(format!("{OFFSETS_TABLE} has a row that cannot be read").into());
        rows.into_iter().map(|row| read(row).ok_or_else(broken)).collect()
    }

    /// Begins to count again how many of the last messages became dead letters. Returns how many were counted.
    pub async fn forget_dead_letters(&mut self) -> Result<i64, SinkError> {
        let job = || vec![Value::text(self.job.clone())];
        let sql = format!("SELECT recent_dead_letters FROM {OFFSETS_TABLE} WHERE job = ?");
        let counted = self.connection.query(&sql, job()).await?;
        let sql =
            format!("UPDATE {OFFSETS_TABLE} SET recent_messages = 0, recent_dead_letters = 0 WHERE job = ?");
        self.connection.execute(&sql, job()).await?;
        Ok(counted.iter().filter_map(|row| row.first()?.as_i64()).sum())
    }

    /// The views that computed what was written last, as a JSON object of their names and texts; `None` if no batch has
    /// said which they were.
    pub async fn views_in_use(&mut self) -> Result<Option<String>, SinkError> {
        let newest = self.all().await?.into_iter().max_by(|a, b| a.updated_at.cmp(&b.updated_at));
        match newest {
            Some(row) => Ok(versions::in_use(&mut self.connection, &self.job, &row.partition).await?),
            None => Ok(None),
        }
    }

    /// The versions of the SQL that have computed rows of the job: name, views as a JSON object, and when each was used
    /// first, by the database's clock in UTC, as text. The newest first, a few of them.
    pub async fn versions(&mut self) -> Result<Vec<(String, String, String)>, SinkError> {
        Ok(versions::of_job(&mut self.connection, &self.job).await?)
    }

    /// How many rows of state there are; `None` where there is no such table.
    pub async fn count_state(&mut self, rows: &StateRows) -> Result<Option<i64>, SinkError> {
        if table(&mut self.connection, &rows.table).await?.is_none() {
            return Ok(None);
        }
        let (from, parameters) = rows.from(self.connection.dialect());
        let found = self.connection.query(&format!("SELECT COUNT(*) {from}"), parameters).await?;
        Ok(found.first().and_then(|row| row.first()).and_then(Value::as_i64))
    }

    /// Stores where each partition goes on, in one transaction, and raises the epochs: an instance that runs is
    /// fenced, and reads from there when it has claimed the partitions again. Partitions the job never had are
    /// added. The rows of state in `cleared` are deleted in the same transaction.
    ///
    /// # Errors
    /// The database does not answer, or refuses the statement; then nothing has changed.
    pub async fn reset(
        &mut self,
        targets: &[(TopicPartition, i64)],
        cleared: &[StateRows],
    ) -> Result<(), SinkError> {
        // Invariant: rows are locked in topic, partition order everywhere.
        let mut targets = targets.to_vec();
        targets.sort();
        let changed = match offsets::overwrite(&mut self.connection, &self.job, &targets).await {
            Ok(()) => clear(&mut self.connection, cleared).await,
            Err(error) => Err(error),
        };
        if let Err(error) = changed {
            // Why: what is left of the transaction ends with the connection.
            let _ = self.connection.rollback().await;
            return Err(error.into());
        }
        Ok(self.connection.commit().await?)
    }
}

impl StateRows {
    /// What follows SELECT or DELETE, and its parameters.
    fn from(&self, dialect: Dialect) -> (String, Vec<Value<'static>>) {
        let mut from = format!("FROM {}", quote_table(&self.table, dialect));
        let mut parameters = Vec::new();
        if let Some(partitions) = &self.partitions {
            let [topic, number] = PARTITION_COLUMNS;
            let of_one = format!("({topic} = ? AND {number} = ?)");
            let any = vec![of_one; partitions.len()].join(" OR ");
            from += &format!(" WHERE {}", if any.is_empty() { "1 = 0" } else { &any });
            for TopicPartition { topic, partition } in partitions {
                parameters.extend([Value::text(topic.to_string()), Value::Int(i64::from(*partition))]);
            }
        }
        (from, parameters)
    }
}

pub(super) async fn clear(connection: &mut Connection, cleared: &[StateRows]) -> Result<(), DatabaseError> {
    let dialect = connection.dialect();
    for rows in cleared {
        let (from, parameters) = rows.from(dialect);
        // SQLite is built without LIMIT in DELETE, and waits for no server's answer.
        let limit = if dialect.is_mysql() { format!(" LIMIT {DELETED_ROWS_MAX}") } else { String::new() };
        let sql = format!("DELETE {from}{limit}");
        while connection.execute(&sql, parameters.clone()).await? >= DELETED_ROWS_MAX && dialect.is_mysql() {}
    }
    Ok(())
}
