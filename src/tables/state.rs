//! State tables: rows the job reads and writes, one for each key. What is held of them is what the database has; above
//! it lie layers of rows that were computed and are not committed yet, one for each batch in flight, which the
//! batches after it see.
//!
//! Invariant: a layer is merged into what is held when its batch is committed, in the order of the batches. Whatever
//! else becomes of a batch, all layers are dropped, since those above were computed from it.

mod faults;
mod memory;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int32Array, Int64Array, RecordBatch, StringArray,
    TimestampMillisecondArray, UInt32Array,
};
use arrow::compute::{CastOptions, cast, cast_with_options, concat_batches, take};
use arrow::datatypes::{DataType, Field, Int32Type, Int64Type, Schema, SchemaRef, TimeUnit};
use arrow::error::ArrowError;
use datafusion::common::HashMap;

use super::error::TableError;
use super::held::{HeldFault, HeldRows};
use super::key::KeyForm;
use crate::batch::{DELETE_COLUMN, MESSAGE_TIME_COLUMN, PARTITION_COLUMNS, StateChange, VERSION_COLUMN};
use crate::database::{Address, Home, Origin, Reader, Relation};
use crate::telemetry::HeldTable;
use faults::{arrow_error, database_error, moved, not_given, twins, twins_given};
use memory::Memory;

/// What a state table is, once its view is planned.
#[derive(Clone, Debug)]
pub struct StateTableSpec {
    pub name: String,
    /// The view that computes its rows, for messages.
    pub view: String,
    /// Its columns as SQL reads them.
    pub schema: SchemaRef,
    pub key: Vec<String>,
    /// Whether its view has `_delete`.
    pub deletes: bool,
    pub follows_partition: bool,
    /// Rows that were not written for this long, in message time, may be deleted.
    pub ttl: Option<Duration>,
}

/// The state tables of a job, in the order of its configuration.
pub struct StateTables {
    tables: Vec<StateTable>,
    store: Store,
    /// One layer for each batch that is computed and not committed, the oldest first: for each table its new rows.
    staged: VecDeque<Vec<Layer>>,
}

/// Where committed rows stand.
enum Store {
    Database(Reader),
    Memory(Memory),
}

/// New rows by key; `None` where the row is deleted.
type Layer = HashMap<Box<[u8]>, Option<Box<[u8]>>>;

/// What a batch does to state.
#[derive(Clone, Debug, Default)]
pub struct Staged {
    /// One for each table.
    pub changes: Vec<StateChange>,
    /// For each table, rows of its view whose key is NULL, which were left out.
    pub null_keys: Vec<usize>,
}

struct StateTable {
    spec: StateTableSpec,
    key: KeyForm,
    /// `None` until the first rows are fetched.
    relation: Option<Relation>,
    /// What is read and held: the columns of SQL, then the program's own.
    held_schema: SchemaRef,
    held: HeldRows,
    /// What the current batch was given, by key.
    given: HashMap<Box<[u8]>, Given>,
}

/// What a batch was given of one key.
#[derive(Clone, Debug)]
struct Given {
    /// `None` where there is no row.
    version: Option<i64>,
    /// Where its messages stand; for tables that follow the partition.
    partition: Option<(Arc<str>, i32)>,
}

impl StateTableSpec {
    /// The columns of [`StateChange::rows`], which are those of the table and `_delete`.
    pub fn rows_schema(&self) -> SchemaRef {
        let mut fields: Vec<Field> = self.schema.fields().iter().map(|field| Field::clone(field)).collect();
        if self.deletes {
            fields.push(Field::new(DELETE_COLUMN, DataType::Boolean, true));
        }
        fields.push(Field::new(VERSION_COLUMN, DataType::Int64, true));
        fields.push(Field::new(MESSAGE_TIME_COLUMN, message_time_type(), true));
        fields.extend(self.partition_fields());
        Arc::new(Schema::new(fields))
    }

