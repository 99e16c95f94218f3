/* Reading pages (page.h): check, digest, the page as a source, and what follows it.
 *
 * Invariants:
 *  1. Bytes come from a peer: each read is checked; repl_page_check looks at everything once, so
 *     that a source over a checked page fails by memory only.
 *  2. A source that stops at `upto` closes the range deletion that is open there, at the place
 *     where a page that ended there would have closed it (page_write.c, its invariant 3). */
#include "replication/page.h"
#include "base/checksum.h"
#include "base/key.h"
#include "replication/replication_private.h"

/* Pieces. */

struct piece {
    enum repli_page_tag tag;
    struct base_slice pkey, ckey, row;  /* row: of a PARTITION its static row */
    struct base_deletion before, after; /* before: of a PARTITION its deletion */
    uint64_t rows, partition_rows;
};

static bool get_deletion(struct base_reader *in, bool there, struct base_deletion *deletion)
{
    uint64_t ts, local_s;
    *deletion = BASE_DELETION_NONE;
    if (!there)
        return true;
    if (!base_get_varint(in, &ts) || !base_get_varint(in, &local_s) ||
        local_s > (uint64_t)BASE_EXPIRES_MAX || base_unzigzag(ts) == BASE_TS_NONE)
        return false;
    *deletion = (struct base_deletion){base_unzigzag(ts), (int64_t)local_s};
    return true;
}

/* The next piece; false: damaged, or nothing left. */
static bool get_piece(struct base_reader *in, struct piece *out)
{
    uint8_t tag;
    *out = (struct piece){.before = BASE_DELETION_NONE, .after = BASE_DELETION_NONE};
    if (!base_get_u8(in, &tag))
        return false;
    out->tag = (enum repli_page_tag)(tag & 0x0F);
    unsigned known =
        out->tag == REPLI_PAGE_PARTITION || out->tag == REPLI_PAGE_MARKER ? 0x3F : 0x0F;
    if (tag & ~known)
        return false;
    bool first = tag & REPLI_PAGE_DELETION, second = tag & REPLI_PAGE_STATIC;
    switch (out->tag) {
    case REPLI_PAGE_PARTITION:
        return base_get_bytes(in, &out->pkey) && get_deletion(in, first, &out->before) &&
               (!second || (base_get_bytes(in, &out->row) && out->row.len > 0));
    case REPLI_PAGE_ROW:
        return base_get_bytes(in, &out->ckey) && base_get_bytes(in, &out->row);
    case REPLI_PAGE_MARKER:
        return base_get_bytes(in, &out->ckey) && get_deletion(in, first, &out->before) &&
               get_deletion(in, second, &out->after);
    case REPLI_PAGE_END:
        return base_get_varint(in, &out->rows);
    case REPLI_PAGE_MORE:
        return base_get_varint(in, &out->rows) && base_get_bytes(in, &out->pkey) &&
               base_get_bytes(in, &out->ckey) &&
               (!out->ckey.len || base_get_varint(in, &out->partition_rows));
    case REPLI_PAGE_AFTER:
    case REPLI_PAGE_BEFORE:
        break; /* flags, no tags */
    }
    return false;
}

static bool ckey_is(struct base_slice ckey, bool at)
{
    if (ckey.len == 0 || ckey.len > BASE_CKEY_LEN_MAX)
        return false;
    uint8_t position = ckey.data[ckey.len - 1];
    return at ? position == BASE_KEY_AT : position == BASE_KEY_BEFORE || position == BASE_KEY_AFTER;
}

static int in_order(struct base_slice a, struct base_slice b, bool reversed)
{
    int c = base_slice_compare(a, b);
    return reversed ? -c : c;
}

/* Where a page that ends at `ckey` closes what is open. `out` has room for ckey.len. */
static struct base_slice closing_key(struct base_slice ckey, bool reversed, uint8_t *out)
{
    memcpy(out, ckey.data, ckey.len);
    if (out[ckey.len - 1] == BASE_KEY_AT)
        out[ckey.len - 1] = reversed ? BASE_KEY_BEFORE : BASE_KEY_AFTER;
    return base_slice(out, ckey.len);
}

/* Check. */

struct checking {
    bool reversed, in_partition, has_content;
    struct base_slice pkey, ckey;
    struct base_deletion open;
};

