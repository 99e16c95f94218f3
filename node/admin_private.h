/* Between the files of node/admin*.c: a command is a row of the table in admin.c and a function. */
#ifndef NODE_ADMIN_PRIVATE_H
#define NODE_ADMIN_PRIVATE_H

#include "base/json.h"
#include "node/node_private.h"
#include "replication/replication.h"

struct nodei_admin {
    struct node *node;
    struct node_session *session;
    struct base_schema *schema;
    const char *const *args;
    size_t arg_count;
    struct base_json_writer json;
    struct base_err *err;
};

void nodei_admin_u64(struct nodei_admin *call, const char *key, uint64_t value);
void nodei_admin_str(struct nodei_admin *call, const char *key, const char *value);
void nodei_admin_slice(struct nodei_admin *call, const char *key, struct base_slice value);
void nodei_admin_bool(struct nodei_admin *call, const char *key, bool value);
void nodei_admin_double(struct nodei_admin *call, const char *key, double value);
/* 0 of 0 is 0 */
void nodei_admin_ratio(struct nodei_admin *call, const char *key, uint64_t part, uint64_t whole);
/* NOTFOUND names it. */
const struct base_keyspace *nodei_admin_keyspace(struct nodei_admin *call, struct base_slice name);

/* The cluster as this node sees it, copied on the loop's thread and read on ours. An embedded node
 * that is alone is its own one member, which owns everything and has no tokens. */
struct nodei_member {
    struct base_uuid host_id;
    struct base_slice address, dc, rack;
    const int64_t *tokens;
    uint32_t token_count;
    bool joining, voter, self;
    struct repl_peer_info info; /* load_bytes of ourselves: as of now */
    size_t ring_index;          /* in ring->members */
};
struct nodei_view {
    bool clustered;
    struct ring_state *ring;      /* a reference; NULL: alone */
    struct nodei_member *members; /* by data centre and address, as people count */
    size_t *places;               /* of ring->members, in `members` */
    size_t member_count;
    uint64_t epoch, now_ns;
    enum repl_stage stage;
    char stage_text[256];
    bool hints_enabled, hints_paused;
    struct repl_stats stats;
    char own_address[80];
};
BASE_MUST int nodei_view_open(struct node *node, struct nodei_view *view, struct base_err *err);
void nodei_view_close(struct nodei_view *view); /* also of zeros */
/* How much each member owns, 0 to 1 (NaN: no one answer), under one keyspace or under all alike. */
enum nodei_ownership {
    NODEI_OWNS_TOKENS,    /* no keyspace: the share of tokens */
    NODEI_OWNS_EFFECTIVE, /* with replication */
    NODEI_OWNS_UNKNOWN,   /* keyspaces are replicated differently: name one */
};
BASE_MUST int nodei_view_owns(const struct nodei_view *view, const struct base_schema *schema,
                              const struct base_keyspace *keyspace, double *owns,
                              enum nodei_ownership *kind, struct base_err *err);

/* admin_tables.c */
int nodei_admin_compact(struct nodei_admin *call);
int nodei_admin_flush(struct nodei_admin *call);
int nodei_admin_tablestats(struct nodei_admin *call);
int nodei_admin_compactionstats(struct nodei_admin *call);
int nodei_admin_flush_all(struct nodei_admin *call); /* every table; says nothing */
/* admin_cluster.c */
int nodei_admin_describecluster(struct nodei_admin *call);
int nodei_admin_getendpoints(struct nodei_admin *call);
int nodei_admin_gossipinfo(struct nodei_admin *call);
int nodei_admin_ring(struct nodei_admin *call);
int nodei_admin_status(struct nodei_admin *call);
/* admin_stats.c */
int nodei_admin_drain(struct nodei_admin *call);
int nodei_admin_listpendinghints(struct nodei_admin *call);
int nodei_admin_netstats(struct nodei_admin *call);
int nodei_admin_pausehandoff(struct nodei_admin *call);
int nodei_admin_proxyhistograms(struct nodei_admin *call);
int nodei_admin_resumehandoff(struct nodei_admin *call);
int nodei_admin_statushandoff(struct nodei_admin *call);
int nodei_admin_tpstats(struct nodei_admin *call);
int nodei_admin_truncatehints(struct nodei_admin *call);

#endif
