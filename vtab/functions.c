/* SQL functions. Those that touch files or change state are DIRECTONLY: no view or trigger of a
 * stranger's database can call them. */
#include "vtab/vtab_private.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "config.h"

#include "base/key.h"

static struct vtabi_host *host_of(sqlite3_context *context)
{
    return sqlite3_user_data(context);
}

static struct base_slice text_argument(sqlite3_value *value)
{
    const unsigned char *text = sqlite3_value_text(value);
    return base_slice(text, text ? (size_t)sqlite3_value_bytes(value) : 0);
}

/* Statements. */

static void version_function(sqlite3_context *context, int argc, sqlite3_value **argv)
{
    (void)argc;
    (void)argv;
    sqlite3_result_text(context, PACKAGE_VERSION, -1, SQLITE_STATIC);
}

static int read_file(const char *path, struct base_buf *out, struct base_err *err)
{
    FILE *file = fopen(path, "re");
    int rc = BASE_OK;
    if (!file)
        return base_err_set(err, base_err_from_errno(errno), "%s: %s", path, strerror(errno));
    for (size_t n = 1; rc == BASE_OK && n;) {
        rc = base_buf_reserve(out, 65536);
        n = rc == BASE_OK ? fread(out->data + out->len, 1, 65536, file) : 0;
        out->len += n;
    }
    if (rc == BASE_OK && ferror(file))
        rc = base_err_set(err, BASE_E_IO, "%s: %s", path, strerror(errno));
    else if (rc != BASE_OK)
        rc = base_err_set(err, rc, "%s: %s", path, base_err_words(rc));
    fclose(file);
    return rc;
}

/* Only blanks and comments left? Then cql_split gives a piece without a statement. */
static bool is_blank(struct base_slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (!strchr(" \t\r\n;", text.data[i]))
            return false;
    return true;
}

static int run_script(struct vtabi_link *link, const char *path, struct base_slice script,
                      int *count, struct base_err *err)
{
    size_t len;
    int rc = BASE_OK, line = 1;
    while (rc == BASE_OK && (len = cql_split(script)) > 0) {
        struct base_slice statement = base_slice(script.data, len);
        struct base_buf result;
        base_buf_init(&result, VTABI_BUF_MAX);
        if (!is_blank(statement)) {
            rc = node_cql(link->session, statement, &result, err);
            *count += rc == BASE_OK;
        }
        base_buf_fini(&result);
        if (rc != BASE_OK)
            return base_err_wrap(err, rc, "%s, statement at line %d", path, line);
        for (size_t i = 0; i < len; i++)
            line += script.data[i] == '\n';
        script = base_slice(script.data + len, script.len - len);
    }
    return rc;
}

static void source_function(sqlite3_context *context, int argc, sqlite3_value **argv)
{
    struct base_err err = {0};
    struct base_buf script;
    struct vtabi_link *link;
    int count = 0;
    (void)argc;
    const char *path = (const char *)sqlite3_value_text(argv[0]);
    base_buf_init(&script, VTABI_BUF_MAX);
    int rc = path ? read_file(path, &script, &err)
                  : base_err_set(&err, BASE_E_INVALID, "ringlet_source(file)");
    if (rc == BASE_OK)
        rc = vtabi_host_default(host_of(context), &link, &err);
    if (rc == BASE_OK)
        rc = run_script(link, path, base_buf_view(&script), &count, &err);
    if (rc == BASE_OK)
        sqlite3_result_int(context, count);
    else
        vtabi_fail_function(context, rc, &err);
    base_buf_fini(&script);
}

/* The session. */

#define OPTIONS_MAX 64

/* 'name=value' in place. */
static int parse_option(char *text, struct node_option *option, struct base_err *err)
{
    char *equals = text ? strchr(text, '=') : NULL;
    if (!equals || equals == text)
        return base_err_set(err, BASE_E_INVALID, "'%s' is no option: write 'name=value'",
                            text ? text : "NULL");
    *equals = 0;
    *option = (struct node_option){text, equals + 1};
    return BASE_OK;
}

