/* CREATE VIRTUAL TABLE's arguments in, a declaration for SQLite out.
 *
 * SQLite splits arguments at commas outside parentheses and quotes, but inside <>; so they are
 * joined again and split by CQL's rules: options (name = 'value'), one attached table
 * (lab.readings), or column definitions. */
#include "vtab/vtab_private.h"

#include <ctype.h>

/* A small scanner over definitions. */

static bool is_word(uint8_t c)
{
    return isalnum(c) || c == '_' || c >= 0x80;
}

/* Past blanks and comments. */
static const uint8_t *skip_blank(const uint8_t *p, const uint8_t *end)
{
    while (p < end) {
        if (isspace(*p)) {
            p++;
        } else if (end - p >= 2 && p[0] == '-' && p[1] == '-') {
            while (p < end && *p != '\n')
                p++;
        } else if (end - p >= 2 && p[0] == '/' && p[1] == '*') {
            for (p += 2; p < end && !(p[-1] == '*' && *p == '/' && p[-2] != '/'); p++)
                ;
            p += p < end;
        } else {
            break;
        }
    }
    return p;
}

/* Past one token: a quoted text, a word, or one character. */
static const uint8_t *skip_token(const uint8_t *p, const uint8_t *end)
{
    if (*p == '\'' || *p == '"') {
        uint8_t quote = *p++;
        while (p < end && (*p != quote || (p + 1 < end && p[1] == quote)))
            p += *p == quote ? 2 : 1;
        return p < end ? p + 1 : end;
    }
    if (!is_word(*p))
        return p + 1;
    while (p < end && is_word(*p))
        p++;
    return p;
}

static struct base_slice next_token(struct base_slice *text)
{
    const uint8_t *end = text->data + text->len;
    const uint8_t *from = text->len ? skip_blank(text->data, end) : end;
    const uint8_t *to = from < end ? skip_token(from, end) : end;
    *text = base_slice(to, (size_t)(end - to));
    return base_slice(from, (size_t)(to - from));
}

static bool token_is(struct base_slice token, const char *word)
{
    return base_slice_equal_nocase(token, base_slice_str(word));
}

/* The next item up to a comma outside of all brackets, blanks trimmed. False at the end. */
static bool next_item(struct base_slice *text, struct base_slice *item)
{
    const uint8_t *end = text->data + text->len;
    if (text->len == 0)
        return false;
    const uint8_t *from = skip_blank(text->data, end), *p = from, *last = from;
    int depth = 0;
    while (p < end && !(*p == ',' && depth <= 0)) {
        depth += *p == '(' || *p == '<' ? 1 : *p == ')' || *p == '>' ? -1 : 0;
        last = p = skip_token(p, end);
        p = skip_blank(p, end);
    }
    *item = base_slice(from, (size_t)(last - from));
    p += p < end;
    *text = base_slice(p, (size_t)(end - p));
    return true;
}

/* A token's text without its quotes, doubled quotes single; a bare word in lower case if `fold`. */
static int unquote(struct base_arena *arena, struct base_slice token, bool fold,
                   struct base_slice *out, struct base_err *err)
{
    bool quoted = token.len >= 2 && (token.data[0] == '\'' || token.data[0] == '"');
    uint8_t *text = base_arena_alloc(arena, token.len + 1);
    size_t len = 0;
    if (!text)
        return base_err_set(err, BASE_E_NOMEM, "out of memory");
    for (size_t i = quoted ? 1 : 0; i < token.len - (quoted ? 1 : 0); i++) {
        uint8_t c = token.data[i];
        text[len++] = fold && !quoted ? (uint8_t)tolower(c) : c;
        i += quoted && c == token.data[0];
    }
    text[len] = 0;
    *out = base_slice(text, len);
    return BASE_OK;
}

static bool is_identifier(struct base_slice token)
{
    return token.len &&
           (token.data[0] == '"' || (is_word(token.data[0]) && !isdigit(token.data[0])));
}

/* The arguments. */

/* name = 'value'. False when the item is something else. */
static bool parse_option(struct base_slice item, struct base_slice *name, struct base_slice *value)
{
    struct base_slice rest = item;
    *name = next_token(&rest);
    struct base_slice equals = next_token(&rest);
    *value = next_token(&rest);
    return name->len && token_is(equals, "=") && value->len;
}

