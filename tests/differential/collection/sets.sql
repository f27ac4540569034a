-- UNION
SELECT g FROM t UNION SELECT g FROM u;
--= [""]
--= ["a"]
--= ["b"]
--= ["c"]
--= ["z"]
--= [null]
-- UNION ALL
SELECT g FROM t UNION ALL SELECT g FROM v;
--= [""]
--= [""]
--= ["a"]
--= ["a"]
--= ["a"]
--= ["a"]
--= ["a"]
--= ["a"]
--= ["b"]
--= ["b"]
--= ["b"]
--= ["b"]
--= ["c"]
--= ["c"]
--= ["c"]
--= ["c"]
--= [null]
--= [null]
--= [null]
-- INTERSECT
SELECT g FROM t INTERSECT SELECT g FROM u;
--= ["a"]
--= ["b"]
--= ["c"]
--= [null]
-- EXCEPT
SELECT g FROM t EXCEPT SELECT g FROM v;
--= [""]
--= [null]
-- EXCEPT ALL keeps copies
SELECT g FROM t EXCEPT ALL SELECT g FROM v;
--= [""]
--= [""]
--= ["a"]
--= ["a"]
--= ["a"]
--= ["a"]
--= ["b"]
--= ["b"]
--= ["c"]
--= ["c"]
--= [null]
--= [null]
--= [null]
-- INTERSECT ALL keeps copies
SELECT g FROM t INTERSECT ALL SELECT g FROM u;
--= ["a"]
--= ["a"]
--= ["a"]
--= ["b"]
--= ["c"]
--= [null]
--= [null]
-- INTERSECT binds tighter than UNION
SELECT k FROM t UNION SELECT k FROM u INTERSECT SELECT k FROM v;
--= [-1]
--= [0]
--= [1]
--= [2]
--= [3]
--= [4]
--= [5]
--= [null]
-- EXCEPT and UNION from the left
SELECT k FROM t EXCEPT SELECT k FROM u UNION SELECT k FROM v;
--= [-1]
--= [0]
--= [1]
--= [2]
--= [3]
--= [4]
-- parentheses
SELECT k FROM t EXCEPT (SELECT k FROM u UNION SELECT k FROM v);
--= [-1]
--= [0]
--= [4]
-- UNION of several columns with NULL
SELECT k, g FROM t UNION SELECT k, g FROM u;
--= [-1, "c"]
--= [0, ""]
--= [1, ""]
--= [1, "a"]
--= [2, "a"]
--= [2, "b"]
--= [3, "b"]
--= [3, null]
--= [4, "c"]
--= [5, "a"]
--= [5, null]
--= [7, "z"]
--= [null, "b"]
--= [null, "c"]
--= [null, null]
-- UNION of an int and a decimal
SELECT n AS x FROM v UNION SELECT d FROM v;
--= [1]
--= [2]
--= [3]
-- UNION of a decimal and a double
SELECT d AS x FROM v UNION ALL SELECT f FROM v;
--= [1.00000000000000000e+00]
--= [1.00000000000000000e+00]
--= [2.00000000000000000e+00]
--= [2.00000000000000000e+00]
--= [3.00000000000000000e+00]
--= [3.00000000000000000e+00]
-- UNION of decimals of other scales
SELECT d AS x FROM v UNION ALL SELECT e FROM v;
--= [1]
--= [1]
--= [2]
--= [2]
--= [3]
--= [3]
-- UNION of NULL with text
SELECT NULL AS x UNION ALL SELECT g FROM v;
--= ["a"]
--= ["b"]
--= ["c"]
--= [null]
-- UNION with ORDER BY and LIMIT
SELECT id, g FROM t UNION ALL SELECT id, g FROM u ORDER BY 1, 2 LIMIT 4;
--= [1, "a"]
--= [1, "a"]
--= [2, "a"]
--= [2, "b"]
-- UNION in a subquery, with a condition
SELECT x FROM (SELECT id AS x, 't' AS o FROM t UNION ALL SELECT id, 'u' FROM u) AS q WHERE o = 'u' AND x > 3;
--= [4]
--= [5]
--= [6]
--= [7]
--= [8]
-- an aggregate over UNION ALL
SELECT o, count(*) AS c FROM (SELECT 't' AS o FROM t UNION ALL SELECT 'u' FROM u) AS q GROUP BY o;
--= ["t", 16]
--= ["u", 8]
-- UNION of a table with itself
SELECT k FROM u UNION ALL SELECT k FROM u;
--= [1]
--= [1]
--= [2]
--= [2]
--= [2]
--= [2]
--= [3]
--= [3]
--= [5]
--= [5]
--= [7]
--= [7]
--= [null]
--= [null]
--= [null]
--= [null]
-- EXCEPT of nothing
SELECT k FROM u EXCEPT SELECT k FROM v WHERE false;
--= [1]
--= [2]
--= [3]
--= [5]
--= [7]
--= [null]
-- EXCEPT with NULL on both sides
SELECT k FROM t EXCEPT SELECT k FROM u;
--= [-1]
--= [0]
--= [4]
-- IN of a UNION
SELECT id FROM t WHERE k IN (SELECT k FROM u UNION SELECT k FROM v);
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
-- VALUES
SELECT * FROM (VALUES (1, 'a'), (2, NULL)) AS q(n, s);
--= [1, "a"]
--= [2, null]
-- UNION of VALUES
SELECT n FROM (VALUES (1), (2)) AS q(n) UNION SELECT n FROM v;
--= [1]
--= [2]
--= [3]
