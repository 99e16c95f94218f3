/* Conditions of writes: their encoding, and how they are judged (Cassandra's ColumnCondition).
 *
 * Invariants:
 *  1. What base_conditions_check passed decodes: judging finds damage only in rows.
 *  2. Null compares with = and != alone (and as one of IN): everything else against null does not
 *     hold. A collection without elements and none at all are the same when it is stored by
 *     elements.
 *  3. Judging depends on the rows that are given and on nothing else. */
#include "base/condition.h"

#include <stdlib.h>

#include "base/key.h"
#include "base/mutation.h"

/* Encoding. */

int base_condition_put_row(struct base_buf *out, enum base_condition_kind kind,
                           struct base_slice ckey)
{
    int rc = base_buf_put_u8(out, (uint8_t)kind);
    return rc == BASE_OK ? base_buf_put_bytes(out, ckey) : rc;
}

static int put_operand(struct base_buf *out, const struct base_condition_operand *operand)
{
    int rc = base_buf_put_u8(out, !operand->is_null);
    return rc == BASE_OK && !operand->is_null ? base_buf_put_bytes(out, operand->value) : rc;
}

int base_condition_put_column(struct base_buf *out, struct base_slice ckey, uint32_t column,
                              enum base_condition_op op, enum base_condition_element element,
                              struct base_slice path, uint32_t index,
                              const struct base_condition_operand *operands, size_t operand_count)
{
    int rc = base_condition_put_row(out, BASE_CONDITION_COLUMN, ckey);
    if (rc == BASE_OK)
        rc = base_buf_put_varint(out, column);
    if (rc == BASE_OK)
        rc = base_buf_put_u8(out, (uint8_t)op);
    if (rc == BASE_OK)
        rc = base_buf_put_u8(out, (uint8_t)element);
    if (rc == BASE_OK && element == BASE_CONDITION_PATH)
        rc = base_buf_put_bytes(out, path);
    if (rc == BASE_OK && element == BASE_CONDITION_INDEX)
        rc = base_buf_put_le32(out, index);
    if (rc == BASE_OK)
        rc = base_buf_put_varint(out, operand_count);
    for (size_t i = 0; rc == BASE_OK && i < operand_count; i++)
        rc = put_operand(out, &operands[i]);
    return rc;
}

/* Decoding. */

static bool next_operand(struct base_reader *in, struct base_condition_operand *out)
{
    uint8_t there;
    *out = (struct base_condition_operand){.is_null = true};
    if (!base_get_u8(in, &there) || there > 1)
        return base_reader_fail(in);
    out->is_null = !there;
    return !there || base_get_bytes(in, &out->value);
}

static bool decode_column(struct base_reader *in, struct base_condition *out)
{
    struct base_condition_operand operand;
    uint64_t column;
    uint8_t op, element;
    if (!base_get_varint(in, &column) || column > UINT32_MAX || !base_get_u8(in, &op) ||
        op > BASE_CONDITION_CONTAINS_KEY || !base_get_u8(in, &element) ||
        element > BASE_CONDITION_INDEX)
        return false;
    out->column = (uint32_t)column;
    out->op = (enum base_condition_op)op;
    out->element = (enum base_condition_element)element;
    if (element == BASE_CONDITION_PATH && (!base_get_bytes(in, &out->path) || out->path.len == 0))
        return false;
    if (element == BASE_CONDITION_INDEX && !base_get_u32le(in, &out->index))
        return false;
    if (!base_get_varint(in, &out->operand_count) ||
        (out->operand_count != 1 && op != BASE_CONDITION_IN))
        return false;
    out->operands = *in;
    for (uint64_t i = 0; i < out->operand_count; i++)
        if (!next_operand(in, &operand))
            return false;
    out->operands.end = in->p;
    return true;
}

bool base_condition_decode(struct base_reader *in, struct base_condition *out)
{
    uint8_t kind;
    *out = (struct base_condition){0};
    if (!base_get_u8(in, &kind) || kind < BASE_CONDITION_EXISTS || kind > BASE_CONDITION_COLUMN ||
        !base_get_bytes(in, &out->ckey) ||
        (out->ckey.len &&
         (out->ckey.len > BASE_CKEY_LEN_MAX || out->ckey.data[out->ckey.len - 1] != BASE_KEY_AT)))
        return base_reader_fail(in);
    out->kind = (enum base_condition_kind)kind;
    if (out->kind == BASE_CONDITION_COLUMN && !decode_column(in, out)) {
        *out = (struct base_condition){0};
        return base_reader_fail(in);
    }
    return true;
}

