/* The schema: which snapshot is current, and how statements change it.
 *
 * A change goes: analysed against the current snapshot → a snapshot with it applied → the catalog's
 * log (durable: from here on it has happened) → the store → published. One at a time, under the DDL
 * mutex, for some of it waits for the disk; readers take a reference under a mutex that is held for
 * a moment.
 *
 * What a crash may cut off, and who mends it:
 *  - CREATE TABLE: the store knows the table first. Not in the log: lsm_replay removes what nobody
 *    declared.
 *  - ALTER TABLE: the log first; the store gets its description anew at every start.
 *  - DROP: the log first; lsm_replay removes what nobody declared.
 *  - TRUNCATE: the log first, then the store, then "truncated_epoch" in the catalog's local state.
 *    A start that finds a TRUNCATE as the log's last entry past that mark does it again: what was
 *    written meanwhile was concurrent with it.
 *  - The state of others (a checkpoint, in the place of entries that nobody keeps any more): new
 *    tables first, as with CREATE; then the catalog, whose transaction also names the tables that
 *    were truncated in between ("truncating"), which the next start truncates if this one did not
 *    come to it; then as ALTER and DROP. */
#include <stdio.h>

#include "base/compress.h"
#include "node/schema_private.h"
#include "replication/replication.h"

#define CHANGE_SIZE_MAX (64u << 20)
#define TRUNCATED_EPOCH "truncated_epoch"
#define TRUNCATING "truncating"
#define DDL_TRIES_MAX 20 /* changes of others that came first, before ours is given up */

/* Snapshots. */

struct base_schema *node_schema(struct node *node)
{
    pthread_mutex_lock(&node->schema_mutex);
    struct base_schema *schema = base_schema_acquire(node->schema);
    pthread_mutex_unlock(&node->schema_mutex);
    return schema;
}

uint64_t node_schema_epoch(const struct node *node)
{
    return atomic_load_explicit(&node->schema_epoch, memory_order_acquire);
}

void nodei_schema_publish(struct node *node, struct base_schema *schema)
{
    pthread_mutex_lock(&node->schema_mutex);
    struct base_schema *before = node->schema;
    node->schema = schema;
    atomic_store(&node->schema_epoch, schema->epoch);
    pthread_mutex_unlock(&node->schema_mutex);
    if (before)
        base_schema_release(before);
}

void nodei_schema_close(struct node *node)
{
    if (node->schema)
        base_schema_release(node->schema);
    node->schema = NULL;
}

/* Tables in the store. */

void nodei_table_desc(const struct base_table *table, char *name_text, struct lsm_table_desc *out)
{
    const struct base_table_options *o = &table->options;
    struct cql_storage storage;
    cql_table_storage(o, &storage);
    snprintf(name_text, 2 * BASE_NAME_LEN_MAX + 2, "%.*s.%.*s", BASE_SLICE_ARG(table->keyspace),
             BASE_SLICE_ARG(table->name));
    *out = (struct lsm_table_desc){
        .id = table->id,
        .name = name_text,
        .gc_grace_s = o->gc_grace_s,
        .bloom_fp_chance = o->bloom_filter_fp_chance,
        .compressor = storage.compressor,
        .compression_level = storage.compression_level,
        .compaction_enabled = storage.compaction_enabled,
        .min_threshold = storage.min_threshold,
        .max_threshold = storage.max_threshold,
        .bucket_low = storage.bucket_low,
        .bucket_high = storage.bucket_high,
        .min_sstable_size = storage.min_sstable_size,
        .dropped = table->dropped,
        .dropped_count = table->dropped_count,
        .truncated_us = INT64_MIN,
    };
}

