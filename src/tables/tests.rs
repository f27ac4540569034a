//! Reference tables as a job meets them: files and a SQLite database, keys in, rows out.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, Int32Array, RecordBatch, StringArray};
use arrow::util::pretty::pretty_format_batches;
use sqlx::{ConnectOptions, Executor};
use tempfile::TempDir;

use super::{ReferenceTables, TableError};
use crate::batch::Fault;
use crate::config::{KeyPlace, ReferenceTableConfig, TableOrigin};
use crate::database::Address;

const MEMORY_MAX: usize = 16 << 20;
const INTERVAL: Duration = Duration::from_secs(60);

fn config(name: &str, origin: TableOrigin, key: &[&str]) -> ReferenceTableConfig {
    let place = |column: &&str| KeyPlace { relation: "batch".to_owned(), column: (*column).to_owned() };
    ReferenceTableConfig {
        name: name.to_owned(),
        origin,
        key: key.iter().map(|column| (*column).to_owned()).collect(),
        matches: if key.is_empty() { Vec::new() } else { vec![key.iter().map(place).collect()] },
        refresh_interval: INTERVAL,
    }
}

fn file(path: &Path) -> TableOrigin {
    TableOrigin::File { path: path.to_owned(), delimiter: b',' }
}

fn write(folder: &TempDir, name: &str, text: &str) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    path
}

fn nowhere() -> Address {
    Address::Sqlite { path: "/nowhere/absent.db".into() }
}

async fn open(
    configs: &[ReferenceTableConfig],
    database: &Address,
) -> Result<ReferenceTables, Vec<TableError>> {
    ReferenceTables::open(configs, &|_| true, database, MEMORY_MAX).await
}

async fn open_file(
    folder: &TempDir,
    name: &str,
    text: &str,
    key: &[&str],
) -> Result<ReferenceTables, String> {
    let path = write(folder, name, text);
    let opened = open(&[config("accounts", file(&path), key)], &nowhere()).await;
    let root = folder.path().display().to_string();
    opened.map_err(|errors| {
        errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n").replace(&root, "")
    })
}

fn numbers(keys: &[Option<i32>]) -> Vec<RecordBatch> {
    let column: ArrayRef = Arc::new(Int32Array::from(keys.to_vec()));
    vec![RecordBatch::try_from_iter([("customer", column)]).unwrap()]
}

fn texts(keys: &[&str]) -> Vec<RecordBatch> {
    let column: ArrayRef = Arc::new(StringArray::from(keys.to_vec()));
    vec![RecordBatch::try_from_iter([("code", column)]).unwrap()]
}

fn shown(rows: &[RecordBatch]) -> String {
    pretty_format_batches(rows).unwrap().to_string()
}

async fn rows(tables: &mut ReferenceTables, keys: &[RecordBatch]) -> String {
    shown(&tables.gather(0, keys).await.unwrap())
}

fn types(tables: &ReferenceTables) -> Vec<String> {
    tables.specs()[0].schema.fields().iter().map(|f| format!("{} {}", f.name(), f.data_type())).collect()
}

