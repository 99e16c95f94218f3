/* What commitlog.c and commitlog_replay.c share. */
#ifndef LSM_COMMITLOG_PRIVATE_H
#define LSM_COMMITLOG_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "lsm/commitlog.h"
#include "lsm/record.h"

enum { LSMI_SEGMENT_START = 512, LSMI_SEGMENT_HEADER = 48, LSMI_LOG_PATH_MAX = 4096 };
#define LSMI_SEGMENT_MAGIC UINT64_C(0x31474f4c474e4952) /* "RINGLOG1" */
enum { LSMI_SEGMENT_VERSION = 1 };

struct lsmi_segment {
    struct lsmi_segment *next; /* the newer one */
    uint64_t id, size, seed;
    uint64_t used;          /* replay: where its records end */
    struct base_file *file; /* NULL: of an earlier process, only kept until it is not needed */
};

struct lsmi_log {
    struct base_fs *fs;
    struct base_random *random;
    char *dir;
    uint64_t segment_size, low;

    pthread_mutex_t lock;
    pthread_cond_t changed; /* a sync ended, a spare is ready */
    bool replayed, syncing, preparing;
    struct base_err cause;                /* code != 0: stopped */
    struct lsmi_segment *oldest, *newest; /* newest->file is where records go, if it has one */
    struct lsmi_segment *spare;           /* prepared: id is newest's + 1 */
    struct lsmi_segment *unsynced;        /* the oldest with bytes that may not be on the disk */
    struct lsmi_segment *free_list;       /* discarded, kept for their space */
    unsigned free_count;
    uint64_t next_id; /* of the next segment */
    uint64_t offset;  /* in newest */
    uint64_t synced;  /* position */
    uint64_t dirty;   /* end of the last group: synced >= dirty means nothing is to be synced */
    struct base_buf buf;
    uint64_t syncs, records, segment_count;
    _Atomic uint64_t position;
    _Atomic uint64_t size_bytes;
    atomic_bool want_spare; /* half of the newest segment is used */
};

static inline uint64_t lsmi_position(uint64_t segment, uint64_t offset)
{
    return segment << 32 | offset;
}
void lsmi_segment_path(const struct lsmi_log *log, uint64_t id, char path[LSMI_LOG_PATH_MAX]);
uint64_t lsmi_segment_seed(uint64_t id, uint64_t salt);
/* Header bytes ↔ fields. decode: 0 valid (*seed set), BASE_E_NOTFOUND: none was written yet (all
 * zero or short, or of another id: a recycled file), CORRUPT, VERSION. */
void lsmi_segment_encode_header(uint8_t out[LSMI_SEGMENT_HEADER], uint64_t id, uint64_t salt,
                                uint64_t size);
int lsmi_segment_decode_header(struct base_slice bytes, uint64_t id, uint64_t *seed);

#endif
