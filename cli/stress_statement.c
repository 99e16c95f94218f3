/* What `ringlet stress` sends: the default table and its two statements, or the user's table and
 * statements; prepared.
 *
 * 1. The default table is cassandra-stress's: keyspace1.standard1, a blob key and -col n blobs
 *    named C0 ….
 * 2. A marker of a user's statement is known by its name: a column's gets that column's value,
 *    [limit], [ttl] and [timestamp] theirs. */
#include "cli/statement.h"
#include "cli/stress_private.h"

#include <errno.h>
#include <strings.h>

static int run_text(struct cli_cql *cql, const char *text, struct base_err *err)
{
    struct base_arena arena;
    struct cli_cql_reply reply;
    base_arena_init(&arena);
    int rc = cli_cql_simple(cql, &arena, text, &reply, err);
    base_arena_fini(&arena);
    return rc;
}

static int make_default_table(const struct cli_stress_options *o, struct cli_cql *cql,
                              struct base_err *err)
{
    struct base_buf text;
    base_buf_init(&text, 1 << 20);
    int rc =
        o->replication
            ? base_buf_printf(&text, "CREATE KEYSPACE IF NOT EXISTS \"%s\" WITH replication = {%s}",
                              o->keyspace, o->replication)
            : base_buf_printf(&text,
                              "CREATE KEYSPACE IF NOT EXISTS \"%s\" WITH replication = {'class': "
                              "'SimpleStrategy', "
                              "'replication_factor': '%u'}",
                              o->keyspace, o->replication_factor);
    if (rc == BASE_OK)
        rc = base_buf_put_u8(&text, 0);
    if (rc == BASE_OK)
        rc = run_text(cql, (const char *)text.data, err);
    base_buf_reset(&text);
    if (rc == BASE_OK)
        rc =
            base_buf_printf(&text, "CREATE TABLE IF NOT EXISTS \"%s\".\"%s\" (key blob PRIMARY KEY",
                            o->keyspace, o->table);
    for (unsigned i = 0; rc == BASE_OK && i < o->columns; i++)
        rc = base_buf_printf(&text, ", \"C%u\" blob", i);
    if (rc == BASE_OK) /* as cassandra-stress makes it: no compression */
        rc = base_buf_put(&text, ") WITH compression = {'enabled': 'false'}", 42);
    if (rc == BASE_OK)
        rc = run_text(cql, (const char *)text.data, err);
    base_buf_fini(&text);
    return rc;
}

static int read_file(const char *path, struct base_buf *text, struct base_err *err)
{
    char piece[4096];
    size_t n;
    FILE *file = fopen(path, "re");
    if (!file)
        return base_err_set(err, BASE_E_NOTFOUND, "open %s: %s", path, strerror(errno));
    int rc = BASE_OK;
    while (rc == BASE_OK && (n = fread(piece, 1, sizeof piece, file)) > 0)
        rc = base_buf_put(text, piece, n);
    if (rc == BASE_OK && ferror(file))
        rc = base_err_set(err, BASE_E_IO, "read %s: %s", path, strerror(errno));
    else if (rc != BASE_OK)
        base_err_set(err, rc, "%s is too long", path);
    fclose(file);
    return rc;
}

static int run_slice(struct cli_cql *cql, const char *path, struct base_slice statement,
                     struct base_err *err)
{
    struct base_arena arena;
    base_arena_init(&arena);
    char *text = base_arena_strdup(&arena, statement);
    int rc = text ? run_text(cql, text, err) : base_err_set(err, BASE_E_NOMEM, "a statement");
    base_arena_fini(&arena);
    return rc == BASE_OK ? rc : base_err_wrap(err, rc, "%s", path);
}

/* A file of statements, apart by semicolons; the last may do without. */
static int run_schema_file(const char *path, struct cli_cql *cql, struct base_err *err)
{
    struct base_buf text;
    struct base_slice statement;
    enum cli_statement_step step = CLI_STATEMENT_NONE;
    base_buf_init(&text, 16 << 20);
    int rc = read_file(path, &text, err);
    struct base_slice rest = base_buf_view(&text);
    while (rc == BASE_OK && (step = cli_statement_next(&rest, &statement)) == CLI_STATEMENT_READY)
        rc = run_slice(cql, path, statement, err);
    if (rc == BASE_OK && step == CLI_STATEMENT_OPEN)
        rc = run_slice(cql, path, rest, err);
    base_buf_fini(&text);
    return rc;
}

