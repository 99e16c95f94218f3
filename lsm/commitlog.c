/* The commit log's writing side. Replay: commitlog_replay.c; format: docs/formats/commitlog.md.
 *
 * Relies on base/fs.h: a write is visible at once and survives the process, a sync the machine.
 *
 * Invariants: 1. records are contiguous from LSMI_SEGMENT_START to the END record or the place
 * where the next one goes; 2. a segment's header and name are on the disk before its first record
 * is written;
 * 3. segment ids have no gaps; 4. `synced` in a record is true when it is written: so damage before
 *    it
 * cannot be a torn tail; 5. after the first failed write or sync nothing is written any more, for
 * nobody knows what the file holds then; but a write refused for want of space leaves its place
 * free, and the next record goes there.
 *
 * Locks: `lock` guards all fields, and is held while a record is written (that is what orders the
 * records), not while syncing: the one who syncs (`syncing`) does it for all who wait. */
#include "lsm/commitlog_private.h"

#include <stdio.h>

enum { FREE_MAX = 2 };
#define BUF_KEEP_MAX ((size_t)1 << 20)

void lsmi_segment_path(const struct lsmi_log *log, uint64_t id, char path[LSMI_LOG_PATH_MAX])
{
    snprintf(path, LSMI_LOG_PATH_MAX, "%s/%010llu.log", log->dir, (unsigned long long)id);
}

uint64_t lsmi_segment_seed(uint64_t id, uint64_t salt)
{
    return base_checksum_seeded(&id, sizeof id, salt);
}

void lsmi_segment_encode_header(uint8_t out[LSMI_SEGMENT_HEADER], uint64_t id, uint64_t salt,
                                uint64_t size)
{
    base_put_le64(out, LSMI_SEGMENT_MAGIC);
    base_put_le32(out + 8, LSMI_SEGMENT_VERSION);
    base_put_le32(out + 12, LSMI_SEGMENT_START);
    base_put_le64(out + 16, id);
    base_put_le64(out + 24, salt);
    base_put_le64(out + 32, size);
    base_put_le64(out + 40, base_checksum(out, 40));
}

int lsmi_segment_decode_header(struct base_slice bytes, uint64_t id, uint64_t *seed)
{
    *seed = 0;
    bool zero = true;
    for (size_t i = 0; i < bytes.len && i < LSMI_SEGMENT_HEADER; i++)
        zero &= bytes.data[i] == 0;
    if (zero)
        return BASE_E_NOTFOUND;
    if (bytes.len < LSMI_SEGMENT_HEADER ||
        base_get_le64(bytes.data + 40) != base_checksum(bytes.data, 40) ||
        base_get_le64(bytes.data) != LSMI_SEGMENT_MAGIC)
        return BASE_E_CORRUPT;
    if (base_get_le32(bytes.data + 8) != LSMI_SEGMENT_VERSION ||
        base_get_le32(bytes.data + 12) != LSMI_SEGMENT_START)
        return BASE_E_VERSION;
    if (base_get_le64(bytes.data + 16) != id)
        return BASE_E_NOTFOUND;
    *seed = lsmi_segment_seed(id, base_get_le64(bytes.data + 24));
    return BASE_OK;
}

static void stop(struct lsmi_log *log, const struct base_err *cause)
{
    if (log->cause.code == BASE_OK)
        log->cause = *cause;
    pthread_cond_broadcast(&log->changed);
}

void lsmi_log_stop(struct lsmi_log *log, const struct base_err *cause)
{
    pthread_mutex_lock(&log->lock);
    stop(log, cause);
    pthread_mutex_unlock(&log->lock);
}

static int refuse_stopped(struct lsmi_log *log, struct base_err *err)
{
    return base_err_set(err, BASE_E_STOPPED, "writing has stopped: %s; mend the disk and restart",
                        log->cause.text);
}

int lsmi_log_usable(struct lsmi_log *log, struct base_err *err)
{
    pthread_mutex_lock(&log->lock);
    int rc = log->cause.code ? refuse_stopped(log, err) : BASE_OK;
    pthread_mutex_unlock(&log->lock);
    return rc;
}

