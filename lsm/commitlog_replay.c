/* Opening the commit log: which segments there are, whether they are sound, what they hold.
 *
 * Two passes. The first reads every record that is needed: it finds where the log ends, what was
 * cancelled, and damage, before anything is applied. The second applies.
 *
 * Where the log ends. A crash may tear anything that was not synced, in any part: so the first
 * record that does not verify is the end, and what follows was never promised, unless some later
 * record says that this place had been synced (`synced`): then it is damage, and the replay
 * refuses. What is behind the end is cut off (later segments first) and an END record written, so
 * that the next replay, when newer segments follow, finds no gap. */
#include "lsm/commitlog_private.h"

enum { WINDOW = 1 << 18 };

/* A window over a segment's file. */
struct window {
    struct base_file *file;
    uint64_t file_size;
    uint8_t *data;
    size_t cap, len;
    uint64_t offset; /* of data[0] */
};

/* At least `want` bytes at offset, if the file has them: fewer at its end. */
static int window_get(struct window *w, uint64_t offset, size_t want, struct base_slice *out,
                      struct base_err *err)
{
    *out = (struct base_slice){0};
    if (offset >= w->file_size)
        return BASE_OK;
    if (want > w->file_size - offset)
        want = (size_t)(w->file_size - offset);
    if (offset < w->offset || offset + want > w->offset + w->len) {
        size_t cap = want > WINDOW ? want : WINDOW;
        if (cap > w->cap) {
            uint8_t *larger = realloc(w->data, cap);
            if (!larger)
                return base_err_set(err, BASE_E_NOMEM, "replay: out of memory for %zu bytes", cap);
            w->data = larger;
            w->cap = cap;
        }
        w->offset = offset;
        w->len = 0;
        int rc = base_file_read(w->file, offset, w->data, w->cap, &w->len, err);
        if (rc != BASE_OK)
            return rc;
        if (w->len < want)
            want = w->len; /* the file became shorter */
    }
    *out = base_slice(w->data + (offset - w->offset), want);
    return BASE_OK;
}

struct replay {
    struct lsmi_log *log;
    const struct lsmi_log_sink *sink; /* NULL: the first pass */
    struct window window;
    struct base_buf cancelled; /* positions, le64 */
    uint64_t synced_max;       /* the greatest `synced` of any record */
    uint64_t dirty;            /* end of the last record that matters: a group or a cancellation */
    uint64_t end;              /* position where the log ends */
    struct lsmi_segment *end_segment; /* NULL: there are no segments */
    bool torn;                        /* it ends without an END record */
};

static int segment_open(struct replay *r, struct lsmi_segment *segment, struct base_err *err)
{
    char path[LSMI_LOG_PATH_MAX];
    lsmi_segment_path(r->log, segment->id, path);
    base_file_close(r->window.file);
    r->window.file = NULL;
    r->window.len = 0;
    int rc = base_fs_open(r->log->fs, path, BASE_OPEN_READ, &r->window.file, err);
    if (rc == BASE_OK)
        rc = base_file_size(r->window.file, &r->window.file_size, err);
    struct base_slice bytes;
    if (rc == BASE_OK)
        rc = window_get(&r->window, 0, LSMI_SEGMENT_HEADER, &bytes, err);
    if (rc != BASE_OK)
        return base_err_wrap(err, rc, "replay");
    segment->size = r->window.file_size;
    rc = lsmi_segment_decode_header(bytes, segment->id, &segment->seed);
    if (rc == BASE_E_CORRUPT)
        return base_err_set(err, rc, "replay %s: damaged header at offset 0", path);
    if (rc == BASE_E_VERSION)
        return base_err_set(err, rc, "replay %s: a version that this program does not know", path);
    return rc;
}

