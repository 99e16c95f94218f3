/* A table's options: Cassandra 5's names, defaults, ranges and messages.
 *
 * What works so far is taken, the rest is refused by name: an option that is silently ignored would
 * be a promise nobody keeps. Accepted without an effect yet are only those whose effect cannot be
 * seen in results (caching, speculative_retry and additional_write_policy, read_repair, index
 * intervals, crc_check_chance, allow_auto_snapshot, incremental_backups, extensions, the compaction
 * strategy's name: compaction_options.c). */
#include "base/compress.h"
#include "cql/cql_private.h"

#define LIT(text) BASE_SLICE_LIT(text)

static const struct base_option default_caching[] = {{LIT("keys"), LIT("ALL")},
                                                     {LIT("rows_per_partition"), LIT("NONE")}};
static const struct base_option default_compaction[] = {
    {LIT("class"), LIT("SizeTieredCompactionStrategy")},
    {LIT("max_threshold"), LIT("32")},
    {LIT("min_threshold"), LIT("4")}};
static const struct base_option default_compression[] = {{LIT("chunk_length_in_kb"), LIT("16")},
                                                         {LIT("class"), LIT("LZ4Compressor")}};

void cql_table_options_default(struct base_table_options *options)
{
    *options = (struct base_table_options){
        .comment = LIT(""),
        .gc_grace_s = 864000,
        .bloom_filter_fp_chance = 0.01,
        .crc_check_chance = 1.0,
        .min_index_interval = 128,
        .max_index_interval = 2048,
        .allow_auto_snapshot = true,
        .incremental_backups = true,
        .speculative_retry = LIT("99p"),
        .additional_write_policy = LIT("99p"),
        .read_repair = LIT("BLOCKING"),
        .memtable = LIT("default"),
        .caching = {default_caching, BASE_COUNT(default_caching)},
        .compaction = {default_compaction, BASE_COUNT(default_compaction)},
        .compression = {default_compression, BASE_COUNT(default_compression)},
    };
}

/* Values. */

struct option {
    struct cqli_analysis *a;
    struct base_slice name;
    const struct cql_term *value;
};

static int need_simple(const struct option *o)
{
    return o->value->kind != CQL_TERM_MAP
               ? BASE_OK
               : base_err_set(o->a->err, BASE_E_SYNTAX,
                              "Invalid value for property '%.*s'. It should be a string",
                              BASE_SLICE_ARG(o->name));
}

static int get_i32(const struct option *o, int64_t min, int64_t max, int32_t *out)
{
    int64_t v;
    int rc = need_simple(o);
    if (rc != BASE_OK)
        return rc;
    if (!cqli_slice_to_i64(o->value->text, &v))
        return base_err_set(o->a->err, BASE_E_SYNTAX, "Invalid integer value %.*s for '%.*s'",
                            BASE_SLICE_ARG(o->value->text), BASE_SLICE_ARG(o->name));
    if (v < min)
        return base_err_set(
            o->a->err, BASE_E_CONFIG, "%.*s must be greater than or equal to %lld (got %.*s)",
            BASE_SLICE_ARG(o->name), (long long)min, BASE_SLICE_ARG(o->value->text));
    if (v > max)
        return base_err_set(
            o->a->err, BASE_E_CONFIG, "%.*s must be less than or equal to %lld (got %.*s)",
            BASE_SLICE_ARG(o->name), (long long)max, BASE_SLICE_ARG(o->value->text));
    *out = (int32_t)v;
    return BASE_OK;
}

static int get_double(const struct option *o, double *out)
{
    int rc = need_simple(o);
    if (rc != BASE_OK)
        return rc;
    return cqli_slice_to_double(o->value->text, out)
               ? BASE_OK
               : base_err_set(o->a->err, BASE_E_SYNTAX, "Invalid double value %.*s for '%.*s'",
                              BASE_SLICE_ARG(o->value->text), BASE_SLICE_ARG(o->name));
}

static int get_bool(const struct option *o, bool *out)
{
    int rc = need_simple(o);
    if (rc != BASE_OK)
        return rc;
    return cqli_slice_to_bool(o->value->text, out)
               ? BASE_OK
               : base_err_set(o->a->err, BASE_E_SYNTAX,
                              "Invalid boolean value %.*s for '%.*s'. Positive values can be '1', "
                              "'true' or 'yes'. "
                              "Negative values can be '0', 'false' or 'no'.",
                              BASE_SLICE_ARG(o->value->text), BASE_SLICE_ARG(o->name));
}

/* Simple options. */

