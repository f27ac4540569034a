//! The views and tables that cannot be computed, by name, and why: one has faults of its own, another reads such a one.

use std::collections::BTreeMap;
use std::fmt;

use crate::diagnostic::Diagnostic;

/// Every view and table that cannot be computed. What has no name here is sound.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faulty(BTreeMap<String, Cause>);

/// Why a view or a table cannot be computed.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Cause {
    /// Its own faults; none if it is only known that it cannot be computed. `message` is the message of the batch that it
    /// fails on, if it is one.
    Own { faults: Vec<Diagnostic>, message: Option<String> },
    /// It reads this one, which cannot be computed.
    Reads(String),
}

impl Faulty {
    /// Adds a fault of a view or table. Faults of no relation have an empty name.
    pub fn add(&mut self, name: &str, fault: Diagnostic) {
        self.mark(name);
        if let Some(Cause::Own { faults, .. }) = self.0.get_mut(name)
            && !faults.contains(&fault)
        {
            faults.push(fault);
        }
    }

    /// Adds a fault that a view has met in a batch, and the message that it fails on, if it is one.
    pub fn add_met(&mut self, name: &str, fault: Diagnostic, message: Option<String>) {
        self.0.insert(name.to_owned(), Cause::Own { faults: vec![fault], message });
    }

    /// Adds a view or table that cannot be computed, for faults that are reported elsewhere.
    pub(super) fn mark(&mut self, name: &str) {
        let own = || Cause::Own { faults: Vec::new(), message: None };
        self.0.entry(name.to_owned()).or_insert_with(own);
    }

    /// Adds a view or table that reads a faulty one; one with faults of its own stays as it is.
    pub fn add_reader(&mut self, name: &str, reads: &str) {
        self.0.entry(name.to_owned()).or_insert_with(|| Cause::Reads(reads.to_owned()));
    }

    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The faulty views and tables.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str).filter(|name| !name.is_empty())
    }

    /// For somebody who asks for `name`: why it cannot be computed; `None` if it is sound.
    pub fn of(&self, name: &str) -> Option<String> {
        match self.0.get(name)? {
            Cause::Own { faults, message } => {
                let faults = faults.iter().map(ToString::to_string);
                let message = message.iter().map(|message| format!("message: {message}"));
                Some(faults.chain(message).collect::<Vec<_>>().join("\n"))
            }
            Cause::Reads(other) => {
                let cause = self.of(other).unwrap_or_default();
                Some(format!(
                    "error: `{name}` cannot be computed: it reads `{other}`, which has a fault\n{cause}"
                ))
            }
        }
    }
}

impl fmt::Display for Faulty {
    /// The faults themselves, then one line with what they keep from being computed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (own, readers): (Vec<&String>, Vec<&String>) =
            self.0.keys().partition(|name| matches!(self.0.get(*name), Some(Cause::Own { .. })));
        let mut lines: Vec<String> = own.iter().filter_map(|name| self.of(name)).collect();
        if !readers.is_empty() {
            let names: Vec<String> = readers.iter().map(|name| format!("`{name}`")).collect();
            lines.push(format!("not computed, because they read what has a fault: {}", names.join(", ")));
        }
        f.write_str(&lines.join("\n"))
    }
}
