//! Operands get one type, as DataFusion's rule has it. Where they cannot, the error says which expression it is: the innermost
//! that fails alone. DataFusion's says only the types.

use std::sync::Arc;

use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Diagnostic, Result};
use datafusion::config::ConfigOptions;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{EmptyRelation, Expr, LogicalPlan, Projection};
use datafusion::optimizer::AnalyzerRule;
use datafusion::optimizer::analyzer::type_coercion::TypeCoercion;

use super::{rewrite, tree};

#[derive(Debug)]
pub(super) struct Coercion;

impl AnalyzerRule for Coercion {
    fn analyze(&self, plan: LogicalPlan, config: &ConfigOptions) -> Result<LogicalPlan> {
        let before = plan.clone();
        let coerced = TypeCoercion::new().analyze(plan, config);
        coerced.map_err(|error| located(&before, config).unwrap_or(error))
    }

    fn name(&self) -> &'static str {
        "coercion"
    }
}

/// The error of the first expression that fails alone, with its place.
fn located(plan: &LogicalPlan, config: &ConfigOptions) -> Option<DataFusionError> {
    let checked = tree::check_nodes(plan, &mut |node| {
        let schema = rewrite::scope(node);
        let mut check = |part| failure(&part, &schema, config).map_or(Ok(Transformed::no(part)), Err);
        node.expressions()
            .into_iter()
            .try_for_each(|expression| tree::rewrite_parts_up(expression, &mut check).map(drop))
    });
    checked.err()
}

fn failure(part: &Expr, schema: &DFSchema, config: &ConfigOptions) -> Option<DataFusionError> {
    let input = EmptyRelation { produce_one_row: false, schema: Arc::new(schema.clone()) };
    let input = Arc::new(LogicalPlan::EmptyRelation(input));
    let alone = LogicalPlan::Projection(Projection::try_new(vec![part.clone()], input).ok()?);
    let error = TypeCoercion::new().analyze(alone, config).err()?;
    let message = error.find_root().message().into_owned();
    let place = rewrite::place(part).first();
    let error = DataFusionError::Plan(message.clone());
    Some(if place.is_none() { error } else { error.with_diagnostic(Diagnostic::new_error(message, place)) })
}
