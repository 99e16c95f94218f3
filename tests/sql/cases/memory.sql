-- :memory: keeps its data in a temporary directory of its own
.memory m
SELECT ringlet_cql('CREATE KEYSPACE lab WITH replication = {''class'': ''SimpleStrategy'', ''replication_factor'': 1}');
CREATE VIRTUAL TABLE temp.r USING ringlet(keyspace='lab', a TEXT PRIMARY KEY, v INT);
INSERT INTO r VALUES ('x', 1);
SELECT * FROM r WHERE a = 'x';

.memory n
.like
SELECT ringlet_import('lab');
ATTACH ':memory:' AS lab;
.like
CREATE VIRTUAL TABLE lab.r USING ringlet;
