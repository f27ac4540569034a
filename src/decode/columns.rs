//! Plain payloads (see `shape`) become the columns of `batch`, through arrow-avro.
//!
//! arrow-avro decodes framed messages into columns; each payload is fed behind the header of the one schema it
//! knows. What a payload should be was checked before, so a failure here is a fault of ours or of arrow-avro. It is
//! reported by [`Columns::push`] or [`Columns::finish`], and leaves an empty, usable [`Columns`].

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, FixedSizeBinaryArray, Int32Array, ListArray, MapArray, NullArray, RecordBatch,
    StringArray, StructArray, make_array,
};
use arrow::buffer::{Buffer, NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, Field, Fields, Int32Type, Schema as ArrowSchema};
use arrow::error::ArrowError;
use arrow_avro::codec::Tz;
use arrow_avro::reader::{Decoder, ReaderBuilder};
use arrow_avro::schema::{AvroSchema, Fingerprint, FingerprintAlgorithm, SchemaStore};

use super::shape::{ColumnShape, Shape, entries_field, part_fields, struct_fields};
use crate::avro::CONFLUENT_MAGIC;
use crate::batch::Nulls;

/// The id that the one schema is registered under, and the header that names it.
const SCHEMA_ID: u32 = 1;
const HEADER: [u8; 5] = [CONFLUENT_MAGIC, 0, 0, 0, SCHEMA_ID as u8];
/// A batch is cut by the caller, never by arrow-avro. It counts rows in a `usize` and reserves nothing by this.
const ROWS_MAX: usize = i32::MAX as usize;

/// Collects rows and gives them as columns.
#[derive(Debug)]
pub(super) struct Columns {
    fields: Vec<(String, ColumnShape)>,
    /// The plain schema as JSON: what a decoder is made from.
    plain: String,
    decoder: Decoder,
    rows: usize,
}

impl Columns {
    /// # Errors
    /// arrow-avro refuses the plain schema, which would be a fault of this program.
    pub(super) fn new(fields: Vec<(String, ColumnShape)>) -> Result<Self, ArrowError> {
        let record = ColumnShape { shape: Shape::Struct(fields), nullable: None };
        let plain = record.plain_avro(&mut 0).to_string();
        let Shape::Struct(fields) = record.shape else { unreachable!("made as a struct above") };
        let decoder = new_decoder(&plain)?;
        Ok(Self { fields, plain, decoder, rows: 0 })
    }

    /// The same columns, without rows.
    pub(super) fn another(&self) -> Result<Self, ArrowError> {
        let (fields, plain) = (self.fields.clone(), self.plain.clone());
        Ok(Self { fields, decoder: new_decoder(&plain)?, plain, rows: 0 })
    }

    pub(super) fn fields(&self) -> Fields {
        struct_fields(&self.fields)
    }

    /// The symbols of a column that is an enum.
    pub(super) fn symbols(&self, column: &str) -> Option<&[String]> {
        self.fields.iter().find_map(|(name, expected)| match &expected.shape {
            Shape::Enum(symbols) if name == column => Some(&**symbols),
            _ => None,
        })
    }

    /// What is known of NULL in each column.
    pub(super) fn nulls(&self) -> impl Iterator<Item = Nulls> {
        self.fields.iter().map(|(_, column)| column.nulls())
    }

    /// Adds one row.
    pub(super) fn push(&mut self, payload: &[u8]) -> Result<(), ArrowError> {
        match self.feed(payload) {
            Ok(()) => {
                self.rows += 1;
                Ok(())
            }
            Err(error) => {
                self.reset()?;
                Err(error)
            }
        }
    }

    fn feed(&mut self, payload: &[u8]) -> Result<(), ArrowError> {
        let capacity = self.decoder.capacity();
        let header = self.decoder.decode(&HEADER)?;
        let body = self.decoder.decode(payload)?;
        let rows = capacity - self.decoder.capacity();
        if header != HEADER.len() || body != payload.len() || rows != 1 {
            return Err(ArrowError::AvroError(format!(
                "{rows} rows from {body} of {} bytes, expected one row from all of them",
                payload.len()
            )));
        }
        Ok(())
    }

