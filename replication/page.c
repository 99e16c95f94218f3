/* To be built: the shape of page.c, so that the others link. */
#include "replication/replication_private.h"

int repl_page_write(struct base_source *source, bool reversed, int64_t now_s, int64_t gc_before_s,
                              const struct repl_page_limits *limits, struct base_buf *out, struct base_err *err)
{
    (void)source;(void)reversed;(void)now_s;(void)gc_before_s;(void)limits;(void)out;(void)err;
    return BASE_OK;
}
bool repl_page_check(struct base_slice page, bool reversed, struct repl_page_end *end)
{
    (void)page;(void)reversed;(void)end;
    return false;
}
void repl_page_digest(struct base_slice page, uint8_t digest[REPL_PAGE_DIGEST_LEN])
{
    (void)page;(void)digest;
    
}
int repl_page_source(struct base_slice page, bool reversed, const struct repl_page_end *upto, struct base_source **out,
                               struct base_err *err)
{
    (void)page;(void)reversed;(void)upto;(void)out;(void)err;
    return BASE_OK;
}
int repl_page_end_compare(const struct repl_page_end *a, const struct repl_page_end *b, bool reversed)
{
    (void)a;(void)b;(void)reversed;
    return BASE_OK;
}
int repl_page_continue(const struct base_read *cmd, struct base_slice pkey, struct base_slice ckey, struct base_arena *arena,
                                 struct base_read *partition, bool *has_partition, struct base_read *range, bool *has_range)
{
    (void)cmd;(void)pkey;(void)ckey;(void)arena;(void)partition;(void)has_partition;(void)range;(void)has_range;
    return BASE_OK;
}
