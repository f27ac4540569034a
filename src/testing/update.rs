//! Expectations written again from the results. Only the rows that differ are touched: other rows, comments and the
//! rest of the file stay as they are.

use std::ops::Range;

use super::compare::{Comparison, Pair, compare};
use super::run::{Case, Observed};
use super::suite::{Expectation, Of, Row, Suite, Written, named_columns};
use super::table::{Column, Table};
use super::value;
use crate::engine::Rehearsal;
use crate::yaml;

/// A row that would be wider is written with each column in its own line.
const ROW_WIDTH_MAX: usize = 100;

/// A file with its expectations written again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update {
    pub file: String,
    pub text: String,
    /// How many expectations are other ones.
    pub expectations: usize,
}

/// One change of a text.
#[derive(Debug)]
struct Edit {
    range: Range<usize>,
    text: String,
}

/// The file as it would have to be for these outcomes; `None` where it is so already.
pub(super) fn update(
    suite: &Suite,
    outcomes: &[(&Case, &Observed)],
    rehearsal: &Rehearsal,
) -> Option<Update> {
    let mut edits = Vec::new();
    let mut expectations = 0;
    for (case, observed) in outcomes {
        let mut writer = Writer { text: &suite.text, edits: &mut edits };
        for expectation in &case.test.expectations {
            let Some(table) = observed.rows_of(expectation.of, &expectation.name, rehearsal) else {
                continue;
            };
            let comparison = compare(expectation, table);
            if !comparison.is_same() && !expectation.written.is_elsewhere() {
                writer.expectation(expectation, table, &comparison);
                expectations += 1;
            }
        }
        let missing = missing(case, observed, rehearsal);
        expectations += missing.len();
        writer.append(case, &missing);
    }
    if edits.is_empty() {
        return None;
    }
    let text = applied(&suite.text, edits);
    // Invariant: what is written can be read again, or nothing is.
    Suite::parse(&suite.path, text.clone()).ok().filter(|suite| suite.faults.is_empty())?;
    Some(Update { file: suite.file.clone(), text, expectations })
}

fn applied(text: &str, mut edits: Vec<Edit>) -> String {
    // Stable: what is inserted at one place is in the order in which it was found.
    edits.sort_by_key(|edit| edit.range.start);
    let mut text = text.to_owned();
    for edit in edits.iter().rev() {
        text.replace_range(edit.range.clone(), &edit.text);
    }
    text
}

/// Rows of a name that a test says nothing of and should.
struct Missing<'a> {
    name: &'a str,
    table: &'a Table,
    of: Of,
}

/// Of a test that expects nothing: all outputs; of one that does not speak of dead letters: those that there are.
fn missing<'a>(case: &Case, observed: &'a Observed, rehearsal: &'a Rehearsal) -> Vec<Missing<'a>> {
    let expectations = &case.test.expectations;
    let mut missing = Vec::new();
    if expectations.is_empty() {
        let views = rehearsal.views().iter().zip(&observed.views).filter(|(view, _)| view.mode.is_some());
        missing.extend(views.map(|(view, table)| Missing { name: &view.name, table, of: Of::View }));
    }
    let says_dead_letters = expectations.iter().any(|expectation| expectation.of == Of::DeadLetters);
    if !says_dead_letters && !observed.dead_letters.rows.is_empty() {
        let table = &observed.dead_letters;
        missing.push(Missing { name: "expect_dead_letters", table, of: Of::DeadLetters });
    }
    missing
}

struct Writer<'a> {
    text: &'a str,
    edits: &'a mut Vec<Edit>,
}

