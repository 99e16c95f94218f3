/* Building an SSTable's index components: rows in, a file an index out (lsm/index.h).
 *
 * Keys come in the rows' order and leave in the terms'. They gather in memory up to a limit; past
 * it they are sorted and written as a run, itself an SSTable; in the end runs are merged by a
 * compaction, in steps. So memory is bounded whatever the SSTable's size, and a build of what fits
 * writes each key once.
 *
 * 1. Nothing has a component's name before it is whole and synced; runs and files under way have
 *    other names, which the next open of the store removes. close removes what is not kept.
 * 2. What a component has is a function of the rows alone: so it may be built again at any time. */
#include "lsm/index.h"

#include <stdio.h>

#include "lsm/sst_private.h"

enum { PATH_MAX_ = 4096, RUNS_MAX = 4096 };

struct record {
    uint32_t term_len, key_len; /* of the term's key; of the whole */
    uint8_t key[];
};
struct sorted {
    uint64_t prefix;
    const struct record *record;
};
/* One index. */
struct part {
    bool wanted;
    size_t index; /* in the indexer */
    uint32_t id;
    const struct record **records;
    size_t count, cap;
    unsigned run_count;
    struct lsmi_compaction *merge; /* of its runs, under way */
    struct lsm_sstable **runs;
    bool in_place; /* its file has its name */
};
struct lsmi_index_build {
    struct lsmi_index_config config;
    char *dir, *name;
    struct part *parts;
    size_t part_count;
    struct base_arena arena; /* the records */
    struct base_buf scratch, key, pkey;
    bool key_terms_due; /* the partition has had nothing yet */
    size_t at;          /* finishing: the part under way */
    bool finishing, done, keep;
};

static int no_memory(struct base_err *err)
{
    return base_err_set(err, BASE_E_NOMEM, "index build: out of memory");
}

/* Gathering. */

struct adding {
    struct lsmi_index_build *build;
    struct base_slice ckey;
};

static int add_key(void *ctx, size_t index, struct base_slice term)
{
    struct adding *a = ctx;
    struct lsmi_index_build *b = a->build;
    struct part *part = &b->parts[index];
    if (!part->wanted)
        return BASE_OK;
    base_buf_reset(&b->key);
    int rc = lsmi_index_put_term(term, &b->key);
    size_t term_len = b->key.len;
    if (rc == BASE_OK)
        rc = lsmi_index_put_place(base_buf_view(&b->pkey), a->ckey, &b->key);
    if (rc != BASE_OK)
        return rc;
    if (part->count == part->cap) {
        size_t cap = part->cap ? part->cap * 2 : 256;
        const struct record **larger = realloc(part->records, cap * sizeof *larger);
        if (!larger)
            return BASE_E_NOMEM;
        part->records = larger;
        part->cap = cap;
    }
    struct record *record = base_arena_alloc(&b->arena, sizeof *record + b->key.len);
    if (!record)
        return BASE_E_NOMEM;
    *record = (struct record){(uint32_t)term_len, (uint32_t)b->key.len};
    memcpy(record->key, b->key.data, b->key.len);
    part->records[part->count++] = record;
    return BASE_OK;
}

static int add_failed(int rc, struct base_err *err)
{
    return rc == BASE_OK ? rc : base_err_set(err, rc, "index build: %s", base_err_words(rc));
}

static size_t memory_used(const struct lsmi_index_build *b)
{
    size_t used = b->arena.size_bytes;
    for (size_t i = 0; i < b->part_count; i++)
        used += b->parts[i].count * sizeof(struct sorted);
    return used;
}

static int flush_runs(struct lsmi_index_build *b, struct base_err *err);

/* The partition has something: by its key it is found as well. */
static int add_key_terms(struct lsmi_index_build *b, const struct base_index_emit *emit)
{
    if (!b->key_terms_due)
        return BASE_OK;
    b->key_terms_due = false;
    return base_indexer_key_terms(b->config.indexer, base_buf_view(&b->pkey), emit);
}

