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
      movements  <- batch

    output movements, appended
      column           Arrow  MySQL     SQLite
      kafka_topic      Utf8   LONGTEXT  TEXT
      kafka_partition  Int32  INT       INTEGER
      kafka_offset     Int64  BIGINT    INTEGER
      customer         Int32  INT       INTEGER
      agency           Utf8   LONGTEXT  TEXT
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
    {"type":"table","name":"realtime_offsets","role":"program","view":null,"key":null,"exists":false,"columns":[],"ddl":"CREATE TABLE IF NOT EXISTS \"realtime_offsets\" (\n  job VARCHAR(255) NOT NULL,\n  kafka_topic VARCHAR(249) NOT NULL,\n  kafka_partition INT NOT NULL,\n  next_offset BIGINT NOT NULL,\n  epoch BIGINT NOT NULL,\n  message_time DATETIME(3) NULL,\n  recent_messages BIGINT NOT NULL DEFAULT 0,\n  recent_dead_letters BIGINT NOT NULL DEFAULT 0,\n  updated_at DATETIME(6) NOT NULL,\n  PRIMARY KEY (job, kafka_topic, kafka_partition)\n)"}
    {"type":"table","name":"dead_letters","role":"program","view":null,"key":null,"exists":false,"columns":[],"ddl":"CREATE TABLE IF NOT EXISTS \"dead_letters\" (\n  id INTEGER PRIMARY KEY AUTOINCREMENT,\n  job VARCHAR(255) NOT NULL,\n  kafka_topic VARCHAR(249) NOT NULL,\n  kafka_partition INT NOT NULL,\n  kafka_offset BIGINT NOT NULL,\n  kafka_timestamp DATETIME(3) NULL,\n  kafka_key BLOB NULL,\n  kafka_headers TEXT NOT NULL,\n  payload BLOB NULL,\n  stage VARCHAR(16) NOT NULL,\n  place TEXT NOT NULL,\n  reason TEXT NOT NULL,\n  created_at DATETIME(6) NOT NULL,\n  replayed_at DATETIME(6) NULL\n)"}
    {"type":"table","name":"realtime_sql_versions","role":"program","view":null,"key":null,"exists":false,"columns":[],"ddl":"CREATE TABLE IF NOT EXISTS \"realtime_sql_versions\" (\n  version VARCHAR(64) NOT NULL PRIMARY KEY,\n  files TEXT NOT NULL,\n  first_used_at DATETIME(6) NOT NULL\n)"}
    {"type":"table","name":"realtime_sql_history","role":"program","view":null,"key":null,"exists":false,"columns":[],"ddl":"CREATE TABLE IF NOT EXISTS \"realtime_sql_history\" (\n  job VARCHAR(255) NOT NULL,\n  kafka_topic VARCHAR(249) NOT NULL,\n  kafka_partition INT NOT NULL,\n  from_offset BIGINT NOT NULL,\n  version VARCHAR(64) NOT NULL,\n  PRIMARY KEY (job, kafka_topic, kafka_partition, from_offset)\n)"}
    {"type":"table","name":"w","role":"append","view":"w","key":null,"exists":false,"columns":[{"name":"kafka_topic","arrow":"Utf8","mysql":"LONGTEXT","column":"TEXT","declared":null},{"name":"kafka_partition","arrow":"Int32","mysql":"INT","column":"INTEGER","declared":null},{"name":"kafka_offset","arrow":"Int64","mysql":"BIGINT","column":"INTEGER","declared":null},{"name":"customer","arrow":"Int32","mysql":"INT","column":"INTEGER","declared":null},{"name":"agency","arrow":"Utf8","mysql":"LONGTEXT","column":"TEXT","declared":null}],"ddl":"CREATE TABLE IF NOT EXISTS \"w\" (\n  \"kafka_topic\" TEXT,\n  \"kafka_partition\" INTEGER,\n  \"kafka_offset\" INTEGER,\n  \"customer\" INTEGER,\n  \"agency\" TEXT\n)"}
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

    CREATE TABLE IF NOT EXISTS "movements" (
      "kafka_topic" TEXT,
      "kafka_partition" INTEGER,
      "kafka_offset" INTEGER,
      "customer" INTEGER,
      "agency" TEXT
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
