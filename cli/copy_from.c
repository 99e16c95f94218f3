/* COPY … FROM: CSV files into the table, by one prepared statement with many requests in flight
 * (copy_private.h).
 *
 * 1. A row is in one place: in flight, taken, or rejected; rejected ones go to the error file as
 *    they came.
 * 2. What may pass by itself is sent again with the same values, but never a counter's update that
 *    may have happened.
 * 3. Ctrl-C ends the reading; what is in flight is waited for. */
#include "cli/copy_private.h"

#include <errno.h>
#include <glob.h>
#include <poll.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { IN_FLIGHT_MAX = 2048, ERRORS_SHOWN = 20 };
#define BACKOFF_NS UINT64_C(10000000) /* doubled with each attempt, to 128 times */

struct flight {
    /* [bytes] one after the other, as EXECUTE has them; the fields as they came, as CSV */
    struct base_buf values, raw;
    size_t *ends; /* of values; SIZE_MAX: null */
    int64_t attempts;
    uint64_t again_ns; /* 0: sent; else when it is sent again: the node had too much to do */
    bool busy;
};
struct import {
    struct cli_copy *copy;
    struct base_arena arena; /* the statement */
    struct base_arena reply;
    struct base_slice id, metadata_id;
    const struct cql_column_spec *binds;
    size_t bind_count;
    size_t *column_of; /* the file's, by marker */
    bool has_counter;
    struct flight *flights;
    size_t flight_count, in_flight, resting;
    int16_t *free_list;
    size_t free_count;
    struct cli_csv_record record;
    FILE *file, *error_file;
    char error_path[4096];
    int error_errno; /* why not all of error_file could be written; 0: it was */
    glob_t paths;
    size_t path_at;
    bool at_end, is_stdin, stopped, header_due;
    uint64_t files, read, taken, skipped, parse_errors, insert_errors, shown;
};

/* Rejected rows. */

/* An earlier import's file is kept aside; what is no file (/dev/null) stays where it is. */
static void open_error_file(struct import *im)
{
    char old[4200];
    struct stat st;
    time_t now = time(NULL);
    struct tm tm;
    if (stat(im->error_path, &st) == 0 && S_ISREG(st.st_mode) && localtime_r(&now, &tm)) {
        size_t n = (size_t)snprintf(old, sizeof old, "%s", im->error_path);
        strftime(old + n, sizeof old - n, ".%Y%m%d_%H%M%S", &tm);
        rename(im->error_path, old);
    }
    im->error_file = fopen(im->error_path, "we");
    if (!im->error_file)
        im->error_errno = errno;
}

static void reject(struct import *im, const char *kind, const char *why, struct base_slice raw)
{
    struct cli_copy *c = im->copy;
    if (!im->error_file && !im->error_errno)
        open_error_file(im);
    if (im->error_file) {
        fwrite(raw.data, 1, raw.len, im->error_file);
        putc('\n', im->error_file);
    }
    if (im->shown++ < ERRORS_SHOWN)
        cli_shell_fail(c->shell, "Failed to import 1 rows: %s - %s,  given up without retries",
                       kind, why);
    c->shell->failed = true;
}

/* Where the rejected rows are, or that they are nowhere. */
static void say_failed(struct import *im, uint64_t failed)
{
    struct cli_shell *shell = im->copy->shell;
    if (im->error_file && fflush(im->error_file) != 0)
        im->error_errno = errno;
    if (im->error_errno)
        cli_shell_fail(shell, "Failed to process %llu rows; they could not be written to %s: %s",
                       (unsigned long long)failed, im->error_path, strerror(im->error_errno));
    else
        cli_shell_fail(shell, "Failed to process %llu rows; failed rows written to %s",
                       (unsigned long long)failed, im->error_path);
}

static void count_parse_error(struct import *im, const char *why, struct base_slice raw)
{
    im->parse_errors++;
    reject(im, "ParseError", why, raw);
    if (im->copy->parse_errors_max >= 0 &&
        im->parse_errors > (uint64_t)im->copy->parse_errors_max) {
        cli_shell_fail(im->copy->shell, "Exceeded maximum number of parse errors %lld",
                       (long long)im->copy->parse_errors_max);
        im->stopped = true;
    }
}

static void count_insert_error(struct import *im, const char *kind, const char *why,
                               struct base_slice raw)
{
    im->insert_errors++;
    reject(im, kind, why, raw);
    if (im->copy->insert_errors_max >= 0 &&
        im->insert_errors > (uint64_t)im->copy->insert_errors_max && !im->stopped) {
        cli_shell_fail(im->copy->shell, "Exceeded maximum number of insert errors %lld",
                       (long long)im->copy->insert_errors_max);
        im->stopped = true;
    }
}

