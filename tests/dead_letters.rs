//! Dead letters from the fault to the replay: what becomes one, what a replay brings in, and that it does so once,
//! whoever else writes.

mod support;

use std::collections::BTreeMap;
use std::path::Path;

use realtime_processor::batch::{Limits, Messages, Stage};
use realtime_processor::database::Address;
use realtime_processor::engine::{EngineError, ReplayReport, Report};
use realtime_processor::sink::{Age, LetterOrder, Replaced, Selection, StoredLetters};
use realtime_processor::source::ReplaySource;
use serde_json::{Value, json};
use support::{Project, Recorder, Server, encoder, letters, on_each_server, replay, replayer};

const SCHEMA: &str = r#"{"type": "record", "name": "r", "fields": [
    {"name": "id", "type": "int"},
    {"name": "customer", "type": "int"},
    {"name": "branch", "type": "string"},
    {"name": "divisor", "type": "int"},
    {"name": "code", "type": "string"},
    {"name": "amount", "type": "int"}]}"#;

const ENTRIES: &str = "SELECT kafka_partition, kafka_offset, id, customer, branch, amount, \
    100 / divisor AS share, CAST(code AS INT) AS code FROM batch";
/// Without the faults of [`ENTRIES`].
const ENTRIES_MENDED: &str = "SELECT kafka_partition, kafka_offset, id, customer, branch, amount, \
    coalesce(100 / nullif(divisor, 0), 0) AS share, coalesce(TRY_CAST(code AS INT), 0) AS code FROM batch";
/// Per customer: how many messages, and the sum of the amounts.
const TOTALS: &str = "SELECT b.customer, coalesce(t.n, 0) + count(*) AS n, coalesce(t.total, 0) + sum(b.amount) AS total \
    FROM batch b LEFT JOIN totals t ON t.customer = b.customer GROUP BY b.customer, t.n, t.total";

/// A state that each instance checks by its versions, and one that the partitions' epochs alone keep.
const STATES: [&str; 2] = ["", ", follows_partition: true"];

async fn project(server: Server, state: &str) -> Project {
    let config = format!("state_tables:\n  totals: {{ view: next_totals, key: customer{state} }}\n");
    let files = [
        ("schema.avsc", SCHEMA),
        ("config.yaml", config.as_str()),
        ("sql/entries.sql", ENTRIES),
        ("sql/next_totals.sql", TOTALS),
    ];
    Project::on(server, &files).await
}

fn mend_the_view(project: &Project) {
    project.write("sql/entries.sql", ENTRIES_MENDED);
}

fn record(id: i32, customer: i32) -> Value {
    json!({"id": id, "customer": customer, "branch": "0001", "divisor": 4, "code": "7", "amount": 1})
}

/// One message a record, with its partition; offsets count from 0.
fn recording(project: &Project, records: &[(i32, Value)]) -> Messages {
    let encode = encoder(&project.schema());
    let payloads: Vec<(i32, Vec<u8>)> = records.iter().map(|(p, record)| (*p, encode(record))).collect();
    messages(&payloads)
}

fn messages(payloads: &[(i32, Vec<u8>)]) -> Messages {
    let headers = [("trace".to_owned(), Some(vec![0xff]))];
    let mut recorder = Recorder::new("t");
    for (partition, payload) in payloads {
        recorder.push_with(*partition, None, Some(payload), &headers);
    }
    recorder.finish()
}

async fn run(
    project: &Project,
    records: &[(i32, Value)],
    rows_max: usize,
) -> Result<Vec<Report>, EngineError> {
    project.run(ReplaySource::new(recording(project, records), rows_max)).await
}

fn counts(report: &ReplayReport) -> (usize, usize) {
    (report.replayed, report.failed)
}

/// What the state must be after these messages.
fn totals_of<'r>(records: impl Iterator<Item = &'r Value>) -> Vec<String> {
    let mut totals: BTreeMap<i64, (i64, i64)> = BTreeMap::new();
    for record in records {
        let (n, total) = totals.entry(record["customer"].as_i64().expect("a number")).or_default();
        *n += 1;
        *total += record["amount"].as_i64().expect("a number");
    }
    totals.iter().map(|(customer, (n, total))| format!("{customer},{n},{total}")).collect()
}

async fn totals(project: &Project) -> Vec<String> {
    project.rows("SELECT customer, n, total FROM totals ORDER BY 1").await
}

async fn ids(project: &Project) -> Vec<String> {
    project.rows("SELECT id FROM entries ORDER BY id").await
}

fn numbers(ids: impl Iterator<Item = i32>) -> Vec<String> {
    ids.map(|id| id.to_string()).collect()
}

const WAITING: &str = "SELECT count(*) FROM dead_letters WHERE replayed_at IS NULL";

