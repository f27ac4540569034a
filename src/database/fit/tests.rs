//! What a column takes, and what it refuses.

use std::sync::Arc;

use arrow::array::*;

use super::*;

fn values(array: ArrayRef, column: &ColumnType, dialect: Dialect) -> Result<Vec<Value<'static>>, Misfit> {
    let fit = Fit::new(array.data_type(), column, true, dialect).expect("has a way");
    let array = fit.prepare(&array).expect("is prepared");
    let mut values = Vec::new();
    let mut put = |_, value: Value<'_>| {
        values.push(match value {
            Value::Text(text) => Value::text(text.into_owned()),
            Value::Bytes(bytes) => Value::bytes(bytes.into_owned()),
            Value::Int(value) => Value::Int(value),
            Value::UInt(value) => Value::UInt(value),
            Value::DateTime(value) => Value::DateTime(value),
            Value::Time(value) => Value::Time(value),
            _ => Value::Null,
        });
    };
    fit.each(&array, 0..array.len(), &mut put).map(|()| values)
}

fn refused(array: ArrayRef, column: &ColumnType) -> String {
    values(array, column, Dialect::MySql).expect_err("does not fit").reason
}

#[test]
fn limits_are_where_the_types_put_them() {
    let int = |bytes, unsigned| ColumnType::Integer { bytes, unsigned };
    for (column, min, max) in [
        (int(1, false), -128, 127),
        (int(2, true), 0, 65_535),
        (int(3, false), -8_388_608, 8_388_607),
        (int(4, true), 0, 4_294_967_295),
        (int(8, false), i64::MIN, i64::MAX),
        (ColumnType::Bit { bits: 9 }, 0, 511),
        (ColumnType::Year, 1901, 2155),
    ] {
        let ends: ArrayRef = Arc::new(Int64Array::from(vec![min, max]));
        assert_eq!(values(ends, &column, Dialect::MySql), Ok(vec![Value::Int(min), Value::Int(max)]));
        for beyond in [min.checked_sub(1), max.checked_add(1)].into_iter().flatten() {
            assert!(refused(Arc::new(Int64Array::from(vec![beyond])), &column).contains("out of range"));
        }
    }
    let largest: ArrayRef = Arc::new(UInt64Array::from(vec![u64::MAX]));
    assert_eq!(values(Arc::clone(&largest), &int(8, true), Dialect::MySql), Ok(vec![Value::UInt(u64::MAX)]));
    assert!(refused(largest, &int(8, false)).contains("18446744073709551615 is out of range"));
    assert!(refused(Arc::new(Int64Array::from(vec![-1])), &int(8, true)).contains("-1 is out of range"));
}

#[test]
fn decimals_are_exact_or_refused() {
    let decimals = |values: Vec<i128>| -> ArrayRef {
        Arc::new(Decimal128Array::from(values).with_precision_and_scale(10, 3).expect("fits"))
    };
    let column = ColumnType::Decimal { precision: 6, scale: 2 };
    let written = values(decimals(vec![1_230, -5_000, 9_999_990, 0]), &column, Dialect::MySql).expect("fits");
    assert_eq!(written, ["1.23", "-5.00", "9999.99", "0.00"].map(Value::text));
    assert!(refused(decimals(vec![1_231]), &column).contains("1.231 does not fit DECIMAL(6,2)"));
    assert!(refused(decimals(vec![10_000_000]), &column).contains("does not fit"));
    let wider = ColumnType::Decimal { precision: 20, scale: 5 };
    assert_eq!(values(decimals(vec![1_231]), &wider, Dialect::Sqlite), Ok(vec![Value::text("1.23100")]));
    let ints: ArrayRef = Arc::new(Int32Array::from(vec![-7]));
    assert_eq!(values(ints, &wider, Dialect::Sqlite), Ok(vec![Value::text("-7.00000")]));
}

#[test]
fn times_are_cut_never_rounded() {
    let instants: ArrayRef = Arc::new(TimestampNanosecondArray::from(vec![1_999_999_999, -1, 0]));
    let micros = |fraction| {
        let column = ColumnType::DateTime { fraction };
        values(Arc::clone(&instants), &column, Dialect::MySql).expect("fits")
    };
    assert_eq!(micros(6), [1_999_999, -1, 0].map(Value::DateTime));
    assert_eq!(micros(3), [1_999_000, -1_000, 0].map(Value::DateTime));
    assert_eq!(micros(0), [1_000_000, -1_000_000, 0].map(Value::DateTime));
    let far: ArrayRef = Arc::new(TimestampSecondArray::from(vec![i64::MAX]));
    assert!(refused(far, &ColumnType::DateTime { fraction: 6 }).contains("takes the years 1 to 9999"));
    let late: ArrayRef = Arc::new(TimestampSecondArray::from(vec![2_147_483_648]));
    assert!(refused(late, &ColumnType::Timestamp { fraction: 0 }).contains("TIMESTAMP takes 1970"));
}