/* The statement. */

/* INSERT, or UPDATE of counters; column_of says which column of the file is bound to a marker. */
static int make_statement(struct import *im, struct base_buf *text)
{
    const struct cli_copy *c = im->copy;
    size_t marker = 0;
    int rc = base_buf_printf(
        text, im->has_counter ? "UPDATE \"%s\".\"%s\"" : "INSERT INTO \"%s\".\"%s\" (", c->keyspace,
        c->table);
    if (!im->has_counter) {
        for (size_t i = 0; rc == BASE_OK && i < c->column_count; i++) {
            if (c->columns[i].skip)
                continue;
            rc = base_buf_printf(text, "%s%s", marker ? ", " : "", c->columns[i].cql);
            im->column_of[marker++] = i;
        }
        for (size_t i = 0; rc == BASE_OK && i < marker; i++)
            rc = base_buf_printf(text, "%s?", i ? ", " : ") VALUES (");
        if (rc == BASE_OK)
            rc = base_buf_printf(text, ")");
        if (rc == BASE_OK && c->ttl > 0)
            rc = base_buf_printf(text, " USING TTL %lld", (long long)c->ttl);
        return rc;
    }
    for (int keys = 0; keys < 2; keys++) {
        bool first = true;
        for (size_t i = 0; rc == BASE_OK && i < c->column_count; i++) {
            const struct cli_copy_column *column = &c->columns[i];
            if (column->skip || (column->kind != CLI_COPY_REGULAR) != (keys == 1))
                continue;
            const char *before = first ? (keys ? " WHERE" : " SET") : keys ? " AND" : ",";
            rc = keys ? base_buf_printf(text, "%s %s = ?", before, column->cql)
                      : base_buf_printf(text, "%s %s = %s + ?", before, column->cql, column->cql);
            im->column_of[marker++] = i;
            first = false;
        }
    }
    return rc;
}

static int prepare(struct import *im, struct base_err *err)
{
    struct cli_copy *c = im->copy;
    struct base_buf text;
    struct cli_cql_reply reply;
    for (size_t i = 0; i < c->column_count; i++)
        im->has_counter = im->has_counter || c->columns[i].is_counter;
    im->column_of = base_arena_zalloc(&im->arena, c->column_count * sizeof *im->column_of);
    if (!im->column_of)
        return base_err_set(err, BASE_E_NOMEM, "columns");
    base_buf_init(&text, 1 << 20);
    int rc = make_statement(im, &text);
    if (rc == BASE_OK)
        rc = cli_cql_prepare(&c->shell->cql, &im->arena, base_buf_view(&text), &reply, err);
    base_buf_fini(&text);
    if (rc == BASE_OK && reply.is_error)
        rc = base_err_set(err, BASE_E_INVALID, "%.*s", BASE_SLICE_ARG(reply.error.message));
    if (rc != BASE_OK)
        return rc;
    im->id = reply.result.prepared.id;
    im->metadata_id = reply.result.prepared.result_metadata_id;
    im->binds = reply.result.prepared.binds;
    im->bind_count = reply.result.prepared.bind_count;
    size_t used = 0;
    for (size_t i = 0; i < c->column_count; i++)
        used += !c->columns[i].skip;
    return used == im->bind_count
               ? BASE_OK
               : base_err_set(err, BASE_E_INVALID, "the node prepared %zu markers, not %zu",
                              im->bind_count, used);
}

static int make_flights(struct import *im, struct base_err *err)
{
    int64_t wanted = im->copy->in_flight_max;
    im->flight_count = wanted < 1 ? 1 : wanted > IN_FLIGHT_MAX ? IN_FLIGHT_MAX : (size_t)wanted;
    im->flights = base_arena_zalloc(&im->arena, im->flight_count * sizeof *im->flights);
    im->free_list = base_arena_alloc(&im->arena, im->flight_count * sizeof *im->free_list);
    size_t *ends =
        base_arena_zalloc(&im->arena, im->flight_count * (im->bind_count + 1) * sizeof *ends);
    if (!im->flights || !im->free_list || !ends) {
        im->flights = NULL;
        return base_err_set(err, BASE_E_NOMEM, "requests");
    }
    for (size_t i = 0; i < im->flight_count; i++) {
        base_buf_init(&im->flights[i].values, CLI_CSV_RECORD_SIZE_MAX);
        base_buf_init(&im->flights[i].raw, CLI_CSV_RECORD_SIZE_MAX);
        im->flights[i].ends = ends + i * (im->bind_count + 1);
        im->free_list[im->free_count++] = (int16_t)i;
    }
    return BASE_OK;
}

