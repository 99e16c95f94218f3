/* See node_fixture.h. */
#include "tests/unit/node/node_fixture.h"

#include <arpa/inet.h>
#include <sys/socket.h>

struct fixture fixture;

static bool is_free(int host, int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK + (uint32_t)host)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on); /* as nodes do */
    bool ok = bind(fd, (struct sockaddr *)&address, sizeof address) == 0;
    close(fd);
    return ok;
}

int fixture_port(void)
{
    static pid_t owner;
    static int port;
    if (owner != getpid()) {
        owner = getpid();
        port = 17000 + (int)(owner % 3000); /* tests/proc has the numbers above */
        while (!is_free(0, port) || !is_free(1, port) || !is_free(2, port) || !is_free(3, port))
            port = port == 19999 ? 17000 : port + 1;
    }
    return port;
}

void fixture_make_dir(void)
{
    memset(&fixture, 0, sizeof fixture);
    snprintf(fixture.dir, sizeof fixture.dir, "/tmp/ringlet-node-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(fixture.dir));
}

void fixture_remove_dir(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", fixture.dir);
    ck_assert_int_eq(system(command), 0);
}

void fixture_open(void)
{
    struct node_option options[] = {FIXTURE_PATIENCE};
    struct node_config config = {
        .dir = fixture.dir, .options = options, .option_count = BASE_COUNT(options)};
    OK(node_open(&config, &fixture.node, &fixture.err));
    OK(node_session_new(fixture.node, &fixture.session, &fixture.err));
}

void fixture_close(void)
{
    node_read_free(fixture.read);
    fixture.read = NULL;
    if (fixture.schema)
        base_schema_release(fixture.schema);
    fixture.schema = NULL;
    fixture.table = NULL;
    node_session_free(fixture.session);
    node_release(fixture.node);
    fixture.session = NULL;
    fixture.node = NULL;
}

int fixture_try_cql(const char *text)
{
    struct base_buf result;
    base_buf_init(&result, 4096);
    int rc = node_cql(fixture.session, base_slice_str(text), &result, &fixture.err);
    base_buf_fini(&result);
    return rc;
}

const char *fixture_cql(const char *text)
{
    static char copy[4096];
    struct base_buf result;
    base_buf_init(&result, sizeof copy - 1);
    int rc = node_cql(fixture.session, base_slice_str(text), &result, &fixture.err);
    ck_assert_msg(rc == 0, "%s: %s", text, fixture.err.text);
    snprintf(copy, sizeof copy, "%.*s", BASE_SLICE_ARG(base_buf_view(&result)));
    base_buf_fini(&result);
    return copy;
}

void fixture_find_table(void)
{
    if (fixture.schema)
        base_schema_release(fixture.schema);
    fixture.schema = node_schema(fixture.node);
    fixture.table =
        base_schema_table(fixture.schema, BASE_SLICE_LIT("lab"), BASE_SLICE_LIT("readings"));
}

void fixture_setup(void)
{
    fixture_make_dir();
    fixture_open();
    fixture_cql("CREATE KEYSPACE lab WITH replication = {'class': 'SimpleStrategy', "
                "'replication_factor': 1}");
    fixture_cql(
        "CREATE TABLE lab.readings (sensor text, ts int, celsius int, PRIMARY KEY (sensor, ts))");
    fixture_find_table();
    ck_assert_ptr_nonnull(fixture.table);
}

void fixture_teardown(void)
{
    fixture_close();
    fixture_remove_dir();
}

static struct base_slice be32(uint8_t out[4], int value)
{
    base_put_be32(out, (uint32_t)value);
    return base_slice(out, 4);
}

static void put_keys(const char *sensor, int ts, struct base_buf *pkey, struct base_buf *ckey)
{
    struct base_buf pk;
    struct base_slice value = base_slice_str(sensor);
    uint8_t bytes[4];
    bool exact = true;
    base_buf_init(&pk, BASE_PK_LEN_MAX);
    base_buf_init(pkey, BASE_PKEY_LEN_MAX);
    base_buf_init(ckey, BASE_CKEY_LEN_MAX);
    OK(base_pk_compose(&value, 1, &pk, &fixture.err));
    OK(base_pkey_put(base_buf_view(&pk), pkey));
    OK(base_ckey_put(base_type_scalar(BASE_TYPE_INT), false, be32(bytes, ts), ckey, &exact,
                     &fixture.err));
    OK(base_ckey_end(BASE_KEY_AT, ckey));
    base_buf_fini(&pk);
}

int fixture_write(struct node_session *session, const char *sensor, int ts, int celsius)
{
    struct base_buf pkey, ckey, row, mutation;
    struct base_row_builder builder;
    struct base_err err = {0};
    struct node *node = node_session_node(session);
    uint8_t bytes[4];
    int64_t now = node_timestamp(node);
    put_keys(sensor, ts, &pkey, &ckey);
    base_buf_init(&row, 1 << 20);
    base_buf_init(&mutation, 1 << 20);
    const struct base_column *column = base_table_column(fixture.table, BASE_SLICE_LIT("celsius"));
    OK(base_row_begin(&builder, &row, now));
    if (celsius >= 0) {
        OK(base_row_put_liveness(&builder, 0, 0));
        OK(base_row_put_value(&builder, column->id, be32(bytes, celsius)));
    } else {
        OK(base_row_put_deletion(&builder, (struct base_deletion){now, node_now_s(node)}));
    }
    base_row_end(&builder);
    OK(base_mutation_put_row(&mutation, fixture.table->id, base_buf_view(&pkey),
                             base_buf_view(&ckey), base_buf_view(&row)));
    int rc =
        node_write(session, fixture.table, base_buf_view(&mutation), 1, NODE_CL_LOCAL_QUORUM, &err);
    if (rc != BASE_OK)
        fixture.err = err;
    base_buf_fini(&pkey);
    base_buf_fini(&ckey);
    base_buf_fini(&row);
    base_buf_fini(&mutation);
    return rc;
}

void fixture_delete_range(struct node_session *session, const char *sensor, int from, int upto)
{
    struct base_buf pkey, unused, lo, hi, mutation;
    struct node *node = node_session_node(session);
    put_keys(sensor, from, &pkey, &lo);
    put_keys(sensor, upto, &unused, &hi);
    lo.data[lo.len - 1] = BASE_KEY_BEFORE;
    hi.data[hi.len - 1] = BASE_KEY_AFTER;
    base_buf_init(&mutation, 1 << 20);
    struct base_range_deletion range = {
        base_buf_view(&lo), base_buf_view(&hi), {node_timestamp(node), node_now_s(node)}};
    OK(base_mutation_put(&mutation, fixture.table->id, base_buf_view(&pkey), BASE_DELETION_NONE,
                         (struct base_slice){0}, &range, 1, NULL, 0));
    OK(node_write(session, fixture.table, base_buf_view(&mutation), 1, NODE_CL_ONE, &fixture.err));
    base_buf_fini(&pkey);
    base_buf_fini(&unused);
    base_buf_fini(&lo);
    base_buf_fini(&hi);
    base_buf_fini(&mutation);
}

void fixture_delete_partition(struct node_session *session, const char *sensor)
{
    struct base_buf pkey, ckey, mutation;
    struct node *node = node_session_node(session);
    put_keys(sensor, 0, &pkey, &ckey);
    base_buf_init(&mutation, 1 << 20);
    struct base_deletion deletion = {node_timestamp(node), node_now_s(node)};
    OK(base_mutation_put(&mutation, fixture.table->id, base_buf_view(&pkey), deletion,
                         (struct base_slice){0}, NULL, 0, NULL, 0));
    OK(node_write(session, fixture.table, base_buf_view(&mutation), 1, NODE_CL_ONE, &fixture.err));
    base_buf_fini(&pkey);
    base_buf_fini(&ckey);
    base_buf_fini(&mutation);
}

static int celsius_of(struct base_slice encoded)
{
    struct base_row row;
    struct base_cell cell;
    ck_assert(base_row_decode(encoded, &row));
    struct base_cells cells = base_cells_begin(&row);
    while (base_cells_next(&cells, &cell) > 0)
        if (cell.value.len == 4)
            return (int)base_get_be32(cell.value.data);
    return -1;
}

int fixture_get(struct node_session *session, const char *sensor, int ts)
{
    struct base_buf pkey, ckey;
    struct base_read cmd = BASE_READ_INIT;
    struct base_live_row row;
    struct node_read *read = NULL;
    put_keys(sensor, ts, &pkey, &ckey);
    struct base_range range = {base_buf_view(&ckey), base_buf_view(&ckey)};
    cmd.table_id = fixture.table->id;
    cmd.pkey = base_buf_view(&pkey);
    cmd.slices = (struct base_slices){&range, 1};
    OK(node_read_open(session, fixture.table, &cmd, NODE_CL_LOCAL_QUORUM, &read, &fixture.err));
    OK(node_read_next(read, &row, &fixture.err));
    int celsius = row.pkey.len ? celsius_of(row.row) : -1;
    node_read_free(read);
    base_buf_fini(&pkey);
    base_buf_fini(&ckey);
    return celsius;
}

int fixture_count(struct node_session *session)
{
    struct base_read cmd = BASE_READ_INIT;
    struct base_live_row row;
    struct node_read *read = NULL;
    int n = 0;
    cmd.table_id = fixture.table->id;
    cmd.slices = base_slices_all;
    OK(node_read_open(session, fixture.table, &cmd, NODE_CL_LOCAL_QUORUM, &read, &fixture.err));
    for (;;) {
        OK(node_read_next(read, &row, &fixture.err));
        if (!row.pkey.len)
            break;
        n++;
    }
    node_read_free(read);
    return n;
}
