/* A log-linear histogram (histogram.h).
 *
 * 1. Values below 256 have a bucket each; above, 128 buckets to each power of two.
 * 2. bucket_of is monotonic, and upper_bound(bucket_of(v)) >= v: a percentile is never told too
 *    low. */
#include "cli/histogram.h"

static size_t bucket_of(uint64_t value)
{
    if (value < 2 * CLI_HISTOGRAM_SUB)
        return (size_t)value;
    unsigned shift = 63 - (unsigned)__builtin_clzll(value) - 7;
    size_t bucket = (size_t)shift * CLI_HISTOGRAM_SUB + (size_t)(value >> shift);
    return bucket < CLI_HISTOGRAM_BUCKETS ? bucket : CLI_HISTOGRAM_BUCKETS - 1;
}

static uint64_t upper_bound(size_t bucket)
{
    if (bucket < 2 * CLI_HISTOGRAM_SUB)
        return bucket;
    size_t shift = bucket / CLI_HISTOGRAM_SUB - 1;
    return ((uint64_t)(bucket - shift * CLI_HISTOGRAM_SUB + 1) << shift) - 1;
}

void cli_histogram_reset(struct cli_histogram *h)
{
    memset(h, 0, sizeof *h);
}

void cli_histogram_record(struct cli_histogram *h, uint64_t value)
{
    if (h->count == 0 || value < h->min)
        h->min = value;
    if (value > h->max)
        h->max = value;
    h->count++;
    h->sum += value;
    h->buckets[bucket_of(value)]++;
}

void cli_histogram_add(struct cli_histogram *into, const struct cli_histogram *from)
{
    if (from->count == 0)
        return;
    if (into->count == 0 || from->min < into->min)
        into->min = from->min;
    if (from->max > into->max)
        into->max = from->max;
    into->count += from->count;
    into->sum += from->sum;
    for (size_t i = 0; i < CLI_HISTOGRAM_BUCKETS; i++)
        into->buckets[i] += from->buckets[i];
}

uint64_t cli_histogram_percentile(const struct cli_histogram *h, double percent)
{
    if (h->count == 0)
        return 0;
    double exact = (double)h->count * percent / 100.0;
    uint64_t wanted = (uint64_t)exact, seen = 0;
    if ((double)wanted < exact || wanted == 0)
        wanted++;
    for (size_t i = 0; i < CLI_HISTOGRAM_BUCKETS; i++) {
        seen += h->buckets[i];
        if (seen >= wanted) {
            uint64_t bound = upper_bound(i);
            return i == CLI_HISTOGRAM_BUCKETS - 1 || bound > h->max ? h->max : bound;
        }
    }
    return h->max;
}

double cli_histogram_mean(const struct cli_histogram *h)
{
    return h->count ? (double)h->sum / (double)h->count : 0;
}

bool cli_histogram_write(const struct cli_histogram *h, FILE *out)
{
    uint64_t seen = 0;
    fputs("       Value     Percentile TotalCount 1/(1-Percentile)\n\n", out);
    for (size_t i = 0; i < CLI_HISTOGRAM_BUCKETS; i++) {
        if (h->buckets[i] == 0)
            continue;
        seen += h->buckets[i];
        double part = (double)seen / (double)h->count;
        uint64_t bound = seen == h->count ? h->max : upper_bound(i);
        if (seen < h->count)
            fprintf(out, "%12.6f %14.12f %10llu %14.2f\n", (double)bound / 1e6, part,
                    (unsigned long long)seen, 1 / (1 - part));
        else
            fprintf(out, "%12.6f %14.12f %10llu\n", (double)bound / 1e6, 1.0,
                    (unsigned long long)seen);
    }
    fprintf(out, "#[Mean    = %12.6f, Max = %12.6f, Total count = %llu]\n",
            cli_histogram_mean(h) / 1e6, (double)h->max / 1e6, (unsigned long long)h->count);
    return !ferror(out);
}
