//! The names of a view's columns: each has one, given in the view, and no two have the same.
//!
//! Why: readers of a view use its columns' names, and so does the table of an output. A name the planner makes
//! up, such as `sum(batch.value)`, is awkward in both and may be another one in the planner's next version.

use datafusion::common::DFSchema;
use datafusion::sql::sqlparser::ast::{Expr, Select, SelectItem, SetExpr, Spanned, Statement};

use super::error::SqlError;
use super::locate;
use super::view_files::ViewFile;
use crate::diagnostic::{Code, Place};

/// The longest expression that is repeated in a message, in characters.
const EXPRESSION_SHOWN_MAX: usize = 60;

/// Checks what the SELECT list says, before anything is planned.
///
/// # Errors
/// Columns that are given one name.
pub(super) fn check_written(file: &ViewFile) -> Result<(), Vec<SqlError>> {
    let mut names: Vec<&str> = Vec::new();
    let mut errors: Vec<SqlError> = Vec::new();
    for item in items(file) {
        let Some(name) = written_name(item) else { continue };
        if names.contains(&name) {
            errors.push(called_the_same(place_of(file, item), &[name]));
        }
        names.push(name);
    }
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

/// The names in the SELECT list, with their places.
///
/// # Errors
/// Entries that do not say a name: `*`, and expressions without one.
pub(super) fn written(file: &ViewFile) -> Result<Vec<(String, Place)>, Vec<SqlError>> {
    let (mut names, mut errors) = (Vec::new(), Vec::new());
    for item in items(file) {
        match (written_name(item), item) {
            (Some(name), _) => names.push((name.to_owned(), place_of(file, item))),
            (None, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..)) => {
                let message =
                    format!("`{item}` in the view of a state table, whose columns are named one by one");
                errors.push(
                    SqlError::wrong(Code::Star, place_of(file, item), message)
                        .with_hint("write the columns out"),
                );
            }
            (None, _) => errors.push(nameless(place_of(file, item), item)),
        }
    }
    if errors.is_empty() { Ok(names) } else { Err(errors) }
}

/// Where a column of the view is written: its place in the SELECT list, else the `*` that brings it.
pub(super) fn place(file: &ViewFile, name: &str) -> Option<Place> {
    let named = items(file).iter().rev().find(|item| written_name(item) == Some(name));
    let item = named.or_else(|| items(file).iter().rev().find(|item| is_wildcard(item)));
    item.map(|item| place_of(file, item))
}

/// The `*` in the SELECT list.
pub(super) fn wildcards(file: &ViewFile) -> impl Iterator<Item = (String, Place)> {
    let items = items(file).iter().filter(|item| is_wildcard(item));
    items.map(|item| (item.to_string(), place_of(file, item)))
}

fn is_wildcard(item: &SelectItem) -> bool {
    matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..))
}

/// Checks the columns that the planner has found.
///
/// # Errors
/// Columns without a name of their own, and two columns of one name, as `*` may bring them.
pub(super) fn check_planned(file: &ViewFile, schema: &DFSchema) -> Result<(), Vec<SqlError>> {
    let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    let errors: Vec<SqlError> = items(file)
        .iter()
        .filter(|item| is_nameless(item, &names))
        .map(|item| nameless(place_of(file, item), item))
        .collect();
    if !errors.is_empty() {
        return Err(errors);
    }
    let mut twice: Vec<&str> = Vec::new();
    for (index, name) in names.iter().enumerate() {
        if !twice.contains(name) && names[..index].contains(name) {
            twice.push(name);
        }
    }
    if twice.is_empty() {
        return Ok(());
    }
    let mut places: Vec<(Place, Vec<&str>)> = Vec::new();
    for name in twice {
        let place = place(file, name).unwrap_or_else(|| file.start());
        match places.iter_mut().find(|(other, _)| *other == place) {
            Some((_, names)) => names.push(name),
            None => places.push((place, vec![name])),
        }
    }
    Err(places.into_iter().map(|(place, names)| called_the_same(place, &names)).collect())
}

fn nameless(place: Place, item: &SelectItem) -> SqlError {
    let text = item.to_string();
    let (column, expression) = if text.chars().count() <= EXPRESSION_SHOWN_MAX {
        (format!("the column `{text}`"), text.as_str())
    } else {
        ("this column".to_owned(), "expression")
    };
    let message = format!("{column} has no name");
    SqlError::wrong(Code::UnnamedColumn, place, message)
        .with_hint(format!("give it one: `{expression} AS name`"))
}

fn called_the_same(place: Place, names: &[&str]) -> SqlError {
    let message = match names {
        [name] => format!("two columns are called `{name}`"),
        _ => format!("there are two columns each of `{}`", names.join("`, `")),
    };
    SqlError::wrong(Code::DuplicateColumn, place, message)
        .with_hint("give one of them another name: `expression AS name`")
}

/// The SELECT list that names the view's columns: of a UNION, the first.
fn items(file: &ViewFile) -> &[SelectItem] {
    let Statement::Query(query) = file.statement.as_ref() else { return &[] };
    first_select(&query.body).map_or(&[], |select| &select.projection)
}

fn first_select(mut body: &SetExpr) -> Option<&Select> {
    loop {
        match body {
            SetExpr::Select(select) => return Some(select),
            SetExpr::Query(query) => body = &query.body,
            SetExpr::SetOperation { left, .. } => body = left,
            _ => return None,
        }
    }
}

/// The name in the list: after AS, or a column's own.
fn written_name(item: &SelectItem) -> Option<&str> {
    match item {
        SelectItem::ExprWithAlias { alias, .. } => Some(&alias.value),
        SelectItem::UnnamedExpr(expression) => column_name(expression),
        _ => None,
    }
}

fn column_name(mut expression: &Expr) -> Option<&str> {
    while let Expr::Nested(inner) = expression {
        expression = inner;
    }
    match expression {
        Expr::Identifier(ident) => Some(&ident.value),
        Expr::CompoundIdentifier(parts) => parts.last().map(|part| part.value.as_str()),
        _ => None,
    }
}

/// Whether the planner had to make up a name. It does so for `a.b` too, where that is the field of a record.
fn is_nameless(item: &SelectItem, names: &[&str]) -> bool {
    match item {
        SelectItem::UnnamedExpr(expression) => {
            column_name(expression).is_none_or(|name| !names.contains(&name))
        }
        _ => false,
    }
}

fn place_of(file: &ViewFile, item: &SelectItem) -> Place {
    let span = item.span();
    file.place(span.start.line, span.start.column, locate::width(span))
}
