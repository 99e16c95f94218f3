/* A store, the model beside it, and their life and death: see the header.
 *
 * Invariants: while the store is open the model is exactly what it must show; seq counts
 * acknowledged groups; synced_seq <= seq. */
#include "tests/sim/world.h"

#include <getopt.h>
#include <inttypes.h>

#include "base/compress.h"

#define MEMORY_JOURNAL 999999u /* the number of a partition that no random write hits */

/* Options. */

static void desc_draw(struct lsm_table_desc *d, struct rng *rng)
{
    static const int32_t graces[] = {0, 10, 60, 864000};
    static const double fps[] = {0.01, 0.5, 1.0};
    static const int compressors[] = {BASE_COMPRESS_NONE, BASE_COMPRESS_LZ4, BASE_COMPRESS_ZSTD,
                                      BASE_COMPRESS_SNAPPY};
    *d = lsm_table_desc((struct base_uuid){{0}}, NULL);
    d->gc_grace_s = graces[rng_below(rng, BASE_COUNT(graces))];
    d->bloom_fp_chance = fps[rng_below(rng, BASE_COUNT(fps))];
    d->compressor = compressors[rng_below(rng, BASE_COUNT(compressors))];
    d->compaction_enabled = !rng_one_in(rng, 8);
    d->min_threshold = (uint32_t)rng_between(rng, 2, 4);
    d->max_threshold = (uint32_t)rng_between(rng, 4, 32);
    if (rng_chance(rng, 50))
        d->min_sstable_size = 4096;
}

void world_options_draw(struct world_options *o, uint64_t seed)
{
    static const uint64_t memtables[] = {128 << 10, 512 << 10, 4 << 20},
                          segments[] = {8 << 10, 64 << 10, 512 << 10};
    static const uint64_t caches[] = {16 << 10, 256 << 10, 8 << 20};
    static const uint32_t blocks[] = {256, 1024, 4096};
    struct rng rng = rng_seeded(seed);
    *o = (struct world_options){.seed = seed, .table_count = (size_t)rng_between(&rng, 1, 3)};
    gen_options_draw(&o->gen, &rng);
    lsm_options_init(&o->lsm);
    o->lsm.sync = rng_chance(&rng, 50) ? LSM_SYNC_BATCH : LSM_SYNC_PERIODIC;
    o->lsm.sync_period_ns = (uint64_t)rng_between(&rng, 1, 50) * 1000000;
    o->lsm.memtable_size_max = memtables[rng_below(&rng, BASE_COUNT(memtables))];
    o->lsm.commitlog_segment_size = segments[rng_below(&rng, BASE_COUNT(segments))];
    o->lsm.commitlog_total_size = o->lsm.commitlog_segment_size * (uint64_t)rng_between(&rng, 2, 8);
    o->lsm.cache_size_max = caches[rng_below(&rng, BASE_COUNT(caches))];
    o->lsm.block_size = blocks[rng_below(&rng, BASE_COUNT(blocks))];
    o->lsm.compaction_rate_bytes_s = rng_chance(&rng, 30) ? 1 << 20 : 0;
    for (size_t i = 0; i < WORLD_TABLES_MAX; i++)
        desc_draw(&o->desc[i], &rng);
    o->steps_percent = (unsigned)rng_between(&rng, 5, 80);
}

void world_options_print(const struct world_options *o, FILE *out)
{
    fprintf(out, "seed %" PRIu64 "\n", o->seed);
    gen_options_print(&o->gen, out);
    fprintf(out,
            "  sync %s period %" PRIu64 " us memtable %" PRIu64 " segment %" PRIu64 " log %" PRIu64
            " cache %" PRIu64 " block %u rate %" PRIu64 " steps %u%%\n",
            o->lsm.sync == LSM_SYNC_BATCH ? "batch" : "periodic", o->lsm.sync_period_ns / 1000,
            o->lsm.memtable_size_max, o->lsm.commitlog_segment_size, o->lsm.commitlog_total_size,
            o->lsm.cache_size_max, o->lsm.block_size, o->lsm.compaction_rate_bytes_s,
            o->steps_percent);
    for (size_t i = 1; i <= o->table_count; i++)
        fprintf(out,
                "  table %zu: gc_grace %d s bloom %.2f compressor %d compaction %d "
                "thresholds %u-%u min_sstable_size %" PRIu64 "\n",
                i, o->desc[i].gc_grace_s, o->desc[i].bloom_fp_chance, o->desc[i].compressor,
                o->desc[i].compaction_enabled, o->desc[i].min_threshold, o->desc[i].max_threshold,
                o->desc[i].min_sstable_size);
    fflush(out);
}

