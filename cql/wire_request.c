/* Bodies of requests: QUERY, PREPARE, EXECUTE, BATCH, both ways.
 *
 * Invariants:
 *  1. The decoders take what the version's specification says and nothing else: an unknown flag, a
 *     consistency level or a length that is none is INVALID. Bytes after the end are ignored, as
 *     the specification asks. */
#include "cql/wire.h"

enum {
    HAS_VALUES = 0x01,
    SKIP_METADATA = 0x02,
    HAS_PAGE_SIZE = 0x04,
    HAS_PAGING_STATE = 0x08,
    HAS_SERIAL = 0x10,
    HAS_TIMESTAMP = 0x20,
    HAS_NAMES = 0x40,
    HAS_KEYSPACE = 0x80,
    HAS_NOW = 0x100,
    BATCH_FLAGS = HAS_SERIAL | HAS_TIMESTAMP | HAS_KEYSPACE | HAS_NOW,
    CONSISTENCY_MAX = 0x0A,
    PREPARE_HAS_KEYSPACE = 0x01,
    VALUE_LEN_MIN = 4,
};

/* Putting. */

static uint32_t flags_of(const struct cql_query_options *o, uint8_t version)
{
    uint32_t flags =
        (o->value_count ? HAS_VALUES : 0u) | (o->skip_metadata ? SKIP_METADATA : 0u) |
        (o->has_page_size ? HAS_PAGE_SIZE : 0u) | (o->paging_state.data ? HAS_PAGING_STATE : 0u) |
        (o->has_serial_consistency ? HAS_SERIAL : 0u) | (o->has_timestamp ? HAS_TIMESTAMP : 0u) |
        (o->value_count && o->names ? HAS_NAMES : 0u);
    if (version >= 5)
        flags |= (o->keyspace.data ? HAS_KEYSPACE : 0u) | (o->has_now ? HAS_NOW : 0u);
    return flags;
}

static int put_values(struct base_buf *buf, const struct cql_value *values,
                      const struct base_slice *names, size_t count)
{
    int rc = count > UINT16_MAX ? BASE_E_LIMIT : cql_wire_put_short(buf, (uint16_t)count);
    for (size_t i = 0; i < count && rc == BASE_OK; i++) {
        rc = names ? cql_wire_put_string(buf, names[i]) : BASE_OK;
        if (rc == BASE_OK)
            rc = cql_wire_put_value(buf, &values[i]);
    }
    return rc;
}

/* What follows the flags, each if its flag is set: `flags` may be those of a BATCH. */
static int put_rest(struct base_buf *buf, const struct cql_query_options *o, uint32_t flags)
{
    int rc = flags & HAS_VALUES ? put_values(buf, o->values, o->names, o->value_count) : BASE_OK;
    if (rc == BASE_OK && (flags & HAS_PAGE_SIZE))
        rc = cql_wire_put_int(buf, o->page_size);
    if (rc == BASE_OK && (flags & HAS_PAGING_STATE))
        rc = cql_wire_put_bytes(buf, &o->paging_state);
    if (rc == BASE_OK && (flags & HAS_SERIAL))
        rc = cql_wire_put_short(buf, o->serial_consistency);
    if (rc == BASE_OK && (flags & HAS_TIMESTAMP))
        rc = cql_wire_put_long(buf, o->timestamp_us);
    if (rc == BASE_OK && (flags & HAS_KEYSPACE))
        rc = cql_wire_put_string(buf, o->keyspace);
    if (rc == BASE_OK && (flags & HAS_NOW))
        rc = cql_wire_put_int(buf, o->now_s);
    return rc;
}

static int put_options(struct base_buf *buf, uint8_t version, const struct cql_query_options *o,
                       uint32_t mask)
{
    uint32_t flags = flags_of(o, version) & mask;
    int rc = cql_wire_put_short(buf, o->consistency);
    if (rc == BASE_OK)
        rc = version >= 5 ? cql_wire_put_int(buf, (int32_t)flags)
                          : cql_wire_put_byte(buf, (uint8_t)flags);
    return rc == BASE_OK ? put_rest(buf, o, flags) : rc;
}

int cql_put_query(struct base_buf *buf, uint8_t version, const struct cql_query *query)
{
    int rc = cql_wire_put_long_string(buf, query->text);
    return rc == BASE_OK ? put_options(buf, version, &query->options, UINT32_MAX) : rc;
}

int cql_put_prepare(struct base_buf *buf, uint8_t version,
                    const struct cql_prepare_request *prepare)
{
    int rc = cql_wire_put_long_string(buf, prepare->text);
    if (rc != BASE_OK || version < 5)
        return rc;
    rc = cql_wire_put_int(buf, prepare->keyspace.data ? PREPARE_HAS_KEYSPACE : 0);
    return rc == BASE_OK && prepare->keyspace.data ? cql_wire_put_string(buf, prepare->keyspace)
                                                   : rc;
}

