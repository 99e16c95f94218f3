/* Indexes, roles, DESCRIBE, and what is understood and refused. Lemon reads it behind grammar.y, as
 * one with it. */

/* Indexes. */

statement ::= CREATE custom INDEX if_not_exists index_name ON target LP index_targets RP index_class with_properties. {
    p->statement->kind = CQL_CREATE_INDEX;
}
statement ::= DROP INDEX if_exists target. { p->statement->kind = CQL_DROP_INDEX; }
custom ::= .
custom ::= CUSTOM. { p->statement->index.custom = true; }
index_name ::= .
index_name ::= ident(N). { p->statement->index.name = N; }
index_class ::= .
index_class ::= USING STRING(T). {
    const struct cql_term *text = cqli_term(p, CQL_TERM_STRING, T);
    if (text)
        p->statement->index.using_class = text->text;
}
with_properties ::= .
with_properties ::= WITH properties.

index_targets ::= index_target.
index_targets ::= index_targets COMMA(T) index_target. {
    cqli_fail_at(p, T.start, BASE_E_INVALID, "an index on several columns: Ringlet's indexes have one column each");
}
index_target ::= ident(C). { index_target(p, C, CQL_INDEX_PLAIN); }
index_target ::= name(F) LP ident(C) RP. {
    struct base_slice what = cqli_identifier(p, F);
    if (base_slice_equal(what, BASE_SLICE_LIT("values")))
        index_target(p, C, CQL_INDEX_VALUES);
    else if (base_slice_equal(what, BASE_SLICE_LIT("keys")))
        index_target(p, C, CQL_INDEX_KEYS);
    else
        cqli_fail_at(p, F.start, BASE_E_SYNTAX, "no viable alternative at input '%.*s': expected a column, KEYS, VALUES, ENTRIES, FULL",
                     F.len > 40 ? 40 : (int)F.len, (const char *)F.start);
}
index_target ::= ENTRIES LP ident(C) RP. { index_target(p, C, CQL_INDEX_ENTRIES); }
index_target ::= FULL LP ident(C) RP. { index_target(p, C, CQL_INDEX_FULL); }

/* Roles. */

%type role {struct base_slice}
role(A) ::= ident(N). { A = N; }
role(A) ::= STRING(T). {
    const struct cql_term *text = cqli_term(p, CQL_TERM_STRING, T);
    A = text ? text->text : (struct base_slice){0};
}
role_target ::= role(N). { p->statement->target.name = N; }
user_target ::= IDENT(T). { p->statement->target.name = cqli_identifier(p, T); }
user_target ::= STRING(T). {
    const struct cql_term *text = cqli_term(p, CQL_TERM_STRING, T);
    if (text)
        p->statement->target.name = text->text;
}
user_target ::= QUOTED_NAME(T). {
    cqli_fail_at(p, T.start, BASE_E_SYNTAX, "Quoted strings are are not supported for user names and USER is deprecated, please use ROLE");
}

statement ::= CREATE ROLE if_not_exists role_target with_role_options. { role_statement(p, CQL_CREATE_ROLE, false); }
statement ::= ALTER ROLE if_exists role_target with_role_options. { role_statement(p, CQL_ALTER_ROLE, false); }
statement ::= DROP ROLE if_exists role_target. { role_statement(p, CQL_DROP_ROLE, false); }
statement ::= CREATE USER if_not_exists user_target user_password user_superuser. { role_statement(p, CQL_CREATE_ROLE, true); }
statement ::= ALTER USER if_exists user_target user_password user_superuser. { role_statement(p, CQL_ALTER_ROLE, true); }
statement ::= DROP USER if_exists user_target. { role_statement(p, CQL_DROP_ROLE, true); }
statement ::= LIST ROLES of_role norecursive. { role_statement(p, CQL_LIST_ROLES, false); }
statement ::= LIST USERS. {
    p->statement->role.list_recursive = true;
    role_statement(p, CQL_LIST_ROLES, true);
}
of_role ::= .
of_role ::= OF role(N). { p->statement->role.of = N; }
norecursive ::= . { p->statement->role.list_recursive = true; }
norecursive ::= NORECURSIVE.

