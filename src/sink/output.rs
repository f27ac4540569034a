//! One output: how its view's columns become its table's, and the statements of a batch of its rows. All values
//! are checked here, before the first statement is sent.

mod keyed;
mod newer;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::{DataType, SchemaRef};
use bytes::Bytes;

use super::ddl::is_delete;
use super::requirements::{missing_column, orders_alone};
use super::shapes::Names;
use super::statement::{Shape, chunks, parts};
use super::{SinkError, TableFault, Target, TargetKind};
use crate::batch::{MESSAGE_TIME_COLUMN, StateChange};
use crate::config::{Mode, Upsert};
use crate::database::{
    Constraints, DatabaseError, Dialect, DuplicateKey, Equality, Fit, Key, StatementLimits, Table,
    TableColumn, Value,
};
use crate::diagnostic::Finding;

use keyed::{ByKey, Order};
use newer::Lookup;
pub use newer::{Age, Replaced};

/// How the rows of one view are written.
#[derive(Clone)]
pub(super) struct Output {
    pub view: String,
    pub table: String,
    pub kind: TargetKind,
    pub(super) schema: SchemaRef,
    /// One for each column of the table that is written, in the view's order.
    pub(super) columns: Vec<Column>,
    /// Places among `columns`; empty for append.
    pub(super) key: Vec<usize>,
    /// The first of `key`, if the rows of a parent are replaced.
    pub(super) parent: Vec<usize>,
    /// How the server compares the columns of `key`.
    pub(super) equality: Vec<Equality>,
    pub(super) order: Option<Order>,
    /// The indexes of the table over just the columns of the key.
    key_indexes: Vec<String>,
    /// The place of `_delete` in the view.
    pub(super) delete: Option<usize>,
    /// Inserts, and updates where there is a row with the key.
    insert: Shape,
    /// Inserts only.
    insert_new: Shape,
    remove: Shape,
    clear: Shape,
    /// How rows are found that an older message would replace.
    pub(super) lookups: Vec<Lookup>,
    pub constraints: Constraints,
}

#[derive(Clone)]
pub(super) struct Column {
    pub name: String,
    /// The place in the view.
    pub index: usize,
    pub fit: Fit,
    /// The type as the table declares it.
    pub(super) declared: String,
}

/// Rows of an output that were checked and can be sent.
pub(super) struct Rows {
    pub(super) output: Arc<Output>,
    change: Change,
    /// Places among the output's columns, of what a row sends.
    pub(super) sent: Vec<usize>,
    /// For each record batch: the prepared columns, in the order of `sent`.
    parts: Vec<Vec<ArrayRef>>,
    /// Bytes of each row, over all parts.
    sizes: Vec<usize>,
    /// The first of them as LOAD DATA reads them, where that was done ahead.
    pub text_ahead: Vec<Bytes>,
}

/// What is done with rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Insert,
    /// Their keys are expected to be new: one that is there was written by another instance.
    InsertNew,
    Remove,
    /// As `Remove`, before rows are inserted: an older row with the key comes after it.
    RemoveFirst,
    /// All rows of their parents are deleted.
    Clear,
    /// Rows of the table are counted, by the lookup at this place.
    Count(usize),
}

/// Rows of one statement that deletes them by conditions.
const CONDITIONS_MAX: usize = 200;

