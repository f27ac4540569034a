//! Fills: outputs and state tables that are computed from the messages of the past, beside the job. Until a name is
//! filled, the job leaves it out.
//!
//! `realtime_fills` says of each name whether it is filled. How far a fill is, is stored in `realtime_offsets`, under the name
//! of the fill in place of the job's, so its batches are fenced as those of a job are. No two fills ever have the same name:
//! one that was taken for dead finds no row to move.
//!
//! Invariant: which names are filled changes only together with the epochs of all partitions of the job. An instance reads
//! the names when it claims partitions, so what it writes by an older answer is fenced.
//!
//! Invariant: a fill ends at the job's offsets. The last transaction locks the offsets of the job, compares them with its
//! own, and asks of each partition whether its owner has left the names out.

use std::collections::BTreeSet;

use super::columns::{WHERE_PARTITION, now, partition, partition_of, text};
use super::ddl::{DEAD_LETTERS_TABLE, FILLS_TABLE, OFFSETS_TABLE};
use super::letters::OF_FILL;
use super::offsets;
use super::script::Script;
use super::stored::{StateRows, clear};
use super::{Sink, SinkError};
use crate::batch::{Advance, Claim, TopicPartition};
use crate::database::{Address, Connection, DatabaseError, Dialect, Value, quote_table};
use crate::diagnostic::Finding;

/// One fill: the names that are filled together, and whose they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FillId {
    pub job: String,
    /// Outputs by their views, state tables by their own names; never empty.
    pub names: BTreeSet<String>,
}

/// How far the job is in one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    pub partition: TopicPartition,
    pub next_offset: i64,
    /// What its owner leaves out since it has claimed the partition.
    pub waiting: BTreeSet<String>,
}

/// How a fill begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begun {
    New,
    /// It was interrupted.
    Again,
}

/// What a sink knows of fills.
#[derive(Clone, Default)]
pub(super) struct Fills {
    /// What is not written before it is filled.
    configured: BTreeSet<String>,
    /// What is not written now.
    waiting: BTreeSet<String>,
}

/// A row of the table of fills.
struct FillRow {
    name: String,
    fill: String,
    is_finished: bool,
}

/// How rows are read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lock {
    None,
    Shared,
    Exclusive,
}

impl Lock {
    /// What follows SELECT. SQLite: BEGIN IMMEDIATE has locked the file.
    fn sql(self, dialect: Dialect) -> &'static str {
        match self {
            _ if dialect == Dialect::Sqlite => "",
            Self::None => "",
            Self::Shared => " LOCK IN SHARE MODE",
            Self::Exclusive => " FOR UPDATE",
        }
    }
}

impl Fills {
    pub fn of(configured: BTreeSet<String>) -> Self {
        Self { configured, waiting: BTreeSet::new() }
    }

    /// Another configuration; what waits stays as it is until the next claim.
    pub fn change(&mut self, configured: BTreeSet<String>) {
        self.configured = configured;
    }

    pub fn configured(&self) -> &BTreeSet<String> {
        &self.configured
    }

    pub fn waiting(&self) -> &BTreeSet<String> {
        &self.waiting
    }

    /// Reads, in the transaction that claims partitions, which of `names` wait, and stores it with these partitions.
    pub async fn read(
        &mut self,
        connection: &mut Connection,
        job: &str,
        names: &BTreeSet<String>,
        claims: &[Claim],
    ) -> Result<(), DatabaseError> {
        let rows = rows(connection, job, Lock::Shared).await?;
        self.waiting = waiting(&rows, &self.configured).intersection(names).cloned().collect();
        if self.waiting.is_empty() {
            return Ok(());
        }
        let left_out = serde_json::json!(self.waiting).to_string();
        for claim in claims {
            let mut parameters = vec![Value::text(left_out.clone())];
            parameters.extend(partition(job, &claim.partition));
            connection.execute(&left_out_sql(), parameters).await?;
        }
        Ok(())
    }

