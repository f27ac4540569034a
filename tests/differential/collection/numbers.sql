-- division of integers
SELECT id, n / 2 AS a, -n / 2 AS b FROM v;
--= [1, 0, 0]
--= [2, 1, -1]
--= [3, 1, -1]
-- remainders
SELECT 7 % 3 AS a, -7 % 3 AS b, 7 % -3 AS c;
--= [1, -1, 1]
-- decimals are exact
SELECT id, d + e AS a, d - e AS b, d * e AS c FROM t;
--= [1, 1.1001, 1.0999, 0.00011]
--= [10, null, null, null]
--= [11, 0.01, 0.01, 0]
--= [12, 0.0099, -199999.9899, -9999998990.000001]
--= [13, 24.6856, -0.0056, 152.344704]
--= [14, 0.0044, 24.6956, -152.46816]
--= [15, 8.8833, 2.2167, 18.499815]
--= [16, 0.3833, -0.2833, 0.016665]
--= [2, 1.0999, 1.1001, -0.00011]
--= [3, -1, -4, -3.75]
--= [4, 5, 0, 6.25]
--= [5, null, null, null]
--= [6, 0, 0, 0]
--= [7, -0.0099, 199999.9899, -9999998990.000001]
--= [8, -0.0095, -0.0105, -0.000005]
--= [9, 2.3845, -0.0845, 1.419675]
-- a literal with a point is exact
SELECT id, CAST(d * 0.5 AS DECIMAL(12, 2)) AS x FROM t;
--= [1, 0.55]
--= [10, null]
--= [11, 0.01]
--= [12, -50000]
--= [13, 6.17]
--= [14, 6.18]
--= [15, 2.78]
--= [16, 0.03]
--= [2, 0.55]
--= [3, -1.25]
--= [4, 1.25]
--= [5, null]
--= [6, 0]
--= [7, 50000]
--= [8, -0.01]
--= [9, 0.58]
-- a comparison with a literal with a point is exact
SELECT id FROM t WHERE d * 1.1 > 1.21;
--= [13]
--= [14]
--= [15]
--= [4]
--= [7]
--= [9]
-- IN with a literal with a point is exact
SELECT id FROM w WHERE i IN (9007199254740992.0, 7);
-- 0.1 + 0.2
SELECT 0.1 + 0.2 = 0.3 AS x;
--= [true]
-- sums of literals with a point
SELECT sum(x) AS s FROM (VALUES (0.1), (0.2), (0.3)) AS q(x);
--= [0.6]
-- rounding of decimals
SELECT id, round(d, 1) AS a, round(e, 2) AS b, round(d) AS c FROM t;
--= [1, 1.1, 0, 1]
--= [10, null, null, null]
--= [11, 0, 0, 0]
--= [12, -100000, 100000, -100000]
--= [13, 12.3, 12.35, 12]
--= [14, 12.4, -12.35, 12]
--= [15, 5.6, 3.33, 6]
--= [16, 0.1, 0.33, 0]
--= [2, 1.1, 0, 1]
--= [3, -2.5, 1.5, -3]
--= [4, 2.5, 2.5, 3]
--= [5, null, null, null]
--= [6, 0, 0, 0]
--= [7, 100000, -100000, 100000]
--= [8, 0, 0, 0]
--= [9, 1.2, 1.23, 1]
-- rounding halves away from zero
SELECT round(2.5) AS a, round(-2.5) AS b, round(1.005, 2) AS c;
--= [3, -3, 1.01]
-- floor and ceil
SELECT id, floor(d) AS a, ceil(d) AS b FROM t;
--= [1, 1, 2]
--= [10, null, null]
--= [11, 0, 1]
--= [12, -100000, -99999]
--= [13, 12, 13]
--= [14, 12, 13]
--= [15, 5, 6]
--= [16, 0, 1]
--= [2, 1, 2]
--= [3, -3, -2]
--= [4, 2, 3]
--= [5, null, null]
--= [6, 0, 0]
--= [7, 99999, 100000]
--= [8, -1, 0]
--= [9, 1, 2]
-- trunc
SELECT trunc(2.7) AS a, trunc(-2.7) AS b;
--= [2, -2]
-- abs and signs
SELECT id, abs(n) AS a, abs(d) AS b, -n AS c FROM t;
--= [1, 3, 1.1, -3]
--= [10, null, null, null]
--= [11, 2, 0.01, -2]
--= [12, 3, 99999.99, -3]
--= [13, 1, 12.34, -1]
--= [14, 1, 12.35, -1]
--= [15, 7, 5.55, -7]
--= [16, 1, 0.05, -1]
--= [2, 2, 1.1, -2]
--= [3, 1, 2.5, -1]
--= [4, null, 2.5, null]
--= [5, 3, null, 3]
--= [6, 3, 0, -3]
--= [7, 0, 99999.99, 0]
--= [8, 2, 0.01, 2]
--= [9, 5, 1.15, -5]
-- decimals compared with integers
SELECT id FROM t WHERE d = 0 OR d > n;
--= [13]
--= [14]
--= [6]
--= [7]
--= [8]
-- decimals of another scale are equal
SELECT id FROM t WHERE d = 1.100;
--= [1]
--= [2]
-- casts of decimals round
SELECT id, CAST(e AS DECIMAL(12, 1)) AS x FROM t;
--= [1, 0]
--= [10, null]
--= [11, 0]
--= [12, 100000]
--= [13, 12.3]
--= [14, -12.3]
--= [15, 3.3]
--= [16, 0.3]
--= [2, 0]
--= [3, 1.5]
--= [4, 2.5]
--= [5, null]
--= [6, 0]
--= [7, -100000]
--= [8, 0]
--= [9, 1.2]
-- casts of integers to decimals
SELECT id, CAST(n AS DECIMAL(10, 2)) AS x FROM t;
--= [1, 3]
--= [10, null]
--= [11, 2]
--= [12, 3]
--= [13, 1]
--= [14, 1]
--= [15, 7]
--= [16, 1]
--= [2, 2]
--= [3, 1]
--= [4, null]
--= [5, -3]
--= [6, 3]
--= [7, 0]
--= [8, -2]
--= [9, 5]
-- bits
SELECT 5 & 3 AS a, 5 | 3 AS b, 1 << 4 AS c, 16 >> 2 AS d;
--= [1, 7, 16, 4]
-- doubles
SELECT id, f + 1 AS a, f * 2 AS b, f / 4 AS c FROM t;
--= [1, 1.50000000000000000e+00, 1.00000000000000000e+00, 1.25000000000000000e-01]
--= [10, null, null, null]
--= [11, 4.00000000000000000e+00, 6.00000000000000000e+00, 7.50000000000000000e-01]
--= [12, -1.50000000000000000e+00, -5.00000000000000000e+00, -6.25000000000000000e-01]
--= [13, 1.10000000000000009e+00, 2.00000000000000011e-01, 2.50000000000000014e-02]
--= [14, 1.19999999999999996e+00, 4.00000000000000022e-01, 5.00000000000000028e-02]
--= [15, 1.30000000000000004e+00, 5.99999999999999978e-01, 7.49999999999999972e-02]
--= [16, 9.00000000000000022e-01, -2.00000000000000011e-01, -2.50000000000000014e-02]
--= [2, 5.00000000000000000e-01, -1.00000000000000000e+00, -1.25000000000000000e-01]
--= [3, 2.50000000000000000e+00, 3.00000000000000000e+00, 3.75000000000000000e-01]
--= [4, 3.50000000000000000e+00, 5.00000000000000000e+00, 6.25000000000000000e-01]
--= [5, null, null, null]
--= [6, 1.00000000000000000e+00, 0.00000000000000000e+00, 0.00000000000000000e+00]
--= [7, 1.00000000010000000e+10, 2.00000000000000000e+10, 2.50000000000000000e+09]
--= [8, 0.00000000000000000e+00, -2.00000000000000000e+00, -2.50000000000000000e-01]
--= [9, 1.10000000000000009e+00, 2.00000000000000011e-01, 2.50000000000000014e-02]
-- powers and roots
SELECT power(CAST(2 AS DOUBLE PRECISION), 10) AS a, sqrt(CAST(2 AS DOUBLE PRECISION)) AS b;
--= [1.02400000000000000e+03, 1.41421356237309515e+00]
-- a negative zero is zero
SELECT id FROM w WHERE f = 0;
--= [4]
--= [5]
-- a negative zero in IN
SELECT id FROM w WHERE f IN (CAST(0 AS DOUBLE PRECISION), CAST(7 AS DOUBLE PRECISION));
--= [4]
--= [5]
-- a negative zero in nullif and CASE
SELECT id, nullif(f, CAST(0 AS DOUBLE PRECISION)) AS a, CASE f WHEN CAST(0 AS DOUBLE PRECISION) THEN 'zero' ELSE 'other' END AS b FROM w;
--= [1, null, "other"]
--= [2, null, "other"]
--= [3, null, "other"]
--= [4, null, "zero"]
--= [5, null, "zero"]
--= [6, null, "other"]
--= [7, 4.94065645841246544e-324, "other"]
--= [8, 9.00719925474099200e+15, "other"]
-- large integers are exact
SELECT id, i FROM w;
--= [1, 9223372036854775807]
--= [2, -9223372036854775808]
--= [3, 9223372036854775806]
--= [4, 1]
--= [5, 0]
--= [6, null]
--= [7, -1]
--= [8, 9007199254740993]
-- large integers beside each other
SELECT id FROM w WHERE i = 9223372036854775807 OR i < -9223372036854775807;
--= [1]
--= [2]
-- large decimals are exact
SELECT id, d, e FROM w;
--= [1, 9999999999.99, 99999999999999.9999]
--= [2, -9999999999.99, -99999999999999.9999]
--= [3, 0.01, 0.0001]
--= [4, 0, 0]
--= [5, 0, 0]
--= [6, null, null]
--= [7, -0.01, -0.0001]
--= [8, 0.1, 0.1]
-- a sum of integers
SELECT sum(n) AS a, sum(i) AS b FROM t;
--= [24, 135]
-- integers compared with doubles
SELECT id FROM t WHERE n > f;
--= [1]
--= [12]
--= [13]
--= [14]
--= [15]
--= [16]
--= [2]
--= [6]
--= [9]
-- greatest of an integer and a decimal
SELECT id, greatest(n, d) AS x FROM t;
--= [1, 3]
--= [10, null]
--= [11, 2]
--= [12, 3]
--= [13, 12.34]
--= [14, 12.35]
--= [15, 7]
--= [16, 1]
--= [2, 2]
--= [3, 1]
--= [4, 2.5]
--= [5, -3]
--= [6, 3]
--= [7, 99999.99]
--= [8, -0.01]
--= [9, 5]
-- coalesce of an integer and a decimal
SELECT id, coalesce(d, n, 0) AS x FROM t;
--= [1, 1.1]
--= [10, 0]
--= [11, 0.01]
--= [12, -99999.99]
--= [13, 12.34]
--= [14, 12.35]
--= [15, 5.55]
--= [16, 0.05]
--= [2, 1.1]
--= [3, -2.5]
--= [4, 2.5]
--= [5, -3]
--= [6, 0]
--= [7, 99999.99]
--= [8, -0.01]
--= [9, 1.15]
-- averages of integers as doubles
SELECT avg(CAST(n AS DOUBLE PRECISION)) AS x FROM v;
--= [2.00000000000000000e+00]
-- ln and exp
SELECT ln(CAST(1 AS DOUBLE PRECISION)) AS a, exp(CAST(0 AS DOUBLE PRECISION)) AS b;
--= [0.00000000000000000e+00, 1.00000000000000000e+00]
-- a double beside a decimal is compared as a double
SELECT id, f > d AS a, f = d AS b FROM w;
--= [1, null, null]
--= [2, null, null]
--= [3, null, null]
--= [4, false, true]
--= [5, false, true]
--= [6, null, null]
--= [7, true, false]
--= [8, true, false]
-- the common type of a double and a decimal is a double
SELECT id, coalesce(f, d) AS a, CASE WHEN f IS NULL THEN d ELSE f END AS b FROM w;
--= [1, 9.99999999998999977e+09, 9.99999999998999977e+09]
--= [2, -9.99999999998999977e+09, -9.99999999998999977e+09]
--= [3, 1.00000000000000002e-02, 1.00000000000000002e-02]
--= [4, -0.00000000000000000e+00, -0.00000000000000000e+00]
--= [5, 0.00000000000000000e+00, 0.00000000000000000e+00]
--= [6, null, null]
--= [7, 4.94065645841246544e-324, 4.94065645841246544e-324]
--= [8, 9.00719925474099200e+15, 9.00719925474099200e+15]
-- a decimal compared with its rounding
SELECT id FROM t WHERE d = round(d, 1);
--= [1]
--= [2]
--= [3]
--= [4]
--= [6]
-- greatest of decimals of two scales
SELECT id, greatest(round(e, 1), e) AS x FROM t;
--= [1, 0.0001]
--= [10, null]
--= [11, 0]
--= [12, 100000]
--= [13, 12.3456]
--= [14, -12.3]
--= [15, 3.3333]
--= [16, 0.3333]
--= [2, 0]
--= [3, 1.5]
--= [4, 2.5]
--= [5, null]
--= [6, 0]
--= [7, -99999.9999]
--= [8, 0.0005]
--= [9, 1.2345]
