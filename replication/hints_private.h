/* What hints.c (keeping) and hint_dispatch.c (handing over) share.
 *
 * A hint is a row of the table repl_hints_table_id: the partition is the target's host id, the
 * clustering key the hint's creation time in this node's strictly increasing timestamps (so keys
 * are unique, and in the order in which hints were made), and its one cell holds creation time,
 * count and mutations. It expires with the smallest gc_grace of its tables. */
#ifndef REPLICATION_HINTS_PRIVATE_H
#define REPLICATION_HINTS_PRIVATE_H

#include "base/key.h"
#include "replication/writes_private.h"

#define REPLI_HINT_CKEY_LEN 10 /* NEXT, 8 bytes of time, position */
#define REPLI_HINT_PKEY_MAX (8 + 2 * 16 + 2)
#define REPLI_HINT_BUCKETS 256u
#define REPLI_HINT_PASSES_MAX 4u /* hosts that are handed hints at the same time */

struct repli_hint_put;
struct repli_hint_pass;

struct repli_hint_host {
    struct repli_hint_host *next; /* of the bucket */
    struct repl *repl;
    struct base_uuid host_id;
    uint8_t pkey[REPLI_HINT_PKEY_MAX];
    size_t pkey_len;
    uint64_t bytes, count; /* kept, as far as we know: expiry takes some away unseen */
    uint64_t arrivals;     /* grows with each hint kept */
    int64_t expiry_s;      /* no hint of it expires earlier */
    struct repli_hint_put *puts, **puts_end; /* under way, oldest first: ascending by key */
    struct repli_hint_pass *pass;            /* being handed over */
    bool waiting;                            /* wants a pass; too many are under way */
    bool counting;                           /* a count is under way */
    unsigned fails;                          /* passes in a row */
    struct repli_timer timer;                /* the next try */
};
struct repli_hints {
    struct repli_hint_host *buckets[REPLI_HINT_BUCKETS];
    size_t host_count;
    struct repli_guest_hint *guest_hints;
    bool scanned, paused;
    uint64_t pending_bytes; /* of puts under way */
    unsigned passes;
    uint64_t throttle_until_ns;
    struct repli_timer expiry_timer, scan_timer;
};

struct repli_hint_host *repli_hint_host_find(const struct repl *repl, struct base_uuid host_id);
/* lo or hi bound of the hints made before or after `created_us`, or (AT) its key. */
void repli_hint_ckey(uint8_t out[REPLI_HINT_CKEY_LEN], int64_t created_us,
                     enum base_key_byte position);
bool repli_hint_ckey_get(struct base_slice ckey, int64_t *created_us);
/* No hint that is kept and no put under way has a key above this (exclusive): what is below can be
 * read, and deleted as one range. *all: it is all there is. */
int64_t repli_hint_watermark(struct repl *repl, const struct repli_hint_host *host, bool *all);
/* The host has so much less; saturating. */
void repli_hint_forget(struct repl *repl, struct repli_hint_host *host, uint64_t count,
                       uint64_t bytes);
static inline uint64_t repli_hint_cost(size_t value_len)
{
    return value_len + REPLI_HINT_CKEY_LEN;
}

/* hint_dispatch.c: hand the host its hints, now if it can be, or when it can. */
void repli_hint_dispatch(struct repl *repl, struct repli_hint_host *host);
void repli_hint_dispatch_soon(struct repl *repl, struct repli_hint_host *host, uint64_t after_ns);
void repli_hint_dispatch_all(struct repl *repl);
void repli_hint_pass_close(struct repl *repl, struct repli_hint_host *host);

#endif
