/* Terms of rows (base/index.h).
 *
 * 1. Whatever a filter may hold for has the filter's term: equal values encode to equal bytes
 *    (base_order_encode), and both sides are cut at the same length.
 * 2. A collection's cells already have their element or key as a clustering component: their
 *    path. */
#include "base/index.h"

#include <stdatomic.h>

#include "base/key.h"
#include "base/path.h"

#define SCRATCH_LEN_MAX ((size_t)1 << 30)

struct entry {
    uint32_t id, column;
    enum base_column_kind kind;
    uint32_t position;
    enum base_index_target target;
    const struct base_type *type;
};
struct component {
    const struct base_type *type;
    bool descending;
};
struct base_indexer {
    atomic_int refs;
    struct base_arena arena;
    struct entry *entries; /* ascending by id */
    size_t count;
    size_t partition_key_count;
    struct component *clustering;
    size_t clustering_count;
    size_t clustering_used; /* components up to the last indexed one */
    bool of_key, of_static, of_regular, of_clustering;
};

/* Making. */

static bool add_entry(struct base_indexer *ix, const struct base_table *table,
                      const struct base_index *index)
{
    const struct base_column *column = base_table_column_by_id(table, index->column);
    BASE_ASSERT(column);
    struct entry entry = {.id = index->id,
                          .column = column->id,
                          .kind = column->kind,
                          .position = column->position,
                          .target = index->target,
                          .type = base_type_copy(&ix->arena, column->type)};
    if (!entry.type)
        return false;
    size_t at = ix->count++;
    for (; at > 0 && ix->entries[at - 1].id > entry.id; at--)
        ix->entries[at] = ix->entries[at - 1];
    ix->entries[at] = entry;
    switch (column->kind) {
    case BASE_COLUMN_PARTITION_KEY:
        ix->of_key = true;
        break;
    case BASE_COLUMN_CLUSTERING:
        ix->of_clustering = true;
        if (column->position >= ix->clustering_used)
            ix->clustering_used = column->position + 1;
        break;
    case BASE_COLUMN_STATIC:
        ix->of_static = true;
        break;
    case BASE_COLUMN_REGULAR:
        ix->of_regular = true;
        break;
    }
    return true;
}

int base_indexer_new(const struct base_table *table, struct base_indexer **out,
                     struct base_err *err)
{
    *out = NULL;
    if (table->index_count == 0)
        return BASE_OK;
    struct base_indexer *ix = calloc(1, sizeof *ix);
    if (!ix)
        return base_err_set(err, BASE_E_NOMEM, "indexes: %s", base_err_words(BASE_E_NOMEM));
    atomic_init(&ix->refs, 1);
    base_arena_init(&ix->arena);
    ix->partition_key_count = table->partition_key_count;
    ix->clustering_count = table->clustering_count;
    ix->entries = base_arena_zalloc(&ix->arena, table->index_count * sizeof *ix->entries);
    ix->clustering =
        base_arena_zalloc(&ix->arena, (table->clustering_count + 1) * sizeof *ix->clustering);
    bool ok = ix->entries && ix->clustering;
    for (size_t i = 0; ok && i < table->clustering_count; i++) {
        const struct base_column *column = &table->columns[table->partition_key_count + i];
        ix->clustering[i] =
            (struct component){base_type_copy(&ix->arena, column->type), column->descending};
        ok = ix->clustering[i].type != NULL;
    }
    for (size_t i = 0; ok && i < table->index_count; i++)
        ok = add_entry(ix, table, &table->indexes[i]);
    if (!ok) {
        base_indexer_release(ix);
        return base_err_set(err, BASE_E_NOMEM, "indexes: %s", base_err_words(BASE_E_NOMEM));
    }
    *out = ix;
    return BASE_OK;
}

struct base_indexer *base_indexer_acquire(struct base_indexer *ix)
{
    if (ix)
        atomic_fetch_add_explicit(&ix->refs, 1, memory_order_relaxed);
    return ix;
}

void base_indexer_release(struct base_indexer *ix)
{
    if (!ix || atomic_fetch_sub_explicit(&ix->refs, 1, memory_order_acq_rel) > 1)
        return;
    base_arena_fini(&ix->arena);
    free(ix);
}

size_t base_indexer_count(const struct base_indexer *ix)
{
    return ix->count;
}

uint32_t base_indexer_id(const struct base_indexer *ix, size_t index)
{
    BASE_ASSERT(index < ix->count);
    return ix->entries[index].id;
}

bool base_indexer_of_partition(const struct base_indexer *ix, size_t index)
{
    BASE_ASSERT(index < ix->count);
    return ix->entries[index].kind == BASE_COLUMN_PARTITION_KEY ||
           ix->entries[index].kind == BASE_COLUMN_STATIC;
}

bool base_indexer_has_key_terms(const struct base_indexer *ix)
{
    return ix->of_key;
}

/* Terms. */

