//! What is written and the planner takes for something else: numbers with an exponent, texts
//! with a letter before them, and moments in a time zone.

use std::convert::Infallible;

use datafusion::sql::sqlparser::ast::{
    CastKind, DataType, ExactNumberInfo, Expr, Ident, ObjectName, Query, SelectItem, SetExpr, SetOperator,
    SetQuantifier, Statement, UnaryOperator, Value, ValueWithSpan, Values,
};
use datafusion::sql::sqlparser::parser::Parser;

use super::dialect::SqlDialect;
use super::moments::IN_ZONE;
use super::walk::{self, Part, PartMut};

/// Writes the literals of a statement so that the planner takes them as they are meant.
pub(super) fn rewrite(statement: &mut Statement) {
    let Ok(()) = walk::write::<Infallible>(statement, &mut |part| {
        match part {
            PartMut::Query(query) => rewrite_values(query),
            PartMut::EndOfExpression(expression) => {
                if let Some(rewritten) = rewritten(expression) {
                    *expression = rewritten;
                }
            }
            PartMut::EndOfQuery(_) | PartMut::Expression(_) | PartMut::TableFactor(_) => {}
        }
        Ok(())
    });
}

fn rewrite_values(query: &mut Query) {
    if let SetExpr::Values(values) = query.body.as_mut() {
        doubles_beside_doubles(values);
        if let Some(union) = union_of_mixed(values) {
            query.body = union;
        }
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

/// `VALUES` as a UNION ALL of its rows, if a column has a number with a point beside a value that is computed, or a subquery, or
/// reads the query around it. Why: what type such a column has is known when the types of its values are, and a rule sees to
/// that for UNION ([`super::mixed_types`]); and the planner computes VALUES before the subqueries in it, and once for all rows.
fn union_of_mixed(values: &mut Values) -> Option<Box<SetExpr>> {
    let columns = values.rows.first().map_or(0, |row| row.len());
    let is_mixed = (0..columns).any(|column| {
        let (mut has_point, mut is_computed, mut is_of_query) = (false, false, false);
        for cell in values.rows.iter_mut().filter_map(|row| row.get_mut(column)) {
            match number(cell) {
                Some(number) => has_point |= number.contains('.') && !is_scientific(number),
                None => {
                    is_computed |= !matches!(cell, Expr::Value(_));
                    is_of_query |= has_query(cell) || reads_columns(cell);
                }
            }
        }
        is_of_query || has_point && is_computed
    });
    if !is_mixed {
        return None;
    }
    let rows = values.rows.iter().map(|row| one_row(row)).collect::<Option<Vec<_>>>()?;
    union_of(&rows)
}

fn reads_columns(cell: &Expr) -> bool {
    let is_column = |part: &Expr| matches!(part, Expr::Identifier(_) | Expr::CompoundIdentifier(_));
    walk::read_own(cell, &mut |part| if is_column(part) { Err(()) } else { Ok(()) }).is_err()
}

fn has_query(cell: &Expr) -> bool {
    walk::read(cell, &mut |part| if matches!(part, Part::Query(_)) { Err(()) } else { Ok(()) }).is_err()
}

/// A row of VALUES as a SELECT, with the names that VALUES has.
fn one_row(cells: &[Expr]) -> Option<SetExpr> {
    let mut query = Parser::new(&SqlDialect).try_with_sql("SELECT 1").ok()?.parse_query().ok()?;
    let SetExpr::Select(select) = query.body.as_mut() else { return None };
    let named = cells.iter().zip(1..).map(|(cell, number)| SelectItem::ExprWithAlias {
        expr: cell.clone(),
        alias: Ident::new(format!("column{number}")),
    });
    select.projection = named.collect();
    Some(*query.body)
}

/// Why in halves: the planner goes as deep as the parts are nested.
fn union_of(parts: &[SetExpr]) -> Option<Box<SetExpr>> {
    if let [part] = parts {
        return Some(Box::new(part.clone()));
    }
    let (left, right) = parts.split_at(parts.len() / 2);
    Some(Box::new(SetExpr::SetOperation {
        op: SetOperator::Union,
        set_quantifier: SetQuantifier::All,
        left: union_of(left)?,
        right: union_of(right)?,
    }))
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
        // N'text' and U&'text' are texts; the parser has read their escapes.
        Expr::Value(ValueWithSpan {
            value: Value::NationalStringLiteral(text) | Value::UnicodeStringLiteral(text),
            span,
        }) => {
            Some(Expr::Value(ValueWithSpan { value: Value::SingleQuotedString(text.clone()), span: *span }))
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
