//! Names in subqueries that DataFusion takes for columns of the query around them, though SQL does not.
//!
//! A name alone that several relations of a subquery have is ambiguous. DataFusion then looks further out, and takes a column
//! of the query around the subquery, if that has one of the name. And an aggregate of nothing but columns of the query around
//! belongs to that query in SQL, but to the subquery in DataFusion.

use std::sync::Arc;

use datafusion::common::{Column, DFSchema, DataFusionError, Diagnostic, Result, SchemaError, Span};
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::sql::sqlparser::ast::{Expr as SqlExpr, SetExpr, Statement, TableFactor, TableWithJoins};
use datafusion::sql::sqlparser::tokenizer::Span as TokenSpan;

use super::super::walk::{self, Part};
use super::super::{rewrite, tree};
use super::domain::subquery_of;
use super::refused;

/// # Errors
/// A name that the plan of a statement takes for another column than SQL does.
pub(super) fn check(statement: &Statement, plan: &LogicalPlan) -> Result<()> {
    let mut scopes = Scopes { around: Vec::new(), passed_over: Vec::new() };
    scopes.query(plan)?;
    for column in scopes.passed_over {
        if let Some(span) = place_alone(statement, &column.name) {
            let place = Span::try_from_sqlparser_span(span);
            let name = column.name.clone();
            let field = Box::new(Column::new_unqualified(&name));
            let error = DataFusionError::SchemaError(
                Box::new(SchemaError::AmbiguousReference { field }),
                Box::new(None),
            );
            return Err(error.with_diagnostic(Diagnostic::new_error(name, place)));
        }
    }
    Ok(())
}

struct Scopes {
    /// The columns of the queries around, the nearest last.
    around: Vec<DFSchema>,
    /// Columns of queries further out, though nearer relations have several of the name.
    passed_over: Vec<Column>,
}

impl Scopes {
    fn query(&mut self, plan: &LogicalPlan) -> Result<()> {
        tree::check_own_nodes(plan, &mut |node| self.node(node))
    }

    fn node(&mut self, node: &LogicalPlan) -> Result<()> {
        let mut subqueries = Vec::new();
        let mut checked = Ok(());
        tree::each_part_of(node, &mut |part| match part {
            Expr::OuterReferenceColumn(_, column) if self.passes_over(node, column) => {
                self.passed_over.push(column.clone());
            }
            Expr::AggregateFunction(function) if checked.is_ok() => checked = check_aggregate(function),
            part => subqueries.extend(subquery_of(part).map(|it| Arc::clone(&it.subquery))),
        });
        checked?;
        for subquery in subqueries {
            self.around.push(rewrite::scope(node));
            self.query(&subquery)?;
            self.around.pop();
        }
        Ok(())
    }

    /// Whether relations that are nearer than the column's have several columns of its name.
    fn passes_over(&self, node: &LogicalPlan, column: &Column) -> bool {
        if has_several(node, &column.name) {
            return true;
        }
        let between = self.around.iter().rev().take_while(|schema| !schema.has_column(column));
        between.into_iter().any(|schema| schema.fields_with_unqualified_name(&column.name).len() > 1)
    }
}

/// Whether the relations that a node of a SELECT reads have several columns of a name.
fn has_several(node: &LogicalPlan, name: &str) -> bool {
    let inputs = node.inputs();
    let named = inputs.iter().map(|input| input.schema().fields_with_unqualified_name(name).len());
    if named.sum::<usize>() > 1 {
        return true;
    }
    match inputs.as_slice() {
        [LogicalPlan::SubqueryAlias(_)] => false,
        [input] => has_several(input, name),
        _ => false,
    }
}

/// # Errors
/// It reads columns of the query around a subquery alone.
fn check_aggregate(function: &AggregateFunction) -> Result<()> {
    let mut outer = None;
    let mut has_own = false;
    let params = &function.params;
    let order = params.order_by.iter().map(|key| &key.expr);
    for part in params.args.iter().chain(params.filter.as_deref()).chain(order) {
        tree::each_part(part, &mut |part| match part {
            Expr::Column(_) => has_own = true,
            Expr::OuterReferenceColumn(_, column) => outer = Some(column.clone()),
            _ => {}
        });
    }
    match outer {
        Some(column) if !has_own => {
            let name = function.func.name();
            Err(refused(
                format!(
                    "`{name}` in a subquery reads only `{}`, a column of the query around it",
                    column.name
                ),
                "SQL takes it for an aggregate of that query: aggregate a column of the subquery, or take the aggregate out",
                None,
            ))
        }
        _ => Ok(()),
    }
}

/// Where a subquery with several relations, or a subquery inside it, has a name without a relation.
fn place_alone(statement: &Statement, name: &str) -> Option<TokenSpan> {
    // For each query around, from the outermost, whether it has several relations, and whether it is one of them itself.
    let mut queries: Vec<(bool, bool)> = Vec::new();
    let mut is_relation = false;
    let found = walk::read(statement, &mut |part| {
        match part {
            Part::TableFactor(factor) => {
                is_relation = matches!(factor, TableFactor::Derived { lateral: false, .. })
            }
            Part::Query(query) => {
                queries.push((has_several_relations(&query.body), std::mem::take(&mut is_relation)));
            }
            Part::EndOfQuery(_) => drop(queries.pop()),
            Part::Expression(SqlExpr::Identifier(alone)) if alone.value == name && sees_several(&queries) => {
                return Err(alone.span);
            }
            _ => {}
        }
        Ok(())
    });
    found.err()
}

/// Whether a name may be looked for in a subquery with several relations. A query that is a relation sees none of those
/// beside it.
fn sees_several(queries: &[(bool, bool)]) -> bool {
    let mut is_hidden = false;
    queries.iter().skip(1).rev().any(|(has_several, is_relation)| {
        let is_seen = !std::mem::replace(&mut is_hidden, *is_relation);
        is_seen && *has_several
    })
}

fn has_several_relations(body: &SetExpr) -> bool {
    let is_several =
        |tables: &[TableWithJoins]| tables.len() > 1 || tables.iter().any(|tables| !tables.joins.is_empty());
    match body {
        SetExpr::Select(select) => is_several(&select.from),
        SetExpr::SetOperation { left, right, .. } => {
            has_several_relations(left) || has_several_relations(right)
        }
        _ => false,
    }
}
