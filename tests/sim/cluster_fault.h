/* What goes wrong in a simulated cluster, by the dice; and how it is all mended at the end.
 * tests/sim/README.md, the fault model. */
#ifndef TESTS_SIM_CLUSTER_FAULT_H
#define TESTS_SIM_CLUSTER_FAULT_H

#include "tests/sim/cluster_load.h"

/* clang-format off */
#define CF_FAULTS(X) \
    X(kill) X(power) X(pause) X(partition) X(isolate) X(one_way) X(slow_link) X(clock_jump) \
    X(disk_error) X(full_disk) X(slow_disk) X(catalog_error) X(restart_stopped)
/* clang-format on */
enum cf_kind {
#define X(name) CF_##name,
    CF_FAULTS(X)
#undef X
        CF_KINDS
};

struct cf_options {
    bool allowed[CF_KINDS];
    uint64_t every_max_ns; /* from one fault to the next */
    uint64_t lasts_max_ns;
    unsigned down_max; /* nodes that are down or paused at one time */
    uint64_t jump_max_us;
    /* of new entries of the log: who has it first is killed, and another, which comes back at
     * once */
    unsigned at_entry_percent;
    unsigned at_batch_percent; /* of logged batches: its coordinator is killed in the middle */
};
struct cf_faults;
struct cf_node {
    struct cf_faults *faults;
    struct cluster_event event; /* it comes back: from being down or paused */
    struct cluster_event disk;  /* its disk is whole again */
};
struct cf_faults {
    struct cluster_world *w;
    struct cl_load *load;
    struct cf_options options;
    struct cluster_event event, links, strike;
    size_t struck;   /* whom the strike is for */
    bool strike_two; /* and somebody else */
    struct cf_node *nodes;
    uint64_t counts[CF_KINDS];
};

/* power: the store is in a mode that promises to survive it. */
void cf_options_draw(struct cf_options *o, struct rng *rng, const struct cluster_options *world);
void cf_options_print(const struct cf_options *o, FILE *out);
bool cf_any(const struct cf_options *o);
/* Does a process ever end, or a disk refuse (what a node had to tell another later may be lost
 * then)? */
bool cf_loses_duties(const struct cf_options *o);
void cf_begin(struct cf_faults *f, struct cluster_world *w, struct cl_load *load,
              const struct cf_options *options);
/* Everything is mended: links, disks, paused and dead nodes; nothing goes wrong any more. */
void cf_heal(struct cf_faults *f);
void cf_fini(struct cf_faults *f);

#endif
