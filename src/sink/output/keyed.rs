//! Rows of outputs with a key: which of several rows of a batch with one key is the last, and whether it deletes.
//!
//! *Invariant: the table has what it would have if the rows were written one by one in their order.* So each row must fit
//! its columns, also one that is not sent because a later one replaces it.

use std::cmp::Ordering;
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::concat_batches;
use arrow::error::ArrowError;
use arrow::row::{RowConverter, Rows as ArrowRows, SortField};

use super::{Change, Output, taken};
use crate::config::{Mode, Upsert};
use crate::database::{Equality, Value};
use crate::diagnostic::Finding;
use crate::sink::{SinkError, Target};

/// Which of several rows with one key is the last.
#[derive(Clone)]
pub(in crate::sink) struct Order {
    /// Places of columns in the view, the most significant first.
    pub columns: Vec<usize>,
    /// The place among the output's columns of the one by which the newer row stays.
    pub version: Option<usize>,
}

impl Order {
    /// The order of an output's rows; `None` where its view has one row for each key. `place_of` finds a column among
    /// those that are written.
    pub fn of(target: &Target, place_of: impl Fn(&String) -> Option<usize>) -> Option<Self> {
        let Mode::Upsert(upsert) = &target.mode else { return None };
        let Upsert { order_by, only_newer, .. } = upsert;
        let columns = order_by.iter().filter_map(|name| target.schema.index_of(name).ok());
        let version = only_newer.as_ref().and_then(place_of);
        upsert.has_order().then(|| Self { columns: columns.collect(), version })
    }
}

/// What becomes of the rows of a batch, by their places in it.
pub(in crate::sink) struct ByKey {
    /// Deleted before any row is written: an older row with the key, which nothing is newer than any more, is among `written`.
    pub removed_first: Vec<u32>,
    pub removed: Vec<u32>,
    pub written: Vec<u32>,
}

/// Where rows stand in the order of an output.
struct Ranks {
    versions: Option<Vec<Vec<u8>>>,
    others: Option<ArrowRows>,
}

impl Ranks {
    fn compare(&self, a: u32, b: u32) -> Ordering {
        let version = |row: u32| self.versions.as_ref().map(|versions| &versions[row as usize]);
        version(a).cmp(&version(b)).then_with(|| self.compare_places(a, b))
    }

    /// As [`Ranks::compare`], without the versions, which the statement compares itself.
    fn compare_places(&self, a: u32, b: u32) -> Ordering {
        let of = |row: u32| self.others.as_ref().map(|others| others.row(row as usize));
        of(a).cmp(&of(b)).then(a.cmp(&b))
    }

    /// Whether two rows are of one message.
    fn are_equal(&self, a: u32, b: u32) -> bool {
        self.others.as_ref().is_none_or(|others| others.row(a as usize) == others.row(b as usize))
    }
}

impl Output {
    /// Rows to delete and rows to write, in the order of the keys, so that instances lock in the same order. If the server
    /// takes different keys for equal, all rows are written in their order: only the server knows which are one row, and it
    /// keeps the key that came first. Where rows are deleted, too, such keys are not in one batch.
    ///
    /// # Errors
    /// A value that does not fit; two rows for one key, where nothing says which is the last.
    pub(in crate::sink) fn by_key(self: &Arc<Self>, batch: &RecordBatch) -> Result<ByKey, SinkError> {
        let (removed_first, rows) = match &self.order {
            Some(order) if self.is_loose(&self.key) && self.delete.is_none() => {
                let ranks = self.ranks(order, batch)?;
                let mut rows: Vec<u32> = (0..batch.num_rows() as u32).collect();
                rows.sort_by(|a, b| ranks.compare_places(*a, *b));
                (Vec::new(), rows)
            }
            Some(order) if self.is_loose(&self.key) => {
                let (removed_first, rows) = self.last_rows(batch)?;
                self.told_apart(&self.key, batch, &rows, &self.ranks(order, batch)?)?;
                (removed_first, rows)
            }
            _ => self.last_rows(batch)?,
        };
        let (removed, written) = rows.into_iter().partition(|row| self.is_removed(batch, *row));
        Ok(ByKey { removed_first, removed, written })
    }

