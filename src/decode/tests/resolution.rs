//! What a reader sees of a message written with another schema.

use serde_json::{Value, json};

use super::*;

fn enumeration(symbols: &[&str]) -> Value {
    json!({"type": "enum", "name": "E", "symbols": symbols})
}

fn decimal(precision: u8, scale: u8) -> Value {
    json!({"type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale})
}

fn logical(base: &str, word: &str) -> Value {
    json!({"type": base, "logicalType": word})
}

/// One field `x`, written as one type and read as another.
fn converted(from: &Value, to: &Value, value: Value) -> Result<Value, String> {
    let row = through(&record(json!([["x", from]])), &record(json!([["x", to]])), &json!({"x": value}))?;
    Ok(row["x"].clone())
}

#[test]
fn values_are_promoted() {
    let cases = [
        ("int", "long", json!(-2_147_483_648_i64), json!(-2_147_483_648_i64)),
        ("int", "float", json!(16_777_216), json!(16_777_216.0)),
        ("int", "double", json!(2_147_483_647), json!(2_147_483_647.0)),
        ("long", "float", json!(-3), json!(-3.0)),
        ("long", "double", json!(1_i64 << 50), json!((1_i64 << 50) as f64)),
        ("float", "double", json!(0.5), json!(0.5)),
        ("string", "bytes", json!("é"), json!("c3a9")),
        ("bytes", "string", json!("w6k="), json!("é")),
    ];
    for (from, to, value, expected) in cases {
        let (from, to) = (json!(from), json!(to));
        assert_eq!(converted(&from, &to, value.clone()), Ok(expected.clone()), "{from} to {to}");
        // The same into and out of a union, in an array and in a map.
        let nullable = json!(["null", to]);
        assert_eq!(converted(&from, &nullable, value.clone()), Ok(expected.clone()), "{from} to {nullable}");
        let second = json!([to, "null"]);
        assert_eq!(converted(&json!(["null", from]), &second, value.clone()), Ok(expected.clone()));
        assert_eq!(converted(&json!(["null", from]), &to, value.clone()), Ok(expected.clone()));
        let array = |item: &Value| json!({"type": "array", "items": item});
        assert_eq!(
            converted(&array(&from), &array(&to), json!([value, value])),
            Ok(json!([expected, expected]))
        );
        let map = |item: &Value| json!({"type": "map", "values": item});
        assert_eq!(converted(&map(&from), &map(&nullable), json!({"k": value})), Ok(json!({"k": expected})));
    }
}

#[test]
fn what_cannot_be_promoted_is_refused_at_start() {
    let cases = [
        (json!("long"), json!("int"), "a long is not an int"),
        (json!("double"), json!("float"), "a double is not a float"),
        (json!("string"), json!("int"), "a string is not an int"),
        (json!(["null", "string"]), json!("int"), "a string is not an int"),
        (json!("null"), json!("int"), "a null is not an int"),
        (
            logical("int", "date"),
            logical("long", "timestamp-millis"),
            "date (int) is not timestamp-millis (long)",
        ),
        (
            logical("long", "timestamp-millis"),
            logical("long", "timestamp-micros"),
            "timestamp-millis (long) is not timestamp-micros (long)",
        ),
        (decimal(9, 2), decimal(9, 3), "a decimal of scale 2 is not one of scale 3"),
        (decimal(9, 2), json!("string"), "decimal (bytes) is not string"),
        (json!("string"), decimal(9, 2), "string is not decimal (bytes)"),
        (
            json!({"type": "fixed", "name": "F", "size": 2}),
            json!({"type": "fixed", "name": "F", "size": 3}),
            "a fixed of 2 bytes is not one of 3",
        ),
        (
            json!("boolean"),
            json!(["null", "int", "string"]),
            "a boolean is none of the union's null, int, string",
        ),
    ];
    for (from, to, expected) in cases {
        let (writer, reader) = (record(json!([["x", from]])), record(json!([["x", to]])));
        let error = plan::plan(&writer, &reader).unwrap_err();
        assert_eq!(error.place, "x", "{from} to {to}");
        let message = &error.what.message;
        assert!(message.ends_with(expected), "{from} to {to}: {message}");
    }
}

#[test]
fn a_promoted_value_that_does_not_fit_is_a_dead_letter() {
    let cases = [
        (json!("bytes"), json!("string"), json!("/w=="), "byte 1: field `x`: a string that is not UTF-8"),
        (decimal(9, 2), decimal(4, 2), json!("123.45"), "byte 0: field `x`: a decimal of more than 4 digits"),
        (
            json!("int"),
            logical("int", "time-millis"),
            json!(86_400_000),
            "byte 0: field `x`: 86400000 as a time of day, expected 0 to 86399999",
        ),
        (
            json!("string"),
            logical("string", "uuid"),
            json!("x"),
            "byte 0: field `x`: a string that is not a uuid",
        ),
        (
            json!(["null", "int"]),
            json!("int"),
            json!(null),
            "byte 0: field `x`: a value of type null, which avro_schema does not have here",
        ),
        (
            json!(["int", "string"]),
            json!(["null", "int"]),
            json!("s"),
            "byte 0: field `x`: a value of type string, which avro_schema does not have here",
        ),
        (
            enumeration(&["A", "B"]),
            enumeration(&["A"]),
            json!("B"),
            "byte 0: field `x`: the symbol `B`, which avro_schema does not have",
        ),
    ];
    for (from, to, value, expected) in cases {
        assert_eq!(converted(&from, &to, value), Err(expected.to_owned()), "{from} to {to}");
    }
}

#[test]
fn decimals_keep_their_value_at_another_precision() {
    assert_eq!(converted(&decimal(9, 2), &decimal(30, 2), json!("-1.25")), Ok(json!(-1.25)));
    assert_eq!(converted(&decimal(9, 2), &decimal(50, 2), json!("-1.25")), Ok(json!(-1.25)));
    assert_eq!(converted(&decimal(50, 2), &decimal(9, 2), json!("-1.25")), Ok(json!(-1.25)));
}

#[test]
fn enums_are_matched_by_symbol() {
    let reader = json!({"type": "enum", "name": "E", "symbols": ["C", "B", "A"], "default": "C"});
    assert_eq!(converted(&enumeration(&["A", "B"]), &reader, json!("A")), Ok(json!("A")));
    assert_eq!(converted(&enumeration(&["X"]), &reader, json!("X")), Ok(json!("C")));
    let nullable = json!(["null", reader]);
    assert_eq!(converted(&json!(["null", enumeration(&["X", "B"])]), &nullable, json!("B")), Ok(json!("B")));
}

#[test]
fn unions_are_resolved_by_branch() {
    let general = json!(["null", "long", "string"]);
    assert_eq!(converted(&json!("int"), &general, json!(3)), Ok(json!({"long": 3, "string": null})));
    assert_eq!(converted(&json!("string"), &general, json!("s")), Ok(json!({"long": null, "string": "s"})));
    assert_eq!(converted(&json!(["null", "string"]), &general, json!(null)), Ok(json!(null)));
    assert_eq!(
        converted(&json!(["string", "int", "null"]), &general, json!(3)),
        Ok(json!({"long": 3, "string": null}))
    );
    // An exact match goes before an earlier branch that the value could be promoted to.
    let both = json!(["double", "int"]);
    assert_eq!(converted(&json!("int"), &both, json!(3)), Ok(json!({"double": null, "int": 3})));
    // Named types by name.
    let named =
        |name: &str| json!({"type": "record", "name": name, "fields": [{"name": "v", "type": "int"}]});
    let reader = json!([named("P"), named("Q")]);
    assert_eq!(
        converted(&json!([named("Q"), "null"]), &json!([named("P"), named("Q"), "null"]), json!({"v": 1})),
        Ok(json!({"P": null, "Q": {"v": 1}}))
    );
    assert_eq!(converted(&named("Q"), &reader, json!({"v": 2})), Ok(json!({"P": null, "Q": {"v": 2}})));
}

#[test]
fn fields_are_matched_by_name_and_alias_in_any_order() {
    let writer = record(json!([["a", "int"], ["b", "string"], ["c", ["null", "int"]], ["d", "double"]]));
    let value = json!({"a": 1, "b": "two", "c": 3, "d": 4.5});
    let defaults = json!([
        {"name": "first", "type": ["null", "int"], "default": null},
        ["d", "double"],
        {"name": "text", "type": "string", "default": "né"},
        {"name": "bee", "type": "string", "aliases": ["nothing", "b"]},
        {"name": "list", "type": {"type": "array", "items": "long"}, "default": [1, -2]},
        ["a", "long"],
        {"name": "general", "type": ["int", "string"], "default": "s"},
        {"name": "raw", "type": "bytes", "default": "\u{00ff}\u{0001}"},
        {"name": "amount", "type": decimal(5, 2), "default": "\u{0001}\u{0000}"},
    ]);
    assert_eq!(
        through(&writer, &record(defaults), &value).unwrap(),
        json!({
            "first": null, "d": 4.5, "text": "né", "bee": "two", "list": [1, -2], "a": 1,
            "general": {"int": null, "string": "s"}, "raw": "ff01", "amount": 2.56,
        })
    );
    // In the writer's order, with defaults in between and fields dropped.
    let in_order = json!([
        {"name": "p", "type": "int", "default": 7}, ["a", "int"],
        {"name": "q", "type": "int", "default": 8}, {"name": "r", "type": "int", "default": 9},
        ["d", "double"], {"name": "s", "type": "int", "default": 10},
    ]);
    assert_eq!(
        through(&writer, &record(in_order), &value).unwrap(),
        json!({"p": 7, "a": 1, "q": 8, "r": 9, "d": 4.5, "s": 10})
    );
    // The same inside an array of records, whose order is changed in each item.
    let nested = |fields: Value| {
        let inner = json!({"type": "record", "name": "In", "fields": fields});
        record(json!([["items", {"type": "array", "items": inner}], ["end", "int"]]))
    };
    let from = nested(json!([{"name": "x", "type": "int"}, {"name": "y", "type": "string"}]));
    let to = nested(json!([
        {"name": "y", "type": "string"}, {"name": "z", "type": "int", "default": 5}, {"name": "x", "type": "long"},
    ]));
    let value = json!({"items": [{"x": 1, "y": "a"}, {"x": 2, "y": "bb"}], "end": 9});
    assert_eq!(
        through(&from, &to, &value).unwrap(),
        json!({"items": [{"y": "a", "z": 5, "x": 1}, {"y": "bb", "z": 5, "x": 2}], "end": 9})
    );
}

#[test]
fn a_field_without_source_or_default_is_refused_at_start() {
    let writer = record(json!([["a", "int"]]));
    let reader = record(json!([["a", "int"], ["b", "int"]]));
    let error = plan::plan(&writer, &reader).unwrap_err();
    assert_eq!(error.place, "b");
    assert!(error.to_string().contains("it has no default\nhint: give the field a \"default\""), "{error}");
    let wrong = record(json!([["a", "int"], {"name": "b", "type": "int", "default": "x"}]));
    let error = plan::plan(&writer, &wrong).unwrap_err();
    assert!(
        error.to_string().contains("its default is not of its type: found \"x\", expected an integer"),
        "{error}"
    );
}

#[test]
fn an_enum_may_have_many_symbols() {
    let symbols: Vec<String> = (0..200_000).map(|place| format!("S{place}")).collect();
    let other: Vec<&String> = symbols.iter().rev().collect();
    let enumeration = |symbols: Value| json!({"type": "enum", "name": "E", "symbols": symbols});
    let (from, to) = (enumeration(json!(symbols)), enumeration(json!(other)));
    assert_eq!(converted(&from, &to, json!("S2")), Ok(json!("S2")));
}

#[test]
fn defaults_cannot_blow_a_message_up() {
    let item = |fields: Value| json!({"type": "record", "name": "I", "fields": fields});
    let list = |fields: Value| record(json!([["x", {"type": "array", "items": item(fields)}]]));
    let writer = list(json!([{"name": "a", "type": "boolean"}]));
    let long = "x".repeat(10_000);
    let reader = list(json!([
        {"name": "a", "type": "boolean"}, {"name": "b", "type": "string", "default": long},
    ]));
    let value = json!({"x": vec![json!({"a": true}); 1000]});
    let error = through(&writer, &reader, &value).unwrap_err();
    let reason = "with the nulls and defaults of avro_schema it takes more than 1048576 bytes";
    assert!(error.contains(reason), "{error}");
    // Each null takes a byte in the columns' schema.
    let names: Vec<String> = (0..300).map(|place| format!("n{place}")).collect();
    let nulls = list(names.iter().map(|name| json!({"name": name, "type": "null"})).collect());
    let mut payload = Vec::new();
    crate::avro::write_long(10_000, &mut payload);
    payload.push(0);
    let decoded = decoder(&nulls, &nulls).unwrap().decode(&messages(&[&payload])).unwrap();
    let error = &decoded.dead_letters[0].reason.message;
    assert!(error.contains(reason), "{error}");
}
