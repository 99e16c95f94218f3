/* COPY: the statement, its options, the table's columns; progress (copy_private.h). */
#include "cli/copy_private.h"

#include <ctype.h>
#include <errno.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

uint64_t cli_copy_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Progress. */

double cli_copy_seconds(const struct cli_copy *c)
{
    double s = (double)(cli_copy_now_ns() - c->started_ns) / 1e9;
    return s > 0.0005 ? s : 0.0005;
}

void cli_copy_interval(const struct cli_copy *c, char text[96])
{
    static const struct {
        unsigned seconds;
        const char *name;
    } units[] = {{86400, "day"}, {3600, "hour"}, {60, "minute"}};
    double s = cli_copy_seconds(c);
    unsigned long whole = (unsigned long)s;
    size_t n = 0;
    for (size_t i = 0; i < BASE_COUNT(units); i++) {
        unsigned long count = whole / units[i].seconds;
        whole %= units[i].seconds;
        if (count)
            n += (size_t)snprintf(text + n, 96 - n, "%lu %s%s, ", count, units[i].name,
                                  count == 1 ? "" : "s");
    }
    snprintf(text + n, 96 - n, "%s%.3f seconds", n ? "and " : "",
             s - (double)((unsigned long)s - whole));
}

void cli_copy_say(const struct cli_copy *c, const char *fmt, ...)
{
    va_list ap;
    if (c->to && !c->path)
        return;
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    fflush(stdout);
}

void cli_copy_progress(struct cli_copy *c, uint64_t rows, bool last)
{
    uint64_t now_ns = cli_copy_now_ns();
    double span = (double)(now_ns - c->shown_ns) / 1e9,
           average = (double)rows / cli_copy_seconds(c);
    if (!last && span < c->report_s)
        return;
    c->rate_now =
        c->shown_rows ? (double)(rows - c->shown_rows) / (span > 0.001 ? span : 0.001) : average;
    if (last && rows == c->shown_rows)
        c->rate_now = average;
    c->shown_ns = now_ns;
    c->shown_rows = rows;
    if (last)
        cli_copy_say(c, "%sProcessed: %llu rows; Rate: %7.0f rows/s; Avg. rate: %7.0f rows/s\n",
                     isatty(STDERR_FILENO) ? "\r" : "", (unsigned long long)rows, c->rate_now,
                     average);
    else if (isatty(STDERR_FILENO))
        fprintf(stderr, "\rProcessed: %llu rows; Rate: %7.0f rows/s; Avg. rate: %7.0f rows/s",
                (unsigned long long)rows, c->rate_now, average);
}

/* Options. */

