//! One value: whether what came out is what a test says, and how what came out is written in a test.

use arrow::datatypes::DataType;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::value::RawValue;

use super::messages::bytes_of;
use super::number;
use super::table::Kind;
use super::time::time_of_day;
use crate::moment::moment;
use crate::yaml::{self, Node, Value, boolean};

/// Whether a value that came out (as JSON) is the one that is written in a test.
pub(super) fn is_same(written: &Node, came: &str, kind: &Kind, tolerance: Option<f64>) -> bool {
    let kind = match kind {
        Kind::Part => {
            let came: Option<String> = serde_json::from_str(came).ok();
            return written.text().zip(came).is_some_and(|(written, came)| came.contains(written));
        }
        Kind::Arrow(kind) => kind,
    };
    if written.is_null() || came == "null" {
        return written.is_null() && came == "null";
    }
    use DataType as A;
    match (&written.value, kind) {
        (_, A::Dictionary(_, value)) => is_same(written, came, &Kind::Arrow((**value).clone()), tolerance),
        (_, A::Binary | A::LargeBinary | A::BinaryView | A::FixedSizeBinary(_)) => {
            bytes_of(written).is_some_and(|bytes| Some(bytes) == binary(came))
        }
        (Value::Scalar { text, .. }, A::Boolean) => boolean(text).is_some_and(|b| came == b.to_string()),
        (Value::Scalar { text, .. }, kind) if kind.is_floating() => are_near(text, came, tolerance),
        (Value::Scalar { text, .. }, kind) if kind.is_numeric() => number::are_equal(text, came),
        (Value::Scalar { text, .. }, A::Utf8 | A::LargeUtf8 | A::Utf8View) => {
            unquoted(came).is_some_and(|came| came == *text)
        }
        (Value::Scalar { text, .. }, A::Date32 | A::Date64 | A::Timestamp(..)) => {
            let came = unquoted(came);
            moment(text).is_some_and(|written| came.and_then(|came| moment(&came)) == Some(written))
        }
        (Value::Scalar { text, .. }, A::Time32(_) | A::Time64(_)) => {
            let came = unquoted(came);
            time_of_day(text).is_some_and(|written| came.and_then(|came| time_of_day(&came)) == Some(written))
        }
        _ => is_same_json(written, came, tolerance),
    }
}

/// The same without a type: inside of lists, maps and structs.
fn is_same_json(written: &Node, came: &str, tolerance: Option<f64>) -> bool {
    match &written.value {
        Value::Null => came == "null",
        Value::Scalar { text, .. } if came.starts_with('"') => {
            unquoted(came).is_some_and(|came| came == *text)
        }
        Value::Scalar { text, .. } if came == "true" || came == "false" => {
            boolean(text).is_some_and(|written| came == written.to_string())
        }
        Value::Scalar { text, .. } => number::are_equal(text, came) || are_near(text, came, tolerance),
        Value::List(items) => {
            let came: Option<Vec<&RawValue>> = serde_json::from_str(came).ok();
            came.is_some_and(|came| {
                came.len() == items.len()
                    && items.iter().zip(came).all(|(item, came)| is_same_json(item, came.get(), tolerance))
            })
        }
        Value::Map(entries) => {
            let came: Option<std::collections::BTreeMap<String, &RawValue>> = serde_json::from_str(came).ok();
            came.is_some_and(|came| {
                came.len() == entries.len()
                    && entries.iter().all(|(key, value)| {
                        let came = key.text().and_then(|key| came.get(key));
                        came.is_some_and(|came| is_same_json(value, came.get(), tolerance))
                    })
            })
        }
    }
}

fn are_near(written: &str, came: &str, tolerance: Option<f64>) -> bool {
    let (Some(written), Some(came)) = (float(written), float(came)) else { return false };
    written == came
        || (written.is_nan() && came.is_nan())
        || tolerance.is_some_and(|tolerance| (written - came).abs() <= tolerance)
}

/// Two values that came out, as floats, at most `tolerance` apart.
pub(super) fn are_near_floats(a: &str, b: &str, tolerance: f64) -> bool {
    float(a).zip(float(b)).is_some_and(|(a, b)| (a - b).abs() <= tolerance)
}

fn float(text: &str) -> Option<f64> {
    match text {
        ".nan" | ".NaN" | ".NAN" => Some(f64::NAN),
        ".inf" | "+.inf" => Some(f64::INFINITY),
        "-.inf" => Some(f64::NEG_INFINITY),
        text => text.parse().ok(),
    }
}

fn unquoted(json: &str) -> Option<String> {
    serde_json::from_str(json).ok()
}

fn binary(json: &str) -> Option<Vec<u8>> {
    BASE64.decode(unquoted(json)?).ok()
}