    /// Reads, in the transaction of a replay, what waits. Returns the names that are filled by `owner`; `None` if it is
    /// the job.
    ///
    /// # Errors
    /// A fill that has begun: nobody could tell whether it is past a message that is replayed now. Or the database's.
    pub async fn read_for_replay(
        &mut self,
        connection: &mut Connection,
        job: &str,
        owner: &str,
    ) -> Result<Option<BTreeSet<String>>, SinkError> {
        let rows = rows(connection, job, Lock::None).await?;
        if let Some(row) = rows.iter().find(|row| !row.is_finished) {
            let message = format!(
                "the fill of `{}` has begun and is not finished, so no dead letter can be replayed now",
                row.name
            );
            let found = Finding::new(message).with_hint(format!("let `fill {}` end first", row.name));
            return Err(SinkError::Sql(found));
        }
        self.waiting = waiting(&rows, &self.configured);
        if owner == job {
            return Ok(None);
        }
        let filled = rows.into_iter().filter(|row| row.fill == owner).map(|row| row.name);
        Ok(Some(filled.collect()))
    }
}

impl Sink {
    /// What of the `configured` names waits, and what is being filled, by a connection that only reads. Nothing but the
    /// configured names where no job has stored anything yet.
    pub async fn look_waiting(
        address: &Address,
        job: &str,
        configured: &BTreeSet<String>,
    ) -> Result<BTreeSet<String>, SinkError> {
        let Some(mut connection) = Connection::look(address).await? else { return Ok(configured.clone()) };
        if crate::database::table(&mut connection, FILLS_TABLE).await?.is_none() {
            return Ok(configured.clone());
        }
        Ok(waiting(&rows(&mut connection, job, Lock::None).await?, configured))
    }

    /// Begins a fill, or goes on with one that was interrupted; from here on this sink writes for it. The job leaves its
    /// names out: an instance that runs is fenced, and claims its partitions again. `tables` are those of the names.
    /// `clears`: their rows are deleted first.
    ///
    /// If its answer is lost, beginning again is right.
    ///
    /// # Errors
    /// Names that are filled already, or by another fill; tables that have rows; or the database does not answer, or
    /// refuses the statement.
    pub async fn begin_fill(
        &mut self,
        id: &FillId,
        tables: &[String],
        clears: bool,
    ) -> Result<Begun, SinkError> {
        let connection = self.link.ready().await?;
        let mut begun = begin(connection, id, tables, clears).await;
        if let Ok((Begun::New, _)) = begun
            && let Err(error) = settle(connection, id, tables, clears).await
        {
            begun = Err(error.into());
        }
        let (begun, fill) = self.kept(begun).await?;
        self.job = fill;
        Ok(self.link.done(Ok(begun))?)
    }

    /// Claims the positions of the fill that this sink writes for, as [`Sink::claim`] does. Those that are absent are made
    /// with the given start, and all are there or none.
    ///
    /// # Errors
    /// The fill has ended, or another one of its names has begun; or the database does not answer, or refuses the statement.
    pub async fn claim_fill(
        &mut self,
        id: &FillId,
        starts: &[(TopicPartition, i64)],
    ) -> Result<Vec<Claim>, SinkError> {
        let connection = self.link.ready().await?;
        let claimed = claim(connection, id, &self.job, starts).await;
        let claims = self.kept(claimed).await?;
        Ok(self.link.done(Ok(claims))?)
    }

    /// How far a job is in each of its partitions.
    pub async fn standings(&mut self, job: &str) -> Result<Vec<Standing>, SinkError> {
        let connection = self.link.ready().await?;
        let read = standings(connection, job, Lock::None).await;
        Ok(self.link.done(read)?)
    }

    /// Whether names are filled: the job writes them from where the fill ended.
    pub async fn is_filled(&mut self, id: &FillId) -> Result<bool, SinkError> {
        let connection = self.link.ready().await?;
        let read = rows(connection, &id.job, Lock::None).await;
        let rows = self.link.done(read)?;
        let is_filled = |name: &String| rows.iter().any(|row| row.name == *name && row.is_finished);
        Ok(id.names.iter().all(is_filled))
    }

    /// Begins the last transaction of a fill: the job waits for it. Returns how far the job is.
    ///
    /// # Errors
    /// The database does not answer, or refuses the statement; nothing is open then.
    pub async fn open_hand_over(&mut self, id: &FillId) -> Result<Vec<Standing>, SinkError> {
        let connection = self.link.ready().await?;
        let opened = open_hand_over(connection, id).await;
        self.kept(opened).await
    }

