//! The source against librdkafka's mock broker: a real group, a real polling thread.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use proptest::prelude::*;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer as _};

use super::*;
use crate::batch::{MESSAGE_TIMES_MS, Tally};
use crate::config::{AvroConfig, Framing, KeyFormat, LostData, StartingOffsets, Tombstones};
use crate::decode::Decoder;
use crate::source::Assignment;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);
const LIMITS: Limits = Limits { rows_max: 1000, bytes_max: 1 << 20 };

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
    KafkaSource::connect(config, "job", LIMITS, 64 << 20, false, 1, Telemetry::default()).unwrap().remove(0)
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

/// A property that one of them refuses must be found at the start, not by the one that is made last.
#[test]
fn all_consumers_have_the_same_timeouts() {
    let broker = broker();
    let mut config = config(&broker);
    config.properties.insert("max.poll.interval.ms".into(), "30000".into());
    assert!(Browser::new(&config, "job", 64 << 20).is_ok() && check_properties(&config).is_ok());
    config.properties.insert("max.poll.interval.ms".into(), "5000".into());
    assert!(Browser::new(&config, "job", 64 << 20).is_err() && check_properties(&config).is_err());
    config.properties.insert("session.timeout.ms".into(), "5000".into());
    assert!(Browser::new(&config, "job", 64 << 20).is_ok() && check_properties(&config).is_ok());
    // The brokers have the timeouts of the new protocol.
    config.properties = [("group.protocol".to_owned(), "consumer".to_owned())].into();
    assert!(Browser::new(&config, "job", 64 << 20).is_ok() && check_properties(&config).is_ok());
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

/// Plays the engine until messages are taken, and checks that advances cover them.
async fn next_batch(source: &mut KafkaSource) -> Polled {
    loop {
        let event =
            tokio::time::timeout(PATIENCE, source.next(Fill::Rows(1))).await.expect("something happens");
        match event.expect("the source goes on") {
            Event::Assigned(assignment) => claim(source, &assignment, 2).await,
            Event::Revoked(_) => source.release(),
            Event::Ready => {
                let polled = source.take();
                for extent in polled.messages.extents() {
                    let is_covered = polled.advances.iter().any(|advance| advance.covers(&extent));
                    assert!(is_covered, "{extent:?}: {:?}", polled.advances);
                }
                return polled;
            }
            other => panic!("{other:?}"),
        }
    }
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
    let mut offsets = Vec::new();
    while offsets.len() < 20 {
        offsets.extend(next_batch(&mut source).await.messages.iter().map(|message| message.offset));
    }
    assert_eq!(offsets, (0..20).collect::<Vec<i64>>());
    source.close().await;
}

#[tokio::test]
async fn a_panic_of_the_polling_thread_ends_the_job() {
    let broker = broker();
    let mut source = connect(&config(&broker));
    // No topic has such a name, and the client library panics over it.
    let nowhere = TopicPartition { topic: "a\0b".into(), partition: 0 };
    source.shared.lock().give(std::slice::from_ref(&nowhere));
    source.send(Command::Stored(vec![(nowhere, 1)]));
    let error = loop {
        match tokio::time::timeout(PATIENCE, source.next(Fill::Full)).await.expect("something happens") {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert!(matches!(error, SourceError::Broken(_)), "{error}");
    assert!(error.to_string().starts_with("the thread that polls Kafka has panicked: "), "{error}");
    source.close().await;
}

#[test]
fn a_topic_with_another_id_is_seen_in_the_log() {
    let line =
        "[thrd:main]: Topic orders.eu changed id from lTMGpxRZQ8mKsKDcIqVyfA to 1RNqpCHQQpu0ThJ1yMMJwg";
    let ids = ("lTMGpxRZQ8mKsKDcIqVyfA".to_owned(), "1RNqpCHQQpu0ThJ1yMMJwg".to_owned());
    assert_eq!(words::changed_id(line), Some(("orders.eu", ids)));
    let first = "[thrd:main]: Topic orders changed id from AAAAAAAAAAAAAAAAAAAAAA to 1RNqpCHQQpu0ThJ1yMMJwg";
    assert_eq!(words::changed_id(first), None, "its id was not known before");
    assert_eq!(words::changed_id("[thrd:main]: Topic orders [0] Leader 1 Epoch 0"), None);
}

/// What a producer may send, whatever it is.
#[derive(Clone, Debug)]
struct Sent {
    timestamp_ms: i64,
    key: Option<Vec<u8>>,
    payload: Option<Vec<u8>>,
    headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => proptest::collection::vec(any::<u8>(), 0..24),
        1 => Just(Vec::new()),
        1 => proptest::collection::vec(any::<u8>(), 5_000..20_000),
    ]
}

fn sent() -> impl Strategy<Value = Sent> {
    let timestamp_ms = prop_oneof![
        any::<i64>(),
        Just(i64::MIN),
        Just(i64::MAX),
        Just(-1),
        Just(0),
        1_600_000_000_000_i64..1_800_000_000_000
    ];
    let name = prop_oneof![2 => "[a-zé ]{0,8}".prop_map(String::into_bytes), 1 => bytes()];
    let headers = proptest::collection::vec((name, proptest::option::of(bytes())), 0..4);
    // Some have a payload that can be read.
    let payload = prop_oneof![2 => bytes(), 1 => Just(vec![2])];
    let key = prop_oneof![4 => bytes(), 1 => any::<[u8; 4]>().prop_map(Vec::from), 1 => any::<[u8; 8]>().prop_map(Vec::from)];
    let parts = (timestamp_ms, proptest::option::of(key), proptest::option::of(payload), headers);
    parts.prop_map(|(timestamp_ms, key, payload, headers)| Sent { timestamp_ms, key, payload, headers })
}

fn varint(number: i64, out: &mut Vec<u8>) {
    let mut left = ((number << 1) ^ (number >> 63)) as u64;
    while left >= 0x80 {
        out.push(left as u8 | 0x80);
        left >>= 7;
    }
    out.push(left as u8);
}

fn sized(bytes: Option<&[u8]>, out: &mut Vec<u8>) {
    varint(bytes.map_or(-1, |bytes| bytes.len() as i64), out);
    out.extend_from_slice(bytes.unwrap_or_default());
}

impl Sent {
    /// One message as a record batch of Kafka's format.
    fn batch(&self) -> Vec<u8> {
        // No attributes, and no distance from the batch's time and offset.
        let mut record = vec![0, 0, 0];
        sized(self.key.as_deref(), &mut record);
        sized(self.payload.as_deref(), &mut record);
        varint(self.headers.len() as i64, &mut record);
        for (name, value) in &self.headers {
            sized(Some(name), &mut record);
            sized(value.as_deref(), &mut record);
        }
        let mut tail = Vec::new();
        // Attributes and the distance to the last offset; the first and the last time; no producer's id, epoch and sequence.
        tail.extend([0; 6]);
        tail.extend(self.timestamp_ms.to_be_bytes());
        tail.extend(self.timestamp_ms.to_be_bytes());
        tail.extend([0xff; 14]);
        tail.extend(1_i32.to_be_bytes());
        varint(record.len() as i64, &mut tail);
        tail.extend(record);
        let mut batch = vec![0; 8];
        batch.extend((tail.len() as i32 + 9).to_be_bytes());
        batch.extend([0, 0, 0, 0, 2]);
        // The mock broker and the client check no checksum.
        batch.extend([0; 4]);
        batch.extend(tail);
        batch
    }

    /// Sends it as it is. No client would take all of it.
    fn send(&self, broker: &mut TcpStream) {
        let batch = self.batch();
        let mut request = Vec::new();
        // Produce, version 7; a correlation and no client's name; no transaction; acknowledged by the leader; 10 s.
        request.extend([0, 0, 0, 7, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0, 1]);
        request.extend(10_000_i32.to_be_bytes());
        request.extend([0, 0, 0, 1, 0, 1, b't', 0, 0, 0, 1, 0, 0, 0, 0]);
        request.extend((batch.len() as i32).to_be_bytes());
        request.extend(batch);
        broker.write_all(&(request.len() as i32).to_be_bytes()).unwrap();
        broker.write_all(&request).unwrap();
        let mut length = [0; 4];
        broker.read_exact(&mut length).unwrap();
        let mut answer = vec![0; i32::from_be_bytes(length) as usize];
        broker.read_exact(&mut answer).unwrap();
        // Correlation, one topic `t`, one partition, 0; then the error.
        assert_eq!(answer[19..21], [0, 0], "{answer:?}");
    }

    /// The headers that can be read, and whether all can.
    fn readable(&self) -> (crate::batch::Headers, bool) {
        let readable = self.headers.iter().filter_map(|(name, value)| {
            // A name ends at its first zero, as the client library has it.
            let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
            Some((String::from_utf8(name.to_vec()).ok()?, value.clone()))
        });
        let readable: crate::batch::Headers = readable.collect();
        let are_all = readable.len() == self.headers.len();
        (readable, are_all)
    }
}

/// One for each format of keys; payloads are ints.
fn decoders() -> Vec<Decoder> {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, schema: &str| {
        std::fs::write(folder.path().join(name), schema).unwrap();
        folder.path().join(name)
    };
    let schema = file("r", r#"{"type": "record", "name": "R", "fields": [{"name": "n", "type": "int"}]}"#);
    let (key, framing) = (file("k", r#"["null", "string", "long"]"#), Framing::NONE);
    let avro = KeyFormat::Avro { schema: key, framing };
    let decoder = |key| {
        let (schema, framing, tombstones) = (schema.clone(), Framing::NONE, Tombstones::DeadLetter);
        Decoder::new(&AvroConfig { schema, framing, tombstones, key }).unwrap()
    };
    [KeyFormat::Bytes, KeyFormat::Text, KeyFormat::Int, KeyFormat::Long, avro].map(decoder).into()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3, max_shrink_iters: 20, ..ProptestConfig::default() })]

    #[test]
    fn any_message_comes_through_the_poller(sent in proptest::collection::vec(sent(), 100)) {
        let broker = broker();
        let config = config(&broker);
        let address = config.server.split(',').next().unwrap().to_owned();
        let mut stream = TcpStream::connect(address).unwrap();
        sent.iter().for_each(|sent| sent.send(&mut stream));
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let mut source = connect(&config);
        let mut decoders = decoders();
        let mut seen = 0;
        while seen < sent.len() {
            let polled = runtime.block_on(next_batch(&mut source));
            for decoder in &mut decoders {
                let decoded = decoder.decode(&polled.messages).unwrap();
                prop_assert_eq!(decoded.places.len() + decoded.dead_letters.len(), polled.messages.len());
                prop_assert_eq!(decoded.batch.num_rows(), decoded.places.len());
            }
            for (index, message) in polled.messages.iter().enumerate() {
                let sent = &sent[seen];
                prop_assert_eq!(message.offset, seen as i64);
                prop_assert_eq!(message.key, sent.key.as_deref());
                prop_assert_eq!(message.payload, sent.payload.as_deref());
                // -1 says that there is none; a time that no database can hold counts as none.
                let is_time = |time: &i64| *time != -1 && MESSAGE_TIMES_MS.contains(time);
                let time = Some(sent.timestamp_ms).filter(is_time);
                prop_assert_eq!(message.timestamp_ms, time);
                let (headers, are_all) = sent.readable();
                prop_assert_eq!(message.headers, headers.as_slice());
                prop_assert_eq!(polled.messages.damage(index).is_none(), are_all);
                seen += 1;
            }
        }
        runtime.block_on(source.close());
    }
}
