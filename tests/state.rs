//! State tables as their authors meet them: a view over the batch and its own old rows, and what stands in the table.

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use realtime_processor::batch::{Message, Messages, MessagesBuilder};
use realtime_processor::engine::{EngineError, Report};
use realtime_processor::source::ReplaySource;
use serde_json::{Value, json};
use support::{Project, Recorder, Server, encoder, ended, on_each_server};

const SCHEMA: &str = r#"{"type": "record", "name": "r", "fields": [
    {"name": "customer", "type": ["null", "int"]},
    {"name": "account", "type": "long"},
    {"name": "branch", "type": "string"},
    {"name": "day", "type": {"type": "int", "logicalType": "date"}},
    {"name": "card", "type": {"type": "string", "logicalType": "uuid"}},
    {"name": "amount", "type": "int"}]}"#;

/// Per customer: how many messages, and the sum of the amounts.
const TOTALS: &str = "SELECT b.customer, coalesce(t.n, 0) + count(*) AS n, coalesce(t.total, 0) + sum(b.amount) AS total \
    FROM batch b LEFT JOIN totals t ON t.customer = b.customer GROUP BY b.customer, t.n, t.total";
/// No share where the amount is 7.
const SHARES: &str =
    "SELECT kafka_partition, kafka_offset, customer, 100 / nullif(amount, 7) AS share FROM batch";
const CONFIG: &str = "state_tables:\n  totals: { view: next_totals, key: customer }\n";
const FOLLOWS: &str =
    "state_tables:\n  totals: { view: next_totals, key: customer, follows_partition: true }\n";
const EXPIRES: &str = "state_tables:\n  totals: { view: next_totals, key: customer, ttl: 30ms }\n";

/// The fields of a message; those that are not said are the same in all.
fn record(customer: Option<i32>, amount: i32) -> Value {
    let customer = customer.map_or(Value::Null, |customer| json!({"int": customer}));
    json!({"customer": customer, "account": 5_000_000_000_i64, "branch": "0001", "day": 20_000,
           "card": "7d444840-9dc0-11d1-b245-5ffdce74fad2", "amount": amount})
}

/// Messages of these partitions, in the order of arrival.
fn recording(schema: &Path, records: &[(i32, Value)]) -> (Messages, Vec<usize>) {
    let encode = encoder(schema);
    let mut recorder = Recorder::new("t");
    records.iter().for_each(|(partition, record)| recorder.push(*partition, &encode(record)));
    recorder.arriving()
}

/// Runs the job over these messages, cut into batches of `rows_max`.
async fn run(
    project: &Project,
    records: &[(i32, Value)],
    rows_max: usize,
) -> Result<Vec<Report>, EngineError> {
    let (messages, arrival) = recording(&project.schema(), records);
    ended(project.run(ReplaySource::arriving(messages, arrival, vec![rows_max]))).await
}

async fn totals_project(server: Server, next_totals: &str) -> Project {
    project_of(server, CONFIG, next_totals).await
}

async fn project_of(server: Server, config: &str, next_totals: &str) -> Project {
    let files = [
        ("schema.avsc", SCHEMA),
        ("config.yaml", config),
        ("sql/shares.sql", SHARES),
        ("sql/next_totals.sql", next_totals),
    ];
    Project::on(server, &files).await
}

on_each_server! {
    state_goes_on_over_batches_and_restarts_and_null_keys_are_counted,
    keys_are_numbers_texts_dates_uuids_and_several_columns,
    a_row_is_deleted_where_the_view_says_so_and_may_come_again,
    messages_that_become_dead_letters_leave_no_trace_in_state,
    faults_of_a_state_view_stop_the_job_and_say_what_is_wrong,
    a_key_that_turns_up_in_another_partition_stops_a_job_whose_state_follows_partitions,
    two_instances_write_one_state_without_losing_an_update,
    rows_that_were_not_written_for_the_ttl_are_deleted,
    a_clock_that_is_behind_expires_nothing,
    the_pattern_of_the_manual_gives_each_message_the_state_as_of_just_before_it,
    state_is_cleared_with_a_reset_and_computed_anew,
    a_table_that_an_earlier_version_created_unsigned_is_taken,
}

