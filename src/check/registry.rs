//! `avro_schema` and `avro_key_schema` beside the latest versions that the registry has: what writers send that the project
//! does not read, what it cannot read, and whether its schemas could be registered themselves.

use std::path::Path;

use crate::avro::{Kind, Schema, SchemaError, TypeId};
use crate::config::Config;
use crate::decode::Decoder;
use crate::diagnostic::{Code, Diagnostic, Place};
use crate::registry::{Client, Found, Registered, RegistryError};

/// How deep records may be nested for their fields to be compared.
const DEPTH_MAX: usize = 32;

/// The subject that the values of a topic are registered under, unless producers are told otherwise.
pub(crate) fn subject_of(topic: &str) -> String {
    format!("{topic}-value")
}

/// The same for keys.
pub(crate) fn key_subject_of(topic: &str) -> String {
    format!("{topic}-key")
}

type CanRead<'a> = dyn Fn(&Schema) -> Result<(), SchemaError> + Sync + 'a;

/// A schema of the project, beside the subjects that writers use.
struct Contract<'a> {
    /// The key of the configuration that names it.
    key: &'static str,
    file: &'a Path,
    reader: Schema,
    /// What cannot be read of a writer's.
    can_read: &'a CanRead<'a>,
    /// The subject of a topic.
    subject: fn(&str) -> String,
}

impl<'a> Contract<'a> {
    /// `None`: the file is no schema, which others report.
    fn new(
        key: &'static str,
        file: &'a Path,
        can_read: &'a CanRead<'a>,
        subject: fn(&str) -> String,
    ) -> Option<Self> {
        Some(Self { key, file, reader: Schema::read(file).ok()?, can_read, subject })
    }
}

/// All that is to be said of the project's schemas, with the registry asked. Nothing where there is none.
pub(crate) async fn compare(config: &Config, decoder: &Decoder) -> Vec<Diagnostic> {
    let Some(registry) = &config.registry else { return Vec::new() };
    let client = Client::new(registry);
    let of_payloads = |writer: &Schema| decoder.can_read(writer);
    let of_keys = |writer: &Schema| decoder.can_read_keys(writer);
    let payloads = Contract::new("avro_schema", &config.avro.schema, &of_payloads, subject_of);
    let keys = config.avro.key.schema();
    let keys = keys.and_then(|file| Contract::new("avro_key_schema", file, &of_keys, key_subject_of));
    let mut found = Vec::new();
    for contract in payloads.iter().chain(&keys) {
        for topic in &config.kafka.topics {
            match of_topic(config, &client, topic, contract).await {
                Ok(diagnostics) => found.extend(diagnostics),
                // The next topic would be answered the same way.
                Err(error) => {
                    found.push(failed(config, &error));
                    return found;
                }
            }
        }
    }
    found
}

async fn of_topic(
    config: &Config,
    client: &Client,
    topic: &str,
    contract: &Contract<'_>,
) -> Result<Vec<Diagnostic>, RegistryError> {
    let subject = (contract.subject)(topic);
    let latest = match client.version(&subject, None).await {
        Ok(Found::Known(latest)) => latest,
        Ok(Found::Unknown(reason)) => {
            let place = config.file.place(&["schema_registry"]);
            let message = format!("the registry has no subject `{subject}`: {reason}");
            let hint = "messages of this topic may be registered under other names; `realtime-processor schema list` shows all";
            return Ok(vec![Diagnostic::warning(Code::Registry, place, message).with_hint(hint)]);
        }
        Err(RegistryError::Unusable(problem)) => {
            return Ok(vec![Diagnostic::error(
                Code::Registry,
                config.file.place(&["schema_registry"]),
                problem,
            )]);
        }
        Err(error) => return Err(error),
    };
    let mut found = of_latest(contract, &subject, &latest);
    if let Ok(text) = std::fs::read_to_string(contract.file)
        && let Found::Known(compatibility) = client.compatibility(&subject, &text).await?
        && !compatibility.is_compatible
    {
        let place = Place::of_file(crate::diagnostic::shown(contract.file));
        let why: String = compatibility.messages.iter().map(|message| format!("\n  {message}")).collect();
        let message = format!(
            "it could not become the next version of `{subject}`: the subject's rule refuses it{why}"
        );
        found.push(Diagnostic::warning(Code::Registry, place, message));
    }
    Ok(found)
}

