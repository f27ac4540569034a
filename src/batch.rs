//! What flows between the stages: messages in, a decoded batch, the results of the views, and the commit that
//! ends a trigger. The types here carry data and know nothing of Kafka, Avro, SQL or a database; each stage
//! takes one of them and gives the next, so a trigger can be read as a chain of types.

mod hidden;
mod nulls;
mod polled;
mod results;

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{BooleanArray, RecordBatch};

use crate::diagnostic::Finding;

pub use nulls::Nulls;
pub use polled::{Limits, Polled, PutBack};
pub use results::{BatchRows, RelationRows, ViewResults, ViewTiming, owned};

/// One partition of one topic. Ordered by topic, then partition: the order of every lock this program takes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicPartition {
    pub topic: Arc<str>,
    pub partition: i32,
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]", self.topic, self.partition)
    }
}

/// The SQL of a job at one time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqlVersion {
    /// The same for the same texts, wherever and whenever.
    pub id: String,
    /// The text of each view by its name, as a JSON object.
    pub files: String,
}

/// What kind of fault an error is: what the engine does about it follows from this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A message is to blame: it becomes a dead letter, the others go on.
    Data,
    /// A server or the network is to blame: wait and try again.
    Infrastructure,
    /// Another instance owns the partition now: drop what was computed and ask again.
    Fenced,
    /// Another instance wrote state that this batch was computed from: compute it again.
    Conflict,
    /// Neither: the job stops.
    Other,
}

/// The headers of one message, in order; a header may have no value.
pub type Headers = Vec<(String, Option<Vec<u8>>)>;

/// The messages of one trigger (or a part of them), in topic, partition, offset order.
///
/// Payloads and keys of all messages share one allocation each; taking a part copies nothing.
#[derive(Clone, Debug)]
pub struct Messages {
    store: Arc<Store>,
    range: Range<usize>,
}

/// One Kafka record, borrowed from [`Messages`].
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    pub topic: &'a Arc<str>,
    pub partition: i32,
    pub offset: i64,
    /// Milliseconds since the epoch, UTC.
    pub timestamp_ms: Option<i64>,
    pub key: Option<&'a [u8]>,
    /// `None` is a tombstone.
    pub payload: Option<&'a [u8]>,
    pub headers: &'a [(String, Option<Vec<u8>>)],
}

impl<'a> Message<'a> {
    /// A message that is no more than its place.
    pub fn tombstone(topic: &'a Arc<str>, partition: i32, offset: i64) -> Self {
        Self { topic, partition, offset, timestamp_ms: None, key: None, payload: None, headers: &[] }
    }
}

/// What the headers of a message take.
fn header_bytes(headers: &[(String, Option<Vec<u8>>)]) -> usize {
    let each = headers
        .iter()
        .map(|(name, value)| name.len() + value.as_ref().map_or(0, Vec::len) + HEADER_OVERHEAD_BYTES);
    each.sum()
}

#[derive(Debug, Default)]
struct Store {
    topics: Vec<Arc<str>>,
    records: Vec<Record>,
    /// Keys and payloads, one after the other.
    bytes: Vec<u8>,
    /// By the record's place; most messages have no headers.
    headers: BTreeMap<u32, Headers>,
    /// By the record's place: why a message cannot be taken as it is.
    damage: BTreeMap<u32, String>,
    /// What the headers take.
    header_bytes: usize,
    /// The place of the next record. Records may be dropped, and a place is never given again.
    next_place: u32,
}

#[derive(Clone, Copy, Debug)]
struct Record {
    offset: i64,
    timestamp_ms: i64,
    start: usize,
    key_length: u32,
    payload_length: u32,
    partition: i32,
    topic: u16,
    /// The record's place when it was pushed, which is what its headers are kept under.
    place: u32,
}

/// Means "no key" and "no payload" in a record's lengths.
const ABSENT: u32 = u32::MAX;
/// Means "no timestamp".
const NO_TIMESTAMP: i64 = i64::MIN;
/// What a message costs besides its bytes: its record here and its row's fixed-width columns.
const MESSAGE_OVERHEAD_BYTES: usize = 48;
/// What a header costs besides its bytes: two vectors, their allocations, and its places in two columns.
const HEADER_OVERHEAD_BYTES: usize = 96;

