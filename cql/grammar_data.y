/* Terms, conditions, SELECT, INSERT, UPDATE, DELETE, BATCH. Lemon reads it behind grammar.y, as one
 * with it. */

/* Terms. */

%type term {struct cql_term *}
%type operand {struct cql_term *}
term(A) ::= operand(T). { A = T; }
term(A) ::= term(L) PLUS term(R). { A = cqli_binary(p, '+', L, R); }
term(A) ::= term(L) MINUS term(R). { A = cqli_binary(p, '-', L, R); }
term(A) ::= term(L) STAR term(R). { A = cqli_binary(p, '*', L, R); }
term(A) ::= term(L) SLASH term(R). { A = cqli_binary(p, '/', L, R); }
term(A) ::= term(L) PERCENT term(R). { A = cqli_binary(p, '%', L, R); }
term(A) ::= MINUS(T) term(X). [HINT] {
    struct cqli_terms items = {0};
    cqli_terms_add(&items, X);
    A = cqli_compose(p, CQL_TERM_NEGATE, items, T.start, X ? X->source.data + X->source.len : T.start);
}

operand(A) ::= literal(T). { A = T; }
operand(A) ::= NULL(T). { A = cqli_term(p, CQL_TERM_NULL, T); }
operand(A) ::= bind(T). { A = T; }
operand(A) ::= path(T). { A = T; }
operand(A) ::= call(T). { A = T; }
operand(A) ::= access(T). { A = T; }
operand(A) ::= LP(S) terms(L) RP(E). { A = cqli_compose(p, CQL_TERM_TUPLE, L, S.start, E.start + E.len); }
operand(A) ::= LS(S) RS(E). { A = cqli_compose(p, CQL_TERM_LIST, (struct cqli_terms){0}, S.start, E.start + E.len); }
operand(A) ::= LS(S) terms(L) RS(E). { A = cqli_compose(p, CQL_TERM_LIST, L, S.start, E.start + E.len); }
operand(A) ::= LB(S) RB(E). { A = cqli_compose(p, CQL_TERM_MAP, (struct cqli_terms){0}, S.start, E.start + E.len); }
operand(A) ::= LB(S) entries(L) RB(E). { A = cqli_braces(p, L, S.start, E.start + E.len); }
operand(A) ::= LB(S) terms(L) RB(E). { A = cqli_compose(p, CQL_TERM_SET, L, S.start, E.start + E.len); }
operand(A) ::= HINT(H) operand(T). { A = cqli_hint(p, H, T); }

%type terms {struct cqli_terms}
terms(A) ::= term(T). {
    A = (struct cqli_terms){0};
    cqli_terms_add(&A, T);
}
terms(A) ::= terms(L) COMMA term(T). {
    A = L;
    cqli_terms_add(&A, T);
}
%type entries {struct cqli_terms}
entries(A) ::= term(K) COLON term(V). {
    A = (struct cqli_terms){0};
    cqli_terms_add(&A, K);
    cqli_terms_add(&A, V);
}
entries(A) ::= entries(L) COMMA term(K) COLON term(V). {
    A = L;
    cqli_terms_add(&A, K);
    cqli_terms_add(&A, V);
}

%type bind {struct cql_term *}
bind(A) ::= QMARK(T). { A = cqli_bind(p, T.start, (struct base_slice){0}, T.start + T.len); }
bind(A) ::= COLON(T) name(N). { A = cqli_bind(p, T.start, cqli_identifier(p, N), N.start + N.len); }

/* a, a.b, a.b.c: a column and its fields, or a function's name: what follows says. */
%type path {struct cql_term *}
path(A) ::= name(N). { A = cqli_column(p, N); }
path(A) ::= path(P) DOT name(N). { A = cqli_field(p, P, N); }

