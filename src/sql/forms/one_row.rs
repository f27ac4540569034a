//! The value of a scalar subquery that found one row; an error if it found more.

use std::sync::Arc;

use arrow::array::{Array as _, Int64Array};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::cast::as_int64_array;
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
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
