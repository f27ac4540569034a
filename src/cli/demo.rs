//! `demo`: the whole program in one process, with nothing installed: a broker (librdkafka's mock), a database
//! (SQLite) and the job, over real messages by the real path. It leaves a small project behind to go on with.

mod project;
mod shown;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rdkafka::mocking::MockCluster;

use super::failure::Failure;
use super::job::Job;
use super::progress::{Progress, Style};
use super::run::unwatched;
use super::samples::{CUSTOMERS, Movements};
use super::sender::Sender;
use super::{job, reload, signals, terminal};
use crate::avro::Encoder;
use crate::config::{Config, HttpConfig, read_duration};
use crate::database::Address;
use crate::decode::Decoder;
use crate::engine::{Plan, Settings};
use crate::prompt::{Seek, Session, SessionOptions, StateOf};
use crate::source::StartAt;
use crate::watch::Watch;

/// Show the job working: broker, database and job in this one process.
///
/// Nothing has to be installed. The demo sends sample movements of bank customers to a broker inside this process,
/// classifies them with the SQL files of its project, and writes them to a SQLite file, which stays. A few of the messages
/// are broken: they become dead letters.
///
/// The project (config.yaml, sql, schemas, data) is written into a folder. Existing files are not overwritten. Change
/// the SQL there and run the demo again with the same `--dir`: it sends the same movements to an empty database, and
/// shows the share of each reaction before and after the change. The database of the run before is kept as
/// `data/before.db`. `data/sample.arrow` keeps some of the messages for the command `sql`, which then needs no broker.
///
/// While the demo runs, it serves a page about the job and prints its address. With `--for 0` it runs until Ctrl-C.
///
/// SIGHUP: the job reads the SQL of the project again, as `run` does, and uses it from the next batch on.
#[derive(Debug, clap::Args)]
#[command(after_long_help = super::help_end(&[
    "realtime-processor demo",
    "realtime-processor demo --for 10s --rate 2000 --dir my-project",
    "realtime-processor demo --for 0",
]))]
pub(super) struct Arguments {
    /// How long messages are sent; 0: until Ctrl-C.
    #[arg(long = "for", value_name = "TIME", default_value = "30s", value_parser = parse_time)]
    time: Duration,
    /// Stop after N messages, if that is sooner.
    #[arg(long, value_name = "N")]
    messages: Option<u64>,
    /// Messages per second.
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=50_000))]
    rate: u32,
    /// The folder of the project. Default: a new folder for temporary files.
    #[arg(long, value_name = "D")]
    dir: Option<PathBuf>,
}

/// Messages of the run, kept for the prompt.
const SAMPLE: &str = "data/sample.arrow";
const SAMPLE_MESSAGES_MAX: usize = 10_000;
/// What the movements follow from: each run sends the same, so that only the rules differ between two runs.
const SEED: u64 = 1;
const PARTITIONS: i32 = 4;
/// Where the page is.
const PAGE_PORT: u16 = 9464;
/// One of this many messages is broken.
const BROKEN_EVERY: u64 = 250;
/// How many messages the sender may be ahead of the commits: the mock broker keeps only 5 MiB per partition.
const AHEAD_MAX: u64 = 20_000;

/// What of the project's configuration is the demo's own, whatever the file says: its broker, its database and its page.
fn own_settings(of: &Config) -> Settings {
    let (database, http) = (of.database.clone(), of.http.clone());
    let (server, topics) = (of.kafka.server.clone(), of.kafka.topics.clone());
    Arc::new(move |config| {
        config.database.clone_from(&database);
        config.http.clone_from(&http);
        config.kafka.server.clone_from(&server);
        config.kafka.topics.clone_from(&topics);
    })
}

fn parse_time(text: &str) -> Result<Duration, String> {
    read_duration(text).ok_or_else(|| "expected a time with its unit, such as 20s or 1m".to_owned())
}

/// What the sender and the job know of each other.
#[derive(Debug, Default)]
struct Counts {
    sent: AtomicU64,
    committed: AtomicU64,
    is_sent: AtomicBool,
}

impl Counts {
    fn is_done(&self) -> bool {
        self.is_sent.load(Ordering::Acquire)
            && self.committed.load(Ordering::Acquire) >= self.sent.load(Ordering::Acquire)
    }
}