static int set_option(struct base_arena *arena, struct base_slice name, struct base_slice value,
                      struct vtabi_definition *out, struct base_err *err)
{
    if (value.data[0] != '\'' && value.data[0] != '"')
        return base_err_set(err, BASE_E_INVALID, "option %.*s: its value must be in quotes",
                            BASE_SLICE_ARG(name));
    if (token_is(name, "keyspace"))
        return unquote(arena, value, false, &out->keyspace, err);
    if (token_is(name, "with"))
        return unquote(arena, value, false, &out->with, err);
    if (token_is(name, "table")) {
        out->names_table = true;
        return unquote(arena, value, false, &out->table, err);
    }
    if (!token_is(name, "node"))
        return base_err_set(err, BASE_E_INVALID,
                            "unknown option %.*s: there are keyspace, table, with and node",
                            BASE_SLICE_ARG(name));
    int rc = unquote(arena, value, false, &out->node_dir, err);
    if (rc == BASE_OK && out->node_dir.len == 0)
        rc = base_err_set(
            err, BASE_E_INVALID,
            "node='': name a directory, or http://HOST:PORT[,HOST:PORT…] of a cluster");
    return rc;
}

/* "lab.readings" or "readings" and nothing else. */
static int parse_attach(struct base_arena *arena, struct base_slice item, bool *is_attach,
                        struct vtabi_definition *out, struct base_err *err)
{
    struct base_slice rest = item;
    struct base_slice first = next_token(&rest), dot = next_token(&rest),
                      second = next_token(&rest);
    struct base_slice more = next_token(&rest);
    *is_attach = is_identifier(first) &&
                 ((dot.len == 0) || (token_is(dot, ".") && is_identifier(second) && !more.len));
    if (!*is_attach)
        return BASE_OK;
    out->attach = true;
    out->names_table = true;
    int rc = BASE_OK;
    if (dot.len)
        rc = unquote(arena, first, true, &out->keyspace, err);
    return rc == BASE_OK ? unquote(arena, dot.len ? second : first, true, &out->table, err) : rc;
}

static int join_arguments(struct base_arena *arena, int argc, const char *const *argv,
                          struct base_slice *out, struct base_err *err)
{
    struct base_buf joined;
    base_buf_init(&joined, VTABI_BUF_MAX);
    int rc = BASE_OK;
    for (int i = 3; i < argc && rc == BASE_OK; i++) {
        if (i > 3)
            rc = base_buf_put_u8(&joined, ',');
        if (rc == BASE_OK)
            rc = base_buf_put(&joined, argv[i], strlen(argv[i]));
    }
    if (rc == BASE_OK)
        rc = base_arena_copy(arena, base_buf_view(&joined), out);
    base_buf_fini(&joined);
    return rc == BASE_OK ? rc : base_err_set(err, rc, "arguments: %s", base_err_words(rc));
}

/* The table is called as in SQL: in lower case, as CQL folds names that are not quoted. */
static int default_names(struct base_arena *arena, const char *const *argv,
                         struct vtabi_definition *out, struct base_err *err)
{
    int rc = BASE_OK;
    if (out->table.len == 0)
        rc = unquote(arena, base_slice_str(argv[2]), true, &out->table, err);
    if (rc != BASE_OK || out->keyspace.len)
        return rc;
    if (strcmp(argv[1], "main") != 0 && strcmp(argv[1], "temp") != 0)
        return unquote(arena, base_slice_str(argv[1]), true, &out->keyspace, err);
    return base_err_set(err, BASE_E_INVALID,
                        "no keyspace: write ringlet(keyspace='…', …) or ringlet(keyspace.%s)",
                        argv[2]);
}

