/* To be built: the shape of gossip.c, so that the others link. */
#include "replication/replication_private.h"

int repli_gossip_open(struct repl *repl, struct base_err *err)
{
    (void)repl;(void)err;
    return BASE_OK;
}
void repli_gossip_start(struct repl *repl)
{
    (void)repl;
    
}
void repli_gossip_close(struct repl *repl)
{
    (void)repl;
    
}
void repli_gossip_handle(struct repl *repl, struct repl_inbound *in)
{
    (void)repl;(void)in;
    
}
void repli_gossip_on_epoch(struct repl *repl)
{
    (void)repl;
    
}
bool repli_gossip_is_alive(const struct repl *repl, struct base_uuid host_id)
{
    (void)repl;(void)host_id;
    return false;
}
void repli_gossip_get(const struct repl *repl, struct base_uuid host_id, struct repl_peer_info *out)
{
    (void)repl;(void)host_id;(void)out;
    
}
void repli_gossip_set_load(struct repl *repl, uint64_t bytes)
{
    (void)repl;(void)bytes;
    
}
void repli_gossip_leave(struct repl *repl)
{
    (void)repl;
    
}
