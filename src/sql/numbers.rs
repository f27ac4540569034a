//! Numbers are right, or refused: the operators and aggregates of a session give the exact answer of their type, or an error
//! that is a fault of the data.
//!
//! DataFusion wraps integers, lets decimals grow beyond their digits, and keeps a negative zero apart from zero.
//! [`RightNumbers`] puts operators of our own ([`arithmetic`]) in the places where that can happen, once, when a query is
//! planned: a logical rule, so that constants are folded by the same operators. An operator that cannot leave
//! its type stays DataFusion's. [`aggregates`] does the same for sums and averages.
//!
//! *Invariant: no zero and no NaN in SQL has a sign.* [`signs`] clears the sign of what a session reads ([`super::slot`]), and of
//! the results of expressions that can make one, so nothing that compares, groups, sorts or hashes has to know of it.

mod aggregates;
mod arithmetic;
mod exact;
mod extremes;
mod finished;
pub(super) mod narrowed;
mod percentile;
pub(super) mod readable;
pub(super) mod signs;
mod sliding;
mod statistics;

#[cfg(test)]
mod tests;

use arrow::datatypes::DataType;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result};
use datafusion::config::ConfigOptions;
use datafusion::execution::FunctionRegistry as _;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::optimizer::AnalyzerRule;

use super::sql_types::in_sql;
use super::{guarded, placed, rewrite, rounding, tree};
pub(super) use exact::{Exact, Total, refused, with_exact};

/// Makes the numbers of a session right, or refused.
pub(super) fn install(state: &mut SessionState) -> Result<()> {
    for function in aggregates::all(state) {
        state.register_udaf(function.into())?;
    }
    Ok(())
}

/// Puts in the operators that refuse what their type cannot hold. The types of all operands have to be settled.
#[derive(Debug)]
pub(super) struct RightNumbers;

impl AnalyzerRule for RightNumbers {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        tree::rewrite_nodes(plan, &mut |node| rewrite::expressions(node, &in_expression))
    }

    fn name(&self) -> &'static str {
        "right_numbers"
    }
}

fn in_expression(expression: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    if let Some(checked) = arithmetic::checked(&expression, schema)? {
        return Ok(Transformed::yes(checked));
    }
    let settled = rounding::settled(expression, schema)?;
    let placed = settled.transform_data(|expression| placed::placed(expression, schema))?;
    let cleared = placed.transform_data(|expression| signs::cleared(expression, schema))?;
    cleared.transform_data(|expression| Ok(guarded::in_aggregate(expression)))
}

/// The digits of a decimal, and how many of them are after the point.
pub(super) fn decimal(of: &DataType) -> Option<(u8, i8)> {
    match of {
        DataType::Decimal32(digits, scale)
        | DataType::Decimal64(digits, scale)
        | DataType::Decimal128(digits, scale)
        | DataType::Decimal256(digits, scale) => Some((*digits, *scale)),
        _ => None,
    }
}

/// The digits of a decimal after the point; 0 for other types.
fn scale(of: &DataType) -> i8 {
    decimal(of).map_or(0, |(_, scale)| scale)
}

/// A type as SQL has it.
fn sql_name(of: &DataType) -> String {
    in_sql(&of.to_string())
}

/// Whether a type is of doubles or holds some.
fn has_floats(of: &DataType) -> bool {
    match of {
        DataType::Float16 | DataType::Float32 | DataType::Float64 => true,
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::FixedSizeList(item, _)
        | DataType::Map(item, _) => has_floats(item.data_type()),
        DataType::Struct(fields) => fields.iter().any(|field| has_floats(field.data_type())),
        DataType::Union(fields, _) => fields.iter().any(|(_, field)| has_floats(field.data_type())),
        DataType::Dictionary(_, values) => has_floats(values),
        DataType::RunEndEncoded(_, values) => has_floats(values.data_type()),
        _ => false,
    }
}
