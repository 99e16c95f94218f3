"""PasswordAuthenticator with a real driver, at a node of its own on 127.0.0.8.   auth_test.py RINGLET-PROGRAM FOLDER

Breaks without it: logging in, roles, and the end of the default password."""
import os
import subprocess
import sys
import time

from cassandra import InvalidRequest, Unauthorized
from cassandra.auth import PlainTextAuthProvider
from cassandra.cluster import Cluster, NoHostAvailable

HOST = '127.0.0.8'


def connect(user=None, password=None, **options):
    provider = PlainTextAuthProvider(user, password) if user else None
    cluster = Cluster([HOST], auth_provider=provider, connect_timeout=180, control_connection_timeout=180,
                      max_schema_agreement_wait=180, **options)
    try:
        session = cluster.connect()
        session.default_timeout = 180
        return cluster, session
    except Exception:
        cluster.shutdown()
        raise


def refused(user=None, password=None):
    try:
        cluster, _ = connect(user, password)
    except NoHostAvailable:
        return True
    cluster.shutdown()
    return False


def wait_for(port):
    import socket
    for _ in range(3600):
        try:
            socket.create_connection((HOST, port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise AssertionError('the node does not listen')


def run():
    assert refused(), 'without a password'
    assert refused('cassandra', 'wrong'), 'with a wrong one'
    cluster, session = connect('cassandra', 'cassandra')
    for _ in range(1800):  # a node makes its tables of roles once it serves
        if list(session.execute("SELECT table_name FROM system_schema.tables WHERE keyspace_name = 'system_auth' AND table_name = 'roles'")):
            break
        time.sleep(0.1)
    session.execute("CREATE ROLE alice WITH PASSWORD = 'wonderland' AND LOGIN = true")
    session.execute("CREATE ROLE nologin WITH PASSWORD = 'x'")
    roles = {row.role for row in session.execute('LIST ROLES')}
    assert {'cassandra', 'alice', 'nologin'} <= roles, roles
    row = session.execute("SELECT salted_hash, can_login, is_superuser FROM system_auth.roles WHERE role = 'alice'").one()
    assert row.salted_hash.startswith('$2') and row.can_login and not row.is_superuser, row
    assert refused('nologin', 'x'), 'a role that may not log in'
    for version in (3, 4, 5):
        alice, alices = connect('alice', 'wonderland', protocol_version=version)
        alices.execute('SELECT * FROM system.local')
        try:
            alices.execute("CREATE ROLE mallory WITH PASSWORD = 'x' AND LOGIN = true")
            raise AssertionError('a common role made a role')
        except Unauthorized:
            pass
        alice.shutdown()
    session.execute("ALTER ROLE cassandra WITH PASSWORD = 'changed'")
    time.sleep(2.5)  # roles_validity
    assert refused('cassandra', 'cassandra'), 'the default password after it was changed'
    again, _ = connect('cassandra', 'changed')
    again.shutdown()
    session.execute('DROP ROLE alice')
    time.sleep(2.5)
    assert refused('alice', 'wonderland'), 'a role that is gone'
    cluster.shutdown()


def main():
    program, folder = sys.argv[1:]
    port = os.environ.get('RINGLET_PORT', '7000')
    log = open(os.path.join(folder, 'auth.log'), 'w')
    node = subprocess.Popen([program, 'node', '--data', os.path.join(folder, 'auth'), '--listen', f'{HOST}:{port}', '--cql', f'{HOST}:9042',
                             '--authenticator=PasswordAuthenticator'], stdout=log, stderr=log)
    try:
        wait_for(9042)
        run()
        print('auth: passed')
        return 0
    except Exception as error:  # noqa
        print(f'auth: FAILED: {type(error).__name__}: {error}'[:800])
        return 1
    finally:
        node.terminate()
        node.wait(180)


if __name__ == '__main__':
    sys.exit(main())