impl Output {
    /// Pairs the view's columns with the table's.
    ///
    /// # Errors
    /// All columns that do not fit.
    pub fn new(target: &Target, table: &Table, dialect: Dialect) -> Result<Self, Vec<TableFault>> {
        let mut faults = Vec::new();
        let mut columns = Vec::new();
        let mut delete = None;
        let key_names = target.mode.key();
        for (index, field) in target.schema.fields().iter().enumerate() {
            let fault = |found: Finding| TableFault::of_column(&target.table, field.name(), found);
            if is_delete(target, field.name()) {
                delete = Some(index);
                if *field.data_type() != DataType::Boolean {
                    let found = field.data_type();
                    faults.push(fault(format!("found {found}, `_delete` is expected to be boolean").into()));
                }
                continue;
            }
            let Some(column) = table.column(field.name()) else {
                if orders_alone(target, field.name()) {
                    continue;
                }
                faults.push(missing_column(target, field, table, dialect));
                continue;
            };
            if column.is_generated {
                faults.push(fault("a generated column, nothing can be written to it".into()));
                continue;
            }
            let is_nullable = column.is_nullable && !key_names.contains(field.name());
            match Fit::new(field.data_type(), &column.kind, is_nullable, dialect) {
                Ok(fit) => {
                    let (name, declared) = (field.name().clone(), column.declared.clone());
                    columns.push(Column { name, index, fit, declared });
                }
                Err(found) => {
                    faults.push(fault(found.reworded(|message| format!("{} {message}", column.declared))));
                }
            }
        }
        let place_of = |name: &String| columns.iter().position(|column| column.name == *name);
        let key: Vec<usize> = key_names.iter().filter_map(place_of).collect();
        if !faults.is_empty() {
            return Err(faults);
        }
        if key.len() < key_names.len() || columns.is_empty() {
            let message = format!("view `{}` lacks columns of the key", target.name);
            return Err(vec![TableFault::new(&target.table, message)]);
        }
        let order = Order::of(target, place_of);
        let version = order.as_ref().and_then(|order| order.version);
        let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
        // A late message must not make a row look as old as it is: the row would expire.
        let newest =
            columns.iter().position(|column| target.kind.is_state() && column.name == MESSAGE_TIME_COLUMN);
        let is_numbered = |column: &&TableColumn| {
            column.is_numbered
                && !columns.iter().any(|written| written.name.eq_ignore_ascii_case(&column.name))
        };
        let numbered = table.columns.iter().find(is_numbered).map(|column| column.name.as_str());
        let names =
            Names { table: &target.table, columns: &names, key: &key, version, newest, numbered, dialect };
        let parent = match &target.mode {
            Mode::Upsert(Upsert { parent, .. }) => key[..parent.len()].to_vec(),
            Mode::Append => Vec::new(),
        };
        let lookups = Lookup::of(target, &names, &parent, order.as_ref(), &columns);
        let equality = |column: &TableColumn| dialect.equality(&column.kind, column.collation.as_deref());
        Ok(Self {
            view: target.name.clone(),
            table: target.table.clone(),
            kind: target.kind,
            schema: target.schema.clone(),
            insert: if key.is_empty() || !parent.is_empty() { names.insert() } else { names.upsert() },
            insert_new: names.insert(),
            remove: names.delete(),
            clear: Names { key: &parent, version: None, ..names }.delete(),
            lookups,
            equality: key_names.iter().filter_map(|name| table.column(name)).map(equality).collect(),
            order,
            key_indexes: key_indexes(table, key_names),
            constraints: Constraints::default(),
            columns,
            key,
            parent,
            delete,
        })
    }

    /// Statements of one row, for the server to check names and rights.
    pub fn probes(&self) -> Vec<String> {
        let mut probes = vec![self.insert.sql(1)];
        match (self.parent.is_empty(), self.delete) {
            (false, _) => probes.push(self.clear.sql(1)),
            (true, Some(_)) => probes.push(self.remove.sql(1)),
            (true, None) => {}
        }
        probes
    }

    /// Checks the rows of a batch: what to delete, and what to insert.
    ///
    /// # Errors
    /// The first value that does not fit; two rows for one key.
    pub fn rows(self: &Arc<Self>, batches: &[RecordBatch]) -> Result<Vec<Rows>, SinkError> {
        self.check_columns(batches)?;
        if self.key.is_empty() {
            return Ok(vec![self.checked(Change::Insert, batches)?]);
        }
        if batches.iter().all(|batch| batch.num_rows() == 0) {
            return Ok(Vec::new());
        }
        let batch = concat_batches(&self.schema, batches)?;
        if !self.parent.is_empty() {
            let (parents, children) = self.by_parent(&batch)?;
            return Ok(vec![
                self.checked(Change::Clear, &[taken(&batch, parents)?])?,
                self.checked(Change::Insert, &[taken(&batch, children)?])?,
            ]);
        }
        let ByKey { removed_first, removed, written } = self.by_key(&batch)?;
        Ok(vec![
            self.checked(Change::RemoveFirst, &[taken(&batch, removed_first)?])?,
            self.checked(Change::Remove, &[taken(&batch, removed)?])?,
            self.checked(Change::Insert, &[taken(&batch, written)?])?,
        ])
    }

