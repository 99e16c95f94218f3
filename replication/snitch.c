/* To be built: the shape of snitch.c, so that the others link. */
#include "replication/replication_private.h"

int repli_snitch_open(struct repl *repl, struct base_err *err)
{
    (void)repl;(void)err;
    return BASE_OK;
}
void repli_snitch_close(struct repl *repl)
{
    (void)repl;
    
}
void repli_snitch_on_epoch(struct repl *repl)
{
    (void)repl;
    
}
void repli_snitch_observe(struct repl *repl, struct base_uuid host_id, uint64_t latency_ns)
{
    (void)repl;(void)host_id;(void)latency_ns;
    
}
double repli_snitch_latency_ms(const struct repl *repl, struct base_uuid host_id)
{
    (void)repl;(void)host_id;
    return 0;
}
uint64_t repli_snitch_percentile_ns(const struct repl *repl, double fraction)
{
    (void)repl;(void)fraction;
    return BASE_OK;
}
void repli_snitch_sort(struct repl *repl, uint16_t *members, size_t count)
{
    (void)repl;(void)members;(void)count;
    
}
