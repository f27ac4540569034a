//! The configuration: the YAML as written becomes a [`Config`] whose fields were checked once and are trusted
//! from then on. All faults of a file are found in one reading, each with its line, what was found and what is
//! allowed.

mod avro;
mod changes;
mod database;
mod effective;
mod file;
mod http;
mod keys;
mod outputs;
mod read;
mod relations;
mod registry;
mod schema;
mod variables;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::database::Address;
use crate::mask::Sensitive;
pub(crate) use crate::yaml::duration as read_duration;
use crate::yaml::{self, Fault, Node, Section, Value};
use avro::read_avro;
pub use avro::{AvroConfig, Framing, KeyFormat, Tombstones};
use database::read_database;
pub use file::{ConfigError, ConfigFile};
pub use http::HttpConfig;
use keys::{KEYS, MEMORY_LEAST, MIB};
use outputs::read_outputs;
pub use outputs::{Created, Mode, OutputConfig, POSITION, Upsert};
use read::Keys;
use registry::read_registry;
pub use registry::{Identity, Login, RegistryConfig, Secret};
use relations::{read_reference_tables, read_state_tables};
pub use schema::schema;

/// Where `${NAME}` is looked up by default.
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// A checked configuration. Paths are absolute or relative to the working directory, never to the file.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file it was read from, for messages.
    pub file: ConfigFile,
    pub kafka: KafkaConfig,
    pub avro: AvroConfig,
    /// The name offsets are stored under, and the consumer group.
    pub job: String,
    pub database: Address,
    pub create_tables: CreateTables,
    pub bulk_load: BulkLoad,
    /// How many connections the job writes by. Each is a lane, with partitions, plans and state of its own.
    pub write_connections: usize,
    /// The folder of the views.
    pub sql: PathBuf,
    pub trigger: TriggerConfig,
    pub dead_letters: DeadLettersConfig,
    /// Bytes: covers librdkafka's queue, the batches in flight, held keys and the SQL memory pool.
    pub memory_max: usize,
    /// In the order of the file.
    pub reference_tables: Vec<ReferenceTableConfig>,
    /// In the order of the file.
    pub state_tables: Vec<StateTableConfig>,
    /// In the order of the file. `None`: the key is absent, and every view that no other view reads is
    /// appended to the table of its name.
    pub outputs: Option<Vec<OutputConfig>>,
    pub reload: ReloadOn,
    /// Where writers' schemas are asked for.
    pub registry: Option<RegistryConfig>,
    /// `None`: nobody can watch the job by HTTP.
    pub http: Option<HttpConfig>,
    /// Fields whose values are never shown.
    pub sensitive: Sensitive,
}

#[derive(Clone)]
pub struct KafkaConfig {
    /// Bootstrap servers, `host:port` separated by commas.
    pub server: String,
    pub topics: Vec<String>,
    pub starting_offsets: StartingOffsets,
    pub lost_data: LostData,
    /// A fixed name of this instance: Kafka's static membership.
    pub instance: Option<String>,
    /// Passed through to librdkafka.
    pub properties: BTreeMap<String, String>,
}

/// Why: the values of properties may be passwords.
impl fmt::Debug for KafkaConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { server, topics, properties, .. } = self;
        let names: Vec<&String> = properties.keys().collect();
        write!(f, "KafkaConfig({server}, topics: {topics:?}, properties: {names:?})")
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StartingOffsets {
    #[default]
    Earliest,
    Latest,
}

/// What to do where Kafka no longer has the messages that come next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LostData {
    /// The job stops and says which are lost.
    #[default]
    Fail,
    /// The job says which are lost and goes on with the first that is there.
    Continue,
}

#[derive(Clone, Debug)]
pub struct TriggerConfig {
    /// The least time between the starts of two triggers.
    pub interval: Duration,
    pub rows_max: usize,
    pub bytes_max: usize,
}

/// Which tables a job creates where they are missing. All are checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CreateTables {
    #[default]
    All,
    /// Those of the program and of state.
    Own,
    None,
}

/// All, or none.
impl From<bool> for CreateTables {
    fn from(all: bool) -> Self {
        if all { Self::All } else { Self::None }
    }
}

