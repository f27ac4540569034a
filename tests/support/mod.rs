//! What tests over the engine share: a project in a folder of its own, run over a recording into SQLite.
#![allow(dead_code)] // Why: each test file uses its part.

pub mod played;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use realtime_processor::avro::{Encoder, Frame};
use realtime_processor::batch::{Limits, Message, Messages, MessagesBuilder};
use realtime_processor::config::Config;
use realtime_processor::database::{Address, Connection, Origin, Purpose, Reader};
use realtime_processor::decode::Decoder;
use realtime_processor::engine::{
    Engine, EngineError, JobParts, Lanes, Options, Plan, PlanError, ReloadSender, Reloads, Replay,
    ReplayParts, ReplayReport, Report, Running, Stop, StopSender,
};
use realtime_processor::sink::{Selection, Sink, StoredLetters};
use realtime_processor::source::{ReplaySource, Source};

/// Where rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    Sqlite,
    /// The one of `MYSQL_ADMIN_URL`.
    MySql,
}

/// Makes of each `async fn name(server: Server)` a test on SQLite, and one on MySQL for when it is asked for.
#[allow(unused_macros)]
macro_rules! on_each_server {
    ($($name:ident),* $(,)?) => {
        $(mod $name {
            #[tokio::test]
            async fn sqlite() {
                super::$name(crate::support::Server::Sqlite).await;
            }
            #[tokio::test]
            #[ignore = "needs MySQL: scripts/services up"]
            async fn mysql() {
                super::$name(crate::support::Server::MySql).await;
            }
        })*
    };
}
#[allow(unused_imports)]
pub(crate) use on_each_server;

/// A folder with a configuration, a schema and views, and a SQLite file for what comes out.
pub struct Project {
    pub folder: tempfile::TempDir,
    pub config: Config,
}

/// A job that makes no progress ends within this.
const PATIENCE: Duration = Duration::from_secs(120);

/// What comes of a job, which must come to its end.
pub async fn ended<T>(job: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, job).await.expect("it comes to an end")
}

/// Runs something on this thread, and drops whatever it has left behind.
pub fn alone<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(future)
}

/// How records of a schema are encoded, without a frame.
pub fn encoder(schema: &Path) -> impl Fn(&serde_json::Value) -> Vec<u8> + use<> {
    let encoder = Encoder::new(schema, Frame::Raw).expect("a schema");
    move |record| {
        let mut payload = Vec::new();
        encoder.encode(record, &mut payload).expect("it fits");
        payload
    }
}

/// Messages of a topic as Kafka keeps them: each partition numbers its own. The times are those of the offsets.
pub struct Recorder {
    topic: Arc<str>,
    first_offset: i64,
    next: BTreeMap<i32, i64>,
    /// Partition and offset of each message, in the order in which they were added.
    places: Vec<(i32, i64)>,
    builder: MessagesBuilder,
}

impl Recorder {
    pub fn new(topic: &str) -> Self {
        let (next, places, builder) = (BTreeMap::new(), Vec::new(), MessagesBuilder::default());
        Self { topic: topic.into(), first_offset: 0, next, places, builder }
    }

    /// The same, whose partitions begin with this offset.
    pub fn starting_at(self, first_offset: i64) -> Self {
        Self { first_offset, ..self }
    }

    /// Adds the next message of a partition.
    pub fn push(&mut self, partition: i32, payload: &[u8]) {
        self.push_with(partition, None, Some(payload), &[]);
    }

    pub fn push_with(
        &mut self,
        partition: i32,
        key: Option<&[u8]>,
        payload: Option<&[u8]>,
        headers: &[(String, Option<Vec<u8>>)],
    ) {
        let next = self.next.entry(partition).or_insert(self.first_offset);
        let place = Message::tombstone(&self.topic, partition, *next);
        let timestamp_ms = Some(1_700_000_000_000 + *next);
        self.builder.push(Message { timestamp_ms, key, payload, headers, ..place });
        self.places.push((partition, *next));
        *next += 1;
    }

    pub fn finish(mut self) -> Messages {
        self.builder.finish()
    }

    /// The messages, and for each in the order in which they were added its place among them.
    pub fn arriving(mut self) -> (Messages, Vec<usize>) {
        let messages = self.builder.finish();
        let sorted: BTreeMap<_, _> =
            messages.iter().enumerate().map(|(i, m)| ((m.partition, m.offset), i)).collect();
        let arrival = self.places.iter().map(|place| sorted[place]).collect();
        (messages, arrival)
    }
}

