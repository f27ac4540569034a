//! Every Arrow type that a view can return is read back as it was written.

use arrow::compute::{cast, concat_batches, sort_to_indices, take};
use arrow::datatypes::*;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::*;
use crate::database::{Origin, Reader, json};

/// What is read back for a column that is written.
#[derive(Clone, Copy)]
enum Back {
    /// The same, in this program's type for the column.
    Cast,
    /// The same text in JSON, however it is spaced and ordered.
    Json,
    /// This text, as it is written in JSON strings.
    Text,
    /// Microseconds, cut towards the past.
    Micros,
}

struct Written {
    name: &'static str,
    array: ArrayRef,
    back: Back,
}

const ROWS_MAX: usize = 40;
/// 0001-01-01 and 9999-12-31.
const DAYS: std::ops::Range<i64> = -719_162..2_932_897;

/// Random values of every type, about a fifth of them NULL.
fn written(seed: u64, rows: usize, is_mysql: bool) -> Vec<Written> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut columns = Vec::new();
    macro_rules! column {
        ($name:literal, $array:ty, $back:ident, |$rng:ident| $value:expr) => {
            column!($name, $array, $back, |$rng| $value, |array| array)
        };
        ($name:literal, $array:ty, $back:ident, |$rng:ident| $value:expr, |$built:ident| $finish:expr) => {{
            let $rng = &mut rng;
            let values: Vec<_> =
                (0..rows).map(|_| if $rng.u8(0..5) == 0 { None } else { Some($value) }).collect();
            let $built = <$array>::from_iter(values);
            columns.push(Written { name: $name, array: Arc::new($finish), back: Back::$back });
        }};
    }
    fn text(rng: &mut fastrand::Rng) -> String {
        let alphabet =
            ['a', 'Z', '0', ' ', '\'', '"', '\\', '%', '\0', '\n', '\u{1a}', 'é', 'ß', '你', '🦀', ';', '?'];
        (0..rng.usize(0..20)).map(|_| alphabet[rng.usize(0..alphabet.len())]).collect()
    }
    fn bytes(rng: &mut fastrand::Rng) -> Vec<u8> {
        (0..rng.usize(0..20)).map(|_| rng.u8(..)).collect()
    }
    fn any_f64(rng: &mut fastrand::Rng) -> f64 {
        let any = f64::from_bits(rng.u64(..));
        if any.is_finite() && any.abs() < 1e300 { any } else { 0.1 }
    }
    /// MySQL stores no denormal singles.
    fn any_f32(rng: &mut fastrand::Rng) -> f32 {
        let any = f32::from_bits(rng.u32(..));
        if any.is_normal() && any.abs() < 1e38 { any } else { 0.1 }
    }
    let u64_max = if is_mysql { u64::MAX } else { i64::MAX as u64 };
    column!("bool", BooleanArray, Cast, |rng| rng.bool());
    column!("i8", Int8Array, Cast, |rng| rng.i8(..));
    column!("i16", Int16Array, Cast, |rng| rng.i16(..));
    column!("i32", Int32Array, Cast, |rng| rng.i32(..));
    column!("i64", Int64Array, Cast, |rng| rng.i64(..));
    column!("u8", UInt8Array, Cast, |rng| rng.u8(..));
    column!("u16", UInt16Array, Cast, |rng| rng.u16(..));
    column!("u32", UInt32Array, Cast, |rng| rng.u32(..));
    column!("u64", UInt64Array, Cast, |rng| rng.u64(..=u64_max));
    column!("f32", Float32Array, Cast, |rng| any_f32(rng));
    column!("f64", Float64Array, Cast, |rng| any_f64(rng));
    column!("d32", Decimal32Array, Cast, |rng| rng.i32(-999_999_999..=999_999_999), |array| array
        .with_precision_and_scale(9, 2)
        .expect("fits"));
    column!("d64", Decimal64Array, Cast, |rng| rng.i64(..) / 10, |array| array
        .with_precision_and_scale(18, 18)
        .expect("fits"));
    column!("d128", Decimal128Array, Cast, |rng| rng.i128(..) / 10, |array| array
        .with_precision_and_scale(38, 10)
        .expect("fits"));
    column!("d128_tens", Decimal128Array, Cast, |rng| i128::from(rng.i16(..)), |array| array
        .with_precision_and_scale(5, -2)
        .expect("fits"));
    column!("d256", Decimal256Array, Cast, |rng| i256::from_i128(rng.i128(..)), |array| {
        array.with_precision_and_scale(60, 5).expect("fits")
    });
    column!("utf8", StringArray, Cast, |rng| text(rng));
    column!("large_utf8", LargeStringArray, Cast, |rng| text(rng));
    column!("utf8_view", StringViewArray, Cast, |rng| text(rng));
    column!("binary", BinaryArray, Cast, |rng| bytes(rng));
    column!("large_binary", LargeBinaryArray, Cast, |rng| bytes(rng));
    column!("binary_view", BinaryViewArray, Cast, |rng| bytes(rng));
    column!("date32", Date32Array, Cast, |rng| rng.i64(DAYS) as i32);
    column!("date64", Date64Array, Cast, |rng| rng.i64(DAYS) * 86_400_000);
    column!("time_s", Time32SecondArray, Cast, |rng| rng.i32(0..86_400));
    column!("time_ms", Time32MillisecondArray, Cast, |rng| rng.i32(0..86_400_000));
    column!("time_us", Time64MicrosecondArray, Cast, |rng| rng.i64(0..86_400_000_000));
    column!("time_ns", Time64NanosecondArray, Micros, |rng| rng.i64(0..86_400_000_000_000));
    column!("ts_s", TimestampSecondArray, Cast, |rng| rng.i64(DAYS) * 86_400 + 7);
    column!("ts_ms", TimestampMillisecondArray, Cast, |rng| rng.i64(DAYS) * 86_400_000 + 7);
    column!("ts_us", TimestampMicrosecondArray, Cast, |rng| rng.i64(DAYS) * 86_400_000_000 + 7, |array| {
        array.with_timezone("America/Sao_Paulo")
    });
    column!("ts_ns", TimestampNanosecondArray, Micros, |rng| rng.i64(..));
    column!("span_ms", DurationMillisecondArray, Micros, |rng| i64::from(rng.i32(..)));
    column!("span_ns", DurationNanosecondArray, Micros, |rng| rng.i64(..));
    column!("interval", IntervalMonthDayNanoArray, Text, |rng| {
        IntervalMonthDayNano::new(rng.i32(..), rng.i32(..), rng.i64(..))
    });
    let fixed = (0..rows).map(|_| (rng.u8(0..5) > 0).then(|| rng.u128(..).to_be_bytes()));
    let fixed = FixedSizeBinaryArray::try_from_sparse_iter_with_size(fixed, 16).expect("16 bytes each");
    columns.push(Written { name: "fixed", array: Arc::new(fixed), back: Back::Cast });
    let words: DictionaryArray<Int8Type> = (0..rows).map(|row| (row % 3 > 0).then_some("word")).collect();
    columns.push(Written { name: "dictionary", array: Arc::new(words), back: Back::Cast });
    columns.push(Written { name: "null", array: Arc::new(NullArray::new(rows)), back: Back::Cast });
    let lists = (0..rows).map(|_| {
        (rng.u8(0..5) > 0).then(|| (0..rng.usize(0..4)).map(|_| Some(rng.i64(..))).collect::<Vec<_>>())
    });
    let lists = ListArray::from_iter_primitive::<Int64Type, _, _>(lists.collect::<Vec<_>>());
    columns.push(Written { name: "list", array: Arc::new(lists), back: Back::Json });
    let texts: ArrayRef = Arc::new(StringArray::from_iter_values((0..rows).map(|_| text(&mut rng))));
    let structs = StructArray::from(vec![
        (Arc::new(Field::new("text", DataType::Utf8, false)), texts),
        (Arc::new(Field::new("Zahl", DataType::Boolean, true)), Arc::clone(&columns[0].array)),
    ]);
    columns.push(Written { name: "struct", array: Arc::new(structs), back: Back::Json });
    let mut maps = MapBuilder::new(None, StringBuilder::new(), Int32Builder::new());
    for row in 0..rows {
        for entry in 0..row % 3 {
            maps.keys().append_value(format!("k{entry}"));
            maps.values().append_value(rng.i32(..));
        }
        maps.append(row % 4 > 0).expect("entries are whole");
    }
    columns.push(Written { name: "map", array: Arc::new(maps.finish()), back: Back::Json });
    columns
}

