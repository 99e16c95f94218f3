/* Tables on the terminal, laid out as cqlsh's: headers to the left, values to the right
 * (shell_private.h). */
#include "cli/shell_private.h"

enum { TABLE_SIZE_MAX = 1 << 30 };

int cli_table_init(struct cli_table *table, size_t column_count)
{
    BASE_ASSERT(column_count > 0);
    memset(table, 0, sizeof *table);
    base_arena_init(&table->arena);
    base_buf_init(&table->scratch, TABLE_SIZE_MAX);
    table->column_count = column_count;
    return BASE_OK;
}

void cli_table_fini(struct cli_table *table)
{
    base_arena_fini(&table->arena);
    base_buf_fini(&table->scratch);
    free(table->cells);
}

int cli_table_add(struct cli_table *table, struct base_slice text, size_t width)
{
    if (table->cell_count == table->cell_cap) {
        size_t cap = table->cell_cap ? 2 * table->cell_cap : 256;
        struct cli_cell *cells = realloc(table->cells, cap * sizeof *cells);
        if (!cells)
            return BASE_E_NOMEM;
        table->cells = cells;
        table->cell_cap = cap;
    }
    struct cli_cell *cell = &table->cells[table->cell_count];
    int rc = base_arena_copy(&table->arena, text, &cell->text);
    cell->width = width;
    table->cell_count += rc == BASE_OK;
    return rc;
}

int cli_table_add_value(struct cli_table *table, const struct cli_format *format,
                        const struct base_type *type, const struct cql_value *value, bool colours)
{
    struct cli_text text = {.out = &table->scratch, .colours = colours};
    base_buf_reset(&table->scratch);
    int rc = cli_format_value(format, type, value, &text);
    return rc == BASE_OK ? cli_table_add(table, base_buf_view(&table->scratch), text.width) : rc;
}

int cli_table_add_name(struct cli_table *table, struct base_slice name, const char *colour,
                       bool colours)
{
    struct cli_text text = {.out = &table->scratch, .colours = colours};
    base_buf_reset(&table->scratch);
    int rc = cli_format_name(name, colour, &text);
    return rc == BASE_OK ? cli_table_add(table, base_buf_view(&table->scratch), text.width) : rc;
}

static void put_times(FILE *out, char c, size_t count)
{
    while (count-- > 0)
        putc(c, out);
}

static void put_text(FILE *out, struct base_slice text)
{
    fwrite(text.data, 1, text.len, out);
}

static void print_header(const struct cli_table *table, const size_t *widths, FILE *out)
{
    for (size_t i = 0; i < table->column_count; i++) {
        fputs(i ? " | " : " ", out);
        put_text(out, table->cells[i].text);
        if (i + 1 < table->column_count) /* nothing behind the last */
            put_times(out, ' ', widths[i] - table->cells[i].width);
    }
    putc('\n', out);
    for (size_t i = 0; i < table->column_count; i++) {
        fputs(i ? "-+-" : "-", out);
        put_times(out, '-', widths[i]);
    }
    fputs("-\n", out);
}

void cli_table_print(const struct cli_table *table, FILE *out, bool with_header, bool blank_line)
{
    size_t rows = table->cell_count / table->column_count;
    size_t *widths = calloc(table->column_count, sizeof *widths);
    if (!widths)
        return;
    for (size_t i = 0; i < table->cell_count; i++)
        if (table->cells[i].width > widths[i % table->column_count])
            widths[i % table->column_count] = table->cells[i].width;
    if (with_header)
        print_header(table, widths, out);
    for (size_t row = 1; row < rows; row++) {
        for (size_t i = 0; i < table->column_count; i++) {
            const struct cli_cell *cell = &table->cells[row * table->column_count + i];
            fputs(i ? " | " : " ", out);
            put_times(out, ' ', widths[i] - cell->width);
            put_text(out, cell->text);
        }
        putc('\n', out);
    }
    if (rows <= 1 || blank_line)
        putc('\n', out);
    free(widths);
}

void cli_table_print_expanded(const struct cli_table *table, FILE *out, size_t first_row)
{
    size_t rows = table->cell_count / table->column_count, name_width = 0, value_width = 0;
    for (size_t i = 0; i < table->cell_count; i++) {
        size_t *widest = i < table->column_count ? &name_width : &value_width;
        if (table->cells[i].width > *widest)
            *widest = table->cells[i].width;
    }
    for (size_t row = 1; row < rows; row++) {
        fprintf(out, "@ Row %zu\n-", first_row + row);
        put_times(out, '-', name_width);
        fputs("-+-", out);
        put_times(out, '-', value_width);
        fputs("-\n", out);
        for (size_t i = 0; i < table->column_count; i++) {
            putc(' ', out);
            put_text(out, table->cells[i].text);
            put_times(out, ' ', name_width - table->cells[i].width);
            fputs(" | ", out);
            put_text(out, table->cells[row * table->column_count + i].text);
            putc('\n', out);
        }
        putc('\n', out);
    }
}

/* Names side by side. */

static size_t width_of_column(const struct base_slice *names, size_t count, size_t rows,
                              size_t column)
{
    size_t widest = 0;
    for (size_t i = rows * column; i < count && i < rows * (column + 1); i++) {
        size_t width = cli_format_width(names[i]);
        widest = width > widest ? width : widest;
    }
    return widest;
}

static bool fits(const struct base_slice *names, size_t count, size_t rows, size_t width)
{
    size_t total = 0, columns = (count + rows - 1) / rows;
    for (size_t c = 0; c < columns; c++)
        total += width_of_column(names, count, rows, c) + (c ? 2 : 0);
    return total <= width;
}

void cli_columnize(FILE *out, const struct base_slice *names, size_t count, size_t width)
{
    size_t rows = 1;
    if (count == 0) {
        fputs("<empty>\n", out);
        return;
    }
    while (rows < count && !fits(names, count, rows, width))
        rows++;
    for (size_t row = 0; row < rows; row++) {
        for (size_t i = row, column = 0; i < count; i += rows, column++) {
            size_t last =
                count == 1 || rows == count ? 0 : width_of_column(names, count, rows, column);
            size_t here = cli_format_width(names[i]);
            fputs(column ? "  " : "", out);
            put_text(out, names[i]);
            put_times(out, ' ', last > here ? last - here : 0);
        }
        putc('\n', out);
    }
}
