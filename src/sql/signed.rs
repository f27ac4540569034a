//! What functions count is BIGINT.
//!
//! DataFusion's functions return lengths, positions and numbers of rows as unsigned integers. An unsigned beside a signed
//! integer becomes a decimal, so that `/` no longer divides integers, and a difference below zero does not fit.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, ScalarValue};
use datafusion::execution::FunctionRegistry as _;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::function::{ExpressionArgs, PartitionEvaluatorArgs, WindowUDFFieldArgs};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, LimitEffect, PartitionEvaluator, ReversedUDWF, ScalarFunctionArgs,
    ScalarUDFImpl, Signature, WindowUDF, WindowUDFImpl,
};
use datafusion::physical_expr::PhysicalExpr;

use super::wrapped::{Around, wrap};

const SCALAR_FUNCTIONS: [&str; 7] = [
    "array_dims",
    "array_length",
    "array_ndims",
    "array_position",
    "array_positions",
    "cardinality",
    "json_length",
];

const WINDOW_FUNCTIONS: [&str; 4] = ["dense_rank", "ntile", "rank", "row_number"];

/// Makes the functions of a session that count return BIGINT; aggregates are [`super::numbers`]'s.
pub(super) fn install(state: &mut SessionState) -> Result<()> {
    for name in SCALAR_FUNCTIONS {
        wrap(state, name, Counting)?;
    }
    for name in WINDOW_FUNCTIONS {
        let function = state.udwf(name)?;
        state.register_udwf(Arc::new(WindowUDF::from(CountingRows { function })))?;
    }
    Ok(())
}

/// The signed type in the place of an unsigned one, or of a list of them.
pub(super) fn signed(of: &DataType) -> DataType {
    match of {
        DataType::UInt64 => DataType::Int64,
        DataType::List(item) => {
            let item = item.as_ref().clone();
            let of = signed(item.data_type());
            DataType::List(Arc::new(item.with_data_type(of)))
        }
        other => other.clone(),
    }
}

#[derive(Debug)]
struct Counting;

impl Around for Counting {
    fn returns(&self, of: DataType) -> DataType {
        signed(&of)
    }

    fn call(&self, function: &dyn ScalarUDFImpl, call: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let counts = function.invoke_with_args(call)?;
        let of = signed(&counts.data_type());
        counts.cast_to(&of, None)
    }
}

/// A function of windows.
#[derive(Debug, PartialEq, Eq, Hash)]
struct CountingRows {
    function: Arc<WindowUDF>,
}

impl WindowUDFImpl for CountingRows {
    fn name(&self) -> &str {
        self.function.name()
    }

    fn aliases(&self) -> &[String] {
        self.function.aliases()
    }

    fn signature(&self) -> &Signature {
        self.function.signature()
    }

    fn expressions(&self, arguments: ExpressionArgs<'_>) -> Vec<Arc<dyn PhysicalExpr>> {
        self.function.expressions(arguments)
    }

    fn partition_evaluator(
        &self,
        arguments: PartitionEvaluatorArgs<'_>,
    ) -> Result<Box<dyn PartitionEvaluator>> {
        Ok(Box::new(Counted(self.function.partition_evaluator_factory(arguments)?)))
    }

    fn field(&self, arguments: WindowUDFFieldArgs<'_>) -> Result<FieldRef> {
        let field: Field = self.function.field(arguments)?.as_ref().clone();
        let of = signed(field.data_type());
        Ok(Arc::new(field.with_data_type(of)))
    }

    fn sort_options(&self) -> Option<arrow::compute::SortOptions> {
        self.function.sort_options()
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        self.function.coerce_types(types)
    }

    fn reverse_expr(&self) -> ReversedUDWF {
        self.function.reverse_expr()
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.function.documentation()
    }

    fn limit_effect(&self, arguments: &[Arc<dyn PhysicalExpr>]) -> LimitEffect {
        self.function.inner().limit_effect(arguments)
    }
}

#[derive(Debug)]
struct Counted(Box<dyn PartitionEvaluator>);

impl PartitionEvaluator for Counted {
    fn get_range(&self, row: usize, rows: usize) -> Result<Range<usize>> {
        self.0.get_range(row, rows)
    }

    fn is_causal(&self) -> bool {
        self.0.is_causal()
    }

    fn evaluate_all(&mut self, values: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
        of_rows(&self.0.evaluate_all(values, rows)?)
    }

    fn evaluate(&mut self, values: &[ArrayRef], range: &Range<usize>) -> Result<ScalarValue> {
        self.0.evaluate(values, range)?.cast_to(&DataType::Int64)
    }

    fn evaluate_all_with_rank(&self, rows: usize, ranks: &[Range<usize>]) -> Result<ArrayRef> {
        of_rows(&self.0.evaluate_all_with_rank(rows, ranks)?)
    }

    fn supports_bounded_execution(&self) -> bool {
        self.0.supports_bounded_execution()
    }

    fn uses_window_frame(&self) -> bool {
        self.0.uses_window_frame()
    }

    fn include_rank(&self) -> bool {
        self.0.include_rank()
    }
}

fn of_rows(counts: &ArrayRef) -> Result<ArrayRef> {
    Ok(cast(counts, &DataType::Int64)?)
}
