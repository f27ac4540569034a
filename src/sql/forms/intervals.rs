//! Intervals that are written with a sign before them, or in a form that the planner cuts off or does not read, as the
//! intervals that they are. The planner writes a minus before the first number of `- INTERVAL '1 day 2 hours'`, and takes a
//! number without a unit for seconds.

use arrow::compute::kernels::cast_utils::IntervalUnit;
use arrow::datatypes::DataType;
use arrow::datatypes::IntervalUnit::MonthDayNano;
use datafusion::common::ScalarValue;
use datafusion::sql::sqlparser::ast::{
    CastKind, DataType as SqlType, Expr, Interval, Spanned as _, UnaryOperator, Value, ValueWithSpan,
};
use datafusion::sql::sqlparser::tokenizer::Span;

use super::super::intervals::{self, Misread, NO_UNIT};
use super::Refusal;

/// The interval in a form that the planner reads rightly; `None` if it is in one, or is no constant.
///
/// # Errors
/// A text that is no interval, or one that would be cut off.
pub(super) fn rewritten(expression: &Expr) -> Result<Option<Expr>, Refusal> {
    match expression {
        Expr::Interval(interval) => of_interval(interval),
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => {
            let Expr::Interval(interval) = without_parentheses(expr) else { return Ok(None) };
            let value = interval.value.clone();
            let value = Box::new(Expr::UnaryOp { op: UnaryOperator::Minus, expr: value });
            of_interval(&Interval { value, ..interval.clone() })
        }
        Expr::Cast {
            kind: CastKind::Cast | CastKind::DoubleColon,
            expr,
            data_type: SqlType::Interval { .. },
            ..
        } => match literal(expr) {
            Some(Literal { text, span, .. }) => {
                intervals::read(text, None).map(|_| None).map_err(|misread| refusal(span, misread))
            }
            None => Ok(None),
        },
        _ => Ok(None),
    }
}

fn of_interval(interval: &Interval) -> Result<Option<Expr>, Refusal> {
    let Interval { leading_field, leading_precision, last_field, fractional_seconds_precision, .. } =
        interval;
    let span = interval.value.span();
    if last_field.is_some() || leading_precision.is_some() || fractional_seconds_precision.is_some() {
        let message = "an interval from one unit to another, or with a precision".to_owned();
        return Err(Refusal::new(span, message, "write each unit: `INTERVAL '1 year 2 months'`"));
    }
    let Some(Literal { text, span, is_negative, is_number }) = literal(&interval.value) else {
        return match leading_field {
            Some(_) => Ok(None),
            None => Err(refusal(span, NO_UNIT)),
        };
    };
    let text = match leading_field {
        Some(unit) => format!("{text} {unit}"),
        None if is_number => return Err(refusal(span, NO_UNIT)),
        None => text.to_owned(),
    };
    let read =
        intervals::read(&text, Some(IntervalUnit::Second)).map_err(|misread| refusal(span, misread))?;
    let planned = ScalarValue::from(text).cast_to(&DataType::Interval(MonthDayNano));
    if !is_negative
        && matches!(planned, Ok(ScalarValue::IntervalMonthDayNano(Some(planned))) if planned == read)
    {
        return Ok(None);
    }
    let meant = if is_negative { intervals::negated(read) } else { Some(read) };
    let Some(meant) = meant else { return Ok(None) };
    let value = Value::SingleQuotedString(intervals::written(meant)).with_span(span);
    let value = Box::new(Expr::Value(value));
    Ok(Some(Expr::Interval(Interval { value, leading_field: None, ..interval.clone() })))
}

fn refusal(span: Span, misread: Misread) -> Refusal {
    Refusal::new(span, misread.reason.to_owned(), misread.instead)
}

/// A constant in the place of an interval's length.
struct Literal<'a> {
    text: &'a str,
    span: Span,
    is_negative: bool,
    /// A number that is not in quotes.
    is_number: bool,
}

fn literal(value: &Expr) -> Option<Literal<'_>> {
    match value {
        Expr::Value(ValueWithSpan { value, span }) => {
            let (text, is_number) = match value {
                Value::SingleQuotedString(text) => (text, false),
                Value::Number(number, _) => (number, true),
                _ => return None,
            };
            Some(Literal { text, span: *span, is_negative: false, is_number })
        }
        Expr::Nested(inner) | Expr::UnaryOp { op: UnaryOperator::Plus, expr: inner } => literal(inner),
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => {
            let inner = literal(expr)?;
            Some(Literal { is_negative: !inner.is_negative, ..inner })
        }
        _ => None,
    }
}

fn without_parentheses(expression: &Expr) -> &Expr {
    match expression {
        Expr::Nested(inner) => without_parentheses(inner),
        other => other,
    }
}