/* Segments. */

static void segment_free(struct lsmi_segment *segment)
{
    base_file_close(segment->file);
    free(segment);
}

/* A segment's file, its header and its name on the disk. `recycled` (may be NULL) is taken over. */
static int segment_create(struct lsmi_log *log, uint64_t id, uint64_t size,
                          struct lsmi_segment *recycled, struct lsmi_segment **out,
                          struct base_err *err)
{
    *out = NULL;
    struct lsmi_segment *segment = recycled ? recycled : calloc(1, sizeof *segment);
    if (!segment)
        return base_err_set(err, BASE_E_NOMEM, "commit log: out of memory");
    char path[LSMI_LOG_PATH_MAX], from[LSMI_LOG_PATH_MAX];
    lsmi_segment_path(log, id, path);
    int rc;
    if (recycled) {
        lsmi_segment_path(log, recycled->id, from);
        rc = base_fs_rename(log->fs, from, path, err);
        if (rc == BASE_OK)
            size = recycled->size;
    } else {
        rc = base_fs_open(log->fs, path, BASE_OPEN_READ | BASE_OPEN_WRITE | BASE_OPEN_CREATE,
                          &segment->file, err);
        if (rc == BASE_OK)
            rc = base_file_preallocate(segment->file, size, err);
    }
    uint64_t salt = base_random_u64(log->random);
    segment->id = id;
    segment->size = size;
    segment->next = NULL;
    segment->seed = lsmi_segment_seed(id, salt);
    uint8_t header[LSMI_SEGMENT_HEADER];
    lsmi_segment_encode_header(header, id, salt, size);
    if (rc == BASE_OK)
        rc = base_file_write(segment->file, 0, header, sizeof header, err);
    if (rc == BASE_OK)
        rc = base_file_sync(segment->file, err);
    if (rc == BASE_OK)
        rc = base_fs_sync_dir(log->fs, log->dir, err);
    if (rc != BASE_OK) {
        segment_free(segment);
        (void)!base_fs_remove(log->fs, path, NULL); /* best effort: replay removes it too */
        return base_err_wrap(err, rc, "commit log: new segment");
    }
    *out = segment;
    return BASE_OK;
}

static struct lsmi_segment *free_list_take(struct lsmi_log *log, uint64_t size)
{
    for (struct lsmi_segment **at = &log->free_list; *at; at = &(*at)->next) {
        struct lsmi_segment *segment = *at;
        if (segment->size >= size) {
            *at = segment->next;
            log->free_count--;
            return segment;
        }
    }
    return NULL;
}

static void publish(struct lsmi_log *log)
{
    atomic_store_explicit(&log->position, lsmi_position(log->newest->id, log->offset),
                          memory_order_release);
}

/* One record at `offset` of the newest segment, whose payload is in log->buf. Under the lock. */
static int record_write(struct lsmi_log *log, uint32_t payload_len, uint32_t kind, uint32_t count,
                        struct base_err *err)
{
    struct base_err own;
    err = err ? err : &own;
    uint64_t size = lsmi_record_size(payload_len);
    BASE_ASSERT(log->offset + size <= log->newest->size);
    lsmi_record_seal(log->buf.data, payload_len, kind, count, log->synced, log->newest->seed,
                     log->offset);
    int rc = base_file_write(log->newest->file, log->offset, log->buf.data, size, err);
    if (rc == BASE_E_NOSPACE)
        return base_err_wrap(err, rc, "commit log");
    if (rc != BASE_OK) {
        base_err_wrap(err, rc, "commit log");
        stop(log, err);
        return rc;
    }
    log->offset += size;
    publish(log);
    return BASE_OK;
}

static int buf_reserve(struct lsmi_log *log, uint64_t payload_len, struct base_err *err)
{
    base_buf_reset(&log->buf);
    int rc = base_buf_reserve(&log->buf, lsmi_record_size(payload_len));
    return rc == BASE_OK ? rc
                         : base_err_set(err, rc, "commit log: a group of %llu bytes: %s",
                                        (unsigned long long)payload_len, base_err_words(rc));
}

