/* Rows: sets of timestamped cells in one encoding, used in memory, on disk, in the commit log and
 * between nodes (DESIGN.md §3). The encoding does not need the schema: columns are numbers, cell
 * paths are order-preserving bytes. docs/formats/row.md is the document; this is the code's view.
 *
 * row  := flags u8
 *         row_ts le64           always: the liveness timestamp, else the first cell's, else the
 *                               deletion's
 *         [ttl varint, expires_s varint]       LIVENESS_TTL
 *         [del_ts zigzag(row_ts - ts), del_s varint]   DELETION
 *         [originals: varint length, bytes]    ORIGINALS: each clustering value as length, bytes
 *         cell*                 to the end; ascending by (column, complex deletion first, path)
 * cell := column delta varint   from the previous cell's column (the first: from 0)
 *         flags u8
 *         [zigzag(row_ts - ts) varint]         OWN_TS
 *         [ttl varint]                         EXPIRING
 *         [local deletion time, s, varint]     DEAD, EXPIRING, COMPLEX_DELETION
 *         [path: varint length, bytes]         PATH
 *         [path's own bytes: same]             PATH_ORIGINAL
 *         [value: varint length, bytes]        unless DEAD, COMPLEX_DELETION or EMPTY
 *
 * Times: ts in microseconds since the epoch (may be negative), ttl and *_s in seconds. */
#ifndef BASE_ROW_H
#define BASE_ROW_H

#include "base/bytes.h"

#define BASE_TS_NONE INT64_MIN /* no liveness, no deletion */
/* a client's timestamp past tomorrow would hide all later writes: refused */
#define BASE_TS_AHEAD_MAX_US (INT64_C(86400) * 1000000)
#define BASE_TTL_MAX 630720000        /* 20 years, as Cassandra */
#define BASE_EXPIRES_MAX 4294967294LL /* 2106-02-07: later expiry is capped, as Cassandra 5 */

enum base_row_flag {
    BASE_ROW_LIVENESS = 0x01,
    BASE_ROW_LIVENESS_TTL = 0x02,
    BASE_ROW_DELETION = 0x04,
    BASE_ROW_ORIGINALS = 0x08,
    BASE_ROW_MORTAL = 0x10, /* some cell is dead or expires, or a complex deletion: look at `now` */
    BASE_ROW_OWN_TS = 0x20, /* some cell has a timestamp of its own */
};

enum base_cell_flag {
    BASE_CELL_DEAD = 0x01,
    BASE_CELL_EXPIRING = 0x02,
    BASE_CELL_OWN_TS = 0x04,
    BASE_CELL_EMPTY = 0x08,
    BASE_CELL_PATH = 0x10,
    BASE_CELL_PATH_ORIGINAL = 0x20,
    BASE_CELL_COMPLEX_DELETION = 0x40, /* not a cell: deletes the column's older cells */
    BASE_CELL_COUNTER = 0x80, /* the value is a counter context (shards); merges by shard */
};

/* A deletion: everything with ts <= this ts. none: ts == BASE_TS_NONE. */
struct base_deletion {
    int64_t ts;
    int64_t local_s; /* when it was made, for gc_grace_seconds */
};
#define BASE_DELETION_NONE ((struct base_deletion){BASE_TS_NONE, 0})
static inline bool base_deletion_is_none(struct base_deletion d)
{
    return d.ts == BASE_TS_NONE;
}
static inline bool base_deletion_equal(struct base_deletion a, struct base_deletion b)
{
    return a.ts == b.ts && a.local_s == b.local_s;
}
/* The stronger one: greater ts, then greater local_s. */
static inline struct base_deletion base_deletion_max(struct base_deletion a, struct base_deletion b)
{
    return a.ts > b.ts || (a.ts == b.ts && a.local_s >= b.local_s) ? a : b;
}

/* A row's head, decoded; the cells stay encoded. All slices borrow from the encoded row. */
struct base_row {
    uint8_t flags;
    int64_t row_ts;
    int32_t ttl;                   /* LIVENESS_TTL */
    int64_t expires_s;             /* LIVENESS_TTL */
    struct base_deletion deletion; /* none without DELETION */
    struct base_slice originals;
    struct base_slice cells;
};
struct base_cell {
    uint32_t column;
    uint8_t flags;
    int64_t ts;
    int32_t ttl;
    int64_t local_s; /* DEAD, COMPLEX_DELETION: when deleted; EXPIRING: when it expires */
    struct base_slice path;
    /* the element's own bytes where path does not decode to them */
    struct base_slice path_original;
    struct base_slice value;
};

