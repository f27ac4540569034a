//! Keys of messages as columns, by `key_format`: from a broker to the tables, in state, and through a schema registry.

mod registry_support;
mod support;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use realtime_processor::batch::{Headers, Messages};
use realtime_processor::config::Config;
use realtime_processor::engine::{EngineError, Schemas};
use realtime_processor::source::ReplaySource;

use registry_support::{FakeRegistry, Mood};
use support::{Project, Recorder, waits_until};

const SCHEMA: &str = r#"{"type": "record", "name": "entry", "fields": [{"name": "n", "type": "int"}]}"#;

/// One message: partition, key, payload, headers.
struct Sent(i32, Option<Vec<u8>>, Vec<u8>, Headers);

/// Messages in the order of their partitions, each with offsets from 0.
fn recorded(all: &[Sent]) -> Messages {
    let mut recorder = Recorder::new("t");
    for Sent(partition, key, payload, headers) in all {
        recorder.push_with(*partition, key.as_deref(), Some(payload), headers);
    }
    recorder.finish()
}

/// The payload of a small number.
fn payload(n: u8) -> Vec<u8> {
    vec![2 * n]
}

/// Runs the program in a folder; standard output and error.
fn program(folder: &Path, arguments: &[&str]) -> (String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_realtime-processor"));
    let done = command.args(arguments).current_dir(folder).output().expect("it starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&done.stdout), text(&done.stderr));
    assert!(done.status.success(), "{arguments:?}: {}\n{out}\n{err}", done.status);
    (out, err)
}

/// A format of keys, and what is seen of it.
struct Format {
    name: &'static str,
    config: &'static str,
    /// What `produce` writes of 7.
    written: &'static [u8],
    /// Of the same, in the output, and as `consume` prints it.
    stored: &'static str,
    printed: &'static str,
    broken: &'static [u8],
    reason: &'static str,
}

const FORMATS: [Format; 5] = [
    Format {
        name: "bytes",
        config: "",
        written: b"7",
        stored: "37",
        printed: r#""7""#,
        broken: b"",
        reason: "",
    },
    Format {
        name: "text",
        config: "key_format: text",
        written: b"7",
        stored: "7",
        printed: r#""7""#,
        broken: b"\xff",
        reason: "kafka_key, byte 0: found ff, expected UTF-8 (key_format: text)",
    },
    Format {
        name: "int",
        config: "key_format: int",
        written: &[0, 0, 0, 7],
        stored: "7",
        printed: "7",
        broken: &[7],
        reason: "kafka_key: found 1 byte, expected 4 (key_format: int)",
    },
    Format {
        name: "long",
        config: "key_format: long",
        written: &[0, 0, 0, 0, 0, 0, 0, 7],
        stored: "7",
        printed: "7",
        broken: b"",
        reason: "kafka_key: found 0 bytes, expected 8 (key_format: long)",
    },
    Format {
        name: "avro",
        config: "key_format: avro\navro_key_schema: key.avsc",
        written: &[14],
        stored: r#""{""n"":7}""#,
        printed: r#"{"n":7}"#,
        broken: &[0x80],
        reason: "kafka_key, byte 0: field `n`: the key ends inside a number",
    },
];

#[test]
fn each_format_comes_from_the_broker_as_its_type_and_what_is_broken_can_be_replayed() {
    let broker = MockCluster::new(1).expect("a broker");
    let server = broker.bootstrap_servers();
    let producer: BaseProducer =
        ClientConfig::new().set("bootstrap.servers", &server).create().expect("a client");
    for Format { name, config, written, stored, printed, broken, reason } in FORMATS {
        broker.create_topic(name, 1, 1).expect("a topic");
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("written");
        let head = format!(
            "kafka_server: {server}\nkafka_topic: {name}\navro_schema: entry.avsc\ndatabase: sqlite://out.db\n\
             dead_letters_max_ratio: 1\n"
        );
        write("config.yaml", &format!("{head}{config}\n"));
        write("entry.avsc", SCHEMA);
        write("key.avsc", r#"{"type": "record", "name": "key", "fields": [{"name": "n", "type": "long"}]}"#);
        write("entries.json", r#"{"n": 7}"#);
        std::fs::create_dir(folder.path().join("sql")).expect("created");
        write("sql/seen.sql", "SELECT kafka_partition, kafka_offset, n, kafka_key AS k FROM batch");
        let run = |arguments: &[&str]| program(folder.path(), arguments);
        run(&["check", "--offline"]);
        // A record is made of the fields that have its names.
        let field: &[&str] = if name == "avro" { &[] } else { &["--key", "n"] };
        run(&[&["produce", "entries.json"], field].concat());
        for key in [None, Some(broken)] {
            let (bytes, topic) = (payload(1), name);
            let mut record = BaseRecord::<[u8], [u8]>::to(topic).partition(0).payload(&bytes);
            record.key = key;
            producer.send(record).expect("queued");
        }
        producer.flush(Duration::from_secs(10)).expect("acknowledged");
        run(&["run", "--until-caught-up"]);
        let seen = |column: &str| {
            let sql = format!("SELECT kafka_offset, {column} AS k FROM db.seen ORDER BY kafka_offset");
            run(&["sql", "-c", &sql, "--format", "csv"]).0
        };
        let is_bytes = name == "bytes";
        let column = if is_bytes { "encode(k, 'hex')" } else { "k" };
        let last = if is_bytes { "2,\"\"\n" } else { "" };
        assert_eq!(seen(column), format!("kafka_offset,k\n0,{stored}\n1,\n{last}"), "{name}");
        let (consumed, _) = run(&["consume", "--from", "earliest", "--count", "3"]);
        let keys: Vec<serde_json::Value> = consumed
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON")["kafka_key"].clone())
            .collect();
        assert_eq!(keys[0].to_string(), printed, "{name}");
        assert!(keys[1].is_null(), "{name}");
        let (dead, _) = run(&["dead-letters", "export"]);
        if is_bytes {
            assert_eq!((dead.as_str(), keys.len()), ("", 3));
            continue;
        }
        let letter: serde_json::Value = serde_json::from_str(&dead).expect("one dead letter");
        let found = (&letter["kafka_offset"], &letter["stage"], &letter["place"], &letter["reason"]);
        let expected = (2.into(), "decode".into(), "kafka_key".into(), reason.into());
        assert_eq!(found, (&expected.0, &expected.1, &expected.2, &expected.3), "{name}");
        // What the sender broke comes in when the job takes keys as they are. So does what this program wrote.
        write("config.yaml", &head);
        write("sql/seen.sql", "SELECT kafka_partition, kafka_offset, n, NULL AS k FROM batch");
        run(&["dead-letters", "replay", "--all", "--yes"]);
        assert!(seen("n").ends_with("\n2,1\n"), "{name}");
        let sql = "SELECT encode(kafka_key, 'hex') AS k FROM batch ORDER BY kafka_offset";
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let (keys, _) = run(&["sql", "--from", "earliest", "-c", sql, "--format", "json"]);
        let keys: Vec<serde_json::Value> = keys
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON")["k"].clone())
            .collect();
        assert_eq!(keys, [hex(written).into(), serde_json::Value::Null, hex(broken).into()], "{name}");
    }
}

#[tokio::test]
async fn state_may_be_kept_by_a_typed_key() {
    for (config, one, two) in [
        ("key_format: long", 1_i64.to_be_bytes().to_vec(), 2_i64.to_be_bytes().to_vec()),
        ("key_format: text", b"1".to_vec(), b"2".to_vec()),
    ] {
        let config = format!(
            "{config}\nreference_tables: {{}}\n\
             state_tables: {{ counts: {{ view: next_counts, key: id, matches: kafka_key }} }}\noutputs: {{}}\n"
        );
        let view = "SELECT b.kafka_key AS id, coalesce(max(c.messages), 0) + count(*) AS messages FROM batch b \
                    LEFT JOIN counts c ON c.id = b.kafka_key GROUP BY b.kafka_key";
        let files =
            [("schema.avsc", SCHEMA), ("sql/next_counts.sql", view), ("config.yaml", config.as_str())];
        let project = Project::new(&files);
        let keys = [Some(&one), Some(&two), None, Some(&one), Some(&one)];
        let all = keys.map(|key| Sent(0, key.cloned(), payload(0), Headers::new()));
        project.run(ReplaySource::new(recorded(&all), 2)).await.expect("done");
        assert_eq!(project.rows("SELECT id, messages FROM counts ORDER BY id").await, ["1,3", "2,1"]);
    }
}

const KEY: &str = r#"{"type": "record", "name": "key", "fields": [
    {"name": "id", "type": "long"}, {"name": "area", "type": "string", "default": "none"}]}"#;
/// What writers have of it.
const FIRST_KEY: &str = r#"{"type": "record", "name": "key", "fields": [{"name": "id", "type": "int"}]}"#;

fn framed(id: u32, avro: &[u8]) -> Vec<u8> {
    [&[0][..], &id.to_be_bytes(), avro].concat()
}

/// A project whose keys and payloads are written through this registry.
fn of_registry(registry: &FakeRegistry) -> Project {
    let config = format!(
        "avro_framing: confluent\nkey_format: avro\navro_key_schema: key.avsc\nreference_tables: {{}}\n\
         schema_registry: {{ url: {}, timeout: 400ms }}\n",
        registry.url
    );
    let view =
        "SELECT kafka_partition, kafka_offset, n, kafka_key.id AS id, kafka_key.area AS area FROM batch";
    let files =
        [("schema.avsc", SCHEMA), ("key.avsc", KEY), ("sql/seen.sql", view), ("config.yaml", &config)];
    Project::new(&files)
}

async fn run(config: &Config, messages: Messages, rows_max: usize) -> Result<(), EngineError> {
    let schemas = Schemas::of_job(config).await.expect("a database");
    let engine = support::engine(config, ReplaySource::new(messages, rows_max)).await;
    engine.with_schemas(schemas).run(&mut |_| {}).await
}

async fn seen(project: &Project) -> Vec<String> {
    project
        .rows("SELECT kafka_partition, kafka_offset, n, id, area FROM seen ORDER BY kafka_partition, kafka_offset")
        .await
}

#[tokio::test]
async fn a_partition_waits_for_the_schema_of_a_key_and_the_others_go_on() {
    let registry = FakeRegistry::start();
    registry.schema(1, SCHEMA, "");
    registry.schema(2, FIRST_KEY, "");
    registry.schema(3, KEY, "");
    registry.is_ill_for("/ids/2", Some(Mood::Status(503)));
    let project = of_registry(&registry);
    let sent =
        |partition, n, key: Option<Vec<u8>>| Sent(partition, key, framed(1, &payload(n)), Headers::new());
    let first = |id: u8| Some(framed(2, &[2 * id]));
    let second = |id: u8| Some(framed(3, &[2 * id, 2, b'x']));
    let all = [
        sent(0, 1, second(10)),
        sent(0, 2, None),
        sent(0, 3, first(11)),
        sent(0, 4, second(12)),
        sent(1, 5, second(13)),
        sent(1, 6, None),
        // The payload is in order, and its key is not: it waits as well.
        sent(2, 7, first(14)),
    ];
    let job = run(&project.config, recorded(&all), 3);
    let watch = async {
        project.waits_for_table("seen").await;
        waits_until(async || seen(&project).await.len() == 4).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(seen(&project).await, ["0,0,1,10,x", "0,1,2,,", "1,0,5,13,x", "1,1,6,,"]);
        let offsets =
            project.rows("SELECT kafka_partition, next_offset FROM realtime_offsets ORDER BY 1").await;
        assert_eq!(offsets, ["0,2", "1,2", "2,0"], "a position says what is not processed");
        registry.is_ill_for("/ids/2", None);
    };
    let (ended, ()) = tokio::join!(job, watch);
    ended.expect("done");
    let expected =
        ["0,0,1,10,x", "0,1,2,,", "0,2,3,11,none", "0,3,4,12,x", "1,0,5,13,x", "1,1,6,,", "2,0,7,14,none"];
    assert_eq!(seen(&project).await, expected);
    assert!(project.rows("SELECT * FROM dead_letters").await.is_empty());
    assert_eq!(project.rows("SELECT schema_id FROM realtime_schemas ORDER BY 1").await, ["1", "2", "3"]);
    // A restart needs no registry.
    registry.is(Mood::Cut);
    let more: Vec<Sent> = all.into_iter().chain([sent(2, 8, first(15))]).collect();
    run(&project.config, recorded(&more), 3).await.expect("done");
    assert_eq!(seen(&project).await.last().expect("a row"), "2,1,8,15,none");
}

#[tokio::test]
async fn the_ids_of_keys_are_read_from_headers_and_what_no_key_can_be_is_a_dead_letter() {
    let registry = FakeRegistry::start();
    let guid = "0f0e0d0c-0b0a-0908-0706-050403020100";
    let schema = serde_json::Value::from(FIRST_KEY);
    registry
        .answer(&format!("/schemas/guids/{guid}"), &format!(r#"{{"schema": {schema}, "guid": "{guid}"}}"#));
    registry.schema(1, SCHEMA, "");
    let project = of_registry(&registry);
    let header = |value: Vec<u8>| vec![("__key_schema_id".to_owned(), Some(value))];
    let of_guid = || header(std::iter::once(1).chain((0..16).rev()).collect());
    let whole = framed(1, &payload(0));
    let all = [
        Sent(0, Some(vec![14]), whole.clone(), of_guid()),
        // The schema of payloads, an id that nobody knows, and a header that holds none.
        Sent(0, Some(framed(1, &[14])), whole.clone(), Headers::new()),
        Sent(0, Some(framed(9, &[14])), whole.clone(), Headers::new()),
        Sent(0, Some(vec![14]), whole.clone(), header(vec![7])),
        Sent(0, None, whole, header(vec![7])),
    ];
    run(&project.config, recorded(&all), 10).await.expect("done");
    assert_eq!(seen(&project).await, ["0,0,0,7,none", "0,4,0,,"]);
    let dead = project
        .rows("SELECT place, replace(reason, char(10), ' ') FROM dead_letters ORDER BY kafka_offset")
        .await;
    assert!(dead[0].contains("kafka_key, byte 1: ") && dead[0].contains("no such field"), "{dead:?}");
    assert!(dead[1].contains("kafka_key, byte 1: the registry does not know schema id 9"), "{dead:?}");
    assert!(dead[2].contains("the header __key_schema_id holds no schema id"), "{dead:?}");
    assert!(dead.iter().all(|letter| letter.starts_with("kafka_key,")), "{dead:?}");
}
