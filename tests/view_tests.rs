//! Unit tests of views, as people write and read them: what is caught, what is printed, and what `--update` writes.

mod support;

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use realtime_processor::config::Config;
use realtime_processor::testing::{Report, Tests, junit};
use support::Project;

const SCHEMA: &str = r#"{"type": "record", "name": "r", "fields": [
    {"name": "customer", "type": "int"},
    {"name": "amount", "type": "double", "default": 1.0},
    {"name": "note", "type": ["null", "string"], "default": null},
    {"name": "id", "type": "string", "default": "x"}]}"#;

/// A project with these views, state tables and outputs, and one file of tests.
fn project(config: &str, views: &[(&str, &str)], tests: &str) -> Project {
    let views: Vec<(String, &str)> =
        views.iter().map(|(name, sql)| (format!("sql/{name}.sql"), *sql)).collect();
    let mut files = vec![("schema.avsc", SCHEMA), ("config.yaml", config), ("sql/tests/t.yaml", tests)];
    files.extend(views.iter().map(|(path, sql)| (path.as_str(), *sql)));
    Project::new(&files)
}

async fn run(project: &Project) -> Report {
    Tests::prepare(&project.config, &[]).await.expect("prepared").run().await
}

async fn passes(project: &Project) {
    let report = run(project).await;
    assert_eq!(report.failed(), 0, "{}", report.render(false));
}

fn without_folder(project: &Project, text: &str) -> String {
    text.replace(&format!("{}/", project.folder.path().display()), "")
}

/// What is printed, without the place of the project.
async fn printed(project: &Project) -> String {
    without_folder(project, &run(project).await.render(false))
}

/// What stands in the way of running anything.
async fn refused(project: &Project) -> String {
    let refused = Tests::prepare(&project.config, &[]).await.map(|_| ()).expect_err("refused");
    without_folder(project, &refused.to_string())
}

#[tokio::test]
async fn the_tests_that_ship_pass() {
    let mut config = Config::load(Path::new("config.yaml")).expect("the configuration that ships");
    // A job with another topic has the same tests.
    for topic in [config.kafka.topics[0].clone(), "other_name".to_owned()] {
        config.kafka.topics = vec![topic.clone()];
        let report = Tests::prepare(&config, &[]).await.expect("prepared").run().await;
        assert_eq!(report.failed(), 0, "{topic}: {}", report.render(false));
        assert!(report.tests() >= 20);
    }
}

/// The job that ships in a folder of its own, with this file of tests in place of its own.
fn shipped_with(tests: &str) -> (tempfile::TempDir, Config) {
    let folder = tempfile::tempdir().expect("a folder");
    for part in ["", "schemas", "data", "sql"] {
        std::fs::create_dir_all(folder.path().join(part)).expect("created");
        for entry in std::fs::read_dir(Path::new(".").join(part)).expect("it ships") {
            let path = entry.expect("an entry").path();
            let is_shipped =
                ["yaml", "avsc", "csv", "sql"].iter().any(|e| path.extension().is_some_and(|x| x == *e));
            if is_shipped {
                let name = path.file_name().expect("a name");
                std::fs::copy(&path, folder.path().join(part).join(name)).expect("copied");
            }
        }
    }
    std::fs::create_dir_all(folder.path().join("sql/tests")).expect("created");
    std::fs::write(folder.path().join("sql/tests/example.yaml"), tests).expect("written");
    let config = Config::load(&folder.path().join("config.yaml")).expect("the configuration that ships");
    (folder, config)
}

/// The part of a text between two others.
fn between<'t>(text: &'t str, before: &str, after: &str) -> &'t str {
    let (_, rest) = text.split_once(before).expect("where it begins");
    rest.split_once(after).expect("where it ends").0
}

#[tokio::test]
async fn the_examples_of_the_pages_and_of_the_help_pass() {
    let page = |file: &str| std::fs::read_to_string(file).expect("the page");
    let help = Command::new(env!("CARGO_BIN_EXE_realtime-processor")).args(["test", "--help"]).output();
    let help = String::from_utf8(help.expect("started").stdout).expect("UTF-8");
    let first = format!("- name: {}\n", between(&page("docs/tests.md"), "    - name: ", "\n\n"));
    for (example, tests) in [
        (between(&page("docs/tests.md"), "```yaml\n", "```"), 2),
        (first.replace("\n    ", "\n").as_str(), 1),
        (between(&help, "A test file:\n", "\nExamples:"), 1),
    ] {
        let (_folder, config) = shipped_with(example);
        let report = Tests::prepare(&config, &[]).await.expect("prepared").run().await;
        assert_eq!((report.tests(), report.failed()), (tests, 0), "{example}\n{}", report.render(false));
    }
}

