/* The table of errors, and their texts. */
#include "base/err.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void base_assert_fail(const char *expr, const char *file, int line)
{
    fprintf(stderr, "ringlet: broken invariant: %s (%s:%d); please report this\n", expr, file,
            line);
    abort();
}

const char *base_err_words(int code)
{
    switch (code) {
    case BASE_OK:
        return "ok";
#define X(name, value, outcome, words)                                                             \
    case BASE_E_##name:                                                                            \
        return words;
        BASE_ERRORS(X)
#undef X
    default:
        return "unknown error";
    }
}

enum base_outcome base_err_outcome(int code)
{
    switch (code) {
#define X(name, value, outcome, words)                                                             \
    case BASE_E_##name:                                                                            \
        return BASE_OUTCOME_##outcome;
        BASE_ERRORS(X)
#undef X
    default:
        return BASE_OUTCOME_MAYBE;
    }
}

int base_err_set(struct base_err *err, int code, const char *fmt, ...)
{
    BASE_ASSERT(code != BASE_OK);
    if (err) {
        va_list ap;
        va_start(ap, fmt);
        err->code = code;
        vsnprintf(err->text, sizeof err->text, fmt, ap);
        va_end(ap);
        err->function[0] = 0;
    }
    return code;
}

int base_err_wrap(struct base_err *err, int code, const char *fmt, ...)
{
    BASE_ASSERT(code != BASE_OK);
    if (err) {
        char inner[sizeof err->text];
        va_list ap;
        snprintf(inner, sizeof inner, "%s", err->text[0] ? err->text : base_err_words(code));
        va_start(ap, fmt);
        int used = vsnprintf(err->text, sizeof err->text, fmt, ap);
        va_end(ap);
        size_t at = used < 0                          ? 0
                    : (size_t)used < sizeof err->text ? (size_t)used
                                                      : sizeof err->text - 1;
        size_t left = sizeof err->text - at;
        snprintf(err->text + at, left, ": %.*s", left > 3 ? (int)(left - 3) : 0, inner);
        err->code = code;
    }
    return code;
}

int base_err_from_errno(int errnum)
{
    switch (errnum) {
    case ENOMEM:
        return BASE_E_NOMEM;
    case ENOSPC:
    case EDQUOT:
        return BASE_E_NOSPACE;
    case ENOENT:
        return BASE_E_NOTFOUND;
    case EEXIST:
        return BASE_E_EXISTS;
    case EACCES:
    case EPERM:
    case EROFS:
        return BASE_E_UNAUTHORIZED;
    default:
        return BASE_E_IO;
    }
}
