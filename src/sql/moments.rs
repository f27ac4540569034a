//! Timestamps count microseconds, from the year 1 to 9999, as MySQL's do. DataFusion counts nanoseconds by default, which end
//! in 2262. Here the types of SQL and the functions that make a timestamp say microseconds. Times of day count them too.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, AsArray as _, Int64Array, PrimitiveArray};
use arrow::compute::cast;
use arrow::compute::kernels::cast_utils::string_to_datetime;
use arrow::compute::kernels::numeric;
use arrow::datatypes::{
    DataType, Decimal128Type, FieldRef, Float64Type, Int64Type, TimeUnit, TimestampMicrosecondType,
};
use chrono::format::{ParseResult, Parsed, StrftimeItems, parse};
use chrono::{DateTime, NaiveTime, Utc};
use datafusion::common::datatype::DataTypeExt as _;
use datafusion::common::tree_node::Transformed;
use datafusion::common::types::{NativeType, logical_date, logical_string};
use datafusion::common::{DFSchema, Result, ScalarValue, exec_err, plan_err};
use datafusion::execution::FunctionRegistry as _;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::planner::TypePlanner;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    BinaryExpr, Cast, Coercion, ColumnarValue, Documentation, Expr, ExprSchemable as _, Operator,
    ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TryCast, TypeSignature,
    TypeSignatureClass, Volatility,
};
use datafusion::sql::sqlparser::ast::{DataType as SqlType, ExactNumberInfo, TimezoneInfo};

use super::intervals::NANOS_A_MICRO;
use super::numbers::readable::with_seconds;
use super::operators;
use super::wrapped::{Around, Extent, wrap};

/// What [`super::literals`] calls the type of `x AT TIME ZONE 'zone'`: a timestamp of that zone.
pub(super) const IN_ZONE: &str = "timestamp in zone";

const MICROSECONDS: DataType = DataType::Timestamp(TimeUnit::Microsecond, None);
/// What a time of day in SQL is.
pub(super) const TIME_OF_DAY: DataType = DataType::Time64(TimeUnit::Microsecond);
const DECIMAL_PLACES: i8 = 6;

/// Makes the timestamps of a session count microseconds.
pub(super) fn install(state: &mut SessionState) -> Result<()> {
    for (name, unit) in READ {
        let read = ToTimestamp { of_datafusion: state.udf(name)?, unit };
        state.register_udf(Arc::new(read.into()))?;
    }
    for name in GIVE_NULL {
        wrap(state, name, Refusing)?;
    }
    wrap(state, "date_trunc", DateTrunc)?;
    state.register_udf(Arc::new(Now::default().into()))?;
    Ok(())
}

/// Functions that read a text as a timestamp.
const READ: [(&str, TimeUnit); 4] = [
    ("to_timestamp", TimeUnit::Microsecond),
    ("to_timestamp_seconds", TimeUnit::Second),
    ("to_timestamp_millis", TimeUnit::Millisecond),
    ("to_timestamp_micros", TimeUnit::Microsecond),
];

/// Functions that give NULL for moments out of their reach.
const GIVE_NULL: [&str; 2] = ["generate_series", "range"];

/// The types of SQL that are not DataFusion's.
#[derive(Debug)]
pub(super) struct SqlTypes;

impl TypePlanner for SqlTypes {
    fn plan_type_field(&self, of: &SqlType) -> Result<Option<FieldRef>> {
        let of = match of {
            // A moment, as those of Avro are: what a zone makes of it is asked with AT TIME ZONE.
            SqlType::Timestamp(None, TimezoneInfo::WithTimeZone | TimezoneInfo::Tz) => {
                DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
            }
            SqlType::Timestamp(None, _) | SqlType::Datetime(None) => MICROSECONDS,
            SqlType::Decimal(ExactNumberInfo::PrecisionAndScale(_, places @ ..=-1)) => {
                return plan_err!("a DECIMAL with {places} digits after the point");
            }
            SqlType::Time(None, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) => TIME_OF_DAY,
            SqlType::Custom(name, zone) if name.to_string() == format!("\"{IN_ZONE}\"") => {
                DataType::Timestamp(TimeUnit::Microsecond, zone.first().map(|zone| zone.as_str().into()))
            }
            _ => return Ok(None),
        };
        Ok(Some(of.into_nullable_field_ref()))
    }
}

