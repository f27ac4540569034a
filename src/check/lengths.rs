//! Columns of tables that are there already and hold fewer characters than their view may give.

use crate::config::Mode;
use crate::database::{ColumnType, KeyShape};
use crate::diagnostic::{Code, Diagnostic};
use crate::engine::Draft;
use crate::sink::{Inspection, Target};

pub(super) fn warnings(draft: &Draft, inspection: &Inspection) -> Vec<Diagnostic> {
    let mut warnings = Vec::new();
    for ((target, table), lengths) in draft.targets.iter().zip(&inspection.tables).zip(&draft.text_lengths) {
        let Some(table) = table else { continue };
        for (field, length) in target.schema.fields().iter().zip(lengths) {
            let Some(column) = table.column(field.name()) else { continue };
            let room = match column.kind {
                ColumnType::Text { characters_max: Some(max), .. }
                | ColumnType::Char { characters_max: max } => max,
                _ => continue,
            };
            let is_ours = room == created_characters(target, inspection);
            if !field.data_type().is_string() || is_ours || length.is_some_and(|length| length <= room) {
                continue;
            }
            let longer = match length {
                Some(length) => format!("texts of up to {length} characters"),
                None => "texts of any length".to_owned(),
            };
            let message = format!(
                "table {}.{}: {} gets {longer}: the message of a longer one becomes a dead letter",
                target.table,
                field.name(),
                column.declared
            );
            let place = draft.places.place(&target.table, Some(field.name()));
            let is_key = target.mode.key().contains(field.name());
            let hint = match is_key {
                // What is cut would be the key of other rows, too.
                true => "make the column longer; a key that is cut could be that of another row".to_owned(),
                false => {
                    format!("cut it: `left(..., {room}) AS {}`; or make the column longer", field.name())
                }
            };
            warnings.push(Diagnostic::warning(Code::TextTooLong, place, message).with_hint(hint));
        }
    }
    warnings
}

/// The length of text columns of a key in tables that the program creates; 0 without a key.
fn created_characters(target: &Target, inspection: &Inspection) -> u64 {
    if target.mode == Mode::Append {
        return 0;
    }
    let fields = target.mode.key().iter().filter_map(|name| target.schema.field_with_name(name).ok());
    let shape = KeyShape::of(fields.map(|field| field.data_type()));
    match ColumnType::for_arrow(&arrow::datatypes::DataType::Utf8, inspection.dialect, Some(shape)) {
        Ok(ColumnType::Text { characters_max: Some(max), .. }) => max,
        _ => 0,
    }
}
