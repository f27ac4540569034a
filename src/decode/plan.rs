//! Schema resolution, done once for each writer: what has to be done with a payload so that it reads as the
//! reader's plain schema (see `shape`) has it.
//!
//! Where the writer's bytes are the reader's bytes, the plan is a single [`ValueStep::Copy`], and payloads go on as they
//! are. The rules are the specification's
//! (<https://avro.apache.org/docs/1.12.0/specification/#schema-resolution>), with three decisions where it leaves
//! room: outside of unions the names of records, enums and fixeds need not agree; a reader's union takes an
//! exact match before a promotion; and two different logical types never resolve, since the number of one would be
//! misread as the other.

use std::cell::{Cell, OnceCell};
use std::collections::HashMap;
use std::sync::{Arc, Weak};

use super::check::{
    Bad, DAY_MICROS, DAY_MILLIS, DECIMAL128_DIGITS_MAX, Dropped, FieldOp, ItemSize, Items, Op,
};
use super::rewrite;
use super::shape::DECIMAL_FIXED_BYTES_MAX;
use crate::avro::{
    Enumeration, Field, Kind, Logical, Record, Schema, SchemaError, TypeId, UnionForm, encode_default,
    path_of, write_long,
};
use crate::diagnostic::Finding;

/// What is done with one value of the writer.
#[derive(Clone, Debug)]
pub(super) enum ValueStep {
    /// Check it, and take its bytes as they are.
    Copy(Op),
    IntToFloat,
    IntToDouble,
    LongToFloat,
    LongToDouble,
    FloatToDouble,
    /// The writer's symbols as indices of the reader's, and their names for those it does not have.
    Enum(Box<[Result<u32, Box<str>>]>),
    Array(Box<ItemStep>),
    Map(Box<ItemStep>),
    Record(Box<RecordStep>),
    /// One step a branch of the writer, or the type that the reader has no place for.
    Union(Box<[Result<ValueStep, Box<str>>]>),
    /// The value becomes a branch of the reader's union: bytes before and after it.
    Wrap {
        prefix: Box<[u8]>,
        step: Box<ValueStep>,
        suffix: Box<[u8]>,
    },
}

#[derive(Clone, Debug)]
pub(super) struct ItemStep {
    pub(super) step: ValueStep,
    pub(super) size: ItemSize,
}

#[derive(Clone, Debug)]
pub(super) struct RecordStep {
    /// The writer's fields in the writer's order, with defaults in between.
    pub(super) parts: Box<[Part]>,
    /// If the reader's order differs: which part comes at each of its places.
    pub(super) order: Option<Box<[usize]>>,
}

#[derive(Clone, Debug)]
pub(super) enum Part {
    Field {
        name: Box<str>,
        step: ValueStep,
    },
    /// A field that the reader does not have.
    Dropped(FieldOp),
    /// A field that the writer does not have: the encoded default.
    Default(Box<[u8]>),
}

/// The plan from a writer's schema to the reader's.
pub(super) fn plan(writer: &Schema, reader: &Schema) -> Result<ValueStep, SchemaError> {
    reader.check_finite()?;
    let (steps, records) = (Cell::new(0), OnceCell::new());
    let planner = Planner { writer, reader, steps: &steps, records: &records };
    let planned = planner.step(writer.root(), reader.root());
    // Why again: a union takes a branch that was not compared for one that cannot be read.
    planner.check_steps().and(planned).map_err(|mismatch| {
        let context = format!("{} cannot be read as {} has it", writer.file(), reader.file());
        SchemaError::new(reader.file(), &mismatch.path, mismatch.found.within(context))
    })
}

/// How many pairs of types are compared. The writer's types may contain themselves, and each branch of a union may be read as
/// each of another.
const STEPS_MAX: usize = 200_000;
/// What is wrong with a default.
const NOT_OF_TYPE: &str = "its default is not of its type";

