//! The value of a scalar subquery that found one row; an error if it found more.

use std::sync::Arc;

use arrow::array::{Array as _, Int64Array};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::cast::as_int64_array;
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, Expr, LogicalPlan, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature,
    Volatility,
};

/// Takes the value and the number of rows.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct OneRow {
    signature: Signature,
}

impl Default for OneRow {
    fn default() -> Self {
        Self { signature: Signature::any(2, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for OneRow {
    fn name(&self) -> &'static str {
        "one_row"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        Ok(types[0].clone())
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        Ok(Arc::new(Field::new(self.name(), args.arg_fields[0].data_type().clone(), true)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let numbers = args.args[1].to_array(args.number_rows)?;
        let numbers: &Int64Array = as_int64_array(&numbers)?;
        if (0..numbers.len()).any(|row| numbers.is_valid(row) && numbers.value(row) > 1) {
            return exec_err!("a subquery used as one value has more than one row");
        }
        Ok(args.args[0].clone())
    }
}

/// Whether a query has at most one row, whatever it reads.
pub(super) fn has_one_row(query: &LogicalPlan) -> bool {
    match query {
        LogicalPlan::Aggregate(aggregate) => aggregate.group_expr.is_empty(),
        LogicalPlan::EmptyRelation(_) => true,
        LogicalPlan::Limit(limit) => {
            let one = |fetch: &Expr| matches!(fetch, Expr::Literal(ScalarValue::Int64(Some(0 | 1)), _));
            limit.fetch.as_deref().is_some_and(one) || has_one_row(&limit.input)
        }
        LogicalPlan::Projection(node) => has_one_row(&node.input),
        LogicalPlan::SubqueryAlias(node) => has_one_row(&node.input),
        LogicalPlan::Filter(node) => has_one_row(&node.input),
        LogicalPlan::Sort(node) => has_one_row(&node.input),
        _ => false,
    }
}

/// Whether a query has a row for sure.
pub(super) fn has_a_row(query: &LogicalPlan) -> bool {
    match query {
        LogicalPlan::Aggregate(aggregate) => aggregate.group_expr.is_empty(),
        LogicalPlan::EmptyRelation(empty) => empty.produce_one_row,
        LogicalPlan::Projection(node) => has_a_row(&node.input),
        LogicalPlan::SubqueryAlias(node) => has_a_row(&node.input),
        LogicalPlan::Sort(node) => has_a_row(&node.input),
        _ => false,
    }
}
