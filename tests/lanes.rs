//! Several lanes in one job: each with partitions, plans, state and a connection of its own, all of them at once. What
//! happens to one of them, the others neither suffer from nor hide. What Kafka does is played here.

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use realtime_processor::batch::TopicPartition;
use realtime_processor::config::Config;
use realtime_processor::engine::Report;
use realtime_processor::source::{Event, Fill, ReplaySource, Source as _, SourceError};
use support::played::{Play, Played};
use support::{Project, Recorder, Server, encoder, ended, execute, on_each_server};

const SCHEMA: &str = r#"{"type": "record", "name": "r", "fields": [{"name": "customer", "type": "int"}]}"#;
const TOTALS: &str = "SELECT b.customer, coalesce(t.n, 0) + count(*) AS n \
    FROM batch b LEFT JOIN totals t ON t.customer = b.customer GROUP BY b.customer, t.n";
const CONFIG: &str = "state_tables:\n  \
    totals: { view: next_totals, key: customer, follows_partition: true }\n";
const COUNTS: &str = "SELECT count(*), count(DISTINCT kafka_partition * 1000000 + kafka_offset) FROM places";
const LANES: i32 = 2;
/// A lane that the others wait for comes within this.
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

/// A recording for each lane, in batches of five: the partition of its number with messages of that customer.
fn recordings(project: &Project, count: i64) -> Vec<ReplaySource> {
    let encode = encoder(&project.schema());
    let recording = |lane| {
        let mut recorder = Recorder::new("t");
        let payload = encode(&serde_json::json!({"customer": lane}));
        (0..count).for_each(|_| recorder.push(lane, &payload));
        ReplaySource::new(recorder.finish(), 5)
    };
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

/// What happens in one lane.
#[derive(Default)]
struct Lane {
    incident: Option<Incident>,
    /// What another instance does when two batches are taken.
    other: Option<Other>,
    /// Batches that were taken, and how often the group was asked again.
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

    /// A lane in which nothing happens but what the recording has.
    fn new(recording: ReplaySource) -> Played<Self> {
        Played { recording, play: Self::default() }
    }

    fn beside(recording: ReplaySource, other: Other) -> Played<Self> {
        Played { recording, play: Self { other: Some(other), ..Self::default() } }
    }

    /// What another instance does, as far as the engine hears of it. Dropping the future loses nothing.
    async fn meet(&mut self, own: &mut ReplaySource) -> Option<Event> {
        match self.other.as_ref()? {
            Other::Writes { config, statement } => {
                execute(config, &[statement]).await;
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
                assert_eq!(stored, ["10"], "the current batch is committed before its partition is released");
                support::run(config, (**recording).clone()).await.expect("the other instance is done");
                let partition = TopicPartition { topic: "t".into(), partition: *partition };
                self.other = None;
                Some(Event::Assigned(own.give(vec![partition])))
            }
        }
    }

    fn with(
        recording: ReplaySource,
        incident: impl FnMut(&mut Self) -> Option<Result<Event, SourceError>> + Send + 'static,
    ) -> Played<Self> {
        Played { recording, play: Self { incident: Some(Box::new(incident)), ..Self::default() } }
    }
}

impl Play for Lane {
    async fn next(&mut self, recording: &mut ReplaySource, fill: Fill) -> Result<Event, SourceError> {
        if let Some(mut incident) = self.incident.take() {
            let happened = incident(self);
            self.incident = Some(incident);
            if let Some(event) = happened {
                return event;
            }
        }
        if self.taken() == 2
            && let Some(event) = self.meet(recording).await
        {
            return Ok(event);
        }
        recording.next(fill).await
    }

    fn takes(&mut self) {
        self.taken.fetch_add(1, Ordering::SeqCst);
    }

    fn released(&mut self) {
        self.is_released = true;
    }

    fn rejoins(&mut self) {
        self.rejoined.fetch_add(1, Ordering::SeqCst);
    }
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

async fn run(project: &Project, lanes: Vec<Played<Lane>>) -> Result<Vec<Report>, String> {
    ended(support::run_lanes(&project.config, lanes)).await.map_err(|error| error.to_string())
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
    let taken = Arc::clone(&other.play.taken);
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
    let rejoined = [Arc::clone(&fenced.play.rejoined), Arc::clone(&other.play.rejoined)];
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
    ended(job.run(&mut |_| {})).await.expect("done");
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