/* Append a value as a component. Of a long string only so much as a term keeps. */
static int component_put(const struct base_type *type, struct base_slice value,
                         struct base_buf *out)
{
    /* no bytes: every field is null */
    bool fields = type->kind == BASE_TYPE_TUPLE || type->kind == BASE_TYPE_UDT;
    bool string = type->kind == BASE_TYPE_TEXT || type->kind == BASE_TYPE_ASCII ||
                  type->kind == BASE_TYPE_BLOB;
    if (value.len == 0 && !fields)
        return base_buf_put_u8(out, BASE_KEY_NEXT_EMPTY);
    if (string && value.len > BASE_INDEX_TERM_LEN_MAX)
        value.len = BASE_INDEX_TERM_LEN_MAX;
    int rc = base_buf_put_u8(out, BASE_KEY_NEXT);
    return rc == BASE_OK ? base_order_encode(type, value, out, NULL, NULL) : rc;
}

static struct base_slice cut(struct base_slice term)
{
    if (term.len > BASE_INDEX_TERM_LEN_MAX)
        term.len = BASE_INDEX_TERM_LEN_MAX;
    return term;
}

static bool out_of_memory(int rc)
{
    return rc == BASE_E_NOMEM;
}

static int emit_value(const struct base_index_emit *emit, size_t index,
                      const struct base_type *type, struct base_slice value)
{
    base_buf_reset(emit->scratch);
    int rc = component_put(type, value, emit->scratch);
    if (rc != BASE_OK) /* damaged or too long to be anybody's: no filter holds for it */
        return out_of_memory(rc) ? rc : BASE_OK;
    return emit->fn(emit->ctx, index, cut(base_buf_view(emit->scratch)));
}

/* A live cell of the indexed column. */
static int emit_cell(const struct base_index_emit *emit, size_t index, const struct entry *e,
                     const struct base_cell *cell)
{
    const struct base_type *type = e->type;
    switch (e->target) {
    case BASE_INDEX_VALUE:
    case BASE_INDEX_FULL:
        return emit_value(emit, index, type, cell->value);
    case BASE_INDEX_VALUES:
        if (type->kind == BASE_TYPE_SET)
            return emit->fn(emit->ctx, index, cut(cell->path));
        return emit_value(emit, index, type->params[type->kind == BASE_TYPE_MAP ? 1 : 0],
                          cell->value);
    case BASE_INDEX_KEYS:
        return emit->fn(emit->ctx, index, cut(cell->path));
    case BASE_INDEX_ENTRIES: {
        base_buf_reset(emit->scratch);
        int rc = base_buf_put_slice(emit->scratch, cell->path);
        if (rc == BASE_OK)
            rc = component_put(type->params[1], cell->value, emit->scratch);
        if (rc != BASE_OK)
            return out_of_memory(rc) ? rc : BASE_OK;
        return emit->fn(emit->ctx, index, cut(base_buf_view(emit->scratch)));
    }
    }
    return BASE_OK;
}

static int emit_cells(const struct base_indexer *ix, enum base_column_kind kind,
                      const struct base_row *row, bool *live, const struct base_index_emit *emit)
{
    struct base_cells it = base_cells_begin(row);
    struct base_cell cell;
    int more, rc = BASE_OK;
    *live = row->flags & BASE_ROW_LIVENESS;
    while (rc == BASE_OK && (more = base_cells_next(&it, &cell)) != 0) {
        if (more < 0)
            return BASE_E_CORRUPT;
        if (cell.flags & (BASE_CELL_DEAD | BASE_CELL_COMPLEX_DELETION))
            continue;
        *live = true;
        for (size_t i = 0; i < ix->count && rc == BASE_OK; i++)
            if (ix->entries[i].column == cell.column && ix->entries[i].kind == kind)
                rc = emit_cell(emit, i, &ix->entries[i], &cell);
    }
    return rc;
}

int base_indexer_static_terms(const struct base_indexer *ix, struct base_slice encoded,
                              const struct base_index_emit *emit)
{
    struct base_row row;
    bool live;
    if (!ix->of_static || encoded.len == 0)
        return BASE_OK;
    return base_row_decode(encoded, &row) ? emit_cells(ix, BASE_COLUMN_STATIC, &row, &live, emit)
                                          : BASE_E_CORRUPT;
}

int base_indexer_key_terms(const struct base_indexer *ix, struct base_slice pkey,
                           const struct base_index_emit *emit)
{
    if (!ix->of_key)
        return BASE_OK;
    struct base_slice few[8], *values = few;
    struct base_buf pk;
    int emitted = BASE_OK;
    base_buf_init(&pk, SCRATCH_LEN_MAX);
    if (ix->partition_key_count > BASE_COUNT(few) &&
        !(values = calloc(ix->partition_key_count, sizeof *values)))
        return BASE_E_NOMEM;
    int rc = base_pkey_decode(pkey, &pk, NULL);
    if (rc == BASE_OK)
        rc = base_pk_split(base_buf_view(&pk), values, ix->partition_key_count, NULL);
    for (size_t i = 0; i < ix->count && rc == BASE_OK && emitted == BASE_OK; i++)
        if (ix->entries[i].kind == BASE_COLUMN_PARTITION_KEY)
            emitted = emit_value(emit, i, ix->entries[i].type, values[ix->entries[i].position]);
    base_buf_fini(&pk);
    if (values != few)
        free(values);
    if (out_of_memory(rc)) /* a key that is none of this table's has no terms */
        return rc;
    return emitted;
}

