//! A job whose messages were written through a schema registry: what it asks for, what waits, what goes on, and what a
//! registry may do wrong.

mod registry_support;
mod support;

use std::time::Duration;

use realtime_processor::avro::{Encoder, Frame, Schema, SchemaId};
use realtime_processor::batch::{Headers, Messages};
use realtime_processor::config::Config;
use realtime_processor::engine::{EngineError, Schemas};
use realtime_processor::registry::{Client, Found};
use realtime_processor::sink::Selection;
use realtime_processor::source::ReplaySource;
use serde_json::{Value, json};

use registry_support::{FakeRegistry, Mood};
use support::{Project, Recorder, waits_until};

const READER: &str = r#"{"type": "record", "name": "movement", "namespace": "bank", "fields": [
    {"name": "id", "type": "int"}, {"name": "note", "type": ["null", "string"], "default": null}]}"#;
/// Three versions of the writers' schema.
const FIRST: &str = r#"{"type": "record", "name": "movement", "namespace": "bank", "fields": [
    {"name": "id", "type": "int"}]}"#;
const SECOND: &str = r#"{"type": "record", "name": "movement", "namespace": "bank", "fields": [
    {"name": "extra", "type": "double"}, {"name": "id", "type": "int"}, {"name": "note", "type": "string"}]}"#;
const VIEW: &str = "SELECT kafka_partition, kafka_offset, id, note FROM batch";

/// One message: partition, id of its schema, the schema, its value.
struct Written<'a>(i32, u32, &'a str, Value);

fn payload(id: u32, schema: &str, value: &Value) -> Vec<u8> {
    let schema = Schema::parse(schema, "writer").expect("a schema");
    let encoder = Encoder::with_schema(schema, Frame::Confluent(id)).expect("a record");
    let mut payload = Vec::new();
    encoder.encode(value, &mut payload).expect("it fits");
    payload
}