/// Waits until something is so.
pub async fn waits_until(what: impl AsyncFn() -> bool) {
    for _ in 0..500 {
        if what().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("it did not happen within 10 s");
}

impl Project {
    /// `files` by their path in the folder; `config.yaml` gets the three keys and the database put before it.
    pub fn new(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        for (path, text) in files {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("created");
            let is_config = path.ends_with("config.yaml");
            let head = if is_config {
                "kafka_server: nowhere:1\nkafka_topic: t\navro_schema: schema.avsc\ndatabase: sqlite://out.db\n"
            } else {
                ""
            };
            std::fs::write(path, format!("{head}{text}")).expect("written");
        }
        let config = Config::load(&folder.path().join("config.yaml")).expect("a valid configuration");
        Self { folder, config }
    }

    /// Waits for a table in SQLite that a job makes when it starts.
    pub async fn waits_for_table(&self, table: &str) {
        let file = self.folder.path().join("out.db");
        waits_until(async || file.exists()).await;
        let sql = format!("SELECT name FROM sqlite_master WHERE name = '{table}'");
        waits_until(async || !self.rows(&sql).await.is_empty()).await;
    }

    /// The same, writing to a database of its own on a server.
    pub async fn on(server: Server, files: &[(&str, &str)]) -> Self {
        let mut project = Self::new(files);
        if server == Server::MySql {
            project.config.database = new_mysql_database().await;
        }
        project
    }

    /// The job of the repository, writing to SQLite.
    pub fn shipped(database: &Path) -> Config {
        let mut config = Config::load(Path::new("config.yaml")).expect("the configuration that ships");
        config.database = Address::Sqlite { path: database.to_owned() };
        config
    }

    pub async fn run(&self, source: ReplaySource) -> Result<Vec<Report>, EngineError> {
        run(&self.config, source).await
    }

    /// The rows of a query as CSV.
    pub async fn rows(&self, sql: &str) -> Vec<String> {
        rows(&self.config, sql).await
    }

    /// Runs statements in the database.
    pub async fn execute(&self, statements: &[&str]) {
        execute(&self.config, statements).await;
    }

    /// Writes a file of the project.
    pub fn write(&self, path: &str, text: &str) {
        std::fs::write(self.folder.path().join(path), text).expect("written");
    }

    pub fn schema(&self) -> std::path::PathBuf {
        self.folder.path().join("schema.avsc")
    }

    /// What is wrong with the views or tables.
    pub async fn plan_error(&self) -> PlanError {
        planned(&self.config).await.1.map(drop).expect_err("something is wrong")
    }
}

impl Drop for Project {
    /// Leaves nothing on a server.
    fn drop(&mut self) {
        let Address::MySql(address) = &self.config.database else { return };
        let sql = format!("DROP DATABASE {}", address.database);
        let server = Address::MySql(address.clone());
        // Why a thread: this is dropped in a runtime, which cannot be waited for in it.
        let dropped = std::thread::spawn(move || {
            alone(async {
                let mut connection = Connection::open(&server, Purpose::Read).await.expect("a server");
                connection.run(&sql).await.expect("dropped");
            });
        });
        // A test that failed already says why.
        if dropped.join().is_err() && !std::thread::panicking() {
            panic!("the database of a test could not be dropped");
        }
    }
}

/// An empty database.
async fn new_mysql_database() -> Address {
    static MADE: AtomicU32 = AtomicU32::new(0);
    let url =
        std::env::var("MYSQL_ADMIN_URL").expect("MYSQL_ADMIN_URL=mysql://user:password@host:port/database");
    let Ok(Address::MySql(mut address)) = Address::parse(&url, Path::new(".")) else {
        panic!("no address: {url}")
    };
    let name = format!("rt_engine_{}_{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
    let server = Address::MySql(address.clone());
    let mut connection = Connection::open(&server, Purpose::Read).await.expect("a server");
    connection.run(&format!("DROP DATABASE IF EXISTS {name}")).await.expect("dropped");
    connection.run(&format!("CREATE DATABASE {name}")).await.expect("created");
    address.database = name;
    Address::MySql(address)
}

/// A job over a recording, ready to run.
pub async fn engine<S: Source>(config: &Config, source: S) -> Engine<S> {
    reloadable(config, source).await.0
}

/// A job over a recording, and the way to ask it to stop.
pub async fn stoppable<S: Source>(config: &Config, source: S) -> (Engine<S>, StopSender) {
    let (sender, stop) = Stop::new();
    let (parts, _) = parts(config, source).await;
    (Engine::new(parts, Options::of(config, true), stop), sender)
}

/// A job over a recording, and what a change of its SQL needs.
pub async fn reloadable<S: Source>(config: &Config, source: S) -> (Engine<S>, Running, ReloadSender) {
    let (parts, running) = parts(config, source).await;
    let (_, stop) = Stop::new();
    let (sender, reloads) = Reloads::of_lanes(1);
    let engine = Engine::new(parts, Options::of(config, true), stop);
    let engine = reloads.into_iter().fold(engine, Engine::with_reloads);
    (engine, running, sender)
}

/// Runs a job to its end, and changes it before its fourth batch, once `change` is done; gives what came of the change.
pub async fn reloaded_before_the_fourth_batch<S: Source>(
    (engine, mut running, sender): (Engine<S>, Running, ReloadSender),
    change: impl FnOnce() + Send + 'static,
) -> Result<(), String> {
    let (third, is_third) = tokio::sync::oneshot::channel();
    let (done, is_done) = std::sync::mpsc::channel();
    let change = tokio::spawn(async move {
        is_third.await.expect("three batches");
        change();
        let answer = running.reload(&sender).await.map(drop).map_err(|error| error.to_string());
        done.send(()).expect("the job waits");
        answer
    });
    let mut third = Some(third);
    let mut report = |report: &Report| {
        if let Some(third) = third.take_if(|_| report.batch_id == 2) {
            third.send(()).expect("somebody waits");
            is_done.recv().expect("an answer");
        }
    };
    engine.run(&mut report).await.expect("the job ends well");
    change.await.expect("it ended")
}

/// A decoder of the configured schema, and the plan with it.
pub async fn planned(config: &Config) -> (Decoder, Result<Plan, PlanError>) {
    let decoder = Decoder::new(&config.avro).expect("a schema");
    let plan = Plan::prepare(config, &decoder).await;
    (decoder, plan)
}

/// The plan of a job without faults.
pub async fn plan(config: &Config) -> (Decoder, Plan) {
    let (decoder, plan) = planned(config).await;
    (decoder, plan.expect("plans"))
}

/// The sink of a planned job, whose tables are created.
pub async fn sink(config: &Config, plan: &Plan) -> Sink {
    let targets = plan.targets.clone();
    let sink = Sink::connect(config.database.clone(), &config.job, targets, true).await.expect("a database");
    sink.with_sql(plan.sql.clone()).with_fills(plan.to_fill.clone())
}

async fn parts<S: Source>(config: &Config, source: S) -> (JobParts<S>, Running) {
    let (decoder, plan) = plan(config).await;
    let running = Running::new(config, &decoder, &plan);
    let sink = sink(config, &plan).await;
    let Plan { tables, states, pipeline, .. } = plan;
    (JobParts { source, decoder, tables, states, pipeline, sink }, running)
}

/// A job with a lane for each recording, and what a change of its SQL needs.
pub async fn lanes<S: Source + Send + 'static>(
    config: &Config,
    sources: Vec<S>,
) -> (Lanes<S>, Running, ReloadSender) {
    let decoder = Decoder::new(&config.avro).expect("a schema");
    let plans = Plan::of_lanes(config, &decoder, sources.len()).await.expect("plans");
    let running = Running::new(config, &decoder, &plans[0]);
    let sink = sink(config, &plans[0]).await;
    let (sender, reloads) = Reloads::of_lanes(sources.len());
    let parts = plans.into_iter().zip(sources).map(|(Plan { tables, states, pipeline, .. }, source)| {
        let decoder = decoder.another().expect("a decoder");
        JobParts { source, decoder, tables, states, pipeline, sink: sink.another() }
    });
    let (_, stop) = Stop::new();
    let lanes = Lanes::new(parts.collect(), Options::of(config, true), stop);
    (lanes.with_reloads(reloads), running, sender)
}

/// Runs a job with a lane for each recording to its end.
pub async fn run_lanes<S: Source + Send + 'static>(
    config: &Config,
    sources: Vec<S>,
) -> Result<Vec<Report>, EngineError> {
    let mut reports = Vec::new();
    lanes(config, sources).await.0.run(&mut |report| reports.push(report.clone())).await?;
    Ok(reports)
}

