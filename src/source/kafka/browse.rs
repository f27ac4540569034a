//! Reading ranges of a topic beside the job: by assignment, in no group, and nothing is stored.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::{Offset, TopicPartitionList};

use super::failure::Logged;
use super::lookup::TopicLookup;
use super::poller::push;
use super::{ANSWER_WAIT_MAX, consumer_config};
use crate::batch::{Messages, MessagesBuilder, TopicPartition};
use crate::config::KafkaConfig;
use crate::source::{Bounds, SourceError};

/// How long one poll waits: the longest a wish to stop waits to be seen.
const POLL_WAIT_MAX: Duration = Duration::from_millis(50);

/// How long a broker may wait for messages before it answers, in milliseconds.
const FETCH_WAIT: &str = "fetch.wait.max.ms";

/// Offsets of one partition, `from..to`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    pub partition: TopicPartition,
    pub from: i64,
    pub to: i64,
}

impl Range {
    pub fn is_empty(&self) -> bool {
        self.from >= self.to
    }
}

/// A consumer that is told which offsets to read.
pub struct Browser {
    lookup: TopicLookup,
}

impl Browser {
    /// # Errors
    /// A property that librdkafka refuses; the broker is not asked yet.
    pub fn new(config: &KafkaConfig, job: &str, memory_max: usize) -> Result<Self, SourceError> {
        let mut client = consumer_config(config, memory_max);
        client
            // Why: librdkafka assigns nothing to a client without a group's name. It never joins it.
            .set("group.id", format!("{job}-sql"))
            .set("auto.offset.reset", "error")
            .set("enable.partition.eof", "true");
        if !config.properties.contains_key(FETCH_WAIT) {
            // Why: a fetch that waits at the end of one range keeps the first one of the next range waiting.
            client.set(FETCH_WAIT, "10");
        }
        Ok(Self { lookup: TopicLookup::with_client(&client, &config.server)? })
    }

    /// What can be asked of topics.
    pub(crate) fn lookup(&self) -> &TopicLookup {
        &self.lookup
    }

    /// Reads ranges, which stand in topic, partition order and end at or before the ends of their partitions. Where
    /// more than `bytes_max` bytes come, the ranges are made to end earlier. Blocks; `stop` ends it with what there is.
    ///
    /// # Errors
    /// [`SourceError::Unavailable`] where no broker answers, [`SourceError::Broken`] where the offsets are not there.
    pub(crate) fn read(
        &self,
        ranges: &mut [Range],
        bytes_max: usize,
        stop: &AtomicBool,
    ) -> Result<Messages, SourceError> {
        let mut builder = MessagesBuilder::default();
        // One topic after the other: the end of a partition is reported without its topic.
        for of_topic in ranges.chunk_by_mut(|a, b| a.partition.topic == b.partition.topic) {
            let mut reading = Reading::new(self.lookup.consumer(), of_topic);
            reading.assign()?;
            let read = reading.run(&mut builder, bytes_max, stop);
            // Why: what is not assigned any more is not fetched; a client that is gone needs no answer.
            let _ = self.lookup.consumer().unassign();
            read.map_err(|error| self.describe(error))?;
        }
        Ok(builder.finish())
    }

    fn describe(&self, error: KafkaError) -> SourceError {
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange) => {
                SourceError::Broken(
                    format!("Kafka has no messages at these offsets any more: {error}").into(),
                )
            }
            _ => self.lookup.no_answer(&error),
        }
    }
}

/// The ranges of one topic being read.
struct Reading<'a> {
    consumer: &'a BaseConsumer<Logged>,
    ranges: &'a mut [Range],
    /// By partition: its place among the ranges, and the offset behind its last message; only those not done.
    open: HashMap<i32, (usize, i64)>,
}

impl<'a> Reading<'a> {
    fn new(consumer: &'a BaseConsumer<Logged>, ranges: &'a mut [Range]) -> Self {
        let open = ranges.iter().enumerate().filter(|(_, range)| !range.is_empty());
        let open = open.map(|(index, range)| (range.partition.partition, (index, range.from))).collect();
        Self { consumer, ranges, open }
    }

