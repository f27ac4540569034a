//! A condition protects what is computed beside it: in `x <> 0 AND y / x > 5`, the quotient is computed only for the
//! rows for which `x <> 0` is not false, in whatever order the two are written, and in CASE only for the rows of its branch.
//!
//! DataFusion makes AND and OR of a CASE of booleans, computes both sides of these for all rows of a batch, and moves
//! conditions below joins and into other conditions. So conditions that can fail are kept apart and are not moved
//! ([`MovesOthers`]), and AND and OR become CASE at the end ([`Planner`]).

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::tree_node::{Transformed, TransformedResult as _, TreeNode as _};
use datafusion::common::{Column, DFSchema, Result, ScalarValue};
use datafusion::config::ConfigOptions;
use datafusion::error::DataFusionError;
use datafusion::execution::context::QueryPlanner;
use datafusion::functions::core::nullif;
use datafusion::logical_expr::expr::{AggregateFunction, WindowFunction};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::{conjunction, split_binary, split_conjunction_owned};
use datafusion::logical_expr::{
    BinaryExpr, Case, Expr, ExprSchemable as _, Filter, Join, JoinType, LogicalPlan, Operator, lit,
};
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::CaseExpr;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::projection_pushdown::ProjectionPushdown;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::joins::NestedLoopJoinExec;
use datafusion::physical_plan::projection::remove_unnecessary_projections;
use datafusion::physical_planner::{DefaultPhysicalPlanner, PhysicalPlanner as _};

use super::{placed, rewrite, tree};

/// Whether an expression may be an error for some values.
pub(super) fn may_fail(expression: &Expr) -> bool {
    tree::any_part(expression, &|part| {
        matches!(part, Expr::ScalarFunction(call)
            if call.name().starts_with("checked_") || placed::may_refuse(call))
    })
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

/// A rule of DataFusion's that moves conditions, but for those that may fail: these are in a filter of their own above the
/// others, wherever they were written.
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
        let (conditions, below) = filtered(&plan);
        if conditions.is_empty() {
            return move_others(plan, |plan| self.0.rewrite(plan, config));
        }
        let conditions: Vec<Vec<Expr>> =
            conditions.into_iter().cloned().map(split_conjunction_owned).collect();
        let failing_columns = failing_columns(below);
        let stays = |condition: &Expr| {
            may_fail(condition)
                || condition.column_refs().iter().any(|column| failing_columns.contains(column))
        };
        let (staying, others): (Vec<Expr>, Vec<Expr>) =
            conditions.iter().rev().flatten().cloned().partition(stays);
        if staying.is_empty() {
            return move_others(plan, |plan| self.0.rewrite(plan, config));
        }
        // The filter of the others is the next one that the rule sees.
        let is_settled = conditions.iter().enumerate().all(|(place, conditions)| match place {
            0 => conditions.iter().all(stays),
            _ => !conditions.iter().any(stays),
        });
        if others.is_empty() || is_settled {
            return Ok(Transformed::no(plan));
        }
        let mut input = Arc::new(below.clone());
        for conditions in [others, staying] {
            if let Some(predicate) = conjunction(conditions) {
                input = Arc::new(LogicalPlan::Filter(Filter::try_new(predicate, input)?));
            }
        }
        Ok(Transformed::yes(Arc::unwrap_or_clone(input)))
    }
}

/// The columns that a plan computes of what may fail.
fn failing_columns(plan: &LogicalPlan) -> Vec<Column> {
    let LogicalPlan::Projection(projection) = plan else { return Vec::new() };
    let computed = projection.schema.columns().into_iter().zip(&projection.expr);
    computed.filter(|(_, value)| may_fail(value)).map(|(column, _)| column).collect()
}

