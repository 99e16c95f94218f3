-- the issue's example, as a new user types it
SELECT ringlet_cql('CREATE KEYSPACE lab WITH replication = {''class'': ''SimpleStrategy'', ''replication_factor'': 1}');
CREATE VIRTUAL TABLE readings USING ringlet(keyspace='lab', sensor TEXT, day DATE, ts TIMESTAMP, celsius DOUBLE, tags MAP<TEXT,TEXT>, PRIMARY KEY ((sensor, day), ts), with='CLUSTERING ORDER BY (ts DESC)');
INSERT INTO readings(sensor, day, ts, celsius, tags) VALUES ('s1', '2026-11-23', '2026-11-23T10:00:00', 21.5, '{"room":"lab"}');
.reopen
SELECT ts, celsius, tags ->> '$.room' FROM readings WHERE sensor = 's1' AND day = '2026-11-23';
SELECT * FROM readings WHERE celsius > 20;
SELECT * FROM readings WHERE celsius > 20 AND sensor = 's1';
SELECT * FROM readings WHERE celsius > 20 AND allow_filtering = 1;
SELECT * FROM readings WHERE celsius > 20 AND allow_filtering;
SELECT * FROM readings WHERE celsius > 20 AND allow_filtering = 0;
SELECT typeof(sensor), typeof(day), typeof(ts), typeof(celsius), typeof(tags) FROM readings WHERE sensor = 's1' AND day = '2026-11-23';
