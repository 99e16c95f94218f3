-- DELETE by any query that is allowed
SELECT ringlet_cql('CREATE KEYSPACE lab WITH replication = {''class'': ''SimpleStrategy'', ''replication_factor'': 1}');
CREATE VIRTUAL TABLE r USING ringlet(keyspace='lab', a TEXT, c INT, v INT, PRIMARY KEY (a, c));
INSERT INTO r VALUES ('x', 1, 10), ('x', 2, 20), ('x', 3, 30), ('y', 1, 40), ('y', 2, 50);
.changes
DELETE FROM r WHERE a = 'x' AND c = 1;
.changes
DELETE FROM r WHERE a = 'x' AND c > 2;
DELETE FROM r WHERE v = 40;
.changes
DELETE FROM r WHERE v = 40 AND allow_filtering;
.changes
DELETE FROM r WHERE a = 'y' ORDER BY c DESC LIMIT 1;
.sort
SELECT * FROM r WHERE allow_filtering = 1;
DELETE FROM r;
.changes
DELETE FROM r WHERE a = 'x' AND consistency = 'ONE';
DELETE FROM r WHERE a = 'x' AND consistency = 'SOME';
SELECT count(*) FROM r WHERE allow_filtering = 1;
INSERT INTO r VALUES ('x', 1, 11);
SELECT * FROM r WHERE a = 'x';
.changes
DELETE FROM r WHERE k IN (SELECT k FROM r WHERE a = 'x');
SELECT count(*) FROM r WHERE a = 'x';
-- compiled before SQLite knows the table: refused, and right the second time
INSERT INTO r VALUES ('l', 1, 1), ('l', 2, 2);
.reopen
DELETE FROM r WHERE a = 'l' ORDER BY c LIMIT 1;
SELECT count(*) FROM r WHERE a = 'l';
.changes
DELETE FROM r WHERE a = 'l' ORDER BY c LIMIT 1;
SELECT c FROM r WHERE a = 'l';
.reopen
UPDATE r SET v = 9 WHERE a = 'l' LIMIT 1;
.changes
UPDATE r SET v = 9 WHERE a = 'l' LIMIT 1;
