//! Where a part of a text is.

use std::ops::Range;

use crate::diagnostic::Place;

/// A part of a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Spot {
    /// From 1.
    pub line: usize,
    /// In characters, from 0.
    pub column: usize,
    /// In bytes.
    pub start: usize,
    /// In bytes; blanks and comments after it are left out.
    pub end: usize,
}

impl Spot {
    pub fn range(self) -> Range<usize> {
        self.start..self.end
    }

    /// The place of its first line in `file`, whose text this is.
    pub fn place(self, file: &str, text: &str) -> Place {
        let first_line = text.get(self.range()).and_then(|part| part.lines().next()).unwrap_or_default();
        Place::at(file, text, self.line, self.column + 1, first_line.chars().count())
    }
}
