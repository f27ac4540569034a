//! The two parts of a message that may be Avro, and what differs between them.

use super::plan::{self, ValueStep};
use crate::avro::{KEY_SCHEMA_HEADER, Schema, SchemaError, VALUE_SCHEMA_HEADER};
use crate::batch::Message;

/// Which part of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Payload,
    Key,
}

impl Side {
    /// What messages for people call it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Payload => "payload",
            Self::Key => "key",
        }
    }

    /// The key of the configuration that names the reader's schema.
    pub fn schema_key(self) -> &'static str {
        match self {
            Self::Payload => "avro_schema",
            Self::Key => "avro_key_schema",
        }
    }

    /// The header that may name the writer's schema.
    pub fn schema_header(self) -> &'static str {
        match self {
            Self::Payload => VALUE_SCHEMA_HEADER,
            Self::Key => KEY_SCHEMA_HEADER,
        }
    }

    /// The part of this message, if it has one.
    pub fn bytes_of<'m>(self, message: Message<'m>) -> Option<&'m [u8]> {
        match self {
            Self::Payload => message.payload,
            Self::Key => message.key,
        }
    }

    /// The plan from a writer's schema to the reader's. A payload is a record, and a key is a value of any type.
    pub fn plan(self, writer: &Schema, reader: &Schema) -> Result<ValueStep, SchemaError> {
        if self == Self::Payload {
            writer.root_record()?;
            reader.root_record()?;
        }
        plan::plan(writer, reader)
    }

    /// The part that it is not.
    pub fn other(self) -> Self {
        match self {
            Self::Payload => Self::Key,
            Self::Key => Self::Payload,
        }
    }
}
