//! What decoding promises, on schemas and payloads written by hand; `resolution` holds the rules between two
//! schemas, `laws` the properties against another Avro implementation, and `keys` all of keys.

mod keys;
mod laws;
pub(crate) mod model;
mod resolution;

use std::sync::Arc;

use apache_avro::types::Value as Avro;
use arrow::json::writer::LineDelimited;
use serde_json::{Value, json};

use super::*;
use crate::avro::{Encoder, Frame, KeyEncoder};
use crate::batch::{Headers, MessagesBuilder};

#[test]
fn a_message_that_was_not_received_as_a_whole_is_a_dead_letter() {
    let schema = record(json!([["n", "int"]]));
    let mut builder = MessagesBuilder::default();
    let (topic, headers) = (Arc::from("t"), [("kept".to_owned(), None)]);
    for offset in 0..3 {
        let payload = Some(&[2 * offset as u8][..]);
        builder.push(Message { payload, headers: &headers, ..Message::tombstone(&topic, 0, offset) });
        if offset == 1 {
            builder.note_damage("a header is missing".into());
        }
    }
    let messages = builder.finish();
    let mut decoder = decoder(&schema, &schema).unwrap();
    for messages in [messages.clone(), messages.slice(1..3)] {
        let Decoded { batch, dead_letters, .. } = decoder.decode(&messages).unwrap();
        assert_eq!(batch.num_rows(), messages.len() - 1);
        let [letter] = dead_letters.as_slice() else { panic!("{dead_letters:?}") };
        assert_eq!((letter.offset, letter.stage, letter.place.as_str()), (1, Stage::Decode, "kafka_headers"));
        assert_eq!(
            (letter.reason.message.as_str(), letter.payload.as_deref()),
            ("a header is missing", Some(&[2][..]))
        );
        assert_eq!(letter.headers, headers);
    }
}

/// The messages of these payloads, one a row of topic `t`, partition 0.
pub(super) fn messages(payloads: &[&[u8]]) -> Messages {
    let mut builder = MessagesBuilder::default();
    let topic = Arc::from("t");
    for (offset, payload) in (0..).zip(payloads) {
        builder.push(Message { payload: Some(payload), ..Message::tombstone(&topic, 0, offset) });
    }
    builder.finish()
}

pub(super) fn schema(text: &Value) -> Schema {
    Schema::parse(&text.to_string(), "test.avsc").unwrap()
}

/// A record `R` of these fields, each `[name, type]` or a whole field.
pub(super) fn record(fields: Value) -> Schema {
    let fields: Vec<Value> = fields
        .as_array()
        .unwrap()
        .iter()
        .map(|field| match field {
            Value::Array(pair) => json!({"name": pair[0], "type": pair[1]}),
            whole => whole.clone(),
        })
        .collect();
    schema(&json!({"type": "record", "name": "R", "fields": fields}))
}

pub(super) fn decoder(writer: &Schema, reader: &Schema) -> Result<Decoder, SchemaError> {
    let step = plan::plan(writer, reader)?;
    Decoder::with_writers(reader, Writers::Raw(step), Tombstones::DeadLetter)
}

