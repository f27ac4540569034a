//! Avro as both ends of a topic need it: the schema model, its fingerprint, and JSON written as Avro.
//!
//! `decode` reads payloads by these schemas and `produce` writes them, so they cannot disagree about what a schema
//! file means. Nothing here knows Arrow or Kafka.

mod canonical;
mod defaults;
mod encode;
mod field_error;
mod frame;
mod key;
pub(crate) mod json;
mod parse;
mod schema;
mod text;
mod wire;
#[cfg(test)]
pub(crate) mod tests;

pub use encode::Encoder;
pub(crate) use encode::encode_default;
pub use field_error::FieldError;
pub use frame::{
    CONFLUENT_HEADER_BYTES, CONFLUENT_MAGIC, Frame, KEY_SCHEMA_HEADER, SINGLE_OBJECT_HEADER_BYTES,
    SINGLE_OBJECT_MAGIC, SchemaId, VALUE_SCHEMA_HEADER, fingerprint_of_front,
};
pub use key::KeyEncoder;
pub(crate) use parse::{full_name, namespace_of};
pub use schema::{
    Enumeration, Field, Fixed, Kind, Logical, Name, Record, Schema, SchemaError, Type, TypeId, UnionForm,
};
pub(crate) use wire::write_long;

/// A path to a value, as `address.street` or `tags[3]`: what is outside, then what is inside of that.
pub(crate) fn path_of(outer: &str, inner: &str) -> String {
    let separator = if inner.is_empty() || inner.starts_with('[') { "" } else { "." };
    format!("{outer}{separator}{inner}")
}
