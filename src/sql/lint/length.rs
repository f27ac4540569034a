//! How long the texts of a column can get, as far as the SQL says so: literals and what is made of them, columns of
//! bounded length, and functions that cut.

use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::expr::Case;
use datafusion::logical_expr::{Expr, LogicalPlan};

use super::trace::{Definition, definitions, find, index_of_name};
use super::{BATCH, Project};

/// Kafka's limit of topic names.
const TOPIC_CHARACTERS_MAX: u64 = 249;
/// How deep definitions are followed.
const DEPTH_MAX: usize = 64;

pub(super) fn characters_max(project: &Project<'_>, view: &str, column: &str) -> Option<u64> {
    let plan = project.trace.plan(view)?;
    of_column(project, plan, index_of_name(plan, column)?, 0)
}

fn of_column(project: &Project<'_>, plan: &LogicalPlan, index: usize, depth: usize) -> Option<u64> {
    if depth > DEPTH_MAX {
        return None;
    }
    let definitions = definitions(plan, index);
    let lengths = definitions.iter().map(|definition| match definition {
        Definition::Scanned { relation: BATCH, column: "kafka_topic" } => Some(TOPIC_CHARACTERS_MAX),
        Definition::Scanned { relation, column } => {
            let plan = project.trace.plan(relation)?;
            of_column(project, plan, index_of_name(plan, column)?, depth + 1)
        }
        Definition::Computed { expression, inputs } => of(project, expression, inputs, depth + 1),
    });
    longest(lengths.collect::<Vec<_>>())
}

fn of(project: &Project<'_>, expression: &Expr, inputs: &[&LogicalPlan], depth: usize) -> Option<u64> {
    if depth > DEPTH_MAX {
        return None;
    }
    let of = |part: &Expr| of(project, part, inputs, depth + 1);
    match expression {
        Expr::Alias(alias) => of(&alias.expr),
        Expr::Column(column) => {
            let (plan, index) = find(column, inputs)?;
            of_column(project, plan, index, depth + 1)
        }
        Expr::Literal(value, _) => of_literal(value),
        Expr::Cast(cast) => of_cast(&cast.expr, inputs).or_else(|| of(&cast.expr)),
        Expr::Case(Case { when_then_expr, else_expr, .. }) => {
            let results = when_then_expr.iter().map(|(_, then)| of(then));
            longest(results.chain(else_expr.iter().map(|other| of(other))).collect())
        }
        Expr::AggregateFunction(call) => match call.func.name() {
            "max" | "min" | "first_value" | "last_value" | "nth_value" => of(call.params.args.first()?),
            _ => None,
        },
        Expr::WindowFunction(call) => match call.fun.name() {
            "max" | "min" | "first_value" | "last_value" | "nth_value" => of(call.params.args.first()?),
            "lag" | "lead" => longest(
                [call.params.args.first(), call.params.args.get(2)].into_iter().flatten().map(of).collect(),
            ),
            _ => None,
        },
        Expr::ScalarFunction(call) => of_call(call.name(), &call.args, &of),
        _ => None,
    }
}

fn of_call(name: &str, arguments: &[Expr], of: &dyn Fn(&Expr) -> Option<u64>) -> Option<u64> {
    let first = || of(arguments.first()?);
    let cut = |length: Option<&Expr>| {
        let length = length.and_then(number);
        match (length, first()) {
            (Some(length), Some(first)) => Some(length.min(first)),
            (length, first) => length.or(first),
        }
    };
    match name {
        "coalesce" | "nvl" | "ifnull" | "greatest" | "least" => longest(arguments.iter().map(of).collect()),
        "nullif" | "upper" | "lower" | "initcap" | "trim" | "btrim" | "ltrim" | "rtrim" | "reverse" => {
            first()
        }
        "concat" => arguments.iter().map(of).sum(),
        "concat_ws" => {
            let separators = first()? * (arguments.len().saturating_sub(2) as u64);
            let parts: Option<u64> = arguments.iter().skip(1).map(of).sum();
            Some(separators + parts?)
        }
        "left" | "right" => cut(arguments.get(1)),
        "substr" | "substring" => cut(arguments.get(2)),
        "md5" => Some(32),
        "uuid" => Some(36),
        _ => None,
    }
}

/// What numbers, dates and booleans are at most as text.
fn of_cast(inner: &Expr, inputs: &[&LogicalPlan]) -> Option<u64> {
    let Expr::Column(column) = inner else { return None };
    let (plan, index) = find(column, inputs)?;
    match plan.schema().field(index).data_type() {
        integer if integer.is_integer() => Some(20),
        DataType::Boolean => Some(5),
        DataType::Date32 => Some(10),
        _ => None,
    }
}

fn of_literal(value: &ScalarValue) -> Option<u64> {
    if value.is_null() {
        return Some(0);
    }
    value.try_as_str().flatten().map(|text| text.chars().count() as u64)
}

fn number(expression: &Expr) -> Option<u64> {
    match expression {
        Expr::Literal(ScalarValue::Int64(Some(number)), _) => u64::try_from(*number).ok(),
        _ => None,
    }
}

/// The longest, where all of them are known.
fn longest(lengths: Vec<Option<u64>>) -> Option<u64> {
    lengths.into_iter().try_fold(None, |longest: Option<u64>, length| Some(longest.max(Some(length?))))?
}
