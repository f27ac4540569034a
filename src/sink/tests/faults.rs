//! Whose fault it is, and that nothing is left half-done.

use std::time::{Duration, Instant};

use super::*;
use crate::batch::Tally;

on_each_database!(
    values_that_do_not_fit_are_found_before_any_statement,
    what_a_constraint_refuses_is_said_with_the_values,
    what_the_database_refuses_is_rolled_back,
    a_commit_that_was_dropped_halfway_leaves_nothing,
    a_locked_row_is_infrastructure,
);

async fn values_that_do_not_fit_are_found_before_any_statement(place: &Place) {
    place
        .run(
            "CREATE TABLE rows_out (x DOUBLE, small SMALLINT, name VARCHAR(3) NOT NULL, exact DECIMAL(4,2), \
             made INT NOT NULL DEFAULT 7, day DATE)",
        )
        .await;
    let fields = |name: &str, kind: DataType| -> SchemaRef {
        let mut fields = vec![Field::new(name, kind, true)];
        if name != "name" {
            fields.push(Field::new("name", DataType::Utf8, true));
        }
        Arc::new(Schema::new(fields))
    };
    let decimals = |value| {
        Arc::new(Decimal128Array::from(vec![value]).with_precision_and_scale(10, 3).expect("fits"))
            as ArrayRef
    };
    let mut cases: Vec<(&str, ArrayRef, &str)> = vec![
        ("x", Arc::new(Float64Array::from(vec![f64::NAN])), "NaN is no number of SQL"),
        ("x", Arc::new(Float64Array::from(vec![f64::NEG_INFINITY])), "-inf is no number"),
        ("x", Arc::new(Int64Array::from(vec![(1_i64 << 53) + 1])), "9007199254740993 is out of range"),
        ("name", Arc::new(StringArray::from(vec![None::<&str>])), "NULL in a column that is NOT NULL"),
        ("day", Arc::new(Date32Array::from(vec![i32::MAX])), "DATE takes the years 1 to 9999"),
    ];
    if place.is_mysql() {
        cases.extend([
            (
                "small",
                Arc::new(Int64Array::from(vec![32_768])) as ArrayRef,
                "out of range, SMALLINT takes -32768 to 32767",
            ),
            (
                "name",
                Arc::new(StringArray::from(vec!["José"])),
                "4 characters, the column takes at most 3: \"José\"",
            ),
            (
                "exact",
                decimals(12_345),
                "12.345 does not fit DECIMAL(4,2): it has 3 digits after the point, the column takes 2",
            ),
            (
                "exact",
                decimals(100_000),
                "100.000 does not fit DECIMAL(4,2): it has 3 digits before the point, the column takes 2",
            ),
        ]);
    }
    for (column, array, reason) in cases {
        let schema = fields(column, array.data_type().clone());
        let mut owner = place.owner(target(&schema, Mode::Append)).await;
        let mut columns = vec![array];
        if column != "name" {
            columns.push(Arc::new(StringArray::from(vec!["abc"])));
        }
        let batch = RecordBatch::try_new(Arc::clone(&schema), columns).expect("fits");
        let error = owner.write(vec![batch]).await.expect_err(reason);
        assert_eq!((error.fault(), error.place()), (Fault::Data, format!("rows_out.{column}")), "{error}");
        assert!(error.reason().message.contains(reason), "{error}");
    }
    assert_eq!(place.count("rows_out").await, 0);
}

#[tokio::test]
#[ignore = "needs MySQL: scripts/services up"]
async fn a_refused_value_is_said_with_what_its_column_takes() {
    let place = Place::mysql().await;
    place.run("CREATE TABLE rows_out (id INT, name ENUM('red', 'green'))").await;
    let mut owner = place.owner(target(&people_schema(), Mode::Append)).await;
    let rows = people(&[(Some(1), Some("red")), (Some(2), Some("purple")), (Some(3), Some("green"))]);
    let prepared = owner.sink.tables().prepare(owner.batch(vec![rows])).expect("fits");
    let refused = owner.sink.find_refused(&prepared).await;
    assert_eq!(refused.len(), 1);
    let (row, reason) = (refused[0].row, refused[0].error.reason().message);
    assert_eq!(row, 1);
    assert!(reason.contains("found \"purple\", the column is enum('red','green')"), "{reason}");
    place.drop_database().await;
}