/* Files. */

/* 'a.csv, more/\*.csv' as paths. */
static int find_files(struct import *im, struct base_err *err)
{
    struct cli_copy *c = im->copy;
    if (!c->path) {
        im->is_stdin = true;
        return BASE_OK;
    }
    for (const char *at = c->path; *at;) {
        size_t len = strcspn(at, ",");
        const char *begin = at;
        while (*begin == ' ')
            begin++;
        char *pattern =
            base_arena_strdup(&im->arena, base_slice(begin, len - (size_t)(begin - at)));
        if (!pattern)
            return base_err_set(err, BASE_E_NOMEM, "paths");
        if (*pattern &&
            glob(pattern, GLOB_TILDE | GLOB_NOCHECK | (im->paths.gl_pathc ? GLOB_APPEND : 0), NULL,
                 &im->paths) != 0)
            return base_err_set(err, BASE_E_INVALID, "'%s' cannot be looked for", pattern);
        at += len + (at[len] == ',');
    }
    return im->paths.gl_pathc ? BASE_OK : base_err_set(err, BASE_E_INVALID, "No file was named");
}

/* A byte order mark is no part of the first field. */
static int pass_over_mark(FILE *file)
{
    static const uint8_t mark[3] = {0xEF, 0xBB, 0xBF};
    int c[3], n = 0;
    while (n < 3 && (c[n] = getc(file)) == mark[n])
        n++;
    if (n == 3)
        return BASE_OK;
    for (int back = n; back >= 0; back--) /* glibc takes back as much as was read */
        if (c[back] != EOF && ungetc(c[back], file) == EOF)
            return BASE_E_IO;
    return BASE_OK;
}

/* Open the next; *more false: there is none. */
static int next_file(struct import *im, bool *more, struct base_err *err)
{
    struct cli_shell *shell = im->copy->shell;
    *more = true;
    if (im->file && !im->is_stdin)
        fclose(im->file);
    bool was_open = im->file != NULL;
    im->file = NULL;
    im->header_due = im->copy->header;
    im->record.lines = 0;
    if (im->is_stdin) {
        *more = !was_open;
        im->file = was_open ? NULL : shell->input->file ? shell->input->file : stdin;
        if (!was_open && shell->tty)
            puts("[Use . on a line by itself to end input]");
    } else if (im->path_at == im->paths.gl_pathc) {
        *more = false;
    } else {
        const char *path = im->paths.gl_pathv[im->path_at++];
        im->file = fopen(path, "re");
        if (!im->file)
            return base_err_set(err, BASE_E_NOTFOUND, "Can't open '%s' for reading: %s", path,
                                strerror(errno));
        if (pass_over_mark(im->file) != BASE_OK)
            return base_err_set(err, BASE_E_IO, "'%s' cannot be read", path);
    }
    im->files += *more;
    return BASE_OK;
}

/* The next row of the files into im->record; *more false: the end. */
static int next_record(struct import *im, bool *more, struct base_err *err)
{
    struct cli_copy *c = im->copy;
    for (;;) {
        *more = im->file != NULL;
        int rc = im->file ? cli_csv_read(&c->dialect, im->file, &im->record, more, err) : BASE_OK;
        if (rc != BASE_OK)
            return im->is_stdin ? rc
                                : base_err_wrap(err, rc, "%s", im->paths.gl_pathv[im->path_at - 1]);
        if (*more && im->is_stdin && im->record.count == 1 &&
            base_slice_equal(cli_csv_field(&im->record, 0), BASE_SLICE_LIT(".")))
            *more = false;
        if (!*more) {
            rc = next_file(im, more, err);
            if (rc != BASE_OK || !*more)
                return rc;
            continue;
        }
        if (im->header_due) {
            im->header_due = false;
            continue;
        }
        if (c->skip_rows > 0) {
            c->skip_rows--;
            im->skipped++;
            continue;
        }
        return BASE_OK;
    }
}

/* Rows. */

static int put_raw(struct import *im, struct base_buf *raw)
{
    int rc = BASE_OK;
    base_buf_reset(raw);
    for (size_t i = 0; rc == BASE_OK && i < im->record.count; i++)
        rc = cli_csv_put(&im->copy->dialect, cli_csv_field(&im->record, i), i == 0, raw);
    return rc;
}

