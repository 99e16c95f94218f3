/* A guest's contacts: "http://HOST:PORT[,HOST:PORT…]", and to which of them a table's definition
 * may connect by itself. Parsed, they are "HOST:PORT,…", behind one "https://" if that is how the
 * nodes speak.
 *
 * A database file may come from a stranger: opening it must not make this process talk to hosts of
 * the stranger's choice. So a definition reaches loopback, what this session connected to by
 * ringlet_connect, and what the user wrote into ${XDG_CONFIG_HOME:-~/.config}/ringlet/allowed_hosts
 * (a host a line; # begins a comment). */
#include <stdio.h>

#include "net/net.h"
#include "node/node_private.h"

#define PORT_DEFAULT 7000
#define HTTPS "https://"

/* The next of a comma-separated list; false at its end. */
static bool next_part(struct base_slice *rest, struct base_slice *part)
{
    while (rest->len && (rest->data[0] == ',' || rest->data[0] == ' '))
        *rest = base_slice(rest->data + 1, rest->len - 1);
    size_t n = 0;
    while (n < rest->len && rest->data[n] != ',' && rest->data[n] != ' ')
        n++;
    *part = base_slice(rest->data, n);
    *rest = base_slice(rest->data + n, rest->len - n);
    return n > 0;
}

static bool cut_prefix(struct base_slice *text, const char *prefix)
{
    size_t n = strlen(prefix);
    if (text->len < n || memcmp(text->data, prefix, n) != 0)
        return false;
    *text = base_slice(text->data + n, text->len - n);
    return true;
}

int node_contacts_parse(struct base_slice text, struct base_buf *out, struct base_err *err)
{
    struct base_slice rest = text, part;
    size_t count = 0;
    bool https = false;
    int rc = BASE_OK;
    while (rc == BASE_OK && next_part(&rest, &part)) {
        char one[128], host[64];
        uint16_t port = PORT_DEFAULT;
        bool says_https = cut_prefix(&part, HTTPS),
             says_http = !says_https && cut_prefix(&part, "http://");
        if (count == 0)
            https = says_https;
        else if (https ? says_http : says_https)
            return base_err_set(
                err, BASE_E_INVALID,
                "\"%.*s\" mixes http:// and https://: a cluster's nodes speak one of them",
                BASE_SLICE_ARG(text));
        while (part.len && part.data[part.len - 1] == '/')
            part.len--;
        if (part.len == 0 || part.len >= sizeof one)
            return base_err_set(err, BASE_E_INVALID, "\"%.*s\" is no list of http://HOST:PORT",
                                BASE_SLICE_ARG(text));
        memcpy(one, part.data, part.len);
        one[part.len] = 0;
        rc = net_address_parse(one, host, &port, err);
        if (rc == BASE_OK)
            rc = base_buf_printf(out, strchr(host, ':') ? "%s[%s]:%u" : "%s%s:%u",
                                 count++ ? ","
                                 : https ? HTTPS
                                         : "",
                                 host, port);
    }
    if (rc == BASE_OK && count == 0)
        return base_err_set(err, BASE_E_INVALID,
                            "no contact is named: write http://HOST:PORT[,HOST:PORT…]");
    return rc;
}

static bool names_host(const char *contacts, const char *host)
{
    struct base_slice rest = base_slice_str(contacts), part;
    (void)cut_prefix(&rest, HTTPS);
    while (next_part(&rest, &part)) {
        char one[128], other[64];
        uint16_t port = PORT_DEFAULT;
        snprintf(one, sizeof one, "%.*s", BASE_SLICE_ARG(part));
        if (net_address_parse(one, other, &port, NULL) == BASE_OK && strcmp(other, host) == 0)
            return true;
    }
    return false;
}

static bool in_allow_list(const char *host)
{
    const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    char path[NODEI_PATH_LEN_MAX], line[256];
    bool found = false;
    int n = config && config[0] == '/'
                ? snprintf(path, sizeof path, "%s/ringlet/allowed_hosts", config)
            : home ? snprintf(path, sizeof path, "%s/.config/ringlet/allowed_hosts", home)
                   : -1;
    FILE *in = n > 0 && n < (int)sizeof path ? fopen(path, "re") : NULL;
    while (in && !found && fgets(line, sizeof line, in)) {
        line[strcspn(line, "# \t\r\n")] = 0;
        found = line[0] && strcmp(line, host) == 0;
    }
    if (in)
        fclose(in);
    return found;
}

int node_contacts_allowed(const char *contacts, const char *const *connected, size_t count,
                          struct base_err *err)
{
    struct base_slice rest = base_slice_str(contacts), part;
    const char *scheme = cut_prefix(&rest, HTTPS) ? "" : "http://";
    while (next_part(&rest, &part)) {
        char one[128], host[64];
        uint16_t port = PORT_DEFAULT;
        snprintf(one, sizeof one, "%.*s", BASE_SLICE_ARG(part));
        int rc = net_address_parse(one, host, &port, err);
        if (rc != BASE_OK)
            return rc;
        bool allowed = net_address_is_loopback(host) || in_allow_list(host);
        for (size_t i = 0; i < count && !allowed; i++)
            allowed = names_host(connected[i], host);
        if (!allowed)
            return base_err_set(err, BASE_E_UNAUTHORIZED,
                                "the table lives at %s%s, beyond this machine, and a definition "
                                "alone does not connect there: "
                                "SELECT ringlet_connect('%s%s') first, or add the host to "
                                "~/.config/ringlet/allowed_hosts",
                                scheme, contacts, scheme, contacts);
    }
    return BASE_OK;
}
