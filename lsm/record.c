/* Sealing and opening of checksummed records (lsm/record.h). */
#include "lsm/record.h"

static uint64_t record_seed(uint64_t file_seed, uint64_t offset)
{
    return file_seed ^ (offset * UINT64_C(0x9e3779b97f4a7c15));
}

void lsmi_record_seal(uint8_t *out, uint32_t payload_len, uint32_t kind, uint32_t count,
                      uint64_t synced, uint64_t file_seed, uint64_t offset)
{
    BASE_ASSERT(offset % LSMI_RECORD_ALIGN == 0);
    uint64_t seed = record_seed(file_seed, offset);
    base_put_le32(out, payload_len);
    base_put_le32(out + 4, lsmi_record_head_check(out, seed));
    base_put_le64(out + 16, synced);
    base_put_le32(out + 24, count);
    base_put_le32(out + 28, kind);
    base_put_le64(out + 8,
                  base_checksum_seeded(out + 16, LSMI_RECORD_HEADER - 16 + payload_len, seed));
    size_t end = LSMI_RECORD_HEADER + (size_t)payload_len;
    memset(out + end, 0, lsmi_record_size(payload_len) - end);
}

uint64_t lsmi_record_probe(const uint8_t bytes[8], uint64_t file_seed, uint64_t offset)
{
    uint32_t length = base_get_le32(bytes), check = base_get_le32(bytes + 4);
    if (length == 0 && check == 0) /* zeros: no need to compute that it does not pass */
        return 0;
    if (check != lsmi_record_head_check(bytes, record_seed(file_seed, offset)))
        return 0;
    return lsmi_record_size(length);
}

uint64_t lsmi_record_open(struct base_slice bytes, uint64_t file_seed, uint64_t offset,
                          struct lsmi_record *out)
{
    *out = (struct lsmi_record){0};
    if (bytes.len < LSMI_RECORD_HEADER)
        return 0;
    uint64_t size = lsmi_record_probe(bytes.data, file_seed, offset);
    if (size == 0 || size > bytes.len)
        return 0;
    uint32_t length = base_get_le32(bytes.data);
    uint64_t sum = base_checksum_seeded(bytes.data + 16, LSMI_RECORD_HEADER - 16 + (size_t)length,
                                        record_seed(file_seed, offset));
    if (sum != base_get_le64(bytes.data + 8))
        return 0;
    out->synced = base_get_le64(bytes.data + 16);
    out->count = base_get_le32(bytes.data + 24);
    out->kind = base_get_le32(bytes.data + 28);
    out->payload = base_slice(bytes.data + LSMI_RECORD_HEADER, length);
    return size;
}