with_role_options ::= .
with_role_options ::= WITH role_options.
role_options ::= role_option.
role_options ::= role_options AND role_option.
role_option ::= PASSWORD EQ STRING(T). { role_option(p, "password", cqli_term(p, CQL_TERM_STRING, T)); }
role_option ::= HASHED PASSWORD EQ STRING(T). { role_option(p, "hashed password", cqli_term(p, CQL_TERM_STRING, T)); }
role_option ::= OPTIONS EQ map(M). { role_option(p, "options", M); }
role_option ::= SUPERUSER EQ BOOLEAN(T). { role_option(p, "superuser", cqli_term(p, CQL_TERM_BOOLEAN, T)); }
role_option ::= LOGIN EQ BOOLEAN(T). { role_option(p, "login", cqli_term(p, CQL_TERM_BOOLEAN, T)); }
role_option ::= ACCESS TO ALL(T) DATACENTERS. { role_option(p, "access", cqli_term(p, CQL_TERM_WORD, T)); }
role_option ::= ACCESS TO DATACENTERS strings(S). { role_option(p, "access", S); }
role_option ::= ACCESS FROM ALL(T) CIDRS. { role_option(p, "access from", cqli_term(p, CQL_TERM_WORD, T)); }
role_option ::= ACCESS FROM CIDRS strings(S). { role_option(p, "access from", S); }
%type strings {struct cql_term *}
strings(A) ::= LB(S) string_list(L) RB(E). { A = cqli_compose(p, CQL_TERM_SET, L, S.start, E.start + E.len); }
%type string_list {struct cqli_terms}
string_list(A) ::= STRING(T). {
    A = (struct cqli_terms){0};
    cqli_terms_add(&A, cqli_term(p, CQL_TERM_STRING, T));
}
string_list(A) ::= string_list(L) COMMA STRING(T). {
    A = L;
    cqli_terms_add(&A, cqli_term(p, CQL_TERM_STRING, T));
}

user_password ::= .
user_password ::= WITH PASSWORD STRING(T). { role_option(p, "password", cqli_term(p, CQL_TERM_STRING, T)); }
user_password ::= WITH HASHED PASSWORD STRING(T). { role_option(p, "hashed password", cqli_term(p, CQL_TERM_STRING, T)); }
user_superuser ::= .
user_superuser ::= SUPERUSER(T). { role_option(p, "superuser", boolean(p, T, true)); }
user_superuser ::= NOSUPERUSER(T). { role_option(p, "superuser", boolean(p, T, false)); }

/* DESCRIBE. */

statement ::= describe_word described describe_internals. { p->statement->kind = CQL_DESCRIBE; }
describe_word ::= DESCRIBE.
describe_word ::= DESC.
describe_internals ::= .
describe_internals ::= WITH INTERNALS. { p->statement->describe.with_internals = true; }

described ::= CLUSTER. { p->statement->describe.what = CQL_DESCRIBE_CLUSTER; }
described ::= SCHEMA. { p->statement->describe.what = CQL_DESCRIBE_SCHEMA; }
described ::= FULL SCHEMA. { p->statement->describe.what = CQL_DESCRIBE_FULL_SCHEMA; }
described ::= KEYSPACES. { p->statement->describe.what = CQL_DESCRIBE_KEYSPACES; }
described ::= describe_only KEYSPACE. { p->statement->describe.what = CQL_DESCRIBE_KEYSPACE; }
described ::= describe_only KEYSPACE keyspace_target. { p->statement->describe.what = CQL_DESCRIBE_KEYSPACE; }
described ::= TABLES. { p->statement->describe.what = CQL_DESCRIBE_TABLES; }
described ::= TABLE target. { p->statement->describe.what = CQL_DESCRIBE_TABLE; }
described ::= INDEX target. { p->statement->describe.what = CQL_DESCRIBE_INDEX; }
described ::= MATERIALIZED VIEW target. { p->statement->describe.what = CQL_DESCRIBE_VIEW; }
described ::= TYPES. { p->statement->describe.what = CQL_DESCRIBE_TYPES; }
described ::= TYPE target. { p->statement->describe.what = CQL_DESCRIBE_TYPE; }
described ::= FUNCTIONS. { p->statement->describe.what = CQL_DESCRIBE_FUNCTIONS; }
described ::= FUNCTION target. { p->statement->describe.what = CQL_DESCRIBE_FUNCTION; }
described ::= AGGREGATES. { p->statement->describe.what = CQL_DESCRIBE_AGGREGATES; }
described ::= AGGREGATE target. { p->statement->describe.what = CQL_DESCRIBE_AGGREGATE; }
described ::= target. { p->statement->describe.what = CQL_DESCRIBE_ANY; }
describe_only ::= .
describe_only ::= ONLY. { p->statement->describe.only = true; }

/* Understood, and refused. */