int lsmi_index_build_partition(struct lsmi_index_build *b, const struct base_partition *p,
                               struct base_err *err)
{
    struct adding adding = {.build = b};
    struct base_index_emit emit = {add_key, &adding, &b->scratch};
    BASE_ASSERT(!b->finishing);
    base_buf_reset(&b->pkey);
    b->key_terms_due = base_indexer_has_key_terms(b->config.indexer);
    int rc = base_buf_put_slice(&b->pkey, p->pkey);
    if (rc == BASE_OK && p->static_row.len) {
        rc = add_key_terms(b, &emit);
        if (rc == BASE_OK)
            rc = base_indexer_static_terms(b->config.indexer, p->static_row, &emit);
    }
    if (rc == BASE_OK && memory_used(b) > b->config.memory_max)
        return flush_runs(b, err);
    return add_failed(rc, err);
}

int lsmi_index_build_item(struct lsmi_index_build *b, const struct base_item *item,
                          struct base_err *err)
{
    struct adding adding = {.build = b};
    struct base_index_emit emit = {add_key, &adding, &b->scratch};
    if (item->kind != BASE_ITEM_ROW)
        return BASE_OK;
    int rc = add_key_terms(b, &emit);
    adding.ckey = item->ckey;
    if (rc == BASE_OK)
        rc = base_indexer_row_terms(b->config.indexer, item->ckey, item->row, &emit);
    if (rc == BASE_OK && memory_used(b) > b->config.memory_max)
        return flush_runs(b, err);
    return add_failed(rc, err);
}

/* Files. */

static void run_path(const struct lsmi_index_build *b, const struct part *part, unsigned run,
                     char path[PATH_MAX_])
{
    snprintf(path, PATH_MAX_, "%s/%010llu.%u.run%u", b->dir, (unsigned long long)b->config.sst.id,
             part->id, run);
}

static void new_path(const struct lsmi_index_build *b, const struct part *part,
                     char path[PATH_MAX_])
{
    snprintf(path, PATH_MAX_, "%s/%010llu.%u.new", b->dir, (unsigned long long)b->config.sst.id,
             part->id);
}

static struct lsmi_sst_params params_of(const struct lsmi_index_build *b, const struct part *part,
                                        const char *path, uint64_t terms)
{
    struct lsmi_sst_params params = b->config.sst;
    params.path = path;
    params.table_name = b->name;
    params.level = part->id;
    params.partition_count_hint = terms;
    params.commitlog_from = params.commitlog_upto = 0;
    params.direct = false;
    return params;
}

static int compare(const void *a, const void *b)
{
    const struct sorted *x = a, *y = b;
    if (x->prefix != y->prefix)
        return x->prefix < y->prefix ? -1 : 1;
    return base_slice_compare(base_slice(x->record->key, x->record->key_len),
                              base_slice(y->record->key, y->record->key_len));
}

/* Every row of a component: there, and nothing else. */
static int write_place(struct lsmi_sst_writer *w, struct base_slice place, struct base_err *err)
{
    static const uint8_t row[BASE_ROW_HEAD_LEN] = {BASE_ROW_LIVENESS};
    struct base_item item = {.kind = BASE_ITEM_ROW, .ckey = place, .row = {row, sizeof row}};
    return lsmi_sst_writer_item(w, &item, err);
}

static int write_sorted(struct lsmi_sst_writer *w, const struct sorted *items, size_t count,
                        struct base_err *err)
{
    int rc = BASE_OK;
    const struct record *last = NULL;
    for (size_t i = 0; i < count && rc == BASE_OK; i++) {
        const struct record *r = items[i].record;
        if (last && compare(&items[i - 1], &items[i]) == 0)
            continue;
        if (!last || last->term_len != r->term_len || memcmp(last->key, r->key, r->term_len) != 0) {
            struct base_partition p = {.pkey = {r->key, r->term_len},
                                       .deletion = BASE_DELETION_NONE};
            rc = lsmi_sst_writer_partition(w, &p, err);
        }
        if (rc == BASE_OK)
            rc = write_place(w, base_slice(r->key + r->term_len, r->key_len - r->term_len), err);
        last = r;
    }
    return rc;
}

