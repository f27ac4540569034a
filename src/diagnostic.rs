//! What is wrong with a project, or probably is: faults of configuration, schemas, SQL and tables all become a
//! [`Diagnostic`], and are printed in one way, by every command. In a text the place comes first, as editors want it,
//! then its line with carets, then what to do about it.

use std::fmt;
use std::path::Path;

use serde_json::{Value, json};

/// What was found, and what to do about it. Errors carry the two apart. They are put together when they are printed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Finding {
    /// What was found and what was expected.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// One thing that is wrong, where that is, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    pub severity: Severity,
    pub code: Code,
    pub place: Place,
    /// What was found and what was expected.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Nothing can run.
    Error,
    /// It runs, and probably not as it is meant.
    Warning,
}

/// What kind of finding it is, by a name that does not change. `docs/messages.md` lists these comments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Code {
    // Errors.
    /// A key or a value of the configuration is wrong.
    Config,
    /// An Avro schema is wrong.
    Schema,
    /// A test file is wrong.
    TestFile,
    /// A file cannot be read.
    File,
    /// The text is not SQL, or not exactly one query.
    Syntax,
    /// There is no such column.
    UnknownColumn,
    /// There is no such view or table.
    UnknownRelation,
    /// There is no such function.
    UnknownFunction,
    /// Several tables have a column of this name.
    AmbiguousColumn,
    /// A view returns two columns of one name.
    DuplicateColumn,
    /// A column of a view has no name.
    UnnamedColumn,
    /// The types of arguments or operands do not fit together.
    Type,
    /// A column is neither grouped nor aggregated.
    Grouping,
    /// Views read each other.
    Cycle,
    /// A name is already taken, or reserved.
    Name,
    /// The columns of a state table are wrong.
    State,
    /// The key of a table, or what it is matched with, is wrong.
    Key,
    /// An output is not a view.
    Output,
    /// A view is wrong in another way.
    Sql,
    /// A reference table is wrong.
    ReferenceTable,
    /// A table that the job writes is not as it must be.
    Table,
    /// The database refuses the user or the settings.
    Database,
    /// A topic or a property of Kafka is wrong.
    Kafka,
    /// The project and the schema registry do not agree.
    Registry,
    /// A server does not answer.
    Unreachable,
    /// A date format is written as in another database.
    DateFormat,
    // Warnings.
    /// Rows depend on how messages are cut into batches.
    CutDependent,
    /// A function returns another value in each run.
    NotRepeatable,
    /// Nothing decides which rows come first.
    NoOrder,
    /// A sum of doubles depends on the order of addition.
    InexactSum,
    /// A sum of integers grows without end and may exceed its type.
    Overflow,
    /// A keyed table is not joined on its key.
    KeyNotUsed,
    /// Rows of an output do not say which message they come from.
    NoMessageIdentity,
    /// The type of a value is changed without a cast.
    SilentConversion,
    /// A column that is written has an integer division, which drops the fraction.
    IntegerDivision,
    /// A cast drops the fraction of a double.
    FractionCutOff,
    /// The order of a window puts NULLs first without saying so.
    NullsFirst,
    /// A comparison with NULL is never true.
    NullComparison,
    /// A comma is probably missing before a name.
    MissingComma,
    /// An output selects `*`, so its columns may change.
    Star,
    /// The job will add a column to a table.
    NewColumn,
    /// The job will create a table whose name is nearly that of another.
    NewTable,
    /// A column of type ENUM does not have a word of the Avro enum.
    UnknownWord,
    /// A column that takes no NULL may get one.
    MayBeNull,
    /// Text may be longer than its column.
    TextTooLong,
    /// A logical type of a schema is not valid, and is ignored.
    LogicalType,
    /// Nothing uses a view, a table or a key.
    Unused,
    /// Something could not be checked.
    NotChecked,
}

/// Where in the files something is, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// As a person would open it: `sql/reactions.sql`; empty where there is none.
    pub file: String,
    pub span: Option<Span>,
}

/// A part of one line of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// In characters, at least 1; what goes on in later lines is left out.
    pub width: usize,
    /// The whole line; empty where it must not be shown.
    pub text: String,
}

