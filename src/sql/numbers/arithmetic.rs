//! Operators on integers, decimals and doubles: what does not fit the result's type is an error that names the expression,
//! the operands and the place.

use arrow::array::{Array, ArrayRef, AsArray as _, Datum, PrimitiveArray, Scalar, downcast_integer};
use arrow::compute::kernels::arity::try_binary;
use arrow::compute::kernels::numeric;
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{
    DECIMAL256_MAX_PRECISION, DataType, Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type,
    DecimalType, Int8Type, Int16Type, Int32Type, Int64Type, i256,
};
use arrow::error::ArrowError;
use datafusion::common::{DFSchema, Diagnostic, Result, ScalarValue, Spans};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::expr::{BinaryExpr, ScalarFunction};
use datafusion::logical_expr::{
    Cast, ColumnarValue, Expr, ExprSchemable as _, Operator, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature, Volatility,
};

use super::super::rewrite;
use super::super::wrapped::Extent;
use super::exact::{Exact, Native as _, quotient};
use super::{decimal, scale, signs, sql_name};

/// The operator to put in the place of `expression`; `None` where DataFusion's is right.
pub(super) fn checked(expression: &Expr, schema: &DFSchema) -> Result<Option<Expr>> {
    let (kind, operands) = match expression {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            let Some(kind) = Kind::of(*op) else { return Ok(None) };
            (kind, vec![left.as_ref(), right.as_ref()])
        }
        Expr::Negative(operand) => (Kind::Negate, vec![operand.as_ref()]),
        _ => return Ok(None),
    };
    let types = operands.iter().map(|operand| operand.get_type(schema)).collect::<Result<Vec<_>>>()?;
    let result = expression.get_type(schema)?;
    let fits = magnitude(expression, schema)? < width(&result) || kind.has_divisor(&operands);
    if fits || !kind.can_fail(&types, &result) {
        return Ok(None);
    }
    let operator = Arithmetic {
        kind,
        result,
        text: rewrite::text(expression)?,
        place: rewrite::place(expression),
        signature: Signature::any(operands.len(), Volatility::Immutable),
    };
    let arguments = operands.into_iter().cloned().collect();
    Ok(Some(Expr::ScalarFunction(ScalarFunction::new_udf(ScalarUDF::from(operator).into(), arguments))))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
    ShiftLeft,
    ShiftRight,
    Negate,
}

impl Kind {
    fn of(operator: Operator) -> Option<Self> {
        Some(match operator {
            Operator::Plus => Self::Add,
            Operator::Minus => Self::Subtract,
            Operator::Multiply => Self::Multiply,
            Operator::Divide => Self::Divide,
            Operator::Modulo => Self::Modulo,
            Operator::BitwiseShiftLeft => Self::ShiftLeft,
            Operator::BitwiseShiftRight => Self::ShiftRight,
            _ => return None,
        })
    }

    fn name(self) -> &'static str {
        match self {
            Self::Add => "checked_add",
            Self::Subtract => "checked_subtract",
            Self::Multiply => "checked_multiply",
            Self::Divide => "checked_divide",
            Self::Modulo => "checked_modulo",
            Self::ShiftLeft => "checked_shift_left",
            Self::ShiftRight => "checked_shift_right",
            Self::Negate => "checked_negate",
        }
    }

    fn sign(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract | Self::Negate => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Modulo => "%",
            Self::ShiftLeft => "<<",
            Self::ShiftRight => ">>",
        }
    }

    /// Whether it is a division of integers by a number that is none of 0 and -1.
    fn has_divisor(self, operands: &[&Expr]) -> bool {
        matches!(self, Self::Divide | Self::Modulo)
            && operands.last().is_some_and(|divisor| match divisor {
                Expr::Literal(value, _) if value.data_type().is_integer() => !matches!(
                    value.cast_to(&DataType::Int64),
                    Ok(ScalarValue::Int64(None | Some(0 | -1))) | Err(_)
                ),
                _ => false,
            })
    }

    /// Whether DataFusion's operator can give another answer than the right one, fails where there is one, or fails without
    /// saying where. Its operators on times, intervals and dates refuse what does not fit.
    fn can_fail(self, operands: &[DataType], result: &DataType) -> bool {
        let is = |test: fn(&DataType) -> bool| operands.iter().all(test) && test(result);
        if is(DataType::is_integer) {
            return true;
        }
        if is(DataType::is_decimal) {
            return match self {
                Self::Add | Self::Subtract | Self::Multiply => has_all_digits(result),
                Self::Divide | Self::Modulo => true,
                // As many digits on both sides of zero.
                Self::Negate | Self::ShiftLeft | Self::ShiftRight => false,
            };
        }
        // A product may be a negative zero, and infinity - infinity is a NaN with a sign.
        is(DataType::is_floating)
    }
}

