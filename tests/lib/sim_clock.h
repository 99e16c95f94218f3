/* Time that moves only when told. Fills base/clock.h; usable from several threads. */
#ifndef TESTS_SIM_CLOCK_H
#define TESTS_SIM_CLOCK_H

#include <stdatomic.h>

#include "base/clock.h"
#include "tests/lib/trace.h"

struct sim_clock {
    struct base_clock base;
    _Atomic uint64_t mono_ns;
    _Atomic int64_t wall_us;
    _Atomic uint64_t rest_ns; /* of a microsecond, not yet on the wall clock */
    struct trace *trace;      /* may be NULL */
};

/* Starts at mono 1 s and the given wall time (0: 2026-01-01). */
void sim_clock_init(struct sim_clock *clock, int64_t wall_us);
/* Both clocks go forward. */
void sim_clock_advance(struct sim_clock *clock, uint64_t ns);
/* Only the wall clock jumps: back too, as an administrator or NTP may make it. */
void sim_clock_jump_wall(struct sim_clock *clock, int64_t us);

#endif
