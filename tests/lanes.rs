//! Several lanes in one job: each with partitions, plans, state and a connection of its own, all of them at once. What
//! happens to one of them, the others neither suffer from nor hide. What Kafka does is played here.

mod support;

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use realtime_processor::avro::{Encoder, Frame};
use realtime_processor::batch::{
    Advance, Claim, Message, Messages, MessagesBuilder, Polled, Position, PutBack, TopicPartition,
};
use realtime_processor::config::Config;
use realtime_processor::database::{Connection, Purpose};
use realtime_processor::engine::Report;
use realtime_processor::source::{Bounds, Event, Fill, PartitionEnd, ReplaySource, Source, SourceError};
use support::{Project, Server, on_each_server};

const SCHEMA: &str = r#"{"type": "record", "name": "r", "fields": [{"name": "customer", "type": "int"}]}"#;
const TOTALS: &str = "SELECT b.customer, coalesce(t.n, 0) + count(*) AS n \
    FROM batch b LEFT JOIN totals t ON t.customer = b.customer GROUP BY b.customer, t.n";
const CONFIG: &str = "state_tables:\n  \
    totals: { view: next_totals, key: customer, follows_partition: true }\n";
const COUNTS: &str = "SELECT count(*), count(DISTINCT kafka_partition * 1000000 + kafka_offset) FROM places";
const LANES: i32 = 2;
/// A job that makes no progress ends within this.
const PATIENCE: Duration = Duration::from_secs(60);

/// A view whose rows say which text of it made them.
fn places(rule: u32) -> String {
    format!("SELECT kafka_partition, kafka_offset, {rule} AS rule FROM batch")
}

async fn project(server: Server) -> Project {
    let files = [
        ("schema.avsc", SCHEMA),
        ("config.yaml", CONFIG),
        ("sql/places.sql", &places(1)),
        ("sql/next_totals.sql", TOTALS),
    ];
    Project::on(server, &files).await
}

/// Messages of one partition, of the customer of its number, offsets from 0.
fn messages(schema: &Path, partition: i32, count: i64) -> Messages {
    let encoder = Encoder::new(schema, Frame::Raw).expect("a schema");
    let topic: Arc<str> = "t".into();
    let mut payload = Vec::new();
    encoder.encode(&serde_json::json!({"customer": partition}), &mut payload).expect("it fits");
    let mut builder = MessagesBuilder::default();
    for offset in 0..count {
        builder.push(Message {
            topic: &topic,
            partition,
            offset,
            timestamp_ms: Some(1_700_000_000_000 + offset),
            key: None,
            payload: Some(&payload),
            headers: &[],
        });
    }
    builder.finish()
}

/// A recording for each lane: the partition of its number, in batches of five.
fn recordings(project: &Project, count: i64) -> Vec<ReplaySource> {
    let recording = |lane| ReplaySource::new(messages(&project.schema(), lane, count), 5);
    (0..LANES).map(recording).collect()
}

/// Each message of both partitions stands once among the rows, and counts once.
async fn assert_each_once(project: &Project, count: i64) {
    let n = i64::from(LANES) * count;
    assert_eq!(project.rows(COUNTS).await, [format!("{n},{n}")]);
    let totals = project.rows("SELECT customer, n FROM totals ORDER BY customer").await;
    assert_eq!(totals, [format!("0,{count}"), format!("1,{count}")]);
}

/// What happens in a lane, when it looks for something to do.
type Incident = Box<dyn FnMut(&mut Lane) -> Option<Result<Event, SourceError>> + Send>;

/// A lane's recording, in which something happens.
struct Lane {
    recording: ReplaySource,
    incident: Option<Incident>,
    /// What another instance does when two batches are taken.
    other: Option<Other>,
    /// Batches that were taken, and how often the group was asked anew.
    taken: Arc<AtomicUsize>,
    rejoined: Arc<AtomicUsize>,
    is_revoked: bool,
    is_released: bool,
}

/// Another instance of the job.
enum Other {
    /// It runs this statement.
    Writes { config: Config, statement: &'static str },
    /// It gets the partition, processes this, and gives it back.
    Processes { config: Config, recording: Box<ReplaySource>, partition: i32 },
}

impl Lane {
    fn taken(&self) -> usize {
        self.taken.load(Ordering::SeqCst)
    }

    fn new(recording: ReplaySource) -> Self {
        Self {
            recording,
            incident: None,
            other: None,
            taken: Arc::default(),
            rejoined: Arc::default(),
            is_revoked: false,
            is_released: false,
        }
    }

    fn beside(recording: ReplaySource, other: Other) -> Self {
        Self { other: Some(other), ..Self::new(recording) }
    }

