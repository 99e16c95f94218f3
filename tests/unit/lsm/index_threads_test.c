/* Without this: reads by index, while others write, flush, compact, make and drop the index on real
 * threads and real files, show half a mutation, miss a row that is there, or race (build with
 * --enable-tsan).
 *
 * Each mutation writes the two rows of a partition with one value. A read by that value finds both
 * or none; a partition that nobody writes is always found. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "base/compress.h"
#include "base/key.h"
#include "lsm/lsm.h"
#include "node/ports.h"
#include "tests/lib/ck.h"
#include "tests/lib/make_table.h"
#include "tests/lib/scale.h"

enum { WRITERS = 2, READERS = 2, WRITES = 2000, KEYS = 100, VALUES = 7, STILL = 1000 };

struct world {
    char dir[64];
    struct base_arena arena;
    struct base_table *schema;
    struct base_executor *executor;
    struct lsm_options options;
    struct lsm_store *store;
    struct lsm_table *table;
    uint32_t index_id;
    atomic_bool done;
    _Atomic uint64_t found;
};

static void describe(struct world *w, bool indexed, struct lsm_table_desc *desc)
{
    struct base_err err;
    static struct base_index index;
    index = (struct base_index){++w->index_id, BASE_SLICE_LIT("i"), 3, BASE_INDEX_VALUE, {0}};
    w->schema->indexes = &index;
    w->schema->index_count = indexed;
    *desc = lsm_table_desc((struct base_uuid){{1}}, "ks.t");
    desc->gc_grace_s = 0;
    ck_ok(base_indexer_new(w->schema, &desc->indexer, &err), err);
}

static struct base_slice value_of(uint64_t v, uint8_t bytes[4])
{
    base_put_be32(bytes, (uint32_t)v);
    return base_slice(bytes, 4);
}

static void put_pair(struct base_buf *out, uint64_t key, uint64_t value, int64_t ts)
{
    struct base_buf pkey, ckey[2], row;
    struct base_row_builder b;
    uint8_t bytes[4];
    struct base_err err;
    base_buf_init(&pkey, 100);
    base_buf_init(&row, 1000);
    ck_assert_int_eq(base_pkey_put(base_slice(&key, 8), &pkey), BASE_OK);
    ck_assert_int_eq(base_row_begin(&b, &row, ts), BASE_OK);
    ck_assert_int_eq(base_row_put_value(&b, 3, value_of(value, bytes)), BASE_OK);
    base_row_end(&b);
    struct base_mutation_row_part rows[2];
    for (uint64_t i = 0; i < 2; i++) {
        base_buf_init(&ckey[i], 100);
        ck_ok(base_ckey_put(base_type_scalar(BASE_TYPE_INT), false, value_of(i, bytes), &ckey[i],
                            NULL, &err),
              err);
        ck_assert_int_eq(base_ckey_end(BASE_KEY_AT, &ckey[i]), BASE_OK);
        rows[i] = (struct base_mutation_row_part){base_buf_view(&ckey[i]), base_buf_view(&row)};
    }
    ck_assert_int_eq(base_mutation_put(out, (struct base_uuid){{1}}, base_buf_view(&pkey),
                                       BASE_DELETION_NONE, (struct base_slice){0}, NULL, 0, rows,
                                       2),
                     BASE_OK);
    base_buf_fini(&pkey);
    base_buf_fini(&ckey[0]);
    base_buf_fini(&ckey[1]);
    base_buf_fini(&row);
}

static void write_pair(struct world *w, uint64_t key, uint64_t value, int64_t ts)
{
    struct base_err err;
    struct base_buf m;
    base_buf_init(&m, 1 << 16);
    put_pair(&m, key, value, ts);
    ck_ok(lsm_write(w->store, base_buf_view(&m), 1, LSM_DURABLE_LOG, UINT64_C(20000000000), &err),
          err);
    base_buf_fini(&m);
}

struct writer {
    struct world *w;
    uint64_t number;
};

static void *writer_main(void *arg)
{
    struct writer *me = arg;
    struct base_err err;
    for (int64_t i = 1; i <= (int64_t)scale_rounds(WRITES); i++) {
        write_pair(me->w, me->number * KEYS + (uint64_t)(i * 7) % KEYS, (uint64_t)i % VALUES, i);
        if (i % 400 == 0)
            ck_ok(lsm_flush(me->w->store, me->w->table, NULL, &err), err);
    }
    return NULL;
}

/* All rows with the value: pairs, and the partition that does not change. */
static void check_value(struct world *w, uint64_t value, struct base_source **src)
{
    struct base_err err;
    uint8_t bytes[4];
    struct base_filter filter = {.column = 3, .operand = value_of(value, bytes)};
    struct base_read cmd = BASE_READ_INIT;
    struct base_rows rows;
    struct base_live_row row;
    uint64_t in_partition = 0, still = 0, total = 0;
    uint8_t last[32];
    struct base_buf still_key;
    base_buf_init(&still_key, 100);
    ck_assert_int_eq(base_pkey_put(base_slice(&(uint64_t){STILL + value}, 8), &still_key), BASE_OK);
    cmd.slices = base_slices_all;
    cmd.now_s = 1;
    cmd.filters = &filter;
    cmd.filter_count = 1;
    ck_ok(lsm_read(w->table, &cmd, false, NULL, 0, *src, src, &err), err);
    base_rows_open(&rows, &cmd, w->schema, *src);
    for (;;) {
        ck_ok(base_rows_next(&rows, &row, &err), err);
        bool other = !row.pkey.len || (total && memcmp(last, row.pkey.data, 16) != 0);
        ck_assert_msg(!other || in_partition % 2 == 0, "half a mutation");
        if (!row.pkey.len)
            break;
        in_partition = other ? 1 : in_partition + 1;
        memcpy(last, row.pkey.data, 16);
        still += base_slice_equal(row.pkey, base_buf_view(&still_key));
        total++;
    }
    ck_assert_uint_eq(still, 2);
    atomic_fetch_add(&w->found, total);
    rows.source = NULL; /* it is used again */
    base_rows_close(&rows);
    lsm_read_park(*src);
    base_buf_fini(&still_key);
}

