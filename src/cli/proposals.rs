//! What a batch says about the tables: `check --sample`.

use std::collections::BTreeSet;

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::Int64Type;

use super::failure::Failure;
use crate::config::Config;
use crate::database::Table;
use crate::decode::Decoder;
use crate::engine::{Draft, Reach};
use crate::prompt::{Seek, Session, SessionOptions, StateOf};
use crate::sink::{Sink, Target};
use crate::source::StartAt;

/// Lengths of text columns that are proposed. A longer text stays without a limit.
const LENGTHS: [i64; 6] = [10, 20, 40, 80, 160, 255];

/// `columns` and `indexes` for the outputs whose tables are to be created, as lines of the configuration: texts about twice as
/// long as the longest of the last messages, and an index for each column that a keyed table is looked up by. Of tables that
/// exist, as comments, whether the texts of these messages fit.
///
/// # Errors
/// The schema is wrong; no broker or no database answers; a view fails on the messages.
pub(super) async fn of(config: &Config) -> Result<String, Failure> {
    let decoder = Decoder::new(&config.avro)?;
    let draft = Draft::of(config, Some(&decoder), Reach { servers: true, warns: false }).await;
    let inspection =
        Sink::check(config.database.clone(), &config.job, &draft.targets, config.create_tables).await;
    let tables = inspection.map_err(|error| Failure::failed(format!("the database: {error}")))?.tables;
    let options = SessionOptions {
        from: Seek::To(StartAt::End),
        rows_max: None,
        dead_letters: false,
        state: StateOf::Stored,
    };
    let mut session = Session::open(config.clone(), options).await?;
    let messages = numbers_of(&mut session, "SELECT count(*) AS n FROM batch").await?;
    let messages = messages.first().copied().flatten().unwrap_or_default();
    let (mut created, mut existing) = (String::new(), String::new());
    for (target, table) in draft.targets.iter().zip(&tables).filter(|(target, _)| !target.is_state()) {
        let texts = texts_of(target, table.as_ref());
        let longest = match texts.is_empty() {
            true => Vec::new(),
            false => numbers_of(&mut session, &longest_query(target, &texts)).await?,
        };
        let longest = texts.iter().zip(longest).filter_map(|(name, longest)| Some((*name, longest?)));
        match table {
            None => {
                let columns = longest.filter_map(|(name, longest)| Some((name, length(longest)?)));
                created.push_str(&line(target, &columns.collect::<Vec<_>>(), &looked_up(config, target)));
            }
            Some(table) => existing.push_str(&fitted(table, &target.table, &longest.collect::<Vec<_>>())),
        }
    }
    let mut lines = String::new();
    if !created.is_empty() {
        lines.push_str(&format!(
            "outputs:   # from the last {messages} messages; for tables that a job creates\n{created}"
        ));
    }
    if !existing.is_empty() {
        lines.push_str(&format!(
            "# Tables that exist, and the longest texts of the last {messages} messages:\n{existing}"
        ));
    }
    Ok(lines)
}

/// The first row of an answer.
async fn numbers_of(session: &mut Session, query: &str) -> Result<Vec<Option<i64>>, Failure> {
    let rows = session.rows(query).await?;
    let first = |column: &ArrayRef| column.as_primitive::<Int64Type>().iter().next().flatten();
    Ok(rows.first().map_or_else(Vec::new, |row| row.columns().iter().map(first).collect()))
}

/// Whether the longest texts fit the columns of a table.
fn fitted(table: &Table, name: &str, longest: &[(&str, i64)]) -> String {
    let columns = longest.iter().filter_map(|(column, longest)| {
        let room = i64::try_from(table.column(column)?.kind.characters_max()?).unwrap_or(i64::MAX);
        Some((*longest > room, format!("{column} {longest} of {room}")))
    });
    let (wrong, fitting): (Vec<_>, Vec<_>) = columns.partition(|(is_too_long, _)| *is_too_long);
    let listed = |columns: Vec<(bool, String)>| {
        columns.into_iter().map(|(_, column)| column).collect::<Vec<_>>().join(", ")
    };
    let mut lines = String::new();
    if !wrong.is_empty() {
        let (has, wrong) = ("its message becomes a dead letter", listed(wrong));
        lines.push_str(&format!("#   {name}: too long, so {has}: {wrong} characters\n"));
    }
    if !fitting.is_empty() {
        lines.push_str(&format!("#   {name}: fits: {} characters\n", listed(fitting)));
    }
    lines
}

/// The columns of text whose type is not configured, or of a table that exists, whose length is limited.
fn texts_of<'t>(target: &'t Target, table: Option<&Table>) -> Vec<&'t str> {
    let fields = target.schema.fields().iter().filter(|field| field.data_type().is_string());
    let is_asked = |name: &&str| match table {
        Some(table) => table.column(name).is_some_and(|column| column.kind.characters_max().is_some()),
        None => !target.created.columns.contains_key(*name),
    };
    fields.map(|field| field.name().as_str()).filter(is_asked).collect()
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
