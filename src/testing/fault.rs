//! What can be wrong with a test file: each fault with its line, what was found, what was expected, and a hint.

use std::fmt;

use crate::config::nearest;

/// One fault of a test file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// From 1; 0 where no line is to blame.
    pub line: usize,
    pub message: String,
    pub hint: Option<String>,
}

/// Everything that is wrong with a test file, in the order of its lines.
#[derive(Clone, Debug, thiserror::Error)]
pub struct FileFaults {
    pub file: String,
    pub faults: Vec<Fault>,
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
        let hint = match nearest(found, allowed.clone()) {
            Some(right) => format!("did you mean `{right}`?"),
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

impl FileFaults {
    pub(super) fn new(file: &str, mut faults: Vec<Fault>) -> Self {
        faults.sort_by_key(|fault| fault.line);
        // What a file says for all of its tests is a fault in each of them.
        let mut said: Vec<Fault> = Vec::new();
        for fault in faults {
            if !said.contains(&fault) {
                said.push(fault);
            }
        }
        Self { file: file.to_owned(), faults: said }
    }
}

impl fmt::Display for FileFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.faults.iter().enumerate() {
            let end = if index == 0 { "" } else { "\n" };
            match fault.line {
                0 => write!(f, "{end}{}: error: {}", self.file, fault.message)?,
                line => write!(f, "{end}{}:{line}: error: {}", self.file, fault.message)?,
            }
            if let Some(hint) = &fault.hint {
                write!(f, "\n  hint: {hint}")?;
            }
        }
        Ok(())
    }
}
