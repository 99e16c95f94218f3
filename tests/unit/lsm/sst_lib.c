#include "tests/unit/lsm/sst_lib.h"

#include <stdio.h>

#include "base/compress.h"
#include "base/key.h"

static const struct base_range whole_range = {{NULL, 0}, {NULL, 0}};
const struct base_slices slices_whole = {&whole_range, 1};

/* Making. */

static struct base_slice keep(struct base_arena *arena, const void *data, size_t len)
{
    struct base_slice out;
    ck_assert_int_eq(base_arena_copy(arena, base_slice(data, len), &out), BASE_OK);
    return out;
}

static struct base_slice random_row(struct rng *rng, struct base_arena *arena, size_t value_max)
{
    struct base_buf buf;
    struct base_row_builder b;
    base_buf_init(&buf, SIZE_MAX / 2);
    ck_assert_int_eq(base_row_begin(&b, &buf, rng_between(rng, 1, 1000000)), BASE_OK);
    if (rng_chance(rng, 80))
        ck_assert_int_eq(base_row_put_liveness(&b, rng_chance(rng, 10) ? 100 : 0, 5000), BASE_OK);
    if (rng_chance(rng, 10))
        ck_assert_int_eq(
            base_row_put_deletion(&b, (struct base_deletion){rng_between(rng, 1, 1000), 77}),
            BASE_OK);
    uint32_t columns = 1 + (uint32_t)rng_below(rng, 3);
    for (uint32_t column = 1; column <= columns; column++) {
        uint8_t *value = malloc(value_max + 1);
        size_t len = rng_one_in(rng, 200) ? value_max
                                          : rng_below(rng, value_max < 100 ? value_max + 1 : 100);
        for (size_t i = 0; i < len; i++)
            value[i] = rng_chance(rng, 50) ? 'v' : (uint8_t)rng_u64(rng);
        struct base_cell cell = {
            .column = column, .ts = rng_between(rng, 1, 1000000), .value = {value, len}};
        if (rng_chance(rng, 10)) {
            cell.flags = BASE_CELL_DEAD;
            cell.value = (struct base_slice){0};
            cell.local_s = rng_between(rng, 1, 10000);
        } else if (rng_chance(rng, 10)) {
            cell.flags = BASE_CELL_EXPIRING;
            cell.ttl = 60;
            cell.local_s = rng_between(rng, 60, 10000);
        }
        ck_assert_int_eq(base_row_put_cell(&b, &cell), BASE_OK);
        free(value);
    }
    base_row_end(&b);
    struct base_slice row = keep(arena, buf.data, buf.len);
    base_buf_fini(&buf);
    return row;
}

static size_t random_prefix(struct rng *rng, uint8_t *key, uint8_t components)
{
    size_t n = 0;
    for (uint8_t i = 0; i < components; i++) {
        key[n++] = BASE_KEY_NEXT;
        /* different lengths: heads must tell them apart */
        size_t len = i == 0 ? 2 : 1 + rng_below(rng, 6);
        for (size_t j = 0; j < len; j++)
            key[n++] = (uint8_t)(rng_chance(rng, 60) ? rng_below(rng, 4) : rng_u64(rng));
    }
    return n;
}

static struct base_slice random_ckey(struct rng *rng, struct base_arena *arena, uint8_t components,
                                     bool marker)
{
    uint8_t key[64];
    size_t n = random_prefix(
        rng, key, marker && components ? (uint8_t)rng_below(rng, components + 1u) : components);
    key[n++] = !marker ? BASE_KEY_AT : rng_chance(rng, 50) ? BASE_KEY_BEFORE : BASE_KEY_AFTER;
    return keep(arena, key, n);
}

static int by_ckey(const void *a, const void *b)
{
    return base_slice_compare(((const struct base_item *)a)->ckey,
                              ((const struct base_item *)b)->ckey);
}

static struct base_deletion random_deletion(struct rng *rng)
{
    return (struct base_deletion){rng_between(rng, -5, 5), rng_between(rng, 100, 102)};
}