    /// The columns of all rows pushed since the last call.
    pub(super) fn finish(&mut self) -> Result<Vec<ArrayRef>, ArrowError> {
        let rows = std::mem::take(&mut self.rows);
        match self.flush(rows) {
            Ok(columns) => Ok(columns),
            Err(error) => {
                self.reset()?;
                Err(error)
            }
        }
    }

    fn flush(&mut self, rows: usize) -> Result<Vec<ArrayRef>, ArrowError> {
        let batch = match self.decoder.flush()? {
            Some(batch) => batch,
            None => RecordBatch::new_empty(Arc::new(ArrowSchema::empty())),
        };
        if rows == 0 {
            let fields = self.fields();
            return Ok(fields.iter().map(|field| arrow::array::new_empty_array(field.data_type())).collect());
        }
        if batch.num_rows() != rows || batch.num_columns() != self.fields.len() {
            return Err(ArrowError::AvroError(format!(
                "{} rows of {} columns, expected {rows} of {}",
                batch.num_rows(),
                batch.num_columns(),
                self.fields.len()
            )));
        }
        self.fields
            .iter()
            .zip(batch.columns())
            .map(|((_, expected), column)| relabel(column, expected))
            .collect()
    }

    /// Drops all rows and the decoder, which a failure leaves unusable.
    pub(super) fn reset(&mut self) -> Result<(), ArrowError> {
        self.rows = 0;
        self.decoder = new_decoder(&self.plain)?;
        Ok(())
    }
}

fn new_decoder(plain: &str) -> Result<Decoder, ArrowError> {
    let mut store = SchemaStore::new_with_type(FingerprintAlgorithm::Id);
    store.set(Fingerprint::Id(SCHEMA_ID), AvroSchema::new(plain.to_owned()))?;
    ReaderBuilder::new()
        .with_writer_schema_store(store)
        .with_active_fingerprint(Fingerprint::Id(SCHEMA_ID))
        .with_batch_size(ROWS_MAX)
        .with_tz(Tz::Utc)
        .build_decoder()
}

/// An array made from the plain schema, as the column it represents. Values are shared wherever they are the same.
fn relabel(array: &ArrayRef, expected: &ColumnShape) -> Result<ArrayRef, ArrowError> {
    relabel_within(array, expected, None)
}

/// The same for a part of a record that is null in some rows: the part is null there too. SQL takes a record's
/// field as it is, without a look at the record.
fn relabel_within(
    array: &ArrayRef,
    expected: &ColumnShape,
    record: Option<&NullBuffer>,
) -> Result<ArrayRef, ArrowError> {
    if let Shape::Struct(fields) = &expected.shape {
        let found = array.as_struct_opt().ok_or_else(|| unexpected(array, expected))?;
        let nulls = NullBuffer::union(found.nulls(), record);
        let columns = fields.iter().zip(found.columns());
        let columns = columns.map(|((_, expected), column)| relabel_within(column, expected, nulls.as_ref()));
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        return Ok(Arc::new(StructArray::try_new(part_fields(fields), columns, nulls)?));
    }
    let column = relabel_whole(array, expected)?;
    let Some(record) = record.filter(|nulls| nulls.null_count() > 0) else { return Ok(column) };
    if *column.data_type() == DataType::Null {
        return Ok(column);
    }
    let nulls = NullBuffer::union(column.nulls(), Some(record));
    Ok(make_array(column.to_data().into_builder().nulls(nulls).build()?))
}

