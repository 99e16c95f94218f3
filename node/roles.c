/* CREATE, ALTER, DROP and LIST of roles and users: rows of system_auth.roles.
 *
 * Each statement goes: is the client a superuser still? may it? → is the role there? → a password
 * is hashed → the row is written. Who may: superusers; and each role may change its own password. A
 * role that a client of this node changes is looked up anew at its next login here; other nodes
 * remember it for up to roles_validity.
 *
 * Invariant: `ready` is called only after PENDING was answered (op->pending). */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "node/roles_private.h"

/* Who may touch the tables themselves. */

static int check_table(const struct nodei_client *client, const struct base_table *table,
                       const char *what, struct base_err *err)
{
    if (client->is_superuser || client->internal || !table ||
        !base_slice_equal(table->keyspace, BASE_SLICE_LIT("system_auth")))
        return BASE_OK;
    return base_err_set(
        err, BASE_E_UNAUTHORIZED,
        "User %s has no %s permission on <table system_auth.%.*s> or any of its parents",
        client->role, what, BASE_SLICE_ARG(table->name));
}

int nodei_roles_check_read(const struct nodei_client *client, const struct base_table *table,
                           struct base_err *err)
{
    return check_table(client, table, "SELECT", err);
}

int nodei_roles_check_write(const struct nodei_client *client, struct base_slice mutations,
                            size_t count, struct base_err *err)
{
    if (client->is_superuser || client->internal)
        return BASE_OK;
    struct base_schema *schema = node_schema(client->node);
    struct base_reader in = base_reader(mutations);
    struct base_mutation m;
    int rc = BASE_OK;
    for (size_t i = 0; rc == BASE_OK && i < count && base_mutation_decode(&in, &m); i++)
        rc = check_table(client, base_schema_table_by_id(schema, m.table_id), "MODIFY", err);
    base_schema_release(schema);
    return rc;
}

int nodei_roles_check_ddl(const struct nodei_client *client, const struct cql_statement *statement,
                          struct base_slice keyspace, struct base_err *err)
{
    if (statement->target.keyspace.data)
        keyspace = statement->target.keyspace;
    switch (cql_statement_kind(statement)) {
    case CQL_CREATE_KEYSPACE:
    case CQL_ALTER_KEYSPACE:
    case CQL_DROP_KEYSPACE:
        keyspace = statement->target.name;
        break;
    default:
        break;
    }
    if (client->is_superuser || client->internal ||
        !base_slice_equal(keyspace, BASE_SLICE_LIT("system_auth")))
        return BASE_OK;
    return base_err_set(
        err, BASE_E_UNAUTHORIZED,
        "User %s has no ALTER permission on <keyspace system_auth> or any of its parents",
        client->role);
}

/* A statement. */

struct role_op {
    struct nodei_client *client;
    struct node *node;
    struct cql_admin *admin;
    char name[NODEI_ROLE_LEN_MAX + 1];
    /* What the statement says: */
    bool has_password, has_hash, has_superuser, has_login, superuser, login;
    char hash_text[NODEI_HASH_LEN_MAX + 1];
    bool pending;
    bool of_self; /* the lookup is of the client's own role */
    struct nodei_lookup lookup;
    struct nodei_hash hash;
    struct nodei_query query;
};

static enum cql_statement_kind kind_of(const struct role_op *op)
{
    return cql_statement_kind(op->admin->statement);
}

static int invalid(struct role_op *op, const char *fmt, ...) BASE_PRINTF(2, 3);
static int invalid(struct role_op *op, const char *fmt, ...)
{
    char text[400];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return base_err_set(&op->admin->err, BASE_E_INVALID, "%s", text);
}

