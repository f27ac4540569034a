//! The engine over a recording instead of Kafka and SQLite instead of a server: what must hold of triggers whatever
//! the parts are. The same loop runs in the job.

mod support;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use realtime_processor::batch::{Message, Messages, MessagesBuilder, TopicPartition};
use realtime_processor::config::LostData;
use realtime_processor::database::Dialect;
use realtime_processor::engine::{Engine, EngineError, Report};
use realtime_processor::sink::{StoredOffsets, create_statements};
use realtime_processor::source::ReplaySource;

use support::{Project, Recorder, encoder, ended};

const SCHEMA: &str = r#"{"type": "record", "name": "r", "fields": [
    {"name": "id", "type": "int"}, {"name": "divisor", "type": "int"}, {"name": "amount", "type": "double"}]}"#;
const VIEW: &str = "SELECT kafka_partition, kafka_offset, id, 100 / divisor AS share, amount FROM batch";

/// A job with one view, whose rows are the table `shares`.
struct Shares(Project);

impl Shares {
    fn new(view: &str) -> Self {
        Self::configured(view, "")
    }

    fn configured(view: &str, config: &str) -> Self {
        Self(Project::new(&[("schema.avsc", SCHEMA), ("sql/shares.sql", view), ("config.yaml", config)]))
    }

    async fn engine(&self, messages: Messages, rows_max: usize) -> Engine<ReplaySource> {
        support::engine(&self.0.config, ReplaySource::new(messages, rows_max)).await
    }

    async fn run(&self, messages: Messages, rows_max: usize) -> Result<Vec<Report>, EngineError> {
        self.0.run(ReplaySource::new(messages, rows_max)).await
    }

    async fn rows(&self, sql: &str) -> Vec<String> {
        self.0.rows(sql).await
    }

    async fn ids(&self) -> Vec<String> {
        self.rows("SELECT id FROM shares ORDER BY id").await
    }

    async fn dead(&self) -> Vec<String> {
        self.rows("SELECT kafka_partition, kafka_offset, stage FROM dead_letters ORDER BY 1, 2").await
    }

    async fn offsets(&self) -> Vec<String> {
        self.rows("SELECT kafka_partition, next_offset FROM realtime_offsets ORDER BY 1").await
    }

    fn schema(&self) -> PathBuf {
        self.0.schema()
    }
}

/// What a message is to be.
#[derive(Clone, Copy)]
enum Kind {
    Good,
    Broken,
    /// SQL divides by zero.
    Zero,
    /// The database has no NaN.
    NotANumber,
    Tombstone,
}

/// Messages with ids from 0 over two partitions, of the kind that `kind` says for the id.
fn messages(schema: &Path, count: i32, kind: impl Fn(i32) -> Kind) -> Messages {
    let encode = encoder(schema);
    let mut recorder = Recorder::new("t").starting_at(10);
    for id in 0..count {
        let kind = kind(id);
        let divisor = if matches!(kind, Kind::Zero) { 0 } else { 4 };
        let mut payload = encode(&serde_json::json!({"id": id, "divisor": divisor, "amount": 1.5}));
        match kind {
            Kind::Broken => payload.push(0),
            Kind::NotANumber => {
                let start = payload.len() - 8;
                payload[start..].copy_from_slice(&f64::NAN.to_le_bytes());
            }
            Kind::Good | Kind::Zero | Kind::Tombstone => {}
        }
        let payload = (!matches!(kind, Kind::Tombstone)).then_some(payload.as_slice());
        recorder.push_with(id % 2, None, payload, &[]);
    }
    recorder.finish()
}

fn numbers(count: i32, without: &[i32]) -> Vec<String> {
    (0..count).filter(|id| !without.contains(id)).map(|id| id.to_string()).collect()
}

#[tokio::test]
async fn every_message_counts_once_also_after_a_restart() {
    let project = Shares::new(VIEW);
    let first = messages(&project.schema(), 100, |_| Kind::Good);
    project.run(first, 7).await.expect("done");
    assert_eq!(project.ids().await, numbers(100, &[]));
    assert_eq!(project.offsets().await, ["0,60", "1,60"]);
    // The same recording and more: what is stored is not read again.
    let more = messages(&project.schema(), 130, |_| Kind::Good);
    let reports = project.run(more, 7).await.expect("done");
    assert_eq!(project.ids().await, numbers(130, &[]));
    assert_eq!(reports.iter().map(|report| report.messages).sum::<usize>(), 30);
    assert_eq!(project.offsets().await, ["0,75", "1,75"]);
}

