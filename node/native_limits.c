/* What clients make the node hold, counted for each connection, each address and the node; and who
 * waits until there is room again.
 *
 * Two pools: REQUESTS (messages on their way in, requests until they are answered) and ANSWERS
 * (results under construction, answers that are not written yet). An address may hold its share of
 * each, a connection half of that.
 *
 * Invariants:
 *  1. The sums are exact: a connection's bytes are its address's and the node's, until it gives
 *     them back; an address lives as long as a connection of it does.
 *  2. There is always somebody who can go on: a connection, an address, a node that has no request
 *     admitted is let have one, whatever else it holds. So a limit is passed by one message at
 *     most, and what has come of messages that wait for room never blocks for good.
 *  3. Who waits is not read from: the waiting is the client's, in his socket. Room goes to the
 *     addresses in turn, within an address to who has waited longest. */
#include "node/native_private.h"

#include <stdio.h>

enum { ADDRESS_BUCKETS = 1024, SHARE_MIN = 128 << 10 };

/* Addresses. */

static size_t bucket_of(const char *text)
{
    return base_checksum((const uint8_t *)text, strlen(text)) % ADDRESS_BUCKETS;
}

static size_t share_of(size_t total, uint64_t asked)
{
    size_t share = asked == 0 ? total / 2 : asked < total ? (size_t)asked : total;
    return share < SHARE_MIN ? SHARE_MIN : share;
}

int nodei_limits_init(struct nodei_native_limits *limits, const struct nodei_settings *s,
                      struct base_err *err)
{
    *limits = (struct nodei_native_limits){0};
    limits->max[NODEI_POOL_REQUESTS] = s->native_transport_max_request_data;
    limits->max[NODEI_POOL_ANSWERS] = s->native_response_data_max;
    limits->share[NODEI_POOL_REQUESTS] =
        share_of(limits->max[NODEI_POOL_REQUESTS], s->native_request_data_per_address_max);
    limits->share[NODEI_POOL_ANSWERS] =
        share_of(limits->max[NODEI_POOL_ANSWERS], s->native_response_data_per_address_max);
    limits->waiting_end = &limits->waiting;
    limits->addresses = calloc(ADDRESS_BUCKETS, sizeof *limits->addresses);
    return limits->addresses ? BASE_OK
                             : base_err_set(err, BASE_E_NOMEM, "native protocol: out of memory");
}

void nodei_limits_fini(struct nodei_native_limits *limits)
{
    BASE_ASSERT(limits->address_count == 0 && !limits->waiting);
    free(limits->addresses);
    limits->addresses = NULL;
}

struct nodei_native_address *nodei_limits_address(struct nodei_native_limits *limits,
                                                  const char *text)
{
    struct nodei_native_address **bucket = &limits->addresses[bucket_of(text)], *a = *bucket;
    while (a && strcmp(a->text, text) != 0)
        a = a->chain;
    if (!a) {
        a = calloc(1, sizeof *a);
        if (!a)
            return NULL;
        snprintf(a->text, sizeof a->text, "%s", text);
        a->waiting_end = &a->waiting;
        a->chain = *bucket;
        *bucket = a;
        limits->address_count++;
    }
    a->refs++;
    return a;
}

void nodei_limits_leave(struct nodei_native_limits *limits, struct nodei_native_address *a)
{
    BASE_ASSERT(a->refs > 0);
    if (--a->refs > 0)
        return;
    BASE_ASSERT(!a->waiting && !a->queued && a->connections == 0);
    for (size_t i = 0; i < NODEI_POOLS; i++)
        BASE_ASSERT(a->use.held[i] == 0);
    struct nodei_native_address **at = &limits->addresses[bucket_of(a->text)];
    while (*at != a)
        at = &(*at)->chain;
    *at = a->chain;
    limits->address_count--;
    free(a);
}

/* Counting. */

/* Not in this turn of the loop: it has other work too. */
void nodei_resume_soon(struct nodei_native *native)
{
    if (native->limits.waiting && !native->again.armed)
        net_loop_arm(native->loop, &native->again, 1);
}

void nodei_look_again(struct nodei_native_conn *conn)
{
    if (conn->held_back && !conn->dead) {
        conn->held_back = false;
        nodei_wait(conn);
    }
    nodei_resume_soon(conn->native);
}

static void change(struct nodei_native_use *use, enum nodei_pool pool, size_t from, size_t to)
{
    BASE_ASSERT(use->held[pool] >= from);
    use->held[pool] += to - from;
}

void nodei_hold(struct nodei_native_conn *conn, enum nodei_pool pool, size_t *counted, size_t bytes)
{
    struct nodei_native *native = conn->native;
    size_t from = *counted;
    if (from == bytes)
        return;
    change(&conn->use, pool, from, bytes);
    change(&conn->address->use, pool, from, bytes);
    change(&native->limits.use, pool, from, bytes);
    *counted = bytes;
    if (bytes < from)
        nodei_look_again(conn);
}

void nodei_admit(struct nodei_native_conn *conn, int by)
{
    struct nodei_native_use *uses[] = {&conn->use, &conn->address->use, &conn->native->limits.use};
    for (size_t i = 0; i < BASE_COUNT(uses); i++) {
        BASE_ASSERT(by > 0 || uses[i]->admitted > 0);
        uses[i]->admitted += by > 0 ? 1 : SIZE_MAX;
    }
    if (by < 0)
        nodei_look_again(conn);
}