async fn state_goes_on_over_batches_and_restarts_and_null_keys_are_counted(server: Server) {
    let project = totals_project(server, TOTALS).await;
    let records: Vec<(i32, Value)> =
        (0..90).map(|n| (n % 3, record((n % 10 != 0).then_some(n % 7), n + 1))).collect();
    let reports = run(&project, &records[..50], 4).await.expect("done");
    assert!(reports.iter().map(|report| report.null_keys).sum::<usize>() >= 3, "messages without a customer");
    run(&project, &records, 7).await.expect("done");
    let mut expected: BTreeMap<i32, (i64, i64)> = BTreeMap::new();
    for n in (0..90).filter(|n| n % 10 != 0) {
        let (count, total) = expected.entry(n % 7).or_default();
        *count += 1;
        *total += i64::from(n) + 1;
    }
    let expected: Vec<String> = expected.iter().map(|(k, (n, total))| format!("{k},{n},{total}")).collect();
    assert_eq!(project.rows("SELECT customer, n, total FROM totals ORDER BY 1").await, expected);
    assert_eq!(project.rows("SELECT count(*) FROM shares").await, ["90"]);
}

/// `row_number` was unsigned once, and so were the columns that were created for it.
async fn a_table_that_an_earlier_version_created_unsigned_is_taken(server: Server) {
    let view = "SELECT customer, n, total FROM (SELECT b.customer, coalesce(t.n, 0) + row_number() OVER (PARTITION BY b.customer \
        ORDER BY b.kafka_partition, b.kafka_offset) AS n, coalesce(t.total, 0) + sum(b.amount) OVER (PARTITION BY b.customer) AS total, \
        row_number() OVER (PARTITION BY b.customer ORDER BY b.kafka_partition DESC, b.kafka_offset DESC) AS last \
        FROM batch b LEFT JOIN totals t ON t.customer = b.customer) WHERE last = 1";
    let project = totals_project(server, view).await;
    let unsigned = "CREATE TABLE totals (customer INT NOT NULL PRIMARY KEY, n BIGINT UNSIGNED, total BIGINT, \
        _version BIGINT, _message_time DATETIME(3))";
    project.execute(&[unsigned]).await;
    let records: Vec<(i32, Value)> = (0..12).map(|n| (0, record(Some(n % 3), 1))).collect();
    run(&project, &records[..6], 2).await.expect("done");
    run(&project, &records, 5).await.expect("done");
    assert_eq!(
        project.rows("SELECT customer, n, total FROM totals ORDER BY 1").await,
        ["0,4,4", "1,4,4", "2,4,4"]
    );
}

async fn keys_are_numbers_texts_dates_uuids_and_several_columns(server: Server) {
    let count = |name: &str, columns: &[&str]| {
        let list =
            |alias: &str| columns.iter().map(|c| format!("{alias}.{c}")).collect::<Vec<_>>().join(", ");
        let joined: Vec<String> = columns.iter().map(|c| format!("s.{c} = b.{c}")).collect();
        format!(
            "SELECT {}, coalesce(s.n, 0) + count(*) AS n FROM batch b LEFT JOIN {name} s ON {} GROUP BY {}, s.n",
            list("b"),
            joined.join(" AND "),
            list("b")
        )
    };
    let keys: [(&str, &[&str]); 6] = [
        ("by_customer", &["customer"]),
        ("by_account", &["account"]),
        ("by_branch", &["branch"]),
        ("by_day", &["day"]),
        ("by_card", &["card"]),
        ("by_all", &["branch", "day", "account", "card"]),
    ];
    let mut config = "state_tables:\n".to_owned();
    let mut files =
        vec![("schema.avsc".to_owned(), SCHEMA.to_owned()), ("sql/shares.sql".into(), SHARES.into())];
    for (name, columns) in keys {
        config += &format!("  {name}: {{ view: next_{name}, key: [{}] }}\n", columns.join(", "));
        files.push((format!("sql/next_{name}.sql"), count(name, columns)));
    }
    files.push(("config.yaml".into(), config));
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let project = Project::on(server, &files).await;

    let card = |n: i32| format!("7d444840-9dc0-11d1-b245-5ffdce74fad{}", n % 4);
    let records: Vec<(i32, Value)> = (0..60)
        .map(|n| {
            // Texts that a careless comparison takes for equal.
            let branch = ["José", "José ", "jose", "JOSÉ", ""][n as usize % 5];
            let mut record = record(Some(n % 3), 1);
            record["account"] = json!(i64::from(n % 2) - 1);
            record["branch"] = json!(branch);
            record["day"] = json!(n % 4 - 1);
            record["card"] = json!(card(n));
            (n % 2, record)
        })
        .collect();
    run(&project, &records[..31], 5).await.expect("done");
    run(&project, &records, 6).await.expect("done");

    for (name, different) in [
        ("by_customer", 3),
        ("by_account", 2),
        ("by_branch", 5),
        ("by_day", 4),
        ("by_card", 4),
        ("by_all", 20),
    ] {
        let found = project.rows(&format!("SELECT count(*), sum(n), min(n), max(n) FROM {name}")).await;
        let each = 60 / different;
        assert_eq!(found, [format!("{different},60,{each},{each}")], "{name}");
    }
    let days = project.rows("SELECT day FROM by_day ORDER BY day").await;
    assert_eq!(days, ["1969-12-31", "1970-01-01", "1970-01-02", "1970-01-03"]);
}

