//! From an error of the planner to a place in the file: by the span it carries, by the line and column in its
//! text, or by finding the name it speaks of among the tokens of the view.

use datafusion::common::{Column, SchemaError, Span as PlannerSpan};
use datafusion::error::DataFusionError;
use datafusion::sql::sqlparser::tokenizer::{Span as TokenSpan, Token, TokenWithSpan, Word};

use super::error::SqlError;
use super::names;
use super::run_errors;
use super::sql_types::in_sql;
use super::view_files::ViewFile;
use crate::diagnostic::{Code, Place};
use crate::nearest::distance;

/// A place in `text`, where the parser and the planner count with 64 bits.
pub(super) fn place(file: &str, text: &str, line: u64, column: u64, width: usize) -> Place {
    let number = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    Place::at(file, text, number(line), number(column), width)
}

/// The characters of a span, as far as its first line goes.
pub(super) fn width(span: TokenSpan) -> usize {
    if span.end.line == span.start.line {
        usize::try_from(span.end.column.saturating_sub(span.start.column)).unwrap_or(1).max(1)
    } else {
        usize::MAX
    }
}

/// A syntax error, with the place its text ends in (`at Line: 3, Column: 7`), else the end of the tokens.
pub(super) fn syntax_error(
    error: &DataFusionError,
    file: &str,
    text: &str,
    tokens: &[TokenWithSpan],
) -> SqlError {
    let message = error.find_root().message().into_owned();
    let message = message.trim_start_matches("ParserError(\"").trim_end_matches("\")");
    let message = message.trim_start_matches("sql parser error: ");
    let (message, position) = match message.split_once(" at Line: ") {
        Some((message, position)) => (message, line_and_column(position)),
        None => (message, None),
    };
    let place = match position {
        Some((line, column)) => place(file, text, line, column, 1),
        None => {
            let end = tokens.iter().rev().map(|token| token.span.end).find(|end| end.line > 0);
            end.map_or_else(|| place(file, text, 1, 1, 1), |end| place(file, text, end.line, end.column, 1))
        }
    };
    if let Some((token, keyword)) = misspelt(tokens, position) {
        let start = token.span.start;
        let place = self::place(file, text, start.line, start.column, width(token.span));
        let message = format!("`{}` is no keyword", token.token);
        return SqlError::wrong(Code::Syntax, place, message).with_hint(format!("did you mean `{keyword}`?"));
    }
    let message = lower_first(message);
    let is_word = position.is_some_and(|position| is_word_at(tokens, position));
    let hint = match message.split_once("expected: end of statement, found: ") {
        Some((_, found)) if is_word => Some(format!("is a comma missing before `{found}`?")),
        _ => None,
    };
    // Why: the parser's "found: EOF" says little to a person whose last line ends with a comma.
    let message = message.replace("found: EOF", "found the end of the file");
    SqlError::wrong(Code::Syntax, place, message).with_hint_if_some(hint)
}

/// Keywords that a query is misread without.
const KEYWORDS: [&str; 15] = [
    "BETWEEN",
    "DISTINCT",
    "EXCEPT",
    "FROM",
    "GROUP",
    "HAVING",
    "INNER",
    "JOIN",
    "LIMIT",
    "ORDER",
    "OUTER",
    "PARTITION",
    "SELECT",
    "UNION",
    "WHERE",
];

/// The word at a syntax error, or before it, that is nearly a keyword: a misspelt one is taken for another name of what comes
/// before it.
fn misspelt(
    tokens: &[TokenWithSpan],
    position: Option<(u64, u64)>,
) -> Option<(&TokenWithSpan, &'static str)> {
    let is_there = |token: &TokenWithSpan| position == Some((token.span.start.line, token.span.start.column));
    let near = |token: &TokenWithSpan| {
        let Token::Word(Word { value, quote_style: None, .. }) = &token.token else { return None };
        let word = value.to_uppercase();
        // A plural is a name.
        let is_near =
            |keyword: &&&str| distance(&word, keyword) == 1 && word.strip_suffix('S') != Some(**keyword);
        if KEYWORDS.contains(&word.as_str()) { None } else { KEYWORDS.iter().find(is_near).copied() }
    };
    // Without a place, the words before it were read as something.
    let searched = match tokens.iter().position(is_there) {
        Some(at) => &tokens[at.saturating_sub(1)..=at],
        None => tokens,
    };
    searched.iter().find_map(|token| Some((token, near(token)?)))
}

