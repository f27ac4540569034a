//! `SELECT -n AS n FROM t ORDER BY n + 0`: PostgreSQL and DuckDB take `n` in an expression of ORDER BY for the column of `t`;
//! MySQL, Spark and DataFusion take it for the output column. `n` alone is the output column everywhere.

use datafusion::common::Result;
use datafusion::logical_expr::{Expr, LogicalPlan, Projection};

use super::refused;
use super::subqueries::columns_read;

/// # Errors
/// An expression of ORDER BY with a name of both kinds.
pub(super) fn check_node(node: &LogicalPlan) -> Result<()> {
    let LogicalPlan::Sort(sort) = node else { return Ok(()) };
    let LogicalPlan::Projection(projection) = sort.input.as_ref() else { return Ok(()) };
    for key in &sort.expr {
        if matches!(key.expr, Expr::Column(_)) {
            continue;
        }
        for column in columns_read(&key.expr) {
            if column.relation.is_none() && is_both(&column.name, projection) {
                return Err(refused(
                    format!("`{}` is an output column and a column of the tables", column.name),
                    "databases differ in which of them an expression of ORDER BY reads: \
                     write `relation.column`, or give the output column another name",
                    column.spans.first(),
                ));
            }
        }
    }
    Ok(())
}

fn is_both(name: &str, projection: &Projection) -> bool {
    let is_renamed = |item: &Expr| match item {
        Expr::Alias(alias) if alias.name == name => {
            !matches!(alias.expr.as_ref(), Expr::Column(column) if column.name == name)
        }
        _ => false,
    };
    projection.expr.iter().any(is_renamed)
        && !projection.input.schema().fields_with_unqualified_name(name).is_empty()
}
