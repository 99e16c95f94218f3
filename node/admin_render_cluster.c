/* Answers about the cluster, with nodetool's columns. Widths follow the values, as nodetool's
 * do. */
#include <stdio.h>

#include "node/admin_render.h"

/* Status, ring. */

struct widths {
    size_t address, rack, load;
};

static size_t greater(size_t a, size_t b)
{
    return a > b ? a : b;
}

static void load_text(struct base_slice node, char *text, size_t size)
{
    nodei_size_text(nodei_number(node, "load_bytes"), text, size);
}

static struct widths widths_of(struct nodei_layout *l, struct base_slice nodes)
{
    struct widths w = {sizeof "Address" - 1, sizeof "Rack" - 1, sizeof "Load" - 1};
    struct base_json_walk node;
    base_json_walk_begin(&node, nodes);
    while (nodei_next(l, &node)) {
        char address[128], load[32];
        struct base_slice rack = base_json_member(node.value, "rack");
        nodei_address_text(base_json_member(node.value, "address"), address, sizeof address);
        load_text(node.value, load, sizeof load);
        w.address = greater(w.address, strlen(address));
        w.load = greater(w.load, strlen(load));
        w.rack = greater(w.rack, rack.len > 2 ? rack.len - 2 : 0);
    }
    return w;
}

static void owns_text(struct base_slice node, int decimals, char *text, size_t size)
{
    struct base_slice owns = base_json_member(node, "owns");
    if (owns.len == 0 || owns.data[0] == 'n')
        snprintf(text, size, "?");
    else
        snprintf(text, size, "%.*f%%", decimals, 100 * nodei_number(node, "owns"));
}

/* Calls `each` once a data centre, in the order of their first nodes. */
static void each_datacenter(struct nodei_layout *l, struct base_slice nodes, void *ctx,
                            void (*each)(struct nodei_layout *l, struct base_slice dc, void *ctx))
{
    struct base_json_walk node, before;
    base_json_walk_begin(&node, nodes);
    while (nodei_next(l, &node)) {
        struct base_slice dc = base_json_member(node.value, "datacenter");
        bool first = true;
        base_json_walk_begin(&before, nodes);
        while (first && nodei_next(l, &before) && before.value.data != node.value.data)
            first = !base_slice_equal(dc, base_json_member(before.value, "datacenter"));
        if (first)
            each(l, dc, ctx);
    }
}

static void put_title(struct nodei_layout *l, struct base_slice dc)
{
    size_t start = l->out->len;
    nodei_put(l, "Datacenter: ");
    nodei_put_scalar(l, dc);
    size_t len = l->rc == BASE_OK ? l->out->len - start : 0;
    nodei_put(l, "\n");
    for (size_t i = 0; i < len; i++)
        nodei_put(l, "=");
    nodei_put(l, "\n");
}

struct table {
    struct base_slice json, nodes;
    struct widths w;
    bool effective;
    struct base_slice *rows; /* ring: the nodes by their place */
    size_t row_count;
};

static void put_status_row(struct nodei_layout *l, const struct table *t, struct base_slice node)
{
    char address[128], load[32], owns[16];
    nodei_address_text(base_json_member(node, "address"), address, sizeof address);
    load_text(node, load, sizeof load);
    owns_text(node, 1, owns, sizeof owns);
    nodei_put_scalar(l, base_json_member(node, "code"));
    nodei_put(l, "  %-*s  %-*s  %-6.0f  %-*s  ", (int)t->w.address, address, (int)t->w.load, load,
              nodei_number(node, "tokens"), t->effective ? 16 : 6, owns);
    nodei_put_column(l, 36, base_json_member(node, "host_id"));
    nodei_put(l, "  ");
    nodei_put_scalar(l, base_json_member(node, "rack"));
    nodei_put(l, "\n");
}

static void put_status_datacenter(struct nodei_layout *l, struct base_slice dc, void *ctx)
{
    const struct table *t = ctx;
    struct base_json_walk node;
    put_title(l, dc);
    nodei_put(l,
              "Status=Up/Down\n|/ State=Normal/Leaving/Joining/Moving\n--  %-*s  %-*s  Tokens  "
              "%-*s  %-36s  Rack\n",
              (int)t->w.address, "Address", (int)t->w.load, "Load", t->effective ? 16 : 6,
              t->effective ? "Owns (effective)" : "Owns", "Host ID");
    base_json_walk_begin(&node, t->nodes);
    while (nodei_next(l, &node))
        if (base_slice_equal(base_json_member(node.value, "datacenter"), dc))
            put_status_row(l, t, node.value);
    nodei_put(l, "\n");
}

