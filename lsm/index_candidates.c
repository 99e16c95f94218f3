/* What all parts of a table have for one term of an index: a merge of sorted places (lsm/index.h).
 *
 * Which parts have the index is seen once, when it is opened: a component that goes meanwhile (it
 * is damaged, or dropped) stays readable here.
 *
 * A memtable's shards are in the places' order, as their partitions' tokens are, so that one after
 * the other they are one input. A component is read as the SSTable it is: the term is a partition,
 * its places are rows. Memory: a page of pointers or a block an input. */
#include "lsm/index.h"

#include "base/key.h"
#include "lsm/memtable.h"

enum { PAGE = 64, COUNT_MAX = 256 };

struct input {
    struct base_slice place; /* empty: the end */
    /* a memtable … */
    struct lsmi_memtable *mt;
    size_t index;
    unsigned shard;
    struct base_slice page[PAGE];
    size_t page_at, page_count;
    /* … or a component */
    struct lsm_sstable *sst, *component;
    struct lsmi_sst_source source;
    bool source_open;
    struct lsmi_index_scan *scan; /* … or a part that is looked through */
};
struct lsmi_candidates {
    struct lsmi_candidates_config config;
    struct base_buf term; /* its key */
    struct base_buf lo;   /* places before it are left out */
    uint8_t hi[8];        /* the greatest token */
    struct base_read cmd; /* of the components */
    struct base_range range;
    struct base_buf last; /* the place that was given last */
    struct input *inputs;
    size_t count;
    bool is_list; /* no inputs, but a list: */
    struct base_reader list;
};

static int no_memory(struct base_err *err)
{
    return base_err_set(err, BASE_E_NOMEM, "read by index: out of memory");
}

static bool has_prefix(struct base_slice bytes, struct base_slice prefix)
{
    return bytes.len >= prefix.len && memcmp(bytes.data, prefix.data, prefix.len) == 0;
}

/* Is the place behind the command's range? Only places from lo on are asked. */
static bool is_behind(const struct lsmi_candidates *c, struct base_slice place)
{
    return place.len < 8 || memcmp(place.data, c->hi, 8) > 0;
}

/* Inputs. */

/* The next page of a memtable's input, from the shard's beginning or behind the last key. */
static int page_next(struct lsmi_candidates *c, struct input *in, bool first, struct base_err *err)
{
    struct base_buf from;
    base_buf_init(&from, (size_t)1 << 20);
    int rc = BASE_OK;
    struct base_slice key = first ? (struct base_slice){0} : in->page[in->page_count - 1];
    if (first) {
        rc = base_buf_put_slice(&from, base_buf_view(&c->term));
        if (rc == BASE_OK)
            rc = base_buf_put_slice(&from, base_buf_view(&c->lo));
        key = base_buf_view(&from);
    }
    in->page_at = 0;
    in->page_count = rc == BASE_OK ? lsmi_mt_index_page(in->mt, in->shard, in->index, key, !first,
                                                        in->page, PAGE)
                                   : 0;
    base_buf_fini(&from);
    return rc == BASE_OK ? rc : no_memory(err);
}

static int memtable_next(struct lsmi_candidates *c, struct input *in, struct base_err *err)
{
    in->place = (struct base_slice){0};
    while (in->shard < in->mt->shard_count) {
        if (in->page_at < in->page_count) {
            struct base_slice key = in->page[in->page_at++];
            if (has_prefix(key, base_buf_view(&c->term))) {
                in->place = base_slice(key.data + c->term.len, key.len - c->term.len);
                if (is_behind(c, in->place))
                    in->place.len = 0, in->shard = in->mt->shard_count;
                return BASE_OK;
            }
            in->page_count = 0; /* the term's keys are over here */
        } else if (in->page_count == PAGE) {
            int rc = page_next(c, in, false, err);
            if (rc != BASE_OK)
                return rc;
            if (in->page_count)
                continue;
        }
        in->page_at = in->page_count = 0;
        if (++in->shard < in->mt->shard_count) {
            int rc = page_next(c, in, true, err);
            if (rc != BASE_OK)
                return rc;
        }
    }
    return BASE_OK;
}

static int memtable_open(struct lsmi_candidates *c, struct input *in, struct base_err *err)
{
    in->shard = in->mt->shard_count == 1 || c->lo.len == 0 ? 0 : c->lo.data[0] >> 5;
    int rc = page_next(c, in, true, err);
    return rc == BASE_OK ? memtable_next(c, in, err) : rc;
}

static int component_failed(struct lsmi_candidates *c, struct input *in, int rc)
{
    if (rc == BASE_E_CORRUPT && c->config.damaged)
        c->config.damaged(c->config.ctx, in->sst, in->component);
    return rc;
}

static int component_next(struct lsmi_candidates *c, struct input *in, struct base_err *err)
{
    struct base_item item;
    in->place = (struct base_slice){0};
    int rc = in->source.source.ops->next(&in->source.source, &item, err);
    if (rc != BASE_OK)
        return component_failed(c, in, rc);
    if (item.kind == BASE_ITEM_ROW && !is_behind(c, item.ckey))
        in->place = item.ckey;
    return BASE_OK;
}