    fn partition_fields(&self) -> Vec<Field> {
        let fields = vec![
            Field::new(PARTITION_COLUMNS[0], DataType::Utf8, true),
            Field::new(PARTITION_COLUMNS[1], DataType::Int32, true),
        ];
        if self.follows_partition { fields } else { Vec::new() }
    }

    fn held_schema(&self) -> SchemaRef {
        let mut fields: Vec<Field> = self.schema.fields().iter().map(|field| Field::clone(field)).collect();
        fields.push(Field::new(VERSION_COLUMN, DataType::Int64, true));
        fields.extend(self.partition_fields());
        Arc::new(Schema::new(fields))
    }
}

fn message_time_type() -> DataType {
    DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()))
}

impl StateTables {
    /// Tables of which nothing is held yet, and the faults of those that have a key of a type that no key can have.
    /// `memory_max` bounds, in bytes, what all of them hold.
    pub fn new(specs: Vec<StateTableSpec>, database: &Address, memory_max: usize) -> (Self, Vec<TableError>) {
        let share = memory_max / specs.len().max(1);
        let (mut tables, mut errors) = (Vec::new(), Vec::new());
        for spec in specs {
            match StateTable::new(spec, share) {
                Ok(table) => tables.push(table),
                Err(error) => errors.push(error),
            }
        }
        let store = Store::Database(Reader::new(database.clone()));
        (Self { tables, store, staged: VecDeque::new() }, errors)
    }

    /// Keeps the tables of these names only. Nothing may be staged.
    pub fn retain(&mut self, names: &BTreeSet<&str>) {
        self.tables.retain(|table| names.contains(table.spec.name.as_str()));
    }

    /// Reads from the same server as all links that share this home.
    pub fn share(&mut self, home: &Home) {
        if let Store::Database(reader) = &mut self.store {
            reader.share(home);
        }
    }

    pub fn is_empty(&self) -> bool {
        self.tables.is_empty()
    }