/// Messages in the order of their partitions, each with offsets from 0.
fn messages(written: &[Written<'_>]) -> Messages {
    let with_headers = written.iter().map(|Written(partition, id, schema, value)| {
        (*partition, payload(*id, schema, value), Headers::new())
    });
    recorded(with_headers.collect())
}

fn recorded(all: Vec<(i32, Vec<u8>, Headers)>) -> Messages {
    let mut recorder = Recorder::new("t");
    for (partition, payload, headers) in &all {
        recorder.push_with(*partition, None, Some(payload), headers);
    }
    recorder.finish()
}

/// A project that asks this registry; `login` are more keys of it.
fn project(registry: &FakeRegistry, login: &str) -> Project {
    let config = format!(
        "avro_framing: confluent\nschema_registry: {{ url: {}, timeout: 400ms{login} }}\nreference_tables: {{}}\n",
        registry.url
    );
    Project::new(&[("schema.avsc", READER), ("sql/notes.sql", VIEW), ("config.yaml", &config)])
}

async fn run(config: &Config, messages: Messages, rows_max: usize) -> Result<(), EngineError> {
    let schemas = Schemas::of_job(config).await.expect("a database");
    run_with(schemas, config, messages, rows_max).await
}

async fn run_with(
    schemas: Option<Schemas>,
    config: &Config,
    messages: Messages,
    rows_max: usize,
) -> Result<(), EngineError> {
    let engine = support::engine(config, ReplaySource::new(messages, rows_max)).await;
    engine.with_schemas(schemas).run(&mut |_| {}).await
}

async fn notes(project: &Project) -> Vec<String> {
    project
        .rows("SELECT kafka_partition, kafka_offset, id, note FROM notes ORDER BY kafka_partition, kafka_offset")
        .await
}

async fn dead(project: &Project) -> Vec<String> {
    project.rows("SELECT kafka_offset, reason FROM dead_letters ORDER BY kafka_partition, kafka_offset").await
}

#[tokio::test]
async fn each_id_is_asked_for_once_and_a_restart_needs_no_registry() {
    let registry = FakeRegistry::start();
    registry.schema(1, FIRST, "");
    registry.schema(2, SECOND, "");
    let project = project(&registry, "");
    let two = |partition, id: i32| {
        Written(partition, 2, SECOND, json!({"extra": 0.5, "id": id, "note": format!("n{id}")}))
    };
    let first = [
        Written(0, 1, FIRST, json!({"id": 10})),
        two(0, 11),
        Written(0, 1, FIRST, json!({"id": 12})),
        two(1, 20),
        Written(1, 1, FIRST, json!({"id": 21})),
        two(2, 30),
    ];
    run(&project.config, messages(&first), 2).await.expect("done");
    let expected = ["0,0,10,", "0,1,11,n11", "0,2,12,", "1,0,20,n20", "1,1,21,", "2,0,30,n30"];
    assert_eq!(notes(&project).await, expected);
    assert_eq!((registry.count("/schemas/ids/1"), registry.count("/schemas/ids/2")), (1, 1));
    assert_eq!(project.rows("SELECT schema_id FROM realtime_schemas ORDER BY 1").await, ["1", "2"]);

    registry.is(Mood::Cut);
    let more = first.into_iter().chain([two(2, 31), Written(2, 1, FIRST, json!({"id": 32}))]);
    run(&project.config, messages(&more.collect::<Vec<_>>()), 2).await.expect("done");
    assert_eq!(notes(&project).await[6..], ["2,1,31,n31", "2,2,32,"]);
    assert_eq!(registry.requests(), 2, "what is known is not asked for");
    assert!(dead(&project).await.is_empty());
}

#[tokio::test]
async fn a_partition_waits_for_its_schema_and_the_others_go_on() {
    let registry = FakeRegistry::start();
    registry.schema(1, FIRST, "");
    registry.schema(2, SECOND, "");
    registry.is_ill_for("/ids/2", Some(Mood::Status(503)));
    let project = project(&registry, "");
    let one = |partition, id| Written(partition, 1, FIRST, json!({ "id": id }));
    let two = |partition, id| Written(partition, 2, SECOND, json!({"extra": 1.0, "id": id, "note": "x"}));
    let all =
        [one(0, 1), one(0, 2), two(0, 3), one(0, 4), two(0, 5), one(1, 6), one(1, 7), one(1, 8), two(2, 9)];
    let recording = messages(&all);
    let job = run(&project.config, recording, 3);
    let watch = async {
        project.waits_for_table("notes").await;
        waits_until(async || notes(&project).await.len() == 5).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(notes(&project).await, ["0,0,1,", "0,1,2,", "1,0,6,", "1,1,7,", "1,2,8,"]);
        let offsets =
            project.rows("SELECT kafka_partition, next_offset FROM realtime_offsets ORDER BY 1").await;
        assert_eq!(offsets, ["0,2", "1,3", "2,0"], "a position says what is not processed");
        registry.is_ill_for("/ids/2", None);
    };
    let (ended, ()) = tokio::join!(job, watch);
    ended.expect("done");
    let expected =
        ["0,0,1,", "0,1,2,", "0,2,3,x", "0,3,4,", "0,4,5,x", "1,0,6,", "1,1,7,", "1,2,8,", "2,0,9,x"];
    assert_eq!(notes(&project).await, expected);
    assert!(dead(&project).await.is_empty());
    assert_eq!(registry.count("/schemas/ids/1"), 1);
}

#[tokio::test]
async fn an_id_that_the_registry_does_not_know_makes_dead_letters_and_few_requests() {
    let registry = FakeRegistry::start();
    registry.schema(1, FIRST, "");
    let project = project(&registry, "");
    let written: Vec<Written<'_>> = (0..20)
        .map(|id| Written(0, if id % 4 == 3 { 7 } else { 1 }, FIRST, json!({ "id": id })))
        .chain([Written(0, u32::MAX, FIRST, json!({"id": 99}))])
        .collect();
    run(&project.config, messages(&written), 2).await.expect("done");
    assert_eq!(notes(&project).await.len(), 15);
    let dead = dead(&project).await;
    assert_eq!(dead.len(), 6);
    assert!(
        dead[0].contains("the registry does not know schema id 7: Schema not found (40403)"),
        "{}",
        dead[0]
    );
    assert!(dead[5].contains("ids of a registry are at most 2147483647"), "{}", dead[5]);
    assert_eq!(registry.count("/schemas/ids/7"), 1);
    // It may have been registered by the time of the next start.
    registry.schema(7, FIRST, "");
    let written: Vec<Written<'_>> =
        written.into_iter().chain([Written(0, 7, FIRST, json!({"id": 100}))]).collect();
    run(&project.config, messages(&written), 2).await.expect("done");
    assert_eq!(notes(&project).await.len(), 16);
}

#[tokio::test]
async fn whatever_a_registry_does_wrong_is_waited_out() {
    let moods = [
        Mood::Slow(Duration::from_millis(900)),
        Mood::Status(500),
        Mood::Status(503),
        Mood::Status(429),
        Mood::Cut,
        Mood::CutHalfWay,
        Mood::Html,
        Mood::Lies,
        Mood::Redirects,
        // A server that knows nothing of schemas.
        Mood::Status(404),
        // A proxy before the registry.
        Mood::Status(400),
        Mood::Status(407),
        Mood::Status(421),
    ];
    for mood in moods {
        let registry = FakeRegistry::start();
        registry.schema(1, FIRST, "");
        registry.is_first(&[mood, mood, Mood::Good]);
        let project = project(&registry, "");
        let written: Vec<Written<'_>> =
            (0..6).map(|id| Written(id % 2, 1, FIRST, json!({ "id": id }))).collect();
        let mut written = written;
        written.sort_by_key(|Written(partition, ..)| *partition);
        run(&project.config, messages(&written), 2).await.expect("done");
        assert_eq!(notes(&project).await.len(), 6, "{mood:?}");
        assert!(dead(&project).await.is_empty(), "{mood:?}");
        assert_eq!(registry.requests(), 3, "{mood:?}");
    }
}

#[tokio::test]
async fn a_schema_that_cannot_be_resolved_makes_dead_letters_with_the_reason() {
    let registry = FakeRegistry::start();
    registry.schema(1, FIRST, "");
    registry.schema(
        2,
        r#"{"type": "record", "name": "movement", "namespace": "bank", "fields": [
        {"name": "number", "type": "int"}]}"#,
        "",
    );
    registry.schema(3, "not JSON at all", "");
    registry.answer("/schemas/ids/4", r#"{"schemaType": "PROTOBUF", "schema": "message m {}"}"#);
    let project = project(&registry, "");
    let written: Vec<Written<'_>> = [1, 2, 3, 4, 1]
        .into_iter()
        .zip(0..)
        .map(|(of, id)| Written(0, of, FIRST, json!({ "id": id })))
        .collect();
    run(&project.config, messages(&written), 10).await.expect("done");
    assert_eq!(notes(&project).await, ["0,0,0,", "0,4,4,"]);
    let sql = "SELECT count(*) FROM dead_letters WHERE kafka_offset";
    for found in [
        "= 1 AND reason LIKE '%`id`%'",
        "= 2 AND reason LIKE '%not JSON%'",
        "= 3 AND reason LIKE '%type PROTOBUF%'",
    ] {
        assert_eq!(
            project.rows(&format!("{sql} {found}")).await,
            ["1"],
            "{found}: {:?}",
            dead(&project).await
        );
    }
    assert_eq!(project.rows("SELECT count(*) FROM dead_letters").await, ["3"]);
}

