//! The tables that a job writes, as a check shows them: each column with its Arrow type and its types in databases, and
//! the statement that creates the table.

use crate::config::{Config, Mode, Upsert};
use crate::database::{Dialect, Table};
use crate::sink::{Inspection, Target, TargetKind, column_type, create_statements, own_tables};

/// A table.
#[derive(Clone, Debug)]
pub struct TableFinding {
    pub name: String,
    pub role: Role,
    /// Empty for tables of the program.
    pub columns: Vec<ColumnFinding>,
    /// CREATE TABLE in the dialect of the configured database; `None` where a column has no place in it.
    pub ddl: Option<String>,
    /// Whether it was seen in the database.
    pub exists: bool,
}

/// What a table is there for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// The program's own.
    Program,
    Append {
        view: String,
    },
    Upsert {
        view: String,
        key: Vec<String>,
    },
    /// All rows of a parent are replaced.
    Replace {
        view: String,
        key: Vec<String>,
        parent: Vec<String>,
    },
    State {
        view: String,
        key: Vec<String>,
    },
}

/// A column of a table.
#[derive(Clone, Debug)]
pub struct ColumnFinding {
    pub name: String,
    pub arrow: String,
    /// The type it has in a table that the program creates in MySQL.
    pub mysql: String,
    /// The same in the configured database.
    pub column: String,
    /// The type that the table has, where it exists.
    pub declared: Option<String>,
}

impl TableFinding {
    /// All tables of a job.
    pub fn all(config: &Config, targets: &[Target], inspection: &Inspection) -> Vec<Self> {
        let dialect = inspection.dialect;
        let own = own_tables(dialect, config.registry.is_some(), config.http.is_some());
        let own = own.into_iter().map(|(name, statement)| Self {
            name: name.to_owned(),
            role: Role::Program,
            columns: Vec::new(),
            ddl: Some(statement),
            exists: false,
        });
        let written = targets.iter().zip(&inspection.tables);
        own.chain(written.map(|(target, table)| Self::of(target, table.as_ref(), dialect))).collect()
    }

    fn of(target: &Target, table: Option<&Table>, dialect: Dialect) -> Self {
        let view = target.name.clone();
        let role = match (&target.mode, target.kind) {
            (Mode::Append, _) => Role::Append { view },
            (Mode::Upsert(Upsert { key, parent, .. }), TargetKind::Output) if !parent.is_empty() => {
                Role::Replace { view, key: key.clone(), parent: parent.clone() }
            }
            (Mode::Upsert(Upsert { key, .. }), TargetKind::Output) => Role::Upsert { view, key: key.clone() },
            (Mode::Upsert(Upsert { key, .. }), TargetKind::State { .. }) => {
                Role::State { view, key: key.clone() }
            }
        };
        Self {
            name: target.table.clone(),
            role,
            columns: columns(target, table, dialect),
            ddl: create_statements(target, dialect).ok().map(|statements| statements.join(";\n")),
            exists: table.is_some(),
        }
    }
}

fn columns(target: &Target, table: Option<&Table>, dialect: Dialect) -> Vec<ColumnFinding> {
    let fields = target.schema.fields().iter();
    let columns = fields.map(|field| {
        let configured = target.created.columns.get(field.name());
        let type_in = |dialect| match (configured, column_type(target, field, dialect)) {
            (Some(declared), Ok(_)) => declared.clone(),
            (None, Ok(column)) => without_collation(&column.ddl(dialect)).to_owned(),
            (_, Err(_)) => "none".to_owned(),
        };
        ColumnFinding {
            name: field.name().clone(),
            arrow: field.data_type().to_string(),
            mysql: type_in(Dialect::MySql),
            column: type_in(dialect),
            declared: table
                .and_then(|table| table.column(field.name()))
                .map(|column| column.declared.clone()),
        }
    });
    columns.collect()
}

fn without_collation(ddl: &str) -> &str {
    ddl.split(" CHARACTER SET ").next().unwrap_or(ddl)
}
