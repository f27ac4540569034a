//! What DataFusion and its parser say in words alone. Their errors carry a code for few faults and a span for some; for the
//! others the words are all there is. Whatever is read out of those words is read here, and a test shows each text as
//! upstream has it: one that changes is noticed.

use std::collections::BTreeSet;

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
    let message = match said.strip_prefix(NO_OPERATOR) {
        Some(token) => format!("no operator `{}`", word_of(token)),
        None => lower_first(said),
    };
    let after_end = message.split_once(AFTER_END).map(|(_, found)| found.to_owned());
    // Why: "found: EOF" says little to a person whose last line ends with a comma.
    let message = message.replace("found: EOF", "found the end of the file");
    Syntax { message, position, after_end }
}

const NO_OPERATOR: &str = "No infix parser for token ";

/// A token as the parser shows it: `Word(Word { value: "DIV", quote_style: None, keyword: DIV })`.
fn word_of(token: &str) -> &str {
    token.split('"').nth(1).unwrap_or(token)
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
        Self { words: words(text).collect(), ..Self::new(code, found.clone(), &names) }
    }
}

fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').map(str::to_owned)
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

/// What the planner says with names of its own parts, as a person is told it, and what to write instead. `{}` is any text; the
/// n-th of them is `{n}` in what is told. The last column has a query that is refused so.
const RETOLD: &[(&str, &str, &str, &str)] = &[
    (
        "Failed to coerce then ({}) and else ({}) to common types in CASE WHEN expression",
        "the values of CASE have types that go into no one type: ({0}) and ({1})",
        TO_ONE_TYPE,
        "SELECT CASE WHEN true THEN column1 ELSE make_array(column2) END FROM t",
    ),
    (
        "Failed to coerce then ({}) to common types in CASE WHEN expression",
        "the values of CASE have types that go into no one type: ({0})",
        TO_ONE_TYPE,
        "SELECT CASE WHEN true THEN column1 WHEN false THEN make_array(column2) END FROM t",
    ),
    (
        "Failed to coerce case ({}) and when ({}) to common types in CASE WHEN expression",
        "CASE compares ({0}) with ({1})",
        TO_ONE_TYPE,
        "SELECT CASE column1 WHEN make_array(1) THEN 1 END FROM t",
    ),
    (
        "Failed to coerce types {} and {} in BETWEEN expression",
        "BETWEEN compares {0} with {1}",
        TO_ONE_TYPE,
        "SELECT column1 BETWEEN make_array(1) AND 2 FROM t",
    ),
    (
        "Can not find compatible types to compare {} with [{}]",
        "IN compares {0} with {1}",
        "CAST them to one type; `x = ANY (list)` looks for x in a list",
        "SELECT column1 IN (make_array(1), 2) FROM t",
    ),
    (
        "Incompatible inputs for Union: Previous inputs were of type {}, but got incompatible type {} on column '{}'",
        "a column of UNION is {0} in one query and {1} in another, where it is `{2}`",
        TO_ONE_TYPE,
        "SELECT column1 FROM t UNION ALL SELECT make_array(1)",
    ),
    (
        "There isn't a common type to coerce {} and {} in LIKE expression",
        "no operator `{0} LIKE {1}`",
        "LIKE compares texts: `CAST(x AS VARCHAR) LIKE 'a%'`",
        "SELECT column1 LIKE 'a' FROM t",
    ),
    (
        "Cannot infer common argument type for comparison operation {}",
        "no comparison `{0}`",
        "CAST one of them to the other's type; `x = ANY (list)` looks for x in a list",
        "SELECT column1 = make_array(1) FROM t",
    ),
    (
        "Cannot create filter with non-boolean predicate '{}' returning {}",
        "a condition is true or false, but `{0}` is {1}",
        "write the comparison out: `x <> 0`",
        "SELECT column1 FROM t WHERE column1",
    ),
    (
        "Cannot access field at argument {}: type {} is not Struct, Map, or Null",
        "a value of type {1} has no fields",
        "if the name before the point is meant to be a relation of the query around this one, no column may have that name: \
         give the relation another one",
        "SELECT get_field(column1, 'a') FROM t",
    ),
    (
        "Field {} not found in struct",
        "there is no field `{0}`",
        "the prompt shows the fields of a relation: `\\d batch`",
        "SELECT get_field(named_struct('a', column1), 'b') FROM t",
    ),
    (
        "Unnest should be rewritten to LogicalPlan::Unnest before type coercion",
        "`unnest` makes rows, so it is computed only in the list of a SELECT",
        "unnest in a subquery: `FROM (SELECT id, unnest(items) AS item FROM ...) AS q`",
        "SELECT column1 FROM t WHERE unnest(make_array(column1)) = 1",
    ),
    (
        "unnest() can only be applied to array, struct and null",
        "`unnest` takes a list or a record",
        "a map has two lists: `unnest(map_keys(x))`, `unnest(map_values(x))`",
        "SELECT unnest(column1) FROM t",
    ),
    (
        "Conflicting ordering requirements in aggregate functions is not supported",
        "two aggregates of one query have different orders",
        "collect a list for each, which may have its own order: write `array_to_string(array_agg(x ORDER BY y), ',')` \
         for `string_agg(x, ',' ORDER BY y)`",
        "SELECT string_agg(column2, ',' ORDER BY column1), string_agg(column2, ',' ORDER BY column2) FROM t",
    ),
    (
        "[return_type] {} not supported for {}",
        "no function `{0}({1})`",
        "CAST the value to a type that the function takes",
        "SELECT sum(NULL) FROM t",
    ),
    (
        "Aggregate ORDER BY is not implemented for window functions",
        "an aggregate over a window has its order in OVER",
        "write `array_agg(x) OVER (ORDER BY y ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)`",
        "SELECT array_agg(column1 ORDER BY column1) OVER () FROM t",
    ),
    (
        "There is only support Literal types for field at idx: {} in Window Function",
        "a number of rows or groups of a window function is not constant",
        "write a number: `lag(x, 2)`, `lead(x, 2)`, `nth_value(x, 2)`, `ntile(2)`",
        "SELECT lag(column1, column1) OVER (ORDER BY column1) FROM t",
    ),
    (
        "Aggregate functions are not allowed in the WHERE clause. Consider using HAVING instead",
        "WHERE chooses rows before they are aggregated",
        "write the condition in HAVING, after GROUP BY; where a subquery or a row of IN has the aggregate, compute it first: \
         `FROM (SELECT ..., sum(x) AS s FROM ... GROUP BY ...) AS q`",
        "SELECT column1 FROM t WHERE sum(column1) > 1",
    ),
    (
        "For SELECT DISTINCT, ORDER BY expressions {} must appear in select list",
        "SELECT DISTINCT has no column `{0}` to order by",
        "add it to the list, or use GROUP BY and order by an aggregate: `ORDER BY max(x)`",
        "SELECT DISTINCT column1 FROM t ORDER BY column2",
    ),
    (
        "join condition should not be empty",
        "a LEFT, RIGHT or FULL JOIN needs a condition",
        "write `ON a.x = b.x`",
        "SELECT 1 FROM t a LEFT JOIN t b",
    ),
    (
        "Placeholder '{}' was not provided a value for execution",
        "`{0}` is a placeholder, and it has no value here",
        "write the value itself",
        "SELECT $1 FROM t",
    ),
    (
        "Invalid qualifier {}",
        "there is no relation `{0}` here",
        "the fields of a record are named one by one: `p.x AS x`",
        "SELECT p.* FROM t",
    ),
    (
        "Unsupported ast node in sqltorel: {}",
        "this form of SQL is not known here: {0}",
        "write it in another way: the prompt lists the functions, by `\\df`",
        "SELECT column2 COLLATE \"C\" FROM t",
    ),
    (
        "Cannot automatically convert {} to {}",
        "a value of type {0} is in the place of {1}",
        "CAST one of them: `CAST(NULL AS INT)`",
        "WITH RECURSIVE x AS (SELECT NULL AS n UNION ALL SELECT column1 FROM t JOIN x ON true) SELECT n FROM x",
    ),
    (
        "variable [{}] has no type information",
        "there are no variables here: {0}",
        "write the value itself; `abs(x)` is the absolute value",
        "SELECT @a FROM t",
    ),
    ("MINUS {} not implemented", "MINUS is not known here", "write EXCEPT", "SELECT 1 MINUS SELECT 2"),
];

