//! Expected rows against those that came out, and rows of one batch against rows of several: which belong together, and
//! how they differ.

use super::difference::{Cell, Difference, Line, Sign};
use super::suite::{Expectation, Row, named_columns};
use super::table::{Kind, Table};
use super::value;
use crate::sql::type_name;
use crate::yaml;

/// Which rows belong together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Comparison {
    /// For each expected row, the resulting row that is nearest to it.
    pub expected: Vec<Option<Pair>>,
    /// Rows that nothing expects.
    pub surplus: Vec<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pair {
    /// The row that came out.
    pub row: usize,
    pub is_same: bool,
}

impl Comparison {
    pub fn is_same(&self) -> bool {
        self.surplus.is_empty() && self.expected.iter().all(|pair| pair.is_some_and(|pair| pair.is_same))
    }
}

/// Finds what came out of what was expected. Only the columns that a row names count.
pub(super) fn compare(expectation: &Expectation, table: &Table) -> Comparison {
    let is_same = |expected: &Row, row: &[String]| differing(expectation, expected, table, row).is_empty();
    let count = table.rows.len();
    let mut comparison = Comparison::default();
    if expectation.is_ordered {
        for (index, expected) in expectation.rows.iter().enumerate() {
            let pair = table.rows.get(index).map(|row| Pair { row: index, is_same: is_same(expected, row) });
            comparison.expected.push(pair);
        }
        comparison.surplus = (expectation.rows.len()..count).collect();
        return comparison;
    }
    let candidates = expectation
        .rows
        .iter()
        .map(|expected| (0..count).filter(|row| is_same(expected, &table.rows[*row])).collect::<Vec<_>>());
    let partners = matching(&candidates.collect::<Vec<_>>(), count);
    let mut is_taken = vec![false; count];
    partners.iter().flatten().for_each(|row| is_taken[*row] = true);
    for (expected, partner) in expectation.rows.iter().zip(partners) {
        let pair = partner.map(|row| Pair { row, is_same: true });
        let pair = pair.or_else(|| {
            let distance = |row: &usize| differing(expectation, expected, table, &table.rows[*row]).len();
            let free = (0..count).filter(|row| !is_taken[*row]);
            // A row that has nothing in common is another row.
            let near = free.map(|row| (distance(&row), row)).filter(|(far, _)| *far < expected.cells.len());
            let (_, row) = near.min()?;
            is_taken[row] = true;
            Some(Pair { row, is_same: false })
        });
        comparison.expected.push(pair);
    }
    comparison.surplus = (0..count).filter(|row| !is_taken[*row]).collect();
    comparison
}

/// The cells of an expected row that are others in the row that came out, by their places.
fn differing(expectation: &Expectation, expected: &Row, table: &Table, row: &[String]) -> Vec<usize> {
    let is_other = |(index, cell): (usize, &super::suite::Cell)| {
        let place = table.column(&cell.column);
        let is_same = place.is_some_and(|place| {
            value::is_same(&cell.value, &row[place], &table.columns[place].kind, expectation.tolerance)
        });
        (!is_same).then_some(index)
    };
    expected.cells.iter().enumerate().filter_map(is_other).collect()
}

/// As many pairs as possible, each right side once: augmenting paths, since a row that names few columns may be
/// satisfied by a row that another one needs.
fn matching(candidates: &[Vec<usize>], rights: usize) -> Vec<Option<usize>> {
    fn find(
        left: usize,
        candidates: &[Vec<usize>],
        of_right: &mut [Option<usize>],
        seen: &mut [bool],
    ) -> bool {
        for right in &candidates[left] {
            if std::mem::replace(&mut seen[*right], true) {
                continue;
            }
            let is_free = match of_right[*right] {
                None => true,
                Some(other) => find(other, candidates, of_right, seen),
            };
            if is_free {
                of_right[*right] = Some(left);
                return true;
            }
        }
        false
    }
    let mut of_right = vec![None; rights];
    for left in 0..candidates.len() {
        find(left, candidates, &mut of_right, &mut vec![false; rights]);
    }
    let mut of_left = vec![None; candidates.len()];
    for (right, left) in of_right.into_iter().enumerate() {
        if let Some(left) = left {
            of_left[left] = Some(right);
        }
    }
    of_left
}