/* The table's columns. */

enum { COLUMNS_MAX = 512 };
struct columns {
    struct {
        struct base_slice name;
        enum cli_stress_role role;
    } of[COLUMNS_MAX];
    size_t count;
};

static int load_columns(const struct cli_stress_options *o, struct cli_cql *cql,
                        struct base_arena *arena, struct columns *columns, struct base_err *err)
{
    char text[512];
    struct cli_cql_reply reply;
    struct cql_value cells[2];
    snprintf(text, sizeof text,
             "SELECT column_name, kind FROM system_schema.columns WHERE keyspace_name = '%s' AND "
             "table_name = '%s'",
             o->keyspace, o->table);
    int rc = cli_cql_simple(cql, arena, text, &reply, err);
    if (rc != BASE_OK)
        return rc;
    if (reply.result.row_count == 0 || reply.result.column_count != 2)
        return base_err_set(err, BASE_E_NOTFOUND, "there is no table %s.%s", o->keyspace, o->table);
    struct base_reader rows = base_reader(reply.result.rows);
    columns->count = 0;
    while (cql_next_row(&rows, cells, 2)) {
        if (columns->count == COLUMNS_MAX)
            return base_err_set(err, BASE_E_LIMIT, "%s.%s has more than %d columns", o->keyspace,
                                o->table, COLUMNS_MAX);
        enum cli_stress_role role =
            base_slice_equal(cells[1].bytes, BASE_SLICE_LIT("partition_key"))
                ? CLI_STRESS_PARTITION_KEY
            : base_slice_equal(cells[1].bytes, BASE_SLICE_LIT("clustering")) ? CLI_STRESS_CLUSTERING
                                                                             : CLI_STRESS_REGULAR;
        columns->of[columns->count].name = cells[0].bytes;
        columns->of[columns->count++].role = role;
    }
    return BASE_OK;
}

static const char *keep(struct cli_stress_workload *w, int rc, struct base_buf *text)
{
    char *kept = rc == BASE_OK ? base_arena_strdup(&w->arena, base_buf_view(text)) : NULL;
    base_buf_reset(text);
    return kept;
}

/* INSERT of every column of the table, and SELECT of every column by the whole partition key. */
static int default_statements(struct cli_stress_workload *w, const struct columns *columns,
                              const char **insert, const char **select, struct base_err *err)
{
    const struct cli_stress_options *o = w->options;
    struct base_buf text;
    base_buf_init(&text, 1 << 20);
    int rc = base_buf_printf(&text, "INSERT INTO \"%s\".\"%s\" (", o->keyspace, o->table);
    for (size_t i = 0; rc == BASE_OK && i < columns->count; i++)
        rc = base_buf_printf(&text, "%s\"%.*s\"", i ? ", " : "",
                             BASE_SLICE_ARG(columns->of[i].name));
    for (size_t i = 0; rc == BASE_OK && i < columns->count; i++)
        rc = base_buf_printf(&text, "%s?", i ? ", " : ") VALUES (");
    if (rc == BASE_OK)
        rc = base_buf_put_u8(&text, ')');
    *insert = keep(w, rc, &text);
    rc = base_buf_printf(&text, "SELECT * FROM \"%s\".\"%s\" WHERE", o->keyspace, o->table);
    bool first = true;
    for (size_t i = 0; rc == BASE_OK && i < columns->count; i++) {
        if (columns->of[i].role != CLI_STRESS_PARTITION_KEY)
            continue;
        rc = base_buf_printf(&text, "%s \"%.*s\" = ?", first ? "" : " AND",
                             BASE_SLICE_ARG(columns->of[i].name));
        first = false;
    }
    *select = keep(w, rc, &text);
    base_buf_fini(&text);
    return *insert && *select ? BASE_OK : base_err_set(err, BASE_E_NOMEM, "statements");
}