/// Collects messages in the order they arrive and ends as [`Messages`].
#[derive(Debug, Default)]
pub struct MessagesBuilder {
    store: Store,
}

impl MessagesBuilder {
    /// Adds one message; its bytes are copied once.
    pub fn push(&mut self, message: Message<'_>) {
        let store = &mut self.store;
        let topic = match store.topics.iter().position(|topic| topic == message.topic) {
            Some(index) => index,
            None => {
                store.topics.push(Arc::clone(message.topic));
                store.topics.len() - 1
            }
        };
        let start = store.bytes.len();
        store.bytes.extend_from_slice(message.key.unwrap_or_default());
        store.bytes.extend_from_slice(message.payload.unwrap_or_default());
        let place = store.next_place;
        store.next_place += 1;
        if !message.headers.is_empty() {
            store.header_bytes += header_bytes(message.headers);
            store.headers.insert(place, message.headers.to_vec());
        }
        store.records.push(Record {
            offset: message.offset,
            timestamp_ms: message.timestamp_ms.unwrap_or(NO_TIMESTAMP),
            start,
            key_length: message.key.map_or(ABSENT, |key| key.len() as u32),
            payload_length: message.payload.map_or(ABSENT, |payload| payload.len() as u32),
            partition: message.partition,
            topic: topic as u16,
            place,
        });
    }

    /// The message that was added last could not be read as a whole, for this reason.
    pub fn note_damage(&mut self, reason: String) {
        if let Some(last) = self.store.records.last() {
            self.store.damage.insert(last.place, reason);
        }
    }

    pub fn len(&self) -> usize {
        self.store.records.len()
    }

    pub fn is_empty(&self) -> bool {
        self.store.records.is_empty()
    }

    /// Bytes held so far: payloads, keys, headers, and a fixed amount for each message.
    pub fn bytes(&self) -> usize {
        let Store { bytes, records, header_bytes, .. } = &self.store;
        bytes.len() + header_bytes + records.len() * MESSAGE_OVERHEAD_BYTES
    }

    /// Drops the messages of these partitions (they were revoked, or are read again).
    pub fn drop_partitions(&mut self, dropped: &[TopicPartition]) {
        let Store { topics, records, headers, damage, header_bytes: bytes, .. } = &mut self.store;
        records.retain(|record| {
            let topic = &topics[usize::from(record.topic)];
            let is_dropped = dropped.iter().any(|tp| tp.partition == record.partition && tp.topic == *topic);
            if is_dropped {
                *bytes -= headers.remove(&record.place).map_or(0, |headers| header_bytes(&headers));
                damage.remove(&record.place);
            }
            !is_dropped
        });
    }

    /// Sorts by topic, partition and offset, and leaves the builder empty.
    pub fn finish(&mut self) -> Messages {
        let mut store = std::mem::take(&mut self.store);
        store.sort_topics();
        let order = |record: &Record| (record.topic, record.partition, record.offset);
        if !store.records.is_sorted_by_key(order) {
            store.records.sort_by_key(order);
        }
        let range = 0..store.records.len();
        Messages { store: Arc::new(store), range }
    }
}

impl Store {
    /// Numbers the topics in the order of their names, so that records compare by the numbers.
    fn sort_topics(&mut self) {
        if self.topics.is_sorted() {
            return;
        }
        let mut sorted: Vec<usize> = (0..self.topics.len()).collect();
        sorted.sort_by_key(|topic| &self.topics[*topic]);
        let mut numbers = vec![0; sorted.len()];
        for (number, topic) in sorted.iter().enumerate() {
            numbers[*topic] = number as u16;
        }
        self.topics = sorted.into_iter().map(|topic| Arc::clone(&self.topics[topic])).collect();
        for record in &mut self.records {
            record.topic = numbers[usize::from(record.topic)];
        }
    }
}

impl Record {
    fn timestamp_ms(&self) -> Option<i64> {
        (self.timestamp_ms != NO_TIMESTAMP).then_some(self.timestamp_ms)
    }
}