/// Why a writer's type cannot be read as a reader's.
#[derive(Debug)]
struct Mismatch {
    path: String,
    found: Finding,
}

type Planned<T> = Result<T, Mismatch>;

impl Mismatch {
    fn new(found: impl Into<Finding>) -> Self {
        Self { path: String::new(), found: found.into() }
    }

    fn inside(mut self, name: &str) -> Self {
        self.path = path_of(name, &self.path);
        self
    }
}

struct Planner<'a> {
    writer: &'a Schema,
    reader: &'a Schema,
    /// How many pairs of types were compared, and values dropped.
    steps: &'a Cell<usize>,
    /// All records of the writer, once a value of types that contain themselves is dropped.
    records: &'a OnceCell<Records>,
}

impl Planner<'_> {
    fn check_steps(&self) -> Planned<()> {
        match self.steps.get() {
            0..=STEPS_MAX => Ok(()),
            _ => Err(Mismatch::new(format!("more than {STEPS_MAX} pairs of types are to be compared"))),
        }
    }

    fn step(&self, w: TypeId, r: TypeId) -> Planned<ValueStep> {
        self.steps.set(self.steps.get() + 1);
        self.check_steps()?;
        if let Kind::Union(branches) = self.writer.kind(w) {
            return self.step_of_union(branches, r);
        }
        if let Kind::Union(branches) = self.reader.kind(r) {
            return self.step_to_union(w, branches);
        }
        self.check_logical(w, r)?;
        let (writer, reader) = (self.writer.get(w), self.reader.get(r));
        let logical = reader.logical;
        Ok(match (&writer.kind, &reader.kind) {
            // A null that is no branch of a union is one in the plain schema, with an index.
            (Kind::Null, Kind::Null) => wrapped(vec![0], ValueStep::Copy(Op::Null), Vec::new()),
            (Kind::Boolean, Kind::Boolean) => ValueStep::Copy(Op::Boolean),
            (Kind::Int, Kind::Int | Kind::Long) => ValueStep::Copy(match logical {
                Some(Logical::TimeMillis) => Op::Time { is_int: true, day: DAY_MILLIS },
                Some(Logical::TimeMicros) => Op::Time { is_int: true, day: DAY_MICROS },
                // An int's bytes are those of the same long.
                _ => Op::Int,
            }),
            (Kind::Long, Kind::Long) => ValueStep::Copy(match logical {
                Some(Logical::TimeMicros) => Op::Time { is_int: false, day: DAY_MICROS },
                _ => Op::Long,
            }),
            (Kind::Int, Kind::Float) => ValueStep::IntToFloat,
            (Kind::Int, Kind::Double) => ValueStep::IntToDouble,
            (Kind::Long, Kind::Float) => ValueStep::LongToFloat,
            (Kind::Long, Kind::Double) => ValueStep::LongToDouble,
            (Kind::Float, Kind::Double) => ValueStep::FloatToDouble,
            (Kind::Float, Kind::Float) => ValueStep::Copy(Op::Skip(4)),
            (Kind::Double, Kind::Double) => ValueStep::Copy(Op::Skip(8)),
            (Kind::Bytes, Kind::Bytes) => ValueStep::Copy(match logical {
                Some(Logical::Decimal { precision, .. }) => Op::DecimalBytes { precision },
                _ => Op::Bytes,
            }),
            (Kind::String, Kind::Bytes) => ValueStep::Copy(Op::String),
            (Kind::String | Kind::Bytes, Kind::String) => ValueStep::Copy(match logical {
                Some(Logical::Uuid) => Op::Uuid,
                _ => Op::String,
            }),
            (Kind::Fixed(from), Kind::Fixed(to)) if from.size == to.size => fixed_step(to.size, logical),
            (Kind::Fixed(from), Kind::Fixed(to)) => {
                let reason = format!("a fixed of {} bytes is not one of {}", from.size, to.size);
                return Err(Mismatch::new(reason));
            }
            (Kind::Enum(from), Kind::Enum(to)) => enum_step(from, to),
            (Kind::Array(from), Kind::Array(to)) => {
                let step = self.step(*from, *to).map_err(|mismatch| mismatch.inside("[]"))?;
                let bytes_min = self.writer.bytes_min(*from);
                let size = ItemSize { bytes_min, width: column_width(self.reader, *to) };
                match step {
                    ValueStep::Copy(op) => ValueStep::Copy(Op::Array(Box::new(Items { op, size }))),
                    step => ValueStep::Array(Box::new(ItemStep { step, size })),
                }
            }
            (Kind::Map(from), Kind::Map(to)) => {
                let step = self.step(*from, *to).map_err(|mismatch| mismatch.inside("[]"))?;
                let bytes_min = map_bytes_min(self.writer, *from);
                let width = OFFSET_WIDTH + column_width(self.reader, *to);
                let size = ItemSize { bytes_min, width };
                match step {
                    ValueStep::Copy(op) => ValueStep::Copy(Op::Map(Box::new(Items { op, size }))),
                    step => ValueStep::Map(Box::new(ItemStep { step, size })),
                }
            }
            (Kind::Record(from), Kind::Record(to)) => self.record(from, to)?,
            (from, to) => {
                return Err(Mismatch::new(format!("{} is not {}", article(from.name()), article(to.name()))));
            }
        })
    }

    /// Two logical types must be the same; a plain type and a logical one on it are read as each other's numbers.
    fn check_logical(&self, w: TypeId, r: TypeId) -> Planned<()> {
        let (writer, reader) = (self.writer.get(w), self.reader.get(r));
        let agree = match (writer.logical, reader.logical) {
            (Some(Logical::Decimal { scale: from, .. }), Some(Logical::Decimal { scale: to, .. })) => {
                if from != to {
                    let reason = format!("a decimal of scale {from} is not one of scale {to}");
                    return Err(Mismatch::new(reason));
                }
                // The same bytes; each value is checked against the reader's precision.
                true
            }
            (Some(from), Some(to)) => from == to,
            // Decimals are numbers in bytes: no text, and text is no decimal.
            (Some(Logical::Decimal { .. }), None) => !matches!(reader.kind, Kind::String),
            (None, Some(Logical::Decimal { .. })) => !matches!(writer.kind, Kind::String),
            _ => true,
        };
        if agree {
            return Ok(());
        }
        let name = |logical: Option<Logical>, kind: &Kind| match logical {
            Some(logical) => format!("{} ({})", logical.name(), kind.name()),
            None => kind.name().to_owned(),
        };
        let (writer, reader) = (name(writer.logical, &writer.kind), name(reader.logical, &reader.kind));
        Err(Mismatch::new(
            Finding::new(format!("{writer} is not {reader}")).with_hint(
                "write the writer's logical type in this schema too, and convert the value in SQL",
            ),
        ))
    }

    fn record(&self, from: &Record, to: &Record) -> Planned<ValueStep> {
        // For each field of the reader, the writer's.
        let mut sources = Vec::with_capacity(to.fields.len());
        for field in &to.fields {
            let source = self.source(from, to, field);
            if let Some(twice) = source.and_then(|source| sources.iter().position(|s| *s == Some(source))) {
                let reason = format!(
                    "`{}` and `{}` are the same field of the writer",
                    to.fields[twice].name, field.name
                );
                return Err(Mismatch::new(reason).inside(&field.name));
            }
            sources.push(source);
        }
        let defaults = sources.iter().zip(&to.fields).map(|(source, field)| match source {
            Some(_) => Ok(None),
            None => self.default(field).map(Some).map_err(|mismatch| mismatch.inside(&field.name)),
        });
        let mut defaults = defaults.collect::<Planned<Vec<_>>>()?;
        let present: Vec<usize> = sources.iter().flatten().copied().collect();
        let in_order = present.is_sorted();
        let mut parts = Vec::with_capacity(from.fields.len() + to.fields.len());
        // For each field of the reader, its part.
        let mut places = vec![0; to.fields.len()];
        let mut next = 0;
        for (index, field) in from.fields.iter().enumerate() {
            let Some(target) = sources.iter().position(|source| *source == Some(index)) else {
                if self.writer.bytes_min(field.type_id) > 0 {
                    let op = self.dropped(field.type_id);
                    parts.push(Part::Dropped(FieldOp { name: field.name.as_str().into(), op }));
                }
                continue;
            };
            if in_order {
                // The defaults that stand before this field.
                for place in next..target {
                    places[place] = parts.len();
                    parts.extend(defaults[place].take().map(Part::Default));
                }
                next = target + 1;
            }
            let target_field = &to.fields[target];
            let step = self.step(field.type_id, target_field.type_id);
            let step = step.map_err(|mismatch| mismatch.inside(&target_field.name))?;
            places[target] = parts.len();
            parts.push(Part::Field { name: target_field.name.as_str().into(), step });
        }
        for (place, default) in defaults.iter_mut().enumerate() {
            if let Some(default) = default.take() {
                places[place] = parts.len();
                parts.push(Part::Default(default));
            }
        }
        let is_copy =
            in_order && parts.iter().all(|part| matches!(part, Part::Field { step: ValueStep::Copy(_), .. }));
        if is_copy {
            let fields = parts.into_iter().filter_map(|part| match part {
                Part::Field { name, step: ValueStep::Copy(op) } => Some(FieldOp { name, op }),
                _ => None,
            });
            return Ok(ValueStep::Copy(Op::Record(fields.collect())));
        }
        let order = (!in_order).then(|| places.into_boxed_slice());
        Ok(ValueStep::Record(Box::new(RecordStep { parts: parts.into(), order })))
    }

    /// The writer's field that a reader's field is: of the same name, or of one of its aliases that the reader does
    /// not use as a name itself.
    fn source(&self, from: &Record, to: &Record, field: &Field) -> Option<usize> {
        let find = |name: &str| from.fields.iter().position(|candidate| candidate.name == name);
        let is_taken = |alias: &str| to.fields.iter().any(|other| other.name == alias);
        find(&field.name)
            .or_else(|| field.aliases.iter().filter(|alias| !is_taken(alias)).find_map(|alias| find(alias)))
    }

    /// The default of a reader's field as the plain schema's bytes.
    fn default(&self, field: &Field) -> Planned<Box<[u8]>> {
        let Some(default) = &field.default else {
            return Err(Mismatch::new(
                Finding::new("the writer's schema has no such field, and it has no default")
                    .with_hint("give the field a \"default\", or the writer's name for it in \"aliases\""),
            ));
        };
        let mut bytes = Vec::new();
        encode_default(self.reader, field.type_id, default, &mut bytes)
            .map_err(|error| Mismatch::new(error.told().within(NOT_OF_TYPE)))?;
        let planner = Planner { writer: self.reader, ..*self };
        let step = planner.step(field.type_id, field.type_id)?;
        let plain = rewrite::rewrite_all(&step, &bytes)
            .map_err(|bad: Box<Bad>| Mismatch::new(bad.found().within(NOT_OF_TYPE)))?;
        Ok(plain.into())
    }

    /// The walk of a value that is dropped: by its encoding alone.
    fn dropped(&self, id: TypeId) -> Op {
        self.steps.set(self.steps.get() + 1);
        if self.writer.check_finite().is_ok() {
            return check_only(self.writer, id, &|_| None);
        }
        let Records { places, walks } = self.records.get_or_init(|| Records::of(self.writer));
        let again = |id: TypeId| Some(Op::DroppedRecord(Arc::downgrade(walks), *places.get(&id)?));
        Op::Dropped(Arc::clone(walks), Box::new(check_only(self.writer, id, &again)))
    }

    fn step_of_union(&self, branches: &[TypeId], r: TypeId) -> Planned<ValueStep> {
        let mut steps = Vec::with_capacity(branches.len());
        let mut mismatches = Vec::new();
        let names = self.writer.branch_names(branches);
        for (branch, name) in branches.iter().zip(names) {
            match self.step(*branch, r) {
                Ok(step) => steps.push(Ok(step)),
                Err(mismatch) => {
                    steps.push(Err(name.into_boxed_str()));
                    mismatches.push((*branch, mismatch));
                }
            }
        }
        // Why: null alone resolves into every nullable field, which would make each message with a value bad.
        let is_null = |branch: &TypeId| matches!(self.writer.kind(*branch), Kind::Null);
        let values = branches.iter().filter(|branch| !is_null(branch)).count();
        mismatches.retain(|(branch, _)| !is_null(branch));
        if (values > 0 && mismatches.len() == values) || steps.iter().all(Result::is_err) {
            return Err(match mismatches.into_iter().next() {
                Some((_, first)) => first,
                None => Mismatch::new("null is not a value of the reader's type"),
            });
        }
        Ok(self.plain_union(branches, r, &steps).unwrap_or_else(|| ValueStep::Union(steps.into())))
    }

    /// The check of a writer's union whose bytes are the reader's: null and one type, in the same order.
    fn plain_union(
        &self,
        branches: &[TypeId],
        r: TypeId,
        steps: &[Result<ValueStep, Box<str>>],
    ) -> Option<ValueStep> {
        let Kind::Union(targets) = self.reader.kind(r) else { return None };
        let form = |schema: &Schema, branches: &[TypeId]| match schema.union_form(branches) {
            UnionForm::Nullable { null, .. } => Some(null),
            _ => None,
        };
        if form(self.writer, branches)? != form(self.reader, targets)? {
            return None;
        }
        let ops = steps.iter().enumerate().map(|(index, step)| match step {
            Ok(ValueStep::Wrap { prefix, step, suffix }) if suffix.is_empty() && **prefix == *long(index) => {
                match &**step {
                    ValueStep::Copy(op) => Some(op.clone()),
                    _ => None,
                }
            }
            _ => None,
        });
        Some(ValueStep::Copy(Op::Union(ops.collect::<Option<_>>()?)))
    }

    /// A value that is no union becomes the branch of the reader's union that matches it: exactly, by name, or
    /// else the first that it can be promoted to.
    fn step_to_union(&self, w: TypeId, branches: &[TypeId]) -> Planned<ValueStep> {
        let same_type = |r: TypeId| match (self.writer.name(w), self.reader.name(r)) {
            (Some(from), Some(to)) => from.full == to.full || to.aliases.contains(&from.full),
            (None, None) => self.writer.kind(w).name() == self.reader.kind(r).name(),
            _ => false,
        };
        let same_short = |r: TypeId| match (self.writer.name(w), self.reader.name(r)) {
            (Some(from), Some(to)) => {
                self.writer.kind(w).name() == self.reader.kind(r).name() && from.short() == to.short()
            }
            _ => false,
        };
        let mut first_mismatch = None;
        let mut tried = vec![false; branches.len()];
        let tests: [&dyn Fn(TypeId) -> bool; 3] = [&same_type, &same_short, &|_| true];
        for test in tests {
            for (index, branch) in branches.iter().enumerate() {
                if tried[index] || !test(*branch) {
                    continue;
                }
                tried[index] = true;
                match self.step(w, *branch) {
                    Ok(step) => return Ok(wrap(self.reader, branches, index, step)),
                    Err(mismatch) => first_mismatch = first_mismatch.or(Some(mismatch)),
                }
            }
        }
        if branches.len() > 2 {
            let names = self.reader.branch_names(branches).join(", ");
            let found = article(self.writer.kind(w).name());
            return Err(Mismatch::new(format!("{found} is none of the union's {names}")));
        }
        Err(first_mismatch.unwrap_or_else(|| Mismatch::new("the reader's union has no such type")))
    }
}

/// A value as branch `index` of a reader's union, in the plain schema's bytes.
fn wrap(reader: &Schema, branches: &[TypeId], index: usize, step: ValueStep) -> ValueStep {
    let (prefix, suffix) = match reader.union_form(branches) {
        UnionForm::Single(_) => return step,
        UnionForm::Nullable { .. } => (long(index), Vec::new()),
        UnionForm::General { has_null, members } => {
            // A record of one nullable field a member, null first, itself nullable where the union has null.
            match members.iter().position(|member| *member == index) {
                None => (vec![0], Vec::new()),
                Some(place) => {
                    let mut prefix = if has_null { long(1) } else { Vec::new() };
                    prefix.extend(std::iter::repeat_n(0, place));
                    prefix.extend(long(1));
                    (prefix, vec![0; members.len() - place - 1])
                }
            }
        }
    };
    match reader.kind(branches[index]) {
        Kind::Null => wrapped(prefix, ValueStep::Copy(Op::Null), suffix),
        _ => wrapped(prefix, step, suffix),
    }
}

fn wrapped(prefix: Vec<u8>, step: ValueStep, suffix: Vec<u8>) -> ValueStep {
    ValueStep::Wrap { prefix: prefix.into(), step: Box::new(step), suffix: suffix.into() }
}

