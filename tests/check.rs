//! `check`, as people and CI meet it: a project in a folder, the binary, what it prints and its exit code.

mod check_support;

use check_support::{Checked, MOVEMENT, check, check_with};

const GOOD: &str = "SELECT kafka_topic, kafka_partition, kafka_offset, customer, agency FROM batch";

#[test]
fn a_project_in_order_is_shown_and_ends_with_0() {
    let checked = check(&[("sql/movements.sql", GOOD)]);
    assert_eq!(checked.code, 0);
    insta::assert_snapshot!(checked.err, @"");
    insta::assert_snapshot!(checked.out, @r"
    views, in the order they are computed
     view      | reads
    -----------+-------
     movements | batch

    output movements, appended
     column          | Arrow | MySQL    | SQLite
    -----------------+-------+----------+---------
     kafka_topic     | Utf8  | LONGTEXT | TEXT
     kafka_partition | Int32 | INT      | INTEGER
     kafka_offset    | Int64 | BIGINT   | INTEGER
     customer        | Int32 | INT      | INTEGER
     agency          | Utf8  | LONGTEXT | TEXT
    ");
}

#[test]
fn faults_of_all_parts_are_said_in_one_run() {
    let checked = check(&[
        ("config.yaml", "batch_rows_max: many\nreference_tables: {}\nstate_tables: {}\n"),
        (
            "schema.avsc",
            "{\"type\": \"record\", \"name\": \"M\", \"fields\": [\n{\"name\": \"a\", \"type\": \"txt\"}]}",
        ),
        ("sql/broken.sql", "SELECT FROM batch WHERE"),
        ("sql/a.sql", "SELECT * FROM b"),
        ("sql/b.sql", "SELECT * FROM a"),
    ]);
    assert_eq!(checked.code, 78);
    insta::assert_snapshot!(checked.err, @r#"
    config.yaml:5:17: error: batch_rows_max: found `many`, expected a whole number from 1 to 10000000
      |
    5 | batch_rows_max: many
      |                 ^^^^
    schema.avsc:2:10: error: field `a`: there is no type `txt`
      |
    2 | {"name": "a", "type": "txt"}]}
      |          ^^^
    hint: a named type must be defined before its name is used
    sql/broken.sql:1:24: error: expected: an expression, found the end of the file
      |
    1 | SELECT FROM batch WHERE
      |                        ^
    sql/a.sql:1:15: error: these read each other in a circle: `a` -> `b` -> `a`
      |
    1 | SELECT * FROM b
      |               ^
    hint: what a view reads must be computed before it

    4 errors
    "#);
}

