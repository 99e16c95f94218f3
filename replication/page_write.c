/* Writing pages (page.h): a merged stream as bytes, up to a limit.
 *
 * Invariants:
 *  1. What is written depends on the stream's content only: rows are in the one form that
 *     base/reconcile.c writes, what vanishes by time is gone before a limit is looked at, and a
 *     limit ends the page where the next thing is known to exist.
 *  2. A page ends at a row, at a marker that ends a range deletion, or at a partition's end; never
 *     at one that only opens (the next page would open it again at the same place, and nothing
 *     would go on).
 *  3. At the end no range deletion is open: it is closed beside the last row, or the last marker is
 *     made to close it.
 *  4. What follows the last item (a closing marker, the end with its keys) always finds room:
 *     END_ROOM is kept free. */
#include "base/key.h"
#include "replication/page.h"
#include "replication/replication_private.h"

#define ROW_LEN_MAX ((size_t)1 << 30)
#define END_ROOM (BASE_PKEY_LEN_MAX + 2 * BASE_CKEY_LEN_MAX + 128)

void repl_page_begin(struct repl_page_writer *w, bool reversed, int64_t now_s, int64_t gc_before_s,
                     const struct repl_page_limits *limits, struct base_buf *out)
{
    *w = (struct repl_page_writer){
        .out = out,
        .limits = *limits,
        .purge = {.now_s = now_s, .gc_before_s = gc_before_s, .purgeable_ts = INT64_MAX},
        .reversed = reversed,
        .floor_ts = INT64_MIN,
        .start = out->len,
        .open = BASE_DELETION_NONE,
        .near = BASE_DELETION_NONE,
    };
    base_buf_init(&w->scratch, ROW_LEN_MAX);
}

bool repl_page_static_alone(const struct base_read *cmd)
{
    const struct base_slices *slices = &cmd->slices;
    return slices->count == 0 ||
           (slices->count == 1 && !slices->ranges[0].lo.len && !slices->ranges[0].hi.len);
}

/* Bytes. */

static uint8_t *put_bytes(uint8_t *p, struct base_slice s)
{
    p = base_put_varint(p, s.len);
    if (s.len)
        memcpy(p, s.data, s.len);
    return p + s.len;
}

static uint8_t *put_deletion(uint8_t *p, struct base_deletion deletion)
{
    p = base_put_varint(p, base_zigzag(deletion.ts));
    return base_put_varint(p, (uint64_t)deletion.local_s);
}

/* Room for an item of so many bytes besides its tag, lengths and deletions. */
static int reserve(struct repl_page_writer *w, size_t bytes)
{
    size_t need = bytes + 8 * BASE_VARINT_LEN_MAX;
    if (need > w->out->len_max || w->out->len + need + END_ROOM > w->out->len_max)
        return BASE_E_LIMIT;
    return base_buf_reserve(w->out, need);
}

static void put_marker(struct repl_page_writer *w, struct base_slice ckey,
                       struct base_deletion before, struct base_deletion after)
{
    uint8_t *tag = w->out->data + w->out->len, *p = put_bytes(tag + 1, ckey);
    *tag = REPLI_PAGE_MARKER;
    if (!base_deletion_is_none(before)) {
        *tag |= REPLI_PAGE_BEFORE;
        p = put_deletion(p, before);
    }
    if (!base_deletion_is_none(after)) {
        *tag |= REPLI_PAGE_AFTER;
        p = put_deletion(p, after);
    }
    w->out->len = (size_t)(p - w->out->data);
}

static struct base_slice last_ckey(const struct repl_page_writer *w)
{
    return base_slice(w->out->data + w->ckey_at, w->ckey_len);
}

/* What is open at the last position ends there. There is room (END_ROOM). */
static int close_open(struct repl_page_writer *w)
{
    if (base_deletion_is_none(w->open))
        return BASE_OK;
    struct base_buf *key = &w->scratch;
    base_buf_reset(key);
    int rc = base_buf_put_slice(key, last_ckey(w));
    if (rc == BASE_OK)
        rc = base_buf_reserve(w->out, key->len + 4 * BASE_VARINT_LEN_MAX);
    if (rc != BASE_OK)
        return rc;
    BASE_ASSERT(key->len > 0);
    struct base_deletion ending = w->open;
    if (w->marker_at) { /* that marker itself: it ends something, or we would not be here (invariant
                           2) */
        BASE_ASSERT(!base_deletion_is_none(w->near));
        ending = w->near;
        w->out->len = w->marker_at;
    } else {
        key->data[key->len - 1] = w->reversed ? BASE_KEY_BEFORE : BASE_KEY_AFTER;
    }
    put_marker(w, base_buf_view(key), w->reversed ? BASE_DELETION_NONE : ending,
               w->reversed ? ending : BASE_DELETION_NONE);
    w->open = BASE_DELETION_NONE;
    return BASE_OK;
}

