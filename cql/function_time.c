/* Functions of time: now and its kin, conversions between timestamp, date and timeuuid, floor.
 *
 * 1. The statement's time is eval->now_us; now() asks the node's strictly increasing clock, so that
 *    its timeuuids ascend.
 * 2. Days are UTC's. A timeuuid counts 100 ns since 1582-10-15. */
#include "cql/function.h"

#include "base/arith.h"

#define DAY_MS 86400000LL
#define DAY_NS 86400000000000LL
#define UUID_EPOCH_100NS 122192928000000000LL /* 1970-01-01 */

/* Times. */

static int64_t floor_div(int64_t a, int64_t b)
{
    int64_t q = a / b;
    return q - (a % b < 0);
}

static uint64_t uuid_time(const uint8_t *id)
{
    return (uint64_t)(base_get_be16(id + 6) & 0x0FFF) << 48 |
           (uint64_t)base_get_be16(id + 4) << 32 | base_get_be32(id);
}

static void uuid_set_time(uint8_t *id, uint64_t time)
{
    base_put_be32(id, (uint32_t)time);
    base_put_be16(id + 4, (uint16_t)(time >> 32));
    base_put_be16(id + 6, (uint16_t)((time >> 48 & 0x0FFF) | 0x1000));
}

int64_t cqli_time_ms(const struct base_type *type, struct base_slice value)
{
    switch (type->kind) {
    case BASE_TYPE_DATE:
        return ((int64_t)base_get_be32(value.data) - 0x80000000LL) * DAY_MS;
    case BASE_TYPE_TIMEUUID:
        return floor_div((int64_t)uuid_time(value.data) - UUID_EPOCH_100NS, 10000);
    default:
        return (int64_t)base_get_be64(value.data);
    }
}

bool cqli_time_date(int64_t ms, uint8_t out[4])
{
    int64_t day = floor_div(ms, DAY_MS) + 0x80000000LL;
    base_put_be32(out, (uint32_t)day);
    return day >= 0 && day <= UINT32_MAX;
}

static int put_ms(enum base_type_kind kind, int64_t ms, struct cqli_eval *eval,
                  struct cql_value *out)
{
    uint8_t bytes[8];
    base_put_be64(bytes, (uint64_t)ms);
    if (kind != BASE_TYPE_DATE)
        return cqli_eval_copy(eval, bytes, 8, out);
    if (!cqli_time_date(ms, bytes))
        return base_err_set(eval->err, BASE_E_INVALID, "the timestamp %lld is beyond the dates",
                            (long long)ms);
    return cqli_eval_copy(eval, bytes, 4, out);
}

/* Now. */

static int run_now(const struct cqli_expr *call, const struct cql_value *args,
                   struct cqli_eval *eval, struct cql_value *out)
{
    uint8_t id[16];
    (void)call, (void)args;
    uuid_set_time(id, (uint64_t)(eval->ports->ops->timestamp(eval->ports) * 10 + UUID_EPOCH_100NS));
    eval->ports->ops->random(eval->ports, id + 8, 8);
    id[8] = (uint8_t)((id[8] & 0x3F) | 0x80);
    id[10] |= 0x01; /* a multicast address is no machine's */
    return cqli_eval_copy(eval, id, 16, out);
}

static int run_current(const struct cqli_expr *call, const struct cql_value *args,
                       struct cqli_eval *eval, struct cql_value *out)
{
    (void)args;
    int64_t now_us = eval->now_us;
    if (call->type->kind != BASE_TYPE_TIME)
        return put_ms(call->type->kind, floor_div(now_us, 1000), eval, out);
    return put_ms(BASE_TYPE_TIME,
                  (now_us - floor_div(now_us, DAY_MS * 1000) * DAY_MS * 1000) * 1000, eval, out);
}

/* Conversions. */

static int run_convert(const struct cqli_expr *call, const struct cql_value *args,
                       struct cqli_eval *eval, struct cql_value *out)
{
    return put_ms(call->type->kind, cqli_time_ms(call->items[0]->type, args[0].bytes), eval, out);
}

