//! Kafka, as a member of the consumer group `job`. A thread of its own polls librdkafka into the batch that is
//! being collected ([`poller`]); the engine takes that batch when it has time for one. Nothing is read of a
//! partition before the engine has claimed it in the database and said where to start.

mod browse;
mod lookup;
mod poller;

use std::collections::{BTreeMap, VecDeque};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use tokio::sync::Notify;

use super::{Bounds, Event, Fill, PartitionEnd, Source, SourceError};
use crate::batch::{Advance, Claim, MessagesBuilder, Polled, TopicPartition};
use crate::config::KafkaConfig;
use lookup::bounds_of;
use poller::{Context, Poller};

pub use browse::Range;
pub(crate) use browse::{Browser, first_ranges, last_ranges, partition};
pub(crate) use lookup::{TopicLookup, check_properties, partitions_of};
pub(crate) use poller::{headers, timestamp};

/// How long a question to the broker may take, at the start and at each assignment.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(10);
/// Commands that may wait for the polling thread: one a partition change, and the goodbye.
const COMMANDS_MAX: usize = 64;
/// librdkafka holds at least this many messages of a partition ready.
const QUEUED_MESSAGES_MIN: usize = 5_000;
/// Bytes that one fetch brings of one partition: a small message costs librdkafka some hundred bytes besides.
const FETCH_PARTITION_BYTES: usize = 256 << 10;

/// What one batch may hold.
#[derive(Clone, Copy, Debug)]
pub struct BatchLimits {
    pub rows_max: usize,
    pub bytes_max: usize,
}

/// A member of the job's consumer group.
pub struct KafkaSource {
    shared: Arc<Shared>,
    commands: SyncSender<Command>,
    consumer: Option<Arc<BaseConsumer<Context>>>,
    thread: Option<JoinHandle<()>>,
    /// Whether the end matters: otherwise it is never said.
    until_caught_up: bool,
}

/// What the engine asks the polling thread to do.
#[derive(Debug)]
enum Command {
    /// Each with the offset that reading starts at.
    Assign(Vec<(TopicPartition, i64)>),
    Stored(Vec<(TopicPartition, i64)>),
    Rejoin,
    Close,
}

/// What the engine and the polling thread share.
#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// Told when the engine may have something to do.
    changed: Notify,
    /// Told when there is room in the batch again.
    room: Condvar,
    /// Told when revoked partitions are released.
    released: Condvar,
}

#[derive(Debug, Default)]
struct State {
    events: VecDeque<Result<Event, SourceError>>,
    batch: MessagesBuilder,
    is_full: bool,
    /// Messages that the engine waits for.
    wanted: usize,
    /// Messages of one batch, at most, where that is fewer than configured.
    rows_limit: Option<usize>,
    /// Every partition the group gave to this instance; `None` until the engine has claimed it.
    slots: BTreeMap<TopicPartition, Option<Slot>>,
    /// Whether the group has said what this instance gets.
    has_joined: bool,
    /// What librdkafka said about the error that the next poll gives.
    reason: String,
    /// Whether the engine has something of revoked partitions in hand.
    is_releasing: bool,
    /// Whether the engine has gone: nobody releases anything any more.
    is_closing: bool,
}