static int fp_chance(const struct option *o, struct base_table_options *t)
{
    int rc = get_double(o, &t->bloom_filter_fp_chance);
    if (rc == BASE_OK && !(t->bloom_filter_fp_chance > 6.71e-05 && t->bloom_filter_fp_chance <= 1))
        rc = base_err_set(o->a->err, BASE_E_CONFIG,
                          "bloom_filter_fp_chance must be larger than 6.71E-5 and less than or "
                          "equal to 1.0 (got %.*s)",
                          BASE_SLICE_ARG(o->value->text));
    return rc;
}

static int crc_chance(const struct option *o, struct base_table_options *t)
{
    int rc = get_double(o, &t->crc_check_chance);
    if (rc == BASE_OK && !(t->crc_check_chance >= 0 && t->crc_check_chance <= 1))
        rc = base_err_set(o->a->err, BASE_E_CONFIG,
                          "crc_check_chance must be larger than or equal to 0 and smaller than or "
                          "equal to 1.0 (got %.*s)",
                          BASE_SLICE_ARG(o->value->text));
    return rc;
}

static bool ends_with_nocase(struct base_slice s, const char *tail, struct base_slice *head)
{
    size_t len = strlen(tail);
    if (s.len <= len ||
        !base_slice_equal_nocase(base_slice(s.data + s.len - len, len), base_slice_str(tail)))
        return false;
    *head = base_slice(s.data, s.len - len);
    return true;
}

/* "99.50" → 99.5, as Cassandra prints a policy's number: at most four digits behind the point. */
static int put_policy_number(struct base_buf *out, double v)
{
    uint64_t scaled = (uint64_t)(v * 10000 + 0.5), digits = scaled % 10000;
    int rc = base_buf_printf(out, "%llu", (unsigned long long)(scaled / 10000));
    if (rc == BASE_OK && digits)
        rc = base_buf_printf(out, ".%04llu", (unsigned long long)digits);
    while (rc == BASE_OK && digits && out->data[out->len - 1] == '0')
        out->len--;
    return rc;
}

/* 99p, 99PERCENTILE, 50ms: written to out as 99p, 50ms. */
static int put_threshold(struct base_slice s, struct base_buf *out)
{
    struct base_slice number;
    double v;
    bool percentile =
        ends_with_nocase(s, "PERCENTILE", &number) || ends_with_nocase(s, "P", &number);
    if (!percentile && !ends_with_nocase(s, "ms", &number))
        return BASE_E_INVALID;
    if (!cqli_slice_to_double(number, &v) || !(v >= 0 && v <= (percentile ? 100 : 1e12)))
        return BASE_E_INVALID;
    int rc = put_policy_number(out, v);
    return rc == BASE_OK ? base_buf_put_slice(out, percentile ? LIT("p") : LIT("ms")) : rc;
}

/* ALWAYS, NEVER, NONE, a threshold, MIN(99p,50ms), MAX(…): as Cassandra prints it. */
static int put_policy(struct base_slice s, struct base_buf *out)
{
    if (base_slice_equal_nocase(s, LIT("ALWAYS")))
        return base_buf_put_slice(out, LIT("ALWAYS"));
    if (base_slice_equal_nocase(s, LIT("NEVER")) || base_slice_equal_nocase(s, LIT("NONE")))
        return base_buf_put_slice(out, LIT("NEVER"));
    bool min = s.len > 5 && base_slice_equal_nocase(base_slice(s.data, 4), LIT("MIN("));
    if (!min && !(s.len > 5 && base_slice_equal_nocase(base_slice(s.data, 4), LIT("MAX("))))
        return put_threshold(s, out);
    const uint8_t *comma = memchr(s.data, ',', s.len);
    if (!comma || s.data[s.len - 1] != ')')
        return BASE_E_INVALID;
    struct base_slice y = base_slice(comma + 1, (size_t)(s.data + s.len - 1 - (comma + 1)));
    while (y.len && y.data[0] == ' ')
        y = base_slice(y.data + 1, y.len - 1);
    struct base_slice x = base_slice(s.data + 4, (size_t)(comma - s.data) - 4), number;
    if (ends_with_nocase(x, "ms", &number) &&
        !ends_with_nocase(y, "ms", &number)) { /* Cassandra puts the percentile first */
        struct base_slice other = x;
        x = y;
        y = other;
    }
    int rc = base_buf_put_slice(out, min ? LIT("MIN(") : LIT("MAX("));
    if (rc == BASE_OK)
        rc = put_threshold(x, out);
    if (rc == BASE_OK)
        rc = base_buf_put_slice(out, LIT(","));
    if (rc == BASE_OK)
        rc = put_threshold(y, out);
    return rc == BASE_OK ? base_buf_put_slice(out, LIT(")")) : rc;
}

