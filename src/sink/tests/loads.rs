//! LOAD DATA: what it would change, cut or leave out is written by INSERT, whose errors say what is wrong.

use std::time::{Duration, Instant};

use super::*;
use crate::database::Statement;

const ROWS: i64 = 500;

/// `n` from 0, and a text.
fn numbered(text: impl Fn(i64) -> String) -> (SchemaRef, RecordBatch) {
    let fields = vec![Field::new("n", DataType::Int64, false), Field::new("text", DataType::Utf8, true)];
    let schema = Arc::new(Schema::new(fields));
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..ROWS));
    let texts: ArrayRef = Arc::new(StringArray::from_iter_values((0..ROWS).map(text)));
    let batch = RecordBatch::try_new(Arc::clone(&schema), vec![numbers, texts]).expect("columns fit");
    (schema, batch)
}

/// Commits the rows into a table that was made so; what was sent, or the fault.
async fn committed(
    place: &Place,
    create: &str,
    text: impl Fn(i64) -> String,
) -> Result<Committed, SinkError> {
    place.run(create).await;
    let (schema, batch) = numbered(text);
    place.owner(target(&schema, Mode::Append)).await.write(vec![batch]).await
}

/// Statements of a batch that is loaded: BEGIN, the fence, the rows, COMMIT.
const LOADED: usize = 4;

#[tokio::test]
#[ignore = "needs MySQL: scripts/services up"]
async fn rows_are_loaded_and_read_back() {
    let place = Place::mysql().await;
    let create = "CREATE TABLE rows_out (n INT PRIMARY KEY, text VARCHAR(20))";
    let sent = committed(&place, create, |n| format!("a\t{n}\n\\N")).await.expect("commits");
    assert_eq!((sent.statements, sent.rows), (LOADED, ROWS as usize));
    let found = place.rows("SELECT COUNT(*), COUNT(DISTINCT text), MAX(text) FROM rows_out").await;
    assert_eq!(found, [["500", "500", "a\t99\n\\N"]]);
    place.drop_database().await;
}

#[tokio::test]
#[ignore = "needs MySQL: scripts/services up"]
async fn what_would_be_left_out_is_refused_by_insert() {
    for (create, text) in [
        ("CREATE TABLE rows_out (n INT PRIMARY KEY, text VARCHAR(20) UNIQUE)", "Duplicate entry"),
        ("CREATE TABLE rows_out (n INT PRIMARY KEY CHECK (n <> 77), text VARCHAR(20))", "Check constraint"),
        (
            "CREATE TABLE rows_out (n INT PRIMARY KEY, text VARCHAR(20) CHARACTER SET latin1)",
            "Incorrect string value",
        ),
    ] {
        let place = Place::mysql().await;
        let twice = |n: i64| if n == 400 { "text 7 🦀".into() } else { format!("text {n} 🦀") };
        let error = committed(&place, create, twice).await.expect_err("a row is refused");
        assert_eq!(error.fault(), Fault::Data, "{error}");
        assert!(error.to_string().contains(text), "{error}");
        assert_eq!(place.count("rows_out").await, 0);
        place.drop_database().await;
    }
}

#[tokio::test]
#[ignore = "needs MySQL: scripts/services up"]
async fn after_a_doubt_batches_are_inserted_for_a_while() {
    let place = Place::mysql().await;
    place.run("CREATE TABLE rows_out (n INT CHECK (n <> 77), text VARCHAR(20))").await;
    let (schema, batch) = numbered(|n| format!("text {n}"));
    let mut owner = place.owner(target(&schema, Mode::Append)).await;
    owner.write(vec![batch.clone()]).await.expect_err("row 77");
    let good = batch.slice(100, 300);
    let mut loaded = Vec::new();
    for _ in 0..25 {
        loaded.push(owner.write(vec![good.clone()]).await.expect("commits").statements);
    }
    // 300 rows of two columns are one INSERT as well; the server knows which it was.
    let loads = place
        .rows(
            "SELECT COALESCE(SUM(COUNT_STAR), 0) FROM performance_schema.events_statements_summary_by_digest \
             WHERE SCHEMA_NAME = DATABASE() AND DIGEST_TEXT LIKE 'LOAD%'",
        )
        .await;
    let loads: usize = loads[0][0].parse().expect("a number");
    assert!((6..=8).contains(&loads), "{loads} of 26 batches were loaded, {loaded:?}");
    assert_eq!(place.count("rows_out").await, 25 * 300);
    place.drop_database().await;
}

#[tokio::test]
#[ignore = "needs MySQL: scripts/services up"]
async fn with_bulk_load_off_rows_are_inserted() {
    let place = Place::mysql().await;
    let (schema, batch) = numbered(|n| format!("text {n}"));
    let sink = place.sink(&[target(&schema, Mode::Append)]).await.expect("connects");
    let mut owner = Owner::of(sink.with_bulk_load(BulkLoad::Off)).await;
    owner.write(vec![batch]).await.expect("commits");
    let loads = "SELECT COUNT(*) FROM performance_schema.events_statements_summary_by_digest \
                 WHERE SCHEMA_NAME = DATABASE() AND DIGEST_TEXT LIKE 'LOAD%'";
    assert_eq!(place.rows(loads).await, [["0"]]);
    assert_eq!(place.count("rows_out").await, ROWS);
    place.drop_database().await;
}

