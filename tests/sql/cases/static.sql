-- static columns belong to the partition
SELECT ringlet_cql('CREATE KEYSPACE lab WITH replication = {''class'': ''SimpleStrategy'', ''replication_factor'': 1}');
CREATE VIRTUAL TABLE r USING ringlet(keyspace='lab', a TEXT, c INT, s TEXT STATIC, v INT, PRIMARY KEY (a, c));
INSERT INTO r(a, s) VALUES ('x', 'alone');
SELECT * FROM r WHERE a = 'x';
SELECT count(*) FROM r WHERE a = 'x' AND c > 0;
SELECT count(*) FROM r WHERE a = 'x' AND c IS NULL;
INSERT INTO r VALUES ('x', 1, NULL, 10), ('x', 2, 'shared', 20);
SELECT * FROM r WHERE a = 'x';
UPDATE r SET s = 'changed' WHERE a = 'x' AND c = 1;
SELECT s FROM r WHERE a = 'x' AND c = 2;
DELETE FROM r WHERE a = 'x' AND c = 1;
DELETE FROM r WHERE a = 'x' AND c = 2;
SELECT * FROM r WHERE a = 'x';
UPDATE r SET v = 1 WHERE a = 'x';
UPDATE r SET s = 'again' WHERE a = 'x';
SELECT * FROM r WHERE a = 'x';
SELECT count(*) FROM r WHERE k = (SELECT k FROM r WHERE a = 'x');
.changes
DELETE FROM r WHERE a = 'x';
SELECT count(*) FROM r WHERE a = 'x';
INSERT INTO r(a, v) VALUES ('y', 1);
INSERT INTO r(a) VALUES ('y');