/// Whether rows are written by LOAD DATA.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BulkLoad {
    /// Where the server takes it.
    #[default]
    Auto,
    Off,
}

/// When a running job reads its SQL again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReloadOn {
    /// At SIGHUP.
    #[default]
    Signal,
    /// When a file has changed, too.
    Watch,
}

/// How many messages may become dead letters before the job stops.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DeadLettersConfig {
    /// From 0 to 1; 1 never stops the job.
    pub ratio_max: f64,
    /// This many of the last messages count.
    pub window: usize,
}

/// Rows the job reads and does not write.
#[derive(Clone, Debug)]
pub struct ReferenceTableConfig {
    pub name: String,
    pub origin: TableOrigin,
    /// The table's key columns; empty: the table is small and seen whole.
    pub key: Vec<String>,
    /// What the key equals: for each alternative, one place a key column. `batch` column names are written
    /// alone, those of a view as `view.column`. Empty where `key` is empty; never empty otherwise.
    pub matches: Vec<Vec<KeyPlace>>,
    pub refresh_interval: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TableOrigin {
    /// A CSV or NDJSON file, told apart by its ending (`.csv`, `.tsv`; `.json`, `.jsonl`, `.ndjson`).
    File { path: PathBuf, delimiter: u8 },
    /// A table of the database.
    Table(String),
    /// A query over the database, in its own dialect.
    Query(String),
}

/// Rows the job reads and writes, one for each key. The table has the same name in SQL and in the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateTableConfig {
    pub name: String,
    /// The view that computes the new rows.
    pub view: String,
    /// Never empty.
    pub key: Vec<String>,
    /// As in [`ReferenceTableConfig::matches`], never empty.
    pub matches: Vec<Vec<KeyPlace>>,
    /// Messages are keyed by this table's key, so all messages of a key come by one partition.
    pub follows_partition: bool,
    /// A row that was not written for this long, in message time, may be deleted.
    pub ttl: Option<Duration>,
    /// The job does not write it before it is filled from the messages that came earlier.
    pub fill: bool,
}

/// A column that a table's key is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPlace {
    /// `batch` or a view (or another keyed table).
    pub relation: String,
    pub column: String,
}

/// MySQL's longest key of utf8mb4 text lies above this; Kafka's longest group name is not smaller.
const JOB_LENGTH_MAX: usize = 190;

/// librdkafka properties that the program must own: its guarantees rest on them.
const OWNED_PROPERTIES: &[(&str, &str)] = &[
    ("auto.offset.reset", "starting offsets are resolved and stored in the database: use `starting_offsets`"),
    ("bootstrap.servers", "use `kafka_server`"),
    ("enable.auto.commit", "offsets are stored in the database, in the transaction of their rows"),
    ("enable.auto.offset.store", "offsets are stored in the database, in the transaction of their rows"),
    ("enable.partition.eof", "the program needs it to know when it has caught up"),
    ("group.id", "use `job`"),
    ("group.instance.id", "use `instance`"),
    ("isolation.level", "messages of aborted transactions must not be read"),
    ("metadata.broker.list", "use `kafka_server`"),
    ("partition.assignment.strategy", "the program takes part in cooperative rebalances"),
    ("queued.max.messages.kbytes", "it is set from `memory_max`"),
    ("statistics.interval.ms", "the program needs them each second to know when it has caught up"),
];

impl Config {
    /// How many lanes the job has: one for each write connection. SQLite takes one writer at a time, so it has one.
    pub fn lanes(&self) -> usize {
        match self.database {
            Address::Sqlite { .. } => 1,
            Address::MySql(_) => self.write_connections,
        }
    }

