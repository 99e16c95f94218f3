/* One connection's nodes: which directory is meant, opening it once, closing it.
 *
 * 1. A node is opened at first use; the registry of open nodes is node's, so two connections share
 *    one.
 * 2. After fork() the child must not touch what the parent opened: it is refused, and at the end
 *    forgotten instead of closed.
 * 3. Links live as long as the host; only their nodes come and go. */
#include "vtab/vtab_private.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define INTERRUPT_PROBE_US 20000

struct vtabi_host *vtabi_host_new(sqlite3 *db)
{
    struct vtabi_host *host = sqlite3_malloc64(sizeof *host);
    if (host)
        *host = (struct vtabi_host){.db = db, .refs = 1, .consistency = NODE_CL_LOCAL_QUORUM};
    return host;
}

void vtabi_host_acquire(struct vtabi_host *host)
{
    host->refs++;
}

/* Everything that reads through the session is gone (cursors) or goes here. */
static void link_close(struct vtabi_link *link)
{
    if (!link->node)
        return;
    if (!node_is_forked(link->node)) {
        node_read_free(link->probe);
        node_read_free(link->spare_read);
        node_session_free(link->session);
        node_release(link->node);
    }
    link->probe = NULL;
    link->spare_read = NULL;
    link->session = NULL;
    link->node = NULL;
}

void vtabi_host_release(void *arg)
{
    struct vtabi_host *host = arg;
    BASE_ASSERT(host->refs > 0);
    if (--host->refs)
        return;
    while (host->links) {
        struct vtabi_link *link = host->links;
        host->links = link->next;
        BASE_ASSERT(link->cursor_count == 0);
        bool forked = link->node && node_is_forked(link->node);
        link_close(link);
        if (link->temporary && !forked)
            (void)rmdir(link->dir); /* gone with the node, unless it never opened */
        sqlite3_free(link->levels);
        sqlite3_free(link->dir);
        sqlite3_free(link);
    }
    sqlite3_free(host->default_dir);
    for (size_t i = 0; i < host->connected_count; i++)
        sqlite3_free(host->connected[i]);
    sqlite3_free(host->connected);
    for (int i = 0; i < VTABI_CONNECT_OPTIONS; i++)
        sqlite3_free(host->connect_options[i]);
    sqlite3_free(host);
}

/* The database file of a schema, or NULL for memory and temporary ones. */
static const char *database_file(struct vtabi_host *host, const char *schema)
{
    const char *file = sqlite3_db_filename(host->db, schema);
    return file && file[0] ? file : NULL;
}

static const char *temporary_root(void)
{
    const char *root = getenv("TMPDIR");
    return root && root[0] ? root : "/tmp";
}

/* The directory beside a file for a relative name, or the name as it is. */
static char *relative_to(const char *file, struct base_slice name)
{
    const char *slash = file ? strrchr(file, '/') : NULL;
    if (!slash || (name.len && name.data[0] == '/'))
        return vtabi_strdup(name);
    return sqlite3_mprintf("%.*s/%.*s", (int)(slash - file), file, BASE_SLICE_ARG(name));
}

static bool is_url(struct base_slice text)
{
    return (text.len >= 7 && memcmp(text.data, "http://", 7) == 0) ||
           (text.len >= 8 && memcmp(text.data, "https://", 8) == 0);
}

static int resolve_contacts(struct base_slice url, char **out, struct base_err *err)
{
    struct base_buf text;
    base_buf_init(&text, 4096);
    int rc = node_contacts_parse(url, &text, err);
    if (rc == BASE_OK) {
        *out = vtabi_strdup(base_buf_view(&text));
        rc = *out ? BASE_OK : base_err_set(err, BASE_E_NOMEM, "out of memory");
    }
    base_buf_fini(&text);
    return rc;
}

/* *temporary: the directory is ours alone, and made here. *contacts: it is no directory but a
 * cluster's. */
