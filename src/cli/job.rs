//! A configuration becomes the parts of a job. What does not depend on each other happens at once: Kafka is
//! asked for its topics while the views are planned and the tables checked.

use crate::batch::Fault;
use crate::config::{Config, Mode, OutputConfig};
use crate::decode::Decoder;
use crate::engine::{Engine, Options, Parts, Stop};
use crate::sink::{Sink, SinkError, Target};
use crate::source::{BatchLimits, KafkaSource};
use crate::sql::{Pipeline, SqlError, TableSpec, ViewFiles};
use crate::tables::ReferenceTables;

use super::failure::Failure;

/// The part of the memory that the payloads of one batch may take: two batches are in flight, each as payloads, as
/// Arrow, as rows of outputs and as statements, and one is being collected.
const BATCH_SHARES: usize = 16;
/// The part of the memory that reference tables may hold.
const TABLES_SHARES: usize = 4;
/// The part of the memory that the plans of the views may use.
const SQL_SHARES: usize = 2;

/// Builds a job that reads Kafka.
///
/// # Errors
/// Everything that can be known before the first message is read.
pub(super) async fn open(
    config: &Config,
    until_caught_up: bool,
    stop: Stop,
) -> Result<Engine<KafkaSource>, Failure> {
    let decoder = Decoder::new(&config.avro).map_err(|error| Failure::bad_config(error.to_string()))?;
    let (tables, pipeline) = plan(config, &decoder).await?;
    let targets = targets(config, &pipeline)?;
    let kafka = tokio::task::spawn_blocking({
        let (kafka, job, memory_max) = (config.kafka.clone(), config.job.clone(), config.memory_max);
        let limits = BatchLimits {
            rows_max: config.trigger.rows_max,
            bytes_max: config.trigger.bytes_max.min(config.memory_max / BATCH_SHARES),
        };
        move || KafkaSource::connect(&kafka, &job, limits, memory_max, until_caught_up)
    });
    let sink = Sink::connect(config.database.clone(), &config.job, targets, config.create_tables);
    let (sink, source) = tokio::join!(sink, kafka);
    // Why: a table that is wrong is the user's to mend, a server that is away may come back.
    let sink = sink.map_err(|error| refused(config, &error))?;
    let source = source
        .map_err(|error| Failure::failed(error.to_string()))?
        .map_err(|error| Failure::failed(error.to_string()))?;
    let options = Options {
        trigger_interval: config.trigger.interval,
        starting_offsets: config.kafka.starting_offsets,
        lost_data: config.kafka.lost_data,
        until_caught_up,
    };
    Ok(Engine::new(Parts { source, decoder, tables, pipeline, sink }, options, stop))
}

/// Reads and plans the views, and opens the tables they read.
async fn plan(config: &Config, decoder: &Decoder) -> Result<(ReferenceTables, Pipeline), Failure> {
    let wrong = |errors: Vec<SqlError>| Failure::bad_config(crate::sql::render(&errors));
    let views = ViewFiles::read(&config.sql).map_err(wrong)?;
    let outputs = config
        .outputs
        .as_ref()
        .map(|outputs| outputs.iter().map(|output| output.view.clone()).collect::<Vec<_>>());
    let read = views.read_by_any();
    let is_read = |name: &str| read.contains(name);
    let held_max = config.memory_max / TABLES_SHARES;
    let tables = ReferenceTables::open(&config.reference_tables, &is_read, &config.database, held_max)
        .await
        .map_err(|errors| {
            let text: Vec<String> = errors.iter().map(ToString::to_string).collect();
            let is_away = errors.iter().all(|error| error.fault() == Fault::Infrastructure);
            let text = text.join("\n");
            if is_away { Failure::failed(text) } else { Failure::bad_config(text) }
        })?;
    let file = config.file.display();
    let specs = tables.specs().iter().map(|spec| TableSpec {
        name: spec.name.clone(),
        schema: spec.schema.clone(),
        key: spec.key.clone(),
        matches: spec.matches.clone(),
        place: if spec.line == 0 { file.to_string() } else { format!("{file}:{}", spec.line) },
    });
    let specs = specs.collect();
    let memory = config.memory_max / SQL_SHARES;
    let pipeline = Pipeline::prepare(&views, decoder.schema(), specs, outputs.as_deref(), memory)
        .await
        .map_err(wrong)?;
    Ok((tables, pipeline))
}

/// Where the rows of each output go.
fn targets(config: &Config, pipeline: &Pipeline) -> Result<Vec<Target>, Failure> {
    if pipeline.outputs().is_empty() {
        return Err(Failure::bad_config(format!(
            "{}: error: nothing would be written: there are no outputs\nhint: write a view in {}",
            config.file.display(),
            config.sql.display()
        )));
    }
    let target = |(view, schema): &(String, arrow::datatypes::SchemaRef)| {
        let output = output_of(config, view);
        Target { name: output.view, table: output.table, mode: output.mode, schema: schema.clone() }
    };
    Ok(pipeline.outputs().iter().map(target).collect())
}

/// What is configured of an output; where nothing is, it is appended to the table of its name.
pub(super) fn output_of(config: &Config, view: &str) -> OutputConfig {
    let written = config.outputs.iter().flatten().find(|output| output.view == view);
    written.cloned().unwrap_or_else(|| OutputConfig {
        view: view.to_owned(),
        line: 0,
        table: view.to_owned(),
        mode: Mode::Append,
    })
}

fn refused(config: &Config, error: &SinkError) -> Failure {
    match error.fault() {
        Fault::Infrastructure => {
            let address = config.database.redacted();
            Failure::failed(format!("the database {address} cannot be reached: {error}"))
        }
        _ => Failure::bad_config(error.to_string()),
    }
}
