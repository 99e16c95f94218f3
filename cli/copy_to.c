/* COPY … TO: the table's rows, page by page, as CSV (copy_private.h). */
#include "cli/copy_private.h"

#include <errno.h>

struct output {
    FILE *file;
    struct base_buf line, value;
    uint64_t rows, rows_in_file;
    unsigned files;
};

static int open_next(struct cli_copy *c, struct output *out, struct base_err *err)
{
    char path[4096];
    out->rows_in_file = 0;
    if (!c->path) {
        out->file = stdout;
        return BASE_OK;
    }
    if (out->file && fclose(out->file) != 0)
        return base_err_set(err, BASE_E_IO, "%s: %s", c->path, strerror(errno));
    if (out->files == 0)
        snprintf(path, sizeof path, "%s", c->path);
    else
        snprintf(path, sizeof path, "%s.%u", c->path, out->files);
    out->file = fopen(path, "we");
    if (!out->file)
        return base_err_set(err, BASE_E_IO, "Can't open '%s' for writing: %s", path,
                            strerror(errno));
    out->files++;
    return BASE_OK;
}

static int put_line(struct output *out, struct base_err *err)
{
    int rc = base_buf_put_u8(&out->line, '\n');
    if (rc == BASE_OK && fwrite(out->line.data, 1, out->line.len, out->file) != out->line.len)
        return base_err_set(err, BASE_E_IO, "write: %s", strerror(errno));
    return rc == BASE_OK ? rc : base_err_set(err, rc, "a row is too long");
}

static int put_field(const struct cli_copy *c, struct output *out, struct base_slice field,
                     bool first)
{
    if (field.len == 0 && c->column_count == 1) { /* an empty line would be no row */
        uint8_t quotes[2] = {c->dialect.quote, c->dialect.quote};
        return base_buf_put(&out->line, quotes, 2);
    }
    return cli_csv_put(&c->dialect, field, first, &out->line);
}

static int put_header(const struct cli_copy *c, struct output *out, struct base_err *err)
{
    base_buf_reset(&out->line);
    int rc = BASE_OK;
    for (size_t i = 0; rc == BASE_OK && i < c->column_count; i++)
        rc = put_field(c, out, base_slice_str(c->columns[i].name), i == 0);
    return rc == BASE_OK ? put_line(out, err) : base_err_set(err, rc, "the header is too long");
}

static int put_rows(struct cli_copy *c, const struct cql_result_info *result,
                    const struct cli_format *format, struct output *out, struct base_err *err)
{
    struct cql_value cells[CLI_COPY_COLUMNS_MAX];
    struct base_reader rows = base_reader(result->rows);
    int rc = BASE_OK;
    while (rc == BASE_OK && cql_next_row(&rows, cells, result->column_count)) {
        if (c->output_size_max > 0 && out->rows_in_file == (uint64_t)c->output_size_max) {
            rc = open_next(c, out, err);
            if (rc == BASE_OK && c->header)
                rc = put_header(c, out, err);
        }
        base_buf_reset(&out->line);
        for (size_t i = 0; rc == BASE_OK && i < result->column_count; i++) {
            struct cli_text text = {.out = &out->value};
            base_buf_reset(&out->value);
            rc = cli_format_value(format, result->columns[i].type, &cells[i], &text);
            if (rc == BASE_OK)
                rc = put_field(c, out, base_buf_view(&out->value), i == 0);
        }
        if (rc == BASE_OK)
            rc = put_line(out, err);
        else if (!err->text[0])
            base_err_set(err, rc, "a row is too long");
        out->rows += rc == BASE_OK;
        out->rows_in_file += rc == BASE_OK;
    }
    return rc;
}

static int make_query(const struct cli_copy *c, struct base_buf *text)
{
    int rc = base_buf_printf(text, "SELECT ");
    for (size_t i = 0; rc == BASE_OK && i < c->column_count; i++)
        rc = base_buf_printf(text, "%s%s", i ? ", " : "", c->columns[i].cql);
    if (rc == BASE_OK)
        rc = base_buf_printf(text, " FROM \"%s\".\"%s\"", c->keyspace, c->table);
    if (rc != BASE_OK || (!c->begin_token && !c->end_token))
        return rc;
    struct base_buf keys;
    base_buf_init(&keys, 65536);
    for (size_t position = 0, found = 1; rc == BASE_OK && found;
         position++) { /* the partition key in its order */
        found = 0;
        for (size_t i = 0; rc == BASE_OK && i < c->column_count; i++) {
            if (c->columns[i].kind != CLI_COPY_PARTITION_KEY ||
                c->columns[i].position != (int)position)
                continue;
            rc = base_buf_printf(&keys, "%s%s", keys.len ? ", " : "", c->columns[i].cql);
            found = 1;
        }
    }
    if (rc == BASE_OK && c->begin_token)
        rc = base_buf_printf(text, " WHERE token(%.*s) > %s", BASE_SLICE_ARG(base_buf_view(&keys)),
                             c->begin_token);
    if (rc == BASE_OK && c->end_token)
        rc = base_buf_printf(text, " %s token(%.*s) <= %s", c->begin_token ? "AND" : "WHERE",
                             BASE_SLICE_ARG(base_buf_view(&keys)), c->end_token);
    base_buf_fini(&keys);
    return rc;
}

