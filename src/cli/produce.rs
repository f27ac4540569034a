//! `produce`: a JSON file -> Avro -> topic. Every record is checked before the first is sent, and the command
//! ends only when every message is acknowledged.

mod key;
mod records;
mod subject;

use std::path::{Path, PathBuf};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::value::RawValue;

use super::failure::Failure;
use super::sender::Sender;
use super::{schema, terminal, wait_for};
use crate::avro::json::Value;
use crate::avro::{Encoder, KeyEncoder};
use crate::check::{key_subject_of, subject_of};
use crate::config::{Config, Framing, KeyFormat};
use crate::decode::KAFKA_COLUMNS;
use crate::diagnostic::Finding;
use key::Key;
use records::Records;
use subject::registered;

/// Send the records of a JSON file to the topic, as Avro.
///
/// FILE holds a JSON array, an object with one array, or JSON lines; `-` reads stdin. Every record is
/// checked against `avro_schema` before the first one is sent. If one does not fit, the error names the record and the
/// field, and nothing is sent. The command ends when all replicas have acknowledged every message. It also accepts the
/// output of `consume`, and ignores the fields about topic, partition and offset in it.
#[derive(Debug, clap::Args)]
#[command(after_long_help = super::help_end(&[
    "realtime-processor produce data/customers.json",
    "realtime-processor produce movements.jsonl --rate 1000 --key customer",
    "realtime-processor produce movements.jsonl --subject movements-value --register",
    "realtime-processor consume --count 100 | realtime-processor produce - --topic copy",
]))]
pub(super) struct Arguments {
    /// The file to send; `-` for stdin.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The topic to send to. Default: the first `kafka_topic` of the configuration.
    #[arg(long, value_name = "T")]
    topic: Option<String>,
    /// Messages per second, at most.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rate: Option<u32>,
    /// The field whose value becomes the message's key. Default: `customer`, if the schema has it.
    ///
    /// The key is written as `key_format` says. If keys are records, each field of the key takes the value of the
    /// message's field of the same name by default. Messages with the same key stay in order, in one partition.
    #[arg(long, value_name = "FIELD")]
    key: Option<String>,
    /// The subject of the registry whose schema the messages are written with, if not the
    /// topic's name followed by `-value`.
    ///
    /// It needs `schema_registry` in the configuration. The subject must have `avro_schema` as one of its versions.
    #[arg(long, value_name = "S")]
    subject: Option<String>,
    /// Make `avro_schema` the next version of the subject, if it is not a version of it yet. Do the same with
    /// `avro_key_schema` and the subject for keys, which is the topic's name followed by `-key`.
    #[arg(long)]
    register: bool,
}

/// Faults of records that are shown before the rest is only counted.
const FAULTS_SHOWN_MAX: usize = 10;

pub(super) fn run(config: &Path, arguments: &Arguments) -> Result<(), Failure> {
    let config = Config::load(config)?;
    let topic = arguments.topic.as_deref().or(config.kafka.topics.first().map(String::as_str));
    let topic = topic.unwrap_or_default();
    let encoder = encoder(&config, arguments, topic)?;
    let keys = key_encoder(&config, arguments, topic)?;
    let key = Key::new(keys, &encoder, arguments.key.as_deref())?;
    let name = arguments.file.display().to_string();
    let text = records::read(&arguments.file)
        .map_err(|error| Failure::failed(format!("{name} cannot be read: {error}")))?;
    let records = Records::parse(&text, &|name| encoder.field_names().any(|field| field == name))
        .map_err(|error| Failure::failed(format!("{name}:{error}")))?;
    check(&name, &records, &encoder, &key)?;

    let bar = progress_bar(records.len());
    let mut sender = Sender::connect(&config.kafka, topic, arguments.rate).map_err(Failure::failed)?;
    let mut payload = Vec::new();
    for record in records.iter() {
        let value = parse(record.json, &encoder).map_err(Failure::failed)?;
        payload.clear();
        // Invariant: the same record was encoded a moment ago.
        encoder.encode_exact(&value, &mut payload).map_err(|error| Failure::failed(error.to_string()))?;
        let key = key.of(&value).map_err(Failure::failed)?;
        sender.send(key.as_deref(), &payload).map_err(Failure::failed)?;
        bar.set_position(sender.acknowledged());
    }
    let sent = sender.finish(&|acknowledged| bar.set_position(acknowledged)).map_err(Failure::failed)?;
    bar.finish_and_clear();
    tracing::info!("{sent} messages sent to {topic}, all acknowledged");
    Ok(())
}

