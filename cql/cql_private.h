/* Shared by cql/'s files only: tokens, the parser's door, analysis helpers. */
#ifndef CQL_PRIVATE_H
#define CQL_PRIVATE_H

#include "cql/ast.h"

/* Lexer. */

/* Tokens are CQLI_TK_* of the generated grammar.h; these two are the lexer's own. */
enum { CQLI_TOKEN_END = 0, CQLI_TOKEN_BAD = -1 };

struct cqli_token {
    const uint8_t *start; /* in the text */
    size_t len;
    int kind;
    const char *fault; /* BAD: what is wrong */
};
struct cqli_lexer {
    const uint8_t *cursor, *limit;
};
/* The next token; blanks and comments are skipped. */
struct cqli_token cqli_lex(struct cqli_lexer *lexer);

/* Tokens as the grammar wants them: what needs a look around is settled here (cql/feed.c). */
struct cqli_feed {
    struct cqli_lexer lexer;
    int before, before_that; /* the kinds of the last two tokens */
    bool has_pending;
    struct cqli_token pending;
};
struct cqli_token cqli_feed_next(struct cqli_feed *feed);

/* Keywords, any case. */
struct cqli_keyword {
    const char *word; /* upper case */
    int token;        /* as the grammar knows it */
    bool reserved;    /* may not be a name unless quoted */
};
/* INVALID: "Undefined column name …" */
int cqli_undefined_column(struct base_err *err, const struct base_table *table,
                          struct base_slice name);
const struct cqli_keyword *cqli_keyword_find(struct base_slice word); /* NULL: none */
const char *cqli_token_name(int kind);                                /* for messages; NULL: none */

/* Parser. */

/* Parse options at the grammar's door: what to begin with. */
enum cqli_entry { CQLI_ENTRY_STATEMENT, CQLI_ENTRY_COLUMNS, CQLI_ENTRY_OPTIONS };

struct cqli_parse {
    struct base_arena *arena;
    struct base_slice text;
    struct cql_statement *statement; /* what the actions fill: in a BATCH, the statement at hand */
    struct cql_statement *whole;     /* what the text says */
    uint32_t bind_count;
    bool unexpected;         /* the token at hand is not what the grammar knows there */
    struct cqli_token token; /* the one just given to the grammar: where an error is */
    int rc;                  /* the first error; the grammar stops at it */
    struct base_err *err;
};
/* Parse `text` into p->statement (which must be there, empty). p->arena, text, err are the
 * caller's. */
BASE_MUST int cqli_parse(struct cqli_parse *p, enum cqli_entry entry);
/* "line L:C " and the message, once. */
void cqli_fail_at(struct cqli_parse *p, const uint8_t *at, int code, const char *fmt, ...)
    BASE_PRINTF(4, 5);

/* "SELECT", for messages. */
const char *cqli_statement_name(enum cql_statement_kind kind);

/* The generated grammar's door, in cql/grammar.y's own code. */
struct cqli_grammar;
/* in the arena; NULL when out of memory */
struct cqli_grammar *cqli_grammar_new(struct cqli_parse *p);
void cqli_grammar_feed(struct cqli_grammar *grammar, int kind, struct cqli_token token);
/* May the next token be one of this kind, for itself and not as a name? */
bool cqli_grammar_accepts(const struct cqli_grammar *grammar, int kind);
enum { CQLI_TOKEN_KINDS_MAX = 256 };
/* For the grammar alone: p->token does not fit. The message is made by the parser. */
void cqli_unexpected(struct cqli_parse *p);
/* A token that may be a name: unreserved words too. */
bool cqli_token_is_name(int kind);

/* What the grammar's actions make; p->rc becomes NOMEM when there is no memory, and NULL comes
 * back. */
struct base_slice cqli_identifier(struct cqli_parse *p, struct cqli_token token);
struct cql_term *cqli_term(struct cqli_parse *p, enum cql_term_kind kind, struct cqli_token token);
void *cqli_zalloc(struct cqli_parse *p, size_t size);
/* Terms under construction, by value. */
struct cqli_terms {
    struct cql_term *head, *tail;
    uint32_t count, depth;
};
/* term NULL: nothing is added */
void cqli_terms_add(struct cqli_terms *list, struct cql_term *term);
/* Of these items, written from `start` up to `end`. Fails when it gets too deep. */
struct cql_term *cqli_compose(struct cqli_parse *p, enum cql_term_kind kind,
                              struct cqli_terms items, const uint8_t *start, const uint8_t *end);
struct cql_term *cqli_binary(struct cqli_parse *p, char op, struct cql_term *left,
                             struct cql_term *right);
struct cql_term *cqli_column(struct cqli_parse *p, struct cqli_token name);
struct cql_term *cqli_field(struct cqli_parse *p, struct cql_term *of, struct cqli_token name);
struct cql_term *cqli_element(struct cqli_parse *p, struct cql_term *of, struct cqli_terms at,
                              bool slice, const uint8_t *end);
/* {k: v, …}: a map, or a user type's value when its keys are names. */
struct cql_term *cqli_braces(struct cqli_parse *p, struct cqli_terms entries, const uint8_t *start,
                             const uint8_t *end);
