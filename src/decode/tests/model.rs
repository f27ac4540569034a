//! Random schemas and values for the laws: a type, its schema, values of it for `apache-avro`, and the one form
//! (`Cell`) in which what went in and what came out of Arrow are compared.

use std::collections::BTreeMap;

use apache_avro::types::Value as Avro;
use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Decimal256Type, Float32Type, Float64Type, Int32Type, Int64Type,
    IntervalMonthDayNanoType, Time32MillisecondType, Time64MicrosecondType,
};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

#[derive(Clone, Debug)]
pub(crate) enum Ty {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    String,
    Fixed(usize),
    Enum(usize),
    Array(Box<Ty>),
    Map(Box<Ty>),
    Record(Vec<Field>),
    /// Null first, or second.
    Nullable(bool, Box<Ty>),
    /// Null (where true), string, int, an array, a record.
    General(bool),
    Decimal(u8, u8),
    DecimalFixed(u8, u8),
    Logical(&'static str, &'static str),
    UuidText,
    UuidFixed,
    Duration,
}

#[derive(Clone, Debug)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) ty: Ty,
    pub(crate) default: Option<Value>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cell {
    Null,
    Int(i64),
    Bits(u64),
    Bytes(Vec<u8>),
    Text(String),
    List(Vec<Cell>),
    Map(BTreeMap<String, Cell>),
    Record(Vec<Cell>),
    Branch(String, Box<Cell>),
}

const LOGICALS: [(&str, &str); 9] = [
    ("int", "date"),
    ("int", "time-millis"),
    ("long", "time-micros"),
    ("long", "timestamp-millis"),
    ("long", "timestamp-micros"),
    ("long", "timestamp-nanos"),
    ("long", "local-timestamp-millis"),
    ("long", "local-timestamp-micros"),
    ("long", "local-timestamp-nanos"),
];

/// A record type; `plain` leaves out logical types, on whose bytes implementations differ by design.
pub(crate) fn any_record(plain: bool) -> BoxedStrategy<Ty> {
    let simple = prop_oneof![
        Just(Ty::Null),
        Just(Ty::Boolean),
        Just(Ty::Int),
        Just(Ty::Long),
        Just(Ty::Float),
        Just(Ty::Double),
        Just(Ty::Bytes),
        Just(Ty::String),
        (1..20_usize).prop_map(Ty::Fixed),
        (1..5_usize).prop_map(Ty::Enum),
        any::<bool>().prop_map(Ty::General),
    ];
    let leaf = if plain {
        simple.boxed()
    } else {
        let decimal = (1..=76_u8).prop_flat_map(|p| (Just(p), 0..=p));
        prop_oneof![
            5 => simple,
            1 => decimal.clone().prop_map(|(p, s)| Ty::Decimal(p, s)),
            1 => decimal.prop_map(|(p, s)| Ty::DecimalFixed(p, s)),
            3 => proptest::sample::select(&LOGICALS[..]).prop_map(|(base, word)| Ty::Logical(base, word)),
            1 => Just(Ty::UuidText),
            1 => Just(Ty::UuidFixed),
            1 => Just(Ty::Duration),
        ]
        .boxed()
    };
    let inner = leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            inner.clone().prop_map(|ty| Ty::Array(Box::new(ty))),
            inner.clone().prop_map(|ty| Ty::Map(Box::new(ty))),
            (any::<bool>(), inner.clone()).prop_map(|(first, ty)| nullable(first, ty)),
            vec(inner, 1..4).prop_map(record),
        ]
    });
    // One field always takes a byte.
    vec(inner, 0..6)
        .prop_map(|mut types| {
            types.push(Ty::Int);
            record(types)
        })
        .boxed()
}

pub(super) fn nullable(first: bool, ty: Ty) -> Ty {
    match ty {
        Ty::Null | Ty::Nullable(..) | Ty::General(_) => ty,
        ty => Ty::Nullable(first, Box::new(ty)),
    }
}

fn record(types: Vec<Ty>) -> Ty {
    let field = |(index, ty)| Field { name: format!("f{index}"), ty, default: None };
    Ty::Record(types.into_iter().enumerate().map(field).collect())
}

