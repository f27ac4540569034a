//! The columns that a reader's schema describes: which Arrow type each Avro type becomes in `batch`, and the plain Avro
//! schema that arrow-avro is handed to build those columns from.
//!
//! arrow-avro sees only this plain schema and only payloads written with it. It has the reader's types in the
//! reader's order under names of our own (`f0`, `f1`: a user's names may have accents), enums as the int they are
//! encoded as, uuids as their string or fixed, and a general union as a record with one nullable field a branch,
//! which is what SQL can work with. `relabel` turns the arrays made from it into those of `batch`.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Fields, IntervalUnit, TimeUnit};
use serde_json::{Value, json};

use crate::avro::{Kind, Logical, Schema, SchemaError, TypeId, UnionForm};
use crate::batch::Nulls;

/// The time zone of every timestamp that has one.
pub(super) const UTC: &str = "UTC";
/// The widest decimal of 128 bits, in digits.
const DECIMAL128_DIGITS_MAX: u8 = 38;

/// The largest fixed that arrow-avro reads as a decimal, in bytes. In the plain schema, decimals on larger ones are bytes.
pub(super) const DECIMAL_FIXED_BYTES_MAX: usize = 32;

/// One column or part of a column.
#[derive(Clone, Debug)]
pub(super) struct ColumnShape {
    pub(super) shape: Shape,
    pub(super) nullable: Option<NullIs>,
}

/// The branch that null is, in a union of null and one type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NullIs {
    First,
    Second,
}

#[derive(Clone, Debug)]
pub(super) enum Shape {
    /// Always null. A null without bytes is no column for arrow-avro, so there it is a null of a union.
    Null,
    /// A type that arrow-avro builds as it is in `batch`, with its Avro schema.
    Plain {
        avro: Value,
        arrow: DataType,
    },
    /// A fixed or a decimal on one; arrow-avro wants a name of its own for each.
    Fixed {
        size: usize,
        decimal: Option<(u8, u8)>,
        duration: bool,
    },
    UuidText,
    UuidFixed,
    Enum(Arc<[String]>),
    List(Box<ColumnShape>),
    Map(Box<ColumnShape>),
    Struct(Vec<(String, ColumnShape)>),
}