    /// The last row of each key, in the order of the keys. If that is older than a deletion before it, also the deletion.
    fn last_rows(self: &Arc<Self>, batch: &RecordBatch) -> Result<(Vec<u32>, Vec<u32>), SinkError> {
        let keys = self.keys(batch)?;
        let key = |row: u32| keys[row as usize].as_slice();
        let mut rows: Vec<u32> = (0..batch.num_rows() as u32).collect();
        rows.sort_unstable_by(|a, b| key(*a).cmp(key(*b)));
        let twins = rows.windows(2).find(|pair| key(pair[0]) == key(pair[1]));
        let Some(twins) = twins else { return Ok((Vec::new(), rows)) };
        let Some(order) = &self.order else {
            return Err(SinkError::Sql(self.twins(batch, twins[0] as usize)));
        };
        let ranks = self.ranks(order, batch)?;
        rows.sort_unstable_by(|a, b| key(*a).cmp(key(*b)).then_with(|| ranks.compare_places(*a, *b)));
        let (mut first, mut last) = (Vec::new(), Vec::with_capacity(rows.len()));
        let mut replaced = Vec::new();
        for of_key in rows.chunk_by(|a, b| key(*a) == key(*b)) {
            let (deleted, stays) = self.folded(batch, &ranks, of_key);
            first.extend(deleted);
            last.push(stays);
            replaced.extend(of_key.iter().copied().filter(|row| *row != stays && Some(*row) != deleted));
        }
        replaced.retain(|row| !self.is_removed(batch, *row));
        self.checked(Change::Insert, &[taken(batch, replaced)?])?;
        Ok((first, last))
    }

    /// What the rows of one key come to, in their order: the newest. Nothing remembers a deletion, so of the rows behind
    /// one the newest stays, after the deletion.
    fn folded(&self, batch: &RecordBatch, ranks: &Ranks, rows: &[u32]) -> (Option<u32>, u32) {
        let newest_of = |rows: &[u32]| {
            let places = rows.iter().enumerate();
            places.max_by(|(_, a), (_, b)| ranks.compare(**a, **b)).map(|(place, row)| (place, *row))
        };
        let (mut deleted, mut stays, mut rest) = (None, rows[0], rows);
        while let Some((place, newest)) = newest_of(rest) {
            if !self.is_removed(batch, newest) {
                return (deleted, newest);
            }
            // A second deletion finds nothing that the first one has left.
            stays = *deleted.get_or_insert(newest);
            rest = &rest[place + 1..];
        }
        (None, stays)
    }