/* A page; what may pass by itself is tried again. */
static int fetch(struct cli_copy *c, struct base_arena *arena, const struct cql_query *query,
                 struct cli_cql_reply *reply, struct base_err *err)
{
    for (int64_t attempt = 1;; attempt++) {
        base_arena_reset(arena);
        base_err_clear(err);
        int rc = cli_cql_query(&c->shell->cql, arena, query, false, reply, err);
        if (rc == BASE_OK && !reply->is_error)
            return BASE_OK;
        if (rc == BASE_OK)
            base_err_set(err, BASE_E_INVALID, "%.*s", BASE_SLICE_ARG(reply->error.message));
        bool passing =
            rc == BASE_E_TIMEOUT || (rc == BASE_OK && reply->error.code >= CQL_ERROR_UNAVAILABLE &&
                                     reply->error.code < CQL_ERROR_SYNTAX);
        if (!passing || attempt >= c->attempts_max)
            return rc == BASE_OK ? BASE_E_INVALID : rc;
        cli_shell_fail(c->shell, "%s (will try again, attempt %lld of %lld)", err->text,
                       (long long)attempt, (long long)c->attempts_max);
    }
}

static int copy_pages(struct cli_copy *c, struct output *out, struct base_err *err)
{
    struct base_arena arena;
    struct base_buf text, state;
    struct cli_cql_reply reply;
    struct cli_format format = cli_format_copy;
    format.float_digits = (unsigned)c->float_digits;
    format.double_digits = (unsigned)c->double_digits;
    format.yes = c->yes;
    format.no = c->no;
    format.null = c->null;
    format.decimal_separator = c->decimal_separator;
    format.thousands = c->thousands;
    format.date_time_format = c->date_time_format;
    base_arena_init(&arena);
    base_buf_init(&text, 1 << 20);
    base_buf_init(&state, 1 << 20);
    int rc = make_query(c, &text), timeout_ms = c->shell->cql.config.request_timeout_ms;
    c->shell->cql.config.request_timeout_ms = (int)(c->page_timeout_s * 1000);
    struct cql_query query = cli_shell_make_query(c->shell, base_buf_view(&text));
    query.options.has_page_size = true;
    query.options.page_size = (int32_t)c->page_size;
    while (rc == BASE_OK) {
        rc = fetch(c, &arena, &query, &reply, err);
        if (rc == BASE_OK)
            rc = put_rows(c, &reply.result, &format, out, err);
        cli_copy_progress(c, out->rows, false);
        if (rc != BASE_OK || !reply.result.has_more)
            break;
        base_buf_reset(&state);
        rc = base_buf_put_slice(&state, reply.result.paging_state);
        query.options.paging_state = base_buf_view(&state);
        if (cli_shell_interrupted(c->shell))
            rc = base_err_set(err, BASE_E_INTERRUPTED,
                              "stopped: the file has what was read until then");
    }
    c->shell->cql.config.request_timeout_ms = timeout_ms;
    base_buf_fini(&state);
    base_buf_fini(&text);
    base_arena_fini(&arena);
    return rc;
}

void cli_copy_to(struct cli_copy *c)
{
    struct output out = {0};
    struct base_err err = {0};
    char took[96];
    base_buf_init(&out.line, CLI_CSV_RECORD_SIZE_MAX);
    base_buf_init(&out.value, CLI_CSV_RECORD_SIZE_MAX);
    int rc = c->page_size > 0 ? open_next(c, &out, &err)
                              : base_err_set(&err, BASE_E_INVALID, "a page has at least one row");
    if (rc == BASE_OK && c->header)
        rc = put_header(c, &out, &err);
    if (rc == BASE_OK)
        rc = copy_pages(c, &out, &err);
    if (c->path && out.file && fclose(out.file) != 0 && rc == BASE_OK)
        rc = base_err_set(&err, BASE_E_IO, "%s: %s", c->path, strerror(errno));
    if (!c->path && fflush(stdout) != 0 && rc == BASE_OK)
        rc = base_err_set(&err, BASE_E_IO, "write: %s", strerror(errno));
    if (rc != BASE_OK)
        cli_shell_fail(c->shell, "%s", err.text);
    if (out.file) { /* else nothing was begun */
        cli_copy_progress(c, out.rows, true);
        cli_copy_interval(c, took);
        cli_copy_say(c, "%llu rows exported to %u files in %s.\n", (unsigned long long)out.rows,
                     out.files, took);
    }
    if (rc == BASE_E_CLOSED)
        c->shell->lost = true;
    base_buf_fini(&out.line);
    base_buf_fini(&out.value);
}
