//! Where the columns of a view come from: through projections, joins, groups, windows and other views, down to the
//! columns of `batch` and of tables.

use std::collections::{BTreeMap, BTreeSet};

use datafusion::common::{Column, JoinType};
use datafusion::logical_expr::{Distinct, Expr, LogicalPlan, Unnest};

/// The plans of all views, by name.
pub(super) struct Trace<'a> {
    plans: BTreeMap<&'a str, &'a LogicalPlan>,
}

/// What a column of a plan is.
pub(in crate::sql) enum Definition<'p> {
    /// A column of a relation that is scanned.
    Scanned { relation: &'p str, column: &'p str },
    /// Computed from columns of these plans.
    Computed { expression: &'p Expr, inputs: Vec<&'p LogicalPlan> },
}

/// A column of a relation: `batch`, a table or a view.
pub(super) type Origin = (String, String);

/// How many steps a trace takes at most: plans are bounded, and what is deeper is left alone.
const STEPS_MAX: usize = 10_000;

impl<'a> Trace<'a> {
    pub(super) fn new(plans: impl Iterator<Item = (&'a str, &'a LogicalPlan)>) -> Self {
        Self { plans: plans.collect() }
    }

    pub(super) fn plan(&self, view: &str) -> Option<&'a LogicalPlan> {
        self.plans.get(view).copied()
    }

    /// The columns that a column is a plain copy of, one chain for each branch of a UNION, the nearest relation first.
    /// A chain is empty where the column is computed.
    pub(super) fn chains(&self, plan: &LogicalPlan, index: usize) -> Vec<Vec<Origin>> {
        definitions(plan, index).into_iter().flat_map(|definition| self.chains_of(&definition)).collect()
    }

    fn chains_of(&self, definition: &Definition<'_>) -> Vec<Vec<Origin>> {
        let Definition::Scanned { relation, column } = definition else { return vec![Vec::new()] };
        let here = ((*relation).to_owned(), (*column).to_owned());
        let view = self.plans.get(relation).and_then(|plan| Some((*plan, index_of_name(plan, column)?)));
        let Some((plan, index)) = view else { return vec![vec![here]] };
        let deeper = self.chains(plan, index).into_iter();
        deeper.map(|chain| std::iter::once(here.clone()).chain(chain).collect()).collect()
    }

    /// The chains of a column that an expression over `inputs` names, through casts and other names.
    pub(super) fn chains_of_expression(
        &self,
        expression: &Expr,
        inputs: &[&LogicalPlan],
    ) -> Vec<Vec<Origin>> {
        match plain_column(expression).and_then(|column| find(column, inputs)) {
            Some((plan, index)) => self.chains(plan, index),
            None => Vec::new(),
        }
    }

    /// Whether an expression over `inputs` is computed from a column of a relation that is wanted.
    pub(super) fn reaches(
        &self,
        expression: &Expr,
        inputs: &[&LogicalPlan],
        is_wanted: &dyn Fn(&str) -> bool,
    ) -> bool {
        let mut seen = BTreeSet::new();
        let columns = expression.column_refs().into_iter().filter_map(|column| find(column, inputs));
        let mut open: Vec<(&LogicalPlan, usize)> = columns.collect();
        while let Some((plan, index)) = open.pop() {
            if seen.len() > STEPS_MAX || !seen.insert((std::ptr::from_ref(plan), index)) {
                continue;
            }
            for definition in definitions(plan, index) {
                match definition {
                    Definition::Scanned { relation, .. } if is_wanted(relation) => return true,
                    Definition::Scanned { relation, column } => {
                        let view = self.plan(relation);
                        open.extend(view.and_then(|plan| Some((plan, index_of_name(plan, column)?))));
                    }
                    Definition::Computed { expression, inputs } => {
                        let columns = expression.column_refs().into_iter();
                        open.extend(columns.filter_map(|column| find(column, &inputs)));
                    }
                }
            }
        }
        false
    }

    /// Visits everything that a column is computed from, down to the tables: each expression with the plans it is over.
    pub(super) fn walk(
        &self,
        view: &'a str,
        index: usize,
        visit: &mut dyn FnMut(&'a str, &'a Expr, &[&'a LogicalPlan]),
    ) {
        let mut seen = BTreeSet::new();
        let mut open: Vec<(&'a str, &'a LogicalPlan, usize)> = Vec::new();
        open.extend(self.plan(view).map(|plan| (view, plan, index)));
        while let Some((view, plan, index)) = open.pop() {
            if seen.len() > STEPS_MAX || !seen.insert((std::ptr::from_ref(plan), index)) {
                continue;
            }
            for definition in definitions(plan, index) {
                match definition {
                    Definition::Scanned { relation, column } => {
                        let next = self.plans.get_key_value(relation);
                        let next =
                            next.and_then(|(name, plan)| Some((*name, *plan, index_of_name(plan, column)?)));
                        open.extend(next);
                    }
                    Definition::Computed { expression, inputs } => {
                        visit(view, expression, &inputs);
                        let columns = expression.column_refs().into_iter();
                        let columns = columns.filter_map(|column| find(column, &inputs));
                        open.extend(columns.map(|(plan, index)| (view, plan, index)));
                    }
                }
            }
        }
    }
}

/// What a column of a plan is; one for each branch of a UNION.
pub(in crate::sql) fn definitions(plan: &LogicalPlan, index: usize) -> Vec<Definition<'_>> {
    if let Some(input) = passed_on(plan) {
        return definitions(input, index);
    }
    match plan {
        LogicalPlan::Projection(node) => of_expression(node.expr.get(index), &node.input),
        LogicalPlan::Aggregate(node) => match node.group_expr.as_slice() {
            [Expr::GroupingSet(_)] => Vec::new(),
            groups => {
                let computed = index.checked_sub(groups.len()).and_then(|index| node.aggr_expr.get(index));
                of_expression(groups.get(index).or(computed), &node.input)
            }
        },
        LogicalPlan::Window(node) => match index.checked_sub(node.input.schema().fields().len()) {
            None => definitions(&node.input, index),
            Some(index) => of_expression(node.window_expr.get(index), &node.input),
        },
        LogicalPlan::Filter(node) => definitions(&node.input, index),
        LogicalPlan::Distinct(Distinct::On(node)) => of_expression(node.select_expr.get(index), &node.input),
        LogicalPlan::Union(node) => node.inputs.iter().flat_map(|input| definitions(input, index)).collect(),
        LogicalPlan::Join(node) => {
            let left = node.left.schema().fields().len();
            match node.join_type {
                JoinType::RightSemi | JoinType::RightAnti => definitions(&node.right, index),
                JoinType::LeftSemi | JoinType::LeftAnti => definitions(&node.left, index),
                JoinType::LeftMark | JoinType::RightMark => Vec::new(),
                _ if index < left => definitions(&node.left, index),
                _ => definitions(&node.right, index - left),
            }
        }
        LogicalPlan::Unnest(node) => match node.dependency_indices.get(index) {
            Some(&of_input) if !is_unnested(node, of_input) => definitions(&node.input, of_input),
            _ => Vec::new(),
        },
        LogicalPlan::TableScan(scan) => {
            let field = scan.projected_schema.fields().get(index);
            let scanned = field
                .map(|field| Definition::Scanned { relation: scan.table_name.table(), column: field.name() });
            scanned.into_iter().collect()
        }
        _ => Vec::new(),
    }
}

