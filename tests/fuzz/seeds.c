/* Writes the corpora's seeds of the targets whose checksums are off: SSTables of several shapes, a
 * commit log, a manifest, peers' bytes, as the real writers make them; and of those that need
 * several bytes to fit: snapshots of the ring with a change. Only for when a format changes: make
 * -C build tests/fuzz/seeds && build/tests/fuzz/seeds tests/fuzz/corpus */
#include <stdio.h>

#include "base/compress.h"
#include "base/key.h"
#include "cql/select_private.h"
#include "lsm/commitlog.h"
#include "lsm/manifest.h"
#include "replication/reads_private.h"
#include "ring/cluster.h"
#include "tests/fuzz/fuzz_internode.h"
#include "tests/lib/sim_fs.h"
#include "tests/lib/sim_random.h"
#include "tests/unit/lsm/sst_lib.h"
#include "tests/unit/replication/read_lib.h"

static void save(const char *folder, const char *name, struct base_slice head,
                 struct base_slice bytes)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(head.data, 1, head.len, file) != head.len ||
        fwrite(bytes.data, 1, bytes.len, file) != bytes.len || fclose(file) != 0) {
        perror(path);
        exit(1);
    }
}

static void sstables(const char *folder)
{
    static const struct {
        const char *name;
        struct model_shape shape;
        int compressor;
        uint32_t block_size;
    } seeds[] = {
        {"sstable/empty", {0}, BASE_COMPRESS_NONE, 256},
        {"sstable/narrow",
         {.partitions = 12, .items_max = 1, .value_max = 20},
         BASE_COMPRESS_NONE,
         256},
        {"sstable/wide",
         {.partitions = 3,
          .items_max = 40,
          .value_max = 20,
          .marker_percent = 20,
          .static_percent = 100,
          .deletion_percent = 50,
          .wide_first = true,
          .components = 2},
         BASE_COMPRESS_NONE,
         256},
        {"sstable/one_block",
         {.partitions = 2,
          .items_max = 5,
          .value_max = 10,
          .marker_percent = 30,
          .static_percent = 50,
          .deletion_percent = 50,
          .components = 1},
         BASE_COMPRESS_NONE,
         4096},
        {"sstable/lz4",
         {.partitions = 4, .items_max = 8, .value_max = 30, .components = 1},
         BASE_COMPRESS_LZ4,
         512},
        {"sstable/zstd",
         {.partitions = 4, .items_max = 8, .value_max = 30, .components = 1},
         BASE_COMPRESS_ZSTD,
         512},
    };
    for (size_t i = 0; i < BASE_COUNT(seeds); i++) {
        struct sim_fs *disk = sim_fs_new(1);
        struct model model;
        struct rng rng = rng_seeded(i + 1);
        model_make(&model, &rng, &seeds[i].shape);
        struct lsmi_sst_params params = test_params(sim_fs_port(disk), "t.sst");
        params.compressor = seeds[i].compressor;
        params.block_size = seeds[i].block_size;
        model_write(&model, &params, NULL);
        save(folder, seeds[i].name, (struct base_slice){0}, sim_fs_bytes(disk, "t.sst"));
        model_free(&model);
        sim_fs_free(disk);
    }
}

static int ignore(void *ctx, uint64_t position, struct base_slice group, struct base_err *err)
{
    (void)ctx;
    (void)position;
    (void)group;
    (void)err;
    return BASE_OK;
}

