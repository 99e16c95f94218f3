/* Assertions that stay on in every build.
 *
 * BASE_ASSERT states a programming invariant. It never looks at bytes that came from a disk, a
 * peer, a client or SQL: those are checked and answered with an error. */
#ifndef BASE_ASSERT_H
#define BASE_ASSERT_H

_Noreturn void base_assert_fail(const char *expr, const char *file, int line);

#define BASE_ASSERT(expr)                                                                          \
    (__builtin_expect(!!(expr), 1) ? (void)0 : base_assert_fail(#expr, __FILE__, __LINE__))

#define BASE_MUST __attribute__((warn_unused_result))
#define BASE_PRINTF(fmt, first) __attribute__((format(printf, fmt, first)))
#define BASE_LIKELY(x) __builtin_expect(!!(x), 1)
#define BASE_UNLIKELY(x) __builtin_expect(!!(x), 0)
#define BASE_COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* The struct that holds `member`, from a pointer to the member. */
#define BASE_CONTAINER(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#endif
