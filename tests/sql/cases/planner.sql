-- what is pushed down
SELECT ringlet_cql('CREATE KEYSPACE lab WITH replication = {''class'': ''SimpleStrategy'', ''replication_factor'': 1}');
CREATE VIRTUAL TABLE r USING ringlet(keyspace='lab', a TEXT, b INT, c INT, d TIMESTAMP, v INT, w TEXT, PRIMARY KEY ((a, b), c, d), with='CLUSTERING ORDER BY (c ASC, d DESC)');
INSERT INTO r VALUES ('x', 1, 1, '2026-01-01', 10, 'one'), ('x', 1, 1, '2026-01-02', 20, 'two'), ('x', 1, 2, '2026-01-01', 30, 'three'), ('x', 1, 3, '2026-01-01', 40, NULL), ('x', 2, 1, '2026-01-01', 50, 'five'), ('y', 1, 1, '2026-01-01', 60, 'six');
.plan
SELECT * FROM r WHERE a = 'x' AND b = 1;
.plan
SELECT * FROM r WHERE a = 'x' AND b = 1 AND c = 1 AND d = '2026-01-01';
.plan
SELECT * FROM r WHERE a = 'x' AND b = 1 AND c > 1 AND c <= 3 ORDER BY c, d DESC;
.plan
SELECT * FROM r WHERE a = 'x' AND b = 1 ORDER BY c DESC, d LIMIT 2;
.plan
SELECT * FROM r WHERE a = 'x' AND b = 1 ORDER BY c, d;
.plan
SELECT * FROM r WHERE a = 'x' AND b = 1 AND c = 1 ORDER BY d LIMIT 1 OFFSET 1;
.plan
SELECT * FROM r WHERE a IN ('x', 'y') AND b IN (1, 2) AND c IN (1, 2) AND d > '2026-01-01';
.plan
SELECT * FROM r WHERE a = 'x' AND b = 1 AND v > 10 LIMIT 1;
.plan
SELECT * FROM r WHERE v = 10 AND allow_filtering = 1;
.plan
SELECT * FROM r WHERE v = 10;
.plan
SELECT * FROM r WHERE k = x'00';
-- the rows
SELECT c, d, v FROM r WHERE a = 'x' AND b = 1 AND c > 1 AND c <= 3 ORDER BY c, d DESC;
SELECT c, d FROM r WHERE a = 'x' AND b = 1 ORDER BY c DESC, d LIMIT 2;
SELECT c, d FROM r WHERE a = 'x' AND b = 1 ORDER BY c, d;
SELECT v FROM r WHERE a = 'x' AND b = 1 AND c = 1 ORDER BY d LIMIT 1 OFFSET 1;
SELECT v FROM r WHERE a = 'x' AND b = 1 ORDER BY c, d DESC LIMIT -1 OFFSET -3;
SELECT v FROM r WHERE a = 'x' AND b = 1 ORDER BY c, d DESC LIMIT 0;
.sort
SELECT a, b, c, d FROM r WHERE a IN ('x', 'y', 'x', NULL) AND b IN (1, 2) AND c IN (2, 1) AND d <= '2026-01-01T00:00:00Z';
-- IN on clustering columns with ORDER BY: SQLite believes the order
SELECT c, v FROM r WHERE a = 'x' AND b = 1 AND c IN (3, 1, 2, 1) ORDER BY c, d DESC;
SELECT c, v FROM r WHERE a = 'x' AND b = 1 AND c IN (3, 1, 2, 1) ORDER BY c DESC, d;
-- operands between values, of other types, NULL
SELECT count(*) FROM r WHERE a = 'x' AND b = 1 AND c < 2.5;
SELECT count(*) FROM r WHERE a = 'x' AND b = 1 AND c >= 1.5;
SELECT count(*) FROM r WHERE a = 'x' AND b = 1 AND c = 1.5;
SELECT count(*) FROM r WHERE a = 'x' AND b = '1' AND c = '1';
SELECT count(*) FROM r WHERE a = 'x' AND b = 1.0 AND c < 99999999999;
SELECT count(*) FROM r WHERE a = 'x' AND b = 1 AND c > 99999999999;
SELECT count(*) FROM r WHERE a = 'x' AND b = 1 AND c > -99999999999;
SELECT count(*) FROM r WHERE a = 'x' AND b = NULL;
SELECT count(*) FROM r WHERE a = 'x' AND b = 1 AND c < NULL;
SELECT count(*) FROM r WHERE a IS 'x' AND b IS 1 AND c IS 1;
SELECT count(*) FROM r WHERE a = 'x' AND b = 1 AND c IS NULL;
SELECT count(*) FROM r WHERE a = 'x' AND b = 1 AND c = 'warm';
SELECT count(*) FROM r WHERE a = 'x' AND b = 1 AND c = 1 AND d = 1767225600000;
-- a timestamp in another spelling, on a column that no key takes
SELECT v FROM r WHERE a = 'x' AND b = 1 AND d = '2026-01-02' ORDER BY c;
SELECT v FROM r WHERE a = 'x' AND b = 1 AND d <> '2026-01-01' ORDER BY c;
SELECT v FROM r WHERE a = 'x' AND b = 1 AND d IN ('2026-01-02', 5) ORDER BY c;
-- collations and LIKE must not narrow the key
SELECT count(*) FROM r WHERE a = 'X' COLLATE NOCASE AND b = 1;
SELECT count(*) FROM r WHERE a = 'X' COLLATE NOCASE AND b = 1 AND allow_filtering = 1;
SELECT count(*) FROM r WHERE a = 'x' AND b = 1 AND w LIKE 'T%';
SELECT count(*) FROM r WHERE a LIKE 'X' AND b = 1 AND allow_filtering = 1;
CREATE TABLE pairs(x, y);
INSERT INTO pairs VALUES ('x', 2), ('y', '1'), (NULL, 1);
-- row values, OR, subqueries
SELECT v FROM r WHERE (a, b) = ('x', 2);
.sort
SELECT v FROM r WHERE (a, b) IN (SELECT x, y FROM pairs);
.sort
SELECT v FROM r WHERE (a, b) IN (SELECT * FROM (VALUES ('x', 2), ('y', 1)));
.sort
SELECT v FROM r WHERE (a = 'x' AND b = 2) OR (a = 'y' AND b = 1) OR (a = 'y' AND b = 1 AND c = 1);
SELECT v FROM r WHERE a = 'x' AND b = 1 AND (v = 10 OR v = 30) ORDER BY v;
SELECT v FROM r WHERE a = 'x' AND b = 1 AND (c, d) > (1, '2026-01-01T00:00:00.000Z') ORDER BY v;
SELECT v FROM r WHERE a = (SELECT 'y') AND b = (SELECT max(1, 0));
SELECT min(c), max(c), max(d) FROM r WHERE a = 'x' AND b = 1;
SELECT c, count(*) FROM r WHERE a = 'x' AND b = 1 GROUP BY c;
SELECT DISTINCT c FROM r WHERE a = 'x' AND b = 1 ORDER BY c DESC;
SELECT max(c) FROM r WHERE a = 'x' AND b = 1 AND c < 3;
-- min() and max() keep a row's text while the scan goes on
SELECT min(w), max(w), group_concat(w) FROM r WHERE a = 'x' AND b = 1;
SELECT w, max(v) FROM r WHERE a = 'x' AND b = 1;
-- more than sixteen terms: SQLite tests the last ones itself
SELECT v FROM r WHERE v >= -16 AND v >= -15 AND v >= -14 AND v >= -13 AND v >= -12 AND v >= -11 AND v >= -10 AND v >= -9 AND v >= -8 AND v >= -7 AND v >= -6 AND v >= -5 AND v >= -4 AND v >= -3 AND v >= -2 AND v >= -1 AND v >= 0 AND a = 'x' AND b = '1' AND c = 1.0 AND d = '2026-01-02';
SELECT v FROM r WHERE v >= -16 AND v >= -15 AND v >= -14 AND v >= -13 AND v >= -12 AND v >= -11 AND v >= -10 AND v >= -9 AND v >= -8 AND v >= -7 AND v >= -6 AND v >= -5 AND v >= -4 AND v >= -3 AND v >= -2 AND v >= -1 AND v >= 0 AND a = 'x' AND b = 1 AND c = 1 AND d < '2026-01-02';
