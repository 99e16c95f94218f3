-- more columns than colUsed has bits: the bare allow_filtering still counts
SELECT ringlet_cql('CREATE KEYSPACE lab WITH replication = {''class'': ''SimpleStrategy'', ''replication_factor'': 1}');
CREATE VIRTUAL TABLE wide USING ringlet(keyspace='lab', a TEXT PRIMARY KEY, v000 INT, v001 INT, v002 INT, v003 INT, v004 INT, v005 INT, v006 INT, v007 INT, v008 INT, v009 INT, v010 INT, v011 INT, v012 INT, v013 INT, v014 INT, v015 INT, v016 INT, v017 INT, v018 INT, v019 INT, v020 INT, v021 INT, v022 INT, v023 INT, v024 INT, v025 INT, v026 INT, v027 INT, v028 INT, v029 INT, v030 INT, v031 INT, v032 INT, v033 INT, v034 INT, v035 INT, v036 INT, v037 INT, v038 INT, v039 INT, v040 INT, v041 INT, v042 INT, v043 INT, v044 INT, v045 INT, v046 INT, v047 INT, v048 INT, v049 INT, v050 INT, v051 INT, v052 INT, v053 INT, v054 INT, v055 INT, v056 INT, v057 INT, v058 INT, v059 INT, v060 INT, v061 INT, v062 INT, v063 INT, v064 INT, v065 INT, v066 INT, v067 INT, v068 INT, v069 INT);
INSERT INTO wide(a, v000, v069) VALUES ('x', 1, 2), ('y', 3, 4);
SELECT a, v000, v035, v069 FROM wide WHERE a = 'y';
SELECT a FROM wide WHERE v069 = 2;
SELECT a FROM wide WHERE v069 = 2 AND allow_filtering;
SELECT a FROM wide WHERE v069 = 2 AND allow_filtering = 1;
UPDATE wide SET v068 = 5 WHERE a = 'x';
SELECT v000, v068, v069 FROM wide WHERE a = 'x';
SELECT a, v069 FROM wide(1) WHERE v069 > 1 ORDER BY a;
