//! What editing views has changed: their rows over this batch against those of another version, as sets in which a row
//! may occur several times. Both versions are computed from the same batch and one moment of all tables.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Int64Array, RecordBatch, StringArray, UInt32Array};
use arrow::compute::{concat_batches, take};
use arrow::datatypes::{Field, Schema, SchemaRef};

use super::describe::table;
use super::refusal::Refusal;
use super::session::Session;
use super::views::Relation;
use crate::config::Mode;
use crate::database::json;
use crate::diagnostic::Finding;
use crate::mask::{Mask, Masks, masked};
use crate::nearest::did_you_mean;
use crate::print::{Changes, texts};
use crate::sink::StoredOffsets;
use crate::sql::ViewFiles;

/// What views are compared with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Base {
    /// The views as they were when the prompt started.
    #[default]
    Start,
    /// The views before they were edited last.
    Last,
    /// The views that the running job uses, or the last one did.
    Deployed,
}

impl Base {
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Start, Self::Last, Self::Deployed].into_iter().find(|base| base.name() == name)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Last => "last",
            Self::Deployed => "deployed",
        }
    }

    /// After `against`.
    pub fn text(self) -> &'static str {
        match self {
            Self::Start => "the start",
            Self::Last => "the version before",
            Self::Deployed => "the job's version",
        }
    }
}

/// What has changed between two versions of the views.
#[derive(Debug, Default)]
pub(super) struct Differences {
    /// The views that have changed, or the one that was asked for.
    pub of: Vec<(String, Difference)>,
    /// Views whose rows are as before.
    same: usize,
    pub notes: Vec<String>,
}

impl Differences {
    /// One line.
    pub fn summary(&self) -> String {
        let all = self.of.len() + self.same;
        let changed = self.of.iter().filter(|(_, difference)| difference.rows.num_rows() > 0).count();
        let rows = match changed {
            0 => format!("all {all} views have the rows that they had"),
            changed => format!("{changed} of {all} views have other rows"),
        };
        match self.of.len() - changed {
            0 => rows,
            others => format!("{rows}; {others} have other columns only"),
        }
    }

    /// A line for each view; `None` if there is none.
    ///
    /// # Errors
    /// A table cannot be made.
    pub fn table(&self) -> Result<Option<RecordBatch>, Refusal> {
        if self.of.is_empty() {
            return Ok(None);
        }
        let count = |of: fn(&Difference) -> usize| -> ArrayRef {
            let counts = self.of.iter().map(|(_, difference)| of(difference) as i64);
            Arc::new(Int64Array::from_iter_values(counts))
        };
        let columns = [
            ("view", texts(self.of.iter().map(|(name, _)| Some(name.clone())))),
            ("changed", count(|difference| difference.changed)),
            ("removed", count(|difference| difference.removed)),
            ("added", count(|difference| difference.added)),
            ("as before", count(|difference| difference.same)),
        ];
        table(columns).map(Some)
    }
}

/// The difference between two versions of a view.
#[derive(Debug)]
pub(super) struct Difference {
    /// Rows that are gone (`-` in the first column) and new ones (`+`). Of a row that has changed, the old form comes
    /// just before the new one.
    pub rows: RecordBatch,
    /// The cells of `rows` that differ within such a pair.
    pub changes: Changes,
    /// Such pairs.
    pub changed: usize,
    /// Rows that are gone, without those that have changed.
    pub removed: usize,
    /// The same of new rows.
    pub added: usize,
    pub same: usize,
    /// What is to be said of the columns.
    pub notes: Vec<String>,
}

impl Difference {
    /// One line.
    pub fn summary(&self) -> String {
        let Self { changed, removed, added, same, .. } = self;
        format!("{changed} changed, {removed} removed, {added} added, {same} as before")
    }

    /// Masks what must not be shown of the view in one of these versions.
    fn mask(&mut self, view: &str, versions: &[Option<&Masks>]) -> Result<(), Refusal> {
        let of = |column: &str| {
            let masks = versions.iter().flatten().map(|masks| masks.of_column(view, column));
            masks.fold(Mask::Clear, Mask::and)
        };
        let schema = self.rows.schema();
        // The first column has the marks.
        let columns = schema.fields().iter().skip(1).map(|field| of(field.name()));
        let masks: Vec<Mask> = std::iter::once(Mask::Clear).chain(columns).collect();
        self.rows = masked(&self.rows, &masks).map_err(Refusal::error)?;
        Ok(())
    }

    fn is_none(&self) -> bool {
        self.rows.num_rows() == 0 && self.notes.is_empty()
    }
}

