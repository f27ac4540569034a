//! Which expressions are never NULL. Whatever is in no list here may be.

use arrow::datatypes::DataType;
use datafusion::common::Column;
use datafusion::logical_expr::expr::{
    Between, Case, Cast, InList, Like, ScalarFunction, WindowFunction, WindowFunctionParams,
};
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable as _, Operator, WindowFrameBound};

use super::Columns;
use crate::batch::Nulls;
use crate::sql::FIELD_OF;
use crate::sql::lint::{is_comparison, unaliased};
use crate::sql::raised::RAISE_ERROR;
use crate::sql::rewrite::literal_text;

/// Functions that return no NULL if no argument is NULL, whatever the values are: they return a value, or fail.
pub(super) const TOTAL: [&str; 55] = [
    "abs",
    "ascii",
    "bit_length",
    "btrim",
    "ceil",
    "char_length",
    "character_length",
    "chr",
    "concat",
    "concat_ws",
    "contains",
    "current_date",
    "current_timestamp",
    "date_trunc",
    "ends_with",
    "floor",
    "greatest",
    "initcap",
    "left",
    "least",
    "length",
    "levenshtein",
    "lower",
    "lpad",
    "ltrim",
    "make_array",
    "md5",
    "named_struct",
    "now",
    "octet_length",
    "overlay",
    "position",
    RAISE_ERROR,
    "regexp_like",
    "regexp_replace",
    "repeat",
    "replace",
    "reverse",
    "right",
    "round",
    "rpad",
    "rtrim",
    "sha256",
    "signum",
    "starts_with",
    "strpos",
    "struct",
    "substr",
    "substring",
    "to_hex",
    "translate",
    "trim",
    "trunc",
    "upper",
    "uuid",
];
/// Functions that return the first of their arguments that is not NULL.
const FIRST_OF: [&str; 3] = ["coalesce", "ifnull", "nvl"];
/// Aggregates of which no NULL comes if there are rows, and none of them has a NULL.
const OF_ROWS: [&str; 10] = [
    "array_agg",
    "avg",
    "bool_and",
    "bool_or",
    "first_value",
    "last_value",
    "max",
    "min",
    "string_agg",
    "sum",
];
/// The aggregate of which no NULL comes.
const COUNT: &str = "count";
/// Window functions that number rows.
const NUMBERING: [&str; 6] = ["cume_dist", "dense_rank", "ntile", "percent_rank", "rank", "row_number"];

impl Columns {
    /// What is known of an expression over these columns.
    pub(super) fn of(&self, expression: &Expr) -> Nulls {
        let all = |parts: &[&Expr]| Nulls::never_if(parts.iter().all(|part| self.is_never(part)));
        match expression {
            Expr::Alias(alias) => self.of(&alias.expr),
            Expr::Column(column) => self.of_column(column),
            Expr::Literal(value, _) => Nulls::never_if(!value.is_null()),
            Expr::IsNull(_)
            | Expr::IsNotNull(_)
            | Expr::IsTrue(_)
            | Expr::IsFalse(_)
            | Expr::IsUnknown(_)
            | Expr::IsNotTrue(_)
            | Expr::IsNotFalse(_)
            | Expr::IsNotUnknown(_)
            | Expr::Exists(_) => Nulls::NEVER,
            Expr::Not(inner) | Expr::Negative(inner) => all(&[inner]),
            Expr::BinaryExpr(binary) => Nulls::never_if(self.is_binary_never(binary, expression)),
            Expr::Like(Like { expr, pattern, .. }) | Expr::SimilarTo(Like { expr, pattern, .. }) => {
                all(&[expr, pattern])
            }
            Expr::Between(Between { expr, low, high, .. }) => all(&[expr, low, high]),
            Expr::InList(InList { expr, list, .. }) => {
                Nulls::never_if(self.is_never(expr) && list.iter().all(|item| self.is_never(item)))
            }
            Expr::Case(case) => self.of_case(case),
            Expr::Cast(Cast { expr, field }) => match expr.get_type(&*self.schema) {
                Ok(from) if from == *field.data_type() => self.of(expr),
                Ok(from) if is_exact(&from) && is_exact(field.data_type()) => all(&[expr]),
                _ => Nulls::default(),
            },
            Expr::ScalarFunction(call) => self.of_call(call),
            Expr::WindowFunction(call) => Nulls::never_if(self.is_window_never(call)),
            _ => Nulls::default(),
        }
    }

    fn is_never(&self, expression: &Expr) -> bool {
        self.of(expression).is_never
    }

    fn of_column(&self, column: &Column) -> Nulls {
        let place = self.schema.maybe_index_of_column(column);
        place.and_then(|place| self.nulls.get(place)).cloned().unwrap_or_default()
    }

    fn is_binary_never(&self, binary: &BinaryExpr, whole: &Expr) -> bool {
        let BinaryExpr { left, op, right } = binary;
        match op {
            Operator::IsDistinctFrom | Operator::IsNotDistinctFrom => true,
            op if is_comparison(*op) || matches!(op, Operator::And | Operator::Or) => {
                self.is_never(left) && self.is_never(right)
            }
            // A division by 0 is an error. Not what is done with JSON, lists and intervals.
            Operator::Plus
            | Operator::Minus
            | Operator::Multiply
            | Operator::Divide
            | Operator::Modulo
            | Operator::StringConcat => {
                let is_plain = |part: &Expr| part.get_type(&*self.schema).is_ok_and(|of| is_exact(&of));
                [whole, left, right].into_iter().all(is_plain) && self.is_never(left) && self.is_never(right)
            }
            _ => false,
        }
    }

