/* Sessions: the hello, the keys, the MACs' handles, what was seen. docs/formats/internode.md.
 *
 * Hello, by the client:  0 version u8  1 kind u8 (1 secret, 2 token, 3 certificate)  2 zero u16  4
 * generation u32  8 host id (16 bytes)
 *                       24 nonce (32)  56 cluster name: length u8, bytes; then the MAC (32)
 * Answer:                0 version u8  1 zero (3 bytes)  4 generation u32  8 host id (16)  24
 * session id (16)  40 nonce (32)  72 MAC (32)
 *
 * Invariants:
 * 1. Both MACs are under a key derived from the credential; the answer's covers the whole hello
 *    too, so it fits no other.
 * 2. The session's two keys come from the credential, both nonces, and all that was said: a hello
 *    recorded and sent again makes a session whose keys its sender does not know.
 * 3. Such a session stays among the unproven, which have a limit of their own: nobody without the
 *    credential can push out a session that is in use.
 * 4. A session belongs to two processes' lives: neither side keeps it over a restart. */
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>

#include "net/internode_private.h"

enum { HELLO_HEAD = 57, ANSWER_LEN = 104, KEY_LEN = 32, CLUSTER_NAME_LEN_MAX = 255 };

/* Keys. */

static gnutls_datum_t datum(const void *data, size_t len)
{
    return (gnutls_datum_t){(unsigned char *)(uintptr_t)data, (unsigned)len};
}

/* HKDF-SHA256. */
static bool derive(const struct neti_credential *credential, struct base_slice salt,
                   const char *label, struct base_slice info, uint8_t key[KEY_LEN])
{
    uint8_t prk[KEY_LEN], text[64 + 2 * KEY_LEN];
    size_t label_len = strlen(label);
    BASE_ASSERT(label_len + info.len <= sizeof text);
    memcpy(text, label, label_len);
    if (info.len)
        memcpy(text + label_len, info.data, info.len);
    gnutls_datum_t secret = datum(credential->bytes, credential->len),
                   with = datum(salt.data, salt.len);
    gnutls_datum_t out = datum(prk, sizeof prk), about = datum(text, label_len + info.len);
    bool ok = gnutls_hkdf_extract(GNUTLS_MAC_SHA256, &secret, &with, prk) == 0 &&
              gnutls_hkdf_expand(GNUTLS_MAC_SHA256, &out, &about, key, KEY_LEN) == 0;
    gnutls_memset(prk, 0, sizeof prk);
    return ok;
}

/* The MAC of a hello, or of an answer to it (then with the hello in front). */
static bool hello_mac(const struct neti_credential *credential, const char *label,
                      struct base_slice hello, struct base_slice answer, uint8_t mac[NETI_MAC_LEN])
{
    uint8_t key[KEY_LEN];
    gnutls_hmac_hd_t handle;
    bool ok = derive(credential, BASE_SLICE_LIT("ringlet internode 1 hello"), label,
                     (struct base_slice){0}, key) &&
              gnutls_hmac_init(&handle, GNUTLS_MAC_SHA256, key, sizeof key) == 0;
    gnutls_memset(key, 0, sizeof key);
    if (!ok)
        return false;
    gnutls_hmac(handle, hello.data, hello.len);
    if (answer.len)
        gnutls_hmac(handle, answer.data, answer.len);
    gnutls_hmac_deinit(handle, mac);
    return true;
}

static bool session_keys(struct neti_session *session, const struct neti_credential *credential,
                         struct base_slice hello, struct base_slice answer)
{
    uint8_t said[2 * KEY_LEN], salt[2 * NETI_NONCE_LEN], key[KEY_LEN];
    gnutls_hmac_hd_t handle = NULL;
    memcpy(salt, hello.data + 24, NETI_NONCE_LEN);
    memcpy(salt + NETI_NONCE_LEN, answer.data + 40, NETI_NONCE_LEN);
    bool ok = gnutls_hash_fast(GNUTLS_DIG_SHA256, hello.data, hello.len, said) == 0 &&
              gnutls_hash_fast(GNUTLS_DIG_SHA256, answer.data, answer.len, said + KEY_LEN) == 0;
    for (int i = 0; ok && i < 2; i++) {
        ok = derive(credential, base_slice(salt, sizeof salt), i == 0 ? "to server" : "to client",
                    base_slice(said, sizeof said), key) &&
             gnutls_hmac_init(&handle, GNUTLS_MAC_SHA256, key, sizeof key) == 0;
        if (ok && i == 0)
            session->mac_to_server = handle;
        else if (ok)
            session->mac_to_client = handle;
    }
    gnutls_memset(key, 0, sizeof key);
    return ok;
}

