"""The Python driver (cassandra-driver 3.29) against a cluster of three Ringlet nodes on 127.0.0.1-3, CQL on port 9042.

    driver_test.py [TEST…]       all without an argument
    $RINGLET_CLUSTER             the command line that controls the cluster ("build/ringlet cluster {} --dir …"), for the test that stops a
                                 node; without it that test is skipped (as against Apache Cassandra, where the others pass too)

Breaks without it: what only a real driver asks of a server (its own queries at connect, paging, routing, events, versions).
"""
import os
import random
import subprocess
import sys
import threading
import time
import uuid
from collections import OrderedDict
from datetime import date, datetime, time as clock_time, timedelta
from decimal import Decimal

from cassandra import ConsistencyLevel, InvalidRequest, Unavailable, AlreadyExists
from cassandra.cluster import Cluster, ExecutionProfile, EXEC_PROFILE_DEFAULT, NoHostAvailable
from cassandra.concurrent import execute_concurrent_with_args
from cassandra.policies import DCAwareRoundRobinPolicy, RoundRobinPolicy, TokenAwarePolicy, WhiteListRoundRobinPolicy
from cassandra.protocol import SyntaxException
from cassandra.query import BatchStatement, BatchType, SimpleStatement, dict_factory, tuple_factory
from cassandra.util import Date, Duration, OrderedMapSerializedKey, SortedSet, Time

HOSTS = os.environ.get('CASS_HOSTS', '127.0.0.1').split(',')
KEYSPACE = 'driver_test'
PATIENCE = 180  # seconds, for what must come: ends a test that hangs, on a machine however slow
PATIENT = dict(connect_timeout=PATIENCE, control_connection_timeout=PATIENCE, max_schema_agreement_wait=PATIENCE)


def connect(hosts=None, **options):
    profile = ExecutionProfile(load_balancing_policy=TokenAwarePolicy(RoundRobinPolicy()), request_timeout=PATIENCE)
    options.setdefault('execution_profiles', {EXEC_PROFILE_DEFAULT: profile})
    cluster = Cluster(hosts or HOSTS, **PATIENT, **options)
    return cluster, cluster.connect()


def fresh(session, table, definition):
    session.execute(f'DROP TABLE IF EXISTS {KEYSPACE}.{table}')
    session.execute(f'CREATE TABLE {KEYSPACE}.{table} ({definition})')


def make_keyspace(session, replication=1):
    session.execute(f"CREATE KEYSPACE IF NOT EXISTS {KEYSPACE} WITH replication = "
                    f"{{'class': 'SimpleStrategy', 'replication_factor': {replication}}}")


VALUES = OrderedDict([
    ('ascii', ['', 'plain']),
    ('bigint', [0, -1, 2**63 - 1, -2**63]),
    ('blob', [b'', bytes(range(256))]),
    ('boolean', [True, False]),
    ('date', [Date('1970-01-01'), Date('2026-11-27'), Date('0001-01-01')]),
    ('decimal', [Decimal('0'), Decimal('1.00'), Decimal('-12345678901234567890.123456789'), Decimal('1E+10')]),
    ('double', [0.0, -1.5, 1e300, float('inf')]),
    ('duration', [Duration(1, 2, 3), Duration(-1, -2, -3)]),
    ('float', [0.0, 1.5, -0.25]),
    ('inet', ['127.0.0.1', '::1', '2001:db8::ff00:42:8329']),
    ('int', [0, -1, 2**31 - 1, -2**31]),
    ('smallint', [0, -1, 32767, -32768]),
    ('text', ['', 'Zürich — 東京 🙂', "it's"]),
    ('time', [Time(0), Time(clock_time(12, 34, 56, 789)), Time(86399999999999)]),
    ('timestamp', [datetime(1970, 1, 1), datetime(2026, 11, 27, 1, 2, 3, 456000), datetime(1969, 12, 31)]),
    ('timeuuid', [uuid.uuid1()]),
    ('tinyint', [0, -1, 127, -128]),
    ('uuid', [uuid.UUID(int=0), uuid.uuid4()]),
    ('varint', [0, -1, 255, 256, 2**200, -2**200]),
    ('list<int>', [[1], [3, 1, 2, 1]]),
    ('set<text>', [{'a'}, {'b', 'a', 'ü'}]),
    ('map<text, int>', [{'a': 1}, {'x': -1, 'y': 2}]),
    ('frozen<list<frozen<set<int>>>>', [[{1, 2}, {3}], []]),
    ('frozen<map<int, frozen<list<text>>>>', [{1: ['a', 'b'], 2: []}]),
    ('tuple<int, text, boolean>', [(1, 'a', True), (None, 'b', None)]),
    ('map<uuid, frozen<tuple<text, double>>>', [{uuid.UUID(int=7): ('a', 1.5)}]),
    ('vector<float, 3>', [[1.0, 2.5, -3.0]]),
])


