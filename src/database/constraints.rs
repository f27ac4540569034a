//! What a table asks of its rows besides the types of its columns: conditions and foreign keys. They say why the database
//! has refused a row, since its own message names the constraint at most.

use super::catalogue::{mysql_place, text};
use super::{Connection, DatabaseError, Dialect, Value};

/// The conditions and foreign keys of a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Constraints {
    pub checks: Vec<Check>,
    pub foreign_keys: Vec<ForeignKey>,
}

/// A CHECK.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// Empty if it has none, in SQLite.
    pub name: String,
    pub condition: String,
}

/// A foreign key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignKey {
    /// Empty in SQLite.
    pub name: String,
    pub columns: Vec<String>,
    /// A table of another database has that database's name before its own.
    pub parent: String,
    /// The columns of the parent; empty if they are its primary key, in SQLite.
    pub parent_columns: Vec<String>,
}

impl Constraints {
    /// The tables that the foreign keys name, each once, sorted.
    pub fn parents(&self) -> Vec<String> {
        let mut parents: Vec<String> = self.foreign_keys.iter().map(|key| key.parent.clone()).collect();
        parents.sort();
        parents.dedup();
        parents
    }
}

/// Reads the constraints of a table. Its name may stand behind its database's: `bank.accounts`.
///
/// # Errors
/// The database does not answer, or refuses the statement.
pub async fn constraints(connection: &mut Connection, name: &str) -> Result<Constraints, DatabaseError> {
    match connection.dialect() {
        Dialect::Sqlite => sqlite(connection, name).await,
        dialect => mysql(connection, name, dialect).await,
    }
}

async fn mysql(
    connection: &mut Connection,
    name: &str,
    dialect: Dialect,
) -> Result<Constraints, DatabaseError> {
    let place = || mysql_place(name);
    let sql = "SELECT constraint_name, column_name, IF(referenced_table_schema = DATABASE(), referenced_table_name, \
               CONCAT(referenced_table_schema, '.', referenced_table_name)), referenced_column_name \
               FROM information_schema.key_column_usage WHERE table_schema = COALESCE(?, DATABASE()) \
               AND table_name = ? AND referenced_table_name IS NOT NULL ORDER BY constraint_name, ordinal_position";
    let foreign_keys = foreign_keys(&connection.query(sql, place()).await?);
    let sql = match dialect {
        // MariaDB names conditions by table, MySQL by database.
        Dialect::MariaDb => {
            "SELECT constraint_name, check_clause FROM information_schema.check_constraints \
             WHERE constraint_schema = COALESCE(?, DATABASE()) AND table_name = ?"
        }
        _ => {
            "SELECT c.constraint_name, c.check_clause FROM information_schema.check_constraints c \
             JOIN information_schema.table_constraints t ON t.constraint_schema = c.constraint_schema \
             AND t.constraint_name = c.constraint_name AND t.constraint_type = 'CHECK' \
             WHERE t.table_schema = COALESCE(?, DATABASE()) AND t.table_name = ?"
        }
    };
    let rows = connection.query(sql, place()).await?;
    let check =
        |row: &Vec<Value<'_>>| Check { name: text(row, 0), condition: mysql_condition(&text(row, 1)) };
    Ok(Constraints { checks: rows.iter().map(check).collect(), foreign_keys })
}

/// The condition without what MySQL adds to texts: `_utf8mb4\'x\'`.
fn mysql_condition(clause: &str) -> String {
    clause.replace("_utf8mb4\\'", "'").replace("\\'", "'")
}

async fn sqlite(connection: &mut Connection, name: &str) -> Result<Constraints, DatabaseError> {
    let (schema, table) = name.split_once('.').unwrap_or(("main", name));
    let sql = "SELECT CAST(id AS TEXT), \"from\", \"table\", \"to\" FROM pragma_foreign_key_list(?, ?) ORDER BY id, seq";
    let rows = connection.query(sql, vec![Value::text(table), Value::text(schema)]).await?;
    let mut foreign_keys = foreign_keys(&rows);
    foreign_keys.iter_mut().for_each(|key| key.name.clear());
    let schema = super::quote(schema, Dialect::Sqlite);
    let sql =
        format!("SELECT sql FROM {schema}.sqlite_master WHERE type = 'table' AND name = ? COLLATE NOCASE");
    let rows = connection.query(&sql, vec![Value::text(table)]).await?;
    let checks = rows.iter().flat_map(|row| sqlite_checks(&text(row, 0))).collect();
    Ok(Constraints { checks, foreign_keys })
}

