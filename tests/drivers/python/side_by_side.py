"""Random statements to two servers, and where their answers differ.

    side_by_side.py REFERENCE HOST [SEED [STATEMENTS [FETCH_SIZE]]]

REFERENCE is Apache Cassandra's address, HOST a node's. Both get the same tables, indexes and rows, then the same SELECTs (or, with an odd seed,
UPDATEs and DELETEs between them): rows must be the same and in the same order, of an error the text. Not a test: of several faults in one tuple
relation Cassandra names one by its hash tables, and some GROUP BYs fail there. What it finds goes into tests/unit/cql, with Cassandra's answer."""
import random
import re
import sys

from cassandra.cluster import Cluster

TABLES = ["CREATE TABLE r (k int, a int, b int, d text, v int, w text, s int static, m map<text, int>, e set<int>, l list<int>, PRIMARY KEY (k, a, b, d)) "
          "WITH CLUSTERING ORDER BY (a DESC, b ASC, d DESC)",
          "CREATE TABLE c (x int, y text, a int, v int, PRIMARY KEY ((x, y), a))"]
INDEXES = ["r (v)", "r (b)", "r (s)", "r (e)", "r (KEYS(m))", "c (y)"]


class Statements:
    def __init__(self, seed):
        self.rnd = random.Random(seed)

    def value(self, column):
        if column in 'dy':
            return f"'{self.rnd.choice('xyzab')}'"
        return f"'{self.rnd.choice('pq')}'" if column == 'w' else str(self.rnd.randrange(-1, 4))

    def alternatives(self, column, least=0):
        return ', '.join(self.value(column) for _ in range(self.rnd.randrange(least, 4)))

    def tuple_relation(self):
        columns = self.rnd.choice(['ab', 'abd', 'bd', 'a', 'd', 'b'])
        one = lambda: '(' + ', '.join(map(self.value, columns)) + ')'  # noqa
        op = self.rnd.choice(['>', '>=', '<', '<=', '=', 'IN'])
        right = '(' + ', '.join(one() for _ in range(self.rnd.randrange(1, 4))) + ')' if op == 'IN' else one()
        return f"({', '.join(columns)}) {op} {right}"

    def relation(self, columns):
        chance, column = self.rnd.random(), self.rnd.choice(columns)
        key = 'k' if 'k' in columns else 'xy'
        if chance < .12 and 'k' in columns:
            return self.tuple_relation()
        if chance < .2:
            token = f"token({', '.join(map(self.value, key))})" if self.rnd.random() < .5 else self.rnd.randrange(-2**63, 2**63)
            return f"token({', '.join(key)}) {self.rnd.choice(['>', '>=', '<', '<=', '='])} {token}"
        if column == 'm':
            return self.rnd.choice(["m CONTAINS 1", "m CONTAINS KEY 'x'", "m['y'] = 1"])
        if column == 'e':
            return f"e CONTAINS {self.value('a')}"
        op = self.rnd.choice(['=', '=', '=', '=', '>', '>=', '<', '<=', 'IN'])
        return f"{column} IN ({self.alternatives(column)})" if op == 'IN' else f"{column} {op} {self.value(column)}"

    def where(self, wide, key_chance, others):
        rnd, relations = self.rnd, []
        equal = lambda c: f"{c} = {self.value(c)}" if rnd.random() < .8 else f"{c} IN ({self.alternatives(c, 1)})"  # noqa
        if rnd.random() < key_chance:
            relations += map(equal, 'k' if wide else 'xy')
        if rnd.random() < .5:
            clustering = 'abd' if wide else 'a'
            relations += map(equal, clustering[:rnd.randrange(1, len(clustering) + 1)])
        if rnd.random() < others:
            relations += [self.relation('kkkaaabbdvwsme' if wide else 'xxyyav') for _ in range(rnd.randrange(1, 3))]
        rnd.shuffle(relations)
        return ' WHERE ' + ' AND '.join(relations) if relations else ''

    def computed(self):
        """What selectors of the wide table compute."""
        rnd = self.rnd
        one = lambda: rnd.choice(['v', 'a', 'b', 's', 'k', '1', '2', 'v + a', 'm[\'y\']'])  # noqa
        texts = [f"{one()} {rnd.choice('+-*/%')} {one()}", f"to_json({rnd.choice('kvwmels')})", "m['x'..'y']", "e[0..2]", "m['y']", "e[1]",
                 "collection_count(m), collection_max(e)", "cast(v AS text), cast(a AS double)", "abs(v), -a", "(k, a)", "[a, b]", "{a, b}",
                 "writetime(w) + 0 * v", f"{rnd.choice(['max', 'min', 'sum', 'avg', 'count'])}({rnd.choice(['v', 'a', 'v + b', 'w', 's'])})"]
        return ', '.join(rnd.sample(texts[:-2], 2)) if rnd.random() < .7 else texts[-1]

    def select(self):
        rnd, wide = self.rnd, self.rnd.random() < .8
        columns = 'k, a, b, d, v, w, s' if wide else 'x, y, a, v'
        if wide and rnd.random() < .25:
            text = f"SELECT {rnd.choice(['', '', 'JSON '])}{self.computed()} FROM r{self.where(True, .8, .3)}"
            if rnd.random() < .3:
                text += ' GROUP BY ' + ', '.join(rnd.choice(['k', 'ka', 'kab', 'kabd']))
            return text + rnd.choice(['', f" LIMIT {rnd.randrange(1, 8)}"]) + rnd.choice(['', ' ALLOW FILTERING'])
        what = rnd.choice([columns, columns, columns, '*', 'count(*)', 'JSON ' + columns, 'max(v), min(a), count(v)', 'DISTINCT ' + columns[:4],
                           's' if wide else 'v', 'k, a, count(*), sum(v)' if wide else 'x, y, sum(v)'])
        text = f"SELECT {what} FROM {'r' if wide else 'c'}{self.where(wide, .6, .6)}"
        if rnd.random() < .2:
            text += ' GROUP BY ' + ', '.join(rnd.choice(['k', 'ka', 'kab', 'a', 'kb', 'kabd'] if wide else ['xy', 'x', 'xya', 'y']))
        if rnd.random() < .25:
            order = rnd.choice(['a', 'ab', 'abd', 'b', 'd', 'v', 'ba'] if wide else ['a', 'v'])
            text += ' ORDER BY ' + ', '.join(f"{c} {rnd.choice(['ASC', 'DESC'])}" for c in order)
        text += rnd.choice(['', '', '', f" PER PARTITION LIMIT {rnd.randrange(1, 4)}"]) + rnd.choice(['', '', '', f" LIMIT {rnd.randrange(1, 8)}"])
        return text + rnd.choice(['', ' ALLOW FILTERING'])

    def row(self):
        return ' AND '.join(f"{c} = {self.value(c)}" for c in 'kabd')

    def condition(self):
        rnd = self.rnd
        one = lambda: rnd.choice([  # noqa
            f"v {rnd.choice(['=', '!=', '<', '<=', '>', '>='])} {rnd.choice([self.value('v'), 'null'])}", f"v IN ({self.alternatives('v')})",
            f"s = {self.value('s')}", f"m['x'] {rnd.choice(['=', '>', '!='])} {self.value('v')}", f"e CONTAINS {self.value('a')}",
            f"l[0] = {self.value('v')}", f"l = [{self.alternatives('v')}]", f"e = {{{self.alternatives('v')}}}", "m CONTAINS KEY 'q'"])
        return rnd.choice([' IF EXISTS', ' IF ' + one(), ' IF ' + one() + ' AND ' + one()])

    def change(self):
        """Of one row: its collections, JSON, conditions."""
        rnd, value = self.rnd, self.value
        if rnd.random() < .2:
            cells = [f'"{c}": ' + rnd.choice(['null', f'"{value(c)[1:-1]}"' if c == 'w' else f'{value(c)}']) for c in rnd.sample('vws', 2)]
            cells += [f'"e": [{self.alternatives("v")}]', f'"m": {{"x": {value("v")}}}'][:rnd.randrange(3)]
            return "INSERT INTO r JSON '{\"k\": %s, \"a\": %s, \"b\": %s, \"d\": \"x\", %s}'%s" % (
                value('k'), value('a'), value('b'), ', '.join(cells), rnd.choice(['', ' DEFAULT UNSET', ' IF NOT EXISTS']))
        where = f" WHERE {self.row()}" + (self.condition() if rnd.random() < .4 else '')
        if rnd.random() < .3:
            return f"DELETE {rnd.choice(['l[0]', 'l[1]', 'm[%s]' % value('d'), 'e[1], v', 'l', '', 'l[0], l[0]'])} FROM r{where}"
        return "UPDATE r SET " + rnd.choice([
            f"l = l + [{self.alternatives('v', 1)}]", f"l = [{self.alternatives('v', 1)}] + l", f"l = l - [{self.alternatives('v', 1)}]",
            f"l[0] = {value('v')}", "l[1] = null", f"l = [{self.alternatives('v')}]", f"e = e + {{{self.alternatives('v', 1)}}}",
            f"e -= {{{self.alternatives('v', 1)}}}", f"m[{value('d')}] = {value('v')}", "m = m - {'x'}", "m['y'] = null",
            f"v = {value('v')}, s = {value('s')}", f"v = {value('v')} + 1"]) + where

    def write(self):
        if self.rnd.random() < .6:
            return self.change()
        wide = self.rnd.random() < .8
        where = self.where(wide, .95, .3) or ' WHERE k = 1'
        if self.rnd.random() < .5:
            return f"DELETE {self.rnd.choice(['', '', 'v', 's', 'm', 'e'] if wide else ['', 'v'])} FROM {'r' if wide else 'c'}{where}"
        change = self.rnd.choice(['v = 5', 's = 3', 's = 2, v = 1', "m = m + {'q': 3}", 'e = e - {1}', 'w = null'] if wide else ['v = 7'])
        return f"UPDATE {'r' if wide else 'c'} SET {change}{where}"

    def insert(self):
        if self.rnd.random() < .2:
            return f"INSERT INTO c (x, y, a, v) VALUES ({', '.join(map(self.value, 'xyav'))})"
        if self.rnd.random() < .1:
            return f"INSERT INTO r (k, s) VALUES ({self.value('k')}, {self.value('s')})"
        return "INSERT INTO r (k, a, b, d, v, w, m, e) VALUES (%s, {'x': %s, 'y': 1}, {%s})" % (
            ', '.join(map(self.value, 'kabdvw')), self.value('a'), self.value('a'))


