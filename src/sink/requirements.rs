//! What an output or a state table asks of the table it is written to, and what is wrong with a table that is there.

use arrow::datatypes::Field;

use super::ddl::OWN_NAMES;
use super::{TableFault, Target};
use crate::batch::{DELETE_COLUMN, MESSAGE_TIME_COLUMN, PARTITION_COLUMNS, VERSION_COLUMN};
use crate::config::{Mode, Upsert};
use crate::database::{ColumnType, Dialect, Key, KeyShape, Table, TableColumn, TableKind, quote};
use crate::diagnostic::Finding;
use crate::nearest::same_in_another_style;

pub(super) fn same_table_fault(before: &[Target], target: &Target) -> Option<TableFault> {
    let other = before.iter().find(|other| is_same_table(&other.table, &target.table))?;
    let (first, second) = (&other.name, &target.name);
    let message = format!("views `{first}` and `{second}` are both written to it, expected one");
    Some(TableFault::new(&target.table, message))
}

/// What is wrong with a target whatever its table is.
pub(super) fn target_faults(target: &Target) -> Vec<TableFault> {
    let mut faults = Vec::new();
    let (table, view) = (&target.table, &target.name);
    if OWN_NAMES.iter().any(|own| is_same_table(own, table)) {
        let message = format!("the name of a table of the program, expected another for view `{view}`");
        faults.push(TableFault::new(table, message));
    }
    match &target.mode {
        Mode::Append if target.deletes() => {
            let message = "rows are deleted by key, and the output's mode is append";
            let hint = format!("say `mode: upsert` and a key, or rename the column of view `{view}`");
            faults.push(TableFault::of_column(table, DELETE_COLUMN, message).with_hint(hint));
        }
        Mode::Append => {}
        Mode::Upsert(Upsert { key, order_by, only_newer, .. }) => {
            let of_key = key.iter().map(|name| ("key", name));
            let of_order = order_by.iter().map(|name| ("order_by", name));
            let named = of_key.chain(of_order).chain(only_newer.iter().map(|name| ("only_newer", name)));
            for (what, name) in named.filter(|(_, name)| target.schema.field_with_name(name).is_err()) {
                let names: Vec<&str> =
                    target.schema.fields().iter().map(|field| field.name().as_str()).collect();
                let names = names.join(", ");
                let message = match what {
                    "key" => format!("view `{view}` has no key column `{name}`, it has {names}"),
                    what => format!("{what}: view `{view}` has no column `{name}`, it has {names}"),
                };
                faults.push(TableFault::new(table, message));
            }
            faults.extend(only_newer.iter().filter_map(|name| version_fault(target, name)));
        }
    }
    faults
}

/// Versions are compared by the database, and must be ordered there as they are in a view.
fn version_fault(target: &Target, name: &str) -> Option<TableFault> {
    let found = target.schema.field_with_name(name).ok()?.data_type();
    if found.is_integer() || found.is_temporal() || found.is_string() {
        return None;
    }
    let message = format!("only_newer: found {found}, expected an integer, a date, a time or a text");
    let hint = "name a column that grows with each change of a row, such as `updated_at`";
    Some(TableFault::of_column(&target.table, name, message).with_hint(hint))
}

/// What is wrong with the table as a whole; columns are [`super::output::Output::new`]'s matter.
pub(super) fn table_faults(target: &Target, found: &Table, dialect: Dialect) -> Vec<TableFault> {
    let mut faults: Vec<TableFault> = kind_fault(&target.table, found, dialect).into_iter().collect();
    for column in &found.columns {
        if !is_written(target, column) && !column.has_default {
            let message =
                format!("NOT NULL without a default, and view `{}` has no such column", target.name);
            let fault = TableFault::of_column(&target.table, &column.name, message);
            faults.push(fault.with_hint("add it to the view, or give it a default"));
        }
    }
    let Mode::Upsert(Upsert { key, only_newer, parent, .. }) = &target.mode else { return faults };
    faults.extend(unique_fault(&target.table, key, found));
    // Rows that are replaced are inserted, so that a duplicate is refused.
    faults.extend(other_keys_fault(target, key, found).filter(|_| parent.is_empty()));
    let of_key = key.iter().filter_map(|name| found.column(name));
    faults.extend(of_key.filter_map(|column| collation_fault(target, column, dialect)));
    let version = only_newer.iter().filter_map(|name| found.column(name));
    let version = version.filter(|column| is_loose(column, dialect));
    let unordered = only_newer.iter().filter_map(|name| found.column(name));
    faults.extend(unordered.filter(|column| !column.kind.is_ordered(dialect)).map(|column| {
        let message = format!("only_newer: {} does not order values as the view does", column.declared);
        TableFault::of_column(&target.table, &column.name, message)
            .with_hint("name a column of a date, a time or an integer")
    }));
    if target.is_state() {
        faults.extend(
            target.schema.fields().iter().filter_map(|field| kept_fault(target, field, found, dialect)),
        );
    }
    faults.extend(version.map(|column| {
        let message = format!(
            "only_newer: its collation {} does not order texts by their bytes",
            collation_of(column, dialect)
        );
        TableFault::of_column(&target.table, &column.name, message).with_hint(format!(
            "change the column to COLLATE {}, or name a column of a date or a number",
            dialect.collation()
        ))
    }));
    faults
}

