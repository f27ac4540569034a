-- a literal
SELECT ARRAY[1, 2, 3] AS x;
--= [[1, 2, 3]]
-- an element, from 1
SELECT (ARRAY['a', 'b'])[1] AS a, (ARRAY['a', 'b'])[3] AS b;
--= ["a", null]
-- cardinality
SELECT cardinality(ARRAY[1, 2]) AS x;
--= [2]
-- array_append and array_prepend
SELECT array_append(ARRAY[1], 2) AS a, array_prepend(0, ARRAY[1]) AS b;
--= [[1, 2], [0, 1]]
-- array_to_string leaves NULL out
SELECT array_to_string(ARRAY['a', NULL, 'b'], ',') AS x;
--= ["a,b"]
-- ANY
SELECT id FROM t WHERE n = ANY(ARRAY[1, 3]);
--= [1]
--= [12]
--= [13]
--= [14]
--= [16]
--= [3]
--= [6]
-- ALL
SELECT id FROM t WHERE n <> ALL(ARRAY[1, 3]);
--= [11]
--= [15]
--= [2]
--= [5]
--= [7]
--= [8]
--= [9]
-- less than ANY
SELECT id FROM t WHERE n < ANY(ARRAY[0, 2]);
--= [13]
--= [14]
--= [16]
--= [3]
--= [5]
--= [7]
--= [8]
-- array_agg
SELECT g, array_agg(id ORDER BY id) AS x FROM t GROUP BY g;
--= ["", [11, 16]]
--= ["a", [1, 2, 3, 9, 15]]
--= ["b", [4, 5, 6]]
--= ["c", [12, 13, 14]]
--= [null, [7, 8, 10]]
-- array_agg of text with DISTINCT
SELECT array_agg(DISTINCT g ORDER BY g) AS x FROM v;
--= [["a", "b", "c"]]
-- unnest in FROM
SELECT x FROM unnest(ARRAY[1, 2, NULL]) AS q(x);
--= [1]
--= [2]
--= [null]
-- unnest joined
SELECT t.id, q.x FROM t JOIN unnest(ARRAY[1, 2]) AS q(x) ON q.x = t.k;
--= [1, 1]
--= [15, 2]
--= [16, 1]
--= [2, 1]
--= [3, 2]
--= [4, 2]
-- arrays compared
SELECT ARRAY[1, 2] = ARRAY[1, 2] AS a, ARRAY[1, 2] = ARRAY[2, 1] AS b;
--= [true, false]
-- an array as a key of a group
SELECT ARRAY[k] AS a, count(*) AS c FROM t GROUP BY ARRAY[k];
--= [[-1], 1]
--= [[0], 1]
--= [[1], 3]
--= [[2], 3]
--= [[3], 2]
--= [[4], 2]
--= [[5], 2]
--= [[null], 2]
-- coalesce of an element
SELECT coalesce((ARRAY[1])[5], -1) AS x;
--= [-1]