static struct table table_of(struct nodei_layout *l, struct base_slice json)
{
    struct table t = {.json = json, .nodes = base_json_member(json, "nodes")};
    if (t.nodes.len == 0 && l->rc == BASE_OK)
        l->rc = base_err_set(l->err, BASE_E_INVALID, "the answer has no nodes");
    t.w = widths_of(l, t.nodes);
    t.effective =
        base_slice_equal(base_json_member(json, "ownership"), BASE_SLICE_LIT("\"effective\""));
    return t;
}

static void put_note(struct nodei_layout *l, struct base_slice json)
{
    if (base_slice_equal(base_json_member(json, "ownership"), BASE_SLICE_LIT("\"unknown\"")))
        nodei_put(l, "Note: keyspaces are not replicated alike, so that ownership has no one "
                     "answer: name a keyspace\n");
}

static void render_status(struct nodei_layout *l, struct base_slice json)
{
    struct table t = table_of(l, json);
    each_datacenter(l, t.nodes, &t, put_status_datacenter);
    put_note(l, json);
}

static void put_ring_row(struct nodei_layout *l, const struct table *t, struct base_slice node,
                         struct base_slice token)
{
    char address[128], load[32], owns[16];
    nodei_address_text(base_json_member(node, "address"), address, sizeof address);
    load_text(node, load, sizeof load);
    owns_text(node, 2, owns, sizeof owns);
    nodei_put(l, "%-*s  ", (int)t->w.address, address);
    nodei_put_column(l, t->w.rack, base_json_member(node, "rack"));
    nodei_put(l, "  ");
    nodei_put_column(l, 6, base_json_member(node, "status"));
    nodei_put(l, "  ");
    nodei_put_column(l, 7, base_json_member(node, "state"));
    nodei_put(l, "  %-*s  %-*s  %.*s\n", (int)t->w.load, load, t->effective ? 16 : 8, owns,
              BASE_SLICE_ARG(token));
}

static void put_ring_datacenter(struct nodei_layout *l, struct base_slice dc, void *ctx)
{
    const struct table *t = ctx;
    struct base_slice ring = base_json_member(t->json, "ring"), last = {0};
    struct base_json_walk entry;
    int indent = (int)(t->w.address + t->w.rack + t->w.load) + 6 + 7 + (t->effective ? 16 : 8) + 12;
    put_title(l, dc);
    nodei_put(l, "%-*s  %-*s  Status  %-7s  %-*s  %-*s  Token\n", (int)t->w.address, "Address",
              (int)t->w.rack, "Rack", "State", (int)t->w.load, "Load", t->effective ? 16 : 8,
              t->effective ? "Owns (effective)" : "Owns");
    for (int turn = 0; turn < 2; turn++) { /* first the last token: where the first range begins */
        base_json_walk_begin(&entry, ring);
        while (ring.len && nodei_next(l, &entry)) {
            if (!base_slice_equal(base_json_member(entry.value, "datacenter"), dc))
                continue;
            if (turn == 0)
                last = base_json_member(entry.value, "token");
            double place = nodei_number(entry.value, "node");
            if (turn == 1 && place >= 0 && place < (double)t->row_count)
                put_ring_row(l, t, t->rows[(size_t)place], base_json_member(entry.value, "token"));
        }
        if (turn == 0 && last.len)
            nodei_put(l, "%*s%.*s\n", indent, "", BASE_SLICE_ARG(last));
    }
    nodei_put(l, "\n");
}

static void render_ring(struct nodei_layout *l, struct base_slice json)
{
    struct table t = table_of(l, json);
    struct base_json_walk node;
    size_t count = 0;
    for (base_json_walk_begin(&node, t.nodes); nodei_next(l, &node); count++)
        continue;
    t.rows = calloc(count + 1, sizeof *t.rows);
    if (!t.rows) {
        l->rc = BASE_E_NOMEM;
        return;
    }
    for (base_json_walk_begin(&node, t.nodes); t.row_count < count && nodei_next(l, &node);)
        t.rows[t.row_count++] = node.value;
    each_datacenter(l, t.nodes, &t, put_ring_datacenter);
    put_note(l, json);
    free(t.rows);
}