#define BASE_ROW_HEAD_LEN 9 /* flags and row_ts: what every row begins with */
bool base_row_decode_slow(struct base_slice encoded, struct base_row *row);
/* False when the bytes are damaged. Liveness ts is row_ts when flags has LIVENESS.
 * Inline for the common row: no TTL, no deletion, canonical clustering values. */
BASE_MUST static inline bool base_row_decode(struct base_slice encoded, struct base_row *row)
{
    if (BASE_LIKELY(encoded.len >= BASE_ROW_HEAD_LEN &&
                    !(encoded.data[0] & ~(BASE_ROW_LIVENESS | BASE_ROW_MORTAL | BASE_ROW_OWN_TS)) &&
                    (int64_t)base_get_le64(encoded.data + 1) != BASE_TS_NONE)) {
        *row = (struct base_row){
            .flags = encoded.data[0],
            .row_ts = (int64_t)base_get_le64(encoded.data + 1),
            .deletion = BASE_DELETION_NONE,
            .cells = {encoded.data + BASE_ROW_HEAD_LEN, encoded.len - BASE_ROW_HEAD_LEN},
        };
        return true;
    }
    return base_row_decode_slow(encoded, row);
}
/* Nothing in it: no liveness, no deletion, no cell. Void rows are never stored nor sent. */
static inline bool base_row_is_void(const struct base_row *row)
{
    return !(row->flags & (BASE_ROW_LIVENESS | BASE_ROW_DELETION)) && row->cells.len == 0;
}
static inline int64_t base_row_liveness_ts(const struct base_row *row)
{
    return row->flags & BASE_ROW_LIVENESS ? row->row_ts : BASE_TS_NONE;
}

/* Walk the cells. `next` returns 1 with a cell, 0 at the end, -1 when the bytes are damaged. A path
 * or value is present when its slice is not empty (a path is never empty: an element that is the
 * empty value has a marker byte, as in base/key.h); a live cell without bytes is the empty
 * value. */
struct base_cells {
    struct base_reader reader;
    int64_t row_ts;
    uint32_t column;
};
static inline struct base_cells base_cells_begin(const struct base_row *row)
{
    return (struct base_cells){base_reader(row->cells), row->row_ts, 0};
}
int base_cells_next_slow(struct base_cells *it, struct base_cell *cell);
/* Inline for the common cell: own column, row's timestamp, plain short value. */
static inline int base_cells_next(struct base_cells *it, struct base_cell *cell)
{
    const uint8_t *p = it->reader.p;
    if (BASE_LIKELY(it->reader.end - p >= 3 && p[0] < 0x80 && p[1] == 0 && p[2] < 0x80)) {
        size_t len = p[2];
        if (BASE_LIKELY((size_t)(it->reader.end - p) >= 3 + len)) {
            it->column += p[0];
            *cell =
                (struct base_cell){.column = it->column, .ts = it->row_ts, .value = {p + 3, len}};
            it->reader.p = p + 3 + len;
            return 1;
        }
    }
    return base_cells_next_slow(it, cell);
}
/* The cells of the commonest row, a marker and nothing else in its head, without decoding that.
 * False: not such a row; use base_row_decode. */
static inline bool base_cells_begin_plain(struct base_slice encoded, struct base_cells *it)
{
    if (BASE_UNLIKELY(encoded.len < 9 || encoded.data[0] != BASE_ROW_LIVENESS))
        return false;
    *it = (struct base_cells){.reader = {encoded.data + 9, encoded.data + encoded.len},
                              .row_ts = (int64_t)base_get_le64(encoded.data + 1)};
    return true;
}
/* Deep check of bytes from outside: decodable, not void, cells in order and each once, times in
 * range, the row's MORTAL and OWN_TS as its cells are (readers trust them), counter values
 * whole. */
BASE_MUST bool base_row_check(struct base_slice encoded);

/* Write a row. begin → [liveness] → [deletion] → [originals] → cells in order → end. The builder
 * appends to `out`; on any error the buffer is cut back to where the row began. A row that got
 * nothing is cut away by base_row_end. Times past BASE_EXPIRES_MAX are capped. */