/* Room. */

static bool fits(const struct nodei_native_use *use, enum nodei_pool pool, size_t bytes, size_t max)
{
    return use->held[pool] <= max && bytes <= max - use->held[pool];
}

static bool admits(const struct nodei_native_use *use, size_t bytes, size_t max)
{
    return bytes == 0 || use->admitted == 0 || fits(use, NODEI_POOL_REQUESTS, bytes, max);
}

bool nodei_may_answer(const struct nodei_native_conn *conn, size_t bytes)
{
    const struct nodei_native_limits *l = &conn->native->limits;
    const enum nodei_pool pool = NODEI_POOL_ANSWERS;
    return fits(&conn->use, pool, bytes, l->share[pool] / 2) &&
           fits(&conn->address->use, pool, bytes, l->share[pool]) &&
           fits(&l->use, pool, bytes, l->max[pool]);
}

bool nodei_may_keep(const struct nodei_native_conn *conn)
{
    const struct nodei_native_limits *l = &conn->native->limits;
    const enum nodei_pool pool = NODEI_POOL_REQUESTS;
    return fits(&conn->address->use, pool, 0, l->share[pool]) &&
           fits(&l->use, pool, 0, l->max[pool]);
}

enum nodei_room nodei_room_for(const struct nodei_native_conn *conn, size_t bytes)
{
    const struct nodei_native_limits *l = &conn->native->limits;
    const size_t *share = l->share, *max = l->max;
    if (!fits(&conn->use, NODEI_POOL_ANSWERS, 1, share[NODEI_POOL_ANSWERS] / 2) ||
        !admits(&conn->use, bytes, share[NODEI_POOL_REQUESTS] / 2))
        return NODEI_ROOM_NOT_HIS;
    if (!fits(&conn->address->use, NODEI_POOL_ANSWERS, 1, share[NODEI_POOL_ANSWERS]) ||
        !admits(&conn->address->use, bytes, share[NODEI_POOL_REQUESTS]) ||
        !fits(&l->use, NODEI_POOL_ANSWERS, 1, max[NODEI_POOL_ANSWERS]) ||
        !admits(&l->use, bytes, max[NODEI_POOL_REQUESTS]))
        return NODEI_ROOM_NONE;
    return NODEI_ROOM_YES;
}

/* Waiting. */

static void queue_address(struct nodei_native_limits *limits, struct nodei_native_address *a)
{
    BASE_ASSERT(!a->queued);
    a->queued = true;
    a->next_waiting = NULL;
    *limits->waiting_end = a;
    limits->waiting_end = &a->next_waiting;
    limits->waiting_addresses++;
}

static void unqueue_address(struct nodei_native_limits *limits, struct nodei_native_address *a)
{
    struct nodei_native_address **at = &limits->waiting;
    while (*at != a)
        at = &(*at)->next_waiting;
    *at = a->next_waiting;
    if (!a->next_waiting)
        limits->waiting_end = at;
    a->next_waiting = NULL;
    a->queued = false;
    limits->waiting_addresses--;
}

void nodei_wait(struct nodei_native_conn *conn)
{
    struct nodei_native_address *a = conn->address;
    if (conn->waits)
        return;
    conn->waits = true;
    conn->waiting_next = NULL;
    *a->waiting_end = conn;
    a->waiting_end = &conn->waiting_next;
    conn->native->limits.waiting_conns++;
    if (!a->queued)
        queue_address(&conn->native->limits, a);
}

void nodei_wait_no_more(struct nodei_native_conn *conn)
{
    struct nodei_native_address *a = conn->address;
    conn->held_back = false;
    if (!conn->waits)
        return;
    struct nodei_native_conn **at = &a->waiting;
    while (*at != conn)
        at = &(*at)->waiting_next;
    *at = conn->waiting_next;
    if (!conn->waiting_next)
        a->waiting_end = at;
    conn->waiting_next = NULL;
    conn->waits = false;
    conn->native->limits.waiting_conns--;
    if (!a->waiting)
        unqueue_address(&conn->native->limits, a);
}

/* One connection of each address in turn, until a whole round of them finds no room. Each that
 * waits now is looked at once: the loop has other work too. */
void nodei_resume(struct nodei_native *native)
{
    struct nodei_native_limits *limits = &native->limits;
    size_t refused = 0;
    for (size_t left = limits->waiting_conns; left > 0 && limits->waiting; left--) {
        struct nodei_native_address *a = limits->waiting;
        struct nodei_native_conn *conn = a->waiting;
        unqueue_address(limits, a);
        queue_address(limits, a); /* to the end */
        enum nodei_room room = nodei_conn_room(conn);
        if (room == NODEI_ROOM_NONE && ++refused >= limits->waiting_addresses)
            break;
        if (room == NODEI_ROOM_NONE)
            continue;
        refused = 0;
        nodei_wait_no_more(conn);
        if (room == NODEI_ROOM_YES)
            nodei_conn_go_on(conn);
        else
            conn->held_back = true;
    }
}
