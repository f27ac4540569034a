//! Columns that differ by a cast, parentheses or a subquery alone: `sum(x)` beside `sum(CAST(x AS DOUBLE))`, `sum(a - (b - 1))`
//! beside `sum(a - b - 1)`, `GROUP BY CAST(x AS DATE), CAST(x AS TEXT)`.
//!
//! The planner names a column after its expression without them, and refuses two of a name. Here each of them in such a SELECT
//! gets its text into the name: `CASE WHEN '(b - 1)' IS NOT NULL THEN (b - 1) ...`, which the optimizer takes away again.

use std::collections::HashMap;
use std::mem;

use datafusion::sql::sqlparser::ast::{
    CaseWhen, Expr, GroupByExpr, Ident, OrderBy, Select, SelectItem, Value, VisitMut,
};

use super::super::walk::{self, PartMut};
use super::expressions;

/// Writes the expressions of a SELECT, and of the ORDER BY that follows it, so that its columns have names of their own.
pub(super) fn tell_apart(select: &mut Select, order_by: Option<&mut OrderBy>) {
    name_items(&mut select.projection);
    // What is computed before there are columns to name.
    let (from, selection) = (mem::take(&mut select.from), select.selection.take());
    if has_twins(select, order_by.as_deref()) {
        write_texts(select);
        order_by.into_iter().for_each(write_texts);
    }
    (select.from, select.selection) = (from, selection);
}

/// Columns of a SELECT that have no name of their own are named by their text.
fn name_items(items: &mut [SelectItem]) {
    let named: Vec<Option<(String, String)>> = items
        .iter()
        .map(|item| match item {
            SelectItem::UnnamedExpr(expr) => Some((name(expr.clone()), expr.to_string())),
            _ => None,
        })
        .collect();
    for (place, item) in items.iter_mut().enumerate() {
        let SelectItem::UnnamedExpr(expr) = item else { continue };
        let Some((own, text)) = &named[place] else { continue };
        let twins = || named.iter().flatten().filter(|(name, _)| name == own);
        let is_told_apart = twins().count() > 1 && twins().filter(|(_, other)| other == text).count() == 1;
        if is_told_apart && !matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_)) {
            let alias = Ident::with_quote('"', text);
            *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias };
        }
    }
}

/// Whether two different expressions that may become columns would have one name.
fn has_twins(select: &Select, order_by: Option<&OrderBy>) -> bool {
    let mut expressions = Vec::new();
    let mut has_unnamed = false;
    let mut look = |expression: &Expr| -> Result<(), ()> {
        match expression {
            Expr::Function(_) => expressions.push(expression.clone()),
            other => has_unnamed |= is_unnamed(other),
        }
        Ok(())
    };
    let _ = walk::read_own(select, &mut look);
    let _ = order_by.map(|order_by| walk::read_own(order_by, &mut look));
    if !has_unnamed {
        return false;
    }
    // The keys may be numbers and names of columns.
    if let GroupByExpr::Expressions(groups, _) = &select.group_by
        && !groups.is_empty()
    {
        let items = select.projection.iter().filter_map(|item| match item {
            SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => Some(expr),
            _ => None,
        });
        expressions.extend(groups.iter().chain(items).cloned());
        let sets = groups.iter().filter_map(|group| match group {
            Expr::GroupingSets(sets) | Expr::Rollup(sets) | Expr::Cube(sets) => Some(sets),
            _ => None,
        });
        let keys = || sets.clone().flatten().flatten();
        // The rows get their keys as columns, beside those that are there.
        if keys().any(|key| matches!(key, Expr::Cast { .. })) {
            return true;
        }
        expressions.extend(keys().cloned());
    }
    let mut named = HashMap::new();
    expressions.iter().any(|expression| {
        let meant = without_parentheses(expression.clone());
        let known = named.entry(name(expression.clone())).or_insert_with(|| meant.clone());
        *known != meant
    })
}

