/* What ringlet keeps in a catalog, on the port: identity, the metadata log, the current schema,
 * small local state. Works the same on LMDB and in memory. docs/formats/catalog.md has keys and
 * values.
 *
 * 1. A log entry, "epoch" and "schema" change in one transaction: after a crash the schema is the
 *    one that the last log entry led to.
 * 2. Log entries are written once and never changed: an entry's key must be new.
 * 3. The log has no gap: what is there of it is all from "log_kept"'s first entry to the last. Its
 *    oldest entries go in the transaction that appends; all go in the one that installs the state
 *    of others. */
#include "catalog/catalog.h"

#include <stdio.h>
#include <stdlib.h>

enum { KEY_LEN_MAX = 128, SCHEMA_LEN_MAX = 1 << 30, IDENTITY_VERSION = 1, LOG_KEY_LEN = 12 };
#define CUT_MAX 1024 /* entries cut off in one transaction */

static const struct base_slice key_identity = {(const uint8_t *)"identity", 8};
static const struct base_slice key_epoch = {(const uint8_t *)"epoch", 5};
static const struct base_slice key_schema = {(const uint8_t *)"schema", 6};
static const struct base_slice key_kept = {(const uint8_t *)"log_kept", 8};
static const struct base_slice key_ring = {(const uint8_t *)"ring", 4};

void cat_close(struct cat_catalog *cat)
{
    if (cat)
        cat->ops->close(cat);
}

static int corrupt(struct base_slice key, struct base_err *err)
{
    return base_err_set(err, BASE_E_CORRUPT, "catalog: key %.*s: the value cannot be decoded",
                        BASE_SLICE_ARG(key));
}

static struct base_slice local_key(char out[KEY_LEN_MAX], const char *name)
{
    int len = snprintf(out, KEY_LEN_MAX, "local/%s", name);
    BASE_ASSERT(len > 6 && len < KEY_LEN_MAX);
    return base_slice(out, (size_t)len);
}

/* Identity. */

int cat_identity_get(struct cat_catalog *cat, struct cat_identity *out, struct base_err *err)
{
    struct base_buf value;
    base_buf_init(&value, 4096);
    *out = (struct cat_identity){0};
    int rc = cat->ops->get(cat, key_identity, &value, err);
    if (rc == BASE_OK) {
        struct base_reader in = base_reader(base_buf_view(&value));
        struct base_slice host = {0}, name = {0};
        uint8_t version;
        struct cat_identity id = {0};
        if (base_get_u8(&in, &version) && version > IDENTITY_VERSION)
            rc = base_err_set(err, BASE_E_VERSION,
                              "catalog: key identity: version %u, this program knows %d",
                              (unsigned)version, IDENTITY_VERSION);
        else if (!base_get_raw(&in, sizeof id.host_id.b, &host) ||
                 !base_get_u32le(&in, &id.generation) || !base_get_u32le(&in, &id.format_version) ||
                 !base_get_bytes(&in, &name) || name.len >= sizeof id.cluster_name ||
                 base_reader_left(&in))
            rc = corrupt(key_identity, err);
        if (rc == BASE_OK) {
            memcpy(id.host_id.b, host.data, sizeof id.host_id.b);
            if (name.len)
                memcpy(id.cluster_name, name.data, name.len);
            *out = id;
        }
    }
    base_buf_fini(&value);
    return rc;
}

int cat_identity_put(struct cat_catalog *cat, const struct cat_identity *identity,
                     struct base_err *err)
{
    struct base_buf value;
    base_buf_init(&value, 4096);
    size_t name_len = strnlen(identity->cluster_name, sizeof identity->cluster_name);
    BASE_ASSERT(name_len < sizeof identity->cluster_name);
    int rc = base_buf_put_u8(&value, IDENTITY_VERSION);
    if (rc == BASE_OK)
        rc = base_buf_put(&value, identity->host_id.b, sizeof identity->host_id.b);
    if (rc == BASE_OK)
        rc = base_buf_put_le32(&value, identity->generation);
    if (rc == BASE_OK)
        rc = base_buf_put_le32(&value, identity->format_version);
    if (rc == BASE_OK)
        rc = base_buf_put_bytes(&value, base_slice(identity->cluster_name, name_len));
    if (rc != BASE_OK)
        rc = base_err_set(err, rc, "catalog: identity: %s", base_err_words(rc));
    else
        rc = cat->ops->write(
            cat, &(struct cat_pair){.key = key_identity, .value = base_buf_view(&value)}, 1, err);
    base_buf_fini(&value);
    return rc;
}