/* Describecluster, gossipinfo, getendpoints. */

/* [a, b, c] */
static void put_addresses(struct nodei_layout *l, struct base_slice array)
{
    struct base_json_walk walk;
    const char *before = "[";
    base_json_walk_begin(&walk, array);
    while (nodei_next(l, &walk)) {
        char address[128];
        nodei_address_text(walk.value, address, sizeof address);
        nodei_put(l, "%s%s", before, address);
        before = ", ";
    }
    nodei_put(l, "%s]\n", before[0] == '[' ? "[" : "");
}

static void put_key(struct nodei_layout *l, const struct base_json_walk *walk)
{
    if (l->rc == BASE_OK)
        l->rc = base_json_unescape(&walk->key, l->out);
}

static void put_field(struct nodei_layout *l, const char *label, struct base_slice value)
{
    nodei_put(l, "%s", label);
    nodei_put_scalar(l, value);
    nodei_put(l, "\n");
}

static void put_replications(struct nodei_layout *l, struct base_slice keyspaces)
{
    struct base_json_walk keyspace, option;
    base_json_walk_begin(&keyspace, keyspaces);
    while (nodei_next(l, &keyspace)) {
        const char *before = " {";
        nodei_put(l, "\t");
        put_key(l, &keyspace);
        nodei_put(l, " -> Replication class: ");
        nodei_put_scalar(l, base_json_member(keyspace.value, "class"));
        base_json_walk_begin(&option, keyspace.value);
        while (nodei_next(l, &option)) {
            if (nodei_is_key(&option, "class"))
                continue;
            nodei_put(l, "%s", before);
            put_key(l, &option);
            nodei_put(l, "=");
            nodei_put_scalar(l, option.value);
            before = ", ";
        }
        nodei_put(l, "%s}\n", before[0] == ' ' ? " {" : "");
    }
}

static void render_describecluster(struct nodei_layout *l, struct base_slice json)
{
    struct base_json_walk walk;
    nodei_put(l, "Cluster Information:\n");
    put_field(l, "\tName: ", base_json_member(json, "name"));
    put_field(l, "\tSnitch: ", base_json_member(json, "snitch"));
    nodei_put(l, "\tDynamicEndPointSnitch: %s\n",
              nodei_is_true(json, "dynamic_snitch") ? "enabled" : "disabled");
    put_field(l, "\tPartitioner: ", base_json_member(json, "partitioner"));
    put_field(l, "\tEpoch: ", base_json_member(json, "epoch"));
    nodei_put(l, "\tSchema versions:\n");
    base_json_walk_begin(&walk, base_json_member(json, "schema_versions"));
    while (nodei_next(l, &walk)) {
        nodei_put(l, "\t\t");
        put_key(l, &walk);
        nodei_put(l, ": ");
        put_addresses(l, walk.value);
    }
    nodei_put(l,
              "\nStats for all nodes:\n\tLive: %.0f\n\tJoining: %.0f\n\tMoving: 0\n\tLeaving: "
              "0\n\tUnreachable: %.0f\n\nData Centers:\n",
              nodei_number(json, "live"), nodei_number(json, "joining"),
              nodei_number(json, "unreachable"));
    base_json_walk_begin(&walk, base_json_member(json, "datacenters"));
    while (nodei_next(l, &walk)) {
        nodei_put(l, "\t");
        put_key(l, &walk);
        nodei_put(l, " #Nodes: %.0f #Down: %.0f\n", nodei_number(walk.value, "nodes"),
                  nodei_number(walk.value, "down"));
    }
    nodei_put(l, "\nKeyspaces:\n");
    put_replications(l, base_json_member(json, "keyspaces"));
}

static void render_gossipinfo(struct nodei_layout *l, struct base_slice json)
{
    static const char *const fields[][2] = {
        {"STATUS", "status"},
        {"LOAD", "load_bytes"},
        {"SCHEMA", "schema"},
        {"EPOCH", "epoch"},
        {"DC", "datacenter"},
        {"RACK", "rack"},
        {"HOST_ID", "host_id"},
        {"TOKENS", "tokens"},
        {"ALIVE", "alive"},
        {"PHI", "phi"},
        {"LATENCY_MS", "latency_ms"},
        {"HINTS", "hint_count"},
        {"HINTS_BYTES", "hints_bytes"},
    };
    struct base_json_walk node;
    base_json_walk_begin(&node, json);
    while (nodei_next(l, &node)) {
        char address[128];
        nodei_address_text(base_json_member(node.value, "address"), address, sizeof address);
        nodei_put(l, "/%s\n", address);
        put_field(l, "  generation:", base_json_member(node.value, "generation"));
        put_field(l, "  heartbeat:", base_json_member(node.value, "heartbeat"));
        for (size_t i = 0; i < BASE_COUNT(fields); i++) {
            nodei_put(l, "  %s:", fields[i][0]);
            put_field(l, "", base_json_member(node.value, fields[i][1]));
        }
    }
}

