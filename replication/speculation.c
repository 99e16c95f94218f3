/* When a read asks one more replica: the table option speculative_retry (Cassandra: percentiles,
 * times, MIN and MAX of two). */
#include "replication/reads_private.h"

#include <stdlib.h>

/* A number before `suffix`, any case: "99.9percentile", "50ms". */
static bool number_before(const char *text, const char *suffix, double *out)
{
    char *end;
    *out = strtod(text, &end);
    return end != text && *out >= 0 &&
           base_slice_equal_nocase(base_slice_str(end), base_slice_str(suffix));
}

static uint64_t speculate_one(const struct repl *repl, const char *text, uint64_t timeout_ns)
{
    double number;
    if (number_before(text, "ms", &number))
        return number < 1e9 ? (uint64_t)(number * 1e6) : UINT64_MAX;
    if (!number_before(text, "p", &number) && !number_before(text, "percentile", &number))
        return UINT64_MAX;
    uint64_t ns = number < 100 ? repli_snitch_percentile_ns(repl, number / 100) : UINT64_MAX;
    return ns ? ns : timeout_ns / 2; /* nothing is known yet */
}

uint64_t repli_speculate_after(const struct repl *repl, struct base_slice option,
                               uint64_t timeout_ns)
{
    char text[64];
    if (option.len == 0)
        option = BASE_SLICE_LIT("99p");
    if (option.len >= sizeof text)
        return UINT64_MAX;
    memcpy(text, option.data, option.len);
    text[option.len] = 0;
    if (base_slice_equal_nocase(option, BASE_SLICE_LIT("ALWAYS")))
        return 0;
    bool least =
        option.len > 4 && base_slice_equal_nocase(base_slice(text, 4), BASE_SLICE_LIT("MIN("));
    bool most =
        option.len > 4 && base_slice_equal_nocase(base_slice(text, 4), BASE_SLICE_LIT("MAX("));
    char *comma = strchr(text, ','), *close = strchr(text, ')');
    if (!(least || most) || !comma || !close || close < comma)
        return speculate_one(repl, text,
                             timeout_ns); /* NONE, NEVER, and what is none of these: never */
    *comma = *close = 0;
    uint64_t a = speculate_one(repl, text + 4, timeout_ns),
             b = speculate_one(repl, comma + 1, timeout_ns);
    return least ? (a < b ? a : b) : (a > b ? a : b);
}
