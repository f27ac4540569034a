//! Looking up the rows of a batch's keys: in a reference table that is held, of a thousand rows to a million. The time
//! should follow the batch and not the table.

use std::fmt::Write as _;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use realtime_processor::config::{KeyPlace, ReferenceTableConfig, TableOrigin};
use realtime_processor::database::Address;
use realtime_processor::tables::ReferenceTables;

const MEMORY_MAX: usize = 2 << 30;
const KEYS: usize = 10_000;

async fn open(folder: &std::path::Path, rows: usize) -> ReferenceTables {
    let mut csv = String::from("customer_id,name,score\n");
    for row in 0..rows {
        let _ = writeln!(csv, "{row},Customer {row},{}", row % 1000);
    }
    let path = folder.join(format!("accounts-{rows}.csv"));
    std::fs::write(&path, csv).expect("written");
    let config = ReferenceTableConfig {
        name: "accounts".to_owned(),
        line: 1,
        origin: TableOrigin::File { path, delimiter: b',' },
        key: vec!["customer_id".to_owned()],
        matches: vec![vec![KeyPlace { relation: "batch".to_owned(), column: "customer".to_owned() }]],
        refresh_interval: Duration::from_secs(3600),
    };
    let database = Address::Sqlite { path: "unused.db".into() };
    ReferenceTables::open(&[config], &|_| true, &database, MEMORY_MAX).await.expect("the accounts")
}

/// Keys all over the table, a tenth of which it has not.
fn keys(rows: usize) -> RecordBatch {
    let mut random = fastrand::Rng::with_seed(7);
    let keys: Int64Array = (0..KEYS).map(|_| random.i64(0..(rows as i64 * 10 / 9).max(1))).collect();
    let schema = Schema::new(vec![Field::new("customer_id", DataType::Int64, true)]);
    RecordBatch::try_new(Arc::new(schema), vec![Arc::new(keys)]).expect("one column")
}

fn lookup(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let folder = tempfile::tempdir().expect("a folder");
    let mut group = criterion.benchmark_group("lookup");
    group.sample_size(20).measurement_time(Duration::from_secs(2)).warm_up_time(Duration::from_millis(500));
    for rows in [1_000, 100_000, 1_000_000] {
        let mut tables = runtime.block_on(open(folder.path(), rows));
        let keys = [keys(rows)];
        let found = runtime.block_on(async {
            tables.begin_batch().await.expect("no database");
            tables.gather(0, &keys).await.expect("rows in memory")
        });
        let bytes: usize = found.iter().map(RecordBatch::get_array_memory_size).sum();
        for (unit, throughput) in
            [("rows", Throughput::Elements(KEYS as u64)), ("bytes", Throughput::Bytes(bytes as u64))]
        {
            group.throughput(throughput);
            group.bench_function(BenchmarkId::new(unit, rows), |bencher| {
                bencher.iter(|| {
                    runtime.block_on(async { black_box(tables.gather(0, &keys).await.expect("rows")) })
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, lookup);
criterion_main!(benches);
