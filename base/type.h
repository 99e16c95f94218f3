/* CQL types, and their values in three forms: serialized bytes (the native protocol's), SQL values
 * (DESIGN.md §11), and order-preserving bytes (DESIGN.md §2).
 *
 * A type is immutable and lives in the arena (or static storage) that it was made in. Values are
 * serialized exactly as the native protocol's specification says (v4/v5, section 6); collections
 * with 32-bit lengths. A zero-length value of a type that is not text or blob is CQL's "empty"
 * value: valid (as in Cassandra) for all but counter, duration, date, time, smallint, tinyint and
 * what has elements. Of a tuple or UDT zero bytes mean that every field is null. To SQL it is NULL.
 *
 * No function here keeps a pointer to its arguments; none does I/O; all are thread-safe. */
#ifndef BASE_TYPE_H
#define BASE_TYPE_H

#include "base/arena.h"

/* The native protocol's option ids, so that no table maps between them. */
enum base_type_kind {
    BASE_TYPE_CUSTOM = 0x00, /* only inside the protocol's codec: a vector's wire form */
    BASE_TYPE_ASCII = 0x01,
    BASE_TYPE_BIGINT = 0x02,
    BASE_TYPE_BLOB = 0x03,
    BASE_TYPE_BOOLEAN = 0x04,
    BASE_TYPE_COUNTER = 0x05,
    BASE_TYPE_DECIMAL = 0x06,
    BASE_TYPE_DOUBLE = 0x07,
    BASE_TYPE_FLOAT = 0x08,
    BASE_TYPE_INT = 0x09,
    BASE_TYPE_TIMESTAMP = 0x0B,
    BASE_TYPE_UUID = 0x0C,
    BASE_TYPE_TEXT = 0x0D, /* varchar is a synonym */
    BASE_TYPE_VARINT = 0x0E,
    BASE_TYPE_TIMEUUID = 0x0F,
    BASE_TYPE_INET = 0x10,
    BASE_TYPE_DATE = 0x11,
    BASE_TYPE_TIME = 0x12,
    BASE_TYPE_SMALLINT = 0x13,
    BASE_TYPE_TINYINT = 0x14,
    BASE_TYPE_DURATION = 0x15,
    BASE_TYPE_LIST = 0x20,
    BASE_TYPE_MAP = 0x21,
    BASE_TYPE_SET = 0x22,
    BASE_TYPE_UDT = 0x30,
    BASE_TYPE_TUPLE = 0x31,
    BASE_TYPE_VECTOR = 0x80, /* ours: vector<T, n>; on the wire a custom type */
};

struct base_type {
    enum base_type_kind kind;
    bool frozen;          /* collections and UDTs; tuples and vectors are always frozen */
    uint32_t param_count; /* list, set, vector: 1; map: 2; tuple, UDT: the fields */
    const struct base_type *const *params;
    uint32_t dimension;                   /* vector: 1..8192 */
    struct base_slice keyspace;           /* UDT */
    struct base_slice name;               /* UDT */
    const struct base_slice *field_names; /* UDT: param_count of them */
};

#define BASE_TYPE_DEPTH_MAX 16 /* nesting: deeper types are refused, so recursion is bounded */

/* The static instance of a scalar kind; NULL for a kind that has parameters. */
const struct base_type *base_type_scalar(enum base_type_kind kind);

/* Finds a user type by name while types are parsed. Returns NULL when there is none. `keyspace` is
 * empty when the name was not qualified. */
struct base_type_resolver {
    const struct base_type *(*find)(void *ctx, struct base_slice keyspace, struct base_slice name);
    void *ctx;
};
/* Parse CQL's type syntax ("map<text, frozen<list<int>>>", "vector<float, 3>", any case, blanks
 * allowed, names "quoted" or folded to lower case). Non-frozen collections nested in another are
 * refused as Cassandra does, non-frozen UDTs inside collections likewise. resolver may be NULL.
 * `*out` lives in the arena. SYNTAX, INVALID, NOTFOUND, LIMIT, NOMEM; the text names the type. */
BASE_MUST int base_type_parse(struct base_arena *arena, struct base_slice text,
                              const struct base_type_resolver *resolver,
                              const struct base_type **out, struct base_err *err);