def plain(value):
    """Sets, maps and vectors of the driver as what was put in."""
    if isinstance(value, (SortedSet, set, frozenset)):
        return {plain(v) for v in value}
    if isinstance(value, (OrderedMapSerializedKey, dict)):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, (list,)):
        return [plain(v) for v in value]
    return value


def test_alice(session):
    for _ in range(10):  # its timeouts are the driver's own, and short
        out = subprocess.run([sys.executable, os.path.join(os.path.dirname(__file__), 'alice.py')], capture_output=True, text=True,
                             timeout=PATIENCE)
        if 'OperationTimedOut' not in out.stderr:
            break
    assert 'User: Alice, Email: alice@example.com' in out.stdout, out


def test_types(session):
    """Every type as a prepared value, and back; NULL, and in a WHERE of its own."""
    for number, (cql, values) in enumerate(VALUES.items()):
        table = f'types_{number}'
        fresh(session, table, f'k int PRIMARY KEY, v {cql}')
        insert = session.prepare(f'INSERT INTO {KEYSPACE}.{table} (k, v) VALUES (?, ?)')
        select = session.prepare(f'SELECT v FROM {KEYSPACE}.{table} WHERE k = ?')
        for k, value in enumerate(values + [None]):
            session.execute(insert, (k, value))
            got = session.execute(select, (k,)).one().v
            if value in ([], {}) and got is None:
                continue
            assert plain(got) == plain(value), (cql, value, got)


def test_types_as_keys(session):
    """Types that may be keys: as partition and clustering key; what goes in is found again, in order."""
    for number, (cql, values) in enumerate(VALUES.items()):
        if cql.startswith(('list', 'set', 'map', 'duration')):
            continue
        table = f'keys_{number}'
        fresh(session, table, f'a {cql}, b {cql}, n int, PRIMARY KEY (a, b)')
        insert = session.prepare(f'INSERT INTO {KEYSPACE}.{table} (a, b, n) VALUES (?, ?, ?)')
        select = session.prepare(f'SELECT n FROM {KEYSPACE}.{table} WHERE a = ? AND b = ?')
        keys = [v for v in values if v not in ('', b'')]
        for n, value in enumerate(keys):
            session.execute(insert, (keys[0], value, n))
        for n, value in enumerate(keys):
            assert session.execute(select, (keys[0], value)).one().n == n, (cql, value)
        rows = list(session.execute(session.prepare(f'SELECT b, n FROM {KEYSPACE}.{table} WHERE a = ?'), (keys[0],)))
        assert len(rows) == len(keys), (cql, rows)


def test_literals(session):
    """Values that the driver writes into the statement's text."""
    fresh(session, 'literals', 'k int PRIMARY KEY, t text, u uuid, b blob, l list<text>, s set<int>, m map<text, double>, d timestamp, '
          'x boolean, f double, e decimal')
    values = (1, "it's", uuid.uuid4(), b'\x00\xff', ['a', "b'c"], {1, 2}, {'x': 1.5}, datetime(2026, 11, 27, 1, 2, 3), True, 1.25,
              Decimal('3.14'))
    session.execute(f'INSERT INTO {KEYSPACE}.literals (k, t, u, b, l, s, m, d, x, f, e) VALUES '
                    '(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)', values)
    row = session.execute(f'SELECT k, t, u, b, l, s, m, d, x, f, e FROM {KEYSPACE}.literals WHERE k = %s', (1,)).one()
    assert tuple(plain(v) for v in row) == values, row


