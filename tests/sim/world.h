/* A store in a simulated world, and the model beside it. Everything a torture test does to the
 * store goes through here: writes reach store and model together, crashes take both back to what
 * survived, reads are compared.
 *
 * How a test knows what survived a power loss: every group also writes its number into one row
 * of the first table. After a crash that row says n; then exactly the groups 1 … n must be
 * there, whole. */
#ifndef TESTS_SIM_WORLD_H
#define TESTS_SIM_WORLD_H

#include "lsm/lsm.h"
#include "tests/lib/sim_executor.h"
#include "tests/lib/sim_fs.h"
#include "tests/lib/sim_random.h"
#include "tests/sim/gen.h"
#include "tests/sim/model.h"

#define WORLD_TABLES_MAX 4
#define WORLD_DIR "data/store"

struct world_table {
    struct lsm_table *handle;
    struct lsm_table_desc desc;
    char name[32];
    struct base_dropped_column dropped[16];
    struct gen_times times;
    struct m_table *model;
};

struct world_options {
    uint64_t seed;
    enum canary canary;
    size_t table_count; /* beside the journal's */
    struct gen_options gen;
    struct lsm_options lsm; /* ports are filled in by world_new */
    struct lsm_table_desc desc[WORLD_TABLES_MAX];
    unsigned steps_percent; /* of operations that let background work go on */
};
/* Everything from the seed. */
void world_options_draw(struct world_options *o, uint64_t seed);
void world_options_print(const struct world_options *o, FILE *out);

struct world {
    struct world_options options;
    struct rng rng;
    struct sim_fs *fs;
    struct sim_clock clock;
    struct sim_random random;
    struct sim_executor executor;
    struct trace trace;
    bool traced;
    struct gen gen;
    struct model *model;
    struct lsm_store *store; /* NULL: closed */
    /* 0: the journal; then table_count; handle NULL: dropped */
    struct world_table tables[WORLD_TABLES_MAX];
    /* written with LSM_DURABLE_MEMORY only; a model, numbers and a journal row of its own */
    struct world_table memory;
    struct model *memory_model;
    uint64_t memory_seq, memory_kept; /* groups up to memory_kept are flushed */
    uint64_t table_ids;               /* made so far */
    uint64_t seq;                     /* of the last acknowledged group */
    uint64_t synced_seq;              /* groups up to here must survive a power loss */
    struct base_buf group;
    struct w_mutation mutations[8]; /* of the last group; in the gen's arena */
    size_t mutation_count;
    /* the last group was not acknowledged, but may be there after a crash … */
    bool maybe;
    bool maybe_visible; /* … and readers see it (a failed sync); the model has it then */
    /* whether they do could not be read: compare nothing until the restart */
    bool unsure;
    bool faulty; /* faults are set: calls may fail, readers may end with an error */
    enum world_end { WORLD_CLOSED, WORLD_KILLED, WORLD_POWER_LOST } ended;
    struct view view;
    struct base_buf scratch;
    struct base_source *reuse;
    uint64_t op; /* for messages */
    struct base_err err;
};

/* The world, with the store not open yet. */
void world_init(struct world *w, const struct world_options *options, FILE *trace_out);
void world_fini(struct world *w);

/* Print what, the seed and the operation, and end with status 1. */
_Noreturn void world_fail(struct world *w, const char *what, ...) BASE_PRINTF(2, 3);
/* The call must succeed. */
#define WORLD_OK(w, expr)                                                                          \
    do {                                                                                           \
        base_err_clear(&(w)->err);                                                                 \
        int rc_ = (expr);                                                                          \
        if (rc_ != BASE_OK)                                                                        \
            world_fail((w), "%s: %s: %s", #expr, base_err_words(rc_), (w)->err.text);              \
    } while (0)

/* Open, declare tables, replay, find out what survived, take the model there. The errors are the
 * store's. */
BASE_MUST int world_open(struct world *w, struct base_err *err);
BASE_MUST int world_close(struct world *w, uint64_t flush_over_bytes, struct base_err *err);
/* Kill the process, or cut the power (it may be off already: then what was written stays, or
 * not, as said here); the store is closed afterwards. */
void world_crash(struct world *w, bool power);
/* world_open, and everything must be right: for a world without faults. */
void world_reopen(struct world *w);

/* Write one group of up to `n` random mutations (1 … 6) with the journal's; on success the model
 * has them, on a refusal not, on an unknown outcome world_open finds out. */
BASE_MUST int world_write(struct world *w, size_t n, enum lsm_durability durability,
                          struct base_err *err);
/* One group to the table that is not logged. */
BASE_MUST int world_write_memory(struct world *w, size_t n, struct base_err *err);
/* Flush all; what is in memory only is safe then. */
BASE_MUST int world_flush_all(struct world *w, struct base_err *err);
BASE_MUST int world_sync(struct world *w, struct base_err *err);
/* Read all of every table, forward with live rows, and through the tombstones; compare. */
void world_check_all(struct world *w);
void world_advance(struct world *w, uint64_t ns);
/* Forget generated commands and mutations (but not those of a group whose outcome is open). */
void world_forget(struct world *w);
int64_t world_now_s(struct world *w);
struct world_table *world_random_table(struct world *w); /* not the journal; may be NULL */
void world_table_create(struct world *w, size_t slot);
void world_table_drop(struct world *w, size_t slot);

/* A reader: a stream and what it must yield, fixed when it was opened. */
struct reader {
    struct base_source *source;
    struct base_read cmd;
    struct base_arena arena; /* the command's bytes */
    struct view expected;
    size_t at;
    struct base_slice pkey; /* of the current partition, copied */
    struct base_buf pkey_buf;
    bool in_partition, failed; /* failed: only in a faulty world */
    const char *complaint;
    struct base_dropped_column dropped[16]; /* when it was opened */
    size_t dropped_count;
    const char *what;
};
enum reader_flag { READER_TOMBSTONES = 1, READER_REUSE = 2 };
/* extra (may be NULL) is taken over. The expected answer is the model's now. */
void reader_open(struct world *w, struct reader *r, struct world_table *t,
                 const struct base_read *cmd, struct base_source *extra, int flags,
                 const char *what);
/* The same in two steps, for a stream that is not a store's: begin, then give the raw stream
 * (tombstones kept). */
void reader_begin(struct world *w, struct reader *r, struct world_table *t,
                  const struct base_read *cmd, const char *what);
void reader_feed_raw(struct world *w, struct reader *r, struct base_source *const *sources,
                     size_t n);
/* Read and compare up to n rows; false at the end. */
bool reader_step(struct world *w, struct reader *r, size_t n);
void reader_close(struct world *w, struct reader *r, bool park);

/* A source that passes through another and checks what base/stream.h promises; *complaint
 * becomes non-NULL when the promise is broken. Takes the source over. */
struct base_source *checked_source_new(struct base_source *inner, bool reversed,
                                       const char **complaint);

/* What store_model and merge_model are told: --seed --ops --runs --canary --trace. False: nonsense.
 * The defaults are the caller's. */
struct world_args {
    uint64_t seed, ops, runs;
    unsigned canary;
    FILE *trace;
    bool chosen; /* a seed was given: only that, and what follows it */
};
bool world_args_get(int argc, char **argv, struct world_args *args);

#endif
