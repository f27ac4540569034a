//! Rows of append outputs by LOAD DATA LOCAL, which the server takes about twice as fast as INSERT.
//!
//! LOAD DATA LOCAL turns errors into warnings and leaves out rows it does not like. So any warning, or another number
//! of rows than was sent, means: nothing of it counts, the batch is rolled back and written by INSERT, whose errors say
//! what is wrong. The batches after it are written so too, for a while.

use super::SinkError;
use super::output::Rows;
use crate::config::BulkLoad;
use crate::database::{Connection, DatabaseError, Dialect, LOAD_FORMAT, LoadText, quote_table};

/// Fewer rows go by INSERT: a statement that is prepared already costs less than a new one.
const LOAD_ROWS_MIN: usize = 200;
/// Batches that are written by INSERT after LOAD DATA was in doubt.
const PAUSE_COMMITS: u32 = 20;
/// Rows that are encoded at once.
const PART_ROWS: usize = 1_000;

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

    /// It was in doubt: the next commits go without.
    pub fn pause(&mut self, why: &str) {
        tracing::debug!("{why}; written by INSERT for the next {PAUSE_COMMITS} batches");
        self.pause = PAUSE_COMMITS;
    }
}

/// Whether these rows are worth it, and can be sent so.
pub(super) fn fits(rows: &Rows<'_>) -> bool {
    rows.is_append() && rows.len() >= LOAD_ROWS_MIN && rows.columns().all(|(_, fit)| fit.can_load())
}

/// Sends all rows. Gives the number of statements.
///
/// # Errors
/// [`SinkError::LoadInDoubt`] where the server did not take every row as it is; or the database's.
pub(super) async fn load(connection: &mut Connection, rows: &Rows<'_>) -> Result<usize, SinkError> {
    let sql = statement(rows, connection.dialect());
    let mut text = LoadText::new(rows.columns().map(|(_, fit)| fit.is_binary()));
    let (mut at, mut broken) = (0, None);
    let mut next_part = || {
        let part = at..rows.len().min(at + PART_ROWS);
        at = part.end;
        if part.is_empty() {
            return None;
        }
        match rows.each(&part, &mut |_, column, value| text.put(column, &value)) {
            Ok(()) => Some(text.take_lines()),
            Err(error) => {
                broken = Some(error);
                None
            }
        }
    };
    let loaded = connection.load(&sql, &mut next_part).await;
    if let Some(error) = broken {
        return Err(error);
    }
    let loaded = loaded.map_err(|error| refused(rows, error))?;
    if loaded.warnings > 0 || loaded.rows != rows.len() as u64 {
        let (sent, taken, warnings) = (rows.len(), loaded.rows, loaded.warnings);
        let table = rows.table();
        return Err(SinkError::LoadInDoubt(format!(
            "{table}: LOAD DATA took {taken} of {sent} rows, with {warnings} warnings"
        )));
    }
    Ok(1)
}

fn refused(rows: &Rows<'_>, error: DatabaseError) -> SinkError {
    match error.is_load_refused() {
        true => SinkError::LoadInDoubt(format!("{}: {error}", rows.table())),
        false => rows.refused(error),
    }
}

/// `LOAD DATA LOCAL INFILE '' INTO TABLE t ... (a, @b) SET b = UNHEX(@b)`.
fn statement(rows: &Rows<'_>, dialect: Dialect) -> String {
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
