//! Whole transactions, from rows that were checked to the answer to COMMIT, fence and offsets included: SQLite in a temporary
//! folder, MySQL where `MYSQL_ADMIN_URL` or `MYSQL_URL` says where one is, in a database of its own that is dropped in
//! the end. Tables grow as they do in a job. Bytes are those of the rows in Arrow.

mod support;

use std::path::Path;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, criterion_group, criterion_main};
use realtime_processor::batch::{Advance, Commit, TopicPartition};
use realtime_processor::config::{BulkLoad, Mode, Upsert};
use realtime_processor::database::{Address, Connection, Purpose};
use realtime_processor::sink::{Prepared, Sink, Target};
use tokio::runtime::Runtime;

use support::{Shipped, TOPIC, arrow_bytes, rows_and_bytes};

const ROWS: [usize; 3] = [1, 1_000, 16_384];

/// How rows are written.
struct Way {
    name: &'static str,
    mode: Mode,
    bulk_load: BulkLoad,
    /// Fewer go another way.
    rows_min: usize,
}

fn insert() -> Way {
    Way { name: "insert", mode: Mode::Append, bulk_load: BulkLoad::Off, rows_min: 1 }
}

fn load_data() -> Way {
    Way { name: "load_data", mode: Mode::Append, bulk_load: BulkLoad::Auto, rows_min: 1_000 }
}

/// From the second commit on, the rows are there.
fn upsert() -> Way {
    let key = ["kafka_topic", "kafka_partition", "kafka_offset"].map(str::to_owned).to_vec();
    Way { name: "upsert", mode: Mode::Upsert(Upsert::by(key)), bulk_load: BulkLoad::Off, rows_min: 1 }
}

/// A writer that commits the same rows again and again, each time as the batch after the one before.
struct Writer {
    sink: Sink,
    /// Made ready once: what is measured is writing.
    prepared: Prepared,
}

impl Writer {
    async fn open(address: &Address, target: Target, bulk_load: BulkLoad, rows: RecordBatch) -> Self {
        let job = target.table.clone();
        let sink = Sink::connect(address.clone(), &job, vec![target], true).await.expect("a database");
        let mut sink = sink.with_bulk_load(bulk_load);
        let partition = TopicPartition { topic: TOPIC.into(), partition: 0 };
        let claim = sink.claim(&[(partition, 0)]).await.expect("an offset").remove(0);
        let advance = Advance {
            partition: claim.partition,
            epoch: claim.epoch,
            from: claim.next_offset,
            to: claim.next_offset + rows.num_rows() as i64,
            message_time_ms: Some(1_767_600_000_000),
        };
        let commit = Commit { advances: vec![advance], outputs: vec![vec![rows]], ..Commit::default() };
        let prepared = sink.tables().prepare(commit).expect("rows that fit");
        Self { sink, prepared }
    }

    async fn commit(&mut self) {
        self.sink.commit(&self.prepared).await.expect("a commit");
        for advance in &mut self.prepared.commit.advances {
            (advance.from, advance.to) = (advance.to, 2 * advance.to - advance.from);
        }
    }
}

/// What is written: the table of `classified_movements`, and rows of that view.
struct Output {
    target: Target,
    rows: RecordBatch,
}

impl Output {
    async fn classified_movements() -> Self {
        let mut shipped = Shipped::over(ROWS[ROWS.len() - 1]).await;
        let results = shipped.compute().await;
        let target = shipped.targets.swap_remove(0);
        let rows = concat_batches(&target.schema, &results.outputs[0]).expect("batches of one view");
        Self { target, rows }
    }
}

fn measure(
    group: &mut BenchmarkGroup<'_, WallTime>,
    runtime: &Runtime,
    address: &Address,
    output: &Output,
    way: &Way,
) {
    for count in ROWS.into_iter().filter(|count| *count >= way.rows_min) {
        let rows = output.rows.slice(0, count);
        let table = format!("{}_{count}", way.name);
        let target = Target { table, mode: way.mode.clone(), ..output.target.clone() };
        group.throughput(rows_and_bytes(count, arrow_bytes(std::slice::from_ref(&rows))));
        let mut writer = runtime.block_on(Writer::open(address, target, way.bulk_load, rows));
        group.bench_function(BenchmarkId::new(way.name, count), |bencher| {
            bencher.iter(|| runtime.block_on(writer.commit()));
        });
    }
}

/// Few and short: a commit waits for a disk.
fn start<'c>(criterion: &'c mut Criterion, name: &str) -> BenchmarkGroup<'c, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group.sample_size(10).warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
    group
}

fn sqlite(criterion: &mut Criterion) {
    let runtime = support::runtime();
    let output = runtime.block_on(Output::classified_movements());
    let folder = tempfile::tempdir().expect("a folder");
    let address = Address::Sqlite { path: folder.path().join("rows.db") };
    let mut group = start(criterion, "write/sqlite");
    for way in [insert(), upsert()] {
        measure(&mut group, &runtime, &address, &output, &way);
    }
    group.finish();
}

fn mysql(criterion: &mut Criterion) {
    let runtime = support::runtime();
    let server = match runtime.block_on(Server::open()) {
        Ok(server) => server,
        Err(why) => return eprintln!("MySQL is left out: {why}"),
    };
    let output = runtime.block_on(Output::classified_movements());
    let mut group = start(criterion, "write/mysql");
    let ways = [Some(insert()), server.can_load.then(load_data), Some(upsert())];
    for way in ways.iter().flatten() {
        measure(&mut group, &runtime, &server.database, &output, way);
    }
    group.finish();
    runtime.block_on(server.close());
}

/// A database of this process on a server.
struct Server {
    connection: Connection,
    name: String,
    database: Address,
    can_load: bool,
}

impl Server {
    /// # Errors
    /// Why there is none.
    async fn open() -> Result<Self, String> {
        let url = std::env::var("MYSQL_ADMIN_URL").or_else(|_| std::env::var("MYSQL_URL"));
        let url = url.map_err(|_| "neither MYSQL_ADMIN_URL nor MYSQL_URL is set")?;
        let Address::MySql(address) =
            Address::parse(&url, Path::new(".")).map_err(|found| found.to_string())?
        else {
            return Err("MYSQL_ADMIN_URL and MYSQL_URL begin with mysql://".to_owned());
        };
        let name = format!("rt_bench_{}", std::process::id());
        let server = Address::MySql(address.clone());
        let failed = |error: realtime_processor::database::DatabaseError| error.to_string();
        let mut connection = Connection::open(&server, Purpose::Read).await.map_err(failed)?;
        connection.run(&format!("CREATE DATABASE {name}")).await.map_err(failed)?;
        let can_load = connection.can_load();
        if !can_load {
            eprintln!("LOAD DATA is left out: the server has local_infile=OFF");
        }
        let mut address = address;
        address.database.clone_from(&name);
        Ok(Self { connection, name, database: Address::MySql(address), can_load })
    }

    async fn close(mut self) {
        let dropped = self.connection.run(&format!("DROP DATABASE {}", self.name)).await;
        if let Err(error) = dropped {
            eprintln!("the database {} is left behind: {error}", self.name);
        }
    }
}

criterion_group!(benches, sqlite, mysql);
criterion_main!(benches);
