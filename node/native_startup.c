/* A connection until it is ready, and what has no statement in it: OPTIONS, STARTUP, AUTH_RESPONSE,
 * REGISTER.
 *
 * Invariants:
 *  1. Before a connection is ready nothing else is answered with more than an error.
 *  2. A message with credentials is wiped where it lies once they are taken over, and so are the
 *     bytes that it came in (native_receive.c); the login wipes its own when it ends.
 *  3. In v5 segments begin after the answer to STARTUP, both ways. */
#include "node/native_private.h"

#include <strings.h>

static const char authenticator_class[] = "org.apache.cassandra.auth.PasswordAuthenticator";

static void protocol_error(struct nodei_native_conn *conn, const struct cql_message *m,
                           const char *text)
{
    nodei_conn_answer_code(conn, m->stream, CQL_ERROR_PROTOCOL, "%s", text);
}

/* OPTIONS. */

static void handle_options(struct nodei_native_conn *conn, const struct cql_message *m)
{
    static const struct base_slice cql[] = {{(const uint8_t *)"3.4.7", 5}},
                                   compressions[] = {{(const uint8_t *)"lz4", 3},
                                                     {(const uint8_t *)"snappy", 6}},
                                   versions[] = {{(const uint8_t *)"3/v3", 4},
                                                 {(const uint8_t *)"4/v4", 4},
                                                 {(const uint8_t *)"5/v5", 4}};
    const struct cql_wire_entry entries[] = {
        {BASE_SLICE_LIT("CQL_VERSION"), cql, BASE_COUNT(cql)},
        {BASE_SLICE_LIT("COMPRESSION"), compressions,
         conn->version >= 5 ? 1 : BASE_COUNT(compressions)},
        {BASE_SLICE_LIT("PROTOCOL_VERSIONS"), versions, BASE_COUNT(versions)},
    };
    struct base_buf body;
    base_buf_init(&body, 4096);
    if (cql_wire_put_multimap(&body, entries, BASE_COUNT(entries)) == BASE_OK)
        nodei_conn_answer(conn, CQL_OPCODE_SUPPORTED, m->stream, base_buf_view(&body));
    else
        nodei_conn_fail(conn);
    base_buf_fini(&body);
}

/* STARTUP. */

static bool set_compression(struct nodei_native_conn *conn, const struct cql_message *m,
                            struct base_slice name)
{
    enum cql_wire_compression compression;
    if (!name.data || name.len == 0)
        return true;
    if (base_slice_equal_nocase(name, BASE_SLICE_LIT("lz4"))) {
        compression = CQL_WIRE_LZ4;
    } else if (base_slice_equal_nocase(name, BASE_SLICE_LIT("snappy")) && conn->version < 5) {
        compression = CQL_WIRE_SNAPPY;
    } else {
        nodei_conn_answer_code(conn, m->stream, CQL_ERROR_PROTOCOL,
                               "Unknown or unsupported compression algorithm: %.*s",
                               (int)(name.len < 64 ? name.len : 64), (const char *)name.data);
        return false;
    }
    conn->in.compression = compression;
    conn->out.compression = compression;
    return true;
}

/* At least 3.0.0. */
static bool version_is_supported(struct base_slice version)
{
    return version.len >= 2 && version.data[0] >= '3' && version.data[0] <= '9' &&
           version.data[1] == '.';
}

static char *copy_short(struct base_slice s)
{
    return s.data && s.len ? strndup((const char *)s.data, s.len < 128 ? s.len : 128) : NULL;
}

static void answer_startup(struct nodei_native_conn *conn, const struct cql_message *m)
{
    struct base_buf body;
    base_buf_init(&body, 256);
    /* The answer itself is neither compressed nor in a segment. */
    enum cql_wire_compression compression = conn->out.compression;
    conn->out.compression = CQL_WIRE_PLAIN;
    if (!nodei_auth_is_required(conn->native->node)) {
        conn->stage = NODEI_NATIVE_READY;
        nodei_conn_limit_messages(conn);
        nodei_conn_answer(conn, CQL_OPCODE_READY, m->stream, (struct base_slice){0});
    } else if (cql_wire_put_string(&body, base_slice_str(authenticator_class)) == BASE_OK) {
        conn->stage = NODEI_NATIVE_AUTHENTICATING;
        nodei_conn_answer(conn, CQL_OPCODE_AUTHENTICATE, m->stream, base_buf_view(&body));
    } else {
        nodei_conn_fail(conn);
    }
    conn->out.compression = compression;
    conn->in.segments = conn->out.segments = conn->version >= 5;
    base_buf_fini(&body);
}

