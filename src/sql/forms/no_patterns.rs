//! Texts that are no regular expressions, refused where they are written. The planner does not know that place.

use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr, Function, Value};
use regex::Regex;

use super::super::upstream;
use super::Refusal;
use super::elsewhere::arguments;

/// # Errors
/// A text that is no regular expression.
pub(super) fn check(expression: &Expr) -> Result<(), Refusal> {
    let pattern = match expression {
        Expr::BinaryOp {
            op:
                BinaryOperator::PGRegexMatch
                | BinaryOperator::PGRegexIMatch
                | BinaryOperator::PGRegexNotMatch
                | BinaryOperator::PGRegexNotIMatch,
            right,
            ..
        } => Some(right.as_ref()),
        Expr::Function(call) => pattern_of(call),
        _ => None,
    };
    let Some(Expr::Value(literal)) = pattern else { return Ok(()) };
    let Value::SingleQuotedString(pattern) = &literal.value else { return Ok(()) };
    let fault = Regex::new(pattern).err();
    fault.map_or(Ok(()), |fault| {
        let message = upstream::first_line(&fault.to_string());
        Err(Refusal::new(
            literal.span,
            message,
            "a character that means itself is written after a backslash: `\\(`",
        ))
    })
}

/// The pattern of a function of regular expressions, if it is called without flags, which may change its syntax.
fn pattern_of(call: &Function) -> Option<&Expr> {
    let name = call.name.to_string().to_lowercase();
    let without_flags = match name.as_str() {
        "regexp_count" | "regexp_like" | "regexp_match" => 2,
        "regexp_replace" => 3,
        _ => return None,
    };
    let values = arguments(call)?;
    if values.len() > without_flags { None } else { values.get(1).copied() }
}
