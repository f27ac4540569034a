//! The instances of a job, as they announce themselves: who runs, where it can be watched, and which partitions it has. It is
//! for people who watch the job. Nothing of the job depends on it, so the table is created when the first instance announces
//! itself, and a user that may not create it loses this view and nothing else.

use super::SinkError;
use super::columns::{now, partition_of, text, time_text};
use super::ddl::{INSTANCES_TABLE, OFFSETS_TABLE, instances_table};
use crate::batch::TopicPartition;
use crate::database::{Address, Connection, DatabaseError, Dialect, Link, Purpose, Value, table};

/// An instance that was not seen for longer is forgotten.
const FORGOTTEN_SECONDS: i64 = 3600;
/// Instances that are read, at most.
const INSTANCES_MAX: usize = 1_000;

/// What an instance says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    pub name: String,
    /// The address of its page.
    pub page: Option<String>,
    pub state: String,
    /// Its partitions, as a JSON text that only programs of the same version read.
    pub partitions: String,
    /// When it was seen last, UTC, as text; empty in what is announced.
    pub seen_at: String,
    /// Seconds since then, by the database's clock.
    pub age_seconds: i64,
}

/// A connection to the instances of one job, opened again if it was lost.
pub struct Instances {
    link: Link,
    job: String,
    is_created: bool,
}

impl Instances {
    /// `may_create`: whether the table is made where it is missing.
    pub fn new(address: &Address, job: &str, may_create: bool) -> Self {
        let link = Link::new(address.clone(), Purpose::Write { create: false });
        Self { link, job: job.to_owned(), is_created: !may_create }
    }

    /// Announces an instance, in place of what it said before, and forgets those that are long gone.
    pub async fn announce(&mut self, instance: &Instance) -> Result<(), SinkError> {
        let connection = self.link.ready().await?;
        let announced = announce(connection, &self.job, instance, &mut self.is_created).await;
        Ok(self.link.done(announced)?)
    }

    /// The instance leaves.
    pub async fn leave(&mut self, name: &str) -> Result<(), SinkError> {
        let sql = format!("DELETE FROM {INSTANCES_TABLE} WHERE job = ? AND instance = ?");
        let key = vec![Value::text(self.job.clone()), Value::text(name.to_owned())];
        let connection = self.link.ready().await?;
        let deleted = connection.execute(&sql, key).await;
        Ok(self.link.done(deleted).map(drop)?)
    }

    /// All instances of the job, by their names.
    pub async fn all(&mut self) -> Result<Vec<Instance>, SinkError> {
        let connection = self.link.ready().await?;
        let dialect = connection.dialect();
        let (seen, age) = (time_text(dialect, "seen_at"), age(dialect));
        let sql = format!(
            "SELECT instance, page, state, partitions, {seen}, {age} FROM {INSTANCES_TABLE} WHERE job = ? \
             ORDER BY instance LIMIT {INSTANCES_MAX}"
        );
        let rows = connection.query(&sql, vec![Value::text(self.job.clone())]).await;
        let instance = |row: &Vec<Value<'static>>| {
            Some(Instance {
                name: text(row, 0)?,
                page: text(row, 1),
                state: text(row, 2)?,
                partitions: text(row, 3)?,
                seen_at: text(row, 4)?,
                age_seconds: row.get(5)?.as_i64()?,
            })
        };
        Ok(self.link.done(rows)?.iter().filter_map(instance).collect())
    }

    /// The stored offset of each partition of the job.
    pub async fn offsets(&mut self) -> Result<Vec<(TopicPartition, i64)>, SinkError> {
        let sql =
            format!("SELECT kafka_topic, kafka_partition, next_offset FROM {OFFSETS_TABLE} WHERE job = ?");
        let connection = self.link.ready().await?;
        let rows = connection.query(&sql, vec![Value::text(self.job.clone())]).await;
        let offset = |row: &Vec<Value<'static>>| Some((partition_of(row, 0)?, row.get(2)?.as_i64()?));
        Ok(self.link.done(rows)?.iter().filter_map(offset).collect())
    }
}

async fn announce(
    connection: &mut Connection,
    job: &str,
    instance: &Instance,
    is_created: &mut bool,
) -> Result<(), DatabaseError> {
    let dialect = connection.dialect();
    if !*is_created {
        if table(connection, INSTANCES_TABLE).await?.is_none() {
            connection.run(&instances_table(dialect)).await?;
        }
        *is_created = true;
    }
    let now = now(dialect);
    let update = match dialect {
        Dialect::Sqlite => {
            "ON CONFLICT (job, instance) DO UPDATE SET page = excluded.page, state = excluded.state, \
             partitions = excluded.partitions, seen_at = excluded.seen_at"
        }
        Dialect::MySql | Dialect::MariaDb => {
            "ON DUPLICATE KEY UPDATE page = VALUES(page), state = VALUES(state), partitions = VALUES(partitions), \
             seen_at = VALUES(seen_at)"
        }
    };
    let sql = format!(
        "INSERT INTO {INSTANCES_TABLE} (job, instance, page, state, partitions, started_at, seen_at) \
         VALUES (?, ?, ?, ?, ?, {now}, {now}) {update}"
    );
    let Instance { name, page, state, partitions, .. } = instance;
    let row = vec![
        Value::text(job),
        Value::text(name),
        page.as_deref().map_or(Value::Null, Value::text),
        Value::text(state),
        Value::text(partitions),
    ];
    connection.execute(&sql, row).await?;
    let sql =
        format!("DELETE FROM {INSTANCES_TABLE} WHERE job = ? AND {} > {FORGOTTEN_SECONDS}", age(dialect));
    connection.execute(&sql, vec![Value::text(job)]).await.map(drop)
}

/// Seconds since an instance was seen.
fn age(dialect: Dialect) -> String {
    match dialect {
        Dialect::Sqlite => "CAST((julianday('now') - julianday(seen_at)) * 86400 AS INTEGER)".to_owned(),
        _ => format!("TIMESTAMPDIFF(SECOND, seen_at, {})", now(dialect)),
    }
}