#define ONE_PROCESS "one process with one connection keeps MAXINFLIGHTMESSAGES rows in flight"
enum form { TEXT, LETTER, NUMBER, FLAG, SECONDS, BOOLSTYLE, FIXED };
enum direction { BOTH, TO, FROM };
static const struct option {
    const char *name;
    enum form form;
    enum direction direction;
    size_t at; /* of struct cli_copy */
    /* FIXED: cqlsh's options that can say here only what is so; the words that do, apart by
     * blanks, and why others do not */
    const char *words, *why;
} options[] = {
    {"delimiter", LETTER, BOTH, offsetof(struct cli_copy, dialect.delimiter), NULL, NULL},
    {"quote", LETTER, BOTH, offsetof(struct cli_copy, dialect.quote), NULL, NULL},
    {"escape", LETTER, BOTH, offsetof(struct cli_copy, dialect.escape), NULL, NULL},
    {"header", FLAG, BOTH, offsetof(struct cli_copy, header), NULL, NULL},
    {"null", TEXT, BOTH, offsetof(struct cli_copy, null), NULL, NULL},
    {"datetimeformat", TEXT, BOTH, offsetof(struct cli_copy, date_time_format), NULL, NULL},
    {"decimalsep", LETTER, BOTH, offsetof(struct cli_copy, decimal_separator), NULL, NULL},
    {"thousandssep", TEXT, BOTH, offsetof(struct cli_copy, thousands), NULL, NULL},
    {"boolstyle", BOOLSTYLE, BOTH, 0, NULL, NULL},
    {"reportfrequency", SECONDS, BOTH, offsetof(struct cli_copy, report_s), NULL, NULL},
    {"ratefile", TEXT, BOTH, offsetof(struct cli_copy, rate_file), NULL, NULL},
    {"maxattempts", NUMBER, BOTH, offsetof(struct cli_copy, attempts_max), NULL, NULL},
    {"numprocesses", FIXED, BOTH, 0, "1", ONE_PROCESS},
    {"encoding", FIXED, BOTH, 0, "utf8 utf-8", "files are read and written in UTF-8"},
    {"configfile", FIXED, BOTH, 0, "", "options stand in the statement"},
    {"pagesize", NUMBER, TO, offsetof(struct cli_copy, page_size), NULL, NULL},
    {"pagetimeout", SECONDS, TO, offsetof(struct cli_copy, page_timeout_s), NULL, NULL},
    {"maxrequests", FIXED, TO, 0, "1", "one page is asked for at a time"},
    {"begintoken", TEXT, TO, offsetof(struct cli_copy, begin_token), NULL, NULL},
    {"endtoken", TEXT, TO, offsetof(struct cli_copy, end_token), NULL, NULL},
    {"maxoutputsize", NUMBER, TO, offsetof(struct cli_copy, output_size_max), NULL, NULL},
    {"floatprecision", NUMBER, TO, offsetof(struct cli_copy, float_digits), NULL, NULL},
    {"doubleprecision", NUMBER, TO, offsetof(struct cli_copy, double_digits), NULL, NULL},
    {"chunksize", FIXED, FROM, 0, "", ONE_PROCESS},
    {"minbatchsize", FIXED, FROM, 0, "1", "each row is a request of its own"},
    {"maxbatchsize", FIXED, FROM, 0, "1", "each row is a request of its own"},
    {"maxbackoffattempts", NUMBER, FROM, offsetof(struct cli_copy, backoff_attempts_max), NULL,
     NULL},
    {"maxpendingchunks", FIXED, FROM, 0, "", ONE_PROCESS},
    {"requesttimeout", SECONDS, FROM, offsetof(struct cli_copy, request_timeout_s), NULL, NULL},
    {"childtimeout", FIXED, FROM, 0, "", ONE_PROCESS},
    {"preparedstatements", FIXED, FROM, 0, "true", "rows are sent by a prepared statement"},
    {"maxinflightmessages", NUMBER, FROM, offsetof(struct cli_copy, in_flight_max), NULL, NULL},
    {"ingestrate", NUMBER, FROM, offsetof(struct cli_copy, rate), NULL, NULL},
    {"maxrows", NUMBER, FROM, offsetof(struct cli_copy, rows_max), NULL, NULL},
    {"skiprows", NUMBER, FROM, offsetof(struct cli_copy, skip_rows), NULL, NULL},
    {"skipcols", TEXT, FROM, offsetof(struct cli_copy, skip_columns), NULL, NULL},
    {"maxparseerrors", NUMBER, FROM, offsetof(struct cli_copy, parse_errors_max), NULL, NULL},
    {"maxinserterrors", NUMBER, FROM, offsetof(struct cli_copy, insert_errors_max), NULL, NULL},
    {"errfile", TEXT, FROM, offsetof(struct cli_copy, error_file), NULL, NULL},
    {"ttl", NUMBER, FROM, offsetof(struct cli_copy, ttl), NULL, NULL},
};

static bool set_styles(struct cli_copy *c, const char *value)
{
    const char *comma = strchr(value, ',');
    if (!comma || comma == value || !comma[1] || strchr(comma + 1, ','))
        return false;
    const char *no = comma + 1;
    while (*no == ' ')
        no++;
    c->yes = base_arena_strdup(&c->arena, base_slice(value, (size_t)(comma - value)));
    c->no = base_arena_strdup(&c->arena, base_slice_str(no));
    return c->yes && c->no && *c->no && strcasecmp(c->yes, c->no) != 0;
}

static bool is_word(const char *words, const char *value)
{
    for (size_t len; *words; words += len + (words[len] == ' ')) {
        len = strcspn(words, " ");
        if (strlen(value) == len && strncasecmp(words, value, len) == 0)
            return true;
    }
    return false;
}

static bool set_option(struct cli_copy *c, const struct option *o, const char *value)
{
    void *place = (char *)c + o->at;
    char *end;
    switch (o->form) {
    case TEXT:
        *(const char **)place = value;
        return true;
    case LETTER:
        if (strcmp(value, "\\t") == 0)
            value = "\t";
        *(char *)place = value[0];
        return value[0] && !value[1];
    case NUMBER:
        *(int64_t *)place = strtoll(value, &end, 10);
        return *value && !*end;
    case FLAG:
        *(bool *)place = strcasecmp(value, "true") == 0;
        return *(bool *)place || strcasecmp(value, "false") == 0;
    case SECONDS:
        *(double *)place = strtod(value, &end);
        return *value && !*end && *(double *)place > 0;
    case BOOLSTYLE:
        return set_styles(c, value);
    case FIXED:
        return is_word(o->words, value);
    }
    return false;
}

