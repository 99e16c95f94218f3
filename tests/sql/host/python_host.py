"""The extension in Debian's Python: values, errors, threads, fork, a second process."""
import os
import sqlite3
import subprocess
import sys
import threading

EXTENSION = sys.argv[1]
KEYSPACE = ("SELECT ringlet_cql('CREATE KEYSPACE lab WITH replication = "
            "{''class'': ''SimpleStrategy'', ''replication_factor'': 1}')")


def connect(path="app.db"):
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=300)
    db.enable_load_extension(True)
    db.load_extension(EXTENSION)
    return db


def fails(db, sql, *words):
    try:
        db.execute(sql).fetchall()
    except sqlite3.Error as error:
        for word in words:
            assert word in str(error), (word, str(error))
        return
    raise AssertionError("no error: " + sql)


if sys.argv[2:] == ["second"]:  # another process on the same directory
    other = connect()
    fails(other, "SELECT * FROM r WHERE a = 'x'", sys.stdin.read().strip())
    # What needs no data works all the same.
    columns = [row[1] for row in other.execute("PRAGMA table_info(attached)")]
    assert columns == ["a", "c", "v", "b", "m"], columns
    other.execute("ALTER TABLE attached RENAME TO other")
    other.execute("DROP TABLE other")
    assert other.execute("SELECT count(*) FROM sqlite_schema WHERE name LIKE 'other%'").fetchone() == (0,)
    sys.exit(0)

db = connect()
db.execute(KEYSPACE)
db.execute("CREATE VIRTUAL TABLE r USING ringlet(keyspace='lab', a TEXT, c INT, v DOUBLE, b BLOB, m MAP<TEXT,INT>, "
           "PRIMARY KEY (a, c))")
db.execute("INSERT INTO r VALUES (?, ?, ?, ?, ?)", ("x", 1, 1.5, b"\x00\xff", '{"k": 1}'))
assert db.execute("SELECT a, c, v, b, m ->> '$.k' FROM r WHERE a = ?", ("x",)).fetchall() == [("x", 1, 1.5, b"\x00\xff", 1)]
db.executemany("INSERT INTO r(a, c, v) VALUES ('many', ?, ?)", [(i, i / 2) for i in range(1000)])
assert db.execute("SELECT count(*), sum(v) FROM r WHERE a = 'many'").fetchone() == (1000, 249750.0)
fails(db, "SELECT * FROM r WHERE v > 1", "a", "allow_filtering = 1")
fails(db, "INSERT INTO r(a, c, v) VALUES ('x', 2, 'warm')", "r.v", "warm", "double")

# Connections of one process share the node; each thread has its own.
errors = []


def work(number):
    try:
        mine = connect()
        for i in range(200):
            mine.execute("BEGIN")
            mine.execute("INSERT INTO r(a, c, v) VALUES (?, ?, ?)", ("t%d" % number, i, i))
            mine.execute("COMMIT")
        assert mine.execute("SELECT count(*) FROM r WHERE a = ?", ("t%d" % number,)).fetchone() == (200,)
        mine.close()
    except Exception as error:  # pylint: disable=broad-except
        errors.append(error)


def patient(number):
    """A write locks its schema's file, as any of SQLite's writes: with WAL and a timeout threads wait."""
    work(number)


db.execute("PRAGMA journal_mode = WAL")
threads = [threading.Thread(target=patient, args=(n,)) for n in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert not errors, errors
assert db.execute("SELECT count(*) FROM r WHERE a IN ('t0', 't1', 't2', 't3')").fetchone() == (800,)

db.execute("CREATE VIRTUAL TABLE attached USING ringlet(lab.r)")

# A second process is told who owns the directory.
second = subprocess.run([sys.executable, __file__, EXTENSION, "second"], input=str(os.getpid()), text=True, check=False)
assert second.returncode == 0

# A forked child gets an error, not the parent's node; the parent goes on.
child = os.fork()
if child == 0:
    status = 1
    try:
        fails(db, "SELECT * FROM r WHERE a = 'x'", "fork")
        fails(db, "INSERT INTO r(a, c) VALUES ('child', 1)", "fork")
        status = 0
    finally:
        os._exit(status)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert db.execute("SELECT count(*) FROM r WHERE a = 'child'").fetchone() == (0,)
db.execute("INSERT INTO r(a, c) VALUES ('parent', 1)")

# Open statements, then close; open again.
cursor = db.execute("SELECT * FROM r WHERE a = 'many'")
cursor.fetchone()
cursor.close()
db.close()
db = connect()
assert db.execute("SELECT count(*) FROM r WHERE a = 'many'").fetchone() == (1000,)
interrupting = db.execute("SELECT c FROM r WHERE a = 'many' ORDER BY c DESC LIMIT 3").fetchall()
assert interrupting == [(999,), (998,), (997,)]
db.close()
print("python %s, SQLite %s" % (sys.version.split()[0], sqlite3.sqlite_version))