/// A column of a state table that does not return a value as it was written. Memory would have one value, and another instance
/// the other.
fn kept_fault(target: &Target, field: &Field, found: &Table, dialect: Dialect) -> Option<TableFault> {
    let column = found.column(field.name()).filter(|column| !column.kind.keeps(field.data_type()))?;
    let key = target.mode.key();
    let of_key = || key.iter().filter_map(|name| Some(target.schema.field_with_name(name).ok()?.data_type()));
    let shape = key.contains(field.name()).then(|| KeyShape::of(of_key()));
    let wanted = ColumnType::for_arrow(field.data_type(), dialect, shape).ok()?.ddl(dialect);
    let (declared, kind) = (&column.declared, field.data_type());
    let message =
        format!("{declared} may change values of {kind}, and a state table must return them as they were");
    Some(
        TableFault::of_column(&target.table, field.name(), message)
            .with_hint(format!("change the column to {wanted}")),
    )
}

/// What a table does with rows that a reader of the SQL may not expect.
pub(super) fn table_warnings(target: &Target, found: &Table, dialect: Dialect) -> Vec<TableFault> {
    if target.mode == Mode::Append {
        return Vec::new();
    }
    let mut warnings = loose_keys(target, found, dialect);
    let has_parent = matches!(&target.mode, Mode::Upsert(upsert) if !upsert.parent.is_empty());
    if has_parent && !target.deletes() {
        let view = &target.name;
        let message = format!(
            "view `{view}` has no column `{DELETE_COLUMN}`: a message without rows leaves those that its parent has"
        );
        let hint = format!(
            "add a row with `true AS {DELETE_COLUMN}` for such messages, or `false AS {DELETE_COLUMN}` if there are none"
        );
        warnings.push(TableFault::new(&target.table, message).with_hint(hint));
    }
    let numbered = found.columns.iter().filter(|column| column.is_numbered && !is_written(target, column));
    let is_short =
        |column: &&TableColumn| matches!(column.kind, ColumnType::Integer { bytes, .. } if bytes < 8);
    warnings.extend(numbered.filter(is_short).map(|column| {
        let declared = &column.declared;
        let message = format!(
            "each row that is written uses up a number, even if it only updates a row, so {declared} may run out of numbers"
        );
        TableFault::of_column(&target.table, &column.name, message)
            .with_hint("change the column to BIGINT UNSIGNED")
    }));
    warnings
}

/// Columns of the key whose collation takes different keys for equal, where that is no fault: one warning for those of which
/// the same is to be said.
fn loose_keys(target: &Target, found: &Table, dialect: Dialect) -> Vec<TableFault> {
    let of_key = target.mode.key().iter().filter_map(|name| found.column(name));
    let loose = of_key.filter(|column| is_loose(column, dialect));
    let loose = loose.filter(|column| collation_fault(target, column, dialect).is_none());
    let mut alike: Vec<(&str, &str, Vec<&str>)> = Vec::new();
    for column in loose {
        let (collation, merged) = (collation_of(column, dialect), merged_into(target, column));
        match alike.iter_mut().find(|(other, into, _)| (*other, *into) == (collation, merged)) {
            Some((_, _, names)) => names.push(&column.name),
            None => alike.push((collation, merged, vec![&column.name])),
        }
    }
    let warning = |(collation, merged, names): (&str, &str, Vec<&str>)| {
        let (first, others) = names.split_first()?;
        let of_others =
            if others.is_empty() { String::new() } else { format!(", as of {},", others.join(", ")) };
        let (by, wanted) = (merged_by(collation), dialect.collation());
        let message = format!(
            "its collation {collation}{of_others} treats keys that differ only in {by} as equal: {merged}"
        );
        let hint = format!("if they are different keys, change the column to COLLATE {wanted}");
        Some(TableFault::of_column(&target.table, first, message).with_hint(hint))
    };
    alike.into_iter().filter_map(warning).collect()
}

