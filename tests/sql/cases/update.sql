-- UPDATE writes what SET names
SELECT ringlet_cql('CREATE KEYSPACE lab WITH replication = {''class'': ''SimpleStrategy'', ''replication_factor'': 1}');
CREATE VIRTUAL TABLE r USING ringlet(keyspace='lab', a TEXT, c INT, v INT, w TEXT, t TIMESTAMP, PRIMARY KEY (a, c));
INSERT INTO r VALUES ('x', 1, 10, 'one', '2026-01-01'), ('x', 2, 20, 'two', '2026-01-02'), ('y', 1, 30, 'three', NULL);
.changes
UPDATE r SET v = v + 1 WHERE a = 'x' AND c = 1;
.changes
UPDATE r SET w = NULL WHERE a = 'x';
SELECT * FROM r WHERE a = 'x';
.changes
UPDATE r SET v = 0 WHERE a = 'x' AND c = 99;
UPDATE r SET v = 1 WHERE v = 30;
.changes
UPDATE r SET v = 1 WHERE v = 30 AND allow_filtering = 1;
.changes
UPDATE r SET v = 2 WHERE t = '2026-01-02' AND allow_filtering = 1;
SELECT a, c, v FROM r WHERE allow_filtering = 1 ORDER BY a, c;
-- another key is another row
.changes
UPDATE r SET c = 5 WHERE a = 'x' AND c = 1;
SELECT * FROM r WHERE a = 'x';
.changes
UPDATE r SET a = 'z', v = 77 WHERE a = 'x' AND c = 5;
SELECT * FROM r WHERE a IN ('x', 'z') ORDER BY a;
UPDATE r SET a = 'z', c = 5 WHERE a = 'x' AND c = 2;
.changes
UPDATE OR IGNORE r SET a = 'z', c = 5 WHERE a = 'x' AND c = 2;
.changes
UPDATE OR REPLACE r SET a = 'z', c = 5 WHERE a = 'x' AND c = 2;
SELECT * FROM r WHERE a IN ('x', 'z');
UPDATE r SET c = NULL WHERE a = 'z' AND c = 5;
UPDATE r SET k = x'00' WHERE a = 'z' AND c = 5;
-- UPDATE … FROM writes only what differs: the write time of the other column stays
INSERT INTO r(a, c, v, w, writetime) VALUES ('f', 1, 1, 'w', 1000);
UPDATE r SET v = s.x FROM (SELECT 9 AS x) AS s WHERE r.a = 'f' AND r.c = 1;
SELECT a, c, v, w, t FROM r WHERE a = 'f';
INSERT INTO r(a, c, w, writetime) VALUES ('f', 1, 'newer', 2000);
SELECT v, w FROM r WHERE a = 'f';
-- … and does not take the ttl that it read for one that is set
INSERT INTO r(a, c, v, ttl) VALUES ('g', 1, 1, 1000);
UPDATE r SET v = s.x FROM (SELECT 9 AS x) AS s WHERE r.a = 'g' AND r.c = 1;
SELECT v, ttl BETWEEN 700 AND 1000 FROM r WHERE a = 'g';
-- through a subquery on k
.changes
UPDATE r SET v = 100 WHERE a = 'f' ORDER BY c LIMIT 1;
SELECT v FROM r WHERE a = 'f';
-- an error in the middle leaves nothing
INSERT INTO r(a, c, v) VALUES ('m', 1, 1), ('m', 2, 2), ('m', 3, 3);
UPDATE r SET v = CASE c WHEN 3 THEN 'warm' ELSE 0 END WHERE a = 'm';
SELECT c, v FROM r WHERE a = 'm';
BEGIN;
UPDATE r SET v = CASE c WHEN 3 THEN 'warm' ELSE 0 END WHERE a = 'm';
SELECT c, v FROM r WHERE a = 'm';
COMMIT;
.like
UPDATE r SET v = 1 WHERE a = 'x' RETURNING v;
