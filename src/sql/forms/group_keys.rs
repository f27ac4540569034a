//! The keys of grouping sets, as columns.
//!
//! If DataFusion changes the type of a key, it gives the grouping sets as a whole another name. Then it refuses the plan, or
//! does not find the key where the rest of the query reads it.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TransformedResult as _, TreeNodeRecursion};
use datafusion::common::{Column, Result};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan};

use super::super::tree;
use super::domain;

/// The node over rows that have the keys as columns.
pub(super) fn as_columns(node: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let LogicalPlan::Aggregate(aggregate) = &node else { return Ok(Transformed::no(node)) };
    let mut keys: Vec<(Expr, String)> = Vec::new();
    let groups = aggregate.group_expr.iter().map(|sets| match sets {
        Expr::GroupingSet(_) => {
            tree::rewrite_children(sets.clone(), &mut |key| Ok(taken_out(key, &mut keys))).data()
        }
        key => Ok(key.clone()),
    });
    let groups = groups.collect::<Result<Vec<_>>>()?;
    if keys.is_empty() {
        return Ok(Transformed::no(node));
    }
    let names = NamePreserver::new_for_projection();
    let functions = aggregate.aggr_expr.iter().map(|function| {
        let name = names.save(function);
        Ok(name.restore(tree::rewrite_parts(function.clone(), &mut |part| in_grouping(part, &keys))?))
    });
    let functions = functions.collect::<Result<Vec<_>>>()?;
    let columns = keys.into_iter().map(|(key, name)| key.alias(name));
    let input = domain::with_columns(aggregate.input.as_ref().clone(), columns)?;
    let aggregate = Aggregate::try_new(Arc::new(input), groups, functions)?;
    Ok(Transformed::yes(LogicalPlan::Aggregate(aggregate)))
}

/// The column in the place of a key, which has the key's name.
fn taken_out(key: Expr, keys: &mut Vec<(Expr, String)>) -> Transformed<Expr> {
    if matches!(key, Expr::Column(_)) {
        return Transformed::no(key);
    }
    let name = key.schema_name().to_string();
    let key = key.unalias();
    if !keys.iter().any(|(_, known)| *known == name) {
        keys.push((key, name.clone()));
    }
    Transformed::yes(Expr::Column(Column::new_unqualified(name)))
}

/// GROUPING reads the keys of the grouping sets.
fn in_grouping(part: Expr, keys: &[(Expr, String)]) -> Result<Transformed<Expr>> {
    match part {
        Expr::AggregateFunction(mut function) if function.func.name() == "grouping" => {
            for value in &mut function.params.args {
                if let Some((_, name)) = keys.iter().find(|(key, _)| key == value) {
                    *value = Expr::Column(Column::new_unqualified(name));
                }
            }
            Ok(Transformed::new(Expr::AggregateFunction(function), true, TreeNodeRecursion::Jump))
        }
        part => Ok(Transformed::no(part)),
    }
}