/// With the registry's id, unless the configuration names files and no subject is asked for.
fn encoder(config: &Config, arguments: &Arguments, topic: &str) -> Result<Encoder, Failure> {
    let has_files =
        !matches!(&config.avro.framing, Framing::Confluent { writer_schemas } if writer_schemas.is_empty());
    let is_asked_for = arguments.subject.is_some() || arguments.register;
    if !is_asked_for && (has_files || config.registry.is_none()) {
        return Ok(Encoder::for_config(&config.avro)?);
    }
    let client = schema::client(config)?;
    let subject = arguments.subject.clone().unwrap_or_else(|| subject_of(topic));
    let (schema, frame) =
        wait_for(registered(&client, &subject, &config.avro.schema, arguments.register, "messages"))??;
    Ok(Encoder::with_schema(schema, frame)?)
}

/// With the registry's id, unless a file of the configuration has it and no schema is to be registered.
fn key_encoder(config: &Config, arguments: &Arguments, topic: &str) -> Result<KeyEncoder, Failure> {
    let of_files = KeyEncoder::for_config(&config.avro.key);
    let KeyFormat::Avro { schema, framing: Framing::Confluent { .. } } = &config.avro.key else {
        return Ok(of_files?);
    };
    if !arguments.register && (of_files.is_ok() || config.registry.is_none()) {
        return Ok(of_files?);
    }
    let client = schema::client(config)?;
    let subject = key_subject_of(topic);
    let (schema, frame) = wait_for(registered(&client, &subject, schema, arguments.register, "keys"))??;
    Ok(KeyEncoder::with_schema(schema, frame)?)
}

/// One record. Where `consume` found it is left out, so that its output can be sent.
fn parse(json: &RawValue, encoder: &Encoder) -> Result<Value, String> {
    let mut value = Value::parse(json.get())?;
    if let Value::Object(fields) = &mut value {
        let is_place =
            |name: &str| KAFKA_COLUMNS.contains(&name) && encoder.field_names().all(|field| field != name);
        fields.retain(|name| !is_place(name));
    }
    Ok(value)
}

/// Encodes every record once and throws the bytes away.
fn check(file: &str, records: &Records<'_>, encoder: &Encoder, key: &Key) -> Result<(), Failure> {
    let mut payload = Vec::new();
    let mut shown = Vec::new();
    let mut faults = 0_usize;
    for (index, record) in records.iter().enumerate() {
        payload.clear();
        let checked = parse(record.json, encoder).and_then(|value| {
            encoder.encode_exact(&value, &mut payload).map_err(|error| error.to_string())?;
            key.of(&value).map(drop)
        });
        if let Err(error) = checked {
            faults += 1;
            if shown.len() < FAULTS_SHOWN_MAX {
                shown.push(format!("{file}:{}: record {}: {error}", record.line, index + 1));
            }
        }
    }
    if faults == 0 {
        return Ok(());
    }
    if faults > shown.len() {
        shown.push(format!("and {} more", faults - shown.len()));
    }
    let of = records.len();
    let hint = format!("{faults} of {of} records do not fit the schema; nothing was sent");
    Err(Failure::failed(Finding::new(shown.join("\n")).with_hint(hint)))
}

fn progress_bar(records: usize) -> ProgressBar {
    let bar = terminal::live().add(ProgressBar::new(records as u64));
    if let Ok(style) =
        ProgressStyle::with_template("{bar:40} {human_pos}/{human_len} acknowledged, {per_sec}, {eta} left")
    {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
