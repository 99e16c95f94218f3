/* Errors: one table of codes, and a text that grows context on its way up.
 *
 * A fallible function returns 0 or a positive BASE_E_*. Its last parameter is a `struct base_err *`
 * (may be NULL: then only the code is kept). On failure the outputs are zero and there is nothing
 * to free. Mapping to SQLite, HTTP and native-protocol codes is one switch each, at that edge. */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <stdarg.h>
#include <stddef.h>

#include "base/assert.h"

/* What the caller may conclude (DESIGN.md §6: outcomes stay apart). */
enum base_outcome {
    BASE_OUTCOME_REFUSED,   /* nothing was done: safe to repeat after mending the cause */
    BASE_OUTCOME_MAYBE,     /* it may or may not have happened */
    BASE_OUTCOME_CONDITION, /* a condition was false; nothing was written */
    BASE_OUTCOME_OVERLOAD,  /* nothing was done: repeat later */
};

/*   name          value  outcome    words */
#define BASE_ERRORS(X)                                                                             \
    X(NOMEM, 1, OVERLOAD, "out of memory")                                                         \
    X(INVALID, 2, REFUSED, "invalid request")                                                      \
    X(SYNTAX, 3, REFUSED, "syntax error")                                                          \
    X(CONFIG, 4, REFUSED, "configuration error")                                                   \
    X(EXISTS, 5, REFUSED, "already exists")                                                        \
    X(NOTFOUND, 6, REFUSED, "not found")                                                           \
    X(UNAUTHORIZED, 7, REFUSED, "not authorized")                                                  \
    X(IO, 8, MAYBE, "input/output error")                                                          \
    X(CORRUPT, 9, REFUSED, "damaged data")                                                         \
    X(NOSPACE, 10, REFUSED, "no space left")                                                       \
    X(STOPPED, 11, REFUSED, "stopped after a failed write")                                        \
    X(LIMIT, 12, REFUSED, "limit exceeded")                                                        \
    X(OVERLOADED, 13, OVERLOAD, "overloaded")                                                      \
    X(UNAVAILABLE, 14, REFUSED, "unavailable")                                                     \
    X(TIMEOUT, 15, MAYBE, "timed out")                                                             \
    X(CONDITION, 16, CONDITION, "condition not met")                                               \
    X(UNKNOWN, 17, MAYBE, "outcome unknown")                                                       \
    X(INTERRUPTED, 18, REFUSED, "interrupted")                                                     \
    X(BUSY, 19, REFUSED, "in use")                                                                 \
    X(VERSION, 20, REFUSED, "unsupported version")                                                 \
    X(CLOSED, 21, REFUSED, "closed")                                                               \
    X(STALE, 22, REFUSED, "stale")                                                                 \
    X(INTERNAL, 23, MAYBE, "internal error")                                                       \
    X(FUNCTION, 24, REFUSED, "a function failed")

enum base_error {
    BASE_OK = 0,
#define X(name, value, outcome, words) BASE_E_##name = value,
    BASE_ERRORS(X)
#undef X
};

struct base_err {
    int code;
    char text[1024]; /* NUL-terminated; cut, never overrun */
    /* FUNCTION: what failed, its name and its arguments' types with spaces between, or "" */
    char function[64];
};

/* The words of a code; never NULL, also for a number that is no code. */
const char *base_err_words(int code);
enum base_outcome base_err_outcome(int code);

/* Set `err` (may be NULL) and return `code`, so that a caller writes `return base_err_set(…)`. */
int base_err_set(struct base_err *err, int code, const char *fmt, ...) BASE_PRINTF(3, 4);
/* Put "<context>: " before the text and return the code: `return base_err_wrap(err, rc, "open %s",
 * x)`. */
int base_err_wrap(struct base_err *err, int code, const char *fmt, ...) BASE_PRINTF(3, 4);
/* The code for an errno (ENOMEM → NOMEM, ENOSPC and EDQUOT → NOSPACE, ENOENT → NOTFOUND, else
 * IO). */
int base_err_from_errno(int errnum);
static inline void base_err_clear(struct base_err *err)
{
    if (err) {
        err->code = BASE_OK;
        err->text[0] = err->function[0] = 0;
    }
}

#endif
