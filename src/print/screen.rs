//! Where text is printed to: how wide a terminal is, and whether it takes colours.

use std::ffi::OsStr;
use std::io::{self, IsTerminal};

use super::Look;

/// What stdout is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Screen {
    /// A person sees it.
    pub is_terminal: bool,
    pub colours: bool,
    /// Whether a person can turn pages.
    pub pages: bool,
}

impl Screen {
    /// stdout as it is. `pages`: whether somebody is there to turn pages.
    pub fn of_stdout(pages: bool) -> Self {
        let stdout = io::stdout();
        let is_terminal = stdout.is_terminal();
        Self { is_terminal, colours: takes_colours(&stdout), pages: is_terminal && pages }
    }

    /// How tables look there.
    pub fn look(&self) -> Look {
        let width = self.size().map(|(width, _)| width);
        Look { width, colours: self.colours, ..Look::default() }
    }

    /// Columns and lines of a terminal.
    pub(crate) fn size(&self) -> Option<(usize, usize)> {
        let found = if self.is_terminal { terminal_size::terminal_size() } else { None };
        found.map(|(width, height)| (usize::from(width.0), usize::from(height.0)))
    }
}

/// Whether colours are written to a stream: it is a terminal, `NO_COLOR` is not set, and `TERM` is not `dumb`.
pub(crate) fn takes_colours(stream: &impl IsTerminal) -> bool {
    let variable = |name: &str| std::env::var_os(name);
    stream.is_terminal() && are_wanted(variable("NO_COLOR").as_deref(), variable("TERM").as_deref())
}

fn are_wanted(no_color: Option<&OsStr>, term: Option<&OsStr>) -> bool {
    no_color.is_none_or(OsStr::is_empty) && term.is_none_or(|term| term != "dumb")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_color_and_a_dumb_terminal_say_no() {
        let wanted = |no_color: Option<&str>, term: Option<&str>| {
            are_wanted(no_color.map(OsStr::new), term.map(OsStr::new))
        };
        assert!(
            wanted(None, None) && wanted(None, Some("xterm-256color")) && wanted(Some(""), Some("xterm"))
        );
        assert!(!wanted(Some("1"), Some("xterm")) && !wanted(None, Some("dumb")));
    }
}