async fn a_row_is_deleted_where_the_view_says_so_and_may_come_again(server: Server) {
    // An amount of 9 closes the account.
    let view = "SELECT h.customer, h.n, h.closes AS _delete FROM ( \
          SELECT b.customer, b.amount = 9 AS closes, \
            row_number() OVER (PARTITION BY b.customer ORDER BY b.kafka_offset DESC) AS from_the_end, \
            CASE WHEN max(CASE WHEN b.amount = 9 THEN b.kafka_offset END) OVER before IS NULL \
              THEN coalesce(t.n, 0) + count(*) OVER so_far \
              ELSE count(*) OVER so_far - count(CASE WHEN b.amount = 9 THEN 1 END) OVER before END AS n \
          FROM batch b LEFT JOIN totals t ON t.customer = b.customer \
          WINDOW so_far AS (PARTITION BY b.customer ORDER BY b.kafka_offset \
              ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW), \
            before AS (PARTITION BY b.customer ORDER BY b.kafka_offset ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) \
        ) h WHERE h.from_the_end = 1";
    for rows_max in [1, 2] {
        let project = totals_project(server, view).await;
        let records: Vec<(i32, Value)> = [(1, 5), (2, 5), (1, 9), (2, 5), (1, 5), (1, 9), (3, 9), (1, 5)]
            .map(|(customer, amount)| (0, record(Some(customer), amount)))
            .into();
        run(&project, &records[..7], rows_max).await.expect("done");
        assert_eq!(project.rows("SELECT customer, n FROM totals").await, ["2,2"], "rows_max {rows_max}");
        run(&project, &records, rows_max).await.expect("done");
        assert_eq!(project.rows("SELECT customer, n FROM totals ORDER BY 1").await, ["1,1", "2,2"]);
    }
}

