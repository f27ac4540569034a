//! The sink against real databases: SQLite always, MySQL or MariaDB where `MYSQL_URL` says where one is.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use arrow::array::*;
use arrow::datatypes::{DataType, Field, Schema};

use super::*;
use crate::batch::{Advance, Claim, Commit, DeadLetter, Fault, LetterKind, Stage, TopicPartition};
use crate::config::Upsert;
use crate::database::{Connection, Purpose, Value};

mod checks;
mod commits;
mod faults;
mod keyed;
mod loads;
mod types;

/// Runs a test on SQLite, and on MySQL when it is asked for.
macro_rules! on_each_database {
    ($($name:ident),* $(,)?) => {
        $(mod $name {
            #[tokio::test]
            async fn sqlite() {
                let place = crate::sink::tests::Place::sqlite().await;
                super::$name(&place).await;
            }
            #[tokio::test]
            #[ignore = "needs MySQL: scripts/services up"]
            async fn mysql() {
                let place = crate::sink::tests::Place::mysql().await;
                super::$name(&place).await;
                place.drop_database().await;
            }
        })*
    };
}
pub(super) use on_each_database;

/// An empty database of one test.
pub(super) struct Place {
    pub address: Address,
    folder: Option<tempfile::TempDir>,
}

static PLACES: AtomicU32 = AtomicU32::new(0);

impl Place {
    pub async fn sqlite() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let address = Address::Sqlite { path: folder.path().join("new/rt.db") };
        // The file is created by whatever writes first.
        Connection::open(&address, Purpose::Write { create: true }).await.expect("opens");
        Self { address, folder: Some(folder) }
    }

    pub async fn mysql() -> Self {
        // Why: each test makes a database and some make users, which the job's own user may not.
        let url = std::env::var("MYSQL_ADMIN_URL").or_else(|_| std::env::var("MYSQL_URL"));
        let url = url.expect("MYSQL_ADMIN_URL=mysql://user:password@host:port/database");
        let Ok(Address::MySql(mut address)) = Address::parse(&url, std::path::Path::new(".")) else {
            panic!("MYSQL_URL is no address")
        };
        let database = format!("rt_{}_{}", std::process::id(), PLACES.fetch_add(1, Ordering::Relaxed));
        let place = Self { address: Address::MySql(address.clone()), folder: None };
        place.run(&format!("CREATE DATABASE {database}")).await;
        address.database = database;
        Self { address: Address::MySql(address), folder: None }
    }

    pub async fn drop_database(&self) {
        if let Address::MySql(address) = &self.address {
            self.run(&format!("DROP DATABASE {}", address.database)).await;
        }
    }

    pub fn is_mysql(&self) -> bool {
        self.folder.is_none()
    }

    pub async fn connection(&self) -> Connection {
        Connection::open(&self.address, Purpose::Write { create: true }).await.expect("connects")
    }

    pub async fn run(&self, sql: &str) {
        if let Err(error) = self.connection().await.run(sql).await {
            panic!("{sql}: {error}");
        }
    }

    /// The rows as text, NULL as `NULL`.
    pub async fn rows(&self, sql: &str) -> Vec<Vec<String>> {
        let rows = self.connection().await.query(sql, Vec::new()).await.expect(sql);
        let text = |value: &Value<'_>| match value {
            Value::Null => "NULL".to_string(),
            Value::Int(value) => value.to_string(),
            Value::UInt(value) => value.to_string(),
            Value::Double(value) => value.to_string(),
            other => other.as_text().map_or(format!("{other:?}"), str::to_string),
        };
        rows.iter().map(|row| row.iter().map(text).collect()).collect()
    }

    pub async fn count(&self, table: &str) -> i64 {
        self.rows(&format!("SELECT COUNT(*) FROM {table}")).await[0][0].parse().expect("a number")
    }

    pub async fn sink(&self, targets: &[Target]) -> Result<Sink, SinkError> {
        Sink::connect(self.address.clone(), "job", targets.to_vec(), true).await
    }

    /// A sink of one output that owns partition 0.
    pub async fn owner(&self, target: Target) -> Owner {
        Owner::of(self.sink(&[target]).await.expect("connects")).await
    }
}

/// A sink that owns partition 0, and moves it by ten offsets with each commit.
pub(super) struct Owner {
    pub sink: Sink,
    pub claim: Claim,
}

impl Owner {
    pub async fn of(mut sink: Sink) -> Self {
        let claim = claim_one(&mut sink).await;
        Self { sink, claim }
    }

    /// A batch of these rows of the one output.
    pub fn batch(&self, rows: Vec<RecordBatch>) -> Commit {
        commit(&self.claim, vec![rows])
    }

    pub async fn write(&mut self, rows: Vec<RecordBatch>) -> Result<Committed, SinkError> {
        let committed = self.sink.prepare_and_commit(&self.batch(rows)).await?;
        self.claim.next_offset += 10;
        Ok(committed)
    }
}

impl Sink {
    pub(super) async fn prepare_and_commit(&mut self, commit: &Commit) -> Result<Committed, SinkError> {
        let prepared = self.tables().prepare(commit.clone())?;
        self.commit(&prepared).await
    }
}

pub(super) fn partition(number: i32) -> TopicPartition {
    TopicPartition { topic: "movements".into(), partition: number }
}

pub(super) fn target(schema: &SchemaRef, mode: Mode) -> Target {
    Target {
        name: "rows".into(),
        table: "rows_out".into(),
        mode,
        schema: Arc::clone(schema),
        kind: TargetKind::Output,
        created: Created::default(),
    }
}

pub(super) fn upsert(key: &[&str]) -> Mode {
    Mode::Upsert(Upsert::by(key.iter().copied()))
}

/// `id` and `name`.
pub(super) fn people_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("id", DataType::Int32, true),
        Field::new("name", DataType::Utf8, true),
    ]))
}

pub(super) fn people(rows: &[(Option<i32>, Option<&str>)]) -> RecordBatch {
    let ids = Int32Array::from_iter(rows.iter().map(|(id, _)| *id));
    let names = StringArray::from_iter(rows.iter().map(|(_, name)| *name));
    RecordBatch::try_new(people_schema(), vec![Arc::new(ids), Arc::new(names)]).expect("columns fit")
}

pub(super) fn advance(claim: &Claim, by: i64) -> Advance {
    Advance {
        partition: claim.partition.clone(),
        epoch: claim.epoch,
        from: claim.next_offset,
        to: claim.next_offset + by,
        message_time_ms: Some(1_704_164_645_678),
    }
}

pub(super) fn commit(claim: &Claim, outputs: Vec<Vec<RecordBatch>>) -> Commit {
    Commit { advances: vec![advance(claim, 10)], outputs, ..Commit::default() }
}

pub(super) async fn claim_one(sink: &mut Sink) -> Claim {
    sink.claim(&[(partition(0), 100)]).await.expect("claims").remove(0)
}

pub(super) fn dead_letter(offset: i64) -> DeadLetter {
    DeadLetter {
        partition: partition(0),
        offset,
        timestamp_ms: Some(1_704_164_645_678),
        key: Some(vec![0, 255]),
        headers: vec![("trace".into(), Some(b"7".to_vec()))],
        payload: Some(vec![0xff, 0x00, 0x27, 0x5c]),
        stage: Stage::Decode,
        place: "byte 17".into(),
        reason: "bytes are left over".into(),
        kind: LetterKind::Other,
    }
}