#[tokio::test]
async fn references_are_followed_also_where_they_meet_or_lead_back() {
    let registry = FakeRegistry::start();
    let writer = r#"{"type": "record", "name": "movement", "namespace": "bank", "fields": [
        {"name": "left", "type": "bank.Left"}, {"name": "right", "type": "bank.Right"},
        {"name": "id", "type": "int"}]}"#;
    let left = r#"{"type": "record", "name": "Left", "namespace": "bank", "fields": [{"name": "unit", "type": "Unit"}]}"#;
    let right = r#"{"type": "record", "name": "Right", "namespace": "bank", "fields": [{"name": "unit", "type": "Unit"}]}"#;
    let unit = r#"{"type": "enum", "name": "Unit", "namespace": "bank", "symbols": ["EUR", "BRL"]}"#;
    let reference = |subject: &str, version: u32| {
        format!(r#"{{"name": "n", "subject": "{subject}", "version": {version}}}"#)
    };
    registry.schema(5, writer, &format!("[{}, {}]", reference("left", 1), reference("right", 2)));
    registry.version("left", 1, left, &format!("[{}]", reference("unit", 1)));
    registry.version("right", 2, right, &format!("[{}, {}]", reference("unit", 1), reference("left", 1)));
    registry.version("unit", 1, unit, &format!("[{}]", reference("left", 1)));
    let whole = r#"{"type": "record", "name": "movement", "namespace": "bank", "fields": [
        {"name": "left", "type": {"type": "record", "name": "Left", "fields": [
            {"name": "unit", "type": {"type": "enum", "name": "Unit", "symbols": ["EUR", "BRL"]}}]}},
        {"name": "right", "type": {"type": "record", "name": "Right", "fields": [{"name": "unit", "type": "Unit"}]}},
        {"name": "id", "type": "int"}]}"#;
    let value = json!({"left": {"unit": "EUR"}, "right": {"unit": "BRL"}, "id": 1});
    let project = project(&registry, "");
    run(&project.config, messages(&[Written(0, 5, whole, value)]), 10).await.expect("done");
    assert_eq!(notes(&project).await, ["0,0,1,"]);
    assert_eq!(registry.requests(), 4, "each is asked for once");
}