impl ColumnShape {
    /// The column of a type.
    ///
    /// # Errors
    /// Arrow has no such column; `path` says which field.
    pub(super) fn of(schema: &Schema, id: TypeId, path: &str) -> Result<Self, SchemaError> {
        let ty = schema.get(id);
        let plain = |avro: &str, arrow| Shape::Plain { avro: avro.into(), arrow };
        let logical = |base: &str, logical: Logical, arrow| Shape::Plain {
            avro: json!({"type": base, "logicalType": logical.name()}),
            arrow,
        };
        let timestamp = |unit, zone: Option<&str>| DataType::Timestamp(unit, zone.map(Into::into));
        let shape = match (&ty.kind, ty.logical) {
            (Kind::Null, _) => Shape::Null,
            (Kind::Boolean, _) => plain("boolean", DataType::Boolean),
            (Kind::Int, Some(word @ Logical::Date)) => logical("int", word, DataType::Date32),
            (Kind::Int, Some(word @ Logical::TimeMillis)) => {
                logical("int", word, DataType::Time32(TimeUnit::Millisecond))
            }
            (Kind::Int, _) => plain("int", DataType::Int32),
            (Kind::Long, Some(word)) => {
                let arrow = match word {
                    Logical::TimeMicros => DataType::Time64(TimeUnit::Microsecond),
                    Logical::TimestampMillis => timestamp(TimeUnit::Millisecond, Some(UTC)),
                    Logical::TimestampMicros => timestamp(TimeUnit::Microsecond, Some(UTC)),
                    Logical::TimestampNanos => timestamp(TimeUnit::Nanosecond, Some(UTC)),
                    Logical::LocalTimestampMillis => timestamp(TimeUnit::Millisecond, None),
                    Logical::LocalTimestampMicros => timestamp(TimeUnit::Microsecond, None),
                    Logical::LocalTimestampNanos => timestamp(TimeUnit::Nanosecond, None),
                    _ => DataType::Int64,
                };
                logical("long", word, arrow)
            }
            (Kind::Long, None) => plain("long", DataType::Int64),
            (Kind::Float, _) => plain("float", DataType::Float32),
            (Kind::Double, _) => plain("double", DataType::Float64),
            (Kind::Bytes, Some(Logical::Decimal { precision, scale })) => decimal_bytes(precision, scale),
            (Kind::Bytes, _) => plain("bytes", DataType::Binary),
            (Kind::String, Some(Logical::Uuid)) => Shape::UuidText,
            (Kind::String, _) => plain("string", DataType::Utf8),
            (Kind::Fixed(fixed), _) if fixed.size == 0 => {
                return Err(refused(schema, path, "a fixed of 0 bytes"));
            }
            (Kind::Fixed(_), Some(Logical::Uuid)) => Shape::UuidFixed,
            (Kind::Fixed(fixed), Some(Logical::Decimal { precision, scale }))
                if fixed.size > DECIMAL_FIXED_BYTES_MAX =>
            {
                decimal_bytes(precision, scale)
            }
            (Kind::Fixed(fixed), logical) => Shape::Fixed {
                size: fixed.size,
                decimal: match logical {
                    Some(Logical::Decimal { precision, scale }) => Some((precision, scale)),
                    _ => None,
                },
                duration: logical == Some(Logical::Duration),
            },
            (Kind::Enum(enumeration), _) => Shape::Enum(enumeration.symbols.clone().into()),
            (Kind::Array(item), _) => Shape::List(Box::new(Self::of(schema, *item, &format!("{path}[]"))?)),
            (Kind::Map(value), _) => Shape::Map(Box::new(Self::of(schema, *value, &format!("{path}[]"))?)),
            (Kind::Record(record), _) => {
                if record.fields.is_empty() {
                    return Err(refused(
                        schema,
                        path,
                        &format!("the record `{}` has no fields", record.name.full),
                    ));
                }
                let mut fields = Vec::with_capacity(record.fields.len());
                for field in &record.fields {
                    let path =
                        if path.is_empty() { field.name.clone() } else { format!("{path}.{}", field.name) };
                    fields.push((field.name.clone(), Self::of(schema, field.type_id, &path)?));
                }
                Shape::Struct(fields)
            }
            (Kind::Union(branches), _) => return Self::of_union(schema, branches, path),
        };
        Ok(Self { shape, nullable: None })
    }

    fn of_union(schema: &Schema, branches: &[TypeId], path: &str) -> Result<Self, SchemaError> {
        match schema.union_form(branches) {
            UnionForm::Single(only) => Self::of(schema, only, path),
            UnionForm::Nullable { null, value } => {
                let nullable = if null == 0 { NullIs::First } else { NullIs::Second };
                Ok(Self { nullable: Some(nullable), ..Self::of(schema, value, path)? })
            }
            UnionForm::General { has_null, members } => {
                let names = schema.branch_names(branches);
                let mut fields = Vec::with_capacity(members.len());
                for member in members {
                    let part = Self::of(schema, branches[member], &format!("{path}.{}", names[member]))?;
                    fields.push((names[member].clone(), Self { nullable: Some(NullIs::First), ..part }));
                }
                Ok(Self { shape: Shape::Struct(fields), nullable: has_null.then_some(NullIs::First) })
            }
        }
    }

    /// The Arrow type in `batch`.
    pub(super) fn data_type(&self) -> DataType {
        match &self.shape {
            Shape::Null => DataType::Null,
            Shape::Plain { arrow, .. } => arrow.clone(),
            Shape::Fixed { decimal: Some((precision, scale)), .. } => decimal_type(*precision, *scale),
            Shape::Fixed { duration: true, .. } => DataType::Interval(IntervalUnit::MonthDayNano),
            // Holds because schemas bound the size of a fixed below 2^31.
            Shape::Fixed { size, .. } => DataType::FixedSizeBinary(*size as i32),
            Shape::UuidText | Shape::UuidFixed | Shape::Enum(_) => DataType::Utf8,
            Shape::List(item) => DataType::List(item.field("item")),
            Shape::Map(value) => DataType::Map(entries_field(value), false),
            Shape::Struct(fields) => DataType::Struct(part_fields(fields)),
        }
    }