/// A value that came out as it is written in a test, so that it reads back as the same.
pub(super) fn written(came: &str, kind: &Kind) -> String {
    use DataType as A;
    match kind {
        Kind::Part => yaml::quoted(&unquoted(came).unwrap_or_default()),
        _ if came == "null" => came.to_owned(),
        Kind::Arrow(A::Dictionary(_, value)) => written(came, &Kind::Arrow((**value).clone())),
        Kind::Arrow(A::Binary | A::LargeBinary | A::BinaryView | A::FixedSizeBinary(_)) => {
            let text = binary(came).and_then(|bytes| String::from_utf8(bytes).ok());
            match text.filter(|text| !text.chars().any(char::is_control)) {
                Some(text) => yaml::quoted(&text),
                None => format!("{{ base64: {came} }}"),
            }
        }
        Kind::Arrow(kind) if kind.is_floating() => match came {
            "NaN" => ".nan".into(),
            "inf" => ".inf".into(),
            "-inf" => "-.inf".into(),
            number => number.to_owned(),
        },
        Kind::Arrow(A::Date32 | A::Date64) => unquoted(came).unwrap_or_default(),
        Kind::Arrow(_) => match unquoted(came) {
            Some(text) => yaml::quoted(&text),
            // Numbers, and lists and objects of JSON, are YAML.
            None => came.to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, BinaryArray, Float64Array, Int64Array, RecordBatch, StringArray};
    use proptest::prelude::*;

    use super::super::table::Table;
    use super::*;

    /// Whether a value that came out, written in a test, is read as the same, in braces and behind a key.
    fn reads_back(column: ArrayRef) -> Result<(), TestCaseError> {
        let batch = RecordBatch::try_from_iter_with_nullable([("v", column, true)]).unwrap();
        let table = Table::of(&batch.schema(), &[batch]);
        let (came, kind) = (&table.rows[0][0], &table.columns[0].kind);
        let written = written(came, kind);
        for text in [format!("[{{ v: {written} }}]\n"), format!("- v: {written}\n  w: 1\n")] {
            let root =
                yaml::parse(&text).map_err(|fault| TestCaseError::fail(format!("{text:?} {fault:?}")))?;
            let root = root.unwrap();
            let Value::List(rows) = &root.value else { panic!("{text}") };
            let Value::Map(entries) = &rows[0].value else { panic!("{text}") };
            let node = &entries[0].1;
            prop_assert!(is_same(node, came, kind, None), "{came} is written {text:?} and read {node:?}");
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn texts_read_back(text in "\\PC*|[ -~]{0,8}|(?s:.{0,6})") {
            reads_back(Arc::new(StringArray::from(vec![Some(text)])))?;
        }

        #[test]
        fn numbers_read_back(integer in any::<i64>(), float in any::<f64>()) {
            reads_back(Arc::new(Int64Array::from(vec![integer])))?;
            reads_back(Arc::new(Float64Array::from(vec![float])))?;
        }

        #[test]
        fn bytes_read_back(bytes in any::<Vec<u8>>(), text in "[a-z0-9 ~:]{0,4}") {
            reads_back(Arc::new(BinaryArray::from(vec![bytes.as_slice()])))?;
            reads_back(Arc::new(BinaryArray::from(vec![text.as_bytes()])))?;
        }
    }

    #[test]
    fn words_and_numbers_that_are_texts_read_back() {
        let texts = [
            "",
            " ",
            "~",
            "null",
            "Null",
            "true",
            "no",
            "1",
            "-1",
            "1_000",
            "0x1F",
            "1e3",
            ".5",
            ".inf",
            "2024-01-01",
            "-",
            "- a",
            "a: b",
            "a #b",
            "#",
            "&a",
            "*a",
            "!a",
            "|",
            ">",
            "%",
            "@",
            "`",
            "'",
            "\"",
            "{",
            "[",
            ",",
            "?",
            ":",
            "<<",
            "=",
            "\\",
            "a\nb",
            "\t",
            "\u{7f}",
            "\u{85}",
            "\u{2028}",
            "\u{feff}",
            "é",
            "日本",
        ];
        for text in texts {
            reads_back(Arc::new(StringArray::from(vec![Some(text)]))).unwrap();
        }
        reads_back(Arc::new(StringArray::from(vec![None::<&str>]))).unwrap();
    }

    fn same(written: &str, came: &str, kind: DataType) -> bool {
        let node = yaml::parse(written).unwrap();
        let node = node.unwrap_or(Node { value: Value::Null, ..Node::empty_map() });
        is_same(&node, came, &Kind::Arrow(kind), None)
    }

    #[test]
    fn values_are_compared_as_what_they_are() {
        use DataType as A;
        use arrow::datatypes::TimeUnit::Microsecond;
        assert!(
            same("130.5", "130.50", A::Decimal128(10, 2)) && !same("130.51", "130.50", A::Decimal128(10, 2))
        );
        assert!(same("0001", "\"0001\"", A::Utf8) && !same("1", "\"0001\"", A::Utf8));
        assert!(same("'null'", "\"null\"", A::Utf8) && !same("null", "\"null\"", A::Utf8));
        assert!(same("7", "7", A::Int32) && same("7.0", "7", A::Int32) && !same("x", "7", A::Int32));
        assert!(same("True", "true", A::Boolean) && !same("1", "true", A::Boolean));
        assert!(same("0.3", "0.3", A::Float64) && !same("0.3", "0.30000000000000004", A::Float64));
        let utc = A::Timestamp(Microsecond, Some("UTC".into()));
        assert!(same("2024-01-01T01:00:00+01:00", "\"2024-01-01T00:00:00Z\"", utc.clone()));
        assert!(same("2024-01-01", "\"2024-01-01T00:00:00Z\"", utc));
        assert!(same(
            "2024-01-01 10:00:00.5",
            "\"2024-01-01T10:00:00.500\"",
            A::Timestamp(Microsecond, None)
        ));
        assert!(same("10:30", "\"10:30:00\"", A::Time64(Microsecond)));
        let list = A::new_list(A::Int32, true);
        assert!(same("[1, 2.0, ~]", "[1,2,null]", list.clone()) && !same("[1]", "[1,2]", list.clone()));
        assert!(same("[{ a: x, b: true }]", r#"[{"a":"x","b":true}]"#, list.clone()));
        assert!(!same("[{ a: x }]", r#"[{"a":"x","b":true}]"#, list));
    }
}
