/* Small helpers over Check: a failed call shows its error's text. */
#ifndef TESTS_CK_H
#define TESTS_CK_H

#include <check.h>
#include <stdlib.h>

#include "base/err.h"

/* `expr` is a call that takes `err` (a struct base_err in scope); it must succeed. */
#define ck_ok(expr, err)                                                                           \
    do {                                                                                           \
        base_err_clear(&(err));                                                                    \
        int ck_rc_ = (expr);                                                                       \
        ck_assert_msg(ck_rc_ == BASE_OK, "%s: %s: %s", #expr, base_err_words(ck_rc_), (err).text); \
    } while (0)
/* … it must fail with this code, and say something. */
#define ck_fails(expr, code_, err)                                                                 \
    do {                                                                                           \
        base_err_clear(&(err));                                                                    \
        int ck_rc_ = (expr);                                                                       \
        ck_assert_msg(ck_rc_ == (code_), "%s: %s (%s), expected %s", #expr,                        \
                      base_err_words(ck_rc_), (err).text, base_err_words(code_));                  \
        ck_assert_msg((err).code == (code_) && (err).text[0], "%s: no text", #expr);               \
    } while (0)

/* Run one suite as a program's main. */
static inline int ck_main(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif
