//! JSON written as Avro, for `produce`: every value is carried exactly or refused with the field it is in, what
//! was found and what was expected.
//!
//! Values are written as `consume` prints them and as people type them: bytes and fixed as base64, decimals as
//! numbers or text, dates and times as text or in Avro's own units, enums by name. A union takes the first branch
//! that fits, or the one that is named, `{"string": "x"}`. Numbers are read as they are written, to the last digit.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::path::Path;

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::defaults::{LENGTH_MAX, Open};
use super::field_error::FieldError;
use super::frame::Frame;
use super::json::{Map, Value};
use super::schema::{Field, Kind, Logical, Record, Schema, SchemaError, TypeId, UnionForm};
use super::text::{self, NotDecimal};
use super::wire::{write_bytes, write_long};
use crate::config::AvroConfig;
use crate::diagnostic::beginning;
use crate::nearest::{did_you_mean, nearest};

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
/// How much of a value an error repeats, in characters.
const SHOWN_CHARACTERS_MAX: usize = 60;

/// Writes JSON as Avro of one schema, in one framing.
#[derive(Clone, Debug)]
pub struct Encoder {
    schema: Schema,
    header: Vec<u8>,
    defaults: EncodedDefaults,
}

/// The encoded default of each field that has one, by the record's type.
type EncodedDefaults = HashMap<TypeId, Vec<Option<Vec<u8>>>>;

impl Encoder {
    /// An encoder for a schema file.
    ///
    /// # Errors
    /// The file is not a usable schema of a record, or a default in it is not of its field's type.
    pub fn new(schema_file: &Path, frame: Frame) -> Result<Self, SchemaError> {
        Self::with_schema(Schema::read(schema_file)?, frame)
    }

    /// An encoder whose messages a job of this configuration reads; see [`Frame::for_writing`].
    pub fn for_config(config: &AvroConfig) -> Result<Self, SchemaError> {
        let (schema, frame) = Frame::for_writing(config)?;
        Self::with_schema(schema, frame)
    }

    /// An encoder for a schema that was read before.
    pub fn with_schema(schema: Schema, frame: Frame) -> Result<Self, SchemaError> {
        schema.root_record()?;
        Self::of_values(schema, frame)
    }

    /// The same for values of any type: an object is written if the schema is a record's.
    pub fn of_values(schema: Schema, frame: Frame) -> Result<Self, SchemaError> {
        let mut defaults = HashMap::new();
        collect_defaults(&schema, schema.root(), &mut defaults)?;
        let header = frame.header(&schema);
        Ok(Self { schema, header, defaults })
    }

    /// The schema that is written.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// The names of the record's fields, in order.
    pub fn field_names(&self) -> impl Iterator<Item = &str> {
        let fields = match self.schema.kind(self.schema.root()) {
            Kind::Record(record) => record.fields.as_slice(),
            _ => &[],
        };
        fields.iter().map(|field| field.name.as_str())
    }

    /// The same for a record that was made, not read.
    ///
    /// # Errors
    /// As [`Encoder::encode_exact`].
    pub fn encode(&self, record: &serde_json::Value, out: &mut Vec<u8>) -> Result<(), FieldError> {
        self.encode_exact(&Value::from(record), out)
    }

    /// Appends one framed payload to `out`, which is as it was after an error.
    ///
    /// # Errors
    /// A value does not fit the schema; the error says which, and why.
    pub fn encode_exact(&self, record: &Value, out: &mut Vec<u8>) -> Result<(), FieldError> {
        let start = out.len();
        out.extend_from_slice(&self.header);
        let writer = Writer::new(&self.schema, Values::Given(&self.defaults));
        writer.value(self.schema.root(), record, out).inspect_err(|_| out.truncate(start))
    }
}

/// Appends a field's default, written as a schema writes it: bytes as text of one character a byte, logical types
/// as what they stand on.
pub(crate) fn encode_default(
    schema: &Schema,
    id: TypeId,
    default: &serde_json::Value,
    out: &mut Vec<u8>,
) -> Result<(), FieldError> {
    let left = Cell::new(LENGTH_MAX);
    let writer = Writer::new(schema, Values::Default(Open::new(default, &left)));
    writer.value(id, &Value::from(default), out)
}

fn collect_defaults(schema: &Schema, id: TypeId, defaults: &mut EncodedDefaults) -> Result<(), SchemaError> {
    match schema.kind(id) {
        Kind::Array(child) | Kind::Map(child) => collect_defaults(schema, *child, defaults),
        Kind::Union(branches) => {
            branches.iter().try_for_each(|branch| collect_defaults(schema, *branch, defaults))
        }
        Kind::Record(record) if !defaults.contains_key(&id) => {
            let mut encoded = Vec::with_capacity(record.fields.len());
            for field in &record.fields {
                let bytes = field.default.as_ref().map(|default| {
                    let mut bytes = Vec::new();
                    encode_default(schema, field.type_id, default, &mut bytes).map(|()| bytes)
                });
                encoded
                    .push(bytes.transpose().map_err(|error| default_error(schema, record, field, &error))?);
            }
            defaults.insert(id, encoded);
            record.fields.iter().try_for_each(|field| collect_defaults(schema, field.type_id, defaults))
        }
        _ => Ok(()),
    }
}

/// A default that is not of its field's type.
pub(crate) fn default_error(
    schema: &Schema,
    record: &Record,
    field: &Field,
    error: &FieldError,
) -> SchemaError {
    let found = error.told().within(format!("the default of `{}` in `{}`", field.name, record.name.full));
    SchemaError::new(schema.file(), "", found)
}

/// Writes one value.
struct Writer<'a> {
    schema: &'a Schema,
    values: Values<'a>,
    /// Why parts of the value are no record of a type. Unions in each other would find out about each part again and again.
    misfits: RefCell<HashMap<(TypeId, *const Value), FieldError>>,
}

