//! SQL whose result may be far larger than what it is given: `repeat('x', 2000000000)` takes two gigabytes for a message of
//! a few bytes. The memory pool sees results only after they are made. So functions and window functions that multiply
//! text say how much they are about to make, and one run of a view or query has a budget for all of it. What exceeds the
//! budget is an error before the memory is taken; the engine tries smaller batches then, and a message that exceeds it
//! alone becomes a dead letter. [`operators`] bounds what joins and `unnest` copy.

mod concatenation;
mod operators;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Int64Type};
use datafusion::common::{Result, ScalarValue};
use datafusion::error::DataFusionError;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl};
use datafusion::prelude::SessionConfig;

use super::width;
use super::wrapped::{Around, Extent, wrap};
pub(super) use concatenation::Concatenations;
pub(super) use operators::{BoundedInputs, context_of};

/// What the functions of one run may still make.
#[derive(Debug)]
pub(super) struct Budget {
    bytes_max: usize,
    left: AtomicUsize,
}

impl Budget {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, left: AtomicUsize::new(bytes_max) }
    }

    /// A new run begins.
    fn refill(&self) {
        self.left.store(self.bytes_max, Ordering::Relaxed);
    }

    /// Takes the bytes that a function is about to make.
    ///
    /// # Errors
    /// Fewer bytes are left.
    pub(super) fn take(&self, function: &str, bytes: usize) -> Result<()> {
        let taken =
            self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes));
        match taken {
            Ok(_) => Ok(()),
            Err(left) => Err(DataFusionError::ResourcesExhausted(format!(
                "{function} would make {bytes} bytes, and {left} of {} are left for such functions",
                self.bytes_max
            ))),
        }
    }
}

/// Puts the functions of this module in the place of those they are made from.
pub(super) fn bound_functions(state: &mut SessionState, budget: &Arc<Budget>) -> Result<()> {
    for (name, estimate) in FUNCTIONS {
        wrap(state, name, Bounded { estimate: *estimate, budget: Arc::clone(budget) })?;
    }
    Ok(())
}

/// Lets the functions of a session make as much as at first.
pub(super) fn refill(config: &SessionConfig) {
    if let Some(budget) = config.get_extension::<Budget>() {
        budget.refill();
    }
}

