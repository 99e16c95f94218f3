/* Latencies in nanoseconds, log-linear as HdrHistogram's: 128 buckets to each power of two, so a
 * value is known to within 1/128. */
#ifndef CLI_HISTOGRAM_H
#define CLI_HISTOGRAM_H

#include <stdio.h>

#include "base/bytes.h"

/* up to 2^51 ns: 26 days */
enum { CLI_HISTOGRAM_SUB = 128, CLI_HISTOGRAM_BUCKETS = 46 * CLI_HISTOGRAM_SUB };

struct cli_histogram {
    uint64_t count, sum, min, max;
    uint64_t buckets[CLI_HISTOGRAM_BUCKETS];
};

void cli_histogram_reset(struct cli_histogram *h);
void cli_histogram_record(struct cli_histogram *h, uint64_t value);
void cli_histogram_add(struct cli_histogram *into, const struct cli_histogram *from);
/* The least bucket's upper bound that at least `percent` (0..100) of the values are not above;
 * never above max. 0 when empty. */
uint64_t cli_histogram_percentile(const struct cli_histogram *h, double percent);
double cli_histogram_mean(const struct cli_histogram *h);
/* HdrHistogram's percentile distribution (.hgrm), values in milliseconds: its plotter takes it.
 * False: it could not be written. */
bool cli_histogram_write(const struct cli_histogram *h, FILE *out);

#endif
