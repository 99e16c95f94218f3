/* Blocks: the unit an SSTable is read in. Built in memory, framed and perhaps compressed on disk,
 * and in memory again as decompressed bytes that are searched where they lie. Format:
 * docs/formats/sstable.md.
 *
 * All keys of a block share a prefix that is stored once. Of what follows, the first four bytes
 * stand apart from the rest, as big-endian numbers in one dense array (the heads): a binary search
 * reads a few neighbouring cache lines and one record, instead of a record a probe. */
#ifndef LSM_SST_BLOCK_H
#define LSM_SST_BLOCK_H

#include <stdatomic.h>

#include "base/key.h"
#include "base/stream.h"

/* Sorted keys after a common prefix. */
struct lsmi_keys {
    const uint8_t *heads; /* be32 each: the first four bytes after the prefix, zero-padded */
    /* of their records from the block's start, u16 or u32; count + 1 of them */
    const uint8_t *offsets;
    uint32_t count;
};

enum lsmi_block_kind { LSMI_BLOCK_DATA = 1, LSMI_BLOCK_INDEX = 2 };

/* A block in memory: immutable once parsed, freed with its last reference. */
struct lsmi_block {
    _Atomic uint32_t refs;
    uint32_t size;
    uint64_t file, offset; /* identity; offset is also where the frame lies in the file */
    bool cached;           /* the cache's, under its shard's lock */
    /* Set by lsmi_block_parse: */
    bool wide; /* offsets are u32 */
    uint8_t flags;
    uint32_t level;        /* index blocks: 1 is the level above the data */
    struct lsmi_keys keys; /* data: partitions (their pkeys); index: separators */
    /* data: rows and markers of all partitions; prefixes are the partitions' own */
    struct lsmi_keys rows;
    struct base_slice prefix;
    const uint8_t *child_ends; /* index: le32 each, from child_base */
    uint64_t child_base;
    uint32_t frame_len;
    uint32_t capacity; /* of bytes: size or more */
    uint8_t bytes[];
};

/* one reference, bytes unset; NULL when out of memory */
struct lsmi_block *lsmi_block_new(uint32_t size);
/* The same in the memory of `spare` if that is large enough; else spare (may be NULL) is freed. */
struct lsmi_block *lsmi_block_renew(struct lsmi_block *spare, uint32_t size);
/* Does the caller hold the only reference? Then it may be renewed. */
static inline bool lsmi_block_is_sole(struct lsmi_block *b)
{
    return atomic_load_explicit(&b->refs, memory_order_acquire) == 1;
}
static inline void lsmi_block_pin(struct lsmi_block *b)
{
    atomic_fetch_add_explicit(&b->refs, 1, memory_order_relaxed);
}
void lsmi_block_unpin(struct lsmi_block *b); /* NULL is fine */
static inline size_t lsmi_block_cost(const struct lsmi_block *b)
{
    return sizeof *b + b->capacity + 48; /* malloc's and the cache's own */
}

/* Check that every offset, length and record of the bytes is in bounds and set the view. After
 * true, the functions below need no checks. Order is not looked at: the checksum speaks for it, and
 * lsm_sstable_verify proves it. */
BASE_MUST bool lsmi_block_parse(struct lsmi_block *b);
/* Are the heads of short suffixes padded with zeros? Searches rely on it, memory safety does not:
 * verification asks. */
bool lsmi_block_heads_padded(const struct lsmi_block *b);

/* A partition's part in one block. */
struct lsmi_block_partition {
    struct base_slice pkey;        /* building only; reading: lsmi_block_pkey */
    uint32_t row_begin, row_end;   /* reading: its rows in this block */
    struct base_slice ckey_prefix; /* reading: of those rows */
    bool continued;                /* it began in an earlier block */
    bool has_markers;              /* reading: some of those rows are markers */
    bool static_elsewhere;         /* continued, and its first block (below) has a static row */
    struct base_slice static_row;  /* not continued */
    struct base_deletion deletion; /* of the partition */
    struct base_deletion open;     /* continued: range deletion open before the first row here */
    uint64_t first_offset;         /* static_elsewhere: frame of the first block */
    uint32_t first_len;
};

