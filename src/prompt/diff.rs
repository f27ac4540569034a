//! What editing a view has changed: its rows over this batch against those it gave before, as sets in which a row may
//! occur several times.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, StringArray, UInt32Array};
use arrow::compute::{concat_batches, take};
use arrow::datatypes::{Field, Schema, SchemaRef};

use super::session::{Refusal, Session};
use super::views::Relation;
use crate::database::json;

/// The difference between two versions of a view.
#[derive(Debug)]
pub(super) struct Difference {
    /// Rows that are gone (`-` in the first column) and new ones (`+`), in the order of the versions.
    pub rows: RecordBatch,
    pub removed: usize,
    pub added: usize,
    pub same: usize,
    /// What is to be said of the columns.
    pub notes: Vec<String>,
}

impl Difference {
    /// One line.
    pub fn summary(&self) -> String {
        format!("{} removed, {} added, {} as before", self.removed, self.added, self.same)
    }
}

impl Session {
    /// Compares a view with what it was before the views were edited last; files that have changed since are read.
    ///
    /// # Errors
    /// No such view; nothing was edited; a version with a fault; the broker's.
    pub(super) async fn diff(&mut self, name: &str) -> Result<Difference, Refusal> {
        if self.is_stale() {
            self.reload().await?;
        }
        let before = self.before.clone().ok_or_else(|| {
            Refusal::error("no view was edited since the start\nhint: `\\edit NAME`, or change its file, then `\\diff NAME`")
        })?;
        self.ready().await?;
        if let Some(fault) = self.views.ailments().of(name) {
            return Err(Refusal(fault));
        }
        let now = self.computed.as_ref().and_then(|computed| computed.relations.get(name)).cloned();
        let (earlier, ailing) = self.compute_with(before).await?;
        if let Some(fault) = ailing.of(name) {
            return Err(Refusal(format!("error: `{name}` could not be computed before\n{fault}")));
        }
        match (earlier.relations.get(name), now) {
            (Some(before), Some(now)) => difference(before, &now),
            (None, Some(now)) => {
                let nothing = Relation { schema: Arc::clone(&now.schema), rows: Vec::new() };
                difference(&nothing, &now)
            }
            (Some(before), None) => {
                let nothing = Relation { schema: Arc::clone(&before.schema), rows: Vec::new() };
                difference(before, &nothing)
            }
            (None, None) => {
                let near = crate::config::nearest(name, self.views.files().names());
                let hint = near.map_or("`\\d` lists all".into(), |near| format!("did you mean `{near}`?"));
                Err(Refusal::error(format!("no view `{name}`\nhint: {hint}")))
            }
        }
    }
}

/// Compares by the columns that both have.
fn difference(before: &Relation, now: &Relation) -> Result<Difference, Refusal> {
    let notes = columns_changed(&before.schema, &now.schema);
    let common: Vec<&str> = now
        .schema
        .fields()
        .iter()
        .map(|field| field.name().as_str())
        .filter(|name| before.schema.field_with_name(name).is_ok())
        .collect();
    let (before, now) = (whole(before)?, whole(now)?);
    let (before_keys, now_keys) = (keys(&before, &common), keys(&now, &common));
    let removed = unmatched(&before_keys, &now_keys);
    let added = unmatched(&now_keys, &before_keys);
    let (old, new) = (picked(&before, &removed)?, picked(&now, &added)?);
    let order = merged(&removed, &added);
    let rows = marked(&old, &new, &order)?;
    let same = now_keys.len() - added.len();
    Ok(Difference { rows, removed: removed.len(), added: added.len(), same, notes })
}

fn columns_changed(before: &SchemaRef, now: &SchemaRef) -> Vec<String> {
    let mut notes = Vec::new();
    for field in now.fields() {
        match before.field_with_name(field.name()) {
            Err(_) => notes.push(format!("the column `{}` is new", field.name())),
            Ok(old) if old.data_type() != field.data_type() => notes.push(format!(
                "the column `{}` was {} and is {}",
                field.name(),
                old.data_type(),
                field.data_type()
            )),
            Ok(_) => {}
        }
    }
    let gone = before.fields().iter().filter(|field| now.field_with_name(field.name()).is_err());
    notes.extend(gone.map(|field| format!("the column `{}` is gone", field.name())));
    notes
}

fn whole(relation: &Relation) -> Result<RecordBatch, Refusal> {
    concat_batches(&relation.schema, &relation.rows).map_err(Refusal::error)
}

/// Each row's values of the columns, as text.
fn keys(rows: &RecordBatch, columns: &[&str]) -> Vec<String> {
    let arrays: Vec<&ArrayRef> = columns.iter().filter_map(|name| rows.column_by_name(name)).collect();
    let key = |row: usize| {
        let mut key = String::new();
        for array in &arrays {
            // NaN has no JSON; whatever was written of it is the same for each.
            if json::write(&mut key, array, row).is_err() {
                key.push_str("NaN");
            }
            key.push('\u{1f}');
        }
        key
    };
    (0..rows.num_rows()).map(key).collect()
}