/* The record at offset; *size 0: none that verifies. */
static int record_get(struct replay *r, uint64_t seed, uint64_t offset, struct lsmi_record *record,
                      uint64_t *size, struct base_err *err)
{
    struct base_slice bytes;
    *size = 0;
    int rc = window_get(&r->window, offset, LSMI_RECORD_HEADER, &bytes, err);
    if (rc != BASE_OK || bytes.len < LSMI_RECORD_HEADER)
        return rc;
    uint64_t want = lsmi_record_probe(bytes.data, seed, offset);
    if (want == 0 || want > r->window.file_size - offset)
        return BASE_OK;
    rc = window_get(&r->window, offset, want, &bytes, err);
    if (rc == BASE_OK)
        *size = lsmi_record_open(bytes, seed, offset, record);
    return rc;
}

/* Look for records that verify anywhere behind `offset`, for what they say was synced. */
static int scan_rest(struct replay *r, uint64_t seed, uint64_t offset, struct base_err *err)
{
    while (offset + LSMI_RECORD_HEADER <= r->window.file_size) {
        struct lsmi_record record;
        uint64_t size;
        int rc = record_get(r, seed, offset, &record, &size, err);
        if (rc != BASE_OK)
            return rc;
        if (size && record.synced > r->synced_max)
            r->synced_max = record.synced;
        offset += size ? size : LSMI_RECORD_ALIGN;
    }
    return BASE_OK;
}

static bool is_cancelled(const struct replay *r, uint64_t position)
{
    for (size_t i = 0; i + 8 <= r->cancelled.len; i += 8)
        if (base_get_le64(r->cancelled.data + i) == position)
            return true;
    return false;
}

static int record_handle(struct replay *r, uint64_t position, const struct lsmi_record *record,
                         struct base_err *err)
{
    if (!r->sink) {
        if (record->synced > r->synced_max)
            r->synced_max = record->synced;
        if (record->kind == LSMI_RECORD_CANCEL && record->payload.len == 8)
            return base_buf_put_slice(&r->cancelled, record->payload);
        return BASE_OK;
    }
    if (record->kind != LSMI_RECORD_GROUP || is_cancelled(r, position))
        return BASE_OK;
    return r->sink->apply(r->sink->ctx, position, record->payload, err);
}

/* Walk a segment's records. *ended: an END record was there; *upto: where the walk stopped. */
static int segment_walk(struct replay *r, const struct lsmi_segment *segment, bool *ended,
                        uint64_t *upto, struct base_err *err)
{
    struct lsmi_log *log = r->log;
    uint64_t offset = segment->id == log->low >> 32 ? (uint32_t)log->low : LSMI_SEGMENT_START;
    *ended = false;
    for (;;) {
        struct lsmi_record record;
        uint64_t size, position = lsmi_position(segment->id, offset);
        *upto = offset;
        if (r->sink && position >= r->end)
            return BASE_OK;
        int rc = record_get(r, segment->seed, offset, &record, &size, err);
        if (rc == BASE_OK && size)
            rc = record_handle(r, position, &record, err);
        if (size && (record.kind == LSMI_RECORD_GROUP || record.kind == LSMI_RECORD_CANCEL))
            r->dirty = position + size;
        if (rc != BASE_OK) {
            char path[LSMI_LOG_PATH_MAX];
            lsmi_segment_path(log, segment->id, path);
            return base_err_wrap(err, rc, "replay %s: offset %llu", path,
                                 (unsigned long long)offset);
        }
        if (size == 0)
            return BASE_OK;
        offset += size;
        if (record.kind == LSMI_RECORD_END) {
            *ended = true;
            *upto = offset;
            return BASE_OK;
        }
    }
}

/* A header that does not verify was never finished, and nothing follows it, when the segment before
 * has no END record (it gets one when this one is ready), or when there is none before and no first
 * record. Else it is damage. */
static bool header_unfinished(struct replay *r, const struct lsmi_segment *segment)
{
    struct base_slice bytes;
    if (segment != r->log->oldest)
        return r->torn;
    if (window_get(&r->window, LSMI_SEGMENT_START, LSMI_RECORD_HEADER, &bytes, NULL) != BASE_OK)
        return false;
    for (size_t i = 0; i < bytes.len; i++)
        if (bytes.data[i])
            return false;
    return true;
}

