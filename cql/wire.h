/* The CQL native protocol, versions 3 to 5, both directions: what a server and a client (ringlet
 * shell, stress, tests) need to speak it over any stream of bytes. Source: Cassandra's
 * doc/native_protocol_v3.spec to _v5.spec, and what its server does beside them.
 *
 * Layers, each usable alone:
 *   cql_wire_in, cql_wire_out   a connection's bytes ↔ messages: envelopes (the 9-byte header and
 *                               its body), v3/v4 body compression, v5 segments with their checksums
 *                               and compression
 *   cql_wire_put_*, _get_*      notations ([string], [bytes], [option] …)
 *   cql_put_*, cql_get_*        message bodies
 *
 * Invariants:
 *  1. Nothing that comes in is trusted: every length is checked against what is there and against a
 *     limit before anything is allocated; what does not fit is INVALID (the protocol's Protocol
 *     error), never an assertion.
 *  2. Decoded slices borrow from the body they came from; arrays and types live in the arena given.
 *  3. An encoder that fails (NOMEM, LIMIT) leaves the buffer as long as it was, where it says so,
 *     or the caller abandons the message.
 *  4. What one side encodes the other decodes to the same, in every version, as far as that version
 *     can say it. */
#ifndef CQL_WIRE_H
#define CQL_WIRE_H

#include "base/checksum.h"
#include "cql/exec.h"

#define CQL_WIRE_VERSION_MIN 3
#define CQL_WIRE_VERSION_MAX 5
#define CQL_WIRE_HEADER_LEN 9
#define CQL_WIRE_SEGMENT_PAYLOAD_MAX 131071         /* v5 */
#define CQL_WIRE_FRAME_SIZE_MAX_DEFAULT (16u << 20) /* native_transport_max_frame_size */

enum cql_opcode {
    CQL_OPCODE_ERROR = 0x00,
    CQL_OPCODE_STARTUP = 0x01,
    CQL_OPCODE_READY = 0x02,
    CQL_OPCODE_AUTHENTICATE = 0x03,
    CQL_OPCODE_OPTIONS = 0x05,
    CQL_OPCODE_SUPPORTED = 0x06,
    CQL_OPCODE_QUERY = 0x07,
    CQL_OPCODE_RESULT = 0x08,
    CQL_OPCODE_PREPARE = 0x09,
    CQL_OPCODE_EXECUTE = 0x0A,
    CQL_OPCODE_REGISTER = 0x0B,
    CQL_OPCODE_EVENT = 0x0C,
    CQL_OPCODE_BATCH = 0x0D,
    CQL_OPCODE_AUTH_CHALLENGE = 0x0E,
    CQL_OPCODE_AUTH_RESPONSE = 0x0F,
    CQL_OPCODE_AUTH_SUCCESS = 0x10,
};
enum { /* of an envelope */
       CQL_FLAG_COMPRESSED = 0x01,
       CQL_FLAG_TRACING = 0x02,
       CQL_FLAG_CUSTOM_PAYLOAD = 0x04,
       CQL_FLAG_WARNING = 0x08,
       CQL_FLAG_USE_BETA = 0x10,
};
/* snappy: v3, v4 only */
enum cql_wire_compression { CQL_WIRE_PLAIN, CQL_WIRE_LZ4, CQL_WIRE_SNAPPY };

/* Bytes → messages. */

struct cql_message {
    uint8_t version; /* without the direction's bit */
    bool is_response;
    uint8_t flags; /* without CQL_FLAG_COMPRESSED */
    int16_t stream;
    uint8_t opcode;
    struct base_slice body; /* decompressed; borrowed until the next call */
};