    /// What another instance does, as far as the engine hears of it. Dropping the future loses nothing.
    async fn meet(&mut self) -> Option<Event> {
        match self.other.as_ref()? {
            Other::Writes { config, statement } => {
                let write = Purpose::Write { create: false };
                let mut database = Connection::open(&config.database, write).await.expect("a database");
                database.run(statement).await.expect("written");
                self.other = None;
                None
            }
            Other::Processes { partition, .. } if !self.is_revoked => {
                self.is_revoked = true;
                Some(Event::Revoked(vec![TopicPartition { topic: "t".into(), partition: *partition }]))
            }
            Other::Processes { config, recording, partition } => {
                assert!(self.is_released, "the engine answers before it asks again");
                let stored =
                    format!("SELECT next_offset FROM realtime_offsets WHERE kafka_partition = {partition}");
                let stored = support::rows(config, &stored).await;
                assert_eq!(stored, ["10"], "the batch in hand is committed before its partition is released");
                support::run(config, (**recording).clone()).await.expect("the other instance is done");
                let partition = TopicPartition { topic: "t".into(), partition: *partition };
                self.other = None;
                Some(Event::Assigned(self.recording.give(vec![partition])))
            }
        }
    }

    fn with(
        recording: ReplaySource,
        incident: impl FnMut(&mut Self) -> Option<Result<Event, SourceError>> + Send + 'static,
    ) -> Self {
        Self { incident: Some(Box::new(incident)), ..Self::new(recording) }
    }
}

impl Source for Lane {
    async fn next(&mut self, fill: Fill) -> Result<Event, SourceError> {
        if let Some(mut incident) = self.incident.take() {
            let happened = incident(self);
            self.incident = Some(incident);
            if let Some(event) = happened {
                return event;
            }
        }
        if self.taken() == 2
            && let Some(event) = self.meet().await
        {
            return Ok(event);
        }
        self.recording.next(fill).await
    }

    async fn bounds(&mut self, partitions: &[TopicPartition]) -> Result<Vec<Bounds>, SourceError> {
        self.recording.bounds(partitions).await
    }

    fn assign(&mut self, assignment: u64, claims: &[Claim], bounds: &[Bounds]) {
        self.recording.assign(assignment, claims, bounds);
    }

    fn release(&mut self) {
        self.is_released = true;
    }

    fn limit(&mut self, rows_max: usize) {
        self.recording.limit(rows_max);
    }

    fn take(&mut self) -> Polled {
        self.taken.fetch_add(1, Ordering::SeqCst);
        self.recording.take()
    }

    fn put_back(&mut self, position: &PutBack) {
        self.recording.put_back(position);
    }

    fn go_on(&mut self, partitions: &[TopicPartition]) {
        self.recording.go_on(partitions);
    }

    fn rejoin(&mut self) {
        self.rejoined.fetch_add(1, Ordering::SeqCst);
        self.recording.rejoin();
    }

    fn stored(&mut self, _: &[Advance]) {}

    fn carried(&self) -> Vec<Position> {
        self.recording.carried()
    }

    fn ends(&self) -> Vec<PartitionEnd> {
        self.recording.ends()
    }

    async fn close(self) {}
}

/// A place where threads meet.
#[derive(Default)]
struct Meeting {
    arrived: Mutex<i32>,
    changed: Condvar,
}

impl Meeting {
    fn come(&self) {
        *self.arrived.lock().expect("no panic") += 1;
        self.changed.notify_all();
    }

