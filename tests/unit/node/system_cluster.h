/* Daemons in one process, on loopback addresses: what tests of system keyspaces, roles and traces
 * share. */
#ifndef TESTS_UNIT_NODE_SYSTEM_CLUSTER_H
#define TESTS_UNIT_NODE_SYSTEM_CLUSTER_H

#include "replication/replication.h"
#include "tests/unit/node/system_rows.h"

enum { DAEMONS_MAX = 3 };
/* The text with each '@' replaced by fixture_port(). Valid until the next four calls. */
const char *with_port(const char *text);

struct daemon_node {
    char dir[96], listen[64], rpc_address[64];
    struct node *node;
    struct node_session *session;
};
extern struct daemon_node daemons[DAEMONS_MAX];

void daemons_setup(void);    /* a directory, no node yet */
void daemons_teardown(void); /* closes all */
/* Option NAME=VALUE pairs up to NULL go to the node. Waits until it serves. */
void daemon_open(int i, ...);
void daemon_close(int i);
/* Wait until `count` of them know each other and all have the system keyspaces. */
void daemons_settle(int count);
void daemons_one(void);                      /* set up, open and settle one */
int daemon_try_cql(int i, const char *text); /* fixture.err */
void daemon_cql(int i, const char *text);

#endif