const TO_ONE_TYPE: &str = "CAST them to one type";

/// The parts of a text that are in the place of `{}` in a pattern.
fn parts<'a>(pattern: &str, text: &'a str) -> Option<Vec<&'a str>> {
    let mut fixed = pattern.split("{}");
    let mut rest = text.strip_prefix(fixed.next()?)?;
    let mut found = Vec::new();
    let mut fixed = fixed.peekable();
    while let Some(next) = fixed.next() {
        let end = if fixed.peek().is_none() && next.is_empty() { rest.len() } else { rest.find(next)? };
        found.push(&rest[..end]);
        rest = &rest[end + next.len()..];
    }
    Some(found)
}

fn retold(message: &str) -> Option<Told> {
    let found =
        RETOLD.iter().find_map(|(pattern, told, hint, _)| Some((parts(pattern, message)?, told, hint)));
    let (parts, told, hint) = found?;
    let told = parts.iter().enumerate().fold((*told).to_owned(), |told, (number, part)| {
        told.replace(&format!("{{{number}}}"), without_internals(part))
    });
    let names: Vec<&str> = parts.iter().filter_map(|part| part.rsplit('.').next()).collect();
    let code = if OF_TYPES.iter().any(|words| message.contains(words)) { Code::Type } else { Code::Sql };
    let found = Finding::new(told).with_hint(*hint);
    let mut of_text = Told::of_text(code, found);
    of_text.names.extend(names.into_iter().map(str::to_owned));
    // The planner does not say which function it is; the hint has those that it may be.
    of_text.words.extend(words(hint));
    Some(of_text)
}