/* The first pass: verify, and find the end. */
static int verify_all(struct replay *r, struct base_err *err)
{
    for (struct lsmi_segment *segment = r->log->oldest; segment; segment = segment->next) {
        int rc = segment_open(r, segment, err);
        bool blank = rc == BASE_E_NOTFOUND || /* made, but not written to before the crash */
                     (rc == BASE_E_CORRUPT && header_unfinished(r, segment));
        if (rc != BASE_OK && !blank)
            return rc;
        uint64_t upto = LSMI_SEGMENT_START;
        bool ended = false;
        rc = BASE_OK;
        if (!r->torn) {
            if (!blank)
                rc = segment_walk(r, segment, &ended, &upto, err);
            segment->used = blank ? 0 : upto;
            r->end = lsmi_position(segment->id, upto);
            r->end_segment = segment;
            r->torn = !ended;
        }
        if (rc == BASE_OK && r->torn && !blank)
            rc = scan_rest(r, segment->seed, upto, err);
        if (rc != BASE_OK)
            return rc;
    }
    if (r->torn && r->synced_max > r->end) {
        char path[LSMI_LOG_PATH_MAX];
        lsmi_segment_path(r->log, r->end_segment->id, path);
        return base_err_set(
            err, BASE_E_CORRUPT,
            "replay %s: damaged record at offset %u, which had been synced; restore the "
            "file, or rebuild this node from its replicas",
            path, (unsigned)r->end);
    }
    return BASE_OK;
}

/* Write the bytes from `offset` on again, as they are, and sync. */
static int segment_rewrite(struct replay *r, struct lsmi_segment *segment, uint64_t offset,
                           struct base_err *err)
{
    char path[LSMI_LOG_PATH_MAX];
    struct base_file *file;
    lsmi_segment_path(r->log, segment->id, path);
    int rc = segment_open(r, segment, err);
    if (rc == BASE_OK)
        rc = base_fs_open(r->log->fs, path, BASE_OPEN_READ | BASE_OPEN_WRITE, &file, err);
    if (rc != BASE_OK)
        return rc;
    while (rc == BASE_OK && offset < segment->used) {
        struct base_slice bytes;
        uint64_t left = segment->used - offset;
        rc = window_get(&r->window, offset, left < WINDOW ? (size_t)left : WINDOW, &bytes, err);
        if (rc == BASE_OK && bytes.len == 0)
            rc = base_err_set(err, BASE_E_CORRUPT, "%s: became shorter at offset %llu", path,
                              (unsigned long long)offset);
        if (rc == BASE_OK)
            rc = base_file_write(file, offset, bytes.data, bytes.len, err);
        offset += bytes.len;
    }
    if (rc == BASE_OK)
        rc = base_file_sync(file, err);
    base_file_close(file);
    return rc;
}

/* What is replayed becomes readable and the ground of later records, whose `synced` is behind it:
 * so it must be durable before. After the death of a process alone it may not be, and after a sync
 * that failed the cache may only pretend that it is: hence what no record calls synced is written
 * again, not only synced. */
static int make_durable(struct replay *r, struct base_err *err)
{
    if (r->synced_max >= r->dirty)
        return BASE_OK;
    int rc = BASE_OK;
    uint64_t first = r->synced_max >> 32;
    for (struct lsmi_segment *segment = r->log->oldest; segment && rc == BASE_OK;
         segment = segment->next) {
        bool sound = segment->used > LSMI_SEGMENT_START && segment->id >= first;
        uint64_t from = segment->id == first ? (uint32_t)r->synced_max & ~(uint64_t)511 : 0;
        if (sound && from < segment->used)
            rc = segment_rewrite(r, segment, from, err);
        if (segment == r->end_segment)
            break;
    }
    return rc;
}