static int open_default(struct vtabi_host *host, const char *dir, const struct node_option *options,
                        size_t count, struct base_err *err)
{
    struct vtabi_link *link;
    if (host->default_dir && strcmp(host->default_dir, dir) != 0)
        return base_err_set(err, BASE_E_BUSY, "%s is open: SELECT ringlet_close() first",
                            host->default_dir);
    int rc = vtabi_host_link(host, "main", base_slice_str(dir), &link, err);
    if (rc == BASE_OK)
        rc = vtabi_link_open(link, options, count, true, err);
    if (rc == BASE_OK && !host->default_dir) {
        host->default_dir = sqlite3_mprintf("%s", link->dir);
        rc = host->default_dir ? BASE_OK : base_err_set(err, BASE_E_NOMEM, "out of memory");
    }
    return rc;
}

/* A path as the caller's process sees it, absolute where that can be told. */
static char *absolute_path(const char *path)
{
    if (path[0] == '/')
        return sqlite3_mprintf("%s", path);
    char *cwd = getcwd(NULL, 0);
    char *absolute = cwd ? sqlite3_mprintf("%s/%s", cwd, path) : sqlite3_mprintf("%s", path);
    free(cwd);
    return absolute;
}

static void open_function(sqlite3_context *context, int argc, sqlite3_value **argv)
{
    struct base_err err = {0};
    struct node_option options[OPTIONS_MAX];
    char *texts[OPTIONS_MAX] = {0};
    const char *path = argc ? (const char *)sqlite3_value_text(argv[0]) : NULL;
    char *dir = path && path[0] ? absolute_path(path) : NULL;
    int rc =
        dir ? BASE_OK : base_err_set(&err, BASE_E_INVALID, "ringlet_open(dir [, 'name=value', …])");
    if (rc == BASE_OK && argc - 1 > OPTIONS_MAX)
        rc = base_err_set(&err, BASE_E_INVALID, "ringlet_open: more than %d options", OPTIONS_MAX);
    int count = rc == BASE_OK ? argc - 1 : 0;
    for (int i = 0; rc == BASE_OK && i < count; i++) {
        texts[i] = vtabi_strdup(text_argument(argv[i + 1]));
        rc = parse_option(texts[i], &options[i], &err);
    }
    if (rc == BASE_OK)
        rc = open_default(host_of(context), dir, options, (size_t)count, &err);
    if (rc == BASE_OK)
        sqlite3_result_text(context, dir, -1, SQLITE_TRANSIENT);
    else
        vtabi_fail_function(context, rc, &err);
    for (int i = 0; i < count; i++)
        sqlite3_free(texts[i]);
    sqlite3_free(dir);
}

/* 'secret_file=PATH', 'cacert=PATH', …: the arguments behind the address. */
static int connect_options(int argc, sqlite3_value **argv,
                           const char *options[VTABI_CONNECT_OPTIONS], struct base_err *err)
{
    static const char *const names[VTABI_CONNECT_OPTIONS] = {
        "secret_file=", "cacert=", "cert=", "key="};
    for (int i = 1; i < argc; i++) {
        const char *text = (const char *)sqlite3_value_text(argv[i]);
        int at = 0;
        while (at < VTABI_CONNECT_OPTIONS &&
               !(text && strncmp(text, names[at], strlen(names[at])) == 0))
            at++;
        if (at == VTABI_CONNECT_OPTIONS)
            return base_err_set(err, BASE_E_INVALID,
                                "ringlet_connect has no option \"%s\": there are secret_file=, "
                                "cacert=, cert=, key=",
                                text ? text : "");
        options[at] = text + strlen(names[at]);
    }
    return BASE_OK;
}

/* TLS files say nothing to nodes that speak plain HTTP; a certificate without its key may hold
 * it. */
