/* CQL's grammar, for lemon. One statement a text.
 *
 * How to add a statement: its words into cql/keyword.c, a rule under `statement`, what it says into
 * cql/ast.h, its meaning into an analyze file. An action only stores; what needs the schema, or
 * judges values, is analysis.
 *
 * Unreserved keywords fall back to IDENT, as in Cassandra: they are names wherever the grammar has
 * no use for the word. Lists are left-recursive, so that a long one does not grow the stack; only
 * nested types and maps do, and the stack has a fixed size: deeper text is refused. */

%name cqli_lemon
%token_prefix CQLI_TK_
%token_type {struct cqli_token}
%default_type {struct cqli_token}
%extra_context {struct cqli_parse *p}
%stack_size 256

%include {
#include <stdio.h>

#include "cql/cql_private.h"

/* The grammar can fail only through p->rc: the caller looks at it after every token. */
#define YYNOERRORRECOVERY 1
#define YYPARSEFREENEVERNULL 1

/* A list under construction: nonterminals pass it by value. */
struct names {
    struct cql_name_item *head, *tail;
};
struct columns {
    struct cql_column_def *head, *tail;
};
struct relations {
    struct cql_relation *head, *tail;
};
struct selectors {
    struct cql_selector *head, *tail;
};
struct assignments {
    struct cql_assignment *head, *tail;
};
struct deletions {
    struct cql_deletion *head, *tail;
};
struct place { /* between brackets */
    struct cqli_terms at;
    bool slice;
};
enum { PROPERTIES_MAX = 64 };

static const char why_view[] = "there are no materialized views yet";
static const char why_function[] = "there are no user-defined functions yet";
static const char why_trigger[] = "a trigger is Java code";
static const char why_identity[] = "clients are not known by their certificates yet";
static const char why_permission[] = "there is no authorizer yet: whoever may log in may do everything";
static const char why_mask[] = "there is no dynamic data masking yet";

static void refuse(struct cqli_parse *p, const char *name, const char *why)
{
    p->statement->refused = name;
    p->statement->refused_why = why;
}

/* Where something begins and ends in the text. */
struct span {
    const uint8_t *start, *end;
};

static struct span span_of(struct cqli_token from, struct cqli_token to)
{
    return (struct span){from.start, to.start + to.len};
}

#define APPEND(list, item)                                                                         \
    do {                                                                                           \
        if ((list).tail)                                                                           \
            (list).tail->next = (item);                                                            \
        else                                                                                       \
            (list).head = (item);                                                                  \
        if (item)                                                                                  \
            (list).tail = (item);                                                                  \
    } while (0)

static struct cql_column_def *column_def(struct cqli_parse *p, struct base_slice name, struct span type)
{
    struct cql_column_def *def = cqli_zalloc(p, sizeof *def);
    if (def) {
        def->name = name;
        def->type = cqli_type_text(p, type.start, type.end);
    }
    return def;
}

static struct cql_assignment *assignment(struct cqli_parse *p, struct base_slice column, const struct cql_term *value)
{
    struct cql_assignment *made = cqli_zalloc(p, sizeof *made);
    if (made) {
        made->column = column;
        made->value = value;
    }
    return made;
}

static void index_target(struct cqli_parse *p, struct base_slice column, enum cql_index_target target)
{
    p->statement->index.column = column;
    p->statement->index.target = target;
}

static void add_property(struct cqli_parse *p, struct base_slice name, const struct cql_term *value)
{
    struct cql_property *property = cqli_zalloc(p, sizeof *property), **at = &p->statement->properties;
    if (!property)
        return;
    property->name = name;
    property->value = value;
    for (int count = 0; *at; at = &(*at)->next) {
        if (++count >= PROPERTIES_MAX) { /* and so the search below stays short */
            cqli_fail_at(p, p->token.start, BASE_E_LIMIT, "more than %d properties", PROPERTIES_MAX);
            return;
        }
        if (base_slice_equal((*at)->name, name)) {
            cqli_fail_at(p, p->token.start, BASE_E_SYNTAX, "Multiple definitions for property '%.*s'",
                         BASE_SLICE_ARG(name));
            return;
        }
    }
    *at = property;
}

static void role_option(struct cqli_parse *p, const char *name, const struct cql_term *value)
{
    add_property(p, base_slice_str(name), value);
}

static const struct cql_term *boolean(struct cqli_parse *p, struct cqli_token word, bool value)
{
    struct cql_term *term = cqli_term(p, CQL_TERM_BOOLEAN, word);
    if (term)
        term->text = base_slice_str(value ? "true" : "false");
    return term;
}

static void role_statement(struct cqli_parse *p, enum cql_statement_kind kind, bool user)
{
    unsigned passwords = 0;
    for (const struct cql_property *property = p->statement->properties; property; property = property->next)
        passwords += base_slice_equal(property->name, BASE_SLICE_LIT("password")) ||
                     base_slice_equal(property->name, BASE_SLICE_LIT("hashed password"));
    if (passwords > 1)
        cqli_fail_at(p, p->token.start, BASE_E_SYNTAX, "Options 'password' and 'hashed password' are mutually exclusive");
    p->statement->kind = kind;
    p->statement->role.user = user;
}
}

