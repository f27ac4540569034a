//! Rows of a database table that were fetched by key, kept for the batches to come: what is held, which keys of a
//! batch are not, and what is dropped when there is too much.
//!
//! Invariant: what a batch has used is neither dropped nor fetched again before the next batch begins, so a
//! batch sees one snapshot, also when it is computed again in parts.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use arrow::datatypes::{Fields, SchemaRef};
use arrow::error::ArrowError;
use arrow::row::{RowConverter, Rows, SortField};
use datafusion::common::{HashMap, HashSet};

use super::key::KeyForm;

/// What a held key costs besides its bytes and those of its row: map entry, place in the order, allocations.
const ENTRY_BYTES: usize = 160;

/// Means a use by no batch: the first batch is number 1.
const NO_BATCH: u64 = 0;

/// Held rows, and keys that are known to be absent.
#[derive(Debug)]
pub(super) struct HeldRows {
    key: KeyForm,
    schema: SchemaRef,
    rows: RowConverter,
    held: HashMap<Box<[u8]>, Held>,
    /// Keys in the order they were fetched in; an entry whose number is not the held one's is out of date.
    order: VecDeque<(Box<[u8]>, u64)>,
    fetches: u64,
    batch: u64,
    bytes: usize,
    bytes_max: usize,
    refresh_interval: Duration,
}

#[derive(Debug)]
struct Held {
    /// `None`: the table has no row with this key.
    row: Option<Box<[u8]>>,
    fetched_at: Instant,
    fetch: u64,
    /// The last batch that used it.
    batch: u64,
}

/// Why fetched rows cannot be held.
#[derive(Debug)]
pub(super) enum HeldFault {
    /// Two rows of the table have this key.
    Duplicate(String),
    /// The keys of one batch alone are more than may be held: bytes needed.
    TooMuch(usize),
    Arrow(ArrowError),
}

impl From<ArrowError> for HeldFault {
    fn from(error: ArrowError) -> Self {
        Self::Arrow(error)
    }
}

impl HeldRows {
    /// # Errors
    /// A column has a type whose rows cannot be held.
    pub(super) fn new(
        key: KeyForm,
        schema: SchemaRef,
        bytes_max: usize,
        refresh_interval: Duration,
    ) -> Result<Self, ArrowError> {
        let fields = schema.fields().iter().map(|field| SortField::new(field.data_type().clone())).collect();
        let rows = RowConverter::new(fields)?;
        let (held, order) = (HashMap::new(), VecDeque::new());
        Ok(Self {
            key,
            schema,
            rows,
            held,
            order,
            fetches: 0,
            batch: 0,
            bytes: 0,
            bytes_max,
            refresh_interval,
        })
    }

    pub(super) fn set_bytes_max(&mut self, bytes_max: usize) {
        self.bytes_max = bytes_max;
    }

    /// How many keys are held, absent ones too, and the bytes that they take.
    pub(super) fn size(&self) -> (usize, usize) {
        (self.held.len(), self.bytes)
    }

    /// What was used before may be dropped or fetched again from now on.
    pub(super) fn begin_batch(&mut self) {
        self.batch += 1;
        self.drop_oldest();
    }

    /// The keys among `keys` that have to be fetched, each once, as columns of the key's types; `None` where all
    /// are held. The others count as used by this batch. Keys for which `is_known` is true are not asked for.
    pub(super) fn missing(
        &mut self,
        keys: &[RecordBatch],
        now: Instant,
        is_known: &dyn Fn(&[u8]) -> bool,
    ) -> Result<Option<RecordBatch>, ArrowError> {
        let mut missing: HashSet<Box<[u8]>> = HashSet::new();
        let mut in_order: Vec<Box<[u8]>> = Vec::new();
        for keys in keys {
            let keys = self.key.looked_for(keys)?;
            for key in (0..keys.len()).filter_map(|row| keys.get(row)) {
                if let Some(held) = self.held.get_mut(key) {
                    let is_of_this_batch = held.batch == self.batch;
                    if is_of_this_batch || now.duration_since(held.fetched_at) < self.refresh_interval {
                        held.batch = self.batch;
                        continue;
                    }
                }
                if !is_known(key) && missing.insert(key.into()) {
                    in_order.push(key.into());
                }
            }
        }
        if in_order.is_empty() {
            return Ok(None);
        }
        let columns = self.key.columns_of(in_order.iter().map(|key| &**key))?;
        Ok(Some(RecordBatch::try_new(self.key_schema(), columns)?))
    }

