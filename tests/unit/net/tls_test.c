/* TLS between peers. Breaks without it: a peer whose certificate nobody vouches for is served, ours
 * are sent to somebody else, or a new certificate needs a restart. */
#include <gnutls/gnutls.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/net/certs.h"
#include "tests/unit/net/peers.h"

static struct peer_node a, b;
static char dir[] = "/tmp/ringlet-tls-XXXXXX";
static char paths[8][300];

static const char secret[] = "a secret of the cluster, 32 bytes";

static const char *file(int place, const char *name)
{
    snprintf(paths[place], sizeof paths[place], "%s/%s", dir, name);
    return paths[place];
}

static void start(void)
{
    ck_assert_ptr_nonnull(mkdtemp(dir));
    peers_start();
    certs_make(dir, "ca", NULL);
    certs_make(dir, "other-ca", NULL);
    certs_make(dir, "a", "ca");
    certs_make(dir, "b", "ca");
    peer_prepare(&a, 1, secret);
    peer_prepare(&b, 2, secret);
    a.config.tls = (struct net_tls_config){
        .certificate = file(0, "a.pem"), .key = file(1, "a.key"), .ca = file(2, "ca.pem")};
    b.http.tls = (struct net_tls_config){
        .certificate = file(3, "b.pem"), .key = file(4, "b.key"), .ca = file(2, "ca.pem")};
}

static void stop(void)
{
    char command[100];
    peer_close(&a);
    peer_close(&b);
    peers_stop();
    snprintf(command, sizeof command, "rm -rf %s", dir);
    ck_assert_int_eq(system(command), 0);
    memcpy(dir + strlen(dir) - 6, "XXXXXX", 6);
}

static void open_both(void)
{
    peer_open(&a);
    peer_open(&b);
}

static bool served(uint64_t id)
{
    uint64_t before = a.replies + a.undelivered, replies = a.replies;
    ck_assert_int_eq(peer_send(&a, b.address, 1, 0, id, 100, PEER_PATIENCE_MS), BASE_OK);
    while (a.replies + a.undelivered == before)
        peers_run_for(20);
    return a.replies > replies;
}

START_TEST(mutual)
{
    b.http.tls.require_client_auth = true;
    open_both();
    ck_assert(served(1));
    for (uint64_t id = 2; id < 500; id++)
        ck_assert_int_eq(peer_send(&a, b.address, (int)(id % 3), 0, id, 5000, PEER_PATIENCE_MS),
                         BASE_OK);
    ck_assert(peers_run_until(&a.replies, 499, PEER_PATIENCE_MS));
    ck_assert_uint_eq(a.bad + b.bad + a.undelivered, 0);
}
END_TEST

START_TEST(a_certificate_is_enough)
{
    b.http.tls.require_client_auth = true;
    a.secret[0] = b.secret[0] = 0;
    b.config.secret = (struct base_slice){0};
    open_both();
    ck_assert(served(1));
}
END_TEST

START_TEST(a_certificate_is_needed_where_there_is_no_secret)
{
    a.secret[0] = b.secret[0] = 0;
    b.config.secret = (struct base_slice){0};
    certs_make(dir, "a", "other-ca"); /* not asked for at the door: the hello sees it */
    open_both();
    ck_assert(!served(1));
    ck_assert_uint_eq(b.requests, 0);
}
END_TEST

START_TEST(without_a_certificate)
{
    b.http.tls.require_client_auth = true;
    a.config.tls.certificate = a.config.tls.key = NULL;
    open_both();
    ck_assert(!served(1));
    ck_assert_ptr_nonnull(strstr(a.logged, "no certificate that this node's ca vouches for"));
    ck_assert_uint_eq(b.requests, 0);
}
END_TEST

START_TEST(by_another_ca)
{
    b.http.tls.require_client_auth = true;
    certs_make(dir, "a", "other-ca");
    open_both();
    ck_assert(!served(1));
    ck_assert_uint_eq(b.requests, 0);
}
END_TEST

START_TEST(the_server_is_another)
{
    certs_make(dir, "b", "other-ca");
    open_both();
    ck_assert(!served(1));
    ck_assert_uint_eq(b.requests, 0);
}
END_TEST

START_TEST(plain_to_tls_and_back)
{
    a.config.tls = (struct net_tls_config){0};
    open_both();
    ck_assert(!served(1)); /* HTTP to a TLS port: nothing of the message was sent but a hello */
    peer_close(&a);
    peer_close(&b);
    a.config.tls = (struct net_tls_config){.ca = file(2, "ca.pem")};
    b.http.tls = (struct net_tls_config){0};
    open_both();
    ck_assert(!served(2));
    ck_assert_uint_eq(b.requests, 0);
}
END_TEST