int vtabi_define_parse(struct base_arena *arena, int argc, const char *const *argv,
                       struct vtabi_definition *out, struct base_err *err)
{
    struct base_slice text, item;
    struct base_buf columns;
    *out = (struct vtabi_definition){0};
    int rc = join_arguments(arena, argc, argv, &text, err);
    base_buf_init(&columns, VTABI_BUF_MAX);
    while (rc == BASE_OK && next_item(&text, &item)) {
        struct base_slice name, value;
        bool is_attach = false;
        if (item.len == 0)
            continue;
        if (parse_option(item, &name, &value)) {
            rc = set_option(arena, name, value, out, err);
            continue;
        }
        rc = parse_attach(arena, item, &is_attach, out, err);
        if (rc == BASE_OK && !is_attach && columns.len)
            rc = base_buf_put(&columns, ", ", 2);
        if (rc == BASE_OK && !is_attach)
            rc = base_buf_put_slice(&columns, item);
    }
    if (rc == BASE_OK)
        rc = base_arena_copy(arena, base_buf_view(&columns), &out->columns);
    if (rc == BASE_OK)
        rc = default_names(arena, argv, out, err);
    if (rc == BASE_OK && out->columns.len == 0)
        out->attach = true;
    if (rc == BASE_OK && out->attach && out->columns.len)
        rc = base_err_set(err, BASE_E_SYNTAX,
                          "%.*s: a name alone attaches a table that exists; a column needs a type",
                          BASE_SLICE_ARG(out->table));
    base_buf_fini(&columns);
    return rc;
}

/* Columns without the node. */

const char *vtabi_sql_type(const struct base_type *type)
{
    switch (type->kind) {
    case BASE_TYPE_TINYINT:
    case BASE_TYPE_SMALLINT:
    case BASE_TYPE_INT:
    case BASE_TYPE_BIGINT:
    case BASE_TYPE_COUNTER:
    case BASE_TYPE_BOOLEAN:
        return "INTEGER";
    case BASE_TYPE_FLOAT:
    case BASE_TYPE_DOUBLE:
        return "REAL";
    case BASE_TYPE_BLOB:
        return "BLOB";
    case BASE_TYPE_ASCII:
    case BASE_TYPE_TEXT:
    case BASE_TYPE_TIMESTAMP:
    case BASE_TYPE_DATE:
    case BASE_TYPE_TIME:
    case BASE_TYPE_DURATION:
    case BASE_TYPE_UUID:
    case BASE_TYPE_TIMEUUID:
    case BASE_TYPE_INET:
    case BASE_TYPE_VARINT:
    case BASE_TYPE_DECIMAL:
    case BASE_TYPE_LIST:
    case BASE_TYPE_SET:
    case BASE_TYPE_MAP:
    case BASE_TYPE_TUPLE:
    case BASE_TYPE_UDT:
    case BASE_TYPE_VECTOR:
    case BASE_TYPE_CUSTOM:
        return "TEXT";
    }
    return "TEXT";
}

/* Just the type's text: without STATIC and PRIMARY KEY at its end. */
static struct base_slice type_text(struct base_slice rest)
{
    struct base_slice scan = rest, token;
    while ((token = next_token(&scan)).len)
        if (token_is(token, "static") || token_is(token, "primary"))
            return base_slice(rest.data, (size_t)(token.data - rest.data));
    return rest;
}

int vtabi_define_columns(struct base_arena *arena, struct base_slice definitions,
                         struct vtabi_declared **out, int *count, struct base_err *err)
{
    struct base_slice text = definitions, item;
    size_t n = 0;
    *count = 0;
    while (next_item(&text, &item))
        n++;
    *out = base_arena_alloc(arena, (n + 1) * sizeof **out);
    if (!*out)
        return base_err_set(err, BASE_E_NOMEM, "out of memory");
    text = definitions;
    while (next_item(&text, &item)) {
        const struct base_type *type;
        struct base_slice rest = item, name = next_token(&rest), peek = rest;
        if (!is_identifier(name) ||
            (token_is(name, "primary") && token_is(next_token(&peek), "key")))
            continue;
        struct vtabi_declared *column = &(*out)[(*count)++];
        int rc = unquote(arena, name, true, &column->name, err);
        if (rc != BASE_OK)
            return rc;
        /* What does not parse without the schema is a user's type: TEXT. */
        rc = base_type_parse(arena, type_text(rest), NULL, &type, NULL);
        column->sql_type = rc == BASE_OK ? vtabi_sql_type(type) : "TEXT";
        column->collation = rc == BASE_OK ? vtabi_collation(type) : NULL;
    }
    return BASE_OK;
}

/* The declaration. */

