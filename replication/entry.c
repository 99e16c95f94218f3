/* Entries of the metadata log in a row: how they travel, and how a world hands them out. */
#include "replication/replication.h"

int repl_entry_put(struct base_buf *out, uint64_t epoch, struct base_slice entry)
{
    size_t start = out->len;
    int rc = base_buf_put_varint(out, epoch);
    if (rc == BASE_OK)
        rc = base_buf_put_bytes(out, entry);
    if (rc != BASE_OK)
        out->len = start;
    return rc;
}

bool repl_entry_get(struct base_reader *in, uint64_t *epoch, struct base_slice *entry)
{
    *entry = (struct base_slice){0};
    return base_get_varint(in, epoch) && base_get_bytes(in, entry) &&
           entry->len <= REPL_ENTRY_SIZE_MAX;
}
