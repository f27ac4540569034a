//! Columns of state that grow wrong: sums of doubles, which depend on the order they are added in and so on the cut, and
//! counts in integers that wrap.

use arrow::datatypes::DataType;
use datafusion::common::DFSchema;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable as _, LogicalPlan, Operator};

use super::super::columns;
use super::super::tree;
use super::{Code, Diagnostic, Fate, Project, place, push_once, warning};

/// Aggregates that add their arguments up.
const ADDING: &[&str] = &["sum", "avg", "mean", "stddev", "stddev_pop", "var", "var_pop"];

pub(super) fn warnings(project: &Project<'_>) -> Vec<Diagnostic> {
    let mut warnings = Vec::new();
    for (view, fate) in &project.written {
        let (Fate::State(table), Some(planned)) = (fate, project.view(view)) else { continue };
        for (index, field) in planned.plan.schema().fields().iter().enumerate() {
            let column = format!("{table}.{}", field.name());
            project.trace.walk(planned.name, index, &mut |view, expression, inputs| {
                let Some(file) = project.view(view).map(|view| view.file) else { return };
                let schema = merge_schema(inputs);
                tree::each_part(expression, &mut |part| {
                    let Some(found) = finding(project, part, inputs, &schema) else { return };
                    let place = match (&found, part) {
                        (Finding::Sum(name), _) => place::of_call(file, name, arguments(part)),
                        // Columns of groups do not know where they were written.
                        _ => columns::place(planned.file, field.name()),
                    };
                    let place = place.unwrap_or_else(|| file.start());
                    push_once(&mut warnings, found.warning(&column, place));
                });
            });
        }
    }
    warnings
}

enum Finding {
    /// A function that adds doubles.
    Sum(String),
    /// An integer that is added to what the state has.
    Integer(DataType),
}

impl Finding {
    fn warning(&self, column: &str, place: crate::diagnostic::Place) -> Diagnostic {
        match self {
            Self::Sum(name) => {
                let message = format!(
                    "`{name}` of doubles in `{column}`: the sum depends on the order it is added in, and so on how the \
                     messages are cut into batches"
                );
                let hint = "add what is exact: `CAST(x AS DECIMAL(38, 2))`";
                warning(Code::InexactSum, place, message, hint)
            }
            Self::Integer(data_type) => {
                let message = format!(
                    "`{column}` grows as {data_type}: when it is full, its messages become dead letters"
                );
                warning(Code::Overflow, place, message, "grow in a larger type: `CAST(... AS BIGINT)`")
            }
        }
    }
}

fn finding(
    project: &Project<'_>,
    part: &Expr,
    inputs: &[&LogicalPlan],
    schema: &DFSchema,
) -> Option<Finding> {
    if let Some(name) = adding(part) {
        let is_double = arguments(part).first().and_then(|argument| argument.get_type(schema).ok());
        return is_double.is_some_and(|found| found.is_floating()).then(|| Finding::Sum(name.to_owned()));
    }
    let Expr::BinaryExpr(BinaryExpr { left, op: Operator::Plus | Operator::Minus, right }) = part else {
        return None;
    };
    if !is_of_state(project, left, inputs) && !is_of_state(project, right, inputs) {
        return None;
    }
    let sum = part.get_type(schema).ok()?;
    match sum {
        DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::UInt8
        | DataType::UInt16
        | DataType::UInt32 => Some(Finding::Integer(sum)),
        _ => None,
    }
}

fn adding(part: &Expr) -> Option<&str> {
    let name = match part {
        Expr::AggregateFunction(call) => call.func.name(),
        Expr::WindowFunction(call) => call.fun.name(),
        _ => return None,
    };
    ADDING.contains(&name).then_some(name)
}

fn arguments(part: &Expr) -> &[Expr] {
    match part {
        Expr::AggregateFunction(call) => &call.params.args,
        Expr::WindowFunction(call) => &call.params.args,
        _ => &[],
    }
}

/// Whether an expression is computed from a column of a state table.
fn is_of_state(project: &Project<'_>, expression: &Expr, inputs: &[&LogicalPlan]) -> bool {
    project.trace.reaches(expression, inputs, &|relation| project.is_state(relation))
}
