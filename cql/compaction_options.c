/* A table's compaction: Cassandra 5's strategies with their options and ranges. All are taken and
 * kept as they were written; the store compacts in size tiers whichever is named, by the thresholds
 * and buckets if the strategy has them (cql_table_storage): what a strategy changes is when and how
 * much is compacted, never what is read. */
#include "cql/cql_private.h"

#define LIT(text) BASE_SLICE_LIT(text)

struct number_option {
    const char *key;
    double min, max;
    bool integer;
};
struct word_option {
    const char *key, *words; /* " A B " */
};
struct strategy {
    const char *name;
    struct number_option numbers[8];
    struct word_option words[4];
    const char *bools[2];
    const char *sizes[4]; /* 100MiB */
    bool size_tiers;      /* size-tiered's options too */
    bool thresholds;      /* they are filled in when they are not given */
};

static const struct number_option common_numbers[] = {
    {"min_threshold", INT64_MIN, 1e6, true},
    {"max_threshold", INT64_MIN, 1e6, true},
    {"tombstone_threshold", 0, 1, false},
    {"tombstone_compaction_interval", 0, 1e9, true},
};
static const char *const common_bools[] = {"enabled", "unchecked_tombstone_compaction", "log_all",
                                           "only_purge_repaired_tombstones"};
static const struct number_option size_tier_numbers[] = {{"bucket_low", 0, 1, false},
                                                         {"bucket_high", 1, 1e6, false},
                                                         {"min_sstable_size", 0, 1e15, true}};

static const struct strategy strategies[] = {
    {.name = "SizeTieredCompactionStrategy", .size_tiers = true, .thresholds = true},
    {.name = "LeveledCompactionStrategy",
     .numbers = {{"sstable_size_in_mb", 1, 1e6, true}, {"fanout_size", 1, 1e6, true}},
     .bools = {"single_sstable_uplevel"},
     .size_tiers = true, /* its level 0 */
     .thresholds = true},
    {.name = "TimeWindowCompactionStrategy",
     .numbers = {{"compaction_window_size", 1, 1e6, true},
                 {"expired_sstable_check_frequency_seconds", 0, 1e9, true}},
     .words = {{"compaction_window_unit", " MINUTES HOURS DAYS "},
               {"timestamp_resolution",
                " MICROSECONDS MILLISECONDS SECONDS NANOSECONDS MINUTES HOURS DAYS "}},
     .bools = {"unsafe_aggressive_sstable_expiration"},
     .size_tiers = true,
     .thresholds = true},
    {.name = "UnifiedCompactionStrategy",
     .numbers = {{"base_shard_count", 1, 1e6, true},
                 {"sstable_growth", 0, 1, false},
                 {"max_sstables_to_compact", -1e9, 1e9, true},
                 {"expired_sstable_check_frequency_seconds", 0, 1e9, true}},
     .words = {{"overlap_inclusion_method", " NONE SINGLE TRANSITIVE "}},
     .bools = {"unsafe_aggressive_sstable_expiration"},
     .sizes = {"target_sstable_size", "min_sstable_size", "flush_size_override"}},
};

static int check_word(struct cqli_analysis *a, struct cqli_map *map,
                      const struct word_option *option)
{
    struct base_slice value = cqli_map_take(map, option->key);
    if (!value.data)
        return BASE_OK;
    for (const char *word = option->words + 1, *end; *word; word = end + 1) {
        end = strchr(word, ' ');
        if (base_slice_equal_nocase(value, base_slice(word, (size_t)(end - word))))
            return BASE_OK;
    }
    return base_err_set(a->err, BASE_E_CONFIG, "%.*s is not valid for %s: give one of%.*s",
                        BASE_SLICE_ARG(value), option->key, (int)strlen(option->words) - 1,
                        option->words);
}

/* 1GiB, 100 MiB, 512B. */
static int check_size(struct cqli_analysis *a, struct cqli_map *map, const char *key)
{
    static const char *const units[] = {"", "B", "KiB", "MiB", "GiB", "TiB"};
    struct base_slice value = cqli_map_take(map, key), number = value;
    double v;
    if (!value.data)
        return BASE_OK;
    while (number.len &&
           ((number.data[number.len - 1] | 0x20) >= 'a' || number.data[number.len - 1] == ' '))
        number.len--;
    struct base_slice unit = base_slice(value.data + number.len, value.len - number.len);
    while (unit.len && unit.data[0] == ' ')
        unit = base_slice(unit.data + 1, unit.len - 1);
    for (size_t i = 0; i < BASE_COUNT(units); i++)
        if (base_slice_equal_nocase(unit, base_slice_str(units[i])) &&
            cqli_slice_to_double(number, &v) && v >= 0)
            return BASE_OK;
    return base_err_set(a->err, BASE_E_CONFIG,
                        "%.*s is not a valid size for %s: write it like 100MiB",
                        BASE_SLICE_ARG(value), key);
}

/* T4, L10, N, -2; several with commas, one a level. */
static int check_scaling(struct cqli_analysis *a, struct cqli_map *map)
{
    struct base_slice value = cqli_map_take(map, "scaling_parameters");
    size_t start = 0;
    for (size_t i = 0; value.data && i <= value.len; i++) {
        if (i < value.len && value.data[i] != ',')
            continue;
        struct base_slice one = base_slice(value.data + start, i - start);
        int64_t w;
        start = i + 1;
        while (one.len && one.data[0] == ' ')
            one = base_slice(one.data + 1, one.len - 1);
        bool letter = one.len > 1 && (one.data[0] == 'T' || one.data[0] == 'L');
        if (base_slice_equal(one, LIT("N")) ||
            (letter ? cqli_slice_to_i64(base_slice(one.data + 1, one.len - 1), &w) && w >= 2
                    : cqli_slice_to_i64(one, &w)))
            continue;
        return base_err_set(a->err, BASE_E_CONFIG,
                            "Scaling parameter %.*s must be N, L2 and up, T2 and up, or a number",
                            BASE_SLICE_ARG(one));
    }
    return BASE_OK;
}

