//! Outputs and state tables that are filled from the messages of the past, beside the job: what comes out is what a job
//! would have computed that had them from the beginning.
//!
//! The job runs over a recording, the fill reads the same messages from librdkafka's mock broker.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer as _};
use realtime_processor::batch::{Limits, Messages, TopicPartition};
use realtime_processor::config::Config;
use realtime_processor::engine::{
    EngineError, FillOptions, FillParts, FillReport, Filler, Plan, Stop, fill_together, preview, split_fills,
};
use realtime_processor::sink::{FillId, Sink, SinkError};
use realtime_processor::source::{Browser, ReplaySource, StartAt};
use support::{
    Project, Recorder, Server, alone, encoder, reloadable, reloaded_before_the_fourth_batch, waits_until,
};

const SCHEMA: &str = r#"{"type": "record", "name": "r", "fields": [
    {"name": "id", "type": "int"}, {"name": "amount", "type": "int"}]}"#;
/// SQL divides by zero for an amount of 7.
const RULED: &str = "SELECT kafka_partition, kafka_offset, id, 100 / CASE WHEN amount = 7 THEN 0 ELSE 1 END AS ruled FROM batch";
const RULED_MENDED: &str = "SELECT kafka_partition, kafka_offset, id, 100 AS ruled FROM batch";
const TOTALS: &str = "SELECT b.id, coalesce(t.n, 0) + count(*) AS n FROM batch b LEFT JOIN totals t ON t.id = b.id GROUP BY b.id, t.n";
/// How often an id has come so far; a message with an amount of 0 has no place in it.
const SEEN: &str = "SELECT b.kafka_partition, b.kafka_offset, b.id, 100 / b.amount AS share, coalesce(t.n, 0) + count(*) OVER \
    (PARTITION BY b.id ORDER BY b.kafka_partition, b.kafka_offset ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS n \
    FROM batch b LEFT JOIN totals t ON t.id = b.id";
const BEFORE: &str = "outputs:\n  ruled: {}\n";
const AFTER: &str = "state_tables:\n  totals: { view: next_totals, key: id, fill: true }\n\
    outputs:\n  ruled: {}\n  seen: { fill: true }\n";
const HEAD: &str =
    "kafka_server: nowhere:1\nkafka_topic: t\navro_schema: schema.avsc\ndatabase: sqlite://out.db\n";
const PARTITIONS: i32 = 2;
const NAMES: [&str; 2] = ["seen", "totals"];

/// What a message is to be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Good,
    /// It cannot be decoded.
    Broken,
    /// `seen` divides by it, and `ruled` does not.
    Zero,
    /// `ruled` refuses it, and `seen` does not.
    Unruled,
}

/// Messages of two partitions; each id keeps to one of them.
struct Topic {
    broker: MockCluster<'static, DefaultProducerContext>,
    kinds: Vec<Kind>,
}

impl Topic {
    fn new() -> Self {
        let broker = MockCluster::new(1).expect("a broker");
        broker.create_topic("t", PARTITIONS, 1).expect("a topic");
        Self { broker, kinds: Vec::new() }
    }

    /// Sends messages and gives a recording of all that were ever sent.
    fn send(&mut self, project: &Project, kinds: impl IntoIterator<Item = Kind>) -> Messages {
        let first = self.kinds.len();
        self.kinds.extend(kinds);
        let (encode, mut recorder) = (encoder(&project.schema()), Recorder::new("t"));
        let mut client = ClientConfig::new();
        let client = client.set("bootstrap.servers", self.broker.bootstrap_servers());
        let producer: BaseProducer = client.create().expect("a producer");
        for (place, kind) in self.kinds.iter().enumerate() {
            let (partition, _, id) = place_of(place);
            let amount = match kind {
                Kind::Zero => 0,
                Kind::Unruled => 7,
                Kind::Good | Kind::Broken => 5,
            };
            let mut payload = encode(&serde_json::json!({"id": id, "amount": amount}));
            if *kind == Kind::Broken {
                payload.push(0);
            }
            if place >= first {
                let record = BaseRecord::<[u8], [u8]>::to("t").partition(partition).payload(&payload);
                producer.send(record).expect("sent");
            }
            recorder.push(partition, &payload);
        }
        producer.flush(Duration::from_secs(20)).expect("acknowledged");
        recorder.finish()
    }

