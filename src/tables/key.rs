//! A table's key as bytes that are equal where the keys are, whatever the number and types of its columns.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Fields, SchemaRef};
use arrow::error::ArrowError;
use arrow::row::{RowConverter, Rows, SortField};
use arrow::util::display::{ArrayFormatter, FormatOptions};

/// Turns key columns into bytes and back.
#[derive(Debug)]
pub(super) struct KeyForm {
    /// The key's columns among those of the table, in the key's order.
    columns: Vec<usize>,
    types: Vec<DataType>,
    converter: RowConverter,
}

/// The keys of some rows.
pub(super) struct Keys {
    rows: Rows,
    columns: Vec<ArrayRef>,
}

impl KeyForm {
    /// # Errors
    /// The key column that the table does not have, or that has a type no key can have.
    pub(super) fn new(schema: &SchemaRef, key: &[String]) -> Result<Self, String> {
        let (mut columns, mut types) = (Vec::new(), Vec::new());
        for name in key {
            let index = schema.index_of(name).map_err(|_| {
                let known: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
                format!("no column `{name}` for its key; there is `{}`", known.join("`, `"))
            })?;
            columns.push(index);
            types.push(schema.field(index).data_type().clone());
        }
        let fields = types.iter().map(|kind| SortField::new(kind.clone())).collect();
        let converter = RowConverter::new(fields)
            .map_err(|_| format!("`{}` has a type that no key can have", key.join("`, `")))?;
        Ok(Self { columns, types, converter })
    }

    /// The keys of the table's own rows.
    pub(super) fn of_table(&self, rows: &RecordBatch) -> Result<Keys, ArrowError> {
        let columns = self.columns.iter().map(|index| Arc::clone(rows.column(*index))).collect();
        self.keys(columns)
    }

    /// The keys that some rows look for: one column for each of the key's, perhaps of other types. What a column
    /// of the key cannot hold becomes NULL, which no row has.
    pub(super) fn looked_for(&self, keys: &RecordBatch) -> Result<Keys, ArrowError> {
        if keys.num_columns() != self.types.len() {
            let message =
                format!("{} columns are looked for in a key of {}", keys.num_columns(), self.types.len());
            return Err(ArrowError::InvalidArgumentError(message));
        }
        let options = CastOptions { safe: true, ..CastOptions::default() };
        let cast = |(column, kind): (&ArrayRef, &DataType)| {
            if column.data_type() == kind {
                Ok(Arc::clone(column))
            } else {
                cast_with_options(column, kind, &options)
            }
        };
        let columns: Result<Vec<ArrayRef>, ArrowError> =
            keys.columns().iter().zip(&self.types).map(cast).collect();
        self.keys(columns?)
    }

    /// The key columns that these bytes stand for.
    pub(super) fn columns_of<'a>(
        &self,
        keys: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<Vec<ArrayRef>, ArrowError> {
        let parser = self.converter.parser();
        self.converter.convert_rows(keys.into_iter().map(|key| parser.parse(key)))
    }

    /// The key's columns, as the table has them.
    pub(super) fn fields(&self, schema: &SchemaRef) -> Fields {
        self.columns.iter().map(|index| schema.field(*index).clone()).collect()
    }

    fn keys(&self, columns: Vec<ArrayRef>) -> Result<Keys, ArrowError> {
        Ok(Keys { rows: self.converter.convert_columns(&columns)?, columns })
    }
}

impl Keys {
    pub(super) fn len(&self) -> usize {
        self.rows.num_rows()
    }

    /// The bytes of a row's key; `None` where a part of it is NULL.
    pub(super) fn get(&self, row: usize) -> Option<&[u8]> {
        if self.columns.iter().any(|column| column.is_null(row)) {
            return None;
        }
        Some(self.rows.row(row).data())
    }

    /// A row's key for people: `7`, or `7, north`.
    pub(super) fn text(&self, row: usize) -> String {
        let options = FormatOptions::default().with_null("NULL");
        let part = |column: &ArrayRef| {
            ArrayFormatter::try_new(column, &options)
                .map_or_else(|_| "?".to_owned(), |f| f.value(row).to_string())
        };
        self.columns.iter().map(part).collect::<Vec<_>>().join(", ")
    }
}
