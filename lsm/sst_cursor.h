/* A cursor over an SSTable's blocks: down the index to a key, on to the next or previous data
 * block, with the cache and reading ahead. Streams stand on it (sst_source.c). */
#ifndef LSM_SST_CURSOR_H
#define LSM_SST_CURSOR_H

#include "lsm/sst_private.h"

struct lsmi_sst_step {
    struct lsmi_block *block; /* pinned; the root is the table's own */
    uint32_t at;              /* which child we went down to */
};

enum lsmi_sst_state { LSMI_SST_START, LSMI_SST_PARTITION, LSMI_SST_END };
enum lsmi_slice_phase { LSMI_SLICE_ENTER, LSMI_SLICE_ROWS, LSMI_SLICE_LEAVE, LSMI_SLICE_NONE };

struct lsmi_sst_cursor {
    struct lsm_sstable *sst;
    bool scan;    /* leave the cache alone, read ahead from the start */
    uint32_t run; /* data blocks taken one after the other since the last seek */

    /* blocks: sst_cursor.c */
    struct lsmi_sst_step path[LSMI_LEVELS_MAX]; /* [0]: the leaf; [levels - 1]: the root */
    struct lsmi_block *data;                    /* pinned, or NULL */
    struct lsmi_block *spare;                   /* memory of a block left behind, or NULL */
    uint8_t *window;                            /* bytes as read from the file */
    size_t window_cap, window_len;
    uint64_t window_at;
    struct base_buf target; /* the key sought */

    /* the stream: sst_source.c */
    const struct base_read *cmd;
    int failed; /* the error that ended the stream */
    enum lsmi_sst_state state;
    uint32_t part;                    /* the partition, in `data` */
    struct lsmi_block_partition head; /* its part in `data` */
    struct base_buf pkey;
    struct lsmi_block *static_block; /* holds the partition's static row; pinned */
    size_t slice;                    /* index into the command's slices */
    enum lsmi_slice_phase phase;
    bool sought; /* `data` is where the index leads for this slice's first bound */
    /* forward: the next row, and one past the slice's last here; reversed: one past the next, and
     * the last */
    uint32_t row, stop;
    struct base_deletion open; /* range deletion at `row` */
    size_t prefix_len;         /* of ckey: the prefix that is there already */
    uint8_t *ckey;             /* LSMI_CKEY_ROOM */
    struct base_buf bound;     /* ckey of a marker made at a slice's bound */
};

BASE_MUST int lsmi_cursor_new(struct lsmi_sst_cursor **out);
void lsmi_cursor_free(struct lsmi_sst_cursor *c);
/* Take a reference to sst and stand nowhere. */
void lsmi_cursor_attach(struct lsmi_sst_cursor *c, struct lsm_sstable *sst, bool scan);
/* Drop pins and reference; memory stays, but large windows. */
void lsmi_cursor_detach(struct lsmi_sst_cursor *c);

/* c->target := pkey + ckey (+ 0xff when `past`: after everything that begins so). */
BASE_MUST int lsmi_cursor_target(struct lsmi_sst_cursor *c, struct base_slice pkey,
                                 struct base_slice ckey, bool past);
/* To the data block that c->target belongs to: the last that begins at or before it. The table is
 * not empty. */
BASE_MUST int lsmi_cursor_seek(struct lsmi_sst_cursor *c, struct base_err *err);
/* To the next (+1) or previous (-1) data block; *moved false when there is none (the cursor
 * stays). */
BASE_MUST int lsmi_cursor_move(struct lsmi_sst_cursor *c, int direction, bool *moved,
                               struct base_err *err);
/* May the next (+1) block hold keys <= c->target, or the previous (-1) keys >= it? False: surely
 * not. */
bool lsmi_cursor_neighbour_may_hold(const struct lsmi_sst_cursor *c, int direction);
/* A data block anywhere, pinned, the cursor staying where it is. */
BASE_MUST int lsmi_cursor_fetch_other(struct lsmi_sst_cursor *c, uint64_t offset, uint32_t len,
                                      struct lsmi_block **out, struct base_err *err);

#endif