/// Lets a rule move the conditions of a join, and those above it, but for those of ON that may fail.
fn move_others(
    plan: LogicalPlan,
    rule: impl Fn(LogicalPlan) -> Result<Transformed<LogicalPlan>>,
) -> Result<Transformed<LogicalPlan>> {
    let (above, join) = match &plan {
        LogicalPlan::Join(join) => (None, join),
        LogicalPlan::Filter(filter) => match filter.input.as_ref() {
            LogicalPlan::Join(join) => (Some(filter), join),
            _ => return rule(plan),
        },
        _ => return rule(plan),
    };
    let conditions = join.filter.clone().map(split_conjunction_owned).unwrap_or_default();
    let (failing, safe): (Vec<Expr>, Vec<Expr>) = conditions.into_iter().partition(may_fail);
    if failing.is_empty() {
        return rule(plan);
    }
    if safe.is_empty() && above.is_none() {
        return Ok(Transformed::no(plan));
    }
    let mut others = join.clone();
    others.filter = conjunction(safe);
    let mut others = LogicalPlan::Join(others);
    if let Some(filter) = above {
        others = LogicalPlan::Filter(Filter::try_new(filter.predicate.clone(), Arc::new(others))?);
    }
    let moved = rule(others)?;
    if !moved.transformed {
        return Ok(Transformed::no(plan));
    }
    Ok(match moved.data {
        LogicalPlan::Join(join) => Transformed::yes(with_conditions(join, failing)),
        LogicalPlan::Filter(mut filter) => match Arc::unwrap_or_clone(filter.input) {
            LogicalPlan::Join(join) => {
                filter.input = Arc::new(with_conditions(join, failing));
                Transformed::yes(LogicalPlan::Filter(filter))
            }
            _ => Transformed::no(plan),
        },
        _ => Transformed::no(plan),
    })
}

fn with_conditions(mut join: Join, more: Vec<Expr>) -> LogicalPlan {
    join.filter = conjunction(join.filter.into_iter().chain(more));
    LogicalPlan::Join(join)
}

/// An aggregate computes its arguments, and their order, for the rows of its FILTER only.
pub(super) fn in_aggregate(part: Expr) -> Transformed<Expr> {
    // A constant is checked while the query is planned, and some functions take nothing else.
    let is_guarded = |value: &&mut Expr| may_fail(value) && !value.column_refs().is_empty();
    let guard = |values: &mut dyn Iterator<Item = &mut Expr>, filter: &Option<Box<Expr>>| {
        let Some(filter) = filter else { return false };
        let guarded = values.filter(is_guarded).map(|value| {
            *value = case(filter.as_ref().clone(), std::mem::take(value), None);
        });
        guarded.count() > 0
    };
    match part {
        Expr::AggregateFunction(AggregateFunction { func, mut params }) => {
            // Other keys are columns by now.
            let order = params.order_by.iter_mut().map(|key| &mut key.expr);
            let is_changed = guard(&mut params.args.iter_mut().chain(order), &params.filter);
            let call = Expr::AggregateFunction(AggregateFunction { func, params });
            Transformed::new_transformed(call, is_changed)
        }
        Expr::WindowFunction(mut function) => {
            let WindowFunction { params, .. } = function.as_mut();
            let is_changed = guard(&mut params.args.iter_mut(), &params.filter);
            Transformed::new_transformed(Expr::WindowFunction(function), is_changed)
        }
        part => Transformed::no(part),
    }
}

/// Keys of outer joins that may fail, computed only for the rows that the other conditions on their side let through. Why: those
/// of a side whose rows are all kept cannot be checked before the join.
#[derive(Debug)]
pub(super) struct GuardedKeys;

impl OptimizerRule for GuardedKeys {
    fn name(&self) -> &'static str {
        "guarded_keys"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let LogicalPlan::Join(join) = &plan else { return Ok(Transformed::no(plan)) };
        if !matches!(join.join_type, JoinType::Left | JoinType::Right | JoinType::Full) {
            return Ok(Transformed::no(plan));
        }
        let mut conditions = join.filter.clone().map(split_conjunction_owned).unwrap_or_default();
        let sides = [join.left.schema(), join.right.schema()];
        let is_of = |value: &Expr, side: &DFSchema| {
            let read = value.column_refs();
            !read.is_empty() && read.into_iter().all(|column| side.has_column(column))
        };
        let guards = sides.map(|side| {
            conjunction(conditions.iter().filter(|part| !may_fail(part) && is_of(part, side)).cloned())
        });
        let mut is_changed = false;
        for condition in &mut conditions {
            let Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) = condition else { continue };
            for value in [left.as_mut(), right.as_mut()] {
                let side = sides.iter().zip(&guards).find(|(side, _)| is_of(value, side));
                if let (Some((_, Some(guard))), true) =
                    (side, may_fail(value) && !matches!(value, Expr::Case(_)))
                {
                    *value = case(guard.clone(), std::mem::take(value), None);
                    is_changed = true;
                }
            }
        }
        if !is_changed {
            return Ok(Transformed::no(plan));
        }
        let mut join = join.clone();
        join.filter = conjunction(conditions);
        Ok(Transformed::yes(LogicalPlan::Join(join)))
    }
}

