/* The manifest: a file of checksummed edits (lsm/record.h), named by CURRENT. Format:
 * docs/formats/manifest.md.
 *
 * Invariants: 1. an edit is synced before the next is written, so that only the last can be torn;
 * 2. after each sync a mark says how far, so that damage to a synced edit, even the last, is
 * noticed; 3. after a failed write or sync nothing more is appended: a new file is written and
 * CURRENT moved to it, by the next commit; 4. the state in memory is what is known to be durable.
 *
 * The file is rewritten when it has grown to many times what it says. */
#include "lsm/manifest.h"

#include <stdio.h>

#include "lsm/record.h"

enum { HEADER = 32, FIRST = 64, VERSION = 1, REWRITE_MIN = 1 << 16, PATH_MAX_ = 4096 };
#define MAGIC UINT64_C(0x314e414d474e4952) /* "RINGMAN1" */

enum edit_tag {
    EDIT_ADD = 1,
    EDIT_REMOVE = 2,
    EDIT_FLUSHED = 3,
    EDIT_DROP = 4,
    EDIT_LOG_LOW = 5,
    EDIT_NEXT_ID = 6,
};

/* Edits. */

static int put_uuid(struct base_buf *edit, struct base_uuid id)
{
    return base_buf_put(edit, id.b, sizeof id.b);
}

static int put_tagged(struct base_buf *edit, uint8_t tag, uint64_t value)
{
    int rc = base_buf_put_u8(edit, tag);
    return rc == BASE_OK ? base_buf_put_varint(edit, value) : rc;
}

int lsmi_edit_add(struct base_buf *edit, const struct lsmi_manifest_sstable *sstable)
{
    int rc = put_tagged(edit, EDIT_ADD, sstable->id);
    if (rc == BASE_OK)
        rc = put_uuid(edit, sstable->table_id);
    return rc == BASE_OK ? base_buf_put_varint(edit, sstable->file_size) : rc;
}

int lsmi_edit_remove(struct base_buf *edit, uint64_t id)
{
    return put_tagged(edit, EDIT_REMOVE, id);
}

int lsmi_edit_flushed(struct base_buf *edit, struct base_uuid table, uint64_t upto)
{
    int rc = put_tagged(edit, EDIT_FLUSHED, upto);
    return rc == BASE_OK ? put_uuid(edit, table) : rc;
}

int lsmi_edit_drop(struct base_buf *edit, struct base_uuid table)
{
    int rc = base_buf_put_u8(edit, EDIT_DROP);
    return rc == BASE_OK ? put_uuid(edit, table) : rc;
}

int lsmi_edit_log_low(struct base_buf *edit, uint64_t low)
{
    return put_tagged(edit, EDIT_LOG_LOW, low);
}

static bool get_uuid(struct base_reader *in, struct base_uuid *id)
{
    struct base_slice s;
    if (!base_get_raw(in, sizeof id->b, &s))
        return false;
    memcpy(id->b, s.data, sizeof id->b);
    return true;
}

const struct lsmi_manifest_sstable *lsmi_manifest_find(const struct lsmi_manifest *m, uint64_t id)
{
    for (size_t i = 0; i < m->sstable_count; i++)
        if (m->sstables[i].id == id)
            return &m->sstables[i];
    return NULL;
}

uint64_t lsmi_manifest_flushed_upto(const struct lsmi_manifest *m, struct base_uuid table)
{
    for (size_t i = 0; i < m->table_count; i++)
        if (base_uuid_equal(m->tables[i].id, table))
            return m->tables[i].flushed_upto;
    return 0;
}

/* Room for one more of both kinds, so that applying an edit cannot fail half-way. */
static int grow(void **items, size_t count, size_t *cap, size_t more, size_t size)
{
    if (count + more <= *cap)
        return BASE_OK;
    size_t cap_new = (count + more) * 2;
    void *larger = realloc(*items, cap_new * size);
    if (!larger)
        return BASE_E_NOMEM;
    *items = larger;
    *cap = cap_new;
    return BASE_OK;
}

static int reserve(struct lsmi_manifest *m, size_t more)
{
    int rc =
        grow((void **)&m->sstables, m->sstable_count, &m->sstable_cap, more, sizeof *m->sstables);
    if (rc == BASE_OK)
        rc = grow((void **)&m->tables, m->table_count, &m->table_cap, more, sizeof *m->tables);
    return rc;
}