    /// The rows of `totals` and of `seen` that a job would have written from the beginning.
    fn expected(&self) -> [Vec<String>; 2] {
        self.expected_from(0)
    }

    /// The same of a job that began at an offset.
    fn expected_from(&self, first: i64) -> [Vec<String>; 2] {
        let (mut totals, mut seen) = (BTreeMap::new(), BTreeMap::new());
        let good = self.kinds.iter().enumerate().filter(|(_, kind)| **kind == Kind::Good);
        let places = good.map(|(place, _)| place_of(place));
        for (partition, offset, id) in places.filter(|(_, offset, _)| *offset >= first) {
            let n = totals.entry(id).or_insert(0);
            *n += 1;
            seen.insert((partition, offset), format!("{partition},{offset},{id},20,{n}"));
        }
        let totals = totals.into_iter().map(|(id, n)| format!("{id},{n}"));
        [totals.collect(), seen.into_values().collect()]
    }
}

/// Partition, offset and id.
fn place_of(place: usize) -> (i32, i64, i64) {
    let (partition, offset) = ((place % 2) as i32, (place / 2) as i64);
    (partition, offset, offset % 5 * 2 + i64::from(partition))
}

async fn found(config: &Config) -> [Vec<String>; 2] {
    let totals = support::rows(config, "SELECT id, n FROM totals ORDER BY id").await;
    let seen = "SELECT kafka_partition, kafka_offset, id, share, n FROM seen ORDER BY 1, 2";
    [totals, support::rows(config, seen).await]
}

fn write(project: &mut Project, files: &[(&str, &str)]) {
    for (path, text) in files {
        let text = if *path == "config.yaml" { format!("{HEAD}{text}") } else { (*text).to_owned() };
        project.write(path, &text);
    }
    let database = project.config.database.clone();
    let config = Config::load(&project.folder.path().join("config.yaml")).expect("a configuration");
    project.config = Config { database, ..config };
}

const FILES_AFTER: [(&str, &str); 3] =
    [("config.yaml", AFTER), ("sql/next_totals.sql", TOTALS), ("sql/seen.sql", SEEN)];

/// A job that has processed messages before `seen` and `totals` were there.
async fn project(server: Server, topic: &mut Topic, kinds: &[Kind]) -> Project {
    let files = [("schema.avsc", SCHEMA), ("config.yaml", BEFORE), ("sql/ruled.sql", RULED)];
    let mut project = Project::on(server, &files).await;
    let messages = topic.send(&project, kinds.iter().copied());
    project.run(ReplaySource::new(messages, 7)).await.expect("done");
    write(&mut project, &FILES_AFTER);
    project
}

/// A fill from the beginning in batches of four, ready to run.
async fn filler(config: &Config, topic: &Topic, names: &[&str], clears: bool) -> Filler {
    filler_from(StartAt::Beginning, config, topic, names, clears).await
}

async fn filler_from(from: StartAt, config: &Config, topic: &Topic, names: &[&str], clears: bool) -> Filler {
    let (decoder, plan) = support::plan(config).await;
    let sink = support::sink(config, &plan).await.with_fills(BTreeSet::new());
    let Plan { tables, states, pipeline, .. } = plan;
    let names: BTreeSet<String> = names.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(fill_together(&pipeline, &names), None);
    let parts = FillParts { decoder, tables, states, pipeline, sink, browser: browser(config, topic) };
    let options = FillOptions {
        topics: config.kafka.topics.clone(),
        from,
        tables: names.iter().cloned().collect(),
        clears,
        limits: Limits { rows_max: 4, bytes_max: 1 << 20 },
        hand_over_max: 3,
        dead_letters: config.dead_letters,
    };
    let (_, stop) = Stop::new();
    Filler::new(FillId { job: config.job.clone(), names }, parts, options, stop)
}

fn browser(config: &Config, topic: &Topic) -> Browser {
    let mut kafka = config.kafka.clone();
    kafka.server = topic.broker.bootstrap_servers();
    Browser::new(&kafka, &config.job, config.memory_max).expect("a client")
}

async fn fill(config: &Config, topic: &Topic, clears: bool) -> Result<FillReport, EngineError> {
    filler(config, topic, &NAMES, clears).await.run(&mut |_| {}).await
}