/* Checking. */

/* The type of what is compared: the column's, or of its part; NULL: the condition does not fit the
 * column. */
static const struct base_type *compared_type(const struct base_condition *c,
                                             const struct base_type *type)
{
    switch (c->element) {
    case BASE_CONDITION_WHOLE:
        return type;
    case BASE_CONDITION_INDEX:
        return type->kind == BASE_TYPE_LIST ? type->params[0] : NULL;
    case BASE_CONDITION_PATH:
        break;
    }
    uint16_t field;
    if (type->kind == BASE_TYPE_MAP)
        return type->params[1];
    if (type->kind != BASE_TYPE_UDT || !base_path_get_field(c->path, &field) ||
        field >= type->param_count)
        return NULL;
    return type->params[field];
}

/* Of an operand of that comparison; NULL: the operator does not fit. */
static const struct base_type *operand_type(const struct base_condition *c,
                                            const struct base_type *compared)
{
    bool map = compared->kind == BASE_TYPE_MAP;
    switch (c->op) {
    case BASE_CONDITION_CONTAINS:
        return map ? compared->params[1]
               : compared->kind == BASE_TYPE_LIST || compared->kind == BASE_TYPE_SET
                   ? compared->params[0]
                   : NULL;
    case BASE_CONDITION_CONTAINS_KEY:
        return map ? compared->params[0] : NULL;
    default:
        return compared;
    }
}

static bool takes_null(enum base_condition_op op)
{
    return op == BASE_CONDITION_EQ || op == BASE_CONDITION_NE || op == BASE_CONDITION_IN;
}

static int check_path(const struct base_condition *c, const struct base_type *type,
                      struct base_err *err)
{
    struct base_buf scratch;
    struct base_slice key;
    if (c->element != BASE_CONDITION_PATH || type->kind != BASE_TYPE_MAP)
        return BASE_OK;
    base_buf_init(&scratch, BASE_CKEY_LEN_MAX);
    int rc = base_path_get(type, &(struct base_cell){.path = c->path}, &scratch, &key, err);
    base_buf_fini(&scratch);
    return rc == BASE_E_CORRUPT ? BASE_E_INVALID : rc;
}

static int check_column(const struct base_condition *c, const struct base_table *table,
                        struct base_err *err)
{
    const struct base_column *column = base_table_column_by_id(table, c->column);
    if (!column || (column->kind != BASE_COLUMN_REGULAR && column->kind != BASE_COLUMN_STATIC))
        return base_err_set(err, BASE_E_INVALID,
                            "a condition is on a column that the table does not have");
    const struct base_type *compared = compared_type(c, column->type);
    const struct base_type *type = compared ? operand_type(c, compared) : NULL;
    if (!type || (column->kind == BASE_COLUMN_STATIC) != (c->ckey.len == 0) ||
        column->type->kind == BASE_TYPE_COUNTER)
        return base_err_set(err, BASE_E_INVALID, "a condition does not fit the column %.*s",
                            BASE_SLICE_ARG(column->name));
    struct base_reader operands = c->operands;
    for (uint64_t i = 0; i < c->operand_count; i++) {
        struct base_condition_operand operand;
        if (!next_operand(&operands, &operand) || (operand.is_null && !takes_null(c->op)))
            return base_err_set(err, BASE_E_INVALID, "a condition on %.*s compares with null",
                                BASE_SLICE_ARG(column->name));
        int rc = operand.is_null ? BASE_OK : base_value_validate(type, operand.value, err);
        if (rc != BASE_OK)
            return base_err_wrap(err, rc, "a condition on %.*s", BASE_SLICE_ARG(column->name));
    }
    return check_path(c, column->type, err);
}