#[tokio::test]
async fn a_count_per_batch_that_is_appended_is_caught() {
    let tests = "- name: two movements of one customer, one of another
  messages: [{ customer: 7 }, { customer: 8 }, { customer: 7 }]
  expect:
    counts: [{ customer: 7, movements: 2 }, { customer: 8, movements: 1 }]
";
    let counts = ("counts", "SELECT customer, count(*) AS movements FROM batch GROUP BY customer");
    insta::assert_snapshot!(printed(&project("", &[counts], tests)).await);
}

#[tokio::test]
async fn a_running_total_that_forgets_the_old_state_is_caught() {
    let config = "state_tables: { totals: { view: next_totals, key: customer } }\n";
    let tests = "- name: a total
  messages: [{ customer: 7, amount: 5 }, { customer: 7, amount: 2.5 }]
  expect_state:
    totals: [{ customer: 7, total: 7.5 }]
";
    let forgets =
        "SELECT customer, sum(CAST(amount AS DECIMAL(20, 2))) AS total FROM batch GROUP BY customer";
    insta::assert_snapshot!(printed(&project(config, &[("next_totals", forgets)], tests)).await);
    let remembers = "SELECT b.customer, CAST(coalesce(t.total, 0) + sum(CAST(b.amount AS DECIMAL(20, 2))) \
        AS DECIMAL(20, 2)) AS total FROM batch b LEFT JOIN totals t ON t.customer = b.customer \
        GROUP BY b.customer, t.total";
    passes(&project(config, &[("next_totals", remembers)], tests)).await;
}

#[tokio::test]
async fn a_first_value_without_an_order_is_caught() {
    let config = "outputs: { firsts: { mode: upsert, key: customer } }\n";
    let tests = "- name: the first note of a customer
  messages: [{ customer: 7, note: a }, { customer: 8, note: b }, { customer: 7, note: c }, { customer: 7, note: d }]
  expect:
    firsts: [{ customer: 7, note: a }, { customer: 8, note: b }]
";
    let firsts = ("firsts", "SELECT customer, first_value(note) AS note FROM batch GROUP BY customer");
    insta::assert_snapshot!(printed(&project(config, &[firsts], tests)).await);
}

#[tokio::test]
async fn a_search_for_duplicates_within_the_batch_only_is_caught() {
    let tests = "- name: the second message of an id is left out
  messages:
    - { customer: 1, id: a }
    - { customer: 2, id: b }
    - { customer: 3, id: a }
  expect:
    uniques: [{ id: a, customer: 1 }, { id: b, customer: 2 }]
";
    let uniques = "SELECT id, customer, kafka_partition, kafka_offset FROM (SELECT b.*, \
        row_number() OVER (PARTITION BY id ORDER BY kafka_offset) AS number FROM batch b) WHERE number = 1";
    insta::assert_snapshot!(printed(&project("", &[("uniques", uniques)], tests)).await);
}

#[tokio::test]
async fn views_that_are_no_outputs_may_depend_on_cuts_and_a_reason_lets_others() {
    let views = [
        ("counts", "SELECT customer, count(*) AS movements FROM batch GROUP BY customer"),
        ("plain", "SELECT kafka_offset, customer FROM batch"),
    ];
    let tests = "- name: two
  messages: [{ customer: 7 }, { customer: 7 }]
  expect: { counts: [{ movements: 2 }] }
";
    let inner = project("outputs: { plain: {} }\n", &views, tests);
    assert_eq!(printed(&inner).await, "ok   sql/tests/t.yaml (1 test)\n");
    let excused = format!("{tests}  batch_cuts: {{ ignore: the report is per batch }}\n");
    let output = project("", &views, &excused);
    assert_eq!(printed(&output).await, "ok   sql/tests/t.yaml (1 test, 1 not cut)\n");
    let without_reason = project("", &views, &format!("{tests}  batch_cuts: ignore\n"));
    insta::assert_snapshot!(refused(&without_reason).await);
}

#[tokio::test]
async fn values_that_are_other_ones_each_time_are_said_to_be_so() {
    let tests =
        "- name: two\n  messages: [{ customer: 7 }, { customer: 7 }]\n  expect: { numbers: [{}, {}] }\n"
            .replace("[{}, {}]", "[{ customer: 7 }, { customer: 7 }]");
    let numbers = ("numbers", "SELECT customer, random() AS number FROM batch");
    let report = run(&project("", &[numbers], &tests)).await;
    let text = report.render(false);
    assert!(text.contains("`numbers`: other rows each time the same messages are run"), "{text}");
}

