/* Where statements end, and what words a command of the shell has. Pure. */
#ifndef CLI_STATEMENT_H
#define CLI_STATEMENT_H

#include "base/bytes.h"

enum cli_token_kind {
    CLI_TOKEN_END,
    CLI_TOKEN_WORD,
    CLI_TOKEN_NUMBER,
    CLI_TOKEN_NAME,
    CLI_TOKEN_STRING,
    CLI_TOKEN_SYMBOL,
    CLI_TOKEN_OPEN
};
/* WORD: unquoted; NAME: "…"; STRING: '…' or $$…$$; OPEN: a quote or comment that does not end; END:
 * no more. */
struct cli_token {
    enum cli_token_kind kind;
    struct base_slice text; /* with its quotes */
};
/* The next token, with blanks and comments before it passed over; `rest` moves behind it. */
struct cli_token cli_token_next(struct base_slice *rest);
/* a word, any case; or a symbol */
bool cli_token_is(const struct cli_token *token, const char *word);
/* The text without its quotes ('' and "" undone; a word as it is), appended and ended by NUL, which
 * len does not count. */
BASE_MUST int cli_token_unquote(const struct cli_token *token, struct base_buf *out);
/* The same, as an identifier: a word in lower case. */
BASE_MUST int cli_token_identifier(const struct cli_token *token, struct base_buf *out);

enum cli_statement_step { CLI_STATEMENT_READY, CLI_STATEMENT_OPEN, CLI_STATEMENT_NONE };
/* The first statement of `rest`. READY: *statement is it, without its semicolon; `rest` moves
 * behind. OPEN: it does not end there yet. NONE: only blanks and comments. The shell's own commands
 * (all but COPY) end at a newline, too; BEGIN … APPLY BATCH is one. */
enum cli_statement_step cli_statement_next(struct base_slice *rest, struct base_slice *statement);
/* A command that ends at a newline. */
bool cli_statement_is_shell_word(struct base_slice word);

#endif
