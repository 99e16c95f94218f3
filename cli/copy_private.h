/* COPY … TO and FROM, inside: options and columns (copy.c), the two directions (copy_to.c,
 * copy_from.c). */
#ifndef CLI_COPY_PRIVATE_H
#define CLI_COPY_PRIVATE_H

#include "cli/csv.h"
#include "cli/shell_private.h"

enum { CLI_COPY_COLUMNS_MAX = 1024 };
enum cli_copy_kind { CLI_COPY_PARTITION_KEY, CLI_COPY_CLUSTERING, CLI_COPY_REGULAR };

struct cli_copy_column {
    const char *name; /* as it is */
    const char *cql;  /* as a statement has it */
    enum cli_copy_kind kind;
    int position;
    bool is_counter, skip;
};
struct cli_copy {
    struct cli_shell *shell;
    struct base_arena arena;
    const char *keyspace, *table, *path; /* path NULL: STDIN, STDOUT */
    bool to;
    struct cli_copy_column columns[CLI_COPY_COLUMNS_MAX]; /* of the file, in its order */
    size_t column_count;
    size_t key_count, keys_given; /* columns of the primary key: of the table, of the file */
    struct cli_csv_dialect dialect;
    bool header;
    const char *null, *yes, *no, *date_time_format, *thousands, *skip_columns, *error_file,
        *rate_file, *begin_token, *end_token;
    char decimal_separator;
    int64_t page_size, output_size_max, rows_max, skip_rows, parse_errors_max, insert_errors_max,
        rate, ttl, attempts_max, backoff_attempts_max, in_flight_max;
    int64_t float_digits, double_digits;
    double report_s, page_timeout_s, request_timeout_s; /* 0: not given */
    /* Progress: */
    uint64_t started_ns, shown_ns, shown_rows;
    double rate_now;
};

/* "Processed: N rows; Rate: …": at most every report_s, live on a terminal's stderr; `last` puts it
 * on stdout. */
void cli_copy_progress(struct cli_copy *copy, uint64_t rows, bool last);
/* What a person reads as the file goes elsewhere; nothing when rows go to stdout. */
void cli_copy_say(const struct cli_copy *copy, const char *fmt, ...) BASE_PRINTF(2, 3);
double cli_copy_seconds(const struct cli_copy *copy);
/* "2 minutes, and 3.100 seconds" */
void cli_copy_interval(const struct cli_copy *copy, char text[96]);
void cli_copy_to(struct cli_copy *copy);
void cli_copy_from(struct cli_copy *copy);
uint64_t cli_copy_now_ns(void);

#endif
