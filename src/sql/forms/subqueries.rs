//! Subqueries become joins: EXISTS, IN, comparisons with ANY and ALL, and scalar subqueries, wherever an expression may
//! stand, and LATERAL.
//!
//! A subquery that reads columns of the query around it is computed once for all values that these columns have
//! ([`super::domain`]), then joined with the rows around it on these values. So each operator inside keeps its meaning: an
//! aggregate without GROUP BY has a row also where nothing matched, LIMIT counts for each value, HAVING takes rows away.
//!
//! The truth of IN has three values, as in the standard: `x IN (...)` is NULL if nothing equals x but something could, because
//! x is NULL or a value of the subquery is.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, ExprSchema as _, NullEquality, Result, TableReference};
use datafusion::functions_aggregate::expr_fn::{count, first_value};
use datafusion::logical_expr::expr::{Exists, InSubquery, SetComparison, SetQuantifier, Sort};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{
    BinaryExpr, Distinct, DistinctOn, Expr, ExprSchemable as _, Filter, Join, JoinConstraint, JoinType,
    LogicalPlan, LogicalPlanBuilder, Operator, Projection, ScalarUDF, Subquery, SubqueryAlias, lit, when,
};
use datafusion::scalar::ScalarValue;

use super::super::tree;
use super::domain::{self, Domain, Names, has_subquery, subquery_of};
use super::guards::{self, Attach, Guards};
use super::one_row::{OneRow, has_a_row, has_one_row};
use super::refused;

/// The same query without subqueries, but for scalar ones that read nothing of the query around them.
///
/// # Errors
/// Subqueries in places where no join can stand for them, and operators that cannot be computed for many values at once.
pub(super) fn rewrite(plan: LogicalPlan) -> Result<LogicalPlan> {
    let plan = Unnesting::default().plan(plan)?;
    match domain::outer_columns(&plan).first() {
        None => Ok(plan),
        Some(column) => Err(refused(
            format!("a subquery reads `{column}` from a place where that is not known"),
            "put the subquery into the SELECT list, and use its name here",
            column.spans.first(),
        )),
    }
}

#[derive(Default)]
struct Unnesting {
    names: Names,
    /// What holds for the rows that the next subquery is computed for.
    guards: Guards,
}

/// A subquery, whose own subqueries are joins already, beside the rows that it is computed for.
struct Inner {
    query: LogicalPlan,
    /// The columns that it reads of the rows around it.
    outer: Vec<Column>,
    /// Whether it reads columns of a query further out.
    reads_further_out: bool,
}

impl Inner {
    fn reads_nothing(&self) -> bool {
        self.outer.is_empty() && !self.reads_further_out
    }
}

/// A comparison of a value with the rows of a subquery.
struct Comparison {
    value: Expr,
    op: Operator,
    quantifier: SetQuantifier,
}

impl Attach for Unnesting {
    fn guards(&mut self) -> &mut Guards {
        &mut self.guards
    }

    fn attach(&mut self, input: &mut LogicalPlan, expression: Expr) -> Result<Expr> {
        tree::rewrite_parts(expression, &mut |part| {
            let replaced = match part {
                Expr::Exists(Exists { subquery, negated }) => {
                    let exists = self.exists(input, subquery)?;
                    if negated { Expr::Not(Box::new(exists)) } else { exists }
                }
                Expr::InSubquery(InSubquery { expr, subquery, negated }) => {
                    let value = self.attach(input, *expr)?;
                    let comparison = Comparison { value, op: Operator::Eq, quantifier: SetQuantifier::Any };
                    let is_in = self.comparison(input, comparison, subquery, false)?;
                    if negated { Expr::Not(Box::new(is_in)) } else { is_in }
                }
                Expr::SetComparison(SetComparison { expr, subquery, op, quantifier }) => {
                    let value = self.attach(input, *expr)?;
                    self.comparison(input, Comparison { value, op, quantifier }, subquery, false)?
                }
                Expr::ScalarSubquery(subquery) => self.scalar(input, subquery)?,
                Expr::Case(case) => self.case(input, case)?,
                Expr::BinaryExpr(chain) if matches!(chain.op, Operator::And | Operator::Or) => {
                    self.chain(input, chain)?
                }
                part => return Ok(Transformed::no(part)),
            };
            Ok(Transformed::new(replaced, true, TreeNodeRecursion::Jump))
        })
    }
}

