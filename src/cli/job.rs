//! A configuration becomes the parts of a job. What does not depend on each other happens at once: Kafka is
//! asked for its topics while the views are planned and the tables checked.

use crate::batch::Fault;
use crate::config::Config;
use crate::decode::{DecodeError, Decoder};
use crate::diagnostic::render;
use crate::engine::{
    Lanes, Options, Parts, Plan, PlanError, ReloadSender, Reloads, Replay, ReplayParts, Running, Stop,
    TargetPlaces,
};
use crate::sink::{PageLimits, Sink, SinkError, StoredLetters, Target};
use crate::source::{BatchLimits, KafkaSource};

use super::failure::Failure;

/// The part of the memory that the payloads of one batch may take: two batches are in flight, each as payloads, as
/// Arrow, as rows of outputs and as statements, and one is being collected.
const BATCH_SHARES: usize = 16;
/// The part of the memory that one batch may take as Arrow.
const COLUMNS_SHARES: usize = 8;

/// A job, and what gives it new SQL.
pub(super) struct Job {
    pub lanes: Lanes<KafkaSource>,
    pub running: Running,
    pub reload: ReloadSender,
}

/// Builds a job that reads Kafka.
///
/// # Errors
/// Everything that can be known before the first message is read.
pub(super) async fn open(config: &Config, until_caught_up: bool, stop: Stop) -> Result<Job, Failure> {
    let lanes = config.lanes();
    if lanes < config.write_connections.count {
        tracing::info!("SQLite takes one writer at a time: there is one write connection");
    }
    let decoder = Decoder::new(&config.avro)?.bounded(config.memory_max / COLUMNS_SHARES / lanes);
    for ignored in Decoder::ignored(&config.avro) {
        tracing::warn!("{ignored}");
    }
    let mut plans = Plan::of_lanes(config, &decoder, lanes).await.map_err(not_planned)?;
    let Some(plan) = plans.first_mut() else { return Err(Failure::failed("a job has one lane at least")) };
    let running = Running::new(config, &decoder, plan);
    let (targets, places, sql) = (std::mem::take(&mut plan.targets), plan.places.clone(), plan.sql.clone());
    let kafka = tokio::task::spawn_blocking({
        let (kafka, job, memory_max) = (config.kafka.clone(), config.job.clone(), config.memory_max);
        let bytes_max = batch_bytes_max(config, lanes);
        let limits = BatchLimits { rows_max: config.trigger.rows_max.min(decoder.rows_max()), bytes_max };
        move || KafkaSource::connect(&kafka, &job, limits, memory_max, until_caught_up, lanes)
    });
    let (sink, sources) = tokio::join!(connect(config, targets, &places), kafka);
    let sink = sink?.with_sql(sql);
    let sources = sources
        .map_err(|error| Failure::failed(error.to_string()))?
        .map_err(|error| Failure::failed(error.to_string()))?;
    // The first has connected already, the others do so when they have something to claim.
    let more: Vec<Sink> = (1..lanes).map(|_| sink.another()).collect();
    let sinks = std::iter::once(sink).chain(more);
    let parts = plans.into_iter().zip(sources).zip(sinks).map(|((plan, source), sink)| {
        let Plan { tables, states, pipeline, .. } = plan;
        Ok(Parts { source, decoder: decoder.another()?, tables, states, pipeline, sink })
    });
    let parts =
        parts.collect::<Result<_, DecodeError>>().map_err(|error| Failure::failed(error.to_string()))?;
    let lanes = Lanes::new(parts, Options::of(config, until_caught_up), stop);
    let (reload, reloads) = Reloads::of_lanes(config.lanes());
    Ok(Job { lanes: lanes.with_reloads(reloads), running, reload })
}

/// Builds a replay of dead letters: a job that reads what it has stored itself.
///
/// # Errors
/// Everything that can be known before the first message is read.
pub(super) async fn open_replay(
    config: &Config,
    letters: StoredLetters,
    stop: Stop,
) -> Result<Replay, Failure> {
    let decoder = Decoder::new(&config.avro)?.bounded(config.memory_max / COLUMNS_SHARES);
    let plan = Plan::prepare(config, &decoder).await.map_err(not_planned)?;
    let Plan { tables, states, pipeline, targets, places, sql } = plan;
    let sink = connect(config, targets, &places).await?.with_sql(sql);
    let limits = PageLimits { rows_max: config.trigger.rows_max, bytes_max: batch_bytes_max(config, 1) };
    Ok(Replay::new(ReplayParts { decoder, tables, states, pipeline, sink, letters }, limits, stop))
}

fn not_planned(error: PlanError) -> Failure {
    match error.is_away() {
        true => Failure::failed(error.to_string()),
        false => Failure::bad_config(error.to_string()),
    }
}

/// Bytes of one batch of one of so many lanes.
fn batch_bytes_max(config: &Config, lanes: usize) -> usize {
    config.trigger.bytes_max.min(config.memory_max / BATCH_SHARES / lanes)
}

async fn connect(config: &Config, targets: Vec<Target>, places: &TargetPlaces) -> Result<Sink, Failure> {
    let sink = Sink::connect(config.database.clone(), &config.job, targets, config.create_tables).await;
    // Why: a table that is wrong is the user's to mend, a server that is away may come back.
    Ok(sink.map_err(|error| refused(config, places, &error))?.with_bulk_load(config.bulk_load))
}

fn refused(config: &Config, places: &TargetPlaces, error: &SinkError) -> Failure {
    match error.fault() {
        Fault::Infrastructure => {
            let address = config.database.redacted();
            Failure::failed(format!("the database {address} cannot be reached: {error}"))
        }
        _ => match error {
            SinkError::Check(faults) => Failure::bad_config(render(&places.diagnostics(faults))),
            error => Failure::bad_config(error.to_string()),
        },
    }
}
