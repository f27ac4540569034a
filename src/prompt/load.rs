//! A batch from the topic: by assignment, in no group, with the ranges of offsets chosen so that the same question
//! twice gives the same messages.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::task::JoinHandle;

use super::refusal::Refusal;
use crate::batch::{Limits, Messages, TopicPartition};
use crate::config::{Config, StartingOffsets};
use crate::diagnostic::Finding;
use crate::sink::{SinkError, StoredOffsets};
use crate::source::{Bounds, Browser, Range, SourceError, StartAt, first_ranges, last_ranges};

/// Where a batch starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// There, in every partition; [`StartAt::End`]: so that it ends at the end.
    At(StartAt),
    /// At these offsets; the other partitions at one of their ends.
    After(BTreeMap<TopicPartition, i64>, Others),
    /// At these offsets, by the partition's number; without the other partitions.
    Partitions(Vec<(i32, i64)>),
    /// These ranges and nothing after them.
    Between(Vec<Range>),
}

/// What becomes of partitions that no offset is known of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Others {
    Beginning,
    End,
}

/// Messages that were read.
#[derive(Debug)]
pub(super) struct Loaded {
    pub messages: Messages,
    pub ranges: Vec<Range>,
    /// Whether there would have been more, had they not been too many bytes.
    pub is_cut: bool,
}

/// A batch that is being read. If it is dropped, the reading ends.
pub(super) struct Loading {
    task: JoinHandle<Result<Loaded, SourceError>>,
    stop: Arc<AtomicBool>,
}

impl Loading {
    /// Starts to read, in a thread of its own.
    pub fn start(config: &Config, start: Start, limits: Limits) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (kafka, job, asked) = (config.kafka.clone(), config.job.clone(), Arc::clone(&stop));
        let memory_max = config.memory_max;
        let task = tokio::task::spawn_blocking(move || {
            let browser = Browser::new(&kafka, &job, memory_max)?;
            read(&browser, &kafka.topics, &start, limits, &asked)
        });
        Self { task, stop }
    }

    /// Waits for the messages. Waiting that is given up can be taken up again.
    ///
    /// # Errors
    /// No broker answers.
    pub async fn messages(&mut self) -> Result<Loaded, SourceError> {
        let read = (&mut self.task).await;
        read.unwrap_or_else(|error| {
            Err(SourceError::Broken(format!("the reading broke off: {error}").into()))
        })
    }
}

/// Why there are no messages, and how to get some if no broker answers.
pub(super) fn no_messages(error: SourceError) -> Refusal {
    let hint = "no broker is needed for `\\load FILE`, which takes a batch that `\\save` kept, and for `sql --job URL`, \
                which takes the last batches of a running job";
    match error {
        SourceError::Unavailable(found) => Refusal::found(found.with_further_hint(hint)),
        other => other.into(),
    }
}

