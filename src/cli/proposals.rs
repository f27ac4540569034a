//! What a batch says about the tables that would be created: `check --sample`.

use std::collections::BTreeSet;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;

use super::failure::Failure;
use crate::config::Config;
use crate::decode::Decoder;
use crate::engine::{Draft, Reach};
use crate::prompt::{Seek, Session, SessionOptions, StateOf};
use crate::sink::Target;
use crate::source::StartAt;

/// Lengths of text columns that are proposed. A longer text stays without a limit.
const LENGTHS: [i64; 6] = [10, 20, 40, 80, 160, 255];

/// `columns` and `indexes` for the outputs, as lines of the configuration: texts about twice as long as the longest of the
/// last messages, and an index for each column that a keyed table is looked up by.
///
/// # Errors
/// The schema is wrong; no broker answers; a view fails on the messages.
pub(super) async fn of(config: &Config) -> Result<String, Failure> {
    let decoder = Decoder::new(&config.avro)?;
    let draft = Draft::of(config, Some(&decoder), Reach { servers: true, warns: false }).await;
    let options = SessionOptions {
        from: Seek::To(StartAt::End),
        rows_max: None,
        dead_letters: false,
        state: StateOf::Stored,
    };
    let mut session = Session::open(config.clone(), options).await?;
    let mut lines = String::from("outputs:   # of the last messages; for tables that are created\n");
    for target in draft.targets.iter().filter(|target| !target.is_state()) {
        let texts = texts_of(target);
        let longest = match texts.is_empty() {
            true => Vec::new(),
            false => {
                let rows = session.rows(&longest_query(target, &texts)).await?;
                rows.first().map_or_else(Vec::new, |row| {
                    row.columns()
                        .iter()
                        .map(|column| column.as_primitive::<Int64Type>().iter().next().flatten())
                        .collect()
                })
            }
        };
        let columns =
            texts.iter().zip(longest).filter_map(|(name, longest)| Some((*name, length(longest?)?)));
        lines.push_str(&line(target, &columns.collect::<Vec<_>>(), &looked_up(config, target)));
    }
    Ok(lines)
}

/// The columns of text whose type is not configured.
fn texts_of(target: &Target) -> Vec<&str> {
    let fields = target.schema.fields().iter().filter(|field| field.data_type().is_string());
    let is_open = |name: &&str| !target.created.columns.contains_key(*name);
    fields.map(|field| field.name().as_str()).filter(is_open).collect()
}

fn longest_query(target: &Target, texts: &[&str]) -> String {
    let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    let longest = texts
        .iter()
        .enumerate()
        .map(|(place, name)| format!("CAST(max(character_length({})) AS BIGINT) AS c{place}", quoted(name)));
    format!("SELECT {} FROM {}", longest.collect::<Vec<_>>().join(", "), quoted(&target.name))
}

/// A length with room for texts that are longer than those that were seen.
fn length(longest: i64) -> Option<i64> {
    LENGTHS.into_iter().find(|length| *length >= 2 * longest)
}

/// The columns of an output by which the rows of keyed tables are looked up, which people ask for too. Not those that
/// the primary key begins with.
fn looked_up<'t>(config: &Config, target: &'t Target) -> Vec<&'t str> {
    let references = config.reference_tables.iter().flat_map(|table| table.matches.iter().flatten());
    let states = config.state_tables.iter().flat_map(|table| table.matches.iter().flatten());
    let wanted: BTreeSet<&str> = references.chain(states).map(|place| place.column.as_str()).collect();
    let names = target.schema.fields().iter().map(|field| field.name().as_str());
    let first = target.mode.key().first().map(String::as_str);
    names.filter(|name| wanted.contains(name) && first != Some(*name)).collect()
}

fn line(target: &Target, columns: &[(&str, i64)], indexes: &[&str]) -> String {
    let columns: Vec<String> =
        columns.iter().map(|(name, length)| format!("{name}: VARCHAR({length})")).collect();
    let indexes: Vec<String> = indexes.iter().map(|name| format!("[{name}]")).collect();
    let mut parts = Vec::new();
    parts.extend((!columns.is_empty()).then(|| format!("columns: {{ {} }}", columns.join(", "))));
    parts.extend((!indexes.is_empty()).then(|| format!("indexes: [{}]", indexes.join(", "))));
    match parts.is_empty() {
        true => String::new(),
        false => format!("  {}: {{ {} }}\n", target.name, parts.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_leave_room_and_end_where_an_index_does() {
        assert_eq!(
            [0, 4, 5, 6, 127, 128].map(length),
            [Some(10), Some(10), Some(10), Some(20), Some(255), None]
        );
    }
}
