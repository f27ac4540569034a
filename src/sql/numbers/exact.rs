//! Sums that cannot overflow on the way: only what comes out has to fit its type. So neither the order of the values nor
//! the place where a batch is cut decides whether there is an answer.

use arrow::array::{ArrayRef, ArrowNativeTypeOp, ArrowPrimitiveType, PrimitiveArray};
use arrow::datatypes::{
    DataType, Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type, DecimalType,
    DurationMicrosecondType, DurationMillisecondType, DurationNanosecondType, DurationSecondType, Int64Type,
    UInt64Type, i256,
};
use datafusion::error::DataFusionError;

use super::{decimal, sql_name};

/// A type whose sums and averages are exact.
pub(in crate::sql) trait Exact:
    ArrowPrimitiveType<Native: Native> + std::fmt::Debug + Send + Sync
{
    /// The least and the most that the type holds.
    fn room(of: &DataType) -> (Self::Native, Self::Native);
}

/// What sums are made of.
pub(in crate::sql) trait Native:
    ArrowNativeTypeOp + Send + Sync + Default + std::hash::Hash + Eq
{
    /// 2^bits of the type, for what was carried over; `None` where 256 bits have no room for it.
    const CARRY: Option<i256>;
    fn widen(self) -> i256;
    fn narrow(value: i256) -> Option<Self>;
}

macro_rules! native {
    ($($type:ty: $carry:expr, $widen:expr, $narrow:expr;)*) => {$(
        impl Native for $type {
            const CARRY: Option<i256> = $carry;
            fn widen(self) -> i256 {
                ($widen)(self)
            }
            fn narrow(value: i256) -> Option<Self> {
                ($narrow)(value)
            }
        }
    )*};
}

native! {
    i32: Some(i256::from_i128(1 << 32)), |value| i256::from_i128(i128::from(value)), small;
    i64: Some(i256::from_i128(1 << 64)), |value| i256::from_i128(i128::from(value)), small;
    u64: Some(i256::from_i128(1 << 64)), |value| i256::from_i128(i128::from(value)), small;
    i128: Some(i256::from_parts(0, 1)), i256::from_i128, |value: i256| value.to_i128();
    i256: None, |value| value, Some;
}

fn small<N: TryFrom<i128>>(value: i256) -> Option<N> {
    value.to_i128()?.try_into().ok()
}

macro_rules! exact {
    ($($type:ty),*; $($decimal:ty),*) => {
        $(impl Exact for $type {
            fn room(_: &DataType) -> (Self::Native, Self::Native) {
                (Self::Native::MIN_TOTAL_ORDER, Self::Native::MAX_TOTAL_ORDER)
            }
        })*
        $(impl Exact for $decimal {
            fn room(of: &DataType) -> (Self::Native, Self::Native) {
                let digits = decimal(of).map_or(usize::MAX, |(digits, _)| usize::from(digits));
                let most = Self::MAX_FOR_EACH_PRECISION.get(digits).copied().unwrap_or_default();
                (most.neg_wrapping(), most)
            }
        })*
    };
}

exact!(
    Int64Type, UInt64Type, DurationSecondType, DurationMillisecondType, DurationMicrosecondType,
    DurationNanosecondType;
    Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type
);

/// Calls `$run::<T>(..)` with the type of the values; `$otherwise` where their sums are not exact.
macro_rules! with_exact {
    ($of:expr, $run:ident($($argument:expr),*), $otherwise:expr) => {{
        use arrow::datatypes::{self as types, DataType, TimeUnit};
        match $of {
            DataType::Int64 => $run::<types::Int64Type>($($argument),*),
            DataType::UInt64 => $run::<types::UInt64Type>($($argument),*),
            DataType::Decimal32(..) => $run::<types::Decimal32Type>($($argument),*),
            DataType::Decimal64(..) => $run::<types::Decimal64Type>($($argument),*),
            DataType::Decimal128(..) => $run::<types::Decimal128Type>($($argument),*),
            DataType::Decimal256(..) => $run::<types::Decimal256Type>($($argument),*),
            DataType::Duration(TimeUnit::Second) => $run::<types::DurationSecondType>($($argument),*),
            DataType::Duration(TimeUnit::Millisecond) => $run::<types::DurationMillisecondType>($($argument),*),
            DataType::Duration(TimeUnit::Microsecond) => $run::<types::DurationMicrosecondType>($($argument),*),
            DataType::Duration(TimeUnit::Nanosecond) => $run::<types::DurationNanosecondType>($($argument),*),
            _ => $otherwise,
        }
    }};
}
pub(in crate::sql) use with_exact;

