/* What the files of reads share.
 *
 * reads.c         client requests: rounds until a page has something, epochs, admission, outcomes
 * range.c         token ranges: cut at placements, walked in order, some at once
 * fetch.c         one page of one set of replicas: data and digests, speculation, mismatch
 * repair.c        pages that differ: merged, and what each replica lacks
 * read_command.c  a READ's body
 * replica_read.c  the replica's part
 * by_index.c      conditions that the replicas judge: which, and what pages by them name
 *
 * Fetches, contacts and replica reads come from free lists and keep their buffers: a point read
 * allocates nothing in the steady state but what the transport does. */
#ifndef REPLICATION_READS_PRIVATE_H
#define REPLICATION_READS_PRIVATE_H

#include "replication/replication_private.h"

#define REPLI_FRAME_SIZE_MAX ((size_t)16 << 20)
#define REPLI_READ_BYTES_MAX ((uint64_t)8 << 20) /* of a page that a peer may ask for */

/* The command as a body (read_command.c). */

struct repli_read_request {
    /* a partition or a token range; filters (but for those in `index`) and columns do not travel:
     * the consumer's */
    struct base_read cmd;
    struct repl_page_limits limits;
    /* go on behind this position; empty: from the beginning */
    struct base_slice after_pkey, after_ckey;
    /* live rows of after_pkey's partition in earlier pages */
    uint64_t rows_before;
    int64_t truncated_us; /* the table's last TRUNCATE, as the coordinator knows it: replicas that
                             have another one would answer with rows of another time */
    bool digest;          /* answer the page's digest, not the page */
    /* only live rows for which all of `index` hold at the replica: pages that are equal say all
     * there is */
    bool by_index;
    bool count; /* no page, but what an index finds for each of `index` there */
    const struct base_filter *index;
    size_t index_count;
};
#define REPLI_READ_DIGEST 0x01 /* the first byte of a body: a sender may set and clear it there */
BASE_MUST int repli_read_encode(const struct repli_read_request *request, struct base_buf *out);
/* Everything is checked; what it points to is in the body or the arena. CORRUPT, NOMEM. */
BASE_MUST int repli_read_decode(struct base_slice body, struct base_arena *arena,
                                struct repli_read_request *out, struct base_err *err);

#define REPLI_FILTERED_PAGE_ROWS 1000 /* rows at least, of a page that the consumer filters */

/* The replica (replica_read.c). */

struct repli_replica_read {
    struct repl *repl;
    struct repl_store_op op;
    struct base_arena arena; /* the body and what was decoded */
    struct repli_read_request request;
    struct base_read partition, range;
    bool has_partition, has_range;
    int64_t gc_before_s, floor_ts;
    struct base_schema *schema; /* by index: with the table, for another thread */
    struct repl_page_writer writer;
    bool writing;
    struct base_buf page;
    uint8_t digest[REPL_PAGE_DIGEST_LEN]; /* of it, if that was asked for */
    uint64_t *counts;                     /* instead of it, if those were */
    int rc;
    struct base_err err;
    struct repl_inbound *in; /* a peer's; else our own coordinator's: */
    /* NULL: nobody wants it any more */
    void (*done)(struct repl *repl, struct repli_replica_read *r);
    void *ctx;
    struct repli_replica_read *next;
};
/* Our own part of a read: rc and page are there (DONE) or `done` will be called, from a later
 * event. NULL in *out: out of memory. Given back by repli_replica_read_put, or by itself after
 * repli_replica_read_forget. */
enum repl_answer repli_replica_read_start(struct repl *repl, struct base_slice body,
                                          void (*done)(struct repl *repl,
                                                       struct repli_replica_read *r),
                                          void *ctx, struct repli_replica_read **out);
void repli_replica_read_put(struct repl *repl, struct repli_replica_read *r);
/* pending: its answer is not wanted any more */
void repli_replica_read_forget(struct repli_replica_read *r);
void repli_replica_read_handle(struct repl *repl, struct repl_inbound *in);
void repli_replica_reads_free(struct repl *repl); /* the free list */

/* One page of one set of replicas (fetch.c). */

