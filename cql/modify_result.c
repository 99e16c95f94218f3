/* The result of conditions: one column [applied], and, when it is false, what was found
 * (Cassandra's choice of columns):
 *
 *   IF [NOT] EXISTS   all columns of the table
 *   IF c = …          the columns of the conditions; in a batch the primary key before them
 *
 * A row for each row that the conditions looked at and that is there, static columns repeated. The
 * static row shows alone when no row is there, and only if the statement is about static columns.
 * Nothing found: [applied] alone. */
#include "cql/modify_private.h"

struct shown {
    struct cqli_run *run;
    const struct base_table *table;
    const struct base_column **columns;
    size_t count;
    bool statics;                 /* static columns are shown with their values */
    struct base_slice static_row; /* as it was found, or empty */
    struct base_slice *key;       /* values of the partition key */
    struct base_buf scratch;
};

static int no_memory(struct shown *s)
{
    return cqli_no_room(&s->run->exec->err, BASE_E_NOMEM);
}

static int damaged(struct shown *s)
{
    return base_err_set(&s->run->exec->err, BASE_E_CORRUPT, "what a condition found is damaged");
}

/* Which columns. */

static void show(struct shown *s, const struct base_column *column)
{
    for (size_t i = 0; i < s->count; i++)
        if (s->columns[i] == column)
            return;
    s->columns[s->count++] = column;
}

static int choose_columns(struct shown *s)
{
    const struct cqli_run *run = s->run;
    size_t keys = s->table->partition_key_count + s->table->clustering_count;
    bool all = false;
    s->columns =
        base_arena_alloc(run->exec->arena, (s->table->column_count + 1) * sizeof(*s->columns));
    if (!s->columns)
        return no_memory(s);
    for (size_t i = 0; i < run->item_count; i++) {
        const struct cqli_modify *m = run->items[i].m;
        all = all || m->if_kind == CQLI_IF_EXISTS || m->if_kind == CQLI_IF_NOT_EXISTS;
        s->statics = s->statics || (m->static_count && m->if_kind != CQLI_IF_COLUMNS);
        for (size_t j = 0; j < m->condition_count; j++)
            s->statics = s->statics || m->conditions[j].column->kind == BASE_COLUMN_STATIC;
    }
    for (size_t i = 0; i < (all ? s->table->column_count : run->is_batch ? keys : 0); i++)
        show(s, &s->table->columns[i]);
    for (size_t i = 0; i < run->item_count && !all; i++)
        for (size_t j = 0; j < run->items[i].m->condition_count; j++)
            show(s, run->items[i].m->conditions[j].column);
    return BASE_OK;
}

static int name_columns(struct shown *s, size_t shown_count)
{
    struct cql_result *result = &s->run->exec->result;
    struct cql_column_spec *specs =
        base_arena_alloc(s->run->exec->arena, (shown_count + 1) * sizeof *specs);
    if (!specs)
        return no_memory(s);
    specs[0] =
        (struct cql_column_spec){s->table->keyspace, s->table->name, BASE_SLICE_LIT("[applied]"),
                                 base_type_scalar(BASE_TYPE_BOOLEAN)};
    for (size_t i = 0; i < shown_count; i++)
        specs[i + 1] = (struct cql_column_spec){s->table->keyspace, s->table->name,
                                                s->columns[i]->name, s->columns[i]->type};
    result->kind = CQL_RESULT_ROWS;
    result->columns = specs;
    result->column_count = shown_count + 1;
    return BASE_OK;
}

/* Values. */

static int split_key(struct shown *s)
{
    struct base_err *err = &s->run->exec->err;
    size_t n = s->table->partition_key_count;
    struct base_buf pk;
    base_buf_init_in_arena(&pk, s->run->exec->arena, BASE_PKEY_LEN_MAX);
    s->key = base_arena_alloc(s->run->exec->arena, n * sizeof *s->key);
    if (!s->key)
        return no_memory(s);
    int rc = base_pkey_decode(s->run->mutations.first->pkey, &pk, err);
    return rc == BASE_OK ? base_pk_split(base_buf_view(&pk), s->key, n, err) : rc;
}

