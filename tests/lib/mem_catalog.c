/* A sorted array of pairs under a mutex. A write checks all of its pairs before it touches the
 * first, and nothing can fail after that (out of memory aborts the test): it is all or nothing. */
#include "tests/lib/mem_catalog.h"

#include <pthread.h>
#include <stdio.h>

struct entry {
    uint8_t *key, *value;
    size_t key_len, value_len;
    bool damaged;
};
struct mem_catalog {
    pthread_mutex_t lock;
    struct entry *entries;
    size_t count;
    unsigned long writes;
    long fail_in; /* < 0: never */
    enum mem_catalog_fault fault;
    int code;
    bool hit;
};
struct handle {
    struct cat_catalog base;
    struct mem_catalog *store;
};

static void *need(void *p)
{
    if (!p) {
        fprintf(stderr, "mem_catalog: out of memory\n");
        abort();
    }
    return p;
}

static uint8_t *copy_bytes(struct base_slice s)
{
    uint8_t *p = need(malloc(s.len ? s.len : 1));
    if (s.len)
        memcpy(p, s.data, s.len);
    return p;
}

static struct mem_catalog *store_of(struct cat_catalog *cat)
{
    return BASE_CONTAINER(cat, struct handle, base)->store;
}

static struct base_slice key_of(const struct entry *e)
{
    return base_slice(e->key, e->key_len);
}

/* The first entry whose key is not less. */
static size_t find(const struct mem_catalog *store, struct base_slice key, bool *found)
{
    size_t i = 0;
    while (i < store->count && base_slice_compare(key_of(&store->entries[i]), key) < 0)
        i++;
    *found = i < store->count && base_slice_equal(key_of(&store->entries[i]), key);
    return i;
}

static int check_value(const struct entry *e, struct base_err *err)
{
    if (!e->damaged)
        return BASE_OK;
    return base_err_set(err, BASE_E_CORRUPT, "catalog (memory): key %.*s: checksum mismatch",
                        BASE_SLICE_ARG(key_of(e)));
}

static int mem_get(struct cat_catalog *cat, struct base_slice key, struct base_buf *out,
                   struct base_err *err)
{
    struct mem_catalog *store = store_of(cat);
    pthread_mutex_lock(&store->lock);
    bool found;
    size_t i = find(store, key, &found);
    int rc = found ? check_value(&store->entries[i], err)
                   : base_err_set(err, BASE_E_NOTFOUND, "catalog (memory): key %.*s: not found",
                                  BASE_SLICE_ARG(key));
    if (rc == BASE_OK) {
        rc = base_buf_put(out, store->entries[i].value, store->entries[i].value_len);
        if (rc != BASE_OK)
            rc = base_err_set(err, rc, "catalog (memory): key %.*s: %s", BASE_SLICE_ARG(key),
                              base_err_words(rc));
    }
    pthread_mutex_unlock(&store->lock);
    return rc;
}

static void remove_at(struct mem_catalog *store, size_t i)
{
    free(store->entries[i].key);
    free(store->entries[i].value);
    memmove(&store->entries[i], &store->entries[i + 1],
            (store->count - i - 1) * sizeof *store->entries);
    store->count--;
}

static void apply_pair(struct mem_catalog *store, const struct cat_pair *pair)
{
    bool found;
    size_t i = find(store, pair->key, &found);
    if (found)
        remove_at(store, i);
    if (!pair->value.data)
        return;
    store->entries = need(realloc(store->entries, (store->count + 1) * sizeof *store->entries));
    memmove(&store->entries[i + 1], &store->entries[i],
            (store->count - i) * sizeof *store->entries);
    store->entries[i] = (struct entry){copy_bytes(pair->key), copy_bytes(pair->value),
                                       pair->key.len, pair->value.len, false};
    store->count++;
}

static int check_pairs(const struct mem_catalog *store, const struct cat_pair *pairs, size_t n,
                       struct base_err *err)
{
    for (size_t i = 0; i < n; i++) {
        bool found;
        if (pairs[i].key.len == 0 || pairs[i].key.len > CAT_KEY_LEN_MAX)
            return base_err_set(err, BASE_E_LIMIT, "catalog (memory): a key of %zu bytes",
                                pairs[i].key.len);
        find(store, pairs[i].key, &found);
        if (pairs[i].must_be_new && found)
            return base_err_set(err, BASE_E_EXISTS, "catalog (memory): key %.*s is there already",
                                BASE_SLICE_ARG(pairs[i].key));
    }
    return BASE_OK;
}

static int mem_write(struct cat_catalog *cat, const struct cat_pair *pairs, size_t n,
                     struct base_err *err)
{
    struct mem_catalog *store = store_of(cat);
    pthread_mutex_lock(&store->lock);
    int rc = check_pairs(store, pairs, n, err), fault = -1;
    if (rc == BASE_OK) {
        store->writes++;
        if (store->fail_in >= 0 && store->fail_in-- == 0) {
            fault = (int)store->fault;
            store->hit = true;
            rc = base_err_set(err, store->code, "catalog (memory): injected fault");
        }
        if (fault != MEM_CATALOG_REFUSE)
            for (size_t i = 0; i < n; i++)
                apply_pair(store, &pairs[i]);
    }
    pthread_mutex_unlock(&store->lock);
    return rc;
}

static int mem_scan(struct cat_catalog *cat, struct base_slice prefix,
                    int (*each)(void *ctx, struct base_slice key, struct base_slice value),
                    void *ctx, struct base_err *err)
{
    struct mem_catalog *store = store_of(cat);
    pthread_mutex_lock(&store->lock);
    bool found;
    int rc = BASE_OK;
    for (size_t i = find(store, prefix, &found); rc == BASE_OK && i < store->count; i++) {
        const struct entry *e = &store->entries[i];
        if (e->key_len < prefix.len || (prefix.len && memcmp(e->key, prefix.data, prefix.len) != 0))
            break;
        rc = check_value(e, err);
        if (rc == BASE_OK)
            rc = each(ctx, key_of(e), base_slice(e->value, e->value_len));
    }
    pthread_mutex_unlock(&store->lock);
    return rc;
}

static void mem_close(struct cat_catalog *cat)
{
    free(BASE_CONTAINER(cat, struct handle, base));
}

static const struct cat_ops mem_ops = {mem_get, mem_write, mem_scan, mem_close};

struct mem_catalog *mem_catalog_new(void)
{
    struct mem_catalog *store = need(calloc(1, sizeof *store));
    pthread_mutex_init(&store->lock, NULL);
    store->fail_in = -1;
    return store;
}

void mem_catalog_free(struct mem_catalog *store)
{
    while (store->count)
        remove_at(store, store->count - 1);
    free(store->entries);
    pthread_mutex_destroy(&store->lock);
    free(store);
}

struct cat_catalog *mem_catalog_open(struct mem_catalog *store)
{
    struct handle *handle = need(calloc(1, sizeof *handle));
    handle->base.ops = &mem_ops;
    handle->store = store;
    return &handle->base;
}

void mem_catalog_fail_at(struct mem_catalog *store, long k, enum mem_catalog_fault fault, int code)
{
    store->fail_in = k;
    store->fault = fault;
    store->code = code;
    store->hit = false;
}

bool mem_catalog_was_hit(const struct mem_catalog *store)
{
    return store->hit;
}

bool mem_catalog_damage(struct mem_catalog *store, struct base_slice key)
{
    bool found;
    size_t i = find(store, key, &found);
    if (found)
        store->entries[i].damaged = true;
    return found;
}

unsigned long mem_catalog_write_count(const struct mem_catalog *store)
{
    return store->writes;
}