int base_conditions_check(struct base_slice conditions, const struct base_table *table,
                          struct base_err *err)
{
    struct base_reader in = base_reader(conditions);
    uint64_t count;
    if (!base_get_varint(&in, &count) || count == 0)
        return base_err_set(err, BASE_E_INVALID, "there are no conditions, or they are damaged");
    for (uint64_t i = 0; i < count; i++) {
        struct base_condition c;
        if (!base_condition_decode(&in, &c))
            return base_err_set(err, BASE_E_INVALID, "the conditions are damaged");
        int rc = c.kind == BASE_CONDITION_COLUMN ? check_column(&c, table, err) : BASE_OK;
        if (rc != BASE_OK)
            return rc;
    }
    return base_reader_left(&in) ? base_err_set(err, BASE_E_INVALID, "bytes follow the conditions")
                                 : BASE_OK;
}

bool base_conditions_current_check(struct base_slice current)
{
    struct base_reader in = base_reader(current);
    struct base_slice ckey, row, last = {0};
    uint64_t count;
    if (!base_get_varint(&in, &count))
        return false;
    for (uint64_t i = 0; i < count; i++) {
        if (!base_get_bytes(&in, &ckey) || !base_get_bytes(&in, &row) ||
            (i && base_slice_compare(last, ckey) >= 0) ||
            (ckey.len && ckey.data[ckey.len - 1] != BASE_KEY_AT) || !base_row_check(row))
            return false;
        last = ckey;
    }
    return base_reader_left(&in) == 0;
}

/* What must be read. */

static int by_lo(const void *a, const void *b)
{
    return base_slice_compare(((const struct base_range *)a)->lo,
                              ((const struct base_range *)b)->lo);
}

int base_conditions_slices(struct base_arena *arena, struct base_slice conditions,
                           struct base_slice mutation, struct base_slices *out,
                           struct base_err *err)
{
    struct base_reader in = base_reader(conditions), bytes = base_reader(mutation);
    struct base_mutation m = {0};
    struct base_slice ckey, row;
    uint64_t count;
    *out = (struct base_slices){0};
    if (!base_get_varint(&in, &count) || count > conditions.len ||
        (mutation.len && !base_mutation_decode(&bytes, &m)))
        return base_err_set(err, BASE_E_CORRUPT, "the conditions are damaged");
    size_t n = 0, kept = 0;
    struct base_range *ranges =
        base_arena_alloc(arena, (size_t)(count + m.row_count + 1) * sizeof *ranges);
    if (!ranges)
        return base_err_set(err, BASE_E_NOMEM, "conditions: out of memory");
    for (uint64_t i = 0; i < count; i++) {
        struct base_condition c;
        if (!base_condition_decode(&in, &c))
            return base_err_set(err, BASE_E_CORRUPT, "the conditions are damaged");
        if (c.ckey.len)
            ranges[n++] = (struct base_range){c.ckey, c.ckey};
    }
    while (m.row_count-- > 0) {
        if (!base_mutation_row(&m.rows, &ckey, &row))
            return base_err_set(err, BASE_E_CORRUPT, "the mutation is damaged");
        ranges[n++] = (struct base_range){ckey, ckey};
    }
    if (n)
        qsort(ranges, n, sizeof *ranges, by_lo);
    for (size_t i = 0; i < n; i++)
        if (kept == 0 || !base_slice_equal(ranges[kept - 1].lo, ranges[i].lo))
            ranges[kept++] = ranges[i];
    *out = (struct base_slices){ranges, kept};
    return BASE_OK;
}

/* Judging. */

struct judge {
    const struct base_table *table;
    struct base_buf scratch;
    struct base_err *err;
};

static int damaged(struct judge *j)
{
    return base_err_set(j->err, BASE_E_CORRUPT, "a row that a condition looks at is damaged");
}

/* One cell of a multi-cell column. */
static int find_cell(struct judge *j, const struct base_condition *c, struct base_slice encoded,
                     struct base_slice *value, bool *is_null)
{
    struct base_row row;
    struct base_cell cell;
    uint32_t index = 0;
    int n = 0;
    if (encoded.len == 0)
        return BASE_OK;
    if (!base_row_decode(encoded, &row))
        return damaged(j);
    struct base_cells it = base_cells_begin(&row);
    while ((n = base_cells_next(&it, &cell)) > 0 && cell.column <= c->column) {
        if (cell.column < c->column || (cell.flags & (BASE_CELL_DEAD | BASE_CELL_COMPLEX_DELETION)))
            continue;
        if (c->element == BASE_CONDITION_INDEX ? index++ == c->index
                                               : base_slice_equal(cell.path, c->path)) {
            *value = cell.value;
            *is_null = false;
            return BASE_OK;
        }
    }
    return n < 0 ? damaged(j) : BASE_OK;
}