/// The bytes that a call makes, at most.
#[derive(Debug, Clone, Copy)]
enum Estimate {
    /// Of one row: the values decide.
    OfRow(fn(&Row<'_>) -> usize),
    /// Of all rows at once. Why: the sizes of whole columns are known without a look at each value.
    OfColumns(fn(&Columns<'_>) -> usize),
}

use Estimate::{OfColumns, OfRow};

const FUNCTIONS: &[(&str, Estimate)] = &[
    ("repeat", OfRow(|row| row.text_bytes(0).saturating_mul(row.count(1)))),
    ("lpad", OfRow(padded)),
    ("rpad", OfRow(padded)),
    ("replace", OfRow(replaced)),
    ("regexp_replace", OfRow(regexp_replaced)),
    ("concat", OfColumns(|columns| columns.bytes_of_all())),
    ("concat_ws", OfColumns(joined)),
    ("array_to_string", OfRow(listed)),
    ("array_repeat", OfRow(|row| row.bytes(0).max(1).saturating_mul(row.count(1)))),
    (
        "array_resize",
        OfRow(|row| row.bytes(0).saturating_add(row.count(1).saturating_mul(row.bytes(2).max(8)))),
    ),
    ("range", OfRow(stepped)),
    ("generate_series", OfRow(stepped)),
];

/// A number takes this many characters for each of its bytes, at most: an i8 has 4.
const DIGITS_A_BYTE: usize = 4;

fn padded(row: &Row<'_>) -> usize {
    let fill = row.text(2).and_then(|fill| fill.chars().map(char::len_utf8).max()).unwrap_or(1);
    row.text_bytes(0).saturating_add(row.count(1).saturating_mul(fill))
}

fn replaced(row: &Row<'_>) -> usize {
    let (Some(text), Some(from), Some(to)) = (row.text(0), row.text(1), row.text(2)) else { return 0 };
    if to.len() <= from.len() {
        return text.len();
    }
    let found = text.matches(from).count();
    text.len().saturating_add(found.saturating_mul(to.len() - from.len()))
}

/// Matches do not overlap, so what one group has found is not longer than the text.
fn regexp_replaced(row: &Row<'_>) -> usize {
    let (Some(text), Some(to)) = (row.text(0), row.text(2)) else { return 0 };
    let is_global = row.text(3).is_some_and(|flags| flags.contains('g'));
    let groups = to.matches('\\').count() + to.matches('$').count();
    let matches = if is_global { text.len().saturating_add(1) } else { 1 };
    text.len().saturating_mul(groups + 1).saturating_add(matches.saturating_mul(to.len()))
}

/// The separator is between all of them.
fn joined(columns: &Columns<'_>) -> usize {
    let separators = columns.bytes(0).saturating_mul(columns.arguments.len().saturating_sub(2));
    (1..columns.arguments.len()).map(|index| columns.bytes(index)).fold(separators, usize::saturating_add)
}

fn listed(row: &Row<'_>) -> usize {
    let texts = row.bytes(0).saturating_mul(DIGITS_A_BYTE);
    texts.saturating_add(row.items(0).saturating_mul(row.text_bytes(1).saturating_add(row.text_bytes(2))))
}

/// From a start to an end in steps; numbers may come without a start or a step.
fn stepped(row: &Row<'_>) -> usize {
    const NANOS_A_DAY: i128 = 86_400_000_000_000;
    let number = |index: usize| -> Option<i128> {
        Some(match row.scalar(index)? {
            ScalarValue::Int64(value) => value?.into(),
            ScalarValue::Date32(value) => i128::from(value?) * NANOS_A_DAY,
            ScalarValue::Date64(value) => i128::from(value?) * 1_000_000,
            ScalarValue::TimestampSecond(value, _) => i128::from(value?) * 1_000_000_000,
            ScalarValue::TimestampMillisecond(value, _) => i128::from(value?) * 1_000_000,
            ScalarValue::TimestampMicrosecond(value, _) => i128::from(value?) * 1_000,
            ScalarValue::TimestampNanosecond(value, _) => value?.into(),
            // No month is shorter.
            ScalarValue::IntervalMonthDayNano(value) => {
                let value = value?;
                let days = i128::from(value.months) * 28 + i128::from(value.days);
                days * NANOS_A_DAY + i128::from(value.nanoseconds)
            }
            _ => return None,
        })
    };
    let (start, stop, step) = match row.arguments.len() {
        1 => (Some(0), number(0), Some(1)),
        2 => (number(0), number(1), Some(1)),
        _ => (number(0), number(1), number(2)),
    };
    let (Some(start), Some(stop), Some(step)) = (start, stop, step) else { return 0 };
    if step == 0 || (stop - start).signum() * step.signum() < 0 {
        return 0;
    }
    let items = ((stop - start) / step).saturating_add(1);
    usize::try_from(items).unwrap_or(usize::MAX).saturating_mul(size_of::<i64>())
}

/// A function's arguments, of all rows.
struct Columns<'a> {
    arguments: &'a [ColumnarValue],
    rows: usize,
}

impl Columns<'_> {
    /// What the values of an argument take; those of a scalar once a row.
    fn bytes(&self, index: usize) -> usize {
        match self.arguments.get(index) {
            Some(ColumnarValue::Array(array)) => width::of_all(array),
            Some(ColumnarValue::Scalar(value)) => of_scalar(value).saturating_mul(self.rows),
            None => 0,
        }
    }

    fn bytes_of_all(&self) -> usize {
        (0..self.arguments.len()).map(|index| self.bytes(index)).fold(0, usize::saturating_add)
    }
}

fn of_scalar(value: &ScalarValue) -> usize {
    match value.try_as_str() {
        Some(text) => text.map_or(0, str::len),
        None => value.size(),
    }
}

/// One row of a function's arguments.
struct Row<'a> {
    arguments: &'a [ColumnarValue],
    row: usize,
}

impl Row<'_> {
    fn text(&self, index: usize) -> Option<&str> {
        match self.arguments.get(index)? {
            ColumnarValue::Scalar(value) => value.try_as_str().flatten(),
            ColumnarValue::Array(array) if array.is_null(self.row) => None,
            ColumnarValue::Array(array) => match array.data_type() {
                DataType::Utf8 => Some(array.as_string::<i32>().value(self.row)),
                DataType::LargeUtf8 => Some(array.as_string::<i64>().value(self.row)),
                DataType::Utf8View => Some(array.as_string_view().value(self.row)),
                _ => None,
            },
        }
    }

