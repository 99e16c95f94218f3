/* Checksummed records in a file: the frame that commit log and manifest share
 * (docs/formats/commitlog.md).
 *
 *   0  length u32      of the payload
 *   4  head check u32  of the length and the place: a cheap test for "could a record be here?"
 *   8  checksum u64    XXH3 of bytes 16 … 32 + length
 *  16  synced u64      every byte before this position is known to be on the disk (commit log's
 *                      positions; in the manifest, offsets)
 *  24  count u32       of what the payload holds
 *  28  kind u32        enum lsmi_record_kind
 *  32  payload, zeros up to a multiple of 8
 *
 * Both checks are seeded with the file's seed and the record's offset: bytes of another file, of a
 * file's former life or from another place never pass. */
#ifndef LSM_RECORD_H
#define LSM_RECORD_H

#include "base/checksum.h"

enum { LSMI_RECORD_HEADER = 32, LSMI_RECORD_ALIGN = 8 };

enum lsmi_record_kind {
    LSMI_RECORD_GROUP = 1,  /* mutations */
    LSMI_RECORD_MARK = 2,   /* nothing but its `synced` */
    LSMI_RECORD_END = 3,    /* the file's last */
    LSMI_RECORD_CANCEL = 4, /* the group at the position in the payload was refused */
    LSMI_RECORD_EDIT = 5,   /* manifest */
};

struct lsmi_record {
    uint32_t kind, count;
    uint64_t synced;
    struct base_slice payload;
};

static inline uint64_t lsmi_record_size(uint64_t payload_len)
{
    return LSMI_RECORD_HEADER +
           ((payload_len + LSMI_RECORD_ALIGN - 1) & ~(uint64_t)(LSMI_RECORD_ALIGN - 1));
}
static inline uint32_t lsmi_record_head_check(const uint8_t *length, uint64_t seed)
{
    return (uint32_t)(base_checksum_seeded(length, 4, seed) >> 32);
}
/* Fill in the header (and padding) of a record whose payload is in place at out +
 * LSMI_RECORD_HEADER. */
void lsmi_record_seal(uint8_t *out, uint32_t payload_len, uint32_t kind, uint32_t count,
                      uint64_t synced, uint64_t file_seed, uint64_t offset);
/* 0: there is no record at these bytes (at file offset `offset`), or a damaged one. Else: valid,
 * and its whole size. The payload borrows. */
uint64_t lsmi_record_open(struct base_slice bytes, uint64_t file_seed, uint64_t offset,
                          struct lsmi_record *out);
/* The size a record here would have, from its first 8 bytes; 0: there is none (says the head
 * check). */
uint64_t lsmi_record_probe(const uint8_t bytes[8], uint64_t file_seed, uint64_t offset);

#endif