impl Finding {
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None }
    }

    #[must_use]
    pub fn with_hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// The same, with this hint if there is one.
    #[must_use]
    pub fn with_hint_if_some(self, hint: Option<String>) -> Self {
        Self { hint: hint.or(self.hint), ..self }
    }

    /// The same, with more to do about it than was said.
    #[must_use]
    pub fn with_further_hint(self, further: &str) -> Self {
        let hint = self.hint.as_ref().map_or_else(|| further.to_owned(), |hint| format!("{hint}; {further}"));
        self.with_hint(hint)
    }

    /// Several as one: their messages, and their hints, each once.
    pub fn joined(all: impl IntoIterator<Item = Self>) -> Self {
        let (mut messages, mut hints) = (Vec::new(), Vec::new());
        for Self { message, hint } in all {
            messages.push(message);
            hints.extend(hint.filter(|hint| !hints.contains(hint)));
        }
        let hint = (!hints.is_empty()).then(|| hints.join("; "));
        Self { message: messages.join("; "), hint }
    }

    /// The same, with where or when it was found: `context: message`.
    #[must_use]
    pub fn within(self, context: impl fmt::Display) -> Self {
        self.reworded(|message| format!("{context}: {message}"))
    }

    /// The same, in the field of this path if there is one.
    #[must_use]
    pub fn within_field(self, path: &str) -> Self {
        if path.is_empty() { self } else { self.within(format!("field `{path}`")) }
    }

    /// The same, with another message made of this one.
    #[must_use]
    pub fn reworded(self, reword: impl FnOnce(&str) -> String) -> Self {
        Self { message: reword(&self.message), ..self }
    }
}

impl From<String> for Finding {
    fn from(message: String) -> Self {
        Self::new(message)
    }
}

impl From<&str> for Finding {
    fn from(message: &str) -> Self {
        Self::new(message)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        write_hint(f, self.hint.as_deref())
    }
}

/// The last line of what is printed.
fn write_hint(f: &mut fmt::Formatter<'_>, hint: Option<&str>) -> fmt::Result {
    hint.map_or(Ok(()), |hint| write!(f, "\nhint: {hint}"))
}

impl Diagnostic {
    pub fn error(code: Code, place: Place, found: impl Into<Finding>) -> Self {
        let Finding { message, hint } = found.into();
        Self { severity: Severity::Error, code, place, message, hint }
    }

    pub fn warning(code: Code, place: Place, found: impl Into<Finding>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, place, found) }
    }

    #[must_use]
    pub fn with_hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// The same as one JSON object; what is not known is null.
    pub fn to_json(&self) -> Value {
        let span = self.place.span.as_ref();
        json!({
            "type": "diagnostic",
            "severity": self.severity.as_str(),
            "code": self.code.to_string(),
            "file": (!self.place.file.is_empty()).then_some(&self.place.file),
            "line": span.map(|span| span.line),
            "column": span.map(|span| span.column),
            "endColumn": span.map(|span| span.column + span.width),
            "source": span.map(|span| &span.text).filter(|text| !text.is_empty()),
            "message": self.message,
            "hint": self.hint,
        })
    }
}

impl Severity {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// `unknown-column` for [`Code::UnknownColumn`].
impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, letter) in format!("{self:?}").chars().enumerate() {
            if letter.is_uppercase() && index > 0 {
                f.write_str("-")?;
            }
            write!(f, "{}", letter.to_ascii_lowercase())?;
        }
        Ok(())
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { file, span } = &self.place;
        if !file.is_empty() {
            write!(f, "{file}:")?;
            if let Some(span) = span {
                write!(f, "{}:{}:", span.line, span.column)?;
            }
            f.write_str(" ")?;
        }
        write!(f, "{}: {}", self.severity.as_str(), self.message)?;
        if let Some(span) = span {
            span.write_source(f)?;
        }
        write_hint(f, self.hint.as_deref())
    }
}

impl Place {
    /// A file as a whole.
    pub fn of_file(file: impl Into<String>) -> Self {
        Self { file: file.into(), span: None }
    }

    /// A place in `text`; `line` and `column` count from 1, and what lies outside is moved inside.
    pub fn at(file: &str, text: &str, line: usize, column: usize, width: usize) -> Self {
        let (line, column) = (line.max(1), column.max(1));
        let content = text.lines().nth(line - 1).unwrap_or_default().to_owned();
        let length = content.chars().count();
        let column = column.min(length + 1);
        let width = width.clamp(1, (length + 1 - column).max(1));
        Self { file: file.to_owned(), span: Some(Span { line, column, width, text: content }) }
    }

