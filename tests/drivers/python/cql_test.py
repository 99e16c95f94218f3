"""The statements of ../cql/*.cql through the driver, and what comes, as text.

    cql_test.py record FILE.cql     write FILE.expected: what the server at $CASS_HOSTS answers (Apache Cassandra is the reference)
    cql_test.py differs FILE.cql    write FILE.differs: our answers where they are not the reference's; to be read, and kept if they are meant,
                                    with the reason in lines "-- …" before the statement
    cql_test.py [FILE.cql …]        compare with FILE.expected; where we differ on purpose FILE.differs has our answer

A line "-- fetch_size: N" in a .cql file has the answers behind it come in pages of N rows. Rows must be the same, in the same order; of an
error its kind, and its text but for positions in the statement. Breaks without it: the meaning of CQL that programs written for Cassandra
rely on."""
import difflib
import os
import re
import sys

from cassandra import AlreadyExists, ConsistencyLevel
from cassandra.cluster import Cluster, ExecutionProfile, EXEC_PROFILE_DEFAULT
from cassandra.policies import RoundRobinPolicy
from cassandra.query import tuple_factory
from cassandra.util import Date, Duration, OrderedMapSerializedKey, SortedSet, Time

HERE = os.path.dirname(os.path.abspath(__file__))


def statements(path):
    text, number = [], 0
    for line in open(path, encoding='utf-8'):
        if line.startswith('-- fetch_size: '):
            yield int(line.split()[2])
        if line.startswith('--') or not line.strip():
            continue
        text.append(line.rstrip('\n'))
        if line.rstrip().endswith(';'):
            yield '\n'.join(text)[:-1]
            text = []


def show(value):
    if isinstance(value, (SortedSet, set, frozenset)):
        return '{' + ', '.join(show(v) for v in value) + '}'
    if isinstance(value, (OrderedMapSerializedKey, dict)):
        return '{' + ', '.join(f'{show(k)}: {show(v)}' for k, v in value.items()) + '}'
    if isinstance(value, list):
        return '[' + ', '.join(show(v) for v in value) + ']'
    if isinstance(value, tuple):
        names = getattr(value, '_fields', None)
        items = [f'{n}={show(v)}' for n, v in zip(names, value)] if names else [show(v) for v in value]
        return '(' + ', '.join(items) + ')'
    if isinstance(value, bytes):
        return '0x' + value.hex()
    if isinstance(value, float):
        return f'{value:.6g}'
    if isinstance(value, (Date, Time, Duration)):
        return str(value)
    return repr(value)


def answer(session, statement):
    try:
        result = session.execute(statement)
    except AlreadyExists as error:
        return f'AlreadyExists {error.keyspace}.{error.table}'
    except Exception as error:  # noqa: the error is the answer
        text = str(error)
        found = re.search(r'code=([0-9a-f]+) \[(.*?)\] message="(.*)"', text, re.S)
        if not found:
            return f'{type(error).__name__}: {text}'
        code, _, message = found.groups()
        if code == '2000':  # where and what is wrong, in each parser's own words
            return 'error 2000'
        return f'error {code}: {message}'
    if result.column_names is None:
        return 'done'
    lines = [' | '.join(result.column_names)]
    lines += [' | '.join(show(v) for v in row) for row in result]
    return '\n'.join(lines)


def run(path):
    profile = ExecutionProfile(load_balancing_policy=RoundRobinPolicy(), row_factory=tuple_factory, request_timeout=180,
                               consistency_level=ConsistencyLevel.ONE)
    cluster = Cluster(os.environ.get('CASS_HOSTS', '127.0.0.1').split(',')[:1], execution_profiles={EXEC_PROFILE_DEFAULT: profile},
                      connect_timeout=180, control_connection_timeout=180, max_schema_agreement_wait=180)
    session = cluster.connect()
    session.execute('DROP KEYSPACE IF EXISTS lang')
    out = []
    for statement in statements(path):
        if isinstance(statement, int):
            session.default_fetch_size = statement
        else:
            out.append((statement, answer(session, statement)))
    cluster.shutdown()
    return out


def as_text(answers, reasons={}):
    return ''.join(f'{reasons.get(statement, "")}> {statement}\n{text}\n\n' for statement, text in answers)


def read_file(path):
    """{statement: [answer, …]} and {statement: its reason's lines}"""
    answers, reasons, reason = {}, {}, ''
    blocks = re.split(r'(?:^|\n\n)((?:-- .*\n)*)> ', open(path, encoding='utf-8').read()) if os.path.exists(path) else []
    for reason, block in zip(blocks[1::2], blocks[2::2]):
        statement, _, text = block.partition('\n')
        answers.setdefault(statement, []).append(text.rstrip('\n'))
        reasons[statement] = reasons.get(statement) or reason
    return answers, reasons


def read_answers(path):
    return read_file(path)[0]


def check(path):
    base = path.removesuffix('.cql')
    expected = read_answers(base + '.expected')
    ours = read_answers(base + '.differs')
    seen, wrong = {}, 0
    for statement, text in run(path):
        n = seen[statement] = seen.get(statement, -1) + 1
        wanted = ours.get(statement, expected.get(statement, []))
        wanted = wanted[n] if n < len(wanted) else '(nothing recorded)'
        if text.rstrip('\n') == wanted or wanted == '(any)':
            continue
        wrong += 1
        print(f'> {statement}')
        print('\n'.join(difflib.unified_diff(wanted.split('\n'), text.split('\n'), 'expected', 'answered', lineterm='')))
    print(f'cql {os.path.basename(path)}: {"passed" if not wrong else f"FAILED: {wrong} answers differ"} ({sum(seen.values()) + len(seen)} statements)')
    return wrong


def main():
    args = sys.argv[1:]
    folder = os.path.join(HERE, '..', 'cql')
    if args and args[0] == 'record':
        for path in args[1:]:
            open(path.removesuffix('.cql') + '.expected', 'w', encoding='utf-8').write(as_text(run(path)))
        return 0
    if args and args[0] == 'differs':
        for path in args[1:]:
            base = path.removesuffix('.cql')
            expected, got = read_answers(base + '.expected'), run(path)
            reasons = read_file(base + '.differs')[1]
            ours = {}
            for statement, text in got:
                ours.setdefault(statement, []).append(text.rstrip('\n'))
            out = [(statement, text) for statement, text in got if ours[statement] != expected[statement]]
            open(base + '.differs', 'w', encoding='utf-8').write(as_text(out, reasons))
        return 0
    paths = args or [os.path.join(folder, name) for name in sorted(os.listdir(folder)) if name.endswith('.cql')]
    return 1 if sum(check(path) for path in paths) else 0


if __name__ == '__main__':
    sys.exit(main())
