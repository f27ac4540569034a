//! Forms of SQL that DataFusion answers wrongly, without an error: each is rewritten to one that it answers rightly, or
//! refused before anything runs.
//!
//! `tests.rs` lists them, with a query that DataFusion alone answers wrongly today, so that an entry can go when upstream is
//! mended. Rewrites act on the statement as it is parsed ([`rewrite_statement`]), if names are enough, and else on the plan
//! before types are coerced ([`RewriteForms`]). Wrong rules of the optimizer are left out in [`super::optimizer`], and
//! operators that bind wrongly are mended in [`super::dialect`].

mod clauses;
mod distinct_orders;
mod domain;
mod durations;
mod elsewhere;
mod expressions;
mod field_paths;
mod formats;
mod frames;
mod group_keys;
mod guards;
mod inner_nulls;
mod intervals;
mod kept_types;
mod keys_of_rows;
mod lists;
mod named_windows;
mod natural;
mod no_patterns;
mod one_row;
mod order_keys;
mod orders;
mod output_names;
mod own_values;
mod patterns;
mod recursion;
mod scopes;
mod set_operations;
mod shadowed;
mod sort_keys;
mod strange_casts;
mod subqueries;
mod truth;
mod twins;
mod unread;
mod using;

#[cfg(test)]
mod tests;

use datafusion::common::tree_node::Transformed;
use datafusion::common::{Diagnostic, Result, Span as PlannerSpan};
use datafusion::config::ConfigOptions;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::LogicalPlan;
use datafusion::optimizer::AnalyzerRule;
use datafusion::sql::sqlparser::ast::{Expr as SqlExpr, OrderBy, SetExpr, Statement};
use datafusion::sql::sqlparser::tokenizer::Span;

pub(super) use keys_of_rows::WithoutKeys;

use super::error::Refused;
use super::walk::{self, PartMut};
use crate::diagnostic::{Code, Finding};

pub(super) use own_values::AS_IS;
pub(super) use recursion::of_two_types;

/// Why a form of a statement is not run.
pub(super) struct Refusal {
    pub(super) code: Code,
    pub(super) span: Span,
    pub(super) message: String,
    /// What to write instead.
    pub(super) hint: String,
}

impl Refusal {
    fn new(span: Span, message: String, hint: impl Into<String>) -> Self {
        Self { code: Code::Sql, span, message, hint: hint.into() }
    }

    fn coded(self, code: Code) -> Self {
        Self { code, ..self }
    }
}

/// Writes a statement as what it means, where DataFusion would take it for something else.
///
/// # Errors
/// The first form that cannot be written otherwise.
pub(super) fn rewrite_statement(statement: &mut Statement) -> Result<(), Refusal> {
    let relations = field_paths::Relations::of(statement);
    let mut names = shadowed::Names::default();
    walk::write(statement, &mut |part| match part {
        PartMut::Query(query) => {
            names.enter(query);
            unread::check_query(query)
        }
        PartMut::EndOfQuery(query) => {
            names.leave(query);
            recursion::write_out(query)?;
            clauses::fetch_as_limit(query);
            rewrite_body(&mut query.body, query.order_by.as_mut())
        }
        PartMut::Expression(SqlExpr::Exists { subquery, .. }) => {
            clauses::exists_of_anything(subquery);
            Ok(())
        }
        PartMut::Expression(_) | PartMut::TableFactor(_) => Ok(()),
        PartMut::EndOfExpression(expression) => {
            if let Some(rewritten) = relations.rewritten(expression) {
                *expression = rewritten;
            }
            rewrite_expression(expression)
        }
    })
}

fn rewrite_expression(expression: &mut SqlExpr) -> Result<(), Refusal> {
    unread::check(expression)?;
    elsewhere::check(expression)?;
    no_patterns::check(expression)?;
    let rewritten = match distinct_orders::rewritten(expression)? {
        None => intervals::rewritten(expression)?,
        rewritten => rewritten,
    };
    let rewritten = rewritten.or_else(|| elsewhere::rewritten(expression));
    let rewritten = rewritten.or_else(|| expressions::rewritten(expression));
    if let Some(rewritten) = rewritten {
        *expression = rewritten;
    }
    Ok(())
}

