/* DESCRIBE: the node answers (Cassandra 4 and later do), here it is laid out as cqlsh does. */
#include "cli/shell_private.h"

enum { WIDTH = 80 };

static void print_names(FILE *out, const struct base_slice *names, size_t count)
{
    cli_columnize(out, names, count, WIDTH);
}

/* DESCRIBE TABLES, TYPES …: names by keyspace; the keyspace is named when none is in use. Columns:
 * keyspace_name, type, name. */
static void describe_list(struct cli_shell *shell, const struct cql_value *cells, size_t columns,
                          size_t rows, struct base_slice *names)
{
    size_t count = 0;
    for (size_t row = 0; row < rows; row++) {
        struct base_slice keyspace = cells[row * columns].bytes;
        names[count++] = cells[row * columns + 2].bytes;
        if (row + 1 < rows && base_slice_equal(cells[(row + 1) * columns].bytes, keyspace))
            continue;
        putc('\n', stdout);
        if (!shell->keyspace) {
            printf("Keyspace %.*s\n---------", BASE_SLICE_ARG(keyspace));
            for (size_t i = 0; i < keyspace.len; i++)
                putc('-', stdout);
            putc('\n', stdout);
        }
        print_names(stdout, names, count);
        count = 0;
    }
    if (rows)
        putc('\n', stdout);
}

static void describe_keyspaces(const struct cql_value *cells, size_t columns, size_t rows,
                               struct base_slice *names)
{
    for (size_t row = 0; row < rows; row++)
        names[row] = cells[row * columns + 2].bytes;
    putc('\n', stdout);
    print_names(stdout, names, rows);
    putc('\n', stdout);
}

/* cluster, partitioner, snitch; with a keyspace in use also range_ownership: map<text,
 * list<text>>. */
static void describe_cluster(const struct cli_cql_reply *reply, const struct cql_value *cells)
{
    struct base_elements owners, hosts;
    struct base_slice token, list, host;
    bool is_null;
    printf("\nCluster: %.*s\nPartitioner: %.*s\nSnitch: %.*s\n\n", BASE_SLICE_ARG(cells[0].bytes),
           BASE_SLICE_ARG(cells[1].bytes), BASE_SLICE_ARG(cells[2].bytes));
    if (reply->result.column_count < 4 || cells[3].state != CQL_VALUE_SET ||
        reply->result.columns[3].type->kind != BASE_TYPE_MAP)
        return;
    const struct base_type *type = reply->result.columns[3].type;
    if (!base_elements_begin(&owners, type, cells[3].bytes))
        return;
    puts("Range ownership:");
    while (owners.left && base_elements_next(&owners, &token, &is_null) &&
           base_elements_next(&owners, &list, &is_null)) {
        printf(" %39.*s  [", BASE_SLICE_ARG(token));
        bool first = true;
        for (bool good = base_elements_begin(&hosts, type->params[1], list); good && hosts.left;
             first = false) {
            good = base_elements_next(&hosts, &host, &is_null);
            if (good)
                printf("%s%.*s", first ? "" : ", ", BASE_SLICE_ARG(host));
        }
        puts("]");
    }
    putc('\n', stdout);
}

static void show(struct cli_shell *shell, struct base_arena *arena, const struct cli_token *what,
                 const struct cli_cql_reply *reply)
{
    const struct cql_result_info *r = &reply->result;
    size_t columns = r->column_count, count = 0;
    struct cql_value *cells =
        base_arena_alloc(arena, ((size_t)r->row_count + 1) * (columns + 1) * sizeof *cells);
    struct base_slice *names = base_arena_alloc(arena, ((size_t)r->row_count + 1) * sizeof *names);
    struct base_reader rows = base_reader(r->rows);
    if (!cells || !names) {
        cli_shell_fail(shell, "out of memory");
        return;
    }
    while (cql_next_row(&rows, cells + count * columns, columns))
        count++;
    if (cli_token_is(what, "cluster") && columns >= 3) {
        if (count)
            describe_cluster(reply, cells);
        return;
    }
    if (columns < 3)
        return;
    if (cli_token_is(what, "keyspaces")) {
        describe_keyspaces(cells, columns, count, names);
    } else if (cli_token_is(what, "tables") || cli_token_is(what, "columnfamilies") ||
               cli_token_is(what, "types") || cli_token_is(what, "functions") ||
               cli_token_is(what, "aggregates")) {
        describe_list(shell, cells, columns, count, names);
    } else {
        for (size_t i = 0; i < count && columns >= 4; i++)
            fprintf(shell->out, "\n%.*s\n", BASE_SLICE_ARG(cells[i * columns + 3].bytes));
    }
}

void cli_shell_describe(struct cli_shell *shell, struct base_slice statement)
{
    struct base_arena arena;
    struct cli_cql_reply reply;
    struct base_err err = {0};
    struct base_slice rest = statement;
    cli_token_next(&rest);
    struct cli_token what = cli_token_next(&rest);
    if (what.kind == CLI_TOKEN_END) {
        cli_shell_fail(shell, "Improper DESCRIBE command.");
        return;
    }
    struct cql_query query = cli_shell_make_query(shell, statement);
    query.options.consistency = NODE_CL_LOCAL_ONE;
    query.options.has_page_size = false; /* lists come whole */
    base_arena_init(&arena);
    int rc = cli_cql_query(&shell->cql, &arena, &query, false, &reply, &err);
    if (rc != BASE_OK)
        cli_shell_fail_call(shell, rc, &err);
    else if (reply.is_error)
        cli_shell_fail(shell, "%.*s", BASE_SLICE_ARG(reply.error.message));
    else if (reply.result.kind == CQL_RESULT_ROWS && reply.result.columns) {
        show(shell, &arena, &what, &reply);
        cli_shell_warnings(shell, &reply.prefix);
    }
    fflush(shell->out);
    base_arena_fini(&arena);
}
