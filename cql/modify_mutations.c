/* Rows and deletions of several statements → one mutation a partition and table: what a batch does
 * to one partition is seen whole.
 *
 * Invariants:
 *  1. A partition is there once; while there are few they are looked through, then a table of
 *     buckets finds them.
 *  2. Rows that came in order, each once (the common statement), are encoded as they came; else
 *     they are sorted, and the versions of one row merged by the one implementation of that
 *     (base/row.h). */
#include "cql/modify_private.h"

#include <stdlib.h>

#define FEW 8

static int no_memory(struct cqli_mutations *all)
{
    return cqli_no_room(all->err, BASE_E_NOMEM);
}

static size_t bucket_of(const struct cqli_mutations *all, struct base_slice pkey)
{
    BASE_ASSERT(pkey.len > 8);
    return (size_t)(base_get_le64(pkey.data) * UINT64_C(0x9E3779B97F4A7C15) >> 32) &
           (all->bucket_count - 1);
}

static void put_bucket(struct cqli_mutations *all, struct cqli_partition *partition)
{
    struct cqli_partition **bucket = &all->buckets[bucket_of(all, partition->pkey)];
    partition->bucket_next = *bucket;
    *bucket = partition;
}

/* Room for the next one. */
static int grow_buckets(struct cqli_mutations *all)
{
    if (all->count < FEW || all->count < all->bucket_count)
        return BASE_OK;
    size_t count = all->bucket_count ? all->bucket_count * 4 : 64;
    struct cqli_partition **buckets = base_arena_zalloc(all->arena, count * sizeof(*buckets));
    if (!buckets)
        return no_memory(all);
    all->buckets = buckets;
    all->bucket_count = count;
    for (struct cqli_partition *p = all->first; p; p = p->next)
        put_bucket(all, p);
    return BASE_OK;
}

int cqli_mutations_partition(struct cqli_mutations *all, const struct base_table *table,
                             struct base_slice pkey, struct cqli_partition **out)
{
    struct cqli_partition *p = all->buckets ? all->buckets[bucket_of(all, pkey)] : all->first;
    while (p && !(p->table == table && base_slice_equal(p->pkey, pkey)))
        p = all->buckets ? p->bucket_next : p->next;
    *out = p;
    if (p)
        return BASE_OK;
    int rc = grow_buckets(all);
    if (rc != BASE_OK)
        return rc;
    p = base_arena_alloc(all->arena, sizeof *p);
    if (!p)
        return no_memory(all);
    *p = (struct cqli_partition){.table = table, .pkey = pkey, .deletion = BASE_DELETION_NONE};
    if (all->last)
        all->last->next = p;
    else
        all->first = p;
    all->last = p;
    all->count++;
    if (all->buckets)
        put_bucket(all, p);
    *out = p;
    return BASE_OK;
}

static struct cqli_row_part *new_row(struct cqli_mutations *all, struct base_slice ckey,
                                     struct base_slice row)
{
    struct cqli_row_part *part = base_arena_alloc(all->arena, sizeof *part);
    if (part)
        *part = (struct cqli_row_part){ckey, row, NULL};
    return part;
}

int cqli_mutations_row(struct cqli_mutations *all, struct cqli_partition *to,
                       struct base_slice ckey, struct base_slice row)
{
    if (row.len == 0)
        return BASE_OK;
    struct cqli_row_part *part = new_row(all, ckey, row);
    if (!part)
        return no_memory(all);
    if (!to->last_row) {
        to->rows = part;
    } else {
        to->unsorted = to->unsorted || base_slice_compare(to->last_row->ckey, ckey) >= 0;
        to->last_row->next = part;
    }
    to->last_row = part;
    to->row_count++;
    return BASE_OK;
}

int cqli_mutations_static(struct cqli_mutations *all, struct cqli_partition *to,
                          struct base_slice row)
{
    if (row.len == 0)
        return BASE_OK;
    struct cqli_row_part *part = new_row(all, (struct base_slice){0}, row);
    if (!part)
        return no_memory(all);
    part->next = to->static_rows;
    to->static_rows = part;
    to->static_count++;
    return BASE_OK;
}

int cqli_mutations_range(struct cqli_mutations *all, struct cqli_partition *to,
                         struct base_slice lo, struct base_slice hi, struct base_deletion deletion)
{
    struct cqli_range_part *part = base_arena_alloc(all->arena, sizeof *part);
    if (!part)
        return no_memory(all);
    *part = (struct cqli_range_part){{lo, hi, deletion}, to->ranges};
    to->ranges = part;
    to->range_count++;
    return BASE_OK;
}

