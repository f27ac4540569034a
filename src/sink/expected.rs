//! What can be known of a commit without a database: whether the tables that the program would create take its rows.
//! For rehearsals; a table that somebody else made may be stricter.

use arrow::array::RecordBatch;

use super::ddl::{column_type, is_delete, is_required};
use super::output::Output;
use super::{SinkError, TableFault, Tables, Target};
use crate::database::{Dialect, Table, TableColumn, TableKind};

impl Tables {
    /// The tables of a job as the program would create them.
    ///
    /// # Errors
    /// All columns that have no place in a database of this dialect.
    pub fn expected(targets: &[Target], dialect: Dialect) -> Result<Self, Vec<TableFault>> {
        let (mut written, mut faults) = (Vec::new(), Vec::new());
        for target in targets {
            match table(target, dialect).and_then(|table| Output::new(target, &table, dialect)) {
                Ok(output) => written.push(output),
                Err(found) => faults.extend(found),
            }
        }
        if faults.is_empty() { Ok(Self::new(targets, written)) } else { Err(faults) }
    }
}

impl Tables {
    /// The rows of an output (by its place) that are left in the end, when the rows of batches are written one after the
    /// other to an empty table.
    ///
    /// # Errors
    /// As [`Tables::prepare`].
    pub fn left(&self, output: usize, batches: Vec<Vec<RecordBatch>>) -> Result<Vec<RecordBatch>, SinkError> {
        let output = &self.outputs[output];
        match output.key.is_empty() {
            true => Ok(batches.into_iter().flatten().collect()),
            false => Ok(vec![output.left(&batches)?]),
        }
    }
}

fn table(target: &Target, dialect: Dialect) -> Result<Table, Vec<TableFault>> {
    let (mut columns, mut faults) = (Vec::new(), Vec::new());
    for field in target.schema.fields().iter().filter(|field| !is_delete(target, field.name())) {
        let is_nullable = !is_required(target, field);
        match column_type(target, field, dialect) {
            Ok(kind) => columns.push(TableColumn {
                name: field.name().clone(),
                declared: kind.ddl(dialect),
                kind,
                is_nullable,
                has_default: false,
                is_numbered: false,
                is_unique_by_default: false,
                is_null_by_default: is_nullable,
                is_generated: false,
                collation: None,
            }),
            Err(reason) => faults.push(TableFault::of_column(&target.table, field.name(), reason)),
        }
    }
    match faults.is_empty() {
        true => Ok(Table { kind: TableKind::Table, engine: None, columns, keys: Vec::new() }),
        false => Err(faults),
    }
}
