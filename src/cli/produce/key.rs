//! The keys of the messages that `produce` writes: what of a record they are, and how they are written.

use super::super::failure::Failure;
use crate::avro::json::Value;
use crate::avro::{Encoder, KeyEncoder};
use crate::diagnostic::Finding;
use crate::nearest::did_you_mean;

/// The field that is the key, if there is one of this name and no other is asked for.
const USUAL: &str = "customer";

/// What the keys of records are.
#[derive(Debug)]
pub(super) struct Key {
    source: Source,
    encoder: KeyEncoder,
}

#[derive(Debug)]
enum Source {
    /// No message has a key.
    Nothing,
    /// The value of this field.
    Field(String),
    /// The fields that have these names.
    Fields(Vec<String>),
}

impl Key {
    /// `wanted` is the field that the user names.
    ///
    /// # Errors
    /// The records have no such field.
    pub fn new(encoder: KeyEncoder, records: &Encoder, wanted: Option<&str>) -> Result<Self, Failure> {
        let has = |name: &str| records.field_names().any(|field| field == name);
        let parts: Vec<String> = encoder.field_names().map(str::to_owned).collect();
        let source = match wanted {
            None if !parts.is_empty() => Source::Fields(parts),
            None if has(USUAL) => Source::Field(USUAL.to_owned()),
            None => Source::Nothing,
            Some(name) if has(name) => Source::Field(name.to_owned()),
            Some(name) => {
                let all =
                    || format!("its fields are {}", records.field_names().collect::<Vec<_>>().join(", "));
                let hint = did_you_mean(name, records.field_names()).unwrap_or_else(all);
                let found = Finding::new(format!("--key {name}: the schema has no such field"));
                return Err(Failure::failed(found.with_hint(hint)));
            }
        };
        Ok(Self { source, encoder })
    }

    /// The key of a record. None if the value is null.
    ///
    /// # Errors
    /// The value is no key of the project's `key_format`.
    pub fn of(&self, record: &Value) -> Result<Option<Vec<u8>>, String> {
        let Value::Object(fields) = record else { return Ok(None) };
        let encoded = match &self.source {
            Source::Nothing => return Ok(None),
            Source::Field(name) => match fields.get(name, 0) {
                Some(value) => self.encoder.encode(value),
                None => return Ok(None),
            },
            Source::Fields(names) => {
                let mut parts = fields.clone();
                parts.retain(|name| names.iter().any(|part| part == name));
                self.encoder.encode(&Value::Object(parts))
            }
        };
        encoded.map_err(|error| format!("kafka_key: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::avro::{Frame, Schema};

    fn encoder(schema: &str) -> Encoder {
        Encoder::of_values(Schema::parse(schema, "key.avsc").expect("a schema"), Frame::Raw).expect("valid")
    }

    fn key(encoder: KeyEncoder, wanted: Option<&str>, record: &str) -> Result<Option<Vec<u8>>, String> {
        let records = r#"{"type": "record", "name": "R", "fields": [{"name": "customer", "type": "int"},
            {"name": "agency", "type": "string"}, {"name": "note", "type": ["null", "string"], "default": null}]}"#;
        let record = Value::parse(record).expect("JSON");
        Key::new(encoder, &self::encoder(records), wanted).expect("a field").of(&record)
    }

    #[test]
    fn a_key_is_written_in_the_projects_format() {
        let record = r#"{"customer": 7, "agency": "Centro", "note": null}"#;
        assert_eq!(key(KeyEncoder::Text, None, record), Ok(Some(b"7".to_vec())));
        assert_eq!(key(KeyEncoder::Int, None, record), Ok(Some(vec![0, 0, 0, 7])));
        assert_eq!(key(KeyEncoder::Long, None, record), Ok(Some(vec![0, 0, 0, 0, 0, 0, 0, 7])));
        assert_eq!(key(KeyEncoder::Long, Some("note"), record), Ok(None));
        let text = KeyEncoder::Avro(Box::new(encoder(r#""string""#)));
        assert_eq!(key(text.clone(), Some("agency"), record), Ok(Some(b"\x0cCentro".to_vec())));
        let refused = key(text, None, record).expect_err("an int is no string");
        assert_eq!(refused, "kafka_key: found 7, expected a string");
        let refused = key(KeyEncoder::Long, Some("agency"), record).expect_err("a text is no number");
        assert_eq!(refused, "kafka_key: found \"Centro\", expected an integer");
        let refused = key(KeyEncoder::Int, None, r#"{"customer": 2147483648}"#).expect_err("too large");
        assert_eq!(refused, "kafka_key: found 2147483648, expected an int, -2147483648 to 2147483647");
    }

    #[test]
    fn a_key_that_is_a_record_is_made_of_the_fields_of_its_names() {
        let schema = r#"{"type": "record", "name": "K", "fields": [{"name": "agency", "type": "string"},
            {"name": "customer", "type": "long"}]}"#;
        let record = || KeyEncoder::Avro(Box::new(encoder(schema)));
        let found = key(record(), None, r#"{"customer": 7, "agency": "X", "note": null}"#);
        assert_eq!(found, Ok(Some(b"\x02X\x0e".to_vec())));
        let refused = key(record(), None, r#"{"customer": 7}"#).expect_err("a part is missing");
        assert!(refused.starts_with("kafka_key: field `agency`: found nothing"), "{refused}");
    }
}