int cat_identity_bump(struct cat_catalog *cat, struct cat_identity *out, struct base_err *err)
{
    int rc = cat_identity_get(cat, out, err);
    if (rc != BASE_OK)
        return rc;
    out->generation++;
    return cat_identity_put(cat, out, err);
}

/* The metadata log and the schema it led to. */

/* "log/" and the epoch, big-endian, so that a scan is in order. */
static struct base_slice log_key(uint8_t out[LOG_KEY_LEN], uint64_t epoch)
{
    memcpy(out, "log/", 4);
    base_put_be64(out + 4, epoch);
    return base_slice(out, LOG_KEY_LEN);
}

/* The epoch of the last log entry; 0 in a new catalog. */
static int last_epoch(struct cat_catalog *cat, uint64_t *epoch, struct base_err *err)
{
    struct base_buf value;
    base_buf_init(&value, 64);
    *epoch = 0;
    int rc = cat->ops->get(cat, key_epoch, &value, err);
    if (rc == BASE_E_NOTFOUND) {
        base_err_clear(err);
        rc = BASE_OK;
    } else if (rc == BASE_OK && value.len != 8) {
        rc = corrupt(key_epoch, err);
    } else if (rc == BASE_OK) {
        *epoch = base_get_le64(value.data);
    }
    base_buf_fini(&value);
    return rc;
}

static int stale(uint64_t epoch, uint64_t last, struct base_err *err)
{
    return base_err_set(err, BASE_E_STALE,
                        "metadata log: entry %llu does not follow the last one, %llu",
                        (unsigned long long)epoch, (unsigned long long)last);
}

/* What is left of the log: its oldest entry, and the bytes of all. */
struct kept {
    uint64_t first, bytes;
};

static int add_entry(void *ctx, struct base_slice key, struct base_slice value)
{
    (void)key;
    *(uint64_t *)ctx += value.len;
    return BASE_OK;
}

/* A directory of a version that kept all has no such value: counted once. Damage in an old entry
 * is for whoever reads it. */
static int kept_get(struct cat_catalog *cat, uint64_t last, struct kept *out, struct base_err *err)
{
    struct base_buf value;
    base_buf_init(&value, 64);
    *out = (struct kept){0};
    int rc = cat->ops->get(cat, key_kept, &value, err);
    if (rc == BASE_OK && value.len != 16)
        rc = corrupt(key_kept, err);
    else if (rc == BASE_OK)
        *out = (struct kept){base_get_le64(value.data), base_get_le64(value.data + 8)};
    else if (rc == BASE_E_NOTFOUND) {
        base_err_clear(err);
        out->first = 1;
        rc = cat->ops->scan(cat, base_slice("log/", 4), add_entry, &out->bytes, err);
        if (rc == BASE_E_CORRUPT) {
            base_err_clear(err);
            rc = BASE_OK;
        }
    }
    if (rc == BASE_OK && (out->first == 0 || out->first > last + 1))
        rc = corrupt(key_kept, err);
    base_buf_fini(&value);
    return rc;
}

static struct base_slice kept_value(uint8_t out[16], const struct kept *kept)
{
    base_put_le64(out, kept->first);
    base_put_le64(out + 8, kept->bytes);
    return base_slice(out, 16);
}

int cat_log_first(struct cat_catalog *cat, uint64_t *first, struct base_err *err)
{
    uint64_t last;
    struct kept kept = {0};
    int rc = last_epoch(cat, &last, err);
    if (rc == BASE_OK)
        rc = kept_get(cat, last, &kept, err);
    *first = kept.first;
    return rc;
}

/* One transaction that is put together. */
struct log_write {
    struct cat_pair *pairs;
    uint8_t (*keys)[LOG_KEY_LEN]; /* of entries that are cut off */
    size_t count, cut;
    uint8_t kept[16], epoch[8];
    struct base_buf schema;
};

static void log_write_fini(struct log_write *w)
{
    free(w->pairs);
    free(w->keys);
    base_buf_fini(&w->schema);
}

