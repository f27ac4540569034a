//! A query that is computed at once for all values of the columns that it reads of the query around it.
//!
//! [`Domain`] holds these values. They are joined in below, where the query reads its tables, and every operator above
//! passes them on: aggregates group by them, windows are partitioned by them, joins match on them. What the query would have
//! for one row around it are then the rows with that row's values. This is the unnesting of T. Neumann and A. Kemper,
//! "Unnesting Arbitrary Queries", BTW 2015.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNodeRecursion};
use datafusion::common::{Column, NullEquality, Result, TableReference};
use datafusion::functions_window::expr_fn::row_number;
use datafusion::logical_expr::expr::{AggregateFunction, WindowFunction};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{
    Aggregate, BinaryExpr, Distinct, Expr, ExprFunctionExt as _, FetchType, Filter, Join, JoinConstraint,
    JoinType, Limit, LogicalPlan, LogicalPlanBuilder, Operator, Projection, SkipType, Subquery,
    SubqueryAlias, Union, Unnest, Window, WindowFrame, lit,
};

use super::super::{rewrite, tree};
use super::refused;

/// Names that nothing else in a query has.
#[derive(Default)]
pub(super) struct Names(usize);

impl Names {
    pub(super) fn column(&mut self, kind: &str) -> String {
        self.0 += 1;
        format!("__{kind}{}", self.0)
    }

    pub(super) fn relation(&mut self) -> TableReference {
        TableReference::bare(self.column("r"))
    }
}

/// The values of some columns and expressions of a plan, each combination once.
pub(super) struct Domain {
    values: LogicalPlan,
    /// The names of its columns.
    columns: Vec<String>,
    /// What the columns are in the plan around: first `outer`, then expressions that the query does not read itself.
    around: Vec<Expr>,
    outer: Vec<Column>,
}

/// A plan with the columns that hold the values of a domain.
type Pushed = (LogicalPlan, Vec<Column>);

impl Domain {
    /// The values of `outer`, columns of `around` that a query reads, and of `others`.
    pub(super) fn new(
        names: &mut Names,
        around: &LogicalPlan,
        outer: Vec<Column>,
        others: Vec<Expr>,
    ) -> Result<Self> {
        let expressions: Vec<Expr> = outer.iter().cloned().map(Expr::Column).chain(others).collect();
        let columns: Vec<String> = expressions.iter().map(|_| names.column("o")).collect();
        let named = expressions.iter().zip(&columns).map(|(value, name)| value.clone().alias(name));
        let values = match columns.is_empty() {
            true => LogicalPlan::default(),
            false => LogicalPlanBuilder::from(around.clone()).project(named)?.distinct()?.build()?,
        };
        Ok(Self { values, columns, around: expressions, outer })
    }

    /// What is equal, NULLs too, in a row around and its rows of the query.
    pub(super) fn matching(&self, keys: &[Column]) -> Vec<(Expr, Column)> {
        self.around.iter().cloned().zip(keys.iter().cloned()).collect()
    }

    /// The rows of a query for all values, and its columns that hold these.
    pub(super) fn push_into(&self, names: &mut Names, query: LogicalPlan) -> Result<Pushed> {
        if self.columns.is_empty() {
            return Ok((query, Vec::new()));
        }
        Push { domain: self, names }.plan(query)
    }
}

/// The rows that have all values of these columns, below the subqueries that are joined to them by now. Why: otherwise each
/// subquery of an expression would have those before it inside, and they theirs.
pub(super) fn before_joins<'p>(rows: &'p LogicalPlan, read: &[&Column]) -> &'p LogicalPlan {
    let mut below = rows;
    loop {
        let next = match below {
            LogicalPlan::Join(join) if matches!(join.join_type, JoinType::Left | JoinType::LeftMark) => {
                &join.left
            }
            LogicalPlan::Projection(projection)
                if read.iter().all(|column| projection.expr.contains(&Expr::Column((*column).clone()))) =>
            {
                &projection.input
            }
            _ => return below,
        };
        if !read.iter().all(|column| next.schema().has_column(column)) {
            return below;
        }
        below = next;
    }
}