static void set_credential(struct neti_credential *credential, enum neti_kind kind,
                           struct base_slice bytes)
{
    static const char none[] = "by certificate";
    credential->kind = kind;
    credential->len = 0;
    if (kind == NETI_KIND_CERTIFICATE)
        bytes = BASE_SLICE_LIT(none);
    BASE_ASSERT(bytes.len <= sizeof credential->bytes);
    if (bytes.len)
        memcpy(credential->bytes, bytes.data, bytes.len);
    credential->len = bytes.len;
}

/* A session. */

static struct neti_session *session_new(void)
{
    struct neti_session *session = calloc(1, sizeof *session);
    if (session)
        session->refs = 1;
    return session;
}

void neti_session_release(struct neti_session *session)
{
    if (!session || --session->refs > 0)
        return;
    BASE_ASSERT(!session->table);
    if (session->mac_to_server)
        gnutls_hmac_deinit(session->mac_to_server, NULL);
    if (session->mac_to_client)
        gnutls_hmac_deinit(session->mac_to_client, NULL);
    for (int i = 0; i < NET_INTERNODE_LANES; i++)
        free(session->windows[i]);
    free(session);
}

bool neti_window_take(struct neti_window *window, uint64_t sequence)
{
    if (sequence > window->top) {
        if (sequence - window->top >= NETI_WINDOW)
            memset(window->bits, 0, sizeof window->bits);
        else
            for (uint64_t s = window->top + 1; s < sequence; s++)
                window->bits[s % NETI_WINDOW / 64] &= ~(UINT64_C(1) << (s % 64));
        window->top = sequence;
    } else if (window->top - sequence >= NETI_WINDOW ||
               (window->bits[sequence % NETI_WINDOW / 64] >> (sequence % 64) & 1) != 0) {
        return false;
    }
    window->bits[sequence % NETI_WINDOW / 64] |= UINT64_C(1) << (sequence % 64);
    return true;
}

/* The client's hello. */

int neti_hello_begin(struct neti_hello *hello, const struct net_internode_config *config,
                     struct base_err *err)
{
    size_t name_len = strlen(config->cluster_name), len = HELLO_HEAD + name_len;
    uint8_t *p = hello->request;
    BASE_ASSERT(name_len <= CLUSTER_NAME_LEN_MAX);
    if (hello->credential.kind == NETI_KIND_CERTIFICATE)
        set_credential(&hello->credential, NETI_KIND_CERTIFICATE, (struct base_slice){0});
    memset(p, 0, 8);
    p[0] = NETI_VERSION;
    p[1] = (uint8_t)hello->credential.kind;
    base_put_le32(p + 4, config->generation);
    memcpy(p + 8, config->host_id.b, 16);
    config->random->ops->fill(config->random, p + 24, NETI_NONCE_LEN);
    p[56] = (uint8_t)name_len;
    memcpy(p + HELLO_HEAD, config->cluster_name, name_len);
    if (!hello_mac(&hello->credential, "client", base_slice(p, len), (struct base_slice){0},
                   p + len))
        return base_err_set(err, BASE_E_NOMEM, "hello: out of memory");
    hello->request_len = len + NETI_MAC_LEN;
    return BASE_OK;
}

int neti_hello_end(struct neti_hello *hello, const struct net_internode_config *config,
                   struct base_slice answer, struct neti_session **out, struct base_err *err)
{
    uint8_t mac[NETI_MAC_LEN];
    struct base_slice request = base_slice(hello->request, hello->request_len);
    struct neti_session *session = NULL;
    int rc = BASE_OK;
    (void)config;
    *out = NULL;
    if (answer.len > 0 && answer.data[0] != NETI_VERSION) {
        rc = base_err_set(err, BASE_E_VERSION, "hello: answered by version %u, here %u",
                          answer.data[0], NETI_VERSION);
        goto out;
    }
    if (answer.len != ANSWER_LEN) {
        rc = base_err_set(err, BASE_E_CORRUPT, "hello: an answer of %zu bytes", answer.len);
        goto out;
    }
    if (!hello_mac(&hello->credential, "server", request,
                   base_slice(answer.data, ANSWER_LEN - NETI_MAC_LEN), mac) ||
        gnutls_memcmp(mac, answer.data + ANSWER_LEN - NETI_MAC_LEN, NETI_MAC_LEN) != 0) {
        rc = base_err_set(err, BASE_E_UNAUTHORIZED,
                          "hello: the answer is not by somebody who has the %s",
                          hello->credential.kind == NETI_KIND_SECRET ? "cluster secret" : "token");
        goto out;
    }
    session = session_new();
    if (!session || !session_keys(session, &hello->credential, request, answer)) {
        rc = base_err_set(err, BASE_E_NOMEM, "hello: out of memory");
        goto out;
    }
    memcpy(session->id, answer.data + 24, NETI_SESSION_ID_LEN);
    memcpy(session->peer.b, answer.data + 8, 16);
    session->peer_generation = base_get_le32(answer.data + 4);
    *out = session;
out:
    if (rc != BASE_OK)
        neti_session_release(session);
    neti_hello_forget(hello);
    return rc;
}