    fn text_bytes(&self, index: usize) -> usize {
        self.text(index).map_or(0, str::len)
    }

    /// A whole number from 0.
    fn count(&self, index: usize) -> usize {
        let number = match self.arguments.get(index) {
            Some(ColumnarValue::Array(array)) if *array.data_type() == DataType::Int64 => {
                array.is_valid(self.row).then(|| array.as_primitive::<Int64Type>().value(self.row))
            }
            Some(_) => match self.scalar(index) {
                Some(ScalarValue::Int64(number)) => number,
                Some(ScalarValue::UInt64(number)) => {
                    number.map(|number| i64::try_from(number).unwrap_or(i64::MAX))
                }
                Some(ScalarValue::Int32(number)) => number.map(i64::from),
                _ => None,
            },
            None => None,
        };
        usize::try_from(number.unwrap_or(0)).unwrap_or(0)
    }

    fn scalar(&self, index: usize) -> Option<ScalarValue> {
        match self.arguments.get(index)? {
            ColumnarValue::Scalar(value) => Some(value.clone()),
            ColumnarValue::Array(array) => ScalarValue::try_from_array(array, self.row).ok(),
        }
    }

    /// What a value takes.
    fn bytes(&self, index: usize) -> usize {
        match self.arguments.get(index) {
            Some(ColumnarValue::Array(array)) => width::of_value(array, self.row),
            Some(ColumnarValue::Scalar(value)) => of_scalar(value),
            None => 0,
        }
    }

    /// How many values a list has, with those of lists in it.
    fn items(&self, index: usize) -> usize {
        match self.arguments.get(index) {
            Some(ColumnarValue::Array(array)) => width::items(array, self.row),
            Some(ColumnarValue::Scalar(value)) => value.to_array().map_or(0, |array| width::items(&array, 0)),
            None => 0,
        }
    }
}

/// Asks the budget before a function makes anything.
#[derive(Debug)]
struct Bounded {
    estimate: Estimate,
    budget: Arc<Budget>,
}