    /// Checks the new rows of a state table: what to delete, what to update, and what to insert.
    ///
    /// # Errors
    /// As [`Output::rows`].
    pub fn state_rows(self: &Arc<Self>, change: &StateChange) -> Result<Vec<Rows>, SinkError> {
        let batch = &change.rows;
        self.check_columns(std::slice::from_ref(batch))?;
        if batch.num_rows() == 0 {
            return Ok(Vec::new());
        }
        // State has no versions, so nothing is removed first.
        let ByKey { removed, written, .. } = self.by_key(batch)?;
        let is_new = |row: &u32| change.new_keys.value(*row as usize);
        let removed = removed.into_iter().filter(|row| !is_new(row)).collect();
        let (inserted, updated): (Vec<u32>, Vec<u32>) = written.into_iter().partition(is_new);
        Ok(vec![
            self.checked(Change::Remove, &[taken(batch, removed)?])?,
            self.checked(Change::Insert, &[taken(batch, updated)?])?,
            self.checked(Change::InsertNew, &[taken(batch, inserted)?])?,
        ])
    }

    /// Whether it is the key that rows of this table are written by; `None` if the database does not say whose it is.
    fn is_own_key(&self, key: &DuplicateKey<'_>) -> Option<bool> {
        let has_index = |index: &str| self.key_indexes.iter().any(|own| own.eq_ignore_ascii_case(index));
        let table = self.table.rsplit_once('.').map_or(self.table.as_str(), |(_, table)| table);
        match key {
            DuplicateKey::OfTable { table: found, index } => {
                Some(table.eq_ignore_ascii_case(found) && has_index(index))
            }
            DuplicateKey::Index(index) => {
                if has_index(index) {
                    None
                } else {
                    Some(false)
                }
            }
            DuplicateKey::Columns { table: found, columns } => {
                let names = self.key.iter().map(|place| self.columns[*place].name.as_str());
                Some(table.eq_ignore_ascii_case(found) && is_same_set(names, columns))
            }
        }
    }

    fn check_columns(&self, batches: &[RecordBatch]) -> Result<(), SinkError> {
        for batch in batches {
            let is_same = batch.num_columns() == self.schema.fields().len()
                && batch
                    .columns()
                    .iter()
                    .zip(self.schema.fields())
                    .all(|(a, f)| a.data_type() == f.data_type());
            if !is_same {
                let reason =
                    format!("view `{}` gave {} where {} was planned", self.view, batch.schema(), self.schema);
                return Err(SinkError::Sql(reason.into()));
            }
        }
        Ok(())
    }

    pub(super) fn checked(
        self: &Arc<Self>,
        change: Change,
        batches: &[RecordBatch],
    ) -> Result<Rows, SinkError> {
        let sent: Vec<usize> = match change {
            Change::Insert | Change::InsertNew => (0..self.columns.len()).collect(),
            Change::Remove | Change::RemoveFirst => self.key.iter().copied().chain(self.version()).collect(),
            Change::Clear => self.parent.clone(),
            Change::Count(lookup) => self.lookups[lookup].sent.clone(),
        };
        let rows = batches.iter().map(RecordBatch::num_rows).sum();
        let mut sizes = vec![0; rows];
        let mut parts = Vec::with_capacity(batches.len());
        let mut start = 0;
        for batch in batches {
            let mut part = Vec::with_capacity(sent.len());
            for column in sent.iter().map(|place| &self.columns[*place]) {
                let array = self.prepared(column, batch)?;
                let mut put = |row: usize, value: Value<'_>| sizes[start + row] += value.size();
                let put_all = column.fit.each(&array, 0..batch.num_rows(), &mut put);
                put_all.map_err(|misfit| self.data(column, misfit.reason))?;
                part.push(array);
            }
            start += batch.num_rows();
            parts.push(part);
        }
        Ok(Rows { output: Arc::clone(self), change, sent, parts, sizes, text_ahead: Vec::new() })
    }

