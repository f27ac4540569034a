//! Values of two kinds that meet in a comparison, a list, CASE or UNION: which kind they become, where DataFusion's choice
//! would lose some of them.
//!
//! It takes a double beside a decimal for a decimal of 15 digits after the point, which large and small doubles are not, so
//! here the decimal becomes a double, and a literal the one nearest to it. It reads a text or a day beside a timestamp in
//! nanoseconds, which end in 2262, so here it is read in microseconds. It cuts moments to the coarsest of their units, so here
//! they come to the finest. It compares no times of day of two units; here they all come to microseconds.

use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType, FieldRef, TimeUnit};
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, ExprSchema as _, Result, ScalarValue};
use datafusion::config::ConfigOptions;
use datafusion::execution::FunctionRegistry as _;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::binary::type_union_resolution;
use datafusion::logical_expr::expr::{Between, BinaryExpr, Case, InList, InSubquery, ScalarFunction};
use datafusion::logical_expr::expr_schema::cast_subquery;
use datafusion::logical_expr::{
    Cast, ColumnarValue, Expr, ExprSchemable as _, Join, LogicalPlan, LogicalPlanBuilder, Operator,
    RecursiveQuery, ScalarFunctionArgs, ScalarUDFImpl, Union,
};
use datafusion::optimizer::AnalyzerRule;
use datafusion::optimizer::analyzer::type_coercion::coerce_union_schema;
use std::sync::Arc;

use super::moments::is_text_or_day;
use super::wrapped::{Around, wrap};
use super::{forms, moments, rewrite, rounding, tree};

/// Gives operands of two kinds one type. It runs before DataFusion's own rule, which then finds nothing to choose.
#[derive(Debug)]
pub(super) struct MixedTypes;

impl AnalyzerRule for MixedTypes {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        tree::rewrite_nodes(plan, &mut in_plan)
    }

    fn name(&self) -> &'static str {
        "mixed_types"
    }
}

/// Sets the types of each UNION to those that its inputs are cast to, and the types of all nodes above it. DataFusion takes those
/// of the first input at first, and other rules would rely on them: `floor(x)` of an integer is `x`.
#[derive(Debug)]
pub(super) struct TypesOfUnions;

impl AnalyzerRule for TypesOfUnions {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        tree::rewrite_nodes(plan, &mut |node| match node {
            LogicalPlan::Union(union) => in_union(union),
            node => Ok(Transformed::yes(node.recompute_schema()?)),
        })
    }

    fn name(&self) -> &'static str {
        "types_of_unions"
    }
}

/// Makes `nvl` what `coalesce` is. DataFusion's takes decimals for doubles. And lets functions of lists take values of two
/// kinds, and those that choose a value take times of two units, which DataFusion refuses before any rule sees them.
pub(super) fn install(state: &mut SessionState) -> Result<()> {
    let coalesce = datafusion::functions::core::coalesce().as_ref().clone();
    state.register_udf(Arc::new(coalesce.with_aliases(["nvl", "ifnull"])))?;
    ["coalesce", "greatest", "least", "nullif"].iter().try_for_each(|name| wrap(state, name, OfOneUnit))?;
    OF_LISTS.iter().try_for_each(|(name, values)| wrap(state, name, OfOneKind { values: *values }))
}

#[derive(Debug)]
struct OfOneUnit;

impl Around for OfOneUnit {
    const MAY_SIMPLIFY: bool = true;
    const CHANGES_ARGUMENTS: bool = true;

    fn takes(&self, types: &[DataType]) -> Vec<DataType> {
        match way_of_times(types) {
            Some(way) => types.iter().map(|of| brought(of, &way)).collect(),
            None => types.to_vec(),
        }
    }

    fn call(&self, function: &dyn ScalarUDFImpl, call: ScalarFunctionArgs) -> Result<ColumnarValue> {
        function.invoke_with_args(call)
    }
}

