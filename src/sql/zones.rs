//! The local time of a zone, in microseconds, and the moments of local times.

use std::str::FromStr as _;
use std::sync::Arc;

use arrow::array::timezone::Tz;
use arrow::array::{ArrayRef, AsArray as _, PrimitiveArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, TimeUnit, TimestampMicrosecondType};
use chrono::{DateTime, LocalResult, NaiveDateTime, Offset as _, TimeZone as _};
use datafusion::common::{Result, exec_err};

use super::intervals::MICROS_A_DAY;

/// A zone whose local times are other than those of UTC.
pub(super) fn of(zone: Option<&str>) -> Result<Option<Tz>> {
    Ok(match zone {
        None | Some("UTC" | "Z" | "+00:00") => None,
        Some(zone) => Some(Tz::from_str(zone)?),
    })
}

/// The local times of moments of a zone.
pub(super) fn local(moments: &ArrayRef, zone: Tz) -> Result<ArrayRef> {
    let DataType::Timestamp(_, name) = moments.data_type() else { return exec_err!("no moments of a zone") };
    let moments = cast(moments, &DataType::Timestamp(TimeUnit::Microsecond, name.clone()))?;
    let moments = moments.as_primitive::<TimestampMicrosecondType>();
    let local: Result<PrimitiveArray<TimestampMicrosecondType>> =
        moments.iter().map(|moment| moment.map(|moment| local_of(moment, zone)).transpose()).collect();
    Ok(Arc::new(local?))
}

/// The local time at a moment.
pub(super) fn local_of(moment: i64, zone: Tz) -> Result<i64> {
    let Some(utc) = utc(moment) else { return exec_err!("a moment that is out of range") };
    let offset = zone.offset_from_utc_datetime(&utc).fix().local_minus_utc();
    Ok(moment + i64::from(offset) * MICROS_A_SECOND)
}

/// The last moment, up to another one, at which this is the local time. A local time that a change of the clocks leaves out is
/// taken by the offset at that other moment.
pub(super) fn moment_of(local: i64, zone: Tz, until: i64) -> Result<i64> {
    let Some(naive) = utc(local) else { return exec_err!("a moment that is out of range") };
    let micros = |moment: DateTime<Tz>| moment.timestamp_micros();
    Ok(match zone.from_local_datetime(&naive) {
        LocalResult::Single(moment) => micros(moment),
        LocalResult::Ambiguous(first, last) if micros(last) > until => micros(first),
        LocalResult::Ambiguous(_, last) => micros(last),
        LocalResult::None => local - (local_of(until, zone)? - until),
    })
}

/// The moments of local times, in microseconds, as PostgreSQL has them: of a local time that occurs twice, the later one. One
/// that a change of the clocks leaves out is taken by the offset before it.
pub(super) fn moments(locals: &ArrayRef, zone: Tz) -> Result<ArrayRef> {
    let locals = cast(locals, &DataType::Timestamp(TimeUnit::Microsecond, None))?;
    let locals = locals.as_primitive::<TimestampMicrosecondType>();
    let moment = |local: i64| -> Result<i64> {
        let Some(naive) = utc(local) else { return exec_err!("a local time that is out of range") };
        Ok(match zone.from_local_datetime(&naive) {
            LocalResult::Single(moment) | LocalResult::Ambiguous(_, moment) => moment.timestamp_micros(),
            LocalResult::None => {
                let before = local - MICROS_A_DAY;
                local - (local_of(before, zone)? - before)
            }
        })
    };
    let moments: Result<PrimitiveArray<TimestampMicrosecondType>> =
        locals.iter().map(|local| local.map(moment).transpose()).collect();
    Ok(Arc::new(moments?))
}

const MICROS_A_SECOND: i64 = 1_000_000;

fn utc(micros: i64) -> Option<NaiveDateTime> {
    DateTime::from_timestamp_micros(micros).map(|moment| moment.naive_utc())
}
