//! A value that does not fit a schema: in which field, what was found and what was expected.

use std::fmt;

use super::path_of;
use crate::batch::Fault;
use crate::diagnostic::Finding;

/// A value that does not fit the schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// The field as `address.street`, `tags[3]` or `limits["eu"]`; empty for the record itself.
    pub path: String,
    pub found: String,
    pub expected: String,
    pub hint: Option<String>,
}

impl FieldError {
    pub(super) fn new(found: impl Into<String>, expected: impl Into<String>) -> Self {
        Self { path: String::new(), found: found.into(), expected: expected.into(), hint: None }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(super) fn in_field(mut self, name: &str) -> Self {
        self.path = path_of(name, &self.path);
        self
    }

    pub(super) fn at(self, index: impl fmt::Display) -> Self {
        self.in_field(&format!("[{index}]"))
    }

    /// What is wrong and where, and what to do about it.
    pub fn told(&self) -> Finding {
        Finding::new(format!("found {}, expected {}", self.found, self.expected))
            .with_hint_if_some(self.hint.clone())
            .within_field(&self.path)
    }

    /// A record of a file is to blame.
    pub fn fault(&self) -> Fault {
        Fault::Data
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.told().fmt(f)
    }
}

impl std::error::Error for FieldError {}
