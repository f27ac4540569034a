-- several aggregates
SELECT g, count(*) AS c, sum(n) AS s, min(d) AS mi, max(d) AS ma FROM t GROUP BY g;
--= ["", 2, 3, 0.01, 0.05]
--= ["a", 5, 18, -2.5, 5.55]
--= ["b", 3, 0, 0, 2.5]
--= ["c", 3, 5, -99999.99, 12.35]
--= [null, 3, -2, -0.01, 99999.99]
-- by an expression
SELECT n % 2 AS odd, count(*) AS c FROM t GROUP BY n % 2;
--= [-1, 1]
--= [0, 4]
--= [1, 9]
--= [null, 2]
-- by the place of a column
SELECT g, count(*) AS c FROM t GROUP BY 1;
--= ["", 2]
--= ["a", 5]
--= ["b", 3]
--= ["c", 3]
--= [null, 3]
-- HAVING
SELECT g, count(*) AS c FROM t GROUP BY g HAVING count(*) > 2;
--= ["a", 5]
--= ["b", 3]
--= ["c", 3]
--= [null, 3]
-- HAVING without GROUP BY
SELECT count(*) AS c FROM t HAVING 3 > (SELECT count(*) FROM u);
-- HAVING that holds, without GROUP BY
SELECT count(*) AS c FROM t HAVING count(*) > 3;
--= [16]
-- ROLLUP
SELECT g, k, count(*) AS c FROM t GROUP BY ROLLUP (g, k);
--= ["", 0, 1]
--= ["", 1, 1]
--= ["", null, 2]
--= ["a", 1, 2]
--= ["a", 2, 2]
--= ["a", 5, 1]
--= ["a", null, 5]
--= ["b", 2, 1]
--= ["b", 3, 1]
--= ["b", null, 1]
--= ["b", null, 3]
--= ["c", -1, 1]
--= ["c", 4, 2]
--= ["c", null, 3]
--= [null, 3, 1]
--= [null, 5, 1]
--= [null, null, 1]
--= [null, null, 16]
--= [null, null, 3]
-- CUBE
SELECT g, b, count(*) AS c, sum(n) AS s FROM t GROUP BY CUBE (g, b);
--= ["", null, 2, 3]
--= ["", true, 2, 3]
--= ["a", false, 2, 9]
--= ["a", null, 1, 1]
--= ["a", null, 5, 18]
--= ["a", true, 2, 8]
--= ["b", false, 1, -3]
--= ["b", null, 3, 0]
--= ["b", true, 2, 3]
--= ["c", false, 1, 3]
--= ["c", null, 1, 1]
--= ["c", null, 3, 5]
--= ["c", true, 1, 1]
--= [null, false, 1, -2]
--= [null, false, 5, 7]
--= [null, null, 16, 24]
--= [null, null, 2, 0]
--= [null, null, 3, -2]
--= [null, null, 4, 2]
--= [null, true, 7, 15]
-- GROUPING SETS with the empty set
SELECT g, k, count(*) AS c FROM t GROUP BY GROUPING SETS ((g, k), (g), ());
--= ["", 0, 1]
--= ["", 1, 1]
--= ["", null, 2]
--= ["a", 1, 2]
--= ["a", 2, 2]
--= ["a", 5, 1]
--= ["a", null, 5]
--= ["b", 2, 1]
--= ["b", 3, 1]
--= ["b", null, 1]
--= ["b", null, 3]
--= ["c", -1, 1]
--= ["c", 4, 2]
--= ["c", null, 3]
--= [null, 3, 1]
--= [null, 5, 1]
--= [null, null, 1]
--= [null, null, 16]
--= [null, null, 3]
-- GROUPING SETS with a set twice
SELECT g, count(*) AS c FROM t GROUP BY GROUPING SETS ((g), (g));
--= ["", 2]
--= ["", 2]
--= ["a", 5]
--= ["a", 5]
--= ["b", 3]
--= ["b", 3]
--= ["c", 3]
--= ["c", 3]
--= [null, 3]
--= [null, 3]
-- grouping() tells a total from a NULL
SELECT g, grouping(g) AS total, count(*) AS c FROM t GROUP BY ROLLUP (g);
--= ["", 0, 2]
--= ["a", 0, 5]
--= ["b", 0, 3]
--= ["c", 0, 3]
--= [null, 0, 3]
--= [null, 1, 16]
-- ROLLUP with HAVING
SELECT g, count(*) AS c FROM t GROUP BY ROLLUP (g) HAVING count(*) > 3;
--= ["a", 5]
--= [null, 16]
-- ROLLUP over nothing
SELECT g, count(*) AS c FROM t WHERE false GROUP BY ROLLUP (g);
--= [null, 0]
-- a column beside ROLLUP
SELECT b, g, sum(n) AS s FROM t GROUP BY b, ROLLUP (g);
--= [false, "a", 9]
--= [false, "b", -3]
--= [false, "c", 3]
--= [false, null, -2]
--= [false, null, 7]
--= [null, "a", 1]
--= [null, "c", 1]
--= [null, null, 0]
--= [null, null, 2]
--= [true, "", 3]
--= [true, "a", 8]
--= [true, "b", 3]
--= [true, "c", 1]
--= [true, null, 15]
-- a condition over ROLLUP, from outside
SELECT g, c FROM (SELECT g, count(*) AS c FROM t GROUP BY ROLLUP (g)) AS q WHERE g IS NULL;
--= [null, 16]
--= [null, 3]
-- a condition without columns over an aggregate
SELECT c FROM (SELECT count(*) AS c, 'a' AS x FROM t) AS q WHERE x = 'b';
-- constants of a UNION over aggregates
SELECT x, c FROM (SELECT count(*) AS x, 'a' AS c FROM t UNION ALL SELECT count(*), 'b' FROM u) AS q WHERE c = 'b';
--= [8, "b"]
-- FILTER
SELECT g, count(*) FILTER (WHERE b) AS yes, sum(n) FILTER (WHERE n > 1) AS s FROM t GROUP BY g;
--= ["", 2, 2]
--= ["a", 2, 17]
--= ["b", 2, 3]
--= ["c", 1, 3]
--= [null, 0, null]
-- DISTINCT in aggregates
SELECT g, count(DISTINCT k) AS c, sum(DISTINCT n) AS s FROM t GROUP BY g;
--= ["", 2, 3]
--= ["a", 3, 18]
--= ["b", 2, 0]
--= ["c", 2, 4]
--= [null, 2, -2]
-- bool_and, bool_or
SELECT g, bool_and(b) AS a, bool_or(b) AS o FROM t GROUP BY g;
--= ["", true, true]
--= ["a", false, true]
--= ["b", false, true]
--= ["c", false, true]
--= [null, false, false]
-- string_agg in an order
SELECT g, string_agg(s, ',' ORDER BY id DESC) AS x FROM t GROUP BY g;
--= ["", "x,日本語テキスト"]
--= ["a", "zz top,ñandú,,X,x"]
--= ["b", "ação,Ação"]
--= ["c", "x,a_b,😀é"]
--= [null, " x ,a%b"]
-- array_agg in an order, with NULL
SELECT k, array_agg(n ORDER BY id) AS x FROM t GROUP BY k;
--= [-1, [3]]
--= [0, [2]]
--= [1, [3, 2, 1]]
--= [2, [1, null, 7]]
--= [3, [3, 0]]
--= [4, [1, 1]]
--= [5, [-2, 5]]
--= [null, [-3, null]]
-- a sum of decimals is exact
SELECT sum(d) AS a, sum(e) AS b, sum(d * e) AS c FROM t;
--= [33.64, 8.9016, -19999997957.687308]
-- min and max of text
SELECT min(s) AS a, max(s) AS b FROM t;
--= ["", "😀é"]
-- min and max of times
SELECT min(ts) AS a, max(lt) AS b, min(dt) AS c FROM t;
--= ["1900-01-01T00:00:00", "2025-12-29T00:00:00", "1900-01-01T00:00:00"]
-- averages of doubles
SELECT g, avg(f) AS x FROM v GROUP BY g;
--= ["a", 1.00000000000000000e+00]
--= ["b", 2.00000000000000000e+00]
--= ["c", 3.00000000000000000e+00]
-- standard deviation and variance
SELECT stddev_samp(f) AS a, var_pop(f) AS b, stddev_pop(f) AS c FROM v;
--= [1.00000000000000000e+00, 6.66666666666666630e-01, 8.16496580927726034e-01]
-- group by a CASE
SELECT CASE WHEN n > 1 THEN 'many' ELSE 'few' END AS x, count(*) AS c FROM t GROUP BY CASE WHEN n > 1 THEN 'many' ELSE 'few' END;
--= ["few", 9]
--= ["many", 7]
-- group by a boolean
SELECT b, count(*) AS c FROM t GROUP BY b;
--= [false, 5]
--= [null, 4]
--= [true, 7]
-- group by a date's month
SELECT date_trunc('month', ts) AS m, count(*) AS c FROM t GROUP BY date_trunc('month', ts);
--= ["1900-01-01T00:00:00", 1]
--= ["1969-12-01T00:00:00", 1]
--= ["2000-02-01T00:00:00", 1]
--= ["2021-01-01T00:00:00", 1]
--= ["2023-03-01T00:00:00", 1]
--= ["2024-01-01T00:00:00", 1]
--= ["2024-02-01T00:00:00", 1]
--= ["2024-03-01T00:00:00", 2]
--= ["2024-07-01T00:00:00", 2]
--= ["2024-10-01T00:00:00", 2]
--= ["2025-12-01T00:00:00", 1]
--= [null, 2]
-- group by a double with a negative zero
SELECT f, count(*) AS c FROM w WHERE f = 0 GROUP BY f;
--= [-0.00000000000000000e+00, 2]
-- count(DISTINCT) of a negative zero
SELECT count(DISTINCT round(f / 10)) AS x FROM t;
--= [2]
-- an aggregate of an aggregate
SELECT max(c) AS x FROM (SELECT count(*) AS c FROM t GROUP BY g) AS q;
--= [5]
-- a group of a join with equal names
SELECT t.g, u.g AS ug, count(*) AS c FROM t JOIN u ON u.k = t.k GROUP BY t.g, u.g;
--= ["", "a", 1]
--= ["a", "a", 5]
--= ["a", "b", 2]
--= ["b", "a", 1]
--= ["b", "b", 1]
--= ["b", null, 1]
--= [null, "a", 1]
--= [null, null, 1]
-- HAVING with an aggregate that is not shown
SELECT g FROM t GROUP BY g HAVING sum(n) > 5;
--= ["a"]
-- no rows and no GROUP BY: one row
SELECT count(*) AS c, sum(n) AS s FROM t WHERE id > 100;
--= [0, null]
-- no rows and GROUP BY: none
SELECT g, count(*) AS c FROM t WHERE id > 100 GROUP BY g;
-- ordered by an aggregate
SELECT g, count(*) AS c FROM t GROUP BY g ORDER BY count(*) DESC, g LIMIT 2;
--= ["a", 5]
--= ["b", 3]
-- an expression with the name of its key, ordered, with a limit
SELECT 0 - id AS id FROM v GROUP BY id ORDER BY id DESC LIMIT 1;
--= [-1]
-- a minimum by group, ordered, with a limit
SELECT g, min(n) AS n FROM t GROUP BY g ORDER BY n, g LIMIT 2;
--= ["b", -3]
--= [null, -2]
-- text with the name of its key, ordered, with a limit
SELECT reverse(g || 'x') AS g FROM t GROUP BY g ORDER BY g LIMIT 2;
--= ["x"]
--= ["xa"]
