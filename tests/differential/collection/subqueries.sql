-- scalar in the list
SELECT id, (SELECT count(*) FROM u) AS c FROM v;
--= [1, 8]
--= [2, 8]
--= [3, 8]
-- scalar of no rows is NULL
SELECT id, (SELECT n FROM u WHERE id = 99) AS x FROM v;
--= [1, null]
--= [2, null]
--= [3, null]
-- scalar in WHERE
SELECT id FROM t WHERE n > (SELECT min(n) FROM v);
--= [1]
--= [11]
--= [12]
--= [15]
--= [2]
--= [6]
--= [9]
-- scalar, correlated count of nothing is 0
SELECT id, (SELECT count(*) FROM u WHERE u.k = t.k) AS c FROM t;
--= [1, 1]
--= [10, 0]
--= [11, 0]
--= [12, 0]
--= [13, 0]
--= [14, 0]
--= [15, 2]
--= [16, 1]
--= [2, 1]
--= [3, 2]
--= [4, 2]
--= [5, 0]
--= [6, 1]
--= [7, 1]
--= [8, 1]
--= [9, 1]
-- scalar, correlated sum of nothing is NULL
SELECT id, (SELECT sum(u.n) FROM u WHERE u.k = t.k) AS s FROM t;
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
-- scalar, correlated, in WHERE
SELECT id FROM t WHERE n < (SELECT max(u.n) FROM u WHERE u.k = t.k);
--= [3]
--= [7]
--= [8]
-- scalar, correlated, with HAVING
SELECT id, (SELECT max(u.id) FROM u WHERE u.k = t.n HAVING count(*) < 2) AS x FROM t;
--= [1, 4]
--= [10, null]
--= [11, null]
--= [12, 4]
--= [13, 1]
--= [14, 1]
--= [15, 8]
--= [16, 1]
--= [2, null]
--= [3, 1]
--= [4, null]
--= [5, null]
--= [6, 4]
--= [7, null]
--= [8, null]
--= [9, 6]
-- scalar, correlated, in an expression
SELECT id, coalesce((SELECT sum(u.n) FROM u WHERE u.k = t.k), 0) + 1 AS x FROM t;
--= [1, 2]
--= [10, 1]
--= [11, 1]
--= [12, 1]
--= [13, 1]
--= [14, 1]
--= [15, 3]
--= [16, 2]
--= [2, 2]
--= [3, 3]
--= [4, 3]
--= [5, 1]
--= [6, 4]
--= [7, 4]
--= [8, 6]
--= [9, 6]
-- scalar in CASE
SELECT id, CASE WHEN (SELECT count(*) FROM u WHERE u.k = t.k) > 1 THEN 'many' ELSE 'few' END AS x FROM t;
--= [1, "few"]
--= [10, "few"]
--= [11, "few"]
--= [12, "few"]
--= [13, "few"]
--= [14, "few"]
--= [15, "many"]
--= [16, "few"]
--= [2, "few"]
--= [3, "many"]
--= [4, "many"]
--= [5, "few"]
--= [6, "few"]
--= [7, "few"]
--= [8, "few"]
--= [9, "few"]
-- scalar in ORDER BY
SELECT id FROM v ORDER BY (SELECT count(*) FROM t WHERE t.k = v.k) DESC, id LIMIT 2;
--= [1]
--= [2]
-- EXISTS
SELECT id FROM t WHERE EXISTS (SELECT 1 FROM u WHERE u.k = t.k);
--= [1]
--= [15]
--= [16]
--= [2]
--= [3]
--= [4]
--= [6]
--= [7]
--= [8]
--= [9]
-- NOT EXISTS with two conditions
SELECT id FROM t WHERE NOT EXISTS (SELECT 1 FROM u WHERE u.k = t.k AND u.g = t.g);
--= [10]
--= [11]
--= [12]
--= [13]
--= [14]
--= [16]
--= [5]
--= [6]
--= [7]
--= [8]
-- EXISTS under OR
SELECT id FROM t WHERE EXISTS (SELECT 1 FROM u WHERE u.k = t.k) OR b IS NULL;
--= [1]
--= [10]
--= [14]
--= [15]
--= [16]
--= [2]
--= [3]
--= [4]
--= [6]
--= [7]
--= [8]
--= [9]
-- EXISTS of an aggregate is always true
SELECT id FROM t WHERE EXISTS (SELECT count(*) FROM u WHERE u.k = t.k);
--= [1]
--= [10]
--= [11]
--= [12]
--= [13]
--= [14]
--= [15]
--= [16]
--= [2]
--= [3]
--= [4]
--= [5]
--= [6]
--= [7]
--= [8]
--= [9]
-- EXISTS without correlation
SELECT id FROM v WHERE EXISTS (SELECT 1 FROM u WHERE n > 100);
-- IN
SELECT id FROM t WHERE k IN (SELECT k FROM u);
--= [1]
--= [15]
--= [16]
--= [2]
--= [3]
--= [4]
--= [6]
--= [7]
--= [8]
--= [9]
-- IN, correlated
SELECT id FROM t WHERE n IN (SELECT n FROM u WHERE u.g = t.g);
--= [2]
--= [3]
--= [9]
-- NOT IN, correlated
SELECT id FROM t WHERE n NOT IN (SELECT n FROM u WHERE u.g = t.g);
--= [1]
--= [10]
--= [11]
--= [12]
--= [13]
--= [14]
--= [15]
--= [16]
--= [7]
--= [8]
-- IN of an aggregate
SELECT id FROM t WHERE n IN (SELECT max(n) FROM u GROUP BY g);
--= [1]
--= [12]
--= [6]
--= [7]
--= [9]
-- IN of rows
SELECT id FROM t WHERE (k, g) IN (SELECT k, g FROM u);
--= [1]
--= [15]
--= [2]
--= [3]
--= [4]
--= [9]
-- IN within IN
SELECT id FROM t WHERE k IN (SELECT k FROM u WHERE n IN (SELECT n FROM v));
--= [1]
--= [15]
--= [16]
--= [2]
--= [3]
--= [4]
--= [6]
--= [7]
-- NOT of IN
SELECT id FROM t WHERE NOT (k IN (SELECT k FROM v));
--= [11]
--= [12]
--= [13]
--= [14]
--= [8]
--= [9]
-- IN in the list
SELECT id, k IN (SELECT k FROM v) AS x FROM t;
--= [1, true]
--= [10, null]
--= [11, false]
--= [12, false]
--= [13, false]
--= [14, false]
--= [15, true]
--= [16, true]
--= [2, true]
--= [3, true]
--= [4, true]
--= [5, null]
--= [6, true]
--= [7, true]
--= [8, false]
--= [9, false]
-- NOT IN in CASE
SELECT id, CASE WHEN n NOT IN (SELECT n FROM u) THEN 'out' ELSE 'in or unknown' END AS x FROM t;
--= [1, "in or unknown"]
--= [10, "in or unknown"]
--= [11, "in or unknown"]
--= [12, "in or unknown"]
--= [13, "in or unknown"]
--= [14, "in or unknown"]
--= [15, "in or unknown"]
--= [16, "in or unknown"]
--= [2, "in or unknown"]
--= [3, "in or unknown"]
--= [4, "in or unknown"]
--= [5, "in or unknown"]
--= [6, "in or unknown"]
--= [7, "in or unknown"]
--= [8, "in or unknown"]
--= [9, "in or unknown"]
-- IS NULL of IN
SELECT id FROM t WHERE (n IN (SELECT n FROM u)) IS NULL;
--= [10]
--= [15]
--= [4]
--= [5]
-- > ANY
SELECT id FROM t WHERE n > ANY (SELECT n FROM v);
--= [1]
--= [11]
--= [12]
--= [15]
--= [2]
--= [6]
--= [9]
-- >= ALL
SELECT id FROM t WHERE n >= ALL (SELECT n FROM v);
--= [1]
--= [12]
--= [15]
--= [6]
--= [9]
-- = ANY is IN
SELECT id FROM t WHERE k = ANY (SELECT k FROM u);
--= [1]
--= [15]
--= [16]
--= [2]
--= [3]
--= [4]
--= [6]
--= [7]
--= [8]
--= [9]
-- in FROM
SELECT q.g, q.c FROM (SELECT g, count(*) AS c FROM t GROUP BY g) AS q WHERE q.c > 2;
--= ["a", 5]
--= ["b", 3]
--= ["c", 3]
--= [null, 3]
-- in FROM, with renamed columns
SELECT a, b FROM (SELECT id, n FROM v) AS q(a, b);
--= [1, 1]
--= [2, 2]
--= [3, 3]
-- in FROM, three deep
SELECT x + 1 AS y FROM (SELECT x * 2 AS x FROM (SELECT n AS x FROM v) AS a) AS b;
--= [3]
--= [5]
--= [7]
-- in FROM, with LIMIT
SELECT sum(id) AS s FROM (SELECT id FROM t ORDER BY id LIMIT 3) AS q;
--= [6]
-- a scalar of the largest row
SELECT id, (SELECT s FROM u ORDER BY id DESC LIMIT 1) AS x FROM v;
--= [1, "a%b"]
--= [2, "a%b"]
--= [3, "a%b"]
-- correlated in HAVING
SELECT k, count(*) AS c FROM t GROUP BY k HAVING count(*) > (SELECT count(*) FROM u WHERE u.k = t.k);
--= [-1, 1]
--= [0, 1]
--= [1, 3]
--= [2, 3]
--= [3, 2]
--= [4, 2]
--= [5, 2]
--= [null, 2]
-- correlated by an inequality
SELECT id, (SELECT count(*) FROM u WHERE u.n < t.n) AS c FROM t;
--= [1, 4]
--= [10, 0]
--= [11, 3]
--= [12, 4]
--= [13, 2]
--= [14, 2]
--= [15, 7]
--= [16, 2]
--= [2, 3]
--= [3, 2]
--= [4, 0]
--= [5, 0]
--= [6, 4]
--= [7, 1]
--= [8, 0]
--= [9, 6]
-- correlated two levels up
SELECT id FROM t WHERE EXISTS (SELECT 1 FROM u WHERE u.k = t.k AND EXISTS (SELECT 1 FROM v WHERE v.k = u.k AND v.id <= t.id));
--= [1]
--= [15]
--= [16]
--= [2]
--= [3]
--= [4]
--= [6]
--= [7]
-- in a join's condition
SELECT t.id, v.id AS vid FROM t JOIN v ON v.k = t.k AND t.n > (SELECT min(n) FROM u);
--= [1, 1]
--= [15, 2]
--= [16, 1]
--= [2, 1]
--= [3, 2]
--= [6, 3]
--= [7, 3]
-- names of the inner table hide those of the outer
SELECT id FROM t WHERE EXISTS (SELECT 1 FROM v WHERE k = id AND id = t.n);
--= [1]
--= [11]
--= [12]
--= [13]
--= [14]
--= [16]
--= [2]
--= [3]
--= [6]
-- a scalar of no rows, of a constant
SELECT id, (SELECT 1 FROM t WHERE false LIMIT 1) AS x FROM v;
--= [1, null]
--= [2, null]
--= [3, null]
-- floor of a scalar, over no rows
SELECT floor((SELECT max(d) FROM u)) AS x FROM v CROSS JOIN w WHERE v.d = w.e OR v.g = 'zz';
