/* Who may log in: roles are read from system_auth.roles and remembered for roles_validity; a
 * password is compared on the pool.
 *
 * The default superuser, cassandra with the password cassandra, is there as long as no row says
 * otherwise, so that a new cluster can be logged in to; with its default password it logs in from
 * loopback only. (Cassandra writes the row at the first start.)
 *
 * Invariants:
 *  1. Every login costs one bcrypt, whoever it is for: how long it takes does not tell whether a
 *     role is there.
 *  2. What is remembered was read by a lookup during which no role changed here. */
#include <stdio.h>
#include <string.h>

#include "node/roles_private.h"

/* Of a cluster. */

struct nodei_auth *nodei_auth(struct node *node)
{
    struct nodei_cluster *cluster = node->cluster;
    if (!cluster->auth && (cluster->auth = calloc(1, sizeof *cluster->auth)))
        cluster->auth->queue_end = &cluster->auth->queue;
    return cluster->auth;
}

bool nodei_auth_stop(struct node *node, bool now)
{
    struct nodei_auth *auth = node->cluster->auth;
    if (!auth)
        return true;
    auth->closing = true;
    nodei_hash_refuse_all(auth);
    return !auth->hashing && (auth->users == 0 || now);
}

void nodei_auth_close(struct node *node)
{
    struct nodei_auth *auth = node->cluster->auth;
    while (auth && auth->cached) {
        struct nodei_cached_role *cached = auth->cached;
        auth->cached = cached->next;
        explicit_bzero(cached, sizeof *cached);
        free(cached);
    }
    free(auth);
    node->cluster->auth = NULL;
}

bool nodei_auth_is_required(const struct node *node)
{
    return node->settings.authenticator & 1;
}

/* The cache. */

static struct nodei_cached_role **find_cached(struct nodei_auth *auth, const char *name)
{
    struct nodei_cached_role **at = &auth->cached;
    while (*at && strcmp((*at)->name, name) != 0)
        at = &(*at)->next;
    return at;
}

static void forget(struct nodei_auth *auth, struct nodei_cached_role **at)
{
    struct nodei_cached_role *cached = *at;
    *at = cached->next;
    auth->cached_count--;
    explicit_bzero(cached, sizeof *cached);
    free(cached);
}

void nodei_roles_forget(struct node *node, const char *name)
{
    struct nodei_auth *auth = nodei_auth(node);
    if (!auth)
        return;
    auth->changes++;
    struct nodei_cached_role **at = find_cached(auth, name);
    if (*at)
        forget(auth, at);
}

static const struct nodei_role *remembered(struct node *node, const char *name)
{
    struct nodei_auth *auth = nodei_auth(node);
    struct nodei_cached_role **at = auth ? find_cached(auth, name) : NULL;
    if (!at || !*at)
        return NULL;
    if (net_loop_now(node->cluster->loop).ns - (*at)->read_ns < node->settings.roles_validity_ns)
        return &(*at)->role;
    forget(auth, at);
    return NULL;
}

static void remember(struct node *node, const char *name, const struct nodei_role *role)
{
    struct nodei_auth *auth = nodei_auth(node);
    struct nodei_cached_role *cached =
        auth && node->settings.roles_validity_ns ? calloc(1, sizeof *cached) : NULL;
    if (!cached)
        return;
    struct nodei_cached_role **at = find_cached(auth, name);
    if (*at)
        forget(auth, at);
    while (auth->cached_count >= NODEI_ROLES_CACHED_MAX) {
        for (at = &auth->cached; (*at)->next; at = &(*at)->next)
            ;
        forget(auth, at);
    }
    snprintf(cached->name, sizeof cached->name, "%s", name);
    cached->role = *role;
    cached->read_ns = net_loop_now(node->cluster->loop).ns;
    cached->next = auth->cached;
    auth->cached = cached;
    auth->cached_count++;
}

/* Roles as stored. */

static bool is_true(struct base_slice value)
{
    return value.len == 1 && value.data[0];
}

void nodei_role_take(const char *name, const struct base_slice *values, struct nodei_role *role)
{
    bool is_default_name = strcmp(name, NODEI_DEFAULT_ROLE) == 0;
    *role = (struct nodei_role){.exists = values != NULL};
    if (values) {
        role->can_login = is_true(values[0]);
        role->is_superuser = is_true(values[1]);
        if (values[2].len && values[2].len <= NODEI_HASH_LEN_MAX)
            memcpy(role->hash, values[2].data, values[2].len);
        if (strcmp(role->hash, NODEI_DROPPED_HASH) == 0)
            *role = (struct nodei_role){0};
        else
            role->is_default = is_default_name && !role->hash[0];
    } else if (is_default_name) {
        *role = (struct nodei_role){
            .exists = true, .can_login = true, .is_superuser = true, .is_default = true};
    }
}

static enum cql_answer lookup_read(struct nodei_lookup *lookup, int consistency);

/* That no row says anything of the default superuser is believed when all replicas say so: a row
 * that some have not got (replication was altered, say) must not bring the default password
 * back. */
static enum cql_answer lookup_take(struct nodei_lookup *lookup)
{
    struct base_slice values[3];
    int rc = lookup->query.rc;
    bool found = rc == BASE_OK && nodei_query_row(&lookup->query, values, BASE_COUNT(values));
    bool again = rc == BASE_OK && !found && !lookup->asked_all &&
                 strcmp(lookup->name, NODEI_DEFAULT_ROLE) == 0;
    lookup->rc = rc == BASE_E_NOTFOUND ? BASE_OK : rc; /* no such table yet: a new cluster */
    lookup->err = lookup->query.err;
    nodei_role_take(lookup->name, found ? values : NULL, &lookup->role);
    nodei_query_end(&lookup->query);
    lookup->asked_all = again;
    return again ? lookup_read(lookup, NODE_CL_ALL) : CQL_DONE;
}

