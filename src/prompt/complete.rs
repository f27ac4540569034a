//! What Tab offers: tables, columns, views, functions, keywords and commands, by the place of the cursor. And the
//! colours of what is being typed.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock};

use rustyline::completion::{Completer, FilenameCompleter, Pair};
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::hint::Hinter;
use rustyline::validate::Validator;
use rustyline::{Context, Helper};

use super::command::COMMANDS;
use super::session::Session;
use super::whole::WHOLE;
use crate::sql::quoted;

/// The words that SQL has of its own, as far as people type them here.
const KEYWORDS: &[&str] = &[
    "ALL",
    "AND",
    "AS",
    "ASC",
    "BETWEEN",
    "BY",
    "CASE",
    "CAST",
    "CROSS",
    "CURRENT",
    "DESC",
    "DESCRIBE",
    "DISTINCT",
    "ELSE",
    "END",
    "EXCEPT",
    "EXISTS",
    "EXPLAIN",
    "FALSE",
    "FILTER",
    "FOLLOWING",
    "FROM",
    "FULL",
    "GROUP",
    "HAVING",
    "IN",
    "INNER",
    "INTERSECT",
    "INTERVAL",
    "IS",
    "JOIN",
    "LEFT",
    "LIKE",
    "LIMIT",
    "NOT",
    "NULL",
    "NULLS",
    "OFFSET",
    "ON",
    "OR",
    "ORDER",
    "OUTER",
    "OVER",
    "PARTITION",
    "PRECEDING",
    "QUALIFY",
    "RIGHT",
    "ROWS",
    "SELECT",
    "SHOW",
    "TABLES",
    "THEN",
    "TRUE",
    "UNBOUNDED",
    "UNION",
    "USING",
    "VALUES",
    "WHEN",
    "WHERE",
    "WINDOW",
    "WITH",
];

/// Commands whose argument is a file.
const FILES: &[&str] = &["\\save ", "\\load ", "\\o ", "\\i ", "\\g "];

/// Everything that can be named.
#[derive(Clone, Debug, Default)]
pub struct Words {
    /// Relations and their columns; whole tables as `db.NAME`, with columns where they are known.
    relations: BTreeMap<String, Vec<String>>,
    views: Vec<String>,
    functions: BTreeSet<String>,
}

impl Words {
    pub(super) fn of(session: &Session) -> Self {
        let whole = session.whole_names().into_iter().map(|name| (format!("{WHOLE}.{name}"), Vec::new()));
        let mut relations: BTreeMap<String, Vec<String>> = whole.collect();
        for (name, schema) in session.columns() {
            relations.insert(name, schema.fields().iter().map(|field| field.name().clone()).collect());
        }
        let views = session.views.files().names().chain(session.views.faulty().names());
        let views: BTreeSet<&str> = views.filter(|name| !name.is_empty()).collect();
        Self {
            relations,
            views: views.into_iter().map(str::to_owned).collect(),
            functions: session.queries.functions(),
        }
    }

    /// Where the word before the cursor starts, and what it may become.
    fn candidates(&self, line: &str, position: usize) -> (usize, Vec<String>) {
        let before = &line[..position];
        let start = before
            .char_indices()
            .rev()
            .take_while(|(_, c)| is_word(*c))
            .last()
            .map_or(position, |(at, _)| at);
        let word = &before[start..];
        if let Some(command) = before.strip_prefix('\\') {
            return (start, self.command_candidates(command, word));
        }
        if let Some((qualifier, column)) = word.rsplit_once('.') {
            let names = if qualifier == WHOLE { self.whole() } else { self.columns_of(qualifier, line) };
            let found = matching(names.iter().map(String::as_str), column);
            return (start, found.into_iter().map(|name| format!("{qualifier}.{}", quoted(&name))).collect());
        }
        let relations = self.relations.keys().map(String::as_str);
        if is_relation_expected(&before[..start]) {
            return (start, matching(relations, word).iter().map(|name| quoted_path(name)).collect());
        }
        let columns = self.columns_in(line);
        let mut found = matching(columns.iter().map(String::as_str), word);
        found.extend(matching(relations.filter(|name| !name.contains('.')), word));
        let mut found: Vec<String> = found.iter().map(|name| quoted(name)).collect();
        if !word.is_empty() {
            let functions = matching(self.functions.iter().map(String::as_str), word);
            found.extend(functions.iter().map(|name| format!("{name}(")));
            let is_lower = word.chars().all(|c| !c.is_uppercase());
            let keyword = |name: String| if is_lower { name.to_lowercase() } else { name };
            found.extend(matching(KEYWORDS.iter().copied(), word).into_iter().map(keyword));
        }
        (start, found)
    }

