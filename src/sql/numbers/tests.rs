//! Operators and functions at the ends of their types, beside arithmetic in which nothing overflows.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray as _, Date32Array, Decimal128Array, Float32Array, Float64Array, Int8Array,
    Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray, UInt64Array,
};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{DataType, Decimal128Type, Decimal256Type, i256};
use arrow::util::display::array_value_to_string;
use datafusion::execution::session_state::SessionState;
use datafusion::physical_plan::execution_plan::reset_plan_states;
use datafusion::physical_plan::{ExecutionPlan, collect};
use datafusion::sql::parser::{DFParserBuilder, Statement};
use proptest::prelude::*;

use super::super::literals;
use super::super::session::{register, session};
use super::super::slot::Slot;
use super::super::statement::statement_of;

/// A query that is planned once, over rows that change.
struct Query {
    state: SessionState,
    slot: Slot,
    plan: Arc<dyn ExecutionPlan>,
}

impl Query {
    async fn plan(rows: &RecordBatch, sql: &str) -> Result<Self, String> {
        let mut state = session(64 << 20).expect("a session");
        state.mark_start_execution();
        let slot = Slot::new("t", rows.schema(), 10);
        register(&state, "t", Arc::new(slot.clone())).expect("registered");
        let mut statements =
            DFParserBuilder::new(sql).build().and_then(|mut parser| parser.parse_statements());
        let mut statement: Statement =
            statements.as_mut().map_err(|error| error.to_string())?.pop_front().expect("a statement");
        literals::rewrite(statement_of(&mut statement).expect("a query"));
        let logical = state.statement_to_plan(statement).await.map_err(|error| error.to_string())?;
        let plan = state.create_physical_plan(&logical).await.map_err(|error| error.to_string())?;
        Ok(Self { state, slot, plan })
    }

    async fn run(&self, rows: &RecordBatch) -> Result<RecordBatch, String> {
        self.slot.fill(vec![rows.clone()]).expect("filled");
        let plan = reset_plan_states(Arc::clone(&self.plan)).expect("reset");
        let schema = plan.schema();
        let batches = collect(plan, self.state.task_ctx()).await;
        let batches = batches.map_err(|error| error.find_root().to_string())?;
        Ok(concat_batches(&schema, &batches).expect("one batch"))
    }
}

async fn rows_of(rows: &RecordBatch, sql: &str) -> Result<RecordBatch, String> {
    Query::plan(rows, sql).await?.run(rows).await
}

/// Rows as text: values by blanks, rows by semicolons.
fn text_of(rows: &RecordBatch) -> String {
    let value = |column: &ArrayRef, row: usize| match column.is_null(row) {
        true => "NULL".to_owned(),
        false => array_value_to_string(column, row).expect("a text"),
    };
    let row =
        |row: usize| rows.columns().iter().map(|column| value(column, row)).collect::<Vec<_>>().join(" ");
    (0..rows.num_rows()).map(row).collect::<Vec<_>>().join("; ")
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime")
}

/// Values as a column of a type.
fn column(values: &[i128], of: &DataType) -> ArrayRef {
    let wide = Decimal128Array::from(values.to_vec());
    cast(&wide.with_precision_and_scale(38, 0).expect("digits"), of).expect("a column")
}

fn batch(columns: &[(&str, ArrayRef)]) -> RecordBatch {
    let columns = columns.iter().map(|(name, column)| (*name, Arc::clone(column), true));
    RecordBatch::try_from_iter_with_nullable(columns).expect("a batch")
}

fn ends(of: &DataType) -> (i128, i128) {
    match of {
        DataType::Int8 => (i8::MIN.into(), i8::MAX.into()),
        DataType::Int16 => (i16::MIN.into(), i16::MAX.into()),
        DataType::Int32 => (i32::MIN.into(), i32::MAX.into()),
        DataType::Int64 => (i64::MIN.into(), i64::MAX.into()),
        DataType::UInt8 => (0, u8::MAX.into()),
        DataType::UInt16 => (0, u16::MAX.into()),
        DataType::UInt32 => (0, u32::MAX.into()),
        _ => (0, u64::MAX.into()),
    }
}

