//! Clauses that the planner does not know, in the words that it does: FETCH FIRST is LIMIT, and HAVING without GROUP BY is of
//! one group.

use datafusion::sql::sqlparser::ast::{Expr, Fetch, GroupByExpr, LimitClause, Query, Select, Value};
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

fn number(number: u32) -> Expr {
    Expr::Value(Value::Number(number.to_string(), false).with_empty_span())
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