/* Limits. */

static bool is_full(const struct repl_page_writer *w)
{
    return w->any &&
           (w->rows >= w->limits.rows_max || w->out->len - w->start >= w->limits.bytes_max);
}

/* Invariant 2. */
static bool may_end(const struct repl_page_writer *w)
{
    return w->any && (!w->marker_at || !base_deletion_is_none(w->near));
}

/* One row. */

/* The row as it is at `now`, in its one form; empty: nothing is left. */
static int canonical(struct repl_page_writer *w, struct base_slice row, struct base_slice *out,
                     bool *live)
{
    const uint8_t plain = BASE_ROW_LIVENESS | BASE_ROW_ORIGINALS;
    *out = (struct base_slice){0};
    *live = false;
    if (row.len < BASE_ROW_HEAD_LEN)
        return BASE_E_CORRUPT;
    if (BASE_LIKELY(
            !(row.data[0] & ~plain))) { /* one timestamp and nothing mortal: it has but one form */
        *out = row;
        *live = true;
        return BASE_OK;
    }
    base_buf_reset(&w->scratch);
    int rc = base_row_purge(row, &w->purge, &w->scratch, NULL, live);
    if (rc == BASE_OK)
        *out = base_buf_view(&w->scratch);
    return rc;
}

static struct base_deletion visible(const struct repl_page_writer *w, struct base_deletion deletion)
{
    return deletion.local_s < w->purge.gc_before_s || deletion.ts <= w->floor_ts
               ? BASE_DELETION_NONE
               : deletion;
}

/* A partition. */

struct partition {
    struct base_slice pkey, static_row;
    struct base_deletion deletion;
    bool written, static_live;
};

/* There is room. */
static void put_partition(struct repl_page_writer *w, struct partition *part)
{
    uint8_t *tag = w->out->data + w->out->len, *p = tag + 1;
    *tag = REPLI_PAGE_PARTITION;
    p = base_put_varint(p, part->pkey.len);
    w->pkey_at = (size_t)(p - w->out->data);
    w->pkey_len = part->pkey.len;
    memcpy(p, part->pkey.data, part->pkey.len);
    p += part->pkey.len;
    if (!base_deletion_is_none(part->deletion)) {
        *tag |= REPLI_PAGE_DELETION;
        p = put_deletion(p, part->deletion);
    }
    if (part->static_row.len) {
        *tag |= REPLI_PAGE_STATIC;
        p = put_bytes(p, part->static_row);
    }
    w->out->len = (size_t)(p - w->out->data);
    w->ckey_len = 0;
    w->marker_at = 0;
    part->written = w->any = true;
}

static void put_item(struct repl_page_writer *w, const struct base_item *item,
                     struct base_slice row)
{
    size_t at = w->out->len;
    if (item->kind == BASE_ITEM_MARKER) {
        put_marker(w, item->ckey, item->before, item->after);
        w->marker_at = at;
        w->near = w->reversed ? item->after : item->before;
        w->open = w->reversed ? item->before : item->after;
    } else {
        uint8_t *p = w->out->data + at;
        *p++ = REPLI_PAGE_ROW;
        p = put_bytes(p, item->ckey);
        p = put_bytes(p, row);
        w->out->len = (size_t)(p - w->out->data);
        w->marker_at = 0;
    }
    struct base_reader in = base_reader(base_slice(w->out->data + at + 1, w->out->len - at - 1));
    struct base_slice ckey;
    bool there = base_get_bytes(&in, &ckey);
    BASE_ASSERT(there);
    w->ckey_at = (size_t)(ckey.data - w->out->data);
    w->ckey_len = ckey.len;
}