    /// Moves partitions in the transaction that is open.
    ///
    /// # Errors
    /// [`SinkError::Fenced`]; or the database does not answer, or refuses the statement. The transaction is rolled back.
    pub async fn fence(&mut self, advances: &[Advance]) -> Result<(), SinkError> {
        let connection = self.link.in_use()?;
        let mut script = Script::default();
        offsets::fence(&mut script, connection.dialect(), &self.job, advances, &[]);
        let fenced = script.send(connection).await.map(drop);
        self.kept(fenced).await
    }

    /// Of these stretches of partitions the messages that wait among the dead letters of a job, locked until the
    /// transaction that is open ends: a replay brings them in.
    ///
    /// # Errors
    /// The database does not answer, or refuses the statement; the transaction is rolled back.
    pub async fn waiting_letters(
        &mut self,
        job: &str,
        advances: &[Advance],
    ) -> Result<BTreeSet<(TopicPartition, i64)>, SinkError> {
        let connection = self.link.in_use()?;
        let read = waiting_letters(connection, job, advances).await.map_err(SinkError::from);
        self.kept(read).await
    }

    /// Hands names over to the job, in the transaction that [`Sink::open_hand_over`] began: from there, the job goes on
    /// with them.
    ///
    /// # Errors
    /// The database does not answer, or refuses the statement; the transaction is rolled back.
    pub async fn hand_over(&mut self, id: &FillId) -> Result<(), SinkError> {
        let connection = self.link.in_use()?;
        let handed_over = hand_over(connection, id, &self.job).await.map_err(SinkError::from);
        self.kept(handed_over).await
    }
}

/// What the job leaves out: what is configured so and not filled yet, and what is being filled.
fn waiting(rows: &[FillRow], configured: &BTreeSet<String>) -> BTreeSet<String> {
    let is_finished = |name: &&String| rows.iter().any(|row| row.name == **name && row.is_finished);
    let configured = configured.iter().filter(|name| !is_finished(name)).cloned();
    configured.chain(rows.iter().filter(|row| !row.is_finished).map(|row| row.name.clone())).collect()
}

async fn begin(
    connection: &mut Connection,
    id: &FillId,
    tables: &[String],
    clears: bool,
) -> Result<(Begun, String), SinkError> {
    connection.begin().await?;
    let FillId { job, names } = id;
    // Invariant: rows of offsets are locked first, as each claim does. No batch of the job is being committed then.
    standings(connection, job, Lock::Exclusive).await?;
    let rows = rows(connection, job, Lock::Exclusive).await?;
    check_together(&rows, names)?;
    let of_names: Vec<&FillRow> = rows.iter().filter(|row| names.contains(&row.name)).collect();
    if let Some(begun) = of_names.iter().find(|row| !row.is_finished).filter(|_| !clears)
        // Before the first claim nothing is filled, and rows may be left that were to be deleted.
        && !standings(connection, &begun.fill, Lock::None).await?.is_empty()
    {
        connection.rollback().await?;
        return Ok((Begun::Again, begun.fill.clone()));
    }
    if let Some(row) = of_names.iter().find(|row| row.is_finished).filter(|_| !clears) {
        let found = Finding::new(format!("`{}` is filled already, and the job writes it", row.name));
        return Err(SinkError::Sql(found.with_hint("`--clear` deletes its rows and fills it again")));
    }
    // Why: a replay that has begun writes these names, too. It holds its dead letters until it is committed.
    let lock = Lock::Exclusive.sql(connection.dialect());
    let sql =
        format!("SELECT COUNT(*) FROM {DEAD_LETTERS_TABLE} WHERE job = ? AND replayed_at IS NULL{lock}");
    connection.query(&sql, vec![Value::text(job.clone())]).await?;
    if !clears {
        check_empty(connection, tables).await?;
    }
    for row in &of_names {
        connection.execute(DELETE_POSITIONS_SQL, vec![Value::text(row.fill.clone())]).await?;
        // Why: the messages that the fill before could not process are processed again.
        connection.execute(DELETE_LETTERS_SQL, vec![Value::text(row.fill.clone())]).await?;
    }
    let numbers = of_names.iter().filter_map(|row| row.fill.rsplit_once('/')?.1.parse::<u64>().ok());
    let number = numbers.max().map_or(1, |last| last + 1);
    let fill = format!("{job}{OF_FILL}{}/{number}", names.first().map_or("", String::as_str));
    for name in names {
        connection.execute(DELETE_SQL, vec![Value::text(job.clone()), Value::text(name.clone())]).await?;
        let row = [job, name, &fill].map(|text| Value::text(text.clone()));
        connection.execute(&insert_sql(connection.dialect()), row.into()).await?;
    }
    connection.execute(RAISE_SQL, vec![Value::text(job.clone())]).await?;
    connection.commit().await?;
    Ok((Begun::New, fill))
}