/// Expected and actual rows, side by side.
pub(super) fn difference(expectation: &Expectation, table: &Table, comparison: &Comparison) -> Difference {
    let mut names = named_columns(&expectation.rows);
    if names.is_empty() {
        names = table.columns.iter().map(|column| column.name.as_str()).collect();
    }
    let places: Vec<Option<usize>> = names.iter().map(|name| table.column(name)).collect();
    let actual = |row: usize, sign: Sign, is_marked: &dyn Fn(&str) -> bool| Line {
        sign,
        cells: names
            .iter()
            .zip(&places)
            .map(|(name, place)| match place {
                Some(place) => Cell {
                    text: value::written(&table.rows[row][*place], &table.columns[*place].kind),
                    is_marked: is_marked(name),
                },
                None => Cell::default(),
            })
            .collect(),
    };
    let mut lines = Vec::new();
    for (expected, pair) in expectation.rows.iter().zip(&comparison.expected) {
        if let Some(Pair { row, is_same: true }) = pair {
            lines.push(actual(*row, Sign::Both, &|_| false));
            continue;
        }
        let others =
            pair.map_or_else(Vec::new, |pair| differing(expectation, expected, table, &table.rows[pair.row]));
        let is_other = |name: &str| others.iter().any(|place| expected.cells[*place].column == name);
        lines.push(Line {
            sign: Sign::First,
            cells: names.iter().map(|name| expected_cell(expected, name, is_other(name))).collect(),
        });
        if let Some(pair) = pair {
            lines.push(actual(pair.row, Sign::Second, &is_other));
            let kinds = places.iter().map(|place| place.map(|place| &table.columns[place].kind));
            say_types(&mut lines, kinds);
        }
    }
    for row in &comparison.surplus {
        lines.push(actual(*row, Sign::Second, &|_| false));
    }
    Difference { columns: names.into_iter().map(str::to_owned).collect(), lines }
}

/// In the last two lines, values that differ by their type alone say so: the number 5.0 and the text '5'.
fn say_types<'k>(lines: &mut [Line], kinds: impl Iterator<Item = Option<&'k Kind>>) {
    let [.., expected, came] = lines else { return };
    for ((expected, came), kind) in expected.cells.iter().zip(&mut came.cells).zip(kinds) {
        if let Some(Kind::Arrow(kind)) = kind
            && came.is_marked
            && look_alike(&expected.text, &came.text)
        {
            came.text.push_str(&format!(" ({})", type_name(kind)));
        }
    }
}

/// Whether two values are the same but for quotes and the way in which a number is written.
fn look_alike(one: &str, other: &str) -> bool {
    let bare = |text: &str| text.trim_matches(['"', '\'']).to_owned();
    let (one, other) = (bare(one), bare(other));
    let number = |text: &str| text.parse::<f64>().ok();
    one == other || number(&one).is_some_and(|one| number(&other) == Some(one))
}

fn expected_cell(row: &Row, column: &str, is_marked: bool) -> Cell {
    let cell = row.cells.iter().find(|cell| cell.column == column);
    let text = cell.map_or_else(String::new, |cell| match (&cell.value.value, cell.value.text()) {
        (yaml::Value::Scalar { is_plain: true, .. }, Some(text)) => text.to_owned(),
        (_, Some(text)) => yaml::quoted(text),
        (_, None) => cell.value.to_json().to_string(),
    });
    Cell { text, is_marked }
}

/// How many columns of a wide table are shown, where some of them differ.
const COLUMNS_SHOWN_MAX: usize = 8;