%left PLUS MINUS.
%left STAR SLASH PERCENT.
%right HINT.

%fallback IDENT ACCESS AGGREGATE AGGREGATES ALL ANN AS CALLED CIDRS CLUSTER CLUSTERING COMPACT CONTAINS CUSTOM
    DATACENTERS DEFAULT DISTINCT EXISTS FILTERING FINALFUNC FUNCTION FUNCTIONS GROUP HASHED IDENTITY INITCOND INPUT
    INTERNALS JSON KEY KEYSPACES LANGUAGE LIKE LIST LOGIN MASKED MBEAN MBEANS NOSUPERUSER ONLY OPTIONS PARTITION
    PASSWORD PER PERMISSION PERMISSIONS REPLACE RETURNS ROLE ROLES SELECT_MASKED SFUNC STATIC STORAGE STYPE SUPERUSER
    TABLES TIMESTAMP TRIGGER TTL TYPE TYPES UNMASK UNSET USER USERS VALUES.

%syntax_error {
    (void)yymajor;
    (void)TOKEN;
    cqli_unexpected(p);
}

%stack_overflow {
    cqli_fail_at(p, p->token.start, BASE_E_LIMIT, "types or terms are nested too deep");
}

input ::= statement semicolons.
/* The lexer's first token says where to begin, when it is not a statement. */
input ::= ENTRY_COLUMNS table_elements.
input ::= ENTRY_OPTIONS.
input ::= ENTRY_OPTIONS table_options.
semicolons ::= .
semicolons ::= semicolons SEMI.

/* Names. */

name(A) ::= IDENT(T). { A = T; }
name(A) ::= QUOTED_NAME(T). { A = T; }
%type ident {struct base_slice}
ident(A) ::= name(T). { A = cqli_identifier(p, T); }

target ::= ident(N). { p->statement->target.name = N; }
target ::= ident(K) DOT ident(N). {
    p->statement->target.keyspace = K;
    p->statement->target.name = N;
}
keyspace_target ::= ident(N). { p->statement->target.name = N; }

if_exists ::= .
if_exists ::= IF EXISTS. { p->statement->conditional = true; }
if_not_exists ::= .
if_not_exists ::= IF NOT EXISTS. { p->statement->conditional = true; }
alter_if_exists ::= .
alter_if_exists ::= IF EXISTS. { p->statement->alter_conditional = true; }
alter_if_not_exists ::= .
alter_if_not_exists ::= IF NOT EXISTS. { p->statement->alter_conditional = true; }

keyspace_word ::= KEYSPACE.
keyspace_word ::= SCHEMA.

/* Keyspaces. */

statement ::= CREATE keyspace_word if_not_exists keyspace_target WITH properties. {
    p->statement->kind = CQL_CREATE_KEYSPACE;
}
statement ::= ALTER keyspace_word if_exists keyspace_target WITH properties. {
    p->statement->kind = CQL_ALTER_KEYSPACE;
}
statement ::= DROP keyspace_word if_exists keyspace_target. { p->statement->kind = CQL_DROP_KEYSPACE; }
statement ::= USE keyspace_target. { p->statement->kind = CQL_USE; }

