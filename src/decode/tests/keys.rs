//! Keys: each format's values, what does not fit it, and the laws of keys in Avro, which are read as payloads are.

use arrow::array::{Array as _, ArrayRef, AsArray as _};
use arrow::datatypes::{DataType, Int32Type, Int64Type};
use arrow::util::display::array_value_to_string;
use proptest::prelude::*;

use super::laws::{record_and_values, schemas, written};
use super::*;

/// A decoder of records of one int `n`, whose keys are read so.
fn decoder_of(keys: Keys) -> Decoder {
    let one = record(json!([["n", "int"]]));
    decoder(&one, &one).unwrap().with_keys(keys)
}

fn avro(writers: Writers, reader: &Schema) -> Keys {
    Keys::Avro(Box::new(AvroPart::new(Side::Key, reader, writers).unwrap()))
}

/// Keys without a frame, written with the schema that they are read by.
fn raw(reader: &Schema) -> Keys {
    avro(Writers::Raw(plan::plan(reader, reader).unwrap()), reader)
}

/// What a key is in one of the formats, as text; `None`: a dead letter.
type ValueOf<'a> = &'a dyn Fn(&[u8]) -> Option<String>;

/// Messages with these keys and headers, whose payloads are their numbers.
fn keyed(keys: &[(Option<&[u8]>, Headers)]) -> Messages {
    keyed_with(keys, |offset| vec![2 * offset as u8])
}

fn keyed_with(keys: &[(Option<&[u8]>, Headers)], payload: impl Fn(i64) -> Vec<u8>) -> Messages {
    let mut builder = MessagesBuilder::default();
    let topic = Arc::from("t");
    for (offset, (key, headers)) in (0..).zip(keys) {
        let payload = payload(offset);
        let (key, payload) = (*key, Some(payload.as_slice()));
        builder.push(Message { key, payload, headers, ..Message::tombstone(&topic, 0, offset) });
    }
    builder.finish()
}

/// The keys' column, where each message went, and why those without a row have none.
fn decoded(decoder: &mut Decoder, keys: &[Option<&[u8]>]) -> (ArrayRef, Vec<u32>, Vec<String>) {
    let keys: Vec<_> = keys.iter().map(|key| (*key, Headers::new())).collect();
    let Decoded { batch, places, dead_letters } = decoder.decode(&keyed(&keys)).unwrap();
    assert_eq!(places.len() + dead_letters.len(), keys.len());
    for letter in &dead_letters {
        assert_eq!((letter.stage, letter.place.as_str()), (Stage::Decode, "kafka_key"));
        assert_eq!(
            (letter.key.as_deref(), letter.kind.clone()),
            (keys[letter.offset as usize].0, LetterKind::Other)
        );
    }
    // The payloads went with their keys.
    let numbers = batch["n"].as_primitive::<Int32Type>().values().to_vec();
    assert_eq!(numbers, places.iter().map(|place| *place as i32).collect::<Vec<_>>());
    let reasons = dead_letters.iter().map(|letter| letter.reason.message.clone()).collect();
    (Arc::clone(&batch["kafka_key"]), places, reasons)
}

fn shown(column: &ArrayRef) -> Vec<String> {
    (0..column.len()).map(|row| array_value_to_string(column, row).unwrap()).collect()
}