/// The columns that a query reads of queries around it, each once.
pub(super) fn outer_columns(query: &LogicalPlan) -> Vec<Column> {
    let mut columns: Vec<Column> = Vec::new();
    tree::each_node(query, &mut |node| {
        tree::each_part_of(node, &mut |part| {
            if let Expr::OuterReferenceColumn(_, column) = part
                && !columns.iter().any(|known| is_same(known, column))
            {
                columns.push(column.clone());
            }
        });
    });
    columns
}

pub(super) fn has_subquery(expression: &Expr) -> bool {
    tree::any_part(expression, &|part| subquery_of(part).is_some())
}

/// The subquery, if an expression is one or compares with one.
pub(super) fn subquery_of(expression: &Expr) -> Option<&Subquery> {
    match expression {
        Expr::Exists(exists) => Some(&exists.subquery),
        Expr::InSubquery(is_in) => Some(&is_in.subquery),
        Expr::SetComparison(comparison) => Some(&comparison.subquery),
        Expr::ScalarSubquery(subquery) => Some(subquery),
        _ => None,
    }
}

pub(super) fn join(
    left: LogicalPlan,
    right: LogicalPlan,
    on: Vec<(Expr, Expr)>,
    filter: Option<Expr>,
    join_type: JoinType,
    nulls: NullEquality,
) -> Result<LogicalPlan> {
    let (left, right) = (Arc::new(left), Arc::new(right));
    let join = Join::try_new(left, right, on, filter, join_type, JoinConstraint::On, nulls, false)?;
    Ok(LogicalPlan::Join(join))
}

/// Where a column was written makes no difference.
fn is_same(one: &Column, other: &Column) -> bool {
    one.name == other.name && one.relation == other.relation
}

struct Push<'a> {
    domain: &'a Domain,
    names: &'a mut Names,
}

