//! The prompt and the job are one planner: what the prompt shows of a view equals what a job writes of it, for the project
//! that ships, the examples of docs/sql.md, and random views.

mod support;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use realtime_processor::batch::{Message, Messages, MessagesBuilder};
use realtime_processor::config::{Config, Mode};
use realtime_processor::decode::Decoder;
use realtime_processor::engine::Rehearsal;
use realtime_processor::prompt::{Seek, Session, SessionOptions, StateOf};
use realtime_processor::source::ReplaySource;
use realtime_processor::source::StartAt;
use serde_json::{Value, json};
use support::{Project, encoder, examples};

const MESSAGES: usize = 200;
const RANDOM_PROJECTS: u64 = 40;
/// 2024-03-01 08:00:00.
const TIME_MS: i64 = 1_709_280_000_000;

/// A value of an Avro type; few values, so that keys and groups meet.
fn value(avro: &Value, random: &mut fastrand::Rng) -> Value {
    match avro["type"].as_str().or(avro.as_str()).unwrap_or_default() {
        "int" => json!(random.i32(0..6)),
        "long" if avro["logicalType"] == "timestamp-millis" => json!(TIME_MS + random.i64(0..100_000_000)),
        "long" => json!(random.i64(0..500)),
        "double" => json!(random.i64(0..100_000) as f64 / 4.0),
        "string" => json!(["PT", "ES", "a", "2026-03-01 10:00:00"][random.usize(0..4)]),
        // The parts of a message are told apart by their values.
        "array" => {
            let mut items: Vec<Value> =
                (0..random.usize(0..3)).map(|_| value(&avro["items"], random)).collect();
            items.sort_by_key(Value::to_string);
            items.dedup();
            json!(items)
        }
        "record" => Value::Object(record(avro, random)),
        other => panic!("no value of the type {other}"),
    }
}

/// A value for each field of a record.
fn record(avro: &Value, random: &mut fastrand::Rng) -> serde_json::Map<String, Value> {
    let fields = avro["fields"].as_array().expect("fields").iter();
    let of_field = |field: &Value| {
        let kind = if field["type"].is_object() { &field["type"] } else { field };
        (field["name"].as_str().expect("a name").to_owned(), value(kind, random))
    };
    fields.map(of_field).collect()
}

/// Random messages of the schema of a project, as lines that the prompt loads and as Kafka has them.
fn messages(config: &Config, seed: u64) -> (String, Messages) {
    let mut random = fastrand::Rng::with_seed(seed);
    let path = &config.avro.schema;
    let schema: Value =
        serde_json::from_str(&std::fs::read_to_string(path).expect("a schema")).expect("JSON");
    let encode = encoder(path);
    let topic: Arc<str> = config.kafka.topics[0].as_str().into();
    let (mut lines, mut builder) = (String::new(), MessagesBuilder::default());
    for offset in 0..MESSAGES as i64 {
        let record = record(&schema, &mut random);
        let payload = encode(&Value::Object(record.clone()));
        let (timestamp_ms, payload) = (Some(TIME_MS + offset), Some(payload.as_slice()));
        builder.push(Message { timestamp_ms, payload, ..Message::tombstone(&topic, 0, offset) });
        let mut line = record;
        line.insert("kafka_topic".into(), json!(&*topic));
        line.insert("kafka_partition".into(), json!(0));
        line.insert("kafka_offset".into(), json!(offset));
        line.insert("kafka_timestamp".into(), json!(format!("2024-03-01T08:00:00.{offset:03}Z")));
        writeln!(lines, "{}", Value::Object(line)).expect("text");
    }
    (lines, builder.finish())
}

/// A prompt over these messages.
async fn prompt(config: &Config, lines: &str) -> Session {
    let options = SessionOptions {
        from: Seek::To(StartAt::Beginning),
        rows_max: None,
        dead_letters: false,
        state: StateOf::Auto,
    };
    let mut session = Session::open(config.clone(), options).await.expect("a session");
    let file = tempfile::Builder::new().suffix(".jsonl").tempfile().expect("a file");
    std::fs::write(file.path(), lines).expect("written");
    session.load_file(file.path()).expect("a batch");
    session
}

