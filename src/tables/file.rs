//! A reference table in a file: CSV or NDJSON, read whole, with types found from all of its values when it is
//! opened. When the file is read again its columns keep the types they had, because plans were made for them.

use std::fs::{self, File};
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::concat_batches;
use arrow::csv;
use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};
use arrow::json;

use super::text::{TextType, text_column};
use crate::diagnostic::Finding;

/// Rows read at once.
const READ_ROWS: usize = 8192;

/// What separates values in the files of people whose comma is a decimal point, or of other programs.
const DELIMITERS: [char; 4] = [';', '\t', '|', ','];

/// Where the rows are and how they are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TableFile {
    pub(super) path: PathBuf,
    pub(super) format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Csv { delimiter: u8 },
    Json,
}

/// What tells one state of a file from another without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    modified: Option<SystemTime>,
    length: u64,
}

/// A file as it was at one moment.
#[derive(Clone, Debug)]
pub(super) struct Loaded {
    pub(super) rows: RecordBatch,
    pub(super) stamp: Stamp,
    /// The line that each row starts in, from 1.
    pub(super) lines: Lines,
}

#[derive(Clone, Debug)]
pub(super) enum Lines {
    /// One row in each line, the first in this one.
    From(usize),
    Listed(Vec<u32>),
}

/// Why a file cannot be used, and the line where that shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FileFault {
    pub(super) line: Option<usize>,
    pub(super) found: Finding,
    /// Reading failed, whatever the file holds: the same file may be in order when it is read again.
    pub(super) may_pass: bool,
}

impl FileFault {
    /// A fault of what the file holds.
    pub(super) fn at(line: Option<usize>, message: impl Into<String>) -> Self {
        Self { line, found: Finding::new(message), may_pass: false }
    }

    /// A fault of reading.
    pub(super) fn passing(message: impl Into<String>) -> Self {
        Self { may_pass: true, ..Self::at(None, message) }
    }

    fn with_hint(self, hint: impl Into<String>) -> Self {
        Self { found: self.found.with_hint(hint), ..self }
    }
}

impl Lines {
    pub(super) fn of(&self, row: usize) -> usize {
        match self {
            Self::From(first) => first + row,
            Self::Listed(lines) => lines.get(row).map_or(0, |line| *line as usize),
        }
    }
}

impl TableFile {
    /// The format follows from the file's ending; `delimiter` is for CSV.
    pub(super) fn new(path: &Path, delimiter: u8) -> Self {
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        let format = match ending.to_ascii_lowercase().as_str() {
            "json" | "jsonl" | "ndjson" => Format::Json,
            _ => Format::Csv { delimiter },
        };
        Self { path: path.to_owned(), format }
    }

    pub(super) fn stamp(&self) -> Result<Stamp, FileFault> {
        let metadata = fs::metadata(&self.path).map_err(|error| cannot_read(&error))?;
        Ok(Stamp { modified: metadata.modified().ok(), length: metadata.len() })
    }

    /// Reads the whole file. `schema` is what its columns were when it was opened, if it was.
    pub(super) fn load(&self, schema: Option<&SchemaRef>, bytes_max: usize) -> Result<Loaded, FileFault> {
        let stamp = self.stamp()?;
        if stamp.length > bytes_max as u64 {
            return Err(too_large(stamp.length, bytes_max));
        }
        let mut bytes = Vec::with_capacity(usize::try_from(stamp.length).unwrap_or(0));
        let file = File::open(&self.path).map_err(|error| cannot_read(&error))?;
        // One byte more than allowed tells a file that has grown since.
        let limit = bytes_max as u64 + 1;
        file.take(limit).read_to_end(&mut bytes).map_err(|error| cannot_read(&error))?;
        if bytes.len() > bytes_max {
            return Err(too_large(bytes.len() as u64, bytes_max));
        }
        if self.stamp()? != stamp {
            return Err(FileFault::passing("the file was written to while it was read")
                .with_hint("write to another name, then rename: a reader sees the old file or the new one"));
        }
        let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
        let (rows, lines) = match self.format {
            Format::Csv { delimiter } => read_csv(text, delimiter, schema)?,
            Format::Json => read_json(text, schema)?,
        };
        let held = rows.get_array_memory_size();
        if held > bytes_max {
            return Err(too_large(held as u64, bytes_max));
        }
        Ok(Loaded { rows, stamp, lines })
    }
}

fn cannot_read(error: &std::io::Error) -> FileFault {
    FileFault::passing(format!("cannot read the file: {error}"))
}