/// What the values are that are written.
enum Values<'a> {
    /// Those of a record, which may leave out fields that have defaults.
    Given(&'a EncodedDefaults),
    /// Those of a default, by the rules for defaults.
    Default(Open<'a>),
}

type Written = Result<(), FieldError>;

impl<'a> Writer<'a> {
    fn new(schema: &'a Schema, values: Values<'a>) -> Self {
        Self { schema, values, misfits: RefCell::default() }
    }

    fn is_given(&self) -> bool {
        matches!(self.values, Values::Given(_))
    }

    fn value(&self, id: TypeId, json: &Value, out: &mut Vec<u8>) -> Written {
        let ty = self.schema.get(id);
        let wrong = |expected: &str| Err(FieldError::new(shown(json), expected));
        // A default is written as the base of its logical type.
        let logical = if self.is_given() { ty.logical } else { None };
        match &ty.kind {
            Kind::Null if json.is_null() => {}
            Kind::Null => return wrong("null"),
            Kind::Boolean => match json.as_bool() {
                Some(value) => out.push(u8::from(value)),
                None => return wrong("true or false"),
            },
            Kind::Int => write_long(int32(json, logical)?.into(), out),
            Kind::Long => write_long(int(json, logical)?, out),
            Kind::Float => match (float(json), json) {
                (Some(value), _) => out.extend_from_slice(&(value as f32).to_le_bytes()),
                // Why: not by way of a double, which would round twice.
                (None, Value::Number(number)) => match number.as_f32().filter(|value| value.is_finite()) {
                    Some(value) => out.extend_from_slice(&value.to_le_bytes()),
                    None => return wrong("a float, up to 3.4e38"),
                },
                _ => return wrong("a number"),
            },
            Kind::Double => match (float(json), json) {
                (Some(value), _) => out.extend_from_slice(&value.to_le_bytes()),
                (None, Value::Number(number)) => match number.as_f64().filter(|value| value.is_finite()) {
                    Some(value) => out.extend_from_slice(&value.to_le_bytes()),
                    None => return wrong("a double, up to 1.8e308"),
                },
                _ => return wrong("a number"),
            },
            Kind::Bytes => match logical {
                Some(Logical::Decimal { precision, scale }) => {
                    write_bytes(&decimal(json, precision, scale)?, out);
                }
                _ => write_bytes(&self.bytes(json)?, out),
            },
            Kind::Fixed(fixed) => self.fixed(json, logical, fixed.size, out)?,
            Kind::String => {
                let Some(text) = json.as_str() else { return wrong("a string") };
                if logical == Some(Logical::Uuid) && text::uuid(text.as_bytes()).is_none() {
                    return wrong(UUID_EXPECTED);
                }
                write_bytes(text.as_bytes(), out);
            }
            Kind::Enum(enumeration) => {
                let symbols = &enumeration.symbols;
                let Some(text) = json.as_str() else {
                    return wrong(&format!("one of {}", list(symbols)));
                };
                let Some(index) = symbols.iter().position(|symbol| symbol == text) else {
                    let error = FieldError::new(shown(json), format!("one of {}", list(symbols)));
                    return Err(with_nearest(error, text, symbols.iter().map(String::as_str)));
                };
                write_long(index as i64, out);
            }
            Kind::Array(item) => {
                let Value::Array(items) = json else { return wrong("an array") };
                if !items.is_empty() {
                    write_long(items.len() as i64, out);
                }
                for (index, value) in items.iter().enumerate() {
                    self.value(*item, value, out).map_err(|error| error.at(index))?;
                }
                out.push(0);
            }
            Kind::Map(value_type) => {
                let Value::Object(entries) = json else { return wrong("an object") };
                if !entries.is_empty() {
                    write_long(entries.len() as i64, out);
                }
                for (key, value) in entries.iter() {
                    write_bytes(key.as_bytes(), out);
                    self.value(*value_type, value, out)
                        .map_err(|error| error.at(serde_json::Value::from(key)))?;
                }
                out.push(0);
            }
            Kind::Record(record) => {
                let Value::Object(entries) = json else {
                    return wrong(&format!("an object with the fields of `{}`", record.name.short()));
                };
                self.record(id, record, entries, out)?;
            }
            Kind::Union(branches) => self.union(branches, json, out)?,
        }
        Ok(())
    }

    fn record(&self, id: TypeId, record: &Record, entries: &Map, out: &mut Vec<u8>) -> Written {
        let mut known = 0;
        for (index, field) in record.fields.iter().enumerate() {
            if let Some(value) = entries.get(&field.name, index) {
                known += 1;
                self.value(field.type_id, value, out).map_err(|error| error.in_field(&field.name))?;
                continue;
            }
            if self.write_default(id, index, field, out).map_err(|error| error.in_field(&field.name))? {
                continue;
            }
            let error =
                FieldError::new("nothing", "a value, as the schema has no default").in_field(&field.name);
            let unknown = entries.keys().find(|key| !record.fields.iter().any(|f| f.name == *key));
            return Err(match unknown {
                Some(unknown) if nearest(&field.name, [unknown]).is_some() => {
                    error.hint(format!("is `{unknown}` meant to be `{}`?", field.name))
                }
                _ => error,
            });
        }
        if known == entries.len() {
            return Ok(());
        }
        let names = || record.fields.iter().map(|field| field.name.as_str());
        match entries.keys().find(|key| names().all(|name| name != *key)) {
            None => Ok(()),
            Some(unknown) => {
                let expected = format!("one of the fields of `{}`", record.name.short());
                let error = FieldError::new("a field the schema does not have", expected).in_field(unknown);
                Err(with_nearest(error, unknown, names()))
            }
        }
    }

    /// Appends the default of a field that is left out; false if it has none.
    fn write_default(
        &self,
        record: TypeId,
        index: usize,
        field: &Field,
        out: &mut Vec<u8>,
    ) -> Result<bool, FieldError> {
        match &self.values {
            Values::Given(defaults) => {
                let encoded = defaults.get(&record).and_then(|encoded| encoded.get(index)?.as_deref());
                out.extend_from_slice(encoded.unwrap_or_default());
                Ok(encoded.is_some())
            }
            Values::Default(open) => {
                let Some(default) = &field.default else { return Ok(false) };
                let writer = Writer::new(self.schema, Values::Default(open.inner(default)?));
                writer.value(field.type_id, &Value::from(default), out).map(|()| true)
            }
        }
    }

    fn union(&self, branches: &[TypeId], json: &Value, out: &mut Vec<u8>) -> Written {
        let start = out.len();
        // Why: `consume` prints the value of a union of null and one type without its name, and a map or a record may have
        // an entry of that name.
        let is_named = matches!(self.schema.union_form(branches), UnionForm::General { .. });
        let unnamed = if is_named { None } else { Some(self.first_branch(branches, json, out)) };
        if let Some(Ok(())) = unnamed {
            return Ok(());
        }
        if let Some((index, value)) = self.tagged(branches, json) {
            write_long(index as i64, out);
            match self.branch(branches[index], value, out) {
                Ok(()) => return Ok(()),
                Err(_) => out.truncate(start),
            }
        }
        unnamed.unwrap_or_else(|| self.first_branch(branches, json, out))
    }

    /// The first branch that the value fits; `out` is as it was after an error.
    fn first_branch(&self, branches: &[TypeId], json: &Value, out: &mut Vec<u8>) -> Written {
        let start = out.len();
        let mut errors = Vec::new();
        for (index, branch) in branches.iter().enumerate() {
            write_long(index as i64, out);
            match self.branch(*branch, json, out) {
                Ok(()) => return Ok(()),
                Err(error) => errors.push((*branch, error)),
            }
            out.truncate(start);
        }
        // With one branch besides null the fault is in that one; its message knows more.
        errors.retain(|(branch, _)| !matches!(self.schema.kind(*branch), Kind::Null));
        match <[_; 1]>::try_from(errors) {
            Ok([(_, mut error)]) => {
                if error.path.is_empty() && branches.len() > 1 {
                    error.expected.push_str(", or null");
                }
                Err(error)
            }
            Err(_) => {
                let expected = format!("one of {}", list(&self.schema.branch_names(branches)));
                Err(FieldError::new(shown(json), expected))
            }
        }
    }

    /// The value as a branch of a union.
    fn branch(&self, id: TypeId, json: &Value, out: &mut Vec<u8>) -> Written {
        if !matches!(self.schema.kind(id), Kind::Record(_)) {
            return self.value(id, json, out);
        }
        let part = (id, std::ptr::from_ref(json));
        if let Some(error) = self.misfits.borrow().get(&part) {
            return Err(error.clone());
        }
        self.value(id, json, out).inspect_err(|error| {
            self.misfits.borrow_mut().insert(part, error.clone());
        })
    }

    /// The branch that is named: `{"string": "x"}` as Avro's JSON has it, or with the other branches as nulls, as
    /// `consume` prints a union.
    fn tagged<'v>(&self, branches: &[TypeId], json: &'v Value) -> Option<(usize, &'v Value)> {
        let entries = json.as_object()?;
        let names = self.schema.branch_names(branches);
        let find = |key: &str| {
            names.iter().position(|name| name == key).or_else(|| {
                branches.iter().position(|id| self.schema.name(*id).is_some_and(|name| name.full == key))
            })
        };
        let mut chosen = None;
        for (key, value) in entries.iter() {
            let index = find(key)?;
            if !value.is_null() && chosen.replace((index, value)).is_some() {
                return None;
            }
        }
        chosen
    }

    fn bytes(&self, json: &Value) -> Result<Vec<u8>, FieldError> {
        let text = json.as_str();
        if self.is_given() {
            let decoded = text.and_then(|text| BASE64.decode(text).ok());
            return decoded.ok_or_else(|| FieldError::new(shown(json), "bytes as base64"));
        }
        let characters =
            text.and_then(|text| text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect());
        characters.ok_or_else(|| {
            FieldError::new(shown(json), "text whose characters are bytes, \\u0000 to \\u00ff")
        })
    }

    fn fixed(&self, json: &Value, logical: Option<Logical>, size: usize, out: &mut Vec<u8>) -> Written {
        let bytes = match logical {
            Some(Logical::Decimal { precision, scale }) => {
                let short = decimal(json, precision, scale)?;
                let sign = if short.first().is_some_and(|byte| byte & 0x80 != 0) { 0xff } else { 0 };
                // Holds because the schema's precision fits its size.
                let missing = size.saturating_sub(short.len());
                out.extend(std::iter::repeat_n(sign, missing));
                short
            }
            Some(Logical::Uuid) => match json.as_str().and_then(|text| text::uuid(text.as_bytes())) {
                Some(uuid) => uuid.to_vec(),
                None => return Err(FieldError::new(shown(json), UUID_EXPECTED)),
            },
            Some(Logical::Duration) => duration(json)?,
            _ => {
                let bytes = self.bytes(json)?;
                if bytes.len() != size {
                    return Err(FieldError::new(format!("{} bytes", bytes.len()), format!("{size} bytes")));
                }
                bytes
            }
        };
        out.extend_from_slice(&bytes);
        Ok(())
    }
}