static void make_items(struct model *m, struct model_partition *p, struct rng *rng,
                       const struct model_shape *shape, size_t count)
{
    struct base_item *items = base_arena_alloc(&m->arena, (count + 1) * sizeof *items);
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        bool marker = rng_chance(rng, shape->marker_percent);
        items[i] = (struct base_item){.kind = marker ? BASE_ITEM_MARKER : BASE_ITEM_ROW,
                                      .before = BASE_DELETION_NONE,
                                      .after = BASE_DELETION_NONE};
        items[i].ckey = random_ckey(rng, &m->arena, shape->components, marker);
        if (!marker)
            items[i].row = random_row(rng, &m->arena, shape->value_max);
    }
    qsort(items, count, sizeof *items, by_ckey);
    struct base_deletion open = BASE_DELETION_NONE;
    for (size_t i = 0; i < count; i++) {
        if (n && base_slice_equal(items[n - 1].ckey, items[i].ckey))
            continue;
        if (items[i].kind == BASE_ITEM_MARKER) {
            struct base_deletion after =
                rng_chance(rng, 40) ? BASE_DELETION_NONE : random_deletion(rng);
            if (base_deletion_equal(open, after))
                continue;
            items[i].before = open;
            items[i].after = open = after;
        }
        items[n++] = items[i];
    }
    if (!base_deletion_is_none(open)) {
        uint8_t end = BASE_KEY_AFTER;
        struct base_slice last = n ? items[n - 1].ckey : (struct base_slice){0};
        if (last.len == 1 &&
            last.data[0] == end) { /* the last marker stands there already: let it close */
            items[n - 1].after = BASE_DELETION_NONE;
            if (base_deletion_is_none(items[n - 1].before))
                n--;
        } else {
            items[n++] = (struct base_item){
                BASE_ITEM_MARKER, keep(&m->arena, &end, 1), {0}, open, BASE_DELETION_NONE};
        }
    }
    p->items = items;
    p->item_count = n;
}

static int by_pkey(const void *a, const void *b)
{
    return base_slice_compare(((const struct model_partition *)a)->pkey,
                              ((const struct model_partition *)b)->pkey);
}

void model_make(struct model *m, struct rng *rng, const struct model_shape *shape)
{
    *m = (struct model){0};
    base_arena_init(&m->arena);
    m->partitions = calloc(shape->partitions + 1, sizeof *m->partitions);
    struct base_buf pkey;
    base_buf_init(&pkey, 1 << 20);
    for (size_t i = 0; i < shape->partitions; i++) {
        uint8_t pk[40];
        size_t len = 1 + rng_below(rng, sizeof pk);
        rng_fill(rng, pk, len);
        if (shape->key_space) {
            len = 2;
            base_put_le16(pk, (uint16_t)rng_below(rng, shape->key_space));
        }
        base_buf_reset(&pkey);
        ck_assert_int_eq(base_pkey_put(base_slice(pk, len), &pkey), BASE_OK);
        m->partitions[i].pkey = keep(&m->arena, pkey.data, pkey.len);
    }
    base_buf_fini(&pkey);
    qsort(m->partitions, shape->partitions, sizeof *m->partitions, by_pkey);
    for (size_t i = 0; i < shape->partitions; i++) {
        struct model_partition *p = &m->partitions[m->count];
        *p =
            (struct model_partition){.pkey = m->partitions[i].pkey, .deletion = BASE_DELETION_NONE};
        if (m->count && base_slice_equal(p->pkey, p[-1].pkey))
            continue;
        size_t items = shape->wide_first && m->count == 0 ? shape->items_max
                                                          : rng_skewed(rng, shape->items_max);
        make_items(m, p, rng, shape, items);
        if (rng_chance(rng, shape->deletion_percent))
            p->deletion = random_deletion(rng);
        if (rng_chance(rng, shape->static_percent))
            p->static_row = random_row(rng, &m->arena, shape->value_max);
        if (p->item_count || p->static_row.len || !base_deletion_is_none(p->deletion))
            m->count++;
    }
}

void model_free(struct model *m)
{
    base_arena_fini(&m->arena);
    free(m->partitions);
}

/* Reading. */

static void put_hex(struct base_buf *out, struct base_slice s)
{
    static const char digits[] = "0123456789abcdef";
    ck_assert_int_eq(base_buf_reserve(out, s.len * 2 + 1), BASE_OK);
    for (size_t i = 0; i < s.len; i++) {
        out->data[out->len++] = (uint8_t)digits[s.data[i] >> 4];
        out->data[out->len++] = (uint8_t)digits[s.data[i] & 15];
    }
    out->data[out->len++] = ' ';
}

