//! Asking a person before something is changed that cannot be taken back.

use std::io::{self, BufRead as _, IsTerminal as _};

use super::failure::Failure;
use super::terminal;
use crate::diagnostic::Finding;

/// Asks whether to do what was said.
///
/// # Errors
/// The answer is no, or nobody is there to be asked.
pub(super) fn confirm() -> Result<(), Failure> {
    if !io::stdin().is_terminal() {
        let found = Finding::new("this needs a confirmation, and stdin is not a terminal");
        return Err(Failure::bad_command_line(found.with_hint("add --yes")));
    }
    terminal::say("Do this? [y/N]");
    let mut answer = String::new();
    let read = io::stdin().lock().read_line(&mut answer);
    read.map_err(|error| Failure::failed(format!("stdin: {error}")))?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(Failure::failed("nothing was changed")),
    }
}