static void commitlog(const char *folder, struct base_random *random)
{
    struct sim_fs *disk = sim_fs_new(1);
    struct lsmi_log_config config = {
        .fs = sim_fs_port(disk), .random = random, .dir = "log", .segment_size = 1024};
    struct lsmi_log_sink sink = {ignore, NULL};
    struct base_err err;
    struct lsmi_log *log;
    uint64_t position;
    uint8_t length[2];
    ck_ok(base_fs_mkdir(config.fs, "log", &err), err);
    ck_ok(lsmi_log_open(&config, &log, &err), err);
    ck_ok(lsmi_log_replay(log, &sink, &err), err);
    for (int i = 0; i < 20; i++) {
        ck_ok(lsmi_log_append(
                  log, base_slice("0123456789012345678901234567890123456789", (size_t)(i * 2 + 1)),
                  1, &position, &err),
              err);
        if (i == 5)
            ck_ok(lsmi_log_cancel(log, position, &err), err);
        if (i == 8)
            ck_ok(lsmi_log_sync(log, position, &err), err);
    }
    struct base_slice first = sim_fs_bytes(disk, "log/0000000001.log"),
                      second = sim_fs_bytes(disk, "log/0000000002.log");
    base_put_le16(length, (uint16_t)first.len);
    save(folder, "commitlog/open", base_slice(length, 2), first);
    ck_ok(lsmi_log_close(log, &err), err);
    ck_ok(lsmi_log_open(&config, &log, &err), err);
    ck_ok(lsmi_log_replay(log, &sink, &err), err);
    ck_ok(lsmi_log_append(log, base_slice("after", 5), 1, &position, &err), err);
    first = sim_fs_bytes(disk, "log/0000000001.log");
    second = sim_fs_bytes(disk, "log/0000000002.log");
    struct base_buf head;
    base_buf_init(&head, 1 << 20);
    base_put_le16(length, (uint16_t)first.len);
    ck_assert_int_eq(base_buf_put(&head, length, 2) | base_buf_put_slice(&head, first), BASE_OK);
    save(folder, "commitlog/two", base_buf_view(&head), second);
    base_buf_fini(&head);
    ck_ok(lsmi_log_close(log, &err), err);
    sim_fs_free(disk);
}

static void manifest(const char *folder, struct base_random *random)
{
    struct sim_fs *disk = sim_fs_new(1);
    struct base_err err;
    struct lsmi_manifest m;
    ck_ok(base_fs_mkdir(sim_fs_port(disk), "dir", &err), err);
    ck_ok(lsmi_manifest_open(sim_fs_port(disk), random, "dir", &m, &err), err);
    save(folder, "manifest/new", (struct base_slice){0},
         sim_fs_bytes(disk, "dir/MANIFEST-0000000001"));
    for (uint8_t n = 1; n < 8; n++) {
        struct lsmi_manifest_sstable sstable = {
            .id = n, .file_size = 100u * n, .table_id = {{n % 3}}};
        struct base_buf edit;
        base_buf_init(&edit, 4096);
        int rc = lsmi_edit_add(&edit, &sstable) |
                 lsmi_edit_flushed(&edit, sstable.table_id, 50u * n) |
                 lsmi_edit_log_low(&edit, 20u * n);
        if (n == 4)
            rc |= lsmi_edit_remove(&edit, 2);
        if (n == 6)
            rc |= lsmi_edit_drop(&edit, (struct base_uuid){{1}});
        ck_assert_int_eq(rc, BASE_OK);
        ck_ok(lsmi_manifest_commit(&m, base_buf_view(&edit), &err), err);
        base_buf_fini(&edit);
    }
    save(folder, "manifest/edits", (struct base_slice){0},
         sim_fs_bytes(disk, "dir/MANIFEST-0000000001"));
    lsmi_manifest_close(&m);
    sim_fs_free(disk);
}

/* A snapshot and what is to become of it. */
static void save_ring(const char *folder, const char *name, const struct ring_state *state,
                      const struct ring_change *change)
{
    struct base_buf head, bytes;
    uint8_t length[2];
    base_buf_init(&head, 1 << 16);
    base_buf_init(&bytes, 1 << 16);
    ck_assert_int_eq(ring_state_encode(state, &bytes), BASE_OK);
    base_put_le16(length, (uint16_t)bytes.len);
    ck_assert_int_eq(
        base_buf_put(&head, length, 2) | base_buf_put_slice(&head, base_buf_view(&bytes)), BASE_OK);
    base_buf_reset(&bytes);
    ck_assert_int_eq(ring_change_encode(change, &bytes), BASE_OK);
    save(folder, name, base_buf_view(&head), base_buf_view(&bytes));
    base_buf_fini(&head);
    base_buf_fini(&bytes);
}