    /// The first of `words` that is in a line of `text`; if none is, all that the line holds.
    pub fn of_word(file: &str, text: &str, line: usize, words: &[&str]) -> Self {
        let content = text.lines().nth(line.max(1) - 1).unwrap_or_default();
        let found = words.iter().find_map(|word| Some((whole_word(content, word)?, *word)));
        let (start, part) = found.unwrap_or_else(|| {
            let part = content.trim();
            (content.len() - content.trim_start().len(), part)
        });
        let column = content[..start].chars().count() + 1;
        Self::at(file, text, line, column, part.chars().count())
    }

    /// The same place, without the text that is there.
    #[must_use]
    pub fn without_text(self) -> Self {
        let span = self.span.map(|span| Span { text: String::new(), ..span });
        Self { span, ..self }
    }
}

/// Where `word` begins in `line`, with no letter, digit or underscore of a longer word beside it.
fn whole_word(line: &str, word: &str) -> Option<usize> {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).map(|(start, _)| start).find(|start| {
        let before = line[..*start].chars().next_back();
        let after = line[start + word.len()..].chars().next();
        !word.is_empty() && !before.is_some_and(is_part) && !after.is_some_and(is_part)
    })
}

impl Span {
    /// The line with its number, and carets under the part that is meant.
    fn write_source(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.text.is_empty() {
            return Ok(());
        }
        let number = self.line.to_string();
        let margin = " ".repeat(number.len());
        // Tabs stay tabs, so that the carets stand where the terminal puts the text.
        let indent: String =
            self.text.chars().take(self.column - 1).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        let carets = "^".repeat(self.width.max(1));
        write!(f, "\n{margin} |\n{number} | {}\n{margin} | {indent}{carets}", self.text)
    }
}

/// Several as one text, one after the other.
pub fn render(all: &[impl fmt::Display]) -> String {
    let texts: Vec<String> = all.iter().map(ToString::to_string).collect();
    texts.join("\n")
}

/// `1 message`, `2 messages`.
pub(crate) fn counted<N: fmt::Display + From<u8> + PartialEq>(count: N, what: &str) -> String {
    let end = if count == N::from(1_u8) { "" } else { "s" };
    format!("{count} {what}{end}")
}

/// The beginning of a text, with `...` after it if there is more.
pub(crate) fn beginning(text: String, characters_max: usize) -> String {
    match text.char_indices().nth(characters_max) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

/// A path as a person would write it.
pub fn shown(path: &Path) -> String {
    let path = path.strip_prefix(".").unwrap_or(path);
    path.display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_words_with_hyphens() {
        assert_eq!(Code::UnknownColumn.to_string(), "unknown-column");
        assert_eq!(Code::Sql.to_string(), "sql");
    }

    #[test]
    fn what_is_done_to_a_message_leaves_its_hint_alone() {
        let found = |message: &str| Finding::new(message).with_hint("look there");
        let told = found("gone").within("the server").reworded(|message| format!("{message}; waiting"));
        assert_eq!(told.to_string(), "the server: gone; waiting\nhint: look there");
        let all = Finding::joined([found("a"), found("b"), Finding::new("c").with_hint("wait")]);
        assert_eq!(all.to_string(), "a; b; c\nhint: look there; wait");
        assert_eq!(found("a").with_further_hint("wait").to_string(), "a\nhint: look there; wait");
        assert_eq!(Finding::joined([Finding::new("a")]), "a".into());
    }

    #[test]
    fn the_place_the_line_a_caret_and_the_hint() {
        let text = "a: 1\nkafka_topics: x # kafka_topic\n";
        let place = Place::of_word("config.yaml", text, 2, &["kafka_topic", "kafka_topics"]);
        let found = Diagnostic::error(Code::Config, place, "unknown key").with_hint("did you mean?");
        insta::assert_snapshot!(found, @r"
        config.yaml:2:19: error: unknown key
          |
        2 | kafka_topics: x # kafka_topic
          |                   ^^^^^^^^^^^
        hint: did you mean?
        ");
        let place = Place::of_word("config.yaml", text, 2, &["absent"]).without_text();
        assert_eq!(Diagnostic::warning(Code::Config, place, "x").to_string(), "config.yaml:2:1: warning: x");
    }

    #[test]
    fn json_says_what_the_text_says() {
        let place = Place::at("sql/v.sql", "SELECT é, b", 1, 11, 1);
        let found = Diagnostic::error(Code::UnknownColumn, place, "no column `b`").to_json();
        assert_eq!(
            found.to_string(),
            r#"{"type":"diagnostic","severity":"error","code":"unknown-column","file":"sql/v.sql","line":1,"column":11,"endColumn":12,"source":"SELECT é, b","message":"no column `b`","hint":null}"#
        );
    }
}