/* Tables. */

statement ::= CREATE TABLE if_not_exists target LP table_elements RP with_table_options. {
    p->statement->kind = CQL_CREATE_TABLE;
}
statement ::= DROP TABLE if_exists target. { p->statement->kind = CQL_DROP_TABLE; }
statement ::= TRUNCATE target. { p->statement->kind = CQL_TRUNCATE; }
statement ::= TRUNCATE TABLE target. { p->statement->kind = CQL_TRUNCATE; }

%type columns {struct columns}
table_elements ::= columns(C). { p->statement->columns = C.head; }
columns(A) ::= column_def(C). {
    A = (struct columns){0};
    if (C)
        APPEND(A, C);
}
columns(A) ::= primary_key. { A = (struct columns){0}; }
columns(A) ::= columns(L) COMMA column_def(C). {
    A = L;
    APPEND(A, C);
}
columns(A) ::= columns(L) COMMA primary_key. { A = L; }
columns(A) ::= columns(L) COMMA. { A = L; } /* Cassandra takes it */

%type column_def {struct cql_column_def *}
column_def(A) ::= ident(N) comparator(T) static_or_not(S) mask_or_not primary_or_not(P). {
    A = column_def(p, N, T);
    if (A) {
        A->is_static = S;
        A->is_primary_key = P;
    }
}
%type static_or_not {bool}
static_or_not(A) ::= . { A = false; }
static_or_not(A) ::= STATIC. { A = true; }
%type primary_or_not {bool}
primary_or_not(A) ::= . { A = false; }
primary_or_not(A) ::= PRIMARY KEY. { A = true; }

primary_key ::= PRIMARY KEY LP partition_key(K) RP. {
    p->statement->primary_key_count++;
    p->statement->partition_key = K.head;
}
primary_key ::= PRIMARY KEY LP partition_key(K) COMMA names(C) RP. {
    p->statement->primary_key_count++;
    p->statement->partition_key = K.head;
    p->statement->clustering = C.head;
}
%type partition_key {struct names}
partition_key(A) ::= ident(N). {
    struct cql_name_item *item = cqli_name_item(p, N);
    A = (struct names){item, item};
}
partition_key(A) ::= LP names(L) RP. { A = L; }

%type names {struct names}
names(A) ::= ident(N). {
    struct cql_name_item *item = cqli_name_item(p, N);
    A = (struct names){item, item};
}
names(A) ::= names(L) COMMA ident(N). {
    struct cql_name_item *item = cqli_name_item(p, N);
    A = L;
    APPEND(A, item);
}

with_table_options ::= .
with_table_options ::= WITH table_options.
table_options ::= table_option.
table_options ::= table_options AND table_option.
table_option ::= property.
table_option ::= COMPACT STORAGE. { p->statement->compact_storage = true; }
table_option ::= CLUSTERING ORDER BY LP orders(L) RP. { p->statement->clustering_order = L.head; }

%type orders {struct names}
%type order {struct cql_name_item *}
orders(A) ::= order(O). { A = (struct names){O, O}; }
orders(A) ::= orders(L) COMMA order(O). {
    A = L;
    APPEND(A, O);
}
order(A) ::= ident(N). { A = cqli_name_item(p, N); }
order(A) ::= ident(N) ASC. { A = cqli_name_item(p, N); }
order(A) ::= ident(N) DESC. {
    A = cqli_name_item(p, N);
    if (A)
        A->descending = true;
}

/* Altering. */

statement ::= ALTER TABLE if_exists target alteration. { p->statement->kind = CQL_ALTER_TABLE; }
statement ::= ALTER TYPE if_exists target alteration. { p->statement->kind = CQL_ALTER_TYPE; }

