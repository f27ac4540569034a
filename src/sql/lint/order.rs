//! Functions and LIMIT whose result depends on which row comes first, where no order says which that is.

use datafusion::logical_expr::{Expr, LogicalPlan, WindowFrameBound, WindowFrameUnits};

use super::super::tree;
use super::{Planned, place, push_once, warning};
use crate::diagnostic::{Code, Diagnostic};

/// Aggregates that give what the rows' order makes of them.
const ORDERED_AGGREGATES: &[&str] = &["first_value", "last_value", "nth_value", "array_agg", "string_agg"];
/// The same as window functions.
const ORDERED_WINDOWS: &[&str] = &[
    "row_number",
    "rank",
    "dense_rank",
    "percent_rank",
    "cume_dist",
    "ntile",
    "lag",
    "lead",
    "first_value",
    "last_value",
    "nth_value",
];

pub(super) fn warnings(view: &Planned<'_>) -> Vec<Diagnostic> {
    let mut warnings = Vec::new();
    tree::each_node(view.plan, &mut |node| {
        if let LogicalPlan::Limit(limit) = node
            && !is_sorted(&limit.input)
        {
            let place = place::of_word(view.file, "limit").or_else(|| place::of_word(view.file, "fetch"));
            let place = place.unwrap_or_else(|| view.file.start());
            let message = "LIMIT without ORDER BY: nothing decides which rows are kept".to_owned();
            let hint = "say it: `ORDER BY kafka_topic, kafka_partition, kafka_offset LIMIT ...`";
            push_once(&mut warnings, warning(Code::NoOrder, place, message, hint));
        }
        tree::each_part_of(node, &mut |part| {
            let Some((name, arguments, hint)) = unordered(part) else { return };
            let place = place::of_call(view.file, name, arguments).unwrap_or_else(|| view.file.start());
            let message = format!("`{name}` without an order: nothing decides which row comes first");
            push_once(&mut warnings, warning(Code::NoOrder, place, message, hint));
        });
    });
    warnings
}

fn unordered(part: &Expr) -> Option<(&str, &[Expr], &'static str)> {
    match part {
        Expr::AggregateFunction(call) if call.params.order_by.is_empty() => {
            let name = call.func.name();
            let hint = "say it: `last_value(x ORDER BY kafka_topic, kafka_partition, kafka_offset)`";
            ORDERED_AGGREGATES.contains(&name).then_some((name, call.params.args.as_slice(), hint))
        }
        Expr::WindowFunction(call) if call.params.order_by.is_empty() => {
            let name = call.fun.name();
            let frame = &call.params.window_frame;
            let is_bounded = |bound: &WindowFrameBound| !bound.is_unbounded();
            let is_running = frame.units == WindowFrameUnits::Rows
                && (is_bounded(&frame.start_bound) || is_bounded(&frame.end_bound));
            let hint =
                "say it: `OVER (PARTITION BY ... ORDER BY kafka_topic, kafka_partition, kafka_offset)`";
            (ORDERED_WINDOWS.contains(&name) || is_running).then_some((
                name,
                call.params.args.as_slice(),
                hint,
            ))
        }
        _ => None,
    }
}

pub(super) fn is_sorted(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Sort(_) => true,
        LogicalPlan::Projection(node) => is_sorted(&node.input),
        LogicalPlan::SubqueryAlias(node) => is_sorted(&node.input),
        LogicalPlan::Filter(node) => is_sorted(&node.input),
        _ => false,
    }
}
