//! From an error of the parser or the planner to a place in the file: by the span or the position that it carries, or by the
//! name that it is about, as the tokens of the view have it.

use datafusion::common::{Column, SchemaError, Span as PlannerSpan};
use datafusion::error::DataFusionError;
use datafusion::sql::sqlparser::tokenizer::{Span as TokenSpan, Token, TokenWithSpan, Tokenizer, Word};

use super::dialect::SqlDialect;
use super::error::SqlError;
use super::names;
use super::sql_types::in_sql;
use super::upstream::{self, Syntax, Told};
use super::view_files::ViewFile;
use crate::diagnostic::{Code, Finding, Place};
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
    let Syntax { message, position, after_end } = upstream::syntax(error);
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
    let is_word = position.is_some_and(|position| is_word_at(tokens, position));
    let comma = || after_end.filter(|_| is_word).map(|found| format!("is a comma missing before `{found}`?"));
    let hint = written_elsewhere(tokens, position).map(str::to_owned).or_else(comma);
    SqlError::wrong(Code::Syntax, place, Finding::new(message).with_hint_if_some(hint))
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

/// Words of other databases that the parser does not know, each with what to write.
const WORDS_ELSEWHERE: [(&str, &str); 5] = [
    ("EXCLUDE", "compute over the whole frame, and take the row's own value away: `sum(x) OVER w - x`"),
    ("SYMMETRIC", "write the smaller number first: `x BETWEEN least(a, b) AND greatest(a, b)`"),
    ("LEADING FROM", "write `ltrim(x)`"),
    ("TRAILING FROM", "write `rtrim(x)`"),
    ("BOTH FROM", "write `trim(x)`"),
];

/// What to write instead of the words at a syntax error, or shortly before it.
fn written_elsewhere(tokens: &[TokenWithSpan], position: Option<(u64, u64)>) -> Option<&'static str> {
    let near: Vec<String> =
        near(tokens, position, 2)?.iter().map(|token| token.token.to_string().to_uppercase()).collect();
    let is_near = |words: &str| near.windows(words.split(' ').count()).any(|found| found.join(" ") == words);
    WORDS_ELSEWHERE.iter().find(|(words, _)| is_near(words)).map(|(_, hint)| *hint)
}

/// The token at a place, and this number of tokens before it.
fn near(tokens: &[TokenWithSpan], position: Option<(u64, u64)>, before: usize) -> Option<&[TokenWithSpan]> {
    let is_there = |token: &TokenWithSpan| position == Some((token.span.start.line, token.span.start.column));
    let at = tokens.iter().position(is_there)?;
    Some(&tokens[at.saturating_sub(before)..=at])
}

/// The word at a syntax error, or before it, that is nearly a keyword: a misspelt one is taken for another name of what comes
/// before it.
fn misspelt(
    tokens: &[TokenWithSpan],
    position: Option<(u64, u64)>,
) -> Option<(&TokenWithSpan, &'static str)> {
    let nearly = |token: &TokenWithSpan| {
        let Token::Word(Word { value, quote_style: None, .. }) = &token.token else { return None };
        let word = value.to_uppercase();
        // A plural is a name.
        let is_near =
            |keyword: &&&str| distance(&word, keyword) == 1 && word.strip_suffix('S') != Some(**keyword);
        if KEYWORDS.contains(&word.as_str()) { None } else { KEYWORDS.iter().find(is_near).copied() }
    };
    // Without a place, the words before it were read as something.
    let searched = near(tokens, position, 1).unwrap_or(tokens);
    searched.iter().find_map(|token| Some((token, nearly(token)?)))
}

/// Whether this is a name, rather than a sign.
fn is_word_at(tokens: &[TokenWithSpan], (line, column): (u64, u64)) -> bool {
    let here = tokens.iter().find(|token| (token.span.start.line, token.span.start.column) == (line, column));
    here.is_some_and(|token| matches!(token.token, Token::Word(_)))
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
    let told = upstream::planner(error);
    let place = span.or_else(|| place_of_named(view, &told)).unwrap_or_else(|| view.start());
    let Finding { message, hint } = told.found;
    let found = Finding::new(in_sql(&message)).with_hint_if_some(hint.map(|hint| in_sql(&hint)));
    SqlError::wrong(told.code, place, found)
}

fn diagnostic_place(view: &ViewFile, error: &DataFusionError) -> Option<Place> {
    let diagnostic = error.diagnostic()?;
    let mut spans = diagnostic.span.into_iter().chain(diagnostic.notes.iter().filter_map(|note| note.span));
    spans.next().map(|span| place_of_span(&view.file, &view.text, span))
}

/// The place of the expression that failed on a row, if the error knows it, or has the expression as it is written.
pub(super) fn row_error(file: &str, text: &str, error: &DataFusionError, message: &str) -> Option<Place> {
    let expression = match error.diagnostic() {
        Some(diagnostic) => match diagnostic.span {
            Some(span) => return Some(place_of_span(file, text, span)),
            None => diagnostic.message.as_str(),
        },
        None => upstream::expression(message)?,
    };
    let (written, text_tokens) = (tokens_of(expression)?, tokens_of(text)?);
    let is_here = |from: &usize| tokens_that_are(&text_tokens[*from..], &written);
    let (from, count) = (0..text_tokens.len()).find_map(|from| Some((from, is_here(&from)?)))?;
    let (first, last) = (text_tokens[from].span, text_tokens[from + count - 1].span);
    Some(place(
        file,
        text,
        first.start.line,
        first.start.column,
        width(TokenSpan::new(first.start, last.end)),
    ))
}

/// The tokens of SQL but those that an expression may have more or fewer of.
fn tokens_of(text: &str) -> Option<Vec<TokenWithSpan>> {
    let tokens = Tokenizer::new(&SqlDialect, text).tokenize_with_location().ok()?;
    let is_told =
        |token: &TokenWithSpan| !matches!(token.token, Token::Whitespace(_) | Token::LParen | Token::RParen);
    Some(tokens.into_iter().filter(is_told).collect())
}

/// How many of the first tokens of `text` are those of an expression, whose names may have their relation before them.
fn tokens_that_are(text: &[TokenWithSpan], expression: &[TokenWithSpan]) -> Option<usize> {
    let same = |one: &Token, other: &Token| match (one, other) {
        (Token::Word(one), Token::Word(other)) => one.value.eq_ignore_ascii_case(&other.value),
        _ => one == other,
    };
    let (mut count, mut rest) = (0, expression);
    while let Some(token) = rest.first() {
        if text.get(count).is_some_and(|found| same(&found.token, &token.token)) {
            (count, rest) = (count + 1, &rest[1..]);
        } else if matches!(rest, [word, period, ..]
            if matches!(word.token, Token::Word(_)) && period.token == Token::Period)
        {
            rest = &rest[2..];
        } else {
            return None;
        }
    }
    (count > 0).then_some(count)
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
            let told = upstream::two_of_a_name(name);
            let place = place_of_named(view, &told).or(span).unwrap_or_else(|| view.start());
            SqlError::wrong(told.code, place, told.found)
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

/// The place of the first name that the view's text has too: a function, a column or a text. Of two columns of one name, the
/// second.
fn place_of_named(view: &ViewFile, told: &Told) -> Option<Place> {
    let find = |name: &String| match told.code {
        Code::DuplicateColumn => last_word(view, name),
        _ => find_function(view, name).or_else(|| find_word(view, name)).or_else(|| find_text(view, name)),
    };
    let named = told.names.iter().find_map(find);
    let token = named.or_else(|| told.words.iter().find_map(|word| find_function(view, word)))?;
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
