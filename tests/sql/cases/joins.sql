-- joins with local tables, in either order
SELECT ringlet_cql('CREATE KEYSPACE lab WITH replication = {''class'': ''SimpleStrategy'', ''replication_factor'': 1}');
CREATE VIRTUAL TABLE r USING ringlet(keyspace='lab', a TEXT, c INT, v INT, PRIMARY KEY (a, c));
CREATE TABLE loc(a TEXT, name TEXT);
INSERT INTO loc VALUES ('x', 'X'), ('y', 'Y'), ('q', 'Q');
INSERT INTO r VALUES ('x', 1, 10), ('x', 2, 20), ('y', 1, 30), ('z', 1, 40);
.sort
SELECT name, c, v FROM loc JOIN r ON r.a = loc.a;
.sort
SELECT name, c, v FROM r JOIN loc ON r.a = loc.a;
.sort
SELECT name, c, v FROM loc LEFT JOIN r ON r.a = loc.a;
.sort
SELECT name, c, v FROM r, loc WHERE r.a = loc.a AND c = 1;
SELECT name FROM loc WHERE EXISTS (SELECT 1 FROM r WHERE r.a = loc.a AND v > 15) ORDER BY name;
SELECT name, (SELECT sum(v) FROM r WHERE r.a = loc.a) FROM loc ORDER BY name;
.sort
SELECT l.name, r1.c, r2.c FROM loc l JOIN r r1 ON r1.a = l.a JOIN r r2 ON r2.a = r1.a AND r2.c = r1.c + 1;
SELECT count(*) FROM r CROSS JOIN loc ON r.a = loc.a;
SELECT count(*) FROM r CROSS JOIN loc ON r.a = loc.a WHERE r.allow_filtering = 1;
SELECT count(*) FROM r LEFT JOIN loc ON r.a = loc.a;
-- a scan that many inner scans interrupt keeps its values
SELECT max(r.a), min(r.a) FROM loc JOIN r ON r.a = loc.a;
WITH recursive n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3) SELECT i, v FROM n JOIN r ON r.a = 'x' AND r.c = n.i;
SELECT a, c, sum(v) OVER (ORDER BY c) FROM r WHERE a = 'x';
INSERT INTO r SELECT a || '2', c, v FROM r WHERE allow_filtering = 1;
SELECT count(*) FROM r WHERE allow_filtering = 1;
CREATE VIEW ys AS SELECT * FROM r WHERE a = 'y';
SELECT * FROM ys;
