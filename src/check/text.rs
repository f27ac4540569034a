//! Findings for people: what is wrong, then the graph of the views, then each table with its columns.

use arrow::error::ArrowError;

use super::tables::{ColumnFinding, Role, TableFinding};
use super::{Findings, ViewFinding};
use crate::diagnostic::{counted, render};
use crate::print::{Look, table, texts};

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
            .map(|(count, what)| counted(*count, what))
            .collect();
        format!("{}\n\n{}", render(&self.diagnostics), counts.join(", "))
    }

    /// The views and the tables, as they look there.
    ///
    /// # Errors
    /// A table cannot be laid out.
    pub fn project_text(&self, look: Look) -> Result<String, ArrowError> {
        let mut text = String::new();
        if !self.views.is_empty() {
            text.push_str("views, in the order they are computed\n");
            text.push_str(&graph(&self.views, look)?);
        }
        for table in self.tables.iter().filter(|table| table.role != Role::Program) {
            text.push_str(&format!("\n{}\n", title(table)));
            text.push_str(&columns(table, look)?);
        }
        Ok(text)
    }

    /// The CREATE TABLE statements of all tables.
    pub fn ddl_text(&self) -> String {
        let statements = self.tables.iter().filter_map(|table| table.ddl.as_ref());
        let statements: Vec<String> = statements.map(|statement| format!("{statement};\n")).collect();
        statements.join("\n")
    }
}

fn graph(views: &[ViewFinding], look: Look) -> Result<String, ArrowError> {
    let reads = |view: &ViewFinding| {
        let note = if view.is_used { "" } else { " (not used)" };
        format!("{}{note}", view.reads.join(", "))
    };
    let names = texts(views.iter().map(|view| Some(view.name.as_str())));
    table([("view", names), ("reads", texts(views.iter().map(|view| Some(reads(view)))))], look)
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

fn columns(finding: &TableFinding, look: Look) -> Result<String, ArrowError> {
    let column = |text: fn(&ColumnFinding) -> Option<&String>| {
        texts(finding.columns.iter().map(|column| text(column).map(String::as_str)))
    };
    let mut columns = vec![
        ("column", column(|column| Some(&column.name))),
        ("Arrow", column(|column| Some(&column.arrow))),
        ("MySQL", column(|column| Some(&column.mysql))),
    ];
    // SQLite's own names are worth a column; those of MariaDB are MySQL's.
    if finding.columns.iter().any(|column| column.column != column.mysql) {
        columns.push(("SQLite", column(|column| Some(&column.column))));
    }
    if finding.columns.iter().any(|column| column.declared.is_some()) {
        columns.push(("in the table", column(|column| column.declared.as_ref())));
    }
    table(columns, look)
}
