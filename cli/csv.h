/* CSV as COPY reads and writes it, and fields to values. */
#ifndef CLI_CSV_H
#define CLI_CSV_H

#include <stdio.h>

#include "base/type.h"

enum { CLI_CSV_FIELDS_MAX = 10000, CLI_CSV_RECORD_SIZE_MAX = 256 << 20 };

struct cli_csv_dialect {
    uint8_t delimiter, quote, escape; /* escape the same as quote: quotes are doubled */
};

struct cli_csv_record {
    struct base_buf text;
    size_t *ends; /* of fields, in text */
    size_t count, cap;
    uint64_t lines; /* read so far, of the file */
};
void cli_csv_record_init(struct cli_csv_record *record);
void cli_csv_record_fini(struct cli_csv_record *record);
struct base_slice cli_csv_field(const struct cli_csv_record *record, size_t i);
/* The next record; blank lines are passed over. A quote inside quotes may be doubled or escaped; a
 * record may span lines. *more false: the file is at its end. SYNTAX: a quote that does not end;
 * LIMIT, IO, NOMEM. */
BASE_MUST int cli_csv_read(const struct cli_csv_dialect *dialect, FILE *file,
                           struct cli_csv_record *record, bool *more, struct base_err *err);
/* Append a field, in quotes where it must be; `first`: of its line. */
BASE_MUST int cli_csv_put(const struct cli_csv_dialect *dialect, struct base_slice field,
                          bool first, struct base_buf *out);

struct cli_csv_forms {                           /* of values */
    char decimal_separator, thousands_separator; /* 0: none */
    const char *yes, *no;                        /* booleans, any case */
    const char *null;                            /* inside a tuple or UDT */
    const char *date_time_format;                /* strptime's; NULL: CQL's forms */
};
/* A field as a value of the type, appended to `out`: what COPY TO wrote comes back. INVALID says
 * why not. */
BASE_MUST int cli_csv_value(const struct cli_csv_forms *forms, const struct base_type *type,
                            struct base_slice field, struct base_buf *out, struct base_err *err);

#endif
