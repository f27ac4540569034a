//! What registries answer, read leniently: a field that is absent has its default, one that is unknown is skipped, and a
//! number may be written as text.

use serde_json::{Map, Value};

/// The registry's answer to a question that it may have no answer to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found<T> {
    Known(T),
    /// There is no such thing; the reason is the registry's.
    Unknown(String),
}

/// A version of a subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registered {
    pub id: u32,
    pub version: u32,
    /// With everything that it refers to.
    pub schema: String,
}

/// Whether a schema may become the next version of a subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compatibility {
    pub is_compatible: bool,
    /// Why not, as far as the registry says so.
    pub messages: Vec<String>,
}

/// A schema as the registry stores it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stored {
    pub id: Option<u64>,
    pub version: Option<u64>,
    pub schema: String,
    pub references: Vec<Reference>,
}

/// A version of a subject that a schema refers to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Reference {
    pub subject: String,
    pub version: u64,
}

/// The registry's own number of an error, where the body is one.
pub(super) fn error_code(body: &Value) -> Option<u64> {
    number(body.as_object()?, "error_code")
}

/// What the registry says about an error.
pub(super) fn error_message(body: &Value) -> Option<&str> {
    body.as_object()?.get("message")?.as_str()
}

/// # Errors
/// A part of the answer is not as it must be; the error says which.
pub(super) fn stored(body: &Value) -> Result<Stored, String> {
    let object = body.as_object().ok_or("an answer that is no JSON object")?;
    if let Some(kind) = object.get("schemaType").and_then(Value::as_str)
        && !kind.eq_ignore_ascii_case("avro")
    {
        return Err(format!("a schema of type {kind}, expected AVRO"));
    }
    let schema = match object.get("schema") {
        Some(Value::String(text)) => text.clone(),
        // Some registries do not write it as text.
        Some(schema @ (Value::Object(_) | Value::Array(_))) => schema.to_string(),
        _ => return Err("an answer without `schema`".to_owned()),
    };
    let references = object.get("references").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let references = references.iter().map(reference).collect::<Option<Vec<_>>>();
    let references = references.ok_or("a reference without `subject` or `version`")?;
    Ok(Stored { id: number(object, "id"), version: number(object, "version"), schema, references })
}

fn reference(value: &Value) -> Option<Reference> {
    let object = value.as_object()?;
    let subject = object.get("subject")?.as_str()?.to_owned();
    Some(Reference { subject, version: number(object, "version")? })
}

/// The id of a schema that was registered.
pub(super) fn id(body: &Value) -> Option<u32> {
    u32::try_from(number(body.as_object()?, "id")?).ok()
}

pub(super) fn names(body: &Value) -> Option<Vec<String>> {
    body.as_array()?.iter().map(|name| name.as_str().map(str::to_owned)).collect()
}

pub(super) fn compatibility(body: &Value) -> Option<Compatibility> {
    let object = body.as_object()?;
    let is_compatible = object.get("is_compatible")?.as_bool()?;
    let messages = object.get("messages").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let messages = messages.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    Some(Compatibility { is_compatible, messages })
}

fn number(object: &Map<String, Value>, name: &str) -> Option<u64> {
    let value = object.get(name)?;
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn answers_of_all_registries_are_read() {
        let plain = stored(&json!({"schema": "\"int\""})).unwrap();
        assert_eq!(
            plain,
            Stored { id: None, version: None, schema: "\"int\"".to_owned(), references: vec![] }
        );
        let full = json!({
            "id": "7", "version": 2, "schemaType": "AVRO", "maxId": 9, "guid": "x", "schema": {"type": "int"},
            "references": [{"name": "a.B", "subject": "b", "version": 3}],
        });
        let full = stored(&full).unwrap();
        assert_eq!((full.id, full.version, full.schema.as_str()), (Some(7), Some(2), r#"{"type":"int"}"#));
        assert_eq!(full.references, [Reference { subject: "b".to_owned(), version: 3 }]);
        let nothing = json!({"schema": "\"int\"", "schemaType": null, "references": null});
        assert!(stored(&nothing).unwrap().references.is_empty());
    }

    #[test]
    fn what_is_no_schema_of_avro_is_refused() {
        for (body, said) in [
            (json!([]), "no JSON object"),
            (json!({"id": 1}), "without `schema`"),
            (json!({"schema": "x", "schemaType": "PROTOBUF"}), "of type PROTOBUF"),
            (json!({"schema": "x", "references": [{"subject": "s"}]}), "a reference without"),
        ] {
            assert!(stored(&body).unwrap_err().contains(said), "{body}");
        }
    }
}
