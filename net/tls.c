/* TLS of a listener: its certificate, key and ca, read again when their files change; and who shows
 * which certificate.
 *
 * Invariants:
 * 1. A connection keeps the reading of the files that it began with; the next connection sees the
 *    files as they are then.
 * 2. Files that do not fit each other (a new certificate whose key is not there yet) change
 *    nothing: the last good reading stays, and the next connection looks again.
 * 3. A peer's certificate counts only when this connection's own ca vouches for it. */
#include "net/net_private.h"

#include <gnutls/abstract.h>
#include <gnutls/x509.h>
#include <sys/stat.h>

enum { CHAIN_LEN_MAX = 8, FILES = 3, KEY_ID_LEN_MAX = 64 };

/* One reading of the files. */
struct certificates {
    unsigned refs;
    gnutls_pcert_st chain[CHAIN_LEN_MAX];
    unsigned chain_len;
    gnutls_privkey_t key;
    gnutls_x509_trust_list_t ca; /* NULL: none */
};

struct stamp {
    struct timespec changed;
    off_t size;
    ino_t inode;
};

struct neti_tls {
    char *files[FILES]; /* certificate, key, ca or NULL */
    struct stamp stamps[FILES];
    struct certificates *current;
};

struct neti_tls_link {
    struct certificates *certificates;
    bool looked, certified;
};

/* Reading the files. */

static void certificates_release(struct certificates *c)
{
    if (!c || --c->refs > 0)
        return;
    for (unsigned i = 0; i < c->chain_len; i++)
        gnutls_pcert_deinit(&c->chain[i]);
    if (c->key)
        gnutls_privkey_deinit(c->key);
    if (c->ca)
        gnutls_x509_trust_list_deinit(c->ca, 1);
    free(c);
}

static int load(const char *path, gnutls_datum_t *out, struct base_err *err)
{
    int rc = gnutls_load_file(path, out);
    return rc == 0 ? BASE_OK
                   : base_err_set(err, BASE_E_CONFIG, "read %s: %s", path, gnutls_strerror(rc));
}

static int read_chain(struct certificates *c, const char *path, struct base_err *err)
{
    gnutls_datum_t pem;
    unsigned count = CHAIN_LEN_MAX;
    int rc = load(path, &pem, err);
    if (rc != BASE_OK)
        return rc;
    int code = gnutls_pcert_list_import_x509_raw(c->chain, &count, &pem, GNUTLS_X509_FMT_PEM, 0);
    gnutls_free(pem.data);
    if (code != 0)
        return base_err_set(err, BASE_E_CONFIG, "%s: no certificates in PEM: %s", path,
                            gnutls_strerror(code));
    c->chain_len = count;
    return BASE_OK;
}

static int read_key(struct certificates *c, const char *path, struct base_err *err)
{
    gnutls_datum_t pem;
    uint8_t ids[2][KEY_ID_LEN_MAX] = {{0}};
    size_t lens[2] = {KEY_ID_LEN_MAX, KEY_ID_LEN_MAX};
    int rc = load(path, &pem, err);
    if (rc != BASE_OK)
        return rc;
    int code = gnutls_privkey_init(&c->key);
    if (code == 0)
        code = gnutls_privkey_import_x509_raw(c->key, &pem, GNUTLS_X509_FMT_PEM, NULL, 0);
    gnutls_memset(pem.data, 0, pem.size);
    gnutls_free(pem.data);
    if (code != 0)
        return base_err_set(err, BASE_E_CONFIG, "%s: no private key in PEM: %s", path,
                            gnutls_strerror(code));
    gnutls_pubkey_t public_key;
    if (gnutls_pubkey_init(&public_key) != 0)
        return base_err_set(err, BASE_E_NOMEM, "%s: out of memory", path);
    code = gnutls_pubkey_import_privkey(public_key, c->key, 0, 0);
    if (code == 0)
        code = gnutls_pubkey_get_key_id(public_key, GNUTLS_KEYID_USE_SHA256, ids[0], &lens[0]);
    if (code == 0)
        code =
            gnutls_pubkey_get_key_id(c->chain[0].pubkey, GNUTLS_KEYID_USE_SHA256, ids[1], &lens[1]);
    gnutls_pubkey_deinit(public_key);
    if (code != 0)
        return base_err_set(err, BASE_E_CONFIG, "%s: %s", path, gnutls_strerror(code));
    if (lens[0] != lens[1] || memcmp(ids[0], ids[1], lens[0]) != 0)
        return base_err_set(err, BASE_E_CONFIG, "%s is not the key of the certificate beside it",
                            path);
    return BASE_OK;
}

static int read_ca(struct certificates *c, const char *path, struct base_err *err)
{
    gnutls_datum_t pem;
    int rc = load(path, &pem, err);
    if (rc != BASE_OK)
        return rc;
    int code = gnutls_x509_trust_list_init(&c->ca, 0);
    if (code == 0)
        code = gnutls_x509_trust_list_add_trust_mem(c->ca, &pem, NULL, GNUTLS_X509_FMT_PEM, 0, 0);
    gnutls_free(pem.data);
    if (code <= 0)
        return base_err_set(err, BASE_E_CONFIG, "%s: no certificates in PEM%s%s", path,
                            code ? ": " : "", code ? gnutls_strerror(code) : "");
    return BASE_OK;
}

