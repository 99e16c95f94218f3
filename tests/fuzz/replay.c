/* Runs a fuzz target without a fuzzer: every file of its corpus (CORPUS_DIR), as it is and with
 * bytes changed by a fixed seed. Part of make check, so that a target and its corpus do not rot. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/rng.h"
#include "tests/lib/scale.h"

#define CHANGED_ROUNDS 2000
#define INPUT_MAX 65536

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A heap copy of just this size, so that the address sanitizer sees one byte too far. */
static void run(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);
    if (!copy)
        abort();
    memcpy(copy, data, size);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

static void replay(const char *path)
{
    static uint8_t original[INPUT_MAX], changed[INPUT_MAX];
    FILE *file = fopen(path, "rb");
    if (!file) {
        perror(path);
        exit(1);
    }
    size_t size = fread(original, 1, sizeof original, file);
    fclose(file);
    run(original, size);
    struct rng rng = rng_seeded(size);
    for (int i = 0; i < (int)scale_rounds(CHANGED_ROUNDS) && size > 0; i++) {
        memcpy(changed, original, size);
        for (uint64_t n = 1 + rng_below(&rng, 4); n > 0; n--)
            changed[rng_below(&rng, size)] = (uint8_t)rng_u64(&rng);
        run(changed, rng_one_in(&rng, 4) ? (size_t)rng_below(&rng, size) : size);
    }
}

int main(void)
{
    DIR *dir = opendir(CORPUS_DIR);
    int files = 0;
    if (!dir) {
        perror(CORPUS_DIR);
        return 1;
    }
    for (struct dirent *entry; (entry = readdir(dir));) {
        char path[4096];
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", CORPUS_DIR, entry->d_name);
        replay(path);
        files++;
    }
    closedir(dir);
    printf("%s: %d files\n", CORPUS_DIR, files);
    return files > 0 ? 0 : 1;
}
