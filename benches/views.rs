//! The views that ship: all of them, from a decoded batch to the rows of the outputs and of the state, and each alone.
//! Plans are made once, and the rows of tables are at hand (`lookup` measures how they are found). The time of one batch
//! is its latency; rows by time is what one core computes. Rows and bytes are those of `batch`.

mod support;

use std::slice;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use realtime_processor::batch::ViewResults;

use support::{Shipped, arrow_bytes, rows_and_bytes};

/// The time of one view within the time of all.
fn time_of(view: &str, results: &ViewResults) -> Duration {
    results.views.iter().filter(|timing| *timing.view == *view).map(|timing| timing.elapsed).sum()
}

fn views(criterion: &mut Criterion) {
    let runtime = support::runtime();
    let mut group = criterion.benchmark_group("views");
    group.sample_size(20);
    for rows in [1, 100, 10_000, 32_768] {
        let mut shipped = runtime.block_on(Shipped::over(rows));
        let names: Vec<String> = shipped.pipeline.views().map(str::to_owned).collect();
        group.throughput(rows_and_bytes(rows, arrow_bytes(slice::from_ref(&shipped.batch))));
        group.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
        group.bench_function(BenchmarkId::new("all", rows), |bencher| {
            bencher.iter(|| runtime.block_on(shipped.compute()));
        });
        // Why so short: all views are computed for the time of one, since each reads what others have made.
        group.warm_up_time(Duration::from_millis(20)).measurement_time(Duration::from_millis(100));
        for name in &names {
            group.bench_function(BenchmarkId::new(name, rows), |bencher| {
                bencher.iter_custom(|batches| {
                    (0..batches).map(|_| time_of(name, &runtime.block_on(shipped.compute()))).sum()
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, views);
criterion_main!(benches);
