//! A configuration becomes the parts of a job. What does not depend on each other happens at once: Kafka is
//! asked for its topics while the views are planned and the tables checked.

use std::collections::BTreeSet;

use crate::batch::{Fault, Limits, TopicPartition};
use crate::config::Config;
use crate::decode::{DecodeError, Decoder};
use crate::diagnostic::{Finding, render};
use crate::engine::{
    self, FillOptions, FillParts, Filler, JobParts, Lanes, Options, Plan, PlanError, Preview, ReloadSender,
    Reloads, Replay, ReplayParts, Running, Schemas, Stop, TargetPlaces, fill_together, split_fills,
};
use crate::memory::Budget;
use crate::sink::{FillId, Sink, SinkError, StoredLetters, Target};
use crate::source::{Browser, KafkaSource, StartAt};
use crate::sql::name_hint;

use super::failure::Failure;

/// Messages of one batch of a fill, at most.
const FILL_ROWS_MAX: usize = 20_000;
/// Messages of its last one, at most: the job waits while it is computed.
const HAND_OVER_MESSAGES_MAX: i64 = 10_000;

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
    if lanes < config.write_connections {
        tracing::info!("SQLite takes one writer at a time: there is one write connection");
    }
    let decoder = Decoder::new(&config.avro)?.bounded(budget(config, lanes).columns);
    for ignored in Decoder::ignored(&config.avro) {
        tracing::warn!("{ignored}");
    }
    let mut plans = Plan::of_lanes(config, &decoder, lanes).await.map_err(not_planned)?;
    let Some(plan) = plans.first_mut() else { return Err(Failure::failed("a job has one lane at least")) };
    let running = Running::new(config, &decoder, plan);
    let telemetry = stop.telemetry().clone();
    telemetry.plans(plan.sql.clone(), plan.relations());
    let (targets, places, sql) = (std::mem::take(&mut plan.targets), plan.places.clone(), plan.sql.clone());
    let kafka = tokio::task::spawn_blocking({
        let (kafka, job, memory_max) = (config.kafka.clone(), config.job.clone(), config.memory_max);
        let bytes_max = batch_bytes_max(config, lanes);
        let limits = Limits { rows_max: config.trigger.rows_max.min(decoder.rows_max()), bytes_max };
        let telemetry = telemetry.clone();
        move || KafkaSource::connect(&kafka, &job, limits, memory_max, until_caught_up, lanes, telemetry)
    });
    let (sink, sources) = tokio::join!(connect(config, targets, &places), kafka);
    let sink = sink?.with_sql(sql);
    let sink = match plans.first() {
        Some(plan) => {
            refuse_split_fills(config, plan).await?;
            sink.with_fills(plan.to_fill.clone())
        }
        None => sink,
    };
    let schemas = schemas(config, plans.first().map(|plan| &plan.places)).await?;
    let sources = sources
        .map_err(|error| Failure::failed(error.to_string()))?
        .map_err(|error| Failure::failed(error.to_string()))?;
    // The first has connected already, the others do so when they have something to claim.
    let more: Vec<Sink> = (1..lanes).map(|_| sink.another()).collect();
    let sinks = std::iter::once(sink).chain(more);
    let parts = plans.into_iter().zip(sources).zip(sinks).map(|((plan, source), sink)| {
        let Plan { tables, states, pipeline, .. } = plan;
        Ok(JobParts { source, decoder: decoder.another()?, tables, states, pipeline, sink })
    });
    let parts =
        parts.collect::<Result<_, DecodeError>>().map_err(|error| Failure::failed(error.to_string()))?;
    telemetry.started();
    let lanes = Lanes::new(parts, Options::of(config, until_caught_up), stop);
    let (reload, reloads) = Reloads::of_lanes(config.lanes());
    let lanes = lanes.with_reloads(reloads).with_schemas(schemas.as_ref());
    Ok(Job { lanes, running, reload })
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
    let decoder = Decoder::new(&config.avro)?.bounded(budget(config, 1).columns);
    let plan = Plan::prepare(config, &decoder).await.map_err(not_planned)?;
    let Plan { tables, states, pipeline, targets, places, sql, to_fill } = plan;
    let sink = connect(config, targets, &places).await?.with_sql(sql).with_fills(to_fill);
    let schemas = schemas(config, Some(&places)).await?;
    let limits = Limits { rows_max: config.trigger.rows_max, bytes_max: batch_bytes_max(config, 1) };
    let parts = ReplayParts { decoder, tables, states, pipeline, sink, letters };
    Ok(Replay::new(parts, limits, stop).with_schemas(schemas))
}

/// A fill that is planned and has not begun.
pub(super) struct PlannedFill {
    pub id: FillId,
    pub plan: Plan,
    decoder: Decoder,
}

