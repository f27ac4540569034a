//! The JSON Schema of a configuration, for completion and checks in editors. It is made from the table of keys; what
//! depends on several keys, only reading knows.

use serde_json::{Map, Value, json};

use super::keys::{Absent, KEYS, Key, Kind, Reload};
use crate::yaml;

/// The schema, in the dialect of draft 2020-12.
pub fn schema() -> Value {
    let mut schema = object(KEYS);
    for key in KEYS {
        let meaning = without_links(key.meaning);
        let change = match key.reload {
            Reload::No => "needs a restart of the job",
            Reload::Yes => "is taken over by a running job",
            Reload::NewOnes => "is taken over by a running job if it only adds entries",
        };
        schema["properties"][key.name]["description"] = format!("{meaning}. A change {change}.").into();
    }
    schema.insert("$schema".into(), "https://json-schema.org/draft/2020-12/schema".into());
    schema.insert("title".into(), "Configuration of realtime-processor".into());
    Value::Object(schema)
}

fn object(keys: &[Key]) -> Map<String, Value> {
    let properties: Map<String, Value> =
        keys.iter().map(|key| (key.name.to_owned(), property(key))).collect();
    let required: Vec<&str> =
        keys.iter().filter(|key| key.absent == Absent::Error).map(|key| key.name).collect();
    let mut object = Map::new();
    object.insert("type".into(), "object".into());
    object.insert("additionalProperties".into(), false.into());
    object.insert("properties".into(), properties.into());
    if !required.is_empty() {
        object.insert("required".into(), required.into());
    }
    object
}

fn property(key: &Key) -> Value {
    let mut allowed = alternatives(key.kind);
    if key.absent != Absent::Error {
        allowed.push(json!({ "type": "null" }));
    }
    let mut property = json!({ "description": without_links(key.meaning), "anyOf": allowed });
    if let Absent::Is(text) = key.absent {
        property["default"] = yaml::to_json(text);
    }
    property
}

/// The forms that a value may have.
fn alternatives(kind: Kind) -> Vec<Value> {
    // YAML reads a text without quotes as what it looks like.
    let text = || json!({ "type": ["string", "number", "boolean"] });
    let texts = || json!({ "type": "array", "items": text(), "minItems": 1 });
    let texted = || json!({ "type": "object", "additionalProperties": text() });
    // The value of `${NAME}` is checked when it is known.
    let variable = || json!({ "type": "string", "pattern": r"\$\{.+\}" });
    match kind {
        Kind::Text | Kind::Secret => vec![text()],
        Kind::Texts => vec![text(), texts()],
        Kind::Names => vec![text(), json!({ "type": "array", "items": text() })],
        Kind::Lists => vec![text(), json!({ "type": "array", "items": { "anyOf": [text(), texts()] } })],
        Kind::Boolean => vec![json!({ "type": "boolean" }), variable()],
        Kind::Choice(words) => {
            let words: Vec<Value> = words.iter().map(|word| yaml::to_json(word)).collect();
            vec![json!({ "enum": words }), variable()]
        }
        Kind::Duration => {
            let with_unit = json!({ "type": "string", "pattern": r"^[0-9.]+ *(us|ms|s|m|min|h|d)$" });
            vec![with_unit, json!({ "const": 0 }), variable()]
        }
        Kind::Size { least } => {
            let with_unit =
                json!({ "type": "string", "pattern": r"^[0-9._]+ *(B|KiB|MiB|GiB|kB|KB|MB|GB)?$" });
            vec![with_unit, json!({ "type": "integer", "minimum": least }), variable()]
        }
        Kind::Count { most } => {
            let grouped = json!({ "type": "string", "pattern": "^[0-9_]+$" });
            vec![json!({ "type": "integer", "minimum": 1, "maximum": most }), grouped, variable()]
        }
        Kind::Ratio => vec![json!({ "type": "number", "minimum": 0, "maximum": 1 }), variable()],
        Kind::Texted | Kind::Properties => vec![texted()],
        Kind::Files => vec![texted(), json!({ "type": "array", "items": text() }), text()],
        Kind::Database(keys) => vec![text(), object(keys).into()],
        Kind::Section(keys) => vec![object(keys).into()],
        Kind::Named(keys) => {
            let mut entry = vec![Value::Object(object(keys))];
            // Nothing is a mapping without keys, if none is required.
            entry.extend(
                keys.iter().all(|key| key.absent != Absent::Error).then(|| json!({ "type": "null" })),
            );
            vec![json!({ "type": "object", "additionalProperties": { "anyOf": entry } })]
        }
    }
}

/// `[Avro](avro.md#framing)` as `Avro`.
fn without_links(meaning: &str) -> String {
    let mut text = String::with_capacity(meaning.len());
    let mut rest = meaning;
    while let Some((before, link)) = rest.split_once("](") {
        let (before, name) = before.rsplit_once('[').unwrap_or((before, ""));
        text += before;
        text += name;
        rest = link.split_once(')').map_or("", |(_, after)| after);
    }
    text + rest
}
