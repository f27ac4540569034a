//! How an analyzer rule rewrites expressions, each with what it reads in scope, and how they are told.

use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, DFSchema, Result, Span, Spans};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::{conjunction, disjunction, merge_schema};
use datafusion::logical_expr::{Cast, Expr, LogicalPlan, Operator, TryCast};

use super::sql_types::in_sql;
use super::{FIELD_OF, forms, placed, tree};

/// The function that `list[1]` is.
const ITEM_OF: &str = "array_element";

/// Rewrites every part of the expressions of one node, inner parts first; the node's columns keep their names. The node's
/// schema is left as it is.
pub(super) fn expressions(
    node: LogicalPlan,
    rewrite: &dyn Fn(Expr, &DFSchema) -> Result<Transformed<Expr>>,
) -> Result<Transformed<LogicalPlan>> {
    let schema = scope(&node);
    let names = NamePreserver::new(&node);
    let rewritten = |expression: Expr| -> Result<Transformed<Expr>> {
        let name = names.save(&expression);
        let rewritten = tree::rewrite_parts_up(expression, &mut |part| rewrite(part, &schema))?;
        Ok(match rewritten.transformed {
            true => rewritten.update_data(|expression| name.restore(expression)),
            false => rewritten,
        })
    };
    tree::rewrite_expressions(node, &mut |expression| match expression {
        // The columns are those inside.
        sets @ Expr::GroupingSet(_) => tree::rewrite_children(sets, &mut |key| rewritten(key)),
        expression => rewritten(expression),
    })
}

/// The columns that the expressions of a node can read.
pub(super) fn scope(node: &LogicalPlan) -> DFSchema {
    match node {
        LogicalPlan::TableScan(scan) => (*scan.projected_schema).clone(),
        _ => merge_schema(&node.inputs()),
    }
}

/// From the first to the last name of a column in an expression: what the parser knows of places.
pub(super) fn place(expression: &Expr) -> Spans {
    let mut found: Option<Span> = None;
    tree::each_part(expression, &mut |part| {
        if let Expr::Column(column) = part {
            found = Span::union_iter(found.into_iter().chain(column.spans.first()));
        }
    });
    let mut spans = Spans::new();
    found.into_iter().for_each(|span| spans.add_span(span));
    spans
}

/// An expression as a person would write it; operators of ours in it are written as what they stand for.
pub(super) fn text(expression: &Expr) -> Result<String> {
    if let Expr::ScalarFunction(call) = expression
        && (call.name() == placed::CAST || is_operator(expression))
    {
        return call.func.schema_name(&call.args);
    }
    let inner = &mut |child: Expr| {
        // The planner's own casts look the same as those that are written.
        let told = match &child {
            Expr::Literal(..) => return Ok(Transformed::no(child)),
            Expr::Cast(Cast { expr, .. }) => expr.as_ref(),
            Expr::ScalarFunction(call) if call.name() == forms::AS_IS => &call.args[0],
            other => other,
        };
        if let Expr::Column(column) = told {
            let outer = written_as(&column.name).map(Column::new_unqualified);
            return Ok(Transformed::yes(Expr::Column(outer.unwrap_or_else(|| column.clone()))));
        }
        let written = match field_path(told) {
            Some(path) => path,
            None if is_operator(told) => format!("({})", text(told)?),
            None => text(told)?,
        };
        Ok(Transformed::yes(Expr::Column(Column::new_unqualified(written))))
    };
    Ok(in_sql(&match tree::rewrite_children(expression.clone(), inner)?.data {
        Expr::Cast(Cast { expr, field }) => {
            format!("CAST({} AS {})", operand(&expr), field.data_type())
        }
        Expr::TryCast(TryCast { expr, field }) => {
            format!("TRY_CAST({} AS {})", operand(&expr), field.data_type())
        }
        other => other.human_display().to_string(),
    }))
}

/// What is cast: texts in quotes.
fn operand(expression: &Expr) -> String {
    match expression {
        Expr::Literal(..) => expression.to_string(),
        other => other.human_display().to_string(),
    }
}

/// The operands of an AND or OR as one expression; `None` if there are none.
pub(super) fn joined(op: Operator, parts: impl IntoIterator<Item = Expr>) -> Option<Expr> {
    if op == Operator::And { conjunction(parts) } else { disjunction(parts) }
}

/// A name that is like no other one, for a column in the place of another.
pub(super) fn in_place_of(unique: &str, column: &Column) -> String {
    format!("{unique}:{}", column.flat_name())
}

/// The column that one with this name is in the place of, as it is written.
fn written_as(name: &str) -> Option<&str> {
    name.strip_prefix("__")?.split_once(':').map(|(_, column)| column)
}

/// A field of a record, or an item of a list, as it is written: `batch.customer.id`, `batch.lines[1].price`.
fn field_path(expression: &Expr) -> Option<String> {
    let Expr::ScalarFunction(call) = expression else { return None };
    let path = |whole: &Expr| match whole {
        Expr::Column(column) => Some(column.flat_name()),
        other => field_path(other),
    };
    if let (ITEM_OF, [list, Expr::Literal(index, _)]) = (call.name(), call.args.as_slice()) {
        return Some(format!("{}[{index}]", path(list)?));
    }
    let (record, names) = call.args.split_first().filter(|_| call.name() == FIELD_OF)?;
    let record = path(record)?;
    let names = names.iter().map(literal_text).collect::<Option<Vec<_>>>()?;
    Some(format!("{record}.{}", names.join(".")))
}

/// The text that an expression is, if it is a literal.
pub(super) fn literal_text(expression: &Expr) -> Option<&str> {
    match expression {
        Expr::Literal(value, _) => value.try_as_str().flatten(),
        _ => None,
    }
}

/// Whether it is an operator with two sides, or one of ours in its place.
fn is_operator(expression: &Expr) -> bool {
    match expression {
        Expr::BinaryExpr(_) => true,
        Expr::ScalarFunction(call) => call.name().starts_with("checked_"),
        _ => false,
    }
}
