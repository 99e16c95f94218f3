/* TLS of a caller over his own socket (tls_client.h). A certificate counts only for the host that
 * was asked for. */
#include "net/tls_client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

struct net_tls_client {
    gnutls_session_t session;
    gnutls_certificate_credentials_t credentials;
};

static int load_credentials(struct net_tls_client *c, const struct net_tls_config *config,
                            struct base_err *err)
{
    int code = config->ca ? gnutls_certificate_set_x509_trust_file(c->credentials, config->ca,
                                                                   GNUTLS_X509_FMT_PEM)
                          : gnutls_certificate_set_x509_system_trust(c->credentials);
    if (code < 0 || (config->ca && code == 0))
        return base_err_set(err, BASE_E_CONFIG, "%s: no certificates in PEM%s%s",
                            config->ca ? config->ca : "the system's authorities", code ? ": " : "",
                            code ? gnutls_strerror(code) : "");
    if (!config->certificate)
        return BASE_OK;
    code = gnutls_certificate_set_x509_key_file(c->credentials, config->certificate,
                                                config->key ? config->key : config->certificate,
                                                GNUTLS_X509_FMT_PEM);
    return code >= 0 ? BASE_OK
                     : base_err_set(err, BASE_E_CONFIG, "%s: %s", config->certificate,
                                    gnutls_strerror(code));
}

int net_tls_client_open(int fd, const char *host, const struct net_tls_config *config,
                        struct net_tls_client **out, struct base_err *err)
{
    struct net_tls_client *c = calloc(1, sizeof *c);
    unsigned char address[16];
    *out = NULL;
    if (!c || gnutls_certificate_allocate_credentials(&c->credentials) != 0) {
        free(c);
        return base_err_set(err, BASE_E_NOMEM, "TLS: out of memory");
    }
    int rc = load_credentials(c, config, err);
    if (rc == BASE_OK &&
        (gnutls_init(&c->session, GNUTLS_CLIENT | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL) != 0 ||
         gnutls_set_default_priority(c->session) != 0 ||
         gnutls_credentials_set(c->session, GNUTLS_CRD_CERTIFICATE, c->credentials) != 0))
        rc = base_err_set(err, BASE_E_NOMEM, "TLS: out of memory");
    if (rc != BASE_OK) {
        net_tls_client_close(c);
        return rc;
    }
    bool is_name =
        inet_pton(AF_INET, host, address) != 1 && inet_pton(AF_INET6, host, address) != 1;
    if (is_name)
        gnutls_server_name_set(c->session, GNUTLS_NAME_DNS, host, strlen(host));
    /* kept by GnuTLS as a pointer: the caller's host outlives the session */
    gnutls_session_set_verify_cert(c->session, host, 0);
    gnutls_transport_set_int(c->session, fd);
    gnutls_handshake_set_timeout(c->session, GNUTLS_INDEFINITE_TIMEOUT); /* the caller's */
    *out = c;
    return BASE_OK;
}

int net_tls_client_handshake(struct net_tls_client *c, struct base_err *err)
{
    int code = gnutls_handshake(c->session);
    while (code < 0 && code != GNUTLS_E_AGAIN && code != GNUTLS_E_INTERRUPTED &&
           !gnutls_error_is_fatal(code))
        code = gnutls_handshake(c->session); /* a warning */
    if (code == GNUTLS_E_SUCCESS)
        return BASE_OK;
    if (code == GNUTLS_E_AGAIN || code == GNUTLS_E_INTERRUPTED)
        return BASE_E_BUSY;
    if (code != GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR && code != GNUTLS_E_CERTIFICATE_ERROR)
        return base_err_set(err, BASE_E_IO, "TLS: %s", gnutls_strerror(code));
    gnutls_datum_t why = {0};
    if (gnutls_certificate_verification_status_print(
            gnutls_session_get_verify_cert_status(c->session), GNUTLS_CRT_X509, &why, 0) != 0)
        return base_err_set(err, BASE_E_UNAUTHORIZED, "TLS: the certificate is not trusted");
    base_err_set(err, BASE_E_UNAUTHORIZED, "TLS: %s", (const char *)why.data);
    gnutls_free(why.data);
    return BASE_E_UNAUTHORIZED;
}

bool net_tls_client_wants_write(const struct net_tls_client *c)
{
    return gnutls_record_get_direction(c->session) == 1;
}

/* GnuTLS's answer as recv and send have it. */
static ssize_t answer(ssize_t n)
{
    if (n >= 0)
        return n;
    if (n == GNUTLS_E_PREMATURE_TERMINATION)
        return 0;
    errno = n == GNUTLS_E_AGAIN || n == GNUTLS_E_INTERRUPTED || !gnutls_error_is_fatal((int)n)
                ? EAGAIN
                : EPROTO;
    return -1;
}

ssize_t net_tls_client_read(struct net_tls_client *c, void *out, size_t size)
{
    return answer(gnutls_record_recv(c->session, out, size));
}

ssize_t net_tls_client_write(struct net_tls_client *c, const void *data, size_t size)
{
    return answer(gnutls_record_send(c->session, data, size));
}

void net_tls_client_close(struct net_tls_client *c)
{
    if (!c)
        return;
    if (c->session) {
        gnutls_bye(c->session, GNUTLS_SHUT_WR);
        gnutls_deinit(c->session);
    }
    if (c->credentials)
        gnutls_certificate_free_credentials(c->credentials);
    free(c);
}
