//! Types that are changed without being asked for: numbers as conditions, text compared with numbers or dates, branches of a
//! CASE of which one is text and another a number; and comparisons with NULL.

use arrow::datatypes::DataType;
use datafusion::common::DFSchema;
use datafusion::logical_expr::expr::{Between, Case, InList};
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable as _, LogicalPlan, Operator};

use super::super::tree;
use super::{Planned, place, push_once};
use crate::diagnostic::{Code, Diagnostic};
use crate::sql::sql_types::in_sql;

/// Types that become each other without harm are of one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    Boolean,
    Number,
    Text,
    Date,
    Timestamp,
    /// About which this lint says nothing.
    Other,
}

/// Functions that give one of their arguments.
const CHOOSING: &[&str] = &["coalesce", "nvl", "ifnull", "nullif", "greatest", "least"];

pub(super) fn warnings(view: &Planned<'_>) -> Vec<Diagnostic> {
    let mut warnings = Vec::new();
    tree::each_node(view.plan, &mut |node| {
        let schema = merge_schema(&node.inputs());
        let mut rule = Rule { view, schema: &schema, warnings: &mut warnings };
        match node {
            LogicalPlan::Filter(filter) => rule.condition(&filter.predicate),
            LogicalPlan::Join(join) => {
                for (left, right) in &join.on {
                    rule.comparison(left, right, left);
                }
                if let Some(filter) = &join.filter {
                    rule.condition(filter);
                }
            }
            LogicalPlan::Union(union) => rule.branches_of_union(&union.inputs),
            _ => {}
        }
        tree::each_part_of(node, &mut |part| rule.part(part));
    });
    warnings
}

struct Rule<'a, 'w> {
    view: &'a Planned<'a>,
    schema: &'a DFSchema,
    warnings: &'w mut Vec<Diagnostic>,
}