/// The quotient of two whole numbers, with this many digits more; `None` if it is too large.
fn scaled_quotient(dividend: i256, divisor: i256, digits: i8) -> Option<i256> {
    let power = i256::from_i128(10).checked_pow(u32::from(digits.unsigned_abs()))?;
    match digits < 0 {
        true => quotient(dividend, divisor.checked_mul(power)?),
        false => quotient(dividend.checked_mul(power)?, divisor),
    }
}

/// Whether the digits of a result were cut to what the type has at most; where they were not, every result fits.
fn has_all_digits(of: &DataType) -> bool {
    match of {
        DataType::Decimal32(digits, _) => *digits == Decimal32Type::MAX_PRECISION,
        DataType::Decimal64(digits, _) => *digits == Decimal64Type::MAX_PRECISION,
        DataType::Decimal128(digits, _) => *digits == Decimal128Type::MAX_PRECISION,
        _ => true,
    }
}

/// How many bits the type's values have, the sign left out; 0 for types other than integers.
fn width(of: &DataType) -> u32 {
    match of {
        DataType::Int8 => 7,
        DataType::UInt8 => 8,
        DataType::Int16 => 15,
        DataType::UInt16 => 16,
        DataType::Int32 => 31,
        DataType::UInt32 => 32,
        DataType::Int64 => 63,
        DataType::UInt64 => 64,
        _ => 0,
    }
}

/// The bits that the largest value of an integer expression may take, either side of zero: |value| <= 2^bits. Where they are
/// fewer than those of its type, no value of it can leave the type.
fn magnitude(expression: &Expr, schema: &DFSchema) -> Result<u32> {
    let own = || -> Result<u32> { Ok(width(&expression.get_type(schema)?)) };
    Ok(match expression {
        Expr::Cast(Cast { expr, .. }) => match width(&expr.get_type(schema)?) {
            0 => own()?,
            _ => magnitude(expr, schema)?.min(own()?),
        },
        Expr::Literal(value, _) => match value.cast_to(&DataType::Int64) {
            Ok(ScalarValue::Int64(Some(value))) if value != i64::MIN => {
                64 - value.unsigned_abs().leading_zeros()
            }
            _ => own()?,
        },
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if own()? > 0 && is_signed(expression, schema)? => {
            let (left, right) = (magnitude(left, schema)?, magnitude(right, schema)?);
            match op {
                Operator::Plus | Operator::Minus => left.max(right) + 1,
                Operator::Multiply => left + right,
                _ => own()?,
            }
        }
        Expr::Negative(operand) if own()? > 0 => magnitude(operand, schema)?,
        _ => own()?,
    })
}

