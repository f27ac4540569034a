//! `x IS TRUE` as `x IS NOT DISTINCT FROM true`, which is what runs.
//!
//! DataFusion knows that the first is never NULL, and that the second may be if `x` may, so it finds two types for one key of a
//! DISTINCT or GROUP BY, and refuses the plan.

use arrow::datatypes::DataType;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable as _, Operator, lit};

pub(super) fn rewrite(part: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let (value, op, truth) = match &part {
        Expr::IsTrue(value) => (value, Operator::IsNotDistinctFrom, true),
        Expr::IsNotTrue(value) => (value, Operator::IsDistinctFrom, true),
        Expr::IsFalse(value) => (value, Operator::IsNotDistinctFrom, false),
        Expr::IsNotFalse(value) => (value, Operator::IsDistinctFrom, false),
        _ => return Ok(Transformed::no(part)),
    };
    if value.get_type(schema)? != DataType::Boolean {
        return Ok(Transformed::no(part));
    }
    let written = BinaryExpr::new(value.clone(), op, Box::new(lit(truth)));
    Ok(Transformed::yes(Expr::BinaryExpr(written)))
}