/// A column that the view has and the table lacks. It may have another name there.
pub(super) fn missing_column(target: &Target, field: &Field, found: &Table, dialect: Dialect) -> TableFault {
    let (table, view, column) = (&target.table, &target.name, field.name());
    let names: Vec<&str> = found.columns.iter().map(|column| column.name.as_str()).collect();
    let needs = match is_own(target, column) {
        true => "every state table needs it".to_owned(),
        false => format!("view `{view}` needs it"),
    };
    let mut hints = Vec::new();
    // A column of the program's own has its name for good.
    if !is_own(target, column) {
        let free = found.columns.iter().filter(|other| !is_written(target, other) && !other.is_numbered);
        hints.extend(
            same_in_another_style(column, free.map(|other| other.name.as_str()))
                .map(|other| format!("name it as the table does: `{column} AS \"{other}\"`")),
        );
    }
    if let Ok(kind) = ColumnType::for_arrow(field.data_type(), dialect, None) {
        let name = quote(column, dialect);
        hints.push(format!("ALTER TABLE {table} ADD COLUMN {name} {}", kind.ddl(dialect)));
    }
    let hint = (!hints.is_empty()).then(|| hints.join("; or "));
    let (kind, names) = (field.data_type(), names.join(", "));
    let message = format!("no such column, {needs} ({kind}); the table has {names}");
    TableFault::of_column(table, column, Finding::new(message).with_hint_if_some(hint))
}

/// True for the columns of state tables that the program fills.
pub(super) fn is_own(target: &Target, column: &str) -> bool {
    let is_own_name =
        [VERSION_COLUMN, MESSAGE_TIME_COLUMN].contains(&column) || PARTITION_COLUMNS.contains(&column);
    target.kind.is_state() && is_own_name
}

/// True for the columns of the view that say which row is the last and that the table need not have.
pub(super) fn orders_alone(target: &Target, column: &str) -> bool {
    matches!(&target.mode, Mode::Upsert(upsert) if upsert.order_by.iter().any(|name| name == column))
}

pub(super) fn kind_fault(name: &str, found: &Table, dialect: Dialect) -> Option<TableFault> {
    if found.kind == TableKind::View {
        return Some(TableFault::new(name, "is a view, expected a table"));
    }
    let engine = found.engine.as_deref().unwrap_or("none");
    if dialect.is_mysql() && !engine.eq_ignore_ascii_case("InnoDB") {
        let message = format!("its engine is {engine}, expected InnoDB: others cannot roll back");
        let hint = format!("ALTER TABLE {name} ENGINE=InnoDB");
        return Some(TableFault::new(name, message).with_hint(hint));
    }
    None
}

/// What is wrong with the key of a table of the program.
pub(super) fn own_key_faults(
    table: &str,
    key: &[String],
    found: &Table,
    dialect: Dialect,
) -> Vec<TableFault> {
    let columns = key.iter().filter_map(|name| found.column(name));
    let loose = columns.filter(|column| is_loose(column, dialect));
    let loose = loose.map(|column| loose_fault(table, column, "which the program tells apart", dialect));
    unique_fault(table, key, found).into_iter().chain(loose).collect()
}

/// Rows are found again by an index that makes their key unique.
fn unique_fault(table: &str, key: &[String], found: &Table) -> Option<TableFault> {
    if found.keys.iter().any(|other| is_key(other, key)) {
        return None;
    }
    let list = key.join(", ");
    let has_primary = found.keys.iter().any(|other| other.name == "PRIMARY");
    let kind = if has_primary { "UNIQUE KEY" } else { "PRIMARY KEY" };
    let message = format!("no primary or unique key over exactly ({list})");
    Some(TableFault::new(table, message).with_hint(format!("add {kind} ({list})")))
}

/// A row that has the key of one row and is a duplicate of another would change the other one.
fn other_keys_fault(target: &Target, key: &[String], found: &Table) -> Option<TableFault> {
    let may_collide = |other: &&Key| !is_key(other, key) && !is_never_equal(target, other, found);
    let others: Vec<&str> = found.keys.iter().filter(may_collide).map(|other| other.name.as_str()).collect();
    if others.is_empty() || !found.keys.iter().any(|other| is_key(other, key)) {
        return None;
    }
    let (key, others) = (key.join(", "), others.join(", "));
    let message = format!(
        "besides the key ({key}) also unique by {others}: an upsert could overwrite the row of another key"
    );
    Some(TableFault::new(&target.table, message).with_hint("drop that index, or say `mode: append`"))
}