/* Close the segment in which the log ends with an END record; its size is its length. */
static int seal_end(struct replay *r, struct base_err *err)
{
    struct lsmi_segment *segment = r->end_segment;
    char path[LSMI_LOG_PATH_MAX];
    lsmi_segment_path(r->log, segment->id, path);
    uint64_t offset = (uint32_t)r->end;
    uint8_t record[LSMI_RECORD_HEADER];
    lsmi_record_seal(record, 0, LSMI_RECORD_END, 0, r->end, segment->seed, offset);
    struct base_file *file;
    int rc = base_fs_open(r->log->fs, path, BASE_OPEN_READ | BASE_OPEN_WRITE, &file, err);
    if (rc == BASE_OK)
        rc = base_file_truncate(file, offset, err);
    /* What is kept must be durable before a record says so. */
    if (rc == BASE_OK)
        rc = base_file_sync(file, err);
    if (rc == BASE_OK)
        rc = base_file_write(file, offset, record, sizeof record, err);
    if (rc == BASE_OK)
        rc = base_file_sync(file, err);
    base_file_close(file);
    segment->size = offset + LSMI_RECORD_HEADER;
    return rc;
}

/* Remove what lies behind the end, the newest segment first, so that a crash in between leaves a
 * log without a gap that ends in the same place. */
static int cut_tail(struct replay *r, struct base_err *err)
{
    struct lsmi_log *log = r->log;
    base_file_close(r->window.file);
    r->window.file = NULL;
    bool blank = r->end_segment->seed == 0;
    for (;;) {
        struct lsmi_segment **last = &log->oldest;
        while ((*last)->next)
            last = &(*last)->next;
        if (*last == r->end_segment && !blank)
            return seal_end(r, err);
        char path[LSMI_LOG_PATH_MAX];
        lsmi_segment_path(log, (*last)->id, path);
        int rc = base_fs_remove(log->fs, path, err);
        if (rc == BASE_OK)
            rc = base_fs_sync_dir(log->fs, log->dir, err);
        if (rc != BASE_OK)
            return rc;
        bool done = *last == r->end_segment;
        free(*last);
        *last = NULL;
        if (done)
            return BASE_OK;
    }
}

static int apply_all(struct replay *r, const struct lsmi_log_sink *sink, struct base_err *err)
{
    r->sink = sink;
    for (struct lsmi_segment *segment = r->log->oldest; segment; segment = segment->next) {
        bool ended;
        uint64_t upto;
        int rc = segment_open(r, segment, err);
        if (rc == BASE_OK)
            rc = segment_walk(r, segment, &ended, &upto, err);
        if (rc != BASE_OK)
            return rc;
    }
    return BASE_OK;
}

/* The log is ready for records: they go to a new segment, made when the first one comes. */
static void begin_writing(struct lsmi_log *log)
{
    log->next_id = log->low >> 32 ? log->low >> 32 : 1;
    for (struct lsmi_segment *segment = log->oldest; segment; segment = segment->next) {
        log->newest = segment;
        log->next_id = segment->id + 1;
        log->segment_count++;
        atomic_fetch_add_explicit(&log->size_bytes, segment->size, memory_order_relaxed);
    }
    log->synced = log->dirty = lsmi_position(log->next_id, LSMI_SEGMENT_START);
    atomic_store(&log->position, log->synced);
    log->replayed = true;
}

int lsmi_log_replay(struct lsmi_log *log, const struct lsmi_log_sink *sink, struct base_err *err)
{
    BASE_ASSERT(!log->replayed);
    struct replay r = {.log = log};
    base_buf_init(&r.cancelled, SIZE_MAX / 2);
    int rc = verify_all(&r, err);
    if (rc == BASE_OK && (rc = make_durable(&r, err)) != BASE_OK)
        base_err_wrap(err, rc, "replay: make durable");
    if (rc == BASE_OK && r.torn && (rc = cut_tail(&r, err)) != BASE_OK)
        base_err_wrap(err, rc, "replay: cut the torn tail");
    if (rc == BASE_OK)
        rc = apply_all(&r, sink, err);
    base_file_close(r.window.file);
    free(r.window.data);
    base_buf_fini(&r.cancelled);
    if (rc == BASE_OK)
        begin_writing(log);
    return rc;
}

