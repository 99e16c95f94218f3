/* Finding the cluster: asking the seeds, and forming it where there is none.
 *
 * Invariants:
 *  1. Only the first seed of a node's own list forms, and only when each other seed that answered
 *     lately said that it is in no cluster; those that do not answer are waited for (SILENCE_NS).
 *  2. Where lists differ and two are first in theirs, the greater host id yields as long as it
 *     hears of the other.
 *  3. Before the first entry of a cluster's log is fetched its id is durable (REPLI_PAXOS_FOLLOW):
 *     a node that stops in between never forms, nor joins another.
 *  4. A directory that has a schema of its own forms, but does not join: its tables would be
 *     lost. */
#include "replication/join.h"

#define QUESTION_TIMEOUT_NS UINT64_C(1000000000)
#define SILENCE_NS UINT64_C(5000000000)
#define YIELD_NS UINT64_C(10000000000)
#define LATELY_NS UINT64_C(3000000000)
#define INTERVAL_MIN_NS UINT64_C(50000000)
#define INTERVAL_MAX_NS UINT64_C(1000000000)

static const struct base_uuid nobody;

static struct repli_form *form_of(const struct repl *repl)
{
    return &repl->join->form;
}

/* Cards. */

int repli_seed_card_put(struct base_buf *out, const struct repli_seed_card *card)
{
    int rc = base_buf_put(out, card->cluster_id.b, sizeof card->cluster_id.b);
    if (rc == BASE_OK)
        rc = base_buf_put_bytes(out, card->cluster_name);
    if (rc == BASE_OK)
        rc = base_buf_put_bytes(out, card->address);
    return rc == BASE_OK ? base_buf_put_u8(out, card->may_form) : rc;
}

bool repli_seed_card_get(struct base_slice body, struct repli_seed_card *card)
{
    struct base_reader in = base_reader(body);
    struct base_slice cluster_id;
    uint8_t may_form;
    *card = (struct repli_seed_card){0};
    if (!base_get_raw(&in, sizeof card->cluster_id.b, &cluster_id) ||
        !base_get_bytes(&in, &card->cluster_name) || !base_get_bytes(&in, &card->address) ||
        !base_get_u8(&in, &may_form) || base_reader_left(&in) || may_form > 1 ||
        card->cluster_name.len > RING_NAME_LEN_MAX * 4 ||
        card->address.len > RING_ADDRESS_LEN_MAX) {
        *card = (struct repli_seed_card){0};
        return false;
    }
    memcpy(card->cluster_id.b, cluster_id.data, sizeof card->cluster_id.b);
    card->may_form = may_form;
    return true;
}

static bool is_first(const struct repl *repl)
{
    const struct repli_form *form = form_of(repl);
    return form->count == 0 || form->seeds[0].state == REPLI_SEED_SELF;
}

/* In no cluster, following none, and the one to form it. */
static bool may_form(const struct repl *repl)
{
    return repl->ring->member_count == 0 && base_uuid_equal(repli_paxos_followed(repl), nobody) &&
           is_first(repl);
}

struct repli_seed_card repli_seed_card_own(const struct repl *repl)
{
    bool member = repl->ring->member_count > 0;
    return (struct repli_seed_card){
        .cluster_id = member ? repl->ring->cluster_id : nobody,
        .cluster_name = member ? repl->ring->cluster_name : repl->config.cluster_name,
        .address = repl->own_address,
        .may_form = may_form(repl),
    };
}

/* Another node in no cluster that would form one too. */
static void meet(struct repl *repl, struct base_uuid who, const struct repli_seed_card *card)
{
    if (card->may_form && may_form(repl) &&
        base_slice_equal(card->cluster_name, repl->config.cluster_name) &&
        memcmp(who.b, repl->config.host_id.b, sizeof who.b) < 0)
        form_of(repl)->yield_until_ns = repli_now(repl) + YIELD_NS;
}

