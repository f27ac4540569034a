//! What the database says of a table: its columns, and the indexes that make rows unique.

use super::column::{ColumnType, Dialect};
use super::{Connection, DatabaseError, Value};

/// A table as it is.
#[derive(Clone, Debug)]
pub struct Table {
    pub kind: TableKind,
    /// MySQL's storage engine.
    pub engine: Option<String>,
    /// In the table's order.
    pub columns: Vec<TableColumn>,
    /// Primary and unique keys.
    pub keys: Vec<Key>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableKind {
    Table,
    View,
}

#[derive(Clone, Debug)]
pub struct TableColumn {
    pub name: String,
    pub kind: ColumnType,
    /// The type as declared, for messages.
    pub declared: String,
    pub is_nullable: bool,
    /// The database fills it in where a row does not give it.
    pub has_default: bool,
    /// The database fills it in with a number that no other row has.
    pub is_numbered: bool,
    /// The database fills it in with a UUID.
    pub is_unique_by_default: bool,
    /// It is NULL where a row does not give it.
    pub is_null_by_default: bool,
    /// Computed: nothing can be written to it.
    pub is_generated: bool,
    /// Of a text column.
    pub collation: Option<String>,
}

/// A primary or unique key.
#[derive(Clone, Debug)]
pub struct Key {
    pub name: String,
    /// In the key's order. Empty where the key is over an expression, or some rows only.
    pub columns: Vec<String>,
    /// False where a column counts with its first characters only.
    pub is_whole: bool,
}

impl Table {
    /// The table with columns more.
    pub fn with(self, added: &[TableColumn]) -> Self {
        let columns = self.columns.into_iter().chain(added.iter().cloned()).collect();
        Self { columns, ..self }
    }

