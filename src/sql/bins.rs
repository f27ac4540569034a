//! `date_bin(stride, moment, origin)`: the start of the bin that a moment is in, counted in microseconds. DataFusion counts in
//! nanoseconds, which reach from 1677 to 2262, and leaves what is beyond to an error or a NULL. Times of day are left to it.

use std::sync::Arc;

use arrow::array::timezone::Tz;
use arrow::array::{ArrayRef, AsArray as _, PrimitiveArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, IntervalUnit, TimeUnit, TimestampMicrosecondType};
use chrono::{DateTime, Datelike as _, Months, Utc};
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::execution::FunctionRegistry as _;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::intervals::{MICROS_A_DAY, NANOS_A_MICRO};
use super::wrapped::{Extent, coerced};
use super::zones;

pub(super) fn install(state: &mut SessionState) -> Result<()> {
    let bin = DateBin {
        of_datafusion: state.udf("date_bin")?,
        signature: Signature::user_defined(Volatility::Immutable),
    };
    state.register_udf(Arc::new(bin.into()))?;
    Ok(())
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct DateBin {
    of_datafusion: Arc<ScalarUDF>,
    signature: Signature,
}

impl ScalarUDFImpl for DateBin {
    fn name(&self) -> &str {
        self.of_datafusion.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let [_, moment, origin @ ..] = types else { return coerced(types, &self.of_datafusion) };
        let (of, zone) = match moment {
            DataType::Date32 | DataType::Date64 | DataType::Utf8 | DataType::Utf8View | DataType::Null => {
                (micros(None), None)
            }
            DataType::Timestamp(_, zone) => (moment.clone(), zone.clone()),
            _ => return coerced(types, &self.of_datafusion),
        };
        let origin = origin.iter().map(|_| micros(zone.clone()));
        Ok([DataType::Interval(IntervalUnit::MonthDayNano), of].into_iter().chain(origin).collect())
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match types.get(1) {
            Some(of @ DataType::Timestamp(..)) => Ok(of.clone()),
            _ => self.of_datafusion.return_type(types),
        }
    }

    fn invoke_with_args(&self, call: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [stride, moments, origin @ ..] = call.args.as_slice() else {
            return self.of_datafusion.invoke_with_args(call);
        };
        let of = moments.data_type();
        let DataType::Timestamp(_, zone) = &of else { return self.of_datafusion.invoke_with_args(call) };
        let counted = micros(zone.clone());
        let Some(stride) = Stride::of(stride)? else {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from(&of)?));
        };
        // Of a zone: 1970-01-01 00:00:00 there.
        let clocks = zones::of(zone.as_deref())?;
        let start = clocks.map_or(Ok(0), |clocks| zones::moment_of(0, clocks, MICROS_A_DAY))?;
        let start_of_time =
            ColumnarValue::Scalar(ScalarValue::TimestampMicrosecond(Some(start), zone.clone()));
        let origin = origin.first().unwrap_or(&start_of_time);
        let extent = Extent::of([moments, origin], call.number_rows);
        let as_micros = |values: &ColumnarValue| {
            Ok::<_, datafusion::error::DataFusionError>(cast(&values.to_array(extent.rows)?, &counted)?)
        };
        let bins = stride.bins(&as_micros(moments)?, &as_micros(origin)?, clocks)?;
        let bins: ArrayRef = Arc::new(bins.with_data_type(counted.clone()));
        extent.answer(cast(&bins, &of)?)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.of_datafusion.documentation()
    }
}

fn micros(zone: Option<Arc<str>>) -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, zone)
}

/// How long a bin is; above 0.
#[derive(Clone, Copy, Debug)]
enum Stride {
    Micros(i64),
    Months(u32),
}

impl Stride {
    /// `None` for NULL.
    fn of(stride: &ColumnarValue) -> Result<Option<Self>> {
        let interval = match stride {
            ColumnarValue::Scalar(ScalarValue::IntervalMonthDayNano(interval)) => interval,
            ColumnarValue::Scalar(value) if value.is_null() => return Ok(None),
            _ => return exec_err!("the stride of date_bin is one interval for all rows"),
        };
        let Some(interval) = interval else { return Ok(None) };
        let stride = match (interval.months, interval.days, interval.nanoseconds) {
            (months, 0, 0) if months != 0 => u32::try_from(months).ok().map(Self::Months),
            (0, days, nanos) if nanos % NANOS_A_MICRO == 0 => {
                let micros = i64::from(days).checked_mul(MICROS_A_DAY);
                let micros = micros.and_then(|days| days.checked_add(nanos / NANOS_A_MICRO));
                micros.filter(|micros| *micros > 0).map(Self::Micros)
            }
            _ => None,
        };
        match stride {
            Some(stride) => Ok(Some(stride)),
            None => exec_err!(
                "the stride of date_bin is a number of months, or of days, hours, minutes and seconds, above 0 \
                 and in whole microseconds"
            ),
        }
    }

