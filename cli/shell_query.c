/* A statement for the node: run it page by page, show rows, warnings, the trace; errors as the
 * Python driver words them.
 *
 * A page is laid out by itself, as in cqlsh: a result of any size takes a page's memory. */
#include <strings.h>
#include <unistd.h>

#include "cli/shell_private.h"

struct cql_query cli_shell_make_query(const struct cli_shell *shell, struct base_slice statement)
{
    return (struct cql_query){
        .text = statement,
        .options = {.consistency = (uint16_t)shell->consistency,
                    .has_page_size = shell->paging,
                    .page_size = shell->paging ? shell->page_size : 0,
                    .has_serial_consistency = shell->serial_consistency != NODE_CL_SERIAL,
                    .serial_consistency = (uint16_t)shell->serial_consistency}};
}

void cli_shell_warnings(struct cli_shell *shell, const struct cql_prefix *prefix)
{
    if (prefix->warning_count == 0)
        return;
    fputs("\nWarnings :\n", shell->out);
    for (size_t i = 0; i < prefix->warning_count; i++)
        fprintf(shell->out, "%.*s\n\n", BASE_SLICE_ARG(prefix->warnings[i]));
}

/* Errors. */

static const char *class_of(int32_t code)
{
    switch ((enum cql_error_number)code) {
    case CQL_ERROR_SERVER:
        return "ServerError";
    case CQL_ERROR_PROTOCOL:
        return "ProtocolException";
    case CQL_ERROR_CREDENTIALS:
        return "AuthenticationFailed";
    case CQL_ERROR_UNAVAILABLE:
        return "Unavailable";
    case CQL_ERROR_OVERLOADED:
        return "OverloadedErrorMessage";
    case CQL_ERROR_BOOTSTRAPPING:
        return "IsBootstrappingErrorMessage";
    case CQL_ERROR_TRUNCATE:
        return "TruncateError";
    case CQL_ERROR_WRITE_TIMEOUT:
        return "WriteTimeout";
    case CQL_ERROR_READ_TIMEOUT:
        return "ReadTimeout";
    case CQL_ERROR_READ_FAILURE:
        return "ReadFailure";
    case CQL_ERROR_FUNCTION_FAILURE:
        return "FunctionFailure";
    case CQL_ERROR_WRITE_FAILURE:
        return "WriteFailure";
    case CQL_ERROR_CDC_WRITE_FAILURE:
        return "CDCWriteFailure";
    case CQL_ERROR_CAS_WRITE_UNKNOWN:
        return "CasWriteUnknown";
    case CQL_ERROR_SYNTAX:
        return "SyntaxException";
    case CQL_ERROR_UNAUTHORIZED:
        return "Unauthorized";
    case CQL_ERROR_INVALID:
        return "InvalidRequest";
    case CQL_ERROR_CONFIG:
        return "ConfigurationException";
    case CQL_ERROR_ALREADY_EXISTS:
        return "AlreadyExists";
    case CQL_ERROR_UNPREPARED:
        return "PreparedQueryNotFound";
    }
    return "ErrorMessage";
}

/* The driver's info={…} of the errors that have one; empty for the others. */
static void info_of(const struct cql_error *error, char text[256])
{
    const struct cql_outcome *o = &error->outcome;
    const char *level = node_consistency_name(o->consistency);
    text[0] = 0;
    if (error->code == CQL_ERROR_UNAVAILABLE)
        snprintf(text, 256,
                 " info={'consistency': '%s', 'required_replicas': %u, 'alive_replicas': %u}",
                 level ? level : "?", o->required, o->alive);
    else if (error->code == CQL_ERROR_WRITE_TIMEOUT)
        snprintf(text, 256,
                 " info={'consistency': '%s', 'required_responses': %u, 'received_responses': %u, "
                 "'write_type': '%s'}",
                 level ? level : "?", o->required, o->received, cql_write_type_name(o->write_type));
    else if (error->code == CQL_ERROR_READ_TIMEOUT)
        snprintf(text, 256,
                 " info={'consistency': '%s', 'required_responses': %u, 'received_responses': %u}",
                 level ? level : "?", o->required, o->received);
    else if (error->code == CQL_ERROR_READ_FAILURE || error->code == CQL_ERROR_WRITE_FAILURE)
        snprintf(text, 256,
                 " info={'consistency': '%s', 'required_responses': %u, 'received_responses': %u, "
                 "'failures': %u}",
                 level ? level : "?", o->required, o->received, o->failures);
}

