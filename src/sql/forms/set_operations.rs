//! EXCEPT ALL and INTERSECT ALL count rows: of equal rows, as many are taken away, or kept, as the right side has.
//!
//! DataFusion plans both as anti and semi joins, which take away or keep all equal rows. Here each side numbers its equal
//! rows, and the numbers are compared too.

use std::sync::Arc;

use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, NullEquality, Result};
use datafusion::functions_window::expr_fn::row_number;
use datafusion::logical_expr::{
    Distinct, Expr, ExprFunctionExt as _, JoinType, LogicalPlan, LogicalPlanBuilder,
};

use super::domain;

/// The number of a row among those that are equal.
const NUMBER: &str = "__number";

pub(super) fn rewrite(node: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let LogicalPlan::Join(join) = node else { return Ok(Transformed::no(node)) };
    let columns = join.left.schema().columns();
    // Only set operations compare whole rows, NULLs as equal; without ALL, equal rows of the left side are one already.
    let is_set_operation = matches!(join.join_type, JoinType::LeftSemi | JoinType::LeftAnti)
        && join.null_equality == NullEquality::NullEqualsNull
        && join.on.len() == columns.len()
        && join.filter.is_none();
    if !is_set_operation || matches!(join.left.as_ref(), LogicalPlan::Distinct(Distinct::All(_))) {
        return Ok(Transformed::no(LogicalPlan::Join(join)));
    }
    let (left_keys, right_keys): (Vec<Expr>, Vec<Expr>) = join.on.into_iter().unzip();
    let left = numbered(Arc::unwrap_or_clone(join.left), &left_keys, "l")?;
    let right = numbered(Arc::unwrap_or_clone(join.right), &right_keys, "r")?;
    let number = |side: &str| Expr::Column(Column::new_unqualified(format!("{NUMBER}_{side}")));
    let on = left_keys.into_iter().chain([number("l")]).zip(right_keys.into_iter().chain([number("r")]));
    let joined = domain::join(left, right, on.collect(), None, join.join_type, join.null_equality)?;
    let kept = LogicalPlanBuilder::from(joined).project(columns.into_iter().map(Expr::Column))?.build()?;
    Ok(Transformed::yes(kept))
}

fn numbered(side: LogicalPlan, keys: &[Expr], name: &str) -> Result<LogicalPlan> {
    let number = row_number().partition_by(keys.to_vec()).build()?.alias(format!("{NUMBER}_{name}"));
    LogicalPlanBuilder::from(side).window([number])?.build()
}