fn rewrite_body(body: &mut SetExpr, order_by: Option<&mut OrderBy>) -> Result<(), Refusal> {
    match body {
        SetExpr::Select(select) => {
            let mut order_by = order_by;
            clauses::unnest_without_lateral(select);
            elsewhere::check_select(select)?;
            unread::check_select(select)?;
            unread::check_windows(select)?;
            unread::write_out_groups(select)?;
            clauses::having_of_one_group(select);
            clauses::replaced_columns(select);
            using::write_out(select, order_by.as_deref_mut())?;
            named_windows::write_out(select, order_by.as_deref_mut())?;
            order_keys::write_out(select, order_by.as_deref_mut())?;
            twins::tell_apart(select, order_by);
            Ok(())
        }
        SetExpr::SetOperation { left, right, .. } => {
            rewrite_body(left, None)?;
            rewrite_body(right, None)
        }
        _ => Ok(()),
    }
}

/// Refuses what the plan of a statement takes for something else, which neither of them shows alone.
///
/// # Errors
/// The first such form.
pub(super) fn check_planned(statement: &Statement, plan: &LogicalPlan) -> Result<()> {
    recursion::check(statement, plan)?;
    scopes::check(statement, plan)?;
    natural::check(statement, plan)
}

/// Rewrites the forms that need the columns of the tables and their types.
#[derive(Debug)]
pub(super) struct RewriteForms;

impl AnalyzerRule for RewriteForms {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        let values = own_values::OwnValues::default();
        let mut names = domain::Names::default();
        let plan = super::tree::rewrite_nodes(plan, &mut |node| {
            inner_nulls::check_node(&node)?;
            durations::check_node(&node)?;
            output_names::check_node(&node)?;
            let node = rewrite_expressions(node, &values)?;
            let node = node.transform_data(|node| Ok(orders::rewrite_node(node, &values)))?;
            let node = node.transform_data(|node| keys_of_rows::hide_below_unnest(node, &values))?;
            let node = node.transform_data(group_keys::as_columns)?;
            let node = node.transform_data(|node| sort_keys::as_columns(node, &mut names))?;
            node.transform_data(set_operations::rewrite)
        })?;
        subqueries::rewrite(plan)
    }

    fn name(&self) -> &'static str {
        "rewrite_forms"
    }
}

fn rewrite_expressions(
    node: LogicalPlan,
    values: &own_values::OwnValues,
) -> Result<Transformed<LogicalPlan>> {
    let rewritten = super::rewrite::expressions(node, &|part, schema| {
        inner_nulls::check(&part, schema)?;
        durations::check(&part, schema)?;
        strange_casts::check(&part, schema)?;
        let part = durations::rewrite(part, schema)?;
        let part = part.transform_data(|part| frames::rewrite(part, schema))?;
        let part = part.transform_data(|part| kept_types::rewrite(part, schema))?;
        let part = part.transform_data(patterns::rewrite)?;
        let part = part.transform_data(|part| truth::rewrite(part, schema))?;
        let part = part.transform_data(|part| Ok(orders::rewrite(part, values)))?;
        part.transform_data(|part| Ok(lists::rewrite(part, values)))
    })?;
    match rewritten.transformed {
        true => rewritten.map_data(LogicalPlan::recompute_schema),
        false => Ok(rewritten),
    }
}

/// An error of the planner that says what is not run, where, and what to write instead.
pub(super) fn refused(message: String, hint: &str, span: Option<PlannerSpan>) -> DataFusionError {
    refused_as(Code::Sql, message, hint, span)
}

/// As [`refused`], with a code of its own.
pub(super) fn refused_as(
    code: Code,
    message: String,
    hint: &str,
    span: Option<PlannerSpan>,
) -> DataFusionError {
    let diagnostic = Diagnostic::new_error(message.clone(), span);
    let hint = (!hint.is_empty()).then(|| hint.to_owned());
    let found = Finding::new(message).with_hint_if_some(hint);
    DataFusionError::External(Box::new(Refused { code, found })).with_diagnostic(diagnostic)
}
