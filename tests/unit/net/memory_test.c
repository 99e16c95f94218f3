/* Peers when an allocation fails, each in turn: nothing crashes, leaks or stops; a message is
 * answered, told as undelivered, or left to its deadline; and the next one is served. Breaks
 * without it: a node that runs out of memory once is out of the cluster until its restart. */
#include "net/internode_private.h"
#include "tests/lib/alloc_fault.h"
#include "tests/unit/net/peers.h"

static struct peer_node a, b;

static void open_nodes(void)
{
    static const char secret[] = "a secret of the cluster, 32 bytes";
    peers_start();
    peer_prepare(&a, 1, secret);
    peer_prepare(&b, 2, secret);
    peer_open(&a);
    peer_open(&b);
}

static void close_nodes(void)
{
    peer_close(&a);
    peer_close(&b);
    peers_stop();
}

static void sweep(bool warm, uint64_t times)
{
    bool hit = true, complete = false;
    uint64_t k = 0, odd = 0;
    unsigned ms = 15; /* for an exchange; doubled where that is too short for this machine */
    while (hit || !complete) {
        open_nodes();
        if (warm) {
            ck_assert_int_eq(peer_send(&a, b.address, 1, 0, 1, 100, PEER_PATIENCE_MS), BASE_OK);
            ck_assert(peers_run_until(&a.replies, 1, PEER_PATIENCE_MS));
        }
        b.mode = PEER_HOLD;
        alloc_fault_set(k, times);
        for (uint64_t id = 10; id < 13; id++) {
            int rc = peer_send(&a, b.address, id == 12 ? 2 : 1, 0, id, 700, 4 * ms);
            odd += rc != BASE_OK && rc != BASE_E_NOMEM;
        }
        peers_run_for(ms);
        size_t held = b.held_count;
        if (held > 1) { /* one of them, then the others */
            b.held_count = 1;
            peer_answer_held(&b);
            peers_run_for(2);
            for (size_t i = 1; i < held; i++)
                b.held[i - 1] = b.held[i];
            b.held_count = held - 1;
        }
        peer_answer_held(&b);
        b.mode = PEER_ECHO;
        peers_run_for(ms);
        hit = alloc_fault_clear();
        ck_assert_uint_eq(odd, 0);
        uint64_t replies = a.replies;
        ck_assert_uint_le(replies - warm + a.undelivered, 3);
        complete = replies - warm == 3;
        ck_assert_msg(hit || complete || ms < PEER_PATIENCE_MS, "no allocation fails, no answer");
        k += hit;
        ms *= hit || complete ? 1 : 2;
        ck_assert_int_eq(peer_send(&a, b.address, 1, 0, 50, 100, PEER_PATIENCE_MS), BASE_OK);
        while (a.last_reply != 50)
            ck_assert_msg(peers_run_until(&a.replies, a.replies + 1, PEER_PATIENCE_MS),
                          "allocation %lu of %d: the next is not served", (unsigned long)k, warm);
        peers_run_for(4 * ms + 10);
        while (a.internode->stats.queued_bytes || b.internode->stats.inbound_bytes)
            peers_run_for(5);
        ck_assert_uint_eq(a.bad + b.bad, 0);
        close_nodes();
    }
    ck_assert_uint_gt(k, warm ? 4 : 15);
}

START_TEST(the_first_exchange)
{
    sweep(false, 1);
}
END_TEST

START_TEST(a_later_exchange)
{
    sweep(true, 1);
}
END_TEST

START_TEST(several_in_a_row)
{
    sweep(false, 3);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("net memory");
    TCase *tc = tcase_create("memory");
    tcase_add_test(tc, the_first_exchange);
    tcase_add_test(tc, a_later_exchange);
    tcase_add_test(tc, several_in_a_row);
    tcase_set_timeout(tc, 120);
    suite_add_tcase(suite, tc);
    return ck_main(suite);
}
