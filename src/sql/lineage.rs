//! Which columns hold values of sensitive fields: those that are computed from them, through any expression, join, group,
//! window and view, and those that a condition makes equal to them. A count is clear. What is not known to be clear is
//! masked.
//!
//! What follows from which rows there are is not followed: rows that a condition has chosen are shown.

use std::collections::BTreeMap;

use datafusion::common::{Column, DFSchemaRef, JoinType};
use datafusion::logical_expr::expr::{InList, InSubquery};
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{
    Distinct, Expr, Join, LogicalPlan, Operator, RecursiveQuery, Subquery, TableScan,
};

use super::lint::{passed_on, plain_column};
use super::pipeline::PreparedStep;
use super::rewrite::literal_text;
use super::survey::Survey;
use super::tree;
use super::{BATCH, FIELD_OF, TableSpec};
use crate::mask::{Mask, Masks, Sensitive};

/// What an aggregate or a window is called whose value says nothing of its arguments.
const COUNT: &str = "count";

impl Survey<'_> {
    /// The masks of `batch`, and of all tables and views that could be planned. A state table has those of its view, which
    /// reads the table itself: they are looked for until nothing changes.
    pub fn masks(&self, sensitive: &Sensitive) -> Masks {
        let mut masks = Masks::new(sensitive);
        let Some(planned) = self.planned.as_ref().filter(|_| masks.is_on()) else { return masks };
        let batch = planned.batch.schema();
        masks.set(BATCH, batch, sensitive.of_batch(batch));
        for step in &planned.steps {
            let schema = step.slot().schema();
            masks.set(step.slot().name(), schema, vec![Mask::Clear; schema.fields().len()]);
        }
        loop {
            let mut has_changed = false;
            for step in &planned.steps {
                let found = match step {
                    PreparedStep::View { view, .. } => Lineage::over(&masks).of_plan(&view.logical),
                    PreparedStep::Table { table, .. } => {
                        let columns = step.slot().schema().fields().iter();
                        columns.map(|column| of_table(&masks, &self.tables[*table], column.name())).collect()
                    }
                };
                has_changed |= masks.set(step.slot().name(), step.slot().schema(), found);
            }
            // Masks only grow, so this ends.
            if !has_changed {
                return masks;
            }
        }
    }
}

/// Of a column of a table: what its view computes, and if it is of the key, what it equals.
fn of_table(masks: &Masks, table: &TableSpec, column: &str) -> Mask {
    let computed = table.state_view().map(|view| masks.of_column(view, column));
    let place = table.key.iter().position(|key| key == column);
    let matched = table.matches.iter().filter_map(|places| places.get(place?));
    let matched = matched.map(|place| masks.of_column(&place.relation, &place.column).computed());
    computed.into_iter().chain(matched).fold(Mask::Clear, Mask::and)
}

/// The masks of the columns of a query over relations whose masks are known.
pub(super) fn of_query(masks: &Masks, plan: &LogicalPlan) -> Vec<Mask> {
    match masks.is_on() {
        true => Lineage::over(masks).of_plan(plan),
        false => vec![Mask::Clear; plan.schema().fields().len()],
    }
}

/// The columns of a plan with their masks.
#[derive(Clone)]
struct Scope {
    schema: DFSchemaRef,
    masks: Vec<Mask>,
}

impl Scope {
    fn place(&self, column: &Column) -> Option<usize> {
        self.schema.maybe_index_of_column(column)
    }
}

struct Lineage<'m> {
    relations: &'m Masks,
    /// What subqueries may name of the queries around them, the innermost last.
    outer: Vec<Vec<Scope>>,
    /// The relations that recursive queries make.
    recursive: BTreeMap<String, Vec<Mask>>,
}

impl<'m> Lineage<'m> {
    fn over(relations: &'m Masks) -> Self {
        Self { relations, outer: Vec::new(), recursive: BTreeMap::new() }
    }

    /// One for each column of the plan.
    fn of_plan(&mut self, plan: &LogicalPlan) -> Vec<Mask> {
        let masks = self.of_node(plan);
        let count = plan.schema().fields().len();
        // Invariant: no column is without a mask.
        if masks.len() == count { masks } else { vec![Mask::Whole; count] }
    }