const UUID_EXPECTED: &str = "a uuid, as 123e4567-e89b-12d3-a456-426614174000";

/// The integer that an int carries.
pub(super) fn int32(json: &Value, logical: Option<Logical>) -> Result<i32, FieldError> {
    let out_of_range = |_| FieldError::new(shown(json), "an int, -2147483648 to 2147483647");
    i32::try_from(int(json, logical)?).map_err(out_of_range)
}

/// The integer that an int or a long carries.
pub(super) fn int(json: &Value, logical: Option<Logical>) -> Result<i64, FieldError> {
    let read = |text: &str| match logical {
        Some(Logical::Date) => text::date(text).map(i64::from),
        Some(Logical::TimeMillis) => text::time(text, 1_000_000),
        Some(Logical::TimeMicros) => text::time(text, 1_000),
        Some(Logical::TimestampMillis) => text::timestamp(text, 1_000_000),
        Some(Logical::TimestampMicros) => text::timestamp(text, 1_000),
        Some(Logical::TimestampNanos) => text::timestamp(text, 1),
        Some(Logical::LocalTimestampMillis) => text::local_timestamp(text, 1_000_000),
        Some(Logical::LocalTimestampMicros) => text::local_timestamp(text, 1_000),
        Some(Logical::LocalTimestampNanos) => text::local_timestamp(text, 1),
        _ => None,
    };
    let expected = match logical {
        Some(Logical::Date) => "a date as yyyy-mm-dd, or days since 1970-01-01",
        Some(Logical::TimeMillis) => "a time as hh:mm:ss[.fff], or milliseconds since midnight",
        Some(Logical::TimeMicros) => "a time as hh:mm:ss[.ffffff], or microseconds since midnight",
        Some(Logical::TimestampMillis) => {
            "a timestamp as 2026-01-31T12:00:00[.fff]Z or yyyy-mm-dd hh:mm:ss[.fff] in UTC, or epoch milliseconds"
        }
        Some(Logical::TimestampMicros) => {
            "a timestamp as 2026-01-31T12:00:00[.ffffff]Z or yyyy-mm-dd hh:mm:ss[.ffffff] in UTC, or epoch microseconds"
        }
        Some(Logical::TimestampNanos) => {
            "a timestamp as 2026-01-31T12:00:00[.fffffffff]Z or yyyy-mm-dd hh:mm:ss[.fffffffff] in UTC, or epoch \
             nanoseconds"
        }
        Some(Logical::LocalTimestampMillis) => {
            "a timestamp without a zone as yyyy-mm-dd hh:mm:ss[.fff], or milliseconds"
        }
        Some(Logical::LocalTimestampMicros) => {
            "a timestamp without a zone as yyyy-mm-dd hh:mm:ss[.ffffff], or microseconds"
        }
        Some(Logical::LocalTimestampNanos) => {
            "a timestamp without a zone as yyyy-mm-dd hh:mm:ss[.fffffffff], or nanoseconds"
        }
        _ => "an integer",
    };
    let value = match json {
        Value::String(text) => read(text),
        Value::Number(number) => match number.as_i64().map_or_else(|| text::long(number.as_str()), Ok) {
            Ok(value) => Some(value),
            Err(NotDecimal::Precision) => {
                let expected = "a long, -9223372036854775808 to 9223372036854775807";
                return Err(FieldError::new(shown(json), expected));
            }
            Err(NotDecimal::NotNumber | NotDecimal::Scale) => None,
        },
        _ => None,
    };
    let is_in_range = |value: i64| match logical {
        Some(Logical::TimeMillis) => text::is_time_of_day(value, 1_000_000),
        Some(Logical::TimeMicros) => text::is_time_of_day(value, 1_000),
        _ => true,
    };
    value.filter(|value| is_in_range(*value)).ok_or_else(|| FieldError::new(shown(json), expected))
}