enum repli_contact_state { REPLI_CONTACT_PENDING, REPLI_CONTACT_ANSWERED, REPLI_CONTACT_FAILED };

struct repli_contact {
    struct repli_fetch *fetch;
    struct repli_peer peer; /* in fetch->ring */
    bool self;
    struct repli_call call;
    struct repli_replica_read *local; /* pending, on ourselves */
    uint64_t sent_ns;
    bool asked_digest;
    enum repli_contact_state state;
    int rc;
    bool has_page, has_digest;
    struct base_buf page;
    struct repl_page_end end;
    uint8_t digest[REPL_PAGE_DIGEST_LEN];
    struct base_buf repair; /* what it lacks: encoded mutations */
    size_t repair_count;
    bool repair_failed; /* and nobody else has been asked to take it instead */
    struct repli_local_write *local_write;
    struct repli_contact *next;
};

enum repli_fetch_phase {
    REPLI_FETCH_IDLE,
    REPLI_FETCH_CHOOSE,
    REPLI_FETCH_FIRST,
    REPLI_FETCH_PLACES,
    REPLI_FETCH_FULL,
    REPLI_FETCH_REPAIR,
    REPLI_FETCH_OVER
};

struct repli_fetch {
    struct repl *repl;
    /* Set before start; stay until done. */
    const struct base_table *table;
    struct repli_read_request request;
    unsigned required;
    uint64_t deadline_ns;
    enum repl_lane lane;
    /* which of the command's filters is read by, when indexes serve several and replicas are to be
     * compared; SIZE_MAX: not known. Who starts the next fetch of the same read passes it on. */
    size_t choice;
    /* may be called before start returns; may put the fetch */
    void (*done)(struct repli_fetch *fetch);
    void *ctx;
    /* Who may be asked, the best first (repli_fetch_candidates). */
    uint16_t *members;
    size_t member_count, member_cap, next_member;
    /* The result. */
    int rc;
    struct base_err err;
    unsigned received, failures;
    struct repl_failed failed[REPL_FAILED_MAX]; /* as in repl_outcome */
    bool data_present;
    struct base_buf page;
    struct repl_page_end end; /* into page */
    /* Inside. */
    enum repli_fetch_phase phase;
    uint64_t partition_rows_max; /* as the request had it: FULL asks without */
    struct ring_state *ring;
    struct repli_contact *contacts;
    struct base_buf body;
    struct base_filter *filters; /* the request's index */
    size_t filter_cap;
    struct base_buf places;     /* FULL after PLACES: what the pages by index had, together */
    struct base_buf places_end; /* … and how far they went: pkey, ckey */
    size_t places_end_pkey_len;
    bool by_places, places_more; /* places_more: there is more behind places_end */
    struct base_buf merged;
    struct repli_timer timer, speculation;
    bool stepping, again, speculating;
    int failure_rank, failure_rc; /* of the failure that says most; its text is in err */
    struct repli_fetch *next;
};
struct repli_fetch *repli_fetch_get(struct repl *repl); /* NULL: out of memory */
/* under way: given up, done is not called */
void repli_fetch_put(struct repli_fetch *fetch);
void repli_fetch_start(struct repli_fetch *fetch);
void repli_fetches_free(struct repl *repl); /* the free lists */
/* Fill members with the live ones of `set` that count at the level, nearest and fastest first
 * (EACH_QUORUM: each data centre's quorum before the others). `count` of them; too few is for the
 * caller to see. NOMEM. */
BASE_MUST int repli_fetch_candidates(struct repli_fetch *fetch, const struct repli_need *need,
                                     const struct ring_placement *placement,
                                     const struct ring_set *set);
/* After how long without an answer one more replica is asked (the table's speculative_retry): 0 at
 * once, UINT64_MAX never. */
uint64_t repli_speculate_after(const struct repl *repl, struct base_slice option,
                               uint64_t timeout_ns);

/* Conditions by index (by_index.c). Which of the command's filters the replicas judge: sets
 * request.by_index and index, and how many rows a page needs. NOMEM. */
