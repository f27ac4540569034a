//! How wide a row InnoDB takes. A table that is too wide is refused when it is created, with advice that does not help a
//! table of texts; so the rule is computed before (`dict_index_too_big_for_tree` in MySQL's `dict0dict.cc`), and `check`
//! says the same as `run`.

use super::ddl::{column_type, is_required};
use super::{TableFault, Target};
use crate::database::{ColumnType, Dialect};

/// Columns of a table of InnoDB.
const COLUMNS_MAX: usize = 1017;
/// What a page holds besides rows; two rows at least must fit.
const PAGE_OVERHEAD_BYTES: usize = 132;
/// A record's header, the transaction that wrote it, and the way to its older version.
const RECORD_BYTES: usize = 5 + 6 + 7;
/// The number that a table of appended rows has as its primary key.
const ID_BYTES: usize = 8;
/// What is in the row of a value of any length, and its length.
const LONG_BYTES: usize = 40 + 1;
const UTF8MB4_BYTES_MAX: u64 = 4;
/// What to do about a table that is too wide.
const FEWER_COLUMNS: &str = "name the columns that are needed instead of `*`, or write some of them to a second table by \
                             another view";

/// What is wrong with the width of the table that would be created for a target, by servers with pages of this size.
pub(super) fn width_fault(target: &Target, dialect: Dialect, page_bytes: usize) -> Option<TableFault> {
    let key = target.mode.key();
    let fields =
        || target.schema.fields().iter().filter(|field| !super::ddl::is_delete(target, field.name()));
    let bytes_of = |field| column_type(target, field, dialect).map_or(0, |kind| row_bytes(&kind));
    let (count, nullable) = (fields().count(), fields().filter(|field| !is_required(target, field)).count());
    let id = usize::from(key.is_empty());
    if count + id > COLUMNS_MAX {
        let message = format!(
            "view `{}` has {count} columns, InnoDB takes at most {} in a table",
            target.name,
            COLUMNS_MAX - id
        );
        return Some(TableFault::new(&target.table, message).with_hint(FEWER_COLUMNS));
    }
    let bytes: usize = fields().map(|field| bytes_of(field.as_ref())).sum();
    let row = RECORD_BYTES + id * ID_BYTES + nullable.div_ceil(8) + bytes;
    let row_max = (page_bytes - PAGE_OVERHEAD_BYTES) / 2;
    if row < row_max {
        return None;
    }
    let message = format!(
        "view `{}` has {count} columns, which take up to {row} bytes in a row, and InnoDB takes fewer than {row_max}",
        target.name
    );
    let hint = format!(
        "a text, binary or JSON column takes {LONG_BYTES} of them however short its values are, so about {} fit: {FEWER_COLUMNS}",
        row_max / LONG_BYTES
    );
    Some(TableFault::new(&target.table, message).with_hint(hint))
}

/// What a column takes in the row itself, at most.
fn row_bytes(kind: &ColumnType) -> usize {
    let variable =
        |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX).saturating_add(1).min(LONG_BYTES);
    match kind {
        ColumnType::Boolean => 1,
        ColumnType::Integer { bytes, .. } => usize::from(*bytes),
        ColumnType::Float => 4,
        ColumnType::Decimal { precision, scale } => decimal_bytes(precision - scale) + decimal_bytes(*scale),
        ColumnType::Text { characters_max: Some(max), .. } => variable(max.saturating_mul(UTF8MB4_BYTES_MAX)),
        ColumnType::Binary { bytes_max: Some(max), .. } => variable(*max),
        ColumnType::Date => 3,
        ColumnType::Time { .. } => 6,
        ColumnType::Text { .. } | ColumnType::Binary { .. } | ColumnType::Json => LONG_BYTES,
        // Numbers and moments of eight bytes; nothing else is created.
        _ => 8,
    }
}

/// Nine digits take four bytes, fewer take fewer.
fn decimal_bytes(digits: u8) -> usize {
    const REST: [usize; 9] = [0, 1, 1, 2, 2, 3, 3, 4, 4];
    usize::from(digits / 9) * 4 + REST[usize::from(digits % 9)]
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::{DataType, Field, Schema, TimeUnit};

    use super::super::TargetKind;
    use super::*;
    use crate::config::{Created, Mode, Upsert};

    fn fault(kind: &DataType, count: usize, mode: Mode) -> Option<String> {
        let fields: Vec<Field> =
            (0..count).map(|n| Field::new(format!("c{n}"), kind.clone(), true)).collect();
        let target = Target {
            name: "wide".into(),
            table: "wide".into(),
            mode,
            schema: Arc::new(Schema::new(fields)),
            kind: TargetKind::Output,
            created: Created::default(),
        };
        width_fault(&target, Dialect::MySql, 16 << 10).map(|fault| fault.to_string())
    }

    /// The counts are those that MySQL 9.7 takes and refuses.
    #[test]
    fn as_many_columns_are_taken_as_the_server_takes() {
        let micros = DataType::Timestamp(TimeUnit::Microsecond, None);
        for (kind, most) in [
            (DataType::Utf8, 196),
            (DataType::Binary, 196),
            (DataType::new_list(DataType::Utf8, true), 196),
            (DataType::Int64, 996),
            (DataType::Float64, 996),
            (micros, 996),
            (DataType::Decimal128(38, 10), 446),
            (DataType::Decimal256(65, 2), 278),
            (DataType::Decimal128(9, 2), 1016),
            (DataType::Int32, 1016),
            (DataType::Boolean, 1016),
            (DataType::Date32, 1016),
        ] {
            assert_eq!(fault(&kind, most, Mode::Append), None, "{kind}");
            assert!(fault(&kind, most + 1, Mode::Append).is_some(), "{kind}");
        }
        // A key takes the place of the number, and is not null.
        let key = || Mode::Upsert(Upsert::by(["c0"]));
        assert_eq!(fault(&DataType::Int64, 997, key()), None);
        assert!(fault(&DataType::Int64, 998, key()).is_some());
        let text = fault(&DataType::Utf8, 240, Mode::Append).expect("too wide");
        assert!(text.contains("view `wide` has 240 columns, which take up to 9896 bytes in a row"), "{text}");
    }
}