def test_udt(session):
    session.execute(f'DROP TABLE IF EXISTS {KEYSPACE}.people')
    session.execute(f'DROP TYPE IF EXISTS {KEYSPACE}.address')
    session.execute(f'CREATE TYPE {KEYSPACE}.address (street text, zip int)')
    session.execute(f'CREATE TABLE {KEYSPACE}.people (id int PRIMARY KEY, home address, others list<frozen<address>>)')

    class Address:
        def __init__(self, street, zip):
            self.street, self.zip = street, zip

        def __eq__(self, other):
            return (self.street, self.zip) == (other.street, other.zip)

    session.cluster.register_user_type(KEYSPACE, 'address', Address)
    insert = session.prepare(f'INSERT INTO {KEYSPACE}.people (id, home, others) VALUES (?, ?, ?)')
    session.execute(insert, (1, Address('Main', 8000), [Address('Side', 1), Address(None, 2)]))
    row = session.execute(f'SELECT * FROM {KEYSPACE}.people WHERE id = 1').one()
    assert row.home == Address('Main', 8000) and row.others == [Address('Side', 1), Address(None, 2)], row
    session.execute(f"UPDATE {KEYSPACE}.people SET home.zip = 9000 WHERE id = 1")
    assert session.execute(f'SELECT home.zip FROM {KEYSPACE}.people WHERE id = 1').one()[0] == 9000


def test_paging(session):
    """100,000 rows of one partition and of many, in pages of 5,000, 1,000 and, for a part of them, 7."""
    rows = int(os.environ.get('DRIVER_TEST_ROWS', '100000'))
    fresh(session, 'pages', 'p int, c int, v text, PRIMARY KEY (p, c)')
    insert = session.prepare(f'INSERT INTO {KEYSPACE}.pages (p, c, v) VALUES (?, ?, ?)')
    args = [(0 if n % 2 else n, n, f'value {n}') for n in range(rows)]
    for result in execute_concurrent_with_args(session, insert, args, concurrency=200):
        assert result.success, result
    for fetch_size in (5000, 1000):
        seen = set()
        for row in session.execute(SimpleStatement(f'SELECT c FROM {KEYSPACE}.pages', fetch_size=fetch_size)):
            assert row.c not in seen
            seen.add(row.c)
        assert len(seen) == rows, (fetch_size, len(seen))
    order = [row.c for row in session.execute(SimpleStatement(f'SELECT c FROM {KEYSPACE}.pages WHERE p = 0 ORDER BY c DESC',
                                                              fetch_size=997))]
    assert order == sorted((c for p, c, _ in args if p == 0), reverse=True)
    few = [row.c for row in session.execute(SimpleStatement(f'SELECT c FROM {KEYSPACE}.pages WHERE p = 0 LIMIT 100', fetch_size=7))]
    assert few == [c for p, c, _ in args if p == 0][:100], few
    # The state goes on at another coordinator.
    first = session.execute(SimpleStatement(f'SELECT c FROM {KEYSPACE}.pages WHERE p = 0', fetch_size=10))
    state, got = first.paging_state, [row.c for row in first.current_rows]
    other, session2 = connect()
    second = session2.execute(SimpleStatement(f'SELECT c FROM {KEYSPACE}.pages WHERE p = 0', fetch_size=10), paging_state=state)
    assert got + [row.c for row in second.current_rows] == [c for p, c, _ in args if p == 0][:20]
    other.shutdown()


def test_batches(session):
    fresh(session, 'batches', 'p int, c int, v int, PRIMARY KEY (p, c)')
    insert = session.prepare(f'INSERT INTO {KEYSPACE}.batches (p, c, v) VALUES (?, ?, ?)')
    for kind in (BatchType.LOGGED, BatchType.UNLOGGED):
        batch = BatchStatement(batch_type=kind)
        for c in range(20):
            batch.add(insert, (kind.value, c, c))
        batch.add(SimpleStatement(f'DELETE FROM {KEYSPACE}.batches WHERE p = %s AND c = 100'), (kind.value,))
        session.execute(batch)
        assert len(list(session.execute(f'SELECT * FROM {KEYSPACE}.batches WHERE p = {kind.value}'))) == 20
    session.execute(f'BEGIN BATCH INSERT INTO {KEYSPACE}.batches (p, c, v) VALUES (9, 1, 1); UPDATE {KEYSPACE}.batches SET v = 2 '
                    'WHERE p = 10 AND c = 1; APPLY BATCH')
    assert len(list(session.execute(f'SELECT * FROM {KEYSPACE}.batches WHERE p IN (9, 10)'))) == 2


