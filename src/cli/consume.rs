//! `consume`: topic -> console. It reads beside the job, not as a member of its group, and stores nothing.

use std::io::{self, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::Message as _;
use rdkafka::{Offset, TopicPartitionList};
use tokio::runtime::Runtime;

use super::failure::Failure;
use super::results::Format;
use super::{terminal, waiting_thread};
use crate::batch::{Messages, MessagesBuilder};
use crate::config::Config;
use crate::database::json;
use crate::decode::{DecodeError, Decoder};
use crate::engine::{Schemas, uses};
use crate::mask::{Sensitive, masked};
use crate::memory::Budget;
use crate::print::{self, Printer, Screen};
use crate::source::{Bounds, Logged, SourceError, StartAt, TopicLookup, consumer_config, push, refused};

/// Print the messages of a topic, decoded.
///
/// Each message is one line with a JSON object: the fields of the Avro record, then kafka_topic, kafka_partition,
/// kafka_offset, kafka_timestamp, kafka_key and kafka_headers. Dates, times and decimals are written as text, enums by
/// name, bytes of the record as base64. The key and the headers are text if their bytes are printable UTF-8, and
/// otherwise `{"base64": "..."}`. If a message cannot be decoded, stderr names it with the reason. Values of `sensitive`
/// fields are printed as `***`.
///
/// The command runs until Ctrl-C, or until it has read `--count` messages, including those that cannot be decoded. It
/// joins no consumer group and stores nothing.
#[derive(Debug, clap::Args)]
#[command(after_long_help = super::help_end(&[
    "realtime-processor consume --count 5",
    "realtime-processor consume --from end --format table",
]))]
pub(super) struct Arguments {
    /// The topic to read. Default: the topics of the configuration.
    #[arg(long, value_name = "T")]
    topic: Option<String>,
    /// Where to start in each partition: `beginning`, `end`, an offset, or a time: the first message at or after it (a date, or
    /// RFC 3339).
    #[arg(long, value_name = "WHERE", default_value = "beginning")]
    from: StartAt,
    /// Stop after N messages.
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// One JSON object per line, or tables for people.
    #[arg(long, value_enum, default_value = "json")]
    format: Format,
}

/// Messages printed at once, and the bytes they may take unless one takes more.
const PRINTED_AT_ONCE_MAX: usize = 1000;
const PRINTED_BYTES_MAX: usize = 1 << 20;
/// How long messages are collected before they are printed.
const COLLECT_WAIT: Duration = Duration::from_millis(20);

pub(super) fn run(config: &Path, arguments: &Arguments) -> Result<(), Failure> {
    let config = Config::load(config)?;
    let mut decoder =
        Decoder::new(&config.avro)?.bounded(Budget::of_prompt(config.memory_max, uses(&config)).columns);
    super::check_sensitive(&config, &decoder.schema())?;
    let registry = Registry::open(&config)?;
    let topics = match &arguments.topic {
        Some(topic) => std::slice::from_ref(topic),
        None => config.kafka.topics.as_slice(),
    };
    let consumer = connect(&config, topics, arguments.from)?;
    let mut left = arguments.count;
    let (mut read, mut undecoded) = (0, 0);
    while left != Some(0) {
        let at_once = left.map_or(PRINTED_AT_ONCE_MAX, |left| {
            usize::try_from(left).unwrap_or(usize::MAX).min(PRINTED_AT_ONCE_MAX)
        });
        let messages = collect(&consumer, at_once)?.finish();
        if messages.is_empty() {
            continue;
        }
        registry.teach(&mut decoder, &messages)?;
        match show(&mut decoder, &messages, &config.sensitive, arguments.format)? {
            // The reader of the pipe has seen enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            printed => undecoded += printed.map_err(|error| Failure::failed(format!("stdout: {error}")))?,
        }
        read += messages.len() as u64;
        left = left.map(|left| left.saturating_sub(messages.len() as u64));
    }
    if undecoded > 0 {
        tracing::warn!("of {read} messages, {undecoded} cannot be decoded and are not printed");
    }
    Ok(())
}

/// The schemas of the registry, if one is configured, and what it takes to wait for its answers.
struct Registry {
    runtime: Runtime,
    schemas: Option<Schemas>,
}

impl Registry {
    fn open(config: &Config) -> Result<Self, Failure> {
        let runtime = waiting_thread()?;
        let schemas = runtime.block_on(Schemas::for_reading(config));
        Ok(Self { runtime, schemas })
    }