/* Life. */

void world_fail(struct world *w, const char *what, ...)
{
    va_list ap;
    va_start(ap, what);
    fflush(stdout);
    fprintf(stderr, "\nFAILED at operation %" PRIu64 " of seed %" PRIu64 ": ", w->op,
            w->options.seed);
    vfprintf(stderr, what, ap);
    fprintf(stderr, "\n");
    va_end(ap);
    world_options_print(&w->options, stderr);
    exit(1);
}

void world_advance(struct world *w, uint64_t ns)
{
    sim_clock_advance(&w->clock, ns);
    w->gen.now_us = atomic_load(&w->clock.wall_us);
}

void world_forget(struct world *w)
{
    if (!w->maybe)
        base_arena_reset(&w->gen.arena);
}

int64_t world_now_s(struct world *w)
{
    return atomic_load(&w->clock.wall_us) / 1000000;
}

static void executor_begin(struct world *w)
{
    sim_executor_init(&w->executor, &w->clock, rng_u64(&w->rng));
    w->executor.trace = w->traced ? &w->trace : NULL;
}

static void table_init(struct world *w, struct world_table *t, const struct lsm_table_desc *desc,
                       struct model *model)
{
    *t = (struct world_table){.desc = *desc};
    t->desc.id.b[0] = 0xab;
    base_put_be64(t->desc.id.b + 8, ++w->table_ids);
    snprintf(t->name, sizeof t->name, "sim.table%" PRIu64, w->table_ids);
    t->desc.name = t->name;
    t->desc.dropped = t->dropped;
    gen_times_init(&t->times, t->desc.gc_grace_s);
    t->model = model_table_add(model, t->desc.id);
}

void world_init(struct world *w, const struct world_options *options, FILE *trace_out)
{
    *w = (struct world){.options = *options};
    w->rng = rng_seeded(options->seed ^ 0x517cc1b727220a95u);
    w->trace = trace_begin(trace_out);
    w->traced = true;
    w->fs = sim_fs_new(rng_u64(&w->rng));
    sim_fs_set_trace(w->fs, &w->trace);
    sim_clock_init(&w->clock, 0);
    sim_random_init(&w->random, rng_u64(&w->rng));
    w->random.trace = &w->trace;
    executor_begin(w);
    w->gen.rng = rng_fork(&w->rng);
    w->gen.options = options->gen;
    w->gen.now_us = atomic_load(&w->clock.wall_us);
    base_arena_init(&w->gen.arena);
    w->model = model_new(options->canary);
    base_buf_init(&w->group, SIZE_MAX);
    base_buf_init(&w->scratch, SIZE_MAX);
    view_init(&w->view);
    for (size_t i = 0; i <= options->table_count; i++)
        table_init(w, &w->tables[i], &options->desc[i], w->model);
    w->memory_model = model_new(options->canary);
    table_init(w, &w->memory, &options->desc[1], w->memory_model);
    WORLD_OK(w, base_fs_mkdir(sim_fs_port(w->fs), "data", &w->err));
    WORLD_OK(w, base_fs_sync_dir(sim_fs_port(w->fs), ".", &w->err));
}

void world_fini(struct world *w)
{
    BASE_ASSERT(!w->store);
    model_free(w->model);
    model_free(w->memory_model);
    base_arena_fini(&w->gen.arena);
    base_buf_fini(&w->group);
    base_buf_fini(&w->scratch);
    view_fini(&w->view);
    sim_random_fini(&w->random);
    if (sim_fs_open_files(w->fs))
        world_fail(w, "%zu files are still open", sim_fs_open_files(w->fs));
    sim_fs_free(w->fs);
}

