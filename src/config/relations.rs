//! The keys that name relations: the reference tables that views may join, and the state tables that they read and
//! write.

use std::path::Path;
use std::time::Duration;

use super::read::{Section, list_of_texts, read_duration};
use super::yaml::{Node, Value};
use super::{Fault, KeyPlace, ReferenceTableConfig, StateTableConfig, TableOrigin};

/// The table of the shipped views; opened only where a view reads it.
pub(super) fn accounts_by_default(base: &Path) -> ReferenceTableConfig {
    ReferenceTableConfig {
        name: "accounts".into(),
        line: 0,
        origin: TableOrigin::File { path: base.join("data/accounts.csv"), delimiter: b',' },
        key: vec!["customer_id".into()],
        matches: vec![vec![KeyPlace { relation: "batch".into(), column: "customer".into() }]],
        refresh_interval: REFRESH_INTERVAL,
    }
}

/// The state of the shipped views; there only where its view is.
pub(super) fn account_state_by_default() -> StateTableConfig {
    StateTableConfig {
        name: "account_state".into(),
        line: 0,
        view: "next_account_state".into(),
        key: vec!["customer".into()],
        matches: vec![vec![KeyPlace { relation: "batch".into(), column: "customer".into() }]],
        follows_partition: false,
        ttl: None,
        fill: false,
    }
}

const REFRESH_INTERVAL: Duration = Duration::from_secs(60);

pub(super) fn read_reference_tables(
    node: &Node,
    base: &Path,
    faults: &mut Vec<Fault>,
) -> Vec<ReferenceTableConfig> {
    let mut tables = Vec::new();
    for (name, line, node) in named(node, "reference_tables", faults) {
        let path = format!("reference_tables.{name}");
        match Section::new(&path, node) {
            Ok(mut section) => {
                if name == "batch" {
                    section.fault(Fault::new(line, format!("{path}: `batch` names the messages")));
                }
                let table = read_reference_table(name, line, &mut section, base);
                section.finish(faults);
                tables.extend(table);
            }
            Err(fault) => faults.push(fault),
        }
    }
    tables
}

fn read_reference_table(
    name: &str,
    line: usize,
    section: &mut Section<'_>,
    base: &Path,
) -> Option<ReferenceTableConfig> {
    let file = section.path("file", base);
    let table = section.text("table");
    let query = section.text("query");
    let delimiter =
        section.value("delimiter", "one ASCII character, such as `;` or `\\t`", |text| match text {
            "\\t" | "tab" => Some(b'\t'),
            _ => <[u8; 1]>::try_from(text.as_bytes()).ok().map(|[byte]| byte).filter(u8::is_ascii),
        });
    let key = section.texts("key").unwrap_or_default();
    let matches = section.node("matches");
    let refresh_interval = section.duration("refresh_interval", REFRESH_INTERVAL);
    let origin = match (file, table, query) {
        (Some(path), None, None) => {
            let is_tsv = path.extension().is_some_and(|extension| extension == "tsv");
            let delimiter = delimiter.unwrap_or(if is_tsv { b'\t' } else { b',' });
            Some(TableOrigin::File { path, delimiter })
        }
        (None, Some(table), None) => Some(TableOrigin::Table(table)),
        (None, None, Some(query)) => Some(TableOrigin::Query(query)),
        _ => {
            let message = format!("{}: expected one of `file`, `table`, `query`", section.name("file"));
            section.fault(Fault::new(line, message));
            None
        }
    };
    let matches = read_matches(section, matches, &key);
    Some(ReferenceTableConfig {
        name: name.to_owned(),
        line,
        origin: origin?,
        key,
        matches,
        refresh_interval,
    })
}

