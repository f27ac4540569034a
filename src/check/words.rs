//! Columns of MySQL's type ENUM that lack a symbol of the Avro enum that is written to them.

use crate::database::ColumnType;
use crate::diagnostic::{Code, Diagnostic};
use crate::engine::Draft;
use crate::sink::Inspection;

pub(super) fn warnings(draft: &Draft, inspection: &Inspection) -> Vec<Diagnostic> {
    let mut warnings = Vec::new();
    for ((target, table), symbols) in draft.targets.iter().zip(&inspection.tables).zip(&draft.symbols) {
        let Some(table) = table else { continue };
        for (field, symbols) in target.schema.fields().iter().zip(symbols) {
            let (Some(symbols), Some(column)) = (symbols, table.column(field.name())) else { continue };
            let ColumnType::Words { words, is_set: false } = &column.kind else { continue };
            // MySQL takes capitals for small letters here, as most collations do.
            let has = |symbol: &String| words.iter().any(|word| word.to_lowercase() == symbol.to_lowercase());
            let lacking: Vec<&str> =
                symbols.iter().filter(|symbol| !has(symbol)).map(String::as_str).collect();
            if lacking.is_empty() {
                continue;
            }
            let message = format!(
                "table {}.{}: its ENUM lacks {} of the Avro enum: a message with it becomes a dead letter",
                target.table,
                field.name(),
                lacking.join(", ")
            );
            let place = draft.places.place(&target.table, Some(field.name()));
            let all: Vec<String> =
                words.iter().map(String::as_str).chain(lacking).map(|word| format!("'{word}'")).collect();
            let hint =
                format!("ALTER TABLE {} MODIFY {} ENUM({})", target.table, field.name(), all.join(", "));
            warnings.push(Diagnostic::warning(Code::UnknownWord, place, message).with_hint(hint));
        }
    }
    warnings
}