#[tokio::test]
async fn only_the_messages_to_blame_become_dead_letters_wherever_batches_are_cut() {
    let kind = |id: i32| match id {
        3 | 60 => Kind::Broken,
        10 | 11 | 77 => Kind::Zero,
        20 | 44 | 99 => Kind::NotANumber,
        _ => Kind::Good,
    };
    for rows_max in [1, 2, 3, 10, 33, 1000] {
        let project = Shares::new(VIEW);
        let messages = messages(&project.schema(), 100, kind);
        let reports = project.run(messages, rows_max).await.expect("done");
        let without = [3, 60, 10, 11, 77, 20, 44, 99];
        assert_eq!(project.ids().await, numbers(100, &without), "rows_max {rows_max}");
        let expected = [
            "0,15,sql",
            "0,20,write",
            "0,32,write",
            "0,40,decode",
            "1,11,decode",
            "1,15,sql",
            "1,48,sql",
            "1,59,write",
        ];
        assert_eq!(project.dead().await, expected, "rows_max {rows_max}");
        assert_eq!(project.offsets().await, ["0,60", "1,60"], "rows_max {rows_max}");
        assert_eq!(reports.iter().map(|report| report.messages).sum::<usize>(), 100);
    }
}

/// The statement that creates the table of a view.
async fn created(view: &str) -> String {
    let shares = Shares::new(view);
    let (_, plan) = support::plan(&shares.0.config).await;
    create_statements(&plan.targets[0], Dialect::MySql).expect("a place for each column").remove(0)
}

#[tokio::test]
async fn columns_that_are_taken_unchanged_from_batch_are_required_in_a_created_table() {
    let sql = created(
        "SELECT kafka_offset, id, id AS other, id + 1 AS next, coalesce(amount, 0) AS amount FROM batch",
    )
    .await;
    for line in [
        "`kafka_offset` BIGINT NOT NULL,",
        "`id` INT NOT NULL,",
        "`other` INT NOT NULL,",
        "`next` BIGINT,",
        "`amount` DOUBLE\n",
    ] {
        assert!(sql.contains(line), "{line}: {sql}");
    }
    let sql = created("SELECT id FROM batch UNION ALL SELECT id + 1 AS id FROM batch").await;
    assert!(sql.contains("`id` BIGINT\n"), "one branch of two computes it: {sql}");
}

/// The hint of a dead letter says `nullif`; the table that was created before must take what that makes.
#[tokio::test]
async fn an_expression_that_begins_to_give_null_needs_no_other_table() {
    let shares = Shares::new("SELECT kafka_partition, kafka_offset, id, 100 / divisor AS share FROM batch");
    let all = messages(&shares.schema(), 10, |id| if id == 3 { Kind::Zero } else { Kind::Good });
    shares.run(all, 10).await.expect("done");
    assert_eq!(shares.dead().await.len(), 1);
    let mended = "SELECT kafka_partition, kafka_offset, id, 100 / nullif(divisor, 0) AS share FROM batch";
    shares.0.write("sql/shares.sql", mended);
    let report = support::replay(&shares.0.config, &[], 10).await.expect("replayed");
    assert_eq!((report.replayed, report.failed), (1, 0), "{:?}", report.reasons);
    assert_eq!(shares.rows("SELECT id FROM shares WHERE share IS NULL").await, ["3"]);
}

#[tokio::test]
async fn a_batch_that_the_database_refuses_leaves_nothing() {
    let project = Shares::new(VIEW);
    let columns = "kafka_partition INTEGER, kafka_offset INTEGER, id INTEGER CHECK (id NOT IN (5, 60)), share INTEGER, \
                   amount REAL";
    project.0.execute(&[&format!("CREATE TABLE shares ({columns})")]).await;
    let messages = messages(&project.schema(), 100, |_| Kind::Good);
    project.run(messages, 33).await.expect("done");
    assert_eq!(project.ids().await, numbers(100, &[5, 60]));
    assert_eq!(project.dead().await, ["0,40,write", "1,12,write"]);
    assert_eq!(project.offsets().await, ["0,60", "1,60"]);
}