/// The server refuses the statement before it asks for rows, of which there are more than wait to be sent.
#[tokio::test]
#[ignore = "needs MySQL: scripts/services up"]
async fn a_table_that_is_gone_is_said_and_not_waited_for() {
    let place = Place::mysql().await;
    let (schema, batch) = numbered(|n| format!("text {n}"));
    let mut owner = place.owner(target(&schema, Mode::Append)).await;
    place.run("DROP TABLE rows_out").await;
    let error = owner.write(vec![batch; 20]).await.expect_err("there is no table");
    assert!(error.to_string().contains("rows_out' doesn't exist"), "{error}");
    place.drop_database().await;
}

#[tokio::test]
#[ignore = "needs MySQL: scripts/services up"]
async fn rows_are_whole_and_in_order_when_some_were_encoded_ahead() {
    let place = Place::mysql().await;
    place.run("CREATE TABLE rows_out (place INT AUTO_INCREMENT PRIMARY KEY, n INT, text VARCHAR(20))").await;
    let (schema, batch) = numbered(|n| format!("text {n}"));
    let mut owner = place.owner(target(&schema, Mode::Append)).await;
    // From the second commit on it is known that rows are loaded.
    for batches in [1, 2, 5, 11] {
        owner.write(vec![batch.clone(); batches]).await.expect("commits");
    }
    let wrong = "SELECT COUNT(*) FROM (SELECT n, text, ROW_NUMBER() OVER (ORDER BY place) AS number FROM rows_out) r \
                 WHERE n <> (number - 1) % 500 OR text <> CONCAT('text ', n)";
    assert_eq!(place.rows(wrong).await, [["0"]]);
    assert_eq!(place.count("rows_out").await, 19 * ROWS);
    place.drop_database().await;
}

/// A part of the rows is far larger than the server takes in a packet.
#[tokio::test]
#[ignore = "needs MySQL: scripts/services up"]
async fn rows_are_cut_into_packets_that_the_server_takes() {
    const ROWS: usize = 500;
    let place = Place::mysql().await;
    let before = place.rows("SELECT @@global.max_allowed_packet").await[0][0].clone();
    place.run("SET GLOBAL max_allowed_packet = 1048576").await;
    place.run("CREATE TABLE rows_out (n INT PRIMARY KEY, data VARBINARY(9000))").await;
    let schema: SchemaRef = Arc::new(Schema::new(vec![
        Field::new("n", DataType::Int32, false),
        Field::new("data", DataType::Binary, true),
    ]));
    let numbers: ArrayRef = Arc::new(Int32Array::from_iter_values(0..ROWS as i32));
    let data: ArrayRef = Arc::new(BinaryArray::from_iter_values((0..ROWS).map(|n| vec![n as u8; 9000])));
    let batch = RecordBatch::try_new(Arc::clone(&schema), vec![numbers, data]).expect("columns fit");
    let sink = place.sink(&[target(&schema, Mode::Append)]).await;
    let committed = match sink {
        Ok(sink) => Owner::of(sink).await.write(vec![batch]).await,
        Err(error) => Err(error),
    };
    place.run(&format!("SET GLOBAL max_allowed_packet = {before}")).await;
    assert_eq!(committed.expect("commits").statements, LOADED);
    let right =
        "SELECT COUNT(*) FROM rows_out WHERE LENGTH(data) = 9000 AND data = REPEAT(CHAR(n % 256), 9000)";
    assert_eq!(place.rows(right).await, [[ROWS.to_string()]]);
    place.drop_database().await;
}

/// As a process that is frozen there: the server waits for the next rows of a statement, and others for its locks.
#[tokio::test]
#[ignore = "needs MySQL: scripts/services up"]
async fn a_writer_that_stops_amid_its_rows_keeps_its_locks_for_half_a_minute_at_most() {
    let place = Place::mysql().await;
    place.run("CREATE TABLE rows_out (n INT PRIMARY KEY)").await;
    place.run("INSERT INTO rows_out VALUES (1)").await;
    let mut frozen = place.connection().await;
    frozen.begin().await.expect("begins");
    frozen.run("DELETE FROM rows_out WHERE n = 1").await.expect("locks the row");
    // It blocks its thread for longer than anybody waits.
    let freeze = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let sql = "LOAD DATA LOCAL INFILE 'rows' INTO TABLE rows_out";
        let load = vec![Statement { sql: sql.into(), parameters: Vec::new(), matches: None }];
        let mut never = || {
            std::thread::sleep(Duration::from_secs(600));
            None
        };
        runtime.block_on(frozen.load(load, &mut never)).map(drop)
    });
    let started = Instant::now();
    let mut other = place.connection().await;
    while let Err(error) = other.run("UPDATE rows_out SET n = 2 WHERE n = 1").await {
        assert!(error.to_string().contains("Lock wait timeout"), "{error}");
        assert!(started.elapsed() < Duration::from_secs(30), "its locks are still held");
    }
    assert!(started.elapsed() > Duration::from_secs(5), "it held a lock");
    assert!(!freeze.is_finished());
    assert_eq!(place.rows("SELECT n FROM rows_out").await, [["2"]], "nothing of it is stored");
    place.drop_database().await;
}
