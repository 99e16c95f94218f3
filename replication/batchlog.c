/* To be built: the shape of batchlog.c, so that the others link. */
#include "replication/replication_private.h"

int repli_batchlog_open(struct repl *repl, struct base_err *err)
{
    (void)repl;(void)err;
    return BASE_OK;
}
void repli_batchlog_start(struct repl *repl)
{
    (void)repl;
    
}
void repli_batchlog_close(struct repl *repl)
{
    (void)repl;
    
}
void repli_batchlog_handle(struct repl *repl, struct repl_inbound *in)
{
    (void)repl;(void)in;
    
}
bool repli_batchlog_any(const struct repl *repl)
{
    (void)repl;
    return false;
}