impl Unnesting {
    fn plan(&mut self, plan: LogicalPlan) -> Result<LogicalPlan> {
        tree::rewrite_own_nodes(plan, &mut |node| self.node(node))
    }

    fn node(&mut self, node: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
        if let LogicalPlan::Join(join) = node {
            return self.join(join);
        }
        if !tree::any_expression(&node, &has_subquery) {
            return Ok(Transformed::no(node));
        }
        match node {
            LogicalPlan::Filter(filter) => {
                let columns = filter.input.schema().columns();
                let (input, predicate) =
                    self.condition(Arc::unwrap_or_clone(filter.input), filter.predicate)?;
                let filtered = LogicalPlan::Filter(Filter::try_new(predicate, Arc::new(input))?);
                Ok(Transformed::yes(only(filtered, columns)?))
            }
            LogicalPlan::Projection(_) | LogicalPlan::Aggregate(_) | LogicalPlan::Window(_) => {
                let columns = node.schema().columns();
                let mut input = node.inputs()[0].clone();
                let expressions = self.attach_named(&mut input, node.expressions())?;
                let rewritten = node.with_new_exprs(expressions, vec![input])?;
                // A window passes the columns of its input on.
                Ok(Transformed::yes(only(rewritten, columns)?))
            }
            LogicalPlan::Sort(mut sort) => {
                let columns = sort.input.schema().columns();
                let mut input = with_columns_read(Arc::unwrap_or_clone(sort.input), &sort.expr)?;
                for key in &mut sort.expr {
                    key.expr = self.attach(&mut input, key.expr.clone())?;
                }
                sort.input = Arc::new(input);
                Ok(Transformed::yes(only(LogicalPlan::Sort(sort), columns)?))
            }
            LogicalPlan::Distinct(Distinct::On(DistinctOn {
                on_expr,
                select_expr,
                sort_expr,
                input,
                ..
            })) => {
                let mut input = Arc::unwrap_or_clone(input);
                let mut on = Vec::new();
                for expression in on_expr {
                    on.push(self.attach(&mut input, expression)?);
                }
                let select = self.attach_named(&mut input, select_expr)?;
                let mut order = sort_expr.unwrap_or_default();
                for key in &mut order {
                    key.expr = self.attach(&mut input, key.expr.clone())?;
                }
                let order = (!order.is_empty()).then_some(order);
                let on = DistinctOn::try_new(on, select, order, Arc::new(input))?;
                Ok(Transformed::yes(LogicalPlan::Distinct(Distinct::On(on))))
            }
            // What reads nothing of the rows around it may stand anywhere.
            other => {
                let name = other.display().to_string();
                let name = name.split(':').next().unwrap_or_default().to_owned();
                tree::rewrite_expressions(other, &mut |expression| {
                    let mut nothing = LogicalPlan::default();
                    let expression = self.attach(&mut nothing, expression)?;
                    if !matches!(nothing, LogicalPlan::EmptyRelation(_)) {
                        return Err(refused(
                            format!("a subquery inside {name} reads columns of the query around it"),
                            "compute its value in a SELECT list first",
                            None,
                        ));
                    }
                    Ok(Transformed::yes(expression))
                })
            }
        }
    }

    /// The rows with what the subqueries of a condition need, and the condition.
    fn condition(&mut self, input: LogicalPlan, predicate: Expr) -> Result<(LogicalPlan, Expr)> {
        let mut input = input;
        let (with, without): (Vec<_>, Vec<_>) =
            split_conjunction_owned(predicate).into_iter().partition(has_subquery);
        // The subqueries are computed for the rows that are left by the conditions beside them.
        let (first, mut parts): (Vec<_>, Vec<_>) = without.into_iter().partition(guards::is_plain);
        if let Some(first) = conjunction(first) {
            input = LogicalPlan::Filter(Filter::try_new(first, Arc::new(input))?);
        }
        for part in with {
            parts.push(match part {
                // NULL is as good as false here, and needs less.
                Expr::InSubquery(InSubquery { expr, subquery, negated: false }) => {
                    let value = self.attach(&mut input, *expr)?;
                    let comparison = Comparison { value, op: Operator::Eq, quantifier: SetQuantifier::Any };
                    self.comparison(&mut input, comparison, subquery, true)?
                }
                part => self.attach(&mut input, part)?,
            });
        }
        let predicate = conjunction(parts).unwrap_or_else(|| lit(true));
        Ok((input, predicate))
    }