/// Why only signed ones: a difference of unsigned integers leaves its type below zero.
fn is_signed(expression: &Expr, schema: &DFSchema) -> Result<bool> {
    Ok(expression.get_type(schema)?.is_signed_integer())
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Arithmetic {
    kind: Kind,
    result: DataType,
    /// As a person would write it.
    text: String,
    place: Spans,
    signature: Signature,
}

impl ScalarUDFImpl for Arithmetic {
    fn name(&self) -> &str {
        self.kind.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn schema_name(&self, _: &[Expr]) -> Result<String> {
        Ok(self.text.clone())
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.result.clone())
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, call: ScalarFunctionArgs) -> Result<ColumnarValue> {
        self.evaluate(&call.args, call.number_rows).map_err(|error| match error {
            DataFusionError::ArrowError(error, _) if matches!(*error, ArrowError::DivideByZero) => {
                self.placed(format!("`{}`: divide by zero", self.text))
            }
            DataFusionError::ArrowError(..) => self.refused(&call.args, call.number_rows),
            error => error,
        })
    }
}

impl Arithmetic {
    fn evaluate(&self, operands: &[ColumnarValue], rows: usize) -> Result<ColumnarValue> {
        let extent = Extent::of(operands, rows);
        let result = match operands {
            [operand] => self.negate(operand.to_array(extent.rows)?.as_ref())?,
            [left, right] if matches!(self.kind, Kind::ShiftLeft | Kind::ShiftRight) => {
                self.shift(left.to_array(extent.rows)?.as_ref(), right.to_array(extent.rows)?.as_ref())?
            }
            [ColumnarValue::Array(left), ColumnarValue::Array(right)] => self.of_two(left, right)?,
            [ColumnarValue::Array(left), ColumnarValue::Scalar(right)] => {
                self.of_two(left, &right.to_scalar()?)?
            }
            [ColumnarValue::Scalar(left), ColumnarValue::Array(right)] => {
                self.of_two(&left.to_scalar()?, right)?
            }
            [ColumnarValue::Scalar(left), ColumnarValue::Scalar(right)] => {
                self.of_two(&left.to_scalar()?, &right.to_scalar()?)?
            }
            _ => return Err(DataFusionError::Internal(format!("operands of {}", self.text))),
        };
        extent.answer(result)
    }

    fn of_two(&self, left: &dyn Datum, right: &dyn Datum) -> Result<ArrayRef, ArrowError> {
        match self.result {
            DataType::Decimal32(..) => self.decimals::<Decimal32Type>(left, right),
            DataType::Decimal64(..) => self.decimals::<Decimal64Type>(left, right),
            DataType::Decimal128(..) => self.decimals::<Decimal128Type>(left, right),
            DataType::Decimal256(..) => self.decimals::<Decimal256Type>(left, right),
            _ => match self.vectorized(left, right)? {
                Some(result) => Ok(result),
                None => Ok(signs::clear(&self.calculate(left, right)?)),
            },
        }
    }

    /// Sums and differences of signed integers, if none overflows; the value under a NULL counts too. Why: a
    /// loop that may end at each row takes one at a time.
    fn vectorized(&self, left: &dyn Datum, right: &dyn Datum) -> Result<Option<ArrayRef>, ArrowError> {
        let wrapping = match self.kind {
            _ if !self.result.is_signed_integer() => return Ok(None),
            Kind::Add => numeric::add_wrapping(left, right)?,
            Kind::Subtract => numeric::sub_wrapping(left, right)?,
            _ => return Ok(None),
        };
        macro_rules! overflows {
            ($type:ty) => {{
                let values = |of: &dyn Datum| of.get().0.as_primitive::<$type>().values().clone();
                let (left, right, result) =
                    (values(left), values(right), wrapping.as_primitive::<$type>().values());
                // The sign of what this gives is set where a sum, or a difference, has wrapped.
                let spill = |left, right, result| match self.kind {
                    Kind::Add => (left ^ result) & (right ^ result),
                    _ => (left ^ right) & (left ^ result),
                };
                let rows = result.iter();
                let spilled = match (left.as_ref(), right.as_ref()) {
                    ([left], right) => {
                        rows.zip(right).fold(0, |all, (result, right)| all | spill(*left, *right, *result))
                    }
                    (left, [right]) => {
                        rows.zip(left).fold(0, |all, (result, left)| all | spill(*left, *right, *result))
                    }
                    (left, right) => rows
                        .zip(left.iter().zip(right))
                        .fold(0, |all, (result, (left, right))| all | spill(*left, *right, *result)),
                };
                spilled < 0
            }};
        }
        let overflows = match self.result {
            DataType::Int8 => overflows!(Int8Type),
            DataType::Int16 => overflows!(Int16Type),
            DataType::Int32 => overflows!(Int32Type),
            DataType::Int64 => overflows!(Int64Type),
            _ => true,
        };
        Ok((!overflows).then_some(wrapping))
    }

    fn calculate(&self, left: &dyn Datum, right: &dyn Datum) -> Result<ArrayRef, ArrowError> {
        match self.kind {
            Kind::Add => numeric::add(left, right),
            Kind::Subtract => numeric::sub(left, right),
            Kind::Multiply => numeric::mul(left, right),
            Kind::Divide => numeric::div(left, right),
            Kind::Modulo => numeric::rem(left, right),
            Kind::ShiftLeft | Kind::ShiftRight | Kind::Negate => {
                Err(ArrowError::NotYetImplemented(self.text.clone()))
            }
        }
    }

    fn decimals<T: DecimalType + Exact>(
        &self,
        left: &dyn Datum,
        right: &dyn Datum,
    ) -> Result<ArrayRef, ArrowError> {
        if self.kind == Kind::Divide {
            return self.quotients::<T>(left, right);
        }
        match self.calculate(left, right) {
            Ok(result) if !has_all_digits(&self.result) || fits::<T>(result.as_primitive(), &self.result) => {
                Ok(result)
            }
            // What is calculated on the way may be larger than what comes out.
            Err(ArrowError::ArithmeticOverflow(_)) if self.result.primitive_width() < Some(32) => {
                let (left, right) = (widened(left)?, widened(right)?);
                let result = self.calculate(left.as_datum(), right.as_datum())?;
                let strictly = CastOptions { safe: false, ..CastOptions::default() };
                match (scale(result.data_type()), scale(&self.result)) {
                    (wide, own) if wide == own => cast_with_options(&result, &self.result, &strictly),
                    _ => Err(beyond()),
                }
            }
            Err(error) => Err(error),
            Ok(_) => Err(beyond()),
        }
    }

    /// Quotients of decimals, rounded. Arrow's are cut off.
    fn quotients<T: DecimalType + Exact>(
        &self,
        left: &dyn Datum,
        right: &dyn Datum,
    ) -> Result<ArrayRef, ArrowError> {
        let ((left, left_is_one), (right, right_is_one)) = (left.get(), right.get());
        let places = scale(&self.result) - scale(left.data_type()) + scale(right.data_type());
        let (left, right) = (left.as_primitive::<T>(), right.as_primitive::<T>());
        let at = |values: &PrimitiveArray<T>, is_one: bool, row: usize| {
            let row = if is_one { 0 } else { row };
            values.is_valid(row).then(|| values.value(row).widen())
        };
        let quotient = |row: usize| match (at(left, left_is_one, row), at(right, right_is_one, row)) {
            (Some(_), Some(i256::ZERO)) => Err(ArrowError::DivideByZero),
            (Some(dividend), Some(divisor)) => {
                let quotient = scaled_quotient(dividend, divisor, places);
                quotient.and_then(T::Native::narrow).map(Some).ok_or_else(beyond)
            }
            _ => Ok(None),
        };
        let rows = if left_is_one { right.len() } else { left.len() };
        let quotients = (0..rows).map(quotient).collect::<Result<PrimitiveArray<T>, _>>()?;
        match fits::<T>(&quotients, &self.result) {
            true => Ok(std::sync::Arc::new(quotients.with_data_type(self.result.clone()))),
            false => Err(beyond()),
        }
    }

    fn negate(&self, operand: &dyn Array) -> Result<ArrayRef, ArrowError> {
        Ok(signs::clear(&numeric::neg(operand)?))
    }

    /// A shift is a product or a quotient by a power of two; bits that fall out are values lost.
    fn shift(&self, left: &dyn Array, right: &dyn Array) -> Result<ArrayRef, ArrowError> {
        let kind = self.kind;
        macro_rules! shifted {
            ($type:ty, $left:ident, $right:ident, $kind:expr) => {{
                let (left, right) = ($left.as_primitive::<$type>(), $right.as_primitive::<$type>());
                let result: PrimitiveArray<$type> = try_binary(left, right, |value, distance| {
                    let shifted = shifted($kind, i128::from(value), i128::from(distance));
                    shifted.and_then(|value| value.try_into().ok()).ok_or_else(beyond)
                })?;
                Ok(std::sync::Arc::new(result))
            }};
        }
        downcast_integer! {
            left.data_type() => (shifted, left, right, kind),
            other => Err(ArrowError::InvalidArgumentError(format!("a shift of {other}"))),
        }
    }

    /// Why the rows are looked through again: it happens at most once a batch, and the kernels do not say which row it was.
    fn refused(&self, operands: &[ColumnarValue], rows: usize) -> DataFusionError {
        let at = |operand: &ColumnarValue, row: usize| match operand {
            ColumnarValue::Scalar(value) => Ok(value.clone()),
            ColumnarValue::Array(values) => ScalarValue::try_from_array(values, row),
        };
        let failing = (0..rows.max(1)).find_map(|row| {
            let values = operands.iter().map(|operand| at(operand, row)).collect::<Result<Vec<_>>>().ok()?;
            let operands: Vec<_> = values.iter().cloned().map(ColumnarValue::Scalar).collect();
            self.evaluate(&operands, 1).is_err().then_some(values)
        });
        let sign = self.kind.sign();
        let told = match failing.as_deref() {
            Some([value]) => format!("-({value})"),
            Some([left, right]) => format!("{left} {sign} {right}"),
            _ => "the result".into(),
        };
        self.placed(format!(
            "`{}` is out of range: {told} does not fit {}",
            self.text,
            sql_name(&self.result)
        ))
    }

    fn placed(&self, message: String) -> DataFusionError {
        let place = self.place.first();
        let error = DataFusionError::Execution(message.clone());
        if place.is_none() { error } else { error.with_diagnostic(Diagnostic::new_error(message, place)) }
    }
}

fn shifted(kind: Kind, value: i128, distance: i128) -> Option<i128> {
    let distance = u32::try_from(distance.min(127)).ok()?;
    match kind {
        Kind::ShiftRight => Some(value >> distance),
        // Values have at most 64 bits.
        _ if distance <= 62 => Some(value << distance),
        _ if value == 0 => Some(0),
        _ => None,
    }
}

/// Whether the values have no more digits than their type.
fn fits<T: DecimalType>(values: &PrimitiveArray<T>, of: &DataType) -> bool {
    let digits = decimal(of).map_or(0, |(digits, _)| digits);
    let is_valid = |value: T::Native| T::is_valid_decimal_precision(value, digits);
    // Why all first: a loop without a condition for each row. The value under a NULL may be anything.
    values.values().iter().all(|value| is_valid(*value)) || values.iter().flatten().all(is_valid)
}

fn beyond() -> ArrowError {
    ArrowError::ArithmeticOverflow("the result does not fit its type".into())
}

/// An operand with room for 76 digits.
enum Widened {
    Array(ArrayRef),
    Scalar(Scalar<ArrayRef>),
}

impl Widened {
    fn as_datum(&self) -> &dyn Datum {
        match self {
            Self::Array(array) => array,
            Self::Scalar(scalar) => scalar,
        }
    }
}

fn widened(operand: &dyn Datum) -> Result<Widened, ArrowError> {
    let (values, is_scalar) = operand.get();
    let wide = DataType::Decimal256(DECIMAL256_MAX_PRECISION, scale(values.data_type()));
    let values = cast_with_options(values, &wide, &CastOptions { safe: false, ..CastOptions::default() })?;
    Ok(if is_scalar { Widened::Scalar(Scalar::new(values)) } else { Widened::Array(values) })
}
