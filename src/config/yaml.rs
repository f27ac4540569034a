//! YAML as a tree in which every node knows its line, and environment references are resolved. Scalars stay
//! text: what a text means is decided by its key, so `${ROWS}` may be a number.

use std::ops::Range;

use saphyr::{MarkedYaml, ScalarStyle, YamlData, YamlLoader};

use super::Fault;

/// How deep a configuration may nest; the deepest key that means something is at level 4.
const DEPTH_MAX: usize = 32;

/// A node of the tree.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// From 1.
    pub line: usize,
    pub value: Value,
    /// Of a scalar: the parts of its text that `${NAME}` stood for.
    pub inserted: Vec<Range<usize>>,
}

#[derive(Clone, Debug)]
pub(super) enum Value {
    /// A plain empty scalar, `~` or `null`.
    Null,
    Scalar(String),
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
}

impl Node {
    pub fn new(line: usize, value: Value) -> Self {
        Self { line, value, inserted: Vec::new() }
    }

    /// The text of a scalar.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(text) => Some(text),
            _ => None,
        }
    }

    /// What is here, for messages.
    pub fn found(&self) -> String {
        match &self.value {
            Value::Null => "nothing".into(),
            Value::Scalar(text) => format!("`{text}`"),
            Value::List(_) => "a list".into(),
            Value::Map(_) => "a mapping".into(),
        }
    }
}

/// Reads one document. `variable` gives the value of an environment variable.
///
/// Adds a fault for every missing variable and every value that cannot be read; the tree has an empty text there, so
/// that the rest of the file can still be checked.
///
/// # Errors
/// The one fault of text that is not YAML.
pub(super) fn parse(
    text: &str,
    variable: &dyn Fn(&str) -> Option<String>,
    faults: &mut Vec<Fault>,
) -> Result<Node, Fault> {
    let documents = load(text)?;
    let empty = Node::new(1, Value::Map(Vec::new()));
    let root = match documents.as_slice() {
        [] => return Ok(empty),
        [document] => node(document, variable, 0, faults),
        [_, second, ..] => {
            let line = second.span.start.line();
            return Err(Fault::new(line, "a second document (`---`): expected one document"));
        }
    };
    Ok(if matches!(root.value, Value::Null) { empty } else { root })
}

fn load(text: &str) -> Result<Vec<MarkedYaml<'_>>, Fault> {
    let broken = |error: &saphyr::ScanError| {
        Fault::new(error.marker().line(), format!("this is not YAML: {}", error.info()))
            .hint("check the indentation and the quotes around here")
    };
    let mut loader = YamlLoader::<MarkedYaml<'_>>::default();
    loader.early_parse(false);
    let mut parser = saphyr_parser::Parser::new_from_str(text);
    parser.load(&mut loader, true).map_err(|error| broken(&error))?;
    if let Some(error) = loader.error() {
        return Err(broken(error));
    }
    Ok(loader.into_documents())
}

fn node(
    yaml: &MarkedYaml<'_>,
    variable: &dyn Fn(&str) -> Option<String>,
    depth: usize,
    faults: &mut Vec<Fault>,
) -> Node {
    let line = yaml.span.start.line().max(1);
    if depth > DEPTH_MAX {
        faults.push(Fault::new(line, format!("nested deeper than {DEPTH_MAX} levels")));
        return Node::new(line, Value::Null);
    }
    let value = match &yaml.data {
        YamlData::Representation(text, style, _) => return scalar(text, *style, line, variable, faults),
        YamlData::Sequence(items) => {
            Value::List(items.iter().map(|item| node(item, variable, depth + 1, faults)).collect())
        }
        YamlData::Mapping(entries) => Value::Map(
            entries
                .iter()
                .map(|(key, value)| {
                    let key = node(key, variable, depth + 1, faults);
                    let value = node(value, variable, depth + 1, faults);
                    (key, value)
                })
                .collect(),
        ),
        YamlData::Tagged(_, inner) => return node(inner, variable, depth + 1, faults),
        YamlData::Value(_) | YamlData::Alias(_) | YamlData::BadValue => {
            faults.push(Fault::new(line, "a value that cannot be read: expected plain YAML"));
            Value::Null
        }
    };
    Node::new(line, value)
}

fn scalar(
    text: &str,
    style: ScalarStyle,
    line: usize,
    variable: &dyn Fn(&str) -> Option<String>,
    faults: &mut Vec<Fault>,
) -> Node {
    let is_null = matches!(text, "" | "~" | "null" | "Null" | "NULL");
    if style == ScalarStyle::Plain && is_null {
        return Node::new(line, Value::Null);
    }
    match expand(text, variable) {
        Ok((text, inserted)) => Node { line, value: Value::Scalar(text), inserted },
        Err(problem) => {
            faults.push(Fault { line, ..problem });
            Node::new(line, Value::Null)
        }
    }
}

/// Replaces `${NAME}` and `${NAME:-default}`; `$${` is an escaped `${`. Also returns where the values are in the result.
///
/// # Errors
/// A reference that has no value. The text around it may be a password, so nothing of it is repeated.
fn expand(
    text: &str,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<(String, Vec<Range<usize>>), Fault> {
    let mut expanded = String::with_capacity(text.len());
    let mut inserted = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        if rest[..at].ends_with('$') {
            expanded.push_str(&rest[..at]);
            expanded.push('{');
            rest = &rest[at + 2..];
            continue;
        }
        expanded.push_str(&rest[..at]);
        let Some(length) = rest[at..].find('}') else {
            let fault = Fault::new(0, "`${` without its `}`").without_line();
            return Err(fault.hint("for `${` itself, write `$${`"));
        };
        let reference = &rest[at + 2..at + length];
        let (name, default) = match reference.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (reference, None),
        };
        let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !is_name {
            let fault = Fault::new(0, "`${...}` does not hold the name of a variable").without_line();
            return Err(fault.hint("write ${NAME} or ${NAME:-default}; for `${` itself, `$${`"));
        }
        let start = expanded.len();
        match (variable(name).filter(|value| !value.is_empty()), default) {
            (Some(value), _) => expanded.push_str(&value),
            (None, Some(default)) => expanded.push_str(default),
            (None, None) => {
                return Err(Fault::new(0, format!("the environment variable {name} is not set"))
                    .hint(format!("set it, or write ${{{name}:-default}}")));
            }
        }
        inserted.push(start..expanded.len());
        rest = &rest[at + length + 1..];
    }
    expanded.push_str(rest);
    Ok((expanded, inserted))
}
