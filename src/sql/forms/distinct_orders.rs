//! `array_agg(DISTINCT x ORDER BY x)` and `string_agg(DISTINCT x, ',' ORDER BY x)`. DataFusion takes another order for
//! the one that is asked for, if it finds it in the rows or in another aggregate. So here the distinct values are
//! collected first, then sorted. Some aggregates forget DISTINCT.

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CaseWhen, DuplicateTreatment, Expr, Function, FunctionArg, FunctionArgExpr,
    FunctionArgumentClause, FunctionArgumentList, FunctionArguments, Ident, ObjectName, ObjectNamePart,
    OrderByExpr, Spanned as _, Value,
};

use super::Refusal;
use super::clauses::number;
use super::elsewhere::arguments;
use super::expressions::case;

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
    let (Some(order), Some(values)) = (order_of_distinct(call), arguments(call)) else { return Ok(None) };
    let ([OrderByExpr { expr, options, .. }], Some(value)) = (order, values.first()) else {
        return Err(of_others(expression));
    };
    if expr.to_string() != value.to_string() {
        return Err(of_others(expression));
    }
    let is_ascending = options.asc.unwrap_or(true);
    let way = if is_ascending { "ASC" } else { "DESC" };
    let nulls = if options.nulls_first.unwrap_or(!is_ascending) { "NULLS FIRST" } else { "NULLS LAST" };
    let aggregate = |name, distinct| called(call, name, distinct, vec![(*value).clone()]);
    // A function of one row has no FILTER.
    let function =
        |name, values| Expr::Function(Function { filter: None, ..called(call, name, None, values) });
    let collected = Expr::Function(aggregate("array_agg", Some(DuplicateTreatment::Distinct)));
    let sorted = function("array_sort", vec![collected, text(way), text(nulls)]);
    let Some(separator) = values.get(1) else { return Ok(Some(sorted)) };
    // A text of no values is NULL, and not empty.
    let has_values = Expr::BinaryOp {
        left: Box::new(Expr::Function(aggregate("count", None))),
        op: BinaryOperator::Gt,
        right: Box::new(number(0)),
    };
    let joined = function("array_to_string", vec![sorted, (*separator).clone()]);
    Ok(Some(case(vec![CaseWhen { condition: has_values, result: joined }], None)))
}

fn text(text: &str) -> Expr {
    Expr::Value(Value::SingleQuotedString(text.to_owned()).with_empty_span())
}

/// A call of another function in the place of one, with its FILTER.
fn called(call: &Function, name: &str, distinct: Option<DuplicateTreatment>, values: Vec<Expr>) -> Function {
    let args = values.into_iter().map(|value| FunctionArg::Unnamed(FunctionArgExpr::Expr(value))).collect();
    let list = FunctionArgumentList { duplicate_treatment: distinct, args, clauses: Vec::new() };
    let name = ObjectName(vec![ObjectNamePart::Identifier(Ident::new(name))]);
    Function { name, args: FunctionArguments::List(list), ..call.clone() }
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

/// The order of the values; `None` if they are not distinct, or in no order.
fn order_of_distinct(call: &Function) -> Option<&[OrderByExpr]> {
    let FunctionArguments::List(list) = &call.args else { return None };
    let order = list.clauses.iter().find_map(|clause| match clause {
        FunctionArgumentClause::OrderBy(order) => Some(order.as_slice()),
        _ => None,
    })?;
    is_distinct(call).then_some(order)
}
