//! Statements of many rows: their text, and how rows are cut into them.

use std::ops::Range;

use crate::database::StatementLimits;

/// A statement that repeats a group of placeholders, one for each row.
#[derive(Clone)]
pub(super) struct Shape {
    head: String,
    row: String,
    separator: &'static str,
    tail: String,
}

/// Rows of one statement: more are no faster (measured: 500 to 2000 are the same).
const STATEMENT_ROWS_MAX: usize = 1024;
/// Placeholders of one statement: more are slower. Each takes some two hundred bytes here, and more in the server.
const STATEMENT_PLACEHOLDERS_MAX: usize = 8 << 10;
/// Bytes of values ([`Value::size`](crate::database::Value::size)) that are sent as text. Beyond it, a prepared statement or LOAD
/// DATA costs less.
pub(super) const TEXT_BYTES_MAX: usize = 64 << 10;

impl Shape {
    /// `width`: placeholders of a row.
    pub fn new(head: String, width: usize, tail: String) -> Self {
        Self { head, row: format!("({})", vec!["?"; width].join(",")), separator: ",", tail }
    }

    /// Each row is a condition, and any of them suffices.
    pub fn of_conditions(head: String, condition: String, tail: String) -> Self {
        Self { head, row: condition, separator: " OR ", tail }
    }

    /// Each row ends with an expression that the database computes.
    pub fn with_constant(head: String, width: usize, last: &str) -> Self {
        let row = format!("({},{last})", vec!["?"; width].join(","));
        Self { head, row, separator: ",", tail: String::new() }
    }

    pub fn sql(&self, rows: usize) -> String {
        let body = (self.row.len() + self.separator.len()) * rows;
        let mut sql = String::with_capacity(self.head.len() + body + self.tail.len());
        sql.push_str(&self.head);
        for row in 0..rows {
            if row > 0 {
                sql.push_str(self.separator);
            }
            sql.push_str(&self.row);
        }
        sql.push_str(&self.tail);
        sql
    }
}

/// Cuts rows of these sizes into statements: each below the limits of rows, placeholders and bytes, but for a row
/// that is larger alone.
///
/// Why powers of two: a statement is prepared for a number of rows, so with them few are. Last rows of any number are sent
/// as text, if they are few enough.
pub(super) fn chunks(sizes: &[usize], width: usize, limits: &StatementLimits) -> Vec<Range<usize>> {
    let placeholders_max = limits.placeholders_max.min(STATEMENT_PLACEHOLDERS_MAX);
    let rows_max = (placeholders_max / width.max(1)).clamp(1, STATEMENT_ROWS_MAX);
    let mut chunks = Vec::with_capacity(sizes.len() / rows_max + 1);
    let mut start = 0;
    while start < sizes.len() {
        let (rows, bytes) = fitting(&sizes[start..], rows_max, limits.statement_bytes_max);
        let is_text = start + rows == sizes.len() && bytes <= TEXT_BYTES_MAX;
        let end = start + if is_text { rows } else { 1 << rows.ilog2() };
        chunks.push(start..end);
        start = end;
    }
    chunks
}

/// Cuts rows of these sizes into parts of up to `bytes_max` bytes, or of one row.
pub(super) fn parts(sizes: &[usize], bytes_max: usize) -> Vec<Range<usize>> {
    let mut parts = Vec::new();
    let mut start = 0;
    while start < sizes.len() {
        let (rows, _) = fitting(&sizes[start..], usize::MAX, bytes_max);
        parts.push(start..start + rows);
        start += rows;
    }
    parts
}

/// How many of these rows are below the limits, at least one, and their bytes.
fn fitting(sizes: &[usize], rows_max: usize, bytes_max: usize) -> (usize, usize) {
    let Some((first, others)) = sizes.split_first() else { return (0, 0) };
    let (mut rows, mut bytes) = (1, *first);
    for size in others {
        if rows == rows_max || bytes + size > bytes_max {
            break;
        }
        rows += 1;
        bytes += size;
    }
    (rows, bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_statement_repeats_its_row() {
        let shape = Shape::new("INSERT INTO t (a, b) VALUES ".into(), 2, " AS new".into());
        assert_eq!(shape.sql(2), "INSERT INTO t (a, b) VALUES (?,?),(?,?) AS new");
    }

    proptest! {
        #[test]
        fn every_row_is_in_one_statement_below_the_limits(
            sizes in prop::collection::vec(0_usize..2000, 0..3000),
            width in 1_usize..400,
        ) {
            let limits = StatementLimits { placeholders_max: 5000, statement_bytes_max: 1500, row_bytes_max: 4000 };
            let chunks = chunks(&sizes, width, &limits);
            prop_assert_eq!(chunks.iter().map(Range::len).sum::<usize>(), sizes.len());
            prop_assert!(chunks.windows(2).all(|pair| pair[0].end == pair[1].start));
            for chunk in chunks {
                prop_assert!(chunk.len() * width <= 5000 || chunk.len() == 1);
                prop_assert!(sizes[chunk.clone()].iter().sum::<usize>() <= 1500 || chunk.len() == 1);
            }
        }

        #[test]
        fn statements_that_are_not_sent_as_text_have_few_sizes(
            sizes in prop::collection::vec(0_usize..200_000, 0..3000),
            width in 1_usize..400,
        ) {
            let limits = StatementLimits {
                placeholders_max: 65_535, statement_bytes_max: 1 << 20, row_bytes_max: 1 << 20,
            };
            for chunk in chunks(&sizes, width, &limits) {
                let is_text = sizes[chunk.clone()].iter().sum::<usize>() <= TEXT_BYTES_MAX;
                prop_assert!(chunk.len().is_power_of_two() || is_text && chunk.end == sizes.len());
            }
        }
    }
}
