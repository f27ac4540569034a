//! How the payloads and keys of messages are written: their schemas, their frames, and what a message without a payload is.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::TOP;
use crate::yaml::{Fault, Node, Section, Value};

/// How payloads become rows.
#[derive(Clone, Debug)]
pub struct AvroConfig {
    /// The reader's schema file: what `batch` has in SQL.
    pub schema: PathBuf,
    pub framing: Framing,
    pub tombstones: Tombstones,
    pub key: KeyFormat,
}

impl AvroConfig {
    /// The same for messages of our own: those without a frame whose id no file names.
    #[must_use]
    pub fn of_own_messages(&self) -> Self {
        let Framing::Confluent { writer_schemas } = &self.framing else { return self.clone() };
        let unframed = self.unframed();
        // Why keys in any case: the files may be those of payloads, and a registry has those of keys.
        if writer_schemas.is_empty() { unframed } else { Self { key: unframed.key, ..self.clone() } }
    }

    /// The same for messages that are nothing but Avro of the reader's schemas.
    #[must_use]
    pub fn unframed(&self) -> Self {
        let key = match &self.key {
            KeyFormat::Avro { schema, .. } => {
                KeyFormat::Avro { schema: schema.clone(), framing: Framing::NONE }
            }
            key => key.clone(),
        };
        Self { framing: Framing::NONE, key, ..self.clone() }
    }

    /// The files of all schemas.
    pub fn schema_files(&self) -> Vec<&Path> {
        let own = std::iter::once(self.schema.as_path()).chain(self.key.schema());
        own.chain(self.framing.writer_files()).collect()
    }
}

/// How the keys of messages are written, and so what `kafka_key` is in SQL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum KeyFormat {
    /// The bytes as they are.
    #[default]
    Bytes,
    /// UTF-8.
    Text,
    /// Four bytes, big-endian.
    Int,
    /// Eight bytes, big-endian.
    Long,
    /// Avro of any type.
    Avro {
        /// The reader's schema file.
        schema: PathBuf,
        /// Without a writer's schema if it is raw.
        framing: Framing,
    },
}

impl KeyFormat {
    /// The reader's schema of keys in Avro.
    pub fn schema(&self) -> Option<&Path> {
        match self {
            Self::Avro { schema, .. } => Some(schema),
            _ => None,
        }
    }

    /// Whether both are the same, whatever their frames.
    pub(super) fn is_same_but_framed(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Avro { schema, .. }, Self::Avro { schema: other, .. }) => schema == other,
            _ => self == other,
        }
    }
}

/// What comes before the Avro bytes of a payload, and so which schemas they may have been written with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Framing {
    /// Nothing. One writer's schema, the reader's where `None`.
    Raw { writer_schema: Option<PathBuf> },
    /// `C3 01` and the Rabin fingerprint of the writer's schema, which is the reader's or one of these.
    SingleObject { writer_schemas: Vec<PathBuf> },
    /// `00` and the schema's id, four bytes, big-endian.
    Confluent { writer_schemas: BTreeMap<u32, PathBuf> },
}

impl Framing {
    /// No frame, and no schema but the reader's.
    pub const NONE: Self = Self::Raw { writer_schema: None };

