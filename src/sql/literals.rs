//! What is written and the planner takes for something else: numbers with an exponent, and moments in a time zone.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    CastKind, DataType, ExactNumberInfo, Expr, Ident, ObjectName, Query, SetExpr, Statement, UnaryOperator,
    Value, ValueWithSpan, Values, VisitMut as _, VisitorMut,
};

use super::moments::IN_ZONE;

/// Writes the literals of a statement so that the planner takes them as they are meant.
pub(super) fn rewrite(statement: &mut Statement) {
    let _: ControlFlow<()> = statement.visit(&mut Literals);
}

struct Literals;

impl VisitorMut for Literals {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        if let SetExpr::Values(values) = query.body.as_mut() {
            doubles_beside_doubles(values);
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expression: &mut Expr) -> ControlFlow<()> {
        if let Some(rewritten) = rewritten(expression) {
            *expression = rewritten;
        }
        ControlFlow::Continue(())
    }
}

/// In a column of VALUES with a double, the numbers with a point are doubles too. Why here: the planner settles the types of
/// VALUES before any rule sees them.
fn doubles_beside_doubles(values: &mut Values) {
    let columns = values.rows.first().map_or(0, |row| row.len());
    for column in 0..columns {
        let cells = |values: &mut Values, take: &mut dyn FnMut(&mut String)| {
            values.rows.iter_mut().filter_map(|row| number(row.get_mut(column)?)).for_each(&mut *take);
        };
        let mut has_double = false;
        cells(values, &mut |number| has_double |= is_scientific(number));
        cells(values, &mut |number| {
            if has_double && number.contains('.') && !is_scientific(number) {
                number.push_str("e0");
            }
        });
    }
}

/// The digits of a number, with or without a minus before it.
fn number(expression: &mut Expr) -> Option<&mut String> {
    match expression {
        Expr::Value(ValueWithSpan { value: Value::Number(number, _), .. }) => Some(number),
        Expr::UnaryOp { op: UnaryOperator::Minus | UnaryOperator::Plus, expr } => number(expr),
        _ => None,
    }
}

/// How an expression is written instead; `None` where it stays.
fn rewritten(expression: &Expr) -> Option<Expr> {
    match expression {
        // With an exponent a number is a double, as in the standard; with a point alone it is exact.
        Expr::Value(ValueWithSpan { value: Value::Number(number, _), span }) if is_scientific(number) => {
            let text = Value::SingleQuotedString(number.replace('_', ""));
            let text = Expr::Value(ValueWithSpan { value: text, span: *span });
            Some(cast(text, DataType::Double(ExactNumberInfo::None)))
        }
        Expr::AtTimeZone { timestamp, time_zone } => match time_zone.as_ref() {
            Expr::Value(ValueWithSpan { value: Value::SingleQuotedString(zone), .. }) => {
                let name = ObjectName::from(vec![Ident::with_quote('"', IN_ZONE)]);
                Some(cast(timestamp.as_ref().clone(), DataType::Custom(name, vec![zone.clone()])))
            }
            _ => None,
        },
        _ => None,
    }
}

fn is_scientific(number: &str) -> bool {
    !number.starts_with("0x") && number.contains(['e', 'E'])
}

fn cast(expression: Expr, to: DataType) -> Expr {
    Expr::Cast { kind: CastKind::Cast, expr: Box::new(expression), data_type: to, array: false, format: None }
}
