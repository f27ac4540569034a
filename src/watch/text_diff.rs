//! How the views of two versions differ, line by line, as `diff -u` shows it.

use std::collections::{BTreeMap, BTreeSet};

/// Lines around a difference.
const CONTEXT_LINES: usize = 3;
/// Longer texts are shown as replaced: the comparison takes the product of their lengths.
const LINES_MAX: usize = 2_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line<'t> {
    Same(&'t str),
    Gone(&'t str),
    New(&'t str),
}

/// The differences of all views; empty if there are none.
pub(super) fn unified(old: &BTreeMap<String, String>, new: &BTreeMap<String, String>) -> String {
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let mut out = String::new();
    for name in names {
        let (before, after) = (old.get(name), new.get(name));
        if before == after {
            continue;
        }
        let side = |text: Option<&String>| {
            if text.is_some() { format!("sql/{name}.sql") } else { "/dev/null".to_owned() }
        };
        out += &format!("--- {}\n+++ {}\n", side(before), side(after));
        let lines = |text: Option<&'_ String>| {
            text.map(|text| text.lines().map(str::to_owned).collect()).unwrap_or_default()
        };
        let (before, after): (Vec<String>, Vec<String>) = (lines(before), lines(after));
        hunks(&mut out, &compare(&before, &after));
    }
    out
}

/// All lines of both texts, in order: the longest common part is what stays the same.
fn compare<'t>(old: &'t [String], new: &'t [String]) -> Vec<Line<'t>> {
    if old.len().max(new.len()) > LINES_MAX {
        let gone = old.iter().map(|line| Line::Gone(line));
        return gone.chain(new.iter().map(|line| Line::New(line))).collect();
    }
    // For each pair of rests, how many lines they have in common at most.
    let width = new.len() + 1;
    let mut common = vec![0_u32; (old.len() + 1) * width];
    for (i, before) in old.iter().enumerate().rev() {
        for (j, after) in new.iter().enumerate().rev() {
            common[i * width + j] = match before == after {
                true => common[(i + 1) * width + j + 1] + 1,
                false => common[(i + 1) * width + j].max(common[i * width + j + 1]),
            };
        }
    }
    let (mut i, mut j, mut lines) = (0, 0, Vec::new());
    while i < old.len() || j < new.len() {
        if i < old.len() && j < new.len() && old[i] == new[j] {
            lines.push(Line::Same(&old[i]));
            (i, j) = (i + 1, j + 1);
        } else if i < old.len()
            && (j == new.len() || common[(i + 1) * width + j] >= common[i * width + j + 1])
        {
            lines.push(Line::Gone(&old[i]));
            i += 1;
        } else {
            lines.push(Line::New(&new[j]));
            j += 1;
        }
    }
    lines
}

/// The differences with the lines around them.
fn hunks(out: &mut String, lines: &[Line<'_>]) {
    let is_change = |line: &Line<'_>| !matches!(line, Line::Same(_));
    let changes: Vec<usize> = (0..lines.len()).filter(|place| is_change(&lines[*place])).collect();
    let mut next = 0;
    while let Some(first) = changes.get(next) {
        let start = first.saturating_sub(CONTEXT_LINES);
        let mut end = first + 1;
        while changes.get(next).is_some_and(|place| *place <= end + 2 * CONTEXT_LINES) {
            end = changes[next] + 1;
            next += 1;
        }
        let end = (end + CONTEXT_LINES).min(lines.len());
        let before =
            |is_counted: fn(&Line<'_>) -> bool| lines[..start].iter().filter(|line| is_counted(line)).count();
        let within = |is_counted: fn(&Line<'_>) -> bool| {
            lines[start..end].iter().filter(|line| is_counted(line)).count()
        };
        let is_old: fn(&Line<'_>) -> bool = |line| !matches!(line, Line::New(_));
        let is_new: fn(&Line<'_>) -> bool = |line| !matches!(line, Line::Gone(_));
        let (old, new) = (within(is_old), within(is_new));
        let place = |is_counted, count: usize| before(is_counted) + usize::from(count > 0);
        *out += &format!("@@ -{},{old} +{},{new} @@\n", place(is_old, old), place(is_new, new));
        for line in &lines[start..end] {
            let (sign, text) = match line {
                Line::Same(text) => (' ', text),
                Line::Gone(text) => ('-', text),
                Line::New(text) => ('+', text),
            };
            *out += &format!("{sign}{text}\n");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn views(texts: &[(&str, &str)]) -> BTreeMap<String, String> {
        texts.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
    }

    #[test]
    fn views_that_are_the_same_are_left_out() {
        let old = views(&[("a", "SELECT 1"), ("b", "1\n2\n3\n4\n5\n6\n7\n8\n9\n10"), ("gone", "SELECT 3")]);
        let new =
            views(&[("a", "SELECT 1"), ("b", "1\n2\n3\n4\nfive\n6\n7\n8\n9\n10\n11"), ("new", "SELECT 4")]);
        let expected = "--- sql/b.sql\n+++ sql/b.sql\n@@ -2,9 +2,10 @@\n 2\n 3\n 4\n-5\n+five\n 6\n 7\n 8\n 9\n 10\n+11\n\
                        --- sql/gone.sql\n+++ /dev/null\n@@ -1,1 +0,0 @@\n-SELECT 3\n\
                        --- /dev/null\n+++ sql/new.sql\n@@ -0,0 +1,1 @@\n+SELECT 4\n";
        assert_eq!(unified(&old, &new), expected);
        assert_eq!(unified(&old, &old), "");
    }

    #[test]
    fn differences_that_are_far_apart_are_two_hunks() {
        let text = |changed: &[usize]| {
            let line = |n: usize| if changed.contains(&n) { format!("changed {n}") } else { n.to_string() };
            (0..40).map(line).collect::<Vec<_>>().join("\n")
        };
        let diff = unified(&views(&[("v", &text(&[]))]), &views(&[("v", &text(&[5, 30]))]));
        assert_eq!(diff.matches("@@ -").count(), 2, "{diff}");
        assert!(diff.contains("@@ -3,7 +3,7 @@") && diff.contains("@@ -28,7 +28,7 @@"), "{diff}");
    }
}