#[test]
fn each_format_has_its_type_and_takes_what_fits() {
    let (int, long) = ((-7_i32).to_be_bytes(), i64::MIN.to_be_bytes());
    let keys: [Option<&[u8]>; 6] =
        [Some(&int), Some(&long), Some("José".as_bytes()), Some(&[b'a', 0xff]), Some(b""), None];
    let cases: [(Keys, DataType, &[u32]); 4] = [
        (Keys::Bytes, DataType::Binary, &[0, 1, 2, 3, 4, 5]),
        (Keys::Text, DataType::Utf8, &[2, 4, 5]),
        (Keys::Int, DataType::Int32, &[0, 5]),
        (Keys::Long, DataType::Int64, &[1, 5]),
    ];
    for (format, data_type, fitting) in cases {
        let mut decoder = decoder_of(format);
        let (column, places, _) = decoded(&mut decoder, &keys);
        assert_eq!((column.data_type(), places.as_slice()), (&data_type, fitting));
        assert_eq!(decoder.schema().field_with_name("kafka_key").unwrap().data_type(), &data_type);
        assert!(column.is_null(column.len() - 1), "no key is NULL");
        assert_eq!(column.null_count(), 1, "{column:?}");
    }
    let texts = decoded(&mut decoder_of(Keys::Text), &keys).0;
    assert_eq!(texts.as_string::<i32>().iter().collect::<Vec<_>>(), [Some("José"), Some(""), None]);
    let extremes = [i64::MIN, -1, 0, 1, i64::MAX].map(i64::to_be_bytes);
    let longs = extremes.each_ref().map(|key| Some(key.as_slice()));
    let (column, _, reasons) = decoded(&mut decoder_of(Keys::Long), &longs);
    assert_eq!(column.as_primitive::<Int64Type>().values().to_vec(), [i64::MIN, -1, 0, 1, i64::MAX]);
    assert!(reasons.is_empty());
    let ints = [i32::MIN, 256, i32::MAX].map(i32::to_be_bytes);
    let (column, ..) = decoded(&mut decoder_of(Keys::Int), &ints.each_ref().map(|key| Some(key.as_slice())));
    assert_eq!(column.as_primitive::<Int32Type>().values().to_vec(), [i32::MIN, 256, i32::MAX]);
}

#[test]
fn a_key_that_does_not_fit_is_named_with_what_was_found() {
    let text = record(json!([["a", "string"]]));
    let cases: [(Keys, &[u8], &str); 8] = [
        (Keys::Text, b"ab\xff", "kafka_key, byte 2: found ff, expected UTF-8 (key_format: text)"),
        (Keys::Int, b"", "kafka_key: found 0 bytes, expected 4 (key_format: int)"),
        (Keys::Int, &[0; 8], "kafka_key: found 8 bytes, expected 4 (key_format: int)"),
        (Keys::Long, &[0; 4], "kafka_key: found 4 bytes, expected 8 (key_format: long)"),
        (raw(&text), b"", "kafka_key, byte 0: the key is empty"),
        (raw(&text), &[6, b'x'], "kafka_key, byte 0: field `a`: a string of 3 bytes, and 1 are left"),
        (raw(&text), &[2, b'x', 0], "kafka_key, byte 2: 1 bytes are left over after the last field"),
        (
            avro(Writers::Confluent([].into()), &text),
            &[9, 0, 0, 0, 1, 0],
            "kafka_key, byte 0: a Confluent key starts with 00, found 09",
        ),
    ];
    for (keys, key, reason) in cases {
        let (_, places, reasons) = decoded(&mut decoder_of(keys), &[None, Some(key), None]);
        assert_eq!((places, reasons), (vec![0, 2], vec![reason.to_owned()]));
    }
}

