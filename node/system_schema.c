/* The schema of the tables that the node makes up, and reading them.
 *
 * The schema is one snapshot a process, made of system_tables.c's definitions by the language
 * itself, at the first call; it never changes and is never freed. A read makes the table's rows (of
 * one partition, if it asks for one) as they are at this moment, in an overlay, which answers it
 * like any table: so slices, order, filters, limits and paging are the same code as everywhere.
 *
 * Invariants:
 *  1. A table's id is made from its names: the same on every node, in every run.
 *  2. A stream holds all it needs: nothing of the node is looked at once nodei_system_read has
 *     returned. */
#include <pthread.h>

#include "base/checksum.h"
#include "node/system_private.h"

/* The schema. */

static const char *const keyspaces[] = {"system", "system_schema", "system_views",
                                        "system_virtual_schema"};

bool nodei_is_virtual_keyspace(struct base_slice name)
{
    return base_slice_equal(name, BASE_SLICE_LIT("system_views")) ||
           base_slice_equal(name, BASE_SLICE_LIT("system_virtual_schema"));
}

/* A uuid of version 3 (made from a name) over bytes. */
static struct base_uuid uuid_of(const void *bytes, size_t len)
{
    struct base_uuid id;
    base_digest(bytes, len, id.b);
    id.b[6] = (uint8_t)((id.b[6] & 0x0f) | 0x30);
    id.b[8] = (uint8_t)((id.b[8] & 0x3f) | 0x80);
    return id;
}

static int advance(struct base_schema **schema, const struct base_change *change,
                   struct base_err *err)
{
    struct base_schema *next;
    int rc = base_schema_apply(*schema, change, &next, err);
    if (rc != BASE_OK)
        return rc;
    base_schema_release(*schema);
    *schema = next;
    return BASE_OK;
}

static int add_keyspace(struct base_schema **schema, const char *name, struct base_err *err)
{
    const struct base_option local[] = {{BASE_SLICE_LIT("class"), BASE_SLICE_LIT("LocalStrategy")}};
    const struct base_keyspace keyspace = {
        .name = base_slice_str(name), .replication = {local, 1}, .durable_writes = true};
    const struct base_change change = {
        .kind = BASE_CHANGE_KEYSPACE_CREATE,
        .expected_epoch = (*schema)->epoch,
        .keyspace = keyspace.name,
        .keyspace_new = &keyspace,
    };
    return advance(schema, &change, err);
}

static int add_table(struct base_schema **schema, const struct nodei_system_table *def,
                     struct base_err *err)
{
    struct base_arena arena;
    struct base_buf name, with;
    struct cql_ddl ddl;
    base_arena_init(&arena);
    base_buf_init(&name, 256);
    base_buf_init(&with, 1024);
    bool virtual = nodei_is_virtual_keyspace(base_slice_str(def->keyspace));
    int rc = base_buf_printf(&name, "%s.%s", def->keyspace, def->name);
    if (rc == BASE_OK)
        rc = base_buf_printf(
            &with, "comment = '%s' AND gc_grace_seconds = %d AND memtable_flush_period_in_ms = %d",
            def->comment, strcmp(def->keyspace, "system_schema") == 0 ? 7 * 86400 : 0,
            virtual ? 0 : 3600000);
    if (rc == BASE_OK) {
        const struct cql_context context = {
            .schema = *schema, .new_id = uuid_of(name.data, name.len), .internal = true};
        rc = cql_analyze_table(&arena, base_slice_str(def->keyspace), base_slice_str(def->name),
                               base_slice_str(def->columns), base_buf_view(&with), &context, &ddl,
                               err);
    }
    if (rc == BASE_OK)
        rc = advance(schema, &ddl.change, err);
    base_buf_fini(&name);
    base_buf_fini(&with);
    base_arena_fini(&arena);
    return rc;
}

static struct base_schema *make_schema(void)
{
    struct base_schema *schema = base_schema_new();
    struct base_err err = {0};
    int rc = schema ? BASE_OK : BASE_E_NOMEM;
    for (size_t i = 0; rc == BASE_OK && i < BASE_COUNT(keyspaces); i++)
        rc = add_keyspace(&schema, keyspaces[i], &err);
    for (size_t i = 0; rc == BASE_OK && i < nodei_system_table_count; i++)
        rc = add_table(&schema, &nodei_system_tables[i], &err);
    BASE_ASSERT(rc == BASE_OK || rc == BASE_E_NOMEM); /* our own definitions */
    if (rc == BASE_OK)
        return schema;
    if (schema)
        base_schema_release(schema);
    return NULL;
}

const struct base_schema *nodei_system_schema(void)
{
    static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    static struct base_schema *schema;
    pthread_mutex_lock(&mutex);
    if (!schema)
        schema = make_schema();
    const struct base_schema *made = schema;
    pthread_mutex_unlock(&mutex);
    return made;
}

static const struct nodei_system_table *find_definition(const struct base_table *table)
{
    for (size_t i = 0; i < nodei_system_table_count; i++)
        if (base_slice_equal(table->name, base_slice_str(nodei_system_tables[i].name)) &&
            base_slice_equal(table->keyspace, base_slice_str(nodei_system_tables[i].keyspace)))
            return &nodei_system_tables[i];
    return NULL;
}

bool nodei_is_system_table(const struct base_table *table)
{
    return find_definition(table) != NULL;
}

struct base_uuid nodei_schema_version(const char *cluster_name, uint64_t epoch)
{
    struct {
        uint8_t epoch[8];
        char name[RING_CLUSTER_NAME_LEN_MAX + 1];
    } from = {0};
    size_t len = strnlen(cluster_name, sizeof from.name);
    base_put_be64(from.epoch, epoch);
    memcpy(from.name, cluster_name, len);
    return uuid_of(&from, sizeof from.epoch + len);
}

/* Reading. */

int nodei_system_read(struct node *node, struct repl *repl, const struct base_table *table,
                      const struct base_read *cmd, struct base_source **out, struct base_err *err)
{
    const struct nodei_system_table *def = find_definition(table);
    BASE_ASSERT(def);
    *out = NULL;
    struct base_schema *schema = repl ? base_schema_acquire(repl_schema(repl)) : node_schema(node);
    struct nodei_fill fill = {
        .node = node,
        .repl = repl,
        .schema = schema,
        .system = nodei_system_schema(),
        .ring = repl ? repl_ring(repl) : NULL,
        .table = table,
        .cmd = cmd,
    };
    struct base_source *rows = NULL;
    int rc = nodei_fill_begin(&fill, err);
    if (rc == BASE_OK && def->fill)
        def->fill(&fill);
    rc = fill.rc;
    if (rc == BASE_OK)
        rc = lsm_overlay_read(fill.overlay, cmd, &rows, err);
    if (rc == BASE_OK) {
        const struct base_merge_options options = {.reversed = cmd->reversed,
                                                   .purge.now_s = cmd->now_s};
        rc = base_merge_open(&rows, 1, &options, out, err);
    }
    nodei_fill_fini(&fill);
    base_schema_release(schema);
    return rc;
}