/// What follows when a fill has begun.
async fn settle(
    connection: &mut Connection,
    id: &FillId,
    tables: &[String],
    clears: bool,
) -> Result<(), DatabaseError> {
    // Why once more: an instance may have claimed a partition that was not there yet, and have read the table of fills
    // before this one was in it. Its row is there by now, and this statement waits for it.
    connection.execute(RAISE_SQL, vec![Value::text(id.job.clone())]).await?;
    let all = tables.iter().map(|table| StateRows { table: table.clone(), partitions: None });
    let all: Vec<StateRows> = all.filter(|_| clears).collect();
    clear(connection, &all).await
}

/// Refuses names of which a fill has some that has others too, or has some and others have not begun.
fn check_together(rows: &[FillRow], names: &BTreeSet<String>) -> Result<(), SinkError> {
    let is_begun = |row: &&FillRow| !row.is_finished;
    let Some(begun) = rows.iter().filter(is_begun).find(|row| names.contains(&row.name)) else {
        return Ok(());
    };
    let together = rows.iter().filter(is_begun).filter(|row| row.fill == begun.fill);
    let together: BTreeSet<&String> = together.map(|row| &row.name).collect();
    if together.iter().copied().eq(names) {
        return Ok(());
    }
    let together: Vec<&str> = together.into_iter().map(String::as_str).collect();
    let found = Finding::new(format!("a fill of {} has begun and is not finished", together.join(", ")));
    Err(SinkError::Sql(found.with_hint(format!("continue it with `fill {}`", together.join(" ")))))
}

async fn check_empty(connection: &mut Connection, tables: &[String]) -> Result<(), SinkError> {
    for table in tables {
        let sql = format!("SELECT 1 FROM {} LIMIT 1", quote_table(table, connection.dialect()));
        if !connection.query(&sql, Vec::new()).await?.is_empty() {
            let found =
                Finding::new(format!("{table} has rows already, which the fill would make once more"));
            return Err(SinkError::Sql(found.with_hint("`--clear` deletes them first")));
        }
    }
    Ok(())
}

/// Claims the positions of a fill, in a transaction of its own.
async fn claim(
    connection: &mut Connection,
    id: &FillId,
    fill: &str,
    starts: &[(TopicPartition, i64)],
) -> Result<Vec<Claim>, SinkError> {
    let claims = offsets::claim(connection, fill, starts).await?;
    let rows = rows(connection, &id.job, Lock::Shared).await?;
    // Invariant: positions are made only for the fill that the names have. It may have been begun again meanwhile.
    if !rows.iter().any(|row| row.fill == fill && !row.is_finished) {
        return Err(SinkError::Sql("another fill of these names has begun, or this one has ended".into()));
    }
    connection.commit().await?;
    Ok(claims)
}

async fn open_hand_over(connection: &mut Connection, id: &FillId) -> Result<Vec<Standing>, SinkError> {
    connection.begin().await?;
    // Why first: an instance that claims a partition which is new has made its row when it waits for this one, or reads
    // that the names are handed over.
    rows(connection, &id.job, Lock::Exclusive).await?;
    Ok(standings(connection, &id.job, Lock::Exclusive).await?)
}

async fn hand_over(connection: &mut Connection, id: &FillId, fill: &str) -> Result<(), DatabaseError> {
    let sql = finish_sql(connection.dialect());
    for name in &id.names {
        let row = vec![Value::text(id.job.clone()), Value::text(name.clone())];
        connection.execute(&sql, row).await?;
    }
    connection.execute(DELETE_POSITIONS_SQL, vec![Value::text(fill.to_owned())]).await?;
    connection.execute(RAISE_SQL, vec![Value::text(id.job.clone())]).await.map(drop)
}

