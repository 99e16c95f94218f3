/* What node/roles*.c share: a role as it is stored, passwords, the cache. */
#ifndef NODE_ROLES_PRIVATE_H
#define NODE_ROLES_PRIVATE_H

#include "node/cluster_private.h"
#include "node/cql_internal.h"

#define NODEI_ROLE_LEN_MAX 127 /* bytes of a name */
#define NODEI_PASSWORD_LEN_MAX 255
#define NODEI_HASH_LEN_MAX 127
/* The superuser that every new cluster has: no row says so, until one says otherwise. */
#define NODEI_DEFAULT_ROLE "cassandra"
/* Stored in place of a hash when the default superuser was dropped: without a row it would be back.
 * No password has this hash. */
#define NODEI_DROPPED_HASH "!"

/* Passwords (roles_hash.c). */

/* A bcrypt, on the pool. The caller's storage until done, which is called on the loop, never from
 * inside start. */
struct nodei_hash {
    char password[NODEI_PASSWORD_LEN_MAX + 1]; /* wiped before done */
    /* Compare: what is stored, or empty: nothing is, and the time is taken all the same. Make one:
     * make is set. */
    char stored[NODEI_HASH_LEN_MAX + 1];
    bool make;
    void (*done)(struct nodei_hash *hash);
    /* After done: */
    int rc; /* OK; OVERLOADED: too many wait; CLOSED */
    bool matches;
    char made[NODEI_HASH_LEN_MAX + 1];
    /* The pool's: */
    struct base_job job;
    struct net_task task;
    struct nodei_cluster *cluster;
    struct nodei_hash *next;
    uint8_t salt[16];
};
void nodei_hash_start(struct node *node, struct nodei_hash *hash);
struct nodei_auth;
void nodei_hash_refuse_all(struct nodei_auth *auth); /* those that wait: CLOSED */
/* Could it be a bcrypt hash ("$2a$10$…"), of a cost that we bear? */
bool nodei_hash_is_valid(struct base_slice text);

/* Roles as stored (roles_login.c). */

struct nodei_role {
    bool exists, can_login, is_superuser;
    bool is_default;                   /* the default superuser with its default password */
    char hash[NODEI_HASH_LEN_MAX + 1]; /* or empty: it has no password */
};
/* Take a row of (can_login, is_superuser, salted_hash), or that there is none (NULL), for the role
 * of this name. */
void nodei_role_take(const char *name, const struct base_slice *values, struct nodei_role *role);

/* Look a role up, not in the cache. The caller's storage until it has ended. */
struct nodei_lookup {
    void (*done)(struct nodei_lookup *lookup); /* after PENDING */
    int rc;
    struct base_err err;
    struct nodei_role role;
    char name[NODEI_ROLE_LEN_MAX + 1];
    struct node *node;
    bool asked_all;
    struct nodei_query query;
};
enum cql_answer nodei_lookup_start(struct nodei_lookup *lookup, struct node *node,
                                   const char *name);
/* A role changed here: what is remembered of it is not true any more. */
void nodei_roles_forget(struct node *node, const char *name);

/* roles_list.c */
enum cql_answer nodei_roles_list(struct nodei_client *client, struct cql_admin *admin);

/* Of a cluster (roles_login.c). */

#define NODEI_ROLES_CACHED_MAX 256
struct nodei_auth {
    struct nodei_cached_role {
        char name[NODEI_ROLE_LEN_MAX + 1];
        struct nodei_role role;
        uint64_t read_ns;
        struct nodei_cached_role *next;
    } * cached; /* the latest first */
    size_t cached_count;
    /* counts nodei_roles_forget: a lookup that was under way meanwhile is not remembered */
    uint64_t changes;
    struct nodei_hash *hashing, *queue, **queue_end;
    size_t queued;
    size_t users; /* logins and changes of roles under way */
    bool closing;
};
/* Made at the first use; NULL: out of memory. */
struct nodei_auth *nodei_auth(struct node *node);

#endif
