/* The rows' own costs, without a store under them: ns to decode, build, merge. A floor and a
 * regression check, not a comparison: `bench/rowbench [rows]`. */
#include <stdio.h>
#include <time.h>

#include "base/key.h"
#include "base/mutation.h"
#include "base/read.h"

#define ROWS_PER_PARTITION 1000
#define KEY_LEN 10

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* A source over rows in memory: row i of the partition is the source's when i % of == mine. */
struct bench_source {
    struct base_source source;
    const struct base_buf *rows; /* ROWS_PER_PARTITION of them */
    uint8_t (*keys)[KEY_LEN];
    uint32_t at, step, first;
    bool has_partition, given;
};

static int bench_partition(struct base_source *src, struct base_partition *out,
                           struct base_err *err)
{
    struct bench_source *s = BASE_CONTAINER(src, struct bench_source, source);
    (void)err;
    *out = (struct base_partition){.deletion = BASE_DELETION_NONE};
    if (s->has_partition && !s->given)
        out->pkey = BASE_SLICE_LIT("tokentokp\0\1");
    s->given = true;
    s->at = s->first;
    return BASE_OK;
}

static int bench_next(struct base_source *src, struct base_item *out, struct base_err *err)
{
    struct bench_source *s = BASE_CONTAINER(src, struct bench_source, source);
    (void)err;
    if (s->at >= ROWS_PER_PARTITION) {
        out->kind = BASE_ITEM_END;
        return BASE_OK;
    }
    out->kind = BASE_ITEM_ROW;
    out->ckey = base_slice(s->keys[s->at], KEY_LEN);
    out->row = base_buf_view(&s->rows[s->at]);
    s->at += s->step;
    return BASE_OK;
}

static void bench_close(struct base_source *src)
{
    (void)src;
}
static const struct base_source_ops bench_ops = {bench_partition, bench_next, bench_close};

static struct base_buf rows[2][ROWS_PER_PARTITION];
static uint8_t keys[ROWS_PER_PARTITION][KEY_LEN];
static uint64_t sink;

static void must(int rc)
{
    if (rc != BASE_OK) {
        fprintf(stderr, "rowbench: %s\n", base_err_words(rc));
        exit(1);
    }
}

/* 100 bytes of payload: two cells. */
static void build(struct base_buf *out, int64_t ts)
{
    static const uint8_t value[80] = {1, 2, 3};
    struct base_row_builder b;
    must(base_row_begin(&b, out, ts));
    must(base_row_put_liveness(&b, 0, 0));
    must(base_row_put_value(&b, 3, base_slice(value, 20)));
    must(base_row_put_value(&b, 4, base_slice(value, 80)));
    base_row_end(&b);
}

static void drain(struct base_source *src, uint64_t *count)
{
    struct base_partition part;
    struct base_item item;
    must(src->ops->partition(src, &part, NULL));
    while (part.pkey.len) {
        must(src->ops->next(src, &item, NULL));
        while (item.kind == BASE_ITEM_ROW) {
            sink += item.row.len;
            (*count)++;
            must(src->ops->next(src, &item, NULL));
        }
        must(src->ops->partition(src, &part, NULL));
    }
}

/* Merge `count` sources; `shared`: all have all rows, else they take turns. `wanted` rows in
 * all. */
static void bench_merge(const char *what, uint32_t count, bool shared, bool only_one,
                        uint64_t wanted, struct base_slices *one)
{
    static struct bench_source sources[8];
    struct base_source *list[8], *merge = NULL;
    struct base_merge_options options = {.purge = {.now_s = 100}};
    uint64_t done = 0, opens = 0;
    double begin = now_ns();
    while (done < wanted) {
        for (uint32_t i = 0; i < count; i++) {
            sources[i] = (struct bench_source){.source = {&bench_ops},
                                               .rows = rows[i % 2],
                                               .keys = keys,
                                               .first = shared ? 0 : i,
                                               .step = shared || only_one ? 1 : count,
                                               .has_partition = !only_one || i == 0};
            if (one)
                sources[i].step = ROWS_PER_PARTITION; /* a point read */
            list[i] = &sources[i].source;
        }
        if (merge)
            must(base_merge_reopen(merge, list, count, &options, NULL));
        else
            must(base_merge_open(list, count, &options, &merge, NULL));
        drain(merge, &done);
        opens++;
    }
    printf("%-52s %7.1f ns a row\n", what, (now_ns() - begin) / (double)done);
    merge->ops->close(merge);
}

