//! A reference table that lives in a file: held whole, looked up by key, and read again when the file has changed.
//!
//! A batch that begins `refresh_interval` after the last look waits for the next one, and for the reading where the
//! file has changed, so no batch sees rows that are out of date for longer than the interval. Why it waits: a look
//! is one call of the operating system, and what `memory_max` bounds is soon read.
//!
//! A file that cannot be used (half written, a value of another type, two rows of one key) is logged once,
//! and the rows that were there stay.

use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;

use super::error::TableError;
use super::file::{FileFault, Stamp, TableFile};
use super::index::{Duplicate, IndexFault, KeyIndex};
use super::key::KeyForm;

/// The rows of a file, and when it was last looked at.
#[derive(Debug)]
pub(super) struct FileTable {
    name: String,
    file: TableFile,
    key: Vec<String>,
    refresh_interval: Duration,
    bytes_max: usize,
    contents: Contents,
    checked_at: Instant,
    /// When the file was found to be as it is held, the last time.
    seen_at: Instant,
    /// The state of the file whose contents could not be used: it is not read again until it changes.
    refused: Option<Stamp>,
    /// What was last said in the log; nothing once the file is in order again.
    said: Option<FileFault>,
}

/// What a look at the file has found.
#[derive(Debug)]
enum Look {
    /// The file whose rows are held.
    Same,
    /// The file that was refused before.
    StillRefused,
    Changed(Contents),
    Fault {
        fault: FileFault,
        /// The state it was found in; `None` where another look at the same file may find it in order.
        lasting: Option<Stamp>,
    },
}

#[derive(Debug)]
struct Contents {
    stamp: Stamp,
    schema: SchemaRef,
    rows: FileRows,
}

#[derive(Debug)]
enum FileRows {
    Whole(RecordBatch),
    ByKey(KeyIndex),
}

impl FileTable {
    /// Reads the file. `key` is empty for a table that is seen whole.
    ///
    /// # Errors
    /// The file cannot be read, or not as a table; two rows have one key; it needs more than `bytes_max`.
    pub(super) async fn open(
        name: &str,
        file: TableFile,
        key: &[String],
        refresh_interval: Duration,
        bytes_max: usize,
        now: Instant,
    ) -> Result<Self, TableError> {
        let contents = aside({
            let (name, file, key) = (name.to_owned(), file.clone(), key.to_vec());
            move || load(&name, &file, &key, None, bytes_max)
        });
        let contents = contents.await.and_then(|read| read).map_err(|fault| error(name, &file, fault))?;
        Ok(Self {
            name: name.to_owned(),
            file,
            key: key.to_vec(),
            refresh_interval,
            bytes_max,
            contents,
            checked_at: now,
            seen_at: now,
            refused: None,
            said: None,
        })
    }

    pub(super) fn schema(&self) -> &SchemaRef {
        &self.contents.schema
    }

    pub(super) fn seen_at(&self) -> Instant {
        self.seen_at
    }

    pub(super) fn count(&self) -> usize {
        match &self.contents.rows {
            FileRows::Whole(rows) => rows.num_rows(),
            FileRows::ByKey(index) => index.count(),
        }
    }

    /// What the rows hold.
    pub(super) fn bytes(&self) -> usize {
        match &self.contents.rows {
            FileRows::Whole(rows) => rows.get_array_memory_size(),
            FileRows::ByKey(index) => index.bytes(),
        }
    }

    /// How large the file may have grown when it is read again.
    pub(super) fn set_bytes_max(&mut self, bytes_max: usize) {
        self.bytes_max = bytes_max;
    }

