-- COMMIT fails late: the files are locked by a reader after our xSync; COMMIT again applies nothing twice
SELECT ringlet_cql('CREATE KEYSPACE lab WITH replication = {''class'': ''SimpleStrategy'', ''replication_factor'': 1}');
CREATE VIRTUAL TABLE r USING ringlet(keyspace='lab', a TEXT, c INT, l LIST<INT>, PRIMARY KEY (a, c));
CREATE VIRTUAL TABLE q USING ringlet(keyspace='lab', a TEXT PRIMARY KEY, v INT);
CREATE TABLE loc(x);
INSERT INTO loc VALUES (0);
.connect other
BEGIN;
SELECT * FROM loc;
.connect main
BEGIN;
INSERT INTO loc VALUES (1);
INSERT INTO r VALUES ('x', 1, '[1]');
INSERT INTO q VALUES ('x', 1);
COMMIT;
COMMIT;
SELECT count(*) FROM r WHERE a = 'x';
.connect other
COMMIT;
.connect main
COMMIT;
SELECT (SELECT count(*) FROM r WHERE a = 'x'), (SELECT l FROM r WHERE a = 'x' AND c = 1), (SELECT count(*) FROM q WHERE a = 'x'), (SELECT count(*) FROM loc);
-- in autocommit the statement fails and is rolled back, as far as it can be
.connect other
BEGIN;
SELECT count(*) FROM loc;
.connect main
INSERT INTO q VALUES ('y', 2);
.connect other
COMMIT;
.connect main
INSERT INTO q VALUES ('z', 3);
SELECT a FROM q WHERE a IN ('x', 'z') ORDER BY a;
-- closed in the middle of a transaction: nothing stays
BEGIN;
INSERT INTO q VALUES ('never', 1);
.reopen
SELECT count(*) FROM q WHERE a = 'never';
