/* Reads: the store's merged stream, with the open transaction's writes merged in, through
 * base_rows.
 *
 * A point read allocates nothing once its node_read has been used: close parks the store's stream
 * (pins released, memory kept) and open takes it up again. No lock shared with other sessions is
 * taken (session.c says how a table stays alive).
 *
 * Interrupts: looked for every ROWS_PER_POLL rows; and where rows may be skipped without end (token
 * ranges, filters) by a source in between that counts items. */
#include "node/node_private.h"

#define ROWS_PER_POLL 256
#define ITEMS_PER_POLL 1024

struct node_read {
    struct node_session *session;
    struct base_read cmd; /* the caller's, with now_s filled in */
    struct base_rows rows;
    /* the store's; open, or parked for reuse, or NULL. In a cluster: a merge of pages */
    struct base_source *stream;
    struct nodei_paged *paged; /* in a cluster */
    bool open;
    uint32_t row_count;
    /* Between stream and rows where interrupts must be seen inside one call: */
    struct base_source poll;
    uint32_t item_count;
};

/* Polling. */

static int interrupted(struct base_err *err)
{
    return base_err_set(err, BASE_E_INTERRUPTED, "interrupted");
}

static int poll_partition(struct base_source *src, struct base_partition *out, struct base_err *err)
{
    struct node_read *read = BASE_CONTAINER(src, struct node_read, poll);
    if (++read->item_count % ITEMS_PER_POLL == 0 && nodei_interrupted(read->session))
        return interrupted(err);
    return read->stream->ops->partition(read->stream, out, err);
}

static int poll_next(struct base_source *src, struct base_item *out, struct base_err *err)
{
    struct node_read *read = BASE_CONTAINER(src, struct node_read, poll);
    if (++read->item_count % ITEMS_PER_POLL == 0 && nodei_interrupted(read->session))
        return interrupted(err);
    return read->stream->ops->next(read->stream, out, err);
}

static void stay_open(struct base_source *src)
{
    (void)src; /* the node_read owns the stream */
}

static const struct base_source_ops poll_ops = {
    .partition = poll_partition, .next = poll_next, .close = stay_open};

/* The calls. */

/* In a cluster: pages of the coordinator, tombstones kept, with the transaction's writes. */
static int open_pages(struct node_read *read, const struct base_table *table, int consistency,
                      struct base_err *err)
{
    struct node_session *session = read->session;
    struct base_source *sources[2];
    int rc = nodei_txn_source(session, &read->cmd, &sources[1], err);
    if (rc != BASE_OK)
        return rc;
    size_t n = sources[1] ? 2 : 1;
    /* what replicas leave out may be what our own writes are merged with */
    read->cmd.no_index |= n == 2;
    rc = nodei_paged_open(session, table, &read->cmd, consistency, &read->paged, &sources[0], err);
    if (rc != BASE_OK) {
        if (sources[1])
            sources[1]->ops->close(sources[1]);
        return rc;
    }
    const struct base_merge_options options = {
        .reversed = read->cmd.reversed,
        .purge = {.now_s = read->cmd.now_s, .gc_before_s = INT64_MIN, .purgeable_ts = INT64_MIN},
    };
    return read->stream ? base_merge_reopen(read->stream, sources, n, &options, err)
                        : base_merge_open(sources, n, &options, &read->stream, err);
}

static int open_stream(struct node_read *read, const struct base_table *table, struct base_err *err)
{
    struct node_session *session = read->session;
    struct base_source *own, *reuse = read->stream;
    struct nodei_table_ref ref;
    int rc = nodei_txn_source(session, &read->cmd, &own, err);
    if (rc != BASE_OK)
        return rc;
    nodei_enter(session);
    rc = nodei_table_find(session, table, &ref, err);
    if (rc == BASE_OK) {
        read->stream = NULL; /* taken over, also on failure */
        rc = lsm_read(ref.table, &read->cmd, false, &own, own ? 1 : 0, reuse, &read->stream, err);
    } else if (own) {
        own->ops->close(own);
    }
    nodei_leave(session);
    return rc;
}

int node_read_open(struct node_session *session, const struct base_table *table,
                   const struct base_read *cmd, int consistency, struct node_read **read_io,
                   struct base_err *err)
{
    struct node_read *read = *read_io;
    int rc = nodei_check_usable(session->node, err);
    if (rc == BASE_OK)
        rc = nodei_check_consistency(consistency, false, err);
    if (rc != BASE_OK)
        return rc;
    BASE_ASSERT(!read || (read->session == session && !read->open));
    BASE_ASSERT(base_uuid_equal(cmd->table_id, table->id));
    if (!read) {
        read = calloc(1, sizeof *read);
        if (!read)
            return base_err_set(err, BASE_E_NOMEM, "read: out of memory");
        read->session = session;
        read->poll.ops = &poll_ops;
        *read_io = read;
    }
    read->cmd = *cmd;
    if (cmd->now_s == 0)
        read->cmd.now_s = node_now_s(session->node);
    read->row_count = 0;
    rc = session->node->cluster ? open_pages(read, table, consistency, err)
                                : open_stream(read, table, err);
    if (rc != BASE_OK)
        return base_err_wrap(err, rc, "read %.*s.%.*s", BASE_SLICE_ARG(table->keyspace),
                             BASE_SLICE_ARG(table->name));
    bool may_skip = read->cmd.pkey.len == 0 || read->cmd.filter_count > 0;
    base_rows_open(&read->rows, &read->cmd, table, may_skip ? &read->poll : read->stream);
    read->open = true;
    session->open_reads++;
    return BASE_OK;
}

int node_read_next(struct node_read *read, struct base_live_row *row, struct base_err *err)
{
    BASE_ASSERT(read->open);
    if (BASE_UNLIKELY(++read->row_count % ROWS_PER_POLL == 0) && nodei_interrupted(read->session)) {
        *row = (struct base_live_row){0};
        return interrupted(err);
    }
    return base_rows_next(&read->rows, row, err);
}

unsigned node_reads_ahead(const struct node_session *session)
{
    return session->node->cluster ? 16 : 1;
}

void node_read_close(struct node_read *read)
{
    if (!read || !read->open)
        return;
    read->open = false;
    if (node_is_forked(read->session->node))
        return;
    /* The rows must not close the stream: it is parked. */
    read->rows.source = &read->poll;
    base_rows_close(&read->rows);
    if (read->session->node->cluster) {
        static const struct base_merge_options none;
        int rc = base_merge_reopen(read->stream, NULL, 0, &none, NULL); /* closes the pages */
        BASE_ASSERT(rc == BASE_OK);
    } else {
        lsm_read_park(read->stream);
    }
    BASE_ASSERT(read->session->open_reads > 0);
    read->session->open_reads--;
}

void node_read_free(struct node_read *read)
{
    if (!read || node_is_forked(read->session->node))
        return;
    node_read_close(read);
    if (read->stream)
        read->stream->ops->close(read->stream);
    nodei_paged_free(read->paged);
    free(read);
}