/// A number that becomes a timestamp is a number of seconds.
pub(super) fn of_number(expression: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let (Expr::Cast(Cast { expr, field }) | Expr::TryCast(TryCast { expr, field })) = &expression else {
        return Ok(Transformed::no(expression));
    };
    let DataType::Timestamp(unit, zone) = field.data_type() else { return Ok(Transformed::no(expression)) };
    if *unit == TimeUnit::Second || !expr.get_type(schema)?.is_integer() {
        return Ok(Transformed::no(expression));
    }
    let seconds = Cast::new(expr.clone(), DataType::Timestamp(TimeUnit::Second, zone.clone()));
    let moment = Cast::new(Box::new(Expr::Cast(seconds)), field.data_type().clone());
    Ok(Transformed::yes(Expr::Cast(moment)))
}

/// Makes a day or a moment that an interval is added to, or taken from, a moment in microseconds, unless the interval is known
/// to be of whole days, or of whole steps of the moment. Why: DataFusion drops what is shorter. Whether it had to.
pub(super) fn beside_interval(
    left: &mut Expr,
    op: Operator,
    right: &mut Expr,
    schema: &DFSchema,
) -> Result<bool> {
    let types = (left.get_type(schema)?, right.get_type(schema)?);
    let (moment, of, interval) = match types {
        (of, DataType::Interval(_)) if matches!(op, Operator::Plus | Operator::Minus) => (left, of, right),
        (DataType::Interval(_), of) if op == Operator::Plus => (right, of, left),
        _ => return Ok(false),
    };
    let Some(coarse) = Coarse::of(&of) else { return Ok(false) };
    if is_of_whole(interval, &|nanos| coarse.has_whole(nanos)) {
        return Ok(false);
    }
    *moment = Expr::Cast(Cast::new(Box::new(std::mem::take(moment)), coarse.micros));
    Ok(true)
}

/// Days, and moments that are counted in steps longer than a microsecond.
#[derive(Debug)]
pub(super) struct Coarse {
    /// A day's is as long as no interval.
    nanos_of_step: i64,
    /// The type of the same moments in microseconds.
    pub(super) micros: DataType,
}

impl Coarse {
    /// `None` for all other types.
    pub(super) fn of(of: &DataType) -> Option<Self> {
        let (nanos_of_step, zone) = match of {
            of if is_day(of) => (i64::MAX, None),
            DataType::Timestamp(TimeUnit::Second, zone) => (1_000_000 * NANOS_A_MICRO, zone.clone()),
            DataType::Timestamp(TimeUnit::Millisecond, zone) => (1_000 * NANOS_A_MICRO, zone.clone()),
            _ => return None,
        };
        Some(Self { nanos_of_step, micros: DataType::Timestamp(TimeUnit::Microsecond, zone) })
    }

    /// Whether these nanoseconds of an interval are whole steps.
    pub(super) fn has_whole(&self, nanos: i64) -> bool {
        nanos % self.nanos_of_step == 0
    }
}

/// Whether `is_whole` holds for the nanoseconds of each interval in an expression, as far as they are known.
fn is_of_whole(interval: &Expr, is_whole: &dyn Fn(i64) -> bool) -> bool {
    match interval {
        Expr::Literal(value, _) => match value {
            ScalarValue::IntervalMonthDayNano(Some(interval)) => is_whole(interval.nanoseconds),
            ScalarValue::IntervalDayTime(Some(interval)) => {
                is_whole(i64::from(interval.milliseconds) * 1_000_000)
            }
            ScalarValue::IntervalYearMonth(_) => true,
            value => value.is_null(),
        },
        Expr::Negative(inner) => is_of_whole(inner, is_whole),
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Plus | Operator::Minus, right }) => {
            is_of_whole(left, is_whole) && is_of_whole(right, is_whole)
        }
        Expr::ScalarFunction(call) if call.name() == operators::TIMES => match call.args.first() {
            Some(interval) => is_of_whole(interval, is_whole),
            None => false,
        },
        _ => false,
    }
}

