//! What the tables of the program have in common: the columns that name a partition, and times.

use crate::batch::{MESSAGE_TIMES_MS, TopicPartition};
use crate::database::{Connection, DatabaseError, Dialect, Value};

/// A condition for [`partition`].
pub(super) const WHERE_PARTITION: &str = "job = ? AND kafka_topic = ? AND kafka_partition = ?";

/// The values of the columns that name a partition of a job.
pub(super) fn partition(job: &str, partition: &TopicPartition) -> Vec<Value<'static>> {
    vec![
        Value::text(job.to_string()),
        Value::text(partition.topic.to_string()),
        Value::Int(i64::from(partition.partition)),
    ]
}

/// The partition that a row names in this column and the next.
pub(super) fn partition_of(row: &[Value<'_>], column: usize) -> Option<TopicPartition> {
    let topic = row.get(column)?.as_text()?.into();
    Some(TopicPartition { topic, partition: i32::try_from(row.get(column + 1)?.as_i64()?).ok()? })
}

/// A column of a row as text.
pub(super) fn text(row: &[Value<'_>], column: usize) -> Option<String> {
    row.get(column)?.as_text().map(str::to_owned)
}

/// The database's clock, UTC, to the microsecond (SQLite: millisecond).
pub(super) fn now(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Sqlite => "strftime('%Y-%m-%d %H:%M:%f000', 'now')",
        _ => "UTC_TIMESTAMP(6)",
    }
}

/// What the database's clock says, microseconds since the epoch.
pub(super) async fn clock_micros(connection: &mut Connection) -> Result<i64, DatabaseError> {
    let sql = format!("SELECT {}", now(connection.dialect()));
    let rows = connection.query(&sql, Vec::new()).await?;
    let micros = rows.first().and_then(|row| row.first()).and_then(Value::as_micros);
    micros.ok_or_else(|| DatabaseError::other(format!("the database does not answer `{sql}` with a time")))
}

/// A time as text, by the database.
pub(super) fn time_text(dialect: Dialect, column: &str) -> String {
    match dialect {
        Dialect::Sqlite => column.to_owned(),
        Dialect::MySql | Dialect::MariaDb => format!("CAST({column} AS CHAR)"),
    }
}

/// Milliseconds as the tables' DATETIME(3); NULL where they are beyond its years, as producers may set any number.
pub(super) fn message_time<'a>(millis: Option<i64>) -> Value<'a> {
    match millis.filter(|millis| MESSAGE_TIMES_MS.contains(millis)) {
        Some(millis) => Value::DateTime(millis * 1000),
        None => Value::Null,
    }
}