/// The rows of a batch as JSON, without the columns of Kafka.
pub(super) fn rows(batch: &RecordBatch) -> Vec<Value> {
    let mut out = Vec::new();
    let mut writer =
        arrow::json::WriterBuilder::new().with_explicit_nulls(true).build::<_, LineDelimited>(&mut out);
    let own: Vec<usize> = (0..batch.num_columns() - kafka::NAMES.len()).collect();
    writer.write(&batch.project(&own).unwrap()).unwrap();
    writer.finish().unwrap();
    String::from_utf8(out).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Writes a JSON record with one schema and reads it with another.
pub(super) fn through(writer: &Schema, reader: &Schema, value: &Value) -> Result<Value, String> {
    let mut payload = Vec::new();
    let encoder = Encoder::with_schema(writer.clone(), Frame::Raw).unwrap();
    encoder.encode(value, &mut payload).unwrap();
    let mut decoder = decoder(writer, reader).map_err(|error| error.to_string())?;
    let decoded = decoder.decode(&messages(&[&payload])).unwrap();
    match decoded.dead_letters.as_slice() {
        [] => Ok(rows(&decoded.batch).remove(0)),
        [dead, ..] => Err(format!("{}: {}", dead.place, dead.reason)),
    }
}

#[test]
fn every_type_arrives_with_its_value() {
    let schema = record(json!([
        ["n", "null"], ["b", "boolean"], ["i", "int"], ["l", "long"], ["f", "float"], ["d", "double"],
        ["by", "bytes"], ["s", "string"],
        ["r", {"type": "record", "name": "Inner", "fields": [{"name": "x", "type": "int"}, {"name": "y", "type": ["null", "string"]}]}],
        ["e", {"type": "enum", "name": "Colour", "symbols": ["RED", "GREEN"]}],
        ["a", {"type": "array", "items": ["null", "int"]}],
        ["m", {"type": "map", "values": {"type": "enum", "name": "M", "symbols": ["U", "V"]}}],
        ["n1", ["null", "string"]], ["n2", ["string", "null"]],
        ["fx", {"type": "fixed", "name": "F", "size": 3}],
        ["dec", {"type": "bytes", "logicalType": "decimal", "precision": 10, "scale": 2}],
        ["decf", {"type": "fixed", "name": "DF", "size": 9, "logicalType": "decimal", "precision": 20, "scale": 4}],
        ["dec76", {"type": "bytes", "logicalType": "decimal", "precision": 76, "scale": 0}],
        ["date", {"type": "int", "logicalType": "date"}],
        ["tm", {"type": "int", "logicalType": "time-millis"}],
        ["tu", {"type": "long", "logicalType": "time-micros"}],
        ["tsm", {"type": "long", "logicalType": "timestamp-millis"}],
        ["tsu", {"type": "long", "logicalType": "timestamp-micros"}],
        ["tsn", {"type": "long", "logicalType": "timestamp-nanos"}],
        ["lm", {"type": "long", "logicalType": "local-timestamp-millis"}],
        ["lu", {"type": "long", "logicalType": "local-timestamp-micros"}],
        ["us", {"type": "string", "logicalType": "uuid"}],
        ["uf", {"type": "fixed", "name": "UF", "size": 16, "logicalType": "uuid"}],
        ["g", ["null", "int", "string"]], ["g2", ["int", "string", "null"]],
        ["one", ["string"]],
        ["ne", ["null", "Colour"]], ["nu", [{"type": "string", "logicalType": "uuid"}, "null"]],
    ]));
    let uuid = "123e4567-e89b-12d3-a456-4266554400Ff";
    let value = json!({
        "n": null, "b": true, "i": -7, "l": 1_i64 << 40, "f": 1.5, "d": -2.25, "by": "AQI=", "s": "José",
        "r": {"x": 1, "y": "z"}, "e": "GREEN", "a": [1, null, 3], "m": {"k": "V"},
        "n1": null, "n2": "x", "fx": "AQID", "dec": "-12345678.90", "decf": 1234.5,
        "dec76": "-9999999999999999999999999999999999999999999999999999999999999999999999999999",
        "date": "2024-02-29", "tm": "23:59:59.999", "tu": "00:00:00.000001",
        "tsm": "2024-01-31T12:00:00.5+01:00", "tsu": "2024-01-31 12:00:00.000001", "tsn": 1,
        "lm": "2024-01-31 12:00:00", "lu": "1969-12-31T23:59:59.999999",
        "us": uuid, "uf": uuid, "g": "text", "g2": 5, "one": "1", "ne": "RED", "nu": null,
    });
    let row = through(&schema, &schema, &value).unwrap();
    let lower = uuid.to_lowercase();
    let expected = json!({
        "n": null, "b": true, "i": -7, "l": 1_i64 << 40, "f": 1.5, "d": -2.25, "by": "0102", "s": "José",
        "r": {"x": 1, "y": "z"}, "e": "GREEN", "a": [1, null, 3], "m": {"k": "V"},
        "n1": null, "n2": "x", "fx": "010203", "dec": -12345678.90, "decf": 1234.5,
        "dec76": -9999999999999999999999999999999999999999999999999999999999999999999999999999_f64,
        "date": "2024-02-29", "tm": "23:59:59.999", "tu": "00:00:00.000001",
        "tsm": "2024-01-31T11:00:00.500Z", "tsu": "2024-01-31T12:00:00.000001Z", "tsn": "1970-01-01T00:00:00.000000001Z",
        "lm": "2024-01-31T12:00:00", "lu": "1969-12-31T23:59:59.999999",
        "us": lower, "uf": lower, "g": {"int": null, "string": "text"}, "g2": {"int": 5, "string": null},
        "one": "1", "ne": "RED", "nu": null,
    });
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(row[name], *value, "{name}");
    }
}