impl Session {
    /// Compares one view, or all, with what they were. Files that have changed since are read. Both versions are computed
    /// now, over the same batch, the same rows of reference tables, and one moment of state.
    ///
    /// # Errors
    /// No such view; a version with a fault; the broker's and the database's.
    pub(super) async fn diff(&mut self, name: Option<&str>, base: Base) -> Result<Differences, Refusal> {
        if self.is_stale() {
            self.reload().await?;
        }
        let files = self.files_of(base).await?;
        self.ready().await?;
        self.compute_again().await?;
        if let Some(fault) = name.and_then(|name| self.views.faulty().of(name)) {
            return Err(Refusal::Faults(fault));
        }
        let (before, faulty) = self.compute_with(files).await?;
        if let Some((name, fault)) = name.and_then(|name| Some((name, faulty.of(name)?))) {
            return Err(Refusal::Faults(format!(
                "error: `{name}` could not be computed as of {}\n{fault}",
                base.text()
            )));
        }
        let now = self.computed.as_ref().map(|computed| computed.relations.clone()).unwrap_or_default();
        let mut differences =
            Differences { notes: std::mem::take(&mut self.notes), ..Differences::default() };
        differences.notes.extend(before.left_out.notes(&format!(" as of {}", base.text())));
        let is_view = |other: &&String| {
            self.views.files().text(other).is_some() || !self.queries.relations().contains_key(other.as_str())
        };
        let all: BTreeSet<&String> = before.relations.keys().chain(now.keys()).filter(is_view).collect();
        let is_faulty = |name: &str| self.views.faulty().has(name) || faulty.has(name);
        for view in all.into_iter().filter(|view| name.is_none_or(|name| name == *view) && !is_faulty(view)) {
            let key = self.key_of(view);
            let (old, new) = (before.relations.get(view), now.get(view));
            let mut difference = match (old, new) {
                (Some(old), Some(new)) => difference(old, new, &key)?,
                (None, Some(new)) => {
                    differences.notes.push(format!("`{view}` is a new view: all its rows are added"));
                    difference(&new.without_rows(), new, &key)?
                }
                (Some(old), None) => {
                    differences.notes.push(format!("`{view}` is no view any more: all its rows are removed"));
                    difference(old, &old.without_rows(), &key)?
                }
                (None, None) => continue,
            };
            difference.mask(view, &[old.map(|_| &before.masks), new.map(|_| self.views.masks())])?;
            if difference.is_none() && name.is_none() {
                differences.same += 1;
            } else {
                differences.of.push((view.clone(), difference));
            }
        }
        if let Some(name) = name.filter(|_| differences.of.is_empty()) {
            let hint =
                did_you_mean(name, self.views.files().names()).unwrap_or_else(|| "`\\d` lists all".into());
            return Err(Refusal::Found(Finding::new(format!("no view `{name}`")).with_hint(hint)));
        }
        let of_state = differences.of.iter().any(|(view, _)| self.reads_state(view));
        let note = self.moment.as_ref().and_then(|moment| moment.note.clone());
        differences.notes.extend(note.filter(|_| of_state));
        let faulty: Vec<&str> = self.views.faulty().names().collect();
        if name.is_none() && !faulty.is_empty() {
            differences.notes.push(format!("not compared, for their faults: {}", faulty.join(", ")));
        }
        Ok(differences)
    }

    /// The views that the others are compared with.
    async fn files_of(&self, base: Base) -> Result<ViewFiles, Refusal> {
        match base {
            Base::Start => Ok(self.started.clone()),
            Base::Last => self.before.clone().ok_or_else(|| {
                let found = Finding::new("no view was edited since the start");
                Refusal::Found(found.with_hint("`\\edit NAME`, or change its file, then `\\diff`"))
            }),
            Base::Deployed => {
                let unknown = || {
                    let found = Finding::new("the database does not say which views the job uses");
                    Refusal::Found(found.with_hint("it does so from the first batch of a job on"))
                };
                let stored = StoredOffsets::look(&self.config.database, &self.config.job).await;
                let mut stored = stored?.ok_or_else(unknown)?;
                let texts = stored.views_in_use().await?.ok_or_else(unknown)?;
                let texts: BTreeMap<String, String> = serde_json::from_str(&texts).map_err(Refusal::error)?;
                let texts: Vec<(&str, &str)> =
                    texts.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
                ViewFiles::from_texts(&texts).map_err(Refusal::from)
            }
        }
    }

    /// The columns by which a row of a view is found again, if they are known: where its message is, else the key that it
    /// is written by.
    fn key_of(&self, view: &str) -> Vec<String> {
        let outputs = crate::engine::outputs(&self.config, self.views.files());
        let upserted =
            outputs.into_iter().find(|output| output.view == view).and_then(|output| match output.mode {
                Mode::Upsert(upsert) => Some(upsert.key),
                Mode::Append => None,
            });
        let state = self.config.state_tables.iter().find(|table| table.view == view);
        let state = state.map(|table| table.key.clone());
        let message = ["kafka_topic", "kafka_partition", "kafka_offset"].map(str::to_owned).to_vec();
        upserted.or(state).unwrap_or(message)
    }
}