int cql_put_execute(struct base_buf *buf, uint8_t version, const struct cql_execute *execute)
{
    int rc = cql_wire_put_short_bytes(buf, execute->id);
    if (rc == BASE_OK && version >= 5)
        rc = cql_wire_put_short_bytes(buf, execute->result_metadata_id);
    return rc == BASE_OK ? put_options(buf, version, &execute->options, UINT32_MAX) : rc;
}

int cql_put_batch(struct base_buf *buf, uint8_t version, const struct cql_batch_request *batch)
{
    int rc = cql_wire_put_byte(buf, (uint8_t)batch->kind);
    if (rc == BASE_OK)
        rc = batch->statement_count > UINT16_MAX
                 ? BASE_E_LIMIT
                 : cql_wire_put_short(buf, (uint16_t)batch->statement_count);
    for (size_t i = 0; i < batch->statement_count && rc == BASE_OK; i++) {
        const struct cql_batch_statement *s = &batch->statements[i];
        rc = cql_wire_put_byte(buf, s->text.data ? 0 : 1);
        if (rc == BASE_OK)
            rc = s->text.data ? cql_wire_put_long_string(buf, s->text)
                              : cql_wire_put_short_bytes(buf, s->id);
        if (rc == BASE_OK)
            rc = put_values(buf, s->values, NULL, s->value_count);
    }
    return rc == BASE_OK ? put_options(buf, version, &batch->options, BATCH_FLAGS) : rc;
}

/* Getting. */

static int cut_off(struct base_err *err, const char *what)
{
    return base_err_set(err, BASE_E_INVALID, "%s is cut off or damaged", what);
}

static int get_values(struct base_reader *r, struct base_arena *arena, uint8_t version, bool named,
                      struct cql_query_options *o, struct base_err *err)
{
    uint16_t n;
    if (!cql_wire_get_short(r, &n) || n > base_reader_left(r) / VALUE_LEN_MIN)
        return cut_off(err, "Values");
    struct cql_value *values = base_arena_alloc(arena, (n + 1u) * sizeof *values);
    struct base_slice *names = named ? base_arena_alloc(arena, (n + 1u) * sizeof *names) : NULL;
    if (!values || (named && !names))
        return base_err_set(err, BASE_E_NOMEM, "values: out of memory");
    for (size_t i = 0; i < n; i++)
        if ((named && !cql_wire_get_string(r, &names[i])) ||
            !cql_wire_get_value(r, version, &values[i]))
            return cut_off(err, "Values");
    o->values = values;
    o->names = names;
    o->value_count = n;
    return BASE_OK;
}

static bool get_present_bytes(struct base_reader *r, struct base_slice *out)
{
    bool is_null;
    if (!cql_wire_get_bytes(r, out, &is_null))
        return false;
    if (!is_null && !out->data)
        *out = base_slice("", 0);
    return true;
}

static bool get_present_string(struct base_reader *r, struct base_slice *out)
{
    if (!cql_wire_get_string(r, out))
        return false;
    if (!out->data)
        *out = base_slice("", 0);
    return true;
}

static int check_consistency(uint16_t code, struct base_err *err)
{
    if (code <= CONSISTENCY_MAX)
        return BASE_OK;
    return base_err_set(err, BASE_E_INVALID, "Unknown code %u for a consistency level", code);
}

static int get_rest(struct base_reader *r, struct base_arena *arena, uint8_t version,
                    uint32_t flags, struct cql_query_options *o, struct base_err *err)
{
    int rc =
        flags & HAS_VALUES ? get_values(r, arena, version, flags & HAS_NAMES, o, err) : BASE_OK;
    if (rc != BASE_OK)
        return rc;
    o->skip_metadata = flags & SKIP_METADATA;
    o->has_page_size = flags & HAS_PAGE_SIZE;
    o->has_serial_consistency = flags & HAS_SERIAL;
    o->has_timestamp = flags & HAS_TIMESTAMP;
    o->has_now = flags & HAS_NOW;
    bool ok = (!o->has_page_size || cql_wire_get_int(r, &o->page_size)) &&
              (!(flags & HAS_PAGING_STATE) || get_present_bytes(r, &o->paging_state)) &&
              (!o->has_serial_consistency || cql_wire_get_short(r, &o->serial_consistency)) &&
              (!o->has_timestamp || cql_wire_get_long(r, &o->timestamp_us)) &&
              (!(flags & HAS_KEYSPACE) || get_present_string(r, &o->keyspace)) &&
              (!o->has_now || cql_wire_get_int(r, &o->now_s));
    if (!ok)
        return cut_off(err, "The request's options");
    if (o->has_timestamp && o->timestamp_us == INT64_MIN)
        return base_err_set(err, BASE_E_INVALID,
                            "Out of bound timestamp, must be in [%lld, %lld] (got %lld)",
                            (long long)INT64_MIN + 1, (long long)INT64_MAX, (long long)INT64_MIN);
    return check_consistency(o->serial_consistency, err);
}

