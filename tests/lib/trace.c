/* The fingerprint of a run: see the header. Each call is folded into the hash with the hash
 * before it as the seed, so that order matters. */
#include "tests/lib/trace.h"

#include <inttypes.h>

#include "base/checksum.h"

void trace_add(struct trace *trace, const char *what, const char *text, uint64_t a, uint64_t b,
               struct base_slice data)
{
    if (!trace)
        return;
    uint64_t sum = data.len ? base_checksum(data.data, data.len) : 0;
    uint64_t numbers[4] = {a, b, data.len, sum};
    uint64_t h = base_checksum_seeded(what, strlen(what), trace->hash);
    h = base_checksum_seeded(text, strlen(text), h);
    trace->hash = base_checksum_seeded(numbers, sizeof numbers, h);
    trace->count++;
    if (trace->out)
        fprintf(trace->out, "%" PRIu64 " %s %s %" PRIu64 " %" PRIu64 " %zu %016" PRIx64 "\n",
                trace->count, what, text, a, b, data.len, sum);
}