static void handle_startup(struct nodei_native_conn *conn, const struct cql_message *m)
{
    struct base_arena arena;
    struct base_reader r = base_reader(m->body);
    struct cql_wire_pair *pairs;
    size_t count;
    if (conn->stage != NODEI_NATIVE_NEW) {
        protocol_error(conn, m,
                       "Unexpected message STARTUP, the connection is initialized already");
        return;
    }
    base_arena_init(&arena);
    if (!cql_wire_get_string_map(&r, &arena, &pairs, &count)) {
        protocol_error(conn, m, "A STARTUP is cut off or damaged");
        goto out;
    }
    struct base_slice version = cql_wire_map_get(pairs, count, "CQL_VERSION");
    if (!version.data) {
        protocol_error(conn, m, "Missing value CQL_VERSION in STARTUP message");
        goto out;
    }
    if (!version_is_supported(version)) {
        nodei_conn_answer_code(conn, m->stream, CQL_ERROR_PROTOCOL,
                               "CQL version %.*s is not supported by the binary protocol "
                               "(supported version are >= 3.0.0)",
                               (int)(version.len < 32 ? version.len : 32),
                               (const char *)version.data);
        goto out;
    }
    if (!set_compression(conn, m, cql_wire_map_get(pairs, count, "COMPRESSION")))
        goto out;
    conn->throws_on_overload =
        base_slice_equal(cql_wire_map_get(pairs, count, "THROW_ON_OVERLOAD"), BASE_SLICE_LIT("1"));
    conn->driver_name = copy_short(cql_wire_map_get(pairs, count, "DRIVER_NAME"));
    conn->driver_version = copy_short(cql_wire_map_get(pairs, count, "DRIVER_VERSION"));
    answer_startup(conn, m);
out:
    base_arena_fini(&arena);
}

/* AUTH_RESPONSE. */

struct login {
    struct nodei_login login;
    struct nodei_native_conn *conn;
    int16_t stream;
};

static void login_done(struct nodei_login *ended)
{
    struct login *l = BASE_CONTAINER(ended, struct login, login);
    struct nodei_native_conn *conn = l->conn;
    BASE_ASSERT(conn->login == ended);
    conn->login = NULL;
    if (ended->rc == BASE_OK && !conn->dead) {
        static const uint8_t no_token[4] = {0xff, 0xff, 0xff, 0xff};
        memcpy(conn->client.role, ended->user, sizeof conn->client.role);
        conn->client.is_superuser = ended->is_superuser;
        conn->stage = NODEI_NATIVE_READY;
        nodei_conn_limit_messages(conn);
        nodei_conn_answer(conn, CQL_OPCODE_AUTH_SUCCESS, l->stream,
                          base_slice(no_token, sizeof no_token));
    } else if (!conn->dead) {
        bool overloaded = ended->rc == BASE_E_OVERLOADED || ended->rc == BASE_E_NOMEM;
        nodei_conn_answer_code(conn, l->stream,
                               overloaded ? CQL_ERROR_OVERLOADED : CQL_ERROR_CREDENTIALS, "%s",
                               ended->err.text);
        nodei_conn_end(conn);
    }
    free(l);
    nodei_conn_release(conn);
}

