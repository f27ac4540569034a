//! The rules that turn a planned query into what runs, each with why it is needed here.
//!
//! DataFusion's own list is made for files on many machines. Here every scan is a batch in memory, of one partition, that
//! takes no filters and no limits, so half of its rules gain nothing. Some of them also give wrong rows; see
//! [`super::forms`]. A rule is in these lists because views are slow, or cannot run, without it.

use std::sync::Arc;

use datafusion::common::tree_node::Transformed;
use datafusion::common::{NullEquality, Result};
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable as _, JoinType, LogicalPlan};
use datafusion::optimizer::analyzer::resolve_grouping_function::ResolveGroupingFunction;
use datafusion::optimizer::common_subexpr_eliminate::CommonSubexprEliminate;
use datafusion::optimizer::eliminate_cross_join::EliminateCrossJoin;
use datafusion::optimizer::eliminate_duplicated_expr::EliminateDuplicatedExpr;
use datafusion::optimizer::eliminate_limit::EliminateLimit;
use datafusion::optimizer::extract_equijoin_predicate::ExtractEquijoinPredicate;
use datafusion::optimizer::optimize_projections::OptimizeProjections;
use datafusion::optimizer::push_down_filter::PushDownFilter;
use datafusion::optimizer::push_down_limit::PushDownLimit;
use datafusion::optimizer::replace_distinct_aggregate::ReplaceDistinctWithAggregate;
use datafusion::optimizer::simplify_expressions::SimplifyExpressions;
use datafusion::optimizer::single_distinct_to_groupby::SingleDistinctToGroupBy;
use datafusion::optimizer::{AnalyzerRule, ApplyOrder, OptimizerConfig, OptimizerRule};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::combine_partial_final_agg::CombinePartialFinalAggregate;
use datafusion::physical_optimizer::ensure_coop::EnsureCooperative;
use datafusion::physical_optimizer::join_selection::JoinSelection;
use datafusion::physical_optimizer::output_requirements::OutputRequirements;
use datafusion::physical_optimizer::projection_pushdown::ProjectionPushdown;
use datafusion::physical_optimizer::sanity_checker::SanityCheckPlan;
use datafusion::physical_optimizer::update_aggr_exprs::OptimizeAggregateOrder;

use super::bounded::{BoundedInputs, Budget, Concatenations};
use super::coercion::Coercion;
use super::constants::HideConstants;
use super::forms;
use super::guarded::{FailLast, GuardedKeys, MovesOthers, OfSafeJoins, filtered};
use super::limits::EnsureRequirementsBetweenLimits;
use super::mixed_types::{MixedTypes, TypesOfUnions};
use super::numbers::RightNumbers;
use super::tree;
use super::windows::WindowsOfWholeBatches;

/// What every query goes through before it is optimized, in this order.
pub(super) fn analyzer_rules(budget: &Arc<Budget>) -> Vec<Arc<dyn AnalyzerRule + Send + Sync>> {
    vec![
        // GROUPING(x) becomes an expression over the columns of the grouping sets. First: the column that it reads is not
        // among those of the aggregate, which the next rules pass on.
        Arc::new(ResolveGroupingFunction::new()),
        // What reads a UNION sees the types that its columns will have.
        Arc::new(TypesOfUnions),
        // Forms that DataFusion answers wrongly become others; it must see them before types are coerced.
        Arc::new(forms::RewriteForms),
        // A DOUBLE beside a DECIMAL, and a text beside a timestamp, get the type that is meant.
        Arc::new(MixedTypes),
        // Operands get one type.
        Arc::new(Coercion),
        // Arithmetic that could wrap or lose digits is checked. The types of all operands are settled by now.
        Arc::new(RightNumbers),
        // Texts that are put together count against the budget of a run.
        Arc::new(Concatenations(Arc::clone(budget))),
    ]
}

/// What makes a logical plan cheaper, in this order. Left out, beside what only helps scans of files: the rules that
/// decorrelate subqueries (`forms` does), and those that derive empty relations, constant groups and inner joins, which
/// save a little in queries that nobody writes.
pub(super) fn logical_rules() -> Vec<Arc<dyn OptimizerRule + Send + Sync>> {
    vec![
        // Constants are computed once, `now()` too, and casts move from columns to literals.
        Arc::new(SimplifyExpressions::new()),
        // A key that GROUP BY has twice is computed once: what reads the columns after it would read others.
        Arc::new(EliminateDuplicatedExpr::new()),
        // DISTINCT has no operator of its own.
        Arc::new(ReplaceDistinctWithAggregate::new()),
        // A condition protects a key of its join. Before the next rule, which takes the keys out.
        Arc::new(GuardedKeys),
        // `a.x = b.x` in ON becomes the key of a hash join.
        Arc::new(Unless(ExtractEquijoinPredicate::new(), joins_nulls)),
        // The same for `FROM a, b WHERE a.x = b.x`.
        Arc::new(Unless(EliminateCrossJoin::new(), has_inner_join_of_nulls)),
        // LIMIT 0 is no rows: a sort that keeps none panics.
        Arc::new(EliminateLimit::new()),
        // ORDER BY ... LIMIT keeps only as many rows as it returns.
        Arc::new(PushDownLimit::new()),
        // Conditions are checked before joins, not after them, and those that may fail after those that cannot.
        Arc::new(Unless(MovesOthers(PushDownFilter::new()), filters_otherwise)),
        // count(DISTINCT x) runs over groups as a whole, not with a set for each group.
        Arc::new(Unless(SingleDistinctToGroupBy::new(), sums_decimals)),
        // The next rule takes the first side of AND and OR for computed in any case.
        Arc::new(FailLast),
        // An expression that a view repeats is computed once.
        Arc::new(CommonSubexprEliminate::new()),
        // Columns that nobody reads are not computed and not copied.
        Arc::new(OptimizeProjections::new()),
    ]
}

