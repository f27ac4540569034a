//! Patterns. SIMILAR TO matches a whole text, and its `%` and `_` are those of LIKE. DataFusion takes the pattern for a regular
//! expression that may match anywhere; here it becomes the regular expression that it means. And `x ~ '.*'` becomes `x LIKE '%'`,
//! since DataFusion makes it `x IS NOT NULL`, which is false where it is NULL.

use std::str::Chars;

use datafusion::common::tree_node::Transformed;
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{BinaryExpr, Expr, Like, Operator, lit};
use datafusion::sql::sqlparser::ast::Value;

use super::refused;

pub(super) fn rewrite(part: Expr) -> Result<Transformed<Expr>> {
    if let Some(rewritten) = of_anything(&part) {
        return Ok(Transformed::yes(rewritten));
    }
    let Expr::SimilarTo(Like { negated, expr, pattern, escape_char, .. }) = part else {
        return Ok(Transformed::no(part));
    };
    let text = match pattern.as_ref() {
        Expr::Literal(
            ScalarValue::Utf8(text) | ScalarValue::LargeUtf8(text) | ScalarValue::Utf8View(text),
            _,
        ) => text.clone(),
        Expr::Literal(ScalarValue::Null, _) => None,
        other => {
            let span = other.column_refs().into_iter().next().and_then(|column| column.spans.first());
            return Err(refused(
                "a pattern of SIMILAR TO that is computed".to_owned(),
                "write the pattern as a text, or use LIKE, or `regexp_like(x, pattern)`",
                span,
            ));
        }
    };
    let regular = text.map(|text| regular_expression(&text, escape_char.unwrap_or('\\')));
    let op = if negated { Operator::RegexNotMatch } else { Operator::RegexMatch };
    let pattern = Box::new(lit(ScalarValue::Utf8(regular)));
    Ok(Transformed::yes(Expr::BinaryExpr(BinaryExpr::new(expr, op, pattern))))
}

/// A match of a regular expression that matches all texts.
fn of_anything(part: &Expr) -> Option<Expr> {
    let (text, pattern, negated) = match part {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => match op {
            Operator::RegexMatch | Operator::RegexIMatch => (left.as_ref(), right.as_ref(), false),
            Operator::RegexNotMatch | Operator::RegexNotIMatch => (left.as_ref(), right.as_ref(), true),
            _ => return None,
        },
        Expr::ScalarFunction(call) if call.name() == "regexp_like" => match call.args.as_slice() {
            [text, pattern] => (text, pattern, false),
            _ => return None,
        },
        _ => return None,
    };
    let is_anything = matches!(pattern, Expr::Literal(value, _) if value.try_as_str() == Some(Some(".*")));
    is_anything
        .then(|| Expr::Like(Like::new(negated, Box::new(text.clone()), Box::new(lit("%")), None, false)))
}

/// A pattern of LIKE with backslashes in the place of the escape character, the only one that DataFusion knows; `None` if the
/// escape is no text of at most one character, or the pattern ends with it.
pub(super) fn with_backslashes(pattern: &str, escape: &Value) -> Option<String> {
    let Value::SingleQuotedString(escape) = escape else { return None };
    let mut escapes = escape.chars();
    let escape = escapes.next();
    if escapes.next().is_some() {
        return None;
    }
    let mut written = String::with_capacity(pattern.len());
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        let (c, is_escaped) = if Some(c) == escape { (chars.next()?, true) } else { (c, false) };
        if c == '\\' || (is_escaped && matches!(c, '%' | '_')) {
            written.push('\\');
        }
        written.push(c);
    }
    Some(written)
}

/// A regular expression that matches the texts that a pattern of SIMILAR TO matches.
fn regular_expression(pattern: &str, escape: char) -> String {
    let mut regular = String::from("(?s)^(?:");
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        match c {
            c if c == escape => chars.next().into_iter().for_each(|c| literal(c, &mut regular)),
            '[' => in_brackets(&mut chars, escape, &mut regular),
            '%' => regular.push_str(".*"),
            '_' => regular.push('.'),
            '(' => regular.push_str("(?:"),
            '|' | '*' | '+' | '?' | '{' | '}' | ')' => regular.push(c),
            c => literal(c, &mut regular),
        }
    }
    regular.push_str(")$");
    regular
}

/// The characters in brackets, of which the first has been read. A regular expression has sets of sets there: `[a&&b]`,
/// `[a--b]`, `[a[b]]`. SQL has only classes such as `[[:alpha:]]`.
fn in_brackets(chars: &mut Chars<'_>, escape: char, regular: &mut String) {
    regular.push('[');
    if chars.as_str().starts_with('^') {
        regular.extend(chars.next());
    }
    let mut is_first = true;
    while let Some(c) = chars.next() {
        let rest = chars.as_str();
        match c {
            ']' if !is_first => {
                regular.push(']');
                return;
            }
            '[' if rest.starts_with(':') => {
                let class = rest.find(":]").map_or(rest, |end| &rest[..end + 2]);
                regular.push('[');
                regular.push_str(class);
                *chars = rest[class.len()..].chars();
            }
            c if c == escape => chars.next().into_iter().for_each(|c| literal(c, regular)),
            '[' | ']' | '&' | '~' | '\\' => literal(c, regular),
            '-' if rest.starts_with('-') => literal(c, regular),
            c => regular.push(c),
        }
        is_first = false;
    }
}

fn literal(c: char, regular: &mut String) {
    if c.is_ascii_punctuation() {
        regular.push('\\');
    }
    regular.push(c);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_of_like_get_backslashes() {
        let written = |pattern: &str, escape: &str| {
            with_backslashes(pattern, &Value::SingleQuotedString(escape.to_owned()))
        };
        assert_eq!(written("50!%%", "!").as_deref(), Some("50\\%%"));
        assert_eq!(written("a!!b!xc", "!").as_deref(), Some("a!bxc"));
        assert_eq!(written("a\\_b", "!").as_deref(), Some("a\\\\_b"));
        assert_eq!(written("a\\_b", "").as_deref(), Some("a\\\\_b"));
        assert_eq!(written("a!", "!"), None);
        assert_eq!(written("a", "!!"), None);
    }

    #[test]
    fn patterns_match_whole_texts() {
        assert_eq!(regular_expression("a%", '\\'), "(?s)^(?:a.*)$");
        assert_eq!(regular_expression("a_(b|c)+", '\\'), "(?s)^(?:a.(?:b|c)+)$");
        assert_eq!(regular_expression("1.5\\%", '\\'), "(?s)^(?:1\\.5\\%)$");
        assert_eq!(regular_expression("[a-c^%]x#_", '#'), "(?s)^(?:[a-c^%]x\\_)$");
        assert_eq!(regular_expression("[a&&b[~~]", '\\'), "(?s)^(?:[a\\&\\&b\\[\\~\\~])$");
        assert_eq!(regular_expression("[[:alpha:]_]%", '\\'), "(?s)^(?:[[:alpha:]_].*)$");
        assert_eq!(regular_expression("[^]%]_", '\\'), "(?s)^(?:[^\\]%].)$");
        assert_eq!(regular_expression("[\\d#]]", '#'), "(?s)^(?:[\\\\d\\]])$");
    }
}
