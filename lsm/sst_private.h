/* What the files that make up SSTables share: frames, footer, metadata, statistics, the open table.
 * Format: docs/formats/sstable.md. */
#ifndef LSM_SST_PRIVATE_H
#define LSM_SST_PRIVATE_H

#include <pthread.h>

#include "base/checksum.h"
#include "base/compress.h"
#include "lsm/bloom.h"
#include "lsm/sst_block.h"
#include "lsm/sst_block_layout.h"
#include "lsm/sstable.h"

/* Frames: sst_format.c. */

/* frame := payload, compressor u8, uncompressed size le32, checksum le64 */
enum { LSMI_FRAME_TRAILER = 13 };

struct lsmi_frame {
    struct base_slice payload;
    uint8_t compressor;
    uint32_t size; /* uncompressed */
};
/* Append the trailer to a payload that begins at buf->data + start and at `offset` of the file. */
BASE_MUST int lsmi_frame_seal(struct base_buf *buf, size_t start, int compressor, uint32_t size,
                              uint64_t salt, uint64_t offset);
/* Checksum and lengths. NULL, or what is wrong. */
const char *lsmi_frame_open(struct base_slice bytes, uint64_t salt, uint64_t offset,
                            struct lsmi_frame *out);
/* Decompress to out (frame->size bytes). NULL, or what is wrong. */
const char *lsmi_frame_unpack(const struct lsmi_frame *frame, uint8_t *out);

/* Footer. */

enum {
    LSMI_SST_VERSION = 1,
    LSMI_FOOTER_LEN = 96,
    LSMI_FOOTER_TAIL = 16,
    LSMI_FOOTER_LEN_MAX = 4096
};

struct lsmi_footer {
    uint64_t salt;         /* in every frame's checksum: blocks of another table do not pass */
    uint64_t index_offset; /* data blocks lie in [0, index_offset) */
    uint64_t root_offset, root_len;
    uint64_t filter_offset, filter_len; /* filter_len 0: none */
    uint64_t metadata_offset, metadata_len;
    uint32_t levels; /* of the index, the root included */
};
void lsmi_footer_encode(const struct lsmi_footer *footer, uint64_t offset,
                        uint8_t out[LSMI_FOOTER_LEN]);
/* `tail`: the file's last bytes, at least min(size, LSMI_FOOTER_LEN_MAX) of them. CORRUPT, VERSION;
 * the text goes without the file's name. */
BASE_MUST int lsmi_footer_decode(struct base_slice tail, uint64_t file_size,
                                 struct lsmi_footer *out, struct base_err *err);

/* Metadata and statistics. */

/* What the metadata section holds. file_size, filter_bytes, index_bytes come from the footer. */
struct lsmi_metadata {
    struct lsm_sstable_info info;
    struct base_slice pkey_min, pkey_max;
};
BASE_MUST int lsmi_metadata_encode(const struct lsmi_metadata *m, struct base_buf *out);
/* pkeys borrow from the bytes. Unknown tags are skipped. */
BASE_MUST bool lsmi_metadata_decode(struct base_slice bytes, struct lsmi_metadata *out);
/* The name of the first statistic in which b differs from a (those that are counted from the data
 * only), or NULL. */
const char *lsmi_metadata_difference(const struct lsm_sstable_info *a,
                                     const struct lsm_sstable_info *b);

/* The running count of what goes into (or was found in) a table. */
struct lsmi_count {
    struct lsm_sstable_info *info;
    struct base_row_stats rows; /* folded into info now and then: its counters are u32 */
    uint64_t partition_bytes;
};
void lsmi_count_begin(struct lsmi_count *c, struct lsm_sstable_info *info);
/* false: damaged row */
BASE_MUST bool lsmi_count_partition(struct lsmi_count *c, const struct base_partition *p);
BASE_MUST bool lsmi_count_item(struct lsmi_count *c, const struct base_item *item);
void lsmi_count_partition_end(struct lsmi_count *c);
void lsmi_count_end(struct lsmi_count *c);

