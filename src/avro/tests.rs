//! Schemas that are refused with a place and a reason, fingerprints, and JSON written as Avro.

use apache_avro::types::Value as Avro;
use serde_json::{Value, json};

use super::*;

/// What `apache-avro` may allocate for one claimed length; it reserves this many items of an array at once.
const ALLOCATION_BYTES_MAX: usize = 1 << 14;

/// Reads one value with `apache-avro`.
///
/// Its first reader settles the limit of allocations for the whole process, and its own limit lets a broken count
/// reserve 28 GB, so every test that reads with it does so here.
pub(crate) fn read_with_apache(
    schema: &apache_avro::Schema,
    reader: &mut impl std::io::Read,
) -> apache_avro::AvroResult<Avro> {
    apache_avro::util::max_allocation_bytes(ALLOCATION_BYTES_MAX);
    apache_avro::from_avro_datum(schema, reader, None)
}

fn schema(json: &Value) -> Result<Schema, String> {
    Schema::parse(&json.to_string(), "a.avsc").map_err(|error| error.to_string())
}

fn record(fields: Value) -> Value {
    json!({"type": "record", "name": "R", "fields": fields})
}

/// One field `x` of a type.
fn field(ty: &Value) -> Value {
    record(json!([{"name": "x", "type": ty}]))
}

/// Writes `{"x": value}` and reads it with another implementation, by the same schema without logical types.
fn written(ty: Value, plain: Value, value: Value) -> Result<Avro, String> {
    let encoder = Encoder::with_schema(schema(&field(&ty)).unwrap(), Frame::Raw).unwrap();
    let mut out = vec![9];
    match encoder.encode(&json!({"x": value}), &mut out) {
        Err(error) => {
            assert_eq!(out, [9], "what was written of a refused record stays");
            Err(error.to_string())
        }
        Ok(()) => {
            let theirs = apache_avro::Schema::parse(&field(&plain)).unwrap();
            let mut rest = &out[1..];
            let Avro::Record(mut fields) = read_with_apache(&theirs, &mut rest).unwrap() else {
                panic!("not a record")
            };
            assert!(rest.is_empty());
            Ok(fields.remove(0).1)
        }
    }
}

fn logical(base: &str, word: &str) -> Value {
    json!({"type": base, "logicalType": word})
}

#[test]
fn wrong_schemas_are_refused_with_place_and_reason() {
    let cases = [
        (json!("int"), None),
        (json!({"type": "record", "name": "R"}), Some("a.avsc: record `R` needs `fields`, a list")),
        (record(json!([{"name": "x"}])), Some("a field with `name` and `type` is expected")),
        (
            field(&json!("strin")),
            Some("a.avsc: field `x`: there is no type `strin`\nhint: did you mean `string`?"),
        ),
        (
            field(&json!({"type": "array", "items": {"type": "map"}})),
            Some("a.avsc: field `x`: a map needs `values`"),
        ),
        (field(&json!([])), Some("a union without branches")),
        (field(&json!(["null", ["int"]])), Some("a union is directly inside a union")),
        (field(&json!(["string", logical("string", "uuid")])), Some("two branches of type `string`")),
        (field(&json!("R")), Some("a.avsc: `R` contains itself in every value")),
        (
            record(
                json!([{"name": "x", "type": {"type": "record", "name": "S", "fields": [{"name": "r", "type": "R"}]}}]),
            ),
            Some("contains itself in every value"),
        ),
        (
            record(json!([{"name": "a", "type": "int"}, {"name": "a", "type": "int"}])),
            Some("field `a`: record `R` has two fields of this name"),
        ),
        (field(&json!({"type": "enum", "name": "E", "symbols": []})), Some("enum `E` needs `symbols`")),
        (
            field(&json!({"type": "enum", "name": "E", "symbols": ["A", "A"]})),
            Some("has the symbol `A` twice"),
        ),
        (
            field(&json!({"type": "enum", "name": "E", "symbols": ["A"], "default": "B"})),
            Some("the default \"B\" is none of its symbols"),
        ),
        (field(&json!({"type": "fixed", "name": "F", "size": -1})), Some("found -1 as `size`")),
        (field(&json!({"type": "fixed", "name": "R", "size": 1})), Some("the type `R` is defined twice")),
    ];
    for (json, expected) in cases {
        match (schema(&json), expected) {
            (Ok(_), None) => {}
            (Err(error), Some(expected)) => assert!(error.contains(expected), "{json}: {error}"),
            (result, _) => panic!("{json}: {result:?}"),
        }
    }
    let error = Schema::parse("{\n  \"type\": record }", "a.avsc").unwrap_err().to_string();
    assert!(error.starts_with("a.avsc:2:11: not JSON: expected value\nhint: "), "{error}");
    let error = schema(&json!(["int"])).unwrap().root_record().unwrap_err().to_string();
    assert!(error.contains("the schema is of type union, expected a record"), "{error}");
}

