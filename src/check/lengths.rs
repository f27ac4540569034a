//! Columns of tables that are there already and hold fewer characters than their view may return.

use crate::config::Mode;
use crate::database::{ColumnType, KeyShape};
use crate::diagnostic::{Code, Diagnostic};
use crate::engine::Draft;
use crate::sink::{Inspection, Target};

/// A column and the texts that it may get.
struct Short<'a> {
    target: &'a Target,
    name: &'a str,
    /// As the table has it: `varchar(20)`.
    declared: &'a str,
    room: u64,
    /// The characters of the longest text, where that is known.
    longest: Option<u64>,
}

/// One for each column whose texts are bounded and may be too long, and one for all those whose texts are not bounded:
/// few schemas bound texts, so this is to be said of most columns.
pub(super) fn warnings(draft: &Draft, inspection: &Inspection) -> Vec<Diagnostic> {
    let short = short(draft, inspection);
    let (bounded, open): (Vec<_>, Vec<_>) = short.into_iter().partition(|column| column.longest.is_some());
    let bounded = bounded.iter().map(|column| of_bounded(draft, column));
    bounded.chain(of_open(draft, &open)).collect()
}

fn short<'a>(draft: &'a Draft, inspection: &'a Inspection) -> Vec<Short<'a>> {
    let mut short = Vec::new();
    for ((target, table), lengths) in draft.targets.iter().zip(&inspection.tables).zip(&draft.text_lengths) {
        let Some(table) = table else { continue };
        let created = created_characters(target, inspection);
        for (field, longest) in target.schema.fields().iter().zip(lengths) {
            let Some(column) = table.column(field.name()) else { continue };
            let Some(room) = column.kind.characters_max().filter(|room| *room != created) else { continue };
            if field.data_type().is_string() && longest.is_none_or(|longest| longest > room) {
                let (name, declared, longest) = (field.name(), &column.declared, *longest);
                short.push(Short { target, name, declared, room, longest });
            }
        }
    }
    short
}

fn of_bounded(draft: &Draft, column: &Short<'_>) -> Diagnostic {
    let Short { target, name, declared, room, longest } = column;
    let (table, longest) = (&target.table, longest.unwrap_or(u64::MAX));
    let message = format!(
        "table {table}.{name}: {declared} gets texts of up to {longest} characters: the message of a longer one becomes a \
         dead letter"
    );
    let hint = match target.mode.key().iter().any(|key| key == name) {
        // What is cut would be the key of other rows, too.
        true => "make the column longer; a key that is cut could be that of another row".to_owned(),
        false => format!("cut it: `left(..., {room}) AS {name}`; or make the column longer"),
    };
    let place = draft.places.place(table, Some(name));
    Diagnostic::warning(Code::TextTooLong, place, message).with_hint(hint)
}

fn of_open(draft: &Draft, columns: &[Short<'_>]) -> Option<Diagnostic> {
    let first = columns.first()?;
    let tables = columns.chunk_by(|one, other| one.target.table == other.target.table).map(|of_one| {
        let columns = of_one.iter().map(|column| format!("{} {}", column.name, column.declared));
        format!("{} ({})", of_one[0].target.table, columns.collect::<Vec<_>>().join(", "))
    });
    let message = format!(
        "the schema does not limit the texts for these columns, and the message of one that is too long becomes a dead \
         letter: {}",
        tables.collect::<Vec<_>>().join(", ")
    );
    let hint = "`check --sample` compares them with the last messages; a column can be longer, and a text that is no key can \
                be cut: `left(x, n)`";
    let place = draft.places.place(&first.target.table, Some(first.name));
    Some(Diagnostic::warning(Code::TextTooLong, place, message).with_hint(hint))
}

/// The length of text columns of a key in tables that the program creates; 0 without a key.
fn created_characters(target: &Target, inspection: &Inspection) -> u64 {
    if target.mode == Mode::Append {
        return 0;
    }
    let fields = target.mode.key().iter().filter_map(|name| target.schema.field_with_name(name).ok());
    let shape = KeyShape::of(fields.map(|field| field.data_type()));
    let text = ColumnType::for_arrow(&arrow::datatypes::DataType::Utf8, inspection.dialect, Some(shape));
    text.ok().and_then(|text| text.characters_max()).unwrap_or(0)
}
