//! The table of offsets: what is stored, who owns a partition, and the fence before each commit.

use super::columns::{WHERE_PARTITION, message_time, now, partition, partition_of};
use super::ddl::OFFSETS_TABLE;
use super::script::{Part, Script};
use super::{Outcome, Sink, SinkError};
use crate::batch::{Advance, Claim, Commit, Extent, Tally, TopicPartition};
use crate::database::{Connection, DatabaseError, Dialect, Value};

/// Rows of one statement of claims; a claim has four values.
const CLAIMS_MAX: usize = 1000;
/// What [`claim_of`] reads.
const CLAIM_COLUMNS: &str = "next_offset, epoch, recent_messages, recent_dead_letters, message_time";

impl Sink {
    /// The stored offset of each partition; `None` where the job never had it.
    pub async fn stored(&mut self, partitions: &[TopicPartition]) -> Result<Vec<Option<i64>>, SinkError> {
        let connection = self.link.ready().await?;
        let read = stored(connection, &self.job, partitions).await;
        Ok(self.link.done(read)?)
    }

    /// What is stored of all partitions of the job, also of those that others own.
    pub async fn progress(&mut self) -> Result<Vec<Claim>, SinkError> {
        let sql = format!(
            "SELECT {CLAIM_COLUMNS}, kafka_topic, kafka_partition FROM {OFFSETS_TABLE} WHERE job = ?"
        );
        let connection = self.link.ready().await?;
        let read = connection.query(&sql, vec![Value::text(self.job.clone())]).await;
        let rows = self.link.done(read)?;
        let claim = |row: &Vec<Value<'_>>| claim_of(row, partition_of(row, 5)?);
        Ok(rows.iter().filter_map(claim).collect())
    }

    /// True where any partition of the topic was ever claimed by this job: partitions that are new then are
    /// read from the earliest message.
    pub async fn knows_topic(&mut self, topic: &str) -> Result<bool, SinkError> {
        let sql = format!("SELECT 1 FROM {OFFSETS_TABLE} WHERE job = ? AND kafka_topic = ? LIMIT 1");
        let parameters = vec![Value::text(self.job.clone()), Value::text(topic.to_string())];
        let connection = self.link.ready().await?;
        let read = connection.query(&sql, parameters).await;
        Ok(!self.link.done(read)?.is_empty())
    }

    /// Others may have written since what is known to be stored.
    pub fn forget(&mut self) {
        self.versions.forget();
    }

    /// Makes this instance the owner of partitions, in one transaction: rows that are absent are made with the
    /// given start, epochs are raised by one, and offsets are read with the rows locked. Claims come in
    /// topic, partition order. When the answer to its COMMIT is lost, claiming again is right.
    pub async fn claim(&mut self, starts: &[(TopicPartition, i64)]) -> Result<Vec<Claim>, SinkError> {
        // Invariant: rows are locked in topic, partition order everywhere.
        let mut starts = starts.to_vec();
        starts.sort();
        starts.dedup_by(|a, b| a.0 == b.0);
        let Self { link, job, tables, fills, .. } = self;
        let connection = link.ready().await?;
        let claimed = match claim(connection, job, &starts).await {
            // Why after the rows are made: see `begin_fill`.
            Ok(claims) => fills.read(connection, job, &tables.names(), &claims).await.map(|()| claims),
            Err(error) => Err(error),
        };
        let claimed = match claimed {
            Ok(claims) => connection.commit().await.map(|()| claims),
            Err(error) => Err(error),
        };
        if claimed.is_err() && connection.rollback().await.is_err() {
            self.link.close();
        }
        Ok(self.link.done(claimed)?)
    }

    /// Stores how many messages became dead letters, and moves nothing. Partitions that another instance owns by now
    /// are left as they are.
    pub async fn store_tallies(&mut self, advances: &[Advance], tallies: &[Tally]) -> Result<(), SinkError> {
        let connection = self.link.ready().await?;
        let stored = store_tallies(connection, &self.job, advances, tallies).await;
        Ok(self.link.done(stored)?)
    }

    /// The result of a commit that ended in [`SinkError::UnknownOutcome`]: the stored offsets are read with
    /// their rows locked, which waits until the old session has ended.
    ///
    /// # Errors
    /// Infrastructure also while the old session still holds the rows; ask again then.
    pub async fn outcome(&mut self, advances: &[Advance]) -> Result<Outcome, SinkError> {
        let connection = self.link.ready().await?;
        let result = outcome(connection, &self.job, advances).await;
        let is_closed = matches!(&result, Err(error) if error.ends_connection());
        if is_closed || connection.rollback().await.is_err() {
            self.link.close();
        }
        self.link.done(Ok(()))?;
        result
    }
}

