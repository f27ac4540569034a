//! The views as their authors meet them: files in, rows or faults of the data out; what cannot be planned is in [`errors`].

mod errors;
mod sound;

use std::sync::Arc;

use arrow::array::{
    ArrayRef, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::util::pretty::pretty_format_batches;
use proptest::prelude::*;

use super::{Pipeline, SqlError, SqlErrorKind, TableSpec, ViewFiles};
use crate::batch::{Fault, ViewResults};
use crate::config::KeyPlace;
use crate::diagnostic::Place;
use crate::diagnostic::render;

const MEMORY_MAX: usize = 64 << 20;

/// customer, agency and value of each message.
type Movement = (i32, &'static str, f64);

fn batch_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("customer", DataType::Int32, false),
        Field::new("agency", DataType::Utf8, true),
        Field::new("value", DataType::Float64, false),
        Field::new("kafka_offset", DataType::Int64, false),
        Field::new(
            "kafka_timestamp",
            DataType::Timestamp(arrow::datatypes::TimeUnit::Millisecond, Some("UTC".into())),
            false,
        ),
    ]))
}

fn movements(rows: &[Movement]) -> RecordBatch {
    let offsets: Vec<i64> = (0..).take(rows.len()).collect();
    let times = TimestampMillisecondArray::from_iter_values(offsets.iter().map(|offset| offset * 1000));
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int32Array::from_iter_values(rows.iter().map(|row| row.0))),
        Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.1))),
        Arc::new(Float64Array::from_iter_values(rows.iter().map(|row| row.2))),
        Arc::new(Int64Array::from(offsets)),
        Arc::new(times.with_timezone("UTC")),
    ];
    RecordBatch::try_new(batch_schema(), columns).unwrap()
}

fn accounts_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("customer_id", DataType::Int64, true),
        Field::new("name", DataType::Utf8, true),
        Field::new("branch", DataType::Utf8, true),
    ]))
}

fn accounts(rows: &[(i64, &str, &str)]) -> RecordBatch {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.0))),
        Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.1))),
        Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.2))),
    ];
    RecordBatch::try_new(accounts_schema(), columns).unwrap()
}

fn place(relation: &str, column: &str) -> KeyPlace {
    KeyPlace { relation: relation.to_owned(), column: column.to_owned() }
}

fn accounts_spec() -> TableSpec {
    TableSpec {
        name: "accounts".to_owned(),
        schema: accounts_schema(),
        key: vec!["customer_id".to_owned()],
        matches: vec![vec![place("batch", "customer")]],
        state: None,
        place: Place::of_file("config.yaml:9"),
    }
}

async fn prepare(texts: &[(&str, &str)], tables: Vec<TableSpec>) -> Result<Pipeline, Vec<SqlError>> {
    let files = ViewFiles::from_texts(texts)?;
    Pipeline::prepare(&files, batch_schema(), tables, None, MEMORY_MAX).await
}

/// Runs one batch; every table that is asked for has `accounts`.
async fn run(
    pipeline: &mut Pipeline,
    batch: RecordBatch,
    accounts: &RecordBatch,
) -> Result<ViewResults, SqlError> {
    pipeline.run(batch, async |_, _| Ok(vec![accounts.clone()])).await
}

fn table_of(batches: &[RecordBatch]) -> String {
    pretty_format_batches(batches).unwrap().to_string()
}

async fn faults(texts: &[(&str, &str)]) -> String {
    render(&prepare(texts, vec![accounts_spec()]).await.unwrap_err())
}