/* One direction. The caller's storage; the first fields are his to set, between messages. */
struct cql_wire_in {
    /* 0: any byte, the header alone is read (compression and segments are off then) */
    uint8_t version;
    enum cql_wire_compression compression;
    bool segments;           /* v5, after STARTUP was answered */
    bool is_client;          /* reads responses */
    uint32_t frame_size_max; /* of a body, before and after decompression */
    /* one that is larger is TOO_BIG and the stream goes on; else it is BAD */
    bool passes_over;
    /* The decoder's: */
    /* payload of a verified, uncompressed segment that the caller's bytes begin with */
    size_t segment_left;
    /* a decompressed segment; the pieces of a message that comes in several segments */
    struct base_buf assembly;
    size_t assembly_at;    /* what was read of it */
    bool partial;          /* more segments of the message are to come */
    size_t discard;        /* bytes of a message that is passed over, still to come */
    struct base_buf plain; /* a decompressed body */
};
void cql_wire_in_init(struct cql_wire_in *in, bool is_client, uint32_t frame_size_max);
void cql_wire_in_fini(struct cql_wire_in *in);
void cql_wire_in_release(struct cql_wire_in *in); /* frees what an idle connection does not need */

enum cql_wire_step { CQL_WIRE_MESSAGE, CQL_WIRE_MORE, CQL_WIRE_BAD, CQL_WIRE_TOO_BIG };
/* The next message of `bytes`, which are what came and was not used up yet. *used: how many of them
 * the caller drops from the front before the next call (they stay in place until then: the message
 * borrows from them). MORE: at least *wanted bytes must be there from the front (after dropping
 * *used) before a call makes sense. BAD: the stream cannot be read on: *err (INVALID, LIMIT, NOMEM)
 * says why; message->stream, ->version and ->opcode are set as far as the header could be read, for
 * the error's answer.
 * TOO_BIG (only with passes_over): the message of that header is longer than frame_size_max, *err
 * (LIMIT) says so; its bytes are dropped as they come. */
enum cql_wire_step cql_wire_next(struct cql_wire_in *in, struct base_slice bytes, size_t *used,
                                 size_t *wanted, struct cql_message *message, struct base_err *err);

/* How long the message at the front of `bytes` (what is left after a call) will be: bytes in
 * memory, decompressed if that is more. 0: that cannot be told yet. */
size_t cql_wire_incoming(const struct cql_wire_in *in, struct base_slice bytes);

/* Messages → bytes. */

struct cql_wire_out {
    uint8_t version;
    enum cql_wire_compression compression;
    bool segments;
    bool is_client;        /* writes requests */
    struct base_buf bytes; /* messages; ready to be sent up to its end after cql_wire_flush */
    /* The encoder's: */
    struct base_buf scratch; /* compressed bytes */
    struct base_buf spill;   /* a message on its way into other segments */
    size_t segment_at;       /* the open segment in bytes, or SIZE_MAX */
    size_t message_at;       /* the open message's header, or SIZE_MAX */
};
void cql_wire_out_init(struct cql_wire_out *out, bool is_client, size_t len_max);
void cql_wire_out_fini(struct cql_wire_out *out);
void cql_wire_out_release(struct cql_wire_out *out); /* frees what is empty */
/* Begin a message; its body is appended to out->bytes, then end. NOMEM, LIMIT: nothing was
 * begun. */
BASE_MUST int cql_wire_begin(struct cql_wire_out *out, enum cql_opcode opcode, int16_t stream,
                             uint8_t flags);
/* NOMEM, LIMIT: the message was taken back. Small bodies are not compressed. */
BASE_MUST int cql_wire_end(struct cql_wire_out *out);
void cql_wire_abandon(struct cql_wire_out *out); /* take back the message that was begun */
/* Close the open segment: all of out->bytes may be sent. Then the caller resets bytes
 * (base_buf_reset), or drops sent ones from its front. No effect without segments. NOMEM, LIMIT:
 * the bytes are lost, the connection must end. */
BASE_MUST int cql_wire_flush(struct cql_wire_out *out);