/* The number in the journal's row of a table: what survived. */
static int read_journal(struct world *w, const struct world_table *t, uint32_t number, uint64_t *n,
                        struct base_err *err)
{
    struct base_read cmd = BASE_READ_INIT;
    struct base_source *source;
    struct base_partition partition;
    struct base_item item = {0};
    *n = 0;
    cmd.table_id = t->desc.id;
    cmd.pkey = gen_pkey(&w->gen, number);
    cmd.slices = base_slices_all;
    cmd.now_s = world_now_s(w);
    int rc = lsm_read(t->handle, &cmd, false, NULL, 0, NULL, &source, err);
    if (rc != BASE_OK)
        return rc;
    rc = source->ops->partition(source, &partition, err);
    if (rc == BASE_OK && partition.pkey.len)
        rc = source->ops->next(source, &item, err);
    if (rc == BASE_OK && partition.pkey.len && item.kind == BASE_ITEM_ROW) {
        struct base_row row;
        struct base_cell cell;
        bool ok = base_row_decode(item.row, &row);
        struct base_cells it = base_cells_begin(&row);
        if (!ok || base_cells_next(&it, &cell) != 1 || cell.value.len != 8)
            world_fail(w, "the journal's row is damaged");
        *n = base_get_le64(cell.value.data);
    }
    source->ops->close(source);
    return rc;
}

/* Check n against the promises, and take the model there. */
static void settle(struct world *w, uint64_t n)
{
    uint64_t least = w->ended == WORLD_POWER_LOST ? w->synced_seq : w->seq;
    uint64_t most = w->seq + (w->maybe ? 1 : 0);
    if (n < least || n > most)
        world_fail(w, "after %s the journal says %" PRIu64 ", not %" PRIu64 " to %" PRIu64,
                   w->ended == WORLD_POWER_LOST ? "a power loss"
                   : w->ended == WORLD_KILLED   ? "a kill"
                                                : "a close",
                   n, least, most);
    if (n > w->seq && !w->maybe_visible)
        for (size_t i = 0; i < w->mutation_count; i++)
            model_apply(w->model, n, &w->mutations[i]);
    model_rollback(
        w->model,
        w->options.canary == CANARY_LAST_LOST && n > 1 && w->ended != WORLD_CLOSED ? n - 1 : n);
    w->seq = n;
    w->maybe = w->maybe_visible = w->unsure = false;
    if (w->ended == WORLD_POWER_LOST)
        w->synced_seq = n;
    w->synced_seq = w->synced_seq < n ? w->synced_seq : n;
}

/* The same for the table that is not logged: of it what was flushed must be there, and a prefix
 * of the rest may be. */
static void settle_memory(struct world *w, uint64_t n)
{
    uint64_t least = w->ended == WORLD_CLOSED ? w->memory_seq : w->memory_kept;
    if (n < least || n > w->memory_seq)
        world_fail(w,
                   "the journal of the table that is not logged says %" PRIu64 ", not %" PRIu64
                   " to %" PRIu64,
                   n, least, w->memory_seq);
    model_rollback(w->memory_model, n);
    model_set_floor(w->memory_model, n);
    w->memory_seq = w->memory_kept = n;
}

int world_open(struct world *w, struct base_err *err)
{
    BASE_ASSERT(!w->store);
    struct lsm_options o = w->options.lsm;
    o.dir = WORLD_DIR;
    o.fs = sim_fs_port(w->fs);
    o.clock = &w->clock.base;
    o.random = &w->random.base;
    o.executor = &w->executor.base;
    uint64_t n = 0, memory_n = 0;
    int rc = lsm_open(&o, &w->store, err);
    if (rc != BASE_OK)
        return rc;
    for (size_t i = 0; i < WORLD_TABLES_MAX && rc == BASE_OK; i++)
        if (w->tables[i].model)
            rc = lsm_table_open(w->store, &w->tables[i].desc, &w->tables[i].handle, err);
    if (rc == BASE_OK)
        rc = lsm_table_open(w->store, &w->memory.desc, &w->memory.handle, err);
    if (rc == BASE_OK)
        rc = lsm_replay(w->store, err);
    if (rc == BASE_OK)
        rc = read_journal(w, &w->tables[0], 0, &n, err);
    if (rc == BASE_OK)
        rc = read_journal(w, &w->memory, MEMORY_JOURNAL, &memory_n, err);
    if (rc != BASE_OK) {
        struct lsm_store *store = w->store;
        w->store = NULL;
        int ignored = lsm_close(store, UINT64_MAX, NULL);
        (void)ignored;
        return rc;
    }
    settle(w, n);
    settle_memory(w, memory_n);
    model_set_floor(w->model, w->synced_seq);
    return BASE_OK;
}