    fn bins(
        self,
        moments: &ArrayRef,
        origins: &ArrayRef,
        zone: Option<Tz>,
    ) -> Result<PrimitiveArray<TimestampMicrosecondType>> {
        let moments = moments.as_primitive::<TimestampMicrosecondType>().iter();
        let origins = origins.as_primitive::<TimestampMicrosecondType>().iter();
        let bins = moments.zip(origins).map(|pair| match pair {
            (Some(moment), Some(origin)) => self.bin_in(zone, moment, origin).map(Some),
            _ => Ok(None),
        });
        bins.collect()
    }

    /// Bins of a zone begin by its clocks.
    fn bin_in(self, zone: Option<Tz>, moment: i64, origin: i64) -> Result<i64> {
        let bin = match zone {
            None => self.bin(moment, origin),
            Some(zone) => self.bin(zones::local_of(moment, zone)?, zones::local_of(origin, zone)?),
        };
        match (bin, zone) {
            (Some(bin), None) => Ok(bin),
            (Some(bin), Some(zone)) => zones::moment_of(bin, zone, moment),
            (None, _) => exec_err!("date_bin of a moment that is out of range"),
        }
    }

    fn bin(self, moment: i64, origin: i64) -> Option<i64> {
        match self {
            Self::Micros(stride) => moment.checked_sub(moment.checked_sub(origin)?.rem_euclid(stride)),
            Self::Months(stride) => {
                let (moment, origin) = (at(moment)?, at(origin)?);
                let months = |of: DateTime<Utc>| i64::from(of.year()) * 12 + i64::from(of.month0());
                let stride = i64::from(stride);
                let months = (months(moment) - months(origin)).div_euclid(stride) * stride;
                let start = months_after(origin, months).filter(|start| *start <= moment);
                let start = start.or_else(|| months_after(origin, months - stride))?;
                Some(start.timestamp_micros())
            }
        }
    }
}

fn at(micros: i64) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp_micros(micros)
}

fn months_after(origin: DateTime<Utc>, months: i64) -> Option<DateTime<Utc>> {
    let away = Months::new(u32::try_from(months.unsigned_abs()).ok()?);
    if months < 0 { origin.checked_sub_months(away) } else { origin.checked_add_months(away) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn micros_of(text: &str) -> i64 {
        text.parse::<DateTime<Utc>>().expect("a moment").timestamp_micros()
    }

    fn bin(stride: Stride, moment: &str, origin: &str) -> String {
        let bin = stride.bin(micros_of(moment), micros_of(origin)).and_then(at).expect("in range");
        bin.format("%Y-%m-%d %H:%M:%S").to_string()
    }

    #[test]
    fn bins_begin_at_the_origin_and_go_both_ways() {
        let quarter = Stride::Micros(15 * 60 * 1_000_000);
        let origin = "2001-01-01T00:07:00Z";
        assert_eq!(bin(quarter, "2026-03-01T10:30:00Z", origin), "2026-03-01 10:22:00");
        assert_eq!(bin(quarter, "2000-12-31T23:59:59Z", origin), "2000-12-31 23:52:00");
        assert_eq!(bin(quarter, "2001-01-01T00:07:00Z", origin), "2001-01-01 00:07:00");
    }

    #[test]
    fn moments_far_away_have_bins_too() {
        let day = Stride::Micros(MICROS_A_DAY);
        let origin = "2001-01-01T00:00:00Z";
        assert_eq!(bin(day, "9999-12-31T23:59:59Z", origin), "9999-12-31 00:00:00");
        assert_eq!(bin(day, "0001-01-01T00:00:01Z", origin), "0001-01-01 00:00:00");
        assert_eq!(bin(Stride::Months(3), "9999-12-31T23:59:59Z", origin), "9999-10-01 00:00:00");
        assert_eq!(bin(Stride::Months(12), "0001-02-01T00:00:00Z", origin), "0001-01-01 00:00:00");
    }

    #[test]
    fn a_bin_of_months_begins_on_the_day_of_the_origin() {
        let origin = "2001-01-15T12:00:00Z";
        assert_eq!(bin(Stride::Months(1), "2001-03-15T11:59:59Z", origin), "2001-02-15 12:00:00");
        assert_eq!(bin(Stride::Months(1), "2001-03-15T12:00:00Z", origin), "2001-03-15 12:00:00");
        assert_eq!(bin(Stride::Months(5), "2000-12-31T00:00:00Z", origin), "2000-08-15 12:00:00");
    }
}