/* It has ended: the answer is there. DONE, or the client is told. */
static enum cql_answer end(struct role_op *op, int rc)
{
    struct cql_admin *admin = op->admin;
    bool pending = op->pending;
    admin->rc = rc;
    if (rc == BASE_OK && kind_of(op) != CQL_LIST_ROLES)
        admin->result->kind = CQL_RESULT_VOID;
    op->node->cluster->auth->users--;
    explicit_bzero(op, sizeof *op);
    free(op);
    if (pending)
        admin->ready(admin);
    return CQL_DONE;
}

static enum cql_answer wait(struct role_op *op)
{
    op->pending = true;
    return CQL_PENDING;
}

/* Writing. */

static enum cql_answer write_take(struct role_op *op)
{
    int rc = op->query.rc;
    if (rc != BASE_OK)
        base_err_set(&op->admin->err, rc, "%s", op->query.err.text);
    op->admin->outcome = op->query.outcome;
    nodei_query_end(&op->query);
    nodei_roles_forget(op->node, op->name);
    return end(op, rc);
}

static void write_done(struct nodei_query *query)
{
    (void)write_take(BASE_CONTAINER(query, struct role_op, query));
}

static enum cql_answer write_values(struct role_op *op, const char *text,
                                    const struct cql_value *values, size_t count)
{
    op->query.done = write_done;
    return nodei_query_start(&op->query, op->node, text, values, count, NODE_CL_QUORUM) ==
                   CQL_PENDING
               ? wait(op)
               : write_take(op);
}

#define INSERT_ROLE                                                                                \
    "INSERT INTO system_auth.roles (role, can_login, is_superuser, salted_hash) VALUES (?, ?, ?, " \
    "?)"

/* What the statement does not say stays (ALTER), or is the default (CREATE; the default superuser,
 * which has no row yet). */
static enum cql_answer write_role(struct role_op *op)
{
    const struct nodei_role *role = &op->lookup.role;
    bool create = kind_of(op) == CQL_CREATE_ROLE;
    bool user = op->admin->statement->role.user;
    bool login = op->has_login ? op->login : create ? user : role->can_login;
    bool superuser = op->has_superuser ? op->superuser : create ? false : role->is_superuser;
    struct cql_value hash = {.state = create ? CQL_VALUE_NULL : CQL_VALUE_UNSET};
    if (op->has_hash)
        hash = nodei_value_text(op->hash_text);
    else if (op->has_password)
        hash = nodei_value_text(op->hash.made);
    const struct cql_value values[] = {nodei_value_text(op->name), nodei_value_bool(login),
                                       nodei_value_bool(superuser), hash};
    return write_values(op, INSERT_ROLE, values, BASE_COUNT(values));
}

static enum cql_answer write_drop(struct role_op *op)
{
    const struct cql_value values[] = {nodei_value_text(op->name), nodei_value_bool(false),
                                       nodei_value_bool(false),
                                       nodei_value_text(NODEI_DROPPED_HASH)};
    if (strcmp(op->name, NODEI_DEFAULT_ROLE) == 0)
        return write_values(op, INSERT_ROLE, values, BASE_COUNT(values));
    return write_values(op, "DELETE FROM system_auth.roles WHERE role = ?", values, 1);
}

static void hash_done(struct nodei_hash *hash)
{
    struct role_op *op = BASE_CONTAINER(hash, struct role_op, hash);
    BASE_ASSERT(op->pending);
    if (hash->rc != BASE_OK)
        (void)end(op, base_err_set(&op->admin->err, hash->rc, "the password: %s",
                                   base_err_words(hash->rc)));
    else
        (void)write_role(op);
}

static enum cql_answer hash_and_write(struct role_op *op)
{
    if (!op->has_password)
        return write_role(op);
    op->hash.make = true;
    op->hash.done = hash_done;
    enum cql_answer answer = wait(op);
    nodei_hash_start(op->node, &op->hash);
    return answer;
}

/* Judging. */