void world_reopen(struct world *w)
{
    WORLD_OK(w, world_open(w, &w->err));
}

static void reuse_close(struct world *w)
{
    if (w->reuse)
        w->reuse->ops->close(w->reuse);
    w->reuse = NULL;
}

int world_close(struct world *w, uint64_t flush_over_bytes, struct base_err *err)
{
    struct lsm_store *store = w->store;
    reuse_close(w);
    w->store = NULL;
    w->ended = WORLD_CLOSED;
    int rc = lsm_close(store, flush_over_bytes, err);
    if (w->executor.job_count)
        world_fail(w, "%zu jobs are left after close", w->executor.job_count);
    if (rc == BASE_OK)
        w->synced_seq = w->seq;
    return rc;
}

void world_crash(struct world *w, bool power)
{
    reuse_close(w);
    sim_fs_power_off(w->fs);
    if (w->store) {
        int ignored = lsm_close(w->store, UINT64_MAX, NULL);
        (void)ignored;
    }
    w->store = NULL;
    if (w->executor.job_count)
        world_fail(w, "%zu jobs are left after close", w->executor.job_count);
    executor_begin(w);
    if (power)
        sim_fs_crash(w->fs);
    else
        sim_fs_kill(w->fs);
    w->ended = power ? WORLD_POWER_LOST : WORLD_KILLED;
}

/* Tables. */

struct world_table *world_random_table(struct world *w)
{
    struct world_table *t = &w->tables[1 + rng_below(&w->rng, w->options.table_count)];
    return t->model ? t : NULL;
}

void world_table_create(struct world *w, size_t slot)
{
    BASE_ASSERT(slot > 0 && !w->tables[slot].model);
    table_init(w, &w->tables[slot], &w->options.desc[slot], w->model);
    WORLD_OK(w, lsm_table_open(w->store, &w->tables[slot].desc, &w->tables[slot].handle, &w->err));
}

void world_table_drop(struct world *w, size_t slot)
{
    struct world_table *t = &w->tables[slot];
    BASE_ASSERT(slot > 0 && t->model);
    struct lsm_table *handle = t->handle;
    model_table_remove(w->model, t->model);
    t->model = NULL;
    t->handle = NULL;
    WORLD_OK(w, lsm_table_drop(w->store, handle, &w->err));
}

/* Writing. */

int world_write(struct world *w, size_t n, enum lsm_durability durability, struct base_err *err)
{
    uint64_t seq = w->seq + 1;
    BASE_ASSERT(!w->maybe && n + 1 < BASE_COUNT(w->mutations));
    world_forget(w);
    base_buf_reset(&w->group);
    gen_simple(&w->gen, w->tables[0].desc.id, gen_pkey(&w->gen, 0), 0, seq, (int64_t)seq,
               &w->mutations[0]);
    w->mutation_count = 1;
    for (size_t i = 0; i < n; i++) {
        struct world_table *t = world_random_table(w);
        if (t)
            gen_mutation(&w->gen, t->desc.id, &t->times, &w->mutations[w->mutation_count++]);
    }
    /* The journal's mutation is not always the first of its group. */
    size_t swap = (size_t)rng_below(&w->rng, w->mutation_count);
    struct w_mutation first = w->mutations[0];
    w->mutations[0] = w->mutations[swap];
    w->mutations[swap] = first;
    for (size_t i = 0; i < w->mutation_count; i++) {
        w_mutation_encode(&w->mutations[i], &w->group);
        model_apply(w->model, seq, &w->mutations[i]);
    }
    int rc = lsm_write(w->store, base_buf_view(&w->group), w->mutation_count, durability,
                       UINT64_C(60) * 1000000000, err);
    if (rc == BASE_OK) {
        w->seq = seq;
        if (w->options.lsm.sync == LSM_SYNC_BATCH || durability == LSM_DURABLE_SYNCED)
            w->synced_seq = seq;
    } else {
        uint64_t seen;
        w->maybe = base_err_outcome(rc) == BASE_OUTCOME_MAYBE;
        w->unsure = w->maybe && read_journal(w, &w->tables[0], 0, &seen, NULL) != BASE_OK;
        w->maybe_visible = w->maybe && !w->unsure && seen == seq;
        if (!w->maybe_visible)
            model_rollback(w->model, w->seq);
    }
    return rc;
}