on_each_server! {
    each_fault_of_data_makes_dead_letters_which_a_replay_brings_in_once,
    what_fails_again_stays_with_the_new_reason,
    a_replay_beside_a_running_job_loses_no_update_of_state,
    replays_at_the_same_time_bring_a_message_in_once,
    a_message_that_is_kept_twice_is_brought_in_once_and_another_at_its_place_too,
    a_replay_does_not_make_state_look_old,
    dead_letters_are_read_in_pages_and_deleted_in_parts,
    the_row_before_one_that_is_refused_stands,
    causes_are_counted_and_chosen,
    rows_that_are_newer_are_counted_before_and_left_out,
    rows_whose_age_is_not_known_are_counted_too,
    a_filter_chooses_what_is_replayed,
}

/// The last message of each customer, with a share that the view refuses at first.
const LATEST: &str = "SELECT kafka_partition, kafka_offset, customer, id, 100 / divisor AS share FROM batch";

/// Customers 1 to 4 with a dead letter each: a newer row is there, none is, a row of the same partition is older, and a
/// row comes from another partition.
async fn with_latest(server: Server, outputs: &str, view: &str) -> Project {
    let config =
        format!("state_tables:\n  totals: {{ view: next_totals, key: customer }}\noutputs:\n{outputs}");
    let files = [
        ("schema.avsc", SCHEMA),
        ("config.yaml", config.as_str()),
        ("sql/latest.sql", view),
        ("sql/next_totals.sql", TOTALS),
    ];
    let project = Project::on(server, &files).await;
    let dead = |id, customer| {
        let mut record = record(id, customer);
        record["divisor"] = json!(0);
        record
    };
    let records = [
        (0, record(0, 3)),
        (0, dead(1, 1)),
        (0, dead(2, 2)),
        (0, dead(3, 3)),
        (0, dead(4, 4)),
        (0, record(5, 1)),
        (1, record(6, 4)),
    ];
    // Two batches, so that the state of customer 3 is from before its dead letter.
    project.run(ReplaySource::new(recording(&project, &records), 5)).await.expect("done");
    assert_eq!(project.rows(WAITING).await, ["4"]);
    project.write("sql/latest.sql", &view.replace("100 / divisor", "7"));
    project
}

fn replaced(table: &str, rows: i64, age: Age) -> Replaced {
    Replaced { table: table.into(), rows, age }
}

async fn rows_that_are_newer_are_counted_before_and_left_out(server: Server) {
    let project = with_latest(server, "  latest: { mode: upsert, key: customer }\n", LATEST).await;
    let mut replay = replayer(&project.config, 10).await.skipping_newer();
    let all = Selection::default();
    let found = replay.preview(&all).await.expect("computed");
    // The batch that wrote the state of customers 1 and 4 has a message that is newer than all dead letters.
    let state = replaced("totals", 2, Age::State);
    let expected = [replaced("latest", 1, Age::Newer), replaced("latest", 1, Age::Unknown), state];
    assert_eq!(found, expected);
    assert_eq!(project.rows(WAITING).await, ["4"], "nothing is written");
    let latest = "SELECT customer, id FROM latest ORDER BY customer";
    assert_eq!(project.rows(latest).await, ["1,5", "3,0", "4,6"]);

    let report = replay.run(&all, &mut |_| {}).await.expect("done");
    assert_eq!((report.replayed, report.failed, report.skipped), (3, 0, 1), "{report:?}");
    assert_eq!(project.rows(latest).await, ["1,5", "2,2", "3,3", "4,4"]);
    assert_eq!(project.rows("SELECT kafka_offset FROM dead_letters WHERE replayed_at IS NULL").await, ["1"]);
    assert_eq!(project.rows("SELECT customer, n FROM totals ORDER BY 1").await, ["1,1", "2,1", "3,2", "4,2"]);
    // Without it the older row is written.
    assert_eq!(counts(&replay_all(&project).await), (1, 0));
    assert_eq!(project.rows(latest).await, ["1,1", "2,2", "3,3", "4,4"]);
}

async fn replay_all(project: &Project) -> ReplayReport {
    replay(&project.config, &[], 10).await.expect("done")
}

async fn rows_whose_age_is_not_known_are_counted_too(server: Server) {
    let outputs = "  latest: { mode: upsert, key: customer }\n";
    let view = "SELECT customer, max(id) AS id, max(100 / divisor) AS share FROM batch GROUP BY customer";
    let project = with_latest(server, outputs, view).await;
    let found = replayer(&project.config, 10).await.preview(&Selection::default()).await.expect("computed");
    let unknown =
        |rows: &[Replaced]| rows.iter().filter(|rows| rows.age != Age::State).cloned().collect::<Vec<_>>();
    assert_eq!(unknown(&found), [replaced("latest", 3, Age::Unknown)]);

    // A table that keeps the newer row by itself.
    let outputs = "  latest: { mode: upsert, key: customer, only_newer: id }\n";
    let project = with_latest(server, outputs, LATEST).await;
    let found = replayer(&project.config, 10).await.preview(&Selection::default()).await.expect("computed");
    assert_eq!(unknown(&found), []);
    assert_eq!(counts(&replay_all(&project).await), (4, 0));
    let latest = "SELECT customer, id FROM latest ORDER BY customer";
    assert_eq!(project.rows(latest).await, ["1,5", "2,2", "3,3", "4,6"]);

    // Rows that are replaced by parent, in an order of their own.
    let outputs = "  latest: { mode: replace, key: [customer, code], parent: customer, order_by: id }\n";
    let view = "SELECT customer, code, id, 100 / divisor AS share FROM batch";
    let project = with_latest(server, outputs, view).await;
    let found = replayer(&project.config, 10).await.preview(&Selection::default()).await.expect("computed");
    assert_eq!(unknown(&found), [replaced("latest", 2, Age::Newer)]);
}

