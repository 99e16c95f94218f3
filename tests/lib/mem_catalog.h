/* The catalog's port in memory: what the simulator and unit tests use instead of LMDB.
 *
 * The store outlives its handles, as a directory outlives a process: open, close, open again finds
 * what was written. A write is atomic and durable at once; faults are injected at writes.
 * Thread-safe. */
#ifndef TESTS_LIB_MEM_CATALOG_H
#define TESTS_LIB_MEM_CATALOG_H

#include "catalog/catalog.h"

struct mem_catalog;

enum mem_catalog_fault {
    MEM_CATALOG_REFUSE, /* the write fails, nothing is written (ENOSPC, EIO, power cut before the
                           commit) */
    MEM_CATALOG_LOSE,   /* everything is written, the caller gets the error all the same (cut just
                           after) */
};

struct mem_catalog *mem_catalog_new(void); /* aborts when out of memory */
void mem_catalog_free(struct mem_catalog *store);
/* A handle; close it with cat_close. Any number may be open. */
struct cat_catalog *mem_catalog_open(struct mem_catalog *store);
/* The k-th write from now (0: the next) meets the fault, once, with this code. Negative: none. */
void mem_catalog_fail_at(struct mem_catalog *store, long k, enum mem_catalog_fault fault, int code);
/* False while an injected fault has not been met yet: a sweep over k ends when it stays so. */
bool mem_catalog_was_hit(const struct mem_catalog *store);
/* As if bits of the stored value had flipped: reading it is CORRUPT from now on. False: no such
 * key. */
bool mem_catalog_damage(struct mem_catalog *store, struct base_slice key);
unsigned long mem_catalog_write_count(const struct mem_catalog *store);

#endif
