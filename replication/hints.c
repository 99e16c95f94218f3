/* To be built: the shape of hints.c, so that the others link. */
#include "replication/replication_private.h"

int repli_hints_open(struct repl *repl, struct base_err *err)
{
    (void)repl;(void)err;
    return BASE_OK;
}
void repli_hints_start(struct repl *repl)
{
    (void)repl;
    
}
void repli_hints_close(struct repl *repl)
{
    (void)repl;
    
}
void repli_hints_on_epoch(struct repl *repl)
{
    (void)repl;
    
}
void repli_hints_on_alive(struct repl *repl, struct base_uuid host_id)
{
    (void)repl;(void)host_id;
    
}
void repli_hints_handle(struct repl *repl, struct repl_inbound *in)
{
    (void)repl;(void)in;
    
}
bool repli_hints_wanted(const struct repl *repl, size_t member)
{
    (void)repl;(void)member;
    return false;
}
void repli_hint_put(struct repl *repl, struct base_uuid host_id, struct base_slice mutations, size_t mutation_count,
                    void (*done)(struct repl *repl, void *ctx, int rc), void *ctx)
{
    (void)repl;(void)host_id;(void)mutations;(void)mutation_count;(void)done;(void)ctx;
    
}
void repli_hints_get(const struct repl *repl, struct base_uuid host_id, uint64_t *bytes, uint64_t *count)
{
    (void)repl;(void)host_id;(void)bytes;(void)count;
    
}
bool repli_hints_any(const struct repl *repl)
{
    (void)repl;
    return false;
}
void repl_hints_pause(struct repl *repl, bool paused)
{
    (void)repl;(void)paused;
    
}
bool repl_hints_paused(const struct repl *repl)
{
    (void)repl;
    return false;
}
bool repl_hints_enabled(const struct repl *repl)
{
    (void)repl;
    return false;
}
void repl_hints_truncate(struct repl *repl, struct base_uuid host_id)
{
    (void)repl;(void)host_id;
    
}