static bool apply_add(struct lsmi_manifest *m, uint64_t id, struct base_reader *in)
{
    struct lsmi_manifest_sstable sstable = {.id = id};
    if (!get_uuid(in, &sstable.table_id) || !base_get_varint(in, &sstable.file_size))
        return false;
    size_t at = m->sstable_count;
    while (at > 0 && m->sstables[at - 1].id >= id)
        at--;
    if (at < m->sstable_count && m->sstables[at].id == id)
        return false;
    memmove(m->sstables + at + 1, m->sstables + at, (m->sstable_count - at) * sizeof *m->sstables);
    m->sstables[at] = sstable;
    m->sstable_count++;
    if (m->next_id <= id)
        m->next_id = id + 1;
    return true;
}

static bool apply_remove(struct lsmi_manifest *m, uint64_t id)
{
    for (size_t i = 0; i < m->sstable_count; i++) {
        if (m->sstables[i].id != id)
            continue;
        m->sstable_count--;
        memmove(m->sstables + i, m->sstables + i + 1, (m->sstable_count - i) * sizeof *m->sstables);
        return true;
    }
    return false;
}

static bool apply_flushed(struct lsmi_manifest *m, uint64_t upto, struct base_reader *in)
{
    struct base_uuid id;
    if (!get_uuid(in, &id))
        return false;
    size_t at = 0;
    while (at < m->table_count && !base_uuid_equal(m->tables[at].id, id))
        at++;
    if (at == m->table_count)
        m->tables[m->table_count++] = (struct lsmi_manifest_table){.id = id};
    if (m->tables[at].flushed_upto < upto)
        m->tables[at].flushed_upto = upto;
    return true;
}

static bool apply_drop(struct lsmi_manifest *m, struct base_reader *in)
{
    struct base_uuid id;
    if (!get_uuid(in, &id))
        return false;
    size_t kept = 0;
    for (size_t i = 0; i < m->sstable_count; i++)
        if (!base_uuid_equal(m->sstables[i].table_id, id))
            m->sstables[kept++] = m->sstables[i];
    m->sstable_count = kept;
    kept = 0;
    for (size_t i = 0; i < m->table_count; i++)
        if (!base_uuid_equal(m->tables[i].id, id))
            m->tables[kept++] = m->tables[i];
    m->table_count = kept;
    return true;
}

/* False: not an edit of this version, or one that contradicts what came before. */
static bool apply(struct lsmi_manifest *m, struct base_slice edit)
{
    struct base_reader in = base_reader(edit);
    while (base_reader_left(&in)) {
        uint8_t tag;
        uint64_t value = 0;
        if (!base_get_u8(&in, &tag) || (tag != EDIT_DROP && !base_get_varint(&in, &value)))
            return false;
        bool ok = false;
        switch ((enum edit_tag)tag) {
        case EDIT_ADD:
            ok = apply_add(m, value, &in);
            break;
        case EDIT_REMOVE:
            ok = apply_remove(m, value);
            break;
        case EDIT_FLUSHED:
            ok = apply_flushed(m, value, &in);
            break;
        case EDIT_DROP:
            ok = apply_drop(m, &in);
            break;
        case EDIT_LOG_LOW:
            ok = true;
            m->log_low = value > m->log_low ? value : m->log_low;
            break;
        case EDIT_NEXT_ID:
            ok = true;
            m->next_id = value > m->next_id ? value : m->next_id;
            break;
        }
        if (!ok)
            return false;
    }
    return true;
}

/* Writing. */

static void file_path(const struct lsmi_manifest *m, uint64_t number, char path[PATH_MAX_])
{
    snprintf(path, PATH_MAX_, "%s/MANIFEST-%010llu", m->dir, (unsigned long long)number);
}

static int record_append(struct lsmi_manifest *m, uint32_t kind, struct base_slice payload,
                         bool sync, struct base_err *err)
{
    uint64_t size = lsmi_record_size(payload.len);
    uint8_t *record = malloc(size);
    if (!record)
        return base_err_set(err, BASE_E_NOMEM, "manifest: out of memory");
    if (payload.len)
        memcpy(record + LSMI_RECORD_HEADER, payload.data, payload.len);
    lsmi_record_seal(record, (uint32_t)payload.len, kind, 1, m->synced, m->seed, m->offset);
    int rc = base_file_write(m->file, m->offset, record, size, err);
    free(record);
    if (rc == BASE_OK && sync)
        rc = base_file_sync(m->file, err);
    if (rc == BASE_OK)
        m->offset += size;
    return rc;
}

