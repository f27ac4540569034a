//! Functions of texts that DataFusion answers wrongly.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray as _, Int64Array};
use arrow::datatypes::{DataType, Int64Type};
use datafusion::common::Result;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl};

use super::wrapped::{Around, Extent, wrap};

pub(super) fn install(state: &mut SessionState) -> Result<()> {
    wrap(state, "split_part", FromTheStart)
}

/// `split_part(text, delimiter, -1)` is the last part of those that are found from the start. DataFusion looks for them from the
/// end, and finds others if a delimiter can overlap another one.
#[derive(Debug)]
struct FromTheStart;

impl Around for FromTheStart {
    fn call(&self, function: &dyn ScalarUDFImpl, mut call: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [texts, delimiters, numbers] = call.args.as_slice() else {
            return function.invoke_with_args(call);
        };
        let extent = Extent::of(&call.args, call.number_rows);
        let column = |values: &ColumnarValue, of: &DataType| values.cast_to(of, None)?.to_array(extent.rows);
        let numbers = column(numbers, &DataType::Int64)?;
        let numbers = numbers.as_primitive::<Int64Type>();
        if numbers.iter().flatten().all(|number| number >= 0) {
            return function.invoke_with_args(call);
        }
        let (texts, delimiters) = (column(texts, &DataType::Utf8)?, column(delimiters, &DataType::Utf8)?);
        let (texts, delimiters) = (texts.as_string::<i32>(), delimiters.as_string::<i32>());
        let parts = texts.iter().zip(delimiters).zip(numbers);
        let from_start =
            parts.map(|((text, delimiter), number)| Some(from_start(text?, delimiter?, number?)));
        let from_start: ArrayRef = Arc::new(from_start.collect::<Int64Array>());
        call.args[2] = extent.answer(from_start)?;
        function.invoke_with_args(call)
    }
}

/// The number of a part counted from the start, where a negative one counts from the end. All parts after the last are empty, as
/// are those before the first, so these get a number after the last.
fn from_start(text: &str, delimiter: &str, number: i64) -> i64 {
    if number >= 0 {
        return number;
    }
    // An empty delimiter leaves the text whole.
    let delimiters = if delimiter.is_empty() { 0 } else { text.matches(delimiter).count() };
    let parts = i64::try_from(delimiters).unwrap_or(i64::MAX).saturating_add(1);
    let first = parts.saturating_add(1);
    match first.saturating_add(number) {
        found if found > 0 => found,
        _ => first,
    }
}
