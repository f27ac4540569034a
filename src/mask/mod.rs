//! What must not be shown of the messages: the fields that `sensitive` names, the columns that hold their values, and what
//! is shown in place of a value.
//!
//! A mask belongs to a column. The masks of `batch` follow from the names of its fields; those of tables and views follow
//! from where their columns come from, which `sql` finds out. What is not known to be clear is masked.

mod rows;
mod words;

use std::collections::{BTreeMap, BTreeSet};

use arrow::datatypes::{DataType, Field, Fields, Schema};

pub use rows::{emptied, masked};
pub(crate) use words::{of_decode, of_sql, of_write, words_alone};

/// What is shown in place of a value, whatever its type, and in place of NULL.
pub const SHOWN: &str = "***";

/// What of a column is sensitive.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Mask {
    #[default]
    Clear,
    /// Fields of the records in it, each by the names that lead to it. Never empty.
    Parts(BTreeSet<Vec<String>>),
    Whole,
}

impl Mask {
    pub fn is_clear(&self) -> bool {
        *self == Self::Clear
    }

    /// What is sensitive of a column that has the values of both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Whole, _) | (_, Self::Whole) => Self::Whole,
            (Self::Clear, mask) | (mask, Self::Clear) => mask,
            (Self::Parts(mut parts), Self::Parts(others)) => {
                parts.extend(others);
                Self::Parts(parts)
            }
        }
    }

    /// Of a field of the records in the column.
    #[must_use]
    pub fn field(&self, name: &str) -> Self {
        let Self::Parts(parts) = self else { return self.clone() };
        let within = parts.iter().filter(|path| path.first().is_some_and(|first| first == name));
        within.fold(Self::Clear, |mask, path| mask.and(Self::of_path(path[1..].to_vec())))
    }

    /// Of what is computed from the column.
    #[must_use]
    pub fn computed(&self) -> Self {
        if self.is_clear() { Self::Clear } else { Self::Whole }
    }

    fn of_path(path: Vec<String>) -> Self {
        if path.is_empty() { Self::Whole } else { Self::Parts(BTreeSet::from([path])) }
    }
}

/// The fields that must not be shown, as the configuration names them: `iban`, `customer.name`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sensitive(Vec<String>);

/// What leads from a record to a field of a record in it.
const SEPARATOR: char = '.';

impl Sensitive {
    pub fn new(fields: Vec<String>) -> Self {
        Self(fields)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The names, as they are written.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// The masks of the columns of `batch`.
    pub fn of_batch(&self, batch: &Schema) -> Vec<Mask> {
        let mut masks = vec![Mask::Clear; batch.fields().len()];
        for name in &self.0 {
            let mut path = name.split(SEPARATOR).map(str::to_owned);
            let Some(column) = path.next().and_then(|column| batch.index_of(&column).ok()) else { continue };
            masks[column] = std::mem::take(&mut masks[column]).and(Mask::of_path(path.collect()));
        }
        masks
    }
}

/// The names of all fields of the messages, those of nested records too.
pub fn field_names(batch: &Schema) -> Vec<String> {
    let mut names = Vec::new();
    add_names(batch.fields(), "", &mut names);
    names
}

fn add_names(fields: &Fields, prefix: &str, names: &mut Vec<String>) {
    for field in fields {
        let name = format!("{prefix}{}", field.name());
        add_nested(field.data_type(), &format!("{name}{SEPARATOR}"), names);
        names.push(name);
    }
}

/// The fields of the records that a type holds, itself or in lists, maps and unions.
fn add_nested(data_type: &DataType, prefix: &str, names: &mut Vec<String>) {
    let mut within = |field: &Field| add_nested(field.data_type(), prefix, names);
    match data_type {
        DataType::Struct(fields) => add_names(fields, prefix, names),
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => within(item),
        DataType::Map(entries, _) => {
            if let DataType::Struct(fields) = entries.data_type() {
                fields.iter().skip(1).for_each(|value| within(value));
            }
        }
        DataType::Union(fields, _) => fields.iter().for_each(|(_, field)| within(field)),
        _ => {}
    }
}

/// The masks of tables and views, by the names of their columns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Masks {
    /// `None`: nothing is sensitive.
    relations: Option<BTreeMap<String, BTreeMap<String, Mask>>>,
}

impl Masks {
    /// Of no relation yet. Where nothing is sensitive, all that is added is clear.
    pub fn new(sensitive: &Sensitive) -> Self {
        Self { relations: (!sensitive.is_empty()).then(BTreeMap::new) }
    }

    /// Whether anything is sensitive.
    pub fn is_on(&self) -> bool {
        self.relations.is_some()
    }

    /// Adds a relation, or replaces it. Returns whether that changes anything.
    pub fn set(&mut self, relation: &str, schema: &Schema, masks: Vec<Mask>) -> bool {
        let Some(relations) = &mut self.relations else { return false };
        let names = schema.fields().iter().map(|field| field.name().clone());
        let columns: BTreeMap<String, Mask> = names.zip(masks).collect();
        let before = relations.insert(relation.to_owned(), columns);
        before.as_ref() != relations.get(relation)
    }

    /// Whether a relation is known.
    pub fn has(&self, relation: &str) -> bool {
        self.relations.as_ref().is_none_or(|relations| relations.contains_key(relation))
    }

    /// The masks of the columns of a relation. A column that is not known is masked.
    pub fn of(&self, relation: &str, schema: &Schema) -> Vec<Mask> {
        let columns = schema.fields().iter().map(|field| self.of_column(relation, field.name()));
        columns.collect()
    }

    pub fn of_column(&self, relation: &str, column: &str) -> Mask {
        let Some(relations) = &self.relations else { return Mask::Clear };
        let known = relations.get(relation).and_then(|columns| columns.get(column));
        known.cloned().unwrap_or(Mask::Whole)
    }
}

#[cfg(test)]
mod tests;
