/* What may stand next: a small grammar by the words before, and the node's names of keyspaces,
 * tables and columns.
 *
 * 1. A table of rules, first match wins: how the tokens before the word end, and what may follow.
 * 2. Names are asked from the node when they are wanted: they are few, and never stale. */
#include "cli/shell_private.h"

#include <ctype.h>
#include <strings.h>

enum { TOKENS_MAX = 256 };

struct context {
    struct cli_shell *shell;
    struct cli_token tokens[TOKENS_MAX]; /* of the statement, before the word */
    size_t count;
    struct base_slice prefix; /* the word so far */
    struct cli_completions *out;
};

static void offer(struct context *c, struct base_slice word)
{
    struct cli_completions *out = c->out;
    size_t at = 0;
    if (word.len < c->prefix.len || out->count == CLI_COMPLETIONS_MAX ||
        strncasecmp((const char *)word.data, (const char *)c->prefix.data, c->prefix.len) != 0)
        return;
    char *text = base_arena_strdup(&out->arena, word);
    while (text && at < out->count && strcmp(out->words[at], text) < 0)
        at++;
    if (!text || (at < out->count && strcmp(out->words[at], text) == 0))
        return;
    memmove(out->words + at + 1, out->words + at, (out->count - at) * sizeof *out->words);
    out->words[at] = text;
    out->count++;
}

/* Words apart by blanks. */
static void offer_words(struct context *c, const char *words)
{
    while (*words) {
        size_t len = strcspn(words, " ");
        offer(c, base_slice(words, len));
        words += len + (words[len] == ' ');
    }
}

/* Names. */

/* An identifier as CQL needs it written, behind `suffix`. */
static void offer_name(struct context *c, struct base_slice name, const char *suffix)
{
    struct base_buf text;
    bool plain = name.len > 0 && (islower(name.data[0]) != 0);
    for (size_t i = 0; i < name.len; i++)
        plain = plain && (islower(name.data[i]) || isdigit(name.data[i]) || name.data[i] == '_');
    base_buf_init(&text, 65536);
    int rc = base_buf_printf(&text, plain ? "%.*s%s" : "\"%.*s\"%s", BASE_SLICE_ARG(name), suffix);
    if (rc == BASE_OK)
        offer(c, base_buf_view(&text));
    base_buf_fini(&text);
}

/* The first column of what a query gives, each a name. */
static void offer_query(struct context *c, const char *query, const char *suffix)
{
    struct base_arena arena;
    struct cli_cql_reply reply;
    struct cql_value cell;
    base_arena_init(&arena);
    if (!c->shell->lost && cli_cql_simple(&c->shell->cql, &arena, query, &reply, NULL) == BASE_OK &&
        reply.result.column_count == 1) {
        struct base_reader rows = base_reader(reply.result.rows);
        while (cql_next_row(&rows, &cell, 1))
            offer_name(c, cell.bytes, suffix);
    }
    base_arena_fini(&arena);
}

static void offer_keyspaces(struct context *c, const char *suffix)
{
    offer_query(c, "SELECT keyspace_name FROM system_schema.keyspaces", suffix);
    offer_query(c, "SELECT keyspace_name FROM system_virtual_schema.keyspaces", suffix);
}

static void offer_of_keyspace(struct context *c, const char *what, const char *from,
                              const char *keyspace)
{
    char query[512];
    if (strchr(keyspace, '\''))
        return;
    snprintf(query, sizeof query, "SELECT %s FROM %s WHERE keyspace_name = '%s'", what, from,
             keyspace);
    offer_query(c, query, "");
}

static void offer_tables(struct context *c, const char *keyspace)
{
    offer_of_keyspace(c, "table_name", "system_schema.tables", keyspace);
    offer_of_keyspace(c, "table_name", "system_virtual_schema.tables", keyspace);
    offer_of_keyspace(c, "view_name", "system_schema.views", keyspace);
}

