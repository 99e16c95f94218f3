/* Text to syntax tree: feeds the lexer's tokens to the grammar, and says where an error is.
 *
 * 1. Nothing recurses over the text: the lexer is a loop, the grammar has a stack of fixed size.
 * 2. Everything made lives in the caller's arena; there is no state between calls.
 * 3. The text is valid UTF-8, checked once, so names and strings cut from it are. */
#include <stdio.h>

#include "cql/cql_private.h"
#include "cql/grammar.h"

enum { BINDS_MAX = 65535 }; /* the native protocol counts them in 16 bits */

/* Line from 1, column from 0 in characters, as Cassandra counts. */
static void position(struct base_slice text, const uint8_t *at, unsigned *line, unsigned *column)
{
    *line = 1;
    *column = 0;
    for (const uint8_t *c = text.data; c < at; c++) {
        if (*c == '\n') {
            ++*line;
            *column = 0;
        } else if ((*c & 0xC0) != 0x80) { /* not the rest of a character */
            ++*column;
        }
    }
}

void cqli_fail_at(struct cqli_parse *p, const uint8_t *at, int code, const char *fmt, ...)
{
    if (p->rc != BASE_OK)
        return;
    char text[768];
    unsigned line, column;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    position(p->text, at, &line, &column);
    p->rc = base_err_set(p->err, code, "line %u:%u %s", line, column, text);
}

void *cqli_zalloc(struct cqli_parse *p, size_t size)
{
    void *memory = base_arena_zalloc(p->arena, size);
    if (!memory && p->rc == BASE_OK)
        p->rc = base_err_set(p->err, BASE_E_NOMEM, "parse: %s", base_err_words(BASE_E_NOMEM));
    return memory;
}

/* The text between quotes of `width` bytes, with doubled quotes (of one byte) made single. */
static struct base_slice unquote(struct cqli_parse *p, struct cqli_token token, size_t width,
                                 uint8_t quote)
{
    struct base_slice raw = base_slice(token.start + width, token.len - 2 * width);
    if (width != 1 || !raw.len || !memchr(raw.data, quote, raw.len))
        return raw;
    uint8_t *out = cqli_zalloc(p, raw.len);
    size_t n = 0;
    for (size_t i = 0; out && i < raw.len; i++) {
        out[n++] = raw.data[i];
        if (raw.data[i] == quote)
            i++;
    }
    return base_slice(out, n);
}

struct base_slice cqli_identifier(struct cqli_parse *p, struct cqli_token token)
{
    if (token.start[0] == '"')
        return unquote(p, token, 1, '"');
    bool folded = true;
    for (size_t i = 0; folded && i < token.len; i++)
        folded = token.start[i] < 'A' || token.start[i] > 'Z';
    if (folded)
        return base_slice(token.start, token.len);
    uint8_t *out = cqli_zalloc(p, token.len);
    for (size_t i = 0; out && i < token.len; i++) {
        uint8_t c = token.start[i];
        out[i] = c >= 'A' && c <= 'Z' ? (uint8_t)(c - 'A' + 'a') : c;
    }
    return base_slice(out, out ? token.len : 0);
}

struct cql_term *cqli_term(struct cqli_parse *p, enum cql_term_kind kind, struct cqli_token token)
{
    struct cql_term *term = cqli_zalloc(p, sizeof *term);
    if (!term)
        return NULL;
    term->kind = kind;
    term->text = term->source = base_slice(token.start, token.len);
    if (kind == CQL_TERM_STRING)
        term->text = unquote(p, token, token.start[0] == '$' ? 2 : 1, '\'');
    return term;
}

/* Most types have no comment inside: then the text is used as it is. */
struct base_slice cqli_type_text(struct cqli_parse *p, const uint8_t *start, const uint8_t *end)
{
    struct base_slice text = base_slice(start, (size_t)(end - start));
    if (!text.len || (!memchr(text.data, '-', text.len) && !memchr(text.data, '/', text.len)))
        return text;
    uint8_t *out = cqli_zalloc(p, text.len);
    size_t n = 0;
    struct cqli_lexer lexer = {start, end};
    for (struct cqli_token t = cqli_lex(&lexer); out && t.kind > CQLI_TOKEN_END;
         t = cqli_lex(&lexer)) {
        memcpy(out + n, t.start, t.len);
        n += t.len;
    }
    return base_slice(out, n);
}