#[tokio::test]
async fn rows_that_differ_are_shown_side_by_side() {
    let tests = "- name: any order
  messages: [{ customer: 1, note: é }, { customer: 2 }, { customer: 3, note: '007' }, { customer: 4, note: \"x\\ny\" }]
  expect:
    plain:
      - { customer: 3, note: '7' }
      - { note: é }
      - { customer: 9, note: null }
- name: in order
  messages: [{ customer: 1 }, { customer: 2 }]
  expect:
    plain: { ordered: true, rows: [{ customer: 2 }, { customer: 1 }] }
- name: floats
  messages: [{ customer: 1, amount: 0.1 }]
  expect:
    sums: { tolerance: 1e-9, rows: [{ sum: 0.3 }] }
- name: floats to the last digit
  messages: [{ customer: 1, amount: 0.1 }]
  expect:
    sums: [{ sum: 0.3 }]
";
    let views = [
        ("plain", "SELECT kafka_offset, customer, note FROM batch"),
        ("sums", "SELECT kafka_offset, amount + 0.2 AS sum FROM batch"),
    ];
    insta::assert_snapshot!(printed(&project("", &views, tests)).await);
}

#[tokio::test]
async fn dead_letters_are_expected_by_place_and_a_part_of_the_reason() {
    let tests = "- name: what cannot be computed or decoded
  messages:
    - { customer: 5 }
    - { customer: 0 }
    - { kafka_payload: { hex: 0a } }
    - { kafka_partition: 1, kafka_offset: 17, kafka_payload: null }
  expect:
    shares: [{ kafka_offset: 0, share: 20 }]
  expect_dead_letters:
    - { kafka_offset: 1, stage: sql, place: shares.sql, reason: ivide by zero }
    - { kafka_offset: 2, stage: decode }
    - { kafka_partition: 1, kafka_offset: 17, reason: tombstone }
- name: nobody expects it
  messages: [{ customer: 0 }]
  expect: { shares: [] }
";
    let shares = ("shares", "SELECT kafka_offset, 100 / customer AS share FROM batch");
    insta::assert_snapshot!(printed(&project("", &[shares], tests)).await);
}

#[tokio::test]
async fn what_a_column_refuses_is_a_dead_letter_and_rows_without_an_order_are_refused() {
    let config = "outputs: { ratios: { mode: upsert, key: customer } }\n";
    let tests = "- name: no number
  messages: [{ customer: 1 }, { customer: 0 }, { customer: 2 }]
  expect: { ratios: [{ customer: 1, ratio: 1 }, { customer: 2, ratio: 0.5 }] }
  expect_dead_letters: [{ kafka_offset: 1, stage: write, place: ratios.ratio, reason: inf }]
";
    let ratios = "SELECT customer, amount / CAST(customer AS DOUBLE) AS ratio, kafka_partition, kafka_offset FROM batch";
    passes(&project(config, &[("ratios", ratios)], tests)).await;
    let unordered = ratios.replace(", kafka_partition, kafka_offset", "");
    let text = refused(&project(config, &[("ratios", &unordered)], tests)).await;
    assert!(text.contains("nothing says which of them is the last"), "{text}");
}

#[tokio::test]
async fn the_last_row_of_each_key_is_left_however_messages_are_cut() {
    let config = "state_tables: {}
outputs:
  latest: { mode: upsert, key: customer }
  newest: { mode: upsert, key: customer, only_newer: amount }
";
    let columns = "SELECT customer, CAST(amount AS BIGINT) AS amount, note, kafka_partition, kafka_offset";
    let latest =
        format!("{columns}, note IS NOT DISTINCT FROM 'end' AS _delete FROM batch ORDER BY note DESC");
    let newest = format!("{columns} FROM batch ORDER BY note DESC");
    let tests = "- name: in the order of the messages, or of their amounts
  messages:
    - { customer: 1, amount: 5, note: a }
    - { customer: 2, amount: 1, note: end }
    - { customer: 1, amount: 7, note: c }
    - { customer: 2, amount: 2, note: d }
    - { customer: 1, amount: 7, note: b }
    - { customer: 3, amount: 1, note: a }
    - { customer: 3, amount: 0, note: end }
    - { customer: 1, amount: 6, note: z }
  expect:
    latest: [{ customer: 1, note: z }, { customer: 2, note: d }]
    newest: [{ customer: 1, note: b }, { customer: 2, note: d }, { customer: 3, note: a }]
";
    passes(&project(config, &[("latest", &latest), ("newest", &newest)], tests)).await;
}

#[tokio::test]
async fn an_order_that_a_later_batch_does_not_know_is_caught() {
    let config = "outputs: { newest: { mode: upsert, key: customer, order_by: amount } }\n";
    let tests = "- name: the largest amount
  messages: [{ customer: 1, amount: 5 }, { customer: 1, amount: 4 }]
  expect: { newest: [{ customer: 1, amount: 5 }] }
";
    let text = printed(&project(config, &[("newest", "SELECT customer, amount FROM batch")], tests)).await;
    assert!(text.contains("the SQL depends on where batches are cut"), "{text}");
}

#[tokio::test]
async fn the_clock_keys_headers_and_places_are_those_of_the_test() {
    let tests = "now: 2024-02-29T23:59:59Z
tests:
- name: all that a message is
  messages:
    - customer: 1
      kafka_partition: 3
      kafka_offset: 40
      kafka_timestamp: 2024-01-01 10:00:00
      kafka_key: schlüssel
      kafka_headers: { trace: abc, raw: { base64: /w== } }
    - { customer: 2, kafka_partition: 3 }
  expect:
    meta:
      - { customer: 1, kafka_topic: t, kafka_partition: 3, kafka_offset: 40, kafka_timestamp: 2024-01-01T10:00:00Z,
          kafka_key: schlüssel, kafka_headers: { trace: YWJj, raw: /w== }, at: 2024-02-29T23:59:59Z, day: 2024-02-29 }
      - { customer: 2, kafka_offset: 41, kafka_timestamp: 2024-02-29 23:59:59, kafka_key: null }
- name: a time of its own
  now: 2030-01-01
  messages: [{ customer: 1 }]
  expect: { meta: [{ at: 2030-01-01, day: 2030-01-01, kafka_partition: 0, kafka_offset: 0 }] }
";
    let meta = ("meta", "SELECT b.*, now() AS at, current_date() AS day FROM batch b");
    passes(&project("", &[meta], tests)).await;
}

#[tokio::test]
async fn typed_keys_are_written_as_their_type_or_as_bytes() {
    let view = ("keys", "SELECT customer, kafka_key AS k FROM batch");
    let tests = |one: &str, hex: &str, broken: &str, expected: &str| {
        format!(
            "- name: a key
  messages:
    - {{ customer: 1, kafka_key: {one} }}
    - {{ customer: 2, kafka_key: {{ hex: {hex} }} }}
    - {{ customer: 3, kafka_key: {{ hex: {broken} }} }}
    - {{ customer: 4 }}
  expect: {{ keys: [{{ customer: 1, k: {expected} }}, {{ customer: 2, k: {expected} }}, {{ customer: 4, k: null }}] }}
  expect_dead_letters: [{{ kafka_offset: 2, stage: decode, place: kafka_key }}]
"
        )
    };
    for (format, tests) in [
        ("text", tests("é", "c3a9", "ff", "é")),
        ("int", tests("-1", "ffffffff", "ff", "-1")),
        ("long", tests("7", "0000000000000007", "00000007", "7")),
    ] {
        passes(&project(&format!("key_format: {format}\n"), &[view], &tests)).await;
    }
    // A record is a map, and no frame is asked for, though the job's messages have one.
    let fields = ("keys", "SELECT customer, kafka_key.id AS k FROM batch");
    let config = "key_format: avro\navro_key_schema: key.avsc\navro_framing: confluent\n";
    let record = tests("{ id: 7 }", "0e", "80", "7");
    let key = r#"{"type": "record", "name": "key", "fields": [{"name": "id", "type": "long"}]}"#;
    let project = project(config, &[fields], &record);
    project.write("key.avsc", key);
    passes(&project).await;
}

#[tokio::test]
async fn a_key_that_is_not_of_its_type_is_a_fault_of_its_line() {
    let tests = "- name: a key
  messages:
    - { customer: 1, kafka_key: seven }
    - { customer: 1, kafka_key: 2147483648 }
  expect: { keys: [] }
";
    let view = ("keys", "SELECT customer, kafka_key AS k FROM batch");
    let project = project("key_format: int\n", &[view], tests);
    let error = Tests::prepare(&project.config, &[]).await.err().expect("faults").to_string();
    assert!(
        error.contains(":3:") && error.contains("kafka_key: found \"seven\", expected an integer"),
        "{error}"
    );
    assert!(error.contains("kafka_key: found 2147483648, expected an int, -2147483648"), "{error}");
}

#[tokio::test]
async fn reference_rows_are_those_of_the_test_else_those_of_the_file() {
    let files = [
        ("schema.avsc", SCHEMA),
        (
            "config.yaml",
            "reference_tables:
  names: { file: names.csv, key: id, matches: customer }
  limits: { table: bank.limits, key: customer, matches: customer }
state_tables: {}
",
        ),
        ("names.csv", "id,name,since\n1,Ana,2020-01-01\n2,Eva,2021-01-01\n"),
        (
            "sql/v.sql",
            "SELECT b.customer, n.name, n.since, l.limit FROM batch b LEFT JOIN names n ON n.id = b.customer \
             LEFT JOIN limits l ON l.customer = b.customer",
        ),
        (
            "sql/tests/t.yaml",
            "tables:
  limits: [{ customer: 1, limit: 10.5 }, { customer: 3, limit: 20 }]
tests:
- name: those of the file
  messages: [{ customer: 1 }, { customer: 3 }]
  expect: { v: [{ name: Ana, since: 2020-01-01, limit: 10.5 }, { name: null, limit: 20 }] }
- name: those of the test
  messages: [{ customer: 1 }, { customer: 2 }]
  tables:
    names: [{ id: 2, name: Rui }]
    limits: []
  expect: { v: [{ customer: 1, name: null, limit: null }, { customer: 2, name: Rui, since: null }] }
",
        ),
    ];
    let project = Project::new(&files);
    passes(&project).await;
    // Nothing says what a table of the database looks like.
    project.write(
        "sql/tests/t.yaml",
        "- { name: a, messages: [{ customer: 1 }], expect: { v: [{ customer: 1 }] } }\n",
    );
    insta::assert_snapshot!(refused(&project).await);
}

#[tokio::test]
async fn numbers_of_messages_keep_their_digits() {
    let schema = r#"{"type": "record", "name": "r", "fields": [
        {"name": "amount", "type": {"type": "bytes", "logicalType": "decimal", "precision": 30, "scale": 3}},
        {"name": "id", "type": "long"},
        {"name": "parts", "type": {"type": "array", "items": "long"}}]}"#;
    let view = "SELECT CAST(amount AS VARCHAR) AS amount, id, parts[1] AS part FROM batch";
    let tests = "message_defaults: { id: 9007199254740993.0, parts: [9007199254740993e0] }
tests:
- name: exact
  messages:
    - { amount: 90071992547409.931 }
    - { amount: 123456789012345678901, id: +5 }
    - { amount: -.125, id: 6. }
  expect:
    v:
      - { amount: '90071992547409.931', id: 9007199254740993, part: 9007199254740993 }
      - { amount: '123456789012345678901.000', id: 5, part: 9007199254740993 }
      - { amount: '-0.125', id: 6, part: 9007199254740993 }
";
    let files =
        [("schema.avsc", schema), ("config.yaml", ""), ("sql/v.sql", view), ("sql/tests/t.yaml", tests)];
    passes(&Project::new(&files)).await;
}

