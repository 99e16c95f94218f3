/* Tokens between lexer and grammar. Cassandra's parser backtracks; ours reads one token ahead and
 * never back. The few places where that is not enough are settled here, by a look at the tokens
 * around:
 *
 * 1. A type hint, "(int)" or "(frozen<list<int>>)" before an operand, is one token: HINT. Where no
 *    operand can begin it is none.
 * 2. "a -1" is a difference: a number's sign is a MINUS of its own where an operand has ended.
 * 3. JSON, DISTINCT, EXISTS and COMPACT are names where what follows says so: SELECT json FROM t.
 *
 * A hint is looked for from an opening parenthesis to the first token that no type has, and another
 * parenthesis is one: all looks together cost no more than two passes over the text. */
#include "cql/cql_private.h"
#include "cql/grammar.h"

/* What comes after the token at hand. */
static struct cqli_token peek(const struct cqli_feed *feed)
{
    struct cqli_lexer lexer = feed->lexer;
    return cqli_lex(&lexer);
}

/* A value as written, or a marker for one. */
static bool is_value(int kind)
{
    switch (kind) {
    case CQLI_TK_STRING:
    case CQLI_TK_INTEGER:
    case CQLI_TK_FLOAT:
    case CQLI_TK_BOOLEAN:
    case CQLI_TK_DURATION:
    case CQLI_TK_UUID:
    case CQLI_TK_BLOB:
    case CQLI_TK_NAN:
    case CQLI_TK_INFINITY:
    case CQLI_TK_NULL:
    case CQLI_TK_QMARK:
        return true;
    default:
        return false;
    }
}

/* Did an operand end with the token before? The unreserved words that introduce one are told apart
 * by what is before them. */
static bool operand_ended(const struct cqli_feed *feed)
{
    switch (feed->before) {
    case CQLI_TK_RP:
    case CQLI_TK_RS:
    case CQLI_TK_RB:
        return true;
    case CQLI_TK_TTL:
    case CQLI_TK_TIMESTAMP:
        return feed->before_that != CQLI_TK_USING && feed->before_that != CQLI_TK_AND;
    case CQLI_TK_KEY:
        return feed->before_that != CQLI_TK_CONTAINS;
    case CQLI_TK_CONTAINS:
    case CQLI_TK_LIKE: /* operators behind a name */
        return !cqli_token_is_name(feed->before_that);
    case CQLI_TK_JSON:
    case CQLI_TK_DISTINCT: /* names are settled: IDENT */
        return false;
    default:
        return is_value(feed->before) || cqli_token_is_name(feed->before);
    }
}

/* May an operand begin here? Only places where a parenthesis could be a hint's. */
static bool operand_begins(const struct cqli_feed *feed)
{
    switch (feed->before) {
    case CQLI_TK_EQ:
    case CQLI_TK_NE:
    case CQLI_TK_LT:
    case CQLI_TK_LE:
    case CQLI_TK_GT:
    case CQLI_TK_GE:
    case CQLI_TK_LP:
    case CQLI_TK_LS:
    case CQLI_TK_LB:
    case CQLI_TK_COMMA:
    case CQLI_TK_COLON:
    case CQLI_TK_PLUS:
    case CQLI_TK_MINUS:
    case CQLI_TK_STAR:
    case CQLI_TK_SLASH:
    case CQLI_TK_PERCENT:
    case CQLI_TK_RANGE:
    case CQLI_TK_PLUS_EQ:
    case CQLI_TK_MINUS_EQ:
    case CQLI_TK_SELECT:
    case CQLI_TK_DISTINCT:
    case CQLI_TK_JSON:
    case CQLI_TK_CONTAINS:
    case CQLI_TK_LIKE:
    case CQLI_TK_OF:
    case CQLI_TK_HINT:
    case CQLI_TK_BY:
        return true;
    case CQLI_TK_KEY:
        return feed->before_that == CQLI_TK_CONTAINS;
    default:
        return false;
    }
}

/* Can an operand begin with it, right behind a closing parenthesis? AS, VALUES, GROUP and PER go on
 * with the statement there. */
static bool begins_operand(int kind)
{
    switch (kind) {
    case CQLI_TK_COLON:
    case CQLI_TK_LP:
    case CQLI_TK_LS:
    case CQLI_TK_LB:
    case CQLI_TK_TOKEN:
        return true;
    case CQLI_TK_AS:
    case CQLI_TK_VALUES:
    case CQLI_TK_GROUP:
    case CQLI_TK_PER:
        return false;
    default:
        return is_value(kind) || cqli_token_is_name(kind);
    }
}

/* Behind '(': a type and ')'? Then *end is behind it. *certain: nothing but a type is written
 * so. */
