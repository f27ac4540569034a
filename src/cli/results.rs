//! Results, written to stdout or a file. If the reader of a pipe has closed it, that ends a command and is not an error.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::failure::Failure;

/// Where results go.
pub(super) struct Results {
    out: Box<dyn Write>,
    /// `None`: stdout.
    file: Option<PathBuf>,
}

/// How rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    Table,
    Json,
}

/// How writing results ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    All,
    /// The pipe is closed: more is not worth computing.
    NobodyReads,
}

impl Results {
    pub fn to_stdout() -> Self {
        Self { out: Box::new(io::stdout()), file: None }
    }

    /// A new file.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn to_file(path: &Path) -> Result<Self, Failure> {
        let file = File::create(path).map_err(|error| failed(&path.display(), &error))?;
        Ok(Self { out: Box::new(BufWriter::new(file)), file: Some(path.to_owned()) })
    }

    /// Writes text, and sends it off.
    ///
    /// # Errors
    /// The text cannot be written. A pipe that nobody reads is no error.
    pub fn write(&mut self, text: &str) -> Result<Written, Failure> {
        match self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush()) {
            Ok(()) => Ok(Written::All),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Written::NobodyReads),
            Err(error) => Err(match &self.file {
                Some(path) => failed(&path.display(), &error),
                None => failed(&"stdout", &error),
            }),
        }
    }
}

fn failed(place: &dyn std::fmt::Display, error: &io::Error) -> Failure {
    Failure::failed(format!("{place}: {error}"))
}