/// The rows as text, sorted: of an output with a key the order is that of the key.
fn texts(rows: &[RecordBatch]) -> Vec<String> {
    let options = FormatOptions::default().with_null("NULL");
    let mut texts = Vec::new();
    for batch in rows {
        let columns: Vec<ArrayFormatter<'_>> = batch
            .columns()
            .iter()
            .map(|column| ArrayFormatter::try_new(column, &options).expect("a column"))
            .collect();
        let names: Vec<String> = batch.schema().fields().iter().map(|field| field.name().clone()).collect();
        for row in 0..batch.num_rows() {
            let cells =
                names.iter().zip(&columns).map(|(name, column)| format!("{name}: {}", column.value(row)));
            texts.push(cells.collect::<Vec<_>>().join(", "));
        }
    }
    texts.sort();
    texts
}

/// Compares what the prompt shows with what a job writes, in one batch; returns the rows of each view that was compared.
async fn compare(name: &str, config: &Config, seed: u64) -> BTreeMap<String, usize> {
    let (lines, messages) = messages(config, seed);
    let decoder = Decoder::new(&config.avro).expect("a schema");
    let mut job = Rehearsal::prepare(config, decoder, &[], &|_| None).await.expect("plans");
    let written = job.run(vec![messages]).await.expect("a batch");
    assert!(written.dead_letters.is_empty(), "{name}: {:?}", written.dead_letters);
    let mut session = prompt(config, &lines).await;
    assert_eq!(session.faults(), None, "{name}");
    let mut compared = BTreeMap::new();
    for (view, rows) in job.views().iter().zip(&written.views) {
        // Of an output with a key, the table keeps the last row; the prompt shows all.
        if matches!(view.mode, Some(Mode::Upsert(_))) {
            continue;
        }
        let shown = session.rows(&format!("SELECT * FROM \"{}\"", view.name)).await.expect("rows");
        assert_eq!(texts(&shown), texts(rows), "{name}, seed {seed}: `{}`", view.name);
        compared.insert(view.name.clone(), texts(rows).len());
    }
    compared
}

#[tokio::test]
async fn the_prompt_shows_what_the_shipped_job_writes() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = Project::shipped(&folder.path().join("out.db"));
    let compared = compare("the project that ships", &config, 1).await;
    assert_eq!(compared.len(), 2);
    assert!(compared.values().all(|rows| *rows > 0), "{compared:?}");
}

/// As above, with the tables of a database.
#[tokio::test]
async fn the_prompt_shows_what_is_in_the_tables_of_the_shipped_job() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = Project::shipped(&folder.path().join("out.db"));
    let (lines, messages) = messages(&config, 2);
    let mut session = prompt(&config, &lines).await;
    let shown = session.rows("SELECT * FROM classified_movements").await.expect("rows");
    assert_eq!(texts(&shown).len(), MESSAGES);
    support::run(&config, ReplaySource::new(messages, MESSAGES)).await.expect("the job ends well");
    for view in ["classified_movements", "reactions"] {
        let shown = session.rows(&format!("SELECT * FROM {view}")).await.expect("rows");
        let names: Vec<String> =
            shown[0].schema().fields().iter().map(|field| format!("\"{}\"", field.name())).collect();
        let query = format!("SELECT {} FROM db.{view}", names.join(", "));
        let written = session.rows(&query).await.expect("rows");
        assert_eq!(texts(&shown), texts(&written), "{view}");
    }
}

