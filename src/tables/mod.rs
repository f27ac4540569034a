//! The tables that SQL joins a batch with: reference tables, which the job reads, and state tables, which it reads and
//! writes ([`StateTables`]).
//!
//! Reference tables come from files and from the database. Of a table with a
//! key, a batch gets just the rows whose key occurs in it, so a trigger costs by its batch and never by the
//! size of the table.
//!
//! Invariant: between two calls of [`ReferenceTables::begin_batch`] the same keys give the same rows, so a batch
//! sees one snapshot of each table, also when it is computed again, whole or in parts.

mod database_table;
mod error;
mod file;
mod file_table;
mod given;
mod held;
mod index;
mod key;
mod state;
mod text;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Instant;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};

use self::database_table::DatabaseTable;
use self::file::TableFile;
use self::file_table::FileTable;
use self::given::GivenRows;
use crate::config::{KeyPlace, ReferenceTableConfig, TableOrigin};
use crate::database::{Address, Home, Reader};
use crate::telemetry::HeldTable;

pub use error::TableError;
pub use state::{Staged, StateTableSpec, StateTables};

/// The least that is kept for rows of a keyed table of the database, in bytes.
const HELD_BYTES_MIN: usize = 1 << 20;

/// The reference tables of a configuration, by their place in it.
pub struct ReferenceTables {
    specs: Vec<ReferenceTableSpec>,
    tables: Vec<Option<Table>>,
    /// For each table the rows that stand in place of its own.
    given: Vec<Option<GivenRows>>,
    reader: Reader,
}

/// What the columns of a table are, by its name; `None` where nothing is known of it.
pub type ColumnsOf<'f> = dyn Fn(&str) -> Option<SchemaRef> + Sync + 'f;

/// What SQL has to know of a reference table.
#[derive(Clone, Debug)]
pub struct ReferenceTableSpec {
    pub name: String,
    /// Its columns; none where the table is not used, and so was not opened.
    pub schema: SchemaRef,
    /// False where it is used, and its columns could not be found out.
    pub is_known: bool,
    pub key: Vec<String>,
    pub matches: Vec<Vec<KeyPlace>>,
    /// Where it is configured.
    pub line: usize,
}

#[derive(Debug)]
enum Table {
    File(Box<FileTable>),
    Database(Box<DatabaseTable>),
    /// A table of a database that is never met: its columns, and no rows but those given.
    Unmet(SchemaRef),
}

impl ReferenceTables {
    /// Opens the tables that are used: those for whose name `used` is true, and those that the keys of these are
    /// compared with. The others are never looked at. Files and tables without a key are read whole.
    ///
    /// `memory_max` bounds, in bytes, what all of them hold.
    ///
    /// # Errors
    /// The faults of all tables.
    pub async fn open(
        configs: &[ReferenceTableConfig],
        used: &(dyn Fn(&str) -> bool + Sync),
        database: &Address,
        memory_max: usize,
    ) -> Result<Self, Vec<TableError>> {
        let (tables, errors) = Self::open_some(configs, used, &|_| true, database, memory_max).await;
        if errors.is_empty() { Ok(tables) } else { Err(errors) }
    }

    /// As [`ReferenceTables::open`], with the tables that could be opened beside the faults of the others. Those for
    /// which `may_open` is false stay closed, though they are used.
    pub async fn open_some(
        configs: &[ReferenceTableConfig],
        used: &(dyn Fn(&str) -> bool + Sync),
        may_open: &(dyn Fn(&ReferenceTableConfig) -> bool + Sync),
        database: &Address,
        memory_max: usize,
    ) -> (Self, Vec<TableError>) {
        let mut reader = Reader::new(database.clone());
        let used = used_tables(configs, used);
        let (mut tables, mut errors, mut left) = (Vec::new(), Vec::new(), memory_max);
        for (config, is_used) in configs.iter().zip(&used) {
            let opened = match *is_used && may_open(config) {
                true => Table::open(config, left, &mut reader).await.map(Some),
                false => Ok(None),
            };
            left = left.saturating_sub(opened.as_ref().ok().and_then(Option::as_ref).map_or(0, Table::bytes));
            let table = opened.map_err(|error| errors.push(error)).ok().flatten();
            tables.push(table);
        }
        // Each may grow by its part of what is left: a file that is larger when it is read again, held keys.
        let share = left / tables.iter().flatten().count().max(1);
        for table in tables.iter_mut().flatten() {
            table.set_bytes_max(table.bytes() + share.max(HELD_BYTES_MIN));
        }
        let specs =
            configs.iter().zip(&tables).zip(&used).map(|((config, table), is_used)| ReferenceTableSpec {
                name: config.name.clone(),
                is_known: table.is_some() || !is_used,
                schema: table
                    .as_ref()
                    .map_or_else(|| Arc::new(Schema::empty()), |table| Arc::clone(table.schema())),
                key: config.key.clone(),
                matches: config.matches.clone(),
                line: config.line,
            });
        let given = configs.iter().map(|_| None).collect();
        (Self { specs: specs.collect(), tables, given, reader }, errors)
    }

    /// Reads from the same server as all links that share this home.
    pub fn share(&mut self, home: &Home) {
        self.reader.share(home);
    }

    /// All configured tables, in the order of the configuration.
    pub fn specs(&self) -> &[ReferenceTableSpec] {
        &self.specs
    }