/// Functions of a list and values that are, or may be, in it, with the number of arguments that are these.
const OF_LISTS: [(&str, usize); 17] = [
    ("array_append", 2),
    ("array_concat", usize::MAX),
    ("array_except", 2),
    ("array_has", 2),
    ("array_has_all", 2),
    ("array_has_any", 2),
    ("array_intersect", 2),
    ("array_position", 2),
    ("array_positions", 2),
    ("array_prepend", 2),
    ("array_remove", 2),
    ("array_remove_all", 2),
    ("array_remove_n", 2),
    ("array_replace", 3),
    ("array_replace_all", 3),
    ("array_replace_n", 3),
    ("array_union", 2),
];

#[derive(Debug)]
struct OfOneKind {
    values: usize,
}

impl Around for OfOneKind {
    // Why not simplified: `array_has([1, NULL], x)` would become `x IN (1, NULL)`, which is NULL where this is false.
    const CHANGES_ARGUMENTS: bool = true;

    fn takes(&self, types: &[DataType]) -> Vec<DataType> {
        let (values, others) = types.split_at(self.values.min(types.len()));
        match way(values).or_else(|| way_of_numbers(values)) {
            Some(way) => values.iter().map(|of| brought(of, &way)).chain(others.iter().cloned()).collect(),
            None => types.to_vec(),
        }
    }

    fn call(&self, function: &dyn ScalarUDFImpl, call: ScalarFunctionArgs) -> Result<ColumnarValue> {
        function.invoke_with_args(call)
    }
}

fn in_plan(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    // Why: its columns may have other types by now, if there is a UNION below.
    let plan = plan.recompute_schema()?;
    let columns = rewrite::expressions(plan, &in_expression)?.transform_data(|plan| match plan {
        LogicalPlan::Union(union) => in_union(union),
        LogicalPlan::Join(join) => in_keys(join),
        LogicalPlan::RecursiveQuery(query) => {
            of_first_rows(&query)?;
            Ok(Transformed::no(LogicalPlan::RecursiveQuery(query)))
        }
        plan => Ok(Transformed::no(plan)),
    })?;
    if columns.transformed { columns.map_data(LogicalPlan::recompute_schema) } else { Ok(columns) }
}

/// The kind of value that gives way, and the type it becomes.
#[derive(Debug)]
struct Way {
    gives_way: fn(&DataType) -> bool,
    to: DataType,
}

/// How values of these types come to one kind; `None` where DataFusion's choice is right.
fn way(types: &[DataType]) -> Option<Way> {
    let items = || types.iter().map(item);
    if items().any(DataType::is_floating) && items().any(DataType::is_decimal) {
        return Some(Way { gives_way: DataType::is_decimal, to: DataType::Float64 });
    }
    way_of_moments(types).or_else(|| way_of_times(types))
}

/// How times of day come to one unit. A text beside one is read in microseconds, as its fraction may have six digits.
fn way_of_times(types: &[DataType]) -> Option<Way> {
    let items = || types.iter().map(item);
    let first = items().find(|of| moments::is_time(of))?;
    let is_of_one_unit = items().all(|of| of == first || !moments::is_time_or_text(of));
    (!is_of_one_unit).then_some(Way { gives_way: moments::is_time_or_text, to: moments::TIME_OF_DAY })
}

/// How moments come to the finest of their units, which is at least microseconds where a text or a day becomes one.
/// Nanoseconds are left to DataFusion's choice, but for moments of other units.
fn way_of_moments(types: &[DataType]) -> Option<Way> {
    let items = || types.iter().map(item);
    let units = || {
        items().filter_map(|of| match of {
            DataType::Timestamp(unit, _) => Some(*unit),
            _ => None,
        })
    };
    let finest = units().max()?;
    let is_moment: fn(&DataType) -> bool = |of| matches!(of, DataType::Timestamp(..));
    let (gives_way, finest): (fn(&DataType) -> bool, _) = match finest {
        TimeUnit::Nanosecond => (is_moment, finest),
        _ if items().any(is_text_or_day) => (moments::is_moment_or_text, finest.max(TimeUnit::Microsecond)),
        _ => (is_moment, finest),
    };
    if units().all(|unit| unit == finest) && !items().any(|of| gives_way(of) && !is_moment(of)) {
        return None;
    }
    let zone = items().find_map(|of| match of {
        DataType::Timestamp(_, zone) => zone.clone(),
        _ => None,
    });
    Some(Way { gives_way, to: DataType::Timestamp(finest, zone) })
}

