//! One batch, one transaction.

use super::ddl::DEAD_LETTERS_TABLE;
use super::dead_letters::Letters;
use super::output::Rows;
use super::{Committed, Sink, SinkError, offsets};
use crate::batch::Commit;
use crate::database::{Connection, DatabaseError, Limits};

impl Sink {
    /// Writes one batch: the fence, the rows of the outputs, dead letters; then COMMIT. All of it, or nothing.
    ///
    /// Connects first where the connection was lost. On an error nothing is open any more: it was rolled back,
    /// or the connection is closed.
    ///
    /// # Errors
    /// Data that does not fit, before any statement ([`SinkError::Data`]) or by the server's word
    /// ([`SinkError::Refused`]); another owner ([`SinkError::Fenced`]); [`SinkError::UnknownOutcome`] where
    /// COMMIT was sent and not answered; or the database failed.
    pub async fn commit(&mut self, commit: &Commit) -> Result<Committed, SinkError> {
        let Self { link, job, outputs } = self;
        if commit.outputs.len() != outputs.len() {
            let reason =
                format!("{} outputs were computed, {} are configured", commit.outputs.len(), outputs.len());
            return Err(SinkError::Sql(reason));
        }
        let connection = link.ready().await?;
        let limits = connection.limits();
        let mut rows = Vec::new();
        let mut prepare = || {
            for (output, batches) in outputs.iter().zip(&commit.outputs) {
                rows.extend(output.rows(batches, &limits)?);
            }
            Letters::new(job, &commit.dead_letters, connection.dialect(), &limits)
        };
        let letters = match prepare() {
            Ok(letters) => letters,
            Err(error) => {
                link.done(Ok(()))?;
                return Err(error);
            }
        };
        let batch = Batch { job, commit, rows, letters, limits };
        let written = match write(connection, &batch).await {
            Ok(written) => written,
            Err(error) => {
                // Invariant: no try follows another in the same transaction; a lock timeout undoes its statement only.
                if connection.rollback().await.is_err() {
                    link.close();
                }
                link.done(Ok(()))?;
                return Err(error);
            }
        };
        match connection.commit().await {
            Ok(()) => link.done(Ok(written)).map_err(SinkError::from),
            Err(error) => {
                link.close();
                Err(SinkError::UnknownOutcome(error))
            }
        }
    }
}

/// Everything a transaction sends, checked.
struct Batch<'a> {
    job: &'a str,
    commit: &'a Commit,
    rows: Vec<Rows<'a>>,
    letters: Letters<'a>,
    limits: Limits,
}

async fn write(connection: &mut Connection, batch: &Batch<'_>) -> Result<Committed, SinkError> {
    connection.begin().await?;
    // Invariant: the fence stands before everything that waits for its locks.
    let mut statements = offsets::fence(connection, batch.job, &batch.commit.advances).await?;
    let mut rows_in_all = 0;
    for rows in &batch.rows {
        for chunk in rows.chunks(&batch.limits) {
            let parameters = rows.parameters(&chunk)?;
            let sent = connection.execute(&rows.sql(chunk.len()), parameters).await;
            sent.map_err(|error| refused(rows.table(), error))?;
            statements += 1;
            rows_in_all += chunk.len();
        }
    }
    // State tables are written here: after the outputs, before the dead letters.
    for chunk in batch.letters.chunks(&batch.limits) {
        let sent =
            connection.execute(&batch.letters.sql(chunk.len()), batch.letters.parameters(&chunk)).await;
        sent.map_err(letter_refused)?;
        statements += 1;
        rows_in_all += chunk.len();
    }
    Ok(Committed { statements: statements + 2, rows: rows_in_all })
}

fn refused(table: &str, error: DatabaseError) -> SinkError {
    SinkError::Refused { table: table.into(), error }
}

/// A dead letter that is refused cannot become a dead letter: halving the batch would never end.
fn letter_refused(error: DatabaseError) -> SinkError {
    match error.fault() {
        crate::batch::Fault::Data => SinkError::Sql(format!("{DEAD_LETTERS_TABLE}: {error}")),
        _ => refused(DEAD_LETTERS_TABLE, error),
    }
}
