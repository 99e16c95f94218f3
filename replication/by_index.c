/* Reads by index: which conditions the replicas judge, and what their pages name.
 *
 * Which. One replica's word is taken for itself: it judges all conditions, and chooses its index.
 * Where replicas are compared only one condition on a value can be judged there, for of a row that
 * meets two of them when merged one may be met on this replica alone and the other on that; and all
 * must be asked the same one. With it go conditions on the key: whoever has any of the row has its
 * key. (Not so a clustering key's with a static column's: who has that may have none of the rows.)
 * If indexes serve several, one replica, rather ourselves, is first asked how much each would find
 * (fetch.c, CHOOSE). Nothing depends on what it says but how much is read.
 *
 * Pages that differ (PLACES). A row that meets the conditions when merged has its winning cell on
 * some replica that was asked, and meets them there: so it is in some page. What the pages have,
 * together, is all that is to be asked of everybody; what one has and another has not may be there
 * as well, older or deleted. Of a condition on a partition (a static column, a part of its key) all
 * rows are asked for, for the other replica may have others. */
#include "base/index.h"
#include "replication/reads_private.h"

#define PLACES_BYTES_MAX ((size_t)4 << 20)

/* Conditions. */

static bool is_key(const struct base_column *column)
{
    return column->kind == BASE_COLUMN_PARTITION_KEY || column->kind == BASE_COLUMN_CLUSTERING;
}

static size_t indexed_count(const struct base_table *table, const struct base_read *cmd)
{
    size_t n = 0;
    for (size_t i = 0; i < cmd->filter_count && !cmd->no_index; i++)
        n += base_index_has(table, cmd, &cmd->filters[i]);
    return n;
}

static bool reserve_filters(struct repli_fetch *f)
{
    size_t count = f->request.cmd.filter_count;
    if (count <= f->filter_cap)
        return true;
    struct base_filter *larger = realloc(f->filters, count * sizeof *larger);
    if (!larger)
        return false;
    f->filters = larger;
    f->filter_cap = count;
    return true;
}

/* May it be judged at a replica that is compared with others, if `driver` is? */
static bool goes_with(const struct repli_fetch *f, const struct base_filter *driver,
                      const struct base_filter *filter)
{
    const struct base_column *column = base_table_column_by_id(f->table, filter->column),
                             *of = base_table_column_by_id(f->table, driver->column);
    if (filter == driver || f->required == 1)
        return true;
    return column && is_key(column) &&
           (of->kind != BASE_COLUMN_STATIC || column->kind == BASE_COLUMN_PARTITION_KEY);
}

bool repli_conditions_all(const struct base_table *table, const struct base_read *cmd,
                          unsigned required)
{
    return (cmd->filter_count == 1 || required == 1) && indexed_count(table, cmd) > 0;
}

int repli_conditions_set(struct repli_fetch *f)
{
    struct repli_read_request *r = &f->request;
    const struct base_read *cmd = &r->cmd;
    r->by_index = r->count = false;
    r->index_count = 0;
    if (!indexed_count(f->table, cmd))
        return BASE_OK;
    if (!reserve_filters(f))
        return BASE_E_NOMEM;
    const struct base_filter *driver = base_index_filter(f->table, cmd);
    if (f->choice < cmd->filter_count && base_index_has(f->table, cmd, &cmd->filters[f->choice]))
        driver = &cmd->filters[f->choice];
    for (size_t i = 0; i < cmd->filter_count; i++)
        if (goes_with(f, driver, &cmd->filters[i]))
            f->filters[r->index_count++] = cmd->filters[i];
    r->by_index = true;
    r->index = f->filters;
    if (r->index_count < cmd->filter_count && r->limits.rows_max < REPLI_FILTERED_PAGE_ROWS)
        r->limits.rows_max = REPLI_FILTERED_PAGE_ROWS;
    return BASE_OK;
}

bool repli_choice_is_open(const struct repli_fetch *f)
{
    return f->choice == SIZE_MAX && f->required > 1 && f->member_count &&
           f->request.cmd.filter_count > 1 && indexed_count(f->table, &f->request.cmd) > 1;
}

int repli_choice_ask(struct repli_fetch *f)
{
    struct repli_read_request request = f->request;
    const struct base_read *cmd = &f->request.cmd;
    if (!reserve_filters(f))
        return BASE_E_NOMEM;
    request.by_index = request.count = true;
    request.index = f->filters;
    request.index_count = 0;
    for (size_t i = 0; i < cmd->filter_count; i++)
        if (base_index_has(f->table, cmd, &cmd->filters[i]))
            f->filters[request.index_count++] = cmd->filters[i];
    base_buf_reset(&f->body);
    return repli_read_encode(&request, &f->body);
}

void repli_choice_take(struct repli_fetch *f, const struct base_slice *answer)
{
    const struct base_read *cmd = &f->request.cmd;
    struct base_reader in = base_reader(answer ? *answer : (struct base_slice){0});
    uint64_t least = UINT64_MAX, count;
    f->choice = (size_t)(base_index_filter(f->table, cmd) - cmd->filters);
    for (size_t i = 0; i < cmd->filter_count; i++) {
        if (!base_index_has(f->table, cmd, &cmd->filters[i]))
            continue;
        if (!base_get_varint(&in, &count))
            break; /* it says what it says */
        if (count < least) {
            least = count;
            f->choice = i;
        }
    }
}

/* Pages that differ. */

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
    bool of_rows = false;
    for (size_t i = 0; i < f->request.index_count; i++) {
        const struct base_column *column =
            base_table_column_by_id(f->table, f->request.index[i].column);
        of_rows |= column &&
                   (column->kind == BASE_COLUMN_REGULAR || column->kind == BASE_COLUMN_CLUSTERING);
    }
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
