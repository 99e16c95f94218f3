/* To be built: the shape of consistency.c, so that the others link. */
#include "replication/replication_private.h"

int repli_need_of(const struct repl *repl, const struct ring_placement *placement, int consistency, bool is_write,
                            struct repli_need *out, struct base_err *err)
{
    (void)repl;(void)placement;(void)consistency;(void)is_write;(void)out;(void)err;
    return BASE_OK;
}
int repli_check_alive(const struct repl *repl, const struct repli_need *need, const struct ring_placement *placement,
                                const struct ring_range *range, bool is_write, struct repl_outcome *outcome)
{
    (void)repl;(void)need;(void)placement;(void)range;(void)is_write;(void)outcome;
    return BASE_OK;
}
const char *repli_consistency_name(int consistency)
{
    (void)consistency;
    return "";
}