    /// Looks at the file where that is due, and takes over what it holds now where it has changed.
    ///
    /// Dropped while it waits, it has changed nothing, and the next batch looks again.
    pub(super) async fn begin_batch(&mut self, now: Instant) {
        if now.duration_since(self.checked_at) < self.refresh_interval {
            return;
        }
        let look = aside({
            let (name, file, key) = (self.name.clone(), self.file.clone(), self.key.clone());
            let (held, refused, bytes_max) = (self.contents.stamp, self.refused, self.bytes_max);
            let schema = self.contents.schema.clone();
            move || look(&name, &file, &key, &schema, held, refused, bytes_max)
        });
        let look = look.await.unwrap_or_else(|fault| Look::Fault { fault, lasting: None });
        self.checked_at = now;
        match look {
            Look::StillRefused => {}
            Look::Same => (self.refused, self.said, self.seen_at) = (None, None, now),
            Look::Changed(contents) => {
                tracing::info!(table = self.name, file = %self.file.path.display(), "reference table read again");
                self.contents = contents;
                (self.refused, self.said, self.seen_at) = (None, None, now);
            }
            Look::Fault { fault, lasting } => {
                self.refused = lasting;
                if self.said.as_ref() != Some(&fault) {
                    let error = error(&self.name, &self.file, fault.clone());
                    tracing::error!("{error}\nthe rows that were read before stay in use");
                    self.said = Some(fault);
                }
            }
        }
    }

    /// All rows, or those whose key occurs among `keys`.
    pub(super) fn gather(&mut self, keys: &[RecordBatch]) -> Result<RecordBatch, ArrowError> {
        match &mut self.contents.rows {
            FileRows::Whole(rows) => Ok(rows.clone()),
            FileRows::ByKey(index) => index.gather(keys),
        }
    }
}

/// Does work on a thread where it may take its time.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, FileFault> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|panic| FileFault::passing(format!("reading the file failed: {panic}")))
}

/// Looks at the file, and reads it where it is neither the one that is held nor the one that was refused.
fn look(
    name: &str,
    file: &TableFile,
    key: &[String],
    schema: &SchemaRef,
    held: Stamp,
    refused: Option<Stamp>,
    bytes_max: usize,
) -> Look {
    let stamp = match file.stamp() {
        Ok(stamp) if stamp == held => return Look::Same,
        Ok(stamp) if Some(stamp) == refused => return Look::StillRefused,
        Ok(stamp) => stamp,
        Err(fault) => return Look::Fault { fault, lasting: None },
    };
    match load(name, file, key, Some(schema), bytes_max) {
        Ok(contents) => Look::Changed(contents),
        Err(fault) => Look::Fault { lasting: (!fault.may_pass).then_some(stamp), fault },
    }
}

fn load(
    name: &str,
    file: &TableFile,
    key: &[String],
    schema: Option<&SchemaRef>,
    bytes_max: usize,
) -> Result<Contents, FileFault> {
    let loaded = file.load(schema, bytes_max)?;
    let schema = loaded.rows.schema();
    if key.is_empty() {
        return Ok(Contents { stamp: loaded.stamp, schema, rows: FileRows::Whole(loaded.rows) });
    }
    let form = KeyForm::new(&schema, key).map_err(|message| FileFault::at(None, message))?;
    let (index, nulls) = KeyIndex::build(form, loaded.rows.clone()).map_err(|found| match found {
        IndexFault::Duplicate(Duplicate { key: value, first, second }) => {
            let message = format!(
                "`{}` is {value} here and in line {}, but a key has one row",
                key.join(", "),
                loaded.lines.of(first)
            );
            FileFault::at(Some(loaded.lines.of(second)), message)
        }
        IndexFault::Arrow(error) => FileFault::at(None, error.to_string()),
    })?;
    if index.bytes() > bytes_max {
        return Err(super::file::too_large(index.bytes() as u64, bytes_max));
    }
    if nulls > 0 {
        let file = file.path.display();
        tracing::warn!("{file}: reference table `{name}`: {nulls} rows have no key and are never found");
    }
    Ok(Contents { stamp: loaded.stamp, schema, rows: FileRows::ByKey(index) })
}

fn error(table: &str, file: &TableFile, fault: FileFault) -> TableError {
    let path = file.path.display();
    let place = fault.line.map_or_else(|| path.to_string(), |line| format!("{path}:{line}"));
    TableError { place: Some(place), ..TableError::other(table, fault.found) }
}
