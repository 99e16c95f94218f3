/* Addresses as people write them: HOST:PORT. */
#include "net/net.h"

#include <arpa/inet.h>
#include <stdio.h>

int net_address_parse(const char *text, char host[64], uint16_t *port, struct base_err *err)
{
    const char *host_end, *colon;
    const char *start = text;
    host[0] = 0;
    if (*text == '[') {
        start = text + 1;
        host_end = strchr(start, ']');
        if (!host_end)
            goto bad;
        colon = host_end[1] == ':' ? host_end + 1 : NULL;
        if (!colon && host_end[1])
            goto bad;
    } else {
        colon = strrchr(text, ':');
        if (colon && strchr(text, ':') != colon)
            colon = NULL; /* a bare IPv6 address */
        host_end = colon ? colon : text + strlen(text);
    }
    size_t len = (size_t)(host_end - start);
    if (len == 0 || len >= 64)
        goto bad;
    if (colon) {
        char *end;
        unsigned long value = strtoul(colon + 1, &end, 10);
        if (!colon[1] || *end || value > 65535 || colon[1] == '-' || colon[1] == '+')
            goto bad;
        *port = (uint16_t)value;
    }
    memcpy(host, start, len);
    host[len] = 0;
    return BASE_OK;
bad:
    return base_err_set(err, BASE_E_INVALID,
                        "\"%s\" is no address: write HOST:PORT, as 127.0.0.1:7000 or [::1]:7000",
                        text);
}

bool net_address_is_loopback(const char *host)
{
    struct in_addr v4;
    struct in6_addr v6;
    if (inet_pton(AF_INET, host, &v4) == 1)
        return (ntohl(v4.s_addr) >> 24) == 127;
    if (inet_pton(AF_INET6, host, &v6) == 1)
        return IN6_IS_ADDR_LOOPBACK(&v6) || (IN6_IS_ADDR_V4MAPPED(&v6) && v6.s6_addr[12] == 127);
    return strcmp(host, "localhost") == 0;
}

/* As IPv6; IPv4 mapped. */
static bool to_binary(const char *host, struct in6_addr *out)
{
    struct in_addr v4;
    if (inet_pton(AF_INET6, host, out) == 1)
        return true;
    if (inet_pton(AF_INET, host, &v4) != 1)
        return false;
    memset(out, 0, sizeof *out);
    out->s6_addr[10] = out->s6_addr[11] = 0xff;
    memcpy(out->s6_addr + 12, &v4, 4);
    return true;
}

bool net_address_is_numeric(const char *host)
{
    struct in6_addr address;
    return to_binary(host, &address);
}

bool net_address_is_wildcard(const char *host)
{
    struct in6_addr address;
    static const uint8_t none[4];
    return to_binary(host, &address) &&
           (IN6_IS_ADDR_UNSPECIFIED(&address) ||
            (IN6_IS_ADDR_V4MAPPED(&address) && memcmp(address.s6_addr + 12, none, 4) == 0));
}

bool net_address_equal(const char *a, const char *b)
{
    struct in6_addr x, y;
    return to_binary(a, &x) && to_binary(b, &y) && memcmp(&x, &y, sizeof x) == 0;
}