/* A token as a name, into 256 bytes; false: it is none. */
static bool name_of(const struct cli_token *token, char out[256])
{
    struct base_buf text;
    base_buf_init(&text, 250);
    bool good = (token->kind == CLI_TOKEN_WORD || token->kind == CLI_TOKEN_NAME) &&
                cli_token_identifier(token, &text) == BASE_OK;
    if (good)
        memcpy(out, text.data, text.len + 1);
    base_buf_fini(&text);
    return good;
}

/* A table's place: "KEYSPACE." before the word, or a table of the keyspace in use, or a
 * keyspace. */
static void offer_table_place(struct context *c)
{
    char keyspace[256];
    if (c->count >= 2 && cli_token_is(&c->tokens[c->count - 1], ".")) {
        if (name_of(&c->tokens[c->count - 2], keyspace))
            offer_tables(c, keyspace);
        return;
    }
    if (c->shell->keyspace)
        offer_tables(c, c->shell->keyspace);
    offer_keyspaces(c, ".");
}

/* The columns of the table that the statement is about: behind FROM, INTO, UPDATE, TABLE, COPY,
 * ON. */
static bool offer_columns(struct context *c)
{
    static const char *const before[] = {"from", "into", "update", "table", "copy", "on"};
    for (size_t i = 0; i + 1 < c->count; i++) {
        bool found = false;
        char keyspace[256] = "", table[256], query[1024];
        for (size_t b = 0; b < BASE_COUNT(before); b++)
            found = found || cli_token_is(&c->tokens[i], before[b]);
        if (!found || !name_of(&c->tokens[i + 1], table))
            continue;
        if (i + 3 < c->count && cli_token_is(&c->tokens[i + 2], ".")) {
            memcpy(keyspace, table, sizeof keyspace);
            if (!name_of(&c->tokens[i + 3], table))
                continue;
        } else if (c->shell->keyspace) {
            snprintf(keyspace, sizeof keyspace, "%s", c->shell->keyspace);
        }
        if (strchr(keyspace, '\'') || strchr(table, '\''))
            return false;
        snprintf(query, sizeof query,
                 "SELECT column_name FROM system_schema.columns WHERE keyspace_name = '%s' AND "
                 "table_name = '%s'",
                 keyspace, table);
        offer_query(c, query, "");
        return true;
    }
    return false;
}

/* The grammar. */

#define TYPES                                                                                      \
    "ascii bigint blob boolean counter date decimal double duration float frozen< inet int list< " \
    "map< set< smallint text time "                                                                \
    "timestamp timeuuid tinyint tuple< uuid varchar varint vector<"
#define LEVELS "ANY ONE TWO THREE QUORUM ALL LOCAL_QUORUM EACH_QUORUM SERIAL LOCAL_SERIAL LOCAL_ONE"

