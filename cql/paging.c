/* The paging state: where the next page begins. Any node understands it, and no node believes it.
 *
 * state := version u8 (1)
 *          rows left varint, rows left of the partition varint   (each + 1; 0: no limit)
 *          pkey: varint length, bytes
 *          ckey: varint length, bytes   (empty: the partition had only a static row)
 *          checksum le32                of all before it
 *
 * The place is the last row that was given; the next page begins behind it, wherever rows were
 * written or deleted meanwhile. A group is never cut: a page ends where one does, so the place says
 * all. The checksum finds accidents; what a client makes up is checked for being keys of this table
 * and, by whoever uses it, for being where the statement looks. */
#include "base/checksum.h"
#include "base/key.h"
#include "cql/select_private.h"

#define PAGING_VERSION 1
#define PAGING_SEED 0x70616765

static uint32_t sum_of(struct base_slice s)
{
    return (uint32_t)base_checksum_seeded(s.data, s.len, PAGING_SEED);
}

int cqli_paging_encode(const struct cqli_paging *paging, struct base_buf *out)
{
    size_t start = out->len;
    BASE_ASSERT(paging->pkey.len && paging->rows_left > 0);
    int rc = base_buf_put_u8(out, PAGING_VERSION);
    if (rc == BASE_OK)
        rc = base_buf_put_varint(out, paging->rows_left == UINT64_MAX ? 0 : paging->rows_left + 1);
    if (rc == BASE_OK)
        rc = base_buf_put_varint(
            out, paging->partition_rows_left == UINT64_MAX ? 0 : paging->partition_rows_left + 1);
    if (rc == BASE_OK)
        rc = base_buf_put_bytes(out, paging->pkey);
    if (rc == BASE_OK)
        rc = base_buf_put_bytes(out, paging->ckey);
    if (rc == BASE_OK)
        rc = base_buf_put_le32(out, sum_of(base_slice(out->data + start, out->len - start)));
    if (rc != BASE_OK)
        out->len = start;
    return rc;
}

/* A whole clustering key of this table. */
static bool ckey_ok(struct base_slice ckey, const struct base_table *table)
{
    struct base_reader in = base_reader(ckey);
    uint8_t position = 0;
    bool empty, ok = ckey.len <= BASE_CKEY_LEN_MAX;
    struct base_buf value;
    base_buf_init(&value, BASE_CKEY_LEN_MAX * 4);
    for (size_t i = 0; ok && position == 0; i++) {
        const struct base_column *column = &table->columns[table->partition_key_count + i];
        if (i == table->clustering_count) {
            ok = base_get_u8(&in, &position);
            break;
        }
        base_buf_reset(&value);
        ok = base_ckey_get(column->type, column->descending, &in, &value, &empty, &position,
                           NULL) == BASE_OK &&
             position == 0;
    }
    base_buf_fini(&value);
    return ok && position == BASE_KEY_AT && base_reader_left(&in) == 0;
}

static bool decode(struct base_slice state, const struct base_table *table, struct cqli_paging *out)
{
    uint64_t rows, partition_rows;
    uint8_t version;
    if (state.len < 5 ||
        base_get_le32(state.data + state.len - 4) != sum_of(base_slice(state.data, state.len - 4)))
        return false;
    struct base_reader in = base_reader(base_slice(state.data, state.len - 4));
    if (!base_get_u8(&in, &version) || version != PAGING_VERSION || !base_get_varint(&in, &rows) ||
        !base_get_varint(&in, &partition_rows) || !base_get_bytes(&in, &out->pkey) ||
        !base_get_bytes(&in, &out->ckey) || base_reader_left(&in))
        return false;
    out->rows_left = rows - 1;
    out->partition_rows_left = partition_rows - 1;
    return out->rows_left > 0 && out->pkey.len <= BASE_PKEY_LEN_MAX && out->pkey.len >= 10 &&
           base_pkey_len(out->pkey) == out->pkey.len &&
           (out->ckey.len == 0 || ckey_ok(out->ckey, table));
}

int cqli_paging_decode(struct base_slice state, const struct base_table *table,
                       struct cqli_paging *out, struct base_err *err)
{
    *out = (struct cqli_paging){0};
    if (decode(state, table, out))
        return BASE_OK;
    *out = (struct cqli_paging){0};
    return base_err_set(err, BASE_E_INVALID, "Invalid value for the paging state");
}
