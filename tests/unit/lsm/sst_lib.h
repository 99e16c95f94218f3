/* A naive model of a table's data and of reading it, for comparison with SSTables: everything in
 * arrays, every read a walk over all of it. */
#ifndef TESTS_UNIT_LSM_SST_LIB_H
#define TESTS_UNIT_LSM_SST_LIB_H

#include "lsm/sstable.h"
#include "tests/lib/ck.h"
#include "tests/lib/rng.h"

struct model_partition {
    struct base_slice pkey, static_row;
    struct base_deletion deletion;
    struct base_item *items;
    size_t item_count;
};
struct model {
    struct base_arena arena;
    struct model_partition *partitions;
    size_t count;
};
struct model_shape {
    size_t partitions, items_max; /* of a partition */
    size_t value_max;
    unsigned marker_percent, static_percent, deletion_percent;
    bool wide_first;    /* the first partition gets items_max items, whatever was drawn */
    uint8_t components; /* of a clustering key: 0, 1 or 2 */
    /* partition keys are drawn from so many (0: from all), so that tables overlap */
    uint16_t key_space;
};
void model_make(struct model *m, struct rng *rng, const struct model_shape *shape);
void model_free(struct model *m);

/* What a read of the model must yield, as text; and what a source yields. */
void model_read(const struct model *m, const struct base_read *cmd, struct base_buf *out);
/* Returns the error's code; what was read before it is in out. */
int source_dump(struct base_source *src, struct base_buf *out, struct base_err *err);

/* Random slices: sorted, not overlapping; their bounds live in the arena. */
struct base_slices random_slices(struct rng *rng, struct base_arena *arena,
                                 const struct model_partition *near);

struct lsmi_sst_params test_params(struct base_fs *fs, const char *path);
/* Write the model; info may be NULL. */
void model_write(const struct model *m, const struct lsmi_sst_params *params,
                 struct lsm_sstable_info *info);

extern const struct base_slices slices_whole;

#endif