static int check_connect_options(const char *contacts,
                                 const char *const options[VTABI_CONNECT_OPTIONS],
                                 struct base_err *err)
{
    if (strncmp(contacts, "https://", 8) != 0 &&
        (options[VTABI_CONNECT_CA] || options[VTABI_CONNECT_CERTIFICATE] ||
         options[VTABI_CONNECT_KEY]))
        return base_err_set(err, BASE_E_INVALID,
                            "cacert=, cert= and key= are for https://, not for http://%s",
                            contacts);
    if (options[VTABI_CONNECT_KEY] && !options[VTABI_CONNECT_CERTIFICATE])
        return base_err_set(err, BASE_E_INVALID, "key= is of no use without cert=");
    return BASE_OK;
}

/* ringlet_connect('http://…' [, 'secret_file=PATH', …]): this connection coordinates; tables
 * without node= live in that cluster. */
static void connect_function(sqlite3_context *context, int argc, sqlite3_value **argv)
{
    const char *options[VTABI_CONNECT_OPTIONS] = {NULL};
    struct vtabi_host *host = host_of(context);
    struct base_err err = {0};
    struct base_buf contacts;
    struct vtabi_link *link;
    base_buf_init(&contacts, 4096);
    int rc =
        argc >= 1
            ? connect_options(argc, argv, options, &err)
            : base_err_set(&err, BASE_E_INVALID,
                           "ringlet_connect('http://HOST:PORT[,HOST:PORT…]' [, 'secret_file=PATH', "
                           "'cacert=PATH', 'cert=PATH', 'key=PATH'])");
    if (rc == BASE_OK && host->default_dir)
        rc = base_err_set(&err, BASE_E_BUSY, "%s is open: SELECT ringlet_close() first",
                          host->default_dir);
    if (rc == BASE_OK)
        rc = node_contacts_parse(text_argument(argv[0]), &contacts, &err);
    if (rc == BASE_OK && base_buf_put_u8(&contacts, 0) != BASE_OK)
        rc = base_err_set(&err, BASE_E_NOMEM, "out of memory");
    if (rc == BASE_OK)
        rc = check_connect_options((const char *)contacts.data, options, &err);
    if (rc == BASE_OK)
        rc = vtabi_host_connect(host, (const char *)contacts.data, options, &err);
    if (rc == BASE_OK)
        rc = vtabi_host_default(host, &link, &err);
    if (rc == BASE_OK)
        rc = node_wait_ready(link->session, &err);
    if (rc == BASE_OK)
        sqlite3_result_text(context, (const char *)contacts.data, -1, SQLITE_TRANSIENT);
    else
        vtabi_fail_function(context, rc, &err);
    base_buf_fini(&contacts);
}

static void close_function(sqlite3_context *context, int argc, sqlite3_value **argv)
{
    struct base_err err = {0};
    (void)argc;
    (void)argv;
    int rc = vtabi_host_close(host_of(context), &err);
    if (rc != BASE_OK)
        vtabi_fail_function(context, rc, &err);
}

static void consistency_function(sqlite3_context *context, int argc, sqlite3_value **argv)
{
    struct vtabi_host *host = host_of(context);
    if (argc > 1) {
        sqlite3_result_error(context, "ringlet_consistency([level])", -1);
        return;
    }
    if (argc == 1) {
        int code = node_consistency_parse(text_argument(argv[0]));
        if (code < 0) {
            sqlite3_result_error(
                context,
                "ringlet_consistency: unknown level; there are ANY, ONE, TWO, THREE, QUORUM, "
                "ALL, LOCAL_QUORUM, EACH_QUORUM, SERIAL, LOCAL_SERIAL, LOCAL_ONE",
                -1);
            return;
        }
        host->consistency = code;
    }
    sqlite3_result_text(context, node_consistency_name(host->consistency), -1, SQLITE_TRANSIENT);
}

