/* A full disk: it is said once in the log, shown in the figures, and said once more when there is
 * space again.
 *
 * It is full while a write was refused for it not long ago and none was taken since, or a flush, a
 * compaction or an index build waits to be tried again because of it. "Not long ago", for nobody
 * may write any more: then only the next write finds out. */
#include "lsm/lsm_private.h"

#define REFUSED_LATELY_NS UINT64_C(30000000000)

static bool refused_lately(struct lsm_store *store)
{
    uint64_t at = atomic_load(&store->refused_ns);
    return at && lsmi_now_ns(store) - (at - 1) < REFUSED_LATELY_NS;
}

static bool a_job_waits(struct lsm_store *store)
{
    size_t count;
    struct lsm_table **tables = lsmi_tables_snapshot(store, &count);
    bool waits = false;
    for (size_t i = 0; i < count; i++) {
        struct lsm_table *t = tables[i];
        pthread_mutex_lock(&t->lock);
        waits |= (t->flush.failing && t->flush_err.code == BASE_E_NOSPACE) ||
                 (t->compact.failing && t->compact_err.code == BASE_E_NOSPACE) ||
                 (t->index_job.failing && t->index_err.code == BASE_E_NOSPACE);
        pthread_mutex_unlock(&t->lock);
        lsmi_table_release(t);
    }
    free(tables);
    return waits;
}

void lsmi_space_missed(struct lsm_store *store, const struct base_err *err)
{
    if (err->code == BASE_E_NOSPACE && !atomic_exchange(&store->full_said, true))
        base_logf(store->options.log, BASE_LOG_ERROR,
                  "the disk is full: writes that need space are refused until there is some, reads "
                  "go on (%s)",
                  err->text);
}

void lsmi_space_refused(struct lsm_store *store, const struct base_err *err)
{
    atomic_store(&store->refused_ns, lsmi_now_ns(store) + 1);
    atomic_fetch_add(&store->refused, 1);
    lsmi_space_missed(store, err);
}

void lsmi_space_found(struct lsm_store *store, bool by_write)
{
    if (by_write)
        atomic_store(&store->refused_ns, 0);
    if (atomic_load(&store->full_said) && !refused_lately(store) && !a_job_waits(store) &&
        atomic_exchange(&store->full_said, false))
        base_logf(store->options.log, BASE_LOG_INFO, "there is space on the disk again");
}

void lsmi_space_get_stats(struct lsm_store *store, struct lsm_stats *stats)
{
    stats->writes_refused_full = atomic_load(&store->refused);
    stats->refuses_writes = refused_lately(store);
    stats->disk_full = stats->refuses_writes || a_job_waits(store);
}
