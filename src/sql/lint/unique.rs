//! Whether the rows of a view are one for each key: because they are grouped by it, DISTINCT, numbered by it and chosen
//! by their number, or because a table that is read has them so. What a join adds must not make several rows of one.

use datafusion::common::{JoinType, ScalarValue};
use datafusion::logical_expr::expr::{WindowFunction, WindowFunctionDefinition};
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{BinaryExpr, Distinct, Expr, Join, LogicalPlan, Operator};

use super::trace::{index_of_name, unaliased};
use super::{BATCH, Project};

/// How deep views and plans are followed; what is deeper is taken for not unique.
const DEPTH_MAX: usize = 200;
/// The position of a message.
const POSITION: [&str; 2] = ["kafka_partition", "kafka_offset"];

pub(super) fn is_unique(project: &Project<'_>, view: &str, key: &[String]) -> bool {
    let Some(plan) = project.trace.plan(view) else { return true };
    let columns: Option<Vec<usize>> = key.iter().map(|name| index_of_name(plan, name)).collect();
    columns
        .is_none_or(|columns| is_unique_by(project, plan, &Asked { columns, firsts: Vec::new() }, DEPTH_MAX))
}

/// What is asked of a plan: whether no two of its rows are equal in some columns, if only those rows count that have the
/// number 1 in others.
struct Asked {
    columns: Vec<usize>,
    firsts: Vec<usize>,
}

impl Asked {
    /// The same of the plan below, of those columns that are there.
    fn below(&self, place: impl Fn(usize) -> Option<usize>) -> Self {
        let places = |columns: &[usize]| columns.iter().filter_map(|column| place(*column)).collect();
        Self { columns: places(&self.columns), firsts: places(&self.firsts) }
    }
}

fn is_unique_by(project: &Project<'_>, plan: &LogicalPlan, asked: &Asked, depth: usize) -> bool {
    let Some(depth) = depth.checked_sub(1) else { return false };
    let is = |input: &LogicalPlan, asked: &Asked| is_unique_by(project, input, asked, depth);
    let has = |column: usize| asked.columns.contains(&column);
    match plan {
        LogicalPlan::SubqueryAlias(node) => is(&node.input, asked),
        LogicalPlan::Sort(node) => is(&node.input, asked),
        LogicalPlan::Limit(node) => is(&node.input, asked),
        LogicalPlan::Filter(node) => {
            let mut asked = asked.below(Some);
            let conditions = split_conjunction(&node.predicate);
            asked
                .firsts
                .extend(conditions.into_iter().filter_map(|condition| first_of(condition, &node.input)));
            is(&node.input, &asked)
        }
        LogicalPlan::Projection(node) => {
            is(&node.input, &asked.below(|place| place_of(node.expr.get(place)?, &node.input)))
        }
        LogicalPlan::Window(node) => {
            let width = node.input.schema().fields().len();
            let calls =
                asked.firsts.iter().filter_map(|first| node.window_expr.get(first.checked_sub(width)?));
            let mut numbers = calls.filter_map(|call| match unaliased(call) {
                Expr::WindowFunction(call) if is_row_number(call) => Some(call),
                _ => None,
            });
            let is_of_key = |part: &Expr| place_of(part, &node.input).is_some_and(has);
            numbers.any(|call| call.params.partition_by.iter().all(is_of_key))
                || is(&node.input, &asked.below(|place| (place < width).then_some(place)))
        }
        LogicalPlan::Aggregate(node) => {
            let mut groups = node.group_expr.iter().enumerate();
            !matches!(node.group_expr.as_slice(), [Expr::GroupingSet(_)])
                && groups.all(|(place, group)| has(place) || is_of_keyed_table(project, group, &node.input))
        }
        LogicalPlan::Distinct(Distinct::All(input)) => {
            (0..input.schema().fields().len()).all(has) || is(input, asked)
        }
        LogicalPlan::Distinct(Distinct::On(node)) => {
            let key: Vec<&Expr> =
                asked.columns.iter().filter_map(|place| node.select_expr.get(*place)).collect();
            node.on_expr.iter().all(|on| key.iter().any(|column| unaliased(column) == unaliased(on)))
        }
        LogicalPlan::Join(node) => {
            let width = node.left.schema().fields().len();
            let left = || is(&node.left, &asked.below(|place| (place < width).then_some(place)));
            let right = || is(&node.right, &asked.below(|place| place.checked_sub(width)));
            let equal = equal_in(node);
            // Whether a row has one partner on this side at most.
            let once = |plan: &LogicalPlan| {
                let columns = equal.iter().filter_map(|expression| compared(expression, plan)).collect();
                is(plan, &Asked { columns, firsts: Vec::new() })
            };
            match node.join_type {
                JoinType::LeftSemi | JoinType::LeftAnti => is(&node.left, asked),
                JoinType::RightSemi | JoinType::RightAnti => is(&node.right, asked),
                JoinType::Left => left() && once(&node.right),
                JoinType::Right => right() && once(&node.left),
                JoinType::Inner => (left() && once(&node.right)) || (right() && once(&node.left)),
                _ => false,
            }
        }
        LogicalPlan::TableScan(scan) => {
            let name =
                |place: usize| scan.projected_schema.fields().get(place).map(|field| field.name().as_str());
            let names: Vec<&str> = asked.columns.iter().filter_map(|place| name(*place)).collect();
            let relation = scan.table_name.table();
            if relation == BATCH {
                return POSITION.iter().all(|column| names.contains(column));
            }
            if let Some(view) = project.trace.plan(relation) {
                return is(view, &asked.below(|place| index_of_name(view, name(place)?)));
            }
            let table = project.survey.tables.iter().find(|table| table.name == relation);
            table.is_some_and(|table| {
                !table.key.is_empty() && table.key.iter().all(|column| names.contains(&column.as_str()))
            })
        }
        LogicalPlan::EmptyRelation(_) => true,
        _ => false,
    }
}

