/* POST bodies and response chunks: frames with a head that numbers and signs them.
 * docs/formats/internode.md.
 *
 * A POST's body:      0 version u8  1 flags u8  2 lane u8  3 zero u8  4 raw size u32  8 session (16
 * bytes)
 *                    24 sequence u64  32 MAC (32 bytes)  64 payload
 * A response's chunk: 0 payload size u32  4 raw size u32  8 number u32  12 flags u32  16 MAC (32
 *                                         bytes)  48 payload
 *
 * Invariants:
 * 1. The MAC of a body covers its bytes 0 … 31 and the payload; that of a chunk its bytes 0 … 15,
 *    the payload, and the lane and sequence of the POST that it answers: so a chunk fits one place
 *    of one response only. The directions have keys of their own.
 * 2. Nothing of a payload is looked at, and nothing is decompressed, before its MAC was found good;
 *    the size that decompression will have is declared, and refused over the maximum. */
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>

#include "base/compress.h"
#include "net/internode_private.h"

#define LZ4_WORTH_SIZE 512u /* smaller bodies go as they are */

/* Compress what follows `head` bytes in place, when that makes it smaller. */
static int pack(struct base_buf *buf, size_t head, bool *packed)
{
    struct base_buf smaller;
    *packed = false;
    if (buf->len - head < LZ4_WORTH_SIZE)
        return BASE_OK;
    base_buf_init(&smaller, buf->len_max);
    int rc = base_buf_put(&smaller, buf->data, head);
    if (rc == BASE_OK)
        rc = base_compress(BASE_COMPRESS_LZ4, 0, base_slice(buf->data + head, buf->len - head),
                           &smaller);
    if (rc == BASE_OK && smaller.len < buf->len) {
        base_buf_reset(buf);
        rc = base_buf_put_slice(buf, base_buf_view(&smaller));
        *packed = rc == BASE_OK;
    } else if (rc == BASE_E_LIMIT) {
        rc = BASE_OK; /* it does not compress */
    }
    base_buf_fini(&smaller);
    return rc;
}

int neti_payload_open(struct base_slice payload, bool lz4, size_t raw_size, struct base_buf *raw,
                      struct base_slice *frames, struct base_err *err)
{
    *frames = payload;
    if (!lz4)
        return raw_size == payload.len
                   ? BASE_OK
                   : base_err_set(err, BASE_E_CORRUPT, "body: %zu bytes, declared %zu", payload.len,
                                  raw_size);
    base_buf_init(raw, raw_size);
    int rc = base_buf_reserve(raw, raw_size);
    if (rc == BASE_OK)
        rc = base_decompress(BASE_COMPRESS_LZ4, payload, raw->data, raw_size);
    if (rc != BASE_OK) {
        base_buf_fini(raw);
        *frames = (struct base_slice){0};
        return base_err_set(err, rc, "body: %s",
                            rc == BASE_E_NOMEM ? "out of memory"
                                               : "it does not decompress to its declared size");
    }
    raw->len = raw_size;
    *frames = base_buf_view(raw);
    return BASE_OK;
}

/* POST bodies. */

static void sign(void *mac, const uint8_t *head, size_t head_len, struct base_slice payload,
                 uint8_t out[NETI_MAC_LEN])
{
    gnutls_hmac(mac, head, head_len);
    if (payload.len)
        gnutls_hmac(mac, payload.data, payload.len);
    gnutls_hmac_output(mac, out); /* and it is as new */
}

int neti_body_seal(struct base_buf *body, struct neti_session *session, int lane, uint64_t sequence,
                   bool compress)
{
    BASE_ASSERT(body->len >= NETI_BODY_HEADER);
    BASE_ASSERT(body->len - NETI_BODY_HEADER <= UINT32_MAX);
    size_t raw_size = body->len - NETI_BODY_HEADER;
    bool packed = false;
    int rc = compress ? pack(body, NETI_BODY_HEADER, &packed) : BASE_OK;
    if (rc != BASE_OK)
        return rc;
    uint8_t *p = body->data;
    p[0] = NETI_VERSION;
    p[1] = (uint8_t)((packed ? NETI_BODY_LZ4 : 0) | (compress ? NETI_BODY_WANTS_LZ4 : 0));
    p[2] = (uint8_t)lane;
    p[3] = 0;
    base_put_le32(p + 4, (uint32_t)raw_size);
    memcpy(p + 8, session->id, NETI_SESSION_ID_LEN);
    base_put_le64(p + 24, sequence);
    sign(session->mac_to_server, p, 32,
         base_slice(p + NETI_BODY_HEADER, body->len - NETI_BODY_HEADER), p + 32);
    return BASE_OK;
}