async fn what_a_constraint_refuses_is_said_with_the_values(place: &Place) {
    for statement in [
        "CREATE TABLE names (name VARCHAR(10) PRIMARY KEY)",
        "INSERT INTO names VALUES ('known')",
        "CREATE TABLE rows_out (id INT, name VARCHAR(10), CONSTRAINT small CHECK (id < 10), \
         FOREIGN KEY (name) REFERENCES names (name))",
    ] {
        place.run(statement).await;
    }
    let mut owner = place.owner(target(&people_schema(), Mode::Append)).await;
    let condition = if place.is_mysql() { "(`id` < 10)" } else { "id < 10" };
    for (row, expected) in [
        ((Some(70), Some("known")), format!("found id = 70, the condition is {condition}")),
        ((Some(1), Some("unknown")), "found name = \"unknown\", which names (name) does not have".to_owned()),
    ] {
        let error = owner.write(vec![people(&[row])]).await.expect_err("refused");
        assert_eq!(error.fault(), Fault::Data, "{error}");
        assert!(error.reason().message.ends_with(&expected), "{expected}: {error}");
    }
    assert_eq!(place.count("rows_out").await, 0);
}

async fn what_the_database_refuses_is_rolled_back(place: &Place) {
    place.run("CREATE TABLE rows_out (id INT, name VARCHAR(10), CHECK (id < 10))").await;
    let other =
        Target { name: "other".into(), table: "other".into(), ..target(&people_schema(), Mode::Append) };
    let mut sink = place.sink(&[other, target(&people_schema(), Mode::Append)]).await.expect("connects");
    let claim = claim_one(&mut sink).await;
    let rows = |id| vec![vec![people(&[(Some(1), None)])], vec![people(&[(Some(id), None)])]];
    let error = sink.prepare_and_commit(&commit(&claim, rows(10))).await.expect_err("refused");
    assert_eq!(error.fault(), Fault::Data, "{error}");
    assert!(error.place().starts_with("rows_out"), "{}", error.place());
    assert_eq!(place.count("other").await, 0, "the first output was rolled back");
    assert_eq!(sink.stored(&[partition(0)]).await.expect("reads"), [Some(100)]);
    sink.prepare_and_commit(&commit(&claim, rows(9))).await.expect("the next try is not disturbed");
    assert_eq!((place.count("other").await, place.count("rows_out").await), (1, 1));

    place.run("DROP TABLE rows_out").await;
    let claim = Claim { next_offset: 110, ..claim };
    let error = sink.prepare_and_commit(&commit(&claim, rows(9))).await.expect_err("no table");
    assert_eq!(error.fault(), Fault::Other, "{error}");
    assert_eq!(place.count("other").await, 1);
}

async fn a_commit_that_was_dropped_halfway_leaves_nothing(place: &Place) {
    let mut owner = place.owner(target(&people_schema(), Mode::Append)).await;
    let rows: Vec<(Option<i32>, Option<&str>)> = (0..5000).map(|id| (Some(id), Some("x"))).collect();
    let batch = owner.batch(vec![people(&rows)]);
    let sink = &mut owner.sink;
    for micros in [1, 500, 1500, 4000] {
        let dropped =
            tokio::time::timeout(Duration::from_micros(micros), sink.prepare_and_commit(&batch)).await;
        if dropped.is_ok() {
            break;
        }
        // The old session ends by itself; until then its locks may be in the way.
        let deadline = Instant::now() + Duration::from_secs(20);
        let outcome = loop {
            match sink.outcome(&batch.advances).await {
                Ok(outcome) => break outcome,
                Err(error) => {
                    assert!(error.fault() == Fault::Infrastructure && Instant::now() < deadline, "{error}")
                }
            }
        };
        let expected = if outcome == Outcome::Committed { 5000 } else { 0 };
        assert_eq!(place.count("rows_out").await, expected);
        if outcome == Outcome::Committed {
            return;
        }
    }
    sink.prepare_and_commit(&batch).await.ok();
    assert_eq!(place.count("rows_out").await, 5000);
}

