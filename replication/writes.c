/* To be built: the shape of writes.c, so that the others link. */
#include "replication/replication_private.h"

int repli_writes_open(struct repl *repl, struct base_err *err)
{
    (void)repl;(void)err;
    return BASE_OK;
}
void repli_writes_close(struct repl *repl)
{
    (void)repl;
    
}
void repli_writes_on_epoch(struct repl *repl)
{
    (void)repl;
    
}
void repli_writes_handle(struct repl *repl, struct repl_inbound *in)
{
    (void)repl;(void)in;
    
}
void repl_write_start(struct repl *repl, struct repl_write *write)
{
    (void)repl;(void)write;
    
}