/* path(args): the path is a name or keyspace.name. */
struct cql_term *cqli_call(struct cqli_parse *p, const struct cql_term *path,
                           struct cqli_terms args, const uint8_t *end);
struct cql_term *cqli_bind(struct cqli_parse *p, const uint8_t *start, struct base_slice name,
                           const uint8_t *end);
/* What stands between the tokens is a literal: of a hint, "(type)". */
struct cql_term *cqli_hint(struct cqli_parse *p, struct cqli_token hint, struct cql_term *term);
struct cql_relation *cqli_relation(struct cqli_parse *p, enum cql_relation_left left,
                                   struct cql_name_item *columns, enum cql_operator op,
                                   const struct cql_term *value);
struct cql_name_item *cqli_name_item(struct cqli_parse *p, struct base_slice name);
/* The text of the tokens from `start` up to `end`, without comments. */
struct base_slice cqli_type_text(struct cqli_parse *p, const uint8_t *start, const uint8_t *end);

/* Describing. */

/* As Cassandra's server prints them. is_virtual: in a comment, for there is no statement that makes
 * it. internals: its id, and how columns were dropped: statements that follow the first one. */
BASE_MUST int cqli_describe_table(const struct base_table *table, bool is_virtual, bool internals,
                                  struct base_buf *out);
BASE_MUST int cqli_describe_virtual_keyspace(const struct base_keyspace *keyspace,
                                             struct base_buf *out);

/* Analysis. */

struct cqli_analysis {
    struct base_arena *arena;
    const struct cql_statement *statement;
    const struct cql_context *context;
    struct cql_ddl *out;
    struct base_err *err;
};
int cqli_no_memory(struct cqli_analysis *a);
/* The target's keyspace: named, or the session's; it exists and may be changed. */
BASE_MUST int cqli_target_keyspace(struct cqli_analysis *a, const struct base_keyspace **out);
/* A type's text, with user types of the keyspace. */
BASE_MUST int cqli_resolve_type(struct cqli_analysis *a, const struct base_keyspace *keyspace,
                                struct base_slice text, const struct base_type **out);
/* Is the name a built-in type's? Then no user type may have it. */
bool cqli_type_name_is_builtin(struct base_slice name);

/* Does the node make up the tables of this keyspace (system_views, system_virtual_schema)? */
bool cqli_keyspace_is_virtual(struct base_slice keyspace);

int cqli_analyze_type(struct cqli_analysis *a);
int cqli_analyze_table(struct cqli_analysis *a);
int cqli_analyze_index(struct cqli_analysis *a);

/* Apply WITH's properties over *options (the defaults, or the table's). `id` (may be NULL) takes
 * ID. */
BASE_MUST int cqli_table_options(struct cqli_analysis *a, const struct cql_property *properties,
                                 struct base_table_options *options, struct base_uuid *id);
BASE_MUST int cqli_keyspace_options(struct cqli_analysis *a, struct base_keyspace *keyspace,
                                    bool create);

/* Option maps (cql/option_map.c). */
struct cqli_map {
    struct base_option items[32];
    size_t count;
    const char *what; /* "compaction", for messages */
};
BASE_MUST int cqli_map_from_term(struct cqli_analysis *a, const char *what,
                                 const struct cql_term *term, struct cqli_map *map);
/* The value (data NULL: absent), which is taken out of the map. */
struct base_slice cqli_map_take(struct cqli_map *map, const char *key);
BASE_MUST int cqli_map_put(struct cqli_analysis *a, struct cqli_map *map, const char *key,
                           struct base_slice value);
/* An option as a number or a bool, taken out of the map: CONFIG if it is none, or out of range.
 * Absent is fine. */
BASE_MUST int cqli_map_check_number(struct cqli_analysis *a, struct cqli_map *map, const char *key,
                                    double min, double max, bool integer);
BASE_MUST int cqli_map_check_bool(struct cqli_analysis *a, struct cqli_map *map, const char *key,
                                  bool *out);
/* Nothing may be left over. */
BASE_MUST int cqli_map_check_rest(struct cqli_analysis *a, const struct cqli_map *map,
                                  const char *of);
BASE_MUST int cqli_compaction_options(struct cqli_analysis *a, const struct cql_term *value,
                                      struct base_options *out);
/* Sorted, in the arena. */
BASE_MUST int cqli_map_to_options(struct cqli_analysis *a, struct cqli_map *map,
                                  struct base_options *out);
/* A class name without its Java package. */
struct base_slice cqli_short_class(struct base_slice name);

/* Literals as values; false when they are not. */
bool cqli_slice_to_i64(struct base_slice text, int64_t *out);
bool cqli_slice_to_double(struct base_slice text, double *out);
bool cqli_slice_to_bool(struct base_slice text, bool *out);

/* The native protocol. */

/* cql_wire_parse_class for a type that stands `depth` deep in another. */
BASE_MUST int cqli_wire_parse_class(struct base_arena *arena, struct base_slice text,
                                    unsigned depth, const struct base_type **out,
                                    struct base_err *err);

#endif