#[test]
fn keys_in_avro_are_of_the_type_of_their_schema() {
    let cases = [
        (json!("long"), vec![1], "-1"),
        (json!("string"), vec![2, b'x'], "x"),
        (json!("boolean"), vec![1], "true"),
        (json!({"type": "int", "logicalType": "date"}), vec![2], "1970-01-02"),
        (json!({"type": "enum", "name": "E", "symbols": ["A", "B"]}), vec![2], "B"),
        (json!({"type": "fixed", "name": "F", "size": 2}), vec![1, 2], "0102"),
        (
            json!({"type": "string", "logicalType": "uuid"}),
            [&[72][..], &[b'0'; 8], b"-", &[b'0'; 4], b"-", &[b'0'; 4], b"-", &[b'0'; 4], b"-", &[b'0'; 12]]
                .concat(),
            "00000000-0000-0000-0000-000000000000",
        ),
        (json!({"type": "array", "items": "int"}), vec![4, 2, 4, 0], "[1, 2]"),
        (json!({"type": "map", "values": "int"}), vec![2, 2, b'k', 2, 0], "{k: 1}"),
        (json!(["null", "int"]), vec![2, 14], "7"),
        (json!(["int", "string"]), vec![2, 2, b'x'], "{int: , string: x}"),
        (
            json!({"type": "record", "name": "K", "fields": [
                {"name": "id", "type": "int"}, {"name": "at", "type": ["null", "string"]}]}),
            vec![14, 0],
            "{id: 7, at: }",
        ),
    ];
    for (ty, key, expected) in cases {
        let mut decoder = decoder_of(raw(&schema(&ty)));
        for keys in [vec![Some(key.as_slice()), None, Some(&key)], vec![None, None], vec![Some(&key)], vec![]]
        {
            let (column, _, reasons) = decoded(&mut decoder, &keys);
            assert_eq!(reasons, [""; 0], "{ty}");
            let shown = shown(&column);
            let expected: Vec<&str> = keys.iter().map(|key| key.map_or("", |_| expected)).collect();
            assert_eq!(shown, expected, "{ty}");
            assert_eq!(column.null_count(), keys.iter().filter(|key| key.is_none()).count(), "{ty}");
        }
    }
    // A record that is not there has no fields either.
    let key = record(json!([["id", "int"]]));
    let (column, ..) = decoded(&mut decoder_of(raw(&key)), &[None, Some(&[14])]);
    let ids = column.as_struct().column(0).as_primitive::<Int32Type>().iter().collect::<Vec<_>>();
    assert_eq!(ids, [None, Some(7)]);
    // A null of Avro is one of SQL.
    let (column, ..) = decoded(&mut decoder_of(raw(&schema(&json!(["null", "int"])))), &[Some(&[0])]);
    assert_eq!(column.null_count(), 1);
    let nothing = AvroPart::new(Side::Key, &schema(&json!("null")), Writers::Confluent([].into()));
    let error = nothing.unwrap_err().to_string();
    assert!(error.contains("it takes no byte, so a key cannot be told from an empty one"), "{error}");
}

/// A folder with schema files, by their names.
fn files(schemas: &[(&str, Value)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, schema) in schemas {
        std::fs::write(folder.path().join(name), schema.to_string()).unwrap();
    }
    folder
}

#[test]
fn frames_of_keys_name_their_own_schemas() {
    let payload = json!({"type": "record", "name": "R", "fields": [{"name": "n", "type": "int"}]});
    let older = json!({"type": "record", "name": "K", "fields": [{"name": "id", "type": "int"}]});
    let key = json!({"type": "record", "name": "K", "fields": [
        {"name": "id", "type": "long"}, {"name": "area", "type": "string", "default": "none"}]});
    let folder = files(&[("payload", payload), ("older", older), ("key", key)]);
    let path = |name: &str| folder.path().join(name);
    let config = |framing: Framing| AvroConfig {
        schema: path("payload"),
        framing: framing.clone(),
        tombstones: Tombstones::Skip,
        key: KeyFormat::Avro { schema: path("key"), framing },
    };
    let of = |id: u32, rest: &[u8]| [&[0][..], &id.to_be_bytes(), rest].concat();
    let header = |value: &[u8]| vec![("__key_schema_id".to_owned(), Some(value.to_vec()))];
    // Files of keys are no fault of payloads, and the other way round.
    let writer_schemas = [(1, path("payload")), (2, path("older")), (3, path("key"))].into();
    let confluent = config(Framing::Confluent { writer_schemas });
    assert_eq!(Decoder::faults(&confluent), []);
    let keys = [
        (Some(&of(2, &[14])[..]), Headers::new()),
        (Some(&of(3, &[16, 2, b'x'])), Headers::new()),
        (Some(&[18]), header(&[0, 0, 0, 0, 2])),
        (Some(&of(1, &[14])), Headers::new()),
        (Some(&of(4, &[14])), Headers::new()),
    ];
    let messages = keyed_with(&keys, |_| of(1, &[0]));
    let mut decoder = Decoder::new(&confluent).unwrap();
    let Decoded { batch, dead_letters, .. } = decoder.decode(&messages).unwrap();
    let expected = ["{id: 7, area: none}", "{id: 8, area: x}", "{id: 9, area: none}"];
    assert_eq!(shown(&batch["kafka_key"]), expected);
    let reasons: Vec<&str> = dead_letters.iter().map(|letter| letter.reason.message.as_str()).collect();
    assert!(
        reasons[0].starts_with("kafka_key, byte 1: ") && reasons[0].contains("no such field"),
        "{reasons:?}"
    );
    assert!(reasons[1].starts_with("kafka_key, byte 1: schema id 4 is unknown"), "{reasons:?}");
    // What is not known is asked for once, whichever part names it first, and waited for at the first message that does.
    let id = SchemaId::Number;
    assert_eq!(decoder.unknown_ids(&messages, None), [(4, id(4))]);
    let first = |ids: &[u32]| decoder.first_of(&messages, &ids.iter().copied().map(id).collect());
    assert_eq!(first(&[3, 4]), [(1, id(3))]);
    assert_eq!(first(&[1, 2]).len(), 1);
    // What this program writes is what it reads.
    let encoder = KeyEncoder::for_config(&confluent.key).unwrap();
    let written = encoder.encode(&(&json!({"id": 8, "area": "x"})).into()).unwrap();
    assert_eq!(written, Some(of(3, &[16, 2, b'x'])));
    let payloads = Encoder::for_config(&confluent).unwrap();
    let mut payload = Vec::new();
    payloads.encode(&json!({"n": 0}), &mut payload).unwrap();
    assert_eq!(payload, of(1, &[0]));

    let single = config(Framing::SingleObject { writer_schemas: vec![path("older")] });
    assert_eq!(Decoder::faults(&single), []);
    let written = |name: &str, value: Value| {
        let schema = Schema::read(&path(name)).unwrap();
        let encoder = KeyEncoder::with_schema(schema, Frame::SingleObject).unwrap();
        encoder.encode(&(&value).into()).unwrap().unwrap()
    };
    let mut payload = Frame::SingleObject.header(&Schema::read(&path("payload")).unwrap());
    payload.push(0);
    let (older, newer) = (written("older", json!({"id": 1})), written("key", json!({"id": 2})));
    let keys = [(Some(&older[..]), Headers::new()), (Some(&newer[..]), Headers::new())];
    let decoded = Decoder::new(&single).unwrap().decode(&keyed_with(&keys, |_| payload.clone())).unwrap();
    assert_eq!(shown(&decoded.batch["kafka_key"]), ["{id: 1, area: none}", "{id: 2, area: none}"]);
}