async fn a_filter_chooses_what_is_replayed(server: Server) {
    let project = project(server, STATES[0]).await;
    let (tables, mended) = entries_tables(server);
    project.execute(&tables).await;
    run(&project, &faulty_records(60), 7).await.expect("done");
    project.execute(&mended).await;
    mend_the_view(&project);
    let wanted =
        Selection { stage: Some(Stage::Write), place: Some("entries".into()), ..Selection::default() };
    let report = replayer(&project.config, 7).await.run(&wanted, &mut |_| {}).await.expect("done");
    assert_eq!((report.replayed, report.failed), (15, 0), "{report:?}");
    let chosen = |id: &i32| fault_of(*id).is_none_or(|fault| !["divisor", "code"].contains(&fault));
    assert_eq!(ids(&project).await, numbers((0..60).filter(chosen)));
}

async fn causes_are_counted_and_chosen(server: Server) {
    let project = project(server, STATES[0]).await;
    project.execute(&entries_tables(server).0).await;
    run(&project, &faulty_records(60), 7).await.expect("done");
    let mut letters = letters(&project.config).await;
    let all = Selection { is_replayed: Some(false), ..Selection::default() };
    let causes = letters.causes(&all).await.expect("counts");
    assert_eq!(causes.iter().map(|cause| cause.count).sum::<i64>(), 25, "{causes:?}");
    assert!(causes.iter().all(|cause| cause.first <= cause.last && cause.example > 0), "{causes:?}");
    // Both faults of the view have one place and no code.
    let of_view = causes.iter().filter(|cause| cause.stage == "sql" && cause.code.is_none());
    assert_eq!(of_view.map(|cause| cause.count).sum::<i64>(), 10, "{causes:?}");
    let expected = if server == Server::MySql { 1452 } else { 787 };
    let codes: Vec<Option<i64>> = causes.iter().map(|cause| cause.code).collect();
    assert!(codes.contains(&Some(expected)), "{codes:?}");
    let count = async |letters: &mut StoredLetters, selection: Selection| {
        letters.count(&Selection { is_replayed: Some(false), ..selection }).await.expect("counts")
    };
    let by_code = Selection { code: Some(expected), ..Selection::default() };
    assert_eq!(count(&mut letters, by_code).await, 5);
    let by_place =
        Selection { place: Some("entries".into()), stage: Some(Stage::Write), ..Selection::default() };
    assert_eq!(count(&mut letters, by_place).await, 15);
    let now = letters.now_micros().await.expect("a clock");
    let hour = 3_600_000_000;
    // Of payloads that cannot be decoded, the field is the cause, not the byte where it was noticed.
    for (byte, field) in [(7, "lines[2].sku"), (19, "lines[0].sku"), (7, "note")] {
        let reason = format!("field `{field}`: a string of {byte} bytes, and 3 are left");
        let (job, at) = (&project.config.job, "'2026-03-01 06:00:00'");
        let insert = format!(
            "INSERT INTO dead_letters (job, kafka_topic, kafka_partition, kafka_offset, kafka_headers, stage, place, \
             reason, created_at) VALUES ('{job}', 'gone', 0, {byte}, '[]', 'decode', 'byte {byte}', '{reason}', {at})"
        );
        project.execute(&[&insert]).await;
    }
    let undecodable = Selection { stage: Some(Stage::Decode), ..Selection::default() };
    let causes = letters.causes(&undecodable).await.expect("counts");
    let places: Vec<(&str, i64)> = causes.iter().map(|cause| (cause.place.as_str(), cause.count)).collect();
    assert_eq!(places, [("lines[].sku", 2), ("note", 1)]);
    for (place, expected) in [("lines[].sku", 2), ("lines", 2), ("note", 1), ("n_te", 0), ("byte 7", 2)] {
        let of_place = Selection { place: Some(place.into()), ..undecodable.clone() };
        assert_eq!(count(&mut letters, of_place).await, expected, "{place}");
    }
    let recent = Selection { created_from_micros: Some(now - hour), ..Selection::default() };
    let late = Selection { created_from_micros: Some(now + hour), ..Selection::default() };
    assert_eq!((count(&mut letters, recent).await, count(&mut letters, late).await), (25, 0));
}

