//! docs/registry.md and docs/first-project.md, word by word: their files are written, their commands are run in their order,
//! and they print what the page says. And what `schema`, `produce` and `init` say when something is wrong.

mod page_support;
mod registry_support;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use realtime_processor::avro::{Encoder, Frame, Schema};
use serde_json::json;

use page_support::follow;
use registry_support::FakeRegistry;

const MOVEMENT: &str = r#"{"type": "record", "name": "movement", "fields": [
    {"name": "customer", "type": "int"}, {"name": "amount", "type": "double"}]}"#;

fn registry() -> FakeRegistry {
    let registry = FakeRegistry::start();
    let version = |subject: &str, version: u32, id: u32, schema: &str| {
        let schema = serde_json::Value::from(schema);
        format!(r#"{{"subject": "{subject}", "version": {version}, "id": {id}, "schema": {schema}}}"#)
    };
    registry.answer("/subjects", r#"["movements-value", "accounts-value"]"#);
    let movements = version("movements-value", 2, 42, MOVEMENT);
    registry.answer("/subjects/movements-value/versions/latest", &movements);
    registry.answer("/subjects/movements-value", &movements);
    registry.answer("/subjects/accounts-value/versions/latest", &version("accounts-value", 1, 11, "\"int\""));
    registry.answer("/compatibility/subjects/movements-value/versions/latest", r#"{"is_compatible": true}"#);
    registry.schema(42, MOVEMENT, "");
    registry
}

#[test]
fn the_page_leads_from_an_address_to_rows() {
    let broker = MockCluster::new(1).expect("a broker");
    broker.create_topic("movements", 1, 1).expect("a topic");
    let registry = registry();
    let folder = tempfile::tempdir().expect("a folder");
    let server = broker.bootstrap_servers();
    let addresses = [("http://127.0.0.1:8081", registry.url.as_str()), ("127.0.0.1:9092", &server)];
    let (files, commands) = follow("docs/registry.md", folder.path(), &addresses);
    assert!(files >= 3 && commands >= 8, "{files} files and {commands} commands");
    assert_eq!(registry.count("/schemas/ids/42"), 1);
}

/// Messages of a topic, with their keys.
fn send(server: &str, topic: &str, messages: &[(&str, Vec<u8>)]) {
    let mut client = ClientConfig::new();
    let producer: BaseProducer = client.set("bootstrap.servers", server).create().expect("a producer");
    for (key, payload) in messages {
        producer.send(BaseRecord::<str, [u8]>::to(topic).key(*key).payload(payload)).expect("sent");
    }
    producer.flush(Duration::from_secs(10)).expect("acknowledged");
}

fn movement(frame: Frame, customer: i32, amount: f64) -> Vec<u8> {
    let schema = Schema::parse(MOVEMENT, "movement").expect("a schema");
    let mut payload = Vec::new();
    let encoder = Encoder::with_schema(schema, frame).expect("a record");
    encoder.encode(&json!({"customer": customer, "amount": amount}), &mut payload).expect("it fits");
    payload
}

#[test]
fn the_page_of_the_first_project_leads_to_rows() {
    let broker = MockCluster::new(1).expect("a broker");
    broker.create_topic("movements", 1, 1).expect("a topic");
    let (registry, server) = (registry(), broker.bootstrap_servers());
    let two = [(1, 10.5), (2, 7.25)]
        .map(|(customer, amount)| ("k", movement(Frame::Confluent(42), customer, amount)));
    send(&server, "movements", &two);
    let folder = tempfile::tempdir().expect("a folder");
    // The example's own address is not asked.
    let addresses = [
        (
            "asks 127.0.0.1:9092\n  realtime-processor run      # writes the table movements",
            format!("asks {server}\n  realtime-processor run      # writes the table movements"),
        ),
        ("--kafka-server 127.0.0.1:9092", format!("--kafka-server {server}")),
        ("http://127.0.0.1:8081", registry.url.clone()),
    ];
    let addresses: Vec<(&str, &str)> =
        addresses.iter().map(|(shown, real)| (*shown, real.as_str())).collect();
    let (files, commands) = follow("docs/first-project.md", folder.path(), &addresses);
    assert!(files == 1 && commands >= 10, "{files} files and {commands} commands");
    let config = std::fs::read_to_string(folder.path().join("movements/config.yaml")).expect("a file");
    assert!(config.contains(&format!("schema_registry:\n  url: {}\n", registry.url)), "{config}");
}

/// Runs `init` in a folder: its exit code and stderr.
fn init(folder: &Path, arguments: &str) -> (Option<i32>, String) {
    let done = Command::new(env!("CARGO_BIN_EXE_realtime-processor"))
        .arg("init")
        .args(arguments.split(' '))
        .current_dir(folder)
        .env("REGISTRY_TOKEN", "the-token-of-the-bank")
        .env_remove("REGISTRY_PASSWORD")
        .output()
        .expect("it starts");
    (done.status.code(), String::from_utf8_lossy(&done.stderr).into_owned())
}

#[test]
fn init_says_what_the_messages_of_a_topic_are() {
    let broker = MockCluster::new(1).expect("a broker");
    let (registry, server) = (registry(), broker.bootstrap_servers());
    let schema = Schema::parse(MOVEMENT, "movement").expect("a schema");
    let single = Encoder::with_schema(schema, Frame::SingleObject).expect("a record");
    let mut object = Vec::new();
    single.encode(&json!({"customer": 1, "amount": 2.5}), &mut object).expect("it fits");
    let topics: [(&str, Vec<u8>); 6] = [
        ("texts", br#"{"customer": 1, "amount": 2.5}"#.to_vec()),
        ("raws", movement(Frame::Raw, 1, 2.5)),
        ("singles", object),
        ("files", b"Obj\x01\x04".to_vec()),
        ("unknowns", movement(Frame::Confluent(4711), 1, 2.5)),
        ("knowns", movement(Frame::Confluent(42), 1, 2.5)),
    ];
    for (topic, payload) in topics {
        broker.create_topic(topic, 2, 1).expect("a topic");
        send(&server, topic, &[("a", payload.clone()), ("b", payload)]);
    }
    broker.create_topic("empty", 1, 1).expect("a topic");
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("movement.avsc"), MOVEMENT).expect("written");
    let other = r#"{"type": "record", "name": "Other", "fields": [{"name": "a", "type": "int"}]}"#;
    std::fs::write(folder.path().join("other.avsc"), other).expect("written");
    let from_registry = format!("--registry {}", registry.url);
    let refused = [
        ("texts", "", "the messages of `texts` are JSON, such as `{\"customer\": 1, \"amount\": 2.5}`"),
        ("texts", "--schema movement.avsc", "are JSON"),
        ("files", "", "are Avro container files"),
        ("raws", "", "if they are raw Avro, they hold no schema"),
        ("raws", "--schema other.avsc", "none of the first 2 messages of `raws` is of this schema"),
        ("singles", "", "name their schema by a fingerprint"),
        ("singles", "--schema other.avsc", "and the schema has"),
        ("knowns", "", "by the ids 42"),
        ("unknowns", from_registry.as_str(), "and the registry does not know them"),
        ("empty", "", "has no message yet"),
    ];
    for (topic, more, expected) in refused {
        let more = if more.is_empty() { String::new() } else { format!(" {more}") };
        let (code, said) =
            init(folder.path(), &format!("--from-topic {topic} --kafka-server {server} --dir new{more}"));
        assert_eq!(code, Some(1), "{topic}{more}: {said}");
        assert!(said.contains(expected) && said.contains("hint:"), "{topic}{more}: {said}");
        assert!(!folder.path().join("new/config.yaml").exists(), "{topic}{more}");
    }
    for (topic, more, framing) in [
        ("raws", "--schema movement.avsc", "raw"),
        ("singles", "--schema movement.avsc", "single_object"),
        ("knowns", from_registry.as_str(), "confluent"),
        ("empty", "--schema movement.avsc", "raw"),
    ] {
        let (code, said) = init(
            folder.path(),
            &format!("--from-topic {topic} --kafka-server {server} --dir {topic} {more}"),
        );
        assert_eq!(code, Some(0), "{topic} {more}: {said}");
        let config = std::fs::read_to_string(folder.path().join(topic).join("config.yaml")).expect("a file");
        assert!(config.contains(&format!("avro_framing: {framing} ")), "{config}");
        // The three keys that everybody knows come first.
        let keys: Vec<&str> =
            config.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).take(3).collect();
        let begins = ["kafka_server: ", "kafka_topic: ", "avro_schema: "];
        assert!(keys.iter().zip(begins).all(|(line, key)| line.starts_with(key)), "{keys:?}");
    }
}

#[test]
fn init_writes_no_secret_and_over_no_file() {
    let registry = registry();
    registry.wants("Bearer the-token-of-the-bank");
    let folder = tempfile::tempdir().expect("a folder");
    let subject = format!("--subject movements-value --registry {} --dir new", registry.url);
    let (code, said) = init(folder.path(), &format!("{subject} --registry-user realtime"));
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("REGISTRY_PASSWORD is not set"), "{said}");
    let (code, said) = init(folder.path(), &subject);
    assert_eq!(code, Some(1), "{said}");
    let database = "--database mysql://realtime:hunter2-of-the-bank@127.0.0.1/bank";
    let (code, said) = init(folder.path(), &format!("{subject} --registry-token {database}"));
    assert_eq!(code, Some(0), "{said}");
    let file = folder.path().join("new/config.yaml");
    let config = std::fs::read_to_string(&file).expect("a file");
    assert!(!config.contains("hunter2") && !config.contains("the-token-of-the-bank"), "{config}");
    assert!(config.contains("token: ${REGISTRY_TOKEN}\n"), "{config}");
    assert!(config.contains("database: mysql://realtime:${DATABASE_PASSWORD}@127.0.0.1/bank "), "{config}");
    let (code, said) = init(folder.path(), "--dir new");
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("new/config.yaml") && said.contains("exist already; nothing is written"), "{said}");
    assert_eq!(std::fs::read_to_string(&file).expect("a file"), config);
    let (code, said) =
        init(folder.path(), "--dir other --kafka-server 127.0.0.1:1 --database postgres://u:hunter2@h/n");
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("unknown scheme") && !said.contains("hunter2"), "{said}");
}