/// Writes random values of every type and reads them back; returns what was sent.
async fn is_read_back(place: &Place, seed: u64, rows: usize) -> Committed {
    place.run("DROP TABLE IF EXISTS rows_out").await;
    let written = written(seed, rows, place.is_mysql());
    let mut fields = vec![Field::new("n", DataType::Int64, false)];
    fields
        .extend(written.iter().map(|column| Field::new(column.name, column.array.data_type().clone(), true)));
    let mut columns: Vec<ArrayRef> = vec![Arc::new(Int64Array::from_iter_values(0..rows as i64))];
    columns.extend(written.iter().map(|column| Arc::clone(&column.array)));
    let schema = Arc::new(Schema::new(fields));
    let batch = RecordBatch::try_new(Arc::clone(&schema), columns).expect("columns fit");

    let mut owner = place.owner(target(&schema, Mode::Append)).await;
    let sent = owner.write(vec![batch]).await.expect("commits");

    let mut reader = Reader::new(place.address.clone());
    let relation = reader.open(Origin::Table("rows_out")).await.expect("describes");
    let read = reader.fetch_all(&relation, usize::MAX).await.expect("reads");
    let read = concat_batches(&relation.schema, &read).expect("one schema");
    let order = sort_to_indices(read.column(0), None, None).expect("sorts");
    for (column, read) in written.iter().zip(&read.columns()[1..]) {
        let read = take(read, &order, None).expect("takes");
        assert_same(column, &read);
    }
    sent
}

