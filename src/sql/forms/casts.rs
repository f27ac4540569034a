//! Columns that differ by a cast, parentheses or a subquery alone: `sum(x)` beside `sum(CAST(x AS DOUBLE))`, `sum(a - (b - 1))` beside
//! `sum(a - b - 1)`, `GROUP BY CAST(x AS DATE), CAST(x AS TEXT)`.
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
        let text = expression.to_string();
        let known = named.entry(name(expression.clone())).or_insert_with(|| text.clone());
        *known != text
    })
}

/// What the planner leaves out of names.
fn is_unnamed(expression: &Expr) -> bool {
    match expression {
        // A constant stays one.
        Expr::Cast { expr, .. } | Expr::Nested(expr) => !matches!(expr.as_ref(), Expr::Value(_)),
        other => is_of_subquery(other),
    }
}

fn is_of_subquery(expression: &Expr) -> bool {
    match expression {
        Expr::InSubquery { .. } | Expr::Exists { .. } | Expr::Subquery(_) => true,
        Expr::AnyOp { right, .. } | Expr::AllOp { right, .. } => matches!(right.as_ref(), Expr::Subquery(_)),
        _ => false,
    }
}

/// A text that is the same for two expressions if the planner gives both the same name.
fn name(expression: Expr) -> String {
    text_of(expression, |part| match part {
        Expr::Cast { expr, .. } | Expr::Nested(expr) => Some(expr.as_ref().clone()),
        part if is_of_subquery(part) => Some(Expr::Identifier(Ident::new("subquery"))),
        _ => None,
    })
}

/// The text of an expression, whose columns may have their relation before them, with some parts written otherwise.
fn text_of(expression: Expr, written: impl Fn(&Expr) -> Option<Expr>) -> String {
    let mut expression = expression;
    let always: Result<(), ()> = walk::write(&mut expression, &mut |part| {
        if let PartMut::EndOfExpression(part) = part {
            if let Expr::CompoundIdentifier(names) = part {
                names.drain(..names.len().saturating_sub(1));
            }
            if let Some(written) = written(part) {
                *part = written;
            }
        }
        Ok(())
    });
    always.map_or_else(|()| String::new(), |()| expression.to_string().to_lowercase())
}

/// Writes the outermost parts that have no names.
fn write_texts(whole: &mut impl VisitMut) {
    let (mut queries, mut unnamed) = (0, 0);
    let _: Result<(), ()> = walk::write(whole, &mut |part| {
        match part {
            PartMut::Query(_) => queries += 1,
            PartMut::EndOfQuery(_) => queries -= 1,
            PartMut::Expression(part) if queries == 0 && is_unnamed(part) => unnamed += 1,
            PartMut::EndOfExpression(part) if queries == 0 && is_unnamed(part) => {
                unnamed -= 1;
                if unnamed == 0 {
                    *part = with_text(part.clone());
                }
            }
            _ => {}
        }
        Ok(())
    });
}

/// The same expression, with its text in its name.
fn with_text(part: Expr) -> Expr {
    let text = Value::SingleQuotedString(text_of(part.clone(), |_| None));
    let is_text = Expr::IsNotNull(Box::new(Expr::Value(text.with_empty_span())));
    let is_value = matches!(part, Expr::Subquery(_));
    if is_of_subquery(&part) && !is_value {
        return Expr::Nested(Box::new(expressions::and(part, is_text)));
    }
    let otherwise = (!is_value).then(|| part.clone());
    expressions::case(vec![CaseWhen { condition: is_text, result: part }], otherwise)
}
