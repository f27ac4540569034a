//! How an analyzer rule rewrites the expressions of a plan, each with what it reads in scope.

use datafusion::common::tree_node::{Transformed, TreeNode as _};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Expr, LogicalPlan};

/// Rewrites every part of the expressions of one node, inner parts first; the node's columns keep their names. The node's
/// schema is left as it is.
pub(super) fn expressions(
    node: LogicalPlan,
    rewrite: impl Fn(Expr, &DFSchema) -> Result<Transformed<Expr>>,
) -> Result<Transformed<LogicalPlan>> {
    let schema = match &node {
        LogicalPlan::TableScan(scan) => (*scan.projected_schema).clone(),
        _ => merge_schema(&node.inputs()),
    };
    let names = NamePreserver::new(&node);
    node.map_expressions(|expression| {
        let name = names.save(&expression);
        let rewritten = expression.transform_up(|part| rewrite(part, &schema))?;
        Ok(match rewritten.transformed {
            true => rewritten.update_data(|expression| name.restore(expression)),
            false => rewritten,
        })
    })
}
