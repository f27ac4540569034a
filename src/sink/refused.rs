//! Which rows of a batch the database refuses, found in one transaction that is rolled back.
//!
//! A statement of many rows that fails is undone as a whole, and the database names the row at most. So it is tried in
//! parts until single rows are left: many small statements, but no commit and no computing. Rows that pass stay until
//! the end, as they would be there if messages were written one by one.

use std::ops::Range;

use super::output::Rows;
use super::prepared::Prepared;
use super::statement::TEXT_BYTES_MAX;
use super::{Sink, SinkError};
use crate::batch::Fault;
use crate::database::{Connection, DatabaseError, Statement, Value};

/// Statements of one search, at most.
const STATEMENTS_MAX: usize = 4_000;

/// A row that is refused.
#[derive(Debug)]
pub struct RefusedRow {
    /// The output's place; `None` if it is no row of an output that is appended to.
    pub output: Option<usize>,
    /// The row's place among those of the output.
    pub row: usize,
    pub error: SinkError,
    /// Whether it is refused whatever other rows there are.
    pub is_alone: bool,
}

impl Sink {
    /// Tries the rows of a batch and rolls them back. Returns those that the database refuses, in the order in which they
    /// are written; none if they could not be found.
    pub async fn find_refused(&mut self, prepared: &Prepared) -> Vec<RefusedRow> {
        let Ok(connection) = self.link.ready().await else { return Vec::new() };
        let found = find(connection, prepared).await;
        // Invariant: nothing of it is left, whatever comes next on this connection.
        if connection.rollback().await.is_err() {
            self.link.close();
        }
        // Why no error: the batch is tried again in parts, and whatever is wrong with the server is met there.
        let found = self.link.done(found);
        found
            .inspect_err(|error| tracing::debug!("refused rows are not looked for: {error}"))
            .unwrap_or_default()
    }
}

async fn find(connection: &mut Connection, prepared: &Prepared) -> Result<Vec<RefusedRow>, DatabaseError> {
    connection.begin().await?;
    let limits = connection.limits();
    let mut refused = Vec::new();
    let mut statements = 0;
    for rows in prepared.rows.iter().filter(|rows| !rows.is_removal()) {
        let mut parts = rows.chunks(&limits);
        parts.reverse();
        while let Some(part) = parts.pop() {
            statements += 1;
            if statements > STATEMENTS_MAX {
                return Err(DatabaseError::other(format!(
                    "they are not found in {STATEMENTS_MAX} statements"
                )));
            }
            match insert(connection, rows, &part).await {
                Ok(()) => {}
                Err(error) if error.fault() != Fault::Data || error.is_of_size() => return Err(error),
                Err(error) if part.len() == 1 => refused.push(RefusedRow {
                    output: rows.output_place(&prepared.places),
                    row: part.start,
                    is_alone: error.is_of_row_alone(),
                    error: rows.refused_at(Some(part.start), error),
                }),
                Err(error) => {
                    parts.extend(cut(&part, error.row()).into_iter().rev().filter(|p| !p.is_empty()))
                }
            }
        }
    }
    Ok(refused)
}

/// Before, at and after the row that the database names; halves if it names none.
fn cut(part: &Range<usize>, named: Option<usize>) -> [Range<usize>; 3] {
    match named.map(|row| part.start + row).filter(|row| part.contains(row)) {
        Some(row) => [part.start..row, row..row + 1, row + 1..part.end],
        None => {
            let middle = part.start + part.len() / 2;
            [part.start..middle, middle..middle, middle..part.end]
        }
    }
}

async fn insert(connection: &mut Connection, rows: &Rows, part: &Range<usize>) -> Result<(), DatabaseError> {
    let sql = rows.sql(part.len());
    let parameters = rows.parameters(part).map_err(|error| DatabaseError::other(error.to_string()))?;
    if parameters.iter().map(Value::size).sum::<usize>() > TEXT_BYTES_MAX {
        return connection.execute(&sql, parameters).await.map(drop);
    }
    let statement = Statement { sql: sql.into(), parameters, matches: None };
    let sent = connection.execute_together(vec![statement]).await;
    sent.map_err(|interrupted| {
        interrupted
            .error
            .unwrap_or_else(|| DatabaseError::other("a statement matched other rows than it must"))
    })
}