async fn messages_that_become_dead_letters_leave_no_trace_in_state(server: Server) {
    // Where state follows the partitions, no version tells that a row was computed from what is gone.
    let cases = [1, 3, 10, 40].into_iter().flat_map(|rows_max| [(rows_max, false), (rows_max, true)]);
    for (rows_max, follows) in cases {
        let config = if follows { FOLLOWS } else { CONFIG };
        let project = project_of(server, config, TOTALS).await;
        // The database refuses the rows of customer 6, SQL divides by zero for an amount of 0, and the column has no
        // place for the NULL that an amount of 7 leads to.
        project
            .execute(&["CREATE TABLE shares (kafka_partition INTEGER, kafka_offset INTEGER, \
                customer INTEGER CHECK (customer <> 6), share INTEGER NOT NULL)"])
            .await;
        let message = |n: i32| {
            let amount = match n {
                n if n % 11 == 3 => 0,
                n if n % 13 == 5 => 7,
                _ => 2,
            };
            let customer = n % 7;
            (if follows { customer % 2 } else { n % 2 }, record(Some(customer), amount))
        };
        let records: Vec<(i32, Value)> = (0..40).map(message).collect();
        run(&project, &records, rows_max).await.expect("done");
        let is_bad = |n: &i32| n % 11 == 3 || n % 13 == 5 || n % 7 == 6;
        let mut expected: BTreeMap<i32, i32> = BTreeMap::new();
        (0..40).filter(|n| !is_bad(n)).for_each(|n| *expected.entry(n % 7).or_default() += 1);
        let expected: Vec<String> = expected.iter().map(|(k, n)| format!("{k},{n},{}", 2 * n)).collect();
        let found = project.rows("SELECT customer, n, total FROM totals ORDER BY 1").await;
        assert_eq!(found, expected, "rows_max {rows_max}, follows_partition {follows}");
        let dead = (0..40).filter(is_bad).count().to_string();
        assert_eq!(project.rows("SELECT count(*) FROM dead_letters").await, [dead], "rows_max {rows_max}");
    }
}

async fn faults_of_a_state_view_stop_the_job_and_say_what_is_wrong(server: Server) {
    let cases = [
        (
            "SELECT customer, 1 AS n, 1 AS total FROM batch",
            "view `next_totals` computes two rows for the key 1, a key has one row",
        ),
        (
            "SELECT DISTINCT customer + 1 AS customer, coalesce(t.n, 1) AS n, 1 AS total \
             FROM batch b LEFT JOIN totals t USING (customer)",
            "view `next_totals` computes a row for the key 2, which does not occur among the keys of the batch",
        ),
    ];
    for (view, expected) in cases {
        let project = totals_project(server, view).await;
        let records = vec![(0, record(Some(1), 1)), (0, record(Some(1), 1))];
        let error = run(&project, &records, 10).await.expect_err("a fault of the SQL").to_string();
        assert!(error.contains(expected), "{error}");
        assert_eq!(project.rows("SELECT count(*) FROM shares").await, ["0"]);
    }
}

async fn a_key_that_turns_up_in_another_partition_stops_a_job_whose_state_follows_partitions(server: Server) {
    for rows_max in [1, 10] {
        let project = project_of(server, FOLLOWS, TOTALS).await;
        let keyed: Vec<(i32, Value)> = (0..20).map(|n| (n % 2, record(Some(n % 4), 1))).collect();
        run(&project, &keyed, rows_max).await.expect("keyed by customer");
        let by_partition = "SELECT customer, n, _kafka_topic, _kafka_partition FROM totals ORDER BY 1";
        assert_eq!(project.rows(by_partition).await, ["0,5,t,0", "1,5,t,1", "2,5,t,0", "3,5,t,1"]);

        let moved = [keyed, vec![(1, record(Some(0), 1))]].concat();
        let error = run(&project, &moved, rows_max).await.expect_err("customer 0 moved").to_string();
        assert!(error.contains("the key 0 comes by t[1], its messages came by t[0] before"), "{error}");
        assert!(error.contains("hint: say `follows_partition: false`"), "{error}");
    }
}

async fn two_instances_write_one_state_without_losing_an_update(server: Server) {
    let project = totals_project(server, TOTALS).await;
    // The same four customers in both partitions; each instance has one of them.
    let partition = |partition: i32| -> Vec<(i32, Value)> {
        (0..300).map(|n| (partition, record(Some(n % 4), 1))).collect()
    };
    let source = |partition_number: i32| {
        let (messages, arrival) = recording(&project.schema(), &partition(partition_number));
        ReplaySource::arriving(messages, arrival, vec![1])
    };
    let one = support::engine(&project.config, source(0)).await;
    let other = support::engine(&project.config, source(1)).await;
    let (mut conflicts, mut other_conflicts) = (0, 0);
    let (mut count, mut other_count) = (
        |report: &Report| conflicts += report.conflicts,
        |report: &Report| other_conflicts += report.conflicts,
    );
    let (one, other) = tokio::join!(one.run(&mut count), other.run(&mut other_count));
    one.expect("done");
    other.expect("done");
    let expected: Vec<String> = (0..4).map(|customer| format!("{customer},150,150")).collect();
    assert_eq!(project.rows("SELECT customer, n, total FROM totals ORDER BY 1").await, expected);
    assert!(conflicts + other_conflicts > 0, "they met");
}