static int resolve_dir(struct vtabi_host *host, const char *schema, struct base_slice node_dir,
                       char **out, bool *temporary, bool *contacts, struct base_err *err)
{
    const char *file = database_file(host, schema);
    *out = NULL;
    *temporary = false;
    *contacts = node_dir.len ? is_url(node_dir) : host->default_contacts;
    if (node_dir.len && *contacts) {
        return resolve_contacts(node_dir, out, err);
    } else if (node_dir.len) {
        *out = relative_to(file ? file : database_file(host, "main"), node_dir);
    } else if (host->default_dir) {
        *out = sqlite3_mprintf("%s", host->default_dir);
    } else {
        file = file ? file : database_file(host, "main");
        if (file) {
            *out = sqlite3_mprintf("%s-ringlet", file);
        } else {
            *temporary = true;
            for (struct vtabi_link *link = host->links; link; link = link->next)
                if (link->temporary)
                    *out = sqlite3_mprintf("%s", link->dir);
            if (!*out) {
                *out = sqlite3_mprintf("%s/ringlet-XXXXXX", temporary_root());
                if (*out && !mkdtemp(*out)) {
                    int rc = base_err_set(err, base_err_from_errno(errno),
                                          "temporary directory %s: %s", *out, strerror(errno));
                    sqlite3_free(*out);
                    *out = NULL;
                    return rc;
                }
            }
        }
    }
    return *out ? BASE_OK : base_err_set(err, BASE_E_NOMEM, "out of memory");
}

int vtabi_host_link(struct vtabi_host *host, const char *schema, struct base_slice node_dir,
                    struct vtabi_link **out, struct base_err *err)
{
    char *dir;
    bool temporary, contacts;
    *out = NULL;
    int rc = resolve_dir(host, schema, node_dir, &dir, &temporary, &contacts, err);
    if (rc != BASE_OK)
        return rc;
    for (struct vtabi_link *link = host->links; link; link = link->next) {
        if (link->contacts == contacts && strcmp(link->dir, dir) == 0) {
            sqlite3_free(dir);
            *out = link;
            return BASE_OK;
        }
    }
    struct vtabi_link *link = sqlite3_malloc64(sizeof *link);
    if (!link) {
        sqlite3_free(dir);
        return base_err_set(err, BASE_E_NOMEM, "out of memory");
    }
    *link = (struct vtabi_link){.next = host->links,
                                .host = host,
                                .dir = dir,
                                .contacts = contacts,
                                .temporary = temporary};
    host->links = link;
    *out = link;
    return BASE_OK;
}

/* SQLite looks for an interrupt between rows; a scan that drops all rows by itself must look, too.
 * Before 3.41 SQLite cannot be asked, but a statement that starts inside of another one ends at
 * once when there was an interrupt. That costs microseconds, so it is tried now and then. */