/// The schema; `logical` false: what its logical types stand on.
pub(crate) fn schema_of(ty: &Ty, logical: bool, names: &mut usize) -> Value {
    *names += 1;
    let name = format!("N{names}");
    let with = |mut schema: Value, word: &str, extra: Value| {
        if logical {
            schema["logicalType"] = word.into();
            for (key, value) in extra.as_object().unwrap() {
                schema[key] = value.clone();
            }
        }
        schema
    };
    match ty {
        Ty::Null => json!("null"),
        Ty::Boolean => json!("boolean"),
        Ty::Int => json!("int"),
        Ty::Long => json!("long"),
        Ty::Float => json!("float"),
        Ty::Double => json!("double"),
        Ty::Bytes => json!("bytes"),
        Ty::String => json!("string"),
        Ty::Fixed(size) => json!({"type": "fixed", "name": name, "size": size}),
        Ty::Enum(count) => json!({"type": "enum", "name": name, "symbols": symbols(*count)}),
        Ty::Decimal(p, s) => with(json!({"type": "bytes"}), "decimal", json!({"precision": p, "scale": s})),
        Ty::DecimalFixed(p, s) => with(
            json!({"type": "fixed", "name": name, "size": 32}),
            "decimal",
            json!({"precision": p, "scale": s}),
        ),
        Ty::Logical(base, word) => with(json!({"type": base}), word, json!({})),
        Ty::UuidText => with(json!({"type": "string"}), "uuid", json!({})),
        Ty::UuidFixed => with(json!({"type": "fixed", "name": name, "size": 16}), "uuid", json!({})),
        Ty::Duration => with(json!({"type": "fixed", "name": name, "size": 12}), "duration", json!({})),
        Ty::Array(item) => json!({"type": "array", "items": schema_of(item, logical, names)}),
        Ty::Map(value) => json!({"type": "map", "values": schema_of(value, logical, names)}),
        Ty::Nullable(true, ty) => json!(["null", schema_of(ty, logical, names)]),
        Ty::Nullable(false, ty) => json!([schema_of(ty, logical, names), "null"]),
        Ty::General(has_null) => {
            let inner = json!({"type": "record", "name": name, "fields": [{"name": "x", "type": "long"}]});
            let members = [json!("string"), json!("int"), json!({"type": "array", "items": "double"}), inner];
            let null = has_null.then(|| json!("null"));
            null.into_iter().chain(members).collect()
        }
        Ty::Record(fields) => {
            let fields: Vec<Value> = fields
                .iter()
                .map(|field| {
                    let mut schema =
                        json!({"name": field.name, "type": schema_of(&field.ty, logical, names)});
                    if let Some(default) = &field.default {
                        schema["default"] = default.clone();
                    }
                    schema
                })
                .collect();
            json!({"type": "record", "name": name, "fields": fields})
        }
    }
}

fn symbols(count: usize) -> Vec<String> {
    (0..count).map(|index| format!("S{index}")).collect()
}

/// A value of what the type stands on, within what the type allows.
pub(super) fn value_of(ty: &Ty) -> BoxedStrategy<Avro> {
    let bytes = |size: usize| vec(any::<u8>(), size);
    match ty {
        Ty::Null => Just(Avro::Null).boxed(),
        Ty::Boolean => any::<bool>().prop_map(Avro::Boolean).boxed(),
        Ty::Int | Ty::Logical("int", "date") => any::<i32>().prop_map(Avro::Int).boxed(),
        Ty::Logical("int", _) => (0..86_400_000).prop_map(Avro::Int).boxed(),
        Ty::Logical(_, "time-micros") => (0..86_400_000_000_i64).prop_map(Avro::Long).boxed(),
        Ty::Long | Ty::Logical(..) => any::<i64>().prop_map(Avro::Long).boxed(),
        Ty::Float => any::<f32>().prop_map(Avro::Float).boxed(),
        Ty::Double => any::<f64>().prop_map(Avro::Double).boxed(),
        Ty::Bytes => vec(any::<u8>(), 0..40).prop_map(Avro::Bytes).boxed(),
        Ty::String => any::<String>().prop_map(Avro::String).boxed(),
        Ty::Fixed(size) => bytes(*size).prop_map(|bytes| Avro::Fixed(bytes.len(), bytes)).boxed(),
        Ty::UuidFixed => bytes(16).prop_map(|bytes| Avro::Fixed(16, bytes)).boxed(),
        Ty::UuidText => (bytes(16), any::<bool>())
            .prop_map(|(bytes, upper)| {
                let text = uuid_text(&bytes);
                Avro::String(if upper { text.to_uppercase() } else { text })
            })
            .boxed(),
        Ty::Duration => bytes(12)
            .prop_map(|mut bytes| {
                bytes[3] &= 0x7f;
                bytes[7] &= 0x7f;
                Avro::Fixed(12, bytes)
            })
            .boxed(),
        Ty::Enum(count) => (0..*count).prop_map(|i| Avro::Enum(i as u32, format!("S{i}"))).boxed(),
        // Unscaled values with as many digits as bytes of 2.4 digits allow, padded by their sign now and then.
        Ty::Decimal(p, _) => {
            let size = 0..=usize::from(*p) * 2 / 5;
            let padded = any::<bool>();
            (size.prop_flat_map(move |size| vec(any::<u8>(), size)), padded)
                .prop_map(|(bytes, padded)| Avro::Bytes(if padded { extend(&bytes, 40) } else { bytes }))
                .boxed()
        }
        Ty::DecimalFixed(p, _) => vec(any::<u8>(), usize::from(*p) * 2 / 5)
            .prop_map(|bytes| Avro::Fixed(32, extend(&bytes, 32)))
            .boxed(),
        Ty::Array(item) => vec(value_of(item), 0..4).prop_map(Avro::Array).boxed(),
        Ty::Map(value) => {
            proptest::collection::hash_map(any::<String>(), value_of(value), 0..4).prop_map(Avro::Map).boxed()
        }
        Ty::Nullable(first, ty) => {
            let (null, value) = if *first { (0, 1) } else { (1, 0) };
            proptest::option::of(value_of(ty))
                .prop_map(move |option| match option {
                    None => Avro::Union(null, Box::new(Avro::Null)),
                    Some(inner) => Avro::Union(value, Box::new(inner)),
                })
                .boxed()
        }
        Ty::General(has_null) => {
            let first = u32::from(*has_null);
            let branch = move |index: u32, value| Avro::Union(first + index, Box::new(value));
            let members = prop_oneof![
                any::<String>().prop_map(move |text| branch(0, Avro::String(text))),
                any::<i32>().prop_map(move |int| branch(1, Avro::Int(int))),
                vec(any::<f64>(), 0..3).prop_map(move |list| branch(
                    2,
                    Avro::Array(list.into_iter().map(Avro::Double).collect())
                )),
                any::<i64>()
                    .prop_map(move |x| branch(3, Avro::Record(vec![("x".to_owned(), Avro::Long(x))]))),
            ];
            if *has_null {
                prop_oneof![4 => members, 1 => Just(Avro::Union(0, Box::new(Avro::Null)))].boxed()
            } else {
                members.boxed()
            }
        }
        Ty::Record(fields) => {
            let names: Vec<String> = fields.iter().map(|field| field.name.clone()).collect();
            let values: Vec<_> = fields.iter().map(|field| value_of(&field.ty)).collect();
            values.prop_map(move |values| Avro::Record(names.iter().cloned().zip(values).collect())).boxed()
        }
    }
}