#[test]
fn a_file_that_is_for_neither_part_is_a_fault() {
    let payload = json!({"type": "record", "name": "R", "fields": [{"name": "n", "type": "int"}]});
    let folder = files(&[("payload", payload), ("key", json!("string")), ("other", json!("boolean"))]);
    let path = |name: &str| folder.path().join(name);
    let framing = Framing::Confluent { writer_schemas: [(1, path("key")), (2, path("other"))].into() };
    let config = AvroConfig {
        schema: path("payload"),
        framing: framing.clone(),
        tombstones: Tombstones::Skip,
        key: KeyFormat::Avro { schema: path("key"), framing },
    };
    let faults = Decoder::faults(&config);
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(faults[0].to_string().contains("the schema is of type boolean, expected a record"), "{faults:?}");
    let absent =
        AvroConfig { key: KeyFormat::Avro { schema: path("absent"), framing: Framing::NONE }, ..config };
    assert!(Decoder::faults(&absent)[0].to_string().contains("cannot be read"));
}

#[test]
fn what_keys_take_as_columns_is_bounded_too() {
    let texts = schema(&json!("string"));
    let key = [&[100][..], &[b'x'; 50]].concat();
    let mut decoder = decoder_of(raw(&texts)).bounded(200);
    assert!(decoder.rows_max() < 200 / 4, "a key takes a place of its own");
    let (_, places, _) = decoded(&mut decoder, &[Some(&key), None]);
    assert_eq!(places, [0, 1]);
    let many = vec![(Some(key.as_slice()), Headers::new()); 5];
    let error = decoder.decode(&keyed(&many)).unwrap_err();
    assert_eq!(error.to_string(), "5 messages take more than 200 bytes as columns");
    // Nothing of them is left.
    assert_eq!(decoded(&mut decoder, &[Some(&key)]).1, [0]);
}

