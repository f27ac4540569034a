//! CREATE TABLE for the program's own tables and for outputs whose table is missing.

use std::collections::BTreeSet;

use arrow::datatypes::{DataType, Field, Schema};

use super::{TableFault, Target, TargetKind};
use crate::batch::{DELETE_COLUMN, MESSAGE_TIME_COLUMN, PARTITION_COLUMNS};
use crate::config::{Created, Mode};
use crate::database::{ColumnType, Dialect, Fit, KeyShape, quote, quote_table};
use crate::diagnostic::Finding;

pub(super) const OFFSETS_TABLE: &str = "realtime_offsets";
pub(super) const DEAD_LETTERS_TABLE: &str = "dead_letters";
pub(super) const SQL_VERSIONS_TABLE: &str = "realtime_sql_versions";
pub(super) const SQL_HISTORY_TABLE: &str = "realtime_sql_history";
pub(super) const FILLS_TABLE: &str = "realtime_fills";
/// Only a job with a schema registry has it.
pub(super) const SCHEMAS_TABLE: &str = "realtime_schemas";
/// Only a job that can be watched has it.
pub(super) const INSTANCES_TABLE: &str = "realtime_instances";
/// The tables of the program.
pub(super) const OWN_NAMES: [&str; 7] = [
    OFFSETS_TABLE,
    DEAD_LETTERS_TABLE,
    SQL_VERSIONS_TABLE,
    SQL_HISTORY_TABLE,
    FILLS_TABLE,
    SCHEMAS_TABLE,
    INSTANCES_TABLE,
];
/// MySQL's limit of names.
const NAME_CHARACTERS_MAX: usize = 64;

/// The program's own tables, and the statements that create them. `has_registry`: schemas come from a registry;
/// `is_watched`: the job
/// can be watched.
pub fn own_tables(dialect: Dialect, has_registry: bool, is_watched: bool) -> Vec<(&'static str, String)> {
    let mut tables = vec![
        (OFFSETS_TABLE, offsets_table(dialect)),
        (DEAD_LETTERS_TABLE, dead_letters_table(dialect)),
        (SQL_VERSIONS_TABLE, sql_versions_table(dialect)),
        (SQL_HISTORY_TABLE, sql_history_table(dialect)),
        (FILLS_TABLE, fills_table(dialect)),
    ];
    tables.extend(has_registry.then(|| (SCHEMAS_TABLE, schemas_table(dialect))));
    tables.extend(is_watched.then(|| (INSTANCES_TABLE, instances_table(dialect))));
    tables
}

/// The statements that create the table of an output or of state, with its indexes.
///
/// # Errors
/// All columns that have no place in the database.
pub fn create_statements(target: &Target, dialect: Dialect) -> Result<Vec<String>, Vec<TableFault>> {
    let key = target.mode.key();
    let mut faults = name_faults(target, dialect);
    faults.extend(created_faults(target));
    let mut lines = Vec::new();
    if key.is_empty() && dialect.is_mysql() {
        // Servers may require a primary key. Invisible: SELECT * shows the view's columns.
        let id = quote(free_name(&target.schema), dialect);
        lines.push(format!("{id} BIGINT UNSIGNED NOT NULL AUTO_INCREMENT INVISIBLE PRIMARY KEY"));
    }
    for field in target.schema.fields() {
        if is_delete(target, field.name()) {
            continue;
        }
        match column_type(target, field, dialect) {
            Ok(column) => {
                let declared = target.created.columns.get(field.name());
                let kind = declared.cloned().unwrap_or_else(|| column.ddl(dialect));
                // A type may come with its own NOT NULL, or NULL.
                let says_null = kind.to_uppercase().split_whitespace().any(|word| word == "NULL");
                let null = if is_required(target, field) && !says_null { " NOT NULL" } else { "" };
                lines.push(format!("{} {kind}{null}", quote(field.name(), dialect)));
            }
            Err(reason) => faults.push(TableFault::of_column(&target.table, field.name(), reason)),
        }
    }
    if !key.is_empty() {
        let names: Vec<String> = key.iter().map(|name| quote(name, dialect)).collect();
        lines.push(format!("PRIMARY KEY ({})", names.join(", ")));
    }
    if matches!(target.kind, TargetKind::State { expires: true }) && dialect.is_mysql() {
        lines.push(format!("KEY {MESSAGE_TIME_COLUMN} ({MESSAGE_TIME_COLUMN})"));
    }
    if lines.is_empty() {
        faults.push(TableFault::new(&target.table, format!("view `{}` has no column", target.name)));
    }
    let indexes = target.created.indexes.iter().map(|columns| {
        let names: Vec<String> = columns.iter().map(|name| quote(name, dialect)).collect();
        (columns.join("_"), names.join(", "))
    });
    let mut others = Vec::new();
    for (name, columns) in indexes {
        match dialect {
            Dialect::MySql | Dialect::MariaDb => lines.push(format!("KEY ({columns})")),
            Dialect::Sqlite => {
                let name = quote(&format!("{}_{name}", target.table), dialect);
                let table = quote_table(&target.table, dialect);
                others.push(format!("CREATE INDEX IF NOT EXISTS {name} ON {table} ({columns})"));
            }
        }
    }
    match faults.is_empty() {
        true => Ok(std::iter::once(statement(&target.table, &lines, dialect)).chain(others).collect()),
        false => Err(faults),
    }
}

