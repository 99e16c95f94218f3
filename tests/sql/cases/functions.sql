-- functions and tables about the node
SELECT typeof(ringlet_version());
SELECT ringlet_cql('CREATE KEYSPACE lab WITH replication = {''class'': ''SimpleStrategy'', ''replication_factor'': 1}');
SELECT ringlet_cql('CREATE TABLE lab.one (a text, b int, v int, PRIMARY KEY ((a, b)))');
SELECT ringlet_cql('CREATE TABLE lab.two (a text, c int, s text static, v set<int>, PRIMARY KEY (a, c)) WITH CLUSTERING ORDER BY (c DESC)');
.like
SELECT ringlet_cql('SELEC');
SELECT ringlet_cql('CREATE TABLE lab.one (a int PRIMARY KEY)');
SELECT ringlet_cql('DROP TABLE lab.three');
SELECT ringlet_cql();
SELECT ringlet_import('lab');
INSERT INTO lab.one VALUES ('x', 1, 10);
SELECT * FROM lab.one WHERE a = 'x' AND b = 1;
SELECT ringlet_import('lab');
SELECT ringlet_cql('ALTER TABLE lab.one ADD w text');
SELECT ringlet_cql('DROP TABLE lab.two');
SELECT ringlet_import('lab');
SELECT * FROM lab.one WHERE a = 'x' AND b = 1;
.like
SELECT * FROM lab.two WHERE a = 'x';
SELECT ringlet_import('nowhere');
SELECT ringlet_import('main');
BEGIN;
SELECT ringlet_import('lab');
INSERT INTO lab.one VALUES ('y', 1, 10, 'w');
ROLLBACK;
SELECT count(*) FROM lab.one WHERE a = 'y' AND b = 1;
SELECT ringlet_consistency(), ringlet_consistency('quorum'), ringlet_consistency();
SELECT ringlet_consistency('some');
SELECT length(ringlet_uuid()), substr(ringlet_uuid(), 15, 1), ringlet_uuid() <> ringlet_uuid();
SELECT length(ringlet_timeuuid()), substr(ringlet_timeuuid(0), 1, 18), ringlet_timeuuid() <> ringlet_timeuuid();
SELECT ringlet_token('lab.one', 'x', 1);
SELECT ringlet_token('lab.one', 'x');
SELECT ringlet_token('lab.one', 'x', 'y');
SELECT ringlet_token('lab.none', 'x');
SELECT keyspace, name, partition_key, clustering, columns, length(id) FROM ringlet_tables;
SELECT count(*) > 0 FROM ringlet_metrics;
SELECT json_valid(ringlet_nodetool('info'));
SELECT json_valid(ringlet_nodetool('tablestats')), json_valid(ringlet_nodetool('flush'));
.like
SELECT ringlet_nodetool('frobnicate');
-- DIRECTONLY: not from a view of a stranger's database
CREATE VIEW v AS SELECT ringlet_cql('DROP TABLE lab.one');
SELECT * FROM v;
SELECT ringlet_open('/nowhere/at/all', 'nonsense');
SELECT ringlet_connect('http://127.0.0.1:99999');
SELECT ringlet_connect('http://127.0.0.1:7000', 'timeout=5');
SELECT ringlet_connect('');
SELECT ringlet_source('/nowhere/at/all');
DETACH lab;
SELECT ringlet_close();
SELECT ringlet_import('lab');
SELECT * FROM lab.one WHERE a = 'x' AND b = 1;
