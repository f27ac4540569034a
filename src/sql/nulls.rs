//! Which columns of views are never NULL, though their Arrow fields say that they may be: most functions of DataFusion
//! claim that they may return NULL, and Arrow's fields of records and lists do not say what the Avro schema requires.
//!
//! Only what is certain counts. `expressions` has the rules of expressions, this file those of plans.

mod expressions;

use std::collections::BTreeMap;

use arrow::datatypes::{FieldRef, Fields};
use datafusion::common::{DFSchemaRef, JoinType, NullEquality, ScalarValue};
use datafusion::logical_expr::{Aggregate, Distinct, Expr, Join, LogicalPlan, TableScan, Unnest};

use super::BATCH;
use super::lint::{Definition, definitions, index_of_name, passed_on, unaliased};
use super::pipeline::PreparedStep;
use super::survey::Survey;
use crate::batch::{DELETE_COLUMN, Nulls};

impl Survey<'_> {
    /// For each view that could be planned, the columns that may be NULL in rows that are written; `batch`: what is known of
    /// NULL in its columns.
    pub fn nullable(&self, batch: Vec<Nulls>) -> BTreeMap<String, Vec<String>> {
        let mut nullable = BTreeMap::new();
        let Some(planned) = self.planned.as_ref() else { return nullable };
        let mut relations = Relations::default();
        relations.add(BATCH, planned.batch.schema().fields(), batch);
        for step in &planned.steps {
            // What a table holds is not known; its fields say whether its columns may be NULL.
            let PreparedStep::View { view, slot } = step else { continue };
            let fields = slot.schema().fields();
            let written = relations.of_written(&view.logical);
            let may_be_null =
                fields.iter().zip(written).filter(|(field, nulls)| field.is_nullable() && !nulls.is_never);
            let names = may_be_null.map(|(field, _)| field.name().clone()).collect();
            nullable.insert(slot.name().to_string(), names);
            relations.add(slot.name(), fields, relations.of_plan(&view.logical));
        }
        nullable
    }
}

/// The columns of relations, by their names.
#[derive(Default)]
struct Relations(BTreeMap<String, BTreeMap<String, Nulls>>);

/// The columns of a plan.
#[derive(Clone)]
struct Columns {
    schema: DFSchemaRef,
    nulls: Vec<Nulls>,
}

impl Relations {
    fn add(&mut self, name: &str, fields: &Fields, nulls: Vec<Nulls>) {
        let columns = fields.iter().zip(nulls).map(|(field, nulls)| {
            (field.name().clone(), if field.is_nullable() { nulls } else { nulls.never() })
        });
        self.0.insert(name.to_owned(), columns.collect());
    }

    /// Of the rows that are written. Those that `_delete` marks need only the columns of their key.
    fn of_written(&self, plan: &LogicalPlan) -> Vec<Nulls> {
        if let Some(input) = passed_on(plan) {
            return self.of_written(input);
        }
        match (plan, index_of_name(plan, DELETE_COLUMN)) {
            (LogicalPlan::Union(node), Some(delete)) => {
                let inputs = node.inputs.iter().filter(|input| !is_true(input, delete));
                both(inputs.map(|input| self.of_plan(input)), plan)
            }
            _ => self.of_plan(plan),
        }
    }

    /// One for each column of the plan.
    fn of_plan(&self, plan: &LogicalPlan) -> Vec<Nulls> {
        let nulls = self.of_node(plan);
        let count = plan.schema().fields().len();
        // What is not known of all columns is known of none.
        if nulls.len() == count { nulls } else { vec![Nulls::default(); count] }
    }

    fn of_node(&self, plan: &LogicalPlan) -> Vec<Nulls> {
        if let Some(input) = passed_on(plan) {
            return self.of_plan(input);
        }
        match plan {
            LogicalPlan::TableScan(scan) => self.of_scan(scan),
            LogicalPlan::Projection(node) => self.of_expressions(&node.expr, &node.input),
            LogicalPlan::Distinct(Distinct::On(node)) => self.of_expressions(&node.select_expr, &node.input),
            LogicalPlan::Filter(node) => {
                let mut columns = self.columns(&node.input);
                columns.require(&node.predicate);
                columns.nulls
            }
            LogicalPlan::Aggregate(node) => self.of_groups(node),
            LogicalPlan::Window(node) => {
                let mut columns = self.columns(&node.input);
                let computed: Vec<Nulls> = node.window_expr.iter().map(|call| columns.of(call)).collect();
                columns.nulls.extend(computed);
                columns.nulls
            }
            LogicalPlan::Join(node) => self.of_join(node),
            LogicalPlan::Union(node) => both(node.inputs.iter().map(|input| self.of_plan(input)), plan),
            LogicalPlan::Unnest(node) => self.of_unnest(node),
            LogicalPlan::Values(node) => {
                let none = Columns { schema: DFSchemaRef::clone(&node.schema), nulls: Vec::new() };
                let rows = node.values.iter();
                both(rows.map(|row| row.iter().map(|value| none.of(value)).collect()), plan)
            }
            // Recursive queries, whose scans are of no relation that is known, and what there may be else.
            _ => Vec::new(),
        }
    }

    fn of_scan(&self, scan: &TableScan) -> Vec<Nulls> {
        let relation = match scan.table_name.schema() {
            None => self.0.get(scan.table_name.table()),
            Some(_) => None,
        };
        let fields = scan.projected_schema.fields().iter();
        let of_field = |field: &FieldRef| {
            let known = relation.and_then(|columns| columns.get(field.name()));
            known.cloned().unwrap_or_else(|| Nulls::never_if(!field.is_nullable()))
        };
        fields.map(of_field).collect()
    }