/// How numbers in lists and beside them come to one type.
fn way_of_numbers(types: &[DataType]) -> Option<Way> {
    let items: Vec<DataType> = types.iter().map(|of| item(of).clone()).collect();
    if !items.iter().all(DataType::is_numeric) {
        return None;
    }
    let to = type_union_resolution(&items)?;
    Some(Way { gives_way: DataType::is_numeric, to })
}

/// The type with its items brought to one kind.
fn brought(of: &DataType, way: &Way) -> DataType {
    let list = |field: &FieldRef| -> FieldRef {
        let of = brought(field.data_type(), way);
        Arc::new(field.as_ref().clone().with_data_type(of))
    };
    match of {
        DataType::List(field) => DataType::List(list(field)),
        DataType::LargeList(field) => DataType::LargeList(list(field)),
        DataType::FixedSizeList(field, length) => DataType::FixedSizeList(list(field), *length),
        item if (way.gives_way)(item) => way.to.clone(),
        item => item.clone(),
    }
}

/// What a list is of, or the type itself.
fn item(of: &DataType) -> &DataType {
    match of {
        DataType::List(field) | DataType::LargeList(field) | DataType::FixedSizeList(field, _) => {
            item(field.data_type())
        }
        other => other,
    }
}

/// Brings expressions to one kind; whether it had to.
fn bring<'a>(expressions: impl IntoIterator<Item = &'a mut Expr>, schema: &DFSchema) -> Result<bool> {
    let mut expressions: Vec<_> = expressions.into_iter().collect();
    let has_numbers = with_numbers(&mut expressions, schema)?;
    let types = expressions.iter().map(|part| part.get_type(schema)).collect::<Result<Vec<_>>>()?;
    if types.iter().any(moments::is_moment) && types.iter().any(DataType::is_numeric) {
        let place = expressions.iter().find_map(|part| rewrite::place(part).first());
        return Err(forms::refused(
            "a date or timestamp beside a number".to_owned(),
            moments::BESIDE_NUMBER_HINT,
            place,
        ));
    }
    let Some(way) = way(&types) else { return Ok(has_numbers) };
    for (expression, of) in expressions.iter_mut().zip(&types) {
        let to = brought(of, &way);
        if to != *of {
            let before = std::mem::take(*expression);
            **expression = cast(before, &to);
        }
    }
    Ok(true)
}

/// Makes numbers of texts that are written beside decimals. Why: as a DECIMAL of the same type, `'1.504'` would be 1.50.
fn with_numbers(expressions: &mut [&mut Expr], schema: &DFSchema) -> Result<bool> {
    let types = expressions.iter().map(|part| part.get_type(schema)).collect::<Result<Vec<_>>>()?;
    if !types.iter().any(DataType::is_decimal) || types.iter().any(DataType::is_floating) {
        return Ok(false);
    }
    let mut has_any = false;
    for expression in expressions {
        if let Some(number) = rewrite::literal_text(expression).and_then(exact) {
            **expression = Expr::Literal(number, None);
            has_any = true;
        }
    }
    Ok(has_any)
}

/// The number that a text is, with all its digits, if it is one without an exponent.
fn exact(text: &str) -> Option<ScalarValue> {
    let digits = text.trim().strip_prefix(['-', '+']).unwrap_or(text.trim());
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let count = whole.len() + fraction.len();
    let is_number = count > 0 && format!("{whole}{fraction}").bytes().all(|digit| digit.is_ascii_digit());
    if !is_number || count > DECIMAL128_MAX_PRECISION.into() {
        return None;
    }
    let units: i128 = format!("{whole}{fraction}").parse().ok()?;
    let units = if text.trim().starts_with('-') { -units } else { units };
    Some(ScalarValue::Decimal128(Some(units), count as u8, fraction.len() as i8))
}

fn cast(expression: Expr, to: &DataType) -> Expr {
    match &expression {
        Expr::Literal(value, metadata) if *to == DataType::Float64 => match nearest(value) {
            Some(nearest) => Expr::Literal(ScalarValue::Float64(Some(nearest)), metadata.clone()),
            None => Expr::Cast(Cast::new(Box::new(expression), to.clone())),
        },
        _ => Expr::Cast(Cast::new(Box::new(expression), to.clone())),
    }
}