static int too_large(int rc, size_t bytes, struct base_err *err)
{
    return rc == BASE_E_LIMIT
               ? base_err_set(err, rc, "a row of %zu bytes does not fit a message between nodes",
                              bytes)
               : base_err_set(err, rc, "a page: %s", base_err_words(rc));
}

/* Room for the item, and for its partition before it if need be; or the page ends here
 * (w->ended). */
static int make_room(struct repl_page_writer *w, const struct partition *part, size_t bytes,
                     struct base_err *err)
{
    bool begun = part->written && !w->ckey_len; /* a partition without an item yet: it gets one */
    bool may = !begun && may_end(w);
    w->ended = may && is_full(w);
    if (w->ended)
        return BASE_OK;
    int rc = reserve(w, bytes + (part->written ? 0 : part->pkey.len + part->static_row.len));
    if (rc == BASE_E_LIMIT && may) {
        w->ended = true;
        return BASE_OK;
    }
    return rc == BASE_OK ? rc : too_large(rc, bytes, err);
}

static int add_item(struct repl_page_writer *w, struct partition *part,
                    const struct base_item *item, struct base_slice row, struct base_err *err)
{
    int rc = make_room(w, part, item->ckey.len + row.len, err);
    if (rc != BASE_OK || w->ended)
        return rc;
    if (!part->written)
        put_partition(w, part);
    put_item(w, item, row);
    return BASE_OK;
}

/* The markers that the page keeps: what neither is past its grace nor says nothing then. */
static bool marker_stays(const struct repl_page_writer *w, struct base_item *item)
{
    item->before = visible(w, item->before);
    item->after = visible(w, item->after);
    return !base_deletion_equal(item->before, item->after);
}

static int add_items(struct repl_page_writer *w, struct base_source *source, struct partition *part,
                     struct base_err *err)
{
    struct base_item item;
    for (;;) {
        struct base_slice row = {0};
        bool live = false;
        int rc = source->ops->next(source, &item, err);
        if (rc != BASE_OK || item.kind == BASE_ITEM_END)
            return rc;
        if (item.kind == BASE_ITEM_ROW) {
            if ((rc = canonical(w, item.row, &row, &live)) != BASE_OK)
                return base_err_set(err, rc, "a page: a row cannot be read");
            if (!row.len)
                continue;
        } else if (!marker_stays(w, &item)) {
            continue;
        }
        rc = add_item(w, part, &item, row, err);
        if (rc != BASE_OK || w->ended)
            return rc;
        w->rows += live;
        w->partition_rows += live;
        if (live &&
            w->partition_rows >= w->limits.partition_rows_max) /* the rest of it is not looked at */
            return close_open(w);
    }
}

/* Its deletion and its static row: what of them is seen. */
static int enter(struct repl_page_writer *w, const struct base_partition *from,
                 struct partition *part, struct base_buf *static_row, struct base_err *err)
{
    int rc = BASE_OK;
    part->pkey = from->pkey;
    part->deletion = visible(w, from->deletion);
    if (from->static_row.len) {
        struct base_slice row;
        rc = canonical(w, from->static_row, &row, &part->static_live);
        base_buf_reset(static_row);
        if (rc == BASE_OK && row.len)
            rc = base_buf_put_slice(static_row, row); /* scratch is needed for the rows */
        part->static_row = base_buf_view(static_row);
    }
    if (rc != BASE_OK)
        return base_err_set(err, rc, "a page: a static row: %s", base_err_words(rc));
    /* Its deletion is in each page of it: another replica may have rows that it covers. The static
     * row was in the first one. */
    bool alone =
        !base_deletion_is_none(part->deletion) || (part->static_row.len && w->partition_rows == 0);
    if (!alone)
        return BASE_OK; /* it takes an item to be a partition */
    rc = make_room(w, part, 0, err);
    if (rc == BASE_OK && !w->ended)
        put_partition(w, part);
    return rc;
}

