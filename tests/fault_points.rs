//! Whatever happens, and at whichever step of a trigger: rows, state, dead letters and offsets are those of a calculation.
//!
//! A run counts the steps it passes: every statement, before and after, and the stages between. Then the same run is made
//! once for each of them, with a fault there. One that the job must survive, it survives; one that ends it is followed by
//! another start.
#![cfg(debug_assertions)]

mod support;

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

use realtime_processor::batch::Messages;
use realtime_processor::config::Config;
use realtime_processor::database::Address;
use realtime_processor::engine::Report;
use realtime_processor::fault_point::{self, Accident};
use realtime_processor::source::ReplaySource;
use support::{Project, Recorder, Server, alone, encoder};

const SCHEMA: &str = r#"{"type": "record", "name": "r", "fields": [
    {"name": "customer", "type": "int"}, {"name": "amount", "type": "int"}]}"#;
const CONFIG: &str = "\
    state_tables:\n  totals: { view: next_totals, key: customer, follows_partition: FOLLOWS }\n\
    outputs:\n  shares: { table: shares, mode: append }\n  latest: { table: latest, mode: upsert, key: customer }\n";
const SHARES: &str = "SELECT kafka_partition, kafka_offset, customer, 100 / amount AS share FROM batch";
const LATEST: &str = "SELECT customer, kafka_offset, amount FROM (SELECT *, row_number() OVER \
    (PARTITION BY customer ORDER BY kafka_partition DESC, kafka_offset DESC) AS place FROM batch) WHERE place = 1";
const TOTALS: &str = "SELECT b.customer, coalesce(t.n, 0) + count(*) AS n, coalesce(t.total, 0) + sum(b.amount) AS total \
    FROM batch b LEFT JOIN totals t ON t.customer = b.customer GROUP BY b.customer, t.n, t.total";
/// SQL divides by it.
const ZERO: i32 = 0;
/// The database refuses the share of it.
const REFUSED: i32 = 50;
const PARTITIONS: i32 = 2;

/// Messages by customer and amount, and how they are cut.
#[derive(Clone, Debug)]
struct Recording {
    messages: Vec<(i32, i32)>,
    sizes: Vec<usize>,
    /// Whether each partition goes to a lane of its own.
    is_in_lanes: bool,
}

/// What is special about a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Messages that no stage refuses, and one that each does.
    Faulty,
    /// Another session writes the state of each batch while it is computed: it is computed again, twice, and then with
    /// its keys locked.
    Contended,
    /// Enough rows for LOAD DATA, and enough batches for rows that are sent ahead.
    Loaded,
    /// As the first, with a lane for each partition.
    Lanes,
}

impl Kind {
    fn recording(self) -> Recording {
        let faulty = [(1, 5), (2, 4), (1, 2), (3, REFUSED), (2, ZERO), (-1, 1)];
        let (messages, sizes) = match self {
            Self::Faulty => (faulty.to_vec(), vec![2, 4]),
            Self::Contended => (vec![(1, 5), (2, 4), (1, 2), (2, 10)], vec![2]),
            Self::Loaded => ((0..1_000).map(|n| (n % 5, n % 20 + 1)).collect(), vec![250]),
            Self::Lanes => (faulty.to_vec(), vec![1, 2]),
        };
        Recording { messages, sizes, is_in_lanes: self == Self::Lanes }
    }

    /// By its name.
    fn of_name(name: &str) -> Option<Self> {
        [Self::Faulty, Self::Contended, Self::Loaded, Self::Lanes]
            .into_iter()
            .find(|kind| format!("{kind:?}") == name)
    }
}