static int check_drop(struct role_op *op, const struct nodei_role *role)
{
    if (strcmp(op->name, op->client->role) == 0)
        return invalid(op, "Cannot DROP primary role for current login");
    if (role->is_superuser && !op->client->is_superuser)
        return base_err_set(&op->admin->err, BASE_E_UNAUTHORIZED,
                            "Only superusers can drop a role with superuser status");
    return BASE_OK;
}

/* Does it exist as the statement wants it? *go: there is something to do. */
static int judge(struct role_op *op, bool *go)
{
    const struct nodei_role *role = &op->lookup.role;
    bool conditional = op->admin->statement->conditional;
    bool create = kind_of(op) == CQL_CREATE_ROLE;
    *go = role->exists != create;
    if (!*go && conditional)
        return BASE_OK;
    if (!*go && create)
        return invalid(op, "%s already exists", op->name);
    if (!*go)
        return invalid(op,
                       kind_of(op) == CQL_ALTER_ROLE ? "Role %s doesn't exist" : "%s doesn't exist",
                       op->name);
    return kind_of(op) == CQL_DROP_ROLE ? check_drop(op, role) : BASE_OK;
}

static int check_may(struct role_op *op);
static enum cql_answer look_up(struct role_op *op, const char *name);

static enum cql_answer lookup_take(struct role_op *op)
{
    bool go = false;
    int rc = op->lookup.rc;
    if (rc != BASE_OK)
        base_err_set(&op->admin->err, rc, "%s", op->lookup.err.text);
    else if (op->node->cluster->auth->closing)
        rc = base_err_set(&op->admin->err, BASE_E_CLOSED, "%s", base_err_words(BASE_E_CLOSED));
    else if (op->of_self)
        rc = check_may(op);
    else
        rc = judge(op, &go);
    if (rc == BASE_OK && op->of_self) {
        op->of_self = false;
        return look_up(op, op->name);
    }
    if (rc != BASE_OK || !go)
        return end(op, rc);
    return kind_of(op) == CQL_DROP_ROLE ? write_drop(op) : hash_and_write(op);
}

static void lookup_done(struct nodei_lookup *lookup)
{
    (void)lookup_take(BASE_CONTAINER(lookup, struct role_op, lookup));
}

static enum cql_answer look_up(struct role_op *op, const char *name)
{
    op->lookup.done = lookup_done;
    return nodei_lookup_start(&op->lookup, op->node, name) == CQL_PENDING ? wait(op)
                                                                          : lookup_take(op);
}

/* Superusers; a role its own password, and nothing else. Who logged in as a superuser may be none
 * any more. */
static int check_may(struct role_op *op)
{
    struct nodei_client *client = op->client;
    if (client->role[0])
        client->is_superuser = op->lookup.role.exists && op->lookup.role.is_superuser;
    bool own = client->role[0] && strcmp(op->name, client->role) == 0;
    bool alter = kind_of(op) == CQL_ALTER_ROLE;
    if (alter && own && op->has_superuser)
        return base_err_set(&op->admin->err, BASE_E_UNAUTHORIZED,
                            "You aren't allowed to alter your own superuser status or that of a "
                            "role granted to you");
    if (client->is_superuser)
        return BASE_OK;
    if (alter && op->has_superuser)
        return base_err_set(&op->admin->err, BASE_E_UNAUTHORIZED,
                            "Only superusers are allowed to alter superuser status");
    if (kind_of(op) == CQL_CREATE_ROLE && op->has_superuser && op->superuser)
        return base_err_set(&op->admin->err, BASE_E_UNAUTHORIZED,
                            "Only superusers can create a role with superuser status");
    if (alter && own && !op->has_login)
        return BASE_OK;
    return base_err_set(
        &op->admin->err, BASE_E_UNAUTHORIZED,
        "User %s does not have sufficient privileges to perform the requested operation",
        client->role);
}

