//! What comes before the Avro bytes of a payload, and the ids that a registry knows schemas by.

use std::fmt;
use std::path::Path;

use super::schema::{Schema, SchemaError};
use crate::config::{AvroConfig, Framing};

/// The first bytes of a single-object payload; the schema's fingerprint follows, eight bytes, little-endian.
pub const SINGLE_OBJECT_MAGIC: [u8; 2] = [0xc3, 0x01];
pub const SINGLE_OBJECT_HEADER_BYTES: usize = 10;
/// The first byte of a Confluent payload; the schema's id follows, four bytes, big-endian.
pub const CONFLUENT_MAGIC: u8 = 0;
pub const CONFLUENT_HEADER_BYTES: usize = 5;

/// The name of the header that names the schema of a payload, in place of bytes in front of it.
pub const VALUE_SCHEMA_HEADER: &str = "__value_schema_id";
/// The same for the key.
pub const KEY_SCHEMA_HEADER: &str = "__key_schema_id";
/// The first byte of such a header whose other bytes are a GUID.
const GUID_MAGIC: u8 = 1;

/// What a registry knows a schema by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SchemaId {
    Number(u32),
    Guid([u8; 16]),
}

impl SchemaId {
    /// The id that a header holds: a magic byte, then four bytes of a number or the sixteen of a GUID.
    pub fn of_header(value: &[u8]) -> Option<Self> {
        match value.split_first()? {
            (&CONFLUENT_MAGIC, number) => Some(Self::Number(u32::from_be_bytes(number.try_into().ok()?))),
            (&GUID_MAGIC, guid) => Some(Self::Guid(guid.try_into().ok()?)),
            _ => None,
        }
    }

    /// The id in front of Confluent-framed bytes; `None` if there is none, or not all of it.
    pub fn of_front(bytes: &[u8]) -> Option<Self> {
        bytes
            .get(..CONFLUENT_HEADER_BYTES)
            .filter(|front| front[0] == CONFLUENT_MAGIC)
            .and_then(Self::of_header)
    }

    /// The id of its text, as [`fmt::Display`] writes it.
    pub fn of_text(text: &str) -> Option<Self> {
        if let Ok(number) = text.parse() {
            return Some(Self::Number(number));
        }
        let digits = text.replace('-', "");
        if digits.len() != 32 {
            return None;
        }
        u128::from_str_radix(&digits, 16).ok().map(|guid| Self::Guid(guid.to_be_bytes()))
    }
}

/// The fingerprint in front of a single object; `None` if there is none, or not all of it.
pub fn fingerprint_of_front(bytes: &[u8]) -> Option<u64> {
    let fingerprint = bytes.strip_prefix(&SINGLE_OBJECT_MAGIC)?.first_chunk()?;
    Some(u64::from_le_bytes(*fingerprint))
}

/// A number, or a GUID with its hyphens.
impl fmt::Display for SchemaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Guid(guid) => {
                for (place, byte) in guid.iter().enumerate() {
                    let hyphen = if matches!(place, 4 | 6 | 8 | 10) { "-" } else { "" };
                    write!(f, "{hyphen}{byte:02x}")?;
                }
                Ok(())
            }
        }
    }
}

/// How one writer frames its payloads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame {
    Raw,
    SingleObject,
    /// Under this schema id.
    Confluent(u32),
}

impl Frame {
    /// The bytes before each payload written with `schema`.
    pub fn header(self, schema: &Schema) -> Vec<u8> {
        match self {
            Self::Raw => Vec::new(),
            Self::SingleObject => {
                [&SINGLE_OBJECT_MAGIC[..], &schema.fingerprint().to_le_bytes()[..]].concat()
            }
            Self::Confluent(id) => [&[CONFLUENT_MAGIC][..], &id.to_be_bytes()[..]].concat(),
        }
    }

    /// The schema and frame to write payloads with that a job of this configuration reads: `avro_schema`, but the
    /// writer's own where raw framing names one; with Confluent framing under the highest id that names the same
    /// schema as `avro_schema`, or else the schema of the highest id that is not that of keys.
    pub fn for_writing(config: &AvroConfig) -> Result<(Schema, Self), SchemaError> {
        let keys = config.key.schema().map(Schema::read).transpose()?.map(|keys| keys.canonical_form());
        let is_payload =
            |schema: &Schema| schema.root_record().is_ok() && keys.as_ref() != Some(&schema.canonical_form());
        Self::of(&config.schema, &config.framing, &is_payload)
    }

    /// The schema and frame to write keys with, where keys are Avro: `schema`, with Confluent framing under the highest id
    /// that names the same schema.
    pub fn for_keys(schema: &Path, framing: &Framing) -> Result<(Schema, Self), SchemaError> {
        Self::of(schema, framing, &|_| false)
    }

    /// `may_differ`: whether messages may be written with another schema than the reader's.
    fn of(
        reader: &Path,
        framing: &Framing,
        may_differ: &dyn Fn(&Schema) -> bool,
    ) -> Result<(Schema, Self), SchemaError> {
        match framing {
            Framing::Raw { writer_schema } => {
                let file = writer_schema.as_deref().unwrap_or(reader);
                Ok((Schema::read(file)?, Self::Raw))
            }
            Framing::SingleObject { .. } => Ok((Schema::read(reader)?, Self::SingleObject)),
            Framing::Confluent { writer_schemas } => {
                let reader = Schema::read(reader)?;
                let wanted = reader.canonical_form();
                let mut newest = None;
                for (id, file) in writer_schemas.iter().rev() {
                    let schema = Schema::read(file)?;
                    if schema.canonical_form() == wanted {
                        return Ok((schema, Self::Confluent(*id)));
                    }
                    if newest.is_none() && may_differ(&schema) {
                        newest = Some((schema, Self::Confluent(*id)));
                    }
                }
                newest.ok_or_else(|| {
                    let message = "Confluent framing needs a schema id, and none is configured";
                    let hint =
                        format!("name it in the configuration: writer_schemas: {{ 1: {} }}", reader.file());
                    SchemaError::new(reader.file(), "", message).hint(hint)
                })
            }
        }
    }
}