#[tokio::test]
async fn ids_in_headers_are_read() {
    let registry = FakeRegistry::start();
    let guid = "0f0e0d0c-0b0a-0908-0706-050403020100";
    let schema = Value::from(SECOND);
    registry
        .answer(&format!("/schemas/guids/{guid}"), &format!(r#"{{"schema": {schema}, "guid": "{guid}"}}"#));
    registry.schema(1, FIRST, "");
    let raw = |id: u32, schema, value: &Value| payload(id, schema, value)[5..].to_vec();
    let header = |value: Vec<u8>| vec![("__value_schema_id".to_owned(), Some(value))];
    let guid_header = header(std::iter::once(1).chain((0..16).rev()).collect());
    let all = vec![
        (0, raw(0, SECOND, &json!({"extra": 1.0, "id": 1, "note": "guid"})), guid_header),
        (0, raw(0, FIRST, &json!({"id": 2})), header(vec![0, 0, 0, 0, 1])),
        (0, payload(1, FIRST, &json!({"id": 3})), Headers::new()),
        (0, payload(1, FIRST, &json!({"id": 4})), header(vec![9, 9])),
        // Older registries know no GUIDs, and answer as for any path that they do not have.
        (0, payload(1, FIRST, &json!({"id": 5})), header([1; 17].to_vec())),
    ];
    registry.is_ill_for("0101", Some(Mood::Status(404)));
    registry.answer("/schemas/types", r#"["AVRO", "JSON"]"#);
    let project = project(&registry, "");
    run(&project.config, recorded(all), 10).await.expect("done");
    assert_eq!(notes(&project).await, ["0,0,1,guid", "0,1,2,", "0,2,3,"]);
    let dead = dead(&project).await;
    assert!(dead[0].contains("the header __value_schema_id holds no schema id"), "{}", dead[0]);
    assert!(dead[1].contains("this registry knows no GUIDs"), "{}", dead[1]);
    assert_eq!(project.rows("SELECT schema_id FROM realtime_schemas ORDER BY 1").await[0], guid);
}

#[tokio::test]
async fn a_registry_that_refuses_the_credentials_stops_the_job_and_nothing_is_lost() {
    let registry = FakeRegistry::start();
    registry.schema(1, FIRST, "");
    registry.wants("Basic dTpyaWdodA==");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("password");
    std::fs::write(&file, "wrong-secret\n").expect("written");
    let project = project(&registry, &format!(", username: u, password_file: {}", file.display()));
    let written = [Written(0, 1, FIRST, json!({"id": 1})), Written(1, 1, FIRST, json!({"id": 2}))];
    let error = run(&project.config, messages(&written), 10).await.expect_err("refused").to_string();
    assert!(error.contains("refuses access (status 401)") && error.contains("hint: "), "{error}");
    assert!(!error.contains("wrong-secret") && !error.contains("d3Jvbmct"), "{error}");
    assert!(notes(&project).await.is_empty() && dead(&project).await.is_empty());
    // The file is read for each request.
    std::fs::write(&file, "right\n").expect("written");
    run(&project.config, messages(&written), 10).await.expect("done");
    assert_eq!(notes(&project).await, ["0,0,1,", "1,0,2,"]);
}

/// [`FakeRegistry`] names in its errors what it was sent.
#[tokio::test]
async fn what_a_registry_repeats_of_the_credentials_is_not_stored() {
    for login in [", token: hunter2-of-the-bank", ", username: u, password: hunter2-of-the-bank"] {
        let registry = FakeRegistry::start();
        let project = project(&registry, login);
        run(&project.config, messages(&[Written(0, 9, FIRST, json!({"id": 1}))]), 10).await.expect("done");
        let dead = dead(&project).await;
        assert!(dead[0].contains("a message that repeats the credentials (40403)"), "{dead:?}");
    }
}

#[tokio::test]
async fn each_way_to_log_in_sends_what_it_must() {
    let one = || messages(&[Written(0, 1, FIRST, json!({"id": 1}))]);
    let registry = FakeRegistry::start();
    registry.schema(1, FIRST, "");
    registry.wants("Bearer opaque");
    let by_token = project(&registry, ", token: opaque");
    run(&by_token.config, one(), 10).await.expect("done");
    assert_eq!(notes(&by_token).await.len(), 1);

    let registry = FakeRegistry::start();
    registry.schema(1, FIRST, "");
    registry.wants("Bearer from-oauth");
    registry
        .answer("/token", r#"{"access_token": "from-oauth", "token_type": "Bearer", "expires_in": 3600}"#);
    let oauth =
        format!(", token_url: {}/token, client_id: c, client_secret: s, scope: schemas", registry.url);
    let by_oauth = project(&registry, &oauth);
    run(&by_oauth.config, one(), 10).await.expect("done");
    assert_eq!(notes(&by_oauth).await.len(), 1);
    assert_eq!(registry.sent("/token").as_deref(), Some("grant_type=client_credentials&scope=schemas"));

    // A token that is refused is asked for once more, then it is the client that is refused.
    registry.wants("Bearer another");
    let by_oauth = project(&registry, &oauth);
    let error = run(&by_oauth.config, one(), 10).await.expect_err("refused").to_string();
    assert!(error.contains("refuses access"), "{error}");
    assert!(!error.contains("from-oauth"), "{error}");
    assert_eq!(registry.count("/token"), 3);
}

/// Each token that is asked for may end the one before.
#[tokio::test(flavor = "multi_thread")]
async fn requests_that_are_refused_together_ask_for_one_token() {
    let registry = FakeRegistry::start();
    (1..=9).for_each(|id| registry.schema(id, FIRST, ""));
    let token = |text: &str| {
        registry.answer("/token", &format!(r#"{{"access_token": "{text}", "expires_in": 3600}}"#));
        registry.wants(&format!("Bearer {text}"));
    };
    let oauth = format!(", token_url: {}/token, client_id: c, client_secret: s", registry.url);
    let project = project(&registry, &oauth);
    let client = Client::new(project.config.registry.as_ref().expect("a registry"));
    let ask = |id| client.schema(SchemaId::Number(id));
    token("old");
    ask(1).await.expect("an answer");
    token("new");
    for answer in futures::future::join_all((2..=9).map(ask)).await {
        assert!(matches!(answer, Ok(Found::Known(_))), "{answer:?}");
    }
    assert_eq!(registry.count("/token"), 2);
}

/// A registry gives an id once. If it does not keep to that, all instances decode as the first was told.
#[tokio::test]
async fn an_id_has_the_schema_that_the_first_instance_was_told() {
    let registry = FakeRegistry::start();
    registry.schema(1, FIRST, "");
    let project = project(&registry, "");
    let opened = async || Schemas::of_job(&project.config).await.expect("a database");
    // Both have started before either asks.
    let (first, second) = (opened().await, opened().await);
    let of = |partition| messages(&[Written(partition, 1, FIRST, json!({ "id": partition }))]);
    run_with(first, &project.config, of(0), 10).await.expect("done");
    registry.schema(1, SECOND, "");
    run_with(second, &project.config, of(1), 10).await.expect("done");
    assert_eq!(registry.requests(), 2);
    assert_eq!(notes(&project).await, ["0,0,0,", "1,0,1,"], "{:?}", dead(&project).await);
}

#[tokio::test]
async fn another_address_is_asked_where_the_first_does_not_answer() {
    let registry = FakeRegistry::start();
    registry.schema(1, FIRST, "");
    let away = FakeRegistry::start();
    away.is(Mood::Cut);
    let config = format!(
        "avro_framing: confluent\nschema_registry: {{ url: [{}, {}/] }}\nreference_tables: {{}}\n",
        away.url, registry.url
    );
    let project = Project::new(&[("schema.avsc", READER), ("sql/notes.sql", VIEW), ("config.yaml", &config)]);
    run(&project.config, messages(&[Written(0, 1, FIRST, json!({"id": 1}))]), 10).await.expect("done");
    assert_eq!(notes(&project).await, ["0,0,1,"]);
    assert_eq!((away.requests(), registry.requests()), (1, 1));
}

/// Each address has a hint, which stood in the middle of what was told of all.
#[tokio::test]
async fn what_several_addresses_answer_is_one_error_with_one_hint() {
    let (one, two) = (FakeRegistry::start(), FakeRegistry::start());
    [&one, &two].iter().for_each(|registry| registry.is(Mood::Html));
    let config = format!(
        "avro_framing: confluent\nschema_registry: {{ url: [{}, {}] }}\nreference_tables: {{}}\n",
        one.url, two.url
    );
    let project = Project::new(&[("schema.avsc", READER), ("sql/notes.sql", VIEW), ("config.yaml", &config)]);
    let client = Client::new(project.config.registry.as_ref().expect("a registry"));
    let found = client.version("t-value", None).await.expect_err("no registry answers").found();
    assert_eq!(found.hint.as_deref(), Some("is it a registry's address?"));
    assert!([&one, &two].iter().all(|registry| found.message.contains(&registry.url)), "{found}");
    assert!(!found.message.contains("hint"), "{found}");
}

#[tokio::test]
async fn a_job_that_waits_for_a_schema_ends_when_it_is_told_to() {
    let registry = FakeRegistry::start();
    registry.is(Mood::Cut);
    let project = project(&registry, "");
    let recording = messages(&[Written(0, 1, FIRST, json!({"id": 1}))]);
    let schemas = Schemas::of_job(&project.config).await.expect("a database");
    let (engine, stop) = support::stoppable(&project.config, ReplaySource::new(recording, 10)).await;
    let mut report = |_: &_| {};
    let job = engine.with_schemas(schemas).run(&mut report);
    let ask = async {
        waits_until(async || registry.requests() > 2).await;
        stop.ask();
    };
    let (ended, ()) = tokio::join!(job, ask);
    ended.expect("a wish is no fault");
    assert!(notes(&project).await.is_empty());
}

/// What reads no topic waits where it is: the schema of a dead letter may be what it waits for.
#[tokio::test]
async fn dead_letters_of_an_unknown_id_are_replayed_when_the_registry_knows_it() {
    let registry = FakeRegistry::start();
    let project = project(&registry, "");
    run(&project.config, messages(&[Written(0, 1, FIRST, json!({"id": 1}))]), 10).await.expect("done");
    assert_eq!(dead(&project).await.len(), 1);
    registry.schema(1, FIRST, "");
    registry.is_first(&[Mood::Status(500), Mood::Good]);
    let schemas = Schemas::of_job(&project.config).await.expect("a database");
    let replay = support::replayer(&project.config, 10).await.with_schemas(schemas);
    let report = replay.run(&Selection::default(), &mut |_| {}).await.expect("done");
    assert_eq!((report.replayed, report.failed), (1, 0));
    assert_eq!(notes(&project).await, ["0,0,1,"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn lanes_ask_for_an_id_once() {
    let registry = FakeRegistry::start();
    registry.schema(1, FIRST, "");
    registry.is(Mood::Slow(Duration::from_millis(200)));
    let project = project(&registry, "");
    let of = |partition| {
        let written: Vec<Written<'_>> =
            (0..2).map(|id| Written(partition, 1, FIRST, json!({ "id": id }))).collect();
        ReplaySource::new(messages(&written), 1)
    };
    let schemas = Schemas::of_job(&project.config).await.expect("a database");
    let (lanes, ..) = support::lanes(&project.config, vec![of(0), of(1)]).await;
    lanes.with_schemas(schemas.as_ref()).run(&mut |_| {}).await.expect("done");
    assert_eq!(registry.count("/schemas/ids/1"), 1);
    assert_eq!(notes(&project).await.len(), 4);
}
