//! Clauses that the planner does not know, in the words that it does: FETCH FIRST is LIMIT, HAVING without GROUP BY is of one
//! group, EXISTS (SELECT * ...) needs no columns, and REPLACE names a column that is there.

use datafusion::sql::sqlparser::ast::{
    CaseWhen, Expr, Fetch, FunctionArg, FunctionArgExpr, GroupByExpr, Ident, LimitClause, ObjectNamePart,
    Query, Select, SelectItem, SelectItemQualifiedWildcardKind, SetExpr, TableFactor, Value,
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

/// `LATERAL unnest(list)` as `unnest(list)`, which reads the tables before it all the same.
pub(super) fn unnest_without_lateral(select: &mut Select) {
    for tables in &mut select.from {
        let joined = tables.joins.iter_mut().map(|join| &mut join.relation);
        for table in std::iter::once(&mut tables.relation).chain(joined) {
            let TableFactor::Function { lateral: true, name, args, with_ordinality: false, alias } = table
            else {
                continue;
            };
            let list = |argument: &FunctionArg| match argument {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(list)) => Some(list.clone()),
                _ => None,
            };
            let lists: Option<Vec<Expr>> = args.iter().map(list).collect();
            if let (true, Some(array_exprs)) = (name.to_string().eq_ignore_ascii_case("unnest"), lists) {
                *table = TableFactor::UNNEST {
                    alias: alias.take(),
                    array_exprs,
                    with_offset: false,
                    with_offset_alias: None,
                    with_ordinality: false,
                };
            }
        }
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

/// `* REPLACE (x AS name)` with `name` read in the value: `CASE WHEN (name IS NULL) IS NOT NULL THEN x ...`, which the optimizer
/// makes the value again. Why: the planner leaves out what replaces no column.
pub(super) fn replaced_columns(select: &mut Select) {
    for item in &mut select.projection {
        let (relation, options) = match item {
            SelectItem::Wildcard(options) => (Vec::new(), options),
            SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), options) => {
                (name.0.iter().filter_map(ObjectNamePart::as_ident).cloned().collect(), options)
            }
            SelectItem::QualifiedWildcard(..)
            | SelectItem::UnnamedExpr(_)
            | SelectItem::ExprWithAlias { .. }
            | SelectItem::ExprWithAliases { .. } => continue,
        };
        for replaced in options.opt_replace.iter_mut().flat_map(|replace| &mut replace.items) {
            let column = column_of(&relation, &replaced.column_name);
            let is_there = Expr::IsNotNull(Box::new(Expr::Nested(Box::new(Expr::IsNull(Box::new(column))))));
            let when = CaseWhen { condition: is_there, result: replaced.expr.clone() };
            replaced.expr = super::expressions::case(vec![when], Some(replaced.expr.clone()));
        }
    }
}

fn column_of(relation: &[Ident], name: &Ident) -> Expr {
    match relation {
        [] => Expr::Identifier(name.clone()),
        relation => Expr::CompoundIdentifier(relation.iter().chain([name]).cloned().collect()),
    }
}