#[test]
fn one_broken_view_hides_no_fault_of_another() {
    let checked = check(&[
        ("sql/a.sql", "SELECT custmer FROM batch"),
        ("sql/b.sql", "SELECT x FROM a"),
        ("sql/c.sql", "SELECT uper(agency) AS x, kafka_partition, kafka_offset FROM batch"),
        ("sql/d.sql", "SELECT customer agency value FROM batch"),
    ]);
    assert_eq!(checked.code, 78);
    insta::assert_snapshot!(checked.err, @r"
    sql/d.sql:1:24: error: expected: end of statement, found: value
      |
    1 | SELECT customer agency value FROM batch
      |                        ^
    hint: is a comma missing before `value`?
    sql/a.sql:1:8: error: no column `custmer`
      |
    1 | SELECT custmer FROM batch
      |        ^^^^^^^
    hint: did you mean `customer`?
    sql/c.sql:1:8: error: invalid function 'uper'
      |
    1 | SELECT uper(agency) AS x, kafka_partition, kafka_offset FROM batch
      |        ^^^^
    hint: did you mean `upper`?

    3 errors
    ");
}

#[test]
fn json_has_one_object_a_line() {
    let files = [("sql/v.sql", "SELECT custmer FROM batch"), ("sql/w.sql", GOOD)];
    let checked = check_with(&files, &["--format", "json", "--offline"]);
    assert_eq!((checked.code, checked.err.as_str()), (78, ""));
    insta::assert_snapshot!(checked.out, @r#"
    {"type":"diagnostic","severity":"error","code":"unknown-column","file":"sql/v.sql","line":1,"column":8,"endColumn":15,"source":"SELECT custmer FROM batch","message":"no column `custmer`","hint":"did you mean `customer`?"}
    {"type":"view","name":"v","reads":["batch"],"isUsed":true}
    {"type":"view","name":"w","reads":["batch"],"isUsed":true}
    {"type":"table","name":"realtime_offsets","role":"program","view":null,"key":null,"exists":false,"columns":[],"ddl":"CREATE TABLE IF NOT EXISTS \"realtime_offsets\" (\n  job VARCHAR(255) NOT NULL,\n  kafka_topic VARCHAR(249) NOT NULL,\n  kafka_partition INT NOT NULL,\n  next_offset BIGINT NOT NULL,\n  epoch BIGINT NOT NULL,\n  message_time DATETIME(3) NULL,\n  recent_messages BIGINT NOT NULL DEFAULT 0,\n  recent_dead_letters BIGINT NOT NULL DEFAULT 0,\n  waiting TEXT NULL,\n  updated_at DATETIME(6) NOT NULL,\n  PRIMARY KEY (job, kafka_topic, kafka_partition)\n)"}
    {"type":"table","name":"dead_letters","role":"program","view":null,"key":null,"exists":false,"columns":[],"ddl":"CREATE TABLE IF NOT EXISTS \"dead_letters\" (\n  id INTEGER PRIMARY KEY AUTOINCREMENT,\n  job VARCHAR(255) NOT NULL,\n  kafka_topic VARCHAR(249) NOT NULL,\n  kafka_partition INT NOT NULL,\n  kafka_offset BIGINT NOT NULL,\n  kafka_timestamp DATETIME(3) NULL,\n  kafka_key BLOB NULL,\n  kafka_headers TEXT NOT NULL,\n  payload BLOB NULL,\n  stage VARCHAR(16) NOT NULL,\n  place TEXT NOT NULL,\n  reason TEXT NOT NULL,\n  created_at DATETIME(6) NOT NULL,\n  replayed_at DATETIME(6) NULL\n)"}
    {"type":"table","name":"realtime_sql_versions","role":"program","view":null,"key":null,"exists":false,"columns":[],"ddl":"CREATE TABLE IF NOT EXISTS \"realtime_sql_versions\" (\n  version VARCHAR(64) NOT NULL PRIMARY KEY,\n  files TEXT NOT NULL,\n  first_used_at DATETIME(6) NOT NULL\n)"}
    {"type":"table","name":"realtime_sql_history","role":"program","view":null,"key":null,"exists":false,"columns":[],"ddl":"CREATE TABLE IF NOT EXISTS \"realtime_sql_history\" (\n  job VARCHAR(255) NOT NULL,\n  kafka_topic VARCHAR(249) NOT NULL,\n  kafka_partition INT NOT NULL,\n  from_offset BIGINT NOT NULL,\n  version VARCHAR(64) NOT NULL,\n  PRIMARY KEY (job, kafka_topic, kafka_partition, from_offset)\n)"}
    {"type":"table","name":"realtime_fills","role":"program","view":null,"key":null,"exists":false,"columns":[],"ddl":"CREATE TABLE IF NOT EXISTS \"realtime_fills\" (\n  job VARCHAR(255) NOT NULL,\n  name VARCHAR(255) NOT NULL,\n  fill VARCHAR(255) NOT NULL,\n  started_at DATETIME(6) NOT NULL,\n  finished_at DATETIME(6) NULL,\n  PRIMARY KEY (job, name)\n)"}
    {"type":"table","name":"w","role":"append","view":"w","key":null,"exists":false,"columns":[{"name":"kafka_topic","arrow":"Utf8","mysql":"LONGTEXT","column":"TEXT","declared":null},{"name":"kafka_partition","arrow":"Int32","mysql":"INT","column":"INTEGER","declared":null},{"name":"kafka_offset","arrow":"Int64","mysql":"BIGINT","column":"INTEGER","declared":null},{"name":"customer","arrow":"Int32","mysql":"INT","column":"INTEGER","declared":null},{"name":"agency","arrow":"Utf8","mysql":"LONGTEXT","column":"TEXT","declared":null}],"ddl":"CREATE TABLE IF NOT EXISTS \"w\" (\n  \"kafka_topic\" TEXT NOT NULL,\n  \"kafka_partition\" INTEGER NOT NULL,\n  \"kafka_offset\" INTEGER NOT NULL,\n  \"customer\" INTEGER NOT NULL,\n  \"agency\" TEXT NOT NULL\n)"}
    {"type":"summary","errors":1,"warnings":0}
    "#);
}

#[test]
fn ddl_prints_statements_alone() {
    let checked = check_with(&[("sql/movements.sql", GOOD)], &["--ddl", "--offline"]);
    assert_eq!(checked.code, 0);
    insta::assert_snapshot!(checked.out, @r#"
    CREATE TABLE IF NOT EXISTS "realtime_offsets" (
      job VARCHAR(255) NOT NULL,
      kafka_topic VARCHAR(249) NOT NULL,
      kafka_partition INT NOT NULL,
      next_offset BIGINT NOT NULL,
      epoch BIGINT NOT NULL,
      message_time DATETIME(3) NULL,
      recent_messages BIGINT NOT NULL DEFAULT 0,
      recent_dead_letters BIGINT NOT NULL DEFAULT 0,
      waiting TEXT NULL,
      updated_at DATETIME(6) NOT NULL,
      PRIMARY KEY (job, kafka_topic, kafka_partition)
    );

    CREATE TABLE IF NOT EXISTS "dead_letters" (
      id INTEGER PRIMARY KEY AUTOINCREMENT,
      job VARCHAR(255) NOT NULL,
      kafka_topic VARCHAR(249) NOT NULL,
      kafka_partition INT NOT NULL,
      kafka_offset BIGINT NOT NULL,
      kafka_timestamp DATETIME(3) NULL,
      kafka_key BLOB NULL,
      kafka_headers TEXT NOT NULL,
      payload BLOB NULL,
      stage VARCHAR(16) NOT NULL,
      place TEXT NOT NULL,
      reason TEXT NOT NULL,
      created_at DATETIME(6) NOT NULL,
      replayed_at DATETIME(6) NULL
    );

    CREATE TABLE IF NOT EXISTS "realtime_sql_versions" (
      version VARCHAR(64) NOT NULL PRIMARY KEY,
      files TEXT NOT NULL,
      first_used_at DATETIME(6) NOT NULL
    );

    CREATE TABLE IF NOT EXISTS "realtime_sql_history" (
      job VARCHAR(255) NOT NULL,
      kafka_topic VARCHAR(249) NOT NULL,
      kafka_partition INT NOT NULL,
      from_offset BIGINT NOT NULL,
      version VARCHAR(64) NOT NULL,
      PRIMARY KEY (job, kafka_topic, kafka_partition, from_offset)
    );

    CREATE TABLE IF NOT EXISTS "realtime_fills" (
      job VARCHAR(255) NOT NULL,
      name VARCHAR(255) NOT NULL,
      fill VARCHAR(255) NOT NULL,
      started_at DATETIME(6) NOT NULL,
      finished_at DATETIME(6) NULL,
      PRIMARY KEY (job, name)
    );

    CREATE TABLE IF NOT EXISTS "movements" (
      "kafka_topic" TEXT NOT NULL,
      "kafka_partition" INTEGER NOT NULL,
      "kafka_offset" INTEGER NOT NULL,
      "customer" INTEGER NOT NULL,
      "agency" TEXT NOT NULL
    );
    "#);
    let checked = check_with(&[("sql/movements.sql", GOOD)], &["--ddl", "--format", "json"]);
    assert_eq!(checked.code, 2);
}

#[test]
fn nothing_is_made() {
    let checked = check(&[("sql/movements.sql", GOOD)]);
    assert!(!checked.folder.path().join("out.db").exists());
}

#[test]
fn a_broker_that_is_away_is_1_and_a_fault_beside_it_is_78() {
    // At once, because each waits 10 s for the broker.
    let beside = std::thread::spawn(|| check_with(&[("sql/movements.sql", "SELECT x FROM batch")], &[]));
    let Checked { code, err, .. } = check_with(&[("sql/movements.sql", GOOD)], &[]);
    assert_eq!(code, 1);
    assert!(err.contains("config.yaml:1:1: error: no Kafka broker answers at 127.0.0.1:1"), "{err}");
    assert_eq!(beside.join().expect("it ran").code, 78);
}

#[test]
fn what_ships_has_neither_faults_nor_warnings() {
    let out = check_support::run(std::path::Path::new("config.yaml"), &["--offline"]);
    assert_eq!((out.0, out.2.as_str()), (0, ""));
    assert!(out.1.contains("state account_state, of view next_account_state, by customer"), "{}", out.1);
}

#[test]
fn schemas_are_compared() {
    let checked = check(&[
        ("config.yaml", "avro_writer_schema: old.avsc\nreference_tables: {}\nstate_tables: {}\n"),
        ("old.avsc", &MOVEMENT.replace("\"string\"", "\"boolean\"")),
        ("sql/movements.sql", GOOD),
    ]);
    assert_eq!(checked.code, 78);
    insta::assert_snapshot!(checked.err, @r#"
    schema.avsc:3:12: error: field `agency`: old.avsc cannot be read as schema.avsc has it: a boolean is not a string
      |
    3 |   {"name": "agency", "type": "string"},
      |            ^^^^^^^^

    1 error
    "#);
}

/// The warnings of a project whose outputs are these views.
fn warnings(config: &str, views: &[(&str, &str)]) -> String {
    let paths: Vec<(String, &str)> =
        views.iter().map(|(name, text)| (format!("sql/{name}.sql"), *text)).collect();
    let mut files: Vec<(&str, &str)> = paths.iter().map(|(path, text)| (path.as_str(), *text)).collect();
    files.push(("config.yaml", config));
    files.push(("accounts.csv", "id,name,score\n1,Ana,300\n"));
    let checked = check(&files);
    assert_eq!(checked.code, 0, "{}", checked.err);
    checked.err
}

const PLAIN: &str = "reference_tables: {}\nstate_tables: {}\n";
const WITH_STATE: &str =
    "reference_tables: {}\nstate_tables: { totals: { view: next_totals, key: customer } }\n";
const WITH_ACCOUNTS: &str =
    "reference_tables: { accounts: { file: accounts.csv, key: id, matches: customer } }\nstate_tables: {}\n";

#[test]
fn what_depends_on_the_cut_is_warned_of() {
    let counted = "SELECT customer, count(*) AS n FROM batch GROUP BY customer";
    insta::assert_snapshot!(warnings(PLAIN, &[("counted", counted)]), @r"
    sql/counted.sql:1:1: warning: rows of output `counted` do not say which message they come from: `kafka_partition` and `kafka_offset` are missing
      |
    1 | SELECT customer, count(*) AS n FROM batch GROUP BY customer
      | ^^^^^^
    hint: select them, through each view on the way, so that a row can be traced and a doubled one seen
    sql/counted.sql:1:18: warning: `count` sees only the rows of one batch: the rows appended for `counted`, and their number, depend on how the messages are cut into batches
      |
    1 | SELECT customer, count(*) AS n FROM batch GROUP BY customer
      |                  ^^^^^
    hint: keep the state of each key in a state table, and read that table here; or append the messages as they are, and count in the database

    2 warnings
    ");
    let through = [
        ("a_totals", "SELECT agency, sum(value) AS total FROM batch GROUP BY agency"),
        (
            "shares",
            "SELECT b.kafka_partition, b.kafka_offset, b.value / a.total AS share\n\
             FROM batch b JOIN a_totals a ON a.agency = b.agency",
        ),
        (
            "numbered",
            "SELECT kafka_partition, kafka_offset,\n  row_number() OVER (PARTITION BY customer ORDER BY kafka_offset) AS n\nFROM batch",
        ),
        ("seen", "SELECT DISTINCT customer FROM batch"),
        ("top", "SELECT kafka_partition, kafka_offset FROM batch ORDER BY value DESC LIMIT 3"),
    ];
    insta::assert_snapshot!(warnings(PLAIN, &through), @r"
    sql/numbered.sql:2:3: warning: `row_number` sees only the rows of one batch: the rows appended for `numbered`, and their number, depend on how the messages are cut into batches
      |
    2 |   row_number() OVER (PARTITION BY customer ORDER BY kafka_offset) AS n
      |   ^^^^^^^^^^
    hint: keep the state of each key in a state table, and read that table here; or append the messages as they are, and count in the database
    sql/seen.sql:1:1: warning: rows of output `seen` do not say which message they come from: `kafka_partition` and `kafka_offset` are missing
      |
    1 | SELECT DISTINCT customer FROM batch
      | ^^^^^^
    hint: select them, through each view on the way, so that a row can be traced and a doubled one seen
    sql/seen.sql:1:8: warning: DISTINCT sees only the rows of one batch: the rows appended for `seen`, and their number, depend on how the messages are cut into batches
      |
    1 | SELECT DISTINCT customer FROM batch
      |        ^^^^^^^^
    hint: keep the state of each key in a state table, and read that table here; or append the messages as they are, and count in the database
    sql/a_totals.sql:1:16: warning: `sum` sees only the rows of one batch: the rows appended for `shares`, and their number, depend on how the messages are cut into batches
      |
    1 | SELECT agency, sum(value) AS total FROM batch GROUP BY agency
      |                ^^^
    hint: keep the state of each key in a state table, and read that table here; or append the messages as they are, and count in the database
    sql/top.sql:1:69: warning: LIMIT sees only the rows of one batch: the rows appended for `top`, and their number, depend on how the messages are cut into batches
      |
    1 | SELECT kafka_partition, kafka_offset FROM batch ORDER BY value DESC LIMIT 3
      |                                                                     ^^^^^
    hint: keep the state of each key in a state table, and read that table here; or append the messages as they are, and count in the database

    5 warnings
    ");
}

#[test]
fn what_does_not_depend_on_the_cut_is_not_warned_of() {
    // Groups of one message; state that carries on; the last row of a key, upserted.
    let by_message = "SELECT kafka_partition AS p, kafka_offset AS o, count(*) AS parts FROM batch\n\
                      CROSS JOIN (VALUES (1), (2)) AS part (n) GROUP BY kafka_partition, kafka_offset";
    assert_eq!(warnings(PLAIN, &[("v", by_message)]), "");
    let numbers = "SELECT b.customer, b.kafka_partition, b.kafka_offset,\n\
                   \x20 coalesce(s.n, 0) + count(*) OVER (PARTITION BY b.customer ORDER BY b.kafka_offset) AS n\n\
                   FROM batch b LEFT JOIN totals s ON s.customer = b.customer";
    let next = "SELECT customer, max(n) AS n FROM numbers GROUP BY customer";
    let config = format!("{WITH_STATE}outputs: {{ numbers: }}\n");
    assert_eq!(warnings(&config, &[("numbers", numbers), ("next_totals", next)]), "");
    let last =
        "SELECT customer, last_value(value ORDER BY kafka_offset) AS value FROM batch GROUP BY customer";
    let config = format!("{PLAIN}outputs: {{ v: {{ mode: upsert, key: customer }} }}\n");
    assert_eq!(warnings(&config, &[("v", last)]), "");
}

#[test]
fn an_upsert_says_which_row_of_a_key_is_the_last() {
    let config =
        |more: &str| format!("{WITH_ACCOUNTS}outputs: {{ v: {{ mode: upsert, key: customer{more} }} }}\n");
    let with = |more: &str, view: &str| {
        let accounts = ("accounts.csv", "id,name,score\n1,Ana,300\n");
        check(&[("config.yaml", &config(more)), ("sql/v.sql", view), accounts])
    };
    let plain = "SELECT b.customer, b.agency, a.name FROM batch b LEFT JOIN accounts a ON a.id = b.customer";
    let unordered = with("", plain);
    assert_eq!(unordered.code, 78);
    insta::assert_snapshot!(unordered.err, @r"
    config.yaml:7:12: error: output `v`: a batch may have several rows for one key (customer), and nothing says which of them is the last
      |
    7 | outputs: { v: { mode: upsert, key: customer } }
      |            ^
    hint: select `kafka_partition` and `kafka_offset` in the view (the table need not have them), or name other columns in `order_by`; or give one row for each key: GROUP BY customer, or QUALIFY row_number() OVER (PARTITION BY customer ORDER BY kafka_topic DESC, kafka_partition DESC, kafka_offset DESC) = 1

    1 error
    ");
    // One row for each key, or an order.
    let grouped = "SELECT b.customer, max(b.kafka_offset) AS at, a.name FROM batch b LEFT JOIN accounts a ON a.id = b.customer \
                   GROUP BY b.customer, a.name";
    let numbered = "SELECT n.customer, n.agency, a.name FROM (SELECT *, row_number() OVER (PARTITION BY customer \
                    ORDER BY kafka_offset DESC) AS place FROM batch) n LEFT JOIN accounts a ON a.id = n.customer WHERE n.place = 1";
    let qualified = "SELECT customer, agency FROM batch \
                     QUALIFY row_number() OVER (PARTITION BY customer ORDER BY kafka_offset DESC) < 2";
    let ordered =
        format!("{}, b.kafka_partition, b.kafka_offset FROM", plain.split(" FROM").next().expect("columns"));
    let ordered = plain.replace("SELECT b.customer, b.agency, a.name FROM", &ordered);
    for (more, view) in [
        ("", grouped),
        ("", numbered),
        ("", qualified),
        ("", "SELECT DISTINCT customer FROM batch"),
        ("", ordered.as_str()),
        (", only_newer: value", "SELECT customer, CAST(value AS BIGINT) AS value FROM batch"),
    ] {
        let checked = with(more, view);
        let is_said = checked.err.contains("nothing says which");
        assert!(checked.code == 0 && !is_said, "{view}\n{}", checked.err);
    }
    // Not by the key, or not the first alone.
    for view in [
        "SELECT customer, agency, count(*) AS n FROM batch GROUP BY customer, agency",
        "SELECT DISTINCT customer, agency FROM batch",
        "SELECT customer, agency FROM batch QUALIFY row_number() OVER (PARTITION BY customer, agency ORDER BY kafka_offset) = 1",
        "SELECT customer, agency FROM batch QUALIFY row_number() OVER (PARTITION BY customer ORDER BY kafka_offset) <= 2",
        "SELECT a.customer, n FROM (SELECT customer, count(*) AS n FROM batch GROUP BY customer) a JOIN batch b ON b.customer = a.customer",
        "SELECT customer, agency FROM batch UNION ALL SELECT id, name FROM accounts",
    ] {
        let checked = with("", view);
        assert!(
            checked.code == 78 && checked.err.contains("nothing says which of them is the last"),
            "{view}\n{}",
            checked.err
        );
    }
    let by_value = with(", order_by: value", "SELECT customer, value FROM batch");
    assert_eq!(by_value.code, 0, "{}", by_value.err);
    assert!(
        by_value.err.contains("the next batch replaces it") && by_value.err.contains("`only_newer: value`")
    );
    let deletes = "SELECT customer, kind, is_online AS _delete FROM batch";
    let deletes = with(", only_newer: kind", deletes);
    assert!(
        deletes.code == 0 && deletes.err.contains("a deleted row leaves no `kind` behind"),
        "{}",
        deletes.err
    );
}

#[test]
fn several_connections_need_state_that_follows_the_partitions() {
    let view = "SELECT b.customer, coalesce(s.n, 0) + count(*) AS n FROM batch b LEFT JOIN totals s \
                ON s.customer = b.customer GROUP BY b.customer, s.n";
    let config = |follows: bool, connections: u32| {
        format!(
            "reference_tables: {{}}\nwrite_connections: {connections}\nstate_tables:\n  \
             totals: {{ view: next_totals, key: customer, follows_partition: {follows} }}\n"
        )
    };
    let checked = |config: &str| check(&[("config.yaml", config), ("sql/next_totals.sql", view)]);
    for (follows, connections) in [(true, 2), (false, 1)] {
        let checked = checked(&config(follows, connections));
        assert_eq!(checked.code, 0, "{}", checked.out);
    }
    let wrong = checked(&config(false, 2));
    assert_eq!(wrong.code, 78, "{}", wrong.err);
    let said = "config.yaml:8:3: error: state table `totals` cannot be written by 2 connections, as its rows do not follow \
                the partitions";
    assert!(wrong.err.contains(said), "{}", wrong.err);
    let hint = "hint: write `follows_partition: true` if the messages are keyed by `customer`, or `write_connections: 1`";
    assert!(wrong.err.contains(hint), "{}", wrong.err);
}

#[test]
fn state_that_forgets_or_grows_wrong_is_warned_of() {
    let forgets = "SELECT customer, count(*) AS n FROM batch GROUP BY customer";
    insta::assert_snapshot!(warnings(WITH_STATE, &[("next_totals", forgets)]), @r"
    sql/next_totals.sql:1:18: warning: `count` sees only the rows of one batch, and `next_totals` does not read the old rows of `totals`: the state forgets what was before
      |
    1 | SELECT customer, count(*) AS n FROM batch GROUP BY customer
      |                  ^^^^^
    hint: LEFT JOIN the state table, and add what is new to the old row: `coalesce(s.n, 0) + count(*)`

    1 warning
    ");
    let inexact = "SELECT b.customer,\n  coalesce(max(s.total), 0) + sum(b.value) AS total,\n  \
                   coalesce(max(s.n), 0) + count(*) AS n,\n  \
                   coalesce(max(s.m), b.customer) + b.customer AS m\n\
                   FROM batch b LEFT JOIN totals s ON s.customer = b.customer GROUP BY b.customer";
    insta::assert_snapshot!(warnings(WITH_STATE, &[("next_totals", inexact)]), @r"
    sql/next_totals.sql:2:31: warning: `sum` of doubles in `totals.total`: the sum depends on the order it is added in, and so on how the messages are cut into batches
      |
    2 |   coalesce(max(s.total), 0) + sum(b.value) AS total,
      |                               ^^^
    hint: add what is exact: `CAST(x AS DECIMAL(38, 2))`
    sql/next_totals.sql:4:3: warning: `totals.m` grows as Int32: when it is full, its messages become dead letters
      |
    4 |   coalesce(max(s.m), b.customer) + b.customer AS m
      |   ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    hint: grow in a larger type: `CAST(... AS BIGINT)`

    2 warnings
    ");
}

#[test]
fn functions_that_are_not_repeatable_and_orders_that_are_not_said_are_warned_of() {
    let views = [
        ("clock", "SELECT kafka_partition, kafka_offset, now() AS at, current_date AS day FROM batch"),
        ("chance", "SELECT kafka_partition, kafka_offset, uuid() AS id FROM batch WHERE random() < 0.5"),
        (
            "order_less",
            "SELECT kafka_partition, kafka_offset, lag(value) OVER (PARTITION BY customer) AS before,\n  \
             first_value(agency) OVER (PARTITION BY customer) AS first\nFROM batch",
        ),
        ("some", "SELECT kafka_partition, kafka_offset FROM batch LIMIT 5"),
    ];
    insta::assert_snapshot!(warnings(PLAIN, &views), @r"
    sql/order_less.sql:1:39: warning: `lag` without an order: nothing decides which row comes first
      |
    1 | SELECT kafka_partition, kafka_offset, lag(value) OVER (PARTITION BY customer) AS before,
      |                                       ^^^
    hint: say it: `OVER (PARTITION BY ... ORDER BY kafka_topic, kafka_partition, kafka_offset)`
    sql/order_less.sql:1:39: warning: `lag` sees only the rows of one batch: the rows appended for `order_less`, and their number, depend on how the messages are cut into batches
      |
    1 | SELECT kafka_partition, kafka_offset, lag(value) OVER (PARTITION BY customer) AS before,
      |                                       ^^^
    hint: keep the state of each key in a state table, and read that table here; or append the messages as they are, and count in the database
    sql/order_less.sql:2:3: warning: `first_value` without an order: nothing decides which row comes first
      |
    2 |   first_value(agency) OVER (PARTITION BY customer) AS first
      |   ^^^^^^^^^^^
    hint: say it: `OVER (PARTITION BY ... ORDER BY kafka_topic, kafka_partition, kafka_offset)`
    sql/order_less.sql:2:3: warning: `first_value` sees only the rows of one batch: the rows appended for `order_less`, and their number, depend on how the messages are cut into batches
      |
    2 |   first_value(agency) OVER (PARTITION BY customer) AS first
      |   ^^^^^^^^^^^
    hint: keep the state of each key in a state table, and read that table here; or append the messages as they are, and count in the database
    sql/some.sql:1:49: warning: LIMIT without ORDER BY: nothing decides which rows are kept
      |
    1 | SELECT kafka_partition, kafka_offset FROM batch LIMIT 5
      |                                                 ^^^^^
    hint: say it: `ORDER BY kafka_topic, kafka_partition, kafka_offset LIMIT ...`
    sql/some.sql:1:49: warning: LIMIT sees only the rows of one batch: the rows appended for `some`, and their number, depend on how the messages are cut into batches
      |
    1 | SELECT kafka_partition, kafka_offset FROM batch LIMIT 5
      |                                                 ^^^^^
    hint: keep the state of each key in a state table, and read that table here; or append the messages as they are, and count in the database
    sql/chance.sql:1:39: warning: `uuid` returns another value if a batch is computed again
      |
    1 | SELECT kafka_partition, kafka_offset, uuid() AS id FROM batch WHERE random() < 0.5
      |                                       ^^^^
    hint: derive it from the message: `md5(concat_ws('/', kafka_topic, kafka_partition, kafka_offset))`
    sql/chance.sql:1:69: warning: `random` returns another value if a batch is computed again
      |
    1 | SELECT kafka_partition, kafka_offset, uuid() AS id FROM batch WHERE random() < 0.5
      |                                                                     ^^^^^^
    hint: derive it from the message: `md5(concat_ws('/', kafka_topic, kafka_partition, kafka_offset))`
    sql/clock.sql:1:39: warning: `now` returns another value if a batch is computed again
      |
    1 | SELECT kafka_partition, kafka_offset, now() AS at, current_date AS day FROM batch
      |                                       ^^^
    hint: `kafka_timestamp` is the time of the message, and stays
    sql/clock.sql:1:52: warning: `current_date` returns another value if a batch is computed again
      |
    1 | SELECT kafka_partition, kafka_offset, now() AS at, current_date AS day FROM batch
      |                                                    ^^^^^^^^^^^^
    hint: `kafka_timestamp` is the time of the message, and stays

    10 warnings
    ");
}

#[test]
fn silent_conversions_are_warned_of() {
    let view = "SELECT kafka_partition, kafka_offset,\n  CASE WHEN kind THEN 'a' ELSE 1 END AS mixed,\n  \
                coalesce(agency, 0) AS chosen\nFROM batch\nWHERE agency = 5\n  \
                AND customer = '7' AND value = NULL\nUNION ALL\n\
                SELECT kafka_partition, kafka_offset, 2, agency FROM batch";
    insta::assert_snapshot!(warnings(PLAIN, &[("v", view)]), @r"
    sql/v.sql:2:13: warning: a number as a condition: whatever is not 0 silently counts as true
      |
    2 |   CASE WHEN kind THEN 'a' ELSE 1 END AS mixed,
      |             ^^^^
    hint: write the comparison out: `x <> 0`
    sql/v.sql:2:41: warning: `mixed` has different types in the parts of a UNION: a number is silently made text
      |
    2 |   CASE WHEN kind THEN 'a' ELSE 1 END AS mixed,
      |                                         ^^^^^
    hint: CAST them to one type, the one that the column should have
    sql/v.sql:3:12: warning: the arguments of `coalesce` are of different types: a number is silently made text
      |
    3 |   coalesce(agency, 0) AS chosen
      |            ^^^^^^
    hint: CAST them to one type, the one that the column should have
    sql/v.sql:3:26: warning: `chosen` has different types in the parts of a UNION: a number is silently made text
      |
    3 |   coalesce(agency, 0) AS chosen
      |                          ^^^^^^
    hint: CAST them to one type, the one that the column should have
    sql/v.sql:5:7: warning: text is compared with a number: each text is silently made a number, and the message of one that is none becomes a dead letter
      |
    5 | WHERE agency = 5
      |       ^^^^^^
    hint: compare with text: '5'; or with what is a number only: TRY_CAST(batch.agency AS DOUBLE)
    sql/v.sql:6:7: warning: text is compared with a number: each text is silently made a number, and the message of one that is none becomes a dead letter
      |
    6 |   AND customer = '7' AND value = NULL
      |       ^^^^^^^^
    hint: write the number without quotes: 7
    sql/v.sql:6:26: warning: a comparison with NULL is never true, and never false either
      |
    6 |   AND customer = '7' AND value = NULL
      |                          ^^^^^
    hint: write `x IS NULL` or `x IS NOT NULL`

    7 warnings
    ");
    let good = "SELECT kafka_partition, kafka_offset, CASE WHEN kind = 1 THEN 1 ELSE 0.5 END AS n,\n\
                coalesce(value, customer) AS m FROM batch WHERE is_online AND kafka_timestamp > '2026-01-01'";
    assert_eq!(warnings(PLAIN, &[("v", good)]), "");
}

#[test]
fn keyed_tables_that_are_read_other_than_by_their_key_are_warned_of() {
    let views = [
        ("counted", "SELECT kafka_partition, kafka_offset, (SELECT count(*) FROM accounts) AS n FROM batch"),
        (
            "by_name",
            "SELECT b.kafka_partition, b.kafka_offset, a.id FROM batch b\nJOIN accounts a ON a.name = b.agency",
        ),
        (
            "by_kind",
            "SELECT b.kafka_partition, b.kafka_offset, a.name FROM batch b\nJOIN accounts a ON a.id = b.kind",
        ),
    ];
    insta::assert_snapshot!(warnings(WITH_ACCOUNTS, &views), @r"
    sql/by_kind.sql:2:20: warning: `accounts` is joined on `batch.kind`, but its rows are looked up for `batch.customer` only
      |
    2 | JOIN accounts a ON a.id = b.kind
      |                    ^^^^^^^^^^^^^
    hint: add it to `matches` of `accounts` in the configuration, as an alternative
    sql/by_name.sql:2:6: warning: `accounts` has just the rows whose `id` occurs in the batch, and is not joined on it here
      |
    2 | JOIN accounts a ON a.name = b.agency
      |      ^^^^^^^^
    hint: join it on its key; where all rows are wanted, give the table no `key` (small tables), or read the database
    sql/counted.sql:1:61: warning: `accounts` has just the rows whose `id` occurs in the batch, and is not joined on it here
      |
    1 | SELECT kafka_partition, kafka_offset, (SELECT count(*) FROM accounts) AS n FROM batch
      |                                                             ^^^^^^^^
    hint: join it on its key; where all rows are wanted, give the table no `key` (small tables), or read the database

    3 warnings
    ");
    let good = [
        (
            "a",
            "SELECT b.kafka_partition, b.kafka_offset, a.name FROM batch b, accounts a WHERE b.customer = a.id",
        ),
        ("b", "SELECT kafka_partition, kafka_offset FROM batch WHERE customer IN (SELECT id FROM accounts)"),
        (
            "c",
            "SELECT kafka_partition, kafka_offset FROM batch b\n\
             WHERE NOT EXISTS (SELECT 1 FROM accounts a WHERE a.id = b.customer)",
        ),
        ("rich", "SELECT id AS account, name FROM accounts WHERE score > 200"),
        (
            "d",
            "SELECT b.kafka_partition, b.kafka_offset, r.name\n\
             FROM (SELECT * FROM batch) b LEFT JOIN rich r ON r.account = CAST(b.customer AS BIGINT)",
        ),
    ];
    assert_eq!(warnings(WITH_ACCOUNTS, &good), "");
}

#[test]
fn names_that_are_probably_not_meant_are_warned_of() {
    let views = [
        ("comma", "SELECT kafka_partition, kafka_offset, customer\n  agency\nFROM batch"),
        ("star", "SELECT * FROM batch"),
    ];
    insta::assert_snapshot!(warnings(PLAIN, &views), @r"
    sql/comma.sql:2:3: warning: `customer` gets the name `agency`, which is another column's
      |
    2 |   agency
      |   ^^^^^^
    hint: a comma is missing: `customer, agency`; if the name is meant: `customer AS agency`
    sql/star.sql:1:8: warning: `*` in output `star`: its columns change with whatever it reads, and its table does not
      |
    1 | SELECT * FROM batch
      |        ^
    hint: write the columns out

    2 warnings
    ");
}

#[test]
fn what_is_not_used_is_warned_of() {
    let config = format!("{WITH_ACCOUNTS}outputs: {{ a: }}\n");
    let views = [
        ("a", "SELECT kafka_partition, kafka_offset FROM batch"),
        ("b", "SELECT kafka_partition, kafka_offset FROM a"),
    ];
    insta::assert_snapshot!(warnings(&config, &views), @r"
    sql/b.sql:1:1: warning: view `b` is not used: no output, state table or other view needs it
      |
    1 | SELECT kafka_partition, kafka_offset FROM a
      | ^^^^^^
    hint: name it under `outputs`, or delete the file; a job does not compute it
    config.yaml:5:21: warning: reference table `accounts` is not used: no view reads it
      |
    5 | reference_tables: { accounts: { file: accounts.csv, key: id, matches: customer } }
      |                     ^^^^^^^^
    hint: take it out; a job does not open it

    2 warnings
    ");
}

#[test]
fn what_other_databases_do_otherwise_is_warned_of_unless_the_sql_says_it() {
    let found = |text: &str| {
        let checked = check_with(&[("sql/v.sql", text)], &["--offline", "--format", "json"]);
        let lines = checked.out.lines().map(|line| serde_json::from_str(line).expect("JSON"));
        let told = lines
            .filter(|line: &serde_json::Value| line["type"] == "diagnostic")
            .map(|line| format!("{}:{}", line["column"], line["code"].as_str().unwrap_or_default()));
        let mut told: Vec<String> = told.collect();
        told.sort();
        told.join(" ")
    };
    let view = |column: &str| format!("SELECT kafka_partition, kafka_offset, {column} AS x FROM batch");
    for (column, warning) in [
        ("customer / 2", "39:integer-division"),
        ("trunc(customer / 2)", ""),
        ("CAST(customer / 2 AS BIGINT)", ""),
        ("CAST(customer AS DOUBLE) / 2", ""),
        ("CAST(value AS INT)", "44:fraction-cut-off"),
        ("CAST(round(value) AS INT)", ""),
        ("rank() OVER (ORDER BY nullif(agency, '') DESC)", "39:cut-dependent 68:nulls-first"),
        ("rank() OVER (ORDER BY nullif(agency, '') DESC NULLS LAST)", "39:cut-dependent"),
        ("rank() OVER (ORDER BY kafka_offset DESC)", "39:cut-dependent"),
        ("to_char(kafka_timestamp, 'YYYY-MM-DD')", "64:date-format"),
        ("to_char(kafka_timestamp, '%Y-%m-%d')", ""),
    ] {
        assert_eq!(found(&view(column)), warning, "{column}");
    }
    // A number for grouping is not written.
    let grouped = "SELECT kafka_partition, kafka_offset FROM batch WHERE customer / 100 = 7";
    assert_eq!(found(grouped), "");
}

#[test]
fn text_compared_with_a_date_is_warned_about() {
    let view = "SELECT kafka_partition, kafka_offset, customer FROM batch\n\
                WHERE agency = CAST(kafka_timestamp AS DATE)\n  AND kafka_timestamp > agency\n  \
                AND CAST(kafka_timestamp AS DATE) >= '2026-03-01'";
    let said = warnings(PLAIN, &[("v", view)]);
    assert!(
        said.contains("sql/v.sql:2:7: warning: text is compared with a date: each text is silently"),
        "{said}"
    );
    assert!(said.contains("AS VARCHAR), TRY_CAST(batch.agency AS DATE)"), "{said}");
    assert!(said.contains("text is compared with a timestamp"), "{said}");
    assert_eq!(
        said.matches("text is compared with").count(),
        2,
        "a literal is how people write a date: {said}"
    );
}

#[test]
fn rows_made_of_an_array_say_which_message_they_come_from() {
    let unnested = "SELECT kafka_partition, kafka_offset, unnest(make_array(customer, 7)) AS x FROM batch";
    let checked = check_with(&[("sql/v.sql", unnested)], &["--offline", "--format", "json"]);
    assert!(!checked.out.contains("no-message-identity"), "{}", checked.out);
    let without = "SELECT kafka_offset, unnest(make_array(customer, 7)) AS x FROM batch";
    let checked = check_with(&[("sql/v.sql", without)], &["--offline", "--format", "json"]);
    assert!(checked.out.contains("no-message-identity"), "{}", checked.out);
}

#[test]
fn ten_typical_mistakes_are_told_with_their_place_and_what_to_do() {
    let views = [
        ("misspelt", "SELECT custmer FROM batch"),
        ("comma", "SELECT customer agency value FROM batch"),
        ("silent_comma", "SELECT customer agency FROM batch"),
        ("branches", "SELECT CASE WHEN kind = 1 THEN 'a' ELSE 1 END AS x FROM batch"),
        ("unknown", "SELECT uper(agency) AS x FROM batch"),
        ("ungrouped", "SELECT customer, count(*) AS n FROM batch"),
        ("cycle", "SELECT * FROM cycle"),
        ("twice", "SELECT customer, value AS customer FROM batch"),
        ("ambiguous", "SELECT customer FROM batch a JOIN batch b ON a.kafka_offset = b.kafka_offset"),
        ("star", "SELECT * FROM batch"),
        ("compared", "SELECT customer FROM batch WHERE agency = 7"),
    ];
    let mut told = Vec::new();
    for (name, text) in views {
        let path = format!("sql/{name}.sql");
        let checked = check_with(&[(&path, text)], &["--offline", "--format", "json"]);
        let lines = checked.out.lines().map(|line| serde_json::from_str(line).expect("JSON"));
        let found: Vec<serde_json::Value> =
            lines.filter(|line: &serde_json::Value| line["type"] == "diagnostic").collect();
        let is_of_interest = |found: &&serde_json::Value| found["code"] != "no-message-identity";
        for found in found.iter().filter(is_of_interest) {
            let text = |key: &str| found[key].as_str().unwrap_or_default();
            let line = format!("{name}:{}: {} ({})", found["column"], text("message"), text("code"));
            told.push(format!("{line}\n  {}", text("hint")));
        }
    }
    insta::assert_snapshot!(told.join("\n"), @r"
    misspelt:8: no column `custmer` (unknown-column)
      did you mean `customer`?
    comma:24: expected: end of statement, found: value (syntax)
      is a comma missing before `value`?
    silent_comma:17: `customer` gets the name `agency`, which is another column's (missing-comma)
      a comma is missing: `customer, agency`; if the name is meant: `customer AS agency`
    branches:18: the branches of a CASE are of different types: a number is silently made text (silent-conversion)
      CAST them to one type, the one that the column should have
    unknown:8: invalid function 'uper' (unknown-function)
      did you mean `upper`?
    ungrouped:8: `batch.customer` is neither in GROUP BY nor inside an aggregate function (grouping)
      add it to GROUP BY, or say which of the group's values is meant: `max(batch.customer) AS customer`
    cycle:15: `cycle` reads itself (cycle)
      what a view reads must be computed before it
    twice:18: two columns are called `customer` (duplicate-column)
      give one of them another name: `expression AS name`
    ambiguous:8: `customer` is ambiguous: more than one relation has a column of that name (ambiguous-column)
      write `relation.column`
    star:8: `*` in output `star`: its columns change with whatever it reads, and its table does not (star)
      write the columns out
    compared:34: text is compared with a number: each text is silently made a number, and the message of one that is none becomes a dead letter (silent-conversion)
      compare with text: '7'; or with what is a number only: TRY_CAST(batch.agency AS DOUBLE)
    ");
}

/// A SQLite file with these tables in the folder of the project.
async fn with_tables(statements: &[&str]) -> tempfile::TempDir {
    use realtime_processor::database::{Address, Connection, Purpose};
    let folder = tempfile::tempdir().expect("a folder");
    let address = Address::Sqlite { path: folder.path().join("out.db") };
    let mut database = Connection::open(&address, Purpose::Write { create: true }).await.expect("a database");
    for statement in statements {
        database.run(statement).await.expect("a statement");
    }
    folder
}

#[tokio::test]
async fn tables_that_do_not_fit_are_told_at_the_column_of_the_view() {
    let tables = [
        "CREATE TABLE movements (kafka_partition INT, kafka_offset INT, must TEXT NOT NULL)",
        "CREATE TABLE whole (kafka_partition INT, kafka_offset INT, customer INT, agency TEXT)",
        "CREATE TABLE branches (code TEXT PRIMARY KEY, city TEXT)",
    ];
    let folder = with_tables(&tables).await;
    let config = "reference_tables:\n  branches: { table: branches, key: id, matches: agency }\n  \
                  cities: { table: branches, key: code, matches: agency }\nstate_tables: {}\n\
                  outputs:\n  movements:\n  whole:\n  cities_seen:\n";
    let files = [
        ("config.yaml", config),
        ("sql/movements.sql", "SELECT kafka_partition, kafka_offset,\n  customer AS client\nFROM batch"),
        ("sql/whole.sql", "SELECT *\nFROM batch"),
        (
            "sql/cities_seen.sql",
            "SELECT b.kafka_partition, b.kafka_offset, c.town\nFROM batch b JOIN cities c ON c.code = b.agency",
        ),
        ("sql/by_id.sql", "SELECT b.kafka_offset FROM batch b JOIN branches x ON x.id = b.agency"),
    ];
    let checked = check_support::check_in(folder, &files, &["--offline"]);
    assert_eq!(checked.code, 78);
    insta::assert_snapshot!(checked.err, @r#"
    config.yaml:6:3: error: reference table `branches`: no column `id` for its key; there is `code`, `city`
      |
    6 |   branches: { table: branches, key: id, matches: agency }
      |   ^^^^^^^^
    config.yaml:10:3: error: table movements.must: NOT NULL without a default, and view `movements` has no such column
       |
    10 |   movements:
       |   ^^^^^^^^^
    hint: add it to the view, or give it a default
    sql/cities_seen.sql:1:43: error: `c` has no column `town`
      |
    1 | SELECT b.kafka_partition, b.kafka_offset, c.town
      |                                           ^^^^^^
    hint: there is `city`, `code`
    sql/whole.sql:1:8: warning: `*` in output `whole`: its columns change with whatever it reads, and its table does not
      |
    1 | SELECT *
      |        ^
    hint: write the columns out
    sql/whole.sql:1:8: error: table whole.value: no such column, view `whole` needs it (Float64); the table has kafka_partition, kafka_offset, customer, agency
      |
    1 | SELECT *
      |        ^
    hint: ALTER TABLE whole ADD COLUMN "value" REAL
    sql/whole.sql:1:8: error: table whole.kind: no such column, view `whole` needs it (Int32); the table has kafka_partition, kafka_offset, customer, agency
      |
    1 | SELECT *
      |        ^
    hint: ALTER TABLE whole ADD COLUMN "kind" INTEGER
    sql/whole.sql:1:8: error: table whole.is_online: no such column, view `whole` needs it (Boolean); the table has kafka_partition, kafka_offset, customer, agency
      |
    1 | SELECT *
      |        ^
    hint: ALTER TABLE whole ADD COLUMN "is_online" BOOLEAN
    sql/whole.sql:1:8: error: table whole.kafka_topic: no such column, view `whole` needs it (Utf8); the table has kafka_partition, kafka_offset, customer, agency
      |
    1 | SELECT *
      |        ^
    hint: ALTER TABLE whole ADD COLUMN "kafka_topic" TEXT
    sql/whole.sql:1:8: error: table whole.kafka_timestamp: no such column, view `whole` needs it (Timestamp(ms, "UTC")); the table has kafka_partition, kafka_offset, customer, agency
      |
    1 | SELECT *
      |        ^
    hint: ALTER TABLE whole ADD COLUMN "kafka_timestamp" DATETIME(6)
    sql/whole.sql:1:8: error: table whole.kafka_key: no such column, view `whole` needs it (Binary); the table has kafka_partition, kafka_offset, customer, agency
      |
    1 | SELECT *
      |        ^
    hint: ALTER TABLE whole ADD COLUMN "kafka_key" BLOB
    sql/whole.sql:1:8: error: table whole.kafka_headers: no such column, view `whole` needs it (Map("entries": non-null Struct("key": non-null Utf8, "value": Binary), unsorted)); the table has kafka_partition, kafka_offset, customer, agency
      |
    1 | SELECT *
      |        ^
    hint: ALTER TABLE whole ADD COLUMN "kafka_headers" TEXT
    sql/movements.sql:2:3: error: table movements.client: no such column, view `movements` needs it (Int32); the table has kafka_partition, kafka_offset, must
      |
    2 |   customer AS client
      |   ^^^^^^^^^^^^^^^^^^
    hint: ALTER TABLE movements ADD COLUMN "client" INTEGER

    11 errors, 1 warning
    "#);
}

/// A database of its own on the server, with these tables: its address, with `?` for the password.
async fn on_mysql(name: &str, statements: &[&str]) -> String {
    use realtime_processor::database::{Address, Connection, Purpose};
    let url =
        std::env::var("MYSQL_ADMIN_URL").expect("MYSQL_ADMIN_URL=mysql://user:password@host:port/database");
    let name = format!("rt_check_{name}_{}", std::process::id());
    let open = async |url: &str| {
        let address = Address::parse(url, std::path::Path::new(".")).expect("an address");
        Connection::open(&address, Purpose::Read).await.expect("a server")
    };
    open(&url).await.run(&format!("CREATE DATABASE {name}")).await.expect("created");
    let (server, _) = url.rsplit_once('/').expect("a database");
    let url = format!("{server}/{name}");
    let mut connection = open(&url).await;
    for statement in statements {
        connection.run(statement).await.expect("a statement");
    }
    url
}

async fn drop_database(url: &str) {
    use realtime_processor::database::{Address, Connection, Purpose};
    let address = Address::parse(url, std::path::Path::new(".")).expect("an address");
    let mut connection = Connection::open(&address, Purpose::Read).await.expect("a server");
    let (_, name) = url.rsplit_once('/').expect("a database");
    connection.run(&format!("DROP DATABASE {name}")).await.expect("dropped");
}

#[tokio::test]
async fn a_column_that_has_another_name_in_the_table_is_named() {
    let table =
        "CREATE TABLE orders (id INTEGER PRIMARY KEY, \"orderNumber\" INT, \"kafkaOffset\" INT, note TEXT)";
    let folder = with_tables(&[table]).await;
    let config = "reference_tables: {}\nstate_tables: {}\noutputs: { orders: }\n";
    let view = "SELECT customer AS order_no, kafka_offset, value AS quantity FROM batch";
    let files = [("config.yaml", config), ("sql/orders.sql", view)];
    let checked = check_support::check_in(folder, &files, &["--offline"]);
    assert_eq!(checked.code, 78);
    let hints: Vec<&str> = checked.err.lines().filter(|line| line.contains("ALTER TABLE")).collect();
    insta::assert_snapshot!(hints.join("\n"), @r#"
    hint: name it as the table does: `order_no AS "orderNumber"`; or ALTER TABLE orders ADD COLUMN "order_no" INTEGER
    hint: name it as the table does: `kafka_offset AS "kafkaOffset"`; or ALTER TABLE orders ADD COLUMN "kafka_offset" INTEGER
    hint: ALTER TABLE orders ADD COLUMN "quantity" REAL
    "#);
}

/// Orders with all kinds of fields: a record, lists, and what may be NULL.
const ORDER: &str = r#"{"type": "record", "name": "Order", "fields": [
  {"name": "order_no", "type": "string"},
  {"name": "customer", "type": {"type": "record", "name": "Customer", "fields": [
    {"name": "id", "type": "long"}, {"name": "name", "type": "string"},
    {"name": "country", "type": ["null", "string"], "default": null}]}},
  {"name": "referrer", "type": ["null", "Customer"], "default": null},
  {"name": "placed_at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
  {"name": "status", "type": {"type": "enum", "name": "Status", "symbols": ["OPEN", "PAID", "CANCELLED"]}},
  {"name": "total", "type": {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 2}},
  {"name": "note", "type": ["null", "string"], "default": null},
  {"name": "attributes", "type": {"type": "map", "values": "string"}},
  {"name": "lines", "type": {"type": "array", "items": {"type": "record", "name": "Line", "fields": [
    {"name": "line_no", "type": "int"}, {"name": "sku", "type": "string"}, {"name": "quantity", "type": "int"},
    {"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 10, "scale": 2}}]}}}
]}"#;

const ORDERS: &str = "SELECT\n  order_no AS \"orderNumber\",\n  customer.name AS \"customerName\",\n  \
                      coalesce(customer.country, 'XX') AS country,\n  lower(status) AS state,\n  total AS amount,\n  \
                      note,\n  attributes,\n  placed_at AS placed,\n  kafka_partition, kafka_offset\nFROM batch";

#[tokio::test]
async fn columns_that_may_get_null_are_one_warning_for_each_table() {
    let tables = [
        "CREATE TABLE orders (orderNumber TEXT NOT NULL, customerName TEXT NOT NULL, country TEXT NOT NULL, state TEXT NOT \
         NULL, amount DECIMAL_TEXT(12,2) NOT NULL, note TEXT NOT NULL, attributes TEXT NOT NULL, placed DATETIME(6) NOT NULL, kafka_partition INT, \
         kafka_offset INT)",
        "CREATE TABLE referred (name TEXT NOT NULL, share DECIMAL_TEXT(6,5) NOT NULL, first TEXT NOT NULL, kafka_partition INT, kafka_offset \
         INT)",
    ];
    let folder = with_tables(&tables).await;
    let config = "reference_tables: {}\nstate_tables: {}\noutputs: { orders: , referred: }\n";
    let referred = "SELECT referrer.name AS name, 1.0 / customer.id AS share,\n  lines[1].sku AS first, kafka_partition, \
                    kafka_offset FROM batch";
    let files = [
        ("config.yaml", config),
        ("schema.avsc", ORDER),
        ("sql/orders.sql", ORDERS),
        ("sql/referred.sql", referred),
    ];
    let checked = check_support::check_in(folder, &files, &["--offline"]);
    assert_eq!(checked.code, 0, "{}", checked.err);
    insta::assert_snapshot!(checked.err, @r"
    sql/orders.sql:7:3: warning: table orders: view `orders` may return NULL for note, which is NOT NULL: the message becomes a dead letter
      |
    7 |   note,
      |   ^^^^
    hint: if there is a right value in place of NULL, write `coalesce(x, ...)`; otherwise leave it as it is, or let the column be NULL
    sql/referred.sql:1:8: warning: table referred: view `referred` may return NULL for name, first, which are NOT NULL: the message becomes a dead letter
      |
    1 | SELECT referrer.name AS name, 1.0 / customer.id AS share,
      |        ^^^^^^^^^^^^^^^^^^^^^
    hint: if there is a right value in place of NULL, write `coalesce(x, ...)`; otherwise leave it as it is, or let the column be NULL

    2 warnings
    ");
}

/// What the readers of a project see that is right: who must look for the one that matters reads none.
#[tokio::test]
#[ignore = "needs MySQL and Kafka: scripts/services up"]
async fn a_sound_project_on_existing_tables_has_few_warnings() {
    let url = on_mysql(
        "sound",
        &[
            "CREATE TABLE orders (id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, orderNumber VARCHAR(20) NOT NULL, customerName \
             VARCHAR(60) NOT NULL, country CHAR(2) NOT NULL, state ENUM('open','paid','cancelled') NOT NULL, amount \
             DECIMAL(12,2) NOT NULL, note VARCHAR(200) NULL, attributes JSON NULL, placed TIMESTAMP(3) NOT NULL, created_at \
             TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, UNIQUE KEY orderNumber (orderNumber)) COLLATE utf8mb4_0900_ai_ci",
            "CREATE TABLE order_lines (orderNumber VARCHAR(20) COLLATE utf8mb4_0900_bin NOT NULL, lineNo INT NOT NULL, article \
             VARCHAR(30) NOT NULL, quantity INT NOT NULL, price DECIMAL(10,2) NOT NULL, PRIMARY KEY (orderNumber, lineNo))",
            "CREATE TABLE large_orders (id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, order_number VARCHAR(20) NOT NULL, \
             customer_id BIGINT NOT NULL, amount DECIMAL(12,2) NOT NULL, reason VARCHAR(40) NOT NULL, kafka_partition INT NOT \
             NULL, kafka_offset BIGINT NOT NULL)",
        ],
    )
    .await;
    let config = format!(
        "database: {url}\nreference_tables: {{}}\nstate_tables: {{}}\noutputs:\n  orders: {{ mode: upsert, key: orderNumber }}\n  \
         order_lines: {{ mode: replace, key: [orderNumber, lineNo], parent: orderNumber }}\n  large_orders: {{}}\n"
    );
    let lines = "SELECT order_no AS \"orderNumber\", line.line_no AS \"lineNo\", line.sku AS article, line.quantity AS quantity,\n  \
                 line.price AS price, false AS _delete, kafka_partition, kafka_offset\nFROM (SELECT order_no, unnest(lines) AS \
                 line, kafka_partition, kafka_offset FROM batch)\nUNION ALL\nSELECT order_no, NULL, NULL, NULL, NULL, true, \
                 kafka_partition, kafka_offset FROM batch WHERE cardinality(lines) = 0";
    let large = "SELECT order_no AS order_number, customer.id AS customer_id, total AS amount,\n  CASE WHEN total >= 8000.00 \
                 THEN 'very large' ELSE 'large' END AS reason, kafka_partition, kafka_offset\nFROM batch WHERE total >= \
                 5000.00 AND status <> 'CANCELLED'";
    let files = [
        ("config.yaml", config.as_str()),
        ("schema.avsc", ORDER),
        ("sql/orders.sql", ORDERS),
        ("sql/order_lines.sql", lines),
        ("sql/large_orders.sql", large),
    ];
    // The broker of the project is away, which is told last.
    let checked = check_with(&files, &[]);
    drop_database(&url).await;
    assert_eq!(checked.code, 1, "{}", checked.err);
    let (warnings, _) =
        checked.err.split_once("config.yaml:1:1: error: no Kafka broker").expect("the broker");
    insta::assert_snapshot!(warnings.trim_end(), @r#"
    sql/orders.sql:2:3: warning: table orders.orderNumber: its collation utf8mb4_0900_ai_ci treats keys that differ only in case or accents as equal: they are one row, with the key of the first and the other values of the last
      |
    2 |   order_no AS "orderNumber",
      |   ^^^^^^^^^^^^^^^^^^^^^^^^^
    hint: if they are different keys, change the column to COLLATE utf8mb4_0900_bin
    sql/orders.sql:2:3: warning: the schema does not limit the texts for these columns, and the message of one that is too long becomes a dead letter: orders (orderNumber varchar(20), customerName varchar(60), country char(2), note varchar(200)), order_lines (orderNumber varchar(20), article varchar(30)), large_orders (order_number varchar(20))
      |
    2 |   order_no AS "orderNumber",
      |   ^^^^^^^^^^^^^^^^^^^^^^^^^
    hint: `check --sample` compares them with the last messages; a column can be longer, and a text that is no key can be cut: `left(x, n)`
    "#);
}

#[tokio::test]
#[ignore = "needs MySQL and Kafka: scripts/services up"]
async fn tables_of_mysql_that_do_not_fit_are_told() {
    let url = on_mysql(
        "tables",
        &[
            "CREATE TABLE movements (id BIGINT AUTO_INCREMENT PRIMARY KEY, kafka_partition INT, kafka_offset BIGINT, \
             must INT NOT NULL, agency VARCHAR(4), cut VARCHAR(4), word VARCHAR(7), topic VARCHAR(249))",
            "CREATE TABLE branches (code VARCHAR(10) PRIMARY KEY, city TEXT)",
        ],
    )
    .await;
    let config = format!(
        "database: {url}\nreference_tables:\n  branches: {{ table: branches, key: id, matches: agency }}\nstate_tables: {{}}\n"
    );
    let view = "SELECT b.kafka_partition, b.kafka_offset,\n  b.customer AS client,\n  b.agency,\n  \
                left(b.agency, 4) AS cut,\n  CASE WHEN b.kind = 1 THEN 'deposit' END AS word,\n  \
                b.kafka_topic AS topic\nFROM batch b";
    let files = [("config.yaml", config.as_str()), ("sql/movements.sql", view)];
    let joined = (
        "sql/v.sql",
        "SELECT b.kafka_partition, b.kafka_offset FROM batch b JOIN branches x ON x.id = b.agency",
    );
    // The broker of the project is away, which is told last.
    let checked = check_with(&[files[0], files[1], joined], &[]);
    drop_database(&url).await;
    assert_eq!(checked.code, 78);
    insta::assert_snapshot!(checked.err, @r"
    config.yaml:1:1: error: no Kafka broker answers at 127.0.0.1:1: Meta data fetch error: BrokerTransportFailure (Local: Broker transport failure)
      |
    1 | kafka_server: 127.0.0.1:1
      | ^^^^^^^^^^^^
    hint: is it running, and is `kafka_server` right?
    config.yaml:6:3: error: reference table `branches`: no column `id` for its key; there is `code`, `city`
      |
    6 |   branches: { table: branches, key: id, matches: agency }
      |   ^^^^^^^^
    sql/movements.sql:1:1: error: table movements.must: NOT NULL without a default, and view `movements` has no such column
      |
    1 | SELECT b.kafka_partition, b.kafka_offset,
      | ^^^^^^
    hint: add it to the view, or give it a default
    sql/movements.sql:2:3: error: table movements.client: no such column, view `movements` needs it (Int32); the table has id, kafka_partition, kafka_offset, must, agency, cut, word, topic
      |
    2 |   b.customer AS client,
      |   ^^^^^^^^^^^^^^^^^^^^
    hint: ALTER TABLE movements ADD COLUMN `client` INT
    sql/movements.sql:3:3: warning: the schema does not limit the texts for these columns, and the message of one that is too long becomes a dead letter: movements (agency varchar(4))
      |
    3 |   b.agency,
      |   ^^^^^^^^
    hint: `check --sample` compares them with the last messages; a column can be longer, and a text that is no key can be cut: `left(x, n)`

    4 errors, 1 warning
    ");
}

#[tokio::test]
#[ignore = "needs MySQL and Kafka: scripts/services up"]
async fn a_password_that_is_wrong_is_told_and_not_shown() {
    let url = std::env::var("MYSQL_ADMIN_URL").expect("MYSQL_ADMIN_URL");
    let (user, server) = url.rsplit_once('@').expect("a user");
    let (user, _) = user.rsplit_once(':').expect("a password");
    let config = format!("database: {user}:hidden@{server}\nreference_tables: {{}}\nstate_tables: {{}}\n");
    let checked = check_with(&[("config.yaml", &config), ("sql/movements.sql", GOOD)], &[]);
    assert_eq!(checked.code, 78);
    assert!(checked.err.contains("config.yaml:4:1: error: the database mysql://"), "{}", checked.err);
    assert!(checked.err.contains("cannot be used") && !checked.err.contains("hidden"), "{}", checked.err);
}