/* Make sure that a record of `size` and an END after it fit into the newest segment. */
static int segment_ensure(struct lsmi_log *log, uint64_t size, struct base_err *err)
{
    bool open = log->newest && log->newest->file;
    if (open && log->offset + size + LSMI_RECORD_HEADER <= log->newest->size)
        return BASE_OK;
    while (log->preparing)
        pthread_cond_wait(&log->changed, &log->lock);
    uint64_t want = LSMI_SEGMENT_START + size + LSMI_RECORD_HEADER;
    if (want > UINT32_MAX)
        return base_err_set(err, BASE_E_LIMIT, "commit log: a group of %llu bytes is too large",
                            (unsigned long long)size);
    want = want < log->segment_size ? log->segment_size : (want + 4095) & ~(uint64_t)4095;
    if (log->spare &&
        log->spare->size < want) { /* a huge group: its id is needed for a larger one */
        char path[LSMI_LOG_PATH_MAX];
        lsmi_segment_path(log, log->spare->id, path);
        int rc = base_fs_remove(log->fs, path, err);
        if (rc != BASE_OK)
            return base_err_wrap(err, rc, "commit log");
        segment_free(log->spare);
        log->spare = NULL;
    }
    int rc = BASE_OK;
    if (!log->spare)
        rc = segment_create(log, log->next_id, want, free_list_take(log, want), &log->spare, err);
    if (rc == BASE_OK && open) {
        rc = buf_reserve(log, 0, err);
        if (rc == BASE_OK)
            rc = record_write(log, 0, LSMI_RECORD_END, 0, err);
    }
    if (rc != BASE_OK)
        return rc;
    if (log->newest)
        log->newest->next = log->spare;
    else
        log->oldest = log->spare;
    log->newest = log->spare;
    log->spare = NULL;
    log->next_id = log->newest->id + 1;
    log->offset = LSMI_SEGMENT_START;
    if (!log->unsynced)
        log->unsynced = log->newest;
    log->segment_count++;
    atomic_fetch_add_explicit(&log->size_bytes, log->newest->size, memory_order_relaxed);
    publish(log);
    return BASE_OK;
}

/* Appending. */

static int append(struct lsmi_log *log, struct base_slice payload, uint32_t kind, uint32_t count,
                  uint64_t *position, struct base_err *err)
{
    BASE_ASSERT(log->replayed);
    if (log->cause.code)
        return refuse_stopped(log, err);
    int rc = segment_ensure(log, lsmi_record_size(payload.len), err);
    if (rc == BASE_OK)
        rc = buf_reserve(log, payload.len, err);
    if (rc != BASE_OK)
        return rc;
    memcpy(log->buf.data + LSMI_RECORD_HEADER, payload.data, payload.len);
    *position = lsmi_position(log->newest->id, log->offset);
    rc = record_write(log, (uint32_t)payload.len, kind, count, err);
    if (rc == BASE_OK) {
        log->dirty = lsmi_position(log->newest->id, log->offset);
        log->records++;
        if (log->offset > log->newest->size / 2 && !log->spare && !log->preparing)
            atomic_store_explicit(&log->want_spare, true, memory_order_relaxed);
    }
    if (log->buf.cap > BUF_KEEP_MAX) { /* one huge group does not keep its memory */
        size_t len_max = log->buf.len_max;
        base_buf_fini(&log->buf);
        base_buf_init(&log->buf, len_max);
    }
    return rc;
}

int lsmi_log_append(struct lsmi_log *log, struct base_slice group, uint32_t count,
                    uint64_t *position, struct base_err *err)
{
    *position = 0;
    BASE_ASSERT(group.len > 0);
    pthread_mutex_lock(&log->lock);
    int rc = append(log, group, LSMI_RECORD_GROUP, count, position, err);
    pthread_mutex_unlock(&log->lock);
    return rc;
}

bool lsmi_log_has_room(struct lsmi_log *log, size_t size_bytes)
{
    if (pthread_mutex_trylock(&log->lock) != 0)
        return false;
    bool room = log->newest && log->offset + lsmi_record_size(size_bytes) <= log->newest->size &&
                log->cause.code == BASE_OK;
    pthread_mutex_unlock(&log->lock);
    return room;
}