#[test]
fn operators_on_integers_are_right_or_refused() {
    let types = [
        DataType::Int8,
        DataType::Int16,
        DataType::Int32,
        DataType::Int64,
        DataType::UInt8,
        DataType::UInt16,
        DataType::UInt32,
        DataType::UInt64,
    ];
    type Expected = fn(i128, i128) -> Option<i128>;
    let operators: [(&str, Expected); 6] = [
        ("a + b", |a, b| Some(a + b)),
        ("a - b", |a, b| Some(a - b)),
        ("a * b", i128::checked_mul),
        ("-a", |a, _| Some(-a)),
        ("a << b", |a, b| match b {
            0..63 => Some(a << b),
            _ => (a == 0 && b > 0).then_some(0),
        }),
        ("a >> b", |a, b| (0..).contains(&b).then(|| a >> b.min(127))),
    ];
    runtime().block_on(async {
        for of in types {
            let (least, most) = ends(&of);
            let mut values: Vec<i128> = vec![least, least + 1, -2, -1, 0, 1, 2, 3, most / 2, most - 1, most];
            values.retain(|value| (least..=most).contains(value));
            let pairs: Vec<(i128, i128)> =
                values.iter().flat_map(|a| values.iter().map(|b| (*a, *b))).collect();
            for (operator, expected) in operators {
                if operator == "-a" && least == 0 {
                    continue;
                }
                let expected =
                    |(a, b): &(i128, i128)| expected(*a, *b).filter(|value| (least..=most).contains(value));
                let rows = |pairs: &[(i128, i128)]| {
                    let (a, b): (Vec<_>, Vec<_>) = pairs.iter().copied().unzip();
                    batch(&[("a", column(&a, &of)), ("b", column(&b, &of))])
                };
                let query = Query::plan(&rows(&pairs), &format!("SELECT {operator} AS x FROM t"))
                    .await
                    .expect("planned");
                let (right, refused): (Vec<_>, Vec<_>) =
                    pairs.iter().copied().partition(|pair| expected(pair).is_some());
                let found = query.run(&rows(&right)).await.expect("all fit");
                assert_eq!(found.column(0).data_type(), &of, "{operator}");
                let found = cast(found.column(0), &DataType::Decimal128(38, 0)).expect("numbers");
                let found: Vec<_> = found.as_primitive::<Decimal128Type>().iter().collect();
                assert_eq!(found, right.iter().map(expected).collect::<Vec<_>>(), "{of} {operator}");
                for pair in refused {
                    let error = query.run(&rows(&[(1, 1), pair])).await.expect_err("it does not fit");
                    assert!(error.contains("is out of range"), "{of} {operator} {pair:?}: {error}");
                }
            }
        }
    });
}

#[test]
fn operators_on_decimals_are_right_or_refused() {
    let most = 10_i128.pow(38) - 1;
    let values = [
        -most,
        1 - most,
        -(1 << 100),
        -15,
        -1,
        0,
        1,
        3,
        10,
        10_i128.pow(20),
        10_i128.pow(37),
        most - 1,
        most,
    ];
    let pairs: Vec<(i128, i128)> = values.iter().flat_map(|a| values.iter().map(|b| (*a, *b))).collect();
    type Expected = fn(i256, i256) -> Option<i256>;
    let ten = |power: u32| i256::from_i128(10).checked_pow(power).expect("a power");
    // The scale of `a` is 4, that of `b` is 2.
    let operators: [(&str, Expected); 5] = [
        ("a + b", |a, b| a.checked_add(b.checked_mul(i256::from_i128(100))?)),
        ("a - b", |a, b| a.checked_sub(b.checked_mul(i256::from_i128(100))?)),
        ("a * b", i256::checked_mul),
        // Rounded: (2a + b) / 2b, by their absolute values.
        ("a / b", |a, b| {
            let two = i256::from_i128(2);
            let dividend = a.wrapping_abs().checked_mul(i256::from_i128(2_000_000))?;
            let divisor = b.wrapping_abs();
            let rounded = dividend.checked_add(divisor)?.checked_div(divisor.checked_mul(two)?)?;
            Some(if a.is_negative() == b.is_negative() { rounded } else { rounded.wrapping_neg() })
        }),
        ("a % b", |a, b| a.checked_rem(b.checked_mul(i256::from_i128(100))?)),
    ];
    let rows = |pairs: &[(i128, i128)]| {
        let (a, b): (Vec<_>, Vec<_>) = pairs.iter().copied().unzip();
        let of = |values: Vec<i128>, scale| {
            let values = Decimal128Array::from(values).with_precision_and_scale(38, scale);
            Arc::new(values.expect("digits")) as ArrayRef
        };
        batch(&[("a", of(a, 4)), ("b", of(b, 2))])
    };
    runtime().block_on(async {
        for (operator, expected) in operators {
            let expected = |(a, b): &(i128, i128)| {
                let value = expected(i256::from_i128(*a), i256::from_i128(*b))?;
                (value.wrapping_abs() < ten(38)).then(|| value.to_i128().expect("38 digits"))
            };
            let query =
                Query::plan(&rows(&pairs), &format!("SELECT {operator} AS x FROM t")).await.expect("planned");
            let (right, refused): (Vec<_>, Vec<_>) =
                pairs.iter().copied().partition(|pair| expected(pair).is_some());
            let found = query.run(&rows(&right)).await.expect("all fit");
            let found: Vec<_> = found.column(0).as_primitive::<Decimal128Type>().iter().collect();
            assert_eq!(found, right.iter().map(expected).collect::<Vec<_>>(), "{operator}");
            for pair in refused {
                let error = query.run(&rows(&[(1, 1), pair])).await.expect_err("it does not fit");
                let is_told =
                    error.contains("is out of range") || pair.1 == 0 && error.contains("divide by zero");
                assert!(is_told, "{operator} {pair:?}: {error}");
            }
        }
    });
}

