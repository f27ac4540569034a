//! A condition protects what is computed beside it: in `x <> 0 AND y / x > 5`, the quotient is computed only for the
//! rows for which `x <> 0` is not false, in whatever order the two are written, and in CASE only for the rows of its branch.
//!
//! DataFusion makes AND and OR of a CASE of booleans, computes both sides of these for all rows of a batch, and moves
//! conditions below joins and into other conditions. So conditions that can fail are kept apart and are not moved
//! ([`FailLast`]), and AND and OR become CASE at the end ([`Guarded`]).

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode as _, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::expr::{AggregateFunction, WindowFunction};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::{conjunction, disjunction, split_binary, split_conjunction_owned};
use datafusion::logical_expr::{
    BinaryExpr, Case, Expr, ExprSchemable as _, Filter, LogicalPlan, Operator, lit,
};
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};

use super::{placed, rewrite};

/// Whether an expression may be an error for some values.
pub(super) fn may_fail(expression: &Expr) -> bool {
    let found = expression.exists(|part| {
        Ok(matches!(part, Expr::ScalarFunction(call)
            if call.name().starts_with("checked_") || call.name() == placed::CAST || placed::FUNCTIONS.contains(&call.name())))
    });
    found.unwrap_or(true)
}

/// The conditions of all filters from here on down, the topmost first, and what is filtered.
pub(super) fn filtered(plan: &LogicalPlan) -> (Vec<&Expr>, &LogicalPlan) {
    let (mut conditions, mut below) = (Vec::new(), plan);
    while let LogicalPlan::Filter(filter) = below {
        conditions.push(&filter.predicate);
        below = &filter.input;
    }
    (conditions, below)
}

/// A rule of DataFusion's that moves conditions, but for those that may fail.
#[derive(Debug)]
pub(super) struct MovesOthers<R>(pub(super) R);

impl<R: OptimizerRule> OptimizerRule for MovesOthers<R> {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        self.0.apply_order()
    }

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        if is_kept(&plan) {
            return Ok(Transformed::no(plan));
        }
        move_others(plan, |plan| self.0.rewrite(plan, config))
    }
}

/// Whether a condition must not be moved from where it is: it may fail, or reads a column that is computed just below and may.
fn is_kept(plan: &LogicalPlan) -> bool {
    let (conditions, below) = filtered(plan);
    match below {
        _ if conditions.iter().any(|condition| may_fail(condition)) => true,
        LogicalPlan::Join(join) if !conditions.is_empty() => join.filter.as_ref().is_some_and(may_fail),
        LogicalPlan::Projection(projection) => {
            let computed = projection.schema.columns().into_iter().zip(&projection.expr);
            let mut failing = computed.filter(|(_, value)| may_fail(value)).map(|(column, _)| column);
            failing.any(|column| conditions.iter().any(|condition| condition.column_refs().contains(&column)))
        }
        _ => false,
    }
}

/// Lets a rule move the conditions of a join, but for those that may fail.
fn move_others(
    plan: LogicalPlan,
    rule: impl Fn(LogicalPlan) -> Result<Transformed<LogicalPlan>>,
) -> Result<Transformed<LogicalPlan>> {
    let LogicalPlan::Join(join) = &plan else { return rule(plan) };
    let conditions = join.filter.clone().map(split_conjunction_owned).unwrap_or_default();
    let (failing, safe): (Vec<Expr>, Vec<Expr>) = conditions.into_iter().partition(may_fail);
    if failing.is_empty() {
        return rule(plan);
    }
    if safe.is_empty() {
        return Ok(Transformed::no(plan));
    }
    let mut others = join.clone();
    others.filter = conjunction(safe);
    let moved = rule(LogicalPlan::Join(others))?;
    match moved.data {
        LogicalPlan::Join(mut joined) if moved.transformed => {
            joined.filter = conjunction(joined.filter.into_iter().chain(failing));
            Ok(Transformed::yes(LogicalPlan::Join(joined)))
        }
        _ => Ok(Transformed::no(plan)),
    }
}

/// An aggregate computes its arguments for the rows of its FILTER only.
pub(super) fn in_aggregate(part: Expr) -> Transformed<Expr> {
    let guard = |values: &mut Vec<Expr>, filter: &Option<Box<Expr>>| {
        let Some(filter) = filter else { return false };
        let mut is_changed = false;
        for value in values.iter_mut().filter(|value| may_fail(value)) {
            *value = case(filter.as_ref().clone(), std::mem::take(value), None);
            is_changed = true;
        }
        is_changed
    };
    match part {
        Expr::AggregateFunction(AggregateFunction { func, mut params }) => {
            let is_changed = guard(&mut params.args, &params.filter);
            Transformed::new_transformed(
                Expr::AggregateFunction(AggregateFunction { func, params }),
                is_changed,
            )
        }
        Expr::WindowFunction(mut function) => {
            let WindowFunction { params, .. } = function.as_mut();
            let is_changed = guard(&mut params.args, &params.filter);
            Transformed::new_transformed(Expr::WindowFunction(function), is_changed)
        }
        part => Transformed::no(part),
    }
}

