//! Both directions: what is certain is claimed, and what is claimed has no NULL when it is computed.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;

use arrow::array::{
    Array as _, ArrayRef, AsArray as _, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int32Array,
    Int64Array, ListArray, RecordBatch, StringArray, StructArray, TimestampMillisecondArray,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::{filter_record_batch, not};
use arrow::datatypes::{Field, Fields};
use datafusion::common::utils::memory::RecordBatchMemoryCounter;
use datafusion::execution::memory_pool::MemoryConsumer;

use super::expressions::TOTAL;
use super::*;
use crate::sql::raised::RAISE_ERROR;
use crate::sql::view::HeldRows;
use crate::sql::{Scope, ViewFiles};

const MEMORY_MAX: usize = 64 << 20;

fn texts(rows: usize, random: &mut fastrand::Rng) -> StringArray {
    let values = ["", "a", "José ", "12", "-7.5", "2026-01-31 10:00:00", "lisbon", "\u{1F600}x", "%_\\"];
    StringArray::from_iter_values((0..rows).map(|_| *random.choice(&values).expect("a value")))
}

/// The same values, and NULL among them.
fn with_nulls(array: ArrayRef, random: &mut fastrand::Rng) -> ArrayRef {
    let valid: Vec<bool> = (0..array.len()).map(|_| random.bool()).collect();
    let data = array.to_data().into_builder().nulls(Some(NullBuffer::from(valid))).build().expect("the same");
    arrow::array::make_array(data)
}

fn record(fields: &[(&str, ArrayRef)]) -> ArrayRef {
    let types: Fields =
        fields.iter().map(|(name, array)| Field::new(*name, array.data_type().clone(), true)).collect();
    Arc::new(StructArray::new(types, fields.iter().map(|(_, array)| Arc::clone(array)).collect(), None))
}

/// A list in each row, of 0 to 2 items.
fn list(
    items: &dyn Fn(usize, &mut fastrand::Rng) -> ArrayRef,
    rows: usize,
    random: &mut fastrand::Rng,
) -> ArrayRef {
    let lengths: Vec<usize> = (0..rows).map(|_| random.usize(0..3)).collect();
    let items = items(lengths.iter().sum(), random);
    let item = Arc::new(Field::new("item", items.data_type().clone(), true));
    Arc::new(ListArray::new(item, OffsetBuffer::from_lengths(lengths), items, None))
}

/// Messages with values at the ends of their types: `t`, `i`, `d`, `m`, `b`, `at`, `day`, `person`, `words` and `lines` are
/// required, with all that is in them but `city`; the others begin with `o` and are optional.
fn messages(rows: usize, seed: u64) -> (RecordBatch, Vec<Nulls>) {
    let random = &mut fastrand::Rng::with_seed(seed);
    let mut each = |values: &[i64]| -> Vec<i64> {
        (0..rows).map(|_| *random.choice(values).expect("a value")).collect()
    };
    let small = each(&[0, 1, -1, 2, 3]);
    let integers = each(&[0, 1, -1, 7, i64::MAX, i64::MIN]);
    let moments = each(&[0, 1_770_000_000_123, -1, i64::MAX, i64::MIN, 8_210_266_876_799_999]);
    let days = each(&[0, 20_000, -1, i64::from(i32::MAX), i64::from(i32::MIN)]);
    let doubles = each(&[0, 1, 2, 3, 4, 5]);
    let doubles =
        doubles.into_iter().map(|place| [0.0, -1.5, 1e300, f64::NAN, f64::INFINITY, 2.5][place as usize]);
    let cents = each(&[0, 1, -150, 99_999_999_999]);
    let flags: Vec<bool> = each(&[0, 1]).into_iter().map(|flag| flag == 1).collect();
    let decimals = Decimal128Array::from_iter_values(cents.into_iter().map(i128::from));
    let lines = |count: usize, random: &mut fastrand::Rng| {
        let numbers: ArrayRef = Arc::new(Int32Array::from_iter_values((0..count).map(|_| random.i32(-2..9))));
        record(&[("sku", Arc::new(texts(count, random))), ("quantity", numbers)])
    };
    let words = |count: usize, random: &mut fastrand::Rng| -> ArrayRef { Arc::new(texts(count, random)) };
    let open_words =
        |count: usize, random: &mut fastrand::Rng| with_nulls(Arc::new(texts(count, random)), random);
    let t: ArrayRef = Arc::new(texts(rows, random));
    let city = with_nulls(Arc::new(texts(rows, random)), random);
    let person = record(&[("name", Arc::new(texts(rows, random))), ("city", city)]);
    let n: ArrayRef = Arc::new(Int32Array::from_iter_values(small.iter().map(|value| *value as i32)));
    let required: [(&str, ArrayRef, Nulls); 11] = [
        ("t", Arc::clone(&t), Nulls::NEVER),
        ("i", Arc::new(Int64Array::from(integers)), Nulls::NEVER),
        ("n", Arc::clone(&n), Nulls::NEVER),
        ("d", Arc::new(Float64Array::from_iter_values(doubles)), Nulls::NEVER),
        ("m", Arc::new(decimals.with_precision_and_scale(12, 2).expect("digits")), Nulls::NEVER),
        ("b", Arc::new(BooleanArray::from(flags)), Nulls::NEVER),
        ("at", Arc::new(TimestampMillisecondArray::from(moments).with_timezone("UTC")), Nulls::NEVER),
        (
            "day",
            Arc::new(Date32Array::from_iter_values(days.into_iter().map(|day| day as i32))),
            Nulls::NEVER,
        ),
        ("person", Arc::clone(&person), person_nulls(true)),
        ("words", list(&words, rows, random), Nulls::NEVER.with_items(Nulls::NEVER)),
        ("lines", list(&lines, rows, random), Nulls::NEVER.with_items(line_nulls())),
    ];
    let optional: [(&str, ArrayRef, Nulls); 5] = [
        ("ot", with_nulls(t, random), Nulls::default()),
        ("on", with_nulls(n, random), Nulls::default()),
        ("operson", with_nulls(person, random), person_nulls(false)),
        ("owords", list(&open_words, rows, random), Nulls::NEVER.with_items(Nulls::default())),
        ("olines", with_nulls(list(&lines, rows, random), random), Nulls::default().with_items(line_nulls())),
    ];
    let all = || required.iter().chain(&optional);
    let columns = all().map(|(name, array, nulls)| (*name, Arc::clone(array), !nulls.is_never));
    let batch = RecordBatch::try_from_iter_with_nullable(columns).expect("a batch");
    (batch, all().map(|(_, _, nulls)| nulls.clone()).collect())
}

fn person_nulls(is_never: bool) -> Nulls {
    let fields = [("name".to_owned(), Nulls::NEVER), ("city".to_owned(), Nulls::default())];
    Nulls::never_if(is_never).with_fields(fields)
}

fn line_nulls() -> Nulls {
    Nulls::NEVER.with_fields(["sku", "quantity"].map(|name| (name.to_owned(), Nulls::NEVER)))
}

/// A query, its columns that are claimed to have no NULL, and how many messages it was computed for without a fault.
struct Judged {
    claimed: Vec<String>,
    computed: usize,
}

/// The rows that are not deleted.
fn written(rows: &RecordBatch) -> RecordBatch {
    match rows.column_by_name(DELETE_COLUMN) {
        Some(delete) => filter_record_batch(rows, &not(delete.as_boolean()).expect("flags")).expect("rows"),
        None => rows.clone(),
    }
}

/// Computes queries over all messages together, and where that fails, over each alone.
///
/// # Panics
/// A column has a NULL and is claimed to have none.
async fn judged(queries: &[String]) -> Vec<Option<Judged>> {
    let (messages, nulls) = messages(60, 7);
    let names: Vec<String> = (0..queries.len()).map(|place| format!("v{place}")).collect();
    let views: Vec<(&str, &str)> =
        names.iter().map(String::as_str).zip(queries.iter().map(String::as_str)).collect();
    let files = ViewFiles::from_texts(&views).expect("views");
    let unknown = BTreeSet::new();
    let survey =
        Survey::of(&files, Some(messages.schema()), Vec::new(), &unknown, Scope::Whole(&[]), MEMORY_MAX);
    let survey = survey.await;
    let nullable = survey.nullable(nulls);
    let planned = survey.planned.as_ref().expect("a session");
    let context = planned.state.task_ctx();
    let mut all = Vec::new();
    for (name, sql) in views {
        let Some(view) = planned.steps.iter().find_map(|step| match step {
            PreparedStep::View { view, .. } if &*view.name == name => Some(view),
            _ => None,
        }) else {
            all.push(None);
            continue;
        };
        let fields = view.schema();
        let is_claimed = |column: &String| !nullable[name].contains(column);
        let claimed: Vec<String> =
            fields.fields().iter().map(|field| field.name().clone()).filter(is_claimed).collect();
        let alone = (0..messages.num_rows()).map(|row| messages.slice(row, 1));
        let mut computed = 0;
        for rows in std::iter::once(messages.clone()).chain(alone) {
            planned.batch.fill(vec![rows.clone()]).expect("filled");
            let reservation = MemoryConsumer::new("test").register(&planned.state.runtime_env().memory_pool);
            let mut held = HeldRows { reservation, counter: RecordBatchMemoryCounter::new() };
            let Ok(found) = view.run(&planned.state, &context, &mut held).await else { continue };
            let found: Vec<RecordBatch> = found.iter().map(written).collect();
            for column in &claimed {
                let is_null =
                    |rows: &RecordBatch| rows.column_by_name(column).expect("it").logical_null_count() > 0;
                assert!(!found.iter().any(is_null), "{column} has a NULL: {sql}");
            }
            computed += rows.num_rows();
            if rows.num_rows() == messages.num_rows() {
                break;
            }
        }
        all.push(Some(Judged { claimed, computed }));
    }
    all
}

#[tokio::test]
async fn what_the_schema_requires_is_claimed_and_nothing_else() {
    let cases = [
        (
            "SELECT t AS a, ot AS x, lower(t) AS b, lower(ot) AS y, t || '-' || i AS c, t || ot AS z FROM batch",
            "a b c",
        ),
        ("SELECT n + 1 AS a, -n AS b, n * n - n AS c, n + on AS x FROM batch", "a b c"),
        ("SELECT n / 2 AS a, nullif(n, 1) AS x, TRY_CAST(t AS INT) AS y FROM batch", "a"),
        ("SELECT CAST(n AS VARCHAR) AS a, CAST(at AS DATE) AS b, CAST(m AS DOUBLE) AS c FROM batch", "a b c"),
        ("SELECT CASE WHEN n > 1 THEN t ELSE 'x' END AS a, CASE WHEN n > 1 THEN t END AS x FROM batch", "a"),
        (
            "SELECT CASE WHEN ot IS NULL THEN '-' ELSE ot END AS a, CASE WHEN ot = 'a' THEN ot ELSE '' END AS b, \
          CASE WHEN ot IS NULL OR n = 1 THEN '' ELSE ot END AS x, CASE ot WHEN 'a' THEN 1 ELSE on END AS y FROM batch",
            "a b",
        ),
        (
            "SELECT coalesce(ot, 'x') AS a, coalesce(ot, person.city, t) AS b, coalesce(ot, person.city) AS x FROM batch",
            "a b",
        ),
        (
            "SELECT n > 1 AS a, on > 1 AS x, on IS NULL AS b, t LIKE 'a%' AS c, n BETWEEN 1 AND 3 AS d, n IN (1, 2) AS e, \
          n IN (1, NULL) AS y, n BETWEEN 1 AND on AS z FROM batch",
            "a b c d e",
        ),
        ("SELECT person.name AS a, person.city AS x, operson.name AS y FROM batch", "a"),
        (
            "SELECT person.name AS a, operson.name AS b, operson.city AS x FROM batch WHERE operson IS NOT NULL",
            "a b",
        ),
        (
            "SELECT person.city AS a, ot AS b, on AS x FROM batch WHERE upper(person.city) <> 'A' AND ot LIKE '%'",
            "b",
        ),
        ("SELECT person.city AS a, operson.name AS b FROM batch WHERE person.city = operson.name", "a b"),
        ("SELECT ot AS x FROM batch WHERE ot IS NOT NULL OR n = 1", ""),
        (
            "SELECT line.sku AS a, line.quantity * 2 AS b, ot AS x FROM (SELECT unnest(lines) AS line, ot FROM batch)",
            "a b",
        ),
        ("SELECT line.sku AS x FROM (SELECT unnest(olines) AS line FROM batch)", ""),
        (
            "SELECT line.sku AS a FROM (SELECT unnest(olines) AS line FROM batch WHERE olines IS NOT NULL)",
            "a",
        ),
        ("SELECT unnest(words) AS a, t AS b FROM batch", "a b"),
        ("SELECT unnest(owords) AS x FROM batch", ""),
        ("SELECT unnest(words) AS x, unnest(owords) AS y, t AS a FROM batch", "a"),
        (
            "SELECT line.sku AS a, no AS b FROM (SELECT unnest(lines) AS line, \
          unnest(generate_series(1, CAST(array_length(lines) AS BIGINT))) AS no FROM batch)",
            "a b",
        ),
        (
            "SELECT line.sku AS x, no AS y FROM (SELECT unnest(lines) AS line, \
          unnest(generate_series(1, CAST(array_length(words) AS BIGINT))) AS no FROM batch)",
            "",
        ),
        ("SELECT words[1] AS x, lines[1].sku AS y FROM batch", ""),
        ("SELECT l.t AS a, r.t AS b FROM batch l JOIN batch r ON l.n = r.n", "a b"),
        ("SELECT l.t AS a, r.t AS x FROM batch l LEFT JOIN batch r ON l.n = r.on", "a"),
        ("SELECT l.t AS x, r.t AS a FROM batch l RIGHT JOIN batch r ON l.on = r.n", "a"),
        ("SELECT l.t AS x, r.t AS y FROM batch l FULL JOIN batch r ON l.on = r.on", ""),
        ("SELECT l.on AS a, r.on AS b FROM batch l JOIN batch r ON l.on = r.on", "a b"),
        ("SELECT l.on AS x FROM batch l JOIN batch r ON l.on IS NOT DISTINCT FROM r.on", ""),
        ("SELECT t AS a FROM batch WHERE EXISTS (SELECT 1 FROM batch o WHERE o.n = batch.n)", "a"),
        (
            "SELECT (SELECT max(n) FROM batch WHERE n > 100) AS x, (SELECT count(*) FROM batch) AS a FROM batch",
            "a",
        ),
        ("SELECT max(n) AS x, sum(n) AS y, count(*) AS a FROM batch WHERE n > 100", "a"),
        (
            "SELECT t AS a, max(n) AS b, avg(n) AS c, max(on) AS x, sum(n) FILTER (WHERE n > 1) AS y FROM batch GROUP BY t",
            "a b c",
        ),
        ("SELECT t AS x, max(n) AS y FROM batch GROUP BY ROLLUP (t)", ""),
        ("SELECT ot AS x, count(*) AS a FROM batch GROUP BY ot HAVING max(n) > 0", "a"),
        (
            "SELECT row_number() OVER (ORDER BY i, t) AS a, lag(n) OVER (ORDER BY i, t) AS x, lag(n, 1, 0) OVER (ORDER BY i, t) AS b, \
          max(n) OVER (PARTITION BY t) AS c, max(n) OVER (ORDER BY i ROWS BETWEEN 2 PRECEDING AND 1 PRECEDING) AS y, \
          sum(n) OVER (ORDER BY i ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS d FROM batch",
            "a b c d",
        ),
        ("SELECT t AS a, t AS x FROM batch UNION ALL SELECT t, ot FROM batch", "a"),
        ("SELECT t AS a, NULL AS x FROM batch", "a"),
        ("SELECT a, x FROM (VALUES (1, 2), (3, NULL)) AS v(a, x)", "a"),
        (
            "WITH w AS (SELECT DISTINCT lower(t) AS a, ot AS x FROM batch) SELECT * FROM w ORDER BY a LIMIT 3",
            "a",
        ),
        (
            "WITH RECURSIVE w AS (SELECT 1 AS x UNION ALL SELECT nullif(x + 1, 3) FROM w WHERE x < 5) SELECT x FROM w",
            "",
        ),
        ("SELECT array_agg(t) AS a, array_agg(ot) AS x FROM batch GROUP BY n", "a"),
        ("SELECT now() AS a, uuid() AS b, 1 AS c, CAST(NULL AS INT) AS x FROM batch", "a b c"),
        (
            "SELECT t AS k, person.name AS a, false AS _delete FROM batch UNION ALL SELECT t, NULL, true FROM batch",
            "k a _delete",
        ),
    ];
    let queries: Vec<String> = cases.iter().map(|(sql, _)| (*sql).to_owned()).collect();
    let mut wrong = String::new();
    for ((sql, expected), judged) in cases.iter().zip(judged(&queries).await) {
        let found = judged.map_or("no plan".to_owned(), |judged| match judged.computed {
            0 => "never computed".to_owned(),
            _ => judged.claimed.join(" "),
        });
        let mut expected: Vec<&str> = expected.split_whitespace().collect();
        let mut found: Vec<&str> = found.split_whitespace().collect();
        expected.sort_unstable();
        found.sort_unstable();
        if expected != found {
            writeln!(wrong, "{sql}\n  expected {expected:?}, found {found:?}").expect("a line");
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

/// A call of each function that is taken for total, with arguments of all kinds.
#[tokio::test]
async fn total_functions_return_no_null() {
    let calls = [
        "abs(i)",
        "abs(d)",
        "abs(m)",
        "ascii(t)",
        "bit_length(t)",
        "btrim(t)",
        "ceil(d)",
        "ceil(m)",
        "char_length(t)",
        "character_length(t)",
        "chr(i)",
        "concat(t, n)",
        "concat_ws(t, t, n)",
        "contains(t, t)",
        "current_date()",
        "current_timestamp()",
        "date_trunc('month', at)",
        "date_trunc('second', at)",
        "date_trunc('week', day)",
        "ends_with(t, 'a')",
        "floor(d)",
        "floor(m)",
        "greatest(n, i)",
        "greatest(d, n)",
        "initcap(t)",
        "left(t, n)",
        "left(t, i)",
        "least(d, i)",
        "length(t)",
        "levenshtein(t, 'a')",
        "lower(t)",
        "lpad(t, n)",
        "lpad(t, n, t)",
        "ltrim(t, 'a')",
        "make_array(t, t)",
        "md5(t)",
        "named_struct('a', t)",
        "now()",
        "octet_length(t)",
        "overlay(t PLACING 'x' FROM n)",
        "overlay(t PLACING t FROM n FOR n)",
        "position('a' IN t)",
        "regexp_like(t, '[a-z]')",
        "regexp_like(t, t)",
        "regexp_replace(t, '[a-z]', t)",
        "regexp_replace(t, t, 'x', 'g')",
        "repeat(t, n)",
        "repeat(t, i)",
        "replace(t, 'a', t)",
        "replace(t, t, 'x')",
        "reverse(t)",
        "right(t, n)",
        "right(t, i)",
        "round(d)",
        "round(d, n)",
        "round(m, 1)",
        "round(i)",
        "rpad(t, n)",
        "rpad(t, n, t)",
        "rtrim(t)",
        "sha256(t)",
        "signum(d)",
        "signum(i)",
        "starts_with(t, t)",
        "strpos(t, t)",
        "struct(t, n)",
        "substr(t, n)",
        "substr(t, i)",
        "substr(t, n, n)",
        "substring(t FROM n FOR 2)",
        "to_hex(i)",
        "translate(t, t, 'xyz')",
        "trim(t)",
        "trim(BOTH 'a' FROM t)",
        "trunc(d)",
        "trunc(d, n)",
        "trunc(m, 1)",
        "upper(t)",
        "uuid()",
        // Casts and operators, between values at the ends of their types.
        "CAST(i AS INT)",
        "CAST(i AS DOUBLE)",
        "CAST(i AS DECIMAL(20, 2))",
        "CAST(i AS VARCHAR)",
        "CAST(i AS BOOLEAN)",
        "CAST(i AS TIMESTAMP)",
        "CAST(d AS INT)",
        "CAST(d AS REAL)",
        "CAST(d AS DECIMAL(10, 2))",
        "CAST(d AS VARCHAR)",
        "CAST(m AS INT)",
        "CAST(m AS DECIMAL(5, 1))",
        "CAST(m AS VARCHAR)",
        "CAST(b AS INT)",
        "CAST(b AS VARCHAR)",
        "CAST(t AS INT)",
        "CAST(t AS DOUBLE)",
        "CAST(t AS DECIMAL(9, 2))",
        "CAST(t AS DATE)",
        "CAST(t AS TIMESTAMP)",
        "CAST(at AS DATE)",
        "CAST(at AS VARCHAR)",
        "CAST(at AS TIMESTAMP)",
        "CAST(day AS VARCHAR)",
        "CAST(day AS TIMESTAMP)",
        "CAST(day AS INT)",
        "i + n",
        "i - n",
        "i * n",
        "i / n",
        "i % n",
        "d / d",
        "m / n",
        "m / m",
        "d % n",
        "d + i",
        "d * d",
        "m + m",
        "m * m",
        "m * d",
        "-i",
        "-d",
        "t || i",
        "at = at",
        "day < at",
        "t < n",
        "d = n",
        "b AND b",
        "NOT b",
        "b OR n > 1",
    ];
    let queries: Vec<String> = calls.iter().map(|call| format!("SELECT {call} AS a FROM batch")).collect();
    let (judged, mut wrong) = (judged(&queries).await, Vec::new());
    let mut untested = BTreeSet::from(TOTAL);
    // It returns nothing.
    untested.remove(RAISE_ERROR);
    for (call, judged) in calls.iter().zip(judged) {
        match judged {
            Some(judged) if judged.computed > 0 && judged.claimed == ["a"] => {}
            Some(judged) => {
                wrong.push(format!("{call}: claimed {:?}, computed {}", judged.claimed, judged.computed))
            }
            None => wrong.push(format!("{call}: no plan")),
        }
        untested.remove(call.split('(').next().expect("a name"));
    }
    assert!(wrong.is_empty() && untested.is_empty(), "{}\nuntested: {untested:?}", wrong.join("\n"));
}

/// An expression of a kind: a text, a number or a condition.
fn expression(kind: u8, depth: usize, random: &mut fastrand::Rng) -> String {
    let leaf =
        |options: &[&str], random: &mut fastrand::Rng| (*random.choice(options).expect("one")).to_owned();
    if depth == 0 {
        return match kind {
            0 => leaf(
                &["t", "ot", "person.name", "person.city", "operson.name", "words[1]", "'a'", "NULL"],
                random,
            ),
            1 => leaf(&["n", "on", "length(t)", "3", "NULL", "CAST(m AS INT)"], random),
            _ => leaf(&["b", "ot IS NULL", "on IS NOT NULL", "operson IS NULL", "TRUE"], random),
        };
    }
    let mut of = |kind| expression(kind, depth - 1, random);
    let (text, other, number, by, condition, second) = (of(0), of(0), of(1), of(1), of(2), of(2));
    let made = match kind {
        0 => [
            format!("lower({text})"),
            format!("{text} || {other}"),
            format!("coalesce({text}, {other})"),
            format!("CASE WHEN {condition} THEN {text} ELSE {other} END"),
            format!("CASE WHEN {condition} THEN {text} WHEN {second} THEN {other} END"),
            format!("CASE WHEN {text} IS NULL THEN {other} ELSE {text} END"),
            format!("CASE WHEN ot IS NULL THEN {other} WHEN {condition} THEN ot ELSE {text} END"),
            format!("nullif({text}, {other})"),
            format!("substr({text}, {number})"),
            format!("CAST({number} AS VARCHAR)"),
            format!("split_part({text}, {other}, 1)"),
        ],
        1 => [
            format!("({number} + {by})"),
            format!("({number} * {by})"),
            format!("({number} / {by})"),
            format!("length({text})"),
            format!("coalesce({number}, {by})"),
            format!("CASE WHEN {condition} THEN {number} ELSE {by} END"),
            format!("TRY_CAST({text} AS INT)"),
            format!("nullif({number}, {by})"),
            format!("greatest({number}, {by})"),
            format!("abs({number})"),
            format!("CASE {number} WHEN 1 THEN {by} ELSE 0 END"),
        ],
        _ => [
            format!("({number} > {by})"),
            format!("({text} = {other})"),
            format!("({condition} AND {second})"),
            format!("({condition} OR {second})"),
            format!("NOT {condition}"),
            format!("({text} IS NOT NULL)"),
            format!("({number} IN ({by}, 2))"),
            format!("({text} LIKE {other})"),
            format!("({number} BETWEEN {by} AND 5)"),
            format!("({text} IS DISTINCT FROM {other})"),
            condition,
        ],
    };
    random.choice(&made).expect("one").clone()
}

#[tokio::test]
async fn of_random_queries_what_is_claimed_has_no_null() {
    const QUERIES: usize = 300;
    let random = &mut fastrand::Rng::with_seed(14);
    let sources = [
        "batch",
        "(SELECT * FROM batch WHERE operson IS NOT NULL AND ot <> 'a') AS q",
        "(SELECT l.*, r.n AS rn FROM batch l LEFT JOIN batch r ON l.n = r.on) AS q",
        "(SELECT r.* FROM batch l LEFT JOIN batch r ON l.n = r.on + 2) AS q",
        "(SELECT * FROM batch UNION ALL SELECT * FROM batch WHERE b) AS q",
    ];
    let queries = (0..QUERIES).map(|_| {
        let (depth, source) = (random.usize(0..4), *random.choice(&sources).expect("one"));
        let mut of = |kind| expression(kind, depth, random);
        let (text, number, flag, condition) = (of(0), of(1), of(2), of(2));
        match random.u8(0..4) {
            0 => format!(
                "SELECT {text} AS a, max({number}) AS c, count({number}) AS d FROM {source} GROUP BY {text}"
            ),
            1 => format!("SELECT {text} AS a, {number} AS c, {flag} AS d FROM {source} WHERE {condition}"),
            2 => format!(
                "SELECT {text} AS a, max({number}) OVER (ORDER BY {flag}) AS c, {flag} AS d FROM {source}"
            ),
            _ => format!("SELECT {text} AS a, {number} AS c, {flag} AS d FROM {source}"),
        }
    });
    let judged = judged(&queries.collect::<Vec<_>>()).await;
    let computed = || judged.iter().flatten().filter(|judged| judged.computed > 0);
    let claimed: usize = computed().map(|judged| judged.claimed.len()).sum();
    assert!(computed().count() > QUERIES / 2, "{} are computed", computed().count());
    // Of three columns a query, neither all nor none.
    assert!(claimed > QUERIES / 2 && claimed < computed().count() * 2, "{claimed} are claimed");
}