impl Recording {
    /// Those of some partitions, and their places in the order in which they arrive. A customer below 0 stands for a
    /// payload that is no message.
    fn messages(&self, partitions: &[i32]) -> (Messages, Vec<usize>) {
        let folder = tempfile::tempdir().expect("a folder");
        let schema = folder.path().join("schema.avsc");
        std::fs::write(&schema, SCHEMA).expect("written");
        let (encode, mut recorder) = (encoder(&schema), Recorder::new("t"));
        for (partition, _, (customer, amount)) in self.placed() {
            let mut payload = encode(&serde_json::json!({"customer": customer, "amount": amount}));
            if customer < 0 {
                payload.push(0);
            }
            if partitions.contains(&partition) {
                recorder.push(partition, &payload);
            }
        }
        recorder.arriving()
    }

    /// Each message with its partition, which follows from the customer, and its offset.
    fn placed(&self) -> Vec<(i32, i64, (i32, i32))> {
        let mut next = [0_i64; PARTITIONS as usize];
        let place = |message: &(i32, i32)| {
            let partition = message.0.rem_euclid(PARTITIONS);
            let offset = next[partition as usize];
            next[partition as usize] += 1;
            (partition, offset, *message)
        };
        self.messages.iter().map(place).collect()
    }

    /// One for each lane.
    fn sources(&self) -> Vec<ReplaySource> {
        let partitions: Vec<i32> = (0..PARTITIONS).collect();
        let lanes = partitions.chunks(if self.is_in_lanes { 1 } else { partitions.len() });
        let source = |partitions: &[i32]| {
            let (messages, arrival) = self.messages(partitions);
            ReplaySource::arriving(messages, arrival, self.sizes.clone())
        };
        lanes.map(source).collect()
    }

    /// What must stand in the database when all messages are processed.
    fn outcome(&self) -> Outcome {
        let mut outcome = Outcome::default();
        let (mut latest, mut totals) = (BTreeMap::new(), BTreeMap::<i32, (i32, i32)>::new());
        let mut ends = BTreeMap::new();
        for (partition, offset, (customer, amount)) in self.placed() {
            ends.insert(partition, offset + 1);
            let stage = match amount {
                _ if customer < 0 => Some("decode"),
                ZERO => Some("sql"),
                REFUSED => Some("write"),
                _ => None,
            };
            if let Some(stage) = stage {
                outcome.dead_letters.push(format!("{partition},{offset},{stage}"));
                continue;
            }
            outcome.shares.push(format!("{partition},{offset},{customer},{}", 100 / amount));
            latest.insert(customer, format!("{customer},{offset},{amount}"));
            let (n, total) = totals.entry(customer).or_default();
            (*n, *total) = (*n + 1, *total + amount);
        }
        outcome.shares.sort();
        outcome.dead_letters.sort();
        outcome.latest = latest.into_values().collect();
        outcome.totals =
            totals.iter().map(|(customer, (n, total))| format!("{customer},{n},{total}")).collect();
        outcome.history = ends.keys().map(|partition| format!("{partition},0")).collect();
        outcome.offsets = ends.iter().map(|(partition, end)| format!("{partition},{end}")).collect();
        outcome
    }
}

/// All that a job has written.
#[derive(Debug, Default, PartialEq)]
struct Outcome {
    shares: Vec<String>,
    latest: Vec<String>,
    totals: Vec<String>,
    dead_letters: Vec<String>,
    offsets: Vec<String>,
    /// From which offset on the SQL computed a partition's rows.
    history: Vec<String>,
}

impl Outcome {
    async fn found(config: &Config) -> Self {
        let sorted = async |sql: &str| {
            let mut rows = support::rows(config, sql).await;
            rows.sort();
            rows
        };
        Self {
            shares: sorted("SELECT kafka_partition, kafka_offset, customer, share FROM shares").await,
            latest: sorted("SELECT customer, kafka_offset, amount FROM latest").await,
            totals: sorted("SELECT customer, n, total FROM totals").await,
            dead_letters: sorted("SELECT kafka_partition, kafka_offset, stage FROM dead_letters").await,
            offsets: sorted("SELECT kafka_partition, next_offset FROM realtime_offsets").await,
            history: sorted("SELECT kafka_partition, from_offset FROM realtime_sql_history").await,
        }
    }
}

