/* POST /api/v1/cql: one statement of CQL with values, as JSON, for scripts and the dashboard. Runs
 * on the API's worker, where it may wait.
 *
 *   {"query": "SELECT …", "values": [1, "a"], "consistency": "QUORUM", "keyspace": "lab",
 *   "page_size": 100, "paging_state": "…"}
 * → {"columns": [{"name": …, "type": …}], "rows": [{…}], "paging_state": "…"}, or {"result":
 * "created table lab.readings"} */
#include "node/http_cql.h"

#include "base/json.h"
#include "node/node_private.h"

enum { VALUES_MAX = 4096, PAGE_ROWS = 5000, PAGE_ROWS_MAX = 100000 };

struct request {
    struct base_arena arena;
    struct base_buf text, values; /* the query; serialized values */
    struct node_session *session;
    struct node_query *query;
    struct cql_value *items;
    size_t item_count;
    struct base_slice values_json;
    struct node_query_options options;
};

static int bad(struct base_err *err, const char *what)
{
    return base_err_set(err, BASE_E_INVALID, "the body's \"%s\" is not as it must be", what);
}

static int get_text(const struct base_json_walk *walk, const char *what, struct base_buf *out,
                    struct base_err *err)
{
    base_buf_reset(out);
    if (walk->first.kind != BASE_JSON_STRING)
        return bad(err, what);
    int rc = base_json_unescape(&walk->first, out);
    return rc == BASE_OK ? BASE_OK : base_err_set(err, rc, "%s: %s", what, base_err_words(rc));
}

static int take_consistency(struct request *r, const struct base_json_walk *walk,
                            struct base_err *err)
{
    struct base_buf name;
    base_buf_init(&name, 64);
    int rc = get_text(walk, "consistency", &name, err);
    if (rc == BASE_OK &&
        (r->options.consistency = node_consistency_parse(base_buf_view(&name))) < 0)
        rc = base_err_set(err, BASE_E_INVALID, "unknown consistency level %.*s",
                          BASE_SLICE_ARG(base_buf_view(&name)));
    base_buf_fini(&name);
    return rc;
}

static int take_keyspace(struct request *r, const struct base_json_walk *walk, struct base_err *err)
{
    struct base_buf name;
    base_buf_init(&name, 4096);
    int rc = get_text(walk, "keyspace", &name, err);
    if (rc == BASE_OK && (name.len == 0 || name.len > BASE_NAME_LEN_MAX))
        rc = bad(err, "keyspace");
    if (rc == BASE_OK) {
        memcpy(r->session->keyspace, name.data, name.len);
        r->session->keyspace[name.len] = 0;
    }
    base_buf_fini(&name);
    return rc;
}

static int take_page_size(struct request *r, const struct base_json_walk *walk,
                          struct base_err *err)
{
    int32_t size = 0;
    if (walk->first.kind != BASE_JSON_NUMBER || walk->first.text.len > 6)
        return bad(err, "page_size");
    for (size_t i = 0; i < walk->first.text.len; i++) {
        uint8_t c = walk->first.text.data[i];
        if (c < '0' || c > '9')
            return bad(err, "page_size");
        size = 10 * size + (c - '0');
    }
    if (size < 1 || size > PAGE_ROWS_MAX)
        return base_err_set(err, BASE_E_INVALID, "page_size is 1 to %d", PAGE_ROWS_MAX);
    r->options.page_size = size;
    return BASE_OK;
}

