//! What authors are told where their views cannot be planned.

use super::{MEMORY_MAX, accounts_spec, batch_schema, faults, place, prepare};
use crate::diagnostic::render;
use crate::sql::{Pipeline, TableSpec, ViewFiles};

#[tokio::test]
async fn errors_of_names() {
    insta::assert_snapshot!(faults(&[("v", "SELECT custmer,\n  Agency,\n\tb.valu\nFROM batch b")]).await, @r#"
    sql/v.sql:1:8: error: no column `custmer`
      |
    1 | SELECT custmer,
      |        ^^^^^^^
    hint: did you mean `customer`?
    sql/v.sql:2:3: error: no column `Agency`
      |
    2 |   Agency,
      |   ^^^^^^
    hint: the name is `agency`: upper and lower case differ in names
    sql/v.sql:3:2: error: `b` has no column `valu`
      |
    3 | 	b.valu
      | 	^^^^^^
    hint: did you mean `value`?
    "#);
    let aliased = "SELECT value + 1 AS valu FROM batch ORDER BY vale";
    assert!(faults(&[("v", aliased)]).await.contains("hint: did you mean `value`?"), "not the alias");
    insta::assert_snapshot!(faults(&[("v", "SELECT x.customer FROM batch b")]).await, @r#"
    sql/v.sql:1:8: error: no relation `x` here, for its column `customer`
      |
    1 | SELECT x.customer FROM batch b
      |        ^^^^^^^^^^
    hint: did you mean `b`?
    "#);
    insta::assert_snapshot!(faults(&[("v", "SELECT * FROM acounts"), ("w", "SELECT * FROM Batch"), ("x", "SELECT * FROM bank.accounts")]).await, @r#"
    sql/x.sql:1:15: error: `bank.accounts` has a schema's name, but views and tables have none
      |
    1 | SELECT * FROM bank.accounts
      |               ^^^^
    hint: write the name alone
    "#);
    insta::assert_snapshot!(faults(&[("v", "SELECT * FROM acounts"), ("w", "SELECT * FROM Batch")]).await, @r#"
    sql/v.sql:1:15: error: no view or table `acounts`
      |
    1 | SELECT * FROM acounts
      |               ^^^^^^^
    hint: did you mean `accounts`?
    sql/w.sql:1:15: error: no view or table `Batch`
      |
    1 | SELECT * FROM Batch
      |               ^^^^^
    hint: the name is `batch`: upper and lower case differ in names
    "#);
    let unknown = faults(&[("v", "SELECT * FROM rates")]).await;
    assert!(
        unknown.contains("hint: there is `") && unknown.contains("under `reference_tables`"),
        "{unknown}"
    );
    insta::assert_snapshot!(faults(&[("v", "SELECT kafka_offset FROM batch a, batch b")]).await, @r#"
    sql/v.sql:1:8: error: `kafka_offset` is ambiguous: more than one relation has a column of that name
      |
    1 | SELECT kafka_offset FROM batch a, batch b
      |        ^^^^^^^^^^^^
    hint: write `relation.column`
    "#);
    insta::assert_snapshot!(faults(&[("accounts", "SELECT 1 AS x"), ("batch", "SELECT 1 AS x")]).await, @r#"
    sql/accounts.sql: error: `accounts` is a table of the configuration and a view
    hint: rename one of them
    sql/batch.sql: error: a view cannot be called `batch`: that is the messages of the trigger
    hint: rename the file
    "#);
}

#[tokio::test]
async fn errors_of_columns_without_a_name() {
    insta::assert_snapshot!(faults(&[("v", "SELECT count(*),\n  (agency),\n  CAST(customer AS BIGINT)\nFROM batch GROUP BY agency, customer")]).await, @r#"
    sql/v.sql:1:8: error: the column `count(*)` has no name
      |
    1 | SELECT count(*),
      |        ^^^^^
    hint: give it one: `count(*) AS name`
    sql/v.sql:3:8: error: the column `CAST(customer AS BIGINT)` has no name
      |
    3 |   CAST(customer AS BIGINT)
      |        ^^^^^^^^
    hint: give it one: `CAST(customer AS BIGINT) AS name`
    "#);
    insta::assert_snapshot!(faults(&[("v", "(SELECT 1 + 1) UNION ALL SELECT customer FROM batch")]).await, @r#"
    sql/v.sql:1:9: error: the column `1 + 1` has no name
      |
    1 | (SELECT 1 + 1) UNION ALL SELECT customer FROM batch
      |         ^^^^^
    hint: give it one: `1 + 1 AS name`
    "#);
    // Only the columns of the view itself need names.
    let inner = "SELECT c AS customers FROM (SELECT count(DISTINCT customer), max(value) FROM batch) AS n (c, m) \
                 WHERE EXISTS (SELECT 1 FROM batch) UNION ALL SELECT 7";
    prepare(&[("v", inner), ("w", "VALUES (1, 2)")], vec![]).await.unwrap();
}

#[tokio::test]
async fn errors_of_other_dialects() {
    insta::assert_snapshot!(faults(&[("v", "SELECT customer FROM batch WHERE agency = \"north\"")]).await, @r#"
    sql/v.sql:1:43: error: no column `north`
      |
    1 | SELECT customer FROM batch WHERE agency = "north"
      |                                           ^^^^^^^
    hint: text is written in single quotes: 'north'
    "#);
    insta::assert_snapshot!(faults(&[("v", "SELECT \"Customer\" FROM batch")]).await, @r#"
    sql/v.sql:1:8: error: no column `Customer`
      |
    1 | SELECT "Customer" FROM batch
      |        ^^^^^^^^^^
    hint: the name is `customer`: upper and lower case differ in names
    "#);
    insta::assert_snapshot!(faults(&[("v", "SELECT dateadd(day, 1, kafka_timestamp) AS x FROM batch")]).await, @r#"
    sql/v.sql:1:8: error: invalid function 'dateadd'
      |
    1 | SELECT dateadd(day, 1, kafka_timestamp) AS x FROM batch
      |        ^^^^^^^
    hint: write `x + INTERVAL '1 day'`
    "#);
}

/// Each column of a view, where it is refused, and what the hint says.
#[tokio::test]
async fn what_no_row_can_make_right_is_refused_where_it_stands() {
    for (column, at, hint) in [
        ("to_timestamp(agency, 'yyyy-MM-dd HH:mm:ss')", 29, "write '%Y-%m-%d %H:%M:%S'"),
        ("date_format(kafka_timestamp, 'yyyy-MM')", 37, "write '%Y-%m'"),
        ("to_char(kafka_timestamp, '%Y-%m-%d %H:%i:%s')", 33, "write '%Y-%m-%d %H:%M:%S'"),
        ("date_trunc('mounth', kafka_timestamp)", 19, "did you mean `month`?"),
        ("date_part('yaer', kafka_timestamp)", 18, "did you mean `year`?"),
        ("extract(mounth FROM kafka_timestamp)", 16, "did you mean `month`?"),
        ("date_part('century', kafka_timestamp)", 18, "write `(extract(year FROM x) + 99) / 100`"),
        ("extract(decade FROM kafka_timestamp)", 28, "write `extract(year FROM x) / 10`"),
        ("extract(timezone FROM kafka_timestamp)", 30, "there is `day`"),
        ("datepart(weekday, kafka_timestamp)", 17, "there is `day`"),
        ("extract(year FROM CAST(kafka_timestamp AS TIME))", 31, "fields are hour, minute"),
        ("extract(dow FROM kafka_timestamp - kafka_timestamp)", 25, "fields are week, day"),
        ("value / 0", 16, "`x / nullif(y, 0)` is NULL"),
        ("TIMESTAMP 'noon'", 18, "`TRY_CAST(x AS type)` is NULL"),
        ("CAST('seven' AS INT)", 13, "`TRY_CAST(x AS type)` is NULL"),
        ("customer % (0.0)", 20, "`x / nullif(y, 0)` is NULL"),
        ("agency + agency", 8, "texts are joined with `||`"),
        ("kafka_timestamp > 3", 8, "write a day as `DATE"),
        ("TOP 3 customer", 1, "write `LIMIT 3`"),
        ("TOP (2 + 2) customer", 1, "write `LIMIT 2 + 2`"),
        ("TOP 10 PERCENT customer", 1, "number the rows: `row_number()"),
        (
            "TOP 7 WITH TIES customer",
            1,
            "number the rows, and keep those with `rank() OVER (ORDER BY ...) <= 7`",
        ),
    ] {
        let said = faults(&[("v", &format!("SELECT {column} AS x FROM batch"))]).await;
        assert!(said.starts_with(&format!("sql/v.sql:1:{at}: error: ")), "{column}: {said}");
        assert!(said.contains(&format!("hint: {hint}")), "{column}: {said}");
    }
}

#[tokio::test]
async fn errors_of_types_stand_where_they_are_and_are_told_in_sql() {
    for (column, at, message) in [
        ("customer = 'seven'", 19, "annot cast string 'seven' to value of INT type"),
        ("value > 1 OR (CASE WHEN customer = 1 THEN 'a' ELSE true END) IS NULL", 32, "(VARCHAR)"),
        ("value > 1 AND (customer = 2) > value", 23, "BOOLEAN > DOUBLE"),
        ("value IN (1, 2) OR customer LIKE 'a%'", 27, "`INT LIKE VARCHAR`"),
        ("sqrt(agency, 1)", 8, "no function `sqrt(VARCHAR, BIGINT)`"),
    ] {
        let said = faults(&[("v", &format!("SELECT {column} AS x FROM batch"))]).await;
        assert!(said.starts_with(&format!("sql/v.sql:1:{at}: error: ")), "{column}: {said}");
        assert!(said.contains(message), "{column}: {said}");
    }
}

/// Each query, where it is refused, and what the hint says.
#[tokio::test]
async fn clauses_and_types_of_other_dialects_are_refused_where_they_stand() {
    let mut others = Vec::new();
    for (query, at, hint) in [
        (
            "SELECT customer FROM batch WHERE row_number() OVER (ORDER BY value) = 1",
            34,
            "compute it in a subquery",
        ),
        (
            "SELECT agency FROM batch GROUP BY agency HAVING rank() OVER (ORDER BY agency) = 1",
            49,
            "compute it",
        ),
        ("SELECT agency FROM batch TABLESAMPLE (10 PERCENT)", 20, "choose rows by a condition"),
        ("SELECT agency FROM batch LATERAL VIEW explode(x) t AS y", 1, "call `unnest` in the list"),
        ("SELECT agency FROM batch LIMIT 1 BY customer", 37, "number the rows"),
        ("SELECT agency FROM batch SORT BY customer", 34, "write ORDER BY"),
        ("SELECT a.agency FROM batch a SEMI JOIN batch b ON a.agency = b.agency", 40, "write LEFT SEMI JOIN"),
        ("SELECT x FROM generate_series(1, 3) AS t (x)", 15, "a function that returns a list"),
        (
            "SELECT agency FROM batch PIVOT (sum(value) FOR agency IN ('a'))",
            20,
            "write a column for each value",
        ),
        ("FROM batch", 6, "write `SELECT * FROM ...`"),
        ("SELECT trim(LEADING FROM agency) AS x FROM batch", 26, "write `ltrim(x)`"),
        ("SELECT agency AS both customer FROM batch", 23, "is a comma missing before `customer`?"),
        (
            "SELECT customer FROM batch WHERE value BETWEEN SYMMETRIC 3 AND 1",
            58,
            "write the smaller number first",
        ),
        (
            "SELECT sum(value) OVER (ORDER BY customer ROWS UNBOUNDED PRECEDING EXCLUDE TIES) AS x FROM batch",
            68,
            "compute over the whole frame",
        ),
        ("SELECT agency COLLATE \"C\" AS x FROM batch", 8, "texts are ordered by"),
        ("SELECT CONVERT(customer, CHAR) AS x FROM batch", 16, "write `CAST(x AS type)`"),
        ("SELECT upper(agency) OVER () AS x FROM batch", 8, "leave it out, or call an aggregate"),
        ("SELECT count(DISTINCT customer, agency) AS x FROM batch", 8, "count them as one"),
        ("SELECT group_concat(agency SEPARATOR ',') AS x FROM batch", 8, "write `string_agg"),
        ("SELECT CAST(customer AS UNSIGNED) AS x FROM batch", 25, "write `BIGINT UNSIGNED`"),
        ("SELECT CAST(customer AS NVARCHAR(10)) AS x FROM batch", 25, "write VARCHAR"),
        ("SELECT kafka_timestamp + INTERVAL '1 nanosecond' AS x FROM batch", 35, "round it"),
        ("SELECT CAST('5' AS INTERVAL) AS x FROM batch", 13, "write its unit"),
        ("SELECT kafka_timestamp + '1 day' AS x FROM batch", 8, "add an interval"),
        (
            "SELECT sum(agency) AS x FROM batch",
            8,
            "it is called as sum(DECIMAL) or sum(BIGINT) or sum(DOUBLE) or",
        ),
        ("SELECT row_number() AS x FROM batch", 8, "write `row_number() OVER (ORDER BY x)`"),
        ("SELECT customer FROM batch WHERE agency", 34, "write the comparison out"),
        ("SELECT customer FROM batch WHERE unnest([1]) = 1", 34, "unnest in a subquery"),
        ("SELECT DISTINCT customer FROM batch ORDER BY value", 46, "add it to the list"),
        (
            "SELECT count(*) OVER (ORDER BY customer RANGE INTERVAL '1 day' PRECEDING) AS x FROM batch",
            32,
            "write the offset as a number",
        ),
        ("SELECT count(*) OVER (ORDER BY agency RANGE 1 PRECEDING) AS x FROM batch", 32, "order by a number"),
        (
            "SELECT count(*) OVER (ORDER BY kafka_timestamp RANGE INTERVAL '-1 day' PRECEDING) AS x FROM batch",
            32,
            "write PRECEDING instead of FOLLOWING",
        ),
    ] {
        let said = faults(&[("v", query)]).await;
        let is_there = said.starts_with(&format!("sql/v.sql:1:{at}: error: "));
        if !is_there || !said.contains(&format!("hint: {hint}")) {
            others.push(format!("{query}: {said}"));
        }
    }
    assert!(others.is_empty(), "{}", others.join("\n"));
}

#[tokio::test]
async fn errors_of_misspelt_keywords() {
    for (query, at, meant) in [
        ("SELECT customer FORM batch", 17, "FROM"),
        ("SELCT customer FROM batch", 1, "SELECT"),
        ("SELECT customer FROM batch WEHRE value > 1", 28, "WHERE"),
        ("SELECT customer FROM batch GRUOP BY customer", 28, "GROUP"),
        ("SELECT customer FROM batch ORDR BY customer", 28, "ORDER"),
        ("SELECT customer FROM batch b LEFT JION accounts a ON true", 35, "JOIN"),
        ("SELECT customer FROM batch LIMTI 5", 28, "LIMIT"),
    ] {
        let said = faults(&[("v", query)]).await;
        assert!(said.starts_with(&format!("sql/v.sql:1:{at}: error: ")), "{query}: {said}");
        assert!(said.contains(&format!("hint: did you mean `{meant}`?")), "{query}: {said}");
    }
}

/// The functions are unknown here, and what stands in place of each is SQL that works.
#[tokio::test]
async fn hints_for_functions_of_other_dialects_hold() {
    for (elsewhere, instead) in crate::sql::names::FUNCTIONS_ELSEWHERE {
        let said = faults(&[("v", &format!("SELECT {elsewhere}(value) AS y FROM batch"))]).await;
        assert!(said.contains(&format!("hint: write {instead}")), "{elsewhere}: {said}");
        let view = format!("SELECT {} AS y FROM inputs", instead.trim_matches('`'));
        let mut works = false;
        for x in ["kafka_timestamp", "agency", "make_array(1)"] {
            let inputs = format!("SELECT {x} AS x, 1 AS a, 2 AS b, true AS condition FROM batch");
            works |= prepare(&[("inputs", &inputs), ("v", &view)], vec![]).await.is_ok();
        }
        assert!(works, "{view}");
    }
}

#[tokio::test]
async fn errors_of_columns_called_the_same() {
    insta::assert_snapshot!(faults(&[("v", "SELECT customer,\n  value AS customer\nFROM batch")]).await, @r#"
    sql/v.sql:2:3: error: two columns are called `customer`
      |
    2 |   value AS customer
      |   ^^^^^^^^^^^^^^^^^
    hint: give one of them another name: `expression AS name`
    "#);
    insta::assert_snapshot!(faults(&[("v", "SELECT a.customer,\n  b.customer\nFROM batch a JOIN batch b ON a.customer = b.customer")]).await, @r#"
    sql/v.sql:2:3: error: two columns are called `customer`
      |
    2 |   b.customer
      |   ^^^^^^^^^^
    hint: give one of them another name: `expression AS name`
    "#);
    insta::assert_snapshot!(faults(&[("v", "SELECT * FROM batch a JOIN accounts b ON a.customer = b.customer_id JOIN batch c ON c.customer = b.customer_id")]).await, @r#"
    sql/v.sql:1:8: error: there are two columns each of `customer`, `agency`, `value`, `kafka_offset`, `kafka_timestamp`
      |
    1 | SELECT * FROM batch a JOIN accounts b ON a.customer = b.customer_id JOIN batch c ON c.customer = b.customer_id
      |        ^
    hint: give one of them another name: `expression AS name`
    "#);
}

#[tokio::test]
async fn errors_of_functions_and_types() {
    insta::assert_snapshot!(faults(&[("v", "SELECT customer,\n  uper(agency) AS a\nFROM batch")]).await, @r#"
    sql/v.sql:2:3: error: invalid function 'uper'
      |
    2 |   uper(agency) AS a
      |   ^^^^
    hint: did you mean `upper`?
    "#);
    insta::assert_snapshot!(faults(&[("v", "SELECT customer,\n  date_trunc(agency) AS a\nFROM batch")]).await, @r#"
    sql/v.sql:2:3: error: no function `date_trunc(VARCHAR)`: it takes other arguments
      |
    2 |   date_trunc(agency) AS a
      |   ^^^^^^^^^^
    hint: it is called as date_trunc(VARCHAR, TIMESTAMP) or date_trunc(VARCHAR, TIME)
    "#);
    insta::assert_snapshot!(faults(&[("v", "SELECT customer,\n  sqrt(agency, 1) AS a\nFROM batch")]).await, @r#"
    sql/v.sql:2:3: error: no function `sqrt(VARCHAR, BIGINT)`: it takes other arguments
      |
    2 |   sqrt(agency, 1) AS a
      |   ^^^^
    hint: it is called as sqrt(DOUBLE/REAL)
    "#);
    insta::assert_snapshot!(faults(&[("v", "SELECT kafka_timestamp * 2 AS a FROM batch")]).await, @r#"
    sql/v.sql:1:8: error: no operator `TIMESTAMP * BIGINT`
      |
    1 | SELECT kafka_timestamp * 2 AS a FROM batch
      |        ^^^^^^^^^^^^^^^
    hint: CAST one of them to a type that goes with the other
    "#);
    insta::assert_snapshot!(faults(&[("v", "SELECT agency, sum(value) AS s FROM batch GROUP BY customer")]).await, @r"
    sql/v.sql:1:8: error: `batch.agency` is neither in GROUP BY nor inside an aggregate function
      |
    1 | SELECT agency, sum(value) AS s FROM batch GROUP BY customer
      |        ^^^^^^
    hint: add it to GROUP BY, or say which of the group's values is meant: `max(batch.agency) AS agency`
    ");
    insta::assert_snapshot!(faults(&[("v", "SELECT customer FROM batch UNION ALL SELECT customer, value FROM batch")]).await, @r#"
    sql/v.sql:1:1: error: UNION queries have different number of columns
      |
    1 | SELECT customer FROM batch UNION ALL SELECT customer, value FROM batch
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    "#);
    insta::assert_snapshot!(faults(&[("v", "SELECT customer FROM batch WHERE value = (SELECT value, customer FROM batch)")]).await, @r#"
    sql/v.sql:1:1: error: too many columns! The subquery should only return one column
      |
    1 | SELECT customer FROM batch WHERE value = (SELECT value, customer FROM batch)
      | ^^^^^^
    hint: select only one column in the subquery
    "#);
}

#[tokio::test]
async fn errors_of_syntax_and_of_what_is_no_query() {
    insta::assert_snapshot!(faults(&[("v", "-- one\nSELECT customer agency value\nFROM batch"), ("w", "SELECT (1 + 2")]).await, @r"
    sql/v.sql:2:24: error: expected: end of statement, found: value
      |
    2 | SELECT customer agency value
      |                        ^
    hint: is a comma missing before `value`?
    sql/w.sql:1:14: error: expected: ), found the end of the file
      |
    1 | SELECT (1 + 2
      |              ^
    ");
    insta::assert_snapshot!(faults(&[("v", "SELECT 'abc FROM batch")]).await, @r#"
    sql/v.sql:1:8: error: unterminated string literal
      |
    1 | SELECT 'abc FROM batch
      |        ^
    "#);
    insta::assert_snapshot!(faults(&[("v", "-- nothing yet\n")]).await, @r#"
    sql/v.sql:1:1: error: no statement where one SELECT is expected
      |
    1 | -- nothing yet
      | ^
    hint: write a SELECT, or delete the file
    "#);
    insta::assert_snapshot!(faults(&[("v", "SELECT 1 AS x;\n\n  SELECT 2 AS x;")]).await, @r#"
    sql/v.sql:3:3: error: 2 statements where one SELECT is expected
      |
    3 |   SELECT 2 AS x;
      |   ^^^^^^
    hint: put each view in a file of its own
    "#);
    for text in [
        "DROP TABLE accounts",
        "INSERT INTO accounts SELECT 1",
        "EXPLAIN SELECT 1",
        "SHOW TABLES",
        "SET a = 1",
        "CREATE TABLE x AS SELECT 1",
        "CREATE EXTERNAL TABLE x STORED AS CSV LOCATION 'x.csv'",
        "COPY batch TO 'x.csv'",
        "SELECT * INTO x FROM batch",
        "EXPLAIN ANALYZE SELECT 1",
    ] {
        let said = faults(&[("v", text)]).await;
        assert!(said.starts_with("sql/v.sql:1:1: error: found "), "{text}: {said}");
        assert!(said.contains("expected one SELECT"), "{said}");
    }
}

#[tokio::test]
async fn files_are_out_of_reach() {
    for text in [
        "SELECT * FROM 'data/accounts.csv'",
        "SELECT * FROM read_csv('data/accounts.csv')",
        "SELECT * FROM information_schema.tables",
    ] {
        assert!(prepare(&[("v", text)], vec![]).await.is_err(), "{text}");
    }
}

#[tokio::test]
async fn errors_of_circles_and_keys() {
    insta::assert_snapshot!(faults(&[("a", "SELECT * FROM b"), ("b", "SELECT *\nFROM c"), ("c", "SELECT * FROM a"), ("d", "SELECT * FROM d")]).await, @r#"
    sql/a.sql:1:15: error: these read each other in a circle: `a` -> `b` -> `c` -> `a`
      |
    1 | SELECT * FROM b
      |               ^
    hint: what a view reads must be computed before it
    sql/d.sql:1:15: error: `d` reads itself
      |
    1 | SELECT * FROM d
      |               ^
    hint: what a view reads must be computed before it
    "#);
    let files = ViewFiles::from_texts(&[(
        "v",
        "SELECT customer, name, branch FROM batch JOIN accounts ON customer_id = customer",
    )])
    .unwrap();
    let with = async |spec: TableSpec| {
        render(&Pipeline::prepare(&files, batch_schema(), vec![spec], None, MEMORY_MAX).await.unwrap_err())
    };
    let spec = accounts_spec();
    insta::assert_snapshot!(with(TableSpec { matches: vec![vec![place("v", "customer")]], ..spec.clone() }).await, @r#"
    sql/v.sql:1:47: error: these read each other in a circle: `v` -> `accounts` -> `v`
      |
    1 | SELECT customer, name, branch FROM batch JOIN accounts ON customer_id = customer
      |                                               ^^^^^^^^
    hint: what a view reads must be computed before it
    "#);
    insta::assert_snapshot!(with(TableSpec { matches: vec![vec![place("batch", "custome")], vec![place("batch", "value")]], ..spec.clone() }).await, @r#"
    config.yaml:9: error: `accounts` matches `batch.custome`, but `batch` has no such column
    hint: did you mean `customer`?
    config.yaml:9: error: `accounts.customer_id` is Int64 and `batch.value` is Float64: they cannot be compared as keys
    hint: CAST one to the other's type in a view, and match `view.value`
    "#);
    insta::assert_snapshot!(with(TableSpec { matches: vec![vec![place("w", "customer")]], ..spec.clone() }).await, @r#"
    config.yaml:9: error: `accounts` matches `w.customer`, but there is no view or table `w`
    hint: did you mean `v`?
    "#);
    insta::assert_snapshot!(with(TableSpec { key: vec!["id".to_owned()], ..spec }).await, @r#"
    config.yaml:9: error: the key of `accounts` has no column `id`
    hint: there is `branch`, `customer_id`, `name`
    "#);
}

#[test]
fn errors_of_files() {
    let folder = tempfile::tempdir().unwrap();
    assert!(ViewFiles::read(&folder.path().join("absent")).is_err());
    assert!(ViewFiles::read(folder.path()).unwrap_err()[0].message().starts_with("no view"));
    std::fs::write(folder.path().join("latin.sql"), b"SELECT 1 AS x\n-- a\xf1o").unwrap();
    std::fs::write(folder.path().join("bom.sql"), "\u{feff}SELECT 1 AS x").unwrap();
    std::fs::write(folder.path().join(".hidden.sql"), "no").unwrap();
    let errors = ViewFiles::read(folder.path()).unwrap_err();
    assert_eq!(errors.len(), 1);
    assert_eq!(errors[0].message(), "line 2 has a byte that is not UTF-8 (0xf1)");
    std::fs::remove_file(folder.path().join("latin.sql")).unwrap();
    assert_eq!(ViewFiles::read(folder.path()).unwrap().names().collect::<Vec<_>>(), ["bom"]);
}
