/* A page: a piece of a merged stream (base/stream.h) as bytes, tombstones kept: what a replica
 * answers a READ with, what the coordinator merges, repairs from and hands out.
 * docs/formats/messages.md has the form.
 *
 * Pages of the same command over the same content, at the same `now`, are equal bytes, also where
 * they end: so the digest of a page is the digest of what was read (DESIGN.md §6).
 *
 * A partition that goes on in the next page begins there again, with its deletion and its static
 * row; when live rows of it were in earlier pages and nothing is left of it but those, it does not
 * appear there. Each page closes the range deletions that are open at its end, and the next one
 * opens them again. */
#ifndef REPLICATION_PAGE_H
#define REPLICATION_PAGE_H

#include "base/read.h"

#define REPL_PAGE_DIGEST_LEN 16 /* XXH3-128 */

/* Where a page may end. Whichever comes first; at least one row or marker is in it. */
struct repl_page_limits {
    uint64_t rows_max; /* live rows, judged at now_s */
    /* live rows of one partition: the rest of it is skipped, not a page's end */
    uint64_t partition_rows_max;
    uint64_t bytes_max;
    bool static_alone; /* a live static row without a live row counts as one: as base_rows does when
                          the command's slices are the whole partition, or none
                          (repl_page_static_alone) */
};
#define REPL_PAGE_LIMITS_NONE ((struct repl_page_limits){UINT64_MAX, UINT64_MAX, UINT64_MAX, true})
bool repl_page_static_alone(const struct base_read *cmd);
struct repl_page_end {
    bool more; /* a limit ended it */
    /* the last position in it (ckey empty: the whole partition); borrowed from the page; empty
     * without more */
    struct base_slice pkey, ckey;
    uint64_t rows;           /* live rows in it, as its writer counted */
    uint64_t partition_rows; /* with ckey: live rows of that partition, earlier pages' included */
    struct base_slice last_pkey; /* the last partition in it, or empty (repl_page_check says it) */
    /* its bytes before what says the end: pages' bodies that follow each other make one page's
     * body */
    size_t body_len;
};

/* A page that several sources, one after the other, are written into. The caller's storage. */
struct repl_page_writer {
    struct base_buf *out;
    struct base_buf scratch; /* a row made canonical */
    struct repl_page_limits limits;
    struct base_purge purge;
    int64_t floor_ts; /* the table's last TRUNCATE (begin: none): a partition or range deletion as
                         old says nothing, for all it deletes is gone; a store shows one or not, as
                         its files have older data or not */
    bool reversed;
    size_t start;        /* of the page in out */
    bool ended;          /* a limit ended it: nothing more is taken */
    bool any;            /* something is in it */
    bool static_counted; /* the last partition counts by its static row alone */
    uint64_t rows, partition_rows;
    struct base_slice continued; /* add's; borrowed until finish */
    uint64_t rows_before;
    /* the last position, in out; ckey_len 0: the whole partition */
    size_t pkey_at, pkey_len, ckey_at, ckey_len;
    size_t marker_at;          /* the last item, if it is a marker, in out; else 0 */
    struct base_deletion near; /* of that marker: what it ends */
    struct base_deletion open; /* the range deletion at the last position, as written */
};
void repl_page_begin(struct repl_page_writer *w, bool reversed, int64_t now_s, int64_t gc_before_s,
                     const struct repl_page_limits *limits, struct base_buf *out);
/* Append what `source` has (raw, tombstones kept, merged; one direction) up to a limit, with what
 * time does to it: expired cells are tombstones, and tombstones older than gc_before_s are gone. If
 * its first partition is `continued` (may be empty), earlier pages had `rows_before` live rows of
 * it. LIMIT: one row that fits no page; NOMEM, CORRUPT and what the source answers. Does not close
 * it. */
BASE_MUST int repl_page_add(struct repl_page_writer *w, struct base_source *source,
                            struct base_slice continued, uint64_t rows_before,
                            struct base_err *err);
/* Say the end: the writer's own, or, with `end` not NULL, that one (not before the last position
 * written). Frees what begin and add took, as does repl_page_abandon, which cuts the page away. */
BASE_MUST int repl_page_finish(struct repl_page_writer *w, const struct repl_page_end *end,
                               struct base_err *err);
void repl_page_abandon(struct repl_page_writer *w);
/* begin, add, finish. On failure nothing is appended. */
BASE_MUST int repl_page_write(struct base_source *source, bool reversed, int64_t now_s,
                              int64_t gc_before_s, const struct repl_page_limits *limits,
                              struct base_buf *out, struct base_err *err);
/* The end of a page whose body is put together from others'. */
BASE_MUST int repl_page_put_end(struct base_buf *out, const struct repl_page_end *end);

/* Its end. False: damaged. Everything is checked: order, rows, markers. */
BASE_MUST bool repl_page_check(struct base_slice page, bool reversed, struct repl_page_end *end);
void repl_page_digest(struct base_slice page, uint8_t digest[REPL_PAGE_DIGEST_LEN]);
/* The page as a source again. `page` must have passed repl_page_check and stay until close. `upto`
 * (may be NULL): stop after this position, although the page goes on (the coordinator merges up to
 * where all replicas are known). NOMEM. */
BASE_MUST int repl_page_source(struct base_slice page, bool reversed,
                               const struct repl_page_end *upto, struct base_source **out,
                               struct base_err *err);
/* a before b in the direction of reading: <0, 0, >0. An end without `more` is after everything. */
int repl_page_end_compare(const struct repl_page_end *a, const struct repl_page_end *b,
                          bool reversed);

/* Narrow `cmd` to what follows position `end` (exclusive) of the same command: the rest of that
 * partition into *partition (*has_partition false: nothing is left of it), what is behind it into
 * *range (*has_range likewise: never for a one-partition command). Ranges and keys that had to be
 * made live in the arena. NOMEM. */
BASE_MUST int repl_page_continue(const struct base_read *cmd, struct base_slice pkey,
                                 struct base_slice ckey, struct base_arena *arena,
                                 struct base_read *partition, bool *has_partition,
                                 struct base_read *range, bool *has_range);

#endif
