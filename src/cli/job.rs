//! A configuration becomes the parts of a job. What does not depend on each other happens at once: Kafka is
//! asked for its topics while the views are planned and the tables checked.

use crate::batch::Fault;
use crate::config::Config;
use crate::decode::Decoder;
use crate::diagnostic::render;
use crate::engine::{
    Engine, Options, Parts, Plan, ReloadSender, Reloads, Replay, ReplayParts, Running, Stop, TargetPlaces,
};
use crate::sink::{PageLimits, Sink, SinkError, StoredLetters, Target};
use crate::source::{BatchLimits, KafkaSource};

use super::failure::Failure;

/// The part of the memory that the payloads of one batch may take: two batches are in flight, each as payloads, as
/// Arrow, as rows of outputs and as statements, and one is being collected.
const BATCH_SHARES: usize = 16;

/// A job, and what gives it new SQL.
pub(super) struct Job {
    pub engine: Engine<KafkaSource>,
    pub running: Running,
    pub reload: ReloadSender,
}

/// Builds a job that reads Kafka.
///
/// # Errors
/// Everything that can be known before the first message is read.
pub(super) async fn open(config: &Config, until_caught_up: bool, stop: Stop) -> Result<Job, Failure> {
    let (decoder, plan) = plan(config).await?;
    let running = Running::new(config, &decoder, &plan);
    let Plan { tables, states, pipeline, targets, places, sql } = plan;
    let kafka = tokio::task::spawn_blocking({
        let (kafka, job, memory_max) = (config.kafka.clone(), config.job.clone(), config.memory_max);
        let limits = BatchLimits { rows_max: config.trigger.rows_max, bytes_max: batch_bytes_max(config) };
        move || KafkaSource::connect(&kafka, &job, limits, memory_max, until_caught_up)
    });
    let (sink, source) = tokio::join!(connect(config, targets, &places), kafka);
    let sink = sink?.with_sql(sql);
    let source = source
        .map_err(|error| Failure::failed(error.to_string()))?
        .map_err(|error| Failure::failed(error.to_string()))?;
    let options = Options::of(config, until_caught_up);
    let (reload, reloads) = Reloads::new();
    let engine = Engine::new(Parts { source, decoder, tables, states, pipeline, sink }, options, stop);
    Ok(Job { engine: engine.with_reloads(reloads), running, reload })
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
    let (decoder, plan) = plan(config).await?;
    let Plan { tables, states, pipeline, targets, places, sql } = plan;
    let sink = connect(config, targets, &places).await?.with_sql(sql);
    let limits = PageLimits { rows_max: config.trigger.rows_max, bytes_max: batch_bytes_max(config) };
    Ok(Replay::new(ReplayParts { decoder, tables, states, pipeline, sink, letters }, limits, stop))
}

async fn plan(config: &Config) -> Result<(Decoder, Plan), Failure> {
    let decoder = Decoder::new(&config.avro)?;
    let plan = Plan::prepare(config, &decoder).await.map_err(|error| match error.is_away() {
        true => Failure::failed(error.to_string()),
        false => Failure::bad_config(error.to_string()),
    })?;
    Ok((decoder, plan))
}

fn batch_bytes_max(config: &Config) -> usize {
    config.trigger.bytes_max.min(config.memory_max / BATCH_SHARES)
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