/* SASL PLAIN: [authorization id] NUL user NUL password. */
static bool take_credentials(struct base_slice token, struct nodei_login *login, const char **fault)
{
    const uint8_t *end = token.data + token.len;
    const uint8_t *user = token.len ? memchr(token.data, 0, token.len) : NULL;
    const uint8_t *password = user ? memchr(user + 1, 0, (size_t)(end - user) - 1) : NULL;
    *fault = "Credentials are not of the form of SASL PLAIN";
    if (!password)
        return false;
    size_t user_len = (size_t)(password - user) - 1, password_len = (size_t)(end - password) - 1;
    *fault = "Authentication ID must not be null";
    if (user_len == 0)
        return false;
    *fault = "Password must not be null";
    if (password_len == 0)
        return false;
    *fault = "Provided username and/or password are too long";
    if (user_len >= sizeof login->user || password_len >= sizeof login->password ||
        memchr(password + 1, 0, password_len))
        return false;
    memcpy(login->user, user + 1, user_len);
    memcpy(login->password, password + 1, password_len);
    return true;
}

static void handle_auth_response(struct nodei_native_conn *conn, const struct cql_message *m)
{
    struct base_reader r = base_reader(m->body);
    struct base_slice token;
    const char *fault = "No credentials";
    bool is_null;
    if (conn->stage != NODEI_NATIVE_AUTHENTICATING || conn->login) {
        protocol_error(conn, m, "Unexpected message AUTH_RESPONSE, nobody asked");
        return;
    }
    struct login *l = calloc(1, sizeof *l);
    if (!l) {
        nodei_conn_answer_code(conn, m->stream, CQL_ERROR_OVERLOADED, "out of memory");
        return;
    }
    bool taken =
        cql_wire_get_bytes(&r, &token, &is_null) && take_credentials(token, &l->login, &fault);
    if (m->body.len)
        explicit_bzero((void *)(uintptr_t)m->body.data,
                       m->body.len); /* in our own receive buffer, and nobody reads it again */
    if (!taken) {
        nodei_conn_answer_code(conn, m->stream, CQL_ERROR_CREDENTIALS, "%s", fault);
        nodei_conn_end(conn);
        explicit_bzero(l, sizeof *l);
        free(l);
        return;
    }
    l->conn = conn;
    l->stream = m->stream;
    l->login.from_loopback = conn->loopback;
    l->login.done = login_done;
    conn->login = &l->login;
    conn->refs++;
    nodei_login_start(conn->native->node, &l->login);
}

/* REGISTER. */

static void handle_register(struct nodei_native_conn *conn, const struct cql_message *m)
{
    struct base_arena arena;
    struct base_reader r = base_reader(m->body);
    struct base_slice *names;
    size_t count;
    uint8_t kinds = 0;
    base_arena_init(&arena);
    bool ok = cql_wire_get_string_list(&r, &arena, &names, &count);
    if (!ok)
        protocol_error(conn, m, "A REGISTER is cut off or damaged");
    for (size_t i = 0; ok && i < count; i++) {
        int kind = cql_event_by_name(names[i]);
        ok = kind >= 0;
        if (ok)
            kinds |= (uint8_t)(1u << kind);
        else
            nodei_conn_answer_code(
                conn, m->stream, CQL_ERROR_PROTOCOL, "Invalid value '%.*s' for Event.Type",
                (int)(names[i].len < 64 ? names[i].len : 64), (const char *)names[i].data);
    }
    if (ok) {
        conn->registered |= kinds;
        nodei_events_look(conn->native);
        nodei_conn_answer(conn, CQL_OPCODE_READY, m->stream, (struct base_slice){0});
    }
    base_arena_fini(&arena);
}

bool nodei_startup_handle(struct nodei_native_conn *conn, const struct cql_message *m)
{
    switch (m->opcode) {
    case CQL_OPCODE_OPTIONS:
        handle_options(conn, m);
        return true;
    case CQL_OPCODE_STARTUP:
        handle_startup(conn, m);
        return true;
    case CQL_OPCODE_AUTH_RESPONSE:
        handle_auth_response(conn, m);
        return true;
    default:
        break;
    }
    if (conn->stage != NODEI_NATIVE_READY) {
        nodei_conn_answer_code(
            conn, m->stream, CQL_ERROR_PROTOCOL, "Unexpected message of opcode %u, expecting %s",
            m->opcode, conn->stage == NODEI_NATIVE_NEW ? "STARTUP or OPTIONS" : "AUTH_RESPONSE");
        nodei_conn_end(conn);
        return true;
    }
    if (m->opcode != CQL_OPCODE_REGISTER)
        return false;
    handle_register(conn, m);
    return true;
}