/// Conditions that may fail, in a filter of their own above the others, wherever these were written.
#[derive(Debug)]
pub(super) struct FailLast;

impl OptimizerRule for FailLast {
    fn name(&self) -> &'static str {
        "fail_last"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::TopDown)
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let (conditions, below) = filtered(&plan);
        let conditions: Vec<Vec<Expr>> =
            conditions.into_iter().cloned().map(split_conjunction_owned).collect();
        // Those that are there already, above others that cannot fail, stay.
        let is_settled = |(place, conditions): (usize, &Vec<Expr>)| match place {
            0 => conditions.iter().all(may_fail),
            _ => !conditions.iter().any(may_fail),
        };
        let (failing, safe): (Vec<Expr>, Vec<Expr>) =
            conditions.iter().rev().flatten().cloned().partition(may_fail);
        if failing.is_empty() || safe.is_empty() || conditions.iter().enumerate().all(is_settled) {
            return Ok(Transformed::no(plan));
        }
        let mut input = Arc::new(below.clone());
        for conditions in [safe, failing] {
            if let Some(predicate) = conjunction(conditions) {
                input = Arc::new(LogicalPlan::Filter(Filter::try_new(predicate, input)?));
            }
        }
        Ok(Transformed::yes(Arc::unwrap_or_clone(input)))
    }
}

/// AND and OR that compute what may fail only where the rest does not decide.
#[derive(Debug)]
pub(super) struct Guarded;

impl OptimizerRule for Guarded {
    fn name(&self) -> &'static str {
        "guarded"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let is_guarded = |expression: &Expr| {
            let found = expression.exists(|part| Ok(is_chain(part) && may_fail(part)));
            found.unwrap_or_default()
        };
        let mut any = false;
        plan.apply_expressions(|expression| {
            any |= is_guarded(expression);
            Ok(TreeNodeRecursion::Continue)
        })?;
        if !any {
            return Ok(Transformed::no(plan));
        }
        let schema = rewrite::scope(&plan);
        // Of a condition, NULL is as good as false.
        let is_condition = matches!(plan, LogicalPlan::Filter(_));
        if let LogicalPlan::Join(mut join) = plan {
            join.filter = join.filter.take().map(|filter| guarded(filter, &schema, true)).transpose()?;
            return Ok(Transformed::yes(LogicalPlan::Join(join)));
        }
        let names = NamePreserver::new(&plan);
        plan.map_expressions(|expression| {
            if !is_guarded(&expression) {
                return Ok(Transformed::no(expression));
            }
            let name = names.save(&expression);
            Ok(Transformed::yes(name.restore(guarded(expression, &schema, is_condition)?)))
        })
    }
}

fn is_chain(expression: &Expr) -> bool {
    matches!(expression, Expr::BinaryExpr(BinaryExpr { op: Operator::And | Operator::Or, .. }))
}

fn guarded(expression: Expr, schema: &DFSchema, is_condition: bool) -> Result<Expr> {
    let op = match &expression {
        Expr::BinaryExpr(BinaryExpr { op: op @ (Operator::And | Operator::Or), .. }) => *op,
        _ => {
            let inner = |child: Expr| Ok(Transformed::yes(guarded(child, schema, false)?));
            return Ok(expression.map_children(inner)?.data);
        }
    };
    let parts = split_binary(&expression, op).into_iter().cloned();
    let parts = parts.map(|part| guarded(part, schema, is_condition)).collect::<Result<Vec<_>>>()?;
    let (failing, safe): (Vec<Expr>, Vec<Expr>) = parts.into_iter().partition(may_fail);
    let joined = if op == Operator::And { conjunction(safe) } else { disjunction(safe) };
    let all = failing.into_iter().try_fold(joined, |before, part| {
        let Some(before) = before else { return Ok::<_, DataFusionError>(Some(part)) };
        let decides = is_condition || !before.nullable(schema)?;
        Ok(Some(match (op, decides) {
            (Operator::And, true) => case(before, part, Some(lit(false))),
            (Operator::And, false) => {
                case(Expr::IsFalse(Box::new(before.clone())), lit(false), Some(before.and(part)))
            }
            (_, true) => case(before, lit(true), Some(part)),
            (_, false) => case(before.clone(), lit(true), Some(before.or(part))),
        }))
    })?;
    Ok(all.unwrap_or(expression))
}

fn case(when: Expr, then: Expr, otherwise: Option<Expr>) -> Expr {
    Expr::Case(Case {
        expr: None,
        when_then_expr: vec![(Box::new(when), Box::new(then))],
        else_expr: otherwise.map(Box::new),
    })
}
