//! What can be wrong with the views: each fault names its place as `file:line:column`, shows the line with a
//! caret under it, and says what to do about it where that is known.

use std::fmt;

use crate::batch::Fault;

/// A fault of a view: found when it is read or planned, or met while it runs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct SqlError(Box<Details>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Details {
    kind: SqlErrorKind,
    place: Place,
    message: String,
    hint: Option<String>,
}

/// What kind of fault it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SqlErrorKind {
    /// The SQL, or what it reads, is wrong: nothing can run until somebody edits a file.
    Wrong,
    /// The SQL failed on a row: a division by zero, a text that is no number, an overflow.
    Row,
    /// The batch needs more memory than the pool has; a smaller one may fit.
    MemoryExhausted,
}

/// Where in the files the fault is, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// As a person would open it: `sql/reactions.sql`, `config.yaml:31`; empty where there is none.
    pub file: String,
    pub span: Option<Span>,
}

/// A part of one line of a view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// In characters, at least 1; what goes on in later lines is left out.
    pub width: usize,
    /// The whole line.
    pub text: String,
}

impl SqlError {
    pub fn kind(&self) -> SqlErrorKind {
        self.0.kind
    }

    /// What the engine does about it. Memory that does not suffice counts as a fault of the data: the batch is
    /// cut in halves, and a message that alone needs too much becomes a dead letter.
    pub fn fault(&self) -> Fault {
        match self.0.kind {
            SqlErrorKind::Wrong => Fault::Other,
            SqlErrorKind::Row | SqlErrorKind::MemoryExhausted => Fault::Data,
        }
    }

    /// The file at fault, for a dead letter's `place`: `sql/reactions.sql`.
    pub fn file(&self) -> &str {
        &self.0.place.file
    }

    pub fn place(&self) -> &Place {
        &self.0.place
    }

    /// What was found and what was expected, without place and hint.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    pub(super) fn wrong(place: Place, message: impl Into<String>) -> Self {
        Self::new(SqlErrorKind::Wrong, place, message.into())
    }

    pub(super) fn of_kind(kind: SqlErrorKind, file: &str, message: impl Into<String>) -> Self {
        let place = Place { file: file.to_owned(), span: None };
        Self::new(kind, place, message.into())
    }

    fn new(kind: SqlErrorKind, place: Place, message: String) -> Self {
        Self(Box::new(Details { kind, place, message, hint: None }))
    }

    pub(super) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    pub(super) fn with_hint_if_some(mut self, hint: Option<String>) -> Self {
        if hint.is_some() {
            self.0.hint = hint;
        }
        self
    }
}

impl fmt::Display for SqlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { file, span } = &self.0.place;
        if !file.is_empty() {
            write!(f, "{file}:")?;
            if let Some(span) = span {
                write!(f, "{}:{}:", span.line, span.column)?;
            }
            f.write_str(" ")?;
        }
        write!(f, "error: {}", self.0.message)?;
        if let Some(span) = span {
            span.write_source(f)?;
        }
        if let Some(hint) = &self.0.hint {
            write!(f, "\nhint: {hint}")?;
        }
        Ok(())
    }
}

impl Span {
    /// The line with its number, and carets under the part that is meant.
    fn write_source(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.line.to_string();
        let margin = " ".repeat(number.len());
        // Tabs stay tabs, so that the carets stand where the terminal puts the text.
        let indent: String =
            self.text.chars().take(self.column - 1).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        let carets = "^".repeat(self.width.max(1));
        write!(f, "\n{margin} |\n{number} | {}\n{margin} | {indent}{carets}", self.text)
    }
}

/// Several faults as one text, one after the other.
pub fn render(errors: &[SqlError]) -> String {
    let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
    texts.join("\n")
}
