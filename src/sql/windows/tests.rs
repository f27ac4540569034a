//! What DataFusion computes without this module is what must come out, for sums that do not overflow.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, Date32Array, Decimal128Array, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray,
    UInt16Array,
};
use arrow::compute::{cast, concat_batches};
use datafusion::catalog::MemTable;
use datafusion::common::tree_node::{TreeNode as _, TreeNodeRecursion};
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::session_state::SessionState;
use datafusion::physical_plan::{ExecutionPlan, collect};
use datafusion::prelude::SessionConfig;
use proptest::prelude::*;

use super::WholeWindows;
use crate::sql::physical::Physical;
use crate::sql::session::{register, session};
use crate::sql::signed::signed;

const RUNNING: &str = "ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW";
const FUNCTIONS_THAT_RUN: [&str; 17] = [
    "count(*) OVER (p ROWS)",
    "count(i) OVER (p ROWS)",
    "count(t) OVER (p BEFORE)",
    "count(*) OVER (p BEFORE)",
    "sum(i) OVER (p ROWS)",
    "sum(u) OVER (p ROWS)",
    "sum(f) OVER (p ROWS)",
    "sum(d) OVER (p ROWS)",
    "sum(d) OVER (p BEFORE)",
    "min(i) OVER (p ROWS)",
    "max(i) OVER (p BEFORE)",
    "max(d) OVER (p ROWS)",
    "min(day) OVER (p ROWS)",
    "row_number() OVER p",
    "lag(t) OVER p",
    "lag(f, 2) OVER p",
    "lead(d, 1) OVER p",
];
/// Frames that slide, orders that are not unique, and filters among them.
const FUNCTIONS_OF_DATAFUSION: [&str; 12] = [
    "max(f) OVER (p ROWS)",
    "min(t) OVER (p ROWS)",
    "avg(f) OVER (p ROWS)",
    "sum(i) FILTER (WHERE f > 0) OVER (p ROWS)",
    "count(DISTINCT i) OVER (p ROWS)",
    "lag(t) IGNORE NULLS OVER p",
    "lag(i, 1, 7) OVER p",
    "lag(i, -1) OVER p",
    "first_value(t) OVER (p ROWS)",
    "sum(i) OVER (p ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)",
    "count(*) OVER (PARTITION BY k ORDER BY i)",
    "rank() OVER (PARTITION BY k ORDER BY i)",
];

/// `SELECT n, the functions FROM rows ORDER BY n`
fn query(functions: &[&str]) -> String {
    let functions: Vec<String> =
        functions.iter().enumerate().map(|(at, function)| format!("{function} AS c{at}")).collect();
    let functions = functions.join(", ").replace(" ROWS)", &format!(" {RUNNING})"));
    let functions = functions.replace(" BEFORE)", " ROWS BETWEEN UNBOUNDED PRECEDING AND 2 PRECEDING)");
    format!("SELECT n, {functions} FROM rows WINDOW p AS (PARTITION BY k ORDER BY n) ORDER BY n")
}

type Row = (Option<i32>, Option<i64>, Option<i16>, Option<f64>, Option<String>);

fn batch(rows: &[Row]) -> RecordBatch {
    let decimals: Decimal128Array = rows.iter().map(|row| row.1.map(i128::from)).collect();
    let days = rows.iter().map(|row| row.2.map(i32::from));
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("n", Arc::new(Int64Array::from_iter_values((0..).take(rows.len()).map(|n| n * 7 % 1_000)))),
        ("k", Arc::new(rows.iter().map(|row| row.0).collect::<Int32Array>())),
        ("i", Arc::new(rows.iter().map(|row| row.1).collect::<Int64Array>())),
        ("u", Arc::new(rows.iter().map(|row| row.2.map(i16::unsigned_abs)).collect::<UInt16Array>())),
        ("f", Arc::new(rows.iter().map(|row| row.3).collect::<Float64Array>())),
        ("d", Arc::new(decimals.with_precision_and_scale(38, 2).expect("a decimal"))),
        ("day", Arc::new(days.collect::<Date32Array>())),
        ("t", Arc::new(rows.iter().map(|row| row.4.clone()).collect::<StringArray>())),
    ];
    let nullable = columns.into_iter().map(|(name, column)| (name, column, true));
    RecordBatch::try_from_iter_with_nullable(nullable).expect("a batch")
}

