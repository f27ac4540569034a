//! From the text of a statement to what runs, in one way for views, tests and typed queries: read in one dialect, rewritten
//! by one list of forms, planned by one set of rules. What the planner cannot do is an error with a place, a panic too.

use std::future::Future;
use std::sync::Arc;

use datafusion::error::DataFusionError;
use datafusion::execution::context::SQLOptions;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::sql::parser::{DFParserBuilder, Statement as ParsedStatement};
use datafusion::sql::sqlparser::ast::Statement;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer, Word};

use super::dialect::SqlDialect;
use super::error::SqlError;
use super::view_files::ViewFile;
use super::{forms, literals, locate, upstream};
use crate::diagnostic::Code;
use crate::panics;

/// How deep expressions and queries may be nested.
pub(super) const NESTING_MAX: usize = 100;

/// The tokens of `statement`, without comments and blanks. `text` is the whole text that it is in, for messages.
///
/// # Errors
/// Text that is no SQL, such as a quote that is not closed.
pub(super) fn tokens(file: &str, text: &str, statement: &str) -> Result<Vec<TokenWithSpan>, SqlError> {
    let tokens = Tokenizer::new(&SqlDialect, statement).tokenize_with_location().map_err(|error| {
        let place = locate::place(file, text, error.location.line, error.location.column, 1);
        SqlError::wrong(Code::Syntax, place, upstream::lower_first(&error.message))
    })?;
    if let Some([number, word]) = tokens.array_windows().find(|[number, word]| is_junk(number, word)) {
        let message = format!("no number `{}{}`", number.token, word.token);
        let hint = "a name begins after a blank, and not with a digit: `1 AS x`";
        return Err(beside(file, text, [number, word], message, hint));
    }
    let mut tokens = tokens;
    tokens.retain(|token| !matches!(token.token, Token::Whitespace(_)));
    for token in &mut tokens {
        if let Token::Number(number, _) = &mut token.token {
            number.retain(|c| c != '_');
        }
    }
    let is_text = |token: &TokenWithSpan| matches!(token.token, Token::SingleQuotedString(_));
    if let Some(pair) = tokens.array_windows().find(|[one, other]| is_text(one) && is_text(other)) {
        let message = "two texts beside each other, which some databases take for one".to_owned();
        let hint = "join them with `||`; a name is written in double quotes: `'a' AS \"b\"`";
        return Err(beside(file, text, pair.each_ref(), message, hint));
    }
    Ok(tokens)
}

/// An error about two tokens.
fn beside(file: &str, text: &str, tokens: [&TokenWithSpan; 2], message: String, hint: &str) -> SqlError {
    let start = tokens[0].span.start;
    let width = tokens.iter().map(|token| locate::width(token.span)).sum();
    let place = locate::place(file, text, start.line, start.column, width);
    SqlError::wrong(Code::Syntax, place, message).with_hint(hint)
}

/// Whether a name follows a number at once: `1_`, `12abc`.
fn is_junk(number: &TokenWithSpan, next: &TokenWithSpan) -> bool {
    let is_name = |word: &Word| word.keyword == Keyword::NoKeyword && word.quote_style.is_none();
    matches!((&number.token, &next.token), (Token::Number(..), Token::Word(word)) if is_name(word))
}

/// The one statement that the tokens are.
///
/// # Errors
/// Syntax errors.
pub(super) fn parse(file: &str, text: &str, tokens: &[TokenWithSpan]) -> Result<ParsedStatement, SqlError> {
    parse_first(tokens).map_err(|error| locate::syntax_error(&error, file, text, tokens))
}

fn parse_first(tokens: &[TokenWithSpan]) -> Result<ParsedStatement, DataFusionError> {
    let parser = DFParserBuilder::new(tokens.to_vec()).with_dialect(&SqlDialect);
    let mut statements = parser.with_recursion_limit(NESTING_MAX).build()?.parse_statements()?;
    statements.pop_front().ok_or_else(|| DataFusionError::Plan("no statement".to_owned()))
}

/// The statement as the planner takes it rightly.
///
/// # Errors
/// Forms that would be answered wrongly and cannot be written otherwise.
pub(super) fn ready(file: &str, text: &str, parsed: ParsedStatement) -> Result<ParsedStatement, SqlError> {
    let mut parsed = parsed;
    if let Some(statement) = statement_of(&mut parsed) {
        forms::rewrite_statement(statement).map_err(|refusal| {
            let start = refusal.span.start;
            let place = locate::place(file, text, start.line, start.column, locate::width(refusal.span));
            SqlError::wrong(refusal.code, place, refusal.message).with_hint(refusal.hint)
        })?;
        literals::rewrite(statement);
    }
    Ok(parsed)
}

/// The statement itself, or the one that is explained.
pub(super) fn statement_of(parsed: &mut ParsedStatement) -> Option<&mut Statement> {
    match parsed {
        ParsedStatement::Statement(statement) => Some(statement),
        ParsedStatement::Explain(explain) => statement_of(&mut explain.statement),
        _ => None,
    }
}

/// The plan as the SQL says it, with names resolved. Nothing in it writes.
///
/// # Errors
/// Every fault the planner finds, each with its place.
pub(super) async fn logical_plan(
    state: &SessionState,
    file: &ViewFile,
) -> Result<LogicalPlan, Vec<SqlError>> {
    let planned = state.statement_to_plan(file.ready.clone());
    let logical = or_panic(file, planned).await?;
    let only_queries =
        SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
    let located = |error: DataFusionError| locate::plan_errors(file, &error);
    only_queries.verify_plan(&logical).map_err(located)?;
    if let Some(statement) = statement_of(&mut file.ready.clone()) {
        forms::check_planned(statement, &logical).map_err(located)?;
    }
    Ok(logical)
}

/// The plan that runs.
///
/// # Errors
/// Every fault the planner finds, each with its place.
pub(super) async fn physical_plan(
    state: &SessionState,
    file: &ViewFile,
    logical: &LogicalPlan,
) -> Result<Arc<dyn ExecutionPlan>, Vec<SqlError>> {
    or_panic(file, state.create_physical_plan(logical)).await
}

/// What a step of planning comes to. Why: a planner that panics on some query must not take the program with it.
async fn or_panic<T>(
    file: &ViewFile,
    step: impl Future<Output = Result<T, DataFusionError>>,
) -> Result<T, Vec<SqlError>> {
    match panics::expected_of(step).await {
        Ok(result) => result.map_err(|error| locate::plan_errors(file, &error)),
        Err(panic) => {
            let message = format!("the SQL engine cannot plan this: {panic}");
            let error = SqlError::wrong(Code::Sql, file.start(), message);
            Err(vec![error.with_hint("this is a fault of the engine: write the query in another way")])
        }
    }
}
