//! Why the database has refused a row: its message names a column or a constraint, the row has the values.

use super::output::Rows;
use crate::database::{Check, DatabaseError, ForeignKey, Value};

impl Rows {
    /// The values that the database does not take, and what it takes; `None` if it names nothing of this table.
    pub(super) fn why_refused(&self, row: usize, error: &DatabaseError) -> Option<String> {
        let (table, constraints) = (self.output.table.rsplit('.').next()?, &self.output.constraints);
        if let Some(broken) = error.broken_check() {
            let is_it = |check: &&Check| check.name.eq_ignore_ascii_case(broken) || check.condition == broken;
            let condition = &constraints.checks.iter().find(is_it)?.condition;
            let found = self.values(row, |column| mentions(condition, column))?;
            return Some(format!("found {found}, the condition is {condition}"));
        }
        if let Some(name) = error.missing_parent(table) {
            let is_it = |key: &&ForeignKey| name.is_empty() || key.name.eq_ignore_ascii_case(name);
            let told = constraints.foreign_keys.iter().filter(is_it).filter_map(|key| self.parent(row, key));
            let told: Vec<String> = told.collect();
            return (!told.is_empty()).then(|| format!("found {}", told.join("; or ")));
        }
        let column = error.column(&self.output.table)?;
        let is_it = |place: &&usize| self.output.columns[**place].name.eq_ignore_ascii_case(column);
        let declared = &self.output.columns[*self.sent.iter().find(is_it)?].declared;
        let value = self.shown(row, |name| name.eq_ignore_ascii_case(column))?.pop()?.1;
        Some(format!("found {value}, the column is {declared}"))
    }

    /// The values of a foreign key, and where they are not.
    fn parent(&self, row: usize, key: &ForeignKey) -> Option<String> {
        let is_of_key = |column: &str| key.columns.iter().any(|name| name.eq_ignore_ascii_case(column));
        let (found, parent) = (self.values(row, is_of_key)?, &key.parent);
        Some(match key.parent_columns.as_slice() {
            [] => format!("{found}, which {parent} does not have"),
            columns => format!("{found}, which {parent} ({}) does not have", columns.join(", ")),
        })
    }

    /// The values of the columns that are wanted: `amount = 7, name = "x"`.
    fn values(&self, row: usize, is_wanted: impl Fn(&str) -> bool) -> Option<String> {
        let shown: Vec<String> = self
            .shown(row, is_wanted)?
            .into_iter()
            .map(|(name, value)| format!("{name} = {value}"))
            .collect();
        (!shown.is_empty()).then(|| shown.join(", "))
    }

    fn shown(&self, row: usize, is_wanted: impl Fn(&str) -> bool) -> Option<Vec<(&str, String)>> {
        let mut shown = Vec::new();
        let mut take = |_: usize, sent: usize, value: Value<'_>| {
            let name = self.output.columns[self.sent[sent]].name.as_str();
            if is_wanted(name) {
                shown.push((name, value.shown()));
            }
        };
        self.each(&(row..row + 1), &mut take).ok()?;
        Some(shown)
    }
}

/// Whether a condition names a column.
fn mentions(condition: &str, column: &str) -> bool {
    let is_of_name = |c: char| c.is_alphanumeric() || c == '_';
    let (condition, column) = (condition.to_lowercase(), column.to_lowercase());
    condition.match_indices(&column).any(|(at, found)| {
        let (before, after) = (&condition[..at], &condition[at + found.len()..]);
        !before.ends_with(is_of_name) && !after.starts_with(is_of_name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_names_whole_words() {
        assert!(mentions("(`Amount` <= 100)", "amount"));
        assert!(mentions("length(name) < amount", "amount"));
        assert!(!mentions("(amounts <= 100 and net_amount > 1)", "amount"));
    }
}
