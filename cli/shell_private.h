/* ringlet shell, inside. One connection, one input at a time (a terminal, a file, -e's text; SOURCE
 * begins another inside). */
#ifndef CLI_SHELL_PRIVATE_H
#define CLI_SHELL_PRIVATE_H

#include <stdio.h>

#include "cli/cli_private.h"
#include "cli/cql_client.h"
#include "cli/format.h"
#include "cli/statement.h"

#define CLI_SHELL_PAGE_SIZE 100 /* cqlsh's */

struct cli_editor; /* shell_edit.c: the line editor and its history */

/* Where statements come from. */
struct cli_shell_input {
    /* a file's, "<stdin>"; NULL: a terminal, whose errors have no place */
    const char *name;
    FILE *file;              /* NULL: text, or the editor */
    struct base_slice text;  /* what is left of -e's */
    unsigned line;           /* the last line read, from 1 */
    struct base_buf pending; /* lines that are no whole statement yet */
};

struct cli_shell {
    struct cli_cql_config config;
    struct cli_cql cql;
    struct cli_shell_input *input;
    struct cli_editor *editor; /* NULL: no terminal */
    bool tty, colours;
    FILE *out;             /* of results: stdout, or CAPTURE's file */
    char *capture;         /* its name; NULL: none */
    char *keyspace;        /* in use; NULL: none */
    char *user, *password; /* ours to free */
    char *cluster_name, *release_version, *cql_version;
    int consistency, serial_consistency;
    bool tracing, expand, paging;
    int page_size;
    bool stop;   /* EXIT */
    bool failed; /* a statement */
    bool lost;   /* the connection */
    int depth;   /* of SOURCE */
};

/* shell.c. */

/* Read the input to its end, statement after statement. */
void cli_shell_run(struct cli_shell *shell, struct cli_shell_input *input);
/* One statement or command, without its semicolon. */
void cli_shell_execute(struct cli_shell *shell, struct base_slice statement);
/* Connect (again); the keyspace in use is used again. */
BASE_MUST int cli_shell_connect(struct cli_shell *shell, struct base_err *err);
/* An error on stderr, with the place in the file when there is one. */
void cli_shell_fail(struct cli_shell *shell, const char *fmt, ...) BASE_PRINTF(2, 3);
/* What the node answered, as the Python driver shows it. */
void cli_shell_fail_error(struct cli_shell *shell, const struct cql_error *error);
/* What became of a call that had no answer: the connection may be lost. */
void cli_shell_fail_call(struct cli_shell *shell, int rc, const struct base_err *err);
bool cli_shell_interrupted(const struct cli_shell *shell);
void cli_shell_forget_interrupt(void);
/* A password from the terminal, without echo; malloc'ed. NULL: none could be asked for. */
char *cli_shell_ask_password(const char *prompt);
char *cli_shell_strdup(struct base_slice s); /* aborts when out of memory: a shell's word */

/* shell_query.c. */

/* A statement of the server's: its rows, warnings, trace. */
void cli_shell_query(struct cli_shell *shell, struct base_slice statement);
struct cql_query cli_shell_make_query(const struct cli_shell *shell, struct base_slice statement);
void cli_shell_warnings(struct cli_shell *shell, const struct cql_prefix *prefix);

/* shell_table.c. */

/* Cells with their widths, row by row; the first row is the header. */
struct cli_table {
    struct base_arena arena;
    size_t column_count;
    struct cli_cell {
        struct base_slice text;
        size_t width;
    } * cells;
    size_t cell_count, cell_cap;
    struct base_buf scratch;
};
BASE_MUST int cli_table_init(struct cli_table *table, size_t column_count);
void cli_table_fini(struct cli_table *table);
/* The next cell: text already with colours. */
BASE_MUST int cli_table_add(struct cli_table *table, struct base_slice text, size_t width);
BASE_MUST int cli_table_add_value(struct cli_table *table, const struct cli_format *format,
                                  const struct base_type *type, const struct cql_value *value,
                                  bool colours);
BASE_MUST int cli_table_add_name(struct cli_table *table, struct base_slice name,
                                 const char *colour, bool colours);
/* A blank line behind it when there are no rows, or with `blank_line`. */
void cli_table_print(const struct cli_table *table, FILE *out, bool with_header, bool blank_line);
void cli_table_print_expanded(const struct cli_table *table, FILE *out, size_t first_row);
/* Names side by side on `width` columns, down and then across. */
void cli_columnize(FILE *out, const struct base_slice *names, size_t count, size_t width);

/* shell_trace.c, shell_describe.c, shell_help.c. */

void cli_shell_show_trace(struct cli_shell *shell, struct base_uuid id, bool wait);
void cli_shell_describe(struct cli_shell *shell, struct base_slice statement);
void cli_shell_help(struct cli_shell *shell, struct base_slice topics);

/* shell_command.c. */

/* True: it was a command of the shell's, and is done. */
bool cli_shell_command(struct cli_shell *shell, struct base_slice statement);
/* Close CAPTURE's file; results go to stdout again. False: not all of it was written, which was
 * said. */
bool cli_shell_end_capture(struct cli_shell *shell);
void cli_shell_show_host(struct cli_shell *shell);
void cli_shell_show_version(struct cli_shell *shell);

/* shell_edit.c, shell_complete.c. */

BASE_MUST int cli_editor_open(struct cli_shell *shell, bool history, struct cli_editor **out,
                              struct base_err *err);
void cli_editor_close(struct cli_editor *editor);
enum cli_edit { CLI_EDIT_LINE, CLI_EDIT_END, CLI_EDIT_INTERRUPT };
enum cli_edit cli_editor_line(struct cli_editor *editor, const char *prompt,
                              struct base_slice *line);
void cli_editor_remember(struct cli_editor *editor, struct base_slice statement);
void cli_editor_history(struct cli_editor *editor, FILE *out, int count);

#define CLI_COMPLETIONS_MAX 512
struct cli_completions {
    struct base_arena arena;
    const char *words[CLI_COMPLETIONS_MAX]; /* sorted, each once */
    size_t count;
    size_t prefix_len; /* of the text's end that they replace */
};
/* What may stand at the end of `text`: keywords by what came before, and names of keyspaces,
 * tables, columns asked from the node. */
void cli_shell_complete(struct cli_shell *shell, struct base_slice text,
                        struct cli_completions *out);
void cli_completions_fini(struct cli_completions *c);

/* copy.c. */

void cli_shell_copy(struct cli_shell *shell, struct base_slice statement);

#endif