/* The clustering values of a row, by position. */
static int split_ckey(struct shown *s, struct base_slice ckey, struct base_slice row,
                      struct base_slice *values)
{
    const struct base_column *columns = s->table->columns + s->table->partition_key_count;
    struct base_reader in = base_reader(ckey);
    struct base_row head = {0};
    if (row.len && !base_row_decode(row, &head))
        return damaged(s);
    struct base_reader originals = base_reader(head.originals);
    for (size_t i = 0; i < s->table->clustering_count; i++) {
        struct base_buf value;
        bool empty;
        uint8_t position = 0;
        if (head.originals.len) {
            if (!base_get_bytes(&originals, &values[i]))
                return damaged(s);
            continue;
        }
        base_buf_init_in_arena(&value, s->run->exec->arena, BASE_CKEY_LEN_MAX);
        int rc = base_ckey_get(columns[i].type, columns[i].descending, &in, &value, &empty,
                               &position, &s->run->exec->err);
        if (rc != BASE_OK)
            return rc;
        if (position)
            return damaged(s);
        values[i] = base_buf_view(&value);
    }
    return BASE_OK;
}

static int put_bytes(struct shown *s, bool is_null, struct base_slice value)
{
    struct base_buf *out = &s->run->exec->result.rows;
    uint8_t head[4];
    base_put_be32(head, is_null ? UINT32_MAX : (uint32_t)value.len);
    int rc = base_buf_put(out, head, sizeof head);
    if (rc == BASE_OK && !is_null)
        rc = base_buf_put_slice(out, value);
    return rc == BASE_OK ? rc : cqli_no_room(&s->run->exec->err, rc);
}

static int put_column(struct shown *s, const struct base_column *column,
                      const struct base_slice *clustering, struct base_slice row)
{
    struct base_slice value = {0};
    bool is_null = true;
    int rc = BASE_OK;
    base_buf_reset(&s->scratch);
    switch (column->kind) {
    case BASE_COLUMN_PARTITION_KEY:
        return put_bytes(s, false, s->key[column->position]);
    case BASE_COLUMN_CLUSTERING:
        return put_bytes(s, !clustering, clustering ? clustering[column->position] : value);
    case BASE_COLUMN_STATIC:
        if (s->statics)
            rc = base_row_column(s->static_row, column->id, column->type, &s->scratch, &value,
                                 &is_null, &s->run->exec->err);
        break;
    case BASE_COLUMN_REGULAR:
        rc = base_row_column(row, column->id, column->type, &s->scratch, &value, &is_null,
                             &s->run->exec->err);
        break;
    }
    return rc == BASE_OK ? put_bytes(s, is_null, value) : rc;
}

/* ckey empty: the static row alone. */
static int put_row(struct shown *s, struct base_slice ckey, struct base_slice row)
{
    struct base_slice *clustering = NULL;
    static const uint8_t no;
    int rc = BASE_OK;
    if (ckey.len) {
        clustering = base_arena_alloc(s->run->exec->arena,
                                      (s->table->clustering_count + 1) * sizeof *clustering);
        rc = clustering ? split_ckey(s, ckey, row, clustering) : no_memory(s);
    }
    if (rc == BASE_OK)
        rc = put_bytes(s, false, base_slice(&no, 1));
    for (size_t i = 0; rc == BASE_OK && i < s->count; i++)
        rc = put_column(s, s->columns[i], clustering, row);
    s->run->exec->result.row_count += rc == BASE_OK;
    return rc;
}

/* Each row of `current` that is there; *any: one was. */
static int put_current(struct shown *s, struct base_slice current, bool *any)
{
    struct base_reader in = base_reader(current);
    struct base_slice ckey, row;
    uint64_t count;
    int rc = BASE_OK;
    if (current.len == 0)
        return BASE_OK;
    if (!base_get_varint(&in, &count))
        return damaged(s);
    for (uint64_t i = 0; rc == BASE_OK && i < count; i++) {
        if (!base_get_bytes(&in, &ckey) || !base_get_bytes(&in, &row))
            return damaged(s);
        if (ckey.len == 0) {
            s->static_row = row;
        } else if (row.len) {
            *any = true;
            rc = put_row(s, ckey, row);
        }
    }
    if (rc == BASE_OK && !*any && s->statics && s->static_row.len) {
        *any = true;
        rc = put_row(s, (struct base_slice){0}, (struct base_slice){0});
    }
    return rc;
}

int cqli_result_applied(struct cqli_run *run, bool applied, struct base_slice current)
{
    struct shown s = {.run = run, .table = run->mutations.first->table};
    uint8_t yes = applied;
    bool any = false;
    base_buf_init_in_arena(&s.scratch, run->exec->arena, CQLI_WRITE_LEN_MAX);
    int rc = applied ? BASE_OK : choose_columns(&s);
    if (rc == BASE_OK && !applied)
        rc = split_key(&s);
    if (rc == BASE_OK && !applied)
        rc = put_current(&s, current, &any);
    if (rc == BASE_OK)
        rc = name_columns(&s, any ? s.count : 0);
    if (rc == BASE_OK && !any) {
        rc = put_bytes(&s, false, base_slice(&yes, 1));
        run->exec->result.row_count = 1;
    }
    return rc;
}
