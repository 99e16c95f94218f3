/* The commit log inside lsm/. Format: docs/formats/commitlog.md.
 *
 * A position is segment << 32 | offset: one number that grows for ever. Records go to the newest
 * segment; what is durable is a prefix, up to the synced position. All functions are
 * thread-safe. */
#ifndef LSM_COMMITLOG_H
#define LSM_COMMITLOG_H

#include "base/clock.h"
#include "base/fs.h"

struct lsmi_log;

struct lsmi_log_config {
    struct base_fs *fs;
    struct base_random *random;
    const char *dir; /* of the segments; made if missing; copied */
    uint64_t segment_size;
    uint64_t low; /* nothing before this position is needed (0: a new store) */
};

/* Look at the directory; read nothing but names. The log takes appends after lsmi_log_replay. */
BASE_MUST int lsmi_log_open(const struct lsmi_log_config *config, struct lsmi_log **out,
                            struct base_err *err);
/* Call `apply` for every group from `low` on, in order, once the whole log is verified. A torn tail
 * (what no later record says was synced) is cut off; other damage is CORRUPT. `apply`'s error ends
 * the replay. */
struct lsmi_log_sink {
    int (*apply)(void *ctx, uint64_t position, struct base_slice group, struct base_err *err);
    void *ctx;
};
BASE_MUST int lsmi_log_replay(struct lsmi_log *log, const struct lsmi_log_sink *sink,
                              struct base_err *err);

/* Append one group with one write. *position is where it begins. IO (and the log has stopped),
 * NOSPACE (nothing happened), STOPPED, LIMIT. */
BASE_MUST int lsmi_log_append(struct lsmi_log *log, struct base_slice group, uint32_t count,
                              uint64_t *position, struct base_err *err);
/* Would a group of this size go into the newest segment, and is nobody writing just now? Does not
 * wait. */
bool lsmi_log_has_room(struct lsmi_log *log, size_t size_bytes);
/* The group at this position was not applied after all: replay shall not either. */
BASE_MUST int lsmi_log_cancel(struct lsmi_log *log, uint64_t position, struct base_err *err);
/* Make everything up to `upto` durable (UINT64_MAX: all there is); callers share one sync. */
BASE_MUST int lsmi_log_sync(struct lsmi_log *log, uint64_t upto, struct base_err *err);
/* STOPPED (with the cause) when the log has stopped. */
BASE_MUST int lsmi_log_usable(struct lsmi_log *log, struct base_err *err);
/* No more writes: `cause` is what they answer. */
void lsmi_log_stop(struct lsmi_log *log, const struct base_err *cause);

uint64_t lsmi_log_position(struct lsmi_log *log); /* where the next record goes; no lock needed */
bool lsmi_log_is_dirty(struct lsmi_log *log);     /* are there groups that are not synced? */
/* Prepare the next segment now, so that no writer waits for it: the store's job, when wants_spare
 * says so. */
bool lsmi_log_wants_spare(struct lsmi_log *log);
void lsmi_log_prepare_spare(struct lsmi_log *log);
/* Segments that end before this position are not needed any more: kept for recycling or removed. */
void lsmi_log_discard(struct lsmi_log *log, uint64_t low);

struct lsmi_log_stats {
    uint64_t size_bytes, segment_count, syncs, records;
    bool stopped;
};
void lsmi_log_get_stats(struct lsmi_log *log, struct lsmi_log_stats *stats);
uint64_t lsmi_log_size(struct lsmi_log *log); /* bytes of all segments; no lock needed */

/* Sync, cut the newest segment to its length, free. An error is reported, the log is freed
 * anyway. */
BASE_MUST int lsmi_log_close(struct lsmi_log *log, struct base_err *err);

#endif
