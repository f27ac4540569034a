//! What people from other databases write and is meant otherwise: functions that are called otherwise here become those that
//! are meant; what cannot be right, such as a format of dates without a field or a division by 0, is refused before the first
//! message.

use std::str::FromStr as _;

use arrow::compute::kernels::cast_utils::IntervalUnit;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CaseWhen, DateTimeField, Expr, ExtractSyntax, Function, FunctionArg, FunctionArgExpr,
    FunctionArgumentClause, FunctionArguments, Ident, Interval, NullTreatment, ObjectName, ObjectNamePart,
    Select, Spanned as _, TopQuantity, UnaryOperator, Value, ValueWithSpan,
};

use datafusion::sql::sqlparser::tokenizer::Span;

use super::super::names;
use super::{Refusal, expressions, formats};
use crate::diagnostic::Code;

/// What an expression means, if its function is another here, or if it is an interval of a computed length.
pub(super) fn rewritten(expression: &Expr) -> Option<Expr> {
    let call = match expression {
        Expr::Function(call) => call,
        Expr::Interval(interval) => return times_unit(interval),
        _ => return None,
    };
    let (name, arguments) = (name(call)?.value.to_lowercase(), arguments(call)?);
    match (name.as_str(), arguments.as_slice()) {
        ("isnull", [value]) => Some(Expr::Nested(Box::new(Expr::IsNull(Box::new((*value).clone()))))),
        ("isnull", [value, other]) => {
            Some(expressions::call("coalesce", vec![(*value).clone(), (*other).clone()]))
        }
        ("any_value", [_]) => first_of_order(call),
        ("date_part" | "datepart", [Expr::Identifier(field), moment]) => {
            let (field, expr) = (DateTimeField::Custom(field.clone()), Box::new((*moment).clone()));
            Some(Expr::Extract { field, syntax: ExtractSyntax::From, expr })
        }
        ("if" | "iif", [condition, then, otherwise]) => {
            let when = CaseWhen { condition: (*condition).clone(), result: (*then).clone() };
            Some(expressions::case(vec![when], Some((*otherwise).clone())))
        }
        (name, [moment]) => {
            let (_, field) = FIELDS.iter().find(|(function, _)| *function == name)?;
            let (field, expr) = (field.clone(), Box::new((*moment).clone()));
            Some(Expr::Extract { field, syntax: ExtractSyntax::From, expr })
        }
        _ => None,
    }
}

/// `any_value(x ORDER BY y)` as the first that is not NULL. The planner does not read its order.
fn first_of_order(call: &Function) -> Option<Expr> {
    let FunctionArguments::List(list) = &call.args else { return None };
    let has_order = list.clauses.iter().any(|clause| matches!(clause, FunctionArgumentClause::OrderBy(_)));
    if !has_order || call.over.is_some() {
        return None;
    }
    let mut call = call.clone();
    call.name = ObjectName(vec![ObjectNamePart::Identifier(Ident::new("first_value"))]);
    call.null_treatment = Some(NullTreatment::IgnoreNulls);
    Some(Expr::Function(call))
}

/// `INTERVAL n DAY` as `n * INTERVAL '1' DAY`.
fn times_unit(interval: &Interval) -> Option<Expr> {
    let is_computed = matches!(
        *interval.value,
        Expr::Identifier(_)
            | Expr::CompoundIdentifier(_)
            | Expr::CompoundFieldAccess { .. }
            | Expr::Nested(_)
            | Expr::Function(_)
            | Expr::Cast { .. }
    );
    if !is_computed || interval.leading_field.is_none() || interval.last_field.is_some() {
        return None;
    }
    let one = Box::new(Expr::Value(Value::SingleQuotedString("1".to_owned()).with_empty_span()));
    let unit = Expr::Interval(Interval { value: one, ..interval.clone() });
    let (left, op, right) = (interval.value.clone(), BinaryOperator::Multiply, Box::new(unit));
    Some(Expr::Nested(Box::new(Expr::BinaryOp { left, op, right })))
}

/// Functions that are a field of a moment.
const FIELDS: &[(&str, DateTimeField)] = &[
    ("year", DateTimeField::Year),
    ("quarter", DateTimeField::Quarter),
    ("month", DateTimeField::Month),
    ("day", DateTimeField::Day),
    ("dayofmonth", DateTimeField::Day),
    ("dayofyear", DateTimeField::Doy),
    ("hour", DateTimeField::Hour),
    ("minute", DateTimeField::Minute),
    ("second", DateTimeField::Second),
];

/// Functions that take formats of dates after their first argument.
const FORMATTING: &[&str] = &[
    "to_char",
    "date_format",
    "to_date",
    "to_time",
    "to_timestamp",
    "to_timestamp_seconds",
    "to_timestamp_millis",
    "to_timestamp_micros",
    "to_timestamp_nanos",
    "to_unixtime",
];

/// Units that `date_trunc` knows.
const TRUNCATED: &[&str] =
    &["year", "quarter", "month", "week", "day", "hour", "minute", "second", "millisecond", "microsecond"];

/// Fields of a moment that are no units of intervals.
const PARTS: &[&str] = &["isoyear", "qtr", "quarter", "doy", "dow", "isodow", "epoch"];