%type call {struct cql_term *}
call(A) ::= path(P) LP RP(E). { A = cqli_call(p, P, (struct cqli_terms){0}, E.start + E.len); }
call(A) ::= path(P) LP terms(L) RP(E). { A = cqli_call(p, P, L, E.start + E.len); }
call(A) ::= path(P) LP STAR(S) RP(E). {
    struct cqli_terms args = {0};
    cqli_terms_add(&args, cqli_term(p, CQL_TERM_STAR, S));
    A = cqli_call(p, P, args, E.start + E.len);
}
call(A) ::= TOKEN(T) LP terms(L) RP(E). { A = cqli_call(p, cqli_column(p, T), L, E.start + E.len); }
call(A) ::= path(P) LP term(X) AS comparator(C) RP(E). {
    struct cqli_terms items = {0};
    cqli_terms_add(&items, X);
    A = NULL;
    if (P && (P->kind != CQL_TERM_COLUMN || !base_slice_equal(P->text, BASE_SLICE_LIT("cast"))))
        cqli_fail_at(p, P->source.data, BASE_E_SYNTAX, "AS stands only in CAST(… AS type)");
    else if (P)
        A = cqli_compose(p, CQL_TERM_CAST, items, P->source.data, E.start + E.len);
    if (A)
        A->text = cqli_type_text(p, C.start, C.end);
}

%type access {struct cql_term *}
access(A) ::= path(P) LS place(S) RS(E). { A = cqli_element(p, P, S.at, S.slice, E.start + E.len); }
access(A) ::= call(P) LS place(S) RS(E). { A = cqli_element(p, P, S.at, S.slice, E.start + E.len); }
access(A) ::= access(P) LS place(S) RS(E). { A = cqli_element(p, P, S.at, S.slice, E.start + E.len); }
access(A) ::= call(P) DOT name(N). { A = cqli_field(p, P, N); }
access(A) ::= access(P) DOT name(N). { A = cqli_field(p, P, N); }
%type place {struct place}
place(A) ::= term(T). {
    A = (struct place){0};
    cqli_terms_add(&A.at, T);
}
place(A) ::= from(F) RANGE to(T). {
    A = (struct place){.slice = true};
    if (F && T && F->source.len + T->source.len == 0)
        cqli_fail_at(p, F->source.data, BASE_E_SYNTAX, "a slice needs a bound: [from ..], [.. to] or [from .. to]");
    cqli_terms_add(&A.at, F);
    cqli_terms_add(&A.at, T);
}
%type from {struct cql_term *}
%type to {struct cql_term *}
from(A) ::= . { A = cqli_term(p, CQL_TERM_NULL, (struct cqli_token){.start = p->token.start}); }
from(A) ::= term(T). { A = T; }
to(A) ::= . { A = cqli_term(p, CQL_TERM_NULL, (struct cqli_token){.start = p->token.start}); }
to(A) ::= term(T). { A = T; }

%type int_value {struct cql_term *}
int_value(A) ::= INTEGER(T). { A = cqli_term(p, CQL_TERM_INTEGER, T); }
int_value(A) ::= bind(T). { A = T; }

/* WHERE, IF. */

%type relop {enum cql_operator}
relop(A) ::= EQ. { A = CQL_OP_EQ; }
relop(A) ::= NE. { A = CQL_OP_NE; }
relop(A) ::= LT. { A = CQL_OP_LT; }
relop(A) ::= LE. { A = CQL_OP_LE; }
relop(A) ::= GT. { A = CQL_OP_GT; }
relop(A) ::= GE. { A = CQL_OP_GE; }
%type contains {enum cql_operator}
contains(A) ::= CONTAINS. { A = CQL_OP_CONTAINS; }
contains(A) ::= CONTAINS KEY. { A = CQL_OP_CONTAINS_KEY; }

%type in_values {struct cql_term *}
in_values(A) ::= LP(S) RP(E). { A = cqli_compose(p, CQL_TERM_TUPLE, (struct cqli_terms){0}, S.start, E.start + E.len); }
in_values(A) ::= LP(S) terms(L) RP(E). { A = cqli_compose(p, CQL_TERM_TUPLE, L, S.start, E.start + E.len); }
in_values(A) ::= bind(T). { A = T; }

