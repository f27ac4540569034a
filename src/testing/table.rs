//! Rows that came out, as they are compared and shown: each value as its JSON text.

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::util::display::{ArrayFormatter, FormatOptions};

use crate::batch::DeadLetter;
use crate::database::json;

/// Rows of a view, a state table, or dead letters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Table {
    pub columns: Vec<Column>,
    /// One text for each column: its value as JSON; what JSON cannot carry (NaN, infinities) as SQL prints it.
    pub rows: Vec<Vec<String>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Column {
    pub name: String,
    pub kind: Kind,
}

/// What a column's values are compared as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Arrow(DataType),
    /// A text of which a part is expected.
    Part,
}

impl Table {
    /// The rows of a view, as they came.
    pub fn of(schema: &SchemaRef, batches: &[RecordBatch]) -> Self {
        let columns = schema.fields().iter();
        let columns = columns
            .map(|field| Column { name: field.name().clone(), kind: Kind::Arrow(field.data_type().clone()) });
        let row = |batch: &RecordBatch, row: usize| {
            batch.columns().iter().map(|column| text(column.as_ref(), row)).collect::<Vec<_>>()
        };
        let rows = batches.iter().flat_map(|batch| (0..batch.num_rows()).map(move |index| row(batch, index)));
        Self { columns: columns.collect(), rows: rows.collect() }
    }

    /// Dead letters, in the order of their messages.
    pub fn of_dead_letters(dead_letters: &[DeadLetter]) -> Self {
        let mut sorted: Vec<&DeadLetter> = dead_letters.iter().collect();
        sorted.sort_by_key(|letter| (&letter.partition, letter.offset));
        let rows = sorted.into_iter().map(|letter| {
            let quoted = |value: &str| {
                let mut text = String::new();
                json::string(&mut text, value);
                text
            };
            vec![
                quoted(&letter.partition.topic),
                letter.partition.partition.to_string(),
                letter.offset.to_string(),
                quoted(letter.stage.name()),
                quoted(&letter.place),
                quoted(&letter.reason.to_string()),
            ]
        });
        Self { columns: Self::dead_letter_columns(), rows: rows.collect() }
    }

    /// The columns of [`Table::of_dead_letters`], which are those of the table `dead_letters`.
    pub fn dead_letter_columns() -> Vec<Column> {
        let columns = [
            ("kafka_topic", Kind::Arrow(DataType::Utf8)),
            ("kafka_partition", Kind::Arrow(DataType::Int32)),
            ("kafka_offset", Kind::Arrow(DataType::Int64)),
            ("stage", Kind::Arrow(DataType::Utf8)),
            ("place", Kind::Part),
            ("reason", Kind::Part),
        ];
        columns.into_iter().map(|(name, kind)| Column { name: name.into(), kind }).collect()
    }

    /// The place of a column.
    pub fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }
}

fn text(column: &dyn Array, row: usize) -> String {
    let mut text = String::new();
    if json::write(&mut text, column, row).is_err() {
        let shown = ArrayFormatter::try_new(column, &FormatOptions::default());
        text = shown.map_or_else(|_| "?".into(), |shown| shown.value(row).to_string());
    }
    text
}