/// Invariant: no transaction holds a message that none of its offset moves covers: it would be stored again with the next one.
///
/// # Errors
/// [`SinkError::Uncovered`].
pub(super) fn check_covered(commit: &Commit) -> Result<(), SinkError> {
    let is_covered = |extent: &&Extent| {
        let found = commit.advances.binary_search_by(|advance| advance.partition.cmp(&extent.partition));
        found.is_ok_and(|index| commit.advances[index].covers(extent))
    };
    match commit.extents.iter().find(|extent| !is_covered(extent)) {
        Some(extent) => Err(SinkError::Uncovered(extent.clone())),
        None => Ok(()),
    }
}

/// Moves each partition, where it still is where this instance left it: the first statements of a transaction.
pub(super) fn fence<'a>(
    script: &mut Script<'a>,
    dialect: Dialect,
    job: &'a str,
    advances: &'a [Advance],
    tallies: &[Tally],
) {
    let sql = fence_sql(dialect);
    for (index, advance) in advances.iter().enumerate() {
        let mut parameters = vec![Value::Int(advance.to), message_time(advance.message_time_ms)];
        let count =
            |count: fn(&Tally) -> i64| tallies.get(index).map_or(Value::Null, |t| Value::Int(count(t)));
        parameters.extend([count(|tally| tally.messages), count(|tally| tally.dead_letters)]);
        parameters.extend(partition(job, &advance.partition));
        parameters.extend([Value::Int(advance.from), Value::Int(advance.epoch)]);
        script.push(Part::Fence(advance), sql.clone(), parameters);
    }
}

fn fence_sql(dialect: Dialect) -> String {
    let now = now(dialect);
    format!(
        "UPDATE {OFFSETS_TABLE} SET next_offset = ?, message_time = COALESCE(?, message_time), \
         recent_messages = COALESCE(?, recent_messages), recent_dead_letters = COALESCE(?, recent_dead_letters), \
         updated_at = {now} WHERE {WHERE_PARTITION} AND next_offset = ? AND epoch = ?"
    )
}

/// Stores tallies in the transaction that is open, or each alone.
pub(super) async fn store_tallies(
    connection: &mut Connection,
    job: &str,
    advances: &[Advance],
    tallies: &[Tally],
) -> Result<(), DatabaseError> {
    let sql = tally_sql();
    for (advance, tally) in advances.iter().zip(tallies) {
        let mut parameters = vec![Value::Int(tally.messages), Value::Int(tally.dead_letters)];
        parameters.extend(partition(job, &advance.partition));
        parameters.push(Value::Int(advance.epoch));
        connection.execute(&sql, parameters).await?;
    }
    Ok(())
}

fn tally_sql() -> String {
    format!(
        "UPDATE {OFFSETS_TABLE} SET recent_messages = ?, recent_dead_letters = ? WHERE {WHERE_PARTITION} AND epoch = ?"
    )
}

fn claim_sql(rows: usize, dialect: Dialect) -> String {
    let now = now(dialect);
    let on_present = match dialect {
        Dialect::Sqlite => "ON CONFLICT (job, kafka_topic, kafka_partition) DO UPDATE SET",
        _ => "ON DUPLICATE KEY UPDATE",
    };
    let rows = vec![format!("(?, ?, ?, ?, 1, {now})"); rows].join(", ");
    format!(
        "INSERT INTO {OFFSETS_TABLE} (job, kafka_topic, kafka_partition, next_offset, epoch, updated_at) \
         VALUES {rows} {on_present} epoch = {OFFSETS_TABLE}.epoch + 1, waiting = NULL, updated_at = {now}"
    )
}

/// A statement of each kind, for the server to check the user's rights.
pub(super) fn probes(dialect: Dialect) -> Vec<String> {
    vec![claim_sql(1, dialect), fence_sql(dialect), tally_sql()]
}

async fn stored(
    connection: &mut Connection,
    job: &str,
    partitions: &[TopicPartition],
) -> Result<Vec<Option<i64>>, DatabaseError> {
    let sql = format!("SELECT next_offset FROM {OFFSETS_TABLE} WHERE {WHERE_PARTITION}");
    let mut offsets = Vec::with_capacity(partitions.len());
    for wanted in partitions {
        let rows = connection.query(&sql, partition(job, wanted)).await?;
        offsets.push(rows.first().and_then(|row| row.first()).and_then(Value::as_i64));
    }
    Ok(offsets)
}

