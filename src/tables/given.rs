//! Rows that are given and stand in place of a reference table's own, and tables of a database that is never met. For
//! rehearsals: the batch sees of given rows what it would see of the table.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;

use super::index::{IndexFault, KeyIndex};
use super::key::KeyForm;
use super::{ColumnsOf, ReferenceTables, Table, TableError};
use crate::config::{ReferenceTableConfig, TableOrigin};
use crate::database::Address;

/// All rows of a table.
#[derive(Debug)]
pub(super) enum GivenRows {
    Whole(RecordBatch),
    ByKey(KeyIndex),
}

impl GivenRows {
    pub(super) fn gather(&mut self, keys: &[RecordBatch]) -> Result<Vec<RecordBatch>, ArrowError> {
        match self {
            Self::Whole(rows) => Ok(vec![rows.clone()]),
            Self::ByKey(index) => index.gather(keys).map(|rows| vec![rows]),
        }
    }
}

/// A table of the database, of which only these columns are known.
fn unmet(name: &str, columns: Option<SchemaRef>) -> Result<Table, TableError> {
    columns.map(Table::Unmet).ok_or_else(|| {
        TableError::other(name, "it is in the database, and nothing declares its columns")
            .with_hint(format!("give rows of it: `tables: {{ {name}: [{{ ... }}] }}`, in any test"))
    })
}

impl ReferenceTables {
    /// Opens files as [`ReferenceTables::open`] does, and does not meet the database: `columns` says what the columns
    /// of its tables are, which have no rows.
    ///
    /// # Errors
    /// The faults of all tables; those of which nothing is known.
    pub async fn open_without_database(
        configs: &[ReferenceTableConfig],
        used: &(dyn Fn(&str) -> bool + Sync),
        columns: &ColumnsOf<'_>,
        memory_max: usize,
    ) -> Result<Self, Vec<TableError>> {
        let is_file = |config: &ReferenceTableConfig| matches!(config.origin, TableOrigin::File { .. });
        let nowhere = Address::Sqlite { path: "nowhere".into() };
        let (mut tables, mut errors) = Self::open_some(configs, used, &is_file, &nowhere, memory_max).await;
        for (index, config) in configs.iter().enumerate() {
            if tables.specs[index].is_known || is_file(config) {
                continue;
            }
            match unmet(&config.name, columns(&config.name)) {
                Ok(table) => {
                    tables.specs[index].schema = Arc::clone(table.schema());
                    tables.specs[index].is_known = true;
                    tables.tables[index] = Some(table);
                }
                Err(error) => errors.push(error),
            }
        }
        if errors.is_empty() { Ok(tables) } else { Err(errors) }
    }

    /// Puts rows in place of those of a table (by its place); with `None` its own are back.
    ///
    /// # Errors
    /// Two rows with one key.
    pub fn give(&mut self, table: usize, rows: Option<RecordBatch>) -> Result<(), TableError> {
        let spec = &self.specs[table];
        let failed = |message: String| TableError::other(&spec.name, message);
        self.given[table] = match rows {
            None => None,
            Some(rows) if spec.key.is_empty() => Some(GivenRows::Whole(rows)),
            Some(rows) => {
                let form = KeyForm::new(&rows.schema(), &spec.key).map_err(failed)?;
                let (index, _) = KeyIndex::build(form, rows).map_err(|fault| match fault {
                    IndexFault::Duplicate(twins) => {
                        failed(format!("two rows with the key {}, but a key has one row", twins.key))
                    }
                    IndexFault::Arrow(error) => failed(error.to_string()),
                })?;
                Some(GivenRows::ByKey(index))
            }
        };
        Ok(())
    }
}
