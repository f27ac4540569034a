//! One batch, one transaction.

use std::sync::atomic::Ordering;

use arrow::array::RecordBatch;
use futures::future::BoxFuture;
use tokio::sync::Notify;

use super::ddl::DEAD_LETTERS_TABLE;
use super::dead_letters::Letters;
use super::output::Rows;
use super::prepared::Prepared;
use super::script::{Part, Script};
use super::state::StateReader;
use super::versions::Versions;
use super::{Committed, Sink, SinkError, load, offsets, replay};
use crate::batch::{Advance, Commit, Tally};
use crate::database::{self, Connection, DatabaseError, Dialect, Value};

impl Sink {
    /// Writes one batch: the fence, the rows of the outputs, state, dead letters; then COMMIT. All of it, or nothing.
    ///
    /// Connects first where the connection was lost. On an error nothing is open any more: it was rolled back,
    /// or the connection is closed.
    ///
    /// # Errors
    /// Rows that are too large, before any statement ([`SinkError::Data`]); data that the server refuses
    /// ([`SinkError::Refused`]); another owner ([`SinkError::Fenced`]); state that another instance has written
    /// ([`SinkError::Conflict`]); [`SinkError::UnknownOutcome`] where COMMIT was sent and not answered; or the
    /// database failed.
    pub async fn commit(&mut self, prepared: &Prepared) -> Result<Committed, SinkError> {
        match self.write(prepared, Opening::Fence).await {
            Err(SinkError::LoadInDoubt(why)) => {
                self.load.pause(&why);
                self.write(prepared, Opening::Fence).await
            }
            written => written,
        }
    }

    /// Writes one batch while the one before is on its way: its rows at once, everything else when it is its turn, which
    /// `turn` tells. `None` where nothing is written: the turn did not come, or rows cannot be sent so.
    ///
    /// # Errors
    /// As [`Sink::commit`].
    pub async fn commit_ahead(
        &mut self,
        prepared: &Prepared,
        turn: impl Future<Output = bool> + Send,
    ) -> Result<Option<Committed>, SinkError> {
        match self.write(prepared, Opening::Ahead(Box::pin(turn))).await {
            Err(SinkError::LoadInDoubt(why)) => {
                self.load.pause(&why);
                Ok(None)
            }
            Err(SinkError::GivenUp) => Ok(None),
            written => written.map(Some),
        }
    }

    /// Begins the transaction of a batch that is not computed yet: this instance's partitions are moved, so nobody
    /// else writes for them. [`Sink::locked_rows`] reads state in it, and [`Sink::finish`] or [`Sink::abandon`] end it.
    ///
    /// # Errors
    /// As [`Sink::commit`]; nothing is open then.
    pub async fn open(&mut self, advances: &[Advance]) -> Result<(), SinkError> {
        let connection = self.link.ready().await?;
        let mut script = Script::default();
        begin(&mut script, connection.dialect(), &self.job, advances, &[]);
        let opened = script.send(connection).await.map(drop);
        self.kept(opened).await
    }

    /// The rows of these keys in a state table (by its place among them), locked until the transaction ends.
    ///
    /// # Errors
    /// The database's; the transaction is rolled back.
    pub async fn locked_rows(&mut self, table: usize, keys: &RecordBatch) -> Result<RecordBatch, SinkError> {
        let connection = self.link.in_use()?;
        let rows = self.tables.readers[table].locked(connection, keys).await;
        self.kept(rows).await
    }

    /// Leaves the transaction open, unless a statement of it failed.
    pub(super) async fn kept<T>(&mut self, result: Result<T, SinkError>) -> Result<T, SinkError> {
        match &result {
            Ok(_) => {}
            Err(error) if error.ends_connection() => self.link.close(),
            Err(_) => self.abandon().await,
        }
        result
    }

    /// Writes the batch that [`Sink::open`] began, and commits.
    ///
    /// # Errors
    /// As [`Sink::commit`].
    pub async fn finish(&mut self, prepared: &Prepared) -> Result<Committed, SinkError> {
        self.write(prepared, Opening::Open).await
    }