/// What a join compares for being equal, from both sides.
fn equal_in(join: &Join) -> Vec<&Expr> {
    let conditions = join.filter.iter().flat_map(split_conjunction);
    let of_conditions = conditions.filter_map(|condition| match condition {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) => Some([&**left, &**right]),
        _ => None,
    });
    join.on.iter().map(|(left, right)| [left, right]).chain(of_conditions).flatten().collect()
}

/// The column of a plan that is compared; two types are compared as a common one, which holds both.
fn compared(expression: &Expr, plan: &LogicalPlan) -> Option<usize> {
    match expression {
        Expr::Cast(cast) => compared(&cast.expr, plan),
        expression => place_of(expression, plan),
    }
}

/// The column of a plan that an expression is. A cast may make equal what is different.
fn place_of(expression: &Expr, plan: &LogicalPlan) -> Option<usize> {
    match unaliased(expression) {
        Expr::Column(column) => plan.schema().maybe_index_of_column(column),
        _ => None,
    }
}

/// Whether a group adds no rows to those of the key, as it is a column of a table that has one row for each key.
fn is_of_keyed_table(project: &Project<'_>, group: &Expr, input: &LogicalPlan) -> bool {
    let is_keyed = |relation: &str| {
        project.survey.tables.iter().any(|table| table.name == relation && !table.key.is_empty())
    };
    let chains = project.trace.chains_of_expression(group, &[input]);
    !chains.is_empty()
        && chains.iter().all(|chain| chain.last().is_some_and(|(relation, _)| is_keyed(relation)))
}

/// The column that has the number 1 in all rows that a condition keeps: `number = 1`, `number < 2`.
fn first_of(condition: &Expr, input: &LogicalPlan) -> Option<usize> {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = condition else { return None };
    let (number, bound, op) = match (literal(left), literal(right)) {
        (None, Some(bound)) => (left, bound, *op),
        (Some(bound), None) => (right, bound, op.swap().unwrap_or(*op)),
        _ => return None,
    };
    let is_first = match op {
        Operator::Eq | Operator::LtEq => bound == 1,
        Operator::Lt => bound == 2,
        _ => false,
    };
    is_first.then(|| place_of(number, input)).flatten()
}

fn is_row_number(call: &WindowFunction) -> bool {
    matches!(&call.fun, WindowFunctionDefinition::WindowUDF(function) if function.name() == "row_number")
}

fn literal(expression: &Expr) -> Option<i64> {
    let value = match unaliased(expression) {
        Expr::Literal(value, _) => value,
        Expr::Cast(cast) => return literal(&cast.expr),
        _ => return None,
    };
    match value.cast_to(&arrow::datatypes::DataType::Int64) {
        Ok(ScalarValue::Int64(number)) => number,
        _ => None,
    }
}
