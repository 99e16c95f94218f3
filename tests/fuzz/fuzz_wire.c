/* Fuzz target: bytes as one side of a native protocol's connection. The first byte says how: its
 * low three bits the version, compression and whether there are segments; 8: they are a server's
 * answers; 32: what is too big is passed over; 16: what follows are payloads (a length byte each,
 * times 16) that are put into segments with right checksums, so that changes get behind them. Each
 * message's body is decoded; a request that is read must, written again, be read as the same. */
#include "cql/wire.h"
#include "tests/fuzz/fuzz_lib.h"

enum { FRAME_MAX = 1 << 16 };

static const struct {
    uint8_t version;
    enum cql_wire_compression compression;
    bool segments;
} modes[8] = {
    {3, CQL_WIRE_PLAIN, false},  {4, CQL_WIRE_PLAIN, false}, {4, CQL_WIRE_LZ4, false},
    {4, CQL_WIRE_SNAPPY, false}, {5, CQL_WIRE_PLAIN, false}, {5, CQL_WIRE_PLAIN, true},
    {5, CQL_WIRE_LZ4, true},     {0, CQL_WIRE_PLAIN, false},
};

static int recode(struct base_arena *arena, const struct cql_message *m, struct base_slice body,
                  struct base_buf *out)
{
    struct base_err err = {0};
    struct cql_query q;
    struct cql_prepare_request p;
    struct cql_execute e;
    struct cql_batch_request b;
    int rc = BASE_E_INVALID;
    if (m->opcode == CQL_OPCODE_QUERY) {
        rc = cql_get_query(arena, m->version, body, &q, &err);
        return rc == BASE_OK ? cql_put_query(out, m->version, &q) : rc;
    }
    if (m->opcode == CQL_OPCODE_PREPARE) {
        rc = cql_get_prepare(m->version, body, &p, &err);
        return rc == BASE_OK ? cql_put_prepare(out, m->version, &p) : rc;
    }
    if (m->opcode == CQL_OPCODE_EXECUTE) {
        rc = cql_get_execute(arena, m->version, body, &e, &err);
        return rc == BASE_OK ? cql_put_execute(out, m->version, &e) : rc;
    }
    if (m->opcode == CQL_OPCODE_BATCH) {
        rc = cql_get_batch(arena, m->version, body, &b, &err);
        return rc == BASE_OK ? cql_put_batch(out, m->version, &b) : rc;
    }
    return rc;
}

static void fuzz_request(struct base_arena *arena, struct cql_message *m)
{
    struct base_buf once, twice;
    struct cql_prefix prefix;
    struct cql_wire_pair *pairs;
    struct base_slice *list;
    size_t count;
    base_buf_init(&once, 1u << 20);
    base_buf_init(&twice, 1u << 20);
    if (cql_get_prefix(m, arena, &prefix, NULL) == BASE_OK &&
        recode(arena, m, m->body, &once) == BASE_OK) {
        require(recode(arena, m, base_buf_view(&once), &twice) == BASE_OK);
        require(base_slice_equal(base_buf_view(&once), base_buf_view(&twice)));
    }
    struct base_reader r = base_reader(m->body);
    if (m->opcode == CQL_OPCODE_STARTUP && cql_wire_get_string_map(&r, arena, &pairs, &count))
        require(count <= m->body.len);
    r = base_reader(m->body);
    if (m->opcode == CQL_OPCODE_REGISTER && cql_wire_get_string_list(&r, arena, &list, &count))
        require(count <= m->body.len);
    base_buf_fini(&once);
    base_buf_fini(&twice);
}

