//! An ORDER BY that names one expression twice, or two that become the same when they are simplified. The second adds
//! nothing, but in an aggregate, and in DISTINCT ON, which becomes one, DataFusion panics over it. It panics also over an
//! ORDER BY in an aggregate of groups that does not depend on the order; it is left out.

use datafusion::common::tree_node::Transformed;
use datafusion::logical_expr::expr::{AggregateFunction, Sort};
use datafusion::logical_expr::{AggregateUDF, Distinct, DistinctOn, Expr, LogicalPlan};

use super::own_values::OwnValues;

pub(super) fn rewrite(part: Expr, values: &OwnValues) -> Transformed<Expr> {
    match part {
        Expr::AggregateFunction(AggregateFunction { func, mut params })
            if !params.order_by.is_empty() && !is_ordered(&func) =>
        {
            params.order_by.clear();
            Transformed::yes(Expr::AggregateFunction(AggregateFunction { func, params }))
        }
        Expr::AggregateFunction(AggregateFunction { func, mut params }) if params.order_by.len() > 1 => {
            params.order_by = apart(params.order_by, 1, values);
            Transformed::yes(Expr::AggregateFunction(AggregateFunction { func, params }))
        }
        part => Transformed::no(part),
    }
}

/// Whether the result of an aggregate depends on the order of its rows.
fn is_ordered(function: &AggregateUDF) -> bool {
    const ORDERED: [&str; 6] =
        ["any_value", "array_agg", "first_value", "last_value", "nth_value", "string_agg"];
    ORDERED.contains(&function.name()) || function.supports_within_group_clause()
}

pub(super) fn rewrite_node(node: LogicalPlan, values: &OwnValues) -> Transformed<LogicalPlan> {
    match node {
        LogicalPlan::Distinct(Distinct::On(DistinctOn {
            on_expr,
            select_expr,
            sort_expr: Some(order),
            input,
            schema,
        })) if order.len() > 1 => {
            // The first keys are those of ON, and have to stay so.
            let sort_expr = Some(apart(order, on_expr.len(), values));
            let on = DistinctOn { on_expr, select_expr, sort_expr, input, schema };
            Transformed::yes(LogicalPlan::Distinct(Distinct::On(on)))
        }
        node => Transformed::no(node),
    }
}

/// The keys, each once. Those after the first ones are nobody's equals.
fn apart(order: Vec<Sort>, first: usize, values: &OwnValues) -> Vec<Sort> {
    let mut kept: Vec<Sort> = Vec::with_capacity(order.len());
    for key in order {
        if !kept.iter().any(|before| before.expr == key.expr) {
            kept.push(key);
        }
    }
    let apart = kept.into_iter().enumerate().map(|(place, key)| match place < first {
        true => key,
        false => Sort { expr: values.own(key.expr), ..key },
    });
    apart.collect()
}