/// Whether this is a name, rather than a sign.
fn is_word_at(tokens: &[TokenWithSpan], (line, column): (u64, u64)) -> bool {
    let here = tokens.iter().find(|token| (token.span.start.line, token.span.start.column) == (line, column));
    here.is_some_and(|token| matches!(token.token, Token::Word(_)))
}

fn line_and_column(position: &str) -> Option<(u64, u64)> {
    let (line, rest) = position.split_once(", Column: ")?;
    let column: String = rest.chars().take_while(char::is_ascii_digit).collect();
    Some((line.trim().parse().ok()?, column.parse().ok()?))
}

/// The faults in an error of the planner, each with its place.
pub(super) fn plan_errors(view: &ViewFile, error: &DataFusionError) -> Vec<SqlError> {
    error.iter().map(|error| plan_error(view, error)).collect()
}

fn plan_error(view: &ViewFile, error: &DataFusionError) -> SqlError {
    let span = diagnostic_place(view, error);
    let root = error.find_root();
    if let DataFusionError::SchemaError(fault, _) = root {
        return schema_error(view, fault, span);
    }
    let told = match error.diagnostic() {
        Some(diagnostic) if diagnostic.message.contains("GROUP BY clause") => {
            not_grouped(&diagnostic.message)
        }
        // Where the planner gives advice, its diagnostic is the better text.
        Some(diagnostic) if !diagnostic.helps.is_empty() => {
            let advice: Vec<&str> = diagnostic.helps.iter().map(|help| help.message.as_str()).collect();
            let code = code_of(&diagnostic.message);
            Told::new(code, lower_first(&diagnostic.message)).hint(lower_first(&advice.join("; ")))
        }
        _ => readable(&run_errors::said(root)),
    };
    let place = span.or_else(|| place_of_named(view, &told.message)).unwrap_or_else(|| view.start());
    SqlError::wrong(told.code, place, in_sql(&told.message))
        .with_hint_if_some(told.hint.map(|hint| in_sql(&hint)))
}

fn diagnostic_place(view: &ViewFile, error: &DataFusionError) -> Option<Place> {
    let diagnostic = error.diagnostic()?;
    let mut spans = diagnostic.span.into_iter().chain(diagnostic.notes.iter().filter_map(|note| note.span));
    spans.next().map(|span| place_of_span(&view.file, &view.text, span))
}

/// The place of the expression that failed on a row, if the error knows it.
pub(super) fn row_error(file: &str, text: &str, error: &DataFusionError) -> Option<Place> {
    error.diagnostic()?.span.map(|span| place_of_span(file, text, span))
}

fn place_of_span(file: &str, text: &str, span: PlannerSpan) -> Place {
    let width = if span.start.line == span.end.line {
        usize::try_from(span.end.column.saturating_sub(span.start.column)).unwrap_or(1)
    } else {
        usize::MAX
    };
    place(file, text, span.start.line, span.start.column, width)
}

