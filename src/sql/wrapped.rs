//! A function of DataFusion's with something done around its calls. What it says of itself, its name, types and
//! documentation, stays.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{ExprSchema, Result, ScalarValue};
use datafusion::execution::FunctionRegistry as _;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::type_coercion::functions::fields_with_udf;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature,
};

/// How many rows a function computes: one, where its arguments are the same for all rows of a call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extent {
    pub(super) rows: usize,
    is_one: bool,
}

impl Extent {
    pub(super) fn of<'a>(arguments: impl IntoIterator<Item = &'a ColumnarValue>, rows: usize) -> Self {
        let is_one = arguments.into_iter().all(|value| matches!(value, ColumnarValue::Scalar(_)));
        Self { rows: if is_one { 1 } else { rows }, is_one }
    }

    /// The answer to the call: as many values as there are rows.
    pub(super) fn answer(self, values: ArrayRef) -> Result<ColumnarValue> {
        Ok(match self.is_one {
            true => ColumnarValue::Scalar(ScalarValue::try_from_array(&values, 0)?),
            false => ColumnarValue::Array(values),
        })
    }
}

/// Changes one argument of a call: `change` gets its values as the type `of`, and returns others, or `None` if they are right.
pub(super) fn change_argument(
    call: &mut ScalarFunctionArgs,
    place: usize,
    of: &DataType,
    change: impl FnOnce(&ArrayRef) -> Option<ArrayRef>,
) -> Result<()> {
    let Some(argument) = call.args.get(place) else { return Ok(()) };
    let extent = Extent::of([argument], call.number_rows);
    let values = argument.cast_to(of, None)?.to_array(extent.rows)?;
    if let Some(changed) = change(&values) {
        call.args[place] = extent.answer(cast(&changed, &argument.data_type())?)?;
    }
    Ok(())
}

/// What is done around a call.
pub(super) trait Around: fmt::Debug + Send + Sync + 'static {
    /// Whether a call may be planned as another expression, which this does not see.
    const MAY_SIMPLIFY: bool = false;
    /// Whether [`Around::takes`] has something to say.
    const CHANGES_ARGUMENTS: bool = false;

    /// What the function takes, where it says `of` itself.
    fn signature(&self, of: &Signature) -> Signature {
        of.clone()
    }

    /// The types that arguments of these types become before the function sees them.
    fn takes(&self, types: &[DataType]) -> Vec<DataType> {
        types.to_vec()
    }

    /// The type of the result, where the function itself returns `of`.
    fn returns(&self, of: DataType) -> DataType {
        of
    }

    /// Answers a call, by `function` or not.
    fn call(&self, function: &dyn ScalarUDFImpl, call: ScalarFunctionArgs) -> Result<ColumnarValue>;
}

/// Puts a wrapped function in the place of a session's.
pub(super) fn wrap<A: Around>(state: &mut SessionState, name: &str, around: A) -> Result<()> {
    let function = state.udf(name)?;
    let signature = match A::CHANGES_ARGUMENTS {
        true => Signature::user_defined(function.signature().volatility),
        false => around.signature(function.signature()),
    };
    state.register_udf(Arc::new(Wrapped { function, signature, around }.into()))?;
    Ok(())
}

#[derive(Debug)]
struct Wrapped<A> {
    function: Arc<ScalarUDF>,
    signature: Signature,
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
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        Ok(self.around.returns(self.function.inner().return_type(types)?))
    }

    fn return_field_from_args(&self, arguments: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let field = self.function.inner().return_field_from_args(arguments)?;
        let of = self.around.returns(field.data_type().clone());
        Ok(if of == *field.data_type() { field } else { Arc::new(field.as_ref().clone().with_data_type(of)) })
    }

    #[allow(deprecated)] // Why: what the function itself says.
    fn is_nullable(&self, arguments: &[Expr], schema: &dyn ExprSchema) -> bool {
        self.function.inner().is_nullable(arguments, schema)
    }

    fn is_strict(&self) -> bool {
        self.function.inner().is_strict()
    }

    fn short_circuits(&self) -> bool {
        self.function.inner().short_circuits()
    }

    fn conditional_arguments<'a>(&self, arguments: &'a [Expr]) -> Option<(Vec<&'a Expr>, Vec<&'a Expr>)> {
        self.function.inner().conditional_arguments(arguments)
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        match A::CHANGES_ARGUMENTS {
            true => coerced(&self.around.takes(types), &self.function),
            false => self.function.inner().coerce_types(types),
        }
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.function.inner().documentation()
    }

    fn simplify(&self, arguments: Vec<Expr>, context: &SimplifyContext) -> Result<ExprSimplifyResult> {
        match A::MAY_SIMPLIFY {
            true => self.function.inner().simplify(arguments, context),
            false => Ok(ExprSimplifyResult::Original(arguments)),
        }
    }

    fn invoke_with_args(&self, call: ScalarFunctionArgs) -> Result<ColumnarValue> {
        self.around.call(self.function.inner().as_ref(), call)
    }
}

/// The types that a function takes arguments of these types as.
pub(super) fn coerced(types: &[DataType], function: &ScalarUDF) -> Result<Vec<DataType>> {
    let field = |of: &DataType| -> FieldRef { Arc::new(Field::new("argument", of.clone(), true)) };
    let fields = fields_with_udf(&types.iter().map(field).collect::<Vec<_>>(), function)?;
    Ok(fields.iter().map(|field| field.data_type().clone()).collect())
}
