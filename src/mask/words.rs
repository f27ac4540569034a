//! Why a message could not be processed, in words that quote no value of it: nothing that comes from the message is left.

use crate::diagnostic::Finding;

/// The reason of a message that the SQL fails on.
const OF_SQL: &str =
    "the SQL fails on this message; the reason may quote a `sensitive` field, so it is not shown";
/// The reason of a message with a value that is refused.
const OF_WRITE: &str =
    "a value of this message is refused; the reason may quote a `sensitive` field, so it is not shown";
/// How the messages of databases begin; a code follows.
const SERVERS: [&str; 2] = ["mysql error ", "sqlite error "];

/// Of decoding: the words, without numbers. What it quotes of a payload are lengths, indexes and counts, which may be other
/// bytes of it.
pub(crate) fn of_decode(found: &Finding) -> Finding {
    found.clone().reworded(|said| words_alone(said, &['"']))
}

/// Of a write: the database's code.
pub(crate) fn of_write(found: &Finding) -> Finding {
    match SERVERS.iter().find_map(|server| code_of(&found.message, server)) {
        Some(code) => Finding::new(format!("{code}: {OF_WRITE}")),
        None => Finding::new(OF_WRITE),
    }
}

/// Of SQL: that it failed. A hint is one of ours, and quotes nothing.
pub(crate) fn of_sql(found: &Finding) -> Finding {
    Finding::new(OF_SQL).with_hint_if_some(found.hint.clone())
}

/// `mysql error 1406 (22001)`, if a text begins so.
fn code_of<'t>(said: &'t str, server: &str) -> Option<&'t str> {
    let code = said.strip_prefix(server)?;
    let digits = code.find(|c: char| !c.is_ascii_digit()).filter(|digits| *digits > 0)?;
    let state = code[digits..].strip_prefix(" (").and_then(|state| state.split_once(')'));
    let is_state = |state: &str| state.len() == 5 && state.chars().all(|c| c.is_ascii_alphanumeric());
    let length = state.filter(|(state, _)| is_state(state)).map_or(0, |(state, _)| state.len() + 3);
    Some(&said[..server.len() + digits + length])
}

/// The text with `#` in place of each number, and nothing between quotes.
pub(crate) fn words_alone(text: &str, quotes: &[char]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut quote = None;
    for c in text.chars() {
        match quote {
            Some(open) if c == open => quote = None,
            Some(_) => continue,
            None if quotes.contains(&c) => quote = Some(c),
            None => {}
        }
        match c.is_ascii_digit() {
            true if out.ends_with('#') => {}
            true => out.push('#'),
            false => out.push(c),
        }
    }
    out
}
