-- AND before OR
SELECT id FROM t WHERE b OR n > 1 AND k = 2;
--= [1]
--= [11]
--= [13]
--= [15]
--= [16]
--= [4]
--= [6]
--= [9]
-- NOT before AND
SELECT id FROM t WHERE NOT b AND n > 1;
--= [12]
--= [15]
--= [2]
-- NOT after a comparison
SELECT id FROM t WHERE NOT n = 1;
--= [1]
--= [11]
--= [12]
--= [15]
--= [2]
--= [5]
--= [6]
--= [7]
--= [8]
--= [9]
-- NOT after IS NULL
SELECT id FROM t WHERE NOT n IS NULL;
--= [1]
--= [11]
--= [12]
--= [13]
--= [14]
--= [15]
--= [16]
--= [2]
--= [3]
--= [5]
--= [6]
--= [7]
--= [8]
--= [9]
-- NOT after BETWEEN
SELECT id FROM t WHERE NOT n BETWEEN 1 AND 2 AND b;
--= [1]
--= [6]
--= [9]
-- NOT after IN
SELECT id FROM t WHERE NOT n IN (1, 2) OR b;
--= [1]
--= [11]
--= [12]
--= [13]
--= [15]
--= [16]
--= [4]
--= [5]
--= [6]
--= [7]
--= [8]
--= [9]
-- NOT after LIKE
SELECT id FROM t WHERE NOT s LIKE 'x%' AND b;
--= [11]
--= [13]
--= [6]
--= [9]
-- multiplication before addition
SELECT id, n + k * 2 - 1 AS x FROM t;
--= [1, 4]
--= [10, null]
--= [11, 1]
--= [12, 0]
--= [13, 8]
--= [14, 8]
--= [15, 10]
--= [16, 2]
--= [2, 3]
--= [3, 4]
--= [4, null]
--= [5, null]
--= [6, 8]
--= [7, 5]
--= [8, 7]
--= [9, 14]
-- subtraction from the left
SELECT 10 - 4 - 3 AS a, 100 / 10 / 2 AS b, 10 - 4 + 3 AS c;
--= [3, 5, 9]
-- remainders with multiplication
SELECT 7 * 5 % 4 AS a, 7 % 5 * 4 AS b;
--= [3, 8]
-- a minus before a product
SELECT -2 * 3 AS a, 2 * -3 AS b, 2 - -3 AS c;
--= [-6, -6, 5]
-- concatenation and addition
SELECT 'a' || 1 + 2 AS x;
--= ["a3"]
-- concatenation in a comparison
SELECT id FROM t WHERE g || 'x' = 'ax';
--= [1]
--= [15]
--= [2]
--= [3]
--= [9]
-- IS NULL of a sum
SELECT id FROM t WHERE n + k IS NULL;
--= [10]
--= [4]
--= [5]
-- IS NULL of a comparison
SELECT id FROM t WHERE n > 1 IS NULL;
--= [10]
--= [4]
-- IS DISTINCT FROM of sums
SELECT id FROM t WHERE n + 1 IS DISTINCT FROM k + 1 AND b;
--= [1]
--= [11]
--= [13]
--= [4]
-- IS DISTINCT FROM, then OR
SELECT id FROM t WHERE b IS DISTINCT FROM true OR n > 4;
--= [10]
--= [12]
--= [14]
--= [15]
--= [2]
--= [3]
--= [5]
--= [7]
--= [8]
--= [9]
-- BETWEEN and AND
SELECT id FROM t WHERE n BETWEEN 1 AND 2 AND k BETWEEN 1 AND 2;
--= [16]
--= [2]
--= [3]
-- BETWEEN of sums
SELECT id FROM t WHERE n BETWEEN k - 1 AND k + 1;
--= [16]
--= [2]
--= [3]
--= [6]
--= [9]
-- IN of a sum
SELECT id FROM t WHERE n + 1 IN (2, 3);
--= [11]
--= [13]
--= [14]
--= [16]
--= [2]
--= [3]
-- LIKE of a concatenation
SELECT id FROM t WHERE s || g LIKE '%a';
--= [1]
--= [15]
--= [2]
--= [3]
--= [9]
-- bits and comparisons
SELECT id FROM t WHERE (n & 1) = 1;
--= [1]
--= [12]
--= [13]
--= [14]
--= [15]
--= [16]
--= [3]
--= [5]
--= [6]
--= [9]
-- CASE in a sum
SELECT id, 1 + CASE WHEN b THEN 1 ELSE 0 END * 10 AS x FROM t;
--= [1, 11]
--= [10, 1]
--= [11, 11]
--= [12, 1]
--= [13, 11]
--= [14, 1]
--= [15, 1]
--= [16, 11]
--= [2, 1]
--= [3, 1]
--= [4, 11]
--= [5, 1]
--= [6, 11]
--= [7, 1]
--= [8, 1]
--= [9, 11]
-- intervals added from the left
SELECT TIMESTAMP '2024-01-31 00:00:00' + INTERVAL '1 month' - INTERVAL '1 day' AS x;
--= ["2024-02-28T00:00:00"]
-- EXISTS after NOT, with AND
SELECT id FROM t WHERE NOT EXISTS (SELECT 1 FROM u WHERE u.k = t.k) AND b;
--= [11]
--= [13]
-- OR of INs
SELECT id FROM t WHERE k IN (1) OR n IN (3) AND g = 'b';
--= [1]
--= [16]
--= [2]
--= [6]