    /// A branch is only taken if its condition is true, and none before it was.
    fn of_case(&self, case: &Case) -> Nulls {
        let Some(otherwise) = &case.else_expr else { return Nulls::default() };
        let mut columns = self.clone();
        let mut branches = Vec::new();
        for (when, then) in &case.when_then_expr {
            let mut taken = columns.clone();
            if case.expr.is_none() {
                taken.require(when);
                if let Expr::IsNull(value) = unaliased(when) {
                    columns.require_value(value);
                }
            }
            branches.push(taken.of(then));
        }
        branches.into_iter().fold(columns.of(otherwise), Nulls::and)
    }

    fn of_call(&self, call: &ScalarFunction) -> Nulls {
        let arguments = call.args.as_slice();
        match (call.name(), arguments) {
            (FIELD_OF, [record, names @ ..]) => {
                let field = |record: Nulls, name: &Expr| match literal_text(name) {
                    Some(name) => record.field(name),
                    None => Nulls::default(),
                };
                names.iter().fold(self.of(record), field)
            }
            (name, arguments) if FIRST_OF.contains(&name) => {
                Nulls::never_if(arguments.iter().any(|argument| self.is_never(argument)))
            }
            (name, arguments) if TOTAL.contains(&name) => {
                Nulls::never_if(arguments.iter().all(|argument| self.is_never(argument)))
            }
            _ => Nulls::default(),
        }
    }

    /// Of an aggregate over a group; `has_rows`: whether each group has a row.
    pub(super) fn of_aggregate(&self, expression: &Expr, has_rows: bool) -> Nulls {
        let Expr::AggregateFunction(call) = unaliased(expression) else { return Nulls::default() };
        let is_of_all = has_rows && call.params.filter.is_none();
        let is_never = match call.func.name() {
            COUNT => true,
            name => {
                OF_ROWS.contains(&name)
                    && is_of_all
                    && call.params.args.iter().all(|part| self.is_never(part))
            }
        };
        Nulls::never_if(is_never)
    }

    fn is_window_never(&self, call: &WindowFunction) -> bool {
        let WindowFunctionParams { args, window_frame, filter, .. } = &call.params;
        let name = call.fun.name();
        let has_current_row =
            matches!(window_frame.start_bound, WindowFrameBound::Preceding(_) | WindowFrameBound::CurrentRow)
                && matches!(
                    window_frame.end_bound,
                    WindowFrameBound::CurrentRow | WindowFrameBound::Following(_)
                );
        match name {
            COUNT => true,
            // Without a default they are NULL beyond the partition.
            "lag" | "lead" => args.len() == 3 && self.is_never(&args[0]) && self.is_never(&args[2]),
            name if NUMBERING.contains(&name) => true,
            name => {
                OF_ROWS.contains(&name)
                    && has_current_row
                    && filter.is_none()
                    && args.iter().all(|argument| self.is_never(argument))
            }
        }
    }

    /// Notes what is not NULL in the rows that a condition keeps.
    pub(super) fn require(&mut self, condition: &Expr) {
        for part in split_conjunction(condition) {
            match unaliased(part) {
                Expr::IsNotNull(value) => self.require_value(value),
                Expr::BinaryExpr(BinaryExpr { left, op, right }) if is_comparison(*op) => {
                    self.require_value(left);
                    self.require_value(right);
                }
                Expr::Like(Like { expr, .. })
                | Expr::Between(Between { expr, .. })
                | Expr::Not(expr)
                | Expr::IsTrue(expr)
                | Expr::IsFalse(expr) => self.require_value(expr),
                Expr::InList(InList { expr, list, .. }) if !list.is_empty() => self.require_value(expr),
                flag => self.require_value(flag),
            }
        }
    }

    /// Notes that a value is not NULL, if it is a column or a field of a record.
    pub(super) fn require_value(&mut self, value: &Expr) {
        let mut path = Vec::new();
        if let Some(place) =
            path_to(value, &mut path).and_then(|column| self.schema.maybe_index_of_column(column))
            && let Some(nulls) = self.nulls.get_mut(place)
        {
            nulls.require(&path);
        }
    }
}

/// The column that a value is a field of, or is; adds the names that lead to the field.
fn path_to<'e>(value: &'e Expr, path: &mut Vec<&'e str>) -> Option<&'e Column> {
    match value {
        Expr::Alias(alias) => path_to(&alias.expr, path),
        Expr::Cast(cast) => path_to(&cast.expr, path),
        Expr::Column(column) => Some(column),
        Expr::ScalarFunction(call) if call.name() == FIELD_OF => {
            let (record, names) = call.args.split_first()?;
            let column = path_to(record, path)?;
            for name in names {
                path.push(literal_text(name)?);
            }
            Some(column)
        }
        _ => None,
    }
}

/// Types between which a cast returns a value or fails, and on which an operator does so too.
fn is_exact(of: &DataType) -> bool {
    let is_day_or_moment = matches!(of, DataType::Date32 | DataType::Timestamp(..));
    of.is_numeric() || of.is_string() || is_day_or_moment || *of == DataType::Boolean
}