/// The names of types of SQL that others have, with what they are here.
const TYPES_ELSEWHERE: &[(&str, &str)] = &[
    ("JSON", "write VARCHAR, and read it with `json_get_str(x, 'key')`"),
    ("MONEY", "write `DECIMAL(19, 4)`"),
    ("NUMBER", "write BIGINT, or DECIMAL with its digits: `DECIMAL(18, 2)`"),
    ("NVARCHAR", "write VARCHAR"),
    ("SIGNED", "write BIGINT"),
    ("TIME", "write TIME"),
    ("UNSIGNED", "write `BIGINT UNSIGNED`"),
    ("UUID", "write VARCHAR"),
];
const NO_TYPE: &str = "Unsupported SQL type ";

/// The message up to where it shows how the planner keeps a query.
fn without_internals(message: &str) -> &str {
    const INTERNALS: [&str; 6] = ["Ident {", "Ident(", "Column {", "Column(", "Span(", "Field {"];
    const OPENING: [char; 3] = ['{', '(', '['];
    if !INTERNALS.iter().any(|words| message.contains(words)) {
        return message;
    }
    let end = message.find(OPENING).unwrap_or(message.len());
    message[..end].trim_end().trim_end_matches(':')
}

/// How a function is called, with the types of SQL: `round(DECIMAL, INT)`.
fn signature(candidate: &str) -> String {
    const CLASSES: [(&str, &str); 12] = [
        ("Any", "value"),
        ("Date", "DATE"),
        ("Decimal", "DECIMAL"),
        ("Duration", "INTERVAL"),
        ("Float", "DOUBLE"),
        ("Integer", "BIGINT"),
        ("Interval", "INTERVAL"),
        ("Null", "NULL"),
        ("Numeric(1)", "number"),
        ("NullAry()", ""),
        ("String", "VARCHAR"),
        ("Time", "TIME"),
    ];
    let (name, arguments) = candidate.split_once('(').unwrap_or((candidate, ""));
    let arguments = arguments.strip_suffix(')').unwrap_or(arguments).split(", ");
    let written = arguments.map(|argument| {
        let (before, of) = argument.rsplit_once(' ').map_or(("", argument), |(before, of)| (before, of));
        let of = CLASSES.iter().find(|(class, _)| *class == of).map_or(of, |(_, written)| *written);
        let of = if of == "Timestamp" { "TIMESTAMP" } else { of };
        if before.is_empty() { of.to_owned() } else { format!("{before} {of}") }
    });
    format!("{name}({})", written.collect::<Vec<_>>().join(", "))
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
    let message = message.trim_start_matches("Error during planning: ").trim();
    if let Some(told) = retold(message) {
        return told;
    }
    if let Some(written) = message.strip_prefix(NO_TYPE) {
        let name = written.split(|c: char| !c.is_alphanumeric()).next().unwrap_or(written);
        let known = TYPES_ELSEWHERE.iter().find(|(elsewhere, _)| elsewhere.eq_ignore_ascii_case(name));
        let hint = known.map(|(_, hint)| (*hint).to_owned());
        let found = Finding::new(format!("no type `{written}`")).with_hint_if_some(hint);
        return Told::new(Code::Type, found, &[name]);
    }
    let message = without_internals(message);
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
        let mut candidates: Vec<String> = candidates.map(signature).collect();
        let mut seen = BTreeSet::new();
        candidates.retain(|candidate| !candidate.contains("UInt") && seen.insert(candidate.clone()));
        let hint = (!candidates.is_empty()).then(|| format!("it is called as {}", candidates.join(" or ")));
        let found = Finding::new(format!("no function `{call}`: it takes other arguments"));
        let name = call.split('(').next().unwrap_or(call);
        return Told::new(Code::Type, found.with_hint_if_some(hint), &[name]);
    }
    let message = message.split("\nThis issue was likely caused by a bug").next().unwrap_or(message);
    let found = Finding::new(lower_first(first_line(message.trim()).trim_end_matches('.')));
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
            | ArrowError::InvalidArgumentError(said) => {
                said.strip_prefix("Execution error: ").unwrap_or(said).to_owned()
            }
            other => other.to_string(),
        },
        other => other.message().into_owned(),
    }
}

