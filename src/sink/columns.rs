//! What the tables of the program have in common: the columns that name a partition, and times.

use crate::batch::{MESSAGE_TIMES_MS, TopicPartition};
use crate::database::{Dialect, Value};

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

/// The database's clock, UTC, to the microsecond (SQLite: millisecond).
pub(super) fn now(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Sqlite => "strftime('%Y-%m-%d %H:%M:%f000', 'now')",
        _ => "UTC_TIMESTAMP(6)",
    }
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