static const struct option *find_option(const struct cli_copy *c, const struct cli_token *name)
{
    for (size_t i = 0; i < BASE_COUNT(options); i++)
        if (cli_token_is(name, options[i].name) && options[i].direction != (c->to ? FROM : TO))
            return &options[i];
    return NULL;
}

static void refuse_option(const struct cli_copy *c, const struct option *o, const char *value)
{
    char name[32];
    size_t i = 0;
    for (; o->name[i] && i + 1 < sizeof name; i++)
        name[i] = (char)toupper((unsigned char)o->name[i]);
    name[i] = 0;
    if (o->form != FIXED)
        cli_shell_fail(c->shell, "COPY: %s cannot be '%s'", name, value);
    else if (*o->words)
        cli_shell_fail(c->shell, "COPY: %s cannot be '%s', only %.*s: %s", name, value,
                       (int)strcspn(o->words, " "), o->words, o->why);
    else
        cli_shell_fail(c->shell, "COPY: leave %s out: %s", name, o->why);
}

/* name = value */
static bool parse_option(struct cli_copy *c, struct base_slice *rest)
{
    struct base_buf text;
    struct cli_token name = cli_token_next(rest), equals = cli_token_next(rest),
                     value = cli_token_next(rest);
    const struct option *o = find_option(c, &name);
    if (name.kind != CLI_TOKEN_WORD || !cli_token_is(&equals, "=") || value.kind == CLI_TOKEN_END)
        return false;
    if (!o) {
        cli_shell_fail(c->shell, "Unrecognized COPY %s options: %.*s", c->to ? "TO" : "FROM",
                       BASE_SLICE_ARG(name.text));
        return false;
    }
    if (value.kind == CLI_TOKEN_SYMBOL && value.text.data[0] == '-') /* a sign apart */
        value = cli_token_next(rest);
    base_buf_init(&text, 1 << 20);
    const char *kept = cli_token_unquote(&value, &text) == BASE_OK
                           ? base_arena_strdup(&c->arena, base_buf_view(&text))
                           : NULL;
    base_buf_fini(&text);
    if (kept && set_option(c, o, kept))
        return true;
    refuse_option(c, o, kept ? kept : "");
    return false;
}

/* [WITH name = value [AND …]] */
static bool parse_options(struct cli_copy *c, struct base_slice rest)
{
    struct cli_token token = cli_token_next(&rest);
    if (token.kind == CLI_TOKEN_END)
        return true;
    if (!cli_token_is(&token, "with"))
        return false;
    do {
        if (!parse_option(c, &rest))
            return false;
        token = cli_token_next(&rest);
    } while (cli_token_is(&token, "and"));
    return token.kind == CLI_TOKEN_END;
}

/* Columns. */

static const char *quote_name(struct cli_copy *c, const char *name)
{
    struct base_buf text;
    base_buf_init(&text, 65536);
    int rc = base_buf_put_u8(&text, '"');
    for (const char *p = name; rc == BASE_OK && *p; p++) {
        rc = base_buf_put_u8(&text, (uint8_t)*p);
        if (rc == BASE_OK && *p == '"')
            rc = base_buf_put_u8(&text, '"');
    }
    if (rc == BASE_OK)
        rc = base_buf_put_u8(&text, '"');
    const char *quoted = rc == BASE_OK ? base_arena_strdup(&c->arena, base_buf_view(&text)) : NULL;
    base_buf_fini(&text);
    return quoted ? quoted : "\"\"";
}

static int order(const void *a, const void *b)
{
    const struct cli_copy_column *x = a, *y = b;
    if (x->kind != y->kind)
        return (int)x->kind - (int)y->kind;
    return x->kind != CLI_COPY_REGULAR ? x->position - y->position : strcmp(x->name, y->name);
}

