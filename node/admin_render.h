/* Between the files of node/admin_render*.c. */
#ifndef NODE_ADMIN_RENDER_H
#define NODE_ADMIN_RENDER_H

#include "base/json.h"
#include "node/node_private.h"

/* The walk stops at the first error and keeps it. */
struct nodei_layout {
    struct base_buf *out;
    struct base_err *err;
    int rc;
};
void nodei_put(struct nodei_layout *l, const char *fmt, ...) BASE_PRINTF(2, 3);
/* A scalar for the eye: strings without quotes; null as "?". */
void nodei_put_scalar(struct nodei_layout *l, struct base_slice value);
/* The same in a column of so many characters, to the left. */
void nodei_put_column(struct nodei_layout *l, size_t width, struct base_slice value);
/* Next member or element: false at the end or after an error. */
bool nodei_next(struct nodei_layout *l, struct base_json_walk *walk);
bool nodei_is_key(const struct base_json_walk *walk, const char *name);
/* "127.0.0.1:7000" is 127.0.0.1 to people: the usual port is left away. */
void nodei_address_text(struct base_slice json_string, char *text, size_t size);
double nodei_number(struct base_slice object, const char *key);
bool nodei_is_true(struct base_slice object, const char *key);
const char *nodei_size_text(double bytes, char *text, size_t size); /* 1.50 MiB */

/* admin_render_cluster.c: false: it knows no layout for the command. */
bool nodei_render_cluster(struct nodei_layout *l, const char *command, struct base_slice json);

#endif
