//! What is known of NULL in a column, and in the records and lists in it.

use std::collections::BTreeMap;

/// What is known of NULL in the values of a column. What is not certain is not known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Nulls {
    /// Whether no value is NULL.
    pub is_never: bool,
    /// What is in the values that are not NULL.
    parts: Parts,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Parts {
    #[default]
    Unknown,
    Fields(BTreeMap<String, Nulls>),
    Items(Box<Nulls>),
}

impl Nulls {
    /// No value is NULL.
    pub const NEVER: Self = Self { is_never: true, parts: Parts::Unknown };

    pub fn never_if(is_never: bool) -> Self {
        Self { is_never, ..Self::default() }
    }

    #[must_use]
    pub fn with_fields(self, fields: impl IntoIterator<Item = (String, Self)>) -> Self {
        Self { parts: Parts::Fields(fields.into_iter().collect()), ..self }
    }

    #[must_use]
    pub fn with_items(self, items: Self) -> Self {
        Self { parts: Parts::Items(Box::new(items)), ..self }
    }

    /// Of a field of the records in the column: it is NULL if its record is.
    #[must_use]
    pub fn field(&self, name: &str) -> Self {
        match &self.parts {
            Parts::Fields(fields) => {
                let field = fields.get(name).cloned().unwrap_or_default();
                Self { is_never: field.is_never && self.is_never, ..field }
            }
            Parts::Unknown | Parts::Items(_) => Self::default(),
        }
    }

    /// Of the items of the lists in the column.
    #[must_use]
    pub fn items(&self) -> Self {
        match &self.parts {
            Parts::Items(items) => Self::clone(items),
            Parts::Unknown | Parts::Fields(_) => Self::default(),
        }
    }

    /// Of a column that has the values of both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let parts = match (self.parts, other.parts) {
            (Parts::Fields(fields), Parts::Fields(mut others)) => {
                let both = fields.into_iter().filter_map(|(name, field)| {
                    let other = others.remove(&name)?;
                    Some((name, field.and(other)))
                });
                Parts::Fields(both.collect())
            }
            (Parts::Items(items), Parts::Items(others)) => Parts::Items(Box::new(items.and(*others))),
            _ => Parts::Unknown,
        };
        Self { is_never: self.is_never && other.is_never, parts }
    }

    /// Of a column that has the same values, none of which is NULL.
    #[must_use]
    pub fn never(self) -> Self {
        Self { is_never: true, ..self }
    }

    /// Of a column that has the same values, and perhaps NULL.
    #[must_use]
    pub fn or_null(self) -> Self {
        Self { is_never: false, ..self }
    }

    /// Notes that the field that a path of names leads to is not NULL; then the records on the way are not NULL either.
    pub fn require(&mut self, path: &[&str]) {
        self.is_never = true;
        let Some((first, path)) = path.split_first() else { return };
        if let Parts::Fields(fields) = &mut self.parts
            && let Some(field) = fields.get_mut(*first)
        {
            field.require(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(is_never: bool, name: Nulls) -> Nulls {
        Nulls::never_if(is_never).with_fields([("name".to_owned(), name)])
    }

    #[test]
    fn a_field_is_never_null_only_if_its_record_is_not() {
        assert_eq!(record(true, Nulls::NEVER).field("name"), Nulls::NEVER);
        assert_eq!(record(false, Nulls::NEVER).field("name"), Nulls::default());
        assert_eq!(record(true, Nulls::default()).field("name"), Nulls::default());
        assert_eq!(record(true, Nulls::NEVER).field("other"), Nulls::default());
        let mut optional = record(false, Nulls::NEVER);
        optional.require(&[]);
        assert_eq!(optional.field("name"), Nulls::NEVER);
        let mut optional = record(false, Nulls::default());
        optional.require(&["name"]);
        assert_eq!(optional.field("name"), Nulls::NEVER);
    }

    #[test]
    fn of_two_columns_the_less_that_is_known_counts() {
        let both = record(true, Nulls::NEVER).and(record(true, Nulls::default()));
        assert_eq!((both.is_never, both.field("name")), (true, Nulls::default()));
        assert_eq!(record(true, Nulls::NEVER).and(Nulls::NEVER).field("name"), Nulls::default());
        let list = |items| Nulls::NEVER.with_items(items);
        assert_eq!(list(Nulls::NEVER).and(list(Nulls::NEVER)).items(), Nulls::NEVER);
        assert_eq!(list(Nulls::NEVER).or_null().items(), Nulls::NEVER);
    }
}
