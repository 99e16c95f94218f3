/* Without this: writers, readers, flushes, compactions and syncs on real threads and real files
 * lose an update, show half a group's mutation, or race (build with --enable-tsan). */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "base/compress.h"
#include "base/key.h"
#include "lsm/lsm.h"
#include "node/ports.h"
#include "tests/lib/ck.h"
#include "tests/lib/scale.h"

enum { WRITERS = 4, READERS = 2, WRITES = 1000, KEYS = 200, TRUNCATIONS = 2000 };

struct world {
    char dir[64];
    struct base_executor *executor;
    struct lsm_options options;
    struct lsm_store *store;
    struct lsm_table *table;
    _Atomic int64_t acknowledged[WRITERS][KEYS]; /* the last timestamp, by writer and key */
    atomic_bool done;
};

static void world_open(struct world *w)
{
    struct base_err err;
    struct lsm_table_desc desc = lsm_table_desc((struct base_uuid){{1}}, "ks.t");
    desc.gc_grace_s = 0;
    ck_ok(lsm_open(&w->options, &w->store, &err), err);
    ck_ok(lsm_table_open(w->store, &desc, &w->table, &err), err);
    ck_ok(lsm_replay(w->store, &err), err);
}

static struct base_buf pkey_of(uint64_t writer, uint64_t key)
{
    struct base_buf pkey;
    uint64_t pk[2] = {writer, key};
    base_buf_init(&pkey, 100);
    ck_assert_int_eq(base_pkey_put(base_slice(pk, 16), &pkey), BASE_OK);
    return pkey;
}

/* A mutation of two rows with one timestamp: seen both or none. */
static void put_pair(struct base_buf *out, uint64_t writer, uint64_t key, int64_t ts)
{
    static const uint8_t first[] = {BASE_KEY_NEXT, 1, BASE_KEY_AT},
                         last[] = {BASE_KEY_NEXT, 2, BASE_KEY_AT};
    struct base_buf pkey = pkey_of(writer, key), row;
    static const char payload[100] = "payload";
    base_buf_init(&row, 1000);
    struct base_row_builder b;
    ck_assert_int_eq(base_row_begin(&b, &row, ts), BASE_OK);
    ck_assert_int_eq(base_row_put_liveness(&b, 0, 0), BASE_OK);
    ck_assert_int_eq(base_row_put_value(&b, 1, base_slice(payload, sizeof payload)), BASE_OK);
    base_row_end(&b);
    struct base_mutation_row_part rows[2] = {{{first, 3}, base_buf_view(&row)},
                                             {{last, 3}, base_buf_view(&row)}};
    ck_assert_int_eq(base_mutation_put(out, (struct base_uuid){{1}}, base_buf_view(&pkey),
                                       BASE_DELETION_NONE, (struct base_slice){0}, NULL, 0, rows,
                                       2),
                     BASE_OK);
    base_buf_fini(&pkey);
    base_buf_fini(&row);
}

struct writer {
    struct world *w;
    uint64_t number;
};

static void *writer_main(void *arg)
{
    struct writer *me = arg;
    struct world *w = me->w;
    struct base_err err;
    struct base_buf group;
    base_buf_init(&group, 1 << 20);
    for (int64_t i = 1; i <= (int64_t)scale_rounds(WRITES); i++) {
        size_t n = i % 10 == 0 ? 5 : 1;
        base_buf_reset(&group);
        for (size_t k = 0; k < n; k++)
            put_pair(&group, me->number, (uint64_t)(i + (int64_t)k) % KEYS, i);
        enum lsm_durability durability = i % 100 == 0 ? LSM_DURABLE_SYNCED : LSM_DURABLE_LOG;
        ck_ok(
            lsm_write(w->store, base_buf_view(&group), n, durability, UINT64_C(20000000000), &err),
            err);
        for (size_t k = 0; k < n; k++)
            w->acknowledged[me->number][(uint64_t)(i + (int64_t)k) % KEYS] = i;
        if (me->number == 0 && i % 500 == 0)
            ck_ok(lsm_flush(w->store, i % 1000 ? w->table : NULL, NULL, &err), err);
    }
    base_buf_fini(&group);
    return NULL;
}

/* The pair of a key: one timestamp, not older than what was acknowledged before the read. */
static void check_key(struct world *w, uint64_t writer, uint64_t key, struct base_source **src)
{
    struct base_err err;
    int64_t least = w->acknowledged[writer][key], ts[2] = {0, 0};
    struct base_buf pkey = pkey_of(writer, key);
    struct base_read cmd = BASE_READ_INIT;
    cmd.pkey = base_buf_view(&pkey);
    cmd.slices = base_slices_all;
    cmd.now_s = 1;
    ck_ok(lsm_read(w->table, &cmd, false, NULL, 0, *src, src, &err), err);
    struct base_partition p;
    ck_ok((*src)->ops->partition(*src, &p, &err), err);
    for (int i = 0; p.pkey.len; i++) {
        struct base_item item;
        ck_ok((*src)->ops->next(*src, &item, &err), err);
        if (item.kind == BASE_ITEM_END)
            break;
        struct base_row row;
        ck_assert(i < 2 && base_row_decode(item.row, &row));
        ts[i] = row.row_ts;
    }
    ck_assert_int_eq(ts[0], ts[1]);
    ck_assert_msg(ts[0] >= least, "writer %d key %d: %d < %d", (int)writer, (int)key, (int)ts[0],
                  (int)least);
    base_buf_fini(&pkey);
}