#[test]
fn a_decimal_may_be_on_a_fixed_of_any_size() {
    for size in [32, 33, 300] {
        let decimal = json!({"type": "fixed", "name": "F", "size": size, "logicalType": "decimal", "precision": 38, "scale": 2});
        let schema = record(json!([
            ["d", decimal], ["n", ["null", "F"]], ["o", ["F", "null"]], ["u", ["null", "F", "string"]],
            ["a", {"type": "array", "items": "F"}], ["m", {"type": "map", "values": "F"}],
        ]));
        let value =
            json!({"d": "-12345678.90", "n": 0.5, "o": null, "u": "3.75", "a": [1, "-2.25"], "m": {"k": 7}});
        let expected = json!({
            "d": -12345678.9, "n": 0.5, "o": null, "u": {"F": 3.75, "string": null}, "a": [1.0, -2.25],
            "m": {"k": 7.0},
        });
        assert_eq!(through(&schema, &schema, &value), Ok(expected), "{size}");
    }
}

fn message_at(offset: i64, payload: Option<&[u8]>, builder: &mut MessagesBuilder) {
    let topic = Arc::from("t");
    let (key, headers) = (Some(&b"k"[..]), [("h".to_owned(), None), ("h".to_owned(), Some(vec![1]))]);
    let timestamp_ms = (offset > 0).then_some(offset * 1000);
    let place = Message::tombstone(&topic, 3, offset);
    builder.push(Message { timestamp_ms, key, payload, headers: &headers, ..place });
}

#[test]
fn bad_messages_are_dead_letters_and_the_others_go_on() {
    let schema = record(json!([["s", "string"], ["i", "int"]]));
    let mut decoder = decoder(&schema, &schema).unwrap();
    let mut builder = MessagesBuilder::default();
    let good: &[u8] = &[2, b'a', 2];
    let bad: [(&[u8], &str, &str); 11] = [
        (&[], "byte 0", "the payload is empty"),
        (&[2, b'a'], "byte 2", "field `i`: the payload ends inside a number"),
        (&[2, b'a', 2, 9], "byte 3", "1 bytes are left over after the last field"),
        (&[2, 0xff, 2], "byte 1", "field `s`: a string that is not UTF-8"),
        (&[4, b'a', 0xc3, 2], "byte 2", "field `s`: a string that is not UTF-8"),
        (&[1, b'a', 2], "byte 0", "field `s`: a string of -1 bytes"),
        (&[8, b'a', 2], "byte 0", "field `s`: a string of 4 bytes, and 2 are left"),
        (
            &[2, b'a', 0x80, 0x80, 0x80, 0x80, 0x10],
            "byte 2",
            "field `i`: a number beyond the 32 bits of an int",
        ),
        (&[2, b'a', 0x80], "byte 2", "field `i`: the payload ends inside a number"),
        (
            &[2, b'a', 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2],
            "byte 2",
            "field `i`: a number of more than 64 bits",
        ),
        (
            &[2, b'a', 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0],
            "byte 2",
            "field `i`: a number of more than 64 bits",
        ),
    ];
    for (index, (payload, _, _)) in bad.iter().enumerate() {
        message_at(2 * index as i64, Some(payload), &mut builder);
        message_at(2 * index as i64 + 1, Some(good), &mut builder);
    }
    message_at(1000, None, &mut builder);
    let decoded = decoder.decode(&builder.finish()).unwrap();
    assert_eq!(rows(&decoded.batch), vec![json!({"s": "a", "i": 1}); bad.len()]);
    assert_eq!(decoded.dead_letters.len(), bad.len() + 1);
    for (dead, (payload, place, reason)) in decoded.dead_letters.iter().zip(bad) {
        assert_eq!((dead.place.as_str(), dead.reason.message.as_str()), (place, reason));
        assert_eq!(dead.payload.as_deref(), Some(payload));
        assert_eq!((dead.partition.partition, dead.key.as_deref()), (3, Some(&b"k"[..])));
    }
    assert_eq!(decoded.dead_letters[bad.len()].reason.message, "a tombstone: the message has no payload");
    // The rows carry where they stood.
    let offsets = decoded.batch.column_by_name("kafka_offset").unwrap();
    let expected: Vec<i64> = (0..bad.len() as i64).map(|index| 2 * index + 1).collect();
    assert_eq!(offsets.as_ref(), &arrow::array::Int64Array::from(expected) as &dyn arrow::array::Array);
    assert_eq!(decoded.batch.schema(), decoder.schema());
}

