/* The store's and the metadata's ports: lsm/ on the node's simulated disk, catalog/ over
 * mem_catalog. What node/ does with threads is done here by events: an operation that is PENDING is
 * carried out at one moment and answered at a later one.
 *
 * A change of the log reaches the store as in node/: a table that is made is opened first, then the
 * entry is appended, then tables are altered, truncated (by what the description says of its time)
 * and dropped. */
#include <stdio.h>
#include <stdlib.h>

#include "base/checksum.h"

#include "base/compress.h"
#include "tests/sim/cluster_world.h"

#define STORE_DIR "store"

struct cluster_op {
    struct cluster_event event;
    struct cluster_node *node;
    struct cluster_op *next, **prev;
    struct repl_store_op *store; /* one of the two */
    struct repl_meta_op *meta;
    bool carried_out;
};

/* Tables. */

static int table_open(struct cluster_node *node, struct base_uuid id, const char *name,
                      int32_t gc_grace_s, const struct base_table *table, struct base_err *err)
{
    struct lsm_table *place;
    struct lsm_table_desc desc = lsm_table_desc(id, name);
    desc.gc_grace_s = gc_grace_s;
    desc.compressor = BASE_COMPRESS_NONE;
    if (table) {
        desc.dropped = table->dropped;
        desc.dropped_count = table->dropped_count;
        desc.truncated_us = table->truncated_us;
        int rc = base_indexer_new(table, &desc.indexer, err);
        if (rc != BASE_OK)
            return rc;
    }
    place = lsm_table_find(node->store, id);
    int rc = place ? lsm_table_alter(place, &desc, err)
                   : lsm_table_open(node->store, &desc, &place, err);
    base_indexer_release(desc.indexer);
    return rc;
}

static int user_table_open(struct cluster_node *node, const struct base_table *table,
                           struct base_err *err)
{
    char name[2 * BASE_NAME_LEN_MAX + 2];
    snprintf(name, sizeof name, "%.*s.%.*s", BASE_SLICE_ARG(table->keyspace),
             BASE_SLICE_ARG(table->name));
    return table_open(node, table->id, name, table->options.gc_grace_s, table, err);
}

static int table_drop(struct cluster_node *node, struct base_uuid id, struct base_err *err)
{
    struct lsm_table *place = lsm_table_find(node->store, id);
    return place ? lsm_table_drop(node->store, place, err) : BASE_OK;
}

int cluster_store_open(struct cluster_node *node, const struct base_schema *schema,
                       struct base_err *err)
{
    if (!node->fs)
        return BASE_OK;
    struct lsm_options o = node->world->options.lsm;
    o.dir = STORE_DIR;
    o.fs = sim_fs_port(node->fs);
    o.clock = &node->clock.base;
    o.random = &node->random.base;
    o.executor = &node->executor.base;
    o.host_id = node->host_id;
    int rc = lsm_open(&o, &node->store, err);
    if (rc == BASE_OK)
        rc = table_open(node, repl_hints_table_id, "system.hints", 0, NULL, err);
    if (rc == BASE_OK)
        rc = table_open(node, repl_batches_table_id, "system.batches", 0, NULL, err);
    for (size_t i = 0; rc == BASE_OK && i < schema->table_count; i++)
        rc = user_table_open(node, schema->tables_by_id[i], err);
    if (rc == BASE_OK)
        rc = lsm_replay(node->store, err);
    return rc;
}

void cluster_store_close(struct cluster_node *node, bool crash)
{
    struct base_err err = {0};
    if (!node->store)
        return;
    if (crash)
        sim_fs_power_off(node->fs);
    int rc = lsm_close(node->store, crash ? UINT64_MAX : 0, &err);
    node->store = NULL;
    if (node->executor.job_count)
        cluster_fail(node->world, "%s: %zu background jobs are left after the store's close",
                     node->address, node->executor.job_count);
    if (rc == BASE_E_BUSY)
        cluster_fail(node->world, "%s: the store closes with a stream open", node->address);
    if (crash)
        sim_fs_kill(node->fs); /* files are dead; after a power loss sim_fs_crash follows */
}

int cluster_store_read(struct cluster_node *node, const struct base_read *cmd,
                       struct base_source **out, struct base_err *err)
{
    static const struct base_merge_options keep = {.keep_tombstones = true};
    if (!node->fs)
        return base_merge_open(NULL, 0, &keep, out, err);
    struct lsm_table *table = lsm_table_find(node->store, cmd->table_id);
    if (!table)
        return base_err_set(err, BASE_E_NOTFOUND, "no such table in the store");
    return lsm_read(table, cmd,
                    cmd->filter_count == 0 &&
                        node->world->options.canary != CLUSTER_CANARY_TOMBSTONE,
                    NULL, 0, NULL, out, err);
}

