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
            let Some(words) = words_of(&column.kind, &column.declared) else { continue };
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

/// The words of an ENUM, as it is declared: `enum('a','it''s')`.
fn words_of(kind: &ColumnType, declared: &str) -> Option<Vec<String>> {
    let inside = declared.get(..5).filter(|start| start.eq_ignore_ascii_case("enum("));
    inside.filter(|_| *kind == ColumnType::Words)?;
    let inside = declared.get(5..)?.strip_suffix(')')?;
    let (mut words, mut word, mut is_open) = (Vec::new(), String::new(), false);
    let mut letters = inside.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '\'' if is_open && letters.peek() == Some(&'\'') => {
                letters.next();
                word.push('\'');
            }
            '\'' if is_open => {
                words.push(std::mem::take(&mut word));
                is_open = false;
            }
            '\'' => is_open = true,
            letter if is_open => word.push(letter),
            _ => {}
        }
    }
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_as_they_are_declared() {
        let words = |declared: &str| words_of(&ColumnType::Words, declared);
        assert_eq!(words("enum('a','it''s','b,c')"), Some(vec!["a".into(), "it's".into(), "b,c".into()]));
        assert_eq!(words("ENUM('A')"), Some(vec!["A".into()]));
        assert_eq!(words("set('a')"), None);
        assert_eq!(words_of(&ColumnType::Json, "enum('a')"), None);
    }
}