impl Messages {
    /// No messages.
    pub fn empty() -> Self {
        MessagesBuilder::default().finish()
    }

    pub fn len(&self) -> usize {
        self.range.len()
    }

    pub fn is_empty(&self) -> bool {
        self.range.is_empty()
    }

    /// The message at `index`, counted from the start of this part.
    ///
    /// # Panics
    /// Where `index` is not below [`Messages::len`].
    pub fn get(&self, index: usize) -> Message<'_> {
        let record = &self.store.records[self.range.start + index];
        let key = (record.key_length != ABSENT).then_some(record.key_length as usize);
        let payload = (record.payload_length != ABSENT).then_some(record.payload_length as usize);
        let payload_start = record.start + key.unwrap_or(0);
        Message {
            topic: &self.store.topics[usize::from(record.topic)],
            partition: record.partition,
            offset: record.offset,
            timestamp_ms: record.timestamp_ms(),
            key: key.map(|length| &self.store.bytes[record.start..record.start + length]),
            payload: payload.map(|length| &self.store.bytes[payload_start..payload_start + length]),
            headers: self.store.headers.get(&record.place).map_or(&[], Vec::as_slice),
        }
    }

    /// Why the message at `index` is not whole; `None` if it is.
    ///
    /// # Panics
    /// As [`Messages::get`].
    pub fn damage(&self, index: usize) -> Option<&str> {
        if self.store.damage.is_empty() {
            return None;
        }
        let record = &self.store.records[self.range.start + index];
        self.store.damage.get(&record.place).map(String::as_str)
    }

    /// How many are of this partition.
    pub fn count_of(&self, partition: &TopicPartition) -> usize {
        let of = |record: &Record| (&self.store.topics[usize::from(record.topic)], record.partition);
        let wanted = (&partition.topic, partition.partition);
        let records = &self.store.records[self.range.clone()];
        let start = records.partition_point(|record| of(record) < wanted);
        records[start..].partition_point(|record| of(record) == wanted)
    }

    /// Which offsets it holds of each partition, in topic, partition order.
    pub fn extents(&self) -> Vec<Extent> {
        let mut records = &self.store.records[self.range.clone()];
        let mut extents = Vec::new();
        while let Some(first) = records.first() {
            let of = |record: &Record| (record.topic, record.partition);
            let (own, others) = records.split_at(records.partition_point(|record| of(record) <= of(first)));
            let topic = Arc::clone(&self.store.topics[usize::from(first.topic)]);
            let partition = TopicPartition { topic, partition: first.partition };
            let last = own.last().map_or(first.offset, |last| last.offset);
            extents.push(Extent { partition, first: first.offset, last });
            records = others;
        }
        extents
    }

    /// The time of each message, milliseconds since the epoch.
    pub fn timestamps_ms(&self) -> impl Iterator<Item = Option<i64>> {
        let records = self.store.records[self.range.clone()].iter();
        records.map(Record::timestamp_ms)
    }

    /// The time of the message at `index`, milliseconds since the epoch.
    ///
    /// # Panics
    /// As [`Messages::get`].
    pub fn timestamp_ms(&self, index: usize) -> Option<i64> {
        self.store.records[self.range.start + index].timestamp_ms()
    }

    /// Bytes of all keys and payloads.
    pub fn payload_bytes(&self) -> u64 {
        let length = |length: u32| if length == ABSENT { 0 } else { u64::from(length) };
        let records = self.store.records[self.range.clone()].iter();
        records.map(|record| length(record.key_length) + length(record.payload_length)).sum()
    }

    pub fn iter(&self) -> impl ExactSizeIterator<Item = Message<'_>> {
        (0..self.len()).map(|index| self.get(index))
    }

    /// The messages of a range of this part, sharing its memory.
    ///
    /// # Panics
    /// Where the range ends behind [`Messages::len`].
    pub fn slice(&self, range: Range<usize>) -> Self {
        assert!(range.end <= self.len(), "slice {range:?} of {} messages", self.len());
        let start = self.range.start;
        Self { store: Arc::clone(&self.store), range: start + range.start..start + range.end }
    }
}

/// How many of the recent messages of a partition became dead letters. It is stored beside the offset, so that
/// a restart continues to count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub messages: i64,
    pub dead_letters: i64,
}

