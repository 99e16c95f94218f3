/* Statements and tokens of the shell's input (statement.h).
 *
 * 1. A semicolon inside quotes, comments or $$…$$ ends nothing.
 * 2. Every byte belongs to a token, a blank or a comment: what CQL does not know is a symbol of one
 *    byte, and the node complains. */
#include "cli/statement.h"

#include <ctype.h>

static bool is_word_byte(uint8_t c)
{
    return isalnum(c) || c == '_' || c >= 0x80;
}

/* From an opening quote of `len` bytes to behind the closing one; SIZE_MAX: it does not end. A
 * doubled single byte is no end. */
static size_t quoted_end(struct base_slice s, size_t len)
{
    for (size_t i = len; i + len <= s.len; i++) {
        if (memcmp(s.data + i, s.data, len) != 0)
            continue;
        if (len == 1 && i + 1 < s.len && s.data[i + 1] == s.data[0]) {
            i++;
            continue;
        }
        return i + len;
    }
    return SIZE_MAX;
}

/* Length of the comment that s begins with; 0: none; SIZE_MAX: it does not end. */
static size_t comment(struct base_slice s)
{
    if (s.len < 2)
        return 0;
    if ((s.data[0] == '-' && s.data[1] == '-') || (s.data[0] == '/' && s.data[1] == '/')) {
        const uint8_t *newline = memchr(s.data, '\n', s.len);
        return newline ? (size_t)(newline - s.data) : s.len;
    }
    if (s.data[0] != '/' || s.data[1] != '*')
        return 0;
    for (size_t i = 2; i + 1 < s.len; i++)
        if (s.data[i] == '*' && s.data[i + 1] == '/')
            return i + 2;
    return SIZE_MAX;
}

static size_t number_end(struct base_slice s)
{
    size_t i = s.data[0] == '-' ? 1 : 0;
    while (i < s.len && (is_word_byte(s.data[i]) ||
                         (s.data[i] == '.' && i + 1 < s.len && isdigit(s.data[i + 1])) ||
                         ((s.data[i] == '+' || s.data[i] == '-') && i > 0 &&
                          (s.data[i - 1] | 32) == 'e' && s.data[0] != '0')))
        i++; /* 123e4567-e89b-… of a uuid is one, too: nobody minds */
    return i;
}

static struct cli_token take(struct base_slice *rest, enum cli_token_kind kind, size_t len)
{
    struct cli_token token = {kind, {rest->data, len}};
    rest->data += len;
    rest->len -= len;
    return token;
}

struct cli_token cli_token_next(struct base_slice *rest)
{
    for (;;) {
        while (rest->len && isspace(rest->data[0]))
            take(rest, CLI_TOKEN_SYMBOL, 1);
        size_t len = comment(*rest);
        if (len == 0)
            break;
        if (len == SIZE_MAX)
            return take(rest, CLI_TOKEN_OPEN, rest->len);
        take(rest, CLI_TOKEN_SYMBOL, len);
    }
    if (rest->len == 0)
        return (struct cli_token){CLI_TOKEN_END, {rest->data, 0}};
    uint8_t c = rest->data[0];
    bool dollars = c == '$' && rest->len > 1 && rest->data[1] == '$';
    if (c == '\'' || c == '"' || dollars) {
        size_t end = quoted_end(*rest, dollars ? 2 : 1);
        if (end == SIZE_MAX)
            return take(rest, CLI_TOKEN_OPEN, rest->len);
        return take(rest, c == '"' ? CLI_TOKEN_NAME : CLI_TOKEN_STRING, end);
    }
    if (isdigit(c) || (c == '-' && rest->len > 1 && isdigit(rest->data[1])))
        return take(rest, CLI_TOKEN_NUMBER, number_end(*rest));
    if (is_word_byte(c)) {
        size_t len = 1;
        while (len < rest->len && is_word_byte(rest->data[len]))
            len++;
        return take(rest, CLI_TOKEN_WORD, len);
    }
    return take(rest, CLI_TOKEN_SYMBOL, 1);
}

bool cli_token_is(const struct cli_token *token, const char *word)
{
    return (token->kind == CLI_TOKEN_WORD || token->kind == CLI_TOKEN_SYMBOL) &&
           base_slice_equal_nocase(token->text, base_slice_str(word));
}

int cli_token_unquote(const struct cli_token *token, struct base_buf *out)
{
    struct base_slice s = token->text;
    int rc = BASE_OK;
    if (token->kind == CLI_TOKEN_STRING && s.len >= 4 && s.data[0] == '$') {
        rc = base_buf_put(out, s.data + 2, s.len - 4);
    } else if (token->kind == CLI_TOKEN_STRING || token->kind == CLI_TOKEN_NAME) {
        for (size_t i = 1; rc == BASE_OK && i + 1 < s.len; i++) {
            rc = base_buf_put_u8(out, s.data[i]);
            i += s.data[i] == s.data[0]; /* doubled */
        }
    } else {
        rc = base_buf_put_slice(out, s);
    }
    if (rc == BASE_OK)
        rc = base_buf_put_u8(out, 0);
    if (rc == BASE_OK)
        out->len--;
    return rc;
}

int cli_token_identifier(const struct cli_token *token, struct base_buf *out)
{
    size_t at = out->len;
    int rc = cli_token_unquote(token, out);
    for (size_t i = at; rc == BASE_OK && token->kind == CLI_TOKEN_WORD && i < out->len; i++)
        out->data[i] = (uint8_t)tolower(out->data[i]);
    return rc;
}

bool cli_statement_is_shell_word(struct base_slice word)
{
    static const char *const words[] = {"capture",  "clear",   "cls",    "consistency", "desc",
                                        "describe", "exit",    "expand", "help",        "history",
                                        "login",    "paging",  "quit",   "serial",      "show",
                                        "source",   "tracing", "?"};
    for (size_t i = 0; i < BASE_COUNT(words); i++)
        if (base_slice_equal_nocase(word, base_slice_str(words[i])))
            return true;
    return false;
}

/* Is there a newline between a and b, outside of tokens? */
static bool newline_between(const uint8_t *a, const uint8_t *b)
{
    return memchr(a, '\n', (size_t)(b - a)) != NULL;
}

enum cli_statement_step cli_statement_next(struct base_slice *rest, struct base_slice *statement)
{
    struct base_slice at = *rest;
    struct cli_token first = cli_token_next(&at), token = first, before = first;
    while (cli_token_is(&first, ";")) { /* empty statements */
        *rest = at;
        first = token = before = cli_token_next(&at);
    }
    if (first.kind == CLI_TOKEN_END) {
        *rest = at;
        return CLI_STATEMENT_NONE;
    }
    bool is_command = cli_statement_is_shell_word(first.text),
         is_batch = cli_token_is(&first, "begin"), applied = false;
    for (;;) {
        struct base_slice here = at;
        if (token.kind == CLI_TOKEN_OPEN)
            return CLI_STATEMENT_OPEN;
        token = cli_token_next(&at);
        const uint8_t *end = before.text.data + before.text.len;
        *statement = base_slice(first.text.data, (size_t)(end - first.text.data));
        if (is_command && newline_between(end, token.text.data)) {
            *rest = here;
            return CLI_STATEMENT_READY;
        }
        if (token.kind == CLI_TOKEN_END)
            return CLI_STATEMENT_OPEN;
        if (is_batch && cli_token_is(&before, "apply") && cli_token_is(&token, "batch"))
            applied = true;
        if (cli_token_is(&token, ";") && (!is_batch || applied)) {
            *rest = at;
            return CLI_STATEMENT_READY;
        }
        before = token;
    }
}