int lsmi_log_cancel(struct lsmi_log *log, uint64_t position, struct base_err *err)
{
    uint8_t payload[8];
    uint64_t at;
    base_put_le64(payload, position);
    pthread_mutex_lock(&log->lock);
    int rc = append(log, base_slice(payload, sizeof payload), LSMI_RECORD_CANCEL, 1, &at, err);
    pthread_mutex_unlock(&log->lock);
    return rc;
}

/* Syncing. */

/* Sync every segment from `unsynced` on; the lock is given up meanwhile. While `syncing`, those
 * segments are not discarded, so the list stays. */
static int sync_segments(struct lsmi_log *log, struct base_err *err)
{
    BASE_ASSERT(!log->syncing && log->newest && log->unsynced);
    log->syncing = true;
    struct lsmi_segment *last = log->newest, *at = log->unsynced;
    uint64_t target = lsmi_position(last->id, log->offset);
    int rc = BASE_OK;
    for (;;) {
        pthread_mutex_unlock(&log->lock);
        rc = base_file_sync(at->file, err);
        pthread_mutex_lock(&log->lock);
        if (rc != BASE_OK || at == last)
            break;
        at = at->next;
    }
    log->syncing = false;
    log->syncs++;
    if (rc != BASE_OK) {
        base_err_wrap(err, rc, "commit log");
        stop(log, err);
        return rc;
    }
    log->unsynced = last;
    log->synced = target;
    /* Say so in the log: from now on damage before `target` is damage, not a torn tail. */
    if (log->cause.code == BASE_OK && log->offset + 2 * LSMI_RECORD_HEADER <= log->newest->size &&
        buf_reserve(log, 0, err) == BASE_OK)
        rc = record_write(log, 0, LSMI_RECORD_MARK, 0, err);
    if (rc == BASE_E_NOSPACE)
        rc = BASE_OK; /* the mark is a courtesy */
    pthread_cond_broadcast(&log->changed);
    return rc;
}

int lsmi_log_sync(struct lsmi_log *log, uint64_t upto, struct base_err *err)
{
    struct base_err own;
    err = err ? err : &own;
    int rc = BASE_OK;
    pthread_mutex_lock(&log->lock);
    if (upto > log->dirty)
        upto = log->dirty;
    while (rc == BASE_OK && log->synced < upto) {
        if (log->cause.code)
            rc = base_err_set(err, BASE_E_IO, "%s", log->cause.text);
        else if (log->syncing)
            pthread_cond_wait(&log->changed, &log->lock);
        else
            rc = sync_segments(log, err);
    }
    pthread_mutex_unlock(&log->lock);
    return rc;
}

bool lsmi_log_is_dirty(struct lsmi_log *log)
{
    pthread_mutex_lock(&log->lock);
    bool dirty = log->synced < log->dirty && log->cause.code == BASE_OK;
    pthread_mutex_unlock(&log->lock);
    return dirty;
}

/* The next segment, and old ones. */

bool lsmi_log_wants_spare(struct lsmi_log *log)
{
    return atomic_load_explicit(&log->want_spare, memory_order_relaxed);
}

void lsmi_log_prepare_spare(struct lsmi_log *log)
{
    pthread_mutex_lock(&log->lock);
    atomic_store_explicit(&log->want_spare, false, memory_order_relaxed);
    if (log->spare || log->preparing || log->cause.code || !log->newest) {
        pthread_mutex_unlock(&log->lock);
        return;
    }
    log->preparing = true;
    uint64_t id = log->next_id;
    struct lsmi_segment *recycled = free_list_take(log, log->segment_size), *spare = NULL;
    pthread_mutex_unlock(&log->lock);
    /* A failure here is nobody's: the writer that needs the segment tries again and reports it. */
    (void)!segment_create(log, id, log->segment_size, recycled, &spare, NULL);
    pthread_mutex_lock(&log->lock);
    log->preparing = false;
    log->spare = spare;
    pthread_cond_broadcast(&log->changed);
    pthread_mutex_unlock(&log->lock);
}