/* Checksums of v5 segments. */
uint32_t cql_wire_crc24(const uint8_t *data, size_t len); /* over a header, 3 or 5 bytes */
/* over a payload, with the protocol's seed bytes */
uint32_t cql_wire_crc32(const uint8_t *data, size_t len);

/* Notations. */

BASE_MUST static inline int cql_wire_put_byte(struct base_buf *buf, uint8_t v)
{
    return base_buf_put_u8(buf, v);
}
BASE_MUST static inline int cql_wire_put_short(struct base_buf *buf, uint16_t v)
{
    uint8_t b[2];
    base_put_be16(b, v);
    return base_buf_put(buf, b, sizeof b);
}
BASE_MUST static inline int cql_wire_put_int(struct base_buf *buf, int32_t v)
{
    uint8_t b[4];
    base_put_be32(b, (uint32_t)v);
    return base_buf_put(buf, b, sizeof b);
}
BASE_MUST static inline int cql_wire_put_long(struct base_buf *buf, int64_t v)
{
    uint8_t b[8];
    base_put_be64(b, (uint64_t)v);
    return base_buf_put(buf, b, sizeof b);
}
/* LIMIT over 65535 bytes */
BASE_MUST int cql_wire_put_string(struct base_buf *buf, struct base_slice s);
BASE_MUST int cql_wire_put_long_string(struct base_buf *buf, struct base_slice s);
BASE_MUST int cql_wire_put_bytes(struct base_buf *buf, const struct base_slice *s); /* NULL: null */
BASE_MUST int cql_wire_put_short_bytes(struct base_buf *buf, struct base_slice s);
BASE_MUST int cql_wire_put_value(struct base_buf *buf, const struct cql_value *value);
BASE_MUST int cql_wire_put_string_list(struct base_buf *buf, const struct base_slice *items,
                                       size_t count);
/* 4 or 16 bytes */
BASE_MUST int cql_wire_put_inetaddr(struct base_buf *buf, struct base_slice address);
BASE_MUST int cql_wire_put_inet(struct base_buf *buf, struct base_slice address, int32_t port);
/* [option]: a type as `version` knows it; what it does not know goes as a custom class. */
BASE_MUST int cql_wire_put_type(struct base_buf *buf, uint8_t version,
                                const struct base_type *type);
/* A type by Cassandra's class names:
 * "org.apache.cassandra.db.marshal.ListType(org.apache.cassandra.db.marshal.Int32Type)". */
BASE_MUST int cql_wire_put_class(struct base_buf *buf, const struct base_type *type);

/* False: not there; *out is zero, and the reader fails from then on. */
BASE_MUST bool cql_wire_get_short(struct base_reader *r, uint16_t *out);
BASE_MUST bool cql_wire_get_int(struct base_reader *r, int32_t *out);
BASE_MUST bool cql_wire_get_long(struct base_reader *r, int64_t *out);
BASE_MUST bool cql_wire_get_string(struct base_reader *r, struct base_slice *out);
BASE_MUST bool cql_wire_get_long_string(struct base_reader *r, struct base_slice *out);
BASE_MUST bool cql_wire_get_bytes(struct base_reader *r, struct base_slice *out, bool *is_null);
BASE_MUST bool cql_wire_get_short_bytes(struct base_reader *r, struct base_slice *out);
BASE_MUST bool cql_wire_get_value(struct base_reader *r, uint8_t version, struct cql_value *out);
/* In the arena. */
BASE_MUST bool cql_wire_get_string_list(struct base_reader *r, struct base_arena *arena,
                                        struct base_slice **items, size_t *count);
BASE_MUST bool cql_wire_get_inet(struct base_reader *r, struct base_slice *address, int32_t *port);
BASE_MUST int cql_wire_get_type(struct base_reader *r, struct base_arena *arena,
                                const struct base_type **out, struct base_err *err);
