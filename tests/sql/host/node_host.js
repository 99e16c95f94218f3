// The extension in Node.js (better-sqlite3 with a SQLite of its own): values, errors, transactions, worker threads.
'use strict';
const assert = require('assert');
const { Worker, isMainThread, workerData } = require('worker_threads');
const Database = require('better-sqlite3');

function open(extension) {
    const db = new Database('app.db', { timeout: 300000 });
    db.loadExtension(extension);
    return db;
}

if (!isMainThread) {
    const db = open(workerData.extension);
    const insert = db.prepare('INSERT INTO r(a, c, v) VALUES (?, ?, ?)');
    for (let i = 0; i < 200; i++)
        db.transaction(() => insert.run('w' + workerData.number, i, i / 2))();
    db.close();
} else {
    const extension = process.argv[2];
    let db = open(extension);
    db.pragma('journal_mode = WAL');
    db.exec("SELECT ringlet_cql('CREATE KEYSPACE lab WITH replication = {''class'': ''SimpleStrategy'', ''replication_factor'': 1}')");
    db.exec("CREATE VIRTUAL TABLE r USING ringlet(keyspace='lab', a TEXT, c INT, v DOUBLE, b BLOB, m MAP<TEXT,INT>, PRIMARY KEY (a, c))");
    db.prepare('INSERT INTO r VALUES (?, ?, ?, ?, ?)').run('x', 1, 1.5, Buffer.from([0, 255]), '{"k": 1}');
    const row = db.prepare("SELECT a, c, v, b, m ->> '$.k' AS k FROM r WHERE a = ?").get('x');
    assert.deepStrictEqual({ ...row, b: [...row.b] }, { a: 'x', c: 1, v: 1.5, b: [0, 255], k: 1 });
    assert.throws(() => db.prepare('SELECT * FROM r WHERE v > 1').all(), /missing: a.*allow_filtering = 1/);
    assert.throws(() => db.prepare("INSERT INTO r(a, c, v) VALUES ('x', 2, 'warm')").run(), /r\.v.*'warm'.*double/);
    assert.throws(db.transaction(() => {
        db.prepare("INSERT INTO r(a, c) VALUES ('gone', 1)").run();
        assert.strictEqual(db.prepare("SELECT count(*) AS n FROM r WHERE a = 'gone'").get().n, 1);
        throw new Error('back');
    }), /back/);
    assert.strictEqual(db.prepare("SELECT count(*) AS n FROM r WHERE a = 'gone'").get().n, 0);
    // 64-bit integers and many rows
    const many = db.transaction(() => {
        const insert = db.prepare('INSERT INTO r(a, c, v) VALUES (?, ?, ?)');
        for (let i = 0; i < 5000; i++)
            insert.run('many', i, i);
    });
    many();
    assert.strictEqual(db.prepare("SELECT sum(v) AS s FROM r WHERE a = 'many'").get().s, 12497500);
    const workers = [0, 1, 2].map((number) => new Promise((resolve, reject) => {
        const worker = new Worker(__filename, { workerData: { extension, number } });
        worker.on('error', reject);
        worker.on('exit', (code) => (code === 0 ? resolve() : reject(new Error('worker ' + code))));
    }));
    Promise.all(workers).then(() => {
        assert.strictEqual(db.prepare("SELECT count(*) AS n FROM r WHERE a IN ('w0', 'w1', 'w2')").get().n, 600);
        db.close();
        db = open(extension);
        assert.strictEqual(db.prepare("SELECT count(*) AS n FROM r WHERE a = 'many'").get().n, 5000);
        console.log('node ' + process.version + ', SQLite ' + db.prepare('SELECT sqlite_version() AS v').get().v);
        db.close();
    }).catch((error) => {
        console.error(error);
        process.exit(1);
    });
}
