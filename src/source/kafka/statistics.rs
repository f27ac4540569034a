//! What librdkafka's statistics say, for people who watch the job: once a second.

use std::sync::Arc;

use rdkafka::statistics::Statistics;

use crate::batch::TopicPartition;
use crate::telemetry::{Server, Telemetry};

/// Reports the ends of the partitions, what is held ready of them, and that a broker is there.
pub(super) fn report(telemetry: &Telemetry, statistics: &Statistics) {
    if !telemetry.is_on() {
        return;
    }
    let mut fetched_bytes = 0;
    for (topic, found) in &statistics.topics {
        let topic: Arc<str> = topic.as_str().into();
        for (number, found) in &found.partitions {
            fetched_bytes += found.fetchq_size;
            // Below 0: it is not known.
            if found.hi_offset >= 0 {
                let partition = TopicPartition { topic: Arc::clone(&topic), partition: *number };
                telemetry.ends_at(&partition, found.hi_offset);
            }
        }
    }
    telemetry.fetched(fetched_bytes);
    match statistics.brokers.values().any(|broker| broker.state == "UP") {
        true => telemetry.works_again(Server::Kafka),
        false => telemetry.misses(Server::Kafka, "no broker can be reached"),
    }
}