alteration ::= ADD alter_if_not_exists added_columns(L). {
    p->statement->alter = CQL_ALTER_ADD;
    p->statement->columns = L.head;
}
alteration ::= ADD alter_if_not_exists LP added_columns(L) RP. {
    p->statement->alter = CQL_ALTER_ADD;
    p->statement->columns = L.head;
}
alteration ::= DROP alter_if_exists names(L) using_timestamp. {
    p->statement->alter = CQL_ALTER_DROP;
    p->statement->names = L.head;
}
alteration ::= DROP alter_if_exists LP names(L) RP using_timestamp. {
    p->statement->alter = CQL_ALTER_DROP;
    p->statement->names = L.head;
}
alteration ::= RENAME alter_if_exists renames(L). {
    p->statement->alter = CQL_ALTER_RENAME;
    p->statement->names = L.head;
}
alteration ::= WITH properties. { p->statement->alter = CQL_ALTER_WITH; }
alteration ::= ALTER alter_if_exists ident(N) TYPE comparator. {
    p->statement->alter = CQL_ALTER_COLUMN_TYPE;
    p->statement->names = cqli_name_item(p, N);
}

%type added_columns {struct columns}
added_columns(A) ::= added_column(C). { A = (struct columns){C, C}; }
added_columns(A) ::= added_columns(L) COMMA added_column(C). {
    A = L;
    APPEND(A, C);
}
%type added_column {struct cql_column_def *}
added_column(A) ::= ident(N) comparator(T) static_or_not(S) mask_or_not. {
    A = column_def(p, N, T);
    if (A)
        A->is_static = S;
}

using_timestamp ::= .
using_timestamp ::= USING TIMESTAMP INTEGER(T). { p->statement->timestamp = base_slice(T.start, T.len); }

%type renames {struct names}
%type rename {struct cql_name_item *}
renames(A) ::= rename(R). { A = (struct names){R, R}; }
renames(A) ::= renames(L) AND rename(R). {
    A = L;
    APPEND(A, R);
}
rename(A) ::= ident(N) TO ident(O). {
    A = cqli_name_item(p, N);
    if (A)
        A->other = O;
}

/* Types. */

statement ::= CREATE TYPE if_not_exists target LP fields(L) RP. {
    p->statement->kind = CQL_CREATE_TYPE;
    p->statement->columns = L.head;
}
statement ::= DROP TYPE if_exists target. { p->statement->kind = CQL_DROP_TYPE; }

%type fields {struct columns}
fields(A) ::= ident(N) comparator(T). {
    struct cql_column_def *def = column_def(p, N, T);
    A = (struct columns){def, def};
}
fields(A) ::= fields(L) COMMA ident(N) comparator(T). {
    struct cql_column_def *def = column_def(p, N, T);
    A = L;
    APPEND(A, def);
}

/* Only where a type begins and ends is found here: base_type_parse reads it. */
%type comparator {struct span}
%type type_word {struct span}
comparator(A) ::= type_word(W). { A = W; }
comparator(A) ::= type_word(W) LT type_params GT(E). { A = (struct span){W.start, E.start + E.len}; }
comparator(A) ::= IDENT(K) DOT type_word(W). { A = (struct span){K.start, W.end}; }
comparator(A) ::= QUOTED_NAME(K) DOT type_word(W). { A = (struct span){K.start, W.end}; }
comparator(A) ::= STRING(S). { A = span_of(S, S); }
comparator(A) ::= IDENT(W) LP INTEGER RP(E). {
    A = span_of(W, E);
    cqli_fail_at(p, W.start, BASE_E_SYNTAX, "CQL types have no length: write %.*s", (int)W.len, (const char *)W.start);
}
type_word(A) ::= IDENT(W). { A = span_of(W, W); }
type_word(A) ::= QUOTED_NAME(W). { A = span_of(W, W); }
type_word(A) ::= SET(W). { A = span_of(W, W); }
type_params ::= type_param.
type_params ::= type_params COMMA type_param.
type_param ::= comparator.
type_param ::= INTEGER.

/* Properties, literals. */

properties ::= property.
properties ::= properties AND property.
property ::= ident(N) EQ value(V). { add_property(p, N, V); }

