/* What the tests of the metadata log share: a simulated cluster whose logs are watched (no two
 * nodes ever append different entries at one epoch), and changes of clients with their outcomes. */
#ifndef TESTS_LOG_LIB_H
#define TESTS_LOG_LIB_H

#include "tests/lib/ck.h"
#include "tests/lib/make_table.h"
#include "tests/sim/cluster_world.h"

#define LOG_EPOCHS_MAX 4096
#define LOG_CHANGES_MAX 512

struct log_change {
    struct repl_change change;
    struct base_change what;
    char name[48];
    bool creates; /* a keyspace of this name */
    bool done;
    size_t node;
    uint64_t asked_ns, ended_ns;
};
struct log_world {
    struct cluster_world w;
    struct base_arena arena;
    struct base_buf entries[LOG_EPOCHS_MAX]; /* by epoch: what the first that appended it had */
    uint64_t digests[LOG_EPOCHS_MAX];        /* of the state there, likewise; 0: nobody was there */
    uint64_t greatest;
    struct log_change changes[LOG_CHANGES_MAX];
    size_t change_count;
};
extern struct log_world lw;

void log_world_begin(const struct cluster_options *options, bool formed);
void log_world_end(void);
void log_start(size_t node);
void log_start_all(void);
/* CREATE KEYSPACE `name` by a client of that node, against its snapshot as it is. */
struct log_change *log_create(size_t node, const char *name);
struct log_change *log_change(size_t node, const struct base_change *what);
void log_run_until_done(const struct log_change *change);
void log_run_until_all_serve(uint64_t max_ns);
/* All running members have the same epoch, within the time. */
void log_run_until_even(uint64_t max_ns);
bool log_has_keyspace(size_t node, const char *name);
uint64_t log_epoch(size_t node);
void log_isolate(size_t node, bool isolated); /* from all others, both ways */

#endif