    /// The files of the schemas that messages were written with, besides the reader's.
    pub fn writer_files(&self) -> Vec<&Path> {
        match self {
            Self::Raw { writer_schema } => writer_schema.iter().map(PathBuf::as_path).collect(),
            Self::SingleObject { writer_schemas } => writer_schemas.iter().map(PathBuf::as_path).collect(),
            Self::Confluent { writer_schemas } => writer_schemas.values().map(PathBuf::as_path).collect(),
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tombstones {
    #[default]
    DeadLetter,
    Skip,
}

/// `None` only together with a fault.
pub(super) fn read_avro(
    section: &mut Section<'_>,
    base: &Path,
    faults: &mut Vec<Fault>,
) -> Option<AvroConfig> {
    #[derive(Clone, Copy, Default)]
    enum Kind {
        #[default]
        Raw,
        SingleObject,
        Confluent,
    }
    let schema = section.required("avro_schema", "schemas/customer.avsc").map(|path| base.join(path));
    let kind = TOP.choice(
        section,
        "avro_framing",
        &[("raw", Kind::Raw), ("single_object", Kind::SingleObject), ("confluent", Kind::Confluent)],
    );
    let writer_schema = section.path("avro_writer_schema", base);
    let writer_schemas = section.node("writer_schemas");
    let tombstones = TOP.choice(
        section,
        "tombstones",
        &[("dead_letter", Tombstones::DeadLetter), ("skip", Tombstones::Skip)],
    );
    if writer_schema.is_some() && !matches!(kind, Kind::Raw) {
        let spot = section.spot("avro_writer_schema");
        let fault = Fault::new(spot, "avro_writer_schema goes with `avro_framing: raw` only");
        section.fault(fault.hint("list the schemas under `writer_schemas`"));
    }
    let framing = match kind {
        Kind::Raw => {
            if writer_schemas.is_some_and(|node| !node.is_empty()) {
                let spot = section.spot("writer_schemas");
                let fault = Fault::new(spot, "writer_schemas: raw messages do not say their schema");
                section.fault(fault.hint("name the one schema under `avro_writer_schema`"));
            }
            Framing::Raw { writer_schema }
        }
        Kind::SingleObject => {
            let files = writer_schemas.filter(|node| !node.is_empty()).map(|node| {
                node.texts().unwrap_or_else(|| {
                    let message = format!("writer_schemas: found {}, expected a list of files", node.found());
                    faults.push(Fault::new(node.spot, message));
                    Vec::new()
                })
            });
            let files = files.unwrap_or_default();
            Framing::SingleObject { writer_schemas: files.iter().map(|path| base.join(path)).collect() }
        }
        Kind::Confluent => {
            let schemas = writer_schemas.map(|node| read_schema_ids(node, base, faults));
            Framing::Confluent { writer_schemas: schemas.unwrap_or_default() }
        }
    };
    let key = read_key(section, base, &framing)?;
    Some(AvroConfig { schema: schema?, framing, tombstones, key })
}

/// `None` only together with a fault.
fn read_key(section: &mut Section<'_>, base: &Path, framing: &Framing) -> Option<KeyFormat> {
    #[derive(Clone, Copy, Default, PartialEq)]
    enum Word {
        #[default]
        Bytes,
        Text,
        Int,
        Long,
        Avro,
    }
    let word = TOP.choice(
        section,
        "key_format",
        &[
            ("bytes", Word::Bytes),
            ("text", Word::Text),
            ("int", Word::Int),
            ("long", Word::Long),
            ("avro", Word::Avro),
        ],
    );
    let schema = section.path("avro_key_schema", base);
    if schema.is_some() && word != Word::Avro {
        let spot = section.spot("avro_key_schema");
        let fault = Fault::new(spot, "avro_key_schema goes with `key_format: avro` only");
        section.fault(fault.hint("add `key_format: avro`, or leave avro_key_schema out"));
    }
    if schema.is_none() && word == Word::Avro {
        let spot = section.spot("key_format");
        let fault = Fault::new(spot, "key_format: avro needs avro_key_schema, which says what kafka_key is");
        section.fault(fault.hint("for example `avro_key_schema: schemas/key.avsc`"));
    }
    Some(match word {
        Word::Bytes => KeyFormat::Bytes,
        Word::Text => KeyFormat::Text,
        Word::Int => KeyFormat::Int,
        Word::Long => KeyFormat::Long,
        Word::Avro => {
            // The writer's schema of raw messages is that of payloads.
            let framing = if let Framing::Raw { .. } = framing { Framing::NONE } else { framing.clone() };
            KeyFormat::Avro { schema: schema?, framing }
        }
    })
}

fn read_schema_ids(node: &Node, base: &Path, faults: &mut Vec<Fault>) -> BTreeMap<u32, PathBuf> {
    let mut schemas = BTreeMap::new();
    let Value::Map(pairs) = &node.value else {
        let message = format!("writer_schemas: found {}, expected `id: file` for each schema", node.found());
        faults.push(Fault::new(node.spot, message));
        return schemas;
    };
    for (key, value) in pairs {
        let id = key.text().and_then(|text| text.parse::<u32>().ok());
        match (id, value.text()) {
            (Some(id), Some(path)) => {
                schemas.insert(id, base.join(path));
            }
            _ => {
                let message =
                    format!("writer_schemas: found {}: {}, expected `id: file`", key.found(), value.found());
                faults.push(Fault::new(key.spot, message));
            }
        }
    }
    schemas
}
