//! The first view of a project: every field of the messages as a column that a table can hold.

use std::collections::BTreeSet;

use arrow::datatypes::{DataType, FieldRef};

use crate::avro::{Kind, Record, Schema, TypeId, UnionForm};
use crate::batch::DELETE_COLUMN;
use crate::database::{ColumnType, Dialect};
use crate::sql::{BATCH, quoted};

/// What says where a message was.
const PLACE: [&str; 3] = ["kafka_topic", "kafka_partition", "kafka_offset"];
/// Columns beside those: InnoDB takes as many texts in a row.
const COLUMNS_MAX: usize = 190;
/// The longest name of a column of MySQL, in characters.
const NAME_CHARACTERS_MAX: usize = 64;
/// What is kept of a longer one, for a number after it.
const NAME_CHARACTERS_KEPT: usize = 58;

/// The view and its columns.
pub(super) struct FirstView {
    pub sql: String,
    /// The names of the columns that are fields.
    pub columns: Vec<String>,
}

/// One column.
struct Column {
    expression: String,
    name: String,
}

impl FirstView {
    /// `fields` are the columns of `batch`, the record's first; `schema_file` is named in a comment.
    pub fn of(schema: &Schema, record: &Record, fields: &[FieldRef], schema_file: &str) -> Self {
        let mut columns = Columns::of(schema, record, fields, true);
        if columns.len() > COLUMNS_MAX {
            columns = Columns::of(schema, record, fields, false);
        }
        let left_out = columns.split_off(columns.len().min(COLUMNS_MAX));
        let mut sql = format!(
            "-- One row for each message: where it was, and the fields of {schema_file}.\n\
             -- Leave out what you do not need, and add your rules.\n"
        );
        if !left_out.is_empty() {
            let names: Vec<String> =
                left_out.iter().map(|column| column.name.escape_debug().to_string()).collect();
            sql += &format!("-- Left out, because a table takes no more columns: {}\n", names.join(", "));
        }
        let place = PLACE.iter().map(|name| (*name).to_owned());
        let items = columns.iter().map(|Column { expression, name }| match quoted(name) {
            name if name == *expression => name,
            name => format!("{expression} AS {name}"),
        });
        let items: Vec<String> = place.chain(items).collect();
        sql += &format!("SELECT\n  {}\nFROM {BATCH}\n", items.join(",\n  "));
        Self { sql, columns: columns.into_iter().map(|column| column.name).collect() }
    }
}

/// Collects the columns of a record.
struct Columns<'a> {
    schema: &'a Schema,
    /// Whether the fields of records inside are columns of their own; otherwise such a record is one column.
    is_flat: bool,
    /// The fields that lead to where we are.
    path: Vec<&'a str>,
    /// Names in lower case: tables do not tell them apart.
    taken: BTreeSet<String>,
    found: Vec<Column>,
}

impl<'a> Columns<'a> {
    fn of(schema: &'a Schema, record: &'a Record, fields: &[FieldRef], is_flat: bool) -> Vec<Column> {
        // A column `_delete` would delete rows.
        let taken = PLACE.iter().chain([&DELETE_COLUMN]).map(|name| (*name).to_owned()).collect();
        let mut columns = Self { schema, is_flat, path: Vec::new(), taken, found: Vec::new() };
        columns.record(record, fields);
        columns.found
    }

    fn record(&mut self, record: &'a Record, fields: &[FieldRef]) {
        for (field, column) in record.fields.iter().zip(fields) {
            self.path.push(&field.name);
            match (record_of(self.schema, field.type_id), column.data_type()) {
                (Some(inner), DataType::Struct(parts)) if self.is_flat => self.record(inner, parts),
                (_, kind) => self.column(kind),
            }
            self.path.pop();
        }
    }

    fn column(&mut self, kind: &DataType) {
        let names = self.path.iter().map(|name| quoted(name));
        // Why: `batch.x` would be the column `x`, whatever record is called `batch`.
        let qualifier = (self.path.len() > 1 && self.path[0] == BATCH).then(|| BATCH.to_owned());
        let path = qualifier.into_iter().chain(names).collect::<Vec<_>>().join(".");
        let expression = match ColumnType::for_arrow(kind, Dialect::MySql, None) {
            Ok(_) => path,
            // A decimal of more digits than MySQL has.
            Err(_) => format!("CAST({path} AS VARCHAR)"),
        };
        let name = self.free_name();
        self.found.push(Column { expression, name });
    }

    /// A name that no other column has: the field's own, after those of the records that it is in.
    fn free_name(&mut self) -> String {
        let joined = self.path.join("_").replace('\0', "");
        let own: String = joined.trim_end().to_owned();
        let kept: String = own.chars().take(NAME_CHARACTERS_KEPT).collect();
        let numbered = (2..).map(|number| format!("{kept}_{number}"));
        let mut names = std::iter::once(own).chain(numbered);
        let is_free = |name: &String| {
            let is_name = !name.is_empty() && name.chars().count() <= NAME_CHARACTERS_MAX;
            is_name && !self.taken.contains(&name.to_lowercase())
        };
        let name = names.find(is_free).unwrap_or_default();
        self.taken.insert(name.to_lowercase());
        name
    }
}

/// The record that a type is, perhaps as a union with null.
fn record_of(schema: &Schema, id: TypeId) -> Option<&Record> {
    match schema.kind(id) {
        Kind::Record(record) => Some(record),
        Kind::Union(branches) => match schema.union_form(branches) {
            UnionForm::Single(only) | UnionForm::Nullable { value: only, .. } => record_of(schema, only),
            UnionForm::General { .. } => None,
        },
        _ => None,
    }
}
