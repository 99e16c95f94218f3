/* What the files of net/'s internode part share: the session, POST bodies and response chunks,
 * peers, received POSTs. */
#ifndef NET_INTERNODE_PRIVATE_H
#define NET_INTERNODE_PRIVATE_H

#include "base/log.h"
#include "net/internode.h"
#include "net/net_private.h"

enum {
    NETI_VERSION = 1,
    NETI_FRAME_HEADER = 64,
    NETI_MAC_LEN = 32,
    NETI_SESSION_ID_LEN = 16,
    NETI_NONCE_LEN = 32,
    NETI_BODY_HEADER = 64,  /* of a POST */
    NETI_CHUNK_HEADER = 48, /* of a response */
    NETI_WINDOW = 8192,     /* sequence numbers of a lane that may overtake each other */
    NETI_HELLO_SIZE_MAX = 1024,
    NETI_PEER_BUCKETS = 256,
    NETI_PEERS_KEPT = 64, /* with more, those that nothing was sent to for NETI_PEER_IDLE_NS go */
    NETI_SESSIONS_MAX = 1024, /* proven */
    NETI_SESSIONS_UNPROVEN_MAX = 256,
};
#define NETI_SESSION_IDLE_NS 600000000000u /* 10 minutes */
#define NETI_PEER_IDLE_NS 600000000000u
#define NETI_COMPLAINT_NS 1000000000u /* one line a second about what peers do wrong */
#define NETI_NO_DEADLINE_MS 10000u    /* for a request whose timeout_ms is 0 */

enum neti_body_flag { NETI_BODY_LZ4 = 0x01, NETI_BODY_WANTS_LZ4 = 0x02 };
enum neti_chunk_flag { NETI_CHUNK_LZ4 = 0x01, NETI_CHUNK_END = 0x02, NETI_CHUNK_REFUSED = 0x04 };
enum neti_kind { NETI_KIND_SECRET = 1, NETI_KIND_TOKEN = 2, NETI_KIND_CERTIFICATE = 3 };

/* session.c. */

struct neti_credential {
    uint8_t bytes[NET_CREDENTIAL_LEN_MAX];
    size_t len;
    enum neti_kind kind;
};

/* Sequence numbers seen: `top` and the NETI_WINDOW below it. */
struct neti_window {
    uint64_t top;
    uint64_t bits[NETI_WINDOW / 64];
};
/* Is it new? Then it is marked. Older than the window is not new. */
bool neti_window_take(struct neti_window *window, uint64_t sequence);

struct neti_session {
    uint8_t id[NETI_SESSION_ID_LEN];
    struct base_uuid peer;
    uint32_t peer_generation;
    unsigned refs;
    void *mac_to_server, *mac_to_client; /* gnutls_hmac_hd_t: keyed, reset after each use */
    /* The client's: the next POST's sequence number, by lane. */
    uint64_t sequence[NET_INTERNODE_LANES];
    /* The server's: */
    struct neti_window *windows[NET_INTERNODE_LANES];
    bool proven; /* a body with a good MAC came: the other side has the key */
    uint64_t used_ns;
    struct neti_session *next_in_bucket, *next, **prev; /* table and LRU list */
    struct neti_sessions *table;
};
void neti_session_release(struct neti_session *session); /* NULL is fine */

/* The client's side of a hello, while it is under way. */
struct neti_hello {
    struct neti_credential credential;
    uint8_t request[NETI_HELLO_SIZE_MAX];
    size_t request_len;
};
BASE_MUST int neti_hello_begin(struct neti_hello *hello, const struct net_internode_config *config,
                               struct base_err *err);
/* The answer's body; a new session. UNAUTHORIZED, CORRUPT, VERSION. Forgets the credential. */
BASE_MUST int neti_hello_end(struct neti_hello *hello, const struct net_internode_config *config,
                             struct base_slice answer, struct neti_session **out,
                             struct base_err *err);
void neti_hello_forget(struct neti_hello *hello); /* its credential */

