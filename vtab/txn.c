/* One transaction for all tables of a link.
 *
 * What SQLite does (tests/sql/cases/transactions.sql and late_busy.sql show it):
 * 1. xSync may fail, xCommit may not: the batch is applied at the last xSync.
 * 2. After a COMMIT that ended in SQLITE_BUSY, COMMIT calls xSync again for every table: a round of
 *    counting begins when a table that was counted comes again. Applying twice does nothing the
 *    second time.
 * 3. A created table takes part without xBegin.
 * 4. A savepoint is announced to each table apart, when it is opened or when the table joins;
 *    levels announced already must not move. xRollbackTo may name a level never announced: node
 *    undoes all since the one below. */
#include "vtab/vtab_private.h"

int vtabi_txn_join(struct vtabi_table *table, struct base_err *err)
{
    struct vtabi_link *link = table->link;
    if (table->joined)
        return BASE_OK;
    int rc = node_txn_begin(link->session, err);
    if (rc != BASE_OK)
        return rc;
    if (link->joined_count++ == 0) {
        link->synced_count = 0;
        link->sync_round = 1;
        link->level_count = 0;
    }
    table->joined = true;
    table->wrote = false;
    table->sync_round = 0;
    return BASE_OK;
}

/* The table is done with the transaction; with the last one it ends: forgotten if applied, else
 * undone. */
void vtabi_txn_leave(struct vtabi_table *table)
{
    struct vtabi_link *link = table->link;
    if (!table->joined)
        return;
    BASE_ASSERT(link && link->joined_count > 0);
    table->joined = false;
    table->wrote = false;
    if (table->sync_round == link->sync_round && link->synced_count)
        link->synced_count--;
    if (--link->joined_count == 0 && link->session && !node_is_forked(link->node)) {
        node_txn_end(link->session);
        link->level_count = 0;
    }
}

int vtabi_txn_begin(sqlite3_vtab *vtab)
{
    struct vtabi_table *table = (struct vtabi_table *)vtab;
    struct base_err err = {0};
    int rc = vtabi_table_bind(table, &err);
    if (rc == BASE_OK)
        rc = vtabi_txn_join(table, &err);
    return vtabi_fail(vtab, rc, &err);
}

int vtabi_txn_sync(sqlite3_vtab *vtab)
{
    struct vtabi_table *table = (struct vtabi_table *)vtab;
    struct vtabi_link *link = table->link;
    struct base_err err = {0};
    if (!table->joined)
        return SQLITE_OK;
    if (table->sync_round == link->sync_round) { /* counted before: a retry */
        link->sync_round++;
        link->synced_count = 0;
    }
    table->sync_round = link->sync_round;
    if (++link->synced_count < link->joined_count)
        return SQLITE_OK;
    if (node_is_forked(link->node))
        return vtabi_fail(
            vtab, base_err_set(&err, BASE_E_CLOSED, "this connection was opened before fork()"),
            &err);
    return vtabi_fail(vtab, node_txn_apply(link->session, &err), &err);
}

int vtabi_txn_commit(sqlite3_vtab *vtab)
{
    vtabi_txn_leave((struct vtabi_table *)vtab);
    return SQLITE_OK;
}

/* SQLite rolls back every table of the transaction: the first call undoes all, at once, for a
 * statement of another table may read before its turn comes. */
int vtabi_txn_rollback(sqlite3_vtab *vtab)
{
    struct vtabi_table *table = (struct vtabi_table *)vtab;
    struct vtabi_link *link = table->link;
    if (table->joined && link->session && !node_is_forked(link->node))
        node_txn_end(link->session);
    vtabi_txn_leave(table);
    return SQLITE_OK;
}

int vtabi_txn_savepoint(sqlite3_vtab *vtab, int level)
{
    struct vtabi_table *table = (struct vtabi_table *)vtab;
    struct vtabi_link *link = table->link;
    struct base_err err = {0};
    if (!table->joined)
        return SQLITE_OK;
    if (link->level_count && link->levels[link->level_count - 1] >= level)
        return SQLITE_OK;
    if (link->level_count == link->level_cap) {
        size_t cap = link->level_cap ? 2 * link->level_cap : 8;
        int *levels = sqlite3_realloc64(link->levels, cap * sizeof levels[0]);
        if (!levels)
            return SQLITE_NOMEM;
        link->levels = levels;
        link->level_cap = cap;
    }
    int rc = node_txn_savepoint(link->session, level, &err);
    if (rc == BASE_OK)
        link->levels[link->level_count++] = level;
    return vtabi_fail(vtab, rc, &err);
}

int vtabi_txn_release(sqlite3_vtab *vtab, int level)
{
    struct vtabi_table *table = (struct vtabi_table *)vtab;
    struct vtabi_link *link = table->link;
    if (!table->joined)
        return SQLITE_OK;
    while (link->level_count && link->levels[link->level_count - 1] >= level)
        link->level_count--;
    node_txn_savepoint_release(link->session, level);
    return SQLITE_OK;
}

int vtabi_txn_rollback_to(sqlite3_vtab *vtab, int level)
{
    struct vtabi_table *table = (struct vtabi_table *)vtab;
    struct vtabi_link *link = table->link;
    if (!table->joined)
        return SQLITE_OK;
    while (link->level_count && link->levels[link->level_count - 1] > level)
        link->level_count--;
    node_txn_rollback_to(link->session, level);
    return SQLITE_OK;
}