/* The store's operations. */

/* A canary's share: is this write one of those that are lost? */
static bool write_is_lost(struct cluster_node *node, const struct repl_store_op *op)
{
    struct base_reader in = base_reader(op->group);
    struct base_mutation m;
    if (!base_mutation_decode(&in, &m))
        return false;
    bool hint = base_uuid_equal(m.table_id, repl_hints_table_id),
         batch = base_uuid_equal(m.table_id, repl_batches_table_id);
    switch (node->world->options.canary) {
    case CLUSTER_CANARY_EARLY_ACK:
        return !hint && !batch && rng_one_in(&node->world->rng, 4);
    case CLUSTER_CANARY_HINTS_DROPPED:
        return hint;
    case CLUSTER_CANARY_BATCHLOG:
        return batch;
    default:
        return false;
    }
}

static int store_write(struct cluster_node *node, struct repl_store_op *op)
{
    struct base_reader in = base_reader(op->group);
    struct base_mutation m;
    size_t count = 0;
    while (base_reader_left(&in)) {
        if (!base_mutation_decode(&in, &m) || !base_mutation_check(&m))
            cluster_fail(node->world, "%s: a damaged mutation was given to the store",
                         node->address);
        count++;
    }
    if (count != op->mutation_count || !count)
        cluster_fail(node->world, "%s: %zu mutations in a group that says %zu", node->address,
                     count, op->mutation_count);
    if (!node->fs || write_is_lost(node, op))
        return BASE_OK;
    return lsm_write(node->store, op->group, op->mutation_count,
                     (enum lsm_durability)op->durability, op->timeout_ns, &op->err);
}

/* A canary's stream: one row in four is left out, the same ones everywhere. */
struct lacking {
    struct base_source source;
    struct base_source *inner;
    struct base_slice pkey;
};

static int lacking_partition(struct base_source *base, struct base_partition *out,
                             struct base_err *err)
{
    struct lacking *l = BASE_CONTAINER(base, struct lacking, source);
    int rc = l->inner->ops->partition(l->inner, out, err);
    l->pkey = out->pkey;
    return rc;
}

static int lacking_next(struct base_source *base, struct base_item *out, struct base_err *err)
{
    struct lacking *l = BASE_CONTAINER(base, struct lacking, source);
    int rc;
    do
        rc = l->inner->ops->next(l->inner, out, err);
    while (rc == BASE_OK && out->kind == BASE_ITEM_ROW && out->ckey.len &&
           (l->pkey.data[0] + out->ckey.data[out->ckey.len - 2]) % 4 == 0);
    return rc;
}

static void lacking_close(struct base_source *base)
{
    struct lacking *l = BASE_CONTAINER(base, struct lacking, source);
    l->inner->ops->close(l->inner);
}

static const struct base_source_ops lacking_ops = {lacking_partition, lacking_next, lacking_close};

static int store_read(struct cluster_node *node, struct repl_store_op *op)
{
    struct base_source *source;
    int rc = cluster_store_read(node, op->cmd, &source, &op->err);
    if (rc != BASE_OK)
        return rc;
    struct lacking lacking = {{&lacking_ops}, source, {0}};
    if (op->cmd->filter_count && node->world->options.canary == CLUSTER_CANARY_INDEX)
        source = &lacking.source;
    rc = op->consume(op, source, &op->err);
    source->ops->close(source);
    return rc;
}

static int store_probe(struct cluster_node *node, struct repl_store_op *op)
{
    struct base_schema *schema;
    op->holds_data = false;
    if (!node->fs)
        return BASE_OK;
    int rc = cat_schema_load(node->catalog, &schema, &op->err);
    if (rc != BASE_OK)
        return rc;
    for (size_t i = 0; rc == BASE_OK && i < schema->table_count && !op->holds_data; i++) {
        struct base_read cmd = BASE_READ_INIT;
        struct base_source *source;
        struct base_partition partition;
        cmd.table_id = schema->tables_by_id[i]->id;
        cmd.slices = base_slices_all;
        rc = cluster_store_read(node, &cmd, &source, &op->err);
        if (rc != BASE_OK)
            break;
        rc = source->ops->partition(source, &partition, &op->err);
        op->holds_data = rc == BASE_OK && partition.pkey.len;
        source->ops->close(source);
    }
    base_schema_release(schema);
    return rc;
}

