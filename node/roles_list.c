/* LIST ROLES and LIST USERS: superusers see all, others themselves. */
#include <string.h>

#include "node/roles_private.h"

struct list {
    struct nodei_client *client;
    struct node *node;
    struct cql_admin *admin;
    struct nodei_query query;
    bool pending;
};
struct line {
    struct base_slice name;
    struct nodei_role role;
};

static const char *const role_columns[] = {"role", "super", "login", "options", "datacenters"};
static const char *const user_columns[] = {"name", "super", "datacenters"};

static int put_cell(struct cql_result *result, struct base_slice value)
{
    uint8_t len[4];
    base_put_be32(len, (uint32_t)value.len);
    int rc = base_buf_put(&result->rows, len, sizeof len);
    return rc == BASE_OK ? base_buf_put_slice(&result->rows, value) : rc;
}

static int put_line(struct cql_result *result, const struct line *line, bool users)
{
    static const uint8_t no_options[4] = {0};
    int rc = put_cell(result, line->name);
    if (rc == BASE_OK)
        rc = put_cell(result, base_slice(line->role.is_superuser ? "\1" : "\0", 1));
    if (rc == BASE_OK && !users)
        rc = put_cell(result, base_slice(line->role.can_login ? "\1" : "\0", 1));
    if (rc == BASE_OK && !users)
        rc = put_cell(result, base_slice(no_options, sizeof no_options));
    if (rc == BASE_OK)
        rc = put_cell(result, BASE_SLICE_LIT("ALL"));
    result->row_count += rc == BASE_OK;
    return rc;
}

static int put_columns(struct cql_admin *admin, bool users)
{
    size_t count = users ? BASE_COUNT(user_columns) : BASE_COUNT(role_columns);
    struct cql_column_spec *specs = base_arena_zalloc(admin->arena, count * sizeof *specs);
    const struct base_type *options = NULL;
    int rc = specs ? base_type_parse(admin->arena, BASE_SLICE_LIT("map<text, text>"), NULL,
                                     &options, NULL)
                   : BASE_E_NOMEM;
    for (size_t i = 0; rc == BASE_OK && i < count; i++) {
        const char *name = users ? user_columns[i] : role_columns[i];
        enum base_type_kind kind = strcmp(name, "super") == 0 || strcmp(name, "login") == 0
                                       ? BASE_TYPE_BOOLEAN
                                       : BASE_TYPE_TEXT;
        specs[i] = (struct cql_column_spec){
            .keyspace = BASE_SLICE_LIT("system_auth"),
            .table = BASE_SLICE_LIT("roles"),
            .name = base_slice_str(name),
            .type = strcmp(name, "options") == 0 ? options : base_type_scalar(kind)};
    }
    admin->result->kind = CQL_RESULT_ROWS;
    admin->result->columns = specs;
    admin->result->column_count = count;
    return rc;
}

static int compare_lines(const void *a, const void *b)
{
    return base_slice_compare(((const struct line *)a)->name, ((const struct line *)b)->name);
}

static struct line *next_line(struct base_buf *lines)
{
    static const struct line none;
    if (base_buf_put(lines, &none, sizeof none) != BASE_OK)
        return NULL;
    return (struct line *)(void *)(lines->data + lines->len - sizeof none);
}

/* The roles that are there, the default superuser among them, by name. */
static int collect(struct list *list, struct base_buf *lines)
{
    struct base_slice values[4];
    struct line *line;
    bool has_default = false;
    while (nodei_query_row(&list->query, values, BASE_COUNT(values))) {
        char name[NODEI_ROLE_LEN_MAX + 1] = {0};
        if (values[0].len > NODEI_ROLE_LEN_MAX) /* written by somebody who went around us: nobody
                                                   can log in with it */
            continue;
        memcpy(name, values[0].data, values[0].len);
        if (!(line = next_line(lines)))
            return BASE_E_NOMEM;
        line->name = values[0];
        nodei_role_take(name, values + 1, &line->role);
        has_default = has_default || strcmp(name, NODEI_DEFAULT_ROLE) == 0;
    }
    if (!has_default) {
        if (!(line = next_line(lines)))
            return BASE_E_NOMEM;
        line->name = BASE_SLICE_LIT(NODEI_DEFAULT_ROLE);
        nodei_role_take(NODEI_DEFAULT_ROLE, NULL, &line->role);
    }
    if (lines->len)
        qsort(lines->data, lines->len / sizeof *line, sizeof *line, compare_lines);
    return BASE_OK;
}