/// Whether no new row is a duplicate in an index: it has a column that is not written, and that the database fills with
/// a number of its own, a UUID or NULL.
fn is_never_equal(target: &Target, key: &Key, found: &Table) -> bool {
    let columns = key.columns.iter().filter_map(|name| found.column(name));
    let is_new =
        |column: &TableColumn| column.is_numbered || column.is_unique_by_default || column.is_null_by_default;
    columns.into_iter().any(|column| !is_written(target, column) && is_new(column))
}

/// A key whose collation takes different texts for equal. Those of a state table are told apart in memory; and if nothing
/// says which row is the last, nothing says which of them wins.
fn collation_fault(target: &Target, column: &TableColumn, dialect: Dialect) -> Option<TableFault> {
    if !is_loose(column, dialect) {
        return None;
    }
    let Mode::Upsert(upsert) = &target.mode else { return None };
    let why = match () {
        () if target.is_state() => "which a state table tells apart",
        () if !upsert.has_order() => "and nothing says which of their rows is the last",
        () => return None,
    };
    Some(loose_fault(&target.table, column, why, dialect))
}

fn loose_fault(table: &str, column: &TableColumn, why: &str, dialect: Dialect) -> TableFault {
    let (collation, wanted) = (collation_of(column, dialect), dialect.collation());
    let message = format!(
        "its collation {collation} takes texts for equal that are not ('José' and 'jose', or with spaces at the \
         end), {why}"
    );
    let hint = format!("change the column to COLLATE {wanted}, or to VARBINARY");
    TableFault::of_column(table, &column.name, message).with_hint(hint)
}

fn is_loose(column: &TableColumn, dialect: Dialect) -> bool {
    !dialect.is_exact_text(&column.kind, column.collation.as_deref())
}

fn collation_of(column: &TableColumn, dialect: Dialect) -> &str {
    column.collation.as_deref().unwrap_or(dialect.collation())
}

/// What a collation does not tell apart, by its name.
fn merged_by(collation: &str) -> &'static str {
    let has = |part: &str| collation.split('_').any(|other| other == part);
    match (has("as"), has("ci"), has("bin")) {
        // SQLite's.
        _ if collation.eq_ignore_ascii_case("NOCASE") => "case",
        (_, _, true) => "spaces at the end",
        (true, true, _) => "case",
        (true, false, _) => "how they are composed",
        _ => "case or accents",
    }
}

/// What becomes of rows whose keys the collation of one of its columns takes for equal.
fn merged_into(target: &Target, column: &TableColumn) -> &'static str {
    match &target.mode {
        Mode::Upsert(Upsert { parent, .. })
            if parent.iter().any(|name| name.eq_ignore_ascii_case(&column.name)) =>
        {
            "they are one parent, with the rows of the last message"
        }
        Mode::Upsert(Upsert { parent, .. }) if !parent.is_empty() => {
            "a message that has both for one parent becomes a dead letter"
        }
        _ if target.deletes() => {
            "they are one row, with the key of the first and the other values of the last, and `_delete` of one deletes it"
        }
        _ => "they are one row, with the key of the first and the other values of the last",
    }
}

/// Whether rows of a target have a value for a column.
fn is_written(target: &Target, column: &TableColumn) -> bool {
    target.schema.fields().iter().any(|field| field.name().eq_ignore_ascii_case(&column.name))
}

fn is_key(found: &Key, key: &[String]) -> bool {
    let has = |name: &String| key.iter().any(|wanted| wanted.eq_ignore_ascii_case(name));
    found.is_whole && found.columns.len() == key.len() && found.columns.iter().all(has)
}

pub(super) fn is_same_table(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_collation_merges_is_in_its_name() {
        assert_eq!(merged_by("utf8mb4_0900_ai_ci"), "case or accents");
        assert_eq!(merged_by("latin1_swedish_ci"), "case or accents");
        assert_eq!(merged_by("utf8mb4_0900_as_ci"), "case");
        assert_eq!(merged_by("NOCASE"), "case");
        assert_eq!(merged_by("utf8mb4_bin"), "spaces at the end");
    }
}
