/* What the targets over files share: a file system that holds the input, and a word for "must be
 * so". */
#ifndef TESTS_FUZZ_LIB_H
#define TESTS_FUZZ_LIB_H

#include <stdlib.h>

#include "tests/lib/sim_fs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline void require(bool holds)
{
    if (!holds)
        abort();
}

static inline void put_file(struct base_fs *fs, const char *path, const void *data, size_t size)
{
    struct base_file *file;
    require(base_fs_open(fs, path, BASE_OPEN_WRITE | BASE_OPEN_CREATE, &file, NULL) == BASE_OK);
    require(size == 0 || base_file_write(file, 0, data, size, NULL) == BASE_OK);
    base_file_close(file);
}

#endif
