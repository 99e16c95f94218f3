/* A stream under supervision: partitions and items in order, markers that change something and
 * follow from each other, no deletion open at the end of a partition, rows that decode. Without
 * it a stream in the wrong order might still merge to the right rows by luck. */
#include <inttypes.h>

#include "tests/sim/world.h"

struct checked_source {
    struct base_source base;
    struct base_source *inner;
    bool reversed;
    const char **complaint;
    struct base_buf pkey, ckey;
    bool has_item, was_marker;
    struct base_deletion open;
};

static struct checked_source *checked_of(struct base_source *base)
{
    return BASE_CONTAINER(base, struct checked_source, base);
}

static void print_hex(const char *title, struct base_slice s)
{
    fprintf(stderr, "%s ", title);
    for (size_t i = 0; i < s.len; i++)
        fprintf(stderr, "%02x", s.data[i]);
}

static void complain(struct checked_source *c, const char *what, const struct base_item *item)
{
    if (*c->complaint)
        return;
    *c->complaint = what;
    print_hex(c->reversed ? "\nreversed stream: partition" : "\nstream: partition",
              base_buf_view(&c->pkey));
    print_hex(" last item", base_buf_view(&c->ckey));
    if (item) {
        print_hex(item->kind == BASE_ITEM_MARKER ? ", marker" : ", row", item->ckey);
        if (item->kind == BASE_ITEM_MARKER)
            fprintf(stderr, " before %" PRId64 " after %" PRId64, item->before.ts, item->after.ts);
    }
    fprintf(stderr, ", open deletion %" PRId64 "\n", c->open.ts);
}

static void keep(struct base_buf *buf, struct base_slice s)
{
    base_buf_reset(buf);
    int rc = base_buf_put_slice(buf, s);
    BASE_ASSERT(rc == BASE_OK);
}

static int checked_partition(struct base_source *base, struct base_partition *out,
                             struct base_err *err)
{
    struct checked_source *c = checked_of(base);
    int rc = c->inner->ops->partition(c->inner, out, err);
    if (rc != BASE_OK)
        return rc;
    if (out->pkey.len && c->pkey.len && base_slice_compare(base_buf_view(&c->pkey), out->pkey) >= 0)
        complain(c, "partitions out of order", NULL);
    keep(&c->pkey, out->pkey);
    c->has_item = false;
    c->open = BASE_DELETION_NONE;
    struct base_row row;
    if (out->static_row.len && !base_row_decode(out->static_row, &row))
        complain(c, "a static row does not decode", NULL);
    return BASE_OK;
}

static void check_marker(struct checked_source *c, const struct base_item *item)
{
    struct base_deletion from = c->reversed ? item->after : item->before;
    struct base_deletion to = c->reversed ? item->before : item->after;
    if (!base_deletion_equal(from, c->open))
        complain(c, "a marker does not follow from the one before it", item);
    if (base_deletion_equal(from, to))
        complain(c, "a marker changes nothing", item);
    if (item->ckey.len == 0 || item->ckey.data[item->ckey.len - 1] == 0x20)
        complain(c, "a marker stands on a row", item);
    c->open = to;
}

static int checked_next(struct base_source *base, struct base_item *out, struct base_err *err)
{
    struct checked_source *c = checked_of(base);
    int rc = c->inner->ops->next(c->inner, out, err);
    if (rc != BASE_OK)
        return rc;
    if (out->kind == BASE_ITEM_END) {
        if (!base_deletion_is_none(c->open))
            complain(c, "a range deletion is open at the end of a partition", out);
        return BASE_OK;
    }
    if (c->has_item) {
        int order = base_slice_compare(base_buf_view(&c->ckey), out->ckey);
        /* Two slices that touch (… to a row, from after that row …): the marker that closes one
         * stands where the next one's opens. */
        bool touch = order == 0 && c->was_marker && out->kind == BASE_ITEM_MARKER;
        if (!touch && (c->reversed ? order <= 0 : order >= 0))
            complain(c, "items out of order", out);
    }
    if (out->kind == BASE_ITEM_MARKER)
        check_marker(c, out);
    else if (!base_row_check(out->row))
        complain(c, "a row's bytes are wrong", out);
    c->has_item = true;
    c->was_marker = out->kind == BASE_ITEM_MARKER;
    keep(&c->ckey, out->ckey);
    return BASE_OK;
}

static void checked_close(struct base_source *base)
{
    struct checked_source *c = checked_of(base);
    c->inner->ops->close(c->inner);
    base_buf_fini(&c->pkey);
    base_buf_fini(&c->ckey);
    free(c);
}

struct base_source *checked_source_new(struct base_source *inner, bool reversed,
                                       const char **complaint)
{
    static const struct base_source_ops ops = {checked_partition, checked_next, checked_close};
    struct checked_source *c = calloc(1, sizeof *c);
    BASE_ASSERT(c);
    *c = (struct checked_source){
        .base = {&ops}, .inner = inner, .reversed = reversed, .complaint = complaint};
    base_buf_init(&c->pkey, SIZE_MAX);
    base_buf_init(&c->ckey, SIZE_MAX);
    c->open = BASE_DELETION_NONE;
    return &c->base;
}
