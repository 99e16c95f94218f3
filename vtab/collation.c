/* Collations for types whose values are TEXT to SQL but do not compare as text: '2026-11-23' is
 * midnight, 10 comes after 9 in a varint. Columns are declared with them, so that what SQLite
 * compares by itself (terms of an OR, what it tests again, sorting, min() and max()) follows the
 * type as the keys do.
 *
 * Text that is no value of the type comes after all that is, in the order of its bytes: a total
 * order, whatever a query compares with. (Operands that are no text, milliseconds for a timestamp,
 * SQLite orders by their kind: no collation sees them.) */
#include "vtab/vtab_private.h"

static const struct {
    enum base_type_kind kind;
    const char *name;
} collations[] = {
    {BASE_TYPE_TIMESTAMP, "ringlet_timestamp"}, {BASE_TYPE_DATE, "ringlet_date"},
    {BASE_TYPE_TIME, "ringlet_time"},           {BASE_TYPE_UUID, "ringlet_uuid"},
    {BASE_TYPE_TIMEUUID, "ringlet_timeuuid"},   {BASE_TYPE_INET, "ringlet_inet"},
    {BASE_TYPE_VARINT, "ringlet_varint"},       {BASE_TYPE_DECIMAL, "ringlet_decimal"},
};

/* Of one collation of one connection: SQLite calls it under the connection's mutex. */
struct collation {
    const struct base_type *type;
    struct base_buf a, b;
};

const char *vtabi_collation(const struct base_type *type)
{
    for (size_t i = 0; i < BASE_COUNT(collations); i++)
        if (collations[i].kind == type->kind)
            return collations[i].name;
    return "BINARY";
}

static bool convert(const struct base_type *type, struct base_slice text, struct base_buf *out)
{
    struct base_sql_value sql = {.kind = BASE_SQL_TEXT, .bytes = text};
    base_buf_reset(out);
    return base_value_from_sql(type, &sql, out, NULL) == BASE_OK;
}

static int collate(void *arg, int a_len, const void *a_data, int b_len, const void *b_data)
{
    struct collation *collation = arg;
    struct base_slice a = base_slice(a_data, (size_t)a_len), b = base_slice(b_data, (size_t)b_len);
    if (base_slice_equal(a, b))
        return 0;
    bool a_is = convert(collation->type, a, &collation->a);
    bool b_is = convert(collation->type, b, &collation->b);
    if (a_is && b_is)
        return base_value_compare(collation->type, base_buf_view(&collation->a),
                                  base_buf_view(&collation->b));
    return a_is != b_is ? b_is - a_is : base_slice_compare(a, b);
}

static void collation_free(void *arg)
{
    struct collation *collation = arg;
    base_buf_fini(&collation->a);
    base_buf_fini(&collation->b);
    sqlite3_free(collation);
}

int vtabi_collations_register(sqlite3 *db)
{
    for (size_t i = 0; i < BASE_COUNT(collations); i++) {
        struct collation *collation = sqlite3_malloc64(sizeof *collation);
        if (!collation)
            return SQLITE_NOMEM;
        collation->type = base_type_scalar(collations[i].kind);
        base_buf_init(&collation->a, VTABI_BUF_MAX);
        base_buf_init(&collation->b, VTABI_BUF_MAX);
        int rc = sqlite3_create_collation_v2(db, collations[i].name, SQLITE_UTF8, collation,
                                             collate, collation_free);
        if (rc != SQLITE_OK) {
            collation_free(collation); /* unlike others, this one leaves it to us */
            return rc;
        }
    }
    return SQLITE_OK;
}
