//! A name as SQL takes it: in double quotes where the parser would read something else without them.

use datafusion::sql::sqlparser::ast::{Expr, SelectItem, SetExpr, Statement};
use datafusion::sql::sqlparser::parser::Parser;

use super::dialect::SqlDialect;

/// The name of a column, of a field of a record, of a view or of a table, for a statement.
pub(crate) fn quoted(name: &str) -> String {
    if is_plain(name) { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

/// The words that are no names in PostgreSQL, and `exists` and `interval`. Some are names for this parser, depending on
/// what follows.
const RESERVED: &str = "\
all analyse analyze and any array as asc asymmetric both case cast check collate column constraint \
create current_catalog current_date current_role current_time current_timestamp current_user default \
deferrable desc distinct do else end except exists false fetch for foreign from grant group having \
in initially intersect interval into lateral leading limit localtime localtimestamp not null offset \
on only or order placing primary references returning select session_user some symmetric system_user \
table then to trailing true union unique user using variadic when where window with";

/// Whether the name is read as itself wherever a name may be.
fn is_plain(name: &str) -> bool {
    let is_word = name.chars().all(|c| c.is_alphanumeric() || c == '_')
        && name.starts_with(|c: char| c.is_alphabetic() || c == '_');
    if !is_word || RESERVED.split(' ').any(|word| word.eq_ignore_ascii_case(name)) {
        return false;
    }
    // Why twice: after a comma, some words are read as the end of the list.
    let text = format!("SELECT {name}, {name}, r.{name} AS {name} FROM {name}");
    let Ok(statements) = Parser::parse_sql(&SqlDialect, &text) else { return false };
    let [Statement::Query(query)] = statements.as_slice() else { return false };
    let SetExpr::Select(select) = query.body.as_ref() else { return false };
    let is_name = |item: &SelectItem| matches!(item, SelectItem::UnnamedExpr(Expr::Identifier(_)));
    // Why both: some words are read as functions, and others as a part of the statement.
    select.projection.iter().take(2).all(is_name) && query.to_string() == text
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn names_are_quoted_only_if_they_must_be() {
        for plain in [
            "customer",
            "operationValue",
            "agência",
            "_id",
            "date",
            "name",
            "value",
            "type",
            "key",
            "timestamp",
        ] {
            assert_eq!(quoted(plain), plain);
        }
        for odd in [
            "",
            "1st",
            "a b",
            "a-b",
            "a.b",
            "null",
            "true",
            "from",
            "select",
            "case",
            "distinct",
            "all",
            "not",
            "exists",
            "current_date",
            "NULL",
        ] {
            assert_eq!(quoted(odd), format!("\"{odd}\""));
        }
        assert_eq!(quoted("a\"b"), "\"a\"\"b\"");
    }
}