    /// For each parent one of its rows, in the order of the parents; and all rows that there are of them then: those of
    /// the last message of each, in the order of their keys.
    ///
    /// # Errors
    /// A value that does not fit; two rows for one key in one message.
    pub(in crate::sink) fn by_parent(
        self: &Arc<Self>,
        batch: &RecordBatch,
    ) -> Result<(Vec<u32>, Vec<u32>), SinkError> {
        let Some(order) = &self.order else {
            return Err(SinkError::Sql(
                format!("nothing says which rows of `{}` are the last", self.view).into(),
            ));
        };
        let (parents, ranks) = (self.bytes_of(&self.parent, batch)?, self.ranks(order, batch)?);
        let parent = |row: u32| parents[row as usize].as_slice();
        let mut newest: BTreeMap<&[u8], u32> = BTreeMap::new();
        for row in 0..batch.num_rows() as u32 {
            let newest = newest.entry(parent(row)).or_insert(row);
            if ranks.compare(*newest, row).is_lt() {
                *newest = row;
            }
        }
        let replaced: Vec<u32> = newest.values().copied().collect();
        self.told_apart(&self.parent, batch, &replaced, &ranks)?;
        let all = 0..batch.num_rows() as u32;
        let rows: Vec<u32> = all.filter(|row| !self.is_removed(batch, *row)).collect();
        let keys = self.bytes_of(&self.key, &taken(batch, rows.clone())?)?;
        let mut places: Vec<usize> = (0..rows.len()).collect();
        places
            .sort_unstable_by(|a, b| keys[*a].cmp(&keys[*b]).then_with(|| ranks.compare(rows[*a], rows[*b])));
        let is_twice =
            |pair: &&[usize]| keys[pair[0]] == keys[pair[1]] && ranks.are_equal(rows[pair[0]], rows[pair[1]]);
        if let Some(twins) = places.windows(2).find(is_twice) {
            let key = self.shown_key(batch, rows[twins[0]] as usize);
            let reason = format!("two rows of one message have the key {key}");
            return Err(SinkError::Data { place: self.table.clone(), reason: reason.into() });
        }
        let rows = places.into_iter().map(|place| rows[place]);
        let (children, older): (Vec<u32>, Vec<u32>) =
            rows.partition(|row| ranks.are_equal(*row, newest[parent(*row)]));
        self.checked(Change::Insert, &[taken(batch, older)?])?;
        Ok((replaced, children))
    }

    /// Whether the server may take values of the first columns of the key, `places`, for equal that have different bytes.
    fn is_loose(&self, places: &[usize]) -> bool {
        self.equality.iter().take(places.len()).any(|equality| *equality != Equality::Bytes)
    }

    /// Refuses rows of different messages whose keys (the first columns of the key, `places`) the server may take for equal.
    /// Only in batches of their own are they written one after the other, and the batch is tried again in parts.
    fn told_apart(
        &self,
        places: &[usize],
        batch: &RecordBatch,
        rows: &[u32],
        ranks: &Ranks,
    ) -> Result<(), SinkError> {
        if !self.is_loose(places) {
            return Ok(());
        }
        // `None`: the key may be equal to any other.
        let mut likes = vec![Some(Vec::new()); batch.num_rows()];
        for (place, equality) in places.iter().zip(&self.equality) {
            self.each_value(*place, batch, &mut |row, value| {
                let Some(like) = &mut likes[row] else { return };
                match &value {
                    Value::Text(text) => match equality.folded(text) {
                        Some(text) => append_key(like, &Value::Text(text.into())),
                        None => likes[row] = None,
                    },
                    other => append_key(like, other),
                }
            })?;
        }
        let mut seen: HashMap<&[u8], u32> = HashMap::new();
        let of_any = rows.iter().find(|row| likes[**row as usize].is_none());
        let twin = rows.iter().find_map(|row| {
            let other = match &likes[*row as usize] {
                Some(like) => of_any.copied().or(seen.insert(like, *row)),
                None => of_any.copied(),
            };
            other.filter(|other| !ranks.are_equal(*row, *other)).map(|other| (other, *row))
        });
        let Some((one, other)) = twin else { return Ok(()) };
        let shown = |row: u32| self.shown(places, batch, row as usize);
        let reason = format!("the database may take {} and {} for one key", shown(one), shown(other));
        Err(SinkError::Data { place: self.table.clone(), reason: reason.into() })
    }

    fn is_removed(&self, batch: &RecordBatch, row: u32) -> bool {
        let row = row as usize;
        self.delete.is_some_and(|index| {
            let delete = batch.column(index).as_boolean();
            delete.is_valid(row) && delete.value(row)
        })
    }

    fn ranks(&self, order: &Order, batch: &RecordBatch) -> Result<Ranks, SinkError> {
        let broken = |error: ArrowError| {
            SinkError::Sql(format!("rows of `{}` have no order: {error}", self.view).into())
        };
        let others = match order.columns.as_slice() {
            [] => None,
            places => {
                let batch = batch.project(places).map_err(broken)?;
                let fields = batch
                    .schema()
                    .fields()
                    .iter()
                    .map(|field| SortField::new(field.data_type().clone()))
                    .collect();
                let converter = RowConverter::new(fields).map_err(broken)?;
                Some(converter.convert_columns(batch.columns()).map_err(broken)?)
            }
        };
        Ok(Ranks { versions: self.versions(batch)?, others })
    }

