use std::sync::Arc;

use arrow::array::*;
use arrow::buffer::OffsetBuffer;

use super::*;

fn json(array: &dyn Array) -> Vec<String> {
    (0..array.len())
        .map(|row| {
            let mut out = String::new();
            match write(&mut out, array, row) {
                Ok(()) => out,
                Err(error) => format!("error: {error}"),
            }
        })
        .collect()
}

#[test]
fn numbers_keep_their_digits() {
    assert_eq!(json(&UInt64Array::from(vec![Some(u64::MAX), None])), ["18446744073709551615", "null"]);
    assert_eq!(json(&Float64Array::from(vec![0.1, 1e300, -0.0, 3.0])), ["0.1", "1e300", "-0.0", "3.0"]);
    assert_eq!(json(&Float32Array::from(vec![0.1])), ["0.1"]);
    let decimal = Decimal128Array::from(vec![12_345_678_901_234_567_890_123_456_789_i128, -5])
        .with_precision_and_scale(38, 2)
        .expect("fits");
    assert_eq!(json(&decimal), ["123456789012345678901234567.89", "-0.05"]);
    let infinite = json(&Float64Array::from(vec![f64::NAN, f64::INFINITY]));
    assert_eq!(infinite, ["error: NaN is no number of JSON", "error: inf is no number of JSON"]);
}

#[test]
fn text_is_escaped_as_serde_json_reads_it() {
    let texts = ["", "plain", "\"quoted\\\"", "tab\tnew\nline\r", "\u{0}\u{1f}\u{7f}", "José 你好 🦀"];
    for (text, written) in texts.iter().zip(json(&StringArray::from(texts.to_vec()))) {
        assert_eq!(serde_json::from_str::<String>(&written).expect("is JSON"), *text);
    }
}

#[test]
fn times_are_written_for_people() {
    assert_eq!(json(&Date32Array::from(vec![19724, -1])), ["\"2024-01-02\"", "\"1969-12-31\""]);
    let utc = TimestampMillisecondArray::from(vec![1_704_164_645_678, 0]).with_timezone("UTC");
    assert_eq!(json(&utc), ["\"2024-01-02T03:04:05.678Z\"", "\"1970-01-01T00:00:00Z\""]);
    let local = TimestampNanosecondArray::from(vec![1_704_164_645_000_000_001]);
    assert_eq!(json(&local), ["\"2024-01-02T03:04:05.000000001\""]);
    assert_eq!(json(&Time64MicrosecondArray::from(vec![11_045_500_000])), ["\"03:04:05.500\""]);
    assert_eq!(json(&DurationMillisecondArray::from(vec![-1500, 0])), ["\"PT-1.5S\"", "\"PT0S\""]);
    let interval = IntervalMonthDayNanoArray::from(vec![
        IntervalMonthDayNano::new(14, 3, 4_500_000_000),
        IntervalMonthDayNano::new(0, 0, 0),
    ]);
    assert_eq!(json(&interval), ["\"P1Y2M3DT4.5S\"", "\"PT0S\""]);
}

#[test]
fn nested_values_are_nested() {
    let list = ListArray::from_iter_primitive::<Int32Type, _, _>(vec![
        Some(vec![Some(1), None]),
        Some(vec![]),
        None,
        Some(vec![Some(7)]),
    ]);
    assert_eq!(json(&list), ["[1,null]", "[]", "null", "[7]"]);
    assert_eq!(json(&list.slice(3, 1)), ["[7]"]);

    let fields: Fields =
        vec![Field::new("a\"b", DataType::Int32, true), Field::new("items", list.data_type().clone(), true)]
            .into();
    let structs =
        StructArray::new(fields, vec![Arc::new(Int32Array::from(vec![1, 2, 3, 4])), Arc::new(list)], None);
    assert_eq!(json(&structs)[0], r#"{"a\"b":1,"items":[1,null]}"#);

    let entries = StructArray::new(
        vec![Field::new("keys", DataType::Int32, false), Field::new("values", DataType::Binary, true)].into(),
        vec![
            Arc::new(Int32Array::from(vec![1, 2])),
            Arc::new(BinaryArray::from_opt_vec(vec![Some(b"\xff\x00"), None])),
        ],
        None,
    );
    let field = Arc::new(Field::new("entries", entries.data_type().clone(), false));
    let map = MapArray::new(field, OffsetBuffer::new(vec![0, 2].into()), entries, None, false);
    assert_eq!(json(&map), [r#"{"1":"/wA=","2":null}"#]);
}

#[test]
fn encodings_are_seen_through() {
    let dictionary: DictionaryArray<Int8Type> =
        vec![Some("a"), None, Some("b"), Some("a")].into_iter().collect();
    assert_eq!(json(&dictionary), ["\"a\"", "null", "\"b\"", "\"a\""]);
    let runs: RunArray<Int32Type> = vec!["x", "x", "y"].into_iter().collect();
    assert_eq!(json(&runs), ["\"x\"", "\"x\"", "\"y\""]);
    assert_eq!(json(&NullArray::new(1)), ["null"]);
}
