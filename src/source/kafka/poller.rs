//! The thread that polls librdkafka. It alone touches the assignment, so a message can never slip between
//! "start again there" and the batches being collected. When the batch of a lane is full it stops polling; when that
//! lasts, it pauses the partitions of that lane and polls on, so that the group and the other lanes are still served.

use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Header, Headers as _, Message as _};
use rdkafka::statistics::Statistics;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{Offset, Timestamp, TopicPartitionList};

use super::failure::{KeepsFailure, LastFailure};
use super::gaps::{Gap, GapReader};
use super::orphans::Orphans;
use super::state::{LanePartition, Shared, State};
use super::words::{changed_id, without_secrets};
use super::{Command, statistics};
use crate::batch::{Headers, Limits, MESSAGE_TIMES_MS, Message, MessagesBuilder, TopicPartition};
use crate::diagnostic::Finding;
use crate::source::{Recreated, SourceError};
use crate::telemetry::{EventKind, Server};
use crate::{fault_point, panics};

/// How long one poll waits: the longest a command waits to be seen while nothing arrives.
const POLL_WAIT_MAX: Duration = Duration::from_millis(100);
/// Messages that are taken before commands are looked for again.
const BURST_MESSAGES_MAX: usize = 256;
/// While nothing is assigned, commands are waited for in steps of this length.
const COMMAND_WAIT_MAX: Duration = Duration::from_millis(5);
/// A full batch is waited for this long before the partitions are paused. Longer than a commit takes, with state up to 1.6 s
/// (`engine::pace`): a pause throws away what librdkafka holds ready, and half a second passes before messages come again.
const FULL_WAIT_MAX: Duration = Duration::from_secs(2);
/// Partitions that are revoked are held back this long, so that the current batch can be committed.
const RELEASE_WAIT_MAX: Duration = Duration::from_secs(3);
/// How long the thread may be away: longer than any of these waits, and than a call to librdkafka may take.
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// The least time between two commits of offsets to Kafka, which only people's tools read.
const KAFKA_COMMIT_INTERVAL: Duration = Duration::from_secs(1);

/// librdkafka's callbacks, run by the polling thread inside a poll.
#[derive(Debug)]
pub(super) struct Context {
    shared: Arc<Shared>,
    failure: LastFailure,
}

impl KeepsFailure for Context {
    fn last_failure(&self) -> &LastFailure {
        &self.failure
    }
}

impl Context {
    pub fn new(shared: Arc<Shared>) -> Self {
        Self { shared, failure: LastFailure::default() }
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.failure.log(level, facility, message);
        if let Some((topic, ids)) = changed_id(message) {
            self.shared.lock().made_anew(topic, &ids);
            self.shared.tell_all();
        }
    }

    fn stats(&self, statistics: Statistics) {
        statistics::report(&self.shared.telemetry, &statistics);
        let mut state = self.shared.lock();
        let State { lanes, places, .. } = &mut *state;
        let mut gaps = Vec::new();
        for (partition, LanePartition { lane, assignment, cursor }) in places {
            let Some(cursor) = cursor else { continue };
            let topic = statistics.topics.get(partition.topic.as_ref());
            let Some(found) = topic.and_then(|topic| topic.partitions.get(&partition.partition)) else {
                continue;
            };
            cursor.end = cursor.end.max(found.ls_offset);
            let is_waiting = lanes[*lane].is_waiting();
            let is_waiting = is_waiting && cursor.is_read();
            if cursor.is_quiet(self.shared.until_caught_up) && is_waiting && cursor.next < cursor.end {
                let (partition, from) = (partition.clone(), cursor.next);
                gaps.push(Gap { partition, assignment: *assignment, from });
            }
        }
        state.gaps = gaps;
        drop(state);
        self.shared.tell_all();
    }

    /// The same error comes out of the poll, without its reason.
    fn error(&self, _: KafkaError, reason: &str) {
        self.failure.note(reason);
        self.shared.lock().reason = without_secrets(reason).into_owned();
    }
}