    /// For each row its version as the table will have it, as bytes that are ordered as the database orders versions.
    fn versions(&self, batch: &RecordBatch) -> Result<Option<Vec<Vec<u8>>>, SinkError> {
        let Some(version) = self.order.as_ref().and_then(|order| order.version) else { return Ok(None) };
        let mut versions = vec![Vec::new(); batch.num_rows()];
        let is_integer = self.schema.field(self.columns[version].index).data_type().is_integer();
        let put = |version: &mut Vec<u8>, value: &Value<'_>| match value {
            // A row without a version is older than all that have one.
            Value::Null => {}
            // A DECIMAL takes integers as text, with zeros behind the point.
            Value::Text(text) if is_integer => {
                let whole = text.split_once('.').map_or(&**text, |(whole, _)| whole);
                number(version, whole.parse().unwrap_or_default());
            }
            Value::Text(text) => {
                version.push(1);
                version.extend(text.as_bytes());
            }
            other => append_key(version, other),
        };
        self.each_value(version, batch, &mut |row, value| put(&mut versions[row], &value))?;
        Ok(Some(versions))
    }

    /// For each row bytes that are equal where the table takes the keys for equal.
    fn keys(&self, batch: &RecordBatch) -> Result<Vec<Vec<u8>>, SinkError> {
        self.bytes_of(&self.key, batch)
    }

    fn bytes_of(&self, places: &[usize], batch: &RecordBatch) -> Result<Vec<Vec<u8>>, SinkError> {
        let mut bytes = vec![Vec::new(); batch.num_rows()];
        for place in places {
            self.each_value(*place, batch, &mut |row, value| append_key(&mut bytes[row], &value))?;
        }
        Ok(bytes)
    }

    /// Gives `put` the values of one of the columns that are written.
    fn each_value(
        &self,
        place: usize,
        batch: &RecordBatch,
        put: &mut dyn FnMut(usize, Value<'_>),
    ) -> Result<(), SinkError> {
        let column = &self.columns[place];
        let array = self.prepared(column, batch)?;
        let put_all = column.fit.each(&array, 0..batch.num_rows(), &mut |row, value| put(row, value));
        put_all.map_err(|misfit| self.data(column, misfit.reason))
    }

    fn shown_key(&self, batch: &RecordBatch, row: usize) -> String {
        self.shown(&self.key, batch, row)
    }

    /// Some columns of a row, with their names.
    fn shown(&self, places: &[usize], batch: &RecordBatch, row: usize) -> String {
        let mut key = Vec::new();
        for column in places.iter().map(|place| &self.columns[*place]) {
            let mut text = String::new();
            let shown = crate::database::json::write(&mut text, batch.column(column.index).as_ref(), row);
            key.push(format!("{} = {}", column.name, if shown.is_ok() { text } else { "?".into() }));
        }
        key.join(", ")
    }

    fn twins(&self, batch: &RecordBatch, row: usize) -> Finding {
        let message = format!(
            "view `{}` has two rows for the key {} in one batch, and nothing says which of them is the last",
            self.view,
            self.shown_key(batch, row)
        );
        Finding::new(message)
            .with_hint("select `kafka_partition` and `kafka_offset`, or GROUP BY the key alone")
    }

    /// The rows that are left in an empty table when commits are written one after the other, in the order in which
    /// their keys came; without `_delete`.
    ///
    /// # Errors
    /// As [`Output::rows`].
    pub(in crate::sink) fn left(
        self: &Arc<Self>,
        commits: &[Vec<RecordBatch>],
    ) -> Result<RecordBatch, SinkError> {
        if !self.parent.is_empty() {
            return self.left_of_parents(commits);
        }
        let mut written = Vec::with_capacity(commits.len());
        for batches in commits {
            let batch = concat_batches(&self.schema, batches)?;
            let (mut rows, mut last) = self.last_rows(&batch)?;
            last.sort_unstable();
            rows.append(&mut last);
            written.push(taken(&batch, rows)?);
        }
        let all = concat_batches(&self.schema, &written)?;
        let (keys, versions) = (self.keys(&all)?, self.versions(&all)?);
        let is_older = |row: u32, there: u32| {
            versions.as_ref().is_some_and(|versions| versions[row as usize] < versions[there as usize])
        };
        let mut places: HashMap<&[u8], usize> = HashMap::new();
        let mut left: Vec<Option<u32>> = Vec::new();
        for row in 0..all.num_rows() as u32 {
            let kept = (!self.is_removed(&all, row)).then_some(row);
            match places.entry(&keys[row as usize]) {
                Entry::Vacant(entry) => {
                    entry.insert(left.len());
                    left.push(kept);
                }
                Entry::Occupied(entry) => {
                    let there = &mut left[*entry.get()];
                    if !there.is_some_and(|there| is_older(row, there)) {
                        *there = kept;
                    }
                }
            }
        }
        self.without_delete(&taken(&all, left.into_iter().flatten().collect())?)
    }

    fn left_of_parents(self: &Arc<Self>, commits: &[Vec<RecordBatch>]) -> Result<RecordBatch, SinkError> {
        let mut left: Vec<(Vec<u8>, RecordBatch)> = Vec::new();
        for batches in commits {
            let batch = concat_batches(&self.schema, batches)?;
            let parents = self.bytes_of(&self.parent, &batch)?;
            let (replaced, mut children) = self.by_parent(&batch)?;
            let is_replaced = |parent: &Vec<u8>| replaced.iter().any(|row| parents[*row as usize] == *parent);
            left.retain(|(parent, _)| !is_replaced(parent));
            children.sort_unstable();
            left.extend(
                children.iter().map(|row| (parents[*row as usize].clone(), batch.slice(*row as usize, 1))),
            );
        }
        let rows: Vec<RecordBatch> = left.into_iter().map(|(_, row)| row).collect();
        self.without_delete(&concat_batches(&self.schema, &rows)?)
    }

    fn without_delete(&self, rows: &RecordBatch) -> Result<RecordBatch, SinkError> {
        let shown: Vec<usize> = (0..rows.num_columns()).filter(|place| Some(*place) != self.delete).collect();
        Ok(rows.project(&shown)?)
    }
}