#[tokio::test]
async fn the_prompt_shows_what_a_job_of_the_documents_writes() {
    let examples = examples();
    let (first, examples) = examples.split_first().expect("examples");
    let [(_, schema)] = &first.files[..] else { panic!("the schema comes first") };
    let mut views = 0;
    // A job that refuses most of its messages stops.
    for example in examples.iter().filter(|example| example.heading != "Refuse a message") {
        let project = example.project(schema);
        views += compare(&example.heading, &project.config, 3).await.len();
    }
    assert!(views >= 9, "{views} views were compared");
}

const SCHEMA: &str = r#"{"type": "record", "name": "R", "fields": [
    {"name": "customer", "type": "int"}, {"name": "value", "type": "long"}, {"name": "name", "type": "string"}]}"#;

/// Views that read `batch`, a table, state and each other. Each has the columns customer, value and n.
fn random_views(random: &mut fastrand::Rng) -> Vec<(String, String)> {
    let state = "SELECT b.customer, max(coalesce(s.times, 0)) + count(*) AS times FROM batch b \
                 LEFT JOIN seen s ON s.customer = b.customer GROUP BY b.customer";
    let mut views = vec![("next_seen".to_owned(), state.to_owned())];
    let base = "SELECT customer, value, kafka_offset AS n FROM batch";
    views.push(("v0".to_owned(), base.to_owned()));
    for number in 1..=random.usize(2..8) {
        let mut other = || format!("v{}", random.usize(0..number));
        let (a, b) = (other(), other());
        let bound = random.i32(1..400);
        let text = match random.u8(0..7) {
            0 => format!("SELECT customer, value * 2 AS value, n FROM {a} WHERE value > {bound}"),
            1 => format!("SELECT customer, sum(value) AS value, count(*) AS n FROM {a} GROUP BY customer"),
            2 => format!(
                "SELECT a.customer, a.value, b.n FROM {a} a JOIN (SELECT customer, max(n) AS n FROM {b} \
                 GROUP BY customer) b ON a.customer = b.customer"
            ),
            3 => format!(
                "SELECT customer, value, row_number() OVER (PARTITION BY customer ORDER BY value, n) AS n FROM {a}"
            ),
            4 => format!("SELECT * FROM {a} UNION ALL SELECT customer, value + 1 AS value, n FROM {b}"),
            5 => format!(
                "SELECT a.customer, coalesce(s.times, 0) AS value, a.n FROM {a} a LEFT JOIN seen s \
                 ON s.customer = a.customer"
            ),
            _ => format!(
                "SELECT a.customer, a.value, character_length(p.word) AS n FROM {a} a LEFT JOIN people p \
                 ON p.id = a.customer"
            ),
        };
        views.push((format!("v{number}"), text));
    }
    views
}

#[tokio::test]
async fn the_prompt_shows_what_a_job_of_random_views_writes() {
    let mut rows = 0;
    for seed in 0..RANDOM_PROJECTS {
        let mut random = fastrand::Rng::with_seed(seed);
        let views = random_views(&mut random);
        let mut outputs = String::new();
        for (name, _) in views.iter().skip(1).filter(|_| random.bool()) {
            writeln!(outputs, "  {name}: {{ table: {name} }}").expect("text");
        }
        let config = format!(
            "reference_tables:\n  people: {{ file: people.csv, key: id, matches: customer }}\n\
             state_tables:\n  seen: {{ view: next_seen, key: customer }}\n\
             outputs:\n  v0: {{ table: first }}\n{}",
            outputs.replace("  v0: { table: v0 }\n", "")
        );
        let people = "id,word\n1,one\n2,two\n3,three\n";
        let mut files = vec![("schema.avsc", SCHEMA), ("config.yaml", &config), ("people.csv", people)];
        let paths: Vec<(String, &str)> =
            views.iter().map(|(name, text)| (format!("sql/{name}.sql"), text.as_str())).collect();
        files.extend(paths.iter().map(|(path, text)| (path.as_str(), *text)));
        let project = Project::new(&files);
        rows += compare("random views", &project.config, seed).await.values().sum::<usize>();
    }
    assert!(rows > MESSAGES * RANDOM_PROJECTS as usize, "{rows} rows were compared");
}
