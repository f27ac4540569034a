//! What people call the types of columns.

use arrow::datatypes::{DataType, Fields};

/// The types of fields, each after what is written for its name.
fn type_names(fields: &Fields, before: impl Fn(&str) -> String) -> String {
    let written =
        fields.iter().map(|field| format!("{}{}", before(field.name()), type_name(field.data_type())));
    written.collect::<Vec<_>>().join(", ")
}

/// The name people know a type by, where there is one.
pub fn type_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Int8 => "tinyint".into(),
        DataType::Int16 => "smallint".into(),
        DataType::Int32 => "int".into(),
        DataType::Int64 => "bigint".into(),
        DataType::Float32 => "float".into(),
        DataType::Float64 => "double".into(),
        DataType::Boolean => "boolean".into(),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "text".into(),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => "binary".into(),
        DataType::Date32 => "date".into(),
        DataType::Decimal128(precision, scale) | DataType::Decimal256(precision, scale) => {
            format!("decimal({precision},{scale})")
        }
        DataType::Timestamp(_, Some(zone)) => format!("timestamp {zone}"),
        DataType::Timestamp(_, None) => "timestamp".into(),
        DataType::Time32(_) | DataType::Time64(_) => "time".into(),
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            format!("{}[]", type_name(item.data_type()))
        }
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(entry) => format!("map({})", type_names(entry, |_| String::new())),
            other => format!("map({})", type_name(other)),
        },
        DataType::Struct(fields) => format!("struct({})", type_names(fields, |name| format!("{name} "))),
        other => other.to_string(),
    }
}
