//! Rows as a file, written as they come: Arrow IPC, JSON lines or CSV, by the ending of its name. The file is whole or
//! not there: rows go to a file beside it, which takes its name at the end.

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use arrow::ipc::writer::FileWriter;

use super::refusal::Refusal;
use crate::database::json;
use crate::diagnostic::Finding;
use crate::print::{csv_head, csv_rows};

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
#[error("{}: {found}", file.display())]
pub(super) struct FileError {
    file: PathBuf,
    found: Finding,
}

impl FileError {
    pub fn new(file: &Path, found: impl Into<Finding>) -> Self {
        Self { file: file.to_owned(), found: found.into() }
    }
}

impl From<FileError> for Refusal {
    fn from(FileError { file, found }: FileError) -> Self {
        Self::Found(found.within(file.display()))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Arrow,
    JsonLines,
    Csv,
}

/// What a file of this name holds.
///
/// # Errors
/// Another ending.
pub(super) fn kind_of(file: &Path) -> Result<Kind, FileError> {
    match file.extension().and_then(|ending| ending.to_str()) {
        Some("arrow" | "ipc") => Ok(Kind::Arrow),
        Some("jsonl" | "ndjson") => Ok(Kind::JsonLines),
        Some("csv") => Ok(Kind::Csv),
        _ => {
            let found = Finding::new("the ending of the name says what the file holds");
            Err(FileError::new(file, found.with_hint("call it NAME.arrow, NAME.jsonl or NAME.csv")))
        }
    }
}

/// A file that is being written. Dropped before its end, it is not there.
pub(super) struct RowsFile {
    file: PathBuf,
    unfinished: PathBuf,
    /// `None` once it is finished.
    sink: Option<Sink>,
}

enum Sink {
    Arrow(Box<FileWriter<BufWriter<File>>>),
    Text(Kind, BufWriter<File>),
}

impl RowsFile {
    /// Starts a file for rows with these columns.
    ///
    /// # Errors
    /// An ending that says no kind, a file that cannot be written.
    pub fn create(file: &Path, schema: &Schema) -> Result<Self, FileError> {
        let kind = kind_of(file)?;
        let unfinished = file.with_extension("unfinished");
        let out = File::create(&unfinished).map_err(|error| cannot_be_written(file, &error))?;
        let mut created = Self { file: file.to_owned(), unfinished, sink: None };
        let mut out = BufWriter::new(out);
        created.sink = Some(match kind {
            Kind::Arrow => {
                let writer = FileWriter::try_new(out, schema);
                Sink::Arrow(Box::new(writer.map_err(|error| cannot_be_written(file, &error))?))
            }
            kind => {
                let head = if kind == Kind::Csv { csv_head(schema) } else { String::new() };
                out.write_all(head.as_bytes()).map_err(|error| cannot_be_written(file, &error))?;
                Sink::Text(kind, out)
            }
        });
        Ok(created)
    }

    /// Writes rows.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), FileError> {
        match &mut self.sink {
            Some(Sink::Arrow(writer)) => {
                writer.write(batch).map_err(|error| cannot_be_written(&self.file, &error))
            }
            Some(Sink::Text(kind, _)) => {
                let mut lines = String::new();
                match kind {
                    Kind::Csv => csv_rows(&mut lines, batch),
                    _ => (0..batch.num_rows()).for_each(|row| json::write_message(&mut lines, batch, row)),
                }
                self.write_text(&lines)
            }
            None => Ok(()),
        }
    }

    /// Writes lines as they are, where the file is one of text.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write_text(&mut self, lines: &str) -> Result<(), FileError> {
        let Some(Sink::Text(_, out)) = &mut self.sink else { return Ok(()) };
        out.write_all(lines.as_bytes()).map_err(|error| cannot_be_written(&self.file, &error))
    }

    /// Gives the file its name.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn finish(mut self) -> Result<(), FileError> {
        let ended = match &mut self.sink {
            Some(Sink::Arrow(writer)) => writer
                .finish()
                .map_err(|error| cannot_be_written(&self.file, &error))
                .and_then(|()| writer.get_mut().flush().map_err(|e| cannot_be_written(&self.file, &e))),
            Some(Sink::Text(_, out)) => out.flush().map_err(|error| cannot_be_written(&self.file, &error)),
            None => Ok(()),
        };
        ended?;
        std::fs::rename(&self.unfinished, &self.file)
            .map_err(|error: io::Error| cannot_be_written(&self.file, &error))?;
        self.sink = None;
        Ok(())
    }
}

impl Drop for RowsFile {
    fn drop(&mut self) {
        if self.sink.is_some() {
            // Why: what is left of it helps nobody.
            let _ = std::fs::remove_file(&self.unfinished);
        }
    }
}

fn cannot_be_written(file: &Path, error: &dyn std::error::Error) -> FileError {
    FileError::new(file, format!("cannot be written: {error}"))
}