void repli_seed_handle(struct repl *repl, struct repl_inbound *in)
{
    struct repli_seed_card card, own = repli_seed_card_own(repl);
    struct base_buf body;
    if (!repli_seed_card_get(in->message.body, &card)) {
        repli_reply_failure(repl, in, BASE_E_CORRUPT, (struct base_slice){0},
                            base_err_words(BASE_E_CORRUPT));
        return;
    }
    if (repli_is_self(repl, in->message.sender) &&
        !base_slice_equal(card.address, repl->own_address))
        base_logf(
            repl->ports.log, BASE_LOG_WARN,
            "cluster: a node at %.*s runs with this node's host id: one of the two has a copy "
            "of the other's data directory",
            BASE_SLICE_ARG(card.address));
    if (base_uuid_equal(card.cluster_id, nobody))
        meet(repl, in->message.sender, &card);
    base_buf_init(&body, 1024);
    if (repli_seed_card_put(&body, &own) == BASE_OK)
        repli_reply(repl, in, base_buf_view(&body));
    else
        repli_drop(repl, in);
    base_buf_fini(&body);
}

/* Found. */

static void fetch_log(struct repl *repl)
{
    struct repli_form *form = form_of(repl);
    repli_join_enter(repl, REPLI_JOIN_FETCHING, "fetching the cluster's metadata log from %.*s",
                     BASE_SLICE_ARG(form->peer.address));
    repli_learner_follow(repl, form->peer, form->peer_epoch);
}

static void followed(struct repl *repl, struct repli_paxos_request *request,
                     const struct repli_paxos_answer *answer)
{
    (void)request;
    form_of(repl)->following = false;
    if (answer->rc == BASE_OK)
        fetch_log(repl);
    else if (answer->rc != BASE_E_CLOSED)
        repli_join_refuse(repl, "the cluster's id could not be made durable: %s", answer->text);
}

static void found(struct repl *repl, const struct base_message *reply,
                  const struct repli_seed_card *card)
{
    struct repli_form *form = form_of(repl);
    struct base_uuid before = repli_paxos_followed(repl);
    if (form->following || reply->epoch == 0)
        return;
    memcpy(form->peer_address, card->address.data, card->address.len);
    form->peer =
        (struct repli_peer){reply->sender, base_slice(form->peer_address, card->address.len)};
    form->peer_epoch = reply->epoch;
    form->cluster_id = card->cluster_id;
    if (base_uuid_equal(before, card->cluster_id)) {
        fetch_log(repl);
        return;
    }
    if (!base_uuid_equal(before, nobody)) {
        repli_join_refuse(repl,
                          "this directory has a part of another cluster's metadata log than that "
                          "of %.*s: start with a new one",
                          BASE_SLICE_ARG(card->address));
        return;
    }
    if (repl_epoch(repl) > 0) {
        repli_join_refuse(repl,
                          "this directory has a schema of its own, and %.*s is in a cluster: "
                          "tables cannot be brought along; start with "
                          "a new directory, or without seeds",
                          BASE_SLICE_ARG(card->address));
        return;
    }
    struct repli_paxos_request *request = repli_paxos_request_new(REPLI_PAXOS_FOLLOW);
    if (!request)
        return; /* asked again soon */
    request->cluster_id = card->cluster_id;
    request->answered = followed;
    form->following = true;
    repli_paxos_submit(repl, request);
}

/* Asking. */

/* May we, now? (1, 2.) */
static void decide(struct repl *repl)
{
    struct repli_form *form = form_of(repl);
    uint64_t now = repli_now(repl);
    bool waited = now - form->began_ns >= SILENCE_NS;
    if (repl->join->phase != REPLI_JOIN_LOOKING || form->following || !may_form(repl) ||
        now < form->yield_until_ns)
        return;
    for (size_t i = 0; i < form->count; i++) {
        const struct repli_seed *seed = &form->seeds[i];
        bool says_empty = seed->state == REPLI_SEED_EMPTY && now - seed->heard_ns <= LATELY_NS;
        if (seed->state != REPLI_SEED_SELF && !says_empty && !waited)
            return;
    }
    repli_join_form(repl);
}

