/* Values: pools whose canonical text orders as CQL does, and other spellings of the same values
 * (differential.c). */
#include "tests/sql/differential.h"

#include <time.h>

static const char *const texts[] = {"''",    "'A'",    "'a'", "'a b'", "'ab'",
                                    "'abc'", "'b''c'", "'z'", "'é'",   "'日本'"};
static const char *const blobs[] = {"x''",     "x'00'", "x'0000'", "x'0001'", "x'01'",
                                    "x'01ff'", "x'7f'", "x'80'",   "x'ff'",   "x'ff00'"};
#define POOL 10

/* Value number i (0 … 9, ascending) as SQL, the way it comes back. */
void diff_canonical(enum kind kind, int i, char out[80])
{
    switch (kind) {
    case K_ASCII:
    case K_TEXT:
        snprintf(out, 80, "%s", texts[kind == K_ASCII ? i % 8 : i]);
        return;
    case K_TINYINT:
    case K_SMALLINT:
    case K_INT:
        snprintf(out, 80, "%d", i * 7 - 20);
        return;
    case K_BIGINT:
        snprintf(out, 80, "%lld", (i - 5) * 1000000007LL);
        return;
    case K_VARINT:
        snprintf(out, 80, "'%d'", 100 + i * 11);
        return;
    case K_FLOAT:
        snprintf(out, 80, "%.1f", i * 0.5 - 2);
        return;
    case K_DOUBLE:
        snprintf(out, 80, "%.2f", i * 1.25 - 3);
        return;
    case K_DECIMAL:
        snprintf(out, 80, "'%d.5'", i);
        return;
    case K_BOOLEAN:
        snprintf(out, 80, "%d", i & 1);
        return;
    case K_BLOB:
        snprintf(out, 80, "%s", blobs[i]);
        return;
    case K_TIMESTAMP:
        snprintf(out, 80, "'2026-01-0%dT00:00:00.000Z'", i % 9 + 1);
        return;
    case K_DATE:
        snprintf(out, 80, "'2026-02-%02d'", i * 2 + 1);
        return;
    case K_TIME:
        snprintf(out, 80, "'0%d:02:03.000000000'", i);
        return;
    case K_UUID:
        snprintf(out, 80, "'%d0000000-0000-4000-8000-00000000000a'", i);
        return;
    case K_TIMEUUID:
        snprintf(out, 80, "'0000000%d-0000-1000-8000-00000000000a'", i);
        return;
    case K_INET:
        snprintf(out, 80, "'10.0.0.%d'", i);
        return;
    case K_DURATION:
        snprintf(out, 80, "'%dh'", i + 1);
        return;
    case K_COUNT:
        break;
    }
    BASE_ASSERT(false);
}

/* Another spelling of the same value, that only Ringlet understands as the same. */
static void spelled(struct test *t, enum kind kind, int i, char out[80])
{
    diff_canonical(kind, i, out);
    if (t->plain || !rng_chance(&t->rng, 30))
        return;
    switch (kind) {
    case K_TINYINT:
    case K_SMALLINT:
    case K_INT:
        snprintf(out, 80, rng_chance(&t->rng, 50) ? "'%d'" : "%d.0", i * 7 - 20);
        return;
    case K_VARINT:
        snprintf(out, 80, "%d", 100 + i * 11);
        return;
    case K_DOUBLE:
        snprintf(out, 80, "'%.2f'", i * 1.25 - 3);
        return;
    case K_DECIMAL:
        snprintf(out, 80, "%d.5", i);
        return;
    case K_BOOLEAN:
        snprintf(out, 80, i & 1 ? "'true'" : "'false'"); /* (IS TRUE is an operator of its own) */
        return;
    case K_TIMESTAMP:
        if (rng_chance(&t->rng, 50))
            snprintf(out, 80, "%lld", 1767225600000LL + (i % 9) * 86400000LL);
        else
            snprintf(out, 80, "'2026-01-0%d'", i % 9 + 1);
        return;
    case K_TIME:
        snprintf(out, 80, "'0%d:02:03'", i);
        return;
    case K_UUID:
        if (rng_chance(&t->rng, 50))
            snprintf(out, 80, "x'%d000000000004000800000000000000a'", i);
        else
            snprintf(out, 80, "'%d0000000-0000-4000-8000-00000000000A'", i);
        return;
    case K_TIMEUUID:
        snprintf(out, 80, "x'0000000%d00001000800000000000000a'", i);
        return;
    case K_ASCII:
    case K_TEXT:
    case K_BIGINT:
    case K_FLOAT:
    case K_BLOB:
    case K_DATE:
    case K_INET:
    case K_DURATION:
    case K_COUNT:
        return;
    }
}

static int draw(struct test *t, int column)
{
    int i = (int)rng_below(&t->rng, column < t->partition_count + t->clustering_count
                                        ? 4 + rng_below(&t->rng, 7)
                                        : POOL);
    if (i >= POOL)
        i = POOL - 1;
    if (column < t->partition_count && i == 0)
        i = 1; /* a partition key of one column may not be empty */
    return i;
}

/* An empty ascii in a single-column partition key comes from the pool's wrap-around too. */
int diff_draw_key(struct test *t, int column)
{
    int i = draw(t, column);
    return t->columns[column].kind == K_ASCII && i % 8 == 0 ? 1 : i;
}

void diff_value(struct test *t, struct pair *p, int column)
{
    char a[80], b[80];
    int i = column < t->partition_count ? diff_draw_key(t, column) : draw(t, column);
    spelled(t, t->columns[column].kind, i, a);
    diff_canonical(t->columns[column].kind, i, b);
    diff_put(p, a, b);
}