    /// The rows with a value that does not fit, each with the first of them; of an output that is appended to.
    pub fn misfits(&self, batches: &[RecordBatch]) -> Vec<(usize, SinkError)> {
        let mut found = BTreeMap::new();
        let mut start = 0;
        for batch in batches.iter().filter(|_| self.key.is_empty()) {
            for column in &self.columns {
                let Ok(array) = self.prepared(column, batch) else { continue };
                let mut from = 0;
                while let Err(misfit) = column.fit.each(&array, from..batch.num_rows(), &mut |_, _| {}) {
                    found.entry(start + misfit.row).or_insert_with(|| self.data(column, misfit.reason));
                    from = misfit.row + 1;
                }
            }
            start += batch.num_rows();
        }
        found.into_iter().collect()
    }

    fn version(&self) -> Option<usize> {
        self.order.as_ref().and_then(|order| order.version)
    }

    pub(super) fn prepared(&self, column: &Column, batch: &RecordBatch) -> Result<ArrayRef, SinkError> {
        let prepared = column.fit.prepare(batch.column(column.index));
        prepared.map_err(|error| SinkError::Sql(format!("{}.{}: {error}", self.table, column.name).into()))
    }

    pub(super) fn data(&self, column: &Column, reason: String) -> SinkError {
        SinkError::Data { place: format!("{}.{}", self.table, column.name), reason: reason.into() }
    }
}

impl Rows {
    /// Makes sure that the server takes rows of this size.
    ///
    /// # Errors
    /// Data: a row that is larger.
    pub fn check_sizes(&self, limits: &StatementLimits) -> Result<(), SinkError> {
        let max = limits.row_bytes_max;
        let Some(size) = self.sizes.iter().find(|size| **size > max) else { return Ok(()) };
        let reason = format!("a row of {size} bytes, the server takes at most {max} (max_allowed_packet)");
        Err(SinkError::Data { place: self.output.table.clone(), reason: reason.into() })
    }

    /// What it means that the database refused a statement of these rows.
    pub fn refused(&self, error: DatabaseError) -> SinkError {
        self.refused_at((self.len() == 1).then_some(0), error)
    }

    /// The same, if it is known which row it refused.
    pub fn refused_at(&self, row: Option<usize>, error: DatabaseError) -> SinkError {
        let error = match row.and_then(|row| self.why_refused(row, &error)) {
            Some(found) => error.detailed(&found),
            None => error,
        };
        let table = self.output.table.clone();
        let duplicate = error.duplicate_key().filter(|_| self.change == Change::InsertNew);
        match duplicate.map(|key| self.output.is_own_key(&key)) {
            Some(Some(true)) => SinkError::Conflict { table },
            Some(None) => SinkError::DuplicateInDoubt { table, error },
            Some(Some(false)) | None => SinkError::Refused { table, error },
        }
    }

    pub fn len(&self) -> usize {
        self.sizes.len()
    }

    /// Whether rows are added, whatever is there.
    pub fn is_append(&self) -> bool {
        self.output.key.is_empty()
    }

    /// The place of the output among these; `None` if its rows are not as its view gave them.
    pub fn output_place(&self, outputs: &[Arc<Output>]) -> Option<usize> {
        outputs.iter().position(|output| Arc::ptr_eq(output, &self.output)).filter(|_| self.is_append())
    }

    /// Whether rows are deleted.
    pub fn is_removal(&self) -> bool {
        self.change == Change::Remove
    }

    /// Whether rows are deleted to be replaced.
    pub fn is_clearing(&self) -> bool {
        matches!(self.change, Change::Clear | Change::RemoveFirst)
    }

    pub fn table(&self) -> &str {
        &self.output.table
    }

    /// Names of the columns that are sent, and how their values are written.
    pub fn columns(&self) -> impl Iterator<Item = (&str, &Fit)> {
        self.sent.iter().map(|place| &self.output.columns[*place]).map(|c| (c.name.as_str(), &c.fit))
    }