static bool leave_partition(const struct checking *c)
{
    return !c->in_partition || (c->has_content && base_deletion_is_none(c->open));
}

static bool check_partition(struct checking *c, const struct piece *piece)
{
    if (!leave_partition(c) || base_pkey_len(piece->pkey) != piece->pkey.len ||
        piece->pkey.len == 0 || piece->pkey.len > BASE_PKEY_LEN_MAX ||
        (c->in_partition && base_slice_compare(c->pkey, piece->pkey) >= 0))
        return false;
    if (piece->row.len &&
        (!base_row_check(piece->row) ||
         (piece->row.data[0] & (BASE_ROW_LIVENESS | BASE_ROW_DELETION | BASE_ROW_ORIGINALS))))
        return false;
    c->in_partition = true;
    c->has_content = piece->row.len || !base_deletion_is_none(piece->before);
    c->pkey = piece->pkey;
    c->ckey = (struct base_slice){0};
    c->open = BASE_DELETION_NONE;
    return true;
}

static bool check_item(struct checking *c, const struct piece *piece)
{
    if (!c->in_partition || !ckey_is(piece->ckey, piece->tag == REPLI_PAGE_ROW) ||
        (c->ckey.len && in_order(c->ckey, piece->ckey, c->reversed) >= 0))
        return false;
    c->ckey = piece->ckey;
    c->has_content = true;
    if (piece->tag == REPLI_PAGE_ROW)
        return base_row_check(piece->row);
    struct base_deletion near = c->reversed ? piece->after : piece->before;
    if (base_deletion_equal(piece->before, piece->after) || !base_deletion_equal(near, c->open))
        return false;
    c->open = c->reversed ? piece->before : piece->after;
    return true;
}

/* The end is not before what the page has. A closing marker stands beside the last row. */
static bool check_end(const struct checking *c, const struct piece *piece)
{
    if (!leave_partition(c))
        return false;
    if (piece->tag == REPLI_PAGE_END)
        return true;
    int order = c->in_partition ? base_slice_compare(piece->pkey, c->pkey) : 1;
    if (base_pkey_len(piece->pkey) != piece->pkey.len || piece->pkey.len == 0 ||
        piece->pkey.len > BASE_PKEY_LEN_MAX || order < 0)
        return false;
    if (!piece->ckey.len)
        return true;
    if (!ckey_is(piece->ckey, true) && !ckey_is(piece->ckey, false))
        return false;
    if (order > 0 || !c->ckey.len || in_order(c->ckey, piece->ckey, c->reversed) <= 0)
        return true;
    size_t len = piece->ckey.len; /* behind it there may be the marker that closes beside the row */
    return c->ckey.len == len && memcmp(c->ckey.data, piece->ckey.data, len - 1) == 0 &&
           piece->ckey.data[len - 1] == BASE_KEY_AT &&
           c->ckey.data[len - 1] == (c->reversed ? BASE_KEY_BEFORE : BASE_KEY_AFTER);
}

bool repl_page_check(struct base_slice page, bool reversed, struct repl_page_end *end)
{
    struct base_reader in = base_reader(page);
    struct checking c = {.reversed = reversed, .open = BASE_DELETION_NONE};
    struct piece piece;
    *end = (struct repl_page_end){0};
    for (;;) {
        size_t at = page.len - base_reader_left(&in);
        if (!get_piece(&in, &piece))
            return false;
        switch (piece.tag) {
        case REPLI_PAGE_PARTITION:
            if (!check_partition(&c, &piece))
                return false;
            break;
        case REPLI_PAGE_ROW:
        case REPLI_PAGE_MARKER:
            if (!check_item(&c, &piece))
                return false;
            break;
        case REPLI_PAGE_END:
        case REPLI_PAGE_MORE:
        case REPLI_PAGE_BEFORE:
        case REPLI_PAGE_AFTER:
            if (!check_end(&c, &piece) || base_reader_left(&in))
                return false;
            *end = (struct repl_page_end){
                piece.tag == REPLI_PAGE_MORE, piece.pkey, piece.ckey, piece.rows,
                piece.partition_rows,         c.pkey,     at};
            return true;
        }
    }
}

