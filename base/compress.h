/* Block compression: the ids are stored in files, so they never change. */
#ifndef BASE_COMPRESS_H
#define BASE_COMPRESS_H

#include "base/bytes.h"

enum base_compressor {
    BASE_COMPRESS_NONE = 0,
    BASE_COMPRESS_LZ4 = 1,
    BASE_COMPRESS_ZSTD = 2,
    BASE_COMPRESS_SNAPPY = 3,
    BASE_COMPRESS_DEFLATE = 4,
};

/* Append the compressed bytes to out. level: zstd's (0: its default) and ignored elsewhere. */
BASE_MUST int base_compress(enum base_compressor compressor, int level, struct base_slice in,
                            struct base_buf *out);
/* Decompress to exactly size bytes at `out`; CORRUPT when the input is not that. */
BASE_MUST int base_decompress(enum base_compressor compressor, struct base_slice in, uint8_t *out,
                              size_t size);
/* "LZ4Compressor" with or without the Java package → id; -1 for none of ours. */
int base_compressor_by_name(struct base_slice name);
const char *base_compressor_name(enum base_compressor compressor);

#endif
