//! What DataFusion and its parser say in words alone. Their errors carry a code for few faults and a span for some; for the
//! others the words are all there is. Whatever is read out of those words is read here, and a test shows each text as
//! upstream has it: one that changes is noticed.

use arrow::error::ArrowError;
use datafusion::common::Diagnostic;
use datafusion::error::DataFusionError;
use datafusion::sql::sqlparser::parser::ParserError;

use super::error::Refused;
use super::names;
use crate::diagnostic::{Code, Finding};

/// What the parser found, and where.
pub(super) struct Syntax {
    pub message: String,
    /// Line and column, from 1.
    pub position: Option<(u64, u64)>,
    /// What follows a statement that is whole.
    pub after_end: Option<String>,
}

/// An error of the planner as a sentence of ours.
pub(super) struct Told {
    pub code: Code,
    pub found: Finding,
    /// The names that it speaks of, which may be names of the view.
    pub names: Vec<String>,
    /// Its other words: some messages name a function without quotes.
    pub words: Vec<String>,
}

/// An error of the parser.
pub(super) fn syntax(error: &DataFusionError) -> Syntax {
    const POSITION: &str = " at Line: ";
    const AFTER_END: &str = "expected: end of statement, found: ";
    let said = match error.find_root() {
        DataFusionError::SQL(error, _) => match error.as_ref() {
            ParserError::ParserError(said) | ParserError::TokenizerError(said) => said.clone(),
            ParserError::RecursionLimitExceeded => "recursion limit exceeded".to_owned(),
        },
        other => other.message().into_owned(),
    };
    let (said, position) = match said.split_once(POSITION) {
        Some((said, position)) => (said, line_and_column(position)),
        None => (said.as_str(), None),
    };
    let message = lower_first(said);
    let after_end = message.split_once(AFTER_END).map(|(_, found)| found.to_owned());
    // Why: "found: EOF" says little to a person whose last line ends with a comma.
    let message = message.replace("found: EOF", "found the end of the file");
    Syntax { message, position, after_end }
}

/// "3, Column: 7".
fn line_and_column(position: &str) -> Option<(u64, u64)> {
    let (line, rest) = position.split_once(", Column: ")?;
    let column: String = rest.chars().take_while(char::is_ascii_digit).collect();
    Some((line.trim().parse().ok()?, column.parse().ok()?))
}

/// An error of the planner, by its diagnostic if that says more.
pub(super) fn planner(error: &DataFusionError) -> Told {
    if let DataFusionError::External(cause) = error.find_root()
        && let Some(Refused { code, found }) = cause.downcast_ref()
    {
        let hint = found.hint.as_deref().map(lower_first);
        return Told::of_text(*code, Finding { message: lower_first(&found.message), hint });
    }
    match error.diagnostic() {
        Some(diagnostic) if diagnostic.message.contains(NOT_GROUPED) => not_grouped(&diagnostic.message),
        Some(diagnostic) if !diagnostic.helps.is_empty() => advised(diagnostic),
        _ => in_words(&said(error.find_root())),
    }
}

const NOT_GROUPED: &str = "GROUP BY clause";
const NO_FUNCTION: &str = "\nDid you mean ";
const TWO_OF_A_NAME: &str = "Projections require unique expression names but the expression \"";
const NO_MATCH: &str = "No function matches the given name and argument types '";
const CANDIDATES: &str = "Candidate functions:";
/// A signature that says nothing to a person.
const NO_SIGNATURE: &str = "UserDefined";
/// Of an error about types.
const OF_TYPES: [&str; 2] = ["coerce", "boolean type"];

impl Told {
    fn new(code: Code, found: impl Into<Finding>, names: &[&str]) -> Self {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        Self { code, found: found.into(), names, words: Vec::new() }
    }

    /// Any name that the text has in quotes, and any of its words.
    fn of_text(code: Code, found: Finding) -> Self {
        let text = &found.message;
        let quoted = ['\'', '`', '"'].into_iter().flat_map(|quote| text.split(quote).skip(1).step_by(2));
        let names: Vec<&str> = quoted.filter(|name| !name.is_empty()).collect();
        let words = text.split(|c: char| !c.is_alphanumeric() && c != '_').map(str::to_owned).collect();
        Self { words, ..Self::new(code, found.clone(), &names) }
    }
}

