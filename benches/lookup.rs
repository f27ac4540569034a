//! The rows of keyed tables for the keys of a batch, by the size of the table: a file in memory, a table of a SQLite
//! database whose rows are held or fetched again, and state. Rows are the keys that are looked up, bytes those of the
//! rows that are found, in Arrow.
//!
//! `BENCH_KEYS_MAX=10000000` adds tables of ten million rows, which need several GiB of memory.

mod support;

use std::fmt::Write as _;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{
    ArrayRef, Decimal128Array, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, criterion_group, criterion_main};
use realtime_processor::batch::VERSION_COLUMN;
use realtime_processor::config::{KeyPlace, ReferenceTableConfig, TableOrigin};
use realtime_processor::database::{Address, Connection, Purpose};
use realtime_processor::tables::{ReferenceTables, StateTableSpec, StateTables};
use tokio::runtime::Runtime;

use support::{arrow_bytes, rows_and_bytes};

const SIZES: [i32; 4] = [1_000, 100_000, 1_000_000, 10_000_000];
const KEYS_MAX_BY_DEFAULT: i32 = 1_000_000;
/// Keys of a batch.
const BATCH_KEYS: usize = 10_000;
/// Batches with other keys, so that not always the same rows are found.
const BATCHES: u64 = 16;
/// Rows of state that are put in at once.
const PART_ROWS: i32 = 100_000;
/// Bounds nothing that is measured.
const MEMORY_MAX: usize = 16 << 30;
const NEVER: Duration = Duration::from_secs(86_400);

fn keys_max() -> i32 {
    let wanted = std::env::var("BENCH_KEYS_MAX");
    wanted.map_or(KEYS_MAX_BY_DEFAULT, |wanted| wanted.parse().expect("BENCH_KEYS_MAX is a number"))
}

/// For each batch its keys up to `key_max`, as they stand in `batch`: not distinct, in no order.
fn batches(key_max: i32) -> Vec<RecordBatch> {
    let batch = |seed: u64| {
        let mut random = fastrand::Rng::with_seed(seed);
        let keys: Int32Array = (0..BATCH_KEYS).map(|_| random.i32(1..=key_max)).collect();
        RecordBatch::try_from_iter([("customer", Arc::new(keys) as ArrayRef)]).expect("one column")
    };
    (0..BATCHES).map(batch).collect()
}

/// Looks up one batch after the other.
fn measure(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    table_rows: i32,
    batches: &[RecordBatch],
    mut look_up: impl FnMut(&RecordBatch) -> Vec<RecordBatch>,
) {
    let found: usize = batches.iter().map(|keys| arrow_bytes(&look_up(keys))).sum();
    group.throughput(rows_and_bytes(BATCH_KEYS, found / batches.len()));
    let mut next = batches.iter().cycle();
    group.bench_function(BenchmarkId::new(name, table_rows), |bencher| {
        bencher.iter(|| next.next().map(&mut look_up));
    });
}

fn config(origin: TableOrigin, refresh_interval: Duration) -> ReferenceTableConfig {
    ReferenceTableConfig {
        name: "accounts".to_owned(),
        origin,
        key: vec!["customer_id".to_owned()],
        matches: vec![vec![KeyPlace { relation: "batch".to_owned(), column: "customer".to_owned() }]],
        refresh_interval,
    }
}

/// Measures a reference table; one key in ten is not in it.
fn reference(
    group: &mut BenchmarkGroup<'_, WallTime>,
    runtime: &Runtime,
    name: &str,
    table_rows: i32,
    config: ReferenceTableConfig,
    database: &Address,
) {
    let tables = runtime.block_on(ReferenceTables::open(&[config], &|_| true, database, MEMORY_MAX));
    let mut tables = tables.expect("a table");
    measure(group, name, table_rows, &batches(table_rows / 9 * 10), |keys| {
        runtime.block_on(async {
            tables.begin_batch().await.expect("nothing is read again");
            tables.gather(0, std::slice::from_ref(keys)).await.expect("rows")
        })
    });
}

fn write_csv(path: &Path, rows: i32) {
    let mut text = String::from("customer_id,name,age,account_type,credit_score\n");
    for id in 1..=rows {
        let (age, score) = (18 + id % 60, id % 1000);
        writeln!(text, "{id},name {id},{age},premium,{score}").expect("room");
    }
    std::fs::write(path, text).expect("the file is written");
}