impl ConsumerContext for Context {
    /// Remembers what is given and takes away what is gone. The real assignment follows when the engine has
    /// claimed the partitions; until then the group sees an answer, and nothing is read.
    fn rebalance(&self, consumer: &BaseConsumer<Self>, code: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let partitions = partitions_of(list);
        let is_lost = consumer.assignment_lost();
        let mut state = self.shared.lock();
        let answered = if code == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            state.give(&partitions);
            let text = assigned(&partitions, &state.partitions());
            tracing::info!("{text}");
            self.shared.telemetry.assigned(&text);
            consumer.incremental_assign(&TopicPartitionList::new())
        } else {
            let text = format!("revoked: {}", names(&partitions));
            tracing::info!("{text}");
            self.shared.telemetry.event(EventKind::Revoked, text);
            let current = consumer.assignment().map(|list| partitions_of(&list)).unwrap_or_default();
            let assigned = list_of(partitions.iter().filter(|partition| current.contains(partition)));
            // Why: a partition that is lost has another owner already.
            state.take_away(&partitions, !is_lost);
            self.shared.tell_all();
            let waited = self.shared.released.wait_timeout_while(state, RELEASE_WAIT_MAX, |state| {
                // Invariant: every lane that had some of them has released it.
                state.is_releasing()
            });
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            consumer.incremental_unassign(&assigned)
        };
        if let Err(error) = answered {
            tracing::warn!("the group's assignment could not be followed ({error}); asking the group again");
            state.is_rejoin_due = true;
        }
        drop(state);
        self.shared.tell_all();
    }
}

fn partitions_of(list: &TopicPartitionList) -> Vec<TopicPartition> {
    let mut partitions: Vec<TopicPartition> = list
        .elements()
        .iter()
        .map(|element| TopicPartition { topic: element.topic().into(), partition: element.partition() })
        .collect();
    partitions.sort();
    partitions
}

fn list_of<'p>(partitions: impl Iterator<Item = &'p TopicPartition>) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for partition in partitions {
        list.add_partition(&partition.topic, partition.partition);
    }
    list
}

fn names(partitions: &[TopicPartition]) -> String {
    let names: Vec<String> = partitions.iter().map(ToString::to_string).collect();
    if names.is_empty() { "nothing".into() } else { names.join(", ") }
}

/// What the group has given, and what this instance has with it.
fn assigned(new: &[TopicPartition], all: &[TopicPartition]) -> String {
    match (new.is_empty(), all.len() == new.len()) {
        (true, true) => "assigned: nothing; the other instances have all partitions".into(),
        (true, false) => format!("assigned: nothing more; this instance has {}", names(all)),
        (false, true) => format!("assigned: {}", names(new)),
        (false, false) => format!("assigned: {}; this instance has {}", names(new), names(all)),
    }
}

/// What is found out beside the polling.
pub(super) struct Looks {
    /// What is at the ends of partitions.
    pub gaps: GapReader,
    /// Partitions that nobody reads.
    pub orphans: Option<Orphans>,
}

pub(super) struct Poller {
    consumer: Arc<BaseConsumer<Context>>,
    shared: Arc<Shared>,
    commands: Receiver<Command>,
    limits: Limits,
    topics: Vec<Arc<str>>,
    /// Whether partitions were assigned: then messages are waited for, before commands.
    is_reading: bool,
    /// Whether the broker was said to be away.
    is_broker_away: bool,
    looks: Looks,
    /// Offsets that Kafka was not told yet.
    untold: Vec<(TopicPartition, i64)>,
    /// Lanes whose engines are to hear of what was collected.
    news: Vec<usize>,
    /// Whether every lane that flows has room, as of the message collected last.
    has_room: bool,
    told_at: Instant,
    /// Whether this instance leaves the group, to join it again when it has no partitions any more.
    is_leaving: bool,
}