/* Options in `mask`; a BATCH's other flags are ignored, as Cassandra does. */
static int get_options(struct base_reader *r, struct base_arena *arena, uint8_t version,
                       uint32_t mask, struct cql_query_options *o, struct base_err *err)
{
    uint8_t narrow = 0;
    int32_t wide = 0;
    *o = (struct cql_query_options){.serial_consistency = CQL_SERIAL_DEFAULT};
    bool ok = cql_wire_get_short(r, &o->consistency) &&
              (version >= 5 ? cql_wire_get_int(r, &wide) : base_get_u8(r, &narrow));
    if (!ok)
        return cut_off(err, "The request's options");
    int rc = check_consistency(o->consistency, err);
    uint32_t flags = version >= 5 ? (uint32_t)wide : narrow;
    uint32_t known = version >= 5 ? 0x1FFu : 0x7Fu;
    if (rc == BASE_OK && (flags & ~known))
        return base_err_set(err, BASE_E_INVALID, "Unknown flags 0x%x in the request's options",
                            flags & ~known);
    if (rc == BASE_OK && (flags & HAS_NAMES) && !(mask & HAS_NAMES))
        return base_err_set(
            err, BASE_E_INVALID,
            "A BATCH cannot have named values: its statements come before its flags");
    return rc == BASE_OK ? get_rest(r, arena, version, flags & mask, o, err) : rc;
}

int cql_get_query(struct base_arena *arena, uint8_t version, struct base_slice body,
                  struct cql_query *out, struct base_err *err)
{
    struct base_reader r = base_reader(body);
    memset(out, 0, sizeof *out);
    if (!cql_wire_get_long_string(&r, &out->text))
        return cut_off(err, "A QUERY");
    return get_options(&r, arena, version, UINT32_MAX, &out->options, err);
}

int cql_get_prepare(uint8_t version, struct base_slice body, struct cql_prepare_request *out,
                    struct base_err *err)
{
    struct base_reader r = base_reader(body);
    int32_t flags = 0;
    memset(out, 0, sizeof *out);
    if (!cql_wire_get_long_string(&r, &out->text) ||
        (version >= 5 && !cql_wire_get_int(&r, &flags)))
        return cut_off(err, "A PREPARE");
    if (flags & ~PREPARE_HAS_KEYSPACE)
        return base_err_set(err, BASE_E_INVALID, "Unknown flags 0x%x in a PREPARE",
                            (unsigned)flags);
    if (flags && !get_present_string(&r, &out->keyspace))
        return cut_off(err, "A PREPARE");
    return BASE_OK;
}

int cql_get_execute(struct base_arena *arena, uint8_t version, struct base_slice body,
                    struct cql_execute *out, struct base_err *err)
{
    struct base_reader r = base_reader(body);
    memset(out, 0, sizeof *out);
    if (!cql_wire_get_short_bytes(&r, &out->id) ||
        (version >= 5 && !cql_wire_get_short_bytes(&r, &out->result_metadata_id)))
        return cut_off(err, "An EXECUTE");
    return get_options(&r, arena, version, UINT32_MAX, &out->options, err);
}

static int get_statement(struct base_reader *r, struct base_arena *arena, uint8_t version,
                         struct cql_batch_statement *out, struct base_err *err)
{
    struct cql_query_options values = {0};
    uint8_t kind;
    memset(out, 0, sizeof *out);
    if (!base_get_u8(r, &kind))
        return cut_off(err, "A BATCH");
    if (kind > 1)
        return base_err_set(err, BASE_E_INVALID,
                            "Invalid query kind in BATCH messages. Must be 0 or 1 but got %u",
                            kind);
    if (kind == 0 ? !cql_wire_get_long_string(r, &out->text)
                  : !cql_wire_get_short_bytes(r, &out->id))
        return cut_off(err, "A BATCH");
    if (kind == 0 && !out->text.data)
        out->text = base_slice("", 0);
    int rc = get_values(r, arena, version, false, &values, err);
    out->values = values.values;
    out->value_count = values.value_count;
    return rc;
}

int cql_get_batch(struct base_arena *arena, uint8_t version, struct base_slice body,
                  struct cql_batch_request *out, struct base_err *err)
{
    struct base_reader r = base_reader(body);
    uint8_t kind;
    uint16_t n;
    memset(out, 0, sizeof *out);
    if (!base_get_u8(&r, &kind) || !cql_wire_get_short(&r, &n) || n > base_reader_left(&r) / 3)
        return cut_off(err, "A BATCH");
    if (kind > CQL_BATCH_COUNTER)
        return base_err_set(err, BASE_E_INVALID, "Invalid BATCH message type %u", kind);
    out->kind = (enum cql_batch_kind)kind;
    struct cql_batch_statement *statements = base_arena_alloc(arena, (n + 1u) * sizeof *statements);
    if (!statements)
        return base_err_set(err, BASE_E_NOMEM, "batch: out of memory");
    for (size_t i = 0; i < n; i++) {
        int rc = get_statement(&r, arena, version, &statements[i], err);
        if (rc != BASE_OK)
            return rc;
    }
    out->statements = statements;
    out->statement_count = n;
    return get_options(&r, arena, version, BATCH_FLAGS, &out->options, err);
}