/// What the latest version says about the project's schema.
fn of_latest(contract: &Contract<'_>, subject: &str, latest: &Registered) -> Vec<Diagnostic> {
    let Contract { key, file, reader, can_read, .. } = contract;
    let version = format!("version {} of `{subject}` (id {})", latest.version, latest.id);
    let place = || Place::of_file(crate::diagnostic::shown(file));
    let writer = match Schema::parse(&latest.schema, &version) {
        Ok(writer) => writer,
        Err(error) => return vec![Diagnostic::error(Code::Registry, place(), error.found())],
    };
    if let Err(error) = can_read(&writer) {
        let found = error.found().within(format!("messages of {version} cannot be read"));
        return vec![Diagnostic::error(Code::Registry, place(), found)];
    }
    let mut missing = Vec::new();
    missing_fields(&writer, writer.root(), reader, reader.root(), "", 0, &mut missing);
    let warning = |field: &String| {
        let message = format!("{version} has the field `{field}`, which {key} does not have");
        let hint = "add it to read it, or leave it out: the messages are read either way";
        Diagnostic::warning(Code::Registry, place(), message).with_hint(hint)
    };
    missing.iter().map(warning).collect()
}

/// The fields that the writer's records have and the reader's do not, by their paths.
fn missing_fields(
    writer: &Schema,
    written: TypeId,
    reader: &Schema,
    read: TypeId,
    path: &str,
    depth: usize,
    missing: &mut Vec<String>,
) {
    if depth > DEPTH_MAX {
        return;
    }
    match (writer.kind(written), reader.kind(read)) {
        (Kind::Record(written), Kind::Record(read)) => {
            for field in &written.fields {
                let path =
                    if path.is_empty() { field.name.clone() } else { format!("{path}.{}", field.name) };
                let is_same = |other: &&crate::avro::Field| {
                    other.name == field.name || other.aliases.contains(&field.name)
                };
                match read.fields.iter().find(is_same) {
                    Some(other) => {
                        missing_fields(
                            writer,
                            field.type_id,
                            reader,
                            other.type_id,
                            &path,
                            depth + 1,
                            missing,
                        );
                    }
                    None => missing.push(path),
                }
            }
        }
        (Kind::Array(written), Kind::Array(read)) | (Kind::Map(written), Kind::Map(read)) => {
            missing_fields(writer, *written, reader, *read, path, depth + 1, missing);
        }
        (Kind::Union(branches), _) => {
            // Only where it is clear which branch is read as which.
            if let Some(record) = only_record(writer, branches) {
                missing_fields(writer, record, reader, read, path, depth + 1, missing);
            }
        }
        (_, Kind::Union(branches)) => {
            if let Some(record) = only_record(reader, branches) {
                missing_fields(writer, written, reader, record, path, depth + 1, missing);
            }
        }
        _ => {}
    }
}

fn only_record(schema: &Schema, branches: &[TypeId]) -> Option<TypeId> {
    let is_nested =
        |id: &&TypeId| matches!(schema.kind(**id), Kind::Record(_) | Kind::Array(_) | Kind::Map(_));
    let mut nested = branches.iter().filter(is_nested);
    let only = nested.next().copied();
    only.filter(|_| nested.next().is_none())
}

fn failed(config: &Config, error: &RegistryError) -> Diagnostic {
    let code = match error {
        RegistryError::Unavailable(_) => Code::Unreachable,
        _ => Code::Registry,
    };
    Diagnostic::error(code, config.file.place(&["schema_registry"]), error.found())
}

/// Whether two texts are the same schema, whatever their order of keys, documentation and spaces.
pub(crate) fn is_same(one: &str, other: &Path) -> bool {
    match (Schema::parse(one, ""), Schema::read(other)) {
        (Ok(one), Ok(other)) => one.canonical_form() == other.canonical_form(),
        _ => false,
    }
}
