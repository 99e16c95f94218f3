/* TRACING and SHOW SESSION: what system_traces has of a request, as a table of steps. */
#include "cli/shell_private.h"

#include <time.h>
#include <unistd.h>

enum { WAIT_MS_MAX = 10000 };

struct session {
    bool found, complete;
    char client[64], coordinator[64];
    struct base_slice request;
    int32_t duration_us;
    int64_t started_ms;
};

static int query_by_id(struct cli_shell *shell, struct base_arena *arena, const char *columns,
                       const char *table, struct base_uuid id, struct cli_cql_reply *reply,
                       struct base_err *err)
{
    char text[256], name[37];
    base_uuid_print(id, name);
    snprintf(text, sizeof text, "SELECT %s FROM system_traces.%s WHERE session_id = %s", columns,
             table, name);
    return cli_cql_simple(&shell->cql, arena, text, reply, err);
}

static void copy_inet(struct base_slice value, char out[64])
{
    struct base_buf text;
    base_buf_init(&text, 256);
    out[0] = 0;
    if (base_value_to_text(base_type_scalar(BASE_TYPE_INET), value, &text, NULL) == BASE_OK)
        snprintf(out, 64, "%.*s", BASE_SLICE_ARG(base_buf_view(&text)));
    base_buf_fini(&text);
}

static int load_session(struct cli_shell *shell, struct base_arena *arena, struct base_uuid id,
                        struct session *s, struct base_err *err)
{
    struct cli_cql_reply reply;
    struct cql_value cells[5];
    int rc = query_by_id(shell, arena, "client, coordinator, duration, request, started_at",
                         "sessions", id, &reply, err);
    if (rc != BASE_OK)
        return rc;
    struct base_reader rows = base_reader(reply.result.rows);
    s->found = reply.result.column_count == 5 && cql_next_row(&rows, cells, 5);
    if (!s->found)
        return BASE_OK;
    copy_inet(cells[0].bytes, s->client);
    copy_inet(cells[1].bytes, s->coordinator);
    s->complete = cells[2].bytes.len == 4;
    s->duration_us = s->complete ? (int32_t)base_get_be32(cells[2].bytes.data) : 0;
    s->request = cells[3].bytes;
    s->started_ms = cells[4].bytes.len == 8 ? (int64_t)base_get_be64(cells[4].bytes.data) : 0;
    return BASE_OK;
}

/* Local time with microseconds, as Python prints a datetime. */
static void print_time(int64_t us, char out[48])
{
    time_t s = (time_t)(us / 1000000);
    struct tm tm;
    localtime_r(&s, &tm);
    size_t n = strftime(out, 48, "%Y-%m-%d %H:%M:%S", &tm);
    snprintf(out + n, 48 - n, ".%06d", (int)(us % 1000000));
}

/* The 60 bits of a timeuuid: 100 ns since 1582-10-15. */
static int64_t time_of(struct base_slice uuid)
{
    if (uuid.len != 16)
        return 0;
    uint64_t low = base_get_be32(uuid.data), mid = base_get_be16(uuid.data + 4),
             high = base_get_be16(uuid.data + 6) & 0x0FFF;
    return ((int64_t)(high << 48 | mid << 32 | low) - 0x01B21DD213814000) / 10;
}

static int add_row(struct cli_shell *shell, struct cli_table *table, struct base_slice activity,
                   int64_t us, const char *source, const char *elapsed, const char *client)
{
    char when[48];
    print_time(us, when);
    int rc = cli_table_add_name(table, activity, CLI_YELLOW, shell->colours);
    if (rc == BASE_OK)
        rc = cli_table_add_name(table, base_slice_str(when), CLI_YELLOW, shell->colours);
    if (rc == BASE_OK)
        rc = cli_table_add_name(table, base_slice_str(source), CLI_YELLOW, shell->colours);
    if (rc == BASE_OK)
        rc = cli_table_add_name(table, base_slice_str(elapsed), CLI_GREEN, shell->colours);
    return rc == BASE_OK
               ? cli_table_add_name(table, base_slice_str(client), CLI_YELLOW, shell->colours)
               : rc;
}