/// Whether the thread goes on.
#[derive(PartialEq)]
enum Next {
    Poll,
    Close,
}

impl Poller {
    pub fn new(
        consumer: Arc<BaseConsumer<Context>>,
        shared: Arc<Shared>,
        commands: Receiver<Command>,
        limits: Limits,
        topics: &[String],
        looks: Looks,
    ) -> Self {
        Self {
            consumer,
            shared,
            commands,
            limits,
            topics: topics.iter().map(|topic| topic.as_str().into()).collect(),
            is_reading: false,
            is_broker_away: false,
            looks,
            untold: Vec::new(),
            news: Vec::new(),
            has_room: true,
            told_at: Instant::now(),
            is_leaving: false,
        }
    }

    pub fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    /// Polls until told to close; leaves the group then.
    pub fn run(mut self) {
        let pulse = self.shared.telemetry.pulse("the polling thread", PAUSE_MAX);
        while self.obey() == Next::Poll {
            pulse.beat();
            fault_point::reach_blocking("poll");
            self.tell_kafka(KAFKA_COMMIT_INTERVAL);
            self.join_after_leaving();
            if self.wait_for_room() {
                let wait = if self.is_reading { POLL_WAIT_MAX } else { Duration::ZERO };
                self.poll_burst(wait);
            }
            let mut state = self.shared.lock();
            let (gaps, is_rejoin_due) = (std::mem::take(&mut state.gaps), state.is_rejoin_due);
            state.is_rejoin_due = false;
            drop(state);
            self.looks.gaps.start(gaps);
            let orphans = self.looks.orphans.as_mut();
            if orphans.is_some_and(|orphans| orphans.look(&self.consumer)) || is_rejoin_due {
                self.rejoin();
            }
        }
        self.tell_kafka(Duration::ZERO);
        // The last reference leaves the group as it goes.
        drop(self.consumer);
    }

    /// Carries out the commands that wait.
    fn obey(&mut self) -> Next {
        loop {
            let command = match self.commands.try_recv() {
                Ok(command) => command,
                Err(TryRecvError::Disconnected) => return Next::Close,
                Err(TryRecvError::Empty) if self.is_reading => return Next::Poll,
                Err(TryRecvError::Empty) => match self.commands.recv_timeout(COMMAND_WAIT_MAX) {
                    Ok(command) => command,
                    Err(RecvTimeoutError::Timeout) => return Next::Poll,
                    Err(RecvTimeoutError::Disconnected) => return Next::Close,
                },
            };
            match command {
                Command::Assign(assignment, starts) => self.assign(assignment, &starts),
                Command::PutBack(assignment, partition) => self.put_back(assignment, &partition),
                Command::Stored(offsets) => self.remember(offsets),
                Command::Rejoin => self.rejoin(),
                Command::Close => return Next::Close,
            }
        }
    }

    fn assign(&mut self, assignment: u64, starts: &[(TopicPartition, i64)]) {
        let mut list = TopicPartitionList::new();
        let mut state = self.shared.lock();
        for (partition, start) in starts {
            if !state.is_assigned(partition, assignment) {
                continue;
            }
            state.is_going_on(partition);
            let added =
                list.add_partition_offset(&partition.topic, partition.partition, Offset::Offset(*start));
            debug_assert!(added.is_ok(), "stored offsets are not negative");
        }
        let paused = state.paused_lanes();
        drop(state);
        // Why: while lanes are paused polling goes on, and partitions that are new are not paused.
        paused.into_iter().for_each(|lane| self.pause(lane, false));
        // Why: librdkafka keeps a partition paused that was paused when it was taken away, also when it comes back.
        if list.count() > 0
            && let Err(error) = self.consumer.resume(&list)
        {
            tracing::debug!("no pause to end: {error}");
        }
        self.is_reading |= list.count() > 0;
        if list.count() > 0
            && let Err(error) = self.consumer.incremental_assign(&list)
        {
            // Why: librdkafka's idea of the assignment is another one. The group's next answer settles it.
            tracing::warn!("partitions could not be assigned ({error}); asking the group again");
            self.rejoin();
        }
        self.shared.tell_all();
    }