    /// Holds what was fetched for `missing`: a row, or that there is none.
    pub(super) fn hold(
        &mut self,
        missing: &RecordBatch,
        fetched: &[RecordBatch],
        now: Instant,
    ) -> Result<(), HeldFault> {
        let mut found: HashMap<Box<[u8]>, Box<[u8]>> = HashMap::new();
        for batch in fetched {
            let keys = self.key.of_table(batch)?;
            let rows = self.rows.convert_columns(batch.columns())?;
            for row in 0..keys.len() {
                let Some(key) = keys.get(row) else { continue };
                if found.insert(key.into(), rows.row(row).data().into()).is_some() {
                    return Err(HeldFault::Duplicate(keys.text(row)));
                }
            }
        }
        let keys = self.key.looked_for(missing)?;
        // Why: only rows of keys that were asked for. A database whose collation takes 'jose' for 'José' sends
        // both, and they are two keys here.
        for key in (0..keys.len()).filter_map(|row| keys.get(row)) {
            self.insert(key, found.remove(key), now, self.batch);
        }
        self.drop_oldest();
        let bytes = self.bytes;
        if bytes > self.bytes_max {
            // What a part of the batch needs will be fetched again.
            self.clear();
            return Err(HeldFault::TooMuch(bytes));
        }
        Ok(())
    }

    /// The held rows whose key occurs among `keys`, each once, in the order in which they first occur.
    pub(super) fn gather(&self, keys: &[RecordBatch]) -> Result<RecordBatch, ArrowError> {
        let mut seen: HashSet<u64> = HashSet::new();
        let mut rows: Vec<&[u8]> = Vec::new();
        for keys in keys {
            let keys = self.key.looked_for(keys)?;
            for held in (0..keys.len()).filter_map(|row| keys.get(row)).filter_map(|key| self.held.get(key)) {
                if let Some(row) = &held.row
                    && seen.insert(held.fetch)
                {
                    rows.push(row);
                }
            }
        }
        self.decode(rows)
    }

    /// The row of a key; `None` where there is none, or nothing is held of it.
    pub(super) fn get(&self, key: &[u8]) -> Option<&[u8]> {
        self.held.get(key).and_then(|held| held.row.as_deref())
    }

    /// Holds what was written.
    pub(super) fn put(&mut self, key: &[u8], row: Option<Box<[u8]>>) {
        self.insert(key, row, Instant::now(), NO_BATCH);
        self.drop_oldest();
    }

    /// Drops everything.
    pub(super) fn clear(&mut self) {
        self.held.clear();
        self.order.clear();
        self.bytes = 0;
    }

    /// Rows as they are held.
    pub(super) fn encode(&self, rows: &RecordBatch) -> Result<Rows, ArrowError> {
        self.rows.convert_columns(rows.columns())
    }

    /// Rows as they were before [`HeldRows::encode`].
    pub(super) fn decode<'a>(
        &self,
        rows: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<RecordBatch, ArrowError> {
        let parser = self.rows.parser();
        let columns = self.rows.convert_rows(rows.into_iter().map(|row| parser.parse(row)))?;
        RecordBatch::try_new(self.schema.clone(), columns)
    }

    fn insert(&mut self, key: &[u8], row: Option<Box<[u8]>>, now: Instant, batch: u64) {
        self.fetches += 1;
        let added = entry_bytes(key, row.as_deref());
        let held = Held { row, fetched_at: now, fetch: self.fetches, batch };
        if let Some(before) = self.held.insert(key.into(), held) {
            self.bytes -= entry_bytes(key, before.row.as_deref());
        }
        self.bytes += added;
        self.order.push_back((key.into(), self.fetches));
    }