/// A value as a moment: a day as its first one.
pub(super) fn of_any(value: Expr) -> Expr {
    Expr::Cast(Cast::new(Box::new(value), MICROSECONDS))
}

/// What to write in the place of a number beside a moment.
pub(super) const BESIDE_NUMBER_HINT: &str =
    "write a day as `DATE '2024-03-01'`, a moment as `TIMESTAMP '2024-03-01 08:30:00'`";

pub(super) fn is_moment(of: &DataType) -> bool {
    is_day(of) || matches!(of, DataType::Timestamp(..))
}

pub(super) fn is_day(of: &DataType) -> bool {
    matches!(of, DataType::Date32 | DataType::Date64)
}

pub(super) fn is_time(of: &DataType) -> bool {
    matches!(of, DataType::Time32(_) | DataType::Time64(_))
}

/// A time of day in the unit that all come to.
pub(super) fn as_time(value: Expr) -> Expr {
    Expr::Cast(Cast::new(Box::new(value), TIME_OF_DAY))
}

pub(super) fn is_time_or_text(of: &DataType) -> bool {
    of.is_string() || is_time(of)
}

pub(super) fn is_moment_or_text(of: &DataType) -> bool {
    of.is_string() || is_moment(of)
}

/// Whether values of a type become moments beside one.
pub(super) fn is_text_or_day(of: &DataType) -> bool {
    of.is_string() || is_day(of)
}

/// A function that reads a text as a timestamp. DataFusion's goes by nanoseconds for each unit.
#[derive(Debug, PartialEq, Eq, Hash)]
struct ToTimestamp {
    of_datafusion: Arc<ScalarUDF>,
    unit: TimeUnit,
}

impl ToTimestamp {
    /// `to_timestamp` takes numbers as seconds, with a fraction; the others take whole numbers of their unit.
    fn of_number(&self, call: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let value = &call.args[0];
        match value.data_type() {
            _ if self.name() != "to_timestamp" => self.of_datafusion.inner().invoke_with_args(call),
            of if of.is_integer() => value
                .cast_to(&DataType::Timestamp(TimeUnit::Second, None), None)?
                .cast_to(&MICROSECONDS, None),
            of if of.is_floating() => of_values(&value.cast_to(&DataType::Float64, None)?, &from_doubles),
            of if of.is_decimal() => {
                let micros = DataType::Decimal128(38, DECIMAL_PLACES);
                of_values(&value.cast_to(&micros, None)?, &from_decimals)
            }
            _ => value.cast_to(&MICROSECONDS, None),
        }
    }
}

impl ScalarUDFImpl for ToTimestamp {
    fn name(&self) -> &str {
        self.of_datafusion.name()
    }

    fn signature(&self) -> &Signature {
        self.of_datafusion.signature()
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Timestamp(self.unit, None))
    }

    fn invoke_with_args(&self, call: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let Some(value) = call.args.first() else {
            return exec_err!("{} needs an argument", self.name());
        };
        match (value.data_type(), formats(&call.args[1..])) {
            (DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View, Some(formats)) => {
                let of = DataType::Timestamp(self.unit, None);
                of_values(&value.cast_to(&DataType::Utf8, None)?, &|texts| {
                    Ok(cast(&from_texts(texts, &formats)?, &of)?)
                })
            }
            (of, _) if of.is_numeric() || of.is_null() || of.is_temporal() => self.of_number(call),
            _ => self.of_datafusion.inner().invoke_with_args(call),
        }
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.of_datafusion.documentation()
    }
}

/// The formats of a call. `None` if they are no constants, or name a time zone, which is left to DataFusion.
fn formats(arguments: &[ColumnarValue]) -> Option<Vec<String>> {
    let format = |argument: &ColumnarValue| match argument {
        ColumnarValue::Scalar(
            ScalarValue::Utf8(Some(format))
            | ScalarValue::LargeUtf8(Some(format))
            | ScalarValue::Utf8View(Some(format)),
        ) if !format.contains("%Z") => Some(format.clone()),
        _ => None,
    };
    arguments.iter().map(format).collect()
}