    /// Reads and checks `file`.
    ///
    /// # Errors
    /// All faults of the file at once; one fault where it cannot be read.
    pub fn load(file: &Path) -> Result<Self, ConfigError> {
        let unread = |fault| ConfigFile::new(file, "", None).error(vec![fault], None);
        let text = std::fs::read(file).map_err(|error| {
            let fault = Fault::new(None, format!("the configuration cannot be read: {error}"));
            unread(fault.hint("start in the folder of config.yaml, or name the file with --config"))
        })?;
        let text = String::from_utf8(text).map_err(|error| {
            let valid = error.as_bytes()[..error.utf8_error().valid_up_to()].split(|b| *b == b'\n').count();
            let fault = Fault::new(None, format!("line {valid} of the configuration is not UTF-8"));
            unread(fault.hint("save the file as UTF-8"))
        })?;
        Self::parse(file, &text, &environment)
    }

    /// Checks `text`, which is in `file`; `variable` returns the value of an environment variable.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(
        file: &Path,
        text: &str,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let base = file.parent().unwrap_or(Path::new(""));
        let written = yaml::parse(text);
        let root = written.as_ref().ok().cloned().flatten();
        let file = ConfigFile::new(file, text, root.clone());
        written.map_err(|fault| file.error(vec![fault], None))?;
        let mut root = root.unwrap_or_else(Node::empty_map);
        let mut unread = Vec::new();
        variables::replace(&mut root, variable, &mut unread);
        let section = Section::new("", None, &root).map_err(|fault| file.error(vec![fault], None))?;
        let mut faults = Vec::new();
        let config = read_config(&file, base, section, &mut faults);
        // What is in place of a value that could not be read is not to blame for anything.
        faults.retain(|fault| unread.iter().all(|other| !fault.is_about(other)));
        faults.extend(unread);
        match config {
            Some(config) if faults.is_empty() => Ok(config),
            config => Err(file.error(faults, config)),
        }
    }
}

/// The keys of a file.
const TOP: Keys = Keys(KEYS);

/// `None` only together with a fault.
fn read_config(
    file: &ConfigFile,
    base: &Path,
    mut section: Section<'_>,
    faults: &mut Vec<Fault>,
) -> Option<Config> {
    let kafka = read_kafka(&mut section);
    let avro = read_avro(&mut section, base, faults);
    let read_job = |text: &str| {
        let is_name = (1..=JOB_LENGTH_MAX).contains(&text.len()) && !text.chars().any(char::is_control);
        is_name.then(|| text.to_owned())
    };
    let expected = format!("1 to {JOB_LENGTH_MAX} printable bytes");
    let job = TOP.value(&mut section, "job", &expected, read_job).unwrap_or_default();
    let database = read_database(&mut section, base, faults);
    let create_tables = TOP.choice(
        &mut section,
        "create_tables",
        &[
            ("all", CreateTables::All),
            ("own", CreateTables::Own),
            ("none", CreateTables::None),
            ("true", CreateTables::All),
            ("false", CreateTables::None),
        ],
    );
    let bulk_load =
        TOP.choice(&mut section, "bulk_load", &[("auto", BulkLoad::Auto), ("off", BulkLoad::Off)]);
    let sql = base.join(TOP.text(&mut section, "sql"));
    let trigger = TriggerConfig {
        interval: TOP.duration(&mut section, "trigger_interval"),
        rows_max: TOP.count(&mut section, "batch_rows_max"),
        bytes_max: TOP.size(&mut section, "batch_bytes_max"),
    };
    let dead_letters = DeadLettersConfig {
        ratio_max: TOP.ratio(&mut section, "dead_letters_max_ratio"),
        window: TOP.count(&mut section, "dead_letters_window"),
    };
    let memory_max = TOP.size(&mut section, "memory_max");
    let write_connections = read_write_connections(&mut section, memory_max);
    let reference_tables = match section.node("reference_tables") {
        Some(node) => read_reference_tables(node, base, faults),
        None => Vec::new(),
    };
    let state_tables = match section.node("state_tables") {
        Some(node) => read_state_tables(node, &reference_tables, faults),
        None => Vec::new(),
    };
    let outputs = section.node("outputs").map(|node| read_outputs(node, faults));
    let reload =
        TOP.choice(&mut section, "reload", &[("signal", ReloadOn::Signal), ("watch", ReloadOn::Watch)]);
    let registry = read_registry(&mut section, base, faults);
    let is_framed = avro.as_ref().is_none_or(|avro| matches!(avro.framing, Framing::Confluent { .. }));
    if registry.is_some() && !is_framed {
        let fault = Fault::new(
            section.spot("schema_registry"),
            "schema_registry goes with `avro_framing: confluent` only",
        );
        section.fault(fault.hint("other framings do not name the registry's schemas"));
    }
    let http = http::read_http(&mut section);
    let sensitive = read_sensitive(&mut section);
    section.finish(faults);
    Some(Config {
        file: file.clone(),
        kafka: kafka?,
        avro: avro?,
        job,
        database: database?,
        create_tables,
        bulk_load,
        write_connections,
        sql,
        trigger,
        dead_letters,
        memory_max,
        reference_tables,
        state_tables,
        outputs,
        reload,
        registry,
        http,
        sensitive,
    })
}