/* CQL spelling as system_schema.columns.type has it: lower case, ", " between parameters, frozen<>
 * around frozen collections and UDTs (not tuples), identifiers quoted when they must be. */
BASE_MUST int base_type_print(const struct base_type *type, struct base_buf *out);
bool base_type_equal(const struct base_type *a, const struct base_type *b);
/* A deep copy into another arena; NULL when out of memory. */
const struct base_type *base_type_copy(struct base_arena *arena, const struct base_type *type);
/* True for a non-frozen list, set, map or UDT: stored as a cell an element (base/row.h). */
static inline bool base_type_is_multicell(const struct base_type *type)
{
    return !type->frozen && (type->kind == BASE_TYPE_LIST || type->kind == BASE_TYPE_MAP ||
                             type->kind == BASE_TYPE_SET || type->kind == BASE_TYPE_UDT);
}
/* "frozen" view of a type: same type, frozen (in the arena). NULL when out of memory. */
const struct base_type *base_type_freeze(struct base_arena *arena, const struct base_type *type);
/* May the type be in a primary key? (no counter, no duration inside, no non-frozen collection or
 * UDT) */
BASE_MUST int base_type_check_key(const struct base_type *type, struct base_err *err);

/* Serialized values. */

/* Is `value` a valid serialized value of the type (deeply)? INVALID names the type and the
 * fault. */
BASE_MUST int base_value_validate(const struct base_type *type, struct base_slice value,
                                  struct base_err *err);
/* Cassandra's order of two valid values: <0, 0, >0. */
int base_value_compare(const struct base_type *type, struct base_slice a, struct base_slice b);

/* The same value with its sets and maps sorted, each element once, and its durations in their
 * shortest form, at every depth: what drivers send need not be. Appended. INVALID when it is not
 * valid. */
BASE_MUST int base_value_normalize(const struct base_type *type, struct base_slice value,
                                   struct base_buf *out, struct base_err *err);

/* Elements of a serialized list, set, map (key and value alternate), tuple, UDT or vector. */
struct base_elements {
    struct base_reader reader;
    uint32_t left;       /* elements still to come (map: keys and values counted apart) */
    uint32_t fixed_size; /* vector of fixed-size elements: bytes each; else 0 */
    enum base_type_kind kind;
};
/* False when the bytes are damaged. A tuple or UDT may have fewer fields than its type. */
BASE_MUST bool base_elements_begin(struct base_elements *it, const struct base_type *type,
                                   struct base_slice value);
/* Next element; *is_null when it is null (length -1). False when damaged or past the end. */
BASE_MUST bool base_elements_next(struct base_elements *it, struct base_slice *element,
                                  bool *is_null);

/* Building one: append an element (its length in front, in the parent's manner). Of a list, set or
 * map the caller puts the count before the first: 4 bytes, big-endian. INVALID: a vector of
 * fixed-size elements takes no empty value, and only tuples and UDTs take null. */
BASE_MUST int base_element_put(const struct base_type *parent, const struct base_type *type,
                               struct base_slice element, bool is_null, struct base_buf *out);

/* SQL and text forms (DESIGN.md §11). */

enum base_sql_kind {
    BASE_SQL_NULL,
    BASE_SQL_INTEGER,
    BASE_SQL_REAL,
    BASE_SQL_TEXT,
    BASE_SQL_BLOB,
    BASE_SQL_JSON
};

/* A SQL value. Text and blob are borrowed. JSON is TEXT that is a JSON document (SQLite subtype
 * 'J'). */
struct base_sql_value {
    enum base_sql_kind kind;
    int64_t integer;
    double real;
    struct base_slice bytes;
};

/* Convert what a user wrote (INSERT value, key constraint) to serialized bytes, appended to `out`.
 * Takes every form of §11: CQL literal text, SQLite's natural forms, JSON for collections (as TEXT
 * or JSON), numbers as TEXT for numeric columns. NULL is INVALID here: the caller handles it.
 * INVALID with "cannot take TEXT 'abc' as int" (no column name: the caller wraps it). */
