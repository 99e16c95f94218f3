/* Fuzz target: what comes in HTTP bodies around the frames: a hello (first byte 0), the answer to
 * one (1), a response's chunks (2), MACs off. What is taken must be whole; what is refused must
 * leave nothing behind. */
#include "tests/fuzz/fuzz_internode.h"

static void fuzz_hello(struct base_slice bytes)
{
    struct net_internode_config config;
    struct neti_sessions sessions;
    struct base_buf answer;
    struct base_err err = {0};
    fuzz_config(&config);
    neti_sessions_init(&sessions);
    base_buf_init(&answer, NETI_HELLO_SIZE_MAX);
    int rc = neti_hello_answer(&sessions, &config, false, bytes, 1, &answer, &err);
    require(rc == BASE_OK ? sessions.unproven.count == 1 && answer.len > 0
                          : sessions.unproven.count == 0 && answer.len == 0 && err.text[0]);
    base_buf_fini(&answer);
    neti_sessions_fini(&sessions);
}

static void fuzz_answer(struct base_slice bytes)
{
    struct net_internode_config config;
    struct neti_session *session;
    struct neti_hello hello = {0};
    fuzz_config(&config);
    hello.credential.kind = NETI_KIND_SECRET;
    hello.credential.len = config.secret.len;
    memcpy(hello.credential.bytes, config.secret.data, config.secret.len);
    require(neti_hello_begin(&hello, &config, NULL) == BASE_OK);
    int rc = neti_hello_end(&hello, &config, bytes, &session, NULL);
    require((rc == BASE_OK) == (session != NULL) && hello.credential.len == 0);
    neti_session_release(session);
}

static void fuzz_chunks(struct base_slice bytes)
{
    struct base_reader in = base_reader(bytes);
    struct neti_chunk chunk;
    for (uint32_t number = 0;; number++) {
        const uint8_t *at = in.p;
        int rc = neti_chunk_get(&in, NULL, 1, 1, number, FUZZ_SIZE_MAX, &chunk, NULL);
        if (rc != BASE_OK) {
            require(in.p == at &&
                    (rc == BASE_E_BUSY || rc == BASE_E_CORRUPT || rc == BASE_E_LIMIT));
            break;
        }
        /* a byte less: wait for it */
        struct base_reader shorter = base_reader(base_slice(at, (size_t)(in.p - at) - 1));
        struct neti_chunk none;
        require(neti_chunk_get(&shorter, NULL, 1, 1, number, FUZZ_SIZE_MAX, &none, NULL) ==
                BASE_E_BUSY);
        fuzz_payload(chunk.payload, (chunk.flags & NETI_CHUNK_LZ4) != 0, chunk.raw_size);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    struct base_slice bytes = base_slice(data + 1, size - 1);
    if (data[0] % 3 == 0)
        fuzz_hello(bytes);
    else if (data[0] % 3 == 1)
        fuzz_answer(bytes);
    else
        fuzz_chunks(bytes);
    return 0;
}