def plain(value):
    if hasattr(value, 'items'):
        return {plain(k): plain(v) for k, v in value.items()}
    return value if value is None or isinstance(value, (int, str)) else [plain(v) for v in value]


def answer(session, text):
    try:
        return [tuple(map(plain, row)) for row in session.execute(text)]
    except Exception as error:  # noqa: the error is the answer
        found = re.search(r'message="(.*)"', str(error), re.S)
        return 'error: ' + (found.group(1) if found else str(error))


def main():
    seed, count, fetch_size = [int(a) for a in sys.argv[3:6]] + [1, 500, 5000][len(sys.argv[3:6]):]
    clusters = [Cluster([host], connect_timeout=20) for host in sys.argv[1:3]]
    sessions = [cluster.connect() for cluster in clusters]
    statements = Statements(seed)
    for session in sessions:
        session.default_timeout, session.default_fetch_size = 60, fetch_size
        session.execute("DROP KEYSPACE IF EXISTS side_by_side")
        session.execute("CREATE KEYSPACE side_by_side WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}")
        session.set_keyspace('side_by_side')
        for text in TABLES + ([f"CREATE INDEX ON {index}" for index in INDEXES] if seed % 4 > 1 else []):
            session.execute(text)
    differ = ran = 0
    for i in range(count + 200):
        text = statements.insert() if i < 200 else statements.write() if seed % 2 and i % 3 == 0 else statements.select()
        reference, ours = [answer(session, text) for session in sessions]
        ran += not isinstance(reference, str)
        if reference != ours:
            differ += 1
            print(f'> {text}\n  reference: {str(reference)[:400]}\n  ours:      {str(ours)[:400]}')
    print(f'seed {seed}: {count + 200} statements, {ran} carried out, {differ} answered differently')
    for session, cluster in zip(sessions, clusters):
        session.execute("DROP KEYSPACE side_by_side")
        cluster.shutdown()
    return 0


if __name__ == '__main__':
    sys.exit(main() if len(sys.argv) > 2 else __doc__)
