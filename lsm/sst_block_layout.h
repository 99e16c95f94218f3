/* The numbers of the block format, shared by its reader and its builder. */
#ifndef LSM_SST_BLOCK_LAYOUT_H
#define LSM_SST_BLOCK_LAYOUT_H

#include "base/bytes.h"

enum {
    LSMI_HEAD_LEN = 4,
    LSMI_DATA_HEADER_LEN = 12,
    LSMI_INDEX_HEADER_LEN = 20,
    LSMI_LEVELS_MAX = 8,    /* of the index */
    LSMI_PKEY_LEN_MIN = 10, /* token and terminator */
};
enum {                              /* block flags */
       LSMI_BLOCK_WIDE = 0x01,      /* offsets are u32 */
       LSMI_BLOCK_CONTINUES = 0x02, /* the last partition goes on in the next block */
};
enum { /* partition record flags */
       LSMI_PARTITION_DELETION = 0x01,
       LSMI_PARTITION_OPEN = 0x02,
       LSMI_PARTITION_STATIC = 0x04,
       LSMI_PARTITION_STATIC_ELSEWHERE = 0x08,
       LSMI_PARTITION_CONTINUED = 0x10,
       LSMI_PARTITION_MARKERS = 0x20,
       LSMI_PARTITION_FLAGS = 0x3f,
};
enum { LSMI_MARKER_BEFORE = 0x01, LSMI_MARKER_AFTER = 0x02 };

/* The first four bytes of a suffix as a number that compares as they do. */
static inline uint32_t lsmi_head(struct base_slice suffix)
{
    if (BASE_LIKELY(suffix.len >= LSMI_HEAD_LEN))
        return base_get_be32(suffix.data);
    uint8_t padded[LSMI_HEAD_LEN] = {0};
    if (suffix.len)
        memcpy(padded, suffix.data, suffix.len);
    return base_get_be32(padded);
}

#endif