/// AND and OR with what may fail at the end. Why: what is computed twice is computed once before, if it is first in one of them.
#[derive(Debug)]
pub(super) struct FailLast;

impl OptimizerRule for FailLast {
    fn name(&self) -> &'static str {
        "fail_last"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        rewritten(plan, &has_failing_first, &failing_last)
    }
}

/// Whether an AND or OR has something that may fail before something that cannot.
fn has_failing_first(expression: &Expr) -> bool {
    let is_it = |part: &Expr| {
        chain_of(part)
            .is_some_and(|(_, parts)| parts.windows(2).any(|pair| may_fail(pair[0]) && !may_fail(pair[1])))
    };
    may_fail(expression) && tree::any_part(expression, &is_it)
}

fn failing_last(expression: Expr) -> Result<Expr> {
    let Some((op, parts)) = chain_of(&expression) else {
        return tree::rewrite_children(expression, &mut |child| Ok(Transformed::yes(failing_last(child)?)))
            .data();
    };
    let parts = parts.into_iter().cloned().map(failing_last).collect::<Result<Vec<_>>>()?;
    let (failing, safe): (Vec<Expr>, Vec<Expr>) = parts.into_iter().partition(may_fail);
    Ok(rewrite::joined(op, safe.into_iter().chain(failing)).unwrap_or(expression))
}

/// Plans queries as DataFusion does, but for AND and OR: these compute what may fail only where the rest does not decide. Why
/// here: the optimizer's first rule makes AND and OR of CASE, round for round.
#[derive(Debug)]
pub(super) struct Planner;

#[async_trait]
impl QueryPlanner for Planner {
    async fn create_physical_plan(
        &self,
        plan: &LogicalPlan,
        session: &dyn Session,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let plan = tree::rewrite_nodes(plan.clone(), &mut guarded_node)?;
        DefaultPhysicalPlanner::default().create_physical_plan(&plan, session).await
    }
}

/// DataFusion's rule for projections, but where a join that compares all rows has a CASE in its condition: it would compute
/// the parts of this that read one side for all rows of the side.
#[derive(Debug)]
pub(super) struct OfSafeJoins(pub(super) ProjectionPushdown);

impl PhysicalOptimizerRule for OfSafeJoins {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn schema_check(&self) -> bool {
        self.0.schema_check()
    }

    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let is_case = |part: &Arc<dyn PhysicalExpr>| Ok(part.is::<CaseExpr>());
        let has_case = plan.exists(|node| {
            let filter = node.downcast_ref::<NestedLoopJoinExec>().and_then(NestedLoopJoinExec::filter);
            filter.map_or(Ok(false), |filter| filter.expression().exists(is_case))
        })?;
        if !has_case {
            return self.0.optimize(plan, config);
        }
        plan.transform_down(remove_unnecessary_projections).data()
    }
}

fn guarded_node(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    if !tree::any_expression(&plan, &has_failing_chain) {
        return Ok(Transformed::no(plan));
    }
    let schema = rewrite::scope(&plan);
    // Of a condition, NULL is as good as false.
    let is_condition = matches!(plan, LogicalPlan::Filter(_));
    if let LogicalPlan::Join(mut join) = plan {
        join.filter = join.filter.take().map(|filter| guarded(filter, &schema, true)).transpose()?;
        return Ok(Transformed::yes(LogicalPlan::Join(join)));
    }
    rewritten(plan, &has_failing_chain, &|expression| guarded(expression, &schema, is_condition))
}

