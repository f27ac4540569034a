//! Lists of values: `x IN (1, 2)`.
//!
//! DataFusion's simplifier puts two lists for one `x` together as sets of expressions: `x IN (1) AND x IN (2)` becomes false,
//! also where `x` is NULL, and `x IN ('a') AND x IN (y)` as well, although `y` may be 'a'. It finds two lists by their
//! values being the same expression, and makes lists of `x = 1 OR x = 2`. So here each value is one of its own, and a list
//! with anything but constants in it is written out as comparisons.

use datafusion::common::tree_node::Transformed;
use datafusion::logical_expr::expr::{BinaryExpr, Cast, InList};
use datafusion::logical_expr::{Expr, Operator, binary_expr};

use super::own_values::OwnValues;

/// Writes lists so that the simplifier leaves them as they are.
pub(super) fn rewrite(part: Expr, values: &OwnValues) -> Transformed<Expr> {
    match part {
        Expr::InList(InList { expr, list, negated }) => {
            Transformed::yes(match list.iter().all(is_constant) || expr.is_volatile() || list.is_empty() {
                true => Expr::InList(InList { expr: Box::new(values.own(*expr)), list, negated }),
                false => written_out(&expr, list, negated, values),
            })
        }
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => {
            let (left, right) = (equality(*left, values), equality(*right, values));
            let is_changed = left.transformed || right.transformed;
            Transformed::new_transformed(left.data.or(right.data), is_changed)
        }
        // Why: the simplifier takes `x ^ x` for 0, though it may be NULL.
        Expr::BinaryExpr(BinaryExpr { left, op: op @ Operator::BitwiseXor, right }) => {
            Transformed::yes(binary_expr(*left, op, values.own(*right)))
        }
        part => Transformed::no(part),
    }
}

/// Whether it becomes a value, and not NULL, when it is simplified.
fn is_constant(item: &Expr) -> bool {
    match item {
        Expr::Literal(value, _) => !value.is_null(),
        Expr::Cast(Cast { expr, .. }) | Expr::Negative(expr) => is_constant(expr),
        _ => false,
    }
}

fn written_out(value: &Expr, list: Vec<Expr>, negated: bool, values: &OwnValues) -> Expr {
    let (op, with) = if negated { (Operator::NotEq, Operator::And) } else { (Operator::Eq, Operator::Or) };
    let compared = list.into_iter().map(|item| binary_expr(values.own(value.clone()), op, item));
    compared.reduce(|left, right| binary_expr(left, with, right)).unwrap_or_else(|| value.clone())
}

/// `x = 1`, of which the simplifier would make a list.
fn equality(mut side: Expr, values: &OwnValues) -> Transformed<Expr> {
    let is_listed =
        |value: &Expr, item: &Expr| matches!(value, Expr::Column(_)) && item.column_refs().is_empty();
    let Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) = &mut side else {
        return Transformed::no(side);
    };
    let value = match (is_listed(left, right), is_listed(right, left)) {
        (true, _) => left,
        (_, true) => right,
        _ => return Transformed::no(side),
    };
    **value = values.own(std::mem::take(value));
    Transformed::yes(side)
}
