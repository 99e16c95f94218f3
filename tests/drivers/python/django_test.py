"""django-cassandra-engine 1.10 (Django 4.2, scylla-driver) against Ringlet: the models of an application, through Django's settings, the
sync_cassandra command, cqlengine's queries, and raw CQL through the connection.

    django_test.py               a node (or cluster) listens for CQL on 127.0.0.1:9042

Breaks without it: the statements that cqlengine writes, which no driver's own test sends."""
import json
import os
import sys
import time
import uuid
from datetime import datetime, timedelta

import django
from django.conf import settings

LEVELS = ('LOCAL_ONE', 'LOCAL_QUORUM')
KEYSPACE = f'django_{uuid.uuid4().hex[:12]}'


def configure(level):
    from cassandra import ConsistencyLevel
    settings.configure(
        DATABASES={'default': {
            'ENGINE': 'django_cassandra_engine', 'NAME': KEYSPACE, 'HOST': os.environ.get('CASS_HOSTS', '127.0.0.1'),
            'USER': os.environ.get('CASS_USER', ''), 'PASSWORD': os.environ.get('CASS_PASSWORD', ''),
            'OPTIONS': {
                'replication': {'strategy_class': 'SimpleStrategy', 'replication_factor': 1},
                'connection': {'consistency': getattr(ConsistencyLevel, level), 'retry_connect': True, 'connect_timeout': 180,
                               'control_connection_timeout': 180, 'max_schema_agreement_wait': 180},
                'session': {'default_timeout': 180, 'default_fetch_size': 1000},
            }}},
        INSTALLED_APPS=['django_cassandra_engine', 'activity'], SECRET_KEY='x', USE_TZ=False, CASSANDRA_FALLBACK_ORDER_BY_PYTHON=False)


def check(condition, what):
    if not condition:
        raise AssertionError(what)


def run(level):
    configure(level)
    django.setup()
    from django.core.management import call_command
    from django.db import connection
    from cassandra.cqlengine.query import BatchQuery
    from activity.models import ReadingProgress, StudentSession, UserActivity

    call_command('sync_cassandra', verbosity=0, stdout=open(os.devnull, "w"))
    call_command('sync_cassandra', verbosity=0, stdout=open(os.devnull, "w"))  # again, with nothing to do

    user, now = uuid.uuid4(), datetime(2026, 11, 27, 12, 0, 0)
    for minute in range(10):
        UserActivity.objects.create(user_id=user, at=now + timedelta(minutes=minute), activity_type='read',
                                    metadata={'page': str(minute), 'device': 'phone'})
    with BatchQuery() as batch:
        for minute in range(10, 15):
            UserActivity.objects.batch(batch).create(user_id=user, at=now + timedelta(minutes=minute), activity_type='quiz',
                                                     metadata={'score': '7'})
    latest = list(UserActivity.objects.filter(user_id=user).order_by('-at')[:5])
    check([a.at.minute for a in latest] == [14, 13, 12, 11, 10], [a.at for a in latest])
    check(all(a.activity_type == 'quiz' and a.metadata == {'score': '7'} for a in latest), latest)
    some = list(UserActivity.objects.filter(user_id=user, at__gte=now + timedelta(minutes=3), at__lt=now + timedelta(minutes=6)))
    check([a.at.minute for a in some] == [5, 4, 3], some)
    check(UserActivity.objects.filter(user_id=user).count() == 15, 'count')
    one = UserActivity.objects.get(user_id=user, at=now)
    check(one.metadata == {'page': '0', 'device': 'phone'}, one.metadata)
    one.metadata['page'] = '100'
    one.metadata['extra'] = 'new'
    one.save()
    check(UserActivity.objects.get(user_id=user, at=now).metadata == {'page': '100', 'extra': 'new', 'device': 'phone'}, 'map update')
    one.delete()
    check(UserActivity.objects.filter(user_id=user).count() == 14, 'delete')

    progress = ReadingProgress.objects.create(user_id=user, book_id='b1', chapters=[{'title': 'One', 'done': 'yes'}, {'title': 'Two'}],
                                              pages={'One': 10}, nested={'a': {'x': '1'}})
    progress.pages['Two'] = 20
    progress.chapters.append({'title': 'Three'})
    progress.nested['b'] = {'y': '2'}
    progress.save()
    again = ReadingProgress.objects.get(user_id=user, book_id='b1')
    check(again.pages == {'One': 10, 'Two': 20}, again.pages)
    check([c['title'] for c in again.chapters] == ['One', 'Two', 'Three'], again.chapters)
    check(again.nested == {'a': {'x': '1'}, 'b': {'y': '2'}}, again.nested)
    ReadingProgress.objects.filter(user_id=user, book_id='b1').update(pages__update={'Three': 30})
    check(ReadingProgress.objects.get(user_id=user, book_id='b1').pages == {'One': 10, 'Two': 20, 'Three': 30}, 'map__update')

    student = uuid.uuid4()
    for number in range(6):
        StudentSession.objects.create(school='s', student=student, started=now + timedelta(hours=number),
                                      state='open' if number % 2 else 'closed', document=json.dumps({'n': number, 'text': "it's"}))
    found = list(StudentSession.objects.filter(school='s', student=student))
    check([json.loads(s.document)['n'] for s in found] == [5, 4, 3, 2, 1, 0], found)
    until = time.time() + 180
    while time.time() < until:
        indexed = list(StudentSession.objects.filter(state='open'))
        if len(indexed) == 3:
            break
        time.sleep(0.2)  # an index that is still being built
    check(sorted(json.loads(s.document)['n'] for s in indexed) == [1, 3, 5], indexed)
    session = indexed[0]
    session.state = 'archived'
    session.save()
    check(len(list(StudentSession.objects.filter(state='open'))) == 2, 'index after an update')

    cursor = connection.cursor()
    row = list(cursor.execute('SELECT count(*) FROM user_activity WHERE user_id = %s', [user]))[0]
    check(row['count'] == 14, row)
    cursor.execute('INSERT INTO user_activity (user_id, timestamp, activity_type) VALUES (%s, %s, %s)', [user, now, 'raw'])
    row = list(cursor.execute('SELECT activity_type FROM user_activity WHERE user_id = %s AND timestamp = %s', [user, now]))[0]
    check(row['activity_type'] == 'raw', row)
    for model in (UserActivity, ReadingProgress, StudentSession):
        model.objects.all().count()
    cursor.execute('TRUNCATE user_activity')
    check(UserActivity.objects.filter(user_id=user).count() == 0, 'truncate')
    cursor.execute(f'DROP KEYSPACE {KEYSPACE}')


def main():
    if len(sys.argv) == 2:  # one level: Django is configured once a process
        try:
            run(sys.argv[1])
        except Exception as error:
            if os.environ.get('VERBOSE'):
                raise
            print(f'django {sys.argv[1]}: FAILED: {type(error).__name__}: {error}'[:800])
            return 1
        print(f'django {sys.argv[1]}: passed')
        return 0
    import subprocess
    return max(subprocess.run([sys.executable, __file__, level]).returncode for level in LEVELS)


if __name__ == '__main__':
    sys.exit(main())
