/* ERROR: from our codes to the protocol's, and bodies in each version.
 *
 * Invariants:
 *  1. cql_error_code is the one place that maps BASE_E_*; the switch has no default, so that a new
 *     code is a compiler's warning.
 *  2. An error is never lost for being too long: its text is cut. */
#include "cql/wire.h"

static enum cql_error_number failure_code(const struct cql_outcome *outcome)
{
    if (!outcome || !outcome->required)
        return CQL_ERROR_SERVER;
    return outcome->is_write ? CQL_ERROR_WRITE_FAILURE : CQL_ERROR_READ_FAILURE;
}

enum { WRITE_TYPE_BATCH_LOG = 4, WRITE_TYPE_CAS = 5 };
static const char *const write_types[] = {"SIMPLE",    "BATCH", "UNLOGGED_BATCH", "COUNTER",
                                          "BATCH_LOG", "CAS",   "VIEW",           "CDC"};

/* Replicas that said no keep a write from its level, or nobody knows. */
static enum cql_error_number unknown_code(const struct cql_outcome *outcome)
{
    if (!outcome || outcome->write_type == WRITE_TYPE_CAS)
        return CQL_ERROR_CAS_WRITE_UNKNOWN;
    return outcome->failures && outcome->write_type != WRITE_TYPE_BATCH_LOG
               ? CQL_ERROR_WRITE_FAILURE
               : CQL_ERROR_WRITE_TIMEOUT;
}

const char *cql_write_type_name(int write_type)
{
    return write_type >= 0 && (size_t)write_type < BASE_COUNT(write_types) ? write_types[write_type]
                                                                           : write_types[0];
}

enum cql_error_number cql_error_code(int rc, const struct cql_outcome *outcome)
{
    switch ((enum base_error)rc) {
    case BASE_OK:
        break;
    case BASE_E_SYNTAX:
        return CQL_ERROR_SYNTAX;
    case BASE_E_CONFIG:
        return CQL_ERROR_CONFIG;
    case BASE_E_EXISTS:
        return CQL_ERROR_ALREADY_EXISTS;
    case BASE_E_UNAUTHORIZED:
        return CQL_ERROR_UNAUTHORIZED;
    case BASE_E_FUNCTION:
        return CQL_ERROR_FUNCTION_FAILURE;
    case BASE_E_INVALID:
    case BASE_E_NOTFOUND:
    case BASE_E_LIMIT:
    case BASE_E_CONDITION:
        return CQL_ERROR_INVALID;
    case BASE_E_NOMEM:
    case BASE_E_OVERLOADED:
        return CQL_ERROR_OVERLOADED;
    case BASE_E_UNAVAILABLE:
        return CQL_ERROR_UNAVAILABLE;
    case BASE_E_TIMEOUT:
        return outcome && outcome->is_write ? CQL_ERROR_WRITE_TIMEOUT : CQL_ERROR_READ_TIMEOUT;
    case BASE_E_UNKNOWN:
        return unknown_code(outcome);
    case BASE_E_VERSION:
        return CQL_ERROR_PROTOCOL;
    case BASE_E_IO:
    case BASE_E_CORRUPT:
    case BASE_E_NOSPACE:
    case BASE_E_STOPPED:
        return failure_code(outcome);
    case BASE_E_INTERRUPTED:
    case BASE_E_BUSY:
    case BASE_E_CLOSED:
    case BASE_E_STALE:
    case BASE_E_INTERNAL:
        break;
    }
    return CQL_ERROR_SERVER;
}

void cql_error_make(int rc, const struct base_err *err, const struct cql_outcome *outcome,
                    struct cql_error *out)
{
    *out = (struct cql_error){.code = (int32_t)cql_error_code(rc, outcome)};
    const char *text = err && err->text[0] ? err->text : base_err_words(rc);
    out->message = base_slice_str(text);
    if (outcome)
        out->outcome = *outcome;
}

void cql_error_name_function(const struct base_err *err,
                             struct base_slice types[CQL_FAILED_TYPES_MAX], struct cql_error *out)
{
    if (out->code != CQL_ERROR_FUNCTION_FAILURE || !err)
        return;
    const char *at = err->function;
    size_t len = strcspn(at, " ");
    out->keyspace = BASE_SLICE_LIT("system");
    out->name = base_slice(at, len);
    out->arg_types = types;
    for (at += len; *at && out->arg_type_count < CQL_FAILED_TYPES_MAX; at += len) {
        at++;
        len = strcspn(at, " ");
        types[out->arg_type_count++] = base_slice(at, len);
    }
}