#[tokio::test]
async fn the_columns_of_tables_in_the_database_can_be_declared() {
    let config = "reference_tables: { rates: { table: rates, key: customer, matches: customer } }\n";
    let view = "SELECT b.customer, arrow_typeof(r.rate) AS kind, r.rate + r.rate AS twice FROM batch b \
        LEFT JOIN rates r ON r.customer = b.customer";
    let files = |tests: &'static str| {
        Project::new(&[
            ("schema.avsc", SCHEMA),
            ("config.yaml", config),
            ("sql/v.sql", view),
            ("sql/tests/t.yaml", tests),
        ])
    };
    let declared = files(
        "tables:
  rates: { columns: { customer: INT, rate: 'DECIMAL(10, 2)' }, rows: [{ customer: 1, rate: 0.1 }] }
tests:
- name: exact
  messages: [{ customer: 1 }]
  expect: { v: [{ kind: 'Decimal128(10, 2)', twice: 0.2 }] }
- name: none
  messages: [{ customer: 2 }]
  expect: { v: [{ twice: null }] }
",
    );
    passes(&declared).await;
    let wrong = files(
        "- name: a
  tables: { rates: { columns: { customer: INT, rate: MONEY }, rows: [] } }
  expect: { v: [] }
- name: b
  tables: { rates: { columns: { customer: INT }, row: [] } }
  expect: { v: [] }
",
    );
    insta::assert_snapshot!("a_key_that_is_not_there", refused(&wrong).await);
    let wrong = files(
        "- name: a
  tables: { rates: { columns: { customer: INT, rate: MONEY }, rows: [] } }
  expect: { v: [] }
- name: b
  tables: { rates: { columns: { customer: INT }, rows: [{ customer: 1.5 }] } }
  expect: { v: [] }
- name: c
  tables: { rates: { columns: { customer: BIGINT }, rows: [] } }
  expect: { v: [] }
",
    );
    insta::assert_snapshot!("a_type_that_is_none", refused(&wrong).await);
}

