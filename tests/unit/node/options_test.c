/* Options. Without these tests a mistyped option would be taken in silence, or 64MB would mean
 * something else than what its author thought. */
#include <check.h>
#include <stdio.h>
#include <unistd.h>

#include "node/node_private.h"

static struct nodei_settings settings;
static struct base_err err;

static void setup(void)
{
    nodei_settings_init(&settings);
}

static void refused(const char *name, const char *value, const char *text)
{
    struct nodei_settings before = settings;
    ck_assert_int_eq(nodei_settings_set(&settings, name, value, &err), BASE_E_CONFIG);
    ck_assert_msg(strstr(err.text, text) != NULL, "\"%s\" does not say \"%s\"", err.text, text);
    ck_assert_mem_eq(&before, &settings, sizeof before);
}

START_TEST(defaults)
{
    ck_assert_str_eq(settings.cluster_name, "Test Cluster");
    ck_assert_uint_eq(settings.memtable_space, 64u << 20);
    /* or an eighth of the machine's memory */
    ck_assert_uint_le(settings.file_cache_size, 512u << 20);
    ck_assert_uint_ge(settings.file_cache_size, 8u << 20);
    ck_assert_uint_eq(settings.commitlog_sync, LSM_SYNC_PERIODIC);
    ck_assert_uint_eq(settings.commitlog_sync_period_ns, 10000000);
    ck_assert_uint_eq(settings.transaction_size_max, 64u << 20);
    ck_assert_uint_eq(settings.compaction_throughput, 64u << 20);
    ck_assert_uint_eq(settings.num_tokens, 16);
    ck_assert_uint_eq(settings.storage_port, 7000);
}
END_TEST

START_TEST(values_have_units)
{
    ck_assert_int_eq(nodei_settings_set(&settings, "memtable_space", "3GiB", &err), 0);
    ck_assert_uint_eq(settings.memtable_space, 3ull << 30);
    ck_assert_int_eq(nodei_settings_set(&settings, "memtable_heap_space", "2048 KiB", &err), 0);
    ck_assert_uint_eq(settings.memtable_space, 2u << 20);
    ck_assert_int_eq(nodei_settings_set(&settings, "commitlog_sync_period", "2s", &err), 0);
    ck_assert_uint_eq(settings.commitlog_sync_period_ns, 2000000000);
    ck_assert_int_eq(nodei_settings_set(&settings, "commitlog_sync", "Batch", &err), 0);
    ck_assert_uint_eq(settings.commitlog_sync, LSM_SYNC_BATCH);
    ck_assert_int_eq(nodei_settings_set(&settings, "compaction_throughput", "0MiB/s", &err), 0);
    ck_assert_uint_eq(settings.compaction_throughput, 0);
    ck_assert_int_eq(nodei_settings_set(&settings, "compaction_throughput", "1KiB/s", &err), 0);
    ck_assert_int_eq(nodei_settings_set(&settings, "compaction_throughput", "0", &err), 0);
    ck_assert_uint_eq(settings.compaction_throughput, 0);
    ck_assert_int_eq(nodei_settings_set(&settings, "cluster_name", "it's ours", &err), 0);
    ck_assert_str_eq(settings.cluster_name, "it's ours");
}
END_TEST

START_TEST(what_does_not_fit_is_refused)
{
    refused("memtable_space", "64MB", "like 64MiB");
    refused("memtable_space", "64", "like 64MiB");
    refused("memtable_space", "", "like 64MiB");
    refused("memtable_space", "-1MiB", "like 64MiB");
    refused("memtable_space", "1.5GiB", "like 64MiB");
    refused("memtable_space", "99999999999999999999TiB", "like 64MiB");
    refused("memtable_space", "20000000TiB", "like 64MiB");
    refused("memtable_space", "0", "from 1MiB to 1TiB");
    refused("memtable_space", "1B", "from 1MiB to 1TiB");
    refused("compaction_throughput", "64MiB", "like 64MiB/s");
    refused("commitlog_sync_period", "10", "like 10ms");
    refused("commitlog_sync", "sometimes", "periodic, batch");
    refused("storage_port", "0", "from 1 to 65535");
    refused("storage_port", "70000", "from 1 to 65535");
    refused("storage_port", "7000x", "a whole number");
    refused("cluster_name", "", "is empty");
    char longer[300];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = 0;
    refused("cluster_name", longer, "longer than 127");
    refused(longer, "1", "no option");
}
END_TEST