    /// The Arrow field of this column under a name.
    pub(super) fn field(&self, name: &str) -> FieldRef {
        let data_type = self.data_type();
        let nullable = self.nullable.is_some() || matches!(self.shape, Shape::Null);
        Arc::new(Field::new(name, data_type, nullable))
    }

    /// What is known of NULL in this column: Arrow's fields of records inside others do not say it.
    pub(super) fn nulls(&self) -> Nulls {
        let nulls = Nulls::never_if(self.nullable.is_none() && !matches!(self.shape, Shape::Null));
        match &self.shape {
            Shape::Struct(fields) => {
                nulls.with_fields(fields.iter().map(|(name, part)| (name.clone(), part.nulls())))
            }
            Shape::List(item) => nulls.with_items(item.nulls()),
            _ => nulls,
        }
    }

    /// The plain Avro schema of this column; `names` counts the named types made so far.
    pub(super) fn plain_avro(&self, names: &mut usize) -> Value {
        let mut name = || {
            *names += 1;
            format!("t{names}")
        };
        let avro = match &self.shape {
            Shape::Null => json!(["null", "boolean"]),
            Shape::Plain { avro, .. } => avro.clone(),
            Shape::Fixed { size, decimal: Some((precision, scale)), .. } => json!({
                "type": "fixed", "name": name(), "size": size,
                "logicalType": "decimal", "precision": precision, "scale": scale,
            }),
            Shape::Fixed { size, duration: true, .. } => {
                json!({"type": "fixed", "name": name(), "size": size, "logicalType": "duration"})
            }
            Shape::Fixed { size, .. } => json!({"type": "fixed", "name": name(), "size": size}),
            Shape::UuidText => "string".into(),
            Shape::UuidFixed => json!({"type": "fixed", "name": name(), "size": 16}),
            Shape::Enum(_) => "int".into(),
            Shape::List(item) => json!({"type": "array", "items": item.plain_avro(names)}),
            Shape::Map(value) => json!({"type": "map", "values": value.plain_avro(names)}),
            Shape::Struct(fields) => {
                let name = name();
                let fields: Vec<Value> = fields
                    .iter()
                    .enumerate()
                    .map(|(index, (_, part))| {
                        json!({"name": format!("f{index}"), "type": part.plain_avro(names)})
                    })
                    .collect();
                json!({"type": "record", "name": name, "fields": fields})
            }
        };
        match self.nullable {
            None => avro,
            Some(NullIs::First) => json!(["null", avro]),
            Some(NullIs::Second) => json!([avro, "null"]),
        }
    }
}

/// The entries of a map: key and value.
pub(super) fn entries_field(value: &ColumnShape) -> FieldRef {
    let key = Arc::new(Field::new("key", DataType::Utf8, false));
    let fields = Fields::from(vec![key, value.field("value")]);
    Arc::new(Field::new("entries", DataType::Struct(fields), false))
}

/// The fields of a record inside another: all nullable, because the record may be null.
pub(super) fn part_fields(fields: &[(String, ColumnShape)]) -> Fields {
    fields.iter().map(|(name, part)| Field::new(name, part.data_type(), true)).collect()
}

pub(super) fn struct_fields(fields: &[(String, ColumnShape)]) -> Fields {
    fields.iter().map(|(name, part)| part.field(name)).collect()
}

fn decimal_bytes(precision: u8, scale: u8) -> Shape {
    Shape::Plain {
        avro: json!({"type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale}),
        arrow: decimal_type(precision, scale),
    }
}

fn decimal_type(precision: u8, scale: u8) -> DataType {
    if precision <= DECIMAL128_DIGITS_MAX {
        DataType::Decimal128(precision, scale as i8)
    } else {
        DataType::Decimal256(precision, scale as i8)
    }
}

fn refused(schema: &Schema, path: &str, what: &str) -> SchemaError {
    SchemaError::new(schema.file(), path, format!("{what}, which no column can carry"))
        .hint("leave the field out of this schema; name the full schema as the writer's")
}
