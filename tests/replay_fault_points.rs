//! Whatever happens, and at whichever step of a replay: each message is brought in once, or still waits.
//!
//! As `fault_points` does it for a job: a run counts the steps, and then the same run is made once for each of them.
#![cfg(debug_assertions)]

mod support;

use realtime_processor::batch::Messages;
use realtime_processor::config::Config;
use realtime_processor::engine::ReplayReport;
use realtime_processor::fault_point::{self, Accident};
use realtime_processor::sink::Selection;
use realtime_processor::source::ReplaySource;
use support::{Project, Recorder, Server, alone, encoder};

const SCHEMA: &str = r#"{"type": "record", "name": "r", "fields": [
    {"name": "customer", "type": "int"}, {"name": "amount", "type": "int"}]}"#;
const TOTALS: &str = "SELECT b.customer, coalesce(t.n, 0) + count(*) AS n, coalesce(t.total, 0) + sum(b.amount) AS total \
    FROM batch b LEFT JOIN totals t ON t.customer = b.customer GROUP BY b.customer, t.n, t.total";
/// SQL divides by zero for these amounts.
const SHARES: &str = "SELECT kafka_partition, kafka_offset, customer, \
    100 / CASE WHEN amount IN (0, 7) THEN 0 ELSE amount END AS share FROM batch";
/// It does so no more; the database refuses what comes of 7, and of [`REFUSED`].
const SHARES_MENDED: &str = "SELECT kafka_partition, kafka_offset, customer, \
    CASE WHEN amount = 7 THEN 2 ELSE 100 / nullif(amount, 0) END AS share FROM batch";
const REFUSED: i32 = 50;
const TABLES: [&str; 4] = ["shares", "totals", "dead_letters", "realtime_offsets"];

/// Customer and amount of each message; customers have partitions of their own.
const MESSAGES: [(i32, i32); 7] = [(1, 5), (2, 0), (1, 0), (1, REFUSED), (2, 4), (1, 7), (3, 0)];
/// Of those: amounts of 0, which the replay brings in, and those that fail again.
const BROUGHT_IN: usize = 3;
const FAIL_AGAIN: usize = 2;

fn recording(project: &Project) -> Messages {
    let (encode, mut recorder) = (encoder(&project.schema()), Recorder::new("t"));
    for (customer, amount) in MESSAGES {
        recorder.push(customer % 2, &encode(&serde_json::json!({"customer": customer, "amount": amount})));
    }
    recorder.finish()
}

/// A database in which dead letters wait, the view mended; a copy of each table stands beside it.
async fn project(server: Server, state: &str) -> Project {
    let config = format!(
        "reference_tables: {{}}\nstate_tables:\n  totals: {{ view: next_totals, key: customer{state} }}\n"
    );
    let files = [
        ("schema.avsc", SCHEMA),
        ("config.yaml", config.as_str()),
        ("sql/shares.sql", SHARES),
        ("sql/next_totals.sql", TOTALS),
    ];
    let project = Project::on(server, &files).await;
    let id = match server {
        Server::Sqlite => "id INTEGER PRIMARY KEY",
        Server::MySql => "id INT AUTO_INCREMENT PRIMARY KEY",
    };
    project
        .execute(&[&format!(
            "CREATE TABLE shares ({id}, kafka_partition INT, kafka_offset BIGINT, customer INT, \
             share INT CHECK (share <> 2))"
        )])
        .await;
    project.run(ReplaySource::new(recording(&project), 5)).await.expect("done");
    for table in TABLES {
        project.execute(&[&format!("CREATE TABLE copy_of_{table} AS SELECT * FROM {table}")]).await;
    }
    project.write("sql/shares.sql", SHARES_MENDED);
    project
}

/// As if nothing was replayed yet.
async fn restored(config: &Config) {
    for table in TABLES {
        let fill = format!("INSERT INTO {table} SELECT * FROM copy_of_{table}");
        support::execute(config, &[&format!("DELETE FROM {table}"), &fill]).await;
    }
}

/// One replay; `None` where it was stopped.
fn replay(config: &Config, at: Option<(usize, Accident)>) -> (Vec<String>, Option<ReplayReport>) {
    alone(async {
        let replay = support::replayer(config, 3).await;
        let (all, mut quiet) = (Selection::default(), |_: &ReplayReport| {});
        fault_point::begin(at);
        let report = tokio::select! {
            ended = replay.run(&all, &mut quiet) => {
                Some(ended.unwrap_or_else(|error| panic!("the replay ended: {error}, {at:?}")))
            }
            () = fault_point::stopped() => None,
        };
        (fault_point::end(), report)
    })
}

/// All that counts of the database.
async fn found(config: &Config) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for sql in [
        "SELECT kafka_partition, kafka_offset, customer, share FROM shares ORDER BY 1, 2",
        "SELECT customer, n, total FROM totals ORDER BY 1",
        "SELECT kafka_partition, kafka_offset, stage, replayed_at IS NULL FROM dead_letters ORDER BY 1, 2",
        "SELECT kafka_partition, next_offset FROM realtime_offsets ORDER BY 1",
    ] {
        found.push(support::rows(config, sql).await);
    }
    found
}

fn at_every_step(server: Server, state: &str, fault: Accident) {
    let project = alone(project(server, state));
    let config = &project.config;
    let (steps, report) = replay(config, None);
    let report = report.expect("nothing stopped it");
    assert_eq!((report.replayed, report.failed, report.gone), (BROUGHT_IN, FAIL_AGAIN, 0), "{report:?}");
    let expected = alone(found(config));
    assert_eq!(expected[0].len(), MESSAGES.len() - FAIL_AGAIN);
    assert_eq!(expected[1], ["1,2,5", "2,2,4", "3,1,0"], "per customer: count and sum");
    assert!(steps.len() > 40, "{steps:#?}");
    let is_meant = |step: &str| fault != Accident::Busy || step.starts_with("before ");
    for (at, step) in steps.iter().enumerate().filter(|(_, step)| is_meant(step)) {
        alone(restored(config));
        match replay(config, Some((at, fault))).1 {
            Some(report) => {
                let counts = (report.replayed, report.failed, report.gone);
                assert_eq!(counts, (BROUGHT_IN, FAIL_AGAIN, 0), "{fault:?} at step {at}, {step}");
            }
            None => assert!(replay(config, None).1.is_some()),
        }
        assert_eq!(alone(found(config)), expected, "{fault:?} at step {at}, {step}");
    }
}

const STATES: [&str; 2] = ["", ", follows_partition: true"];

macro_rules! at_every_step {
    ($($name:ident: $state:literal, $fault:ident;)*) => {
        mod sqlite {
            $(#[test]
            fn $name() {
                super::at_every_step(super::Server::Sqlite, super::STATES[$state], super::Accident::$fault);
            })*
        }
        mod mysql {
            $(#[test]
            #[ignore = "needs MySQL: scripts/services up"]
            fn $name() {
                super::at_every_step(super::Server::MySql, super::STATES[$state], super::Accident::$fault);
            })*
        }
    };
}

at_every_step! {
    the_connection_is_lost: 1, Lose;
    the_database_is_busy: 1, Busy;
    the_replay_stops: 0, Stop;
}