static int open_table(struct node *node, const struct base_table *table, struct base_err *err)
{
    char name[2 * BASE_NAME_LEN_MAX + 2];
    struct lsm_table_desc desc;
    struct lsm_table *place;
    nodei_table_desc(table, name, &desc);
    int rc = base_indexer_new(table, &desc.indexer, err);
    if (rc == BASE_OK)
        rc = lsm_table_open(node->store, &desc, &place, err);
    base_indexer_release(desc.indexer);
    return rc == BASE_OK ? BASE_OK : base_err_wrap(err, rc, "open table %s", name);
}

static void drop_table(struct node *node, struct base_uuid id)
{
    struct base_err err = {0};
    struct lsm_table *place = lsm_table_find(node->store, id);
    if (place && lsm_table_drop(node->store, place, &err) != BASE_OK)
        base_logf(node->log, BASE_LOG_WARN,
                  "files of a dropped table stay until the next start: %s", err.text);
}

/* Hints and batches of a member: no keyspace has them, and they are there before the log is
 * replayed. */
static int open_internal_table(struct node *node, struct base_uuid id, const char *name,
                               struct base_err *err)
{
    struct lsm_table *place;
    struct lsm_table_desc desc = lsm_table_desc(id, name);
    desc.gc_grace_s = 0;
    desc.compressor = BASE_COMPRESS_NONE;
    return lsm_table_open(node->store, &desc, &place, err);
}

int nodei_schema_open(struct node *node, struct base_err *err)
{
    struct base_schema *schema;
    int rc = cat_schema_load(node->catalog, &schema, err);
    if (rc != BASE_OK)
        return base_err_wrap(err, rc, "read the schema");
    nodei_schema_publish(node, schema);
    rc = open_internal_table(node, repl_hints_table_id, "system.hints", err);
    if (rc == BASE_OK)
        rc = open_internal_table(node, repl_batches_table_id, "system.batches", err);
    for (size_t k = 0; k < schema->keyspace_count; k++)
        for (size_t t = 0; t < schema->keyspaces[k].table_count && rc == BASE_OK; t++)
            rc = open_table(node, schema->keyspaces[k].tables[t], err);
    return rc;
}

static int truncate_table(struct node *node, struct base_uuid id, uint64_t epoch,
                          struct base_err *err)
{
    struct lsm_table *place = lsm_table_find(node->store, id);
    int rc = place ? lsm_table_truncate(place, err) : BASE_OK;
    if (rc == BASE_OK)
        rc = cat_local_put_i64(node->catalog, TRUNCATED_EPOCH, (int64_t)epoch, err);
    return rc;
}

/* Those that `ids` names, each 16 bytes; then they are named no more. */
static int truncate_named(struct node *node, struct base_slice ids, struct base_err *err)
{
    int rc = BASE_OK;
    for (size_t at = 0; rc == BASE_OK && ids.len - at >= 16; at += 16) {
        struct base_uuid id;
        memcpy(id.b, ids.data + at, 16);
        struct lsm_table *place = lsm_table_find(node->store, id);
        if (place)
            rc = lsm_table_truncate(place, err);
    }
    return rc == BASE_OK && ids.len
               ? cat_local_put(node->catalog, TRUNCATING, (struct base_slice){0}, err)
               : rc;
}

static int heal_install(struct node *node, struct base_err *err)
{
    struct base_buf ids;
    base_buf_init(&ids, CHANGE_SIZE_MAX);
    int rc = cat_local_get(node->catalog, TRUNCATING, &ids, err);
    if (rc == BASE_OK)
        rc = truncate_named(node, base_buf_view(&ids), err);
    base_buf_fini(&ids);
    if (rc != BASE_E_NOTFOUND)
        return rc;
    base_err_clear(err);
    return BASE_OK;
}

/* Is the entry that led to the current schema in our log? (Not after the state of others was taken
 * over.) */
static int has_last_entry(struct node *node, bool *out, struct base_err *err)
{
    uint64_t first = 0;
    int rc = cat_log_first(node->catalog, &first, err);
    *out = first <= node->schema->epoch;
    return rc;
}