/* The least and the greatest timeuuid of a millisecond: no real one, for bounds. Their last 8 bytes
 * compare as signed. */
static int run_bound_uuid(const struct cqli_expr *call, const struct cql_value *args,
                          struct cqli_eval *eval, struct cql_value *out)
{
    uint8_t id[16];
    const bool max = call->function->op;
    int64_t ms = cqli_time_ms(call->items[0]->type, args[0].bytes);
    if (ms < -UUID_EPOCH_100NS / 10000 || ms > (1LL << 60) / 10000 - UUID_EPOCH_100NS / 10000 - 1)
        return base_err_set(eval->err, BASE_E_INVALID, "a timeuuid cannot have the time %lld",
                            (long long)ms);
    uuid_set_time(id, (uint64_t)(ms * 10000 + UUID_EPOCH_100NS + (max ? 9999 : 0)));
    memset(id + 8, max ? 0x7F : 0x80, 8);
    return cqli_eval_copy(eval, id, 16, out);
}

/* Floor. */

/* The greatest start + n × duration that is not after ms. */
static bool floor_by(int64_t ms, const struct base_duration *duration, int64_t start, int64_t *out)
{
    int64_t at = 0;
    if (duration->months == 0) {
        __int128 step = (__int128)duration->days * DAY_MS + duration->ns / 1000000;
        *out = step == 0 ? ms : (int64_t)((__int128)ms - ((__int128)ms - start) % step);
        return true;
    }
    /* Months differ in length: a guess by the longest they can be is never too many, then one by
     * one. */
    __int128 longest = (__int128)duration->months * 31 * DAY_MS +
                       (__int128)duration->days * DAY_MS + duration->ns / 1000000;
    int64_t n = (int64_t)(((__int128)ms - start) / longest);
    if (!base_timestamp_add(start, duration, n, out) || *out > ms)
        return false;
    for (;;) {
        /* What is left is a multiple again, or nearly. */
        int64_t more = (int64_t)(((__int128)ms - *out) / longest);
        n += more ? more : 1;
        if (!base_timestamp_add(start, duration, n, &at) || at > ms)
            return true;
        *out = at;
    }
}

/* type: what is to be rounded */
static int check_floor(const struct base_type *type, const struct base_duration *duration,
                       const struct cql_value *arg, struct cqli_eval *eval)
{
    struct base_buf text;
    const bool date = type->kind == BASE_TYPE_DATE;
    if (duration->months < 0 || duration->days < 0 || duration->ns < 0)
        return base_err_set(eval->err, BASE_E_INVALID,
                            "Negative durations are not supported by the floor function");
    if (date ? !duration->ns : type->kind == BASE_TYPE_TIME || duration->ns % 1000000 == 0)
        return BASE_OK;
    base_buf_init(&text, 256);
    int rc = base_value_to_text(base_type_scalar(BASE_TYPE_DURATION), arg->bytes, &text, eval->err);
    if (rc == BASE_OK)
        rc = base_err_set(eval->err, BASE_E_INVALID,
                          "The floor %scannot be computed for the %.*s duration as precision is "
                          "below 1 %s",
                          date ? "on date values " : "", (int)text.len, (const char *)text.data,
                          date ? "day" : "millisecond");
    base_buf_fini(&text);
    return rc;
}

static int run_floor(const struct cqli_expr *call, const struct cql_value *args,
                     struct cqli_eval *eval, struct cql_value *out)
{
    const struct base_type *type = call->items[0]->type;
    struct base_duration duration;
    int64_t ms = cqli_time_ms(type, args[0].bytes),
            start = call->item_count > 2 ? cqli_time_ms(call->items[2]->type, args[2].bytes) : 0;
    if (!base_duration_decode(args[1].bytes, &duration))
        return base_err_set(eval->err, BASE_E_CORRUPT, "damaged duration");
    int rc = check_floor(type, &duration, &args[1], eval);
    if (rc != BASE_OK)
        return rc;
    if (start > ms)
        return base_err_set(eval->err, BASE_E_INVALID,
                            "The floor function starting time is greater than the provided time");
    if (!floor_by(ms, &duration, start, &ms))
        return base_err_set(eval->err, BASE_E_INVALID, "the floor is out of range");
    return put_ms(call->type->kind, ms, eval, out);
}