impl Rule<'_, '_> {
    fn part(&mut self, part: &Expr) {
        match part {
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::And | Operator::Or, right }) => {
                self.condition(left);
                self.condition(right);
            }
            Expr::BinaryExpr(BinaryExpr { left, op, right }) if is_comparison(*op) => {
                self.null_comparison(left, right, part);
                self.comparison(left, right, part);
            }
            Expr::Not(inner) => self.condition(inner),
            Expr::Between(Between { expr, low, high, .. }) => {
                self.comparison(expr, low, part);
                self.comparison(expr, high, part);
            }
            Expr::InList(InList { expr, list, .. }) => {
                list.iter().for_each(|item| self.comparison(expr, item, part));
            }
            Expr::Case(case) => self.case(case, part),
            Expr::ScalarFunction(call) if CHOOSING.contains(&call.name()) => {
                let what = format!("the arguments of `{}` are of different types", call.name());
                self.mixed(&call.args.iter().collect::<Vec<_>>(), &what, part);
            }
            _ => {}
        }
    }

    fn case(&mut self, case: &Case, whole: &Expr) {
        for (when, _) in &case.when_then_expr {
            match &case.expr {
                Some(base) => self.comparison(base, when, whole),
                None => self.condition(when),
            }
        }
        let results = case.when_then_expr.iter().map(|(_, then)| then.as_ref());
        let results: Vec<&Expr> = results.chain(case.else_expr.as_deref()).collect();
        self.mixed(&results, "the branches of a CASE are of different types", whole);
    }

    fn family(&self, expression: &Expr) -> Family {
        expression.get_type(self.schema).map_or(Family::Other, |data_type| family(&data_type))
    }

    /// Something that has to be true or false.
    fn condition(&mut self, expression: &Expr) {
        let (message, hint) = match self.family(expression) {
            Family::Number => {
                ("a number as a condition: whatever is not 0 silently counts as true", "`x <> 0`")
            }
            Family::Text => ("text as a condition: it is silently read as true or false", "`x = 'yes'`"),
            Family::Boolean | Family::Date | Family::Timestamp | Family::Other => return,
        };
        self.warn(expression, message.to_owned(), &format!("write the comparison out: {hint}"));
    }

    fn comparison(&mut self, left: &Expr, right: &Expr, whole: &Expr) {
        match (self.family(left), self.family(right)) {
            (Family::Text, Family::Number) => self.text_with_number(left, right, whole),
            (Family::Number, Family::Text) => self.text_with_number(right, left, whole),
            (Family::Text, Family::Date) => self.text_with_moment(left, right, "date", whole),
            (Family::Date, Family::Text) => self.text_with_moment(right, left, "date", whole),
            (Family::Text, Family::Timestamp) => self.text_with_moment(left, right, "timestamp", whole),
            (Family::Timestamp, Family::Text) => self.text_with_moment(right, left, "timestamp", whole),
            _ => {}
        }
    }

    fn text_with_moment(&mut self, text: &Expr, moment: &Expr, kind: &str, whole: &Expr) {
        // Why: `x >= '2026-03-01'` is how people write a date.
        if matches!(text, Expr::Literal(..)) {
            return;
        }
        let message = format!(
            "text is compared with a {kind}: each text is silently read as a {kind}, and the message of one that is \
             none becomes a dead letter"
        );
        let (text, moment, sql_type) = (shown(text), shown(moment), kind.to_uppercase());
        let hint = format!("say which is meant: CAST({moment} AS VARCHAR), TRY_CAST({text} AS {sql_type})");
        self.warn(whole, message, &hint);
    }

    fn text_with_number(&mut self, text: &Expr, number: &Expr, whole: &Expr) {
        let is_literal = |expression: &Expr| matches!(expression, Expr::Literal(..));
        let message =
            "text is compared with a number: each text is silently made a number, and the message of one \
                       that is none becomes a dead letter"
                .to_owned();
        let hint = match (is_literal(text), is_literal(number)) {
            (true, _) => format!("write the number without quotes: {}", shown(text).trim_matches('\'')),
            (false, true) => format!(
                "compare with text: '{}'; or with what is a number only: TRY_CAST({} AS DOUBLE)",
                shown(number),
                shown(text)
            ),
            (false, false) => {
                format!(
                    "say which is meant: CAST({} AS VARCHAR), TRY_CAST({} AS DOUBLE)",
                    shown(number),
                    shown(text)
                )
            }
        };
        self.warn(whole, message, &hint);
    }

    fn null_comparison(&mut self, left: &Expr, right: &Expr, whole: &Expr) {
        let is_null = |side: &Expr| matches!(side, Expr::Literal(value, _) if value.is_null());
        if is_null(left) || is_null(right) {
            let place = place::of(self.view.file, whole);
            let message = "a comparison with NULL is never true, and never false either";
            let found = Diagnostic::warning(Code::NullComparison, place, message);
            push_once(self.warnings, found.with_hint("write `x IS NULL` or `x IS NOT NULL`"));
        }
    }

    /// Values of which one becomes the type of another.
    fn mixed(&mut self, values: &[&Expr], what: &str, whole: &Expr) {
        let families: Vec<Family> = values.iter().map(|value| self.family(value)).collect();
        if let Some(message) = mixed(&families, what) {
            self.warn(whole, message, "CAST them to one type, the one that the column should have");
        }
    }

    fn branches_of_union(&mut self, inputs: &[std::sync::Arc<LogicalPlan>]) {
        let Some(first) = inputs.first() else { return };
        for (index, field) in first.schema().fields().iter().enumerate() {
            let types = inputs.iter().filter_map(|input| input.schema().fields().get(index));
            let families: Vec<Family> = types.map(|field| family(field.data_type())).collect();
            let what = format!("`{}` has different types in the parts of a UNION", field.name());
            if let Some(message) = mixed(&families, &what) {
                let place = place::of_word(self.view.file, field.name());
                let place = place.unwrap_or_else(|| self.view.file.start());
                let found = Diagnostic::warning(Code::SilentConversion, place, message);
                let hint = "CAST them to one type, the one that the column should have";
                push_once(self.warnings, found.with_hint(hint));
            }
        }
    }

    fn warn(&mut self, expression: &Expr, message: String, hint: &str) {
        let place = place::of(self.view.file, expression);
        let found = Diagnostic::warning(Code::SilentConversion, place, message).with_hint(hint);
        push_once(self.warnings, found);
    }
}

pub(in crate::sql) fn is_comparison(op: Operator) -> bool {
    matches!(
        op,
        Operator::Eq | Operator::NotEq | Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq
    )
}

fn mixed(families: &[Family], what: &str) -> Option<String> {
    let has = |family| families.contains(&family);
    let becomes = match (has(Family::Text), has(Family::Number), has(Family::Boolean)) {
        (true, true, _) => "a number is silently made text",
        (true, false, true) => "a boolean is silently made text",
        (false, true, true) => "a boolean is silently made a number",
        _ => return None,
    };
    Some(format!("{what}: {becomes}"))
}

fn family(data_type: &DataType) -> Family {
    match data_type {
        DataType::Boolean => Family::Boolean,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Family::Text,
        DataType::Date32 | DataType::Date64 => Family::Date,
        DataType::Timestamp(..) => Family::Timestamp,
        DataType::Dictionary(_, values) => family(values),
        number if number.is_numeric() => Family::Number,
        _ => Family::Other,
    }
}

/// An expression as it would be written.
fn shown(expression: &Expr) -> String {
    match expression {
        Expr::Column(column) => column.flat_name(),
        Expr::Literal(value, _) => value.to_string(),
        other => in_sql(&other.to_string()),
    }
}
