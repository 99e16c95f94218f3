/* The blocked bloom filter: lsm/bloom.h.
 *
 * A token's mixed 64 bits pick a line by multiplication (no division) and then, remixed, one of its
 * 512 bits a probe. Keys spread unevenly over lines, which costs accuracy that an unblocked filter
 * would not lose; bits_per_key adds what makes up for it (tests/unit/lsm/bloom_test.c measures). */
#include "lsm/bloom.h"

#include <math.h>

#define TOKENS_MAX ((size_t)1 << 20)  /* 8 MiB of memory until the filter is built */
#define LINES_MAX ((uint64_t)1 << 26) /* 4 GiB of filter */
#define MIX 0x9e3779b97f4a7c15u
#define LINE_BITS 512

static inline uint64_t mix(int64_t token)
{
    /* a node's tokens share their upper bits: spread the lower ones over all */
    uint64_t h = (uint64_t)token;
    h = (h ^ h >> 32) * 0xd6e8feb86659fd93u;
    h = (h ^ h >> 32) * 0xd6e8feb86659fd93u;
    return h ^ h >> 32;
}

static inline const uint8_t *line_of(const struct lsmi_bloom *bloom, uint64_t h)
{
    return bloom->lines + ((h & UINT32_MAX) * bloom->line_count >> 32) * LSMI_BLOOM_LINE;
}

bool lsmi_bloom_view(struct base_slice section, struct lsmi_bloom *out)
{
    *out = (struct lsmi_bloom){0};
    if (section.len < LSMI_BLOOM_HEADER + LSMI_BLOOM_LINE ||
        (section.len - LSMI_BLOOM_HEADER) % LSMI_BLOOM_LINE)
        return false;
    uint64_t lines = (section.len - LSMI_BLOOM_HEADER) / LSMI_BLOOM_LINE;
    uint64_t head = base_get_le64(section.data);
    if (lines > LINES_MAX || head == 0 || head > LSMI_BLOOM_PROBES_MAX)
        return false;
    *out = (struct lsmi_bloom){section.data + LSMI_BLOOM_HEADER, (uint32_t)lines, (uint32_t)head};
    return true;
}

void lsmi_bloom_prefetch(const struct lsmi_bloom *bloom, int64_t token)
{
    __builtin_prefetch(line_of(bloom, mix(token)));
}

bool lsmi_bloom_test(const struct lsmi_bloom *bloom, int64_t token)
{
    uint64_t h = mix(token);
    const uint8_t *line = line_of(bloom, h);
    for (uint32_t i = 0; i < bloom->probes; i++) {
        h *= MIX;
        uint64_t bit = h >> 55;
        if (!(line[bit >> 3] >> (bit & 7) & 1))
            return false;
    }
    return true;
}

/* Building. */

static void add(uint8_t *section, uint32_t line_count, int64_t token)
{
    struct lsmi_bloom bloom = {section + LSMI_BLOOM_HEADER, line_count, section[0]};
    uint64_t h = mix(token);
    uint8_t *line = section + (line_of(&bloom, h) - section);
    for (uint32_t i = 0; i < bloom.probes; i++) {
        h *= MIX;
        uint64_t bit = h >> 55;
        line[bit >> 3] = (uint8_t)(line[bit >> 3] | 1u << (bit & 7));
    }
}

static double bits_per_key(double fp_chance)
{
    double ideal = -log2(fp_chance) * 1.442695;
    return ideal * 0.985 + ideal * ideal * 0.009; /* the longer, the more an overfull line hurts */
}

void lsmi_bloom_builder_init(struct lsmi_bloom_builder *b, double fp_chance, uint64_t count_hint)
{
    double smallest = 1e-6; /* below, the probes would not be worth their time */
    *b = (struct lsmi_bloom_builder){.fp_chance = fp_chance > smallest ? fp_chance : smallest,
                                     .hint = count_hint};
}

void lsmi_bloom_builder_fini(struct lsmi_bloom_builder *b)
{
    free(b->tokens);
    free(b->section);
    *b = (struct lsmi_bloom_builder){.fp_chance = 1};
}

static uint32_t lines_in(const struct lsmi_bloom_builder *b)
{
    return (uint32_t)((b->section_len - LSMI_BLOOM_HEADER) / LSMI_BLOOM_LINE);
}

/* A filter for `count` keys with the tokens gathered so far. */
static int build(struct lsmi_bloom_builder *b, uint64_t count)
{
    double bits = bits_per_key(b->fp_chance), wanted = ceil(bits * (double)count / LINE_BITS);
    uint64_t lines = wanted < 1 ? 1 : wanted > (double)LINES_MAX ? LINES_MAX : (uint64_t)wanted;
    double probes = round(-log2(b->fp_chance));
    b->section_len = LSMI_BLOOM_HEADER + lines * LSMI_BLOOM_LINE;
    b->section = calloc(1, b->section_len);
    if (!b->section)
        return BASE_E_NOMEM;
    b->section[0] = (uint8_t)(probes < 1                       ? 1
                              : probes > LSMI_BLOOM_PROBES_MAX ? LSMI_BLOOM_PROBES_MAX
                                                               : probes);
    for (uint64_t i = 0; i < b->count; i++)
        add(b->section, (uint32_t)lines, b->tokens[i]);
    free(b->tokens);
    b->tokens = NULL;
    return BASE_OK;
}

int lsmi_bloom_builder_add(struct lsmi_bloom_builder *b, int64_t token)
{
    if (b->fp_chance >= 1)
        return BASE_OK;
    if (!b->section && b->count == TOKENS_MAX) {
        int rc = build(b, b->hint > 2 * TOKENS_MAX ? b->hint : 2 * TOKENS_MAX);
        if (rc)
            return rc;
    }
    if (b->section) {
        add(b->section, lines_in(b), token);
        b->count++;
        return BASE_OK;
    }
    if (b->count == b->token_cap) {
        size_t cap = b->token_cap ? b->token_cap * 2 : 1024;
        int64_t *tokens = realloc(b->tokens, cap * sizeof *tokens);
        if (!tokens)
            return BASE_E_NOMEM;
        b->tokens = tokens;
        b->token_cap = cap;
    }
    b->tokens[b->count++] = token;
    return BASE_OK;
}

int lsmi_bloom_builder_finish(struct lsmi_bloom_builder *b, struct base_slice *section)
{
    *section = (struct base_slice){0};
    if (b->fp_chance >= 1 || b->count == 0)
        return BASE_OK;
    int rc = b->section ? BASE_OK : build(b, b->count);
    if (rc == BASE_OK)
        *section = base_slice(b->section, b->section_len);
    return rc;
}
