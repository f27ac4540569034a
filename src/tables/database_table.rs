//! A reference table that lives in the database: without a key it is small and held whole; with one, only the
//! rows of keys that occurred are fetched, in one query a batch, and held.

use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use super::error::TableError;
use super::held::{HeldFault, HeldRows};
use super::key::KeyForm;
use crate::config::TableOrigin;
use crate::database::{DatabaseError, Origin, Reader, Relation};

/// What is held of a table or query of the database.
#[derive(Debug)]
pub(super) struct DatabaseTable {
    name: String,
    relation: Relation,
    key: Vec<String>,
    refresh_interval: Duration,
    rows: DatabaseRows,
}

#[derive(Debug)]
enum DatabaseRows {
    Whole { rows: Vec<RecordBatch>, fetched_at: Instant, bytes_max: usize },
    ByKey(Box<HeldRows>),
}

impl DatabaseTable {
    /// Asks for the columns, and reads a table without a key.
    ///
    /// # Errors
    /// No such table, a query that is wrong, a key column that is not there; a whole table that needs more than
    /// `bytes_max`; infrastructure where the database is away.
    pub(super) async fn open(
        name: &str,
        origin: &TableOrigin,
        key: &[String],
        refresh_interval: Duration,
        bytes_max: usize,
        reader: &mut Reader,
    ) -> Result<Self, TableError> {
        let origin = match origin {
            TableOrigin::Query(query) => Origin::Query(query),
            TableOrigin::Table(table) => Origin::Table(table),
            TableOrigin::File { path, .. } => {
                return Err(TableError::other(name, format!("{} is not in the database", path.display())));
            }
        };
        let failed = |error| database_error(name, error);
        let relation = reader.open(origin).await.map_err(failed)?;
        let rows = if key.is_empty() {
            let rows = reader.fetch_all(&relation, bytes_max).await.map_err(failed)?;
            DatabaseRows::Whole { rows, fetched_at: Instant::now(), bytes_max }
        } else {
            let form =
                KeyForm::new(&relation.schema, key).map_err(|message| TableError::other(name, message))?;
            let held = HeldRows::new(form, relation.schema.clone(), bytes_max, refresh_interval);
            DatabaseRows::ByKey(Box::new(held.map_err(|error| TableError::other(name, error.to_string()))?))
        };
        Ok(Self { name: name.to_owned(), relation, key: key.to_vec(), refresh_interval, rows })
    }

    pub(super) fn schema(&self) -> &SchemaRef {
        &self.relation.schema
    }

    /// What the rows of a whole table hold; those of a keyed one come later.
    pub(super) fn bytes(&self) -> usize {
        match &self.rows {
            DatabaseRows::Whole { rows, .. } => rows.iter().map(RecordBatch::get_array_memory_size).sum(),
            DatabaseRows::ByKey(_) => 0,
        }
    }

    /// Rows, bytes, and when a whole table was fetched.
    pub(super) fn held(&self) -> (usize, usize, Option<Instant>) {
        match &self.rows {
            DatabaseRows::Whole { rows, fetched_at, .. } => {
                (rows.iter().map(RecordBatch::num_rows).sum(), self.bytes(), Some(*fetched_at))
            }
            DatabaseRows::ByKey(held) => {
                let (rows, bytes) = held.size();
                (rows, bytes, None)
            }
        }
    }

    /// How much may be held from now on.
    pub(super) fn set_bytes_max(&mut self, max: usize) {
        match &mut self.rows {
            DatabaseRows::Whole { bytes_max, .. } => *bytes_max = max,
            DatabaseRows::ByKey(held) => held.set_bytes_max(max),
        }
    }

    /// Reads a whole table again where that is due.
    ///
    /// # Errors
    /// The database does not answer, or refuses the statement; what was held stays.
    pub(super) async fn begin_batch(&mut self, now: Instant, reader: &mut Reader) -> Result<(), TableError> {
        match &mut self.rows {
            DatabaseRows::ByKey(held) => held.begin_batch(),
            DatabaseRows::Whole { rows, fetched_at, bytes_max } => {
                if now.duration_since(*fetched_at) >= self.refresh_interval {
                    let fetched = reader.fetch_all(&self.relation, *bytes_max).await;
                    *rows = fetched.map_err(|error| database_error(&self.name, error))?;
                    *fetched_at = now;
                }
            }
        }
        Ok(())
    }

    /// All rows, or those whose key occurs among `keys`, fetching what is not held.
    ///
    /// # Errors
    /// The database does not answer, or refuses the statement; two rows of one key; data, where the keys of this batch
    /// alone are more than may be held.
    pub(super) async fn gather(
        &mut self,
        keys: &[RecordBatch],
        now: Instant,
        reader: &mut Reader,
    ) -> Result<Vec<RecordBatch>, TableError> {
        let held = match &mut self.rows {
            DatabaseRows::Whole { rows, .. } => return Ok(rows.clone()),
            DatabaseRows::ByKey(held) => held,
        };
        let arrow = |error: arrow::error::ArrowError| TableError::other(&self.name, error.to_string());
        if let Some(missing) = held.missing(keys, now, &|_| false).map_err(arrow)? {
            let fetched = reader.fetch_by_keys(&self.relation, &self.key, &missing).await;
            let fetched = fetched.map_err(|error| database_error(&self.name, error))?;
            held.hold(&missing, &[fetched], now).map_err(|fault| match fault {
                HeldFault::Arrow(error) => arrow(error),
                HeldFault::Duplicate(value) => {
                    let message =
                        format!("two rows with `{}` {value}, but a key has one row", self.key.join(", "));
                    TableError::other(&self.name, message)
                        .with_hint("name more columns as its key, or group the rows in a `query:`")
                }
                HeldFault::TooMuch(bytes) => TableError::too_much(&self.name, bytes),
            })?;
        }
        Ok(vec![held.gather(keys).map_err(arrow)?])
    }
}

fn database_error(name: &str, error: DatabaseError) -> TableError {
    TableError { fault: error.fault(), ..TableError::other(name, error.found().clone()) }
}
