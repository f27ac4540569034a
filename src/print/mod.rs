//! Rows as text, printed as they come: a table for people, JSON lines or CSV for programs.
//!
//! The widths of a table follow from its first rows; on a terminal it is made to fit: texts that are too wide are cut
//! with an ellipsis, numbers never are, and where that does not suffice each row is printed as a record.

pub(crate) mod cell;
mod screen;

pub use screen::Screen;
pub(crate) use screen::takes_colours;

use std::io::{self, Write};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{Schema, SchemaRef};
use arrow::error::ArrowError;
use clap::ValueEnum;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::database::json;

/// Rows that are looked at before the first is printed.
const MEASURED_ROWS_MAX: usize = 1000;
/// A text column is not made narrower than this.
const TEXT_WIDTH_MIN: usize = 8;
const SEPARATOR: &str = " | ";

/// How rows are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Table,
    Json,
    Csv,
}

impl Format {
    /// The format of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::from_str(name, false).ok()
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::Json => "json",
            Self::Csv => "csv",
        }
    }
}

/// When each row is printed as a record, one value a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Records {
    Always,
    Never,
    /// If a table does not fit the line.
    #[default]
    IfTooWide,
}

/// What a table is printed for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// The characters in a line of the terminal; `None`: as many as it takes.
    pub width: Option<usize>,
    pub colours: bool,
    pub records: Records,
}

/// What is marked in rows that are printed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    /// The first column holds `+` and `-`, which the rows are coloured by.
    pub marks: bool,
    /// For each row the places of its columns that have changed; rows without an entry have none.
    pub cells: Vec<Vec<usize>>,
}

impl Changes {
    fn has(&self, row: usize, column: usize) -> bool {
        self.cells.get(row).is_some_and(|columns| columns.contains(&column))
    }
}

/// The mark before a cell that has changed.
const CHANGED: char = '*';

/// Prints the rows of one answer.
pub struct Printer {
    format: Format,
    look: Look,
    changes: Changes,
    schema: SchemaRef,
    rows: usize,
    /// Whether the number of rows is printed below a table.
    counts: bool,
    /// Rows of a table that wait for its layout.
    pending: Vec<RecordBatch>,
    layout: Option<Layout>,
}

enum Layout {
    /// With these widths.
    Table(Vec<usize>),
    /// One row below the other, with the width of the names.
    Records(usize),
}

impl Printer {
    pub fn new(schema: SchemaRef, format: Format, look: Look) -> Self {
        let (changes, pending) = (Changes::default(), Vec::new());
        Self { format, look, changes, schema, rows: 0, counts: true, pending, layout: None }
    }

    /// Leaves out the number of rows below a table.
    pub(crate) fn without_count(self) -> Self {
        Self { counts: false, ..self }
    }

    /// Marks what has changed.
    pub(crate) fn marking(self, changes: Changes) -> Self {
        Self { changes, ..self }
    }

    /// Prints rows, or keeps them until enough are there to know the widths.
    ///
    /// # Errors
    /// The rows cannot be written.
    pub fn write(&mut self, out: &mut dyn Write, batch: &RecordBatch) -> io::Result<()> {
        match self.format {
            Format::Json => {
                let mut lines = String::new();
                (0..batch.num_rows()).for_each(|row| json::write_message(&mut lines, batch, row));
                self.rows += batch.num_rows();
                out.write_all(lines.as_bytes())
            }
            Format::Csv => {
                let is_first = self.rows == 0 && self.layout.is_none();
                self.layout = Some(Layout::Records(0));
                let mut lines = if is_first { csv_head(&self.schema) } else { String::new() };
                csv_rows(&mut lines, batch);
                self.rows += batch.num_rows();
                out.write_all(lines.as_bytes())
            }
            Format::Table => match self.layout {
                Some(_) => self.rows_of_table(out, batch),
                None => {
                    self.pending.push(batch.clone());
                    let waiting: usize = self.pending.iter().map(RecordBatch::num_rows).sum();
                    if waiting >= MEASURED_ROWS_MAX { self.begin_table(out) } else { Ok(()) }
                }
            },
        }
    }

    /// Prints what is left, and says how many rows there were.
    ///
    /// # Errors
    /// The rows cannot be written.
    pub fn finish(mut self, out: &mut dyn Write) -> io::Result<usize> {
        match self.format {
            Format::Json => {}
            Format::Csv => {
                if self.layout.is_none() {
                    out.write_all(csv_head(&self.schema).as_bytes())?;
                }
            }
            Format::Table => {
                if self.layout.is_none() {
                    self.begin_table(out)?;
                }
                if self.counts {
                    let rows = if self.rows == 1 { "row" } else { "rows" };
                    writeln!(out, "({} {rows})", self.rows)?;
                }
            }
        }
        out.flush()?;
        Ok(self.rows)
    }

    fn begin_table(&mut self, out: &mut dyn Write) -> io::Result<()> {
        let pending = std::mem::take(&mut self.pending);
        let layout = match self.widths(&pending) {
            Some(widths) => {
                self.head(out, &widths)?;
                Layout::Table(widths)
            }
            None => {
                let names = self.schema.fields().iter().map(|field| field.name().width());
                Layout::Records(names.max().unwrap_or(0))
            }
        };
        self.layout = Some(layout);
        pending.iter().try_for_each(|batch| self.rows_of_table(out, batch))
    }

