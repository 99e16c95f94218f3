/* Keys: every stored key compares with memcmp (DESIGN.md §2).
 *
 * partition key (pkey):  token, 8 bytes big-endian with the sign flipped
 *                        the serialized partition key, each 0x00 written as 0x00 0xFF
 *                        0x00 0x01, the terminator
 * clustering key (ckey): one POSITION byte for the static row; else per component a NEXT byte and
 *                        base_order_encode's bytes (complemented in a descending column), and at
 *                        the end one POSITION byte: BEFORE, AT or AFTER.
 * A full key is pkey followed by ckey. No pkey is a prefix of another.
 *
 * The serialized partition key is Cassandra's: of one column its value's bytes; of several, for
 * each: 2-byte big-endian length, the bytes, 0x00. The token is Murmur3 (x64, 128 bits, first half)
 * with Cassandra's signed-byte tail (o.a.c.utils.MurmurHash), long's minimum mapped to its
 * maximum. */
#ifndef BASE_KEY_H
#define BASE_KEY_H

#include "base/type.h"

/* Position and next-component bytes, in their order. */
enum base_key_byte {
    BASE_KEY_STATIC = 0x08,          /* the static row: the whole ckey */
    BASE_KEY_BEFORE = 0x10,          /* before every row with this prefix */
    BASE_KEY_AT = 0x20,              /* the row with exactly this clustering */
    BASE_KEY_NEXT_EMPTY = 0x2F,      /* the component is the empty value, ascending: first */
    BASE_KEY_NEXT = 0x30,            /* a component follows */
    BASE_KEY_NEXT_EMPTY_DESC = 0x31, /* the empty value, descending: last */
    BASE_KEY_AFTER = 0x40,           /* after every row with this prefix */
};

#define BASE_PKEY_LEN_MAX (8 + 2 * 65535 + 2)
#define BASE_PK_LEN_MAX 65535   /* Cassandra's limit on a serialized partition key */
#define BASE_CKEY_LEN_MAX 65535 /* on an encoded clustering key */

/* Cassandra's Murmur3 token of a serialized partition key. */
int64_t base_token(struct base_slice pk);
/* The 8 bytes that begin every key of this token. */
void base_token_put(uint8_t out[8], int64_t token);
int64_t base_token_get(const uint8_t in[8]);

/* Append the serialized partition key of n values (1: the value itself; more: composite). LIMIT
 * past BASE_PK_LEN_MAX; INVALID for an empty single-column key (Cassandra: "Key may not be
 * empty"). */
BASE_MUST int base_pk_compose(const struct base_slice *values, size_t n, struct base_buf *out,
                              struct base_err *err);
/* Its values again, borrowed from pk; n as in the table. CORRUPT. */
BASE_MUST int base_pk_split(struct base_slice pk, struct base_slice *values, size_t n,
                            struct base_err *err);
/* Append the pkey of a serialized partition key. */
BASE_MUST int base_pkey_put(struct base_slice pk, struct base_buf *out);
/* The length of the pkey that begins `key` (its terminator included); 0 when there is none. */
size_t base_pkey_len(struct base_slice key);
/* Append the serialized partition key that a pkey holds. CORRUPT. */
BASE_MUST int base_pkey_decode(struct base_slice pkey, struct base_buf *pk, struct base_err *err);

/* Append one clustering component (its NEXT byte included). `value` may be empty. *exact is only
 * ever set to false, so that one flag serves a whole clustering. INVALID, LIMIT. */
BASE_MUST int base_ckey_put(const struct base_type *type, bool descending, struct base_slice value,
                            struct base_buf *out, bool *exact, struct base_err *err);
BASE_MUST static inline int base_ckey_end(enum base_key_byte position, struct base_buf *out)
{
    return base_buf_put_u8(out, (uint8_t)position);
}
/* Decode the next component of a ckey: appends the value to `out`, *empty for the empty value. At
 * the end (a position byte) *position is that byte and nothing is appended; otherwise 0.
 * CORRUPT. */
BASE_MUST int base_ckey_get(const struct base_type *type, bool descending, struct base_reader *in,
                            struct base_buf *out, bool *empty, uint8_t *position,
                            struct base_err *err);
/* base_ckey_get's commonest case without a call: the first component of a ckey when it is a bigint
 * or an int. False: not one of them (or damaged): use base_ckey_get. */
static inline bool base_ckey_first_integer(const struct base_type *type, bool descending,
                                           struct base_slice ckey, int64_t *out)
{
    if (type->kind == BASE_TYPE_BIGINT && ckey.len >= 10 && ckey.data[0] == BASE_KEY_NEXT) {
        uint64_t v = base_get_be64(ckey.data + 1);
        *out = (int64_t)((descending ? ~v : v) ^ (uint64_t)1 << 63);
        return true;
    }
    if (type->kind == BASE_TYPE_INT && ckey.len >= 6 && ckey.data[0] == BASE_KEY_NEXT) {
        uint32_t v = base_get_be32(ckey.data + 1);
        *out = (int32_t)((descending ? ~v : v) ^ (uint32_t)1 << 31);
        return true;
    }
    return false;
}

#endif
