//! Partitions that change hands, and rows of state that another instance writes, at the moment that is worst: in the middle
//! of a batch. What Kafka does then is played here, so that it happens each time.

mod support;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use realtime_processor::batch::{Claim, Messages, TopicPartition};
use realtime_processor::config::Config;
use realtime_processor::engine::Report;
use realtime_processor::source::{Event, Fill, ReplaySource, Source as _, SourceError};
use support::played::{Play, Played};
use support::{Project, Recorder, Server, encoder, ended, execute, on_each_server};

const SCHEMA: &str = r#"{"type": "record", "name": "r", "fields": [{"name": "customer", "type": "int"}]}"#;
const TOTALS: &str = "SELECT b.customer, coalesce(t.n, 0) + count(*) AS n \
    FROM batch b LEFT JOIN totals t ON t.customer = b.customer GROUP BY b.customer, t.n";
const PLACES: &str = "SELECT kafka_partition, kafka_offset FROM batch";

async fn project(server: Server, follows_partition: bool) -> Project {
    let config = format!(
        "reference_tables: {{}}\nstate_tables:\n  \
         totals: {{ view: next_totals, key: customer, follows_partition: {follows_partition} }}\n"
    );
    let files = [
        ("schema.avsc", SCHEMA),
        ("config.yaml", &config),
        ("sql/places.sql", PLACES),
        ("sql/next_totals.sql", TOTALS),
    ];
    Project::on(server, &files).await
}

/// Messages of customer 1 in one partition, offsets from 0.
fn messages(project: &Project, count: i64) -> Messages {
    let payload = encoder(&project.schema())(&serde_json::json!({"customer": 1}));
    let mut recorder = Recorder::new("t");
    (0..count).for_each(|_| recorder.push(0, &payload));
    recorder.finish()
}

/// Something happens as soon as the first batch of five is taken.
struct Interrupted {
    /// The partition is taken away, given to another instance, which processes this, and then given back.
    other: Option<ReplaySource>,
    /// Another instance runs this statement when the batch is committed.
    statement: Option<&'static str>,
    config: Config,
    has_taken: bool,
    is_revoked: bool,
    is_released: bool,
}

impl Interrupted {
    fn new(project: &Project) -> Self {
        let (config, other, statement) = (project.config.clone(), None, None);
        Self { other, statement, config, has_taken: false, is_revoked: false, is_released: false }
    }

    async fn stored(&self) -> Vec<String> {
        support::rows(&self.config, "SELECT next_offset FROM realtime_offsets").await
    }

    fn partitions() -> Vec<TopicPartition> {
        vec![TopicPartition { topic: "t".into(), partition: 0 }]
    }
}

impl Play for Interrupted {
    async fn next(&mut self, recording: &mut ReplaySource, fill: Fill) -> Result<Event, SourceError> {
        if self.has_taken
            && let Some(statement) = self.statement
        {
            while self.stored().await != ["5"] {
                tokio::task::yield_now().await;
            }
            execute(&self.config, &[statement]).await;
            self.statement = None;
        }
        if self.has_taken && self.other.is_some() && !self.is_revoked {
            self.is_revoked = true;
            return Ok(Event::Revoked(Self::partitions()));
        }
        if self.is_revoked
            && let Some(other) = self.other.take()
        {
            assert!(self.is_released, "the engine answers before it asks again");
            let stored = self.stored().await;
            assert_eq!(stored, ["5"], "the current batch is committed before its partition is released");
            // Why: one job inside another would need more stack than a thread of a test has.
            Box::pin(support::run(&self.config, other)).await.expect("the other instance is done");
            return Ok(Event::Assigned(recording.give(Self::partitions())));
        }
        recording.next(fill).await
    }

    fn takes(&mut self) {
        self.has_taken = true;
    }

    fn released(&mut self) {
        self.is_released = true;
    }
}

/// The partition is taken away and given back while the engine claims it: the database is slow.
#[derive(Default)]
struct GivenBack {
    events: VecDeque<Event>,
    has_happened: bool,
    /// The number of the assignment and the epoch of each claim that was made.
    claimed: Arc<Mutex<Vec<(u64, i64)>>>,
}

impl Play for GivenBack {
    async fn next(&mut self, recording: &mut ReplaySource, fill: Fill) -> Result<Event, SourceError> {
        match self.events.pop_front() {
            Some(event) => Ok(event),
            None => recording.next(fill).await,
        }
    }

