//! State without a database: rows by key in memory, which batches read and commit as they do in the database. For
//! rehearsals.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, new_null_array};

use super::{Layer, StateTable, StateTableSpec, StateTables, Store, TableError, arrow_error, twins_given};

/// For each table its rows, by their keys, in the order of the keys.
pub(super) struct Memory(Vec<RowsByKey>);

/// Both as [`super::HeldRows`] has them.
type RowsByKey = BTreeMap<Box<[u8]>, Box<[u8]>>;

/// The version of rows that were given.
const VERSION_GIVEN: i64 = 1;

impl Memory {
    /// All rows of a table, as they are held.
    pub(super) fn rows(&self, index: usize, table: &StateTable) -> Result<RecordBatch, TableError> {
        let rows = self.0[index].values().map(|row| &**row);
        table.held.decode(rows).map_err(|error| arrow_error(&table.spec, &error))
    }

    /// Takes over what a committed batch has written.
    pub(super) fn write(&mut self, layers: &[Layer]) {
        for (rows, layer) in self.0.iter_mut().zip(layers) {
            for (key, row) in layer {
                match row {
                    Some(row) => drop(rows.insert(key.clone(), row.clone())),
                    None => drop(rows.remove(key)),
                }
            }
        }
    }
}

impl StateTables {
    /// Empty tables that stand in memory.
    ///
    /// # Errors
    /// As [`StateTables::new`].
    pub fn in_memory(specs: Vec<StateTableSpec>, memory_max: usize) -> Result<Self, Vec<TableError>> {
        let memory = Memory(specs.iter().map(|_| BTreeMap::new()).collect());
        Self::with_store(specs, Store::Memory(memory), memory_max)
    }

    /// The same tables, empty and in memory.
    #[must_use]
    pub fn emptied(self) -> Self {
        let memory = Memory(self.tables.iter().map(|_| BTreeMap::new()).collect());
        let mut emptied = Self { store: Store::Memory(memory), ..self };
        emptied.forget();
        emptied
    }

    /// Replaces all rows of a table in memory, and forgets the results from the rows before. `rows` have the
    /// columns of SQL.
    ///
    /// # Errors
    /// Two rows with one key, or a key of NULL.
    pub fn replace(&mut self, index: usize, rows: &RecordBatch) -> Result<(), TableError> {
        self.forget();
        let table = &self.tables[index];
        let failed = |error| arrow_error(&table.spec, &error);
        let count = rows.num_rows();
        let versions: ArrayRef = Arc::new(Int64Array::from(vec![VERSION_GIVEN; count]));
        // Rows that nobody wrote belong to no partition yet.
        let unknown = table.spec.partition_fields();
        let unknown = unknown.iter().map(|field| new_null_array(field.data_type(), count));
        let columns = rows.columns().iter().cloned().chain([versions]).chain(unknown).collect();
        let held = RecordBatch::try_new(Arc::clone(&table.held_schema), columns).map_err(failed)?;
        let encoded = table.held.encode(&held).map_err(failed)?;
        let keys = table.key.of_table(&held).map_err(failed)?;
        let mut replaced = RowsByKey::new();
        for row in 0..count {
            let key = keys.get(row).ok_or_else(|| {
                TableError::state(&table.spec.name, format!("the key of row {} is NULL", row + 1))
            })?;
            if replaced.insert(key.into(), encoded.row(row).data().into()).is_some() {
                return Err(twins_given(&table.spec, &keys.text(row)));
            }
        }
        if let Store::Memory(memory) = &mut self.store {
            memory.0[index] = replaced;
        }
        Ok(())
    }

    /// All rows of a table in memory, as SQL reads them, in the order of their keys.
    ///
    /// # Errors
    /// Rows that do not have the columns of the table.
    pub fn all_rows(&self, index: usize) -> Result<RecordBatch, TableError> {
        let table = &self.tables[index];
        let Store::Memory(memory) = &self.store else {
            return Ok(RecordBatch::new_empty(Arc::clone(&table.spec.schema)));
        };
        let rows = memory.rows(index, table)?;
        let width: Vec<usize> = (0..table.spec.schema.fields().len()).collect();
        let rows = rows.project(&width).and_then(|rows| rows.with_schema(Arc::clone(&table.spec.schema)));
        rows.map_err(|error| arrow_error(&table.spec, &error))
    }
}