/// The sum of values, and how many there were: `sum + carried * 2^bits`.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::sql) struct Total<N> {
    pub sum: N,
    pub carried: i64,
    pub count: u64,
}

impl<N: Native> Total<N> {
    #[inline]
    pub fn add(&mut self, value: N) {
        let sum = self.sum.add_wrapping(value);
        // What wraps ends on the wrong side of where it was.
        let is_below = sum.is_lt(self.sum);
        let is_negative = value.is_lt(N::ZERO);
        self.carried += i64::from(is_below && !is_negative) - i64::from(is_negative && !is_below);
        self.sum = sum;
        self.count += 1;
    }

    pub fn retract(&mut self, value: N) {
        let sum = self.sum.sub_wrapping(value);
        let is_above = sum.is_gt(self.sum);
        let is_negative = value.is_lt(N::ZERO);
        self.carried += i64::from(is_negative && !is_above) - i64::from(is_above && !is_negative);
        self.sum = sum;
        self.count -= 1;
    }

    pub fn merge(&mut self, other: Self) {
        let count = self.count + other.count;
        self.add(other.sum);
        self.carried += other.carried;
        self.count = count;
    }

    /// The sum of the values as `result` has it; `None` inside where there were none.
    ///
    /// # Errors
    /// A sum that does not fit.
    pub fn sum<T: Exact<Native = N>>(
        &self,
        name: &str,
        result: &DataType,
    ) -> Result<Option<N>, DataFusionError> {
        match self.count {
            0 => Ok(None),
            _ if self.is_within(T::room(result)) => Ok(Some(self.sum)),
            _ => Err(refused(name, "the sum", result)),
        }
    }

    /// Whether the sum is between these two.
    #[inline]
    pub fn is_within(&self, (least, most): (N, N)) -> bool {
        self.carried == 0 && self.sum.is_ge(least) && self.sum.is_le(most)
    }

    /// The average, for decimals: the sum with the result's digits after the point, divided, cut off.
    ///
    /// # Errors
    /// An average that does not fit.
    pub fn average<T: Exact<Native = N>>(
        &self,
        name: &str,
        more_digits: u8,
        result: &DataType,
    ) -> Result<Option<N>, DataFusionError> {
        if self.count == 0 {
            return Ok(None);
        }
        let average = || {
            let power = i256::from_i128(10).checked_pow(u32::from(more_digits))?;
            let average = quotient(self.wide()?.checked_mul(power)?, i256::from_i128(self.count.into()))?;
            let (least, most) = T::room(result);
            N::narrow(average).filter(|average| average.is_ge(least) && average.is_le(most))
        };
        average().map(Some).ok_or_else(|| refused(name, "the average", result))
    }

    /// The average as a double.
    #[expect(clippy::cast_precision_loss, reason = "a double is what avg gives for integers")]
    pub fn mean(&self) -> Option<f64> {
        let sum = self.wide()?.to_i128()?;
        (self.count > 0).then(|| sum as f64 / self.count as f64)
    }

    fn wide(&self) -> Option<i256> {
        match (N::CARRY, self.carried) {
            (_, 0) => Some(self.sum.widen()),
            (Some(carry), carried) => {
                carry.checked_mul(i256::from_i128(carried.into()))?.checked_add(self.sum.widen())
            }
            (None, _) => None,
        }
    }
}

pub(in crate::sql) fn refused(name: &str, what: &str, result: &DataType) -> DataFusionError {
    DataFusionError::Execution(format!("`{name}` is out of range: {what} does not fit {}", sql_name(result)))
}

/// The quotient, rounded half away from zero; `None` if the divisor is zero, or it does not fit.
pub(in crate::sql) fn quotient(dividend: i256, divisor: i256) -> Option<i256> {
    let (quotient, rest) = (dividend.checked_div(divisor)?, dividend.checked_rem(divisor)?);
    let is_half = rest.wrapping_abs() >= divisor.wrapping_abs().checked_sub(rest.wrapping_abs())?;
    match is_half && rest != i256::ZERO {
        true if dividend.is_negative() == divisor.is_negative() => quotient.checked_add(i256::ONE),
        true => quotient.checked_sub(i256::ONE),
        false => Some(quotient),
    }
}

/// Values of a type, some of them NULL.
pub(in crate::sql) fn array<T: ArrowPrimitiveType>(
    values: impl Iterator<Item = Result<Option<T::Native>, DataFusionError>>,
    of: &DataType,
) -> Result<ArrayRef, DataFusionError> {
    let values = values.collect::<Result<PrimitiveArray<T>, _>>()?;
    Ok(std::sync::Arc::new(values.with_data_type(of.clone())))
}