/// The last message of a customer whose amount the table takes is what stands, however the messages are cut.
async fn the_row_before_one_that_is_refused_stands(server: Server) {
    let latest = "SELECT customer, id, amount, kafka_partition, kafka_offset FROM batch";
    let config = "outputs:\n  entries:\n  latest: { mode: upsert, key: customer }\n";
    let files = [
        ("schema.avsc", SCHEMA),
        ("config.yaml", config),
        ("sql/entries.sql", ENTRIES),
        ("sql/latest.sql", latest),
    ];
    let mut random = fastrand::Rng::with_seed(5);
    let mut amounts: Vec<i32> = (0..60).map(|_| random.i32(0..12)).collect();
    amounts[57] = 11;
    let refused = |id: &i32| amounts[*id as usize] >= 10;
    let records: Vec<(i32, Value)> = (0..60)
        .map(|id| {
            let amount = amounts[id as usize];
            // A customer keeps to a partition.
            (id % 2, json!({"id": id, "customer": id % 6, "branch": "", "divisor": 1, "code": "7", "amount": amount}))
        })
        .collect();
    for rows_max in [1, 7, 100] {
        let project = Project::on(server, &files).await;
        let create = "CREATE TABLE latest (customer INT NOT NULL PRIMARY KEY, id INT, amount INT, CHECK (amount < 10))";
        project.execute(&[create]).await;
        let mut config = project.config.clone();
        config.dead_letters.ratio_max = 1.0;
        let source = ReplaySource::new(recording(&project, &records), rows_max);
        support::run(&config, source).await.expect("done");
        let last = |customer: i32| (0..60).rev().find(|id| id % 6 == customer && !refused(id)).expect("one");
        let expected: Vec<String> = (0..6).map(|customer| format!("{customer},{}", last(customer))).collect();
        let stored = project.rows("SELECT customer, id FROM latest ORDER BY 1").await;
        assert_eq!(stored, expected, "batches of {rows_max}");
        // What a dead letter would have given is in no other output either.
        let dead = project.rows("SELECT count(*) FROM dead_letters WHERE place LIKE 'latest%'").await;
        let entries = project.rows("SELECT count(*) FROM entries").await;
        let count = |rows: &[String]| rows[0].parse::<usize>().expect("a number");
        assert_eq!(count(&dead) + count(&entries), 60);
        // The last message of one customer at least is refused.
        assert!(count(&dead) > 0, "nothing was refused");
    }
}

/// A table that refuses what the messages of [`faulty_records`] bring, and how it is mended.
fn entries_tables(server: Server) -> (Vec<&'static str>, Vec<&'static str>) {
    const ADD_CUSTOMER: &str = "INSERT INTO customers VALUES (9)";
    match server {
        Server::Sqlite => (
            vec![
                "CREATE TABLE customers (id INTEGER PRIMARY KEY)",
                "INSERT INTO customers VALUES (0), (1), (2), (3), (4)",
                "CREATE TABLE entries (kafka_partition INTEGER, kafka_offset INTEGER, id INTEGER, \
                    customer INTEGER REFERENCES customers (id), branch TEXT CHECK (length(branch) <= 4), \
                    amount INTEGER CHECK (amount <= 32767), share INTEGER, code INTEGER)",
            ],
            vec![
                ADD_CUSTOMER,
                "ALTER TABLE entries RENAME TO narrow",
                "CREATE TABLE entries (kafka_partition INTEGER, kafka_offset INTEGER, id INTEGER, \
                    customer INTEGER REFERENCES customers (id), branch TEXT, amount INTEGER, share INTEGER, code INTEGER)",
                "INSERT INTO entries SELECT * FROM narrow",
            ],
        ),
        Server::MySql => (
            vec![
                "CREATE TABLE customers (id INT PRIMARY KEY)",
                "INSERT INTO customers VALUES (0), (1), (2), (3), (4)",
                "CREATE TABLE entries (number INT AUTO_INCREMENT PRIMARY KEY, kafka_partition INT, kafka_offset BIGINT, \
                    id INT, customer INT, branch VARCHAR(4), amount SMALLINT, share BIGINT, code INT, \
                    FOREIGN KEY (customer) REFERENCES customers (id))",
            ],
            vec![ADD_CUSTOMER, "ALTER TABLE entries MODIFY branch VARCHAR(40), MODIFY amount INT"],
        ),
    }
}

/// The fault of the message with this id, as the column that refuses it.
fn fault_of(id: i32) -> Option<&'static str> {
    match id % 12 {
        3 => Some("divisor"),
        5 => Some("branch"),
        7 => Some("amount"),
        9 => Some("customer"),
        11 => Some("code"),
        _ => None,
    }
}

fn faulty_records(count: i32) -> Vec<(i32, Value)> {
    let faulty = |id: i32| {
        let mut record = record(id, id % 5);
        match fault_of(id) {
            Some("divisor") => record["divisor"] = json!(0),
            Some("branch") => record["branch"] = json!("00001"),
            Some("amount") => record["amount"] = json!(40_000),
            Some("customer") => record["customer"] = json!(9),
            Some(_) => record["code"] = json!("x"),
            None => {}
        }
        (0, record)
    };
    (0..count).map(faulty).collect()
}