void neti_hello_forget(struct neti_hello *hello)
{
    gnutls_memset(&hello->credential, 0, sizeof hello->credential);
}

/* The server's sessions. */

static void list_init(struct neti_session_list *list)
{
    list->first = NULL;
    list->last = &list->first;
    list->count = 0;
}

static void list_append(struct neti_session_list *list, struct neti_session *session)
{
    session->next = NULL;
    session->prev = list->last;
    *list->last = session;
    list->last = &session->next;
    list->count++;
}

static void list_remove(struct neti_session_list *list, struct neti_session *session)
{
    BASE_ASSERT(*session->prev == session);
    *session->prev = session->next;
    if (session->next)
        session->next->prev = session->prev;
    else
        list->last = session->prev;
    BASE_ASSERT(list->count > 0);
    list->count--;
}

static void forget(struct neti_sessions *sessions, struct neti_session *session)
{
    struct neti_session **at = &sessions->buckets[session->id[0]];
    while (*at != session) {
        BASE_ASSERT(*at);
        at = &(*at)->next_in_bucket;
    }
    *at = session->next_in_bucket;
    list_remove(session->proven ? &sessions->proven : &sessions->unproven, session);
    session->table = NULL;
    neti_session_release(session);
}

static void expire(struct neti_sessions *sessions, struct neti_session_list *list,
                   unsigned count_max, uint64_t now_ns)
{
    while (list->first &&
           (list->count > count_max || now_ns - list->first->used_ns > NETI_SESSION_IDLE_NS))
        forget(sessions, list->first);
}

void neti_sessions_init(struct neti_sessions *sessions)
{
    memset(sessions, 0, sizeof *sessions);
    list_init(&sessions->proven);
    list_init(&sessions->unproven);
}

void neti_sessions_fini(struct neti_sessions *sessions)
{
    while (sessions->proven.first)
        forget(sessions, sessions->proven.first);
    while (sessions->unproven.first)
        forget(sessions, sessions->unproven.first);
}

struct neti_session *neti_sessions_find(struct neti_sessions *sessions,
                                        const uint8_t id[NETI_SESSION_ID_LEN], uint64_t now_ns)
{
    expire(sessions, &sessions->proven, NETI_SESSIONS_MAX, now_ns);
    for (struct neti_session *session = sessions->buckets[id[0]]; session;
         session = session->next_in_bucket)
        if (memcmp(session->id, id, NETI_SESSION_ID_LEN) == 0)
            return session;
    return NULL;
}

bool neti_sessions_known(const struct neti_sessions *sessions,
                         const uint8_t id[NETI_SESSION_ID_LEN])
{
    const struct neti_session *session = sessions->buckets[id[0]];
    while (session && memcmp(session->id, id, NETI_SESSION_ID_LEN) != 0)
        session = session->next_in_bucket;
    return session != NULL;
}

void neti_sessions_used(struct neti_session *session, uint64_t now_ns)
{
    struct neti_sessions *sessions = session->table;
    BASE_ASSERT(sessions);
    list_remove(session->proven ? &sessions->proven : &sessions->unproven, session);
    session->proven = true;
    session->used_ns = now_ns;
    list_append(&sessions->proven, session);
    expire(sessions, &sessions->proven, NETI_SESSIONS_MAX, now_ns);
}

/* Answering a hello. */

