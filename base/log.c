/* Formats a line and hands it to the owner's sink. */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

void base_logf(struct base_log *log, enum base_log_level level, const char *fmt, ...)
{
    if (!log || !log->write || level > log->level_max)
        return;
    char text[1001];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    log->write(log, level, text);
}