void cli_shell_fail_error(struct cli_shell *shell, const struct cql_error *error)
{
    char info[256];
    info_of(error, info);
    if (error->code == CQL_ERROR_SYNTAX)
        cli_shell_fail(shell, "SyntaxException: %.*s", BASE_SLICE_ARG(error->message));
    else if (error->code == CQL_ERROR_ALREADY_EXISTS && error->name.len)
        cli_shell_fail(shell, "AlreadyExists: Table '%.*s.%.*s' already exists",
                       BASE_SLICE_ARG(error->keyspace), BASE_SLICE_ARG(error->name));
    else if (error->code == CQL_ERROR_ALREADY_EXISTS)
        cli_shell_fail(shell, "AlreadyExists: Keyspace '%.*s' already exists",
                       BASE_SLICE_ARG(error->keyspace));
    else
        cli_shell_fail(shell, "%s: Error from server: code=%04x [%s] message=\"%.*s\"%s",
                       class_of(error->code), (unsigned)error->code,
                       cli_cql_error_words(error->code), BASE_SLICE_ARG(error->message), info);
}

/* Rows. */

/* What a column is in its table, by colour: red the partition key, cyan clustering, white
 * static. */
static const char *colour_of_column(struct base_reader kinds, struct base_slice name)
{
    struct cql_value cells[2];
    while (cql_next_row(&kinds, cells, 2)) {
        if (!base_slice_equal(cells[0].bytes, name))
            continue;
        return base_slice_equal(cells[1].bytes, BASE_SLICE_LIT("partition_key")) ? CLI_RED
               : base_slice_equal(cells[1].bytes, BASE_SLICE_LIT("clustering"))  ? CLI_CYAN
               : base_slice_equal(cells[1].bytes, BASE_SLICE_LIT("static"))      ? CLI_WHITE
                                                                                 : CLI_MAGENTA;
    }
    return CLI_MAGENTA;
}

/* The table's columns with their kinds, asked only where colours are shown; no answer, no
 * colours. */
static struct base_reader kinds_of_columns(struct cli_shell *shell, struct base_arena *arena,
                                           const struct cql_column_spec *spec)
{
    char text[256];
    struct cli_cql_reply reply;
    if (!shell->colours || spec->table.len == 0 || memchr(spec->table.data, '\'', spec->table.len))
        return base_reader((struct base_slice){0});
    snprintf(text, sizeof text,
             "SELECT column_name, kind FROM system_schema.columns WHERE keyspace_name = '%.*s' AND "
             "table_name = '%.*s'",
             BASE_SLICE_ARG(spec->keyspace), BASE_SLICE_ARG(spec->table));
    if (cli_cql_simple(&shell->cql, arena, text, &reply, NULL) != BASE_OK ||
        reply.result.column_count != 2)
        return base_reader((struct base_slice){0});
    return base_reader(reply.result.rows);
}

static int fill_table(struct cli_shell *shell, struct base_arena *arena,
                      const struct cql_result_info *result, struct cli_table *table)
{
    struct cql_value *cells = base_arena_alloc(arena, result->column_count * sizeof *cells);
    struct base_reader rows = base_reader(result->rows),
                       kinds = kinds_of_columns(shell, arena, &result->columns[0]);
    int rc = cells ? BASE_OK : BASE_E_NOMEM;
    for (size_t i = 0; rc == BASE_OK && i < result->column_count; i++)
        rc = cli_table_add_name(table, result->columns[i].name,
                                colour_of_column(kinds, result->columns[i].name), shell->colours);
    while (rc == BASE_OK && cql_next_row(&rows, cells, result->column_count))
        for (size_t i = 0; rc == BASE_OK && i < result->column_count; i++)
            rc = cli_table_add_value(table, &cli_format_shell, result->columns[i].type, &cells[i],
                                     shell->colours);
    return rc;
}

static void show_page(struct cli_shell *shell, struct base_arena *arena,
                      const struct cql_result_info *result, bool with_header, size_t rows_before)
{
    struct cli_table table;
    if (result->column_count == 0 || !result->columns)
        return;
    int rc = cli_table_init(&table, result->column_count);
    if (rc == BASE_OK)
        rc = fill_table(shell, arena, result, &table);
    if (rc != BASE_OK)
        cli_shell_fail(shell, "the page is too large to show: %s", base_err_words(rc));
    else if (shell->expand && result->row_count)
        cli_table_print_expanded(&table, shell->out, rows_before);
    else
        cli_table_print(&table, shell->out, with_header, shell->tty);
    cli_table_fini(&table);
}