static void seed_answered(struct repl *repl, struct repli_call *call, int rc,
                          const struct base_message *reply)
{
    struct repli_seed *seed = BASE_CONTAINER(call, struct repli_seed, call);
    struct repli_seed_card card;
    if (rc != BASE_OK || !repli_seed_card_get(reply->body, &card) ||
        (repl->join->phase != REPLI_JOIN_LOOKING && repl->join->phase != REPLI_JOIN_FETCHING))
        return;
    seed->heard_ns = repli_now(repl);
    if (repli_is_self(repl, reply->sender)) {
        seed->state = REPLI_SEED_SELF;
        if (!base_slice_equal(card.address, repl->own_address))
            repli_join_refuse(repl,
                              "this node's host id is in use at %.*s: this data directory is a "
                              "copy of that node's",
                              BASE_SLICE_ARG(card.address));
    } else if (!base_slice_equal(card.cluster_name, repl->config.cluster_name)) {
        repli_join_refuse(repl,
                          "seed %.*s is of cluster \"%.*s\", this node is configured for \"%.*s\"",
                          BASE_SLICE_ARG(card.address), BASE_SLICE_ARG(card.cluster_name),
                          BASE_SLICE_ARG(repl->config.cluster_name));
    } else if (!base_uuid_equal(card.cluster_id, nobody)) {
        found(repl, reply, &card);
    } else {
        seed->state = REPLI_SEED_EMPTY;
        meet(repl, reply->sender, &card);
        decide(repl);
    }
}

static void ask_seeds(struct repl *repl)
{
    struct repli_form *form = form_of(repl);
    struct repli_seed_card own = repli_seed_card_own(repl);
    struct base_buf body;
    base_buf_init(&body, 1024);
    if (repli_seed_card_put(&body, &own) == BASE_OK)
        for (size_t i = 0; i < form->count; i++) {
            struct repli_seed *seed = &form->seeds[i];
            if (seed->state == REPLI_SEED_SELF || seed->call.pending)
                continue;
            seed->call.done = seed_answered;
            repli_call_start(
                repl, &seed->call, (struct repli_peer){.address = repl->config.seeds[i]},
                REPL_LANE_GOSSIP, REPL_VERB_META_SEED, base_buf_view(&body), QUESTION_TIMEOUT_NS);
        }
    base_buf_fini(&body);
}

static void timer_fired(struct repl *repl, struct repli_timer *timer)
{
    struct repli_form *form = form_of(repl);
    enum repli_join_phase phase = repl->join->phase;
    if (phase != REPLI_JOIN_LOOKING && phase != REPLI_JOIN_FETCHING)
        return;
    uint64_t wait = INTERVAL_MIN_NS << (form->rounds < 8 ? form->rounds : 8);
    wait = wait > INTERVAL_MAX_NS ? INTERVAL_MAX_NS : wait;
    form->rounds++;
    repli_timer_arm_after(repl, timer, wait + base_random_u64(repl->ports.random) % (wait / 4));
    decide(repl);
    if (repl->join->phase == phase)
        ask_seeds(repl);
}

void repli_form_begin(struct repl *repl)
{
    struct repli_form *form = form_of(repl);
    form->began_ns = repli_now(repl);
    form->rounds = 0;
    if (form->count == 0)
        repli_join_enter(repl, REPLI_JOIN_LOOKING, "forming a cluster of its own");
    else
        repli_join_enter(repl, REPLI_JOIN_LOOKING,
                         "looking for cluster \"%.*s\": asking the seeds (%.*s%s)",
                         BASE_SLICE_ARG(repl->config.cluster_name),
                         BASE_SLICE_ARG(repl->config.seeds[0]), form->count > 1 ? ", …" : "");
    form->timer.fired = timer_fired;
    repli_timer_arm_after(repl, &form->timer, 0);
    decide(repl);
}

void repli_form_stop(struct repl *repl)
{
    struct repli_form *form = form_of(repl);
    repli_timer_disarm(repl, &form->timer);
    for (size_t i = 0; i < form->count; i++)
        repli_call_cancel(repl, &form->seeds[i].call);
}

int repli_form_open(struct repl *repl)
{
    struct repli_form *form = form_of(repl);
    form->count =
        repl->config.seed_count < REPLI_SEEDS_MAX ? repl->config.seed_count : REPLI_SEEDS_MAX;
    form->seeds = calloc(form->count + 1, sizeof *form->seeds);
    if (!form->seeds)
        return BASE_E_NOMEM;
    for (size_t i = 0; i < form->count; i++)
        if (base_slice_equal(repl->config.seeds[i], repl->own_address))
            form->seeds[i].state = REPLI_SEED_SELF;
    return BASE_OK;
}

void repli_form_close(struct repl *repl)
{
    repli_form_stop(repl);
    free(form_of(repl)->seeds);
    form_of(repl)->seeds = NULL;
}