static void rings(const char *folder)
{
    static const int64_t tokens[][3] = {
        {-100, 0, 100}, {-50, 50, INT64_MAX}, {INT64_MIN + 1, 7, 8}};
    struct ring_state *state = ring_state_new(), *next;
    struct base_err err;
    struct ring_change change = {.cluster_id = {{9}},
                                 .cluster_name = BASE_SLICE_LIT("Test Cluster"),
                                 .dc = BASE_SLICE_LIT("dc1"),
                                 .token_count = 3};
    for (uint8_t n = 0; n < 3; n++) {
        static const char *const addresses[] = {"a:1", "[::1]:7000", "c:9"}, *const racks[] = {
                                                                                 "r1", "r2", "r1"};
        static const char *const join_names[] = {"ring/form", "ring/join", "ring/join2"},
                                 *const finish_names[] = {"", "ring/finish", "ring/abort"};
        change.kind = n ? RING_CHANGE_JOIN : RING_CHANGE_FORM;
        change.host_id = (struct base_uuid){{(uint8_t)(7 - n)}};
        change.address = base_slice_str(addresses[n]);
        change.rack = base_slice_str(racks[n]);
        change.tokens = tokens[n];
        save_ring(folder, join_names[n], state, &change);
        ck_ok(ring_state_apply(state, &change, state->epoch + 1, &next, &err), err);
        ring_state_release(state);
        state = next;
        if (n == 0)
            continue;
        change.kind = n == 1 ? RING_CHANGE_JOIN_FINISH : RING_CHANGE_JOIN_ABORT;
        save_ring(folder, finish_names[n], state, &change);
        ck_ok(ring_state_apply(state, &change, state->epoch + 1, &next, &err), err);
        ring_state_release(state);
        state = next;
    }
    change.kind = RING_CHANGE_ADDRESS;
    change.host_id = (struct base_uuid){{6}};
    change.rack = BASE_SLICE_LIT("r2");
    save_ring(folder, "ring/address", state, &change);
    ring_state_release(state);
}

/* Pages of both directions, whole and cut; read commands (fuzz_page.c). */
static void pages(const char *folder)
{
    static const char *const names[] = {"page/forward", "page/reversed", "page/cut",
                                        "page/cut_reversed"};
    static const char *const commands[] = {"page/partition", "page/range", "page/partition_goes_on",
                                           "page/range_goes_on"};
    struct rng rng = rng_seeded(5);
    struct base_buf buf;
    struct lib_store store;
    const struct lib_store *stores = &store;
    struct base_range ranges[2] = {{lib_ckey(0), lib_ckey(1)},
                                   {lib_bound(3, false), lib_bound(4, true)}};
    base_buf_init(&buf, 1 << 20);
    lib_store_init(&store);
    for (int i = 0; i < 12; i++)
        lib_mutation_random(&rng, &buf);
    lib_store_apply(&store, base_buf_view(&buf));
    for (unsigned i = 0; i < BASE_COUNT(names); i++) {
        struct base_read cmd = BASE_READ_INIT;
        struct repl_page_limits limits = REPL_PAGE_LIMITS_NONE;
        uint8_t head[1] = {i % 2};
        cmd.slices = base_slices_all;
        cmd.reversed = i % 2;
        limits.rows_max = i < 2 ? UINT64_MAX : 3;
        struct base_source *source = lib_store_read(&stores, 1, &cmd, INT64_MIN);
        base_buf_reset(&buf);
        ck_assert_int_eq(repl_page_write(source, cmd.reversed, 25, INT64_MIN, &limits, &buf, NULL),
                         BASE_OK);
        source->ops->close(source);
        save(folder, names[i], base_slice(head, 1), base_buf_view(&buf));
    }
    for (unsigned i = 0; i < BASE_COUNT(commands); i++) {
        struct repli_read_request request = {.cmd = BASE_READ_INIT,
                                             .limits = {100, UINT64_MAX, 1 << 20, false}};
        request.cmd.table_id = lib_table_id;
        request.cmd.slices = (struct base_slices){ranges, 2};
        request.cmd.now_s = 1767225600;
        request.cmd.reversed = i == 3;
        if (i % 2 == 0)
            request.cmd.pkey = lib_pkey(1);
        if (i >= 2) {
            request.after_pkey = lib_pkey(1);
            request.after_ckey = lib_ckey(1);
            request.rows_before = 2;
        }
        request.by_index = i == 1;
        const struct base_filter filter = {.column = 4,
                                           .op = BASE_FILTER_ENTRY,
                                           .operand = BASE_SLICE_LIT("v"),
                                           .element = BASE_SLICE_LIT("k")};
        request.index = &filter;
        request.index_count = 1;
        base_buf_reset(&buf);
        ck_assert_int_eq(repli_read_encode(&request, &buf), BASE_OK);
        save(folder, commands[i], BASE_SLICE_LIT("\2"), base_buf_view(&buf));
    }
    lib_store_fini(&store);
    base_buf_fini(&buf);
}

