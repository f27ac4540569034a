//! The tree of a YAML text. Every node knows its place, so that a fault points at it and a test's expectation can be
//! rewritten in place. Scalars stay text with their style: what a text means is decided by what it is compared with.

use std::ops::Range;

use saphyr::{MarkedYaml, ScalarStyle, YamlData, YamlLoader};
use saphyr_parser::Marker;

use super::fault::Fault;
use super::scalar::{boolean, is_number};
use super::spot::Spot;

/// How deep a file may nest.
const DEPTH_MAX: usize = 64;

/// A node of the tree.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub spot: Spot,
    pub value: Value,
}

#[derive(Clone, Debug)]
pub(crate) enum Value {
    /// A plain empty scalar, `~` or `null`.
    Null,
    Scalar {
        text: String,
        /// Without quotes, so it may be a number or a boolean.
        is_plain: bool,
        /// The parts of the text that `${NAME}` was replaced by.
        inserted: Vec<Range<usize>>,
    },
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
}

impl Node {
    /// A mapping without entries, which is written nowhere.
    pub fn empty_map() -> Self {
        Self { spot: Spot::default(), value: Value::Map(Vec::new()) }
    }

    /// The text of a scalar.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }

    pub fn is_null(&self) -> bool {
        matches!(self.value, Value::Null)
    }

    /// What is written here, for messages.
    pub fn found(&self) -> String {
        match &self.value {
            Value::Null => "nothing".into(),
            Value::Scalar { text, .. } => format!("`{}`", crate::database::shorten(text).trim_matches('"')),
            Value::List(_) => "a list".into(),
            Value::Map(_) => "a mapping".into(),
        }
    }

    /// A key of a mapping, and what is under it.
    pub fn entry(&self, name: &str) -> Option<(&Self, &Self)> {
        let Value::Map(entries) = &self.value else { return None };
        entries.iter().find(|(key, _)| key.text() == Some(name)).map(|(key, value)| (key, value))
    }

    /// The items of a list; nothing is an empty list.
    ///
    /// # Errors
    /// It is no list.
    pub fn items(&self, what: &str) -> Result<&[Self], Fault> {
        match &self.value {
            Value::List(items) => Ok(items),
            Value::Null => Ok(&[]),
            _ => Err(Fault::new(self.spot, format!("{what}: found {}, expected a list", self.found()))),
        }
    }

    /// The entries of a mapping from names that people choose: the name, its node, the value. What is not one is a fault.
    pub fn named(&self, what: &str, faults: &mut Vec<Fault>) -> Vec<(&str, &Self, &Self)> {
        let Value::Map(entries) = &self.value else {
            let message = format!("{what}: found {}, expected a mapping from names", self.found());
            faults.push(Fault::new(self.spot, message));
            return Vec::new();
        };
        let mut named = Vec::with_capacity(entries.len());
        for (key, value) in entries {
            match key.text() {
                Some(name) => named.push((name, key, value)),
                None => {
                    let message = format!("{what}: found {}, expected a name", key.found());
                    faults.push(Fault::new(key.spot, message));
                }
            }
        }
        named
    }

    /// Whether it is a mapping or a list with nothing in it.
    pub fn is_empty(&self) -> bool {
        match &self.value {
            Value::Map(pairs) => pairs.is_empty(),
            Value::List(items) => items.is_empty(),
            Value::Null | Value::Scalar { .. } => false,
        }
    }

    /// A scalar as one text, a list of scalars as several; `None` for anything else and for an empty list.
    pub fn texts(&self) -> Option<Vec<String>> {
        let text = |node: &Self| node.text().filter(|text| !text.is_empty()).map(str::to_owned);
        match &self.value {
            Value::Scalar { .. } => Some(vec![text(self)?]),
            Value::List(items) if !items.is_empty() => items.iter().map(text).collect(),
            _ => None,
        }
    }

