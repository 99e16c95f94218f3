-- lists, sets, maps, tuples, types, vectors: JSON in and out
SELECT ringlet_cql('CREATE KEYSPACE lab WITH replication = {''class'': ''SimpleStrategy'', ''replication_factor'': 1}');
SELECT ringlet_cql('CREATE TYPE lab.place (room text, floor int)');
CREATE VIRTUAL TABLE t USING ringlet(keyspace='lab', id INT PRIMARY KEY, l LIST<INT>, s SET<TEXT>, m MAP<TEXT,INT>, tu TUPLE<INT,TEXT>, u place, fu frozen<place>, fl frozen<list<int>>, n map<text, frozen<list<int>>>, v vector<float, 3>);
INSERT INTO t VALUES (1, '[3, 1, 2]', '["b", "a", "b"]', '{"z": 1, "a": 2}', '[1, "x"]', '{"room": "lab", "floor": 2}', '{"room": "attic"}', '[1, 2]', '{"k": [1, 2]}', '[1, 2.5, -3]');
SELECT * FROM t WHERE id = 1;
SELECT m ->> '$.a', l ->> 2, u ->> '$.room' FROM t WHERE id = 1;
SELECT value FROM t, json_each(t.l) WHERE t.id = 1;
-- assignment replaces all of it
UPDATE t SET m = '{"b": 3}', l = json_array(9), s = json('[]') WHERE id = 1;
SELECT l, s, m FROM t WHERE id = 1;
INSERT INTO t(id, m, u) VALUES (1, '{"c": 4}', '{"floor": 3}');
SELECT m, u FROM t WHERE id = 1;
UPDATE t SET m = NULL, u = NULL WHERE id = 1;
SELECT m, u, l FROM t WHERE id = 1;
UPDATE t SET m = json_set(coalesce(m, '{}'), '$.new', 5) WHERE id = 1;
SELECT m FROM t WHERE id = 1;
UPDATE t SET m = json_set(m, '$.more', 6) WHERE id = 1;
SELECT m FROM t WHERE id = 1;
INSERT INTO t(id, l) VALUES (2, 'no json');
INSERT INTO t(id, l) VALUES (2, '["a"]');
INSERT INTO t(id, m) VALUES (2, '{"a": "b"}');
INSERT INTO t(id, v) VALUES (2, '[1, 2]');
INSERT INTO t(id, tu) VALUES (2, '[1, 2, 3]');
INSERT INTO t(id, u) VALUES (2, '{"door": 1}');
SELECT count(*) FROM t WHERE id = 2;
-- a list longer than a page of positions keeps its order
INSERT INTO t(id, l) SELECT 3, json_group_array(value) FROM (WITH RECURSIVE n(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM n WHERE value < 300) SELECT value FROM n);
SELECT json_array_length(l), l ->> 0, l ->> 150, l ->> 299 FROM t WHERE id = 3;
-- inside keys
CREATE VIRTUAL TABLE k USING ringlet(keyspace='lab', p frozen<list<int>>, c frozen<map<text,int>>, v INT, PRIMARY KEY (p, c));
INSERT INTO k VALUES ('[1,2]', '{"b":1,"a":2}', 7);
SELECT * FROM k WHERE p = '[1, 2]' AND c = '{"a":2,"b":1}';
.reopen
SELECT id, l ->> 0, m FROM t WHERE id IN (1, 3) ORDER BY id;
UPDATE t SET l = s.x FROM (SELECT 1 AS x) s WHERE id = 1;
UPDATE t SET tu = s.x FROM (SELECT '[5, "five"]' AS x) s WHERE id = 1;
SELECT * FROM t WHERE id = 1;