static void fuzz_response(struct base_arena *arena, struct cql_message *m)
{
    struct cql_prefix prefix;
    struct cql_result_info result;
    struct cql_error error;
    struct cql_event event;
    struct cql_wire_entry *entries;
    size_t count;
    if (cql_get_prefix(m, arena, &prefix, NULL) != BASE_OK)
        return;
    struct base_reader r = base_reader(m->body);
    if (m->opcode == CQL_OPCODE_RESULT &&
        cql_get_result(arena, m->version, m->body, &result, NULL) == BASE_OK &&
        result.kind == CQL_RESULT_ROWS && result.column_count > 0 && result.column_count < 64) {
        struct base_reader rows = base_reader(result.rows);
        struct cql_value cells[64];
        for (uint32_t i = 0; i < result.row_count; i++)
            require(cql_next_row(&rows, cells, result.column_count));
        require(base_reader_left(&rows) == 0);
    }
    if (m->opcode == CQL_OPCODE_ERROR &&
        cql_get_error(arena, m->version, m->body, &error, NULL) == BASE_OK)
        require(error.message.len <= m->body.len);
    if (m->opcode == CQL_OPCODE_EVENT && cql_get_event(m->body, &event, NULL) == BASE_OK)
        require(event.kind < CQL_EVENT_KINDS);
    if (m->opcode == CQL_OPCODE_SUPPORTED && cql_wire_get_multimap(&r, arena, &entries, &count))
        require(count <= m->body.len);
}

static void feed(struct cql_wire_in *in, struct base_slice bytes)
{
    struct base_arena arena;
    base_arena_init(&arena);
    for (;;) {
        struct base_err err = {0};
        struct cql_message m;
        size_t used, wanted;
        enum cql_wire_step step = cql_wire_next(in, bytes, &used, &wanted, &m, &err);
        require(used <= bytes.len);
        bytes = base_slice(bytes.data + used, bytes.len - used);
        if (step == CQL_WIRE_BAD)
            require(err.code && err.text[0]);
        if (step == CQL_WIRE_MORE)
            require(wanted > bytes.len);
        if (step == CQL_WIRE_TOO_BIG)
            continue;
        if (step != CQL_WIRE_MESSAGE)
            break;
        require(m.body.len <= FRAME_MAX);
        if (in->is_client)
            fuzz_response(&arena, &m);
        else
            fuzz_request(&arena, &m);
        base_arena_reset(&arena);
    }
    base_arena_fini(&arena);
}

/* Payloads → segments with right checksums. A payload's length is its first byte (without the top
 * bit, which says that it is self-contained) times 16; compressed ones claim 200 bytes. */
static void put_segments(struct base_slice in, bool lz4, struct base_buf *out)
{
    while (in.len > 0) {
        size_t len = (size_t)(in.data[0] & 0x7f) * 16, header_len = lz4 ? 5 : 3;
        bool self_contained = in.data[0] & 0x80;
        in = base_slice(in.data + 1, in.len - 1);
        if (len > in.len)
            len = in.len;
        uint64_t word = lz4 ? len | (uint64_t)200 << 17 | (uint64_t)self_contained << 34
                            : len | (uint64_t)self_contained << 17;
        uint8_t header[16], crc[8];
        base_put_le64(header, word);
        base_put_le32(header + header_len, cql_wire_crc24(header, header_len));
        base_put_le32(crc, cql_wire_crc32(in.data, len));
        require(base_buf_put(out, header, header_len + 3) == BASE_OK &&
                base_buf_put(out, in.data, len) == BASE_OK && base_buf_put(out, crc, 4) == BASE_OK);
        in = base_slice(in.data + len, in.len - len);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cql_wire_in in;
    struct base_buf segments;
    if (size < 1)
        return 0;
    struct base_slice bytes = base_slice(data + 1, size - 1);
    size_t mode = data[0] & 7;
    cql_wire_in_init(&in, (data[0] & 8) != 0, FRAME_MAX);
    in.version = modes[mode].version;
    in.compression = modes[mode].compression;
    in.segments = modes[mode].segments;
    in.passes_over = (data[0] & 32) != 0;
    base_buf_init(&segments, 1u << 22);
    if ((data[0] & 16) && in.segments) {
        put_segments(bytes, in.compression == CQL_WIRE_LZ4, &segments);
        bytes = base_buf_view(&segments);
    }
    feed(&in, bytes);
    base_buf_fini(&segments);
    cql_wire_in_fini(&in);
    return 0;
}