static void add(struct cli_stress_workload *w, const char *name, const char *text, unsigned weight)
{
    BASE_ASSERT(w->statement_count < CLI_STRESS_STATEMENTS_MAX);
    if (weight == 0)
        return;
    w->statements[w->statement_count++] =
        (struct cli_stress_statement){.name = name,
                                      .text = text,
                                      .weight = weight,
                                      .is_select = strncasecmp(text, "select", 6) == 0};
    w->weight_sum += weight;
}

static unsigned weight_of(const struct cli_stress_options *o, const char *name, unsigned otherwise)
{
    for (size_t i = 0; i < o->weight_count; i++)
        if (strcmp(o->weights[i].name, name) == 0)
            return o->weights[i].weight;
    return o->weight_count ? 0 : otherwise;
}

static int check_weights(const struct cli_stress_workload *w, struct base_err *err)
{
    const struct cli_stress_options *o = w->options;
    for (size_t i = 0; i < o->weight_count; i++) {
        bool known = o->weights[i].weight == 0;
        for (size_t s = 0; s < w->statement_count; s++)
            known = known || strcmp(w->statements[s].name, o->weights[i].name) == 0;
        if (!known)
            return base_err_set(err, BASE_E_INVALID, "there is no operation \"%s\"",
                                o->weights[i].name);
    }
    return w->statement_count
               ? BASE_OK
               : base_err_set(err, BASE_E_INVALID, "nothing to do: all weights are 0");
}

/* Preparing. */

static uint64_t salt_of(struct base_slice name)
{
    uint64_t h = 14695981039346656037u;
    for (size_t i = 0; i < name.len; i++)
        h = (h ^ name.data[i]) * 1099511628211u;
    return cli_stress_mix(h);
}

static enum cli_stress_role role_of(const struct columns *columns, struct base_slice name)
{
    if (base_slice_equal(name, BASE_SLICE_LIT("[limit]")))
        return CLI_STRESS_LIMIT;
    if (base_slice_equal(name, BASE_SLICE_LIT("[ttl]")))
        return CLI_STRESS_TTL;
    if (base_slice_equal(name, BASE_SLICE_LIT("[timestamp]")))
        return CLI_STRESS_TIMESTAMP;
    for (size_t i = 0; i < columns->count; i++)
        if (base_slice_equal(columns->of[i].name, name))
            return columns->of[i].role;
    return CLI_STRESS_REGULAR;
}

static int take_columns(struct cli_stress_workload *w, const struct columns *columns,
                        const struct cql_column_spec *specs, size_t count,
                        struct cli_stress_column **out)
{
    *out = base_arena_zalloc(&w->arena, (count + 1) * sizeof **out);
    for (size_t i = 0; *out && i < count; i++)
        (*out)[i] = (struct cli_stress_column){.type = specs[i].type,
                                               .role = role_of(columns, specs[i].name),
                                               .salt = salt_of(specs[i].name)};
    return *out ? BASE_OK : BASE_E_NOMEM;
}

/* The partition key's markers, when the node said which they are (protocol 4 and later) and it is
 * the keyspace whose replicas we know. */
static void take_key(const struct cli_stress_workload *w, struct cli_stress_statement *s,
                     const struct cql_prepared_info *p)
{
    if (p->pk_count == 0 ||
        !base_slice_equal(p->binds[0].keyspace, base_slice_str(w->options->keyspace)))
        return;
    s->pk_binds = p->pk_indexes;
    s->pk_count = p->pk_count;
}

static int prepare_one(struct cli_stress_workload *w, struct cli_stress_statement *s,
                       const struct columns *columns, struct cli_cql *cql, struct base_err *err)
{
    struct cli_cql_reply reply;
    int rc = cli_cql_prepare(cql, &w->arena, base_slice_str(s->text), &reply, err);
    if (rc != BASE_OK)
        return rc;
    if (reply.is_error)
        return base_err_set(err, BASE_E_INVALID, "%s: %.*s", s->name,
                            BASE_SLICE_ARG(reply.error.message));
    const struct cql_prepared_info *p = &reply.result.prepared;
    s->id = p->id;
    s->result_metadata_id = p->result_metadata_id;
    s->bind_count = p->bind_count;
    rc = take_columns(w, columns, p->binds, p->bind_count, &s->binds);
    take_key(w, s, p);
    if (rc == BASE_OK && s->is_select && p->column_count) {
        s->column_count = p->column_count;
        rc = take_columns(w, columns, p->columns, p->column_count, &s->columns);
    }
    return rc == BASE_OK ? BASE_OK : base_err_set(err, rc, "%s", s->name);
}