/// The double nearest to a decimal. Why by its text: a quotient of two doubles is rounded twice.
fn nearest(value: &ScalarValue) -> Option<f64> {
    match value {
        ScalarValue::Decimal128(Some(value), _, scale) => {
            format!("{value}e{}", -i16::from(*scale)).parse().ok()
        }
        ScalarValue::Decimal256(Some(value), _, scale) => {
            format!("{value}e{}", -i16::from(*scale)).parse().ok()
        }
        _ => None,
    }
}

/// Functions that give one of their arguments, or a list of them: so these have one type.
const OF_ONE_TYPE: [&str; 8] =
    ["coalesce", "greatest", "least", "make_array", "nullif", "nvl2", "array_append", "array_has"];
/// Functions whose arguments stay apart.
const OF_MANY_TYPES: [&str; 4] = ["map", "named_struct", "row", "struct"];

fn in_expression(mut expression: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let is_brought = match &mut expression {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            let is_compared = matches!(
                op,
                Operator::Eq
                    | Operator::NotEq
                    | Operator::Lt
                    | Operator::LtEq
                    | Operator::Gt
                    | Operator::GtEq
                    | Operator::IsDistinctFrom
                    | Operator::IsNotDistinctFrom
            );
            if moments::beside_interval(left, *op, right, schema)? || of_signs(left, *op, right, schema)? {
                return Ok(Transformed::yes(expression));
            }
            let types = [left.get_type(schema)?, right.get_type(schema)?];
            // Why: `ts - '1 day'` is not a comparison, and its text no timestamp; `day + 1` is a day.
            let stays = types.iter().any(DataType::is_string)
                || types.iter().any(moments::is_moment) && types.iter().any(DataType::is_numeric);
            (is_compared || !stays) && bring([left.as_mut(), right.as_mut()], schema)?
        }
        Expr::Between(Between { expr, low, high, .. }) => {
            bring([expr.as_mut(), low.as_mut(), high.as_mut()], schema)?
        }
        Expr::InList(InList { expr, list, .. }) => {
            bring(std::iter::once(expr.as_mut()).chain(list.iter_mut()), schema)?
        }
        Expr::InSubquery(within) => in_subquery(within, schema)?,
        Expr::Case(Case { expr, when_then_expr, else_expr }) => {
            let (whens, thens): (Vec<_>, Vec<_>) =
                when_then_expr.iter_mut().map(|(when, then)| (when.as_mut(), then.as_mut())).unzip();
            let is_compared = match expr {
                Some(expr) => bring(std::iter::once(expr.as_mut()).chain(whens), schema)?,
                None => false,
            };
            bring(thens.into_iter().chain(else_expr.as_deref_mut()), schema)? || is_compared
        }
        Expr::ScalarFunction(ScalarFunction { func, args }) if func.name() == "round" => {
            args.get_mut(1).is_some_and(rounding::with_places)
        }
        Expr::ScalarFunction(ScalarFunction { func, args }) if !OF_MANY_TYPES.contains(&func.name()) => {
            let types = args.iter().map(|part| part.get_type(schema)).collect::<Result<Vec<_>>>()?;
            let is_of_numbers = !types.iter().any(|of| is_text_or_day(of) || moments::is_moment(of));
            (is_of_numbers || OF_ONE_TYPE.contains(&func.name())) && bring(args.iter_mut(), schema)?
        }
        Expr::Cast(_) | Expr::TryCast(_) => return moments::of_number(expression, schema),
        _ => false,
    };
    Ok(if is_brought { Transformed::yes(expression) } else { Transformed::no(expression) })
}

/// Makes an unsigned integer that is calculated with beside a signed one BIGINT; what does not fit is refused. Why: the
/// largest type of them becomes a decimal there, and `/` no longer divides integers.
fn of_signs(left: &mut Expr, op: Operator, right: &mut Expr, schema: &DFSchema) -> Result<bool> {
    let types = [left.get_type(schema)?, right.get_type(schema)?];
    let is_mixed = types.iter().all(DataType::is_integer)
        && types[0].is_unsigned_integer() != types[1].is_unsigned_integer();
    if !is_mixed || !op.is_numerical_operators() {
        return Ok(false);
    }
    for (side, of) in [left, right].into_iter().zip(&types) {
        if of.is_unsigned_integer() {
            let before = std::mem::take(side);
            *side = cast(before, &DataType::Int64);
        }
    }
    Ok(true)
}