%type literal {struct cql_term *}
literal(A) ::= STRING(T). { A = cqli_term(p, CQL_TERM_STRING, T); }
literal(A) ::= INTEGER(T). { A = cqli_term(p, CQL_TERM_INTEGER, T); }
literal(A) ::= FLOAT(T). { A = cqli_term(p, CQL_TERM_FLOAT, T); }
literal(A) ::= NAN(T). { A = cqli_term(p, CQL_TERM_FLOAT, T); }
literal(A) ::= INFINITY(T). { A = cqli_term(p, CQL_TERM_FLOAT, T); }
literal(A) ::= BOOLEAN(T). { A = cqli_term(p, CQL_TERM_BOOLEAN, T); }
literal(A) ::= DURATION(T). { A = cqli_term(p, CQL_TERM_DURATION, T); }
literal(A) ::= UUID(T). { A = cqli_term(p, CQL_TERM_UUID, T); }
literal(A) ::= BLOB(T). { A = cqli_term(p, CQL_TERM_BLOB, T); }

/* A property's value. */
%type value {struct cql_term *}
value(A) ::= literal(T). { A = T; }
value(A) ::= IDENT(T). { A = cqli_term(p, CQL_TERM_WORD, T); }
value(A) ::= map(M). { A = M; }
value(A) ::= QMARK(T). {
    A = NULL;
    cqli_fail_at(p, T.start, BASE_E_SYNTAX, "bind variables are not supported in DDL queries");
}

%type map {struct cql_term *}
map(A) ::= LB(T) RB(E). { A = cqli_compose(p, CQL_TERM_MAP, (struct cqli_terms){0}, T.start, E.start + E.len); }
map(A) ::= LB(T) value_entries(L) RB(E). { A = cqli_compose(p, CQL_TERM_MAP, L, T.start, E.start + E.len); }
%type value_entries {struct cqli_terms}
value_entries(A) ::= value(K) COLON value(V). {
    A = (struct cqli_terms){0};
    cqli_terms_add(&A, K);
    cqli_terms_add(&A, V);
}
value_entries(A) ::= value_entries(L) COMMA value(K) COLON value(V). {
    A = L;
    cqli_terms_add(&A, K);
    cqli_terms_add(&A, V);
}

%code {
struct cqli_grammar {
    struct yyParser parser;
};

struct cqli_grammar *cqli_grammar_new(struct cqli_parse *p)
{
    struct cqli_grammar *grammar = base_arena_alloc(p->arena, sizeof *grammar);
    if (grammar)
        cqli_lemonInit(&grammar->parser, p);
    return grammar;
}

/* Without fallback: a word that could stand only as a name is not accepted for itself. */
static unsigned action_of(unsigned state, int kind)
{
    if (state > YY_MAX_SHIFT) /* a reduction that waits for the next token */
        return state;
    int at = (int)yy_shift_ofst[state] + kind;
    return at >= 0 && at < (int)YY_NLOOKAHEAD && yy_lookahead[at] == kind ? yy_action[at] : yy_default[state];
}

bool cqli_grammar_accepts(const struct cqli_grammar *grammar, int kind)
{
    YYACTIONTYPE states[YYSTACKDEPTH + 1];
    size_t depth = (size_t)(grammar->parser.yytos - grammar->parser.yystack) + 1;
    for (size_t i = 0; i < depth; i++)
        states[i] = grammar->parser.yystack[i].stateno;
    for (;;) {
        unsigned action = action_of(states[depth - 1], kind);
        if (action < YY_MIN_REDUCE)
            return action <= YY_MAX_SHIFTREDUCE || action == YY_ACCEPT_ACTION;
        unsigned rule = action - YY_MIN_REDUCE;
        BASE_ASSERT((size_t)-yyRuleInfoNRhs[rule] < depth);
        depth -= (size_t)-yyRuleInfoNRhs[rule];
        if (depth == BASE_COUNT(states))
            return false;
        states[depth] = yy_find_reduce_action(states[depth - 1], (YYCODETYPE)yyRuleInfoLhs[rule]);
        depth++;
    }
}

bool cqli_token_is_name(int kind)
{
    return kind == CQLI_TK_IDENT || kind == CQLI_TK_QUOTED_NAME ||
           (kind > 0 && (size_t)kind < BASE_COUNT(yyFallback) && yyFallback[kind] == CQLI_TK_IDENT);
}

void cqli_grammar_feed(struct cqli_grammar *grammar, int kind, struct cqli_token token)
{
    cqli_lemon(&grammar->parser, kind, token);
}
}