static int set_batch(struct vtabi_host *host, struct base_slice mode, struct base_err *err)
{
    bool unlogged = base_slice_equal_nocase(mode, BASE_SLICE_LIT("unlogged"));
    if (!unlogged && !base_slice_equal_nocase(mode, BASE_SLICE_LIT("logged")))
        return base_err_set(err, BASE_E_INVALID, "ringlet_batch: 'logged' or 'unlogged'");
    for (struct vtabi_link *link = host->links; link; link = link->next) {
        int rc = link->session ? node_session_set_batch(link->session, unlogged, err) : BASE_OK;
        if (rc != BASE_OK)
            return rc;
    }
    host->unlogged = unlogged;
    return BASE_OK;
}

static void batch_function(sqlite3_context *context, int argc, sqlite3_value **argv)
{
    struct base_err err = {0};
    struct vtabi_host *host = host_of(context);
    int rc = argc == 0   ? BASE_OK
             : argc == 1 ? set_batch(host, text_argument(argv[0]), &err)
                         : base_err_set(&err, BASE_E_INVALID, "ringlet_batch([mode])");
    if (rc != BASE_OK)
        vtabi_fail_function(context, rc, &err);
    else
        sqlite3_result_text(context, host->unlogged ? "unlogged" : "logged", -1, SQLITE_STATIC);
}

/* Identifiers and tokens. */

static void result_uuid(sqlite3_context *context, struct base_uuid id)
{
    char text[37];
    base_uuid_print(id, text);
    sqlite3_result_text(context, text, 36, SQLITE_TRANSIENT);
}

static void uuid_function(sqlite3_context *context, int argc, sqlite3_value **argv)
{
    struct base_uuid id;
    (void)argc;
    (void)argv;
    node_random(id.b, sizeof id.b);
    id.b[6] = (uint8_t)((id.b[6] & 0x0F) | 0x40);
    id.b[8] = (uint8_t)((id.b[8] & 0x3F) | 0x80);
    result_uuid(context, id);
}

#define UUID_EPOCH_TICKS UINT64_C(0x01B21DD213814000) /* 100 ns from 1582-10-15 to 1970 */

/* Version 1: time, and a random clock sequence and (multicast) node instead of a hardware
 * address. */
static void timeuuid_function(sqlite3_context *context, int argc, sqlite3_value **argv)
{
    struct vtabi_host *host = host_of(context);
    struct base_uuid id;
    uint64_t ticks;
    if (argc > 1 || (argc == 1 && sqlite3_value_numeric_type(argv[0]) != SQLITE_INTEGER)) {
        sqlite3_result_error(context, "ringlet_timeuuid([milliseconds since 1970])", -1);
        return;
    }
    node_random(id.b, sizeof id.b);
    if (argc == 1) {
        ticks = (uint64_t)sqlite3_value_int64(argv[0]) * 10000 + UUID_EPOCH_TICKS;
    } else {
        ticks = (uint64_t)node_wall_us() * 10 + UUID_EPOCH_TICKS;
        ticks = ticks > host->uuid_ticks ? ticks : host->uuid_ticks + 1;
        host->uuid_ticks = ticks;
    }
    base_put_be32(id.b, (uint32_t)ticks);
    base_put_be16(id.b + 4, (uint16_t)(ticks >> 32));
    base_put_be16(id.b + 6, (uint16_t)((ticks >> 48 & 0x0FFF) | 0x1000));
    id.b[8] = (uint8_t)((id.b[8] & 0x3F) | 0x80);
    id.b[10] |= 1;
    result_uuid(context, id);
}

/* "keyspace.table" as typed: both parts folded unless quoted is more than a function needs; exact
 * first, then folded. */
static const struct base_table *find_table(const struct base_schema *schema, struct base_slice name)
{
    const uint8_t *dot = name.len ? memchr(name.data, '.', name.len) : NULL;
    if (!dot)
        return NULL;
    size_t at = (size_t)(dot - name.data);
    return base_schema_table(schema, base_slice(name.data, at),
                             base_slice(dot + 1, name.len - at - 1));
}

