/* The compressors behind one pair of calls: the third-party headers stay in this file. Contexts are
 * made per call, so that there is no state to own; only zstd and deflate pay for that
 * noticeably. */
#include "base/compress.h"

#include "base/checksum.h"

#include <limits.h>
#include <lz4.h>
#include <snappy-c.h>
#include <zlib.h>
#include <zstd.h>

/* The most that `len` bytes can become; 0 when the compressor cannot take so many. */
static size_t bound(enum base_compressor compressor, size_t len)
{
    switch (compressor) {
    case BASE_COMPRESS_NONE:
        return len;
    case BASE_COMPRESS_LZ4:
        return len > LZ4_MAX_INPUT_SIZE ? 0 : (size_t)LZ4_compressBound((int)len);
    case BASE_COMPRESS_ZSTD:
        return ZSTD_compressBound(len);
    case BASE_COMPRESS_SNAPPY:
        return snappy_max_compressed_length(len);
    case BASE_COMPRESS_DEFLATE:
        return compressBound(len);
    }
    return 0;
}

int base_compress(enum base_compressor compressor, int level, struct base_slice in,
                  struct base_buf *out)
{
    if (compressor == BASE_COMPRESS_NONE)
        return base_buf_put_slice(out, in);
    size_t room = bound(compressor, in.len);
    if (room == 0)
        return BASE_E_LIMIT;
    int rc = base_buf_reserve(out, room);
    if (rc)
        return rc;
    const char *from = in.len ? (const char *)in.data : "";
    char *to = (char *)out->data + out->len;
    size_t len = 0;
    if (compressor == BASE_COMPRESS_LZ4) {
        int n = room > INT_MAX ? 0 : LZ4_compress_default(from, to, (int)in.len, (int)room);
        len = n > 0 ? (size_t)n : 0;
    } else if (compressor == BASE_COMPRESS_ZSTD) {
        size_t n = ZSTD_compress(to, room, from, in.len, level ? level : ZSTD_CLEVEL_DEFAULT);
        len = ZSTD_isError(n) ? 0 : n;
    } else if (compressor == BASE_COMPRESS_SNAPPY) {
        size_t n = room;
        len = snappy_compress(from, in.len, to, &n) == SNAPPY_OK ? n : 0;
    } else {
        uLongf n = room;
        len = compress2((Bytef *)to, &n, (const Bytef *)from, in.len, Z_DEFAULT_COMPRESSION) == Z_OK
                  ? n
                  : 0;
    }
    if (len == 0) /* the room was enough: only memory can have been short */
        return BASE_E_NOMEM;
    out->len += len;
    return BASE_OK;
}

int base_decompress(enum base_compressor compressor, struct base_slice in, uint8_t *out,
                    size_t size)
{
    const char *from = in.len ? (const char *)in.data : "";
    bool whole = false;
    switch (compressor) {
    case BASE_COMPRESS_NONE:
        whole = in.len == size;
        if (whole && size)
            memcpy(out, in.data, size);
        break;
    case BASE_COMPRESS_LZ4:
        whole = in.len <= INT_MAX && size <= INT_MAX &&
                LZ4_decompress_safe(from, (char *)out, (int)in.len, (int)size) == (int)size;
        break;
    case BASE_COMPRESS_ZSTD:
        /* an error is a number above any size */
        whole = ZSTD_decompress(out, size, from, in.len) == size;
        break;
    case BASE_COMPRESS_SNAPPY: {
        size_t n = 0; /* what the input claims must be known before it is believed */
        whole = snappy_uncompressed_length(from, in.len, &n) == SNAPPY_OK && n == size &&
                snappy_uncompress(from, in.len, (char *)out, &n) == SNAPPY_OK && n == size;
        break;
    }
    case BASE_COMPRESS_DEFLATE: {
        uint8_t none[1]; /* zlib does not complain about too much for a buffer of no bytes */
        uLongf n = size ? size : sizeof none;
        whole = uncompress(size ? out : none, &n, (const Bytef *)from, in.len) == Z_OK && n == size;
        break;
    }
    }
    return whole ? BASE_OK : BASE_E_CORRUPT;
}

uint32_t base_crc32(uint32_t crc, const void *data, size_t len)
{
    return (uint32_t)crc32_z(crc, len ? data : (const void *)"", len);
}

static const char *const names[] = {
    [BASE_COMPRESS_NONE] = "NoopCompressor",       [BASE_COMPRESS_LZ4] = "LZ4Compressor",
    [BASE_COMPRESS_ZSTD] = "ZstdCompressor",       [BASE_COMPRESS_SNAPPY] = "SnappyCompressor",
    [BASE_COMPRESS_DEFLATE] = "DeflateCompressor",
};

int base_compressor_by_name(struct base_slice name)
{
    static const char package[] = "org.apache.cassandra.io.compress.";
    size_t n = sizeof package - 1;
    if (name.len > n && memcmp(name.data, package, n) == 0)
        name = base_slice(name.data + n, name.len - n);
    for (size_t i = 0; i < BASE_COUNT(names); i++)
        if (base_slice_equal(name, base_slice_str(names[i])))
            return (int)i;
    return -1;
}

const char *base_compressor_name(enum base_compressor compressor)
{
    return (size_t)compressor < BASE_COUNT(names) ? names[compressor] : "unknown";
}