fn long(value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_long(value as i64, &mut bytes);
    bytes
}

fn fixed_step(size: usize, logical: Option<Logical>) -> ValueStep {
    match logical {
        Some(Logical::Decimal { precision, .. }) => {
            let step = ValueStep::Copy(Op::DecimalFixed { precision, size });
            if size > DECIMAL_FIXED_BYTES_MAX { wrapped(long(size), step, Vec::new()) } else { step }
        }
        Some(Logical::Duration) => ValueStep::Copy(Op::Duration),
        _ => ValueStep::Copy(Op::Skip(size)),
    }
}

fn enum_step(from: &Enumeration, to: &Enumeration) -> ValueStep {
    let places: HashMap<&String, usize> = to.symbols.iter().zip(0..).collect();
    let find = |symbol: &String| places.get(symbol).copied();
    let default = to.default.as_ref().and_then(find);
    let indices: Box<[_]> = from
        .symbols
        .iter()
        .map(|symbol| {
            let index = find(symbol).or(default).map(|index| index as u32);
            index.ok_or_else(|| symbol.as_str().into())
        })
        .collect();
    if indices.iter().enumerate().all(|(index, target)| *target == Ok(index as u32)) {
        return ValueStep::Copy(Op::Enum { symbols: indices.len() as u32 });
    }
    ValueStep::Enum(indices)
}

