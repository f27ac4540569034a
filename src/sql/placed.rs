//! Casts and functions that can fail on a row say which expression failed, and its place. DataFusion's errors know only
//! the value.

use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, Field, FieldRef, Schema};
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Diagnostic, Result, ScalarValue, Spans};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::execution_props::ExecutionProps;
use datafusion::logical_expr::expr::{Cast, ScalarFunction, TryCast};
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable as _, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature, Volatility,
};
use datafusion::physical_expr::create_physical_expr;

use super::error::SqlErrorKind;
use super::moments::is_time;
use super::numbers::{decimal, narrowed};
use super::raised::RAISE_ERROR;
use super::{forms, rewrite, run_errors, upstream};

/// What a cast that tells its place is called in plans.
pub(super) const CAST: &str = "strict_cast";

/// Functions that read or make values that can be wrong.
const FUNCTIONS: [&str; 32] = [
    "abs",
    "array_resize",
    "chr",
    "date_bin",
    "decode",
    "encode",
    "factorial",
    "gcd",
    "generate_series",
    "lcm",
    "lpad",
    "make_date",
    "overlay",
    "power",
    RAISE_ERROR,
    "range",
    "regexp_count",
    "regexp_instr",
    "regexp_like",
    "regexp_match",
    "regexp_replace",
    "repeat",
    "split_part",
    "sqrt",
    "substr",
    "to_date",
    "to_time",
    "to_timestamp",
    "to_timestamp_micros",
    "to_timestamp_millis",
    "to_timestamp_seconds",
    "to_unixtime",
];

/// The expression, with its text and place if it can fail. The types of all operands have to be settled.
///
/// # Errors
/// A cast of a literal that its type does not take.
pub(super) fn placed(expression: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let (call, arguments) = match &expression {
        Expr::Cast(Cast { expr, field }) if can_fail(&expr.get_type(schema)?, field.data_type()) => {
            (Call::Cast(field.data_type().clone()), vec![expr.as_ref().clone()])
        }
        Expr::TryCast(TryCast { expr, field }) if can_fail(&expr.get_type(schema)?, field.data_type()) => {
            (Call::TryCast(field.data_type().clone()), vec![expr.as_ref().clone()])
        }
        Expr::ScalarFunction(ScalarFunction { func, args }) if is_placed(func.name(), args) => {
            (Call::Function(Arc::clone(func)), args.clone())
        }
        _ => return Ok(Transformed::no(expression)),
    };
    let volatility = match &call {
        Call::Cast(_) | Call::TryCast(_) => Volatility::Immutable,
        Call::Function(function) => function.signature().volatility,
    };
    // A constant is computed once, while the query is planned.
    let is_constant = volatility != Volatility::Volatile && expression.column_refs().is_empty();
    let is_ours = call.is_ours(&arguments, schema)?;
    let failed = match (&call, &arguments[..]) {
        _ if !is_constant => None,
        (Call::Cast(to), [Expr::Literal(value, _)]) if is_ours => {
            narrowed::cast(&ColumnarValue::Scalar(value.clone()), to).err()
        }
        _ if is_ours => None,
        _ => computed(&expression).err(),
    };
    if is_constant && !is_ours && failed.is_none() {
        return Ok(Transformed::no(expression));
    }
    let may_refuse = match (&call, arguments.as_slice()) {
        (Call::Cast(to), [value]) => refuses(&value.get_type(schema)?, to),
        (Call::TryCast(_), _) => false,
        (call, arguments) => !is_safe(call.name(), arguments),
    };
    let placed = Placed {
        call,
        may_refuse,
        text: rewrite::text(&expression)?,
        place: rewrite::place(&expression),
        signature: Signature::any(arguments.len(), volatility),
    };
    match failed {
        Some(error) if matches!((&placed.call, &arguments[..]), (Call::Cast(_), [Expr::Literal(..)])) => {
            let said = upstream::said(error.find_root());
            let hint = upstream::row_hint(&said).unwrap_or_default();
            Err(forms::refused(placed.with_text(&said), hint, placed.place.first()))
        }
        _ => Ok(Transformed::yes(ScalarUDF::from(placed).call(arguments))),
    }
}

/// The value of an expression without columns.
fn computed(expression: &Expr) -> Result<ColumnarValue> {
    let (properties, context) = (ExecutionProps::new(), PhysicalPlanningContext::default());
    let row = RecordBatch::try_new_with_options(
        Arc::new(Schema::empty()),
        Vec::new(),
        &RecordBatchOptions::new().with_row_count(Some(1)),
    )?;
    create_physical_expr(expression, &DFSchema::empty(), &properties, &context)?.evaluate(&row)
}

/// Whether a cast may refuse a value, or the optimizer must not look through it. It compares the value before a cast with the
/// literal in that type: then no value is refused, or cut off, or it is another moment.
fn can_fail(from: &DataType, to: &DataType) -> bool {
    let is_refined = match (from, to) {
        (DataType::Timestamp(from, _), DataType::Timestamp(to, _)) => from < to,
        (from, to) => from != to && is_time(from) && is_time(to),
    };
    let is_read = from.is_string() && !to.is_string() && !to.is_nested() && !matches!(to, DataType::Null);
    let is_cut = from.is_numeric() && (to.is_integer() || to.is_decimal()) && !holds(to, from);
    is_read || is_cut || is_refined || narrowed::is_ours(from, to)
}

