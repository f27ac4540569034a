//! What stands before the Avro bytes of a payload.

use super::schema::{Schema, SchemaError};
use crate::config::{AvroConfig, Framing};

/// The first bytes of a single-object payload; the schema's fingerprint follows, eight bytes, little-endian.
pub const SINGLE_OBJECT_MAGIC: [u8; 2] = [0xc3, 0x01];
pub const SINGLE_OBJECT_HEADER_BYTES: usize = 10;
/// The first byte of a Confluent payload; the schema's id follows, four bytes, big-endian.
pub const CONFLUENT_MAGIC: u8 = 0;
pub const CONFLUENT_HEADER_BYTES: usize = 5;

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

    /// The schema and frame to write messages with that a job of this configuration reads: `avro_schema`, but the
    /// writer's own where raw framing names one; with Confluent framing under the highest id that names the same
    /// schema as `avro_schema`, or else the schema of the highest id.
    pub fn for_writing(config: &AvroConfig) -> Result<(Schema, Self), SchemaError> {
        match &config.framing {
            Framing::Raw { writer_schema } => {
                let file = writer_schema.as_ref().unwrap_or(&config.schema);
                Ok((Schema::read(file)?, Self::Raw))
            }
            Framing::SingleObject { .. } => Ok((Schema::read(&config.schema)?, Self::SingleObject)),
            Framing::Confluent { writer_schemas } => {
                let reader = Schema::read(&config.schema)?;
                let wanted = reader.canonical_form();
                let mut newest = None;
                for (id, file) in writer_schemas.iter().rev() {
                    let schema = Schema::read(file)?;
                    if schema.canonical_form() == wanted {
                        return Ok((schema, Self::Confluent(*id)));
                    }
                    newest.get_or_insert((schema, Self::Confluent(*id)));
                }
                newest.ok_or_else(|| {
                    SchemaError::new(
                        reader.file(),
                        "",
                        "Confluent framing needs a schema id, and none is configured",
                    )
                    .hint("name it in the configuration: writer_schemas: { 1: schemas/customer.avsc }")
                })
            }
        }
    }
}
