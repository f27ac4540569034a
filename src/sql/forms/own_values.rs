//! Expressions that the optimizer finds no equals of, where it does something wrong with equal ones.

use std::cell::Cell;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

/// What a value that hides from the optimizer is called in plans.
pub(in crate::sql) const AS_IS: &str = "as_is";

/// Makes expressions of one query differ from all others of it.
#[derive(Debug, Default)]
pub(super) struct OwnValues(Cell<usize>);

impl OwnValues {
    /// The value, as an expression that is no other's equal.
    pub(super) fn own(&self, value: Expr) -> Expr {
        self.0.set(self.0.get() + 1);
        ScalarUDF::from(AsIs::new(self.0.get())).call(vec![value])
    }
}

/// Returns its argument.
#[derive(Debug, PartialEq, Eq, Hash)]
struct AsIs {
    number: usize,
    signature: Signature,
}

impl AsIs {
    fn new(number: usize) -> Self {
        Self { number, signature: Signature::any(1, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for AsIs {
    fn name(&self) -> &'static str {
        AS_IS
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn schema_name(&self, arguments: &[Expr]) -> Result<String> {
        Ok(arguments.first().map(|value| value.schema_name().to_string()).unwrap_or_default())
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        Ok(types[0].clone())
    }

    fn return_field_from_args(&self, arguments: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let field = &arguments.arg_fields[0];
        Ok(Arc::new(Field::new(self.name(), field.data_type().clone(), field.is_nullable())))
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, mut call: ScalarFunctionArgs) -> Result<ColumnarValue> {
        Ok(call.args.swap_remove(0))
    }
}