def test_async(session):
    """1,000 requests in flight."""
    fresh(session, 'async', 'k int PRIMARY KEY, v int')
    insert = session.prepare(f'INSERT INTO {KEYSPACE}.async (k, v) VALUES (?, ?)')
    futures = [session.execute_async(insert, (k, k * k)) for k in range(1000)]
    for future in futures:
        future.result()
    select = session.prepare(f'SELECT v FROM {KEYSPACE}.async WHERE k = ?')
    futures = [session.execute_async(select, (k,)) for k in range(1000)]
    for k, future in enumerate(futures):
        assert future.result().one().v == k * k


def test_consistency(session):
    fresh(session, 'levels', 'k int PRIMARY KEY, v int')
    for level in (ConsistencyLevel.ONE, ConsistencyLevel.QUORUM, ConsistencyLevel.ALL, ConsistencyLevel.LOCAL_ONE,
                  ConsistencyLevel.LOCAL_QUORUM, ConsistencyLevel.EACH_QUORUM):
        session.execute(SimpleStatement(f'INSERT INTO {KEYSPACE}.levels (k, v) VALUES ({level}, 1)', consistency_level=level))
        if level != ConsistencyLevel.EACH_QUORUM:
            statement = SimpleStatement(f'SELECT v FROM {KEYSPACE}.levels WHERE k = {level}', consistency_level=level)
            assert session.execute(statement).one().v == 1
    try:
        session.execute(SimpleStatement(f'SELECT v FROM {KEYSPACE}.levels WHERE k = 1', consistency_level=ConsistencyLevel.THREE),
                        timeout=PATIENCE)
        assert False, 'THREE at replication factor 1'
    except (Unavailable, NoHostAvailable) as error:
        error = error if isinstance(error, Unavailable) else list(error.errors.values())[0]
        assert error.required_replicas == 3, error


def test_conditions(session):
    fresh(session, 'conditions', 'k int PRIMARY KEY, v int')
    assert session.execute(f'INSERT INTO {KEYSPACE}.conditions (k, v) VALUES (1, 1) IF NOT EXISTS').was_applied
    result = session.execute(f'INSERT INTO {KEYSPACE}.conditions (k, v) VALUES (1, 2) IF NOT EXISTS')
    assert not result.was_applied and result.one().v == 1
    assert session.execute(f'UPDATE {KEYSPACE}.conditions SET v = 3 WHERE k = 1 IF v = 1').was_applied
    assert not session.execute(f'UPDATE {KEYSPACE}.conditions SET v = 4 WHERE k = 1 IF v = 1').was_applied
    assert not session.execute(f'UPDATE {KEYSPACE}.conditions SET v = 4 WHERE k = 2 IF EXISTS').was_applied
    assert session.execute(f'DELETE FROM {KEYSPACE}.conditions WHERE k = 1 IF v = 3').was_applied


def test_errors(session):
    for query, kind in ((f'SELEC * FROM {KEYSPACE}.x', SyntaxException), (f'SELECT * FROM {KEYSPACE}.no_such_table', InvalidRequest),
                        (f'CREATE KEYSPACE {KEYSPACE} WITH replication = {{\'class\': \'SimpleStrategy\', \'replication_factor\': 1}}',
                         AlreadyExists)):
        try:
            session.execute(query)
        except kind:
            continue
        assert False, query
    fresh(session, 'unprepared', 'k int PRIMARY KEY, v int')
    select = session.prepare(f'SELECT * FROM {KEYSPACE}.unprepared WHERE k = ?')
    session.execute(f'ALTER TABLE {KEYSPACE}.unprepared ADD w text')
    session.execute(f"INSERT INTO {KEYSPACE}.unprepared (k, v, w) VALUES (1, 2, 'three')")
    row = session.execute(select, (1,)).one()
    assert row.k == 1 and row.v == 2, row