static bool is_wanted(const struct list *list, const struct line *line)
{
    const struct cql_role_def *def = &list->admin->statement->role;
    struct base_slice own = base_slice_str(list->client->role);
    if (!line->role.exists || (def->user && !line->role.can_login))
        return false;
    if (def->of.len)
        return base_slice_equal(line->name, def->of);
    return list->client->is_superuser || base_slice_equal(line->name, own);
}

/* Who logged in as a superuser may be none any more. */
static bool is_superuser(const struct line *lines, size_t count, struct base_slice name)
{
    for (size_t i = 0; i < count; i++)
        if (base_slice_equal(lines[i].name, name))
            return lines[i].role.exists && lines[i].role.is_superuser;
    return false;
}

static int put_lines(struct list *list)
{
    struct cql_admin *admin = list->admin;
    bool users = admin->statement->role.user;
    struct base_buf lines;
    base_buf_init(&lines, 64u << 20);
    int rc = put_columns(admin, users);
    if (rc == BASE_OK)
        rc = collect(list, &lines);
    const struct line *all = (const struct line *)(const void *)lines.data;
    if (rc == BASE_OK && list->client->role[0])
        list->client->is_superuser =
            is_superuser(all, lines.len / sizeof *all, base_slice_str(list->client->role));
    for (size_t i = 0; rc == BASE_OK && i < lines.len / sizeof *all; i++)
        if (is_wanted(list, &all[i]))
            rc = put_line(admin->result, &all[i], users);
    base_buf_fini(&lines);
    if (rc != BASE_OK)
        return base_err_set(&admin->err, rc, "%s", base_err_words(rc));
    struct base_slice of = admin->statement->role.of;
    if (of.len && !list->client->is_superuser &&
        !base_slice_equal(of, base_slice_str(list->client->role)))
        return base_err_set(&admin->err, BASE_E_UNAUTHORIZED,
                            "You are not authorized to view roles granted to %.*s",
                            BASE_SLICE_ARG(of));
    if (of.len && admin->result->row_count == 0)
        return base_err_set(&admin->err, BASE_E_INVALID, "%.*s doesn't exist", BASE_SLICE_ARG(of));
    return BASE_OK;
}

static enum cql_answer take(struct list *list)
{
    struct cql_admin *admin = list->admin;
    bool pending = list->pending;
    /* no such table yet: a new cluster */
    admin->rc = list->query.rc == BASE_E_NOTFOUND ? BASE_OK : list->query.rc;
    admin->outcome = list->query.outcome;
    if (admin->rc == BASE_OK)
        admin->rc = put_lines(list);
    else
        base_err_set(&admin->err, admin->rc, "%s", list->query.err.text);
    nodei_query_end(&list->query);
    list->node->cluster->auth->users--;
    free(list);
    if (pending)
        admin->ready(admin);
    return CQL_DONE;
}

static void query_done(struct nodei_query *query)
{
    (void)take(BASE_CONTAINER(query, struct list, query));
}

enum cql_answer nodei_roles_list(struct nodei_client *client, struct cql_admin *admin)
{
    struct nodei_auth *auth = nodei_auth(client->node);
    struct list *list = auth ? calloc(1, sizeof *list) : NULL;
    if (!list) {
        admin->rc = base_err_set(&admin->err, BASE_E_NOMEM, "%s", base_err_words(BASE_E_NOMEM));
        return CQL_DONE;
    }
    auth->users++;
    list->client = client;
    list->node = client->node;
    list->admin = admin;
    list->query.done = query_done;
    if (nodei_query_start(
            &list->query, list->node,
            "SELECT role, can_login, is_superuser, salted_hash FROM system_auth.roles", NULL, 0,
            NODE_CL_QUORUM) == CQL_PENDING) {
        list->pending = true;
        return CQL_PENDING;
    }
    return take(list);
}
