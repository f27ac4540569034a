//! `raise_error(text)`: SQL that refuses a row, and says why.

use std::sync::Arc;

use arrow::datatypes::DataType;
use arrow::util::display::array_value_to_string;
use datafusion::common::types::logical_string;
use datafusion::common::{Result, ScalarValue};
use datafusion::error::DataFusionError;
use datafusion::execution::FunctionRegistry as _;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::scalar_doc_sections::DOC_SECTION_CONDITIONAL;
use datafusion::logical_expr::{
    Coercion, ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDFImpl, Signature, TypeSignatureClass,
    Volatility,
};

use crate::diagnostic::Finding;

/// What it is called, here and in Spark.
pub(super) const RAISE_ERROR: &str = "raise_error";

pub(super) fn install(state: &mut SessionState) -> Result<()> {
    let text = Coercion::new_exact(TypeSignatureClass::Native(logical_string()));
    // Why volatile: it is neither computed while a query is planned nor moved.
    let signature = Signature::coercible(vec![text], Volatility::Volatile);
    let documentation = Documentation::builder(
        DOC_SECTION_CONDITIONAL,
        "Fails with this text where it is computed, so the message becomes a dead letter. It has the type of the other branches.",
        "raise_error(text)",
    )
    .with_argument("text", "The reason of the dead letter.")
    .with_sql_example("> SELECT CASE WHEN 1 > 0 THEN 'right' ELSE raise_error('this cannot be') END;")
    .build();
    state.register_udf(Arc::new(RaiseError { signature, documentation }.into()))?;
    Ok(())
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct RaiseError {
    signature: Signature,
    documentation: Documentation,
}

impl ScalarUDFImpl for RaiseError {
    fn name(&self) -> &'static str {
        RAISE_ERROR
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Null)
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&self.documentation)
    }

    fn invoke_with_args(&self, call: ScalarFunctionArgs) -> Result<ColumnarValue> {
        // No row takes the branch.
        if call.number_rows == 0 {
            return Ok(ColumnarValue::Scalar(ScalarValue::Null));
        }
        let text = array_value_to_string(&*call.args[0].to_array(1)?, 0)?;
        Err(DataFusionError::External(Box::new(Finding::new(text))))
    }
}
