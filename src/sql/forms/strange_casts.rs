//! Values of a type that DataFusion takes for another one without a word, and that mean nothing there: the count in a timestamp,
//! whose unit depends on where it comes from, the text of an array, an array of a text, and a path in JSON as one key.

use arrow::datatypes::DataType;
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr::{Cast, ScalarFunction, TryCast};
use datafusion::logical_expr::{Expr, ExprSchemable as _};

use super::super::moments::is_time;
use super::super::rewrite;
use super::refused;

/// Functions of texts that take any value.
const OF_TEXTS: [&str; 6] =
    ["bit_length", "character_length", "concat", "concat_ws", "octet_length", "reverse"];

/// # Errors
/// Such a value.
pub(super) fn check(part: &Expr, schema: &DFSchema) -> Result<()> {
    match part {
        Expr::Cast(Cast { expr, field }) | Expr::TryCast(TryCast { expr, field }) => {
            let Ok(from) = expr.get_type(schema) else { return Ok(()) };
            let Some((message, hint)) = fault_of_cast(&from, field.data_type()) else { return Ok(()) };
            Err(refused(message.to_owned(), hint, rewrite::place(expr).first()))
        }
        Expr::ScalarFunction(ScalarFunction { func, args }) if func.name().starts_with("json_") => {
            let is_path = |key: &Expr| {
                rewrite::literal_text(key).is_some_and(|key| key.starts_with("$.") || key.starts_with("$["))
            };
            match args.iter().skip(1).any(is_path) {
                true => Err(refused(
                    format!("`{}` takes keys, and this is a path", func.name()),
                    "write the keys one after the other: `json_get_str(x, 'a', 'b')`, `x -> 'a' ->> 'b'`",
                    rewrite::place(part).first(),
                )),
                false => Ok(()),
            }
        }
        Expr::ScalarFunction(ScalarFunction { func, args }) if OF_TEXTS.contains(&func.name()) => {
            let is_nested = |value: &&Expr| value.get_type(schema).is_ok_and(|of| of.is_nested());
            let nested: Vec<&Expr> = args.iter().filter(is_nested).collect();
            let Some(first) = nested.first() else { return Ok(()) };
            // `concat` of arrays is an array.
            if func.name() == "concat" && nested.len() == args.len() {
                return Ok(());
            }
            let hint = "the number of elements is `cardinality(x)`, their text `array_to_string(x, ',')`";
            let message =
                format!("`{}` is a function of texts, and this is an array or a record", func.name());
            Err(refused(message, hint, rewrite::place(first).first()))
        }
        _ => Ok(()),
    }
}

fn fault_of_cast(from: &DataType, to: &DataType) -> Option<(&'static str, &'static str)> {
    let is_moment = |of: &DataType| matches!(of, DataType::Timestamp(..));
    match (from, to) {
        (from, to) if is_moment(from) && to.is_numeric() => Some((
            "a timestamp as a number counts seconds, milliseconds or microseconds, as its column happens to do",
            "write `extract(epoch FROM x)`, the seconds with a fraction",
        )),
        (from, to) if (from.is_decimal() || from.is_floating()) && is_moment(to) => Some((
            "a number with a fraction is cast to a timestamp",
            "write `to_timestamp(x)`, which takes seconds",
        )),
        (from, to) if from.is_numeric() && is_time(to) => {
            Some(("a number is no time of day", "add it to one: `TIME '00:00:00' + n * INTERVAL '1 second'`"))
        }
        (from, DataType::List(_)) if !from.is_null() && !from.is_nested() => Some((
            "a list of one value is made of what may be the text of a list",
            "write `[x]` for a list of one value, `string_to_array(x, ',')` for the parts of a text",
        )),
        _ => None,
    }
}
