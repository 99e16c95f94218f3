/* A table with every kind of index in a store on a simulated disk; random rows, random queries, and
 * the scan that judges them: what base_rows gives of a command must be the same by index and
 * without, row by row. */
#ifndef TESTS_UNIT_LSM_INDEX_LIB_H
#define TESTS_UNIT_LSM_INDEX_LIB_H

#include "base/key.h"
#include "tests/lib/ck.h"
#include "tests/lib/make_table.h"
#include "tests/lib/rng.h"
#include "tests/unit/lsm/store_lib.h"

enum ix_column { K = 1, K2, C, ST, A, B, M, SET, L, F };
enum { IX_INDEXES = 11 };
/* Their places in the mask: */
enum { IX_K2 = 1, IX_C = 1 << 1, IX_ST = 1 << 2, IX_A = 1 << 3, IX_B = 1 << 4 };

struct ix_world {
    struct store_world s;
    struct base_arena arena;
    struct rng rng;
    struct lsm_table *place;
    struct base_table *table;
    struct base_index indexes[IX_INDEXES];
    uint32_t index_mask;             /* which of all indexes the table has */
    uint32_t generation[IX_INDEXES]; /* an index that is made again has another id */
    int64_t ts;
    uint64_t raw_indexed, raw_scanned, queries; /* rows that the store gave */
};

uint32_t ix_below(struct ix_world *w, uint32_t n);
void ix_world_init(struct ix_world *w, uint64_t seed);
void ix_world_fini(struct ix_world *w);
int64_t ix_now_s(struct ix_world *w);

/* The store. */

struct lsm_table_desc ix_desc_of(struct ix_world *w, struct base_indexer **indexer);
void ix_store_open(struct ix_world *w);
void ix_alter(struct ix_world *w, uint32_t mask);
void ix_store_close(struct ix_world *w);
void ix_store_die(struct ix_world *w, bool power);

/* Writes. */

struct base_slice ix_int_slice(struct ix_world *w, int32_t v); /* in the world's arena */
void ix_pkey_of(struct ix_world *w, int32_t k, int32_t k2, struct base_buf *out);
void ix_ckey_of(struct ix_world *w, int32_t c, enum base_key_byte position, struct base_buf *out);
void ix_apply(struct ix_world *w, struct base_slice pkey, struct base_deletion deletion,
              struct base_slice static_row, const struct base_range_deletion *range,
              struct base_slice ckey, struct base_slice row);
/* A row in partition (k, 1) whose column A has the value. */
void ix_write_a(struct ix_world *w, int32_t k, int32_t c, int32_t a);
void ix_write_random(struct ix_world *w);
/* So many of these, and a flush. */
void ix_fill(struct ix_world *w, int rows);

/* Queries. */

struct base_filter ix_random_filter(struct ix_world *w);
/* A = v, of everything; the filter is set for it. */
struct base_read ix_read_a(struct ix_world *w, struct base_filter *filter, int32_t v);
/* All rows of the command, one after the other, as bytes. store_cmd is what the store is asked. */
int ix_collect(struct ix_world *w, const struct base_read *cmd, const struct base_read *store_cmd,
               uint64_t *raw, struct base_buf *out);
void ix_check_query(struct ix_world *w, const struct base_read *cmd);
void ix_query_random(struct ix_world *w);

struct lsm_index_stats ix_stats_of(struct ix_world *w, size_t at);

#endif
