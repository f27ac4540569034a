//! The rows of state tables: written only where nobody has written them since they were read.
//!
//! Rows that were read are locked in the order of their keys and their versions compared; new keys are inserted and
//! never updated. Whatever differs is a conflict ([`SinkError::Conflict`]): the batch is computed again.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::{cast, filter_record_batch};
use arrow::datatypes::{Int64Type, SchemaRef};
use arrow::error::ArrowError;
use arrow::row::{RowConverter, SortField};
use datafusion::common::HashMap;

use super::columns::clock_micros;
use super::{Sink, SinkError, Target};
use crate::batch::{
    Advance, DELETE_COLUMN, MESSAGE_TIME_COLUMN, PARTITION_COLUMNS, StateChange, VERSION_COLUMN,
};
use crate::database::{Connection, DatabaseError, Dialect, Origin, Relation, Value, quote_table};

/// Rows of a state table that one transaction deletes for their age, at most.
pub const EXPIRED_ROWS_MAX: usize = 1_000;

impl Sink {
    /// The database's clock, in milliseconds since the epoch: what a `ttl` is measured by.
    pub async fn clock_ms(&mut self) -> Result<i64, SinkError> {
        let read = clock_micros(self.link.ready().await?).await;
        Ok(self.link.done(read)?.div_euclid(1000))
    }
}

/// Reads the rows of one state table in the transaction that writes them.
#[derive(Clone)]
pub(super) struct StateReader {
    table: String,
    key: Vec<String>,
    /// The table's columns as SQL sees them, then the program's own that are read.
    columns: Vec<String>,
    /// Key and version; opened when it is first used, as is the next.
    versions: Option<Relation>,
    rows: Option<Relation>,
}

impl StateReader {
    pub fn new(target: &Target) -> Self {
        let key = target.mode.key().to_vec();
        let names = target.schema.fields().iter().map(|field| field.name());
        let is_read = |name: &&String| ![DELETE_COLUMN, MESSAGE_TIME_COLUMN].contains(&name.as_str());
        let columns = names.filter(is_read).cloned().collect();
        Self { table: target.table.clone(), key, columns, versions: None, rows: None }
    }

    /// The rows of these keys, locked until the transaction ends.
    pub async fn locked(
        &mut self,
        connection: &mut Connection,
        keys: &RecordBatch,
    ) -> Result<RecordBatch, SinkError> {
        let Self { table, key, columns, rows, .. } = self;
        let refused = |error| SinkError::Refused { table: table.clone(), error };
        let relation = open(rows, connection, table, columns).await.map_err(refused)?;
        relation.fetch_by_keys(connection, key, keys, true).await.map_err(refused)
    }

    /// Deletes rows that were written last before a message time, [`EXPIRED_ROWS_MAX`] at most; of a table that
    /// follows the partitions, rows of these. Returns their number.
    pub async fn expire(
        &self,
        connection: &mut Connection,
        before_ms: i64,
        advances: &[Advance],
    ) -> Result<usize, SinkError> {
        let dialect = connection.dialect();
        let table = quote_table(&self.table, dialect);
        let mut chosen = format!("{MESSAGE_TIME_COLUMN} < ?");
        let mut parameters = vec![Value::DateTime(before_ms.saturating_mul(1000))];
        if self.columns.iter().any(|column| column == PARTITION_COLUMNS[0]) {
            let [topic, partition] = PARTITION_COLUMNS;
            let of_one = format!("({topic} = ? AND {partition} = ?)");
            chosen += &format!(" AND ({})", vec![of_one; advances.len()].join(" OR "));
            for Advance { partition, .. } in advances {
                parameters.push(Value::text(partition.topic.to_string()));
                parameters.push(Value::Int(i64::from(partition.partition)));
            }
        }
        let sql = match dialect {
            // SQLite is built without LIMIT in DELETE.
            Dialect::Sqlite => format!(
                "DELETE FROM {table} WHERE rowid IN (SELECT rowid FROM {table} WHERE {chosen} LIMIT {EXPIRED_ROWS_MAX})"
            ),
            Dialect::MySql | Dialect::MariaDb => {
                format!("DELETE FROM {table} WHERE {chosen} LIMIT {EXPIRED_ROWS_MAX}")
            }
        };
        let deleted = connection.execute(&sql, parameters).await;
        let deleted = deleted.map_err(|error| SinkError::Refused { table: self.table.clone(), error })?;
        Ok(usize::try_from(deleted).unwrap_or(EXPIRED_ROWS_MAX))
    }