/* Opening. */

struct listing {
    struct lsmi_log *log;
    int rc;
};

static int list_add(void *ctx, const char *name)
{
    struct listing *listing = ctx;
    struct lsmi_log *log = listing->log;
    uint64_t id = 0;
    const char *p = name;
    while (*p >= '0' && *p <= '9' && p - name < 19)
        id = id * 10 + (uint64_t)(*p++ - '0');
    if (p == name || strcmp(p, ".log") != 0 || id == 0 || id > UINT32_MAX)
        return 0;
    struct lsmi_segment *segment = calloc(1, sizeof *segment);
    if (!segment)
        return listing->rc = BASE_E_NOMEM;
    segment->id = id;
    struct lsmi_segment **at = &log->oldest;
    while (*at && (*at)->id < id)
        at = &(*at)->next;
    segment->next = *at;
    *at = segment;
    return 0;
}

/* Segments below `low` are left from a crash between "not needed" and "removed". */
static int remove_unneeded(struct lsmi_log *log, struct base_err *err)
{
    while (log->oldest && log->oldest->id < log->low >> 32) {
        struct lsmi_segment *segment = log->oldest;
        char path[LSMI_LOG_PATH_MAX];
        lsmi_segment_path(log, segment->id, path);
        int rc = base_fs_remove(log->fs, path, err);
        if (rc != BASE_OK)
            return rc;
        log->oldest = segment->next;
        free(segment);
    }
    return BASE_OK;
}

/* Ids from `low` on must have no gap. */
static int check_ids(struct lsmi_log *log, struct base_err *err)
{
    uint64_t expected = log->low >> 32 ? log->low >> 32 : 1;
    for (struct lsmi_segment *segment = log->oldest; segment; segment = segment->next, expected++) {
        if (segment->id == expected)
            continue;
        char path[LSMI_LOG_PATH_MAX];
        lsmi_segment_path(log, expected, path);
        return base_err_set(err, BASE_E_CORRUPT,
                            "commit log: %s is missing, though newer segments are there", path);
    }
    return BASE_OK;
}

int lsmi_log_open(const struct lsmi_log_config *config, struct lsmi_log **out, struct base_err *err)
{
    *out = NULL;
    struct lsmi_log *log = calloc(1, sizeof *log);
    if (!log || !(log->dir = strdup(config->dir))) {
        free(log);
        return base_err_set(err, BASE_E_NOMEM, "commit log: out of memory");
    }
    BASE_ASSERT(config->segment_size >= LSMI_SEGMENT_START + 4 * LSMI_RECORD_HEADER &&
                config->segment_size <= UINT32_MAX);
    log->fs = config->fs;
    log->random = config->random;
    log->segment_size = config->segment_size;
    log->low = config->low;
    pthread_mutex_init(&log->lock, NULL);
    pthread_cond_init(&log->changed, NULL);
    base_buf_init(&log->buf, (size_t)UINT32_MAX + LSMI_RECORD_HEADER);
    struct listing listing = {.log = log};
    int rc = base_fs_mkdir(log->fs, log->dir, err);
    if (rc == BASE_OK)
        rc = base_fs_list(log->fs, log->dir, list_add, &listing, err);
    if (rc == BASE_OK && listing.rc != BASE_OK)
        rc = base_err_set(err, listing.rc, "out of memory");
    if (rc == BASE_OK)
        rc = remove_unneeded(log, err);
    if (rc == BASE_OK)
        rc = check_ids(log, err);
    if (rc != BASE_OK) {
        base_err_wrap(err, rc, "open the commit log in %s", log->dir);
        (void)!lsmi_log_close(log, NULL);
        return rc;
    }
    *out = log;
    return BASE_OK;
}
