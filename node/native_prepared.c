/* Prepared statements: one cache a node, bounded in bytes, the one longest not used goes first.
 *
 * Invariants:
 *  1. An id is 16 bytes of XXH3 over the keyspace (where the statement names none of its own) and
 *     the text: the same on every node.
 *  2. What an entry was prepared to is immutable. When the schema moves it is let go, with the
 *     snapshot that it was made against, as soon as no request uses it: at most the latest snapshot
 *     and those of requests under way are kept. The text stays, the id stays valid, and the next
 *     use makes another entry in its place.
 *  3. What cannot be prepared any more is forgotten: its client is told "unprepared", prepares it
 *     again, and gets the reason.
 *  4. An entry whose rows have other columns than an earlier one in its place had says so, and so
 *     do all after it (columns_moved): v3 and v4 have no other way to tell a client that the
 *     columns it remembers are not these. */
#include "node/native_private.h"

enum { BUCKETS = 4096 };

int nodei_prepared_cache_init(struct nodei_prepared_cache *cache, size_t size_bytes_max,
                              struct base_err *err)
{
    memset(cache, 0, sizeof *cache);
    cache->size_bytes_max = size_bytes_max;
    cache->buckets = calloc(BUCKETS, sizeof *cache->buckets);
    if (!cache->buckets)
        return base_err_set(err, BASE_E_NOMEM, "prepared statements: out of memory");
    cache->bucket_count = BUCKETS;
    return BASE_OK;
}

static void let_go(struct nodei_prepared *p)
{
    if (p->schema)
        base_schema_release(p->schema);
    p->schema = NULL;
    p->prepared = NULL;
    base_arena_fini(&p->arena);
}

static size_t asleep_size(const struct nodei_prepared *p)
{
    return sizeof *p + p->text.len + p->keyspace.len;
}

/* Only the cache has it, and the schema has moved: its text is all that is wanted. */
static void fall_asleep(struct nodei_prepared *p)
{
    BASE_ASSERT(p->refs == 1 && p->cache && p->outdated);
    if (!p->prepared)
        return;
    let_go(p);
    BASE_ASSERT(p->cache->size_bytes >= p->size_bytes && p->size_bytes >= asleep_size(p));
    p->cache->size_bytes -= p->size_bytes - asleep_size(p);
    p->size_bytes = asleep_size(p);
}

void nodei_prepared_release(struct nodei_prepared *p)
{
    if (!p)
        return;
    if (--p->refs == 1 && p->cache && p->outdated)
        fall_asleep(p);
    if (p->refs > 0)
        return;
    let_go(p);
    free((void *)(uintptr_t)p->text.data);
    free((void *)(uintptr_t)p->keyspace.data);
    free(p);
}

void nodei_prepared_schema_moved(struct nodei_prepared_cache *cache, uint64_t epoch)
{
    if (cache->epoch == epoch)
        return;
    cache->epoch = epoch;
    for (struct nodei_prepared *p = cache->newest; p; p = p->older) {
        p->outdated = p->outdated || p->epoch != epoch;
        if (p->outdated && p->refs == 1)
            fall_asleep(p);
    }
}

/* Places. */

static struct nodei_prepared **bucket_of(struct nodei_prepared_cache *cache,
                                         const uint8_t id[BASE_DIGEST_LEN])
{
    return &cache->buckets[base_get_le64(id) % cache->bucket_count];
}

static void unlink_use(struct nodei_prepared_cache *cache, struct nodei_prepared *p)
{
    *(p->newer ? &p->newer->older : &cache->newest) = p->older;
    *(p->older ? &p->older->newer : &cache->oldest) = p->newer;
    p->newer = p->older = NULL;
}

static void link_use(struct nodei_prepared_cache *cache, struct nodei_prepared *p)
{
    p->older = cache->newest;
    *(p->older ? &p->older->newer : &cache->oldest) = p;
    cache->newest = p;
}

static void forget(struct nodei_prepared_cache *cache, struct nodei_prepared *p)
{
    struct nodei_prepared **at = bucket_of(cache, p->id);
    while (*at != p) {
        BASE_ASSERT(*at);
        at = &(*at)->chain;
    }
    *at = p->chain;
    unlink_use(cache, p);
    BASE_ASSERT(cache->count > 0 && cache->size_bytes >= p->size_bytes);
    cache->count--;
    cache->size_bytes -= p->size_bytes;
    p->cache = NULL;
    nodei_prepared_release(p);
}

/* The cache takes a reference of its own. */
static void remember(struct nodei_prepared_cache *cache, struct nodei_prepared *p)
{
    struct nodei_prepared **bucket = bucket_of(cache, p->id);
    p->refs++;
    p->cache = cache;
    p->chain = *bucket;
    *bucket = p;
    link_use(cache, p);
    cache->count++;
    cache->size_bytes += p->size_bytes;
    while (cache->size_bytes > cache->size_bytes_max && cache->oldest != p) {
        forget(cache, cache->oldest);
        cache->evicted++;
    }
}

void nodei_prepared_cache_fini(struct nodei_prepared_cache *cache)
{
    while (cache->oldest)
        forget(cache, cache->oldest);
    free(cache->buckets);
    cache->buckets = NULL;
}

