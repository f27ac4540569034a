//! `JOIN ... USING (k)`: `k` alone is the key of whichever side has the row.
//!
//! In a RIGHT or FULL JOIN, DataFusion takes the left side's, which is NULL where only the right side has a row. In some
//! places, such as a later ON, it finds `k` ambiguous. Here the joins are written with ON, and `k` as what it means.

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, GroupByExpr, Ident, Join, JoinConstraint, JoinOperator, ObjectNamePart, OrderBy,
    OrderByKind, Select, SelectItem, Spanned as _, TableFactor, TableWithJoins, Visit, VisitMut,
};

use super::super::walk::{self, Part, PartMut};
use super::Refusal;
use super::expressions::call;

/// What a key that two tables share is called, and what it means.
type Key = (Ident, Expr);

/// Writes the joins of a SELECT, and of the ORDER BY that follows it, with ON.
///
/// # Errors
/// The meaning cannot be written without knowing the tables' columns, and DataFusion's would be wrong.
pub(super) fn write_out(select: &mut Select, mut order_by: Option<&mut OrderBy>) -> Result<(), Refusal> {
    if any_join(select, needs_writing) {
        return write_keys(select, order_by);
    }
    if !any_join(select, has_using) {
        return Ok(());
    }
    let (mut written, mut written_order) = (select.clone(), order_by.as_deref().cloned());
    if write_keys(&mut written, written_order.as_mut()).is_ok() {
        // `*` has a key once only where the joins themselves say USING.
        if select.projection.iter().any(is_wildcard) {
            written.from = std::mem::take(&mut select.from);
        }
        *select = written;
        if let (Some(order_by), Some(written)) = (&mut order_by, written_order) {
            **order_by = written;
        }
    }
    Ok(())
}

fn write_keys(select: &mut Select, order_by: Option<&mut OrderBy>) -> Result<(), Refusal> {
    let takes_right = any_join(select, needs_writing);
    let mut keys: Vec<Key> = Vec::new();
    for tables in &mut select.from {
        if tables.joins.iter().any(|join| has_using(&join.join_operator)) {
            keys.extend(write_joins(tables)?);
        }
    }
    if keys.is_empty() {
        return Ok(());
    }
    for item in &mut select.projection {
        if is_wildcard(item) && takes_right {
            return Err(Refusal::new(
                item.span(),
                "`*` over a RIGHT or FULL JOIN with USING".to_owned(),
                "name the columns: the key alone is the one of whichever side has the row",
            ));
        }
        let column = match item {
            SelectItem::UnnamedExpr(Expr::Identifier(name)) => Some(name.clone()),
            _ => None,
        };
        replace(item, &keys)?;
        if let (Some(alias), SelectItem::UnnamedExpr(expr)) = (column, &*item)
            && keys.iter().any(|(key, _)| key.value == alias.value)
        {
            *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias };
        }
    }
    for part in [&mut select.selection, &mut select.having, &mut select.qualify] {
        replace(part, &keys)?;
    }
    if let GroupByExpr::Expressions(groups, _) = &mut select.group_by {
        replace(groups, &keys)?;
    }
    replace(&mut select.distinct, &keys)?;
    replace(&mut select.named_window, &keys)?;
    // An output column goes first in ORDER BY.
    let named = |item: &SelectItem| match item {
        SelectItem::ExprWithAlias { alias, .. } => Some(alias.value.clone()),
        _ => None,
    };
    let outputs: Vec<String> = select.projection.iter().filter_map(named).collect();
    if let Some(OrderBy { kind: OrderByKind::Expressions(order), .. }) = order_by {
        for key in order {
            let is_output = matches!(&key.expr, Expr::Identifier(name) if outputs.contains(&name.value));
            if !is_output {
                replace(&mut key.expr, &keys)?;
            }
        }
    }
    Ok(())
}

fn is_wildcard(item: &SelectItem) -> bool {
    matches!(item, SelectItem::Wildcard(_))
}

fn any_join(select: &Select, is: fn(&JoinOperator) -> bool) -> bool {
    select.from.iter().flat_map(|tables| &tables.joins).any(|join| is(&join.join_operator))
}

fn needs_writing(operator: &JoinOperator) -> bool {
    use JoinOperator::{FullOuter, Right, RightOuter};
    matches!(
        operator,
        Right(JoinConstraint::Using(_) | JoinConstraint::Natural)
            | RightOuter(JoinConstraint::Using(_) | JoinConstraint::Natural)
            | FullOuter(JoinConstraint::Using(_) | JoinConstraint::Natural)
    )
}

fn has_using(operator: &JoinOperator) -> bool {
    needs_writing(operator) || matches!(constraint_of(operator), Some(JoinConstraint::Using(_)))
}

