//! The whole loop without servers: messages from memory, decoded, computed, and committed to SQLite in a temporary folder.
//! `shipped` is the sample job with its outputs and its state; `into_nothing` has its accounts and its rules and writes no
//! row; `loop_alone` has no rules either, so what is left is decoding, the loop and the fence. Bytes are those of the
//! payloads.

mod support;

use std::path::{Path, PathBuf};
use std::time::Duration;

use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use realtime_processor::batch::Messages;
use realtime_processor::config::Config;
use realtime_processor::database::Address;
use realtime_processor::decode::Decoder;
use realtime_processor::engine::{Engine, JobParts, Options, Plan, Stop};
use realtime_processor::sink::Sink;
use realtime_processor::source::ReplaySource;
use tempfile::TempDir;

use support::{payload_bytes, rows_and_bytes};

const MESSAGES: usize = 1 << 16;
/// Messages of a batch, at most.
const BATCH_ROWS: [usize; 2] = [1_000, 8_192];

/// A job that has connected and planned, with a database of its own.
struct Job {
    engine: Engine<ReplaySource>,
    folder: TempDir,
}

impl Job {
    async fn open(config: &Config, messages: Messages, batch_rows: usize) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let database = Address::Sqlite { path: folder.path().join("rows.db") };
        let config = Config { database, ..config.clone() };
        let decoder = Decoder::new(&config.avro).expect("a schema");
        let Plan { tables, states, pipeline, targets, sql, .. } =
            Plan::prepare(&config, &decoder).await.expect("views");
        let sink = Sink::connect(config.database.clone(), &config.job, targets, true).await;
        let sink = sink.expect("a database").with_sql(sql);
        let source = ReplaySource::new(messages, batch_rows);
        let (_, stop) = Stop::new();
        let parts = JobParts { source, decoder, tables, states, pipeline, sink };
        Self { engine: Engine::new(parts, Options::of(&config, true), stop), folder }
    }

    /// Runs to the end of the messages. The folder is given back, so that removing it takes no time here.
    async fn run(self) -> TempDir {
        let mut messages = 0;
        let ended = self.engine.run(&mut |report| messages += report.messages).await;
        ended.expect("the job ends well");
        assert_eq!(messages, MESSAGES, "every message is committed");
        self.folder
    }
}

/// A job without state in a folder of its own, with some of the views that ship and an output that has no rows.
fn without_rows(folder: &Path, shipped: &[&str], nothing: &str) -> Config {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = |path: PathBuf| serde_json::to_string(&path).expect("a path that is UTF-8");
    let config = format!(
        "kafka_server: nowhere:1\nkafka_topic: {}\navro_schema: {}\ndatabase: sqlite://rows.db\n\
         reference_tables: {{ accounts: {{ file: {}, key: customer_id, matches: customer }} }}\nstate_tables: {{}}\n",
        support::TOPIC,
        path(support::schema()),
        path(root.join("data/accounts.csv")),
    );
    let sql = folder.join("sql");
    std::fs::create_dir_all(&sql).expect("a folder");
    for view in shipped {
        let file = format!("{view}.sql");
        std::fs::copy(root.join("sql").join(&file), sql.join(&file)).expect("a view that ships");
    }
    std::fs::write(sql.join("nothing.sql"), nothing).expect("the view is written");
    std::fs::write(folder.join("config.yaml"), config).expect("the configuration is written");
    Config::load(&folder.join("config.yaml")).expect("a configuration")
}

/// The jobs by their names; some stand in `folder`.
fn jobs(folder: &Path) -> [(&'static str, Config); 3] {
    let rules = ["enriched_movements", "assessed_movements"];
    let of_rules = "SELECT * FROM assessed_movements WHERE agency = 'none of these'";
    let of_batch = "SELECT kafka_offset, customer FROM batch WHERE agency = 'none of these'";
    [
        ("shipped", support::shipped_config(Path::new("rows.db"))),
        ("into_nothing", without_rows(&folder.join("into_nothing"), &rules, of_rules)),
        ("loop_alone", without_rows(&folder.join("loop_alone"), &[], of_batch)),
    ]
}

fn engine(criterion: &mut Criterion) {
    let runtime = support::runtime();
    let messages = support::movements(MESSAGES);
    let folder = tempfile::tempdir().expect("a folder");
    let mut group = criterion.benchmark_group("engine");
    group.throughput(rows_and_bytes(MESSAGES, payload_bytes(&messages)));
    group.sample_size(10).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(3));
    for (name, config) in jobs(folder.path()) {
        for batch_rows in BATCH_ROWS {
            group.bench_function(BenchmarkId::new(name, batch_rows), |bencher| {
                bencher.iter_batched(
                    || runtime.block_on(Job::open(&config, messages.clone(), batch_rows)),
                    |job| runtime.block_on(job.run()),
                    BatchSize::PerIteration,
                );
            });
        }
    }
    group.finish();
}

criterion_group!(benches, engine);
criterion_main!(benches);
