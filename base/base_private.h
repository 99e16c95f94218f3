/* What the files of base/ that deal with types share. Nobody outside base/ includes this. */
#ifndef BASE_PRIVATE_H
#define BASE_PRIVATE_H

#include "base/json.h"
#include "base/type.h"

/* Types (type.c). */

const char *basei_kind_name(enum base_type_kind kind); /* "int", "list", … */
/* Bytes of every non-empty value of a scalar, 0 when they vary (and for types with parameters). */
extern const uint8_t basei_fixed_sizes[BASE_TYPE_LIST];
static inline bool basei_is_scalar(const struct base_type *type)
{
    return type->kind < BASE_TYPE_LIST;
}
static inline size_t basei_type_fixed_size(const struct base_type *type)
{
    return basei_is_scalar(type) ? basei_fixed_sizes[type->kind] : 0;
}
/* Bytes of each element of a vector of this element type, 0 when elements carry their lengths.
 * (Cassandra's valueLengthIfFixed: tinyint, smallint, date and time count as variable there.) */
size_t basei_vector_element_size(const struct base_type *element);
/* Is the zero-length value one of the type's values, apart from all others? (Cassandra's
 * allowsEmpty; not collections; not tuples and UDTs, whose zero bytes mean that all fields are
 * null.) */
static inline bool basei_type_has_empty(const struct base_type *type)
{
    switch (type->kind) {
    case BASE_TYPE_COUNTER:
    case BASE_TYPE_DURATION:
    case BASE_TYPE_DATE:
    case BASE_TYPE_TIME:
    case BASE_TYPE_SMALLINT:
    case BASE_TYPE_TINYINT:
    case BASE_TYPE_LIST:
    case BASE_TYPE_MAP:
    case BASE_TYPE_SET:
    case BASE_TYPE_UDT:
    case BASE_TYPE_TUPLE:
    case BASE_TYPE_VECTOR:
    case BASE_TYPE_CUSTOM:
        return false;
    default:
        return true;
    }
}
/* The type's name for a message, cut to fit. Returns `text`. */
const char *basei_type_text(const struct base_type *type, char *text, size_t size);
/* The same for a user's bytes: printable, cut with "…" past about 60 characters. */
const char *basei_bytes_text(struct base_slice bytes, char *text, size_t size);

/* A name as CQL writes it: quoted when it must be. */
BASE_MUST int basei_put_identifier(struct base_buf *out, struct base_slice name);

/* Building collections (element.c). */

/* Around an element's bytes: its length goes in front, in the parent's manner. `at` is where begin
 * was called. end: INVALID for an empty value in a vector of fixed-size elements. */
BASE_MUST int basei_element_begin(const struct base_type *parent, struct base_buf *out);
BASE_MUST int basei_element_end(const struct base_type *parent, const struct base_type *type,
                                struct base_buf *out, size_t at);
/* Sort the serialized set or map that is the end of `out` from `start` on; equal elements once. */
BASE_MUST int basei_collection_sort(const struct base_type *type, struct base_buf *out,
                                    size_t start);

/* Bytes. */

/* Inline: it is on every path of text, before the slower base_utf8_valid. */
static inline bool basei_ascii_valid(struct base_slice text)
{
    const uint64_t high = 0x8080808080808080ULL;
    uint64_t seen = 0;
    size_t i = 0;
    for (; i + 8 <= text.len; i += 8)
        seen |= base_get_le64(text.data + i);
    if (text.len >= 8) /* the last eight again, some of them twice */
        return !((seen | base_get_le64(text.data + text.len - 8)) & high);
    for (; i < text.len; i++)
        seen |= text.data[i];
    return !(seen & high);
}
static inline bool basei_text_valid(struct base_slice text)
{
    return BASE_LIKELY(basei_ascii_valid(text)) || base_utf8_valid(text);
}
struct base_slice basei_trim(struct base_slice text); /* without ASCII blanks at both ends */
static inline bool basei_is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}
int basei_hex_digit(uint8_t c); /* 0..15, or -1 */
BASE_MUST int basei_put_hex(struct base_buf *out,
                            struct base_slice bytes); /* "0x" and the digits */
/* Text of "0x" and an even number of digits to bytes; false when it is not that. */
BASE_MUST int basei_hex_parse(struct base_slice text,
                              struct base_buf *out); /* INVALID, NOMEM, LIMIT */

/* Write value with 00 as 00 FF, and the terminator 00 01; room for 2 * len + 2. Returns the end. */
uint8_t *basei_escape(uint8_t *p, struct base_slice value);
/* Read it back (complemented when `inverted`), appending. CORRUPT, NOMEM, LIMIT. */
BASE_MUST int basei_unescape(struct base_reader *in, bool inverted, struct base_buf *out);

/* Numbers (number.c). */

/* The longest varint, in bytes, and more digits than it can have. Cassandra has no limit, but GMP
 * aborts the process when memory ends, so it is kept from large sizes. */
#define BASEI_VARINT_LEN_MAX 62000
#define BASEI_DIGITS_MAX 149400

