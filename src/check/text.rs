//! Findings for people: what is wrong, then the graph of the views, then each table with its columns.

use std::fmt::Write as _;

use super::tables::{Role, TableFinding};
use super::{Findings, ViewFinding};
use crate::diagnostic::render;

impl Findings {
    /// What is wrong, and how many of each there are; empty where nothing is.
    pub fn faults_text(&self) -> String {
        if self.diagnostics.is_empty() {
            return String::new();
        }
        let errors = self.diagnostics.iter().filter(|diagnostic| diagnostic.is_error()).count();
        let warnings = self.diagnostics.len() - errors;
        let counts: Vec<String> = [(errors, "error"), (warnings, "warning")]
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}{}", if *count == 1 { "" } else { "s" }))
            .collect();
        format!("{}\n\n{}", render(&self.diagnostics), counts.join(", "))
    }

    /// The graph and the tables.
    pub fn project_text(&self) -> String {
        let mut text = String::new();
        if !self.views.is_empty() {
            text.push_str("views, in the order they are computed\n");
            text.push_str(&graph(&self.views));
        }
        for table in self.tables.iter().filter(|table| table.role != Role::Program) {
            text.push_str(&format!("\n{}\n", title(table)));
            text.push_str(&columns(table));
        }
        text
    }

    /// The CREATE TABLE statements of all tables.
    pub fn ddl_text(&self) -> String {
        let statements = self.tables.iter().filter_map(|table| table.ddl.as_ref());
        let statements: Vec<String> = statements.map(|statement| format!("{statement};\n")).collect();
        statements.join("\n")
    }
}

fn graph(views: &[ViewFinding]) -> String {
    let rows = views.iter().map(|view| {
        let note = if view.is_used { "" } else { "  (not used)" };
        let reads = if view.reads.is_empty() { "-".to_owned() } else { view.reads.join(", ") };
        vec![view.name.clone(), format!("<- {reads}{note}")]
    });
    aligned(&rows.collect::<Vec<_>>())
}

fn title(table: &TableFinding) -> String {
    let name = &table.name;
    match &table.role {
        Role::Program => name.clone(),
        Role::Append { view } if view == name => format!("output {name}, appended"),
        Role::Append { view } => format!("output {view}, appended to {name}"),
        Role::Upsert { view, key } if view == name => {
            format!("output {name}, upserted by {}", key.join(", "))
        }
        Role::Upsert { view, key } => format!("output {view}, upserted into {name} by {}", key.join(", ")),
        Role::Replace { view, parent, .. } => {
            let into = if view == name { String::new() } else { format!(" in {name}") };
            format!("output {view}, replaced{into} by {}", parent.join(", "))
        }
        Role::State { view, key } => format!("state {name}, of view {view}, by {}", key.join(", ")),
    }
}

fn columns(table: &TableFinding) -> String {
    // SQLite's own names are worth a column; those of MariaDB are MySQL's.
    let has_other = table.columns.iter().any(|column| column.column != column.mysql);
    let is_there = table.columns.iter().any(|column| column.declared.is_some());
    let mut rows = vec![vec!["column".to_owned(), "Arrow".to_owned(), "MySQL".to_owned()]];
    rows[0].extend(has_other.then(|| "SQLite".to_owned()));
    rows[0].extend(is_there.then(|| "in the table".to_owned()));
    for column in &table.columns {
        let mut row = vec![column.name.clone(), column.arrow.clone(), column.mysql.clone()];
        row.extend(has_other.then(|| column.column.clone()));
        row.extend(is_there.then(|| column.declared.clone().unwrap_or_else(|| "-".to_owned())));
        rows.push(row);
    }
    aligned(&rows)
}

/// Rows with their cells one below the other.
fn aligned(rows: &[Vec<String>]) -> String {
    let width = |index: usize| {
        rows.iter().filter_map(|row| row.get(index)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let mut text = String::new();
    for row in rows {
        let mut line = String::from(" ");
        for (index, cell) in row.iter().enumerate() {
            let pad = width(index) - cell.chars().count();
            // Why: writing to a String cannot fail.
            let _ = write!(line, " {cell}{} ", " ".repeat(pad));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}