static int component_open(struct lsmi_candidates *c, struct input *in, struct base_err *err)
{
    struct base_partition partition;
    if (!lsmi_sst_may_contain(in->component, c->cmd.pkey))
        return BASE_OK;
    int rc = lsmi_sst_source_init(&in->source, in->component, &c->cmd, err);
    if (rc != BASE_OK)
        return component_failed(c, in, rc);
    in->source_open = true;
    rc = in->source.source.ops->partition(&in->source.source, &partition, err);
    if (rc != BASE_OK)
        return component_failed(c, in, rc);
    return partition.pkey.len ? component_next(c, in, err) : BASE_OK;
}

static int scan_next(struct lsmi_candidates *c, struct input *in, struct base_err *err)
{
    int rc = lsmi_index_scan_next(in->scan, &in->place, err);
    if (rc == BASE_OK && in->place.len && is_behind(c, in->place))
        in->place.len = 0;
    return rc;
}

/* Of a part that has no index. */
static int scan_open(struct lsmi_candidates *c, struct lsmi_memtable *mt, const uint64_t *seq,
                     struct lsm_sstable *sst, struct base_err *err)
{
    struct lsmi_index_scan_config config = {
        .memtable = mt,
        .sst = sst,
        .seq = seq,
        .indexer = c->config.indexer,
        .index = c->config.index,
        .term = c->config.term,
        .cmd = c->config.cmd,
    };
    struct lsmi_index_scan *scan;
    int rc = lsmi_index_scan_open(&config, &scan, err);
    if (rc != BASE_OK || !scan)
        return rc;
    struct input *in = &c->inputs[c->count++];
    in->scan = scan;
    return scan_next(c, in, err);
}

static int input_next(struct lsmi_candidates *c, struct input *in, struct base_err *err)
{
    if (in->scan)
        return scan_next(c, in, err);
    return in->mt ? memtable_next(c, in, err) : component_next(c, in, err);
}

/* All of them. */

/* Where places of the command begin, and the greatest token. */
static int set_bounds(struct lsmi_candidates *c)
{
    const struct base_read *cmd = c->config.cmd;
    uint8_t token[8];
    if (cmd->pkey.len) { /* also what stands for all of its token, which is before it */
        memcpy(c->hi, cmd->pkey.data, 8);
        return base_buf_put(&c->lo, cmd->pkey.data, 8);
    }
    base_token_put(c->hi, cmd->token_upto);
    /* of the greatest token nothing follows: the caller has seen to it */
    base_token_put(token, cmd->token_after + 1);
    struct base_slice lo = base_slice(token, 8);
    if (cmd->start_pkey.len >= 8 && memcmp(cmd->start_pkey.data, token, 8) > 0)
        lo = base_slice(cmd->start_pkey.data, 8);
    return base_buf_put_slice(&c->lo, lo);
}

static int add_memtable(struct lsmi_candidates *c, struct lsmi_memtable *mt, const uint64_t *seq,
                        struct base_err *err)
{
    uint32_t id = base_indexer_id(c->config.indexer, c->config.index);
    for (size_t k = 0; mt->indexer && k < base_indexer_count(mt->indexer); k++) {
        if (base_indexer_id(mt->indexer, k) != id)
            continue;
        struct input *in = &c->inputs[c->count++];
        in->mt = mt;
        in->index = k;
        return memtable_open(c, in, err);
    }
    if (c->config.built_only || lsmi_memtable_size(mt) == 0)
        return BASE_OK;
    return scan_open(c, mt, seq, NULL, err);
}

static int add_sstable(struct lsmi_candidates *c, struct lsm_sstable *sst, struct base_err *err)
{
    uint32_t id = base_indexer_id(c->config.indexer, c->config.index);
    struct lsm_sstable *component = lsmi_component_find(sst, id);
    if (!component)
        return c->config.built_only ? BASE_OK : scan_open(c, NULL, NULL, sst, err);
    struct input *in = &c->inputs[c->count++];
    in->sst = sst;
    in->component = component;
    return component_open(c, in, err);
}

static int add_inputs(struct lsmi_candidates *c, struct base_err *err)
{
    const struct lsmi_candidates_config *config = &c->config;
    int rc = BASE_OK;
    for (size_t i = 0; i < config->memtable_count && rc == BASE_OK; i++)
        rc = add_memtable(c, config->memtables[i], config->seq ? config->seq[i] : NULL, err);
    for (size_t i = 0; i < config->sstable_count && rc == BASE_OK; i++)
        rc = add_sstable(c, config->sstables[i], err);
    return rc;
}

