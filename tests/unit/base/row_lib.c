/* Rows for tests: see row_lib.h. */
#include "tests/unit/base/row_lib.h"
#include "tests/lib/scale.h"

#include <check.h>
#include <stdio.h>
#include <unistd.h>

uint64_t test_seed(void)
{
    const char *env = getenv("RINGLET_TEST_SEED");
    uint64_t seed = env ? (uint64_t)strtoull(env, NULL, 0) : (uint64_t)getpid();
    printf("RINGLET_TEST_SEED=%llu\n", (unsigned long long)seed);
    fflush(stdout);
    return seed;
}

unsigned test_rounds(unsigned otherwise)
{
    const char *env = getenv("RINGLET_TEST_ROUNDS");
    return env ? (unsigned)strtoul(env, NULL, 0) : (unsigned)scale_rounds(otherwise);
}

struct base_deletion deletion_random(struct rng *rng, uint32_t none_percent)
{
    if (below(rng, 100) < none_percent)
        return BASE_DELETION_NONE;
    return (struct base_deletion){(int64_t)below(rng, 12), below(rng, 50)};
}

/* The columns' kinds are the table's, not the row's: 4 and 5 are simple, 6 and 7 are collections.
 * Counters have rows of their own in the laws (deletions and counters do not commute: Cassandra's
 * do not either). */
static void random_value(struct rng *rng, struct base_cell *cell, uint8_t *value)
{
    uint32_t kind = below(rng, 10);
    if (kind < 2) {
        cell->flags = BASE_CELL_DEAD;
        cell->local_s = below(rng, 50);
        return;
    }
    if (kind < 5) {
        cell->flags = BASE_CELL_EXPIRING;
        cell->ttl = 1 + (int32_t)below(rng, 3) * 7;
        cell->local_s = 10 + below(rng, 30);
    }
    value[0] = (uint8_t)('a' + below(rng, 3));
    cell->value = base_slice(value, below(rng, 4) ? 1 : 0);
}

static int random_cells(struct rng *rng, struct base_row_builder *b, int64_t row_ts)
{
    static const char *const paths[] = {"p", "pp", "q", "r"}, *const originals[] = {"", "P", "Q"};
    uint8_t value[1];
    int rc = BASE_OK;
    for (uint32_t column = 4; column < 8 && rc == BASE_OK; column++) {
        bool complex = column >= 6;
        struct base_cell cell = {.column = column};
        if (complex && below(rng, 3) == 0) {
            struct base_deletion deletion = deletion_random(rng, 0);
            cell = (struct base_cell){.column = column,
                                      .flags = BASE_CELL_COMPLEX_DELETION,
                                      .ts = deletion.ts,
                                      .local_s = deletion.local_s};
            rc = base_row_put_cell(b, &cell);
        }
        for (size_t i = 0; i < (complex ? BASE_COUNT(paths) : 1) && rc == BASE_OK; i++) {
            if (below(rng, 2))
                continue;
            cell =
                (struct base_cell){.column = column, .ts = below(rng, 2) ? row_ts : below(rng, 12)};
            if (complex) {
                cell.path = base_slice_str(paths[i]);
                cell.path_original = base_slice_str(originals[below(rng, 3)]);
            }
            random_value(rng, &cell, value);
            rc = base_row_put_cell(b, &cell);
        }
    }
    return rc;
}

void row_random_plain(struct rng *rng, struct base_buf *out)
{
    static const uint8_t letters[] = "abc";
    size_t start = out->len;
    while (out->len == start) {
        struct base_row_builder b;
        int rc = base_row_begin(&b, out, below(rng, 6));
        if (rc == BASE_OK && below(rng, 2))
            rc = base_row_put_liveness(&b, 0, 0);
        for (uint32_t column = 4; column < 8 && rc == BASE_OK; column++) {
            if (below(rng, 4))
                rc = base_row_put_value(&b, column,
                                        base_slice(letters + below(rng, 3), below(rng, 2)));
        }
        ck_assert_int_eq(rc, BASE_OK);
        base_row_end(&b);
    }
}

void row_random(struct rng *rng, struct base_buf *out)
{
    static const char *const originals[] = {"", "", "1.0", "1.00"};
    if (below(rng, 4) == 0) {
        row_random_plain(rng, out);
        return;
    }
    size_t start = out->len;
    while (out->len == start) {
        struct base_row_builder b;
        int64_t row_ts = below(rng, 12);
        int rc = base_row_begin(&b, out, row_ts);
        if (rc == BASE_OK && below(rng, 2)) {
            int32_t ttl = below(rng, 2) ? 1 + (int32_t)below(rng, 3) * 7 : 0;
            rc = base_row_put_liveness(&b, ttl, 10 + below(rng, 30));
        }
        if (rc == BASE_OK)
            rc = base_row_put_deletion(&b, deletion_random(rng, 75));
        if (rc == BASE_OK)
            rc = base_row_put_originals(&b, base_slice_str(originals[below(rng, 4)]));
        if (rc == BASE_OK)
            rc = random_cells(rng, &b, row_ts);
        ck_assert_int_eq(rc, BASE_OK);
        base_row_end(&b);
    }
}

/* Text. */

static long long number(const char **p)
{
    char *end;
    long long v = strtoll(*p, &end, 10);
    ck_assert_msg(end != *p, "a number is missing at '%s'", *p);
    *p = end;
    return v;
}

static void expect(const char **p, char c)
{
    ck_assert_msg(**p == c, "'%c' is missing at '%s'", c, *p);
    (*p)++;
}

/* [~TTL/EXPIRES] */
static void parse_ttl(const char **p, int32_t *ttl, int64_t *expires_s)
{
    if (**p != '~')
        return;
    (*p)++;
    *ttl = (int32_t)number(p);
    expect(p, '/');
    *expires_s = number(p);
}

