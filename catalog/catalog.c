/* What ringlet keeps in a catalog, on the port: identity, the metadata log, the current schema,
 * small local state. Works the same on LMDB and in memory. docs/formats/catalog.md has keys and
 * values.
 *
 * 1. A log entry, "epoch" and "schema" change in one transaction: after a crash the schema is the
 *    one that the last log entry led to.
 * 2. Log entries are written once and never changed: an entry's key must be new. */
#include "catalog/catalog.h"

#include <stdio.h>

enum { KEY_LEN_MAX = 128, SCHEMA_LEN_MAX = 1 << 30, IDENTITY_VERSION = 1 };

static const struct base_slice key_identity = {(const uint8_t *)"identity", 8};
static const struct base_slice key_epoch = {(const uint8_t *)"epoch", 5};
static const struct base_slice key_schema = {(const uint8_t *)"schema", 6};
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
static struct base_slice log_key(uint8_t out[12], uint64_t epoch)
{
    memcpy(out, "log/", 4);
    base_put_be64(out + 4, epoch);
    return base_slice(out, 12);
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

int cat_log_append(struct cat_catalog *cat, uint64_t epoch, struct base_slice change,
                   const struct base_schema *after, struct base_slice ring, struct base_err *err)
{
    BASE_ASSERT(after->epoch == epoch && epoch > 0);
    uint64_t last;
    int rc = last_epoch(cat, &last, err);
    if (rc != BASE_OK)
        return rc;
    if (epoch != last + 1)
        return stale(epoch, last, err);
    struct base_buf schema;
    base_buf_init(&schema, SCHEMA_LEN_MAX);
    rc = base_schema_encode(after, &schema);
    if (rc != BASE_OK) {
        rc = base_err_set(err, rc, "catalog: schema: %s", base_err_words(rc));
    } else {
        uint8_t key[12], number[8];
        base_put_le64(number, epoch);
        struct cat_pair pairs[] = {
            {.key = log_key(key, epoch), .value = change, .must_be_new = true},
            {.key = key_epoch, .value = base_slice(number, 8)},
            {.key = key_schema, .value = base_buf_view(&schema)},
            {.key = key_ring, .value = ring},
        };
        rc = cat->ops->write(cat, pairs, BASE_COUNT(pairs) - (ring.len ? 0 : 1), err);
        if (rc == BASE_E_EXISTS) /* another thread was faster */
            rc = stale(epoch, epoch, err);
    }
    base_buf_fini(&schema);
    return rc;
}

int cat_log_get(struct cat_catalog *cat, uint64_t epoch, struct base_buf *out, struct base_err *err)
{
    uint8_t key[12];
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

static struct base_slice local_key(char out[KEY_LEN_MAX], const char *name)
{
    int len = snprintf(out, KEY_LEN_MAX, "local/%s", name);
    BASE_ASSERT(len > 6 && len < KEY_LEN_MAX);
    return base_slice(out, (size_t)len);
}

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