/// What is wrong with the configured form of a table that is to be created.
fn created_faults(target: &Target) -> Vec<TableFault> {
    let Created { columns, indexes, .. } = &target.created;
    let named = columns.keys().map(|name| ("columns", name));
    let named = named.chain(indexes.iter().flatten().map(|name| ("indexes", name)));
    let is_missing = |(_, name): &(&str, &String)| target.schema.field_with_name(name).is_err();
    let fault = |(what, name): (&str, &String)| {
        let names: Vec<&str> = target.schema.fields().iter().map(|field| field.name().as_str()).collect();
        let (view, names) = (&target.name, names.join(", "));
        TableFault::new(
            &target.table,
            format!("{what}: view `{view}` has no column `{name}`, it has {names}"),
        )
    };
    named.filter(is_missing).map(fault).collect()
}

/// The type of a column in a table that is created: as it is configured, else by the view's type. Columns of the key and
/// of indexes are as short as an index needs them.
///
/// # Errors
/// The view's type has no place in a table; the error says why.
pub fn column_type(target: &Target, field: &Field, dialect: Dialect) -> Result<ColumnType, Finding> {
    if let Some(declared) = target.created.columns.get(field.name()) {
        let kind = ColumnType::parse(declared, dialect);
        return match Fit::new(field.data_type(), &kind, true, dialect) {
            Ok(_) => Ok(kind),
            Err(found) => Err(found.reworded(|message| format!("columns: {declared} {message}"))),
        };
    }
    if target.kind.is_state() && field.name() == PARTITION_COLUMNS[0] {
        return Ok(ColumnType::Text { characters_max: Some(TOPIC_CHARACTERS_MAX as u64), bytes_max: None });
    }
    let keys = std::iter::once(target.mode.key()).chain(target.created.indexes.iter().map(Vec::as_slice));
    let key = keys.into_iter().find(|columns| columns.contains(field.name()));
    let shape = key.map(|key| KeyShape::of(key.iter().filter_map(|name| arrow_type(&target.schema, name))));
    ColumnType::for_arrow(field.data_type(), dialect, shape)
}

/// Whether a column of a created table takes no NULL.
pub(super) fn is_required(target: &Target, field: &Field) -> bool {
    target.mode.key().contains(field.name()) || target.created.required.contains(field.name())
}

/// True for the column that marks rows to delete, which is no column of the table.
pub(super) fn is_delete(target: &Target, column: &str) -> bool {
    column == DELETE_COLUMN && target.mode != Mode::Append
}

