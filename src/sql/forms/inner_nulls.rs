//! The order of arrays and records with NULLs in them. In PostgreSQL such a NULL is larger than all values. DataFusion's
//! comparisons take it for smaller, and a sort takes it for what NULLS FIRST or NULLS LAST says of the whole value. So
//! values that may have NULLs in them are put in order only by a sort that means the same for both.

use arrow::datatypes::DataType;
use datafusion::common::{DFSchema, Result};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::expr::{AggregateFunction, Between, ScalarFunction, Sort};
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable as _, LogicalPlan, Operator};

use super::super::rewrite;
use super::refused;

/// # Errors
/// A comparison of such values, or a sort of them that means another order.
pub(super) fn check(part: &Expr, schema: &DFSchema) -> Result<()> {
    match part {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if is_of_order(*op) => {
            check_compared(&[left, right], schema)
        }
        Expr::Between(Between { expr, low, high, .. }) => check_compared(&[expr, low, high], schema),
        Expr::ScalarFunction(ScalarFunction { func, args })
            if ["greatest", "least"].contains(&func.name()) =>
        {
            check_compared(&args.iter().collect::<Vec<_>>(), schema)
        }
        Expr::WindowFunction(window) => check_keys(&window.params.order_by, schema),
        Expr::AggregateFunction(AggregateFunction { params, .. }) => check_keys(&params.order_by, schema),
        _ => Ok(()),
    }
}

/// # Errors
/// As [`check`], for the order of the rows.
pub(super) fn check_node(node: &LogicalPlan) -> Result<()> {
    match node {
        LogicalPlan::Sort(sort) => check_keys(&sort.expr, sort.input.schema()),
        _ => Ok(()),
    }
}

fn is_of_order(op: Operator) -> bool {
    matches!(op, Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq)
}

fn check_compared(values: &[&Expr], schema: &DFSchema) -> Result<()> {
    for value in values {
        if may_have_nulls_inside(&value.get_type(schema)?) {
            return Err(told(
                value,
                "arrays or records that may have NULLs in them are compared by their order",
            ));
        }
    }
    Ok(())
}

fn check_keys(keys: &[Sort], schema: &DFSchema) -> Result<()> {
    for Sort { expr, asc, nulls_first } in keys {
        if asc == nulls_first && may_have_nulls_inside(&expr.get_type(schema)?) {
            let nulls = if *nulls_first { "NULLS FIRST" } else { "NULLS LAST" };
            return Err(told(expr, &format!("{nulls} for arrays or records that may have NULLs in them")));
        }
    }
    Ok(())
}

fn told(value: &Expr, message: &str) -> DataFusionError {
    let hint = "put them in order by their parts: `x[1], x[2]`, `p.field`";
    refused(message.to_owned(), hint, rewrite::place(value).first())
}

fn may_have_nulls_inside(of: &DataType) -> bool {
    match of {
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            item.is_nullable() || may_have_nulls_inside(item.data_type())
        }
        DataType::Struct(fields) => {
            fields.iter().any(|field| field.is_nullable() || may_have_nulls_inside(field.data_type()))
        }
        _ => false,
    }
}