static int retry_policy(const struct option *o, struct base_slice *out)
{
    int rc = need_simple(o);
    if (rc != BASE_OK)
        return rc;
    struct base_buf text;
    base_buf_init(&text, 256);
    rc = put_policy(o->value->text, &text);
    if (rc == BASE_OK)
        rc = base_arena_copy(o->a->arena, base_buf_view(&text), out);
    base_buf_fini(&text);
    if (rc == BASE_E_NOMEM)
        return cqli_no_memory(o->a);
    return rc == BASE_OK ? rc
                         : base_err_set(o->a->err, BASE_E_CONFIG,
                                        "Invalid value %.*s for option '%.*s': give ALWAYS, NEVER, "
                                        "99p, 50ms, MIN(99p,50ms) or "
                                        "MAX(99p,50ms)",
                                        BASE_SLICE_ARG(o->value->text), BASE_SLICE_ARG(o->name));
}

static int read_repair(const struct option *o, struct base_table_options *t)
{
    int rc = need_simple(o);
    if (rc != BASE_OK)
        return rc;
    if (base_slice_equal_nocase(o->value->text, LIT("BLOCKING")))
        t->read_repair = LIT("BLOCKING");
    else if (base_slice_equal_nocase(o->value->text, LIT("NONE")))
        t->read_repair = LIT("NONE");
    else
        return base_err_set(o->a->err, BASE_E_CONFIG,
                            "read_repair must be BLOCKING or NONE (got %.*s)",
                            BASE_SLICE_ARG(o->value->text));
    return BASE_OK;
}

static int cdc(const struct option *o, struct base_table_options *t)
{
    int rc = get_bool(o, &t->cdc);
    return rc == BASE_OK && t->cdc
               ? base_err_set(o->a->err, BASE_E_CONFIG,
                              "cdc = true: change data capture is not supported yet")
               : rc;
}

static int memtable(const struct option *o, struct base_table_options *t)
{
    int rc = need_simple(o);
    if (rc != BASE_OK)
        return rc;
    if (!base_slice_equal(o->value->text, LIT("default")))
        return base_err_set(o->a->err, BASE_E_CONFIG,
                            "Memtable configuration \"%.*s\" not found: there is only default",
                            BASE_SLICE_ARG(o->value->text));
    t->memtable = o->value->text;
    return BASE_OK;
}

static int comment(const struct option *o, struct base_table_options *t)
{
    int rc = need_simple(o);
    t->comment = o->value->text;
    return rc;
}

/* Maps. */

static int caching(const struct option *o, struct base_table_options *t)
{
    struct cqli_map map;
    int64_t rows;
    int rc = cqli_map_from_term(o->a, "caching", o->value, &map);
    if (rc != BASE_OK)
        return rc;
    struct base_slice keys = cqli_map_take(&map, "keys"),
                      rows_text = cqli_map_take(&map, "rows_per_partition");
    keys = keys.data ? keys : LIT("ALL");
    rows_text = rows_text.data ? rows_text : LIT("NONE");
    if (!base_slice_equal_nocase(keys, LIT("ALL")) && !base_slice_equal_nocase(keys, LIT("NONE")))
        return base_err_set(
            o->a->err, BASE_E_CONFIG,
            "Invalid value '%.*s' for caching sub-option 'keys': only 'ALL' and 'NONE' are allowed",
            BASE_SLICE_ARG(keys));
    if (!base_slice_equal_nocase(rows_text, LIT("ALL")) &&
        !base_slice_equal_nocase(rows_text, LIT("NONE")) &&
        (!cqli_slice_to_i64(rows_text, &rows) || rows < 0))
        return base_err_set(o->a->err, BASE_E_CONFIG,
                            "Invalid value '%.*s' for caching sub-option 'rows_per_partition': "
                            "only 'ALL', 'NONE', and integer "
                            "values are allowed",
                            BASE_SLICE_ARG(rows_text));
    rc = cqli_map_check_rest(o->a, &map, "caching");
    if (rc == BASE_OK)
        rc = cqli_map_put(o->a, &map, "keys", keys);
    if (rc == BASE_OK)
        rc = cqli_map_put(o->a, &map, "rows_per_partition", rows_text);
    return rc == BASE_OK ? cqli_map_to_options(o->a, &map, &t->caching) : rc;
}

static int need_absent(struct cqli_analysis *a, const struct cqli_map *map, const char *key,
                       const char *value)
{
    for (size_t i = 0; i < map->count; i++)
        if (base_slice_equal(map->items[i].key, base_slice_str(key)) &&
            !base_slice_equal_nocase(map->items[i].value, base_slice_str(value)))
            return base_err_set(a->err, BASE_E_CONFIG,
                                "%s option %s: only %s is supported (got %.*s)", map->what, key,
                                value, BASE_SLICE_ARG(map->items[i].value));
    return BASE_OK;
}

