//! A function of DataFusion's with something done around its calls. What it says of itself, its name, types and
//! documentation, stays.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{ExprSchema, Result};
use datafusion::execution::FunctionRegistry as _;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature,
};

/// What is done around a call.
pub(super) trait Around: fmt::Debug + Send + Sync + 'static {
    /// Whether a call may be planned as another expression, which this does not see.
    const MAY_SIMPLIFY: bool = false;

    /// Answers a call, by `function` or not.
    fn call(&self, function: &dyn ScalarUDFImpl, call: ScalarFunctionArgs) -> Result<ColumnarValue>;
}

/// Puts a wrapped function in the place of a session's.
pub(super) fn wrap(state: &mut SessionState, name: &str, around: impl Around) -> Result<()> {
    let function = Arc::clone(state.udf(name)?.inner());
    state.register_udf(Arc::new(Wrapped { function, around }.into()))?;
    Ok(())
}

#[derive(Debug)]
struct Wrapped<A> {
    function: Arc<dyn ScalarUDFImpl>,
    around: A,
}

impl<A> PartialEq for Wrapped<A> {
    fn eq(&self, other: &Self) -> bool {
        self.function.name() == other.function.name()
    }
}

impl<A> Eq for Wrapped<A> {}

impl<A> Hash for Wrapped<A> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.function.name().hash(state);
    }
}

impl<A: Around> ScalarUDFImpl for Wrapped<A> {
    fn name(&self) -> &str {
        self.function.name()
    }

    fn aliases(&self) -> &[String] {
        self.function.aliases()
    }

    fn signature(&self) -> &Signature {
        self.function.signature()
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.function.return_type(types)
    }

    fn return_field_from_args(&self, arguments: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        self.function.return_field_from_args(arguments)
    }

    #[allow(deprecated)] // Why: what the function itself says.
    fn is_nullable(&self, arguments: &[Expr], schema: &dyn ExprSchema) -> bool {
        self.function.is_nullable(arguments, schema)
    }

    fn is_strict(&self) -> bool {
        self.function.is_strict()
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        self.function.coerce_types(types)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.function.documentation()
    }

    fn simplify(&self, arguments: Vec<Expr>, context: &SimplifyContext) -> Result<ExprSimplifyResult> {
        match A::MAY_SIMPLIFY {
            true => self.function.simplify(arguments, context),
            false => Ok(ExprSimplifyResult::Original(arguments)),
        }
    }

    fn invoke_with_args(&self, call: ScalarFunctionArgs) -> Result<ColumnarValue> {
        self.around.call(self.function.as_ref(), call)
    }
}