    fn command_candidates(&self, command: &str, word: &str) -> Vec<String> {
        let Some((name, _)) = command.split_once(char::is_whitespace) else {
            return matching(COMMANDS.iter().map(|(name, _, _)| *name), command);
        };
        match name {
            "d" | "copy" => matching(self.relations.keys().map(String::as_str), word),
            "df" => matching(self.functions.iter().map(String::as_str), word),
            "view" | "edit" | "diff" | "apply" | "revert" | "explain" => {
                matching(self.views.iter().map(String::as_str), word)
            }
            "format" => matching(["table", "json", "csv"], word),
            "timing" => matching(["on", "off"], word),
            "x" => matching(["on", "off", "auto"], word),
            "seek" => matching(["beginning", "end", "stored"], word),
            _ => Vec::new(),
        }
    }

    fn whole(&self) -> Vec<String> {
        let prefix = format!("{WHOLE}.");
        self.relations.keys().filter_map(|name| name.strip_prefix(&prefix)).map(str::to_owned).collect()
    }

    /// The columns of a relation, by its name or by what it is called in the line.
    fn columns_of(&self, name: &str, line: &str) -> Vec<String> {
        if let Some(columns) = self.relations.get(name) {
            return columns.clone();
        }
        let words: Vec<&str> = line.split(|c: char| !is_word(c)).filter(|word| !word.is_empty()).collect();
        let places = words.iter().enumerate().filter(|(_, word)| **word == name).map(|(index, _)| index);
        for place in places {
            let mut earlier = words[..place].iter().rev();
            let relation = earlier.find(|word| !word.eq_ignore_ascii_case("as"));
            if let Some(columns) = relation.and_then(|relation| self.relations.get(*relation)) {
                return columns.clone();
            }
        }
        Vec::new()
    }

    /// The columns of the relations that the line names; of all where it names none.
    fn columns_in(&self, line: &str) -> BTreeSet<String> {
        let named: BTreeSet<&str> = line.split(|c: char| !is_word(c)).collect();
        let mut columns: BTreeSet<String> = BTreeSet::new();
        for (_, of) in self.relations.iter().filter(|(name, _)| named.contains(name.as_str())) {
            columns.extend(of.iter().cloned());
        }
        if columns.is_empty() {
            columns.extend(self.relations.values().flatten().cloned());
        }
        columns
    }
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '_' | '.')
}

/// Names that start with `word`, in upper or lower case.
fn matching<'a>(names: impl IntoIterator<Item = &'a str>, word: &str) -> Vec<String> {
    let folded = word.to_lowercase();
    let is_match = |name: &&str| name.to_lowercase().starts_with(&folded);
    names.into_iter().filter(is_match).map(str::to_owned).collect()
}

/// Whether the name of a relation follows this.
fn is_relation_expected(before: &str) -> bool {
    let last = before.trim_end().rsplit(|c: char| c.is_whitespace() || c == '(').next().unwrap_or_default();
    ["from", "join", "describe"].iter().any(|word| last.eq_ignore_ascii_case(word))
}

/// The name of a relation, or of a whole table, as SQL takes it.
pub(super) fn quoted_path(name: &str) -> String {
    match name.split_once('.') {
        Some((schema, table)) if schema == WHOLE => format!("{schema}.{}", quoted(table)),
        _ => quoted(name),
    }
}

/// What the line editor asks while a person types.
pub(super) struct Assistant {
    /// The lines before this one, of a query that goes on.
    pub before: String,
    pub words: Arc<RwLock<Words>>,
    pub files: FilenameCompleter,
    pub colours: bool,
}

impl Helper for Assistant {}

impl Completer for Assistant {
    type Candidate = Pair;