#[tokio::test]
async fn state_begins_with_the_rows_of_the_test_and_upserts_and_deletes() {
    let config = "state_tables: { totals: { view: next_totals, key: customer } }
outputs: { latest: { mode: upsert, key: customer } }
";
    let views = [
        (
            "next_totals",
            "SELECT b.customer, coalesce(t.n, 0) + count(*) AS n, max(b.note) = 'end' AS _delete FROM batch b \
             LEFT JOIN totals t ON t.customer = b.customer GROUP BY b.customer, t.n",
        ),
        (
            "latest",
            "SELECT customer, last_value(note ORDER BY kafka_offset) AS note, \
             coalesce(last_value(note ORDER BY kafka_offset) = 'end', false) AS _delete FROM batch GROUP BY customer",
        ),
    ];
    let tests = "- name: counted on
  messages: [{ customer: 1, note: a }, { customer: 2, note: b }, { customer: 1, note: c }]
  state: { totals: [{ customer: 1, n: 10 }, { customer: 5, n: 50 }] }
  expect: { latest: [{ customer: 1, note: c }, { customer: 2, note: b }] }
  expect_state: { totals: [{ customer: 1, n: 12 }, { customer: 2, n: 1 }, { customer: 5, n: 50 }] }
- name: deleted
  messages: [{ customer: 1, note: a }, { customer: 2, note: b }, { customer: 1, note: end }]
  state: { totals: [{ customer: 1, n: 10 }] }
  expect: { latest: [{ customer: 2, note: b }] }
  expect_state: { totals: [{ customer: 2, n: 1 }] }
";
    passes(&project(config, &views, tests)).await;
}