static int check_numbers(struct cqli_analysis *a, struct cqli_map *map,
                         const struct number_option *numbers, size_t count)
{
    int rc = BASE_OK;
    for (size_t i = 0; rc == BASE_OK && i < count && numbers[i].key; i++)
        rc = cqli_map_check_number(a, map, numbers[i].key, numbers[i].min, numbers[i].max,
                                   numbers[i].integer);
    return rc;
}

/* Taken out of the map as they pass; what is left is unknown. */
static int check_strategy(struct cqli_analysis *a, const struct strategy *strategy,
                          struct cqli_map *map)
{
    static const struct word_option overlapping = {"provide_overlapping_tombstones",
                                                   " NONE ROW CELL "};
    int rc = check_numbers(a, map, common_numbers, BASE_COUNT(common_numbers));
    if (rc == BASE_OK)
        rc = check_word(a, map, &overlapping);
    for (size_t i = 0; rc == BASE_OK && i < BASE_COUNT(common_bools); i++)
        rc = cqli_map_check_bool(a, map, common_bools[i], NULL);
    if (rc == BASE_OK && strategy->size_tiers)
        rc = check_numbers(a, map, size_tier_numbers, BASE_COUNT(size_tier_numbers));
    if (rc == BASE_OK)
        rc = check_numbers(a, map, strategy->numbers, BASE_COUNT(strategy->numbers));
    for (size_t i = 0; rc == BASE_OK && i < BASE_COUNT(strategy->words) && strategy->words[i].key;
         i++)
        rc = check_word(a, map, &strategy->words[i]);
    for (size_t i = 0; rc == BASE_OK && i < BASE_COUNT(strategy->bools) && strategy->bools[i]; i++)
        rc = cqli_map_check_bool(a, map, strategy->bools[i], NULL);
    for (size_t i = 0; rc == BASE_OK && i < BASE_COUNT(strategy->sizes) && strategy->sizes[i]; i++)
        rc = check_size(a, map, strategy->sizes[i]);
    if (rc == BASE_OK && !strategy->thresholds)
        rc = check_scaling(a, map);
    return rc == BASE_OK ? cqli_map_check_rest(a, map, strategy->name) : rc;
}

static int thresholds_ordered(struct cqli_analysis *a, const struct base_options *options)
{
    struct base_slice min = base_options_get(options, "min_threshold"),
                      max = base_options_get(options, "max_threshold");
    int64_t low = 4, high = 32;
    (void)(min.data && cqli_slice_to_i64(min, &low));
    (void)(max.data && cqli_slice_to_i64(max, &high));
    if (low < 2)
        return base_err_set(a->err, BASE_E_CONFIG,
                            "Min compaction threshold cannot be less than 2 (got %lld)",
                            (long long)low);
    return low <= high ? BASE_OK
                       : base_err_set(a->err, BASE_E_CONFIG,
                                      "Min compaction threshold (got %lld) cannot be greater than "
                                      "max compaction threshold (got %lld)",
                                      (long long)low, (long long)high);
}

/* As Cassandra: kept with the thresholds, given or not. */
static int keep(struct cqli_analysis *a, const struct strategy *strategy, struct cqli_map *map,
                struct base_options *out)
{
    int rc = cqli_map_put(a, map, "class", base_slice_str(strategy->name));
    for (int i = 0; rc == BASE_OK && strategy->thresholds && i < 2; i++) {
        const char *key = i ? "max_threshold" : "min_threshold";
        struct base_slice value = cqli_map_take(map, key);
        rc = cqli_map_put(a, map, key, value.data ? value : i ? LIT("32") : LIT("4"));
    }
    if (rc == BASE_OK)
        rc = cqli_map_to_options(a, map, out);
    return rc == BASE_OK ? thresholds_ordered(a, out) : rc;
}

int cqli_compaction_options(struct cqli_analysis *a, const struct cql_term *value,
                            struct base_options *out)
{
    struct cqli_map map, kept;
    int rc = cqli_map_from_term(a, "compaction", value, &map);
    if (rc != BASE_OK)
        return rc;
    struct base_slice class = cqli_map_take(&map, "class"), name = cqli_short_class(class);
    if (!class.data)
        return base_err_set(a->err, BASE_E_CONFIG,
                            "Missing sub-option 'class' for the 'compaction' option.");
    for (size_t i = 0; i < BASE_COUNT(strategies); i++) {
        if (!base_slice_equal(name, base_slice_str(strategies[i].name)))
            continue;
        kept = map;
        rc = check_strategy(a, &strategies[i], &map);
        return rc == BASE_OK ? keep(a, &strategies[i], &kept, out) : rc;
    }
    return base_err_set(a->err, BASE_E_CONFIG,
                        "Unable to find compaction strategy class '%.*s': "
                        "SizeTieredCompactionStrategy, LeveledCompactionStrategy, "
                        "TimeWindowCompactionStrategy and UnifiedCompactionStrategy are there",
                        BASE_SLICE_ARG(class));
}