/// Compares by the columns that both have; rows with the same values of `key` are two forms of one row.
fn difference(before: &Relation, now: &Relation, key: &[String]) -> Result<Difference, Refusal> {
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
    let has_key = !key.is_empty() && key.iter().all(|name| common.contains(&name.as_str()));
    let key: Vec<&str> = key.iter().map(String::as_str).collect();
    let identities = |rows: &RecordBatch, places: &[u32]| match has_key {
        true => keys(rows, &key),
        // Without a key a row that has changed is expected where it was.
        false => places.iter().map(u32::to_string).collect(),
    };
    let pairs = paired(&identities(&old, &removed), &identities(&new, &added));
    let order = merged(&removed, &added, &pairs);
    let rows = marked(&old, &new, &order)?;
    let same = now_keys.len() - added.len();
    Ok(Difference {
        changes: changes(&rows, &order, &pairs),
        rows,
        changed: pairs.len(),
        removed: removed.len() - pairs.len(),
        added: added.len() - pairs.len(),
        same,
        notes,
    })
}

/// The places of old and new rows with one identity, in the order of the old: the first of each with the first, and so on.
fn paired(old: &[String], new: &[String]) -> Vec<(usize, usize)> {
    let mut left: HashMap<&str, VecDeque<usize>> = HashMap::new();
    for (place, identity) in new.iter().enumerate() {
        left.entry(identity).or_default().push_back(place);
    }
    let pair =
        |(place, identity): (usize, &String)| Some((place, left.get_mut(identity.as_str())?.pop_front()?));
    old.iter().enumerate().filter_map(pair).collect()
}

/// The cells that differ within a pair; `rows` have their mark in the first column.
fn changes(rows: &RecordBatch, order: &[(bool, usize)], pairs: &[(usize, usize)]) -> Changes {
    let mut changes = Changes { marks: true, cells: vec![Vec::new(); rows.num_rows()] };
    let names: Vec<&str> = rows.schema_ref().fields().iter().map(|field| field.name().as_str()).collect();
    let texts: Vec<Vec<String>> = names.iter().map(|name| keys(rows, &[name])).collect();
    for row in 1..order.len() {
        let ((was_new, old), (is_new, new)) = (order[row - 1], order[row]);
        if was_new || !is_new || !pairs.contains(&(old, new)) {
            continue;
        }
        for column in (1..names.len()).filter(|column| texts[*column][row - 1] != texts[*column][row]) {
            changes.cells[row - 1].push(column);
            changes.cells[row].push(column);
        }
    }
    changes
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
pub(super) fn keys(rows: &RecordBatch, columns: &[&str]) -> Vec<String> {
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

/// In which order the rows are shown: as they are in their version, but that a new form follows its old one. For each,
/// whether it is a new one, and its place among the new or the removed.
fn merged(removed: &[u32], added: &[u32], pairs: &[(usize, usize)]) -> Vec<(bool, usize)> {
    let old_of: HashMap<usize, usize> = pairs.iter().map(|(old, new)| (*new, *old)).collect();
    let old = removed.iter().enumerate().map(|(index, row)| ((*row, index), false, index));
    let new = added.iter().enumerate().map(|(index, row)| match old_of.get(&index) {
        Some(old) => ((removed[*old], *old), true, index),
        None => ((*row, usize::MAX), true, index),
    });
    let mut all: Vec<((u32, usize), bool, usize)> = old.chain(new).collect();
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
    use arrow::array::AsArray;

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
            crate::print::cell::write(&mut text, rows.column(column), row);
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
        let difference = difference(&before, &now, &["n".to_owned()]).unwrap();
        assert_eq!(difference.summary(), "1 changed, 1 removed, 1 added, 2 as before");
        assert_eq!(shown(&difference), ["- 1 a", "+ 1 x", "- 2 b", "+ 4 d"]);
        assert_eq!(difference.changes.cells, [vec![2], vec![2], vec![], vec![]], "the name of 1");
    }

    #[test]
    fn a_new_form_follows_its_old_one_wherever_it_is() {
        let before = relation(&[(1, "a"), (2, "b"), (3, "c")]);
        let now = relation(&[(3, "z"), (7, "g"), (1, "y")]);
        let by_key = difference(&before, &now, &["n".to_owned()]).unwrap();
        assert_eq!(by_key.summary(), "2 changed, 1 removed, 1 added, 0 as before");
        assert_eq!(shown(&by_key), ["- 1 a", "+ 1 y", "- 2 b", "+ 7 g", "- 3 c", "+ 3 z"]);
        assert!(by_key.changes.cells[2..4].iter().all(Vec::is_empty), "2 and 7 are no pair");
        let by_place = difference(&before, &now, &["kafka_offset".to_owned()]).unwrap();
        assert_eq!(by_place.summary(), "3 changed, 0 removed, 0 added, 0 as before");
        assert_eq!(shown(&by_place)[..2], ["- 1 a", "+ 3 z"]);
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
        let difference = difference(&before, &now, &[]).unwrap();
        assert_eq!(difference.notes, ["the column `label` is new", "the column `name` is gone"]);
        assert_eq!(shown(&difference), ["- 2 NULL b", "+ 3 b NULL"]);
        assert_eq!(difference.rows.column(0).as_string::<i32>().len(), 2);
    }
}
