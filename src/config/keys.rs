//! Every key of a configuration in one table: its name, type, limits, default, meaning, and whether a running job takes a
//! change over. Reading, the JSON Schema and `realtime-processor config` use this table; tests compare it with
//! `config.yaml` and `docs/configuration.md`.

/// One key.
pub(super) struct Key {
    pub name: &'static str,
    pub kind: Kind,
    pub absent: Absent,
    pub reload: Reload,
    /// As `docs/configuration.md` has it, with its links.
    pub meaning: &'static str,
}

/// What is allowed under a key.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Text,
    /// A text that is never shown.
    Secret,
    /// One text, or a list.
    Texts,
    /// The same, and the list may be empty.
    Names,
    /// One text, a list of texts, or a list of such lists.
    Lists,
    Boolean,
    Choice(&'static [&'static str]),
    Duration,
    /// Bytes.
    Size {
        least: usize,
    },
    /// A whole number, from 1.
    Count {
        most: usize,
    },
    /// A number from 0 to 1.
    Ratio,
    /// A mapping from names to texts.
    Texted,
    /// The same, and the names decide which texts are never shown.
    Properties,
    /// A mapping from ids to files, or a list of files.
    Files,
    /// An address, or a mapping of its parts.
    Database(&'static [Key]),
    Section(&'static [Key]),
    /// A mapping from names that people choose to sections.
    Named(&'static [Key]),
}

/// What it means if a key is not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Absent {
    /// The key is required.
    Error,
    /// The same as this YAML.
    Is(&'static str),
    /// What no YAML says.
    Means(&'static str),
}

/// Whether a running job takes over a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reload {
    /// It needs a restart.
    No,
    Yes,
    /// New entries, but no change of an old one.
    NewOnes,
}

const KIB: usize = 1024;
pub(super) const MIB: usize = 1024 * KIB;
/// The most that a key which counts rows may say.
const BATCH_ROWS_LIMIT: usize = 10_000_000;
/// Below this, librdkafka's queue and one batch have no room.
pub(super) const MEMORY_LEAST: usize = 32 * MIB;
/// More lanes than this have not been seen to pay, and each takes its part of the memory.
const WRITE_CONNECTIONS_MAX: usize = 16;

impl Key {
    const fn required(name: &'static str, kind: Kind, meaning: &'static str) -> Self {
        Self { name, kind, absent: Absent::Error, reload: Reload::No, meaning }
    }

    const fn new(name: &'static str, kind: Kind, default: &'static str, meaning: &'static str) -> Self {
        Self { name, kind, absent: Absent::Is(default), reload: Reload::No, meaning }
    }

    const fn means(self, default: &'static str) -> Self {
        Self { absent: Absent::Means(default), ..self }
    }

    const fn reloads(self, reload: Reload) -> Self {
        Self { reload, ..self }
    }
}

/// The keys of a file, in the order of the documents.
pub(super) const KEYS: &[Key] = &[
    Key::required("kafka_server", Kind::Text, "bootstrap servers, `host:port`, separated by commas"),
    Key::required("kafka_topic", Kind::Texts, "one topic, or a list"),
    Key::new(
        "job",
        Kind::Text,
        "realtime-processor",
        "the name of the job and of its consumer group; offsets are stored under it",
    ),
    Key::new(
        "instance",
        Kind::Text,
        "null",
        "a fixed name of this process, such as `${HOSTNAME}`: after a restart, it gets its partitions back at once",
    ),
    Key::new(
        "starting_offsets",
        Kind::Choice(&["earliest", "latest"]),
        "earliest",
        "`earliest` or `latest`, for partitions that have no stored offset at the first start",
    ),
    Key::new(
        "lost_data",
        Kind::Choice(&["fail", "continue"]),
        "fail",
        "what to do if Kafka no longer has the next messages, `fail` or `continue`: \
         [Exactly once](exactly-once.md#messages-that-kafka-has-deleted)",
    ),
    Key::new(
        "kafka_properties",
        Kind::Properties,
        "{}",
        "any property of librdkafka: [below](#kafka-properties)",
    ),
    Key::required("avro_schema", Kind::Text, "the schema that SQL sees"),
    Key::new(
        "avro_framing",
        Kind::Choice(&["raw", "single_object", "confluent"]),
        "raw",
        "`raw`, `single_object` or `confluent`: [Avro](avro.md#framing)",
    ),
    Key::new(
        "avro_writer_schema",
        Kind::Text,
        "null",
        "with `raw`: the schema that messages were written with, if it is not `avro_schema`",
    ),
    Key::new(
        "writer_schemas",
        Kind::Files,
        "{}",
        "with `confluent`: a map of id to file; with `single_object`: a list of files",
    ),
    Key::new(
        "tombstones",
        Kind::Choice(&["dead_letter", "skip"]),
        "dead_letter",
        "`dead_letter` or `skip`: what happens to a message without a payload",
    ),
    Key::new(
        "key_format",
        Kind::Choice(&["bytes", "text", "int", "long", "avro"]),
        "bytes",
        "`bytes`, `text`, `int`, `long` or `avro`: how keys are written, and so the type of `kafka_key`: \
         [Keys](avro.md#keys)",
    ),
    Key::new(
        "avro_key_schema",
        Kind::Text,
        "null",
        "with `key_format: avro`: the schema of keys that SQL sees",
    ),
    Key::new(
        "schema_registry",
        Kind::Section(REGISTRY),
        "null",
        "with `confluent`: where to ask for the schemas of unknown ids: [Schema registry](registry.md)",
    ),
    Key::new(
        "http",
        Kind::Text,
        "null",
        "an address such as `127.0.0.1:9464`, for metrics, health and a page: [Watching a job](operating.md)",
    ),
    Key::new(
        "http_token",
        Kind::Secret,
        "null",
        "the token that a caller must send, 16 characters or more; required if `http` is not a loopback address",
    ),
    Key::new(
        "sensitive",
        Kind::Names,
        "[]",
        "fields of the messages whose values are shown as `***`: [below](#sensitive-fields)",
    ),
    Key::required(
        "database",
        Kind::Database(DATABASE),
        "an address or a mapping: [below](#database-addresses)",
    ),
    Key::new(
        "create_tables",
        Kind::Choice(&["all", "own", "none", "true", "false"]),
        "all",
        "`all`; `own`: only the program's tables and state tables; `none`: no table is created, but all are checked",
    ),
    Key::new(
        "bulk_load",
        Kind::Choice(&["auto", "off"]),
        "auto",
        "`auto`: LOAD DATA LOCAL if the server allows it; `off`: always INSERT",
    ),
    Key::new(
        "write_connections",
        Kind::Count { most: WRITE_CONNECTIONS_MAX },
        "1",
        "how many [lanes](running.md#tuning) write at once, up to 16 (MySQL and MariaDB)",
    ),
    Key::new("sql", Kind::Text, "sql", "the folder of the views; its subfolder `tests` holds their tests"),
    Key::new(
        "reload",
        Kind::Choice(&["signal", "watch"]),
        "signal",
        "`signal`: at SIGHUP; `watch`: also when a file has changed",
    ),
    Key::new(
        "reference_tables",
        Kind::Named(REFERENCE_TABLE),
        "{}",
        "[Reference tables](tables.md#reference-tables)",
    )
    .reloads(Reload::Yes),
    Key::new("state_tables", Kind::Named(STATE_TABLE), "{}", "[State tables](tables.md#state-tables)")
        .reloads(Reload::NewOnes),
    Key::new("outputs", Kind::Named(OUTPUT), "null", "[Outputs](tables.md#outputs)")
        .means("every view that no other view reads")
        .reloads(Reload::NewOnes),
    Key::new(
        "trigger_interval",
        Kind::Duration,
        "0ms",
        "the shortest time between the starts of two triggers; a full batch starts earlier. With `0ms`, a trigger starts \
         as soon as a message has arrived",
    ),
    Key::new(
        "batch_rows_max",
        Kind::Count { most: BATCH_ROWS_LIMIT },
        "100000",
        "the largest number of messages in one batch",
    ),
    Key::new(
        "batch_bytes_max",
        Kind::Size { least: 1 },
        "64MiB",
        "the largest size of one batch: keys, headers and payloads, and 48 bytes for each message",
    ),
    Key::new(
        "memory_max",
        Kind::Size { least: MEMORY_LEAST },
        "256MiB",
        "memory for Kafka's queue, batches, rows kept in memory, and SQL; at least 32 MiB for each write connection",
    ),
    Key::new(
        "dead_letters_max_ratio",
        Kind::Ratio,
        "0.1",
        "the job stops above this share of dead letters: [Dead letters](dead-letters.md#when-the-job-stops)",
    )
    .reloads(Reload::Yes),
    Key::new(
        "dead_letters_window",
        Kind::Count { most: BATCH_ROWS_LIMIT },
        "10000",
        "how many of the last messages are counted",
    )
    .reloads(Reload::Yes),
];

/// Of `file`, `table` and `query`, one is required.
pub(super) const REFERENCE_TABLE: &[Key] = &[
    Key::new("file", Kind::Text, "null", "a CSV, TSV or NDJSON file"),
    Key::new("table", Kind::Text, "null", "a table of the database"),
    Key::new("query", Kind::Text, "null", "a query over the database"),
    Key::new("delimiter", Kind::Text, "null", "of a CSV file: one character, or `tab`"),
    Key::new("key", Kind::Texts, "null", "the key columns; without it, every batch sees the whole table"),
    Key::new("matches", Kind::Lists, "null", "the columns to compare with the key, if their names differ"),
    Key::new("refresh_interval", Kind::Duration, "60s", "how old the rows may be; default `60s`"),
];

pub(super) const STATE_TABLE: &[Key] = &[
    Key::required("view", Kind::Text, "the view that computes the new rows"),
    Key::required("key", Kind::Texts, "the key columns"),
    Key::new("matches", Kind::Lists, "null", "the columns to compare with the key, if their names differ"),
    Key::new(
        "follows_partition",
        Kind::Boolean,
        "false",
        "`true`: all messages of a key come through one partition; default `false`",
    ),
    Key::new("ttl", Kind::Duration, "null", "rows that have not been written for this long may be deleted"),
    Key::new("fill", Kind::Boolean, "false", FILL),
];

pub(super) const OUTPUT: &[Key] = &[
    Key::new("table", Kind::Text, "null", "the table; by default it has the view's name")
        .means("the view's name"),
    Key::new(
        "mode",
        Kind::Choice(&["append", "upsert", "replace"]),
        "append",
        "`append`, `upsert` or `replace`; default `append`",
    ),
    Key::new("key", Kind::Texts, "null", "the key columns, for `upsert` and `replace`"),
    Key::new("order_by", Kind::Texts, "null", "the columns that decide which row of a key is the last"),
    Key::new(
        "only_newer",
        Kind::Text,
        "null",
        "a column: of two rows with the same key, the row with the larger value in this column stays",
    ),
    Key::new("parent", Kind::Texts, "null", "for `replace`: the first columns of `key`"),
    Key::new(
        "columns",
        Kind::Texted,
        "null",
        "column types of a table that is created: `{ agency: VARCHAR(40) }`",
    ),
    Key::new(
        "indexes",
        Kind::Lists,
        "null",
        "indexes of a table that is created: `[[customer], [agency, date]]`",
    ),
    Key::new("fill", Kind::Boolean, "false", FILL),
];

const FILL: &str = "`true`: the job does not write the table before it is [filled](fill.md); default `false`";

/// The parts of an address of MySQL or MariaDB.
pub(super) const DATABASE: &[Key] = &[
    Key::required("host", Kind::Text, "the server's name or address"),
    Key::new("port", Kind::Text, "3306", "the server's port; default `3306`"),
    Key::required("user", Kind::Text, "the user"),
    Key::new("password", Kind::Secret, "null", "the user's password"),
    Key::new("password_file", Kind::Text, "null", "a file that holds the password"),
    Key::required("name", Kind::Text, "the name of the database"),
    Key::new(
        "ssl-mode",
        Kind::Text,
        "null",
        "`disabled`, `preferred`, `required`, `verify_ca` or `verify_identity`",
    ),
    Key::new(
        "ssl-ca",
        Kind::Text,
        "null",
        "the CA certificates that may have signed the server's certificate, as PEM",
    ),
    Key::new("ssl-cert", Kind::Text, "null", "the certificate of this program, as PEM"),
    Key::new("ssl-key", Kind::Text, "null", "the key of `ssl-cert`, as PEM"),
];

pub(super) const REGISTRY: &[Key] = &[
    Key::required("url", Kind::Texts, "one address, or several of the same registry"),
    Key::new("username", Kind::Text, "null", "the user, with `password`"),
    Key::new("password", Kind::Secret, "null", "the user's password"),
    Key::new("password_file", Kind::Text, "null", "a file that holds the password"),
    Key::new("token", Kind::Secret, "null", "a bearer token"),
    Key::new("token_file", Kind::Text, "null", "a file that holds the token"),
    Key::new("token_url", Kind::Text, "null", "the address of an OAuth server"),
    Key::new("client_id", Kind::Text, "null", "this program's name for the OAuth server"),
    Key::new("client_secret", Kind::Secret, "null", "its secret"),
    Key::new("client_secret_file", Kind::Text, "null", "a file that holds the secret"),
    Key::new("scope", Kind::Text, "null", "the scope to ask the OAuth server for"),
    Key::new(
        "ca",
        Kind::Text,
        "null",
        "the CA certificates that may have signed the registry's certificate, as PEM",
    ),
    Key::new("certificate", Kind::Text, "null", "the certificate of this program, as PEM"),
    Key::new("key", Kind::Text, "null", "the key of `certificate`, as PEM"),
    Key::new("timeout", Kind::Duration, "10s", "how long one request may take; default `10s`"),
];
