//! From an expression of a plan to its place in the file. Columns know theirs; what is around them is found among
//! the tokens of the view.

use datafusion::common::Span;
use datafusion::logical_expr::Expr;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use super::super::tree;
use super::super::view_files::ViewFile;
use crate::diagnostic::Place;

/// The place of an expression: from its first column to its last, as far as they are in one line.
pub(super) fn of(view: &ViewFile, expression: &Expr) -> Place {
    let spans = spans(expression);
    let Some(first) = spans.iter().min_by_key(|span| (span.start.line, span.start.column)) else {
        return of_literal(view, expression);
    };
    let ends = spans.iter().filter(|span| span.end.line == first.start.line);
    let end = ends.map(|span| span.end.column).max().unwrap_or(first.end.column);
    let width = usize::try_from(end.saturating_sub(first.start.column)).unwrap_or(1);
    view.place(first.start.line, first.start.column, width)
}

/// Where a function is called: the nearest call of this name before its first argument that is a column, else the first.
pub(super) fn of_call(view: &ViewFile, name: &str, arguments: &[Expr]) -> Option<Place> {
    let spans: Vec<Span> = arguments.iter().flat_map(spans).collect();
    let argument = spans.iter().map(|span| (span.start.line, span.start.column)).min();
    let calls: Vec<&TokenWithSpan> = calls(view, name).collect();
    let start = |token: &TokenWithSpan| (token.span.start.line, token.span.start.column);
    let before = argument.and_then(|argument| calls.iter().rev().find(|token| start(token) < argument));
    before.or(calls.first()).map(|token| view.place_of(token))
}

/// The first place of a word, in upper or lower case.
pub(super) fn of_word(view: &ViewFile, name: &str) -> Option<Place> {
    let is_it = |token: &&TokenWithSpan| matches!(&token.token, Token::Word(word) if word.value.eq_ignore_ascii_case(name));
    view.tokens.iter().find(is_it).map(|token| view.place_of(token))
}

fn calls<'v>(view: &'v ViewFile, name: &'v str) -> impl Iterator<Item = &'v TokenWithSpan> {
    let pairs = view.tokens.windows(2).filter(|pair| pair[1].token == Token::LParen);
    pairs.map(|pair| &pair[0]).filter(
        move |token| matches!(&token.token, Token::Word(word) if word.value.eq_ignore_ascii_case(name)),
    )
}

fn spans(expression: &Expr) -> Vec<Span> {
    let mut spans = Vec::new();
    tree::each_part(expression, &mut |part| {
        if let Expr::Column(column) | Expr::OuterReferenceColumn(_, column) = part {
            spans.extend(column.spans.first());
        }
    });
    spans
}

/// The place of an expression without columns: by the function it calls, the CASE it is, or the literal it has.
fn of_literal(view: &ViewFile, expression: &Expr) -> Place {
    let mut place = None;
    tree::each_part(expression, &mut |part| {
        let found = || match part {
            Expr::ScalarFunction(call) => of_call(view, call.name(), &[]),
            Expr::Case(_) => of_word(view, "case"),
            Expr::Literal(value, _) => {
                let text = value.to_string();
                let is_it = |token: &&TokenWithSpan| match &token.token {
                    Token::Number(number, _) => *number == text,
                    Token::SingleQuotedString(string) => *string == text,
                    _ => false,
                };
                view.tokens.iter().find(is_it).map(|token| view.place_of(token))
            }
            _ => None,
        };
        if place.is_none() {
            place = found();
        }
    });
    place.unwrap_or_else(|| view.start())
}