fn from_texts(texts: &ArrayRef, formats: &[String]) -> Result<ArrayRef> {
    let read = |text: Option<&str>| text.map(|text| from_text(text, formats)).transpose();
    let moments = texts.as_string::<i32>().iter().map(read);
    Ok(Arc::new(moments.collect::<Result<PrimitiveArray<TimestampMicrosecondType>>>()?))
}

fn from_text(text: &str, formats: &[String]) -> Result<i64> {
    if formats.is_empty() {
        let text = with_seconds(text).map_or(Cow::Borrowed(text), Cow::Owned);
        return Ok(string_to_datetime(&Utc, &text)?.timestamp_micros());
    }
    let mut reason = None;
    for format in formats {
        match formatted(text, format) {
            Ok(moment) => return Ok(moment.timestamp_micros()),
            Err(error) => reason = Some((format, error)),
        }
    }
    let (format, error) =
        reason.map_or_else(Default::default, |(format, error)| (format.as_str(), error.to_string()));
    exec_err!("Error parsing timestamp from '{text}' using format '{format}': {error}")
}

/// With an offset if the format has one, at midnight if it has no time of day.
fn formatted(text: &str, format: &str) -> ParseResult<DateTime<Utc>> {
    let mut parsed = Parsed::new();
    parse(&mut parsed, text, StrftimeItems::new(format))?;
    if let Ok(moment) = parsed.to_datetime() {
        return Ok(moment.with_timezone(&Utc));
    }
    let day = || parsed.to_naive_date().map(|day| day.and_time(NaiveTime::MIN));
    Ok(parsed.to_naive_datetime_with_offset(0).or_else(|_| day())?.and_utc())
}

/// What a conversion of arrays makes of a value.
pub(super) fn of_values(
    values: &ColumnarValue,
    convert: &dyn Fn(&ArrayRef) -> Result<ArrayRef>,
) -> Result<ColumnarValue> {
    Ok(match values {
        ColumnarValue::Array(values) => ColumnarValue::Array(convert(values)?),
        ColumnarValue::Scalar(value) => {
            ColumnarValue::Scalar(ScalarValue::try_from_array(&convert(&value.to_array()?)?, 0)?)
        }
    })
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "what does not fit is refused before"
)]
fn from_doubles(values: &ArrayRef) -> Result<ArrayRef> {
    let converted = values.as_primitive::<Float64Type>().try_unary(|seconds| {
        let micros = (seconds * 1_000_000.0).round();
        // Above this, a double is no whole number of microseconds.
        if micros.abs() < i64::MAX as f64 {
            Ok(micros as i64)
        } else {
            exec_err!("{seconds} seconds are no timestamp: it is out of range")
        }
    })?;
    let converted: PrimitiveArray<TimestampMicrosecondType> = converted;
    Ok(Arc::new(converted))
}

fn from_decimals(values: &ArrayRef) -> Result<ArrayRef> {
    let converted = values.as_primitive::<Decimal128Type>().try_unary(|micros| {
        i64::try_from(micros)
            .or_else(|_| exec_err!("{micros} microseconds are no timestamp: it is out of range"))
    })?;
    let converted: PrimitiveArray<TimestampMicrosecondType> = converted;
    Ok(Arc::new(converted))
}

/// The start of the batch, or of the query.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Now {
    signature: Signature,
    aliases: Vec<String>,
}

impl Default for Now {
    fn default() -> Self {
        Self {
            signature: Signature::nullary(Volatility::Stable),
            aliases: vec!["current_timestamp".to_owned()],
        }
    }
}

impl ScalarUDFImpl for Now {
    fn name(&self) -> &'static str {
        "now"
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(MICROSECONDS)
    }

    fn return_field_from_args(&self, _: ReturnFieldArgs) -> Result<FieldRef> {
        Ok(MICROSECONDS.into_nullable_field_ref().as_ref().clone().with_nullable(false).into())
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue> {
        exec_err!("now() has no value before a query starts")
    }

    fn simplify(&self, arguments: Vec<Expr>, context: &SimplifyContext) -> Result<ExprSimplifyResult> {
        let Some(now) = context.query_execution_start_time() else {
            return Ok(ExprSimplifyResult::Original(arguments));
        };
        let now = ScalarValue::TimestampMicrosecond(Some(now.timestamp_micros()), None);
        Ok(ExprSimplifyResult::Simplified(Expr::Literal(now, None)))
    }
}