/* The clustering components up to the last one that is indexed. */
static int emit_clustering(const struct base_indexer *ix, struct base_slice ckey,
                           const struct base_index_emit *emit)
{
    struct base_reader in = base_reader(ckey);
    struct base_buf value;
    int rc = BASE_OK;
    base_buf_init(&value, SCRATCH_LEN_MAX);
    for (size_t k = 0; k < ix->clustering_used && rc == BASE_OK; k++) {
        bool empty;
        uint8_t position;
        base_buf_reset(&value);
        rc = base_ckey_get(ix->clustering[k].type, ix->clustering[k].descending, &in, &value,
                           &empty, &position, NULL);
        if (rc != BASE_OK ||
            position != 0) { /* not a row's key of this table: no filter on it holds */
            rc = out_of_memory(rc) ? rc : BASE_OK;
            break;
        }
        for (size_t i = 0; i < ix->count && rc == BASE_OK; i++)
            if (ix->entries[i].kind == BASE_COLUMN_CLUSTERING && ix->entries[i].position == k)
                rc = emit_value(emit, i, ix->entries[i].type, base_buf_view(&value));
    }
    base_buf_fini(&value);
    return rc;
}

int base_indexer_row_terms(const struct base_indexer *ix, struct base_slice ckey,
                           struct base_slice encoded, const struct base_index_emit *emit)
{
    struct base_row row;
    bool live;
    if (!ix->of_regular && !ix->of_clustering)
        return BASE_OK;
    if (!base_row_decode(encoded, &row))
        return BASE_E_CORRUPT;
    int rc = emit_cells(ix, BASE_COLUMN_REGULAR, &row, &live, emit);
    if (rc == BASE_OK && ix->of_clustering && live)
        rc = emit_clustering(ix, ckey, emit);
    return rc;
}

/* Looking up. */

bool base_index_serves(enum base_index_target target, enum base_filter_op op)
{
    switch (target) {
    case BASE_INDEX_VALUE:
    case BASE_INDEX_FULL:
        return op == BASE_FILTER_EQ;
    case BASE_INDEX_VALUES:
        return op == BASE_FILTER_CONTAINS;
    case BASE_INDEX_KEYS:
        return op == BASE_FILTER_CONTAINS_KEY;
    case BASE_INDEX_ENTRIES:
        return op == BASE_FILTER_ENTRY;
    }
    return false;
}

/* Append what a filter's rows have in an index of this target. */
static int lookup_put(const struct entry *e, const struct base_filter *filter,
                      struct base_buf *term)
{
    const struct base_type *type = e->type;
    switch (e->target) {
    case BASE_INDEX_VALUE:
    case BASE_INDEX_FULL:
        break;
    case BASE_INDEX_VALUES:
        type = type->params[type->kind == BASE_TYPE_MAP ? 1 : 0];
        break;
    case BASE_INDEX_KEYS:
        type = type->params[0];
        break;
    case BASE_INDEX_ENTRIES: {
        int rc = component_put(type->params[0], filter->element, term);
        if (rc != BASE_OK)
            return rc;
        type = type->params[1];
        break;
    }
    }
    return component_put(type, filter->operand, term);
}

bool base_indexer_lookup(const struct base_indexer *ix, const struct base_filter *filter,
                         size_t *index, struct base_buf *term)
{
    size_t start = term->len;
    for (size_t i = 0; i < ix->count; i++) {
        const struct entry *e = &ix->entries[i];
        if (e->column != filter->column || !base_index_serves(e->target, filter->op))
            continue;
        if (lookup_put(e, filter, term) != BASE_OK) {
            term->len = start;
            return false;
        }
        term->len = start + cut(base_slice(term->data + start, term->len - start)).len;
        *index = i;
        return true;
    }
    return false;
}

/* Does a condition on it choose rows, not whole partitions? */
static bool is_of_rows(const struct base_column *column)
{
    return column->kind == BASE_COLUMN_REGULAR || column->kind == BASE_COLUMN_CLUSTERING;
}

bool base_index_has(const struct base_table *table, const struct base_read *cmd,
                    const struct base_filter *filter)
{
    const struct base_column *column = base_table_column_by_id(table, filter->column);
    if (!column)
        return false;
    if (cmd->pkey.len && !is_of_rows(column))
        return false;
    for (size_t k = 0; k < table->index_count; k++)
        if (table->indexes[k].column == column->id &&
            base_index_serves(table->indexes[k].target, filter->op))
            return true;
    return false;
}

const struct base_filter *base_index_filter(const struct base_table *table,
                                            const struct base_read *cmd)
{
    const struct base_filter *of_partition = NULL;
    for (size_t i = 0; i < cmd->filter_count && !cmd->no_index; i++) {
        if (!base_index_has(table, cmd, &cmd->filters[i]))
            continue;
        if (is_of_rows(base_table_column_by_id(table, cmd->filters[i].column)))
            return &cmd->filters[i];
        if (!of_partition)
            of_partition = &cmd->filters[i];
    }
    return of_partition;
}
