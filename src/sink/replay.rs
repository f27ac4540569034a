//! The transaction of a replay: dead letters are locked, their messages computed in it, and marked in it, so that each
//! is replayed once, however many replays run at a time and whatever is killed.
//!
//! Where state follows the partitions of messages, the epoch of a partition is all that keeps another writer out. A
//! replay raises it: an instance of the job that holds rows of state is fenced, and reads them again.

use std::collections::{BTreeMap, BTreeSet};

use super::columns::now;
use super::ddl::{DEAD_LETTERS_TABLE, OFFSETS_TABLE};
use super::dead_letters::{letter_refused, verdict};
use super::offsets::raise_epoch;
use super::{Sink, SinkError};
use crate::batch::{Replayed, TopicPartition};
use crate::database::{Connection, Dialect, Value};
use crate::diagnostic::Finding;

/// Ids of one statement, at most.
const STATEMENT_IDS_MAX: usize = 1_000;

/// For each dead letter that is named and waits: all of its message that wait, itself among them.
pub type Waiting = BTreeMap<i64, Vec<i64>>;

/// What the transaction of a replay holds.
#[derive(Debug)]
pub struct OpenedReplay {
    pub waiting: Waiting,
    /// The outputs and state tables that lack the messages, if a fill could not process them; the others have them.
    pub only: Option<BTreeSet<String>>,
}

impl Sink {
    /// Begins the transaction of a replay: takes the partitions in `fenced` from the instance that writes for them, and
    /// locks those of the dead letters `ids` of `owner` that wait; it is the job, or one of its fills.
    /// [`Sink::locked_rows`] reads state in it, and [`Sink::finish`] or [`Sink::abandon`] end it.
    ///
    /// A message may have become a dead letter more than once, after its offset was reset: those that are equal in all
    /// that Kafka said of it count as one.
    ///
    /// # Errors
    /// The database does not answer, or refuses the statement, or a partition of which nothing is stored; nothing is open then.
    pub async fn open_replay(
        &mut self,
        owner: &str,
        ids: &[i64],
        fenced: &[TopicPartition],
    ) -> Result<OpenedReplay, SinkError> {
        let Self { link, job, fills, .. } = self;
        let connection = link.ready().await?;
        let opened = match open(connection, job, owner, ids, fenced).await {
            // Why when they are locked: a fill locks them too, so one that begins now leaves them to this replay or
            // refuses it.
            Ok(waiting) => {
                fills.read_for_replay(connection, job, owner).await.map(|only| OpenedReplay { waiting, only })
            }
            Err(error) => Err(error),
        };
        if opened.is_err() {
            self.abandon().await;
        }
        opened
    }
}

async fn open(
    connection: &mut Connection,
    job: &str,
    owner: &str,
    ids: &[i64],
    fenced: &[TopicPartition],
) -> Result<Waiting, SinkError> {
    connection.begin().await?;
    // Invariant: rows of offsets are locked first, in topic, partition order, as each batch of the job does.
    for partition in fenced {
        if !raise_epoch(connection, job, partition).await? {
            let message =
                format!("{OFFSETS_TABLE} has no row of {partition}, which would keep a running job out");
            return Err(SinkError::Sql(Finding::new(message).with_hint("start the job once")));
        }
    }
    let mut waiting = Waiting::new();
    for ids in ids.chunks(STATEMENT_IDS_MAX) {
        let sql = waiting_sql(ids.len(), connection.dialect());
        let parameters = named(owner, ids);
        for row in connection.query(&sql, parameters).await? {
            let id = |index: usize| row.get(index).and_then(Value::as_i64);
            if let (Some(named), Some(equal)) = (id(0), id(1)) {
                waiting.entry(named).or_default().push(equal);
            }
        }
    }
    Ok(waiting)
}

fn waiting_sql(ids: usize, dialect: Dialect) -> String {
    let (is_same, lock) = match dialect {
        // BEGIN IMMEDIATE has locked the file.
        Dialect::Sqlite => ("IS", ""),
        Dialect::MySql | Dialect::MariaDb => ("<=>", " FOR UPDATE"),
    };
    let columns = ["job", "kafka_topic", "kafka_partition", "kafka_offset"];
    let place = columns.map(|column| format!("equal.{column} = named.{column}")).join(" AND ");
    let content = ["kafka_timestamp", "kafka_key", "payload"];
    let content = content.map(|column| format!("equal.{column} {is_same} named.{column}")).join(" AND ");
    format!(
        "SELECT named.id, equal.id FROM {DEAD_LETTERS_TABLE} named JOIN {DEAD_LETTERS_TABLE} equal \
         ON {place} AND {content} WHERE named.job = ? AND named.id IN ({}) AND named.replayed_at IS NULL \
         AND equal.replayed_at IS NULL{lock}",
        vec!["?"; ids].join(",")
    )
}

/// Marks dead letters as replayed, and says of those that failed again why. Returns the number of statements.
pub(super) async fn mark(connection: &mut Connection, replayed: &Replayed) -> Result<usize, SinkError> {
    let owner = replayed.owner.as_str();
    let mut statements = 0;
    for ids in replayed.ids.chunks(STATEMENT_IDS_MAX) {
        let set = format!("replayed_at = {}", now(connection.dialect()));
        let marked = connection.execute(&mark_sql(&set, ids.len()), named(owner, ids)).await;
        statements += 1;
        // Invariant: a message is marked once. They are locked, so this holds unless the lock was taken out.
        if marked.map_err(letter_refused)? != ids.len() as u64 {
            return Err(SinkError::Conflict { table: DEAD_LETTERS_TABLE.into() });
        }
    }
    for failed in &replayed.failed {
        for ids in failed.ids.chunks(STATEMENT_IDS_MAX) {
            let mut parameters: Vec<Value<'_>> = verdict(&failed.letter).into();
            parameters.extend(named(owner, ids));
            let sql = mark_sql("stage = ?, place = ?, reason = ?", ids.len());
            connection.execute(&sql, parameters).await.map_err(letter_refused)?;
            statements += 1;
        }
    }
    Ok(statements)
}

fn mark_sql(set: &str, ids: usize) -> String {
    let places = vec!["?"; ids].join(",");
    format!(
        "UPDATE {DEAD_LETTERS_TABLE} SET {set} WHERE job = ? AND replayed_at IS NULL AND id IN ({places})"
    )
}

fn named<'a>(owner: &'a str, ids: &[i64]) -> Vec<Value<'a>> {
    let ids = ids.iter().copied().map(Value::Int);
    std::iter::once(Value::text(owner)).chain(ids).collect()
}