static int compose_token(const struct base_table *table, int argc, sqlite3_value **argv,
                         int64_t *token, struct base_err *err)
{
    struct base_buf values, pk;
    size_t n = table->partition_key_count;
    if ((size_t)argc != n)
        return base_err_set(err, BASE_E_INVALID, "%.*s has %zu partition key columns, not %d",
                            BASE_SLICE_ARG(table->name), n, argc);
    struct base_slice *parts = sqlite3_malloc64(n * sizeof *parts);
    size_t *ends = sqlite3_malloc64(n * sizeof *ends);
    int rc = parts && ends ? BASE_OK : base_err_set(err, BASE_E_NOMEM, "out of memory");
    base_buf_init(&values, VTABI_BUF_MAX);
    base_buf_init(&pk, BASE_PKEY_LEN_MAX);
    for (size_t i = 0; rc == BASE_OK && i < n; i++) {
        struct base_sql_value sql;
        vtabi_value_get(argv[i], &sql);
        rc = sql.kind == BASE_SQL_NULL
                 ? base_err_set(err, BASE_E_INVALID, "is NULL")
                 : base_value_from_sql(table->columns[i].type, &sql, &values, err);
        if (rc != BASE_OK)
            rc = base_err_wrap(err, rc, "%.*s.%.*s", BASE_SLICE_ARG(table->name),
                               BASE_SLICE_ARG(table->columns[i].name));
        ends[i] = values.len;
    }
    for (size_t i = 0, from = 0; rc == BASE_OK && i < n; from = ends[i++])
        parts[i] = base_slice(values.data + from, ends[i] - from);
    if (rc == BASE_OK)
        rc = base_pk_compose(parts, n, &pk, err);
    if (rc == BASE_OK)
        *token = base_token(base_buf_view(&pk));
    base_buf_fini(&values);
    base_buf_fini(&pk);
    sqlite3_free(parts);
    sqlite3_free(ends);
    return rc;
}

static void token_function(sqlite3_context *context, int argc, sqlite3_value **argv)
{
    struct base_err err = {0};
    struct vtabi_link *link;
    int64_t token = 0;
    struct base_slice name = argc ? text_argument(argv[0]) : (struct base_slice){0};
    int rc = argc >= 2
                 ? vtabi_host_default(host_of(context), &link, &err)
                 : base_err_set(&err, BASE_E_INVALID, "ringlet_token('keyspace.table', key, …)");
    if (rc == BASE_OK) {
        struct base_schema *schema = node_schema(link->node);
        const struct base_table *table = find_table(schema, name);
        rc = table ? compose_token(table, argc - 1, argv + 1, &token, &err)
                   : base_err_set(&err, BASE_E_NOTFOUND, "ringlet_token: no table %.*s",
                                  BASE_SLICE_ARG(name));
        base_schema_release(schema);
    }
    if (rc == BASE_OK)
        sqlite3_result_int64(context, token);
    else
        vtabi_fail_function(context, rc, &err);
}

/* ringlet_endpoints('keyspace.table', key, …): the replicas' addresses as a JSON array, the nearest
 * on the ring first. */
static void endpoints_function(sqlite3_context *context, int argc, sqlite3_value **argv)
{
    struct base_err err = {0};
    struct base_buf json;
    struct vtabi_link *link;
    int64_t token = 0;
    struct base_slice name = argc ? text_argument(argv[0]) : (struct base_slice){0};
    int rc = argc >= 2 ? vtabi_host_default(host_of(context), &link, &err)
                       : base_err_set(&err, BASE_E_INVALID,
                                      "ringlet_endpoints('keyspace.table', key, …)");
    base_buf_init(&json, VTABI_BUF_MAX);
    if (rc == BASE_OK) {
        struct base_schema *schema = node_schema(link->node);
        const struct base_table *table = find_table(schema, name);
        rc = table ? compose_token(table, argc - 1, argv + 1, &token, &err)
                   : base_err_set(&err, BASE_E_NOTFOUND, "ringlet_endpoints: no table %.*s",
                                  BASE_SLICE_ARG(name));
        if (rc == BASE_OK)
            rc = node_endpoints(link->node, schema, table->keyspace, token, &json, &err);
        base_schema_release(schema);
    }
    if (rc == BASE_OK) {
        struct base_sql_value value = {.kind = BASE_SQL_JSON, .bytes = base_buf_view(&json)};
        vtabi_value_result(context, &value);
    } else {
        vtabi_fail_function(context, rc, &err);
    }
    base_buf_fini(&json);
}