/* One part of a frozen value. */
static int find_part(struct judge *j, const struct base_condition *c, const struct base_type *type,
                     struct base_slice whole, struct base_slice *value, bool *is_null)
{
    struct base_elements it;
    struct base_slice element, second, key = {0};
    bool null, second_null = false;
    uint16_t field = 0;
    size_t start = j->scratch.len;
    if (type->kind == BASE_TYPE_MAP) {
        int rc =
            base_path_get(type, &(struct base_cell){.path = c->path}, &j->scratch, &key, j->err);
        if (rc != BASE_OK)
            return rc;
    } else if (type->kind == BASE_TYPE_UDT && !base_path_get_field(c->path, &field)) {
        return damaged(j);
    }
    j->scratch.len = start; /* nothing else is put there while `key` is in use */
    if (!base_elements_begin(&it, type, whole))
        return damaged(j);
    for (uint32_t i = 0; it.left > 0; i++) {
        if (!base_elements_next(&it, &element, &null) ||
            (type->kind == BASE_TYPE_MAP && !base_elements_next(&it, &second, &second_null)))
            return damaged(j);
        bool found = type->kind == BASE_TYPE_MAP
                         ? base_value_compare(type->params[0], element, key) == 0
                         : i == (type->kind == BASE_TYPE_UDT ? field : c->index);
        if (found) {
            *value = type->kind == BASE_TYPE_MAP ? second : element;
            *is_null = type->kind == BASE_TYPE_MAP ? second_null : null;
            return BASE_OK;
        }
    }
    return BASE_OK;
}

static int find_value(struct judge *j, const struct base_condition *c, const struct base_type *type,
                      struct base_slice row, struct base_slice *value, bool *is_null)
{
    bool many = base_type_is_multicell(type);
    *value = (struct base_slice){0};
    *is_null = true;
    if (many && c->element != BASE_CONDITION_WHOLE)
        return find_cell(j, c, row, value, is_null);
    int rc = base_row_column(row, c->column, type, &j->scratch, value, is_null, j->err);
    if (rc != BASE_OK || c->element == BASE_CONDITION_WHOLE || *is_null)
        return rc;
    struct base_slice whole = *value;
    *is_null = true;
    return find_part(j, c, type, whole, value, is_null);
}

static int contains(struct judge *j, const struct base_condition *c, const struct base_type *type,
                    struct base_slice value, struct base_slice operand, bool *holds)
{
    struct base_elements it;
    struct base_slice element;
    bool is_null, map = type->kind == BASE_TYPE_MAP;
    bool values = map && c->op == BASE_CONDITION_CONTAINS;
    if (!base_elements_begin(&it, type, value))
        return damaged(j);
    for (uint32_t i = 0; !*holds && it.left > 0; i++) {
        if (!base_elements_next(&it, &element, &is_null))
            return damaged(j);
        if (!is_null && (!map || (i & 1) == values))
            *holds = base_value_compare(operand_type(c, type), element, operand) == 0;
    }
    return BASE_OK;
}

static bool fits(enum base_condition_op op, int order)
{
    switch (op) {
    case BASE_CONDITION_EQ:
    case BASE_CONDITION_IN:
        return order == 0;
    case BASE_CONDITION_NE:
        return order != 0;
    case BASE_CONDITION_LT:
        return order < 0;
    case BASE_CONDITION_LE:
        return order <= 0;
    case BASE_CONDITION_GT:
        return order > 0;
    case BASE_CONDITION_GE:
        return order >= 0;
    case BASE_CONDITION_CONTAINS:
    case BASE_CONDITION_CONTAINS_KEY:
        break;
    }
    return false;
}

static int judge_operand(struct judge *j, const struct base_condition *c,
                         const struct base_type *type, struct base_slice value, bool is_null,
                         const struct base_condition_operand *operand, bool *holds)
{
    bool negative = c->op == BASE_CONDITION_NE;
    *holds = false;
    if (operand->is_null || is_null) {
        *holds = (operand->is_null && is_null) ? fits(c->op, 0) : negative;
        return BASE_OK;
    }
    if (c->op == BASE_CONDITION_CONTAINS || c->op == BASE_CONDITION_CONTAINS_KEY)
        return contains(j, c, type, value, operand->value, holds);
    *holds = fits(c->op, base_value_compare(type, value, operand->value));
    return BASE_OK;
}