async fn each_fault_of_data_makes_dead_letters_which_a_replay_brings_in_once(server: Server) {
    for (rows_max, state) in [(1, STATES[0]), (7, STATES[1]), (100, STATES[0])] {
        let project = project(server, state).await;
        let (tables, mended) = entries_tables(server);
        project.execute(&tables).await;
        let records = faulty_records(60);
        run(&project, &records, rows_max).await.expect("done");
        let is_good = |id: &i32| fault_of(*id).is_none();
        assert_eq!(ids(&project).await, numbers((0..60).filter(is_good)));
        let good = records.iter().enumerate().filter(|(id, _)| is_good(&(*id as i32)));
        assert_eq!(totals(&project).await, totals_of(good.map(|(_, (_, record))| record)));
        let stages = "SELECT kafka_offset % 12, stage, count(*) FROM dead_letters GROUP BY 1, 2 ORDER BY 1";
        let expected = ["3,sql,5", "5,write,5", "7,write,5", "9,write,5", "11,sql,5"];
        assert_eq!(project.rows(stages).await, expected);

        project.execute(&mended).await;
        mend_the_view(&project);
        let report = replay(&project.config, &[], rows_max).await.expect("done");
        assert_eq!(counts(&report), (25, 0), "{:?}", report.reasons);
        assert_eq!(ids(&project).await, numbers(0..60), "each message once");
        assert_eq!(totals(&project).await, totals_of(records.iter().map(|(_, record)| record)));
        assert_eq!(project.rows(WAITING).await, ["0"]);
        assert_eq!(project.rows("SELECT count(*) FROM realtime_sql_versions").await, ["2"], "both are known");
        let again = replay(&project.config, &[], rows_max).await.expect("done");
        assert_eq!(counts(&again), (0, 0), "a second replay does nothing");
        assert_eq!(ids(&project).await.len(), 60);
        // The job goes on with what the replay has left.
        let more = faulty_records(72);
        run(&project, &more, rows_max).await.expect("done");
        assert_eq!(totals(&project).await, totals_of(more.iter().map(|(_, record)| record)));
    }
}