BASE_MUST int repli_conditions_set(struct repli_fetch *fetch);
/* Could several be read by, and is it not known which is best? */
bool repli_choice_is_open(const struct repli_fetch *fetch);
/* The question as a body: those filters. And what came back; NULL: nothing. Sets fetch->choice. */
BASE_MUST int repli_choice_ask(struct repli_fetch *fetch);
void repli_choice_take(struct repli_fetch *fetch, const struct base_slice *answer);
/* Do the replicas judge all of the command's filters? A guess, for how many rows to ask for. */
bool repli_conditions_all(const struct base_table *table, const struct base_read *cmd,
                          unsigned required);

/* What the fetch's pages by index have, together, up to the smallest end, into fetch->places and
 * places_end (by_index.c). LIMIT: too much; NOMEM. */
BASE_MUST int repli_places_gather(struct repli_fetch *fetch);
/* The smallest end of the contacts' pages, and of places_end when by_places; and how many pages
 * (repair.c). */
struct repl_page_end repli_smallest_end(const struct repli_fetch *fetch, size_t *n);

/* Pages that differ (repair.c). */

/* Do all that have answered say the same as `page`? */
bool repli_pages_equal(struct repli_fetch *fetch, struct repli_contact *page);
/* Merge the pages of the contacts that have one into fetch->merged, up to the smallest end; each
 * contact's `repair` gets what it lacks of that, if `repair`. */
BASE_MUST int repli_repair_merge(struct repli_fetch *fetch, bool repair, struct base_err *err);
/* All of fetch->merged as the contact's `repair`: for one who was not asked what it has. */
BASE_MUST int repli_repair_all(struct repli_fetch *fetch, struct repli_contact *contact,
                               struct base_err *err);
/* What `theirs` lacks of `merged` (sources of the same command, taken over; both keep tombstones),
 * as mutations. */
BASE_MUST int repli_repair_difference(struct base_uuid table_id, bool reversed,
                                      struct base_source *merged, struct base_source *theirs,
                                      struct base_buf *out, size_t *count, struct base_err *err);

/* A repair of our own replica. DONE: *rc and err say how it went; PENDING: `done` will, unless it
 * is forgotten. The bytes of `group` are taken. */
struct repli_local_write;
enum repl_answer repli_local_write_start(
    struct repl *repl, const struct base_table *table, struct base_buf *group, size_t count,
    void (*done)(struct repl *repl, struct repli_contact *contact, int rc, const char *text),
    struct repli_contact *contact, struct repli_local_write **out, int *rc, struct base_err *err);
void repli_local_write_forget(struct repli_local_write *write);
void repli_local_writes_free(struct repl *repl);

/* Token ranges (range.c). */

struct repli_range;
struct repli_range_page {
    int rc;
    struct base_err err;
    struct repl_outcome outcome; /* required, received, alive, failures, data_present */
    uint64_t rows;
    bool more;
    struct base_slice end_pkey, end_ckey; /* borrowed from the range until the next page */
};
/* cmd and table stay until free. done: a page is in repli_range_view, or the range failed. It may
 * be called before page returns. */
struct repli_range *repli_range_new(struct repl *repl, const struct base_read *cmd,
                                    const struct base_table *table, int consistency,
                                    void (*done)(struct repli_range *range, void *ctx), void *ctx);
void repli_range_free(struct repli_range *range);
void repli_range_page(struct repli_range *range, uint64_t rows_wanted, uint64_t partition_row_limit,
                      uint64_t deadline_ns);
struct base_slice repli_range_view(const struct repli_range *range);
const struct repli_range_page *repli_range_result(const struct repli_range *range);

/* Client requests (reads.c). */

struct repli_reads {
    struct read_state *states;   /* open reads */
    struct repli_fetch *fetches; /* free lists */
    struct repli_contact *contacts;
    struct repli_replica_read *replica_reads;
    struct repli_local_write *local_writes;
};
/* Keyspace's placement and the level's need under our snapshot. STALE, INVALID, UNAVAILABLE (no
 * placement), NOMEM. */
BASE_MUST int repli_read_plan(struct repl *repl, const struct base_table *table, int consistency,
                              const struct ring_placement **placement, struct repli_need *need,
                              struct base_err *err);

#endif