static int add_partition(struct repl_page_writer *w, struct base_source *source,
                         const struct base_partition *from, struct base_buf *static_row,
                         struct base_err *err)
{
    struct partition part = {0};
    w->open = BASE_DELETION_NONE;
    int rc = enter(w, from, &part, static_row, err);
    if (rc != BASE_OK || w->ended)
        return rc;
    if (w->partition_rows < w->limits.partition_rows_max)
        rc = add_items(w, source, &part, err);
    if (rc != BASE_OK || w->ended)
        return rc;
    w->static_counted =
        part.written && w->partition_rows == 0 && part.static_live && w->limits.static_alone;
    w->rows += w->static_counted;
    if (part.written) {
        w->ckey_len = 0; /* all of it is in the page, or skipped */
        w->marker_at = 0;
    }
    return BASE_OK;
}

int repl_page_add(struct repl_page_writer *w, struct base_source *source,
                  struct base_slice continued, uint64_t rows_before, struct base_err *err)
{
    struct base_partition from;
    struct base_buf static_row;
    int rc = BASE_OK;
    w->continued = continued;
    w->rows_before = rows_before;
    base_buf_init(&static_row, ROW_LEN_MAX);
    for (bool first = true; !w->ended; first = false) {
        rc = source->ops->partition(source, &from, err);
        if (rc != BASE_OK || from.pkey.len == 0)
            break;
        w->partition_rows = first && base_slice_equal(from.pkey, continued) ? rows_before : 0;
        rc = add_partition(w, source, &from, &static_row, err);
        if (rc != BASE_OK)
            break;
    }
    base_buf_fini(&static_row);
    return rc;
}

/* The end. */

int repl_page_put_end(struct base_buf *out, const struct repl_page_end *end)
{
    int rc = base_buf_reserve(out, 5 * BASE_VARINT_LEN_MAX + end->pkey.len + end->ckey.len);
    if (rc != BASE_OK)
        return rc;
    uint8_t *p = out->data + out->len;
    *p++ = end->more ? REPLI_PAGE_MORE : REPLI_PAGE_END;
    p = base_put_varint(p, end->rows);
    if (end->more) {
        p = put_bytes(p, end->pkey);
        p = put_bytes(p, end->ckey);
        if (end->ckey.len)
            p = base_put_varint(p, end->partition_rows);
    }
    out->len = (size_t)(p - out->data);
    return BASE_OK;
}

int repl_page_finish(struct repl_page_writer *w, const struct repl_page_end *end,
                     struct base_err *err)
{
    struct repl_page_end own = {.more = w->ended, .rows = w->rows};
    int rc = BASE_OK;
    if (end) {
        own.more = end->more;
        own.pkey = end->pkey;
        own.ckey = end->ckey;
        if (w->any && end->ckey.len &&
            base_slice_equal(own.pkey, base_slice(w->out->data + w->pkey_at, w->pkey_len))) {
            own.partition_rows = w->partition_rows;
            /* the partition goes on: its static row may not be alone */
            own.rows -= w->static_counted;
        } else if (end->ckey.len && base_slice_equal(own.pkey, w->continued)) {
            own.partition_rows = w->rows_before; /* nothing of it was left to write */
        }
    } else if (w->ended) {
        if (w->ckey_len)
            rc = close_open(w);
        size_t room = 5 * BASE_VARINT_LEN_MAX + w->pkey_len + w->ckey_len;
        if (rc == BASE_OK)
            rc = base_buf_reserve(w->out, room); /* own's slices point into it */
        own.pkey = base_slice(w->out->data + w->pkey_at, w->pkey_len);
        own.ckey = last_ckey(w);
        own.partition_rows = w->partition_rows;
    }
    if (rc == BASE_OK)
        rc = repl_page_put_end(w->out, &own);
    base_buf_fini(&w->scratch);
    if (rc == BASE_OK)
        return rc;
    w->out->len = w->start;
    return base_err_set(err, rc, "a page: %s", base_err_words(rc));
}

void repl_page_abandon(struct repl_page_writer *w)
{
    base_buf_fini(&w->scratch);
    w->out->len = w->start;
}

int repl_page_write(struct base_source *source, bool reversed, int64_t now_s, int64_t gc_before_s,
                    const struct repl_page_limits *limits, struct base_buf *out,
                    struct base_err *err)
{
    struct repl_page_writer w;
    repl_page_begin(&w, reversed, now_s, gc_before_s, limits, out);
    int rc = repl_page_add(&w, source, (struct base_slice){0}, 0, err);
    if (rc == BASE_OK)
        rc = repl_page_finish(&w, NULL, err);
    else
        repl_page_abandon(&w);
    return rc;
}
