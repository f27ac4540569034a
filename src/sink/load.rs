//! Rows of append outputs by LOAD DATA LOCAL, which the server takes about twice as fast as INSERT.
//!
//! LOAD DATA LOCAL turns errors into warnings and leaves out rows it does not like. So any warning, or another number
//! of rows than was sent, means: nothing of it counts, the batch is rolled back and written by INSERT, whose errors say
//! what is wrong. The batches after it are written so too, for a while.

use std::iter::Enumerate;
use std::ops::Range;
use std::vec::IntoIter;

use bytes::Bytes;
use tokio::sync::Notify;

use super::SinkError;
use super::output::Rows;
use super::script::{Part, Script};
use crate::config::BulkLoad;
use crate::database::{Connection, Dialect, LOAD_FORMAT, LoadText, quote_table};

/// Fewer rows go by INSERT: a statement that is prepared already costs less than a new one.
const LOAD_ROWS_MIN: usize = 200;
/// Batches that are written by INSERT after a LOAD DATA that may not have stored every row.
const PAUSE_COMMITS: u32 = 20;
/// Bytes of values that are encoded at once: many packets.
const PART_BYTES_MAX: usize = 1 << 20;
/// Bytes of one packet: `StatementLimits::row_bytes_max` is as large for any server. Larger ones are no faster, and mysql_async
/// keeps a hundred buffers, each of which grows to the largest packet.
const PACKET_BYTES_MAX: usize = 64 << 10;
/// Parts that are encoded before the server asks for them. It takes longer for one of them than encoding the next does.
const PARTS_AHEAD: usize = 2;
/// With this many parts the server is busy for a while.
const PARTS_BUSY: usize = 8;

/// Whether LOAD DATA is used.
#[derive(Clone, Debug)]
pub(super) struct Load {
    wanted: BulkLoad,
    /// Commits until it is tried again.
    pause: u32,
    /// Whether it was said that the server does not take it.
    is_said: bool,
}

impl Load {
    pub fn new(wanted: BulkLoad) -> Self {
        Self { wanted, pause: 0, is_said: false }
    }

    /// Whether the next commit may use it.
    pub fn is_open(&mut self, connection: &Connection) -> bool {
        if self.wanted == BulkLoad::Off || !connection.dialect().is_mysql() {
            return false;
        }
        if !connection.can_load() {
            if !self.is_said {
                self.is_said = true;
                tracing::info!(
                    "the server has local_infile=OFF: rows are written by INSERT, which takes about twice as long"
                );
            }
            return false;
        }
        self.pause = self.pause.saturating_sub(1);
        self.pause == 0
    }

    /// It may not have stored every row: the next commits do without.
    pub fn pause(&mut self, why: &str) {
        tracing::debug!("{why}; written by INSERT for the next {PAUSE_COMMITS} batches");
        self.pause = PAUSE_COMMITS;
    }
}

/// Whether these rows are worth it, and can be sent so.
pub(super) fn fits(rows: &Rows) -> bool {
    rows.is_append() && rows.len() >= LOAD_ROWS_MIN && rows.columns().all(|(_, fit)| fit.can_load())
}

/// Encodes the first parts, so that the server has something to do at once when it asks for the rows.
///
/// # Errors
/// A value that does not fit.
pub(super) fn encode_ahead(rows: &mut Rows) -> Result<(), SinkError> {
    if fits(rows) {
        rows.text_ahead = TextParts::of(rows).take(PARTS_AHEAD).collect::<Result<_, _>>()?;
    }
    Ok(())
}

/// Sends all rows, after the statements that wait, and notifies `sent` when the last of them are in flight, or enough to
/// keep the server busy. Returns the number of statements.
///
/// # Errors
/// [`SinkError::LoadInDoubt`] if the server did not take every row as it is; or the error of a statement before them.
pub(super) async fn send_text<'a>(
    connection: &mut Connection,
    script: &mut Script<'a>,
    rows: &'a Rows,
    sent: Option<&Notify>,
) -> Result<usize, SinkError> {
    script.push(Part::Load(rows), statement(rows, connection.dialect()), Vec::new());
    let mut parts = TextParts::of(rows);
    let mut broken = None;
    let mut taken = 0;
    let mut rest = Bytes::new();
    let mut next_packet = || {
        if rest.is_empty() {
            let part = parts.next();
            if part.is_none() || taken == PARTS_BUSY {
                sent.inspect(|sent| sent.notify_one());
            }
            taken += 1;
            match part? {
                Ok(part) => rest = part,
                Err(error) => {
                    broken = Some(error);
                    return None;
                }
            }
        }
        // Invariant: no packet is larger than the server takes. The server reads them as one text, wherever it is cut.
        Some(rest.split_to(PACKET_BYTES_MAX.min(rest.len())))
    };
    let loaded = script.send_load(connection, &mut next_packet).await;
    if let Some(error) = broken {
        return Err(error);
    }
    let (statements, loaded) = loaded?;
    if loaded.warnings > 0 || loaded.rows != rows.len() as u64 {
        let (all, taken, warnings) = (rows.len(), loaded.rows, loaded.warnings);
        let table = rows.table();
        return Err(SinkError::LoadInDoubt(format!(
            "{table}: LOAD DATA took {taken} of {all} rows, with {warnings} warnings"
        )));
    }
    Ok(statements)
}

/// The text of rows, a part after the other: what was encoded ahead, then the rest.
struct TextParts<'a> {
    rows: &'a Rows,
    text: LoadText,
    ranges: Enumerate<IntoIter<Range<usize>>>,
}

impl<'a> TextParts<'a> {
    fn of(rows: &'a Rows) -> Self {
        let text = LoadText::new(rows.columns().map(|(_, fit)| fit.is_binary()));
        Self { rows, text, ranges: rows.load_parts(PART_BYTES_MAX).into_iter().enumerate() }
    }
}

impl Iterator for TextParts<'_> {
    type Item = Result<Bytes, SinkError>;

    fn next(&mut self) -> Option<Self::Item> {
        let Self { rows, text, ranges } = self;
        let (index, part) = ranges.next()?;
        if let Some(encoded) = rows.text_ahead.get(index) {
            return Some(Ok(encoded.clone()));
        }
        let put = rows.each(&part, &mut |_, column, value| text.put(column, &value));
        Some(put.map(|()| text.take_lines().into()))
    }
}

/// `LOAD DATA LOCAL INFILE '' INTO TABLE t ... (a, @b) SET b = UNHEX(@b)`.
fn statement(rows: &Rows, dialect: Dialect) -> String {
    let (mut columns, mut sets) = (Vec::new(), Vec::new());
    for (index, (name, fit)) in rows.columns().enumerate() {
        let name = crate::database::quote(name, dialect);
        if fit.is_binary() {
            columns.push(format!("@_{index}"));
            sets.push(format!("{name} = UNHEX(@_{index})"));
        } else {
            columns.push(name);
        }
    }
    let set = if sets.is_empty() { String::new() } else { format!(" SET {}", sets.join(", ")) };
    let table = quote_table(rows.table(), dialect);
    format!("LOAD DATA LOCAL INFILE 'rows' INTO TABLE {table} {LOAD_FORMAT} ({}){set}", columns.join(", "))
}