    /// Drops the rows fetched longest ago, down to the limit, but none that this batch uses.
    fn drop_oldest(&mut self) {
        let mut used = Vec::new();
        while self.bytes > self.bytes_max {
            let Some((key, fetch)) = self.order.pop_front() else { break };
            match self.held.get(&key) {
                Some(held) if held.fetch != fetch => {}
                Some(held) if held.batch == self.batch => used.push((key, fetch)),
                Some(held) => {
                    self.bytes -= entry_bytes(&key, held.row.as_deref());
                    self.held.remove(&key);
                }
                None => {}
            }
        }
        for entry in used.into_iter().rev() {
            self.order.push_front(entry);
        }
        // Invariant: the order stays in proportion to what is held. Only entries that are out of date go for it, since rows
        // that are written again and again would push out all others otherwise.
        if self.order.len() > 2 * self.held.len() + 1 {
            let held = &self.held;
            self.order.retain(|(key, fetch)| held.get(key).is_some_and(|held| held.fetch == *fetch));
        }
    }

    fn key_schema(&self) -> SchemaRef {
        let fields: Fields = self.key.fields(&self.schema);
        std::sync::Arc::new(arrow::datatypes::Schema::new(fields))
    }
}

fn entry_bytes(key: &[u8], row: Option<&[u8]>) -> usize {
    2 * key.len() + row.map_or(0, <[u8]>::len) + ENTRY_BYTES
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int32Array, Int64Array, StringArray};
    use arrow::datatypes::{DataType, Field, Schema};

    use super::*;

    fn schema() -> SchemaRef {
        let id = Field::new("id", DataType::Int64, true);
        Arc::new(Schema::new(vec![id, Field::new("name", DataType::Utf8, true)]))
    }

    fn held(bytes_max: usize) -> HeldRows {
        let key = KeyForm::new(&schema(), &["id".to_owned()]).unwrap();
        HeldRows::new(key, schema(), bytes_max, Duration::from_secs(60)).unwrap()
    }

    fn keys(values: &[Option<i32>]) -> Vec<RecordBatch> {
        let column = Arc::new(Int32Array::from(values.to_vec())) as _;
        vec![RecordBatch::try_from_iter([("customer", column)]).unwrap()]
    }

    fn rows(rows: &[(i64, &str)]) -> RecordBatch {
        let ids = Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.0)));
        let names = Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.1)));
        RecordBatch::try_new(schema(), vec![ids, names]).unwrap()
    }

    fn ids(batch: &RecordBatch) -> Vec<i64> {
        batch.column(0).as_any().downcast_ref::<Int64Array>().unwrap().values().to_vec()
    }

    #[test]
    fn only_what_is_not_held_is_fetched_and_absent_keys_are_held_too() {
        let mut held = held(1 << 20);
        let start = Instant::now();
        held.begin_batch();
        let wanted = keys(&[Some(2), None, Some(1), Some(2), Some(9)]);
        let missing = held.missing(&wanted, start, &|_| false).unwrap().unwrap();
        assert_eq!(ids(&missing), [2, 1, 9]);
        held.hold(&missing, &[rows(&[(1, "Ana"), (2, "Eva"), (77, "not asked for")])], start).unwrap();
        assert_eq!(held.gather(&wanted).unwrap(), rows(&[(2, "Eva"), (1, "Ana")]));
        assert!(held.missing(&wanted, start, &|_| false).unwrap().is_none());

        held.begin_batch();
        let later = start + Duration::from_secs(59);
        assert_eq!(
            ids(&held.missing(&keys(&[Some(9), Some(77)]), later, &|_| false).unwrap().unwrap()),
            [77]
        );
    }

    #[test]
    fn rows_are_fetched_again_after_the_interval_but_not_within_a_batch() {
        let mut held = held(1 << 20);
        let start = Instant::now();
        held.begin_batch();
        let missing = held.missing(&keys(&[Some(1), Some(2)]), start, &|_| false).unwrap().unwrap();
        held.hold(&missing, &[rows(&[(1, "old"), (2, "old")])], start).unwrap();
        let later = start + Duration::from_secs(61);
        assert!(
            held.missing(&keys(&[Some(1)]), later, &|_| false).unwrap().is_none(),
            "the batch has used it"
        );
        held.begin_batch();
        let missing = held.missing(&keys(&[Some(1)]), later, &|_| false).unwrap().unwrap();
        held.hold(&missing, &[rows(&[(1, "new")])], later).unwrap();
        assert_eq!(held.gather(&keys(&[Some(1)])).unwrap(), rows(&[(1, "new")]));
    }

    #[test]
    fn the_oldest_is_dropped_but_nothing_that_the_batch_uses() {
        let row = entry_bytes(&[0; 9], Some(&[0; 12])) + 8;
        let mut held = held(4 * row);
        let now = Instant::now();
        for batch in 0..10 {
            held.begin_batch();
            let wanted = keys(&[Some(0), Some(1 + 2 * batch), Some(2 + 2 * batch)]);
            if let Some(missing) = held.missing(&wanted, now, &|_| false).unwrap() {
                let fetched: Vec<(i64, &str)> = ids(&missing).iter().map(|id| (*id, "Ana")).collect();
                held.hold(&missing, &[rows(&fetched)], now).unwrap();
            }
            let customer = i64::from(batch);
            assert_eq!(ids(&held.gather(&wanted).unwrap()), [0, 1 + 2 * customer, 2 + 2 * customer]);
            assert!(held.bytes <= held.bytes_max);
            assert!(held.order.len() <= 2 * held.held.len() + 1);
        }
        held.begin_batch();
        let wanted = keys(&[Some(100), Some(101), Some(102), Some(103), Some(104), Some(105)]);
        let missing = held.missing(&wanted, now, &|_| false).unwrap().unwrap();
        let fetched: Vec<(i64, &str)> = ids(&missing).iter().map(|id| (*id, "Ana")).collect();
        assert!(matches!(held.hold(&missing, &[rows(&fetched)], now), Err(HeldFault::TooMuch(_))));
    }

    #[test]
    fn a_row_that_is_written_again_and_again_drops_no_other() {
        let mut held = held(1 << 20);
        let now = Instant::now();
        held.begin_batch();
        let wanted = keys(&[Some(1), Some(2), Some(3)]);
        let missing = held.missing(&wanted, now, &|_| false).unwrap().unwrap();
        held.hold(&missing, &[rows(&[(1, "Ana"), (2, "Eva"), (3, "Rui")])], now).unwrap();
        let key: Box<[u8]> = held.key.looked_for(&keys(&[Some(3)])[0]).unwrap().get(0).unwrap().into();
        let written: Box<[u8]> = held.encode(&rows(&[(3, "José")])).unwrap().row(0).data().into();
        for _ in 0..100 {
            held.begin_batch();
            held.put(&key, Some(written.clone()));
            assert!(held.order.len() <= 2 * held.held.len() + 1);
        }
        assert!(held.missing(&wanted, now, &|_| false).unwrap().is_none(), "all are held");
        assert_eq!(held.gather(&wanted).unwrap(), rows(&[(1, "Ana"), (2, "Eva"), (3, "José")]));
    }

    #[test]
    fn two_rows_of_one_key_are_a_fault() {
        let mut held = held(1 << 20);
        held.begin_batch();
        let missing = held.missing(&keys(&[Some(1)]), Instant::now(), &|_| false).unwrap().unwrap();
        let twice = rows(&[(1, "Ana"), (1, "Eva")]);
        assert!(
            matches!(held.hold(&missing, &[twice], Instant::now()), Err(HeldFault::Duplicate(key)) if key == "1")
        );
    }
}