impl Writer<'_> {
    fn edit(&mut self, range: Range<usize>, text: impl Into<String>) {
        self.edits.push(Edit { range, text: text.into() });
    }

    fn expectation(&mut self, expectation: &Expectation, table: &Table, comparison: &Comparison) {
        let is_any_kept = comparison.expected.iter().any(Option::is_some);
        if expectation.written.is_block && is_any_kept {
            self.rows(expectation, table, comparison);
        } else {
            self.list(&expectation.written, &expectation.rows, table);
        }
    }

    /// Rows that stand one under the other are changed one by one.
    fn rows(&mut self, expectation: &Expectation, table: &Table, comparison: &Comparison) {
        let Some(last) = expectation.rows.last() else { return };
        let dash = self.start_of_line(last.spot.start);
        let indent = self.text[dash..].len() - self.text[dash..].trim_start_matches(' ').len();
        for (row, pair) in expectation.rows.iter().zip(&comparison.expected) {
            match pair {
                Some(Pair { is_same: true, .. }) => {}
                Some(pair) => {
                    let columns = columns_of(std::slice::from_ref(row), table);
                    let written = written_row(table, pair.row, &columns, Some(indent));
                    self.edit(row.spot.range(), written);
                }
                None => {
                    let lines = self.start_of_line(row.spot.start)..self.end_of_line(row.spot.end);
                    self.edit(lines, "");
                }
            }
        }
        let columns = columns_of(&expectation.rows, table);
        let end = self.end_of_line(last.spot.end);
        let mut added = String::new();
        for row in &comparison.surplus {
            added +=
                &format!("{}- {}\n", " ".repeat(indent), written_row(table, *row, &columns, Some(indent)));
        }
        if !added.is_empty() {
            let is_ended = self.text[..end].ends_with('\n');
            self.edit(end..end, if is_ended { added } else { format!("\n{}", added.trim_end()) });
        }
    }

    /// The whole list.
    fn list(&mut self, written: &Written, rows: &[Row], table: &Table) {
        let columns = columns_of(rows, table);
        let end = written.list.end.max(written.after_key);
        let text = written_list(table, &columns, (!written.is_in_braces).then_some(written.column + 2));
        self.edit(written.after_key..end, text);
    }

    /// Further expectations at the end of a test.
    fn append(&mut self, case: &Case, missing: &[Missing<'_>]) {
        if missing.is_empty() {
            return;
        }
        let end = &case.test.end;
        let (views, others): (Vec<_>, Vec<_>) = missing.iter().partition(|missing| missing.of == Of::View);
        let list = |missing: &Missing<'_>, indent: Option<usize>| {
            written_list(missing.table, &columns_of(&[], missing.table), indent)
        };
        let Some(column) = end.column else {
            let entry = |missing: &&Missing<'_>| format!("{}:{}", missing.name, list(missing, None));
            let mut entries: Vec<String> = others.iter().map(entry).collect();
            if !views.is_empty() {
                let views: Vec<String> = views.iter().map(entry).collect();
                entries.push(format!("expect: {{ {} }}", views.join(", ")));
            }
            // Before the closing brace.
            let at = end.at - 1;
            let at = self.text[..at].trim_end().len();
            return self.edit(at..at, format!(", {}", entries.join(", ")));
        };
        let (indent, inner) = (" ".repeat(column), " ".repeat(column + 2));
        let mut added = String::new();
        if !views.is_empty() {
            added += &format!("{indent}expect:\n");
        }
        for view in views {
            added += &format!("{inner}{}:{}\n", view.name, list(view, Some(column + 4)));
        }
        for other in others {
            added += &format!("{indent}{}:{}\n", other.name, list(other, Some(column + 2)));
        }
        let at = self.end_of_line(end.at);
        let is_ended = self.text[..at].ends_with('\n');
        self.edit(at..at, if is_ended { added } else { format!("\n{}", added.trim_end()) });
    }

    fn start_of_line(&self, at: usize) -> usize {
        self.text[..at].rfind('\n').map_or(0, |before| before + 1)
    }

    /// Behind the line's end.
    fn end_of_line(&self, at: usize) -> usize {
        self.text[at..].find('\n').map_or(self.text.len(), |end| at + end + 1)
    }
}

/// The columns that rows name, by their places; all of the table where they name none.
fn columns_of(rows: &[Row], table: &Table) -> Vec<usize> {
    let columns: Vec<usize> =
        named_columns(rows).into_iter().filter_map(|column| table.column(column)).collect();
    if columns.is_empty() { (0..table.columns.len()).collect() } else { columns }
}

/// What follows the key: all rows, each in a line of its own at `indent`, or all in one line.
fn written_list(table: &Table, columns: &[usize], indent: Option<usize>) -> String {
    let rows = (0..table.rows.len()).map(|row| written_row(table, row, columns, indent));
    match indent {
        _ if table.rows.is_empty() => " []".into(),
        None => format!(" [{}]", rows.collect::<Vec<_>>().join(", ")),
        Some(indent) => rows.map(|row| format!("\n{}- {row}", " ".repeat(indent))).collect(),
    }
}

/// `{ customer: 7, reaction: x }`; if that is too wide and the row follows a dash at `indent`, a column a line.
fn written_row(table: &Table, row: usize, columns: &[usize], indent: Option<usize>) -> String {
    let cells: Vec<String> = columns
        .iter()
        .map(|column| {
            let Column { name, kind } = &table.columns[*column];
            format!("{}: {}", yaml::quoted(name), value::written(&table.rows[row][*column], kind))
        })
        .collect();
    let in_braces = format!("{{ {} }}", cells.join(", "));
    match indent {
        Some(indent) if indent + in_braces.chars().count() > ROW_WIDTH_MAX => {
            cells.join(&format!("\n{}", " ".repeat(indent + 2)))
        }
        _ => in_braces,
    }
}
