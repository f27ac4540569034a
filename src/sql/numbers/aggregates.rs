//! The aggregates of a session: DataFusion's, but for sums and averages that have to be exact ([`Total`]), for frames
//! that slide over doubles ([`Sliding`]), for the smallest and largest doubles ([`extremes`]), for variances and what is made
//! of them ([`Statistic`]), and for counts, which are BIGINT ([`signed`]). A double that comes of one has no sign if it is zero
//! or NaN ([`signs`]).

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, ArrowPrimitiveType, AsArray as _, BooleanArray, Float64Array};
use arrow::datatypes::{DataType, Field, FieldRef, Int64Type, UInt64Type};
use datafusion::common::types::{
    NativeType, logical_float64, logical_int8, logical_int16, logical_int32, logical_int64, logical_uint8,
    logical_uint16, logical_uint32, logical_uint64,
};
use datafusion::common::{Result, ScalarValue};
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::{AggregateOrderSensitivity, format_state_name};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Coercion, Documentation, EmitTo, GroupsAccumulator,
    ReversedUDAF, Signature, TypeSignature, TypeSignatureClass, Volatility,
};

use super::exact::{Exact, Total, array, with_exact};
use super::finished::{Finished, FinishedGroups};
use super::percentile::Percentile;
use super::sliding::Sliding;
use super::statistics::Statistic;
use super::{extremes, has_floats, scale, signs};
use crate::sql::forms;
use crate::sql::signed::signed;

/// Aggregates that take values out again where a frame slides, that cannot and are needed there, that calculate, or that count.
const AGGREGATES: [&str; 32] = [
    "any_value",
    "approx_distinct",
    "approx_median",
    "approx_percentile_cont",
    "approx_percentile_cont_with_weight",
    "bit_and",
    "bit_or",
    "bit_xor",
    "bool_and",
    "bool_or",
    "max",
    "min",
    "percentile_cont",
    "string_agg",
    "sum",
    "avg",
    "var",
    "var_pop",
    "stddev",
    "stddev_pop",
    "covar_samp",
    "covar_pop",
    "corr",
    "regr_slope",
    "regr_intercept",
    "regr_count",
    "regr_r2",
    "regr_avgx",
    "regr_avgy",
    "regr_sxx",
    "regr_syy",
    "regr_sxy",
];

/// The aggregates to put in the place of the session's.
pub(super) fn all(state: &SessionState) -> Vec<AggregateUDF> {
    let of = |name: &&str| state.aggregate_functions().get(*name).map(Aggregate::of).map(AggregateUDF::from);
    AGGREGATES.iter().filter_map(of).collect()
}

/// An aggregate of DataFusion's, and what is other here.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Aggregate {
    of_datafusion: Arc<AggregateUDF>,
    kind: Kind,
    signature: Signature,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Sum,
    Average,
    Count,
    /// `min` or `max`.
    Extreme,
    Percentile,
    Statistic(Statistic),
    Other,
}

impl Aggregate {
    fn of(of_datafusion: &Arc<AggregateUDF>) -> Self {
        let (kind, signature) = match of_datafusion.name() {
            "sum" => (Kind::Sum, of_datafusion.signature().clone()),
            "avg" => (Kind::Average, averaged()),
            "approx_distinct" | "regr_count" => (Kind::Count, of_datafusion.signature().clone()),
            "percentile_cont" => (Kind::Percentile, of_datafusion.signature().clone()),
            "min" | "max" => (Kind::Extreme, of_datafusion.signature().clone()),
            name => {
                (Statistic::of(name).map_or(Kind::Other, Kind::Statistic), of_datafusion.signature().clone())
            }
        };
        Self { of_datafusion: Arc::clone(of_datafusion), kind, signature }
    }

    fn percentile(&self, call: &AccumulatorArgs) -> Option<Box<dyn Accumulator>> {
        let percentile = (self.kind == Kind::Percentile).then(|| Percentile::of(call))??;
        Some(Box::new(percentile))
    }

    /// The accumulator with its result as it is here.
    fn finished(&self, of_datafusion: Box<dyn Accumulator>, call: &AccumulatorArgs) -> Box<dyn Accumulator> {
        let result = call.return_type();
        match self.kind {
            Kind::Statistic(statistic) => Finished::of_state(of_datafusion, statistic),
            Kind::Count => Finished::boxed(of_datafusion, |count| count.cast_to(&DataType::Int64)),
            Kind::Sum | Kind::Average | Kind::Other if has_floats(result) => {
                Finished::boxed(of_datafusion, |value| signs::clear_value(&value))
            }
            _ => of_datafusion,
        }
    }