#[tokio::test]
async fn what_would_stop_the_job_fails_the_test() {
    let config = "state_tables: { totals: { view: next_totals, key: customer } }\n";
    let tests = "- name: two of one customer
  messages: [{ customer: 7 }, { customer: 7 }]
  expect_state: { totals: [] }
";
    let twins = ("next_totals", "SELECT customer, kafka_offset AS at FROM batch");
    insta::assert_snapshot!(printed(&project(config, &[twins], tests)).await);
}

#[tokio::test]
async fn faults_of_a_file_are_said_all_at_once_with_their_lines() {
    let plain = ("plain", "SELECT kafka_offset, customer, note FROM batch");
    let written = "now: yesterday
tests:
- name: a
  mesages: []
  expect: [1]
- messages: 7
  expect_dead_letter: []
- name: a
  expect: { plain: { ordered: maybe, row: [] } }
";
    insta::assert_snapshot!("as_written", refused(&project("", &[plain], written)).await);
    let named = "message_defaults: { amont: 1 }
tests:
- name: views
  expect: { plan: [], totals: [] }
";
    let config = "state_tables: { totals: { view: next_totals, key: customer } }\n";
    let next = ("next_totals", "SELECT customer, CAST(count(*) AS INT) AS n FROM batch GROUP BY customer");
    insta::assert_snapshot!("names_of_views", refused(&project(config, &[plain, next], named)).await);
    let bound = "message_defaults: { amont: 1 }
tests:
- name: messages
  messages:
    - { custmer: 7 }
    - { customer: seven }
    - { customer: 7, kafka_offset: 5, kafka_topic: u }
    - { customer: 7, kafka_offset: 5 }
    - { customer: 7, kafka_offset: 4 }
  tables: { acounts: [] }
  state: { totals: [{ customer: 1, n: 1.5 }, { n: 2 }, { customer: 3, m: 3 }] }
  expect: { plain: [{ costumer: 7 }] }
  expect_state: { total: [] }
  expect_dead_letters: [{ offset: 1 }]
- name: twins
  state: { totals: [{ customer: 1, n: 1 }, { customer: 1, n: 2 }] }
  expect_state: { totals: [] }
";
    insta::assert_snapshot!("bound_to_the_sql", refused(&project(config, &[plain, next], bound)).await);
    // What the file alone tells, and what is found once the SQL is planned, come together.
    let mixed = "tests:
- name: a
  mesages: []
  expect: { plan: [], plain: [{ costumer: 7 }] }
";
    let told = refused(&project("", &[plain], mixed)).await;
    for fault in ["t.yaml:3:", "t.yaml:4:", "unknown key `mesages`", "no view `plan`", "no column `costumer`"]
    {
        assert!(told.contains(fault), "{fault}: {told}");
    }
    let broken = "- name: [\n";
    insta::assert_snapshot!("broken_yaml", refused(&project("", &[plain], broken)).await);
}