    fn complete(
        &self,
        line: &str,
        position: usize,
        context: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<Pair>)> {
        if FILES.iter().any(|command| line.starts_with(command)) {
            return self.files.complete(line, position, context);
        }
        let words = self.words.read().unwrap_or_else(PoisonError::into_inner);
        let whole = format!("{}{line}", self.before);
        let (start, mut found) = words.candidates(&whole, self.before.len() + position);
        found.dedup();
        let start = start.saturating_sub(self.before.len());
        Ok((start, found.into_iter().map(|name| Pair { display: name.clone(), replacement: name }).collect()))
    }
}

impl Hinter for Assistant {
    type Hint = String;
}

impl Validator for Assistant {}

impl Highlighter for Assistant {
    fn highlight<'l>(&self, line: &'l str, _position: usize) -> Cow<'l, str> {
        if self.colours { Cow::Owned(coloured(line)) } else { Cow::Borrowed(line) }
    }

    fn highlight_char(&self, _line: &str, _position: usize, kind: CmdKind) -> bool {
        self.colours && kind != CmdKind::MoveCursor
    }
}

/// Keywords bold and texts green.
fn coloured(line: &str) -> String {
    let mut out = String::with_capacity(line.len() * 2);
    let mut rest = line;
    while let Some(first) = rest.chars().next() {
        let (length, colour) = if first == '\'' {
            (rest[1..].find('\'').map_or(rest.len(), |end| end + 2), Some("32"))
        } else if rest.starts_with("--") {
            (rest.find('\n').unwrap_or(rest.len()), Some("2"))
        } else if is_word(first) {
            let length = rest.find(|c: char| !is_word(c)).unwrap_or(rest.len());
            let is_keyword = KEYWORDS.iter().any(|keyword| keyword.eq_ignore_ascii_case(&rest[..length]));
            (length, is_keyword.then_some("1"))
        } else {
            (first.len_utf8(), None)
        };
        match colour {
            Some(colour) => out.push_str(&format!("\x1b[{colour}m{}\x1b[0m", &rest[..length])),
            None => out.push_str(&rest[..length]),
        }
        rest = &rest[length..];
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offered(line: &str) -> Vec<String> {
        let columns = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let words = Words {
            relations: BTreeMap::from([
                ("batch".into(), columns(&["customer", "agency"])),
                ("accounts".into(), columns(&["customer_id", "name"])),
                ("db.reactions".into(), columns(&["reaction"])),
                ("two words".into(), columns(&["a b"])),
            ]),
            views: vec!["reactions".into()],
            functions: ["concat", "count"].map(str::to_owned).into(),
        };
        words.candidates(line, line.len()).1
    }

    #[test]
    fn by_where_the_cursor_stands() {
        assert_eq!(offered("SELECT * FROM b"), ["batch"]);
        assert_eq!(offered("SELECT * FROM "), ["accounts", "batch", "db.reactions", "\"two words\""]);
        assert_eq!(offered("SELECT * FROM db.re"), ["db.reactions"]);
        assert_eq!(offered("SELECT cu"), ["customer", "customer_id", "current"]);
        assert_eq!(offered("SELECT co"), ["concat(", "count("]);
        assert_eq!(offered("SELECT 1 FROM batch WHERE CUST"), ["customer"]);
        assert_eq!(offered("SELECT * FROM batch AS b JOIN accounts a ON a."), ["a.customer_id", "a.name"]);
        assert_eq!(offered("SELECT * FROM batch AS b WHERE b.ag"), ["b.agency"]);
        assert_eq!(offered("sel"), ["select"]);
        assert_eq!(offered("\\gr"), ["graph"]);
        assert_eq!(offered("\\view re"), ["reactions"]);
        assert_eq!(offered("\\d db"), ["db.reactions"]);
        assert_eq!(offered("\\format c"), ["csv"]);
        assert_eq!(offered("SELECT 'é' ag"), ["agency"]);
    }

    #[test]
    fn colours_change_nothing_but_colours() {
        let line = "SELECT 'it''s é', x FROM batch -- done";
        let plain = coloured(line);
        let bare = ["\x1b[0m", "\x1b[1m", "\x1b[32m", "\x1b[2m"]
            .iter()
            .fold(plain.clone(), |text, code| text.replace(code, ""));
        assert_eq!(bare, line);
        assert!(plain.starts_with("\x1b[1mSELECT\x1b[0m"));
    }
}