/// The value as it should stand in Arrow.
pub(super) fn expected(ty: &Ty, value: &Avro) -> Cell {
    match (ty, value) {
        (_, Avro::Null) => Cell::Null,
        (_, Avro::Boolean(value)) => Cell::Int(i64::from(*value)),
        (_, Avro::Int(value)) => Cell::Int(i64::from(*value)),
        (_, Avro::Long(value)) => Cell::Int(*value),
        (_, Avro::Float(value)) => Cell::Bits(u64::from(value.to_bits())),
        (_, Avro::Double(value)) => Cell::Bits(value.to_bits()),
        (Ty::Decimal(..), Avro::Bytes(bytes)) | (Ty::DecimalFixed(..), Avro::Fixed(_, bytes)) => {
            Cell::Bytes(extend(bytes, 32)[bytes.len().saturating_sub(32)..].to_vec())
        }
        (Ty::UuidFixed, Avro::Fixed(_, bytes)) => Cell::Text(uuid_text(bytes)),
        (Ty::UuidText, Avro::String(text)) => Cell::Text(text.to_lowercase()),
        (_, Avro::Bytes(bytes) | Avro::Fixed(_, bytes)) => Cell::Bytes(bytes.clone()),
        (_, Avro::String(text) | Avro::Enum(_, text)) => Cell::Text(text.clone()),
        (Ty::Array(item), Avro::Array(values)) => {
            Cell::List(values.iter().map(|v| expected(item, v)).collect())
        }
        (Ty::Map(of), Avro::Map(values)) => {
            Cell::Map(values.iter().map(|(key, value)| (key.clone(), expected(of, value))).collect())
        }
        (Ty::Nullable(_, ty), Avro::Union(_, value)) => expected(ty, value),
        (Ty::General(_), Avro::Union(_, value)) => {
            let (name, cell) = match &**value {
                Avro::Null => return Cell::Null,
                Avro::String(text) => ("string", Cell::Text(text.clone())),
                Avro::Int(int) => ("int", Cell::Int(i64::from(*int))),
                Avro::Array(list) => {
                    ("array", Cell::List(list.iter().map(|value| expected(&Ty::Double, value)).collect()))
                }
                Avro::Record(fields) => ("record", Cell::Record(vec![expected(&Ty::Long, &fields[0].1)])),
                other => panic!("{other:?}"),
            };
            Cell::Branch(name.to_owned(), Box::new(cell))
        }
        (Ty::Record(fields), Avro::Record(values)) => Cell::Record(
            fields.iter().zip(values).map(|(field, (_, value))| expected(&field.ty, value)).collect(),
        ),
        other => panic!("{other:?}"),
    }
}