pub(super) async fn claim(
    connection: &mut Connection,
    job: &str,
    starts: &[(TopicPartition, i64)],
) -> Result<Vec<Claim>, DatabaseError> {
    connection.begin().await?;
    for starts in starts.chunks(CLAIMS_MAX) {
        let sql = claim_sql(starts.len(), connection.dialect());
        let mut parameters = Vec::with_capacity(starts.len() * 4);
        for (claimed, start) in starts {
            parameters.extend(partition(job, claimed));
            parameters.push(Value::Int(*start));
        }
        connection.execute(&sql, parameters).await?;
    }
    let mut claims = Vec::with_capacity(starts.len());
    for (claimed, _) in starts {
        let Some(claim) = locked(connection, job, claimed).await? else {
            return Err(DatabaseError::other(format!("{claimed} was deleted from {OFFSETS_TABLE}")));
        };
        claims.push(claim);
    }
    Ok(claims)
}

/// Raises the epoch of a partition in the transaction that is open: nobody else writes for it then. False where
/// nothing is stored of it.
pub(super) async fn raise_epoch(
    connection: &mut Connection,
    job: &str,
    raised: &TopicPartition,
) -> Result<bool, DatabaseError> {
    let sql = format!("UPDATE {OFFSETS_TABLE} SET epoch = epoch + 1 WHERE {WHERE_PARTITION}");
    Ok(connection.execute(&sql, partition(job, raised)).await? == 1)
}

/// Claims partitions and moves them, whatever is stored of them; the transaction stays open.
pub(super) async fn overwrite(
    connection: &mut Connection,
    job: &str,
    targets: &[(TopicPartition, i64)],
) -> Result<(), DatabaseError> {
    claim(connection, job, targets).await?;
    let now = now(connection.dialect());
    // What is known of the last message, and of dead letters, is of the place that is left.
    let sql = format!(
        "UPDATE {OFFSETS_TABLE} SET next_offset = ?, message_time = NULL, recent_messages = 0, \
         recent_dead_letters = 0, updated_at = {now} WHERE {WHERE_PARTITION}"
    );
    for (moved, target) in targets {
        let mut parameters = vec![Value::Int(*target)];
        parameters.extend(partition(job, moved));
        connection.execute(&sql, parameters).await?;
    }
    Ok(())
}

async fn outcome(connection: &mut Connection, job: &str, advances: &[Advance]) -> Result<Outcome, SinkError> {
    connection.begin().await?;
    let (mut moved, mut unmoved) = (0, 0);
    for advance in advances {
        let stored = locked(connection, job, &advance.partition).await?;
        match stored.map(|claim| (claim.next_offset, claim.epoch)) {
            Some((offset, epoch)) if epoch == advance.epoch && offset == advance.to => moved += 1,
            Some((offset, epoch)) if epoch == advance.epoch && offset == advance.from => unmoved += 1,
            // Another epoch, or offsets that were reset by hand.
            _ => return Ok(Outcome::Fenced),
        }
    }
    match (moved, unmoved) {
        (_, 0) => Ok(Outcome::Committed),
        (0, _) => Ok(Outcome::NotCommitted),
        _ => Err(SinkError::Sql(
            format!("{OFFSETS_TABLE} was changed by hand: a batch is stored in part").into(),
        )),
    }
}

/// What is stored of a partition, read with the row locked.
async fn locked(
    connection: &mut Connection,
    job: &str,
    wanted: &TopicPartition,
) -> Result<Option<Claim>, DatabaseError> {
    // SQLite: BEGIN IMMEDIATE has locked the file.
    let lock = if connection.dialect() == Dialect::Sqlite { "" } else { " FOR UPDATE" };
    let sql = format!("SELECT {CLAIM_COLUMNS} FROM {OFFSETS_TABLE} WHERE {WHERE_PARTITION}{lock}");
    let rows = connection.query(&sql, partition(job, wanted)).await?;
    Ok(rows.first().and_then(|row| claim_of(row, wanted.clone())))
}

/// What a row of [`CLAIM_COLUMNS`] says of a partition.
fn claim_of(row: &[Value<'_>], partition: TopicPartition) -> Option<Claim> {
    let number = |index: usize| row.get(index).and_then(Value::as_i64);
    let micros = row.get(4).and_then(Value::as_micros);
    Some(Claim {
        partition,
        next_offset: number(0)?,
        epoch: number(1)?,
        tally: Tally { messages: number(2)?, dead_letters: number(3)? },
        message_time_ms: micros.map(|micros| micros.div_euclid(1000)),
    })
}