/// All records of a schema whose types contain themselves, and their places: written out, such types have no end.
struct Records {
    places: HashMap<TypeId, usize>,
    walks: Arc<Dropped>,
}

impl Records {
    fn of(writer: &Schema) -> Self {
        let ids: Vec<TypeId> =
            writer.ids().filter(|id| matches!(writer.kind(*id), Kind::Record(_))).collect();
        let places: HashMap<TypeId, usize> = ids.iter().enumerate().map(|(place, id)| (*id, place)).collect();
        let walks = Arc::new_cyclic(|walks| {
            let again = |id: TypeId| Some(Op::DroppedRecord(Weak::clone(walks), *places.get(&id)?));
            let body = |id: &TypeId| match writer.kind(*id) {
                Kind::Record(record) => check_record(writer, record, &again),
                _ => Op::Null,
            };
            Dropped { records: ids.iter().map(body).collect() }
        });
        Self { places, walks }
    }
}

/// `again`: what walks a record instead of its fields.
fn check_only(writer: &Schema, id: TypeId, again: &dyn Fn(TypeId) -> Option<Op>) -> Op {
    let items = |item: TypeId, bytes_min| {
        let size = ItemSize { bytes_min, width: 0 };
        Box::new(Items { op: check_only(writer, item, again), size })
    };
    match writer.kind(id) {
        Kind::Null => Op::Null,
        Kind::Boolean => Op::Boolean,
        Kind::Int => Op::Int,
        Kind::Long => Op::Long,
        Kind::Float => Op::Skip(4),
        Kind::Double => Op::Skip(8),
        Kind::Bytes => Op::Bytes,
        Kind::String => Op::String,
        Kind::Fixed(fixed) => Op::Skip(fixed.size),
        Kind::Enum(enumeration) => Op::Enum { symbols: enumeration.symbols.len() as u32 },
        Kind::Array(item) => Op::Array(items(*item, writer.bytes_min(*item))),
        Kind::Map(value) => Op::Map(items(*value, map_bytes_min(writer, *value))),
        Kind::Record(record) => again(id).unwrap_or_else(|| check_record(writer, record, again)),
        Kind::Union(branches) => {
            Op::Union(branches.iter().map(|branch| check_only(writer, *branch, again)).collect())
        }
    }
}

