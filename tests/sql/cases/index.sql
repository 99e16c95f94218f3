-- equality on an indexed column needs no key and nobody's leave
SELECT ringlet_cql('CREATE KEYSPACE lab WITH replication = {''class'': ''SimpleStrategy'', ''replication_factor'': 1}');
CREATE VIRTUAL TABLE r USING ringlet(keyspace='lab', a TEXT, c INT, s TEXT STATIC, v INT, w TEXT, PRIMARY KEY (a, c));
INSERT INTO r(a, c, v, w) WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 199) SELECT 'p' || (i % 7), i, i % 20, 'w' || i FROM n;
UPDATE r SET s = 'seven' WHERE a = 'p6';
SELECT * FROM r WHERE v = 3;
SELECT ringlet_cql('CREATE INDEX ON lab.r (v)');
SELECT ringlet_cql('CREATE INDEX ON lab.r (s)');
.reopen
.plan
SELECT a, c FROM r WHERE v = 3;
.sort
SELECT a, c, v, w FROM r WHERE v = 3;
.sort
SELECT a, c, v FROM r WHERE v = '3' AND w > 'w15';
SELECT count(*), min(c), max(c) FROM r WHERE s = 'seven';
SELECT count(*) FROM r WHERE s = 'seven' AND v = 6;
SELECT count(*) FROM r WHERE v = 3.5;
SELECT count(*) FROM r WHERE v IS NULL AND s = 'seven';
SELECT c FROM r WHERE a = 'p3' AND v = 3 ORDER BY c DESC;
UPDATE r SET v = 1000 WHERE v = 3 AND c < 50;
DELETE FROM r WHERE v = 3 AND c = 63;
.sort
SELECT a, c, v FROM r WHERE v IN (3) OR v = 1000;
.sort
SELECT a, c, v FROM r WHERE v = 1000;
BEGIN;
UPDATE r SET v = 1000 WHERE a = 'p0' AND c = 0;
SELECT a, c, v, w FROM r WHERE v = 1000 AND c = 0;
ROLLBACK;
SELECT count(*) FROM r WHERE v = 1000 AND c = 0;
SELECT a, c FROM r JOIN (SELECT 5 AS x UNION SELECT 6) ON v = x WHERE c < 20 ORDER BY c;
SELECT ringlet_cql('DROP INDEX lab.r_v_idx');
.reopen
SELECT a, c FROM r WHERE v = 3;