#[tokio::test]
async fn a_state_table_that_does_not_fit_is_refused_before_the_first_message() {
    use realtime_processor::sink::Sink;
    let project = totals_project(Server::Sqlite, TOTALS).await;
    project.execute(&["CREATE TABLE totals (customer INTEGER, n TEXT)"]).await;
    let (_, plan) = support::plan(&project.config).await;
    let connected = Sink::connect(project.config.database.clone(), "job", plan.targets, true).await;
    let error = connected.map(|_| ()).expect_err("the table does not fit").to_string();
    for expected in [
        "totals._version: no such column, every state table needs it",
        "totals: no primary or unique key over exactly (customer)",
    ] {
        assert!(error.contains(expected), "{error}");
    }
}

async fn rows_that_were_not_written_for_the_ttl_are_deleted(server: Server) {
    let project = project_of(server, EXPIRES, TOTALS).await;
    // One message a millisecond; customer 1 comes first and then no more, until message 100.
    let customer = |n: i32| if n < 20 || n == 100 { 1 } else { 2 };
    let records: Vec<(i32, Value)> = (0..101).map(|n| (0, record(Some(customer(n)), 1))).collect();
    run(&project, &records[..40], 40).await.expect("done");
    let totals = "SELECT customer, n FROM totals ORDER BY 1";
    assert_eq!(project.rows(totals).await, ["1,20", "2,20"]);
    // Each batch's rows have the time of its last message: 39 for both.
    run(&project, &records[..60], 20).await.expect("done");
    assert_eq!(project.rows(totals).await, ["1,20", "2,40"], "it is not old enough: 59 is less than 39 + 30");
    run(&project, &records[..90], 10).await.expect("done");
    run(&project, &records[..95], 10).await.expect("done");
    assert_eq!(project.rows(totals).await, ["2,75"]);
    run(&project, &records, 10).await.expect("done");
    assert_eq!(project.rows(totals).await, ["1,1", "2,80"]);
}

async fn a_clock_that_is_behind_expires_nothing(server: Server) {
    let project = project_of(server, EXPIRES, TOTALS).await;
    let (now, long_ago) = (1_700_000_000_000, -5);
    // Of customer 0 there is no message: its payload ends too early.
    let messages = [
        (1, now),
        (1, now + 1000),
        (0, long_ago),
        (2, now + 1001),
        (2, now + 1002),
        (1, long_ago),
        (2, now + 1003),
        (2, now + 1004),
    ];
    let encode = encoder(&project.schema());
    let topic: Arc<str> = "t".into();
    let recorded = |count: usize| {
        let mut builder = MessagesBuilder::default();
        for (offset, (customer, time)) in (0..).zip(&messages[..count]) {
            let payload = encode(&record(Some(*customer), 1));
            let read = if *customer == 0 { 1 } else { payload.len() };
            let (timestamp_ms, payload) = (Some(*time), Some(&payload[..read]));
            builder.push(Message { timestamp_ms, payload, ..Message::tombstone(&topic, 0, offset) });
        }
        builder.finish()
    };
    // Each run looks once for what has expired, before its first batch. The broken message is in one with that before it.
    for (count, rows_max) in [(1, 1), (3, 2), (4, 1), (5, 1), (6, 1), (7, 1), (8, 1)] {
        ended(project.run(ReplaySource::new(recorded(count), rows_max))).await.expect("done");
    }
    let totals = project.rows("SELECT customer, n FROM totals ORDER BY 1").await;
    assert_eq!(totals, ["1,3", "2,4"]);
    assert_eq!(project.rows("SELECT count(*) FROM dead_letters").await, ["1"]);
}

/// The indented block of docs/tables.md that follows `mark`.
fn block(mark: &str) -> String {
    let page = std::fs::read_to_string("docs/tables.md").expect("the page");
    let (_, rest) = page.split_once(mark).unwrap_or_else(|| panic!("the page has `{mark}`"));
    let lines = rest.lines().skip_while(|line| !line.starts_with("    "));
    lines.take_while(|line| line.starts_with("    ")).map(|line| format!("{}\n", line.trim())).collect()
}

