/* CSV: records of fields (csv.h). Python's csv module's dialect, as cqlsh uses it, and RFC 4180's
 * doubled quotes. */
#include "cli/csv.h"

#include <errno.h>

void cli_csv_record_init(struct cli_csv_record *record)
{
    memset(record, 0, sizeof *record);
    base_buf_init(&record->text, CLI_CSV_RECORD_SIZE_MAX);
}

void cli_csv_record_fini(struct cli_csv_record *record)
{
    base_buf_fini(&record->text);
    free(record->ends);
    record->ends = NULL;
    record->count = record->cap = 0;
}

struct base_slice cli_csv_field(const struct cli_csv_record *record, size_t i)
{
    BASE_ASSERT(i < record->count);
    size_t begin = i ? record->ends[i - 1] : 0;
    return base_slice(record->text.data + begin, record->ends[i] - begin);
}

static int end_field(struct cli_csv_record *record, struct base_err *err)
{
    if (record->count == CLI_CSV_FIELDS_MAX)
        return base_err_set(err, BASE_E_LIMIT, "line %llu: more than %d fields",
                            (unsigned long long)record->lines, CLI_CSV_FIELDS_MAX);
    if (record->count == record->cap) {
        size_t cap = record->cap ? 2 * record->cap : 64;
        size_t *ends = realloc(record->ends, cap * sizeof *ends);
        if (!ends)
            return base_err_set(err, BASE_E_NOMEM, "a record");
        record->ends = ends;
        record->cap = cap;
    }
    record->ends[record->count++] = record->text.len;
    return BASE_OK;
}

static int put(struct cli_csv_record *record, int c, struct base_err *err)
{
    int rc = base_buf_put_u8(&record->text, (uint8_t)c);
    return rc == BASE_OK ? rc
                         : base_err_set(err, rc, "line %llu: the record is too long",
                                        (unsigned long long)record->lines);
}

/* Behind an opening quote, to behind the closing one. */
static int read_quoted(const struct cli_csv_dialect *d, FILE *file, struct cli_csv_record *record,
                       struct base_err *err)
{
    uint64_t begun = record->lines + 1;
    for (int c, rc = BASE_OK; rc == BASE_OK;) {
        c = getc_unlocked(file);
        if (c == EOF)
            return base_err_set(err, BASE_E_SYNTAX, "line %llu: the quote does not end",
                                (unsigned long long)begun);
        if (c == d->escape && d->escape != d->quote) {
            c = getc_unlocked(file);
            if (c == EOF)
                continue;
        } else if (c == d->quote) {
            c = getc_unlocked(file);
            if (c != d->quote) {
                if (c != EOF)
                    ungetc(c, file);
                return BASE_OK;
            }
        }
        record->lines += c == '\n';
        rc = put(record, c, err);
        if (rc != BASE_OK)
            return rc;
    }
    return BASE_OK;
}

int cli_csv_read(const struct cli_csv_dialect *d, FILE *file, struct cli_csv_record *record,
                 bool *more, struct base_err *err)
{
    bool at_start = true; /* of a field */
    base_buf_reset(&record->text);
    record->count = 0;
    *more = true;
    for (int rc = BASE_OK;;) {
        int c = getc_unlocked(file);
        if (c == EOF && ferror(file))
            return base_err_set(err, BASE_E_IO, "line %llu: %s",
                                (unsigned long long)record->lines + 1, strerror(errno));
        if (c == '\r') { /* a line's end, alone or before \n */
            c = getc_unlocked(file);
            if (c != '\n' && c != EOF)
                ungetc(c, file);
            c = '\n';
        }
        if (c == '\n' || c == EOF) {
            record->lines += c == '\n';
            if (record->count == 0 && record->text.len == 0 && at_start) { /* a blank line */
                *more = c != EOF;
                if (!*more)
                    return BASE_OK;
                continue;
            }
            return end_field(record, err);
        }
        if (c == d->delimiter) {
            rc = end_field(record, err);
            at_start = true;
        } else if (c == d->quote && at_start) {
            rc = read_quoted(d, file, record, err);
            at_start = false;
        } else {
            if (c == d->escape && d->escape != d->quote && (c = getc_unlocked(file)) == EOF)
                continue;
            rc = put(record, c, err);
            at_start = false;
        }
        if (rc != BASE_OK)
            return rc;
    }
}

int cli_csv_put(const struct cli_csv_dialect *d, struct base_slice field, bool first,
                struct base_buf *out)
{
    bool quoted = false; /* an escaped quote needs none: as Python's csv writes it */
    for (size_t i = 0; i < field.len && !quoted; i++)
        quoted = field.data[i] == d->delimiter || field.data[i] == '\n' || field.data[i] == '\r' ||
                 (field.data[i] == d->quote && d->escape == d->quote);
    int rc = first ? BASE_OK : base_buf_put_u8(out, d->delimiter);
    if (rc == BASE_OK && quoted)
        rc = base_buf_put_u8(out, d->quote);
    for (size_t i = 0; rc == BASE_OK && i < field.len; i++) {
        if (field.data[i] == d->quote || field.data[i] == d->escape)
            rc = base_buf_put_u8(out, d->escape);
        if (rc == BASE_OK)
            rc = base_buf_put_u8(out, field.data[i]);
    }
    return rc == BASE_OK && quoted ? base_buf_put_u8(out, d->quote) : rc;
}