#[test]
fn longer_varints_are_accepted_kept_or_dropped() {
    let writer = record(
        json!([["i", "int"], ["b", "boolean"], ["u", ["null", "int"]], ["e", {"type": "enum", "name": "E", "symbols": ["A"]}]]),
    );
    let payload: &[u8] = &[0x84, 0x80, 0x80, 0x80, 0x80, 0x80, 0, 1, 0x82, 0x80, 0, 6, 0x80, 0];
    let mut same = decoder(&writer, &writer).unwrap();
    let decoded = same.decode(&messages(&[payload])).unwrap();
    assert_eq!(rows(&decoded.batch), [json!({"i": 2, "b": true, "u": 3, "e": "A"})]);
    let reader = record(json!([["u", ["null", "long"]], {"name": "z", "type": "int", "default": 1}]));
    let mut other = decoder(&writer, &reader).unwrap();
    let decoded = other.decode(&messages(&[payload])).unwrap();
    assert_eq!(rows(&decoded.batch), [json!({"u": 3, "z": 1})]);
}

#[test]
fn a_boolean_is_0_or_1() {
    let writer = record(json!([["b", "boolean"], ["i", "int"]]));
    let (own, other) = (record(json!([["b", "boolean"]])), record(json!([["i", "int"]])));
    for reader in [&writer, &own, &other] {
        let mut decoder = decoder(&writer, reader).unwrap();
        let decoded = decoder.decode(&messages(&[&[0, 0], &[1, 0], &[2, 0], &[0xff, 0]])).unwrap();
        let found: Vec<_> = decoded.dead_letters.iter().map(|dead| dead.reason.message.as_str()).collect();
        let reason = |byte: u8| format!("field `b`: {byte} as a boolean, expected 0 or 1");
        assert_eq!(found, [reason(2), reason(255)]);
        assert_eq!(decoded.batch.num_rows(), 2);
    }
}

#[test]
fn claimed_counts_are_bounded() {
    let schema = record(
        json!([["n", {"type": "array", "items": "null"}], ["a", {"type": "array", "items": "long"}], ["m", {"type": "map", "values": "null"}]]),
    );
    let mut decoder = decoder(&schema, &schema).unwrap();
    let huge = {
        let mut bytes = Vec::new();
        crate::avro::write_long(1 << 60, &mut bytes);
        bytes
    };
    let payload = |parts: &[&[u8]]| parts.concat();
    let cases = [
        (
            payload(&[&huge, &[0, 0, 0]]),
            "field `n`: a count of 1152921504606846976 items without bytes, at most 10000 are read",
        ),
        (
            payload(&[&[0], &huge, &[0, 0]]),
            "field `a`: a count of 1152921504606846976 items, and 2 bytes are left",
        ),
        (
            payload(&[&[0, 0], &huge, &[0]]),
            "field `m`: a count of 1152921504606846976 items, and 1 bytes are left",
        ),
        // The lowest long as a count, with a block size.
        (
            payload(&[&[0], &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1], &[2, 0]]),
            "field `a`: a count of 9223372036854775808 items, and 1 bytes are left",
        ),
        (
            payload(&[&[0], &[1, 4, 2], &[0, 0]]),
            "field `a`: a block that claims to end at byte 5 and ends at byte 4",
        ),
        (payload(&[&[0], &[1, 0x7e, 2], &[0, 0]]), "field `a`: a block of 63 bytes, and 3 are left"),
        (payload(&[&[0], &[1, 1, 2], &[0, 0]]), "field `a`: a block of -1 bytes, and 3 are left"),
    ];
    for (payload, reason) in &cases {
        let decoded = decoder.decode(&messages(&[payload])).unwrap();
        assert_eq!(decoded.dead_letters[0].reason.message, *reason);
    }
    let sized = payload(&[&[4, 0], &[3, 4, 2, 4, 0], &[2, 2, b'k', 0]]);
    let decoded = decoder.decode(&messages(&[&sized])).unwrap();
    assert_eq!(rows(&decoded.batch), [json!({"n": [null, null], "a": [1, 2], "m": {"k": null}})]);
}