/// Bad rows are found without cutting the batch, and it is one batch still: with halving these were 70 batches.
#[tokio::test]
async fn bad_rows_cost_no_batches_of_their_own() {
    let project = Shares::new(
        "SELECT kafka_partition, kafka_offset, id, 1 AS share, CAST(1.5 AS DOUBLE) AS amount FROM batch",
    );
    let columns = "kafka_partition INTEGER, kafka_offset INTEGER, id INTEGER CHECK (id % 17 <> 5), share INTEGER, \
                   amount REAL";
    project.0.execute(&[&format!("CREATE TABLE shares ({columns})")]).await;
    let kind = |id: i32| if id == 40 { Kind::Broken } else { Kind::Good };
    let reports = project.run(messages(&project.schema(), 400, kind), 100).await.expect("done");
    let sizes: Vec<usize> = reports.iter().map(|report| report.messages).collect();
    assert_eq!(sizes, [100; 4], "a batch after a bad one is as large as before");
    let without: Vec<i32> = (0..400).filter(|id| id % 17 == 5 || *id == 40).collect();
    assert_eq!(project.ids().await, numbers(400, &without));
    assert_eq!(project.dead().await.len(), without.len());
    let failed: Duration = reports.iter().map(|report| report.durations.failed).sum();
    assert!(failed > Duration::ZERO, "the time of tries that failed is counted");
}

/// Messages that are skipped have no row, so a row's place is not its message's.
#[tokio::test]
async fn bad_rows_beside_skipped_messages_cost_no_batches_of_their_own() {
    let project = Shares::configured(
        "SELECT kafka_partition, kafka_offset, id, 1 AS share, CAST(1.5 AS DOUBLE) AS amount FROM batch",
        "tombstones: skip\n",
    );
    let columns = "kafka_partition INTEGER, kafka_offset INTEGER, id INTEGER CHECK (id <> 41 AND id <> 42), share INTEGER, \
                   amount REAL";
    project.0.execute(&[&format!("CREATE TABLE shares ({columns})")]).await;
    let kind = |id: i32| if id % 5 == 0 { Kind::Tombstone } else { Kind::Good };
    let reports = project.run(messages(&project.schema(), 100, kind), 100).await.expect("done");
    assert_eq!(reports.len(), 1, "the batch was not cut");
    let without: Vec<i32> = (0..100).filter(|id| id % 5 == 0 || *id == 41 || *id == 42).collect();
    assert_eq!(project.ids().await, numbers(100, &without));
    assert_eq!(project.dead().await, ["0,31,write", "1,30,write"]);
}

/// A message may have many rows, of which the database refuses one: the dead letter has that row's values.
#[tokio::test]
async fn the_row_of_a_message_that_is_refused_is_told() {
    let view = "SELECT kafka_partition, kafka_offset, id, 1 AS share, CAST(1.5 AS DOUBLE) AS amount FROM batch \
                UNION ALL SELECT kafka_partition, kafka_offset, id, -id, CAST(2.5 AS DOUBLE) FROM batch";
    for rows_max in [1, 100] {
        let project = Shares::new(view);
        let columns = "kafka_partition INTEGER, kafka_offset INTEGER, id INTEGER, share INTEGER CHECK (share > -5), \
                       amount REAL";
        project.0.execute(&[&format!("CREATE TABLE shares ({columns})")]).await;
        project.run(messages(&project.schema(), 7, |_| Kind::Good), rows_max).await.expect("done");
        let reasons =
            project.0.rows("SELECT reason FROM dead_letters ORDER BY kafka_partition, kafka_offset").await;
        let said: Vec<&str> =
            reasons.iter().filter_map(|reason| reason.trim_matches('"').split("found ").nth(1)).collect();
        let expected: Vec<String> =
            [6, 5].map(|id| format!("share = -{id}, the condition is share > -5")).into();
        assert_eq!(said, expected, "batches of {rows_max}: {reasons:?}");
    }
}

