//! What other databases do otherwise, as far as it can be seen in the SQL: see docs/coming-from-other-databases.md.

use arrow::datatypes::DataType;
use datafusion::common::DFSchema;
use datafusion::logical_expr::expr::{Cast, Sort, TryCast, WindowFunction};
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable as _, LogicalPlan, Operator};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::Token;

use super::super::tree;
use super::{Planned, Project, place, push_once, warning};
use crate::diagnostic::{Code, Diagnostic};

/// Functions after which a number is meant to be whole.
const ROUNDING: &[&str] = &["round", "trunc", "floor", "ceil"];

pub(super) fn warnings(project: &Project<'_>, view: &Planned<'_>) -> Vec<Diagnostic> {
    of_rows(view, project.written.iter().any(|(name, _)| *name == view.name))
}

/// The same, knowing of the view only whether somebody looks at its columns.
pub(super) fn of_rows(view: &Planned<'_>, is_written: bool) -> Vec<Diagnostic> {
    let mut warnings = Vec::new();
    tree::each_node(view.plan, &mut |node| {
        let schema = merge_schema(&node.inputs());
        let is_list = matches!(node, LogicalPlan::Projection(_));
        let mut rule = Rule { view, schema: &schema, warnings: &mut warnings };
        for expression in node.expressions() {
            rule.visit(&expression, is_written && is_list, false);
        }
    });
    warnings
}

struct Rule<'a, 'w> {
    view: &'a Planned<'a>,
    schema: &'a DFSchema,
    warnings: &'w mut Vec<Diagnostic>,
}

impl Rule<'_, '_> {
    /// Looks at an expression and its parts. `is_output`: it becomes a column that is written. `is_whole`: a whole number is
    /// what is wanted of it.
    fn visit(&mut self, expression: &Expr, is_output: bool, is_whole: bool) {
        let mut is_whole_inside = false;
        match expression {
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::Divide, right }) if is_output && !is_whole => {
                self.division(expression, left, right);
            }
            Expr::Cast(Cast { expr, field }) | Expr::TryCast(TryCast { expr, field }) => {
                is_whole_inside = field.data_type().is_integer();
                if is_whole_inside {
                    self.cast(expression, expr);
                }
            }
            Expr::ScalarFunction(call) => {
                is_whole_inside = ROUNDING.contains(&call.name());
            }
            Expr::WindowFunction(function) => self.window(function),
            _ => {}
        }
        let mut is_first = true;
        let visited = datafusion::common::tree_node::TreeNode::apply_children(expression, |part| {
            // The digits of round(x, 2) want no whole number of anything.
            self.visit(part, is_output, is_whole_inside && is_first);
            is_first = false;
            Ok(datafusion::common::tree_node::TreeNodeRecursion::Continue)
        });
        debug_assert!(visited.is_ok(), "nothing here fails");
    }

    fn kind(&self, expression: &Expr) -> Option<DataType> {
        expression.get_type(self.schema).ok()
    }

    fn division(&mut self, whole: &Expr, left: &Expr, right: &Expr) {
        let is_integer = |side: &Expr| self.kind(side).is_some_and(|kind| kind.is_integer());
        if is_integer(left) && is_integer(right) {
            let message = "a division of integers: the result is an integer, without its fraction";
            let hint =
                "write `CAST(a AS DOUBLE) / b` for the exact quotient, or `trunc(a / b)` if this is meant";
            self.warn(Code::IntegerDivision, whole, message, hint);
        }
    }

    fn cast(&mut self, whole: &Expr, value: &Expr) {
        let is_rounded = matches!(value, Expr::ScalarFunction(call) if ROUNDING.contains(&call.name()));
        if !is_rounded && self.kind(value).is_some_and(|kind| kind.is_floating()) {
            let message = "a cast of a double to an integer cuts its fraction off: 2.9 becomes 2";
            let hint = "write `CAST(round(x) AS INT)` to round as MySQL and PostgreSQL do, or `trunc(x)` inside the cast \
                        if this is meant";
            self.warn(Code::FractionCutOff, whole, message, hint);
        }
    }

    fn window(&mut self, function: &WindowFunction) {
        for Sort { expr, asc, nulls_first } in &function.params.order_by {
            let is_default = !asc && *nulls_first && !self.says_where_nulls_go(expr);
            if is_default && expr.nullable(self.schema).unwrap_or(false) {
                let message =
                    "ORDER BY ... DESC puts NULLs first, so rank 1 or the first value may be a NULL's";
                let hint = "write `DESC NULLS LAST`, as MySQL and Spark order, or `DESC NULLS FIRST` if this is meant";
                self.warn(Code::NullsFirst, expr, message, hint);
            }
        }
    }

    /// Whether the DESC after an expression has NULLS FIRST or NULLS LAST.
    fn says_where_nulls_go(&self, expression: &Expr) -> bool {
        let Some(span) = place::of(self.view.file, expression).span else { return false };
        let is =
            |token: &Token, keyword: Keyword| matches!(token, Token::Word(word) if word.keyword == keyword);
        let is_after = |line: u64, column: u64| {
            let at = (usize::try_from(line).unwrap_or(0), usize::try_from(column).unwrap_or(0));
            at >= (span.line, span.column)
        };
        let after = self.view.file.tokens.iter();
        let mut after = after.skip_while(|token| !is_after(token.span.start.line, token.span.start.column));
        let desc = after.find(|token| is(&token.token, Keyword::DESC));
        desc.is_some() && after.next().is_some_and(|token| is(&token.token, Keyword::NULLS))
    }

    fn warn(&mut self, code: Code, expression: &Expr, message: &str, hint: &str) {
        let place = place::of(self.view.file, expression);
        push_once(self.warnings, warning(code, place, message.to_owned(), hint));
    }
}
