/* Rows of made-up tables: values by column name become an encoded row in an overlay, which then
 * answers like any table.
 *
 * Invariants:
 *  1. The first error stays and stops all that follows; nobody needs to look before the end.
 *  2. A row has all its key columns, each in a form that its key gives back exactly. */
#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/collection.h"
#include "base/key.h"
#include "node/system_private.h"

#define VALUE_LEN_MAX ((size_t)16 << 20)

int nodei_fill_begin(struct nodei_fill *fill, struct base_err *err)
{
    fill->err = err;
    fill->rc = BASE_OK;
    base_arena_init(&fill->arena);
    base_buf_init(&fill->scratch, VALUE_LEN_MAX);
    base_buf_init(&fill->collection, VALUE_LEN_MAX);
    base_buf_init(&fill->row, VALUE_LEN_MAX);
    base_buf_init(&fill->mutation, 2 * VALUE_LEN_MAX);
    base_buf_init(&fill->pkey, BASE_PKEY_LEN_MAX);
    base_buf_init(&fill->ckey, BASE_CKEY_LEN_MAX);
    fill->ts_us = base_clock_wall(fill->node->clock).us;
    fill->values = calloc(fill->table->column_count, sizeof *fill->values);
    fill->overlay = lsm_overlay_new();
    if (!fill->values || !fill->overlay)
        fill->rc =
            base_err_set(err, BASE_E_NOMEM, "system table: %s", base_err_words(BASE_E_NOMEM));
    return fill->rc;
}

void nodei_fill_fini(struct nodei_fill *fill)
{
    base_arena_fini(&fill->arena);
    base_buf_fini(&fill->scratch);
    base_buf_fini(&fill->collection);
    base_buf_fini(&fill->row);
    base_buf_fini(&fill->mutation);
    base_buf_fini(&fill->pkey);
    base_buf_fini(&fill->ckey);
    free(fill->values);
    if (fill->overlay)
        lsm_overlay_release(fill->overlay);
    fill->values = NULL;
    fill->overlay = NULL;
}

static void failed(struct nodei_fill *fill, int rc)
{
    if (rc == BASE_OK || fill->rc != BASE_OK)
        return;
    fill->rc = rc;
    if (!fill->err || fill->err->code != rc) /* nobody has said it yet */
        base_err_set(fill->err, rc, "system table: %s", base_err_words(rc));
}

/* Values. */

static size_t column_of(const struct nodei_fill *fill, const char *name)
{
    const struct base_column *column = base_table_column(fill->table, base_slice_str(name));
    BASE_ASSERT(column); /* fillers know their tables */
    return (size_t)(column - fill->table->columns);
}

void nodei_fill_put(struct nodei_fill *fill, const char *column, struct base_slice value)
{
    if (fill->rc != BASE_OK)
        return;
    struct base_slice *to = &fill->values[column_of(fill, column)];
    failed(fill, base_arena_copy(&fill->arena, value, to));
    if (!to->data)
        *to = BASE_SLICE_LIT(""); /* an empty value is one */
}

bool nodei_fill_has(const struct nodei_fill *fill, const char *column)
{
    return fill->rc == BASE_OK && fill->values[column_of(fill, column)].data;
}

void nodei_fill_text(struct nodei_fill *fill, const char *column, const char *text)
{
    nodei_fill_put(fill, column, base_slice_str(text));
}