/* A class name; one that is none of ours: BASE_TYPE_CUSTOM with the class in .name. */
BASE_MUST int cql_wire_parse_class(struct base_arena *arena, struct base_slice text,
                                   const struct base_type **out, struct base_err *err);

struct cql_wire_pair { /* of a [string map] */
    struct base_slice key, value;
};
struct cql_wire_entry { /* of a [string multimap] */
    struct base_slice key;
    const struct base_slice *values;
    size_t value_count;
};
BASE_MUST int cql_wire_put_string_map(struct base_buf *buf, const struct cql_wire_pair *pairs,
                                      size_t count);
BASE_MUST bool cql_wire_get_string_map(struct base_reader *r, struct base_arena *arena,
                                       struct cql_wire_pair **pairs, size_t *count);
BASE_MUST int cql_wire_put_multimap(struct base_buf *buf, const struct cql_wire_entry *entries,
                                    size_t count);
BASE_MUST bool cql_wire_get_multimap(struct base_reader *r, struct base_arena *arena,
                                     struct cql_wire_entry **entries, size_t *count);
/* The value of a key, exactly spelled; data NULL: absent. */
struct base_slice cql_wire_map_get(const struct cql_wire_pair *pairs, size_t count,
                                   const char *key);

/* What may stand before a body. */

/* Responses: [tracing id][warnings][custom payload]; requests: [custom payload]. The envelope's
 * flags say which. */
struct cql_prefix {
    bool has_tracing_id;
    struct base_uuid tracing_id;
    const struct base_slice *warnings; /* decoded: in the arena */
    size_t warning_count;
    struct cql_wire_pair *payload; /* a null value has data NULL */
    size_t payload_count;
};
uint8_t cql_prefix_flags(const struct cql_prefix *prefix);
BASE_MUST int cql_put_prefix(struct base_buf *buf, const struct cql_prefix *prefix);
/* Takes it off the message's body. */
BASE_MUST int cql_get_prefix(struct cql_message *message, struct base_arena *arena,
                             struct cql_prefix *out, struct base_err *err);

/* Requests. */

/* STARTUP: a string map. OPTIONS: empty. AUTH_RESPONSE: [bytes]. REGISTER: a string list. */

#define CQL_SERIAL_DEFAULT 0x0008 /* SERIAL */

/* Of QUERY, EXECUTE; and of BATCH, without values and paging. */
struct cql_query_options {
    uint16_t consistency;
    bool skip_metadata;
    const struct cql_value *values;
    const struct base_slice *names; /* of the values; NULL: by place */
    size_t value_count;
    bool has_page_size;
    int32_t page_size;
    struct base_slice paging_state; /* data NULL: none */
    bool has_serial_consistency;
    uint16_t serial_consistency; /* CQL_SERIAL_DEFAULT unless given */
    bool has_timestamp;
    int64_t timestamp_us;
    struct base_slice keyspace; /* v5; data NULL: none */
    bool has_now;
    int32_t now_s; /* v5 */
};
struct cql_query {
    struct base_slice text;
    struct cql_query_options options;
};
struct cql_prepare_request {
    struct base_slice text;
    struct base_slice keyspace; /* v5; data NULL: none */
};
struct cql_execute {
    struct base_slice id;
    struct base_slice result_metadata_id; /* v5 */
    struct cql_query_options options;
};
struct cql_batch_statement {
    struct base_slice text; /* data NULL: prepared, see id */
    struct base_slice id;
    const struct cql_value *values;
    size_t value_count;
};
struct cql_batch_request {
    enum cql_batch_kind kind;
    const struct cql_batch_statement *statements;
    size_t statement_count;
    struct cql_query_options options; /* without values, page size, paging state */
};
/* Encoders: NOMEM, LIMIT; the buffer may then hold a part. */
BASE_MUST int cql_put_query(struct base_buf *buf, uint8_t version, const struct cql_query *query);
BASE_MUST int cql_put_prepare(struct base_buf *buf, uint8_t version,
                              const struct cql_prepare_request *prepare);