/* The server's sessions: a table with two LRU lists, of those whose peer has shown that it has the
 * key and of the others. */
struct neti_session_list {
    struct neti_session *first, **last; /* oldest use first */
    unsigned count;
};
struct neti_sessions {
    struct neti_session *buckets[256];
    struct neti_session_list proven, unproven;
};
void neti_sessions_init(struct neti_sessions *sessions);
void neti_sessions_fini(struct neti_sessions *sessions);
/* Answer a hello: a new session, and the answer's body. `certified`: the peer showed a certificate
 * that we verified. */
BASE_MUST int neti_hello_answer(struct neti_sessions *sessions,
                                const struct net_internode_config *config, bool certified,
                                struct base_slice request, uint64_t now_ns, struct base_buf *answer,
                                struct base_err *err);
struct neti_session *neti_sessions_find(struct neti_sessions *sessions,
                                        const uint8_t id[NETI_SESSION_ID_LEN], uint64_t now_ns);
bool neti_sessions_known(const struct neti_sessions *sessions,
                         const uint8_t id[NETI_SESSION_ID_LEN]);
/* A body with a good MAC came. */
void neti_sessions_used(struct neti_session *session, uint64_t now_ns);

/* body.c: POST bodies and response chunks. */

struct neti_body {
    int lane;
    unsigned flags;
    size_t raw_size;
    uint8_t session_id[NETI_SESSION_ID_LEN];
    uint64_t sequence;
    struct base_slice payload; /* as sent */
};
/* `body` holds NETI_BODY_HEADER bytes of room and then the frames. Compresses (when asked and when
 * it pays), numbers, signs. */
BASE_MUST int neti_body_seal(struct base_buf *body, struct neti_session *session, int lane,
                             uint64_t sequence, bool compress);
/* What a POST's body says of itself. VERSION, CORRUPT, LIMIT. */
BASE_MUST int neti_body_parse(struct base_slice bytes, size_t raw_size_max, struct neti_body *out,
                              struct base_err *err);
bool neti_body_verify(struct base_slice bytes, struct neti_session *session);
/* The frames of the payload: `raw` keeps them when they were compressed, else they are borrowed. */
BASE_MUST int neti_payload_open(struct base_slice payload, bool lz4, size_t raw_size,
                                struct base_buf *raw, struct base_slice *frames,
                                struct base_err *err);

struct neti_chunk {
    unsigned flags;
    size_t raw_size;
    struct base_slice payload;
};
/* `chunk` holds NETI_CHUNK_HEADER bytes of room and then the frames. */
BASE_MUST int neti_chunk_seal(struct base_buf *chunk, struct neti_session *session, int lane,
                              uint64_t sequence, uint32_t number, unsigned flags, bool compress);
/* The chunk at the reader. BUSY: incomplete; CORRUPT, LIMIT. session NULL: the MAC is not looked at
 * (fuzzing). */
BASE_MUST int neti_chunk_get(struct base_reader *in, struct neti_session *session, int lane,
                             uint64_t sequence, uint32_t number, size_t raw_size_max,
                             struct neti_chunk *out, struct base_err *err);

/* internode_client.c, internode_post.c: peers, lanes, queues. */

/* A request that waits, or whose POST is under way. */
struct neti_queued {
    struct neti_queued *next;
    struct base_uuid to;
    uint64_t deadline_ns;
    bool again; /* it was in a POST that found no session */
    struct base_message message;
    uint8_t body[];
};

struct neti_queue {
    struct neti_queued *first, **end;
};

struct neti_lane;

/* A POST: under way, or kept for the next. */
struct neti_post {
    struct neti_transfer transfer;
    struct neti_lane *lane;
    struct neti_queue frames;
    struct base_buf body;
    struct neti_session *session;
    uint64_t sequence, started_ns;
    /* The response: */
    struct base_buf in; /* bytes that are no whole chunk yet */
    uint32_t chunk_number;
    bool ended, refused, bad; /* the last chunk came; 503 under a MAC; what came is not taken */
    char message[CURL_ERROR_SIZE];
    struct neti_post *next, **prev; /* under way, youngest first */
};

