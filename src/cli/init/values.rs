//! A message of a schema with a plausible value in every field, as a test file has it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::avro::{Kind, Logical, Record, Schema, TypeId, UnionForm};
use crate::diagnostic::Finding;
use crate::yaml;

/// A fixed of more bytes is no example for people to read.
const FIXED_BYTES_MAX: usize = 64 << 10;

/// The fields of a message, each with its value as YAML.
///
/// # Errors
/// A field whose values are too long to be written down.
pub(super) fn message(schema: &Schema, record: &Record) -> Result<Vec<(String, String)>, Finding> {
    let field = |field: &crate::avro::Field| {
        let value = value(schema, field.type_id, &field.name);
        let value = value.map_err(|found| found.within_field(&field.name))?;
        Ok((field.name.clone(), value))
    };
    record.fields.iter().map(field).collect()
}

/// A value of a type, on one line; `name` is that of the field that it is in.
fn value(schema: &Schema, id: TypeId, name: &str) -> Result<String, Finding> {
    let ty = schema.get(id);
    Ok(match (&ty.kind, ty.logical) {
        (Kind::Bytes | Kind::Fixed(_), Some(Logical::Decimal { precision, scale })) => {
            decimal(precision, scale)
        }
        (_, Some(logical)) => yaml::quoted(text(logical)),
        (Kind::Null, _) => "null".to_owned(),
        (Kind::Boolean, _) => "true".to_owned(),
        (Kind::Int | Kind::Long, _) => "1".to_owned(),
        (Kind::Float | Kind::Double, _) => "1.5".to_owned(),
        (Kind::Bytes, _) => yaml::quoted(&BASE64.encode("bytes")),
        (Kind::String, _) => yaml::quoted(&format!("{name} 1")),
        (Kind::Fixed(fixed), _) if fixed.size > FIXED_BYTES_MAX => {
            let found = format!("a fixed of {} bytes, too many for an example", fixed.size);
            return Err(Finding::new(found)
                .with_hint("leave the field out of avro_schema, or write the project by hand"));
        }
        (Kind::Fixed(fixed), _) => yaml::quoted(&BASE64.encode(vec![1; fixed.size])),
        (Kind::Enum(enumeration), _) => yaml::quoted(enumeration.symbols.first().map_or("", String::as_str)),
        (Kind::Array(item), _) => format!("[{}]", value(schema, *item, name)?),
        (Kind::Map(of), _) => format!("{{ key: {} }}", value(schema, *of, name)?),
        (Kind::Record(record), _) => mapping(&message(schema, record)?),
        (Kind::Union(branches), _) => match schema.union_form(branches) {
            UnionForm::Single(only) | UnionForm::Nullable { value: only, .. } => value(schema, only, name)?,
            UnionForm::General { members, .. } => {
                let first = members.first().copied().unwrap_or_default();
                let branch = yaml::quoted(&schema.branch_names(branches)[first]);
                format!("{{ {branch}: {} }}", value(schema, branches[first], name)?)
            }
        },
    })
}

/// Fields in braces.
pub(super) fn mapping(fields: &[(String, String)]) -> String {
    let entries = fields.iter().map(|(name, value)| format!("{}: {value}", yaml::quoted(name)));
    format!("{{ {} }}", entries.collect::<Vec<_>>().join(", "))
}

/// A number with as many digits as there may be.
fn decimal(precision: u8, scale: u8) -> String {
    match (precision - scale, scale) {
        (0, _) => "0.5",
        (_, 0) => "1",
        _ => "1.5",
    }
    .to_owned()
}

/// How people write a value of a logical type.
fn text(logical: Logical) -> &'static str {
    match logical {
        Logical::Decimal { .. } => "1",
        Logical::Date => "2024-05-31",
        Logical::TimeMillis | Logical::TimeMicros => "12:30:00",
        Logical::TimestampMillis | Logical::TimestampMicros | Logical::TimestampNanos => {
            "2024-05-31T12:30:00Z"
        }
        Logical::LocalTimestampMillis | Logical::LocalTimestampMicros | Logical::LocalTimestampNanos => {
            "2024-05-31T12:30:00"
        }
        Logical::Uuid => "123e4567-e89b-12d3-a456-426614174000",
        Logical::Duration => "P1DT2S",
    }
}
