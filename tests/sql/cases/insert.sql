-- the forms of INSERT
SELECT ringlet_cql('CREATE KEYSPACE lab WITH replication = {''class'': ''SimpleStrategy'', ''replication_factor'': 1}');
CREATE VIRTUAL TABLE r USING ringlet(keyspace='lab', a TEXT, c INT, v INT, w TEXT, PRIMARY KEY (a, c));
.changes
INSERT INTO r VALUES ('x', 1, 10, 'one'), ('x', 2, 20, 'two');
-- an upsert; NULL leaves the column as it is
.changes
INSERT INTO r VALUES ('x', 1, NULL, 'uno');
SELECT * FROM r WHERE a = 'x';
-- REPLACE is a new row
.changes
INSERT OR REPLACE INTO r(a, c, w) VALUES ('x', 1, 'eins');
SELECT * FROM r WHERE a = 'x';
REPLACE INTO r(a, c, v) VALUES ('x', 1, 5);
REPLACE INTO r(a, c, w) VALUES ('x', 1, 'again');
SELECT * FROM r WHERE a = 'x';
-- IGNORE skips, FAIL raises and keeps the rows before
.changes
INSERT OR IGNORE INTO r VALUES ('x', 1, 1, 'no'), ('x', 3, 30, 'three'), ('x', 3, 31, 'no');
.changes
INSERT OR FAIL INTO r VALUES ('x', 4, 40, 'four'), ('x', 1, 1, 'no'), ('x', 5, 50, 'no');
SELECT * FROM r WHERE a = 'x';
-- ROLLBACK ends the transaction
BEGIN;
INSERT INTO r VALUES ('x', 6, 60, 'six');
INSERT OR ROLLBACK INTO r VALUES ('x', 1, 1, 'no');
.like
COMMIT;
SELECT count(*) FROM r WHERE a = 'x';
-- what is missing or wrong names column, type and value
INSERT INTO r VALUES (NULL, 1, 1, 'no');
INSERT INTO r VALUES ('x', NULL, 1, 'no');
INSERT INTO r VALUES ('x', 9, 'warm', 'no');
INSERT INTO r VALUES ('x', 9, 3000000000, 'no');
INSERT INTO r VALUES ('x', 'nine', 1, 'no');
INSERT INTO r VALUES ('', 9, 1, 'no');
INSERT INTO r VALUES ('x', 9, 9, x'00');
.changes
INSERT OR IGNORE INTO r VALUES (NULL, 1, 1, 'no');
INSERT INTO r(a, c, k) VALUES ('x', 9, x'00');
-- several rows, the last one bad: none stays
INSERT INTO r VALUES ('x', 7, 70, 'seven'), ('x', 8, 'warm', 'no');
BEGIN;
INSERT INTO r VALUES ('x', 7, 70, 'seven'), ('x', 8, 'warm', 'no');
COMMIT;
SELECT count(*) FROM r WHERE a = 'x';
-- the same key twice in one statement: the last one counts
INSERT INTO r VALUES ('t', 1, 9, 'zzz'), ('t', 1, 1, 'aaa');
SELECT * FROM r WHERE a = 't';
.changes
INSERT INTO r VALUES ('n', '7', '8', 'text numbers');
SELECT * FROM r WHERE a = 'n';
INSERT INTO r(a, c, v) VALUES ('ret', 1, 2) RETURNING a, c, v;
.like
INSERT INTO r VALUES ('x', 1, 1, 'no') ON CONFLICT DO NOTHING;
