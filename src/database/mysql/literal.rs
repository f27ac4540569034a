//! Statements as text, with their values in them: what is sent where several statements go in one packet, which prepared
//! ones cannot.

use std::fmt::Write as _;

use crate::database::value;
use crate::database::{DatabaseError, Value};

use super::load::time_text;

/// Appends `sql` with a literal in place of each `?` outside of quotes.
///
/// # Errors
/// There are more or fewer places than values.
pub(super) fn bind(out: &mut String, sql: &str, parameters: &[Value<'_>]) -> Result<(), DatabaseError> {
    let mut values = parameters.iter();
    let mut quote = None;
    for part in sql.split_inclusive(['?', '`', '\'', '"']) {
        let last = part.chars().next_back();
        match (last, quote) {
            (Some('?'), None) => {
                out.push_str(&part[..part.len() - 1]);
                let value = values.next().ok_or_else(|| miscounted(sql, parameters.len()))?;
                write_literal(out, value);
                continue;
            }
            (Some(mark @ ('`' | '\'' | '"')), None) => quote = Some(mark),
            // A quote that is doubled closes and opens: what is between is outside of both and empty.
            (mark, open) if mark == open => quote = None,
            _ => {}
        }
        out.push_str(part);
    }
    match values.next() {
        None => Ok(()),
        Some(_) => Err(miscounted(sql, parameters.len())),
    }
}

/// A statement that fails with [`DatabaseError::is_out_of_range`] unless the one before it matched this number of rows. Outside
/// of stored programs, SQL has no statement to raise an error with.
pub(super) fn check_of_rows(rows: u64) -> String {
    format!("SET @realtime_matched = EXP(IF(ROW_COUNT() = {rows}, 0, 1000))")
}

fn miscounted(sql: &str, values: usize) -> DatabaseError {
    DatabaseError::other(format!("{values} values do not fit the placeholders of: {sql}"))
}

/// Texts are escaped with backslashes, as the session's `sql_mode` reads them.
fn write_literal(out: &mut String, value: &Value<'_>) {
    let written = match value {
        Value::Null => out.write_str("NULL"),
        Value::Int(value) => write!(out, "{value}"),
        Value::UInt(value) => write!(out, "{value}"),
        // With an exponent it is a double; widened, so that it is narrowed again to the same number.
        Value::Float(value) => write!(out, "{:e}", f64::from(*value)),
        // The shortest digits that are read back as the same number.
        Value::Double(value) => write!(out, "{value:e}"),
        Value::Text(text) => {
            write_text(out, text);
            Ok(())
        }
        Value::Bytes(bytes) => {
            out.push_str("X'");
            bytes.iter().try_for_each(|byte| write!(out, "{byte:02X}")).and_then(|()| out.write_char('\''))
        }
        Value::Date(days) => quoted(out, value::date_text(*days)),
        Value::DateTime(micros) => quoted(out, value::date_time_text(*micros)),
        Value::Time(micros) => write!(out, "'{}'", time_text(*micros)),
    };
    debug_assert!(written.is_ok(), "memory takes everything");
}

/// Years 1 to 9999, as [`crate::database::Fit`] ensures; others become NULL.
fn quoted(out: &mut String, text: Option<String>) -> std::fmt::Result {
    match text {
        Some(text) => write!(out, "'{text}'"),
        None => out.write_str("NULL"),
    }
}

fn write_text(out: &mut String, text: &str) {
    out.push('\'');
    for part in text.split_inclusive(['\'', '\\', '\0']) {
        let special = part.chars().next_back().filter(|last| matches!(last, '\'' | '\\' | '\0'));
        match special {
            None => out.push_str(part),
            Some(special) => {
                out.push_str(&part[..part.len() - special.len_utf8()]);
                out.push('\\');
                out.push(if special == '\0' { '0' } else { special });
            }
        }
    }
    out.push('\'');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(sql: &str, parameters: &[Value<'_>]) -> String {
        let mut out = String::new();
        bind(&mut out, sql, parameters).expect("as many values as places");
        out
    }

    #[test]
    fn values_stand_in_their_places_and_nowhere_else() {
        let sql = "INSERT INTO `a?``?b` (\"?\") VALUES (?, '?', ?)";
        assert_eq!(
            bound(sql, &[Value::Int(1), Value::text("it's?")]),
            "INSERT INTO `a?``?b` (\"?\") VALUES (1, '?', 'it\\'s?')"
        );
        assert!(bind(&mut String::new(), "? ?", &[Value::Null]).is_err());
        assert!(bind(&mut String::new(), "?", &[Value::Null, Value::Null]).is_err());
    }

    #[test]
    fn literals_are_read_back_as_the_same_value() {
        let values = [
            (Value::Null, "NULL"),
            (Value::Int(i64::MIN), "-9223372036854775808"),
            (Value::UInt(u64::MAX), "18446744073709551615"),
            (Value::Double(0.1), "1e-1"),
            (Value::Double(f64::MAX), "1.7976931348623157e308"),
            (Value::Float(0.1), "1.0000000149011612e-1"),
            (Value::text("a'b\\c\0d\ne\"é"), "'a\\'b\\\\c\\0d\ne\"é'"),
            (Value::bytes(&[0_u8, 255, 9][..]), "X'00FF09'"),
            (Value::Date(0), "'1970-01-01'"),
            (Value::DateTime(1_704_164_645_000_006), "'2024-01-02 03:04:05.000006'"),
            (Value::Time(-90_000_000_001), "'-25:00:00.000001'"),
        ];
        for (value, expected) in values {
            assert_eq!(bound("?", &[value]), expected);
        }
    }
}
