/* CQL's keywords, those of Cassandra 5, in one sorted table: lexer, messages and quoting use it.
 *
 * A reserved word is a name only in quotes. An unreserved one is a name wherever the grammar has no
 * use for the word: it is in the grammar's %fallback too. */
#include "cql/cql_private.h"
#include "cql/grammar.h"

#define RESERVED(word)                                                                             \
    {                                                                                              \
#word, CQLI_TK_##word, true                                                                \
    }
#define UNRESERVED(word)                                                                           \
    {                                                                                              \
#word, CQLI_TK_##word, false                                                               \
    }

static const struct cqli_keyword keywords[] = {
    UNRESERVED(ACCESS),
    RESERVED(ADD),
    UNRESERVED(AGGREGATE),
    UNRESERVED(AGGREGATES),
    UNRESERVED(ALL),
    RESERVED(ALLOW),
    RESERVED(ALTER),
    RESERVED(AND),
    UNRESERVED(ANN),
    RESERVED(APPLY),
    UNRESERVED(AS),
    RESERVED(ASC),
    RESERVED(AUTHORIZE),
    RESERVED(BATCH),
    RESERVED(BEGIN),
    RESERVED(BY),
    UNRESERVED(CALLED),
    UNRESERVED(CIDRS),
    UNRESERVED(CLUSTER),
    UNRESERVED(CLUSTERING),
    {"COLUMNFAMILIES", CQLI_TK_TABLES, false},
    {"COLUMNFAMILY", CQLI_TK_TABLE, true},
    UNRESERVED(COMPACT),
    UNRESERVED(CONTAINS),
    RESERVED(CREATE),
    UNRESERVED(CUSTOM),
    UNRESERVED(DATACENTERS),
    UNRESERVED(DEFAULT),
    RESERVED(DELETE),
    RESERVED(DESC),
    RESERVED(DESCRIBE),
    UNRESERVED(DISTINCT),
    RESERVED(DROP),
    RESERVED(ENTRIES),
    RESERVED(EXECUTE),
    UNRESERVED(EXISTS),
    UNRESERVED(FILTERING),
    UNRESERVED(FINALFUNC),
    RESERVED(FROM),
    RESERVED(FULL),
    UNRESERVED(FUNCTION),
    UNRESERVED(FUNCTIONS),
    RESERVED(GRANT),
    UNRESERVED(GROUP),
    UNRESERVED(HASHED),
    UNRESERVED(IDENTITY),
    RESERVED(IF),
    RESERVED(IN),
    RESERVED(INDEX),
    RESERVED(INFINITY),
    UNRESERVED(INITCOND),
    UNRESERVED(INPUT),
    RESERVED(INSERT),
    UNRESERVED(INTERNALS),
    RESERVED(INTO),
    RESERVED(IS),
    UNRESERVED(JSON),
    UNRESERVED(KEY),
    RESERVED(KEYSPACE),
    UNRESERVED(KEYSPACES),
    UNRESERVED(LANGUAGE),
    UNRESERVED(LIKE),
    RESERVED(LIMIT),
    UNRESERVED(LIST),
    UNRESERVED(LOGIN),
    UNRESERVED(MASKED),
    RESERVED(MATERIALIZED),
    UNRESERVED(MBEAN),
    UNRESERVED(MBEANS),
    RESERVED(MODIFY),
    RESERVED(NAN),
    RESERVED(NORECURSIVE),
    UNRESERVED(NOSUPERUSER),
    RESERVED(NOT),
    RESERVED(NULL),
    RESERVED(OF),
    RESERVED(ON),
    UNRESERVED(ONLY),
    UNRESERVED(OPTIONS),
    RESERVED(OR),
    RESERVED(ORDER),
    UNRESERVED(PARTITION),
    UNRESERVED(PASSWORD),
    UNRESERVED(PER),
    UNRESERVED(PERMISSION),
    UNRESERVED(PERMISSIONS),
    RESERVED(PRIMARY),
    RESERVED(RENAME),
    UNRESERVED(REPLACE),
    UNRESERVED(RETURNS),
    RESERVED(REVOKE),
    UNRESERVED(ROLE),
    UNRESERVED(ROLES),
    RESERVED(SCHEMA),
    RESERVED(SELECT),
    UNRESERVED(SELECT_MASKED),
    RESERVED(SET),
    UNRESERVED(SFUNC),
    UNRESERVED(STATIC),
    UNRESERVED(STORAGE),
    UNRESERVED(STYPE),
    UNRESERVED(SUPERUSER),
    RESERVED(TABLE),
    UNRESERVED(TABLES),
    UNRESERVED(TIMESTAMP),
    RESERVED(TO),
    RESERVED(TOKEN),
    UNRESERVED(TRIGGER),
    RESERVED(TRUNCATE),
    UNRESERVED(TTL),
    UNRESERVED(TYPE),
    UNRESERVED(TYPES),
    RESERVED(UNLOGGED),
    UNRESERVED(UNMASK),
    UNRESERVED(UNSET),
    RESERVED(UPDATE),
    RESERVED(USE),
    UNRESERVED(USER),
    UNRESERVED(USERS),
    RESERVED(USING),
    UNRESERVED(VALUES),
    RESERVED(VIEW),
    RESERVED(WHERE),
    RESERVED(WITH),
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
    for (size_t i = BASE_COUNT(keywords); i-- > 0;) /* from the end: TABLE before COLUMNFAMILY */
        if (keywords[i].token == kind)
            return keywords[i].word;
    return NULL;
}