START_TEST(reloaded_without_restart)
{
    b.http.tls.require_client_auth = true;
    open_both();
    ck_assert(served(1));
    /* The whole cluster moves to another ca: a new node of it is served, without a restart of b. */
    certs_make(dir, "a", "other-ca");
    certs_make(dir, "b", "other-ca");
    ck_assert_int_eq(rename(file(5, "other-ca.pem"), file(2, "ca.pem")), 0);
    peer_close(&a);
    peer_open(&a);
    ck_assert(served(2));
    /* A certificate whose key is not there yet: the last good reading serves on. */
    char command[700];
    snprintf(command, sizeof command, "cp %s/b.key %s/kept.key && cp %s/a.key %s/b.key", dir, dir,
             dir, dir);
    ck_assert_int_eq(system(command), 0);
    peer_close(&a);
    peer_open(&a);
    ck_assert(served(3));
    ck_assert_uint_eq(a.bad + b.bad, 0);
}
END_TEST

START_TEST(files_that_are_not_in_order)
{
    struct base_err err = {0};
    struct net_http_server *server;
    struct net_http_server_config http = b.http;
    http.tls.certificate = file(5, "nothing.pem");
    ck_fails(net_http_server_open(peers_loop, &http, &server, &err), BASE_E_CONFIG, err);
    http.tls = b.http.tls;
    http.tls.key = file(6, "a.key");
    ck_fails(net_http_server_open(peers_loop, &http, &server, &err), BASE_E_CONFIG, err);
    ck_assert_ptr_nonnull(strstr(err.text, "not the key of the certificate"));
    http.tls = b.http.tls;
    http.tls.ca = file(6, "a.key");
    ck_fails(net_http_server_open(peers_loop, &http, &server, &err), BASE_E_CONFIG, err);
    http.tls.ca = NULL;
    http.tls.require_client_auth = true;
    ck_fails(net_http_server_open(peers_loop, &http, &server, &err), BASE_E_CONFIG, err);
    ck_assert_ptr_null(server);
    open_both();
}
END_TEST

static struct net_http_call call;
static uint64_t called;

static void on_called(struct net_http_call *done)
{
    (void)done;
    called++;
}

static int fetch(struct net_http_client *client)
{
    struct base_err err = {0};
    char url[100];
    snprintf(url, sizeof url, "https://%s/none", b.address);
    call.method = "GET";
    call.url = url;
    call.timeout_ms = PEER_PATIENCE_MS;
    call.body_size_max = 1000;
    call.done = on_called;
    base_buf_init(&call.answer, 2000);
    called = 0;
    ck_ok(net_http_client_start(client, &call, &err), err);
    while (!called)
        peers_run_for(20);
    base_buf_fini(&call.answer);
    return call.rc;
}

START_TEST(calls_by_https)
{
    struct net_http_client *client;
    struct base_err err = {0};
    open_both();
    ck_ok(net_http_client_new(peers_loop, &client, &err), err);
    call = (struct net_http_call){.tls = {.ca = file(2, "ca.pem")}};
    ck_assert_int_eq(fetch(client), BASE_OK);
    ck_assert_uint_eq(call.status, 404);
    net_http_client_free(client);
    ck_ok(net_http_client_new(peers_loop, &client, &err), err);
    call = (struct net_http_call){.tls = {.ca = file(5, "other-ca.pem")}};
    ck_assert_int_eq(fetch(client), BASE_E_UNAUTHORIZED);
    net_http_client_free(client);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tls");
    TCase *tc = tcase_create("tls");
    tcase_add_checked_fixture(tc, start, stop);
    tcase_add_test(tc, mutual);
    tcase_add_test(tc, a_certificate_is_enough);
    tcase_add_test(tc, a_certificate_is_needed_where_there_is_no_secret);
    tcase_add_test(tc, without_a_certificate);
    tcase_add_test(tc, by_another_ca);
    tcase_add_test(tc, the_server_is_another);
    tcase_add_test(tc, plain_to_tls_and_back);
    tcase_add_test(tc, reloaded_without_restart);
    tcase_add_test(tc, files_that_are_not_in_order);
    tcase_add_test(tc, calls_by_https);
    tcase_set_timeout(tc, 60);
    suite_add_tcase(suite, tc);
    return ck_main(suite);
}