/// The order of rows is not that of the messages: the guess is refuted, and halving finds the same messages.
#[tokio::test]
async fn rows_in_another_order_are_not_blamed_on_other_messages() {
    let view = "SELECT kafka_partition, kafka_offset, id, 1 AS share, CAST(1.5 AS DOUBLE) AS amount FROM batch ORDER BY id DESC";
    let project = Shares::new(view);
    let columns = "kafka_partition INTEGER, kafka_offset INTEGER, id INTEGER CHECK (id NOT IN (5, 60)), share INTEGER, \
                   amount REAL";
    project.0.execute(&[&format!("CREATE TABLE shares ({columns})")]).await;
    project.run(messages(&project.schema(), 100, |_| Kind::Good), 33).await.expect("done");
    assert_eq!(project.ids().await, numbers(100, &[5, 60]));
    assert_eq!(project.dead().await, ["0,40,write", "1,12,write"]);
}

#[tokio::test]
async fn a_dead_letter_keeps_the_bytes_and_says_why() {
    let project = Shares::new(VIEW);
    let messages = messages(&project.schema(), 2, |id| if id == 0 { Kind::Broken } else { Kind::Zero });
    project.run(messages.clone(), 10).await.expect("done");
    let payloads =
        project.rows("SELECT lower(hex(payload)) FROM dead_letters ORDER BY kafka_partition").await;
    let sent: Vec<String> = messages
        .iter()
        .map(|message| message.payload.unwrap_or_default().iter().map(|byte| format!("{byte:02x}")).collect())
        .collect();
    assert_eq!(payloads, sent);
    let reasons = project.rows("SELECT place, reason FROM dead_letters ORDER BY kafka_partition").await;
    assert!(reasons[0].starts_with("byte "), "{reasons:?}");
    assert!(
        reasons[1].contains("shares.sql") && reasons[1].to_lowercase().contains("divide by zero"),
        "{reasons:?}"
    );
}

#[tokio::test]
async fn an_instance_that_lost_its_partition_writes_nothing_and_asks_again() {
    let project = Shares::new(VIEW);
    let messages = messages(&project.schema(), 400, |_| Kind::Good);
    // Both read the same partitions: each claim fences the other, as after a frozen process woke up.
    let one = project.engine(messages.clone(), 20).await;
    let other = project.engine(messages, 30).await;
    let (mut ignore_one, mut ignore_other) = (|_: &Report| {}, |_: &Report| {});
    let both = async { tokio::join!(one.run(&mut ignore_one), other.run(&mut ignore_other)) };
    let (one, other) = ended(both).await;
    one.expect("done");
    other.expect("done");
    assert_eq!(project.ids().await, (0..400).map(|id: i32| id.to_string()).collect::<Vec<_>>());
}

#[tokio::test]
async fn messages_that_kafka_no_longer_has_stop_the_job_unless_it_may_go_on() {
    let mut project = Shares::new(VIEW);
    let all = messages(&project.schema(), 60, |_| Kind::Good);
    project.run(all.slice(0..10), 100).await.expect("done");
    // What stood below offset 30 was deleted: offsets 20 to 29 of the first partition were not processed.
    let kept = || {
        let mut builder = MessagesBuilder::default();
        all.iter().filter(|message| message.offset >= 30).for_each(|message| builder.push(message));
        builder.finish()
    };
    let error = project.run(kept(), 100).await.expect_err("some are lost");
    let (text, is_lost) = (error.to_string(), matches!(error, EngineError::LostData(_)));
    assert!(is_lost, "{text}");
    assert!(text.contains("t[0]: Kafka no longer has the 10 offsets 20 to 29"), "{text}");
    assert!(!text.contains("t[1]"), "the other was never read: {text}");
    assert_eq!(project.offsets().await, ["0,20"], "nothing was touched");

    project.0.config.kafka.lost_data = LostData::Continue;
    project.run(kept(), 100).await.expect("done");
    let expected: Vec<String> = (0..20).step_by(2).chain(40..60).map(|id: i32| id.to_string()).collect();
    assert_eq!(project.ids().await, expected);
    assert_eq!(project.offsets().await, ["0,40", "1,40"]);
}

