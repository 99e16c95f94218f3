/* What a cluster's tables may hold: every write that clients made, with what became of it, and the
 * judgement of reads.
 *
 * Independent of the code under test: no merge, no placement of tokens; a cell's possible values
 * are found by looking at all writes. Times are the model's own ticks, one for every beginning and
 * end, so that "before" means before.
 *
 * A table is partitions 0 … partition_count-1 of rows 0 … row_count-1; a partition has one static
 * cell, a row its liveness and cells a and b. Each of them is an atom, and judged alone. */
#ifndef TESTS_SIM_CLUSTER_MODEL_H
#define TESTS_SIM_CLUSTER_MODEL_H

#include "tests/sim/cluster_world.h"

#define CM_DCS_MAX 3
#define CM_ROWS_MAX 6
#define CM_PARTITIONS_MAX 8
#define CM_ATOMS_MAX (1 + 3 * CM_ROWS_MAX)
#define CM_STATIC 0u
static inline unsigned cm_atom(unsigned row, unsigned which)
{
    return 1 + 3 * row + which;
} /* which: liveness, a, b */

/* column ids */
enum { CM_COLUMN_KEY = 1, CM_COLUMN_ROW, CM_COLUMN_STATIC, CM_COLUMN_A, CM_COLUMN_B };
#define CM_COLUMNS "p k bigint; c c int; s st blob; r a blob; r b blob"
#define CM_COLUMNS_DESC "p k bigint; d c int; s st blob; r a blob; r b blob"

/* How many replicas took part, in all and by data centre. */
struct cm_strength {
    unsigned total, by_dc[CM_DCS_MAX];
};
struct cm_replication {
    bool per_dc;
    unsigned rf[CM_DCS_MAX]; /* not per_dc: rf[0] */
    /* how many there can be: not more than members. Not per_dc: owners[0] */
    unsigned owners[CM_DCS_MAX];
    unsigned dc_count;
};
struct cm_strength cm_strength_of(const struct cm_replication *r, int consistency,
                                  unsigned local_dc);
/* Does every such read meet every such write? */
bool cm_meet(const struct cm_replication *r, const struct cm_strength *a,
             const struct cm_strength *b);

enum cm_outcome { CM_PENDING, CM_ACKED, CM_UNKNOWN, CM_REFUSED };

struct cm_op { /* one request: one or more mutations */
    struct cm_op *next;
    uint64_t number, begin, end; /* ticks; end 0: not over */
    enum cm_outcome outcome;
    struct cm_strength strength;
    bool logged; /* all of it or nothing, in the end */
    bool if_absent;
    const char *what;
    int rc; /* how it ended */
};
enum cm_kind { CM_ROW, CM_STATIC_ROW, CM_DELETE_PARTITION, CM_DELETE_ROWS, CM_DELETE_CELL };
struct cm_write {
    struct cm_write *next; /* of its partition */
    struct cm_op *op;
    enum cm_kind kind;
    int64_t ts;
    unsigned row_lo, row_hi; /* both included */
    bool liveness;
    /* ROW: a, b; 0: not written. STATIC: [0]. DELETE_CELL: not 0 where it is deleted */
    uint64_t value[2];
    int32_t ttl; /* 0: none */
    int64_t expires_s;
};
struct cm_seen { /* a read has seen this: what came after must too */
    struct cm_seen *next;
    const struct cm_write *write;
    uint64_t tick;
    struct cm_strength strength;
};
struct cm_partition {
    struct cm_write *writes;
    struct cm_seen *seen[CM_ATOMS_MAX];
};
struct cm_table {
    struct cm_table *next;
    struct base_uuid id;
    char keyspace[16], name[16];
    struct cm_replication replication;
    unsigned partition_count, row_count;
    bool descending;
    struct cm_partition partitions[CM_PARTITIONS_MAX];
    struct cm_op *truncations[16]; /* asked for, with their times */
    int64_t truncation_us[16];
    size_t truncation_count;
};
struct cm_model {
    struct cm_table *tables;
    struct cm_op *ops;
    /* then a read may have seen what was never synced, and a power loss take it back (lsm/lsm.h
     * says so) */
    bool syncs_fail;
    /* the latest that any wall clock has shown: what has expired there may be a tombstone
     * everywhere */
    int64_t latest_s;
    uint64_t tick, op_count, acked, unknown, refused, atoms_checked, reads_checked, seen_values;
};
void cm_init(struct cm_model *m);
void cm_fini(struct cm_model *m);
void cm_see_clocks(struct cm_model *m, const struct cluster_world *w);
struct cm_table *cm_table_add(struct cm_model *m, struct base_uuid id);
struct cm_table *cm_table_find(const struct cm_model *m, struct base_uuid id);
struct cm_op *cm_begin(struct cm_model *m, const char *what);
void cm_end(struct cm_model *m, struct cm_op *op, enum cm_outcome outcome, int rc);
struct cm_write *cm_add(struct cm_table *t, unsigned partition, struct cm_op *op, enum cm_kind kind,
                        int64_t ts);

/* Reads. */

struct cm_observed {
    bool covered; /* the read says something of it */
    bool present;
    int64_t ts;
    uint64_t value; /* liveness: 0 */
    int32_t ttl;
};
struct cm_read {
    uint64_t begin; /* tick */
    struct cm_strength strength;
    int64_t now_s;
    int64_t truncated_us; /* of the snapshot that it was made with */
    /* not a read: one replica's store; nothing is concluded from it for later reads */
    bool look;
};
struct cm_view { /* of one partition */
    struct cm_observed atoms[CM_ATOMS_MAX];
};
/* Judge what a read has seen of a partition. False: `complaint` says what is wrong. */
bool cm_check(struct cm_model *m, struct cm_table *t, unsigned partition,
              const struct cm_read *read, const struct cm_view *view, char complaint[512]);
/* Must such a read see this value of the atom: because it met a write of it, and nothing that may
 * have happened stands above that? */
bool cm_must_show(const struct cm_model *m, const struct cm_table *t, unsigned partition,
                  unsigned atom, const struct cm_read *read, uint64_t value);
/* After everything: is each logged operation there as a whole, or not at all? views: of all tables'
 * partitions, at the end. */
struct cm_final {
    const struct cm_table *table;
    struct cm_view views[CM_PARTITIONS_MAX];
};
bool cm_check_whole(const struct cm_model *m, const struct cm_final *finals, size_t count,
                    char complaint[512]);

#endif
