/* The clock port over clock_gettime: no system call, the vDSO answers. */
#include <time.h>

#include "node/client.h"
#include "node/ports.h"

static struct base_mono_ns real_mono(struct base_clock *clock)
{
    (void)clock;
    struct timespec ts;
    int rc = clock_gettime(CLOCK_MONOTONIC, &ts);
    BASE_ASSERT(rc == 0);
    return (struct base_mono_ns){(uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec};
}

static struct base_wall_us real_wall(struct base_clock *clock)
{
    (void)clock;
    struct timespec ts;
    int rc = clock_gettime(CLOCK_REALTIME, &ts);
    BASE_ASSERT(rc == 0);
    return (struct base_wall_us){(int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000};
}

static const struct base_clock_ops real_clock_ops = {.mono = real_mono, .wall = real_wall};

struct base_clock *node_real_clock(void)
{
    static struct base_clock clock = {.ops = &real_clock_ops}; /* never written */
    return &clock;
}

int64_t node_wall_us(void)
{
    return real_wall(NULL).us;
}