    /// The same for expressions that are columns, which keep their names.
    fn attach_named(&mut self, input: &mut LogicalPlan, expressions: Vec<Expr>) -> Result<Vec<Expr>> {
        let names = NamePreserver::new_for_projection();
        let named = expressions.into_iter().map(|expression| {
            if !has_subquery(&expression) {
                return Ok(expression);
            }
            let name = names.save(&expression);
            Ok(name.restore(self.attach(input, expression)?))
        });
        named.collect()
    }

    fn inner(&mut self, input: &LogicalPlan, subquery: Subquery) -> Result<Inner> {
        let guards = std::mem::take(&mut self.guards);
        let query = self.plan(Arc::unwrap_or_clone(subquery.subquery))?;
        self.guards = guards;
        let (outer, further) = domain::outer_columns(&query)
            .into_iter()
            .partition::<Vec<_>, _>(|column| input.schema().has_column(column));
        Ok(Inner { query, outer, reads_further_out: !further.is_empty() })
    }

    fn domain(&mut self, input: &LogicalPlan, outer: Vec<Column>, others: Vec<Expr>) -> Result<Domain> {
        let read = others.iter().flat_map(Expr::column_refs).chain(&outer).chain(self.guards.columns());
        let around = domain::before_joins(input, &read.collect::<Vec<_>>());
        let around = self.guards.rows(around.clone())?;
        Domain::new(&mut self.names, &around, outer, others)
    }

    fn exists(&mut self, input: &mut LogicalPlan, subquery: Subquery) -> Result<Expr> {
        let inner = self.inner(input, subquery)?;
        if inner.reads_nothing() {
            return has_rows(inner.query);
        }
        if inner.outer.is_empty() {
            let number = self.names.column("n");
            cross(input, counted(inner.query, &number)?)?;
            return Ok(Expr::Column(Column::new_unqualified(number)).gt(lit(0_i64)));
        }
        let domain = self.domain(input, inner.outer, Vec::new())?;
        let (rows, keys) = domain.push_into(&mut self.names, inner.query)?;
        self.mark(input, rows, domain.matching(&keys))
    }

    fn scalar(&mut self, input: &mut LogicalPlan, subquery: Subquery) -> Result<Expr> {
        let spans = subquery.spans.clone();
        let inner = self.inner(input, subquery)?;
        if inner.reads_nothing() {
            let may_have_no_row = !has_a_row(&inner.query);
            let subquery = Arc::new(inner.query);
            // LATERAL inside it has become a join, so it has no outer columns either.
            let value = Expr::ScalarSubquery(Subquery { subquery, outer_ref_columns: Vec::new(), spans });
            // Why: upstream takes the value for never NULL if the subquery's column is, or becomes so when it is simplified.
            return Ok(if may_have_no_row { one_row(value, lit(1_i64)) } else { value });
        }
        let value = first_column(&inner.query)?;
        let has_one_row = has_one_row(&inner.query);
        let domain = self.domain(input, inner.outer, Vec::new())?;
        let (rows, keys) = domain.push_into(&mut self.names, inner.query)?;
        let (named, number) = (self.names.column("v"), self.names.column("n"));
        let result = Expr::Column(Column::new_unqualified(&named));
        let groups: Vec<Expr> = keys.iter().cloned().map(Expr::Column).collect();
        let builder = LogicalPlanBuilder::from(rows);
        let (rows, result) = if has_one_row {
            let columns = groups.into_iter().chain([Expr::Column(value).alias(&named)]);
            (builder.project(columns)?.build()?, result)
        } else {
            let value = first_value(Expr::Column(value), Vec::new()).alias(&named);
            let counted = count(lit(1_i64)).alias(&number);
            let rows = builder.aggregate(groups, vec![value, counted])?.build()?;
            let number = Expr::Column(Column::new_unqualified(number));
            (rows, one_row(result, number))
        };
        join_left(input, rows, domain.matching(&keys))?;
        Ok(result)
    }