/* What the store says, or by chance: no answer may depend on it. */
static int store_count(struct cluster_node *node, struct repl_store_op *op)
{
    struct lsm_table *table = node->fs ? lsm_table_find(node->store, op->cmd->table_id) : NULL;
    if (table && rng_chance(&node->world->rng, 50))
        return lsm_index_counts(table, op->cmd, op->counts, &op->err);
    for (size_t i = 0; i < op->cmd->filter_count; i++)
        op->counts[i] = rng_below(&node->world->rng, 10);
    return BASE_OK;
}

static void store_carry_out(struct cluster_node *node, struct repl_store_op *op)
{
    base_err_clear(&op->err);
    switch (op->kind) {
    case REPL_STORE_WRITE:
        op->rc = store_write(node, op);
        cluster_tell(node, op->rc ? "fails to store" : "stores", node->index, 0, op->group);
        break;
    case REPL_STORE_READ:
        op->rc = store_read(node, op);
        break;
    case REPL_STORE_PROBE:
        op->rc = store_probe(node, op);
        break;
    case REPL_STORE_COUNT:
        op->rc = store_count(node, op);
        break;
    }
    if (op->kind == REPL_STORE_WRITE && (op->rc == BASE_E_IO || op->rc == BASE_E_STOPPED) &&
        !node->stopped.code)
        node->stopped = op->err;
    cluster_work_post(node);
}

/* The metadata's. */

static int before_append(struct cluster_node *node, const struct repl_meta_op *op,
                         struct base_err *err)
{
    if (op->change->kind != BASE_CHANGE_TABLE_CREATE || !node->fs)
        return BASE_OK;
    const struct base_table *table =
        base_schema_table(op->schema_after, op->change->keyspace, op->change->name);
    BASE_ASSERT(table);
    return user_table_open(node, table, err);
}

/* Tables of the store follow the new schema: altered and truncated ones. */
static int follow(struct cluster_node *node, const struct repl_meta_op *op, struct base_err *err)
{
    enum base_change_kind kind = op->change->kind;
    if (!node->fs || (kind != BASE_CHANGE_TABLE_ALTER && kind != BASE_CHANGE_TABLE_TRUNCATE))
        return BASE_OK;
    const struct base_table *table =
        base_schema_table(op->schema_after, op->change->keyspace, op->change->name);
    BASE_ASSERT(table);
    return user_table_open(node, table, err);
}

static int drop_dropped(struct cluster_node *node, const struct repl_meta_op *op,
                        const struct base_schema *before, struct base_err *err)
{
    int rc = BASE_OK;
    for (size_t i = 0; node->fs && rc == BASE_OK && i < before->table_count; i++)
        if (!base_schema_table_by_id(op->schema_after, before->tables_by_id[i]->id))
            rc = table_drop(node, before->tables_by_id[i]->id, err);
    return rc;
}

uint64_t cluster_state_digest(const struct base_schema *schema, const struct ring_state *ring)
{
    struct base_buf bytes;
    base_buf_init(&bytes, 64u << 20);
    if (base_schema_encode(schema, &bytes) != BASE_OK || ring_state_encode(ring, &bytes) != BASE_OK)
        abort();
    uint64_t digest = base_checksum(bytes.data, bytes.len);
    base_buf_fini(&bytes);
    return digest;
}

struct cat_log_keep cluster_log_keep(const struct cluster_world *w)
{
    return (struct cat_log_keep){.entries = w->options.config.metadata_log_entries,
                                 .bytes = REPL_LOG_BYTES_MAX,
                                 .state_bytes_max = REPL_CHECKPOINT_SIZE_MAX};
}

/* The node has it, whether or not it was told so. */
static void tell_state(struct cluster_node *node, const struct repl_meta_op *op)
{
    if (node->world->on_state)
        node->world->on_state(node, op->epoch,
                              cluster_state_digest(op->schema_after, op->ring_after));
}