static int read_files(const struct neti_tls *tls, struct certificates **out, struct base_err *err)
{
    struct certificates *c = calloc(1, sizeof *c);
    *out = NULL;
    if (!c)
        return base_err_set(err, BASE_E_NOMEM, "TLS: out of memory");
    c->refs = 1;
    int rc = read_chain(c, tls->files[0], err);
    if (rc == BASE_OK)
        rc = read_key(c, tls->files[1], err);
    if (rc == BASE_OK && tls->files[2])
        rc = read_ca(c, tls->files[2], err);
    if (rc != BASE_OK)
        certificates_release(c);
    else
        *out = c;
    return rc;
}

static bool stamp_files(const struct neti_tls *tls, struct stamp stamps[FILES])
{
    bool changed = false;
    memset(stamps, 0, FILES * sizeof *stamps);
    for (int i = 0; i < FILES; i++) {
        struct stat st;
        if (!tls->files[i] || stat(tls->files[i], &st) != 0)
            continue;
        stamps[i].changed = st.st_mtim;
        stamps[i].size = st.st_size;
        stamps[i].inode = st.st_ino;
        const struct stamp *old = &tls->stamps[i];
        changed |= old->changed.tv_sec != st.st_mtim.tv_sec ||
                   old->changed.tv_nsec != st.st_mtim.tv_nsec || old->size != st.st_size ||
                   old->inode != st.st_ino;
    }
    return changed;
}

static void read_again(struct neti_tls *tls)
{
    struct stamp stamps[FILES];
    struct certificates *fresh;
    if (!stamp_files(tls, stamps) || read_files(tls, &fresh, NULL) != BASE_OK)
        return;
    memcpy(tls->stamps, stamps, sizeof stamps);
    certificates_release(tls->current);
    tls->current = fresh;
}

/* Open, close. */

int neti_tls_open(const struct net_tls_config *config, struct neti_tls **out, struct base_err *err)
{
    const char *const files[FILES] = {config->certificate,
                                      config->key ? config->key : config->certificate, config->ca};
    int rc = BASE_OK;
    *out = NULL;
    if (config->require_client_auth && !config->ca)
        return base_err_set(
            err, BASE_E_CONFIG,
            "require_client_auth needs the ca that vouches for the peers' certificates");
    struct neti_tls *tls = calloc(1, sizeof *tls);
    if (!tls)
        return base_err_set(err, BASE_E_NOMEM, "TLS: out of memory");
    for (int i = 0; i < FILES; i++)
        if (files[i] && !(tls->files[i] = strdup(files[i])))
            rc = base_err_set(err, BASE_E_NOMEM, "TLS: out of memory");
    if (rc == BASE_OK) {
        struct stamp stamps[FILES];
        /* before the files are read: a change in between is seen by the next connection */
        stamp_files(tls, stamps);
        memcpy(tls->stamps, stamps, sizeof stamps);
        rc = read_files(tls, &tls->current, err);
    }
    if (rc != BASE_OK) {
        neti_tls_close(tls);
        return rc;
    }
    *out = tls;
    return BASE_OK;
}

void neti_tls_close(struct neti_tls *tls)
{
    if (!tls)
        return;
    certificates_release(tls->current);
    for (int i = 0; i < FILES; i++)
        free(tls->files[i]);
    free(tls);
}

/* Connections. */

struct neti_tls_link *neti_tls_accept(struct neti_tls *tls, gnutls_session_t session)
{
    struct neti_tls_link *link = calloc(1, sizeof *link);
    if (!link)
        return NULL;
    read_again(tls);
    link->certificates = tls->current;
    link->certificates->refs++;
    if (link->certificates->ca)
        gnutls_certificate_server_set_request(session, GNUTLS_CERT_REQUEST);
    return link;
}

void neti_tls_link_free(struct neti_tls_link *link)
{
    if (!link)
        return;
    certificates_release(link->certificates);
    free(link);
}

void neti_tls_certificate(const struct neti_tls_link *link, gnutls_pcert_st **chain,
                          unsigned *chain_len, gnutls_privkey_t *key)
{
    *chain = link->certificates->chain;
    *chain_len = link->certificates->chain_len;
    *key = link->certificates->key;
}

static bool verify(struct neti_tls_link *link, gnutls_session_t session)
{
    gnutls_x509_crt_t chain[CHAIN_LEN_MAX];
    unsigned len = 0, imported = 0, status = GNUTLS_CERT_INVALID;
    const gnutls_datum_t *shown = gnutls_certificate_get_peers(session, &len);
    if (!link->certificates->ca || !shown || len == 0 || len > CHAIN_LEN_MAX)
        return false;
    bool ok = true;
    for (; ok && imported < len; imported += ok)
        ok = gnutls_x509_crt_init(&chain[imported]) == 0;
    for (unsigned i = 0; ok && i < len; i++)
        ok = gnutls_x509_crt_import(chain[i], &shown[i], GNUTLS_X509_FMT_DER) == 0;
    ok = ok &&
         gnutls_x509_trust_list_verify_crt2(link->certificates->ca, chain, len, NULL, 0, 0, &status,
                                            NULL) == 0 &&
         status == 0;
    for (unsigned i = 0; i < imported; i++)
        gnutls_x509_crt_deinit(chain[i]);
    return ok;
}

bool neti_tls_certified(struct neti_tls_link *link, gnutls_session_t session)
{
    if (!link->looked) {
        link->certified = verify(link, session);
        link->looked = true;
    }
    return link->certified;
}
