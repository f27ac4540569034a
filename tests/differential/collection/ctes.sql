-- one
WITH a AS (SELECT id, n FROM t WHERE n > 2) SELECT id FROM a;
--= [1]
--= [12]
--= [15]
--= [6]
--= [9]
-- one that reads another
WITH a AS (SELECT k, count(*) AS c FROM t GROUP BY k), b AS (SELECT * FROM a WHERE c > 1) SELECT k, c FROM b;
--= [1, 3]
--= [2, 3]
--= [3, 2]
--= [4, 2]
--= [5, 2]
--= [null, 2]
-- one that is read twice
WITH a AS (SELECT k, count(*) AS c FROM t GROUP BY k) SELECT x.k, y.c FROM a AS x JOIN a AS y ON x.k = y.k + 1;
--= [0, 1]
--= [1, 1]
--= [2, 3]
--= [3, 3]
--= [4, 2]
--= [5, 2]
-- renamed columns
WITH a(x, y) AS (SELECT id, n FROM v) SELECT x + y AS z FROM a;
--= [2]
--= [4]
--= [6]
-- one that hides a table
WITH u AS (SELECT id FROM v) SELECT id FROM u;
--= [1]
--= [2]
--= [3]
-- within a subquery
SELECT id FROM t WHERE k IN (WITH a AS (SELECT k FROM v) SELECT k FROM a);
--= [1]
--= [15]
--= [16]
--= [2]
--= [3]
--= [4]
--= [6]
--= [7]
-- nested
WITH a AS (WITH b AS (SELECT n FROM v) SELECT n + 1 AS m FROM b) SELECT m FROM a;
--= [2]
--= [3]
--= [4]
-- with a set operation
WITH a AS (SELECT k FROM t UNION SELECT k FROM u) SELECT count(*) AS c FROM a;
--= [9]
-- with a window
WITH a AS (SELECT id, g, row_number() OVER (PARTITION BY g ORDER BY id) AS r FROM t) SELECT id, g FROM a WHERE r = 1;
--= [1, "a"]
--= [11, ""]
--= [12, "c"]
--= [4, "b"]
--= [7, null]
-- of VALUES
WITH a(n, s) AS (VALUES (1, 'x'), (2, 'y')) SELECT t.id, a.s FROM t JOIN a ON a.n = t.n;
--= [11, "y"]
--= [13, "x"]
--= [14, "x"]
--= [16, "x"]
--= [2, "y"]
--= [3, "x"]
-- not read
WITH a AS (SELECT 1 AS x) SELECT id FROM v;
--= [1]
--= [2]
--= [3]
-- recursive
WITH RECURSIVE a(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM a WHERE n < 5) SELECT n FROM a;
--= [1]
--= [2]
--= [3]
--= [4]
--= [5]
-- recursive with a join
WITH RECURSIVE a(id, depth) AS (SELECT id, 0 FROM v WHERE id = 1 UNION ALL SELECT v.id, a.depth + 1 FROM v JOIN a ON v.id = a.id + 1) SELECT id, depth FROM a;
--= [1, 0]
--= [2, 1]
--= [3, 2]
-- in a scalar subquery that is correlated
WITH a AS (SELECT k, n FROM u) SELECT id, (SELECT max(n) FROM a WHERE a.k = t.k) AS x FROM t;
--= [1, 1]
--= [10, null]
--= [11, null]
--= [12, null]
--= [13, null]
--= [14, null]
--= [15, 2]
--= [16, 1]
--= [2, 1]
--= [3, 2]
--= [4, 2]
--= [5, null]
--= [6, 3]
--= [7, 3]
--= [8, 5]
--= [9, 5]