int lsmi_candidates_open(const struct lsmi_candidates_config *config, struct lsmi_candidates **out,
                         struct base_err *err)
{
    *out = NULL;
    struct lsmi_candidates *c = calloc(1, sizeof *c);
    if (!c)
        return no_memory(err);
    c->config = *config;
    base_buf_init(&c->term, (size_t)1 << 20);
    base_buf_init(&c->lo, (size_t)1 << 20);
    base_buf_init(&c->last, (size_t)1 << 20);
    c->inputs = calloc(config->memtable_count + config->sstable_count + 1, sizeof *c->inputs);
    int rc = c->inputs ? lsmi_index_put_term(config->term, &c->term) : BASE_E_NOMEM;
    if (rc == BASE_OK)
        rc = set_bounds(c);
    if (rc != BASE_OK) {
        lsmi_candidates_close(c);
        return no_memory(err);
    }
    c->range.lo = base_buf_view(&c->lo);
    c->cmd = BASE_READ_INIT;
    c->cmd.pkey = base_buf_view(&c->term);
    c->cmd.slices = (struct base_slices){&c->range, 1};
    rc = add_inputs(c, err);
    if (rc != BASE_OK) {
        lsmi_candidates_close(c);
        return rc;
    }
    *out = c;
    return BASE_OK;
}

int lsmi_candidates_of(const struct base_read *cmd, struct lsmi_candidates **out,
                       struct base_err *err)
{
    struct lsmi_candidates *c = *out = calloc(1, sizeof *c);
    if (!c)
        return no_memory(err);
    c->config.cmd = cmd;
    c->is_list = true;
    c->list = base_reader(cmd->places);
    return BASE_OK;
}

static int next_of_list(struct lsmi_candidates *c, struct lsmi_place *out, bool *end,
                        struct base_err *err)
{
    const struct base_read *cmd = c->config.cmd;
    while (base_reader_left(&c->list)) {
        if (!base_get_bytes(&c->list, &out->pkey) || !base_get_bytes(&c->list, &out->ckey) ||
            out->pkey.len < 10)
            return base_err_set(err, BASE_E_CORRUPT, "read by places: a damaged list of %zu bytes",
                                cmd->places.len);
        out->token = base_token_get(out->pkey.data);
        if (cmd->pkey.len || (out->token > cmd->token_after && out->token <= cmd->token_upto))
            return BASE_OK;
    }
    *out = (struct lsmi_place){0};
    *end = true;
    return BASE_OK;
}

int lsmi_candidates_next(struct lsmi_candidates *c, struct lsmi_place *out, bool *end,
                         struct base_err *err)
{
    *end = false;
    *out = (struct lsmi_place){0};
    if (c->is_list)
        return next_of_list(c, out, end, err);
    for (;;) {
        struct input *least = NULL;
        for (size_t i = 0; i < c->count; i++)
            if (c->inputs[i].place.len &&
                (!least || base_slice_compare(c->inputs[i].place, least->place) < 0))
                least = &c->inputs[i];
        if (!least) {
            *end = true;
            return BASE_OK;
        }
        /* another part had it */
        bool again = base_slice_equal(least->place, base_buf_view(&c->last));
        base_buf_reset(&c->last);
        int rc = base_buf_put_slice(&c->last, least->place);
        if (rc != BASE_OK)
            return no_memory(err);
        rc = input_next(c, least, err);
        if (rc != BASE_OK)
            return rc;
        if (again)
            continue;
        if (!lsmi_index_get_place(base_buf_view(&c->last), out))
            return base_err_set(err, BASE_E_CORRUPT, "read by index: a damaged place of %zu bytes",
                                c->last.len);
        return BASE_OK;
    }
}

void lsmi_candidates_close(struct lsmi_candidates *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < c->count; i++) {
        struct input *in = &c->inputs[i];
        if (in->source_open)
            in->source.source.ops->close(&in->source.source);
        lsmi_sst_source_fini(&in->source);
        lsmi_sst_release(in->component);
        lsmi_index_scan_close(in->scan);
    }
    free(c->inputs);
    base_buf_fini(&c->term);
    base_buf_fini(&c->lo);
    base_buf_fini(&c->last);
    free(c);
}

/* So many were counted, up to a place with this token: how many will there be up to the end? */
static uint64_t extrapolate(const struct base_read *cmd, uint64_t count, int64_t token)
{
    double seen = (double)((uint64_t)token - (uint64_t)cmd->token_after),
           all = (double)((uint64_t)cmd->token_upto - (uint64_t)cmd->token_after);
    double estimate = cmd->pkey.len || seen <= 0 ? (double)count : (double)count * (all / seen);
    return estimate < 1e18 ? (uint64_t)estimate : (uint64_t)1e18;
}

int lsmi_candidates_estimate(const struct lsmi_candidates_config *config, uint64_t *count,
                             struct base_err *err)
{
    struct lsmi_candidates_config built = *config;
    struct lsmi_candidates *c;
    *count = 0;
    built.built_only = true;
    int rc = lsmi_candidates_open(&built, &c, err);
    if (rc != BASE_OK)
        return rc;
    for (;;) {
        struct lsmi_place place;
        bool end;
        rc = lsmi_candidates_next(c, &place, &end, err);
        if (rc != BASE_OK || end)
            break;
        if (++*count == COUNT_MAX) {
            *count = extrapolate(config->cmd, *count, place.token);
            break;
        }
    }
    lsmi_candidates_close(c);
    return rc;
}
