/* Terms that no key took, tested on the decoded row by the column's own type (DESIGN.md §11: what
 * we convert is never left for SQLite to compare again as text). A NULL never matches. */
#include "vtab/vtab_private.h"

int vtabi_wrap_column(const struct vtabi_table *table, const struct base_column *column, int rc,
                      struct base_err *err)
{
    return base_err_wrap(err, rc, "%s.%.*s", table->name, BASE_SLICE_ARG(column->name));
}

int vtabi_operand_equal(const struct vtabi_table *table, const struct base_column *column,
                        sqlite3_value *in, struct base_buf *out, bool *none, struct base_err *err)
{
    struct base_sql_value sql;
    enum base_operand operand;
    size_t from = out->len;
    vtabi_value_get(in, &sql);
    *none = sql.kind == BASE_SQL_NULL;
    if (*none)
        return BASE_OK;
    int rc = base_operand_from_sql(column->type, &sql, &operand, out, err);
    if (rc != BASE_OK)
        return vtabi_wrap_column(table, column, rc, err);
    *none = operand != BASE_OPERAND_EXACT;
    if (*none)
        out->len = from;
    return BASE_OK;
}

/* The next "op[column]" of idxStr: its operator as one letter and the column. False when there is
 * none. */
static bool next_filter(const char **p, char *op, int *column)
{
    const char *bracket = strchr(*p, '[');
    char *end;
    if (!bracket || bracket == *p)
        return false;
    *op = bracket[-1];
    if (*op == '=' && (bracket[-2] == '<' || bracket[-2] == '>'))
        *op = bracket[-2] == '<' ? 'l' : 'g';
    *column = (int)strtol(bracket + 1, &end, 10);
    *p = end;
    return *end == ']';
}

static int set_list(const struct vtabi_table *table, struct vtabi_filter *filter,
                    const struct base_column *column, sqlite3_value *list, struct base_err *err)
{
    sqlite3_value *value;
    size_t cap = 0, count = 0;
    size_t *ends = NULL;
    int sqlite, rc = BASE_OK;
    for (sqlite = sqlite3_vtab_in_first(list, &value);
         rc == BASE_OK && sqlite == SQLITE_OK && value;
         sqlite = sqlite3_vtab_in_next(list, &value)) {
        bool none;
        rc = vtabi_operand_equal(table, column, value, &filter->values, &none, err);
        if (rc != BASE_OK || none)
            continue;
        if (count == cap) {
            size_t *grown = sqlite3_realloc64(ends, (cap = cap ? 2 * cap : 16) * sizeof *ends);
            if (!grown) {
                rc = base_err_set(err, BASE_E_NOMEM, "out of memory");
                break;
            }
            ends = grown;
        }
        ends[count++] = filter->values.len;
    }
    filter->operands =
        rc == BASE_OK ? sqlite3_malloc64((count + 1) * sizeof filter->operands[0]) : NULL;
    if (rc == BASE_OK && !filter->operands)
        rc = base_err_set(err, BASE_E_NOMEM, "out of memory");
    for (size_t i = 0; rc == BASE_OK && i < count; i++) {
        size_t from = i ? ends[i - 1] : 0;
        filter->operands[i] = base_slice(filter->values.data + from, ends[i] - from);
    }
    filter->operand_count = rc == BASE_OK ? count : 0;
    sqlite3_free(ends);
    return rc;
}

/* An operand outside of the type's domain makes the term the same for all rows, or shifts it. */
static void adjust(struct vtabi_filter *filter, enum base_operand operand)
{
    bool less = filter->op == '<' || filter->op == 'l',
         greater = filter->op == '>' || filter->op == 'g';
    switch (operand) {
    case BASE_OPERAND_EXACT:
        return;
    case BASE_OPERAND_BELOW:
        if (less || greater)
            filter->op = less ? 'l' : '>';
        else if (filter->op == '!')
            filter->always = true;
        else
            filter->never = true;
        return;
    case BASE_OPERAND_LOW:
        filter->always = greater || filter->op == '!';
        break;
    case BASE_OPERAND_HIGH:
        filter->always = less || filter->op == '!';
        break;
    case BASE_OPERAND_NONE:
        break;
    }
    filter->never = !filter->always;
}

