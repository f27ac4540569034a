//! What holds for the rows that a subquery in an expression is computed for: the conditions beside it in AND and OR, and those
//! of its branch of a CASE. A subquery is computed before the expression is, so it has to be told.

use std::sync::Arc;

use datafusion::common::{Column, Result};
use datafusion::logical_expr::expr_fn::when;
use datafusion::logical_expr::utils::{conjunction, split_binary_owned};
use datafusion::logical_expr::{BinaryExpr, Case, Expr, Filter, LogicalPlan, Operator};

use super::super::{placed, rewrite, tree};
use super::domain::has_subquery;

/// Conditions without subqueries, which are all true.
#[derive(Default)]
pub(super) struct Guards(Vec<Expr>);

impl Guards {
    fn add(&mut self, condition: Expr) {
        if is_plain(&condition) {
            self.0.push(condition);
        }
    }

    /// The columns that they read.
    pub fn columns(&self) -> impl Iterator<Item = &Column> {
        self.0.iter().flat_map(Expr::column_refs)
    }

    /// The rows for which they hold.
    pub fn rows(&self, rows: LogicalPlan) -> Result<LogicalPlan> {
        Ok(match conjunction(self.0.iter().cloned()) {
            Some(guard) => LogicalPlan::Filter(Filter::try_new(guard, Arc::new(rows))?),
            None => rows,
        })
    }

    /// A value that is computed only for the rows for which they hold.
    pub fn value(&self, value: Expr) -> Result<Expr> {
        match conjunction(self.0.iter().cloned()) {
            Some(guard) => when(guard, value).end(),
            None => Ok(value),
        }
    }
}

/// Whether a condition is as it is written: it cannot fail, and is the same when it is computed twice.
pub(super) fn is_plain(condition: &Expr) -> bool {
    let may_fail = tree::any_part(condition, &|part| match part {
        Expr::BinaryExpr(BinaryExpr { op, .. }) => !is_comparison(*op),
        Expr::Cast(cast) => !matches!(cast.expr.as_ref(), Expr::Literal(..)),
        Expr::Negative(value) => !matches!(value.as_ref(), Expr::Literal(..)),
        Expr::ScalarFunction(call) => placed::may_refuse(call),
        _ => has_subquery(part),
    });
    !condition.is_volatile() && !may_fail
}

fn is_comparison(op: Operator) -> bool {
    let is_of_texts = matches!(
        op,
        Operator::RegexMatch | Operator::RegexIMatch | Operator::RegexNotMatch | Operator::RegexNotIMatch
    );
    op.supports_propagation()
        || op.is_logic_operator()
        || op == Operator::IsDistinctFrom
        || is_of_texts
        || op == Operator::IsNotDistinctFrom
}

/// What takes the subqueries out of expressions.
pub(super) trait Attach {
    fn guards(&mut self) -> &mut Guards;

    /// The expression without subqueries; `input` gets the columns that are there for them. Its rows stay as they are.
    ///
    /// # Errors
    /// A subquery that nothing can be there for.
    fn attach(&mut self, input: &mut LogicalPlan, expression: Expr) -> Result<Expr>;

    /// A CASE without subqueries: those of a branch are computed for the rows that take it.
    fn case(&mut self, input: &mut LogicalPlan, case: Case) -> Result<Expr> {
        let before = self.guards().0.len();
        let attached = self.branches(input, case);
        self.guards().0.truncate(before);
        attached
    }

    fn branches(&mut self, input: &mut LogicalPlan, case: Case) -> Result<Expr> {
        let operand = case.expr.map(|operand| self.attach(input, *operand)).transpose()?;
        let mut branches = Vec::new();
        for (condition, value) in case.when_then_expr {
            let holds = match &operand {
                Some(operand) => operand.clone().eq(condition.as_ref().clone()),
                None => condition.as_ref().clone(),
            };
            let condition = self.attach(input, *condition)?;
            let before = self.guards().0.len();
            self.guards().add(Expr::IsTrue(Box::new(holds.clone())));
            let value = self.attach(input, *value)?;
            self.guards().0.truncate(before);
            self.guards().add(Expr::IsNotTrue(Box::new(holds)));
            branches.push((Box::new(condition), Box::new(value)));
        }
        let otherwise = case.else_expr.map(|value| self.attach(input, *value).map(Box::new)).transpose()?;
        Ok(Expr::Case(Case::new(operand.map(Box::new), branches, otherwise)))
    }

    /// AND or OR without subqueries: they are computed for the rows for which the other operands do not decide.
    fn chain(&mut self, input: &mut LogicalPlan, chain: BinaryExpr) -> Result<Expr> {
        let op = chain.op;
        let parts = split_binary_owned(Expr::BinaryExpr(chain), op);
        let before = self.guards().0.len();
        for part in parts.iter().filter(|part| !has_subquery(part)) {
            let part = Box::new(part.clone());
            self.guards().add(if op == Operator::And {
                Expr::IsNotFalse(part)
            } else {
                Expr::IsNotTrue(part)
            });
        }
        let attached: Result<Vec<Expr>> = parts.into_iter().map(|part| self.attach(input, part)).collect();
        self.guards().0.truncate(before);
        Ok(rewrite::joined(op, attached?).unwrap_or_default())
    }
}