impl Drop for Loading {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn read(
    browser: &Browser,
    topics: &[String],
    start: &Start,
    limits: Limits,
    stop: &AtomicBool,
) -> Result<Loaded, SourceError> {
    let mut topics = topics.to_vec();
    topics.sort_unstable();
    let mut bounds = Vec::new();
    for topic in &topics {
        bounds.extend(browser.lookup().bounds(topic)?);
    }
    let mut ranges = ranges(browser, &bounds, start, limits.rows_max)?;
    let wanted = ranges.clone();
    let messages = browser.read(&mut ranges, limits.bytes_max, stop)?;
    Ok(Loaded { messages, is_cut: ranges != wanted, ranges })
}

fn ranges(
    browser: &Browser,
    bounds: &[Bounds],
    start: &Start,
    rows_max: usize,
) -> Result<Vec<Range>, SourceError> {
    let starts: Vec<i64> = match start {
        Start::At(StartAt::End) => return Ok(last_ranges(bounds, rows_max)),
        Start::Between(ranges) => {
            let bounds = ranges.iter().map(|Range { partition, from, to }| {
                (Bounds { partition: partition.clone(), low: *from, high: *to }, *from)
            });
            return Ok(first_ranges(&bounds.collect::<Vec<_>>(), rows_max));
        }
        Start::At(place) => place.offsets(browser.lookup(), bounds)?,
        Start::After(offsets, others) => {
            let other = |bounds: &Bounds| match others {
                Others::Beginning => bounds.low,
                Others::End => bounds.high,
            };
            let start =
                |bounds: &Bounds| offsets.get(&bounds.partition).copied().unwrap_or_else(|| other(bounds));
            bounds.iter().map(start).collect()
        }
        Start::Partitions(wanted) => {
            if let Some((unknown, _)) = wanted
                .iter()
                .find(|(number, _)| !bounds.iter().any(|bounds| bounds.partition.partition == *number))
            {
                let last = bounds.iter().map(|bounds| bounds.partition.partition).max().unwrap_or(0);
                let found = Finding::new(format!("no partition {unknown}"));
                return Err(SourceError::Broken(found.with_hint(format!("there are 0 to {last}"))));
            }
            let start = |bounds: &Bounds| {
                let found = wanted.iter().find(|(number, _)| *number == bounds.partition.partition);
                found.map_or(bounds.high, |(_, offset)| *offset)
            };
            bounds.iter().map(start).collect()
        }
    };
    // What Kafka has deleted is left out.
    let starts = bounds.iter().zip(starts);
    let starts: Vec<(Bounds, i64)> =
        starts.map(|(bounds, start)| (bounds.clone(), start.clamp(bounds.low, bounds.high))).collect();
    Ok(first_ranges(&starts, rows_max))
}

/// All messages before these ranges; why they cannot be had, where Kafka has deleted some, or they are too many.
pub(super) async fn history(
    config: &Config,
    ranges: &[Range],
    messages_max: i64,
) -> Result<Vec<Range>, String> {
    let (kafka, job, memory_max) = (config.kafka.clone(), config.job.clone(), config.memory_max);
    let ranges = ranges.to_vec();
    let looked_up = tokio::task::spawn_blocking(move || -> Result<Vec<Bounds>, SourceError> {
        let browser = Browser::new(&kafka, &job, memory_max)?;
        let bounds = kafka.topics.iter().map(|topic| browser.lookup().bounds(topic));
        Ok(bounds.collect::<Result<Vec<_>, _>>()?.concat())
    });
    let bounds = looked_up.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
    let mut before = Vec::new();
    for range in ranges {
        let Some(bounds) = bounds.iter().find(|bounds| bounds.partition == range.partition) else {
            return Err(format!("{} is not in Kafka", range.partition));
        };
        if bounds.low > 0 {
            return Err(format!(
                "Kafka has deleted the messages of {} before offset {}",
                range.partition, bounds.low
            ));
        }
        before.push(Range { from: 0, to: range.from, ..range });
    }
    let messages: i64 = before.iter().map(|range| range.to - range.from).sum();
    if messages > messages_max {
        return Err(format!("{messages} messages come before the batch; the limit is {messages_max}"));
    }
    Ok(before)
}

/// Where the job would go on: what is stored, and where it would start in other partitions.
///
/// # Errors
/// The database does not answer, or refuses the statement.
pub(super) async fn stored(config: &Config) -> Result<Start, SinkError> {
    let mut offsets = BTreeMap::new();
    if let Some(mut stored) = StoredOffsets::look(&config.database, &config.job).await? {
        for row in stored.all().await? {
            offsets.insert(row.partition, row.next_offset);
        }
    }
    let others = match config.kafka.starting_offsets {
        // A partition that was added since starts at its beginning, whatever is configured.
        StartingOffsets::Latest if offsets.is_empty() => Others::End,
        _ => Others::Beginning,
    };
    Ok(Start::After(offsets, others))
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use rdkafka::ClientConfig;
    use rdkafka::mocking::MockCluster;
    use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

    use super::*;
    use crate::source::partition;

    #[tokio::test]
    async fn no_more_messages_before_a_batch_than_the_limit_are_read() {
        let broker = MockCluster::new(1).unwrap();
        broker.create_topic("t", 1, 1).unwrap();
        let mut client = ClientConfig::new();
        client.set("bootstrap.servers", broker.bootstrap_servers());
        let producer: BaseProducer = client.create().unwrap();
        for _ in 0..30 {
            producer.send(BaseRecord::<str, str>::to("t").partition(0).payload("x")).unwrap();
        }
        producer.flush(Duration::from_secs(20)).unwrap();
        let server = broker.bootstrap_servers();
        let text =
            format!("kafka_server: {server}\nkafka_topic: t\navro_schema: s.avsc\ndatabase: sqlite://x.db\n");
        let config = Config::parse(Path::new("config.yaml"), &text, &|_: &str| None).unwrap();
        let range = |number, from, to| Range { partition: partition("t", number), from, to };
        let batch = [range(0, 20, 30)];
        let refused = history(&config, &batch, 10).await.unwrap_err();
        assert_eq!(refused, "20 messages come before the batch; the limit is 10");
        assert_eq!(history(&config, &batch, 20).await, Ok(vec![range(0, 0, 20)]));
        let refused = history(&config, &[range(1, 20, 30)], 20).await.unwrap_err();
        assert_eq!(refused, "t[1] is not in Kafka");
    }
}