/* A marker's value out of its field. Null: what NULL says, and an empty field of a type that has no
 * empty form. */
static int convert_field(struct import *im, struct flight *f, size_t bind, struct base_err *err)
{
    struct cli_copy *c = im->copy;
    const struct cli_copy_column *column = &c->columns[im->column_of[bind]];
    struct base_slice field = cli_csv_field(&im->record, im->column_of[bind]);
    struct cli_csv_forms forms = {.decimal_separator = c->decimal_separator,
                                  .thousands_separator = c->thousands[0],
                                  .yes = c->yes,
                                  .no = c->no,
                                  .null = c->null,
                                  .date_time_format = c->date_time_format};
    bool null = base_slice_equal(field, base_slice_str(c->null));
    size_t at = f->values.len;
    f->ends[bind] = SIZE_MAX;
    if (null && column->kind != CLI_COPY_REGULAR)
        return base_err_set(err, BASE_E_INVALID,
                            "Cannot insert null value for primary key column '%s'.%s", column->name,
                            c->null[0] ? ""
                                       : " If you want to insert empty strings, consider using the "
                                         "WITH NULL=<marker> option for COPY.");
    if (null && column->is_counter)
        field = BASE_SLICE_LIT("0");
    else if (null)
        return BASE_OK;
    int rc = cli_csv_value(&forms, im->binds[bind].type, field, &f->values, err);
    if (rc != BASE_OK && field.len == 0 && column->kind == CLI_COPY_REGULAR) {
        f->values.len = at;
        return BASE_OK;
    }
    if (rc != BASE_OK)
        return base_err_wrap(err, rc, "Failed to parse %.*s",
                             (int)(field.len < 80 ? field.len : 80), (const char *)field.data);
    f->ends[bind] = f->values.len;
    return BASE_OK;
}

static int send_row(struct import *im, int16_t index, struct base_err *err)
{
    struct flight *f = &im->flights[index];
    struct cli_cql *cql = &im->copy->shell->cql;
    struct cql_value values[CLI_COPY_COLUMNS_MAX];
    size_t at = 0;
    for (size_t i = 0; i < im->bind_count; i++) {
        bool null = f->ends[i] == SIZE_MAX;
        values[i].state = null ? CQL_VALUE_NULL : CQL_VALUE_SET;
        values[i].bytes =
            null ? (struct base_slice){0} : base_slice(f->values.data + at, f->ends[i] - at);
        at = null ? at : f->ends[i];
    }
    struct cql_execute execute = {.id = im->id,
                                  .result_metadata_id = im->metadata_id,
                                  .options = {.consistency = (uint16_t)im->copy->shell->consistency,
                                              .values = values,
                                              .value_count = im->bind_count,
                                              .serial_consistency = CQL_SERIAL_DEFAULT}};
    int rc = cql_wire_begin(&cql->out, CQL_OPCODE_EXECUTE,
                            (int16_t)(CLI_CQL_CALL_STREAM_MAX + 1 + index), 0);
    if (rc == BASE_OK) {
        rc = cql_put_execute(&cql->out.bytes, cql->version, &execute);
        if (rc == BASE_OK)
            rc = cql_wire_end(&cql->out);
        else
            cql_wire_abandon(&cql->out);
    }
    f->attempts++;
    f->again_ns = 0;
    return rc == BASE_OK ? rc : base_err_set(err, rc, "the row is too large to be sent");
}

/* Take the record into a free flight and send it; one that cannot be is rejected. */
static void take_record(struct import *im)
{
    BASE_ASSERT(im->free_count > 0);
    struct cli_copy *c = im->copy;
    int16_t index = im->free_list[im->free_count - 1];
    struct flight *f = &im->flights[index];
    struct base_err err = {0};
    int rc = put_raw(im, &f->raw);
    base_buf_reset(&f->values);
    f->attempts = 0;
    if (rc == BASE_OK && im->record.count != c->column_count)
        rc = base_err_set(&err, BASE_E_INVALID, "Invalid row length %zu should be %zu",
                          im->record.count, c->column_count);
    for (size_t i = 0; rc == BASE_OK && i < im->bind_count; i++)
        rc = convert_field(im, f, i, &err);
    if (rc == BASE_OK)
        rc = send_row(im, index, &err);
    if (rc != BASE_OK) {
        count_parse_error(im, err.text[0] ? err.text : base_err_words(rc), base_buf_view(&f->raw));
        return;
    }
    f->busy = true;
    im->free_count--;
    im->in_flight++;
}

