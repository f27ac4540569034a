//! Questions about a topic from outside of the consumer group: which partitions it has, where they begin and end, and
//! where a moment is.

use std::sync::Arc;

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};

use super::{ANSWER_WAIT_MAX, base_config, refused};
use crate::batch::TopicPartition;
use crate::config::KafkaConfig;
use crate::source::{Bounds, SourceError};

/// A client that reads nothing and belongs to no group.
pub(crate) struct TopicLookup {
    consumer: BaseConsumer,
    server: String,
}

impl TopicLookup {
    /// # Errors
    /// A property that librdkafka refuses; the broker is not asked yet.
    pub(crate) fn new(config: &KafkaConfig) -> Result<Self, SourceError> {
        let mut client = base_config(config);
        client.set("isolation.level", "read_committed");
        let consumer = client.create().map_err(refused)?;
        Ok(Self { consumer, server: config.server.clone() })
    }

    /// Where each partition of a topic begins and ends, in their order.
    ///
    /// # Errors
    /// [`SourceError::Unavailable`] where no broker answers, [`SourceError::Broken`] where there is no such topic.
    pub(crate) fn bounds(&self, topic: &str) -> Result<Vec<Bounds>, SourceError> {
        let metadata = self.consumer.fetch_metadata(Some(topic), ANSWER_WAIT_MAX);
        let metadata = metadata.map_err(|error| self.no_answer(&error))?;
        let mut partitions: Vec<i32> = metadata
            .topics()
            .iter()
            .flat_map(|topic| topic.partitions())
            .map(|partition| partition.id())
            .collect();
        if partitions.is_empty() {
            let server = &self.server;
            let message =
                format!("the topic {topic} does not exist at {server}\nhint: correct `kafka_topic`");
            return Err(SourceError::Broken(message));
        }
        partitions.sort_unstable();
        let topic: Arc<str> = topic.into();
        let ask = |partition| {
            let bounds = self.consumer.fetch_watermarks(&topic, partition, ANSWER_WAIT_MAX);
            let (low, high) = bounds.map_err(|error| self.no_answer(&error))?;
            Ok(Bounds { partition: TopicPartition { topic: Arc::clone(&topic), partition }, low, high })
        };
        partitions.into_iter().map(ask).collect()
    }

    /// For each partition, the first message at or after a moment; the end where there is none.
    ///
    /// `moment_ms`: milliseconds since the epoch.
    ///
    /// # Errors
    /// As [`TopicLookup::bounds`].
    pub(crate) fn offsets_at(&self, bounds: &[Bounds], moment_ms: i64) -> Result<Vec<i64>, SourceError> {
        let mut asked = TopicPartitionList::new();
        for Bounds { partition, .. } in bounds {
            asked
                .add_partition_offset(&partition.topic, partition.partition, Offset::Offset(moment_ms))
                .map_err(|error| SourceError::Broken(format!("{partition}: {error}")))?;
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

    fn no_answer(&self, error: &KafkaError) -> SourceError {
        let server = &self.server;
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => {
                SourceError::Broken(format!("{server}: {error}\nhint: correct `kafka_topic`"))
            }
            _ => SourceError::Unavailable(format!(
                "no Kafka broker answers at {server}: {error}\nhint: is it running?"
            )),
        }
    }
}
