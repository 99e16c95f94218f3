/* The entry point: what .load ringlet does.
 *
 * 1. Loading twice into one connection changes nothing.
 * 2. One process has one SQLite for us: a second, different API table is refused, for there is one
 *    pointer to it.
 * 3. The library stays loaded (OK_LOAD_PERMANENTLY): nodes have threads that run its code. */
#include <sqlite3ext.h>
#include <stdatomic.h>

SQLITE_EXTENSION_INIT1

#include "vtab/vtab_private.h"

__attribute__((visibility("default"))) int sqlite3_ringlet_init(sqlite3 *db, char **message,
                                                                const sqlite3_api_routines *api);

/* ringlet_version exists already in this connection: it was loaded before. (The pragma, not the
 * table of its name: that would read the schema, before it can be known which tables are our shadow
 * tables.) */
static bool is_loaded(sqlite3 *db)
{
    sqlite3_stmt *statement = NULL;
    bool loaded = false;
    if (sqlite3_prepare_v2(db, "PRAGMA function_list", -1, &statement, NULL) == SQLITE_OK)
        while (!loaded && sqlite3_step(statement) == SQLITE_ROW)
            loaded = sqlite3_stricmp((const char *)sqlite3_column_text(statement, 0),
                                     "ringlet_version") == 0;
    sqlite3_finalize(statement);
    return loaded;
}

/* The pointer to SQLite's functions is written once, for other connections' threads may be reading
 * it; who loads at the same time waits for the few instructions that takes. False: it is another
 * SQLite's. */
static bool take_api(const sqlite3_api_routines *api)
{
    enum { UNSET, BEING_SET, SET };
    static atomic_int state = UNSET;
    int expected = UNSET;
    if (atomic_compare_exchange_strong(&state, &expected, BEING_SET)) {
        SQLITE_EXTENSION_INIT2(api)
        atomic_store(&state, SET);
    }
    while (atomic_load(&state) != SET)
        ;
    return sqlite3_api == api;
}

int sqlite3_ringlet_init(sqlite3 *db, char **message, const sqlite3_api_routines *api)
{
    if (!take_api(api)) {
        *message =
            api->mprintf("ringlet is loaded by another copy of SQLite in this process already");
        return SQLITE_ERROR;
    }
    if (sqlite3_libversion_number() < 3038000) {
        *message = sqlite3_mprintf("ringlet needs SQLite 3.38 or later (this is %s)",
                                   sqlite3_libversion());
        return SQLITE_ERROR;
    }
    if (is_loaded(db))
        return SQLITE_OK_LOAD_PERMANENTLY;
    struct vtabi_host *host = vtabi_host_new(db);
    if (!host)
        return SQLITE_NOMEM;
    vtabi_host_acquire(host); /* the module's own; on failure SQLite calls the destructor */
    int rc = sqlite3_create_module_v2(db, "ringlet", &vtabi_module, host, vtabi_host_release);
    if (rc == SQLITE_OK)
        rc = vtabi_collations_register(db);
    if (rc == SQLITE_OK)
        rc = vtabi_functions_register(host);
    if (rc == SQLITE_OK)
        rc = vtabi_tables_register(host);
    if (rc == SQLITE_OK)
        rc = vtabi_query_register(host);
    vtabi_host_release(host);
    return rc == SQLITE_OK ? SQLITE_OK_LOAD_PERMANENTLY : rc;
}