async fn what_fails_again_stays_with_the_new_reason(server: Server) {
    let project = project(server, STATES[0]).await;
    let mut records: Vec<(i32, Value)> = (0..20).map(|id| (id % 2, record(id, id % 3))).collect();
    for id in [3, 4, 10, 11] {
        records[id].1["divisor"] = json!(0);
    }
    records[10].1["code"] = json!("x");
    records[11].1["code"] = json!("y");
    run(&project, &records, 5).await.expect("done");
    let all = "SELECT kafka_partition, kafka_offset, stage FROM dead_letters WHERE replayed_at IS NULL ORDER BY 1, 2";
    assert_eq!(project.rows(all).await.len(), 4);
    let view = ENTRIES_MENDED.replace("TRY_CAST", "CAST");
    project.write("sql/entries.sql", &view);
    let report = replay(&project.config, &[], 100).await.expect("done");
    assert_eq!(counts(&report), (2, 2));
    assert!(
        report.reasons[0].contains("sql: ") && report.reasons[0].contains("cast"),
        "{:?}",
        report.reasons
    );
    assert_eq!(project.rows(all).await, ["0,5,sql", "1,5,sql"]);
    let reasons =
        "SELECT count(*) FROM dead_letters WHERE replayed_at IS NULL AND lower(reason) LIKE '%cast%'";
    assert_eq!(project.rows(reasons).await, ["2"], "the new reasons");
    assert_eq!(ids(&project).await, numbers((0..20).filter(|id| ![10, 11].contains(id))));
    let good =
        records.iter().filter(|(_, record)| ![10, 11].contains(&record["id"].as_i64().expect("a number")));
    assert_eq!(totals(&project).await, totals_of(good.map(|(_, record)| record)));

    // A message that cannot be decoded fails in another stage by now.
    mend_the_view(&project);
    let schema = SCHEMA.replace("]}", r#", {"name": "more", "type": "int"}]}"#);
    std::fs::write(project.schema(), schema).expect("written");
    let report = replay(&project.config, &[], 100).await.expect("done");
    assert_eq!(counts(&report), (0, 2));
    let stages = "SELECT stage, count(*) FROM dead_letters WHERE replayed_at IS NULL GROUP BY stage";
    assert_eq!(project.rows(stages).await, ["decode,2"]);
    std::fs::write(project.schema(), SCHEMA).expect("written");
    assert_eq!(counts(&replay(&project.config, &[], 1).await.expect("done")), (2, 0));
    assert_eq!(ids(&project).await, numbers(0..20));
}

async fn a_replay_beside_a_running_job_loses_no_update_of_state(server: Server) {
    for state in STATES {
        let project = project(server, state).await;
        let mut records: Vec<(i32, Value)> = (0..400).map(|id| (0, record(id, id % 4))).collect();
        (0..40).for_each(|id| records[id].1["divisor"] = json!(0));
        run(&project, &records[..40], 40).await.expect("done");
        assert_eq!(project.rows(WAITING).await, ["40"]);
        mend_the_view(&project);
        // The job holds the rows of all customers when the replay begins, and goes on meanwhile and afterwards.
        let source = ReplaySource::new(recording(&project, &records), 1);
        let job = support::engine(&project.config, source).await;
        let (begun, mut is_begun) = tokio::sync::mpsc::unbounded_channel();
        let mut count = 0;
        let mut report = |_: &Report| {
            count += 1;
            if count == 20 {
                begun.send(()).expect("the replay waits");
            }
        };
        let replaying = async {
            is_begun.recv().await;
            replay(&project.config, &[], 3).await
        };
        let (ran, replayed) = tokio::join!(job.run(&mut report), replaying);
        ran.expect("done");
        assert_eq!(counts(&replayed.expect("done")), (40, 0));
        assert_eq!(ids(&project).await, numbers(0..400), "{state}");
        let expected = totals_of(records.iter().map(|(_, record)| record));
        assert_eq!(totals(&project).await, expected, "no update was lost{state}");
    }
}

async fn replays_at_the_same_time_bring_a_message_in_once(server: Server) {
    let project = project(server, STATES[0]).await;
    let mut records: Vec<(i32, Value)> = (0..60).map(|id| (id % 3, record(id, id % 4))).collect();
    records.iter_mut().for_each(|(_, record)| record["divisor"] = json!(0));
    run(&project, &records, 60).await.expect("done");
    mend_the_view(&project);
    let (one, other) = (replayer(&project.config, 2).await, replayer(&project.config, 3).await);
    let all = Selection::default();
    let (mut quiet, mut other_quiet) = (|_: &ReplayReport| {}, |_: &ReplayReport| {});
    let (one, other) = tokio::join!(one.run(&all, &mut quiet), other.run(&all, &mut other_quiet));
    let (one, other) = (one.expect("done"), other.expect("done"));
    assert_eq!(one.replayed + other.replayed, 60, "{one:?} {other:?}");
    assert_eq!((one.failed, other.failed), (0, 0));
    assert_eq!(ids(&project).await, numbers(0..60));
    assert_eq!(totals(&project).await, totals_of(records.iter().map(|(_, record)| record)));
}

async fn a_message_that_is_kept_twice_is_brought_in_once_and_another_at_its_place_too(server: Server) {
    let project = project(server, STATES[1]).await;
    let bad = |id: i32| {
        let mut record = record(id, 1);
        record["divisor"] = json!(0);
        (0, record)
    };
    let records = [bad(0), bad(1)];
    run(&project, &records, 10).await.expect("done");
    // The offsets were reset, and the messages failed again; then the topic was made anew.
    let again = ["DELETE FROM realtime_offsets"];
    project.execute(&again).await;
    run(&project, &records, 10).await.expect("done");
    project.execute(&again).await;
    run(&project, &[bad(2), bad(3), bad(4)], 10).await.expect("done");
    assert_eq!(project.rows(WAITING).await, ["7"]);
    mend_the_view(&project);
    let first = project.rows("SELECT min(id) FROM dead_letters WHERE kafka_offset = 1").await;
    let first: i64 = first[0].parse().expect("an id");
    // Also where one of them is named.
    assert_eq!(counts(&replay(&project.config, &[first], 10).await.expect("done")), (1, 0));
    assert_eq!(project.rows(WAITING).await, ["5"]);
    let report = replay(&project.config, &[], 10).await.expect("done");
    assert_eq!(counts(&report), (4, 0), "{report:?}");
    assert_eq!(ids(&project).await, numbers(0..5));
    assert_eq!(project.rows("SELECT n FROM totals").await, ["5"]);
    assert_eq!(project.rows(WAITING).await, ["0"]);
}

async fn a_replay_does_not_make_state_look_old(server: Server) {
    let project = project(server, ", ttl: 30ms").await;
    let mut records: Vec<(i32, Value)> = (0..100).map(|id| (0, record(id, 1))).collect();
    records[0].1["divisor"] = json!(0);
    run(&project, &records, 100).await.expect("done");
    mend_the_view(&project);
    assert_eq!(counts(&replay(&project.config, &[], 10).await.expect("done")), (1, 0));
    let times = "SELECT n FROM totals WHERE _message_time >= '2023-11-14 22:13:20.099'";
    assert_eq!(project.rows(times).await, ["100"], "written now, in the time that the job has reached");
}

async fn dead_letters_are_read_in_pages_and_deleted_in_parts(server: Server) {
    let project = project(server, STATES[0]).await;
    let payloads: Vec<(i32, Vec<u8>)> = (0..25).map(|n| (n % 2, vec![0x80; 100 * n as usize + 1])).collect();
    project.run(ReplaySource::new(messages(&payloads), 25)).await.expect("done");
    let mut letters = letters(&project.config).await;
    let all = Selection { is_replayed: Some(false), ..Selection::default() };
    assert_eq!(letters.count(&all).await.expect("a number"), 25);
    for (order, limits) in [
        (LetterOrder::Oldest, Limits { rows_max: 4, bytes_max: 1 << 20 }),
        (LetterOrder::Newest, Limits { rows_max: 100, bytes_max: 5_000 }),
        (LetterOrder::Oldest, Limits { rows_max: 100, bytes_max: 1 }),
    ] {
        let (mut ids, mut after, mut pages) = (Vec::new(), None, 0);
        loop {
            let page = letters.page(&all, order, after, limits).await.expect("a page");
            let Some(last) = page.last() else { break };
            let bytes = |page: &[realtime_processor::sink::StoredLetter]| {
                page.iter().filter_map(|l| l.letter.payload.as_ref()).map(Vec::len).sum::<usize>()
            };
            assert!(page.len() <= limits.rows_max && (bytes(&page) <= limits.bytes_max || page.len() == 1));
            after = Some(last.cursor());
            ids.extend(page.iter().map(|letter| letter.id));
            pages += 1;
        }
        assert!(pages > 5 && ids.len() == 25, "{pages} pages");
        assert!(ids.is_sorted_by(|a, b| if order == LetterOrder::Oldest { a < b } else { a > b }));
    }
    let letter = letters.by_ids(&[1]).await.expect("a page").pop().expect("it is there");
    assert_eq!(letter.letter.headers, [("trace".to_owned(), Some(vec![0xff]))]);
    assert_eq!(letter.letter.timestamp_ms, Some(1_700_000_000_000));

    project.execute(&["UPDATE dead_letters SET replayed_at = created_at WHERE id <= 10"]).await;
    let replayed = Selection { is_replayed: Some(true), ..Selection::default() };
    let (deleted, last) =
        letters.delete_some(&replayed, i64::MIN).await.expect("done").expect("there are some");
    assert_eq!((deleted, last), (10, 10));
    assert_eq!(letters.delete_some(&replayed, last).await.expect("done"), None);
    assert_eq!(project.rows(WAITING).await, ["15"]);
}

/// The program run on a project that writes to SQLite.
fn program(project: &Project, arguments: &[&str]) -> (Option<i32>, String, String) {
    let Address::Sqlite { .. } = project.config.database else { panic!("SQLite") };
    let done = std::process::Command::new(env!("CARGO_BIN_EXE_realtime-processor"))
        .args(["--config", "config.yaml"])
        .args(arguments)
        .current_dir(project.folder.path())
        .stdin(std::process::Stdio::null())
        .output()
        .expect("the program runs");
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
    (done.status.code(), text(&done.stdout), text(&done.stderr))
}

fn lines_of_json(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[tokio::test]
async fn the_commands_choose_by_stage_place_code_and_time() {
    let project = project(Server::Sqlite, STATES[0]).await;
    project.execute(&entries_tables(Server::Sqlite).0).await;
    let recording = recording(&project, &faulty_records(60));
    let mut payloads: Vec<(i32, Vec<u8>)> =
        recording.iter().map(|message| (0, message.payload.expect("a payload").to_vec())).collect();
    payloads[0].1.push(0);
    project.run(ReplaySource::new(messages(&payloads), 7)).await.expect("done");
    for (arguments, lines) in [
        (&["list"][..], 26),
        (&["list", "--place", "entries.sql"], 10),
        (&["list", "--stage", "write", "--place", "entries"], 15),
        (&["list", "--code", "787"], 5),
        (&["list", "--code", "1"], 0),
        (&["list", "--since", "1h"], 26),
        (&["list", "--since", "0s"], 0),
        (&["export", "--stage", "decode"], 1),
        (&["export", "--until", "2026-01-01"], 0),
        (&["summary", "--stage", "decode", "--format", "json"], 1),
        (&["summary", "--code", "787", "--until", "2026-01-01", "--format", "json"], 0),
    ] {
        let (code, out, err) = program(&project, &[&["dead-letters"][..], arguments].concat());
        assert_eq!((code, out.lines().count()), (Some(0), lines), "{arguments:?}: {out}{err}");
    }
}

#[tokio::test]
async fn the_commands_show_replay_export_and_delete() {
    let project = project(Server::Sqlite, STATES[1]).await;
    let (code, out, err) = program(&project, &["dead-letters", "list"]);
    assert_eq!((code, out.as_str()), (Some(1), ""), "{err}");
    assert!(
        err.contains("no such database file") && !Path::new(&project.folder.path().join("out.db")).exists()
    );

    let mut records: Vec<(i32, Value)> = (0..10).map(|id| (0, record(id, id % 3))).collect();
    records[2].1["divisor"] = json!(0);
    records[5].1["code"] = json!("x");
    let mut payloads: Vec<(i32, Vec<u8>)> =
        recording(&project, &records).iter().map(|m| (0, m.payload.expect("a payload").to_vec())).collect();
    payloads[7].1.push(0);
    project.run(ReplaySource::new(messages(&payloads), 10)).await.expect("done");

    let (code, out, _) = program(&project, &["dead-letters", "list", "--format", "json"]);
    assert_eq!(code, Some(0));
    let offsets: Vec<i64> =
        lines_of_json(&out).iter().filter_map(|line| line["kafka_offset"].as_i64()).collect();
    assert_eq!(offsets.len(), 3);
    let (_, out, err) = program(&project, &["dead-letters", "list", "--stage", "sql", "--limit", "1"]);
    assert_eq!((out.lines().count(), out.split('\t').nth(3)), (1, Some("sql")));
    assert!(err.contains("1 of 2 waiting dead letters shown"), "{err}");

    let id = |offset: i64| {
        let (_, out, _) = program(&project, &["dead-letters", "list", "--format", "json"]);
        let found = lines_of_json(&out).into_iter().find(|line| line["kafka_offset"] == json!(offset));
        found.expect("it waits")["id"].to_string()
    };
    let (code, out, _) = program(&project, &["dead-letters", "show", &id(2)]);
    assert_eq!(code, Some(0));
    for part in [
        "t[0] at offset 2",
        r#"decoded     {"id":2,"#,
        "sql/entries.sql:1:75; then run `dead-letters replay",
        "header      trace: ff",
    ] {
        assert!(out.contains(part), "{part}: {out}");
    }
    let (_, out, _) = program(&project, &["dead-letters", "show", &id(7)]);
    assert!(out.contains("undecodable byte 11: ") && out.contains("0  0e 02 08 30"), "{out}");
    let (code, _, err) = program(&project, &["dead-letters", "show", "99"]);
    assert!(code == Some(1) && err.contains("has no dead letter 99"), "{err}");

    let (code, _, _) = program(&project, &["dead-letters", "export", "--out", "dead.jsonl"]);
    assert_eq!(code, Some(0));
    let exported = std::fs::read_to_string(project.folder.path().join("dead.jsonl")).expect("the file");
    let exported = lines_of_json(&exported);
    assert_eq!(exported.len(), 3);
    for line in &exported {
        let is_broken = line["kafka_offset"] == json!(7);
        assert_eq!(line["undecodable"].is_null(), !is_broken, "{line}");
        assert_eq!(
            line["message"]["id"].as_i64(),
            (!is_broken).then(|| line["kafka_offset"].as_i64()).flatten()
        );
        assert_eq!(line["kafka_headers"], json!([{"key": "trace", "base64": "/w=="}]));
        assert!(line["payload"].is_string() && line["kafka_timestamp"].is_string());
    }

    mend_the_view(&project);
    assert_eq!(program(&project, &["dead-letters", "replay"]).0, Some(2), "neither ids nor --all");
    for arguments in [["--stage", "sql", "17"], ["--all", "17", "18"]] {
        let all = [&["dead-letters", "replay"][..], &arguments].concat();
        assert_eq!(program(&project, &all).0, Some(2), "{arguments:?}: ids are enough");
    }
    let (code, _, err) = program(&project, &["dead-letters", "replay", "--stage", "write"]);
    assert!(code == Some(0) && err.contains("there is nothing to replay"), "{err}");
    let (code, _, err) = program(&project, &["dead-letters", "replay", &id(2), "99"]);
    assert!(
        code == Some(1) && err.contains("has no dead letter 99 of") || err.contains("nothing was replayed"),
        "{err}"
    );
    let second = id(2);
    let (code, out, err) = program(&project, &["dead-letters", "replay", &second]);
    assert_eq!((code, out.as_str()), (Some(0), "1 message replayed, 0 failed again\n"), "{err}");
    assert!(err.contains("as it is now"), "{err}");
    let (code, out, err) = program(&project, &["dead-letters", "replay", &second]);
    assert!(code == Some(0) && out.is_empty() && err.contains("was replayed already"), "{err}");
    let (code, out, err) = program(&project, &["dead-letters", "replay", "--all"]);
    assert_eq!((code, out.as_str()), (Some(1), "1 message replayed, 1 failed again\n"));
    assert!(err.contains("1 times, for example decode: "), "{err}");
    assert_eq!(ids(&project).await, numbers((0..10).filter(|id| *id != 7)));

    let (code, _, err) = program(&project, &["dead-letters", "purge", "--older-than", "0s"]);
    assert_eq!(code, Some(2), "{err}");
    assert!(
        err.contains("2 dead letters that were replayed would be deleted") && err.contains("1 that were not"),
        "{err}"
    );
    let purge =
        ["dead-letters", "purge", "--stage", "decode", "--yes", "--unreplayed", "--until", "2026-01-01"];
    assert_eq!(program(&project, &purge).1, "0 dead letters deleted\n", "they were written later");
    let (code, out, _) = program(&project, &["dead-letters", "purge", "--older-than", "1h", "--yes"]);
    assert_eq!((code, out.as_str()), (Some(0), "0 dead letters deleted\n"));
    let (_, out, _) = program(&project, &["dead-letters", "purge", "--older-than", "0s", "--yes"]);
    assert_eq!(out, "2 dead letters deleted\n");
    let (_, out, _) =
        program(&project, &["dead-letters", "purge", "--older-than", "0s", "--yes", "--unreplayed"]);
    assert_eq!(out, "1 dead letter deleted\n");
    let (code, _, err) = program(&project, &["dead-letters", "list"]);
    assert!(code == Some(0) && err.contains("there are no waiting dead letters"), "{err}");
}
