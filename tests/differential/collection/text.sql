-- upper and lower, beyond ASCII
SELECT id, upper(s) AS a, lower(s) AS b FROM t;
--= [1, "X", "x"]
--= [10, null, null]
--= [11, "日本語テキスト", "日本語テキスト"]
--= [12, "😀É", "😀é"]
--= [13, "A_B", "a_b"]
--= [14, "X", "x"]
--= [15, "ZZ TOP", "zz top"]
--= [16, "X", "x"]
--= [2, "X", "x"]
--= [3, "", ""]
--= [4, null, null]
--= [5, "AÇÃO", "ação"]
--= [6, "AÇÃO", "ação"]
--= [7, "A%B", "a%b"]
--= [8, " X ", " x "]
--= [9, "ÑANDÚ", "ñandú"]
-- length in characters
SELECT id, length(s) AS a, char_length(s) AS b FROM t;
--= [1, 1, 1]
--= [10, null, null]
--= [11, 7, 7]
--= [12, 2, 2]
--= [13, 3, 3]
--= [14, 1, 1]
--= [15, 6, 6]
--= [16, 1, 1]
--= [2, 1, 1]
--= [3, 0, 0]
--= [4, null, null]
--= [5, 4, 4]
--= [6, 4, 4]
--= [7, 3, 3]
--= [8, 3, 3]
--= [9, 5, 5]
-- octet_length in bytes
--duckdb SELECT id, strlen(s) AS x FROM t
SELECT id, octet_length(s) AS x FROM t;
--= [1, 1]
--= [10, null]
--= [11, 21]
--= [12, 6]
--= [13, 3]
--= [14, 1]
--= [15, 6]
--= [16, 1]
--= [2, 1]
--= [3, 0]
--= [4, null]
--= [5, 6]
--= [6, 6]
--= [7, 3]
--= [8, 3]
--= [9, 7]
-- trim
SELECT '[' || trim(s) || ']' AS a, '[' || ltrim(s) || ']' AS b, '[' || rtrim(s) || ']' AS c FROM t;
--= ["[Ação]", "[Ação]", "[Ação]"]
--= ["[X]", "[X]", "[X]"]
--= ["[]", "[]", "[]"]
--= ["[a%b]", "[a%b]", "[a%b]"]
--= ["[a_b]", "[a_b]", "[a_b]"]
--= ["[ação]", "[ação]", "[ação]"]
--= ["[x]", "[x ]", "[ x]"]
--= ["[x]", "[x]", "[x]"]
--= ["[x]", "[x]", "[x]"]
--= ["[x]", "[x]", "[x]"]
--= ["[zz top]", "[zz top]", "[zz top]"]
--= ["[ñandú]", "[ñandú]", "[ñandú]"]
--= ["[日本語テキスト]", "[日本語テキスト]", "[日本語テキスト]"]
--= ["[😀é]", "[😀é]", "[😀é]"]
--= [null, null, null]
--= [null, null, null]
-- trim of certain characters
SELECT trim(BOTH 'x' FROM 'xxaxx') AS a, trim(LEADING 'x' FROM 'xxaxx') AS b, trim(TRAILING 'x' FROM 'xxaxx') AS c;
--= ["a", "axx", "xxa"]
-- substr
SELECT id, substr(s, 2) AS a, substr(s, 1, 2) AS b, substr(s, 10, 2) AS c FROM t;
--= [1, "", "x", ""]
--= [10, null, null, null]
--= [11, "本語テキスト", "日本", ""]
--= [12, "é", "😀é", ""]
--= [13, "_b", "a_", ""]
--= [14, "", "x", ""]
--= [15, "z top", "zz", ""]
--= [16, "", "x", ""]
--= [2, "", "X", ""]
--= [3, "", "", ""]
--= [4, null, null, null]
--= [5, "ção", "Aç", ""]
--= [6, "ção", "aç", ""]
--= [7, "%b", "a%", ""]
--= [8, "x ", " x", ""]
--= [9, "andú", "ña", ""]
-- substr from 0
SELECT substr('abc', 0, 2) AS a, substr('abc', 0) AS b;
--= ["a", "abc"]
-- substring FROM FOR
SELECT id, substring(s FROM 2 FOR 3) AS x FROM t;
--= [1, ""]
--= [10, null]
--= [11, "本語テ"]
--= [12, "é"]
--= [13, "_b"]
--= [14, ""]
--= [15, "z t"]
--= [16, ""]
--= [2, ""]
--= [3, ""]
--= [4, null]
--= [5, "ção"]
--= [6, "ção"]
--= [7, "%b"]
--= [8, "x "]
--= [9, "and"]
-- left and right
SELECT id, left(s, 2) AS a, right(s, 2) AS b FROM t;
--= [1, "x", "x"]
--= [10, null, null]
--= [11, "日本", "スト"]
--= [12, "😀é", "😀é"]
--= [13, "a_", "_b"]
--= [14, "x", "x"]
--= [15, "zz", "op"]
--= [16, "x", "x"]
--= [2, "X", "X"]
--= [3, "", ""]
--= [4, null, null]
--= [5, "Aç", "ão"]
--= [6, "aç", "ão"]
--= [7, "a%", "%b"]
--= [8, " x", "x "]
--= [9, "ña", "dú"]
-- left and right of a negative length
SELECT left('abcd', -1) AS a, right('abcd', -1) AS b;
--= ["abc", "bcd"]
-- lpad and rpad
SELECT id, lpad(s, 4, '*') AS a, rpad(s, 4, '*') AS b FROM t;
--= [1, "***x", "x***"]
--= [10, null, null]
--= [11, "日本語テ", "日本語テ"]
--= [12, "**😀é", "😀é**"]
--= [13, "*a_b", "a_b*"]
--= [14, "***x", "x***"]
--= [15, "zz t", "zz t"]
--= [16, "***x", "x***"]
--= [2, "***X", "X***"]
--= [3, "****", "****"]
--= [4, null, null]
--= [5, "Ação", "Ação"]
--= [6, "ação", "ação"]
--= [7, "*a%b", "a%b*"]
--= [8, "* x ", " x *"]
--= [9, "ñand", "ñand"]
-- replace
SELECT id, replace(s, 'x', 'yy') AS a, replace(s, '', 'z') AS b FROM t;
--= [1, "yy", "x"]
--= [10, null, null]
--= [11, "日本語テキスト", "日本語テキスト"]
--= [12, "😀é", "😀é"]
--= [13, "a_b", "a_b"]
--= [14, "yy", "x"]
--= [15, "zz top", "zz top"]
--= [16, "yy", "x"]
--= [2, "X", "X"]
--= [3, "", ""]
--= [4, null, null]
--= [5, "Ação", "Ação"]
--= [6, "ação", "ação"]
--= [7, "a%b", "a%b"]
--= [8, " yy ", " x "]
--= [9, "ñandú", "ñandú"]
-- translate
SELECT translate('abcabc', 'ab', 'x') AS x;
--= ["xcxc"]
-- strpos and position
SELECT id, strpos(s, 'x') AS a, position('ç' IN s) AS b FROM t;
--= [1, 1, 0]
--= [10, null, null]
--= [11, 0, 0]
--= [12, 0, 0]
--= [13, 0, 0]
--= [14, 1, 0]
--= [15, 0, 0]
--= [16, 1, 0]
--= [2, 0, 0]
--= [3, 0, 0]
--= [4, null, null]
--= [5, 0, 2]
--= [6, 0, 2]
--= [7, 0, 0]
--= [8, 2, 0]
--= [9, 0, 0]
-- split_part
SELECT split_part('a,b,,c', ',', 2) AS a, split_part('a,b,,c', ',', 3) AS b, split_part('a,b', ',', 5) AS c, split_part('a,b', ',', -1) AS d;
--= ["b", "", "", "b"]
-- repeat and reverse
SELECT id, repeat(s, 2) AS a, reverse(s) AS b FROM t;
--= [1, "xx", "x"]
--= [10, null, null]
--= [11, "日本語テキスト日本語テキスト", "トスキテ語本日"]
--= [12, "😀é😀é", "é😀"]
--= [13, "a_ba_b", "b_a"]
--= [14, "xx", "x"]
--= [15, "zz topzz top", "pot zz"]
--= [16, "xx", "x"]
--= [2, "XX", "X"]
--= [3, "", ""]
--= [4, null, null]
--= [5, "AçãoAção", "oãçA"]
--= [6, "açãoação", "oãça"]
--= [7, "a%ba%b", "b%a"]
--= [8, " x  x ", " x "]
--= [9, "ñandúñandú", "údnañ"]
-- concat takes NULL for nothing
SELECT id, concat(g, '-', s) AS x FROM t;
--= [1, "a-x"]
--= [10, "-"]
--= [11, "-日本語テキスト"]
--= [12, "c-😀é"]
--= [13, "c-a_b"]
--= [14, "c-x"]
--= [15, "a-zz top"]
--= [16, "-x"]
--= [2, "a-X"]
--= [3, "a-"]
--= [4, "b-"]
--= [5, "b-Ação"]
--= [6, "b-ação"]
--= [7, "-a%b"]
--= [8, "- x "]
--= [9, "a-ñandú"]
-- concat_ws leaves NULL out
SELECT id, concat_ws('-', g, s, 'z') AS x FROM t;
--= [1, "a-x-z"]
--= [10, "z"]
--= [11, "-日本語テキスト-z"]
--= [12, "c-😀é-z"]
--= [13, "c-a_b-z"]
--= [14, "c-x-z"]
--= [15, "a-zz top-z"]
--= [16, "-x-z"]
--= [2, "a-X-z"]
--= [3, "a--z"]
--= [4, "b-z"]
--= [5, "b-Ação-z"]
--= [6, "b-ação-z"]
--= [7, "a%b-z"]
--= [8, " x -z"]
--= [9, "a-ñandú-z"]
-- LIKE
SELECT id FROM t WHERE s LIKE '%a%';
--= [13]
--= [6]
--= [7]
--= [9]
-- LIKE with _
SELECT id FROM t WHERE s LIKE '_';
--= [1]
--= [14]
--= [16]
--= [2]
-- LIKE with an escape
--duckdb SELECT id FROM t WHERE s IN ('a_b', 'a%b')
SELECT id FROM t WHERE s LIKE 'a\_b' OR s LIKE 'a\%b';
--= [13]
--= [7]
-- LIKE with an escape of its own
SELECT id FROM t WHERE s LIKE 'a!_b' ESCAPE '!';
--= [13]
-- NOT LIKE
SELECT id FROM t WHERE s NOT LIKE '%x%';
--= [11]
--= [12]
--= [13]
--= [15]
--= [2]
--= [3]
--= [5]
--= [6]
--= [7]
--= [9]
-- ILIKE
SELECT id FROM t WHERE s ILIKE 'a%';
--= [13]
--= [5]
--= [6]
--= [7]
-- SIMILAR TO takes the whole text
--duckdb SELECT id FROM t WHERE s LIKE 'a%'
SELECT id FROM t WHERE s SIMILAR TO 'a%';
--= [13]
--= [6]
--= [7]
-- regular expressions
SELECT id FROM t WHERE s ~ '^[a-z]+$';
--= [1]
--= [14]
--= [16]
-- regular expressions, any case
SELECT id FROM t WHERE s ~* 'X';
--= [1]
--= [14]
--= [16]
--= [2]
--= [8]
-- regexp_replace, the first
SELECT regexp_replace('abcabc', 'b.', '-') AS x;
--= ["a-abc"]
-- regexp_replace, all
SELECT regexp_replace('abcabc', 'b', '-', 'g') AS x;
--= ["a-ca-c"]
-- starts_with
SELECT id FROM t WHERE starts_with(s, 'a');
--= [13]
--= [6]
--= [7]
-- text is compared by its code points
SELECT id FROM t WHERE s > 'a';
--= [1]
--= [11]
--= [12]
--= [13]
--= [14]
--= [15]
--= [16]
--= [6]
--= [7]
--= [9]
-- ascii and chr
SELECT ascii('A') AS a, chr(233) AS b, ascii('é') AS c;
--= [65, "é", 233]
-- md5
SELECT id, md5(s) AS x FROM v;
--= [1, "9dd4e461268c8034f5c8564e155c67a6"]
--= [2, "415290769594460e2e485922904f345d"]
--= [3, "d41d8cd98f00b204e9800998ecf8427e"]
-- numbers as text
SELECT CAST(n AS VARCHAR) AS a, CAST(i AS VARCHAR) AS b, CAST(d AS VARCHAR) AS c FROM t;
--= ["-2", "5", "-0.01"]
--= ["-3", "-1", null]
--= ["0", "0", "99999.99"]
--= ["1", "-3", "12.35"]
--= ["1", "1", "0.05"]
--= ["1", "3", "12.34"]
--= ["1", null, "-2.50"]
--= ["2", "-7", "1.10"]
--= ["2", "2", "0.01"]
--= ["3", "10", "0.00"]
--= ["3", "10", "1.10"]
--= ["3", "3", "-99999.99"]
--= ["5", "5", "1.15"]
--= ["7", "100", "5.55"]
--= [null, "7", "2.50"]
--= [null, null, null]
-- booleans as text
SELECT CAST(b AS VARCHAR) AS x FROM t;
--= ["false"]
--= ["false"]
--= ["false"]
--= ["false"]
--= ["false"]
--= ["true"]
--= ["true"]
--= ["true"]
--= ["true"]
--= ["true"]
--= ["true"]
--= ["true"]
--= [null]
--= [null]
--= [null]
--= [null]
-- text as numbers
SELECT CAST('12' AS INT) AS a, CAST('-12' AS BIGINT) AS b, CAST('1.50' AS DECIMAL(10, 2)) AS c;
--= [12, -12, 1.5]
-- a quote in a text
SELECT 'it''s' AS x;
--= ["it's"]
-- text beside a number
SELECT 'n' || 1 AS x;
--= ["n1"]
-- IN of texts
SELECT id FROM t WHERE s IN ('x', 'X', '');
--= [1]
--= [14]
--= [16]
--= [2]
--= [3]
-- BETWEEN of texts
SELECT id FROM t WHERE s BETWEEN 'a' AND 'x';
--= [1]
--= [13]
--= [14]
--= [16]
--= [6]
--= [7]