    /// As JSON, as YAML's core schema has it: plain numbers, booleans and null are those, all else is text.
    pub fn to_json(&self) -> serde_json::Value {
        use serde_json::Value as Json;
        match &self.value {
            Value::Null => Json::Null,
            Value::Scalar { text, is_plain: true, .. } => plain_json(text),
            Value::Scalar { text, .. } => Json::String(text.clone()),
            Value::List(items) => Json::Array(items.iter().map(Self::to_json).collect()),
            Value::Map(entries) => {
                let entries = entries.iter();
                let name = |key: &Self| key.text().unwrap_or_default().to_owned();
                Json::Object(entries.map(|(key, value)| (name(key), value.to_json())).collect())
            }
        }
    }
}

fn plain_json(text: &str) -> serde_json::Value {
    use serde_json::Value as Json;
    if let Some(boolean) = boolean(text) {
        return Json::Bool(boolean);
    }
    match text {
        ".nan" | ".NaN" | ".NAN" => return Json::String("NaN".into()),
        ".inf" | "+.inf" => return Json::String("Infinity".into()),
        "-.inf" => return Json::String("-Infinity".into()),
        _ => {}
    }
    if !is_number(text) {
        return Json::String(text.to_owned());
    }
    let unsigned = text.strip_prefix('+').unwrap_or(text);
    if let Ok(integer) = unsigned.parse::<i64>() {
        return integer.into();
    }
    if let Ok(integer) = unsigned.parse::<u64>() {
        return integer.into();
    }
    let float = unsigned.parse::<f64>().ok().and_then(serde_json::Number::from_f64);
    float.map_or_else(|| Json::String(text.to_owned()), Json::Number)
}

/// Reads one document; `None` if there is none.
///
/// # Errors
/// Text that is not YAML, a second document, or a value that cannot be read.
pub(crate) fn parse(text: &str) -> Result<Option<Node>, Fault> {
    let places = Places::new(text);
    let documents = load(&places)?;
    match documents.as_slice() {
        [] => Ok(None),
        [document] => {
            let root = places.node(document, 0)?;
            Ok((!root.is_null()).then_some(root))
        }
        [_, second, ..] => {
            let message = "a second document (`---`): expected one document";
            Err(Fault::new(places.mark(&second.span.start), message))
        }
    }
}

/// A text as JSON; nothing if it is not YAML.
pub(crate) fn to_json(text: &str) -> serde_json::Value {
    parse(text).ok().flatten().map_or(serde_json::Value::Null, |node| node.to_json())
}

fn load<'t>(places: &Places<'t>) -> Result<Vec<MarkedYaml<'t>>, Fault> {
    let broken = |error: &saphyr::ScanError| {
        Fault::new(places.mark(error.marker()), format!("this is not YAML: {}", error.info()))
            .hint("check the indentation and the quotes around here")
    };
    let mut loader = YamlLoader::<MarkedYaml<'_>>::default();
    loader.early_parse(false);
    let mut parser = saphyr_parser::Parser::new_from_str(places.text);
    parser.load(&mut loader, true).map_err(|error| broken(&error))?;
    if let Some(error) = loader.error() {
        return Err(broken(error));
    }
    Ok(loader.into_documents())
}

/// From the parser's places, in characters, to bytes.
struct Places<'t> {
    text: &'t str,
    /// The byte of each character; empty if each is one byte.
    bytes: Vec<usize>,
}

impl<'t> Places<'t> {
    fn new(text: &'t str) -> Self {
        let bytes =
            if text.is_ascii() { Vec::new() } else { text.char_indices().map(|(byte, _)| byte).collect() };
        Self { text, bytes }
    }

    fn byte(&self, character: usize) -> usize {
        let byte = if self.bytes.is_empty() { Some(character) } else { self.bytes.get(character).copied() };
        byte.unwrap_or(self.text.len()).min(self.text.len())
    }

    /// One point of the text.
    fn mark(&self, marker: &Marker) -> Spot {
        let byte = self.byte(marker.index());
        Spot { line: marker.line().max(1), column: marker.col(), start: byte, end: byte }
    }