where ::= .
where ::= where_some.
where_some ::= WHERE relations(R). { p->statement->where = R.head; }
%type relations {struct relations}
relations(A) ::= relation(R). { A = (struct relations){R, R}; }
relations(A) ::= relations(L) AND relation(R). {
    A = L;
    APPEND(A, R);
}

/* What WHERE and IF have in common. */
%type compared {struct cql_relation *}
compared(A) ::= ident(C) relop(O) term(V). {
    A = cqli_relation(p, CQL_LEFT_COLUMN, cqli_name_item(p, C), O, V);
}
compared(A) ::= ident(C) contains(O) term(V). {
    A = cqli_relation(p, CQL_LEFT_COLUMN, cqli_name_item(p, C), O, V);
}
compared(A) ::= ident(C) IN in_values(V). {
    A = cqli_relation(p, CQL_LEFT_COLUMN, cqli_name_item(p, C), CQL_OP_IN, V);
}
compared(A) ::= ident(C) LS term(K) RS relop(O) term(V). {
    A = cqli_relation(p, CQL_LEFT_ELEMENT, cqli_name_item(p, C), O, V);
    if (A)
        A->element = K;
}

%type relation {struct cql_relation *}
relation(A) ::= compared(R). { A = R; }
relation(A) ::= ident(C) LIKE term(V). {
    A = cqli_relation(p, CQL_LEFT_COLUMN, cqli_name_item(p, C), CQL_OP_LIKE, V);
}
relation(A) ::= ident(C) IS NOT NULL. {
    A = cqli_relation(p, CQL_LEFT_COLUMN, cqli_name_item(p, C), CQL_OP_IS_NOT_NULL, NULL);
}
relation(A) ::= TOKEN LP names(C) RP relop(O) term(V). { A = cqli_relation(p, CQL_LEFT_TOKEN, C.head, O, V); }
relation(A) ::= LP names(C) RP relop(O) term(V). { A = cqli_relation(p, CQL_LEFT_TUPLE, C.head, O, V); }
relation(A) ::= LP names(C) RP IN in_values(V). { A = cqli_relation(p, CQL_LEFT_TUPLE, C.head, CQL_OP_IN, V); }
relation(A) ::= LP relation(R) RP. { A = R; }
relation(A) ::= name(F) LP ident COMMA term RP. {
    A = NULL;
    if (base_slice_equal(cqli_identifier(p, F), BASE_SLICE_LIT("expr")))
        cqli_fail_at(p, F.start, BASE_E_INVALID, "expr(index, value) is for custom indexes that Ringlet does not have");
    else
        cqli_fail_at(p, F.start, BASE_E_SYNTAX, "no viable alternative at input '%.*s'", F.len > 40 ? 40 : (int)F.len,
                     (const char *)F.start);
}

%type condition {struct cql_relation *}
condition(A) ::= compared(R). { A = R; }
condition(A) ::= ident(C) LS term(K) RS IN in_values(V). {
    A = cqli_relation(p, CQL_LEFT_ELEMENT, cqli_name_item(p, C), CQL_OP_IN, V);
    if (A)
        A->element = K;
}
condition(A) ::= ident(C) DOT ident(F) relop(O) term(V). {
    A = cqli_relation(p, CQL_LEFT_FIELD, cqli_name_item(p, C), O, V);
    if (A)
        A->field = F;
}
condition(A) ::= ident(C) DOT ident(F) IN in_values(V). {
    A = cqli_relation(p, CQL_LEFT_FIELD, cqli_name_item(p, C), CQL_OP_IN, V);
    if (A)
        A->field = F;
}
%type conditions {struct relations}
conditions(A) ::= condition(R). { A = (struct relations){R, R}; }
conditions(A) ::= conditions(L) AND condition(R). {
    A = L;
    APPEND(A, R);
}