static bool is_interrupted(void *arg)
{
    struct vtabi_host *host = arg;
#if SQLITE_VERSION_NUMBER >= 3041000
    if (sqlite3_libversion_number() >= 3041000)
        return sqlite3_is_interrupted(host->db);
#endif
    sqlite3_stmt *probe = NULL;
    int64_t now_us = node_wall_us();
    if (now_us >= host->probed_us && now_us - host->probed_us < INTERRUPT_PROBE_US)
        return false;
    host->probed_us = now_us;
    int rc = sqlite3_prepare_v2(host->db, "SELECT 1", -1, &probe, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(probe);
    sqlite3_finalize(probe);
    return rc == SQLITE_INTERRUPT;
}

/* What ringlet_connect was told of TLS, for a link that uses it: as many options. */
static size_t tls_options(const struct vtabi_link *link, struct node_option *out)
{
    static const char *const names[VTABI_CONNECT_OPTIONS] = {
        [VTABI_CONNECT_CA] = "server_encryption_options.ca",
        [VTABI_CONNECT_CERTIFICATE] = "server_encryption_options.certificate",
        [VTABI_CONNECT_KEY] = "server_encryption_options.key",
    };
    size_t count = 0;
    for (int i = 0; i < VTABI_CONNECT_OPTIONS && strncmp(link->dir, "https://", 8) == 0; i++)
        if (names[i] && link->host->connect_options[i])
            out[count++] = (struct node_option){names[i], link->host->connect_options[i]};
    return count;
}

int vtabi_link_open(struct vtabi_link *link, const struct node_option *options, size_t option_count,
                    bool create, struct base_err *err)
{
    struct stat st;
    struct node_option tls[VTABI_CONNECT_OPTIONS];
    if (link->node && !node_is_forked(link->node))
        return BASE_OK;
    if (link->node)
        return base_err_set(
            err, BASE_E_CLOSED,
            "this connection was opened before fork(): open the database again in the child");
    if (link->contacts) {
        int rc = node_contacts_allowed(link->dir, (const char *const *)link->host->connected,
                                       link->host->connected_count, err);
        if (rc != BASE_OK)
            return rc;
    }
    if (!create && !link->contacts && !link->temporary && stat(link->dir, &st) != 0)
        return base_err_set(
            err, BASE_E_NOTFOUND,
            "data directory %s: %s (move it along with the database file, name another with SELECT "
            "ringlet_open(DIR) before the first query, or DROP the table and "
            "create it again)",
            link->dir, strerror(errno));
    if (link->contacts) {
        options = tls;
        option_count = tls_options(link, tls);
    }
    struct node_config config = {
        .dir = link->dir,
        .options = options,
        .option_count = option_count,
        .temporary = link->temporary,
        .contacts = link->contacts ? link->dir : NULL,
        .secret_file = link->contacts ? link->host->connect_options[VTABI_CONNECT_SECRET] : NULL,
    };
    struct node *node;
    struct node_session *session;
    int rc = node_open(&config, &node, err);
    if (rc != BASE_OK)
        return rc;
    rc = node_session_new(node, &session, err);
    if (rc == BASE_OK) {
        rc = node_session_set_batch(session, link->host->unlogged, err);
        if (rc != BASE_OK)
            node_session_free(session);
    }
    if (rc != BASE_OK) {
        node_release(node);
        return rc;
    }
    node_session_on_interrupt(session, is_interrupted, link->host);
    rc = node_wait_ready(session, err);
    if (rc != BASE_OK) {
        node_session_free(session);
        node_release(node);
        return rc;
    }
    link->node = node;
    link->session = session;
    return BASE_OK;
}

int vtabi_host_close(struct vtabi_host *host, struct base_err *err)
{
    for (struct vtabi_link *link = host->links; link; link = link->next)
        if (link->cursor_count || link->joined_count)
            return base_err_set(err, BASE_E_BUSY,
                                "%s is in use by a running statement or an open transaction",
                                link->dir);
    for (struct vtabi_link *link = host->links; link; link = link->next)
        link_close(link);
    sqlite3_free(host->default_dir);
    host->default_dir = NULL;
    host->default_contacts = false;
    return BASE_OK;
}

int vtabi_host_connect(struct vtabi_host *host, const char *contacts,
                       const char *const options[VTABI_CONNECT_OPTIONS], struct base_err *err)
{
    char **connected =
        sqlite3_realloc64(host->connected, (host->connected_count + 1) * sizeof *connected);
    char *copies[VTABI_CONNECT_OPTIONS] = {NULL};
    if (connected)
        host->connected = connected;
    char *own = connected ? sqlite3_mprintf("%s", contacts) : NULL,
         *again = own ? sqlite3_mprintf("%s", contacts) : NULL;
    bool ok = again != NULL;
    for (int i = 0; i < VTABI_CONNECT_OPTIONS && ok; i++) {
        copies[i] = options[i] ? sqlite3_mprintf("%s", options[i]) : NULL;
        ok = !options[i] || copies[i];
    }
    if (!ok) {
        for (int i = 0; i < VTABI_CONNECT_OPTIONS; i++)
            sqlite3_free(copies[i]);
        sqlite3_free(own);
        sqlite3_free(again);
        return base_err_set(err, BASE_E_NOMEM, "out of memory");
    }
    host->connected[host->connected_count++] = own;
    for (int i = 0; i < VTABI_CONNECT_OPTIONS; i++) {
        sqlite3_free(host->connect_options[i]);
        host->connect_options[i] = copies[i];
    }
    sqlite3_free(host->default_dir);
    host->default_dir = again;
    host->default_contacts = true;
    return BASE_OK;
}

int vtabi_host_default(struct vtabi_host *host, struct vtabi_link **out, struct base_err *err)
{
    int rc = vtabi_host_link(host, "main", (struct base_slice){0}, out, err);
    return rc == BASE_OK ? vtabi_link_open(*out, NULL, 0, true, err) : rc;
}