    fn assign(&self) -> Result<(), SourceError> {
        let mut assignment = TopicPartitionList::new();
        for range in self.ranges.iter().filter(|range| !range.is_empty()) {
            let TopicPartition { topic, partition } = &range.partition;
            let added = assignment.add_partition_offset(topic, *partition, Offset::Offset(range.from));
            added.map_err(|error| SourceError::Broken(format!("{}: {error}", range.partition).into()))?;
        }
        self.consumer.assign(&assignment).map_err(|error| SourceError::Broken(error.to_string().into()))
    }

    fn run(
        &mut self,
        builder: &mut MessagesBuilder,
        bytes_max: usize,
        stop: &AtomicBool,
    ) -> Result<(), KafkaError> {
        let mut last_answer = Instant::now();
        let mut last_error = None;
        while !self.open.is_empty() {
            if builder.bytes() >= bytes_max || stop.load(Ordering::Relaxed) {
                self.end_early();
                return Ok(());
            }
            match self.consumer.poll(POLL_WAIT_MAX) {
                None => {}
                Some(Ok(message)) => {
                    last_answer = Instant::now();
                    self.take(&message, builder);
                    continue;
                }
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    last_answer = Instant::now();
                    self.open.remove(&partition);
                    continue;
                }
                Some(Err(error)) => match error.rdkafka_error_code() {
                    Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange) => {
                        return Err(error);
                    }
                    _ => last_error = Some(error),
                },
            }
            if last_answer.elapsed() > ANSWER_WAIT_MAX {
                let timed_out = KafkaError::MessageConsumption(RDKafkaErrorCode::OperationTimedOut);
                return Err(last_error.unwrap_or(timed_out));
            }
        }
        Ok(())
    }

    fn take(&mut self, message: &BorrowedMessage<'_>, builder: &mut MessagesBuilder) {
        let Some((index, next)) = self.open.get_mut(&message.partition()) else { return };
        let range = &self.ranges[*index];
        if message.offset() < range.to {
            *next = message.offset() + 1;
            push(builder, &range.partition.topic, message);
        }
        if message.offset() + 1 >= range.to {
            // What more of it comes is left alone.
            self.open.remove(&message.partition());
        }
    }

    /// The ranges end behind what has come.
    fn end_early(&mut self) {
        for (index, next) in self.open.values() {
            self.ranges[*index].to = *next;
        }
    }
}

/// Ranges of at most `rows_max` messages together, from these offsets on: each partition has an equal share, and what
/// one does not need the others get.
pub(crate) fn first_ranges(starts: &[(Bounds, i64)], rows_max: usize) -> Vec<Range> {
    let available: Vec<i64> = starts.iter().map(|(bounds, start)| (bounds.high - start).max(0)).collect();
    let shares = shares(&available, rows_max);
    let ranges = starts.iter().zip(shares).map(|((bounds, start), share)| Range {
        partition: bounds.partition.clone(),
        from: *start,
        to: start + share,
    });
    ranges.collect()
}

/// The last messages of each partition, at most `rows_max` together.
pub(crate) fn last_ranges(bounds: &[Bounds], rows_max: usize) -> Vec<Range> {
    let available: Vec<i64> = bounds.iter().map(|bounds| bounds.high - bounds.low).collect();
    let shares = shares(&available, rows_max);
    let ranges = bounds.iter().zip(shares).map(|(bounds, share)| Range {
        partition: bounds.partition.clone(),
        from: bounds.high - share,
        to: bounds.high,
    });
    ranges.collect()
}

fn shares(available: &[i64], rows_max: usize) -> Vec<i64> {
    let mut left = i64::try_from(rows_max).unwrap_or(i64::MAX);
    let mut order: Vec<usize> = (0..available.len()).collect();
    order.sort_by_key(|index| available[*index]);
    let mut shares = vec![0; available.len()];
    for (done, index) in order.iter().enumerate() {
        let others = (available.len() - done) as i64;
        // Rounded up, so that no row is left over.
        let share = left / others + i64::from(left % others != 0);
        shares[*index] = available[*index].max(0).min(share);
        left -= shares[*index];
    }
    shares
}