static void bench_rows(uint64_t wanted)
{
    static struct bench_source source;
    struct base_source *list[1] = {&source.source}, *merge;
    struct base_merge_options options = {.purge = {.now_s = 100}};
    struct base_read cmd = BASE_READ_INIT;
    struct base_table table = {0};
    cmd.slices = base_slices_all;
    uint64_t done = 0;
    double begin = now_ns();
    while (done < wanted) {
        struct base_rows live;
        struct base_live_row row;
        source = (struct bench_source){.source = {&bench_ops},
                                       .rows = rows[0],
                                       .keys = keys,
                                       .step = 1,
                                       .has_partition = true};
        must(base_merge_open(list, 1, &options, &merge, NULL));
        base_rows_open(&live, &cmd, &table, merge);
        must(base_rows_next(&live, &row, NULL));
        while (row.pkey.len) {
            done++;
            sink += row.row.len;
            must(base_rows_next(&live, &row, NULL));
        }
        base_rows_close(&live);
    }
    printf("%-52s %7.1f ns a row\n", "one source through merge and base_rows",
           (now_ns() - begin) / (double)done);
}

int main(int argc, char **argv)
{
    uint64_t wanted = argc > 1 ? strtoull(argv[1], NULL, 0) : 20000000;
    for (uint32_t i = 0; i < ROWS_PER_PARTITION; i++) {
        base_buf_init(&rows[0][i], 4096);
        base_buf_init(&rows[1][i], 4096);
        build(&rows[0][i], 1000);
        build(&rows[1][i], 2000);
        keys[i][0] = BASE_KEY_NEXT;
        base_put_be64(keys[i] + 1, i);
        keys[i][9] = BASE_KEY_AT;
    }
    double begin = now_ns();
    for (uint64_t i = 0; i < wanted; i++) {
        struct base_row row;
        struct base_cell cell;
        if (!base_row_decode(base_buf_view(&rows[0][i % ROWS_PER_PARTITION]), &row))
            return 1;
        struct base_cells it = base_cells_begin(&row);
        while (base_cells_next(&it, &cell) > 0)
            sink += cell.value.data[0] + cell.column;
    }
    printf("%-52s %7.1f ns a row\n", "decode, and walk 2 cells",
           (now_ns() - begin) / (double)wanted);
    struct base_buf out;
    base_buf_init(&out, 4096);
    begin = now_ns();
    for (uint64_t i = 0; i < wanted; i++) {
        base_buf_reset(&out);
        build(&out, (int64_t)i);
    }
    printf("%-52s %7.1f ns a row\n", "build 2 cells", (now_ns() - begin) / (double)wanted);
    begin = now_ns();
    for (uint64_t i = 0; i < wanted / 4; i++) {
        struct base_slice versions[2] = {base_buf_view(&rows[0][i % ROWS_PER_PARTITION]),
                                         base_buf_view(&rows[1][i % ROWS_PER_PARTITION])};
        base_buf_reset(&out);
        must(base_row_merge(versions, 2, BASE_DELETION_NONE, &out));
    }
    printf("%-52s %7.1f ns a row\n", "base_row_merge of 2 versions",
           (now_ns() - begin) / (double)(wanted / 4));
    static struct bench_source alone;
    uint64_t done = 0;
    begin = now_ns();
    while (done < wanted) {
        alone = (struct bench_source){.source = {&bench_ops},
                                      .rows = rows[0],
                                      .keys = keys,
                                      .step = 1,
                                      .has_partition = true};
        drain(&alone.source, &done);
    }
    printf("%-52s %7.1f ns a row\n", "the source alone", (now_ns() - begin) / (double)done);
    struct base_slices point = base_slices_all;
    bench_merge("merge of 1 source", 1, false, false, wanted, NULL);
    bench_merge("merge of 2 sources, distinct rows", 2, false, false, wanted, NULL);
    bench_merge("merge of 4 sources, distinct rows", 4, false, false, wanted, NULL);
    bench_merge("merge of 4 sources, one has the partition", 4, false, true, wanted, NULL);
    bench_merge("merge of 2 sources, 2 versions of each row", 2, true, false, wanted / 4, NULL);
    bench_merge("point read, 1 source", 1, false, true, wanted / 8, &point);
    bench_merge("point read, 6 sources, one has the partition", 6, false, true, wanted / 8, &point);
    bench_rows(wanted);
    return sink == 0;
}