/* Cache: cache.c. */

/* A number for a file's blocks, unique in this cache. */
uint64_t lsmi_cache_file(struct lsmi_cache *cache);
/* A pinned block, or NULL. No allocation. */
struct lsmi_block *lsmi_cache_find(struct lsmi_cache *cache, uint64_t file, uint64_t offset);
/* Offer a parsed block (the caller keeps its pin). `scan`: only where there is room, so that a scan
 * does not push out what is read by point. */
void lsmi_cache_offer(struct lsmi_cache *cache, struct lsmi_block *b, bool scan);
/* Memory held outside the blocks but under the same limit (filters, index roots). */
void lsmi_cache_charge(struct lsmi_cache *cache, int64_t bytes);
void lsmi_cache_forget(struct lsmi_cache *cache, uint64_t file);

/* The open table: sst_reader.c. */

/* The filter in memory; without lines when there is none or it could not be read. */
struct lsmi_filter {
    struct lsmi_bloom bloom;
    uint8_t *bytes;
};

/* An index's file beside the SSTable (lsm/index.h). */
struct lsmi_component {
    uint32_t index_id;
    struct lsm_sstable *file;
};

struct lsm_sstable {
    _Atomic uint32_t refs;
    _Atomic bool removed; /* remove the file with the last reference */
    struct base_fs *fs;
    struct base_file *file;
    char *path;
    struct lsmi_cache *cache; /* may be NULL */
    uint64_t file_no;         /* in the cache */
    struct lsmi_footer footer;
    struct lsm_sstable_info info;
    struct base_slice pkey_min, pkey_max; /* in metadata_bytes */
    uint8_t *metadata_bytes;
    struct lsmi_block *root;
    _Atomic(struct lsmi_filter *) filter; /* NULL: not read yet */
    _Atomic uint64_t bloom_checks, bloom_false_positives;
    pthread_mutex_t components_lock;
    /* what is built of the table's indexes; under components_lock */
    struct lsmi_component *components;
    size_t component_count;
};
void lsmi_components_free(struct lsm_sstable *sst, bool removed); /* index_component.c */

/* "sstable <path>: <section> at offset <offset>: <what>". */
int lsmi_sst_corrupt(const struct lsm_sstable *sst, const char *section, uint64_t offset,
                     const char *what, struct base_err *err);
/* Read, check and unpack the frame at [offset, offset + len) to new memory (free with free()). */
BASE_MUST int lsmi_sst_read_section(struct lsm_sstable *sst, const char *section, uint64_t offset,
                                    uint64_t len, uint8_t **out, size_t *out_len,
                                    struct base_err *err);
/* A block from bytes already read. level 0: a data block. One reference. Made in the memory of
 * *spare (taken over; spare may be NULL) if it fits. */
BASE_MUST int lsmi_sst_block_from(struct lsm_sstable *sst, uint32_t level, uint64_t offset,
                                  struct base_slice frame, struct lsmi_block **spare,
                                  struct lsmi_block **out, struct base_err *err);
/* Read the filter anew (free with lsmi_filter_free). */
BASE_MUST int lsmi_sst_read_filter(struct lsm_sstable *sst, struct lsmi_filter **out,
                                   struct base_err *err);
void lsmi_filter_free(struct lsmi_filter *filter);

/* Nothing was written so far. */
bool lsmi_sst_writer_is_empty(const struct lsmi_sst_writer *w);
/* A source that never fills the cache and reads ahead from the start: compaction, verification,
 * tools. */
BASE_MUST int lsmi_sst_source_init_scan(struct lsmi_sst_source *src, struct lsm_sstable *sst,
                                        const struct base_read *cmd, struct base_err *err);
/* How far into the data section the source has come, for progress. */
uint64_t lsmi_sst_source_position(const struct lsmi_sst_source *src);

#endif
