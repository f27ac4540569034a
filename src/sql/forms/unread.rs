//! Clauses of other dialects that the parser takes and the planner leaves out without a word, so the answer would be that of
//! another query. `GROUP BY ... WITH ROLLUP` is written as it is meant; the others are refused, as are those that the planner
//! refuses in words of its own.

use datafusion::sql::sqlparser::ast::{
    DuplicateTreatment, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentClause,
    FunctionArguments, GroupByExpr, GroupByWithModifier, Ident, Join, JoinConstraint, JoinOperator,
    LimitClause, ObjectNamePart, Query, Select, SelectFlavor, SelectItem, SelectItemQualifiedWildcardKind,
    Spanned as _, TableFactor, TableWithJoins, Value, WildcardAdditionalOptions,
};
use datafusion::sql::sqlparser::tokenizer::Span;

use super::super::walk::{self, Part};
use super::elsewhere::arguments;
use super::{Refusal, clauses, using};

/// A clause that is there, where it is, and what to write instead.
fn refuse(clause: &str, span: Span, instead: &str) -> Result<(), Refusal> {
    Err(Refusal::new(span, format!("{clause} is not known here"), instead))
}

/// # Errors
/// A clause after the SELECT that would be left out.
pub(super) fn check_query(query: &Query) -> Result<(), Refusal> {
    if query.settings.is_some() || query.format_clause.is_some() {
        return refuse("SETTINGS or FORMAT", query.body.span(), "leave it out");
    }
    if query.for_clause.is_some() {
        return refuse("FOR JSON or FOR XML", query.body.span(), "leave it out");
    }
    let Some(LimitClause::LimitOffset { limit, offset, limit_by }) = &query.limit_clause else {
        return Ok(());
    };
    if let Some(key) = limit_by.first() {
        return refuse(
            "LIMIT ... BY",
            key.span(),
            "number the rows, and keep the first ones: `QUALIFY row_number() OVER (PARTITION BY key ORDER BY x) <= 3`",
        );
    }
    let mut numbers = limit.iter().chain(offset.as_ref().map(|offset| &offset.value));
    match numbers.find(|number| is_computed(number)) {
        Some(number) => refuse(
            "LIMIT or OFFSET by a computed number",
            number.span(),
            "number the rows: `FROM (SELECT ..., row_number() OVER (ORDER BY x) AS n FROM ...) AS q WHERE n <= (SELECT ...)`",
        ),
        None => Ok(()),
    }
}

/// Whether a number is that of a subquery or a function.
fn is_computed(number: &Expr) -> bool {
    let found = walk::read(number, &mut |part| match part {
        Part::Query(_) | Part::Expression(Expr::Function(_)) => Err(()),
        _ => Ok(()),
    });
    found.is_err()
}

/// # Errors
/// A clause of a SELECT that would be left out.
pub(super) fn check_select(select: &Select) -> Result<(), Refusal> {
    let start = select.select_token.0.span;
    if select.flavor == SelectFlavor::FromFirstNoSelect {
        let message = "FROM without a SELECT has no columns".to_owned();
        let span = select.from.first().map_or(start, |tables| tables.relation.span());
        return Err(Refusal::new(span, message, "write `SELECT * FROM ...`"));
    }
    if let Some(condition) = &select.prewhere {
        return refuse("PREWHERE", condition.span(), "write the condition in WHERE");
    }
    if !select.connect_by.is_empty() {
        return refuse("CONNECT BY", start, "write `WITH RECURSIVE name AS (... UNION ALL ...)`");
    }
    if !select.lateral_views.is_empty() {
        return refuse(
            "LATERAL VIEW",
            start,
            "call `unnest` in the list: `SELECT id, unnest(items) AS item FROM ...`",
        );
    }
    if let Some(key) = select.sort_by.first().map(|key| &key.expr).or(select.cluster_by.first()) {
        return refuse("SORT BY or CLUSTER BY", key.span(), "write ORDER BY");
    }
    if let Some(key) = select.distribute_by.first() {
        return refuse("DISTRIBUTE BY", key.span(), "leave it out");
    }
    select.projection.iter().try_for_each(check_item)?;
    select.from.iter().try_for_each(check_tables)
}