BASE_MUST int base_value_from_sql(const struct base_type *type, const struct base_sql_value *in,
                                  struct base_buf *out, struct base_err *err);
/* How a comparison operand relates to the type's domain (SQLite hands raw operands: `c < 7.5`). */
enum base_operand {
    BASE_OPERAND_EXACT, /* `out` has the value: compare with it as it is */
    BASE_OPERAND_BELOW, /* not representable; `out` has the greatest value below it: = never, < and
                           <= become <=, > and >= become > */
    BASE_OPERAND_LOW,   /* less than every value: = never; < never; > always */
    BASE_OPERAND_HIGH,  /* greater than every value */
    BASE_OPERAND_NONE,  /* comparison with NULL: never */
};
/* Convert a comparison operand. TEXT against a numeric column is converted if it is wholly a
 * number; what has no place in the type's domain (a blob against an int, 'abc' against an int or a
 * uuid) is INVALID with a clear text. */
BASE_MUST int base_operand_from_sql(const struct base_type *type, const struct base_sql_value *in,
                                    enum base_operand *operand, struct base_buf *out,
                                    struct base_err *err);
/* Serialized bytes to a SQL value. Text made on the way is appended to `scratch`, and `out` borrows
 * from it or from `value`: valid until either changes. CORRUPT when the bytes are not valid. */
BASE_MUST int base_value_to_sql(const struct base_type *type, struct base_slice value,
                                struct base_sql_value *out, struct base_buf *scratch,
                                struct base_err *err);
/* The commonest of those without a call: true when done, else nothing was touched but *out. */
static inline bool base_value_to_sql_quick(const struct base_type *type, struct base_slice value,
                                           struct base_sql_value *out)
{
    switch (type->kind) {
    case BASE_TYPE_BIGINT:
        out->kind = BASE_SQL_INTEGER;
        out->integer = value.len == 8 ? (int64_t)base_get_be64(value.data) : 0;
        return value.len == 8;
    case BASE_TYPE_INT:
        out->kind = BASE_SQL_INTEGER;
        out->integer = value.len == 4 ? (int32_t)base_get_be32(value.data) : 0;
        return value.len == 4;
    case BASE_TYPE_BLOB:
        out->kind = BASE_SQL_BLOB;
        out->bytes = value;
        return true;
    default:
        return false;
    }
}
/* A scalar from a CQL literal's text (a string without its quotes, a blob after 0x), appended.
 * INVALID without a message: the caller knows what it was for. LIMIT, NOMEM. */
BASE_MUST int base_scalar_from_text(const struct base_type *type, struct base_slice text,
                                    struct base_buf *out);
/* CQL literal text (1, 'abc' without the quotes, 0xff, 2011-02-03T04:05:00.000Z, [1, 2], {…})
 * appended. */
BASE_MUST int base_value_to_text(const struct base_type *type, struct base_slice value,
                                 struct base_buf *out, struct base_err *err);
/* JSON form as Cassandra's toJson gives it, appended. decimals keep every digit. */
BASE_MUST int base_value_to_json(const struct base_type *type, struct base_slice value,
                                 struct base_buf *out, struct base_err *err);
/* One JSON document to serialized bytes. */
BASE_MUST int base_value_from_json(const struct base_type *type, struct base_slice json,
                                   struct base_buf *out, struct base_err *err);

/* order-preserving bytes. */

/* Append bytes such that for any two valid non-empty values memcmp orders them as
 * base_value_compare, and no encoding is a prefix of another. `*exact` (may be NULL) tells whether
 * decoding gives these very bytes back (decimal 1.00 does not: it decodes as 1.0's canonical form).
 * `value` must be valid and not empty at top level (the empty value has its own marker byte in
 * base/key.h); CORRUPT otherwise. */
BASE_MUST int base_order_encode(const struct base_type *type, struct base_slice value,
                                struct base_buf *out, bool *exact, struct base_err *err);
/* Decode one value from the reader, of a component that was written with `inverted` (descending:
 * every byte of it was complemented); appends the canonical serialized bytes. CORRUPT. */
BASE_MUST int base_order_decode(const struct base_type *type, struct base_reader *in, bool inverted,
                                struct base_buf *out, struct base_err *err);

#endif