static int hex_digit(uint8_t c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int take_paging_state(struct request *r, const struct base_json_walk *walk,
                             struct base_err *err)
{
    struct base_slice hex = walk->first.text;
    uint8_t *bytes = base_arena_alloc(&r->arena, hex.len / 2 + 1);
    if (!bytes)
        return base_err_set(err, BASE_E_NOMEM, "%s", base_err_words(BASE_E_NOMEM));
    if (walk->first.kind != BASE_JSON_STRING || hex.len % 2)
        return bad(err, "paging_state");
    for (size_t i = 0; i < hex.len / 2; i++) {
        int high = hex_digit(hex.data[2 * i]), low = hex_digit(hex.data[2 * i + 1]);
        if (high < 0 || low < 0)
            return bad(err, "paging_state");
        bytes[i] = (uint8_t)(high << 4 | low);
    }
    r->options.paging_state = base_slice(bytes, hex.len / 2);
    return BASE_OK;
}

static int read_body(struct request *r, struct base_slice body, struct base_err *err)
{
    struct base_json_walk walk;
    bool more;
    int rc;
    base_json_walk_begin(&walk, body);
    while ((rc = base_json_walk_next(&walk, &more, err)) == BASE_OK && more && rc == BASE_OK) {
        struct base_slice key = walk.key.text;
        if (base_slice_equal(key, BASE_SLICE_LIT("query")))
            rc = get_text(&walk, "query", &r->text, err);
        else if (base_slice_equal(key, BASE_SLICE_LIT("values")))
            r->values_json = walk.value;
        else if (base_slice_equal(key, BASE_SLICE_LIT("consistency")))
            rc = take_consistency(r, &walk, err);
        else if (base_slice_equal(key, BASE_SLICE_LIT("keyspace")))
            rc = take_keyspace(r, &walk, err);
        else if (base_slice_equal(key, BASE_SLICE_LIT("page_size")))
            rc = take_page_size(r, &walk, err);
        else if (base_slice_equal(key, BASE_SLICE_LIT("paging_state")))
            rc = take_paging_state(r, &walk, err);
        else
            rc = base_err_set(
                err, BASE_E_INVALID,
                "\"%.*s\" is none of query, values, consistency, keyspace, page_size, paging_state",
                BASE_SLICE_ARG(key));
        if (rc != BASE_OK)
            return rc;
    }
    if (rc != BASE_OK)
        return base_err_wrap(err, rc, "the body must be a JSON object");
    return r->text.len ? BASE_OK : base_err_set(err, BASE_E_INVALID, "the body has no \"query\"");
}

/* A JSON value for each marker, by its type. */
static int bind_values(struct request *r, struct base_err *err)
{
    const struct cql_column_spec *specs;
    struct base_json_walk walk;
    bool more = false;
    size_t count = cql_prepared_binds(node_query_prepared(r->query), &specs), *starts;
    r->items = base_arena_zalloc(&r->arena, (count + 1) * sizeof *r->items);
    starts = base_arena_zalloc(&r->arena, (count + 1) * sizeof *starts);
    if (!r->items || !starts)
        return base_err_set(err, BASE_E_NOMEM, "%s", base_err_words(BASE_E_NOMEM));
    int rc = BASE_OK;
    base_json_walk_begin(&walk, r->values_json.len ? r->values_json : BASE_SLICE_LIT("[]"));
    while (rc == BASE_OK && (rc = base_json_walk_next(&walk, &more, err)) == BASE_OK && more &&
           r->item_count < count) {
        struct cql_value *item = &r->items[r->item_count];
        starts[r->item_count] = r->values.len;
        item->state = walk.first.kind == BASE_JSON_NULL ? CQL_VALUE_NULL : CQL_VALUE_SET;
        if (item->state == CQL_VALUE_SET)
            rc = base_value_from_json(specs[r->item_count].type, walk.value, &r->values, err);
        if (rc != BASE_OK)
            return base_err_wrap(err, rc, "value %zu", r->item_count + 1);
        r->item_count++;
    }
    if (rc != BASE_OK)
        return base_err_wrap(err, rc, "the body's \"values\" must be a JSON array");
    if (more || r->item_count != count)
        return base_err_set(err, BASE_E_INVALID,
                            "the statement has %zu markers: \"values\" must have as many", count);
    starts[count] = r->values.len;
    for (size_t i = 0; i < count; i++)
        r->items[i].bytes = base_slice(r->values.data + starts[i], starts[i + 1] - starts[i]);
    return BASE_OK;
}

static int put_columns(const struct cql_result *result, struct base_json_writer *w,
                       struct base_err *err)
{
    struct base_buf type;
    int rc = BASE_OK;
    base_buf_init(&type, 1 << 20);
    base_json_key(w, "columns");
    base_json_open_array(w);
    for (size_t i = 0; i < result->column_count && rc == BASE_OK; i++) {
        base_buf_reset(&type);
        rc = base_type_print(result->columns[i].type, &type);
        base_json_open_object(w);
        base_json_key(w, "name");
        base_json_string(w, result->columns[i].name);
        base_json_key(w, "type");
        base_json_string(w, base_buf_view(&type));
        base_json_close_object(w);
    }
    base_json_close_array(w);
    base_buf_fini(&type);
    return rc == BASE_OK ? BASE_OK : base_err_set(err, rc, "%s", base_err_words(rc));
}

static int put_rows(const struct cql_result *result, struct base_json_writer *w,
                    struct base_err *err)
{
    struct base_buf row;
    size_t at = 0;
    int rc = BASE_OK;
    base_buf_init(&row, w->out->len_max);
    base_json_key(w, "rows");
    base_json_open_array(w);
    for (uint32_t i = 0; i < result->row_count && rc == BASE_OK; i++) {
        base_buf_reset(&row);
        rc = node_query_row_json(result, &at, &row, err);
        if (rc == BASE_OK)
            base_json_raw(w, base_buf_view(&row));
    }
    base_json_close_array(w);
    base_buf_fini(&row);
    return rc;
}

static int put_paging_state(const struct cql_result *result, struct base_json_writer *w,
                            struct base_err *err)
{
    struct base_buf hex;
    int rc = BASE_OK;
    base_buf_init(&hex, 4u << 20);
    for (size_t i = 0; i < result->paging_state.len && rc == BASE_OK; i++)
        rc = base_buf_printf(&hex, "%02x", result->paging_state.data[i]);
    base_json_key(w, "paging_state");
    base_json_string(w, base_buf_view(&hex));
    base_buf_fini(&hex);
    return rc == BASE_OK ? BASE_OK : base_err_set(err, rc, "%s", base_err_words(rc));
}

static int put_answer(struct request *r, const struct cql_result *result, struct base_buf *json,
                      struct base_err *err)
{
    struct base_json_writer w;
    int rc = BASE_OK;
    base_json_writer_init(&w, json);
    base_json_open_object(&w);
    if (result->kind == CQL_RESULT_ROWS) {
        rc = put_columns(result, &w, err);
        if (rc == BASE_OK)
            rc = put_rows(result, &w, err);
        if (rc == BASE_OK && result->has_more)
            rc = put_paging_state(result, &w, err);
    } else {
        base_buf_reset(&r->text);
        rc = node_query_text(r->query, result, &r->text, err);
        base_json_key(&w, "result");
        base_json_string(&w, base_buf_view(&r->text));
    }
    if (rc != BASE_OK)
        return rc;
    base_json_close_object(&w);
    rc = base_json_finish(&w);
    return rc == BASE_OK ? BASE_OK : base_err_set(err, rc, "the answer: %s", base_err_words(rc));
}

int nodei_http_cql(struct node *node, struct base_slice body, struct base_buf *json,
                   struct base_err *err)
{
    struct request r = {.options = {.consistency = NODE_CL_LOCAL_QUORUM,
                                    .serial_consistency = NODE_CL_SERIAL,
                                    .page_size = PAGE_ROWS}};
    const struct cql_result *result;
    base_arena_init(&r.arena);
    base_buf_init(&r.text, CQL_TEXT_LEN_MAX);
    base_buf_init(&r.values, json->len_max);
    int rc = node_session_new(node, &r.session, err);
    if (rc == BASE_OK)
        rc = read_body(&r, body, err);
    if (rc == BASE_OK)
        rc = node_query_prepare(r.session, base_buf_view(&r.text), &r.query, err);
    if (rc == BASE_OK)
        rc = bind_values(&r, err);
    if (rc == BASE_OK)
        rc = node_query_run(r.query, r.items, r.item_count, &r.options, &result, err);
    if (rc == BASE_OK)
        rc = put_answer(&r, result, json, err);
    node_query_free(r.query);
    if (r.session)
        node_session_free(r.session);
    base_buf_fini(&r.values);
    base_buf_fini(&r.text);
    base_arena_fini(&r.arena);
    return rc;
}