    /// The names of the tables, in their order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tables.iter().map(|table| table.spec.name.as_str())
    }

    /// The tables, in their order.
    pub fn specs(&self) -> impl Iterator<Item = &StateTableSpec> {
        self.tables.iter().map(|table| &table.spec)
    }

    /// The name of a table, by its place.
    pub fn name(&self, table: usize) -> &str {
        &self.tables[table].spec.name
    }

    /// The `ttl` of each table.
    pub fn ttls(&self) -> Vec<Option<Duration>> {
        self.tables.iter().map(|table| table.spec.ttl).collect()
    }

    /// Whether any of them is kept from other writers by the epochs of partitions alone.
    pub fn follow_partitions(&self) -> bool {
        self.tables.iter().any(|table| table.spec.follows_partition)
    }

    /// What is held of each table.
    pub fn held(&self) -> Vec<HeldTable> {
        let of_one = |table: &StateTable| {
            let (rows, bytes) = table.held.size();
            HeldTable { name: table.spec.name.as_str().into(), rows, bytes, seen_at: None }
        };
        self.tables.iter().map(of_one).collect()
    }

    /// Begins a batch, or a part of one, or the same one again.
    pub fn begin_batch(&mut self) {
        for table in &mut self.tables {
            table.held.begin_batch();
            table.given.clear();
        }
    }

    /// The keys among `keys` whose rows have to be fetched, each once; `None` where all are known.
    ///
    /// `keys` has the columns of the key, then the topic and the partition of the messages where the table follows
    /// them.
    ///
    /// # Errors
    /// Keys of other columns than the table's.
    pub fn missing(&mut self, table: usize, keys: &[RecordBatch]) -> Result<Option<RecordBatch>, TableError> {
        let layers = &self.staged;
        let StateTable { spec, held, .. } = &mut self.tables[table];
        let is_staged = |key: &[u8]| layers.iter().any(|layer| layer[table].contains_key(key));
        let keys: Vec<RecordBatch> =
            keys.iter().map(|keys| key_columns(keys, spec)).collect::<Result<_, _>>()?;
        held.missing(&keys, Instant::now(), &is_staged).map_err(|error| arrow_error(spec, &error))
    }

    /// Fetches the rows of these keys as they are committed.
    ///
    /// # Errors
    /// The database does not answer, or refuses the statement.
    pub async fn fetch(&mut self, table: usize, missing: &RecordBatch) -> Result<RecordBatch, TableError> {
        let reader = match &mut self.store {
            Store::Memory(memory) => return memory.rows(table, &self.tables[table]),
            Store::Database(reader) => reader,
        };
        let StateTable { spec, relation, held_schema, .. } = &mut self.tables[table];
        let failed = |error| database_error(spec, &error);
        let relation = match relation {
            Some(relation) => relation,
            None => {
                let columns: Vec<&str> =
                    held_schema.fields().iter().map(|field| field.name().as_str()).collect();
                let origin = Origin::Columns { table: &spec.name, columns: &columns };
                relation.insert(reader.open(origin).await.map_err(failed)?)
            }
        };
        reader.fetch_by_keys(relation, &spec.key, missing).await.map_err(failed)
    }

    /// Holds what was fetched for `missing`.
    ///
    /// # Errors
    /// Values that the types of the table's view cannot hold; data where one batch's keys are more than may be held.
    pub fn hold(
        &mut self,
        table: usize,
        missing: &RecordBatch,
        fetched: &RecordBatch,
    ) -> Result<(), TableError> {
        let StateTable { spec, held_schema, held, .. } = &mut self.tables[table];
        let fetched = as_planned(fetched, held_schema).map_err(|error| {
            TableError::state(
                &spec.name,
                format!("the table holds what its view cannot have computed: {error}"),
            )
            .with_hint(
                "the types of its columns are not those of the view; see CHANGELOG.md for how to migrate",
            )
        })?;
        held.hold(missing, &[fetched], Instant::now()).map_err(|fault| match fault {
            HeldFault::Arrow(error) => arrow_error(spec, &error),
            HeldFault::Duplicate(key) => twins_given(spec, &key),
            HeldFault::TooMuch(bytes) => TableError::too_much_state(&spec.name, bytes),
        })
    }

    /// The columns of what [`StateTables::fetch`] returns and [`StateTables::hold`] takes.
    pub fn held_columns(&self, table: usize) -> SchemaRef {
        Arc::clone(&self.tables[table].held_schema)
    }

    /// The rows of these keys, each once, as the current batch sees them; all of them were fetched or are staged.
    ///
    /// # Errors
    /// A key that comes by another partition than before, where the table follows the partition.
    pub fn rows(&mut self, table: usize, keys: &[RecordBatch]) -> Result<RecordBatch, TableError> {
        let layers = &self.staged;
        self.tables[table].rows(keys, |key| {
            layers.iter().rev().find_map(|layer| layer[table].get(key)).map(Option::as_deref)
        })
    }

    /// Takes the rows that the views computed, one list for each table, as a layer above those that are there, and
    /// says what of them is to be written. `message_time_ms` is the time of the batch's newest message.
    ///
    /// # Errors
    /// The views' fault: a row whose key was not given, or two rows for one key.
    pub fn stage(
        &mut self,
        rows: &[Vec<RecordBatch>],
        message_time_ms: Option<i64>,
    ) -> Result<Staged, TableError> {
        let (mut layers, mut staged) = (Vec::new(), Staged::default());
        for (table, rows) in self.tables.iter().zip(rows) {
            let (change, layer, null_keys) = table.stage(rows, message_time_ms)?;
            staged.changes.push(change);
            staged.null_keys.push(null_keys);
            layers.push(layer);
        }
        self.staged.push_back(layers);
        Ok(staged)
    }

    /// Counts a batch that changes no state, so that batches and layers stay in step.
    pub fn stage_nothing(&mut self) {
        self.staged.push_back(vec![Layer::default(); self.tables.len()]);
    }

    /// The oldest batch is committed: its rows are what the database has.
    pub fn committed(&mut self) {
        let Some(layers) = self.staged.pop_front() else { return };
        if let Store::Memory(memory) = &mut self.store {
            memory.write(&layers);
        }
        for (table, layer) in self.tables.iter_mut().zip(layers) {
            for (key, row) in layer {
                table.held.put(&key, row);
            }
        }
    }

    /// Drops all rows that are not committed.
    pub fn forget_staged(&mut self) {
        self.staged.clear();
    }

    /// Drops what is held of the database, which has changed.
    pub fn forget_held(&mut self) {
        self.tables.iter_mut().for_each(|table| table.held.clear());
    }

    /// Drops everything: others may have written these tables.
    pub fn forget(&mut self) {
        self.forget_staged();
        self.forget_held();
    }
}

