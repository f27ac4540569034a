//! Partitions that nobody reads, in a group whose members have names (`instance`).
//!
//! If a process with a name starts again, Kafka returns its old assignment without a rebalance. Suppose that the old process
//! ended in the middle of a rebalance: it had revoked a partition for another instance, but had not joined the group again.
//! Then no instance has that partition until the next rebalance. So each instance with a name looks at the group regularly,
//! and joins it again if a partition has no reader.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};

use super::failure::KeepsFailure;
use super::lookup::partitions_of;
use crate::batch::TopicPartition;
use crate::config::KafkaConfig;

/// The time from one look to the next. A partition without a reader at two of them is one that nobody will read.
const LOOK_INTERVAL: Duration = Duration::from_secs(10);
/// How long the brokers' answer about the group is waited for.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(3);

/// Looks at the group in a thread of its own.
pub(super) struct Orphans {
    config: KafkaConfig,
    group: String,
    /// Whether the group is to be asked again.
    is_due: Arc<AtomicBool>,
    /// Those of the last look.
    seen: Arc<Mutex<BTreeSet<TopicPartition>>>,
    running: Option<JoinHandle<()>>,
    not_before: Instant,
}

impl Orphans {
    pub fn new(config: &KafkaConfig, group: &str) -> Self {
        let not_before = Instant::now() + LOOK_INTERVAL;
        let (config, group) = (config.clone(), group.to_owned());
        Self { config, group, is_due: Arc::default(), seen: Arc::default(), running: None, not_before }
    }

    /// Looks, unless that is under way or was just done. Returns whether the group is to be asked again, for what earlier looks
    /// have found.
    pub fn look<C: ConsumerContext + KeepsFailure + 'static>(
        &mut self,
        consumer: &Arc<BaseConsumer<C>>,
    ) -> bool {
        let is_running = self.running.as_ref().is_some_and(|running| !running.is_finished());
        if is_running || Instant::now() < self.not_before {
            return self.is_due.swap(false, Ordering::Relaxed);
        }
        self.not_before = Instant::now() + LOOK_INTERVAL;
        let (config, group) = (self.config.clone(), self.group.clone());
        let (is_due, seen) = (Arc::clone(&self.is_due), Arc::clone(&self.seen));
        // Why weak: the last reference leaves the group.
        let consumer = Arc::downgrade(consumer);
        let look = move || {
            let Some(consumer) = consumer.upgrade() else { return };
            let found = orphans(&consumer, &config, &group);
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
fn orphans<C: ConsumerContext + KeepsFailure>(
    consumer: &BaseConsumer<C>,
    config: &KafkaConfig,
    group: &str,
) -> Result<BTreeSet<TopicPartition>, String> {
    let mut partitions = BTreeSet::new();
    for topic in &config.topics {
        let found = partitions_of(consumer, &config.server, topic).map_err(|error| error.to_string())?;
        let topic: Arc<str> = topic.as_str().into();
        let of_topic = |partition| TopicPartition { topic: Arc::clone(&topic), partition };
        partitions.extend(found.into_iter().map(of_topic));
    }
    let groups = consumer.fetch_group_list(Some(group), ANSWER_WAIT_MAX);
    let groups = groups.map_err(|error| error.to_string())?;
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