#[test]
fn what_schema_and_produce_say_when_something_is_wrong() {
    let registry = registry();
    let folder = tempfile::tempdir().expect("a folder");
    let schema = |fields: &str| {
        let text = format!(r#"{{"type": "record", "name": "movement", "fields": [{fields}]}}"#);
        std::fs::write(folder.path().join("schema.avsc"), text).expect("written");
    };
    let config = format!(
        "kafka_server: 127.0.0.1:1\nkafka_topic: movements\navro_schema: schema.avsc\navro_framing: confluent\n\
         schema_registry: {{ url: {} }}\ndatabase: sqlite://out.db\n",
        registry.url
    );
    std::fs::write(folder.path().join("config.yaml"), config).expect("written");
    std::fs::write(folder.path().join("one.json"), r#"{"customer": 1}"#).expect("written");
    let run = |arguments: &str| {
        let done = Command::new(env!("CARGO_BIN_EXE_realtime-processor"))
            .args(arguments.split(' '))
            .current_dir(folder.path())
            .output()
            .expect("it starts");
        (done.status.code(), String::from_utf8_lossy(&done.stderr).into_owned())
    };
    // A field that writers send and the project does not read: a warning.
    schema(r#"{"name": "customer", "type": "int"}"#);
    let (code, said) = run("schema check");
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("version 2 of `movements-value` (id 42) has the field `amount`"), "{said}");
    // A field that cannot be read: an error.
    schema(r#"{"name": "customer", "type": "int"}, {"name": "branch", "type": "string"}"#);
    registry.answer(
        "/compatibility/subjects/movements-value/versions/latest",
        r#"{"is_compatible": false, "messages": ["branch has no default"]}"#,
    );
    let (code, said) = run("schema check");
    assert_eq!(code, Some(78), "{said}");
    assert!(said.contains("messages of version 2 of `movements-value` (id 42) cannot be read"), "{said}");
    assert!(
        said.contains("could not become the next version") && said.contains("branch has no default"),
        "{said}"
    );
    // Nothing is registered by itself.
    let (code, said) = run("produce one.json --subject nowhere");
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("has no version with this schema") && said.contains("--register"), "{said}");
    let (code, said) = run("schema pull nowhere");
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("the registry has no subject `nowhere`: Schema not found (40403)"), "{said}");
    // A registry that is away is no fault of the project.
    registry.is(registry_support::Mood::Status(503));
    let (code, said) = run("schema check");
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("answers with status 503"), "{said}");
}

