/* The catalog, on LMDB and in memory. Without these a node could forget who it is, count an epoch
 * twice, load a schema that its log did not lead to, take a flipped bit for a schema, or end its
 * host with SIGBUS on a shortened file; and the simulator's filling could promise more than LMDB
 * keeps. */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "catalog/lmdb_catalog.h"
#include "tests/lib/ck.h"
#include "tests/lib/make_table.h"
#include "tests/lib/mem_catalog.h"

static struct base_arena arena;
static struct base_err err;
static char dir[64];
static struct mem_catalog *store;
static struct cat_catalog *cat;
static bool in_memory; /* the loop tests run with each filling */

#define S(text) base_slice_str(text)
enum { SMALL_MAP = 64 << 10 };

static void reopen(void)
{
    cat_close(cat);
    cat = NULL;
    if (in_memory)
        cat = mem_catalog_open(store);
    else
        ck_ok(cati_open_lmdb(dir, SMALL_MAP, 1 << 30, &cat, &err), err);
}

static void setup(void)
{
    base_arena_init(&arena);
    strcpy(dir, "/tmp/ringlet-catalog-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    strcat(dir, "/cat");
    store = mem_catalog_new();
    cat = NULL;
    in_memory = false;
}

static void teardown(void)
{
    cat_close(cat);
    mem_catalog_free(store);
    base_arena_fini(&arena);
    char path[128];
    static const char *const names[] = {"/data.mdb", "/lock.mdb", ""};
    for (size_t i = 0; i < BASE_COUNT(names); i++) {
        snprintf(path, sizeof path, "%s%s", dir, names[i]);
        remove(path);
    }
    dir[strlen(dir) - 4] = 0;
    rmdir(dir);
}

static int put(const char *key, const char *value)
{
    struct cat_pair pair = {.key = S(key), .value = S(value)};
    return cat->ops->write(cat, &pair, 1, &err);
}

static void forget_all(void) /* in memory */
{
    cat_close(cat);
    cat = NULL;
    mem_catalog_free(store);
    store = mem_catalog_new();
    in_memory = true;
    reopen();
}

static void check_get(const char *key, const char *value)
{
    struct base_buf out;
    base_buf_init(&out, 1 << 20);
    ck_ok(cat->ops->get(cat, S(key), &out, &err), err);
    ck_assert(base_slice_equal(base_buf_view(&out), S(value)));
    base_buf_fini(&out);
}

static int get_code(const char *key)
{
    struct base_buf out;
    base_buf_init(&out, 1 << 20);
    int rc = cat->ops->get(cat, S(key), &out, &err);
    base_buf_fini(&out);
    return rc;
}

/* The port, with each filling. */

static int gather(void *ctx, struct base_slice key, struct base_slice value)
{
    struct base_buf *out = ctx;
    ck_assert_int_eq(base_buf_printf(out, "%.*s=%.*s ", BASE_SLICE_ARG(key), BASE_SLICE_ARG(value)),
                     BASE_OK);
    return BASE_OK;
}

static int stop_at_once(void *ctx, struct base_slice key, struct base_slice value)
{
    (void)key, (void)value;
    ++*(int *)ctx;
    return 77;
}

START_TEST(the_port_keeps_pairs)
{
    in_memory = _i;
    reopen();
    ck_assert_int_eq(get_code("a"), BASE_E_NOTFOUND);
    ck_assert_int_eq(put("p/2", "two"), BASE_OK);
    ck_assert_int_eq(put("p/1", "one"), BASE_OK);
    ck_assert_int_eq(put("p", "short"), BASE_OK);
    ck_assert_int_eq(put("q/1", "other"), BASE_OK);
    struct cat_pair pairs[] = {{.key = S("p/2")},
                               {.key = S("p/3"), .value = S("three")},
                               {.key = S("absent")},
                               {.key = S("p/0"), .value = S("")}};
    ck_ok(cat->ops->write(cat, pairs, BASE_COUNT(pairs), &err), err);
    reopen();
    struct base_buf out;
    base_buf_init(&out, 4096);
    ck_ok(cat->ops->scan(cat, S("p/"), gather, &out, &err), err);
    ck_assert(base_slice_equal(base_buf_view(&out), S("p/0= p/1=one p/3=three ")));
    base_buf_fini(&out);
    int calls = 0;
    ck_assert_int_eq(cat->ops->scan(cat, S("p/"), stop_at_once, &calls, &err), 77);
    ck_assert_int_eq(calls, 1);
    struct cat_pair both[] = {{.key = S("new"), .value = S("x")},
                              {.key = S("p/1"), .value = S("y"), .must_be_new = true}};
    ck_fails(cat->ops->write(cat, both, 2, &err), BASE_E_EXISTS, err);
    ck_assert_int_eq(get_code("new"), BASE_E_NOTFOUND); /* all or nothing */
    check_get("p/1", "one");
    ck_fails(cat->ops->write(cat, &(struct cat_pair){.value = S("x")}, 1, &err), BASE_E_LIMIT, err);
}
END_TEST

START_TEST(identity_is_kept_and_starts_are_counted)
{
    in_memory = _i;
    reopen();
    struct cat_identity id;
    ck_fails(cat_identity_get(cat, &id, &err), BASE_E_NOTFOUND, err);
    ck_fails(cat_identity_bump(cat, &id, &err), BASE_E_NOTFOUND, err);
    id = (struct cat_identity){.host_id = {{1, 2, 3}},
                               .cluster_name = "Test Cluster",
                               .generation = 7,
                               .format_version = 1};
    ck_ok(cat_identity_put(cat, &id, &err), err);
    reopen();
    struct cat_identity got;
    ck_ok(cat_identity_bump(cat, &got, &err), err);
    reopen();
    ck_ok(cat_identity_get(cat, &got, &err), err);
    ck_assert_uint_eq(got.generation, 8);
    ck_assert_str_eq(got.cluster_name, "Test Cluster");
    ck_assert(base_uuid_equal(got.host_id, id.host_id));
}
END_TEST

START_TEST(local_state)
{
    in_memory = _i;
    reopen();
    int64_t v;
    ck_fails(cat_local_get_i64(cat, "timestamp_floor_us", &v, &err), BASE_E_NOTFOUND, err);
    ck_ok(cat_local_put_i64(cat, "timestamp_floor_us", -5, &err), err);
    reopen();
    ck_ok(cat_local_get_i64(cat, "timestamp_floor_us", &v, &err), err);
    ck_assert_int_eq(v, -5);
    ck_assert_int_eq(put("local/odd", "123"), BASE_OK);
    ck_fails(cat_local_get_i64(cat, "odd", &v, &err), BASE_E_CORRUPT, err);
}
END_TEST

/* The log. */

static struct cat_log_keep keep; /* all */

/* Apply "create keyspace kN" and append it. Takes the schema over. */
static struct base_schema *append_keyspace(struct base_schema *schema, unsigned n)
{
    char name[16];
    snprintf(name, sizeof name, "k%u", n);
    struct base_change c = make_create_keyspace(&arena, schema, base_arena_strdup(&arena, S(name)));
    schema = make_applied(schema, &c);
    struct base_buf bytes;
    base_buf_init(&bytes, 1 << 20);
    ck_assert_int_eq(base_change_encode(&c, &bytes), BASE_OK);
    ck_ok(cat_log_append(cat, schema->epoch, base_buf_view(&bytes), schema, S(""), &keep, &err),
          err);
    base_buf_fini(&bytes);
    return schema;
}

/* The log from 1 leads to the schema that is stored; returns its epoch. */
static uint64_t check_log(void)
{
    struct base_schema *stored, *replayed = base_schema_new();
    struct base_buf bytes, other;
    base_buf_init(&bytes, 1 << 24);
    base_buf_init(&other, 1 << 24);
    ck_ok(cat_schema_load(cat, &stored, &err), err);
    for (uint64_t epoch = 1; epoch <= stored->epoch; epoch++) {
        struct base_change c;
        base_buf_reset(&bytes);
        ck_ok(cat_log_get(cat, epoch, &bytes, &err), err);
        ck_ok(base_change_decode(&arena, base_buf_view(&bytes), &c, &err), err);
        replayed = make_applied(replayed, &c);
    }
    ck_assert_int_eq(cat_log_get(cat, stored->epoch + 1, &bytes, &err), BASE_E_NOTFOUND);
    base_buf_reset(&bytes);
    ck_assert_int_eq(base_schema_encode(stored, &bytes), BASE_OK);
    ck_assert_int_eq(base_schema_encode(replayed, &other), BASE_OK);
    ck_assert(base_slice_equal(base_buf_view(&bytes), base_buf_view(&other)));
    uint64_t epoch = stored->epoch;
    base_buf_fini(&bytes);
    base_buf_fini(&other);
    base_schema_release(stored);
    base_schema_release(replayed);
    return epoch;
}

START_TEST(the_log_leads_to_the_schema)
{
    in_memory = _i;
    reopen();
    struct base_schema *schema;
    ck_ok(cat_schema_load(cat, &schema, &err), err);
    ck_assert_uint_eq(schema->epoch, 0);
    for (unsigned n = 0; n < 5; n++)
        schema = append_keyspace(schema, n);
    reopen();
    ck_assert_uint_eq(check_log(), 5);
    /* the epoch is taken */
    ck_fails(cat_log_append(cat, 5, S("again"), schema, S(""), &keep, &err), BASE_E_STALE, err);
    schema->epoch = 7;
    ck_fails(cat_log_append(cat, 7, S("a gap"), schema, S(""), &keep, &err), BASE_E_STALE, err);
    base_schema_release(schema);
    ck_assert_uint_eq(check_log(), 5);
}
END_TEST

/* Whatever write fails, and whether it took effect or not, the log and the schema agree
 * afterwards. */
START_TEST(a_failed_append_is_all_or_nothing)
{
    in_memory = true;
    reopen();
    struct base_schema *schema;
    ck_ok(cat_schema_load(cat, &schema, &err), err);
    schema = append_keyspace(schema, 0);
    for (int fault = MEM_CATALOG_REFUSE; fault <= MEM_CATALOG_LOSE; fault++) {
        struct base_change c = make_create_keyspace(&arena, schema, fault ? "lost" : "refused");
        struct base_schema *after;
        ck_ok(base_schema_apply(schema, &c, &after, &err), err);
        struct base_buf bytes;
        base_buf_init(&bytes, 1 << 20);
        ck_assert_int_eq(base_change_encode(&c, &bytes), BASE_OK);
        mem_catalog_fail_at(store, 0, (enum mem_catalog_fault)fault, BASE_E_IO);
        ck_fails(
            cat_log_append(cat, after->epoch, base_buf_view(&bytes), after, S(""), &keep, &err),
            BASE_E_IO, err);
        ck_assert(mem_catalog_was_hit(store));
        base_buf_fini(&bytes);
        base_schema_release(after);
        reopen();
        ck_assert_uint_eq(check_log(), fault == MEM_CATALOG_REFUSE ? 1 : 2);
    }
    base_schema_release(schema);
}
END_TEST

static uint64_t first_kept(void)
{
    uint64_t first;
    ck_ok(cat_log_first(cat, &first, &err), err);
    return first;
}

/* Exactly the entries from `first` to `last` can be read. */
static void check_kept(uint64_t first, uint64_t last)
{
    struct base_buf bytes;
    base_buf_init(&bytes, 1 << 20);
    ck_assert_uint_eq(first_kept(), first);
    for (uint64_t epoch = 1; epoch <= last + 1; epoch++) {
        int rc = cat_log_get(cat, epoch, &bytes, &err);
        ck_assert_int_eq(rc, epoch >= first && epoch <= last ? BASE_OK : BASE_E_NOTFOUND);
    }
    base_buf_fini(&bytes);
}

START_TEST(the_log_is_cut)
{
    in_memory = _i;
    reopen();
    struct base_schema *schema;
    ck_ok(cat_schema_load(cat, &schema, &err), err);
    ck_assert_uint_eq(first_kept(), 1);
    keep = (struct cat_log_keep){.entries = 3, .bytes = 1 << 20, .state_bytes_max = 1 << 20};
    for (unsigned n = 0; n < 10; n++) {
        schema = append_keyspace(schema, n);
        check_kept(n < 3 ? 1 : n - 1, n + 1);
    }
    reopen();
    check_kept(8, 10);
    keep.bytes = 1; /* the last one is kept, however large */
    schema = append_keyspace(schema, 10);
    check_kept(11, 11);
    keep.bytes = 1 << 20;
    keep.state_bytes_max = 16; /* what nobody could be given in its place is not cut */
    for (unsigned n = 11; n < 16; n++)
        schema = append_keyspace(schema, n);
    check_kept(11, 16);
    keep.state_bytes_max = 1 << 20;
    schema = append_keyspace(schema, 16);
    check_kept(15, 17);
    /* as a version left it that kept all and counted nothing: it is counted, and cut */
    struct cat_pair without = {.key = S("log_kept")};
    ck_ok(cat->ops->write(cat, &without, 1, &err), err);
    reopen();
    schema = append_keyspace(schema, 17);
    check_kept(16, 18);
    base_schema_release(schema);
}
END_TEST

/* Another one's schema at a later epoch. */
static struct base_schema *make_later(uint64_t epoch)
{
    struct base_schema *schema = base_schema_new();
    while (schema->epoch < epoch) {
        char name[24];
        snprintf(name, sizeof name, "o%u", (unsigned)schema->epoch);
        struct base_change c =
            make_create_keyspace(&arena, schema, base_arena_strdup(&arena, S(name)));
        schema = make_applied(schema, &c);
    }
    return schema;
}

START_TEST(the_state_of_others_takes_the_logs_place)
{
    in_memory = _i;
    reopen();
    struct base_schema *schema, *later = make_later(40), *loaded;
    ck_ok(cat_schema_load(cat, &schema, &err), err);
    for (unsigned n = 0; n < 5; n++)
        schema = append_keyspace(schema, n);
    ck_ok(cat_log_install(cat, later, S("a ring"), "note", S("to do"), &err), err);
    base_schema_release(schema);
    reopen();
    check_kept(41, 40);
    check_get("local/note", "to do");
    check_get("ring", "a ring");
    ck_ok(cat_schema_load(cat, &loaded, &err), err);
    ck_assert_uint_eq(loaded->epoch, 40);
    ck_assert_uint_eq(loaded->keyspace_count, later->keyspace_count);
    base_schema_release(loaded);
    /* never back, nor over what is there */
    ck_fails(cat_log_install(cat, later, S("a ring"), "note", S(""), &err), BASE_E_STALE, err);
    keep = (struct cat_log_keep){.entries = 3, .bytes = 1 << 20, .state_bytes_max = 1 << 20};
    for (unsigned n = 0; n < 5; n++) {
        later = append_keyspace(later, n);
        check_kept(n < 3 ? 41 : 39 + n, 41 + n);
    }
    /* in the place of nothing at all, as in a new node; no value: the name is not there */
    forget_all();
    ck_ok(cat_log_install(cat, later, S("a ring"), "note", (struct base_slice){0}, &err), err);
    check_kept(46, 45);
    struct base_buf none;
    base_buf_init(&none, 64);
    ck_fails(cat_local_get(cat, "note", &none, &err), BASE_E_NOTFOUND, err);
    base_schema_release(later);
}
END_TEST

START_TEST(a_failed_install_is_all_or_nothing)
{
    for (int fault = MEM_CATALOG_REFUSE; fault <= MEM_CATALOG_LOSE; fault++) {
        forget_all();
        struct base_schema *schema, *later = make_later(9), *loaded;
        ck_ok(cat_schema_load(cat, &schema, &err), err);
        schema = append_keyspace(schema, 0);
        mem_catalog_fail_at(store, 0, (enum mem_catalog_fault)fault, BASE_E_IO);
        ck_fails(cat_log_install(cat, later, S("r"), "note", S("x"), &err), BASE_E_IO, err);
        reopen();
        bool was = fault == MEM_CATALOG_LOSE;
        check_kept(was ? 10 : 1, was ? 9 : 1);
        ck_ok(cat_schema_load(cat, &loaded, &err), err);
        ck_assert_uint_eq(loaded->epoch, was ? 9 : 1);
        base_schema_release(loaded);
        base_schema_release(later);
        base_schema_release(schema);
    }
}
END_TEST

/* LMDB only. */

START_TEST(the_map_grows)
{
    reopen();
    char key[16];
    char *value = malloc(20001);
    memset(value, 'v', 20000);
    value[20000] = 0;
    for (int i = 0; i < 50; i++) { /* a megabyte into a map of 64 KiB */
        snprintf(key, sizeof key, "k%02d", i);
        ck_assert_msg(put(key, value) == BASE_OK, "%s", err.text);
    }
    reopen();
    for (int i = 0; i < 50; i++) {
        snprintf(key, sizeof key, "k%02d", i);
        check_get(key, value);
    }
    free(value);
}
END_TEST

START_TEST(a_full_map_refuses_and_goes_on)
{
    ck_ok(cati_open_lmdb(dir, SMALL_MAP, 2 * SMALL_MAP, &cat, &err), err);
    char *value = malloc(40001);
    memset(value, 'v', 40000);
    value[40000] = 0;
    ck_assert_int_eq(put("kept", "small"), BASE_OK);
    int rc = BASE_OK;
    char key[16];
    for (int i = 0; i < 10 && rc == BASE_OK; i++) {
        snprintf(key, sizeof key, "k%02d", i);
        rc = put(key, value);
    }
    ck_assert_int_eq(rc, BASE_E_NOSPACE);
    check_get("kept", "small");
    ck_assert_int_eq(put("kept", "still"), BASE_OK);
    free(value);
}
END_TEST

struct worker {
    pthread_t thread;
    int number, failures;
};

static void *write_and_read(void *arg)
{
    struct worker *w = arg;
    char key[32];
    char value[4001];
    memset(value, 'a' + w->number, 4000);
    value[4000] = 0;
    for (int i = 0; i < 30; i++) {
        snprintf(key, sizeof key, "t%d/%d", w->number, i);
        struct cat_pair pair = {.key = S(key), .value = S(value)};
        struct base_buf out;
        base_buf_init(&out, 1 << 20);
        if (cat->ops->write(cat, &pair, 1, NULL) != BASE_OK ||
            cat->ops->get(cat, S(key), &out, NULL) != BASE_OK ||
            !base_slice_equal(base_buf_view(&out), S(value)))
            w->failures++;
        base_buf_fini(&out);
    }
    return NULL;
}

START_TEST(threads_write_read_and_grow_together)
{
    reopen();
    struct worker workers[6] = {{0}};
    for (int i = 0; i < 6; i++) {
        workers[i].number = i;
        ck_assert_int_eq(pthread_create(&workers[i].thread, NULL, write_and_read, &workers[i]), 0);
    }
    for (int i = 0; i < 6; i++) {
        pthread_join(workers[i].thread, NULL);
        ck_assert_int_eq(workers[i].failures, 0);
    }
}
END_TEST

static int open_data(void)
{
    char path[128];
    snprintf(path, sizeof path, "%s/data.mdb", dir);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    return fd;
}

/* Where `needle` is in the data file; every copy is flipped by the caller (old pages keep some). */
static size_t find_all(int fd, struct base_slice needle, off_t *out, size_t max)
{
    struct stat st;
    ck_assert_int_eq(fstat(fd, &st), 0);
    uint8_t *all = malloc((size_t)st.st_size);
    ck_assert_int_eq(pread(fd, all, (size_t)st.st_size, 0), st.st_size);
    size_t n = 0;
    for (off_t i = 0; i + (off_t)needle.len <= st.st_size && n < max; i++)
        if (memcmp(all + i, needle.data, needle.len) == 0)
            out[n++] = i;
    free(all);
    return n;
}

static void flip(int fd, off_t at, uint8_t mask)
{
    uint8_t b;
    ck_assert_int_eq(pread(fd, &b, 1, at), 1);
    b ^= mask;
    ck_assert_int_eq(pwrite(fd, &b, 1, at), 1);
}

START_TEST(a_flipped_bit_in_a_stored_value_names_its_key)
{
    reopen();
    static const char value[] = "the quick brown fox jumps over the lazy dog";
    ck_assert_int_eq(put("victim", value), BASE_OK);
    ck_assert_int_eq(put("bystander", "well"), BASE_OK);
    cat_close(cat);
    cat = NULL;
    int fd = open_data();
    off_t at[8];
    size_t n = find_all(fd, S(value), at, 8);
    ck_assert_uint_ge(n, 1);
    for (int i = -8; i < (int)sizeof value - 1; i++) { /* the checksum's bytes too */
        uint8_t mask = (uint8_t)(1u << (i & 7));
        for (size_t k = 0; k < n; k++)
            flip(fd, at[k] + i, mask);
        reopen();
        ck_assert_int_eq(get_code("victim"), BASE_E_CORRUPT);
        ck_assert_ptr_nonnull(strstr(err.text, "victim"));
        struct base_buf out;
        base_buf_init(&out, 4096);
        ck_fails(cat->ops->scan(cat, S("victim"), gather, &out, &err), BASE_E_CORRUPT, err);
        base_buf_fini(&out);
        check_get("bystander", "well");
        cat_close(cat);
        cat = NULL;
        for (size_t k = 0; k < n; k++)
            flip(fd, at[k] + i, mask);
    }
    close(fd);
}
END_TEST

START_TEST(damage_to_schema_log_and_identity_is_named)
{
    reopen();
    struct base_schema *schema;
    ck_ok(cat_schema_load(cat, &schema, &err), err);
    schema = append_keyspace(schema, 4711);
    base_schema_release(schema);
    struct cat_identity id = {.cluster_name = "Quite A Name"};
    ck_ok(cat_identity_put(cat, &id, &err), err);
    cat_close(cat);
    cat = NULL;
    int fd = open_data();
    off_t at[16];
    size_t n = find_all(fd, S("k4711"), at, 16);
    ck_assert_uint_ge(n, 2); /* in the log and in the schema */
    n += find_all(fd, S("Quite A Name"), at + n, 16 - n);
    for (size_t k = 0; k < n; k++)
        flip(fd, at[k], 0x01);
    close(fd);
    reopen();
    struct base_buf out;
    base_buf_init(&out, 4096);
    ck_fails(cat_log_get(cat, 1, &out, &err), BASE_E_CORRUPT, err);
    ck_assert_ptr_nonnull(strstr(err.text, "log/1"));
    ck_fails(cat_schema_load(cat, &schema, &err), BASE_E_CORRUPT, err);
    ck_assert_ptr_nonnull(strstr(err.text, "key schema"));
    ck_fails(cat_identity_get(cat, &id, &err), BASE_E_CORRUPT, err);
    ck_assert_ptr_nonnull(strstr(err.text, "key identity"));
    base_buf_fini(&out);
}
END_TEST

/* A file cut at every page: an error or what was committed, never a signal (Check would report
 * it). */
START_TEST(a_shortened_file_is_an_error_not_a_signal)
{
    reopen();
    char key[16];
    for (int i = 0; i < 60; i++) {
        snprintf(key, sizeof key, "k%02d", i);
        ck_assert_int_eq(put(key, "some value that takes a little room on its page"), BASE_OK);
    }
    cat_close(cat);
    cat = NULL;
    int fd = open_data();
    struct stat st;
    ck_assert_int_eq(fstat(fd, &st), 0);
    uint8_t *all = malloc((size_t)st.st_size);
    ck_assert_int_eq(pread(fd, all, (size_t)st.st_size, 0), st.st_size);
    for (off_t size = st.st_size - 4096; size > 0; size -= 4096) {
        ck_assert_int_eq(ftruncate(fd, size), 0);
        if (cati_open_lmdb(dir, SMALL_MAP, 1 << 30, &cat, &err) == BASE_OK)
            (void)get_code("k42");
        cat_close(cat);
        cat = NULL;
        ck_assert_int_eq(pwrite(fd, all, (size_t)st.st_size, 0), st.st_size);
    }
    free(all);
    close(fd);
    reopen();
    check_get("k42", "some value that takes a little room on its page");
}
END_TEST

START_TEST(a_strangers_or_newer_directory_is_refused)
{
    reopen();
    uint8_t version[4];
    base_put_le32(version, 2);
    ck_ok(cat->ops->write(cat,
                          &(struct cat_pair){.key = S("format"), .value = base_slice(version, 4)},
                          1, &err),
          err);
    cat_close(cat);
    cat = NULL;
    ck_fails(cat_open_lmdb(dir, &cat, &err), BASE_E_VERSION, err);
    ck_assert_ptr_null(cat);
    int fd = open_data();
    ck_assert_int_eq(ftruncate(fd, 0), 0);
    ck_assert_int_eq(pwrite(fd, "not a database at all, only text", 32, 0), 32);
    close(fd);
    ck_assert_int_ne(cat_open_lmdb(dir, &cat, &err), BASE_OK);
    ck_assert_ptr_null(cat);
}
END_TEST

START_TEST(files_are_private)
{
    reopen();
    struct stat st;
    char path[128];
    ck_assert_int_eq(stat(dir, &st), 0);
    ck_assert_uint_eq(st.st_mode & 0777, 0700);
    snprintf(path, sizeof path, "%s/data.mdb", dir);
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_uint_eq(st.st_mode & 077, 0);
}
END_TEST

/* A child appends and reports each epoch after it is durable; it is killed at some moment. What it
 * reported is there, at most one more, and the log leads to the schema. */
START_TEST(sigkill_loses_nothing_acknowledged)
{
    uint64_t acknowledged = 0;
    for (int round = 0; round < 6; round++) {
        int fds[2];
        ck_assert_int_eq(pipe(fds), 0);
        pid_t child = fork();
        ck_assert_int_ge(child, 0);
        if (child == 0) {
            close(fds[0]);
            struct base_schema *schema;
            if (cati_open_lmdb(dir, SMALL_MAP, 1 << 30, &cat, &err) != BASE_OK ||
                cat_schema_load(cat, &schema, &err) != BASE_OK)
                _exit(1);
            for (;;) {
                schema = append_keyspace(schema, (unsigned)schema->epoch);
                if (write(fds[1], &schema->epoch, sizeof schema->epoch) != sizeof schema->epoch)
                    _exit(2);
            }
        }
        close(fds[1]);
        uint64_t epoch;
        for (int i = 0; i < 3 + round && read(fds[0], &epoch, sizeof epoch) == sizeof epoch; i++)
            acknowledged = epoch;
        usleep((useconds_t)(round * 137));
        kill(child, SIGKILL);
        while (read(fds[0], &epoch, sizeof epoch) == sizeof epoch)
            acknowledged = epoch;
        close(fds[0]);
        int status;
        ck_assert_int_eq(waitpid(child, &status, 0), child);
        ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL,
                      "the child ended by itself: %x", status);
        reopen();
        uint64_t last = check_log();
        ck_assert_uint_ge(last, acknowledged);
        ck_assert_uint_le(last, acknowledged + 1);
        cat_close(cat);
        cat = NULL;
    }
    ck_assert_uint_gt(acknowledged, 6);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("catalog");
    TCase *tc = tcase_create("catalog");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, the_port_keeps_pairs, 0, 2);
    tcase_add_loop_test(tc, identity_is_kept_and_starts_are_counted, 0, 2);
    tcase_add_loop_test(tc, local_state, 0, 2);
    tcase_add_loop_test(tc, the_log_leads_to_the_schema, 0, 2);
    tcase_add_test(tc, a_failed_append_is_all_or_nothing);
    tcase_add_loop_test(tc, the_log_is_cut, 0, 2);
    tcase_add_loop_test(tc, the_state_of_others_takes_the_logs_place, 0, 2);
    tcase_add_test(tc, a_failed_install_is_all_or_nothing);
    tcase_add_test(tc, the_map_grows);
    tcase_add_test(tc, a_full_map_refuses_and_goes_on);
    tcase_add_test(tc, threads_write_read_and_grow_together);
    tcase_add_test(tc, a_flipped_bit_in_a_stored_value_names_its_key);
    tcase_add_test(tc, damage_to_schema_log_and_identity_is_named);
    tcase_add_test(tc, a_shortened_file_is_an_error_not_a_signal);
    tcase_add_test(tc, a_strangers_or_newer_directory_is_refused);
    tcase_add_test(tc, files_are_private);
    tcase_add_test(tc, sigkill_loses_nothing_acknowledged);
    suite_add_tcase(suite, tc);
    return ck_main(suite);
}