statement ::= CREATE MATERIALIZED VIEW if_not_exists target AS SELECT select_list FROM target where primary_key
              with_table_options. {
    refuse(p, "CREATE MATERIALIZED VIEW", why_view);
}
statement ::= ALTER MATERIALIZED VIEW if_exists target WITH properties. { refuse(p, "ALTER MATERIALIZED VIEW", why_view); }
statement ::= DROP MATERIALIZED VIEW if_exists target. { refuse(p, "DROP MATERIALIZED VIEW", why_view); }

statement ::= CREATE or_replace FUNCTION if_not_exists target LP function_arguments RP null_input RETURNS comparator LANGUAGE ident AS
              STRING. {
    refuse(p, "CREATE FUNCTION", why_function);
}
statement ::= DROP FUNCTION if_exists target argument_types. { refuse(p, "DROP FUNCTION", why_function); }
statement ::= CREATE or_replace AGGREGATE if_not_exists target LP type_list RP SFUNC ident STYPE comparator final_function
              initial_condition. {
    refuse(p, "CREATE AGGREGATE", why_function);
}
statement ::= DROP AGGREGATE if_exists target argument_types. { refuse(p, "DROP AGGREGATE", why_function); }
or_replace ::= .
or_replace ::= OR REPLACE.
function_arguments ::= .
function_arguments ::= function_argument.
function_arguments ::= function_argument_list COMMA function_argument.
function_argument_list ::= function_argument.
function_argument_list ::= function_argument_list COMMA function_argument.
function_argument ::= ident comparator.
null_input ::= RETURNS NULL ON NULL INPUT.
null_input ::= CALLED ON NULL INPUT.
type_list ::= .
type_list ::= types.
types ::= comparator.
types ::= types COMMA comparator.
argument_types ::= .
argument_types ::= LP type_list RP.
final_function ::= .
final_function ::= FINALFUNC ident.
initial_condition ::= .
initial_condition ::= INITCOND term.

statement ::= CREATE TRIGGER if_not_exists ident ON target USING STRING. { refuse(p, "CREATE TRIGGER", why_trigger); }
statement ::= DROP TRIGGER if_exists ident ON target. { refuse(p, "DROP TRIGGER", why_trigger); }

statement ::= ADD IDENTITY if_not_exists STRING TO ROLE role. { refuse(p, "ADD IDENTITY", why_identity); }
statement ::= DROP IDENTITY if_exists STRING. { refuse(p, "DROP IDENTITY", why_identity); }

statement ::= GRANT permissions ON resource TO role. { refuse(p, "GRANT", why_permission); }
statement ::= REVOKE permissions ON resource FROM role. { refuse(p, "REVOKE", why_permission); }
statement ::= LIST permissions on_resource of_role norecursive. { refuse(p, "LIST PERMISSIONS", why_permission); }
statement ::= GRANT role TO role. { refuse(p, "GRANT ROLE", why_permission); }
statement ::= REVOKE role FROM role. { refuse(p, "REVOKE ROLE", why_permission); }
permissions ::= ALL.
permissions ::= ALL PERMISSIONS.
permissions ::= permission_list.
permission_list ::= permission.
permission_list ::= permission_list COMMA permission.
permission ::= permission_word.
permission ::= permission_word PERMISSION.
permission_word ::= CREATE|ALTER|DROP|SELECT|MODIFY|AUTHORIZE|DESCRIBE|EXECUTE|UNMASK|SELECT_MASKED.
on_resource ::= .
on_resource ::= ON resource.
resource ::= ALL KEYSPACES.
resource ::= keyspace_word ident.
resource ::= target.
resource ::= TABLE target.
resource ::= ALL TABLES IN keyspace_word ident.
resource ::= ALL ROLES.
resource ::= ROLE role.
resource ::= ALL FUNCTIONS.
resource ::= ALL FUNCTIONS IN keyspace_word ident.
resource ::= FUNCTION target LP type_list RP.
resource ::= ALL MBEANS.
resource ::= MBEAN STRING.
resource ::= MBEANS STRING.

mask_or_not ::= .
mask_or_not ::= mask.
mask ::= MASKED WITH mask_function. { refuse(p, "MASKED WITH", why_mask); }
mask_function ::= DEFAULT.
mask_function ::= ident LP RP.
mask_function ::= ident LP terms RP.
alteration ::= ALTER alter_if_exists ident mask.
alteration ::= ALTER alter_if_exists ident DROP MASKED. { refuse(p, "DROP MASKED", why_mask); }
alteration ::= DROP COMPACT STORAGE. { refuse(p, "DROP COMPACT STORAGE", "Ringlet's tables have no compact storage"); }