#[tokio::test]
async fn views_run_in_the_order_of_what_they_read() {
    let texts = [
        (
            "c_enriched",
            "SELECT b.customer, a.name, b.value FROM batch b LEFT JOIN accounts a ON a.customer_id = b.customer",
        ),
        ("a_large", "SELECT * FROM b_named WHERE value > 5"),
        ("b_named", "WITH batch AS (SELECT * FROM c_enriched) SELECT * FROM batch WHERE name IS NOT NULL"),
        ("d_counts", "SELECT count(*) AS n FROM c_enriched"),
    ];
    let mut pipeline = prepare(&texts, vec![accounts_spec()]).await.unwrap();
    assert_eq!(pipeline.views().collect::<Vec<_>>(), ["c_enriched", "b_named", "a_large", "d_counts"]);
    assert_eq!(pipeline.tables_read(), [0]);
    let names: Vec<&str> = pipeline.outputs().iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["a_large", "d_counts"]);

    let known = accounts(&[(1, "Ana", "x"), (3, "Eva", "x")]);
    let batch = movements(&[(3, "n", 10.0), (2, "n", 20.0), (1, "n", 30.0), (1, "n", 1.0)]);
    let results = run(&mut pipeline, batch, &known).await.unwrap();
    insta::assert_snapshot!(table_of(&results.outputs[0]), @r#"
    +----------+------+-------+
    | customer | name | value |
    +----------+------+-------+
    | 3        | Eva  | 10.0  |
    | 1        | Ana  | 30.0  |
    +----------+------+-------+
    "#);
    insta::assert_snapshot!(table_of(&results.outputs[1]), @r#"
    +---+
    | n |
    +---+
    | 4 |
    +---+
    "#);
    let rows: Vec<(&str, usize)> = results.views.iter().map(|timing| (&*timing.view, timing.rows)).collect();
    assert_eq!(rows, [("c_enriched", 4), ("b_named", 3), ("a_large", 2), ("d_counts", 1)]);
}

#[test]
fn a_batch_can_be_computed_in_a_task() {
    fn is_send<T: Send>(_: &T) {}
    fn check(pipeline: &mut Pipeline, batch: RecordBatch) {
        let rows_of = async |_: usize, _: Vec<RecordBatch>| Ok::<_, SqlError>(Vec::new());
        is_send(&pipeline.run(batch, rows_of));
        is_send(pipeline);
    }
    let _: fn(&mut Pipeline, RecordBatch) = check;
}

#[tokio::test]
async fn only_what_the_outputs_need_is_computed() {
    let files = ViewFiles::from_texts(&[
        ("used", "SELECT customer FROM batch"),
        ("unused", "SELECT * FROM accounts"),
    ])
    .unwrap();
    let wanted = ["used".to_owned()];
    let pipeline =
        Pipeline::prepare(&files, batch_schema(), vec![accounts_spec()], Some(&wanted), MEMORY_MAX)
            .await
            .unwrap();
    assert_eq!(pipeline.unused_views(), ["unused"]);
    assert_eq!(pipeline.tables_read(), [] as [usize; 0]);
    assert_eq!(pipeline.views().collect::<Vec<_>>(), ["used"]);
}

#[tokio::test]
async fn a_batch_without_rows_gives_none() {
    let mut pipeline = prepare(&[("n", "SELECT count(*) AS n FROM batch")], vec![]).await.unwrap();
    let results = run(&mut pipeline, movements(&[]), &accounts(&[])).await.unwrap();
    assert_eq!(results.outputs, [Vec::<RecordBatch>::new()]);
    assert!(results.views.is_empty());
}

#[tokio::test]
async fn keys_come_from_the_batch_a_view_or_another_table() {
    let branches = Arc::new(Schema::new(vec![
        Field::new("id", DataType::Utf8, true),
        Field::new("city", DataType::Utf8, true),
    ]));
    let branches_spec = TableSpec {
        name: "branches".to_owned(),
        schema: Arc::clone(&branches),
        key: vec!["id".to_owned()],
        matches: vec![vec![place("accounts", "branch")], vec![place("codes", "code")]],
        state: None,
        place: Place::of_file("config.yaml:12"),
    };
    let texts = [
        ("codes", "SELECT upper(agency) AS code FROM batch"),
        (
            "cities",
            "SELECT b.customer, c.city FROM batch b JOIN accounts a ON a.customer_id = b.customer JOIN branches c ON c.id = a.branch",
        ),
    ];
    let mut pipeline = prepare(&texts, vec![branches_spec, accounts_spec()]).await.unwrap();
    let branch_rows = RecordBatch::try_new(
        branches,
        vec![Arc::new(StringArray::from(vec!["b7"])), Arc::new(StringArray::from(vec!["Lima"]))],
    );
    let branch_rows = branch_rows.unwrap();
    let mut asked = Vec::new();
    let rows_of = async |table: usize, keys: Vec<RecordBatch>| {
        asked.push((table, keys.iter().map(|keys| keys.columns().to_vec()).collect::<Vec<_>>()));
        let rows = if table == 0 { branch_rows.clone() } else { accounts(&[(1, "Ana", "b7")]) };
        Ok::<_, SqlError>(vec![rows])
    };
    let batch = movements(&[(1, "north", 1.0), (2, "south", 2.0)]);
    let results = pipeline.run(batch, rows_of).await.unwrap();
    let customers = Arc::new(Int32Array::from(vec![1, 2])) as ArrayRef;
    let of_accounts = Arc::new(StringArray::from(vec!["b7"])) as ArrayRef;
    let of_codes = Arc::new(StringArray::from(vec!["NORTH", "SOUTH"])) as ArrayRef;
    assert_eq!(asked, [(1, vec![vec![customers]]), (0, vec![vec![of_accounts], vec![of_codes]])]);
    insta::assert_snapshot!(table_of(&results.outputs[0]), @r#"
    +----------+------+
    | customer | city |
    +----------+------+
    | 1        | Lima |
    +----------+------+
    "#);
}

#[tokio::test]
async fn raise_error_refuses_the_rows_that_come_to_it() {
    let sql = "SELECT CASE WHEN value > 0 THEN value ELSE raise_error('An Int64: ' || agency) END AS x,
  coalesce(nullif(agency, 'n'), raise_error('no agency')) AS y FROM batch";
    let mut pipeline = prepare(&[("v", sql)], vec![]).await.unwrap();
    let none = accounts(&[]);
    let mut refused = async |movement: Movement| {
        let error = run(&mut pipeline, movements(&[(1, "m", 2.0), movement]), &none).await.unwrap_err();
        assert_eq!(error.kind(), SqlErrorKind::Row, "{error}");
        (error.place_of_row(), error.found().message)
    };
    assert_eq!(refused((1, "m", 0.0)).await, ("sql/v.sql:1:72".to_owned(), "An Int64: m".to_owned()));
    assert_eq!(refused((1, "n", 2.0)).await, ("sql/v.sql:2:33".to_owned(), "no agency".to_owned()));
    let results = run(&mut pipeline, movements(&[(1, "m", 2.0)]), &none).await.unwrap();
    assert_eq!(*results.outputs[0][0].column(0).data_type(), DataType::Float64);
}

#[tokio::test]
async fn a_failing_row_is_a_fault_of_the_data_and_the_next_batch_is_not_touched() {
    let mut pipeline =
        prepare(&[("v", "SELECT 10 / CAST(value AS INT) AS x FROM batch")], vec![]).await.unwrap();
    let none = accounts(&[]);
    let error = run(&mut pipeline, movements(&[(1, "n", 2.0), (1, "n", 0.0)]), &none).await.unwrap_err();
    assert_eq!((error.kind(), error.fault(), error.file()), (SqlErrorKind::Row, Fault::Data, "sql/v.sql"));
    insta::assert_snapshot!(error, @r"
    sql/v.sql:1:18: error: `10 / CAST(batch.value AS INT)`: divide by zero
      |
    1 | SELECT 10 / CAST(value AS INT) AS x FROM batch
      |                  ^^^^^
    hint: `x / nullif(y, 0)` is NULL where y is 0
    ");
    let results = run(&mut pipeline, movements(&[(1, "n", 2.0)]), &none).await.unwrap();
    insta::assert_snapshot!(table_of(&results.outputs[0]), @r#"
    +---+
    | x |
    +---+
    | 5 |
    +---+
    "#);
    let mut pipeline = prepare(&[("v", "SELECT CAST(agency AS INT) AS x FROM batch")], vec![]).await.unwrap();
    let error = run(&mut pipeline, movements(&[(1, "n", 2.0)]), &none).await.unwrap_err();
    assert_eq!(error.fault(), Fault::Data);
    insta::assert_snapshot!(error, @r"
    sql/v.sql:1:13: error: `CAST(batch.agency AS INT)`: cannot cast string 'n' to value of INT type
      |
    1 | SELECT CAST(agency AS INT) AS x FROM batch
      |             ^^^^^^
    hint: `TRY_CAST(x AS type)` is NULL where x is no such value
    ");
    let text = "SELECT to_timestamp(agency, '%Y-%m-%d') AS x FROM batch";
    let mut pipeline = prepare(&[("v", text)], vec![]).await.unwrap();
    let error = run(&mut pipeline, movements(&[(1, "n", 2.0)]), &none).await.unwrap_err();
    assert_eq!(error.place_of_row(), "sql/v.sql:1:21");
    assert!(error.message().starts_with("`to_timestamp(batch.agency, '%Y-%m-%d')`: "), "{error}");
    assert!(error.hint().is_some_and(|hint| hint.contains("several formats")), "{error}");
}

/// Each column, and where the place of its fault is.
#[tokio::test]
async fn calls_that_fail_say_where_they_are() {
    for (column, at) in [
        ("power(customer - 1, -1)", 14),
        ("regexp_replace(agency, agency || '(', 'x')", 23),
        ("regexp_like(agency, agency || '(')", 20),
        ("overlay(agency PLACING 'x' FROM customer - 9)", 16),
        ("cardinality(range(1, 5, customer - 1))", 32),
        ("lcm(9223372036854775807, 9223372036854775806 + customer - 1)", 55),
        ("customer + sqrt(-1)", 19),
        ("chr(customer - 2)", 12),
        ("CASE WHEN customer > 1 THEN 1.0 ELSE sqrt(-1) END", 45),
        ("make_date(2024, 13, 1) + INTERVAL '1 day' * customer", 8),
        ("to_date('2024-02-30') + INTERVAL '1 day' * customer", 8),
    ] {
        let text = format!("SELECT {column} AS x FROM batch");
        let mut pipeline = prepare(&[("v", &text)], vec![]).await.unwrap();
        let failed = run(&mut pipeline, movements(&[(1, "n", 2.0)]), &accounts(&[])).await;
        let error = failed.err().unwrap_or_else(|| panic!("{column} is answered"));
        assert_eq!(error.place_of_row(), format!("sql/v.sql:1:{at}"), "{error}");
    }
}

#[tokio::test]
async fn memory_that_does_not_suffice_is_told_apart() {
    let texts = [("v", "SELECT a.kafka_offset + b.kafka_offset AS x FROM batch a CROSS JOIN batch b")];
    let files = ViewFiles::from_texts(&texts).unwrap();
    let mut pipeline = Pipeline::prepare(&files, batch_schema(), vec![], None, 1 << 20).await.unwrap();
    let many: Vec<Movement> = (0..1000).map(|n| (n, "n", 1.0)).collect();
    let none = accounts(&[]);
    let error = run(&mut pipeline, movements(&many), &none).await.unwrap_err();
    assert_eq!((error.kind(), error.fault()), (SqlErrorKind::MemoryExhausted, Fault::Data));
    // A part of the batch fits, and nothing of the failed run is still counted.
    for _ in 0..20 {
        let results = run(&mut pipeline, movements(&many[..200]), &none).await.unwrap();
        assert_eq!(results.views[0].rows, 40_000);
    }
}

#[tokio::test]
async fn the_clock_is_read_for_each_batch_and_once_for_all_views() {
    let texts =
        [("one", "SELECT now() AS at FROM batch"), ("two", "SELECT one.at AS at, now() AS here FROM one")];
    let mut pipeline = prepare(&texts, vec![]).await.unwrap();
    let none = accounts(&[]);
    let mut seen = Vec::new();
    for _ in 0..2 {
        let results = run(&mut pipeline, movements(&[(1, "n", 1.0)]), &none).await.unwrap();
        let row = &results.outputs[0][0];
        assert_eq!(&row.column(0), &row.column(1));
        seen.push(row.column(0).clone());
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    assert_ne!(&seen[0], &seen[1]);
}

#[tokio::test]
async fn functions_that_sql_users_expect() {
    let text = r#"SELECT upper(agency) AS u, round(sqrt(value), 2) AS r, date_trunc('hour', kafka_timestamp) AS h,
        CASE WHEN value > 1 THEN 'big' ELSE 'small' END AS c, regexp_replace(agency, '[aeiou]', '-') AS x,
        array_length(make_array(1, 2, 3)) AS n, json_get_int('{"a": {"b": 7}}', 'a', 'b') AS j,
        row_number() OVER (ORDER BY kafka_offset DESC) AS w, substr(md5(agency), 1, 6) AS m,
        encode('abc', 'base64') AS e, coalesce(nullif(agency, 'x'), '-') AS k
        FROM batch ORDER BY kafka_offset"#;
    let mut pipeline = prepare(&[("v", text)], vec![]).await.unwrap();
    let results =
        run(&mut pipeline, movements(&[(1, "abc", 16.0), (2, "x", 0.5)]), &accounts(&[])).await.unwrap();
    insta::assert_snapshot!(table_of(&results.outputs[0]), @r#"
    +-----+------+----------------------+-------+-----+---+---+---+--------+------+-----+
    | u   | r    | h                    | c     | x   | n | j | w | m      | e    | k   |
    +-----+------+----------------------+-------+-----+---+---+---+--------+------+-----+
    | ABC | 4.0  | 1970-01-01T00:00:00Z | big   | -bc | 3 | 7 | 2 | 900150 | YWJj | abc |
    | X   | 0.71 | 1970-01-01T00:00:00Z | small | x   | 3 | 7 | 1 | 9dd4e4 | YWJj | -   |
    +-----+------+----------------------+-------+-----+---+---+---+--------+------+-----+
    "#);
}

#[tokio::test]
async fn names_are_taken_as_written() {
    let texts = [
        ("Señales", "SELECT customer AS Cliente, value AS \"Valor total\" FROM batch"),
        ("v", "select Cliente FROM Señales"),
    ];
    let pipeline = prepare(&texts, vec![]).await.unwrap();
    assert_eq!(pipeline.outputs()[0].1.field(0).name(), "Cliente");
}

/// Views whose plans keep something of a run: build sides, best rows, groups, windows, subqueries, limits.
const KEEPING: [(&str, &str); 10] = [
    ("joined", "SELECT b.*, a.name FROM batch b LEFT JOIN accounts a ON a.customer_id = b.customer"),
    (
        "full_join",
        "SELECT b.customer, a.name FROM batch b FULL JOIN accounts a ON a.customer_id = b.customer",
    ),
    ("top", "SELECT * FROM joined ORDER BY value DESC, kafka_offset LIMIT 3"),
    (
        "groups",
        "SELECT agency, count(*) AS n, sum(value) AS s, max(name) AS m FROM joined GROUP BY agency ORDER BY agency",
    ),
    (
        "windows",
        "SELECT kafka_offset, row_number() OVER (PARTITION BY customer ORDER BY kafka_offset) AS n, sum(value) OVER (PARTITION BY agency ORDER BY kafka_offset ROWS 2 PRECEDING) AS s FROM batch",
    ),
    ("scalar", "SELECT kafka_offset, value - (SELECT avg(value) FROM batch) AS d FROM batch"),
    (
        "exists_one",
        "SELECT customer FROM batch b WHERE EXISTS (SELECT 1 FROM accounts a WHERE a.customer_id = b.customer) AND customer NOT IN (SELECT customer FROM top)",
    ),
    (
        "near",
        "SELECT a.kafka_offset AS x, b.kafka_offset AS y FROM batch a JOIN batch b ON a.value < b.value LIMIT 50",
    ),
    (
        "crossed",
        "SELECT DISTINCT a.agency, t.customer FROM batch a CROSS JOIN top t UNION ALL SELECT name, 0 FROM accounts",
    ),
    (
        "recursive",
        "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < (SELECT count(*) FROM batch)) SELECT sum(n) AS n FROM r",
    ),
];

fn sorted(batches: &[RecordBatch]) -> Vec<String> {
    let text = if batches.is_empty() { String::new() } else { table_of(batches) };
    let mut lines: Vec<String> =
        text.lines().filter(|line| line.starts_with('|')).map(|line| line.replace(' ', "")).collect();
    lines.sort();
    lines
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    /// The law of plans: a plan that ran before gives what a plan made for this batch alone gives.
    #[test]
    fn a_plan_that_ran_before_gives_what_a_new_one_gives(
        batches in prop::collection::vec(
            prop::collection::vec((0..5_i32, prop::sample::select(vec!["n", "s", "e"]), (0..9_i32).prop_map(f64::from)), 1..40),
            2..6,
        ),
        known in prop::collection::vec(prop::sample::subsequence(vec![(1_i64, "Ana", "x"), (2, "Eva", "y"), (3, "Leo", "z")], 0..=3), 6),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut kept = prepare(&KEEPING, vec![accounts_spec()]).await.unwrap();
            for (rows, known) in batches.iter().zip(&known) {
                let known = accounts(known);
                let again = run(&mut kept, movements(rows), &known).await.unwrap();
                let mut new = prepare(&KEEPING, vec![accounts_spec()]).await.unwrap();
                let fresh = run(&mut new, movements(rows), &known).await.unwrap();
                for (index, (name, _)) in kept.outputs().iter().enumerate() {
                    assert_eq!(sorted(&again.outputs[index]), sorted(&fresh.outputs[index]), "{name}");
                }
            }
        });
    }
}