/// "'batch.agency' must appear in GROUP BY clause because it's not an aggregate expression".
fn not_grouped(message: &str) -> Told {
    let expression = message.split('\'').nth(1).unwrap_or("this column");
    let column = expression.rsplit('.').next().unwrap_or(expression);
    let message = format!("`{expression}` is neither in GROUP BY nor inside an aggregate function");
    let found = Finding::new(message).with_hint(format!(
        "add it to GROUP BY, or say which of the group's values is meant: `max({expression}) AS {column}`"
    ));
    Told::of_text(Code::Grouping, found)
}

/// Where the planner gives advice, its diagnostic is the better text.
fn advised(diagnostic: &Diagnostic) -> Told {
    let advice: Vec<&str> = diagnostic.helps.iter().map(|help| help.message.as_str()).collect();
    let found = Finding::new(lower_first(&diagnostic.message)).with_hint(lower_first(&advice.join("; ")));
    Told::of_text(code_of(&diagnostic.message), found)
}

fn in_words(message: &str) -> Told {
    if let Some((message, suggestion)) = message.split_once(NO_FUNCTION) {
        let called = message.split('\'').nth(1).unwrap_or_default();
        let found = Finding::new(lower_first(message.trim_end_matches('.')));
        let name = suggestion.trim_end_matches('?').trim_matches('\'');
        let hint = match names::function_elsewhere(called) {
            Some(instead) => Some(format!("write {instead}")),
            // Why: the planner suggests its nearest function however far that is.
            None => names::near(called, &[name]),
        };
        return Told::new(Code::UnknownFunction, found.with_hint_if_some(hint), &[called]);
    }
    let message = message.trim_start_matches("Error during planning: ");
    if let Some(rest) = message.strip_prefix(TWO_OF_A_NAME) {
        let name = rest.split('"').next().unwrap_or_default();
        let name = name.rsplit(" AS ").next().unwrap_or(name);
        return two_of_a_name(name.rsplit('.').next().unwrap_or(name));
    }
    if let Some((_, rest)) = message.split_once(NO_MATCH) {
        let (call, rest) = rest.split_once("'.").unwrap_or((rest, ""));
        let candidates = rest.split_once(CANDIDATES).map_or("", |(_, candidates)| candidates).lines();
        let candidates =
            candidates.map(str::trim).filter(|line| !line.is_empty() && !line.contains(NO_SIGNATURE));
        let candidates: Vec<&str> = candidates.collect();
        let hint = (!candidates.is_empty()).then(|| format!("it is called as {}", candidates.join(" or ")));
        let found = Finding::new(format!("no function `{call}`: it takes other arguments"));
        let name = call.split('(').next().unwrap_or(call);
        return Told::new(Code::Type, found.with_hint_if_some(hint), &[name]);
    }
    let message = message.split("\nThis issue was likely caused by a bug").next().unwrap_or(message);
    let found = Finding::new(lower_first(message.trim().trim_end_matches('.')));
    Told::of_text(code_of(message), found)
}

/// A view with two columns of this name.
pub(super) fn two_of_a_name(name: &str) -> Told {
    let found = Finding::new(format!("two columns are called `{name}`"))
        .with_hint("give one of them another name: `expression AS name`");
    Told::new(Code::DuplicateColumn, found, &[name])
}

fn code_of(message: &str) -> Code {
    if OF_TYPES.iter().any(|words| message.contains(words)) { Code::Type } else { Code::Sql }
}

/// What failed on a row, in words of the engine and of Arrow, and what to write so that such a value is NULL and not an error.
const ROW_HINTS: [(&str, &str); 6] = [
    ("divide by zero", "`x / nullif(y, 0)` is NULL where y is 0"),
    ("using format", "`to_timestamp(x, format, another format)` tries several formats"),
    ("cannot cast", TRY_CAST),
    ("can't cast", TRY_CAST),
    ("error parsing timestamp", TRY_CAST),
    ("unable to cast", TRY_CAST),
];
const TRY_CAST: &str = "`TRY_CAST(x AS type)` is NULL where x is no such value";

/// What to do about a fault of a row.
pub(super) fn row_hint(said: &str) -> Option<&'static str> {
    let said = said.to_lowercase();
    ROW_HINTS.iter().find(|(words, _)| said.contains(words)).map(|(_, hint)| *hint)
}