static int check_chunk_length(struct cqli_analysis *a, struct cqli_map *map)
{
    struct base_slice text = cqli_map_take(map, "chunk_length_in_kb");
    int64_t kb;
    if (!text.data)
        return BASE_OK;
    if (!cqli_slice_to_i64(text, &kb) || kb < 1 || kb > 1024 || (kb & (kb - 1)))
        return base_err_set(a->err, BASE_E_CONFIG,
                            "chunk_length_in_kb must be a power of 2 from 1 to 1024 (got %.*s)",
                            BASE_SLICE_ARG(text));
    return BASE_OK;
}

static int check_compression(struct cqli_analysis *a, struct base_slice name, struct cqli_map *map)
{
    int rc = check_chunk_length(a, map);
    if (rc == BASE_OK)
        rc = cqli_map_check_number(a, map, "min_compress_ratio", 0, 1e9, false);
    if (rc == BASE_OK && base_slice_equal(name, LIT("ZstdCompressor")))
        rc = cqli_map_check_number(a, map, "compression_level", -131072, 22, true);
    if (rc == BASE_OK && base_slice_equal(name, LIT("LZ4Compressor"))) {
        rc = need_absent(a, map, "lz4_compressor_type", "fast");
        (void)cqli_map_take(map, "lz4_compressor_type");
    }
    return rc == BASE_OK ? cqli_map_check_rest(a, map, "compression") : rc;
}

/* The names before Cassandra 3 become today's. */
static int modern_names(struct cqli_analysis *a, struct cqli_map *map)
{
    static const char *const names[][2] = {{"sstable_compression", "class"},
                                           {"chunk_length_kb", "chunk_length_in_kb"}};
    for (size_t i = 0; i < BASE_COUNT(names); i++) {
        struct base_slice old = cqli_map_take(map, names[i][0]),
                          now = cqli_map_take(map, names[i][1]);
        if (old.data && now.data)
            return base_err_set(a->err, BASE_E_CONFIG,
                                "The '%s' option must not be used if '%s' is given", names[i][0],
                                names[i][1]);
        if (old.data || now.data) {
            int rc = cqli_map_put(a, map, names[i][1], old.data ? old : now);
            if (rc != BASE_OK)
                return rc;
        }
    }
    return BASE_OK;
}

static int compression(const struct option *o, struct base_table_options *t)
{
    struct cqli_map map, kept;
    bool enabled = true;
    int rc = cqli_map_from_term(o->a, "compression", o->value, &map);
    if (rc == BASE_OK)
        rc = modern_names(o->a, &map);
    if (rc == BASE_OK)
        rc = cqli_map_check_bool(o->a, &map, "enabled", &enabled);
    if (rc != BASE_OK)
        return rc;
    struct base_slice class = cqli_map_take(&map, "class"), name = cqli_short_class(class);
    if (!enabled || (class.data && class.len == 0) || o->value->item_count == 0) {
        if (enabled ? map.count : map.count || class.len)
            return base_err_set(
                o->a->err, BASE_E_CONFIG,
                "If the 'enabled' option is set to false no other options must be specified");
        rc = cqli_map_put(o->a, &map, "enabled", LIT("false"));
        return rc == BASE_OK ? cqli_map_to_options(o->a, &map, &t->compression) : rc;
    }
    if (!class.data)
        return base_err_set(o->a->err, BASE_E_CONFIG,
                            "Missing sub-option 'class' for the 'compression' option.");
    if (!base_slice_equal(name, LIT("NoopCompressor")) &&
        base_compressor_by_name(name) <= BASE_COMPRESS_NONE)
        return base_err_set(
            o->a->err, BASE_E_CONFIG,
            "Could not create Compression for type %.*s: LZ4Compressor, ZstdCompressor, "
            "SnappyCompressor, DeflateCompressor and NoopCompressor are there",
            BASE_SLICE_ARG(class));
    kept = map;
    rc = check_compression(o->a, name, &map);
    if (rc == BASE_OK)
        rc = cqli_map_put(o->a, &kept, "class", name);
    return rc == BASE_OK ? cqli_map_to_options(o->a, &kept, &t->compression) : rc;
}

static int extensions(const struct option *o, struct base_table_options *t)
{
    struct cqli_map map;
    int rc = cqli_map_from_term(o->a, "extensions", o->value, &map);
    return rc == BASE_OK ? cqli_map_to_options(o->a, &map, &t->extensions) : rc;
}

