/* ringlet sstable dump | metadata | verify: works on files, without a node. The names of tables and
 * columns and their types come from the catalog beside the files, if nobody has the directory open
 * (SSTables are immutable: a running node's files can be read as well, but its catalog is left
 * alone); else values are shown as bytes. */
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/compress.h"
#include "base/json.h"
#include "node/sstable_private.h"

#define ANSWER_SIZE_MAX (1u << 20)

struct tool {
    struct base_schema *schema; /* NULL: unknown */
    struct nodei_printer printer;
    bool json;
    size_t file_count, damaged_count;
    struct base_err *err;
    bool indexes; /* their files too */
};
typedef int (*file_fn)(struct tool *tool, const char *path);

static int print(struct tool *tool, struct base_slice text)
{
    int rc = tool->printer.print(tool->printer.ctx, text);
    return rc == BASE_OK ? BASE_OK : base_err_set(tool->err, rc, "print: %s", base_err_words(rc));
}

/* The schema. */

/* Of a data directory that nobody uses; without success the tools do with bytes. */
static void load_schema(struct tool *tool, const char *data_dir)
{
    char path[NODEI_PATH_LEN_MAX];
    struct cat_catalog *catalog;
    struct stat st;
    int lock_fd;
    if (snprintf(path, sizeof path, "%s/catalog", data_dir) >= (int)sizeof path ||
        stat(path, &st) != 0)
        return;
    if (nodei_dirlock_acquire(data_dir, &lock_fd, NULL) != BASE_OK)
        return;
    if (cat_open_lmdb(path, &catalog, NULL) == BASE_OK) {
        if (cat_schema_load(catalog, &tool->schema, NULL) != BASE_OK)
            tool->schema = NULL;
        cat_close(catalog);
    }
    nodei_dirlock_release(lock_fd);
}

static const struct base_table *table_of(const struct tool *tool,
                                         const struct lsm_sstable_info *info)
{
    return tool->schema ? base_schema_table_by_id(tool->schema, info->table_id) : NULL;
}

/* Which files. */

/* "17.sst" → 17; and "17.3.idx", an index's part beside it. */
static bool parse_name(const char *name, bool indexes, uint64_t *id)
{
    char *end;
    if (name[0] < '0' || name[0] > '9')
        return false;
    *id = strtoull(name, &end, 10);
    if (strcmp(end, ".sst") == 0)
        return true;
    return indexes && *end == '.' && strtoull(end + 1, &end, 10) > 0 && strcmp(end, ".idx") == 0;
}

struct file_name {
    uint64_t id;
    char name[56];
};

struct gathering {
    struct base_buf names;
    bool indexes;
};

static int gather(void *ctx, const char *name)
{
    struct gathering *g = ctx;
    struct file_name entry = {0};
    if (!parse_name(name, g->indexes, &entry.id) || strlen(name) >= sizeof entry.name)
        return BASE_OK;
    strcpy(entry.name, name);
    return base_buf_put(&g->names, &entry, sizeof entry);
}

static int by_id(const void *a, const void *b)
{
    const struct file_name *x = a, *y = b;
    /* the SSTable, then what is beside it */
    return x->id != y->id ? (x->id > y->id) - (x->id < y->id) : strcmp(y->name, x->name);
}

static int one_file(struct tool *tool, const char *path, file_fn fn)
{
    tool->file_count++;
    return fn(tool, path);
}