/* What an older version is told instead. */
static int32_t code_for(uint8_t version, int32_t code)
{
    if (version < 4 && code == CQL_ERROR_READ_FAILURE)
        return CQL_ERROR_READ_TIMEOUT;
    if (version < 4 && code == CQL_ERROR_WRITE_FAILURE)
        return CQL_ERROR_WRITE_TIMEOUT;
    if (version < 4 && code == CQL_ERROR_FUNCTION_FAILURE)
        return CQL_ERROR_INVALID;
    if (version < 5 && code == CQL_ERROR_CDC_WRITE_FAILURE)
        return CQL_ERROR_INVALID;
    return version < 5 && code == CQL_ERROR_CAS_WRITE_UNKNOWN ? CQL_ERROR_WRITE_TIMEOUT : code;
}

/* Putting. */

static int put_counts(struct base_buf *buf, const struct cql_outcome *o, unsigned first,
                      unsigned second)
{
    int rc = cql_wire_put_short(buf, (uint16_t)o->consistency);
    if (rc == BASE_OK)
        rc = cql_wire_put_int(buf, (int32_t)first);
    return rc == BASE_OK ? cql_wire_put_int(buf, (int32_t)second) : rc;
}

static int put_failures(struct base_buf *buf, uint8_t version, const struct cql_error *error)
{
    if (version < 5)
        return cql_wire_put_int(buf, (int32_t)error->outcome.failures);
    const struct cql_outcome *o = &error->outcome;
    int rc = cql_wire_put_int(buf, (int32_t)o->failed_count);
    for (size_t i = 0; i < o->failed_count && rc == BASE_OK; i++) {
        const struct cql_failed_replica *f = &o->failed[i];
        rc = cql_wire_put_inetaddr(buf, base_slice(f->address, f->address_len));
        if (rc == BASE_OK)
            rc = cql_wire_put_short(buf, f->reason);
    }
    return rc;
}

static int put_write_type(struct base_buf *buf, uint8_t version, const struct cql_error *error)
{
    const struct cql_outcome *o = &error->outcome;
    int write_type = error->code == CQL_ERROR_CAS_WRITE_UNKNOWN ? WRITE_TYPE_CAS : o->write_type;
    int rc = cql_wire_put_string(buf, base_slice_str(cql_write_type_name(write_type)));
    bool has_contentions =
        version >= 5 && error->code == CQL_ERROR_WRITE_TIMEOUT && write_type == WRITE_TYPE_CAS;
    return rc == BASE_OK && has_contentions ? cql_wire_put_short(buf, error->contentions) : rc;
}

static int put_details(struct base_buf *buf, uint8_t version, int32_t code,
                       const struct cql_error *error)
{
    const struct cql_outcome *o = &error->outcome;
    int rc;
    switch (code) {
    case CQL_ERROR_UNAVAILABLE:
        return put_counts(buf, o, o->required, o->alive);
    case CQL_ERROR_CAS_WRITE_UNKNOWN:
        return put_counts(buf, o, o->received, o->required);
    case CQL_ERROR_WRITE_TIMEOUT:
    case CQL_ERROR_WRITE_FAILURE:
        rc = put_counts(buf, o, o->received, o->required);
        if (rc == BASE_OK && code == CQL_ERROR_WRITE_FAILURE)
            rc = put_failures(buf, version, error);
        return rc == BASE_OK ? put_write_type(buf, version, error) : rc;
    case CQL_ERROR_READ_TIMEOUT:
    case CQL_ERROR_READ_FAILURE:
        rc = put_counts(buf, o, o->received, o->required);
        if (rc == BASE_OK && code == CQL_ERROR_READ_FAILURE)
            rc = put_failures(buf, version, error);
        return rc == BASE_OK ? cql_wire_put_byte(buf, o->data_present) : rc;
    case CQL_ERROR_FUNCTION_FAILURE:
    case CQL_ERROR_ALREADY_EXISTS:
        rc = cql_wire_put_string(buf, error->keyspace);
        if (rc == BASE_OK)
            rc = cql_wire_put_string(buf, error->name);
        return rc == BASE_OK && code == CQL_ERROR_FUNCTION_FAILURE
                   ? cql_wire_put_string_list(buf, error->arg_types, error->arg_type_count)
                   : rc;
    case CQL_ERROR_UNPREPARED:
        return cql_wire_put_short_bytes(buf, error->id);
    default: /* the others have no more than a text */
        return BASE_OK;
    }
}

int cql_put_error(struct base_buf *buf, uint8_t version, const struct cql_error *error)
{
    struct base_slice text = error->message;
    int32_t code = code_for(version, error->code);
    if (text.len > UINT16_MAX)
        text.len = UINT16_MAX;
    int rc = cql_wire_put_int(buf, code);
    if (rc == BASE_OK)
        rc = cql_wire_put_string(buf, text);
    return rc == BASE_OK ? put_details(buf, version, code, error) : rc;
}