/* All of them. */

static int set_option(const struct option *o, struct base_table_options *t, struct base_uuid *id)
{
    struct base_slice name = o->name;
#define IS(text) base_slice_equal(name, LIT(text))
    if (IS("comment"))
        return comment(o, t);
    if (IS("bloom_filter_fp_chance"))
        return fp_chance(o, t);
    if (IS("crc_check_chance"))
        return crc_chance(o, t);
    if (IS("default_time_to_live"))
        return get_i32(o, 0, 630720000, &t->default_time_to_live_s);
    if (IS("gc_grace_seconds"))
        return get_i32(o, 0, INT32_MAX, &t->gc_grace_s);
    if (IS("memtable_flush_period_in_ms"))
        return get_i32(o, 0, INT32_MAX, &t->memtable_flush_period_ms);
    if (IS("min_index_interval"))
        return get_i32(o, 1, INT32_MAX, &t->min_index_interval);
    if (IS("max_index_interval"))
        return get_i32(o, 1, INT32_MAX, &t->max_index_interval);
    if (IS("cdc"))
        return cdc(o, t);
    if (IS("allow_auto_snapshot"))
        return get_bool(o, &t->allow_auto_snapshot);
    if (IS("incremental_backups"))
        return get_bool(o, &t->incremental_backups);
    if (IS("speculative_retry"))
        return retry_policy(o, &t->speculative_retry);
    if (IS("additional_write_policy"))
        return retry_policy(o, &t->additional_write_policy);
    if (IS("read_repair"))
        return read_repair(o, t);
    if (IS("memtable"))
        return memtable(o, t);
    if (IS("caching"))
        return caching(o, t);
    if (IS("compaction"))
        return cqli_compaction_options(o->a, o->value, &t->compaction);
    if (IS("compression"))
        return compression(o, t);
    if (IS("extensions"))
        return extensions(o, t);
    if (IS("id") && id)
        return o->value->kind != CQL_TERM_MAP && base_uuid_parse(o->value->text, id)
                   ? BASE_OK
                   : base_err_set(o->a->err, BASE_E_CONFIG, "Invalid table id");
    if (IS("id"))
        return base_err_set(o->a->err, BASE_E_CONFIG, "Cannot alter table id.");
#undef IS
    return base_err_set(o->a->err, BASE_E_SYNTAX, "Unknown property '%.*s'", BASE_SLICE_ARG(name));
}

int cqli_table_options(struct cqli_analysis *a, const struct cql_property *properties,
                       struct base_table_options *options, struct base_uuid *id)
{
    for (const struct cql_property *p = properties; p; p = p->next) {
        struct option o = {a, p->name, p->value};
        int rc = set_option(&o, options, id);
        if (rc != BASE_OK)
            return rc;
    }
    if (options->max_index_interval < options->min_index_interval)
        return base_err_set(
            a->err, BASE_E_CONFIG,
            "max_index_interval must be greater than or equal to min_index_interval "
            "(%d) (got %d)",
            (int)options->min_index_interval, (int)options->max_index_interval);
    return BASE_OK;
}

/* What the store needs of them. */

static double option_number(const struct base_options *options, const char *key, double otherwise)
{
    struct base_slice text = base_options_get(options, key);
    double v;
    return text.data && cqli_slice_to_double(text, &v) ? v : otherwise;
}

static bool option_bool(const struct base_options *options, const char *key, bool otherwise)
{
    struct base_slice text = base_options_get(options, key);
    bool v;
    return text.data && cqli_slice_to_bool(text, &v) ? v : otherwise;
}

void cql_table_storage(const struct base_table_options *options, struct cql_storage *out)
{
    const struct base_options *c = &options->compaction;
    struct base_slice class = base_options_get(&options->compression, "class");
    int compressor = class.data ? base_compressor_by_name(cqli_short_class(class)) : -1;
    *out = (struct cql_storage){
        .compressor = compressor > 0 && option_bool(&options->compression, "enabled", true)
                          ? compressor
                          : BASE_COMPRESS_NONE,
        .compression_level = (int)option_number(&options->compression, "compression_level", 0),
        .compaction_enabled = option_bool(c, "enabled", true),
        .min_threshold = (uint32_t)option_number(c, "min_threshold", 4),
        .max_threshold = (uint32_t)option_number(c, "max_threshold", 32),
        .bucket_low = option_number(c, "bucket_low", 0.5),
        .bucket_high = option_number(c, "bucket_high", 1.5),
        .min_sstable_size = (uint64_t)option_number(c, "min_sstable_size", 52428800),
    };
}
