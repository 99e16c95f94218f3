/* Varints as GMP's integers: number.c and arith.c only. */
#ifndef BASE_MPZ_PRIVATE_H
#define BASE_MPZ_PRIVATE_H

#include <gmp.h>

#include "base/bytes.h"

/* Append z as minimal two's complement, big-endian; z is changed. LIMIT, NOMEM. */
BASE_MUST int basei_mpz_put(struct base_buf *out, mpz_t z);
/* z must be initialized. The bytes must be of a bounded length. */
void basei_mpz_get(struct base_slice value, mpz_t z);

#endif