    /// Whether the values' sums are exact.
    fn is_exact(&self, fields: &[FieldRef]) -> bool {
        matches!(self.kind, Kind::Sum | Kind::Average)
            && fields.first().is_some_and(|field| is_exact(field.data_type()))
    }
}

/// What `avg` takes: integers as integers, so that they are added as such.
fn averaged() -> Signature {
    let exact = |class| TypeSignature::Coercible(vec![Coercion::new_exact(class)]);
    let widened = |to, from, native| {
        TypeSignature::Coercible(vec![Coercion::new_implicit(TypeSignatureClass::Native(to), from, native)])
    };
    let signed = [logical_int8(), logical_int16(), logical_int32()].map(TypeSignatureClass::Native);
    let unsigned = [logical_uint8(), logical_uint16(), logical_uint32()].map(TypeSignatureClass::Native);
    let of = vec![
        // The first, since it is what a NULL becomes.
        widened(logical_float64(), vec![TypeSignatureClass::Float], NativeType::Float64),
        exact(TypeSignatureClass::Decimal),
        widened(logical_uint64(), unsigned.to_vec(), NativeType::UInt64),
        widened(logical_int64(), signed.to_vec(), NativeType::Int64),
        exact(TypeSignatureClass::Duration),
    ];
    Signature::one_of(of, Volatility::Immutable)
}

/// The result of sums of exact values.
#[derive(Clone, Debug)]
struct Outcome {
    /// As the call is written.
    name: String,
    kind: Kind,
    result: DataType,
    /// The digits that an average has after the point, more than its values.
    more_digits: u8,
}

impl Outcome {
    fn new(kind: Kind, call: &AccumulatorArgs) -> Self {
        let result = call.return_type().clone();
        let more = scale(&result) - call.expr_fields.first().map_or(0, |field| scale(field.data_type()));
        let more_digits = u8::try_from(more).unwrap_or(0);
        Self { name: call.name.to_owned(), kind, result, more_digits }
    }

    fn all<T: Exact>(&self, totals: &[Total<T::Native>]) -> Result<ArrayRef> {
        match (self.kind, &self.result) {
            (Kind::Average, DataType::Float64) => {
                Ok(Arc::new(totals.iter().map(Total::mean).collect::<Float64Array>()))
            }
            (Kind::Average, result) => {
                let average =
                    |total: &Total<T::Native>| total.average::<T>(&self.name, self.more_digits, result);
                array::<T>(totals.iter().map(average), result)
            }
            (_, result) => array::<T>(totals.iter().map(|total| total.sum::<T>(&self.name, result)), result),
        }
    }

    fn one<T: Exact>(&self, total: Total<T::Native>) -> Result<ScalarValue> {
        ScalarValue::try_from_array(&self.all::<T>(&[total])?, 0)
    }
}

fn is_exact(of: &DataType) -> bool {
    fn yes<T: Exact>() -> bool {
        true
    }
    with_exact!(of, yes(), false)
}

impl AggregateUDFImpl for Aggregate {
    fn name(&self) -> &str {
        self.of_datafusion.name()
    }

    fn aliases(&self) -> &[String] {
        self.of_datafusion.aliases()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        let of = self.of_datafusion.return_type(types)?;
        match (self.kind, of) {
            // Its days and months are added on their own, and wrap.
            (Kind::Sum, DataType::Interval(_)) => Err(forms::refused(
                "a sum of intervals".to_owned(),
                "add numbers: `sum(extract(epoch FROM later - earlier))` are seconds",
                None,
            )),
            (Kind::Extreme, DataType::Map(..)) => Err(forms::refused(
                format!("`{}` of maps, which have no order", self.name()),
                "take a value out of each: `max(m['key'])`",
                None,
            )),
            (Kind::Count, of) => Ok(signed(&of)),
            (_, of) => Ok(of),
        }
    }

    fn return_field(&self, fields: &[FieldRef]) -> Result<FieldRef> {
        let field = self.of_datafusion.return_field(fields)?;
        let types: Vec<_> = fields.iter().map(|field| field.data_type().clone()).collect();
        match self.kind {
            Kind::Percentile | Kind::Statistic(_) | Kind::Other => Ok(field),
            _ => Ok(Arc::new(field.as_ref().clone().with_data_type(self.return_type(&types)?))),
        }
    }

    fn is_nullable(&self) -> bool {
        self.of_datafusion.is_nullable()
    }

    fn accumulator(&self, call: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        if let Some(percentile) = self.percentile(&call) {
            return Ok(percentile);
        }
        if !self.is_exact(call.expr_fields) {
            return Ok(self.finished(self.of_datafusion.accumulator(call.clone())?, &call));
        }
        let outcome = Outcome::new(self.kind, &call);
        let of = call.expr_fields[0].data_type();
        if call.is_distinct {
            return with_exact!(of, distinct(outcome, of.clone()), self.of_datafusion.accumulator(call));
        }
        with_exact!(of, plain(outcome, of.clone()), self.of_datafusion.accumulator(call))
    }

