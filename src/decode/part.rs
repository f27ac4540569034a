//! A part of each message that is Avro, its payload or its key, as columns.
//!
//! Bytes pass two steps: [`AvroPart::check`] walks them by the schema that they were written with, and turns them into the
//! reader's form; [`AvroPart::push`] makes a row of what was checked. So a message is judged as a whole before it has a row.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use arrow::array::ArrayRef;
use arrow::datatypes::Fields;
use arrow::error::ArrowError;

use super::check::{Checked, Cursor};
use super::columns::Columns;
use super::kafka::KEY;
use super::plan::{self, ValueStep};
use super::rewrite::Rewriter;
use super::shape::{ColumnShape, Shape};
use super::side::Side;
use super::writers::{Writer, WriterSchema, Writers};
use crate::avro::{Schema, SchemaError, SchemaId};
use crate::batch::{Messages, Nulls};
use crate::diagnostic::Finding;

/// Checks the bytes of one part, collects them, and returns them as columns.
#[derive(Debug)]
pub(super) struct AvroPart {
    side: Side,
    pub writers: Writers,
    reader: Arc<Schema>,
    columns: Columns,
    rewriter: Rewriter,
    /// What was checked last, rewritten.
    rewritten: Vec<u8>,
    /// What a row takes in columns, besides the bytes of texts and the items of arrays.
    row_width: usize,
}

/// Bytes that were checked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Accepted {
    row: Row,
    /// What they take in columns.
    pub taken: usize,
}

#[derive(Clone, Copy, Debug)]
enum Row {
    /// The bytes from here on, as they were written.
    From(usize),
    /// What they were rewritten to.
    Rewritten,
}

impl AvroPart {
    /// # Errors
    /// A type has no column, or a value takes no byte.
    pub fn new(side: Side, reader: &Schema, writers: Writers) -> Result<Self, SchemaError> {
        if reader.bytes_min(reader.root()) == 0 {
            let message = match side {
                Side::Payload => "no field takes a byte, so a message cannot be told from an empty payload",
                Side::Key => "it takes no byte, so a key cannot be told from an empty one",
            };
            return Err(SchemaError::new(reader.file(), "", message));
        }
        let shape = ColumnShape::of(reader, reader.root(), "")?;
        let fields = match (side, shape) {
            (Side::Payload, ColumnShape { shape: Shape::Struct(fields), .. }) => fields,
            // A record of one field has the bytes of the field.
            (_, shape) => vec![(KEY.to_owned(), shape)],
        };
        let columns = Columns::new(fields).map_err(|error| {
            SchemaError::new(reader.file(), "", format!("arrow-avro cannot read it: {error}"))
        })?;
        Ok(Self {
            side,
            writers,
            reader: Arc::new(reader.clone()),
            columns,
            rewriter: Rewriter::new(side.schema_key()),
            rewritten: Vec::new(),
            row_width: plan::column_width(reader, reader.root()),
        })
    }

    /// The same, without rows.
    ///
    /// # Errors
    /// arrow-avro refuses a schema that it accepted before.
    pub fn another(&self) -> Result<Self, ArrowError> {
        Ok(Self {
            side: self.side,
            writers: self.writers.clone(),
            reader: Arc::clone(&self.reader),
            columns: self.columns.another()?,
            rewriter: Rewriter::new(self.side.schema_key()),
            rewritten: Vec::new(),
            row_width: self.row_width,
        })
    }

    pub fn fields(&self) -> Fields {
        self.columns.fields()
    }

    /// As [`Columns::symbols`].
    pub fn symbols(&self, column: &str) -> Option<&[String]> {
        self.columns.symbols(column)
    }

    /// As [`Columns::nulls`].
    pub fn nulls(&self) -> impl Iterator<Item = Nulls> {
        self.columns.nulls()
    }

    pub fn row_width(&self) -> usize {
        self.row_width
    }

    /// Whether what was written with this schema can be read.
    ///
    /// # Errors
    /// The field that cannot be resolved, and why.
    pub fn can_read(&self, writer: &Schema) -> Result<(), SchemaError> {
        self.side.plan(writer, &self.reader).map(drop)
    }

    /// As [`Writers::unknown`].
    pub fn unknown(&self, messages: &Messages, asked_before: Option<Instant>) -> Vec<(usize, SchemaId)> {
        self.writers.unknown(self.side, messages, asked_before)
    }

    /// As [`Writers::first_of`].
    pub fn first_of(&self, messages: &Messages, ids: &HashSet<SchemaId>) -> Vec<(usize, SchemaId)> {
        self.writers.first_of(self.side, messages, ids)
    }

    /// Reads what this id names from here on by what a registry says.
    pub fn learn(&mut self, id: SchemaId, schema: &WriterSchema) {
        let writer = match schema {
            WriterSchema::Text(text) => {
                let planned = Schema::parse(text, &format!("schema {id} of the registry"));
                match planned.and_then(|writer| self.side.plan(&writer, &self.reader)) {
                    Ok(step) => Writer::ValueStep(step),
                    Err(error) => Writer::Unusable(error.found()),
                }
            }
            WriterSchema::Unusable(reason) => Writer::Unusable(reason.clone()),
            WriterSchema::Unknown { reason, asked_at } => {
                let reason = Finding::new(format!("the registry does not know schema id {id}: {reason}"));
                Writer::Unknown { reason, asked_at: *asked_at }
            }
        };
        self.writers.learn(id, writer);
    }

    /// Checks the bytes of one message.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn check(&mut self, bytes: &[u8], headers: &[(String, Option<Vec<u8>>)]) -> Checked<Accepted> {
        let (header_bytes, step) = self.writers.find(self.side, bytes, headers)?;
        let mut cursor = Cursor::new(self.side.word(), bytes, header_bytes);
        let (row, length) = match step {
            ValueStep::Copy(op) => {
                op.check(&mut cursor)?;
                (Row::From(header_bytes), bytes.len() - header_bytes)
            }
            step => {
                self.rewritten.clear();
                self.rewriter.rewrite(step, &mut cursor, &mut self.rewritten)?;
                (Row::Rewritten, self.rewritten.len())
            }
        };
        cursor.finish()?;
        let taken = length.saturating_add(self.row_width).saturating_add(cursor.item_width());
        Ok(Accepted { row, taken })
    }

    /// Adds a row: the bytes that were checked last.
    ///
    /// # Errors
    /// arrow-avro refuses what was checked. The rows so far are lost.
    pub fn push(&mut self, bytes: &[u8], accepted: Accepted) -> Result<(), ArrowError> {
        match accepted.row {
            Row::From(start) => self.columns.push(&bytes[start..]),
            Row::Rewritten => self.columns.push(&self.rewritten),
        }
    }

    /// The columns of all rows since the last call.
    ///
    /// # Errors
    /// As [`AvroPart::push`].
    pub fn finish(&mut self) -> Result<Vec<ArrayRef>, ArrowError> {
        self.columns.finish()
    }

    /// Drops all rows.
    ///
    /// # Errors
    /// As [`AvroPart::another`].
    pub fn reset(&mut self) -> Result<(), ArrowError> {
        self.columns.reset()
    }
}