async fn rows(connection: &mut Connection, job: &str, lock: Lock) -> Result<Vec<FillRow>, DatabaseError> {
    let sql = format!("{ROWS_SQL}{}", lock.sql(connection.dialect()));
    let rows = connection.query(&sql, vec![Value::text(job.to_owned())]).await?;
    let read = |row: &Vec<Value<'_>>| {
        let is_finished = row.get(2).and_then(Value::as_i64) == Some(1);
        Some(FillRow { name: text(row, 0)?, fill: text(row, 1)?, is_finished })
    };
    Ok(rows.iter().filter_map(read).collect())
}

async fn standings(
    connection: &mut Connection,
    job: &str,
    lock: Lock,
) -> Result<Vec<Standing>, DatabaseError> {
    let sql = format!("{STANDINGS_SQL}{}", lock.sql(connection.dialect()));
    let rows = connection.query(&sql, vec![Value::text(job.to_owned())]).await?;
    let read = |row: &Vec<Value<'_>>| {
        let waiting = row.get(3).and_then(Value::as_text);
        Some(Standing {
            partition: partition_of(row, 0)?,
            next_offset: row.get(2).and_then(Value::as_i64)?,
            waiting: waiting.and_then(|names| serde_json::from_str(names).ok()).unwrap_or_default(),
        })
    };
    Ok(rows.iter().filter_map(read).collect())
}

async fn waiting_letters(
    connection: &mut Connection,
    job: &str,
    advances: &[Advance],
) -> Result<BTreeSet<(TopicPartition, i64)>, DatabaseError> {
    let sql = format!(
        "SELECT kafka_offset FROM {DEAD_LETTERS_TABLE} WHERE {WHERE_PARTITION} AND kafka_offset >= ? \
         AND kafka_offset < ? AND replayed_at IS NULL{}",
        Lock::Shared.sql(connection.dialect())
    );
    let mut waiting = BTreeSet::new();
    for advance in advances {
        let mut parameters = partition(job, &advance.partition);
        parameters.extend([Value::Int(advance.from), Value::Int(advance.to)]);
        for row in connection.query(&sql, parameters).await? {
            waiting.extend(row.first().and_then(Value::as_i64).map(|at| (advance.partition.clone(), at)));
        }
    }
    Ok(waiting)
}

const ROWS_SQL: &str =
    "SELECT name, fill, CASE WHEN finished_at IS NULL THEN 0 ELSE 1 END FROM realtime_fills WHERE job = ?";
const STANDINGS_SQL: &str = "SELECT kafka_topic, kafka_partition, next_offset, waiting FROM realtime_offsets \
    WHERE job = ? ORDER BY kafka_topic, kafka_partition";
const DELETE_POSITIONS_SQL: &str = "DELETE FROM realtime_offsets WHERE job = ?";
const DELETE_LETTERS_SQL: &str = "DELETE FROM dead_letters WHERE job = ?";
const RAISE_SQL: &str = "UPDATE realtime_offsets SET epoch = epoch + 1 WHERE job = ?";
const DELETE_SQL: &str = "DELETE FROM realtime_fills WHERE job = ? AND name = ?";

fn insert_sql(dialect: Dialect) -> String {
    format!("INSERT INTO {FILLS_TABLE} (job, name, fill, started_at) VALUES (?, ?, ?, {})", now(dialect))
}

fn finish_sql(dialect: Dialect) -> String {
    format!("UPDATE {FILLS_TABLE} SET finished_at = {} WHERE job = ? AND name = ?", now(dialect))
}

fn left_out_sql() -> String {
    format!("UPDATE {OFFSETS_TABLE} SET waiting = ? WHERE {WHERE_PARTITION}")
}

/// A statement of each kind, for the server to check the user's rights.
pub(super) fn probes(dialect: Dialect) -> Vec<String> {
    vec![ROWS_SQL.to_owned(), DELETE_SQL.to_owned(), insert_sql(dialect), finish_sql(dialect)]
}