    fn state_fields(&self, call: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        if !self.is_exact(call.input_fields) {
            return self.of_datafusion.state_fields(call);
        }
        let of = call.input_fields[0].data_type().clone();
        let name = |part: &str| format_state_name(call.name, part);
        if call.is_distinct {
            let item = Field::new_list_field(of, true);
            return Ok(vec![Field::new_list(name("distinct"), item, false).into()]);
        }
        Ok(vec![
            Field::new(name("sum"), of, false).into(),
            Field::new(name("carried"), DataType::Int64, false).into(),
            Field::new(name("count"), DataType::UInt64, false).into(),
        ])
    }

    fn groups_accumulator_supported(&self, call: AccumulatorArgs) -> bool {
        if self.is_exact(call.expr_fields) {
            return !call.is_distinct;
        }
        // The groups of a correlation keep sums of squares that differ only in their last digits.
        let has_no_groups =
            matches!(self.kind, Kind::Count | Kind::Percentile | Kind::Statistic(Statistic::Correlation));
        !has_no_groups && self.of_datafusion.groups_accumulator_supported(call)
    }

    fn create_groups_accumulator(&self, call: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        if self.kind == Kind::Extreme {
            return extremes::groups(&self.of_datafusion, call);
        }
        if let Kind::Statistic(statistic) = self.kind {
            return Ok(FinishedGroups::of_states(
                self.of_datafusion.create_groups_accumulator(call)?,
                statistic,
            ));
        }
        if !self.is_exact(call.expr_fields) {
            let is_signed = has_floats(call.return_type());
            let groups = self.of_datafusion.create_groups_accumulator(call)?;
            return Ok(if is_signed { FinishedGroups::signless(groups) } else { groups });
        }
        let outcome = Outcome::new(self.kind, &call);
        let of = call.expr_fields[0].data_type();
        with_exact!(of, groups(outcome, of.clone()), self.of_datafusion.create_groups_accumulator(call))
    }

    fn create_sliding_accumulator(&self, call: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        if self.is_exact(call.expr_fields) {
            return self.accumulator(call);
        }
        if let Some(percentile) = self.percentile(&call) {
            return Ok(percentile);
        }
        let has_floats = call.expr_fields.iter().any(|field| has_floats(field.data_type()));
        let mut sliding = self.of_datafusion.create_sliding_accumulator(call.clone())?;
        let drifts = has_floats && !call.is_distinct && self.kind != Kind::Extreme;
        // It does not know when no value is left.
        let is_never_null = self.name() == "bit_xor";
        if !sliding.supports_retract_batch() || drifts || is_never_null {
            sliding = Box::new(Sliding::try_new(&self.of_datafusion, &call)?);
        }
        Ok(self.finished(sliding, &call))
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        self.of_datafusion.reverse_udf()
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        self.of_datafusion.order_sensitivity()
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        self.of_datafusion.coerce_types(types)
    }

    fn supports_within_group_clause(&self) -> bool {
        self.of_datafusion.supports_within_group_clause()
    }

    fn default_value(&self, of: &DataType) -> Result<ScalarValue> {
        match self.kind {
            Kind::Count => Ok(ScalarValue::Int64(Some(0))),
            _ => self.of_datafusion.default_value(of),
        }
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.of_datafusion.documentation()
    }
}

fn plain<T: Exact>(outcome: Outcome, of: DataType) -> Result<Box<dyn Accumulator>> {
    Ok(Box::new(Plain::<T> { outcome, of, total: Total::default() }))
}

fn distinct<T: Exact>(outcome: Outcome, of: DataType) -> Result<Box<dyn Accumulator>> {
    Ok(Box::new(Distinct::<T> { outcome, of, seen: HashMap::new(), total: Total::default() }))
}

fn groups<T: Exact>(outcome: Outcome, of: DataType) -> Result<Box<dyn GroupsAccumulator>> {
    Ok(Box::new(Groups::<T> { outcome, of, totals: Vec::new() }))
}

/// One total.
#[derive(Debug)]
struct Plain<T: Exact> {
    outcome: Outcome,
    of: DataType,
    total: Total<T::Native>,
}

impl<T: Exact> Accumulator for Plain<T> {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        each::<T>(&values[0], |value| self.total.add(value));
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        each::<T>(&values[0], |value| self.total.retract(value));
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.outcome.one::<T>(self.total)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let sum = ScalarValue::new_primitive::<T>(Some(self.total.sum), &self.of)?;
        Ok(vec![sum, self.total.carried.into(), self.total.count.into()])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        totals::<T>(states).for_each(|total| self.total.merge(total));
        Ok(())
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }
}

