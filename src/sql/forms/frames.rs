//! Frames of RANGE with an offset: what the offset is counted in, and whether the key is fine enough for it.
//!
//! DataFusion makes the offset a value of the key's type: microseconds beside a key of milliseconds are rounded, as is `0.25`
//! beside a key with one digit after the point, and a number beside a day is taken for months. Here the key becomes a value
//! that is fine enough. An offset that cannot be counted from the key is refused. A frame without an offset ends with the
//! row's peers, of whatever type the key is, while DataFusion plans such frames over some types only.

use arrow::datatypes::{
    DECIMAL128_MAX_PRECISION, DECIMAL256_MAX_PRECISION, DataType, IntervalMonthDayNano, IntervalUnit,
};
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::WindowFunction;
use datafusion::logical_expr::{
    Cast, Expr, ExprSchemable as _, WindowFrame, WindowFrameBound, WindowFrameUnits,
};

use super::super::intervals::NANOS_A_MICRO;
use super::super::moments::{self, Coarse};
use super::super::rewrite;
use super::refused_as;
use crate::diagnostic::Code;

pub(super) fn rewrite(part: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let Expr::WindowFunction(mut window) = part else { return Ok(Transformed::no(part)) };
    if is_of_peers(&window, schema)? {
        window.params.window_frame.units = WindowFrameUnits::Groups;
        return Ok(Transformed::yes(Expr::WindowFunction(window)));
    }
    let finer = finer_key(&window, schema)?;
    let Some((to, key)) = finer.zip(window.params.order_by.first_mut()) else {
        return Ok(Transformed::no(Expr::WindowFunction(window)));
    };
    key.expr = Expr::Cast(Cast::new(Box::new(std::mem::take(&mut key.expr)), to));
    Ok(Transformed::yes(Expr::WindowFunction(window)))
}

/// Whether it has a frame of RANGE without an offset over a key that DataFusion plans none over. GROUPS, which counts peers,
/// says the same.
fn is_of_peers(window: &WindowFunction, schema: &DFSchema) -> Result<bool> {
    let frame = &window.params.window_frame;
    let (Some(key), WindowFrameUnits::Range) = (window.params.order_by.first(), frame.units) else {
        return Ok(false);
    };
    let of = key.expr.get_type(schema)?;
    let is_planned = of.is_numeric()
        || of.is_string()
        || of.is_null()
        || moments::is_moment(&of)
        || matches!(
            of,
            DataType::Boolean | DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..)
        );
    Ok(!is_planned && offsets(frame).is_empty())
}

/// The type that the key of a frame needs for its offsets to be exact; `None` if it has it.
fn finer_key(window: &WindowFunction, schema: &DFSchema) -> Result<Option<DataType>> {
    let (keys, offsets) = (&window.params.order_by, offsets(&window.params.window_frame));
    // The planner refuses an offset over several keys, or none.
    let ([key], false) = (keys.as_slice(), offsets.is_empty()) else { return Ok(None) };
    let of = key.expr.get_type(schema)?;
    match finest(&of, &offsets) {
        Ok(finest) => Ok(finest),
        Err(Misfit { found, hint }) => {
            let message = format!("a frame of RANGE over a key of type {of} {found}");
            Err(refused_as(Code::Type, message, hint, rewrite::place(&key.expr).first()))
        }
    }
}

/// The offsets of a frame as they are written; none if it is not of RANGE.
fn offsets(frame: &WindowFrame) -> Vec<&str> {
    if frame.units != WindowFrameUnits::Range {
        return Vec::new();
    }
    let bounds = [&frame.start_bound, &frame.end_bound].into_iter();
    bounds
        .filter_map(|bound| match bound {
            WindowFrameBound::Preceding(ScalarValue::Utf8(offset))
            | WindowFrameBound::Following(ScalarValue::Utf8(offset)) => offset.as_deref(),
            _ => None,
        })
        .collect()
}

/// Why offsets cannot be counted from a key, and what to write instead.
struct Misfit {
    found: String,
    hint: &'static str,
}

impl Misfit {
    fn new(found: impl Into<String>, hint: &'static str) -> Self {
        Self { found: found.into(), hint }
    }
}

type Fit<T> = std::result::Result<T, Misfit>;

