/* Between SQLite's values, codes and messages and ours. */
#include "vtab/vtab_private.h"

#define SUBTYPE_JSON 74 /* 'J', as SQLite's JSON functions mark their results */

void vtabi_value_get(sqlite3_value *in, struct base_sql_value *out)
{
    *out = (struct base_sql_value){.kind = BASE_SQL_NULL};
    switch (sqlite3_value_type(in)) {
    case SQLITE_INTEGER:
        out->kind = BASE_SQL_INTEGER;
        out->integer = sqlite3_value_int64(in);
        break;
    case SQLITE_FLOAT:
        out->kind = BASE_SQL_REAL;
        out->real = sqlite3_value_double(in);
        break;
    case SQLITE_TEXT:
        out->kind = sqlite3_value_subtype(in) == SUBTYPE_JSON ? BASE_SQL_JSON : BASE_SQL_TEXT;
        out->bytes.data =
            sqlite3_value_text(in); /* first: it may convert, and then the length changes */
        out->bytes.len = (size_t)sqlite3_value_bytes(in);
        break;
    case SQLITE_BLOB:
        out->kind = BASE_SQL_BLOB;
        out->bytes.data = sqlite3_value_blob(in);
        out->bytes.len = (size_t)sqlite3_value_bytes(in);
        break;
    default:
        break;
    }
}

/* Always TRANSIENT: min(), max() and GROUP BY keep a STATIC pointer past xNext. The copy goes to
 * memory that the register already has. */
void vtabi_value_result(sqlite3_context *context, const struct base_sql_value *value)
{
    switch (value->kind) {
    case BASE_SQL_NULL:
        sqlite3_result_null(context);
        return;
    case BASE_SQL_INTEGER:
        sqlite3_result_int64(context, value->integer);
        return;
    case BASE_SQL_REAL:
        sqlite3_result_double(context, value->real);
        return;
    case BASE_SQL_TEXT:
    case BASE_SQL_JSON:
        sqlite3_result_text64(context, value->bytes.data ? (const char *)value->bytes.data : "",
                              value->bytes.len, SQLITE_TRANSIENT, SQLITE_UTF8);
        if (value->kind == BASE_SQL_JSON)
            sqlite3_result_subtype(context, SUBTYPE_JSON);
        return;
    case BASE_SQL_BLOB:
        if (value->bytes.len)
            sqlite3_result_blob64(context, value->bytes.data, value->bytes.len, SQLITE_TRANSIENT);
        else
            sqlite3_result_zeroblob(context, 0);
        return;
    }
}

int vtabi_sqlite_code(int code)
{
    switch ((enum base_error)code) {
    case BASE_OK:
        return SQLITE_OK;
    case BASE_E_NOMEM:
        return SQLITE_NOMEM;
    case BASE_E_IO:
    case BASE_E_STOPPED:
        return SQLITE_IOERR;
    case BASE_E_CORRUPT:
        return SQLITE_CORRUPT_VTAB;
    case BASE_E_NOSPACE:
        return SQLITE_FULL;
    case BASE_E_BUSY:
    case BASE_E_OVERLOADED:
        return SQLITE_BUSY;
    case BASE_E_INTERRUPTED:
        return SQLITE_INTERRUPT;
    case BASE_E_CONDITION:
        return SQLITE_CONSTRAINT;
    case BASE_E_UNAUTHORIZED:
        return SQLITE_PERM;
    case BASE_E_LIMIT:
        return SQLITE_TOOBIG;
    case BASE_E_INVALID:
    case BASE_E_SYNTAX:
    case BASE_E_CONFIG:
    case BASE_E_EXISTS:
    case BASE_E_NOTFOUND:
    case BASE_E_UNAVAILABLE:
    case BASE_E_TIMEOUT:
    case BASE_E_UNKNOWN:
    case BASE_E_VERSION:
    case BASE_E_CLOSED:
    case BASE_E_STALE:
    case BASE_E_INTERNAL:
    case BASE_E_FUNCTION:
        return SQLITE_ERROR;
    }
    return SQLITE_ERROR;
}

static const char *text_of(int code, const struct base_err *err)
{
    return err && err->text[0] ? err->text : base_err_words(code);
}

int vtabi_fail(sqlite3_vtab *vtab, int code, const struct base_err *err)
{
    if (code != BASE_OK) {
        sqlite3_free(vtab->zErrMsg);
        vtab->zErrMsg = sqlite3_mprintf("%s", text_of(code, err));
    }
    return vtabi_sqlite_code(code);
}

void vtabi_fail_function(sqlite3_context *context, int code, const struct base_err *err)
{
    sqlite3_result_error(context, text_of(code, err), -1);
    int sqlite = vtabi_sqlite_code(code);
    if (sqlite != SQLITE_ERROR)
        sqlite3_result_error_code(context, sqlite);
}

char *vtabi_strdup(struct base_slice text)
{
    char *copy = sqlite3_malloc64(text.len + 1);
    if (copy) {
        if (text.len)
            memcpy(copy, text.data, text.len);
        copy[text.len] = 0;
    }
    return copy;
}

int vtabi_put_quoted(struct base_slice name, struct base_buf *out)
{
    int rc = base_buf_put_u8(out, '"');
    for (size_t i = 0; rc == BASE_OK && i < name.len; i++) {
        rc = base_buf_put_u8(out, name.data[i]);
        if (rc == BASE_OK && name.data[i] == '"')
            rc = base_buf_put_u8(out, '"');
    }
    return rc == BASE_OK ? base_buf_put_u8(out, '"') : rc;
}
