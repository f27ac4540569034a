//! Columns that differ by a cast alone: `sum(x)` beside `sum(CAST(x AS DOUBLE))`, `GROUP BY CAST(x AS DATE), CAST(x AS TEXT)`.
//!
//! The planner names a column after its expression without the casts, and refuses two of a name. Here each cast of such a
//! SELECT gets its type into the name: `CASE WHEN 'DOUBLE' IS NOT NULL THEN CAST(x AS DOUBLE) ...`, which the optimizer makes the
//! cast again.

use std::collections::HashMap;
use std::mem;

use datafusion::sql::sqlparser::ast::{
    CaseWhen, Expr, GroupByExpr, Ident, OrderBy, Select, SelectItem, Value, VisitMut,
};

use super::super::walk::{self, PartMut};
use super::expressions;

/// Writes the casts of a SELECT, and of the ORDER BY that follows it, so that its columns have names of their own.
pub(super) fn tell_apart(select: &mut Select, order_by: Option<&mut OrderBy>) {
    name_items(&mut select.projection);
    // What is computed before there are columns to name.
    let (from, selection) = (mem::take(&mut select.from), select.selection.take());
    if has_twins(select, order_by.as_deref()) {
        write_types(select);
        order_by.into_iter().for_each(write_types);
    }
    (select.from, select.selection) = (from, selection);
}

/// Columns of a SELECT that have no name, and differ by casts alone, are named by their text.
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

/// Whether two expressions that may become columns differ by casts alone.
fn has_twins(select: &Select, order_by: Option<&OrderBy>) -> bool {
    let mut expressions = Vec::new();
    let mut has_casts = false;
    let mut look = |expression: &Expr| -> Result<(), ()> {
        match expression {
            Expr::Function(_) => expressions.push(expression.clone()),
            Expr::Cast { .. } => has_casts = true,
            _ => {}
        }
        Ok(())
    };
    let _ = walk::read_own(select, &mut look);
    let _ = order_by.map(|order_by| walk::read_own(order_by, &mut look));
    if !has_casts {
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

/// A text that is the same for two expressions if the planner gives both the same name.
fn name(expression: Expr) -> String {
    let mut expression = expression;
    let always: Result<(), ()> = walk::write(&mut expression, &mut |part| {
        if let PartMut::EndOfExpression(part) = part {
            match part {
                Expr::Cast { expr, .. } | Expr::Nested(expr) => *part = expr.as_ref().clone(),
                Expr::CompoundIdentifier(names) => {
                    names.drain(..names.len().saturating_sub(1));
                }
                _ => {}
            }
        }
        Ok(())
    });
    always.map_or_else(|()| String::new(), |()| expression.to_string().to_lowercase())
}

fn write_types(whole: &mut impl VisitMut) {
    let mut depth = 0;
    let _: Result<(), ()> = walk::write(whole, &mut |part| {
        match part {
            PartMut::Query(_) => depth += 1,
            PartMut::EndOfQuery(_) => depth -= 1,
            PartMut::EndOfExpression(part) if depth == 0 => {
                if let Some(written) = with_type(part) {
                    *part = written;
                }
            }
            _ => {}
        }
        Ok(())
    });
}

/// The cast with its type in the name. A constant stays one.
fn with_type(cast: &Expr) -> Option<Expr> {
    let Expr::Cast { kind, expr, data_type, .. } = cast else { return None };
    if matches!(expr.as_ref(), Expr::Value(_)) {
        return None;
    }
    let named = Value::SingleQuotedString(format!("{kind:?} {data_type}"));
    let named = Expr::Value(named.with_empty_span());
    let when = CaseWhen { condition: Expr::IsNotNull(Box::new(named)), result: cast.clone() };
    Some(expressions::case(vec![when], Some(cast.clone())))
}
