//! A table in memory and its rows by key: which of them a batch needs is found in one pass over the batch's keys.

use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::error::ArrowError;
use datafusion::common::HashMap;

use super::key::KeyForm;

/// What an entry of the index costs besides the bytes of its key.
const ENTRY_BYTES: usize = 48;

/// The rows of a table, at most one for each key.
#[derive(Debug)]
pub(super) struct KeyIndex {
    key: KeyForm,
    rows: RecordBatch,
    places: HashMap<Box<[u8]>, u32>,
    /// For each row, the lookup it was last found in.
    found_in: Vec<u32>,
    lookup: u32,
    bytes: usize,
}

/// Two rows with one key.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Duplicate {
    pub(super) key: String,
    pub(super) first: usize,
    pub(super) second: usize,
}

#[derive(Debug)]
pub(super) enum IndexFault {
    Duplicate(Duplicate),
    Arrow(ArrowError),
}

impl From<ArrowError> for IndexFault {
    fn from(error: ArrowError) -> Self {
        Self::Arrow(error)
    }
}

impl KeyIndex {
    /// Rows of the table.
    pub(super) fn count(&self) -> usize {
        self.rows.num_rows()
    }

    /// Indexes the rows of a table; returns how many rows have NULL in their key and can never be found.
    pub(super) fn build(key: KeyForm, rows: RecordBatch) -> Result<(Self, usize), IndexFault> {
        let keys = key.of_table(&rows)?;
        let mut places: HashMap<Box<[u8]>, u32> = HashMap::with_capacity(keys.len());
        let mut bytes = rows.get_array_memory_size();
        let mut nulls = 0;
        for row in 0..keys.len() {
            let Some(found) = keys.get(row) else {
                nulls += 1;
                continue;
            };
            let place = u32::try_from(row)
                .map_err(|_| ArrowError::InvalidArgumentError("more than 4,294,967,295 rows".to_owned()))?;
            if let Some(first) = places.insert(found.into(), place) {
                let duplicate = Duplicate { key: keys.text(row), first: first as usize, second: row };
                return Err(IndexFault::Duplicate(duplicate));
            }
            bytes += found.len() + ENTRY_BYTES;
        }
        let found_in = vec![0; rows.num_rows()];
        Ok((Self { key, rows, places, found_in, lookup: 0, bytes }, nulls))
    }

    /// The rows whose key occurs among `keys`, each once, in the order in which they first occur.
    pub(super) fn gather(&mut self, keys: &[RecordBatch]) -> Result<RecordBatch, ArrowError> {
        self.lookup = self.lookup.checked_add(1).unwrap_or_else(|| {
            self.found_in.fill(0);
            1
        });
        let mut found: Vec<u32> = Vec::new();
        for keys in keys {
            let keys = self.key.looked_for(keys)?;
            for row in 0..keys.len() {
                let place = keys.get(row).and_then(|key| self.places.get(key));
                if let Some(&place) = place
                    && let Some(seen) = self.found_in.get_mut(place as usize)
                    && *seen != self.lookup
                {
                    *seen = self.lookup;
                    found.push(place);
                }
            }
        }
        take_record_batch(&self.rows, &UInt32Array::from(found))
    }

    /// What rows and index hold.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}