fn check_item(item: &SelectItem) -> Result<(), Refusal> {
    let (SelectItem::Wildcard(options) | SelectItem::QualifiedWildcard(_, options)) = item else {
        return Ok(());
    };
    let WildcardAdditionalOptions { wildcard_token, opt_ilike, opt_rename, .. } = options;
    if opt_ilike.is_some() {
        return refuse("* ILIKE", wildcard_token.0.span, "name the columns");
    }
    if opt_rename.is_some() {
        return refuse("* RENAME", wildcard_token.0.span, "name the columns: `x AS name`");
    }
    match item {
        SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::Expr(value), _) => {
            refuse("the `*` of a value", value.span(), "name its fields: `value['field'] AS field`")
        }
        _ => Ok(()),
    }
}

fn check_tables(tables: &TableWithJoins) -> Result<(), Refusal> {
    check_table(&tables.relation)?;
    for join in &tables.joins {
        check_table(&join.relation)?;
        let span = join.relation.span();
        match &join.join_operator {
            JoinOperator::Semi(_) => refuse("SEMI JOIN", span, "write LEFT SEMI JOIN"),
            JoinOperator::Anti(_) => refuse("ANTI JOIN", span, "write LEFT ANTI JOIN"),
            JoinOperator::StraightJoin(_) => refuse("STRAIGHT_JOIN", span, "write JOIN"),
            JoinOperator::CrossApply => {
                refuse("CROSS APPLY", span, "write `CROSS JOIN LATERAL (SELECT ...) AS x`")
            }
            JoinOperator::OuterApply => {
                refuse("OUTER APPLY", span, "write `LEFT JOIN LATERAL (SELECT ...) AS x ON true`")
            }
            JoinOperator::AsOf { .. } => refuse(
                "ASOF JOIN",
                span,
                "join with `LEFT JOIN LATERAL (SELECT ... WHERE x.at <= y.at ORDER BY x.at DESC LIMIT 1) AS x ON true`",
            ),
            _ => Ok(()),
        }?;
    }
    Ok(())
}

fn check_table(table: &TableFactor) -> Result<(), Refusal> {
    let span = table.span();
    match table {
        TableFactor::Table { sample: Some(_), .. } | TableFactor::Derived { sample: Some(_), .. } => {
            refuse("TABLESAMPLE", span, "choose rows by a condition")
        }
        TableFactor::Table { name, args: Some(_), .. } => {
            Err(Refusal::new(span, format!("`{name}` is no table"), IN_FROM))
        }
        TableFactor::Table { version: Some(_), .. } => {
            refuse("a version of a table", span, "name the table alone")
        }
        TableFactor::Table { partitions, .. } if !partitions.is_empty() => {
            refuse("PARTITION of a table", span, "choose rows by a condition")
        }
        TableFactor::Table { with_hints, index_hints, .. }
            if !with_hints.is_empty() || !index_hints.is_empty() =>
        {
            refuse("a hint for a table", span, "leave it out")
        }
        TableFactor::Pivot { .. } => {
            refuse("PIVOT", span, "write a column for each value: `sum(x) FILTER (WHERE y = 'a') AS a`")
        }
        TableFactor::Unpivot { .. } => {
            refuse("UNPIVOT", span, "write a SELECT for each column, joined by UNION ALL")
        }
        TableFactor::NestedJoin { table_with_joins, .. } => check_tables(table_with_joins),
        TableFactor::UNNEST { with_ordinality: true, .. } | TableFactor::UNNEST { with_offset: true, .. } => {
            refuse(
                "UNNEST with numbers",
                span,
                "unnest the numbers beside the list: `SELECT unnest(items) AS item, \
                 unnest(generate_series(1, cardinality(items))) AS number FROM ...`",
            )
        }
        _ => Ok(()),
    }
}

const IN_FROM: &str = "a function that returns a list is written in the list: \
                       `FROM (SELECT unnest(generate_series(1, 3)) AS x) AS t`";