/// A job whose tables are there, with what its kind needs.
async fn project(server: Server, kind: Kind) -> Project {
    let config = CONFIG.replace("FOLLOWS", if kind == Kind::Lanes { "true" } else { "false" });
    let files = [
        ("schema.avsc", SCHEMA),
        ("config.yaml", &config),
        ("sql/shares.sql", SHARES),
        ("sql/latest.sql", LATEST),
        ("sql/next_totals.sql", TOTALS),
    ];
    let mut project = Project::on(server, &files).await;
    project.config.dead_letters.ratio_max = 1.0;
    let (number, end) = match server {
        Server::Sqlite => ("INTEGER", "BEGIN UPDATE totals SET _version = _version + 1; END"),
        Server::MySql => ("INT", "FOR EACH ROW UPDATE totals SET _version = _version + 1"),
    };
    let id =
        if server == Server::Sqlite { "id INTEGER PRIMARY KEY" } else { "id INT AUTO_INCREMENT PRIMARY KEY" };
    project
        .execute(&[&format!(
            "CREATE TABLE shares ({id}, kafka_partition {number}, kafka_offset BIGINT, customer {number}, \
             share {number} CHECK (share <> {}))",
            100 / REFUSED
        )])
        .await;
    support::lanes(&project.config, kind.recording().sources()).await;
    if kind == Kind::Contended {
        project.execute(&[&format!("CREATE TRIGGER meddle AFTER UPDATE ON realtime_offsets {end}")]).await;
    }
    project
}

/// As if nothing was processed yet.
async fn emptied(config: &Config) {
    for table in ["shares", "latest", "totals", "dead_letters", "realtime_offsets", "realtime_sql_history"] {
        support::execute(config, &[&format!("DELETE FROM {table}")]).await;
    }
}

/// How a run went.
struct Ran {
    passed: Vec<String>,
    conflicts: u64,
    /// Whether the job came to its end, and was not stopped.
    has_ended: bool,
}

/// Runs the job once, in this process.
fn run(config: &Config, recording: &Recording, at: Option<(usize, Accident)>) -> Ran {
    alone(async {
        let (job, ..) = support::lanes(config, recording.sources()).await;
        let mut conflicts = 0;
        let mut count = |report: &Report| conflicts += report.conflicts;
        fault_point::begin(at);
        let has_ended = tokio::select! {
            ended = job.run(&mut count) => {
                ended.unwrap_or_else(|error| panic!("the job ended: {error}, {at:?}"));
                true
            }
            () = fault_point::stopped() => false,
        };
        Ran { passed: fault_point::end(), conflicts, has_ended }
    })
}