pub(super) fn offsets_table(dialect: Dialect) -> String {
    let text = |characters| named(dialect, characters);
    let lines = [
        format!("job {} NOT NULL", text(JOB_CHARACTERS_MAX)),
        format!("kafka_topic {} NOT NULL", text(TOPIC_CHARACTERS_MAX)),
        "kafka_partition INT NOT NULL".into(),
        "next_offset BIGINT NOT NULL".into(),
        "epoch BIGINT NOT NULL".into(),
        "message_time DATETIME(3) NULL".into(),
        format!("recent_messages {TALLY}"),
        format!("recent_dead_letters {TALLY}"),
        format!("waiting {WAITING}"),
        "updated_at DATETIME(6) NOT NULL".into(),
        "PRIMARY KEY (job, kafka_topic, kafka_partition)".into(),
    ];
    statement(OFFSETS_TABLE, &lines, dialect)
}

pub(super) fn dead_letters_table(dialect: Dialect) -> String {
    let text = |characters| named(dialect, characters);
    let long_text = long_text(dialect);
    let bytes = ColumnType::Binary { bytes_max: None, is_fixed: false }.ddl(dialect);
    let mut lines = vec![
        match dialect {
            Dialect::Sqlite => "id INTEGER PRIMARY KEY AUTOINCREMENT".to_string(),
            _ => "id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY".to_string(),
        },
        format!("job {} NOT NULL", text(JOB_CHARACTERS_MAX)),
        format!("kafka_topic {} NOT NULL", text(TOPIC_CHARACTERS_MAX)),
        "kafka_partition INT NOT NULL".into(),
        "kafka_offset BIGINT NOT NULL".into(),
        "kafka_timestamp DATETIME(3) NULL".into(),
        format!("kafka_key {bytes} NULL"),
        format!("kafka_headers {} NOT NULL", ColumnType::Json.ddl(dialect)),
        format!("payload {bytes} NULL"),
        format!("stage {} NOT NULL", text(16)),
        format!("place {long_text} NOT NULL"),
        format!("reason {long_text} NOT NULL"),
        "created_at DATETIME(6) NOT NULL".into(),
        "replayed_at DATETIME(6) NULL".into(),
    ];
    if dialect.is_mysql() {
        lines.push("KEY message (job, kafka_topic, kafka_partition, kafka_offset)".into());
    }
    statement(DEAD_LETTERS_TABLE, &lines, dialect)
}

pub(super) fn sql_versions_table(dialect: Dialect) -> String {
    let long_text = long_text(dialect);
    let lines = [
        format!("version {} NOT NULL PRIMARY KEY", named(dialect, VERSION_CHARACTERS_MAX)),
        format!("files {long_text} NOT NULL"),
        "first_used_at DATETIME(6) NOT NULL".into(),
    ];
    statement(SQL_VERSIONS_TABLE, &lines, dialect)
}

pub(super) fn sql_history_table(dialect: Dialect) -> String {
    let text = |characters| named(dialect, characters);
    let lines = [
        format!("job {} NOT NULL", text(JOB_CHARACTERS_MAX)),
        format!("kafka_topic {} NOT NULL", text(TOPIC_CHARACTERS_MAX)),
        "kafka_partition INT NOT NULL".into(),
        "from_offset BIGINT NOT NULL".into(),
        format!("version {} NOT NULL", text(VERSION_CHARACTERS_MAX)),
        "PRIMARY KEY (job, kafka_topic, kafka_partition, from_offset)".into(),
    ];
    statement(SQL_HISTORY_TABLE, &lines, dialect)
}

pub(super) fn fills_table(dialect: Dialect) -> String {
    let lines = [
        format!("job {} NOT NULL", named(dialect, JOB_CHARACTERS_MAX)),
        format!("name {} NOT NULL", named(dialect, JOB_CHARACTERS_MAX)),
        format!("fill {} NOT NULL", named(dialect, JOB_CHARACTERS_MAX)),
        "started_at DATETIME(6) NOT NULL".into(),
        "finished_at DATETIME(6) NULL".into(),
        "PRIMARY KEY (job, name)".into(),
    ];
    statement(FILLS_TABLE, &lines, dialect)
}

