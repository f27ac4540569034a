//! The outputs: the views whose rows are written, the tables they are written to, and how.

use std::collections::{BTreeMap, BTreeSet};

use arrow::datatypes::Schema;

use super::Fault;
use super::read::{Section, list_of_texts};
use super::relations::named;
use super::yaml::{Node, Value};

/// A view whose rows are written to a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputConfig {
    /// The view.
    pub view: String,
    /// The line of the configuration file, from 1, for messages; 0 for an output by default.
    pub line: usize,
    pub table: String,
    pub mode: Mode,
    pub created: Created,
    /// As [`super::StateTableConfig::fill`].
    pub fill: bool,
}

/// What is known of the table of an output, for when it is created.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Created {
    /// The types of columns, in place of those that are chosen by the view.
    pub columns: BTreeMap<String, String>,
    /// The columns of each index, besides the primary key.
    pub indexes: Vec<Vec<String>>,
    /// Columns that take no NULL, besides those of the key. They are read off the view.
    pub required: BTreeSet<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    Append,
    Upsert(Upsert),
}

/// How rows with a key are written: the table has one row for each key, the last one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Upsert {
    /// Never empty.
    pub key: Vec<String>,
    /// The columns of the view that say which of several rows of a batch with one key is the last, the most significant
    /// first. Empty: see [`Upsert::ordered`].
    pub order_by: Vec<String>,
    /// A row that has less in this column than the row in the table does not change the table.
    pub only_newer: Option<String>,
    /// `mode: replace`, where it is not empty: the first columns of the key. The rows of the last message of a parent are
    /// all rows of it.
    pub parent: Vec<String>,
}

/// Columns that say where the message of a row stood.
pub const POSITION: [&str; 3] = ["kafka_topic", "kafka_partition", "kafka_offset"];

impl Mode {
    /// Empty for rows that are appended.
    pub fn key(&self) -> &[String] {
        match self {
            Self::Append => &[],
            Self::Upsert(Upsert { key, .. }) => key,
        }
    }
}

impl Upsert {
    /// By these columns, of rows that are one for each key.
    pub fn by<T: Into<String>>(key: impl IntoIterator<Item = T>) -> Self {
        Self { key: key.into_iter().map(T::into).collect(), ..Self::default() }
    }

    /// The same, in the order of the messages by default, if the rows of the view have their positions.
    #[must_use]
    pub fn ordered(self, columns: &Schema) -> Self {
        let has = |name: &str| columns.field_with_name(name).is_ok();
        if !self.order_by.is_empty() || !POSITION[1..].iter().all(|name| has(name)) {
            return self;
        }
        Self { order_by: POSITION.into_iter().filter(|name| has(name)).map(str::to_owned).collect(), ..self }
    }

    /// Whether it says which of several rows with one key is the last.
    pub fn has_order(&self) -> bool {
        !self.order_by.is_empty() || self.only_newer.is_some()
    }
}

pub(super) fn read_outputs(node: &Node, faults: &mut Vec<Fault>) -> Vec<OutputConfig> {
    #[derive(Clone, Copy, PartialEq)]
    enum Word {
        Append,
        Upsert,
        Replace,
    }
    let mut outputs: Vec<OutputConfig> = Vec::new();
    for (view, line, node) in named(node, "outputs", faults) {
        let path = format!("outputs.{view}");
        // An output without settings is appended to the table of its name.
        let empty = Node::new(node.line, Value::Map(Vec::new()));
        let node = if matches!(node.value, Value::Null) { &empty } else { node };
        let mut section = match Section::new(&path, node) {
            Ok(section) => section,
            Err(fault) => {
                faults.push(fault);
                continue;
            }
        };
        let table = section.text("table").unwrap_or_else(|| view.to_owned());
        let words = [("append", Word::Append), ("upsert", Word::Upsert), ("replace", Word::Replace)];
        let word = section.choice("mode", &words, Word::Append);
        let mode = match word {
            Word::Append => {
                append_only(&mut section, line);
                Mode::Append
            }
            Word::Upsert => {
                let parent_line = section.line_of("parent");
                if section.node("parent").is_some() {
                    let fault =
                        Fault::new(parent_line, format!("{path}.parent: goes with `mode: replace` only"));
                    section.fault(fault);
                }
                Mode::Upsert(read_upsert(&mut section, "upsert", &path, line))
            }
            Word::Replace => Mode::Upsert(read_replace(&mut section, &path, line)),
        };
        if let Some(other) = outputs.iter().find(|output| output.table == table) {
            let message = format!("{path}.table: `{table}` is the table of outputs.{} already", other.view);
            section.fault(Fault::new(line, message));
        }
        let created = read_created(&mut section);
        let fill = section.boolean("fill", false);
        outputs.push(OutputConfig { view: view.to_owned(), line, table, mode, created, fill });
        section.finish(faults);
    }
    outputs
}