#[test]
fn what_is_written_may_contain_itself_and_columns_may_not() {
    for ty in
        [json!(["null", "R"]), json!({"type": "array", "items": "R"}), json!({"type": "map", "values": "R"})]
    {
        let schema = Schema::parse(&field(&ty).to_string(), "a.avsc").unwrap();
        let error = schema.check_finite().unwrap_err().to_string();
        assert!(error.starts_with("a.avsc: field `x`: `R` contains itself"), "{error}");
        assert!(schema.canonical_form().contains("\"R\""));
    }
    assert!(Schema::parse(&field(&json!("int")).to_string(), "a.avsc").unwrap().check_finite().is_ok());
}

#[test]
fn logical_types_that_are_not_valid_are_ignored_and_named() {
    let decimal = |base: Value, attributes: Value| {
        let mut ty = base;
        let object = ty.as_object_mut().unwrap();
        object.insert("logicalType".into(), "decimal".into());
        object.extend(attributes.as_object().unwrap().clone());
        ty
    };
    let bytes = || json!({"type": "bytes"});
    let fixed = |size| json!({"type": "fixed", "name": "F", "size": size});
    let mut cases = vec![
        (decimal(bytes(), json!({"precision": 77})), "a decimal of precision 77, expected 1 to 76"),
        (decimal(bytes(), json!({"precision": 0})), "a decimal of precision 0"),
        (decimal(bytes(), json!({"precision": -1})), "found -1 as `precision`"),
        (decimal(bytes(), json!({"precision": "9"})), "found \"9\" as `precision`"),
        (decimal(bytes(), json!({})), "a decimal needs `precision`"),
        (decimal(bytes(), json!({"precision": 3, "scale": 4})), "a decimal of scale 4 and precision 3"),
        (decimal(bytes(), json!({"precision": 3, "scale": -4})), "found -4 as `scale`"),
        (decimal(fixed(2), json!({"precision": 5})), "precision 5 on 2 bytes, which hold 4 digits"),
        (
            decimal(json!({"type": "string"}), json!({"precision": 3})),
            "its base type is bytes or fixed, found string",
        ),
        (
            json!({"type": "fixed", "name": "F", "size": 11, "logicalType": "duration"}),
            "a fixed of 12 bytes, found fixed of 11",
        ),
        (
            json!({"type": "fixed", "name": "F", "size": 15, "logicalType": "uuid"}),
            "a fixed of 16 bytes, found fixed of 15",
        ),
        (json!({"type": "int", "logicalType": "uid"}), "there is none of this name (did you mean `uuid`?)"),
        (json!({"type": "int", "logicalType": "money"}), "there is none of this name"),
        (json!({"type": "int", "logicalType": 7}), "its name is no text"),
        (json!({"type": "array", "items": "int", "logicalType": "date"}), "an array has none"),
        (json!({"type": "map", "values": "int", "logicalType": "date"}), "a map has none"),
        (json!({"type": "enum", "name": "E", "symbols": ["A"], "logicalType": "uuid"}), "an enum has none"),
        (json!({"type": {"type": "int"}, "logicalType": "date"}), "a type around another has none"),
    ];
    for word in ["date", "time-millis"] {
        cases.push((logical("long", word), "its base type is int, found long"));
    }
    for word in [
        "time-micros",
        "timestamp-millis",
        "timestamp-micros",
        "timestamp-nanos",
        "local-timestamp-millis",
        "local-timestamp-micros",
        "local-timestamp-nanos",
    ] {
        cases.push((logical("int", word), "its base type is long, found int"));
    }
    cases.push((logical("bytes", "big-decimal"), "each of its values has a scale of its own"));
    cases.push((logical("string", "big-decimal"), "its base type is bytes, found string"));
    cases.push((logical("bytes", "uuid"), "its base type is string or a fixed of 16 bytes, found bytes"));
    for (ty, expected) in cases {
        let schema = Schema::parse(&field(&ty).to_string(), "a.avsc").unwrap();
        let [ignored] = schema.ignored() else { panic!("{ty}: {:?}", schema.ignored()) };
        let text = ignored.to_string();
        assert!(
            text.starts_with("a.avsc: field `x`: the logical type ") && text.contains(expected),
            "{ty}: {text}"
        );
        assert!(schema.types.iter().all(|ty| ty.logical.is_none()), "{ty}");
    }
    let beside = record(json!([{"name": "x", "type": "int", "logicalType": "date"}]));
    let schema = Schema::parse(&beside.to_string(), "a.avsc").unwrap();
    assert!(schema.ignored()[0].what.message.contains("beside the field's `type`"), "{:?}", schema.ignored());
    let valid = Schema::parse(&field(&logical("int", "date")).to_string(), "a.avsc").unwrap();
    assert_eq!(valid.ignored(), []);
}

