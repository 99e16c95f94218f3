/* A run's fingerprint: a hash over every port call with its arguments and result, in order. Two
 * runs of one seed must give the same hash and count; the first differing line of `out` shows
 * where they part. Not thread-safe: replay is a matter of one thread. */
#ifndef TESTS_TRACE_H
#define TESTS_TRACE_H

#include <stdint.h>
#include <stdio.h>

#include "base/bytes.h"

struct trace {
    uint64_t hash;
    uint64_t count;
    FILE *out; /* NULL, or where a line per call is written */
};

static inline struct trace trace_begin(FILE *out)
{
    return (struct trace){0, 0, out};
}
/* `what` names the call; text, a, b are its arguments; data (may be empty) its bytes. trace may
 * be NULL. */
void trace_add(struct trace *trace, const char *what, const char *text, uint64_t a, uint64_t b,
               struct base_slice data);

#endif