impl Around for Bounded {
    fn call(&self, function: &dyn ScalarUDFImpl, call: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let (arguments, rows) = (call.args.as_slice(), Extent::of(&call.args, call.number_rows).rows);
        let bytes = match self.estimate {
            OfRow(estimate) => {
                (0..rows).map(|row| estimate(&Row { arguments, row })).fold(0, usize::saturating_add)
            }
            OfColumns(estimate) => estimate(&Columns { arguments, rows }),
        };
        self.budget.take(function.name(), bytes)?;
        function.invoke_with_args(call)
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
    use datafusion::physical_plan::collect;

    use super::super::session;
    use super::super::slot::Slot;
    use super::*;

    /// What a session of so many bytes answers to a query over two rows: `n` 3 and 4, `text` `ab` and `-`.
    async fn answer(memory_max: usize, query: &str) -> Result<usize> {
        let state = session::session(memory_max)?;
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![3, 4]));
        let texts: ArrayRef = Arc::new(StringArray::from(vec!["ab", "-"]));
        let rows = RecordBatch::try_from_iter([("n", numbers), ("text", texts)])?;
        let slot = Slot::new("batch", rows.schema(), 10);
        session::register(&state, "batch", Arc::new(slot.clone()))?;
        slot.fill(vec![rows]).expect("rows of these columns");
        let plan = state.create_logical_plan(query).await?;
        let plan = state.create_physical_plan(&plan).await?;
        let batches = collect(plan, state.task_ctx()).await?;
        Ok(batches.iter().map(RecordBatch::num_rows).sum())
    }

    #[tokio::test]
    async fn what_multiplies_text_is_refused_before_it_takes_the_memory() {
        for call in [
            "repeat(text, n * 500000000)",
            "repeat('x', 2000000000)",
            "lpad(text, n * 500000000)",
            "rpad(text, n * 500000000, '\u{20ac}')",
            "replace(repeat(text, 1000), 'a', repeat('y', 100000 * n))",
            "regexp_replace(repeat(text, 1000), 'a', repeat('y', 100000), 'g')",
            "array_repeat(text, n * 500000000)",
            "list_repeat(1, n * 500000000)",
            "range(n * 500000000)",
            "range(n, n * -500000000, -1)",
            "generate_series(0, n * 500000000)",
            "range(TIMESTAMP '1970-01-01', TIMESTAMP '2200-01-01', INTERVAL '1 microsecond')",
            "array_resize([1], n * 500000000, 1)",
            "array_to_string(range(n * 3000), repeat('y', 100000))",
            "concat(repeat(text, 250000), repeat(text, 250000))",
            "concat_ws('-', repeat(text, 250000), repeat(text, 250000))",
            "repeat(text, 150000) || repeat(text, 150000) || repeat(text, 150000)",
            "string_agg(repeat(text, 350000), '') OVER (ORDER BY n)",
            "array_agg(repeat(text, 350000)) OVER (ORDER BY n ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING)",
            "first_value(repeat(text, 350000)) OVER (ORDER BY n)",
            "max(repeat(text, 350000)) OVER ()",
        ] {
            let refused = answer(4 << 20, &format!("SELECT {call} AS x FROM batch")).await;
            let error = refused.expect_err(call);
            let text = error.find_root().message().into_owned();
            assert!(matches!(error.find_root(), DataFusionError::ResourcesExhausted(_)), "{call}: {text}");
            assert!(text.contains("would make"), "{call}: {text}");
        }
    }

    #[tokio::test]
    async fn what_stays_small_is_answered() {
        for call in [
            "repeat(text, n)",
            "repeat(text, -1)",
            "repeat(NULL, 2000000000)",
            "lpad(text, n, NULL)",
            "rpad(text, n)",
            "replace(text, 'a', repeat('y', 100000))",
            "regexp_replace(text, '^a', '\\1', 'g')",
            "array_repeat(text, n)",
            "range(n, 0)",
            "range(DATE '2026-01-01', DATE '2026-12-31', INTERVAL '1 month')",
            "generate_series(n)",
            "array_resize([1], n)",
            "array_to_string([n, n], ',')",
            "concat(text, n)",
            "concat_ws(',', text, n)",
            "text || '-' || n || NULL",
            "string_agg(text, ',') OVER (ORDER BY n)",
            "array_agg(n) OVER (PARTITION BY text ORDER BY n ROWS BETWEEN 2 PRECEDING AND 1 FOLLOWING)",
            "lag(repeat(text, 100000), 1, 'none') OVER (ORDER BY n)",
        ] {
            let rows = answer(4 << 20, &format!("SELECT {call} AS x FROM batch")).await;
            assert_eq!(rows.map_err(|error| format!("{call}: {error}")), Ok(2));
        }
    }
}