/// What an error says, without the kind that Arrow puts before it.
pub(super) fn said(root: &DataFusionError) -> String {
    match root {
        DataFusionError::ArrowError(error, _) => match error.as_ref() {
            ArrowError::CastError(said)
            | ArrowError::ParseError(said)
            | ArrowError::ComputeError(said)
            | ArrowError::InvalidArgumentError(said) => said.clone(),
            other => other.to_string(),
        },
        other => other.message().into_owned(),
    }
}

pub(super) fn first_line(message: &str) -> &str {
    message.lines().next().unwrap_or_default()
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

#[cfg(test)]
mod tests {
    use datafusion::prelude::SessionContext;

    use super::*;

    /// What the planner says, in its diagnostic and in its text.
    async fn says(sql: &str) -> String {
        let context = SessionContext::new();
        let planned = context.sql("CREATE TABLE t AS VALUES (1, 'x')").await;
        planned.expect("a table").collect().await.expect("it is made");
        let refused = match context.sql(sql).await {
            Ok(frame) => frame.into_optimized_plan().expect_err("it is refused"),
            Err(error) => error,
        };
        let diagnostic = refused.diagnostic().map(|diagnostic| diagnostic.message.clone());
        format!("{}\n{}", diagnostic.unwrap_or_default(), refused.find_root().message())
    }

    #[tokio::test]
    async fn the_planner_still_says_it_in_these_words() {
        for (sql, words) in [
            ("SELECT column2 FROM t GROUP BY column1", NOT_GROUPED),
            ("SELECT upperr(column2) FROM t", NO_FUNCTION),
            ("SELECT column1, column1 FROM t", TWO_OF_A_NAME),
            ("SELECT split_part(column1) FROM t", NO_MATCH),
            ("SELECT split_part(column1) FROM t", CANDIDATES),
            ("SELECT greatest() FROM t", NO_SIGNATURE),
            ("SELECT CASE WHEN true THEN column1 ELSE make_array(column2) END FROM t", OF_TYPES[0]),
            ("SELECT a.column1 FROM t a JOIN t b ON a.column1", OF_TYPES[1]),
        ] {
            let said = says(sql).await;
            assert!(said.contains(words), "{sql}: {words:?} is not in {said}");
        }
    }

    #[tokio::test]
    async fn rows_still_fail_in_these_words() {
        let context = SessionContext::new();
        let queries = [
            "SELECT 1 / column1 FROM VALUES (0)",
            "SELECT to_timestamp(column1, '%Y-%m') FROM VALUES ('x')",
            "SELECT CAST(column1 AS INT) FROM VALUES ('x')",
            "SELECT arrow_cast(column1, 'Int16') FROM VALUES (100000)",
            "SELECT to_timestamp(column1) FROM VALUES ('x')",
            "SELECT to_date(column1) FROM VALUES ('x')",
        ];
        for (sql, (words, hint)) in queries.iter().zip(ROW_HINTS) {
            let error = context.sql(sql).await.expect("it is planned").collect().await.expect_err("it fails");
            let said = said(error.find_root());
            assert!(said.to_lowercase().contains(words), "{sql}: {words:?} is not in {said}");
            assert_eq!(row_hint(&said), Some(hint), "{said}");
        }
    }

    #[test]
    fn the_parser_still_says_it_in_these_words() {
        let syntax = |sql: &str| {
            let error = ParserError::ParserError(match parse(sql) {
                Err(ParserError::ParserError(said)) => said,
                other => panic!("{other:?}"),
            });
            syntax(&DataFusionError::from(error))
        };
        fn parse(sql: &str) -> Result<(), ParserError> {
            use datafusion::sql::sqlparser::{dialect::GenericDialect, parser::Parser};
            Parser::parse_sql(&GenericDialect {}, sql).map(drop)
        }
        let after = syntax("SELECT 1 x\n  y");
        assert_eq!(
            (after.position, after.after_end.as_deref()),
            (Some((2, 3)), Some("y")),
            "{}",
            after.message
        );
        let early = syntax("SELECT 1 +");
        assert!(early.message.ends_with("found the end of the file"), "{}", early.message);
    }
}