/// Appends a value so that different lists of values give different bytes. Those of numbers and times are in their order.
fn append_key(key: &mut Vec<u8>, value: &Value<'_>) {
    match value {
        Value::Null => key.push(0),
        Value::Int(value) => number(key, (*value).into()),
        Value::UInt(value) => number(key, (*value).into()),
        Value::Float(value) => double(key, (*value).into()),
        Value::Double(value) => double(key, *value),
        Value::Text(text) => {
            key.extend(text.as_bytes());
            key.extend((text.len() as u32).to_be_bytes());
        }
        Value::Bytes(bytes) => {
            key.extend(bytes.as_ref());
            key.extend((bytes.len() as u32).to_be_bytes());
        }
        Value::Date(value) => number(key, (*value).into()),
        Value::Time(value) | Value::DateTime(value) => number(key, (*value).into()),
    }
}

/// Signed numbers in the order of their bytes.
fn number(key: &mut Vec<u8>, value: i128) {
    key.extend((value ^ i128::MIN).to_be_bytes());
}

/// Numbers that are finite, in the order of their bytes: with the sign turned, and of negative ones all bits.
fn double(key: &mut Vec<u8>, value: f64) {
    let bits = (value + 0.0).to_bits();
    let turned = if bits >> 63 == 0 { bits | 1 << 63 } else { !bits };
    key.extend(turned.to_be_bytes());
}