int world_write_memory(struct world *w, size_t n, struct base_err *err)
{
    uint64_t seq = w->memory_seq + 1;
    struct w_mutation m;
    world_forget(w);
    base_buf_reset(&w->group);
    for (size_t i = 0; i <= n; i++) {
        if (i == n)
            gen_simple(&w->gen, w->memory.desc.id, gen_pkey(&w->gen, MEMORY_JOURNAL), 0, seq,
                       (int64_t)seq, &m);
        else
            gen_mutation(&w->gen, w->memory.desc.id, &w->memory.times, &m);
        w_mutation_encode(&m, &w->group);
        model_apply(w->memory_model, seq, &m);
    }
    int rc = lsm_write(w->store, base_buf_view(&w->group), n + 1, LSM_DURABLE_MEMORY,
                       UINT64_C(60) * 1000000000, err);
    if (rc == BASE_OK)
        w->memory_seq = seq;
    else
        model_rollback(w->memory_model, w->memory_seq);
    return rc;
}

int world_flush_all(struct world *w, struct base_err *err)
{
    int rc = lsm_flush(w->store, NULL, NULL, err);
    if (rc == BASE_OK) {
        w->synced_seq = w->seq;
        w->memory_kept = w->memory_seq;
    }
    return rc;
}

int world_sync(struct world *w, struct base_err *err)
{
    int rc = lsm_sync(w->store, err);
    if (rc == BASE_OK)
        w->synced_seq = w->seq;
    model_set_floor(w->model, w->synced_seq);
    return rc;
}

/* Reading. */

static struct base_slice copy_slice(struct base_arena *arena, struct base_slice s)
{
    struct base_slice copy;
    int rc = base_arena_copy(arena, s, &copy);
    BASE_ASSERT(rc == BASE_OK);
    return copy;
}

static void copy_cmd(struct reader *r, const struct base_read *cmd)
{
    base_arena_init(&r->arena);
    r->cmd = *cmd;
    r->cmd.pkey = copy_slice(&r->arena, cmd->pkey);
    r->cmd.start_pkey = copy_slice(&r->arena, cmd->start_pkey);
    struct base_range *ranges =
        base_arena_alloc(&r->arena, (cmd->slices.count + 1) * sizeof *ranges);
    BASE_ASSERT(ranges);
    for (size_t i = 0; i < cmd->slices.count; i++)
        ranges[i] = (struct base_range){copy_slice(&r->arena, cmd->slices.ranges[i].lo),
                                        copy_slice(&r->arena, cmd->slices.ranges[i].hi)};
    r->cmd.slices.ranges = ranges;
}

void reader_begin(struct world *w, struct reader *r, struct world_table *t,
                  const struct base_read *cmd, const char *what)
{
    *r = (struct reader){.what = what};
    copy_cmd(r, cmd);
    memcpy(r->dropped, t->dropped, sizeof t->dropped);
    r->dropped_count = t->desc.dropped_count;
    view_init(&r->expected);
    base_buf_init(&r->pkey_buf, SIZE_MAX);
    model_read(w->model, t->model, &r->cmd, &r->expected);
}

static void reader_opened(struct world *w, struct reader *r, int rc)
{
    if (rc == BASE_OK)
        return;
    r->failed = true;
    r->source = NULL;
    if (!w->faulty)
        world_fail(w, "%s: %s: %s", r->what, base_err_words(rc), w->err.text);
}