/* The whole state as one edit. */
static int snapshot(const struct lsmi_manifest *m, struct base_buf *out)
{
    int rc = put_tagged(out, EDIT_NEXT_ID, m->next_id);
    if (rc == BASE_OK)
        rc = lsmi_edit_log_low(out, m->log_low);
    for (size_t i = 0; i < m->table_count && rc == BASE_OK; i++)
        rc = lsmi_edit_flushed(out, m->tables[i].id, m->tables[i].flushed_upto);
    for (size_t i = 0; i < m->sstable_count && rc == BASE_OK; i++)
        rc = lsmi_edit_add(out, &m->sstables[i]);
    return rc;
}

static int current_write(struct lsmi_manifest *m, uint64_t number, struct base_err *err)
{
    char path[PATH_MAX_], temporary[PATH_MAX_], text[64];
    snprintf(path, sizeof path, "%s/CURRENT", m->dir);
    snprintf(temporary, sizeof temporary, "%s/CURRENT.new", m->dir);
    int len = snprintf(text, sizeof text, "MANIFEST-%010llu", (unsigned long long)number);
    uint64_t sum = base_checksum(text, (size_t)len);
    len += snprintf(text + len, sizeof text - (size_t)len, " %016llx\n", (unsigned long long)sum);
    struct base_file *file;
    int rc = base_fs_open(m->fs, temporary, BASE_OPEN_WRITE | BASE_OPEN_CREATE, &file, err);
    if (rc == BASE_OK)
        rc = base_file_truncate(file, 0, err);
    if (rc == BASE_OK)
        rc = base_file_write(file, 0, text, (size_t)len, err);
    if (rc == BASE_OK)
        rc = base_file_sync(file, err);
    base_file_close(file);
    if (rc == BASE_OK)
        rc = base_fs_rename(m->fs, temporary, path, err);
    if (rc == BASE_OK)
        rc = base_fs_sync_dir(m->fs, m->dir, err);
    return rc;
}

/* A new file with the state and CURRENT moved to it. On failure the old file is still in use. */
static int rewrite(struct lsmi_manifest *m, struct base_err *err)
{
    /* the file's fields are the new file's; the arrays are shared */
    struct lsmi_manifest next = *m;
    char path[PATH_MAX_];
    struct base_buf edit;
    base_buf_init(&edit, (size_t)1 << 30);
    next.number = m->number + 1 + m->attempts;
    file_path(m, next.number, path);
    uint64_t salt = base_random_u64(m->random);
    next.seed = base_checksum_seeded(&next.number, sizeof next.number, salt);
    next.offset = FIRST;
    next.synced = 0;
    next.file = NULL;
    uint8_t header[HEADER];
    base_put_le64(header, MAGIC);
    base_put_le32(header + 8, VERSION);
    base_put_le32(header + 12, FIRST);
    base_put_le64(header + 16, salt);
    base_put_le64(header + 24, base_checksum_seeded(header, 24, next.number));
    int rc = snapshot(m, &edit);
    if (rc == BASE_OK)
        rc = base_fs_open(m->fs, path, BASE_OPEN_READ | BASE_OPEN_WRITE | BASE_OPEN_CREATE,
                          &next.file, err);
    if (rc == BASE_OK)
        rc = base_file_truncate(next.file, 0, err); /* of an earlier attempt */
    if (rc == BASE_OK)
        rc = base_file_write(next.file, 0, header, sizeof header, err);
    if (rc == BASE_OK)
        rc = record_append(&next, LSMI_RECORD_EDIT, base_buf_view(&edit), true, err);
    if (rc == BASE_OK)
        rc = base_fs_sync_dir(m->fs, m->dir, err);
    bool named = rc == BASE_OK; /* from here on CURRENT may name the file: then it stays as it is */
    if (rc == BASE_OK)
        rc = current_write(m, next.number, err);
    base_buf_fini(&edit);
    if (rc != BASE_OK) {
        base_file_close(next.file);
        if (!named)
            (void)!base_fs_remove(m->fs, path, NULL);
        m->rewrite = true;
        m->attempts += named;
        return base_err_wrap(err, rc, "manifest: rewrite");
    }
    file_path(m, m->number, path);
    base_file_close(m->file);
    if (m->number)
        (void)!base_fs_remove(m->fs, path, NULL); /* if it stays, nobody reads it */
    next.synced = next.live_size = next.offset;
    next.rewrite = next.unconfirmed = false;
    next.attempts = 0;
    *m = next;
    return BASE_OK;
}

