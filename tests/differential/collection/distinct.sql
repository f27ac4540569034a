-- DISTINCT
SELECT DISTINCT g, b FROM t;
--= ["", true]
--= ["a", false]
--= ["a", null]
--= ["a", true]
--= ["b", false]
--= ["b", true]
--= ["c", false]
--= ["c", null]
--= ["c", true]
--= [null, false]
--= [null, null]
-- DISTINCT with ORDER BY and LIMIT
SELECT DISTINCT k FROM t ORDER BY k DESC NULLS LAST LIMIT 3;
--= [3]
--= [4]
--= [5]
-- DISTINCT of an expression
SELECT DISTINCT n % 2 AS x FROM t;
--= [-1]
--= [0]
--= [1]
--= [null]
-- DISTINCT ON
SELECT DISTINCT ON (g) g, id, n FROM t ORDER BY g, n DESC NULLS LAST, id;
--= ["", 11, 2]
--= ["a", 15, 7]
--= ["b", 6, 3]
--= ["c", 12, 3]
--= [null, 7, 0]
-- DISTINCT ON two columns
SELECT DISTINCT ON (g, b) g, b, id FROM t ORDER BY g, b, id;
--= ["", true, 11]
--= ["a", false, 2]
--= ["a", null, 3]
--= ["a", true, 1]
--= ["b", false, 5]
--= ["b", true, 4]
--= ["c", false, 12]
--= ["c", null, 14]
--= ["c", true, 13]
--= [null, false, 8]
--= [null, null, 7]
-- DISTINCT ON, ordered twice by one column
SELECT DISTINCT ON (g) g, id FROM t ORDER BY g, g, id;
--= ["", 11]
--= ["a", 1]
--= ["b", 4]
--= ["c", 12]
--= [null, 7]
-- DISTINCT ON, descending
SELECT DISTINCT ON (k) k, id FROM t ORDER BY k DESC, id DESC;
--= [-1, 12]
--= [0, 11]
--= [1, 16]
--= [2, 15]
--= [3, 7]
--= [4, 14]
--= [5, 9]
--= [null, 10]
-- DISTINCT over a join
SELECT DISTINCT t.g FROM t JOIN u ON u.k = t.k;
--= [""]
--= ["a"]
--= ["b"]
--= [null]
-- DISTINCT with a window
SELECT DISTINCT g, count(*) OVER (PARTITION BY g) AS c FROM t;
--= ["", 2]
--= ["a", 5]
--= ["b", 3]
--= ["c", 3]
--= [null, 3]
-- count(DISTINCT) beside count
SELECT count(DISTINCT g) AS a, count(g) AS b FROM t;
--= [4, 13]
-- ORDER BY, LIMIT, OFFSET
SELECT id FROM t ORDER BY id LIMIT 3 OFFSET 2;
--= [3]
--= [4]
--= [5]
-- FETCH FIRST
SELECT id FROM t ORDER BY id FETCH FIRST 2 ROWS ONLY;
--= [1]
--= [2]
-- OFFSET alone
SELECT id FROM t ORDER BY id OFFSET 14;
--= [15]
--= [16]
-- LIMIT 0
SELECT id FROM t ORDER BY id LIMIT 0;
-- ORDER BY an expression
SELECT id FROM t ORDER BY abs(n) NULLS FIRST, id LIMIT 5;
--= [10]
--= [13]
--= [3]
--= [4]
--= [7]
-- ORDER BY a column that is not shown
SELECT g FROM t ORDER BY id DESC LIMIT 2;
--= [""]
--= ["a"]
-- ORDER BY an alias that hides a column
SELECT id, -n AS n FROM t ORDER BY n NULLS LAST, id LIMIT 3;
--= [1, -3]
--= [15, -7]
--= [9, -5]
-- LIMIT within, LIMIT without
SELECT id FROM (SELECT id FROM t ORDER BY id LIMIT 5) AS q ORDER BY id DESC LIMIT 2;
--= [4]
--= [5]
-- text in the order of its code points
SELECT s FROM t WHERE s IS NOT NULL ORDER BY s, id LIMIT 6;
--= [" x "]
--= [""]
--= ["Ação"]
--= ["X"]
--= ["a%b"]
--= ["a_b"]