static void land(struct import *im, int16_t index)
{
    im->flights[index].busy = false;
    im->free_list[im->free_count++] = index;
    im->in_flight--;
}

/* May the same be sent again? */
static bool passes(const struct import *im, const struct cql_error *e)
{
    if (e->code == CQL_ERROR_UNAVAILABLE || e->code == CQL_ERROR_OVERLOADED ||
        e->code == CQL_ERROR_BOOTSTRAPPING)
        return true;
    return e->code == CQL_ERROR_WRITE_TIMEOUT && !im->has_counter;
}

static int take_answer(struct import *im, struct cql_message *m, struct base_err *err)
{
    struct cql_prefix prefix;
    struct cql_error error;
    int index = m->stream - (CLI_CQL_CALL_STREAM_MAX + 1);
    if (index < 0 || (size_t)index >= im->flight_count || !im->flights[index].busy)
        return BASE_OK; /* an event; the late answer to a call that was given up */
    struct flight *f = &im->flights[index];
    base_arena_reset(&im->reply);
    int rc = cql_get_prefix(m, &im->reply, &prefix, err);
    if (rc != BASE_OK || m->opcode != CQL_OPCODE_ERROR) {
        im->taken += rc == BASE_OK;
        land(im, (int16_t)index);
        return rc;
    }
    rc = cql_get_error(&im->reply, im->copy->shell->cql.version, m->body, &error, err);
    if (rc != BASE_OK)
        return rc;
    bool overloaded = error.code == CQL_ERROR_OVERLOADED;
    int64_t attempts_max = overloaded ? im->copy->backoff_attempts_max : im->copy->attempts_max;
    if (passes(im, &error) && f->attempts < attempts_max && !im->stopped) {
        if (!overloaded)
            return send_row(im, (int16_t)index, err);
        unsigned shift = f->attempts < 7 ? (unsigned)f->attempts : 7;
        f->again_ns = cli_copy_now_ns() + (BACKOFF_NS << shift);
        im->resting++;
        return BASE_OK;
    }
    char why[512];
    snprintf(why, sizeof why, "%s: %.*s", cli_cql_error_words(error.code),
             BASE_SLICE_ARG(error.message));
    count_insert_error(im, "Error", why, base_buf_view(&f->raw));
    land(im, (int16_t)index);
    return BASE_OK;
}

/* The loop. */

/* Read rows while there is room for them, and INGESTRATE allows. */
static int feed(struct import *im, struct base_err *err)
{
    struct cli_copy *c = im->copy;
    double allowed = c->rate > 0 ? (double)c->rate * (cli_copy_seconds(c) + 0.1) : 1e300;
    while (!im->at_end && !im->stopped && im->free_count > 0 && (double)im->read < allowed) {
        bool more = true;
        if (c->rows_max >= 0 && im->read >= (uint64_t)c->rows_max)
            more = false;
        int rc = more ? next_record(im, &more, err) : BASE_OK;
        if (rc != BASE_OK)
            return rc;
        if (!more) {
            im->at_end = true;
            break;
        }
        im->read++;
        take_record(im);
    }
    return BASE_OK;
}

/* Rows that an overloaded node did not take: again, when they have waited. */
static int wake(struct import *im, struct base_err *err)
{
    uint64_t now_ns = im->resting ? cli_copy_now_ns() : 0;
    int rc = BASE_OK;
    for (size_t i = 0; rc == BASE_OK && im->resting && i < im->flight_count; i++) {
        struct flight *f = &im->flights[i];
        if (!f->busy || !f->again_ns || f->again_ns > now_ns)
            continue;
        im->resting--;
        rc = send_row(im, (int16_t)i, err);
    }
    return rc;
}

static int exchange(struct import *im, struct base_err *err)
{
    int woken = wake(im, err);
    if (woken != BASE_OK)
        return woken;
    struct cli_cql *cql = &im->copy->shell->cql;
    int rc = cli_cql_write(cql, err);
    if (rc != BASE_OK && rc != BASE_E_BUSY)
        return rc;
    struct pollfd p = {.fd = cql->fd,
                       .events = (short)(POLLIN | (rc == BASE_E_BUSY ? POLLOUT : 0))};
    bool idle = im->in_flight == im->resting; /* held back by INGESTRATE, or by the node */
    if (poll(&p, 1, idle ? 5 : 100) < 0 && errno != EINTR)
        return base_err_set(err, BASE_E_IO, "poll: %s", strerror(errno));
    if (!(p.revents & ~POLLOUT))
        return BASE_OK;
    rc = cli_cql_read(cql, err);
    while (rc == BASE_OK) {
        struct cql_message message;
        enum cql_wire_step step = cli_cql_next(cql, &message, err);
        if (step == CQL_WIRE_MORE)
            return BASE_OK;
        rc = step == CQL_WIRE_BAD ? BASE_E_INVALID : take_answer(im, &message, err);
    }
    return rc == BASE_E_BUSY ? BASE_OK : rc;
}

