//! `a || b`: in a row of them each makes its own copy of what is before it.

use std::sync::Arc;

use arrow::compute::kernels::concat_elements::concat_elements_dyn;
use arrow::datatypes::DataType;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result};
use datafusion::config::ConfigOptions;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::expr::{BinaryExpr, ScalarFunction};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable as _, LogicalPlan, Operator, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, Volatility,
};
use datafusion::optimizer::AnalyzerRule;

use super::{Budget, Columns};
use crate::sql::wrapped::Extent;
use crate::sql::{rewrite, tree};

/// Puts in concatenations that ask the budget. The types of all operands have to be settled.
#[derive(Debug)]
pub(in crate::sql) struct Concatenations(pub(in crate::sql) Arc<Budget>);

impl AnalyzerRule for Concatenations {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        let rewrite = |expression: Expr, schema: &DFSchema| self.bounded(expression, schema);
        tree::rewrite_nodes(plan, &mut |node| rewrite::expressions(node, &rewrite))
    }

    fn name(&self) -> &'static str {
        "bounded_concatenations"
    }
}

impl Concatenations {
    fn bounded(&self, expression: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
        let Expr::BinaryExpr(BinaryExpr { left, op: Operator::StringConcat, right }) = expression else {
            return Ok(Transformed::no(expression));
        };
        let (of_left, of_right) = (left.get_type(schema)?, right.get_type(schema)?);
        if of_left != of_right
            || !matches!(of_left, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
        {
            let same = BinaryExpr { left, op: Operator::StringConcat, right };
            return Ok(Transformed::no(Expr::BinaryExpr(same)));
        }
        let function = Concatenate {
            budget: Arc::clone(&self.0),
            result: of_left,
            signature: Signature::any(2, Volatility::Immutable),
        };
        let function = Arc::new(ScalarUDF::from(function));
        Ok(Transformed::yes(Expr::ScalarFunction(ScalarFunction::new_udf(function, vec![*left, *right]))))
    }
}

#[derive(Debug)]
struct Concatenate {
    budget: Arc<Budget>,
    result: DataType,
    signature: Signature,
}

impl PartialEq for Concatenate {
    fn eq(&self, other: &Self) -> bool {
        self.result == other.result
    }
}

impl Eq for Concatenate {}

impl std::hash::Hash for Concatenate {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.result.hash(state);
    }
}

impl ScalarUDFImpl for Concatenate {
    fn name(&self) -> &'static str {
        "||"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.result.clone())
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, call: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let extent = Extent::of(&call.args, call.number_rows);
        let operands = Columns { arguments: &call.args, rows: extent.rows };
        self.budget.take("||", operands.bytes_of_all())?;
        let [left, right] = call.args.as_slice() else {
            return Err(DataFusionError::Internal("`||` has two operands".into()));
        };
        let joined = concat_elements_dyn(&left.to_array(extent.rows)?, &right.to_array(extent.rows)?)?;
        extent.answer(joined)
    }
}
