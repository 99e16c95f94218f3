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
    return base_err_set(err, BASE_E_INVALID, "\"%s\" is no address: write HOST:PORT, as 127.0.0.1:7000 or [::1]:7000", text);
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