int neti_body_parse(struct base_slice bytes, size_t raw_size_max, struct neti_body *out,
                    struct base_err *err)
{
    const uint8_t *p = bytes.data;
    memset(out, 0, sizeof *out);
    if (bytes.len > 0 && p[0] != NETI_VERSION)
        return base_err_set(err, BASE_E_VERSION,
                            "body: version %u, here %u: the nodes' versions are too far apart",
                            p[0], NETI_VERSION);
    if (bytes.len < NETI_BODY_HEADER)
        return base_err_set(err, BASE_E_CORRUPT, "body: %zu bytes are none", bytes.len);
    if ((p[1] & ~(NETI_BODY_LZ4 | NETI_BODY_WANTS_LZ4)) != 0 || p[2] >= NET_INTERNODE_LANES ||
        p[3] != 0)
        return base_err_set(err, BASE_E_CORRUPT, "body: unknown flags %#x or lane %u", p[1], p[2]);
    if (base_get_le32(p + 4) > raw_size_max)
        return base_err_set(err, BASE_E_LIMIT, "body: %u bytes of messages, at most %zu are taken",
                            base_get_le32(p + 4), raw_size_max);
    out->flags = p[1];
    out->lane = p[2];
    out->raw_size = base_get_le32(p + 4);
    memcpy(out->session_id, p + 8, NETI_SESSION_ID_LEN);
    out->sequence = base_get_le64(p + 24);
    out->payload = base_slice(p + NETI_BODY_HEADER, bytes.len - NETI_BODY_HEADER);
    return BASE_OK;
}

bool neti_body_verify(struct base_slice bytes, struct neti_session *session)
{
    uint8_t mac[NETI_MAC_LEN];
    BASE_ASSERT(bytes.len >= NETI_BODY_HEADER);
    sign(session->mac_to_server, bytes.data, 32,
         base_slice(bytes.data + NETI_BODY_HEADER, bytes.len - NETI_BODY_HEADER), mac);
    return gnutls_memcmp(mac, bytes.data + 32, NETI_MAC_LEN) == 0;
}

/* Chunks. */

static void sign_chunk(struct neti_session *session, int lane, uint64_t sequence,
                       const uint8_t *head, struct base_slice payload, uint8_t out[NETI_MAC_LEN])
{
    uint8_t signed_head[32];
    base_put_le64(signed_head, (uint64_t)lane);
    base_put_le64(signed_head + 8, sequence);
    memcpy(signed_head + 16, head, 16);
    sign(session->mac_to_client, signed_head, sizeof signed_head, payload, out);
}

int neti_chunk_seal(struct base_buf *chunk, struct neti_session *session, int lane,
                    uint64_t sequence, uint32_t number, unsigned flags, bool compress)
{
    BASE_ASSERT(chunk->len >= NETI_CHUNK_HEADER);
    BASE_ASSERT((flags & NETI_CHUNK_LZ4) == 0);
    size_t raw_size = chunk->len - NETI_CHUNK_HEADER;
    bool packed = false;
    int rc = compress ? pack(chunk, NETI_CHUNK_HEADER, &packed) : BASE_OK;
    if (rc != BASE_OK)
        return rc;
    uint8_t *p = chunk->data;
    base_put_le32(p, (uint32_t)(chunk->len - NETI_CHUNK_HEADER));
    base_put_le32(p + 4, (uint32_t)raw_size);
    base_put_le32(p + 8, number);
    base_put_le32(p + 12, flags | (packed ? NETI_CHUNK_LZ4 : 0));
    sign_chunk(session, lane, sequence, p,
               base_slice(p + NETI_CHUNK_HEADER, chunk->len - NETI_CHUNK_HEADER), p + 16);
    return BASE_OK;
}

int neti_chunk_get(struct base_reader *in, struct neti_session *session, int lane,
                   uint64_t sequence, uint32_t number, size_t raw_size_max, struct neti_chunk *out,
                   struct base_err *err)
{
    memset(out, 0, sizeof *out);
    if (base_reader_left(in) < NETI_CHUNK_HEADER)
        return base_err_set(err, BASE_E_BUSY, "response: cut off in a chunk's head");
    const uint8_t *p = in->p;
    size_t size = base_get_le32(p), raw_size = base_get_le32(p + 4);
    unsigned flags = base_get_le32(p + 12);
    if (size > raw_size_max || raw_size > raw_size_max)
        return base_err_set(err, BASE_E_LIMIT,
                            "response: a chunk of %zu bytes, at most %zu are taken",
                            size > raw_size ? size : raw_size, raw_size_max);
    if (base_get_le32(p + 8) != number ||
        (flags & ~(unsigned)(NETI_CHUNK_LZ4 | NETI_CHUNK_END | NETI_CHUNK_REFUSED)) != 0)
        return base_err_set(err, BASE_E_CORRUPT,
                            "response: chunk %u with flags %#x where chunk %u must be",
                            base_get_le32(p + 8), flags, number);
    if (base_reader_left(in) - NETI_CHUNK_HEADER < size)
        return base_err_set(err, BASE_E_BUSY, "response: cut off in a chunk");
    out->payload = base_slice(p + NETI_CHUNK_HEADER, size);
    if (session) {
        uint8_t mac[NETI_MAC_LEN];
        sign_chunk(session, lane, sequence, p, out->payload, mac);
        if (gnutls_memcmp(mac, p + 16, NETI_MAC_LEN) != 0) {
            memset(out, 0, sizeof *out);
            return base_err_set(err, BASE_E_CORRUPT, "response: a chunk's MAC is wrong");
        }
    }
    out->flags = flags;
    out->raw_size = raw_size;
    in->p += NETI_CHUNK_HEADER + size;
    return BASE_OK;
}