/// # Errors
/// An expression that no row can make right.
pub(super) fn check(expression: &Expr) -> Result<(), Refusal> {
    match expression {
        Expr::Convert { .. } => Err(Refusal::new(
            expression.span(),
            "CONVERT is not known here".to_owned(),
            "write `CAST(x AS type)`",
        )),
        Expr::Collate { .. } => Err(Refusal::new(
            expression.span(),
            "COLLATE is not known here".to_owned(),
            "texts are ordered by their code points; `lower(x)` orders them without regard to case",
        )),
        Expr::BinaryOp { op: BinaryOperator::Divide | BinaryOperator::Modulo, right, .. }
            if is_zero(right) =>
        {
            Err(Refusal::new(
                right.span(),
                "a division by 0".to_owned(),
                "`x / nullif(y, 0)` is NULL where y is 0",
            ))
        }
        Expr::Function(call) => check_call(call),
        Expr::Extract { field: DateTimeField::Custom(field), .. } => check_part(&field.value, field.span),
        Expr::Extract { field, expr, .. } => check_part(&field.to_string(), expr.span()),
        _ => Ok(()),
    }
}

/// # Errors
/// `SELECT TOP`.
pub(super) fn check_select(select: &Select) -> Result<(), Refusal> {
    let Some(top) = &select.top else { return Ok(()) };
    let rows = match &top.quantity {
        Some(TopQuantity::Constant(rows)) => rows.to_string(),
        Some(TopQuantity::Expr(rows)) => rows.to_string(),
        None => "1".to_owned(),
    };
    let hint = match (top.percent, top.with_ties) {
        (true, _) => {
            "number the rows: `row_number() OVER (ORDER BY ...)` beside `count(*) OVER ()`".to_owned()
        }
        (_, true) => format!("number the rows, and keep those with `rank() OVER (ORDER BY ...) <= {rows}`"),
        _ => format!("write `LIMIT {rows}` at the end of the query"),
    };
    Err(Refusal::new(select.select_token.0.span, "SELECT TOP is not known here".to_owned(), hint))
}

fn is_zero(expression: &Expr) -> bool {
    match expression {
        Expr::Value(ValueWithSpan { value: Value::Number(number, _), .. }) => {
            number.parse().is_ok_and(|number: f64| number == 0.0)
        }
        Expr::Nested(inner) | Expr::UnaryOp { op: UnaryOperator::Minus, expr: inner } => is_zero(inner),
        _ => false,
    }
}

fn check_call(call: &Function) -> Result<(), Refusal> {
    let (Some(name), Some(arguments)) = (name(call), arguments(call)) else { return Ok(()) };
    let called = name.value.to_lowercase();
    if FORMATTING.contains(&called.as_str()) {
        return arguments.iter().skip(1).try_for_each(|format| match text(format) {
            Some((format, literal)) => check_format(&called, format, literal),
            None => Ok(()),
        });
    }
    let is_part = matches!(called.as_str(), "date_part" | "datepart");
    if let (true, Some(Expr::Identifier(field))) = (is_part, arguments.first()) {
        return check_part(&field.value, field.span);
    }
    let Some((unit, literal)) = arguments.first().and_then(|unit| text(unit)) else { return Ok(()) };
    match called.as_str() {
        "date_trunc" | "datetrunc" if !TRUNCATED.contains(&unit.to_lowercase().as_str()) => {
            let message = format!("`{called}` knows no unit '{unit}'");
            Err(Refusal::new(literal.span, message, unit_hint(unit)))
        }
        _ if is_part => check_part(unit, literal.span),
        _ => Ok(()),
    }
}

fn check_part(part: &str, span: Span) -> Result<(), Refusal> {
    let trimmed = part.trim_matches(['\'', '"']).to_lowercase();
    let hint = match IntervalUnit::from_str(&trimmed) {
        Ok(IntervalUnit::Century) => "write `(extract(year FROM x) + 99) / 100`".to_owned(),
        Ok(IntervalUnit::Decade) => "write `extract(year FROM x) / 10`".to_owned(),
        Ok(_) => return Ok(()),
        Err(_) if PARTS.contains(&trimmed.as_str()) => return Ok(()),
        Err(_) => unit_hint(&trimmed),
    };
    Err(Refusal::new(span, format!("a moment has no field '{trimmed}'"), hint))
}

fn unit_hint(unit: &str) -> String {
    names::hint(unit, TRUNCATED.iter().copied()).unwrap_or_default()
}

fn check_format(function: &str, format: &str, literal: &ValueWithSpan) -> Result<(), Refusal> {
    let Some(fault) = formats::fault(format) else { return Ok(()) };
    let message = format!("the format '{format}' of `{function}` has {}", fault.reason);
    let hint = match fault.instead {
        Some(instead) => format!("write '{instead}'"),
        None => "for a date as in '2024-03-01' write '%Y-%m-%d', for a time '%H:%M:%S'".to_owned(),
    };
    Err(Refusal::new(literal.span, message, hint).coded(Code::DateFormat))
}

fn name(call: &Function) -> Option<&Ident> {
    match call.name.0.as_slice() {
        [ObjectNamePart::Identifier(name)] => Some(name),
        _ => None,
    }
}

/// The arguments of a plain call.
pub(super) fn arguments(call: &Function) -> Option<Vec<&Expr>> {
    let FunctionArguments::List(list) = &call.args else { return None };
    let argument = |argument| match argument {
        &FunctionArg::Unnamed(FunctionArgExpr::Expr(ref value)) => Some(value),
        _ => None,
    };
    list.args.iter().map(argument).collect()
}

fn text(expression: &Expr) -> Option<(&str, &ValueWithSpan)> {
    match expression {
        Expr::Value(literal) => match &literal.value {
            Value::SingleQuotedString(text) => Some((text, literal)),
            _ => None,
        },
        Expr::Nested(inner) => text(inner),
        _ => None,
    }
}