static int meta_append(struct cluster_node *node, struct repl_meta_op *op)
{
    struct base_schema *before;
    struct base_buf ring;
    if (op->schema_after->epoch != op->epoch || op->ring_after->epoch != op->epoch)
        cluster_fail(node->world, "%s: appends entry %llu with snapshots of %llu and %llu",
                     node->address, (unsigned long long)op->epoch,
                     (unsigned long long)op->schema_after->epoch,
                     (unsigned long long)op->ring_after->epoch);
    int rc = cat_schema_load(node->catalog, &before, &op->err);
    if (rc != BASE_OK)
        return rc;
    if (before->epoch + 1 != op->epoch)
        cluster_fail(node->world, "%s: appends entry %llu after %llu", node->address,
                     (unsigned long long)op->epoch, (unsigned long long)before->epoch);
    struct cat_log_keep keep = cluster_log_keep(node->world);
    if (keep.entries != op->keep_entries)
        cluster_fail(node->world, "%s: keeps %llu entries", node->address,
                     (unsigned long long)op->keep_entries);
    base_buf_init(&ring, 64u << 20);
    rc = ring_state_encode(op->ring_after, &ring);
    if (rc == BASE_OK)
        rc = before_append(node, op, &op->err);
    if (rc == BASE_OK)
        rc = cat_log_append(node->catalog, op->epoch, op->entry, op->schema_after,
                            base_buf_view(&ring), &keep, &op->err);
    base_buf_reset(&ring);
    /* also if the answer was an error */
    bool is_there = cat_log_get(node->catalog, op->epoch, &ring, NULL) == BASE_OK;
    base_buf_fini(&ring);
    if (is_there && node->world->on_append)
        node->world->on_append(node, op->epoch, op->entry);
    if (is_there)
        tell_state(node, op);
    if (rc == BASE_OK)
        rc = follow(node, op, &op->err);
    if (rc == BASE_OK)
        rc = drop_dropped(node, op, before, &op->err);
    base_schema_release(before);
    return rc;
}

/* The catalog's part of taking a checkpoint over: the store may follow, or the process ends. */
static int install_in_catalog(struct cluster_node *node, struct repl_meta_op *op)
{
    struct base_buf ring;
    base_buf_init(&ring, 64u << 20);
    int rc = ring_state_encode(op->ring_after, &ring);
    if (rc == BASE_OK)
        rc = cat_log_install(node->catalog, op->schema_after, base_buf_view(&ring), "truncating",
                             (struct base_slice){0}, &op->err);
    base_buf_fini(&ring);
    if (rc == BASE_OK)
        tell_state(node, op);
    return rc;
}

static int meta_install(struct cluster_node *node, struct repl_meta_op *op)
{
    struct base_schema *before;
    const struct base_schema *after = op->schema_after;
    int rc = cat_schema_load(node->catalog, &before, &op->err);
    if (rc != BASE_OK)
        return rc;
    if (before->epoch >= op->epoch)
        cluster_fail(node->world, "%s: installs the state at %llu over %llu", node->address,
                     (unsigned long long)op->epoch, (unsigned long long)before->epoch);
    for (size_t i = 0; node->fs && rc == BASE_OK && i < after->table_count; i++)
        if (!base_schema_table_by_id(before, after->tables_by_id[i]->id))
            rc = user_table_open(node, after->tables_by_id[i], &op->err);
    if (rc == BASE_OK)
        rc = install_in_catalog(node, op);
    for (size_t i = 0; node->fs && rc == BASE_OK && i < after->table_count; i++)
        rc = user_table_open(node, after->tables_by_id[i], &op->err);
    if (rc == BASE_OK)
        rc = drop_dropped(node, op, before, &op->err);
    base_schema_release(before);
    node->world->installs++;
    return rc;
}

static int meta_read_log(struct cluster_node *node, struct repl_meta_op *op)
{
    struct base_buf entry;
    size_t start = op->buf->len;
    int rc = BASE_OK;
    base_buf_init(&entry, REPL_ENTRY_SIZE_MAX);
    for (uint64_t epoch = op->epoch;
         rc == BASE_OK && (op->buf->len == start || op->buf->len - start < op->bytes_max);
         epoch++) {
        base_buf_reset(&entry);
        rc = cat_log_get(node->catalog, epoch, &entry, &op->err);
        if (rc == BASE_OK)
            rc = repl_entry_put(op->buf, epoch, base_buf_view(&entry));
    }
    base_buf_fini(&entry);
    uint64_t first = 0;
    if (rc == BASE_E_NOTFOUND && op->buf->len == start &&
        (cat_log_first(node->catalog, &first, &op->err) != BASE_OK || op->epoch < first))
        return rc;
    return rc == BASE_E_NOTFOUND ? BASE_OK : rc;
}

static void meta_carry_out(struct cluster_node *node, struct repl_meta_op *op)
{
    base_err_clear(&op->err);
    switch (op->kind) {
    case REPL_META_APPEND:
        op->rc = meta_append(node, op);
        break;
    case REPL_META_INSTALL:
        op->rc = meta_install(node, op);
        break;
    case REPL_META_PUT:
        op->rc = cat_local_put(node->catalog, op->key, op->value, &op->err);
        break;
    case REPL_META_READ_LOG:
        op->rc = meta_read_log(node, op);
        break;
    }
    bool cut_off = op->kind == REPL_META_READ_LOG && op->rc == BASE_E_NOTFOUND;
    if (op->rc != BASE_OK && !cut_off && !node->stopped.code)
        node->stopped = op->err;
    cluster_work_post(node);
}

