//! Queries of WITH RECURSIVE. The planner takes each that is a UNION for recursive and drops its ORDER BY, LIMIT and WITH; it
//! casts the rows that follow to the types of the first ones, where fractions would be cut off. It does not find a query that
//! comes later, nor the query itself where there is no UNION.

use arrow::datatypes::DataType;
use datafusion::common::{Result, Span};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::expr::{Alias, Cast};
use datafusion::logical_expr::{Expr, ExprSchemable as _, LogicalPlan, RecursiveQuery};
use datafusion::sql::sqlparser::ast::{
    Cte, Expr as SqlExpr, Ident, ObjectNamePart, Query, Select, SelectItem, SetExpr, SetOperator, Statement,
    Visit,
};

use super::super::moments::is_day;
use super::super::numbers::decimal;
use super::super::rewrite;
use super::super::sql_types::in_sql;
use super::super::tree;
use super::super::walk::{self, Part};
use super::{Refusal, refused};

/// Writes the queries of WITH RECURSIVE that are not recursive as such.
///
/// # Errors
/// A query that reads itself or a later one in a way that is none of recursion.
pub(super) fn write_out(query: &mut Query) -> Result<(), Refusal> {
    let Some(with) = query.with.as_mut().filter(|with| with.recursive) else { return Ok(()) };
    let names: Vec<Ident> = with.cte_tables.iter().map(|cte| cte.alias.name.clone()).collect();
    for (place, cte) in with.cte_tables.iter_mut().enumerate() {
        let later = names.iter().skip(place + 1).find(|later| reads(cte.query.as_ref(), later));
        if let Some(later) = later {
            let message = format!("`{}` reads `{}`, which comes after it", cte.alias.name.value, later.value);
            return Err(Refusal::new(later.span, message, "put it first"));
        }
        write_one(cte)?;
    }
    Ok(())
}

fn write_one(cte: &mut Cte) -> Result<(), Refusal> {
    let (name, query) = (&cte.alias.name, &mut cte.query);
    let is_recursive = reads(query.as_ref(), name);
    let dropped = match query.as_ref() {
        Query { with: Some(_), .. } => Some("WITH"),
        Query { order_by: Some(_), .. } => Some("ORDER BY"),
        Query { limit_clause: Some(_), .. } | Query { fetch: Some(_), .. } => Some("LIMIT"),
        _ => None,
    };
    if !is_recursive {
        if dropped.is_some() && matches!(query.body.as_ref(), SetExpr::SetOperation { .. }) {
            // In parentheses it is no UNION to the planner.
            let mut whole = query.as_ref().clone();
            (whole.with, whole.order_by, whole.limit_clause, whole.fetch) = (None, None, None, None);
            let inner = std::mem::replace(query.as_mut(), whole);
            *query.body = SetExpr::Query(Box::new(inner));
        }
        return Ok(());
    }
    let refuse = |message: String, hint: &str| Err(Refusal::new(name.span, message, hint));
    let is_union = match query.body.as_ref() {
        SetExpr::SetOperation { op: SetOperator::Union, left, .. } => !reads(left.as_ref(), name),
        _ => false,
    };
    if !is_union {
        return refuse(
            format!("`{}` reads itself, but not after a UNION", name.value),
            "write its first rows, then UNION ALL, then one SELECT that reads it",
        );
    }
    match dropped {
        Some("WITH") => refuse(
            format!("`{}` is recursive and has a WITH of its own", name.value),
            "write the queries of the inner WITH before it, in the outer one",
        ),
        Some(clause) => refuse(
            format!("`{}` is recursive and has {clause}", name.value),
            "end the recursion by a condition, and write the clause in the query that reads it",
        ),
        None => Ok(()),
    }
}

/// Whether a query reads a relation of this name.
fn reads(query: &impl Visit, relation: &Ident) -> bool {
    let found = walk::read(query, &mut |part| match part {
        Part::Relation(name) => match name.0.as_slice() {
            [ObjectNamePart::Identifier(name)] if name.value == relation.value => Err(()),
            _ => Ok(()),
        },
        _ => Ok(()),
    });
    found.is_err()
}