/// `date_trunc`, which DataFusion computes in nanoseconds. The calendar repeats after 400 years, days of the week too, so
/// moments beyond are truncated as those that are some such cycles away.
#[derive(Debug)]
struct DateTrunc;

const SECONDS_A_CYCLE: i64 = 146_097 * 86_400;

impl Around for DateTrunc {
    const MAY_SIMPLIFY: bool = true;

    /// DataFusion's, but that a text or a day becomes a moment in microseconds.
    fn signature(&self, of: &Signature) -> Signature {
        let of_text = || TypeSignatureClass::Native(logical_string());
        let unit = || Coercion::new_exact(of_text());
        let from = vec![of_text(), TypeSignatureClass::Native(logical_date())];
        let micros = NativeType::Timestamp(TimeUnit::Microsecond, None);
        let moment = Coercion::new_implicit(TypeSignatureClass::Timestamp, from, micros);
        let of_moments = TypeSignature::Coercible(vec![unit(), moment]);
        let of_times = TypeSignature::Coercible(vec![unit(), Coercion::new_exact(TypeSignatureClass::Time)]);
        Signature::one_of(vec![of_moments, of_times], of.volatility)
    }

    fn call(&self, function: &dyn ScalarUDFImpl, mut call: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let (Some(moments), Some(cycle)) = (call.args.get(1), call.args.get(1).and_then(cycle)) else {
            return function.invoke_with_args(call);
        };
        let (of, extent) = (moments.data_type(), Extent::of([moments], call.number_rows));
        let counts = cast(&moments.to_array(extent.rows)?, &DataType::Int64)?;
        let counts = counts.as_primitive::<Int64Type>();
        // A moment of this cycle or the one before is within the reach of nanoseconds.
        let away = |count: i64| if count.abs() < cycle / 2 { 0 } else { count.div_euclid(cycle) * cycle };
        let away: Int64Array = counts.unary(away);
        if away.values().iter().all(|away| *away == 0) {
            return function.invoke_with_args(call);
        }
        call.args[1] = ColumnarValue::Array(cast(&numeric::sub(counts, &away)?, &of)?);
        call.number_rows = extent.rows;
        let truncated = cast(&function.invoke_with_args(call)?.to_array(extent.rows)?, &DataType::Int64)?;
        extent.answer(cast(&numeric::add(&truncated, &away)?, &of)?)
    }
}

/// 400 years in what a timestamp counts; `None` where it counts nanoseconds, which do not reach that far.
fn cycle(moments: &ColumnarValue) -> Option<i64> {
    let a_second = match moments.data_type() {
        DataType::Timestamp(TimeUnit::Second, _) => 1,
        DataType::Timestamp(TimeUnit::Millisecond, _) => 1_000,
        DataType::Timestamp(TimeUnit::Microsecond, _) => 1_000_000,
        _ => return None,
    };
    Some(SECONDS_A_CYCLE * a_second)
}

/// An error in place of the NULL that a function gives for what it cannot reach.
#[derive(Debug)]
struct Refusing;

impl Around for Refusing {
    fn call(&self, function: &dyn ScalarUDFImpl, call: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let (arguments, rows) = (call.args.clone(), call.number_rows);
        let result = function.invoke_with_args(call)?;
        let is_null = |value: &ColumnarValue, row: usize| match value {
            ColumnarValue::Scalar(value) => value.is_null(),
            ColumnarValue::Array(values) => values.is_null(row),
        };
        let has_nulls = match &result {
            ColumnarValue::Scalar(value) => value.is_null(),
            ColumnarValue::Array(values) => values.null_count() > 0,
        };
        let is_lost =
            |row: usize| is_null(&result, row) && !arguments.iter().any(|argument| is_null(argument, row));
        if has_nulls && (0..rows.max(1)).any(is_lost) {
            return exec_err!(
                "{} of a moment that nanoseconds do not reach: they go from 1677 to 2262",
                function.name()
            );
        }
        Ok(result)
    }
}
