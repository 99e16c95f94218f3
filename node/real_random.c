/* The random port over getrandom(2). It cannot fail once the kernel's pool is initialized, which it
 * is long before anybody can load us; a kernel without the call is an environment we do not
 * support. */
#include <errno.h>
#include <limits.h>
#include <sys/random.h>

#include "node/client.h"
#include "node/ports.h"

static void real_fill(struct base_random *random, void *buf, unsigned len)
{
    (void)random;
    uint8_t *at = buf;
    size_t left = len;
    while (left) {
        ssize_t got = getrandom(at, left, 0);
        if (got < 0 && errno == EINTR)
            continue;
        BASE_ASSERT(got > 0);
        at += got;
        left -= (size_t)got;
    }
}

static const struct base_random_ops real_random_ops = {.fill = real_fill};

struct base_random *node_real_random(void)
{
    static struct base_random random = {.ops = &real_random_ops}; /* never written */
    return &random;
}

void node_random(void *out, size_t len)
{
    BASE_ASSERT(len <= UINT_MAX);
    real_fill(NULL, out, (unsigned)len);
}