static int each_file(struct tool *tool, const char *dir, file_fn fn)
{
    struct gathering g = {.indexes = tool->indexes};
    char path[NODEI_PATH_LEN_MAX];
    base_buf_init(&g.names, 64u << 20);
    int rc = base_fs_list(node_posix_fs(), dir, gather, &g, tool->err);
    size_t n = g.names.len / sizeof(struct file_name);
    struct file_name *files = (struct file_name *)(void *)g.names.data;
    if (n)
        qsort(files, n, sizeof *files, by_id);
    for (size_t i = 0; i < n && rc == BASE_OK; i++) {
        int len = snprintf(path, sizeof path, "%s/%s", dir, files[i].name);
        if (len < 0 || len >= (int)sizeof path)
            rc = base_err_set(tool->err, BASE_E_LIMIT, "%s: the path is too long", dir);
        else
            rc = one_file(tool, path, fn);
        if (rc == BASE_E_NOTFOUND) /* a running node compacted it away */
            rc = BASE_OK;
    }
    base_buf_fini(&g.names);
    return rc;
}

/* False when the path is too long: then there is nothing there either. */
static bool join(char out[NODEI_PATH_LEN_MAX], const char *path, const char *rest)
{
    int len = snprintf(out, NODEI_PATH_LEN_MAX, "%s%s", path, rest);
    return len >= 0 && len < NODEI_PATH_LEN_MAX;
}