#[tokio::test]
async fn update_writes_the_rows_that_differ_and_leaves_the_rest() {
    let tests = "# Tests of é.
tests:
  - name: block
    messages: [{ customer: 1, note: a }, { customer: 2, note: '12' }, { customer: 3 }, { customer: 0, note: 'x: y' }]
    expect:
      plain:   # in blocks
        # the first
        - { customer: 1,   note: a }   # is right
        - { customer: 2, note: b }     # is not
        - { customer: 77 }
        - customer: 3
          note: z
  - name: flow   # keeps its comment
    messages: [{ customer: 1, note: a }]
    expect:
      plain: [ { customer: 4, note: b } ]   # one
      counts: { tolerance: 0.1, rows: [] }
  - name: emptied
    messages: []
    expect:
      plain:
        - { customer: 9 }
      counts:
  - { name: braces, messages: [{ customer: 1 }], expect: { plain: [{ customer: 2 }] } }
  - name: dead letters
    messages: [{ kafka_payload: null }]
    expect: { plain: [] }
  - { name: nothing yet, messages: [{ customer: 0, note: yes }] }
  - name: nothing at all
    messages: [{ customer: 5 }]";
    let views = [
        ("plain", "SELECT kafka_offset, customer, note FROM batch"),
        ("counts", "SELECT kafka_offset, amount / 2 AS half FROM batch"),
    ];
    let project = project("", &views, tests);
    let mut prepared = Tests::prepare(&project.config, &[]).await.expect("prepared");
    let report = prepared.run().await;
    let updates = prepared.updates(&report);
    let [update] = updates.as_slice() else { panic!("{updates:?}") };
    insta::assert_snapshot!(update.text);
    std::fs::write(&update.file, &update.text).expect("written");
    let mut prepared = Tests::prepare(&project.config, &[]).await.expect("prepared");
    let report = prepared.run().await;
    assert_eq!(report.failed(), 0, "{}", report.render(false));
    assert!(prepared.updates(&report).is_empty());
}

#[tokio::test]
async fn update_leaves_rows_alone_that_others_share_by_an_alias() {
    let tests = "- name: a
  messages: [{ customer: 1 }]
  expect: { plain: &rows [{ customer: 1 }] }
- name: b
  messages: [{ customer: 2 }]
  expect: { plain: *rows }
";
    let project = project("", &[("plain", "SELECT customer FROM batch")], tests);
    let mut prepared = Tests::prepare(&project.config, &[]).await.expect("prepared");
    let report = prepared.run().await;
    assert_eq!(report.failed(), 1, "{}", report.render(false));
    assert!(prepared.updates(&report).is_empty());
}

/// The program itself, in a project's folder.
fn program(project: &Project, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_realtime-processor"));
    command.current_dir(project.folder.path()).arg("test").args(arguments).stdin(Stdio::null());
    command
}