int nodei_schema_heal(struct node *node, struct base_err *err)
{
    uint64_t epoch = node->schema->epoch;
    int64_t truncated = 0;
    bool there = false;
    if (epoch == 0)
        return BASE_OK;
    int rc = heal_install(node, err);
    if (rc == BASE_OK)
        rc = has_last_entry(node, &there, err);
    if (rc != BASE_OK || !there)
        return rc == BASE_OK ? rc : base_err_wrap(err, rc, "read the schema's state");
    rc = cat_local_get_i64(node->catalog, TRUNCATED_EPOCH, &truncated, err);
    if (rc != BASE_OK && rc != BASE_E_NOTFOUND)
        return base_err_wrap(err, rc, "read the schema's state");
    base_err_clear(err);
    if (truncated >= (int64_t)epoch)
        return BASE_OK;
    struct base_buf bytes;
    struct base_arena arena;
    struct base_change change;
    base_buf_init(&bytes, CHANGE_SIZE_MAX);
    base_arena_init(&arena);
    rc = cat_log_get(node->catalog, epoch, &bytes, err);
    if (rc == BASE_OK)
        rc = base_change_decode(&arena, base_buf_view(&bytes), &change, err);
    if (rc == BASE_OK && change.kind == BASE_CHANGE_TABLE_TRUNCATE)
        rc = truncate_table(node, change.table_id, epoch, err);
    base_arena_fini(&arena);
    base_buf_fini(&bytes);
    return rc == BASE_OK
               ? BASE_OK
               : base_err_wrap(err, rc, "the last schema change, %llu", (unsigned long long)epoch);
}

/* Applying a change. */

/* What goes to the store before the log. */
static int prepare_store(struct node *node, const struct base_change *change,
                         const struct base_schema *after, struct base_err *err)
{
    if (change->kind != BASE_CHANGE_TABLE_CREATE)
        return BASE_OK;
    const struct base_table *table = base_schema_table(after, change->keyspace, change->name);
    BASE_ASSERT(table);
    return open_table(node, table, err);
}

static int alter_in_store(struct node *node, const struct base_table *table, struct base_err *err)
{
    char name[2 * BASE_NAME_LEN_MAX + 2];
    struct lsm_table_desc desc;
    struct lsm_table *place = lsm_table_find(node->store, table->id);
    BASE_ASSERT(place);
    nodei_table_desc(table, name, &desc);
    int rc = base_indexer_new(table, &desc.indexer, err);
    if (rc == BASE_OK)
        rc = lsm_table_alter(place, &desc, err);
    base_indexer_release(desc.indexer);
    return rc;
}

/* Indexes know the fields of user types: values may come that have more of them. */
static int alter_indexed(struct node *node, const struct base_schema *after,
                         struct base_slice keyspace, struct base_err *err)
{
    const struct base_keyspace *ks = base_schema_keyspace(after, keyspace);
    int rc = BASE_OK;
    for (size_t i = 0; ks && i < ks->table_count && rc == BASE_OK; i++)
        if (ks->tables[i]->index_count)
            rc = alter_in_store(node, ks->tables[i], err);
    return rc;
}

/* … and after it, before the change is published. */
static int follow_store(struct node *node, const struct base_change *change,
                        const struct base_schema *after, struct base_err *err)
{
    if (change->kind == BASE_CHANGE_TABLE_TRUNCATE)
        return truncate_table(node, change->table_id, after->epoch, err);
    if (change->kind == BASE_CHANGE_TYPE_ALTER)
        return alter_indexed(node, after, change->keyspace, err);
    if (change->kind != BASE_CHANGE_TABLE_ALTER)
        return BASE_OK;
    const struct base_table *table = base_schema_table(after, change->keyspace, change->name);
    BASE_ASSERT(table);
    return alter_in_store(node, table, err);
}