fn schema_error(view: &ViewFile, fault: &SchemaError, span: Option<Place>) -> SqlError {
    let at = |name: &str| {
        let found = || find_word(view, name).map(|token| view.place_of(token));
        span.clone().or_else(found).unwrap_or_else(|| view.start())
    };
    match fault {
        SchemaError::FieldNotFound { field, valid_fields } => {
            field_not_found(field, valid_fields, at(&field.name))
        }
        SchemaError::AmbiguousReference { field } => {
            let message =
                format!("`{}` is ambiguous: more than one relation has a column of that name", field.name);
            SqlError::wrong(Code::AmbiguousColumn, at(&field.name), message)
                .with_hint("write `relation.column`")
        }
        SchemaError::DuplicateQualifiedField { name, .. }
        | SchemaError::DuplicateUnqualifiedField { name } => {
            let place = last_word(view, name).map(|token| view.place_of(token));
            let message = format!("two columns are called `{name}`");
            SqlError::wrong(Code::DuplicateColumn, place.or(span).unwrap_or_else(|| view.start()), message)
                .with_hint("give one of them another name: `expression AS name`")
        }
    }
}

fn field_not_found(field: &Column, valid: &[Column], place: Place) -> SqlError {
    let relation = field.relation.as_ref().map(ToString::to_string);
    let (message, names) = match &relation {
        Some(relation) => {
            let of_relation = valid.iter().filter(|column| {
                column.relation.as_ref().is_some_and(|candidate| candidate.table() == relation.as_str())
            });
            let names: Vec<&str> = of_relation.map(Column::name).collect();
            if names.is_empty() {
                let relations: Vec<&str> =
                    valid.iter().filter_map(|column| column.relation.as_ref()).map(|r| r.table()).collect();
                let message = format!("no relation `{relation}` here, for its column `{}`", field.name);
                return SqlError::wrong(Code::UnknownRelation, place, message)
                    .with_hint_if_some(names::hint(relation, relations));
            }
            (format!("`{relation}` has no column `{}`", field.name), names)
        }
        None => {
            // A name without a relation is an alias of the SELECT list.
            let is_own = |column: &&Column| column.relation.is_some();
            let own: Vec<&str> = valid.iter().filter(is_own).map(Column::name).collect();
            let names = match names::near(&field.name, &own) {
                Some(_) => own,
                None => valid.iter().map(Column::name).collect(),
            };
            (format!("no column `{}`", field.name), names)
        }
    };
    // In MySQL and Spark double quotes are for text.
    if is_double_quoted(&place) && names::near(&field.name, &names).is_none() {
        let hint = format!("text is written in single quotes: '{}'", field.name);
        return SqlError::wrong(Code::UnknownColumn, place, message).with_hint(hint);
    }
    SqlError::wrong(Code::UnknownColumn, place, message).with_hint_if_some(names::hint(&field.name, names))
}

fn is_double_quoted(place: &Place) -> bool {
    place.span.as_ref().is_some_and(|span| span.text.chars().nth(span.column - 1) == Some('"'))
}

/// The planner's text as a sentence of ours, and what of it is advice.
struct Told {
    code: Code,
    message: String,
    hint: Option<String>,
}

impl Told {
    fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None }
    }

    fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

/// "'batch.agency' must appear in GROUP BY clause because it's not an aggregate expression".
fn not_grouped(message: &str) -> Told {
    let expression = message.split('\'').nth(1).unwrap_or("this column");
    let column = expression.rsplit('.').next().unwrap_or(expression);
    let message = format!("`{expression}` is neither in GROUP BY nor inside an aggregate function");
    Told::new(Code::Grouping, message).hint(format!(
        "add it to GROUP BY, or say which of the group's values is meant: `max({expression}) AS {column}`"
    ))
}