static void lookup_done(struct nodei_query *query)
{
    struct nodei_lookup *lookup = BASE_CONTAINER(query, struct nodei_lookup, query);
    if (lookup_take(lookup) == CQL_DONE)
        lookup->done(lookup);
}

static enum cql_answer lookup_read(struct nodei_lookup *lookup, int consistency)
{
    const struct cql_value values[] = {nodei_value_text(lookup->name)};
    if (nodei_query_start(
            &lookup->query, lookup->node,
            "SELECT can_login, is_superuser, salted_hash FROM system_auth.roles WHERE role = ?",
            values, BASE_COUNT(values), consistency) == CQL_PENDING)
        return CQL_PENDING;
    return lookup_take(lookup);
}

enum cql_answer nodei_lookup_start(struct nodei_lookup *lookup, struct node *node, const char *name)
{
    snprintf(lookup->name, sizeof lookup->name, "%s", name);
    lookup->node = node;
    lookup->asked_all = false;
    lookup->query.done = lookup_done;
    return lookup_read(lookup, NODE_CL_QUORUM);
}

/* Logging in. */

struct login {
    struct nodei_login *login;
    struct node *node;
    struct nodei_lookup lookup;
    struct nodei_hash hash;
    struct nodei_role role;
    uint64_t changes;
    bool default_password; /* what was given is it: compared here, for nothing is stored */
};

static void login_end(struct login *l, int rc)
{
    struct nodei_login *login = l->login;
    login->rc = rc;
    if (rc != BASE_OK)
        login->can_login = login->is_superuser = false;
    l->node->cluster->auth->users--;
    explicit_bzero(l, sizeof *l);
    free(l);
    login->state = NULL;
    login->done(login);
}

static void hash_done(struct nodei_hash *hash)
{
    struct login *l = BASE_CONTAINER(hash, struct login, hash);
    struct nodei_login *login = l->login;
    bool right = l->role.is_default ? l->default_password && login->from_loopback : hash->matches;
    if (hash->rc != BASE_OK) {
        login_end(l, base_err_set(&login->err, hash->rc, "Unable to perform authentication: %s",
                                  hash->rc == BASE_E_OVERLOADED ? "too many logins wait"
                                                                : base_err_words(hash->rc)));
    } else if (!l->role.exists || !right) {
        login_end(l,
                  base_err_set(&login->err, BASE_E_UNAUTHORIZED,
                               "Provided username %s and/or password are incorrect", login->user));
    } else if (!l->role.can_login) {
        login_end(l, base_err_set(&login->err, BASE_E_UNAUTHORIZED, "%s is not permitted to log in",
                                  login->user));
    } else {
        login->can_login = true;
        login->is_superuser = l->role.is_superuser;
        login_end(l, BASE_OK);
    }
}

static void compare(struct login *l)
{
    snprintf(l->hash.stored, sizeof l->hash.stored, "%s", l->role.hash);
    l->hash.done = hash_done;
    nodei_hash_start(l->node, &l->hash);
}

/* The lookup has ended. */
static void found(struct login *l)
{
    struct nodei_login *login = l->login;
    if (l->lookup.rc != BASE_OK) {
        login_end(l, base_err_set(&login->err, l->lookup.rc,
                                  "Unable to perform authentication: %.300s", l->lookup.err.text));
        return;
    }
    if (l->node->cluster->auth->closing) {
        login_end(l,
                  base_err_set(&login->err, BASE_E_CLOSED, "Unable to perform authentication: %s",
                               base_err_words(BASE_E_CLOSED)));
        return;
    }
    l->role = l->lookup.role;
    if (l->changes == l->node->cluster->auth->changes)
        remember(l->node, login->user, &l->role);
    compare(l);
}

static void login_lookup_done(struct nodei_lookup *lookup)
{
    found(BASE_CONTAINER(lookup, struct login, lookup));
}

void nodei_login_start(struct node *node, struct nodei_login *login)
{
    struct nodei_auth *auth = nodei_auth(node);
    struct login *l = auth ? calloc(1, sizeof *l) : NULL;
    login->rc = BASE_OK;
    login->err = (struct base_err){0};
    login->can_login = login->is_superuser = false;
    if (!l) {
        explicit_bzero(login->password, sizeof login->password);
        login->rc = base_err_set(&login->err, BASE_E_NOMEM, "Unable to perform authentication: %s",
                                 base_err_words(BASE_E_NOMEM));
        login->done(login);
        return;
    }
    auth->users++;
    login->state = l;
    l->login = login;
    l->node = node;
    l->changes = auth->changes;
    l->default_password = strcmp(login->password, NODEI_DEFAULT_ROLE) == 0;
    snprintf(l->hash.password, sizeof l->hash.password, "%s", login->password);
    explicit_bzero(login->password, sizeof login->password);
    const struct nodei_role *role = remembered(node, login->user);
    if (role || !login->user[0]) { /* no role is called nothing */
        if (role)
            l->role = *role;
        compare(l);
        return;
    }
    l->lookup.done = login_lookup_done;
    if (nodei_lookup_start(&l->lookup, node, login->user) == CQL_DONE)
        found(l);
}