impl Push<'_> {
    fn plan(&mut self, plan: LogicalPlan) -> Result<Pushed> {
        if !self.reads_domain(&plan) {
            let (values, keys) = self.values()?;
            let crossed =
                join(plan, values, Vec::new(), None, JoinType::Inner, NullEquality::NullEqualsNothing)?;
            return Ok((crossed, keys));
        }
        match plan {
            LogicalPlan::Projection(node) => {
                let (input, keys) = self.plan(Arc::unwrap_or_clone(node.input))?;
                let expressions = self.named(node.expr, &keys)?.into_iter().chain(columns(&keys)).collect();
                Ok((LogicalPlan::Projection(Projection::try_new(expressions, Arc::new(input))?), keys))
            }
            LogicalPlan::Filter(node) => {
                let (input, keys) = self.plan(Arc::unwrap_or_clone(node.input))?;
                let predicate = self.replaced(node.predicate, &keys)?;
                Ok((LogicalPlan::Filter(Filter::try_new(predicate, Arc::new(input))?), keys))
            }
            LogicalPlan::SubqueryAlias(node) => {
                let (input, keys) = self.plan(Arc::unwrap_or_clone(node.input))?;
                let key = |key: Column| Column::new(Some(node.alias.clone()), key.name);
                let keys = keys.into_iter().map(key).collect();
                let alias = SubqueryAlias::try_new(Arc::new(input), node.alias.clone())?;
                Ok((LogicalPlan::SubqueryAlias(alias), keys))
            }
            LogicalPlan::Aggregate(node) => self.aggregate(node),
            LogicalPlan::Window(node) => {
                let (input, keys) = self.plan(Arc::unwrap_or_clone(node.input))?;
                let partitioned = node.window_expr.into_iter().map(|function| {
                    let name = NamePreserver::new_for_projection().save(&function);
                    let function = self.replaced(function, &keys)?;
                    Ok(name.restore(partitioned_by(function, &keys)?))
                });
                let functions = partitioned.collect::<Result<Vec<_>>>()?;
                Ok((LogicalPlan::Window(Window::try_new(functions, Arc::new(input))?), keys))
            }
            LogicalPlan::Sort(mut node) if node.fetch.is_none() => {
                let (input, keys) = self.plan(Arc::unwrap_or_clone(node.input))?;
                for key in &mut node.expr {
                    key.expr = self.replaced(key.expr.clone(), &keys)?;
                }
                node.input = Arc::new(input);
                Ok((LogicalPlan::Sort(node), keys))
            }
            LogicalPlan::Distinct(Distinct::All(input)) => {
                let (input, keys) = self.plan(Arc::unwrap_or_clone(input))?;
                Ok((LogicalPlan::Distinct(Distinct::All(Arc::new(input))), keys))
            }
            LogicalPlan::Limit(node) => self.limit(node),
            LogicalPlan::Union(node) => self.union(node),
            LogicalPlan::Join(node) => self.join(node),
            LogicalPlan::Unnest(node) => {
                let (input, keys) = self.plan(Arc::unwrap_or_clone(node.input))?;
                let unnest = Unnest::try_new(Arc::new(input), node.exec_columns, node.options)?;
                Ok((LogicalPlan::Unnest(unnest), keys))
            }
            // The list of `unnest`, in the FROM of a subquery.
            LogicalPlan::Subquery(_) => Err(refused(
                "a subquery unnests a list of the query around it".into(),
                "write `CROSS JOIN unnest(list) AS u(e)` in the query around it, with GROUP BY",
                self.domain.outer.first().and_then(|column| column.spans.first()),
            )),
            other => {
                let name = other.display().to_string();
                let name = name.split([':', ' ']).next().unwrap_or_default().to_owned();
                Err(refused(
                    format!("{name} inside a subquery reads columns of the query around it"),
                    "join the tables instead, and filter in WHERE",
                    self.domain.outer.first().and_then(|column| column.spans.first()),
                ))
            }
        }
    }

    /// Whether something in a plan reads columns of the domain.
    fn reads_domain(&self, plan: &LogicalPlan) -> bool {
        outer_columns(plan).iter().any(|column| self.place(column).is_some())
    }

    fn place(&self, column: &Column) -> Option<usize> {
        self.domain.outer.iter().position(|outer| is_same(outer, column))
    }

    /// The values of the domain, under names that they have nowhere else.
    fn values(&mut self) -> Result<Pushed> {
        let names = self.fresh_names();
        let named = self.domain.columns.iter().zip(&names);
        let named = named.map(|(column, name)| Expr::Column(Column::new_unqualified(column)).alias(name));
        let values = LogicalPlanBuilder::from(self.domain.values.clone()).project(named)?.build()?;
        Ok((values, names.into_iter().map(Column::new_unqualified).collect()))
    }

    /// Names for the columns of the domain that nothing else has.
    fn fresh_names(&mut self) -> Vec<String> {
        let Self { domain, names } = self;
        let fresh = domain.around.iter().map(|value| match (names.column("d"), value) {
            (unique, Expr::Column(column)) => rewrite::in_place_of(&unique, column),
            (unique, _) => unique,
        });
        fresh.collect()
    }

    /// An expression that reads the domain's columns as those of its own input.
    fn replaced(&self, expression: Expr, keys: &[Column]) -> Result<Expr> {
        tree::rewrite_parts(expression, &mut |part| match &part {
            Expr::OuterReferenceColumn(_, column) => Ok(match self.place(column) {
                Some(place) => {
                    let spans = column.spans.clone();
                    Transformed::yes(Expr::Column(Column { spans, ..keys[place].clone() }))
                }
                None => Transformed::no(part),
            }),
            _ => Ok(Transformed::no(part)),
        })
    }

    /// Expressions of which each keeps its name.
    fn named(&self, expressions: Vec<Expr>, keys: &[Column]) -> Result<Vec<Expr>> {
        let named = expressions.into_iter().map(|expression| {
            let name = NamePreserver::new_for_projection().save(&expression);
            Ok(name.restore(self.replaced(expression, keys)?))
        });
        named.collect()
    }

    fn aggregate(&mut self, node: Aggregate) -> Result<Pushed> {
        if let Some(set) = node.group_expr.iter().find(|group| matches!(group, Expr::GroupingSet(_))) {
            return Err(refused(
                "grouping sets inside a subquery that reads columns of the query around it".into(),
                "write a UNION ALL of the groups",
                set.column_refs().into_iter().next().and_then(|column| column.spans.first()),
            ));
        }
        let (input, keys) = self.plan(Arc::unwrap_or_clone(node.input))?;
        if !node.group_expr.is_empty() {
            let groups = self.named(node.group_expr, &keys)?.into_iter().chain(columns(&keys)).collect();
            let functions = self.named(node.aggr_expr, &keys)?;
            let aggregate = Aggregate::try_new(Arc::new(input), groups, functions)?;
            return Ok((LogicalPlan::Aggregate(aggregate), keys));
        }
        // Without GROUP BY there is a row for every value, also where no row was found: the functions count only what was
        // found.
        let found = self.names.column("f");
        let input = with_columns(input, [lit(true).alias(&found)])?;
        let functions = self.named(node.aggr_expr, &keys)?;
        let found = Expr::Column(Column::new_unqualified(found)).is_not_null();
        let functions = functions.into_iter().map(|function| only_where(function, &found));
        let functions = functions.collect::<Result<Vec<_>>>()?;
        let (values, groups) = self.values()?;
        let on = columns(&groups).zip(columns(&keys)).collect();
        let all = join(values, input, on, None, JoinType::Left, NullEquality::NullEqualsNull)?;
        let aggregate = Aggregate::try_new(Arc::new(all), columns(&groups).collect(), functions)?;
        Ok((LogicalPlan::Aggregate(aggregate), groups))
    }

    /// The first rows for each value, by a number in the order that the query asks for.
    fn limit(&mut self, node: Limit) -> Result<Pushed> {
        let (SkipType::Literal(skip), FetchType::Literal(fetch)) =
            (node.get_skip_type()?, node.get_fetch_type()?)
        else {
            return Err(refused("LIMIT inside a subquery is no number".into(), "write a number", None));
        };
        // The rows of a projection stand in the order of its input.
        if let LogicalPlan::Projection(projection) = node.input.as_ref() {
            let limit = Limit { input: Arc::clone(&projection.input), ..node.clone() };
            let limited = Arc::new(LogicalPlan::Limit(limit));
            let projection = Projection::try_new(projection.expr.clone(), limited)?;
            return self.plan(LogicalPlan::Projection(projection));
        }
        let (input, keys) = self.plan(Arc::unwrap_or_clone(node.input))?;
        let order = match &input {
            LogicalPlan::Sort(sort) => sort.expr.clone(),
            _ => Vec::new(),
        };
        let number = self.names.column("n");
        // Why: without an order, a window has no frame of RANGE, which it would get.
        let numbered = row_number().partition_by(columns(&keys).collect()).order_by(order);
        let numbered = numbered.window_frame(WindowFrame::new(Some(true))).build()?;
        let all = input.schema().columns();
        let numbered = LogicalPlanBuilder::from(input).window([numbered.alias(&number)])?;
        let number = || Expr::Column(Column::new_unqualified(&number));
        let rows = |rows: usize| lit(u64::try_from(rows).unwrap_or(u64::MAX));
        let first = (skip > 0).then(|| number().gt(rows(skip)));
        let last = fetch.map(|fetch| number().lt_eq(rows(skip.saturating_add(fetch))));
        let kept = conjunction(first.into_iter().chain(last)).unwrap_or_else(|| lit(true));
        let limited = numbered.filter(kept)?.project(all.into_iter().map(Expr::Column))?.build()?;
        Ok((limited, keys))
    }

    fn union(&mut self, node: Union) -> Result<Pushed> {
        let names = self.fresh_names();
        let inputs = node.inputs.into_iter().map(|input| {
            let wanted = input.schema().columns();
            let (input, keys) = self.plan(Arc::unwrap_or_clone(input))?;
            let keys = columns(&keys).zip(&names).map(|(key, name)| key.alias(name));
            let wanted = wanted.into_iter().map(Expr::Column).chain(keys).collect::<Vec<_>>();
            LogicalPlanBuilder::from(input).project(wanted)?.build().map(Arc::new)
        });
        let inputs = inputs.collect::<Result<Vec<_>>>()?;
        let union = Union::try_new_with_loose_types(inputs)?;
        // The operators above read the columns by the names that they had.
        let qualified = node.schema.columns().into_iter().zip(union.schema.columns());
        let renamed = qualified.map(|(old, new)| Expr::Column(new).alias_qualified(old.relation, old.name));
        let keys = names.iter().map(|name| Expr::Column(Column::new_unqualified(name)));
        let renamed = renamed.chain(keys).collect::<Vec<_>>();
        let union = LogicalPlanBuilder::from(LogicalPlan::Union(union)).project(renamed)?.build()?;
        Ok((union, names.into_iter().map(Column::new_unqualified).collect()))
    }

    fn join(&mut self, node: Join) -> Result<Pushed> {
        let (left_reads, right_reads) = (self.reads_domain(&node.left), self.reads_domain(&node.right));
        let keeps_left = !matches!(
            node.join_type,
            JoinType::Inner
                | JoinType::Right
                | JoinType::RightSemi
                | JoinType::RightAnti
                | JoinType::RightMark
        );
        let keeps_right = matches!(
            node.join_type,
            JoinType::Right
                | JoinType::Full
                | JoinType::RightSemi
                | JoinType::RightAnti
                | JoinType::RightMark
        );
        // The side whose rows stay without a match needs the values itself; of an inner join, one side suffices.
        let (mut into_left, into_right) = (left_reads || keeps_left, right_reads || keeps_right);
        into_left |= !into_right;
        let (left, right) = (Arc::unwrap_or_clone(node.left), Arc::unwrap_or_clone(node.right));
        let (left, left_keys) = if into_left { self.plan(left)? } else { (left, Vec::new()) };
        let (right, right_keys) = if into_right { self.plan(right)? } else { (right, Vec::new()) };
        let is_right = keeps_right && node.join_type != JoinType::Full;
        let keys = if into_left && !is_right { left_keys.clone() } else { right_keys.clone() };
        let replaced = |expression: Expr| self.replaced(expression, &keys);
        let mut on = node
            .on
            .into_iter()
            .map(|(left, right)| Ok((replaced(left)?, replaced(right)?)))
            .collect::<Result<Vec<_>>>()?;
        let filter = node.filter.map(replaced).transpose()?;
        let same: Vec<(Expr, Expr)> = columns(&left_keys).zip(columns(&right_keys)).collect();
        let filter = if node.null_equality == NullEquality::NullEqualsNull {
            on.extend(same);
            filter
        } else {
            let same = same.into_iter().map(|(left, right)| not_distinct(left, right));
            conjunction(same.chain(filter))
        };
        let joined = join(left, right, on, filter, node.join_type, node.null_equality)?;
        if node.join_type != JoinType::Full {
            return Ok((joined, keys));
        }
        // A row without a match has the values of its own side.
        let names = self.fresh_names();
        let both = columns(&left_keys).zip(columns(&right_keys)).zip(&names);
        let both = both.map(|((left, right), name)| {
            datafusion::functions::expr_fn::coalesce(vec![left, right]).alias(name)
        });
        let joined = with_columns(joined, both)?;
        Ok((joined, names.into_iter().map(Column::new_unqualified).collect()))
    }
}

