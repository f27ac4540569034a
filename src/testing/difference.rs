//! Rows that differ, printed as a table for people: a sign before each row, a mark at each value that differs, colours
//! where they are wanted.

use std::fmt::Write as _;

use unicode_width::UnicodeWidthStr as _;

/// Rows side by side.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    pub(super) columns: Vec<String>,
    pub(super) lines: Vec<Line>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub sign: Sign,
    /// One for each column.
    pub cells: Vec<Cell>,
}

/// Where a row is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    Both,
    /// Where it is expected; in one batch.
    First,
    /// What came out; cut into batches.
    Second,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Cell {
    pub text: String,
    /// Whether it is another one in the row's counterpart.
    pub is_marked: bool,
}

/// Rows of one table that are shown.
const LINES_SHOWN_MAX: usize = 30;
/// Rows that are the same are shown where the whole table has so few.
const SAME_SHOWN_MAX: usize = 12;
/// How wide a value is shown.
const CELL_WIDTH_MAX: usize = 60;
/// Before each row.
const MARGIN: &str = "  ";

const RED: &str = "\x1b[31m";
const GREEN: &str = "\x1b[32m";
const BOLD: &str = "\x1b[1m";
const DIM: &str = "\x1b[2m";
const RESET: &str = "\x1b[0m";

impl Difference {
    /// The table, each line ended. Without colours a differing value has a `!` before it.
    pub fn render(&self, is_coloured: bool) -> String {
        let is_short = self.lines.len() <= SAME_SHOWN_MAX;
        let lines: Vec<&Line> =
            self.lines.iter().filter(|line| is_short || line.sign != Sign::Both).collect();
        let shown = &lines[..lines.len().min(LINES_SHOWN_MAX)];
        let widths: Vec<usize> = (0..self.columns.len())
            .map(|column| {
                let cells = shown.iter().map(|line| clipped(&line.cells[column].text).width());
                cells.chain([self.columns[column].width()]).max().unwrap_or(0)
            })
            .collect();
        let mut out = String::new();
        let header =
            self.columns.iter().zip(&widths).map(|(name, width)| format!(" {}", padded(name, *width)));
        let header = header.collect::<Vec<_>>().join(" |");
        let (dim, reset) = if is_coloured { (DIM, RESET) } else { ("", "") };
        let _ = writeln!(out, "{MARGIN}{dim}  {}{reset}", header.trim_end());
        for line in shown {
            let _ = writeln!(out, "{MARGIN}{}", line.render(&widths, is_coloured));
        }
        if lines.len() > shown.len() {
            let _ = writeln!(out, "{MARGIN}  and {} more rows", lines.len() - shown.len());
        }
        out
    }
}

impl Line {
    fn render(&self, widths: &[usize], is_coloured: bool) -> String {
        let (sign, colour) = match self.sign {
            Sign::Both => (' ', ""),
            Sign::First => ('-', RED),
            Sign::Second => ('+', GREEN),
        };
        let cells = self.cells.iter().zip(widths).map(|(cell, width)| {
            let text = padded(&clipped(&cell.text), *width);
            match (cell.is_marked, is_coloured) {
                (true, false) => format!("!{text}"),
                (true, true) => format!(" {BOLD}{text}{RESET}{colour}"),
                (false, _) => format!(" {text}"),
            }
        });
        let cells = cells.collect::<Vec<_>>().join(" |");
        let row = format!("{sign} {}", cells.trim_end());
        if is_coloured && !colour.is_empty() { format!("{colour}{row}{RESET}") } else { row }
    }
}

/// As wide as may be, on one line.
fn clipped(text: &str) -> String {
    let text = text.replace('\n', "\\n");
    if text.width() <= CELL_WIDTH_MAX {
        return text;
    }
    let mut clipped = String::new();
    for character in text.chars() {
        if clipped.width() + 4 > CELL_WIDTH_MAX {
            break;
        }
        clipped.push(character);
    }
    clipped + "..."
}

fn padded(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(text.width())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(sign: Sign, cells: &[(&str, bool)]) -> Line {
        let cells =
            cells.iter().map(|(text, is_marked)| Cell { text: (*text).to_owned(), is_marked: *is_marked });
        Line { sign, cells: cells.collect() }
    }

    #[test]
    fn colours_take_the_place_of_marks() {
        let lines = vec![
            line(Sign::First, &[("7", false), ("日本", true)]),
            line(Sign::Second, &[("7", false), ("a\nb", true)]),
        ];
        let difference = Difference { columns: vec!["id".into(), "note".into()], lines };
        insta::assert_snapshot!(difference.render(false) + &difference.render(true).replace('\x1b', "^"));
    }

    #[test]
    fn long_tables_and_values_are_cut_short() {
        let text = "x".repeat(200);
        let mut lines: Vec<Line> = (0..100).map(|n| line(Sign::Both, &[(&n.to_string(), false)])).collect();
        lines.extend((0..40).map(|_| line(Sign::Second, &[(&text, false)])));
        let rendered = Difference { columns: vec!["v".into()], lines }.render(false);
        assert_eq!(rendered.lines().count(), 1 + LINES_SHOWN_MAX + 1, "{rendered}");
        assert!(rendered.ends_with("    and 10 more rows\n"), "{rendered}");
        assert!(rendered.lines().all(|line| line.width() <= CELL_WIDTH_MAX + 8), "{rendered}");
    }
}