#[derive(Clone, Debug)]
struct Slot {
    /// What was claimed.
    claim: Claim,
    /// The offset behind the last batch that was taken.
    taken: i64,
    /// The offset behind the last message that was collected.
    next: i64,
    last_timestamp_ms: Option<i64>,
    /// The end when the partition was assigned.
    target: i64,
    /// The end as it was seen last.
    end: i64,
    /// Whether the end was reached since the last message: gaps of transactions leave `next` below it.
    is_at_end: bool,
    /// `next` as it was when the statistics said that all up to `target` was fetched.
    fetched_at: Option<i64>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Why: no code panics while it holds this lock, and the state is whole between any two statements.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl KafkaSource {
    /// Connects, checks that the topics are there and joins the group. Blocks while the broker answers.
    ///
    /// # Errors
    /// [`SourceError::Unavailable`] where no broker answers within 10 s, [`SourceError::Broken`] where a topic
    /// is missing, a property is refused or rights are missing.
    pub fn connect(
        config: &KafkaConfig,
        job: &str,
        limits: BatchLimits,
        memory_max: usize,
        until_caught_up: bool,
    ) -> Result<Self, SourceError> {
        let shared = Arc::new(Shared::default());
        let context = Context::new(Arc::clone(&shared));
        let client = client_config(config, job, memory_max);
        let consumer: BaseConsumer<Context> = client.create_with_context(context).map_err(refused)?;
        for topic in &config.topics {
            partitions_of(&consumer, &config.server, topic)?;
        }
        let topics: Vec<&str> = config.topics.iter().map(String::as_str).collect();
        consumer.subscribe(&topics).map_err(|error| {
            SourceError::Broken(format!("cannot subscribe to {}: {error}", topics.join(", ")))
        })?;
        let consumer = Arc::new(consumer);
        let (commands, receiver) = sync_channel(COMMANDS_MAX);
        let poller = Poller::new(Arc::clone(&consumer), Arc::clone(&shared), receiver, limits, topics);
        let thread = std::thread::Builder::new()
            .name("kafka-poll".into())
            .spawn(move || poller.run())
            .map_err(|error| SourceError::Broken(format!("no thread for polling: {error}")))?;
        Ok(Self { shared, commands, consumer: Some(consumer), thread: Some(thread), until_caught_up })
    }

    fn send(&self, command: Command) {
        // Why: the thread ends only after `Close` or a fatal error, which stands among the events then.
        let _ = self.commands.send(command);
    }
}

/// The properties of every client of this program, with the user's on top.
pub(crate) fn base_config(config: &KafkaConfig) -> ClientConfig {
    let mut client = ClientConfig::new();
    client
        .set("bootstrap.servers", &config.server)
        .set("client.id", "realtime-processor")
        .set("socket.nagle.disable", "true")
        .set("reconnect.backoff.max.ms", "1000")
        .set("allow.auto.create.topics", "false");
    for (name, value) in &config.properties {
        client.set(name, value);
    }
    client
}

fn client_config(config: &KafkaConfig, job: &str, memory_max: usize) -> ClientConfig {
    let is_new_protocol = config.properties.get("group.protocol").is_some_and(|name| name == "consumer");
    // An eighth of the memory is for what librdkafka holds ready, a sixteenth for what is on its way to it.
    let queue_kbytes = (memory_max / 8 / 1024).max(1024);
    let fetch_bytes = (memory_max / 16).clamp(1 << 20, 50 << 20);
    let mut client = ClientConfig::new();
    client
        .set("statistics.interval.ms", "1000")
        .set("queued.min.messages", QUEUED_MESSAGES_MIN.to_string())
        .set("fetch.max.bytes", fetch_bytes.to_string())
        .set("fetch.message.max.bytes", FETCH_PARTITION_BYTES.to_string())
        .set("fetch.queue.backoff.ms", "5")
        .set("fetch.error.backoff.ms", "100")
        .set("topic.metadata.refresh.interval.ms", "30000");
    if !is_new_protocol {
        client.set("session.timeout.ms", "6000").set("heartbeat.interval.ms", "2000");
    }
    for (name, value) in base_config(config).config_map() {
        client.set(name, value);
    }
    client
        .set("group.id", job)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "error")
        .set("isolation.level", "read_committed")
        .set("enable.partition.eof", "true")
        .set("queued.max.messages.kbytes", queue_kbytes.to_string());
    if !is_new_protocol {
        client.set("partition.assignment.strategy", "cooperative-sticky");
    }
    if let Some(instance) = &config.instance {
        client.set("group.instance.id", instance);
    }
    client
}

/// A client that librdkafka refuses to make: a property is wrong.
pub(crate) fn refused(error: KafkaError) -> SourceError {
    let message = match &error {
        KafkaError::ClientConfig(_, description, name, value) => {
            let hint = if !cfg!(feature = "tls") && (name.starts_with("ssl.") || value.contains("SSL")) {
                "\nhint: this program was built without TLS; build it with `--features tls`"
            } else {
                "\nhint: see kafka_properties in the configuration"
            };
            format!("librdkafka refuses the property {name}={value}: {description}{hint}")
        }
        error => format!("librdkafka cannot make a client: {error}\nhint: see kafka_properties"),
    };
    SourceError::Broken(message)
}