#[test]
fn frames_name_the_writers_schema() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, fields: Value| {
        let path = folder.path().join(name);
        let schema = json!({"type": "record", "name": "R", "fields": fields});
        std::fs::write(&path, schema.to_string()).unwrap();
        path
    };
    let old = file("old.avsc", json!([{"name": "a", "type": "int"}]));
    let new =
        file("new.avsc", json!([{"name": "a", "type": "long"}, {"name": "b", "type": "int", "default": 5}]));
    let config = |framing| AvroConfig {
        schema: new.clone(),
        framing,
        tombstones: Tombstones::Skip,
        key: KeyFormat::Bytes,
    };
    let encode = |schema: &Path, frame, value: Value| {
        let mut out = Vec::new();
        Encoder::new(schema, frame).unwrap().encode(&value, &mut out).unwrap();
        out
    };
    let (first, second) = (json!({"a": 1}), json!({"a": 2, "b": 3}));
    let expected = [json!({"a": 1, "b": 5}), json!({"a": 2, "b": 3}), json!({"a": 1, "b": 5})];

    let single = config(Framing::SingleObject { writer_schemas: vec![old.clone()] });
    let one = encode(&old, Frame::SingleObject, first.clone());
    let two = encode(&new, Frame::SingleObject, second.clone());
    let unknown = [&[0xc3, 1][..], &[7; 8], &[2]].concat();
    let payloads: [&[u8]; 7] = [&one, &two, &one, &unknown, &[0xc3, 2, 0], &[0xc3, 1, 0], &[0xc3]];
    let decoded = Decoder::new(&single).unwrap().decode(&messages(&payloads)).unwrap();
    assert_eq!(rows(&decoded.batch), expected);
    let reasons: Vec<&str> = decoded.dead_letters.iter().map(|dead| dead.reason.message.as_str()).collect();
    assert_eq!(
        reasons,
        [
            "the fingerprint 0707070707070707 is of no known schema; writer_schemas names those of older writers",
            "a single-object payload starts with c3 01, found c3 02",
            "the payload ends inside its header of 10 bytes",
            "a single-object payload starts with c3 01, found c3",
        ]
    );

    let writer_schemas = [(7, old.clone()), (300, new.clone())].into();
    let confluent = config(Framing::Confluent { writer_schemas });
    let one = encode(&old, Frame::Confluent(7), first);
    let two = encode(&new, Frame::Confluent(300), second.clone());
    let mut decoder = Decoder::new(&confluent).unwrap();
    let decoded = decoder.decode(&messages(&[&one, &two, &one, &[9, 0], &[0, 0, 0]])).unwrap();
    assert_eq!(rows(&decoded.batch), expected);
    assert_eq!(decoded.dead_letters[0].reason.message, "a Confluent payload starts with 00, found 09");
    assert_eq!(decoded.dead_letters[1].reason.message, "the payload ends inside its header of 5 bytes");
    // An unknown id, and garbage that begins as a frame does, cost their own messages only.
    let unknown = [0, 0, 0, 0, 8, 1];
    let garbage = [0, 0xde, 0xad, 0xbe, 0xef, 5, 6, 7, 8, 9, 10, 11];
    let decoded = decoder.decode(&messages(&[&one, &unknown, &garbage, &two])).unwrap();
    assert_eq!(rows(&decoded.batch), expected[..2]);
    let found: Vec<(i64, &str, &str)> = decoded
        .dead_letters
        .iter()
        .map(|dead| (dead.offset, dead.place.as_str(), dead.reason.message.as_str()))
        .collect();
    let of_id = |id: u32| {
        format!(
            "schema id {id} is unknown; writer_schemas has 7, 300 (add `{id}: FILE` with the registry's schema {id})"
        )
    };
    assert_eq!(found, [(1, "byte 1", &*of_id(8)), (2, "byte 1", &*of_id(0xdead_beef))]);

    // What produce writes for a configuration is what the job reads.
    let written = Encoder::for_config(&confluent).unwrap();
    let mut payload = Vec::new();
    written.encode(&second, &mut payload).unwrap();
    assert_eq!(payload, two);
}

