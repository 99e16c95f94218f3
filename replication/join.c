/* To be built: the shape of join.c, so that the others link. */
#include "replication/replication_private.h"

int repli_join_open(struct repl *repl, struct base_err *err)
{
    (void)repl;(void)err;
    return BASE_OK;
}
void repli_join_start(struct repl *repl)
{
    (void)repl;
    
}
void repli_join_close(struct repl *repl)
{
    (void)repl;
    
}
void repli_join_handle(struct repl *repl, struct repl_inbound *in)
{
    (void)repl;(void)in;
    
}
void repli_join_on_epoch(struct repl *repl)
{
    (void)repl;
    
}
enum repl_stage repl_stage(const struct repl *repl)
{
    (void)repl;
    return REPL_STARTING;
}
const char *repl_stage_text(const struct repl *repl)
{
    (void)repl;
    return "";
}