/// The values that are there.
fn each<T: ArrowPrimitiveType>(values: &ArrayRef, mut take: impl FnMut(T::Native)) {
    let values = values.as_primitive::<T>();
    match values.nulls().filter(|nulls| nulls.null_count() > 0) {
        None => values.values().iter().for_each(|value| take(*value)),
        Some(nulls) => nulls.valid_indices().for_each(|row| take(values.value(row))),
    }
}

fn totals<T: Exact>(states: &[ArrayRef]) -> impl Iterator<Item = Total<T::Native>> {
    let sums = states[0].as_primitive::<T>().values().iter();
    let carried = states[1].as_primitive::<Int64Type>().values().iter();
    let counts = states[2].as_primitive::<UInt64Type>().values().iter();
    let parts = sums.zip(carried).zip(counts);
    parts.map(|((sum, carried), count)| Total { sum: *sum, carried: *carried, count: *count })
}

/// The total of the values that differ.
#[derive(Debug)]
struct Distinct<T: Exact> {
    outcome: Outcome,
    of: DataType,
    /// How often each value is there.
    seen: HashMap<T::Native, u64>,
    total: Total<T::Native>,
}

impl<T: Exact> Accumulator for Distinct<T> {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        each::<T>(&values[0], |value| {
            let times = self.seen.entry(value).or_default();
            *times += 1;
            if *times == 1 {
                self.total.add(value);
            }
        });
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        each::<T>(&values[0], |value| {
            if let Some(times) = self.seen.get_mut(&value) {
                *times -= 1;
                if *times == 0 {
                    self.seen.remove(&value);
                    self.total.retract(value);
                }
            }
        });
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.outcome.one::<T>(self.total)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let value = |value: &T::Native| ScalarValue::new_primitive::<T>(Some(*value), &self.of);
        let values = self.seen.keys().map(value).collect::<Result<Vec<_>>>()?;
        Ok(vec![ScalarValue::List(ScalarValue::new_list_nullable(&values, &self.of))])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        states[0].as_list::<i32>().iter().flatten().try_for_each(|values| self.update_batch(&[values]))
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.seen.capacity() * size_of::<(T::Native, u64)>()
    }
}

/// A total for each group.
struct Groups<T: Exact> {
    outcome: Outcome,
    of: DataType,
    totals: Vec<Total<T::Native>>,
}

impl<T: Exact> GroupsAccumulator for Groups<T> {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        groups_in_all: usize,
    ) -> Result<()> {
        self.totals.resize(groups_in_all, Total::default());
        let values = values[0].as_primitive::<T>();
        match (values.nulls().filter(|nulls| nulls.null_count() > 0), filter) {
            (None, None) => {
                for (group, value) in groups.iter().zip(values.values()) {
                    self.totals[*group].add(*value);
                }
            }
            (nulls, filter) => {
                for (row, group) in groups.iter().enumerate() {
                    let is_chosen = filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row));
                    if is_chosen && nulls.is_none_or(|nulls| nulls.is_valid(row)) {
                        self.totals[*group].add(values.value(row));
                    }
                }
            }
        }
        Ok(())
    }

    fn evaluate(&mut self, emit: EmitTo) -> Result<ArrayRef> {
        self.outcome.all::<T>(&emit.take_needed(&mut self.totals))
    }

    fn state(&mut self, emit: EmitTo) -> Result<Vec<ArrayRef>> {
        states::<T>(&emit.take_needed(&mut self.totals), &self.of)
    }

    fn merge_batch(&mut self, states: &[ArrayRef], groups: &[usize], groups_in_all: usize) -> Result<()> {
        self.totals.resize(groups_in_all, Total::default());
        for (group, total) in groups.iter().zip(totals::<T>(states)) {
            self.totals[*group].merge(total);
        }
        Ok(())
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let values = values[0].as_primitive::<T>();
        let total = |row: usize| {
            let mut total = Total::default();
            if values.is_valid(row) && filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row)) {
                total.add(values.value(row));
            }
            total
        };
        states::<T>(&(0..values.len()).map(total).collect::<Vec<_>>(), &self.of)
    }

    fn size(&self) -> usize {
        self.totals.capacity() * size_of::<Total<T::Native>>()
    }
}

fn states<T: Exact>(totals: &[Total<T::Native>], of: &DataType) -> Result<Vec<ArrayRef>> {
    Ok(vec![
        array::<T>(totals.iter().map(|total| Ok(Some(total.sum))), of)?,
        array::<Int64Type>(totals.iter().map(|total| Ok(Some(total.carried))), &DataType::Int64)?,
        array::<UInt64Type>(totals.iter().map(|total| Ok(Some(total.count))), &DataType::UInt64)?,
    ])
}