    fn of_node(&mut self, plan: &LogicalPlan) -> Vec<Mask> {
        if let Some(input) = passed_on(plan) {
            return self.of_plan(input);
        }
        match plan {
            LogicalPlan::TableScan(scan) => self.of_scan(scan),
            LogicalPlan::Projection(node) => self.of_expressions(&node.expr, &node.input),
            LogicalPlan::Distinct(Distinct::On(node)) => self.of_expressions(&node.select_expr, &node.input),
            LogicalPlan::Aggregate(node) if !matches!(node.group_expr.as_slice(), [Expr::GroupingSet(_)]) => {
                let mut masks = self.of_expressions(&node.group_expr, &node.input);
                masks.extend(self.of_expressions(&node.aggr_expr, &node.input));
                masks
            }
            LogicalPlan::Window(node) => {
                let mut masks = self.of_plan(&node.input);
                masks.extend(self.of_expressions(&node.window_expr, &node.input));
                masks
            }
            LogicalPlan::Filter(node) => {
                let scope = self.scope(&node.input);
                self.made_equal(plan, vec![scope]).concat()
            }
            LogicalPlan::Join(node) => self.of_join(plan, node),
            LogicalPlan::Union(node) => {
                let inputs = node.inputs.iter().map(|input| self.of_plan(input));
                inputs.reduce(both).unwrap_or_default()
            }
            LogicalPlan::Unnest(node) => {
                let input = self.of_plan(&node.input);
                let of = |place: &usize| input.get(*place).map_or(Mask::Whole, Mask::computed);
                node.dependency_indices.iter().map(of).collect()
            }
            LogicalPlan::RecursiveQuery(node) => self.of_recursion(node),
            LogicalPlan::Explain(_) | LogicalPlan::Analyze(_) | LogicalPlan::DescribeTable(_) => {
                vec![Mask::Clear; plan.schema().fields().len()]
            }
            // Values, grouping sets, and what there may be else.
            _ => {
                let of_inputs = plan.inputs().into_iter().flat_map(|input| self.of_plan(input));
                let of_inputs = of_inputs.fold(Mask::Clear, Mask::and);
                let own = plan.expressions();
                let own = own.iter().map(|expression| self.of_expression(expression, &[]).computed());
                let mask = match plan.inputs().is_empty() {
                    true => own.fold(Mask::Clear, Mask::and),
                    false => of_inputs.computed(),
                };
                vec![mask; plan.schema().fields().len()]
            }
        }
    }

    fn of_scan(&self, scan: &TableScan) -> Vec<Mask> {
        let fields = scan.projected_schema.fields().iter();
        let (schema, table) = (scan.table_name.schema(), scan.table_name.table());
        if schema.is_none()
            && let Some(masks) = self.recursive.get(table)
        {
            let schema = scan.source.schema();
            let place = |name: &str| schema.index_of(name).ok();
            let of = |name: &str| place(name).and_then(|place| masks.get(place)).cloned();
            return fields.map(|field| of(field.name()).unwrap_or(Mask::Whole)).collect();
        }
        let relation = schema.map_or_else(|| table.to_owned(), |schema| format!("{schema}.{table}"));
        // Tables of the database that hold nothing of the batch, and the schema of schemas.
        let is_elsewhere = schema.is_some() && !self.relations.has(&relation);
        let of = |column: &str| match is_elsewhere {
            true => Mask::Clear,
            false => self.relations.of_column(&relation, column),
        };
        fields.map(|field| of(field.name())).collect()
    }

    fn scope(&mut self, plan: &LogicalPlan) -> Scope {
        Scope { schema: DFSchemaRef::clone(plan.schema()), masks: self.of_plan(plan) }
    }

    fn of_expressions(&mut self, expressions: &[Expr], input: &LogicalPlan) -> Vec<Mask> {
        let scopes = [self.scope(input)];
        expressions.iter().map(|expression| self.of_expression(expression, &scopes)).collect()
    }