async fn plan(state: &SessionState, rows: &RecordBatch, sql: &str) -> Arc<dyn ExecutionPlan> {
    // Two batches, so that partitions span them.
    let half = rows.num_rows() / 2;
    let batches = vec![rows.slice(0, half), rows.slice(half, rows.num_rows() - half)];
    let table = MemTable::try_new(rows.schema(), vec![batches]).expect("a table");
    register(state, "rows", Arc::new(table)).expect("registered");
    let logical = state.create_logical_plan(sql).await.expect("it is SQL");
    state.create_physical_plan(&logical).await.expect("a plan")
}

async fn rows_of(state: &SessionState, plan: Arc<dyn ExecutionPlan>) -> RecordBatch {
    let schema = plan.schema();
    let batches = collect(plan, state.task_ctx()).await.expect("rows");
    concat_batches(&schema, &batches).expect("one batch")
}

/// A session of DataFusion's own.
fn plain() -> SessionState {
    let config = SessionConfig::new().with_target_partitions(1);
    SessionStateBuilder::new_with_default_features().with_config(config).build()
}

/// How many functions of a plan run over all partitions.
fn running(plan: &Arc<dyn ExecutionPlan>) -> usize {
    let mut running = 0;
    let count = |node: &Arc<dyn ExecutionPlan>| {
        if let Some(Physical(windows)) = node.downcast_ref::<Physical<WholeWindows>>() {
            running += windows.functions.iter().filter(|function| function.running.is_some()).count();
        }
        Ok(TreeNodeRecursion::Continue)
    };
    plan.apply(count).expect("walked");
    running
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime")
}

fn row() -> impl Strategy<Value = Row> {
    let value = prop_oneof![4 => -20_i64..20, 1 => Just(i64::MAX / 64), 1 => Just(i64::MIN / 64)];
    let number = prop_oneof![4 => -9.0..9.0, 1 => Just(-0.0), 1 => Just(f64::NAN), 1 => Just(f64::INFINITY)];
    (
        proptest::option::of(0..4_i32),
        proptest::option::of(value),
        proptest::option::of(any::<i16>()),
        proptest::option::of(number),
        proptest::option::of("[ab]{0,2}"),
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_rows_are_those_of_datafusion(rows in proptest::collection::vec(row(), 0..60)) {
        let rows = batch(&rows);
        runtime().block_on(async {
            for functions in [&FUNCTIONS_THAT_RUN[..], &FUNCTIONS_OF_DATAFUSION[..]] {
                let sql = query(functions);
                let (ours, theirs) = (session(64 << 20).expect("a session"), plain());
                let expected = rows_of(&theirs, plan(&theirs, &rows, &sql).await).await;
                let found = rows_of(&ours, plan(&ours, &rows, &sql).await).await;
                // DataFusion counts rows without a sign.
                let signed = |column: &ArrayRef| cast(column, &signed(column.data_type())).expect("a cast");
                let columns = |rows: &RecordBatch| rows.columns().iter().map(signed).collect::<Vec<_>>();
                // By their text: NaN is not equal to itself.
                assert_eq!(format!("{:?}", columns(&found)), format!("{:?}", columns(&expected)));
            }
        });
    }
}

#[test]
fn functions_run_where_they_can() {
    let rows = batch(&[(Some(1), Some(2), Some(3), Some(4.0), Some("a".into()))]);
    runtime().block_on(async {
        for (functions, expected) in [(&FUNCTIONS_THAT_RUN[..], 1), (&FUNCTIONS_OF_DATAFUSION[..], 0)] {
            for function in functions {
                let state = session(64 << 20).expect("a session");
                let found = running(&plan(&state, &rows, &query(&[function])).await);
                // Of some it is seen only in the values that they are not for it.
                let is_seen_late = ["max(f)", "min(t)"].iter().any(|start| function.starts_with(start));
                assert_eq!(found, expected + usize::from(is_seen_late), "{function}");
            }
        }
    });
}