int lsmi_manifest_commit(struct lsmi_manifest *m, struct base_slice edit, struct base_err *err)
{
    BASE_ASSERT(edit.len > 0);
    struct base_err own;
    err = err ? err : &own;
    int rc = reserve(m, edit.len / 2);
    if (rc != BASE_OK)
        return base_err_set(err, rc, "manifest: out of memory");
    bool large = m->offset > REWRITE_MIN && m->offset > 4 * m->live_size;
    if ((m->rewrite || large) && (rc = rewrite(m, err)) != BASE_OK)
        return rc;
    rc = record_append(m, LSMI_RECORD_EDIT, edit, true, err);
    if (rc != BASE_OK) {
        m->rewrite = true;
        return base_err_wrap(err, rc, "manifest");
    }
    m->synced = m->offset;
    bool ok = apply(m, edit);
    BASE_ASSERT(ok); /* the store made the edit from this very state */
    if (record_append(m, LSMI_RECORD_MARK, (struct base_slice){0}, false, NULL) != BASE_OK)
        m->rewrite = true;
    return BASE_OK;
}

/* Reading. */

static int read_whole(struct base_fs *fs, const char *path, uint8_t **data, size_t *len,
                      struct base_err *err)
{
    struct base_file *file;
    uint64_t size;
    *data = NULL;
    *len = 0;
    int rc = base_fs_open(fs, path, BASE_OPEN_READ, &file, err);
    if (rc != BASE_OK)
        return rc;
    rc = base_file_size(file, &size, err);
    if (rc == BASE_OK && !(*data = malloc(size + 1)))
        rc = base_err_set(err, BASE_E_NOMEM, "read %s: out of memory", path);
    if (rc == BASE_OK)
        rc = base_file_read(file, 0, *data, (size_t)size, len, err);
    base_file_close(file);
    if (rc != BASE_OK) {
        free(*data);
        *data = NULL;
        *len = 0;
    }
    return rc;
}

/* CURRENT: its number; NOTFOUND when there is none. */
static int current_read(struct lsmi_manifest *m, uint64_t *number, struct base_err *err)
{
    char path[PATH_MAX_];
    uint8_t *data;
    size_t len;
    snprintf(path, sizeof path, "%s/CURRENT", m->dir);
    int rc = read_whole(m->fs, path, &data, &len, err);
    if (rc != BASE_OK)
        return rc;
    unsigned long long n = 0, sum = 0;
    data[len] = 0;
    static const size_t name_len = 9 + 10;
    bool ok = len == name_len + 18 && data[len - 1] == '\n' &&
              sscanf((char *)data, "MANIFEST-%10llu %16llx", &n, &sum) == 2 &&
              sum == base_checksum(data, name_len);
    char text[64];
    snprintf(text, sizeof text, "MANIFEST-%010llu %016llx\n", n, sum);
    ok = ok && strcmp(text, (char *)data) == 0; /* no second spelling of the same numbers */
    free(data);
    *number = ok ? n : 0;
    return ok ? BASE_OK
              : base_err_set(err, BASE_E_CORRUPT,
                             "%s: damaged: restore it, or rebuild this node "
                             "from its replicas",
                             path);
}

/* Is there, anywhere behind `offset`, a record that says this place had been synced? */
static bool synced_beyond(struct base_slice bytes, uint64_t seed, uint64_t offset)
{
    for (uint64_t at = offset; at + LSMI_RECORD_HEADER <= bytes.len; at += LSMI_RECORD_ALIGN) {
        struct lsmi_record record;
        struct base_slice rest = base_slice(bytes.data + at, bytes.len - (size_t)at);
        if (lsmi_record_open(rest, seed, at, &record) && record.synced > offset)
            return true;
    }
    return false;
}