    /// Whether a comparison holds for any, or for all, of a subquery's rows: true, false or NULL. If `only_true` is set, false
    /// may stand for NULL.
    fn comparison(
        &mut self,
        input: &mut LogicalPlan,
        comparison: Comparison,
        subquery: Subquery,
        only_true: bool,
    ) -> Result<Expr> {
        let Comparison { value, op, quantifier } = comparison;
        let value = self.as_column(input, value)?;
        let value_is_nullable = value.nullable(input.schema())?;
        let inner = self.inner(input, subquery)?;
        let row = first_column(&inner.query)?;
        let row_is_nullable = inner.query.schema().field_from_column(&row)?.is_nullable();
        let is_any = matches!(quantifier, SetQuantifier::Any);
        let null = || lit(ScalarValue::Boolean(None));

        if inner.reads_nothing() && op == Operator::Eq && is_any {
            // Without columns of its own, the subquery is the same for all rows: one join, and what is NULL about it is known
            // once.
            let query = inner.query;
            let is_row_null = Expr::Column(row.clone()).is_null();
            let nulls = LogicalPlanBuilder::from(query.clone()).filter(is_row_null)?.build()?;
            let has_nulls = if row_is_nullable { has_rows(nulls)? } else { lit(false) };
            let has_any = if value_is_nullable { has_rows(query.clone())? } else { lit(false) };
            let relation = self.names.relation();
            let named = self.names.column("y");
            let rows = LogicalPlanBuilder::from(query).project([Expr::Column(row).alias(&named)])?;
            let rows = rows.alias(relation.clone())?.build()?;
            let equal = value.clone().eq(Expr::Column(Column::new(Some(relation.clone()), named)));
            mark_join(input, rows, Vec::new(), Some(equal))?;
            let mark = Expr::Column(Column::new(Some(relation), "mark"));
            if only_true || !(row_is_nullable || value_is_nullable) {
                return Ok(mark);
            }
            let may_be = has_nulls.or(value.is_null().and(has_any));
            return when(mark, lit(true)).when(may_be, null()).otherwise(lit(false));
        }

        let domain = self.domain(input, inner.outer, vec![value])?;
        let (rows, keys) = domain.push_into(&mut self.names, inner.query)?;
        let Some(value) = keys.last().cloned() else {
            return Err(refused("a comparison with a subquery has no value".into(), "", None));
        };
        let compared =
            Expr::BinaryExpr(BinaryExpr::new(Box::new(Expr::Column(value)), op, Box::new(Expr::Column(row))));
        let decided = if is_any { compared.clone() } else { Expr::Not(Box::new(compared.clone())) };
        let of = |condition: Expr| LogicalPlanBuilder::from(rows.clone()).filter(condition)?.build();
        let is_decided = self.mark(input, of(decided)?, domain.matching(&keys))?;
        if only_true && is_any {
            return Ok(is_decided);
        }
        let is_unknown = if row_is_nullable || value_is_nullable {
            self.mark(input, of(compared.is_null())?, domain.matching(&keys))?
        } else {
            lit(false)
        };
        when(is_decided, lit(is_any)).when(is_unknown, null()).otherwise(lit(!is_any))
    }

    /// The value as a column of `input`.
    fn as_column(&mut self, input: &mut LogicalPlan, value: Expr) -> Result<Expr> {
        if matches!(value, Expr::Column(_)) {
            return Ok(value);
        }
        let name = self.names.column("x");
        let value = self.guards.value(value)?.alias(&name);
        *input = domain::with_columns(std::mem::take(input), [value])?;
        Ok(Expr::Column(Column::new_unqualified(name)))
    }

    /// Adds a column to `input` that says whether `rows` has a row with these values.
    fn mark(&mut self, input: &mut LogicalPlan, rows: LogicalPlan, on: Vec<(Expr, Column)>) -> Result<Expr> {
        let relation = self.names.relation();
        let columns = on.iter().map(|(_, column)| Expr::Column(column.clone()).alias(&column.name));
        let rows = LogicalPlanBuilder::from(rows).project(columns.collect::<Vec<_>>())?;
        let rows = rows.alias(relation.clone())?.build()?;
        let key = |column: Column| Expr::Column(Column::new(Some(relation.clone()), column.name));
        let on = on.into_iter().map(|(outer, column)| (outer, key(column))).collect();
        mark_join(input, rows, on, None)?;
        Ok(Expr::Column(Column::new(Some(relation), "mark")))
    }