const GOOD: [Kind; 40] = [Kind::Good; 40];

#[tokio::test]
async fn a_fill_gives_what_a_job_would_have_written_from_the_beginning() {
    let mut topic = Topic::new();
    let project = project(Server::Sqlite, &mut topic, &GOOD).await;
    let messages = topic.send(&project, [Kind::Good; 20]);
    project.run(ReplaySource::new(messages, 7)).await.expect("done");
    assert_eq!(found(&project.config).await, [const { Vec::<String>::new() }; 2], "they wait for their fill");
    let report = fill(&project.config, &topic, false).await.expect("filled");
    assert_eq!((report.filled, report.dead_letters), (60, 0), "{report:?}");
    assert_eq!(found(&project.config).await, topic.expected());
    let messages = topic.send(&project, [Kind::Good; 20]);
    project.run(ReplaySource::new(messages, 7)).await.expect("done");
    assert_eq!(found(&project.config).await, topic.expected(), "the job goes on with them");
    assert_eq!(project.rows("SELECT count(*) FROM ruled").await, ["80"], "the others are as before");
    let fills = "SELECT name, finished_at IS NULL FROM realtime_fills ORDER BY name";
    assert_eq!(project.rows(fills).await, ["seen,0", "totals,0"]);
    let offsets = "SELECT job, sum(next_offset) FROM realtime_offsets GROUP BY job";
    assert_eq!(project.rows(offsets).await, ["realtime-processor,80"], "nothing is left of the fill");
}

#[tokio::test]
async fn a_fill_begins_at_the_offset_that_it_is_given() {
    let mut topic = Topic::new();
    let project = project(Server::Sqlite, &mut topic, &GOOD).await;
    let messages = topic.send(&project, [Kind::Good; 20]);
    project.run(ReplaySource::new(messages, 7)).await.expect("done");
    let filler = filler_from(StartAt::Offset(10), &project.config, &topic, &NAMES, false).await;
    assert_eq!(filler.run(&mut |_| {}).await.expect("filled").filled, 40);
    assert_eq!(found(&project.config).await, topic.expected_from(10));
}

#[tokio::test]
async fn an_output_that_reads_no_state_is_filled_alone() {
    let mut topic = Topic::new();
    let mut project = project(Server::Sqlite, &mut topic, &GOOD).await;
    let messages = topic.send(&project, [Kind::Good; 20]);
    project.run(ReplaySource::new(messages, 7)).await.expect("done");
    fill(&project.config, &topic, false).await.expect("filled");
    let config = format!("{AFTER}  extra: {{ fill: true }}\n");
    let extra = "SELECT kafka_partition, kafka_offset, id FROM batch";
    write(&mut project, &[("config.yaml", &config), ("sql/extra.sql", extra)]);
    let messages = topic.send(&project, [Kind::Good; 20]);
    project.run(ReplaySource::new(messages, 7)).await.expect("done");
    let extra = "SELECT kafka_partition, kafka_offset, id FROM extra ORDER BY 1, 2";
    let filler = filler(&project.config, &topic, &["extra"], false).await;
    assert_eq!(filler.run(&mut |_| {}).await.expect("filled").filled, 80);
    let places: BTreeSet<_> = (0..80).map(place_of).collect();
    let row = |(partition, offset, id): (i32, i64, i64)| format!("{partition},{offset},{id}");
    assert_eq!(project.rows(extra).await, places.into_iter().map(row).collect::<Vec<_>>());
    assert_eq!(found(&project.config).await, topic.expected(), "the state and what reads it are as before");
}

#[tokio::test]
async fn the_job_moves_on_meanwhile() {
    const MESSAGES: usize = 3_000;
    let mut topic = Topic::new();
    let project = project(Server::Sqlite, &mut topic, &GOOD).await;
    let messages = topic.send(&project, vec![Kind::Good; MESSAGES]);
    let (engine, ..) = reloadable(&project.config, ReplaySource::new(messages, 11)).await;
    let filler = filler(&project.config, &topic, &NAMES, false).await;
    let mut quiet = |_: &FillReport| {};
    let mut reports = 0;
    let mut count = |_: &_| reports += 1;
    let (ran, filled) = tokio::join!(engine.run(&mut count), filler.run(&mut quiet));
    ran.expect("the job ends well");
    filled.expect("filled");
    assert_eq!(found(&project.config).await, topic.expected());
    assert_eq!(project.rows("SELECT count(*) FROM ruled").await, [(MESSAGES + GOOD.len()).to_string()]);
    let messages = topic.send(&project, [Kind::Good; 20]);
    project.run(ReplaySource::new(messages, 11)).await.expect("done");
    assert_eq!(found(&project.config).await, topic.expected());
}