struct base_row_builder {
    struct base_buf *out;
    size_t start;    /* of the row in out */
    size_t cells_at; /* where the head ended: nothing but cells after it */
    int64_t row_ts;
    uint32_t column; /* of the last cell */
    uint8_t flags;
};
/* row_ts: see above; any value is correct, the liveness timestamp is required if there is one. */
BASE_MUST int base_row_begin(struct base_row_builder *b, struct base_buf *out, int64_t row_ts);
/* ttl 0: none, and expires_s is not looked at. */
BASE_MUST int base_row_put_liveness(struct base_row_builder *b, int32_t ttl, int64_t expires_s);
BASE_MUST int base_row_put_deletion(struct base_row_builder *b, struct base_deletion deletion);
BASE_MUST int base_row_put_originals(struct base_row_builder *b, struct base_slice originals);
/* Flags OWN_TS, EMPTY, PATH, PATH_ORIGINAL are derived from the fields; DEAD, EXPIRING,
 * COMPLEX_DELETION and COUNTER are taken from cell->flags. */
BASE_MUST int base_row_put_cell(struct base_row_builder *b, const struct base_cell *cell);
/* The common cell: timestamp of the row, no TTL, no path. */
BASE_MUST int base_row_put_value(struct base_row_builder *b, uint32_t column,
                                 struct base_slice value);
void base_row_end(struct base_row_builder *b);

/* Reconciliation: the one implementation. */

/* Which of two cells of the same column and path stays: <0: a, >0: b, 0: they are the same cell.
 * The greater timestamp wins. On a tie: dead over live; expiring over not expiring; the later local
 * deletion time; the smaller TTL; the greater value bytes (Cassandra's Cells.resolveRegular,
 * CASSANDRA-14592); the greater path_original. Against a counter cell a dead one always wins
 * (CASSANDRA-7346). Two live counter cells are not chosen from but merged: base_counter_merge. */
int base_cell_compare(const struct base_cell *a, const struct base_cell *b);

/* Counter contexts: (host id 16 bytes, clock zigzag varint, count zigzag varint)* ascending by host
 * id. Append the merge of two: per host the greater clock, on a tie the greater count. CORRUPT,
 * NOMEM, LIMIT. */
BASE_MUST int base_counter_merge(struct base_slice a, struct base_slice b, struct base_buf *out);
/* The counter's value: the sum of the shards' counts, wrapping. False when the bytes are
 * damaged. */
BASE_MUST bool base_counter_total(struct base_slice context, int64_t *total);

/* Merge n >= 1 encoded versions of one row (same ckey) into one, appended to `out`: cells and
 * liveness that a row, complex or `covering` deletion (partition or range; may be none) shadows are
 * gone; a row deletion that `covering` supersedes or equals is gone. The originals are those of the
 * version with the newest content (deletions count; on a tie the greatest bytes, none the lowest).
 * When nothing is left nothing is appended. Commutative, associative, idempotent on results of
 * itself, byte for byte. With n == 1 it normalizes. CORRUPT, NOMEM, LIMIT. */
BASE_MUST int base_row_merge(const struct base_slice *versions, size_t n,
                             struct base_deletion covering, struct base_buf *out);

/* What time does to a merged row. */
struct base_purge {
    int64_t now_s;        /* cells and liveness with expires_s <= now_s are expired */
    int64_t gc_before_s;  /* tombstones with local_s < gc_before_s may go, if also … */
    int64_t purgeable_ts; /* … their ts < purgeable_ts (nothing older exists elsewhere) */
    bool live_only;       /* reads: drop every tombstone and everything expired */
};
/* Append the row as it is at purge->now_s: expired cells become tombstones (with the expiry minus
 * the ttl as their local deletion time, as Cassandra), purgeable tombstones go; live_only drops
 * all of them. What the row's own deletions shadow goes as well. Nothing appended when nothing is
 * left. *changed false: the input can be used as it is, and nothing is appended; with changed NULL
 * what is left is always appended. *live (may be NULL): the liveness is live or there is a live
 * cell; a live_only row that is not live is gone. CORRUPT, NOMEM, LIMIT. */
BASE_MUST int base_row_purge(struct base_slice encoded, const struct base_purge *purge,
                             struct base_buf *out, bool *changed, bool *live);

/* The greatest and smallest timestamps and the earliest/latest local times in a row, for
 * statistics. */
struct base_row_stats {
    int64_t ts_min, ts_max; /* BASE_TS_NONE swapped limits when there is nothing */
    /* of tombstones and expiring cells; INT64_MAX/MIN when none */
    int64_t local_s_min, local_s_max;
    int32_t ttl_max;
    uint32_t cell_count, tombstone_count;
};
#define BASE_ROW_STATS_INIT                                                                        \
    ((struct base_row_stats){INT64_MAX, BASE_TS_NONE, INT64_MAX, INT64_MIN, 0, 0, 0})
BASE_MUST bool base_row_stats(struct base_slice encoded,
                              struct base_row_stats *stats); /* adds to *stats */

#endif