/// The topic of the ranges, shared.
pub(crate) fn partition(topic: &str, partition: i32) -> TopicPartition {
    TopicPartition { topic: Arc::from(topic), partition }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rdkafka::ClientConfig;
    use rdkafka::mocking::MockCluster;
    use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

    use super::*;
    use crate::config::{LostData, StartingOffsets};

    #[test]
    fn just_the_ranges_are_read() {
        let broker = MockCluster::new(1).unwrap();
        broker.create_topic("t", 2, 1).unwrap();
        let mut client = ClientConfig::new();
        let producer: BaseProducer =
            client.set("bootstrap.servers", broker.bootstrap_servers()).create().unwrap();
        for n in 0..40 {
            let payload = format!("payload {n}");
            let record = BaseRecord::<str, str>::to("t").partition(n % 2).key("k").payload(&payload);
            producer.send(record).unwrap();
        }
        producer.flush(Duration::from_secs(10)).unwrap();
        let config = KafkaConfig {
            server: broker.bootstrap_servers(),
            topics: vec!["t".into()],
            starting_offsets: StartingOffsets::Earliest,
            lost_data: LostData::Fail,
            instance: None,
            properties: BTreeMap::new(),
        };
        let browser = Browser::new(&config, "job", 64 << 20).unwrap();
        let bounds = browser.lookup().bounds("t").unwrap();
        let starts: Vec<(Bounds, i64)> = bounds.iter().map(|bounds| (bounds.clone(), 3)).collect();
        let mut ranges = first_ranges(&starts, 10);
        let never = AtomicBool::new(false);
        let places = |messages: &Messages| {
            messages.iter().map(|message| (message.partition, message.offset)).collect::<Vec<_>>()
        };
        let messages = browser.read(&mut ranges, usize::MAX, &never).unwrap();
        let expected: Vec<(i32, i64)> = (0..2).flat_map(|p| (3..8).map(move |offset| (p, offset))).collect();
        assert_eq!(places(&messages), expected);
        assert_eq!(messages.get(0).payload, Some(&b"payload 6"[..]));
        // Up to the end, and again: reading moves nothing.
        for _ in 0..2 {
            let mut ranges = last_ranges(&bounds, 6);
            let messages = browser.read(&mut ranges, usize::MAX, &never).unwrap();
            assert_eq!(places(&messages), [(0, 17), (0, 18), (0, 19), (1, 17), (1, 18), (1, 19)]);
        }
        // Too many bytes: the ranges say how far it came.
        let mut ranges = first_ranges(&starts, 34);
        let messages = browser.read(&mut ranges, 200, &never).unwrap();
        let read: i64 = ranges.iter().map(|range| range.to - range.from).sum();
        assert!(!messages.is_empty() && messages.len() < 34);
        assert_eq!(read, messages.len() as i64);
    }

    #[test]
    fn rows_are_shared_out_among_partitions() {
        assert_eq!(shares(&[100, 100, 100], 30), [10, 10, 10]);
        assert_eq!(shares(&[100, 2, 100], 30), [14, 2, 14]);
        assert_eq!(shares(&[5, 0, 5], 30), [5, 0, 5]);
        assert_eq!(shares(&[10, 10, 10], 4).iter().sum::<i64>(), 4);
        assert_eq!(shares(&[], 4), Vec::<i64>::new());
        let bounds = |number, low, high| Bounds { partition: partition("t", number), low, high };
        let all = [bounds(0, 5, 25), bounds(1, 0, 4)];
        let ranges = last_ranges(&all, 10);
        assert_eq!((ranges[0].from, ranges[0].to, ranges[1].from), (19, 25, 0));
        let starts: Vec<(Bounds, i64)> = all.iter().map(|bounds| (bounds.clone(), bounds.low)).collect();
        let ranges = first_ranges(&starts, 10);
        assert_eq!((ranges[0].from, ranges[0].to, ranges[1].to), (5, 11, 4));
    }
}