static bool is_directory(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* A data directory, a store, a directory of SSTables, or one file. */
static int run_on(struct tool *tool, const char *path, file_fn fn)
{
    char dir[NODEI_PATH_LEN_MAX], data_dir[NODEI_PATH_LEN_MAX];
    const char *const inner[] = {"/store/sst", "/sst", ""}, *const outer[] = {"", "/..", "/../.."};
    struct stat st;
    if (stat(path, &st) != 0)
        return base_err_set(tool->err, BASE_E_NOTFOUND, "there is no file or directory %s", path);
    if (!S_ISDIR(st.st_mode)) {
        const char *slash = strrchr(path, '/');
        snprintf(dir, sizeof dir, "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
        if (join(data_dir, dir, "/../.."))
            load_schema(tool, data_dir);
        return one_file(tool, path, fn);
    }
    for (size_t i = 0; i < BASE_COUNT(inner); i++) {
        if (!join(dir, path, inner[i]) || !is_directory(dir))
            continue;
        if (join(data_dir, path, outer[i]))
            load_schema(tool, data_dir);
        int rc = each_file(tool, dir, fn);
        if (rc == BASE_OK && tool->file_count == 0 &&
            inner[i][0] == 0) /* a slip is no "all well" */
            rc = base_err_set(tool->err, BASE_E_NOTFOUND,
                              "%s holds no SSTables: name a data directory (DATABASE-FILE-ringlet) "
                              "or an .sst file",
                              path);
        return rc;
    }
    return BASE_OK;
}

/* Metadata. */

struct member {
    const char *key, *label;
    enum { U64, I64, TEXT } kind;
    uint64_t u64;
    int64_t i64;
    const char *text;
};

static size_t members_of(const struct lsm_sstable_info *info, char ids[3][37], struct member *out)
{
    base_uuid_print(info->table_id, ids[0]);
    base_uuid_print(info->host_id, ids[1]);
    base_uuid_print(info->pending_repair, ids[2]);
    const char *compressor = base_compressor_name((enum base_compressor)info->compressor);
    const struct member members[] = {
        {"table", "Table", TEXT, 0, 0, info->table_name},
        {"table_id", "Table id", TEXT, 0, 0, ids[0]},
        {"originating_host_id", "Originating host id", TEXT, 0, 0, ids[1]},
        {"format_version", "Format version", U64, info->format_version, 0, NULL},
        {"id", "Id", U64, info->id, 0, NULL},
        {"level", "SSTable Level", U64, info->level, 0, NULL},
        {"file_size", "File size", U64, info->file_size, 0, NULL},
        {"data_size_uncompressed", "Data size uncompressed", U64, info->data_bytes_uncompressed, 0,
         NULL},
        {"compressor", "Compressor", TEXT, 0, 0, compressor ? compressor : "unknown"},
        {"blocks", "Blocks", U64, info->block_count, 0, NULL},
        {"index_size", "Index size", U64, info->index_bytes, 0, NULL},
        {"bloom_filter_size", "Bloom filter size", U64, info->filter_bytes, 0, NULL},
        {"partitions", "Partitions", U64, info->partition_count, 0, NULL},
        {"rows", "Rows", U64, info->row_count, 0, NULL},
        {"cells", "Cells", U64, info->cell_count, 0, NULL},
        {"tombstones", "Tombstones", U64, info->tombstone_count, 0, NULL},
        {"range_tombstone_bounds", "Range tombstone bounds", U64, info->marker_count, 0, NULL},
        {"partition_size_max", "Largest partition", U64, info->partition_size_max, 0, NULL},
        {"first_token", "First token", I64, 0, info->token_min, NULL},
        {"last_token", "Last token", I64, 0, info->token_max, NULL},
        {"minimum_timestamp", "Minimum timestamp", I64, 0, info->ts_min, NULL},
        {"maximum_timestamp", "Maximum timestamp", I64, 0, info->ts_max, NULL},
        {"minimum_local_deletion_time", "SSTable min local deletion time", I64, 0,
         info->local_s_min, NULL},
        {"maximum_local_deletion_time", "SSTable max local deletion time", I64, 0,
         info->local_s_max, NULL},
        {"ttl_max", "TTL max", I64, 0, info->ttl_max, NULL},
        {"commitlog_from", "Commit log from", U64, info->commitlog_from, 0, NULL},
        {"commitlog_upto", "Commit log upto", U64, info->commitlog_upto, 0, NULL},
        {"repaired_at_ms", "Repaired at", I64, 0, info->repaired_at_ms, NULL},
        {"pending_repair", "Pending repair", TEXT, 0, 0, ids[2]},
    };
    memcpy(out, members, sizeof members);
    return BASE_COUNT(members);
}

static void member_json(struct base_json_writer *json, const struct member *m)
{
    base_json_key(json, m->key);
    if (m->kind == U64)
        base_json_u64(json, m->u64);
    else if (m->kind == I64)
        base_json_i64(json, m->i64);
    else
        base_json_str(json, m->text);
}

static int member_text(struct base_buf *out, const struct member *m)
{
    if (m->kind == U64)
        return base_buf_printf(out, "%s: %" PRIu64 "\n", m->label, m->u64);
    if (m->kind == I64)
        return base_buf_printf(out, "%s: %" PRId64 "\n", m->label, m->i64);
    return base_buf_printf(out, "%s: %s\n", m->label, m->text);
}

static int metadata_file(struct tool *tool, const char *path)
{
    struct lsm_sstable_info info;
    struct member members[40];
    char ids[3][37];
    struct base_buf out;
    struct base_json_writer json;
    struct lsm_sstable *sst;
    int rc = lsm_sstable_open_file(node_posix_fs(), path, &sst, tool->err);
    if (rc != BASE_OK)
        return rc;
    lsm_sstable_get_info(sst, &info);
    lsm_sstable_close(sst);
    size_t n = members_of(&info, ids, members);
    base_buf_init(&out, ANSWER_SIZE_MAX);
    if (tool->json) {
        base_json_writer_init(&json, &out);
        base_json_open_object(&json);
        base_json_key(&json, "file");
        base_json_str(&json, path);
        for (size_t i = 0; i < n; i++)
            member_json(&json, &members[i]);
        base_json_close_object(&json);
        rc = base_json_finish(&json);
    } else {
        rc = base_buf_printf(&out, "SSTable: %s\n", path);
        for (size_t i = 0; i < n && rc == BASE_OK; i++)
            rc = member_text(&out, &members[i]);
    }
    if (rc == BASE_OK)
        rc = base_buf_put_u8(&out, '\n');
    rc = rc == BASE_OK ? print(tool, base_buf_view(&out))
                       : base_err_set(tool->err, rc, "%s", base_err_words(rc));
    base_buf_fini(&out);
    return rc;
}

/* Verify, dump. */

static int verdict(struct tool *tool, const char *path, const struct lsm_sstable_info *info,
                   const struct base_err *fault)
{
    struct base_buf out;
    base_buf_init(&out, ANSWER_SIZE_MAX);
    int rc;
    if (tool->json) {
        struct base_json_writer json;
        base_json_writer_init(&json, &out);
        base_json_open_object(&json);
        base_json_key(&json, "file");
        base_json_str(&json, path);
        base_json_key(&json, "ok");
        base_json_bool(&json, !fault);
        if (fault) {
            base_json_key(&json, "error");
            base_json_str(&json, fault->text);
        }
        base_json_close_object(&json);
        rc = base_json_finish(&json);
        if (rc == BASE_OK)
            rc = base_buf_put_u8(&out, '\n');
    } else if (fault) {
        rc = base_buf_printf(&out, "%s: DAMAGED: %s\n", path, fault->text);
    } else {
        rc = base_buf_printf(
            &out, "%s: ok, %" PRIu64 " partitions, %" PRIu64 " rows, %" PRIu64 " bytes\n", path,
            info->partition_count, info->row_count, info->file_size);
    }
    rc = rc == BASE_OK ? print(tool, base_buf_view(&out))
                       : base_err_set(tool->err, rc, "%s", base_err_words(rc));
    base_buf_fini(&out);
    return rc;
}

/* A damaged file is told and the next one looked at; the command fails at its end. */
static int verify_file(struct tool *tool, const char *path)
{
    struct base_err fault = {0};
    struct lsm_sstable_info info = {0};
    struct lsm_sstable *sst;
    int rc = lsm_sstable_open_file(node_posix_fs(), path, &sst, &fault);
    if (rc == BASE_OK) {
        lsm_sstable_get_info(sst, &info);
        rc = lsm_sstable_verify(sst, NULL, &fault);
        lsm_sstable_close(sst);
    }
    if (rc != BASE_OK && rc != BASE_E_CORRUPT && rc != BASE_E_VERSION)
        return base_err_set(tool->err, rc, "%s", fault.text);
    tool->damaged_count += rc != BASE_OK;
    return verdict(tool, path, &info, rc == BASE_OK ? NULL : &fault);
}

static int dump_file(struct tool *tool, const char *path)
{
    struct lsm_sstable_info info;
    struct lsm_sstable *sst;
    int rc = lsm_sstable_open_file(node_posix_fs(), path, &sst, tool->err);
    if (rc != BASE_OK)
        return rc;
    lsm_sstable_get_info(sst, &info);
    rc = nodei_sstable_dump(sst, table_of(tool, &info), &tool->printer, tool->err);
    lsm_sstable_close(sst);
    return rc == BASE_OK ? BASE_OK : base_err_wrap(tool->err, rc, "%s", path);
}

int node_sstable_command(const char *command, const char *path, bool json,
                         int (*print_fn)(void *, struct base_slice), void *ctx,
                         struct base_err *err)
{
    static const struct {
        const char *name;
        file_fn fn;
    } commands[] = {{"dump", dump_file}, {"metadata", metadata_file}, {"verify", verify_file}};
    struct tool tool = {.printer = {print_fn, ctx}, .json = json, .err = err};
    file_fn fn = NULL;
    for (size_t i = 0; i < BASE_COUNT(commands); i++)
        if (strcmp(command, commands[i].name) == 0)
            fn = commands[i].fn;
    tool.indexes = fn == verify_file; /* what an index has is nobody's to read */
    if (!fn)
        return base_err_set(err, BASE_E_NOTFOUND,
                            "there is no command \"sstable %s\": dump, metadata, verify", command);
    int rc = run_on(&tool, path, fn);
    if (tool.schema)
        base_schema_release(tool.schema);
    if (rc == BASE_OK && tool.damaged_count)
        rc = base_err_set(err, BASE_E_CORRUPT, "%zu of %zu SSTables are damaged",
                          tool.damaged_count, tool.file_count);
    return rc;
}