/// What an error of memory that does not suffice says: what is done with the rows, or what holds how much.
pub(super) fn memory(said: &str) -> String {
    if let Some((step, _)) =
        said.strip_prefix("Memory Exhausted while ").and_then(|rest| rest.split_once(" ("))
    {
        return format!("{} needs all rows in memory at once", step.to_lowercase());
    }
    // `Failed to allocate additional 2.1 MB for TopK[0] with 39.8 MB already allocated for this reservation - ...`
    let parts = || {
        let (more, rest) = said.strip_prefix("Failed to allocate additional ")?.split_once(" for ")?;
        let (consumer, rest) = rest.split_once(" with ")?;
        let (held, _) = rest.split_once(" already allocated")?;
        Some((consumer, more, held))
    };
    let Some((consumer, more, held)) = parts() else { return said.to_owned() };
    let step = STEPS.iter().find(|(name, _)| consumer.starts_with(name)).map_or(consumer, |(_, step)| *step);
    format!("{step} has {held} and needs {more} more")
}

/// What steps of a plan do, by the names that they have in errors.
const STEPS: [(&str, &str); 6] = [
    ("ExternalSorter", "sorting"),
    ("TopK", "ORDER BY with LIMIT"),
    ("HashJoin", "a join"),
    ("NestedLoopJoin", "a join"),
    ("CrossJoin", "a join"),
    ("GroupedHashAggregate", "GROUP BY"),
];

