/* To be built: the shape of guest.c, so that the others link. */
#include "replication/replication_private.h"

int repli_guest_open(struct repl *repl, struct base_err *err)
{
    (void)repl;(void)err;
    return BASE_OK;
}
void repli_guest_start(struct repl *repl)
{
    (void)repl;
    
}
void repli_guest_close(struct repl *repl)
{
    (void)repl;
    
}
void repli_guest_behind(struct repl *repl, uint64_t epoch)
{
    (void)repl;(void)epoch;
    
}
bool repli_guest_is_alive(const struct repl *repl, struct base_uuid host_id)
{
    (void)repl;(void)host_id;
    return false;
}
bool repli_guest_contact(const struct repl *repl, struct repli_peer *out)
{
    (void)repl;(void)out;
    return false;
}