static int load(struct lsmi_manifest *m, const char *path, struct base_slice bytes,
                struct base_err *err)
{
    if (bytes.len < FIRST || base_get_le64(bytes.data) != MAGIC ||
        base_get_le64(bytes.data + 24) != base_checksum_seeded(bytes.data, 24, m->number))
        return base_err_set(err, BASE_E_CORRUPT, "%s: damaged header at offset 0", path);
    if (base_get_le32(bytes.data + 8) != VERSION || base_get_le32(bytes.data + 12) != FIRST)
        return base_err_set(err, BASE_E_VERSION, "%s: format version %u; this program knows %d",
                            path, base_get_le32(bytes.data + 8), VERSION);
    m->seed = base_checksum_seeded(&m->number, sizeof m->number, base_get_le64(bytes.data + 16));
    uint64_t offset = FIRST, edits_end = FIRST, synced = 0;
    for (;;) {
        struct lsmi_record record;
        struct base_slice rest = base_slice(bytes.data + offset, bytes.len - (size_t)offset);
        uint64_t size = lsmi_record_open(rest, m->seed, offset, &record);
        if (size == 0)
            break;
        synced = record.synced > synced ? record.synced : synced;
        if (record.kind == LSMI_RECORD_EDIT) {
            if (offset > FIRST) /* the first was synced before CURRENT named the file */
                edits_end = offset + size;
            int rc = reserve(m, record.payload.len / 2 + 1);
            if (rc != BASE_OK)
                return base_err_set(err, rc, "%s: out of memory", path);
            if (!apply(m, record.payload))
                return base_err_set(err, BASE_E_CORRUPT,
                                    "%s: an edit at offset %llu makes no sense", path,
                                    (unsigned long long)offset);
        }
        offset += size;
    }
    /* The first edit was synced before CURRENT named the file: it cannot be torn. */
    if (offset == FIRST || synced_beyond(bytes, m->seed, offset))
        return base_err_set(err, BASE_E_CORRUPT,
                            "%s: damaged edit at offset %llu: restore the file, or rebuild "
                            "this node from its replicas",
                            path, (unsigned long long)offset);
    m->offset = m->live_size = offset;
    m->synced = synced;               /* the last mark itself may not be on the disk */
    m->rewrite = offset != bytes.len; /* a torn tail: nothing is appended behind it */
    m->unconfirmed = synced < edits_end;
    return BASE_OK;
}

int lsmi_manifest_open(struct base_fs *fs, struct base_random *random, const char *dir,
                       struct lsmi_manifest *m, struct base_err *err)
{
    *m = (struct lsmi_manifest){.fs = fs, .random = random, .next_id = 1};
    struct base_err own;
    err = err ? err : &own;
    char path[PATH_MAX_];
    uint8_t *data = NULL;
    size_t len = 0;
    if (!(m->dir = strdup(dir)))
        return base_err_set(err, BASE_E_NOMEM, "manifest: out of memory");
    int rc = current_read(m, &m->number, err);
    if (rc == BASE_E_NOTFOUND) {
        m->number = 0;
        rc = rewrite(m, err);
        if (rc != BASE_OK)
            lsmi_manifest_close(m);
        return rc;
    }
    file_path(m, m->number, path);
    if (rc == BASE_OK && (rc = read_whole(fs, path, &data, &len, err)) == BASE_E_NOTFOUND)
        rc = base_err_set(err, BASE_E_CORRUPT, "%s, which CURRENT names, is missing", path);
    if (rc == BASE_OK)
        rc = load(m, path, base_slice(data, len), err);
    if (rc == BASE_OK)
        rc = base_fs_open(fs, path, BASE_OPEN_READ | BASE_OPEN_WRITE, &m->file, err);
    /* The last edit may be in the cache only (its sync failed, or its process died before): what is
     * removed on its word must not be missed when it is gone after a power loss. A second sync
     * would prove nothing. */
    if (rc == BASE_OK && m->unconfirmed)
        rc = rewrite(m, err);
    free(data);
    if (rc != BASE_OK)
        lsmi_manifest_close(m);
    return rc;
}

void lsmi_manifest_close(struct lsmi_manifest *m)
{
    base_file_close(m->file);
    free(m->sstables);
    free(m->tables);
    free(m->dir);
    *m = (struct lsmi_manifest){0};
}