async fn write_sqlite(address: &Address, rows: i32) {
    let mut connection =
        Connection::open(address, Purpose::Write { create: true }).await.expect("a database");
    let create = "CREATE TABLE accounts (customer_id INTEGER PRIMARY KEY, name TEXT, age INTEGER, \
                  account_type TEXT, credit_score INTEGER)";
    connection.run(create).await.expect("a table");
    let fill = format!(
        "INSERT INTO accounts WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n WHERE id < {rows}) \
         SELECT id, 'name ' || id, 18 + id % 60, 'premium', id % 1000 FROM n"
    );
    connection.run(&fill).await.expect("rows");
}

/// The columns of a state table, as SQL reads them.
fn state_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("customer", DataType::Int64, true),
        Field::new("movements", DataType::Int64, true),
        Field::new("deposited", DataType::Decimal128(38, 2), true),
        Field::new("last_movement", DataType::Utf8, true),
        Field::new("last_balance", DataType::Float64, true),
    ]))
}

/// Rows of state as the database has them.
fn stored_state(ids: Range<i32>) -> RecordBatch {
    let ids: Vec<i64> = ids.map(i64::from).collect();
    let count = ids.len();
    let amounts = Decimal128Array::from_iter_values(ids.iter().map(|id| i128::from(*id) * 100));
    let columns: [(&str, ArrayRef); 6] = [
        ("customer", Arc::new(Int64Array::from(ids))),
        ("movements", Arc::new(Int64Array::from(vec![7; count]))),
        ("deposited", Arc::new(amounts.with_precision_and_scale(38, 2).expect("digits"))),
        ("last_movement", Arc::new(StringArray::from(vec!["2026-01-05 08:00:00"; count]))),
        ("last_balance", Arc::new(Float64Array::from(vec![1234.56; count]))),
        (VERSION_COLUMN, Arc::new(Int64Array::from(vec![1; count]))),
    ];
    RecordBatch::try_from_iter(columns).expect("columns of one length")
}

/// A state table with all its rows held.
fn held_state(rows: i32) -> StateTables {
    let spec = StateTableSpec {
        name: "account_state".to_owned(),
        view: "next_account_state".to_owned(),
        schema: state_schema(),
        key: vec!["customer".to_owned()],
        deletes: false,
        follows_partition: false,
        ttl: None,
    };
    let nowhere = Address::Sqlite { path: "never-opened.db".into() };
    let (mut states, faults) = StateTables::new(vec![spec], &nowhere, MEMORY_MAX);
    assert!(faults.is_empty(), "{faults:?}");
    states.begin_batch();
    for first in (1..=rows).step_by(PART_ROWS as usize) {
        let stored = stored_state(first..rows.min(first + PART_ROWS - 1) + 1);
        let keys = stored.project(&[0]).expect("the key");
        let missing = states.missing(0, &[keys]).expect("keys").expect("nothing is held of them");
        states.hold(0, &missing, &stored).expect("room");
    }
    states
}

/// What is held of the state for these keys.
fn state_of(states: &mut StateTables, keys: &RecordBatch) -> Vec<RecordBatch> {
    let keys = std::slice::from_ref(keys);
    states.begin_batch();
    assert!(states.missing(0, keys).expect("keys").is_none(), "all are held");
    vec![states.rows(0, keys).expect("rows")]
}

fn lookup(criterion: &mut Criterion) {
    let runtime = support::runtime();
    let mut group = criterion.benchmark_group("lookup");
    group.sample_size(20).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    let sizes = SIZES.into_iter().filter(|size| *size <= keys_max());
    for rows in sizes {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("accounts.csv");
        let database = Address::Sqlite { path: folder.path().join("accounts.db") };
        write_csv(&path, rows);
        let file = config(TableOrigin::File { path, delimiter: b',' }, NEVER);
        reference(&mut group, &runtime, "file", rows, file, &database);

        runtime.block_on(write_sqlite(&database, rows));
        let table = TableOrigin::Table("accounts".to_owned());
        reference(&mut group, &runtime, "sqlite_held", rows, config(table.clone(), NEVER), &database);
        // Nothing is young enough to be taken from what is held.
        let fetched = config(table, Duration::ZERO);
        reference(&mut group, &runtime, "sqlite_fetched", rows, fetched, &database);

        let (mut states, known) = (held_state(rows), batches(rows));
        measure(&mut group, "state", rows, &known, |keys| state_of(&mut states, keys));
        measure(&mut group, "state_written", rows, &known, |keys| {
            let rows = state_of(&mut states, keys);
            states.stage(std::slice::from_ref(&rows), None).expect("one row for each key");
            states.committed();
            rows
        });
    }
    group.finish();
}

criterion_group!(benches, lookup);
criterion_main!(benches);