fn in_subquery(within: &mut InSubquery, schema: &DFSchema) -> Result<bool> {
    let types =
        [within.expr.get_type(schema)?, within.subquery.subquery.schema().field(0).data_type().clone()];
    let Some(way) = way(&types) else { return Ok(false) };
    if (way.gives_way)(&types[0]) {
        let before = std::mem::take(within.expr.as_mut());
        *within.expr = cast(before, &way.to);
    }
    if (way.gives_way)(&types[1]) {
        within.subquery = cast_subquery(within.subquery.clone(), &way.to)?;
    }
    Ok(true)
}

fn in_keys(mut join: Join) -> Result<Transformed<LogicalPlan>> {
    let schema = join.left.schema().join(join.right.schema())?;
    let mut is_brought = false;
    for (left, right) in &mut join.on {
        is_brought |= bring([left, right], &schema)?;
    }
    let join = LogicalPlan::Join(join);
    Ok(if is_brought { Transformed::yes(join) } else { Transformed::no(join) })
}

/// # Errors
/// A column of the rows that follow has become of another type than it is in the first rows.
fn of_first_rows(query: &RecursiveQuery) -> Result<()> {
    let (first, next) = (query.static_term.schema(), query.recursive_term.schema());
    for (first, next) in first.fields().iter().zip(next.fields()) {
        if first.data_type() != next.data_type() {
            return Err(forms::of_two_types(first.name(), first.data_type(), next.data_type(), None));
        }
    }
    Ok(())
}

fn in_union(union: Union) -> Result<Transformed<LogicalPlan>> {
    let columns = union.inputs.first().map_or(0, |input| input.schema().fields().len());
    let of_column = |column: usize| {
        let types = union.inputs.iter().filter_map(|input| input.schema().fields().get(column));
        way(&types.map(|field| field.data_type().clone()).collect::<Vec<_>>())
    };
    let ways: Vec<Option<Way>> = (0..columns).map(of_column).collect();
    if ways.iter().all(Option::is_none) {
        // Why: DataFusion brings the inputs to the types of the union, which are those from before other rules.
        let union = of_all_inputs(Union::try_new_with_loose_types(union.inputs)?)?;
        return Ok(Transformed::yes(LogicalPlan::Union(union)));
    }
    let brought = |input: &Arc<LogicalPlan>| {
        let parts = input.schema().columns().into_iter().zip(&ways).map(|(column, way)| {
            let (name, of) = (column.name.clone(), input.schema().data_type(&column)?);
            Ok(match way {
                Some(way) if (way.gives_way)(of) => cast(Expr::Column(column), &way.to).alias(name),
                _ => Expr::Column(column),
            })
        });
        let parts = parts.collect::<Result<Vec<_>>>()?;
        let input = LogicalPlanBuilder::from(Arc::clone(input)).project(parts)?.build()?;
        Ok(Arc::new(input))
    };
    let inputs = union.inputs.iter().map(brought).collect::<Result<Vec<_>>>()?;
    Ok(Transformed::yes(LogicalPlan::Union(of_all_inputs(Union::try_new_with_loose_types(inputs)?)?)))
}

/// The union with the types that its inputs will be brought to, so that what is above chooses by these. Without any, the types
/// stay, and DataFusion's rule tells the error.
fn of_all_inputs(union: Union) -> Result<Union> {
    let Ok(common) = coerce_union_schema(&union.inputs) else { return Ok(union) };
    let fields = union.schema.iter().zip(common.fields()).map(|((relation, field), common)| {
        let field = field.as_ref().clone().with_data_type(common.data_type().clone());
        (relation.cloned(), Arc::new(field))
    });
    let schema = DFSchema::new_with_metadata(fields.collect(), DFSchema::metadata(&union.schema).clone())?;
    Ok(Union { inputs: union.inputs, schema: Arc::new(schema) })
}