/* The state that both kinds of write end with, and room for `cuts` entries to delete. */
static int log_write_init(struct log_write *w, const struct base_schema *schema,
                          struct base_slice ring, size_t cuts, struct base_err *err)
{
    *w = (struct log_write){0};
    base_buf_init(&w->schema, SCHEMA_LEN_MAX);
    w->pairs = calloc(cuts + 8, sizeof *w->pairs);
    w->keys = calloc(cuts + 1, sizeof *w->keys);
    int rc = w->pairs && w->keys ? base_schema_encode(schema, &w->schema) : BASE_E_NOMEM;
    if (rc != BASE_OK)
        return base_err_set(err, rc, "catalog: schema: %s", base_err_words(rc));
    base_put_le64(w->epoch, schema->epoch);
    w->pairs[w->count++] = (struct cat_pair){.key = key_epoch, .value = base_slice(w->epoch, 8)};
    w->pairs[w->count++] = (struct cat_pair){.key = key_schema, .value = base_buf_view(&w->schema)};
    if (ring.len)
        w->pairs[w->count++] = (struct cat_pair){.key = key_ring, .value = ring};
    return BASE_OK;
}

static void log_write_cut(struct log_write *w, uint64_t epoch)
{
    w->pairs[w->count++] = (struct cat_pair){.key = log_key(w->keys[w->cut++], epoch)};
}

/* Cut what is too much, at most CUT_MAX at a time. An entry that cannot be read is cut off as
 * well. */
static void cut(struct cat_catalog *cat, struct log_write *w, const struct cat_log_keep *keep,
                size_t state_bytes, uint64_t last, struct kept *kept)
{
    struct base_buf entry;
    if (keep->entries == 0 || state_bytes > keep->state_bytes_max)
        return;
    base_buf_init(&entry, SCHEMA_LEN_MAX);
    while (kept->first < last && w->cut < CUT_MAX &&
           (last - kept->first >= keep->entries || kept->bytes > keep->bytes)) {
        uint8_t key[LOG_KEY_LEN];
        base_buf_reset(&entry);
        if (cat->ops->get(cat, log_key(key, kept->first), &entry, NULL) != BASE_OK)
            base_buf_reset(&entry);
        kept->bytes -= entry.len < kept->bytes ? entry.len : kept->bytes;
        log_write_cut(w, kept->first++);
    }
    base_buf_fini(&entry);
}

int cat_log_append(struct cat_catalog *cat, uint64_t epoch, struct base_slice change,
                   const struct base_schema *after, struct base_slice ring,
                   const struct cat_log_keep *keep, struct base_err *err)
{
    BASE_ASSERT(after->epoch == epoch && epoch > 0);
    uint64_t last;
    struct kept kept;
    struct log_write w = {0};
    int rc = last_epoch(cat, &last, err);
    if (rc == BASE_OK && epoch != last + 1)
        return stale(epoch, last, err);
    if (rc == BASE_OK)
        rc = kept_get(cat, last, &kept, err);
    if (rc != BASE_OK)
        return rc;
    rc = log_write_init(&w, after, ring, CUT_MAX, err);
    if (rc == BASE_OK) {
        uint8_t key[LOG_KEY_LEN];
        kept.bytes += change.len;
        cut(cat, &w, keep, w.schema.len + ring.len, epoch, &kept);
        w.pairs[w.count++] =
            (struct cat_pair){.key = log_key(key, epoch), .value = change, .must_be_new = true};
        w.pairs[w.count++] = (struct cat_pair){.key = key_kept, .value = kept_value(w.kept, &kept)};
        rc = cat->ops->write(cat, w.pairs, w.count, err);
        if (rc == BASE_E_EXISTS) /* another thread was faster */
            rc = stale(epoch, epoch, err);
    }
    log_write_fini(&w);
    return rc;
}

