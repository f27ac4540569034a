//! One batch, one transaction: a [`Sink`] tries it, and a [`Transaction`] is one try, from its first statement to COMMIT.

use std::sync::atomic::Ordering;

use arrow::array::RecordBatch;
use futures::future::BoxFuture;

use super::dead_letters::Letters;
use super::output::Rows;
use super::prepared::Prepared;
use super::script::{Part, Script};
use super::state::StateReader;
use super::versions::Versions;
use super::{Committed, Sink, SinkError, load, offsets, replay};
use crate::batch::{Advance, Commit, Tally};
use crate::database::{self, Connection, DatabaseError, Dialect, StatementLimits, Value};

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
        match self.attempt(prepared, Opening::Fence).await {
            Err(SinkError::LoadInDoubt(why)) => {
                self.load.pause(&why);
                self.attempt(prepared, Opening::Fence).await
            }
            written => written,
        }
    }

    /// Writes one batch while the one before is in flight: its rows at once, everything else when it is its turn, which
    /// `turn` tells. `None` if nothing is written: the turn did not come, or the rows cannot be sent ahead.
    ///
    /// # Errors
    /// As [`Sink::commit`].
    pub async fn commit_ahead(
        &mut self,
        prepared: &Prepared,
        turn: impl Future<Output = bool> + Send,
    ) -> Result<Option<Committed>, SinkError> {
        match self.attempt(prepared, Opening::Ahead(Box::pin(turn))).await {
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
    /// The database does not answer, or refuses the statement; the transaction is rolled back.
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
        self.attempt(prepared, Opening::Open).await
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

    /// Writes a batch in one transaction, tried once; after an error it is rolled back.
    async fn attempt(&mut self, prepared: &Prepared, opening: Opening<'_>) -> Result<Committed, SinkError> {
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
        let transaction = Transaction::new(connection, job, prepared, can_load);
        let written = transaction.run(&mut tables.readers, versions, opening).await;
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

/// The transaction of a batch: the statements that wait to be sent, and what was done so far.
struct Transaction<'a> {
    connection: &'a mut Connection,
    job: &'a str,
    prepared: &'a Prepared,
    limits: StatementLimits,
    /// Whether rows may be written by LOAD DATA.
    can_load: bool,
    /// The outputs whose rows are still to be loaded.
    loads_left: usize,
    script: Script<'a>,
    done: Committed,
}

impl<'a> Transaction<'a> {
    fn new(connection: &'a mut Connection, job: &'a str, prepared: &'a Prepared, can_load: bool) -> Self {
        let limits = connection.limits();
        let (script, done) = (Script::default(), Committed::default());
        let mut new = Self { connection, job, prepared, limits, can_load, loads_left: 0, script, done };
        new.loads_left = prepared.rows.iter().filter(|rows| new.is_loaded(rows)).count();
        new
    }

    async fn run(
        mut self,
        readers: &mut [StateReader],
        versions: &Versions,
        opening: Opening<'_>,
    ) -> Result<Committed, SinkError> {
        let Prepared { sent, commit, rows, .. } = self.prepared;
        offsets::check_covered(commit)?;
        let dialect = self.connection.dialect();
        let letters = Letters::new(self.job, &commit.dead_letters, dialect, &self.limits)?;
        rows.iter().try_for_each(|rows| rows.check_sizes(&self.limits))?;
        if self.loads_left == 0 {
            sent.notify_one();
        }
        self.begin(opening).await?;
        self.compare_state(readers, versions).await?;
        self.write_rows().await?;
        self.write_letters(&letters).await?;
        self.write_alone(readers, versions).await?;
        self.script.push(Part::Commit, "COMMIT", Vec::new());
        self.send().await?;
        Ok(self.done)
    }

    async fn begin(&mut self, opening: Opening<'_>) -> Result<(), SinkError> {
        let Prepared { commit: Commit { advances, tallies, .. }, rows, .. } = self.prepared;
        let dialect = self.connection.dialect();
        match opening {
            // Invariant: the fence comes before everything that waits for its locks.
            Opening::Fence => begin(&mut self.script, dialect, self.job, advances, tallies),
            // The fence did not know them yet.
            Opening::Open => offsets::store_tallies(self.connection, self.job, advances, tallies).await?,
            Opening::Ahead(turn) => {
                self.script.push(Part::Begin, database::begin(dialect), Vec::new());
                for rows in rows {
                    if self.is_loaded(rows) {
                        self.load_rows(rows).await?;
                    }
                }
                if !turn.await {
                    return Err(SinkError::GivenUp);
                }
                offsets::fence(&mut self.script, dialect, self.job, advances, tallies);
            }
        }
        Ok(())
    }

    /// Records a new version of the SQL, and makes sure that nobody has written the state that the batch was computed from.
    async fn compare_state(
        &mut self,
        readers: &mut [StateReader],
        versions: &Versions,
    ) -> Result<(), SinkError> {
        let Commit { advances, states, .. } = &self.prepared.commit;
        if !versions.is_due(advances) && !self.prepared.reads_state() {
            return Ok(());
        }
        self.send().await?;
        self.done.statements += versions.record(self.connection, self.job, advances).await?;
        // Why before the rows: a conflict is found before anything was sent for nothing.
        for (reader, change) in readers.iter_mut().zip(states) {
            self.done.statements += reader.verify(self.connection, change).await?;
        }
        Ok(())
    }

    async fn write_rows(&mut self) -> Result<(), SinkError> {
        for rows in &self.prepared.rows {
            self.done.rows += rows.len();
            if !self.is_loaded(rows) {
                for chunk in rows.chunks(&self.limits) {
                    let (sql, parameters) = (rows.sql(chunk.len()), rows.parameters(&chunk)?);
                    self.add(Part::Rows(rows), sql, parameters).await?;
                }
            } else if self.loads_left > 0 {
                // None are left if they were sent ahead.
                self.load_rows(rows).await?;
            }
        }
        Ok(())
    }

    async fn write_letters(&mut self, letters: &Letters<'a>) -> Result<(), SinkError> {
        for chunk in letters.chunks(&self.limits) {
            self.done.rows += chunk.len();
            let (sql, parameters) = (letters.sql(chunk.len()), letters.parameters(&chunk));
            self.add(Part::DeadLetters, sql, parameters).await?;
        }
        Ok(())
    }

    /// The statements that do not travel with others: old rows of state, and the marks of a replay.
    async fn write_alone(&mut self, readers: &[StateReader], versions: &Versions) -> Result<(), SinkError> {
        let Commit { advances, expire_before_ms, replayed, .. } = &self.prepared.commit;
        if self.prepared.writes_alone() {
            self.send().await?;
        }
        for (reader, before_ms) in readers.iter().zip(expire_before_ms) {
            let Some(before_ms) = before_ms else { continue };
            self.done.expired += reader.expire(self.connection, *before_ms, advances).await?;
            self.done.statements += 1;
        }
        self.done.statements += versions.record_replay(self.connection, replayed).await?;
        self.done.statements += replay::mark(self.connection, replayed).await?;
        Ok(())
    }

    fn is_loaded(&self, rows: &Rows) -> bool {
        self.can_load && load::fits(rows)
    }

    /// Loads the rows of an output, and tells when the last of all that are loaded are in flight.
    async fn load_rows(&mut self, rows: &'a Rows) -> Result<(), SinkError> {
        self.loads_left -= 1;
        let last = (self.loads_left == 0).then_some(&*self.prepared.sent);
        self.done.statements += load::send_text(self.connection, &mut self.script, rows, last).await?;
        Ok(())
    }

    /// Lets a statement travel with the others if it is small; otherwise sends it alone, after them.
    async fn add(
        &mut self,
        part: Part<'a>,
        sql: String,
        parameters: Vec<Value<'a>>,
    ) -> Result<(), SinkError> {
        let bytes = parameters.iter().map(Value::size).sum();
        if !self.script.has_room(bytes) {
            self.send().await?;
        }
        if self.script.has_room(bytes) {
            self.script.push(part, sql, parameters);
            return Ok(());
        }
        self.connection.execute(&sql, parameters).await.map_err(|error| part.failed(error))?;
        self.done.statements += 1;
        Ok(())
    }

    /// Sends the statements that wait.
    async fn send(&mut self) -> Result<(), SinkError> {
        self.done.statements += self.script.send(self.connection).await?;
        Ok(())
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