static int set_single(const struct vtabi_table *table, struct vtabi_filter *filter,
                      const struct base_column *column, sqlite3_value *in, struct base_err *err)
{
    struct base_sql_value sql;
    enum base_operand operand = BASE_OPERAND_NONE;
    vtabi_value_get(in, &sql);
    if (sql.kind != BASE_SQL_NULL) {
        int rc = base_operand_from_sql(column->type, &sql, &operand, &filter->values, err);
        if (rc != BASE_OK)
            return vtabi_wrap_column(table, column, rc, err);
    }
    adjust(filter, operand);
    filter->operands = sqlite3_malloc64(sizeof filter->operands[0]);
    if (!filter->operands)
        return base_err_set(err, BASE_E_NOMEM, "out of memory");
    filter->operands[0] = base_buf_view(&filter->values);
    filter->operand_count = 1;
    return BASE_OK;
}

int vtabi_filters_parse(const struct vtabi_table *table, const struct vtabi_binding *binding,
                        const char *idx_str, sqlite3_value **argv, size_t count,
                        struct vtabi_filter **filters, struct base_err *err)
{
    const char *p = idx_str ? strstr(idx_str, " filter ") : NULL;
    int rc = BASE_OK;
    *filters = sqlite3_malloc64((count + 1) * sizeof **filters);
    if (!*filters)
        return base_err_set(err, BASE_E_NOMEM, "out of memory");
    memset(*filters, 0, (count + 1) * sizeof **filters);
    for (size_t i = 0; i < count; i++)
        base_buf_init(&(*filters)[i].values, VTABI_BUF_MAX);
    for (size_t i = 0; rc == BASE_OK && i < count; i++) {
        struct vtabi_filter *filter = &(*filters)[i];
        bool found = p && next_filter(&p, &filter->op, &filter->column);
        BASE_ASSERT(found); /* idxStr is ours */
        const struct base_column *column = binding->columns[filter->column - table->column_first];
        if (!column)
            filter->never = true; /* dropped since the plan was made: NULL */
        else if (filter->op == '~')
            rc = set_list(table, filter, column, argv[i], err);
        else
            rc = set_single(table, filter, column, argv[i], err);
    }
    if (rc != BASE_OK) {
        vtabi_filters_free(*filters, count);
        *filters = NULL;
    }
    return rc;
}

void vtabi_filters_free(struct vtabi_filter *filters, size_t count)
{
    for (size_t i = 0; filters && i < count; i++) {
        base_buf_fini(&filters[i].values);
        sqlite3_free(filters[i].operands);
    }
    sqlite3_free(filters);
}

static bool compare(const struct vtabi_filter *filter, const struct base_type *type,
                    struct base_slice value)
{
    if (filter->always || filter->never)
        return filter->always;
    if (filter->op == '~') {
        for (size_t i = 0; i < filter->operand_count; i++)
            if (base_value_compare(type, value, filter->operands[i]) == 0)
                return true;
        return false;
    }
    int c = base_value_compare(type, value, filter->operands[0]);
    switch (filter->op) {
    case '=':
        return c == 0;
    case '!':
        return c != 0;
    case '<':
        return c < 0;
    case 'l':
        return c <= 0;
    case '>':
        return c > 0;
    default:
        return c >= 0;
    }
}

int vtabi_filters_match(const struct vtabi_table *table, const struct vtabi_filter *filters,
                        size_t count, struct vtabi_row *row, bool *match, struct base_err *err)
{
    *match = true;
    for (size_t i = 0; i < count && *match; i++) {
        const struct base_column *column =
            row->binding->columns[filters[i].column - table->column_first];
        struct base_slice value;
        bool present;
        int rc = vtabi_row_value(row, column, &value, &present, err);
        if (rc != BASE_OK)
            return rc;
        *match = present && compare(&filters[i], column->type, value);
    }
    return BASE_OK;
}