    /// Rolls back what [`Sink::open`] began.
    pub async fn abandon(&mut self) {
        if let Ok(connection) = self.link.in_use() {
            let rolled_back = connection.rollback().await;
            if self.link.done(rolled_back).is_err() {
                self.link.close();
            }
        }
    }

    async fn write(&mut self, prepared: &Prepared, opening: Opening<'_>) -> Result<Committed, SinkError> {
        let Self { link, job, tables, load, versions, .. } = self;
        let (connection, can_load) = match opening {
            // Why: it cannot be tried again by INSERT.
            Opening::Open => (link.in_use()?, false),
            Opening::Fence | Opening::Ahead(_) => {
                let connection = link.ready().await?;
                let can_load = load.is_open(connection);
                (connection, can_load)
            }
        };
        tables.loads.store(can_load, Ordering::Relaxed);
        let written =
            write(connection, job, &mut tables.readers, versions, prepared, opening, can_load).await;
        match written {
            Ok(written) => {
                versions.committed(&prepared.commit.advances);
                link.done(Ok(written)).map_err(SinkError::from)
            }
            Err(error) => {
                // Invariant: no try follows another in the same transaction; a lock timeout undoes its statement only.
                if error.ends_connection() || connection.rollback().await.is_err() {
                    link.close();
                }
                link.done(Ok(()))?;
                match error {
                    SinkError::DuplicateInDoubt { table, error } => {
                        Err(self.whose_duplicate(prepared, table, error).await)
                    }
                    error => Err(error),
                }
            }
        }
    }

    /// Whether a duplicate is one in this state table, or in a table that a trigger writes to.
    async fn whose_duplicate(
        &mut self,
        prepared: &Prepared,
        table: String,
        error: DatabaseError,
    ) -> SinkError {
        let Self { link, tables, .. } = self;
        let of_table = tables.readers.iter_mut().zip(&prepared.commit.states);
        let mut found = Ok(false);
        for (reader, change) in of_table.filter(|(reader, _)| reader.is_of(&table)) {
            let asked = match link.ready().await {
                Ok(connection) => reader.has_any(connection, change).await,
                Err(error) => Err(error),
            };
            found = link.done(asked);
        }
        match found {
            Ok(true) => SinkError::Conflict { table },
            Ok(false) => SinkError::Refused { table, error },
            Err(error) => error.into(),
        }
    }
}

/// How a transaction begins.
enum Opening<'t> {
    /// With the fence.
    Fence,
    /// It is begun and fenced already.
    Open,
    /// With rows that are loaded; the fence follows when this tells that it is the batch's turn.
    Ahead(BoxFuture<'t, bool>),
}

