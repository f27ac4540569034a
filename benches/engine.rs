//! The whole loop without a server: recorded messages, the project that ships or its first views alone, SQLite.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use realtime_processor::avro::{Encoder, Frame};
use realtime_processor::batch::{Message, Messages, MessagesBuilder};
use realtime_processor::config::Config;
use realtime_processor::decode::Decoder;
use realtime_processor::engine::{Engine, Options, Parts, Plan, Stop};
use realtime_processor::sink::Sink;
use realtime_processor::source::ReplaySource;

const MESSAGES: usize = 20_000;
const BATCH: usize = 5_000;

/// Computes every movement whole and writes none.
const NOTHING: &str = "SELECT * FROM assessed_movements WHERE agency = 'none of these'";

/// Movements of 600 customers in one partition, and the bytes of their payloads.
fn movements() -> (Messages, u64) {
    let encoder =
        Encoder::new(Path::new("schemas/customer.avsc"), Frame::Raw).expect("the schema that ships");
    let mut random = fastrand::Rng::with_seed(7);
    let topic: Arc<str> = "customer_movements".into();
    let mut builder = MessagesBuilder::default();
    let mut bytes = 0;
    for offset in 0..MESSAGES as i64 {
        let record = serde_json::json!({
            "customer": random.i32(1..=600), "agency": "0001", "operation_value": random.f64() * 1000.0,
            "operation_type": random.i32(0..=1), "date": "2024-05-31 10:00:00",
            "account_balance": random.f64() * 1000.0,
        });
        let mut payload = Vec::new();
        encoder.encode(&record, &mut payload).expect("it fits");
        bytes += payload.len() as u64;
        builder.push(Message {
            topic: &topic,
            partition: 0,
            offset,
            timestamp_ms: Some(1_700_000_000_000 + offset),
            key: None,
            payload: Some(&payload),
            headers: &[],
        });
    }
    (builder.finish(), bytes)
}

/// The project that ships; `views`: those of its views that are used, all where there is none.
fn project(folder: &Path, views: &[&str], tables: &str) -> Config {
    for name in ["schemas", "data", "sql"] {
        std::fs::create_dir_all(folder.join(name)).expect("a folder");
    }
    std::fs::copy("schemas/customer.avsc", folder.join("schemas/customer.avsc")).expect("copied");
    std::fs::copy("data/accounts.csv", folder.join("data/accounts.csv")).expect("copied");
    for file in
        std::fs::read_dir("sql").expect("the views that ship").map(|file| file.expect("a file").path())
    {
        let (Some(name), Some(kind)) = (file.file_name(), file.extension()) else { continue };
        let is_used =
            views.is_empty() || file.file_stem().is_some_and(|stem| views.iter().any(|view| stem == *view));
        if kind == "sql" && is_used {
            std::fs::copy(&file, folder.join("sql").join(name)).expect("copied");
        }
    }
    if !views.is_empty() {
        std::fs::write(folder.join("sql/nothing.sql"), NOTHING).expect("written");
    }
    let config = format!(
        "kafka_server: none\nkafka_topic: customer_movements\navro_schema: schemas/customer.avsc\n\
         database: sqlite://bench.db\n{tables}"
    );
    std::fs::write(folder.join("config.yaml"), config).expect("written");
    Config::load(&folder.join("config.yaml")).expect("valid")
}

async fn engine(config: &Config, messages: &Messages) -> Engine<ReplaySource> {
    let _ = std::fs::remove_file(config.file.path.with_file_name("bench.db"));
    let decoder = Decoder::new(&config.avro).expect("a schema");
    let plan = Plan::prepare(config, &decoder).await.expect("plans");
    let Plan { tables, states, pipeline, targets, sql, .. } = plan;
    let sink = Sink::connect(config.database.clone(), &config.job, targets, true).await.expect("a database");
    let source = ReplaySource::new(messages.clone(), BATCH);
    let (_, stop) = Stop::new();
    let parts = Parts { source, decoder, tables, states, pipeline, sink: sink.with_sql(sql) };
    Engine::new(parts, Options::of(config, true), stop)
}

fn loops(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let (messages, bytes) = movements();
    let folder = tempfile::tempdir().expect("a folder");
    let shipped = project(&folder.path().join("shipped"), &[], "");
    let without_state = "state_tables: {}\n";
    let nothing =
        project(&folder.path().join("nothing"), &["enriched_movements", "assessed_movements"], without_state);
    let mut group = criterion.benchmark_group("engine");
    group.sample_size(10).measurement_time(Duration::from_secs(3)).warm_up_time(Duration::from_millis(500));
    for (name, config) in [("shipped", &shipped), ("into_nothing", &nothing)] {
        for (unit, throughput) in
            [("messages", Throughput::Elements(MESSAGES as u64)), ("bytes", Throughput::Bytes(bytes))]
        {
            group.throughput(throughput);
            group.bench_function(format!("{name}/{unit}"), |bencher| {
                bencher.iter_batched(
                    || runtime.block_on(engine(config, &messages)),
                    |engine| runtime.block_on(engine.run(&mut |_| {})).expect("it runs to its end"),
                    BatchSize::PerIteration,
                );
            });
        }
    }
    group.finish();
}

criterion_group!(benches, loops);
criterion_main!(benches);