def test_metadata(session):
    """What the driver reads of the schema, and that all nodes agree on it."""
    session.execute(f'DROP TABLE IF EXISTS {KEYSPACE}.meta')
    session.execute(f"CREATE TABLE {KEYSPACE}.meta (a int, b text, c timestamp, s set<text> static, v map<text, frozen<list<int>>>, "
                    f"PRIMARY KEY ((a, b), c)) WITH CLUSTERING ORDER BY (c DESC) AND comment = 'a table' AND gc_grace_seconds = 100")
    session.execute(f'CREATE INDEX ON {KEYSPACE}.meta (v)')
    assert session.cluster.control_connection.wait_for_schema_agreement(wait_time=PATIENCE)
    session.cluster.refresh_schema_metadata()
    table = session.cluster.metadata.keyspaces[KEYSPACE].tables['meta']
    assert [c.name for c in table.partition_key] == ['a', 'b'] and [c.name for c in table.clustering_key] == ['c']
    assert table.columns['v'].cql_type == 'map<text, frozen<list<int>>>' and table.columns['s'].is_static
    assert table.columns['c'].is_reversed and table.options['comment'] == 'a table' and table.options['gc_grace_seconds'] == 100
    assert list(table.indexes) == ['meta_v_idx'], table.indexes
    assert 'CREATE TABLE' in table.export_as_string()
    assert len(session.cluster.metadata.token_map.ring) >= 1
    assert session.cluster.metadata.partitioner.endswith('Murmur3Partitioner')
    for host in session.cluster.metadata.all_hosts():
        assert host.release_version and host.datacenter and host.rack and host.host_id, host


def test_schema_events(session):
    """A change made elsewhere is told to those who registered."""
    other, session2 = connect()
    session2.execute(f'DROP TABLE IF EXISTS {KEYSPACE}.told')
    session2.execute(f'CREATE TABLE {KEYSPACE}.told (k int PRIMARY KEY)')
    until = time.time() + PATIENCE
    while 'told' not in session.cluster.metadata.keyspaces[KEYSPACE].tables and time.time() < until:
        time.sleep(0.1)
    assert 'told' in session.cluster.metadata.keyspaces[KEYSPACE].tables
    other.shutdown()


def test_tracing(session):
    fresh(session, 'traced', 'k int PRIMARY KEY, v int')
    result = session.execute(f'INSERT INTO {KEYSPACE}.traced (k, v) VALUES (1, 1)', trace=True)
    trace = result.get_query_trace(max_wait_sec=PATIENCE)
    assert trace.coordinator and trace.duration is not None and trace.events, trace


def test_token_aware(session):
    """The driver sends a prepared statement to a replica itself: the trace's coordinator is one of its replicas."""
    fresh(session, 'routed', 'k int PRIMARY KEY, v int')
    select = session.prepare(f'SELECT v FROM {KEYSPACE}.routed WHERE k = ?')
    assert select.routing_key_indexes == [0]
    for k in range(5):
        bound = select.bind((k,))
        replicas = {str(h.address) for h in session.cluster.metadata.get_replicas(KEYSPACE, bound.routing_key)}
        trace = session.execute(bound, trace=True).get_query_trace(max_wait_sec=PATIENCE)
        assert str(trace.coordinator) in replicas, (trace.coordinator, replicas)


def test_versions(session):
    fresh(session, 'versions', 'k int PRIMARY KEY, v list<int>')
    for version in (3, 4, 5):
        cluster, s = connect(protocol_version=version)
        insert = s.prepare(f'INSERT INTO {KEYSPACE}.versions (k, v) VALUES (?, ?)')
        s.execute(insert, (version, [version, version]))
        assert s.execute(f'SELECT v FROM {KEYSPACE}.versions WHERE k = {version}').one().v == [version, version]
        cluster.shutdown()


def test_compression(session):
    fresh(session, 'compressed', 'k int PRIMARY KEY, v text')
    text = 'all work and no play ' * 20000
    for version in (4, 5):
        cluster, s = connect(protocol_version=version, compression='lz4')
        s.execute(s.prepare(f'INSERT INTO {KEYSPACE}.compressed (k, v) VALUES (?, ?)'), (version, text))
        assert s.execute(f'SELECT v FROM {KEYSPACE}.compressed WHERE k = {version}').one().v == text
        cluster.shutdown()