#[tokio::test]
async fn a_csv_is_looked_up_by_key() {
    let folder = tempfile::tempdir().unwrap();
    let text = "\u{feff}customer_id,name,code,since,score,vip,seen\r\n\
        7,\"Lima, Ana\",007,2024-01-31,1.5,true,2024-01-31 10:00:00\r\n\
        \r\n\
        8,\"Eva\n\"\"E\"\"\",,,,,\r\n\
        9,Léo,100,2024-02-01,2,FALSE,2024-01-31T10:00:00.5\r\n";
    let mut tables = open_file(&folder, "accounts.csv", text, &["customer_id"]).await.unwrap();
    insta::assert_snapshot!(types(&tables).join("\n"), @r#"
    customer_id Int64
    name Utf8
    code Utf8
    since Date32
    score Float64
    vip Boolean
    seen Timestamp(µs)
    "#);
    let keys = numbers(&[Some(9), None, Some(1), Some(7), Some(9)]);
    insta::assert_snapshot!(rows(&mut tables, &keys).await, @r#"
    +-------------+-----------+------+------------+-------+-------+-------------------------+
    | customer_id | name      | code | since      | score | vip   | seen                    |
    +-------------+-----------+------+------------+-------+-------+-------------------------+
    | 9           | Léo       | 100  | 2024-02-01 | 2.0   | false | 2024-01-31T10:00:00.500 |
    | 7           | Lima, Ana | 007  | 2024-01-31 | 1.5   | true  | 2024-01-31T10:00:00     |
    +-------------+-----------+------+------------+-------+-------+-------------------------+
    "#);
    insta::assert_snapshot!(rows(&mut tables, &numbers(&[Some(8)])).await, @r#"
    +-------------+------+------+-------+-------+-----+------+
    | customer_id | name | code | since | score | vip | seen |
    +-------------+------+------+-------+-------+-----+------+
    | 8           | Eva  |      |       |       |     |      |
    |             | "E"  |      |       |       |     |      |
    +-------------+------+------+-------+-------+-----+------+
    "#);
    assert_eq!(tables.gather(0, &numbers(&[])).await.unwrap()[0].num_rows(), 0);
    assert_eq!(tables.gather(0, &[]).await.unwrap()[0].num_rows(), 0);
}

#[tokio::test]
async fn other_delimiters_composite_keys_and_alternatives() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(&folder, "rates.tsv", "from\tto\trate\nEUR\t1\t1.1\nEUR\t2\t0.9\nBRL\t1\t5\n");
    let origin = TableOrigin::File { path, delimiter: b'\t' };
    let mut tables = open(&[config("rates", origin, &["to", "from"])], &nowhere()).await.unwrap();
    let pair = |to: &[i32], from: &[&str]| {
        let to: ArrayRef = Arc::new(Int32Array::from(to.to_vec()));
        let from: ArrayRef = Arc::new(StringArray::from(from.to_vec()));
        RecordBatch::try_from_iter([("a", to), ("b", from)]).unwrap()
    };
    let keys = [pair(&[1, 2], &["BRL", "BRL"]), pair(&[2], &["EUR"])];
    insta::assert_snapshot!(rows(&mut tables, &keys).await, @r#"
    +------+----+------+
    | from | to | rate |
    +------+----+------+
    | BRL  | 1  | 5.0  |
    | EUR  | 2  | 0.9  |
    +------+----+------+
    "#);
}

#[tokio::test]
async fn a_table_without_a_key_is_seen_whole() {
    let folder = tempfile::tempdir().unwrap();
    let mut tables = open_file(&folder, "days.csv", "day,open\n1,true\n1,false\n", &[]).await.unwrap();
    insta::assert_snapshot!(rows(&mut tables, &[]).await, @r#"
    +-----+-------+
    | day | open  |
    +-----+-------+
    | 1   | true  |
    | 1   | false |
    +-----+-------+
    "#);
}

#[tokio::test]
async fn ndjson() {
    let folder = tempfile::tempdir().unwrap();
    let text = "{\"id\": 1, \"code\": \"007\", \"day\": \"2024-01-31\", \"tags\": [\"a\"], \"x\": null}\n\n\
        {\"id\": 2, \"n\": 1.5, \"day\": null}\n";
    let mut tables = open_file(&folder, "a.ndjson", text, &["id"]).await.unwrap();
    insta::assert_snapshot!(types(&tables).join("\n"), @r#"
    id Int64
    code Utf8
    day Date32
    tags List(Utf8)
    x Utf8
    n Float64
    "#);
    insta::assert_snapshot!(rows(&mut tables, &numbers(&[Some(2), Some(1)])).await, @r#"
    +----+------+------------+------+---+-----+
    | id | code | day        | tags | x | n   |
    +----+------+------------+------+---+-----+
    | 2  |      |            |      |   | 1.5 |
    | 1  | 007  | 2024-01-31 | [a]  |   |     |
    +----+------+------------+------+---+-----+
    "#);
}

#[tokio::test]
async fn faults_of_files_name_the_line() {
    let folder = tempfile::tempdir().unwrap();
    let mut said = Vec::new();
    for (name, text) in [
        ("ragged.csv", "customer_id,name\n1,Ana\n2\n"),
        ("twice.csv", "customer_id,name\n\n1,\"A\nB\"\n2,Eva\n1,Leo\n"),
        ("header.csv", "customer_id,name,name\n1,a,b\n"),
        ("unnamed.csv", "customer_id,,name\n1,a,b\n"),
        ("semicolons.csv", "customer_id;name\n1;Ana\n"),
        ("empty.csv", ""),
        ("key.csv", "id,name\n1,Ana\n"),
        ("broken.ndjson", "{\"customer_id\": 1}\n{\"customer_id\": \n"),
        ("mixed.ndjson", "{\"customer_id\": {\"a\": 1}}\n{\"customer_id\": 2}\n"),
        ("array.json", "[{\"customer_id\": 1}]"),
        ("scalar.json", "{\"customer_id\": 1}\n7\n"),
        ("twice.json", "{\"customer_id\": 1}\n\n{\"customer_id\": 1}\n"),
    ] {
        said.push(open_file(&folder, name, text, &["customer_id"]).await.err().unwrap());
    }
    insta::assert_snapshot!(said.join("\n"), @r#"
    /ragged.csv:3: error: reference table `accounts`: incorrect number of fields for line 3, expected 2 got 1
    /twice.csv:6: error: reference table `accounts`: `customer_id` is 1 here and in line 3, but a key has one row
    /header.csv:1: error: reference table `accounts`: two columns are called `name`
    /unnamed.csv:1: error: reference table `accounts`: column 2 of the header has no name
    /semicolons.csv:1: error: reference table `accounts`: one column, called `customer_id;name`: the delimiter seems to be ';'
    hint: give `delimiter: ';'` with the table
    /empty.csv:1: error: reference table `accounts`: no header: the first line names the columns
    /key.csv: error: reference table `accounts`: no column `customer_id` for its key; there is `id`, `name`
    /broken.ndjson:2: error: reference table `accounts`: no JSON: EOF while parsing a value at line 1 column 16
    /mixed.ndjson: error: reference table `accounts`: expected scalar or scalar array JSON type, found: Object({"a": Scalar({Int64})})
    /array.json:1: error: reference table `accounts`: an array, expected one object per line (NDJSON)
    hint: `jq -c '.[]' file.json` writes it so
    /scalar.json:2: error: reference table `accounts`: no object, expected one a line
    /twice.json:3: error: reference table `accounts`: `customer_id` is 1 here and in line 1, but a key has one row
    "#);
}

#[tokio::test]
async fn text_that_is_not_utf_8() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("latin.csv");
    std::fs::write(&path, b"customer_id,name\n1,Jos\xe9\n").unwrap();
    let errors = open(&[config("accounts", file(&path), &["customer_id"])], &nowhere()).await.err().unwrap();
    insta::assert_snapshot!(errors[0].found().message, @"invalid UTF-8 data for line 2 and field 2");
}

#[tokio::test]
async fn faults_of_all_tables_are_said_at_once_and_unused_tables_are_not_opened() {
    let folder = tempfile::tempdir().unwrap();
    let absent = |name: &str| config(name, file(&folder.path().join(name)), &["id"]);
    let configs = [absent("a.csv"), absent("b.csv"), absent("c.csv")];
    let errors =
        ReferenceTables::open(&configs, &|name| name != "b.csv", &nowhere(), MEMORY_MAX).await.err().unwrap();
    assert_eq!(errors.iter().map(TableError::table).collect::<Vec<_>>(), ["a.csv", "c.csv"]);
    let tables = ReferenceTables::open(&configs, &|_| false, &nowhere(), MEMORY_MAX).await.unwrap();
    assert_eq!(tables.specs().len(), 3);
    assert!(tables.specs()[1].schema.fields().is_empty());
}

#[tokio::test]
async fn what_a_key_is_compared_with_is_opened_too() {
    let folder = tempfile::tempdir().unwrap();
    let accounts = config("accounts", file(&write(&folder, "a.csv", "id,branch\n1,x\n")), &["id"]);
    let mut branches = config("branches", file(&write(&folder, "b.csv", "id\nx\n")), &["id"]);
    branches.matches = vec![vec![KeyPlace { relation: "accounts".to_owned(), column: "branch".to_owned() }]];
    let configs = [branches, accounts];
    let tables =
        ReferenceTables::open(&configs, &|name| name == "branches", &nowhere(), MEMORY_MAX).await.unwrap();
    assert!(tables.specs().iter().all(|spec| !spec.schema.fields().is_empty()));
}

#[tokio::test]
async fn a_file_above_memory_max_belongs_in_the_database() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(&folder, "large.csv", &format!("id,name\n1,{}\n", "x".repeat(5000)));
    let configs = [config("accounts", file(&path), &["id"])];
    let errors = ReferenceTables::open(&configs, &|_| true, &nowhere(), 4096).await.err().unwrap();
    assert!(errors[0].to_string().contains("put it in the database"), "{}", errors[0]);
}

#[tokio::test]
async fn a_changed_file_is_seen_by_the_first_batch_after_the_interval() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(&folder, "accounts.csv", "id,name,score\n1,old,10\n");
    let mut tables = open(&[config("accounts", file(&path), &["id"])], &nowhere()).await.unwrap();
    let (keys, start) = (numbers(&[Some(1)]), Instant::now());

    std::fs::write(&path, "name,id,extra,score\nnewer,1,x,20\n").unwrap();
    assert!(rows(&mut tables, &keys).await.contains("old"), "not within a batch");
    tables.begin_batch_at(start).await.unwrap();
    assert!(rows(&mut tables, &keys).await.contains("old"), "not before the interval is over");
    let later = start + 10 * INTERVAL;
    tables.begin_batch_at(later).await.unwrap();
    insta::assert_snapshot!(rows(&mut tables, &keys).await, @r#"
    +----+-------+-------+
    | id | name  | score |
    +----+-------+-------+
    | 1  | newer | 20    |
    +----+-------+-------+
    "#);

    std::fs::write(&path, "id,name,score\n1,newest,\n").unwrap();
    tables.begin_batch_at(later + INTERVAL - Duration::from_millis(1)).await.unwrap();
    assert!(rows(&mut tables, &keys).await.contains("newer"), "looked at within the interval");
    tables.begin_batch_at(later + INTERVAL).await.unwrap();
    assert!(rows(&mut tables, &keys).await.contains("newest"));
}

#[tokio::test]
async fn a_file_that_cannot_be_used_is_said_once_and_the_rows_stay() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(&folder, "accounts.csv", "id,name,score\n1,good,10\n");
    let mut tables = open(&[config("accounts", file(&path), &["id"])], &nowhere()).await.unwrap();
    let (keys, mut now) = (numbers(&[Some(1)]), Instant::now());
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let bad = [
        Some("id,name,score\n1,bad,ten\n"),
        Some("id,name\n1,bad\n"),
        Some("id,name,score\n1,bad,1\n1,bad,2\n"),
        Some("id,name,score\n1,bad\n"),
        Some(""),
        None,
    ];
    for bad in bad {
        match bad {
            Some(text) => std::fs::write(&path, text).unwrap(),
            None => std::fs::remove_file(&path).unwrap(),
        }
        for _ in 0..3 {
            now += INTERVAL;
            tables.begin_batch_at(now).await.unwrap();
            assert!(rows(&mut tables, &keys).await.contains("good"), "{bad:?}");
        }
        assert_eq!(log.take().matches("the rows that were read before stay in use").count(), 1, "{bad:?}");
    }

    // The same fault after the file was in order is said again.
    std::fs::write(&path, "id,name,score\n1,better,10\n").unwrap();
    now += INTERVAL;
    tables.begin_batch_at(now).await.unwrap();
    assert!(rows(&mut tables, &keys).await.contains("better"));
    assert!(log.take().contains("reference table read again"));
    std::fs::remove_file(&path).unwrap();
    now += INTERVAL;
    tables.begin_batch_at(now).await.unwrap();
    assert!(log.take().contains("cannot read the file"));
}

/// What was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn take(&self) -> String {
        String::from_utf8(std::mem::take(&mut *self.0.lock().unwrap())).unwrap()
    }
}

impl std::io::Write for Log {
    fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(text)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A database with accounts 1 to 5, `José` and `jose` among their codes.
async fn database(folder: &TempDir) -> (Address, sqlx::SqliteConnection) {
    let path = folder.path().join("bank.db");
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path).create_if_missing(true);
    let mut connection = options.connect().await.unwrap();
    connection
        .execute("CREATE TABLE accounts (id INTEGER PRIMARY KEY, code TEXT COLLATE NOCASE, name TEXT)")
        .await
        .unwrap();
    for (id, code) in [(1, "a1"), (2, "JOSE"), (3, "jose"), (4, "d"), (5, "e")] {
        let sql = format!("INSERT INTO accounts VALUES ({id}, '{code}', 'old {id}')");
        connection.execute(sqlx::AssertSqlSafe(sql)).await.unwrap();
    }
    (Address::Sqlite { path }, connection)
}

#[tokio::test]
async fn a_keyed_table_of_the_database_is_fetched_by_key_and_held() {
    let folder = tempfile::tempdir().unwrap();
    let (address, mut writer) = database(&folder).await;
    let origin = TableOrigin::Table("accounts".to_owned());
    let mut tables = open(&[config("accounts", origin, &["id"])], &address).await.unwrap();
    tables.begin_batch().await.unwrap();
    let keys = numbers(&[Some(4), Some(2), Some(99), None, Some(4)]);
    insta::assert_snapshot!(rows(&mut tables, &keys).await, @r#"
    +----+------+-------+
    | id | code | name  |
    +----+------+-------+
    | 4  | d    | old 4 |
    | 2  | JOSE | old 2 |
    +----+------+-------+
    "#);

    // Held rows, absent ones too, are not asked for again.
    writer.execute("UPDATE accounts SET name = 'new'").await.unwrap();
    writer.execute("INSERT INTO accounts VALUES (99, 'z', 'new')").await.unwrap();
    tables.begin_batch().await.unwrap();
    insta::assert_snapshot!(rows(&mut tables, &numbers(&[Some(4), Some(99), Some(5)])).await, @r#"
    +----+------+-------+
    | id | code | name  |
    +----+------+-------+
    | 4  | d    | old 4 |
    | 5  | e    | new   |
    +----+------+-------+
    "#);
}

#[tokio::test]
async fn keys_are_equal_where_they_are_in_sql() {
    let folder = tempfile::tempdir().unwrap();
    let (address, _writer) = database(&folder).await;
    let origin = TableOrigin::Query("SELECT code, name FROM accounts -- all;".to_owned());
    let mut tables = open(&[config("accounts", origin, &["code"])], &address).await.unwrap();
    tables.begin_batch().await.unwrap();
    insta::assert_snapshot!(rows(&mut tables, &texts(&["jose", "A1"])).await, @r#"
    +------+-------+
    | code | name  |
    +------+-------+
    | jose | old 3 |
    +------+-------+
    "#);
}

#[tokio::test]
async fn a_whole_table_is_read_again_after_the_interval() {
    let folder = tempfile::tempdir().unwrap();
    let (address, mut writer) = database(&folder).await;
    let origin = TableOrigin::Query("SELECT count(*) AS n FROM accounts".to_owned());
    let mut tables = open(&[config("counts", origin, &[])], &address).await.unwrap();
    writer.execute("DELETE FROM accounts WHERE id > 2").await.unwrap();
    tables.begin_batch().await.unwrap();
    assert!(rows(&mut tables, &[]).await.contains("| 5 "));
    let later = Instant::now() + 10 * INTERVAL;
    tables.begin_batch_at(later).await.unwrap();
    assert!(rows(&mut tables, &[]).await.contains("| 2 "));
    writer.execute("DELETE FROM accounts").await.unwrap();
    tables.begin_batch_at(later + INTERVAL - Duration::from_millis(1)).await.unwrap();
    assert!(rows(&mut tables, &[]).await.contains("| 2 "));
    tables.begin_batch_at(later + INTERVAL).await.unwrap();
    assert!(rows(&mut tables, &[]).await.contains("| 0 "));
}

#[tokio::test]
async fn faults_of_the_database() {
    let folder = tempfile::tempdir().unwrap();
    let (address, _writer) = database(&folder).await;
    let table = |name: &str| TableOrigin::Table(name.to_owned());
    let configs =
        [config("absent", table("absent"), &["id"]), config("key", table("accounts"), &["customer"])];
    let errors = open(&configs, &address).await.err().unwrap();
    assert!(errors.iter().all(|error| error.fault() == Fault::Other));
    insta::assert_snapshot!(errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"), @r#"
    error: reference table `absent`: sqlite error 1: no such table: absent
    error: reference table `key`: no column `customer` for its key; there is `id`, `code`, `name`
    "#);

    let twice = TableOrigin::Query("SELECT id % 2 AS odd, name FROM accounts".to_owned());
    let mut tables = open(&[config("parity", twice, &["odd"])], &address).await.unwrap();
    tables.begin_batch().await.unwrap();
    insta::assert_snapshot!(tables.gather(0, &numbers(&[Some(1)])).await.unwrap_err(), @r#"
    error: reference table `parity`: two rows with `odd` 1, but a key has one row
    hint: name more columns as its key, or group the rows in a `query:`
    "#);
}