int cat_log_install(struct cat_catalog *cat, const struct base_schema *schema,
                    struct base_slice ring, const char *name, struct base_slice value,
                    struct base_err *err)
{
    char text[KEY_LEN_MAX];
    uint64_t last;
    struct kept kept, none = {schema->epoch + 1, 0};
    struct log_write w = {0};
    int rc = last_epoch(cat, &last, err);
    if (rc == BASE_OK && schema->epoch <= last)
        return stale(schema->epoch, last, err);
    if (rc == BASE_OK)
        rc = kept_get(cat, last, &kept, err);
    if (rc != BASE_OK)
        return rc;
    rc = log_write_init(&w, schema, ring, (size_t)(last + 1 - kept.first), err);
    if (rc == BASE_OK) {
        for (uint64_t epoch = kept.first; epoch <= last; epoch++)
            log_write_cut(&w, epoch);
        w.pairs[w.count++] = (struct cat_pair){.key = key_kept, .value = kept_value(w.kept, &none)};
        w.pairs[w.count++] = (struct cat_pair){.key = local_key(text, name), .value = value};
        rc = cat->ops->write(cat, w.pairs, w.count, err);
    }
    log_write_fini(&w);
    return rc;
}

int cat_log_get(struct cat_catalog *cat, uint64_t epoch, struct base_buf *out, struct base_err *err)
{
    uint8_t key[LOG_KEY_LEN];
    int rc = cat->ops->get(cat, log_key(key, epoch), out, err);
    return rc == BASE_OK
               ? rc
               : base_err_wrap(err, rc, "metadata log entry %llu", (unsigned long long)epoch);
}

int cat_ring_load(struct cat_catalog *cat, struct base_buf *out, struct base_err *err)
{
    return cat->ops->get(cat, key_ring, out, err);
}

int cat_schema_load(struct cat_catalog *cat, struct base_schema **out, struct base_err *err)
{
    struct base_buf value;
    uint64_t last = 0;
    base_buf_init(&value, SCHEMA_LEN_MAX);
    *out = NULL;
    int rc = last_epoch(cat, &last, err);
    if (rc == BASE_OK && last == 0) {
        *out = base_schema_new();
        rc = *out ? BASE_OK
                  : base_err_set(err, BASE_E_NOMEM, "schema: %s", base_err_words(BASE_E_NOMEM));
    } else if (rc == BASE_OK) {
        rc = cat->ops->get(cat, key_schema, &value, err);
        if (rc == BASE_E_NOTFOUND)
            rc = base_err_set(err, BASE_E_CORRUPT,
                              "catalog: key schema is missing, the log is at %llu",
                              (unsigned long long)last);
        if (rc == BASE_OK) {
            rc = base_schema_decode(base_buf_view(&value), out, err);
            if (rc != BASE_OK)
                rc = base_err_wrap(err, rc, "catalog: key schema");
        }
        if (rc == BASE_OK && (*out)->epoch != last) {
            rc = base_err_set(err, BASE_E_CORRUPT,
                              "catalog: key schema is of epoch %llu, the log is at %llu",
                              (unsigned long long)(*out)->epoch, (unsigned long long)last);
            base_schema_release(*out);
            *out = NULL;
        }
    }
    base_buf_fini(&value);
    return rc;
}

/* Local state. */

int cat_local_get(struct cat_catalog *cat, const char *name, struct base_buf *out,
                  struct base_err *err)
{
    char text[KEY_LEN_MAX];
    return cat->ops->get(cat, local_key(text, name), out, err);
}

int cat_local_put(struct cat_catalog *cat, const char *name, struct base_slice value,
                  struct base_err *err)
{
    char text[KEY_LEN_MAX];
    struct cat_pair pair = {.key = local_key(text, name), .value = value};
    return cat->ops->write(cat, &pair, 1, err);
}

int cat_local_get_i64(struct cat_catalog *cat, const char *name, int64_t *out, struct base_err *err)
{
    char text[KEY_LEN_MAX];
    struct base_slice key = local_key(text, name);
    struct base_buf value;
    base_buf_init(&value, 64);
    *out = 0;
    int rc = cat->ops->get(cat, key, &value, err);
    if (rc == BASE_OK && value.len != 8)
        rc = corrupt(key, err);
    if (rc == BASE_OK)
        *out = (int64_t)base_get_le64(value.data);
    base_buf_fini(&value);
    return rc;
}

int cat_local_put_i64(struct cat_catalog *cat, const char *name, int64_t value,
                      struct base_err *err)
{
    char text[KEY_LEN_MAX];
    uint8_t number[8];
    base_put_le64(number, (uint64_t)value);
    struct cat_pair pair = {.key = local_key(text, name), .value = base_slice(number, 8)};
    return cat->ops->write(cat, &pair, 1, err);
}