void lsmi_log_discard(struct lsmi_log *log, uint64_t low)
{
    struct lsmi_segment *gone = NULL;
    pthread_mutex_lock(&log->lock);
    while (log->oldest && log->oldest != log->newest && log->oldest->id < low >> 32) {
        struct lsmi_segment *segment = log->oldest;
        if (segment == log->unsynced) {
            if (log->syncing) /* its file is in use; the next discard finds it synced */
                break;
            log->unsynced = segment->next; /* nobody will ever need it: no need to sync it */
        }
        log->oldest = segment->next;
        log->segment_count--;
        atomic_fetch_sub_explicit(&log->size_bytes, segment->size, memory_order_relaxed);
        bool keep =
            segment->file && segment->size == log->segment_size && log->free_count < FREE_MAX;
        segment->next = keep ? log->free_list : gone;
        *(keep ? &log->free_list : &gone) = segment;
        log->free_count += keep;
    }
    pthread_mutex_unlock(&log->lock);
    for (struct lsmi_segment *next; gone; gone = next) {
        char path[LSMI_LOG_PATH_MAX];
        next = gone->next;
        lsmi_segment_path(log, gone->id, path);
        segment_free(gone);
        (void)!base_fs_remove(log->fs, path, NULL); /* if it stays, the next open removes it */
    }
}

uint64_t lsmi_log_position(struct lsmi_log *log)
{
    return atomic_load_explicit(&log->position, memory_order_acquire);
}

uint64_t lsmi_log_size(struct lsmi_log *log)
{
    return atomic_load_explicit(&log->size_bytes, memory_order_relaxed);
}

void lsmi_log_get_stats(struct lsmi_log *log, struct lsmi_log_stats *stats)
{
    pthread_mutex_lock(&log->lock);
    *stats = (struct lsmi_log_stats){.size_bytes = log->size_bytes,
                                     .segment_count = log->segment_count,
                                     .syncs = log->syncs,
                                     .records = log->records,
                                     .stopped = log->cause.code != 0};
    pthread_mutex_unlock(&log->lock);
}

/* Opening and closing. */

static int log_close_newest(struct lsmi_log *log, struct base_err *err)
{
    if (log->cause.code) /* what was written last may not be durable: a close that says OK would
                            promise it */
        return base_err_set(err, BASE_E_IO, "%s", log->cause.text);
    if (!log->newest || !log->newest->file)
        return BASE_OK;
    int rc = lsmi_log_sync(log, UINT64_MAX, err);
    if (rc == BASE_OK)
        rc = buf_reserve(log, 0, err);
    if (rc == BASE_OK)
        rc = record_write(log, 0, LSMI_RECORD_END, 0, err);
    if (rc == BASE_OK)
        rc = base_file_truncate(log->newest->file, log->offset, err);
    if (rc == BASE_OK)
        rc = base_file_sync(log->newest->file, err);
    return rc;
}

static void segments_free(struct lsmi_segment *segment)
{
    for (struct lsmi_segment *next; segment; segment = next) {
        next = segment->next;
        segment_free(segment);
    }
}

int lsmi_log_close(struct lsmi_log *log, struct base_err *err)
{
    if (!log)
        return BASE_OK;
    BASE_ASSERT(!log->syncing && !log->preparing);
    int rc = log_close_newest(log, err);
    /* Empty segments need not take space until the next start. */
    for (struct lsmi_segment *segment = log->free_list; segment; segment = segment->next) {
        char path[LSMI_LOG_PATH_MAX];
        lsmi_segment_path(log, segment->id, path);
        (void)!base_fs_remove(log->fs, path, NULL);
    }
    if (log->spare) {
        char path[LSMI_LOG_PATH_MAX];
        lsmi_segment_path(log, log->spare->id, path);
        (void)!base_fs_remove(log->fs, path, NULL);
    }
    segments_free(log->oldest);
    segments_free(log->free_list);
    segments_free(log->spare);
    base_buf_fini(&log->buf);
    pthread_cond_destroy(&log->changed);
    pthread_mutex_destroy(&log->lock);
    free(log->dir);
    free(log);
    return rc;
}