    /// Reads nothing more of a partition, which stays this instance's. What librdkafka holds ready of it is dropped.
    fn put_back(&mut self, assignment: u64, partition: &TopicPartition) {
        let is_assigned = self.shared.lock().is_assigned(partition, assignment);
        let list = list_of(std::iter::once(partition));
        if is_assigned && let Err(error) = self.consumer.incremental_unassign(&list) {
            tracing::warn!("{partition} could not be put back ({error}); asking the group again");
            self.rejoin();
        }
    }

    /// Gives everything back to the group, and asks it again when that is done.
    fn rejoin(&mut self) {
        self.is_reading = false;
        self.is_leaving = true;
        self.consumer.unsubscribe();
    }

    /// Invariant: what this instance has is taken away before it joins again, so that all of it is claimed again. While the
    /// group rebalances, librdkafka only notes the wish to leave, and would forget it over a new subscription.
    fn join_after_leaving(&mut self) {
        if !self.is_leaving || !self.shared.lock().places.is_empty() {
            return;
        }
        self.is_leaving = false;
        let topics: Vec<&str> = self.topics.iter().map(AsRef::as_ref).collect();
        if let Err(error) = self.consumer.subscribe(&topics) {
            self.fail(SourceError::Broken(format!("cannot subscribe again: {error}").into()));
        }
    }

