/* The ports to time and chance. Monotonic and wall time are different types. Thread-safe. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

struct base_mono_ns {
    uint64_t ns;
}; /* since an unknown start; never goes back */
struct base_wall_us {
    int64_t us;
}; /* since 1970-01-01 UTC; may jump */

struct base_clock {
    const struct base_clock_ops *ops;
};
struct base_clock_ops {
    struct base_mono_ns (*mono)(struct base_clock *clock);
    struct base_wall_us (*wall)(struct base_clock *clock);
};
static inline struct base_mono_ns base_clock_mono(struct base_clock *c)
{
    return c->ops->mono(c);
}
static inline struct base_wall_us base_clock_wall(struct base_clock *c)
{
    return c->ops->wall(c);
}
static inline int64_t base_clock_wall_s(struct base_clock *c)
{
    int64_t us = c->ops->wall(c).us;
    return us >= 0 ? us / 1000000 : -((-us + 999999) / 1000000);
}

struct base_random {
    const struct base_random_ops *ops;
};
struct base_random_ops {
    /* cryptographic in the real filling */
    void (*fill)(struct base_random *random, void *buf, unsigned len);
};
static inline uint64_t base_random_u64(struct base_random *r)
{
    uint64_t v;
    r->ops->fill(r, &v, sizeof v);
    return v;
}

#endif