/// Bytes for people: `40 MiB`.
pub(super) fn size(bytes: usize) -> String {
    match bytes >> 20 {
        0 => format!("{} KiB", bytes >> 10),
        mebibytes => format!("{mebibytes} MiB"),
    }
}

/// The expression that a message begins with, between backquotes.
pub(super) fn expression(message: &str) -> Option<&str> {
    message.strip_prefix('`')?.split('`').next()
}

/// What a message of several lines says first; of a regular expression that is none, what is wrong with it.
pub(super) fn first_line(message: &str) -> String {
    const NO_REGULAR_EXPRESSION: &str = "regex parse error:";
    const FAULT: &str = "error: ";
    if message.contains(NO_REGULAR_EXPRESSION)
        && let Some(fault) = message.lines().find_map(|line| line.trim().strip_prefix(FAULT))
    {
        return format!("this is no regular expression: {fault}");
    }
    message.lines().next().unwrap_or_default().to_owned()
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
            Ok(frame) => frame.create_physical_plan().await.err(),
            Err(error) => Some(error),
        };
        let refused = refused.unwrap_or_else(|| panic!("{sql}: it is planned"));
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
    async fn the_planner_still_says_what_is_retold() {
        let mut others = Vec::new();
        for (pattern, .., sql) in RETOLD {
            let said = says(sql).await;
            if !said.lines().any(|line| parts(pattern, line).is_some()) {
                others.push(format!("{sql}: {pattern:?} is not {said}"));
            }
        }
        assert!(others.is_empty(), "{}", others.join("\n"));
    }

    #[test]
    fn what_is_retold_has_no_words_of_the_planner() {
        let told = |message| in_words(message).found.to_string();
        let said = "Incompatible inputs for Union: Previous inputs were of type Int64, but got incompatible type \
                    List(Int64) on column 'x'";
        assert!(told(said).starts_with("a column of UNION is Int64 in one query and List(Int64) in another"));
        assert_eq!(told("Unsupported SQL type NVARCHAR(10)"), "no type `NVARCHAR(10)`\nhint: write VARCHAR");
        let debug = "Unsupported Thing Semi(On(Ident { value: \"x\" }))";
        assert_eq!(told(debug), "unsupported Thing Semi");
        for (candidate, written) in [
            ("rank(NullAry())", "rank()"),
            ("abs(Numeric(1))", "abs(number)"),
            ("substr(str: String, start_pos: Int64)", "substr(str: VARCHAR, start_pos: Int64)"),
            ("date_trunc(String, Timestamp)", "date_trunc(VARCHAR, TIMESTAMP)"),
        ] {
            assert_eq!(signature(candidate), written);
        }
        let fault = "regex parse error:\n    [\n    ^\nerror: unclosed character class";
        assert_eq!(first_line(fault), "this is no regular expression: unclosed character class");
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
        assert_eq!(syntax("SELECT 1 DIV 2").message, "no operator `DIV`");
        let early = syntax("SELECT 1 +");
        assert!(early.message.ends_with("found the end of the file"), "{}", early.message);
    }

    #[test]
    fn an_error_of_memory_says_what_needs_it() {
        let sort = "Memory Exhausted while Sorting (DiskManager is disabled)";
        assert_eq!(memory(sort), "sorting needs all rows in memory at once");
        let limit = "Failed to allocate additional 2.1 MB for TopK[0] with 39.8 MB already allocated for this reservation - 198.3 \
                     KB remain available for the total memory pool: greedy(used: 39.8 MB, pool_size: 40.0 MB)";
        assert_eq!(memory(limit), "ORDER BY with LIMIT has 39.8 MB and needs 2.1 MB more");
        assert_eq!(memory("repeat would make 7 bytes"), "repeat would make 7 bytes");
        assert_eq!((size(40 << 20), size(1000 << 10)), ("40 MiB".to_owned(), "1000 KiB".to_owned()));
    }
}