    fn of_join(&mut self, plan: &LogicalPlan, node: &Join) -> Vec<Mask> {
        let left = self.scope(&node.left);
        // The right side of a lateral join names columns of the left one.
        self.outer.push(vec![left.clone()]);
        let right = self.scope(&node.right);
        self.outer.pop();
        let sides = self.made_equal(plan, vec![left, right]);
        let [left, right] = sides.as_slice() else { return Vec::new() };
        match node.join_type {
            JoinType::LeftSemi | JoinType::LeftAnti => left.clone(),
            JoinType::RightSemi | JoinType::RightAnti => right.clone(),
            JoinType::LeftMark | JoinType::RightMark => vec![Mask::Whole; plan.schema().fields().len()],
            _ => sides.concat(),
        }
    }

    /// The masks of the scopes, where a column that a condition of the plan makes equal to a sensitive one is sensitive,
    /// too. The conditions of joins and filters right below count again: what is equal here may be equal to more there.
    fn made_equal(&mut self, plan: &LogicalPlan, mut scopes: Vec<Scope>) -> Vec<Vec<Mask>> {
        let mut pairs = Vec::new();
        self.equalities(plan, &mut pairs);
        loop {
            let mut has_changed = false;
            for (one, other) in &pairs {
                for (known, column) in [(one, other), (other, one)] {
                    let Side::Column(column) = column else { continue };
                    let is_sensitive = match known {
                        Side::Column(known) => scopes.iter().any(|scope| {
                            scope.place(known).is_some_and(|place| !scope.masks[place].is_clear())
                        }),
                        Side::Expression(known) => {
                            is_here(known, &scopes) && !self.of_expression(known, &scopes).is_clear()
                        }
                        Side::Mask(mask) => !mask.is_clear(),
                    };
                    for scope in scopes.iter_mut().filter(|_| is_sensitive) {
                        let Some(place) = scope.place(column) else { continue };
                        has_changed |= scope.masks[place] != Mask::Whole;
                        scope.masks[place] = Mask::Whole;
                    }
                }
            }
            if !has_changed {
                return scopes.into_iter().map(|scope| scope.masks).collect();
            }
        }
    }

    /// What the conditions of a plan, and of joins and filters right below it, make equal.
    fn equalities(&mut self, plan: &LogicalPlan, pairs: &mut Vec<(Side, Side)>) {
        match plan {
            LogicalPlan::Filter(node) => {
                split_conjunction(&node.predicate).into_iter().for_each(|part| self.pairs_of(part, pairs));
                self.equalities(&node.input, pairs);
            }
            LogicalPlan::Join(node) => {
                pairs.extend(node.on.iter().map(|(left, right)| (Side::of(left), Side::of(right))));
                let parts = node.filter.iter().flat_map(split_conjunction);
                parts.for_each(|part| self.pairs_of(part, pairs));
                self.equalities(&node.left, pairs);
                self.equalities(&node.right, pairs);
            }
            _ => {}
        }
    }

    fn pairs_of(&mut self, condition: &Expr, pairs: &mut Vec<(Side, Side)>) {
        match condition {
            Expr::BinaryExpr(binary) if matches!(binary.op, Operator::Eq | Operator::IsNotDistinctFrom) => {
                pairs.push((Side::of(&binary.left), Side::of(&binary.right)));
            }
            Expr::InList(InList { expr, list, negated: false }) => {
                pairs.extend(list.iter().map(|item| (Side::of(expr), Side::of(item))));
            }
            Expr::InSubquery(InSubquery { expr, subquery, negated: false }) => {
                let found = self.of_plan(&subquery.subquery).into_iter().fold(Mask::Clear, Mask::and);
                pairs.push((Side::of(expr), Side::Mask(found)));
            }
            _ => {}
        }
    }

    /// The recursive part reads what the query has found so far.
    fn of_recursion(&mut self, node: &RecursiveQuery) -> Vec<Mask> {
        let mut masks = self.of_plan(&node.static_term);
        loop {
            self.recursive.insert(node.name.clone(), masks.clone());
            let next = both(masks.clone(), self.of_plan(&node.recursive_term));
            if next == masks {
                self.recursive.remove(&node.name);
                return masks;
            }
            masks = next;
        }
    }