    /// Whether the batches have room. Where one lacks it for long, its lane is paused, and the group and the other lanes
    /// are served meanwhile.
    fn wait_for_room(&mut self) -> bool {
        let shared = Arc::clone(&self.shared);
        let state = shared.lock();
        if state.is_flowing() {
            // A poll gives no messages of lanes that are paused.
            return true;
        }
        let waited = shared.room.wait_timeout_while(state, FULL_WAIT_MAX, |state| state.is_blocked());
        let (state, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        let resumed: Vec<usize> = state.lanes_to(false).collect();
        let full: Vec<usize> = state.lanes_to(true).collect();
        drop(state);
        resumed.into_iter().for_each(|lane| self.pause(lane, false));
        let has_room = full.is_empty();
        if waited.timed_out() {
            full.into_iter().for_each(|lane| self.pause(lane, true));
        }
        has_room
    }

    /// Pauses the partitions of a lane, or lets them go on.
    fn pause(&mut self, lane: usize, pause: bool) {
        let mut state = self.shared.lock();
        state.paused(lane, pause);
        let partitions: Vec<TopicPartition> = state.partitions_of(lane).cloned().collect();
        drop(state);
        let change = |assigned: TopicPartitionList| {
            let list =
                list_of(partitions_of(&assigned).iter().filter(|partition| partitions.contains(partition)));
            if pause { self.consumer.pause(&list) } else { self.consumer.resume(&list) }
        };
        if let Err(error) = self.consumer.assignment().and_then(change) {
            tracing::warn!("partitions could not be paused or resumed: {error}");
        }
    }

    /// Waits for a message, and takes what librdkafka holds ready behind it, as far as the batches have room. The engines
    /// hear of it afterwards, so that messages that arrive together are taken together.
    fn poll_burst(&mut self, wait: Duration) {
        // Why: the reference is cloned so that a message may borrow it while `self` changes.
        let consumer = Arc::clone(&self.consumer);
        self.has_room = true;
        let mut polled = 0;
        let mut wait = wait;
        while self.has_room && polled < BURST_MESSAGES_MAX {
            match consumer.poll(wait) {
                None => break,
                Some(Ok(message)) => self.collect(&message),
                Some(Err(error)) => self.judge(&error),
            }
            polled += 1;
            // Without waiting, librdkafka asks for no time.
            wait = Duration::ZERO;
        }
        self.news.drain(..).for_each(|lane| self.shared.tell(lane));
    }

    fn collect(&mut self, message: &BorrowedMessage<'_>) {
        if self.is_broker_away {
            self.is_broker_away = false;
            tracing::info!(server = Server::Kafka.name(), "Kafka answers again");
        }
        let Some(topic) = self.topic(message).cloned() else { return };
        let partition = TopicPartition { topic, partition: message.partition() };
        let (offset, timestamp_ms) = (message.offset(), timestamp(message));
        let mut state = self.shared.lock();
        let Some(LanePartition { lane, cursor: Some(cursor), .. }) = state.places.get_mut(&partition) else {
            return;
        };
        if !cursor.is_read() {
            return;
        }
        let lane = *lane;
        if offset < cursor.next {
            if cursor.claim.is_contradicted_by(offset, timestamp_ms) {
                state.leave(&partition, Recreated::OtherTime);
                drop(state);
                self.shared.tell(lane);
            }
            return;
        }
        cursor.next = offset + 1;
        cursor.last_timestamp_ms = timestamp_ms.or(cursor.last_timestamp_ms);
        push(&mut state.lanes[lane].batch, &partition.topic, message);
        let is_news = state.lanes[lane].has_collected(self.limits);
        self.has_room = state.is_flowing();
        drop(state);
        if is_news && !self.news.contains(&lane) {
            self.news.push(lane);
        }
    }

    /// The name that messages of this one's topic share.
    fn topic(&self, message: &BorrowedMessage<'_>) -> Option<&Arc<str>> {
        match self.topics.as_slice() {
            // Why: it is always that one, and to ask for the name takes time.
            [topic] => Some(topic),
            topics => topics.iter().find(|topic| topic.as_ref() == message.topic()),
        }
    }

    /// What an error means: most pass by themselves, some end the job.
    fn judge(&mut self, error: &KafkaError) {
        use RDKafkaErrorCode as Code;
        let code = error.rdkafka_error_code();
        let is_fatal = matches!(error, KafkaError::MessageConsumptionFatal(_));
        let reason = std::mem::take(&mut self.shared.lock().reason);
        let error = &if reason.is_empty() { error.to_string() } else { reason };
        let broken = match code {
            _ if is_fatal => Some(
                Finding::new(format!("Kafka has shut this instance out: {error}"))
                    .with_hint("another process may run with the same `instance`"),
            ),
            Some(
                Code::TopicAuthorizationFailed
                | Code::GroupAuthorizationFailed
                | Code::Authentication
                | Code::SaslAuthenticationFailed
                | Code::ClusterAuthorizationFailed,
            ) => {
                Some(Finding::new(format!("Kafka refuses access: {error}")).with_hint("see kafka_properties"))
            }
            _ => None,
        };
        match (broken, code) {
            (Some(found), _) => self.fail(SourceError::Broken(found)),
            // What is lost, and what to do about it, is found out when the partitions are claimed again.
            (None, Some(Code::AutoOffsetReset | Code::OffsetOutOfRange)) => {
                tracing::warn!("Kafka no longer has the messages that come next: {error}");
                self.rejoin();
            }
            (None, Some(Code::AllBrokersDown | Code::BrokerTransportFailure | Code::Resolve)) => {
                self.shared.telemetry.waits(Server::Kafka, error);
                if !self.is_broker_away {
                    self.is_broker_away = true;
                    let found = match self.consumer.context().last_failure().misunderstanding() {
                        Some(misunderstanding) => misunderstanding.found("the configured address"),
                        None => Finding::new(error),
                    };
                    let told = found
                        .reworded(|message| format!("Kafka does not answer; waiting for it ({message})"));
                    tracing::warn!(server = Server::Kafka.name(), "{told}");
                }
            }
            (None, _) => tracing::warn!("Kafka: {error}"),
        }
    }

    fn fail(&self, error: SourceError) {
        self.shared.lock().fail(&error);
        self.shared.tell_all();
    }

    fn remember(&mut self, offsets: Vec<(TopicPartition, i64)>) {
        for (partition, offset) in offsets {
            match self.untold.iter_mut().find(|(known, _)| *known == partition) {
                Some((_, untold)) => *untold = offset,
                None => self.untold.push((partition, offset)),
            }
        }
    }

    fn tell_kafka(&mut self, interval: Duration) {
        if self.untold.is_empty() || self.told_at.elapsed() < interval {
            return;
        }
        let mut list = TopicPartitionList::new();
        let state = self.shared.lock();
        for (partition, offset) in self.untold.drain(..) {
            if state.places.contains_key(&partition) {
                let offset = Offset::Offset(offset);
                let added = list.add_partition_offset(&partition.topic, partition.partition, offset);
                debug_assert!(added.is_ok(), "stored offsets are not negative");
            }
        }
        drop(state);
        self.told_at = Instant::now();
        if list.count() > 0
            && let Err(error) = self.consumer.commit(&list, CommitMode::Async)
        {
            tracing::debug!("Kafka did not take the offsets: {error}");
        }
    }
}

/// Milliseconds since the epoch, if the message has a time that a database can hold. Any other counts as none, here and so
/// everywhere: what becomes of a message must not depend on the times of its neighbours in a batch.
pub(crate) fn timestamp(message: &BorrowedMessage<'_>) -> Option<i64> {
    match message.timestamp() {
        Timestamp::NotAvailable => None,
        Timestamp::CreateTime(ms) | Timestamp::LogAppendTime(ms) => {
            MESSAGE_TIMES_MS.contains(&ms).then_some(ms)
        }
    }
}

/// Adds a message to what is collected. What is wrong with it, if anything, is noted with it.
pub(crate) fn push(builder: &mut MessagesBuilder, topic: &Arc<str>, message: &BorrowedMessage<'_>) {
    let (headers, damage) = headers(message);
    builder.push(Message {
        topic,
        partition: message.partition(),
        offset: message.offset(),
        timestamp_ms: timestamp(message),
        key: message.key(),
        payload: message.payload(),
        headers: &headers,
    });
    if let Some(damage) = damage {
        builder.note_damage(damage);
    }
}

/// The headers of a message that can be read, and what is wrong with the others.
///
/// Why so: the client library panics over a name that is not UTF-8, and offers no other way to ask for it.
fn headers(message: &BorrowedMessage<'_>) -> (Headers, Option<String>) {
    let Some(headers) = message.headers() else { return (Vec::new(), None) };
    let owned = |header: Header<'_, &[u8]>| (header.key.to_owned(), header.value.map(<[u8]>::to_vec));
    if let Ok(all) = panics::expected(|| headers.iter().map(owned).collect()) {
        return (all, None);
    }
    let each = (0..headers.count()).map(|index| panics::expected(|| headers.try_get(index).map(owned)));
    let each: Vec<_> = each.collect();
    let lost: Vec<String> =
        (1..).zip(&each).filter(|(_, read)| read.is_err()).map(|(n, _)| n.to_string()).collect();
    let damage = format!(
        "the names of these headers are not UTF-8, so they and their values cannot be read: {} (of {}); everything else is kept",
        lost.join(", "),
        each.len()
    );
    (each.into_iter().flatten().flatten().collect(), Some(damage))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::partition;

    #[test]
    fn an_assignment_is_reported_with_what_the_instance_has() {
        let (first, second) = ([partition("t", 0)], [partition("t", 1)]);
        let both = [&first[..], &second].concat();
        for (new, all, text) in [
            (&[][..], &[][..], "assigned: nothing; the other instances have all partitions"),
            (&[], &both, "assigned: nothing more; this instance has t[0], t[1]"),
            (&both, &both, "assigned: t[0], t[1]"),
            (&second, &both, "assigned: t[1]; this instance has t[0], t[1]"),
        ] {
            assert_eq!(assigned(new, all), text);
        }
    }
}
