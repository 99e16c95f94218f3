/* The places of a part that has no index yet, found by looking at all its rows (lsm/index.h).
 *
 * A part that is indexed says which of its rows have a term; of one that is not the same is found
 * by computing its rows' terms. So both kinds stand side by side in one merge, and what is said of
 * an index holds of the whole: a row that meets the condition has its winning cell in some part,
 * and that part names it. Deletions and overwrites in other parts change nothing of that: whoever
 * reads by places reads them from the whole table and judges again.
 *
 * 1. Places ascend, as the part's keys do. They are not cut to what a file's key can be.
 * 2. After so many rows in vain one is named all the same: whoever limits how much is looked at in
 *    vain gets to count, and can end. */
#include "base/key.h"
#include "lsm/index.h"
#include "lsm/memtable.h"

struct lsmi_index_scan {
    struct lsmi_index_scan_config config;
    struct base_read cmd;
    struct lsmi_sst_source sst;
    struct lsmi_mt_source mt;
    struct base_source *source; /* one of the two */
    struct base_buf scratch, pkey, place;
    unsigned in_vain;
    bool in_partition, key_terms_due, hit;
};

static int no_memory(struct base_err *err)
{
    return base_err_set(err, BASE_E_NOMEM, "read by index: out of memory");
}

static int see_term(void *ctx, size_t index, struct base_slice term)
{
    struct lsmi_index_scan *s = ctx;
    s->hit |= index == s->config.index && base_slice_equal(term, s->config.term);
    return BASE_OK;
}

static struct base_index_emit emit_of(struct lsmi_index_scan *s)
{
    return (struct base_index_emit){see_term, s, &s->scratch};
}

static int terms_failed(const struct lsmi_index_scan *s, int rc, struct base_err *err)
{
    if (rc == BASE_OK)
        return rc;
    return base_err_set(err, rc, "read by index: looking through %s: %s",
                        s->config.sst ? "an SSTable" : "a memtable", base_err_words(rc));
}

static int give(struct lsmi_index_scan *s, struct base_slice ckey, struct base_slice *place)
{
    base_buf_reset(&s->place);
    int rc = base_buf_put_slice(&s->place, base_buf_view(&s->pkey));
    if (rc == BASE_OK)
        rc = ckey.len ? base_buf_put_slice(&s->place, ckey)
                      : base_buf_put_u8(&s->place, BASE_KEY_AT);
    *place = base_buf_view(&s->place);
    s->in_vain = 0;
    return rc;
}

/* The partition has something: it is found by its key too. */
static int see_key(struct lsmi_index_scan *s)
{
    struct base_index_emit emit = emit_of(s);
    if (!s->key_terms_due)
        return BASE_OK;
    s->key_terms_due = false;
    return base_indexer_key_terms(s->config.indexer, base_buf_view(&s->pkey), &emit);
}

static int see_partition(struct lsmi_index_scan *s, const struct base_partition *p)
{
    struct base_index_emit emit = emit_of(s);
    s->in_partition = true;
    s->key_terms_due = base_indexer_has_key_terms(s->config.indexer);
    base_buf_reset(&s->pkey);
    int rc = base_buf_put_slice(&s->pkey, p->pkey);
    if (rc != BASE_OK || !p->static_row.len)
        return rc;
    rc = see_key(s);
    return rc == BASE_OK ? base_indexer_static_terms(s->config.indexer, p->static_row, &emit) : rc;
}

static int see_row(struct lsmi_index_scan *s, const struct base_item *item)
{
    struct base_index_emit emit = emit_of(s);
    int rc = see_key(s);
    if (rc == BASE_OK && !s->hit)
        rc = base_indexer_row_terms(s->config.indexer, item->ckey, item->row, &emit);
    s->in_vain += !s->hit;
    return rc;
}

int lsmi_index_scan_next(struct lsmi_index_scan *s, struct base_slice *place, struct base_err *err)
{
    bool of_partition = base_indexer_of_partition(s->config.indexer, s->config.index);
    *place = (struct base_slice){0};
    for (;;) {
        struct base_item item = {.kind = BASE_ITEM_END};
        int rc;
        s->hit = false;
        if (!s->in_partition) {
            struct base_partition p;
            rc = s->source->ops->partition(s->source, &p, err);
            if (rc != BASE_OK || p.pkey.len == 0)
                return rc;
            rc = see_partition(s, &p);
            s->in_vain++;
        } else {
            rc = s->source->ops->next(s->source, &item, err);
            if (rc != BASE_OK)
                return rc;
            s->in_partition = item.kind != BASE_ITEM_END;
            if (item.kind == BASE_ITEM_ROW)
                rc = see_row(s, &item);
        }
        if (rc != BASE_OK)
            return terms_failed(s, rc, err);
        if (of_partition && (s->hit || !s->key_terms_due))
            s->in_partition = false; /* its rows say nothing more */
        bool vain =
            s->in_vain >= LSMI_INDEX_SCAN_VAIN && (of_partition || item.kind == BASE_ITEM_ROW);
        if (!s->hit && !vain)
            continue;
        rc = give(s, of_partition ? (struct base_slice){0} : item.ckey, place);
        return rc == BASE_OK ? rc : no_memory(err);
    }
}

static int source_open(struct lsmi_index_scan *s, struct base_err *err)
{
    const struct lsmi_index_scan_config *config = &s->config;
    if (config->memtable) {
        if (lsmi_mt_source_init_at(&s->mt, config->memtable, &s->cmd, BASE_DELETION_NONE,
                                   config->seq))
            s->source = &s->mt.source;
        return BASE_OK;
    }
    if (s->cmd.pkey.len && !lsmi_sst_may_contain(config->sst, s->cmd.pkey))
        return BASE_OK;
    int rc = lsmi_sst_source_init(&s->sst, config->sst, &s->cmd, err);
    if (rc == BASE_OK)
        s->source = &s->sst.source;
    return rc;
}

int lsmi_index_scan_open(const struct lsmi_index_scan_config *config, struct lsmi_index_scan **out,
                         struct base_err *err)
{
    BASE_ASSERT(!config->memtable != !config->sst);
    *out = NULL;
    struct lsmi_index_scan *s = calloc(1, sizeof *s);
    if (!s)
        return no_memory(err);
    const struct base_read *cmd = config->cmd;
    s->config = *config;
    s->cmd = BASE_READ_INIT;
    s->cmd.pkey = cmd->pkey;
    s->cmd.token_after = cmd->token_after;
    s->cmd.token_upto = cmd->token_upto;
    s->cmd.start_pkey = cmd->start_pkey;
    s->cmd.slices =
        base_indexer_of_partition(config->indexer, config->index) ? base_slices_all : cmd->slices;
    base_buf_init(&s->scratch, (size_t)1 << 30);
    base_buf_init(&s->pkey, (size_t)1 << 20);
    base_buf_init(&s->place, (size_t)1 << 20);
    int rc = source_open(s, err);
    if (rc == BASE_OK && s->source) {
        *out = s;
        return rc;
    }
    lsmi_index_scan_close(s);
    return rc;
}

void lsmi_index_scan_close(struct lsmi_index_scan *s)
{
    if (!s)
        return;
    if (s->source)
        s->source->ops->close(s->source);
    lsmi_sst_source_fini(&s->sst);
    lsmi_mt_source_fini(&s->mt);
    base_buf_fini(&s->scratch);
    base_buf_fini(&s->pkey);
    base_buf_fini(&s->place);
    free(s);
}