fn read_sensitive(section: &mut Section<'_>) -> Sensitive {
    let is_empty_list = section.node("sensitive").is_some_and(Node::is_empty);
    let names = if is_empty_list { None } else { section.texts("sensitive") };
    Sensitive::new(names.unwrap_or_default())
}

fn read_write_connections(section: &mut Section<'_>, memory_max: usize) -> usize {
    let count = TOP.count(section, "write_connections");
    let needed = MEMORY_LEAST * count;
    if memory_max < needed {
        let (found, needed) = (memory_max / MIB, needed / MIB);
        let message = format!("write_connections: {count} lanes share memory_max, found {found}MiB");
        let hint = format!("each needs 32MiB: `memory_max: {needed}MiB`, or fewer connections");
        section.fault(Fault::new(section.spot("write_connections"), message).hint(hint));
    }
    count
}

fn read_kafka(section: &mut Section<'_>) -> Option<KafkaConfig> {
    let server = section.required("kafka_server", "127.0.0.1:9092");
    let node = section.required_node("kafka_topic", "customer_movements");
    let topics = section.texts("kafka_topic");
    for topic in topics.iter().flatten().filter(|topic| !is_topic(topic)) {
        let message =
            format!("kafka_topic: found `{topic}`, expected letters, digits, `.`, `_` and `-`, at most 249");
        section.fault(Fault::new(node.map(|node| node.spot), message));
    }
    let starting_offsets = TOP.choice(
        section,
        "starting_offsets",
        &[("earliest", StartingOffsets::Earliest), ("latest", StartingOffsets::Latest)],
    );
    let lost_data =
        TOP.choice(section, "lost_data", &[("fail", LostData::Fail), ("continue", LostData::Continue)]);
    let instance = section.text("instance");
    let properties = read_properties(section);
    let mut topics = topics?;
    topics.sort();
    topics.dedup();
    Some(KafkaConfig { server: server?, topics, starting_offsets, lost_data, instance, properties })
}

/// Kafka's own rule for the names of topics.
fn is_topic(name: &str) -> bool {
    let is_legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    !name.is_empty() && name.len() <= 249 && name != "." && name != ".." && name.chars().all(is_legal)
}

fn read_properties(section: &mut Section<'_>) -> BTreeMap<String, String> {
    let mut properties = BTreeMap::new();
    let Some(node) = section.node("kafka_properties") else { return properties };
    let Value::Map(pairs) = &node.value else {
        let message = "kafka_properties: found something else than a mapping of properties";
        let fault = Fault::new(section.spot("kafka_properties"), message);
        section.fault(fault.hint("one property a line, as `sasl.username: realtime`"));
        return properties;
    };
    for (key, value) in pairs {
        let (Some(name), Some(text)) = (key.text(), value.text()) else {
            let message = "kafka_properties: found something else than `name: value`";
            section.fault(Fault::new(key.spot, message).hint("a property has one text as its value"));
            continue;
        };
        match OWNED_PROPERTIES.iter().find(|(owned, _)| *owned == name) {
            Some((_, why)) => {
                let message = format!("kafka_properties: the program sets `{name}` itself");
                section.fault(Fault::new(key.spot, message).hint(*why));
            }
            None => {
                properties.insert(name.to_owned(), text.to_owned());
            }
        }
    }
    properties
}

#[cfg(test)]
mod key_tests;
#[cfg(test)]
mod tests;
