/* Judging a conditional write where the rows are: on the pool, over what the store holds of its
 * partition, tombstones included.
 *
 * Invariants:
 *  1. Conditions are judged over live rows at one `now`. Whether the write has happened already is
 *     looked for in all that is stored, for what it wrote may be a tombstone.
 *  2. A row is looked at only if the conditions or the mutation name it.
 *  3. It is the same write only if all of its rows and deletions are there with its timestamp,
 *     which no other write of this node has. */
#include "replication/writes_private.h"

#include "base/mutation.h"

static int no_memory(struct base_err *err)
{
    return base_err_set(err, BASE_E_NOMEM, "a condition: out of memory");
}

/* Is it there already? */

static bool has_cell(const struct base_row *row, const struct base_cell *wanted)
{
    const uint8_t kind = BASE_CELL_DEAD | BASE_CELL_COMPLEX_DELETION;
    struct base_cells it = base_cells_begin(row);
    struct base_cell cell;
    while (base_cells_next(&it, &cell) > 0)
        if (cell.column == wanted->column && (cell.flags & kind) == (wanted->flags & kind) &&
            base_slice_equal(cell.path, wanted->path) && base_cell_compare(&cell, wanted) == 0)
            return true;
    return false;
}

/* Is all of the mutation's row in the stored one? */
static bool holds(struct base_slice stored, struct base_slice written)
{
    struct base_row a, b;
    struct base_cell cell;
    if (!stored.len || !base_row_decode(stored, &a) || !base_row_decode(written, &b))
        return false;
    if (b.flags & BASE_ROW_LIVENESS &&
        !(a.flags & BASE_ROW_LIVENESS && a.row_ts == b.row_ts && a.ttl == b.ttl))
        return false;
    if (!base_deletion_is_none(b.deletion) && !base_deletion_equal(a.deletion, b.deletion))
        return false;
    struct base_cells it = base_cells_begin(&b);
    int more;
    while ((more = base_cells_next(&it, &cell)) > 0)
        if (!has_cell(&a, &cell))
            return false;
    return more == 0;
}

static struct base_slice find(const struct base_condition_row *rows, size_t count,
                              struct base_slice ckey)
{
    for (size_t i = 0; i < count; i++)
        if (base_slice_equal(rows[i].ckey, ckey))
            return rows[i].row;
    return (struct base_slice){0};
}

static bool holds_mutation(const struct repli_judgement *j, const struct base_partition *partition,
                           const struct base_condition_row *rows, size_t count)
{
    struct base_reader reader = base_reader(j->mutation);
    struct base_mutation m;
    struct base_slice ckey, row;
    if (!base_mutation_decode(&reader, &m))
        return false;
    bool any = !base_deletion_is_none(m.deletion) || m.static_row.len || m.row_count;
    if (!base_deletion_is_none(m.deletion) && !base_deletion_equal(partition->deletion, m.deletion))
        return false;
    if (m.static_row.len && !holds(partition->static_row, m.static_row))
        return false;
    while (m.row_count-- > 0)
        if (!base_mutation_row(&m.rows, &ckey, &row) || !holds(find(rows, count, ckey), row))
            return false;
    return any;
}

/* The rows. */

struct rows {
    struct repli_judgement *j;
    struct base_condition_row *stored, *live; /* the stored without the static row */
    size_t stored_count, live_count, cap;
};

static int room(struct rows *r)
{
    if (r->stored_count + 1 < r->cap)
        return BASE_OK;
    size_t cap = r->cap ? r->cap * 2 : 8;
    struct base_condition_row *stored = base_arena_alloc(&r->j->arena, cap * sizeof *stored);
    struct base_condition_row *live = base_arena_alloc(&r->j->arena, cap * sizeof *live);
    if (!stored || !live)
        return BASE_E_NOMEM;
    if (r->stored_count)
        memcpy(stored, r->stored, r->stored_count * sizeof *stored);
    if (r->live_count)
        memcpy(live, r->live, r->live_count * sizeof *live);
    r->stored = stored;
    r->live = live;
    r->cap = cap;
    return BASE_OK;
}

/* The row as it is stored and, if it lives, as it is. */
static int add(struct rows *r, struct base_slice ckey, struct base_slice row,
               struct base_slice *stored)
{
    const struct base_purge purge = {.now_s = r->j->now_s,
                                     .gc_before_s = INT64_MIN,
                                     .purgeable_ts = INT64_MIN,
                                     .live_only = true};
    struct base_buf live;
    struct base_slice key;
    bool is_live;
    int rc = room(r);
    if (rc == BASE_OK)
        rc = base_arena_copy(&r->j->arena, ckey, &key);
    if (rc == BASE_OK)
        rc = base_arena_copy(&r->j->arena, row, stored);
    if (rc != BASE_OK)
        return rc;
    base_buf_init_in_arena(&live, &r->j->arena, SIZE_MAX / 4);
    rc = base_row_purge(*stored, &purge, &live, NULL, &is_live);
    if (rc == BASE_OK && is_live && live.len)
        r->live[r->live_count++] = (struct base_condition_row){key, base_buf_view(&live)};
    if (rc == BASE_OK && key.len)
        r->stored[r->stored_count++] = (struct base_condition_row){key, *stored};
    return rc;
}

static int collect(struct rows *r, struct base_source *source, struct base_partition *partition,
                   struct base_err *err)
{
    struct base_item item = {.kind = BASE_ITEM_ROW};
    struct base_slice copy;
    int rc = source->ops->partition(source, partition, err);
    if (rc != BASE_OK || partition->pkey.len == 0)
        return rc;
    if (partition->static_row.len) {
        rc = add(r, (struct base_slice){0}, partition->static_row, &copy);
        partition->static_row = copy;
    }
    while (rc == BASE_OK) {
        rc = source->ops->next(source, &item, err);
        if (rc != BASE_OK || item.kind == BASE_ITEM_END)
            return rc;
        if (item.kind == BASE_ITEM_ROW)
            rc = add(r, item.ckey, item.row, &copy);
    }
    return rc == BASE_E_CORRUPT ? base_err_set(err, rc, "a condition: a damaged row")
                                : no_memory(err);
}

int repli_conditional_judge(struct repli_judgement *j, struct base_source *source,
                            struct base_err *err)
{
    struct rows r = {.j = j};
    struct base_partition partition = {.deletion = BASE_DELETION_NONE};
    j->hold = j->ours = false;
    base_buf_reset(&j->current);
    base_arena_reset(&j->arena);
    int rc = collect(&r, source, &partition, err);
    if (rc == BASE_OK)
        rc = base_conditions_judge(j->conditions, j->table, r.live, r.live_count, &j->hold,
                                   &j->current, err);
    if (rc == BASE_OK && !j->hold)
        j->ours = holds_mutation(j, &partition, r.stored, r.stored_count);
    return rc;
}