/* Frames; POST bodies; hellos, answers, chunks: the first byte says which (fuzz_frame.c,
 * fuzz_http.c). */
static void internode(const char *folder)
{
    static uint8_t long_body[2000];
    struct net_internode_config config;
    struct neti_sessions sessions;
    struct neti_session *session;
    struct neti_hello hello = {.credential = {.kind = NETI_KIND_SECRET, .len = 32}};
    struct base_message message = {
        .verb = 20, .id = 7, .sender = {{1}}, .generation = 1, .epoch = 3, .timeout_ms = 2000};
    struct base_buf buf, answer;
    base_buf_init(&buf, 1 << 20);
    base_buf_init(&answer, 1 << 20);
    fuzz_config(&config);
    neti_sessions_init(&sessions);
    memcpy(hello.credential.bytes, config.secret.data, 32);
    ck_assert_int_eq(neti_hello_begin(&hello, &config, NULL), BASE_OK);
    ck_assert_int_eq(neti_hello_answer(&sessions, &config, false,
                                       base_slice(hello.request, hello.request_len), 1, &answer,
                                       NULL),
                     BASE_OK);
    save(folder, "http/hello", BASE_SLICE_LIT("\0"), base_slice(hello.request, hello.request_len));
    save(folder, "http/answer", BASE_SLICE_LIT("\1"), base_buf_view(&answer));
    ck_assert_int_eq(neti_hello_end(&hello, &config, base_buf_view(&answer), &session, NULL),
                     BASE_OK);

    static const struct {
        const char *name;
        bool lz4;
        size_t head;
    } seeds[] = {{"frame/frames", false, 0},
                 {"frame/body", false, NETI_BODY_HEADER},
                 {"frame/body_lz4", true, NETI_BODY_HEADER},
                 {"http/chunk", false, NETI_CHUNK_HEADER},
                 {"http/chunk_lz4", true, NETI_CHUNK_HEADER}};
    for (size_t i = 0; i < BASE_COUNT(seeds); i++) {
        bool chunk = seeds[i].head == NETI_CHUNK_HEADER;
        base_buf_reset(&buf);
        ck_assert_int_eq(base_buf_put(&buf, long_body, seeds[i].head), BASE_OK);
        message.flags = chunk ? BASE_MESSAGE_REPLY : 0;
        for (size_t len = 0; len < 3; len++) {
            message.body = base_slice(long_body, seeds[i].lz4 ? 600 * len : 10 * len);
            ck_assert_int_eq(net_frame_put(&message, &buf), BASE_OK);
        }
        if (chunk)
            ck_assert_int_eq(neti_chunk_seal(&buf, session, 1, 1, 0, NETI_CHUNK_END, seeds[i].lz4),
                             BASE_OK);
        else if (seeds[i].head)
            ck_assert_int_eq(neti_body_seal(&buf, session, 1, 1, seeds[i].lz4), BASE_OK);
        save(folder, seeds[i].name,
             chunk           ? BASE_SLICE_LIT("\2")
             : seeds[i].head ? BASE_SLICE_LIT("\1")
                             : BASE_SLICE_LIT("\0"),
             base_buf_view(&buf));
    }
    neti_session_release(session);
    neti_sessions_fini(&sessions);
    base_buf_fini(&answer);
    base_buf_fini(&buf);
}

