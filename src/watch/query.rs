//! A question to the last batch, typed into the page: a query over the rows that are kept of it. It has threads and a memory
//! pool of its own, one question at a time, and ends after a bounded time, so it cannot slow the job down.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Semaphore;

use super::Shared;
use super::rows::{Keep, table};
use crate::diagnostic::{Diagnostic, render};
use crate::mask::Masks;
use crate::sql::{BATCH, QuerySession, SqlError, Typed};
use crate::telemetry::Relation;

/// What a query may hold.
const MEMORY_MAX: usize = 32 << 20;
/// Rows of an answer.
const ROWS_MAX: usize = 200;
const TIME_MAX: Duration = Duration::from_secs(2);
/// The longest query.
const TEXT_BYTES_MAX: usize = 8 << 10;
/// One computes, the other one cancels it.
const THREADS: usize = 2;

/// Where questions are answered.
pub(super) struct Questions {
    /// `None` only while it is dropped.
    runtime: Option<Runtime>,
    turn: Arc<Semaphore>,
}

impl Questions {
    pub fn start() -> std::io::Result<Self> {
        let mut runtime = Builder::new_multi_thread();
        let runtime = runtime.worker_threads(THREADS).thread_name("watch-query").enable_all().build()?;
        Ok(Self { runtime: Some(runtime), turn: Arc::new(Semaphore::new(1)) })
    }
}

impl Drop for Questions {
    fn drop(&mut self) {
        // Why: a runtime that is dropped waits for its threads, and a query may still compute.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// A relation with its rows.
type NamedRows = (Relation, Vec<RecordBatch>);

/// `/api/query`: columns and rows, or what is wrong with the query.
pub(super) async fn ask(shared: &Arc<Shared>, sql: String) -> Result<Value, Value> {
    let error = |text: &str| json!({ "error": text });
    if sql.len() > TEXT_BYTES_MAX {
        return Err(error("the query is too long"));
    }
    let Some(runtime) = &shared.questions.runtime else { return Err(error("the job has ended")) };
    let turn = tokio::time::timeout(TIME_MAX, Arc::clone(&shared.questions.turn).acquire_owned()).await;
    let Ok(Ok(turn)) = turn else { return Err(error("another query is running; try again")) };
    let (relations, is_cut) = relations(shared);
    let masks = Masks::new(&shared.config.sensitive);
    let started = Instant::now();
    let mut answering = runtime.spawn(async move {
        // Held until the query has ended, also if nobody waits for it any more.
        let _turn = turn;
        answer(&sql, relations, masks).await
    });
    let answered = tokio::time::timeout(TIME_MAX, &mut answering).await;
    let Ok(answered) = answered else {
        answering.abort();
        return Err(error(&format!("the query was cancelled after {} s", TIME_MAX.as_secs())));
    };
    let mut value = answered.map_err(|_| error("the query broke off"))??;
    value["seconds"] = started.elapsed().as_secs_f64().into();
    if is_cut {
        value["truncated"] = true.into();
    }
    Ok(value)
}

/// All relations with the rows that are kept of them, and whether rows are missing.
fn relations(shared: &Shared) -> (Vec<NamedRows>, bool) {
    let relations = shared.job.standing().relations.clone();
    let kept = shared.job.kept();
    let is_cut = kept.relations().iter().any(|kept| kept.is_cut);
    let rows = relations.into_iter().filter(|relation| relation.is_used).map(|relation| {
        if &*relation.name == BATCH {
            let rows = kept.batches().last().map(|batch| vec![batch.rows.clone()]);
            return (relation, rows.unwrap_or_default());
        }
        match kept.relations().iter().find(|kept| kept.name == relation.name) {
            // Why those of the rows: the rows may be of the SQL before.
            Some(kept) => (Relation { masks: kept.masks.to_vec(), ..relation }, kept.rows.clone()),
            None => (relation, Vec::new()),
        }
    });
    (rows.collect(), is_cut)
}

async fn answer(sql: &str, relations: Vec<NamedRows>, mut masks: Masks) -> Result<Value, Value> {
    let told = |errors: &[SqlError]| {
        let without_hint = |error: &SqlError| Diagnostic { hint: None, ..error.clone().into() };
        let hints: Vec<&str> = errors.iter().filter_map(SqlError::hint).collect();
        let hint = (!hints.is_empty()).then(|| hints.join("\n"));
        json!({ "error": render(&errors.iter().map(without_hint).collect::<Vec<_>>()), "hint": hint })
    };
    let one = |error: SqlError| told(&[error]);
    let mut session = QuerySession::new(MEMORY_MAX).map_err(one)?;
    for (relation, rows) in relations {
        masks.set(&relation.name, &relation.schema, relation.masks);
        session.put(&relation.name, relation.schema, rows).map_err(one)?;
    }
    session.mask(masks);
    let text = sql.trim_end().trim_end_matches(';');
    let typed = Typed::parse("sql", text, text).map_err(|errors| told(&errors))?;
    let plan = session.plan(&typed).await.map_err(|errors| told(&errors))?;
    let schema = plan.schema();
    let (mut answer, mut rows, mut count) = (plan.run(), Vec::new(), 0);
    // One row more than is shown says that there are more.
    while count <= ROWS_MAX
        && let Some(batch) = answer.next().await.map_err(one)?
    {
        count += batch.num_rows();
        rows.push(batch);
    }
    table(&schema, &rows, ROWS_MAX, Keep::First).map_err(|error| json!({ "error": error.to_string() }))
}