/// What `sum` and `avg` are over, and the exact answers.
#[derive(Clone, Copy, Debug)]
enum Frame {
    All,
    Groups,
    Running,
    Sliding,
    Distinct,
    SlidingDistinct,
}

impl Frame {
    fn sql(self, call: &str) -> String {
        let over = |frame: &str, call: &str| {
            format!("SELECT {call} OVER (ORDER BY n {frame}) AS x FROM t ORDER BY n")
        };
        let distinct = call.replace('(', "(DISTINCT ");
        match self {
            Self::All => format!("SELECT {call} AS x FROM t"),
            Self::Groups => format!("SELECT {call} AS x FROM t GROUP BY n % 2 ORDER BY n % 2"),
            Self::Running => over("ROWS UNBOUNDED PRECEDING", call),
            Self::Sliding => over("ROWS BETWEEN 2 PRECEDING AND 1 FOLLOWING", call),
            Self::Distinct => format!("SELECT {distinct} AS x FROM t"),
            Self::SlidingDistinct => over("ROWS 2 PRECEDING", &distinct),
        }
    }

    fn parts(self, values: &[Option<i128>]) -> Vec<Vec<i128>> {
        let rows = values.len();
        let part =
            |rows: &mut dyn Iterator<Item = usize>| rows.filter_map(|row| values[row]).collect::<Vec<_>>();
        let distinct = |mut part: Vec<i128>| {
            part.sort_unstable();
            part.dedup();
            part
        };
        match self {
            Self::All => vec![part(&mut (0..rows))],
            Self::Groups => {
                let kinds = (0..rows.min(2)).map(|kind| part(&mut (kind..rows).step_by(2)));
                kinds.collect()
            }
            Self::Running => (0..rows).map(|row| part(&mut (0..=row))).collect(),
            Self::Sliding => {
                let frame = |row: usize| part(&mut (row.saturating_sub(2)..(row + 2).min(rows)));
                (0..rows).map(frame).collect()
            }
            Self::Distinct => vec![distinct(part(&mut (0..rows)))],
            Self::SlidingDistinct => {
                (0..rows).map(|row| distinct(part(&mut (row.saturating_sub(2)..=row)))).collect()
            }
        }
    }
}

const FRAMES: [Frame; 6] =
    [Frame::All, Frame::Groups, Frame::Running, Frame::Sliding, Frame::Distinct, Frame::SlidingDistinct];

fn near_the_ends(of: &'static DataType) -> impl Strategy<Value = Option<i128>> {
    let (least, most) = match of {
        DataType::Decimal128(..) => (1 - 10_i128.pow(38), 10_i128.pow(38) - 1),
        of => ends(of),
    };
    let value = prop_oneof![
        4 => 0_i128..9,
        1 => Just(most),
        1 => Just(least),
        1 => Just(most / 2),
        1 => Just(least / 2),
        1 => Just((least + 5).max(0)),
    ];
    proptest::option::weighted(0.9, value)
}

