-- creating, attaching, altering, renaming, dropping
SELECT ringlet_cql('CREATE KEYSPACE lab WITH replication = {''class'': ''SimpleStrategy'', ''replication_factor'': 1}');
CREATE VIRTUAL TABLE r USING ringlet(keyspace='lab', a TEXT, c INT, v INT, PRIMARY KEY (a, c));
INSERT INTO r VALUES ('x', 1, 10);
CREATE VIRTUAL TABLE r2 USING ringlet(lab.r);
SELECT * FROM r2 WHERE a = 'x';
CREATE VIRTUAL TABLE r3 USING ringlet(keyspace='lab', table='r', a TEXT, c INT, v INT, PRIMARY KEY (a, c));
SELECT * FROM r3 WHERE a = 'x';
CREATE VIRTUAL TABLE r4 USING ringlet(keyspace='lab', table='r', a TEXT, c INT, v TEXT, PRIMARY KEY (a, c));
CREATE VIRTUAL TABLE none USING ringlet(lab.none);
CREATE VIRTUAL TABLE none USING ringlet(nowhere.none);
CREATE VIRTUAL TABLE none USING ringlet(keyspace='lab', a TEXT, v INT);
CREATE VIRTUAL TABLE none USING ringlet(a TEXT PRIMARY KEY, v INT);
CREATE VIRTUAL TABLE none USING ringlet(keyspace='lab', a NOTYPE PRIMARY KEY);
CREATE VIRTUAL TABLE none USING ringlet(keyspace='lab', colour='red', a TEXT PRIMARY KEY);
CREATE VIRTUAL TABLE none USING ringlet(lab.r, node='http://192.0.2.1:7000');
SELECT ringlet_cql('ALTER TABLE lab.r ADD w text');
INSERT INTO r(a, c, v) VALUES ('x', 2, 20);
.reopen
SELECT * FROM r WHERE a = 'x';
INSERT INTO r(a, c, w) VALUES ('x', 1, 'new');
SELECT ringlet_cql('ALTER TABLE lab.r DROP v');
SELECT * FROM r WHERE a = 'x';
INSERT INTO r(a, c, v) VALUES ('x', 3, 1);
UPDATE r SET v = 5 WHERE a = 'x' AND c = 1;
.reopen
SELECT * FROM r WHERE a = 'x';
SELECT name FROM pragma_table_list WHERE type = 'shadow' ORDER BY name;
ALTER TABLE r2 RENAME TO renamed;
SELECT a, c FROM renamed WHERE a = 'x';
ALTER TABLE r RENAME TO other;
SELECT count(*) FROM r WHERE a = 'x';
.reopen
SELECT a, c FROM renamed WHERE a = 'x';
DROP TABLE renamed;
SELECT count(*) FROM r WHERE a = 'x';
SELECT name FROM pragma_table_list WHERE type = 'shadow';
DROP TABLE r;
DROP TABLE r3;
CREATE VIRTUAL TABLE r USING ringlet(lab.r);
SELECT a, c, w FROM r WHERE a = 'x';
SELECT ringlet_cql('TRUNCATE lab.r');
SELECT count(*) FROM r WHERE a = 'x';
SELECT ringlet_cql('DROP TABLE lab.r');
SELECT count(*) FROM r WHERE a = 'x';
.reopen
SELECT a, c FROM r WHERE a = 'x';
DROP TABLE r;
SELECT name FROM sqlite_schema;