def test_json_and_functions(session):
    fresh(session, 'functions', 'k int PRIMARY KEY, v text, m map<text, int>, t timeuuid')
    session.execute(f"""INSERT INTO {KEYSPACE}.functions JSON '{{"k": 1, "v": "a", "m": {{"x": 1}}}}'""")
    assert session.execute(f'SELECT JSON k, v, m FROM {KEYSPACE}.functions WHERE k = 1').one()[0] == '{"k": 1, "v": "a", "m": {"x": 1}}'
    session.execute(f'UPDATE {KEYSPACE}.functions USING TTL 100000 SET t = now() WHERE k = 1')
    row = session.execute(f'SELECT count(*), max(k) FROM {KEYSPACE}.functions').one()
    assert row[0] == 1 and row[1] == 1
    row = session.execute(f'SELECT ttl(t) AS ttl, writetime(v) AS w, toTimestamp(t) AS at, token(k) AS tk FROM {KEYSPACE}.functions').one()
    assert 99000 <= row.ttl <= 100000 and row.w > 1.7e15 and isinstance(row.at, datetime) and row.tk == -4069959284402364209


def test_row_factories(session):
    fresh(session, 'factories', 'k int PRIMARY KEY, "Mixed Name" text')
    session.execute(f"""INSERT INTO {KEYSPACE}.factories (k, "Mixed Name") VALUES (1, 'x')""")
    for factory, expected in ((dict_factory, {'k': 1, 'Mixed Name': 'x'}), (tuple_factory, (1, 'x'))):
        cluster, s = connect(execution_profiles={EXEC_PROFILE_DEFAULT: ExecutionProfile(row_factory=factory, request_timeout=PATIENCE)})
        assert s.execute(f'SELECT * FROM {KEYSPACE}.factories').one() == expected
        cluster.shutdown()


def test_node_down_and_up(session):
    """Writes and reads at QUORUM go on while a node is killed and comes back; nothing that was acknowledged is lost."""
    control = os.environ.get('RINGLET_CLUSTER')
    if not control or len(session.cluster.metadata.all_hosts()) < 3:
        return 'skipped: no cluster to control'
    session.execute("CREATE KEYSPACE IF NOT EXISTS driver_test_3 WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 3}")
    session.execute('DROP TABLE IF EXISTS driver_test_3.load')
    session.execute('CREATE TABLE driver_test_3.load (k int PRIMARY KEY, v int)')
    insert = session.prepare('INSERT INTO driver_test_3.load (k, v) VALUES (?, ?)')
    insert.consistency_level = ConsistencyLevel.QUORUM
    insert.is_idempotent = True
    stop, written, failed = threading.Event(), [], []

    def write():
        k = 0
        while not stop.is_set():
            try:
                session.execute(insert, (k, k))
                written.append(k)
            except Exception as error:  # noqa: any failure counts
                failed.append(error)
            k += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        time.sleep(1)
        subprocess.run(control.format('kill 3').split(), check=True, capture_output=True)
        time.sleep(4)
        subprocess.run(control.format('start 3').split(), check=True, capture_output=True)
        until = time.time() + PATIENCE
        while time.time() < until and not all(h.is_up for h in session.cluster.metadata.all_hosts()):
            time.sleep(0.2)
        time.sleep(1)
    finally:
        stop.set()
        writer.join()
    assert len(failed) <= max(5, len(written) // 100), (len(failed), len(written), failed[:3])
    assert all(h.is_up for h in session.cluster.metadata.all_hosts()), session.cluster.metadata.all_hosts()
    select = session.prepare('SELECT v FROM driver_test_3.load WHERE k = ?')
    select.consistency_level = ConsistencyLevel.QUORUM
    for ok, result in execute_concurrent_with_args(session, select, [(k,) for k in written], concurrency=100):
        assert ok and result.one() is not None


def main():
    names = sys.argv[1:] or [name for name in globals() if name.startswith('test_')]
    cluster, session = connect()
    make_keyspace(session)
    failures = 0
    for name in names:
        start = time.time()
        try:
            outcome = globals()[name](session) or 'passed'
        except Exception as error:  # noqa: a test's failure is a line, and the next test runs
            failures += 1
            outcome = f'FAILED: {type(error).__name__}: {error}'[:800]
        print(f'{name}: {outcome} ({time.time() - start:.1f} s)', flush=True)
    cluster.shutdown()
    return 1 if failures else 0


if __name__ == '__main__':
    sys.exit(main())