BASE_MUST int cql_put_execute(struct base_buf *buf, uint8_t version,
                              const struct cql_execute *execute);
BASE_MUST int cql_put_batch(struct base_buf *buf, uint8_t version,
                            const struct cql_batch_request *batch);
/* Decoders: INVALID, NOMEM. */
BASE_MUST int cql_get_query(struct base_arena *arena, uint8_t version, struct base_slice body,
                            struct cql_query *out, struct base_err *err);
BASE_MUST int cql_get_prepare(uint8_t version, struct base_slice body,
                              struct cql_prepare_request *out, struct base_err *err);
BASE_MUST int cql_get_execute(struct base_arena *arena, uint8_t version, struct base_slice body,
                              struct cql_execute *out, struct base_err *err);
BASE_MUST int cql_get_batch(struct base_arena *arena, uint8_t version, struct base_slice body,
                            struct cql_batch_request *out, struct base_err *err);

/* Errors. */

enum cql_error_number {
    CQL_ERROR_SERVER = 0x0000,
    CQL_ERROR_PROTOCOL = 0x000A,
    CQL_ERROR_CREDENTIALS = 0x0100,
    CQL_ERROR_UNAVAILABLE = 0x1000,
    CQL_ERROR_OVERLOADED = 0x1001,
    CQL_ERROR_BOOTSTRAPPING = 0x1002,
    CQL_ERROR_TRUNCATE = 0x1003,
    CQL_ERROR_WRITE_TIMEOUT = 0x1100,
    CQL_ERROR_READ_TIMEOUT = 0x1200,
    CQL_ERROR_READ_FAILURE = 0x1300,
    CQL_ERROR_FUNCTION_FAILURE = 0x1400,
    CQL_ERROR_WRITE_FAILURE = 0x1500,
    CQL_ERROR_CDC_WRITE_FAILURE = 0x1600,
    CQL_ERROR_CAS_WRITE_UNKNOWN = 0x1700,
    CQL_ERROR_SYNTAX = 0x2000,
    CQL_ERROR_UNAUTHORIZED = 0x2100,
    CQL_ERROR_INVALID = 0x2200,
    CQL_ERROR_CONFIG = 0x2300,
    CQL_ERROR_ALREADY_EXISTS = 0x2400,
    CQL_ERROR_UNPREPARED = 0x2500,
};
struct cql_failure {           /* v5: which replica failed, and why (0: unknown) */
    struct base_slice address; /* 4 or 16 bytes */
    uint16_t reason;
};
struct cql_error {
    int32_t code; /* enum cql_error_number */
    struct base_slice message;
    /* consistency, required, received, alive, failures, write_type, data_present: as the code
     * says */
    struct cql_outcome outcome;
    /* v5, decoded: outcome.failures of them. Encoded is outcome.failed. */
    const struct cql_failure *failure_map;
    size_t failure_map_count;
    uint16_t contentions; /* v5 WRITE_TIMEOUT of CAS */
    /* ALREADY_EXISTS (name empty: the keyspace), FUNCTION_FAILURE */
    struct base_slice keyspace, name;
    const struct base_slice *arg_types; /* FUNCTION_FAILURE */
    size_t arg_type_count;
    struct base_slice id; /* UNPREPARED */
};
/* The one switch from BASE_E_* (and how the request to replicas ended) to the protocol's number. */
enum cql_error_number cql_error_code(int rc, const struct cql_outcome *outcome);
/* rc, its text and the outcome as an error to be sent; outcome may be NULL. Borrows `err`. */
void cql_error_make(int rc, const struct base_err *err, const struct cql_outcome *outcome,
                    struct cql_error *out);
/* Of a FUNCTION_FAILURE, which function it was: borrows `err`, and `types` for what it says of the
 * arguments. Leaves other errors as they are. */