struct neti_lane {
    struct neti_peer *peer;
    int number;
    struct neti_queue queue;
    size_t queue_bytes;
    uint64_t queue_count;
    struct neti_post *flying;
    struct neti_post *idle; /* by next */
    unsigned flying_count;
    uint64_t completed, dropped;
};

struct neti_peer {
    struct net_internode *internode;
    struct neti_peer *next, *next_in_bucket;
    struct neti_peer *next_pending; /* while `pending`: something may be sent to it */
    bool pending;
    uint64_t used_ns; /* when something was last sent to it */
    char *address;
    char *hello_url, *messages_url;
    char host[64];
    uint16_t port;
    bool compress;
    bool failed; /* the last hello: it is logged once */
    struct neti_session *session;
    /* The hello under way: */
    struct neti_transfer transfer;
    struct neti_hello hello;
    struct base_buf answer;
    char message[CURL_ERROR_SIZE];
    struct curl_slist *headers;
    struct neti_lane lanes[NET_INTERNODE_LANES];
};

static inline void neti_queue_init(struct neti_queue *queue)
{
    queue->first = NULL;
    queue->end = &queue->first;
}

static inline void neti_queue_append(struct neti_queue *queue, struct neti_queued *q)
{
    q->next = NULL;
    *queue->end = q;
    queue->end = &q->next;
}

static inline struct neti_queued *neti_queue_take(struct neti_queue *queue)
{
    struct neti_queued *q = queue->first;
    queue->first = q->next;
    if (!queue->first)
        queue->end = &queue->first;
    return q;
}

/* the first of its queue, which is not empty */
struct neti_queued *neti_lane_take(struct neti_lane *lane);
/* it will be in its queue */
void neti_lane_count(struct neti_lane *lane, const struct neti_queued *q);
/* told, freed */
void neti_lane_undelivered(struct neti_lane *lane, struct neti_queued *q);
/* What an easy handle to a peer has; message: CURL_ERROR_SIZE bytes. */
BASE_MUST int neti_peer_options(struct neti_transfer *transfer, struct neti_peer *peer,
                                const char *url, char *message);
/* Send what waits as one POST. False: nothing was sent, and nothing more can be now. */
bool neti_post_send(struct neti_lane *lane, uint64_t now_ns);
void neti_post_land(struct neti_post *post); /* it ended: kept for the next */
void neti_post_free(struct neti_post *post);

/* internode.c. */

struct neti_inpost;

struct net_internode {
    struct net_internode_config config; /* its strings and credentials are owned */
    struct base_buf secret, token;
    char *strings[4]; /* cluster name, certificate, key, ca */
    struct net_http_client *http;
    struct net_hook flush;
    struct net_timer gather; /* when a POST under way is no longer waited for */
    struct net_timer stream; /* when replies that wait for others go */
    struct neti_peer *peers; /* all of them */
    struct neti_peer *peer_buckets[NETI_PEER_BUCKETS]; /* the same, by address */
    struct neti_peer *pending;
    unsigned peer_count;
    bool peer_is_new;
    struct neti_sessions sessions;
    struct neti_inpost *inposts; /* with messages handed out */
    struct neti_inpost *ready;   /* with replies to send */
    struct net_internode_stats stats;
    uint64_t complained_ns, complaints; /* when last, and how many since were not logged */
};

uint64_t neti_now(const struct net_internode *internode);
/* Log what somebody else does wrong: he must not fill our log. */
void neti_complain(struct net_internode *internode, const char *what, const char *detail);

/* internode_client.c, internode_server.c. */

void neti_peers_flush(struct net_internode *internode);
void neti_peer_pending(struct neti_peer *peer); /* flush it at this turn's end */
/* Forget peers that nothing was sent to for NETI_PEER_IDLE_NS. */
void neti_peers_forget_idle(struct net_internode *internode, uint64_t now_ns);
void neti_peers_free(struct net_internode *internode);
void neti_inposts_flush(struct net_internode *internode);

#endif