    fn node(&self, yaml: &MarkedYaml<'_>, depth: usize) -> Result<Node, Fault> {
        let start = self.mark(&yaml.span.start);
        if depth > DEPTH_MAX {
            return Err(Fault::new(start, format!("nested deeper than {DEPTH_MAX} levels")));
        }
        let value = match &yaml.data {
            YamlData::Representation(text, ScalarStyle::Plain, _)
                if matches!(&**text, "" | "~" | "null" | "Null" | "NULL") =>
            {
                Value::Null
            }
            YamlData::Representation(text, style, _) => Value::Scalar {
                text: text.to_string(),
                is_plain: *style == ScalarStyle::Plain,
                inserted: Vec::new(),
            },
            YamlData::Sequence(items) => {
                let items = items.iter().map(|item| self.node(item, depth + 1));
                Value::List(items.collect::<Result<_, _>>()?)
            }
            YamlData::Mapping(entries) => {
                let entry = |(key, value): (&MarkedYaml<'_>, &MarkedYaml<'_>)| {
                    Ok((self.node(key, depth + 1)?, self.node(value, depth + 1)?))
                };
                Value::Map(entries.iter().map(entry).collect::<Result<_, _>>()?)
            }
            YamlData::Tagged(_, inner) => return self.node(inner, depth + 1),
            YamlData::Value(_) | YamlData::Alias(_) | YamlData::BadValue => {
                return Err(Fault::new(start, "a value that cannot be read: expected plain YAML"));
            }
        };
        let end = self.end(start.start, self.byte(yaml.span.end.index()), &value);
        Ok(Node { spot: Spot { end, ..start }, value })
    }

    /// Where a node ends. What is written in blocks ends with its last part, and what is written in brackets with the
    /// closing one, whatever the parser says.
    fn end(&self, start: usize, end: usize, value: &Value) -> usize {
        let last = match value {
            Value::List(items) => items.last().map(|item| item.spot.end),
            Value::Map(entries) => entries.last().map(|(key, value)| value.spot.end.max(key.spot.end)),
            Value::Null | Value::Scalar { .. } => None,
        };
        let is_collection = matches!(value, Value::List(_) | Value::Map(_));
        if is_collection && self.text[start..].starts_with(['[', '{']) {
            return self.closing(last.unwrap_or(start + 1));
        }
        let end = last.unwrap_or(end).max(start);
        start + self.text[start..end].trim_end().len()
    }

    /// Behind the bracket that comes next; blanks, a comma and comments may stand before it.
    fn closing(&self, from: usize) -> usize {
        let mut is_comment = false;
        for (place, character) in self.text[from..].char_indices() {
            match character {
                '\n' => is_comment = false,
                _ if is_comment => {}
                '#' => is_comment = true,
                ']' | '}' => return from + place + 1,
                _ => {}
            }
        }
        self.text.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spans(node: &Node, text: &str, found: &mut Vec<String>) {
        found.push(text[node.spot.range()].to_owned());
        match &node.value {
            Value::List(items) => items.iter().for_each(|item| spans(item, text, found)),
            Value::Map(entries) => entries.iter().for_each(|(key, value)| {
                spans(key, text, found);
                spans(value, text, found);
            }),
            _ => {}
        }
    }

    #[test]
    fn every_node_knows_its_text() {
        let text = "# é\na: [1, {b: 'x y'}, [ ], # ]\n  ]  # c\nd:\n  - e: ü\n    f: |\n      one\n      two\n  # last\n\ng:\nh: ~\n";
        let root = parse(text).unwrap().unwrap();
        let mut found = Vec::new();
        spans(&root, text, &mut found);
        insta::assert_snapshot!(found.join("\n--\n"));
    }

    #[test]
    fn plain_scalars_become_what_they_are_in_json() {
        let text = "[1, -2, 1.5, 1e3, true, null, '1', 0001, 2024-01-01, 18446744073709551615, 99999999999999999999, x, '-']";
        let json = parse(text).unwrap().unwrap().to_json().to_string();
        assert_eq!(
            json,
            r#"[1,-2,1.5,1000.0,true,null,"1",1,"2024-01-01",18446744073709551615,1e+20,"x","-"]"#
        );
    }
}
