//! What is wrong with a YAML file: a fault with its place in the text, what was found, what was expected, and a hint.

use super::spot::Spot;
use crate::diagnostic::{Code, Diagnostic, Finding, Place};
use crate::nearest::did_you_mean;

/// One fault of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// What is to blame; `None`: the file as a whole.
    pub spot: Option<Spot>,
    pub message: String,
    pub hint: Option<String>,
    /// Whether nobody knows what the line holds. In a file with secrets, it may be one.
    pub hides_line: bool,
}

impl Fault {
    pub fn new(spot: impl Into<Option<Spot>>, found: impl Into<Finding>) -> Self {
        let Finding { message, hint } = found.into();
        Self { spot: spot.into(), message, hint, hides_line: false }
    }

    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    pub fn without_line(self) -> Self {
        Self { hides_line: true, ..self }
    }

    /// The nearest of the words that are allowed, or all of them.
    pub fn or_one_of<'a>(self, found: &str, allowed: impl Iterator<Item = &'a str> + Clone) -> Self {
        match did_you_mean(found, allowed.clone()) {
            Some(hint) => self.hint(hint),
            None if allowed.clone().next().is_none() => self,
            None => self.hint(format!("allowed here: {}", allowed.collect::<Vec<_>>().join(", "))),
        }
    }

    /// Whether what it blames has the place of the other fault, or a place in the same line.
    pub fn is_about(&self, other: &Self) -> bool {
        let (Some(own), Some(other)) = (self.spot, other.spot) else { return false };
        own.line == other.line || (own.start <= other.start && other.end <= own.end)
    }

    /// The same for people. `place` finds the place of a part of the file.
    pub fn into_diagnostic(self, code: Code, place: impl Fn(Option<Spot>) -> Place) -> Diagnostic {
        Diagnostic { hint: self.hint, ..Diagnostic::error(code, place(self.spot), self.message) }
    }
}