/// Whether a cast that [`can_fail`] takes may refuse a value.
fn refuses(from: &DataType, to: &DataType) -> bool {
    match (from, to) {
        (DataType::Timestamp(from, _), DataType::Timestamp(to, _)) => from < to,
        (from, to) => !(is_time(from) && is_time(to) || from.is_decimal() && to.is_floating()),
    }
}

/// Whether a call says its place if it fails. Without it, the planner may write a call with a known pattern otherwise.
fn is_placed(name: &str, arguments: &[Expr]) -> bool {
    let is_known = name.starts_with("regexp_") && is_safe(name, arguments);
    FUNCTIONS.contains(&name) && !is_known
}

/// Whether a function has arguments with which it takes every value.
fn is_safe(name: &str, arguments: &[Expr]) -> bool {
    let literal = |place: usize| match arguments.get(place) {
        Some(Expr::Literal(ScalarValue::Int64(count), _)) => *count,
        _ => None,
    };
    match name {
        "substr" => arguments.len() < 3 || literal(2).is_some_and(|length| length >= 0),
        "split_part" => literal(2).is_some_and(|place| place != 0),
        // Only of the least integer, or beyond all memory.
        "abs" | "lpad" | "repeat" => true,
        // A pattern that is wrong is refused when the query is planned.
        name if name.starts_with("regexp_") => matches!(arguments.get(1), Some(Expr::Literal(..))),
        _ => false,
    }
}

/// Whether a call may be an error for some values.
pub(super) fn may_refuse(call: &ScalarFunction) -> bool {
    match call.func.inner().downcast_ref::<Placed>() {
        Some(placed) => placed.may_refuse,
        None => FUNCTIONS.contains(&call.name()) && !is_safe(call.name(), &call.args),
    }
}

/// Whether a type of numbers has all values of another one.
fn holds(to: &DataType, from: &DataType) -> bool {
    let digits = |of: &DataType| match of {
        DataType::Int8 | DataType::UInt8 => Some((3, 0)),
        DataType::Int16 | DataType::UInt16 => Some((5, 0)),
        DataType::Int32 | DataType::UInt32 => Some((10, 0)),
        DataType::Int64 => Some((19, 0)),
        DataType::UInt64 => Some((20, 0)),
        of => decimal(of).map(|(digits, scale)| (i32::from(digits), i32::from(scale))),
    };
    match (digits(from), digits(to)) {
        _ if from == to => true,
        (Some(_), Some(_)) if from.is_integer() && to.is_integer() => {
            let width = |of: &DataType| of.primitive_width().unwrap_or_default();
            match (from.is_signed_integer(), to.is_signed_integer()) {
                (true, false) => false,
                (false, true) => width(from) < width(to),
                _ => width(from) <= width(to),
            }
        }
        (Some((digits, scale)), Some((all, places))) if to.is_decimal() => {
            scale <= places && digits - scale <= all - places
        }
        _ => false,
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
enum Call {
    Cast(DataType),
    TryCast(DataType),
    Function(Arc<ScalarUDF>),
}

impl Call {
    fn name(&self) -> &str {
        match self {
            Self::Cast(_) | Self::TryCast(_) => CAST,
            Self::Function(function) => function.name(),
        }
    }

    /// Whether it is a cast that Arrow's is not taken for.
    fn is_ours(&self, arguments: &[Expr], schema: &DFSchema) -> Result<bool> {
        Ok(match (self, arguments) {
            (Self::Cast(to) | Self::TryCast(to), [value]) => narrowed::is_ours(&value.get_type(schema)?, to),
            _ => false,
        })
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Placed {
    call: Call,
    /// Whether it may be an error for some values.
    may_refuse: bool,
    text: String,
    place: Spans,
    signature: Signature,
}

impl ScalarUDFImpl for Placed {
    fn name(&self) -> &str {
        self.call.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn schema_name(&self, _: &[Expr]) -> Result<String> {
        Ok(self.text.clone())
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match &self.call {
            Call::Cast(to) | Call::TryCast(to) => Ok(to.clone()),
            Call::Function(function) => function.return_type(types),
        }
    }

    fn return_field_from_args(&self, arguments: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        match &self.call {
            Call::Cast(to) => {
                let is_nullable = arguments.arg_fields.iter().any(|field| field.is_nullable());
                Ok(Arc::new(Field::new(self.name(), to.clone(), is_nullable)))
            }
            Call::TryCast(to) => Ok(Arc::new(Field::new(self.name(), to.clone(), true))),
            Call::Function(function) => function.return_field_from_args(arguments),
        }
    }

    fn invoke_with_args(&self, call: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let result = match &self.call {
            Call::Cast(to) => narrowed::cast(&call.args[0], to),
            Call::TryCast(to) => narrowed::try_cast(&call.args[0], to),
            Call::Function(function) => function.invoke_with_args(call),
        };
        result.map_err(|error| self.told(error))
    }
}

impl Placed {
    fn told(&self, error: DataFusionError) -> DataFusionError {
        let root = error.find_root();
        if run_errors::kind(root) != SqlErrorKind::Row {
            return error;
        }
        let error = match run_errors::own(root) {
            Some(_) => error,
            None => DataFusionError::Execution(self.with_text(&upstream::said(root))),
        };
        error.with_diagnostic(Diagnostic::new_error(&self.text, self.place.first()))
    }

    /// The first line of what an error says, after the expression.
    fn with_text(&self, said: &str) -> String {
        format!("`{}`: {}", self.text, upstream::lower_first(&upstream::first_line(said)))
    }
}