/// Writes the joins of one chain with ON, and says what its keys mean.
fn write_joins(tables: &mut TableWithJoins) -> Result<Vec<Key>, Refusal> {
    let mut keys: Vec<Key> = Vec::new();
    let first = relation_name(&tables.relation)?;
    for (index, Join { relation, join_operator, .. }) in tables.joins.iter_mut().enumerate() {
        let (takes_right, is_full) = match join_operator {
            JoinOperator::Right(_) | JoinOperator::RightOuter(_) => (true, false),
            JoinOperator::FullOuter(_) => (false, true),
            _ => (false, false),
        };
        if !matches!(relation, TableFactor::Derived { lateral: false, .. }) {
            refuse_inside(relation, &keys, 1)?;
        }
        let Some(constraint) = constraint(join_operator) else { continue };
        let names = match constraint {
            JoinConstraint::Using(names) => names.clone(),
            JoinConstraint::On(condition) => {
                replace(condition, &keys)?;
                continue;
            }
            JoinConstraint::Natural => {
                return Err(Refusal::new(
                    relation.span(),
                    "NATURAL JOIN beside a RIGHT or FULL JOIN".to_owned(),
                    "write the keys: `ON a.k = b.k`, and `coalesce(a.k, b.k) AS k`",
                ));
            }
            _ => continue,
        };
        let right = relation_name(relation)?;
        let mut conditions = Vec::new();
        for name in names {
            let [ObjectNamePart::Identifier(name)] = name.0.as_slice() else { continue };
            let known = keys.iter().position(|(key, _)| key.value == name.value);
            let left = match known {
                Some(known) => keys[known].1.clone(),
                None if index == 0 => column(&first, name),
                None => {
                    return Err(Refusal::new(
                        name.span,
                        format!("USING (`{name}`) after several tables, beside a RIGHT or FULL JOIN"),
                        "write which table's column is meant: `ON a.k = b.k`",
                    ));
                }
            };
            let right = column(&right, name);
            conditions.push(Expr::BinaryOp {
                left: Box::new(left.clone()),
                op: BinaryOperator::Eq,
                right: Box::new(right.clone()),
            });
            let meaning = match (takes_right, is_full) {
                (true, _) => right,
                (_, true) => call("coalesce", vec![left, right]),
                _ => left,
            };
            match known {
                Some(known) => keys[known].1 = meaning,
                None => keys.push((name.clone(), meaning)),
            }
        }
        let on = conditions.into_iter().reduce(|left, right| Expr::BinaryOp {
            left: Box::new(left),
            op: BinaryOperator::And,
            right: Box::new(right),
        });
        if let Some(on) = on {
            *constraint = JoinConstraint::On(on);
        }
    }
    Ok(keys)
}

/// The constraint of a join, by a reference of either kind.
macro_rules! constraint_of {
    ($operator:expr) => {
        match $operator {
            JoinOperator::Join(constraint)
            | JoinOperator::Inner(constraint)
            | JoinOperator::Left(constraint)
            | JoinOperator::LeftOuter(constraint)
            | JoinOperator::Right(constraint)
            | JoinOperator::RightOuter(constraint)
            | JoinOperator::FullOuter(constraint) => Some(constraint),
            _ => None,
        }
    };
}

pub(super) fn constraint_of(operator: &JoinOperator) -> Option<&JoinConstraint> {
    constraint_of!(operator)
}

fn constraint(operator: &mut JoinOperator) -> Option<&mut JoinConstraint> {
    constraint_of!(operator)
}

fn relation_name(relation: &TableFactor) -> Result<Ident, Refusal> {
    let name = match relation {
        TableFactor::Table { alias: Some(alias), .. }
        | TableFactor::Derived { alias: Some(alias), .. }
        | TableFactor::TableFunction { alias: Some(alias), .. }
        | TableFactor::Function { alias: Some(alias), .. }
        | TableFactor::UNNEST { alias: Some(alias), .. }
        | TableFactor::NestedJoin { alias: Some(alias), .. } => Some(alias.name.clone()),
        TableFactor::Table { name, .. } => name.0.last().and_then(ObjectNamePart::as_ident).cloned(),
        _ => None,
    };
    name.ok_or_else(|| {
        Refusal::new(
            relation.span(),
            "a relation without a name beside a RIGHT or FULL JOIN with USING".to_owned(),
            "give it one: `(SELECT ...) AS name`",
        )
    })
}

fn column(relation: &Ident, name: &Ident) -> Expr {
    Expr::CompoundIdentifier(vec![relation.clone(), name.clone()])
}

/// Writes the keys in a part of a SELECT as what they mean.
fn replace(part: &mut (impl VisitMut + Visit), keys: &[Key]) -> Result<(), Refusal> {
    refuse_inside(part, keys, 0)?;
    walk::write(part, &mut |part| {
        if let PartMut::EndOfExpression(expression) = part
            && let Expr::Identifier(name) = expression
            && let Some((_, meaning)) = keys.iter().find(|(key, _)| key.value == name.value)
        {
            *expression = meaning.clone();
        }
        Ok(())
    })
}

/// Refuses keys inside subqueries, where they could be columns of the tables there; `depth` is that of the part itself.
fn refuse_inside(part: &impl Visit, keys: &[Key], depth: usize) -> Result<(), Refusal> {
    let mut depth = depth;
    walk::read(part, &mut |part| {
        match part {
            Part::Query(_) => depth += 1,
            Part::EndOfQuery(_) => depth -= 1,
            Part::Expression(Expr::Identifier(name))
                if depth > 0 && keys.iter().any(|(key, _)| key.value == name.value) =>
            {
                return Err(Refusal::new(
                    name.span,
                    format!(
                        "`{0}` inside a subquery, beside a RIGHT or FULL JOIN with USING ({0})",
                        name.value
                    ),
                    "write which table's column is meant: `a.k`",
                ));
            }
            _ => {}
        }
        Ok(())
    })
}