/// `GROUP BY a, b WITH ROLLUP` as `GROUP BY ROLLUP (a, b)`, `GROUP BY ()` as the grouping set that it is, and the numbers of
/// columns in grouping sets as these columns.
///
/// # Errors
/// A modifier that would be left out.
pub(super) fn write_out_groups(select: &mut Select) -> Result<(), Refusal> {
    let start = select.select_token.0.span;
    if let GroupByExpr::Expressions(groups, _) = &mut select.group_by {
        write_out_nothing(groups);
        write_out_rows(groups);
    }
    let (GroupByExpr::Expressions(_, modifiers) | GroupByExpr::All(modifiers)) = &select.group_by;
    let sets = |groups: &[Expr]| groups.iter().map(|group| vec![group.clone()]).collect();
    let written: fn(Vec<Vec<Expr>>) -> Expr = match modifiers.as_slice() {
        [] => {
            sets_of_several(select);
            return columns_of_numbers(select);
        }
        [GroupByWithModifier::Rollup] => Expr::Rollup,
        [GroupByWithModifier::Cube] => Expr::Cube,
        [modifier, ..] => {
            let instead = "write `GROUP BY GROUPING SETS ((a), ())`";
            return refuse(&format!("GROUP BY ... {modifier}"), start, instead);
        }
    };
    let GroupByExpr::Expressions(groups, _) = &select.group_by else {
        return refuse("GROUP BY ALL with a modifier", start, "name the columns: `GROUP BY ROLLUP (a, b)`");
    };
    select.group_by = GroupByExpr::Expressions(vec![written(sets(groups))], Vec::new());
    columns_of_numbers(select)
}

/// `(a, b)` as `a, b`.
fn write_out_rows(groups: &mut Vec<Expr>) {
    let written = std::mem::take(groups).into_iter().flat_map(|group| match group {
        Expr::Tuple(parts) => parts,
        group => vec![group],
    });
    *groups = written.collect();
}

/// `ROLLUP ((a, b), c)` and `CUBE ((a, b), c)` as the grouping sets that they are, which the planner takes for ROLLUP and CUBE of
/// single columns only.
fn sets_of_several(select: &mut Select) {
    let GroupByExpr::Expressions(groups, _) = &mut select.group_by else { return };
    for group in groups {
        let (Expr::Rollup(parts) | Expr::Cube(parts)) = group else { continue };
        if parts.iter().all(|part| part.len() == 1) || parts.len() > SEVERAL_MAX {
            continue;
        }
        let chosen: Vec<usize> = match group {
            Expr::Rollup(parts) => (0..=parts.len()).rev().map(|count| (1 << count) - 1).collect(),
            Expr::Cube(parts) => (0..1 << parts.len()).rev().collect(),
            _ => continue,
        };
        let (Expr::Rollup(parts) | Expr::Cube(parts)) = group else { continue };
        let sets = chosen.into_iter().map(|chosen| {
            let is_chosen = |place: &usize| chosen >> place & 1 == 1;
            (0..parts.len()).filter(is_chosen).flat_map(|place| parts[place].clone()).collect()
        });
        *group = Expr::GroupingSets(sets.collect());
    }
}

/// Parts of a ROLLUP or CUBE of several columns; CUBE of eight has 256 sets.
const SEVERAL_MAX: usize = 8;

/// `()` adds nothing to other groups; alone, it is the one group of all rows.
fn write_out_nothing(groups: &mut Vec<Expr>) {
    let is_nothing = |group: &Expr| matches!(group, Expr::Tuple(parts) if parts.is_empty());
    if !groups.is_empty() && groups.iter().all(is_nothing) {
        *groups = vec![Expr::GroupingSets(vec![Vec::new()])];
    }
    groups.retain(|group| !is_nothing(group));
}

/// Why: the planner takes a number in a grouping set for a constant.
fn columns_of_numbers(select: &mut Select) -> Result<(), Refusal> {
    let Select { group_by, projection, .. } = select;
    let GroupByExpr::Expressions(groups, _) = group_by else { return Ok(()) };
    let sets = groups.iter_mut().filter_map(|group| match group {
        Expr::GroupingSets(sets) | Expr::Rollup(sets) | Expr::Cube(sets) => Some(sets),
        _ => None,
    });
    for group in sets.flatten().flatten() {
        if let Some(number) = clauses::number_of(group) {
            let item = number.checked_sub(1).and_then(|index| projection.get(index));
            let Some(SelectItem::UnnamedExpr(column) | SelectItem::ExprWithAlias { expr: column, .. }) = item
            else {
                let message = format!("there is no column {number} to group by");
                return Err(Refusal::new(group.span(), message, "name the column"));
            };
            *group = column.clone();
        }
    }
    Ok(())
}