    fn teach(&self, decoder: &mut Decoder, messages: &Messages) -> Result<(), Failure> {
        let Some(schemas) = &self.schemas else { return Ok(()) };
        let taught = self.runtime.block_on(schemas.teach_now(decoder, messages));
        taught.map_err(|error| Failure::failed(error.to_string()))
    }
}

fn connect(config: &Config, topics: &[String], from: StartAt) -> Result<BaseConsumer<Logged>, Failure> {
    let mut client = consumer_config(&config.kafka, config.memory_max);
    client.set("group.id", format!("{}-consume", config.job)).set("auto.offset.reset", "earliest");
    let consumer: BaseConsumer<Logged> = client
        .create_with_context(Logged::default())
        .map_err(|error| Failure::failed(refused(error).to_string()))?;
    let failed = |error: SourceError| Failure::failed(error.to_string());
    let lookup = TopicLookup::new(&config.kafka).map_err(failed)?;
    let mut assignment = TopicPartitionList::new();
    for topic in topics {
        let bounds = lookup.bounds(topic).map_err(failed)?;
        let offsets = from.offsets(&lookup, &bounds).map_err(failed)?;
        for (Bounds { partition, low, high }, offset) in bounds.iter().zip(offsets) {
            assignment
                .add_partition_offset(topic, partition.partition, Offset::Offset(offset.clamp(*low, *high)))
                .map_err(|error| Failure::failed(format!("{partition}: {error}")))?;
        }
    }
    consumer.assign(&assignment).map_err(|error| Failure::failed(error.to_string()))?;
    Ok(consumer)
}

/// The messages that arrive together, at most `most`.
fn collect(consumer: &BaseConsumer<Logged>, most: usize) -> Result<MessagesBuilder, Failure> {
    let mut builder = MessagesBuilder::default();
    let mut wait = Duration::from_millis(500);
    while builder.len() < most && builder.bytes() < PRINTED_BYTES_MAX {
        match consumer.poll(wait) {
            None if builder.is_empty() => {}
            None => break,
            Some(Ok(message)) => {
                push(&mut builder, &Arc::from(message.topic()), &message);
                wait = COLLECT_WAIT;
            }
            Some(Err(KafkaError::MessageConsumptionFatal(code))) => {
                return Err(Failure::failed(format!("Kafka: {code}")));
            }
            Some(Err(error)) => tracing::warn!("Kafka: {error}"),
        }
    }
    Ok(builder)
}

/// Prints messages, and counts those that cannot be decoded; half of them at once if together they take too much memory as
/// columns.
fn show(
    decoder: &mut Decoder,
    messages: &Messages,
    sensitive: &Sensitive,
    format: Format,
) -> Result<io::Result<u64>, Failure> {
    let mut decoded = match decoder.decode(messages) {
        Ok(decoded) => decoded,
        Err(DecodeError::BatchTooLarge { .. }) if messages.len() > 1 => {
            let half = messages.len() / 2;
            let first = match show(decoder, &messages.slice(0..half), sensitive, format)? {
                Ok(undecoded) => undecoded,
                failed => return Ok(failed),
            };
            let second = show(decoder, &messages.slice(half..messages.len()), sensitive, format)?;
            return Ok(second.map(|undecoded| first + undecoded));
        }
        Err(error @ DecodeError::BatchTooLarge { .. }) => {
            let message = messages.get(0);
            terminal::say(&format!("{}[{}]@{}: {error}", message.topic, message.partition, message.offset));
            return Ok(Ok(1));
        }
        Err(error) => return Err(Failure::failed(error.to_string())),
    };
    for letter in &mut decoded.dead_letters {
        if !sensitive.is_empty() {
            letter.hide_values();
        }
        let (partition, offset) = (&letter.partition, letter.offset);
        terminal::say(&format!("{partition}@{offset}: {}: {}", letter.place, letter.reason));
    }
    let shown = masked(&decoded.batch, &sensitive.of_batch(&decoder.schema()))?;
    let undecoded = decoded.dead_letters.len() as u64;
    Ok(print(&shown, format).map(|()| undecoded))
}

fn print(batch: &RecordBatch, format: Format) -> io::Result<()> {
    if batch.num_rows() == 0 {
        return Ok(());
    }
    let mut out = io::stdout().lock();
    match format {
        Format::Table => {
            let mut printer =
                Printer::new(batch.schema(), print::Format::Table, Screen::of_stdout(false).look());
            printer.write(&mut out, batch)?;
            printer.finish(&mut out)?;
        }
        Format::Json => {
            let mut lines = String::new();
            for row in 0..batch.num_rows() {
                json::write_message(&mut lines, batch, row);
            }
            out.write_all(lines.as_bytes())?;
        }
    }
    out.flush()
}