impl Source for KafkaSource {
    async fn next(&mut self, fill: Fill) -> Result<Event, SourceError> {
        loop {
            if let Some(event) = self.shared.lock().next_event(fill, self.until_caught_up) {
                return event;
            }
            self.shared.changed.notified().await;
        }
    }

    async fn bounds(&mut self, partitions: &[TopicPartition]) -> Result<Vec<Bounds>, SourceError> {
        let Some(consumer) = self.consumer.clone() else {
            return Err(SourceError::Broken("the source is closed".into()));
        };
        let partitions = partitions.to_vec();
        let asked = tokio::task::spawn_blocking(move || {
            partitions.iter().map(|partition| bounds_of(&consumer, partition)).collect()
        });
        asked.await.map_err(|error| SourceError::Broken(format!("asking for offsets failed: {error}")))?
    }

    fn assign(&mut self, claims: &[Claim], bounds: &[Bounds]) {
        let mut state = self.shared.lock();
        let mut starts = Vec::new();
        for claim in claims {
            // A partition that was revoked meanwhile has no slot any more.
            let Some(slot) = state.slots.get_mut(&claim.partition) else { continue };
            let bounds = bounds.iter().find(|bounds| bounds.partition == claim.partition);
            let (low, high) = bounds.map_or((claim.next_offset, 0), |bounds| (bounds.low, bounds.high));
            // Why: the message before is read as well where it is there, to see whether it is the one that was processed.
            let is_known = claim.message_time_ms.is_some() && claim.next_offset > low;
            starts.push((claim.partition.clone(), claim.next_offset - i64::from(is_known)));
            *slot = Some(Slot {
                claim: claim.clone(),
                taken: claim.next_offset,
                next: claim.next_offset,
                last_timestamp_ms: None,
                target: high,
                end: high,
                is_at_end: false,
                fetched_at: None,
            });
        }
        drop(state);
        self.send(Command::Assign(starts));
    }

    fn release(&mut self) {
        self.shared.lock().is_releasing = false;
        self.shared.released.notify_one();
    }

    fn limit(&mut self, rows_max: usize) {
        self.shared.lock().rows_limit = Some(rows_max.max(1));
    }

    fn take(&mut self) -> Polled {
        let polled = self.shared.lock().take();
        self.shared.room.notify_one();
        polled
    }

    fn rejoin(&mut self) {
        self.send(Command::Rejoin);
    }

    fn stored(&mut self, advances: &[Advance]) {
        let offsets = advances.iter().map(|advance| (advance.partition.clone(), advance.to)).collect();
        // Why: only people's tools read these, so a full queue drops them; the next commit says more anyway.
        let _ = self.commands.try_send(Command::Stored(offsets));
    }

    fn ends(&self) -> Vec<PartitionEnd> {
        let state = self.shared.lock();
        let ends = state.slots.iter().filter_map(|(partition, slot)| {
            let slot = slot.as_ref()?;
            let end = if slot.is_at_end { slot.next } else { slot.end.max(slot.next) };
            Some(PartitionEnd { partition: partition.clone(), end })
        });
        ends.collect()
    }

    async fn close(mut self) {
        self.shared.lock().is_closing = true;
        self.release();
        self.send(Command::Close);
        self.shared.room.notify_one();
        self.consumer = None;
        if let Some(thread) = self.thread.take() {
            // Why: a panic of the thread was reported by itself; there is nothing left to do with it.
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }
}

impl State {
    fn next_event(&mut self, fill: Fill, until_caught_up: bool) -> Option<Result<Event, SourceError>> {
        if let Some(event) = self.events.pop_front() {
            return Some(event);
        }
        let is_ready = match fill {
            Fill::Rows(rows) => self.is_full || self.batch.len() >= rows.max(1),
            Fill::Full => self.is_full,
        };
        self.wanted = match fill {
            Fill::Rows(rows) => rows.max(1),
            Fill::Full => usize::MAX,
        };
        if is_ready {
            return Some(Ok(Event::Ready));
        }
        (until_caught_up && self.is_caught_up()).then_some(Ok(Event::CaughtUp))
    }

