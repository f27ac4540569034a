use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, AsArray, Int64Array, StringArray};
use arrow::datatypes::Int64Type;
use datafusion::execution::FunctionRegistry as _;

use super::*;
use crate::diagnostic::render;

fn session(rows: i64) -> QuerySession {
    let mut session = QuerySession::new(64 << 20).unwrap();
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..rows));
    let names: ArrayRef = Arc::new(StringArray::from_iter_values((0..rows).map(|n| format!("n{n}"))));
    let batch = RecordBatch::try_from_iter([("customer", numbers), ("agency", names)]).unwrap();
    session.put("batch", batch.schema(), vec![batch]).unwrap();
    session
}

async fn run(session: &QuerySession, sql: &str) -> Result<Vec<RecordBatch>, String> {
    let typed = Typed::parse("query", sql, sql).map_err(|errors| render(&errors))?;
    let plan = session.plan(&typed).await.map_err(|errors| render(&errors))?;
    let (mut rows, mut all) = (plan.run(), Vec::new());
    while let Some(batch) = rows.next().await.map_err(|error| error.to_string())? {
        all.push(batch);
    }
    Ok(all)
}

async fn fault(sql: &str) -> String {
    run(&session(10), sql).await.unwrap_err()
}

#[tokio::test]
async fn rows_of_a_query() {
    let rows = run(&session(10), "SELECT count(*) AS n FROM batch WHERE customer > 4").await.unwrap();
    assert_eq!(rows[0].column(0).as_primitive::<Int64Type>().value(0), 5);
    for sql in [
        "DESCRIBE batch",
        "SHOW TABLES",
        "EXPLAIN SELECT 1",
        "EXPLAIN ANALYZE SELECT * FROM batch",
        "VALUES (1)",
    ] {
        assert!(!run(&session(10), sql).await.unwrap().is_empty(), "{sql}");
    }
}

#[tokio::test]
async fn faults_have_the_place_the_line_and_the_nearest_name() {
    insta::assert_snapshot!(fault("SELECT custmer FROM batch").await, @r"
    query:1:8: error: no column `custmer`
      |
    1 | SELECT custmer FROM batch
      |        ^^^^^^^
    hint: did you mean `customer`?
    ");
    insta::assert_snapshot!(fault("SELECT 1\nFROM bacth").await, @r"
    query:2:6: error: no view or table `bacth`
      |
    2 | FROM bacth
      |      ^^^^^
    hint: did you mean `batch`?
    ");
    insta::assert_snapshot!(fault("SELECT customer,, agency FROM batch").await, @r"
    query:1:17: error: expected: an expression, found: ,
      |
    1 | SELECT customer,, agency FROM batch
      |                 ^
    ");
    insta::assert_snapshot!(fault("SELECT 1 / (customer - 3) FROM batch").await, @r"
    query:1:13: error: `1 / (batch.customer - 3)`: divide by zero
      |
    1 | SELECT 1 / (customer - 3) FROM batch
      |             ^^^^^^^^
    hint: `x / nullif(y, 0)` is NULL where y is 0
    ");
    let of_record = "SELECT 1 / (s.a.b - 3) AS x FROM (SELECT named_struct('a', named_struct('b', customer)) AS s FROM batch)";
    let said = fault(of_record).await;
    assert!(said.starts_with("query:1:8: error: `1 / (s.a.b - 3)`: divide by zero"), "{said}");
    assert!(said.contains("\n  |        ^^^^^^^^^^^^^^\n"), "{said}");
    let of_item = "SELECT l[1].a / (l[1].b - 3) AS x FROM (SELECT make_array(named_struct('a', 1, 'b', customer)) AS l FROM batch)";
    let said = fault(of_item).await;
    assert!(said.starts_with("query:1:8: error: `l[1].a / (l[1].b - 3)`: divide by zero"), "{said}");
}

#[tokio::test]
async fn nothing_but_reading() {
    for sql in [
        "INSERT INTO batch VALUES (1)",
        "DELETE FROM batch",
        "CREATE TABLE t AS SELECT 1",
        "DROP TABLE batch",
        "SET datafusion.execution.batch_size = 1",
        "COPY batch TO 'x.csv'",
        "EXPLAIN ANALYZE INSERT INTO batch VALUES (1)",
        "SELECT customer INTO t FROM batch",
        "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION 'x.csv'",
    ] {
        let said = fault(sql).await;
        assert!(said.contains("expected a query"), "{sql}: {said}");
    }
}

#[tokio::test]
async fn what_is_counted_without_a_join_is_known() {
    let session = session(10);
    let counted = async |sql: &str| {
        let typed = Typed::parse("query", sql, sql).unwrap();
        session.plan(&typed).await.unwrap().counted().iter().cloned().collect::<Vec<_>>()
    };
    assert_eq!(counted("SELECT count(*) FROM batch").await, ["batch"]);
    assert_eq!(
        counted("SELECT * FROM (SELECT sum(customer) FROM batch WHERE customer > 1)").await,
        ["batch"]
    );
    assert!(counted("SELECT customer FROM batch").await.is_empty());
    assert!(counted("SELECT count(*) FROM batch a JOIN batch b ON a.customer = b.customer").await.is_empty());
}

/// Queries that would run for hours let go of their thread soon after they are dropped.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_that_is_dropped_ends() {
    let session = session(20_000);
    for sql in [
        "SELECT count(*) FROM batch a, batch b, batch c",
        "SELECT count(*) FROM batch a JOIN batch b ON a.customer * b.customer < -1",
        "SELECT count(*) FROM batch a, batch b, batch c WHERE a.agency || b.agency = c.agency || 'x'",
        "WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM t) SELECT count(*) FROM t",
    ] {
        let typed = Typed::parse("query", sql, sql).unwrap();
        let mut rows = session.plan(&typed).await.unwrap().run();
        let waited = tokio::time::timeout(Duration::from_millis(300), rows.next()).await;
        assert!(waited.is_err(), "{sql}: it runs");
        let asked = Instant::now();
        rows.cancel.ask();
        rows.task.abort();
        while !rows.task.is_finished() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(asked.elapsed() < Duration::from_secs(20), "{sql}: {:?}", asked.elapsed());
    }
}

#[tokio::test]
async fn memory_is_bounded() {
    let said =
        run(&session(2_000), "SELECT array_agg(a.agency || repeat(b.agency, 20)) FROM batch a, batch b")
            .await;
    let said = said.unwrap_err();
    assert!(said.contains("error: the query needs more memory than the 64 MiB that it may have: "), "{said}");
    assert!(said.contains("or raise `memory_max`") && !said.contains("DiskManager"), "{said}");
}

/// A query is asked on the page of a job, too: a panic that were noted would end the job.
#[tokio::test]
async fn a_panic_is_an_error_of_the_query_and_is_not_noted() {
    let mut session = session(10);
    session.state.register_udf(crate::sql::view::tests::panicking()).unwrap();
    let error = run(&session, "SELECT panics(customer) AS n FROM batch").await.unwrap_err();
    assert!(error.contains("the SQL engine panicked: never shown: by a function"), "{error}");
    assert!(panics::noted().is_none_or(|noted| !noted.contains("by a function")));
}