    /// The widths of the columns of a table; `None` if the rows are printed as records.
    fn widths(&self, pending: &[RecordBatch]) -> Option<Vec<usize>> {
        if self.look.records == Records::Always {
            return None;
        }
        let widths = self.measured(pending);
        let Some(line_max) = self.look.width else { return Some(widths) };
        let fitted = fitted(&self.schema, &widths, line_max);
        if self.look.records == Records::Never { fitted.or(Some(widths)) } else { fitted }
    }

    /// The width that each column needs for its name and these first rows.
    fn measured(&self, batches: &[RecordBatch]) -> Vec<usize> {
        let mut widths: Vec<usize> = self.schema.fields().iter().map(|field| field.name().width()).collect();
        let (mut text, mut before) = (String::new(), 0);
        for batch in batches {
            for (column, width) in widths.iter_mut().enumerate() {
                for row in 0..batch.num_rows() {
                    self.cell(&mut text, batch, row, column, before + row);
                    *width = (*width).max(text.width());
                }
            }
            before += batch.num_rows();
        }
        widths
    }

    /// Writes a cell with its mark; true if it is NULL. `place` is the row's place among all.
    fn cell(&self, text: &mut String, batch: &RecordBatch, row: usize, column: usize, place: usize) -> bool {
        text.clear();
        if self.changes.has(place, column) {
            text.push(CHANGED);
        }
        cell::write(text, batch.column(column), row)
    }

    fn head(&self, out: &mut dyn Write, widths: &[usize]) -> io::Result<()> {
        let mut line = String::new();
        for (index, (field, width)) in self.schema.fields().iter().zip(widths).enumerate() {
            line.push_str(if index == 0 { " " } else { SEPARATOR });
            let name = cut(field.name(), *width);
            pad(&mut line, &name, *width, cell::is_number(field.data_type()), &self.bold(&name));
        }
        writeln!(out, "{}", line.trim_end())?;
        let rules: Vec<String> = widths.iter().map(|width| "-".repeat(width + 2)).collect();
        writeln!(out, "{}", rules.join("+"))
    }

    fn rows_of_table(&mut self, out: &mut dyn Write, batch: &RecordBatch) -> io::Result<()> {
        let mut lines = String::new();
        for row in 0..batch.num_rows() {
            self.rows += 1;
            match &self.layout {
                Some(Layout::Records(width)) => self.record(&mut lines, batch, row, *width),
                Some(Layout::Table(widths)) => self.line(&mut lines, batch, row, widths),
                None => {}
            }
        }
        out.write_all(lines.as_bytes())
    }

    fn line(&self, lines: &mut String, batch: &RecordBatch, row: usize, widths: &[usize]) {
        let mut line = String::new();
        let mut text = String::new();
        let mark = (self.changes.marks && self.look.colours).then(|| mark(batch, row)).flatten();
        for (index, (column, width)) in batch.columns().iter().zip(widths).enumerate() {
            line.push_str(if index == 0 { " " } else { SEPARATOR });
            let is_null = self.cell(&mut text, batch, row, index, self.rows - 1);
            let is_number = cell::is_number(column.data_type());
            let shown = if is_number { text.clone() } else { cut(&text, *width) };
            let coloured = match mark {
                _ if is_null => self.dim(&shown),
                // Bold, and then the row's colour again.
                Some(colour) if self.changes.has(self.rows - 1, index) => {
                    format!("\x1b[1m{shown}\x1b[0;{colour}m")
                }
                _ => shown.clone(),
            };
            pad(&mut line, &shown, *width, is_number, &coloured);
        }
        match mark {
            Some(colour) => lines.push_str(&format!("\x1b[{colour}m{}\x1b[0m", line.trim_end())),
            None => lines.push_str(line.trim_end()),
        }
        lines.push('\n');
    }

    fn record(&self, lines: &mut String, batch: &RecordBatch, row: usize, names_width: usize) {
        let rule = format!("-[ row {} ]", self.rows);
        let fill = self.look.width.unwrap_or(rule.len()).saturating_sub(rule.len()).min(40);
        lines.push_str(&format!("{rule}{}\n", "-".repeat(fill)));
        for (index, field) in batch.schema_ref().fields().iter().enumerate() {
            let mut text = String::new();
            let is_null = self.cell(&mut text, batch, row, index, self.rows - 1);
            let text = if is_null { self.dim(&text) } else { text };
            pad(lines, field.name(), names_width, false, &self.bold(field.name()));
            lines.push_str(SEPARATOR);
            lines.push_str(&text);
            lines.push('\n');
        }
    }

    fn bold(&self, text: &str) -> String {
        if self.look.colours { format!("\x1b[1m{text}\x1b[0m") } else { text.to_owned() }
    }

