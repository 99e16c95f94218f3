// The Node.js driver (cassandra-driver) against Ringlet: connect, DDL, prepared statements, paging, batch, all types, events.
//
//     NODE_PATH=… node driver_test.js        a node listens for CQL on 127.0.0.1:9042
//
// Breaks without it: what this driver asks of a server and Python's does not.
'use strict';
const assert = require('assert');
const cassandra = require('cassandra-driver');
const { types } = cassandra;

const contactPoints = (process.env.CASS_HOSTS || '127.0.0.1').split(',');
const patience = 180000; // ms, for what must come: ends a test that hangs, on a machine however slow
const options = { contactPoints, localDataCenter: process.env.CASS_DC || 'datacenter1',
  socketOptions: { connectTimeout: patience, readTimeout: patience }, protocolOptions: { maxSchemaAgreementWaitSeconds: patience / 1000 } };
const client = new cassandra.Client(options);
const execute = (query, params, opts) => client.execute(query, params, opts);
const K = 'node_driver_test';

const values = [
  ['ascii', 'plain'], ['bigint', types.Long.fromString('-9223372036854775808')], ['blob', Buffer.from([0, 1, 255])], ['boolean', true],
  ['date', types.LocalDate.fromString('2026-11-27')], ['decimal', types.BigDecimal.fromString('-123.4500')], ['double', -1.5e300],
  ['duration', types.Duration.fromString('1mo2d3ns')], ['float', 0.5], ['inet', types.InetAddress.fromString('::1')], ['int', -2147483648],
  ['smallint', -32768], ['text', 'Zürich 東京'], ['time', types.LocalTime.fromString('12:34:56.789')],
  ['timestamp', new Date('2026-11-27T01:02:03.456Z')], ['timeuuid', types.TimeUuid.now()], ['tinyint', -128], ['uuid', types.Uuid.random()],
  ['varint', types.Integer.fromString('-123456789012345678901234567890')], ['list<int>', [3, 1, 2]], ['set<text>', ['a', 'b']],
  ['map<text, int>', { a: 1, b: 2 }], ['frozen<list<frozen<set<int>>>>', [[1, 2], [3]]], ['tuple<int, text>', new types.Tuple(1, 'a')],
];

function same(a, b) {
  if (a && typeof a.equals === 'function') return a.equals(b);
  if (a && typeof a.toString === 'function' && typeof a === 'object' && !Array.isArray(a) && !(a instanceof Buffer) && !(a instanceof Date) &&
      Object.getPrototypeOf(a) !== Object.prototype) return a.toString() === b.toString();
  try { assert.deepStrictEqual(JSON.parse(JSON.stringify(a)), JSON.parse(JSON.stringify(b))); return true; } catch { return false; }
}

const tests = {
  async types() {
    for (let i = 0; i < values.length; i++) {
      const [type, value] = values[i];
      await execute(`CREATE TABLE IF NOT EXISTS ${K}.types_${i} (k int PRIMARY KEY, v ${type})`);
      await execute(`INSERT INTO ${K}.types_${i} (k, v) VALUES (?, ?)`, [1, value], { prepare: true });
      const row = (await execute(`SELECT v FROM ${K}.types_${i} WHERE k = ?`, [1], { prepare: true })).first();
      assert(same(value, row.v), `${type}: ${value} came back as ${row.v}`);
    }
  },
  async prepared_and_batch() {
    await execute(`CREATE TABLE IF NOT EXISTS ${K}.rows (p int, c int, v text, PRIMARY KEY (p, c))`);
    const query = `INSERT INTO ${K}.rows (p, c, v) VALUES (?, ?, ?)`;
    for (let n = 0; n < 20; n++)
      await client.batch(Array.from({ length: 50 }, (_, i) => ({ query, params: [1, n * 50 + i, `v${i}`] })), { prepare: true, logged: n % 2 === 0 });
    await Promise.all(Array.from({ length: 500 }, (_, i) => execute(query, [2, i, 'x'], { prepare: true })));
    assert.strictEqual((await execute(`SELECT count(*) FROM ${K}.rows WHERE p = 1`)).first()['count'].toNumber(), 1000);
  },
  async paging() {
    let seen = 0;
    for (let result = await execute(`SELECT c FROM ${K}.rows WHERE p = 1`, [], { prepare: true, fetchSize: 77 }); ;
         result = await execute(`SELECT c FROM ${K}.rows WHERE p = 1`, [], { prepare: true, fetchSize: 77, pageState: result.pageState })) {
      for (const row of result.rows) assert.strictEqual(row.c, seen++);
      if (!result.pageState) break;
    }
    assert.strictEqual(seen, 1000);
    let each = 0;
    await new Promise((resolve, reject) => client.eachRow(`SELECT * FROM ${K}.rows`, [], { autoPage: true, fetchSize: 100 },
      () => each++, (err) => (err ? reject(err) : resolve())));
    assert.strictEqual(each, 1500);
  },
  async conditions_and_errors() {
    await execute(`CREATE TABLE IF NOT EXISTS ${K}.once (k int PRIMARY KEY, v int)`);
    assert((await execute(`INSERT INTO ${K}.once (k, v) VALUES (1, 1) IF NOT EXISTS`)).wasApplied());
    assert(!(await execute(`INSERT INTO ${K}.once (k, v) VALUES (1, 1) IF NOT EXISTS`)).wasApplied());
    await assert.rejects(execute('SELEC'), (e) => e.code === types.responseErrorCodes.syntaxError);
    await assert.rejects(execute(`SELECT * FROM ${K}.none`), (e) => e.code === types.responseErrorCodes.invalid);
  },
  async metadata_and_events() {
    const other = new cassandra.Client(options);
    await other.connect();
    await other.execute(`CREATE TABLE IF NOT EXISTS ${K}.told (k int PRIMARY KEY, m map<text, frozen<list<int>>>)`);
    const until = Date.now() + patience;
    let table = null;
    while (!table && Date.now() < until) {
      table = await client.metadata.getTable(K, 'told');
      if (!table) await new Promise((r) => setTimeout(r, 100));
    }
    assert(table && table.partitionKeys[0].name === 'k' && table.columnsByName.m, 'metadata of told');
    assert(client.hosts.length >= 1 && client.hosts.values().every((h) => h.isUp()), 'hosts');
    await other.shutdown();
  },
};

(async () => {
  await client.connect();
  await execute(`DROP KEYSPACE IF EXISTS ${K}`);
  await execute(`CREATE KEYSPACE ${K} WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}`);
  let failures = 0;
  for (const [name, test] of Object.entries(tests)) {
    const start = Date.now();
    let outcome = 'passed';
    try { await test(); } catch (e) { failures++; outcome = `FAILED: ${e.stack || e}`.slice(0, 800); }
    console.log(`node ${name}: ${outcome} (${((Date.now() - start) / 1000).toFixed(1)} s)`);
  }
  await client.shutdown();
  process.exitCode = failures ? 1 : 0;
})().catch((e) => { console.error(`node: FAILED: ${e.stack || e}`); process.exitCode = 1; });