/// Says of each key that only rows with a key have that this output has none.
fn append_only(section: &mut Section<'_>, line: usize) {
    for key in ["key", "order_by", "only_newer", "parent"] {
        if section.node(key).is_some() {
            let message = format!("{}: rows that are appended have no key", section.name(key));
            let hint = format!("write `mode: upsert`, or remove `{key}`");
            section.fault(Fault::new(line, message).hint(hint));
        }
    }
}

fn read_created(section: &mut Section<'_>) -> Created {
    let mut created = Created::default();
    if let Some(node) = section.node("columns") {
        let pairs = match &node.value {
            Value::Map(pairs) => pairs.as_slice(),
            _ => &[],
        };
        let read = |(name, kind): &(Node, Node)| Some((name.text()?.to_owned(), kind.text()?.to_owned()));
        match pairs.iter().map(read).collect::<Option<_>>() {
            Some(columns) if !pairs.is_empty() => created.columns = columns,
            _ => {
                let name = section.name("columns");
                let message =
                    format!("{name}: found {}, expected `column: TYPE` for each column", node.found());
                section.fault(
                    Fault::new(node.line, message).hint("for example `columns: { agency: VARCHAR(40) }`"),
                );
            }
        }
    }
    if let Some(node) = section.node("indexes") {
        let indexes = match &node.value {
            Value::List(items) => items.iter().map(list_of_texts).collect::<Option<Vec<_>>>(),
            _ => None,
        };
        match indexes {
            Some(indexes) => created.indexes = indexes,
            None => {
                let name = section.name("indexes");
                let message = format!("{name}: found {}, expected a list of lists of columns", node.found());
                section.fault(
                    Fault::new(node.line, message)
                        .hint("for example `indexes: [[customer], [agency, date]]`"),
                );
            }
        }
    }
    created
}

/// An output whose rows are replaced parent by parent.
fn read_replace(section: &mut Section<'_>, path: &str, line: usize) -> Upsert {
    let upsert = read_upsert(section, "replace", path, line);
    let parent = section.texts("parent").unwrap_or_default();
    let is_first = upsert.key.len() > parent.len() && upsert.key.starts_with(&parent);
    if !upsert.key.is_empty() && (parent.is_empty() || !is_first) {
        let message = format!(
            "{path}: `mode: replace` needs a `parent`: the first columns of `key`, and not all of them"
        );
        let hint = "for example `key: [order_id, line_no]` and `parent: order_id`";
        section.fault(Fault::new(line, message).hint(hint));
    }
    if upsert.only_newer.is_some() {
        let message = format!("{path}.only_newer: the rows of a parent have no common version");
        let hint = "write `order_by`, and the last message of a parent has its rows";
        section.fault(Fault::new(line, message).hint(hint));
    }
    Upsert { parent, only_newer: None, ..upsert }
}

fn read_upsert(section: &mut Section<'_>, mode: &str, path: &str, line: usize) -> Upsert {
    let key = section.texts("key");
    if key.is_none() {
        let fault = Fault::new(line, format!("{path}: `mode: {mode}` needs a `key`"));
        section.fault(fault.hint("for example `key: [customer]`"));
    }
    let key = key.unwrap_or_default();
    let order_by = section.texts("order_by").unwrap_or_default();
    let only_newer = section.text("only_newer");
    if let Some(column) = only_newer.as_ref().filter(|column| key.contains(column)) {
        let message = format!("{}: `{column}` is a column of the key", section.name("only_newer"));
        let hint = "name a column that grows with each change of a row, such as `updated_at`";
        section.fault(Fault::new(line, message).hint(hint));
    }
    Upsert { key, order_by, only_newer, ..Upsert::default() }
}