async fn a_locked_row_is_infrastructure(place: &Place) {
    let mut owner = place.owner(target(&people_schema(), Mode::Append)).await;
    let mut other = place.connection().await;
    other.begin().await.expect("begins");
    other.execute("UPDATE realtime_offsets SET updated_at = updated_at", Vec::new()).await.expect("locks");
    let rows = vec![people(&[(Some(1), None)])];
    let started = Instant::now();
    let error = owner.write(rows.clone()).await.expect_err("waits in vain");
    assert_eq!(error.fault(), Fault::Infrastructure, "{error}");
    assert!((4..9).contains(&started.elapsed().as_secs()), "{:?}", started.elapsed());
    other.rollback().await.expect("rolls back");
    owner.write(rows).await.expect("commits");
    assert_eq!(place.count("rows_out").await, 1);
}

#[tokio::test]
async fn a_file_that_cannot_be_used_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("file");
    std::fs::write(&file, "this is no database, but it is long enough to be looked at").expect("writes");
    let connect =
        |path: std::path::PathBuf, create| Sink::connect(Address::Sqlite { path }, "job", Vec::new(), create);
    for (path, create, expected) in [
        (folder.path().to_path_buf(), true, "is a folder"),
        (folder.path().join("absent.db"), false, "no such database file"),
        (file.join("below.db"), true, "cannot create its folder"),
        (file.clone(), true, "file is not a database"),
    ] {
        let error = connect(path, create).await.err().expect(expected);
        assert!(error.to_string().contains(expected), "{error}");
        assert_eq!(error.fault(), Fault::Other);
    }
}

#[tokio::test]
async fn a_server_that_is_away_is_infrastructure() {
    let address =
        Address::parse("mysql://u:secret@127.0.0.1:1/x", std::path::Path::new(".")).expect("parses");
    let error = Sink::connect(address, "job", Vec::new(), true).await.err().expect("is away");
    assert_eq!(error.fault(), Fault::Infrastructure, "{error}");
    assert!(error.to_string().starts_with("cannot connect to 127.0.0.1:1: "), "{error}");
    assert!(!error.to_string().contains("secret"));
}

async fn kill_all(place: &Place, ids: &str) {
    for row in place.rows(ids).await {
        // One that was closing when the list was made is gone.
        let _ = place.connection().await.run(&format!("KILL {}", row[0])).await;
    }
}

#[tokio::test]
#[ignore = "needs MySQL: scripts/services up"]
async fn a_killed_connection_is_opened_again() {
    let place = Place::mysql().await;
    let mut owner = place.owner(target(&people_schema(), Mode::Append)).await;
    let Address::MySql(address) = &place.address else { panic!("MySQL") };
    let rows = || vec![people(&[(Some(1), None)])];
    let kill = format!(
        "SELECT id FROM information_schema.processlist WHERE db = '{}' AND id <> CONNECTION_ID()",
        address.database
    );
    kill_all(&place, &kill).await;
    let error = owner.write(rows()).await.expect_err("the connection is gone");
    assert_eq!(error.fault(), Fault::Infrastructure, "{error}");
    owner.write(rows()).await.expect("a new connection commits");
    assert_eq!(place.count("rows_out").await, 1);
    // One that was closed while idle is replaced before it is used.
    kill_all(&place, &kill).await;
    tokio::time::sleep(Duration::from_secs(11)).await;
    owner.write(rows()).await.expect("nobody notices");
    assert_eq!(place.count("rows_out").await, 2);
    place.drop_database().await;
}

