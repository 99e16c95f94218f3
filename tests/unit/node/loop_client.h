/* A client of the native protocol without the protocol: statements on a daemon's loop, as
 * connections run them. */
#ifndef TESTS_UNIT_NODE_LOOP_CLIENT_H
#define TESTS_UNIT_NODE_LOOP_CLIENT_H

#include "node/cluster_private.h"
#include "node/cql_internal.h"
#include "tests/unit/node/system_cluster.h"

struct loop_client {
    struct nodei_client client;
    int daemon;
};
void loop_client_init(struct loop_client *c, int daemon);
/* Run it; the code, and fixture.err. */
int loop_try(struct loop_client *c, const char *text);
/* It must succeed: its rows as text, values apart by '|', null as nothing, a line each; or "".
 * Valid until the next call. */
const char *loop_run(struct loop_client *c, const char *text);

/* Log in; the code, and fixture.err. */
struct nodei_login;
int loop_login(int daemon, const char *user, const char *password, bool from_loopback,
               struct nodei_login *out);

#endif
