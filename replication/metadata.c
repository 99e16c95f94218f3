/* To be built: the shape of metadata.c, so that the others link. */
#include "replication/replication_private.h"

int repli_metadata_open(struct repl *repl, const struct repl_initial *initial, struct base_err *err)
{
    (void)repl;(void)initial;(void)err;
    return BASE_OK;
}
void repli_metadata_start(struct repl *repl)
{
    (void)repl;
    
}
void repli_metadata_close(struct repl *repl)
{
    (void)repl;
    
}
void repli_metadata_handle(struct repl *repl, struct repl_inbound *in)
{
    (void)repl;(void)in;
    
}
void repli_metadata_behind(struct repl *repl, struct base_uuid who, uint64_t epoch)
{
    (void)repl;(void)who;(void)epoch;
    
}
void repli_metadata_learn(struct repl *repl, uint64_t epoch, struct base_slice entry)
{
    (void)repl;(void)epoch;(void)entry;
    
}
void repl_change_start(struct repl *repl, struct repl_change *change)
{
    (void)repl;(void)change;
    
}