#[test]
fn a_failure_behind_the_validator_costs_only_the_keys_to_blame() {
    // The plan of bytes lets anything through that a string then refuses.
    let (bytes, string) = (schema(&json!("bytes")), schema(&json!("string")));
    let keys = avro(Writers::Raw(plan::plan(&bytes, &bytes).unwrap()), &string);
    let messages = keyed(&[
        (Some(&[2, b'a']), Headers::new()),
        (Some(&[2, 0xff]), Headers::new()),
        (None, Headers::new()),
        (Some(&[2, b'b']), Headers::new()),
    ]);
    let Decoded { batch, places, dead_letters } = decoder_of(keys).decode(&messages).unwrap();
    assert_eq!(
        (shown(&batch["kafka_key"]), places),
        (vec!["a".into(), String::new(), "b".into()], vec![0, 2, 3])
    );
    assert_eq!(dead_letters.len(), 1);
    assert_eq!(rows(&batch), [json!({"n": 0}), json!({"n": 2}), json!({"n": 3})]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever bytes a key is, its message is a row with the value that they mean, or a dead letter.
    #[test]
    fn any_key_is_a_value_or_a_dead_letter(
        keys in proptest::collection::vec(proptest::option::of(any_key()), 1..20),
    ) {
        let keys: Vec<Option<&[u8]>> = keys.iter().map(Option::as_deref).collect();
        let long = |key: &[u8]| Some(i64::from_be_bytes(key.try_into().ok()?).to_string());
        let int = |key: &[u8]| Some(i32::from_be_bytes(key.try_into().ok()?).to_string());
        let text = |key: &[u8]| String::from_utf8(key.to_vec()).ok();
        let hex = |key: &[u8]| Some(key.iter().map(|byte| format!("{byte:02x}")).collect());
        let formats: [(Keys, ValueOf<'_>); 4] =
            [(Keys::Bytes, &hex), (Keys::Text, &text), (Keys::Int, &int), (Keys::Long, &long)];
        for (format, value) in formats {
            let (column, places, _) = decoded(&mut decoder_of(format), &keys);
            let expected: Vec<(u32, Option<String>)> = (0..)
                .zip(&keys)
                .filter_map(|(place, key)| match key {
                    None => Some((place, None)),
                    Some(key) => Some((place, Some(value(key)?))),
                })
                .collect();
            let found = shown(&column).into_iter().enumerate();
            let found = found.map(|(row, text)| (!column.is_null(row)).then_some(text));
            prop_assert_eq!(places.into_iter().zip(found).collect::<Vec<_>>(), expected);
        }
    }

    /// A key in Avro is accepted if the same bytes are as a payload of one field, and it has the same value.
    #[test]
    fn any_key_in_avro_is_read_as_a_payload_is(
        (ty, values) in record_and_values(),
        broken in proptest::collection::vec(any_key(), 0..4),
        cut in any::<proptest::sample::Index>(),
    ) {
        let (ours, theirs) = schemas(&ty);
        let mut keys = written(&theirs, &values);
        if let Some(first) = keys.first().cloned().filter(|first| !first.is_empty()) {
            keys.push(first[..cut.index(first.len())].to_vec());
        }
        keys.extend(broken);
        let slices: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
        let payloads = decoder(&ours, &ours).unwrap().decode(&messages(&slices)).unwrap();
        let with_none: Vec<Option<&[u8]>> = slices.iter().flat_map(|key| [None, Some(*key)]).collect();
        let (column, places, reasons) = decoded(&mut decoder_of(raw(&ours)), &with_none);
        let accepted: Vec<u32> = places.into_iter().filter(|place| place % 2 == 1).map(|place| place / 2).collect();
        prop_assert_eq!(&accepted, &payloads.places);
        prop_assert_eq!(reasons.len(), payloads.dead_letters.len());
        let keys = column.as_struct();
        let with_keys: Vec<usize> = (0..keys.len()).filter(|row| keys.is_valid(*row)).collect();
        prop_assert_eq!(with_keys.len(), accepted.len());
        for (place, values) in keys.columns().iter().enumerate() {
            for (row, of_payload) in with_keys.iter().zip(0..) {
                prop_assert_eq!(&values.slice(*row, 1), &payloads.batch.column(place).slice(of_payload, 1));
            }
        }
    }
}

fn any_key() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..12),
        proptest::collection::vec(any::<u8>(), 4),
        proptest::collection::vec(any::<u8>(), 8),
        "\\PC{0,6}".prop_map(String::into_bytes),
    ]
}