pub(super) fn read_state_tables(
    node: &Node,
    reference_tables: &[ReferenceTableConfig],
    faults: &mut Vec<Fault>,
) -> Vec<StateTableConfig> {
    let mut tables: Vec<StateTableConfig> = Vec::new();
    for (name, line, node) in named(node, "state_tables", faults) {
        let path = format!("state_tables.{name}");
        let mut section = match Section::new(&path, node) {
            Ok(section) => section,
            Err(fault) => {
                faults.push(fault);
                continue;
            }
        };
        if name == "batch" {
            section.fault(Fault::new(line, format!("{path}: `batch` names the messages")));
        }
        // Why the line: the `accounts` that nobody configured gives way to a state table of its name.
        if reference_tables.iter().any(|table| table.name == name && table.line > 0) {
            section.fault(Fault::new(line, format!("{path}: `{name}` is a reference table already")));
        }
        let view = section.required("view", "next_account_state");
        let key_line = section.line_of("key");
        let key = section.texts("key");
        if key.is_none() {
            let fault = Fault::new(key_line, format!("{path}: a state table needs a `key`"));
            section.fault(fault.hint("for example `key: customer`: the column that there is one row for"));
        }
        let key = key.unwrap_or_default();
        let matches = section.node("matches");
        let matches = if key.is_empty() { Vec::new() } else { read_matches(&mut section, matches, &key) };
        let follows_partition = section.boolean("follows_partition", false);
        let ttl = section.value("ttl", "a time with its unit, such as 12h or 90d", read_duration);
        if ttl.is_some_and(|ttl| ttl.is_zero()) {
            section
                .fault(Fault::new(line, format!("{path}.ttl: found 0, expected a time, or null for no end")));
        }
        let fill = section.boolean("fill", false);
        if let Some(view) = view {
            let name = name.to_owned();
            if let Some(other) = tables.iter().find(|table| table.view == view) {
                let message = format!("{path}.view: `{view}` computes state_tables.{} already", other.name);
                section.fault(Fault::new(line, message));
            }
            tables.push(StateTableConfig { name, line, view, key, matches, follows_partition, ttl, fill });
        }
        section.finish(faults);
    }
    tables
}

/// The alternatives a key is compared with; the key's own names by default.
fn read_matches(section: &mut Section<'_>, node: Option<&Node>, key: &[String]) -> Vec<Vec<KeyPlace>> {
    let Some(node) = node else {
        let same_names = key.iter().map(|column| key_place(column)).collect::<Vec<_>>();
        return if key.is_empty() { Vec::new() } else { vec![same_names] };
    };
    let alternatives: Option<Vec<Vec<String>>> = match &node.value {
        Value::List(items) if items.iter().any(|item| matches!(item.value, Value::List(_))) => {
            items.iter().map(list_of_texts).collect()
        }
        _ if key.len() > 1 => list_of_texts(node).map(|columns| vec![columns]),
        _ => list_of_texts(node).map(|columns| columns.into_iter().map(|column| vec![column]).collect()),
    };
    let fits = |alternatives: &Vec<Vec<String>>| {
        !key.is_empty() && alternatives.iter().all(|columns| columns.len() == key.len())
    };
    match alternatives.filter(fits) {
        Some(alternatives) => alternatives
            .into_iter()
            .map(|columns| columns.iter().map(|column| key_place(column)).collect())
            .collect(),
        None => {
            let message = format!(
                "{}: found {}, expected one column for each of the {} column(s) of `key`, \
                 or a list of such alternatives",
                section.name("matches"),
                node.found(),
                key.len()
            );
            section.fault(Fault::new(node.line, message));
            Vec::new()
        }
    }
}

fn key_place(text: &str) -> KeyPlace {
    let (relation, column) = text.split_once('.').unwrap_or(("batch", text));
    KeyPlace { relation: relation.to_owned(), column: column.to_owned() }
}

/// The entries of a mapping from names to anything, with the lines of the names.
pub(super) fn named<'a>(
    node: &'a Node,
    key: &str,
    faults: &mut Vec<Fault>,
) -> Vec<(&'a str, usize, &'a Node)> {
    let Value::Map(pairs) = &node.value else {
        let message = format!("{key}: found {}, expected a mapping from names", node.found());
        faults.push(Fault::new(node.line, message));
        return Vec::new();
    };
    let mut entries = Vec::new();
    for (name, node) in pairs {
        match name.text() {
            Some(text) => entries.push((text, name.line, node)),
            None => {
                faults.push(Fault::new(name.line, format!("{key}: found {}, expected a name", name.found())))
            }
        }
    }
    entries
}
