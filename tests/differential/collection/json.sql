-- a field as text
--duckdb SELECT id, j ->> '$.a' AS x FROM v
--postgres SELECT id, CAST(j AS json) ->> 'a' AS x FROM v
SELECT id, j ->> 'a' AS x FROM v;
--= [1, null]
--= [2, "1"]
--= [3, null]
-- a number of a field
--duckdb SELECT CAST('{"a": 7}' ->> '$.a' AS BIGINT) AS x
--postgres SELECT CAST(CAST('{"a": 7}' AS json) ->> 'a' AS BIGINT) AS x
SELECT json_get_int('{"a": 7}', 'a') AS x;
--= [7]
-- a text of a field
--duckdb SELECT '{"a": "ação"}' ->> '$.a' AS x
--postgres SELECT CAST('{"a": "ação"}' AS json) ->> 'a' AS x
SELECT json_get_str('{"a": "ação"}', 'a') AS x;
--= ["ação"]
-- a field that is missing, and one that is null
--duckdb SELECT '{"a": null}' ->> '$.a' AS a, '{"a": null}' ->> '$.b' AS b
--postgres SELECT CAST('{"a": null}' AS json) ->> 'a' AS a, CAST('{"a": null}' AS json) ->> 'b' AS b
SELECT '{"a": null}' ->> 'a' AS a, '{"a": null}' ->> 'b' AS b;
--= [null, null]
-- a nested field
--duckdb SELECT '{"a": {"b": "y"}}' ->> '$.a.b' AS x
--postgres SELECT CAST('{"a": {"b": "y"}}' AS json) -> 'a' ->> 'b' AS x
SELECT json_get_str('{"a": {"b": "y"}}', 'a', 'b') AS x;
--= ["y"]
-- an element of an array
--duckdb SELECT CAST('{"b": [1, 2]}' ->> '$.b[1]' AS BIGINT) AS x
--postgres SELECT CAST(CAST('{"b": [1, 2]}' AS json) -> 'b' ->> 1 AS BIGINT) AS x
SELECT json_get_int('{"b": [1, 2]}', 'b', 1) AS x;
--= [2]
-- the length of an array
--duckdb SELECT json_array_length('{"b": [1, 2, 3]}', '$.b') AS x
--postgres SELECT json_array_length(CAST('{"b": [1, 2, 3]}' AS json) -> 'b') AS x
SELECT json_length('{"b": [1, 2, 3]}', 'b') AS x;
--= [3]
-- whether there is a field
--duckdb SELECT id, json_exists(j, '$.a') AS x FROM t
--postgres SELECT id, CAST(j AS jsonb) ? 'a' AS x FROM t
SELECT id, CASE WHEN j IS NOT NULL THEN json_contains(j, 'a') END AS x FROM t;
--= [1, false]
--= [10, null]
--= [11, null]
--= [12, true]
--= [13, true]
--= [14, true]
--= [15, true]
--= [16, false]
--= [2, true]
--= [3, null]
--= [4, true]
--= [5, true]
--= [6, true]
--= [7, true]
--= [8, false]
--= [9, false]
-- text that is no JSON has no fields
--duckdb SELECT CAST(NULL AS VARCHAR) AS x
--postgres SELECT CAST(NULL AS VARCHAR) AS x
SELECT 'no json' ->> 'a' AS x;
--= [null]
-- in a condition
--duckdb SELECT id FROM t WHERE (j ->> '$.a') = 'x'
--postgres SELECT id FROM t WHERE CAST(j AS json) ->> 'a' = 'x'
SELECT id FROM t WHERE json_get_str(j, 'a') = 'x';
--= [12]
--= [4]
-- a field in a comparison, without parentheses
--duckdb SELECT id FROM t WHERE (j ->> '$.a') = 'x'
--postgres SELECT id FROM t WHERE CAST(j AS json) ->> 'a' = 'x'
SELECT id FROM t WHERE j ->> 'a' = 'x';
--= [12]
--= [4]
-- a field and concatenation, without parentheses
--duckdb SELECT id, (j ->> '$.a') || 'y' AS x FROM v
--postgres SELECT id, CAST(j AS json) ->> 'a' || 'y' AS x FROM v
SELECT id, j ->> 'a' || 'y' AS x FROM v;
--= [1, null]
--= [2, "1y"]
--= [3, null]
-- concatenation, then a field: from the left
--duckdb SELECT ('{"a": ' || '1}') ->> '$.a' AS x
--postgres SELECT CAST(('{"a": ' || '1}') AS json) ->> 'a' AS x
SELECT '{"a": ' || '1}' ->> 'a' AS x;
--= ["1"]
-- a field IS NOT NULL, without parentheses
--duckdb SELECT id FROM t WHERE (j ->> '$.b') IS NOT NULL
--postgres SELECT id FROM t WHERE CAST(j AS json) ->> 'b' IS NOT NULL
SELECT id FROM t WHERE j ->> 'b' IS NOT NULL;
--= [12]
--= [15]
--= [16]
--= [4]
--= [7]
--= [8]
