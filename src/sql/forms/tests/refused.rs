//! SQL that no row can make right is refused with its place and what to write; and what looks like it is not.

use super::sessions;

/// Queries, each with words of the message or of the hint.
const REFUSED: &[(&str, &str)] = &[
    (
        "SELECT rank() OVER (ORDER BY 1) AS x, count(*) AS c FROM v GROUP BY 1",
        "computed over a window, after GROUP BY",
    ),
    (
        "SELECT v.id FROM v JOIN u ON row_number() OVER (ORDER BY v.id) < 2",
        "computed over a window, after ON",
    ),
    ("SELECT id FROM v LIMIT (SELECT 1)", "LIMIT or OFFSET by a computed number"),
    ("SELECT id FROM v LIMIT 1 OFFSET (SELECT 1)", "LIMIT or OFFSET by a computed number"),
    ("SELECT string_agg(g) AS x FROM v", "needs a separator"),
    (
        "SELECT (SELECT sum(e) FROM unnest(q.l) AS u(e)) AS x FROM (SELECT ARRAY[id] AS l FROM v) q",
        "CROSS JOIN unnest(list)",
    ),
    ("SELECT string_agg(DISTINCT g ORDER BY g) AS x FROM v", "needs a separator"),
    ("SELECT string_agg(g, g) AS x FROM v", "is no constant text"),
    ("SELECT string_agg(g, ',') WITHIN GROUP (ORDER BY g) AS x FROM v", "has no WITHIN GROUP"),
    ("SELECT count(DISTINCT u.*) AS x FROM u", "count(u.id)"),
    ("SELECT INTERVAL '1' YEAR TO MONTH AS x", "from one unit to another"),
    ("SELECT INTERVAL '1.2' SECOND(2) AS x", "with a precision"),
    ("SELECT ts + INTERVAL n AS x FROM t", "without a unit"),
    ("SELECT CAST('5' AS INTERVAL) AS x", "without a unit"),
    ("SELECT INTERVAL '3000000000000 seconds' AS x", "too long"),
    ("SELECT TRY_CAST(n AS INT[]) AS x FROM t", "write `[x]`"),
    ("WITH RECURSIVE x AS (SELECT 1 AS n INTERSECT SELECT n + 1 FROM x) SELECT n FROM x", "then UNION ALL"),
    (
        "WITH RECURSIVE x AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM x WHERE n < 5 UNION ALL SELECT 100) SELECT n FROM x",
        "then UNION ALL",
    ),
    (
        "WITH RECURSIVE x AS (SELECT 1.0 AS n UNION ALL SELECT n * 1.15 FROM x WHERE n < 2) SELECT n FROM x",
        "DECIMAL(2, 1) in its first rows",
    ),
    (
        "WITH RECURSIVE x AS (SELECT DATE '2024-01-01' AS n UNION ALL SELECT n + INTERVAL '12 hours' FROM x \
         WHERE n < DATE '2024-01-03') SELECT n FROM x",
        "DATE in its first rows, and TIMESTAMP",
    ),
    ("WITH RECURSIVE x AS (SELECT id FROM v), v AS (SELECT 7 AS id) SELECT id FROM x", "put it first"),
    ("WITH RECURSIVE v AS (SELECT id FROM v) SELECT id FROM v", "then UNION ALL"),
    ("SELECT CAST('23:59:60' AS TIME) AS x", "no time of day"),
    ("SELECT 123abc AS x", "no number `123abc`"),
    ("SELECT 1.5e FROM v", "no number `1.5e`"),
    ("SELECT 'a' 'b'", "two texts beside each other"),
];