async fn write(
    connection: &mut Connection,
    job: &str,
    readers: &mut [StateReader],
    versions: &Versions,
    prepared: &Prepared,
    opening: Opening<'_>,
    can_load: bool,
) -> Result<Committed, SinkError> {
    let Prepared { sent: rows_sent, commit, rows: all_rows, .. } = prepared;
    let Commit { advances, tallies, .. } = commit;
    offsets::check_covered(commit)?;
    let limits = connection.limits();
    let letters = Letters::new(job, &commit.dead_letters, connection.dialect(), &limits)?;
    all_rows.iter().try_for_each(|rows| rows.check_sizes(&limits))?;
    let is_loaded = |rows: &Rows| can_load && load::fits(rows);
    let mut loads = Loads { left: all_rows.iter().filter(|rows| is_loaded(rows)).count(), sent: rows_sent };
    if loads.left == 0 {
        rows_sent.notify_one();
    }
    let mut sent = Committed::default();
    let mut script = Script::default();
    let is_ahead = matches!(opening, Opening::Ahead(_));
    match opening {
        // Invariant: the fence stands before everything that waits for its locks.
        Opening::Fence => begin(&mut script, connection.dialect(), job, advances, tallies),
        // The fence did not know them yet.
        Opening::Open => offsets::store_tallies(connection, job, advances, tallies).await?,
        Opening::Ahead(turn) => {
            script.push(Part::Begin, database::begin(connection.dialect()), Vec::new());
            for rows in all_rows.iter().filter(|rows| is_loaded(rows)) {
                sent.statements += loads.next(connection, &mut script, rows).await?;
            }
            if !turn.await {
                return Err(SinkError::GivenUp);
            }
            offsets::fence(&mut script, connection.dialect(), job, advances, tallies);
        }
    }
    if versions.is_due(advances) || prepared.reads_state() {
        sent.statements += script.send(connection).await?;
        sent.statements += versions.record(connection, job, advances).await?;
        // Why before the rows: a conflict is found before anything was sent for nothing.
        for (reader, change) in readers.iter_mut().zip(&commit.states) {
            sent.statements += reader.verify(connection, change).await?;
        }
    }
    for rows in all_rows {
        sent.rows += rows.len();
        if is_loaded(rows) {
            if !is_ahead {
                sent.statements += loads.next(connection, &mut script, rows).await?;
            }
            continue;
        }
        for chunk in rows.chunks(&limits) {
            let (sql, parameters) = (rows.sql(chunk.len()), rows.parameters(&chunk)?);
            sent.statements += add(&mut script, connection, Part::Rows(rows), sql, parameters).await?;
        }
    }
    for chunk in letters.chunks(&limits) {
        sent.rows += chunk.len();
        let (sql, parameters) = (letters.sql(chunk.len()), letters.parameters(&chunk));
        sent.statements += add(&mut script, connection, Part::DeadLetters, sql, parameters).await?;
    }
    if prepared.writes_alone() {
        sent.statements += script.send(connection).await?;
    }
    for (reader, before_ms) in readers.iter().zip(&commit.expire_before_ms) {
        let Some(before_ms) = before_ms else { continue };
        sent.expired += reader.expire(connection, *before_ms, advances).await?;
        sent.statements += 1;
    }
    sent.statements += versions.record_replay(connection, &commit.replayed).await?;
    sent.statements += replay::mark(connection, &commit.replayed).await?;
    script.push(Part::Commit, "COMMIT", Vec::new());
    sent.statements += script.send(connection).await?;
    Ok(sent)
}

/// The outputs of a batch that are loaded.
struct Loads<'a> {
    left: usize,
    /// Told when the last of them is on its way.
    sent: &'a Notify,
}

impl<'a> Loads<'a> {
    /// Loads the next one. Gives the number of statements.
    async fn next(
        &mut self,
        connection: &mut Connection,
        script: &mut Script<'a>,
        rows: &'a Rows,
    ) -> Result<usize, SinkError> {
        self.left -= 1;
        let last = (self.left == 0).then_some(self.sent);
        load::load(connection, script, rows, last).await
    }
}

/// The first statements of a transaction: they begin it, and move the partitions that this instance still owns.
fn begin<'a>(
    script: &mut Script<'a>,
    dialect: Dialect,
    job: &'a str,
    advances: &'a [Advance],
    tallies: &[Tally],
) {
    script.push(Part::Begin, database::begin(dialect), Vec::new());
    offsets::fence(script, dialect, job, advances, tallies);
}

/// Lets a statement travel with the others where it is small, and sends it alone, behind them, where it is not. Gives
/// the number of statements that were sent.
async fn add<'a>(
    script: &mut Script<'a>,
    connection: &mut Connection,
    part: Part<'a>,
    sql: String,
    parameters: Vec<Value<'a>>,
) -> Result<usize, SinkError> {
    if script.has_room(parameters.iter().map(Value::size).sum()) {
        script.push(part, sql, parameters);
        return Ok(0);
    }
    let before = script.send(connection).await?;
    connection.execute(&sql, parameters).await.map_err(|error| part.failed(error))?;
    Ok(before + 1)
}

/// A dead letter that is refused cannot become a dead letter: halving the batch would never end.
pub(super) fn letter_refused(error: DatabaseError) -> SinkError {
    match error.fault() {
        crate::batch::Fault::Data => SinkError::Sql(error.found().clone().within(DEAD_LETTERS_TABLE)),
        _ => SinkError::Refused { table: DEAD_LETTERS_TABLE.into(), error },
    }
}
