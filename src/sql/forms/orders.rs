//! An ORDER BY that names one expression twice. The second adds nothing, but in an aggregate, and in DISTINCT ON, which becomes
//! one, DataFusion panics over it.

use datafusion::common::tree_node::Transformed;
use datafusion::logical_expr::expr::{AggregateFunction, Sort};
use datafusion::logical_expr::{Distinct, DistinctOn, Expr, LogicalPlan};

pub(super) fn rewrite(part: Expr) -> Transformed<Expr> {
    match part {
        Expr::AggregateFunction(AggregateFunction { func, mut params }) if is_repeated(&params.order_by) => {
            params.order_by = once(params.order_by);
            Transformed::yes(Expr::AggregateFunction(AggregateFunction { func, params }))
        }
        part => Transformed::no(part),
    }
}

pub(super) fn rewrite_node(node: LogicalPlan) -> Transformed<LogicalPlan> {
    match node {
        LogicalPlan::Distinct(Distinct::On(DistinctOn {
            on_expr,
            select_expr,
            sort_expr: Some(order),
            input,
            schema,
        })) if is_repeated(&order) => {
            let sort_expr = Some(once(order));
            let on = DistinctOn { on_expr, select_expr, sort_expr, input, schema };
            Transformed::yes(LogicalPlan::Distinct(Distinct::On(on)))
        }
        node => Transformed::no(node),
    }
}

fn is_repeated(order: &[Sort]) -> bool {
    (1..order.len()).any(|index| order[..index].iter().any(|before| before.expr == order[index].expr))
}

fn once(order: Vec<Sort>) -> Vec<Sort> {
    let mut kept: Vec<Sort> = Vec::with_capacity(order.len());
    for key in order {
        if !kept.iter().any(|before| before.expr == key.expr) {
            kept.push(key);
        }
    }
    kept
}
