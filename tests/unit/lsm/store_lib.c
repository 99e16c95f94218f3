#include "tests/unit/lsm/store_lib.h"

#include "base/compress.h"
#include "tests/lib/ck.h"

void store_world_init(struct store_world *s, uint64_t seed)
{
    *s = (struct store_world){.fs = sim_fs_new(seed)};
    sim_clock_init(&s->clock, 0);
    sim_executor_init(&s->executor, &s->clock, seed);
    sim_random_init(&s->random, seed);
    lsm_options_init(&s->options);
    s->options.dir = "store";
    s->options.fs = sim_fs_port(s->fs);
    s->options.clock = &s->clock.base;
    s->options.random = &s->random.base;
    s->options.executor = &s->executor.base;
    s->options.commitlog_segment_size = 1 << 16;
    s->options.commitlog_total_size = 1 << 20;
    s->options.memtable_size_max = 1 << 20;
}

void store_world_fini(struct store_world *s)
{
    sim_fs_free(s->fs);
}

void store_world_close(struct store_world *s, uint64_t flush_over_bytes)
{
    ck_ok(lsm_close(s->store, flush_over_bytes, &s->err), s->err);
    s->store = NULL;
    ck_assert_uint_eq(sim_fs_open_files(s->fs), 0);
}

void store_world_die(struct store_world *s, bool power)
{
    if (power)
        sim_fs_power_off(s->fs);
    else
        sim_fs_kill(s->fs);
    (void)!lsm_close(s->store, UINT64_MAX, NULL);
    s->store = NULL;
    if (power)
        sim_fs_crash(s->fs);
    sim_executor_init(&s->executor, &s->clock, 7);
}

struct lsm_table_desc store_table(struct base_uuid id)
{
    return lsm_table_desc(id, "ks.t");
}