static void put_row(struct base_buf *out, struct base_slice row)
{
    if (row.len < 64) {
        put_hex(out, row);
    } else { /* long ones by length and a hash, or the dumps would be megabytes */
        uint64_t hash = 1469598103934665603u;
        for (size_t i = 0; i < row.len; i++)
            hash = (hash ^ row.data[i]) * 1099511628211u;
        ck_assert_int_eq(base_buf_printf(out, "%zu:%llx ", row.len, (unsigned long long)hash),
                         BASE_OK);
    }
}

static void put_deletion(struct base_buf *out, struct base_deletion d)
{
    int rc = base_deletion_is_none(d)
                 ? base_buf_printf(out, "- ")
                 : base_buf_printf(out, "%lld@%lld ", (long long)d.ts, (long long)d.local_s);
    ck_assert_int_eq(rc, BASE_OK);
}

static void dump_partition(struct base_buf *out, const struct base_partition *p)
{
    ck_assert_int_eq(base_buf_printf(out, "P "), BASE_OK);
    put_hex(out, p->pkey);
    put_deletion(out, p->deletion);
    put_row(out, p->static_row);
    ck_assert_int_eq(base_buf_printf(out, "\n"), BASE_OK);
}

static void dump_item(struct base_buf *out, const struct base_item *item)
{
    ck_assert_int_eq(base_buf_printf(out, item->kind == BASE_ITEM_ROW ? "  R " : "  M "), BASE_OK);
    put_hex(out, item->ckey);
    if (item->kind == BASE_ITEM_ROW) {
        put_row(out, item->row);
    } else {
        put_deletion(out, item->before);
        put_deletion(out, item->after);
    }
    ck_assert_int_eq(base_buf_printf(out, "\n"), BASE_OK);
}

int source_dump(struct base_source *src, struct base_buf *out, struct base_err *err)
{
    for (;;) {
        struct base_partition p;
        struct base_item item;
        int rc = src->ops->partition(src, &p, err);
        if (rc || p.pkey.len == 0)
            return rc;
        dump_partition(out, &p);
        for (;;) {
            rc = src->ops->next(src, &item, err);
            if (rc)
                return rc;
            if (item.kind == BASE_ITEM_END)
                break;
            dump_item(out, &item);
        }
    }
}

static struct base_slice marker_position(struct base_slice bound, bool lo, uint8_t scratch[256])
{
    memcpy(scratch, bound.data, bound.len);
    if (scratch[bound.len - 1] == BASE_KEY_AT)
        scratch[bound.len - 1] = lo ? BASE_KEY_BEFORE : BASE_KEY_AFTER;
    return base_slice(scratch, bound.len);
}

/* One slice, ascending, into items; its bound markers' keys into scratch. */
static size_t slice_items(const struct model_partition *p, const struct base_range *r,
                          struct base_item *items, uint8_t lo_key[256], uint8_t hi_key[256])
{
    size_t n = 0;
    struct base_deletion open = BASE_DELETION_NONE;
    bool none = r->lo.len && r->hi.len &&
                (base_slice_compare(r->lo, r->hi) > 0 ||
                 (base_slice_equal(r->lo, r->hi) && r->lo.data[r->lo.len - 1] != BASE_KEY_AT));
    if (none)
        return 0;
    for (size_t i = 0; i < p->item_count && r->lo.len; i++)
        if (base_slice_compare(p->items[i].ckey, r->lo) <= 0 &&
            p->items[i].kind == BASE_ITEM_MARKER)
            open = p->items[i].after;
    if (!base_deletion_is_none(open))
        items[n++] = (struct base_item){
            BASE_ITEM_MARKER, marker_position(r->lo, true, lo_key), {0}, BASE_DELETION_NONE, open};
    for (size_t i = 0; i < p->item_count; i++) {
        const struct base_item *it = &p->items[i];
        bool marker = it->kind == BASE_ITEM_MARKER;
        if (r->lo.len && (base_slice_compare(it->ckey, r->lo) < 0 ||
                          (marker && base_slice_equal(it->ckey, r->lo))))
            continue;
        if (r->hi.len && (base_slice_compare(it->ckey, r->hi) > 0 ||
                          (marker && base_slice_equal(it->ckey, r->hi))))
            continue;
        items[n++] = *it;
        if (marker)
            open = it->after;
    }
    if (!base_deletion_is_none(open) && r->hi.len)
        items[n++] = (struct base_item){
            BASE_ITEM_MARKER, marker_position(r->hi, false, hi_key), {0}, open, BASE_DELETION_NONE};
    return n;
}