enum names { NO_NAMES, KEYSPACES, TABLES, TYPES_OF_KEYSPACE, COLUMNS };
static const struct rule {
    const char *first; /* the statement's first word; NULL: any */
    const char *last;  /* the words right before, apart by blanks */
    const char *words; /* what may follow */
    enum names names;
} rules[] = {
    {NULL, "consistency", LEVELS, NO_NAMES},
    {"serial", "serial", "CONSISTENCY", NO_NAMES},
    {"tracing", "tracing", "ON OFF", NO_NAMES},
    {"expand", "expand", "ON OFF", NO_NAMES},
    {"paging", "paging", "ON OFF", NO_NAMES},
    {"capture", "capture", "OFF '", NO_NAMES},
    {"source", "source", "'", NO_NAMES},
    {"show", "show", "VERSION HOST SESSION REPLICAS", NO_NAMES},
    {"help", "help",
     "CAPTURE CLEAR CONSISTENCY COPY DESCRIBE EXIT EXPAND HELP HISTORY LOGIN PAGING SERIAL SHOW "
     "SOURCE TRACING",
     NO_NAMES},
    {NULL, "describe",
     "KEYSPACES KEYSPACE TABLES TABLE TYPES TYPE FUNCTIONS AGGREGATES INDEX CLUSTER SCHEMA FULL "
     "MATERIALIZED",
     TABLES},
    {NULL, "desc",
     "KEYSPACES KEYSPACE TABLES TABLE TYPES TYPE FUNCTIONS AGGREGATES INDEX CLUSTER SCHEMA FULL "
     "MATERIALIZED",
     TABLES},
    {NULL, "full", "SCHEMA", NO_NAMES},
    {"use", "use", "", KEYSPACES},
    {NULL, "if", "EXISTS NOT", COLUMNS},
    {NULL, "if not", "EXISTS", NO_NAMES},
    {"create", "create",
     "KEYSPACE TABLE INDEX CUSTOM TYPE ROLE USER MATERIALIZED FUNCTION AGGREGATE", NO_NAMES},
    {"create", "keyspace", "IF", NO_NAMES},
    {"create", "table", "IF", TABLES},
    {"create", "type", "IF", NO_NAMES},
    {"create", "index", "IF ON", NO_NAMES},
    {"create", "exists on", "", TABLES},
    {"create", "with",
     "replication compaction compression comment gc_grace_seconds default_time_to_live CLUSTERING "
     "caching "
     "speculative_retry bloom_filter_fp_chance PASSWORD SUPERUSER LOGIN",
     NO_NAMES},
    {"create", "clustering", "ORDER", NO_NAMES},
    {"alter", "alter", "KEYSPACE TABLE TYPE ROLE USER MATERIALIZED", NO_NAMES},
    {"drop", "drop", "KEYSPACE TABLE INDEX TYPE ROLE USER MATERIALIZED FUNCTION AGGREGATE",
     NO_NAMES},
    {NULL, "keyspace", "IF", KEYSPACES},
    {NULL, "table", "IF", TABLES},
    {NULL, "type", "IF", TYPES_OF_KEYSPACE},
    {"truncate", "truncate", "TABLE", TABLES},
    {"list", "list", "ROLES USERS PERMISSIONS", NO_NAMES},
    {"begin", "begin", "BATCH UNLOGGED COUNTER", NO_NAMES},
    {"begin", "unlogged", "BATCH", NO_NAMES},
    {NULL, "apply", "BATCH", NO_NAMES},
    {"select", "select", "* DISTINCT JSON COUNT(", COLUMNS},
    {NULL, "from", "", TABLES},
    {NULL, "into", "", TABLES},
    {"update", "update", "", TABLES},
    {"create", "on", "", TABLES},
    {"copy", "copy", "", TABLES},
    {NULL, "where", "TOKEN(", COLUMNS},
    {NULL, "and", "TOKEN(", COLUMNS},
    {NULL, "order", "BY", NO_NAMES},
    {NULL, "group", "BY", NO_NAMES},
    {NULL, "by", "", COLUMNS},
    {NULL, "set", "", COLUMNS},
    {NULL, "per", "PARTITION", NO_NAMES},
    {NULL, "partition", "LIMIT", NO_NAMES},
    {NULL, "allow", "FILTERING", NO_NAMES},
    {NULL, "using", "TTL TIMESTAMP", NO_NAMES},
    {"insert", "insert", "INTO", NO_NAMES},
    {"delete", "delete", "FROM", NO_NAMES},
};
/* Otherwise, by the statement's first word. */
static const struct {
    const char *first, *words;
    bool columns;
} follow[] = {
    {"select", "FROM WHERE AND AS IN CONTAINS KEY ORDER GROUP BY ASC DESC LIMIT PER ALLOW", true},
    {"insert", "VALUES ( JSON IF USING AND DEFAULT", true},
    {"update", "USING SET WHERE AND IF IN", true},
    {"delete", "FROM USING WHERE AND IF IN", true},
    {"begin", "BATCH INSERT UPDATE DELETE APPLY INTO VALUES SET WHERE FROM USING AND", true},
    {"copy",
     "FROM TO WITH AND STDIN STDOUT HEADER DELIMITER QUOTE ESCAPE NULL PAGESIZE MAXROWS SKIPROWS "
     "SKIPCOLS TTL REQUESTTIMEOUT PAGETIMEOUT "
     "INGESTRATE MAXPARSEERRORS MAXINSERTERRORS ERRFILE",
     true},
    {"create", "PRIMARY KEY STATIC WITH AND ASC DESC USING ON " TYPES, false},
    {"alter", "ADD DROP RENAME WITH AND TO IF " TYPES, true},
    {"truncate", "", false},
};

