//! The columns of state tables. A state table has the columns that its view computes, and the view reads the table:
//! their types are found by planning again and again, from columns of no type, until nothing changes.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use super::error::Blame;
use super::error::SqlError;
use super::names;
use super::view_files::ViewFiles;
use super::{TableSpec, columns};
use crate::batch::{DELETE_COLUMN, MESSAGE_TIME_COLUMN, PARTITION_COLUMNS, VERSION_COLUMN};
use crate::database::ColumnType;
use crate::diagnostic::{Code, Place};

/// Names of columns that the program writes itself.
const OWN_COLUMNS: [&str; 4] =
    [VERSION_COLUMN, MESSAGE_TIME_COLUMN, PARTITION_COLUMNS[0], PARTITION_COLUMNS[1]];

/// How often views are planned at most: a type that still changes then never settles.
pub(super) const ROUNDS_MAX: usize = 50;

/// The columns of one state table, as far as they are known.
#[derive(Clone, Debug)]
pub(super) struct StateColumns {
    /// The table's place among the tables.
    pub(super) table: usize,
    pub(super) view: String,
    /// In the order of the view's SELECT list, without `_delete`. `Null` is the type of a column of which nothing is
    /// known yet.
    pub(super) schema: SchemaRef,
    places: Vec<Place>,
    /// Whether the view says which rows to delete.
    pub(super) deletes: bool,
}

impl StateColumns {
    /// The names of the columns, from the SELECT list of the view, and the faults of lists that do not say their names,
    /// lack a column of the key, or use a name of the program's own.
    pub(super) fn named(files: &ViewFiles, tables: &[TableSpec]) -> (Vec<Self>, Vec<Blame>) {
        let (mut all, mut errors) = (Vec::new(), Vec::new());
        for (table, spec) in tables.iter().enumerate() {
            let Some(file) = spec.state.as_ref().and_then(|state| files.get(&state.view)) else { continue };
            match columns::written(file) {
                Ok(written) => {
                    errors.extend(name_errors(spec, &file.name, &written));
                    all.push(Self::of_names(table, &file.name, written));
                }
                Err(faults) => errors.extend(faults.into_iter().map(|fault| (file.name.clone(), fault))),
            }
        }
        (all, errors)
    }

    fn of_names(table: usize, view: &str, written: Vec<(String, Place)>) -> Self {
        let deletes = written.iter().any(|(name, _)| name == DELETE_COLUMN);
        let (fields, places): (Vec<Field>, Vec<Place>) = written
            .into_iter()
            .filter(|(name, _)| name != DELETE_COLUMN)
            .map(|(name, place)| (Field::new(name, DataType::Null, true), place))
            .unzip();
        Self { table, view: view.to_owned(), schema: Arc::new(Schema::new(fields)), places, deletes }
    }

    /// The columns with the types that the view's rows have in the database; true where that is something new.
    ///
    /// # Errors
    /// Types that no column gives back as they were.
    pub(super) fn settle(&mut self, view_schema: &SchemaRef) -> Result<bool, Vec<SqlError>> {
        let (mut fields, mut errors) = (Vec::new(), Vec::new());
        for (field, place) in self.schema.fields().iter().zip(&self.places) {
            let computed =
                view_schema.field_with_name(field.name()).map_or(&DataType::Null, Field::data_type);
            match ColumnType::given_back(computed) {
                Ok(stored) => fields.push(Field::new(field.name(), stored, true)),
                Err(found) => {
                    let found = found.within(format!("`{}` cannot be kept as state", field.name()));
                    errors.push(SqlError::wrong(Code::State, place.clone(), found));
                }
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let settled = Arc::new(Schema::new(fields));
        let is_new = settled != self.schema;
        self.schema = settled;
        Ok(is_new)
    }

    /// What is wrong with the columns once nothing changes any more.
    pub(super) fn untyped(&self) -> Vec<SqlError> {
        let columns = self.schema.fields().iter().zip(&self.places);
        let untyped = columns.filter(|(field, _)| field.data_type().is_null());
        untyped
            .map(|(field, place)| {
                let name = field.name();
                let message = format!(
                    "the type of `{name}` cannot be known: it is computed from itself alone, or NULL"
                );
                SqlError::wrong(Code::State, place.clone(), message)
                    .with_hint(format!("say it: `CAST(... AS BIGINT) AS {name}`"))
            })
            .collect()
    }

    /// Columns whose type is still another one after [`ROUNDS_MAX`] rounds.
    pub(super) fn unsettled(&self, place: Place) -> SqlError {
        let message = format!(
            "the types of the columns of `{}` never settle: each planning returns other types",
            self.view
        );
        SqlError::wrong(Code::State, place, message)
            .with_hint("CAST what is computed from the state to a fixed type")
    }
}

fn name_errors(spec: &TableSpec, view: &str, written: &[(String, Place)]) -> Vec<Blame> {
    let mut errors = Vec::new();
    for (name, place) in written.iter().filter(|(name, _)| OWN_COLUMNS.contains(&name.as_str())) {
        let message = format!("`{name}` is a column that the program writes itself");
        let error = SqlError::wrong(Code::State, place.clone(), message);
        errors.push((view.to_owned(), error.with_hint("give it another name with AS")));
    }
    for key in spec.key.iter().filter(|key| !written.iter().any(|(name, _)| name == *key)) {
        let place = spec.place.clone();
        let message = format!("the key of `{}` is `{key}`, which view `{view}` does not compute", spec.name);
        let known = written.iter().map(|(name, _)| name.as_str());
        let error = SqlError::wrong(Code::State, place, message).with_hint_if_some(names::hint(key, known));
        errors.push((spec.name.clone(), error));
    }
    errors
}