static bool type_follows(struct cqli_lexer lexer, const uint8_t **end, bool *certain, int *then)
{
    int before = CQLI_TK_LP;
    size_t depth = 0;
    for (*certain = false;;) {
        struct cqli_token t = cqli_lex(&lexer);
        bool name = before == CQLI_TK_IDENT;
        bool is_name = cqli_token_is_name(t.kind) || t.kind == CQLI_TK_SET;
        if (is_name && !name && before != CQLI_TK_GT && before != CQLI_TK_INTEGER) {
            before = CQLI_TK_IDENT;
            continue;
        }
        if (t.kind == CQLI_TK_LT && name) {
            depth++;
            *certain = true;
        } else if (t.kind == CQLI_TK_GT && depth &&
                   (name || before == CQLI_TK_GT || before == CQLI_TK_INTEGER)) {
            depth--;
        } else if (t.kind == CQLI_TK_RP && !depth && (name || before == CQLI_TK_GT)) {
            *end = t.start + t.len;
            *then = cqli_lex(&lexer).kind;
            return true;
        } else if (!(t.kind == CQLI_TK_DOT && name) &&
                   !(t.kind == CQLI_TK_COMMA && depth && before != CQLI_TK_LT) &&
                   !(t.kind == CQLI_TK_INTEGER && before == CQLI_TK_COMMA && depth)) {
            return false;
        }
        before = t.kind;
    }
}

static struct cqli_token parenthesis(struct cqli_feed *feed, struct cqli_token token)
{
    const uint8_t *end;
    bool certain;
    int then;
    if (!operand_begins(feed) || !type_follows(feed->lexer, &end, &certain, &then) ||
        !(certain || begins_operand(then)))
        return token;
    feed->lexer.cursor = end;
    token.kind = CQLI_TK_HINT;
    token.len = (size_t)(end - token.start);
    return token;
}

/* "-1" after an operand: '-' now, the number next. */
static struct cqli_token difference(struct cqli_feed *feed, struct cqli_token token)
{
    if (token.start[0] != '-' || !operand_ended(feed))
        return token;
    feed->has_pending = true;
    feed->pending = (struct cqli_token){token.start + 1, token.len - 1, token.kind, NULL};
    return (struct cqli_token){token.start, 1, CQLI_TK_MINUS, NULL};
}

/* Behind "[": a slice of a column, json[1..2]? Else a list (of what is selected as JSON), as
 * Cassandra takes even json[1]. */
static bool is_slice(struct cqli_lexer lexer)
{
    for (;;) {
        int kind = cqli_lex(&lexer).kind;
        if (kind == CQLI_TK_RANGE)
            return true;
        if (kind <= 0 || kind == CQLI_TK_RS || kind == CQLI_TK_COMMA || kind == CQLI_TK_FROM)
            return false;
    }
}

/* SELECT json, SELECT json FROM, SELECT json.a, SELECT a + json …: a column. */
static bool is_column_in_select(const struct cqli_feed *feed)
{
    struct cqli_lexer lexer = feed->lexer;
    int next = cqli_lex(&lexer).kind;
    if (feed->before != CQLI_TK_SELECT &&
        feed->before != CQLI_TK_JSON) /* INSERT INTO distinct JSON '{}' */
        return operand_begins(feed) && next != CQLI_TK_STRING && next != CQLI_TK_QMARK &&
               next != CQLI_TK_COLON;
    switch (next) {
    case CQLI_TK_COMMA:
    case CQLI_TK_FROM:
    case CQLI_TK_DOT:
    case CQLI_TK_PLUS:
    case CQLI_TK_MINUS:
    case CQLI_TK_SLASH:
    case CQLI_TK_PERCENT:
        return true;
    case CQLI_TK_LS:
        return is_slice(lexer);
    case CQLI_TK_AS: /* a name behind it: its alias; else a column named "as" */
        return cqli_token_is_name(cqli_lex(&lexer).kind);
    default:
        return false;
    }
}

/* IF exists = …, IF exists IN …: a column. */
static bool is_column_in_condition(const struct cqli_feed *feed)
{
    switch (peek(feed).kind) {
    case CQLI_TK_EQ:
    case CQLI_TK_NE:
    case CQLI_TK_LT:
    case CQLI_TK_LE:
    case CQLI_TK_GT:
    case CQLI_TK_GE:
    case CQLI_TK_IN:
    case CQLI_TK_CONTAINS:
    case CQLI_TK_DOT:
    case CQLI_TK_LS:
        return feed->before == CQLI_TK_IF;
    default:
        return false;
    }
}

static struct cqli_token settle(struct cqli_feed *feed, struct cqli_token token)
{
    switch (token.kind) {
    case CQLI_TK_LP:
        return parenthesis(feed, token);
    case CQLI_TK_INTEGER:
    case CQLI_TK_FLOAT:
    case CQLI_TK_DURATION:
    case CQLI_TK_NAN:
    case CQLI_TK_INFINITY:
        return difference(feed, token);
    case CQLI_TK_JSON:
    case CQLI_TK_DISTINCT:
        if (is_column_in_select(feed))
            token.kind = CQLI_TK_IDENT;
        return token;
    case CQLI_TK_EXISTS:
        if (is_column_in_condition(feed))
            token.kind = CQLI_TK_IDENT;
        return token;
    case CQLI_TK_COMPACT: /* ALTER TABLE t DROP compact */
        if (feed->before == CQLI_TK_DROP && peek(feed).kind != CQLI_TK_STORAGE)
            token.kind = CQLI_TK_IDENT;
        return token;
    default:
        return token;
    }
}

struct cqli_token cqli_feed_next(struct cqli_feed *feed)
{
    struct cqli_token token = feed->pending;
    if (!feed->has_pending)
        token = settle(feed, cqli_lex(&feed->lexer));
    else
        feed->has_pending = false;
    /* the pending number is set by settle(): it follows this token */
    feed->before_that = feed->before;
    feed->before = token.kind;
    return token;
}
