//! Findings for programs: one JSON object a line. `type` says what it is: `diagnostic` first, then `view`, then `table`,
//! and `summary` last. Keys are only ever added.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::tables::{ColumnFinding, Role, TableFinding};
use super::{Findings, ViewFinding};
use crate::diagnostic::Diagnostic;

impl Findings {
    /// All that was found, a line for each.
    pub fn to_json_lines(&self) -> String {
        let diagnostics = self.diagnostics.iter().map(Diagnostic::to_json);
        let views = self.views.iter().map(view);
        let tables = self.tables.iter().map(table);
        let mut lines = String::new();
        for object in diagnostics.chain(views).chain(tables).chain([self.summary()]) {
            // Why: writing to a String cannot fail.
            let _ = writeln!(lines, "{object}");
        }
        lines
    }

    fn summary(&self) -> Value {
        let errors = self.diagnostics.iter().filter(|diagnostic| diagnostic.is_error()).count();
        json!({"type": "summary", "errors": errors, "warnings": self.diagnostics.len() - errors})
    }
}

fn view(view: &ViewFinding) -> Value {
    json!({"type": "view", "name": view.name, "reads": view.reads, "isUsed": view.is_used})
}

fn table(table: &TableFinding) -> Value {
    let (role, view, key) = match &table.role {
        Role::Program => ("program", None, None),
        Role::Append { view } => ("append", Some(view), None),
        Role::Upsert { view, key } => ("upsert", Some(view), Some(key)),
        Role::Replace { view, key, .. } => ("replace", Some(view), Some(key)),
        Role::State { view, key } => ("state", Some(view), Some(key)),
    };
    let columns: Vec<Value> = table.columns.iter().map(column).collect();
    json!({
        "type": "table",
        "name": table.name,
        "role": role,
        "view": view,
        "key": key,
        "exists": table.exists,
        "columns": columns,
        "ddl": table.ddl,
    })
}

fn column(column: &ColumnFinding) -> Value {
    json!({
        "name": column.name,
        "arrow": column.arrow,
        "mysql": column.mysql,
        "column": column.column,
        "declared": column.declared,
    })
}