/// Fields that take no bytes are left out: there may be as many as types, in each of many items.
fn check_record(writer: &Schema, record: &Record, again: &dyn Fn(TypeId) -> Option<Op>) -> Op {
    let fields = record.fields.iter().filter(|field| writer.bytes_min(field.type_id) > 0);
    let fields = fields.map(|field| FieldOp {
        name: field.name.as_str().into(),
        op: check_only(writer, field.type_id, again),
    });
    Op::Record(fields.collect())
}

/// Where a value of any length starts, in a column.
const OFFSET_WIDTH: usize = 4;

/// What a value takes in columns besides its own bytes: numbers, offsets, and all that a null takes as well.
pub(super) fn column_width(reader: &Schema, id: TypeId) -> usize {
    const UUID_TEXT_BYTES: usize = 36;
    let ty = reader.get(id);
    match (&ty.kind, ty.logical) {
        (Kind::Null | Kind::Boolean, _) => 1,
        (Kind::Int | Kind::Float, _) => 4,
        (Kind::Long | Kind::Double, _) => 8,
        (Kind::Bytes | Kind::Fixed(_), Some(Logical::Decimal { precision, .. })) => {
            if precision > DECIMAL128_DIGITS_MAX { 32 } else { 16 }
        }
        (Kind::Fixed(_), Some(Logical::Uuid)) => OFFSET_WIDTH + UUID_TEXT_BYTES,
        (Kind::Fixed(_), Some(Logical::Duration)) => 16,
        (Kind::Fixed(fixed), _) => fixed.size,
        (Kind::Bytes | Kind::String | Kind::Array(_) | Kind::Map(_), _) => OFFSET_WIDTH,
        (Kind::Enum(enumeration), _) => {
            let longest = enumeration.symbols.iter().map(String::len).max().unwrap_or(0);
            2 * OFFSET_WIDTH + longest
        }
        (Kind::Record(record), _) => {
            sum(record.fields.iter().map(|field| column_width(reader, field.type_id)))
        }
        (Kind::Union(branches), _) => sum(branches.iter().map(|branch| column_width(reader, *branch))),
    }
}

fn sum(widths: impl Iterator<Item = usize>) -> usize {
    widths.fold(0, usize::saturating_add)
}

/// A map's entry has a key, whose length takes a byte at least.
fn map_bytes_min(schema: &Schema, value: TypeId) -> usize {
    schema.bytes_min(value).saturating_add(1)
}

fn article(word: &str) -> String {
    let article = if word.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("{article} {word}")
}
