//! What windows are partitioned and ordered by, and aggregates ordered by, as columns.
//!
//! DataFusion takes rows for sorted by what it knows of the expressions that they are sorted by. It knows nothing of the
//! values of a function, not even their type. So if it has sorted rows by `length(x) > 3`, it does not find that they are,
//! and refuses the plan.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNodeRecursion};
use datafusion::common::{Column, Result};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan, Window, when};

use super::super::tree;
use super::domain::{self, Names};
use super::guards;
use super::subqueries::only;

/// The node over rows that have the keys as columns.
pub(super) fn as_columns(node: LogicalPlan, names: &mut Names) -> Result<Transformed<LogicalPlan>> {
    let mut keys = Keys { names, columns: Vec::new() };
    match node {
        LogicalPlan::Window(window) => {
            let functions = keys.taken_out(&window.window_expr)?;
            if keys.columns.is_empty() {
                return Ok(Transformed::no(LogicalPlan::Window(window)));
            }
            let columns = window.schema.columns();
            let input = keys.beside(window.input)?;
            let window = LogicalPlan::Window(Window::try_new(functions, Arc::new(input))?);
            Ok(Transformed::yes(only(window, columns)?))
        }
        LogicalPlan::Aggregate(aggregate) => {
            let functions = keys.taken_out(&aggregate.aggr_expr)?;
            if keys.columns.is_empty() {
                return Ok(Transformed::no(LogicalPlan::Aggregate(aggregate)));
            }
            let input = keys.beside(aggregate.input)?;
            let aggregate = Aggregate::try_new(Arc::new(input), aggregate.group_expr, functions)?;
            Ok(Transformed::yes(LogicalPlan::Aggregate(aggregate)))
        }
        node => Ok(Transformed::no(node)),
    }
}

struct Keys<'a> {
    names: &'a mut Names,
    /// Each key, and the name of its column.
    columns: Vec<(Expr, String)>,
}

impl Keys<'_> {
    /// The functions with columns in the place of their keys; each keeps its name.
    fn taken_out(&mut self, functions: &[Expr]) -> Result<Vec<Expr>> {
        let names = NamePreserver::new_for_projection();
        let functions = functions.iter().map(|function| {
            let name = names.save(function);
            Ok(name.restore(tree::rewrite_parts(function.clone(), &mut |part| self.of_function(part))?))
        });
        functions.collect()
    }

    fn of_function(&mut self, part: Expr) -> Result<Transformed<Expr>> {
        let replaced = match part {
            Expr::WindowFunction(mut function) => {
                let params = &mut function.params;
                let order = params.order_by.iter_mut().map(|key| &mut key.expr);
                params.partition_by.iter_mut().chain(order).for_each(|key| self.replace(key));
                Expr::WindowFunction(function)
            }
            Expr::AggregateFunction(mut function) if !function.func.supports_within_group_clause() => {
                let params = &mut function.params;
                for key in &mut params.order_by {
                    // A key that may fail is computed for the rows of FILTER only.
                    if let Some(filter) = params.filter.as_deref().filter(|_| !guards::is_plain(&key.expr)) {
                        key.expr = when(filter.clone(), std::mem::take(&mut key.expr)).end()?;
                    }
                    self.replace(&mut key.expr);
                }
                Expr::AggregateFunction(function)
            }
            part => return Ok(Transformed::no(part)),
        };
        Ok(Transformed::new(replaced, true, TreeNodeRecursion::Jump))
    }

    fn replace(&mut self, key: &mut Expr) {
        if matches!(key, Expr::Column(_) | Expr::Literal(..)) {
            return;
        }
        let known = self.columns.iter().find(|(known, _)| known == key);
        let name = match known {
            Some((_, name)) => name.clone(),
            None => {
                let name = self.names.column("key");
                self.columns.push((key.clone(), name.clone()));
                name
            }
        };
        *key = Expr::Column(Column::new_unqualified(name));
    }

    /// The rows with the keys beside them.
    fn beside(self, input: Arc<LogicalPlan>) -> Result<LogicalPlan> {
        let keys = self.columns.into_iter().map(|(key, name)| key.alias(name));
        domain::with_columns(Arc::unwrap_or_clone(input), keys)
    }
}
