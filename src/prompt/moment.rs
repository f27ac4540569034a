//! The rows of the state tables that views start from. All views over a batch, and both sides of `\diff`, see one
//! moment: a row that was read once is not read again, though the running job goes on writing.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use arrow::array::{BooleanArray, RecordBatch, new_null_array};
use arrow::compute::{cast, concat_batches, filter_record_batch};
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use chrono::{DateTime, Utc};

use super::diff::keys;

/// Where state is taken from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum StateOf {
    /// As before the batch, if the topic still has all earlier messages and they are few; otherwise as stored.
    #[default]
    Auto,
    /// As before the batch, computed from the earlier messages of the topic.
    Before,
    /// As it is in the database now.
    Stored,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Moment {
    /// What `now()` is.
    pub now: DateTime<Utc>,
    tables: BTreeMap<String, Known>,
    /// Every row is known: none is to be asked for.
    is_whole: bool,
    /// What is to be said to a person who reads the state, or a view over it.
    pub note: Option<String>,
}

/// What is known of one table.
#[derive(Debug, Default)]
struct Known {
    /// As [`keys`] writes them.
    keys: HashSet<String>,
    rows: Vec<RecordBatch>,
}

impl Default for Moment {
    fn default() -> Self {
        Self { now: Utc::now(), tables: BTreeMap::new(), is_whole: false, note: None }
    }
}

impl Moment {
    /// The moment at which the state tables have these rows, each by its name, and no others.
    pub fn of_rows(rows: Vec<(String, RecordBatch)>) -> Self {
        let known = |(name, rows)| (name, Known { keys: HashSet::new(), rows: vec![rows] });
        Self { tables: rows.into_iter().map(known).collect(), is_whole: true, ..Self::default() }
    }

    pub fn with_note(self, note: Option<String>) -> Self {
        Self { note, ..self }
    }

    /// What is to be said now: once, where the state is right, and each time where it is not.
    pub fn note_due(&mut self) -> Option<String> {
        if self.is_whole { self.note.take() } else { self.note.clone() }
    }

    /// Whether it stays as it is, whatever is written to the database.
    pub fn is_fixed(&self) -> bool {
        self.is_whole
    }

    /// Those of the keys whose rows have to be read; `None` if all are known.
    ///
    /// # Errors
    /// Arrow cannot compute it.
    pub fn unknown(&self, table: &str, wanted: &RecordBatch) -> Result<Option<RecordBatch>, ArrowError> {
        if self.is_whole {
            return Ok(None);
        }
        let Some(known) = self.tables.get(table) else { return Ok(Some(wanted.clone())) };
        let texts = keys(wanted, &names_of(wanted));
        let is_unknown: BooleanArray = texts.iter().map(|key| Some(!known.keys.contains(key))).collect();
        let unknown = filter_record_batch(wanted, &is_unknown)?;
        Ok((unknown.num_rows() > 0).then_some(unknown))
    }

    /// Takes the rows that were read for these keys.
    pub fn keep(&mut self, table: &str, read_for: &RecordBatch, rows: RecordBatch) {
        let known = self.tables.entry(table.to_owned()).or_default();
        known.keys.extend(keys(read_for, &names_of(read_for)));
        known.rows.push(rows);
    }

    /// The known rows of these keys, in these columns. A column that they do not have is NULL, as in a table to which a
    /// new view adds one.
    ///
    /// # Errors
    /// Values that a column cannot hold.
    pub fn rows(
        &self,
        table: &str,
        wanted: &RecordBatch,
        schema: &SchemaRef,
    ) -> Result<RecordBatch, ArrowError> {
        let key = names_of(wanted);
        let wanted: HashSet<String> = keys(wanted, &key).into_iter().collect();
        let mut found = Vec::new();
        for rows in self.tables.get(table).into_iter().flat_map(|known| &known.rows) {
            let is_wanted: BooleanArray =
                keys(rows, &key).iter().map(|key| Some(wanted.contains(key))).collect();
            let rows = filter_record_batch(rows, &is_wanted)?;
            let columns = schema.fields().iter().map(|field| match rows.column_by_name(field.name()) {
                Some(column) => cast(column, field.data_type()),
                None => Ok(new_null_array(field.data_type(), rows.num_rows())),
            });
            found.push(RecordBatch::try_new(Arc::clone(schema), columns.collect::<Result<_, _>>()?)?);
        }
        concat_batches(schema, &found)
    }
}

fn names_of(keys: &RecordBatch) -> Vec<&str> {
    keys.schema_ref().fields().iter().map(|field| field.name().as_str()).collect()
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, AsArray, Int32Array, Int64Array};
    use arrow::datatypes::{DataType, Field, Int64Type, Schema};

    use super::*;

    fn keys_of(keys: &[i32]) -> RecordBatch {
        let keys: ArrayRef = Arc::new(Int32Array::from(keys.to_vec()));
        RecordBatch::try_from_iter([("customer", keys)]).unwrap()
    }

    fn rows_of(rows: &[(i32, i64)]) -> RecordBatch {
        let keys: ArrayRef = Arc::new(Int32Array::from_iter_values(rows.iter().map(|row| row.0)));
        let times: ArrayRef = Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.1)));
        RecordBatch::try_from_iter([("customer", keys), ("times", times)]).unwrap()
    }

    #[test]
    fn a_row_that_was_read_is_not_read_again() {
        let mut moment = Moment::default();
        let first = moment.unknown("seen", &keys_of(&[1, 2])).unwrap().unwrap();
        assert_eq!(first.num_rows(), 2);
        moment.keep("seen", &first, rows_of(&[(1, 10)]));
        // 2 has no row, which is known too.
        assert_eq!(moment.unknown("seen", &keys_of(&[2, 1])).unwrap(), None);
        let more = moment.unknown("seen", &keys_of(&[1, 3])).unwrap().unwrap();
        assert_eq!(more, keys_of(&[3]));
        moment.keep("seen", &more, rows_of(&[(3, 30)]));
        let fields = vec![
            Field::new("customer", DataType::Int64, true),
            Field::new("times", DataType::Int64, true),
            Field::new("new", DataType::Utf8, true),
        ];
        let rows = moment.rows("seen", &keys_of(&[3, 2]), &Arc::new(Schema::new(fields))).unwrap();
        assert_eq!(rows.num_rows(), 1);
        assert_eq!(rows["customer"].as_primitive::<Int64Type>().value(0), 3);
        assert_eq!(rows["new"].null_count(), 1);
    }

    #[test]
    fn all_rows_of_a_whole_moment_are_known() {
        let moment = Moment::of_rows(vec![("seen".into(), rows_of(&[(1, 10), (2, 20)]))]);
        assert_eq!(moment.unknown("seen", &keys_of(&[7])).unwrap(), None);
        let schema = rows_of(&[]).schema();
        assert_eq!(moment.rows("seen", &keys_of(&[2, 7]), &schema).unwrap(), rows_of(&[(2, 20)]));
        assert_eq!(moment.rows("other", &keys_of(&[2]), &schema).unwrap().num_rows(), 0);
    }
}
