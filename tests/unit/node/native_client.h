/* A raw client of the native protocol for tests: sends what it is told, also what no driver would;
 * every wait ends. */
#ifndef TESTS_UNIT_NODE_NATIVE_CLIENT_H
#define TESTS_UNIT_NODE_NATIVE_CLIENT_H

#include "cql/wire.h"
#include "tests/unit/node/system_cluster.h"

#define S(text) base_slice_str(text)

struct client {
    int fd;
    int16_t stream; /* of the latest request */
    struct cql_wire_in in;
    struct cql_wire_out out;
    struct base_buf unread;
    struct base_arena arena; /* what was decoded; reset by client_call */
    struct cql_message message;
    struct cql_prefix prefix;
    struct cql_error error;
    struct cql_result_info result;
    struct cql_event event;
};

/* What daemon i's listener holds for its clients, requests and answers. */
size_t native_bytes_held(int daemon);
uint16_t native_port(int daemon);                                   /* where daemon i listens */
void client_connect(struct client *c, int daemon, uint8_t version); /* TCP only */
/* … from an address of loopback */
void client_connect_from(struct client *c, int daemon, uint8_t version, const char *from);
/* … and STARTUP; READY must come */
void client_open(struct client *c, int daemon, uint8_t version);
void client_open_with(struct client *c, int daemon, uint8_t version, const char *compression);
void client_close(struct client *c);
/* Send a message with a body. */
void client_send(struct client *c, enum cql_opcode opcode, int16_t stream, uint8_t flags,
                 struct base_slice body);
void client_flush(struct client *c); /* what was put by hand into out */
/* past the codec; a broken connection is no failure */
void client_send_raw(struct client *c, const void *bytes, size_t len);
/* The next message, decoded (events too). Must come. */
void client_receive(struct client *c);
bool client_receive_or_end(struct client *c);   /* false: the server closed */
void client_expect_end(struct client *c);       /* the server closes, after whatever it says */
bool client_is_quiet(struct client *c, int ms); /* nothing comes for so long */

/* One request and its answer (on its own stream; events that come in between are passed over). */
void client_call(struct client *c, enum cql_opcode opcode, struct base_slice body);
void client_startup(struct client *c, const char *compression); /* the answer is in message */
void client_query(struct client *c, const char *text); /* consistency ONE; must be a RESULT */
void client_query_full(struct client *c, const struct cql_query *query); /* any answer */
void client_fails(struct client *c, const char *text, int code, const char *part);
void client_expect_error(struct client *c, int code, const char *part); /* the latest message */
/* result.prepared, in the arena until the next call */
void client_prepare(struct client *c, const char *text);
void client_execute(struct client *c, const struct cql_execute *execute); /* any answer */
size_t client_rows(const struct client *c);
/* The first row's cell, of an int column. */
int32_t client_int(const struct client *c, size_t column);

/* One daemon with the table lab.t (k int, c int, v text, PRIMARY KEY (k, c)), made through `c`,
 * which is closed again. */
void client_tables(struct client *c);

#endif