static int take_password(struct role_op *op, struct base_slice text, bool hashed)
{
    if (hashed && !nodei_hash_is_valid(text))
        return invalid(op, "Invalid hashed password value. Please use jBcrypt.");
    if (text.len > NODEI_PASSWORD_LEN_MAX || memchr(text.data, 0, text.len))
        return invalid(op, "a password has at most %d bytes, and none that is 0",
                       NODEI_PASSWORD_LEN_MAX);
    memcpy(hashed ? op->hash_text : op->hash.password, text.data, text.len);
    op->has_hash = op->has_hash || hashed;
    op->has_password = op->has_password || !hashed;
    return BASE_OK;
}

static int take_option(struct role_op *op, const struct cql_property *p)
{
    bool yes =
        p->value->text.len && (p->value->text.data[0] == 't' || p->value->text.data[0] == 'T');
    if (base_slice_equal(p->name, BASE_SLICE_LIT("password")))
        return take_password(op, p->value->text, false);
    if (base_slice_equal(p->name, BASE_SLICE_LIT("hashed password")))
        return take_password(op, p->value->text, true);
    if (base_slice_equal(p->name, BASE_SLICE_LIT("superuser"))) {
        op->has_superuser = true;
        op->superuser = yes;
        return BASE_OK;
    }
    if (base_slice_equal(p->name, BASE_SLICE_LIT("login"))) {
        op->has_login = true;
        op->login = yes;
        return BASE_OK;
    }
    if (p->value->kind == CQL_TERM_WORD) /* ACCESS TO ALL DATACENTERS: it is so */
        return BASE_OK;
    return base_slice_equal(p->name, BASE_SLICE_LIT("options"))
               ? invalid(op, "CassandraRoleManager doesn't support OPTIONS")
               : invalid(
                     op,
                     "ACCESS %s is not supported: roles reach all data centres, from everywhere",
                     base_slice_equal(p->name, BASE_SLICE_LIT("access")) ? "TO DATACENTERS"
                                                                         : "FROM CIDRS");
}

static int take_statement(struct role_op *op)
{
    const struct cql_statement *s = op->admin->statement;
    struct base_slice name = s->target.name;
    if (name.len == 0)
        return invalid(op, "Role name can't be an empty string");
    if (name.len > NODEI_ROLE_LEN_MAX || memchr(name.data, 0, name.len))
        return invalid(op, "a role's name has at most %d bytes, and none that is 0",
                       NODEI_ROLE_LEN_MAX);
    memcpy(op->name, name.data, name.len);
    for (const struct cql_property *p = s->properties; p;
         p = p->next) { /* each once, a password in one form: the grammar's rule */
        int rc = take_option(op, p);
        if (rc != BASE_OK)
            return rc;
    }
    if (kind_of(op) == CQL_ALTER_ROLE && !s->properties && !s->role.user)
        return invalid(op, "ALTER [ROLE|USER] can't be empty");
    return BASE_OK;
}

enum cql_answer nodei_roles_admin(struct nodei_client *client, struct cql_admin *admin)
{
    struct nodei_auth *auth = nodei_auth(client->node);
    if (cql_statement_kind(admin->statement) == CQL_LIST_ROLES)
        return nodei_roles_list(client, admin);
    struct role_op *op = auth ? calloc(1, sizeof *op) : NULL;
    if (!op) {
        admin->rc = base_err_set(&admin->err, BASE_E_NOMEM, "%s", base_err_words(BASE_E_NOMEM));
        return CQL_DONE;
    }
    auth->users++;
    op->client = client;
    op->node = client->node;
    op->admin = admin;
    int rc = auth->closing
                 ? base_err_set(&admin->err, BASE_E_CLOSED, "%s", base_err_words(BASE_E_CLOSED))
                 : take_statement(op);
    if (rc == BASE_OK && !client->role[0])
        rc = check_may(op); /* nobody asked who it is */
    if (rc != BASE_OK)
        return end(op, rc);
    op->of_self = client->role[0];
    return look_up(op, op->of_self ? client->role : op->name);
}
