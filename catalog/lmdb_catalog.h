/* For the catalog's tests: LMDB with a small map, so that it has to grow. */
#ifndef CATALOG_LMDB_CATALOG_H
#define CATALOG_LMDB_CATALOG_H

#include "catalog/catalog.h"

BASE_MUST int cati_open_lmdb(const char *dir, size_t map_size, size_t map_size_max,
                             struct cat_catalog **out, struct base_err *err);

#endif
