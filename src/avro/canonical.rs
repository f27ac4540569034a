//! Parsing Canonical Form and the CRC-64-AVRO fingerprint, as the Avro specification defines them.
//! <https://avro.apache.org/docs/1.12.0/specification/#parsing-canonical-form-for-schemas>

use serde_json::Value;

use super::schema::{Kind, Schema, TypeId};

/// The fingerprint of no bytes, and the polynomial's representation, from the specification.
const EMPTY: u64 = 0xc15d_213a_a4d7_a795;

pub(super) fn canonical_form(schema: &Schema) -> String {
    let mut out = String::new();
    write(schema, schema.root, &mut Vec::new(), &mut out);
    out
}

fn write(schema: &Schema, id: TypeId, defined: &mut Vec<TypeId>, out: &mut String) {
    if let Some(name) = schema.name(id) {
        if defined.contains(&id) {
            return quoted(&name.full, out);
        }
        defined.push(id);
        out.push_str("{\"name\":");
        quoted(&name.full, out);
        out.push(',');
    }
    match schema.kind(id) {
        Kind::Record(record) => {
            out.push_str("\"type\":\"record\",\"fields\":[");
            separated(&record.fields, out, |field, out| {
                out.push_str("{\"name\":");
                quoted(&field.name, out);
                out.push_str(",\"type\":");
                write(schema, field.type_id, defined, out);
                out.push('}');
            });
            out.push_str("]}");
        }
        Kind::Enum(enumeration) => {
            out.push_str("\"type\":\"enum\",\"symbols\":[");
            separated(&enumeration.symbols, out, |symbol, out| quoted(symbol, out));
            out.push_str("]}");
        }
        Kind::Fixed(fixed) => {
            out.push_str(&format!("\"type\":\"fixed\",\"size\":{}}}", fixed.size));
        }
        Kind::Array(item) => {
            out.push_str("{\"type\":\"array\",\"items\":");
            write(schema, *item, defined, out);
            out.push('}');
        }
        Kind::Map(value) => {
            out.push_str("{\"type\":\"map\",\"values\":");
            write(schema, *value, defined, out);
            out.push('}');
        }
        Kind::Union(branches) => {
            out.push('[');
            separated(branches, out, |branch, out| write(schema, *branch, defined, out));
            out.push(']');
        }
        primitive => quoted(primitive.name(), out),
    }
}

fn separated<T>(items: &[T], out: &mut String, mut write: impl FnMut(&T, &mut String)) {
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write(item, out);
    }
}

fn quoted(text: &str, out: &mut String) {
    out.push_str(&Value::from(text).to_string());
}

/// CRC-64-AVRO of some bytes.
pub(super) fn rabin(bytes: &[u8]) -> u64 {
    bytes.iter().fold(EMPTY, |fingerprint, byte| {
        let mut low = (fingerprint ^ u64::from(*byte)) & 0xff;
        for _ in 0..8 {
            low = (low >> 1) ^ (EMPTY & (low & 1).wrapping_neg());
        }
        (fingerprint >> 8) ^ low
    })
}
