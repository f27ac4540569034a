//! Reading tables and queries as Arrow: whole, or just the rows of given keys in one query. What the reference
//! tables are made of.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch};
use arrow::compute::{CastOptions, cast_with_options, concat_batches, filter_record_batch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use super::column::quote;
use super::rows::RowsBuilder;
use super::{
    Address, ColumnType, Connection, DatabaseError, Dialect, Fit, Home, Link, Misfit, Purpose, Value,
    quote_table,
};
use crate::diagnostic::Finding;

/// Where rows are read from.
#[derive(Clone, Copy, Debug)]
pub enum Origin<'a> {
    /// A table or view, which may stand behind its database's name: `bank.accounts`.
    Table(&'a str),
    /// Some columns of a table.
    Columns { table: &'a str, columns: &'a [&'a str] },
    /// A SELECT in the database's own dialect.
    Query(&'a str),
}

/// A table or query that was described, and can be read.
#[derive(Clone, Debug)]
pub struct Relation {
    /// What follows SELECT.
    select: String,
    /// What follows FROM.
    pub(super) from: String,
    /// The columns' names and types; all are nullable.
    pub schema: SchemaRef,
}

/// A connection for reading, which connects when it is first used and again after it was lost.
///
/// ```ignore
/// let mut reader = Reader::new(address);
/// let accounts = reader.open(Origin::Table("accounts")).await?;
/// let rows = reader.fetch_by_keys(&accounts, &["customer_id".into()], &keys).await?;
/// ```
pub struct Reader {
    link: Link,
}

/// Rows of one record batch of [`Reader::fetch_all`].
const BATCH_ROWS_MAX: usize = 8192;

impl Reader {
    /// A reader that has not connected yet.
    pub fn new(address: Address) -> Self {
        Self { link: Link::new(address, Purpose::ReadOnly) }
    }

    /// Reads from the same server as all links that share this home.
    pub fn share(&mut self, home: &Home) {
        self.link.share(home);
    }

    /// Finds out a table's or query's columns.
    ///
    /// # Errors
    /// There is no such table, the query is wrong (MySQL: also where two of its columns have one name), or the
    /// server is away.
    pub async fn open(&mut self, origin: Origin<'_>) -> Result<Relation, DatabaseError> {
        let connection = self.link.ready().await?;
        let relation = open(connection, origin).await;
        self.link.done(relation)
    }

    /// Reads all rows, in batches of at most 8192.
    ///
    /// # Errors
    /// More than `bytes_max` bytes of values were read, a value does not fit its column's Arrow type, or the
    /// database failed.
    pub async fn fetch_all(
        &mut self,
        relation: &Relation,
        bytes_max: usize,
    ) -> Result<Vec<RecordBatch>, DatabaseError> {
        let sql = format!("SELECT {} FROM {}", relation.select, relation.from);
        let mut builder = RowsBuilder::new(Arc::clone(&relation.schema));
        let (mut batches, mut bytes) = (Vec::new(), 0);
        let mut take = |row: Vec<Value<'static>>| {
            bytes += row.iter().map(Value::size).sum::<usize>();
            if bytes > bytes_max {
                let found = Finding::new(format!("{} is larger than {bytes_max} bytes", relation.from));
                return Err(DatabaseError::other(
                    found.with_hint("give the table a `key`, so that only the rows a batch needs are read"),
                ));
            }
            builder.push(&row).map_err(DatabaseError::other)?;
            if builder.rows() == BATCH_ROWS_MAX {
                batches.push(builder.finish().map_err(DatabaseError::other)?);
            }
            Ok(())
        };
        let connection = self.link.ready().await?;
        let read = connection.query_each(&sql, Vec::new(), &mut take).await;
        self.link.done(read)?;
        if builder.rows() > 0 || batches.is_empty() {
            batches.push(builder.finish().map_err(DatabaseError::other)?);
        }
        Ok(batches)
    }

    /// Reads the rows whose `key` columns equal one of the rows of `keys`, in no order.
    ///
    /// The columns of `keys` stand in the order of `key` and may have other names and types; they are cast to
    /// the table's, and a key that cannot be, or holds a NULL, matches nothing. One query, or several where the
    /// keys are more than a statement's placeholders. Where the table's collation takes different texts for equal
    /// (`jose` and `José`), more rows than asked for may come.
    pub async fn fetch_by_keys(
        &mut self,
        relation: &Relation,
        key: &[String],
        keys: &RecordBatch,
    ) -> Result<RecordBatch, DatabaseError> {
        let connection = self.link.ready().await?;
        let batch = relation.fetch_by_keys(connection, key, keys, false).await;
        self.link.done(batch)
    }
}

impl Relation {
    /// Finds out a table's or query's columns through a connection that is open.
    ///
    /// # Errors
    /// As [`Reader::open`].
    pub async fn open(connection: &mut Connection, origin: Origin<'_>) -> Result<Self, DatabaseError> {
        open(connection, origin).await
    }

    /// As [`Reader::fetch_by_keys`], through a connection that is open. `lock`: the rows are locked for writing, in the
    /// order of their keys, and read as they are then.
    ///
    /// # Errors
    /// As [`Reader::fetch_by_keys`].
    pub async fn fetch_by_keys(
        &self,
        connection: &mut Connection,
        key: &[String],
        keys: &RecordBatch,
        lock: bool,
    ) -> Result<RecordBatch, DatabaseError> {
        let key_fields = key.iter().map(|name| self.field(name)).collect::<Result<Vec<_>, _>>()?;
        let columns = keys.columns().iter().zip(&key_fields);
        let columns = columns.map(|(array, field)| castable(array, field)).collect::<Result<Vec<_>, _>>()?;
        let columns = without_nulls(columns)?;
        fetch_by_keys(connection, self, &key_fields, &columns, lock).await
    }

    /// The field of a column.
    ///
    /// # Errors
    /// There is none of this name; the message lists those there are.
    pub fn field(&self, name: &str) -> Result<&Field, DatabaseError> {
        self.schema.field_with_name(name).map_err(|_| {
            let names: Vec<&str> = self.schema.fields().iter().map(|field| field.name().as_str()).collect();
            DatabaseError::other(format!("no column `{name}`, there are {}", names.join(", ")))
        })
    }
}

async fn open(connection: &mut Connection, origin: Origin<'_>) -> Result<Relation, DatabaseError> {
    let dialect = connection.dialect();
    let select = match origin {
        Origin::Columns { columns, .. } => {
            columns.iter().map(|column| quote(column, dialect)).collect::<Vec<_>>().join(", ")
        }
        _ => "*".to_owned(),
    };
    let from = match origin {
        Origin::Table(name) | Origin::Columns { table: name, .. } => quote_table(name, dialect),
        Origin::Query(sql) => {
            let sql = sql.trim().trim_end_matches(';').trim_end();
            // The line break ends a comment at the query's end.
            format!("({sql}\n) AS {}", quote("query", dialect))
        }
    };
    let columns = connection.describe(&format!("SELECT {select} FROM {from}")).await?;
    let fields: Vec<Field> =
        columns.into_iter().map(|(name, kind)| Field::new(name, kind.arrow(), true)).collect();
    Ok(Relation { select, from, schema: Arc::new(Schema::new(fields)) })
}

async fn fetch_by_keys(
    connection: &mut Connection,
    relation: &Relation,
    key_fields: &[&Field],
    columns: &[ArrayRef],
    lock: bool,
) -> Result<RecordBatch, DatabaseError> {
    let dialect = connection.dialect();
    let keys_in_all = columns.first().map_or(0, |column| column.len());
    let limits = connection.limits();
    let keys_max = (limits.placeholders_max / key_fields.len().max(1)).max(1);
    // Why half: the last key may fill up as many places again.
    let bytes_max = limits.row_bytes_max / 2;
    let mut prepared = Vec::with_capacity(columns.len());
    let mut sizes = vec![0; keys_in_all];
    for (column, field) in columns.iter().zip(key_fields) {
        let fit =
            Fit::new(field.data_type(), &ColumnType::Any, true, dialect).map_err(DatabaseError::other)?;
        let column = fit.prepare(column).map_err(|error| DatabaseError::other(error.to_string()))?;
        let mut add = |row: usize, value: Value<'_>| sizes[row] += value.size();
        let added = fit.each(&column, 0..keys_in_all, &mut add);
        added.map_err(|misfit| misfitting(field, &misfit))?;
        prepared.push((fit, column));
    }
    let mut builder = RowsBuilder::new(Arc::clone(&relation.schema));
    let mut batches = Vec::new();
    let mut end = 0;
    while end < keys_in_all {
        let start = end;
        let mut bytes = 0;
        while end < keys_in_all && end - start < keys_max && (end == start || bytes + sizes[end] <= bytes_max)
        {
            bytes += sizes[end];
            end += 1;
        }
        let count = end - start;
        // Why: a statement for each power of two is prepared once; the last key fills it up.
        let slots = count.next_power_of_two().min(keys_max);
        let mut parameters = vec![Value::Null; slots * key_fields.len()];
        for (index, ((fit, column), field)) in prepared.iter().zip(key_fields).enumerate() {
            let mut put = |row: usize, value: Value<'_>| {
                let last = slots * usize::from(row + 1 == start + count);
                for slot in (row - start)..(row - start + 1).max(last) {
                    parameters[slot * key_fields.len() + index] = owned(&value);
                }
            };
            let put_all = fit.each(column, start..end, &mut put);
            put_all.map_err(|misfit| misfitting(field, &misfit))?;
        }
        let sql = keys_sql(relation, key_fields, slots, lock, dialect);
        let mut take = |row: Vec<Value<'static>>| builder.push(&row).map_err(DatabaseError::other);
        connection.query_each(&sql, parameters, &mut take).await?;
    }
    batches.push(builder.finish().map_err(DatabaseError::other)?);
    concat_batches(&relation.schema, &batches).map_err(|error| DatabaseError::other(error.to_string()))
}

fn misfitting(field: &Field, misfit: &Misfit) -> DatabaseError {
    DatabaseError::other(format!("key `{}`: {}", field.name(), misfit.reason))
}

fn keys_sql(
    relation: &Relation,
    key_fields: &[&Field],
    slots: usize,
    lock: bool,
    dialect: Dialect,
) -> String {
    let names: Vec<String> = key_fields.iter().map(|field| quote(field.name(), dialect)).collect();
    let (left, slot) = match names.len() {
        1 => (names[0].clone(), "?".to_string()),
        count => (format!("({})", names.join(", ")), format!("({})", vec!["?"; count].join(","))),
    };
    let slots = vec![slot; slots].join(",");
    let values = if dialect == Dialect::Sqlite && names.len() > 1 { "VALUES " } else { "" };
    let locking = match lock {
        // SQLite: BEGIN IMMEDIATE has locked the file.
        true if dialect.is_mysql() => format!(" ORDER BY {} FOR UPDATE", names.join(", ")),
        _ => String::new(),
    };
    let Relation { select, from, .. } = relation;
    format!("SELECT {select} FROM {from} WHERE {left} IN ({values}{slots}){locking}")
}

/// The key's values in the table's type; NULL where there is no such value.
fn castable(array: &ArrayRef, field: &Field) -> Result<ArrayRef, DatabaseError> {
    if array.data_type() == field.data_type() {
        return Ok(Arc::clone(array));
    }
    let options = CastOptions { safe: true, ..CastOptions::default() };
    let cast = cast_with_options(array, field.data_type(), &options).map_err(|_| {
        DatabaseError::other(format!(
            "key `{}` is {}, which {} cannot be compared with",
            field.name(),
            field.data_type(),
            array.data_type()
        ))
    })?;
    // A cast that rounds (1.5 to 1) would find rows of another key.
    if array.data_type().is_floating() && !field.data_type().is_floating() {
        return exact_only(array, &cast);
    }
    Ok(cast)
}

/// NULL where casting back does not give the same number.
fn exact_only(array: &ArrayRef, cast: &ArrayRef) -> Result<ArrayRef, DatabaseError> {
    let failed = |error: arrow::error::ArrowError| DatabaseError::other(error.to_string());
    let back = arrow::compute::cast(cast, &DataType::Float64).map_err(failed)?;
    let wide = arrow::compute::cast(array, &DataType::Float64).map_err(failed)?;
    let differs = arrow::compute::kernels::cmp::neq(&back, &wide).map_err(failed)?;
    arrow::compute::nullif(cast, &differs).map_err(failed)
}

/// The rows in which no column is NULL.
fn without_nulls(columns: Vec<ArrayRef>) -> Result<Vec<ArrayRef>, DatabaseError> {
    let rows = columns.first().map_or(0, |column| column.len());
    let is_whole = |row: usize| columns.iter().all(|column| column.is_valid(row));
    if (0..rows).all(is_whole) {
        return Ok(columns);
    }
    let keep = BooleanArray::from_iter((0..rows).map(|row| Some(is_whole(row))));
    let fields: Vec<Field> =
        columns.iter().map(|column| Field::new("", column.data_type().clone(), true)).collect();
    let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns);
    let kept = batch.and_then(|batch| filter_record_batch(&batch, &keep));
    kept.map(|batch| batch.columns().to_vec()).map_err(|error| DatabaseError::other(error.to_string()))
}

fn owned(value: &Value<'_>) -> Value<'static> {
    match value {
        Value::Text(text) => Value::text(text.to_string()),
        Value::Bytes(bytes) => Value::bytes(bytes.to_vec()),
        Value::Null => Value::Null,
        Value::Int(value) => Value::Int(*value),
        Value::UInt(value) => Value::UInt(*value),
        Value::Float(value) => Value::Float(*value),
        Value::Double(value) => Value::Double(*value),
        Value::Date(value) => Value::Date(*value),
        Value::Time(value) => Value::Time(*value),
        Value::DateTime(value) => Value::DateTime(*value),
    }
}

#[cfg(test)]
mod tests;