static int run(struct import *im, struct base_err *err)
{
    uint64_t moved_ns = cli_copy_now_ns(), moved = 0;
    bool more;
    int rc = next_file(im, &more, err);
    while (rc == BASE_OK && (!(im->at_end || im->stopped) || im->in_flight > 0)) {
        if (cli_shell_interrupted(im->copy->shell))
            im->stopped = true;
        rc = feed(im, err);
        if (rc != BASE_OK) { /* a file that cannot be read on: what is in flight lands first */
            im->stopped = true;
            struct base_err second = {0};
            while (im->in_flight > 0 && exchange(im, &second) == BASE_OK)
                ;
            return rc;
        }
        if (im->in_flight > 0 || !(im->at_end || im->stopped))
            rc = exchange(im, err);
        uint64_t landed = im->taken + im->insert_errors + im->parse_errors;
        if (landed != moved || im->in_flight == 0) {
            moved = landed;
            moved_ns = cli_copy_now_ns();
        }
        if (rc == BASE_OK &&
            (double)(cli_copy_now_ns() - moved_ns) / 1e9 > im->copy->request_timeout_s)
            rc = base_err_set(err, BASE_E_TIMEOUT, "No records inserted in %g seconds, aborting",
                              im->copy->request_timeout_s);
        cli_copy_progress(im->copy, landed, false);
    }
    return rc;
}

static void finish(struct import *im, int rc, const struct base_err *err)
{
    struct cli_copy *c = im->copy;
    char took[96];
    for (size_t i = 0; im->flights && i < im->flight_count;
         i++) { /* the connection is lost: nobody knows of these */
        if (im->flights[i].busy) {
            im->insert_errors++;
            reject(im, "Error", "no answer came", base_buf_view(&im->flights[i].raw));
            c->shell->lost = true;
        }
        base_buf_fini(&im->flights[i].values);
        base_buf_fini(&im->flights[i].raw);
    }
    uint64_t failed = im->parse_errors + im->insert_errors;
    cli_copy_progress(c, im->taken + failed, true);
    if (rc != BASE_OK)
        cli_shell_fail(c->shell, "%s%s", err->text,
                       im->file && !im->at_end ? "; what follows in the file was not read" : "");
    if (im->shown > ERRORS_SHOWN)
        cli_shell_fail(c->shell, "… and %llu more like these",
                       (unsigned long long)(im->shown - ERRORS_SHOWN));
    if (failed)
        say_failed(im, failed);
    cli_copy_interval(c, took);
    cli_copy_say(c, "%llu rows imported from %llu files in %s (%llu skipped).\n",
                 (unsigned long long)im->taken, (unsigned long long)im->files, took,
                 (unsigned long long)im->skipped);
}

void cli_copy_from(struct cli_copy *c)
{
    struct import *im = calloc(1, sizeof *im);
    struct base_err err = {0};
    BASE_ASSERT(im);
    im->copy = c;
    base_arena_init(&im->arena);
    base_arena_init(&im->reply);
    cli_csv_record_init(&im->record);
    if (c->error_file)
        snprintf(im->error_path, sizeof im->error_path, "%s", c->error_file);
    else
        snprintf(im->error_path, sizeof im->error_path, "import_%.200s_%.200s.err", c->keyspace,
                 c->table);
    int rc = prepare(im, &err);
    if (rc == BASE_OK)
        rc = make_flights(im, &err);
    if (rc == BASE_OK)
        rc = find_files(im, &err);
    if (rc == BASE_OK)
        rc = run(im, &err);
    finish(im, rc, &err);
    if (im->file && !im->is_stdin)
        fclose(im->file);
    if (im->error_file)
        fclose(im->error_file);
    globfree(&im->paths);
    cli_csv_record_fini(&im->record);
    base_arena_fini(&im->reply);
    base_arena_fini(&im->arena);
    free(im);
}