static struct nodei_prepared *look_up(struct nodei_prepared_cache *cache,
                                      const uint8_t id[BASE_DIGEST_LEN])
{
    struct nodei_prepared *p = *bucket_of(cache, id);
    while (p && memcmp(p->id, id, BASE_DIGEST_LEN) != 0)
        p = p->chain;
    return p;
}

/* Making. */

/* Does what the statement means depend on the session's keyspace? */
static bool needs_keyspace(const struct cql_statement *statement)
{
    if (statement->kind != CQL_BATCH)
        return !statement->target.keyspace.data;
    for (const struct cql_statement *s = statement->modify.statements; s; s = s->next)
        if (!s->target.keyspace.data)
            return true;
    return false;
}

static int make_id(struct nodei_prepared *p, const struct cql_statement *statement)
{
    struct base_buf buf;
    base_buf_init(&buf, CQL_TEXT_LEN_MAX + 2 * BASE_NAME_LEN_MAX);
    int rc = needs_keyspace(statement) ? base_buf_put_slice(&buf, p->keyspace) : BASE_OK;
    if (rc == BASE_OK)
        rc = base_buf_put_u8(&buf, 0);
    if (rc == BASE_OK)
        rc = base_buf_put_slice(&buf, p->text);
    if (rc == BASE_OK)
        base_digest(buf.data, buf.len, p->id);
    base_buf_fini(&buf);
    return rc;
}

/* Theirs alone: they outlive what was prepared. */
static bool copy(struct base_slice from, struct base_slice *to)
{
    uint8_t *bytes = malloc(from.len + 1);
    if (!bytes)
        return false;
    if (from.len)
        memcpy(bytes, from.data, from.len);
    *to = base_slice(bytes, from.len);
    return true;
}

static int fill(struct nodei_prepared *p, struct node *node, struct base_slice text,
                struct base_slice keyspace, struct base_err *err)
{
    struct cql_statement *statement;
    const struct cql_column_spec *columns;
    if (!copy(text, &p->text) || !copy(keyspace, &p->keyspace))
        return base_err_set(err, BASE_E_NOMEM, "%s", base_err_words(BASE_E_NOMEM));
    int rc = cql_parse(&p->arena, p->text, &statement, err);
    if (rc != BASE_OK)
        return rc;
    p->schema = node_schema(node);
    p->epoch = p->schema->epoch;
    const struct cql_context context = {
        .schema = p->schema, .system = nodei_system_schema(), .keyspace = p->keyspace};
    rc = cql_prepare(&p->arena, statement, &context, &p->prepared, err);
    if (rc != BASE_OK)
        return rc;
    size_t column_count = cql_prepared_columns(p->prepared, &columns);
    rc = cql_metadata_id(columns, column_count, p->metadata_id);
    if (rc == BASE_OK)
        rc = make_id(p, statement);
    p->size_bytes = asleep_size(p) + p->arena.size_bytes;
    return rc == BASE_OK ? BASE_OK : base_err_set(err, rc, "%s", base_err_words(rc));
}

static int make(struct node *node, struct base_slice text, struct base_slice keyspace,
                struct nodei_prepared **out, struct base_err *err)
{
    struct nodei_prepared *p = calloc(1, sizeof *p);
    *out = NULL;
    if (!p)
        return base_err_set(err, BASE_E_NOMEM, "prepare: out of memory");
    p->refs = 1;
    base_arena_init(&p->arena);
    int rc = fill(p, node, text, keyspace, err);
    if (rc != BASE_OK)
        nodei_prepared_release(p);
    else
        *out = p;
    return rc;
}

/* In the place of `old`, which goes. */
static void replace(struct nodei_prepared_cache *cache, struct nodei_prepared *old,
                    struct nodei_prepared *by)
{
    by->columns_moved =
        old->columns_moved || memcmp(by->metadata_id, old->metadata_id, BASE_DIGEST_LEN) != 0;
    forget(cache, old);
    remember(cache, by);
}

int nodei_prepared_make(struct nodei_prepared_cache *cache, struct node *node,
                        struct base_slice text, struct base_slice keyspace,
                        struct nodei_prepared **out, struct base_err *err)
{
    struct nodei_prepared *made;
    int rc = make(node, text, keyspace, &made, err);
    *out = NULL;
    if (rc != BASE_OK)
        return rc;
    struct nodei_prepared *old = look_up(cache, made->id);
    if (old && old->epoch == made->epoch) {
        nodei_prepared_release(made);
        made = old;
        made->refs++;
        unlink_use(cache, made);
        link_use(cache, made);
    } else if (old) {
        replace(cache, old, made);
    } else {
        remember(cache, made);
    }
    *out = made;
    return BASE_OK;
}

struct nodei_prepared *nodei_prepared_find(struct nodei_prepared_cache *cache, struct node *node,
                                           struct base_slice id)
{
    struct nodei_prepared *p = id.len == BASE_DIGEST_LEN ? look_up(cache, id.data) : NULL, *again;
    if (!p)
        return NULL;
    if (p->epoch != node_schema_epoch(node)) {
        int rc = make(node, p->text, p->keyspace, &again, NULL);
        if (rc == BASE_OK)
            replace(cache, p, again);
        else
            forget(cache, p);
        return again;
    }
    p->refs++;
    if (cache->newest != p) {
        unlink_use(cache, p);
        link_use(cache, p);
    }
    return p;
}