static void render_getendpoints(struct nodei_layout *l, struct base_slice json)
{
    struct base_json_walk walk;
    base_json_walk_begin(&walk, base_json_member(json, "endpoints"));
    while (nodei_next(l, &walk)) {
        char address[128];
        nodei_address_text(walk.value, address, sizeof address);
        nodei_put(l, "%s\n", address);
    }
}

/* Tpstats, netstats, proxyhistograms. */

static void render_tpstats(struct nodei_layout *l, struct base_slice json)
{
    struct base_json_walk walk;
    nodei_put(l, "%-30s %10s %10s %14s %17s\n", "Pool Name", "Active", "Pending", "Completed",
              "All time blocked");
    base_json_walk_begin(&walk, base_json_member(json, "pools"));
    while (nodei_next(l, &walk)) {
        nodei_put_column(l, 30, base_json_member(walk.value, "name"));
        nodei_put(l, " %10.0f %10.0f %14.0f %17.0f\n", nodei_number(walk.value, "active"),
                  nodei_number(walk.value, "pending"), nodei_number(walk.value, "completed"),
                  nodei_number(walk.value, "blocked"));
    }
    nodei_put(l, "\n%-30s %10s\n", "Messages dropped", "Count");
    base_json_walk_begin(&walk, base_json_member(json, "dropped"));
    while (nodei_next(l, &walk))
        nodei_put(l, "%-30.*s %10.*s\n", BASE_SLICE_ARG(walk.key.text), BASE_SLICE_ARG(walk.value));
}

static void render_netstats(struct nodei_layout *l, struct base_slice json)
{
    char sent[32], received[32];
    struct base_json_walk walk;
    struct base_slice repair = base_json_member(json, "read_repair");
    put_field(l, "Mode: ", base_json_member(json, "mode"));
    nodei_put(l,
              "Not sending any streams.\nRead Repair Statistics:\nMismatches: %.0f\nRepaired "
              "(blocking): %.0f\n",
              nodei_number(repair, "attempted"), nodei_number(repair, "blocking"));
    nodei_put(l, "%-24s %10s %10s %14s %10s\n", "Pool Name", "Active", "Pending", "Completed",
              "Dropped");
    base_json_walk_begin(&walk, base_json_member(json, "pools"));
    while (nodei_next(l, &walk)) {
        nodei_put_column(l, 24, base_json_member(walk.value, "name"));
        nodei_put(l, " %10s %10.0f %14.0f %10.0f\n", "n/a", nodei_number(walk.value, "pending"),
                  nodei_number(walk.value, "completed"), nodei_number(walk.value, "dropped"));
    }
    nodei_put(l, "Sent: %s, %.0f messages in %.0f requests; received: %s, %.0f messages\n",
              nodei_size_text(nodei_number(json, "bytes_sent"), sent, sizeof sent),
              nodei_number(json, "frames_sent"), nodei_number(json, "posts_sent"),
              nodei_size_text(nodei_number(json, "bytes_received"), received, sizeof received),
              nodei_number(json, "frames_received"));
    base_json_walk_begin(&walk, base_json_member(json, "peers"));
    while (nodei_next(l, &walk)) {
        char address[128];
        nodei_address_text(base_json_member(walk.value, "address"), address, sizeof address);
        nodei_put(l, "/%-23s %10s %10.0f %14.0f %10.0f\n", address,
                  nodei_is_true(walk.value, "connected") ? "connected" : "-",
                  nodei_number(walk.value, "pending"), nodei_number(walk.value, "completed"),
                  nodei_number(walk.value, "dropped"));
    }
}