static struct base_slice until(const char **p, const char *stops)
{
    struct base_slice s = base_slice(*p, strcspn(*p, stops));
    *p += s.len;
    return s;
}

static void parse_cell(const char **p, struct base_cell *cell)
{
    *cell = (struct base_cell){.column = (uint32_t)number(p)};
    if (**p == '!') {
        *p += 2;
        cell->flags = BASE_CELL_COMPLEX_DELETION;
    } else if (**p == '[') {
        (*p)++;
        cell->path = until(p, "]");
        expect(p, ']');
    }
    if (**p == 'x') {
        (*p)++;
        cell->flags |= BASE_CELL_DEAD;
    }
    if (**p == '=') {
        (*p)++;
        cell->value = until(p, "@");
    }
    expect(p, '@');
    cell->ts = number(p);
    if (cell->flags) {
        expect(p, '/');
        cell->local_s = number(p);
    }
    parse_ttl(p, &cell->ttl, &cell->local_s);
    if (cell->ttl)
        cell->flags |= BASE_CELL_EXPIRING;
}

void row_parse(const char *text, struct base_buf *out)
{
    struct base_row_builder b;
    struct base_deletion deletion = BASE_DELETION_NONE;
    struct base_slice originals = {0};
    int64_t live_ts = 3, expires_s = 0;
    int32_t ttl = 0;
    bool live = false;
    for (const char *p = text; *p; p += *p == ' ') {
        if (strncmp(p, "live@", 5) == 0) {
            p += 5;
            live = true;
            live_ts = number(&p);
            parse_ttl(&p, &ttl, &expires_s);
        } else if (strncmp(p, "del@", 4) == 0) {
            p += 4;
            deletion.ts = number(&p);
            expect(&p, '/');
            deletion.local_s = number(&p);
        } else if (strncmp(p, "orig=", 5) == 0) {
            p += 5;
            originals = until(&p, " ");
        } else {
            break;
        }
        text = p + (*p == ' ');
    }
    ck_assert_int_eq(base_row_begin(&b, out, live_ts), BASE_OK);
    if (live)
        ck_assert_int_eq(base_row_put_liveness(&b, ttl, expires_s), BASE_OK);
    ck_assert_int_eq(base_row_put_deletion(&b, deletion), BASE_OK);
    ck_assert_int_eq(base_row_put_originals(&b, originals), BASE_OK);
    for (const char *p = text; *p; p += *p == ' ') {
        struct base_cell cell;
        parse_cell(&p, &cell);
        ck_assert_int_eq(base_row_put_cell(&b, &cell), BASE_OK);
    }
    base_row_end(&b);
}

static void print_cell(const struct base_cell *cell, struct base_buf *out)
{
    int rc = base_buf_printf(out, "%s%u", out->len ? " " : "", cell->column);
    if (cell->flags & BASE_CELL_COMPLEX_DELETION)
        rc |= base_buf_printf(out, "![@%lld/%lld", (long long)cell->ts, (long long)cell->local_s);
    if (cell->path.len)
        rc |= base_buf_printf(out, "[%.*s]", BASE_SLICE_ARG(cell->path));
    if (cell->path_original.len)
        rc |= base_buf_printf(out, "(%.*s)", BASE_SLICE_ARG(cell->path_original));
    if (cell->flags & BASE_CELL_DEAD)
        rc |= base_buf_printf(out, "x@%lld/%lld", (long long)cell->ts, (long long)cell->local_s);
    else if (!(cell->flags & BASE_CELL_COMPLEX_DELETION))
        rc |= base_buf_printf(out, "=%.*s@%lld", BASE_SLICE_ARG(cell->value), (long long)cell->ts);
    if (cell->flags & BASE_CELL_EXPIRING)
        rc |= base_buf_printf(out, "~%d/%lld", cell->ttl, (long long)cell->local_s);
    ck_assert_int_eq(rc, BASE_OK);
}

void row_print(struct base_slice encoded, struct base_buf *out)
{
    ck_assert_uint_eq(out->len, 0);
    if (encoded.len) {
        struct base_row row;
        struct base_cell cell;
        int rc = BASE_OK, more;
        ck_assert(base_row_decode(encoded, &row));
        if (row.flags & BASE_ROW_LIVENESS)
            rc |= base_buf_printf(out, "live@%lld", (long long)row.row_ts);
        if (row.flags & BASE_ROW_LIVENESS_TTL)
            rc |= base_buf_printf(out, "~%d/%lld", row.ttl, (long long)row.expires_s);
        if (row.flags & BASE_ROW_DELETION)
            rc |= base_buf_printf(out, "%sdel@%lld/%lld", out->len ? " " : "",
                                  (long long)row.deletion.ts, (long long)row.deletion.local_s);
        if (row.originals.len)
            rc |= base_buf_printf(out, "%sorig=%.*s", out->len ? " " : "",
                                  BASE_SLICE_ARG(row.originals));
        ck_assert_int_eq(rc, BASE_OK);
        struct base_cells it = base_cells_begin(&row);
        while ((more = base_cells_next(&it, &cell)) > 0)
            print_cell(&cell, out);
        ck_assert_int_eq(more, 0);
    }
    ck_assert_int_eq(base_buf_put_u8(out, 0), BASE_OK);
}

void shard_put(struct base_buf *out, uint8_t host, int64_t clock, int64_t count)
{
    uint8_t id[16] = {host};
    ck_assert_int_eq(base_buf_put(out, id, 16), BASE_OK);
    ck_assert_int_eq(base_buf_put_varint(out, base_zigzag(clock)), BASE_OK);
    ck_assert_int_eq(base_buf_put_varint(out, base_zigzag(count)), BASE_OK);
}