void cqli_mutations_clear(struct cqli_mutations *all)
{
    for (struct cqli_partition *p = all->first; p; p = p->next) {
        p->rows = p->last_row = p->static_rows = NULL;
        p->ranges = NULL;
        p->row_count = p->static_count = p->range_count = 0;
        p->deletion = BASE_DELETION_NONE;
    }
}

/* Encoding. */

/* n versions of one row (the first of them is *row) as one. */
static int merge(struct cqli_mutations *all, const struct base_mutation_row_part *versions,
                 size_t n, struct base_slice *row)
{
    struct base_slice *slices = base_arena_alloc(all->arena, n * sizeof *slices);
    struct base_buf out;
    base_buf_init_in_arena(&out, all->arena, CQLI_WRITE_LEN_MAX);
    if (!slices)
        return BASE_E_NOMEM;
    for (size_t i = 0; i < n; i++)
        slices[i] = versions[i].row;
    int rc = base_row_merge(slices, n, BASE_DELETION_NONE, &out);
    *row = base_buf_view(&out);
    return rc;
}

static int by_ckey(const void *a, const void *b)
{
    return base_slice_compare(((const struct base_mutation_row_part *)a)->ckey,
                              ((const struct base_mutation_row_part *)b)->ckey);
}

static int sort_rows(struct cqli_mutations *all, struct base_mutation_row_part *rows, size_t *count)
{
    size_t kept = 0;
    qsort(rows, *count, sizeof *rows, by_ckey);
    for (size_t i = 0, n; i < *count; i += n) {
        for (n = 1; i + n < *count && base_slice_equal(rows[i].ckey, rows[i + n].ckey);)
            n++;
        struct base_mutation_row_part merged = rows[i];
        int rc = n > 1 ? merge(all, &rows[i], n, &merged.row) : BASE_OK;
        if (rc != BASE_OK)
            return rc;
        rows[kept++] = merged;
    }
    *count = kept;
    return BASE_OK;
}

static int list_rows(struct cqli_mutations *all, struct cqli_row_part *from, size_t count,
                     struct base_mutation_row_part **out)
{
    *out = base_arena_alloc(all->arena, (count + 1) * sizeof **out);
    if (!*out)
        return BASE_E_NOMEM;
    for (size_t i = 0; from; from = from->next)
        (*out)[i++] = (struct base_mutation_row_part){from->ckey, from->row};
    return BASE_OK;
}

static int put_partition(struct cqli_mutations *all, struct cqli_partition *p, struct base_buf *out)
{
    if (p->row_count == 1 && !p->static_rows && !p->ranges && base_deletion_is_none(p->deletion))
        return base_mutation_put_row(out, p->table->id, p->pkey, p->rows->ckey, p->rows->row);
    struct base_mutation_row_part *rows = NULL, *statics = NULL;
    struct base_range_deletion *ranges =
        base_arena_alloc(all->arena, (p->range_count + 1) * sizeof *ranges);
    struct base_slice static_row = p->static_rows ? p->static_rows->row : (struct base_slice){0};
    size_t count = p->row_count, i = 0;
    int rc = ranges ? list_rows(all, p->rows, count, &rows) : BASE_E_NOMEM;
    if (rc == BASE_OK && p->unsorted)
        rc = sort_rows(all, rows, &count);
    if (rc == BASE_OK && p->static_count > 1) {
        rc = list_rows(all, p->static_rows, p->static_count, &statics);
        if (rc == BASE_OK)
            rc = merge(all, statics, p->static_count, &static_row);
    }
    if (rc != BASE_OK)
        return rc;
    for (const struct cqli_range_part *range = p->ranges; range; range = range->next)
        ranges[i++] = range->range;
    return base_mutation_put(out, p->table->id, p->pkey, p->deletion, static_row, ranges,
                             p->range_count, rows, count);
}

static bool is_empty(const struct cqli_partition *p)
{
    return !p->rows && !p->static_rows && !p->ranges && base_deletion_is_none(p->deletion);
}

int cqli_mutations_put(struct cqli_mutations *all, struct base_buf *out, size_t *count)
{
    *count = 0;
    for (struct cqli_partition *p = all->first; p; p = p->next) {
        if (is_empty(p) && !all->keep_empty)
            continue;
        int rc = put_partition(all, p, out);
        if (rc != BASE_OK)
            return cqli_no_room(all->err, rc);
        ++*count;
    }
    return BASE_OK;
}