/// Runs a job over a recording to its end.
pub async fn run<S: Source>(config: &Config, source: S) -> Result<Vec<Report>, EngineError> {
    let mut reports = Vec::new();
    engine(config, source).await.run(&mut |report| reports.push(report.clone())).await?;
    Ok(reports)
}

/// A replay of dead letters, in batches of `rows_max`, ready to run.
pub async fn replayer(config: &Config, rows_max: usize) -> Replay {
    let (decoder, plan) = plan(config).await;
    let sink = sink(config, &plan).await;
    let Plan { tables, states, pipeline, .. } = plan;
    let letters = letters(config).await;
    let (_, stop) = Stop::new();
    let limits = Limits { rows_max, bytes_max: 1 << 20 };
    Replay::new(ReplayParts { decoder, tables, states, pipeline, sink, letters }, limits, stop)
}

/// Replays these dead letters, or all that wait where none is named.
pub async fn replay(config: &Config, ids: &[i64], rows_max: usize) -> Result<ReplayReport, EngineError> {
    let wanted = Selection { ids: ids.to_vec(), ..Selection::default() };
    replayer(config, rows_max).await.run(&wanted, &mut |_| {}).await
}

/// The dead letters of a job that has run.
pub async fn letters(config: &Config) -> StoredLetters {
    let letters = StoredLetters::open(config).await.expect("a database");
    letters.expect("a job has run")
}