void repl_page_digest(struct base_slice page, uint8_t digest[REPL_PAGE_DIGEST_LEN])
{
    _Static_assert(REPL_PAGE_DIGEST_LEN == BASE_DIGEST_LEN, "one kind of digest");
    base_digest(page.data, page.len, digest);
}

int repl_page_end_compare(const struct repl_page_end *a, const struct repl_page_end *b,
                          bool reversed)
{
    if (!a->more || !b->more)
        return (int)b->more - (int)a->more;
    int c = base_slice_compare(a->pkey, b->pkey);
    if (c)
        return c;
    if (!a->ckey.len || !b->ckey.len)
        return (a->ckey.len == 0) - (b->ckey.len == 0);
    return in_order(a->ckey, b->ckey, reversed);
}

/* The source. */

struct page_source {
    struct base_source source;
    struct base_reader in;
    bool reversed, bounded, items_over, at_end;
    struct base_slice upto_pkey, closing; /* bounded; closing: empty for the whole partition */
    bool in_last;                         /* the current partition is upto's */
    struct base_deletion open;
    uint8_t key[];
};

static int damaged(struct page_source *s, struct base_err *err)
{
    s->at_end = s->items_over = true;
    return base_err_set(err, BASE_E_CORRUPT, "a page between nodes cannot be read");
}

static int page_partition(struct base_source *source, struct base_partition *out,
                          struct base_err *err)
{
    struct page_source *s = BASE_CONTAINER(source, struct page_source, source);
    struct piece piece;
    *out = (struct base_partition){.deletion = BASE_DELETION_NONE};
    s->items_over = true;
    while (!s->at_end) {
        if (!get_piece(&s->in, &piece))
            return damaged(s, err);
        if (piece.tag == REPLI_PAGE_ROW || piece.tag == REPLI_PAGE_MARKER)
            continue;
        int order = s->bounded ? base_slice_compare(piece.pkey, s->upto_pkey) : -1;
        if (piece.tag != REPLI_PAGE_PARTITION || order > 0) {
            s->at_end = true;
            break;
        }
        s->items_over = false;
        s->in_last = order == 0;
        s->open = BASE_DELETION_NONE;
        *out = (struct base_partition){
            .pkey = piece.pkey, .deletion = piece.before, .static_row = piece.row};
        break;
    }
    return BASE_OK;
}

/* Stop at upto: what is open ends there. */
static int close_at_upto(struct page_source *s, struct base_item *out)
{
    s->items_over = true;
    if (base_deletion_is_none(s->open))
        return BASE_OK;
    *out = (struct base_item){.kind = BASE_ITEM_MARKER,
                              .ckey = s->closing,
                              .before = s->reversed ? BASE_DELETION_NONE : s->open,
                              .after = s->reversed ? s->open : BASE_DELETION_NONE};
    return BASE_OK;
}

static int page_next(struct base_source *source, struct base_item *out, struct base_err *err)
{
    struct page_source *s = BASE_CONTAINER(source, struct page_source, source);
    struct piece piece;
    *out = (struct base_item){
        .kind = BASE_ITEM_END, .before = BASE_DELETION_NONE, .after = BASE_DELETION_NONE};
    if (s->items_over)
        return BASE_OK;
    struct base_reader before = s->in;
    if (!get_piece(&s->in, &piece))
        return damaged(s, err);
    if (piece.tag != REPLI_PAGE_ROW && piece.tag != REPLI_PAGE_MARKER) {
        s->in = before; /* page_partition's */
        s->items_over = true;
        return BASE_OK;
    }
    if (s->in_last && s->closing.len && in_order(piece.ckey, s->closing, s->reversed) >= 0)
        return close_at_upto(s, out);
    bool marker = piece.tag == REPLI_PAGE_MARKER;
    if (marker)
        s->open = s->reversed ? piece.before : piece.after;
    *out = (struct base_item){.kind = marker ? BASE_ITEM_MARKER : BASE_ITEM_ROW,
                              .ckey = piece.ckey,
                              .row = piece.row,
                              .before = piece.before,
                              .after = piece.after};
    return BASE_OK;
}

static void page_close(struct base_source *source)
{
    free(BASE_CONTAINER(source, struct page_source, source));
}

static const struct base_source_ops page_source_ops = {page_partition, page_next, page_close};