/// The places of rows that the others do not have, each other row matching one.
fn unmatched(rows: &[String], others: &[String]) -> Vec<u32> {
    let mut left: HashMap<&str, usize> = HashMap::new();
    for other in others {
        *left.entry(other).or_default() += 1;
    }
    let mut found = Vec::new();
    for (row, key) in rows.iter().enumerate() {
        match left.get_mut(key.as_str()) {
            Some(count) if *count > 0 => *count -= 1,
            _ => found.push(row as u32),
        }
    }
    found
}

fn picked(rows: &RecordBatch, places: &[u32]) -> Result<RecordBatch, Refusal> {
    let places = UInt32Array::from(places.to_vec());
    let columns = rows.columns().iter().map(|column| take(column, &places, None));
    let columns = columns.collect::<Result<Vec<_>, _>>().map_err(Refusal::error)?;
    RecordBatch::try_new(rows.schema(), columns).map_err(Refusal::error)
}

/// In which order the rows are shown, so that a row and what it has become stand together: for each, whether it is a
/// new one, and its place among the new or the removed.
fn merged(removed: &[u32], added: &[u32]) -> Vec<(bool, usize)> {
    let old = removed.iter().enumerate().map(|(index, row)| (*row, false, index));
    let new = added.iter().enumerate().map(|(index, row)| (*row, true, index));
    let mut all: Vec<(u32, bool, usize)> = old.chain(new).collect();
    all.sort_unstable();
    all.into_iter().map(|(_, is_new, index)| (is_new, index)).collect()
}

/// The rows with their mark, in the columns of the present version and those that are gone.
fn marked(old: &RecordBatch, new: &RecordBatch, order: &[(bool, usize)]) -> Result<RecordBatch, Refusal> {
    let marks = order.iter().map(|(is_new, _)| if *is_new { "+" } else { "-" });
    let mut fields = vec![Field::new("±", arrow::datatypes::DataType::Utf8, false)];
    let mut columns: Vec<ArrayRef> = vec![Arc::new(StringArray::from_iter_values(marks))];
    let indices: Vec<(usize, usize)> =
        order.iter().map(|(is_new, index)| (usize::from(*is_new), *index)).collect();
    let (now, before) = (new.schema(), old.schema());
    let gone = before.fields().iter().filter(|field| now.field_with_name(field.name()).is_err());
    for field in now.fields().iter().chain(gone) {
        let side = |rows: &RecordBatch| match rows.column_by_name(field.name()) {
            Some(column) if column.data_type() == field.data_type() => Ok(Arc::clone(column)),
            Some(column) => arrow::compute::cast(column, field.data_type()),
            None => Ok(arrow::array::new_null_array(field.data_type(), rows.num_rows())),
        };
        let (old, new) = (side(old).map_err(Refusal::error)?, side(new).map_err(Refusal::error)?);
        let arrays: [&dyn Array; 2] = [old.as_ref(), new.as_ref()];
        let column = arrow::compute::interleave(&arrays, &indices).map_err(Refusal::error)?;
        fields.push(Field::new(field.name(), field.data_type().clone(), true));
        columns.push(column);
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(Refusal::error)
}

#[cfg(test)]
mod tests {
    use arrow::array::{AsArray, Int64Array};

    use super::*;

    fn relation(values: &[(i64, &str)]) -> Relation {
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(values.iter().map(|(n, _)| *n)));
        let names: ArrayRef = Arc::new(StringArray::from_iter_values(values.iter().map(|(_, name)| *name)));
        let rows = RecordBatch::try_from_iter([("n", numbers), ("name", names)]).unwrap();
        Relation { schema: rows.schema(), rows: vec![rows] }
    }

    fn shown(difference: &Difference) -> Vec<String> {
        let rows = &difference.rows;
        let texts = |column: usize, row: usize| {
            let mut text = String::new();
            super::super::cell::write(&mut text, rows.column(column), row);
            text
        };
        (0..rows.num_rows())
            .map(|row| (0..rows.num_columns()).map(|column| texts(column, row)).collect::<Vec<_>>().join(" "))
            .collect()
    }

    #[test]
    fn rows_are_compared_as_often_as_they_occur() {
        let before = relation(&[(1, "a"), (2, "b"), (2, "b"), (3, "c")]);
        let now = relation(&[(3, "c"), (1, "x"), (2, "b"), (4, "d")]);
        let difference = difference(&before, &now).unwrap();
        assert_eq!(difference.summary(), "2 removed, 2 added, 2 as before");
        assert_eq!(shown(&difference), ["- 1 a", "+ 1 x", "- 2 b", "+ 4 d"]);
    }

    #[test]
    fn other_columns_are_said_and_the_rest_is_compared() {
        let before = relation(&[(1, "a"), (2, "b")]);
        let mut now = relation(&[(1, "a"), (3, "b")]);
        let rows = &now.rows[0];
        let renamed = RecordBatch::try_from_iter([
            ("n", Arc::clone(rows.column(0))),
            ("label", Arc::clone(rows.column(1))),
        ]);
        now = Relation { schema: renamed.as_ref().unwrap().schema(), rows: vec![renamed.unwrap()] };
        let difference = difference(&before, &now).unwrap();
        assert_eq!(difference.notes, ["the column `label` is new", "the column `name` is gone"]);
        assert_eq!(shown(&difference), ["- 2 NULL b", "+ 3 b NULL"]);
        assert_eq!(difference.rows.column(0).as_string::<i32>().len(), 2);
    }
}