/* Administration. */

#define NODETOOL_ARGS_MAX 32

static void nodetool_function(sqlite3_context *context, int argc, sqlite3_value **argv)
{
    struct base_err err = {0};
    struct base_buf json;
    struct vtabi_link *link;
    const char *args[NODETOOL_ARGS_MAX];
    const char *command = argc ? (const char *)sqlite3_value_text(argv[0]) : NULL;
    int rc = command && argc - 1 <= NODETOOL_ARGS_MAX
                 ? BASE_OK
                 : base_err_set(&err, BASE_E_INVALID, "ringlet_nodetool(command [, argument, …])");
    base_buf_init(&json, VTABI_BUF_MAX);
    for (int i = 1; rc == BASE_OK && i < argc; i++) {
        const char *text = (const char *)sqlite3_value_text(argv[i]);
        args[i - 1] = text ? text : "";
    }
    if (rc == BASE_OK)
        rc = vtabi_host_default(host_of(context), &link, &err);
    if (rc == BASE_OK)
        rc = node_admin(link->node, command, args, (size_t)(argc - 1), &json, &err);
    if (rc == BASE_OK) {
        struct base_sql_value value = {.kind = BASE_SQL_JSON, .bytes = base_buf_view(&json)};
        vtabi_value_result(context, &value);
    } else {
        vtabi_fail_function(context, rc, &err);
    }
    base_buf_fini(&json);
}

int vtabi_functions_register(struct vtabi_host *host)
{
    static const struct {
        const char *name;
        int argc, flags;
        void (*function)(sqlite3_context *, int, sqlite3_value **);
    } functions[] = {
        {"ringlet_version", 0, 0, version_function},
        {"ringlet_cql", -1, SQLITE_DIRECTONLY, vtabi_cql_function},
        {"ringlet_source", 1, SQLITE_DIRECTONLY, source_function},
        {"ringlet_open", -1, SQLITE_DIRECTONLY, open_function},
        {"ringlet_close", 0, SQLITE_DIRECTONLY, close_function},
        {"ringlet_connect", -1, SQLITE_DIRECTONLY, connect_function},
        {"ringlet_consistency", -1, SQLITE_DIRECTONLY, consistency_function},
        {"ringlet_batch", -1, SQLITE_DIRECTONLY, batch_function},
        {"ringlet_uuid", 0, 0, uuid_function},
        {"ringlet_timeuuid", -1, 0, timeuuid_function},
        {"ringlet_token", -1, SQLITE_DIRECTONLY, token_function},
        {"ringlet_endpoints", -1, SQLITE_DIRECTONLY, endpoints_function},
        {"ringlet_nodetool", -1, SQLITE_DIRECTONLY, nodetool_function},
        {"ringlet_import", 1, SQLITE_DIRECTONLY, vtabi_import},
    };
    for (size_t i = 0; i < BASE_COUNT(functions); i++) {
        vtabi_host_acquire(host);
        int rc = sqlite3_create_function_v2(host->db, functions[i].name, functions[i].argc,
                                            SQLITE_UTF8 | functions[i].flags, host,
                                            functions[i].function, NULL, NULL, vtabi_host_release);
        if (rc != SQLITE_OK)
            return rc;
    }
    return SQLITE_OK;
}