/* Getting. */

static bool get_counts(struct base_reader *r, struct cql_outcome *o, unsigned *first,
                       unsigned *second)
{
    uint16_t consistency;
    int32_t a, b;
    if (!cql_wire_get_short(r, &consistency) || !cql_wire_get_int(r, &a) ||
        !cql_wire_get_int(r, &b))
        return false;
    o->consistency = consistency;
    *first = (unsigned)a;
    *second = (unsigned)b;
    return true;
}

static bool get_failures(struct base_reader *r, struct base_arena *arena, uint8_t version,
                         struct cql_error *out)
{
    int32_t n;
    if (!cql_wire_get_int(r, &n) || n < 0)
        return false;
    out->outcome.failures = (unsigned)n;
    if (version < 5)
        return true;
    struct cql_failure *map = (size_t)n <= base_reader_left(r) / 7
                                  ? base_arena_alloc(arena, ((size_t)n + 1) * sizeof *map)
                                  : NULL;
    if (!map)
        return false;
    for (int32_t i = 0; i < n; i++) {
        uint8_t len;
        if (!base_get_u8(r, &len) || (len != 4 && len != 16) ||
            !base_get_raw(r, len, &map[i].address) || !cql_wire_get_short(r, &map[i].reason))
            return false;
    }
    out->failure_map = map;
    out->failure_map_count = (size_t)n;
    return true;
}

static bool get_write_type(struct base_reader *r, uint8_t version, struct cql_error *out)
{
    struct base_slice name;
    if (!cql_wire_get_string(r, &name))
        return false;
    for (size_t i = 0; i < BASE_COUNT(write_types); i++)
        if (base_slice_equal(name, base_slice_str(write_types[i])))
            out->outcome.write_type = (int)i;
    bool has_contentions = version >= 5 && out->code == CQL_ERROR_WRITE_TIMEOUT &&
                           out->outcome.write_type == WRITE_TYPE_CAS;
    return !has_contentions || base_reader_left(r) == 0 || cql_wire_get_short(r, &out->contentions);
}

static bool get_details(struct base_reader *r, struct base_arena *arena, uint8_t version,
                        struct cql_error *out)
{
    struct cql_outcome *o = &out->outcome;
    struct base_slice *types;
    uint8_t present;
    switch (out->code) {
    case CQL_ERROR_UNAVAILABLE:
        return get_counts(r, o, &o->required, &o->alive);
    case CQL_ERROR_CAS_WRITE_UNKNOWN:
        o->is_write = true;
        o->write_type = WRITE_TYPE_CAS;
        return get_counts(r, o, &o->received, &o->required);
    case CQL_ERROR_WRITE_TIMEOUT:
    case CQL_ERROR_WRITE_FAILURE:
        o->is_write = true;
        return get_counts(r, o, &o->received, &o->required) &&
               (out->code == CQL_ERROR_WRITE_TIMEOUT || get_failures(r, arena, version, out)) &&
               get_write_type(r, version, out);
    case CQL_ERROR_READ_TIMEOUT:
    case CQL_ERROR_READ_FAILURE:
        if (!get_counts(r, o, &o->received, &o->required) ||
            (out->code == CQL_ERROR_READ_FAILURE && !get_failures(r, arena, version, out)) ||
            !base_get_u8(r, &present))
            return false;
        o->data_present = present;
        return true;
    case CQL_ERROR_FUNCTION_FAILURE:
    case CQL_ERROR_ALREADY_EXISTS:
        if (!cql_wire_get_string(r, &out->keyspace) || !cql_wire_get_string(r, &out->name))
            return false;
        if (out->code == CQL_ERROR_ALREADY_EXISTS)
            return true;
        if (!cql_wire_get_string_list(r, arena, &types, &out->arg_type_count))
            return false;
        out->arg_types = types;
        return true;
    case CQL_ERROR_UNPREPARED:
        return cql_wire_get_short_bytes(r, &out->id);
    default:
        return true;
    }
}

int cql_get_error(struct base_arena *arena, uint8_t version, struct base_slice body,
                  struct cql_error *out, struct base_err *err)
{
    struct base_reader r = base_reader(body);
    memset(out, 0, sizeof *out);
    if (cql_wire_get_int(&r, &out->code) && cql_wire_get_string(&r, &out->message) &&
        get_details(&r, arena, version, out))
        return BASE_OK;
    memset(out, 0, sizeof *out);
    return base_err_set(err, BASE_E_INVALID, "An ERROR is cut off or damaged");
}