/* The table's columns: keys first, the others by name. */
static bool load_columns(struct cli_copy *c, struct cli_copy_column *all, size_t *count)
{
    char text[1024];
    struct cli_cql_reply reply;
    struct cql_value cells[4];
    struct base_err err = {0};
    if (strchr(c->keyspace, '\'') || strchr(c->table, '\''))
        return false;
    snprintf(text, sizeof text,
             "SELECT column_name, kind, position, type FROM system_schema.columns WHERE "
             "keyspace_name = '%s' AND table_name = '%s'",
             c->keyspace, c->table);
    int rc = cli_cql_simple(&c->shell->cql, &c->arena, text, &reply, &err);
    if (rc != BASE_OK) {
        cli_shell_fail(c->shell, "%s", err.text);
        return false;
    }
    struct base_reader rows = base_reader(reply.result.rows);
    *count = 0;
    while (reply.result.column_count == 4 && *count < CLI_COPY_COLUMNS_MAX &&
           cql_next_row(&rows, cells, 4)) {
        struct cli_copy_column *column = &all[(*count)++];
        bool is_key = base_slice_equal(cells[1].bytes, BASE_SLICE_LIT("partition_key"));
        column->name = base_arena_strdup(&c->arena, cells[0].bytes);
        column->kind = is_key ? CLI_COPY_PARTITION_KEY
                       : base_slice_equal(cells[1].bytes, BASE_SLICE_LIT("clustering"))
                           ? CLI_COPY_CLUSTERING
                           : CLI_COPY_REGULAR;
        column->position =
            cells[2].bytes.len == 4 ? (int32_t)base_get_be32(cells[2].bytes.data) : 0;
        column->is_counter = base_slice_equal(cells[3].bytes, BASE_SLICE_LIT("counter"));
        column->cql = column->name ? quote_name(c, column->name) : "";
        c->key_count += column->kind != CLI_COPY_REGULAR;
        if (!column->name)
            return false;
    }
    if (*count == 0)
        cli_shell_fail(c->shell, "Table '%s' not found in keyspace '%s'", c->table, c->keyspace);
    qsort(all, *count, sizeof *all, order);
    return *count > 0;
}

static bool is_listed(const char *list, const char *name)
{
    for (const char *at = list; at && *at;) {
        size_t len = strcspn(at, ",");
        const char *begin = at, *end = at + len;
        while (begin < end && isspace((unsigned char)*begin))
            begin++;
        while (end > begin && isspace((unsigned char)end[-1]))
            end--;
        if ((size_t)(end - begin) == strlen(name) &&
            strncmp(begin, name, (size_t)(end - begin)) == 0)
            return true;
        at += len + (at[len] == ',');
    }
    return false;
}

/* Which columns the file has: those named, or all. */
static bool choose_columns(struct cli_copy *c, const char *const *names, size_t name_count)
{
    struct cli_copy_column *all = base_arena_zalloc(&c->arena, CLI_COPY_COLUMNS_MAX * sizeof *all);
    size_t count, used = 0;
    if (!all || !load_columns(c, all, &count))
        return false;
    for (size_t i = 0; i < (name_count ? name_count : count); i++) {
        size_t at = i;
        for (at = name_count ? 0 : i;
             name_count && at < count && strcmp(all[at].name, names[i]) != 0;)
            at++;
        if (at >= count) {
            cli_shell_fail(c->shell, "Invalid column name %s", names[i]);
            return false;
        }
        struct cli_copy_column *column = &c->columns[c->column_count++];
        *column = all[at];
        column->skip = !c->to && is_listed(c->skip_columns, column->name);
        used += !column->skip;
        c->keys_given += !column->skip && column->kind != CLI_COPY_REGULAR;
    }
    for (size_t i = 0; !c->to && i < count && all[i].kind != CLI_COPY_REGULAR; i++) {
        bool given = false;
        for (size_t k = 0; k < c->column_count; k++)
            given = given || (!c->columns[k].skip && strcmp(c->columns[k].name, all[i].name) == 0);
        if (!given) {
            cli_shell_fail(c->shell, "Primary key column '%s' missing or skipped", all[i].name);
            return false;
        }
    }
    if (used == 0)
        cli_shell_fail(c->shell, "No column specified");
    return used > 0;
}

/* The statement. */

static const char *identifier(struct cli_copy *c, const struct cli_token *token)
{
    struct base_buf text;
    const char *name = NULL;
    if (token->kind != CLI_TOKEN_WORD && token->kind != CLI_TOKEN_NAME)
        return NULL;
    base_buf_init(&text, 65536);
    if (cli_token_identifier(token, &text) == BASE_OK)
        name = base_arena_strdup(&c->arena, base_buf_view(&text));
    base_buf_fini(&text);
    return name;
}