fn finest(of: &DataType, offsets: &[&str]) -> Fit<Option<DataType>> {
    if moments::is_moment(of) {
        return finest_moment(of, offsets);
    }
    // How many digits each number of the type has room for, and how many its longest has.
    let (room, longest) = match of {
        DataType::Float16 | DataType::Float32 | DataType::Float64 => {
            return offsets.iter().try_for_each(|offset| number(offset).map(drop)).map(|()| None);
        }
        DataType::Decimal128(digits, scale) | DataType::Decimal256(digits, scale) => {
            let after_point = u8::try_from(*scale).unwrap_or_default();
            let digits = Digits { before_point: digits.saturating_sub(after_point), after_point };
            (digits, digits)
        }
        DataType::Int8 | DataType::UInt8 => (Digits::whole(2), Digits::whole(3)),
        DataType::Int16 | DataType::UInt16 => (Digits::whole(4), Digits::whole(5)),
        DataType::Int32 | DataType::UInt32 => (Digits::whole(9), Digits::whole(10)),
        DataType::Int64 | DataType::UInt64 => (Digits::whole(18), Digits::whole(20)),
        DataType::Null => return Ok(None),
        DataType::Time32(_) | DataType::Time64(_) => {
            return Err(Misfit::new("takes no offset", "count seconds: `ORDER BY extract(epoch FROM x)`"));
        }
        _ => return Err(Misfit::new("takes no offset", "order by a number, a date or a timestamp")),
    };
    let mut needed = longest;
    let mut has_room = true;
    for offset in offsets {
        let digits = Digits::of(offset)?;
        has_room &= room.max(digits) == room;
        needed = needed.max(digits);
    }
    if has_room { Ok(None) } else { needed.decimal().map(Some) }
}

fn number(offset: &str) -> Fit<f64> {
    match offset.parse::<f64>() {
        Ok(number) if number < 0.0 => Err(below_zero(offset)),
        Ok(number) if number.is_finite() => Ok(number),
        _ => Err(Misfit::new(
            format!("takes no interval, as '{offset}' is"),
            "write the offset as a number: `RANGE BETWEEN 5 PRECEDING AND CURRENT ROW`",
        )),
    }
}

fn below_zero(offset: &str) -> Misfit {
    Misfit::new(
        format!("takes no offset below zero, as '{offset}' is"),
        "write PRECEDING instead of FOLLOWING, or FOLLOWING instead of PRECEDING",
    )
}

/// How many digits of a decimal number are before and after its point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Digits {
    before_point: u8,
    after_point: u8,
}

impl Digits {
    fn whole(before_point: u8) -> Self {
        Self { before_point, after_point: 0 }
    }

    /// Those of a number as it is written.
    fn of(offset: &str) -> Fit<Self> {
        number(offset)?;
        let (whole, fraction) = offset.split_once('.').unwrap_or((offset, ""));
        let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
        // What is longer than 255 digits fits no type either.
        let count = |digits: &str| u8::try_from(digits.len()).unwrap_or(u8::MAX);
        Ok(Self { before_point: count(whole), after_point: count(fraction) })
    }

    fn max(self, other: Self) -> Self {
        Self {
            before_point: self.before_point.max(other.before_point),
            after_point: self.after_point.max(other.after_point),
        }
    }

    /// The type of decimals that has room for them.
    fn decimal(self) -> Fit<DataType> {
        let digits = self.before_point.saturating_add(self.after_point);
        match (digits, i8::try_from(self.after_point)) {
            (..=DECIMAL128_MAX_PRECISION, Ok(scale)) => Ok(DataType::Decimal128(digits, scale)),
            (..=DECIMAL256_MAX_PRECISION, Ok(scale)) => Ok(DataType::Decimal256(digits, scale)),
            _ => Err(Misfit::new("takes no offset of that many digits", "write an offset of fewer digits")),
        }
    }
}

fn finest_moment(of: &DataType, offsets: &[&str]) -> Fit<Option<DataType>> {
    let coarse = Coarse::of(of);
    let mut is_whole = true;
    for offset in offsets {
        let interval = interval(offset)?;
        is_whole &= coarse.as_ref().is_none_or(|coarse| coarse.has_whole(interval.nanoseconds));
    }
    Ok(coarse.filter(|_| !is_whole).map(|coarse| coarse.micros))
}

fn interval(offset: &str) -> Fit<IntervalMonthDayNano> {
    const AS_INTERVAL: &str =
        "write the offset as an interval: `RANGE BETWEEN INTERVAL '5 days' PRECEDING AND CURRENT ROW`";
    let of = DataType::Interval(IntervalUnit::MonthDayNano);
    // Why: a number without a unit would be read as months.
    let read = match offset.trim().parse::<f64>() {
        Ok(_) => None,
        Err(_) => ScalarValue::from(offset).cast_to(&of).ok(),
    };
    let Some(ScalarValue::IntervalMonthDayNano(Some(interval))) = read else {
        return Err(Misfit::new(format!("takes an interval, not '{offset}'"), AS_INTERVAL));
    };
    if interval.months < 0 || interval.days < 0 || interval.nanoseconds < 0 {
        return Err(below_zero(offset));
    }
    if interval.nanoseconds % NANOS_A_MICRO != 0 {
        return Err(Misfit::new(
            format!("counts no less than microseconds, but '{offset}' does"),
            AS_INTERVAL,
        ));
    }
    Ok(interval)
}