#[test]
fn an_attribute_that_is_null_is_absent() {
    let text = record(json!([
        {"name": "e", "type": {"type": "enum", "name": "E", "symbols": ["A"], "aliases": null, "default": null}},
        {"name": "i", "type": {"type": "int", "logicalType": null}, "aliases": null, "logicalType": null},
        {"name": "a", "type": {"type": "array", "items": "E", "logicalType": null}},
    ]));
    let schema = Schema::parse(&text.to_string(), "a.avsc").unwrap();
    assert_eq!(schema.ignored(), []);
    assert!(schema.types.iter().all(|ty| !matches!(&ty.kind, Kind::Enum(e) if e.default.is_some())));
}

#[test]
fn schemas_are_bounded() {
    let deep = (0..70).fold(json!("int"), |inner, _| json!({"type": "array", "items": inner}));
    assert!(schema(&field(&deep)).unwrap_err().contains("more than 64 deep"));
    // Each record is three levels of JSON.
    let records = |count: usize| {
        (0..count).fold(json!("int"), |inner, index| {
            let fields = [json!({"name": "x", "type": inner})];
            json!({"type": "record", "name": format!("R{index}"), "fields": fields})
        })
    };
    assert_eq!(schema(&records(64)).map(|schema| schema.types.len()), Ok(65));
    assert!(schema(&records(66)).unwrap_err().contains("types are nested more than 64 deep"));
    // Each record has two fields of the one before: 2^40 columns in 40 short lines.
    let mut fields = vec![
        json!({"name": "f0", "type": {"type": "record", "name": "R0", "fields": [{"name": "a", "type": "int"}]}}),
    ];
    for index in 1..40 {
        let before = format!("R{}", index - 1);
        let inner = json!([{"name": "a", "type": before}, {"name": "b", "type": before}]);
        fields.push(json!({"name": format!("f{index}"), "type": {"type": "record", "name": format!("R{index}"), "fields": inner}}));
    }
    assert!(schema(&record(json!(fields))).unwrap_err().contains("expected at most 10000"));
}

#[test]
fn fingerprints_are_those_of_another_implementation() {
    let texts = [
        field(&json!("int")),
        record(json!([])),
        json!({
            "type": "record", "name": "Customer", "namespace": "com.bank", "doc": "d", "aliases": ["Old"], "fields": [
                {"name": "id", "type": {"type": "long"}, "doc": "x", "default": 1},
                {"name": "e", "type": {"type": "enum", "name": "E", "namespace": "other", "symbols": ["A", "B"]}},
                {"name": "again", "type": ["null", "other.E"]},
                {"name": "f", "type": {"type": "fixed", "size": 16, "name": "F"}},
                {"name": "g", "type": {"type": "array", "items": {"type": "map", "values": "F"}}},
            ],
        }),
    ];
    for text in texts {
        let theirs = apache_avro::Schema::parse(&text).unwrap();
        let ours = schema(&text).unwrap();
        assert_eq!(ours.canonical_form(), theirs.canonical_form());
        let fingerprint = theirs.fingerprint::<apache_avro::rabin::Rabin>();
        assert_eq!(ours.fingerprint().to_le_bytes().as_slice(), fingerprint.bytes);
    }
    // Logical types are stripped, as Java and Python do; apache-avro leaves the braces.
    let stripped = schema(&field(&logical("long", "timestamp-millis"))).unwrap();
    assert_eq!(stripped.canonical_form(), schema(&field(&json!("long"))).unwrap().canonical_form());
    // From the specification: the fingerprint of "int" is 0x7275d51a3f395c8f.
    assert_eq!(schema(&json!("int")).unwrap().fingerprint(), 0x7275_d51a_3f39_5c8f);
}

