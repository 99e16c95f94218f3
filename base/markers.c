/* Range deletions as a set, made into markers: sorted, each changing what is deleted, none
 * overlapping.
 *
 * A sweep over the bounds in key order, with a heap of the deletions that hold at the sweep's
 * place; those that ended are thrown out when they come up. O(n log n). */
#include "base/stream.h"

struct sweep {
    const struct base_range_deletion **by_lo; /* all, by lower bound */
    size_t count;
    const struct base_slice **bounds;        /* all bounds, ascending, with repetitions */
    const struct base_range_deletion **heap; /* strongest first */
    size_t heap_count;
};

static int compare_lo(const void *a, const void *b)
{
    const struct base_range_deletion *const *x = a, *const *y = b;
    return base_slice_compare((*x)->lo, (*y)->lo);
}

static int compare_bound(const void *a, const void *b)
{
    const struct base_slice *const *x = a, *const *y = b;
    return base_slice_compare(**x, **y);
}

static bool stronger(const struct base_range_deletion *a, const struct base_range_deletion *b)
{
    return a->deletion.ts > b->deletion.ts ||
           (a->deletion.ts == b->deletion.ts && a->deletion.local_s > b->deletion.local_s);
}

static void heap_push(struct sweep *s, const struct base_range_deletion *range)
{
    size_t i = s->heap_count++;
    while (i > 0 && stronger(range, s->heap[(i - 1) / 2])) {
        s->heap[i] = s->heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    s->heap[i] = range;
}

static void heap_pop(struct sweep *s)
{
    BASE_ASSERT(s->heap_count > 0);
    const struct base_range_deletion *last = s->heap[--s->heap_count];
    size_t i = 0, child;
    while ((child = 2 * i + 1) < s->heap_count) {
        if (child + 1 < s->heap_count && stronger(s->heap[child + 1], s->heap[child]))
            child++;
        if (!stronger(s->heap[child], last))
            break;
        s->heap[i] = s->heap[child];
        i = child;
    }
    s->heap[i] = last;
}

static bool sweep_init(struct sweep *s, struct base_arena *arena,
                       const struct base_range_deletion *ranges, size_t n)
{
    s->by_lo = base_arena_alloc(arena, n * sizeof *s->by_lo);
    s->heap = base_arena_alloc(arena, n * sizeof *s->heap);
    s->bounds = base_arena_alloc(arena, 2 * n * sizeof *s->bounds);
    if (!s->by_lo || !s->heap || !s->bounds)
        return false;
    s->count = s->heap_count = 0;
    for (size_t i = 0; i < n; i++) {
        const struct base_range_deletion *range = &ranges[i];
        if (base_deletion_is_none(range->deletion) || base_slice_compare(range->lo, range->hi) >= 0)
            continue; /* deletes nothing */
        s->bounds[2 * s->count] = &range->lo;
        s->bounds[2 * s->count + 1] = &range->hi;
        s->by_lo[s->count++] = range;
    }
    if (s->count > 1) {
        qsort(s->by_lo, s->count, sizeof *s->by_lo, compare_lo);
        qsort(s->bounds, 2 * s->count, sizeof *s->bounds, compare_bound);
    }
    return true;
}

int base_markers_normalize(struct base_arena *arena, const struct base_range_deletion *ranges,
                           size_t n, struct base_marker **out, size_t *out_count)
{
    *out = NULL;
    *out_count = 0;
    if (n == 0)
        return BASE_OK;
    struct sweep s;
    struct base_marker *markers = base_arena_alloc(arena, 2 * n * sizeof *markers);
    if (!markers || !sweep_init(&s, arena, ranges, n))
        return BASE_E_NOMEM;
    size_t count = 0, begun = 0;
    struct base_deletion open = BASE_DELETION_NONE;
    for (size_t i = 0; i < 2 * s.count; i++) {
        struct base_slice at = *s.bounds[i];
        if (i + 1 < 2 * s.count && base_slice_equal(at, *s.bounds[i + 1]))
            continue; /* one place: all that begins and ends here is looked at with its last bound
                       */
        while (begun < s.count && base_slice_compare(s.by_lo[begun]->lo, at) <= 0)
            heap_push(&s, s.by_lo[begun++]);
        while (s.heap_count > 0 && base_slice_compare(s.heap[0]->hi, at) <= 0)
            heap_pop(&s);
        struct base_deletion after = s.heap_count ? s.heap[0]->deletion : BASE_DELETION_NONE;
        if (base_deletion_equal(open, after))
            continue;
        markers[count++] = (struct base_marker){.ckey = at, .before = open, .after = after};
        open = after;
    }
    BASE_ASSERT(base_deletion_is_none(open));
    *out = markers;
    *out_count = count;
    return BASE_OK;
}
