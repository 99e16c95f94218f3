/* To be built: members, changes, placements. */
#include "ring/cluster.h"