int cli_stress_workload_prepare(const struct cli_stress_workload *w, struct cli_cql *cql,
                                struct base_err *err)
{
    struct base_arena arena;
    struct cli_cql_reply reply;
    int rc = BASE_OK;
    base_arena_init(&arena);
    for (size_t i = 0; rc == BASE_OK && i < w->statement_count; i++) {
        const struct cli_stress_statement *s = &w->statements[i];
        rc = cli_cql_prepare(cql, &arena, base_slice_str(s->text), &reply, err);
        if (rc == BASE_OK && reply.is_error)
            rc = base_err_set(err, BASE_E_INVALID, "%s: %.*s", s->name,
                              BASE_SLICE_ARG(reply.error.message));
        if (rc == BASE_OK && !base_slice_equal(reply.result.prepared.id, s->id))
            rc = base_err_set(err, BASE_E_INVALID,
                              "%s: the nodes name the prepared statement differently", s->name);
    }
    base_arena_fini(&arena);
    return rc;
}

static int add_statements(struct cli_stress_workload *w, const struct columns *columns,
                          struct base_err *err)
{
    const struct cli_stress_options *o = w->options;
    const char *insert, *select;
    int rc = default_statements(w, columns, &insert, &select, err);
    if (rc != BASE_OK)
        return rc;
    if (strcmp(o->command, "write") == 0) {
        add(w, "WRITE", insert, 1);
    } else if (strcmp(o->command, "read") == 0) {
        add(w, "READ", select, 1);
    } else if (strcmp(o->command, "mixed") == 0) {
        add(w, "WRITE", insert, weight_of(o, "write", 1));
        add(w, "READ", select, weight_of(o, "read", 1));
        return w->statement_count
                   ? BASE_OK
                   : base_err_set(err, BASE_E_INVALID, "nothing to do: all weights are 0");
    } else {
        add(w, "insert", insert, weight_of(o, "insert", 1));
        add(w, "read", select, weight_of(o, "read", 0));
        for (size_t i = 0; i < o->query_count; i++)
            add(w, o->queries[i].name, o->queries[i].text, weight_of(o, o->queries[i].name, 1));
        return check_weights(w, err);
    }
    return BASE_OK;
}

int cli_stress_workload_init(struct cli_stress_workload *w, const struct cli_stress_options *o,
                             struct cli_cql *cql, struct base_err *err)
{
    struct base_arena arena;
    struct columns *columns = NULL;
    bool is_user = strcmp(o->command, "user") == 0;
    memset(w, 0, sizeof *w);
    w->options = o;
    base_arena_init(&w->arena);
    base_arena_init(&arena);
    int rc = BASE_OK;
    if (!is_user && strcmp(o->command, "read") != 0)
        rc = make_default_table(o, cql, err);
    else if (o->schema_file)
        rc = run_schema_file(o->schema_file, cql, err);
    if (rc == BASE_OK && o->truncate) {
        char text[512];
        snprintf(text, sizeof text, "TRUNCATE \"%s\".\"%s\"", o->keyspace, o->table);
        rc = run_text(cql, text, err);
    }
    if (rc == BASE_OK) {
        columns = base_arena_zalloc(&arena, sizeof *columns);
        rc = columns ? load_columns(o, cql, &arena, columns, err)
                     : base_err_set(err, BASE_E_NOMEM, "columns");
    }
    if (rc == BASE_OK)
        rc = add_statements(w, columns, err);
    for (size_t i = 0; rc == BASE_OK && i < w->statement_count; i++)
        rc = prepare_one(w, &w->statements[i], columns, cql, err);
    base_arena_fini(&arena);
    if (rc != BASE_OK)
        cli_stress_workload_fini(w);
    return rc;
}

void cli_stress_workload_fini(struct cli_stress_workload *w)
{
    base_arena_fini(&w->arena);
}
