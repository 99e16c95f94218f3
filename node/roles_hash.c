/* Passwords: bcrypt by libcrypt, one at a time, on a thread of the pool.
 *
 * Invariants:
 *  1. At most one job is posted; the others wait in the loop's own queue, of which each has its
 *     turn. So a flood of logins takes one processor, and the node's end waits for one hash.
 *  2. A hash that is compared with nothing takes as long as one that is compared with something. */
#include <crypt.h>
#include <stdio.h>
#include <string.h>

#include "node/roles_private.h"

#define QUEUE_MAX 256
#define PREFIX "$2a$" /* as Cassandra's jBCrypt writes it */
#define COST 10
/* some 4 s: a hash that takes longer would hold up everybody's login, and the node's end */
#define COST_MAX 16
/* A hash of no password that anybody knows: compared with where there is none. */
#define DUMMY "$2a$10$abcdefghijklmnopqrstuuO1qZ2Yx3Wv4Ut5Sr6Qp7On8Ml9Kj0I."

bool nodei_hash_is_valid(struct base_slice text)
{
    static const char alphabet[] =
        "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    if (text.len != 60 || text.data[0] != '$' || text.data[1] != '2' ||
        !strchr("aby", text.data[2]) || text.data[3] != '$' || text.data[4] < '0' ||
        text.data[4] > '3' || text.data[5] < '0' || text.data[5] > '9' || text.data[6] != '$')
        return false;
    int cost = (text.data[4] - '0') * 10 + text.data[5] - '0';
    if (cost < 4 || cost > COST_MAX)
        return false;
    for (size_t i = 7; i < text.len; i++)
        if (!text.data[i] || !strchr(alphabet, text.data[i]))
            return false;
    return true;
}

static bool equal_in_constant_time(const char *a, const char *b)
{
    size_t len = strlen(a);
    unsigned differ = strlen(b) != len;
    for (size_t i = 0; i < len && !differ; i++)
        differ |= (unsigned)(a[i] ^ b[i]);
    return !differ;
}

static void hash_now(struct nodei_hash *hash)
{
    struct crypt_data *data = calloc(1, sizeof *data);
    char setting[CRYPT_GENSALT_OUTPUT_SIZE];
    bool is_stored = nodei_hash_is_valid(base_slice_str(hash->stored)); /* whoever wrote it */
    const char *stored = is_stored ? hash->stored : DUMMY;
    hash->rc = data ? BASE_OK : BASE_E_NOMEM;
    if (!data)
        return;
    if (hash->make && !crypt_gensalt_rn(PREFIX, COST, (const char *)hash->salt, sizeof hash->salt,
                                        setting, sizeof setting))
        hash->rc = BASE_E_INTERNAL;
    const char *out =
        hash->rc == BASE_OK ? crypt_r(hash->password, hash->make ? setting : stored, data) : NULL;
    if (hash->rc == BASE_OK && hash->make) {
        if (!out || out[0] == '*')
            hash->rc = BASE_E_INTERNAL;
        else
            snprintf(hash->made, sizeof hash->made, "%s", out);
    } else if (hash->rc == BASE_OK) {
        /* the dummy is a good hash, and was worked at */
        BASE_ASSERT(is_stored || (out && out[0] != '*'));
        hash->matches =
            out && out[0] != '*' && is_stored && equal_in_constant_time(out, hash->stored);
    }
    explicit_bzero(data, sizeof *data);
    free(data);
}

static void post_next(struct nodei_auth *auth);

/* On the loop. */
static void hash_ended(struct net_task *task)
{
    struct nodei_hash *hash = BASE_CONTAINER(task, struct nodei_hash, task);
    struct nodei_auth *auth = hash->cluster->auth;
    BASE_ASSERT(auth->hashing == hash);
    auth->hashing = NULL;
    post_next(auth);
    hash->done(hash);
}

static enum base_step step(struct base_job *job)
{
    struct nodei_hash *hash = BASE_CONTAINER(job, struct nodei_hash, job);
    hash_now(hash);
    explicit_bzero(hash->password, sizeof hash->password);
    hash->task.run = hash_ended;
    nodei_cluster_post(hash->cluster, &hash->task);
    return BASE_STEP_DONE;
}

/* The cluster has ended before the pool does, and it waits for what is posted. */
static void cancelled(struct base_job *job)
{
    (void)job;
    BASE_ASSERT(false);
}

static void post_next(struct nodei_auth *auth)
{
    struct nodei_hash *hash = auth->queue;
    if (!hash || auth->hashing)
        return;
    auth->queue = hash->next;
    if (!auth->queue)
        auth->queue_end = &auth->queue;
    auth->queued--;
    auth->hashing = hash;
    hash->job = (struct base_job){
        .step = step, .cancelled = cancelled, .name = "password", .lane = BASE_LANE_AUTH};
    base_executor_post(hash->cluster->node->executor, &hash->job);
}

static void refused(struct net_task *task)
{
    struct nodei_hash *hash = BASE_CONTAINER(task, struct nodei_hash, task);
    hash->done(hash);
}

static void refuse(struct nodei_hash *hash, int rc)
{
    hash->rc = rc;
    explicit_bzero(hash->password, sizeof hash->password);
    hash->task.run = refused;
    nodei_cluster_post(hash->cluster, &hash->task);
}

void nodei_hash_refuse_all(struct nodei_auth *auth)
{
    while (auth->queue) {
        struct nodei_hash *hash = auth->queue;
        auth->queue = hash->next;
        auth->queued--;
        hash->rc = BASE_E_CLOSED;
        explicit_bzero(hash->password, sizeof hash->password);
        hash->done(hash);
    }
    auth->queue_end = &auth->queue;
}

void nodei_hash_start(struct node *node, struct nodei_hash *hash)
{
    struct nodei_auth *auth = nodei_auth(node);
    hash->cluster = node->cluster;
    hash->matches = false;
    hash->made[0] = 0;
    hash->next = NULL;
    if (!auth || auth->closing || auth->queued >= QUEUE_MAX) {
        refuse(hash, !auth ? BASE_E_NOMEM : auth->closing ? BASE_E_CLOSED : BASE_E_OVERLOADED);
        return;
    }
    if (hash->make) {
        struct base_random *random = nodei_random(node);
        random->ops->fill(random, hash->salt, sizeof hash->salt);
    }
    *auth->queue_end = hash;
    auth->queue_end = &hash->next;
    auth->queued++;
    post_next(auth);
}
