/* What must be true of a cluster when everything is mended (cluster_end.c). */
#ifndef TESTS_SIM_CLUSTER_END_H
#define TESTS_SIM_CLUSTER_END_H

#include "tests/sim/cluster_fault.h"

/* All members serve, all guests know the ring. */
void ce_await_service(struct cluster_world *w, struct cl_load *load);
/* Requests end; the log is the same everywhere; hints and batches are gone; replicas agree; nothing
 * waits; processes end well. processes_ended: some had to: then what they were to tell others later
 * may be lost until it is read. */
void ce_converge(struct cluster_world *w, struct cl_load *load, bool processes_ended);

#endif
