"""The models of an application: what its tables are."""
from cassandra.cqlengine import columns
from django_cassandra_engine.models import DjangoCassandraModel


class UserActivity(DjangoCassandraModel):
    user_id = columns.UUID(primary_key=True)
    # The column is called timestamp; cqlengine has a method of that name, and refuses the attribute.
    at = columns.DateTime(primary_key=True, clustering_order='DESC', db_field='timestamp')
    activity_type = columns.Text()
    metadata = columns.Map(columns.Text(), columns.Text())

    class Meta:
        app_label = 'activity'
        get_pk_field = 'user_id'


class ReadingProgress(DjangoCassandraModel):
    user_id = columns.UUID(primary_key=True)
    book_id = columns.Text(primary_key=True)
    chapters = columns.List(columns.Map(columns.Text(), columns.Text()))
    pages = columns.Map(columns.Text(), columns.Integer())
    nested = columns.Map(columns.Text(), columns.Map(columns.Text(), columns.Text()))

    class Meta:
        app_label = 'activity'
        get_pk_field = 'user_id'


class StudentSession(DjangoCassandraModel):
    school = columns.Text(primary_key=True, partition_key=True)
    student = columns.UUID(primary_key=True, partition_key=True)
    started = columns.DateTime(primary_key=True, clustering_order='DESC')
    state = columns.Text(index=True)
    document = columns.Text()

    class Meta:
        app_label = 'activity'
        get_pk_field = 'school'