    /// What is held of each table that is open.
    pub fn held(&self) -> Vec<HeldTable> {
        let open = self.specs.iter().zip(&self.tables);
        open.filter_map(|(spec, table)| {
            let (rows, bytes, seen_at) = table.as_ref()?.held();
            Some(HeldTable { name: spec.name.as_str().into(), rows, bytes, seen_at })
        })
        .collect()
    }

    /// Lets the tables move on: what was last looked at `refresh_interval` ago or longer is looked at again, and
    /// this batch sees what it holds now. Waits for files that have changed and for tables without a key; what is
    /// held of keyed tables of the database is fetched again when it is asked for.
    ///
    /// # Errors
    /// The database does not answer, or refuses the statement, while it reads tables without a key; it may be called again.
    pub async fn begin_batch(&mut self) -> Result<(), TableError> {
        self.begin_batch_at(Instant::now()).await
    }

    async fn begin_batch_at(&mut self, now: Instant) -> Result<(), TableError> {
        for table in self.tables.iter_mut().flatten() {
            match table {
                Table::File(table) => table.begin_batch(now).await,
                Table::Database(table) => table.begin_batch(now, &mut self.reader).await?,
                Table::Unmet(_) => {}
            }
        }
        Ok(())
    }

    /// The rows of a table (by its place in the configuration) whose key occurs among `keys`, each once; all rows
    /// of a table without a key.
    ///
    /// Each of `keys` has one column for each column of the key, in its order. Keys need not be distinct; one
    /// with a NULL, or that the key's types cannot hold, matches nothing.
    ///
    /// # Errors
    /// Infrastructure where the database is away; data where this batch's keys alone need too much memory; other.
    pub async fn gather(
        &mut self,
        table: usize,
        keys: &[RecordBatch],
    ) -> Result<Vec<RecordBatch>, TableError> {
        if let Some(Some(given)) = self.given.get_mut(table) {
            let rows = given.gather(keys);
            return rows.map_err(|error| TableError::other(&self.specs[table].name, error.to_string()));
        }
        match self.tables.get_mut(table) {
            Some(Some(Table::Unmet(schema))) => Ok(vec![RecordBatch::new_empty(Arc::clone(schema))]),
            Some(Some(Table::File(file))) => match file.gather(keys) {
                Ok(rows) => Ok(vec![rows]),
                Err(error) => Err(TableError::other(&self.specs[table].name, error.to_string())),
            },
            Some(Some(Table::Database(database))) => {
                database.gather(keys, Instant::now(), &mut self.reader).await
            }
            _ => {
                let name = self.specs.get(table).map_or("", |spec| spec.name.as_str());
                Err(TableError::other(name, format!("table {table} was not opened")))
            }
        }
    }
}

impl Table {
    async fn open(
        config: &ReferenceTableConfig,
        bytes_max: usize,
        reader: &mut Reader,
    ) -> Result<Self, TableError> {
        let ReferenceTableConfig { name, origin, key, refresh_interval, .. } = config;
        match origin {
            TableOrigin::File { path, delimiter } => {
                let file = TableFile::new(path, *delimiter);
                let table =
                    FileTable::open(name, file, key, *refresh_interval, bytes_max, Instant::now()).await?;
                Ok(Self::File(Box::new(table)))
            }
            origin => {
                let table =
                    DatabaseTable::open(name, origin, key, *refresh_interval, bytes_max, reader).await?;
                Ok(Self::Database(Box::new(table)))
            }
        }
    }

    fn schema(&self) -> &SchemaRef {
        match self {
            Self::File(table) => table.schema(),
            Self::Database(table) => table.schema(),
            Self::Unmet(schema) => schema,
        }
    }

    /// Rows, bytes, and when they were found to be as they are.
    fn held(&self) -> (usize, usize, Option<Instant>) {
        match self {
            Self::File(table) => (table.count(), table.bytes(), Some(table.seen_at())),
            Self::Database(table) => table.held(),
            Self::Unmet(_) => (0, 0, None),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::File(table) => table.bytes(),
            Self::Database(table) => table.bytes(),
            Self::Unmet(_) => 0,
        }
    }

    fn set_bytes_max(&mut self, bytes_max: usize) {
        match self {
            Self::File(table) => table.set_bytes_max(bytes_max),
            Self::Database(table) => table.set_bytes_max(bytes_max),
            Self::Unmet(_) => {}
        }
    }
}

/// For each table, whether it is used: read by SQL, or what the key of a used table is compared with.
fn used_tables(configs: &[ReferenceTableConfig], used: &dyn Fn(&str) -> bool) -> Vec<bool> {
    let mut is_used: Vec<bool> = configs.iter().map(|config| used(&config.name)).collect();
    loop {
        let places = configs.iter().zip(&is_used).filter(|(_, used)| **used);
        let wanted: Vec<&str> = places
            .flat_map(|(config, _)| config.matches.iter().flatten())
            .map(|place| place.relation.as_str())
            .collect();
        let more: Vec<usize> = (0..configs.len())
            .filter(|index| !is_used[*index] && wanted.contains(&configs[*index].name.as_str()))
            .collect();
        if more.is_empty() {
            return is_used;
        }
        more.into_iter().for_each(|index| is_used[index] = true);
    }
}
