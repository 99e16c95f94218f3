from cassandra.cluster import Cluster
from uuid import uuid4
cluster = Cluster(['127.0.0.1'])
session = cluster.connect()
session.execute("""CREATE KEYSPACE IF NOT EXISTS demo
WITH REPLICATION = { 'class': 'SimpleStrategy', 'replication_factor': 1 }""")
session.set_keyspace('demo')
session.execute("CREATE TABLE IF NOT EXISTS users (user_id UUID PRIMARY KEY, name TEXT, email TEXT)")
session.execute("INSERT INTO users (user_id, name, email) VALUES (%s, %s, %s)", (uuid4(), 'Alice', 'alice@example.com'))
for row in session.execute('SELECT * FROM users'):
    print(f"User: {row.name}, Email: {row.email}")
cluster.shutdown()