    fn claims(&mut self, recording: &mut ReplaySource, partitions: &[TopicPartition]) {
        if !std::mem::replace(&mut self.has_happened, true) {
            let given = recording.give(partitions.to_vec());
            self.events = [Event::Revoked(partitions.to_vec()), Event::Assigned(given)].into();
        }
    }

    fn claimed(&mut self, assignment: u64, claims: &[Claim]) {
        let epochs = claims.iter().map(|claim| (assignment, claim.epoch));
        self.claimed.lock().expect("whole").extend(epochs);
    }

    fn rejoins(&mut self) {
        panic!("nothing is wrong with the second claim");
    }
}

/// The job is idle after the recording, until it asks the group again.
struct Idle {
    /// What happens in the database while nothing comes.
    statements: Vec<&'static str>,
    config: Config,
    has_rejoined: bool,
}

impl Play for Idle {
    async fn next(&mut self, recording: &mut ReplaySource, fill: Fill) -> Result<Event, SourceError> {
        let event = recording.next(fill).await;
        if !matches!(event, Ok(Event::CaughtUp)) || self.has_rejoined {
            return event;
        }
        // The engine may skip to something else in the middle: what was begun is done again.
        if !self.statements.is_empty() {
            execute(&self.config, &self.statements).await;
            self.statements.clear();
        }
        std::future::pending().await
    }

    fn rejoins(&mut self) {
        assert!(!std::mem::replace(&mut self.has_rejoined, true), "once is enough");
    }
}

on_each_server! {
    what_a_failover_lost_is_read_again_without_a_new_message,
    another_owner_is_noticed_without_a_new_message,
    a_claim_serves_the_assignment_that_it_was_made_for,
    a_partition_goes_to_another_instance_and_comes_back,
    a_row_that_another_instance_has_written_is_read_again,
    a_row_that_another_instance_inserts_meanwhile_is_not_overwritten,
    a_row_that_another_instance_writes_again_and_again_does_not_stop_the_job,
}

/// Runs a job over a recording in which something happens.
async fn run(project: &Project, recording: ReplaySource, play: impl Play) -> Vec<Report> {
    ended(support::run(&project.config, Played { recording, play })).await.expect("done")
}

/// All 15 messages are processed once.
async fn assert_each_once(project: &Project) {
    assert_eq!(project.rows("SELECT customer, n FROM totals").await, ["1,15"]);
    assert_eq!(project.rows("SELECT count(*), count(DISTINCT kafka_offset) FROM places").await, ["15,15"]);
}

async fn a_partition_goes_to_another_instance_and_comes_back(server: Server) {
    for follows_partition in [false, true] {
        let project = project(server, follows_partition).await;
        let recording = ReplaySource::new(messages(&project, 15), 5);
        let other = ReplaySource::new(messages(&project, 10), 5);
        let play = Interrupted { other: Some(other), ..Interrupted::new(&project) };
        let reports = run(&project, recording, play).await;
        let counted: Vec<usize> = reports.iter().map(|report| report.messages).collect();
        assert_eq!(counted, [5, 5], "the other instance has processed what lies between");
        assert_each_once(&project).await;
    }
}

async fn a_claim_serves_the_assignment_that_it_was_made_for(server: Server) {
    let project = project(server, true).await;
    let claimed = Arc::<Mutex<Vec<(u64, i64)>>>::default();
    let play = GivenBack { claimed: Arc::clone(&claimed), ..GivenBack::default() };
    run(&project, ReplaySource::new(messages(&project, 15), 5), play).await;
    assert_eq!(*claimed.lock().expect("whole"), [(1, 1), (2, 2)], "each assignment has a claim of its own");
    assert_each_once(&project).await;
    assert_eq!(project.rows("SELECT next_offset, epoch FROM realtime_offsets").await, ["15,2"]);
}

async fn what_a_failover_lost_is_read_again_without_a_new_message(server: Server) {
    // The server that took over is one batch behind.
    let statements = vec![
        "DELETE FROM places WHERE kafka_offset >= 10",
        "UPDATE totals SET n = 10, _version = 2",
        "UPDATE realtime_offsets SET next_offset = 10, message_time = NULL",
    ];
    let project = project(server, true).await;
    idle(&project, statements).await;
    assert_eq!(project.rows("SELECT next_offset, epoch FROM realtime_offsets").await, ["15,2"]);
}

