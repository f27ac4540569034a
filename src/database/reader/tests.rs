//! Reading from SQLite; `sink::tests` reads from MySQL what it wrote.

use arrow::array::{AsArray, Float64Array, Int32Array, Int64Array, StringArray};
use arrow::datatypes::{Int64Type, TimeUnit};

use super::*;
use crate::batch::Fault;

struct File {
    reader: Reader,
    _folder: tempfile::TempDir,
}

async fn file(statements: &[&str]) -> File {
    let folder = tempfile::tempdir().expect("a folder");
    let address = Address::Sqlite { path: folder.path().join("rt.db") };
    let mut connection = Connection::open(&address, Purpose::Write { create: true }).await.expect("opens");
    for sql in statements {
        connection.run(sql).await.expect(sql);
    }
    File { reader: Reader::new(address), _folder: folder }
}

fn keys(columns: Vec<ArrayRef>) -> RecordBatch {
    let fields: Vec<Field> = columns.iter().map(|c| Field::new("k", c.data_type().clone(), true)).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).expect("columns fit")
}

async fn ids(file: &mut File, relation: &Relation, key: &[&str], wanted: Vec<ArrayRef>) -> Vec<i64> {
    let key: Vec<String> = key.iter().map(|name| name.to_string()).collect();
    let batch = file.reader.fetch_by_keys(relation, &key, &keys(wanted)).await.expect("reads");
    let mut ids = batch.column(0).as_primitive::<Int64Type>().values().to_vec();
    ids.sort_unstable();
    ids
}

#[tokio::test]
async fn declared_types_and_those_of_expressions_are_found() {
    let mut file = file(&[
        "CREATE TABLE t (a INTEGER, b VARCHAR(3), c BOOLEAN, d DECIMAL_TEXT(20,2), e DATE, f DATETIME, g BLOB, \
         h REAL, i DECIMAL(10,2), j NUMERIC)",
        "INSERT INTO t VALUES (1, 'x', 1, '12345678901234567.89', '2024-01-02', '2024-01-02 03:04:05', x'00', 0.5, 1.25, 7)",
    ])
    .await;
    let relation = file.reader.open(Origin::Table("t")).await.expect("describes");
    let types: Vec<DataType> =
        relation.schema.fields().iter().map(|field| field.data_type().clone()).collect();
    let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let expected = [
        DataType::Int64,
        DataType::Utf8,
        DataType::Boolean,
        DataType::Decimal128(20, 2),
        DataType::Date32,
        utc,
        DataType::Binary,
        DataType::Float64,
        DataType::Decimal128(10, 2),
        DataType::Float64,
    ];
    assert_eq!(types, expected);
    let batch = file.reader.fetch_all(&relation, 10_000).await.expect("reads").remove(0);
    let shown: Vec<String> = batch
        .columns()
        .iter()
        .map(|column| {
            let mut text = String::new();
            super::super::json::write(&mut text, column.as_ref(), 0).expect("is JSON");
            text
        })
        .collect();
    let date = "\"2024-01-02T03:04:05Z\"";
    let expected = [
        "1",
        "\"x\"",
        "true",
        "12345678901234567.89",
        "\"2024-01-02\"",
        date,
        "\"AA==\"",
        "0.5",
        "1.25",
        "7.0",
    ];
    assert_eq!(shown, expected);

    let query = "SELECT a + 1 AS n, count(*) AS c, upper(b) AS u, h * 2 AS r, d FROM t GROUP BY a -- all";
    let relation = file.reader.open(Origin::Query(query)).await.expect("describes");
    let types: Vec<DataType> =
        relation.schema.fields().iter().map(|field| field.data_type().clone()).collect();
    let expected =
        [DataType::Int64, DataType::Int64, DataType::Utf8, DataType::Float64, DataType::Decimal128(20, 2)];
    assert_eq!(types, expected);
}

#[tokio::test]
async fn rows_are_found_by_their_keys() {
    let mut file = file(&[
        "CREATE TABLE t (id INTEGER, name TEXT, PRIMARY KEY (id, name))",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 40000) \
         INSERT INTO t SELECT i, 'n' || i FROM n",
    ])
    .await;
    let t = file.reader.open(Origin::Table("t")).await.expect("describes");
    let int32 = |values: &[Option<i32>]| Arc::new(Int32Array::from(values.to_vec())) as ArrayRef;
    assert_eq!(
        ids(&mut file, &t, &["id"], vec![int32(&[Some(3), None, Some(70_000), Some(5)])]).await,
        [3, 5]
    );
    assert_eq!(ids(&mut file, &t, &["id"], vec![int32(&[])]).await, [0_i64; 0]);
    let text = |values: &[Option<&str>]| Arc::new(StringArray::from(values.to_vec())) as ArrayRef;
    let pairs = vec![int32(&[Some(1), Some(2), Some(3)]), text(&[Some("n1"), Some("n1"), None])];
    assert_eq!(ids(&mut file, &t, &["id", "name"], pairs).await, [1]);
    // Other types are cast to the table's; what cannot be matches nothing.
    assert_eq!(ids(&mut file, &t, &["id"], vec![text(&[Some("7"), Some("x"), Some("8.5")])]).await, [7]);
    let floats = Arc::new(Float64Array::from(vec![7.0, 8.5, f64::NAN])) as ArrayRef;
    assert_eq!(ids(&mut file, &t, &["id"], vec![floats]).await, [7]);
    // More than one statement's placeholders.
    let many = Arc::new(Int64Array::from_iter_values(0..50_000)) as ArrayRef;
    assert_eq!(ids(&mut file, &t, &["id"], vec![many]).await, (1..=40_000).collect::<Vec<i64>>());
}

#[tokio::test]
async fn what_cannot_be_read_is_said() {
    let mut file = file(&["CREATE TABLE t (id INTEGER, day DATE)", "INSERT INTO t VALUES (1, 'soon')"]).await;
    let t = file.reader.open(Origin::Table("t")).await.expect("describes");
    let error = file.reader.fetch_all(&t, 10_000).await.expect_err("no date");
    assert!(error.to_string().contains("column `day` holds"), "{error}");
    let error = file.reader.fetch_all(&t, 3).await.expect_err("too large");
    assert!(error.to_string().contains("give the table a `key`"), "{error}");
    let one = keys(vec![Arc::new(Int32Array::from(vec![1]))]);
    let absent = file.reader.fetch_by_keys(&t, &["who".into()], &one).await.expect_err("no such column");
    assert!(absent.to_string().contains("no column `who`, there are id, day"), "{absent}");
    let error = file.reader.open(Origin::Table("absent")).await.expect_err("no table");
    assert_eq!(error.fault(), Fault::Other);
    // The connection still works.
    file.reader.open(Origin::Table("t")).await.expect("describes");
}
