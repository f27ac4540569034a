//! The views that ship, from a decoded batch to the rows of the outputs: plans made once, the accounts looked up
//! by key. The time of one batch is its latency; rows by time is what one core computes.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use realtime_processor::config::{KeyPlace, ReferenceTableConfig, TableOrigin};
use realtime_processor::database::Address;
use realtime_processor::diagnostic::Place;
use realtime_processor::sql::{Pipeline, StateView, Step, TableSpec, ViewFiles};
use realtime_processor::tables::ReferenceTables;

const MEMORY_MAX: usize = 256 << 20;

fn schema() -> SchemaRef {
    let field = |name: &str, kind: DataType| Field::new(name, kind, false);
    Arc::new(Schema::new(vec![
        field("customer", DataType::Int32),
        field("agency", DataType::Utf8),
        field("operation_value", DataType::Float64),
        field("operation_type", DataType::Int32),
        field("date", DataType::Utf8),
        field("account_balance", DataType::Float64),
        field("kafka_topic", DataType::Utf8),
        field("kafka_partition", DataType::Int32),
        field("kafka_offset", DataType::Int64),
    ]))
}

/// Movements of 600 customers, of whom 500 have an account.
fn batch(rows: usize) -> RecordBatch {
    let mut random = fastrand::Rng::with_seed(7);
    let text = |text: &str| -> ArrayRef { Arc::new(StringArray::from(vec![text; rows])) };
    let mut amounts =
        || -> ArrayRef { Arc::new((0..rows).map(|_| random.f64() * 1000.0).collect::<Float64Array>()) };
    let (values, balances) = (amounts(), amounts());
    let columns: Vec<ArrayRef> = vec![
        Arc::new((0..rows).map(|_| random.i32(1..=600)).collect::<Int32Array>()),
        text("0001"),
        values,
        Arc::new((0..rows).map(|_| random.i32(0..=1)).collect::<Int32Array>()),
        text("2024-05-31 10:00:00"),
        balances,
        text("customer_movements"),
        Arc::new(Int32Array::from(vec![0; rows])),
        Arc::new((0..).take(rows).collect::<Int64Array>()),
    ];
    RecordBatch::try_new(schema(), columns).expect("columns as in the schema")
}

/// `account_state`, of which nothing is known yet.
fn account_state() -> TableSpec {
    TableSpec {
        name: "account_state".to_owned(),
        schema: Arc::new(Schema::empty()),
        key: vec!["customer".to_owned()],
        matches: vec![vec![KeyPlace { relation: "batch".to_owned(), column: "customer".to_owned() }]],
        state: Some(StateView { view: "next_account_state".to_owned(), follows_partition: false }),
        place: Place::default(),
    }
}

async fn prepare() -> (Pipeline, ReferenceTables) {
    let files = ViewFiles::read(Path::new("sql")).expect("the views that ship");
    let config = ReferenceTableConfig {
        name: "accounts".to_owned(),
        line: 1,
        origin: TableOrigin::File { path: "data/accounts.csv".into(), delimiter: b',' },
        key: vec!["customer_id".to_owned()],
        matches: vec![vec![KeyPlace { relation: "batch".to_owned(), column: "customer".to_owned() }]],
        refresh_interval: Duration::from_secs(60),
    };
    let database = Address::Sqlite { path: "unused.db".into() };
    let tables =
        ReferenceTables::open(&[config], &|_| true, &database, MEMORY_MAX).await.expect("the accounts");
    let spec = &tables.specs()[0];
    let spec = TableSpec {
        name: spec.name.clone(),
        schema: Arc::clone(&spec.schema),
        key: spec.key.clone(),
        matches: spec.matches.clone(),
        state: None,
        place: Place::default(),
    };
    let specs = vec![spec, account_state()];
    let pipeline = Pipeline::prepare(&files, schema(), specs, None, MEMORY_MAX).await.expect("plans");
    (pipeline, tables)
}

async fn run(pipeline: &mut Pipeline, tables: &mut ReferenceTables, batch: RecordBatch) {
    tables.begin_batch().await.expect("no database");
    pipeline.start(batch);
    loop {
        match pipeline.next().await.expect("rows that fit") {
            Step::Table { table, .. } if table == tables.specs().len() => {
                let none = RecordBatch::new_empty(Arc::clone(&pipeline.states()[0].schema));
                pipeline.provide(table, vec![none]);
            }
            Step::Table { table, keys } => {
                let rows = tables.gather(table, &keys).await.expect("rows in memory");
                pipeline.provide(table, rows);
            }
            Step::Done(results) => {
                black_box(results);
                return;
            }
        }
    }
}

fn views(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let (mut pipeline, mut tables) = runtime.block_on(prepare());
    let mut group = criterion.benchmark_group("views");
    group.sample_size(20).measurement_time(Duration::from_secs(3)).warm_up_time(Duration::from_secs(1));
    for rows in [1, 100, 10_000, 100_000] {
        let batch = batch(rows);
        group.throughput(Throughput::Elements(rows as u64));
        group.bench_with_input(BenchmarkId::new("batch", rows), &batch, |bencher, batch| {
            bencher.iter(|| runtime.block_on(run(&mut pipeline, &mut tables, batch.clone())));
        });
    }
    group.finish();
}

criterion_group!(benches, views);
criterion_main!(benches);