/* `name`, with as many "ringlet_" before it as make it nobody else's. */
static int put_free_name(const struct vtabi_declared *columns, int count, const char *name,
                         struct base_buf *out)
{
    size_t start = out->len, name_len = strlen(name);
    int rc = BASE_OK;
    for (bool taken = true; rc == BASE_OK && taken;) {
        struct base_slice free_name;
        taken = false;
        rc = base_buf_put(out, name, name_len);
        free_name = base_slice(out->data + start, out->len - start);
        for (int i = 0; rc == BASE_OK && i < count && !taken; i++)
            taken = base_slice_equal_nocase(columns[i].name, free_name);
        if (taken) {
            out->len -= name_len;
            rc = base_buf_put(out, "ringlet_", 8);
        }
    }
    return rc;
}

static int put_hidden(const struct vtabi_declared *columns, int count, const char *name,
                      struct base_buf *sql)
{
    int rc = put_free_name(columns, count, name, sql);
    return rc == BASE_OK ? base_buf_printf(sql, " HIDDEN, ") : rc;
}

static int put_all_hidden(const struct vtabi_declared *columns, int count, struct base_buf *sql)
{
    int rc = put_hidden(columns, count, "allow_filtering", sql);
    if (rc == BASE_OK)
        rc = put_hidden(columns, count, "consistency", sql);
    if (rc == BASE_OK)
        rc = put_hidden(columns, count, "ttl", sql);
    return rc == BASE_OK ? put_hidden(columns, count, "writetime", sql) : rc;
}

/* For messages. */
static int name_allow_filtering(struct vtabi_table *table, const struct vtabi_declared *columns,
                                int count, struct base_err *err)
{
    struct base_buf name;
    base_buf_init(&name, VTABI_BUF_MAX);
    int rc = put_free_name(columns, count, "allow_filtering", &name);
    uint8_t *copy = rc == BASE_OK ? base_arena_alloc(&table->arena, name.len) : NULL;
    if (copy) {
        memcpy(copy, name.data, name.len);
        table->allow_name = base_slice(copy, name.len);
    }
    base_buf_fini(&name);
    return copy ? BASE_OK : base_err_set(err, BASE_E_NOMEM, "out of memory");
}

#define HIDDEN_COUNT 4
/* past this, colUsed cannot tell allow_filtering unless it comes first */
#define WIDE_COLUMNS (62 - HIDDEN_COUNT)

int vtabi_declare(struct vtabi_table *table, const struct vtabi_declared *columns, int count,
                  struct base_err *err)
{
    struct base_buf sql;
    bool wide = count > WIDE_COLUMNS;
    base_buf_init(&sql, VTABI_BUF_MAX);
    int rc = base_buf_printf(&sql, "CREATE TABLE x(");
    if (rc == BASE_OK && wide)
        rc = put_all_hidden(columns, count, &sql);
    for (int i = 0; rc == BASE_OK && i < count; i++) {
        rc = vtabi_put_quoted(columns[i].name, &sql);
        if (rc == BASE_OK)
            rc = base_buf_printf(&sql, " %s COLLATE %s, ", columns[i].sql_type,
                                 columns[i].collation ? columns[i].collation : "BINARY");
    }
    if (rc == BASE_OK && !wide)
        rc = put_all_hidden(columns, count, &sql);
    if (rc == BASE_OK)
        rc = put_free_name(columns, count, "k", &sql);
    if (rc == BASE_OK)
        rc = base_buf_printf(&sql, " BLOB HIDDEN PRIMARY KEY) WITHOUT ROWID%c", 0);
    if (rc == BASE_OK && sqlite3_declare_vtab(table->host->db, (const char *)sql.data) != SQLITE_OK)
        rc = base_err_set(err, BASE_E_INVALID, "%s", sqlite3_errmsg(table->host->db));
    else if (rc != BASE_OK)
        rc = base_err_set(err, rc, "declaration: %s", base_err_words(rc));
    base_buf_fini(&sql);
    if (rc != BASE_OK)
        return rc;
    int hidden = wide ? 0 : count;
    table->column_count = count;
    table->column_first = wide ? HIDDEN_COUNT : 0;
    table->column_allow = hidden;
    table->column_consistency = hidden + 1;
    table->column_ttl = hidden + 2;
    table->column_writetime = hidden + 3;
    table->column_key = count + HIDDEN_COUNT;
    return name_allow_filtering(table, columns, count, err);
}