    /// The column of this name; databases do not tell upper and lower case apart here.
    pub fn column(&self, name: &str) -> Option<&TableColumn> {
        let name = name.to_lowercase();
        self.columns.iter().find(|column| column.name.to_lowercase() == name)
    }
}

/// The names of all tables and views of the database, sorted.
pub async fn table_names(connection: &mut Connection) -> Result<Vec<String>, DatabaseError> {
    let sql = match connection.dialect() {
        Dialect::Sqlite => {
            "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' \
             ORDER BY name"
        }
        Dialect::MySql | Dialect::MariaDb => {
            "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE() ORDER BY table_name"
        }
    };
    let rows = connection.query(sql, Vec::new()).await?;
    Ok(rows.iter().map(|row| text(row, 0)).collect())
}

/// Reads what a table is; `None` where there is none. The name may stand behind its database's: `bank.accounts`.
pub async fn table(connection: &mut Connection, name: &str) -> Result<Option<Table>, DatabaseError> {
    match connection.dialect() {
        Dialect::Sqlite => sqlite_table(connection, name).await,
        Dialect::MySql | Dialect::MariaDb => mysql_table(connection, name).await,
    }
}

async fn mysql_table(connection: &mut Connection, name: &str) -> Result<Option<Table>, DatabaseError> {
    let place = || mysql_place(name);
    const PLACE: &str = "table_schema = COALESCE(?, DATABASE()) AND table_name = ?";
    let sql = format!("SELECT table_type, engine FROM information_schema.tables WHERE {PLACE}");
    let Some(found) = connection.query(&sql, place()).await?.pop() else { return Ok(None) };
    let kind = match text(&found, 0).as_str() {
        "BASE TABLE" => TableKind::Table,
        _ => TableKind::View,
    };
    let sql = format!(
        "SELECT column_name, column_type, is_nullable, column_default, extra, character_set_name, collation_name \
         FROM information_schema.columns WHERE {PLACE} ORDER BY ordinal_position"
    );
    let rows = connection.query(&sql, place()).await?;
    let columns = rows.iter().map(|row| mysql_column(row)).collect();
    // MariaDB has no indexes over expressions; in MySQL their column_name is NULL.
    let sql = format!(
        "SELECT index_name, column_name, sub_part FROM information_schema.statistics \
         WHERE {PLACE} AND non_unique = 0 ORDER BY index_name, seq_in_index"
    );
    let mut keys: Vec<Key> = Vec::new();
    let mut expressions = Vec::new();
    for row in connection.query(&sql, place()).await? {
        let index = text(&row, 0);
        if keys.last().is_none_or(|key| key.name != index) {
            keys.push(Key { name: index.clone(), columns: Vec::new(), is_whole: true });
        }
        let Some(key) = keys.last_mut() else { continue };
        match is_null(&row, 1) {
            true => expressions.push(index),
            false => key.columns.push(text(&row, 1)),
        }
        key.is_whole &= is_null(&row, 2);
    }
    for key in keys.iter_mut().filter(|key| expressions.contains(&key.name)) {
        key.columns.clear();
    }
    Ok(Some(Table { kind, engine: Some(text(&found, 1)), columns, keys }))
}

fn mysql_column(row: &[Value<'_>]) -> TableColumn {
    let declared = text(row, 1);
    let extra = text(row, 4).to_lowercase();
    let is_nullable = text(row, 2) == "YES";
    let is_generated = extra.contains("virtual generated") || extra.contains("stored generated");
    TableColumn {
        name: text(row, 0),
        kind: ColumnType::parse_mysql(&declared, text(row, 5) == "utf8mb4"),
        is_nullable,
        has_default: is_nullable || is_generated || extra.contains("auto_increment") || !is_null(row, 3)
            // An expression as default, in MySQL.
            || extra.contains("default_generated"),
        is_numbered: extra.contains("auto_increment"),
        is_unique_by_default: extra.contains("default_generated") && makes_uuid(&text(row, 3)),
        // MariaDB writes the default NULL out.
        is_null_by_default: is_nullable && !is_generated && (is_null(row, 3) || text(row, 3) == "NULL"),
        is_generated,
        collation: (!is_null(row, 6)).then(|| text(row, 6)),
        declared,
    }
}

/// Whether an expression is a new UUID for each row, as text or as bytes.
fn makes_uuid(expression: &str) -> bool {
    let plain = expression.to_lowercase().replace(['(', ')', ' '], "");
    ["uuid", "uuid_to_binuuid", "uuid_to_binuuid,true", "uuid_to_binuuid,1"].contains(&plain.as_str())
}

async fn sqlite_table(connection: &mut Connection, name: &str) -> Result<Option<Table>, DatabaseError> {
    let (schema, table) = name.split_once('.').unwrap_or(("main", name));
    let schema_master = super::quote(schema, Dialect::Sqlite);
    let sql = format!(
        "SELECT type, sql, name FROM {schema_master}.sqlite_master \
         WHERE type IN ('table', 'view') AND name = ? COLLATE NOCASE"
    );
    let Some(found) = connection.query(&sql, vec![Value::text(table)]).await?.pop() else { return Ok(None) };
    let kind = if text(&found, 0) == "view" { TableKind::View } else { TableKind::Table };
    let place = || vec![Value::text(table), Value::text(schema)];
    let rows = connection
        .query(
            "SELECT name, type, \"notnull\", dflt_value, pk, hidden FROM pragma_table_xinfo(?, ?)",
            place(),
        )
        .await?;
    let primary: Vec<String> = {
        let mut parts: Vec<_> = rows.iter().filter(|row| number(row, 4) > 0).collect();
        parts.sort_by_key(|row| number(row, 4));
        parts.iter().map(|row| text(row, 0)).collect()
    };
    let mut columns: Vec<TableColumn> = rows.iter().map(|row| sqlite_column(row, &primary)).collect();
    let mut keys = Vec::new();
    let sql = "SELECT name, origin, partial FROM pragma_index_list(?, ?) WHERE \"unique\" = 1";
    for index in connection.query(sql, place()).await? {
        let name = text(&index, 0);
        // cid -2 is an expression.
        let sql = "SELECT cid, name, coll FROM pragma_index_xinfo(?, ?) WHERE key = 1 ORDER BY seqno";
        let parts = connection.query(sql, vec![Value::text(name.clone()), Value::text(schema)]).await?;
        for part in &parts {
            let (column, collation) = (text(part, 1), text(part, 2));
            if let Some(column) = columns.iter_mut().find(|held| held.name == column) {
                column.collation = Some(collation);
            }
        }
        let is_of_columns = number(&index, 2) == 0 && parts.iter().all(|part| number(part, 0) >= 0);
        let columns =
            if is_of_columns { parts.iter().map(|part| text(part, 1)).collect() } else { Vec::new() };
        keys.push(Key { name, columns, is_whole: true });
    }
    // An INTEGER PRIMARY KEY is the row's number and has no index of its own.
    if !primary.is_empty() && !keys.iter().any(|key| key.columns == primary) {
        keys.push(Key { name: "PRIMARY".into(), columns: primary, is_whole: true });
    }
    Ok(Some(Table { kind, engine: None, columns, keys }))
}

fn sqlite_column(row: &[Value<'_>], primary: &[String]) -> TableColumn {
    let declared = text(row, 1);
    let name = text(row, 0);
    let is_row_number = declared.eq_ignore_ascii_case("INTEGER") && primary == [name.clone()];
    let is_nullable = number(row, 2) == 0 && !is_row_number;
    // 2 and 3: generated columns, virtual and stored.
    let is_generated = number(row, 5) >= 2;
    TableColumn {
        kind: ColumnType::parse_sqlite(&declared),
        is_nullable,
        has_default: is_nullable || is_row_number || is_generated || !is_null(row, 3),
        is_numbered: is_row_number,
        is_unique_by_default: false,
        is_null_by_default: is_nullable && !is_generated && (is_null(row, 3) || text(row, 3) == "NULL"),
        is_generated,
        collation: None,
        declared,
        name,
    }
}

/// A table's database, NULL for that of the connection, and its name.
pub(super) fn mysql_place(name: &str) -> Vec<Value<'_>> {
    match name.split_once('.') {
        Some((schema, table)) => vec![Value::text(schema), Value::text(table)],
        None => vec![Value::Null, Value::text(name)],
    }
}

pub(super) fn text(row: &[Value<'_>], index: usize) -> String {
    row.get(index).and_then(Value::as_text).unwrap_or_default().to_owned()
}

fn number(row: &[Value<'_>], index: usize) -> i64 {
    row.get(index).and_then(Value::as_i64).unwrap_or_default()
}

fn is_null(row: &[Value<'_>], index: usize) -> bool {
    matches!(row.get(index), None | Some(Value::Null))
}