void model_read(const struct model *m, const struct base_read *cmd, struct base_buf *out)
{
    for (size_t i = 0; i < m->count; i++) {
        const struct model_partition *p = &m->partitions[i];
        int64_t token = base_token_get(p->pkey.data);
        if (cmd->pkey.len
                ? !base_slice_equal(cmd->pkey, p->pkey)
                : token <= cmd->token_after || token > cmd->token_upto ||
                      (cmd->start_pkey.len && base_slice_compare(p->pkey, cmd->start_pkey) < 0))
            continue;
        struct base_partition head = {p->pkey, p->deletion, p->static_row};
        dump_partition(out, &head);
        struct base_item *items = malloc((p->item_count + 2) * sizeof *items);
        uint8_t lo[256], hi[256];
        for (size_t s = 0; s < cmd->slices.count; s++) {
            size_t slice = cmd->reversed ? cmd->slices.count - 1 - s : s;
            size_t n = slice_items(p, &cmd->slices.ranges[slice], items, lo, hi);
            for (size_t j = 0; j < n; j++)
                dump_item(out, &items[cmd->reversed ? n - 1 - j : j]);
        }
        free(items);
    }
}

static struct base_slice random_bound(struct rng *rng, struct base_arena *arena,
                                      const struct model_partition *near)
{
    if (near && near->item_count && rng_chance(rng, 70))
        return near->items[rng_below(rng, near->item_count)].ckey;
    return random_ckey(rng, arena, 2, rng_chance(rng, 60));
}

static int by_bytes(const void *a, const void *b)
{
    return base_slice_compare(*(const struct base_slice *)a, *(const struct base_slice *)b);
}

struct base_slices random_slices(struct rng *rng, struct base_arena *arena,
                                 const struct model_partition *near)
{
    size_t wanted = 1 + rng_below(rng, 4), n = 0, bounds_count = 0;
    struct base_slice bounds[8];
    struct base_range *ranges = base_arena_alloc(arena, wanted * sizeof *ranges);
    for (size_t i = 0; i < wanted * 2; i++) {
        bounds[bounds_count++] = random_bound(rng, arena, near);
        if (i % 2 && rng_chance(rng, 40)) /* one row: both bounds are its key */
            bounds[bounds_count - 1] = bounds[bounds_count - 2];
    }
    qsort(bounds, bounds_count, sizeof *bounds, by_bytes);
    for (size_t i = 0; i + 1 < bounds_count; i += 2) {
        if (n && base_slice_compare(bounds[i], ranges[n - 1].hi) <= 0)
            continue;
        ranges[n++] = (struct base_range){bounds[i], bounds[i + 1]};
    }
    if (n && rng_chance(rng, 20))
        ranges[0].lo = (struct base_slice){0};
    if (n && rng_chance(rng, 20))
        ranges[n - 1].hi = (struct base_slice){0};
    if (rng_one_in(rng, 30))
        n = 0;
    return (struct base_slices){ranges, n};
}

/* Writing. */

struct lsmi_sst_params test_params(struct base_fs *fs, const char *path)
{
    struct lsmi_sst_params params = {
        .fs = fs,
        .path = path,
        .id = 17,
        .table_name = "ks.tab",
        .compressor = BASE_COMPRESS_LZ4,
        .block_size = 4096,
        .bloom_fp_chance = 0.01,
        .level = 3,
        .commitlog_from = 5,
        .commitlog_upto = 99,
        .repaired_at_ms = 123,
    };
    memset(params.table_id.b, 0x11, 16);
    memset(params.host_id.b, 0x22, 16);
    memset(params.pending_repair.b, 0x33, 16);
    return params;
}

void model_write(const struct model *m, const struct lsmi_sst_params *params,
                 struct lsm_sstable_info *info)
{
    struct base_err err;
    struct lsmi_sst_writer *w;
    struct lsm_sstable_info ignored;
    ck_ok(lsmi_sst_writer_open(params, &w, &err), err);
    for (size_t i = 0; i < m->count; i++) {
        const struct model_partition *p = &m->partitions[i];
        struct base_partition head = {p->pkey, p->deletion, p->static_row};
        ck_ok(lsmi_sst_writer_partition(w, &head, &err), err);
        for (size_t j = 0; j < p->item_count; j++)
            ck_ok(lsmi_sst_writer_item(w, &p->items[j], &err), err);
    }
    ck_ok(lsmi_sst_writer_finish(w, info ? info : &ignored, &err), err);
}
