//! Statements of a transaction that travel together: a small one costs the server less than the way to it and back.
//!
//! What an error or a count means depends on the statement, so each is kept with what it is for. Statements that
//! cannot wait for others are sent by their own code, after [`Script::send`].

use std::borrow::Cow;

use super::SinkError;
use super::ddl::OFFSETS_TABLE;
use super::dead_letters::letter_refused;
use super::output::Rows;
use super::statement::TEXT_BYTES_MAX;
use crate::batch::{Advance, Fault};
use crate::database::{Connection, DatabaseError, Interrupted, Loaded, NextPacket, Statement, Value};

/// Statements that wait to be sent, in order.
#[derive(Default)]
pub(super) struct Script<'a> {
    statements: Vec<Statement<'a>>,
    parts: Vec<Part<'a>>,
    bytes: usize,
}

/// What a statement is for.
#[derive(Clone, Copy)]
pub(super) enum Part<'a> {
    /// `BEGIN`.
    Begin,
    /// It moves this partition, where this instance still owns it.
    Fence(&'a Advance),
    Rows(&'a Rows),
    /// The last one: the server asks for the rows.
    Load(&'a Rows),
    DeadLetters,
    /// The last one: with its answer, everything is stored.
    Commit,
}

impl<'a> Script<'a> {
    pub fn push(&mut self, part: Part<'a>, sql: impl Into<Cow<'a, str>>, parameters: Vec<Value<'a>>) {
        self.bytes += parameters.iter().map(Value::size).sum::<usize>();
        // Invariant: where a partition could not be moved, it is another's, and nothing behind that is run.
        let matches = matches!(part, Part::Fence(_)).then_some(1);
        self.statements.push(Statement { sql: sql.into(), parameters, matches });
        self.parts.push(part);
    }

    /// Whether values of this size may travel with the rest.
    pub fn has_room(&self, bytes: usize) -> bool {
        self.bytes + bytes <= TEXT_BYTES_MAX
    }

    /// Sends what waits, if anything does. Returns the number of statements.
    ///
    /// # Errors
    /// The error of the first one that failed; [`SinkError::UnknownOutcome`] if the answer to a `COMMIT` among them
    /// is lost.
    pub async fn send(&mut self, connection: &mut Connection) -> Result<usize, SinkError> {
        let Self { statements, parts, .. } = std::mem::take(self);
        let count = statements.len();
        if count == 0 {
            return Ok(0);
        }
        let sent = connection.execute_together(statements).await;
        sent.map(|()| count).map_err(|interrupted| Self::failed(&parts, interrupted))
    }

    /// Sends what waits, the last of which asks for rows. Returns the number of statements.
    ///
    /// # Errors
    /// The error of the first one that failed.
    pub async fn send_load(
        &mut self,
        connection: &mut Connection,
        next_packet: &mut NextPacket<'_>,
    ) -> Result<(usize, Loaded), SinkError> {
        let Self { statements, parts, .. } = std::mem::take(self);
        let count = statements.len();
        let loaded = connection.load(statements, next_packet).await;
        loaded.map(|loaded| (count, loaded)).map_err(|interrupted| Self::failed(&parts, interrupted))
    }

    fn failed(parts: &[Part<'a>], Interrupted { at, error }: Interrupted) -> SinkError {
        let commits = matches!(parts.last(), Some(Part::Commit));
        match (parts.get(at).copied().unwrap_or(Part::Commit), error) {
            (_, Some(error)) if commits && is_lost(&error) => SinkError::UnknownOutcome(error),
            (part, Some(error)) => part.failed(error),
            (Part::Fence(Advance { partition, from, epoch, .. }), None) => {
                SinkError::Fenced { partition: partition.clone(), expected: *from, epoch: *epoch }
            }
            (_, None) => SinkError::Sql("a statement matched other rows than it must".into()),
        }
    }
}

/// Whether it is not known which statements were run.
fn is_lost(error: &DatabaseError) -> bool {
    error.is_connection_lost() && error.fault() == Fault::Infrastructure
}

impl Part<'_> {
    /// What it means that the statement failed.
    pub fn failed(self, error: DatabaseError) -> SinkError {
        match self {
            Part::Begin => error.into(),
            Part::Fence(_) => SinkError::Refused { table: OFFSETS_TABLE.into(), error },
            Part::Load(rows) if error.is_load_refused() => {
                SinkError::LoadInDoubt(format!("{}: {error}", rows.table()))
            }
            Part::Rows(rows) | Part::Load(rows) => rows.refused(error),
            Part::DeadLetters => letter_refused(error),
            // The database refuses the transaction as a whole: its size, or a constraint that is checked at its end.
            Part::Commit if error.fault() == Fault::Data => {
                SinkError::Refused { table: "COMMIT".into(), error }
            }
            Part::Commit => SinkError::UnknownOutcome(error),
        }
    }
}