#[test]
fn names_are_taken_as_written() {
    let schema = schema(&json!({
        "type": "record", "name": "Kündigung", "namespace": "de.bank-ag", "fields": [
            {"name": "Kundennummer", "type": "int"},
            {"name": "Prénom du client", "type": ["null", {"type": "enum", "name": "Größe", "symbols": ["größer", "x-y"]}]},
            {"name": "kundennummer", "type": "string"},
        ],
    }));
    let value = json!({"Kundennummer": 4, "Prénom du client": "größer", "kundennummer": "x"});
    assert_eq!(through(&schema, &schema, &value).unwrap(), value);
}

#[test]
fn a_column_of_kafka_cannot_be_a_field() {
    let schema = record(json!([["kafka_offset", "long"]]));
    let error = decoder(&schema, &schema).unwrap_err();
    assert_eq!(error.place, "kafka_offset");
    assert!(error.to_string().contains("hint: call the field `message_offset`"), "{error}");
}

#[test]
fn what_no_column_carries_is_refused_at_start() {
    let empty = json!({"type": "record", "name": "Empty", "fields": []});
    let cases = [
        (
            json!([["a", "int"], ["x", {"type": "array", "items": empty}]]),
            "field `x[]`: the record `Empty` has no fields",
        ),
        (
            json!([["a", "int"], ["x", {"type": "fixed", "name": "F", "size": 0}]]),
            "field `x`: a fixed of 0 bytes",
        ),
        (json!([["x", "null"]]), "no field takes a byte"),
    ];
    for (fields, expected) in cases {
        let schema = record(fields);
        let error = decoder(&schema, &schema).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn a_failure_behind_the_validator_costs_only_the_messages_to_blame() {
    // The plan of a writer of bytes lets anything through that the reader then refuses as a string.
    let (bytes, string) = (record(json!([["x", "bytes"]])), record(json!([["x", "string"]])));
    let step = plan::plan(&bytes, &bytes).unwrap();
    let mut decoder = Decoder::with_writers(&string, Writers::Raw(step), Tombstones::Skip).unwrap();
    let decoded = decoder.decode(&messages(&[&[2, b'a'], &[2, 0xff], &[2, b'b']])).unwrap();
    assert_eq!(rows(&decoded.batch), [json!({"x": "a"}), json!({"x": "b"})]);
    assert_eq!(decoded.dead_letters.len(), 1);
    assert_eq!(decoded.dead_letters[0].offset, 1);
    // And one that fails while it is fed.
    let long = record(json!([["x", "long"]]));
    let step = plan::plan(&long, &long).unwrap();
    let mut decoder = Decoder::with_writers(&string, Writers::Raw(step), Tombstones::Skip).unwrap();
    let decoded = decoder.decode(&messages(&[&[0], &[2], &[0]])).unwrap();
    assert_eq!((decoded.batch.num_rows(), decoded.dead_letters.len()), (2, 1));
}

/// A tree in the writer's schema: records in each other by a union, an array and a map, and two types in a circle.
fn tree() -> Value {
    json!({"type": "record", "name": "Node", "fields": [
        {"name": "parent", "type": ["null", "Node"]},
        {"name": "id", "type": "int"},
        {"name": "children", "type": {"type": "array", "items": "Node"}},
        {"name": "others", "type": {"type": "map", "values": {"type": "record", "name": "Link", "fields": [
            {"name": "to", "type": ["null", "Link", "Node"]},
        ]}}},
        {"name": "name", "type": "string"},
    ]})
}

#[test]
fn what_a_reader_drops_may_contain_itself() {
    let (writer, reader) = (schema(&tree()), record(json!([["id", "int"], ["name", "string"]])));
    let theirs = apache_avro::Schema::parse(&tree()).unwrap();
    let node = |id: i32, parent: Avro, children: Vec<Avro>, to: Avro| {
        let link = Avro::Record(vec![("to".into(), to)]);
        Avro::Record(vec![
            ("parent".into(), parent),
            ("id".into(), Avro::Int(id)),
            ("children".into(), Avro::Array(children)),
            ("others".into(), Avro::Map([("x".to_owned(), link)].into())),
            ("name".into(), Avro::String(format!("n{id}"))),
        ])
    };
    let none = || Avro::Union(0, Box::new(Avro::Null));
    let leaf = node(1, none(), Vec::new(), none());
    let mut deep = leaf.clone();
    for id in 2..40 {
        let inside = |value: &Avro| Avro::Union(1, Box::new(value.clone()));
        deep = match id % 3 {
            0 => node(id, inside(&deep), Vec::new(), none()),
            1 => node(id, none(), vec![leaf.clone(), deep], none()),
            _ => node(id, none(), Vec::new(), Avro::Union(2, Box::new(deep))),
        };
    }
    let write = |value: &Avro| apache_avro::to_avro_datum(&theirs, value.clone()).unwrap();
    let (leaf, deep) = (write(&leaf), write(&deep));
    let cut = &deep[..deep.len() - 40];
    let mut decoder = decoder(&writer, &reader).unwrap();
    let decoded = decoder.decode(&messages(&[&leaf, &deep, cut, &leaf])).unwrap();
    let row = |id: i32| json!({"id": id, "name": format!("n{id}")});
    assert_eq!(rows(&decoded.batch), [row(1), row(39), row(1)]);
    assert_eq!(decoded.dead_letters.len(), 1);
    // Endless parents: refused at a depth, not when the stack ends.
    let parents = vec![2; 1_000_000];
    let decoded = decoder.decode(&messages(&[&parents])).unwrap();
    let reason = &decoded.dead_letters[0].reason.message;
    assert!(reason.ends_with("records that are more than 64 deep in each other"), "{reason}");
    // What the reader keeps cannot contain itself.
    let error = plan::plan(&writer, &writer).unwrap_err().to_string();
    assert!(error.contains("field `parent`: `Node` contains itself"), "{error}");
}

#[test]
fn types_that_all_contain_each_other_are_planned_once_each() {
    let names: Vec<String> = (0..40).map(|n| format!("T{n}")).collect();
    let mut ty = json!(["null", "T0"]);
    for (n, name) in names.iter().enumerate().rev() {
        let null = std::iter::once(json!("null"));
        let all: Vec<Value> = null.chain(names[..n].iter().map(|name| name.as_str().into())).collect();
        let inner = if n == 39 { json!("null") } else { ty.clone() };
        ty = json!({"type": "record", "name": name, "fields": [
            {"name": "inner", "type": inner},
            {"name": "all", "type": all},
        ]});
    }
    let writer = record(json!([["id", "int"], ["tree", ty]]));
    assert!(writer.check_finite().is_err());
    let reader = record(json!([["id", "int"]]));
    assert!(decoder(&writer, &reader).is_ok());
}

#[test]
fn what_takes_no_bytes_is_not_walked_if_it_is_dropped() {
    let item = json!({"type": "record", "name": "I", "fields": [
        {"name": "n", "type": "null"},
        {"name": "e", "type": {"type": "record", "name": "E", "fields": [{"name": "n", "type": "null"}]}},
        {"name": "x", "type": "int"},
    ]});
    let array = json!({"type": "array", "items": item});
    let writer =
        record(json!([["x", "int"], ["e", {"type": "array", "items": "null"}], ["n", "null"], ["a", array]]));
    let reader = record(json!([["x", "int"]]));
    let step = plan::plan(&writer, &reader).unwrap();
    let text = format!("{step:?}");
    assert_eq!((text.matches("Null").count(), text.matches("\"x\"").count()), (1, 2), "{text}");
    let mut decoder = decoder(&writer, &reader).unwrap();
    let payload: &[u8] = &[2, 6, 0, 4, 8, 9, 0];
    let decoded = decoder.decode(&messages(&[payload])).unwrap();
    assert_eq!(rows(&decoded.batch), [json!({"x": 1})]);
    // Nothing is to be done where only such a field is dropped.
    let all = record(json!([["x", "int"], ["n", "null"], ["s", "string"]]));
    let most = record(json!([["x", "int"], ["s", "string"]]));
    assert!(matches!(plan::plan(&all, &most).unwrap(), plan::ValueStep::Copy(_)));
}

#[test]
fn the_types_that_a_plan_compares_are_bounded() {
    // Each record of the reader may be either of the writer's: 2^24 ways.
    let all = json!(["null", "A", "B"]);
    let b = json!({"type": "record", "name": "B", "fields": [{"name": "next", "type": all}]});
    let a = json!({"type": "record", "name": "A", "fields": [{"name": "next", "type": ["null", "A", b]}]});
    let mut ty = json!("null");
    for n in 0..24 {
        let next = json!({"name": "next", "type": ["null", ty], "default": null});
        let count = json!({"name": "count", "type": "int", "default": 0});
        let fields = if n == 0 { json!([count]) } else { json!([next]) };
        ty = json!({"type": "record", "name": format!("R{n}"), "fields": fields});
    }
    let error = plan::plan(&schema(&a), &schema(&ty)).unwrap_err().to_string();
    assert!(error.contains("has it: more than 200000 pairs of types are to be compared"), "{error}");
    let ty = json!({"type": "record", "name": "S", "fields": [
        {"name": "next", "type": ["null", {"type": "record", "name": "T", "fields": [
            {"name": "next", "type": ["null", {"type": "record", "name": "U", "fields": [
                {"name": "count", "type": "int", "default": 7},
            ]}]},
        ]}]},
    ]});
    let mut decoder = decoder(&schema(&a), &schema(&ty)).unwrap();
    // A B, and in it an A, and in it nothing.
    let payload: &[u8] = &[4, 2, 0];
    let decoded = decoder.decode(&messages(&[payload])).unwrap();
    assert_eq!(rows(&decoded.batch), [json!({"next": {"next": {"count": 7}}})]);
}

#[test]
fn what_an_item_takes_is_counted_once_for_each_type() {
    // Each record has eight of the one that it is defined in: the last holds 8^20 of the first, and each takes a byte.
    let mut ty = json!("null");
    for n in (0..=20).rev() {
        let mut fields = Vec::new();
        if n < 20 {
            fields.push(json!({"name": "inner", "type": ["null", ty]}));
        }
        if n > 0 {
            let outer = |name: &str| json!({"name": name, "type": format!("N{}", n - 1)});
            fields.extend(["a", "b", "c", "d", "e", "f", "g", "h"].map(outer));
        }
        ty = json!({"type": "record", "name": format!("N{n}"), "fields": fields});
    }
    let (list, map) = (json!({"type": "array", "items": "N20"}), json!({"type": "map", "values": "N20"}));
    let writer = record(json!([["id", "int"], ["tree", ty], ["list", list], ["map", map]]));
    let reader = record(json!([["id", "int"]]));
    let mut decoder = decoder(&writer, &reader).unwrap();
    // The tree is a first record alone, and the list claims one item.
    let payload: &[u8] = &[2, 0, 2, 0, 0, 0];
    let decoded = decoder.decode(&messages(&[payload])).unwrap();
    let reason = &decoded.dead_letters[0].reason.message;
    assert_eq!(reason, "field `list`: a count of 1 items, and 3 bytes are left");
}

#[test]
fn what_a_batch_takes_as_columns_is_bounded() {
    let fixed = json!(["null", {"type": "fixed", "name": "F", "size": 1000}]);
    let schema = record(json!([["x", {"type": "array", "items": fixed}]]));
    let nulls = |count: u8| [&[count * 2][..], &vec![0; count.into()], &[0]].concat();
    let (one, many) = (nulls(1), nulls(20));
    let mut decoder = decoder(&schema, &schema).unwrap().bounded(10_000);
    let decoded = decoder.decode(&messages(&[&one, &many, &one])).unwrap();
    assert_eq!((decoded.batch.num_rows(), decoded.dead_letters.len()), (2, 1));
    let reason = &decoded.dead_letters[0].reason.message;
    assert!(reason.starts_with("the message takes 20") && reason.ends_with("at most 10000 fit"), "{reason}");
    // Together they are too many: a fault that fewer messages do not have.
    let error = decoder.decode(&messages(&[one.as_slice(); 12])).unwrap_err();
    assert_eq!(
        (error.to_string().as_str(), error.fault()),
        ("12 messages take more than 10000 bytes as columns", Fault::Data)
    );
    assert_eq!(decoder.decode(&messages(&[&one])).unwrap().batch.num_rows(), 1);
}

#[test]
fn no_messages_are_an_empty_batch() {
    let schema = record(json!([["x", {"type": "map", "values": "string"}]]));
    let mut decoder = decoder(&schema, &schema).unwrap();
    let decoded = decoder.decode(&Messages::empty()).unwrap();
    assert_eq!((decoded.batch.num_rows(), decoded.batch.schema()), (0, decoder.schema()));
}