#[tokio::test]
async fn a_job_that_does_not_leave_the_names_out_is_waited_for() {
    let mut topic = Topic::new();
    let project = project(Server::Sqlite, &mut topic, &GOOD).await;
    // The job has claimed its partitions with the configuration from before, and may go on with it.
    let is_all_done = async {
        while found(&project.config).await != topic.expected() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    };
    // Why the tables first: without them there is nothing to look at.
    let filler = filler(&project.config, &topic, &NAMES, false).await;
    let mut quiet = |_: &FillReport| {};
    tokio::select! {
        ended = filler.run(&mut quiet) => panic!("it has ended: {ended:?}"),
        () = is_all_done => {}
    }
    let finished = "SELECT count(*) FROM realtime_fills WHERE finished_at IS NOT NULL";
    assert_eq!(project.rows(finished).await, ["0"]);
    let messages = topic.send(&project, [Kind::Good; 20]);
    project.run(ReplaySource::new(messages, 7)).await.expect("done");
    let report = fill(&project.config, &topic, false).await.expect("filled");
    assert_eq!(report.filled, 20, "it goes on where it was");
    assert_eq!(found(&project.config).await, topic.expected());
}

#[tokio::test]
async fn messages_that_wait_among_the_dead_letters_are_left_to_a_replay() {
    let mut topic = Topic::new();
    let mut kinds = GOOD;
    (kinds[3], kinds[20], kinds[31]) = (Kind::Broken, Kind::Zero, Kind::Unruled);
    let mut project = project(Server::Sqlite, &mut topic, &kinds).await;
    // So that the job knows what it leaves out.
    let messages = topic.send(&project, [Kind::Good; 2]);
    project.run(ReplaySource::new(messages, 7)).await.expect("done");
    let report = fill(&project.config, &topic, false).await.expect("filled");
    assert_eq!((report.dead_letters, report.left_to_replay), (1, 2), "{report:?}");
    assert_eq!(found(&project.config).await, topic.expected());
    let letters = "SELECT job, kafka_partition, kafka_offset, stage FROM dead_letters ORDER BY 1, 2, 3";
    let [of_job, fill] = ["realtime-processor", "realtime-processor/fill/seen/1"];
    let expected = [format!("{of_job},1,1,decode"), format!("{of_job},1,15,sql"), format!("{fill},0,10,sql")];
    assert_eq!(project.rows(letters).await, expected);
    write(&mut project, &[("sql/ruled.sql", RULED_MENDED)]);
    let report = support::replay(&project.config, &[], 10).await.expect("replayed");
    assert_eq!((report.replayed, report.failed), (1, 2), "{report:?}");
    let brought_in = "SELECT n FROM seen WHERE kafka_partition = 1 AND kafka_offset = 15";
    assert_eq!(project.rows(brought_in).await, ["5"], "all outputs have it, once");
    assert_eq!(project.rows("SELECT sum(n) FROM totals").await, ["40"]);
    // What only the fill could not process goes where the fill writes: the job has written the rest.
    let ruled = "SELECT count(*) FROM ruled";
    let before = project.rows(ruled).await;
    let mended = SEEN.replace("100 / b.amount", "coalesce(100 / nullif(b.amount, 0), 0)");
    write(&mut project, &[("sql/seen.sql", &mended)]);
    let report = support::replay(&project.config, &[], 10).await.expect("replayed");
    assert_eq!((report.replayed, report.failed), (1, 1), "{report:?}");
    let brought_in = "SELECT share, n FROM seen WHERE kafka_partition = 0 AND kafka_offset = 10";
    assert_eq!(project.rows(brought_in).await, ["0,5"]);
    assert_eq!(project.rows("SELECT sum(n) FROM totals").await, ["41"]);
    assert_eq!(project.rows(ruled).await, before, "the job's own outputs have the message already");
    let waiting = "SELECT job, stage FROM dead_letters WHERE replayed_at IS NULL";
    assert_eq!(project.rows(waiting).await, [format!("{of_job},decode")]);
}