/// # Errors
/// A column of the rows that follow has a type that the first rows' cuts off.
pub(super) fn check(statement: &Statement, plan: &LogicalPlan) -> Result<()> {
    tree::check_nodes(plan, &mut |node| match node {
        LogicalPlan::RecursiveQuery(query) => check_types(statement, query),
        _ => Ok(()),
    })
}

fn check_types(statement: &Statement, query: &RecursiveQuery) -> Result<()> {
    let LogicalPlan::Projection(projection) = query.recursive_term.as_ref() else { return Ok(()) };
    let select = recursive_select(statement, &query.name);
    for (place, expression) in projection.expr.iter().enumerate() {
        let mut value = expression;
        while let Expr::Alias(Alias { expr, .. }) = value {
            value = expr;
        }
        let Expr::Cast(Cast { expr: value, field }) = value else { continue };
        let (from, to) = (value.get_type(projection.input.schema())?, field.data_type());
        let is_written = !matches!(value.as_ref(), Expr::Cast(_))
            && select.as_ref().is_some_and(|select| is_cast(select, place));
        if is_cut_off(&from, to) && !is_written {
            let name = query.static_term.schema().field(place).name();
            return Err(of_two_types(name, to, &from, rewrite::place(value).first()));
        }
    }
    Ok(())
}

/// An error about a column that is of one type in the first rows and of another in those that follow.
pub(in crate::sql) fn of_two_types(
    name: &str,
    first: &DataType,
    next: &DataType,
    span: Option<Span>,
) -> DataFusionError {
    let message = in_sql(&format!(
        "column `{name}` of the recursive query is {first} in its first rows, and {next} in those that follow"
    ));
    refused(
        message,
        "CAST one of them to the other's type, best the first one: `SELECT CAST(1 AS DOUBLE)`",
        span,
    )
}

/// Whether a cast changes values, and does not refuse them.
fn is_cut_off(from: &DataType, to: &DataType) -> bool {
    let places = |of: &DataType| decimal(of).map_or(0, |(_, scale)| scale);
    match (from, to) {
        (DataType::Timestamp(from, _), DataType::Timestamp(to, _)) => from > to,
        (DataType::Timestamp(..), to) => is_day(to),
        (from, to) if from.is_floating() => to.is_integer() || to.is_decimal() || *to == DataType::Float32,
        (from, to) => from.is_decimal() && (to.is_integer() || to.is_decimal()) && places(from) > places(to),
    }
}

/// The SELECT after the UNION of a recursive query, if it is one that makes its rows itself.
fn recursive_select(statement: &Statement, name: &str) -> Option<Box<Select>> {
    let found = walk::read(statement, &mut |part| {
        let Part::Query(Query { with: Some(with), .. }) = part else { return Ok(()) };
        let cte = with.cte_tables.iter().find(|cte| cte.alias.name.value == name);
        match cte.map(|cte| cte.query.body.as_ref()) {
            Some(SetExpr::SetOperation { right, .. }) => match right.as_ref() {
                SetExpr::Select(select) if select.distinct.is_none() => Err(select.clone()),
                _ => Ok(()),
            },
            _ => Ok(()),
        }
    });
    found.err()
}

/// Whether a column of a SELECT is written as a cast, or may be, as it comes after a `*`.
fn is_cast(select: &Select, place: usize) -> bool {
    let items = &select.projection;
    let is_star =
        |item: &SelectItem| matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..));
    if items.iter().take(place + 1).any(is_star) {
        return true;
    }
    match items.get(place) {
        Some(SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }) => {
            let mut expr = expr;
            while let SqlExpr::Nested(inner) = expr {
                expr = inner;
            }
            matches!(expr, SqlExpr::Cast { .. } | SqlExpr::TypedString { .. })
        }
        _ => false,
    }
}