impl StateTable {
    fn new(spec: StateTableSpec, bytes_max: usize) -> Result<Self, TableError> {
        let held_schema = spec.held_schema();
        let form = |schema: &SchemaRef| {
            KeyForm::new(schema, &spec.key).map_err(|message| TableError::state(&spec.name, message))
        };
        let held = HeldRows::new(form(&held_schema)?, Arc::clone(&held_schema), bytes_max, Duration::MAX);
        let held = held.map_err(|error| arrow_error(&spec, &error))?;
        let key = form(&spec.schema)?;
        Ok(Self { spec, key, relation: None, held_schema, held, given: HashMap::new() })
    }

    fn rows<'a>(
        &'a mut self,
        keys: &[RecordBatch],
        staged: impl Fn(&[u8]) -> Option<Option<&'a [u8]>>,
    ) -> Result<RecordBatch, TableError> {
        let spec = &self.spec;
        let failed = |error: ArrowError| arrow_error(spec, &error);
        let mut found: Vec<&[u8]> = Vec::new();
        let mut found_keys: Vec<Box<[u8]>> = Vec::new();
        self.given.clear();
        for keys in keys {
            let partitions = Partitions::of(keys, spec)?;
            let keys = self.key.looked_for(&key_columns(keys, spec)?).map_err(failed)?;
            for row in 0..keys.len() {
                let Some(key) = keys.get(row) else { continue };
                let partition = partitions.as_ref().map(|partitions| partitions.get(row));
                if let Some(given) = self.given.get(key) {
                    let known = given.partition.as_ref().map(|(topic, number)| (&**topic, *number));
                    if known != partition {
                        return Err(moved(spec, &keys.text(row), known, partition));
                    }
                    continue;
                }
                if let Some(row) = staged(key).unwrap_or_else(|| self.held.get(key)) {
                    found.push(row);
                    found_keys.push(key.into());
                }
                let partition = partition.map(|(topic, number)| (topic.into(), number));
                self.given.insert(key.into(), Given { version: None, partition });
            }
        }
        let rows = self.held.decode(found).map_err(failed)?;
        let versions = rows.column(self.spec.schema.fields().len()).as_primitive::<Int64Type>();
        for (row, key) in found_keys.iter().enumerate() {
            if let Some(given) = self.given.get_mut(key) {
                // A row that was written by hand has no version: what is expected then is none, which is 0 here.
                given.version = Some(if versions.is_valid(row) { versions.value(row) } else { 0 });
            }
        }
        self.check_partitions(&rows, &found_keys)?;
        let width: Vec<usize> = (0..self.spec.schema.fields().len()).collect();
        rows.project(&width).and_then(|rows| rows.with_schema(Arc::clone(&self.spec.schema))).map_err(failed)
    }

    /// Rows of a table that follows the partition belong to the one their key's messages come by.
    fn check_partitions(&self, rows: &RecordBatch, keys: &[Box<[u8]>]) -> Result<(), TableError> {
        if !self.spec.follows_partition {
            return Ok(());
        }
        let first = self.spec.schema.fields().len() + 1;
        let (topics, numbers) =
            (rows.column(first).as_string::<i32>(), rows.column(first + 1).as_primitive::<Int32Type>());
        for (row, key) in keys.iter().enumerate() {
            let Some(Given { partition: Some((topic, number)), .. }) = self.given.get(key) else { continue };
            // NULL: written before the table followed the partition.
            if topics.is_null(row) || numbers.is_null(row) {
                continue;
            }
            let known = (topics.value(row), numbers.value(row));
            if known != (&**topic, *number) {
                let shown = self.key.of_table(rows).map_or_else(|_| "?".into(), |keys| keys.text(row));
                return Err(moved(&self.spec, &shown, Some(known), Some((&**topic, *number))));
            }
        }
        Ok(())
    }

    /// What is to be written, the layer of the new rows, and how many rows had no key.
    fn stage(
        &self,
        rows: &[RecordBatch],
        message_time_ms: Option<i64>,
    ) -> Result<(StateChange, Layer, usize), TableError> {
        let spec = &self.spec;
        let failed = |error: ArrowError| arrow_error(spec, &error);
        let (rows, deleted) = self.computed(rows).map_err(failed)?;
        let keys = self.key.of_table(&rows).map_err(failed)?;
        let mut layer = Layer::default();
        let (mut kept, mut given) = (Vec::<u32>::new(), Vec::new());
        for row in 0..keys.len() {
            let Some(key) = keys.get(row) else { continue };
            let Some(read) = self.given.get(key) else {
                return Err(not_given(spec, &keys.text(row)));
            };
            if layer.insert(key.into(), None).is_some() {
                return Err(twins(spec, &keys.text(row)));
            }
            kept.push(row as u32);
            given.push(read);
        }
        let null_keys = rows.num_rows() - kept.len();
        let is_deleted: Vec<bool> = kept.iter().map(|row| deleted.value(*row as usize)).collect();
        let kept = UInt32Array::from(kept);
        let columns = rows.columns().iter().map(|column| take(column, &kept, None));
        let columns: Vec<ArrayRef> = columns.collect::<Result<_, _>>().map_err(failed)?;
        let versions: ArrayRef =
            Arc::new(Int64Array::from_iter_values(given.iter().map(|given| next_version(given.version))));
        let partitions = self.partition_arrays(&given);

        let held_columns = columns.iter().chain([&versions]).chain(&partitions).cloned().collect();
        let held = RecordBatch::try_new(Arc::clone(&self.held_schema), held_columns).map_err(failed)?;
        let encoded = self.held.encode(&held).map_err(failed)?;
        let kept_keys = self.key.of_table(&held).map_err(failed)?;
        for row in (0..is_deleted.len()).filter(|row| !is_deleted[*row]) {
            if let Some(staged) = kept_keys.get(row).and_then(|key| layer.get_mut(key)) {
                *staged = Some(encoded.row(row).data().into());
            }
        }

        let mut written = columns;
        if spec.deletes {
            written.push(Arc::new(BooleanArray::from(is_deleted)));
        }
        written.push(versions);
        let times = TimestampMillisecondArray::from(vec![message_time_ms; given.len()]).with_timezone("UTC");
        written.push(Arc::new(times));
        written.extend(partitions);
        let new_keys = given.iter().map(|given| Some(given.version.is_none())).collect();
        let rows = RecordBatch::try_new(spec.rows_schema(), written).map_err(failed)?;
        let read = if spec.follows_partition { None } else { Some(self.read().map_err(failed)?) };
        Ok((StateChange { rows, new_keys, read }, layer, null_keys))
    }

    /// The rows of the view in the types of the table, and which of them say that the row is deleted.
    fn computed(&self, rows: &[RecordBatch]) -> Result<(RecordBatch, BooleanArray), ArrowError> {
        let schema = rows.first().map_or_else(|| Arc::clone(&self.spec.schema), RecordBatch::schema);
        let all = concat_batches(&schema, rows)?;
        let deleted = match all.column_by_name(DELETE_COLUMN) {
            Some(column) => {
                let column = cast(column, &DataType::Boolean)?;
                let column = column.as_boolean();
                (0..all.num_rows()).map(|row| Some(column.is_valid(row) && column.value(row))).collect()
            }
            None => BooleanArray::from(vec![false; all.num_rows()]),
        };
        Ok((as_planned(&all, &self.spec.schema)?, deleted))
    }

    fn partition_arrays(&self, given: &[&Given]) -> Vec<ArrayRef> {
        if !self.spec.follows_partition {
            return Vec::new();
        }
        let partition = |given: &&Given| given.partition.clone();
        let topics = given.iter().map(|given| partition(given).map(|(topic, _)| topic.to_string()));
        let numbers = given.iter().map(|given| partition(given).map(|(_, number)| number));
        vec![
            Arc::new(topics.collect::<StringArray>()) as ArrayRef,
            Arc::new(numbers.collect::<Int32Array>()) as ArrayRef,
        ]
    }

    /// What the batch was given: keys in their order, and the versions.
    fn read(&self) -> Result<RecordBatch, ArrowError> {
        let mut given: Vec<_> = self.given.iter().collect();
        given.sort_unstable_by_key(|(key, _)| *key);
        let mut columns = self.key.columns_of(given.iter().map(|(key, _)| &***key))?;
        let versions = given.iter().map(|(_, given)| given.version);
        columns.push(Arc::new(versions.collect::<Int64Array>()));
        let mut fields: Vec<Field> =
            self.key.fields(&self.spec.schema).iter().map(|field| Field::clone(field)).collect();
        fields.push(Field::new(VERSION_COLUMN, DataType::Int64, true));
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
    }
}

