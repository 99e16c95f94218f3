/* Values as cqlsh shows them: in its tables, and in the files of COPY TO. Pure: no clock, no
 * locale. */
#ifndef CLI_FORMAT_H
#define CLI_FORMAT_H

#include "cql/exec.h"

/* Text with what it takes on the screen: colours take nothing, a wide letter takes two columns. */
struct cli_text {
    struct base_buf *out; /* appended to */
    size_t width;         /* columns, since it was zeroed */
    bool colours;
};

#define CLI_RED "\033[0;1;31m"
#define CLI_GREEN "\033[0;1;32m"
#define CLI_YELLOW "\033[0;1;33m"
#define CLI_BLUE "\033[0;1;34m"
#define CLI_MAGENTA "\033[0;1;35m"
#define CLI_CYAN "\033[0;1;36m"
#define CLI_WHITE "\033[0;1;37m"
#define CLI_DARK_MAGENTA "\033[0;35m"
#define CLI_PLAIN "\033[0m"

struct cli_format {
    unsigned float_digits, double_digits;
    bool milliseconds;      /* of timestamps: three digits, not six */
    const char *yes, *no;   /* booleans */
    const char *null;       /* inside a tuple or UDT */
    char decimal_separator; /* '.' */
    const char *thousands;  /* "": none */
    /* a text on its own as it is: COPY TO (else control characters as escapes) */
    bool raw_text;
    /* of timestamps: strftime's, and %f for microseconds; NULL: cqlsh's own */
    const char *date_time_format;
};
extern const struct cli_format cli_format_shell, cli_format_copy;

/* Append a value; a null is `null` in red. NOMEM, LIMIT; bytes that are no value of the type are
 * shown as a blob. */
BASE_MUST int cli_format_value(const struct cli_format *format, const struct base_type *type,
                               const struct cql_value *value, struct cli_text *out);
/* Append a name (of a column) as tables show it: control characters as escapes. */
BASE_MUST int cli_format_name(struct base_slice name, const char *colour, struct cli_text *out);
/* Append text in a colour (NULL: none) and count its width. */
BASE_MUST int cli_format_put(struct cli_text *out, const char *colour, struct base_slice text);
/* Columns that UTF-8 text takes. */
size_t cli_format_width(struct base_slice text);
/* A number as Python's '%.*g' of cqlsh has it: `digits` behind the point where no exponent is
 * needed. text: at least 64 bytes. */
void cli_format_float(double value, unsigned digits, char text[64]);

#endif