pub(super) fn too_large(found: u64, bytes_max: usize) -> FileFault {
    let message = format!("{found} bytes, but `memory_max` leaves {bytes_max} for reference tables");
    FileFault::at(None, message)
        .with_hint("put it in the database, and give `table:` in place of `file:`: then only the keys of a batch are fetched")
}

fn read_csv(
    text: &[u8],
    delimiter: u8,
    schema: Option<&SchemaRef>,
) -> Result<(RecordBatch, Lines), FileFault> {
    let names = csv_header(text, delimiter)?;
    let fields: Fields = names.iter().map(|name| Field::new(name, DataType::Utf8, true)).collect();
    let as_text = Arc::new(Schema::new(fields));
    let reader = csv::ReaderBuilder::new(Arc::clone(&as_text))
        .with_header(true)
        .with_delimiter(delimiter)
        .with_batch_size(READ_ROWS)
        .build(Cursor::new(text))
        .map_err(|error| FileFault::at(None, lower(&error.to_string())))?;
    let batches: Result<Vec<RecordBatch>, _> = reader.collect();
    let batches = batches.map_err(|error| csv_fault(&error.to_string()))?;
    let rows = concat_batches(&as_text, &batches).map_err(|error| FileFault::at(None, error.to_string()))?;
    let lines = csv_lines(text);
    let mut columns = Vec::new();
    let wanted = schema.map_or_else(|| rows.schema().fields().clone(), |schema| schema.fields().clone());
    let mut fields = Vec::new();
    for field in &wanted {
        let Some(column) = rows.column_by_name(field.name()).and_then(text_column) else {
            return Err(FileFault::at(Some(1), format!("the column `{}` is gone", field.name()))
                .with_hint("views were planned with it; restart the job to plan them again"));
        };
        let kind = if schema.is_some() { TextType::of(field.data_type()) } else { TextType::infer(column) };
        let values =
            kind.parse(column).map_err(|row| strange_value(field, kind, column.value(row), lines.of(row)))?;
        fields.push(Field::new(field.name(), kind.arrow(), true));
        columns.push(values);
    }
    Ok((batch(fields, columns, rows.num_rows())?, lines))
}

fn strange_value(field: &Field, kind: TextType, value: &str, line: usize) -> FileFault {
    let message = format!("`{}` is `{value}`, expected {}", field.name(), kind.name());
    FileFault::at(Some(line), message)
        .with_hint("the column had that type when the job started; restart it to use the new types")
}

fn csv_header(text: &[u8], delimiter: u8) -> Result<Vec<String>, FileFault> {
    let format = csv::reader::Format::default().with_header(true).with_delimiter(delimiter);
    let (schema, _) =
        format.infer_schema(Cursor::new(text), Some(0)).map_err(|error| csv_fault(&error.to_string()))?;
    let names: Vec<String> = schema.fields().iter().map(|field| field.name().clone()).collect();
    if let [name] = names.as_slice()
        && let Some(found) = DELIMITERS.iter().find(|other| name.contains(**other))
        && u32::from(delimiter) != u32::from(*found)
    {
        let message = format!("one column, called `{name}`: the delimiter seems to be {found:?}");
        let hint = format!("give `delimiter: {found:?}` with the table");
        return Err(FileFault::at(Some(1), message).with_hint(hint));
    }
    if names.iter().all(String::is_empty) {
        return Err(FileFault::at(Some(1), "no header: the first line names the columns"));
    }
    for (index, name) in names.iter().enumerate() {
        if name.is_empty() {
            return Err(FileFault::at(Some(1), format!("column {} of the header has no name", index + 1)));
        }
        if names[..index].contains(name) {
            return Err(FileFault::at(Some(1), format!("two columns are called `{name}`")));
        }
    }
    Ok(names)
}

/// The reader's error as ours: `incorrect number of fields for line 3, expected 6 got 5`.
fn csv_fault(message: &str) -> FileFault {
    let message = message.trim_start_matches("Csv error: ").trim_start_matches("Encountered ");
    let line = message.split_once("line ").and_then(|(_, rest)| {
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().ok()
    });
    FileFault::at(line, lower(message))
}

/// The line each record starts in: a quoted value may hold line breaks, and empty lines are no records.
fn csv_lines(text: &[u8]) -> Lines {
    let breaks = text.iter().filter(|byte| **byte == b'\n').count();
    let mut lines = Vec::with_capacity(breaks);
    let (mut line, mut start, mut is_quoted, mut is_empty) = (1_u32, 1_u32, false, true);
    for byte in text {
        match byte {
            b'\n' if !is_quoted => {
                if !is_empty {
                    lines.push(start);
                }
                line += 1;
                start = line;
                is_empty = true;
            }
            b'\n' => line += 1,
            b'\r' => {}
            byte => {
                is_quoted ^= *byte == b'"';
                is_empty = false;
            }
        }
    }
    if !is_empty {
        lines.push(start);
    }
    // The first record is the header.
    let records = lines.split_off(1.min(lines.len()));
    if records.iter().zip(2..).all(|(line, expected)| *line == expected) {
        return Lines::From(2);
    }
    Lines::Listed(records)
}

