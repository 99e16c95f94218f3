/* What statements that are not about data mean, whoever asks: the context they are judged in, USE,
 * DESCRIBE, and a schema change as a result. The change itself is made by cql_loop.c and
 * cql_session.c, each in its way. */
#include "node/cql_admin.h"

struct cql_context nodei_cql_context(struct node *node, const char *keyspace,
                                     const struct base_schema *schema)
{
    return (struct cql_context){
        .schema = schema,
        .system = nodei_system_schema(),
        .keyspace = base_slice_str(keyspace),
        .new_id = nodei_uuid_v4(nodei_random(node)),
        .now_us = node_timestamp(node),
    };
}

int nodei_admin_use(struct node *node, const struct cql_admin *admin,
                    char keyspace[BASE_NAME_LEN_MAX + 1], struct base_err *err)
{
    struct base_slice name = cql_use_keyspace(admin->statement);
    struct base_schema *schema = node_schema(node);
    bool found = base_schema_keyspace(schema, name) ||
                 (nodei_system_schema() && base_schema_keyspace(nodei_system_schema(), name));
    base_schema_release(schema);
    if (!found || name.len > BASE_NAME_LEN_MAX)
        return base_err_set(err, BASE_E_NOTFOUND, "Keyspace '%.*s' does not exist",
                            BASE_SLICE_ARG(name));
    memcpy(keyspace, name.data, name.len);
    keyspace[name.len] = 0;
    admin->result->kind = CQL_RESULT_SET_KEYSPACE;
    admin->result->keyspace = name;
    return BASE_OK;
}

int nodei_admin_describe(struct node *node, const struct cql_admin *admin, struct base_err *err)
{
    struct base_schema *schema = node_schema(node);
    struct cql_context context = nodei_cql_context(node, "", schema);
    context.keyspace = admin->keyspace;
    const struct cql_describe_facts facts = {
        .cluster_name = node->settings.cluster_name,
        .snitch = "org.apache.cassandra.locator.GossipingPropertyFileSnitch",
        .keyspace = context.keyspace};
    int rc = cql_describe_run(admin->arena, admin->statement, &context, &facts, admin->result, err);
    base_schema_release(schema);
    return rc;
}

int nodei_admin_changed(const struct cql_admin *admin, const struct base_change *change,
                        struct base_err *err)
{
    static const struct {
        const char *change, *target;
    } words[] = {
        [BASE_CHANGE_KEYSPACE_CREATE] = {"CREATED", "KEYSPACE"},
        [BASE_CHANGE_KEYSPACE_ALTER] = {"UPDATED", "KEYSPACE"},
        [BASE_CHANGE_KEYSPACE_DROP] = {"DROPPED", "KEYSPACE"},
        [BASE_CHANGE_TYPE_CREATE] = {"CREATED", "TYPE"},
        [BASE_CHANGE_TYPE_ALTER] = {"UPDATED", "TYPE"},
        [BASE_CHANGE_TYPE_DROP] = {"DROPPED", "TYPE"},
        [BASE_CHANGE_TABLE_CREATE] = {"CREATED", "TABLE"},
        [BASE_CHANGE_TABLE_ALTER] = {"UPDATED", "TABLE"},
        [BASE_CHANGE_TABLE_DROP] = {"DROPPED", "TABLE"},
        [BASE_CHANGE_TABLE_TRUNCATE] = {NULL, NULL},
        [BASE_CHANGE_TOPOLOGY] = {NULL, NULL},
    };
    struct cql_result *result = admin->result;
    result->change = words[change->kind].change;
    result->target = words[change->kind].target;
    result->kind = result->change ? CQL_RESULT_SCHEMA_CHANGE : CQL_RESULT_VOID;
    int rc = base_arena_copy(admin->arena, change->keyspace, &result->keyspace);
    if (rc == BASE_OK)
        rc = base_arena_copy(admin->arena, change->name, &result->name);
    return rc == BASE_OK ? BASE_OK : base_err_set(err, rc, "%s", base_err_words(rc));
}
