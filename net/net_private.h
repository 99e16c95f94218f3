/* What the files of net/ share: transfers on libcurl's multi interface. */
#ifndef NET_PRIVATE_H
#define NET_PRIVATE_H

#include <curl/curl.h>

#include "net/net.h"

/* One HTTP exchange on a client's multi handle. The owner's storage; `easy` is the owner's too, set up by him (but for
 * CURLOPT_PRIVATE) and kept from one transfer to the next. */
struct neti_transfer {
    CURL *easy;
    void (*done)(struct neti_transfer *transfer, CURLcode code); /* it is no longer active; may start it again */
    bool active;
};

BASE_MUST int neti_transfer_start(struct net_http_client *client, struct neti_transfer *transfer); /* NOMEM, INVALID */
void neti_transfer_cancel(struct net_http_client *client, struct neti_transfer *transfer);         /* without done() */
/* Let libcurl begin now what was started, instead of in the loop's next turn. Not from a transfer's callbacks. */
void neti_client_kick(struct net_http_client *client);
/* What every easy handle of ours has: no signals, proxies, redirects; http and https only. */
void neti_transfer_options(CURL *easy);

#endif