fn ended(project: &Project, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = program(project, arguments).output().expect("started");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

const RIGHT: &str = "- { name: one, messages: [{ customer: 1 }], expect: { plain: [{ customer: 1 }] } }\n";

#[test]
fn the_exit_code_says_what_became_of_the_tests() {
    let plain = ("plain", "SELECT customer FROM batch");
    let project = project("", &[plain], RIGHT);
    let tests = "sql/tests/t.yaml";
    let (code, out, error) = ended(&project, &[]);
    assert_eq!((code, error.as_str()), (Some(0), ""));
    assert!(out.starts_with("ok   sql/tests/t.yaml (1 test)\n1 test passed, "), "{out}");

    project.write(tests, &RIGHT.replace("1 }] }", "2 }] }"));
    let (code, out, error) = ended(&project, &[]);
    assert_eq!((code, error.as_str()), (Some(1), ""), "results say it");
    assert!(out.contains("\nsql/tests/t.yaml:1: one\n") && out.contains("1 of 1 test failed"), "{out}");
    let (code, out, _) = ended(&project, &["--format", "junit"]);
    assert_eq!(code, Some(1));
    assert!(out.starts_with("<?xml") && out.contains("failures=\"1\""), "{out}");

    let (code, out, error) = ended(&project, &["--update"]);
    assert_eq!(code, Some(0), "{error}");
    assert!(error.contains("-  2") || error.contains("- !2"), "it is shown first: {error}");
    assert!(error.contains("sql/tests/t.yaml: 1 expectation written"), "{error}");
    assert!(out.contains("1 test passed"), "{out}");
    assert_eq!(std::fs::read_to_string(project.folder.path().join(tests)).expect("there"), RIGHT);

    assert_eq!(ended(&project, &["nonsense"]).0, Some(2));
    assert_eq!(ended(&project, &["--nonsense"]).0, Some(2));
    project.write(tests, "- { nam: one }\n");
    let (code, out, error) = ended(&project, &[]);
    assert_eq!((code, out.as_str()), (Some(78), ""));
    assert!(error.contains("sql/tests/t.yaml:1:5: error: unknown key `nam`"), "{error}");
    project.write(tests, RIGHT);
    project.write("sql/plain.sql", "SELECT custmer FROM batch");
    let (code, _, error) = ended(&project, &[]);
    assert_eq!(code, Some(78));
    assert!(error.contains("sql/plain.sql:1:8: error"), "{error}");
    std::fs::remove_file(project.folder.path().join(tests)).expect("removed");
    assert_eq!(ended(&project, &[]).0, Some(78), "no tests");
}

#[test]
fn watch_runs_again_when_a_file_has_changed_and_ends_by_a_signal() {
    let project = project("", &[("plain", "SELECT customer FROM batch")], RIGHT);
    let mut child = program(&project, &["--watch"]).stdout(Stdio::piped()).spawn().expect("started");
    let mut lines =
        BufReader::new(child.stdout.take().expect("piped")).lines().map(|line| line.expect("UTF-8"));
    let mut until = |part: &str| lines.find(|line| line.contains(part)).expect("it goes on");
    until("1 test passed");
    project.write("sql/plain.sql", "SELECT customer + 1 AS customer FROM batch");
    until("1 of 1 test failed");
    project.write("sql/plain.sql", "SELECT FROM");
    std::thread::sleep(Duration::from_secs(1));
    project.write("sql/plain.sql", "SELECT customer FROM batch");
    until("1 test passed");
    let ended = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill");
    assert!(ended.success());
    assert_eq!(child.wait().expect("ended").code(), Some(0));
}

#[tokio::test]
async fn values_that_differ_by_their_type_alone_say_so() {
    let texts = ("plain", "SELECT CAST(customer AS TEXT) AS customer, amount FROM batch");
    let tests =
        "- { name: a, messages: [{ customer: 5 }], expect: { plain: [{ customer: 5.0, amount: 1 }] } }";
    let told = printed(&project("", &[texts], tests)).await;
    assert!(told.contains("\"5\" (text)"), "{told}");
}

#[tokio::test]
async fn names_choose_files_and_tests() {
    let plain = ("plain", "SELECT customer FROM batch");
    let test = |name: &str| {
        format!(
            "- {{ name: {name}, messages: [{{ customer: 1 }}], expect: {{ plain: [{{ customer: 1 }}] }} }}\n"
        )
    };
    let project = project("", &[plain], &format!("{}{}", test("Deposits"), test("withdrawals")));
    project.write("sql/tests/u.yml", &test("others"));
    let chosen = async |names: &[&str]| {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut tests = Tests::prepare(&project.config, &names).await.map_err(|error| error.to_string())?;
        let report = tests.run().await;
        let names = report.files.iter().flat_map(|file| &file.tests).map(|test| test.name.clone());
        Ok::<_, String>(names.collect::<Vec<_>>().join(","))
    };
    assert_eq!(chosen(&[]).await, Ok("Deposits,withdrawals,others".into()));
    assert_eq!(
        chosen(&["t"]).await,
        Ok("Deposits,withdrawals,others".into()),
        "the file, and a part of a name"
    );
    assert_eq!(chosen(&["sql/tests/u.yml"]).await, Ok("others".into()));
    // A file that is not beside the views.
    let elsewhere = project.folder.path().join("elsewhere.yaml");
    std::fs::write(&elsewhere, "tests: [{ name: afar, messages: [], expect: { plain: [] } }]")
        .expect("written");
    assert_eq!(chosen(&[&elsewhere.display().to_string()]).await, Ok("afar".into()));
    let beside = project.folder.path().join("sql/../sql/tests/u.yml");
    assert_eq!(chosen(&[&beside.display().to_string()]).await, Ok("others".into()));
    assert_eq!(chosen(&["deposit", "u"]).await, Ok("Deposits,others".into()));
    assert_eq!(
        chosen(&["withdrawls"]).await,
        Err("no test `withdrawls`\nhint: did you mean `withdrawals`?".into())
    );
    // What is wrong with a file that is not meant does not count; a test in it may be meant by its name.
    project.write("sql/tests/broken.yaml", "- { name: x, mesages: [] }\n");
    project.write("sql/tests/unread.yaml", "- [\n");
    assert_eq!(chosen(&["u", "sql/tests/u.yml"]).await, Ok("others".into()));
    assert!(chosen(&["others"]).await.is_err_and(|said| said.contains("mesages")));
    assert!(chosen(&["broken"]).await.is_err_and(|said| said.contains("mesages")));
}

#[tokio::test]
async fn junit_names_files_tests_and_failures() {
    let tests = "- { name: <right>, messages: [{ customer: 1 }], expect: { plain: [{ customer: 1 }] } }
- { name: wrong, messages: [{ customer: 1 }], expect: { plain: [{ customer: 2 }] } }
";
    let project = project("", &[("plain", "SELECT customer FROM batch")], tests);
    let xml = junit(&run(&project).await, Duration::from_millis(5)).expect("XML");
    let xml = without_folder(&project, &xml);
    let mut settings = insta::Settings::clone_current();
    settings.set_omit_expression(true);
    let mut timeless = String::new();
    for (index, part) in xml.split(" time=\"").enumerate() {
        let rest = if index == 0 { part } else { part.split_once('"').map_or("", |(_, rest)| rest) };
        timeless.push_str(rest);
    }
    settings.bind(|| insta::assert_snapshot!(timeless));
}