    fn dim(&self, text: &str) -> String {
        if self.look.colours { format!("\x1b[2m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// A table of the program's own, as text: a few rows, and no count below them.
///
/// # Errors
/// Columns that differ in length.
pub(crate) fn table<'n>(
    columns: impl IntoIterator<Item = (&'n str, ArrayRef)>,
    look: Look,
) -> Result<String, ArrowError> {
    let columns = columns.into_iter().map(|(name, column)| (name, column, true));
    let rows = RecordBatch::try_from_iter_with_nullable(columns)?;
    let mut text = Vec::new();
    let mut printer = Printer::new(rows.schema(), Format::Table, look).without_count();
    printer.write(&mut text, &rows)?;
    printer.finish(&mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// A column of texts.
pub(crate) fn texts<T: Into<String>>(texts: impl IntoIterator<Item = Option<T>>) -> ArrayRef {
    Arc::new(StringArray::from_iter(texts.into_iter().map(|text| text.map(Into::into))))
}

/// A column of numbers.
pub(crate) fn numbers(numbers: impl IntoIterator<Item = Option<i64>>) -> ArrayRef {
    Arc::new(Int64Array::from_iter(numbers))
}

/// The plans that EXPLAIN gives, each below its name.
///
/// # Errors
/// The rows cannot be written.
pub fn write_plans(out: &mut dyn Write, batch: &RecordBatch) -> io::Result<()> {
    for row in 0..batch.num_rows() {
        for column in batch.columns() {
            let text = column.as_string_opt::<i32>().map_or("", |texts| texts.value(row));
            let end = if column.data_type() == batch.column(0).data_type() { "\n" } else { "" };
            write!(out, "{}{end}", text.trim_end())?;
        }
    }
    Ok(())
}

fn mark(batch: &RecordBatch, row: usize) -> Option<u8> {
    match batch.column(0).as_string_opt::<i32>()?.value(row) {
        "+" => Some(32),
        "-" => Some(31),
        _ => None,
    }
}

/// The widths with which a table fits into a line; `None` where it cannot.
fn fitted(schema: &Schema, widths: &[usize], line_max: usize) -> Option<Vec<usize>> {
    let mut widths = widths.to_vec();
    let frame = 2 + SEPARATOR.len() * widths.len().saturating_sub(1);
    loop {
        let excess = (widths.iter().sum::<usize>() + frame).saturating_sub(line_max);
        if excess == 0 {
            return Some(widths);
        }
        let is_text = |index: &usize| !cell::is_number(schema.field(*index).data_type());
        let texts = (0..widths.len()).filter(is_text).filter(|index| widths[*index] > TEXT_WIDTH_MIN);
        // The widest gives way until it is as wide as the next.
        let mut sorted: Vec<usize> = texts.collect();
        sorted.sort_by_key(|index| std::cmp::Reverse(widths[*index]));
        let (widest, next) = (*sorted.first()?, sorted.get(1).map_or(TEXT_WIDTH_MIN, |next| widths[*next]));
        let by = (widths[widest] - next).max(1).min(excess).min(widths[widest] - TEXT_WIDTH_MIN);
        widths[widest] -= by;
    }
}

/// The text, cut to a width where it is wider.
pub(crate) fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let (mut kept, mut used) = (String::new(), 0);
    for character in text.chars() {
        let wide = character.width().unwrap_or(0);
        if used + wide + 1 > width {
            break;
        }
        used += wide;
        kept.push(character);
    }
    kept.push('…');
    kept
}

/// Appends `coloured`, which looks like `text`, with blanks up to the width.
fn pad(line: &mut String, text: &str, width: usize, is_right: bool, coloured: &str) {
    let blanks = " ".repeat(width.saturating_sub(text.width()));
    if is_right {
        line.push_str(&blanks);
        line.push_str(coloured);
    } else {
        line.push_str(coloured);
        line.push_str(&blanks);
    }
}

/// The names of the columns, as the first line of CSV.
pub(crate) fn csv_head(schema: &Schema) -> String {
    let mut line = String::new();
    for (index, field) in schema.fields().iter().enumerate() {
        if index > 0 {
            line.push(',');
        }
        csv_field(&mut line, field.name());
    }
    line.push('\n');
    line
}

/// Appends rows as lines of CSV.
pub(crate) fn csv_rows(lines: &mut String, batch: &RecordBatch) {
    (0..batch.num_rows()).for_each(|row| csv_row(lines, batch, row));
}

/// One row of CSV as RFC 4180 has it. NULL is nothing, an empty text is `""`.
fn csv_row(lines: &mut String, batch: &RecordBatch, row: usize) {
    let mut text = String::new();
    for (index, column) in batch.columns().iter().enumerate() {
        if index > 0 {
            lines.push(',');
        }
        text.clear();
        cell::plain(&mut text, column, row);
        match text.as_str() {
            "" if !cell::is_null(column, row) => lines.push_str("\"\""),
            text => csv_field(lines, text),
        }
    }
    lines.push('\n');
}

fn csv_field(line: &mut String, text: &str) {
    if text.contains(['"', ',', '\n', '\r']) {
        line.push('"');
        line.push_str(&text.replace('"', "\"\""));
        line.push('"');
    } else {
        line.push_str(text);
    }
}

#[cfg(test)]
mod tests;