async fn another_owner_is_noticed_without_a_new_message(server: Server) {
    let statements = vec!["UPDATE realtime_offsets SET epoch = 2"];
    let project = project(server, true).await;
    idle(&project, statements).await;
    assert_eq!(project.rows("SELECT next_offset, epoch FROM realtime_offsets").await, ["15,3"]);
}

/// Runs a job of 15 messages that is idle when these statements are run; all is in place afterwards.
async fn idle(project: &Project, statements: Vec<&'static str>) {
    let recording = ReplaySource::new(messages(project, 15), 5);
    run(project, recording, Idle { statements, config: project.config.clone(), has_rejoined: false }).await;
    assert_each_once(project).await;
}

async fn a_row_that_another_instance_has_written_is_read_again(server: Server) {
    let project = project(server, false).await;
    let recording = ReplaySource::new(messages(&project, 10), 5);
    let statement = Some("UPDATE totals SET n = n + 100, _version = _version + 1");
    let reports = run(&project, recording, Interrupted { statement, ..Interrupted::new(&project) }).await;
    assert_eq!(project.rows("SELECT customer, n FROM totals").await, ["1,110"]);
    let conflicts: Vec<u64> = reports.iter().map(|report| report.conflicts).collect();
    assert_eq!(conflicts, [0, 1], "what was held of it is dropped, and it is computed once more");
}

/// Runs a job over four messages of customer 1, two a batch, with a trigger that acts as another instance whenever a
/// batch moves the offsets. Gives the conflicts.
async fn run_beside(project: &Project, server: Server, action: &str) -> u64 {
    let recording = || ReplaySource::new(messages(project, 4), 2);
    // The tables.
    support::engine(&project.config, recording()).await;
    let action = match server {
        Server::Sqlite => format!("BEGIN {action}; END"),
        Server::MySql => format!("FOR EACH ROW {action}"),
    };
    project.execute(&[&format!("CREATE TRIGGER other AFTER UPDATE ON realtime_offsets {action}")]).await;
    let reports = ended(project.run(recording())).await.expect("done");
    reports.iter().map(|report: &Report| report.conflicts).sum()
}

async fn a_row_that_another_instance_inserts_meanwhile_is_not_overwritten(server: Server) {
    let project = project(server, false).await;
    let insert =
        "INSERT INTO totals (customer, n, _version) SELECT 1, 100, 0 WHERE NOT EXISTS (SELECT * FROM totals)";
    let conflicts = run_beside(&project, server, insert).await;
    assert_eq!(project.rows("SELECT customer, n FROM totals").await, ["1,104"]);
    assert_eq!(conflicts, 2, "then its key is locked");
}

async fn a_row_that_another_instance_writes_again_and_again_does_not_stop_the_job(server: Server) {
    let project = project(server, false).await;
    let update = "UPDATE totals SET n = n + 100, _version = _version + 1";
    let conflicts = run_beside(&project, server, update).await;
    assert_eq!(
        project.rows("SELECT customer, n FROM totals").await,
        ["1,104"],
        "100 once, in the second batch"
    );
    assert_eq!(conflicts, 2, "then its key is locked");
}

/// Whatever writes the row, it does so each time: the job cannot go on, and must not spin, stay silent or be deaf.
#[tokio::test]
async fn conflicts_without_end_back_off_and_heed_a_wish_to_stop() {
    let project = project(Server::Sqlite, false).await;
    let source = ReplaySource::new(messages(&project, 5), 5);
    let (engine, stop) = support::stoppable(&project.config, source).await;
    project
        .execute(&["CREATE TRIGGER quicker BEFORE INSERT ON totals \
                   WHEN NEW._version <> 7 BEGIN INSERT INTO totals (customer, n, _version) VALUES (NEW.customer, 1, 7); END"])
        .await;
    let asked = async {
        tokio::time::sleep(Duration::from_secs(3)).await;
        stop.ask();
    };
    let mut none = |_: &Report| panic!("nothing can be committed");
    let run =
        tokio::time::timeout(Duration::from_secs(12), async { tokio::join!(engine.run(&mut none), asked).0 });
    run.await.expect("it ends").expect("nothing is wrong with the job");
    assert_eq!(project.rows("SELECT count(*) FROM totals").await, ["0"]);
}