/* A number's text, taken apart: [+-] digits [. digits] [e [+-] digits]. */
struct basei_number {
    bool negative;
    struct base_slice whole, fraction; /* digits; either may be empty, not both */
    int64_t exponent;                  /* clamped to ±2^40 */
    bool is_plain;                     /* whole only */
};
bool basei_number_parse(struct base_slice text, struct basei_number *number);
/* floor() of a number as int64. *side: -1 below every int64, 1 above, 0 in range. *exact: it was
 * whole. */
void basei_number_floor(const struct basei_number *number, int64_t *out, int *side, bool *exact);

struct base_slice
basei_varint_minimal(struct base_slice value); /* without superfluous sign bytes */
int basei_varint_compare(struct base_slice a, struct base_slice b);
BASE_MUST int basei_varint_put_i64(struct base_buf *out, int64_t v);
/* floor() of a number as a varint; LIMIT past BASEI_DIGITS_MAX. */
BASE_MUST int basei_varint_put_number(struct base_buf *out, const struct basei_number *number,
                                      bool *exact);
BASE_MUST int basei_varint_print(struct base_slice value, struct base_buf *out);
BASE_MUST int basei_decimal_put_number(struct base_buf *out, const struct basei_number *number);
/* As java.math.BigDecimal prints, so that reading it back gives the same bytes. */
BASE_MUST int basei_decimal_print(struct base_slice value, struct base_buf *out);
int basei_decimal_compare(struct base_slice a, struct base_slice b);
BASE_MUST int basei_decimal_order_put(struct base_slice value, struct base_buf *out, bool *exact);
BASE_MUST int basei_decimal_order_get(struct base_reader *in, bool inverted, struct base_buf *out);

/* The shortest digits that read back as the same double (or float), locale or not; at least one
 * digit after the point ("1.0", "1e+300"). `text` has room for 32 bytes. NaN, Infinity,
 * -Infinity. */
size_t basei_double_print(double v, char *text);
size_t basei_float_print(float v, char *text);
/* The nearest double or float of a number's text, or of NaN, Infinity, -Infinity in any case. */
bool basei_double_parse(struct base_slice text, double *out);
bool basei_float_parse(struct base_slice text, float *out);

/* Dates and times (datetime.c). */

/* ISO 8601 in the forms of DESIGN.md §11 to milliseconds since 1970 (rounded down), and whether
 * that was exact. A whole number is milliseconds. */
bool basei_timestamp_parse(struct base_slice text, int64_t *ms, bool *exact);
#define BASEI_TIMESTAMP_LEN 40
size_t basei_timestamp_print(int64_t ms, char separator,
                             char *text);                      /* room for BASEI_TIMESTAMP_LEN */
bool basei_date_parse(struct base_slice text, uint32_t *days); /* yyyy-mm-dd, or the raw number */
size_t basei_date_print(uint32_t days, char *text);            /* room for 24 */
bool basei_time_parse(struct base_slice text, int64_t *ns);
size_t basei_time_print(int64_t ns, char *text); /* room for 24 */
#define BASEI_DAY_NS 86400000000000LL

/* Cassandra's unsigned vint: as many bytes follow the first as it has leading ones. */
BASE_MUST int basei_uvint_put(struct base_buf *out, uint64_t v);
bool basei_uvint_get(struct base_reader *r, uint64_t *value);

struct basei_duration {
    int32_t months, days; /* all three have one sign */
    int64_t ns;
};
bool basei_duration_parse(struct base_slice text, struct basei_duration *out);
bool basei_duration_decode(struct base_slice value, struct basei_duration *out);
BASE_MUST int basei_duration_encode(const struct basei_duration *duration, struct base_buf *out);
BASE_MUST int basei_duration_print(const struct basei_duration *duration, struct base_buf *out);

/* Scalars' text (value_text.c). */

/* CQL literal text (without quotes) to bytes. INVALID without a message: basei_refuse says it. */
BASE_MUST int basei_scalar_from_text(const struct base_type *type, struct base_slice text,
                                     struct base_buf *out);
/* The other way; the value is not trusted: CORRUPT. */
BASE_MUST int basei_scalar_to_text(const struct base_type *type, struct base_slice value,
                                   struct base_buf *out);
/* Fixed-width pieces. The getters need a value of the right length. */
BASE_MUST int basei_integer_put(enum base_type_kind kind, int64_t v,
                                struct base_buf *out); /* INVALID: out of range */
BASE_MUST int basei_double_put(struct base_buf *out, double v);
BASE_MUST int basei_float_put(struct base_buf *out, float v);
int64_t basei_integer_get(struct base_slice value);
double basei_double_get(struct base_slice value);
float basei_float_get(struct base_slice value);
/* "cannot take TEXT 'abc' as int: give a whole number in -2147483648..2147483647". Returns
 * INVALID. */
int basei_refuse(const struct base_type *type, const struct base_sql_value *in,
                 struct base_err *err);

/* How JSON text is to look. */
enum basei_json_style {
    BASEI_JSON_CASSANDRA, /* toJson: blanks in timestamps, null for NaN */
    BASEI_JSON_SQL,       /* DESIGN.md §11: elements look as columns of their type would */
};
BASE_MUST int basei_value_put_json(const struct base_type *type, struct base_slice value,
                                   enum basei_json_style style, struct base_buf *out,
                                   struct base_err *err);

#endif