#[test]
fn json_is_written_as_avro() {
    let decimal = |precision: u8, scale: u8| json!({"type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale});
    let long = json!("long");
    let int = json!("int");
    let cases = [
        (json!("boolean"), json!("boolean"), json!(true), Avro::Boolean(true)),
        (int.clone(), int.clone(), json!(-2_147_483_648_i64), Avro::Int(i32::MIN)),
        (int.clone(), int.clone(), json!(5.0), Avro::Int(5)),
        (long.clone(), long.clone(), json!(i64::MIN), Avro::Long(i64::MIN)),
        (json!("float"), json!("float"), json!(1), Avro::Float(1.0)),
        (json!("double"), json!("double"), json!(0.1), Avro::Double(0.1)),
        (json!("double"), json!("double"), json!("-Infinity"), Avro::Double(f64::NEG_INFINITY)),
        (json!("bytes"), json!("bytes"), json!("/wA="), Avro::Bytes(vec![255, 0])),
        (json!("bytes"), json!("bytes"), json!("/wA"), Avro::Bytes(vec![255, 0])),
        (decimal(9, 2), json!("bytes"), json!(12.34), Avro::Bytes(1234_i16.to_be_bytes().to_vec())),
        (decimal(9, 2), json!("bytes"), json!("12.3400"), Avro::Bytes(1234_i16.to_be_bytes().to_vec())),
        (decimal(9, 2), json!("bytes"), json!(-1), Avro::Bytes(vec![0x9c])),
        (decimal(9, 2), json!("bytes"), json!("-2.56"), Avro::Bytes(vec![0xff, 0])),
        (decimal(9, 2), json!("bytes"), json!("1.28"), Avro::Bytes(vec![0, 0x80])),
        (decimal(9, 2), json!("bytes"), json!("-1.28"), Avro::Bytes(vec![0x80])),
        (decimal(9, 2), json!("bytes"), json!("-0"), Avro::Bytes(vec![0])),
        (decimal(9, 2), json!("bytes"), json!("1e3"), Avro::Bytes(100_000_i32.to_be_bytes()[1..].to_vec())),
        (logical("int", "date"), int.clone(), json!("1969-12-31"), Avro::Int(-1)),
        (logical("int", "date"), int.clone(), json!(19_000), Avro::Int(19_000)),
        (logical("int", "time-millis"), int.clone(), json!("00:00:01.5"), Avro::Int(1500)),
        (logical("long", "time-micros"), long.clone(), json!("23:59:59.999999"), Avro::Long(86_399_999_999)),
        (
            logical("long", "timestamp-millis"),
            long.clone(),
            json!("1970-01-01T01:00:00.250+01:00"),
            Avro::Long(250),
        ),
        (logical("long", "timestamp-millis"), long.clone(), json!("1969-12-31 23:59:59.999"), Avro::Long(-1)),
        (
            logical("long", "timestamp-micros"),
            long.clone(),
            json!("1970-01-01 00:00:00.000007"),
            Avro::Long(7),
        ),
        (
            logical("long", "timestamp-nanos"),
            long.clone(),
            json!("1970-01-01T00:00:00.000000007Z"),
            Avro::Long(7),
        ),
        (
            logical("long", "local-timestamp-millis"),
            long.clone(),
            json!("1970-01-02T00:00:00"),
            Avro::Long(86_400_000),
        ),
        (json!(["null", "int"]), json!(["null", "int"]), json!(null), Avro::Union(0, Box::new(Avro::Null))),
        (
            json!(["null", "int"]),
            json!(["null", "int"]),
            json!({"int": 5}),
            Avro::Union(1, Box::new(Avro::Int(5))),
        ),
        (
            json!(["int", "string"]),
            json!(["int", "string"]),
            json!("5"),
            Avro::Union(1, Box::new(Avro::String("5".to_owned()))),
        ),
        (
            json!(["int", "long", "null"]),
            json!(["int", "long", "null"]),
            json!({"int": null, "long": 5}),
            Avro::Union(1, Box::new(Avro::Long(5))),
        ),
        (
            json!({"type": "fixed", "name": "D", "size": 12, "logicalType": "duration"}),
            json!({"type": "fixed", "name": "D", "size": 12}),
            json!({"months": 1, "milliseconds": 258}),
            Avro::Fixed(12, vec![1, 0, 0, 0, 0, 0, 0, 0, 2, 1, 0, 0]),
        ),
        (
            json!({"type": "fixed", "name": "D", "size": 4, "logicalType": "decimal", "precision": 5, "scale": 1}),
            json!({"type": "fixed", "name": "D", "size": 4}),
            json!("-0.2"),
            Avro::Fixed(4, vec![255, 255, 255, 254]),
        ),
    ];
    for (ty, plain, value, expected) in cases {
        assert_eq!(written(ty.clone(), plain, value.clone()), Ok(expected), "{ty} {value}");
    }
}

#[test]
fn whole_numbers_are_read_as_they_are_written() {
    let written = |ty: &str, number: &str| {
        let encoder = Encoder::with_schema(schema(&field(&json!(ty))).unwrap(), Frame::Raw).unwrap();
        let record = json::Value::parse(&format!("{{\"x\": {number}}}")).unwrap();
        let mut out = Vec::new();
        encoder.encode_exact(&record, &mut out).map(|()| out).map_err(|error| error.to_string())
    };
    let cases = [
        ("long", "9007199254740993.0", 9_007_199_254_740_993),
        ("long", "9007199254740993e0", 9_007_199_254_740_993),
        ("long", "9223372036854775807.00", i64::MAX),
        ("long", "-9223372036854775808.0", i64::MIN),
        ("long", "1e18", 1_000_000_000_000_000_000),
        ("int", "-2147483648.0", i64::from(i32::MIN)),
        ("int", "-2.5e1", -25),
        ("int", "256.0", 256),
        ("int", "-0.0", 0),
    ];
    for (ty, number, expected) in cases {
        let mut bytes = Vec::new();
        write_long(expected, &mut bytes);
        assert_eq!(written(ty, number), Ok(bytes), "{number}");
    }
    let long = "expected a long, -9223372036854775808 to 9223372036854775807";
    for (ty, number, expected) in [
        ("int", "1.0000000000000000000001", "expected an integer"),
        ("long", "9007199254740992.5", "expected an integer"),
        ("long", "-9223372036854775809", long),
        ("long", "9223372036854775808.0", long),
        ("long", "1e30", long),
        ("long", "1e-9223372036854775808", "expected an integer"),
        ("int", "2147483648.0", "expected an int, -2147483648 to 2147483647"),
    ] {
        let error = written(ty, number).unwrap_err();
        assert!(error.contains(expected), "{number}: {error}");
    }
}

#[test]
fn what_does_not_fit_is_refused_with_its_field() {
    let decimal = json!({"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2});
    let address = json!({"type": "record", "name": "A", "fields": [{"name": "street", "type": "string"}]});
    let cases = [
        (
            json!("int"),
            json!(2_147_483_648_i64),
            "field `x`: found 2147483648, expected an int, -2147483648 to 2147483647",
        ),
        (json!("int"), json!("5"), "field `x`: found \"5\", expected an integer"),
        (json!("int"), json!(5.5), "field `x`: found 5.5, expected an integer"),
        (
            json!("long"),
            json!(u64::MAX),
            "found 18446744073709551615, expected a long, -9223372036854775808 to 9223372036854775807",
        ),
        (json!("long"), json!(1e19), "expected a long"),
        (json!("long"), json!(1.5e-3), "expected an integer"),
        (json!("float"), json!(1e39), "expected a float"),
        (json!("string"), json!(5), "field `x`: found 5, expected a string"),
        (json!(["null", "string"]), json!(5), "field `x`: found 5, expected a string, or null"),
        (json!(["int", "string"]), json!(true), "field `x`: found true, expected one of int, string"),
        (json!("bytes"), json!("?"), "expected bytes as base64"),
        (json!({"type": "fixed", "name": "F", "size": 3}), json!("AQI="), "found 2 bytes, expected 3 bytes"),
        (
            decimal.clone(),
            json!(1.234),
            "found 1.234, with too many digits after the point, expected a decimal of up to 4 digits, 2 of them after the point",
        ),
        (decimal.clone(), json!(100), "found 100, with too many digits"),
        (decimal.clone(), json!("1e99999999999"), "with too many digits"),
        (decimal.clone(), json!("1e-9223372036854775808"), "with too many digits after the point"),
        (decimal.clone(), json!("1,5"), "found \"1,5\", expected a decimal"),
        (
            decimal,
            json!(0.123_456_789_012_345_67),
            "found 0.12345678901234566, with too many digits after the point",
        ),
        (logical("int", "date"), json!("2023-02-29"), "found \"2023-02-29\", expected a date as yyyy-mm-dd"),
        (logical("int", "time-millis"), json!("24:00:00"), "expected a time as hh:mm:ss[.fff]"),
        (logical("int", "time-millis"), json!("23:59:60"), "expected a time"),
        (logical("int", "time-millis"), json!(86_400_000), "expected a time"),
        (logical("long", "timestamp-millis"), json!("2023-01-01 00:00:00.0001"), "expected a timestamp as"),
        (
            logical("long", "local-timestamp-millis"),
            json!("2023-01-01T00:00:00Z"),
            "expected a timestamp without a zone",
        ),
        (logical("string", "uuid"), json!("123"), "expected a uuid"),
        (
            json!({"type": "enum", "name": "E", "symbols": ["DEPOSIT", "WITHDRAW"]}),
            json!("DEPOSITS"),
            "found \"DEPOSITS\", expected one of DEPOSIT, WITHDRAW\nhint: did you mean `DEPOSIT`?",
        ),
        (address.clone(), json!({"street": 5}), "field `x.street`: found 5, expected a string"),
        (
            address.clone(),
            json!({}),
            "field `x.street`: found nothing, expected a value, as the schema has no default",
        ),
        (address.clone(), json!({"stret": "a"}), "hint: is `stret` meant to be `street`?"),
        (
            address.clone(),
            json!({"street": "a", "Street": "b"}),
            "field `x.Street`: found a field the schema does not have, expected one of the fields of `A`\nhint: did you mean `street`?",
        ),
        (
            json!({"type": "array", "items": address}),
            json!([{"street": "a"}, {"street": null}]),
            "field `x[1].street`: found null, expected a string",
        ),
        (
            json!({"type": "map", "values": {"type": "array", "items": "int"}}),
            json!({"k": [1, "x"]}),
            "field `x[\"k\"][1]`: found \"x\"",
        ),
    ];
    for (ty, value, expected) in cases {
        let error = written(ty.clone(), json!("null"), value.clone()).unwrap_err();
        assert!(error.contains(expected), "{ty} {value}: {error}");
    }
}

#[test]
fn missing_fields_take_their_default() {
    let text = record(json!([
        {"name": "a", "type": "int"},
        {"name": "b", "type": ["null", "string"], "default": null},
        {"name": "c", "type": "bytes", "default": "\u{00ff}"},
        {"name": "d", "type": {"type": "record", "name": "D", "fields": [
            {"name": "p", "type": "int", "default": 4}, {"name": "q", "type": "string"}]}, "default": {"q": "z"}},
        {"name": "e", "type": {"type": "int", "logicalType": "date"}, "default": 3},
    ]));
    let encoder = Encoder::with_schema(schema(&text).unwrap(), Frame::Confluent(258)).unwrap();
    assert_eq!(encoder.field_names().collect::<Vec<_>>(), ["a", "b", "c", "d", "e"]);
    let mut out = Vec::new();
    encoder.encode(&json!({"a": 1}), &mut out).unwrap();
    assert_eq!(out, [0, 0, 0, 1, 2, 2, 0, 2, 0xff, 8, 2, b'z', 6]);
    let wrong = record(json!([{"name": "a", "type": "int", "default": null}]));
    let error = Encoder::with_schema(schema(&wrong).unwrap(), Frame::Raw).unwrap_err().to_string();
    assert_eq!(error, "a.avsc: the default of `a` in `R`: found null, expected an integer");
}

#[test]
fn a_default_without_a_near_end_is_refused() {
    let refused = |ty: &Value| match Encoder::with_schema(schema(&field(ty)).unwrap(), Frame::Raw) {
        Ok(_) => String::new(),
        Err(error) => error.to_string(),
    };
    let of = |ty: Value, default: Value| json!({"type": "record", "name": "B", "fields": [{"name": "c", "type": ty, "default": default}]});
    let itself = "found a default that contains itself, expected one that has an end";
    let error = refused(&of(json!(["B", "null"]), json!({})));
    assert_eq!(error, format!("a.avsc: the default of `c` in `B`: field `c`: {itself}"));
    let error = refused(&of(json!({"type": "array", "items": "B"}), json!([{}])));
    assert_eq!(error, format!("a.avsc: the default of `c` in `B`: field `[0].c`: {itself}"));
    // Each of two records may be tried in each of the other.
    let fields = json!([{"name": "c", "type": ["B", "C"], "default": {}}]);
    let other = json!({"type": "record", "name": "C", "fields": fields});
    let error = refused(&of(json!(["B", other]), json!({})));
    assert!(error.contains("the default of `c` in `B`: found {}, expected one of B, C"), "{error}");
    // Each default leaves out some of the next fields: all of them, which are 2^30, or the next one alone.
    let chain = |length: usize, leaves_out: &dyn Fn(usize, usize) -> bool| {
        let field = |index: usize| {
            let kept = (0..length).filter(|other| !leaves_out(index, *other));
            let default: serde_json::Map<_, _> =
                kept.map(|other| (format!("c{other}"), Value::Null)).collect();
            json!({"name": format!("c{index}"), "type": ["B", "null"], "default": default})
        };
        let fields: Vec<Value> = (0..length).map(field).collect();
        json!({"type": "record", "name": "B", "fields": fields})
    };
    let error = refused(&chain(30, &|index, other| other > index));
    assert!(error.contains("found defaults of more than 1048576 characters in each other"), "{error}");
    let error = refused(&chain(100, &|index, other| other == index + 1));
    assert!(error.contains("found defaults more than 64 deep in each other"), "{error}");
    assert_eq!(refused(&chain(60, &|index, other| other == index + 1)), "");
}

#[test]
fn unions_in_unions_try_each_record_once() {
    let branches = json!(["null", "A", "B"]);
    let fields = |of: Value| json!([{"name": "l", "type": of}, {"name": "r", "type": branches}]);
    let b = json!({"type": "record", "name": "B", "fields": fields(branches.clone())});
    let a = json!({"type": "record", "name": "A", "fields": fields(json!(["null", "A", b]))});
    // Each of the records may be an A or a B, and the innermost is neither.
    let tree = |leaf: Value| (0..60).fold(leaf, |inner, _| json!({"l": null, "r": inner}));
    let error = written(a.clone(), json!("null"), tree(json!(5))).unwrap_err();
    assert!(error.contains("expected one of null, A, B"), "{error}");
    let encoder = Encoder::with_schema(schema(&a).unwrap(), Frame::Raw).unwrap();
    let mut out = Vec::new();
    encoder.encode(&tree(json!(null)), &mut out).unwrap();
    assert_eq!(out, [[0_u8, 2].repeat(59), vec![0, 0]].concat());
    // A key may be the name of the branch, too.
    let list = json!({"type": "record", "name": "N", "fields": [{"name": "N", "type": ["null", "N"]}]});
    let nested = (0..80).fold(json!(5), |inner, _| json!({"N": inner}));
    let error = written(list, json!("null"), nested).unwrap_err();
    assert!(error.contains("found 5, expected an object with the fields of `N`"), "{error}");
}