/// Runs statements in the database of a job.
pub async fn execute(config: &Config, statements: &[&str]) {
    let write = Purpose::Write { create: true };
    let mut database = Connection::open(&config.database, write).await.expect("a database");
    for statement in statements {
        database.run(statement).await.expect("a statement");
    }
}

/// The rows of a query as CSV.
pub async fn rows(config: &Config, sql: &str) -> Vec<String> {
    let mut reader = Reader::new(config.database.clone());
    let relation = reader.open(Origin::Query(sql)).await.expect("a query");
    let mut out = arrow::csv::WriterBuilder::new().with_header(false).build(Vec::new());
    for batch in reader.fetch_all(&relation, 1 << 28).await.expect("rows") {
        out.write(&batch).expect("CSV");
    }
    let text = String::from_utf8(out.into_inner()).expect("UTF-8");
    text.lines().map(str::to_owned).collect()
}

/// A section of docs/sql.md with at least one example: its heading, and its files by their paths.
pub struct Example {
    pub heading: String,
    pub files: Vec<(String, String)>,
}

/// The sections of the page; a file is a line with its path in backticks, then a fenced block.
pub fn examples() -> Vec<Example> {
    let page = std::fs::read_to_string("docs/sql.md").expect("the page");
    let mut examples: Vec<Example> = Vec::new();
    let mut lines = page.lines();
    let mut path = None;
    while let Some(line) = lines.next() {
        if let Some(heading) = line.strip_prefix("## ").or_else(|| line.strip_prefix("### ")) {
            examples.push(Example { heading: heading.to_owned(), files: Vec::new() });
        } else if let Some(named) = line.strip_prefix('`').and_then(|line| line.strip_suffix("`:")) {
            path = Some(named.to_owned());
        } else if line.starts_with("```") {
            let text: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            let path = path.take().unwrap_or_else(|| panic!("a block without a path: {text:?}"));
            examples.last_mut().expect("a heading").files.push((path, text.join("\n") + "\n"));
        }
    }
    examples.retain(|example| !example.files.is_empty());
    examples
}

impl Example {
    /// Its files as a project. What its configuration does not say is nothing, not what ships.
    pub fn project(&self, schema: &str) -> Project {
        let mut files = vec![("schema.avsc", schema.to_owned())];
        let mut config = String::new();
        for (path, text) in &self.files {
            if path == "config.yaml" {
                config.push_str(text);
            } else {
                files.push((path, text.clone()));
            }
        }
        for key in ["reference_tables", "state_tables"] {
            if !config.contains(key) {
                config.push_str(&format!("{key}: {{}}\n"));
            }
        }
        files.push(("config.yaml", config));
        let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
        Project::new(&files)
    }
}
