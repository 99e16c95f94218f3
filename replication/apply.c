/* What an entry of the metadata log leads to: a pure function of the snapshots before it. */
#include "replication/metadata.h"

static int apply_topology(const struct ring_state *ring, struct repli_applied *out, uint64_t epoch,
                          struct base_err *err)
{
    struct ring_change change;
    int rc = ring_change_decode(&out->arena, out->change.topology, &change, err);
    return rc == BASE_OK ? ring_state_apply(ring, &change, epoch, &out->ring, err) : rc;
}

int repli_entry_apply(const struct base_schema *schema, const struct ring_state *ring,
                      struct base_slice entry, struct repli_applied *out, struct base_err *err)
{
    BASE_ASSERT(schema->epoch == ring->epoch);
    *out = (struct repli_applied){0};
    base_arena_init(&out->arena);
    uint64_t epoch = ring->epoch + 1;
    int rc = base_change_decode(&out->arena, entry, &out->change, err);
    if (rc == BASE_OK) /* says STALE when the entry was made against another epoch */
        rc = base_schema_apply(schema, &out->change, &out->schema, err);
    if (rc == BASE_OK && out->change.kind == BASE_CHANGE_TOPOLOGY)
        rc = apply_topology(ring, out, epoch, err);
    else if (rc == BASE_OK)
        rc = ring_state_advance(ring, epoch, &out->ring, err);
    if (rc != BASE_OK)
        repli_applied_fini(out);
    else
        BASE_ASSERT(out->schema->epoch == epoch && out->ring->epoch == epoch);
    return rc;
}

void repli_applied_fini(struct repli_applied *applied)
{
    if (applied->schema)
        base_schema_release(applied->schema);
    if (applied->ring)
        ring_state_release(applied->ring);
    base_arena_fini(&applied->arena);
    *applied = (struct repli_applied){0};
}