    fn of_expression(&mut self, expression: &Expr, scopes: &[Scope]) -> Mask {
        match expression {
            Expr::Alias(alias) => self.of_expression(&alias.expr, scopes),
            Expr::Column(column) => of_column(column, scopes),
            Expr::OuterReferenceColumn(_, column) => of_column(column, self.outer.iter().rev().flatten()),
            Expr::ScalarFunction(call) if call.name() == FIELD_OF => self.of_field(&call.args, scopes),
            Expr::AggregateFunction(call) if call.func.name() == COUNT => Mask::Clear,
            Expr::WindowFunction(call) if call.fun.name() == COUNT => Mask::Clear,
            Expr::ScalarSubquery(subquery) => {
                self.outer.push(scopes.to_vec());
                let found = self.of_plan(&subquery.subquery).into_iter().fold(Mask::Clear, Mask::and);
                self.outer.pop();
                found
            }
            Expr::Exists(exists) => self.of_condition(&exists.subquery, scopes),
            Expr::InSubquery(within) => {
                let of_value = self.of_expression(&within.expr, scopes).computed();
                of_value.and(self.of_condition(&within.subquery, scopes))
            }
            Expr::SetComparison(comparison) => {
                let of_value = self.of_expression(&comparison.expr, scopes).computed();
                of_value.and(self.of_condition(&comparison.subquery, scopes))
            }
            expression => {
                let mut mask = Mask::Clear;
                tree::each_child(expression, &mut |part| {
                    mask = std::mem::take(&mut mask).and(self.of_expression(part, scopes).computed());
                });
                mask
            }
        }
    }

    /// Of a field of a record: the record, then the names that lead to the field.
    fn of_field(&mut self, arguments: &[Expr], scopes: &[Scope]) -> Mask {
        let Some((record, names)) = arguments.split_first() else { return Mask::Whole };
        let record = self.of_expression(record, scopes);
        names.iter().fold(record, |mask, name| match literal_text(name) {
            Some(name) => mask.field(name),
            None => mask.computed().and(self.of_expression(name, scopes).computed()),
        })
    }

    /// Of whether a subquery has rows: sensitive if anything is that it reads or is asked with.
    fn of_condition(&mut self, subquery: &Subquery, scopes: &[Scope]) -> Mask {
        self.outer.push(scopes.to_vec());
        let asked = subquery.outer_ref_columns.iter();
        let asked = asked.fold(Mask::Clear, |mask, column| mask.and(self.of_expression(column, &[])));
        let mut read = Mask::Clear;
        tree::each_node(&subquery.subquery, &mut |node| {
            if let LogicalPlan::TableScan(scan) = node {
                read = self.of_scan(scan).into_iter().fold(std::mem::take(&mut read), Mask::and);
            }
        });
        self.outer.pop();
        asked.and(read).computed()
    }
}

/// A side of an equality.
enum Side {
    Column(Column),
    Expression(Expr),
    /// What a subquery returns.
    Mask(Mask),
}

impl Side {
    /// A column is one through casts and other names, too.
    fn of(expression: &Expr) -> Self {
        match plain_column(expression) {
            Some(column) => Self::Column(column.clone()),
            None => Self::Expression(expression.clone()),
        }
    }
}

fn of_column<'s>(column: &Column, scopes: impl IntoIterator<Item = &'s Scope>) -> Mask {
    let found = scopes.into_iter().find_map(|scope| Some(scope.masks[scope.place(column)?].clone()));
    found.unwrap_or(Mask::Whole)
}

/// Whether all columns of an expression are in these scopes.
fn is_here(expression: &Expr, scopes: &[Scope]) -> bool {
    let columns = expression.column_refs();
    columns.into_iter().all(|column| scopes.iter().any(|scope| scope.place(column).is_some()))
}

fn both(one: Vec<Mask>, other: Vec<Mask>) -> Vec<Mask> {
    one.into_iter().zip(other).map(|(one, other)| one.and(other)).collect()
}

#[cfg(test)]
mod tests;
