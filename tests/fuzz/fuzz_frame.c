/* Fuzz target: bytes as frames (first byte 0), or as a POST's body (1), MACs and checksums off.
 * What is read must be what would be written; nothing is larger than it may be; what is refused
 * must only not crash. */
#include "tests/fuzz/fuzz_internode.h"

static void fuzz_body(struct base_slice bytes)
{
    struct neti_body body;
    struct base_err err = {0};
    int rc = neti_body_parse(bytes, FUZZ_SIZE_MAX, &body, &err);
    if (rc != BASE_OK) {
        require(err.code == rc && err.text[0]);
        return;
    }
    require(body.lane < NET_INTERNODE_LANES && body.payload.len == bytes.len - NETI_BODY_HEADER);
    fuzz_payload(body.payload, (body.flags & NETI_BODY_LZ4) != 0, body.raw_size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    if (data[0] & 1)
        fuzz_body(base_slice(data + 1, size - 1));
    else
        fuzz_frames(base_slice(data + 1, size - 1));
    return 0;
}
