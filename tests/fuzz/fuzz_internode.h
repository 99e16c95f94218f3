/* What the targets over peers' bytes share. */
#ifndef TESTS_FUZZ_INTERNODE_H
#define TESTS_FUZZ_INTERNODE_H

#include "net/internode_private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FUZZ_SIZE_MAX = 1 << 20 };

static inline void require(bool holds)
{
    if (!holds)
        abort();
}

/* Frames until they end or are none: what is read writes the same bytes again. */
static inline void fuzz_frames(struct base_slice frames)
{
    struct base_reader in = base_reader(frames);
    struct base_err err = {0};
    struct base_buf again;
    base_buf_init(&again, frames.len + 64);
    for (;;) {
        struct base_message message;
        const uint8_t *at = in.p;
        int rc = net_frame_get(&in, FUZZ_SIZE_MAX, &message, &err);
        if (rc != BASE_OK) {
            require(in.p == at && !message.body.data &&
                    (rc == BASE_E_BUSY || rc == BASE_E_VERSION || rc == BASE_E_LIMIT ||
                     rc == BASE_E_CORRUPT));
            break;
        }
        base_buf_reset(&again);
        require(net_frame_put(&message, &again) == BASE_OK);
        require(base_slice_equal(base_buf_view(&again), base_slice(at, (size_t)(in.p - at))));
    }
    base_buf_fini(&again);
}

static inline void fuzz_payload(struct base_slice payload, bool lz4, size_t raw_size)
{
    struct base_buf raw;
    struct base_slice frames;
    base_buf_init(&raw, 0);
    require(raw_size <= FUZZ_SIZE_MAX);
    if (neti_payload_open(payload, lz4, raw_size, &raw, &frames, NULL) == BASE_OK) {
        require(frames.len == raw_size);
        fuzz_frames(frames);
    }
    base_buf_fini(&raw);
}

static inline void fuzz_fill(struct base_random *random, void *buf, unsigned len)
{
    (void)random;
    memset(buf, 0x5a, len);
}

/* The same on each call; its cluster is "fuzz", its secret 32 times 'x'. */
static inline void fuzz_config(struct net_internode_config *config)
{
    static const struct base_random_ops ops = {fuzz_fill};
    static struct base_random random = {&ops};
    static const char secret[] = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";
    net_internode_config_init(config);
    config->random = &random;
    config->host_id = (struct base_uuid){{1}};
    config->generation = 1;
    config->cluster_name = "fuzz";
    config->secret = base_slice_str(secret);
}

#endif
