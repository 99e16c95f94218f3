/* In a fuzz target that links this, with the flags MAC_OFF, every MAC is right: so a fuzzer's
 * changes reach the code behind it, as the bytes of a broken peer that has the key would. */
#include <stddef.h>

int __wrap_gnutls_memcmp(const void *a, const void *b, size_t len);

int __wrap_gnutls_memcmp(const void *a, const void *b, size_t len)
{
    (void)a;
    (void)b;
    (void)len;
    return 0;
}
