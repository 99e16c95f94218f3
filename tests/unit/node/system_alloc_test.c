/* Every allocation of a system table's read fails once: the answer is out of memory, nothing leaks,
 * and asked again it is whole. */
#include <sys/wait.h>
#include <unistd.h>

#include "tests/lib/alloc_fault.h"
#include "tests/lib/ck.h"
#include "tests/unit/node/system_rows.h"

/* One read to its end; *rows is how many. */
static int read_all(const char *keyspace, const char *name, size_t *count)
{
    struct base_read cmd = BASE_READ_INIT;
    struct base_rows rows = {0};
    struct base_live_row row;
    struct base_source *source;
    struct base_err err = {0};
    const struct base_schema *schema = nodei_system_schema();
    *count = 0;
    if (!schema)
        return BASE_E_NOMEM;
    const struct base_table *table =
        base_schema_table(schema, base_slice_str(keyspace), base_slice_str(name));
    cmd.table_id = table->id;
    cmd.slices = base_slices_all;
    cmd.now_s = node_now_s(fixture.node);
    int rc = nodei_system_read(fixture.node, NULL, table, &cmd, &source, &err);
    if (rc != BASE_OK) {
        ck_assert_ptr_null(source);
        ck_assert_int_eq(err.code, rc);
        return rc;
    }
    base_rows_open(&rows, &cmd, table, source);
    while ((rc = base_rows_next(&rows, &row, &err)) == BASE_OK && row.pkey.len)
        ++*count;
    base_rows_close(&rows);
    return rc;
}

static void sweep(const char *keyspace, const char *name)
{
    size_t whole, count;
    bool injected = true;
    for (uint64_t k = 0; injected; k++) {
        alloc_fault_set(k, 1);
        int rc = read_all(keyspace, name, &count);
        injected = alloc_fault_clear();
        ck_assert_msg(rc == BASE_OK || (injected && rc == BASE_E_NOMEM), "%s.%s, allocation %u: %d",
                      keyspace, name, (unsigned)k, rc);
    }
    OK(read_all(keyspace, name, &whole));
    ck_assert_uint_eq(count, whole);
    ck_assert_uint_gt(whole, 0);
}

START_TEST(every_allocation)
{
    sweep("system", "local");
    sweep("system_schema", "keyspaces");
    sweep("system_schema", "columns");
    sweep("system_schema", "types");
    sweep("system_virtual_schema", "tables");
    sweep("system_views", "settings");
    sweep("system_views", "disk_usage");
    sweep("system", "size_estimates");
}
END_TEST

/* The schema is made once a process: each failure in a process of its own. Thousands of
 * allocations: some of them. */
enum { MADE, FAILED, NOT_INJECTED, STAYS_AWAY };

static int make_in_child(uint64_t k)
{
    int status;
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        alloc_fault_set(k, 1);
        bool made = nodei_system_schema() != NULL;
        bool injected = alloc_fault_clear();
        _exit(!nodei_system_schema() ? STAYS_AWAY
              : !injected            ? NOT_INJECTED
              : made                 ? MADE
                                     : FAILED);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_msg(WIFEXITED(status), "allocation %u: killed by a signal", (unsigned)k);
    return WEXITSTATUS(status);
}

static void make_schema(void)
{
    size_t failed = 0;
    int result = FAILED;
    for (uint64_t k = 0; result != NOT_INJECTED; k += 1 + k / 20) {
        result = make_in_child(k); /* MADE: it was for a message's text, say */
        ck_assert_int_ne(result, STAYS_AWAY);
        failed += result == FAILED;
    }
    ck_assert_uint_gt(failed, 50);
}

static void setup(void)
{
    make_schema();
    fixture_setup();
    fixture_cql("CREATE TYPE lab.point (x int, y frozen<list<text>>)");
    fixture_cql("TRUNCATE lab.readings");
}

int main(void)
{
    Suite *suite = suite_create("node/system_alloc");
    TCase *tc = tcase_create("system_alloc");
    tcase_add_checked_fixture(tc, setup, fixture_teardown);
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, every_allocation);
    suite_add_tcase(suite, tc);
    return ck_main(suite);
}