#define CQL_FAILED_TYPES_MAX 2
void cql_error_name_function(const struct base_err *err,
                             struct base_slice types[CQL_FAILED_TYPES_MAX], struct cql_error *out);
const char *cql_write_type_name(int write_type); /* "SIMPLE" … */
/* In an older version what it does not know becomes what Cassandra makes of it (READ_FAILURE →
 * READ_TIMEOUT in v3 …). */
BASE_MUST int cql_put_error(struct base_buf *buf, uint8_t version, const struct cql_error *error);
BASE_MUST int cql_get_error(struct base_arena *arena, uint8_t version, struct base_slice body,
                            struct cql_error *out, struct base_err *err);

/* Results. */

struct cql_rows_options {
    bool skip_metadata;                /* NO_METADATA: the client has it */
    struct base_slice new_metadata_id; /* v5: METADATA_CHANGED; data NULL: not so */
};
/* VOID, ROWS (kind, metadata, rows), SET_KEYSPACE, SCHEMA_CHANGE. */
BASE_MUST int cql_put_result(struct base_buf *buf, uint8_t version, const struct cql_result *result,
                             const struct cql_rows_options *options);
struct cql_prepared_info {
    struct base_slice id, result_metadata_id; /* the latter: v5 */
    const struct cql_column_spec *binds;
    size_t bind_count;
    const uint16_t *pk_indexes; /* v4+ */
    size_t pk_count;
    const struct cql_column_spec *columns; /* of its rows; 0: NO_METADATA */
    size_t column_count;
};
BASE_MUST int cql_put_prepared(struct base_buf *buf, uint8_t version,
                               const struct cql_prepared_info *info);
/* What a set of columns is known by (v5): 16 bytes, the same on every node. */
BASE_MUST int cql_metadata_id(const struct cql_column_spec *columns, size_t count,
                              uint8_t out[BASE_DIGEST_LEN]);

/* A decoded RESULT. */
struct cql_result_info {
    enum cql_result_kind kind;
    /* ROWS */
    bool no_metadata;
    const struct cql_column_spec *columns; /* NULL when no_metadata */
    size_t column_count;
    bool has_more;
    struct base_slice paging_state;
    struct base_slice new_metadata_id; /* data NULL: unchanged */
    uint32_t row_count;
    struct base_slice rows; /* [bytes], row_count * column_count of them, checked to be there */
    /* PREPARED */
    struct cql_prepared_info prepared;
    /* SET_KEYSPACE: keyspace. SCHEMA_CHANGE */
    struct base_slice change, target, keyspace, name;
};
BASE_MUST int cql_get_result(struct base_arena *arena, uint8_t version, struct base_slice body,
                             struct cql_result_info *out, struct base_err *err);
/* The next row's cells out of `rows` (a reader over it): column_count values. False at the end. */
bool cql_next_row(struct base_reader *rows, struct cql_value *cells, size_t column_count);

/* Events. */

enum cql_event_kind {
    CQL_EVENT_TOPOLOGY_CHANGE,
    CQL_EVENT_STATUS_CHANGE,
    CQL_EVENT_SCHEMA_CHANGE,
    CQL_EVENT_KINDS
};
const char *cql_event_name(enum cql_event_kind kind);
int cql_event_by_name(struct base_slice name); /* -1: none */
struct cql_event {
    enum cql_event_kind kind;
    struct base_slice change;  /* NEW_NODE, REMOVED_NODE; UP, DOWN; CREATED, UPDATED, DROPPED */
    struct base_slice address; /* 4 or 16 bytes */
    int32_t port;
    struct base_slice target, keyspace, name; /* SCHEMA_CHANGE: KEYSPACE, TABLE, TYPE … */
};
BASE_MUST int cql_put_event(struct base_buf *buf, const struct cql_event *event);
BASE_MUST int cql_get_event(struct base_slice body, struct cql_event *out, struct base_err *err);

#endif