START_TEST(unknown_names_get_the_nearest)
{
    refused("memtable_spase", "64MiB", "the nearest is memtable_space");
    refused("commit_log_sync", "batch", "the nearest is commitlog_sync");
    refused("memtable_heap_spcae", "64MiB", "the nearest is memtable_heap_space");
    refused("zzz", "1", "no option \"zzz\"");
    ck_assert_ptr_null(strstr(err.text, "nearest"));
}
END_TEST

struct seen {
    int count;
    char text[4096];
};
static int remember(void *ctx, const char *name, const char *value)
{
    struct seen *seen = ctx;
    size_t at = strlen(seen->text);
    snprintf(seen->text + at, sizeof seen->text - at, "%s=%s;", name, value);
    seen->count++;
    return 0;
}

/* What is printed parses to the same. */
START_TEST(printing_round_trips)
{
    ck_assert_int_eq(nodei_settings_set(&settings, "memtable_space", "1537KiB", &err), 0);
    ck_assert_int_eq(nodei_settings_set(&settings, "commitlog_sync_period", "90s", &err), 0);
    ck_assert_int_eq(nodei_settings_set(&settings, "compaction_throughput", "0MiB/s", &err), 0);
    struct seen seen = {0};
    ck_assert_int_eq(nodei_settings_each(&settings, remember, &seen), 0);
    ck_assert_ptr_nonnull(strstr(seen.text, "memtable_heap_space=1537KiB;"));
    ck_assert_ptr_nonnull(strstr(seen.text, "commitlog_sync_period=90s;"));
    ck_assert_ptr_nonnull(strstr(seen.text, "compaction_throughput=0MiB/s;"));
    struct nodei_settings again;
    nodei_settings_init(&again);
    for (char *at = strtok(seen.text, ";"); at; at = strtok(NULL, ";")) {
        char *equals = strchr(at, '=');
        *equals = 0;
        ck_assert_msg(nodei_settings_set(&again, at, equals + 1, &err) == 0, "%s", err.text);
    }
    ck_assert_mem_eq(&again, &settings, sizeof again);
    ck_assert_int_eq(nodei_settings_agree(&settings, &again, &err), 0);
    ck_assert_int_eq(nodei_settings_set(&again, "num_tokens", "4", &err), 0);
    ck_assert_int_eq(nodei_settings_agree(&settings, &again, &err), BASE_E_CONFIG);
    ck_assert_ptr_nonnull(strstr(err.text, "num_tokens = 16, not 4"));
}
END_TEST

static char path[64];

static int load(const char *text)
{
    snprintf(path, sizeof path, "/tmp/ringlet-options-%ld.yaml", (long)getpid());
    FILE *f = fopen(path, "w");
    ck_assert_ptr_nonnull(f);
    fputs(text, f);
    fclose(f);
    int rc = nodei_settings_load(&settings, path, &err);
    unlink(path);
    return rc;
}

START_TEST(yaml)
{
    ck_assert_int_eq(
        load("# mine\ncluster_name: 'Lab 1'\nmemtable_space: 8MiB\nstorage_port: 7100\n"), 0);
    ck_assert_str_eq(settings.cluster_name, "Lab 1");
    ck_assert_uint_eq(settings.memtable_space, 8u << 20);
    ck_assert_uint_eq(settings.storage_port, 7100);
    ck_assert_int_eq(load(""), 0);
    ck_assert_int_eq(load("# nothing\n"), 0);
    ck_assert_int_eq(load("---\n"), 0);
    ck_assert_int_eq(nodei_settings_load(&settings, "/nonexistent/x.yaml", &err), BASE_E_NOTFOUND);
}
END_TEST