/// Rows of two tables with the same columns as multisets; `None` where they are the same. `key`: columns that tell a
/// person which row it is.
pub(super) fn compare_tables(
    first: &Table,
    second: &Table,
    tolerance: Option<f64>,
    key: &[String],
) -> Option<Difference> {
    let (firsts, mut seconds) = leftovers(first, second);
    let is_near = |a: &[String], b: &[String]| {
        tolerance.is_some_and(|tolerance| {
            a.iter().zip(b).all(|(a, b)| a == b || value::are_near_floats(a, b, tolerance))
        })
    };
    let mut pairs: Vec<(usize, Option<usize>)> = Vec::new();
    for row in firsts {
        let row_texts = &first.rows[row];
        if let Some(place) = seconds.iter().position(|other| is_near(row_texts, &second.rows[*other])) {
            seconds.remove(place);
        } else {
            pairs.push((row, None));
        }
    }
    if pairs.is_empty() && seconds.is_empty() {
        return None;
    }
    let is_key = |column: usize| key.contains(&first.columns[column].name);
    for (row, partner) in &mut pairs {
        let row = &first.rows[*row];
        let nearest = seconds.iter().enumerate().min_by_key(|(_, other)| {
            let others = &second.rows[**other];
            let distance = |column: usize| {
                usize::from(row[column] != others[column]) * if is_key(column) { 100 } else { 1 }
            };
            (0..row.len()).map(distance).sum::<usize>()
        });
        if let Some((place, other)) = nearest {
            *partner = Some(*other);
            seconds.remove(place);
        }
    }
    Some(side_by_side(first, second, &pairs, &seconds, key))
}

fn side_by_side(
    first: &Table,
    second: &Table,
    pairs: &[(usize, Option<usize>)],
    surplus: &[usize],
    key: &[String],
) -> Difference {
    let differs = |column: usize| {
        pairs.iter().any(|(a, b)| b.is_some_and(|b| first.rows[*a][column] != second.rows[b][column]))
    };
    let is_key = |column: &usize| key.contains(&first.columns[*column].name);
    let all = 0..first.columns.len();
    let mut shown: Vec<usize> = all.clone().filter(|column| is_key(column) || differs(*column)).collect();
    let others: Vec<usize> = all.filter(|column| !shown.contains(column)).collect();
    shown.extend(others.into_iter().take(COLUMNS_SHOWN_MAX.saturating_sub(shown.len())));
    shown.sort_unstable();
    let line = |table: &Table, row: usize, sign: Sign, other: Option<&Vec<String>>| Line {
        sign,
        cells: shown
            .iter()
            .map(|column| Cell {
                text: value::written(&table.rows[row][*column], &table.columns[*column].kind),
                is_marked: other.is_some_and(|other| other[*column] != table.rows[row][*column]),
            })
            .collect(),
    };
    let mut lines = Vec::new();
    for (a, b) in pairs {
        lines.push(line(first, *a, Sign::First, b.map(|b| &second.rows[b])));
        if let Some(b) = b {
            lines.push(line(second, *b, Sign::Second, Some(&first.rows[*a])));
        }
    }
    lines.extend(surplus.iter().map(|row| line(second, *row, Sign::Second, None)));
    let columns = shown.iter().map(|column| first.columns[*column].name.clone()).collect();
    Difference { columns, lines }
}

/// The rows of each that the other does not have.
fn leftovers(first: &Table, second: &Table) -> (Vec<usize>, Vec<usize>) {
    let mut of_second: std::collections::HashMap<&[String], Vec<usize>> = std::collections::HashMap::new();
    for (index, row) in second.rows.iter().enumerate().rev() {
        of_second.entry(row).or_default().push(index);
    }
    let mut firsts = Vec::new();
    for (index, row) in first.rows.iter().enumerate() {
        if of_second.get_mut(row.as_slice()).and_then(Vec::pop).is_none() {
            firsts.push(index);
        }
    }
    let mut seconds: Vec<usize> = of_second.into_values().flatten().collect();
    seconds.sort_unstable();
    (firsts, seconds)
}