/// Whether the planner's name for an expression lacks something: a type, a query, or parentheses.
fn is_unnamed(expression: &Expr) -> bool {
    match expression {
        // A constant stays one.
        Expr::Cast { expr, .. } => !matches!(expr.as_ref(), Expr::Value(_)),
        other => is_of_subquery(other) || operands(other).into_iter().flatten().any(is_nested_operator),
    }
}

fn is_nested_operator(operand: &Expr) -> bool {
    match operand {
        Expr::Nested(inner) => operands(inner)[0].is_some() || is_nested_operator(inner),
        _ => false,
    }
}

/// What an operator takes; nothing for other expressions.
fn operands(expression: &Expr) -> [Option<&Expr>; 2] {
    match expression {
        Expr::BinaryOp { left, right, .. } => [Some(left), Some(right)],
        Expr::UnaryOp { expr, .. }
        | Expr::Between { expr, .. }
        | Expr::InList { expr, .. }
        | Expr::Like { expr, .. }
        | Expr::ILike { expr, .. }
        | Expr::IsNull(expr)
        | Expr::IsNotNull(expr)
        | Expr::IsTrue(expr)
        | Expr::IsNotTrue(expr)
        | Expr::IsFalse(expr)
        | Expr::IsNotFalse(expr) => [Some(expr), None],
        _ => [None, None],
    }
}

fn is_of_subquery(expression: &Expr) -> bool {
    match expression {
        Expr::InSubquery { .. } | Expr::Exists { .. } | Expr::Subquery(_) => true,
        Expr::AnyOp { right, .. } | Expr::AllOp { right, .. } => matches!(right.as_ref(), Expr::Subquery(_)),
        _ => false,
    }
}

/// Two expressions have the same text here if the planner would give them the same name.
fn name(expression: Expr) -> String {
    let written = written(expression, |part| match part {
        Expr::Cast { expr, .. } | Expr::Nested(expr) => Some(expr.as_ref().clone()),
        part if is_of_subquery(part) => Some(Expr::Identifier(Ident::new("subquery"))),
        _ => None,
    });
    written.to_string().to_lowercase()
}

/// The expression as it is computed.
fn without_parentheses(expression: Expr) -> Expr {
    written(expression, |part| match part {
        Expr::Nested(expr) => Some(expr.as_ref().clone()),
        _ => None,
    })
}

/// An expression with some parts written otherwise, and its columns without their relations.
fn written(expression: Expr, otherwise: impl Fn(&Expr) -> Option<Expr>) -> Expr {
    let mut expression = expression;
    let _: Result<(), ()> = walk::write(&mut expression, &mut |part| {
        if let PartMut::EndOfExpression(part) = part {
            if let Expr::CompoundIdentifier(names) = part
                && let Some(name) = names.pop()
            {
                *part = Expr::Identifier(name);
            }
            if let Some(written) = otherwise(part) {
                *part = written;
            }
        }
        Ok(())
    });
    expression
}

/// Writes the parts that the planner's names lack something of. Each alone says how, so that a key is found in what is made
/// of it.
fn write_texts(whole: &mut impl VisitMut) {
    let mut depth = 0;
    let _: Result<(), ()> = walk::write(whole, &mut |part| {
        match part {
            PartMut::Query(_) => depth += 1,
            PartMut::EndOfQuery(_) => depth -= 1,
            PartMut::EndOfExpression(part) if depth == 0 && is_unnamed(part) => {
                *part = with_text(part.clone())
            }
            _ => {}
        }
        Ok(())
    });
}

/// The same expression, with its text in its name.
fn with_text(part: Expr) -> Expr {
    let text = Value::SingleQuotedString(written(part.clone(), |_| None).to_string());
    let is_text = Expr::IsNotNull(Box::new(Expr::Value(text.with_empty_span())));
    let is_value = matches!(part, Expr::Subquery(_));
    if is_of_subquery(&part) && !is_value {
        return Expr::Nested(Box::new(expressions::and(part, is_text)));
    }
    let otherwise = (!is_value).then(|| part.clone());
    expressions::case(vec![CaseWhen { condition: is_text, result: part }], otherwise)
}
