/* The overlay: a transaction's own writes (lsm/lsm.h). A memtable of one shard without locks, whose
 * undo list takes back what came after a mark. The memtable's references are the overlay's: a
 * stream holds one. */
#include "lsm/lsm.h"
#include "lsm/memtable.h"

/* An overlay is its memtable; the type exists only to keep the two apart in the compiler's eyes. */
static struct lsmi_memtable *memtable(const struct lsm_overlay *overlay)
{
    return (struct lsmi_memtable *)(uintptr_t)overlay;
}

struct lsm_overlay *lsm_overlay_new(void)
{
    return (struct lsm_overlay *)lsmi_memtable_new(1, NULL);
}

int lsm_overlay_apply(struct lsm_overlay *overlay, struct base_slice mutation, struct base_err *err)
{
    struct base_reader in = base_reader(mutation);
    struct base_mutation m;
    if (!base_mutation_decode(&in, &m) || base_reader_left(&in))
        return base_err_set(err, BASE_E_CORRUPT, "overlay: not one whole mutation");
    return lsmi_memtable_apply(memtable(overlay), &m, err);
}

uint64_t lsm_overlay_mark(const struct lsm_overlay *overlay)
{
    return memtable(overlay)->shards[0].seq;
}

void lsm_overlay_rollback(struct lsm_overlay *overlay, uint64_t mark)
{
    lsmi_memtable_rollback(memtable(overlay), mark);
}

struct overlay_source {
    struct base_source source;
    struct lsmi_memtable *mt;
    struct lsmi_mt_source inner;
};

static int overlay_partition(struct base_source *base, struct base_partition *out,
                             struct base_err *err)
{
    struct overlay_source *src = BASE_CONTAINER(base, struct overlay_source, source);
    return src->inner.source.ops->partition(&src->inner.source, out, err);
}

static int overlay_next(struct base_source *base, struct base_item *out, struct base_err *err)
{
    struct overlay_source *src = BASE_CONTAINER(base, struct overlay_source, source);
    return src->inner.source.ops->next(&src->inner.source, out, err);
}

static void overlay_close(struct base_source *base)
{
    struct overlay_source *src = BASE_CONTAINER(base, struct overlay_source, source);
    lsmi_mt_source_fini(&src->inner);
    lsmi_memtable_release(src->mt);
    free(src);
}

static const struct base_source_ops overlay_ops = {overlay_partition, overlay_next, overlay_close};

int lsm_overlay_read(struct lsm_overlay *overlay, const struct base_read *cmd,
                     struct base_source **out, struct base_err *err)
{
    *out = NULL;
    struct overlay_source *src = malloc(sizeof *src);
    if (!src)
        return base_err_set(err, BASE_E_NOMEM, "overlay: out of memory");
    src->source.ops = &overlay_ops;
    src->mt = lsmi_memtable_acquire(memtable(overlay));
    memset(&src->inner, 0, offsetof(struct lsmi_mt_source, page));
    if (!lsmi_mt_source_init(&src->inner, src->mt, cmd, BASE_DELETION_NONE))
        src->inner.source.ops->close(&src->inner.source); /* an empty stream */
    *out = &src->source;
    return BASE_OK;
}

size_t lsm_overlay_size_bytes(const struct lsm_overlay *overlay)
{
    return sizeof(struct lsmi_memtable) + sizeof(struct lsmi_mt_shard) +
           lsmi_memtable_size(memtable(overlay));
}

void lsm_overlay_release(struct lsm_overlay *overlay)
{
    lsmi_memtable_release(memtable(overlay));
}