void nodei_fill_printf(struct nodei_fill *fill, const char *column, const char *fmt, ...)
{
    char text[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    nodei_fill_text(fill, column, text);
}

void nodei_fill_int(struct nodei_fill *fill, const char *column, int32_t value)
{
    uint8_t bytes[4];
    base_put_be32(bytes, (uint32_t)value);
    nodei_fill_put(fill, column, base_slice(bytes, sizeof bytes));
}

void nodei_fill_bigint(struct nodei_fill *fill, const char *column, int64_t value)
{
    uint8_t bytes[8];
    base_put_be64(bytes, (uint64_t)value);
    nodei_fill_put(fill, column, base_slice(bytes, sizeof bytes));
}

void nodei_fill_count(struct nodei_fill *fill, const char *column, uint64_t value)
{
    nodei_fill_bigint(fill, column, value > INT64_MAX ? INT64_MAX : (int64_t)value);
}

void nodei_fill_double(struct nodei_fill *fill, const char *column, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    uint8_t bytes[8];
    base_put_be64(bytes, bits);
    nodei_fill_put(fill, column, base_slice(bytes, sizeof bytes));
}

void nodei_fill_bool(struct nodei_fill *fill, const char *column, bool value)
{
    uint8_t byte = value;
    nodei_fill_put(fill, column, base_slice(&byte, 1));
}

void nodei_fill_uuid(struct nodei_fill *fill, const char *column, struct base_uuid value)
{
    nodei_fill_put(fill, column, base_slice(value.b, sizeof value.b));
}

void nodei_fill_inet(struct nodei_fill *fill, const char *column, const char *host)
{
    uint8_t bytes[16];
    if (inet_pton(AF_INET, host, bytes) == 1)
        nodei_fill_put(fill, column, base_slice(bytes, 4));
    else if (inet_pton(AF_INET6, host, bytes) == 1)
        nodei_fill_put(fill, column, base_slice(bytes, 16));
}

void nodei_fill_element(struct nodei_fill *fill, struct base_slice value)
{
    uint8_t len[4];
    base_put_be32(len, (uint32_t)value.len);
    if (fill->collection_count++ == 0)
        base_buf_reset(&fill->collection);
    failed(fill, base_buf_put(&fill->collection, len, sizeof len));
    failed(fill, base_buf_put_slice(&fill->collection, value));
}

void nodei_fill_collection(struct nodei_fill *fill, const char *column)
{
    uint8_t count[4];
    if (fill->collection_count == 0)
        base_buf_reset(&fill->collection);
    const struct base_type *type = fill->table->columns[column_of(fill, column)].type;
    base_put_be32(count, fill->collection_count / (type->kind == BASE_TYPE_MAP ? 2 : 1));
    fill->collection_count = 0;
    base_buf_reset(&fill->scratch);
    failed(fill, base_buf_put(&fill->scratch, count, sizeof count));
    failed(fill, base_buf_put_slice(&fill->scratch, base_buf_view(&fill->collection)));
    base_buf_reset(&fill->collection);
    if (fill->rc == BASE_OK)
        fill->rc =
            base_value_normalize(type, base_buf_view(&fill->scratch), &fill->collection, fill->err);
    nodei_fill_put(fill, column, base_buf_view(&fill->collection));
}

void nodei_fill_options(struct nodei_fill *fill, const char *column,
                        const struct base_options *options)
{
    for (size_t i = 0; i < options->count; i++) {
        nodei_fill_element(fill, options->items[i].key);
        nodei_fill_element(fill, options->items[i].value);
    }
    nodei_fill_collection(fill, column);
}

/* Rows. */

static int put_pkey(struct nodei_fill *fill)
{
    base_buf_reset(&fill->scratch);
    base_buf_reset(&fill->pkey);
    int rc =
        base_pk_compose(fill->values, fill->table->partition_key_count, &fill->scratch, fill->err);
    return rc == BASE_OK ? base_pkey_put(base_buf_view(&fill->scratch), &fill->pkey) : rc;
}

static int put_ckey(struct nodei_fill *fill)
{
    const struct base_table *t = fill->table;
    bool exact = true;
    int rc = BASE_OK;
    base_buf_reset(&fill->ckey);
    for (size_t i = t->partition_key_count;
         rc == BASE_OK && i < t->partition_key_count + t->clustering_count; i++) {
        BASE_ASSERT(fill->values[i].data);
        rc = base_ckey_put(t->columns[i].type, t->columns[i].descending, fill->values[i],
                           &fill->ckey, &exact, fill->err);
    }
    BASE_ASSERT(exact);
    return rc == BASE_OK ? base_ckey_end(BASE_KEY_AT, &fill->ckey) : rc;
}

static int put_cells(struct nodei_fill *fill, struct base_row_builder *builder,
                     const struct base_column *column, struct base_slice value)
{
    if (!base_type_is_multicell(column->type))
        return base_row_put_value(builder, column->id, value);
    struct base_explode it;
    struct base_cell cell = {.column = column->id, .ts = fill->ts_us};
    bool end = false;
    BASE_ASSERT(column->type->kind != BASE_TYPE_LIST); /* items would need ids */
    int rc = base_explode_begin(&it, column->type, value, fill->err);
    while (rc == BASE_OK &&
           (rc = base_explode_next(&it, NULL, &cell, &end, fill->err)) == BASE_OK && !end)
        rc = base_row_put_cell(builder, &cell);
    base_explode_fini(&it);
    return rc;
}

static int put_row(struct nodei_fill *fill)
{
    const struct base_table *t = fill->table;
    size_t keys = t->partition_key_count + t->clustering_count;
    struct base_row_builder builder;
    base_buf_reset(&fill->row);
    int rc = base_row_begin(&builder, &fill->row, fill->ts_us);
    if (rc == BASE_OK)
        rc = base_row_put_liveness(&builder, 0, 0);
    for (size_t i = 0; rc == BASE_OK && i < t->column_count; i++) { /* cells go by id */
        size_t at = t->columns_by_id[i];
        if (at >= keys && fill->values[at].data)
            rc = put_cells(fill, &builder, &t->columns[at], fill->values[at]);
    }
    if (rc == BASE_OK)
        base_row_end(&builder);
    return rc;
}

void nodei_fill_forget(struct nodei_fill *fill)
{
    base_arena_reset(&fill->arena);
    memset(fill->values, 0, fill->table->column_count * sizeof *fill->values);
}

/* Does the read ask for this partition, for this row? What it does not ask for costs no memory. */
static bool wants_partition(const struct nodei_fill *fill)
{
    const struct base_read *cmd = fill->cmd;
    struct base_slice pkey = base_buf_view(&fill->pkey);
    if (cmd->pkey.len)
        return base_slice_equal(cmd->pkey, pkey);
    int64_t token = base_token_get(pkey.data);
    return token > cmd->token_after && token <= cmd->token_upto &&
           (!cmd->start_pkey.len || base_slice_compare(pkey, cmd->start_pkey) >= 0);
}

static bool wants_row(const struct nodei_fill *fill)
{
    const struct base_slices *slices = &fill->cmd->slices;
    struct base_slice ckey = base_buf_view(&fill->ckey);
    for (size_t i = 0; i < slices->count; i++) {
        const struct base_range *range = &slices->ranges[i];
        if ((!range->lo.len || base_slice_compare(ckey, range->lo) >= 0) &&
            (!range->hi.len || base_slice_compare(ckey, range->hi) <= 0))
            return true;
    }
    return false;
}

void nodei_fill_end(struct nodei_fill *fill)
{
    int rc = fill->rc;
    if (rc == BASE_OK)
        rc = put_pkey(fill);
    if (rc == BASE_OK && wants_partition(fill))
        rc = put_ckey(fill);
    else
        base_buf_reset(&fill->ckey);
    if (rc == BASE_OK && fill->ckey.len && wants_row(fill)) {
        rc = put_row(fill);
        base_buf_reset(&fill->mutation);
        if (rc == BASE_OK)
            rc = base_mutation_put_row(&fill->mutation, fill->table->id, base_buf_view(&fill->pkey),
                                       base_buf_view(&fill->ckey), base_buf_view(&fill->row));
        if (rc == BASE_OK)
            rc = lsm_overlay_apply(fill->overlay, base_buf_view(&fill->mutation), fill->err);
    }
    failed(fill, rc);
    nodei_fill_forget(fill);
}

static void each_table(struct nodei_fill *fill,
                       void (*with_stats)(struct nodei_fill *fill, const struct base_table *table,
                                          const struct lsm_table_stats *stats),
                       void (*with_place)(struct nodei_fill *fill, const struct base_table *table,
                                          struct lsm_table *place))
{
    struct node_session *session;
    if (fill->rc != BASE_OK || fill->node->guest)
        return;
    fill->rc = nodei_session_internal(fill->node, &session, fill->err);
    if (fill->rc != BASE_OK)
        return;
    nodei_enter(session); /* what was in the schema then stays in the store until we leave */
    struct base_schema *schema = node_schema(fill->node);
    for (size_t i = 0; i < schema->table_count; i++) {
        struct lsm_table *place = lsm_table_find(fill->node->store, schema->tables_by_id[i]->id);
        struct lsm_table_stats stats;
        if (!place)
            continue;
        if (with_place) {
            with_place(fill, schema->tables_by_id[i], place);
            continue;
        }
        lsm_table_get_stats(place, &stats);
        with_stats(fill, schema->tables_by_id[i], &stats);
    }
    base_schema_release(schema);
    nodei_leave(session);
    nodei_session_internal_free(session);
}

void nodei_fill_each_table(struct nodei_fill *fill,
                           void (*each)(struct nodei_fill *fill, const struct base_table *table,
                                        const struct lsm_table_stats *stats))
{
    each_table(fill, each, NULL);
}

void nodei_fill_each_place(struct nodei_fill *fill,
                           void (*each)(struct nodei_fill *fill, const struct base_table *table,
                                        struct lsm_table *place))
{
    each_table(fill, NULL, each);
}

bool nodei_fill_wants(const struct nodei_fill *fill, struct base_slice value)
{
    struct base_buf pk, pkey;
    if (!fill->cmd->pkey.len || fill->table->partition_key_count != 1)
        return true;
    base_buf_init(&pk, BASE_PK_LEN_MAX);
    base_buf_init(&pkey, BASE_PKEY_LEN_MAX);
    bool wants = base_pk_compose(&value, 1, &pk, NULL) != BASE_OK ||
                 base_pkey_put(base_buf_view(&pk), &pkey) != BASE_OK ||
                 base_slice_equal(base_buf_view(&pkey), fill->cmd->pkey);
    base_buf_fini(&pk);
    base_buf_fini(&pkey);
    return wants;
}
