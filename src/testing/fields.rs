//! A mapping of which each key is read once: the keys that nobody asked for are faults, named with the nearest right one.

use super::fault::Fault;
use super::yaml::{Node, Value};

/// The keys of a mapping that were not read yet.
pub(super) struct Fields<'n> {
    /// What it is, for messages: `a test`.
    what: &'static str,
    pub line: usize,
    entries: Vec<(&'n Node, &'n Node)>,
    known: Vec<&'static str>,
}

impl<'n> Fields<'n> {
    /// # Errors
    /// The node is no mapping.
    pub fn of(what: &'static str, node: &'n Node) -> Result<Self, Fault> {
        let entries = entries(what, node)?;
        Ok(Self { what, line: node.line, entries, known: Vec::new() })
    }

    /// The key and its value, which may be nothing; `None` where the key is absent.
    pub fn entry(&mut self, key: &'static str) -> Option<(&'n Node, &'n Node)> {
        self.known.push(key);
        let position = self.entries.iter().position(|(name, _)| name.text() == Some(key))?;
        Some(self.entries.remove(position))
    }

    /// The value of the key; `None` if it has none.
    pub fn node(&mut self, key: &'static str) -> Option<&'n Node> {
        self.entry(key).map(|(_, node)| node).filter(|node| !node.is_null())
    }

    /// What `read` makes of the text under the key; a fault where it makes nothing of it.
    pub fn value<T>(
        &mut self,
        key: &'static str,
        expected: &str,
        faults: &mut Vec<Fault>,
        read: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let node = self.node(key)?;
        let value = node.text().and_then(read);
        if value.is_none() {
            let message = format!("{key}: found {}, expected {expected}", node.found());
            faults.push(Fault::new(node.line, message));
        }
        value
    }

    /// Every key that is left is a fault.
    pub fn finish(self, faults: &mut Vec<Fault>) {
        for (key, _) in &self.entries {
            let fault = match key.text() {
                Some(name) => Fault::new(key.line, format!("unknown key `{name}` in {}", self.what))
                    .or_one_of(name, self.known.iter().copied()),
                None => Fault::new(key.line, format!("found {}, expected a key", key.found())),
            };
            faults.push(fault);
        }
    }
}

/// The keys and values of a mapping.
pub(super) fn entries<'n>(what: &str, node: &'n Node) -> Result<Vec<(&'n Node, &'n Node)>, Fault> {
    match &node.value {
        Value::Map(entries) => Ok(entries.iter().map(|(key, value)| (key, value)).collect()),
        _ => {
            Err(Fault::new(node.line, format!("{what}: found {}, expected a mapping of keys", node.found())))
        }
    }
}

/// The items of a list; those of nothing are none.
pub(super) fn items<'n>(what: &str, node: &'n Node) -> Result<&'n [Node], Fault> {
    match &node.value {
        Value::List(items) => Ok(items),
        Value::Null => Ok(&[]),
        _ => Err(Fault::new(node.line, format!("{what}: found {}, expected a list", node.found()))),
    }
}