/// The rows of a plan with more columns.
pub(super) fn with_columns(plan: LogicalPlan, more: impl IntoIterator<Item = Expr>) -> Result<LogicalPlan> {
    let all = plan.schema().columns().into_iter().map(Expr::Column).chain(more).collect::<Vec<_>>();
    LogicalPlanBuilder::from(plan).project(all)?.build()
}

fn columns(keys: &[Column]) -> impl Iterator<Item = Expr> {
    keys.iter().cloned().map(Expr::Column)
}

pub(super) fn not_distinct(left: Expr, right: Expr) -> Expr {
    Expr::BinaryExpr(BinaryExpr::new(Box::new(left), Operator::IsNotDistinctFrom, Box::new(right)))
}

/// An aggregate over the rows where `found` is true.
fn only_where(function: Expr, found: &Expr) -> Result<Expr> {
    let name = NamePreserver::new_for_projection().save(&function);
    let function = tree::rewrite_parts(function, &mut |part| match part {
        Expr::AggregateFunction(AggregateFunction { func, mut params }) => {
            let filter = params.filter.take().map(|filter| *filter);
            params.filter = conjunction([found.clone()].into_iter().chain(filter)).map(Box::new);
            let function = Expr::AggregateFunction(AggregateFunction { func, params });
            Ok(Transformed::new(function, true, TreeNodeRecursion::Jump))
        }
        part => Ok(Transformed::no(part)),
    })?;
    Ok(name.restore(function))
}

/// A window function whose partitions are those of each value.
fn partitioned_by(function: Expr, keys: &[Column]) -> Result<Expr> {
    tree::rewrite_parts(function, &mut |part| match part {
        Expr::WindowFunction(mut function) => {
            let WindowFunction { params, .. } = function.as_mut();
            params.partition_by.extend(columns(keys));
            Ok(Transformed::new(Expr::WindowFunction(function), true, TreeNodeRecursion::Jump))
        }
        part => Ok(Transformed::no(part)),
    })
}
