/* Where each member last served clients, kept over restarts: a driver that asks for system.peers is
 * told of a member that is down too, also when the node that it asks has not met it since it was
 * started (docs/decisions/0013).
 *
 * Invariants:
 *  1. Only what a member itself told by gossip is remembered, until it tells of another place, or
 *     is a member no more.
 *  2. One write at a time, by the metadata lane; what changed meanwhile is written after it. A
 *     write that fails is tried again with the next change: what is lost is a convenience.
 *  3. All on the loop's thread, but opening and closing. */
#include <stdlib.h>

#include "node/cluster_private.h"

#define NATIVES "natives"
enum { VERSION = 1, BYTES_MAX = 1 << 20 };

struct known {
    struct base_uuid host_id;
    struct repl_native native;
};
struct nodei_natives {
    struct nodei_cluster *cluster;
    struct known *known;
    size_t count;
    bool changed, putting;
    struct base_buf bytes;
    struct repl_meta_op put;
};

/* As bytes. */

static int encode(const struct nodei_natives *n, struct base_buf *out)
{
    base_buf_reset(out);
    int rc = base_buf_put_u8(out, VERSION);
    for (size_t i = 0; rc == BASE_OK && i < n->count; i++) {
        const struct repl_native *at = &n->known[i].native;
        rc = base_buf_put(out, n->known[i].host_id.b, sizeof n->known[i].host_id.b);
        if (rc == BASE_OK)
            rc = base_buf_put_bytes(out, base_slice(at->address, at->address_len));
        if (rc == BASE_OK)
            rc = base_buf_put_varint(out, at->port);
        if (rc == BASE_OK)
            rc = base_buf_put_bytes(out, base_slice_str(at->release));
    }
    return rc;
}

static bool get_known(struct base_reader *in, struct known *out)
{
    struct base_slice host_id, address, release;
    uint64_t port;
    *out = (struct known){0};
    if (!base_get_raw(in, sizeof out->host_id.b, &host_id) || !base_get_bytes(in, &address) ||
        !base_get_varint(in, &port) || !base_get_bytes(in, &release) ||
        (address.len != 4 && address.len != 16) || port > UINT16_MAX ||
        release.len > REPL_RELEASE_LEN_MAX)
        return false;
    memcpy(out->host_id.b, host_id.data, sizeof out->host_id.b);
    memcpy(out->native.address, address.data, address.len);
    memcpy(out->native.release, release.data, release.len);
    out->native.address_len = (uint8_t)address.len;
    out->native.port = (uint16_t)port;
    return true;
}

static struct known *add(struct nodei_natives *n)
{
    struct known *wider = realloc(n->known, (n->count + 1) * sizeof *wider);
    if (!wider)
        return NULL;
    n->known = wider;
    return &wider[n->count++];
}

/* What cannot be read is not there: members will tell again. */
static void decode(struct nodei_natives *n, struct base_slice bytes)
{
    struct base_reader in = base_reader(bytes);
    struct known known, *place;
    uint8_t version;
    if (!base_get_u8(&in, &version) || version != VERSION)
        return;
    while (base_reader_left(&in) && get_known(&in, &known) && (place = add(n)))
        *place = known;
}

/* Remembering. */

static struct known *find(const struct nodei_natives *n, struct base_uuid host_id)
{
    for (size_t i = 0; i < n->count; i++)
        if (base_uuid_equal(n->known[i].host_id, host_id))
            return &n->known[i];
    return NULL;
}

bool nodei_natives_find(const struct nodei_cluster *cluster, struct base_uuid host_id,
                        struct repl_native *out)
{
    const struct known *known = cluster->natives ? find(cluster->natives, host_id) : NULL;
    if (known)
        *out = known->native;
    return known != NULL;
}

static bool same(const struct repl_native *a, const struct repl_native *b)
{
    return a->address_len == b->address_len && a->port == b->port &&
           memcmp(a->address, b->address, a->address_len) == 0 &&
           strcmp(a->release, b->release) == 0;
}

static void remember(struct nodei_natives *n, struct base_uuid host_id,
                     const struct repl_native *native)
{
    struct known *known = find(n, host_id);
    if (known && same(&known->native, native))
        return;
    if (!known)
        known = add(n);
    if (!known)
        return;
    *known = (struct known){host_id, *native};
    n->changed = true;
}

static void put_done(struct repl_meta_op *op);

static void write_changed(struct nodei_natives *n)
{
    struct nodei_cluster *cluster = n->cluster;
    if (!n->changed || n->putting || cluster->close_deadline_ns || encode(n, &n->bytes) != BASE_OK)
        return;
    n->changed = false;
    n->put = (struct repl_meta_op){.kind = REPL_META_PUT,
                                   .done = put_done,
                                   .key = NATIVES,
                                   .value = base_buf_view(&n->bytes),
                                   .ctx = n};
    n->putting = cluster->work.meta.ops->submit(&cluster->work.meta, &n->put) == REPL_PENDING;
    n->changed = !n->putting && n->put.rc != BASE_OK;
}

static void put_done(struct repl_meta_op *op)
{
    struct nodei_natives *n = op->ctx;
    n->putting = false;
    if (op->rc == BASE_OK)
        write_changed(n);
    else
        n->changed = true;
}

void nodei_natives_look(struct nodei_cluster *cluster)
{
    struct nodei_natives *n = cluster->natives;
    if (!n || cluster->close_deadline_ns)
        return;
    const struct ring_state *ring = repl_ring(cluster->repl);
    for (size_t i = n->count; i-- > 0;)
        if (ring_member_find(ring, n->known[i].host_id) < 0) {
            n->known[i] = n->known[--n->count];
            n->changed = true;
        }
    for (size_t i = 0; i < ring->member_count; i++) {
        struct repl_peer_info info;
        if (base_uuid_equal(ring->members[i].host_id, cluster->node->identity.host_id))
            continue;
        repl_peer_get(cluster->repl, i, &info);
        if (info.native.address_len)
            remember(n, info.host_id, &info.native);
    }
    write_changed(n);
}

/* Life. */

int nodei_natives_open(struct nodei_cluster *cluster, struct base_err *err)
{
    struct base_buf bytes;
    if (cluster->node->guest)
        return BASE_OK;
    struct nodei_natives *n = cluster->natives = calloc(1, sizeof *n);
    if (!n)
        return base_err_set(err, BASE_E_NOMEM, "cluster: out of memory");
    n->cluster = cluster;
    base_buf_init(&n->bytes, BYTES_MAX);
    base_buf_init(&bytes, BYTES_MAX);
    if (cat_local_get(cluster->node->catalog, NATIVES, &bytes, NULL) == BASE_OK)
        decode(n, base_buf_view(&bytes));
    base_buf_fini(&bytes);
    return BASE_OK;
}

void nodei_natives_close(struct nodei_cluster *cluster)
{
    struct nodei_natives *n = cluster->natives;
    if (!n)
        return;
    BASE_ASSERT(!n->putting);
    base_buf_fini(&n->bytes);
    free(n->known);
    free(n);
    cluster->natives = NULL;
}