#[tokio::test]
async fn no_dead_letter_is_replayed_while_a_fill_is_not_finished() {
    let mut topic = Topic::new();
    let mut kinds = GOOD;
    kinds[3] = Kind::Broken;
    let project = project(Server::Sqlite, &mut topic, &kinds).await;
    project
        .execute(&[
            "INSERT INTO realtime_fills VALUES ('realtime-processor', 'seen', 'x/1', '2026-01-01', NULL)",
        ])
        .await;
    let error = support::replay(&project.config, &[], 10).await.expect_err("refused");
    assert!(error.to_string().contains("the fill of `seen` has begun and is not finished"), "{error}");
}

#[tokio::test]
async fn what_is_filled_already_is_filled_again_only_when_that_is_said() {
    let mut topic = Topic::new();
    let mut kinds = GOOD;
    kinds[20] = Kind::Zero;
    let project = project(Server::Sqlite, &mut topic, &kinds).await;
    let config = &project.config;
    let messages = topic.send(&project, [Kind::Good; 2]);
    project.run(ReplaySource::new(messages, 7)).await.expect("done");
    fill(config, &topic, false).await.expect("filled");
    let error = fill(config, &topic, false).await.expect_err("refused");
    assert!(error.to_string().contains("`seen` is filled already"), "{error}");
    // As if the SQL had been another one.
    project.execute(&["UPDATE totals SET n = 70", "UPDATE seen SET n = 7"]).await;
    let again = async {
        let mut reports = 0;
        filler(config, &topic, &NAMES, true).await.run(&mut |_| reports += 1).await
    };
    // The job has to claim its partitions, to know that it must leave them out.
    let claimed = async {
        let begun = "SELECT count(*) FROM realtime_fills WHERE finished_at IS NULL";
        waits_until(async || project.rows(begun).await == ["2"]).await;
        project.run(ReplaySource::new(recording(&topic, &project), 7)).await.expect("done");
    };
    let (again, ()) = tokio::join!(again, claimed);
    again.expect("filled again");
    assert_eq!(found(config).await, topic.expected());
    let second = "realtime-processor/fill/seen/2";
    assert_eq!(project.rows("SELECT fill FROM realtime_fills").await, [second; 2]);
    assert_eq!(project.rows("SELECT job FROM dead_letters").await, [second], "those of the first are gone");
}

/// All that was sent.
fn recording(topic: &Topic, project: &Project) -> Messages {
    Topic { broker: MockCluster::new(1).expect("a broker"), kinds: topic.kinds.clone() }.send(project, [])
}

#[tokio::test]
async fn tables_with_rows_are_not_filled() {
    let mut topic = Topic::new();
    let project = project(Server::Sqlite, &mut topic, &GOOD).await;
    let messages = topic.send(&project, [Kind::Good; 2]);
    project.run(ReplaySource::new(messages, 7)).await.expect("done");
    project
        .execute(&["INSERT INTO seen (kafka_partition, kafka_offset, id, share, n) VALUES (0, 0, 1, 1, 1)"])
        .await;
    let error = fill(&project.config, &topic, false).await.expect_err("refused");
    assert!(error.to_string().contains("seen has rows already"), "{error}");
    assert_eq!(project.rows("SELECT count(*) FROM realtime_fills").await, ["0"], "nothing has begun");
}

#[tokio::test]
async fn names_that_belong_together_are_filled_together() {
    let mut topic = Topic::new();
    let project = project(Server::Sqlite, &mut topic, &GOOD).await;
    let (_, plan) = support::plan(&project.config).await;
    for name in NAMES {
        let said = fill_together(&plan.pipeline, &BTreeSet::from([name.to_owned()])).expect("refused");
        assert!(said.message.contains("`seen` is computed from the state `totals`"), "{said}");
        assert_eq!(said.hint.as_deref(), Some("`fill seen totals`"));
    }
    assert_eq!(fill_together(&plan.pipeline, &BTreeSet::from(["ruled".to_owned()])), None);
}