/* Sort what a part has gathered and write it to a file of its own; it is empty then. */
static int write_part(struct lsmi_index_build *b, struct part *part, const char *path,
                      struct base_err *err)
{
    struct sorted *items = malloc((part->count + 1) * sizeof *items);
    if (!items)
        return no_memory(err);
    for (size_t i = 0; i < part->count; i++)
        items[i] = (struct sorted){base_get_be64(part->records[i]->key), part->records[i]};
    if (part->count)
        qsort(items, part->count, sizeof *items, compare);
    struct lsmi_sst_params params = params_of(b, part, path, part->count);
    struct lsmi_sst_writer *w;
    struct lsm_sstable_info info;
    int rc = lsmi_sst_writer_open(&params, &w, err);
    if (rc == BASE_OK) {
        rc = write_sorted(w, items, part->count, err);
        if (rc == BASE_OK)
            rc = lsmi_sst_writer_finish(w, &info, err);
        if (rc != BASE_OK)
            lsmi_sst_writer_abort(w);
    }
    free(items);
    part->count = 0;
    return rc;
}

static int flush_runs(struct lsmi_index_build *b, struct base_err *err)
{
    int rc = BASE_OK;
    for (size_t i = 0; i < b->part_count && rc == BASE_OK; i++) {
        struct part *part = &b->parts[i];
        if (part->count == 0)
            continue;
        if (part->run_count == RUNS_MAX)
            return base_err_set(err, BASE_E_LIMIT, "index build: more than %d runs", RUNS_MAX);
        char path[PATH_MAX_];
        run_path(b, part, part->run_count, path);
        rc = write_part(b, part, path, err);
        part->run_count += rc == BASE_OK;
    }
    base_arena_fini(&b->arena);
    return rc;
}

/* Finishing. */

/* Close the merge and its runs, and remove their files. */
static void runs_end(struct lsmi_index_build *b, struct part *part)
{
    char path[PATH_MAX_];
    if (part->merge)
        lsmi_compaction_close(part->merge);
    part->merge = NULL;
    for (unsigned i = 0; i < part->run_count; i++) {
        if (part->runs)
            lsmi_sst_release(part->runs[i]);
        run_path(b, part, i, path);
        /* what stays the next open of the store removes */
        (void)!base_fs_remove(b->config.sst.fs, path, NULL);
    }
    part->run_count = 0;
    free(part->runs);
    part->runs = NULL;
}

static int merge_open(struct lsmi_index_build *b, struct part *part, struct base_err *err)
{
    char path[PATH_MAX_];
    part->runs = calloc(part->run_count, sizeof(struct lsm_sstable *));
    int rc = part->runs ? BASE_OK : no_memory(err);
    for (unsigned i = 0; i < part->run_count && rc == BASE_OK; i++) {
        run_path(b, part, i, path);
        rc = lsmi_sst_open(b->config.sst.fs, path, NULL, &part->runs[i], err);
    }
    if (rc != BASE_OK)
        return rc;
    new_path(b, part, path);
    struct lsmi_compaction_config config = {
        .out = params_of(b, part, path, 0),
        .inputs = part->runs,
        .input_count = part->run_count,
        .now_s = INT64_MIN,
        .gc_before_s = INT64_MIN,
        .truncated_us = INT64_MIN,
    };
    return lsmi_compaction_open(&config, &part->merge, err);
}

/* A step of one part; *written: its file is whole, under its temporary name. */
static int finish_part(struct lsmi_index_build *b, struct part *part, size_t step_bytes,
                       bool *written, struct base_err *err)
{
    char path[PATH_MAX_];
    *written = false;
    if (part->run_count == 0) {
        new_path(b, part, path);
        *written = true;
        return write_part(b, part, path, err);
    }
    if (!part->merge) {
        int rc = merge_open(b, part, err);
        if (rc != BASE_OK)
            return rc;
    }
    struct lsm_sstable_info info;
    int rc = lsmi_compaction_step(part->merge, step_bytes, written, &info, err);
    if (rc == BASE_OK && *written)
        runs_end(b, part);
    return rc;
}

static int name_part(struct lsmi_index_build *b, struct part *part, struct base_err *err)
{
    char from[PATH_MAX_], to[PATH_MAX_];
    new_path(b, part, from);
    lsmi_index_path(b->dir, b->config.sst.id, part->id, to, sizeof to);
    int rc = base_fs_rename(b->config.sst.fs, from, to, err);
    part->in_place = rc == BASE_OK;
    return rc;
}