fn assert_same(written: &Written, read: &ArrayRef) {
    let name = written.name;
    let expected: ArrayRef = match written.back {
        Back::Cast => cast(&written.array, read.data_type()).expect(name),
        Back::Micros => {
            let numbers = cast(&written.array, &DataType::Int64).expect(name);
            let (times, by) = if name.ends_with("_ns") { (1, 1000) } else { (1000, 1) };
            let micros =
                numbers.as_primitive::<Int64Type>().unary::<_, Int64Type>(|n| (n * times).div_euclid(by));
            cast(&micros, read.data_type()).expect(name)
        }
        Back::Json | Back::Text => {
            let parsed = |array: &ArrayRef, row: usize| {
                let mut text = String::new();
                json::write(&mut text, array.as_ref(), row).expect(name);
                serde_json::from_str::<serde_json::Value>(&text).expect(name)
            };
            for row in 0..read.len() {
                assert_eq!(written.array.is_null(row), read.is_null(row), "{name}[{row}]");
                if read.is_valid(row) {
                    let stored = match written.back {
                        Back::Text => parsed(read, row),
                        _ => serde_json::from_str(read.as_string::<i32>().value(row)).expect(name),
                    };
                    assert_eq!(parsed(&written.array, row), stored, "{name}[{row}]");
                }
            }
            return;
        }
    };
    assert_eq!(&expected, read, "{name}");
}

/// A law, on one database. `statements`: how many there are then, where that is known.
fn holds_on(
    place: impl Future<Output = Place>,
    cases: u32,
    rows: std::ops::Range<usize>,
    statements: Option<usize>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let place = runtime.block_on(place);
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let law = runner.run(&(any::<u64>(), rows), |(seed, rows)| {
        let sent = runtime.block_on(is_read_back(&place, seed, rows));
        assert!(statements.is_none_or(|statements| statements == sent.statements), "{sent:?}");
        Ok(())
    });
    runtime.block_on(place.drop_database());
    law.expect("what is written is read back");
}

#[test]
fn every_type_is_read_back_from_sqlite() {
    holds_on(Place::sqlite(), 24, 0..ROWS_MAX, None);
}

#[test]
#[ignore = "needs MySQL: scripts/services up"]
fn every_type_is_read_back_from_mysql() {
    holds_on(Place::mysql(), 12, 0..ROWS_MAX, None);
}

/// So many rows go by LOAD DATA: BEGIN, the fence, the rows, COMMIT.
#[test]
#[ignore = "needs MySQL: scripts/services up"]
fn every_type_is_read_back_from_mysql_when_it_is_loaded() {
    holds_on(Place::mysql(), 6, 200..2500, Some(4));
}

#[tokio::test]
#[ignore = "needs MySQL: scripts/services up"]
async fn columns_that_people_made_are_read() {
    let place = Place::mysql().await;
    place
        .run(
            "CREATE TABLE made (y YEAR, b BIT(9), flag BIT(1), e ENUM('x','y'), s SET('p','q'), t TIMESTAMP(3) NULL, \
             c CHAR(4), m MEDIUMINT UNSIGNED, z TINYINT(1), v VARBINARY(4), l TEXT CHARACTER SET latin1, \
             u DECIMAL(5,2) UNSIGNED)",
        )
        .await;
    place
        .run("INSERT INTO made VALUES (2024, b'100000001', b'1', 'y', 'p,q', '2024-01-02 03:04:05.678', 'ab', 16777215, 1, x'00ff', 'José', 9.5)")
        .await;
    let mut reader = Reader::new(place.address.clone());
    let relation =
        reader.open(Origin::Query("SELECT *, 1 + 1 AS two, 'x' AS x FROM made; ")).await.expect("describes");
    let batch = reader.fetch_all(&relation, usize::MAX).await.expect("reads").remove(0);
    let shown = |name: &str| {
        let mut text = String::new();
        json::write(&mut text, batch.column_by_name(name).expect(name).as_ref(), 0).expect(name);
        text
    };
    let expected = [
        ("y", "2024"),
        ("b", "257"),
        ("flag", "true"),
        ("e", "\"y\""),
        ("s", "\"p,q\""),
        ("t", "\"2024-01-02T03:04:05.678Z\""),
        ("c", "\"ab\""),
        ("m", "16777215"),
        ("z", "true"),
        ("v", "\"AP8=\""),
        ("l", "\"José\""),
        ("u", "9.50"),
        ("two", "2"),
        ("x", "\"x\""),
    ];
    for (name, text) in expected {
        assert_eq!(shown(name), text, "{name}");
    }
    let numbers = relation.schema.field_with_name("u").expect("u").data_type().clone();
    assert_eq!(numbers, DataType::Decimal128(5, 2));
    place.drop_database().await;
}
