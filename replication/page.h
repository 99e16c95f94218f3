/* A page: a piece of a merged stream (base/stream.h) as bytes, tombstones kept: what a replica answers a READ with, what the
 * coordinator merges, repairs from and hands out. docs/formats/messages.md has the form.
 *
 * Pages of the same command over the same content, at the same `now`, are equal bytes, also where they end: so the digest
 * of a page is the digest of what was read (DESIGN.md §6). */
#ifndef REPLICATION_PAGE_H
#define REPLICATION_PAGE_H

#include "base/read.h"

#define REPL_PAGE_DIGEST_LEN 16 /* XXH3-128 */

/* Where a page may end. Whichever comes first; at least one row or marker is in it. */
struct repl_page_limits {
    uint64_t rows_max;           /* live rows, judged at now_s (a partition's live static row alone counts as one, as base_rows does) */
    uint64_t partition_rows_max; /* live rows of one partition: the rest of it is skipped, not a page's end */
    uint64_t bytes_max;
};
struct repl_page_end {
    bool more;              /* a limit ended it */
    struct base_slice pkey, ckey; /* the last position in it (ckey empty: the whole partition); borrowed from the page; empty without more */
};
/* Append a page of `source` (raw, tombstones kept; one direction), with what time does to it: expired cells are tombstones, and
 * tombstones older than gc_before_s are gone. NOMEM, LIMIT, CORRUPT and what the source answers. Does not close it. */
BASE_MUST int repl_page_write(struct base_source *source, bool reversed, int64_t now_s, int64_t gc_before_s,
                              const struct repl_page_limits *limits, struct base_buf *out, struct base_err *err);
/* Its end. False: damaged. Everything is checked: order, rows, markers. */
BASE_MUST bool repl_page_check(struct base_slice page, bool reversed, struct repl_page_end *end);
void repl_page_digest(struct base_slice page, uint8_t digest[REPL_PAGE_DIGEST_LEN]);
/* The page as a source again. `page` must have passed repl_page_check and stay until close. `upto` (may be NULL): stop after
 * this position, although the page goes on (the coordinator merges up to where all replicas are known). NOMEM. */
BASE_MUST int repl_page_source(struct base_slice page, bool reversed, const struct repl_page_end *upto, struct base_source **out,
                               struct base_err *err);
/* a before b in the direction of reading: <0, 0, >0. An end without `more` is after everything. */
int repl_page_end_compare(const struct repl_page_end *a, const struct repl_page_end *b, bool reversed);

/* Narrow `cmd` to what follows position `end` (exclusive) of the same command: the rest of that partition into *partition (*has_partition
 * false: nothing is left of it), what is behind it into *range (*has_range likewise: never for a one-partition command). Ranges and
 * keys that had to be made live in the arena. NOMEM. */
BASE_MUST int repl_page_continue(const struct base_read *cmd, struct base_slice pkey, struct base_slice ckey, struct base_arena *arena,
                                 struct base_read *partition, bool *has_partition, struct base_read *range, bool *has_range);

#endif