    fn join(&mut self, join: Join) -> Result<Transformed<LogicalPlan>> {
        let mut join = join;
        let mut is_changed = false;
        let columns = join.schema.columns();
        if let Some((query, alias)) = lateral(&join.right) {
            is_changed = true;
            self.lateral(&mut join, query, alias)?;
        }
        let filter = join.filter.take();
        let (with, without): (Vec<_>, Vec<_>) =
            filter.map(split_conjunction_owned).unwrap_or_default().into_iter().partition(has_subquery);
        join.filter = conjunction(without);
        if with.is_empty() {
            if !is_changed {
                return Ok(Transformed::no(LogicalPlan::Join(join)));
            }
            return Ok(Transformed::yes(only(remade(join)?, columns)?));
        }
        if join.join_type == JoinType::Inner {
            let joined = remade(join)?;
            let predicate = conjunction(with).unwrap_or_else(|| lit(true));
            let (input, predicate) = self.condition(joined, predicate)?;
            let filtered = LogicalPlan::Filter(Filter::try_new(predicate, Arc::new(input))?);
            return Ok(Transformed::yes(only(filtered, columns)?));
        }
        if !matches!(join.join_type, JoinType::Left | JoinType::Right | JoinType::Full) {
            return Err(refused(
                format!("a subquery in the ON of a {} join", join.join_type),
                "put it into WHERE",
                None,
            ));
        }
        let (mut left, mut right) = (Arc::unwrap_or_clone(join.left), Arc::unwrap_or_clone(join.right));
        let mut parts: Vec<Expr> = join.filter.take().into_iter().collect();
        for part in with {
            let read = columns_read(&part);
            let all_in = |schema: &DFSchema| read.iter().all(|column| schema.has_column(column));
            parts.push(if all_in(left.schema()) {
                self.attach(&mut left, part)?
            } else if all_in(right.schema()) {
                self.attach(&mut right, part)?
            } else {
                return Err(refused(
                    "a subquery in the ON of an outer join reads columns of both sides".into(),
                    "join first what the subquery reads, in a view or a WITH of its own",
                    read.first().and_then(|column| column.spans.first()),
                ));
            });
        }
        join.filter = conjunction(parts);
        (join.left, join.right) = (Arc::new(left), Arc::new(right));
        Ok(Transformed::yes(only(remade(join)?, columns)?))
    }

    /// Makes a join of one whose right side is computed for each row of the left.
    fn lateral(&mut self, join: &mut Join, query: LogicalPlan, alias: Option<TableReference>) -> Result<()> {
        let outer = domain::outer_columns(&query);
        let outer: Vec<Column> =
            outer.into_iter().filter(|column| join.left.schema().has_column(column)).collect();
        let domain = Domain::new(&mut self.names, &join.left, outer, Vec::new())?;
        let (mut rows, mut keys) = domain.push_into(&mut self.names, query)?;
        if let Some(alias) = alias {
            rows = LogicalPlan::SubqueryAlias(SubqueryAlias::try_new(Arc::new(rows), alias.clone())?);
            keys = keys.into_iter().map(|key| Column::new(Some(alias.clone()), key.name)).collect();
        }
        let same = domain.matching(&keys).into_iter();
        let same = same.map(|(left, key)| domain::not_distinct(left, Expr::Column(key)));
        join.filter = conjunction(same.chain(join.filter.take()));
        join.right = Arc::new(rows);
        Ok(())
    }
}

/// The query of a LATERAL, and what it is called.
fn lateral(right: &LogicalPlan) -> Option<(LogicalPlan, Option<TableReference>)> {
    match right {
        LogicalPlan::Subquery(subquery) => Some((subquery.subquery.as_ref().clone(), None)),
        LogicalPlan::SubqueryAlias(alias) => match alias.input.as_ref() {
            LogicalPlan::Subquery(subquery) => {
                Some((subquery.subquery.as_ref().clone(), Some(alias.alias.clone())))
            }
            _ => None,
        },
        _ => None,
    }
}

