/* Range deletions of one partition of a memtable: a persistent list of runs (lsm/memtable.h).
 *
 * A run is a normalized, immutable array of markers. Adding a range puts a run of one in front;
 * when FANOUT runs of one level stand in front they become one run of the next level. So n
 * additions cost O(n log n) and a reader searches at most FANOUT × log n runs, and a list that a
 * reader holds never changes: a newer one shares its tail. */
#include "lsm/memtable.h"

enum { FANOUT = 8 };

struct lsmi_mt_run {
    const struct lsmi_mt_run *next; /* the same level or higher */
    unsigned level;
    size_t count;
    struct base_marker markers[];
};

static const struct lsmi_mt_run *run_new(struct base_arena *arena, const struct lsmi_mt_run *next,
                                         unsigned level, const struct base_marker *markers,
                                         size_t count)
{
    struct lsmi_mt_run *run = base_arena_alloc(arena, sizeof *run + count * sizeof *markers);
    if (!run)
        return NULL;
    *run = (struct lsmi_mt_run){next, level, count};
    memcpy(run->markers, markers, count * sizeof *markers);
    return run;
}

/* The first interval of the run that ends at or behind lo; interval i lies between markers i and i
 * + 1. */
static size_t run_seek(const struct lsmi_mt_run *run, struct base_slice lo)
{
    size_t from = 0, upto = run->count;
    while (from < upto) {
        size_t mid = from + (upto - from) / 2;
        if (base_slice_compare(run->markers[mid].ckey, lo) < 0)
            from = mid + 1;
        else
            upto = mid;
    }
    return from > 0 ? from - 1 : 0;
}

/* Append the run's range deletions that touch [lo, hi]; a NULL out only counts them. */
static size_t run_ranges(const struct lsmi_mt_run *run, struct base_slice lo, struct base_slice hi,
                         struct base_range_deletion *out)
{
    size_t n = 0;
    for (size_t i = lo.len ? run_seek(run, lo) : 0; i + 1 < run->count; i++) {
        const struct base_marker *from = &run->markers[i], *upto = &run->markers[i + 1];
        if (hi.len && base_slice_compare(from->ckey, hi) > 0)
            break;
        if (base_deletion_is_none(from->after))
            continue;
        if (out)
            out[n] = (struct base_range_deletion){from->ckey, upto->ckey, from->after};
        n++;
    }
    return n;
}

/* Normalized markers of the runs from `list` up to `end` (not included), within [lo, hi]. */
static int runs_markers(const struct lsmi_mt_run *list, const struct lsmi_mt_run *end,
                        struct base_slice lo, struct base_slice hi, struct base_arena *arena,
                        struct base_marker **out, size_t *out_count)
{
    *out = NULL;
    *out_count = 0;
    size_t n = 0;
    for (const struct lsmi_mt_run *run = list; run != end; run = run->next)
        n += run_ranges(run, lo, hi, NULL);
    if (n == 0)
        return BASE_OK;
    struct base_range_deletion *ranges = base_arena_alloc(arena, n * sizeof *ranges);
    if (!ranges)
        return BASE_E_NOMEM;
    size_t at = 0;
    for (const struct lsmi_mt_run *run = list; run != end; run = run->next)
        at += run_ranges(run, lo, hi, ranges + at);
    BASE_ASSERT(at == n);
    return base_markers_normalize(arena, ranges, n, out, out_count);
}

int lsmi_mt_run_markers(const struct lsmi_mt_run *list, struct base_slice lo, struct base_slice hi,
                        struct base_arena *arena, struct base_marker **out, size_t *out_count)
{
    return runs_markers(list, NULL, lo, hi, arena, out, out_count);
}

/* Fold the runs in front while FANOUT of them have one level. */
static const struct lsmi_mt_run *fold(struct base_arena *arena, const struct lsmi_mt_run *list)
{
    struct base_arena scratch;
    base_arena_init(&scratch);
    for (;;) {
        unsigned n = 0;
        const struct lsmi_mt_run *end = list;
        for (; end && end->level == list->level && n < FANOUT; end = end->next)
            n++;
        if (n < FANOUT)
            break;
        struct base_marker *markers;
        size_t count;
        const struct base_slice open = {0};
        int rc = runs_markers(list, end, open, open, &scratch, &markers, &count);
        list = rc == BASE_OK ? run_new(arena, end, list->level + 1, markers, count) : NULL;
        if (!list)
            break;
        base_arena_reset(&scratch);
    }
    base_arena_fini(&scratch);
    return list;
}

const struct lsmi_mt_run *lsmi_mt_run_push(struct base_arena *arena, const struct lsmi_mt_run *list,
                                           const struct base_range_deletion *range)
{
    struct base_slice lo, hi;
    if (base_arena_copy(arena, range->lo, &lo) != BASE_OK ||
        base_arena_copy(arena, range->hi, &hi) != BASE_OK)
        return NULL;
    struct base_marker markers[2] = {{lo, BASE_DELETION_NONE, range->deletion},
                                     {hi, range->deletion, BASE_DELETION_NONE}};
    list = run_new(arena, list, 0, markers, BASE_COUNT(markers));
    return list ? fold(arena, list) : NULL;
}