static int check_text(struct cqli_parse *p)
{
    if (p->text.len > CQL_TEXT_LEN_MAX)
        return base_err_set(p->err, BASE_E_LIMIT, "a statement of %zu bytes: the limit is %u",
                            p->text.len, CQL_TEXT_LEN_MAX);
    if (p->text.len &&
        base_value_validate(base_type_scalar(BASE_TYPE_TEXT), p->text, NULL) != BASE_OK)
        return base_err_set(p->err, BASE_E_SYNTAX, "the statement is not valid UTF-8");
    return BASE_OK;
}

void cqli_unexpected(struct cqli_parse *p)
{
    p->unexpected = true;
    if (p->rc == BASE_OK)
        p->rc = BASE_E_SYNTAX; /* its text comes from say_unexpected() */
}

/* Tokens to the grammar, up to the one that starts at `until` (NULL: all). */
static struct cqli_grammar *feed_all(struct cqli_parse *p, enum cqli_entry entry,
                                     const uint8_t *until)
{
    struct cqli_grammar *grammar = cqli_grammar_new(p);
    struct cqli_feed feed = {.lexer = {p->text.data, p->text.data + p->text.len},
                             .before = CQLI_TK_SEMI,
                             .before_that = CQLI_TK_SEMI};
    struct cqli_token start = {p->text.data, 0, CQLI_TOKEN_END, NULL};
    p->whole = p->statement;
    if (!grammar) {
        p->rc = base_err_set(p->err, BASE_E_NOMEM, "parse: %s", base_err_words(BASE_E_NOMEM));
        return NULL;
    }
    if (entry == CQLI_ENTRY_COLUMNS)
        cqli_grammar_feed(grammar, CQLI_TK_ENTRY_COLUMNS, start);
    else if (entry == CQLI_ENTRY_OPTIONS)
        cqli_grammar_feed(grammar, CQLI_TK_ENTRY_OPTIONS, start);
    for (bool first = true; p->rc == BASE_OK;) {
        struct cqli_token token = cqli_feed_next(&feed);
        if (until && token.start >= until)
            break;
        p->token = token;
        if (token.kind == CQLI_TOKEN_BAD)
            cqli_fail_at(p, token.start, BASE_E_SYNTAX, "%s", token.fault);
        else if (first && token.kind == CQLI_TK_SEMI && entry == CQLI_ENTRY_STATEMENT)
            continue; /* an empty statement before this one */
        else
            cqli_grammar_feed(grammar, token.kind, token);
        first = false;
        if (token.kind == CQLI_TOKEN_END)
            break;
    }
    return grammar;
}

/* What could stand where p->token does, if that is said in a few words. The grammar has already
 * given up what it knew there: it is brought to that place once more. */
static void say_expected(const struct cqli_parse *p, enum cqli_entry entry, char *out, size_t size)
{
    enum { WORDS_MAX = 16 };
    struct cql_statement *scratch = base_arena_zalloc(p->arena, sizeof *scratch);
    struct cqli_parse again = {.arena = p->arena, .text = p->text, .statement = scratch};
    const struct cqli_grammar *grammar = scratch ? feed_all(&again, entry, p->token.start) : NULL;
    size_t len = 0, count = 0;
    out[0] = 0;
    for (int kind = 0;
         grammar && again.rc == BASE_OK && kind < CQLI_TOKEN_KINDS_MAX && count <= WORDS_MAX;
         kind++) {
        const char *name = cqli_token_name(kind);
        if (!name || !cqli_grammar_accepts(grammar, kind))
            continue;
        int n = snprintf(out + len, size - len, "%s%s", count++ ? ", " : ": expected ", name);
        len = n > 0 && (size_t)n < size - len ? len + (size_t)n : len;
    }
    if (count > WORDS_MAX)
        out[0] = 0;
}

static void say_unexpected(struct cqli_parse *p, enum cqli_entry entry)
{
    char expected[320];
    say_expected(p, entry, expected, sizeof expected);
    struct base_slice text = p->token.kind == CQLI_TOKEN_END
                                 ? BASE_SLICE_LIT("<EOF>")
                                 : base_slice(p->token.start, p->token.len);
    p->rc = BASE_OK;
    cqli_fail_at(p, p->token.start, BASE_E_SYNTAX, "no viable alternative at input '%.*s'%s",
                 text.len > 40 ? 40 : (int)text.len, (const char *)text.data, expected);
}

