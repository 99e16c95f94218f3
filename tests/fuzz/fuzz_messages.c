/* Fuzz target: a body of any verb comes to a member from a peer (replication/). The first byte: the
 * verb; the second: 1: one-way, 2: of an older epoch. Nothing may crash, what reaches the store
 * must be sound (the simulated store checks it), what was asked must be answered or dropped, and
 * the member must still take a good write afterwards. */
#include "base/key.h"
#include "replication/wire.h"
#include "tests/lib/make_table.h"
#include "tests/sim/cluster_world.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* what some leave behind (batches, hints) is there for the next ones */
#define INPUTS_A_WORLD 64u

static struct cluster_world w;
static struct base_arena arena;
static const struct base_table *table;
static unsigned inputs;
static uint64_t next_id = UINT64_C(1) << 40;

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void begin(void)
{
    struct cluster_options o;
    struct base_err err;
    cluster_options_init(&o);
    o.nodes = 2;
    o.stores = false;
    cluster_world_init(&w, &o, NULL);
    cluster_world_form(&w);
    base_arena_init(&arena);
    struct base_schema *schema = base_schema_new();
    require(schema != NULL);
    struct base_change change = make_create_keyspace(&arena, schema, "wt");
    base_schema_release(schema);
    cluster_world_change(&w, &change);
    struct base_table *made = make_table(&arena, "wt", "rows", "p k int; c c int; r v text");
    table = made;
    change = (struct base_change){.kind = BASE_CHANGE_TABLE_CREATE,
                                  .keyspace = made->keyspace,
                                  .name = made->name,
                                  .table_new = made,
                                  .table_id = made->id};
    cluster_world_change(&w, &change);
    for (size_t i = 0; i < 2; i++)
        require(cluster_node_start(&w.nodes[i], &err));
    cluster_run(&w, 2 * CLUSTER_S);
}

static void end(void)
{
    cluster_world_fini(&w);
    base_arena_fini(&arena);
}

static void written(struct repl_write *write)
{
    *(bool *)write->ctx = true;
}

static bool is_set(struct cluster_world *world, void *ctx)
{
    (void)world;
    return *(bool *)ctx;
}

static void write_something(struct cluster_node *node)
{
    static const uint8_t pk[4] = {0, 0, 0, 1}, ckey[] = {BASE_KEY_NEXT, 0x80, 0, 0, 1, BASE_KEY_AT};
    struct base_buf pkey, row, mutation;
    struct base_row_builder b;
    bool done = false;
    base_buf_init(&pkey, 256);
    base_buf_init(&row, 256);
    base_buf_init(&mutation, 1024);
    require(base_pkey_put(base_slice(pk, 4), &pkey) == BASE_OK &&
            base_row_begin(&b, &row, 1) == BASE_OK);
    require(base_row_put_liveness(&b, 0, 0) == BASE_OK);
    base_row_end(&b);
    require(base_mutation_put_row(&mutation, table->id, base_buf_view(&pkey),
                                  base_slice(ckey, sizeof ckey), base_buf_view(&row)) == BASE_OK);
    struct repl_write write = {.mutations = base_buf_view(&mutation),
                               .mutation_count = 1,
                               .consistency = REPL_CL_ONE,
                               .done = written,
                               .ctx = &done};
    cluster_node_sync_clock(node);
    repl_write_start(node->repl, &write);
    require(cluster_run_until(&w, is_set, &done, 10 * CLUSTER_S));
    base_buf_fini(&pkey);
    base_buf_fini(&row);
    base_buf_fini(&mutation);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    if (inputs++ % INPUTS_A_WORLD == 0) {
        if (inputs > 1)
            end();
        begin();
    }
    struct cluster_node *member = &w.nodes[0], *peer = &w.nodes[1];
    uint64_t epoch = repl_epoch(peer->repl);
    struct base_message message = {
        .verb = data[0],
        .flags = data[1] & 1 ? BASE_MESSAGE_ONE_WAY : 0,
        .id = next_id++,
        .sender = peer->host_id,
        .generation = peer->generation,
        .epoch = data[1] & 2 && epoch > 0 ? epoch - 1 : epoch,
        .timeout_ms = 1000,
        .body = base_slice(data + 2, size - 2),
    };
    require(cluster_transport_ops.send(&peer->transport, member->addresses, member->host_id,
                                       REPL_LANE_POINT, &message) == BASE_OK);
    cluster_run(&w, 100 * CLUSTER_MS);
    if (inputs % 16 == 0) { /* batches are replayed, hints handed over */
        cluster_run(&w, 10 * CLUSTER_S);
        require(member->inbound_count == 0);
        write_something(member);
    }
    return 0;
}
