/* Fuzz target: bytes as two commit-log segments (le16: the first one's length), checksums off. A
 * log that replays must take an append, close, and replay again. */
#include "lsm/commitlog.h"
#include "tests/fuzz/fuzz_lib.h"
#include "tests/lib/sim_random.h"

static int see(void *ctx, uint64_t position, struct base_slice group, struct base_err *err)
{
    (void)err;
    uint64_t *last = ctx;
    require(position > *last); /* in order, each once */
    *last = position;
    unsigned sum = 0;
    for (size_t i = 0; i < group.len; i++)
        sum += group.data[i];
    return sum == UINT32_MAX ? BASE_E_INTERNAL : BASE_OK; /* so that the bytes are really read */
}

static struct lsmi_log *replayed(const struct lsmi_log_config *config)
{
    struct lsmi_log *log;
    uint64_t last = 0;
    struct lsmi_log_sink sink = {see, &last};
    if (lsmi_log_open(config, &log, NULL) != BASE_OK)
        return NULL;
    if (lsmi_log_replay(log, &sink, NULL) == BASE_OK)
        return log;
    (void)!lsmi_log_close(log, NULL);
    return NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    struct sim_fs *disk = sim_fs_new(1);
    struct sim_random random;
    sim_random_init(&random, 1);
    struct lsmi_log_config config = {
        .fs = sim_fs_port(disk), .random = &random.base, .dir = "log", .segment_size = 4096};
    size_t first = base_get_le16(data), left = size - 2;
    first = first < left ? first : left;
    require(base_fs_mkdir(config.fs, "log", NULL) == BASE_OK);
    put_file(config.fs, "log/0000000001.log", data + 2, first);
    if (first < left)
        put_file(config.fs, "log/0000000002.log", data + 2 + first, left - first);
    struct lsmi_log *log = replayed(&config);
    if (log) {
        uint64_t position;
        require(lsmi_log_append(log, base_slice("a group", 7), 1, &position, NULL) == BASE_OK);
        require(lsmi_log_close(log, NULL) == BASE_OK);
        log = replayed(&config);
        require(log);
        require(lsmi_log_close(log, NULL) == BASE_OK);
    }
    sim_random_fini(&random);
    sim_fs_free(disk);
    return 0;
}