/// What no number of JSON is.
fn float(json: &Value) -> Option<f64> {
    match json {
        Value::String(text) => match text.as_str() {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            _ => None,
        },
        _ => None,
    }
}

fn decimal(json: &Value, precision: u8, scale: u8) -> Result<Vec<u8>, FieldError> {
    let expected = || format!("a decimal of up to {precision} digits, {scale} of them after the point");
    let written = match json {
        Value::String(text) => text,
        Value::Number(number) => number.as_str(),
        _ => return Err(FieldError::new(shown(json), expected())),
    };
    text::decimal(written, precision, scale).map_err(|wrong| {
        let found = match wrong {
            NotDecimal::NotNumber => shown(json),
            NotDecimal::Scale => format!("{}, with too many digits after the point", shown(json)),
            NotDecimal::Precision => format!("{}, with too many digits", shown(json)),
        };
        FieldError::new(found, expected())
    })
}

/// `P1Y2M3DT4.5S` as `consume` prints it, or `{"months": 1, "days": 2, "milliseconds": 3}`, each 0 if it is absent.
fn duration(json: &Value) -> Result<Vec<u8>, FieldError> {
    const PARTS: [&str; 3] = ["months", "days", "milliseconds"];
    let expected =
        "a duration as P1Y2M3DT4.567S, or an object of months, days and milliseconds, each a count from 0";
    let wrong = || FieldError::new(shown(json), expected);
    let counts = match json {
        Value::String(text) => text::duration(text).ok_or_else(wrong)?,
        Value::Object(entries) if entries.keys().all(|key| PARTS.contains(&key)) => {
            let mut counts = [0; 3];
            for (place, part) in PARTS.iter().enumerate() {
                let count = entries.get(part, place).map_or(Some(0), Value::as_u64);
                counts[place] = count.and_then(|count| u32::try_from(count).ok()).ok_or_else(wrong)?;
            }
            counts
        }
        _ => return Err(wrong()),
    };
    Ok(counts.iter().flat_map(|count| count.to_le_bytes()).collect())
}

fn shown(json: &Value) -> String {
    beginning(json.to_string(), SHOWN_CHARACTERS_MAX)
}

fn list(names: &[String]) -> String {
    const NAMES_MAX: usize = 12;
    let mut shown: Vec<&str> = names.iter().map(String::as_str).take(NAMES_MAX).collect();
    if names.len() > NAMES_MAX {
        shown.push("...");
    }
    shown.join(", ")
}

fn with_nearest<'a>(error: FieldError, word: &str, known: impl Iterator<Item = &'a str>) -> FieldError {
    match did_you_mean(word, known) {
        Some(hint) => error.hint(hint),
        None => error,
    }
}