#[tokio::test]
async fn a_topic_that_was_made_anew_stops_the_job_unless_it_may_go_on() {
    let mut project = Shares::new(VIEW);
    project.run(messages(&project.schema(), 40, |_| Kind::Good), 100).await.expect("done");
    let anew = || messages(&project.schema(), 10, |_| Kind::Good);
    let error = project.run(anew(), 100).await.expect_err("the topic is not the same");
    let EngineError::LostData(lost) = &error else { panic!("{error}") };
    assert!(lost.iter().any(|lost| lost.message.contains("ends at 15")), "{error}");
    let anew = anew();
    project.0.config.kafka.lost_data = LostData::Continue;
    project.run(anew, 100).await.expect("done");
    assert_eq!(project.ids().await.len(), 50);
    assert_eq!(project.offsets().await, ["0,15", "1,15"]);
}

#[test]
fn halves_move_every_partition_exactly_once() {
    use realtime_processor::batch::{Advance, Polled};
    let topic: Arc<str> = "t".into();
    let partition = |partition| TopicPartition { topic: Arc::clone(&topic), partition };
    let mut builder = MessagesBuilder::default();
    for (partition, offset) in [(0, 5), (1, 7), (1, 9), (1, 20), (3, 1)] {
        builder.push(Message::tombstone(&topic, partition, offset));
    }
    let advance =
        |id, from, to| Advance { partition: partition(id), epoch: 3, from, to, message_time_ms: None };
    let advances = vec![advance(0, 4, 8), advance(1, 7, 25), advance(2, 0, 2), advance(3, 1, 2)];
    let polled = Polled { messages: builder.finish(), advances };
    let (first, second) = polled.halves();
    assert_eq!(first.advances, [advance(0, 4, 8), advance(1, 7, 8)]);
    assert_eq!(second.advances, [advance(1, 8, 25), advance(2, 0, 2), advance(3, 1, 2)]);
    assert_eq!((first.messages.len(), second.messages.len()), (2, 3));
}

#[tokio::test]
async fn too_many_dead_letters_stop_the_job_and_a_restart_stops_at_the_same_place() {
    let project = Shares::new(VIEW);
    // Three of ten cannot be decoded: of the first partition, which comes first, two of five.
    let all = messages(&project.schema(), 5_000, |id| if id % 10 < 3 { Kind::Broken } else { Kind::Good });
    let error = project.run(all.clone(), 100).await.expect_err("too many");
    let text = error.to_string();
    assert!(matches!(error, EngineError::TooManyDeadLetters(_)), "{text}");
    assert!(text.contains("400 of the last 1000 messages (40.0 %) became dead letters"), "{text}");
    assert!(text.contains("times, for example decode: "), "{text}");
    let (offsets, dead) = (project.offsets().await, project.dead().await);
    // The batch that went over, the tenth, is not committed.
    assert_eq!((offsets.join(";"), dead.len()), ("0,910;1,10".to_owned(), 360));

    for _ in 0..3 {
        let error = project.run(all.clone(), 7).await.expect_err("again");
        assert!(matches!(error, EngineError::TooManyDeadLetters(_)), "{error}");
        assert_eq!(project.offsets().await, offsets);
        assert_eq!(project.dead().await.len(), dead.len());
    }
    // Acknowledged, it counts from 0: the next batches are committed, and stop the job again.
    let config = &project.0.config;
    let mut stored =
        StoredOffsets::open(&config.database, &config.job).await.expect("a database").expect("offsets");
    assert!(stored.forget_dead_letters().await.expect("forgets") > 300);
    assert_eq!(stored.forget_dead_letters().await.expect("forgets"), 0);
    let error = project.run(all, 100).await.expect_err("too many again");
    assert!(matches!(error, EngineError::TooManyDeadLetters(_)), "{error}");
    assert_eq!(project.dead().await.len(), 2 * dead.len());
}

