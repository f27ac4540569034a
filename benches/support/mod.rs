//! What the benchmarks share: movements to work on, the job that ships with one batch of them, and how rows and bytes
//! are counted.
#![allow(dead_code)] // Why: each benchmark uses its part.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::RecordBatch;
use criterion::Throughput;
use realtime_processor::avro::{Encoder, Frame};
use realtime_processor::batch::{Message, Messages, MessagesBuilder, ViewResults};
use realtime_processor::config::Config;
use realtime_processor::database::Address;
use realtime_processor::decode::Decoder;
use realtime_processor::engine::Plan;
use realtime_processor::sink::Target;
use realtime_processor::sql::{Pipeline, SqlError};
use realtime_processor::tables::{ReferenceTables, StateTables};
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};

/// Where messages are said to come from.
pub const TOPIC: &str = "customer_movements";
/// Customers who make movements; 500 of them have an account.
const CUSTOMERS: i32 = 600;
/// Bounds nothing that is measured.
const MEMORY_MAX: usize = 4 << 30;

/// A runtime as a job has it.
pub fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(3).enable_all().build().expect("threads")
}

/// Both are said for each measurement.
pub fn rows_and_bytes(rows: usize, bytes: usize) -> Throughput {
    Throughput::ElementsAndBytes { elements: rows as u64, bytes: bytes as u64 }
}

/// What the rows themselves take in Arrow; buffers may hold more.
pub fn arrow_bytes(batches: &[RecordBatch]) -> usize {
    let columns = batches.iter().flat_map(RecordBatch::columns);
    columns.map(|column| column.to_data().get_slice_memory_size().expect("a size")).sum()
}

pub fn payload_bytes(messages: &Messages) -> usize {
    messages.iter().map(|message| message.payload.map_or(0, <[u8]>::len)).sum()
}

/// Records of one partition, the first at offset 0.
pub fn messages(encoder: &Encoder, rows: usize, mut record: impl FnMut() -> Value) -> Messages {
    let topic = Arc::from(TOPIC);
    let mut builder = MessagesBuilder::default();
    let mut payload = Vec::new();
    for offset in 0..rows as i64 {
        payload.clear();
        encoder.encode(&record(), &mut payload).expect("the record fits its schema");
        builder.push(Message {
            timestamp_ms: Some(1_767_600_000_000 + offset),
            key: Some(b"123"),
            payload: Some(&payload),
            ..Message::tombstone(&topic, 0, offset)
        });
    }
    builder.finish()
}

/// The schema that ships.
pub fn schema() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas/customer.avsc")
}

/// Movements as the schema that ships has them; the same ones each time.
pub fn movement() -> impl FnMut() -> Value {
    let mut random = fastrand::Rng::with_seed(7);
    move || {
        let value = random.i32(100..300_000);
        let balance = random.i32(0..500_000);
        json!({
            "customer": random.i32(1..=CUSTOMERS),
            "agency": format!("{:04}", random.i32(1..=20)),
            "operation_value": f64::from(value) / 100.0,
            "operation_type": random.i32(0..=1),
            "date": "2026-01-05 08:00:00",
            "account_balance": f64::from(balance) / 100.0,
        })
    }
}

pub fn movements(rows: usize) -> Messages {
    let encoder = Encoder::new(&schema(), Frame::Raw).expect("the schema that ships");
    messages(&encoder, rows, movement())
}

/// The configuration that ships, writing to this SQLite file.
pub fn shipped_config(database: &Path) -> Config {
    let mut config = Config::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("config.yaml"))
        .expect("the configuration that ships");
    config.database = Address::Sqlite { path: database.to_owned() };
    config
}

/// The views that ship, with one batch and what the tables have for it: accounts from their file, and the state that
/// the same batch has left once before.
pub struct Shipped {
    pub pipeline: Pipeline,
    /// The outputs, then the state table.
    pub targets: Vec<Target>,
    pub batch: RecordBatch,
    /// For each table the rows that the batch needs.
    given: Vec<Vec<RecordBatch>>,
}

impl Shipped {
    pub async fn over(rows: usize) -> Self {
        let config = Config { memory_max: MEMORY_MAX, ..shipped_config(Path::new("never-opened.db")) };
        let mut decoder = Decoder::new(&config.avro).expect("the schema that ships");
        let Plan { mut tables, mut states, pipeline, targets, .. } =
            Plan::prepare(&config, &decoder).await.expect("the views that ship");
        let batch = decoder.decode(&movements(rows)).expect("good messages").batch;
        let given = vec![Vec::new(); tables.specs().len() + pipeline.states().len()];
        let mut shipped = Self { pipeline, targets, batch, given };
        for _ in 0..2 {
            shipped.look_up(&mut tables, &mut states).await;
        }
        shipped
    }

    /// Runs the views, keeps what the tables give, and lets the new state be what they have.
    async fn look_up(&mut self, tables: &mut ReferenceTables, states: &mut StateTables) {
        tables.begin_batch().await.expect("a file");
        states.begin_batch();
        let Self { pipeline, given, batch, .. } = self;
        let rows_of = async |table: usize, keys: Vec<RecordBatch>| {
            let rows = match table.checked_sub(tables.specs().len()) {
                None => tables.gather(table, &keys).await.expect("rows in memory"),
                Some(state) => state_rows(states, state, &keys),
            };
            given[table].clone_from(&rows);
            Ok::<_, SqlError>(rows)
        };
        let results = pipeline.run(batch.clone(), rows_of).await.expect("rows that fit");
        states.stage(&results.states, None).expect("one row for each customer");
        states.committed();
    }

    /// Runs the views, and nothing else.
    pub async fn compute(&mut self) -> ViewResults {
        let given = &self.given;
        let rows_of = async |table: usize, _| Ok::<_, SqlError>(given[table].clone());
        self.pipeline.run(self.batch.clone(), rows_of).await.expect("rows that fit")
    }
}

/// What is held of these keys; what is not held is in no table.
fn state_rows(states: &mut StateTables, table: usize, keys: &[RecordBatch]) -> Vec<RecordBatch> {
    if let Some(missing) = states.missing(table, keys).expect("keys of its types") {
        let none = RecordBatch::new_empty(states.held_columns(table));
        states.hold(table, &missing, &none).expect("room");
    }
    vec![states.rows(table, keys).expect("rows that are held")]
}