/// Rows of name, column, parent and the parent's column; a key has several if it has several columns.
fn foreign_keys(rows: &[Vec<Value<'_>>]) -> Vec<ForeignKey> {
    let mut keys: Vec<ForeignKey> = Vec::new();
    for row in rows {
        let name = text(row, 0);
        if keys.last().is_none_or(|key| key.name != name) {
            let (columns, parent_columns) = (Vec::new(), Vec::new());
            keys.push(ForeignKey { name, columns, parent: text(row, 2), parent_columns });
        }
        let Some(key) = keys.last_mut() else { continue };
        key.columns.push(text(row, 1));
        key.parent_columns.extend(Some(text(row, 3)).filter(|column| !column.is_empty()));
    }
    keys
}

/// The conditions in a CREATE TABLE of SQLite, which keeps the statement alone.
fn sqlite_checks(statement: &str) -> Vec<Check> {
    let words: Vec<(usize, usize)> = words(statement);
    let word = |place: usize| words.get(place).map(|(from, to)| &statement[*from..*to]);
    let is = |place: Option<usize>, wanted: &str| {
        place.and_then(word).is_some_and(|word| word.eq_ignore_ascii_case(wanted))
    };
    let checks = (0..words.len()).filter(|place| is(Some(*place), "CHECK")).filter_map(|place| {
        let rest = statement[words[place].1..].trim_start();
        let condition = rest.strip_prefix('(').and_then(inside)?.trim().to_owned();
        let is_named = is(place.checked_sub(2), "CONSTRAINT");
        let name = place.checked_sub(1).filter(|_| is_named).and_then(word).unwrap_or_default();
        Some(Check { name: name.trim_matches(['"', '`', '[', ']']).to_owned(), condition })
    });
    checks.collect()
}

/// Where the words and quoted texts of a statement are.
fn words(statement: &str) -> Vec<(usize, usize)> {
    let (mut words, mut start, mut quote) = (Vec::new(), None, None);
    for (at, c) in statement.char_indices() {
        match quote {
            Some(end) if c == end => {
                words.extend(start.take().map(|start| (start, at + c.len_utf8())));
                quote = None;
            }
            Some(_) => {}
            None if is_quote(c) => (start, quote) = (Some(at), Some(if c == '[' { ']' } else { c })),
            None if c.is_alphanumeric() || c == '_' => start = start.or(Some(at)),
            None => words.extend(start.take().map(|start| (start, at))),
        }
    }
    words
}

fn is_quote(c: char) -> bool {
    matches!(c, '\'' | '"' | '`' | '[')
}

/// What is before the parenthesis that closes.
fn inside(text: &str) -> Option<&str> {
    let (mut depth, mut quote) = (0, None);
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (Some(end), c) if c == end => quote = None,
            (Some(_), _) => {}
            (None, c) if is_quote(c) => quote = Some(if c == '[' { ']' } else { c }),
            (None, '(') => depth += 1,
            (None, ')') if depth == 0 => return Some(&text[..at]),
            (None, ')') => depth -= 1,
            (None, _) => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_found_in_the_statement_that_made_the_table() {
        let statement = "CREATE TABLE \"check\" (n INT CHECK (n <> (1 + 2)), t TEXT DEFAULT 'CHECK (', \
            CONSTRAINT \"short name\" CHECK(length(t) < 4 OR t = ')'), checked INT)";
        let found: Vec<(String, String)> =
            sqlite_checks(statement).into_iter().map(|check| (check.name, check.condition)).collect();
        let expected = [("", "n <> (1 + 2)"), ("short name", "length(t) < 4 OR t = ')'")];
        assert_eq!(found, expected.map(|(name, condition)| (name.to_owned(), condition.to_owned())));
    }

    #[test]
    fn texts_in_a_condition_of_mysql_are_texts() {
        assert_eq!(mysql_condition(r"(`a` <> _utf8mb4\'x\')"), "(`a` <> 'x')");
    }
}
