//! Names in ORDER BY that are an output column and a column of the tables.
//!
//! DataFusion looks for them among the output columns first, in aggregates and windows too, which are computed before there are
//! any. And it sorts by a column of a table beside an output column of the name, which it then finds ambiguous.

use datafusion::sql::sqlparser::ast::{
    Expr, Function, Ident, OrderBy, OrderByKind, Select, SelectItem, Spanned as _, TableFactor,
};

use super::super::walk::{self, PartMut};
use super::Refusal;

/// Writes the keys so that they are read as PostgreSQL and DuckDB read them.
///
/// # Errors
/// A key that would be found ambiguous.
pub(super) fn write_out(select: &Select, order_by: Option<&mut OrderBy>) -> Result<(), Refusal> {
    let Some(OrderBy { kind: OrderByKind::Expressions(keys), .. }) = order_by else { return Ok(()) };
    let renamed: Vec<(&Ident, &Expr)> = select.projection.iter().filter_map(renamed).collect();
    if renamed.is_empty() {
        return Ok(());
    }
    let relation = only_relation(select);
    for key in keys {
        let written = key.expr.to_string();
        let item = renamed.iter().find(|(_, value)| has_calls(value) && value.to_string() == written);
        if let Some((alias, _)) = item {
            key.expr = Expr::Identifier((*alias).clone());
            continue;
        }
        tell_apart(&mut key.expr, &renamed, relation.as_ref())?;
    }
    Ok(())
}

/// An output column that is no column of its name.
fn renamed(item: &SelectItem) -> Option<(&Ident, &Expr)> {
    let SelectItem::ExprWithAlias { expr, alias } = item else { return None };
    let is_same = matches!(expr, Expr::Identifier(name) if name.value == alias.value);
    (!is_same).then_some((alias, expr))
}

fn has_calls(expression: &Expr) -> bool {
    walk::read_own(expression, &mut |part| match part {
        Expr::Function(_) => Err(()),
        _ => Ok(()),
    })
    .is_err()
}

/// The name of the only relation that a SELECT reads.
fn only_relation(select: &Select) -> Option<Ident> {
    let [tables] = select.from.as_slice() else { return None };
    if !tables.joins.is_empty() {
        return None;
    }
    match &tables.relation {
        TableFactor::Table { alias: Some(alias), .. } | TableFactor::Derived { alias: Some(alias), .. } => {
            Some(alias.name.clone())
        }
        TableFactor::Table { name, alias: None, .. } => name.0.last()?.as_ident().cloned(),
        _ => None,
    }
}

/// Names in aggregates and windows are those of the relation.
///
/// # Errors
/// Outside of them, a column of a relation beside an output column of its name that is another expression.
fn tell_apart(key: &mut Expr, renamed: &[(&Ident, &Expr)], relation: Option<&Ident>) -> Result<(), Refusal> {
    let (mut inside, mut queries) = (0, 0);
    let value_of =
        |name: &Ident| renamed.iter().find(|(alias, _)| alias.value == name.value).map(|(_, value)| *value);
    walk::write(key, &mut |part| {
        match part {
            PartMut::Query(_) => queries += 1,
            PartMut::EndOfQuery(_) => queries -= 1,
            PartMut::Expression(Expr::Function(call)) if is_of_rows(call) => inside += 1,
            PartMut::EndOfExpression(Expr::Function(call)) if is_of_rows(call) => inside -= 1,
            PartMut::EndOfExpression(part) if queries == 0 => match (&*part, inside, relation) {
                (Expr::Identifier(name), 1.., Some(relation)) if value_of(name).is_some() => {
                    *part = Expr::CompoundIdentifier(vec![relation.clone(), name.clone()]);
                }
                (Expr::CompoundIdentifier(names), 0, _) => {
                    let name = names.last().filter(|name| value_of(name).is_some_and(|value| value != part));
                    if let Some(name) = name {
                        let message = format!(
                            "`{part}` in ORDER BY beside an output column `{name}`, which is another value"
                        );
                        return Err(Refusal::new(
                            part.span(),
                            message,
                            "give the output column another name",
                        ));
                    }
                }
                _ => {}
            },
            _ => {}
        }
        Ok(())
    })
}

/// Whether it is an aggregate, or computed over a window.
fn is_of_rows(call: &Function) -> bool {
    let name = call.name.to_string().to_lowercase();
    let known = datafusion::functions_aggregate::all_default_aggregate_functions();
    let is_it = |one: &String| *one == name;
    call.over.is_some()
        || known.iter().any(|function| function.name() == name || function.aliases().iter().any(is_it))
}