    fn is_caught_up(&self) -> bool {
        let reached = |slot: &Option<Slot>| {
            slot.as_ref().is_some_and(|slot| slot.taken >= slot.target || slot.is_at_end)
        };
        self.has_joined && self.batch.is_empty() && self.slots.values().all(reached)
    }

    fn take(&mut self) -> Polled {
        let mut advances = Vec::new();
        for (partition, slot) in &mut self.slots {
            let Some(slot) = slot else { continue };
            if slot.next > slot.taken {
                advances.push(Advance {
                    partition: partition.clone(),
                    epoch: slot.claim.epoch,
                    from: slot.taken,
                    to: slot.next,
                    message_time_ms: slot.last_timestamp_ms,
                });
                slot.taken = slot.next;
            }
        }
        self.is_full = false;
        Polled { messages: self.batch.finish(), advances }
    }

    /// Whether the batch that is being collected holds what one may hold.
    fn is_at(&self, limits: BatchLimits) -> bool {
        let rows_max = limits.rows_max.min(self.rows_limit.unwrap_or(usize::MAX));
        self.batch.len() >= rows_max || self.batch.bytes() >= limits.bytes_max
    }

    fn drop_partitions(&mut self, partitions: &[TopicPartition]) {
        self.batch.drop_partitions(partitions);
        // Why: a batch that was full has room now, and only a full one stops the polling.
        self.is_full = false;
        for partition in partitions {
            self.slots.remove(partition);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{Message, Tally};

    fn partition(partition: i32) -> TopicPartition {
        TopicPartition { topic: "t".into(), partition }
    }

    /// Two partitions, claimed at offset 5, of which messages 7 and 9 were collected.
    fn collected() -> State {
        let mut state = State::default();
        for number in [0, 1] {
            let claim = Claim {
                partition: partition(number),
                epoch: 3,
                next_offset: 5,
                message_time_ms: None,
                tally: Tally::default(),
            };
            for offset in [7, 9] {
                let topic = &claim.partition.topic;
                let (timestamp_ms, key, payload) = (None, None, None);
                let message =
                    Message { topic, partition: number, offset, timestamp_ms, key, payload, headers: &[] };
                state.batch.push(message);
            }
            let slot = Slot {
                claim,
                taken: 5,
                next: 10,
                last_timestamp_ms: None,
                target: 20,
                end: 20,
                is_at_end: false,
                fetched_at: None,
            };
            state.slots.insert(partition(number), Some(slot));
        }
        state
    }

    #[test]
    fn positions_are_carried_and_not_derived_from_messages() {
        let mut state = collected();
        let Polled { messages, advances } = state.take();
        assert_eq!(messages.len(), 4);
        let moved: Vec<(i64, i64)> = advances.iter().map(|advance| (advance.from, advance.to)).collect();
        assert_eq!(moved, [(5, 10), (5, 10)]);
        assert!(state.take().advances.is_empty(), "they are moved once");
    }

    #[test]
    fn nothing_that_was_collected_of_a_revoked_partition_is_taken() {
        let mut state = collected();
        state.drop_partitions(&[partition(0)]);
        let Polled { messages, advances } = state.take();
        assert!(messages.iter().all(|message| message.partition == 1), "{messages:?}");
        assert_eq!((messages.len(), advances.len()), (2, 1));
    }
    #[test]
    fn a_batch_is_bounded_in_messages_and_in_bytes() {
        let mut state = collected();
        let (rows_max, bytes_max) = (state.batch.len(), state.batch.bytes());
        let is_full = |state: &State, rows_max, bytes_max| state.is_at(BatchLimits { rows_max, bytes_max });
        assert!(!is_full(&state, rows_max + 1, bytes_max + 1));
        assert!(is_full(&state, rows_max, bytes_max + 1));
        assert!(is_full(&state, rows_max + 1, bytes_max));
        state.rows_limit = Some(rows_max);
        assert!(is_full(&state, rows_max + 1, bytes_max + 1));
    }
}