/* … and after nobody can reach the tables any more. */
static void drop_from_store(struct node *node, const struct base_change *change,
                            const struct base_schema *before)
{
    if (change->kind == BASE_CHANGE_TABLE_DROP) {
        drop_table(node, change->table_id);
    } else if (change->kind == BASE_CHANGE_KEYSPACE_DROP) {
        const struct base_keyspace *keyspace = base_schema_keyspace(before, change->keyspace);
        for (size_t i = 0; keyspace && i < keyspace->table_count; i++)
            drop_table(node, keyspace->tables[i]->id);
    }
}

/* One change, from the log's entry on: `ring` is the encoded members that it leads to, or empty.
 * `after` is borrowed. */
static int carry_out(struct node *node, const struct base_change *change, struct base_slice entry,
                     struct base_slice ring, struct base_schema *after, struct base_err *err)
{
    struct base_schema *before = base_schema_acquire(node->schema); /* only we replace it */
    bool drops =
        change->kind == BASE_CHANGE_TABLE_DROP || change->kind == BASE_CHANGE_KEYSPACE_DROP;
    int rc = prepare_store(node, change, after, err);
    if (rc == BASE_OK) {
        const struct cat_log_keep keep = {.entries = node->settings.metadata_log_entries,
                                          .bytes = REPL_LOG_BYTES_MAX,
                                          .state_bytes_max = REPL_CHECKPOINT_SIZE_MAX};
        rc = cat_log_append(node->catalog, after->epoch, entry, after, ring, &keep, err);
        if (rc != BASE_OK && change->kind == BASE_CHANGE_TABLE_CREATE)
            drop_table(node, base_schema_table(after, change->keyspace, change->name)->id);
    }
    if (rc != BASE_OK) {
        base_schema_release(before);
        return rc;
    }
    rc = follow_store(node, change, after, err);
    if (rc != BASE_OK)
        base_err_wrap(err, rc, "the change is recorded but not complete; repeat it");
    nodei_schema_publish(node, base_schema_acquire(after));
    if (drops) {
        nodei_wait_for_sessions(node, after->epoch);
        drop_from_store(node, change, before);
    }
    base_schema_release(before);
    return rc;
}

/* The state of others. */

static bool is_new(const struct base_schema *before, const struct base_table *table)
{
    return !base_schema_table_by_id(before, table->id);
}

/* Before the catalog: tables that are new; and the names of those that were truncated. On failure
 * none of the new ones is there. */
static int install_prepare(struct node *node, const struct base_schema *before,
                           const struct base_schema *after, struct base_buf *truncated,
                           struct base_err *err)
{
    int rc = BASE_OK;
    size_t i = 0;
    for (; rc == BASE_OK && i < after->table_count; i++) {
        const struct base_table *table = after->tables_by_id[i];
        const struct base_table *old = base_schema_table_by_id(before, table->id);
        if (!old)
            rc = open_table(node, table, err);
        else if (old->truncated_us != table->truncated_us)
            rc = base_buf_put(truncated, table->id.b, sizeof table->id.b);
    }
    for (; rc != BASE_OK && i > 0; i--)
        if (is_new(before, after->tables_by_id[i - 1]))
            drop_table(node, after->tables_by_id[i - 1]->id);
    return rc;
}

/* After it, before it is published. */
static int install_follow(struct node *node, const struct base_schema *before,
                          const struct base_schema *after, struct base_slice truncated,
                          struct base_err *err)
{
    int rc = truncate_named(node, truncated, err);
    for (size_t i = 0; rc == BASE_OK && i < after->table_count; i++)
        if (!is_new(before, after->tables_by_id[i]))
            rc = alter_in_store(node, after->tables_by_id[i], err);
    return rc;
}