#[tokio::test]
#[ignore = "needs MySQL: scripts/services up"]
async fn rows_up_to_the_packet_limit_are_written_and_larger_ones_refused() {
    let place = Place::mysql().await;
    let schema: SchemaRef = Arc::new(Schema::new(vec![Field::new("b", DataType::Binary, true)]));
    let mut owner = place.owner(target(&schema, Mode::Append)).await;
    let packet: usize = place.rows("SELECT @@max_allowed_packet").await[0][0].parse().expect("a number");
    let bytes = |length: usize| {
        let array = BinaryArray::from_iter_values([vec![0xfe_u8; length], vec![1]]);
        RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(array)]).expect("fits")
    };
    for length in [packet - (64 << 10) - 16, 5 << 20] {
        owner.write(vec![bytes(length)]).await.expect("commits");
    }
    assert_eq!(place.count("rows_out").await, 4);
    let error = owner.write(vec![bytes(packet)]).await.expect_err("too large");
    assert_eq!(error.fault(), Fault::Data, "{error}");
    let mut letter = dead_letter(0);
    letter.payload = Some(vec![0xfe; packet]);
    let batch = Commit { dead_letters: vec![letter], ..owner.batch(Vec::new()) };
    let error = owner.sink.prepare_and_commit(&batch).await.expect_err("too large");
    assert_eq!(error.fault(), Fault::Other, "{error}");
    place.drop_database().await;
}

/// The server refuses statements, or sessions begin, in a way that somebody has set for all.
async fn with_global(place: &Place, name: &str, value: &str, then: impl Future<Output = ()>) {
    let before = place.rows(&format!("SELECT @@global.{name}")).await[0][0].clone();
    place.run(&format!("SET GLOBAL {name} = {value}")).await;
    let ended = tokio::time::timeout(Duration::from_secs(60), then).await;
    place.run(&format!("SET GLOBAL {name} = {before}")).await;
    ended.expect("within a minute");
}

#[tokio::test]
#[ignore = "needs MySQL: scripts/services up"]
async fn statements_outside_of_a_transaction_are_stored_whatever_the_server_begins_with() {
    let place = Place::mysql().await;
    let mut sink = place.sink(&[target(&people_schema(), Mode::Append)]).await.expect("connects");
    let claim = claim_one(&mut sink).await;
    with_global(&place, "autocommit", "0", async {
        // A sink of its own: only new sessions begin so.
        let mut sink = place.sink(&[target(&people_schema(), Mode::Append)]).await.expect("connects");
        let tally = Tally { messages: 7, dead_letters: 3 };
        sink.store_tallies(&[advance(&claim, 1)], &[tally]).await.expect("stores");
    })
    .await;
    let stored = place.rows("SELECT recent_messages, recent_dead_letters FROM realtime_offsets").await;
    assert_eq!(stored, [["7", "3"]]);
    place.drop_database().await;
}

/// The connection to a server that has become read-only is closed: the address may lead to another one by now.
#[tokio::test]
#[ignore = "needs MySQL: scripts/services up"]
async fn a_server_that_became_read_only_is_left() {
    let place = Place::mysql().await;
    let mut sink = place.sink(&[target(&people_schema(), Mode::Append)]).await.expect("connects");
    let claim = claim_one(&mut sink).await;
    let Address::MySql(address) = &place.address else { panic!("MySQL") };
    let sessions = format!(
        "SELECT COUNT(*) FROM information_schema.processlist WHERE db = '{}' AND id <> CONNECTION_ID()",
        address.database
    );
    // MariaDB lets its administrators write to a server that is read-only: a session's setting does the same there.
    let is_mariadb = place.rows("SELECT VERSION()").await[0][0].contains("MariaDB");
    let (name, on) = if is_mariadb { ("tx_read_only", "1") } else { ("super_read_only", "1") };
    let batch = commit(&claim, vec![vec![people(&[(Some(1), None)])]]);
    if is_mariadb {
        sink = place.sink(&[target(&people_schema(), Mode::Append)]).await.expect("connects");
    }
    let before = place.rows(&format!("SELECT @@global.{name}")).await[0][0].clone();
    place.run(&format!("SET GLOBAL {name} = {on}")).await;
    if is_mariadb {
        sink = sink.another();
    }
    let error = sink.prepare_and_commit(&batch).await.expect_err("it is read-only");
    place.run(&format!("SET GLOBAL {name} = {before}")).await;
    if !is_mariadb {
        place.run("SET GLOBAL read_only = 0").await;
    }
    assert_eq!(error.fault(), Fault::Infrastructure, "{error}");
    let deadline = Instant::now() + Duration::from_secs(10);
    while place.rows(&sessions).await != [["0"]] {
        assert!(Instant::now() < deadline, "its session stays: {error}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    sink.prepare_and_commit(&batch).await.expect("a new connection commits");
    place.drop_database().await;
}
