/* Between node/metrics.c and node/metrics_cluster.c. */
#ifndef NODE_METRICS_H
#define NODE_METRICS_H

#include "node/node_private.h"

/* One walk; stops at the first result of `each` that is not 0. */
struct nodei_metrics {
    int (*each)(void *ctx, const char *name, const char *labels, double value);
    void *ctx;
    int rc;
};
void nodei_metric(struct nodei_metrics *m, const char *name, const char *labels, double value);
/* name="value" with what Prometheus wants escaped, cut to fit; its length. */
size_t nodei_metric_label(char *out, size_t size, const char *label, struct base_slice value);
/* Nothing when the node is alone. */
BASE_MUST int nodei_metrics_cluster(struct nodei_metrics *m, struct node *node);

#endif