static int run_floor_time(const struct cqli_expr *call, const struct cql_value *args,
                          struct cqli_eval *eval, struct cql_value *out)
{
    struct base_duration duration;
    int64_t ns = (int64_t)base_get_be64(args[0].bytes.data);
    if (!base_duration_decode(args[1].bytes, &duration))
        return base_err_set(eval->err, BASE_E_CORRUPT, "damaged duration");
    int rc = check_floor(call->items[0]->type, &duration, &args[1], eval);
    if (rc != BASE_OK)
        return rc;
    if (duration.months || duration.days || duration.ns > DAY_NS)
        return base_err_set(
            eval->err, BASE_E_INVALID,
            "For time values, the floor can only be computed for durations smaller that a day");
    return put_ms(BASE_TYPE_TIME, duration.ns ? ns - ns % duration.ns : ns, eval, out);
}

/* Table. */

#define OLD CQLI_FN_OLD_NAME
#define TS BASE_TYPE_TIMESTAMP
#define DATE BASE_TYPE_DATE
#define UUID BASE_TYPE_TIMEUUID
#define DUR BASE_TYPE_DURATION
static const struct cqli_function functions[] = {
    {"now", CQLI_FN_IMPURE, run_now, UUID, 0, {0}, 0},
    {"current_timeuuid", CQLI_FN_IMPURE | OLD, run_now, UUID, 0, {0}, 0},
    {"current_timestamp", CQLI_FN_IMPURE | OLD, run_current, TS, 0, {0}, 0},
    {"current_date", CQLI_FN_IMPURE | OLD, run_current, DATE, 0, {0}, 0},
    {"current_time", CQLI_FN_IMPURE | OLD, run_current, BASE_TYPE_TIME, 0, {0}, 0},
    {"min_timeuuid", OLD, run_bound_uuid, UUID, 1, {TS}, 0},
    {"max_timeuuid", OLD, run_bound_uuid, UUID, 1, {TS}, 1},
    {"to_date", OLD, run_convert, DATE, 1, {UUID}, 0},
    {"to_date", OLD, run_convert, DATE, 1, {TS}, 0},
    {"to_timestamp", OLD, run_convert, TS, 1, {UUID}, 0},
    {"to_timestamp", OLD, run_convert, TS, 1, {DATE}, 0},
    {"to_unix_timestamp", OLD, run_convert, BASE_TYPE_BIGINT, 1, {UUID}, 0},
    {"to_unix_timestamp", OLD, run_convert, BASE_TYPE_BIGINT, 1, {TS}, 0},
    {"to_unix_timestamp", OLD, run_convert, BASE_TYPE_BIGINT, 1, {DATE}, 0},
    {"floor", 0, run_floor, TS, 2, {UUID, DUR}, 0},
    {"floor", 0, run_floor, TS, 3, {UUID, DUR, TS}, 0},
    {"floor", 0, run_floor, TS, 2, {TS, DUR}, 0},
    {"floor", 0, run_floor, TS, 3, {TS, DUR, TS}, 0},
    {"floor", 0, run_floor, DATE, 2, {DATE, DUR}, 0},
    {"floor", 0, run_floor, DATE, 3, {DATE, DUR, DATE}, 0},
    {"floor", 0, run_floor_time, BASE_TYPE_TIME, 2, {BASE_TYPE_TIME, DUR}, 0},
};
const struct cqli_signatures cqli_functions_time = {functions, BASE_COUNT(functions)};