/// The value as it does stand in Arrow.
pub(super) fn found(ty: &Ty, array: &ArrayRef, row: usize) -> Cell {
    if array.is_null(row) || matches!(array.data_type(), DataType::Null) {
        return Cell::Null;
    }
    let text = || Cell::Text(array.as_string::<i32>().value(row).to_owned());
    match ty {
        Ty::Null => panic!("{array:?}"),
        Ty::Nullable(_, ty) => found(ty, array, row),
        Ty::Boolean => Cell::Int(i64::from(array.as_boolean().value(row))),
        Ty::Int => Cell::Int(array.as_primitive::<Int32Type>().value(row).into()),
        Ty::Long => Cell::Int(array.as_primitive::<Int64Type>().value(row)),
        Ty::Float => Cell::Bits(array.as_primitive::<Float32Type>().value(row).to_bits().into()),
        Ty::Double => Cell::Bits(array.as_primitive::<Float64Type>().value(row).to_bits()),
        Ty::Bytes => Cell::Bytes(array.as_binary::<i32>().value(row).to_vec()),
        Ty::Fixed(_) => Cell::Bytes(array.as_fixed_size_binary().value(row).to_vec()),
        Ty::String | Ty::Enum(_) | Ty::UuidText | Ty::UuidFixed => text(),
        Ty::Logical(_, "date") => Cell::Int(array.as_primitive::<Date32Type>().value(row).into()),
        Ty::Logical(_, "time-millis") => {
            Cell::Int(array.as_primitive::<Time32MillisecondType>().value(row).into())
        }
        Ty::Logical(_, "time-micros") => Cell::Int(array.as_primitive::<Time64MicrosecondType>().value(row)),
        Ty::Logical(_, word) => {
            let DataType::Timestamp(_, zone) = array.data_type() else { panic!("{:?}", array.data_type()) };
            assert_eq!(zone.as_deref(), (!word.starts_with("local")).then_some("UTC"));
            let raw = array.to_data();
            Cell::Int(raw.buffer::<i64>(0)[row])
        }
        Ty::Duration => {
            let value = array.as_primitive::<IntervalMonthDayNanoType>().value(row);
            let millis = (value.nanoseconds / 1_000_000) as u32;
            let parts = [value.months.to_le_bytes(), value.days.to_le_bytes(), millis.to_le_bytes()];
            Cell::Bytes(parts.concat())
        }
        Ty::Decimal(p, s) | Ty::DecimalFixed(p, s) if *p <= 38 => {
            let decimals = array.as_primitive::<Decimal128Type>();
            assert_eq!((decimals.precision(), decimals.scale()), (*p, *s as i8));
            Cell::Bytes(extend(&decimals.value(row).to_be_bytes(), 32))
        }
        Ty::Decimal(..) | Ty::DecimalFixed(..) => {
            Cell::Bytes(array.as_primitive::<Decimal256Type>().value(row).to_be_bytes().to_vec())
        }
        Ty::Array(item) => {
            let values = array.as_list::<i32>().value(row);
            Cell::List((0..values.len()).map(|index| found(item, &values, index)).collect())
        }
        Ty::Map(of) => {
            let entries = array.as_map().value(row);
            let keys = entries.column(0).as_string::<i32>();
            let entry = |index| (keys.value(index).to_owned(), found(of, entries.column(1), index));
            Cell::Map((0..entries.len()).map(entry).collect())
        }
        Ty::General(_) => {
            let members = array.as_struct();
            let types = [
                ("string", Ty::String),
                ("int", Ty::Int),
                ("array", Ty::Array(Box::new(Ty::Double))),
                ("record", record(vec![Ty::Long])),
            ];
            let mut cells = members.columns().iter().zip(types).filter(|(column, _)| column.is_valid(row));
            let (column, (name, ty)) = cells.next().unwrap();
            assert!(cells.next().is_none());
            Cell::Branch(name.to_owned(), Box::new(found(&ty, column, row)))
        }
        Ty::Record(fields) => {
            let columns = array.as_struct().columns();
            Cell::Record(
                fields.iter().zip(columns).map(|(field, column)| found(&field.ty, column, row)).collect(),
            )
        }
    }
}

/// Two's complement, big-endian, in at least `size` bytes.
fn extend(bytes: &[u8], size: usize) -> Vec<u8> {
    let sign = if bytes.first().is_some_and(|byte| byte & 0x80 != 0) { 0xff } else { 0 };
    let mut out = vec![sign; size.saturating_sub(bytes.len())];
    out.extend_from_slice(bytes);
    out
}

fn uuid_text(bytes: &[u8]) -> String {
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}