static int install(struct node *node, struct base_schema *after, struct base_slice ring,
                   struct base_err *err)
{
    struct base_schema *before = base_schema_acquire(node->schema);
    struct base_buf truncated;
    base_buf_init(&truncated, CHANGE_SIZE_MAX);
    int rc = install_prepare(node, before, after, &truncated, err);
    if (rc == BASE_OK) {
        rc =
            cat_log_install(node->catalog, after, ring, TRUNCATING, base_buf_view(&truncated), err);
        for (size_t i = 0; rc != BASE_OK && i < after->table_count; i++)
            if (is_new(before, after->tables_by_id[i]))
                drop_table(node, after->tables_by_id[i]->id);
    }
    if (rc == BASE_OK) {
        rc = install_follow(node, before, after, base_buf_view(&truncated), err);
        if (rc != BASE_OK)
            base_err_wrap(err, rc, "the state is recorded but not complete; start the node again");
        nodei_schema_publish(node, base_schema_acquire(after));
        nodei_wait_for_sessions(node, after->epoch);
        for (size_t i = 0; i < before->table_count; i++)
            if (is_new(after, before->tables_by_id[i]))
                drop_table(node, before->tables_by_id[i]->id);
    }
    base_buf_fini(&truncated);
    base_schema_release(before);
    return rc;
}

int nodei_schema_append(struct node *node, const struct repl_meta_op *op, struct base_err *err)
{
    struct base_buf ring;
    base_buf_init(&ring, CHANGE_SIZE_MAX);
    int rc = ring_state_encode(op->ring_after, &ring);
    if (rc != BASE_OK)
        rc = base_err_set(err, rc, "members: %s", base_err_words(rc));
    pthread_mutex_lock(&node->ddl_mutex);
    if (rc == BASE_OK && op->kind == REPL_META_INSTALL)
        rc = install(node, op->schema_after, base_buf_view(&ring), err);
    else if (rc == BASE_OK)
        rc = carry_out(node, op->change, op->entry, base_buf_view(&ring), op->schema_after, err);
    pthread_mutex_unlock(&node->ddl_mutex);
    base_buf_fini(&ring);
    return rc;
}

/* Alone: the log is ours. */
static int apply_alone(struct node *node, const struct base_change *change, struct base_err *err)
{
    struct base_schema *after;
    struct base_buf entry;
    int rc = base_schema_apply(node->schema, change, &after, err);
    if (rc != BASE_OK)
        return rc;
    base_buf_init(&entry, CHANGE_SIZE_MAX);
    rc = base_change_encode(change, &entry);
    if (rc != BASE_OK)
        base_err_set(err, rc, "schema change: %s", base_err_words(rc));
    else
        rc = carry_out(node, change, base_buf_view(&entry), (struct base_slice){0}, after, err);
    base_buf_fini(&entry);
    base_schema_release(after);
    return rc;
}

int nodei_ddl(struct node_session *session, nodei_ddl_fn *analyze, void *ctx, struct base_err *err)
{
    struct node *node = session->node;
    int rc = node->cluster ? nodei_cluster_wait(node, session, err) : BASE_OK;
    for (int tries = 0; rc == BASE_OK; tries++) {
        struct base_arena arena;
        struct base_change change = {0};
        bool nothing = false;
        base_arena_init(&arena);
        if (!node->cluster)
            pthread_mutex_lock(&node->ddl_mutex);
        struct base_schema *schema = node_schema(node);
        rc = analyze(session, &arena, schema, ctx, &change, &nothing, err);
        if (rc == BASE_OK && !nothing)
            rc = node->cluster ? nodei_cluster_change(node, &change, err)
                               : apply_alone(node, &change, err);
        base_schema_release(schema);
        if (!node->cluster)
            pthread_mutex_unlock(&node->ddl_mutex);
        base_arena_fini(&arena);
        if (rc != BASE_E_STALE || !node->cluster || tries == DDL_TRIES_MAX ||
            nodei_interrupted(session))
            return rc;
        base_err_clear(err); /* somebody else's change came first: judge ours again */
        rc = BASE_OK;
    }
    return rc;
}
