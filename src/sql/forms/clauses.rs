//! Clauses that the planner does not know, in the words that it does: FETCH FIRST is LIMIT, HAVING without GROUP BY is of one
//! group, and EXISTS (SELECT * ...) needs no columns.

use datafusion::sql::sqlparser::ast::{
    Expr, Fetch, GroupByExpr, LimitClause, Query, Select, SelectItem, SetExpr, Value,
};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;

/// `FETCH FIRST 3 ROWS ONLY` as `LIMIT 3`. With TIES or PERCENT it stays, and the planner refuses it.
pub(super) fn fetch_as_limit(query: &mut Query) {
    let Some(Fetch { with_ties: false, percent: false, quantity }) = &query.fetch else { return };
    let rows = quantity.clone().unwrap_or_else(|| number(1));
    match &mut query.limit_clause {
        clause @ None => {
            let limit = LimitClause::LimitOffset { limit: Some(rows), offset: None, limit_by: Vec::new() };
            *clause = Some(limit);
        }
        Some(LimitClause::LimitOffset { limit: limit @ None, .. }) => *limit = Some(rows),
        Some(_) => return,
    }
    query.fetch = None;
}

pub(super) fn number(number: u32) -> Expr {
    Expr::Value(Value::Number(number.to_string(), false).with_empty_span())
}

/// A number that is written without a point.
pub(super) fn number_of(expression: &Expr) -> Option<usize> {
    match expression {
        Expr::Value(value) => match &value.value {
            Value::Number(number, _) => number.parse().ok(),
            _ => None,
        },
        Expr::Nested(inner) => number_of(inner),
        _ => None,
    }
}

/// The query of an EXISTS without `*`, of which nothing is read. Why: joins with USING are not written out beside it, and then
/// DataFusion finds their keys in the query around this one first.
pub(super) fn exists_of_anything(query: &mut Query) {
    let SetExpr::Select(select) = query.body.as_mut() else { return };
    let is_grouped = !matches!(&select.group_by, GroupByExpr::Expressions(groups, _) if groups.is_empty());
    if select.distinct.is_none()
        && !is_grouped
        && matches!(select.projection.as_slice(), [SelectItem::Wildcard(_)])
    {
        select.projection = vec![SelectItem::UnnamedExpr(number(1))];
    }
}

/// HAVING without GROUP BY with an aggregate in it. Why: without one, the planner does not see that all rows are one group.
pub(super) fn having_of_one_group(select: &mut Select) {
    let has_groups = match &select.group_by {
        GroupByExpr::Expressions(groups, modifiers) => !groups.is_empty() || !modifiers.is_empty(),
        GroupByExpr::All(_) => true,
    };
    if has_groups {
        return;
    }
    let Some(condition) = select.having.take() else { return };
    let always =
        Parser::new(&GenericDialect).try_with_sql("count(*) >= 0").and_then(|mut it| it.parse_expr());
    select.having = Some(match always {
        Ok(always) => super::expressions::and(condition, always),
        Err(_) => condition,
    });
}
