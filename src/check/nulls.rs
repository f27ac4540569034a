//! Columns of tables that are there already and take no NULL, and that their view may return NULL for.

use crate::diagnostic::{Code, Diagnostic};
use crate::engine::Draft;
use crate::sink::Inspection;

/// One for each table, at the first of its columns.
pub(super) fn warnings(draft: &Draft, inspection: &Inspection) -> Vec<Diagnostic> {
    let written = draft.targets.iter().zip(&inspection.tables).zip(&draft.nullable);
    let warnings = written.filter_map(|((target, table), nullable)| {
        let table = table.as_ref()?;
        let key = target.mode.key();
        let takes_none = |name: &&String| table.column(name).is_some_and(|column| !column.is_nullable);
        let names = nullable.iter().filter(|name| !key.contains(name)).filter(takes_none);
        let names: Vec<&str> = names.map(String::as_str).collect();
        let place = draft.places.place(&target.table, Some(names.first()?));
        let (are, names) = (if names.len() == 1 { "is" } else { "are" }, names.join(", "));
        let (table, view) = (&target.table, &target.name);
        let message = format!(
            "table {table}: view `{view}` may return NULL for {names}, which {are} NOT NULL: the message becomes a dead letter"
        );
        let hint = "if there is a right value in place of NULL, write `coalesce(x, ...)`; otherwise leave it as it is, or let \
                    the column be NULL";
        Some(Diagnostic::warning(Code::MayBeNull, place, message).with_hint(hint))
    });
    warnings.collect()
}
