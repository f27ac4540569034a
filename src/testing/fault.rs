//! What can be wrong with a test file: each fault with its line, what was found, what was expected, and a hint.

use crate::config::words_of;
use crate::diagnostic::{Code, Diagnostic, Place};
use crate::nearest::did_you_mean;

/// One fault of a test file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// From 1; 0 where no line is to blame.
    pub line: usize,
    pub message: String,
    pub hint: Option<String>,
}

impl Fault {
    pub(super) fn new(line: usize, message: impl Into<String>) -> Self {
        Self { line, message: message.into(), hint: None }
    }

    pub(super) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// The nearest of the words that are allowed, or all of them.
    pub(super) fn or_one_of<'a>(self, found: &str, allowed: impl Iterator<Item = &'a str> + Clone) -> Self {
        let hint = match did_you_mean(found, allowed.clone()) {
            Some(hint) => hint,
            None => {
                let all: Vec<&str> = allowed.collect();
                if all.is_empty() {
                    return self;
                }
                format!("allowed here: {}", all.join(", "))
            }
        };
        self.hint(hint)
    }
}

/// The faults of a file whose text this is, each once, in the order of its lines.
pub(super) fn diagnostics(file: &str, text: &str, mut faults: Vec<Fault>) -> Vec<Diagnostic> {
    faults.sort_by_key(|fault| fault.line);
    // What a file says for all of its tests is a fault in each of them.
    let mut said: Vec<Fault> = Vec::new();
    for fault in faults {
        if !said.contains(&fault) {
            said.push(fault);
        }
    }
    let diagnostic = |fault: Fault| {
        let place = match fault.line {
            0 => Place::of_file(file),
            line => Place::of_word(file, text, line, &words_of(&fault.message)),
        };
        let error = Diagnostic::error(Code::TestFile, place, fault.message);
        Diagnostic { hint: fault.hint, ..error }
    };
    said.into_iter().map(diagnostic).collect()
}