void reader_feed_raw(struct world *w, struct reader *r, struct base_source *const *sources,
                     size_t n)
{
    struct base_merge_options o = {
        .reversed = r->cmd.reversed,
        .purge = {.now_s = r->cmd.now_s,
                  .gc_before_s = INT64_MIN,
                  .purgeable_ts = INT64_MIN,
                  .live_only = true},
    };
    struct base_source *checked[8];
    BASE_ASSERT(n <= BASE_COUNT(checked));
    for (size_t i = 0; i < n; i++)
        checked[i] = checked_source_new(sources[i], r->cmd.reversed, &r->complaint);
    reader_opened(w, r, base_merge_open(checked, n, &o, &r->source, &w->err));
}

void reader_open(struct world *w, struct reader *r, struct world_table *t,
                 const struct base_read *cmd, struct base_source *extra, int flags,
                 const char *what)
{
    reader_begin(w, r, t, cmd, what);
    struct base_source *reuse = flags & READER_REUSE ? w->reuse : NULL;
    if (flags & READER_REUSE)
        w->reuse = NULL;
    bool keep = flags & READER_TOMBSTONES;
    base_err_clear(&w->err);
    int rc = lsm_read(t->handle, &r->cmd, keep, extra ? &extra : NULL, extra ? 1 : 0, reuse,
                      &r->source, &w->err);
    reader_opened(w, r, rc);
    if (rc == BASE_OK && keep)
        reader_feed_raw(w, r, &r->source, 1);
}

static void print_hex(struct base_slice s)
{
    for (size_t i = 0; i < s.len && i < 40; i++)
        fprintf(stderr, "%02x", s.data[i]);
}

static void print_entry(const char *title, struct base_slice pkey, struct base_slice ckey,
                        struct base_slice row)
{
    fprintf(stderr, "  %s: partition ", title);
    print_hex(pkey);
    fprintf(stderr, ckey.len ? " row " : " static row");
    print_hex(ckey);
    fprintf(stderr, "\n");
    canonical_print(stderr, row);
}

_Noreturn static void differ(struct world *w, struct reader *r, const char *how,
                             struct base_slice ckey, const struct base_slice *got)
{
    const struct base_read *c = &r->cmd;
    fprintf(stderr, "\n%s: %s at entry %zu of %zu\n", r->what, how, r->at, r->expected.count);
    fprintf(stderr, "  read: pkey ");
    print_hex(c->pkey);
    fprintf(stderr, " tokens (%" PRId64 ", %" PRId64 "] from ", c->token_after, c->token_upto);
    print_hex(c->start_pkey);
    fprintf(stderr, " now %" PRId64 "%s, %zu slices\n", c->now_s, c->reversed ? " reversed" : "",
            c->slices.count);
    for (size_t i = 0; i < c->slices.count; i++) {
        fprintf(stderr, "    slice ");
        print_hex(c->slices.ranges[i].lo);
        fprintf(stderr, " … ");
        print_hex(c->slices.ranges[i].hi);
        fprintf(stderr, "\n");
    }
    if (r->at < r->expected.count) {
        const struct view_entry *e = &r->expected.entries[r->at];
        print_entry("expected", view_slice(&r->expected, e->pkey_at, e->pkey_len),
                    view_slice(&r->expected, e->ckey_at, e->ckey_len),
                    view_slice(&r->expected, e->row_at, e->row_len));
    }
    if (got)
        print_entry("the store", r->pkey, ckey, *got);
    world_fail(w, "%s: %s", r->what, how);
}

static void compare(struct world *w, struct reader *r, struct base_slice ckey,
                    struct base_slice encoded)
{
    base_buf_reset(&w->scratch);
    bool empty;
    bool ok =
        canonical_row(encoded, r->cmd.now_s, r->dropped, r->dropped_count, &w->scratch, &empty);
    if (ok && empty)
        return;
    struct base_slice got = base_buf_view(&w->scratch);
    if (!ok)
        differ(w, r, "a row is damaged or holds something dead", ckey, &got);
    if (r->at == r->expected.count)
        differ(w, r, "a row too many", ckey, &got);
    const struct view_entry *e = &r->expected.entries[r->at];
    if (!base_slice_equal(view_slice(&r->expected, e->pkey_at, e->pkey_len), r->pkey) ||
        !base_slice_equal(view_slice(&r->expected, e->ckey_at, e->ckey_len), ckey))
        differ(w, r, "another row is due", ckey, &got);
    if (!base_slice_equal(view_slice(&r->expected, e->row_at, e->row_len), got))
        differ(w, r, "the row differs", ckey, &got);
    r->at++;
}

