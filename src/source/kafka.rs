//! Kafka, as a member of the consumer group `job`. A thread of its own polls librdkafka into the batch that is
//! being collected ([`poller`]); the engine takes that batch when it has time for one. Nothing is read of a
//! partition before the engine has claimed it in the database and said where to start.

mod browse;
mod failure;
mod gaps;
mod lookup;
mod orphans;
mod poller;
mod state;
mod statistics;
mod words;

use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;

use super::{Bounds, Event, Fill, PartitionEnd, Source, SourceError};
use crate::batch::{Advance, Claim, Limits, Polled, Position, PutBack, TopicPartition};
use crate::config::KafkaConfig;
use crate::diagnostic::Finding;
use crate::fault_point;
use crate::memory;
use crate::panics;
use crate::telemetry::Telemetry;
use gaps::GapReader;
use lookup::bounds_of;
use orphans::Orphans;
pub(crate) use poller::push;
use poller::{Context, Looks, Poller};
use state::Shared;
pub(crate) use words::without_secrets;
use words::{TOPIC_IDS_LOGGED, without_value};

pub use browse::{Browser, Range};
pub(crate) use browse::{first_ranges, last_ranges, partition};
pub(crate) use failure::{LastFailure, Logged, no_answer};
use lookup::partitions_of;
pub(crate) use lookup::{TopicLookup, check_properties};

/// How long a question to the broker may take, at the start and at each assignment.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(10);
/// Commands that may wait for the polling thread: one a partition change, and the goodbye.
const COMMANDS_MAX: usize = 64;
/// librdkafka fetches while it holds fewer messages than this ready, and less than its share of the memory. It counts neither
/// keys nor headers as bytes (`rko_len` in its `rdkafka_op.c`), so its share is as many messages of the size that brokers
/// take by default. To fetch sooner is of no use: the polling thread collects while a batch is written.
const DEFAULT_MESSAGE_BYTES_MAX: usize = 1 << 20;
/// What one answer of a broker brings, as a part of the memory; it becomes part of the queue. All of it is decompressed at
/// once, to a thousand times its size at worst. A broker sends one producer's batch at least, whatever its size.
const FETCH_SHARES: usize = 2048;
const FETCH_BYTES_MIN: usize = 64 << 10;
const FETCH_BYTES_MAX: usize = 1 << 20;

/// One lane of a member of the job's consumer group: the partitions that go to it. All lanes share the member, which
/// leaves the group when the last of them is closed.
pub struct KafkaSource {
    lane: usize,
    shared: Arc<Shared>,
    commands: SyncSender<Command>,
    consumer: Option<Arc<BaseConsumer<Context>>>,
    thread: Arc<Mutex<Option<JoinHandle<()>>>>,
}

/// What the engine asks the polling thread to do.
#[derive(Debug)]
enum Command {
    /// The number of the assignment, and partitions of it, each with the offset that reading starts at.
    Assign(u64, Vec<(TopicPartition, i64)>),
    /// The number of the assignment, and a partition of it that is not read for now.
    PutBack(u64, TopicPartition),
    Stored(Vec<(TopicPartition, i64)>),
    Rejoin,
    Close,
}

impl KafkaSource {
    /// Connects, checks that the topics are there and joins the group. Blocks while the broker answers. Returns a source
    /// for each of `lanes`, whose batches have the `limits`. What happens is reported to `telemetry`.
    ///
    /// # Errors
    /// [`SourceError::Unavailable`] where no broker answers within 10 s, [`SourceError::Broken`] where a topic
    /// is missing, a property is refused or rights are missing.
    pub fn connect(
        config: &KafkaConfig,
        job: &str,
        limits: Limits,
        memory_max: usize,
        until_caught_up: bool,
        lanes: usize,
        telemetry: Telemetry,
    ) -> Result<Vec<Self>, SourceError> {
        let shared = Arc::new(Shared::new(lanes, until_caught_up, telemetry));
        let context = Context::new(Arc::clone(&shared));
        let client = client_config(config, job, memory_max);
        let consumer: BaseConsumer<Context> = client.create_with_context(context).map_err(refused)?;
        for topic in &config.topics {
            partitions_of(&consumer, &config.server, topic)?;
        }
        let topics: Vec<&str> = config.topics.iter().map(String::as_str).collect();
        consumer.subscribe(&topics).map_err(|error| {
            SourceError::Broken(format!("cannot subscribe to {}: {error}", topics.join(", ")).into())
        })?;
        let consumer = Arc::new(consumer);
        let (commands, receiver) = sync_channel(COMMANDS_MAX);
        let gaps = GapReader::new(config, job, Arc::clone(&shared));
        // The new protocol has the brokers decide, which know of every partition.
        let is_named = config.instance.is_some() && !is_new_protocol(config);
        let orphans = is_named.then(|| Orphans::new(config, job));
        let looks = Looks { gaps, orphans };
        let poller =
            Poller::new(Arc::clone(&consumer), Arc::clone(&shared), receiver, limits, &config.topics, looks);
        let script = fault_point::share();
        let thread = std::thread::Builder::new()
            .name("kafka-poll".into())
            .spawn(move || {
                script.join();
                poll(poller);
            })
            .map_err(|error| SourceError::Broken(format!("no thread for polling: {error}").into()))?;
        let thread = Arc::new(Mutex::new(Some(thread)));
        let source = |lane| Self {
            lane,
            shared: Arc::clone(&shared),
            commands: commands.clone(),
            consumer: Some(Arc::clone(&consumer)),
            thread: Arc::clone(&thread),
        };
        Ok((0..lanes).map(source).collect())
    }

