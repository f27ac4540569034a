//! From the tree of a test file to its tests: every key is known, every value of the right form, and all faults are found
//! in one reading.

use chrono::{DateTime, Utc};

use super::suite::{Cell, DeclaredColumn, Expectation, GivenTable, Of, Row, Test, TestEnd, Written};
use super::time::NOW_SECONDS;
use crate::moment::moment;
use crate::yaml::{Fault, Node, Section, Spot, Value};

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
            _ => match Section::one_of_many("the file", root) {
                Ok(mut fields) => {
                    let shared = shared(&mut fields, faults);
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
        let tests = tests.map_or(Ok(&[][..]), |tests| tests.items("tests"));
        let tests = tests.unwrap_or_else(|fault| {
            faults.push(fault);
            &[]
        });
        tests.iter().filter_map(|test| self.test(test, &shared, faults)).collect()
    }

    /// `None` only together with a fault.
    fn test(&self, node: &Node, shared: &Shared, faults: &mut Vec<Fault>) -> Option<Test> {
        let mut fields = Section::one_of_many("a test", node).map_err(|fault| faults.push(fault)).ok()?;
        let name = fields.node("name").and_then(Node::text).map(one_line).filter(|name| !name.is_empty());
        if name.is_none() {
            faults.push(Fault::new(node.spot, "a test without a `name`, which is a text of one line"));
        }
        let now_of_test = now(&mut fields);
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
            let is_in_braces = self.is_flow(node.spot.start);
            expectations.extend(self.expectation(Of::DeadLetters, key, list, is_in_braces, faults));
        }
        let cuts_ignored = fields.node("batch_cuts").and_then(|node| ignored(node, faults));
        fields.finish(faults);
        let now = now_of_test.or(shared.now).or_else(|| DateTime::from_timestamp(NOW_SECONDS, 0));
        let column = (!self.text[node.spot.start..].starts_with('{')).then_some(node.spot.column);
        Some(Test {
            name: name?,
            spot: node.spot,
            now: now.unwrap_or_default(),
            messages,
            message_defaults: defaults,
            tables: given,
            state,
            expectations,
            cuts_ignored,
            end: TestEnd { at: node.spot.end, column },
        })
    }

    fn is_flow(&self, start: usize) -> bool {
        self.text[start..].starts_with(['{', '['])
    }

    fn expectations(&self, of: Of, node: &Node, faults: &mut Vec<Fault>) -> Vec<Expectation> {
        let what = if of == Of::View { "expect" } else { "expect_state" };
        let is_in_braces = self.is_flow(node.spot.start);
        let named = node.named(what, faults);
        named
            .into_iter()
            .filter_map(|(_, key, node)| self.expectation(of, key, node, is_in_braces, faults))
            .collect()
    }

    /// The rows alone, or `{ rows: ..., ordered: ..., tolerance: ... }`. `key` is a text.
    fn expectation(
        &self,
        of: Of,
        key: &Node,
        node: &Node,
        is_in_braces: bool,
        faults: &mut Vec<Fault>,
    ) -> Option<Expectation> {
        let name = key.text()?;
        let mut expectation = Expectation {
            of,
            name: name.to_owned(),
            spot: key.spot,
            rows: Vec::new(),
            is_ordered: false,
            tolerance: None,
            written: self.written(key, node, is_in_braces),
        };
        let list = match &node.value {
            Value::Map(_) => {
                let mut fields =
                    Section::one_of_many("an expectation", node).map_err(|fault| faults.push(fault)).ok()?;
                expectation.is_ordered = fields.boolean("ordered", false);
                expectation.tolerance =
                    fields.value("tolerance", "a number of 0 or more, such as 1e-9", |text| {
                        text.parse().ok().filter(|tolerance: &f64| *tolerance >= 0.0 && tolerance.is_finite())
                    });
                let rows = fields.entry("rows");
                fields.finish(faults);
                let Some((key, rows)) = rows else {
                    faults.push(Fault::new(key.spot, format!("`{name}` without `rows`")));
                    return None;
                };
                expectation.written = self.written(key, rows, is_in_braces || self.is_flow(node.spot.start));
                rows
            }
            _ => node,
        };
        expectation.rows = rows(name, list, faults);
        Some(expectation)
    }

    fn written(&self, key: &Node, list: &Node, is_in_braces: bool) -> Written {
        let behind = key.spot.end;
        let colon = self.text[behind..].find(':').map_or(behind, |colon| behind + colon + 1);
        let is_list = matches!(list.value, Value::List(_));
        Written {
            after_key: colon,
            list: if list.is_null() && list.spot.range().is_empty() {
                colon..colon
            } else {
                list.spot.range()
            },
            column: key.spot.column,
            is_block: is_list && !self.is_flow(list.spot.start),
            is_in_braces,
        }
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn shared(fields: &mut Section<'_>, faults: &mut Vec<Fault>) -> Shared {
    Shared {
        now: now(fields),
        message_defaults: message_defaults(fields, faults),
        tables: fields.node("tables").map_or_else(Vec::new, |node| tables(node, faults)),
    }
}

fn now(fields: &mut Section<'_>) -> Option<DateTime<Utc>> {
    fields.value("now", "a moment, such as 2024-01-01T00:00:00Z", moment)
}

fn message_defaults(fields: &mut Section<'_>, faults: &mut Vec<Fault>) -> Vec<Cell> {
    fields.node("message_defaults").map_or_else(Vec::new, |node| cells("message_defaults", node, faults))
}

fn tables(node: &Node, faults: &mut Vec<Fault>) -> Vec<GivenTable> {
    let named = node.named("rows by table", faults);
    named.into_iter().filter_map(|(name, key, node)| table(name, key.spot, node, faults)).collect()
}

/// The rows alone, or `{ columns: ..., rows: ... }`.
fn table(name: &str, spot: Spot, node: &Node, faults: &mut Vec<Fault>) -> Option<GivenTable> {
    let name = name.to_owned();
    if !matches!(node.value, Value::Map(_)) {
        return Some(GivenTable { rows: rows(&name, node, faults), name, spot, columns: None });
    }
    let mut fields = Section::one_of_many("a table", node).map_err(|fault| faults.push(fault)).ok()?;
    let columns = fields.node("columns").map(|node| declared(node, faults));
    let rows = fields.node("rows").map_or_else(Vec::new, |node| rows(&name, node, faults));
    fields.finish(faults);
    Some(GivenTable { name, spot, rows, columns })
}

fn declared(node: &Node, faults: &mut Vec<Fault>) -> Vec<DeclaredColumn> {
    let mut columns = Vec::new();
    for Cell { column, value, .. } in cells("columns", node, faults) {
        match value.text() {
            Some(kind) => {
                columns.push(DeclaredColumn { name: column, spot: value.spot, kind: kind.to_owned() });
            }
            None => {
                let message =
                    format!("columns: found {}, expected a type of SQL, such as BIGINT", value.found());
                faults.push(Fault::new(value.spot, message));
            }
        }
    }
    columns
}

fn rows(what: &str, node: &Node, faults: &mut Vec<Fault>) -> Vec<Row> {
    let items = node.items(what).unwrap_or_else(|fault| {
        faults.push(fault);
        &[]
    });
    let mut rows = Vec::with_capacity(items.len());
    for item in items {
        let before = faults.len();
        let row = Row { spot: item.spot, cells: cells(what, item, faults) };
        // A row that cannot be read is not one without cells.
        rows.extend((faults.len() == before).then_some(row));
    }
    rows
}

fn cells(what: &str, node: &Node, faults: &mut Vec<Fault>) -> Vec<Cell> {
    let cell = |(column, key, value): (&str, &Node, &Node)| Cell {
        column: column.to_owned(),
        spot: key.spot,
        value: value.clone(),
    };
    node.named(what, faults).into_iter().map(cell).collect()
}

/// The reason of `{ ignore: REASON }`.
fn ignored(node: &Node, faults: &mut Vec<Fault>) -> Option<String> {
    const FORM: &str = "batch_cuts: { ignore: why this may depend on where batches are cut }";
    let mut fields = match Section::one_of_many("batch_cuts", node) {
        Ok(fields) => fields,
        Err(fault) => {
            faults.push(fault.hint(format!("write `{FORM}`")));
            return None;
        }
    };
    let reason = fields.value("ignore", "the reason, as a text", |text| {
        let reason = text.trim();
        (!reason.is_empty() && reason.parse::<bool>().is_err()).then(|| reason.to_owned())
    });
    if reason.is_none() {
        faults.push(Fault::new(node.spot, "batch_cuts without a reason").hint(format!("write `{FORM}`")));
    }
    fields.finish(faults);
    reason
}