static void render_proxyhistograms(struct nodei_layout *l, struct base_slice json)
{
    static const char *const columns[][2] = {{"read", "Read Latency"},
                                             {"write", "Write Latency"},
                                             {"range", "Range Latency"},
                                             {"cas_write", "CAS Write Latency"}};
    static const char *const rows[][2] = {{"50%", "50%"}, {"75%", "75%"},    {"95%", "95%"},
                                          {"98%", "98%"}, {"99%", "99%"},    {"Min", "min"},
                                          {"Max", "max"}, {"Count", "count"}};
    nodei_put(l, "proxy histograms\n%-10s", "Percentile");
    for (size_t i = 0; i < BASE_COUNT(columns); i++)
        nodei_put(l, " %18s", columns[i][1]);
    nodei_put(l, "\n%-10s", "");
    for (size_t i = 0; i < BASE_COUNT(columns); i++)
        nodei_put(l, " %18s", "(micros)");
    nodei_put(l, "\n");
    for (size_t r = 0; r < BASE_COUNT(rows); r++) {
        nodei_put(l, "%-10s", rows[r][0]);
        for (size_t i = 0; i < BASE_COUNT(columns); i++)
            nodei_put(l, r < 7 ? " %18.2f" : " %18.0f",
                      nodei_number(base_json_member(json, columns[i][0]), rows[r][1]));
        nodei_put(l, "\n");
    }
}

/* Hints, drain. */

static void render_handoff(struct nodei_layout *l, struct base_slice json)
{
    char size[32];
    nodei_put(l, "Hinted handoff is %s\n",
              !nodei_is_true(json, "running") ? "not running"
              : nodei_is_true(json, "paused") ? "paused"
                                              : "running");
    if (nodei_number(json, "hints") > 0)
        nodei_put(l, "%.0f hints are kept (%s)\n", nodei_number(json, "hints"),
                  nodei_size_text(nodei_number(json, "hints_bytes"), size, sizeof size));
}

static void render_listpendinghints(struct nodei_layout *l, struct base_slice json)
{
    struct base_json_walk walk;
    bool any = false;
    base_json_walk_begin(&walk, json);
    while (nodei_next(l, &walk)) {
        char address[128];
        if (!any)
            nodei_put(l, "%-36s %-16s %-10s %-14s %-6s %11s %12s\n", "Host ID", "Address", "Rack",
                      "DC", "Status", "Total hints", "Total bytes");
        any = true;
        nodei_address_text(base_json_member(walk.value, "address"), address, sizeof address);
        nodei_put_column(l, 36, base_json_member(walk.value, "host_id"));
        nodei_put(l, " %-16s ", address);
        nodei_put_column(l, 11, base_json_member(walk.value, "rack"));
        nodei_put_column(l, 15, base_json_member(walk.value, "datacenter"));
        nodei_put_column(l, 6, base_json_member(walk.value, "status"));
        nodei_put(l, " %11.0f %12.0f\n", nodei_number(walk.value, "hints"),
                  nodei_number(walk.value, "hints_bytes"));
    }
    if (!any)
        nodei_put(l, "This node does not have any pending hints\n");
}

static void render_drain(struct nodei_layout *l, struct base_slice json)
{
    nodei_put(l, nodei_is_true(json, "idle")
                     ? "drained: clients are refused, memtables are flushed\n"
                     : "drained, but for requests that did not end: clients are refused, memtables "
                       "are flushed\n");
}

static void render_truncatehints(struct nodei_layout *l, struct base_slice json)
{
    double hosts = nodei_number(json, "hosts");
    nodei_put(l, "hints for %.0f host%s are being removed\n", hosts, hosts == 1 ? "" : "s");
}

bool nodei_render_cluster(struct nodei_layout *l, const char *command, struct base_slice json)
{
    static const struct {
        const char *command;
        void (*render)(struct nodei_layout *l, struct base_slice json);
    } layouts[] = {
        {"describecluster", render_describecluster},
        {"drain", render_drain},
        {"getendpoints", render_getendpoints},
        {"gossipinfo", render_gossipinfo},
        {"listpendinghints", render_listpendinghints},
        {"netstats", render_netstats},
        {"pausehandoff", render_handoff},
        {"proxyhistograms", render_proxyhistograms},
        {"resumehandoff", render_handoff},
        {"ring", render_ring},
        {"status", render_status},
        {"statushandoff", render_handoff},
        {"tpstats", render_tpstats},
        {"truncatehints", render_truncatehints},
    };
    for (size_t i = 0; i < BASE_COUNT(layouts); i++) {
        if (strcmp(layouts[i].command, command) != 0)
            continue;
        layouts[i].render(l, json);
        return true;
    }
    return false;
}