/* DONE or PENDING. */

static void carry_out(struct cluster_op *op)
{
    if (op->store)
        store_carry_out(op->node, op->store);
    else
        meta_carry_out(op->node, op->meta);
    op->carried_out = true;
}

static void answer(struct cluster_op *op)
{
    struct repl_store_op *store = op->store;
    struct repl_meta_op *meta = op->meta;
    trace_add(&op->node->world->trace, store ? "store" : "meta", op->node->address,
              store ? store->kind : meta->kind, (uint64_t)(store ? store->rc : meta->rc),
              (struct base_slice){0});
    *op->prev = op->next;
    if (op->next)
        op->next->prev = op->prev;
    free(op);
    if (store)
        store->done(store);
    else
        meta->done(meta);
}

static void op_fired(struct cluster_world *w, struct cluster_event *event)
{
    struct cluster_op *op = BASE_CONTAINER(event, struct cluster_op, event);
    if (op->carried_out) {
        answer(op);
        return;
    }
    carry_out(op);
    cluster_post(w, event, op->node,
                 rng_one_in(&w->rng, 4) ? cluster_draw_ns(w, w->options.disk_max_ns) : 0, op_fired);
}

static struct cluster_op *op_new(struct cluster_node *node)
{
    struct cluster_world *w = node->world;
    struct cluster_op *op = cluster_must(calloc(1, sizeof *op));
    op->node = node;
    op->next = node->ops;
    op->prev = &node->ops;
    if (op->next)
        op->next->prev = &op->next;
    node->ops = op;
    cluster_post(w, &op->event, node, cluster_draw_ns(w, w->options.disk_max_ns) * node->slow_disk,
                 op_fired);
    return op;
}

static bool at_once(struct cluster_node *node)
{
    return node->slow_disk == 1 && rng_chance(&node->world->rng, node->world->options.done_percent);
}

static enum repl_answer store_submit(struct repl_store *port, struct repl_store_op *store)
{
    struct cluster_node *node = BASE_CONTAINER(port, struct cluster_node, store_port);
    BASE_ASSERT(node->state != CLUSTER_NODE_DOWN);
    if (node->state == CLUSTER_NODE_DYING) {
        store->rc = base_err_set(&store->err, BASE_E_STOPPED, "the process ends");
        return REPL_DONE;
    }
    if (at_once(node)) {
        store_carry_out(node, store);
        return REPL_DONE;
    }
    op_new(node)->store = store;
    return REPL_PENDING;
}

static enum repl_answer meta_submit(struct repl_meta *port, struct repl_meta_op *meta)
{
    struct cluster_node *node = BASE_CONTAINER(port, struct cluster_node, meta_port);
    BASE_ASSERT(node->state != CLUSTER_NODE_DOWN);
    if (node->state == CLUSTER_NODE_DYING) {
        meta->rc = base_err_set(&meta->err, BASE_E_STOPPED, "the process ends");
        return REPL_DONE;
    }
    if (at_once(node)) {
        meta_carry_out(node, meta);
        return REPL_DONE;
    }
    op_new(node)->meta = meta;
    return REPL_PENDING;
}

const struct repl_store_ops cluster_store_ops = {store_submit};
const struct repl_meta_ops cluster_meta_ops = {meta_submit};

void cluster_ops_tear(struct cluster_node *node)
{
    struct cluster_op *op = node->ops;
    while (op && (op->carried_out || !op->store || op->store->kind != REPL_STORE_WRITE))
        op = op->next;
    if (!op || !rng_chance(&node->world->rng, 50))
        return;
    sim_fs_cut_power(node->fs, SIM_FS_CHANGING, rng_below(&node->world->rng, 3));
    carry_out(op);
}

void cluster_ops_end(struct cluster_node *node, bool crash)
{
    BASE_ASSERT(node->state == CLUSTER_NODE_DYING);
    while (node->ops) {
        struct cluster_op *op = node->ops;
        cluster_cancel(node->world, &op->event);
        if (!crash && !op->carried_out)
            carry_out(op);
        /* in the middle: the catalog has it, the store has not heard of it */
        if (crash && !op->carried_out && op->meta && op->meta->kind == REPL_META_INSTALL &&
            rng_chance(&node->world->rng, 50))
            (void)!install_in_catalog(node, op->meta);
        if (crash && op->store)
            op->store->rc = base_err_set(&op->store->err, BASE_E_STOPPED, "the process ends");
        if (crash && op->meta)
            op->meta->rc = base_err_set(&op->meta->err, BASE_E_STOPPED, "the process ends");
        answer(op);
    }
}
