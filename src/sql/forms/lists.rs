//! Lists of values: `x IN (1, 2)`.
//!
//! DataFusion's simplifier puts two lists for one `x` together as sets of expressions: `x IN (1) AND x IN (2)` becomes false,
//! also where `x` is NULL, and `x IN ('a') AND x IN (y)` as well, although `y` may be 'a'. It finds two lists by their
//! values being the same expression, and makes lists of `x = 1 OR x = 2`. So here each value is one of its own, and a list
//! with anything but constants in it is written out as comparisons.

use datafusion::common::tree_node::Transformed;
use datafusion::logical_expr::expr::{BinaryExpr, Cast, InList};
use datafusion::logical_expr::{Expr, Operator};

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
            let or =
                Expr::BinaryExpr(BinaryExpr::new(Box::new(left.data), Operator::Or, Box::new(right.data)));
            Transformed::new_transformed(or, is_changed)
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
    let both =
        |left: Expr, op, right: Expr| Expr::BinaryExpr(BinaryExpr::new(Box::new(left), op, Box::new(right)));
    let compared = list.into_iter().map(|item| both(values.own(value.clone()), op, item));
    compared.reduce(|left, right| both(left, with, right)).unwrap_or_else(|| value.clone())
}

/// `x = 1`, of which the simplifier would make a list.
fn equality(side: Expr, values: &OwnValues) -> Transformed<Expr> {
    match side {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right })
            if matches!(*left, Expr::Column(_)) && right.column_refs().is_empty() =>
        {
            let left = Box::new(values.own(*left));
            Transformed::yes(Expr::BinaryExpr(BinaryExpr::new(left, Operator::Eq, right)))
        }
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right })
            if matches!(*right, Expr::Column(_)) && left.column_refs().is_empty() =>
        {
            let right = Box::new(values.own(*right));
            Transformed::yes(Expr::BinaryExpr(BinaryExpr::new(left, Operator::Eq, right)))
        }
        side => Transformed::no(side),
    }
}
