//! Keyed tables that are read other than by their key: SQL sees just the rows whose key occurs in the batch, so SQL that
//! counts them, or joins them by another column, sees less than the table has.

use datafusion::logical_expr::{BinaryExpr, Expr, LogicalPlan, Operator};

use super::super::tree;
use super::trace::Origin;
use super::{Code, Diagnostic, Planned, Project, place, push_once, warning};
use crate::config::KeyPlace;
use crate::sql::TableSpec;

/// Two things that are compared for being equal: what columns each is a copy of.
struct Equality {
    sides: [Vec<Vec<Origin>>; 2],
    place: crate::diagnostic::Place,
}

pub(super) fn warnings(project: &Project<'_>, view: &Planned<'_>) -> Vec<Diagnostic> {
    let mut warnings = Vec::new();
    let keyed = project.survey.tables.iter().filter(|table| !table.key.is_empty());
    let read = keyed.filter_map(|table| {
        Some((table, view.file.reads.iter().find(|reference| reference.relation == table.name)?))
    });
    let here = equalities(project, view);
    for (table, reference) in read {
        let is_joined = |equalities: &[Equality], column: &String| {
            equalities
                .iter()
                .any(|equality| equality.sides.iter().any(|side| leads_to(side, &table.name, column)))
        };
        let by_others = || {
            let others = project.views.iter().filter(|other| project.reads(other.name).contains(view.name));
            let others: Vec<Equality> = others.flat_map(|other| equalities(project, other)).collect();
            table.key.iter().all(|column| is_joined(&others, column))
        };
        // The view that computes the new rows may go through all of the old ones that the batch has keys of.
        let is_own_state = table.state_view().is_some_and(|state| project.reads(state).contains(view.name));
        if is_own_state || table.key.iter().all(|column| is_joined(&here, column)) || by_others() {
            warnings.extend(other_places(project, table, &here));
            continue;
        }
        let key = table.key.join(", ");
        let message = format!(
            "`{}` has just the rows whose `{key}` occurs in the batch, and is not joined on it here",
            table.name
        );
        let hint = "join it on its key; where all rows are wanted, give the table no `key` (small tables), or read \
                    the database";
        push_once(&mut warnings, warning(Code::KeyNotUsed, reference.place.clone(), message, hint));
    }
    warnings
}

/// Joins on the key with something other than what the rows are looked up for.
fn other_places(project: &Project<'_>, table: &TableSpec, equalities: &[Equality]) -> Vec<Diagnostic> {
    let mut warnings = Vec::new();
    for (index, column) in table.key.iter().enumerate() {
        let places: Vec<&KeyPlace> = table.matches.iter().filter_map(|places| places.get(index)).collect();
        for equality in equalities {
            let [left, right] = &equality.sides;
            let other = match (leads_to(left, &table.name, column), leads_to(right, &table.name, column)) {
                (true, false) => right,
                (false, true) => left,
                _ => continue,
            };
            let is_known = !other.is_empty() && other.iter().all(|chain| !chain.is_empty());
            if !is_known
                || other.iter().any(|chain| chain.iter().any(|origin| is_among(project, origin, &places)))
            {
                continue;
            }
            let Some((relation, found)) = other.first().and_then(|chain| chain.first()) else { continue };
            let places: Vec<String> =
                places.iter().map(|place| format!("`{}.{}`", place.relation, place.column)).collect();
            let message = format!(
                "`{}` is joined on `{relation}.{found}`, but its rows are looked up for {} only",
                table.name,
                places.join(" and ")
            );
            let hint =
                format!("add it to `matches` of `{}` in the configuration, as an alternative", table.name);
            push_once(&mut warnings, warning(Code::KeyNotUsed, equality.place.clone(), message, &hint));
        }
    }
    warnings
}

/// Whether rows are looked up for a column: it is one of the places, or the key of a table that is looked up for one.
fn is_among(project: &Project<'_>, (relation, column): &Origin, places: &[&KeyPlace]) -> bool {
    let is_place = |place: &&&KeyPlace| place.relation == *relation && place.column == *column;
    let other = project.survey.tables.iter().find(|table| table.name == *relation);
    let is_key_of_same = other.is_some_and(|other| {
        let index = other.key.iter().position(|key| key == column);
        let mut theirs = other.matches.iter().filter_map(|places| places.get(index?));
        theirs.any(|theirs| places.contains(&theirs))
    });
    places.iter().find(is_place).is_some() || is_key_of_same
}

fn leads_to(chains: &[Vec<Origin>], table: &str, column: &str) -> bool {
    chains.iter().any(|chain| chain.iter().any(|(relation, found)| relation == table && found == column))
}

/// What a view compares for being equal, wherever it does.
fn equalities(project: &Project<'_>, view: &Planned<'_>) -> Vec<Equality> {
    let mut found = Vec::new();
    tree::each_node(view.plan, &mut |node| {
        let inputs = node.inputs();
        let mut add = |left: &Expr, right: &Expr, whole: &Expr| {
            let side = |expression| chains(project, view, expression, &inputs);
            found.push(Equality { sides: [side(left), side(right)], place: place::of(view.file, whole) });
        };
        if let LogicalPlan::Join(join) = node {
            join.on.iter().for_each(|(left, right)| add(left, right, right));
        }
        tree::each_part_of(node, &mut |part| {
            if let Expr::BinaryExpr(BinaryExpr {
                left,
                op: Operator::Eq | Operator::IsNotDistinctFrom,
                right,
            }) = part
            {
                add(left, right, part);
            }
        });
    });
    found.extend(in_subqueries(project, view));
    found
}

/// `x IN (SELECT y ...)`.
fn in_subqueries(project: &Project<'_>, view: &Planned<'_>) -> Vec<Equality> {
    let mut found = Vec::new();
    tree::each_node(view.plan, &mut |node| {
        let inputs = node.inputs();
        tree::each_part_of(node, &mut |part| {
            if let Expr::InSubquery(within) = part {
                let outer = chains(project, view, &within.expr, &inputs);
                let inner = project.trace.chains(&within.subquery.subquery, 0);
                found.push(Equality { sides: [outer, inner], place: place::of(view.file, &within.expr) });
            }
        });
    });
    found
}

/// A column of the query around a subquery is looked for by its name among all relations of the view.
fn chains(
    project: &Project<'_>,
    view: &Planned<'_>,
    expression: &Expr,
    inputs: &[&LogicalPlan],
) -> Vec<Vec<Origin>> {
    let Expr::OuterReferenceColumn(_, column) = expression else {
        return project.trace.chains_of_expression(expression, inputs);
    };
    let mut found = Vec::new();
    tree::each_node(view.plan, &mut |node| {
        let index = node.schema().maybe_index_of_column(column);
        if let (true, Some(index)) = (found.is_empty(), index) {
            found = project.trace.chains(node, index);
        }
    });
    found
}
