//! Rows on their way into a database: the text of LOAD DATA, and whole transactions of one output into SQLite and, where
//! `MYSQL_ADMIN_URL` says where one is, into MySQL, by LOAD DATA and by INSERT.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use realtime_processor::batch::{Advance, Commit, TopicPartition};
use realtime_processor::config::{BulkLoad, Mode};
use realtime_processor::database::{Address, ColumnType, Connection, Dialect, Fit, LoadText, Purpose};
use realtime_processor::sink::{Sink, Target, TargetKind};
use tokio::runtime::Runtime;

const ROWS: usize = 10_000;
/// Rows that the sink encodes at once.
const PART_ROWS: usize = 1_000;

/// Classified movements, about 130 bytes of text each.
fn rows(rows: usize) -> RecordBatch {
    let text = |text: &str| -> ArrayRef { Arc::new(StringArray::from(vec![text; rows])) };
    let amounts = |scale: f64| -> ArrayRef {
        Arc::new((0..rows).map(|row| (row as f64 * scale * 100.0).round() / 100.0).collect::<Float64Array>())
    };
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("kafka_partition", Arc::new(Int32Array::from(vec![3; rows]))),
        ("kafka_offset", Arc::new((0..).take(rows).collect::<Int64Array>())),
        ("customer", Arc::new((0..).take(rows).collect::<Int32Array>())),
        ("name", text("Maria José da Silva")),
        ("agency", text("0001")),
        ("operation_type", Arc::new(Int32Array::from(vec![1; rows]))),
        ("operation_value", amounts(1.37)),
        ("account_balance", amounts(-0.71)),
        ("date", text("2024-05-31 10:00:00")),
        ("movement", text("withdrawal/renegotiation")),
        ("reaction", text("unavailable balance/debt renegotiation")),
    ];
    let fields: Vec<Field> =
        columns.iter().map(|(name, array)| Field::new(*name, array.data_type().clone(), true)).collect();
    let arrays = columns.into_iter().map(|(_, array)| array).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).expect("columns as in the schema")
}

fn encoded(batch: &RecordBatch, fits: &[Fit]) -> usize {
    let mut text = LoadText::new(fits.iter().map(Fit::is_binary));
    let mut bytes = 0;
    for start in (0..batch.num_rows()).step_by(PART_ROWS) {
        let part = start..batch.num_rows().min(start + PART_ROWS);
        for (column, (fit, array)) in fits.iter().zip(batch.columns()).enumerate() {
            let array = fit.prepare(array).expect("a type that is written");
            fit.each(&array, part.clone(), &mut |_, value| text.put(column, &value))
                .expect("values that fit");
        }
        bytes += black_box(text.take_lines()).len();
    }
    bytes
}

fn load_text(criterion: &mut Criterion) {
    let batch = rows(ROWS);
    let fit = |kind: &DataType| {
        let column = ColumnType::for_arrow(kind, Dialect::MySql, None).expect("a column for the type");
        Fit::new(kind, &column, true, Dialect::MySql).expect("it fits")
    };
    let fits: Vec<Fit> = batch.schema().fields().iter().map(|field| fit(field.data_type())).collect();
    let bytes = encoded(&batch, &fits);
    let mut group = criterion.benchmark_group("load_text");
    for (name, throughput) in
        [("rows", Throughput::Elements(ROWS as u64)), ("bytes", Throughput::Bytes(bytes as u64))]
    {
        group.throughput(throughput);
        group.bench_function(name, |bencher| bencher.iter(|| encoded(&batch, &fits)));
    }
    group.finish();
}

/// A sink that owns a partition, and how far that is.
struct Writer {
    sink: Sink,
    partition: TopicPartition,
    epoch: i64,
    offset: i64,
}

impl Writer {
    async fn open(address: Address, bulk_load: BulkLoad, batch: &RecordBatch) -> Self {
        let target = Target {
            name: "classified".into(),
            table: "classified".into(),
            mode: Mode::Append,
            schema: batch.schema(),
            kind: TargetKind::Output,
        };
        let sink = Sink::connect(address, "bench", vec![target], true).await.expect("a database");
        let mut sink = sink.with_bulk_load(bulk_load);
        let partition = TopicPartition { topic: "movements".into(), partition: 0 };
        let claims = sink.claim(&[(partition.clone(), 0)]).await.expect("claimed");
        Self { sink, partition, epoch: claims[0].epoch, offset: claims[0].next_offset }
    }

    async fn commit(&mut self, batch: &RecordBatch) {
        let to = self.offset + batch.num_rows() as i64;
        let (partition, epoch) = (self.partition.clone(), self.epoch);
        let advance = Advance { partition, epoch, from: self.offset, to, message_time_ms: None };
        let commit =
            Commit { advances: vec![advance], outputs: vec![vec![batch.clone()]], ..Commit::default() };
        self.sink.commit(&commit).await.expect("committed");
        self.offset = to;
    }
}

/// A new database of the server that `MYSQL_ADMIN_URL` names.
async fn mysql(name: &str) -> Option<Address> {
    let url = std::env::var("MYSQL_ADMIN_URL").ok()?;
    let Ok(Address::MySql(mut address)) = Address::parse(&url, Path::new(".")) else {
        panic!("MYSQL_ADMIN_URL is no mysql:// address")
    };
    let mut server =
        Connection::open(&Address::MySql(address.clone()), Purpose::Read).await.expect("a server");
    server.run(&format!("DROP DATABASE IF EXISTS {name}")).await.expect("dropped");
    server.run(&format!("CREATE DATABASE {name}")).await.expect("created");
    address.database = name.into();
    Some(Address::MySql(address))
}

fn transactions(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let folder = tempfile::tempdir().expect("a folder");
    let sqlite = Address::Sqlite { path: folder.path().join("bench.db") };
    measure(criterion, &runtime, "sqlite", sqlite, BulkLoad::Off);
    for (name, bulk_load) in [("mysql_insert", BulkLoad::Off), ("mysql_load_data", BulkLoad::Auto)] {
        match runtime.block_on(mysql(&format!("realtime_bench_{name}"))) {
            Some(address) => measure(criterion, &runtime, name, address, bulk_load),
            None => eprintln!("MYSQL_ADMIN_URL is not set: {name} is left out"),
        }
    }
}

fn measure(criterion: &mut Criterion, runtime: &Runtime, name: &str, address: Address, bulk_load: BulkLoad) {
    let mut group = criterion.benchmark_group("transaction");
    group.sample_size(10).measurement_time(Duration::from_secs(3)).warm_up_time(Duration::from_millis(500));
    let mut writer = runtime.block_on(Writer::open(address, bulk_load, &rows(1)));
    for count in [1, 100, ROWS] {
        let batch = rows(count);
        group.throughput(Throughput::Elements(count as u64));
        group.bench_with_input(BenchmarkId::new(name, count), &batch, |bencher, batch| {
            bencher.iter(|| runtime.block_on(writer.commit(batch)));
        });
    }
    group.finish();
}

criterion_group!(benches, load_text, transactions);
criterion_main!(benches);