    fn send(&self, command: Command) {
        // Why: the thread ends only after `Close` or a fatal error, which is among the events then.
        let _ = self.commands.send(command);
    }
}

/// Polls until told to close. A panic ends the job: nothing would be read any more.
fn poll(poller: Poller) {
    let shared = poller.shared();
    if let Err(panic) = panics::survive(|| poller.run()) {
        let message = format!("the thread that polls Kafka has panicked: {panic}");
        shared.lock().fail(&SourceError::Broken(message.into()));
        shared.tell_all();
    }
}

/// The properties of every client of this program, with the user's on top.
pub(crate) fn base_config(config: &KafkaConfig) -> ClientConfig {
    let mut client = ClientConfig::new();
    // librdkafka logs failed connections at this level (`failure`).
    client.set_log_level(RDKafkaLogLevel::Info);
    client
        .set("bootstrap.servers", &config.server)
        .set("client.id", "realtime-processor")
        .set("socket.nagle.disable", "true")
        .set("reconnect.backoff.max.ms", "1000")
        .set("allow.auto.create.topics", "false")
        // Unless it is off, each message is counted for it.
        .set("enable.metrics.push", "false");
    for (name, value) in &config.properties {
        client.set(name, value);
    }
    client
}

/// The same for clients that only consume, if they read messages or not.
pub(crate) fn consumer_base(config: &KafkaConfig) -> ClientConfig {
    let mut client = base_config(config);
    let of_brokers = is_new_protocol(config);
    for (name, value) in [("session.timeout.ms", "6000"), ("heartbeat.interval.ms", "2000")] {
        // Why for all: `max.poll.interval.ms` may not be below them, so librdkafka takes a value for all clients or for none.
        if !of_brokers && !config.properties.contains_key(name) {
            client.set(name, value);
        }
    }
    client
}

/// The properties of every consumer that reads messages: nothing is committed by itself, only messages of committed transactions
/// are read, and what is fetched has its share of `memory_max`.
pub(crate) fn consumer_config(config: &KafkaConfig, memory_max: usize) -> ClientConfig {
    let queue_bytes = memory::queue(memory_max);
    let fetch_bytes = (memory_max / FETCH_SHARES).clamp(FETCH_BYTES_MIN, FETCH_BYTES_MAX).to_string();
    let mut client = ClientConfig::new();
    client.set_log_level(RDKafkaLogLevel::Info);
    client
        .set("queued.min.messages", (queue_bytes / DEFAULT_MESSAGE_BYTES_MAX).max(1).to_string())
        .set("fetch.max.bytes", &fetch_bytes)
        .set("fetch.message.max.bytes", &fetch_bytes)
        // Why: `fetch.max.bytes` may not be below it.
        .set("message.max.bytes", &fetch_bytes)
        .set("fetch.queue.backoff.ms", "1")
        .set("fetch.error.backoff.ms", "100")
        .set("topic.metadata.refresh.interval.ms", "30000");
    for (name, value) in consumer_base(config).config_map() {
        client.set(name, value);
    }
    client
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("isolation.level", "read_committed")
        .set("queued.max.messages.kbytes", (queue_bytes / 1024).max(1024).to_string());
    client
}

/// Whether the brokers decide the timeouts of the group and who has which partition.
fn is_new_protocol(config: &KafkaConfig) -> bool {
    config.properties.get("group.protocol").is_some_and(|name| name == "consumer")
}