/// A partition that this instance owns in the database: what a claim gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    pub partition: TopicPartition,
    /// Raised by each claim; a commit under an older one is refused.
    pub epoch: i64,
    /// The offset of the message to read next.
    pub next_offset: i64,
    /// Time of the last message that was processed, milliseconds since the epoch.
    pub message_time_ms: Option<i64>,
    pub tally: Tally,
}

/// Message times that a database can hold, milliseconds since the epoch: 0001-01-01 to 9999-12-31. Producers may set
/// any number; one beyond counts as none.
pub const MESSAGE_TIMES_MS: std::ops::RangeInclusive<i64> = -62_135_596_800_000..=253_402_300_799_999;

impl Claim {
    /// Whether the message before the claimed offset is not the one that this job has processed: the topic was deleted
    /// and created again. `offset` and `timestamp_ms` are those of a message of the partition; where its time was never
    /// stored, nothing is known.
    pub fn is_contradicted_by(&self, offset: i64, timestamp_ms: Option<i64>) -> bool {
        let (Some(stored), Some(found)) = (self.message_time_ms, timestamp_ms) else { return false };
        offset + 1 == self.next_offset && MESSAGE_TIMES_MS.contains(&found) && stored != found
    }
}

/// Where this instance is in a partition: what the database must have stored of it while no batch is in flight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    pub partition: TopicPartition,
    pub epoch: i64,
    /// The offset of the message to read next.
    pub next_offset: i64,
}

/// The messages that a batch holds of one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extent {
    pub partition: TopicPartition,
    /// The offset of the first of them.
    pub first: i64,
    /// The offset of the last of them.
    pub last: i64,
}

/// How far one batch moves one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advance {
    pub partition: TopicPartition,
    /// The epoch this instance took the partition with.
    pub epoch: i64,
    /// The position carried from the batch before: what the stored offset must still be.
    pub from: i64,
    /// The offset of the message to read next. Gaps in the offsets are inside `from..to`.
    pub to: i64,
    /// Time of the partition's last message in this batch, milliseconds since the epoch.
    pub message_time_ms: Option<i64>,
}

impl Advance {
    /// Whether it moves the partition over all of these messages.
    pub fn covers(&self, extent: &Extent) -> bool {
        self.partition == extent.partition && self.from <= extent.first && extent.last < self.to
    }
}

impl fmt::Display for Advance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} offsets {} to {}", self.partition, self.from, self.to - 1)
    }
}

/// Where in the chain a message failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    Decode,
    Sql,
    Write,
}

impl Stage {
    /// The word stored in `dead_letters.stage`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Decode => "decode",
            Self::Sql => "sql",
            Self::Write => "write",
        }
    }

    /// The stage of a stored word.
    pub fn of_name(name: &str) -> Option<Self> {
        [Self::Decode, Self::Sql, Self::Write].into_iter().find(|stage| stage.name() == name)
    }
}

/// A message that could not be processed, with everything needed to replay it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    pub partition: TopicPartition,
    pub offset: i64,
    pub timestamp_ms: Option<i64>,
    pub key: Option<Vec<u8>>,
    pub headers: Headers,
    pub payload: Option<Vec<u8>>,
    pub stage: Stage,
    /// Where in the payload, the SQL or the table: `byte 17`, `sql/a.sql`, `table.column`.
    pub place: String,
    /// Read from the database it is one text, as it was stored.
    pub reason: Finding,
    /// Not stored.
    pub kind: LetterKind,
}

/// What is known of why a message became a dead letter, besides its stage and the reason for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum LetterKind {
    #[default]
    Other,
    /// The database refused it with this error code.
    Refused(i64),
    /// Its payload is longer or shorter than the schema says, and ends in this field; empty outside of any.
    OtherEnd(String),
    /// Its batch shows that it was written with another schema.
    OtherSchema,
}

impl DeadLetter {
    /// What a place in the payload begins with; the number of the byte follows.
    pub const BYTE: &'static str = "byte ";

