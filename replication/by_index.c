/* Pages by index that differ: which rows are to be read in full (fetch.c, PLACES).
 *
 * A row that meets the condition when merged has its winning cell on some replica that was asked,
 * and meets it there: so it is in some page. What the pages have, together, is all that is to be
 * asked of everybody; what one has and another has not may be there as well, older or deleted. Of a
 * condition on a partition (a static column, a part of its key) all rows are asked for, for the
 * other replica may have others. */
#include "replication/reads_private.h"

#define PLACES_BYTES_MAX ((size_t)4 << 20)

struct place {
    size_t pkey_at, pkey_len, ckey_at, ckey_len; /* in the bytes */
};
struct gathering {
    struct base_buf bytes;
    struct place *places;
    size_t count, cap;
};

static int add(struct gathering *g, struct base_slice pkey, size_t *pkey_at, struct base_slice ckey)
{
    if (g->count == g->cap) {
        size_t cap = g->cap ? g->cap * 2 : 64;
        struct place *larger = realloc(g->places, cap * sizeof *larger);
        if (!larger)
            return BASE_E_NOMEM;
        g->places = larger;
        g->cap = cap;
    }
    int rc = BASE_OK;
    if (*pkey_at == SIZE_MAX) {
        *pkey_at = g->bytes.len;
        rc = base_buf_put_slice(&g->bytes, pkey);
    }
    g->places[g->count++] = (struct place){*pkey_at, pkey.len, g->bytes.len, ckey.len};
    return rc == BASE_OK ? base_buf_put_slice(&g->bytes, ckey) : rc;
}

static int add_page(struct gathering *g, const struct repli_fetch *f, const struct repli_contact *c,
                    const struct repl_page_end *end, bool of_rows)
{
    struct base_source *source;
    struct base_partition p;
    int rc = repl_page_source(base_buf_view(&c->page), f->request.cmd.reversed, end, &source, NULL);
    if (rc != BASE_OK)
        return rc;
    while ((rc = source->ops->partition(source, &p, NULL)) == BASE_OK && p.pkey.len) {
        struct base_item item;
        size_t pkey_at = SIZE_MAX;
        if (!of_rows)
            rc = add(g, p.pkey, &pkey_at, (struct base_slice){0});
        while (rc == BASE_OK && of_rows &&
               (rc = source->ops->next(source, &item, NULL)) == BASE_OK &&
               item.kind != BASE_ITEM_END)
            rc = item.kind == BASE_ITEM_ROW ? add(g, p.pkey, &pkey_at, item.ckey) : BASE_OK;
        if (rc != BASE_OK)
            break;
    }
    source->ops->close(source);
    return rc;
}

static int compare(const void *a, const void *b, void *ctx)
{
    const struct gathering *g = ctx;
    const struct place *x = a, *y = b;
    int c = base_slice_compare(base_slice(g->bytes.data + x->pkey_at, x->pkey_len),
                               base_slice(g->bytes.data + y->pkey_at, y->pkey_len));
    return c ? c
             : base_slice_compare(base_slice(g->bytes.data + x->ckey_at, x->ckey_len),
                                  base_slice(g->bytes.data + y->ckey_at, y->ckey_len));
}

static int put_places(struct gathering *g, struct base_buf *out)
{
    int rc = BASE_OK;
    if (g->count)
        qsort_r(g->places, g->count, sizeof *g->places, compare, g);
    base_buf_reset(out);
    for (size_t i = 0; i < g->count && rc == BASE_OK; i++) {
        const struct place *p = &g->places[i];
        if (i && compare(p - 1, p, g) == 0)
            continue;
        rc = base_buf_put_bytes(out, base_slice(g->bytes.data + p->pkey_at, p->pkey_len));
        if (rc == BASE_OK)
            rc = base_buf_put_bytes(out, base_slice(g->bytes.data + p->ckey_at, p->ckey_len));
    }
    return rc;
}

int repli_places_gather(struct repli_fetch *f)
{
    const struct base_column *column = base_table_column_by_id(f->table, f->request.index.column);
    bool of_rows =
        column && (column->kind == BASE_COLUMN_REGULAR || column->kind == BASE_COLUMN_CLUSTERING);
    struct gathering g = {0};
    size_t n;
    struct repl_page_end end = repli_smallest_end(f, &n);
    int rc = BASE_OK;
    base_buf_init(&g.bytes, PLACES_BYTES_MAX);
    for (struct repli_contact *c = f->contacts; rc == BASE_OK && c; c = c->next)
        if (c->state == REPLI_CONTACT_ANSWERED && c->has_page)
            rc = add_page(&g, f, c, &end, of_rows);
    if (rc == BASE_OK)
        rc = put_places(&g, &f->places);
    base_buf_reset(&f->places_end);
    f->places_more = end.more;
    f->places_end_pkey_len = end.pkey.len;
    if (rc == BASE_OK)
        rc = base_buf_put_slice(&f->places_end, end.pkey);
    if (rc == BASE_OK)
        rc = base_buf_put_slice(&f->places_end, end.ckey);
    free(g.places);
    base_buf_fini(&g.bytes);
    return rc;
}