/// The columns that an expression reads, and those that its subqueries read of the same rows.
pub(super) fn columns_read(expression: &Expr) -> Vec<Column> {
    let mut columns: Vec<Column> = expression.column_refs().into_iter().cloned().collect();
    tree::each_part(expression, &mut |part| {
        if let Some(subquery) = subquery_of(part) {
            columns.extend(domain::outer_columns(&subquery.subquery));
        }
    });
    columns
}

/// The rows that are sorted, with the columns that only the subqueries of ORDER BY read.
fn with_columns_read(input: LogicalPlan, order: &[Sort]) -> Result<LogicalPlan> {
    let LogicalPlan::Projection(projection) = &input else { return Ok(input) };
    let mut missing: Vec<Column> = Vec::new();
    for key in order {
        for column in columns_read(&key.expr) {
            let is_missing =
                !input.schema().has_column(&column) && projection.input.schema().has_column(&column);
            if is_missing && !missing.contains(&column) {
                missing.push(column);
            }
        }
    }
    let all = projection.expr.iter().cloned().chain(missing.into_iter().map(Expr::Column)).collect();
    Ok(LogicalPlan::Projection(Projection::try_new(all, Arc::clone(&projection.input))?))
}

/// The rows with these columns alone, if they have others.
pub(super) fn only(plan: LogicalPlan, columns: Vec<Column>) -> Result<LogicalPlan> {
    if plan.schema().fields().len() == columns.len() {
        return Ok(plan);
    }
    LogicalPlanBuilder::from(plan).project(columns.into_iter().map(Expr::Column))?.build()
}

fn first_column(query: &LogicalPlan) -> Result<Column> {
    let first = query.schema().columns().into_iter().next();
    first.ok_or_else(|| refused("a subquery without columns".into(), "name what it selects", None))
}

/// The value of a subquery that has this number of rows; NULL if it has none.
fn one_row(value: Expr, number: Expr) -> Expr {
    ScalarUDF::from(OneRow::default()).call(vec![value, number])
}

/// Whether a query that reads nothing of the query around it has rows.
fn has_rows(query: LogicalPlan) -> Result<Expr> {
    let subquery = Subquery {
        subquery: Arc::new(counted(query, "n")?),
        outer_ref_columns: Vec::new(),
        spans: datafusion::common::Spans::new(),
    };
    Ok(Expr::ScalarSubquery(subquery).gt(lit(0_i64)))
}

/// One row: 1 if a query has rows, else 0.
fn counted(query: LogicalPlan, name: &str) -> Result<LogicalPlan> {
    LogicalPlanBuilder::from(query)
        .limit(0, Some(1))?
        .aggregate(Vec::<Expr>::new(), vec![count(lit(1_i64)).alias(name)])?
        .build()
}

/// Adds the columns of one row to all rows of `input`.
fn cross(input: &mut LogicalPlan, row: LogicalPlan) -> Result<()> {
    *input = LogicalPlanBuilder::from(std::mem::take(input)).cross_join(row)?.build()?;
    Ok(())
}

/// Adds the columns of `rows` to `input`: of the row with these values, NULL if there is none.
fn join_left(input: &mut LogicalPlan, rows: LogicalPlan, on: Vec<(Expr, Column)>) -> Result<()> {
    let left = std::mem::take(input);
    let filter = on.is_empty().then(|| lit(true));
    let on = on.into_iter().map(|(outer, key)| (outer, Expr::Column(key))).collect();
    *input = domain::join(left, rows, on, filter, JoinType::Left, NullEquality::NullEqualsNull)?;
    Ok(())
}

fn mark_join(
    input: &mut LogicalPlan,
    rows: LogicalPlan,
    on: Vec<(Expr, Expr)>,
    filter: Option<Expr>,
) -> Result<()> {
    let left = std::mem::take(input);
    let nulls = if on.is_empty() { NullEquality::NullEqualsNothing } else { NullEquality::NullEqualsNull };
    *input = domain::join(left, rows, on, filter, JoinType::LeftMark, nulls)?;
    Ok(())
}

/// The join with the columns that its sides have now.
fn remade(join: Join) -> Result<LogicalPlan> {
    let Join { left, right, on, filter, join_type, null_equality, null_aware, .. } = join;
    let constraint = JoinConstraint::On;
    let join = Join::try_new(left, right, on, filter, join_type, constraint, null_equality, null_aware)?;
    Ok(LogicalPlan::Join(join))
}