int lsmi_index_build_finish(struct lsmi_index_build *b, size_t step_bytes, bool *done,
                            struct base_err *err)
{
    int rc = BASE_OK;
    *done = false;
    if (!b->finishing) {
        bool runs = false;
        for (size_t i = 0; i < b->part_count; i++)
            runs |= b->parts[i].run_count > 0;
        if (runs && (rc = flush_runs(b, err)) != BASE_OK)
            return rc;
        b->finishing = true;
    }
    while (b->at < b->part_count && !b->parts[b->at].wanted)
        b->at++;
    if (b->at < b->part_count) {
        bool written;
        rc = finish_part(b, &b->parts[b->at], step_bytes, &written, err);
        if (rc == BASE_OK && written)
            rc = name_part(b, &b->parts[b->at], err);
        b->at += rc == BASE_OK && written;
        return rc;
    }
    rc = base_fs_sync_dir(b->config.sst.fs, b->dir, err);
    *done = b->done = rc == BASE_OK;
    return rc;
}

/* Open, close. */

int lsmi_index_build_open(const struct lsmi_index_config *config, struct lsmi_index_build **out,
                          struct base_err *err)
{
    *out = NULL;
    struct lsmi_index_build *b = calloc(1, sizeof *b);
    if (!b)
        return no_memory(err);
    b->config = *config;
    base_indexer_acquire(config->indexer);
    base_arena_init(&b->arena);
    base_buf_init(&b->scratch, (size_t)1 << 30);
    base_buf_init(&b->key, (size_t)1 << 20);
    base_buf_init(&b->pkey, (size_t)1 << 20);
    b->dir = strdup(config->dir);
    b->name = strdup(config->sst.table_name ? config->sst.table_name : "");
    b->parts = calloc(base_indexer_count(config->indexer), sizeof *b->parts);
    if (!b->dir || !b->name || !b->parts) {
        lsmi_index_build_close(b);
        return no_memory(err);
    }
    b->part_count = base_indexer_count(config->indexer);
    for (size_t i = 0; i < b->part_count; i++) {
        uint32_t id = base_indexer_id(config->indexer, i);
        b->parts[i] = (struct part){
            .index = i, .id = id, .wanted = !config->wanted || config->wanted(config->ctx, id)};
    }
    *out = b;
    return BASE_OK;
}

int lsmi_index_build_attach(struct lsmi_index_build *b, struct lsm_sstable *sst,
                            struct lsmi_cache *cache, struct base_err *err)
{
    int rc = BASE_OK;
    BASE_ASSERT(b->done && lsmi_sst_info(sst)->id == b->config.sst.id);
    for (size_t i = 0; i < b->part_count && rc == BASE_OK; i++) {
        char path[PATH_MAX_];
        struct lsm_sstable *component;
        if (!b->parts[i].wanted)
            continue;
        lsmi_index_path(b->dir, b->config.sst.id, b->parts[i].id, path, sizeof path);
        rc = lsmi_sst_open(b->config.sst.fs, path, cache, &component, err);
        if (rc == BASE_OK)
            rc = lsmi_component_attach(sst, b->parts[i].id, component, err);
    }
    return rc;
}

void lsmi_index_build_keep(struct lsmi_index_build *b)
{
    BASE_ASSERT(b->done);
    b->keep = true;
}

static void remove_files(struct lsmi_index_build *b, struct part *part)
{
    char path[PATH_MAX_];
    runs_end(b, part);
    if (!part->wanted || b->keep)
        return;
    new_path(b, part, path);
    if (part->in_place)
        lsmi_index_path(b->dir, b->config.sst.id, part->id, path, sizeof path);
    if (part->in_place || b->finishing)
        (void)!base_fs_remove(b->config.sst.fs, path, NULL);
}

void lsmi_index_build_close(struct lsmi_index_build *b)
{
    if (!b)
        return;
    for (size_t i = 0; i < b->part_count; i++) {
        remove_files(b, &b->parts[i]);
        free(b->parts[i].records);
    }
    base_indexer_release(b->config.indexer);
    base_arena_fini(&b->arena);
    base_buf_fini(&b->scratch);
    base_buf_fini(&b->key);
    base_buf_fini(&b->pkey);
    free(b->parts);
    free(b->dir);
    free(b->name);
    free(b);
}
