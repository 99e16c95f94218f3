/* What the files of net/ share: transfers on libcurl's multi interface, TLS of a listener. */
#ifndef NET_PRIVATE_H
#define NET_PRIVATE_H

#include <curl/curl.h>
#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>

#include "net/net.h"

/* One HTTP exchange on a client's multi handle. The owner's storage; `easy` is the owner's too, set
 * up by him (but for CURLOPT_PRIVATE) and kept from one transfer to the next. */
struct neti_transfer {
    CURL *easy;
    /* it is no longer active; may start it again */
    void (*done)(struct neti_transfer *transfer, CURLcode code);
    bool active;
};

/* NOMEM, INVALID */
BASE_MUST int neti_transfer_start(struct net_http_client *client, struct neti_transfer *transfer);
/* without done() */
void neti_transfer_cancel(struct net_http_client *client, struct neti_transfer *transfer);
/* Let libcurl begin now what was started, instead of in the loop's next turn. Not from a transfer's
 * callbacks. */
void neti_client_kick(struct net_http_client *client);
/* What every easy handle of ours has: no signals, proxies, redirects; http and https only. */
void neti_transfer_options(CURL *easy);
/* Certificates for https; their strings are copied. */
BASE_MUST int neti_transfer_tls(CURL *easy, const struct net_tls_config *tls);

/* tls.c. */

struct neti_tls;      /* a listener's */
struct neti_tls_link; /* a connection's */
/* CONFIG: a file that is not there, is not PEM, or is not of the others. */
BASE_MUST int neti_tls_open(const struct net_tls_config *config, struct neti_tls **out,
                            struct base_err *err);
void neti_tls_close(struct neti_tls *tls); /* links may outlive it */
/* A connection begins: reads files that changed; asks for the peer's certificate when there is a
 * ca. NULL: out of memory. */
struct neti_tls_link *neti_tls_accept(struct neti_tls *tls, gnutls_session_t session);
void neti_tls_link_free(struct neti_tls_link *link); /* NULL is fine */
/* What to show; lives as long as the link. */
void neti_tls_certificate(const struct neti_tls_link *link, gnutls_pcert_st **chain,
                          unsigned *chain_len, gnutls_privkey_t *key);
/* Does the ca vouch for the certificate that the peer showed? */
bool neti_tls_certified(struct neti_tls_link *link, gnutls_session_t session);

#endif
