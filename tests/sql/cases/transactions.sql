-- transactions and savepoints, with reads of their own writes
SELECT ringlet_cql('CREATE KEYSPACE lab WITH replication = {''class'': ''SimpleStrategy'', ''replication_factor'': 1}');
CREATE VIRTUAL TABLE r USING ringlet(keyspace='lab', a TEXT, c INT, v INT, PRIMARY KEY (a, c));
CREATE VIRTUAL TABLE q USING ringlet(keyspace='lab', a TEXT PRIMARY KEY, v INT);
CREATE TABLE loc(x);
BEGIN;
INSERT INTO r VALUES ('x', 1, 1);
INSERT INTO q VALUES ('x', 1);
INSERT INTO loc VALUES (1);
SELECT (SELECT count(*) FROM r WHERE a = 'x'), (SELECT count(*) FROM q WHERE a = 'x'), (SELECT count(*) FROM loc);
.connect other
SELECT (SELECT count(*) FROM r WHERE a = 'x'), (SELECT count(*) FROM q WHERE a = 'x'), (SELECT count(*) FROM loc);
.connect main
ROLLBACK;
SELECT (SELECT count(*) FROM r WHERE a = 'x'), (SELECT count(*) FROM q WHERE a = 'x'), (SELECT count(*) FROM loc);
BEGIN;
INSERT INTO r VALUES ('x', 1, 1);
INSERT INTO q VALUES ('x', 1);
COMMIT;
.connect other
SELECT (SELECT count(*) FROM r WHERE a = 'x'), (SELECT count(*) FROM q WHERE a = 'x');
.connect main
-- deletions and updates inside
BEGIN;
UPDATE r SET v = 2 WHERE a = 'x';
SELECT v FROM r WHERE a = 'x';
DELETE FROM r WHERE a = 'x';
SELECT count(*) FROM r WHERE a = 'x';
INSERT INTO r VALUES ('x', 1, 3);
SELECT v FROM r WHERE a = 'x';
ROLLBACK;
SELECT v FROM r WHERE a = 'x';
-- a savepoint opened before the first write is announced only innermost
SAVEPOINT s1;
SAVEPOINT s2;
INSERT INTO r VALUES ('s', 1, 1);
SAVEPOINT s3;
INSERT INTO r VALUES ('s', 2, 2);
INSERT INTO q VALUES ('s', 2);
ROLLBACK TO s3;
SELECT (SELECT count(*) FROM r WHERE a = 's'), (SELECT count(*) FROM q WHERE a = 's');
INSERT INTO r VALUES ('s', 3, 3);
ROLLBACK TO s3;
SELECT count(*) FROM r WHERE a = 's';
RELEASE s2;
SELECT count(*) FROM r WHERE a = 's';
ROLLBACK TO s1;
SELECT count(*) FROM r WHERE a = 's';
INSERT INTO r VALUES ('s', 4, 4);
RELEASE s1;
SELECT c FROM r WHERE a = 's';
-- a table that joins later must not move the savepoints of the others
BEGIN;
INSERT INTO r VALUES ('j', 1, 1);
SAVEPOINT a;
INSERT INTO r VALUES ('j', 2, 2);
INSERT INTO q VALUES ('j', 1);
ROLLBACK TO a;
SELECT (SELECT count(*) FROM r WHERE a = 'j'), (SELECT count(*) FROM q WHERE a = 'j');
COMMIT;
SELECT (SELECT count(*) FROM r WHERE a = 'j'), (SELECT count(*) FROM q WHERE a = 'j');
-- a statement that fails undoes itself, not the transaction
BEGIN;
INSERT INTO r VALUES ('e', 1, 1);
INSERT INTO r VALUES ('e', 2, 2), ('e', 3, 'warm');
INSERT INTO r VALUES ('e', 4, 4);
COMMIT;
SELECT c FROM r WHERE a = 'e';
-- a table created inside
BEGIN;
CREATE VIRTUAL TABLE n USING ringlet(keyspace='lab', a TEXT PRIMARY KEY, v INT);
INSERT INTO n VALUES ('n', 1);
COMMIT;
SELECT * FROM n WHERE a = 'n';
BEGIN;
CREATE VIRTUAL TABLE n2 USING ringlet(lab.n);
INSERT INTO n2 VALUES ('gone', 1);
ROLLBACK;
SELECT count(*) FROM n WHERE a = 'gone';
-- DROP brought back by ROLLBACK; refused where it would lose writes
BEGIN;
DROP TABLE n;
ROLLBACK;
SELECT * FROM n WHERE a = 'n';
BEGIN;
INSERT INTO n VALUES ('m', 2);
.like
DROP TABLE n;
COMMIT;
SELECT count(*) FROM n WHERE allow_filtering = 1;
-- triggers of local tables may write
CREATE TRIGGER t AFTER INSERT ON loc BEGIN INSERT INTO q VALUES ('trigger', new.x); END;
INSERT INTO loc VALUES (5);
SELECT * FROM q WHERE a = 'trigger';
.reopen
SELECT c FROM r WHERE a = 's';
SELECT ringlet_batch('unlogged'), ringlet_batch();
BEGIN;
INSERT INTO r VALUES ('u', 1, 1);
SELECT count(*) FROM r WHERE a = 'u';
COMMIT;
SELECT ringlet_batch('logged'), ringlet_batch('sometimes');
SELECT count(*) FROM r WHERE a = 'u';
