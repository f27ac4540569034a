//! YAML as a tree in which every node knows its place, so that a fault names its line and an expectation can be
//! rewritten in place. Scalars stay text with their style: what a text means is decided by what it is compared with.

use std::ops::Range;

use saphyr::{MarkedYaml, ScalarStyle, YamlData, YamlLoader};

use super::fault::Fault;

/// How deep a test file may nest.
const DEPTH_MAX: usize = 64;

/// A node of the tree.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// From 1.
    pub line: usize,
    /// In characters, from 0.
    pub column: usize,
    /// Its bytes in the text; what follows it (blanks, comments) left out.
    pub span: Range<usize>,
    pub value: Value,
}

#[derive(Clone, Debug)]
pub(super) enum Value {
    /// A plain empty scalar, `~` or `null`.
    Null,
    Scalar {
        text: String,
        /// Without quotes, so it may be a number or a boolean.
        is_plain: bool,
    },
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
}

impl Node {
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

    /// What is here, for messages.
    pub fn found(&self) -> String {
        match &self.value {
            Value::Null => "nothing".into(),
            Value::Scalar { text, .. } => format!("`{}`", crate::database::shorten(text).trim_matches('"')),
            Value::List(_) => "a list".into(),
            Value::Map(_) => "a mapping".into(),
        }
    }

    /// As JSON, as YAML's core schema has it: plain numbers, booleans and null are those, all else is text.
    pub fn to_json(&self) -> serde_json::Value {
        use serde_json::Value as Json;
        match &self.value {
            Value::Null => Json::Null,
            Value::Scalar { text, is_plain: true } => plain_json(text),
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
    match text {
        "true" | "True" | "TRUE" => return Json::Bool(true),
        "false" | "False" | "FALSE" => return Json::Bool(false),
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

/// Whether a plain scalar is a decimal number.
pub(super) fn is_number(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let has_digits = unsigned.bytes().any(|byte| byte.is_ascii_digit());
    let characters = unsigned.bytes().all(|byte| byte.is_ascii_digit() || b".eE+-".contains(&byte));
    has_digits && characters && !unsigned.starts_with(['e', 'E']) && unsigned.parse::<f64>().is_ok()
}

/// Reads one document; `None` where there is none.
///
/// # Errors
/// Text that is not YAML, a second document, or a value that cannot be read.
pub(super) fn parse(text: &str) -> Result<Option<Node>, Fault> {
    let documents = load(text)?;
    match documents.as_slice() {
        [] => Ok(None),
        [document] => {
            let places = Places::new(text);
            let root = places.node(document, 0)?;
            Ok((!root.is_null()).then_some(root))
        }
        [_, second, ..] => {
            let line = second.span.start.line();
            Err(Fault::new(line, "a second document (`---`): expected one document"))
        }
    }
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

/// From the parser's places, in characters, to bytes.
struct Places<'t> {
    text: &'t str,
    /// The byte of each character; empty where each is one byte.
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

    fn node(&self, yaml: &MarkedYaml<'_>, depth: usize) -> Result<Node, Fault> {
        let (start, end) = (yaml.span.start, yaml.span.end);
        let line = start.line().max(1);
        if depth > DEPTH_MAX {
            return Err(Fault::new(line, format!("nested deeper than {DEPTH_MAX} levels")));
        }
        let value = match &yaml.data {
            YamlData::Representation(text, ScalarStyle::Plain, _)
                if matches!(&**text, "" | "~" | "null" | "Null" | "NULL") =>
            {
                Value::Null
            }
            YamlData::Representation(text, style, _) => {
                Value::Scalar { text: text.to_string(), is_plain: *style == ScalarStyle::Plain }
            }
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
                return Err(Fault::new(line, "a value that cannot be read: expected plain YAML"));
            }
        };
        let start_byte = self.byte(start.index());
        let span = start_byte..self.end(start_byte, self.byte(end.index()), &value);
        Ok(Node { line, column: start.col(), span, value })
    }

    /// Where a node ends. What is written in blocks ends with its last part, and what is written in brackets with the
    /// closing one, whatever the parser says.
    fn end(&self, start: usize, end: usize, value: &Value) -> usize {
        let last = match value {
            Value::List(items) => items.last().map(|item| item.span.end),
            Value::Map(entries) => entries.last().map(|(key, value)| value.span.end.max(key.span.end)),
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
        found.push(text[node.span.clone()].to_owned());
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