static const char *corpus;

/* Places in fuzz_paging.c's tables: partition 1 with a row ("b", 1.5), with a static row alone, and
 * a partition of two components. */
static void paging_state(const char *name, uint8_t statement, struct base_slice pkey,
                         struct base_slice ckey, uint64_t rows, uint64_t partition_rows)
{
    struct base_buf out;
    struct cqli_paging paging = {
        .pkey = pkey, .ckey = ckey, .rows_left = rows, .partition_rows_left = partition_rows};
    base_buf_init(&out, 1 << 20);
    ck_assert_int_eq(cqli_paging_encode(&paging, &out), BASE_OK);
    save(corpus, name, base_slice(&statement, 1), base_buf_view(&out));
    base_buf_fini(&out);
}

static void paging(void)
{
    static const uint8_t one[] = {0, 0, 0, 1}, decimal[] = {0, 0, 0, 1, 15};
    const struct base_slice both[] = {BASE_SLICE_LIT("x"), base_slice(one, 4)};
    struct base_buf pkey, ckey, pk, pkey_of_two;
    bool exact = true;
    struct base_buf *const all[] = {&pkey, &ckey, &pk, &pkey_of_two};
    for (size_t i = 0; i < BASE_COUNT(all); i++)
        base_buf_init(all[i], 1 << 16);
    ck_assert_int_eq(base_pkey_put(base_slice(one, 4), &pkey), BASE_OK);
    ck_assert_int_eq(base_ckey_put(base_type_scalar(BASE_TYPE_TEXT), true, BASE_SLICE_LIT("b"),
                                   &ckey, &exact, NULL),
                     BASE_OK);
    ck_assert_int_eq(base_ckey_put(base_type_scalar(BASE_TYPE_DECIMAL), false,
                                   base_slice(decimal, 5), &ckey, &exact, NULL),
                     BASE_OK);
    ck_assert_int_eq(base_ckey_end(BASE_KEY_AT, &ckey), BASE_OK);
    ck_assert_int_eq(base_pk_compose(both, 2, &pk, NULL), BASE_OK);
    ck_assert_int_eq(base_pkey_put(base_buf_view(&pk), &pkey_of_two), BASE_OK);
    paging_state("paging/scan", 0, base_buf_view(&pkey), base_buf_view(&ckey), UINT64_MAX,
                 UINT64_MAX);
    paging_state("paging/partitions", 1, base_buf_view(&pkey), base_buf_view(&ckey), UINT64_MAX,
                 UINT64_MAX);
    paging_state("paging/rows", 2, base_buf_view(&pkey), base_buf_view(&ckey), 7, 1);
    paging_state("paging/reversed", 3, base_buf_view(&pkey), base_buf_view(&ckey), 4, UINT64_MAX);
    paging_state("paging/static", 4, base_buf_view(&pkey), (struct base_slice){0}, UINT64_MAX, 0);
    paging_state("paging/group", 5, base_buf_view(&pkey), base_buf_view(&ckey), UINT64_MAX, 2);
    paging_state("paging/two", 6, base_buf_view(&pkey_of_two), BASE_SLICE_LIT("\x20"), 1,
                 UINT64_MAX);
    for (size_t i = 0; i < BASE_COUNT(all); i++)
        base_buf_fini(all[i]);
}

START_TEST(
    write_all) /* not a test: Check's assertions, by which sst_lib reports, work in nothing else */
{
    struct sim_random random;
    sim_random_init(&random, 1);
    sstables(corpus);
    commitlog(corpus, &random.base);
    manifest(corpus, &random.base);
    internode(corpus);
    rings(corpus);
    pages(corpus);
    paging();
    sim_random_fini(&random);
}
END_TEST

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: seeds tests/fuzz/corpus\n");
        return 2;
    }
    corpus = argv[1];
    Suite *suite = suite_create("seeds");
    TCase *tc = tcase_create("seeds");
    tcase_add_test(tc, write_all);
    suite_add_tcase(suite, tc);
    return ck_main(suite);
}