/// A new row starts anywhere, so that one that was deleted and made again is not taken for the same.
fn next_version(version: Option<i64>) -> i64 {
    match version {
        Some(version) => version.wrapping_add(1),
        None => fastrand::i64(1..i64::MAX / 2),
    }
}

/// The partitions that keys come with.
struct Partitions {
    topics: StringArray,
    numbers: Int32Array,
}

impl Partitions {
    fn of(keys: &RecordBatch, spec: &StateTableSpec) -> Result<Option<Self>, TableError> {
        if !spec.follows_partition {
            return Ok(None);
        }
        let width = spec.key.len();
        let failed = |error: ArrowError| arrow_error(spec, &error);
        let topics = cast(keys.column(width), &DataType::Utf8).map_err(failed)?;
        let numbers = cast(keys.column(width + 1), &DataType::Int32).map_err(failed)?;
        let numbers = numbers.as_primitive::<Int32Type>().clone();
        Ok(Some(Self { topics: topics.as_string::<i32>().clone(), numbers }))
    }

    fn get(&self, row: usize) -> (&str, i32) {
        (self.topics.value(row), self.numbers.value(row))
    }
}

fn key_columns(keys: &RecordBatch, spec: &StateTableSpec) -> Result<RecordBatch, TableError> {
    let columns: Vec<usize> = (0..spec.key.len()).collect();
    keys.project(&columns).map_err(|error| arrow_error(spec, &error))
}

/// Columns of these names in these types; a value that a type cannot hold is an error.
fn as_planned(rows: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let options = CastOptions { safe: false, ..CastOptions::default() };
    let columns = schema.fields().iter().map(|field| {
        let column = rows.column_by_name(field.name()).ok_or_else(|| {
            ArrowError::InvalidArgumentError(format!("there is no column `{}`", field.name()))
        })?;
        if column.data_type() == field.data_type() {
            return Ok(Arc::clone(column));
        }
        cast_with_options(column, field.data_type(), &options)
    });
    RecordBatch::try_new(Arc::clone(schema), columns.collect::<Result<_, _>>()?)
}