static int add_events(struct cli_shell *shell, struct base_arena *arena, struct cli_table *table,
                      struct base_uuid id, const struct session *s, size_t *count,
                      struct base_err *err)
{
    struct cli_cql_reply reply;
    struct cql_value cells[5];
    int rc = query_by_id(shell, arena, "activity, event_id, source, source_elapsed, thread",
                         "events", id, &reply, err);
    if (rc != BASE_OK)
        return rc;
    struct base_reader rows = base_reader(reply.result.rows);
    *count = reply.result.row_count;
    while (rc == BASE_OK && reply.result.column_count == 5 && cql_next_row(&rows, cells, 5)) {
        char source[64], elapsed[16] = "--";
        struct base_buf activity;
        base_buf_init(&activity, 1 << 20);
        copy_inet(cells[2].bytes, source);
        if (cells[3].bytes.len == 4)
            snprintf(elapsed, sizeof elapsed, "%d", (int32_t)base_get_be32(cells[3].bytes.data));
        rc = base_buf_printf(&activity, "%.*s [%.*s]", BASE_SLICE_ARG(cells[0].bytes),
                             BASE_SLICE_ARG(cells[4].bytes));
        if (rc == BASE_OK)
            rc = add_row(shell, table, base_buf_view(&activity), time_of(cells[1].bytes), source,
                         elapsed, s->client);
        base_buf_fini(&activity);
    }
    return rc;
}

static int show(struct cli_shell *shell, struct base_arena *arena, struct base_uuid id,
                const struct session *s, struct base_err *err)
{
    static const char *const names[] = {"activity", "timestamp", "source", "source_elapsed",
                                        "client"};
    struct cli_table table;
    char text[37], elapsed[16];
    size_t events = 0;
    int rc = cli_table_init(&table, BASE_COUNT(names));
    for (size_t i = 0; rc == BASE_OK && i < BASE_COUNT(names); i++)
        rc = cli_table_add_name(&table, base_slice_str(names[i]), CLI_MAGENTA, shell->colours);
    if (rc == BASE_OK)
        rc = add_row(shell, &table, s->request, s->started_ms * 1000, s->coordinator, "0",
                     s->client);
    if (rc == BASE_OK)
        rc = add_events(shell, arena, &table, id, s, &events, err);
    snprintf(elapsed, sizeof elapsed, "%d", s->duration_us);
    if (rc == BASE_OK && s->complete)
        rc = add_row(shell, &table, BASE_SLICE_LIT("Request complete"),
                     s->started_ms * 1000 + s->duration_us, s->coordinator, elapsed, s->client);
    base_uuid_print(id, text);
    if (rc == BASE_OK && events == 0) {
        cli_shell_fail(shell, "No rows for session %s found.", text);
    } else if (rc == BASE_OK) {
        fprintf(shell->out, "\n%sTracing session: %s%s\n\n", shell->colours ? CLI_MAGENTA : "",
                shell->colours ? CLI_PLAIN : "", text);
        cli_table_print(&table, shell->out, true, shell->tty);
        putc('\n', shell->out);
    }
    cli_table_fini(&table);
    return rc == BASE_OK
               ? rc
               : base_err_set(err, rc, "%s", err->text[0] ? err->text : "the trace is too large");
}

void cli_shell_show_trace(struct cli_shell *shell, struct base_uuid id, bool wait)
{
    struct base_arena arena;
    struct base_err err = {0};
    struct session s = {0};
    char text[37];
    base_uuid_print(id, text);
    base_arena_init(&arena);
    int rc = load_session(shell, &arena, id, &s, &err);
    for (int waited = 0, pause = 2; rc == BASE_OK && wait && !s.complete && waited < WAIT_MS_MAX &&
                                    !cli_shell_interrupted(shell);
         pause *= 2) {
        usleep((unsigned)pause * 1000);
        waited += pause;
        base_arena_reset(&arena);
        rc = load_session(shell, &arena, id, &s, &err);
    }
    if (rc == BASE_OK && !s.found)
        cli_shell_fail(shell, "Session %s wasn't found.", text);
    else if (rc == BASE_OK && wait && !s.complete)
        fprintf(
            shell->out,
            "Statement trace did not complete within %d seconds; trace data may be incomplete.\n",
            WAIT_MS_MAX / 1000);
    if (rc == BASE_OK && s.found)
        rc = show(shell, &arena, id, &s, &err);
    if (rc != BASE_OK)
        cli_shell_fail(shell, "Unable to fetch query trace: %s", err.text);
    base_arena_fini(&arena);
}
