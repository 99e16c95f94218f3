/* Checkpoints: the state that the metadata log led to, for who lacks entries that nobody keeps any
 * more, and for guests, which keep no log.
 *
 * Invariants:
 *  1. A checkpoint is the snapshots of one epoch, which every node that is there has in the same
 *     bytes; its digest is over all of them.
 *  2. What is handed out stays the same while somebody fetches it, unless it has become so old that
 *     the entries behind it may be cut off too; who is in the middle begins anew then, and is told
 *     so by epoch and digest.
 *  3. What is fetched is used only when it is whole and its digest right; until then it is bytes,
 *     never more than were sent, and never more than REPL_CHECKPOINT_SIZE_MAX. */
#include "base/checksum.h"
#include "replication/metadata.h"

#define FORGET_NS UINT64_C(10000000000)

/* Handing out. */

static void forget(struct repli_checkpoint *checkpoint)
{
    base_buf_fini(&checkpoint->bytes);
    base_buf_init(&checkpoint->bytes, REPL_CHECKPOINT_SIZE_MAX);
    checkpoint->epoch = checkpoint->digest = 0;
}

static void forget_fired(struct repl *repl, struct repli_timer *timer)
{
    (void)repl;
    forget(BASE_CONTAINER(timer, struct repli_checkpoint, forget));
}

void repli_checkpoint_open(struct repli_checkpoint *checkpoint)
{
    *checkpoint = (struct repli_checkpoint){0};
    base_buf_init(&checkpoint->bytes, REPL_CHECKPOINT_SIZE_MAX);
    checkpoint->forget.fired = forget_fired;
}

void repli_checkpoint_close(struct repl *repl, struct repli_checkpoint *checkpoint)
{
    repli_timer_disarm(repl, &checkpoint->forget);
    base_buf_fini(&checkpoint->bytes);
}

static int make(struct repl *repl, struct repli_checkpoint *checkpoint)
{
    struct base_buf part;
    forget(checkpoint);
    base_buf_init(&part, REPL_CHECKPOINT_SIZE_MAX);
    int rc = base_schema_encode(repl->schema, &part);
    if (rc == BASE_OK)
        rc = base_buf_put_bytes(&checkpoint->bytes, base_buf_view(&part));
    base_buf_reset(&part);
    if (rc == BASE_OK)
        rc = ring_state_encode(repl->ring, &part);
    if (rc == BASE_OK)
        rc = base_buf_put_bytes(&checkpoint->bytes, base_buf_view(&part));
    base_buf_fini(&part);
    if (rc != BASE_OK) {
        forget(checkpoint);
        return rc;
    }
    checkpoint->epoch = repl_epoch(repl);
    checkpoint->digest = base_checksum(checkpoint->bytes.data, checkpoint->bytes.len);
    return BASE_OK;
}

/* Is what is there of use to somebody who has `after`, and will the entries behind it be there when
 * it has it? */
static bool serves(const struct repl *repl, const struct repli_checkpoint *checkpoint,
                   uint64_t after, uint64_t epoch)
{
    uint64_t age = repl_epoch(repl) - checkpoint->epoch;
    return checkpoint->bytes.len &&
           (age == 0 || epoch == checkpoint->epoch ||
            (checkpoint->epoch > after && age <= repl->config.metadata_log_entries / 2));
}