/// # Errors
/// What only an aggregate can have, at a function of one row, and others that would be left out.
pub(super) fn check(expression: &Expr) -> Result<(), Refusal> {
    match expression {
        Expr::Function(call) => check_call(call),
        _ => Ok(()),
    }
}

fn check_call(call: &Function) -> Result<(), Refusal> {
    let [ObjectNamePart::Identifier(name)] = call.name.0.as_slice() else { return Ok(()) };
    let called = name.value.to_lowercase();
    if called == "map_entries" {
        // It panics over a map whose values are never NULL.
        return Err(Refusal::new(
            name.span,
            "`map_entries` cannot be computed here".to_owned(),
            "write `map_keys(x)` and `map_values(x)`, which have one order",
        ));
    }
    if called == "nth_value" && arguments(call).is_some_and(|values| is_nought(values.get(1).copied())) {
        let message = "`nth_value` counts from 1".to_owned();
        return Err(Refusal::new(name.span, message, "write 1 for the first value"));
    }
    if matches!(called.as_str(), "lag" | "lead")
        && arguments(call).is_some_and(|values| values.get(1).copied().is_some_and(may_be_null))
    {
        // The planner takes NULL for 0.
        let message = format!("the number of rows of `{}` may be NULL", name.value);
        return Err(Refusal::new(name.span, message, format!("write a number: `{called}(x, 2)`")));
    }
    check_arguments(call, name, &called)?;
    let Some(clause) = clause_of_aggregates(call) else { return Ok(()) };
    if is_of_one_row(&called) {
        let message = format!("`{}` is computed for one row, so it has no {clause}", name.value);
        return Err(Refusal::new(name.span, message, "leave it out, or call an aggregate"));
    }
    if clause == DISTINCT && is_of_windows(&called) {
        let message = format!("`{}` takes no {clause}", name.value);
        return Err(Refusal::new(name.span, message, "take the distinct rows in a subquery first"));
    }
    if clause == DISTINCT && called == "count" && arguments(call).is_some_and(|values| values.len() > 1) {
        let message = "DISTINCT values of several columns".to_owned();
        return Err(Refusal::new(name.span, message, "count them as one: `count(DISTINCT (a, b))`"));
    }
    if clause == SEPARATOR {
        let message = "SEPARATOR is not known here".to_owned();
        return Err(Refusal::new(name.span, message, "write `string_agg(x, ',' ORDER BY y)`"));
    }
    Ok(())
}

/// # Errors
/// Arguments that would be left out or taken for others.
fn check_arguments(call: &Function, name: &Ident, called: &str) -> Result<(), Refusal> {
    let FunctionArguments::List(list) = &call.args else { return Ok(()) };
    let relation = list.args.iter().find_map(|argument| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::QualifiedWildcard(relation)) => Some(relation),
        _ => None,
    });
    if let Some(relation) = relation {
        // It would be all rows, also those for which an outer join found none of the relation.
        return Err(Refusal::new(
            name.span,
            format!("`{called}({relation}.*)` is not known here"),
            format!(
                "count a column of it that is never NULL: `count({relation}.id)`; `count(*)` counts all rows"
            ),
        ));
    }
    if !matches!(called, "string_agg" | "listagg") {
        return Ok(());
    }
    let hint = "write `string_agg(x, ',')`, or with an order, `string_agg(x, ',' ORDER BY y)`";
    if !call.within_group.is_empty() {
        return Err(Refusal::new(name.span, format!("`{called}` has no WITHIN GROUP"), hint));
    }
    let is_text =
        |value: &Expr| matches!(value, Expr::Value(value) if value.value.clone().into_string().is_some());
    match arguments(call).as_deref() {
        Some([_]) => Err(Refusal::new(name.span, format!("`{called}` needs a separator"), hint)),
        Some([_, separator]) if !is_text(separator) && !matches!(separator, Expr::Value(_)) => Err(
            Refusal::new(separator.span(), format!("the separator of `{called}` is no constant text"), hint),
        ),
        _ => Ok(()),
    }
}

fn is_nought(number: Option<&Expr>) -> bool {
    number.and_then(clauses::number_of) == Some(0)
}

/// Whether a constant is more than numbers and their operators.
fn may_be_null(constant: &Expr) -> bool {
    let found = walk::read(constant, &mut |part| match part {
        Part::Expression(Expr::Function(_) | Expr::Case { .. }) => Err(()),
        Part::Expression(Expr::Value(value)) if value.value == Value::Null => Err(()),
        _ => Ok(()),
    });
    found.is_err()
}

