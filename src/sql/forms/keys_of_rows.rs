//! What DataFusion believes to be the keys of rows. After GROUP BY g, no two rows have one g, and so a later GROUP BY g, x is
//! computed by g alone. It believes so still where `unnest` has made several rows of each.

use std::cell::Cell;
use std::sync::Arc;

use datafusion::common::tree_node::Transformed;
use datafusion::common::{FunctionalDependencies, Result};
use datafusion::logical_expr::planner::{
    PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning,
};
use datafusion::logical_expr::{Distinct, Expr, LogicalPlan, LogicalPlanBuilder, Projection, Unnest};
use datafusion::sql::sqlparser::ast::TableFactor;

use super::super::tree;
use super::own_values::OwnValues;

/// Hides the keys of the rows that are unnested.
pub(super) fn hide_below_unnest(node: LogicalPlan, values: &OwnValues) -> Result<Transformed<LogicalPlan>> {
    let LogicalPlan::Unnest(unnest) = node else { return Ok(Transformed::no(node)) };
    let has_keys = tree::any_node(&unnest.input, &|node| {
        matches!(
            node,
            LogicalPlan::Aggregate(_) | LogicalPlan::Distinct(Distinct::All(_)) | LogicalPlan::Window(_)
        )
    });
    if !has_keys {
        return Ok(Transformed::no(LogicalPlan::Unnest(unnest)));
    }
    // A column that is computed is no key.
    let columns = unnest.input.schema().columns().into_iter().map(|column| {
        let (relation, name) = (column.relation.clone(), column.name.clone());
        values.own(Expr::Column(column)).alias_qualified(relation, name)
    });
    let columns: Vec<Expr> = columns.collect();
    let input = LogicalPlanBuilder::from(Arc::unwrap_or_clone(unnest.input)).project(columns)?.build()?;
    let unnest = Unnest::try_new(Arc::new(input), unnest.exec_columns, unnest.options)?;
    Ok(Transformed::yes(LogicalPlan::Unnest(unnest)))
}

/// Plans relations without keys. Why: the planner itself adds to GROUP BY what it takes for given by the key, before
/// any rule sees it.
#[derive(Debug)]
pub(in crate::sql) struct WithoutKeys;

thread_local! {
    /// Whether the planner asks for a relation that is asked for here.
    static IS_ASKED: Cell<bool> = const { Cell::new(false) };
}

impl RelationPlanner for WithoutKeys {
    fn plan_relation(
        &self,
        relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<RelationPlanning> {
        if IS_ASKED.take() || !matches!(relation, TableFactor::Derived { .. } | TableFactor::Table { .. }) {
            return Ok(RelationPlanning::Original(Box::new(relation)));
        }
        IS_ASKED.set(true);
        let plan = context.plan(relation)?;
        let schema = plan.schema();
        if schema.functional_dependencies().is_empty() {
            return Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(plan, None))));
        }
        let columns = schema.columns().into_iter().map(Expr::Column).collect();
        let schema = schema.as_ref().clone().with_functional_dependencies(FunctionalDependencies::empty())?;
        let plan = Projection::try_new_with_schema(columns, Arc::new(plan), Arc::new(schema))?;
        Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(LogicalPlan::Projection(plan), None))))
    }
}