fn readable(message: &str) -> Told {
    if let Some((message, suggestion)) = message.split_once("\nDid you mean ") {
        let called = message.split('\'').nth(1).unwrap_or_default();
        let told = Told::new(Code::UnknownFunction, lower_first(message.trim_end_matches('.')));
        if let Some(instead) = names::function_elsewhere(called) {
            return told.hint(format!("write {instead}"));
        }
        let name = suggestion.trim_end_matches('?').trim_matches('\'');
        // Why: the planner suggests its nearest function however far that is.
        return Told { hint: names::near(called, &[name]), ..told };
    }
    let message = message.trim_start_matches("Error during planning: ");
    let duplicate = message.strip_prefix("Projections require unique expression names but the expression \"");
    if let Some(rest) = duplicate {
        let name = rest.split('"').next().unwrap_or_default();
        let name = name.rsplit(" AS ").next().unwrap_or(name);
        let name = name.rsplit('.').next().unwrap_or(name);
        return Told::new(Code::DuplicateColumn, format!("two columns are called `{name}`"))
            .hint("give one of them another name: `expression AS name`");
    }
    const NO_MATCH: &str = "No function matches the given name and argument types '";
    if let Some((_, rest)) = message.split_once(NO_MATCH) {
        let (call, rest) = rest.split_once("'.").unwrap_or((rest, ""));
        let candidates = rest.split_once("Candidate functions:").map_or("", |(_, candidates)| candidates);
        let candidates: Vec<&str> = candidates
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.contains("UserDefined"))
            .collect();
        let hint = (!candidates.is_empty()).then(|| format!("it is called as {}", candidates.join(" or ")));
        let told = Told::new(Code::Type, format!("no function `{call}`: it takes other arguments"));
        return Told { hint, ..told };
    }
    let message = message.split("\nThis issue was likely caused by a bug").next().unwrap_or(message);
    Told::new(code_of(message), lower_first(message.trim().trim_end_matches('.')))
}

fn code_of(message: &str) -> Code {
    let is_of_types = ["coerce", "boolean type", "no operator"].iter().any(|words| message.contains(words));
    if is_of_types { Code::Type } else { Code::Sql }
}

/// The place of the first name in quotes that the view's text has too: a function or a column.
fn place_of_named(view: &ViewFile, message: &str) -> Option<Place> {
    let is_duplicate = message.starts_with("two columns are called");
    let quoted = ['\'', '`', '"'].into_iter().flat_map(|quote| message.split(quote).skip(1).step_by(2));
    let by_quote = quoted.filter(|name| !name.is_empty()).find_map(|name| {
        if is_duplicate {
            return last_word(view, name);
        }
        find_function(view, name).or_else(|| find_word(view, name)).or_else(|| find_text(view, name))
    });
    // Many messages name the function without quotes, so any word of theirs that is called in the view will do.
    let words = || message.split(|c: char| !c.is_alphanumeric() && c != '_');
    let token = by_quote.or_else(|| words().find_map(|word| find_function(view, word)))?;
    Some(view.place_of(token))
}

fn find_function<'a>(view: &'a ViewFile, name: &str) -> Option<&'a TokenWithSpan> {
    let calls = view.tokens.windows(2).filter(|pair| pair[1].token == Token::LParen);
    calls
        .map(|pair| &pair[0])
        .find(|token| matches!(&token.token, Token::Word(word) if word.value.eq_ignore_ascii_case(name)))
}

pub(super) fn find_word<'a>(view: &'a ViewFile, name: &str) -> Option<&'a TokenWithSpan> {
    view.tokens.iter().find(|token| is_word(token, name))
}

fn find_text<'a>(view: &'a ViewFile, text: &str) -> Option<&'a TokenWithSpan> {
    view.tokens.iter().find(|token| matches!(&token.token, Token::SingleQuotedString(found) if found == text))
}

fn last_word<'a>(view: &'a ViewFile, name: &str) -> Option<&'a TokenWithSpan> {
    view.tokens.iter().rfind(|token| is_word(token, name))
}

fn is_word(token: &TokenWithSpan, name: &str) -> bool {
    matches!(&token.token, Token::Word(word) if word.value == name)
}

/// The text with its first letter in lower case, unless its first word is all capitals.
pub(super) fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        (Some(first), Some(second)) if first.is_uppercase() && !second.is_uppercase() => {
            first.to_lowercase().chain(text.chars().skip(1)).collect()
        }
        _ => text.to_owned(),
    }
}