static int judge_column(struct judge *j, const struct base_condition *c, struct base_slice row,
                        bool *holds)
{
    static const uint8_t no_elements[4];
    const struct base_column *column = base_table_column_by_id(j->table, c->column);
    struct base_reader operands = c->operands;
    struct base_slice value;
    bool is_null;
    BASE_ASSERT(column);
    const struct base_type *type = compared_type(c, column->type);
    base_buf_reset(&j->scratch);
    int rc = find_value(j, c, column->type, row, &value, &is_null);
    bool by_elements = c->element == BASE_CONDITION_WHOLE && base_type_is_multicell(type) &&
                       type->kind != BASE_TYPE_UDT;
    *holds = false;
    for (uint64_t i = 0; rc == BASE_OK && !*holds && i < c->operand_count; i++) {
        struct base_condition_operand operand;
        bool decoded = next_operand(&operands, &operand);
        BASE_ASSERT(decoded);
        if (is_null && by_elements && !operand.is_null)
            rc = judge_operand(j, c, type, base_slice(no_elements, 4), false, &operand, holds);
        else
            rc = judge_operand(j, c, type, value, is_null, &operand, holds);
    }
    return rc;
}

static struct base_slice find_row(const struct base_condition_row *rows, size_t row_count,
                                  struct base_slice ckey)
{
    for (size_t lo = 0, hi = row_count; lo < hi;) {
        size_t mid = lo + (hi - lo) / 2;
        int c = base_slice_compare(rows[mid].ckey, ckey);
        if (c == 0)
            return rows[mid].row;
        if (c < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return (struct base_slice){0};
}

/* Does a condition look at that row? (The static row comes along always.) */
static bool is_looked_at(struct base_slice conditions, struct base_slice ckey)
{
    struct base_reader in = base_reader(conditions);
    struct base_condition c;
    uint64_t count;
    if (ckey.len == 0)
        return true;
    bool decoded = base_get_varint(&in, &count);
    BASE_ASSERT(decoded);
    while (count-- > 0 && base_condition_decode(&in, &c))
        if (base_slice_equal(c.ckey, ckey))
            return true;
    return false;
}

static int put_current(struct base_slice conditions, const struct base_condition_row *rows,
                       size_t row_count, struct base_buf *out)
{
    size_t count = 0;
    for (size_t i = 0; i < row_count; i++)
        count += rows[i].row.len && is_looked_at(conditions, rows[i].ckey);
    int rc = base_buf_put_varint(out, count);
    for (size_t i = 0; rc == BASE_OK && i < row_count; i++) {
        if (!rows[i].row.len || !is_looked_at(conditions, rows[i].ckey))
            continue;
        rc = base_buf_put_bytes(out, rows[i].ckey);
        if (rc == BASE_OK)
            rc = base_buf_put_bytes(out, rows[i].row);
    }
    return rc;
}

int base_conditions_judge(struct base_slice conditions, const struct base_table *table,
                          const struct base_condition_row *rows, size_t row_count, bool *hold,
                          struct base_buf *current, struct base_err *err)
{
    struct base_reader in = base_reader(conditions);
    struct judge j = {.table = table, .err = err};
    uint64_t count;
    size_t start = current->len;
    int rc = BASE_OK;
    *hold = base_get_varint(&in, &count);
    BASE_ASSERT(*hold && count > 0);
    base_buf_init(&j.scratch, SIZE_MAX / 2);
    while (rc == BASE_OK && *hold && count-- > 0) {
        struct base_condition c;
        bool decoded = base_condition_decode(&in, &c);
        BASE_ASSERT(decoded);
        struct base_slice row = find_row(rows, row_count, c.ckey);
        if (c.kind == BASE_CONDITION_COLUMN)
            rc = judge_column(&j, &c, row, hold);
        else
            *hold = (row.len > 0) == (c.kind == BASE_CONDITION_EXISTS);
    }
    base_buf_fini(&j.scratch);
    if (rc == BASE_OK && !*hold) {
        rc = put_current(conditions, rows, row_count, current);
        if (rc != BASE_OK)
            rc = base_err_set(err, rc, "what a condition found: %s", base_err_words(rc));
    }
    if (rc != BASE_OK) {
        *hold = false;
        current->len = start;
    }
    return rc;
}