    fn columns(&self, plan: &LogicalPlan) -> Columns {
        Columns { schema: DFSchemaRef::clone(plan.schema()), nulls: self.of_plan(plan) }
    }

    fn of_expressions(&self, expressions: &[Expr], input: &LogicalPlan) -> Vec<Nulls> {
        let columns = self.columns(input);
        expressions.iter().map(|expression| columns.of(expression)).collect()
    }

    /// A group has a row at least, and the group of all rows may have none.
    fn of_groups(&self, node: &Aggregate) -> Vec<Nulls> {
        if matches!(node.group_expr.as_slice(), [Expr::GroupingSet(_)]) {
            return Vec::new();
        }
        let columns = self.columns(&node.input);
        let has_rows = !node.group_expr.is_empty();
        let groups = node.group_expr.iter().map(|group| columns.of(group));
        let computed = node.aggr_expr.iter().map(|call| columns.of_aggregate(call, has_rows));
        groups.chain(computed).collect()
    }

    fn of_join(&self, node: &Join) -> Vec<Nulls> {
        let (left, right) = (self.of_plan(&node.left), self.of_plan(&node.right));
        let without = |side: Vec<Nulls>| side.into_iter().map(Nulls::or_null).collect::<Vec<_>>();
        match node.join_type {
            JoinType::Inner => {
                let schema = DFSchemaRef::clone(&node.schema);
                let mut columns = Columns { schema, nulls: [left, right].concat() };
                let on = node.on.iter().filter(|_| node.null_equality == NullEquality::NullEqualsNothing);
                on.for_each(|(left, right)| {
                    columns.require_value(left);
                    columns.require_value(right);
                });
                node.filter.iter().for_each(|condition| columns.require(condition));
                columns.nulls
            }
            JoinType::Left => [left, without(right)].concat(),
            JoinType::Right => [without(left), right].concat(),
            JoinType::Full => [without(left), without(right)].concat(),
            JoinType::LeftSemi | JoinType::LeftAnti => left,
            JoinType::RightSemi | JoinType::RightAnti => right,
            JoinType::LeftMark | JoinType::RightMark => Vec::new(),
        }
    }

    /// A list that is NULL makes one row with NULL, and the shorter of two lists is filled up with NULL.
    fn of_unnest(&self, node: &Unnest) -> Vec<Nulls> {
        let input = self.of_plan(&node.input);
        let lists = &node.list_type_columns;
        let is_simple = !node.options.expand_empty_as_null() && lists.iter().all(|(_, list)| list.depth == 1);
        let of_list = |place: usize| match lists.as_slice() {
            [_] if is_simple => input.get(place).filter(|list| list.is_never).map(Nulls::items),
            [(one, _), (other, _)] if is_simple => {
                let numbers = |numbers, list| numbers_of(&node.input, numbers, list);
                let list = if numbers(*one, *other) { *other } else { *one };
                let is_numbered = numbers(*one, *other) || numbers(*other, *one);
                let nulls = input.get(list).filter(|nulls| is_numbered && nulls.is_never)?;
                Some(if place == list { nulls.items() } else { Nulls::NEVER })
            }
            _ => None,
        };
        let of = |place: &usize| match lists.iter().any(|(list, _)| list == place) {
            true => of_list(*place),
            false => input.get(*place).filter(|_| !node.struct_type_columns.contains(place)).cloned(),
        };
        node.dependency_indices.iter().map(|place| of(place).unwrap_or_default()).collect()
    }
}

/// Whether a column of a plan numbers the items of a list in another: `generate_series(1, array_length(list))`.
fn numbers_of(plan: &LogicalPlan, numbers: usize, list: usize) -> bool {
    let LogicalPlan::Projection(node) = plan else { return false };
    let expression = |place: usize| node.expr.get(place).map(unaliased);
    let (Some(Expr::ScalarFunction(series)), Some(list)) = (expression(numbers), expression(list)) else {
        return false;
    };
    let ("generate_series", [Expr::Literal(first, _), last]) = (series.name(), series.args.as_slice()) else {
        return false;
    };
    let last = if let Expr::Cast(cast) = last { &cast.expr } else { last };
    let is_length = matches!(last, Expr::ScalarFunction(length)
        if ["array_length", "cardinality"].contains(&length.name()) && length.args == [list.clone()]);
    is_length && *first == ScalarValue::Int64(Some(1))
}

/// Of a plan that has the rows of all of these; nothing is known of the rows of none.
fn both(all: impl Iterator<Item = Vec<Nulls>>, plan: &LogicalPlan) -> Vec<Nulls> {
    let together = |one: Vec<Nulls>, other: Vec<Nulls>| {
        one.into_iter().zip(other).map(|(one, other)| one.and(other)).collect()
    };
    all.reduce(together).unwrap_or_else(|| vec![Nulls::default(); plan.schema().fields().len()])
}

/// Whether a column is TRUE in all rows, because the SQL says so.
fn is_true(plan: &LogicalPlan, column: usize) -> bool {
    let definitions = definitions(plan, column);
    let is_true = |definition: &Definition<'_>| match definition {
        Definition::Computed { expression, .. } => {
            matches!(expression, Expr::Literal(ScalarValue::Boolean(Some(true)), _))
        }
        Definition::Scanned { .. } => false,
    };
    !definitions.is_empty() && definitions.iter().all(is_true)
}

#[cfg(test)]
mod tests;
