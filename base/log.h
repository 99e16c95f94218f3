/* Logging: one line an event, to a sink that the composition root sets. Default: nothing (a guest
 * in somebody's process is silent). Thread-safe. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/assert.h"

enum base_log_level { BASE_LOG_ERROR, BASE_LOG_WARN, BASE_LOG_INFO, BASE_LOG_DEBUG };

/* A sink per owner (node, store): no process-wide state. write must be thread-safe. */
struct base_log {
    enum base_log_level level_max;
    void (*write)(struct base_log *log, enum base_log_level level, const char *text);
};
/* log may be NULL. The text is cut at 1,000 bytes. */
void base_logf(struct base_log *log, enum base_log_level level, const char *fmt, ...)
    BASE_PRINTF(3, 4);

#endif
