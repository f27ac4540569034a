//! The keys of messages that this program writes: JSON as the bytes that `key_format` says.

use super::encode::{Encoder, int, int32};
use super::field_error::FieldError;
use super::frame::Frame;
use super::json::Value;
use super::schema::{Schema, SchemaError};
use crate::config::KeyFormat;

/// Writes keys in one format.
#[derive(Clone, Debug)]
pub enum KeyEncoder {
    /// Texts as they are, and anything else as JSON.
    Text,
    Int,
    Long,
    Avro(Box<Encoder>),
}

impl KeyEncoder {
    /// Keys that a job of this configuration reads; see [`Frame::for_keys`].
    ///
    /// # Errors
    /// Of keys in Avro: the schema's, or no file names its id.
    pub fn for_config(format: &KeyFormat) -> Result<Self, SchemaError> {
        Ok(match format {
            KeyFormat::Bytes | KeyFormat::Text => Self::Text,
            KeyFormat::Int => Self::Int,
            KeyFormat::Long => Self::Long,
            KeyFormat::Avro { schema, framing } => {
                let (schema, frame) = Frame::for_keys(schema, framing)?;
                Self::with_schema(schema, frame)?
            }
        })
    }

    /// Keys in Avro, of a schema that was read before.
    ///
    /// # Errors
    /// As [`Encoder::new`].
    pub fn with_schema(schema: Schema, frame: Frame) -> Result<Self, SchemaError> {
        Encoder::of_values(schema, frame).map(|encoder| Self::Avro(Box::new(encoder)))
    }

    /// The bytes of a key; `None` for null, which is no key.
    ///
    /// # Errors
    /// The value is no key of this format.
    pub fn encode(&self, key: &Value) -> Result<Option<Vec<u8>>, FieldError> {
        if key.is_null() {
            return Ok(None);
        }
        Ok(Some(match (self, key) {
            (Self::Text, Value::String(text)) => text.clone().into_bytes(),
            (Self::Text, other) => other.to_string().into_bytes(),
            (Self::Int, _) => int32(key, None)?.to_be_bytes().to_vec(),
            (Self::Long, _) => int(key, None)?.to_be_bytes().to_vec(),
            (Self::Avro(encoder), _) => {
                let mut bytes = Vec::new();
                encoder.encode_exact(key, &mut bytes)?;
                bytes
            }
        }))
    }

    /// The fields that a key has, if it is a record.
    pub fn field_names(&self) -> impl Iterator<Item = &str> {
        let encoder = if let Self::Avro(encoder) = self { Some(encoder) } else { None };
        encoder.into_iter().flat_map(|encoder| encoder.field_names())
    }
}