pub(super) fn schemas_table(dialect: Dialect) -> String {
    let long_text = long_text(dialect);
    let lines = [
        format!("job {} NOT NULL", named(dialect, JOB_CHARACTERS_MAX)),
        format!("schema_id {} NOT NULL", named(dialect, SCHEMA_ID_CHARACTERS_MAX)),
        format!("schema_text {long_text} NOT NULL"),
        "first_used_at DATETIME(6) NOT NULL".into(),
        "PRIMARY KEY (job, schema_id)".into(),
    ];
    statement(SCHEMAS_TABLE, &lines, dialect)
}

/// Room for a number or a GUID.
const SCHEMA_ID_CHARACTERS_MAX: usize = 64;

pub(super) fn instances_table(dialect: Dialect) -> String {
    let long_text = long_text(dialect);
    let lines = [
        format!("job {} NOT NULL", named(dialect, JOB_CHARACTERS_MAX)),
        format!("instance {} NOT NULL", named(dialect, JOB_CHARACTERS_MAX)),
        format!("page {long_text} NULL"),
        format!("state {} NOT NULL", named(dialect, 32)),
        format!("partitions {long_text} NOT NULL"),
        "started_at DATETIME(6) NOT NULL".into(),
        "seen_at DATETIME(6) NOT NULL".into(),
        "PRIMARY KEY (job, instance)".into(),
    ];
    statement(INSTANCES_TABLE, &lines, dialect)
}

/// Room for the name of a version.
const VERSION_CHARACTERS_MAX: usize = 64;

/// The type of a column that counts messages.
pub(super) const TALLY: &str = "BIGINT NOT NULL DEFAULT 0";

/// The type of a column that names what a job leaves out.
pub(super) const WAITING: &str = "TEXT NULL";

/// What the name of a job may take, so that the offsets' key fits an index.
pub(super) const JOB_CHARACTERS_MAX: usize = 255;
/// Kafka's limit.
const TOPIC_CHARACTERS_MAX: usize = 249;

/// The type of a text of any length.
fn long_text(dialect: Dialect) -> String {
    ColumnType::Text { characters_max: None, bytes_max: None }.ddl(dialect)
}

fn named(dialect: Dialect, characters: usize) -> String {
    ColumnType::Text { characters_max: Some(characters as u64), bytes_max: None }.ddl(dialect)
}

fn statement(table: &str, lines: &[String], dialect: Dialect) -> String {
    let options = match dialect {
        Dialect::Sqlite => String::new(),
        _ => format!(" ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE {}", dialect.collation()),
    };
    let table = quote_table(table, dialect);
    format!("CREATE TABLE IF NOT EXISTS {table} (\n  {}\n){options}", lines.join(",\n  "))
}

/// A name for the row's number that no column of the view has.
fn free_name(schema: &Schema) -> &'static str {
    let is_taken = |name: &str| schema.fields().iter().any(|field| field.name().eq_ignore_ascii_case(name));
    ["_id", "_row_id", "_realtime_row_id"]
        .into_iter()
        .find(|name| !is_taken(name))
        .unwrap_or("_realtime_row_number")
}

fn arrow_type<'s>(schema: &'s Schema, name: &str) -> Option<&'s DataType> {
    schema.field_with_name(name).ok().map(|field| field.data_type())
}

/// Names that the databases cannot tell apart, or not keep.
fn name_faults(target: &Target, dialect: Dialect) -> Vec<TableFault> {
    let mut faults = Vec::new();
    let mut seen = BTreeSet::new();
    for field in target.schema.fields() {
        let (table, name) = (&target.table, field.name());
        if !seen.insert(name.to_lowercase()) {
            let message = format!(
                "view `{}` has two columns whose names differ in case only, a table cannot",
                target.name
            );
            faults.push(TableFault::of_column(table, name, message).with_hint("rename one with AS"));
        }
        let is_long = dialect.is_mysql() && name.chars().count() > NAME_CHARACTERS_MAX;
        if is_long || name.is_empty() || name.ends_with(' ') || name.contains('\0') {
            let message =
                format!("no name for a column (1 to {NAME_CHARACTERS_MAX} characters, no space at the end)");
            let hint = format!("name the column with AS in view `{}`", target.name);
            faults.push(TableFault::of_column(table, name, message).with_hint(hint));
        }
    }
    faults
}
