//! A mapping of which every key must be known: it returns the values of its keys one after the other, collects every
//! fault instead of stopping at the first, and names the keys that nobody asked for.

use std::path::{Path, PathBuf};

use super::fault::Fault;
use super::scalar;
use super::spot::Spot;
use super::tree::{Node, Value};

/// The keys of a mapping.
pub(crate) struct Section<'n> {
    /// The name of the mapping, for messages: `outputs.a`; empty at the top.
    path: String,
    /// What it is, for messages: ` in a test`; may be empty.
    kind: String,
    /// Where it is: the key that it is under. `None` at the top.
    spot: Option<Spot>,
    entries: Vec<(&'n Node, &'n Node)>,
    known: Vec<&'static str>,
    faults: Vec<Fault>,
}

impl<'n> Section<'n> {
    /// The mapping under a key, whose full name and place these are; at the top, there is none.
    ///
    /// # Errors
    /// The node is no mapping.
    pub fn new(path: &str, spot: Option<Spot>, node: &'n Node) -> Result<Self, Fault> {
        Self::read(path, path.to_owned(), String::new(), spot, node)
    }

    /// A mapping that is one of several, such as `a test`. Its keys go by their own names.
    ///
    /// # Errors
    /// As [`Section::new`].
    pub fn one_of_many(kind: &str, node: &'n Node) -> Result<Self, Fault> {
        Self::read(kind, String::new(), format!(" in {kind}"), Some(node.spot), node)
    }

    fn read(
        what: &str,
        path: String,
        kind: String,
        spot: Option<Spot>,
        node: &'n Node,
    ) -> Result<Self, Fault> {
        let Value::Map(entries) = &node.value else {
            let place = if what.is_empty() { String::new() } else { format!("{what}: ") };
            let message = format!("{place}found {}, expected a mapping of keys", node.found());
            // Nothing is written at no place; its key is.
            let is_nothing = node.spot.range().is_empty();
            return Err(Fault::new(spot.filter(|_| is_nothing).unwrap_or(node.spot), message));
        };
        let entries = entries.iter().map(|(key, value)| (key, value)).collect();
        Ok(Self { path, kind, spot, entries, known: Vec::new(), faults: Vec::new() })
    }

    /// The place of a key; the section's if it is absent.
    pub fn spot(&self, key: &str) -> Option<Spot> {
        self.find(key).map(|(key, _)| key.spot).or(self.spot)
    }

    /// The full name of a key, for messages.
    pub fn name(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    pub fn fault(&mut self, fault: Fault) {
        self.faults.push(fault);
    }

    fn find(&self, key: &str) -> Option<(&'n Node, &'n Node)> {
        self.entries.iter().find(|(name, _)| name.text() == Some(key)).copied()
    }

    /// A key and what is under it, which may be nothing; `None` if the key is absent.
    pub fn entry(&mut self, key: &'static str) -> Option<(&'n Node, &'n Node)> {
        if !self.known.contains(&key) {
            self.known.push(key);
        }
        self.find(key)
    }

    /// The node under `key`; `None` if it is absent or null.
    pub fn node(&mut self, key: &'static str) -> Option<&'n Node> {
        self.entry(key).map(|(_, node)| node).filter(|node| !node.is_null())
    }

    /// What `read` makes of the text under `key`; a fault if it makes nothing of it.
    pub fn value<T>(
        &mut self,
        key: &'static str,
        expected: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let node = self.node(key)?;
        let value = node.text().and_then(read);
        if value.is_none() {
            let message = format!("{}: found {}, expected {expected}", self.name(key), node.found());
            self.fault(Fault::new(node.spot, message));
        }
        value
    }

    pub fn text(&mut self, key: &'static str) -> Option<String> {
        self.value(key, "a text", |text| (!text.is_empty()).then(|| text.to_owned()))
    }

    /// A text that must be there.
    pub fn required(&mut self, key: &'static str, example: &str) -> Option<String> {
        self.required_node(key, example)?;
        self.text(key)
    }

    /// A node that must be there.
    pub fn required_node(&mut self, key: &'static str, example: &str) -> Option<&'n Node> {
        let node = self.node(key);
        if node.is_none() {
            let what = if self.find(key).is_some() { "is empty" } else { "is missing" };
            let fault = Fault::new(self.spot(key), format!("the key `{}` {what}", self.name(key)));
            self.fault(fault.hint(format!("for example `{key}: {example}`")));
        }
        node
    }

    pub fn path(&mut self, key: &'static str, base: &Path) -> Option<PathBuf> {
        self.text(key).map(|text| base.join(text))
    }

    pub fn boolean(&mut self, key: &'static str, default: bool) -> bool {
        self.value(key, "true or false", scalar::boolean).unwrap_or(default)
    }

    /// One text, or a list of texts; a fault if it is neither or empty.
    pub fn texts(&mut self, key: &'static str) -> Option<Vec<String>> {
        let node = self.node(key)?;
        let texts = node.texts();
        if texts.is_none() {
            let message =
                format!("{}: found {}, expected a name or a list of names", self.name(key), node.found());
            self.fault(Fault::new(node.spot, message));
        }
        texts
    }

    /// Ends the section: every key that nobody asked for is a fault, named with the nearest right one.
    pub fn finish(mut self, faults: &mut Vec<Fault>) {
        for (key, _) in &self.entries {
            let Some(name) = key.text() else {
                faults.push(Fault::new(key.spot, format!("found {}, expected a key", key.found())));
                continue;
            };
            if !self.known.contains(&name) {
                let message = format!("unknown key `{}`{}", self.name(name), self.kind);
                let fault = Fault::new(key.spot, message).or_one_of(name, self.known.iter().copied());
                // Why: nobody knows what the value of an unknown key is.
                faults.push(fault.without_line());
            }
        }
        faults.append(&mut self.faults);
    }
}