/* SELECT. */

statement ::= SELECT select_json select_distinct select_list FROM target where group_by order_by per_partition_limit limit
              allow_filtering. {
    p->statement->kind = CQL_SELECT;
}
select_json ::= .
select_json ::= JSON. { p->statement->select.json = true; }
select_distinct ::= .
select_distinct ::= DISTINCT. { p->statement->select.distinct = true; }
select_list ::= STAR. { p->statement->select.star = true; }
select_list ::= selectors(L). { p->statement->select.selectors = L.head; }
%type selectors {struct selectors}
%type selector {struct cql_selector *}
selectors(A) ::= selector(S). { A = (struct selectors){S, S}; }
selectors(A) ::= selectors(L) COMMA selector(S). {
    A = L;
    APPEND(A, S);
}
selector(A) ::= term(T). {
    A = cqli_zalloc(p, sizeof *A);
    if (A)
        A->term = T;
}
selector(A) ::= term(T) AS ident(N). {
    A = cqli_zalloc(p, sizeof *A);
    if (A) {
        A->term = T;
        A->alias = N;
    }
}

group_by ::= .
group_by ::= GROUP BY terms(L). { p->statement->select.group_by = L.head; }
order_by ::= .
order_by ::= ORDER BY select_orders(L). { p->statement->select.order_by = L.head; }
%type select_orders {struct names}
%type select_order {struct cql_name_item *}
select_orders(A) ::= select_order(O). { A = (struct names){O, O}; }
select_orders(A) ::= select_orders(L) COMMA select_order(O). {
    A = L;
    APPEND(A, O);
}
select_order(A) ::= order(O). { A = O; }
select_order(A) ::= ident(N) ANN OF term(T). {
    A = cqli_name_item(p, N);
    p->statement->select.ann_of = T;
}
select_order(A) ::= ident(N) ANN OF term(T) ASC. {
    A = cqli_name_item(p, N);
    p->statement->select.ann_of = T;
}
select_order(A) ::= ident(N) ANN OF term(T) DESC. {
    A = cqli_name_item(p, N);
    if (A)
        A->descending = true;
    p->statement->select.ann_of = T;
}
per_partition_limit ::= .
per_partition_limit ::= PER PARTITION LIMIT int_value(V). { p->statement->select.per_partition_limit = V; }
limit ::= .
limit ::= LIMIT int_value(V). { p->statement->select.limit = V; }
allow_filtering ::= .
allow_filtering ::= ALLOW FILTERING. { p->statement->select.allow_filtering = true; }

/* INSERT, UPDATE, DELETE, BATCH. */

statement ::= modification.
modification ::= INSERT INTO target LP names(C) RP VALUES LP terms(V) RP insert_rest. {
    p->statement->kind = CQL_INSERT;
    p->statement->modify.columns = C.head;
    p->statement->modify.values = V.head;
}
modification ::= INSERT INTO target JSON json_value json_default insert_rest. { p->statement->kind = CQL_INSERT; }
json_value ::= STRING(T). { p->statement->modify.json = cqli_term(p, CQL_TERM_STRING, T); }
json_value ::= bind(T). { p->statement->modify.json = T; }
json_default ::= .
json_default ::= DEFAULT NULL.
json_default ::= DEFAULT UNSET. { p->statement->modify.json_default_unset = true; }
insert_rest ::= .
insert_rest ::= if_absent.
insert_rest ::= using.
insert_rest ::= if_absent using.
insert_rest ::= using if_absent.
if_absent ::= IF NOT EXISTS. { p->statement->modify.if_not_exists = true; }

using_or_not ::= .
using_or_not ::= using.
using ::= USING using_item.
using ::= using AND using_item.
using_item ::= TTL int_value(V). { p->statement->modify.ttl = V; }
using_item ::= TIMESTAMP int_value(V). { p->statement->modify.timestamp = V; }