int cqli_parse(struct cqli_parse *p, enum cqli_entry entry)
{
    p->rc = check_text(p);
    if (p->rc != BASE_OK)
        return p->rc;
    feed_all(p, entry, NULL);
    if (p->unexpected)
        say_unexpected(p, entry);
    if (p->rc == BASE_OK && p->bind_count > BINDS_MAX)
        p->rc = base_err_set(p->err, BASE_E_INVALID,
                             "Too many markers(?). %u markers exceed the allowed maximum of %d",
                             p->bind_count, BINDS_MAX);
    p->whole->bind_count = p->bind_count;
    if (p->whole->refused)
        p->whole->kind = CQL_REFUSED;
    return p->rc;
}

int cql_parse(struct base_arena *arena, struct base_slice text, struct cql_statement **out,
              struct base_err *err)
{
    struct cqli_parse p = {.arena = arena, .text = text, .err = err};
    *out = NULL;
    p.statement = base_arena_zalloc(arena, sizeof *p.statement);
    if (!p.statement)
        return base_err_set(err, BASE_E_NOMEM, "parse: %s", base_err_words(BASE_E_NOMEM));
    int rc = cqli_parse(&p, CQLI_ENTRY_STATEMENT);
    if (rc == BASE_OK)
        *out = p.statement;
    return rc;
}

enum cql_statement_kind cql_statement_kind(const struct cql_statement *statement)
{
    return statement->kind;
}

const char *cqli_statement_name(enum cql_statement_kind kind)
{
    static const char *const names[] = {
        [CQL_CREATE_KEYSPACE] = "CREATE KEYSPACE",
        [CQL_ALTER_KEYSPACE] = "ALTER KEYSPACE",
        [CQL_DROP_KEYSPACE] = "DROP KEYSPACE",
        [CQL_CREATE_TABLE] = "CREATE TABLE",
        [CQL_ALTER_TABLE] = "ALTER TABLE",
        [CQL_DROP_TABLE] = "DROP TABLE",
        [CQL_CREATE_TYPE] = "CREATE TYPE",
        [CQL_ALTER_TYPE] = "ALTER TYPE",
        [CQL_DROP_TYPE] = "DROP TYPE",
        [CQL_TRUNCATE] = "TRUNCATE",
        [CQL_USE] = "USE",
        [CQL_CREATE_INDEX] = "CREATE INDEX",
        [CQL_DROP_INDEX] = "DROP INDEX",
        [CQL_SELECT] = "SELECT",
        [CQL_INSERT] = "INSERT",
        [CQL_UPDATE] = "UPDATE",
        [CQL_DELETE] = "DELETE",
        [CQL_BATCH] = "BATCH",
        [CQL_CREATE_ROLE] = "CREATE ROLE",
        [CQL_ALTER_ROLE] = "ALTER ROLE",
        [CQL_DROP_ROLE] = "DROP ROLE",
        [CQL_LIST_ROLES] = "LIST ROLES",
        [CQL_DESCRIBE] = "DESCRIBE",
        [CQL_REFUSED] = "this statement",
    };
    BASE_ASSERT((size_t)kind < BASE_COUNT(names) && names[kind]);
    return names[kind];
}

struct base_slice cql_use_keyspace(const struct cql_statement *statement)
{
    BASE_ASSERT(statement->kind == CQL_USE);
    return statement->target.name;
}

/* A BATCH ends behind its APPLY BATCH: the ';' inside are part of it. */
size_t cql_split(struct base_slice script)
{
    struct cqli_lexer lexer = {script.data, script.data + script.len};
    bool empty = true, batch = false, applied = false;
    for (;;) {
        struct cqli_token token = cqli_lex(&lexer);
        if (token.kind == CQLI_TOKEN_END)
            return empty ? 0 : script.len;
        if (token.kind == CQLI_TOKEN_BAD) /* the parser will say what is wrong with the rest */
            return script.len;
        if (token.kind == CQLI_TK_SEMI && !empty && (!batch || applied))
            return (size_t)(token.start + token.len - script.data);
        batch = batch || (empty && token.kind == CQLI_TK_BEGIN);
        applied = applied || token.kind == CQLI_TK_APPLY;
        empty = empty && token.kind == CQLI_TK_SEMI; /* a lone ';' is part of what follows */
    }
}