/* COPY [keyspace.]table [(column, …)] TO|FROM 'path'|STDIN|STDOUT; false: it is not that. */
static bool parse(struct cli_copy *c, struct base_slice *rest, const char **names,
                  size_t *name_count)
{
    struct base_buf text;
    struct cli_token token = cli_token_next(rest);
    token = cli_token_next(rest);
    c->table = identifier(c, &token);
    c->keyspace = c->shell->keyspace;
    token = cli_token_next(rest);
    if (cli_token_is(&token, ".")) {
        c->keyspace = c->table;
        token = cli_token_next(rest);
        c->table = identifier(c, &token);
        token = cli_token_next(rest);
    }
    if (!c->table)
        return false;
    if (cli_token_is(&token, "(")) {
        do {
            token = cli_token_next(rest);
            names[*name_count] = identifier(c, &token);
            if (!names[*name_count] || ++*name_count == CLI_COPY_COLUMNS_MAX)
                return false;
            token = cli_token_next(rest);
        } while (cli_token_is(&token, ","));
        if (!cli_token_is(&token, ")"))
            return false;
        token = cli_token_next(rest);
    }
    c->to = cli_token_is(&token, "to");
    if (!c->to && !cli_token_is(&token, "from"))
        return false;
    token = cli_token_next(rest);
    if (cli_token_is(&token, c->to ? "stdout" : "stdin"))
        return true;
    if (token.kind != CLI_TOKEN_STRING)
        return false;
    base_buf_init(&text, 65536);
    if (cli_token_unquote(&token, &text) == BASE_OK)
        c->path = base_arena_strdup(&c->arena, base_buf_view(&text));
    base_buf_fini(&text);
    return c->path != NULL;
}

static void write_rate(const struct cli_copy *c, uint64_t rows)
{
    FILE *file = c->rate_file ? fopen(c->rate_file, "we") : NULL;
    if (file)
        fprintf(file, "Processed: %llu rows; Avg. rate: %.0f rows/s\n", (unsigned long long)rows,
                (double)rows / cli_copy_seconds(c));
    if (c->rate_file && (!file || fclose(file) != 0))
        cli_shell_fail(c->shell, "COPY: RATEFILE: %s: %s", c->rate_file, strerror(errno));
}

void cli_shell_copy(struct cli_shell *shell, struct base_slice statement)
{
    struct cli_copy *c = calloc(1, sizeof *c);
    const char **names = calloc(CLI_COPY_COLUMNS_MAX, sizeof *names);
    size_t name_count = 0;
    struct base_slice rest = statement;
    BASE_ASSERT(c && names);
    *c = (struct cli_copy){.shell = shell,
                           .dialect = {',', '"', '\\'},
                           .null = "",
                           .yes = "True",
                           .no = "False",
                           .thousands = "",
                           .decimal_separator = '.',
                           .page_size = 1000,
                           .output_size_max = -1,
                           .rows_max = -1,
                           .parse_errors_max = -1,
                           .insert_errors_max = 1000,
                           .rate = 100000,
                           .ttl = -1,
                           .attempts_max = 5,
                           .backoff_attempts_max = 12,
                           .request_timeout_s = 60,
                           .in_flight_max = 512,
                           .float_digits = 5,
                           .double_digits = 12,
                           .report_s = 0.25};
    base_arena_init(&c->arena);
    bool failed = shell->failed, good = false;
    shell->failed = false;
    if (!parse(c, &rest, names, &name_count))
        cli_shell_fail(shell, "Improper COPY command.");
    else if (!c->keyspace)
        cli_shell_fail(shell, "Not in any keyspace.");
    else if (!parse_options(c, rest)) {
        if (!shell->failed)
            cli_shell_fail(shell, "Improper COPY command.");
    } else {
        good = choose_columns(c, names, name_count);
    }
    if (c->page_timeout_s <= 0) /* as cqlsh: 10 s for each 1000 rows of a page */
        c->page_timeout_s = c->page_size > 1000 ? (double)c->page_size / 100 : 10;
    if (good) {
        cli_copy_say(c, "\nStarting copy of %s.%s with columns [", c->keyspace, c->table);
        bool first = true;
        for (size_t i = 0; i < c->column_count; i++) {
            if (c->columns[i].skip)
                continue;
            cli_copy_say(c, "%s%s", first ? "" : ", ", c->columns[i].name);
            first = false;
        }
        cli_copy_say(c, "].\n");
        c->started_ns = c->shown_ns = cli_copy_now_ns();
        if (c->to)
            cli_copy_to(c);
        else
            cli_copy_from(c);
        write_rate(c, c->shown_rows);
    }
    shell->failed = shell->failed || failed;
    base_arena_fini(&c->arena);
    free(names);
    free(c);
}