async fn the_pattern_of_the_manual_gives_each_message_the_state_as_of_just_before_it(server: Server) {
    let config = block("in the configuration together with the view that computes its new rows:")
        .replace("account_state: {", "  account_state: {");
    let (numbers, next) = (block("`sql/movement_numbers.sql`:"), block("and `sql/next_account_state.sql`"));
    let files = [
        ("schema.avsc", SCHEMA),
        ("config.yaml", config.as_str()),
        ("sql/movement_numbers.sql", numbers.as_str()),
        ("sql/next_account_state.sql", next.as_str()),
        ("sql/numbered.sql", "SELECT * FROM movement_numbers"),
    ];
    let records: Vec<(i32, Value)> = (0..60).map(|n| (n % 3, record(Some(n % 3), 1))).collect();
    for rows_max in [1, 7, 60] {
        let project = Project::on(server, &files).await;
        run(&project, &records, rows_max).await.expect("done");
        let rows =
            project.rows("SELECT customer, kafka_offset, movement_number FROM numbered ORDER BY 1, 2").await;
        let expected: Vec<String> =
            (0..3).flat_map(|c| (0..20).map(move |offset| format!("{c},{offset},{}", offset + 1))).collect();
        assert_eq!(rows, expected, "rows_max {rows_max}");
        assert_eq!(project.rows("SELECT * FROM account_state ORDER BY 1").await.len(), 3);
    }
}

async fn state_is_cleared_with_a_reset_and_computed_anew(server: Server) {
    use realtime_processor::batch::TopicPartition;
    use realtime_processor::sink::{StateRows, StoredOffsets};
    let project = project_of(server, FOLLOWS, TOTALS).await;
    let partition = |partition: i32| TopicPartition { topic: "t".into(), partition };
    let rows = |partitions| StateRows { table: "totals".into(), partitions };
    let records: Vec<(i32, Value)> = (0..40).map(|n| (n % 2, record(Some(n % 4), 1))).collect();
    run(&project, &records, 7).await.expect("done");
    let totals = "SELECT customer, n FROM totals ORDER BY 1";
    let before = project.rows(totals).await;
    assert_eq!(before, ["0,10", "1,10", "2,10", "3,10"]);

    let opened = async || {
        let opened = StoredOffsets::open(&project.config.database, &project.config.job).await;
        opened.expect("a database").expect("its table")
    };
    let mut offsets = opened().await;
    let all = [rows(None)];
    let of_one = [rows(Some(vec![partition(1)]))];
    assert_eq!(offsets.count_state(&all[0]).await.expect("a number"), Some(4));
    assert_eq!(offsets.count_state(&of_one[0]).await.expect("a number"), Some(2));
    offsets.reset(&[(partition(1), 0)], &of_one).await.expect("done");
    assert_eq!(project.rows(totals).await, ["0,10", "2,10"], "the rows of the other partition stay");
    run(&project, &records, 7).await.expect("done");
    assert_eq!(project.rows(totals).await, before);
    assert_eq!(project.rows("SELECT count(*) FROM shares").await, ["60"]);

    let mut offsets = opened().await;
    offsets.reset(&[(partition(0), 0), (partition(1), 0)], &all).await.expect("done");
    assert!(project.rows(totals).await.is_empty());
    run(&project, &records, 3).await.expect("done");
    assert_eq!(project.rows(totals).await, before);

    // What cannot be cleared changes nothing else either.
    let mut offsets = opened().await;
    let missing = StateRows { table: "no_such_table".into(), partitions: None };
    assert_eq!(offsets.count_state(&missing).await.expect("an answer"), None);
    offsets
        .reset(&[(partition(0), 0)], &[all[0].clone(), missing])
        .await
        .expect_err("there is no such table");
    assert_eq!(project.rows(totals).await, before);
    let stored = "SELECT next_offset FROM realtime_offsets ORDER BY kafka_partition";
    assert_eq!(project.rows(stored).await, ["20", "20"]);
}