fn read_json(text: &[u8], schema: Option<&SchemaRef>) -> Result<(RecordBatch, Lines), FileFault> {
    let first = text.iter().find(|byte| !byte.is_ascii_whitespace());
    if first == Some(&b'[') {
        return Err(FileFault::at(Some(1), "an array, expected one object per line (NDJSON)")
            .with_hint("`jq -c '.[]' file.json` writes it so"));
    }
    let lines = Lines::Listed(json_lines(text));
    let inferred = match schema {
        Some(schema) => Arc::clone(schema),
        None => {
            let (inferred, _) = json::reader::infer_json_schema(Cursor::new(text), None)
                .map_err(|error| json_fault(text, None, &error.to_string()))?;
            Arc::new(inferred)
        }
    };
    if inferred.fields().is_empty() {
        return Err(FileFault::at(None, "no rows, so no columns are known"));
    }
    // Dates and timestamps are read as text, so that a strange one can be named.
    let is_temporal =
        |kind: &DataType| matches!(kind, DataType::Date32 | DataType::Timestamp(..) | DataType::Null);
    let as_read = |field: &Arc<Field>| {
        let kind = if is_temporal(field.data_type()) { DataType::Utf8 } else { field.data_type().clone() };
        Field::new(field.name(), kind, true)
    };
    let read: SchemaRef = Arc::new(Schema::new(inferred.fields().iter().map(as_read).collect::<Fields>()));
    let reader =
        json::ReaderBuilder::new(Arc::clone(&read)).with_batch_size(READ_ROWS).build(Cursor::new(text));
    let batches: Result<Vec<RecordBatch>, _> = reader.and_then(Iterator::collect);
    let batches = batches.map_err(|error| json_fault(text, Some(&read), &error.to_string()))?;
    let rows = concat_batches(&read, &batches).map_err(|error| FileFault::at(None, error.to_string()))?;
    let (mut fields, mut columns) = (Vec::new(), Vec::new());
    for (index, column) in rows.columns().iter().enumerate() {
        let planned = inferred.field(index);
        let kind = text_column(column).map(|text| match schema {
            Some(_) => (text, TextType::of(planned.data_type())),
            None => (text, TextType::infer_quoted(text)),
        });
        let Some((text, kind)) = kind else {
            fields.push(read.field(index).clone());
            columns.push(Arc::clone(column));
            continue;
        };
        let values =
            kind.parse(text).map_err(|row| strange_value(planned, kind, text.value(row), lines.of(row)))?;
        fields.push(Field::new(planned.name(), kind.arrow(), true));
        columns.push(values);
    }
    Ok((batch(fields, columns, rows.num_rows())?, lines))
}

/// The lines that hold something.
fn json_lines(text: &[u8]) -> Vec<u32> {
    let lines = text.split(|byte| *byte == b'\n').zip(1..);
    lines.filter(|(line, _)| !line.trim_ascii().is_empty()).map(|(_, number)| number).collect()
}

/// The first line that cannot be read alone, which the reader's error does not name.
fn json_fault(text: &[u8], schema: Option<&SchemaRef>, message: &str) -> FileFault {
    for (line, number) in text.split(|byte| *byte == b'\n').zip(1..) {
        if line.trim_ascii().is_empty() {
            continue;
        }
        match serde_json::from_slice::<serde_json::Value>(line) {
            Err(error) => return FileFault::at(Some(number), format!("no JSON: {error}")),
            Ok(serde_json::Value::Object(_)) => {}
            Ok(_) => return FileFault::at(Some(number), "no object, expected one a line"),
        }
        let Some(schema) = schema else { continue };
        let reader = json::ReaderBuilder::new(Arc::clone(schema)).build(Cursor::new(line));
        let read: Result<Vec<RecordBatch>, _> = reader.and_then(Iterator::collect);
        if let Err(error) = read {
            return FileFault::at(Some(number), lower(error.to_string().trim_start_matches("Json error: ")));
        }
    }
    FileFault::at(None, lower(message.trim_start_matches("Json error: ")))
}

fn batch(fields: Vec<Field>, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch, FileFault> {
    let schema = Arc::new(Schema::new(fields));
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(schema, columns, &options)
        .map_err(|error| FileFault::at(None, error.to_string()))
}

fn lower(message: &str) -> String {
    let mut chars = message.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}
