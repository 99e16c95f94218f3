/* Two counters behind the clock port; nothing here moves by itself. */
#include "tests/lib/sim_clock.h"

#include <stddef.h>

#define SIM_CLOCK_START_US INT64_C(1767225600000000) /* 2026-01-01T00:00:00Z */

static struct sim_clock *sim_clock_of(struct base_clock *base)
{
    return BASE_CONTAINER(base, struct sim_clock, base);
}

static struct base_mono_ns sim_clock_mono(struct base_clock *base)
{
    struct sim_clock *clock = sim_clock_of(base);
    struct base_mono_ns t = {atomic_load(&clock->mono_ns)};
    trace_add(clock->trace, "mono", "", t.ns, 0, (struct base_slice){0});
    return t;
}

static struct base_wall_us sim_clock_wall(struct base_clock *base)
{
    struct sim_clock *clock = sim_clock_of(base);
    struct base_wall_us t = {atomic_load(&clock->wall_us)};
    trace_add(clock->trace, "wall", "", (uint64_t)t.us, 0, (struct base_slice){0});
    return t;
}

static const struct base_clock_ops sim_clock_ops = {sim_clock_mono, sim_clock_wall};

void sim_clock_init(struct sim_clock *clock, int64_t wall_us)
{
    clock->base.ops = &sim_clock_ops;
    clock->trace = NULL;
    atomic_init(&clock->mono_ns, 1000000000u);
    atomic_init(&clock->wall_us, wall_us ? wall_us : SIM_CLOCK_START_US);
    atomic_init(&clock->rest_ns, 0);
}

void sim_clock_advance(struct sim_clock *clock, uint64_t ns)
{
    atomic_fetch_add(&clock->mono_ns, ns);
    uint64_t rest = atomic_fetch_add(&clock->rest_ns, ns % 1000) + ns % 1000;
    uint64_t us = ns / 1000;
    if (rest >= 1000) {
        atomic_fetch_sub(&clock->rest_ns, 1000);
        us++;
    }
    atomic_fetch_add(&clock->wall_us, (int64_t)us);
}

void sim_clock_jump_wall(struct sim_clock *clock, int64_t us)
{
    atomic_fetch_add(&clock->wall_us, us);
}
