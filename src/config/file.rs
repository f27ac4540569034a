//! The configuration file as written: the places of its keys, and what is wrong with it. Lines that may hold a secret are
//! never shown.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Config;
use crate::diagnostic::{Code, Diagnostic, Place, Span, shown};
use crate::yaml::{Fault, Node, Spot, Value};

/// Everything that is wrong with a configuration file, in the order of its lines.
#[derive(Clone, Debug, thiserror::Error)]
pub struct ConfigError {
    pub diagnostics: Vec<Diagnostic>,
    /// What could be read all the same, with substitutes for the rest: good for finding more faults, and for
    /// nothing else.
    pub readable: Option<Box<Config>>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&crate::diagnostic::render(&self.diagnostics))
    }
}

/// The file as it was read, for the places of faults.
#[derive(Clone)]
pub struct ConfigFile {
    pub path: PathBuf,
    /// As written, before `${NAME}` is replaced.
    text: Arc<str>,
    /// What the text says; `None` if it is not YAML, or nothing.
    root: Option<Arc<Node>>,
}

impl ConfigFile {
    pub(super) fn new(path: &Path, text: &str, root: Option<Node>) -> Self {
        Self { path: path.to_owned(), text: text.into(), root: root.map(Arc::new) }
    }

    /// The place of a key, which is found by its names: `["outputs", "reactions", "mode"]`. If it is not written, the
    /// place of the last name that is, and of the file as a whole if none is.
    pub fn place(&self, names: &[&str]) -> Place {
        let mut spot = None;
        let mut node = self.root.as_deref();
        for name in names {
            let Some((key, value)) = node.and_then(|node| node.entry(name)) else { break };
            spot = Some(key.spot);
            node = Some(value);
        }
        self.place_of(spot)
    }

    /// As [`ConfigFile::place`]; `None` if the key is not written.
    pub fn place_if_written(&self, names: &[&str]) -> Option<Place> {
        let root = self.root.as_deref()?;
        names.iter().try_fold(root, |node, name| node.entry(name).map(|(_, value)| value))?;
        Some(self.place(names))
    }

    /// The place of an item of the list under a key of the top level; the key's, if there is no such item.
    pub fn place_of_item(&self, key: &'static str, item: &str) -> Place {
        let listed = self.root.as_deref().and_then(|root| root.entry(key)).map(|(_, node)| node);
        let mut items = listed.into_iter().flat_map(|node| match &node.value {
            Value::List(items) => items.as_slice(),
            _ => std::slice::from_ref(node),
        });
        match items.find(|node| node.text() == Some(item)) {
            Some(node) => self.place_of(Some(node.spot)),
            None => self.place(&[key]),
        }
    }

    fn place_of(&self, spot: Option<Spot>) -> Place {
        let file = shown(&self.path);
        let Some(spot) = spot else { return Place::of_file(file) };
        let place = spot.place(&file, &self.text);
        if self.may_hold_secret(spot.line) { hidden(place) } else { place }
    }

    /// Whether a line, from 1, may hold what nobody should see on a screen: by a word in it, or by the key at the top
    /// level that it belongs to. A misspelt `password` is no such word.
    fn may_hold_secret(&self, line: usize) -> bool {
        let lines: Vec<&str> = self.text.lines().take(line).collect();
        let Some(text) = lines.last().map(|text| text.to_lowercase()) else { return false };
        let is_top = |line: &&&str| line.starts_with(|first: char| !first.is_whitespace() && first != '#');
        let top =
            lines.iter().rev().find(is_top).map_or("", |line| line.trim_start_matches(['"', '\'', '{']));
        SECRET_KEYS.iter().any(|key| top.starts_with(key))
            || names_secret(&text)
            || (text.contains("://") && text.contains('@'))
    }

    /// What the text says, before `${NAME}` is replaced.
    pub(super) fn root(&self) -> Node {
        self.root.as_deref().cloned().unwrap_or_else(Node::empty_map)
    }

    /// The text as written, before `${NAME}` is replaced, without what may be a secret: of such a line its key is left.
    pub fn without_secrets(&self) -> String {
        let shown =
            self.text.lines().enumerate().map(|(place, text)| match self.may_hold_secret(place + 1) {
                false => format!("{text}\n"),
                true => match text.split_once(':') {
                    Some((key, value))
                        if !key.contains(['{', '#', '"', '\'']) && !value.trim().is_empty() =>
                    {
                        format!("{key}: ***\n")
                    }
                    Some((key, _)) if !key.contains(['{', '#', '"', '\'']) => format!("{key}:\n"),
                    _ => "***\n".to_owned(),
                },
            });
        shown.collect()
    }

    fn diagnostic(&self, fault: Fault) -> Diagnostic {
        let hides_line = fault.hides_line;
        fault.into_diagnostic(Code::Config, |spot| {
            let place = self.place_of(spot);
            if hides_line { hidden(place) } else { place }
        })
    }

    pub(super) fn error(&self, mut faults: Vec<Fault>, readable: Option<Config>) -> ConfigError {
        faults.sort_by_key(|fault| fault.spot.map(|spot| spot.start));
        let diagnostics = faults.into_iter().map(|fault| self.diagnostic(fault)).collect();
        ConfigError { diagnostics, readable: readable.map(Box::new) }
    }
}

/// A place without the text and without its length, which says how long a secret is.
fn hidden(place: Place) -> Place {
    let place = place.without_text();
    let span = place.span.map(|span| Span { width: 1, ..span });
    Place { span, ..place }
}

/// Lines with one of these may hold a secret.
const SECRETS: &[&str] = &["password", "secret", "jaas", "ssl.key", "token"];
/// Whether a text in lower case has a word in it that says that a secret is near.
pub(super) fn names_secret(text: &str) -> bool {
    SECRETS.iter().any(|word| text.contains(word))
}

/// So may all lines of these keys.
const SECRET_KEYS: &[&str] = &["database", "http_token", "kafka_properties", "schema_registry"];

/// Why: the text may hold a password.
impl fmt::Debug for ConfigFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConfigFile({})", self.path.display())
    }
}
