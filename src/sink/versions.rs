//! Which SQL computed the rows: the text of each version once, and for each partition the offset from which on a version
//! was used. Both are written in the transaction of the first batch that a version computes, so for every row that says
//! its partition and offset the database knows the rule that made it.

use std::collections::HashSet;

use super::columns::{WHERE_PARTITION, now, partition, text, time_text};
use super::ddl::{SQL_HISTORY_TABLE, SQL_VERSIONS_TABLE};
use crate::batch::{Advance, Replayed, SqlVersion, TopicPartition};
use crate::database::{Connection, DatabaseError, Dialect, Value, table};

/// The version in use, and where that is stored already.
#[derive(Clone, Default)]
pub(super) struct Versions {
    /// `None`: nothing is recorded.
    sql: Option<SqlVersion>,
    /// The partitions whose history ends with this version.
    recorded: HashSet<TopicPartition>,
}

impl Versions {
    pub fn of(sql: SqlVersion) -> Self {
        Self { sql: Some(sql), recorded: HashSet::new() }
    }

    /// Others may have written the history.
    pub fn forget(&mut self) {
        self.recorded.clear();
    }

    /// The transaction is committed: what [`Versions::record`] wrote is stored.
    pub fn committed(&mut self, advances: &[Advance]) {
        if self.is_due(advances) {
            self.recorded.extend(advances.iter().map(|advance| advance.partition.clone()));
        }
    }

    /// Whether [`Versions::record`] has something to write for these partitions.
    pub fn is_due(&self, advances: &[Advance]) -> bool {
        self.sql.is_some() && !advances.iter().all(|advance| self.recorded.contains(&advance.partition))
    }

    /// Writes, in the transaction that is open, that these partitions are computed by this version from here on. Gives
    /// the number of statements: none, where that is stored.
    pub async fn record(
        &self,
        connection: &mut Connection,
        job: &str,
        advances: &[Advance],
    ) -> Result<usize, DatabaseError> {
        let Some(sql) = &self.sql else { return Ok(0) };
        let mut statements = 0;
        for advance in advances.iter().filter(|advance| !self.recorded.contains(&advance.partition)) {
            statements += 1;
            let mut last = last(connection, job, &advance.partition).await?;
            if last.as_ref().is_some_and(|(from, _)| *from >= advance.from) {
                // The offsets were reset: what is computed again has its version now.
                connection.execute(&delete_sql(), history_key(job, advance)).await?;
                last = self::last(connection, job, &advance.partition).await?;
                statements += 2;
            }
            if last.is_none_or(|(_, version)| version != sql.id) {
                store(connection, sql).await?;
                let mut row = history_key(job, advance);
                row.push(Value::text(sql.id.clone()));
                connection.execute(&history_sql(), row).await?;
                statements += 2;
            }
        }
        Ok(statements)
    }

    /// Writes, in the transaction that is open, the text of the version that dead letters are replayed through. They do
    /// not belong to the history of their partition: `replayed_at` says when they were computed. Returns the number of
    /// statements.
    pub async fn record_replay(
        &self,
        connection: &mut Connection,
        replayed: &Replayed,
    ) -> Result<usize, DatabaseError> {
        match &self.sql {
            Some(sql) if !replayed.ids.is_empty() => store(connection, sql).await.map(|()| 1),
            _ => Ok(0),
        }
    }
}

/// Stores the text of a version, where it is not stored yet.
async fn store(connection: &mut Connection, sql: &SqlVersion) -> Result<(), DatabaseError> {
    let text = vec![Value::text(sql.id.clone()), Value::text(sql.files.clone())];
    connection.execute(&version_sql(connection.dialect()), text).await.map(drop)
}

/// The views that computed the last messages of a partition: a JSON object of their names and texts.
pub(super) async fn in_use(
    connection: &mut Connection,
    job: &str,
    of: &TopicPartition,
) -> Result<Option<String>, DatabaseError> {
    if table(connection, SQL_HISTORY_TABLE).await?.is_none() {
        return Ok(None);
    }
    let Some((_, version)) = last(connection, job, of).await? else { return Ok(None) };
    let sql = format!("SELECT files FROM {SQL_VERSIONS_TABLE} WHERE version = ?");
    let rows = connection.query(&sql, vec![Value::text(version)]).await?;
    Ok(rows.first().and_then(|row| text(row, 0)))
}

/// Versions that are read.
const VERSIONS_READ_MAX: usize = 10;

/// The versions that have computed rows of a job, the newest first: name, views, and when each was used first.
pub(super) async fn of_job(
    connection: &mut Connection,
    job: &str,
) -> Result<Vec<(String, String, String)>, DatabaseError> {
    if table(connection, SQL_HISTORY_TABLE).await?.is_none() {
        return Ok(Vec::new());
    }
    let used = time_text(connection.dialect(), "first_used_at");
    let sql = format!(
        "SELECT version, files, {used} FROM {SQL_VERSIONS_TABLE} WHERE version IN (SELECT version FROM {SQL_HISTORY_TABLE} \
         WHERE job = ?) ORDER BY first_used_at DESC LIMIT {VERSIONS_READ_MAX}"
    );
    let rows = connection.query(&sql, vec![Value::text(job)]).await?;
    Ok(rows.iter().filter_map(|row| Some((text(row, 0)?, text(row, 1)?, text(row, 2)?))).collect())
}

/// The offset and the version of a partition's last row.
async fn last(
    connection: &mut Connection,
    job: &str,
    wanted: &TopicPartition,
) -> Result<Option<(i64, String)>, DatabaseError> {
    let rows = connection.query(&last_sql(), partition(job, wanted)).await?;
    let read = |row: &Vec<Value<'static>>| Some((row.first()?.as_i64()?, text(row, 1)?));
    Ok(rows.first().and_then(read))
}

fn history_key(job: &str, advance: &Advance) -> Vec<Value<'static>> {
    let mut key = partition(job, &advance.partition);
    key.push(Value::Int(advance.from));
    key
}

fn last_sql() -> String {
    format!(
        "SELECT from_offset, version FROM {SQL_HISTORY_TABLE} WHERE {WHERE_PARTITION} ORDER BY from_offset DESC LIMIT 1"
    )
}

fn delete_sql() -> String {
    format!("DELETE FROM {SQL_HISTORY_TABLE} WHERE {WHERE_PARTITION} AND from_offset >= ?")
}

fn version_sql(dialect: Dialect) -> String {
    let on_present = match dialect {
        Dialect::Sqlite => "ON CONFLICT (version) DO NOTHING",
        Dialect::MySql | Dialect::MariaDb => "ON DUPLICATE KEY UPDATE version = version",
    };
    format!(
        "INSERT INTO {SQL_VERSIONS_TABLE} (version, files, first_used_at) VALUES (?, ?, {}) {on_present}",
        now(dialect)
    )
}

fn history_sql() -> String {
    format!(
        "INSERT INTO {SQL_HISTORY_TABLE} (job, kafka_topic, kafka_partition, from_offset, version) VALUES (?, ?, ?, ?, ?)"
    )
}

/// A statement of each kind on the table of versions, for the server to check the user's rights.
pub(super) fn version_probes(dialect: Dialect) -> Vec<String> {
    vec![version_sql(dialect)]
}

/// The same for the table of history.
pub(super) fn history_probes(_: Dialect) -> Vec<String> {
    vec![last_sql(), delete_sql(), history_sql()]
}