fn relabel_whole(array: &ArrayRef, expected: &ColumnShape) -> Result<ArrayRef, ArrowError> {
    match &expected.shape {
        Shape::Null => Ok(Arc::new(NullArray::new(array.len()))),
        Shape::Plain { .. } | Shape::Fixed { .. } => Ok(Arc::clone(array)),
        Shape::UuidText => lower_case(array),
        Shape::UuidFixed => uuid_text(array),
        Shape::Enum(symbols) => symbol_text(array, symbols),
        Shape::List(item) => {
            let list: &ListArray = array.as_list_opt().ok_or_else(|| unexpected(array, expected))?;
            let values = relabel(list.values(), item)?;
            let (offsets, nulls) = (list.offsets().clone(), list.nulls().cloned());
            Ok(Arc::new(ListArray::try_new(item.field("item"), offsets, values, nulls)?))
        }
        Shape::Map(value) => {
            let map: &MapArray = array.as_map_opt().ok_or_else(|| unexpected(array, expected))?;
            let values = relabel(map.values(), value)?;
            let field = entries_field(value);
            let fields =
                Fields::from(vec![Arc::new(Field::new("key", DataType::Utf8, false)), value.field("value")]);
            let entries = StructArray::try_new(fields, vec![Arc::clone(map.keys()), values], None)?;
            let (offsets, nulls) = (map.offsets().clone(), map.nulls().cloned());
            Ok(Arc::new(MapArray::try_new(field, offsets, entries, nulls, false)?))
        }
        Shape::Struct(_) => Err(unexpected(array, expected)),
    }
}

fn lower_case(array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let Some(text) = array.as_string_opt::<i32>() else {
        return Err(ArrowError::CastError(format!("found {} as a uuid", array.data_type())));
    };
    if !text.value_data().iter().any(u8::is_ascii_uppercase) {
        return Ok(Arc::clone(array));
    }
    let mut lower = text.value_data().to_vec();
    lower.make_ascii_lowercase();
    let (offsets, nulls) = (text.offsets().clone(), text.nulls().cloned());
    Ok(Arc::new(StringArray::try_new(offsets, Buffer::from_vec(lower), nulls)?))
}

fn uuid_text(array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    const TEXT_BYTES: usize = 36;
    let Some(uuids) = array.as_any().downcast_ref::<FixedSizeBinaryArray>() else {
        return Err(ArrowError::CastError(format!("found {} as a uuid", array.data_type())));
    };
    text_fits(uuids.len().saturating_mul(TEXT_BYTES))?;
    let mut text = Vec::with_capacity(uuids.len() * TEXT_BYTES);
    for row in 0..uuids.len() {
        for (index, byte) in uuids.value(row).iter().enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) {
                text.push(b'-');
            }
            text.extend([DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
        }
    }
    let offsets = OffsetBuffer::from_repeated_length(TEXT_BYTES, uuids.len());
    Ok(Arc::new(StringArray::try_new(offsets, Buffer::from_vec(text), uuids.nulls().cloned())?))
}

fn symbol_text(array: &ArrayRef, symbols: &[String]) -> Result<ArrayRef, ArrowError> {
    let Some(indices): Option<&Int32Array> = array.as_primitive_opt::<Int32Type>() else {
        return Err(ArrowError::CastError(format!("found {} as an enum", array.data_type())));
    };
    let symbol = |row: usize| {
        if indices.is_null(row) {
            return Ok("");
        }
        let index = indices.value(row);
        let symbol = usize::try_from(index).ok().and_then(|index| symbols.get(index));
        symbol
            .map(String::as_str)
            .ok_or_else(|| ArrowError::AvroError(format!("symbol {index} of an enum of {}", symbols.len())))
    };
    let mut total = 0_usize;
    for row in 0..indices.len() {
        total = total.saturating_add(symbol(row)?.len());
    }
    text_fits(total)?;
    let mut text = Vec::with_capacity(total);
    let mut offsets = Vec::with_capacity(indices.len() + 1);
    offsets.push(0_i32);
    for row in 0..indices.len() {
        text.extend_from_slice(symbol(row)?.as_bytes());
        offsets.push(text.len() as i32);
    }
    let offsets = OffsetBuffer::new(offsets.into());
    Ok(Arc::new(StringArray::try_new(offsets, Buffer::from_vec(text), indices.nulls().cloned())?))
}

/// A column's text is addressed by 32 bits.
fn text_fits(bytes: usize) -> Result<(), ArrowError> {
    match i32::try_from(bytes) {
        Ok(_) => Ok(()),
        Err(_) => Err(ArrowError::OffsetOverflowError(bytes)),
    }
}

fn unexpected(array: &ArrayRef, expected: &ColumnShape) -> ArrowError {
    ArrowError::CastError(format!("found {} where {} is expected", array.data_type(), expected.data_type()))
}