    /// The rows of each statement.
    pub fn chunks(&self, limits: &StatementLimits) -> Vec<Range<usize>> {
        // Why fewer conditions: a parser goes down one level for each of them.
        let is_of_conditions = match self.change {
            Change::Remove | Change::RemoveFirst => self.output.version().is_some(),
            Change::Count(_) => true,
            _ => false,
        };
        let placeholders_max = match is_of_conditions {
            true => limits.placeholders_max.min(CONDITIONS_MAX * self.sent.len()),
            false => limits.placeholders_max,
        };
        chunks(&self.sizes, self.sent.len(), &StatementLimits { placeholders_max, ..*limits })
    }

    pub fn sql(&self, rows: usize) -> String {
        let Output { insert, insert_new, remove, clear, lookups, .. } = &*self.output;
        let shape = match self.change {
            Change::Insert => insert,
            Change::InsertNew => insert_new,
            Change::Remove | Change::RemoveFirst => remove,
            Change::Clear => clear,
            Change::Count(lookup) => &lookups[lookup].shape,
        };
        shape.sql(rows)
    }

    /// The rows of each part of LOAD DATA: as many as take about `bytes_max`.
    pub fn load_parts(&self, bytes_max: usize) -> Vec<Range<usize>> {
        parts(&self.sizes, bytes_max)
    }

    /// The values of a statement, row by row.
    pub fn parameters(&self, chunk: &Range<usize>) -> Result<Vec<Value<'_>>, SinkError> {
        let width = self.sent.len();
        let mut parameters = vec![Value::Null; chunk.len() * width];
        self.each(chunk, &mut |row, column, value| parameters[row * width + column] = value)?;
        Ok(parameters)
    }

    /// Gives `put` the values of some rows with their places: the row's among these, and the column's among those that
    /// are sent. Each column's values come in the order of the rows.
    pub fn each<'s>(
        &'s self,
        chunk: &Range<usize>,
        put: &mut dyn FnMut(usize, usize, Value<'s>),
    ) -> Result<(), SinkError> {
        let mut start = 0;
        for part in &self.parts {
            let length = part.first().map_or(0, |column| column.len());
            let from = chunk.start.max(start);
            let to = chunk.end.min(start + length);
            for (index, (array, place)) in part.iter().zip(&self.sent).enumerate() {
                if from >= to {
                    break;
                }
                let column = &self.output.columns[*place];
                let mut put = |row: usize, value| put(start + row - chunk.start, index, value);
                let put_all = column.fit.each(array, from - start..to - start, &mut put);
                put_all.map_err(|misfit| self.output.data(column, misfit.reason))?;
            }
            start += length;
        }
        Ok(())
    }
}

/// For each of these tables the places of those that its foreign keys name.
pub(super) fn parents(outputs: &[&Output]) -> Vec<Vec<usize>> {
    let place = |name: &String| outputs.iter().position(|other| other.table.eq_ignore_ascii_case(name));
    outputs.iter().map(|output| output.constraints.parents().iter().filter_map(place).collect()).collect()
}

/// The names of the indexes that are over just these columns.
fn key_indexes(table: &Table, key: &[String]) -> Vec<String> {
    let columns: Vec<&str> = key.iter().map(String::as_str).collect();
    let of_key = |index: &&Key| is_same_set(index.columns.iter().map(String::as_str), &columns);
    table.keys.iter().filter(of_key).map(|index| index.name.clone()).collect()
}

/// Whether the same names are on both sides, in any order and case.
fn is_same_set<'a>(names: impl Iterator<Item = &'a str>, others: &[&str]) -> bool {
    let folded = |names: &mut dyn Iterator<Item = &str>| -> BTreeSet<String> {
        names.map(str::to_lowercase).collect()
    };
    folded(&mut { names }) == folded(&mut others.iter().copied())
}

pub(super) fn taken(batch: &RecordBatch, rows: Vec<u32>) -> Result<RecordBatch, SinkError> {
    Ok(take_record_batch(batch, &UInt32Array::from(rows))?)
}