const DISTINCT: &str = "DISTINCT";
const SEPARATOR: &str = "SEPARATOR";

/// A clause of a call that only aggregates and functions of windows read.
fn clause_of_aggregates(call: &Function) -> Option<&'static str> {
    if let FunctionArguments::List(list) = &call.args {
        if list.duplicate_treatment == Some(DuplicateTreatment::Distinct) {
            return Some(DISTINCT);
        }
        let clause = list.clauses.iter().find_map(|clause| match clause {
            FunctionArgumentClause::OrderBy(_) => Some("ORDER BY"),
            FunctionArgumentClause::IgnoreOrRespectNulls(_) => Some("IGNORE NULLS"),
            FunctionArgumentClause::Separator(_) => Some(SEPARATOR),
            _ => None,
        });
        if clause.is_some() {
            return clause;
        }
    }
    match call {
        Function { filter: Some(_), .. } => Some("FILTER"),
        Function { over: Some(_), .. } => Some("OVER"),
        Function { null_treatment: Some(_), .. } => Some("IGNORE NULLS"),
        Function { within_group, .. } if !within_group.is_empty() => Some("WITHIN GROUP"),
        _ => None,
    }
}

fn is_of_one_row(name: &str) -> bool {
    let known = datafusion::functions::all_default_functions();
    let nested = datafusion::functions_nested::all_default_nested_functions();
    known.iter().chain(&nested).any(|function| function.name() == name || is_alias(function.aliases(), name))
}

fn is_of_windows(name: &str) -> bool {
    let known = datafusion::functions_window::all_default_window_functions();
    let is_aggregate = ["first_value", "last_value", "nth_value"].contains(&name);
    !is_aggregate
        && known.iter().any(|function| function.name() == name || is_alias(function.aliases(), name))
}

fn is_alias(aliases: &[String], name: &str) -> bool {
    aliases.iter().any(|alias| alias == name)
}

/// Windows are computed after the rows have been chosen, so no condition that chooses them can have one.
///
/// # Errors
/// A function of a window in such a condition.
pub(super) fn check_windows(select: &Select) -> Result<(), Refusal> {
    let groups = match &select.group_by {
        GroupByExpr::Expressions(groups, _) => groups.as_slice(),
        GroupByExpr::All(_) => &[],
    };
    let conditions = [("WHERE", &select.selection), ("HAVING", &select.having)];
    let conditions =
        conditions.into_iter().filter_map(|(clause, condition)| Some((clause, condition.as_ref()?)));
    let keys = groups.iter().map(|group| ("GROUP BY", column_of_number(select, group)));
    let joins = select.from.iter().flat_map(|tables| &tables.joins).filter_map(condition_of);
    let joins = joins.map(|condition| ("ON", condition));
    conditions.chain(keys).chain(joins).try_for_each(|(clause, condition)| match window_in(condition) {
        Some(name) => Err(Refusal::new(
            name.span,
            format!("`{}` is computed over a window, after {clause}", name.value),
            "compute it in a subquery: `FROM (SELECT ..., row_number() OVER (...) AS n FROM ...) AS q WHERE q.n = 1`; \
             or write the condition after QUALIFY",
        )),
        None => Ok(()),
    })
}

/// The column that a number in GROUP BY means.
fn column_of_number<'a>(select: &'a Select, group: &'a Expr) -> &'a Expr {
    let item = clauses::number_of(group).and_then(|number| select.projection.get(number.checked_sub(1)?));
    match item {
        Some(SelectItem::UnnamedExpr(column) | SelectItem::ExprWithAlias { expr: column, .. }) => column,
        _ => group,
    }
}

fn condition_of(join: &Join) -> Option<&Expr> {
    match using::constraint_of(&join.join_operator) {
        Some(JoinConstraint::On(condition)) => Some(condition),
        _ => None,
    }
}

/// The first function of a window in an expression, but for its subqueries.
fn window_in(expression: &Expr) -> Option<Ident> {
    let found = walk::read_own(expression, &mut |part| match part {
        Expr::Function(Function { name, over: Some(_), .. }) => match name.0.as_slice() {
            [ObjectNamePart::Identifier(name)] => Err(name.clone()),
            _ => Ok(()),
        },
        _ => Ok(()),
    });
    found.err()
}
