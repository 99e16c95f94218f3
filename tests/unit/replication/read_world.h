/* For tests of coordinated reads: a few nodes with a store in memory each (read_lib.h), nothing
 * between them but what the test's script does to messages. Nobody gossips: who is alive is set by
 * hand. Time moves to the next thing that is due. */
#ifndef TESTS_UNIT_REPLICATION_READ_WORLD_H
#define TESTS_UNIT_REPLICATION_READ_WORLD_H

#include "replication/replication.h"
#include "tests/lib/sim_clock.h"
#include "tests/lib/sim_random.h"
#include "tests/unit/replication/read_lib.h"

#define RW_NODES_MAX 6

struct rw_world;
struct rw_event;

struct rw_node {
    struct rw_world *world;
    size_t index;
    struct repl *repl;
    struct lib_store store;
    struct repl_alarm alarm;
    struct repl_transport transport;
    struct repl_store store_port;
    struct repl_meta meta_port;
    struct sim_random random;
    uint64_t alarm_at_ns;
    /* the script */
    bool refuses;        /* messages to it are undelivered */
    bool silent;         /* … are swallowed */
    bool repairs_silent; /* … repairs are */
    bool corrupt;        /* its replies' bodies are changed */
    int write_rc;        /* its store's writes fail with this */
    int count_rc;        /* its counts fail with this */
    int store_rc;        /* its store's reads fail with this */
    uint64_t delay_ns;   /* of its replies, over 1 ms */
    uint64_t counts[4];  /* what its indexes find for a command's conditions; 0: by chance */
    /* what happened to it */
    unsigned reads, digests, repairs, store_reads, filtered_reads, places_reads, count_ops;
    size_t filters_seen; /* of the last filtered read */
    uint32_t filter_first;
};

struct rw_world {
    struct rng rng;
    struct sim_clock clock;
    struct rw_node nodes[RW_NODES_MAX];
    size_t count;
    struct base_arena arena;
    struct base_schema *schema;
    struct ring_state *ring;
    const struct base_table *table;
    struct rw_event *events;
    uint64_t seq;
    unsigned in_flight, in_flight_max; /* READs at nodes and their replies */
    /* may be NULL: the world's own work begins (true), or ends; it must not run out of memory */
    void (*outside)(bool outside);
    void (*between_pages)(void); /* rw_read's; may be NULL */
    unsigned pending_percent;    /* of store operations that are not answered at once */
};

struct rw_options {
    size_t nodes;
    unsigned rf, tokens;
    const char *speculative_retry, *read_repair; /* NULL: the table's defaults */
    uint64_t page_size_bytes;                    /* 0: the default */
    bool indexed;                                /* the table has indexes on c, s, a and b */
    /* 2: nodes take turns; SimpleStrategy all the same. 0 as 1 */
    unsigned dcs;
};
void rw_init(struct rw_world *w, const struct rw_options *options, uint64_t seed);
void rw_fini(struct rw_world *w);
void rw_alive(struct rw_world *w, size_t node, bool alive); /* as all others see it */
/* The node has applied one more entry of the log: the table is truncated. The others have not. */
void rw_truncate(struct rw_world *w, size_t node, int64_t time_us);
/* Is it one of the partition's replicas? */
bool rw_is_replica(struct rw_world *w, size_t node, struct base_slice pkey);
/* The next thing that is due; false: there is none. */
bool rw_step(struct rw_world *w);
/* Everything due, until *stop (may be NULL) or nothing is left. */
void rw_run(struct rw_world *w, const bool *stop);
/* A mutation into the stores of these replicas (a bit a node). */
void rw_put(struct rw_world *w, unsigned nodes, struct base_slice mutation);
/* … one row, as row_parse takes it. */
void rw_put_row(struct rw_world *w, unsigned nodes, uint32_t p, uint32_t k, const char *text);

/* A read, to its end or failure, and the live rows that its pages say, as text: one row a line. */
struct rw_result {
    struct base_buf text;        /* NUL-terminated */
    struct repl_outcome outcome; /* of the last page */
    unsigned pages, empty_pages;
    uint64_t rows;
};
void rw_read(struct rw_world *w, size_t node, const struct base_read *cmd, int consistency,
             uint64_t page_rows_max, struct rw_result *out);
void rw_result_fini(struct rw_result *result);
/* It says these rows; it failed so, with `part` in its words. The result is freed. */
void rw_expect_text(struct rw_result *result, const char *text);
void rw_expect_failure(struct rw_result *result, int rc, const char *part);
/* What a store that has all of these nodes' content says. */
void rw_expect(struct rw_world *w, unsigned nodes, const struct base_read *cmd,
               struct base_buf *text);

/* A read of all of partition p, or with LIB_PARTITIONS of all partitions. */
struct base_read rw_command(const struct rw_world *w, uint32_t p);

unsigned rw_replicas_of(struct rw_world *w, struct base_slice pkey); /* a bit a node */

#endif