/// A producer that adds a field to a raw topic makes dead letters of all its messages, and these say what to do.
#[tokio::test]
async fn messages_of_another_schema_are_said_to_be_of_one() {
    let shares = Shares::new(VIEW);
    let wide = shares.0.folder.path().join("wide.avsc");
    let schema = SCHEMA.replace("]}", r#", {"name": "more", "type": "string", "default": "1234"}]}"#);
    std::fs::write(&wide, &schema).expect("written");
    let encode = encoder(&wide);
    let written = |count: i64, is_wide: &dyn Fn(i64) -> bool| {
        let mut recorder = Recorder::new("t");
        for offset in 0..count {
            let more = "x".repeat(offset as usize % 9);
            let record = serde_json::json!({"id": offset, "divisor": 1, "amount": 1.0, "more": more});
            let mut payload = encode(&record);
            if !is_wide(offset) {
                payload.truncate(payload.len() - 1 - offset as usize % 9);
            }
            recorder.push(0, &payload);
        }
        recorder.finish()
    };
    let hinted = "SELECT count(*) FROM dead_letters WHERE reason LIKE '%after the last field%hint:%avro_writer_schema%'";
    shares.run(written(60, &|offset| offset % 30 == 7), 20).await.expect("done");
    assert_eq!(shares.rows("SELECT count(*) FROM dead_letters").await, ["2"]);
    assert_eq!(shares.rows(hinted).await, ["0"], "single ones are broken messages");
    shares.run(written(100, &|offset| offset >= 60), 20).await.expect("done");
    assert_eq!(shares.rows(hinted).await, ["40"]);
    let error =
        shares.run(written(2_000, &|offset| offset >= 60), 2_000).await.expect_err("too many").to_string();
    assert!(
        matches!(error.split_once("hint: "), Some((_, hint)) if hint.contains("a raw topic cannot hold two schemas")),
        "{error}"
    );
}

#[tokio::test]
async fn with_the_ratio_at_one_nothing_stops_the_job() {
    let mut project = Shares::new(VIEW);
    project.0.config.dead_letters.ratio_max = 1.0;
    let all = messages(&project.schema(), 2_000, |id| if id % 10 < 9 { Kind::Broken } else { Kind::Good });
    project.run(all, 100).await.expect("done");
    assert_eq!(project.dead().await.len(), 1_800);
    assert_eq!(project.ids().await.len(), 200);
}

const TRADE: &str = r#"{"type": "record", "name": "Trade", "fields": [
    {"name": "region", "type": "string"},
    {"name": "volume", "type": {"type": "bytes", "logicalType": "decimal", "precision": 38, "scale": 10}},
    {"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 38, "scale": 10}}]}"#;

/// A job over trades: each volume times its price, and their sum for each region.
fn trades() -> Project {
    let mut project = Project::new(&[
        ("schema.avsc", TRADE),
        (
            "sql/totals.sql",
            "SELECT region, sum(volume * price) AS total, count(*) AS trades FROM batch GROUP BY region",
        ),
        ("sql/trades.sql", "SELECT kafka_offset,\n  region, volume * price AS amount\nFROM batch"),
        ("config.yaml", ""),
    ]);
    project.config.dead_letters.ratio_max = 1.0;
    project
}

fn traded(schema: &Path, trades: &[(&str, &str)]) -> Messages {
    let encode = encoder(schema);
    let mut recorder = Recorder::new("t");
    for (volume, price) in trades {
        recorder.push(0, &encode(&serde_json::json!({"region": "north", "volume": volume, "price": price})));
    }
    recorder.finish()
}

#[tokio::test]
async fn a_result_that_does_not_fit_makes_a_dead_letter_and_never_another_number() {
    let project = trades();
    let most = "9999999999999999999999999999";
    let messages = traded(
        &project.schema(),
        &[
            ("9007199254740991", "0.99"),
            ("999999999999999999", "1"),
            ("1000000000000000000", "1.5"),
            ("5000000000000000000", "-0.3"),
            (most, most),
        ],
    );
    project.run(ReplaySource::new(messages, 5)).await.expect("done");
    assert_eq!(
        project.rows("SELECT amount FROM trades ORDER BY kafka_offset").await,
        ["8917127262193581.09000000000000000000", "999999999999999999.00000000000000000000"]
    );
    let dead = project.rows("SELECT kafka_offset, stage, reason FROM dead_letters ORDER BY 1").await;
    assert_eq!(dead.len(), 3, "{dead:?}");
    assert!(
        dead.iter().all(|letter| letter.contains("sql") && letter.contains("is out of range")),
        "{dead:?}"
    );
    let places = project.rows("SELECT DISTINCT place FROM dead_letters").await;
    let is_there =
        |place: &String| ["sql/totals.sql:1:20", "sql/trades.sql:2:11"].iter().any(|at| place.ends_with(at));
    assert!(places.iter().all(is_there), "{places:?}");
}

#[tokio::test]
async fn a_sum_that_does_not_fit_is_cut_until_it_does() {
    let project = trades();
    let messages = traded(&project.schema(), &[("9007199254740991", "0.99"); 600]);
    project.run(ReplaySource::new(messages, 600)).await.expect("done");
    let totals = project.rows("SELECT total, trades FROM totals").await;
    let dead = project.rows("SELECT count(*) FROM dead_letters").await;
    let mut counted: i128 = dead[0].parse().expect("a count");
    for row in totals {
        let (total, trades) = row.split_once(['|', ',', ' ']).expect("two columns");
        let trades: i128 = trades.trim().parse().expect("a count");
        let digits: i128 = total.replace('.', "").parse().expect("digits");
        assert_eq!(digits, trades * 891_712_726_219_358_109 * 10_i128.pow(18), "{trades} trades");
        counted += trades;
    }
    assert_eq!(counted, 600);
}

#[tokio::test]
async fn sql_that_fails_on_most_messages_stops_the_job_too() {
    let project = Shares::new(VIEW);
    let all = messages(&project.schema(), 4_000, |id| if id % 2 == 0 { Kind::Zero } else { Kind::Good });
    let error = project.run(all.clone(), 500).await.expect_err("too many");
    assert!(error.to_string().contains("divide by zero"), "{error}");
    let offsets = project.offsets().await;
    let again = project.run(all, 500).await.expect_err("again");
    assert!(matches!(again, EngineError::TooManyDeadLetters(_)), "{again}");
    assert_eq!(project.offsets().await, offsets);
}

#[tokio::test]
async fn a_topic_that_was_made_anew_is_noticed_by_the_time_of_the_last_message() {
    let mut project = Shares::new(VIEW);
    project.run(messages(&project.schema(), 40, |_| Kind::Good), 100).await.expect("done");
    // As long as before, with other messages: each an hour later.
    let later = |count| {
        let mut builder = MessagesBuilder::default();
        for message in messages(&project.schema(), count, |_| Kind::Good).iter() {
            let timestamp_ms = message.timestamp_ms.map(|ms| ms + 3_600_000);
            builder.push(Message { timestamp_ms, ..message });
        }
        builder.finish()
    };
    let (anew, longer) = (later(60), later(80));
    let error = project.run(anew.clone(), 100).await.expect_err("the topic is not the same");
    let expected = "the message at offset 29 has another time than the one that was processed last";
    let EngineError::LostData(lost) = &error else { panic!("{error}") };
    assert!(lost.iter().any(|lost| lost.message.contains(expected)), "{error}");
    assert_eq!(project.offsets().await, ["0,30", "1,30"], "nothing was touched");

    project.0.config.kafka.lost_data = LostData::Continue;
    project.run(anew, 100).await.expect("done");
    assert_eq!(project.ids().await.len(), 40 + 60);
    assert_eq!(project.offsets().await, ["0,40", "1,40"]);
    project.run(longer, 100).await.expect("the same topic");
    assert_eq!(project.ids().await.len(), 40 + 80);
}

#[tokio::test]
async fn where_only_the_batch_as_a_whole_fails_batches_are_smaller_from_then_on() {
    // Every pair of messages is held: 2,000 messages need far more than the pool has.
    let view = "SELECT kafka_partition, kafka_offset, id, \
        (SELECT count(*) FROM pairs p WHERE p.id = batch.id) AS share, amount FROM batch";
    let mut project = Shares::new(view);
    project.0.write("sql/pairs.sql", "SELECT a.id, b.id AS other FROM batch a CROSS JOIN batch b");
    project.0.config.memory_max = 32 << 20;
    let all = messages(&project.schema(), 6_000, |_| Kind::Good);
    let reports = project.run(all, 3_000).await.expect("done");
    assert_eq!(project.ids().await.len(), 6_000);
    assert!(project.dead().await.is_empty(), "no message is to blame");
    let sizes: Vec<usize> = reports.iter().map(|report| report.messages).collect();
    let largest = sizes.iter().max().copied().unwrap_or_default();
    assert!(largest < 3_000 && sizes.len() < 40, "{sizes:?}");
    // What was left of the first batch fails no more, and neither do the batches after it.
    assert!(sizes.windows(2).all(|pair| pair[1] <= 2 * pair[0].max(1)), "{sizes:?}");
}