modification ::= UPDATE target using_or_not SET assignments(L) where_some if_clause. {
    p->statement->kind = CQL_UPDATE;
    p->statement->modify.assignments = L.head;
}
%type assignments {struct assignments}
%type assignment {struct cql_assignment *}
assignments(A) ::= assignment(S). { A = (struct assignments){S, S}; }
assignments(A) ::= assignments(L) COMMA assignment(S). {
    A = L;
    APPEND(A, S);
}
assignment(A) ::= ident(C) EQ term(V). { A = assignment(p, C, V); }
assignment(A) ::= name(C) PLUS_EQ term(V). { A = assignment(p, cqli_identifier(p, C), cqli_binary(p, '+', cqli_column(p, C), V)); }
assignment(A) ::= name(C) MINUS_EQ term(V). { A = assignment(p, cqli_identifier(p, C), cqli_binary(p, '-', cqli_column(p, C), V)); }
assignment(A) ::= ident(C) LS term(K) RS EQ term(V). {
    A = assignment(p, C, V);
    if (A)
        A->element = K;
}
assignment(A) ::= ident(C) DOT ident(F) EQ term(V). {
    A = assignment(p, C, V);
    if (A)
        A->field = F;
}

modification ::= DELETE deletions_or_not FROM target delete_using where_some if_clause. { p->statement->kind = CQL_DELETE; }
delete_using ::= .
delete_using ::= USING TIMESTAMP int_value(V). { p->statement->modify.timestamp = V; }
deletions_or_not ::= .
deletions_or_not ::= deletions(L). { p->statement->modify.deletions = L.head; }
%type deletions {struct deletions}
%type deletion {struct cql_deletion *}
deletions(A) ::= deletion(D). { A = (struct deletions){D, D}; }
deletions(A) ::= deletions(L) COMMA deletion(D). {
    A = L;
    APPEND(A, D);
}
deletion(A) ::= ident(C). {
    A = cqli_zalloc(p, sizeof *A);
    if (A)
        A->column = C;
}
deletion(A) ::= ident(C) LS term(K) RS. {
    A = cqli_zalloc(p, sizeof *A);
    if (A) {
        A->column = C;
        A->element = K;
    }
}
deletion(A) ::= ident(C) DOT ident(F). {
    A = cqli_zalloc(p, sizeof *A);
    if (A) {
        A->column = C;
        A->field = F;
    }
}

if_clause ::= .
if_clause ::= IF EXISTS. { p->statement->modify.if_exists = true; }
if_clause ::= IF conditions(L). { p->statement->modify.conditions = L.head; }

statement ::= BEGIN batch_kind BATCH using_or_not batch_items APPLY BATCH. {
    p->statement = p->whole;
    p->statement->kind = CQL_BATCH;
}
batch_kind ::= .
batch_kind ::= UNLOGGED. { p->statement->modify.batch = CQL_BATCH_UNLOGGED; }
batch_kind ::= IDENT(T). {
    if (base_slice_equal_nocase(base_slice(T.start, T.len), BASE_SLICE_LIT("counter")))
        p->statement->modify.batch = CQL_BATCH_COUNTER;
    else if (!base_slice_equal_nocase(base_slice(T.start, T.len), BASE_SLICE_LIT("logged")))
        cqli_fail_at(p, T.start, BASE_E_SYNTAX, "no viable alternative at input '%.*s': expected BATCH, UNLOGGED, COUNTER",
                     T.len > 40 ? 40 : (int)T.len, (const char *)T.start);
}
batch_items ::= .
batch_items ::= batch_items batch_item_start modification.
batch_items ::= batch_items SEMI.
/* Its actions fill a statement of its own, the last of the BATCH's list. */
batch_item_start ::= . {
    struct cql_statement *item = cqli_zalloc(p, sizeof *item);
    if (item) {
        if (p->statement == p->whole)
            p->whole->modify.statements = item;
        else
            p->statement->next = item;
        p->statement = item;
    }
}