/* Between pages, on a terminal: wait for a key's line. False: Ctrl-C. */
static bool more(struct cli_shell *shell)
{
    int c;
    if (!shell->tty || shell->capture)
        return true;
    fputs("---MORE---", stdout);
    fflush(stdout);
    do
        c = getc(stdin);
    while (c != '\n' && c != EOF);
    if (c == EOF)
        clearerr(stdin);
    return !cli_shell_interrupted(shell);
}

/* All pages of a statement that reads. The first is there already. */
static void show_rows(struct cli_shell *shell, struct base_arena *arena, struct cql_query *query,
                      struct cli_cql_reply *reply)
{
    size_t rows = 0;
    bool first = true;
    putc('\n', shell->out);
    for (;;) {
        struct base_err err = {0};
        if (first || reply->result.row_count)
            show_page(shell, arena, &reply->result, first || shell->tty, rows);
        rows += reply->result.row_count;
        first = false;
        fflush(shell->out);
        if (!reply->result.has_more || cli_shell_interrupted(shell) || !more(shell))
            break;
        char *state = malloc(reply->result.paging_state.len + 1); /* outlives the arena's reset */
        if (!state)
            break;
        memcpy(state, reply->result.paging_state.data, reply->result.paging_state.len);
        query->options.paging_state = base_slice(state, reply->result.paging_state.len);
        base_arena_reset(arena);
        int rc = cli_cql_query(&shell->cql, arena, query, false, reply, &err);
        free(state);
        if (rc != BASE_OK) {
            cli_shell_fail_call(shell, rc, &err);
            return;
        }
        if (reply->is_error) {
            cli_shell_fail_error(shell, &reply->error);
            return;
        }
    }
    if (!shell->tty)
        putc('\n', shell->out);
    fprintf(shell->out, "(%zu rows)\n", rows);
}

static bool begins_with(struct base_slice s, const char *word)
{
    size_t len = strlen(word);
    return s.len >= len && strncasecmp((const char *)s.data, word, len) == 0;
}

void cli_shell_query(struct cli_shell *shell, struct base_slice statement)
{
    struct base_arena arena;
    struct cli_cql_reply reply;
    struct base_err err = {0};
    struct cql_query query = cli_shell_make_query(shell, statement);
    bool in_traces = shell->keyspace && strcmp(shell->keyspace, "system_traces") == 0;
    base_arena_init(&arena);
    bool tracing =
        shell->tracing && !in_traces && !memmem(statement.data, statement.len, "system_traces", 13);
    int rc = cli_cql_query(&shell->cql, &arena, &query, tracing, &reply, &err);
    if (rc != BASE_OK) {
        cli_shell_fail_call(shell, rc, &err);
    } else if (reply.is_error) {
        cli_shell_fail_error(shell, &reply.error);
    } else {
        struct cql_prefix prefix = reply.prefix;
        if (reply.result.kind == CQL_RESULT_SET_KEYSPACE) {
            free(shell->keyspace);
            shell->keyspace = cli_shell_strdup(reply.result.keyspace);
        } else if (reply.result.kind == CQL_RESULT_ROWS &&
                   (begins_with(statement, "select") || begins_with(statement, "list"))) {
            struct base_arena kept; /* warnings outlive the pages */
            base_arena_init(&kept);
            struct base_slice *warnings =
                base_arena_alloc(&kept, (prefix.warning_count + 1) * sizeof *warnings);
            for (size_t i = 0; warnings && i < prefix.warning_count; i++)
                if (base_arena_copy(&kept, prefix.warnings[i], &warnings[i]) != BASE_OK)
                    warnings[i] = (struct base_slice){0};
            prefix.warnings = warnings;
            prefix.warning_count = warnings ? prefix.warning_count : 0;
            show_rows(shell, &arena, &query, &reply);
            cli_shell_warnings(shell, &prefix);
            prefix.warning_count = 0;
            base_arena_fini(&kept);
        } else if (reply.result.kind == CQL_RESULT_ROWS &&
                   reply.result.row_count) { /* of a conditional write */
            putc('\n', shell->out);
            show_page(shell, &arena, &reply.result, true, 0);
        }
        cli_shell_warnings(shell, &prefix);
        if (prefix.has_tracing_id && !shell->lost)
            cli_shell_show_trace(shell, prefix.tracing_id, true);
    }
    fflush(shell->out);
    base_arena_fini(&arena);
}
