/* To be built: the shape of reads.c, so that the others link. */
#include "replication/replication_private.h"

int repli_reads_open(struct repl *repl, struct base_err *err)
{
    (void)repl;(void)err;
    return BASE_OK;
}
void repli_reads_close(struct repl *repl)
{
    (void)repl;
    
}
void repli_reads_handle(struct repl *repl, struct repl_inbound *in)
{
    (void)repl;(void)in;
    
}
void repl_read_start(struct repl *repl, struct repl_read *read)
{
    (void)repl;(void)read;
    
}
void repl_read_next(struct repl *repl, struct repl_read *read)
{
    (void)repl;(void)read;
    
}
void repl_read_close(struct repl *repl, struct repl_read *read)
{
    (void)repl;(void)read;
    
}
