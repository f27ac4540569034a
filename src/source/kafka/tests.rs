//! The source against librdkafka's mock broker: a real group, a real polling thread.

use std::collections::BTreeMap;

use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer as _};

use super::*;
use crate::batch::Tally;
use crate::config::{LostData, StartingOffsets};
use crate::source::Assignment;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);
const LIMITS: BatchLimits = BatchLimits { rows_max: 1000, bytes_max: 1 << 20 };

fn broker() -> MockCluster<'static, DefaultProducerContext> {
    let broker = MockCluster::new(1).unwrap();
    broker.create_topic("t", 1, 1).unwrap();
    broker
}

fn config(broker: &MockCluster<'static, DefaultProducerContext>) -> KafkaConfig {
    KafkaConfig {
        server: broker.bootstrap_servers(),
        topics: vec!["t".into()],
        starting_offsets: StartingOffsets::Earliest,
        lost_data: LostData::Fail,
        instance: None,
        properties: BTreeMap::new(),
    }
}

fn connect(config: &KafkaConfig) -> KafkaSource {
    KafkaSource::connect(config, "job", LIMITS, 64 << 20, false, 1).unwrap().remove(0)
}

fn produce(config: &KafkaConfig, count: i64) {
    let mut client = ClientConfig::new();
    let producer: BaseProducer = client.set("bootstrap.servers", &config.server).create().unwrap();
    for n in 0..count {
        let payload = n.to_string();
        producer.send(BaseRecord::<str, str>::to("t").partition(0).payload(&payload)).unwrap();
    }
    producer.flush(Duration::from_secs(10)).unwrap();
}

/// What the engine does with an assignment: claims it, from offset 0, in this epoch.
async fn claim(source: &mut KafkaSource, assignment: &Assignment, epoch: i64) {
    let claim = |partition: &TopicPartition| Claim {
        partition: partition.clone(),
        epoch,
        next_offset: 0,
        message_time_ms: None,
        tally: Tally::default(),
    };
    let claims: Vec<Claim> = assignment.partitions.iter().map(claim).collect();
    let bounds = source.bounds(&assignment.partitions).await.unwrap();
    source.assign(assignment.number, &claims, &bounds);
}

/// Plays the engine until this many messages were taken. Gives their offsets, each checked to be covered by an advance.
async fn take(source: &mut KafkaSource, count: usize) -> Vec<i64> {
    let mut offsets = Vec::new();
    while offsets.len() < count {
        let event = tokio::time::timeout(PATIENCE, source.next(Fill::Rows(1))).await.expect("something happens");
        match event.expect("the source goes on") {
            Event::Assigned(assignment) => claim(source, &assignment, 2).await,
            Event::Revoked(_) => source.release(),
            Event::Ready => {
                let Polled { messages, advances } = source.take();
                for extent in messages.extents() {
                    assert!(advances.iter().any(|advance| advance.covers(&extent)), "{extent:?}: {advances:?}");
                }
                offsets.extend(messages.iter().map(|message| message.offset));
            }
            other => panic!("{other:?}"),
        }
    }
    offsets
}

#[tokio::test]
async fn a_claim_that_comes_after_the_partition_went_and_came_back_reads_nothing() {
    let broker = broker();
    let config = config(&broker);
    produce(&config, 20);
    let mut source = connect(&config);
    let first = tokio::time::timeout(PATIENCE, source.next(Fill::Full)).await.expect("the group answers");
    let Ok(Event::Assigned(first)) = first else { panic!("{first:?}") };
    // The database does not answer. Meanwhile the group takes the partition away and gives it back.
    source.send(Command::Rejoin);
    let given_again = async {
        while !source.shared.lock().is_assigned(&first.partitions[0], first.number + 1) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, given_again).await.expect("the group answers again");
    claim(&mut source, &first, 1).await;
    // Long enough for messages to come, if anything were read.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(source.shared.lock().lanes[0].batch.is_empty(), "nothing is read by that claim");
    let offsets = take(&mut source, 20).await;
    assert_eq!(offsets, (0..20).collect::<Vec<i64>>());
    source.close().await;
}