/// What makes a physical plan runnable and cheaper, in this order. `FilterPushdown` is left out above all: it finds columns
/// by their names, so a condition can land on another input's column of the same name (apache/datafusion#21246, #25296).
pub(super) fn physical_rules() -> Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> {
    vec![
        // The ORDER BY of a query is a requirement, so that the next rules keep it.
        Arc::new(OutputRequirements::new_add_mode()),
        // The smaller side of a join is hashed; hash joins get their mode.
        Arc::new(JoinSelection::new()),
        // The next rule takes out sorts by constants. What is constant below an outer join is not above it.
        Arc::new(HideConstants),
        // Sorts and merges are put where operators need them, and moved through no limit.
        Arc::new(EnsureRequirementsBetweenLimits),
        // Aggregates of one partition run in one step.
        Arc::new(CombinePartialFinalAggregate::new()),
        // Ordered aggregates use an order that is there already.
        Arc::new(OptimizeAggregateOrder::new()),
        // Joins and filters emit only the columns that are read.
        Arc::new(OfSafeJoins(ProjectionPushdown::new())),
        Arc::new(OutputRequirements::new_remove_mode()),
        // Operators let other tasks run: a long join must not starve the heartbeats.
        Arc::new(EnsureCooperative::new()),
        // A plan that breaks an operator's requirements is an error.
        Arc::new(SanityCheckPlan::new()),
        // Window functions run over a whole batch.
        Arc::new(WindowsOfWholeBatches),
        // One row that `unnest` makes too much of is refused. What an operator holds is counted once.
        Arc::new(BoundedInputs),
    ]
}

/// A rule of DataFusion's that leaves some plans as they are, because it would make them wrong.
#[derive(Debug)]
struct Unless<R>(R, fn(&LogicalPlan) -> Result<bool>);

impl<R: OptimizerRule> OptimizerRule for Unless<R> {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        self.0.apply_order()
    }

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let Self(rule, is_left) = self;
        if is_left(&plan)? { Ok(Transformed::no(plan)) } else { rule.rewrite(plan, config) }
    }
}

/// A condition that would not be the same after upstream has pushed it down.
fn filters_otherwise(plan: &LogicalPlan) -> Result<bool> {
    Ok(has_row_for_no_input(filtered(plan).1) || compares_literal_first(plan))
}

/// A condition with a comparison such as `1 < x`, which a constant that was computed leaves. Beside `x >= 1`, upstream takes the
/// second for the stricter one, and beside `x = 1`, it takes `1 = x` for false. Its simplifier turns these comparisons around
/// when it comes by the next time.
fn compares_literal_first(plan: &LogicalPlan) -> bool {
    let is_turned = |part: &Expr| {
        matches!(part, Expr::BinaryExpr(BinaryExpr { left, op, right })
            if op.swap().is_some() && matches!((left.as_ref(), right.as_ref()), (Expr::Literal(..), Expr::Column(_))))
    };
    filtered(plan).0.into_iter().flat_map(split_conjunction).any(is_turned)
}

/// A join whose keys take NULL for equal to NULL: an equality that upstream adds to them would do so too.
fn joins_nulls(plan: &LogicalPlan) -> Result<bool> {
    Ok(matches!(plan, LogicalPlan::Join(join)
        if !join.on.is_empty() && join.null_equality == NullEquality::NullEqualsNull))
}

/// An inner join somewhere whose keys take NULL for equal to NULL: upstream merges the keys of joins beside each other, and
/// applies the meaning of the topmost join to all of them.
fn has_inner_join_of_nulls(plan: &LogicalPlan) -> Result<bool> {
    Ok(tree::any_node(plan, &|node| {
        matches!(node, LogicalPlan::Join(join)
            if join.join_type == JoinType::Inner && join.null_equality == NullEquality::NullEqualsNull)
    }))
}

/// An aggregate with a sum of decimals, which has more digits than its values: upstream computes a sum of sums, with more digits
/// than the plan says.
fn sums_decimals(plan: &LogicalPlan) -> Result<bool> {
    let LogicalPlan::Aggregate(aggregate) = plan else { return Ok(false) };
    for expression in &aggregate.aggr_expr {
        let is_sum = matches!(expression, Expr::AggregateFunction(sum) if sum.func.name() == "sum");
        if is_sum && expression.get_type(aggregate.input.schema())?.is_decimal() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// An aggregate that has a row for no input: one without GROUP BY, or with grouping sets. Upstream pushes a condition without
/// columns below it, so that the aggregate's row appears though the condition is false.
fn has_row_for_no_input(plan: &LogicalPlan) -> bool {
    let LogicalPlan::Aggregate(aggregate) = plan else { return false };
    aggregate.group_expr.is_empty()
        || aggregate.group_expr.iter().any(|group| matches!(group, Expr::GroupingSet(_)))
}
