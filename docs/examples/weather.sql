-- A table partitioned by location, its days newest first
SELECT ringlet_cql('CREATE KEYSPACE demo WITH replication = {''class'': ''SimpleStrategy'', ''replication_factor'': 3}');
CREATE VIRTUAL TABLE weather USING ringlet(keyspace='demo',
  location TEXT, date DATE, precipitation DOUBLE, temp_max DOUBLE, temp_min DOUBLE, wind DOUBLE, weather TEXT,
  PRIMARY KEY ((location), date), with='CLUSTERING ORDER BY (date DESC)');

-- Load 2,922 days of real weather with the shell's own .import: one transaction, one atomic batch
.import --csv --skip 1 docs/data/weather.csv weather
SELECT location, count(*) AS days, min(date) AS first, max(date) AS last FROM weather WHERE location IN ('Seattle', 'New York') GROUP BY location;

-- One partition, newest first
SELECT date, weather, temp_max, temp_min FROM weather WHERE location = 'Seattle' ORDER BY date DESC LIMIT 5;

-- A range of dates
SELECT date, weather, precipitation FROM weather WHERE location = 'New York' AND date BETWEEN '2014-02-01' AND '2014-02-05' ORDER BY date;

-- An aggregate, and a window function over a partition: plain SQLite on top
SELECT strftime('%Y', date) AS year, round(sum(precipitation)) AS rain_mm, max(temp_max) AS hottest FROM weather WHERE location = 'Seattle' GROUP BY year;
SELECT date, temp_max, round(avg(temp_max) OVER (ORDER BY date ROWS 6 PRECEDING), 1) AS week FROM weather WHERE location = 'Seattle' AND date >= '2015-12-27' ORDER BY date;

-- A join with a table of your own
CREATE TABLE cities(name TEXT PRIMARY KEY, state TEXT);
INSERT INTO cities VALUES ('Seattle', 'Washington'), ('New York', 'New York');
SELECT c.state, w.date, w.temp_max FROM cities c JOIN weather w ON w.location = c.name WHERE w.date = '2015-07-19';

-- A map column, read with ->>
CREATE VIRTUAL TABLE stations USING ringlet(keyspace='demo', location TEXT PRIMARY KEY, tags MAP<TEXT,TEXT>);
INSERT INTO stations VALUES ('Seattle', '{"airport": "SEA", "sensor": "ASOS"}'), ('New York', '{"airport": "JFK"}');
SELECT location, tags ->> '$.airport' AS airport FROM stations WHERE location IN ('Seattle', 'New York');

-- Change a row, remove one; a row with a time to live goes by itself
UPDATE weather SET weather = 'storm' WHERE location = 'Seattle' AND date = '2015-12-31';
DELETE FROM weather WHERE location = 'Seattle' AND date = '2015-12-30';
INSERT INTO weather(location, date, weather, ttl) VALUES ('Seattle', '2016-01-01', 'forecast', 3600);
SELECT date, weather, ttl > 3500 AS expires FROM weather WHERE location = 'Seattle' AND date >= '2015-12-29' ORDER BY date DESC;

-- A query that would read every partition is refused, and says what to do
SELECT date, location FROM weather WHERE temp_max > 35;
SELECT date, location, temp_max FROM weather WHERE temp_max > 35 AND allow_filtering = 1 ORDER BY date;