pub(super) async fn run(arguments: &Arguments) -> Result<(), Failure> {
    let broker = MockCluster::new(1).map_err(|error| Failure::failed(format!("no broker: {error}")))?;
    // The name says that it is a demo's: only a database with such topics is set aside.
    let topic = format!("{}{}", project::TOPIC_PREFIX, project::stamp());
    broker
        .create_topic(&topic, PARTITIONS, 1)
        .map_err(|error| Failure::failed(format!("no topic in the demo's broker: {error}")))?;
    let dir = arguments.dir.clone().unwrap_or_else(project::new_folder);
    project::write(&dir)
        .map_err(|error| Failure::failed(format!("{} cannot be written: {error}", dir.display())))?;
    let mut config = Config::load(&dir.join("config.yaml"))?;
    config.database = Address::Sqlite { path: dir.join(project::DATABASE) };
    // A run with a mistake in its SQL leaves the one before where it is.
    Plan::prepare(&config, &Decoder::new(&config.avro)?).await.map_err(job::not_planned)?;
    shown::set_aside(&dir).await?;
    config.kafka.server = broker.bootstrap_servers();
    config.kafka.topics = vec![topic];
    let watch = open_page(&mut config)?;
    let (asked, stop) = signals::stop_on_signals()?;
    let hangup = reload::hangup()?;
    let telemetry = watch.telemetry().clone();
    let stop = stop.with_telemetry(telemetry.clone());
    let watching = watch.start(&config, stop.clone()).map_err(unwatched)?;
    let Job { lanes, running, reload: sender } = job::open(&config, false, stop.clone()).await?;
    reload::start(hangup, running.with_settings(own_settings(&config)), sender, telemetry);
    let what = match arguments.messages {
        Some(messages) => format!("{messages} movements, {} a second", arguments.rate),
        None => format!("{} movements a second", arguments.rate),
    };
    let time = match (arguments.time.is_zero(), arguments.messages) {
        (true, None) => " until Ctrl-C".to_owned(),
        (true, Some(_)) => String::new(),
        (false, None) => format!(" for {:?}", arguments.time),
        (false, Some(_)) => format!(" for {:?} at most", arguments.time),
    };
    terminal::say(&format!("Sending {what}{time}, in {}.", dir.display()));
    if let Some(url) = &watching.url {
        terminal::say(&format!("Watch the job at {url} while it runs."));
    }
    terminal::say(&format!(
        "It uses changed SQL from {} after `kill -HUP {}`.",
        config.sql.display(),
        std::process::id()
    ));

    let counts = Arc::new(Counts::default());
    let sender = start_sender(&config, arguments, &counts, stop.clone())?;
    let style = if terminal::is_watched() { Style::Bar } else { Style::None };
    let mut progress = Progress::new(style);
    let watcher = tokio::spawn({
        let (counts, asked) = (Arc::clone(&counts), Arc::clone(&asked));
        async move {
            while !counts.is_done() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            asked.ask();
        }
    });
    let ended = lanes
        .run(&mut |report| {
            counts.committed.fetch_add(report.messages as u64, Ordering::Release);
            progress.show(report);
        })
        .await;
    watcher.abort();
    progress.finish(false);
    ended?;
    let sent = tokio::task::spawn_blocking(move || sender.join()).await;
    match sent {
        Ok(Ok(sent)) => sent.map_err(Failure::failed)?,
        _ => return Err(Failure::failed("the demo's sender ended without an answer")),
    }
    keep_sample(&config, &dir.join(SAMPLE)).await?;
    shown::show(&config, &dir, arguments).await
}

/// Listens for people who watch: at the address that `config.yaml` shows, or at any free port if that is taken.
fn open_page(config: &mut Config) -> Result<Watch, Failure> {
    let at = |port| Some(HttpConfig { address: SocketAddr::from(([127, 0, 0, 1], port)), token: None });
    config.http = at(PAGE_PORT);
    Watch::open(config)
        .or_else(|_| {
            config.http = at(0);
            Watch::open(config)
        })
        .map_err(unwatched)
}

/// Keeps some messages of the run for the prompt, as long as its broker is there.
async fn keep_sample(config: &Config, file: &Path) -> Result<(), Failure> {
    let options = SessionOptions {
        from: Seek::To(StartAt::Beginning),
        rows_max: Some(SAMPLE_MESSAGES_MAX),
        dead_letters: false,
        state: StateOf::Stored,
    };
    let mut session = Session::open(config.clone(), options).await?;
    session.save_file(file).await?;
    Ok(())
}

type SenderThread = std::thread::JoinHandle<Result<(), String>>;

/// Sends sample movements from a thread of its own.
fn start_sender(
    config: &Config,
    arguments: &Arguments,
    counts: &Arc<Counts>,
    stop: crate::engine::Stop,
) -> Result<SenderThread, Failure> {
    let encoder = Encoder::for_config(&config.avro)?;
    let mut sender = Sender::connect(&config.kafka, &config.kafka.topics[0], Some(arguments.rate))
        .map_err(Failure::failed)?;
    let (time, messages) = (arguments.time, arguments.messages.unwrap_or(u64::MAX));
    let counts = Arc::clone(counts);
    let started = Instant::now();
    let send = move || {
        let mut movements = Movements::new(CUSTOMERS, SEED);
        let mut payload = Vec::new();
        let mut sent = 0;
        while sent < messages && (time.is_zero() || started.elapsed() < time) && !stop.is_asked() {
            if sent.saturating_sub(counts.committed.load(Ordering::Acquire)) > AHEAD_MAX {
                std::thread::sleep(Duration::from_millis(5));
                continue;
            }
            let movement = movements.next();
            payload.clear();
            encode(&encoder, &movement, &mut payload)?;
            sent += 1;
            if sent % BROKEN_EVERY == 0 {
                payload.truncate(payload.len() / 2);
            }
            sender.send(Some(movement.customer.to_string().as_bytes()), &payload)?;
            counts.sent.store(sent, Ordering::Release);
        }
        let finished = sender.finish(&|_| {}).map(|_| ());
        counts.is_sent.store(true, Ordering::Release);
        finished
    };
    std::thread::Builder::new()
        .name("demo-sender".into())
        .spawn(send)
        .map_err(|error| Failure::failed(format!("no thread for the demo's sender: {error}")))
}

fn encode(
    encoder: &Encoder,
    movement: &super::samples::Movement,
    payload: &mut Vec<u8>,
) -> Result<(), String> {
    let mut json = Vec::new();
    movement.write_json(&mut json).map_err(|error| error.to_string())?;
    let value = serde_json::from_slice(&json).map_err(|error| error.to_string())?;
    encoder.encode(&value, payload).map_err(|error| format!("schemas/customer.avsc does not fit: {error}"))
}