fn sums_are_exact(of: &DataType, values: &[Option<i128>]) {
    let (least, most) = match of {
        DataType::Decimal128(..) => (1 - 10_i128.pow(38), 10_i128.pow(38) - 1),
        of => ends(of),
    };
    let numbers: Decimal128Array = values.iter().copied().collect();
    let numbers = cast(&numbers.with_precision_and_scale(38, 0).expect("digits"), of).expect("a column");
    let rows =
        batch(&[("n", Arc::new(Int64Array::from_iter_values((0..).take(values.len())))), ("v", numbers)]);
    runtime().block_on(async {
        for frame in FRAMES {
            let sums: Vec<Option<i256>> = frame
                .parts(values)
                .iter()
                .map(|part| {
                    let sum =
                        part.iter().fold(i256::ZERO, |sum, value| sum.wrapping_add(i256::from_i128(*value)));
                    (!part.is_empty()).then_some(sum)
                })
                .collect();
            let fits = |sum: &i256| *sum >= i256::from_i128(least) && *sum <= i256::from_i128(most);
            let sql = frame.sql("sum(v)");
            match rows_of(&rows, &sql).await {
                Ok(found) => {
                    assert!(sums.iter().flatten().all(fits), "{sql} {values:?}");
                    let found = cast(found.column(0), &DataType::Decimal256(76, 0)).expect("numbers");
                    let found: Vec<_> = found.as_primitive::<Decimal256Type>().iter().collect();
                    assert_eq!(found, sums, "{sql} {values:?}");
                }
                Err(error) => {
                    assert!(!sums.iter().flatten().all(fits), "{sql} {values:?}: {error}");
                    assert!(error.contains("is out of range: the sum does not fit"), "{error}");
                }
            }
            if matches!(of, DataType::Int64 | DataType::UInt64) {
                let counts = frame.parts(values).into_iter().map(|part| part.len());
                let averages = sums.iter().zip(counts).map(|(sum, count)| {
                    let sum = sum.and_then(i256::to_i128)?;
                    #[expect(clippy::cast_precision_loss, reason = "that is what avg gives")]
                    Some(sum as f64 / count as f64)
                });
                let sql = frame.sql("avg(v)");
                let found = rows_of(&rows, &sql).await.expect("averages fit");
                let found = found.column(0).as_primitive::<arrow::datatypes::Float64Type>().iter();
                assert_eq!(found.collect::<Vec<_>>(), averages.collect::<Vec<_>>(), "{sql} {values:?}");
            }
        }
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn sums_of_integers(values in proptest::collection::vec(near_the_ends(&DataType::Int64), 1..12)) {
        sums_are_exact(&DataType::Int64, &values);
    }

    #[test]
    fn sums_of_unsigned_integers(values in proptest::collection::vec(near_the_ends(&DataType::UInt64), 1..12)) {
        sums_are_exact(&DataType::UInt64, &values);
    }

    #[test]
    fn sums_of_decimals(values in proptest::collection::vec(near_the_ends(&DataType::Decimal128(38, 0)), 1..12)) {
        sums_are_exact(&DataType::Decimal128(38, 0), &values);
    }
}

/// Two rows: what a query over `t` answers, is in [`ANSWERS`].
fn table() -> RecordBatch {
    let decimals = |values: [i128; 2], digits, scale| {
        let values = Decimal128Array::from(values.to_vec()).with_precision_and_scale(digits, scale);
        Arc::new(values.expect("digits")) as ArrayRef
    };
    // 9999-12-31 23:59:59.999999 and 0001-01-01.
    let far = TimestampMicrosecondArray::from(vec![253_402_300_799_999_999, -62_135_596_800_000_000]);
    batch(&[
        ("n", Arc::new(Int64Array::from(vec![1, 2]))),
        ("tiny", Arc::new(Int8Array::from(vec![i8::MAX, i8::MIN]))),
        ("int", Arc::new(Int32Array::from(vec![i32::MAX, i32::MIN]))),
        ("big", Arc::new(Int64Array::from(vec![i64::MAX, i64::MIN]))),
        ("unsigned", Arc::new(UInt64Array::from(vec![u64::MAX, 0]))),
        ("f", Arc::new(Float64Array::from(vec![-0.0, 0.0]))),
        ("g", Arc::new(Float32Array::from(vec![0.1, -0.0]))),
        ("h", Arc::new(Float64Array::from(vec![1e17, 0.1]))),
        ("d", decimals([115, 110], 12, 2)),
        ("wide", decimals([9_007_199_254_740_991 * 10_i128.pow(10), 10_i128.pow(28)], 38, 10)),
        ("s", Arc::new(StringArray::from(vec!["-0", "9999-12-31 23:59:59"]))),
        ("ts", Arc::new(far)),
        ("day", Arc::new(Date32Array::from(vec![2_932_896, -719_162]))),
    ])
}

/// A query, and its rows; or what its error has in it, after an exclamation mark.
const ANSWERS: &[(&str, &str)] = &[
    // Integers: on columns, on constants, in conditions, and where nothing can overflow.
    ("SELECT int + int FROM t WHERE n = 1", "!is out of range: 2147483647 + 2147483647 does not fit INT"),
    ("SELECT int + 1 FROM t", "2147483648; -2147483647"),
    ("SELECT int * int FROM t WHERE n = 2", "!is out of range"),
    ("SELECT CAST(int AS BIGINT) * int FROM t", "4611686014132420609; 4611686018427387904"),
    ("SELECT big + 1 FROM t", "!9223372036854775807 + 1 does not fit BIGINT"),
    ("SELECT n FROM t WHERE big - 1 > 0", "!-9223372036854775808 - 1 does not fit BIGINT"),
    ("SELECT 9223372036854775807 + 1", "!9223372036854775807 + 1 does not fit BIGINT"),
    ("SELECT 9223372036854775807 * 2 FROM t", "!does not fit BIGINT"),
    ("SELECT -big FROM t", "!-(-9223372036854775808) does not fit BIGINT"),
    ("SELECT -9223372036854775808", "-9223372036854775808"),
    ("SELECT abs(big) FROM t", "!overflow"),
    ("SELECT unsigned + unsigned FROM t", "!does not fit BIGINT UNSIGNED"),
    ("SELECT tiny * CAST(2 AS TINYINT) FROM t", "!127 * 2 does not fit TINYINT"),
    ("SELECT count(*) * 9223372036854775807 FROM t", "!2 * 9223372036854775807 does not fit BIGINT"),
    ("SELECT CAST(big AS INT) FROM t", "!9223372036854775807"),
    ("SELECT CAST(1e30 AS INT)", "!1e30"),
    ("SELECT big / -1 FROM t", "!is out of range"),
    ("SELECT big % -1 FROM t", "0; 0"),
    ("SELECT CASE WHEN big < 0 THEN 0 ELSE big - 1 END FROM t", "9223372036854775806; 0"),
    ("SELECT sum(x) FROM (SELECT big + 0 AS x FROM t UNION ALL SELECT 1)", "0"),
    ("SELECT sum(big + 1) FROM t WHERE n = 2", "-9223372036854775807"),
    ("SELECT sum(int) FROM t", "-1"),
    ("SELECT avg(int), avg(d), avg(n) FROM t", "-0.5 1.125000 1.5"),
    (
        "SELECT avg(wide), sum(wide) FROM t",
        "504503599627370495.50000000000000 1009007199254740991.0000000000",
    ),
    ("SELECT sum(DISTINCT big) FROM t GROUP BY n ORDER BY n", "9223372036854775807; -9223372036854775808"),
    // Decimals.
    ("SELECT wide * wide FROM t WHERE n = 1", "!"),
    (
        "SELECT sum(wide * CAST(0.99 AS DECIMAL(38, 10))) FROM t WHERE n = 1",
        "8917127262193581.09000000000000000000",
    ),
    // Literals with a point are exact; with an exponent they are doubles.
    ("SELECT CAST(d * 0.5 AS DECIMAL(12, 2)) FROM t WHERE n = 1", "0.58"),
    ("SELECT n FROM t WHERE d * 1.1 > 1.21", "1"),
    (
        "SELECT arrow_typeof(1.5), arrow_typeof(1e3), arrow_typeof(-1.5e-1), -1.5e-1",
        "Decimal128(2, 1) Float64 Float64 -0.15",
    ),
    ("SELECT n FROM t WHERE h > 0.1", "1"),
    ("SELECT n FROM t WHERE h >= 0.1 AND h < 1e18 ORDER BY n", "1; 2"),
    ("SELECT n FROM t WHERE h = 0.1", "2"),
    ("SELECT n FROM t WHERE h IN (0.1, 7)", "2"),
    ("SELECT n FROM t WHERE h BETWEEN 0.1 AND 99.5", "2"),
    ("SELECT n FROM t WHERE big IN (9223372036854775807.0, 7)", "1"),
    (
        "SELECT coalesce(NULL, h, 0.5), CASE WHEN n = 1 THEN h ELSE 0.5 END, greatest(h, 0.5) FROM t",
        "1e17 1e17 1e17; 0.1 0.5 0.5",
    ),
    ("SELECT x FROM (SELECT h AS x FROM t UNION ALL SELECT 0.25) ORDER BY x", "0.1; 0.25; 1e17"),
    ("SELECT x FROM (SELECT h AS x FROM t INTERSECT SELECT 0.1)", "0.1"),
    ("SELECT n FROM t WHERE h IN (SELECT 0.1)", "2"),
    ("SELECT n FROM t WHERE 0.1 IN (SELECT h FROM t) ORDER BY n", "1; 2"),
    ("SELECT h * 0.5, h + 0.5 FROM t WHERE n = 2", "0.05 0.6"),
    (
        "SELECT round(2.5), round(2.345, 2), sqrt(6.25), power(2, 0.5), floor(-1.5), 7 / 2.0",
        "3 2.35 2.5 1.4142135623730951 -2.0 3.5000",
    ),
    ("SELECT approx_percentile_cont(n, 0.5) FROM t", "1.5"),
    ("SELECT percentile_cont(n, 0.5) FROM t", "1.5"),
    ("SELECT nvl(d, 0.5), ifnull(wide, 0) FROM t WHERE n = 1", "1.15 9007199254740991.0000000000"),
    ("SELECT a FROM (VALUES (1e-20), (1.5), (-2.5)) v(a)", "1e-20; 1.5; -2.5"),
    // One zero.
    ("SELECT count(DISTINCT f), count(*) FROM t", "1 2"),
    ("SELECT f, count(*) FROM t GROUP BY f", "0.0 2"),
    ("SELECT DISTINCT f * -1 FROM t", "0.0"),
    ("SELECT DISTINCT -f FROM t", "0.0"),
    (
        "SELECT rank() OVER (ORDER BY f), row_number() OVER (PARTITION BY f ORDER BY n) FROM t ORDER BY n",
        "1 1; 1 2",
    ),
    ("SELECT count(DISTINCT round(x / 10)) FROM (SELECT -0.5e0 AS x UNION ALL SELECT 0.5e0)", "1"),
    ("SELECT n FROM t WHERE f IN (0e0, 5e0) ORDER BY n", "1; 2"),
    ("SELECT nullif(f, 0e0), CASE f WHEN 0e0 THEN 'zero' END FROM t", "NULL zero; NULL zero"),
    ("SELECT a.n, b.n FROM t a JOIN t b ON a.f = b.f ORDER BY a.n, b.n", "1 1; 1 2; 2 1; 2 2"),
    ("SELECT f FROM t INTERSECT SELECT -0e0", "0.0"),
    ("SELECT CAST(s AS DOUBLE) FROM t WHERE n = 1", "0.0"),
    ("SELECT -0e0, trunc(-0.5e0), ceil(-0.5e0), CAST(-1e-300 AS FLOAT)", "0.0 0.0 0.0 0.0"),
    (
        "SELECT array_distinct(make_array(f, 0e0)), json_get_float('{\"a\": -0.0}', 'a') FROM t WHERE n = 1",
        "[0.0] 0.0",
    ),
    ("SELECT g FROM t WHERE n = 2", "0.0"),
    // Moments from 0001 to 9999.
    ("SELECT to_timestamp('9999-12-31 23:59:59.999999')", "9999-12-31T23:59:59.999999"),
    (
        "SELECT TIMESTAMP '9999-12-31 23:59:59.999999', TIMESTAMP '0001-01-01 00:00:00'",
        "9999-12-31T23:59:59.999999 0001-01-01T00:00:00",
    ),
    (
        "SELECT s::timestamp, to_timestamp(s), to_timestamp_seconds(s) FROM t WHERE n = 2",
        "9999-12-31T23:59:59 9999-12-31T23:59:59 9999-12-31T23:59:59",
    ),
    ("SELECT CAST(day AS TIMESTAMP) FROM t", "9999-12-31T00:00:00; 0001-01-01T00:00:00"),
    (
        "SELECT CAST(253402300799 AS TIMESTAMP), to_timestamp(253402300799), to_timestamp(1.5), to_timestamp(0.000001e0)",
        "9999-12-31T23:59:59 9999-12-31T23:59:59 1970-01-01T00:00:01.500 1970-01-01T00:00:00.000001",
    ),
    ("SELECT to_timestamp(1e300)", "!out of range"),
    ("SELECT to_timestamp(9223372036854775807)", "!exceeds"),
    ("SELECT to_timestamp('31.12.9999', '%d.%m.%Y')", "9999-12-31T00:00:00"),
    ("SELECT to_timestamp('31.12.9999 23:59:59', '%d.%m.%Y %H:%M:%S')", "9999-12-31T23:59:59"),
    (
        "SELECT date_trunc('month', ts), date_trunc('week', ts), date_trunc('hour', ts) FROM t",
        "9999-12-01T00:00:00 9999-12-27T00:00:00 9999-12-31T23:00:00; 0001-01-01T00:00:00 0001-01-01T00:00:00 0001-01-01T00:00:00",
    ),
    ("SELECT date_trunc('year', TIMESTAMP '9999-12-31 00:00:00')", "9999-01-01T00:00:00"),
    ("SELECT n FROM t WHERE ts = '9999-12-31 23:59:59.999999'", "1"),
    ("SELECT n FROM t WHERE ts > TIMESTAMP '2024-01-01 00:00:00' AND ts > DATE '2024-01-01'", "1"),
    ("SELECT n FROM t WHERE ts BETWEEN '0001-01-01' AND '2024-01-01'", "2"),
    (
        "SELECT ts - INTERVAL '1 year', ts + INTERVAL '-1 day' FROM t WHERE n = 1",
        "9998-12-31T23:59:59.999999 9999-12-30T23:59:59.999999",
    ),
    (
        "SELECT date_part('year', ts), extract(month FROM ts), to_char(ts, '%Y') FROM t WHERE n = 1",
        "9999 12 9999",
    ),
    (
        "SELECT arrow_typeof(now()), arrow_typeof(current_timestamp), arrow_typeof(to_timestamp(0))",
        "Timestamp(µs) Timestamp(µs) Timestamp(µs)",
    ),
    (
        "SELECT ts = DATE '9999-12-31', ts > day, day = '9999-12-31', ts - DATE '9999-12-31' FROM t WHERE n = 1",
        "false true true PT86399.999999S",
    ),
    ("SELECT date_bin(INTERVAL '1 hour', ts) FROM t", "9999-12-31T23:00:00; 0001-01-01T00:00:00"),
    ("SELECT generate_series(ts, ts, INTERVAL '1 day') FROM t", "!"),
    (
        "SELECT CAST('9999-12-31' AS TIMESTAMP WITH TIME ZONE), now() < ts FROM t WHERE n = 1",
        "9999-12-31T00:00:00Z true",
    ),
    (
        "SELECT arrow_typeof(ts AT TIME ZONE 'Europe/Lisbon') FROM t LIMIT 1",
        "Timestamp(µs, \"Europe/Lisbon\")",
    ),
];

#[test]
fn answers_are_right_or_refused() {
    let rows = table();
    let mut wrong = Vec::new();
    runtime().block_on(async {
        for (sql, expected) in ANSWERS {
            let found = match rows_of(&rows, sql).await {
                Ok(found) => text_of(&found),
                Err(error) => format!("!{error}"),
            };
            let is_right = match expected.strip_prefix('!') {
                Some(part) => found.starts_with('!') && found.contains(part),
                None => found == *expected,
            };
            if !is_right {
                wrong.push(format!("{sql}\n  expected {expected}\n  found    {found}"));
            }
        }
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

const SLIDING: [&str; 12] = [
    "sum(f)",
    "avg(f)",
    "var_samp(f)",
    "var_pop(f)",
    "stddev(f)",
    "stddev_pop(f)",
    "covar_samp(f, g)",
    "covar_pop(f, g)",
    "corr(f, g)",
    "regr_slope(f, g)",
    "regr_sxy(f, g)",
    "sum(f) FILTER (WHERE g > 0)",
];

/// A value of a frame, as the aggregate over the frame's rows alone gives it.
async fn frame_alone(rows: &RecordBatch, call: &str) -> Option<f64> {
    let found = rows_of(rows, &format!("SELECT {call} AS x FROM t")).await.expect("an aggregate");
    let found = found.column(0).as_primitive::<arrow::datatypes::Float64Type>();
    found.is_valid(0).then(|| found.value(0))
}

#[test]
fn frames_that_slide_over_doubles_do_not_remember() {
    let f = [1e17, 1.0, 1.0, 2.0, f64::NAN, 3.0, 4.0, f64::INFINITY, 5.0, 6.5, 7.0, -1e3, 1.0, 0.25, 9.0];
    let g: Vec<f64> = (0..).map(|n: i32| f64::from(n * 7 % 5) - 1.0).take(f.len()).collect();
    let n = Int64Array::from_iter_values((0..).take(f.len()));
    let rows = batch(&[
        ("n", Arc::new(n)),
        ("f", Arc::new(Float64Array::from(f.to_vec()))),
        ("g", Arc::new(Float64Array::from(g))),
    ]);
    runtime().block_on(async {
        for call in SLIDING {
            let sql = format!("SELECT {call} OVER (ORDER BY n ROWS 2 PRECEDING) AS x FROM t ORDER BY n");
            let found = rows_of(&rows, &sql).await.expect("rows");
            let found = found.column(0).as_primitive::<arrow::datatypes::Float64Type>();
            for row in 0..f.len() {
                let first = row.saturating_sub(2);
                let expected = frame_alone(&rows.slice(first, row + 1 - first), call).await;
                let found = found.is_valid(row).then(|| found.value(row));
                let are_finite = f[first..=row].iter().all(|value| value.is_finite());
                let is_near = match (found, expected) {
                    (Some(found), Some(expected)) if expected.is_finite() => {
                        (found - expected).abs() <= 1e-9 * expected.abs()
                    }
                    // What an infinity makes of a variance depends on the order of the rows.
                    (found, _) if !are_finite => !found.is_some_and(f64::is_finite),
                    (found, expected) => found == expected,
                };
                assert!(is_near, "{call} at row {row}: {found:?}, expected {expected:?}");
            }
        }
    });
}

/// Aggregates that cannot take a value out again: DataFusion refuses such frames when they run.
#[test]
fn frames_slide_over_aggregates_that_take_nothing_out() {
    let texts = [Some("a"), None, Some(""), Some("b"), Some("b"), None, None, None, Some("c"), Some("d")];
    let n: ArrayRef = Arc::new(Int64Array::from_iter_values((0..).take(texts.len())));
    let rows = batch(&[("n", n), ("s", Arc::new(StringArray::from(texts.to_vec())))]);
    let calls = [
        "string_agg(s, '-')",
        "string_agg(s, '-') FILTER (WHERE n <> 4)",
        "bool_and(s <> 'b')",
        "bool_or(s = 'b')",
        "bit_and(n)",
        "bit_or(n)",
        "any_value(s)",
        "approx_distinct(s)",
        "approx_median(n)",
        "approx_percentile_cont(n, 0.5)",
    ];
    runtime().block_on(async {
        for call in calls {
            for frame in
                ["1 PRECEDING", "BETWEEN 2 PRECEDING AND 1 FOLLOWING", "BETWEEN 1 FOLLOWING AND 2 FOLLOWING"]
            {
                let sql = format!("SELECT {call} OVER (ORDER BY n ROWS {frame}) AS x FROM t ORDER BY n");
                let found = rows_of(&rows, &sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
                for row in 0..texts.len() {
                    let (first, end) = match frame {
                        "1 PRECEDING" => (row.saturating_sub(1), row + 1),
                        "BETWEEN 2 PRECEDING AND 1 FOLLOWING" => (row.saturating_sub(2), row + 2),
                        _ => (row + 1, row + 3),
                    };
                    let (first, end) = (first.min(texts.len()), end.min(texts.len()));
                    let (frame, alone) =
                        (rows.slice(first, end - first), format!("SELECT {call} AS x FROM t"));
                    let expected = rows_of(&frame, &alone).await.expect("an aggregate");
                    assert_eq!(
                        found.column(0).slice(row, 1).as_ref(),
                        expected.column(0).as_ref(),
                        "{sql}, row {row}"
                    );
                }
            }
        }
    });
}
