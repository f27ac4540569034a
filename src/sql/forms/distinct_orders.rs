//! `array_agg(DISTINCT x ORDER BY x)` and `string_agg(DISTINCT x, ',' ORDER BY x)`. DataFusion takes another order for the one that is
//! asked for, if it finds it in the rows or in another aggregate. So here the distinct values are collected first, then sorted. Some
//! aggregates forget DISTINCT.

use datafusion::sql::sqlparser::ast::helpers::attached_token::AttachedToken;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CaseWhen, DuplicateTreatment, Expr, Function, FunctionArg, FunctionArgExpr,
    FunctionArgumentClause, FunctionArgumentList, FunctionArguments, Ident, ObjectName, ObjectNamePart,
    OrderByExpr, Spanned as _, Value,
};

use super::Refusal;

/// What it means; `None` if it is another expression.
///
/// # Errors
/// The values are ordered by something else, which distinct values do not have.
pub(super) fn rewritten(expression: &Expr) -> Result<Option<Expr>, Refusal> {
    let Expr::Function(call) = expression else { return Ok(None) };
    let name = call.name.to_string().to_lowercase();
    if is_distinct(call) && FORGETFUL.iter().any(|forgetful| name.starts_with(forgetful)) {
        return Err(Refusal::new(
            expression.span(),
            format!("DISTINCT in `{name}`, which would ignore it"),
            "take the distinct values first: `FROM (SELECT DISTINCT ...) AS d`",
        ));
    }
    if !matches!(name.as_str(), "array_agg" | "string_agg") || call.over.is_some() {
        return Ok(None);
    }
    let Some((value, order)) = distinct_and_ordered(call) else { return Ok(None) };
    let [OrderByExpr { expr, options, .. }] = order.as_slice() else {
        return Err(of_others(expression));
    };
    if expr.to_string() != value.to_string() {
        return Err(of_others(expression));
    }
    let is_ascending = options.asc.unwrap_or(true);
    let way = if is_ascending { "ASC" } else { "DESC" };
    let nulls = if options.nulls_first.unwrap_or(!is_ascending) { "NULLS FIRST" } else { "NULLS LAST" };
    let values = named(call, "array_agg", vec![value.clone()]);
    let sorted = plain(call, "array_sort", vec![Expr::Function(values), text(way), text(nulls)]);
    let Some(separator) = separator(call) else { return Ok(Some(sorted)) };
    // A text of no values is NULL, and not empty.
    let counted = Function { args: arguments(vec![value]), ..named(call, "count", Vec::new()) };
    let has_values = Expr::BinaryOp {
        left: Box::new(Expr::Function(counted)),
        op: BinaryOperator::Gt,
        right: Box::new(Expr::Value(Value::Number("0".to_owned(), false).with_empty_span())),
    };
    let joined = plain(call, "array_to_string", vec![sorted, separator.clone()]);
    Ok(Some(Expr::Case {
        case_token: AttachedToken::empty(),
        end_token: AttachedToken::empty(),
        operand: None,
        conditions: vec![CaseWhen { condition: has_values, result: joined }],
        else_result: None,
    }))
}

fn text(text: &str) -> Expr {
    Expr::Value(Value::SingleQuotedString(text.to_owned()).with_empty_span())
}

fn arguments(values: Vec<Expr>) -> FunctionArguments {
    let args = values.into_iter().map(|value| FunctionArg::Unnamed(FunctionArgExpr::Expr(value))).collect();
    FunctionArguments::List(FunctionArgumentList { duplicate_treatment: None, args, clauses: Vec::new() })
}

/// The call of another aggregate of the same rows, distinct as well.
fn named(call: &Function, name: &str, values: Vec<Expr>) -> Function {
    let mut args = arguments(values);
    if let FunctionArguments::List(list) = &mut args {
        list.duplicate_treatment = Some(DuplicateTreatment::Distinct);
    }
    let name = ObjectName(vec![ObjectNamePart::Identifier(Ident::new(name))]);
    Function { name, args, ..call.clone() }
}

/// The call of a function of one row.
fn plain(call: &Function, name: &str, values: Vec<Expr>) -> Expr {
    Expr::Function(Function { args: arguments(values), filter: None, ..named(call, name, Vec::new()) })
}

/// How the aggregates begin that take all values where DISTINCT ones are asked for.
const FORGETFUL: [&str; 5] = ["bit_xor", "corr", "covar", "nth_value", "regr_"];

fn is_distinct(call: &Function) -> bool {
    matches!(&call.args, FunctionArguments::List(list) if list.duplicate_treatment == Some(DuplicateTreatment::Distinct))
}

fn of_others(expression: &Expr) -> Refusal {
    Refusal::new(
        expression.span(),
        "DISTINCT values ordered by something else".to_owned(),
        "order them by the values themselves, or collect them without DISTINCT",
    )
}

/// The value and its order; `None` if the values are not distinct, or in no order.
fn distinct_and_ordered(call: &Function) -> Option<(Expr, Vec<OrderByExpr>)> {
    let FunctionArguments::List(list) = &call.args else { return None };
    if !is_distinct(call) {
        return None;
    }
    let order = list.clauses.iter().find_map(|clause| match clause {
        FunctionArgumentClause::OrderBy(order) => Some(order.clone()),
        _ => None,
    })?;
    Some((argument(list.args.first()?)?.clone(), order))
}

/// What stands between the texts of a `string_agg`.
fn separator(call: &Function) -> Option<&Expr> {
    let FunctionArguments::List(list) = &call.args else { return None };
    argument(list.args.get(1)?)
}

fn argument(argument: &FunctionArg) -> Option<&Expr> {
    match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) => Some(value),
        _ => None,
    }
}