/* cassandra.yaml's own shapes. */
START_TEST(yaml_groups)
{
    ck_assert_msg(load("seed_provider:\n"
                       "  - class_name: org.apache.cassandra.locator.SimpleSeedProvider\n"
                       "    parameters:\n"
                       "      - seeds: \"127.0.0.1:7000,127.0.0.2\"\n"
                       "endpoint_snitch: SimpleSnitch\n"
                       "server_encryption_options:\n"
                       "  internode_encryption: all\n"
                       "  certificate: /etc/ringlet/node.pem\n"
                       "  require_client_auth: true\n"
                       "hinted_handoff_enabled: false\n"
                       "max_hint_window: 3h\n") == 0,
                  "%s", err.text);
    ck_assert_str_eq(settings.seeds, "127.0.0.1:7000,127.0.0.2");
    ck_assert_uint_eq(settings.listens, 1);
    ck_assert_uint_eq(settings.snitch, 1);
    ck_assert_uint_eq(settings.internode_encryption, 1);
    ck_assert_uint_eq(settings.internode_client_auth, 1);
    ck_assert_str_eq(settings.internode_certificate, "/etc/ringlet/node.pem");
    ck_assert_uint_eq(settings.hinted_handoff_enabled, 0);
    ck_assert_int_eq(load("num_tokens: [1, 2]\n"), BASE_E_CONFIG);
    ck_assert_ptr_nonnull(strstr(err.text, "one plain value"));
    ck_assert_int_eq(load("server_encryption_options:\n  keystore: x\n"), BASE_E_CONFIG);
    ck_assert_ptr_nonnull(strstr(err.text, "line 2"));
    ck_assert_int_eq(load("a: {b: {c: {d: {e: {f: 1}}}}}\n"), BASE_E_CONFIG);
}
END_TEST

START_TEST(listen_is_address_and_port)
{
    ck_assert_int_eq(nodei_settings_set(&settings, "listen", "127.0.0.2:7100", &err), 0);
    ck_assert_str_eq(settings.listen_address, "127.0.0.2");
    ck_assert_uint_eq(settings.storage_port, 7100);
    ck_assert_uint_eq(settings.listens, 1);
    ck_assert_int_eq(nodei_settings_set(&settings, "listen", "[::1]", &err), 0);
    ck_assert_str_eq(settings.listen_address, "::1");
    ck_assert_int_eq(nodei_settings_set(&settings, "listen", "127.0.0.1:seven", &err),
                     BASE_E_CONFIG);
    ck_assert_ptr_nonnull(strstr(err.text, "listen"));
}
END_TEST

START_TEST(yaml_errors_name_the_line)
{
    struct nodei_settings before = settings;
    ck_assert_int_eq(load("num_tokens: 8\nnum_tokenz: 8\n"), BASE_E_CONFIG);
    ck_assert_ptr_nonnull(strstr(err.text, "line 2"));
    ck_assert_ptr_nonnull(strstr(err.text, "num_tokens"));
    ck_assert_int_eq(load("num_tokens: 8\nseed_provider:\n  - class_name: x\n"), BASE_E_CONFIG);
    ck_assert_ptr_nonnull(strstr(err.text, "seed_provider"));
    ck_assert_int_eq(load("- a\n- b\n"), BASE_E_CONFIG);
    ck_assert_int_eq(load("num_tokens: [1\n"), BASE_E_CONFIG);
    ck_assert_int_eq(load("num_tokens: many\n"), BASE_E_CONFIG);
    ck_assert_ptr_nonnull(strstr(err.text, "line 1"));
    /* A file that fails changes nothing, not even by its good lines. */
    ck_assert_mem_eq(&before, &settings, sizeof before);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("node/options");
    TCase *tc = tcase_create("all");
    tcase_add_checked_fixture(tc, setup, NULL);
    tcase_add_test(tc, defaults);
    tcase_add_test(tc, values_have_units);
    tcase_add_test(tc, what_does_not_fit_is_refused);
    tcase_add_test(tc, unknown_names_get_the_nearest);
    tcase_add_test(tc, printing_round_trips);
    tcase_add_test(tc, yaml);
    tcase_add_test(tc, yaml_groups);
    tcase_add_test(tc, listen_is_address_and_port);
    tcase_add_test(tc, yaml_errors_name_the_line);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