int repli_checkpoint_put(struct repl *repl, struct repli_checkpoint *checkpoint, uint64_t after,
                         uint64_t epoch, uint64_t offset, uint64_t bytes_max, struct base_buf *body)
{
    int rc = serves(repl, checkpoint, after, epoch) ? BASE_OK : make(repl, checkpoint);
    if (rc != BASE_OK)
        return rc;
    size_t total = checkpoint->bytes.len, from = 0;
    if (epoch == checkpoint->epoch && offset < total)
        from = (size_t)offset;
    size_t len = total - from;
    if (len > REPLI_PIECE_BYTES)
        len = REPLI_PIECE_BYTES;
    if (len > bytes_max)
        len = bytes_max ? (size_t)bytes_max : 1;
    repli_timer_arm_after(repl, &checkpoint->forget, FORGET_NS);
    rc = base_buf_put_varint(body, checkpoint->epoch);
    if (rc == BASE_OK)
        rc = base_buf_put_varint(body, total);
    if (rc == BASE_OK)
        rc = base_buf_put_le64(body, checkpoint->digest);
    if (rc == BASE_OK)
        rc = base_buf_put_varint(body, from);
    return rc == BASE_OK ? base_buf_put_bytes(body, base_slice(checkpoint->bytes.data + from, len))
                         : rc;
}

/* Fetching. */

void repli_incoming_init(struct repli_incoming *incoming)
{
    *incoming = (struct repli_incoming){0};
    base_buf_init(&incoming->bytes, REPL_CHECKPOINT_SIZE_MAX);
}

void repli_incoming_reset(struct repli_incoming *incoming)
{
    base_buf_fini(&incoming->bytes);
    repli_incoming_init(incoming);
}

enum repli_piece repli_incoming_take(struct repli_incoming *incoming, struct base_reader *in)
{
    uint64_t epoch, total, digest, offset;
    struct base_slice bytes;
    if (!base_get_varint(in, &epoch) || !base_get_varint(in, &total) ||
        !base_get_u64le(in, &digest) || !base_get_varint(in, &offset) ||
        !base_get_bytes(in, &bytes) || base_reader_left(in) || epoch == 0 || !bytes.len ||
        total > REPL_CHECKPOINT_SIZE_MAX || offset > total || bytes.len > total - offset)
        goto bad;
    if (epoch != incoming->epoch || total != incoming->total || digest != incoming->digest) {
        repli_incoming_reset(incoming);
        incoming->epoch = epoch;
        incoming->total = total;
        incoming->digest = digest;
    }
    if (offset != incoming->bytes.len || base_buf_put_slice(&incoming->bytes, bytes) != BASE_OK)
        goto bad;
    if (incoming->bytes.len < total)
        return REPLI_PIECE_MORE;
    if (base_checksum(incoming->bytes.data, incoming->bytes.len) == digest)
        return REPLI_PIECE_WHOLE;
bad:
    repli_incoming_reset(incoming);
    return REPLI_PIECE_BAD;
}

int repli_incoming_decode(const struct repli_incoming *incoming, struct base_uuid cluster_id,
                          struct base_schema **schema, struct ring_state **ring,
                          struct base_err *err)
{
    static const struct base_uuid any;
    struct base_reader in = base_reader(base_buf_view(&incoming->bytes));
    struct base_slice schema_bytes, ring_bytes;
    *schema = NULL;
    *ring = NULL;
    int rc = base_get_bytes(&in, &schema_bytes) && base_get_bytes(&in, &ring_bytes) &&
                     !base_reader_left(&in)
                 ? base_schema_decode(schema_bytes, schema, err)
                 : base_err_set(err, BASE_E_CORRUPT, "a checkpoint that is none");
    if (rc == BASE_OK)
        rc = ring_state_decode(ring_bytes, ring, err);
    if (rc == BASE_OK && ((*schema)->epoch != incoming->epoch ||
                          (*ring)->epoch != incoming->epoch || (*ring)->member_count == 0))
        rc = base_err_set(err, BASE_E_CORRUPT, "a checkpoint whose parts do not fit");
    if (rc == BASE_OK && !base_uuid_equal(cluster_id, any) &&
        !base_uuid_equal((*ring)->cluster_id, cluster_id))
        rc = base_err_set(err, BASE_E_INVALID, "a checkpoint of another cluster");
    if (rc == BASE_OK)
        return BASE_OK;
    if (*schema)
        base_schema_release(*schema);
    if (*ring)
        ring_state_release(*ring);
    *schema = NULL;
    *ring = NULL;
    return rc;
}
