/* Arithmetic on serialized values, for CQL's operators and functions: exact where the type is
 * (varint, decimal), by the proleptic Gregorian calendar in UTC where it is a date. All inputs are
 * valid values of their types and not empty; results are appended. Pure functions, thread-safe. */
#ifndef BASE_ARITH_H
#define BASE_ARITH_H

#include "base/bytes.h"

enum base_arith_op { BASE_ADD, BASE_SUBTRACT, BASE_MULTIPLY, BASE_DIVIDE, BASE_MODULO };

/* Varint. */

BASE_MUST int base_varint_from_i64(int64_t v, struct base_buf *out);
/* Its low 64 bits, as Java's longValue(). */
int64_t base_varint_to_i64(struct base_slice value);
/* Division truncates, a remainder has the left side's sign. INVALID: a division by zero. LIMIT: a
 * result of too many digits. */
BASE_MUST int base_varint_arith(enum base_arith_op op, struct base_slice a, struct base_slice b,
                                struct base_buf *out);
BASE_MUST int base_varint_abs(struct base_slice value, struct base_buf *out);

/* Decimal. */

BASE_MUST int base_decimal_from_varint(struct base_slice varint, struct base_buf *out);
/* Rounded to the integer towards zero. LIMIT. */
BASE_MUST int base_decimal_to_varint(struct base_slice value, struct base_buf *out);
/* As Cassandra's DecimalType: sums and products exact; a quotient of at least 32 digits, rounded
 * half up, without zeros at its end. INVALID: a division by zero. LIMIT: a result of too many
 * digits, or of a scale beyond 32 bits. */
BASE_MUST int base_decimal_arith(enum base_arith_op op, struct base_slice a, struct base_slice b,
                                 struct base_buf *out);
BASE_MUST int base_decimal_abs(struct base_slice value, struct base_buf *out);
BASE_MUST int base_decimal_negate(struct base_slice value, struct base_buf *out);
/* half up, scale 0 */
BASE_MUST int base_decimal_round(struct base_slice value, struct base_buf *out);
/* value / count at the value's scale, half to even. count > 0. */
BASE_MUST int base_decimal_average(struct base_slice sum, uint64_t count, struct base_buf *out);
/* e to the value; natural and decimal logarithm (INVALID: not positive). To 32 digits, or as many
 * as the value has. */
enum base_decimal_function { BASE_DECIMAL_EXP, BASE_DECIMAL_LOG, BASE_DECIMAL_LOG10 };
BASE_MUST int base_decimal_apply(enum base_decimal_function f, struct base_slice value,
                                 struct base_buf *out);

/* Doubles. */

/* As Java prints them: "1.0", "1.0E10", "1.0E-5", "NaN". For decimals made of doubles, and text. */
BASE_MUST int base_double_java_text(double v, struct base_buf *out);
BASE_MUST int base_float_java_text(float v, struct base_buf *out);

/* Time. */

struct base_duration {
    int32_t months, days;
    int64_t ns;
};
/* False when the bytes are none. */
BASE_MUST bool base_duration_decode(struct base_slice value, struct base_duration *out);
BASE_MUST int base_duration_encode(const struct base_duration *duration, struct base_buf *out);
/* ms since 1970 plus `times` the duration: months first (a day past the month's end becomes its
 * last), then days, then the rest. False: beyond 64 bits. */
BASE_MUST bool base_timestamp_add(int64_t ms, const struct base_duration *duration, int64_t times,
                                  int64_t *out);

#endif