    /// Whether it reads this table.
    pub fn is_of(&self, table: &str) -> bool {
        self.table == table
    }

    /// Whether any of the rows that a batch takes for new is there by now.
    pub async fn has_any(
        &mut self,
        connection: &mut Connection,
        change: &StateChange,
    ) -> Result<bool, DatabaseError> {
        let Self { table, key, versions, .. } = self;
        let broken = |error: ArrowError| DatabaseError::other(format!("{table}: {error}"));
        let new = filter_record_batch(&change.rows, &change.new_keys).map_err(broken)?;
        let places = key.iter().map(|name| new.schema().index_of(name)).collect::<Result<Vec<_>, _>>();
        let keys = places.and_then(|places| new.project(&places)).map_err(broken)?;
        let relation = open(versions, connection, table, &version_columns(key)).await?;
        Ok(relation.fetch_by_keys(connection, key, &keys, false).await?.num_rows() > 0)
    }

    /// Makes sure that the rows a batch was computed from are still those, and stay so. Returns the number of statements.
    ///
    /// # Errors
    /// [`SinkError::Conflict`]; or the database does not answer, or refuses the statement.
    pub async fn verify(
        &mut self,
        connection: &mut Connection,
        change: &StateChange,
    ) -> Result<usize, SinkError> {
        let Some(read) = change.read.as_ref().filter(|read| read.num_rows() > 0) else { return Ok(0) };
        let Self { table, key, versions, .. } = self;
        let refused = |error| SinkError::Refused { table: table.clone(), error };
        let broken = |error: ArrowError| SinkError::Sql(format!("{table}: {error}").into());
        let keys: Vec<usize> = (0..key.len()).collect();
        let keys = read.project(&keys).map_err(broken)?;
        let relation = open(versions, connection, table, &version_columns(key)).await.map_err(refused)?;
        let found = relation.fetch_by_keys(connection, key, &keys, true).await.map_err(refused)?;
        match is_same(read, &found).map_err(broken)? {
            true => Ok(1),
            false => Err(SinkError::Conflict { table: table.clone() }),
        }
    }
}

/// The key, then the version.
fn version_columns(key: &[String]) -> Vec<String> {
    key.iter().cloned().chain([VERSION_COLUMN.to_owned()]).collect()
}

async fn open<'r>(
    relation: &'r mut Option<Relation>,
    connection: &mut Connection,
    table: &str,
    columns: &[String],
) -> Result<&'r Relation, DatabaseError> {
    match relation {
        Some(relation) => Ok(relation),
        None => {
            let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
            let opened = Relation::open(connection, Origin::Columns { table, columns: &columns }).await?;
            Ok(relation.insert(opened))
        }
    }
}

/// Whether the rows that were read are there with the same versions, and those that were not are not there now.
///
/// Both have the columns of the key and the version behind them.
fn is_same(read: &RecordBatch, found: &RecordBatch) -> Result<bool, ArrowError> {
    let schema = read.schema();
    let version = schema.fields().len() - 1;
    let fields = schema.fields()[..version].iter().map(|field| SortField::new(field.data_type().clone()));
    let converter = RowConverter::new(fields.collect())?;
    let found_rows = converter.convert_columns(&key_columns(found, &schema, version)?)?;
    let found_versions = cast(found.column(version), schema.field(version).data_type())?;
    let found_versions = found_versions.as_primitive::<Int64Type>();
    // A row without a version, as a hand may have written it, counts as the first.
    let found_version = |row: usize| if found_versions.is_valid(row) { found_versions.value(row) } else { 0 };
    let found: HashMap<Box<[u8]>, i64> =
        found_rows.iter().enumerate().map(|(row, key)| (key.data().into(), found_version(row))).collect();
    let read_rows = converter.convert_columns(&key_columns(read, &schema, version)?)?;
    let read_versions = read.column(version).as_primitive::<Int64Type>();
    let is_same =
        |(key, version): (arrow::row::Row<'_>, Option<i64>)| found.get(key.data()).copied() == version;
    Ok(read_rows.iter().zip(read_versions).all(is_same))
}

fn key_columns(rows: &RecordBatch, schema: &SchemaRef, width: usize) -> Result<Vec<ArrayRef>, ArrowError> {
    (0..width).map(|index| cast(rows.column(index), schema.field(index).data_type())).collect()
}