int repl_page_source(struct base_slice page, bool reversed, const struct repl_page_end *upto,
                     struct base_source **out, struct base_err *err)
{
    bool bounded = upto && upto->more;
    size_t room = bounded ? upto->pkey.len + upto->ckey.len : 0;
    *out = NULL;
    struct page_source *s = malloc(sizeof *s + room);
    if (!s)
        return base_err_set(err, BASE_E_NOMEM, "a page: out of memory");
    *s = (struct page_source){.source = {&page_source_ops},
                              .in = base_reader(page),
                              .reversed = reversed,
                              .bounded = bounded,
                              .items_over = true,
                              .open = BASE_DELETION_NONE};
    if (bounded) {
        memcpy(s->key, upto->pkey.data, upto->pkey.len);
        s->upto_pkey = base_slice(s->key, upto->pkey.len);
        if (upto->ckey.len)
            s->closing = closing_key(upto->ckey, reversed, s->key + upto->pkey.len);
    }
    *out = &s->source;
    return BASE_OK;
}

/* What follows. */

/* Is there a row's or bound's place in it? */
static bool range_is_empty(struct base_slice lo, struct base_slice hi)
{
    return lo.len && hi.len && base_slice_compare(lo, hi) > 0;
}

/* The slices behind `at`, a bound. */
static int narrow(const struct base_read *cmd, struct base_slice at, struct base_arena *arena,
                  struct base_slices *out)
{
    struct base_range *ranges = base_arena_alloc(arena, (cmd->slices.count + 1) * sizeof *ranges);
    size_t count = 0;
    if (!ranges)
        return BASE_E_NOMEM;
    for (size_t i = 0; i < cmd->slices.count; i++) {
        struct base_slice lo = cmd->slices.ranges[i].lo, hi = cmd->slices.ranges[i].hi;
        if (!cmd->reversed && (!lo.len || base_slice_compare(lo, at) < 0))
            lo = at;
        if (cmd->reversed && (!hi.len || base_slice_compare(at, hi) < 0))
            hi = at;
        /* a bound alone has no rows */
        bool over = base_slice_equal(lo, hi) && base_slice_equal(lo, at);
        if (!over && !range_is_empty(lo, hi))
            ranges[count++] = (struct base_range){lo, hi};
    }
    *out = (struct base_slices){ranges, count};
    return BASE_OK;
}

static int rest_of_range(const struct base_read *cmd, struct base_slice pkey,
                         struct base_arena *arena, struct base_read *range)
{
    uint8_t *next = base_arena_alloc_aligned(arena, pkey.len, 1);
    if (!next)
        return BASE_E_NOMEM;
    memcpy(next, pkey.data, pkey.len);
    next[pkey.len - 1]++; /* the terminator: after the partition's last row too (pkey 0x00 would be
                             among its rows), before every other pkey */
    *range = *cmd;
    range->start_pkey = base_slice(next, pkey.len);
    if (base_slice_compare(cmd->start_pkey, range->start_pkey) > 0)
        range->start_pkey = cmd->start_pkey;
    int64_t token = base_token_get(pkey.data);
    if (token > INT64_MIN && token - 1 > range->token_after)
        range->token_after = token - 1; /* other keys may have this token */
    return BASE_OK;
}

int repl_page_continue(const struct base_read *cmd, struct base_slice pkey, struct base_slice ckey,
                       struct base_arena *arena, struct base_read *partition, bool *has_partition,
                       struct base_read *range, bool *has_range)
{
    BASE_ASSERT(pkey.len >= 8);
    *has_partition = *has_range = false;
    if (ckey.len) {
        uint8_t *key = base_arena_alloc_aligned(arena, ckey.len, 1);
        if (!key)
            return BASE_E_NOMEM;
        *partition = *cmd;
        partition->start_pkey = (struct base_slice){0};
        partition->pkey = pkey;
        int rc = narrow(cmd, closing_key(ckey, cmd->reversed, key), arena, &partition->slices);
        if (rc != BASE_OK)
            return rc;
        *has_partition = partition->slices.count > 0;
    }
    if (cmd->pkey.len)
        return BASE_OK;
    int rc = rest_of_range(cmd, pkey, arena, range);
    *has_range = rc == BASE_OK && range->token_after < range->token_upto;
    return rc;
}