/* Does the last partition go on in the next block? */
bool lsmi_block_continues(const struct lsmi_block *b);
/* The first partition >= pkey; count when none. */
uint32_t lsmi_block_find_partition(const struct lsmi_block *b, struct base_slice pkey, bool *equal);
void lsmi_block_get_partition(const struct lsmi_block *b, uint32_t i,
                              struct lsmi_block_partition *out);
/* Put the whole pkey into buf (replacing what was there). */
BASE_MUST int lsmi_block_pkey(const struct lsmi_block *b, uint32_t i, struct base_buf *buf);
/* Among the partition's rows, the first >= ckey (past: the first > ckey); row_end when none. */
uint32_t lsmi_block_find_row(const struct lsmi_block *b, const struct lsmi_block_partition *p,
                             struct base_slice ckey, bool past);
bool lsmi_block_is_marker(const struct lsmi_block *b, uint32_t row);
void lsmi_block_marker(const struct lsmi_block *b, uint32_t row, struct base_deletion *before,
                       struct base_deletion *after);
/* Row i as an item. The ckey is made in `ckey`, which begins with the partition's ckey_prefix
 * already and has LSMI_CKEY_ROOM bytes: only the suffix is copied. */
#define LSMI_CKEY_ROOM (BASE_CKEY_LEN_MAX + 8)
void lsmi_block_item(const struct lsmi_block *b, uint32_t row, uint8_t *ckey, size_t prefix_len,
                     struct base_item *out);

/* Index: the last child whose separator is <= key (0 when all are greater). */
uint32_t lsmi_index_find(const struct lsmi_block *b, struct base_slice key);
void lsmi_index_child(const struct lsmi_block *b, uint32_t i, uint64_t *offset,
                      uint32_t *frame_len);
/* separator i compared with key: <0, 0, >0 */
int lsmi_index_compare(const struct lsmi_block *b, uint32_t i, struct base_slice key);

/* Building. */

struct lsmi_builder_row {
    uint32_t key_at, key_len, payload_at, payload_len;
    bool marker;
};
struct lsmi_builder_partition {
    uint32_t key_at, key_len, static_at, static_len;
    uint32_t row_begin, prefix_len;
    struct lsmi_block_partition head; /* slices unset */
};
struct lsmi_block_builder {
    struct base_buf bytes; /* whole keys and payloads, as they came */
    struct lsmi_builder_row *rows;
    struct lsmi_builder_partition *partitions;
    size_t row_count, row_cap, partition_count, partition_cap;
    size_t payload_bytes; /* everything but rows' keys */
    size_t key_bytes;     /* rows' keys, prefixes taken off: what the finished block will hold */
};
void lsmi_builder_init(struct lsmi_block_builder *b);
void lsmi_builder_fini(struct lsmi_block_builder *b);
void lsmi_builder_reset(struct lsmi_block_builder *b);
/* What lsmi_builder_finish would give, nearly. */
size_t lsmi_builder_size(const struct lsmi_block_builder *b);
static inline bool lsmi_builder_empty(const struct lsmi_block_builder *b)
{
    return b->partition_count == 0;
}
BASE_MUST int lsmi_builder_add_partition(struct lsmi_block_builder *b,
                                         const struct lsmi_block_partition *p);
BASE_MUST int lsmi_builder_add(struct lsmi_block_builder *b, const struct base_item *item);
/* Append the block to out; the builder is empty again. */
BASE_MUST int lsmi_builder_finish(struct lsmi_block_builder *b, bool continues,
                                  struct base_buf *out);

struct lsmi_index_entry {
    uint32_t key_at, key_len, child_end;
};
struct lsmi_index_builder {
    struct base_buf keys;
    struct lsmi_index_entry *entries;
    size_t count, cap;
    uint64_t child_base, child_end; /* file offsets */
};
void lsmi_index_builder_init(struct lsmi_index_builder *b);
void lsmi_index_builder_fini(struct lsmi_index_builder *b);
size_t lsmi_index_builder_size(const struct lsmi_index_builder *b);
/* Children of one block lie one after another in the file. False: no room (4 GiB of children),
 * finish first. */
bool lsmi_index_builder_fits(const struct lsmi_index_builder *b, uint32_t child_len);
BASE_MUST int lsmi_index_builder_add(struct lsmi_index_builder *b, struct base_slice separator,
                                     uint64_t child_offset, uint32_t child_len);
BASE_MUST int lsmi_index_builder_finish(struct lsmi_index_builder *b, uint32_t level,
                                        struct base_buf *out);

#endif