    /// Blocks until so many have come.
    fn wait_for(&self, count: i32) {
        let arrived = self.arrived.lock().expect("no panic");
        let waited = self.changed.wait_timeout_while(arrived, PATIENCE, |arrived| *arrived < count);
        assert!(!waited.expect("no panic").1.timed_out(), "nobody else has come");
    }
}

on_each_server! {
    lanes_write_at_once_and_every_message_once,
    an_error_in_one_lane_stops_the_others_after_the_batch_in_hand,
    a_lane_that_is_fenced_asks_anew_and_the_other_goes_on,
    partitions_of_all_lanes_go_to_another_instance_and_come_back,
}

async fn run(project: &Project, lanes: Vec<Lane>) -> Result<Vec<Report>, String> {
    let job = support::run_lanes(&project.config, lanes);
    let ended = tokio::time::timeout(PATIENCE, job).await.expect("it comes to an end");
    ended.map_err(|error| error.to_string())
}

async fn lanes_write_at_once_and_every_message_once(server: Server) {
    let project = project(server).await;
    let meeting = Arc::new(Meeting::default());
    let lanes = recordings(&project, 50).into_iter().map(|recording| {
        let meeting = Arc::clone(&meeting);
        let mut has_met = false;
        Lane::with(recording, move |lane| {
            if lane.taken() == 2 && !has_met {
                has_met = true;
                // The other lane computes at the same time.
                meeting.come();
                meeting.wait_for(LANES);
            }
            None
        })
    });
    let reports = run(&project, lanes.collect()).await.expect("done");
    let ids: Vec<u64> = reports.iter().map(|report| report.batch_id).collect();
    assert_eq!(ids, (0..20).collect::<Vec<u64>>(), "batches are numbered through");
    assert_each_once(&project, 50).await;
}

async fn an_error_in_one_lane_stops_the_others_after_the_batch_in_hand(server: Server) {
    let project = project(server).await;
    let [failing, other] = <[_; 2]>::try_from(recordings(&project, 50)).expect("two lanes");
    let failing = Lane::with(failing, |lane| {
        (lane.taken() == 3).then(|| Err(SourceError::Broken("the topic is gone".into())))
    });
    // It never comes to its end by itself.
    let other = Lane::with(other, |lane| (lane.taken() == 2).then_some(Ok(Event::Revoked(Vec::new()))));
    let taken = Arc::clone(&other.taken);
    let error = run(&project, vec![failing, other]).await.expect_err("one lane fails");
    assert_eq!(error, "the topic is gone");
    let stored = "SELECT kafka_partition, next_offset FROM realtime_offsets ORDER BY kafka_partition";
    let taken = 5 * taken.load(Ordering::SeqCst);
    assert_eq!(project.rows(stored).await, ["0,15".to_owned(), format!("1,{taken}")]);
    let rows =
        "SELECT kafka_partition, count(*) FROM places GROUP BY kafka_partition ORDER BY kafka_partition";
    let all =
        if taken == 0 { vec!["0,15".to_owned()] } else { vec!["0,15".to_owned(), format!("1,{taken}")] };
    assert_eq!(project.rows(rows).await, all, "what was taken is committed");
}

async fn a_lane_that_is_fenced_asks_anew_and_the_other_goes_on(server: Server) {
    let project = project(server).await;
    let [fenced, other] = <[_; 2]>::try_from(recordings(&project, 50)).expect("two lanes");
    let statement = "UPDATE realtime_offsets SET epoch = epoch + 1 WHERE kafka_partition = 0";
    let fenced = Lane::beside(fenced, Other::Writes { config: project.config.clone(), statement });
    let other = Lane::new(other);
    let rejoined = [Arc::clone(&fenced.rejoined), Arc::clone(&other.rejoined)];
    run(&project, vec![fenced, other]).await.expect("done");
    assert_eq!(rejoined.map(|count| count.load(Ordering::SeqCst)), [1, 0]);
    assert_each_once(&project, 50).await;
}

async fn partitions_of_all_lanes_go_to_another_instance_and_come_back(server: Server) {
    let project = project(server).await;
    let shorter = recordings(&project, 30);
    let lanes =
        recordings(&project, 50).into_iter().zip(shorter).zip(0..).map(|((recording, other), partition)| {
            Lane::beside(
                recording,
                Other::Processes { config: project.config.clone(), recording: Box::new(other), partition },
            )
        });
    let reports = run(&project, lanes.collect()).await.expect("done");
    let processed: usize = reports.iter().map(|report| report.messages).sum();
    assert_eq!(processed, 60, "the other instance has processed what lies between");
    assert_each_once(&project, 50).await;
}

#[tokio::test]
async fn each_lane_takes_new_sql_over_between_two_batches() {
    let project = project(Server::Sqlite).await;
    let (meeting, given) = (Arc::new(Meeting::default()), Arc::new(Meeting::default()));
    let lanes = recordings(&project, 50).into_iter().map(|recording| {
        let (meeting, given) = (Arc::clone(&meeting), Arc::clone(&given));
        let mut has_waited = false;
        Lane::with(recording, move |lane| {
            if lane.taken() != 4 || has_waited {
                return None;
            }
            has_waited = true;
            meeting.come();
            given.wait_for(1);
            // Something that changes nothing, so that the engine looks around.
            Some(Ok(Event::Revoked(Vec::new())))
        })
    });
    let (job, mut running, sender) = support::lanes(&project.config, lanes.collect()).await;
    let before = running.version().to_owned();
    let view = project.folder.path().join("sql/places.sql");
    let change = tokio::spawn(async move {
        tokio::task::spawn_blocking(move || meeting.wait_for(LANES)).await.expect("all lanes come");
        std::fs::write(view, places(2)).expect("written");
        let version = running.reload(&sender).await.map(str::to_owned);
        given.come();
        version
    });
    tokio::time::timeout(PATIENCE, job.run(&mut |_| {})).await.expect("an end").expect("done");
    let version = change.await.expect("it ended").expect("new SQL");
    let rows =
        "SELECT kafka_partition, rule, min(kafka_offset), count(*) FROM places GROUP BY 1, 2 ORDER BY 1, 2";
    assert_eq!(project.rows(rows).await, ["0,1,0,20", "0,2,20,30", "1,1,0,20", "1,2,20,30"]);
    let history = "SELECT kafka_partition, from_offset, version FROM realtime_sql_history ORDER BY 1, 2";
    let entry = |partition: i32, from: i64, version: &str| format!("{partition},{from},{version}");
    let expected =
        [entry(0, 0, &before), entry(0, 20, &version), entry(1, 0, &before), entry(1, 20, &version)];
    assert_eq!(project.rows(history).await, expected);
    assert_each_once(&project, 50).await;
}
