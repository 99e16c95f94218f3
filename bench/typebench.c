/* What keys and values cost without a store under them: ns a call. A regression check, not a
 * comparison: `bench/typebench [calls]`. */
#include <stdio.h>
#include <time.h>

#include "base/key.h"

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static uint64_t calls = 5000000;
static struct base_buf out, scratch;
static volatile uint64_t sink;

static void report(const char *what, double start)
{
    printf("%-36s %7.1f ns\n", what, (now_ns() - start) / (double)calls);
}

static void require(int rc)
{
    if (rc != BASE_OK)
        abort();
}

/* 16 bytes that change, as a uuid's would. */
static void next_key(uint8_t key[16], uint64_t i)
{
    base_put_le64(key, i * 0x9E3779B97F4A7C15ULL);
    base_put_le64(key + 8, (i + 1) * 0xBF58476D1CE4E5B9ULL);
}

static void bench_pkey(void)
{
    uint8_t key[16];
    double start = now_ns();
    for (uint64_t i = 0; i < calls; i++) {
        next_key(key, i);
        sink += (uint64_t)base_token(base_slice(key, 16));
    }
    report("base_token, 16 bytes", start);
    start = now_ns();
    for (uint64_t i = 0; i < calls; i++) {
        next_key(key, i);
        out.len = 0;
        require(base_pkey_put(base_slice(key, 16), &out));
        sink += out.len;
    }
    report("base_pkey_put (token in it), 16 bytes", start);
}

static void bench_ckey(const char *what, enum base_type_kind kind, bool descending,
                       struct base_slice value)
{
    const struct base_type *type = base_type_scalar(kind);
    char text[80];
    bool exact = true, empty;
    uint8_t position;
    double start = now_ns();
    for (uint64_t i = 0; i < calls; i++) {
        out.len = 0;
        require(base_ckey_put(type, descending, value, &out, &exact, NULL));
        sink += out.len;
    }
    snprintf(text, sizeof text, "base_ckey_put %s", what);
    report(text, start);
    start = now_ns();
    for (uint64_t i = 0; i < calls; i++) {
        struct base_reader in = base_reader(base_buf_view(&out));
        scratch.len = 0;
        require(base_ckey_get(type, descending, &in, &scratch, &empty, &position, NULL));
        sink += scratch.len;
    }
    snprintf(text, sizeof text, "base_ckey_get %s", what);
    report(text, start);
}

static void bench_sql(const char *what, enum base_type_kind kind, struct base_sql_value in)
{
    const struct base_type *type = base_type_scalar(kind);
    struct base_sql_value got;
    char text[80];
    double start = now_ns();
    for (uint64_t i = 0; i < calls; i++) {
        out.len = 0;
        require(base_value_from_sql(type, &in, &out, NULL));
        sink += out.len;
    }
    snprintf(text, sizeof text, "base_value_from_sql %s", what);
    report(text, start);
    start = now_ns();
    for (uint64_t i = 0; i < calls; i++) {
        scratch.len = 0;
        require(base_value_to_sql(type, base_buf_view(&out), &got, &scratch, NULL));
        sink += (uint64_t)got.integer;
    }
    snprintf(text, sizeof text, "base_value_to_sql %s", what);
    report(text, start);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        calls = strtoull(argv[1], NULL, 10);
    base_buf_init(&out, 1 << 20);
    base_buf_init(&scratch, 1 << 20);
    struct base_slice text = BASE_SLICE_LIT("twenty bytes of text");
    bench_pkey();
    bench_ckey("bigint", BASE_TYPE_BIGINT, false, BASE_SLICE_LIT("\0\0\1\2\3\4\5\6"));
    bench_ckey("timestamp desc", BASE_TYPE_TIMESTAMP, true, BASE_SLICE_LIT("\0\0\1\2\3\4\5\6"));
    bench_ckey("text (20)", BASE_TYPE_TEXT, false, text);
    bench_ckey("text desc (20)", BASE_TYPE_TEXT, true, text);
    bench_ckey("uuid", BASE_TYPE_UUID, false, BASE_SLICE_LIT("0123456789abcdef"));
    bench_sql("int", BASE_TYPE_INT,
              (struct base_sql_value){.kind = BASE_SQL_INTEGER, .integer = 123456});
    bench_sql("bigint", BASE_TYPE_BIGINT,
              (struct base_sql_value){.kind = BASE_SQL_INTEGER, .integer = 123456});
    bench_sql("double", BASE_TYPE_DOUBLE,
              (struct base_sql_value){.kind = BASE_SQL_REAL, .real = 1.5});
    bench_sql("text (20)", BASE_TYPE_TEXT,
              (struct base_sql_value){.kind = BASE_SQL_TEXT, .bytes = text});
    bench_sql("timestamp", BASE_TYPE_TIMESTAMP,
              (struct base_sql_value){.kind = BASE_SQL_TEXT,
                                      .bytes = BASE_SLICE_LIT("2026-11-23T10:00:00.000Z")});
    base_buf_fini(&out);
    base_buf_fini(&scratch);
    return 0;
}