static bool ends_with(const struct context *c, const char *words)
{
    const char *starts[8];
    size_t n = 0;
    for (const char *w = words; *w; w += strcspn(w, " "), w += *w == ' ')
        starts[n++] = w;
    if (c->count < n)
        return false;
    for (size_t i = 0; i < n; i++) {
        char word[32];
        snprintf(word, sizeof word, "%.*s", (int)strcspn(starts[i], " "), starts[i]);
        if (!cli_token_is(&c->tokens[c->count - n + i], word))
            return false;
    }
    return true;
}

static void offer_names(struct context *c, enum names names)
{
    switch (names) {
    case NO_NAMES:
        break;
    case KEYSPACES:
        offer_keyspaces(c, "");
        break;
    case TABLES:
        offer_table_place(c);
        break;
    case TYPES_OF_KEYSPACE:
        if (c->shell->keyspace)
            offer_of_keyspace(c, "type_name", "system_schema.types", c->shell->keyspace);
        break;
    case COLUMNS:
        offer_columns(c);
        break;
    }
}

static void complete(struct context *c)
{
    if (c->count == 0) {
        offer_words(c, "SELECT INSERT UPDATE DELETE BEGIN CREATE ALTER DROP TRUNCATE USE LIST "
                       "GRANT REVOKE DESCRIBE CONSISTENCY SERIAL TRACING "
                       "PAGING EXPAND SOURCE CAPTURE SHOW COPY HELP CLEAR LOGIN HISTORY EXIT QUIT");
        return;
    }
    if (cli_token_is(&c->tokens[c->count - 1], ".")) {
        offer_table_place(c);
        return;
    }
    for (size_t i = 0; i < BASE_COUNT(rules); i++) {
        const struct rule *r = &rules[i];
        if ((!r->first || cli_token_is(&c->tokens[0], r->first)) && ends_with(c, r->last)) {
            offer_words(c, r->words);
            offer_names(c, r->names);
            return;
        }
    }
    for (size_t i = 0; i < BASE_COUNT(follow); i++) {
        if (!cli_token_is(&c->tokens[0], follow[i].first))
            continue;
        offer_words(c, follow[i].words);
        if (follow[i].columns)
            offer_columns(c);
    }
}

void cli_shell_complete(struct cli_shell *shell, struct base_slice text,
                        struct cli_completions *out)
{
    struct base_slice statement, rest = text;
    struct context *c = calloc(1, sizeof *c);
    memset(out, 0, sizeof *out);
    base_arena_init(&out->arena);
    if (!c)
        return;
    while (cli_statement_next(&rest, &statement) == CLI_STATEMENT_READY)
        ;
    c->shell = shell;
    c->out = out;
    /* The word so far: what the text ends with. */
    size_t at = rest.len;
    while (at > 0 &&
           (isalnum(rest.data[at - 1]) || rest.data[at - 1] == '_' || rest.data[at - 1] == '"'))
        at--;
    c->prefix = base_slice(rest.data + at, rest.len - at);
    struct base_slice before = base_slice(rest.data, at);
    struct cli_token token;
    bool open = false;
    while ((token = cli_token_next(&before)).kind != CLI_TOKEN_END && c->count < TOKENS_MAX) {
        c->tokens[c->count++] = token;
        open = token.kind == CLI_TOKEN_OPEN;
    }
    if (!open && c->count < TOKENS_MAX)
        complete(c);
    out->prefix_len = c->prefix.len;
    free(c);
}

void cli_completions_fini(struct cli_completions *c)
{
    base_arena_fini(&c->arena);
}