static bool reader_error(struct world *w, struct reader *r, int rc)
{
    if (!w->faulty)
        world_fail(w, "%s: %s: %s", r->what, base_err_words(rc), w->err.text);
    r->failed = true;
    return false;
}

bool reader_step(struct world *w, struct reader *r, size_t n)
{
    struct base_partition partition;
    struct base_item item;
    while (n > 0 && !r->failed) {
        int rc;
        base_err_clear(&w->err);
        if (!r->in_partition) {
            if ((rc = r->source->ops->partition(r->source, &partition, &w->err)) != BASE_OK)
                return reader_error(w, r, rc);
            if (partition.pkey.len == 0) {
                if (r->at != r->expected.count)
                    differ(w, r, "the rows end too early", (struct base_slice){0}, NULL);
                return false;
            }
            base_buf_reset(&r->pkey_buf);
            rc = base_buf_put_slice(&r->pkey_buf, partition.pkey);
            BASE_ASSERT(rc == BASE_OK);
            r->pkey = base_buf_view(&r->pkey_buf);
            r->in_partition = true;
            if (partition.static_row.len)
                compare(w, r, (struct base_slice){0}, partition.static_row);
        }
        if ((rc = r->source->ops->next(r->source, &item, &w->err)) != BASE_OK)
            return reader_error(w, r, rc);
        if (item.kind == BASE_ITEM_MARKER)
            differ(w, r, "a marker among live rows", item.ckey, NULL);
        if (item.kind == BASE_ITEM_END)
            r->in_partition = false;
        else
            compare(w, r, item.ckey, item.row), n--;
        if (r->complaint)
            world_fail(w, "%s: %s", r->what, r->complaint);
    }
    return !r->failed;
}

void reader_close(struct world *w, struct reader *r, bool park)
{
    if (r->source && park && !w->reuse) {
        lsm_read_park(r->source);
        w->reuse = r->source;
    } else if (r->source) {
        r->source->ops->close(r->source);
    }
    view_fini(&r->expected);
    base_buf_fini(&r->pkey_buf);
    base_arena_fini(&r->arena);
    *r = (struct reader){0};
}

void world_check_all(struct world *w)
{
    if (w->unsure)
        return;
    world_forget(w);
    for (size_t i = 0; i <= WORLD_TABLES_MAX; i++) {
        struct world_table *t = i < WORLD_TABLES_MAX ? &w->tables[i] : &w->memory;
        if (!t->model)
            continue;
        for (int pass = 0; pass < 2; pass++) {
            struct base_read cmd = BASE_READ_INIT;
            struct reader r;
            cmd.table_id = t->desc.id;
            cmd.slices = base_slices_all;
            cmd.now_s = world_now_s(w);
            cmd.reversed = rng_chance(&w->rng, 50);
            reader_open(w, &r, t, &cmd, NULL, pass ? READER_TOMBSTONES : 0,
                        pass ? "all with tombstones" : "all");
            while (reader_step(w, &r, 1000))
                continue;
            reader_close(w, &r, false);
        }
    }
}

bool world_args_get(int argc, char **argv, struct world_args *args)
{
    static const struct option options[] = {
        {"seed", required_argument, NULL, 's'},  {"ops", required_argument, NULL, 'o'},
        {"runs", required_argument, NULL, 'r'},  {"canary", required_argument, NULL, 'c'},
        {"trace", required_argument, NULL, 't'}, {NULL, 0, NULL, 0},
    };
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (c) {
        case 's':
            args->seed = strtoull(optarg, NULL, 0);
            args->chosen = true;
            break;
        case 'o':
            args->ops = strtoull(optarg, NULL, 0);
            break;
        case 'r':
            args->runs = strtoull(optarg, NULL, 0);
            break;
        case 'c':
            args->canary = (unsigned)strtoul(optarg, NULL, 0);
            break;
        case 't':
            args->trace = fopen(optarg, "w");
            break;
        default:
            return false;
        }
    }
    return args->canary < CANARY_COUNT;
}