#[test]
fn types_that_would_be_changed_quietly_have_no_way() {
    let way = |arrow: DataType, column: &ColumnType| Fit::new(&arrow, column, true, Dialect::MySql);
    let text = ColumnType::Text { characters_max: Some(10), bytes_max: None };
    for (arrow, column) in [
        (DataType::Float64, ColumnType::Float),
        (DataType::Float64, ColumnType::Decimal { precision: 10, scale: 2 }),
        (DataType::Utf8, ColumnType::Date),
        (DataType::Utf8, ColumnType::Integer { bytes: 4, unsigned: false }),
        (DataType::Int32, text.clone()),
        (DataType::Binary, text.clone()),
        (DataType::Timestamp(TimeUnit::Second, None), ColumnType::Date),
        (DataType::Decimal128(20, 2), ColumnType::Double),
        (DataType::Utf8, ColumnType::Other("point".into())),
    ] {
        let error = way(arrow.clone(), &column).expect_err("no way");
        let hint = if arrow.is_decimal() { "CAST it to DOUBLE in the view" } else { "hint: its place is" };
        assert!(error.to_string().contains(hint), "{error}");
    }
    assert!(way(DataType::Int64, &ColumnType::Double).is_ok(), "exact up to 2^53, and checked");
    assert!(way(DataType::Date32, &ColumnType::DateTime { fraction: 0 }).is_ok());
}

#[test]
fn a_date_that_is_refused_is_said_as_a_date() {
    let days: ArrayRef = Arc::new(Date32Array::from(vec![2_932_897]));
    assert_eq!(
        refused(days, &ColumnType::Date),
        "10000-01-01 is out of range, DATE takes the years 1 to 9999"
    );
    let micros: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![-62_135_596_800_000_001]));
    let moment = ColumnType::DateTime { fraction: 6 };
    assert_eq!(
        refused(micros, &moment),
        "0000-12-31 23:59:59.999999 is out of range, DATETIME(6) takes the years 1 to 9999"
    );
    let seconds: ArrayRef = Arc::new(TimestampSecondArray::from(vec![i64::MAX]));
    assert!(refused(seconds, &moment).contains("microseconds since 1970 is out of range"));
}

#[test]
fn texts_are_counted_in_characters_and_bytes_in_bytes() {
    let text = |max| ColumnType::Text { characters_max: Some(max), bytes_max: None };
    let crabs = || -> ArrayRef { Arc::new(StringArray::from(vec!["🦀🦀🦀"])) };
    assert!(values(crabs(), &text(3), Dialect::MySql).is_ok());
    assert!(refused(crabs(), &text(2)).contains("3 characters, the column takes at most 2"));
    let char = ColumnType::Char { characters_max: 3 };
    assert!(values(crabs(), &char, Dialect::MySql).is_ok());
    assert!(refused(Arc::new(StringArray::from(vec!["a "])), &char).contains("drops the spaces at the end"));
    let tiny = ColumnType::Text { characters_max: None, bytes_max: Some(11) };
    assert!(refused(crabs(), &tiny).contains("12 bytes"));
    let fixed = ColumnType::Binary { bytes_max: Some(4), is_fixed: true };
    assert!(refused(Arc::new(BinaryArray::from(vec![&b"abc"[..]])), &fixed).contains("takes exactly 4"));
    let long: ArrayRef = Arc::new(StringArray::from(vec!["x".repeat(500)]));
    assert!(refused(long, &text(2)).len() < 150, "values are shortened");
}

/// A server takes a number that is no word for the place of one.
#[test]
fn numbers_are_no_places_of_words() {
    let fits = |declared: &str, text: &str| {
        let column = ColumnType::parse_mysql(declared, true);
        values(Arc::new(StringArray::from(vec![text])), &column, Dialect::MySql).is_ok()
    };
    for text in ["2", "1", "0", "+1", "-1", "01", "2 ", " 2", "\t2", "99999"] {
        assert!(!fits("enum('new','paid','sent')", text), "{text:?}");
        assert!(!fits("set('a','b','c')", text), "{text:?}");
    }
    for text in ["10", "0", "1", "2", "2 "] {
        assert!(fits("enum('10','0','1','2')", text), "{text:?}");
    }
    for text in ["01", "3", "4"] {
        assert!(!fits("enum('10','0','1','2')", text), "{text:?}");
    }
    // The server compares others by its collation, and refuses what is none of them.
    for text in ["paid", "PAID", "", "a,b", "1,2", "x", "1e0", "0x1"] {
        assert!(fits("enum('new','paid')", text) && fits("set('1','2')", text), "{text:?}");
    }
    let reason = refused(Arc::new(StringArray::from(vec!["2"])), &ColumnType::parse_mysql("enum('a')", true));
    assert_eq!(reason, "\"2\" is none of the column's words");
}

#[test]
fn a_value_is_written_in_one_spelling() {
    let written = |declared: &str, text: &str| {
        let column = ColumnType::parse_mysql(declared, true);
        values(Arc::new(StringArray::from(vec![text])), &column, Dialect::MariaDb)
    };
    let uuid = "550e8400-e29b-41d4-a716-446655440000";
    assert_eq!(written("uuid", &uuid.to_uppercase()), Ok(vec![Value::text(uuid)]));
    assert_eq!(written("inet6", "0:0:0:0:0:0:0:1"), Ok(vec![Value::text("::1")]));
    assert_eq!(written("inet4", "x").expect_err("no address").reason, "\"x\" is no INET4");
}
