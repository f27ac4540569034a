//! Partitions that nobody reads, in a group whose members have names (`instance`).
//!
//! Kafka gives a process with a name what its predecessor had, without asking the group. If the predecessor had just given up
//! a partition for another instance, and had not told the group yet, that partition has no reader until the group is asked
//! again. So each instance with a name looks at the group now and then, and asks it again.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::KafkaError;

use crate::batch::TopicPartition;

/// The time from one look to the next. A partition without a reader at two of them is one that nobody will read.
const LOOK_INTERVAL: Duration = Duration::from_secs(10);
/// How long one answer of the brokers is waited for.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(3);

/// Looks at the group in a thread of its own.
pub(super) struct Orphans {
    group: String,
    topics: Vec<String>,
    /// Whether the group is to be asked again.
    is_due: Arc<AtomicBool>,
    /// Those of the last look.
    seen: Arc<Mutex<BTreeSet<TopicPartition>>>,
    running: Option<JoinHandle<()>>,
    not_before: Instant,
}

impl Orphans {
    pub fn new(group: &str, topics: &[String]) -> Self {
        let not_before = Instant::now() + LOOK_INTERVAL;
        let (group, topics) = (group.to_owned(), topics.to_vec());
        Self { group, topics, is_due: Arc::default(), seen: Arc::default(), running: None, not_before }
    }

    /// Looks, unless that is under way or was just done. Returns whether the group is to be asked again, for what earlier looks
    /// have found.
    pub fn look<C: ConsumerContext + 'static>(&mut self, consumer: &Arc<BaseConsumer<C>>) -> bool {
        let is_running = self.running.as_ref().is_some_and(|running| !running.is_finished());
        if is_running || Instant::now() < self.not_before {
            return self.is_due.swap(false, Ordering::Relaxed);
        }
        self.not_before = Instant::now() + LOOK_INTERVAL;
        let (group, topics) = (self.group.clone(), self.topics.clone());
        let (is_due, seen) = (Arc::clone(&self.is_due), Arc::clone(&self.seen));
        // Why weak: the last reference leaves the group.
        let consumer = Arc::downgrade(consumer);
        let look = move || {
            let Some(consumer) = consumer.upgrade() else { return };
            let found = orphans(&consumer, &group, &topics);
            drop(consumer);
            let found = found.unwrap_or_else(|error| {
                tracing::debug!("the group was not looked at: {error}");
                BTreeSet::new()
            });
            let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            let again: Vec<String> = found.intersection(&seen).map(ToString::to_string).collect();
            if again.is_empty() {
                *seen = found;
                return;
            }
            seen.clear();
            tracing::warn!("no instance reads {}; asking the group again", again.join(", "));
            is_due.store(true, Ordering::Relaxed);
        };
        let started = std::thread::Builder::new().name("kafka-group".into()).spawn(look);
        self.running = started.inspect_err(|error| tracing::debug!("no thread: {error}")).ok();
        false
    }
}

/// The partitions of the topics that no member of the group has; none while the group is being asked.
fn orphans<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    group: &str,
    topics: &[String],
) -> Result<BTreeSet<TopicPartition>, KafkaError> {
    let mut partitions = BTreeSet::new();
    for topic in topics {
        let metadata = consumer.fetch_metadata(Some(topic), ANSWER_WAIT_MAX)?;
        for found in metadata.topics().iter().filter(|found| found.name() == topic && found.error().is_none())
        {
            let topic: Arc<str> = topic.as_str().into();
            partitions.extend(
                found
                    .partitions()
                    .iter()
                    .map(|one| TopicPartition { topic: Arc::clone(&topic), partition: one.id() }),
            );
        }
    }
    let groups = consumer.fetch_group_list(Some(group), ANSWER_WAIT_MAX)?;
    let group = groups.groups().iter().find(|found| found.name() == group && found.state() == "Stable");
    let Some(group) = group else { return Ok(BTreeSet::new()) };
    for member in group.members() {
        // What cannot be read might be any partition.
        let Some(assigned) = member.assignment().and_then(assigned) else { return Ok(BTreeSet::new()) };
        assigned.iter().for_each(|partition| _ = partitions.remove(partition));
    }
    Ok(partitions)
}

/// The partitions of an assignment, as the protocol of consumers writes it; `None` if it cannot be read.
fn assigned(bytes: &[u8]) -> Option<Vec<TopicPartition>> {
    // A member without partitions may have an assignment without bytes.
    if bytes.is_empty() {
        return Some(Vec::new());
    }
    let mut bytes = bytes;
    let mut take = |count: usize| {
        let (taken, rest) = bytes.split_at_checked(count)?;
        bytes = rest;
        Some(taken)
    };
    let _version = take(2)?;
    let mut partitions = Vec::new();
    for _ in 0..i32::from_be_bytes(take(4)?.try_into().ok()?) {
        let length = i16::from_be_bytes(take(2)?.try_into().ok()?);
        let topic: Arc<str> = std::str::from_utf8(take(usize::try_from(length).ok()?)?).ok()?.into();
        for _ in 0..i32::from_be_bytes(take(4)?.try_into().ok()?) {
            let partition = i32::from_be_bytes(take(4)?.try_into().ok()?);
            partitions.push(TopicPartition { topic: Arc::clone(&topic), partition });
        }
    }
    Some(partitions)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_assignment_is_read_or_unknown() {
        let bytes =
            [0, 1, 0, 0, 0, 1, 0, 2, b't', b'1', 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 3, 0xff, 0xff, 0xff, 0xff];
        let names = |bytes: &[u8]| {
            assigned(bytes).map(|found| found.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
        };
        assert_eq!(names(&bytes).as_deref(), Some("t1[0] t1[3]"));
        assert_eq!(names(&[]).as_deref(), Some(""));
        assert_eq!(names(&[0, 1, 0, 0, 0, 0]).as_deref(), Some(""));
        for end in 1..22 {
            assert_eq!(names(&bytes[..end]), None, "{end}");
        }
    }
}