/// Every way to fail with every way to log in, at the most talkative: the secrets are nowhere.
#[test]
fn no_failing_path_shows_a_secret() {
    use base64::Engine as _;
    use registry_support::Mood;
    const SECRET: &str = "hunter2-of-the-bank";
    let coded = base64::engine::general_purpose::STANDARD.encode(format!("u:{SECRET}"));
    let client = base64::engine::general_purpose::STANDARD.encode(format!("c:{SECRET}"));
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("schema.avsc"), MOVEMENT).expect("written");
    std::fs::write(folder.path().join("secret"), SECRET).expect("written");
    let moods = [
        Mood::Status(401),
        Mood::Status(403),
        Mood::Status(404),
        Mood::Status(500),
        Mood::Cut,
        Mood::CutHalfWay,
        Mood::Html,
        Mood::Redirects,
    ];
    let logins = [
        format!("username: u, password: {SECRET}"),
        "username: u, password_file: secret".to_owned(),
        format!("token: {SECRET}"),
        "token: '${SECRET}'".to_owned(),
        format!("token_url: URL/token, client_id: c, client_secret: {SECRET}"),
        "username: u, password_file: nowhere".to_owned(),
        format!("username: u, password: {SECRET}, token: {SECRET}"),
        format!("username: u, pasword: {SECRET}"),
    ];
    let mut runs = 0;
    for login in &logins {
        for mood in moods {
            let registry = registry();
            registry.answer("/token", &format!(r#"{{"access_token": "{SECRET}"}}"#));
            registry.is(mood);
            registry.is_ill_for("/token", login.contains("token_url").then_some(Mood::Good));
            let login = login.replace("URL", &registry.url);
            let config = format!(
                "kafka_server: 127.0.0.1:1\nkafka_topic: movements\navro_schema: schema.avsc\n\
                 avro_framing: confluent\nschema_registry: {{ url: {}, timeout: 1s, {login} }}\n\
                 database: sqlite://out.db\n",
                registry.url
            );
            std::fs::write(folder.path().join("config.yaml"), config).expect("written");
            let command = if runs % 2 == 0 { "list" } else { "check" };
            let done = Command::new(env!("CARGO_BIN_EXE_realtime-processor"))
                .args(["schema", command])
                .current_dir(folder.path())
                .env("RUST_LOG", "debug")
                .env("SECRET", SECRET)
                .output()
                .expect("it starts");
            let said =
                [String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr)].concat();
            assert!(!done.status.success(), "{login}, {mood:?}: {said}");
            for secret in [SECRET, &coded, &client] {
                assert!(!said.contains(secret), "{login}, {mood:?}: {said}");
            }
            runs += 1;
        }
    }
    assert_eq!(runs, logins.len() * moods.len());
}
