//! One value as the text of a table's cell: on one line, nothing in it that a terminal would take for a command.

use arrow::array::{Array, AsArray};
use arrow::datatypes::DataType;
use arrow::util::display::{ArrayFormatter, FormatOptions};

use crate::database::json::{self, put};

/// The text of NULL.
pub(crate) const NULL: &str = "NULL";

/// Whether the value at `row` is NULL. Arrow counts no nulls in a column that has nothing else.
pub(crate) fn is_null(array: &dyn Array, row: usize) -> bool {
    array.is_null(row) || *array.data_type() == DataType::Null
}

/// Appends the value at `row`, and says whether it is NULL.
///
/// Texts are written without quotes, but for the text `NULL`, which is no NULL. Bytes are written as the text that they are,
/// or as `b"..."` with what is not printable as `\xNN`, everything else as in
/// JSON.
pub(crate) fn write(out: &mut String, array: &dyn Array, row: usize) -> bool {
    use DataType as A;
    if is_null(array, row) {
        out.push_str(NULL);
        return true;
    }
    match array.data_type() {
        A::Utf8 => text(out, array.as_string::<i32>().value(row)),
        A::LargeUtf8 => text(out, array.as_string::<i64>().value(row)),
        A::Utf8View => text(out, array.as_string_view().value(row)),
        A::Binary => bytes(out, array.as_binary::<i32>().value(row)),
        A::LargeBinary => bytes(out, array.as_binary::<i64>().value(row)),
        A::BinaryView => bytes(out, array.as_binary_view().value(row)),
        A::FixedSizeBinary(_) => bytes(out, array.as_fixed_size_binary().value(row)),
        _ => other(out, array, row),
    }
    false
}

/// The value as a field of CSV: texts as they are, everything else as in JSON without its quotes; nothing for NULL.
pub(crate) fn plain(out: &mut String, array: &dyn Array, row: usize) {
    use DataType as A;
    if is_null(array, row) {
        return;
    }
    match array.data_type() {
        A::Utf8 => out.push_str(array.as_string::<i32>().value(row)),
        A::LargeUtf8 => out.push_str(array.as_string::<i64>().value(row)),
        A::Utf8View => out.push_str(array.as_string_view().value(row)),
        A::Binary => plain_bytes(out, array.as_binary::<i32>().value(row)),
        A::LargeBinary => plain_bytes(out, array.as_binary::<i64>().value(row)),
        A::BinaryView => plain_bytes(out, array.as_binary_view().value(row)),
        A::FixedSizeBinary(_) => plain_bytes(out, array.as_fixed_size_binary().value(row)),
        _ => other(out, array, row),
    }
}

/// Bytes as a field of CSV: the text that they are, or `base64:` and that.
fn plain_bytes(out: &mut String, bytes: &[u8]) {
    match json::printable(bytes) {
        Some(text) => out.push_str(text),
        None => {
            let start = out.len();
            json::base64(out, bytes);
            // Without the quotes of JSON.
            out.pop();
            out.replace_range(start..=start, "base64:");
        }
    }
}

/// Whether values of a type are numbers, which stand at the right and are never cut.
pub(crate) fn is_number(data_type: &DataType) -> bool {
    data_type.is_numeric()
}

fn other(out: &mut String, array: &dyn Array, row: usize) {
    let start = out.len();
    // Bytes in a record, a list or a map, such as the values of headers, are text where they can be.
    let written = match array.data_type().is_nested() {
        true => json::write_bytes(out, array, row),
        false => json::write(out, array, row),
    };
    if written.is_err() {
        // NaN, an infinity, a date beyond the calendar: JSON has none of them, people have.
        out.truncate(start);
        let options = FormatOptions::default();
        if let Ok(formatter) = ArrayFormatter::try_new(array, &options) {
            put(out, format_args!("{}", formatter.value(row)));
        }
        return;
    }
    let is_scalar = !array.data_type().is_nested();
    if is_scalar && out.len() > start + 1 && out[start..].starts_with('"') && out.ends_with('"') {
        out.pop();
        out.remove(start);
    }
}

/// A text. One that reads as NULL, with or without quotes, gets quotes around it.
fn text(out: &mut String, text: &str) {
    let is_like_null = text.trim_matches('\'') == NULL;
    let quote = if is_like_null { "'" } else { "" };
    out.push_str(quote);
    escape(out, text);
    out.push_str(quote);
}

fn escape(out: &mut String, text: &str) {
    for character in text.chars() {
        match character {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() || is_invisible(c) => put(out, format_args!("\\u{{{:x}}}", u32::from(c))),
            c => out.push(c),
        }
    }
}

/// Characters that change the direction or the order of others.
fn is_invisible(character: char) -> bool {
    matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Bytes: as the text that they are, or `b"..."`.
fn bytes(out: &mut String, bytes: &[u8]) {
    if let Some(printed) = json::printable(bytes) {
        return text(out, printed);
    }
    out.push_str("b\"");
    for byte in bytes {
        match byte {
            b'"' | b'\\' => put(out, format_args!("\\{}", char::from(*byte))),
            0x20..0x7f => out.push(char::from(*byte)),
            _ => put(out, format_args!("\\x{byte:02x}")),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{
        ArrayRef, BinaryArray, Decimal128Array, Float64Array, StringArray, StructArray,
        TimestampMillisecondArray,
    };
    use arrow::datatypes::Field;

    use super::*;

    fn cell(array: &dyn Array) -> String {
        let mut out = String::new();
        write(&mut out, array, 0);
        out
    }

    #[test]
    fn one_line_and_nothing_for_the_terminal_to_obey() {
        assert_eq!(cell(&StringArray::from(vec!["José\n\u{1b}[31m\t日"])), "José\\n\\u{1b}[31m\\t日");
        assert_eq!(cell(&StringArray::from(vec![None::<&str>])), "NULL");
        assert_eq!(cell(&StringArray::from(vec!["NULL"])), "'NULL'");
        assert_eq!(cell(&StringArray::from(vec!["'NULL'"])), "''NULL''");
        assert_eq!(cell(&StringArray::from(vec!["NULLS"])), "NULLS");
        assert_eq!(cell(&BinaryArray::from(vec![&b"17\"\xff"[..]])), r#"b"17\"\xff""#);
        assert_eq!(cell(&BinaryArray::from(vec![&b"318"[..]])), "318");
        assert_eq!(cell(&BinaryArray::from(vec![&b"NULL"[..]])), "'NULL'");
        let parts = ["text", "bytes"].map(|name| Arc::new(Field::new(name, DataType::Binary, true)));
        let values =
            [&b"318"[..], &b"\xff"[..]].map(|bytes| Arc::new(BinaryArray::from(vec![bytes])) as ArrayRef);
        let record = StructArray::from(parts.into_iter().zip(values).collect::<Vec<_>>());
        assert_eq!(cell(&record), r#"{"text":"318","bytes":{"base64":"/w=="}}"#);
        assert_eq!(cell(&Float64Array::from(vec![f64::NAN])), "NaN");
        let decimal = Decimal128Array::from(vec![1234]).with_precision_and_scale(10, 2).unwrap();
        assert_eq!(cell(&decimal), "12.34");
        let time: ArrayRef = Arc::new(TimestampMillisecondArray::from(vec![0]).with_timezone("UTC"));
        assert_eq!(cell(&time), "1970-01-01T00:00:00Z");
        let mut out = String::new();
        plain(&mut out, &time, 0);
        plain(&mut out, &StringArray::from(vec!["a\nb"]), 0);
        assert_eq!(out, "1970-01-01T00:00:00Za\nb");
    }
}
