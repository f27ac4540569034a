//! The statements by which rows of an output are written and deleted.

use super::statement::Shape;
use crate::database::{ANOTHER_KEY, Dialect, quote, quote_table};

/// What the statements of an output are made of.
pub(super) struct Names<'a> {
    pub table: &'a str,
    /// Of the columns that are written.
    pub columns: &'a [&'a str],
    /// Places among `columns`.
    pub key: &'a [usize],
    /// The place among `columns` of the one that a row in the table must not have more in.
    pub version: Option<usize>,
    /// The place among `columns` of one that keeps the greater of both values.
    pub newest: Option<usize>,
    /// A column that the database fills with a number, and that makes rows unique besides the key.
    pub numbered: Option<&'a str>,
    pub dialect: Dialect,
}

impl Names<'_> {
    pub(super) fn quoted(&self, place: usize) -> String {
        quote(self.columns[place], self.dialect)
    }

    /// A column of the row that is in the table.
    fn there(&self, place: usize) -> String {
        self.there_of(self.columns[place])
    }

    fn there_of(&self, column: &str) -> String {
        let table = match self.dialect {
            // SQLite takes the table's name alone.
            Dialect::Sqlite => quote(self.table.rsplit('.').next().unwrap_or(self.table), self.dialect),
            Dialect::MySql | Dialect::MariaDb => quote_table(self.table, self.dialect),
        };
        format!("{table}.{}", quote(column, self.dialect))
    }

    /// A column of the row that is written.
    fn written(&self, place: usize) -> String {
        let name = self.quoted(place);
        match self.dialect {
            Dialect::MySql => format!("_new.{name}"),
            Dialect::MariaDb => format!("VALUES({name})"),
            Dialect::Sqlite => format!("excluded.{name}"),
        }
    }

    /// The greater of both rows' values. NULL is less than any other.
    fn greater(&self, place: usize) -> String {
        let (there, new) = (self.there(place), self.written(place));
        let function = if self.dialect.is_mysql() { "GREATEST" } else { "max" };
        format!("{function}(COALESCE({there}, {new}), COALESCE({new}, {there}))")
    }

    /// True, or an error if the row in the table has another key: when the numbers have run out, a new row gets the number of
    /// the last one, and the server takes them for one row. What is added to that number, which is above 0, is out of range.
    fn same_key(&self) -> Option<String> {
        let numbered = self.numbered.filter(|_| self.dialect.is_mysql())?;
        let is_same = |place: &usize| format!("{} <=> {}", self.there(*place), self.written(*place));
        let is_same: Vec<String> = self.key.iter().map(is_same).collect();
        Some(format!("({}) OR {ANOTHER_KEY}{}", is_same.join(" AND "), self.there_of(numbered)))
    }

    /// Inserts rows.
    pub fn insert(&self) -> Shape {
        Shape::new(self.insert_head(), self.columns.len(), String::new())
    }

    /// Inserts rows, and updates where there is a row with the key.
    pub fn upsert(&self) -> Shape {
        let is_key = |place: &usize| self.key.contains(place);
        let mut others: Vec<usize> = (0..self.columns.len()).filter(|place| !is_key(place)).collect();
        if others.is_empty() {
            // With the key alone there is nothing to update; a key set to itself says so.
            others.extend(self.key.first());
        }
        // Why last: MySQL assigns one column after the other, and a condition sees what is assigned.
        others.sort_by_key(|place| Some(*place) == self.version);
        let is_newer = self.version.map(|version| {
            let (there, new) = (self.there(version), self.written(version));
            format!("{there} IS NULL OR {new} >= {there}")
        });
        // Why not the number itself: MySQL does not let a statement of many rows assign it (error 1869).
        let mut same_key = self.same_key();
        let assign = |place: &usize| {
            let new = match &is_newer {
                _ if Some(*place) == self.newest => self.greater(*place),
                Some(is_newer) if self.dialect.is_mysql() => {
                    format!("IF({is_newer}, {}, {})", self.written(*place), self.there(*place))
                }
                _ => self.written(*place),
            };
            let new = match same_key.take() {
                Some(same_key) => format!("IF({same_key}, {new}, {})", self.there(*place)),
                None => new,
            };
            format!("{} = {new}", self.quoted(*place))
        };
        let assigned: Vec<String> = others.iter().map(assign).collect();
        let assigned = assigned.join(", ");
        let tail = match (self.dialect, is_newer) {
            (Dialect::MySql, _) => format!(" AS _new ON DUPLICATE KEY UPDATE {assigned}"),
            (Dialect::MariaDb, _) => format!(" ON DUPLICATE KEY UPDATE {assigned}"),
            (Dialect::Sqlite, is_newer) => {
                let keys: Vec<String> = self.key.iter().map(|place| self.quoted(*place)).collect();
                let condition = is_newer.map_or_else(String::new, |is_newer| format!(" WHERE {is_newer}"));
                format!(" ON CONFLICT ({}) DO UPDATE SET {assigned}{condition}", keys.join(", "))
            }
        };
        Shape::new(self.insert_head(), self.columns.len(), tail)
    }

    /// Deletes rows by their keys. With a version, a row sends it behind its key, and no newer row is deleted.
    pub fn delete(&self) -> Shape {
        let table = quote_table(self.table, self.dialect);
        let keys: Vec<String> = self.key.iter().map(|place| self.quoted(*place)).collect();
        let Some(version) = self.version.map(|version| self.quoted(version)) else {
            let values = if self.dialect == Dialect::Sqlite { "VALUES " } else { "" };
            let head = format!("DELETE FROM {table} WHERE ({}) IN ({values}", keys.join(", "));
            return Shape::new(head, keys.len().max(1), ")".into());
        };
        let keys: Vec<String> = keys.iter().map(|key| format!("{key} = ?")).collect();
        let condition = format!("({} AND ({version} IS NULL OR {version} <= ?))", keys.join(" AND "));
        Shape::of_conditions(format!("DELETE FROM {table} WHERE "), condition, String::new())
    }

    /// Counts the rows with these keys, and locks them. `of_all` and `of_row` are more conditions: one before those of
    /// the rows, and one of each row behind its key.
    pub fn count(&self, of_all: &str, of_row: &str) -> Shape {
        let keys: Vec<String> = self.key.iter().map(|place| format!("{} = ?", self.quoted(*place))).collect();
        let of_row = if of_row.is_empty() { String::new() } else { format!(" AND {of_row}") };
        let of_all = if of_all.is_empty() { String::new() } else { format!("{of_all} AND ") };
        // BEGIN IMMEDIATE has locked the file of SQLite.
        let lock = if self.dialect.is_mysql() { " FOR UPDATE" } else { "" };
        let table = quote_table(self.table, self.dialect);
        Shape::of_conditions(
            format!("SELECT COUNT(*) FROM {table} WHERE {of_all}("),
            format!("({}{of_row})", keys.join(" AND ")),
            format!("){lock}"),
        )
    }

    fn insert_head(&self) -> String {
        let all: Vec<String> = (0..self.columns.len()).map(|place| self.quoted(place)).collect();
        format!("INSERT INTO {} ({}) VALUES ", quote_table(self.table, self.dialect), all.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dialect: Dialect, version: Option<usize>) -> Names<'static> {
        Names {
            table: "bank.t",
            columns: &["v", "k", "x"],
            key: &[1],
            version,
            newest: None,
            numbered: None,
            dialect,
        }
    }

    #[test]
    fn the_newer_row_stays_and_its_version_is_assigned_last() {
        let there = "`bank`.`t`.`v` IS NULL OR _new.`v` >= `bank`.`t`.`v`";
        assert_eq!(
            names(Dialect::MySql, Some(0)).upsert().sql(1),
            format!(
                "INSERT INTO `bank`.`t` (`v`, `k`, `x`) VALUES (?,?,?) AS _new ON DUPLICATE KEY UPDATE \
                 `x` = IF({there}, _new.`x`, `bank`.`t`.`x`), `v` = IF({there}, _new.`v`, `bank`.`t`.`v`)"
            )
        );
        assert!(
            names(Dialect::Sqlite, Some(0))
                .upsert()
                .sql(1)
                .ends_with("DO UPDATE SET \"x\" = excluded.\"x\", \"v\" = excluded.\"v\" WHERE \"t\".\"v\" IS NULL OR excluded.\"v\" >= \"t\".\"v\"")
        );
        assert_eq!(
            names(Dialect::MariaDb, None).upsert().sql(1),
            "INSERT INTO `bank`.`t` (`v`, `k`, `x`) VALUES (?,?,?) ON DUPLICATE KEY UPDATE `v` = VALUES(`v`), `x` = VALUES(`x`)"
        );
    }

    #[test]
    fn no_row_of_another_key_is_updated_where_the_server_numbers_rows() {
        let numbered = |dialect| Names { numbered: Some("no"), ..names(dialect, None) }.upsert().sql(1);
        let (there, mysql) = ("`bank`.`t`", numbered(Dialect::MySql));
        let guard = format!("IF(({there}.`k` <=> _new.`k`) OR ~0 + {there}.`no`, _new.`v`, {there}.`v`)");
        assert!(mysql.ends_with(&format!("KEY UPDATE `v` = {guard}, `x` = _new.`x`")), "{mysql}");
        // SQLite's statement names the key's own index.
        assert!(!numbered(Dialect::Sqlite).contains("no"));
    }

    #[test]
    fn a_column_keeps_the_greater_value() {
        let newest = |dialect| Names { newest: Some(2), ..names(dialect, None) };
        let assigned =
            "`x` = GREATEST(COALESCE(`bank`.`t`.`x`, VALUES(`x`)), COALESCE(VALUES(`x`), `bank`.`t`.`x`))";
        let mariadb = newest(Dialect::MariaDb).upsert().sql(1);
        assert!(mariadb.ends_with(assigned), "{mariadb}");
        let assigned =
            "\"x\" = max(COALESCE(\"t\".\"x\", excluded.\"x\"), COALESCE(excluded.\"x\", \"t\".\"x\"))";
        let sqlite = newest(Dialect::Sqlite).upsert().sql(1);
        assert!(sqlite.ends_with(assigned), "{sqlite}");
    }

    #[test]
    fn rows_are_deleted_by_key_and_with_a_version_no_newer_ones() {
        assert_eq!(
            names(Dialect::MySql, None).delete().sql(2),
            "DELETE FROM `bank`.`t` WHERE (`k`) IN ((?),(?))"
        );
        assert_eq!(
            names(Dialect::MariaDb, Some(0)).delete().sql(2),
            "DELETE FROM `bank`.`t` WHERE (`k` = ? AND (`v` IS NULL OR `v` <= ?)) OR (`k` = ? AND (`v` IS NULL OR `v` <= ?))"
        );
    }
}
