//! The list of forms that DataFusion alone answers wrongly: what they are, upstream's report, what is done here, and a query
//! for each, with DataFusion's answer, which must still be wrong, and the right one, which PostgreSQL and DuckDB give.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::prelude::{SessionConfig, SessionContext};

use super::super::SqlError;
use super::super::typed::{QuerySession, Typed};
use crate::diagnostic::render;

mod refused;
mod right;

/// A form of SQL, and one query that has it.
struct Form {
    /// What it is.
    name: &'static str,
    /// What DataFusion does with it, and where.
    reason: &'static str,
    /// The report upstream, or the text of one in docs/upstream.
    upstream: &'static str,
    /// What is done here.
    done: Done,
    query: &'static str,
    /// DataFusion's own answer: rows, separated by `; `. A panic or an error is told by its text.
    wrong: &'static str,
}

enum Done {
    /// It is answered rightly, with these rows.
    Right(&'static str),
    /// It is refused, with a hint that has these words.
    Refused(&'static str),
}

use Done::{Refused, Right};

const FORMS: &[Form] = &[
    Form {
        name: "ORDER BY and LIMIT of a query of WITH RECURSIVE",
        reason: "they are dropped, if the query is a UNION",
        upstream: "docs/upstream/clauses-in-with-recursive.md",
        done: Right("1"),
        query: "WITH RECURSIVE y AS (SELECT id FROM v UNION ALL SELECT id + 10 FROM v ORDER BY id LIMIT 1) \
                SELECT id FROM y",
        wrong: "1; 11; 12; 13; 2; 3",
    },
    Form {
        name: "LIMIT of a recursive query",
        reason: "as above",
        upstream: "docs/upstream/clauses-in-with-recursive.md",
        done: Refused("end the recursion by a condition"),
        query: "WITH RECURSIVE x AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM x WHERE n < 4 LIMIT 2) SELECT n \
                FROM x",
        wrong: "1; 2; 3; 4",
    },
    Form {
        name: "WITH in a query of WITH RECURSIVE",
        reason: "it is dropped",
        upstream: "docs/upstream/clauses-in-with-recursive.md",
        done: Right("1; 2; 3; 7"),
        query: "WITH RECURSIVE y AS (WITH u AS (SELECT 7 AS id) SELECT id FROM u UNION ALL SELECT id FROM v) \
                SELECT id FROM y",
        wrong: "error: table 'datafusion.public.u' not found",
    },
    Form {
        name: "a fraction in a recursive query that begins with an integer",
        reason: "each row is cast to the types of the first ones",
        upstream: "docs/upstream/types-of-recursive-queries.md",
        done: Refused("CAST one of them"),
        query: "WITH RECURSIVE x AS (SELECT 1 AS n UNION ALL SELECT n + 1.5 FROM x WHERE n < 3) SELECT n FROM x",
        wrong: "1; 2; 3",
    },
    Form {
        name: "count of the rows of a relation",
        reason: "the relation is left out, so it counts all rows",
        upstream: "docs/upstream/count-of-a-relation.md",
        done: Refused("count(u.id)"),
        query: "SELECT v.id, count(u.*) AS x FROM v LEFT JOIN u ON u.id = v.id + 6 GROUP BY v.id",
        wrong: "1 1; 2 1; 3 1",
    },
    Form {
        name: "a field of a record that is called as the relation",
        reason: "the record is taken for a schema, which is not compared, so the relation's column is read",
        upstream: "docs/upstream/fields-called-as-a-relation.md",
        done: Right("11; 12; 13"),
        query: "SELECT y.q.id AS x FROM (SELECT id, named_struct('q', named_struct('id', id + 10)) AS y FROM v) q",
        wrong: "1; 2; 3",
    },
    Form {
        name: "digits without colons as a time of day",
        reason: "they are a number of nanoseconds",
        upstream: "docs/upstream/texts-as-times.md",
        done: Right("NULL"),
        query: "SELECT TRY_CAST('0830' AS TIME) AS x",
        wrong: "00:00:00.000000830",
    },
    Form {
        name: "a minus before an interval",
        reason: "it is a minus before the first part alone",
        upstream: "docs/upstream/minus-before-an-interval.md",
        done: Right("-1 days -2 hours"),
        query: "SELECT - INTERVAL '1 day 2 hours' AS x",
        wrong: "-1 days 2 hours",
    },
    Form {
        name: "an interval of a number with a word that is no unit",
        reason: "it counts seconds, and the word is the name of a column",
        upstream: "docs/upstream/intervals-without-a-unit.md",
        done: Refused("write its unit"),
        query: "SELECT INTERVAL 3 decades",
        wrong: "3.000000000 secs",
    },
    Form {
        name: "a fraction of a month",
        reason: "hours of it are dropped",
        upstream: "docs/upstream/fractions-in-intervals.md",
        done: Right("1 mons 7 days 12 hours"),
        query: "SELECT INTERVAL '1.25 months' AS x",
        wrong: "1 mons 7 days",
    },
    Form {
        name: "a fraction of a year that is no whole number of months",
        reason: "it is dropped",
        upstream: "docs/upstream/fractions-in-intervals.md",
        done: Refused("write months or days"),
        query: "SELECT INTERVAL '0.05 years' AS x",
        wrong: "0 secs",
    },
    Form {
        name: "REPLACE of a column that is not there",
        reason: "it is left out",
        upstream: "docs/upstream/replace-of-no-column.md",
        done: Refused("there is `id`"),
        query: "SELECT * REPLACE (id + 100 AS nope) FROM (SELECT id FROM v) q",
        wrong: "1; 2; 3",
    },
    Form {
        name: "any_value with an order",
        reason: "the order is not read",
        upstream: "docs/upstream/any-value-with-an-order.md",
        done: Right("3"),
        query: "SELECT any_value(id ORDER BY id DESC) AS x FROM v",
        wrong: "1",
    },
    Form {
        name: "a text as a list",
        reason: "it becomes a list of one text",
        upstream: "docs/upstream/texts-as-lists.md",
        done: Refused("string_to_array"),
        query: "SELECT CAST(g || ',' AS VARCHAR[]) AS x FROM v",
        wrong: "[a,]; [b,]; [c,]",
    },
    Form {
        name: "a decimal as a double",
        reason: "it is rounded twice",
        upstream: "docs/upstream/decimals-as-doubles.md",
        done: Right("80752131861678.98"),
        query: "SELECT CAST(CAST('80752131861678.98' AS DECIMAL(18, 4)) AS DOUBLE) AS x",
        wrong: "80752131861678.97",
    },
    Form {
        name: "a number with groups of digits",
        reason: "it ends at the first `_`, and the rest is the name of a column",
        upstream: "docs/upstream/groups-of-digits.md",
        done: Right("2000"),
        query: "SELECT 2 * 1_000",
        wrong: "2",
    },
    Form {
        name: "the larger of two intervals",
        reason: "they are compared field by field",
        upstream: "docs/upstream/durations-and-intervals.md",
        done: Right("true"),
        query: "SELECT greatest(INTERVAL '1 day', INTERVAL '25 hours') = INTERVAL '25 hours' AS x",
        wrong: "false",
    },
    Form {
        name: "intervals that are sorted or grouped",
        reason: "as above",
        upstream: "docs/upstream/durations-and-intervals.md",
        done: Refused("extract(epoch FROM x)"),
        query: "SELECT max(x) = INTERVAL '1 day' AS x FROM (VALUES (INTERVAL '1 day'), (INTERVAL '25 hours')) q (x)",
        wrong: "true",
    },
    Form {
        name: "milliseconds of a difference of timestamps",
        reason: "what does not fit 32 bits in nanoseconds is left out",
        upstream: "docs/upstream/milliseconds-of-intervals.md",
        done: Right("2750 2500"),
        query: "SELECT extract(millisecond FROM TIMESTAMP '2024-01-01 10:00:00' - TIMESTAMP '2024-01-01 09:59:57.250') AS x, extract(ms FROM INTERVAL '1 minute 2.5 seconds') AS y",
        wrong: "2000 2000",
    },
    Form {
        name: "a function of texts over an array",
        reason: "it takes the array for its text",
        upstream: "docs/upstream/arrays-as-texts.md",
        done: Refused("cardinality(x)"),
        query: "SELECT length([1, 2, 3]) AS x",
        wrong: "9",
    },
    Form {
        name: "a timestamp as a number",
        reason: "it counts the unit that the timestamp happens to have",
        upstream: "docs/upstream/timestamps-as-numbers.md",
        done: Refused("extract(epoch FROM x)"),
        query: "SELECT CAST(TIMESTAMP '1970-01-01 00:00:05' AS BIGINT) AS x",
        wrong: "5000000000",
    },
    Form {
        name: "exclusive or of a value with itself",
        reason: "it is taken for 0, also for NULL",
        upstream: "apache/datafusion#24246",
        done: Right("NULL 5"),
        query: "SELECT i ^ i AS x, coalesce(i ^ (i ^ 5), 5) AS y FROM t WHERE id = 3",
        wrong: "0 5",
    },
    Form {
        name: "a comparison with TRY_CAST",
        reason: "the logical rule simplify_expressions compares the value before the cast, so a value that does not fit is no NULL",
        upstream: "apache/datafusion#14303, #23095",
        done: Right("1 NULL false; 2 true true"),
        query: "SELECT k, TRY_CAST(b AS INT) > 3 AS x, TRY_CAST(d AS INT) > 1 AS y FROM (VALUES (1, 5000000000, 1.25), (2, 5, 2.25)) q (k, b, d)",
        wrong: "1 true false; 2 true true",
    },
    Form {
        name: "ORDER BY in an aggregate of groups that has no order",
        reason: "it panics",
        upstream: "apache/datafusion#25401",
        done: Right("a 1.0; b 2.0; c 3.0"),
        query: "SELECT g, avg(n ORDER BY k) AS x FROM v GROUP BY g",
        wrong: "panic",
    },
    Form {
        name: "CASE of booleans",
        reason: "the logical rule simplify_expressions makes AND and OR of it, which compute all branches for all rows",
        upstream: "apache/datafusion#8909",
        done: Right("2; 3"),
        query: "SELECT id FROM v WHERE CASE WHEN id <> 1 THEN 10 / (id - 1) > 4 END",
        wrong: "error: Divide by zero error",
    },
    Form {
        name: "a condition beside one that can fail",
        reason: "AND computes both sides for all rows, and conditions are moved into others",
        upstream: "docs/upstream/conditions-that-can-fail.md",
        done: Right("2; 3"),
        query: "SELECT id FROM (SELECT id, 10 / (id - 1) AS x FROM v WHERE id > 1) q WHERE x > 4",
        wrong: "error: Divide by zero error",
    },
    Form {
        name: "a CASE in the condition of a join without a key",
        reason: "the physical rule ProjectionPushdown computes its parts below the join, for all rows of a side",
        upstream: "docs/upstream/case-in-join-conditions.md",
        done: Right("1 NULL; 2 3; 3 NULL"),
        query: "SELECT a.id, b.id AS x FROM v a LEFT JOIN v b ON a.id < b.id AND CASE WHEN a.id < b.id AND a.id <> 1 THEN 6 % (a.id - 1) ELSE -1 END >= 0",
        wrong: "error: Divide by zero error",
    },
    Form {
        name: "a text beside a DECIMAL",
        reason: "it becomes a DECIMAL of the same digits, rounded",
        upstream: "docs/upstream/texts-beside-decimals.md",
        done: Right("1 false; 2 false; 3 false"),
        query: "SELECT id, d = '1.001' AS x FROM v",
        wrong: "1 true; 2 false; 3 false",
    },
    Form {
        name: "an aggregate with FILTER over what can fail",
        reason: "its argument is computed for all rows",
        upstream: "docs/upstream/conditions-that-can-fail.md",
        done: Right("a NULL; b 10; c 5"),
        query: "SELECT g, max(10 / (id - 1)) FILTER (WHERE id > 1) AS x FROM v GROUP BY g",
        wrong: "error: Divide by zero error",
    },
    Form {
        name: "GROUP BY over rows that were unnested after GROUP BY",
        reason: "the key of the first is taken for a key of the unnested rows, so the second groups by it alone",
        upstream: "docs/upstream/keys-of-unnested-rows.md",
        done: Right("1 1 1; 1 2 1; 2 1 1; 2 2 1; 3 1 1; 3 2 1"),
        query: "SELECT x, max(e) AS e, count(*) AS c FROM (SELECT x, unnest(ARRAY[1, 2]) AS e FROM (SELECT id AS x FROM v GROUP BY id) p) q GROUP BY x, e",
        wrong: "1 2 2; 2 2 2; 3 2 2",
    },
    Form {
        name: "DISTINCT of rows that were unnested after GROUP BY",
        reason: "as above, the rows are taken for distinct",
        upstream: "docs/upstream/keys-of-unnested-rows.md",
        done: Right("1; 2; 3"),
        query: "SELECT DISTINCT x FROM (SELECT x, unnest(ARRAY[1, 2]) AS e FROM (SELECT id AS x FROM v GROUP BY id) p) q",
        wrong: "1; 1; 2; 2; 3; 3",
    },
    Form {
        name: "a zone of a timestamp with time zone",
        reason: "the type is one without a zone, so AT TIME ZONE takes the time of UTC for that of the zone",
        upstream: "docs/upstream/timestamps-with-time-zone.md",
        done: Right("18"),
        query: "SELECT extract(hour FROM TIMESTAMPTZ '2024-07-01 00:00:00Z' AT TIME ZONE 'America/Denver') AS x",
        wrong: "0",
    },
    Form {
        name: "a moment of a zone as one without",
        reason: "it is the time of UTC, though its day and its text are those of the zone",
        upstream: "apache/datafusion#25175",
        done: Right("2024-07-02T05:00:00"),
        query: "SELECT CAST(TIMESTAMPTZ '2024-07-01 20:00:00Z' AT TIME ZONE 'Asia/Tokyo' AS TIMESTAMP) AS x",
        wrong: "2024-07-01T11:00:00",
    },
    Form {
        name: "a moment of fewer digits",
        reason: "the rest is cut off, where databases round",
        upstream: "docs/upstream/moments-of-fewer-digits.md",
        done: Right("2024-01-01T12:00:01"),
        query: "SELECT CAST(TIMESTAMP '2024-01-01 12:00:00.5' AS TIMESTAMP(0)) AS x",
        wrong: "2024-01-01T12:00:00",
    },
    Form {
        name: "a name of both kinds in a subquery of ORDER BY",
        reason: "it is taken for the output column",
        upstream: "docs/upstream/names-in-order-by.md",
        done: Refused("give the output column another name"),
        query: "SELECT -id AS id FROM v ORDER BY (SELECT id) LIMIT 1",
        wrong: "error: Correlated scalar subquery can only be used in Projection, Filter, Aggregate plan nodes",
    },
    Form {
        name: "an aggregate in ORDER BY over the name of an output column",
        reason: "the name is taken for the output column",
        upstream: "docs/upstream/names-in-order-by.md",
        done: Right("a 1; b 2; c 3"),
        query: "SELECT g, sum(n) AS n FROM v GROUP BY g ORDER BY sum(n)",
        wrong: "error: Schema contains duplicate unqualified field name \"sum(v.n)\"",
    },
    Form {
        name: "lag by NULL rows",
        reason: "it counts as 0 rows, so the result is the row's own value, and not NULL",
        upstream: "docs/upstream/lag-by-null.md",
        done: Refused("lag(x, 2)"),
        query: "SELECT id, lag(id, NULL) OVER (ORDER BY id) AS x FROM v",
        wrong: "1 1; 2 2; 3 3",
    },
    Form {
        name: "a dollar in the replacement of regexp_replace",
        reason: "it is taken for a group of the pattern, also where there is none",
        upstream: "docs/upstream/replacements-of-regexp-replace.md",
        done: Right("$5 a10b"),
        query: "SELECT regexp_replace('x', 'x', '$5') AS x, regexp_replace('ab', '(a)(b)', '\\110\\2') AS y",
        wrong: " b",
    },
    Form {
        name: "a backslash in the replacement of regexp_replace",
        reason: "two of them stay two, and an ampersand after one is not the match",
        upstream: "docs/upstream/replacements-of-regexp-replace.md",
        done: Right("a\\b [x] \\1"),
        query: "SELECT regexp_replace('a/b', '/', '\\\\') AS x, regexp_replace('x', 'x', '[\\&]') AS y, \
                regexp_replace('x', 'x', '\\\\1') AS z",
        wrong: "a\\\\b [\\&] ",
    },
    Form {
        name: "the first group in the place of a choice",
        reason: "the text before the match is lost, since the pattern is taken for one that matches from the start",
        upstream: "docs/upstream/choices-of-regexp-replace.md",
        done: Right("x"),
        query: "SELECT regexp_replace('xb', '^(a)|b.*$', '\\1') AS x",
        wrong: "",
    },
    Form {
        name: "lpad to less than nothing",
        reason: "it panics over columns, where it is an empty text for constants",
        upstream: "docs/upstream/lpad-below-nought.md",
        done: Right("; ; "),
        query: "SELECT lpad(g, -id) AS x FROM v",
        wrong: "panic",
    },
    Form {
        name: "a union of doubles and integers beside a decimal",
        reason: "the double becomes a decimal of 15 digits after the point",
        upstream: "docs/upstream/doubles-beside-decimals.md",
        done: Right(""),
        query: "SELECT x FROM (SELECT 1 AS x UNION ALL SELECT CAST(0.1 AS DOUBLE) + CAST(0.2 AS DOUBLE)) q \
                WHERE x = CAST(0.3 AS DECIMAL(2, 1))",
        wrong: "0.30000000000000004",
    },
    Form {
        name: "two columns that differ by a cast",
        reason: "a cast is no part of a column's name, and two columns have one name",
        upstream: "docs/upstream/names-without-casts.md",
        done: Right("6 6.0"),
        query: "SELECT sum(n) AS x, sum(CAST(n AS DOUBLE)) AS y FROM v",
        wrong: "error: Schema contains duplicate unqualified field name \"sum(v.n)\"",
    },
    Form {
        name: "two equalities, one with the constant first",
        reason: "the logical rule push_down_filter takes them for two values",
        upstream: "docs/upstream/comparisons-with-the-constant-first.md",
        done: Right("1"),
        query: "SELECT id FROM v WHERE g = lower('A') AND lower('A') = g",
        wrong: "",
    },
    Form {
        name: "two comparisons, one with the constant first",
        reason: "as above, it keeps the looser one",
        upstream: "docs/upstream/comparisons-with-the-constant-first.md",
        done: Right("3"),
        query: "SELECT id FROM v WHERE id >= 2 AND length('ab') < id",
        wrong: "2; 3",
    },
    Form {
        name: "IS TRUE as a key of DISTINCT",
        reason: "it is never NULL in one plan, and may be in the other",
        upstream: "docs/upstream/distinct-is-true.md",
        done: Right("false; true"),
        query: "SELECT DISTINCT b IS TRUE AS x FROM t",
        wrong: "error: Physical input schema should be the same as the one converted from logical input schema. Differences: ",
    },
    Form {
        name: "a window over a comparison of a function",
        reason: "the rows are sorted, but not found to be, since the type of a function's values is not known there",
        upstream: "docs/upstream/sorted-by-a-function.md",
        done: Right("1 1; 2 2; 3 1"),
        query: "SELECT id, row_number() OVER (PARTITION BY length(g || s) > 1 ORDER BY id) AS n FROM v",
        wrong: "error: does not satisfy order requirements",
    },
    Form {
        name: "an aggregate ordered by a comparison of a function",
        reason: "as above",
        upstream: "docs/upstream/sorted-by-a-function.md",
        done: Right("[3, 1, 2]"),
        query: "SELECT array_agg(id ORDER BY length(s) > 0, id) AS x FROM v",
        wrong: "error: does not satisfy order requirements",
    },
    Form {
        name: "a constant key of grouping sets over UNION ALL",
        reason: "the second step of the aggregate takes the key for sorted, and ends a group too early",
        upstream: "docs/upstream/constants-below-outer-joins.md",
        done: Right("1 6; NULL 6"),
        query: "SELECT abs(-1) AS a, count(*) AS c FROM (SELECT g FROM v UNION ALL SELECT g FROM v) q \
                GROUP BY GROUPING SETS ((abs(-1)), ())",
        wrong: "1 3; 1 3; NULL 6",
    },
    Form {
        name: "a name that several relations of a subquery have",
        reason: "the planner looks further out, and takes a column of the query around for it",
        upstream: "docs/upstream/ambiguous-names-in-subqueries.md",
        done: Refused("write `relation.column`"),
        query: "SELECT id FROM v WHERE EXISTS (SELECT 1 FROM t JOIN u ON t.id = u.id WHERE k = 3)",
        wrong: "3",
    },
    Form {
        name: "a key of NATURAL JOIN in a subquery",
        reason: "as above",
        upstream: "docs/upstream/ambiguous-names-in-subqueries.md",
        done: Refused("write `relation.column`"),
        query: "SELECT id FROM v WHERE EXISTS (SELECT 1 FROM (SELECT k, id AS x FROM t) a \
                NATURAL JOIN (SELECT k, n AS y FROM u) b WHERE k = 3)",
        wrong: "3",
    },
    Form {
        name: "NATURAL LEFT JOIN without a common column",
        reason: "it becomes a cross join",
        upstream: "docs/upstream/natural-left-join.md",
        done: Refused("LEFT JOIN b ON true"),
        query: "SELECT v.id FROM v NATURAL LEFT JOIN (SELECT id AS x FROM u WHERE id < 0) e",
        wrong: "",
    },
    Form {
        name: "a group of a regular expression that takes no part",
        reason: "it is left out, so the next group has its place",
        upstream: "docs/upstream/groups-of-regexp-match.md",
        done: Right("NULL"),
        query: "SELECT regexp_match(s, '(a)?(x)')[1] AS y FROM v WHERE id = 1",
        wrong: "x",
    },
    Form {
        name: "a name in an expression of ORDER BY that is an output column's and a table's",
        reason: "PostgreSQL and DuckDB take the table's, DataFusion the output's",
        upstream: "docs/upstream/names-in-order-by.md",
        done: Refused("give the output column another name"),
        query: "SELECT id FROM (SELECT -n AS n, id FROM v ORDER BY n + 0 LIMIT 1) q",
        wrong: "3",
    },
    Form {
        name: "conditions on the sides of an outer join",
        reason: "the physical rule FilterPushdown finds columns by name, on the wrong side",
        upstream: "apache/datafusion#21246, #25296",
        done: Right("11; 13; 6; 9"),
        query: "SELECT b.id FROM u s RIGHT JOIN t b ON b.k = s.k WHERE b.b AND (s.d IS NULL OR s.d < b.d)",
        wrong: "",
    },
    Form {
        name: "conditions on both sides of a FULL JOIN",
        reason: "as above",
        upstream: "apache/datafusion#21246, #25296",
        done: Right("15; 15; 3; 3; 9"),
        query: "SELECT coalesce(b.id, s.id) AS id FROM u s FULL JOIN t b ON b.k = s.k \
                WHERE b.g = 'a' AND b.d IS DISTINCT FROM s.d",
        wrong: "",
    },
    Form {
        name: "a condition without columns above an aggregate without GROUP BY",
        reason: "the logical rule push_down_filter moves it below, where the aggregate has a row for no input",
        upstream: "docs/upstream/filter-below-aggregate.md",
        done: Right("8 b"),
        query: "SELECT x, c FROM (SELECT count(*) AS x, 'a' AS c FROM t UNION ALL SELECT count(*), 'b' FROM u) q \
                WHERE c = 'b'",
        wrong: "0 a; 8 b",
    },
    Form {
        name: "HAVING with a subquery alone",
        reason: "as above",
        upstream: "docs/upstream/filter-below-aggregate.md",
        done: Right(""),
        query: "SELECT count(*) AS c FROM t HAVING 3 > (SELECT count(*) FROM u)",
        wrong: "0",
    },
    Form {
        name: "an equality above a join on IS NOT DISTINCT FROM",
        reason: "the logical rule extract_equijoin_predicate adds it to keys for which NULL equals NULL",
        upstream: "docs/upstream/equality-beside-not-distinct.md",
        done: Right(""),
        query: "SELECT a.id FROM t a JOIN u b ON a.s IS NOT DISTINCT FROM b.s WHERE a.n = b.n AND a.id = 4",
        wrong: "4",
    },
    Form {
        name: "a join on IS NOT DISTINCT FROM beside one on equality",
        reason: "the logical rule eliminate_cross_join gives all keys the meaning of the topmost join's",
        upstream: "docs/upstream/equality-beside-not-distinct.md",
        done: Right("10 5; 10 7"),
        query: "SELECT a.id, b.id AS other FROM t a JOIN u b ON a.k IS NOT DISTINCT FROM b.k \
                JOIN v c ON c.id = b.id - b.id + 1 WHERE a.id = 10",
        wrong: "",
    },
    Form {
        name: "NOT IN below OR",
        reason: "IN becomes a mark that is never NULL",
        upstream: "apache/datafusion#21309, #25336",
        done: Right("10; 14; 15; 3; 5; 7; 8; 9"),
        query: "SELECT t.id FROM t WHERE t.n NOT IN (SELECT n FROM v) OR t.b IS NULL",
        wrong: "10; 14; 15; 3; 4; 5; 7; 8; 9",
    },
    Form {
        name: "a constant NOT IN a subquery with NULL",
        reason: "the NULLs of the subquery are lost",
        upstream: "apache/datafusion#25340",
        done: Right(""),
        query: "SELECT id FROM v WHERE 'q' NOT IN (SELECT s FROM u)",
        wrong: "1; 2; 3",
    },
    Form {
        name: "NOT IN a subquery that reads the row around it",
        reason: "a NULL for one row counts for all",
        upstream: "apache/datafusion#25347",
        done: Right("1"),
        query: "SELECT id FROM v WHERE 'y' NOT IN (SELECT u.s FROM u WHERE u.id = v.id)",
        wrong: "1; 2",
    },
    Form {
        name: "EXISTS over an aggregate without GROUP BY",
        reason: "the aggregate's row for no input is lost",
        upstream: "apache/datafusion#24960, #25347",
        done: Right("1; 2; 3"),
        query: "SELECT id FROM v WHERE EXISTS (SELECT count(*) FROM u WHERE u.id = v.id + 6)",
        wrong: "1; 2",
    },
    Form {
        name: "HAVING in a scalar subquery that reads the row around it",
        reason: "the condition is lost",
        upstream: "docs/upstream/having-in-scalar-subquery.md",
        done: Right("1 1; 2 NULL; 3 4"),
        query: "SELECT id, (SELECT max(u.id) FROM u WHERE u.k = v.id HAVING count(*) < 2) AS x FROM v",
        wrong: "1 1; 2 3; 3 4",
    },
    Form {
        name: "IS DISTINCT FROM before AND and OR",
        reason: "its right side is all that follows",
        upstream: "apache/datafusion#23692",
        done: Right("12; 15; 2"),
        query: "SELECT id FROM t WHERE b IS DISTINCT FROM true AND n > 1",
        wrong: "12; 13; 14; 15; 16; 2; 3; 4; 7",
    },
    Form {
        name: "two lists for one value",
        reason: "the simplifier puts lists together as sets, which have no NULL",
        upstream: "docs/upstream/two-lists-for-one-value.md",
        done: Right("5"),
        query: "SELECT id FROM t WHERE NOT (n IN (1, 2) AND n IN (5, 7)) AND (id = 4 OR id = 5 OR id = 10)",
        wrong: "10; 4; 5",
    },
    Form {
        name: "two lists for one value, with a column",
        reason: "the simplifier puts lists together as sets of expressions",
        upstream: "docs/upstream/two-lists-for-one-value.md",
        done: Right("1; 15; 2; 3; 9"),
        query: "SELECT id FROM t WHERE g IN ('a', 'q') AND g IN (g, s)",
        wrong: "",
    },
    Form {
        name: "two lists for one value, with NULL",
        reason: "as above",
        upstream: "docs/upstream/two-lists-for-one-value.md",
        done: Right(""),
        query: "SELECT id FROM v WHERE n NOT IN (1, NULL) AND n IN (1, 2)",
        wrong: "2",
    },
    Form {
        name: "NOT EXISTS before IS",
        reason: "the parser takes NOT EXISTS for one word, so NOT is tighter than IS",
        upstream: "docs/upstream/not-exists-before-is.md",
        done: Right(""),
        query: "SELECT id FROM v WHERE NOT EXISTS (SELECT 1 FROM u WHERE id < 0) IS NOT NULL",
        wrong: "1; 2; 3",
    },
    Form {
        name: "a scalar subquery of no rows whose value becomes a constant",
        reason: "the value is taken for never NULL",
        upstream: "docs/upstream/scalar-subquery-of-no-rows.md",
        done: Right(""),
        query: "SELECT id FROM v WHERE (SELECT greatest(1, 2) FROM u WHERE id > 100 LIMIT 1) IS NOT NULL",
        wrong: "1; 2; 3",
    },
    Form {
        name: "min of infinities for each group",
        reason: "groups begin with the largest finite double",
        upstream: "docs/upstream/extremes-of-doubles.md",
        done: Right("1 inf"),
        query: "SELECT id, min(CAST('Infinity' AS DOUBLE)) AS x FROM v WHERE id = 1 GROUP BY id",
        wrong: "1 1.7976931348623157e308",
    },
    Form {
        name: "max of NaN and numbers for each group",
        reason: "what comes after a NaN is lost",
        upstream: "docs/upstream/extremes-of-doubles.md",
        done: Right("1 -3.0 NaN"),
        query: "SELECT g, min(x) AS x, max(x) AS y FROM (VALUES (1, CAST(-3 AS DOUBLE)), (1, CAST('NaN' AS DOUBLE)), \
                (1, CAST(5 AS DOUBLE))) q (g, x) GROUP BY g",
        wrong: "1 5.0 5.0",
    },
    Form {
        name: "infinity - infinity",
        reason: "the processor gives this NaN a sign, and comparisons take it for the smallest number",
        upstream: "docs/upstream/nan-with-a-sign.md",
        done: Right("false true"),
        query: "SELECT x - x < 1 AS a, x - x = CAST('NaN' AS DOUBLE) AS b FROM (VALUES (CAST('Infinity' AS DOUBLE))) q (x)",
        wrong: "true false",
    },
    Form {
        name: "nullif of a BIGINT beside a DOUBLE",
        reason: "the result has the type of both",
        upstream: "docs/upstream/nullif-changes-the-type.md",
        done: Right("9223372036854775807"),
        query: "SELECT nullif(9223372036854775807, CAST(0.5 AS DOUBLE)) AS x",
        wrong: "9.223372036854776e18",
    },
    Form {
        name: "ceil, floor and trunc of a BIGINT",
        reason: "integers are taken for doubles",
        upstream: "docs/upstream/rounding-of-integers.md",
        done: Right("9007199254740993 9007199254740993 9007199254740900"),
        query: "SELECT ceil(9007199254740993) AS x, trunc(9007199254740993, 0) AS y, trunc(9007199254740993, -2) AS z",
        wrong: "9007199254740992.0 9007199254740992.0 9007199254740900.0",
    },
    Form {
        name: "a double as a DECIMAL of many digits",
        reason: "the digits are calculated as a double",
        upstream: "docs/upstream/casts-of-doubles.md",
        done: Right("1000000000000000.0000000000"),
        query: "SELECT CAST(CAST('1e15' AS DOUBLE) AS DECIMAL(38, 10)) AS x",
        wrong: "1000000000000000.0905969664",
    },
    Form {
        name: "a double as a REAL that it does not fit",
        reason: "it becomes an infinity",
        upstream: "docs/upstream/casts-of-doubles.md",
        done: Right("NULL"),
        query: "SELECT TRY_CAST(CAST('1e300' AS DOUBLE) AS REAL) AS x",
        wrong: "inf",
    },
    Form {
        name: "a timestamp of milliseconds beside one of microseconds",
        reason: "both are cut to milliseconds",
        upstream: "docs/upstream/moments-of-two-units.md",
        done: Right(""),
        query: "SELECT id FROM t WHERE CAST(ts AS TIMESTAMP(3)) = CAST('2024-02-29 23:59:59.999999' AS TIMESTAMP(6))",
        wrong: "1",
    },
    Form {
        name: "an interval shorter than a millisecond beside a timestamp of milliseconds",
        reason: "it is dropped",
        upstream: "docs/upstream/moments-of-two-units.md",
        done: Right("2024-03-01T00:00:00.000001"),
        query: "SELECT CAST(ts AS TIMESTAMP(3)) + INTERVAL '1 microsecond' AS x FROM t WHERE id = 1",
        wrong: "2024-02-29T23:59:59.999",
    },
    Form {
        name: "a sort by a column of an outer join that ON makes constant",
        reason: "a constant below an outer join is taken for one above it",
        upstream: "docs/upstream/constants-below-outer-joins.md",
        done: Right("1 3; 2 1; 3 2"),
        query: "SELECT a.id, row_number() OVER (ORDER BY b.k DESC NULLS FIRST, a.id) AS n \
                FROM v a LEFT JOIN v b ON a.k = b.k AND b.k = 1",
        wrong: "1 1; 2 2; 3 3",
    },
    Form {
        name: "a sort by a column of grouping sets that WHERE makes constant",
        reason: "as above",
        upstream: "docs/upstream/constants-below-outer-joins.md",
        done: Right("1 NULL 3; 2 1 1"),
        query: "SELECT row_number() OVER (ORDER BY k NULLS FIRST, c) AS n, k, c FROM \
                (SELECT k, count(*) + CASE WHEN k IS NULL THEN 2 ELSE 0 END AS c FROM v WHERE k = 1 GROUP BY CUBE (k)) q",
        wrong: "1 1 1; 2 NULL 3",
    },
    Form {
        name: "distinct values in two orders",
        reason: "one order is taken for the other",
        upstream: "docs/upstream/order-of-distinct-values.md",
        done: Right("[1, 2, 3] [3, 2, 1]"),
        query: "SELECT array_agg(DISTINCT id ORDER BY id) AS x, array_agg(DISTINCT id ORDER BY id DESC) AS y FROM v",
        wrong: "[1, 2, 3] [1, 2, 3]",
    },
    Form {
        name: "percentile_cont of a descending order",
        reason: "the fraction is cut to millionths",
        upstream: "docs/upstream/fractions-of-percentiles.md",
        done: Right("2.0"),
        query: "SELECT percentile_cont(0.9) WITHIN GROUP (ORDER BY x DESC) AS p FROM \
                (VALUES (1), (2), (3), (4), (5), (6), (7), (8), (9), (10), (11)) q (x)",
        wrong: "1.9999989999999999",
    },
    Form {
        name: "DISTINCT in bit_xor",
        reason: "it is forgotten",
        upstream: "docs/upstream/distinct-that-is-forgotten.md",
        done: Refused("SELECT DISTINCT"),
        query: "SELECT g, bit_xor(DISTINCT x) AS x, bit_xor(x) AS y FROM (VALUES (1, 4), (1, 4), (1, 2)) q (g, x) GROUP BY g",
        wrong: "1 2 2",
    },
    Form {
        name: "a regular expression that matches everything",
        reason: "it becomes IS NOT NULL, which is false for NULL",
        upstream: "docs/upstream/regular-expression-of-anything.md",
        done: Right(""),
        query: "SELECT id FROM t WHERE NOT s ~ '.*'",
        wrong: "10; 4",
    },
    Form {
        name: "bit_xor over a frame without values",
        reason: "it is 0 once values have left",
        upstream: "docs/upstream/bit-xor-of-nothing.md",
        done: Right("1 1; 2 2; 3 NULL"),
        query: "SELECT id, bit_xor(n) OVER (ORDER BY id ROWS BETWEEN CURRENT ROW AND CURRENT ROW) AS x \
                FROM (SELECT id, CASE WHEN id < 3 THEN n END AS n FROM v) q",
        wrong: "1 1; 2 2; 3 0",
    },
    Form {
        name: "round of a large double",
        reason: "it overflows on the way",
        upstream: "docs/upstream/round-of-large-doubles.md",
        done: Right("1e300"),
        query: "SELECT round(CAST('1e300' AS DOUBLE), 10) AS x",
        wrong: "inf",
    },
    Form {
        name: "a sum of the decimals of a list",
        reason: "they are added as doubles",
        upstream: "docs/upstream/sums-of-lists.md",
        done: Refused("use `unnest`"),
        query: "SELECT array_sum([d, d, d]) AS x FROM (SELECT CAST(0.1 AS DECIMAL(5, 1)) AS d FROM v WHERE id = 1) q",
        wrong: "0.30000000000000004",
    },
    Form {
        name: "array_has of a list with NULL",
        reason: "a constant list becomes IN, which has another truth",
        upstream: "docs/upstream/array-has-of-null.md",
        done: Right("1; 2; 3"),
        query: "SELECT id FROM v WHERE NOT array_has([7, NULL], n)",
        wrong: "",
    },
    Form {
        name: "OVER (w ORDER BY x)",
        reason: "what the named window says is forgotten",
        upstream: "docs/upstream/named-windows.md",
        done: Right("1 1; 2 1; 3 2"),
        query: "SELECT id, row_number() OVER (w ORDER BY id) AS x FROM u WHERE id <= 3 WINDOW w AS (PARTITION BY k > 1)",
        wrong: "1 1; 2 2; 3 3",
    },
    Form {
        name: "a difference of timestamps beside an interval",
        reason: "it becomes an interval of nanoseconds, and intervals are compared field by field",
        upstream: "docs/upstream/durations-and-intervals.md",
        done: Right("1; 13; 14; 15; 2; 3; 8"),
        query: "SELECT id FROM t WHERE lt - TIMESTAMP '2024-03-01 00:00:00' > INTERVAL '1 day'",
        wrong: "",
    },
    Form {
        name: "a difference of timestamps beside months",
        reason: "as above; a month has no length",
        upstream: "docs/upstream/durations-and-intervals.md",
        done: Refused("INTERVAL '30 days'"),
        query: "SELECT id FROM t WHERE lt - TIMESTAMP '2024-03-01 00:00:00' > INTERVAL '1 month'",
        wrong: "",
    },
    Form {
        name: "the key of RIGHT JOIN ... USING",
        reason: "it is the left side's column",
        upstream: "apache/datafusion#22881",
        done: Right("7; NULL; NULL"),
        query: "SELECT k FROM t RIGHT JOIN u USING (k) WHERE t.id IS NULL",
        wrong: "NULL; NULL; NULL",
    },
    Form {
        name: "the key of NATURAL FULL JOIN",
        reason: "as above",
        upstream: "apache/datafusion#22881",
        done: Refused("ON a.k = b.k"),
        query: "SELECT g FROM (SELECT g FROM t WHERE g = 'a') x NATURAL FULL JOIN (SELECT g FROM u WHERE g = 'z') y",
        wrong: "NULL; a; a; a; a; a",
    },
    Form {
        name: "EXCEPT ALL",
        reason: "equal rows are not counted",
        upstream: "apache/datafusion#12956",
        done: Right("; ; NULL; NULL; NULL; a; a; a; a; b; b; c; c"),
        query: "SELECT g FROM t EXCEPT ALL SELECT g FROM v",
        wrong: "; ; NULL; NULL; NULL",
    },
    Form {
        name: "INTERSECT ALL",
        reason: "as above",
        upstream: "apache/datafusion#12955",
        done: Right("a; b; c"),
        query: "SELECT g FROM t INTERSECT ALL SELECT g FROM v",
        wrong: "a; a; a; a; a; b; b; b; c; c; c",
    },
    Form {
        name: "SIMILAR TO",
        reason: "the pattern is taken for a regular expression that may match anywhere",
        upstream: "apache/datafusion#22263",
        done: Right("13; 7"),
        query: "SELECT id FROM t WHERE s SIMILAR TO 'a%b' OR s SIMILAR TO '_\\_(b|c)'",
        wrong: "7",
    },
    Form {
        name: "SIMILAR TO with a pattern that is computed",
        reason: "as above",
        upstream: "apache/datafusion#22263",
        done: Refused("regexp_like"),
        query: "SELECT id FROM t WHERE s SIMILAR TO g",
        wrong: "11; 16; 9",
    },
    Form {
        name: "extract(epoch FROM a difference)",
        reason: "the fraction of the seconds is lost",
        upstream: "docs/upstream/durations-and-intervals.md",
        done: Right("24272999.5; NULL"),
        query: "SELECT extract(epoch FROM lt - lag(lt) OVER (ORDER BY lt)) AS x FROM t WHERE id IN (11, 12)",
        wrong: "24272999.0; NULL",
    },
    Form {
        name: "rows of values with NULL",
        reason: "they are compared as structs, for which NULL is a value",
        upstream: "docs/upstream/row-comparison.md",
        done: Right("11 true; 12 true; 14 true; 4 NULL; 5 true"),
        query: "SELECT id, (n, k) < (2, 5) OR n = 3 AS x FROM t WHERE id IN (4, 5, 11, 12, 14)",
        wrong: "11 true; 12 true; 14 true; 4 true; 5 true",
    },
    Form {
        name: "= ANY (array) with NULL in the array",
        reason: "the NULLs in the array are not seen",
        upstream: "docs/upstream/any-of-array.md",
        done: Right("2 NULL; 4 true; 8 false"),
        query: "SELECT id, 3 = ANY (make_array(k, n)) AS x FROM u WHERE id IN (2, 4, 8)",
        wrong: "2 false; 4 true; 8 false",
    },
    Form {
        name: "a day and an interval with hours",
        reason: "the sum is a day, without the hours",
        upstream: "docs/upstream/days-and-hours.md",
        done: Right("2024-03-01T12:00:00 2024-02-28T22:30:00"),
        query: "SELECT DATE '2024-02-29' + INTERVAL '36 hours' AS x, DATE '2024-02-29' - INTERVAL '90 minutes' AS y",
        wrong: "2024-03-01 2024-02-29",
    },
    Form {
        name: "an integer divided by a length",
        reason: "lengths, positions and numbers of rows are unsigned, and become a decimal beside a signed integer",
        upstream: "docs/upstream/unsigned-counts.md",
        done: Right("1 3 -1"),
        query: "SELECT cardinality([1, 2, 3]) / 2 AS x, 7 / array_position([5, 6], 6) AS y, \
                array_length([1]) - array_length([1, 2]) AS z",
        wrong: "1.5000 3.5000 18446744073709551615",
    },
    Form {
        name: "an integer divided by the number of a row",
        reason: "as above",
        upstream: "docs/upstream/unsigned-counts.md",
        done: Right("1 7 -7; 2 3 -6; 3 2 -5"),
        query: "SELECT id, 7 / row_number() OVER (ORDER BY id) AS x, rank() OVER (ORDER BY id) - 8 AS y FROM v",
        wrong: "1 7.0000 -7; 2 3.5000 -6; 3 2.3333 -5",
    },
    Form {
        name: "a sum of decimals beside a DISTINCT aggregate",
        reason: "it becomes a sum of sums, with more digits than the plan says",
        upstream: "apache/datafusion#17699",
        done: Right("a 3; b 0"),
        query: "SELECT g, count(DISTINCT n) AS c FROM u GROUP BY g HAVING sum(d) > 2",
        wrong: "error: Invalid argument error: Invalid comparison operation: Decimal128(32, 2) > Decimal128(22, 2)",
    },
    Form {
        name: "a comparison with a rounded decimal",
        reason: "round declares another type when its places are a cast than when they are a literal",
        upstream: "docs/upstream/round-of-decimals.md",
        done: Right("false 1.10 true"),
        query: "SELECT round(d, 2) < CAST(0.5 AS DECIMAL(2, 1)) AS x, least(round(d, 2), CAST(9 AS DECIMAL(3, 0))) AS y, \
                round(d, 1 + 1) IN (d) AS z FROM (SELECT CAST(1.1 AS DECIMAL(18, 4)) AS d) q",
        wrong: "error: Invalid argument error: Invalid comparison operation: Decimal128(18, 2) < Decimal128(19, 4)",
    },
    Form {
        name: "floor of a constant over no rows",
        reason: "the constant becomes a column of no rows, whose first value is taken",
        upstream: "docs/upstream/constants-over-no-rows.md",
        done: Right(""),
        query: "SELECT floor((SELECT max(d) FROM u)) AS x FROM v CROSS JOIN u w WHERE v.d = w.d + 1000 OR v.g = 'zz'",
        wrong: "panic",
    },
    Form {
        name: "a scalar subquery that finds no row",
        reason: "its value is taken for never NULL if its column is",
        upstream: "docs/upstream/scalar-subquery-of-no-rows.md",
        done: Right("NULL true"),
        query: "SELECT (SELECT 1 AS a FROM v WHERE id > 1000) AS x, (SELECT 1 AS a FROM v WHERE id > 1000) IS NULL AS y",
        wrong: "error: Invalid argument error: Column 'x' is declared as non-nullable but contains null values",
    },
    Form {
        name: "date_bin and date_trunc of moments that nanoseconds do not reach",
        reason: "they count nanoseconds, from 1677 to 2262",
        upstream: "docs/upstream/date-bin-in-nanoseconds.md",
        done: Right("1582-10-10T00:00:00 9999-12-01T00:00:00"),
        query: "SELECT date_bin(INTERVAL '15 minutes', arrow_cast('1582-10-10T00:07:00', 'Timestamp(Microsecond, None)')) AS x, \
                date_trunc('month', DATE '9999-12-31') AS y",
        wrong: "error: Cannot cast Date32 value 2932896 to Timestamp(ns): converted value exceeds the representable i64 range",
    },
    Form {
        name: "OFFSET without LIMIT over an order whose columns are not passed on",
        reason: "the physical rule EnsureRequirements takes the sort below the projection out",
        upstream: "apache/datafusion#23534",
        done: Right("10; 3"),
        query: "SELECT id FROM (SELECT id FROM t ORDER BY i DESC NULLS LAST, id OFFSET 14) q ORDER BY id",
        wrong: "15; 16",
    },
    Form {
        name: "ORDER BY over rows that OFFSET has cut",
        reason: "the physical rule EnsureRequirements sorts below the limit and keeps too few rows there",
        upstream: "apache/datafusion#24958",
        done: Right("2; 3"),
        query: "SELECT id FROM (SELECT id FROM v LIMIT 2 OFFSET 1) q ORDER BY id",
        wrong: "2",
    },
    Form {
        name: "a sum of intervals",
        reason: "its days and months wrap",
        upstream: "docs/upstream/sum-of-intervals.md",
        done: Refused("extract(epoch"),
        query: "SELECT sum(i) AS x FROM (SELECT INTERVAL '1500000000 days' AS i UNION ALL SELECT INTERVAL '1500000000 days') q",
        wrong: "-1294967296 days",
    },
    Form {
        name: "a frame of RANGE with an offset shorter than the steps of its key",
        reason: "the start of the frame is rounded to a step",
        upstream: "docs/upstream/offsets-of-range.md",
        done: Right("1 1; 2 2; 3 1"),
        query: "SELECT id, count(*) OVER (ORDER BY x RANGE BETWEEN INTERVAL '1500 microseconds' PRECEDING AND CURRENT ROW) AS c \
                FROM (SELECT id, CAST(dt AS TIMESTAMP(3)) + CASE id WHEN 1 THEN INTERVAL '0.001 seconds' WHEN 2 THEN \
                INTERVAL '0.002 seconds' - INTERVAL '1 day' ELSE INTERVAL '0.004 seconds' - INTERVAL '2 days' END AS x FROM v) q",
        wrong: "1 1; 2 2; 3 2",
    },
    Form {
        name: "a frame of RANGE with an offset of more digits than its key",
        reason: "the offset is rounded to the digits of the key",
        upstream: "docs/upstream/offsets-of-range.md",
        done: Right("1 1; 2 1; 3 2"),
        query: "SELECT id, count(*) OVER (ORDER BY x RANGE BETWEEN 0.25 PRECEDING AND CURRENT ROW) AS c FROM \
                (SELECT id, CAST(CASE id WHEN 1 THEN '1.0' WHEN 2 THEN '1.3' ELSE '1.5' END AS DECIMAL(3, 1)) AS x FROM v) q",
        wrong: "1 1; 2 2; 3 2",
    },
    Form {
        name: "a frame of RANGE with a number beside a day",
        reason: "the number is read as an interval of months",
        upstream: "docs/upstream/offsets-of-range.md",
        done: Refused("INTERVAL '5 days'"),
        query: "SELECT id, count(*) OVER (ORDER BY dt RANGE BETWEEN 1 PRECEDING AND CURRENT ROW) AS c FROM v",
        wrong: "1 1; 2 2; 3 3",
    },
    Form {
        name: "split_part from the end with a delimiter that overlaps itself",
        reason: "delimiters are looked for from the end",
        upstream: "docs/upstream/split-part-from-the-end.md",
        done: Right("ay"),
        query: "SELECT split_part('xaaay', 'aa', -1) AS x",
        wrong: "y",
    },
    Form {
        name: "the variance of one NaN",
        reason: "one value has the variance 0, whatever it is",
        upstream: "docs/upstream/statistics-of-nan.md",
        done: Right("NaN NaN"),
        query: "SELECT var_pop(x) AS a, regr_slope(x, x) AS b FROM (VALUES (CAST('NaN' AS DOUBLE))) q (x)",
        wrong: "0.0 NULL",
    },
    Form {
        name: "regr_r2 of a horizontal line",
        reason: "a line through all points has no R squared if y is constant",
        upstream: "docs/upstream/statistics-of-nan.md",
        done: Right("1.0"),
        query: "SELECT regr_r2(1, id) AS x FROM v",
        wrong: "NULL",
    },
    Form {
        name: "corr of large numbers with GROUP BY",
        reason: "it subtracts sums of squares that differ only in digits that doubles do not have",
        upstream: "docs/upstream/correlation-of-groups.md",
        done: Right("1 1.0"),
        query: "SELECT g, corr(x, y) AS r FROM (SELECT 1 AS g, CAST(1000000000 + id AS DOUBLE) AS x, \
                CAST(2000000000 + id AS DOUBLE) AS y FROM v) q GROUP BY g",
        wrong: "1 NULL",
    },
    Form {
        name: "a comparison of arrays with NULL in them",
        reason: "such a NULL is smaller than all values in comparisons, and larger in sorts",
        upstream: "docs/upstream/order-of-inner-nulls.md",
        done: Refused("by their parts"),
        query: "SELECT greatest([1, NULL], [1, 2]) AS x, [1, NULL] >= [1, 2] AS y",
        wrong: "[1, 2] false",
    },
    Form {
        name: "NULLS FIRST for arrays with NULL in them",
        reason: "it is taken for the NULLs inside, too",
        upstream: "docs/upstream/order-of-inner-nulls.md",
        done: Refused("by their parts"),
        query: "SELECT id, row_number() OVER (ORDER BY x NULLS FIRST) AS n FROM \
                (SELECT id, CASE WHEN id = 1 THEN [1] ELSE [NULL] END AS x FROM v WHERE id < 3) q",
        wrong: "1 2; 2 1",
    },
    Form {
        name: "GROUP BY ... WITH ROLLUP",
        reason: "the modifier is not read",
        upstream: "docs/upstream/clauses-that-are-not-read.md",
        done: Right("NULL 3; a 1; b 1; c 1"),
        query: "SELECT g, count(*) AS c FROM v GROUP BY g WITH ROLLUP",
        wrong: "a 1; b 1; c 1",
    },
    Form {
        name: "a text as a VARCHAR(2)",
        reason: "the length is not read",
        upstream: "docs/upstream/clauses-that-are-not-read.md",
        done: Right("ab ab a"),
        query: "SELECT CAST('abc' AS VARCHAR(2)) AS x, 'abc'::char(2) AS y, CAST('a' AS VARCHAR(2)) AS z",
        wrong: "abc abc a",
    },
    Form {
        name: "TABLESAMPLE",
        reason: "it is not read",
        upstream: "docs/upstream/clauses-that-are-not-read.md",
        done: Refused("by a condition"),
        query: "SELECT id FROM v TABLESAMPLE (0 PERCENT)",
        wrong: "1; 2; 3",
    },
    Form {
        name: "PREWHERE",
        reason: "it is not read",
        upstream: "docs/upstream/clauses-that-are-not-read.md",
        done: Refused("in WHERE"),
        query: "SELECT id FROM v PREWHERE id = 1",
        wrong: "1; 2; 3",
    },
    Form {
        name: "CONNECT BY",
        reason: "it is not read",
        upstream: "docs/upstream/clauses-that-are-not-read.md",
        done: Refused("WITH RECURSIVE"),
        query: "SELECT id FROM v START WITH id = 1 CONNECT BY PRIOR id = id",
        wrong: "1; 2; 3",
    },
    Form {
        name: "* ILIKE",
        reason: "it is not read",
        upstream: "docs/upstream/clauses-that-are-not-read.md",
        done: Refused("name the columns"),
        query: "SELECT * ILIKE 'i%' FROM (SELECT id, g FROM v WHERE id = 1) q",
        wrong: "1 a",
    },
    Form {
        name: "FILTER at a function of one row",
        reason: "it is not read",
        upstream: "docs/upstream/clauses-that-are-not-read.md",
        done: Refused("call an aggregate"),
        query: "SELECT upper(g) FILTER (WHERE id = 1) AS x FROM v",
        wrong: "A; B; C",
    },
    Form {
        name: "DISTINCT at a function of a window",
        reason: "it is not read",
        upstream: "docs/upstream/clauses-that-are-not-read.md",
        done: Refused("distinct rows"),
        query: "SELECT id, lead(DISTINCT b) OVER (ORDER BY id) AS x FROM v",
        wrong: "1 false; 2 true; 3 NULL",
    },
];

#[tokio::test]
async fn subqueries_and_orders_are_right_in_every_position() {
    let sessions = sessions().await;
    let mut differences = Vec::new();
    for (query, right) in right::RIGHT {
        let answer = sessions.ours(query).await;
        if answer.as_deref() != Ok(*right) {
            differences.push(format!("{query}: {answer:?}"));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    let several = sessions.ours("SELECT (SELECT u.n FROM u WHERE u.k = t.k) AS x FROM t").await;
    assert!(several.unwrap_err().contains("more than one row"));
    let other = sessions.ours("SELECT array_agg(DISTINCT id ORDER BY -id) AS x FROM v").await;
    assert!(other.unwrap_err().contains("order them by the values themselves"));
    let path = sessions.ours("SELECT s ->> '$.a' AS x FROM v").await.unwrap_err();
    assert!(path.contains("query:1:8") && path.contains("json_get_str(x, 'a', 'b')"), "{path}");
    let pattern = sessions.ours("SELECT id FROM v WHERE g ~ 'a('").await.unwrap_err();
    assert!(
        pattern.contains("query:1:28: error: this is no regular expression: unclosed group"),
        "{pattern}"
    );
    let outer = sessions.ours("SELECT id FROM v WHERE n = (SELECT max(v.n) FROM u)").await.unwrap_err();
    assert!(
        outer.contains("query:1:36: error: `max` in a subquery") && outer.contains("aggregate a column"),
        "{outer}"
    );
}

/// One session of DataFusion as it comes, and one of ours, over the same tables.
struct Sessions {
    upstream: SessionContext,
    ours: QuerySession,
}

async fn sessions() -> Sessions {
    let mut config = SessionConfig::new().with_target_partitions(1);
    config.options_mut().sql_parser.map_string_types_to_utf8view = false;
    let upstream = SessionContext::new_with_config(config);
    let mut ours = QuerySession::new(256 << 20).unwrap();
    for statement in include_str!("tables.sql").split("CREATE TABLE ").skip(1) {
        let (name, rest) = statement.split_once(' ').unwrap();
        let (create, insert) = rest.split_once(";\n").unwrap();
        let _: Vec<RecordBatch> = rows_of(&upstream, &format!("CREATE TABLE {name} {create}")).await;
        let _: Vec<RecordBatch> = rows_of(&upstream, insert.trim_end_matches([';', '\n'])).await;
        let table = upstream.sql(&format!("SELECT * FROM {name}")).await.unwrap();
        let schema = Arc::new(table.schema().as_arrow().clone());
        let rows = table.collect().await.unwrap();
        let rows = rows.into_iter().map(|batch| batch.with_schema(Arc::clone(&schema)).unwrap());
        ours.put(name, Arc::clone(&schema), rows.collect()).unwrap();
    }
    Sessions { upstream, ours }
}

async fn rows_of(context: &SessionContext, sql: &str) -> Vec<RecordBatch> {
    context.sql(sql).await.unwrap().collect().await.unwrap()
}

/// The rows in the order of their texts.
fn shown(batches: &[RecordBatch]) -> String {
    let options = FormatOptions::default().with_null("NULL");
    let mut rows: Vec<String> = Vec::new();
    for batch in batches {
        let columns: Vec<_> =
            batch.columns().iter().map(|column| ArrayFormatter::try_new(column, &options).unwrap()).collect();
        rows.extend((0..batch.num_rows()).map(|row| {
            let values: Vec<String> = columns.iter().map(|column| column.value(row).to_string()).collect();
            values.join(" ")
        }));
    }
    rows.sort();
    rows.join("; ")
}

/// Of an error that shows a plan.
const UNSORTED: &str = "does not satisfy order requirements";

impl Sessions {
    async fn upstream(&self, query: &str) -> String {
        let context = self.upstream.clone();
        let query = query.to_owned();
        let run = tokio::spawn(async move {
            let frame = context.sql(&query).await?;
            frame.collect().await
        });
        match run.await {
            Ok(Ok(batches)) => shown(&batches),
            Ok(Err(error)) => {
                let told = error.find_root().message().into_owned();
                match told.contains(UNSORTED) {
                    true => format!("error: {UNSORTED}"),
                    false => format!("error: {}", told.lines().next().unwrap_or("")),
                }
            }
            Err(_) => "panic".to_owned(),
        }
    }

    async fn ours(&self, query: &str) -> Result<String, String> {
        let failed = |errors: Vec<SqlError>| render(&errors);
        let typed = Typed::parse("query", query, query).map_err(failed)?;
        let mut rows = self.ours.plan(&typed).await.map_err(failed)?.run();
        let mut batches = Vec::new();
        while let Some(batch) = rows.next().await.map_err(|error| error.to_string())? {
            batches.push(batch);
        }
        Ok(shown(&batches))
    }
}

#[tokio::test]
async fn each_form_is_still_wrong_upstream_and_right_or_refused_here() {
    let sessions = sessions().await;
    let mut differences = Vec::new();
    for form in FORMS {
        let upstream = sessions.upstream(form.query).await;
        if upstream != form.wrong {
            differences.push(format!("{}: upstream says {upstream:?}, not {:?}", form.name, form.wrong));
        }
        match (&form.done, sessions.ours(form.query).await) {
            (Right(right), Ok(rows)) if rows == *right => {}
            (Refused(hint), Err(error)) if error.contains(hint) && error.contains("query:1:") => {}
            (_, answer) => differences.push(format!("{}: {answer:?}", form.name)),
        }
        if let Right(right) = form.done
            && upstream == right
        {
            differences.push(format!("{}: upstream is right now, so this can go", form.name));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn each_form_says_why_and_where_it_is_reported() {
    let names: BTreeSet<&str> = FORMS.iter().map(|form| form.name).collect();
    assert_eq!(names.len(), FORMS.len(), "two forms of one name");
    for form in FORMS {
        assert!(!form.reason.is_empty(), "{}", form.name);
        for report in form.upstream.split(", ").filter(|report| report.starts_with("docs/")) {
            assert!(std::path::Path::new(report).exists(), "{}: {report} is missing", form.name);
        }
    }
}
