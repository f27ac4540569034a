//! From the tree of a test file to its tests: every key is known, every value of the right form, and all faults are found
//! in one reading.

use chrono::{DateTime, Utc};

use super::fault::Fault;
use super::fields::{Fields, entries, items};
use super::suite::{Cell, DeclaredColumn, Expectation, GivenTable, Of, Row, Test, TestEnd, Written};
use super::time::NOW_SECONDS;
use super::yaml::{Node, Value};
use crate::moment::moment;

/// Reads the tree of one file.
pub(super) struct Reader<'t> {
    pub text: &'t str,
}

/// What a file says for all of its tests.
#[derive(Default)]
struct Shared {
    now: Option<DateTime<Utc>>,
    message_defaults: Vec<Cell>,
    tables: Vec<GivenTable>,
}

impl Reader<'_> {
    /// The tests of a file.
    pub fn file(&self, root: &Node, faults: &mut Vec<Fault>) -> Vec<Test> {
        let (shared, tests) = match &root.value {
            Value::List(_) => (Shared::default(), Some(root)),
            _ => match Fields::of("the file", root) {
                Ok(mut fields) => {
                    let shared = self.shared(&mut fields, faults);
                    let tests = fields.node("tests");
                    fields.finish(faults);
                    (shared, tests)
                }
                Err(fault) => {
                    faults.push(fault);
                    return Vec::new();
                }
            },
        };
        let tests = tests.map_or(Ok(&[][..]), |tests| items("tests", tests));
        let tests = tests.unwrap_or_else(|fault| {
            faults.push(fault);
            &[]
        });
        tests.iter().filter_map(|test| self.test(test, &shared, faults)).collect()
    }

    fn shared(&self, fields: &mut Fields<'_>, faults: &mut Vec<Fault>) -> Shared {
        Shared {
            now: now(fields, faults),
            message_defaults: message_defaults(fields, faults),
            tables: fields.node("tables").map_or_else(Vec::new, |node| tables(node, faults)),
        }
    }

    /// `None` only together with a fault.
    fn test(&self, node: &Node, shared: &Shared, faults: &mut Vec<Fault>) -> Option<Test> {
        let mut fields = Fields::of("a test", node).map_err(|fault| faults.push(fault)).ok()?;
        let name = fields.node("name").and_then(Node::text).map(one_line).filter(|name| !name.is_empty());
        if name.is_none() {
            faults.push(Fault::new(node.line, "a test without a `name`, which is a text of one line"));
        }
        let now_of_test = now(&mut fields, faults);
        let mut defaults = message_defaults(&mut fields, faults);
        let inherited = shared.message_defaults.iter();
        let inherited: Vec<Cell> =
            inherited.filter(|cell| defaults.iter().all(|own| own.column != cell.column)).cloned().collect();
        defaults.extend(inherited);
        let messages = fields.node("messages").map_or_else(Vec::new, |node| rows("messages", node, faults));
        let mut given = fields.node("tables").map_or_else(Vec::new, |node| tables(node, faults));
        let inherited = shared.tables.iter();
        let inherited: Vec<GivenTable> =
            inherited.filter(|table| given.iter().all(|own| own.name != table.name)).cloned().collect();
        given.extend(inherited);
        let state = fields.node("state").map_or_else(Vec::new, |node| tables(node, faults));
        let mut expectations = Vec::new();
        for (key, of) in [("expect", Of::View), ("expect_state", Of::State)] {
            if let Some(node) = fields.node(key) {
                expectations.extend(self.expectations(of, node, faults));
            }
        }
        if let Some((key, list)) = fields.entry("expect_dead_letters") {
            let is_in_braces = self.is_flow(node.span.start);
            expectations.extend(self.expectation(Of::DeadLetters, key, list, is_in_braces, faults));
        }
        let cuts_ignored = fields.node("batch_cuts").and_then(|node| ignored(node, faults));
        fields.finish(faults);
        let now = now_of_test.or(shared.now).or_else(|| DateTime::from_timestamp(NOW_SECONDS, 0));
        let column = (!self.text[node.span.start..].starts_with('{')).then_some(node.column);
        Some(Test {
            name: name?,
            line: node.line,
            now: now.unwrap_or_default(),
            messages,
            message_defaults: defaults,
            tables: given,
            state,
            expectations,
            cuts_ignored,
            end: TestEnd { at: node.span.end, column },
        })
    }

    fn is_flow(&self, start: usize) -> bool {
        self.text[start..].starts_with(['{', '['])
    }

    fn expectations(&self, of: Of, node: &Node, faults: &mut Vec<Fault>) -> Vec<Expectation> {
        let what = if of == Of::View { "expect" } else { "expect_state" };
        let entries = entries(what, node).unwrap_or_else(|fault| {
            faults.push(fault);
            Vec::new()
        });
        let is_in_braces = self.is_flow(node.span.start);
        entries
            .into_iter()
            .filter_map(|(key, node)| self.expectation(of, key, node, is_in_braces, faults))
            .collect()
    }

    /// The rows alone, or `{ rows: ..., ordered: ..., tolerance: ... }`.
    fn expectation(
        &self,
        of: Of,
        key: &Node,
        node: &Node,
        is_in_braces: bool,
        faults: &mut Vec<Fault>,
    ) -> Option<Expectation> {
        let Some(name) = key.text() else {
            faults.push(Fault::new(key.line, format!("found {}, expected a name", key.found())));
            return None;
        };
        let mut expectation = Expectation {
            of,
            name: name.to_owned(),
            line: key.line,
            rows: Vec::new(),
            is_ordered: false,
            tolerance: None,
            written: self.written(key, node, is_in_braces),
        };
        let list = match &node.value {
            Value::Map(_) => {
                let mut fields =
                    Fields::of("an expectation", node).map_err(|fault| faults.push(fault)).ok()?;
                expectation.is_ordered = fields
                    .value("ordered", "true or false", faults, |text| text.parse::<bool>().ok())
                    .unwrap_or(false);
                expectation.tolerance =
                    fields.value("tolerance", "a number of 0 or more, such as 1e-9", faults, |text| {
                        text.parse().ok().filter(|tolerance: &f64| *tolerance >= 0.0 && tolerance.is_finite())
                    });
                let rows = fields.entry("rows");
                let line = fields.line;
                fields.finish(faults);
                let Some((key, rows)) = rows else {
                    faults.push(Fault::new(line, format!("`{name}` without `rows`")));
                    return None;
                };
                expectation.written = self.written(key, rows, is_in_braces || self.is_flow(node.span.start));
                rows
            }
            _ => node,
        };
        expectation.rows = rows(name, list, faults);
        Some(expectation)
    }

    fn written(&self, key: &Node, list: &Node, is_in_braces: bool) -> Written {
        let behind = key.span.end;
        let colon = self.text[behind..].find(':').map_or(behind, |colon| behind + colon + 1);
        let is_list = matches!(list.value, Value::List(_));
        Written {
            after_key: colon,
            list: if list.is_null() && list.span.is_empty() { colon..colon } else { list.span.clone() },
            column: key.column,
            is_block: is_list && !self.is_flow(list.span.start),
            is_in_braces,
        }
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn now(fields: &mut Fields<'_>, faults: &mut Vec<Fault>) -> Option<DateTime<Utc>> {
    fields.value("now", "a moment, such as 2024-01-01T00:00:00Z", faults, moment)
}

fn message_defaults(fields: &mut Fields<'_>, faults: &mut Vec<Fault>) -> Vec<Cell> {
    let Some(node) = fields.node("message_defaults") else { return Vec::new() };
    row("message_defaults", node).map_or_else(
        |fault| {
            faults.push(fault);
            Vec::new()
        },
        |row| row.cells,
    )
}

fn tables(node: &Node, faults: &mut Vec<Fault>) -> Vec<GivenTable> {
    let entries = entries("rows by table", node).unwrap_or_else(|fault| {
        faults.push(fault);
        Vec::new()
    });
    let mut tables = Vec::new();
    for (key, node) in entries {
        match key.text() {
            Some(name) => tables.extend(table(name, key.line, node, faults)),
            None => faults.push(Fault::new(key.line, format!("found {}, expected a name", key.found()))),
        }
    }
    tables
}

/// The rows alone, or `{ columns: ..., rows: ... }`.
fn table(name: &str, line: usize, node: &Node, faults: &mut Vec<Fault>) -> Option<GivenTable> {
    let name = name.to_owned();
    if !matches!(node.value, Value::Map(_)) {
        return Some(GivenTable { rows: rows(&name, node, faults), name, line, columns: None });
    }
    let mut fields = Fields::of("a table", node).map_err(|fault| faults.push(fault)).ok()?;
    let columns = fields.node("columns").map(|node| declared(node, faults));
    let rows = fields.node("rows").map_or_else(Vec::new, |node| rows(&name, node, faults));
    fields.finish(faults);
    Some(GivenTable { name, line, rows, columns })
}

fn declared(node: &Node, faults: &mut Vec<Fault>) -> Vec<DeclaredColumn> {
    let cells = row("columns", node).map_or_else(
        |fault| {
            faults.push(fault);
            Vec::new()
        },
        |row| row.cells,
    );
    let mut columns = Vec::new();
    for Cell { column, line, value } in cells {
        match value.text() {
            Some(kind) => columns.push(DeclaredColumn { name: column, line, kind: kind.to_owned() }),
            None => {
                let message =
                    format!("columns: found {}, expected a type of SQL, such as BIGINT", value.found());
                faults.push(Fault::new(line, message));
            }
        }
    }
    columns
}

fn rows(what: &str, node: &Node, faults: &mut Vec<Fault>) -> Vec<Row> {
    let items = items(what, node).unwrap_or_else(|fault| {
        faults.push(fault);
        &[]
    });
    let rows = items.iter().map(|item| row(what, item));
    rows.filter_map(|row| row.map_err(|fault| faults.push(fault)).ok()).collect()
}

fn row(what: &str, node: &Node) -> Result<Row, Fault> {
    let entries = entries(what, node)?;
    let cells = entries.into_iter().map(|(key, value)| match key.text() {
        Some(column) => Ok(Cell { column: column.to_owned(), line: key.line, value: value.clone() }),
        None => Err(Fault::new(key.line, format!("{what}: found {}, expected a name", key.found()))),
    });
    Ok(Row { line: node.line, span: node.span.clone(), cells: cells.collect::<Result<_, _>>()? })
}

/// The reason of `{ ignore: REASON }`.
fn ignored(node: &Node, faults: &mut Vec<Fault>) -> Option<String> {
    const FORM: &str = "batch_cuts: { ignore: why this may depend on where batches are cut }";
    let mut fields = match Fields::of("batch_cuts", node) {
        Ok(fields) => fields,
        Err(fault) => {
            faults.push(fault.hint(format!("write `{FORM}`")));
            return None;
        }
    };
    let reason = fields.value("ignore", "the reason, as a text", faults, |text| {
        let reason = text.trim();
        (!reason.is_empty() && reason.parse::<bool>().is_err()).then(|| reason.to_owned())
    });
    if reason.is_none() {
        faults.push(Fault::new(node.line, "batch_cuts without a reason").hint(format!("write `{FORM}`")));
    }
    fields.finish(faults);
    reason
}