/// Rewrites some of the expressions of a node, whose columns keep their names.
fn rewritten(
    plan: LogicalPlan,
    is_meant: &dyn Fn(&Expr) -> bool,
    rewrite: &dyn Fn(Expr) -> Result<Expr>,
) -> Result<Transformed<LogicalPlan>> {
    let names = NamePreserver::new(&plan);
    tree::rewrite_expressions(plan, &mut |expression| {
        if !is_meant(&expression) {
            return Ok(Transformed::no(expression));
        }
        let name = names.save(&expression);
        Ok(Transformed::yes(name.restore(rewrite(expression)?)))
    })
}

/// Whether there is an AND or OR that may fail.
fn has_failing_chain(expression: &Expr) -> bool {
    may_fail(expression) && tree::any_part(expression, &|part| chain_of(part).is_some() && may_fail(part))
}

/// The operator and the operands of an AND or OR.
fn chain_of(expression: &Expr) -> Option<(Operator, Vec<&Expr>)> {
    match expression {
        Expr::BinaryExpr(BinaryExpr { op: op @ (Operator::And | Operator::Or), .. }) => {
            Some((*op, split_binary(expression, *op)))
        }
        _ => None,
    }
}

fn guarded(expression: Expr, schema: &DFSchema, is_condition: bool) -> Result<Expr> {
    let Some((op, parts)) = chain_of(&expression) else {
        let inner = &mut |child| Ok(Transformed::yes(guarded(child, schema, false)?));
        return tree::rewrite_children(expression, inner).data();
    };
    let parts = parts
        .into_iter()
        .cloned()
        .map(|part| guarded(part, schema, is_condition))
        .collect::<Result<Vec<_>>>()?;
    let (failing, safe): (Vec<Expr>, Vec<Expr>) = parts.into_iter().partition(may_fail);
    let all = failing.into_iter().try_fold(rewrite::joined(op, safe), |before, part| {
        let Some(before) = before else { return Ok::<_, DataFusionError>(Some(part)) };
        let is_plain = is_condition || !before.nullable(schema)?;
        Ok(Some(match (op, is_plain) {
            (Operator::And, true) => case(before, part, Some(lit(false))),
            (_, true) => case(before, lit(true), Some(part)),
            (_, false) => unknown_too(op, before, part),
        }))
    })?;
    Ok(all.unwrap_or(expression))
}

/// AND or OR of three values: what `before` decides, else the value of `part` with it. Each of them is computed once for a row;
/// the shorter one is written twice, so that long and nested ones stay short.
fn unknown_too(op: Operator, before: Expr, part: Expr) -> Expr {
    let deciding = lit(op == Operator::Or);
    let neutral = lit(op == Operator::And);
    let choice = |of: Expr, on_neutral: Expr, otherwise: Expr| {
        let branches = [(deciding.clone(), deciding.clone()), (neutral.clone(), on_neutral)];
        let branches = branches.map(|(when, then)| (Box::new(when), Box::new(then)));
        Expr::Case(Case::new(Some(Box::new(of)), branches.into(), Some(Box::new(otherwise))))
    };
    if size(&part) < size(&before) {
        let not_neutral = nullif().call(vec![part.clone(), neutral.clone()]);
        return choice(before, part, not_neutral);
    }
    let is_decided = match op {
        Operator::And => Expr::IsFalse(Box::new(before.clone())),
        _ => Expr::IsTrue(Box::new(before.clone())),
    };
    let undecided = choice(part, before, lit(ScalarValue::Boolean(None)));
    case(is_decided, deciding.clone(), Some(undecided))
}

/// Of how many expressions one is made.
fn size(expression: &Expr) -> usize {
    let mut size = 0;
    tree::each_part(expression, &mut |_| size += 1);
    size
}

fn case(when: Expr, then: Expr, otherwise: Option<Expr>) -> Expr {
    Expr::Case(Case {
        expr: None,
        when_then_expr: vec![(Box::new(when), Box::new(then))],
        else_expr: otherwise.map(Box::new),
    })
}
