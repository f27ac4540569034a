//! Walks over plans and their expressions.
//!
//! Why not DataFusion's own: each closure has the walk over all kinds of nodes and expressions compiled once more. Here there
//! is one walk of each kind, and what looks at the parts is `dyn`.

use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TransformedResult as _, TreeNode as _, TreeNodeRecursion};
use datafusion::logical_expr::{Expr, LogicalPlan};

type Rewrite<'a, N> = &'a mut dyn FnMut(N) -> Result<Transformed<N>>;

/// Shows `check` each node of a plan, outer ones first; those of subqueries too.
///
/// # Errors
/// The first error of `check`; it ends the walk.
pub(super) fn check_nodes(
    plan: &LogicalPlan,
    check: &mut dyn FnMut(&LogicalPlan) -> Result<()>,
) -> Result<()> {
    plan.apply_with_subqueries(|node| check(node).map(|()| TreeNodeRecursion::Continue)).map(drop)
}

/// Shows `check` each node of a plan, outer ones first; those of subqueries do not count.
///
/// # Errors
/// As [`check_nodes`].
pub(super) fn check_own_nodes(
    plan: &LogicalPlan,
    check: &mut dyn FnMut(&LogicalPlan) -> Result<()>,
) -> Result<()> {
    plan.apply(|node| check(node).map(|()| TreeNodeRecursion::Continue)).map(drop)
}

/// Shows `look` each node of a plan, outer ones first; those of subqueries too.
pub(super) fn each_node(plan: &LogicalPlan, look: &mut dyn FnMut(&LogicalPlan)) {
    finished(check_nodes(plan, &mut |node| {
        look(node);
        Ok(())
    }));
}

/// Whether a plan has such a node; those of subqueries do not count.
pub(super) fn any_node(plan: &LogicalPlan, is_such: &dyn Fn(&LogicalPlan) -> bool) -> bool {
    let mut any = false;
    finished(check_own_nodes(plan, &mut |node| {
        any = any || is_such(node);
        Ok(())
    }));
    any
}

/// Shows `look` each expression of a node, as a whole.
fn each_expression(node: &LogicalPlan, look: &mut dyn FnMut(&Expr)) {
    finished(node.apply_expressions(going_on(look)));
}

/// Whether one of the expressions of a node, as a whole, is such.
pub(super) fn any_expression(node: &LogicalPlan, is_such: &dyn Fn(&Expr) -> bool) -> bool {
    let mut any = false;
    each_expression(node, &mut |expression| any = any || is_such(expression));
    any
}

/// Shows `look` each part of the expressions of a node, outer ones first. The nodes of a subquery are no parts.
pub(super) fn each_part_of(node: &LogicalPlan, look: &mut dyn FnMut(&Expr)) {
    each_expression(node, &mut |expression| each_part(expression, look));
}

/// Shows `look` an expression and each part of it, outer ones first. The nodes of a subquery are no parts.
pub(super) fn each_part(expression: &Expr, look: &mut dyn FnMut(&Expr)) {
    walk_parts(expression, &mut going_on(look));
}

/// Whether an expression, or a part of it, is such.
pub(super) fn any_part(expression: &Expr, is_such: &dyn Fn(&Expr) -> bool) -> bool {
    let mut any = false;
    walk_parts(expression, &mut |part| {
        any = is_such(part);
        Ok(if any { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    any
}

fn walk_parts(expression: &Expr, look: &mut dyn FnMut(&Expr) -> Result<TreeNodeRecursion>) {
    finished(expression.apply(look));
}

/// Shows `look` what an expression is made of, but not the parts of that.
pub(super) fn each_child(expression: &Expr, look: &mut dyn FnMut(&Expr)) {
    finished(expression.apply_children(going_on(look)));
}

/// Looks, and never ends the walk.
fn going_on<N>(look: &mut dyn FnMut(&N)) -> impl FnMut(&N) -> Result<TreeNodeRecursion> {
    |part| {
        look(part);
        Ok(TreeNodeRecursion::Continue)
    }
}

fn finished<T>(walk: Result<T>) {
    debug_assert!(walk.is_ok(), "nothing that looks fails");
}

/// Rewrites each node of a plan, inner ones first; those of subqueries too.
pub(super) fn rewrite_nodes(plan: LogicalPlan, rewrite: Rewrite<'_, LogicalPlan>) -> Result<LogicalPlan> {
    plan.transform_up_with_subqueries(rewrite).data()
}

/// Rewrites each node of a plan, inner ones first; those of subqueries stay as they are.
pub(super) fn rewrite_own_nodes(plan: LogicalPlan, rewrite: Rewrite<'_, LogicalPlan>) -> Result<LogicalPlan> {
    plan.transform_up(rewrite).data()
}

/// Rewrites each expression of a node, as a whole. The node's schema is left as it is.
pub(super) fn rewrite_expressions(
    node: LogicalPlan,
    rewrite: Rewrite<'_, Expr>,
) -> Result<Transformed<LogicalPlan>> {
    node.map_expressions(rewrite)
}

/// Rewrites an expression and each part of it, outer ones first.
pub(super) fn rewrite_parts(expression: Expr, rewrite: Rewrite<'_, Expr>) -> Result<Expr> {
    expression.transform_down(rewrite).data()
}

/// Rewrites an expression and each part of it, inner ones first.
pub(super) fn rewrite_parts_up(expression: Expr, rewrite: Rewrite<'_, Expr>) -> Result<Transformed<Expr>> {
    expression.transform_up(rewrite)
}

/// Rewrites what an expression is made of, but not the parts of that.
pub(super) fn rewrite_children(expression: Expr, rewrite: Rewrite<'_, Expr>) -> Result<Transformed<Expr>> {
    expression.map_children(rewrite)
}
