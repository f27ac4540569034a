//! Questions about a topic: which partitions it has, where they begin and end, and where a moment is.

use std::sync::Arc;

use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use super::failure::{KeepsFailure, Logged, not_answered};
use super::{ANSWER_WAIT_MAX, consumer_base, refused};
use crate::batch::TopicPartition;
use crate::config::KafkaConfig;
use crate::diagnostic::Finding;
use crate::source::{Bounds, SourceError};

/// The partitions of a topic, in their order.
///
/// # Errors
/// [`SourceError::Unavailable`] where no broker answers, [`SourceError::Broken`] where there is no such topic, or it
/// may not be read.
pub(crate) fn partitions_of<C: ConsumerContext + KeepsFailure>(
    consumer: &BaseConsumer<C>,
    server: &str,
    topic: &str,
) -> Result<Vec<i32>, SourceError> {
    let metadata = consumer.fetch_metadata(Some(topic), ANSWER_WAIT_MAX);
    let metadata = metadata.map_err(|error| not_answered(consumer, server, &error))?;
    let found = metadata.topics().iter().find(|found| found.name() == topic);
    let problem = found.and_then(|found| found.error()).map(RDKafkaErrorCode::from);
    let mut partitions: Vec<i32> =
        found.iter().flat_map(|found| found.partitions()).map(|partition| partition.id()).collect();
    partitions.sort_unstable();
    let is_unknown =
        matches!(problem, Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic));
    match problem {
        Some(code) if !is_unknown => {
            Err(SourceError::Broken(format!("the topic {topic} cannot be read: {code}").into()))
        }
        None if !partitions.is_empty() => Ok(partitions),
        _ => Err(SourceError::Broken(
            Finding::new(format!("the topic {topic} does not exist at {server}"))
                .with_hint("create it, send a first message to it, or correct `kafka_topic`"),
        )),
    }
}

/// Where a partition begins and ends now.
///
/// # Errors
/// [`SourceError::Unavailable`] where the broker does not answer.
pub(super) fn bounds_of<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    partition: &TopicPartition,
) -> Result<Bounds, SourceError> {
    let asked = consumer.fetch_watermarks(&partition.topic, partition.partition, ANSWER_WAIT_MAX);
    let (low, high) = asked.map_err(|error| {
        SourceError::Unavailable(format!("no answer about the offsets of {partition}: {error}").into())
    })?;
    Ok(Bounds { partition: partition.clone(), low, high })
}

/// Has librdkafka check the properties, without a broker.
///
/// # Errors
/// A property that librdkafka refuses.
pub(crate) fn check_properties(config: &KafkaConfig) -> Result<(), SourceError> {
    let mut client = consumer_base(config);
    client.remove("bootstrap.servers");
    client.create::<BaseConsumer>().map(drop).map_err(refused)
}

/// A client that reads nothing and belongs to no group.
pub(crate) struct TopicLookup {
    consumer: BaseConsumer<Logged>,
    server: String,
}

impl TopicLookup {
    /// # Errors
    /// A property that librdkafka refuses; the broker is not asked yet.
    pub(crate) fn new(config: &KafkaConfig) -> Result<Self, SourceError> {
        let mut client = consumer_base(config);
        client.set("isolation.level", "read_committed");
        Self::with_client(&client, &config.server)
    }

    pub(super) fn with_client(client: &ClientConfig, server: &str) -> Result<Self, SourceError> {
        let consumer = client.create_with_context(Logged::default()).map_err(refused)?;
        Ok(Self { consumer, server: server.to_owned() })
    }

    pub(super) fn consumer(&self) -> &BaseConsumer<Logged> {
        &self.consumer
    }

    /// Nobody has answered a question.
    pub(super) fn no_answer(&self, error: &KafkaError) -> SourceError {
        not_answered(&self.consumer, &self.server, error)
    }

    /// Whether the topic is there and may be read.
    ///
    /// # Errors
    /// As [`partitions_of`].
    pub(crate) fn check_topic(&self, topic: &str) -> Result<(), SourceError> {
        partitions_of(&self.consumer, &self.server, topic).map(drop)
    }

    /// Where each partition of a topic begins and ends, in their order.
    ///
    /// # Errors
    /// As [`partitions_of`].
    pub(crate) fn bounds(&self, topic: &str) -> Result<Vec<Bounds>, SourceError> {
        let partitions = partitions_of(&self.consumer, &self.server, topic)?;
        let topic: Arc<str> = topic.into();
        let ask =
            |partition| bounds_of(&self.consumer, &TopicPartition { topic: Arc::clone(&topic), partition });
        partitions.into_iter().map(ask).collect()
    }

    /// For each partition, the first message at or after a moment; the end where there is none.
    ///
    /// `moment_ms`: milliseconds since the epoch.
    ///
    /// # Errors
    /// [`SourceError::Unavailable`] where no broker answers.
    pub(crate) fn offsets_at(&self, bounds: &[Bounds], moment_ms: i64) -> Result<Vec<i64>, SourceError> {
        let mut asked = TopicPartitionList::new();
        for Bounds { partition, .. } in bounds {
            asked
                .add_partition_offset(&partition.topic, partition.partition, Offset::Offset(moment_ms))
                .map_err(|error| SourceError::Broken(format!("{partition}: {error}").into()))?;
        }
        let found = self.consumer.offsets_for_times(asked, ANSWER_WAIT_MAX);
        let found = found.map_err(|error| self.no_answer(&error))?;
        let offset = |Bounds { partition, high, .. }: &Bounds| match found
            .find_partition(&partition.topic, partition.partition)
            .map(|found| found.offset())
        {
            Some(Offset::Offset(offset)) => offset,
            _ => *high,
        };
        Ok(bounds.iter().map(offset).collect())
    }
}