static void *reader_main(void *arg)
{
    struct world *w = arg;
    struct base_source *src = NULL;
    for (uint64_t i = 0; !w->done; i++) {
        check_key(w, i % WRITERS, i * 7 % KEYS, &src);
        if (i % 100 == 0) {
            struct lsm_stats stats;
            struct lsm_table_stats table_stats;
            lsm_get_stats(w->store, &stats);
            lsm_table_get_stats(w->table, &table_stats);
            lsm_read_park(src);
        }
    }
    if (src)
        src->ops->close(src);
    return NULL;
}

/* An empty directory, threads, and small limits, so that memtables are switched all the time. */
static void world_begin(struct world *w, enum lsm_sync sync)
{
    struct base_err err;
    memset(w, 0, sizeof *w);
    snprintf(w->dir, sizeof w->dir, "/tmp/ringlet-store-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(w->dir));
    ck_ok(node_executor_open(&w->executor, &err), err);
    lsm_options_init(&w->options);
    w->options.dir = w->dir;
    w->options.fs = node_posix_fs();
    w->options.clock = node_real_clock();
    w->options.random = node_real_random();
    w->options.executor = w->executor;
    w->options.memtable_size_max = 1 << 19;
    w->options.commitlog_segment_size = 1 << 18;
    w->options.commitlog_total_size = 1 << 20;
    w->options.sync = sync;
    world_open(w);
}

static void world_end(struct world *w)
{
    struct base_err err;
    char command[128];
    ck_ok(lsm_close(w->store, 0, &err), err);
    node_executor_close(w->executor);
    snprintf(command, sizeof command, "rm -rf %.60s", w->dir);
    ck_assert_int_eq(system(command), 0);
}

START_TEST(test_threads)
{
    static struct world world;
    struct world *w = &world;
    struct base_err err;
    world_begin(w, _i ? LSM_SYNC_BATCH : LSM_SYNC_PERIODIC);
    pthread_t threads[WRITERS + READERS];
    struct writer writers[WRITERS];
    for (uint64_t i = 0; i < WRITERS; i++) {
        writers[i] = (struct writer){w, i};
        ck_assert_int_eq(pthread_create(&threads[i], NULL, writer_main, &writers[i]), 0);
    }
    for (int i = 0; i < READERS; i++)
        ck_assert_int_eq(pthread_create(&threads[WRITERS + i], NULL, reader_main, w), 0);
    for (int i = 0; i < WRITERS; i++)
        pthread_join(threads[i], NULL);
    w->done = true;
    for (int i = 0; i < READERS; i++)
        pthread_join(threads[WRITERS + i], NULL);
    ck_ok(lsm_quiesce(w->store, &err), err);
    for (int round = 0; round < 3; round++) {
        struct base_source *src = NULL;
        for (uint64_t i = 0; i < WRITERS; i++)
            for (uint64_t k = 0; k < KEYS; k++)
                check_key(w, i, k, &src);
        src->ops->close(src);
        if (round == 1)
            ck_ok(lsm_compact(w->store, NULL, NULL, &err), err);
        ck_ok(lsm_close(w->store, round ? 0 : UINT64_MAX, &err), err);
        world_open(w);
    }
    ck_ok(lsm_table_drop(w->store, w->table, &err), err);
    world_end(w);
}
END_TEST

static void *truncater_main(void *arg)
{
    struct world *w = arg;
    struct base_err err;
    for (size_t i = 0; i < scale_rounds(TRUNCATIONS); i++)
        ck_ok(lsm_table_truncate(w->table, &err), err);
    w->done = true;
    return NULL;
}

/* Truncations take away what a flush is about to begin with: it must not go on with the memtable
 * that writers are at work in. */
START_TEST(test_truncations)
{
    static struct world world;
    struct world *w = &world;
    struct base_err err;
    struct base_buf mutation;
    struct base_source *src = NULL;
    pthread_t truncater;
    world_begin(w, LSM_SYNC_PERIODIC);
    base_buf_init(&mutation, 1 << 16);
    ck_assert_int_eq(pthread_create(&truncater, NULL, truncater_main, w), 0);
    for (int64_t i = 1; !w->done; i++) {
        base_buf_reset(&mutation);
        put_pair(&mutation, 0, (uint64_t)i % KEYS, i);
        ck_ok(lsm_write(w->store, base_buf_view(&mutation), 1, LSM_DURABLE_LOG,
                        UINT64_C(20000000000), &err),
              err);
    }
    pthread_join(truncater, NULL);
    for (uint64_t key = 0; key < KEYS; key++) { /* nothing truncates these */
        base_buf_reset(&mutation);
        put_pair(&mutation, 1, key, 7);
        ck_ok(lsm_write(w->store, base_buf_view(&mutation), 1, LSM_DURABLE_LOG,
                        UINT64_C(20000000000), &err),
              err);
        w->acknowledged[1][key] = 7;
    }
    ck_ok(lsm_quiesce(w->store, &err), err);
    for (uint64_t key = 0; key < KEYS; key++)
        check_key(w, 1, key, &src);
    src->ops->close(src);
    base_buf_fini(&mutation);
    world_end(w);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("store_threads");
    TCase *tc = tcase_create("store_threads");
    tcase_set_timeout(tc, 240);
    tcase_add_loop_test(tc, test_threads, 0, 2);
    suite_add_tcase(suite, tc);
    tc = tcase_create("truncations");
    tcase_set_timeout(tc, 240);
    tcase_add_test(tc, test_truncations);
    suite_add_tcase(suite, tc);
    return ck_main(suite);
}