    /// Keeps `message` with the reason it failed for.
    pub fn new(message: Message<'_>, stage: Stage, place: String, reason: impl Into<Finding>) -> Self {
        Self {
            partition: TopicPartition { topic: Arc::clone(message.topic), partition: message.partition },
            offset: message.offset,
            timestamp_ms: message.timestamp_ms,
            key: message.key.map(<[u8]>::to_vec),
            headers: message.headers.to_vec(),
            payload: message.payload.map(<[u8]>::to_vec),
            stage,
            place,
            reason: reason.into(),
            kind: LetterKind::Other,
        }
    }

    /// The message that is kept.
    pub fn message(&self) -> Message<'_> {
        Message {
            topic: &self.partition.topic,
            partition: self.partition.partition,
            offset: self.offset,
            timestamp_ms: self.timestamp_ms,
            key: self.key.as_deref(),
            payload: self.payload.as_deref(),
            headers: &self.headers,
        }
    }
}

/// The messages of a trigger as Arrow: `batch` in SQL, and what could not be decoded.
#[derive(Clone, Debug)]
pub struct Decoded {
    /// One row a decoded message, in topic, partition, offset order.
    pub batch: RecordBatch,
    /// The place of each row's message among the messages. Those that are skipped, or dead letters, have no row.
    pub places: Vec<u32>,
    pub dead_letters: Vec<DeadLetter>,
}

/// What one batch does to one state table.
#[derive(Clone, Debug)]
pub struct StateChange {
    /// The new rows, one for each key, as [`StateChange::new_keys`] counts them: the columns of the table as SQL sees
    /// it, `_delete` where its view has it, then the program's own ([`VERSION_COLUMN`] and those below it).
    pub rows: RecordBatch,
    /// For each of the rows, whether the table had none with this key.
    pub new_keys: BooleanArray,
    /// What the batch was computed from: the key of each row that was read, and its version. `None` where the table
    /// follows the partitions of the messages, whose epochs then are fence enough.
    pub read: Option<RecordBatch>,
}

/// The column of a state table that each write of a row raises.
pub const VERSION_COLUMN: &str = "_version";
/// The column of a state table with the time of the newest message of the batches that wrote the row.
pub const MESSAGE_TIME_COLUMN: &str = "_message_time";
/// The columns of a state table that follows the partitions of the messages, with the one a row belongs to.
pub const PARTITION_COLUMNS: [&str; 2] = ["_kafka_topic", "_kafka_partition"];
/// The boolean column of a view with a key that says: delete the row of this key.
pub const DELETE_COLUMN: &str = "_delete";

/// Everything that one transaction writes.
#[derive(Clone, Debug, Default)]
pub struct Commit {
    /// In topic, partition order.
    pub advances: Vec<Advance>,
    /// The messages it was computed from. Each is covered by one of `advances`, or nothing is written; none at all where a
    /// replay marks their dead letters instead.
    pub extents: Vec<Extent>,
    /// One for each of `advances`, as it is with this batch; none at all leaves what is stored.
    pub tallies: Vec<Tally>,
    /// The rows of each output, in the order the outputs are configured in.
    pub outputs: Vec<Vec<RecordBatch>>,
    /// For each state table, in the order they are configured in; none at all where no message was computed.
    pub states: Vec<StateChange>,
    /// For each state table, the message time (milliseconds since the epoch) before which rows written last may be
    /// deleted; none at all where nothing expires.
    pub expire_before_ms: Vec<Option<i64>>,
    pub dead_letters: Vec<DeadLetter>,
    /// Of a replay: what becomes of the dead letters that are there.
    pub replayed: Replayed,
}

/// What a replay does to the dead letters that its messages come from.
#[derive(Clone, Debug, Default)]
pub struct Replayed {
    /// The job, or the fill of it, that could not process the messages.
    pub owner: String,
    /// Ids of those whose messages are processed with this commit.
    pub ids: Vec<i64>,
    pub failed: Vec<FailedAgain>,
}

/// A message that failed again: its dead letters stay, with the new stage, place and reason.
#[derive(Clone, Debug)]
pub struct FailedAgain {
    /// One, or several where the message had become a dead letter more than once.
    pub ids: Vec<i64>,
    pub letter: DeadLetter,
}

#[cfg(test)]
mod tests;
