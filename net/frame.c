/* Frames: one message each. docs/formats/internode.md.
 *
 *  0 version u8   1 flags u8   2 verb u8   3 zero u8   4 body length u32
 *  8 id u64      16 sender (16 bytes)     32 generation u32   36 milliseconds left u32
 * 40 epoch u64   48 trace id u64          56 checksum u64: XXH3 of bytes 0 … 55, then of the body
 *                seeded with that
 * 64 body
 *
 * Invariant: what net_frame_put wrote, net_frame_get reads, and nothing else: bits that are not
 * used are zero. */
#include "base/checksum.h"
#include "net/internode_private.h"

#define FLAGS_ALL (BASE_MESSAGE_REPLY | BASE_MESSAGE_FAILED | BASE_MESSAGE_ONE_WAY)

static uint64_t checksum(const uint8_t *header, struct base_slice body)
{
    return base_checksum_seeded(body.data, body.len, base_checksum(header, NETI_FRAME_HEADER - 8));
}

int net_frame_put(const struct base_message *message, struct base_buf *out)
{
    BASE_ASSERT((message->flags & ~FLAGS_ALL) == 0);
    BASE_ASSERT(message->body.len <= UINT32_MAX);
    int rc = base_buf_reserve(out, NETI_FRAME_HEADER + message->body.len);
    if (rc != BASE_OK)
        return rc;
    uint8_t *p = out->data + out->len;
    p[0] = NET_FRAME_VERSION;
    p[1] = message->flags;
    p[2] = message->verb;
    p[3] = 0;
    base_put_le32(p + 4, (uint32_t)message->body.len);
    base_put_le64(p + 8, message->id);
    memcpy(p + 16, message->sender.b, 16);
    base_put_le32(p + 32, message->generation);
    base_put_le32(p + 36, message->timeout_ms);
    base_put_le64(p + 40, message->epoch);
    base_put_le64(p + 48, message->trace_id);
    base_put_le64(p + 56, checksum(p, message->body));
    if (message->body.len)
        memcpy(p + NETI_FRAME_HEADER, message->body.data, message->body.len);
    out->len += NETI_FRAME_HEADER + message->body.len;
    return BASE_OK;
}

int net_frame_get(struct base_reader *in, size_t frame_size_max, struct base_message *out,
                  struct base_err *err)
{
    memset(out, 0, sizeof *out);
    size_t left = base_reader_left(in);
    if (left > 0 && in->p[0] != NET_FRAME_VERSION)
        return base_err_set(err, BASE_E_VERSION,
                            "frame: version %u, here %u: the nodes' versions are too far apart",
                            in->p[0], NET_FRAME_VERSION);
    if (left < NETI_FRAME_HEADER)
        return base_err_set(err, BASE_E_BUSY, "frame: cut off in its header");
    const uint8_t *p = in->p;
    size_t size = base_get_le32(p + 4);
    if (size > frame_size_max)
        return base_err_set(err, BASE_E_LIMIT, "frame: a body of %zu bytes, at most %zu are taken",
                            size, frame_size_max);
    if (left - NETI_FRAME_HEADER < size)
        return base_err_set(err, BASE_E_BUSY, "frame: cut off in its body");
    struct base_slice body = base_slice(p + NETI_FRAME_HEADER, size);
    if (checksum(p, body) != base_get_le64(p + 56))
        return base_err_set(err, BASE_E_CORRUPT, "frame: checksum mismatch");
    if ((p[1] & ~FLAGS_ALL) != 0 || p[3] != 0)
        return base_err_set(err, BASE_E_CORRUPT, "frame: unknown flags %#x", p[1]);
    out->flags = p[1];
    out->verb = p[2];
    out->id = base_get_le64(p + 8);
    memcpy(out->sender.b, p + 16, 16);
    out->generation = base_get_le32(p + 32);
    out->timeout_ms = base_get_le32(p + 36);
    out->epoch = base_get_le64(p + 40);
    out->trace_id = base_get_le64(p + 48);
    out->body = body;
    in->p += NETI_FRAME_HEADER + size;
    return BASE_OK;
}