/// Plans a fill of these names.
///
/// # Errors
/// Names of nothing, names that cannot be filled without others, and everything else that is wrong.
pub(super) async fn plan_fill(config: &Config, names: &[String]) -> Result<PlannedFill, Failure> {
    let decoder = Decoder::new(&config.avro)?.bounded(budget(config, 1).columns);
    let plan = Plan::prepare(config, &decoder).await.map_err(not_planned)?;
    let written = plan.pipeline.written();
    let names: BTreeSet<String> = names.iter().cloned().collect();
    if let Some(name) = names.iter().find(|name| !written.contains(*name)) {
        let hint = name_hint(name, written.iter().map(String::as_str));
        let found = Finding::new(format!("no output and no state table `{name}`"));
        return Err(Failure::bad_command_line(found.with_hint_if_some(hint)));
    }
    if let Some(found) = fill_together(&plan.pipeline, &names) {
        return Err(Failure::bad_command_line(found));
    }
    Ok(PlannedFill { id: FillId { job: config.job.clone(), names }, plan, decoder })
}

impl PlannedFill {
    /// The tables that it writes.
    pub fn tables(&self) -> Vec<String> {
        let name = |target: &Target| if target.is_state() { &target.table } else { &target.name }.clone();
        let targets = self.plan.targets.iter().filter(|target| self.id.names.contains(&name(target)));
        targets.map(|target| target.table.clone()).collect()
    }

    /// What it will be, by its first messages, where the job has stored the offsets `ends`.
    ///
    /// # Errors
    /// Kafka does not answer, or the first messages stop it.
    pub async fn preview(
        self,
        config: &Config,
        from: StartAt,
        ends: &[(TopicPartition, i64)],
    ) -> Result<Preview, Failure> {
        let browser = browser(config)?;
        let schemas = Schemas::for_reading(config).await;
        Ok(engine::preview(self.plan, self.decoder, schemas, browser, &self.id.names, from, ends).await?)
    }

    /// Builds the fill.
    ///
    /// # Errors
    /// Tables that are not as they must be; or the database cannot be reached.
    pub async fn open(
        self,
        config: &Config,
        from: StartAt,
        clears: bool,
        stop: Stop,
    ) -> Result<Filler, Failure> {
        let table_names = self.tables();
        let Self { id, plan, decoder } = self;
        let Plan { tables, states, pipeline, targets, places, sql, .. } = plan;
        let sink = connect(config, targets, &places).await?.with_sql(sql);
        let options = FillOptions {
            topics: config.kafka.topics.clone(),
            from,
            tables: table_names,
            clears,
            limits: Limits {
                rows_max: config.trigger.rows_max.min(decoder.rows_max()).min(FILL_ROWS_MAX),
                bytes_max: batch_bytes_max(config, 1),
            },
            hand_over_max: HAND_OVER_MESSAGES_MAX,
            dead_letters: config.dead_letters,
        };
        let schemas = schemas(config, Some(&places)).await?;
        let parts = FillParts { decoder, tables, states, pipeline, sink, browser: browser(config)? };
        Ok(Filler::new(id, parts, options, stop).with_schemas(schemas))
    }
}

fn browser(config: &Config) -> Result<Browser, Failure> {
    let browser = Browser::new(&config.kafka, &config.job, config.memory_max);
    browser.map_err(|error| Failure::failed(error.to_string()))
}

/// A job must not compute what it writes from state that is not filled.
async fn refuse_split_fills(config: &Config, plan: &Plan) -> Result<(), Failure> {
    let split = split_fills(&plan.pipeline, config).await;
    let split = split.map_err(|error| refused(config, &plan.places, &error))?;
    if split.is_empty() { Ok(()) } else { Err(Failure::bad_config(render(&split))) }
}

pub(super) fn not_planned(error: PlanError) -> Failure {
    match error.is_away() {
        true => Failure::told(error.to_string()),
        false => Failure::bad_config(error.to_string()),
    }
}

/// The memory of each lane, if the job has this many.
fn budget(config: &Config, lanes: usize) -> Budget {
    Budget::of_job(config.memory_max, engine::uses(config)).of_lane(lanes)
}

/// Bytes of one batch, if the job has this many lanes.
fn batch_bytes_max(config: &Config, lanes: usize) -> usize {
    config.trigger.bytes_max.min(budget(config, lanes).messages)
}

async fn connect(config: &Config, targets: Vec<Target>, places: &TargetPlaces) -> Result<Sink, Failure> {
    let sink = Sink::connect(config.database.clone(), &config.job, targets, config.create_tables).await;
    // Why: a table that is wrong is the user's to mend, a server that is away may come back.
    Ok(sink.map_err(|error| refused(config, places, &error))?.with_bulk_load(config.bulk_load))
}

/// The schemas of the registry, if one is configured.
async fn schemas(config: &Config, places: Option<&TargetPlaces>) -> Result<Option<Schemas>, Failure> {
    let no_places = TargetPlaces::default();
    let opened = Schemas::of_job(config).await;
    opened.map_err(|error| refused(config, places.unwrap_or(&no_places), &error))
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
