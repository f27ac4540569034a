//! The configuration file as written, and what is wrong with it: a fault knows its line and becomes a diagnostic with
//! the word that it speaks of. Lines that may hold a secret are never shown.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Config;
use crate::diagnostic::{Code, Diagnostic, Place, shown};

/// One fault of a configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// From 1; 0 where no line is to blame.
    pub(super) line: usize,
    pub(super) message: String,
    pub(super) hint: Option<String>,
    /// Whether what the line holds may be a secret.
    pub(super) hides_line: bool,
}

impl Fault {
    pub(super) fn new(line: usize, message: impl Into<String>) -> Self {
        Self { line, message: message.into(), hint: None, hides_line: false }
    }

    pub(super) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// The same without the text of its line, which may hold a secret.
    pub(super) fn without_line(self) -> Self {
        Self { hides_line: true, ..self }
    }
}

/// Everything that is wrong with a configuration file, in the order of its lines.
#[derive(Clone, Debug, thiserror::Error)]
pub struct ConfigError {
    pub diagnostics: Vec<Diagnostic>,
    /// What could be read all the same, with substitutes for the rest: good for finding more faults, and for
    /// nothing else.
    pub readable: Option<Box<Config>>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&crate::diagnostic::render(&self.diagnostics))
    }
}

/// The file as it was read, for the places of faults.
#[derive(Clone)]
pub struct ConfigFile {
    pub path: PathBuf,
    /// As written, before `${NAME}` is replaced.
    text: Arc<str>,
}

impl ConfigFile {
    pub(super) fn new(path: &Path, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.into() }
    }

    /// A line, from 1, with the first of `words` in it; 0: the file as a whole.
    pub fn place(&self, line: usize, words: &[&str]) -> Place {
        let file = shown(&self.path);
        if line == 0 {
            return Place::of_file(file);
        }
        let place = Place::of_word(&file, &self.text, line, words);
        let is_secret = place.span.as_ref().is_some_and(|span| self.may_hold_secret(span.line));
        if is_secret { place.without_text() } else { place }
    }

    /// Whether a line, from 1, may hold what nobody should see on a screen: by a word in it, or by the key at the top
    /// level that it belongs to. A misspelt `password` is no such word.
    fn may_hold_secret(&self, line: usize) -> bool {
        let lines: Vec<&str> = self.text.lines().take(line).collect();
        let Some(text) = lines.last().map(|text| text.to_lowercase()) else { return false };
        let is_top = |line: &&&str| line.starts_with(|first: char| !first.is_whitespace() && first != '#');
        let top =
            lines.iter().rev().find(is_top).map_or("", |line| line.trim_start_matches(['"', '\'', '{']));
        SECRET_KEYS.iter().any(|key| top.starts_with(key))
            || SECRETS.iter().any(|word| text.contains(word))
            || (text.contains("://") && text.contains('@'))
    }

    /// The line of a key at the top level; where it is not written, the file as a whole.
    pub fn key(&self, key: &str) -> Place {
        let is_key =
            |line: &str| line.strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with(':'));
        let line = self.text.lines().position(is_key).map_or(0, |line| line + 1);
        self.place(line, &[key])
    }

    /// The text as written, before `${NAME}` is replaced, without what may be a secret: of such a line its key is left.
    pub fn without_secrets(&self) -> String {
        let shown =
            self.text.lines().enumerate().map(|(place, text)| match self.may_hold_secret(place + 1) {
                false => format!("{text}\n"),
                true => match text.split_once(':') {
                    Some((key, value))
                        if !key.contains(['{', '#', '"', '\'']) && !value.trim().is_empty() =>
                    {
                        format!("{key}: ***\n")
                    }
                    Some((key, _)) if !key.contains(['{', '#', '"', '\'']) => format!("{key}:\n"),
                    _ => "***\n".to_owned(),
                },
            });
        shown.collect()
    }

    fn diagnostic(&self, fault: Fault) -> Diagnostic {
        let place = self.place(fault.line, &words_of(&fault.message));
        let place = if fault.hides_line { place.without_text() } else { place };
        let error = Diagnostic::error(Code::Config, place, fault.message);
        Diagnostic { hint: fault.hint, ..error }
    }

    pub(super) fn error(&self, mut faults: Vec<Fault>, readable: Option<Config>) -> ConfigError {
        faults.sort_by_key(|fault| fault.line);
        let diagnostics = faults.into_iter().map(|fault| self.diagnostic(fault)).collect();
        ConfigError { diagnostics, readable: readable.map(Box::new) }
    }
}

/// Lines with one of these may hold a secret.
const SECRETS: &[&str] = &["password", "secret", "jaas", "ssl.key", "token"];
/// So may all lines of these keys.
const SECRET_KEYS: &[&str] = &["database", "http_token", "kafka_properties", "schema_registry"];

/// Why: the text may hold a password.
impl fmt::Debug for ConfigFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConfigFile({})", self.path.display())
    }
}

/// What a message says of its line: names in backquotes, and the key that it begins with.
pub(crate) fn words_of(message: &str) -> Vec<&str> {
    let quoted = message.split('`').skip(1).step_by(2);
    let key = message.split(':').next().filter(|key| !key.contains(' '));
    let last = key.and_then(|key| key.rsplit('.').next());
    let quoted: Vec<&str> = quoted.collect();
    let in_quotes = quoted.iter().copied();
    let parts = quoted.iter().filter_map(|name| name.rsplit('.').next());
    in_quotes.chain(parts).chain(key).chain(last).collect()
}
