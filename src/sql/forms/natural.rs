//! `a NATURAL LEFT JOIN b` of relations without a common column keeps the rows of `a` if `b` has none. DataFusion takes it for
//! a cross join, which does not.

use datafusion::common::{Result, Span};
use datafusion::logical_expr::{JoinType, LogicalPlan};
use datafusion::sql::sqlparser::ast::{JoinConstraint, JoinOperator, Select, Spanned as _, Statement};
use datafusion::sql::sqlparser::tokenizer::Span as TokenSpan;

use super::super::tree;
use super::super::walk::{self, Part};
use super::refused;

/// # Errors
/// A NATURAL LEFT JOIN, in a plan with a cross join: it may be that join.
pub(super) fn check(statement: &Statement, plan: &LogicalPlan) -> Result<()> {
    let found = walk::read(statement, &mut |part| match part {
        Part::Select(select) => natural_left_join(select),
        _ => Ok(()),
    });
    let Err(span) = found else { return Ok(()) };
    if !tree::any_node(plan, &is_cross_join) {
        return Ok(());
    }
    Err(refused(
        "NATURAL LEFT JOIN, with relations that have no column in common".to_owned(),
        "write the condition: `LEFT JOIN b ON a.k = b.k`, or `LEFT JOIN b ON true`",
        Span::try_from_sqlparser_span(span),
    ))
}

/// Where the first of them is, as an error.
fn natural_left_join(select: &Select) -> Result<(), TokenSpan> {
    use JoinOperator::{Left, LeftOuter};
    let mut joins = select.from.iter().flat_map(|tables| &tables.joins);
    let natural = joins.find(|join| {
        matches!(join.join_operator, Left(JoinConstraint::Natural) | LeftOuter(JoinConstraint::Natural))
    });
    natural.map_or(Ok(()), |join| Err(join.relation.span()))
}

fn is_cross_join(node: &LogicalPlan) -> bool {
    matches!(node, LogicalPlan::Join(join)
        if join.join_type == JoinType::Inner && join.on.is_empty() && join.filter.is_none())
}