#[tokio::test]
async fn state_that_waits_is_read_by_nothing_that_does_not() {
    let mut topic = Topic::new();
    let mut project = project(Server::Sqlite, &mut topic, &GOOD).await;
    for (config, expected) in [
        (AFTER.to_owned(), None),
        (
            AFTER.replace("seen: { fill: true }", "seen: {}"),
            Some("`seen` is computed from the state `totals`, which is not filled yet"),
        ),
        (AFTER.replace(", fill: true }", " }"), Some("`seen` waits for its fill, and the state `totals`")),
    ] {
        write(&mut project, &[("config.yaml", &config)]);
        let (_, plan) = support::plan(&project.config).await;
        let said = split_fills(&plan.pipeline, &project.config).await.expect("the database answers");
        let said = said.first().map(|diagnostic| diagnostic.to_string());
        match expected {
            None => assert_eq!(said, None),
            Some(text) => assert!(said.as_ref().is_some_and(|said| said.contains(text)), "{said:?}"),
        }
    }
}

#[tokio::test]
async fn a_second_fill_fences_the_first() {
    let mut topic = Topic::new();
    let project = project(Server::Sqlite, &mut topic, &GOOD).await;
    let config = &project.config;
    let id = FillId { job: config.job.clone(), names: NAMES.map(str::to_owned).into() };
    let targets = support::plan(config).await.1.targets;
    let tables = NAMES.map(str::to_owned);
    let place = TopicPartition { topic: "t".into(), partition: 0 };
    let mut claims = Vec::new();
    let mut sinks = Vec::new();
    for _ in 0..2 {
        let sink = Sink::connect(config.database.clone(), &config.job, targets.clone(), true).await;
        let mut sink = sink.expect("a database");
        sink.begin_fill(&id, &tables, false).await.expect("begun");
        claims.push(sink.claim_fill(&id, &[(place.clone(), 0)]).await.expect("claimed").remove(0));
        sinks.push(sink);
    }
    let advance = |claim: &realtime_processor::batch::Claim| realtime_processor::batch::Advance {
        partition: place.clone(),
        epoch: claim.epoch,
        from: 0,
        to: 1,
        message_time_ms: None,
    };
    let error = sinks[0].open(&[advance(&claims[0])]).await.expect_err("the second one has it");
    assert!(matches!(error, SinkError::Fenced { .. }), "{error}");
    sinks[1].open(&[advance(&claims[1])]).await.expect("it goes on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_job_takes_new_tables_at_a_reload_and_waits_for_their_fill() {
    let mut topic = Topic::new();
    let files = [("schema.avsc", SCHEMA), ("config.yaml", BEFORE), ("sql/ruled.sql", RULED)];
    let mut project = Project::on(Server::Sqlite, &files).await;
    let messages = topic.send(&project, vec![Kind::Good; 400]);
    let job = reloadable(&project.config, ReplaySource::new(messages, 4)).await;
    write(&mut project, &FILES_AFTER);
    reloaded_before_the_fourth_batch(job, || {}).await.expect("taken over");
    assert_eq!(found(&project.config).await, [const { Vec::<String>::new() }; 2], "they wait for their fill");
    assert_eq!(
        project.rows("SELECT DISTINCT waiting FROM realtime_offsets").await.len(),
        1,
        "the job says so"
    );
    fill(&project.config, &topic, false).await.expect("filled");
    assert_eq!(found(&project.config).await, topic.expected());
    assert_eq!(project.rows("SELECT count(*) FROM ruled").await, ["400"]);
}

#[tokio::test]
async fn a_preview_says_what_it_will_be_and_writes_nothing() {
    let mut topic = Topic::new();
    let project = project(Server::Sqlite, &mut topic, &GOOD).await;
    let config = &project.config;
    let (decoder, plan) = support::plan(config).await;
    let ends = [0, 1].map(|partition| (TopicPartition { topic: "t".into(), partition }, 15));
    let names = NAMES.map(str::to_owned).into();
    let found =
        preview(plan, decoder, None, browser(config, &topic), &names, StartAt::Beginning, &ends).await;
    let found = found.expect("a preview");
    assert_eq!(found.ranges.iter().map(|range| range.to - range.from).collect::<Vec<_>>(), [15, 15]);
    assert_eq!((found.sampled, found.dead_letters), (30, 0));
    assert_eq!(found.rows, [("seen".to_owned(), 30), ("totals".to_owned(), 10)]);
    assert_eq!(
        project.rows("SELECT name FROM sqlite_master WHERE name IN ('seen', 'totals')").await,
        [""; 0]
    );
}

/// At whichever step a fill is stopped or fails: it goes on where it was.
#[cfg(debug_assertions)]
mod at_every_step {
    use realtime_processor::fault_point::{self, Accident};

    use super::*;

    const TABLES: [&str; 7] = [
        "ruled",
        "totals",
        "seen",
        "dead_letters",
        "realtime_offsets",
        "realtime_fills",
        "realtime_sql_history",
    ];

    /// As if no fill had begun yet.
    async fn restored(project: &Project) {
        for table in TABLES {
            let fill = format!("INSERT INTO {table} SELECT * FROM copy_of_{table}");
            project.execute(&[&format!("DELETE FROM {table}"), &fill]).await;
        }
    }

    /// One fill; `None` where it was stopped.
    fn run(
        project: &Project,
        topic: &Topic,
        at: Option<(usize, Accident)>,
    ) -> (Vec<String>, Option<FillReport>) {
        alone(async {
            let filler = filler(&project.config, topic, &NAMES, false).await;
            let mut quiet = |_: &FillReport| {};
            fault_point::begin(at);
            let report = tokio::select! {
                ended = filler.run(&mut quiet) => {
                    Some(ended.unwrap_or_else(|error| panic!("the fill ended: {error}, {at:?}")))
                }
                () = fault_point::stopped() => None,
            };
            (fault_point::end(), report)
        })
    }

    fn with(server: Server, fault: Accident) {
        let mut topic = Topic::new();
        let mut kinds = vec![Kind::Good; 6];
        (kinds[3], kinds[4]) = (Kind::Broken, Kind::Zero);
        let project = alone(project(server, &mut topic, &kinds));
        let messages = topic.send(&project, [Kind::Good; 2]);
        alone(project.run(ReplaySource::new(messages, 7))).expect("done");
        for table in TABLES {
            let copy = format!("CREATE TABLE copy_of_{table} AS SELECT * FROM {table}");
            alone(project.execute(&[&copy]));
        }
        let (steps, report) = run(&project, &topic, None);
        assert_eq!(report.expect("nothing stopped it").filled, 8);
        assert!(steps.len() > 40, "{steps:#?}");
        let is_meant = |step: &str| fault != Accident::Busy || step.starts_with("before ");
        for (at, step) in steps.iter().enumerate().filter(|(_, step)| is_meant(step)) {
            alone(restored(&project));
            if run(&project, &topic, Some((at, fault))).1.is_none() {
                // Where it was done already, that is said.
                alone(async {
                    let again = fill(&project.config, &topic, false).await;
                    let is_done = |error: EngineError| error.to_string().contains("is filled already");
                    assert!(again.is_ok() || again.is_err_and(is_done), "{fault:?} at step {at}, {step}");
                });
            }
            let place = format!("{fault:?} at step {at}, {step}");
            assert_eq!(alone(found(&project.config)), topic.expected(), "{place}");
            let letters = "SELECT kafka_partition, kafka_offset, stage FROM dead_letters ORDER BY 1, 2";
            assert_eq!(alone(project.rows(letters)), ["0,2,sql", "1,1,decode"], "{place}");
            let jobs = "SELECT DISTINCT job FROM realtime_offsets";
            assert_eq!(alone(project.rows(jobs)), ["realtime-processor"], "{place}");
        }
    }

    macro_rules! with {
        ($($name:ident: $fault:ident;)*) => {
            mod sqlite {
                $(#[test]
                fn $name() {
                    super::with(super::Server::Sqlite, super::Accident::$fault);
                })*
            }
            mod mysql {
                $(#[test]
                #[ignore = "needs MySQL: scripts/services up"]
                fn $name() {
                    super::with(super::Server::MySql, super::Accident::$fault);
                })*
            }
        };
    }

    with! {
        the_connection_is_lost: Lose;
        the_database_is_busy: Busy;
        the_fill_stops: Stop;
    }
}