/// The plan whose columns a plan has as they are, with some of its rows or all of them, unless it chooses these by a condition.
pub(in crate::sql) fn passed_on(plan: &LogicalPlan) -> Option<&LogicalPlan> {
    match plan {
        LogicalPlan::SubqueryAlias(node) => Some(&node.input),
        LogicalPlan::Sort(node) => Some(&node.input),
        LogicalPlan::Limit(node) => Some(&node.input),
        LogicalPlan::Repartition(node) => Some(&node.input),
        LogicalPlan::Subquery(node) => Some(&node.subquery),
        LogicalPlan::Distinct(Distinct::All(input)) => Some(input),
        _ => None,
    }
}

/// Whether a column of the input is taken apart.
fn is_unnested(node: &Unnest, column: usize) -> bool {
    node.struct_type_columns.contains(&column)
        || node.list_type_columns.iter().any(|(list, _)| *list == column)
}

fn of_expression<'p>(expression: Option<&'p Expr>, input: &'p LogicalPlan) -> Vec<Definition<'p>> {
    let Some(expression) = expression else { return Vec::new() };
    match unaliased(expression) {
        Expr::Column(column) => match input.schema().index_of_column(column) {
            Ok(index) => definitions(input, index),
            Err(_) => Vec::new(),
        },
        expression => vec![Definition::Computed { expression, inputs: vec![input] }],
    }
}

/// The plan among `inputs` that has a column, and the column's place in it.
pub(super) fn find<'p>(column: &Column, inputs: &[&'p LogicalPlan]) -> Option<(&'p LogicalPlan, usize)> {
    inputs.iter().find_map(|input| Some((*input, input.schema().maybe_index_of_column(column)?)))
}

pub(in crate::sql) fn index_of_name(plan: &LogicalPlan, name: &str) -> Option<usize> {
    plan.schema().fields().iter().position(|field| field.name() == name)
}

pub(in crate::sql) fn unaliased(mut expression: &Expr) -> &Expr {
    while let Expr::Alias(alias) = expression {
        expression = &alias.expr;
    }
    expression
}

/// The column that an expression is, but for its type and name.
pub(in crate::sql) fn plain_column(mut expression: &Expr) -> Option<&Column> {
    loop {
        expression = match expression {
            Expr::Alias(alias) => &alias.expr,
            Expr::Cast(cast) => &cast.expr,
            Expr::TryCast(cast) => &cast.expr,
            Expr::Column(column) => return Some(column),
            _ => return None,
        }
    }
}