static int check_hello(const struct net_internode_config *config, bool certified,
                       struct base_slice request, struct neti_credential *credential,
                       struct base_err *err)
{
    uint8_t mac[NETI_MAC_LEN];
    if (request.len > 0 && request.data[0] != NETI_VERSION)
        return base_err_set(err, BASE_E_VERSION, "hello: version %u, here %u", request.data[0],
                            NETI_VERSION);
    if (request.len < HELLO_HEAD ||
        request.len != (size_t)HELLO_HEAD + request.data[56] + NETI_MAC_LEN)
        return base_err_set(err, BASE_E_CORRUPT, "hello: %zu bytes are none", request.len);
    const char *name;
    switch (request.data[1]) {
    case NETI_KIND_SECRET:
        name = "cluster secret";
        set_credential(credential, NETI_KIND_SECRET, config->secret);
        break;
    case NETI_KIND_TOKEN:
        name = "token";
        set_credential(credential, NETI_KIND_TOKEN, config->token);
        break;
    case NETI_KIND_CERTIFICATE:
        name = "certificate";
        set_credential(credential, NETI_KIND_CERTIFICATE, (struct base_slice){0});
        if (!certified)
            credential->len = 0;
        break;
    default:
        return base_err_set(err, BASE_E_CORRUPT, "hello: unknown kind %u of credential",
                            request.data[1]);
    }
    if (credential->len == 0)
        return base_err_set(
            err, BASE_E_UNAUTHORIZED, "hello: keyed by a %s, and this node %s", name,
            request.data[1] == NETI_KIND_CERTIFICATE ? "saw none that it trusts on this connection"
                                                     : "has none");
    struct base_slice said = base_slice(request.data, request.len - NETI_MAC_LEN);
    if (!hello_mac(credential, "client", said, (struct base_slice){0}, mac))
        return base_err_set(err, BASE_E_NOMEM, "hello: out of memory");
    if (gnutls_memcmp(mac, request.data + said.len, NETI_MAC_LEN) != 0)
        return base_err_set(err, BASE_E_UNAUTHORIZED, "hello: the %s is not this node's", name);
    struct base_slice cluster = base_slice(request.data + HELLO_HEAD, request.data[56]);
    if (cluster.len &&
        !base_slice_equal(cluster, base_slice_str(config->cluster_name))) { /* a guest names none */
        char shown[CLUSTER_NAME_LEN_MAX + 1];
        for (size_t i = 0; i < cluster.len; i++) /* it goes into logs */
            shown[i] =
                cluster.data[i] < 0x20 || cluster.data[i] == 0x7f ? '?' : (char)cluster.data[i];
        return base_err_set(err, BASE_E_UNAUTHORIZED,
                            "hello: from a node of the cluster \"%.*s\", this is a node of \"%s\"",
                            (int)cluster.len, shown, config->cluster_name);
    }
    return BASE_OK;
}

int neti_hello_answer(struct neti_sessions *sessions, const struct net_internode_config *config,
                      bool certified, struct base_slice request, uint64_t now_ns,
                      struct base_buf *answer, struct base_err *err)
{
    struct neti_credential credential;
    struct neti_session *session = NULL;
    uint8_t p[ANSWER_LEN] = {NETI_VERSION};
    int rc = check_hello(config, certified, request, &credential, err);
    if (rc != BASE_OK)
        goto out;
    base_put_le32(p + 4, config->generation);
    memcpy(p + 8, config->host_id.b, 16);
    config->random->ops->fill(config->random, p + 24, NETI_SESSION_ID_LEN + NETI_NONCE_LEN);
    session = session_new();
    rc = base_buf_put(answer, p, sizeof p);
    if (rc == BASE_OK &&
        (!session ||
         !hello_mac(&credential, "server", request, base_slice(p, ANSWER_LEN - NETI_MAC_LEN),
                    answer->data + ANSWER_LEN - NETI_MAC_LEN) ||
         !session_keys(session, &credential, request, base_buf_view(answer))))
        rc = BASE_E_NOMEM;
    if (rc != BASE_OK) {
        neti_session_release(session);
        base_buf_reset(answer);
        rc = base_err_set(err, rc, "hello: out of memory");
        goto out;
    }
    memcpy(session->id, p + 24, NETI_SESSION_ID_LEN);
    memcpy(session->peer.b, request.data + 8, 16);
    session->peer_generation = base_get_le32(request.data + 4);
    session->used_ns = now_ns;
    session->table = sessions;
    session->next_in_bucket = sessions->buckets[session->id[0]];
    sessions->buckets[session->id[0]] = session;
    list_append(&sessions->unproven, session);
    expire(sessions, &sessions->unproven, NETI_SESSIONS_UNPROVEN_MAX, now_ns);
out:
    gnutls_memset(&credential, 0, sizeof credential);
    return rc;
}