static void *reader_main(void *arg)
{
    struct world *w = arg;
    struct base_source *src = NULL;
    for (uint64_t i = 0; !w->done; i++) {
        struct lsm_index_stats stats[2];
        struct lsm_task tasks[LSM_TASKS_MAX];
        check_value(w, i % VALUES, &src);
        (void)lsm_table_get_index_stats(w->table, stats, 2);
        (void)lsm_table_get_tasks(w->table, tasks);
    }
    if (src)
        src->ops->close(src);
    return NULL;
}

static void *alter_main(void *arg)
{
    struct world *w = arg;
    struct base_err err;
    for (int i = 0; !w->done; i++) {
        struct lsm_table_desc desc;
        describe(w, i % 3 != 2, &desc);
        ck_ok(lsm_table_alter(w->table, &desc, &err), err);
        base_indexer_release(desc.indexer);
        if (i % 4 == 0)
            ck_ok(lsm_compact(w->store, w->table, NULL, &err), err);
        usleep(20000);
    }
    return NULL;
}

START_TEST(test_threads)
{
    static struct world world;
    struct world *w = &world;
    struct base_err err;
    struct lsm_table_desc desc;
    memset(w, 0, sizeof *w);
    base_arena_init(&w->arena);
    w->schema = make_table(&w->arena, "ks", "t", "p k bigint; c c int; r v int");
    snprintf(w->dir, sizeof w->dir, "/tmp/ringlet-index-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(w->dir));
    ck_ok(node_executor_open(&w->executor, &err), err);
    lsm_options_init(&w->options);
    w->options.dir = w->dir;
    w->options.fs = node_posix_fs();
    w->options.clock = node_real_clock();
    w->options.random = node_real_random();
    w->options.executor = w->executor;
    w->options.memtable_size_max = 1 << 20;
    w->options.index_build_size_max = 1 << 14;
    ck_ok(lsm_open(&w->options, &w->store, &err), err);
    describe(w, true, &desc);
    ck_ok(lsm_table_open(w->store, &desc, &w->table, &err), err);
    base_indexer_release(desc.indexer);
    ck_ok(lsm_replay(w->store, &err), err);
    for (uint64_t v = 0; v < VALUES; v++)
        write_pair(w, STILL + v, v, 1);
    pthread_t threads[WRITERS + READERS + 1];
    struct writer writers[WRITERS];
    for (uint64_t i = 0; i < WRITERS; i++) {
        writers[i] = (struct writer){w, i};
        ck_assert_int_eq(pthread_create(&threads[i], NULL, writer_main, &writers[i]), 0);
    }
    for (int i = 0; i < READERS; i++)
        ck_assert_int_eq(pthread_create(&threads[WRITERS + i], NULL, reader_main, w), 0);
    ck_assert_int_eq(pthread_create(&threads[WRITERS + READERS], NULL, alter_main, w), 0);
    for (int i = 0; i < WRITERS; i++)
        pthread_join(threads[i], NULL);
    w->done = true;
    for (int i = 0; i < READERS + 1; i++)
        pthread_join(threads[WRITERS + i], NULL);
    ck_ok(lsm_quiesce(w->store, &err), err);
    struct base_source *src = NULL;
    for (uint64_t v = 0; v < VALUES; v++)
        check_value(w, v, &src);
    src->ops->close(src);
    ck_assert_uint_gt(w->found, 100);
    ck_ok(lsm_close(w->store, 0, &err), err);
    node_executor_close(w->executor);
    base_arena_fini(&w->arena);
    char command[128];
    snprintf(command, sizeof command, "rm -rf %.60s", w->dir);
    ck_assert_int_eq(system(command), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("index_threads");
    TCase *tc = tcase_create("index_threads");
    tcase_set_timeout(tc, 240);
    tcase_add_test(tc, test_threads);
    suite_add_tcase(suite, tc);
    return ck_main(suite);
}