/// Queries with their rows.
const ANSWERED: &[(&str, &str)] = &[
    (
        "WITH RECURSIVE x AS (SELECT CAST(1 AS INT) AS n UNION ALL SELECT n + 1 FROM x WHERE n < 3) SELECT n FROM x",
        "1; 2; 3",
    ),
    (
        "WITH RECURSIVE x AS (SELECT 1 AS n UNION ALL SELECT CAST(n * 1.5 + 0.5 AS BIGINT) FROM x WHERE n < 5) SELECT n FROM x",
        "1; 2; 3; 5",
    ),
    (
        "WITH RECURSIVE y (a) AS (SELECT id FROM v UNION ALL SELECT id FROM v OFFSET 5) SELECT count(a) AS c FROM y",
        "1",
    ),
    ("SELECT id FROM v WHERE id=1AND n=1", "1"),
    ("SELECT 1_000.5 AS x, 1_0e0 AS y", "1000.5 10.0"),
    ("SELECT INTERVAL 3days AS x", "3 days"),
    (
        "SELECT - INTERVAL 3 DAY AS x, INTERVAL -3 DAY AS y, -(INTERVAL '1 year 2 months') AS z",
        "-3 days -3 days -14 mons",
    ),
    (
        "SELECT INTERVAL - '1 day 2 hours' AS x, - - INTERVAL '1 day 2 hours' AS y",
        "-1 days -2 hours 1 days 2 hours",
    ),
    (
        "SELECT INTERVAL '1 day 02:30' AS x, CAST(g || ' day' AS INTERVAL) AS y FROM (SELECT '1.5' AS g) q",
        "1 days 2 hours 30 mins 1 days 12 hours",
    ),
    ("SELECT TRY_CAST(g AS INTERVAL) AS x FROM v", "NULL; NULL; NULL"),
    (
        "SELECT TRY_CAST('-1' AS TIME) AS x, CAST('2:30 PM' AS TIME) AS y, CAST('08:30' AS TIME) AS z",
        "NULL 14:30:00 08:30:00",
    ),
    ("SELECT * REPLACE (id + 100 AS id) FROM (SELECT id FROM v) q", "101; 102; 103"),
    ("SELECT q.* REPLACE (id + 100 AS id) FROM (SELECT id FROM v) q", "101; 102; 103"),
    (
        "SELECT any_value(n ORDER BY n DESC) AS x, any_value(n ORDER BY n DESC) FILTER (WHERE n < 3) AS y FROM t",
        "7 2",
    ),
    ("SELECT CAST([1] AS VARCHAR[]) AS x, CAST(NULL AS VARCHAR[]) AS y", "[1] NULL"),
    (
        "SELECT x FROM (VALUES (CAST(3.3 AS DECIMAL(38, 30)))) q (x) WHERE CAST(x AS DOUBLE) = 3.3e0",
        "3.300000000000000000000000000000",
    ),
    (
        "SELECT CAST(99999999999999999999.99999 AS DOUBLE) AS x, CAST(CAST(-0.1 AS DECIMAL(60, 50)) AS DOUBLE) AS y",
        "1e20 -0.1",
    ),
    (
        "SELECT 0.1 + 2e-1 AS x, CAST(CAST(16777217.5 AS DECIMAL(12, 1)) AS REAL) AS y",
        "0.30000000000000004 16777218.0",
    ),
];

#[tokio::test]
async fn what_cannot_be_right_is_refused_with_a_hint() {
    let sessions = sessions().await;
    let mut differences = Vec::new();
    for (query, words) in REFUSED {
        match sessions.ours(query).await {
            Err(told) if told.contains(words) && told.contains("hint: ") => {}
            other => differences.push(format!("{query}: {other:?}")),
        }
    }
    for (query, rows) in ANSWERED {
        let answer = sessions.ours(query).await;
        if answer.as_deref() != Ok(*rows) {
            differences.push(format!("{query}: {answer:?}"));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[tokio::test]
async fn an_interval_that_is_too_long_to_be_compared_is_an_error() {
    let sessions = sessions().await;
    for query in [
        "SELECT INTERVAL '1000000000 days' > INTERVAL '1 day' AS x",
        "SELECT id FROM v WHERE id * INTERVAL '200000000 days' > INTERVAL '5 days'",
    ] {
        let told = sessions.ours(query).await.unwrap_err();
        assert!(told.contains("too long to be compared"), "{query}: {told}");
    }
}