fn client_config(config: &KafkaConfig, job: &str, memory_max: usize) -> ClientConfig {
    let mut client = consumer_config(config, memory_max);
    client.set_log_level(RDKafkaLogLevel::Debug);
    let logged = client.get("debug").map(|debug| format!("{debug},{TOPIC_IDS_LOGGED}"));
    client.set("debug", logged.as_deref().unwrap_or(TOPIC_IDS_LOGGED));
    client
        .set("statistics.interval.ms", "1000")
        .set("group.id", job)
        .set("auto.offset.reset", "error")
        .set("enable.partition.eof", "false");
    if !is_new_protocol(config) {
        client.set("partition.assignment.strategy", "cooperative-sticky");
    }
    if let Some(instance) = &config.instance {
        client.set("group.instance.id", instance);
    }
    client
}

/// A client that librdkafka refuses to make: a property is wrong.
pub(crate) fn refused(error: KafkaError) -> SourceError {
    SourceError::Properties(match &error {
        KafkaError::ClientConfig(_, description, name, value) => {
            let hint = if !cfg!(feature = "tls") && (name.starts_with("ssl.") || value.contains("SSL")) {
                "this program was built without TLS; build it with `--features tls`"
            } else {
                "see kafka_properties in the configuration"
            };
            let description = without_value(description, value);
            Finding::new(format!("librdkafka refuses the property {name}: {description}")).with_hint(hint)
        }
        error => {
            let error = error.to_string();
            Finding::new(format!("librdkafka cannot make a client: {}", without_secrets(&error)))
                .with_hint("see kafka_properties")
        }
    })
}

impl Source for KafkaSource {
    async fn next(&mut self, fill: Fill) -> Result<Event, SourceError> {
        loop {
            let event = self.shared.lock().next_event(self.lane, fill, self.shared.until_caught_up);
            if let Some(event) = event {
                return event;
            }
            self.shared.told(self.lane).await;
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
        asked
            .await
            .map_err(|error| SourceError::Broken(format!("asking for offsets failed: {error}").into()))?
    }

    fn assign(&mut self, assignment: u64, claims: &[Claim], bounds: &[Bounds]) {
        let starts = self.shared.lock().claimed(assignment, claims, bounds);
        self.send(Command::Assign(assignment, starts));
    }

    fn release(&mut self) {
        self.shared.lock().lanes[self.lane].is_releasing = false;
        self.shared.released.notify_one();
    }

    fn limit(&mut self, rows_max: usize) {
        self.shared.lock().lanes[self.lane].rows_limit = Some(rows_max.max(1));
    }

    fn take(&mut self) -> Polled {
        let mut state = self.shared.lock();
        let polled = state.take(self.lane);
        let is_end = self.shared.until_caught_up && state.is_caught_up();
        drop(state);
        self.shared.room.notify_one();
        if is_end {
            self.shared.tell_all();
        }
        polled
    }

    fn put_back(&mut self, position: &PutBack) {
        let assignment = self.shared.lock().put_back(position);
        if let Some(assignment) = assignment {
            self.send(Command::PutBack(assignment, position.partition.clone()));
        }
        self.shared.room.notify_one();
    }

    fn go_on(&mut self, partitions: &[TopicPartition]) {
        let starts = self.shared.lock().put_back_at(partitions);
        for (assignment, start) in starts {
            self.send(Command::Assign(assignment, vec![start]));
        }
    }

    fn rejoin(&mut self) {
        self.shared.lock().drop_lane(self.lane);
        self.send(Command::Rejoin);
    }

    fn stored(&mut self, advances: &[Advance]) {
        let offsets = advances.iter().map(|advance| (advance.partition.clone(), advance.to)).collect();
        // Why: only people's tools read these, so a full queue drops them; the next commit says more anyway.
        let _ = self.commands.try_send(Command::Stored(offsets));
    }

    fn carried(&self) -> Vec<Position> {
        self.shared.lock().carried(self.lane)
    }

    fn ends(&self) -> Vec<PartitionEnd> {
        self.shared.lock().ends(self.lane)
    }

    async fn close(mut self) {
        let is_last = self.shared.lock().close(self.lane);
        self.shared.released.notify_one();
        self.shared.room.notify_one();
        self.consumer = None;
        if !is_last {
            // What this lane had is nothing that the others wait for any more.
            self.shared.tell_all();
            return;
        }
        self.send(Command::Close);
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // Why: a panic of the thread was reported by itself; there is nothing left to do with it.
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }
}

#[cfg(test)]
mod tests;
