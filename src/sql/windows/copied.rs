//! What window functions copy: `string_agg(x) OVER (ORDER BY y)` gives each row the texts of all rows before it.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{WindowFrame, WindowFrameBound, WindowFrameUnits};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::window::{
    PlainAggregateWindowExpr, SlidingAggregateWindowExpr, StandardWindowExpr, WindowExpr,
};
use datafusion::physical_plan::windows::WindowUDFExpr;

use crate::sql::width;

/// The bytes that a function makes of these rows, at most; 0 if its values are all of one size.
pub(super) fn bytes_max(
    function: &dyn WindowExpr,
    rows: &RecordBatch,
    partitions: &[Range<usize>],
) -> Result<usize> {
    let result = function.field()?;
    let name = name(function);
    // Each value is at most in one row more.
    let moves = matches!(name, Some("lag" | "lead"));
    if moves || !is_variable(result.data_type()) {
        return Ok(0);
    }
    let gathers = name == Some("string_agg") || is_list(result.data_type());
    let frame = rows_max(function.get_window_frame());
    let evaluate = |argument: &Arc<dyn PhysicalExpr>| argument.evaluate(rows)?.into_array(rows.num_rows());
    let arguments = function.expressions().iter().map(evaluate).collect::<Result<Vec<_>>>()?;
    let of_argument = |argument: &ArrayRef, range: &Range<usize>| {
        let longest = width::longest(&argument.slice(range.start, range.len()));
        let of_row = match gathers {
            true => {
                let all = range.clone().map(|row| width::of_value(argument, row));
                longest.saturating_mul(frame).min(all.fold(0, usize::saturating_add))
            }
            false => longest,
        };
        of_row.saturating_mul(range.len())
    };
    let of_partition = |range| arguments.iter().map(move |argument| of_argument(argument, range));
    Ok(partitions.iter().flat_map(of_partition).fold(0, usize::saturating_add))
}

fn name(function: &dyn WindowExpr) -> Option<&str> {
    let function = function.as_any();
    if let Some(plain) = function.downcast_ref::<PlainAggregateWindowExpr>() {
        return Some(plain.get_aggregate_expr().fun().name());
    }
    if let Some(sliding) = function.downcast_ref::<SlidingAggregateWindowExpr>() {
        return Some(sliding.get_aggregate_expr().fun().name());
    }
    let standard = function.downcast_ref::<StandardWindowExpr>()?.get_standard_func_expr();
    Some(standard.as_any().downcast_ref::<WindowUDFExpr>()?.fun().name())
}

fn is_variable(of: &DataType) -> bool {
    of.primitive_width().is_none() && !matches!(of, DataType::Boolean | DataType::Null)
}

fn is_list(of: &DataType) -> bool {
    matches!(of, DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..))
}

/// How many rows a frame has at most.
fn rows_max(frame: &WindowFrame) -> usize {
    let rows = |bound: &WindowFrameBound, is_start: bool| match bound {
        WindowFrameBound::CurrentRow => Some(0),
        WindowFrameBound::Preceding(ScalarValue::UInt64(Some(rows))) if is_start => Some(*rows),
        WindowFrameBound::Following(ScalarValue::UInt64(Some(rows))) if !is_start => Some(*rows),
        WindowFrameBound::Preceding(ScalarValue::UInt64(Some(_))) if !is_start => Some(0),
        WindowFrameBound::Following(ScalarValue::UInt64(Some(_))) if is_start => Some(0),
        _ => None,
    };
    match (frame.units, rows(&frame.start_bound, true), rows(&frame.end_bound, false)) {
        (WindowFrameUnits::Rows, Some(before), Some(after)) => {
            let rows = before.saturating_add(after).saturating_add(1);
            usize::try_from(rows).unwrap_or(usize::MAX)
        }
        _ => usize::MAX,
    }
}