/// Runs the job once, in a process of its own, which is killed at this step.
fn run_killed(project: &Project, kind: Kind, at: usize) -> Ran {
    let Address::Sqlite { path } = &project.config.database else { panic!("a file") };
    let ended = Command::new(std::env::current_exe().expect("this test"))
        .args(["a_process_to_be_killed", "--exact", "--ignored"])
        .env("FAULT_POINTS_FOLDER", project.folder.path())
        .env("FAULT_POINTS_DATABASE", path)
        .env("FAULT_POINTS_KIND", format!("{kind:?}"))
        .env("FAULT_POINTS_AT", at.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .expect("a process");
    Ran { passed: Vec::new(), conflicts: 0, has_ended: ended.success() }
}

#[test]
#[ignore = "started by the tests that kill it"]
fn a_process_to_be_killed() {
    let variable = |name: &str| std::env::var(format!("FAULT_POINTS_{name}")).ok();
    let (Some(folder), Some(database), Some(kind), Some(at)) =
        (variable("FOLDER"), variable("DATABASE"), variable("KIND"), variable("AT"))
    else {
        return;
    };
    let mut config =
        Config::load(&std::path::Path::new(&folder).join("config.yaml")).expect("a configuration");
    config.database = Address::Sqlite { path: database.into() };
    config.dead_letters.ratio_max = 1.0;
    let kind = Kind::of_name(&kind).expect("a kind");
    run(&config, &kind.recording(), Some((at.parse().expect("a number"), Accident::Kill)));
}

/// One run for each step, with the fault there.
fn at_every_step(server: Server, kind: Kind, fault: Accident) {
    let project = alone(project(server, kind));
    let (config, recording) = (&project.config, kind.recording());
    let expected = recording.outcome();
    let whole = run(config, &recording, None);
    let steps = whole.passed;
    assert_eq!(alone(Outcome::found(config)), expected, "without a fault");
    assert_eq!(whole.conflicts >= 2, kind == Kind::Contended, "{} conflicts", whole.conflicts);
    assert!(steps.len() > 60, "{steps:#?}");
    let is_ahead =
        |pair: &[String]| pair[0].starts_with("before START") && pair[1].starts_with("before LOAD DATA");
    assert_eq!(steps.windows(2).any(is_ahead), kind == Kind::Loaded, "rows that are sent ahead: {steps:#?}");
    // A server that is busy says so instead of doing something, not afterwards.
    let is_meant = |step: &str| fault != Accident::Busy || step.starts_with("before ");
    let mut met = 0;
    for (at, step) in steps.iter().enumerate().filter(|(_, step)| is_meant(step)) {
        alone(emptied(config));
        let ran = match fault {
            Accident::Kill => run_killed(&project, kind, at),
            fault => run(config, &recording, Some((at, fault))),
        };
        if !ran.has_ended {
            met += 1;
            run(config, &recording, None);
        }
        assert_eq!(alone(Outcome::found(config)), expected, "{fault:?} at step {at}, {step}");
    }
    let ends_the_job = matches!(fault, Accident::Stop | Accident::Kill);
    // The order of two statements of different connections is not always the same, so the last steps may be missed.
    assert!(!ends_the_job || met >= steps.len() - 4, "{met} of {} steps were met", steps.len());
}

macro_rules! at_every_step {
    ($($(#[$attribute:meta])* $name:ident: $kind:ident, $fault:ident;)*) => {
        mod sqlite {
            $(#[test]
            $(#[$attribute])*
            fn $name() {
                super::at_every_step(super::Server::Sqlite, super::Kind::$kind, super::Accident::$fault);
            })*
        }
    };
}

at_every_step! {
    the_connection_is_lost: Faulty, Lose;
    the_connection_is_lost_under_contention: Contended, Lose;
    the_database_is_busy: Faulty, Busy;
    the_database_is_busy_under_contention: Contended, Busy;
    the_job_stops: Faulty, Stop;
    the_job_stops_under_contention: Contended, Stop;
    the_connections_of_lanes_are_lost: Lanes, Lose;
    the_job_stops_in_lanes: Lanes, Stop;
    #[ignore = "long: a process for each step"]
    the_process_is_killed: Faulty, Kill;
    #[ignore = "long: a process for each step"]
    the_process_is_killed_under_contention: Contended, Kill;
    #[ignore = "long: a process for each step"]
    the_process_is_killed_in_lanes: Lanes, Kill;
}

mod mysql {
    use super::{Accident, Kind, Server, at_every_step};

    fn all_faults(kind: Kind) {
        for fault in [Accident::Lose, Accident::Busy, Accident::Stop] {
            at_every_step(Server::MySql, kind, fault);
        }
    }

    #[test]
    #[ignore = "needs MySQL: scripts/services up"]
    fn whatever_happens() {
        all_faults(Kind::Faulty);
    }

    #[test]
    #[ignore = "needs MySQL: scripts/services up"]
    fn whatever_happens_under_contention() {
        all_faults(Kind::Contended);
    }

    #[test]
    #[ignore = "needs MySQL: scripts/services up"]
    fn whatever_happens_to_rows_that_are_loaded() {
        all_faults(Kind::Loaded);
    }

    #[test]
    #[ignore = "needs MySQL: scripts/services up"]
    fn whatever_happens_in_lanes() {
        all_faults(Kind::Lanes);
    }
}
