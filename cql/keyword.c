/* CQL's keywords, those of Cassandra 5, in one sorted table: lexer, messages and quoting use it.
 *
 * A reserved word is a name only in quotes. Words that the grammar has no rule for yet are plain names
 * (IDENT) when unreserved and RESERVED when reserved, so that no table made today has a column
 * that tomorrow's grammar cannot read. */
#include "cql/cql_private.h"
#include "cql/grammar.h"

#define USED(word) {#word, CQLI_TK_##word, true}
#define FREE(word) {#word, CQLI_TK_##word, false}
#define RESERVED_ONLY(word) {#word, CQLI_TK_RESERVED, true}

static const struct cqli_keyword keywords[] = {
    USED(ADD),
    USED(ALLOW),
    USED(ALTER),
    USED(AND),
    FREE(ANN),
    USED(APPLY),
    FREE(AS),
    USED(ASC),
    RESERVED_ONLY(AUTHORIZE),
    USED(BATCH),
    USED(BEGIN),
    USED(BY),
    FREE(CLUSTERING),
    {"COLUMNFAMILY", CQLI_TK_TABLE, true},
    FREE(COMPACT),
    FREE(CONTAINS),
    USED(CREATE),
    FREE(DEFAULT),
    USED(DELETE),
    USED(DESC),
    RESERVED_ONLY(DESCRIBE),
    FREE(DISTINCT),
    USED(DROP),
    RESERVED_ONLY(ENTRIES),
    RESERVED_ONLY(EXECUTE),
    FREE(EXISTS),
    FREE(FILTERING),
    USED(FROM),
    RESERVED_ONLY(FULL),
    RESERVED_ONLY(GRANT),
    FREE(GROUP),
    USED(IF),
    USED(IN),
    RESERVED_ONLY(INDEX),
    USED(INFINITY),
    USED(INSERT),
    USED(INTO),
    USED(IS),
    FREE(JSON),
    FREE(KEY),
    USED(KEYSPACE),
    FREE(LIKE),
    USED(LIMIT),
    RESERVED_ONLY(MATERIALIZED),
    RESERVED_ONLY(MODIFY),
    USED(NAN),
    RESERVED_ONLY(NORECURSIVE),
    USED(NOT),
    USED(NULL),
    USED(OF),
    RESERVED_ONLY(ON),
    RESERVED_ONLY(OR),
    USED(ORDER),
    FREE(PARTITION),
    FREE(PER),
    USED(PRIMARY),
    USED(RENAME),
    RESERVED_ONLY(REVOKE),
    USED(SCHEMA),
    USED(SELECT),
    USED(SET),
    FREE(STATIC),
    FREE(STORAGE),
    USED(TABLE),
    FREE(TIMESTAMP),
    USED(TO),
    USED(TOKEN),
    USED(TRUNCATE),
    FREE(TTL),
    FREE(TYPE),
    USED(UNLOGGED),
    FREE(UNSET),
    USED(UPDATE),
    USED(USE),
    USED(USING),
    FREE(VALUES),
    RESERVED_ONLY(VIEW),
    USED(WHERE),
    USED(WITH),
};

enum { WORD_LEN_MAX = 16 };

const struct cqli_keyword *cqli_keyword_find(struct base_slice word)
{
    char upper[WORD_LEN_MAX];
    if (word.len >= sizeof upper)
        return NULL;
    for (size_t i = 0; i < word.len; i++) {
        uint8_t c = word.data[i];
        upper[i] = (char)(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
    }
    upper[word.len] = 0;
    size_t low = 0, high = BASE_COUNT(keywords);
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int c = strcmp(keywords[mid].word, upper);
        if (c == 0)
            return &keywords[mid];
        if (c < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

static const struct {
    int kind;
    const char *name;
} others[] = {
    {CQLI_TOKEN_END, "the end"},
    {CQLI_TK_IDENT, "a name"},
    {CQLI_TK_QUOTED_NAME, "a quoted name"},
    {CQLI_TK_STRING, "a string"},
    {CQLI_TK_INTEGER, "an integer"},
    {CQLI_TK_FLOAT, "a number"},
    {CQLI_TK_BOOLEAN, "true or false"},
    {CQLI_TK_DURATION, "a duration"},
    {CQLI_TK_UUID, "a uuid"},
    {CQLI_TK_BLOB, "a blob"},
    {CQLI_TK_LP, "'('"},
    {CQLI_TK_RP, "')'"},
    {CQLI_TK_LB, "'{'"},
    {CQLI_TK_RB, "'}'"},
    {CQLI_TK_LT, "'<'"},
    {CQLI_TK_GT, "'>'"},
    {CQLI_TK_COMMA, "','"},
    {CQLI_TK_SEMI, "';'"},
    {CQLI_TK_COLON, "':'"},
    {CQLI_TK_DOT, "'.'"},
    {CQLI_TK_EQ, "'='"},
    {CQLI_TK_NE, "'!='"},
    {CQLI_TK_LE, "'<='"},
    {CQLI_TK_GE, "'>='"},
    {CQLI_TK_LS, "'['"},
    {CQLI_TK_RS, "']'"},
    {CQLI_TK_QMARK, "'?'"},
    {CQLI_TK_PLUS, "'+'"},
    {CQLI_TK_MINUS, "'-'"},
    {CQLI_TK_STAR, "'*'"},
    {CQLI_TK_SLASH, "'/'"},
    {CQLI_TK_PERCENT, "'%'"},
    {CQLI_TK_PLUS_EQ, "'+='"},
    {CQLI_TK_MINUS_EQ, "'-='"},
    {CQLI_TK_RANGE, "'..'"},
    {CQLI_TK_HINT, "a type hint"},
};

const char *cqli_token_name(int kind)
{
    for (size_t i = 0; i < BASE_COUNT(others); i++)
        if (others[i].kind == kind)
            return others[i].name;
    for (size_t i = 0; i < BASE_COUNT(keywords); i++)
        if (keywords[i].token == kind && keywords[i].token != CQLI_TK_RESERVED)
            return keywords[i].token == CQLI_TK_TABLE ? "TABLE" : keywords[i].word;
    return NULL; /* words without a rule yet: not to be recommended */
}
