/* The shell's own commands: CONSISTENCY, TRACING, SHOW … (cqlsh's words and answers). */
#include "cli/replicas.h"
#include "cli/shell_private.h"
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <strings.h>

enum { WORDS_MAX = 8, SOURCE_DEPTH_MAX = 10 };

struct words {
    struct cli_token at[WORDS_MAX];
    size_t count;           /* WORDS_MAX + 1: too many */
    struct base_slice rest; /* behind the first */
};

static struct words split(struct base_slice statement)
{
    struct words w = {0};
    struct cli_token token;
    while ((token = cli_token_next(&statement)).kind != CLI_TOKEN_END) {
        if (w.count < WORDS_MAX)
            w.at[w.count] = token;
        if (w.count++ == 0)
            w.rest = statement;
        if (w.count > WORDS_MAX)
            break;
    }
    return w;
}

static void improper(struct cli_shell *shell, const struct words *w)
{
    char name[16];
    snprintf(name, sizeof name, "%.*s", BASE_SLICE_ARG(w->at[0].text));
    cli_shell_fail(shell, "Improper %s command.", name);
}

/* Switches. */

static void show_switch(const char *name, bool on)
{
    printf("%s is %s\n", name, on ? "ON" : "OFF");
}

/* NAME [ON|OFF] */
static void do_switch(struct cli_shell *shell, const struct words *w, const char *name, bool *value)
{
    bool on = w->count == 2 && cli_token_is(&w->at[1], "on");
    if (w->count == 1) {
        show_switch(name, *value);
    } else if (w->count != 2 || (!on && !cli_token_is(&w->at[1], "off"))) {
        improper(shell, w);
    } else if (*value == on) {
        printf("%s is already %s\n", name, on ? "ON" : "OFF");
    } else {
        *value = on;
        printf("%s set to %s\n", name, on ? "ON" : "OFF");
    }
}

static void do_tracing(struct cli_shell *shell, const struct words *w)
{
    do_switch(shell, w, "TRACING", &shell->tracing);
}

static void do_expand(struct cli_shell *shell, const struct words *w)
{
    do_switch(shell, w, "EXPAND", &shell->expand);
}

static void do_paging(struct cli_shell *shell, const struct words *w)
{
    if (w->count == 2 && w->at[1].kind == CLI_TOKEN_NUMBER) {
        char text[16];
        snprintf(text, sizeof text, "%.*s", BASE_SLICE_ARG(w->at[1].text));
        int size = atoi(text);
        if (size <= 0) {
            cli_shell_fail(shell, "a page has at least one row");
            return;
        }
        shell->paging = true;
        shell->page_size = size;
    } else {
        do_switch(shell, w, "PAGING", &shell->paging);
    }
    if (shell->paging)
        printf("Page size: %d\n", shell->page_size);
    else
        shell->page_size = CLI_SHELL_PAGE_SIZE;
}

static void set_level(struct cli_shell *shell, const struct words *w, size_t at, const char *name,
                      const char *current, bool serial, int *level)
{
    char upper[32];
    if (w->count == at) {
        printf("Current %s is %s.\n", current, node_consistency_name(*level));
        return;
    }
    int code = w->count == at + 1 ? node_consistency_parse(w->at[at].text) : -1;
    if (code < 0 || (serial && code != NODE_CL_SERIAL && code != NODE_CL_LOCAL_SERIAL)) {
        improper(shell, w);
        return;
    }
    *level = code;
    snprintf(upper, sizeof upper, "%s", node_consistency_name(code));
    printf("%s set to %s.\n", name, upper);
}

static void do_consistency(struct cli_shell *shell, const struct words *w)
{
    set_level(shell, w, 1, "Consistency level", "consistency level", false, &shell->consistency);
}

static void do_serial(struct cli_shell *shell, const struct words *w)
{
    if (w->count < 2 || !cli_token_is(&w->at[1], "consistency"))
        improper(shell, w);
    else
        set_level(shell, w, 2, "Serial consistency level", "serial consistency level", true,
                  &shell->serial_consistency);
}

/* SHOW. */

void cli_shell_show_host(struct cli_shell *shell)
{
    printf("Connected to %s%s%s at %s:%u\n", shell->colours ? CLI_BLUE : "", shell->cluster_name,
           shell->colours ? CLI_PLAIN : "", shell->config.host, shell->config.port);
}

void cli_shell_show_version(struct cli_shell *shell)
{
    printf("[ringlet shell %s | Cassandra %s | CQL spec %s | Native protocol v%u]\n",
           PACKAGE_VERSION, shell->release_version, shell->cql_version, shell->cql.version);
}

static bool token_of(const struct cli_token *word, int64_t *out)
{
    char text[32], *end;
    if (word->kind != CLI_TOKEN_NUMBER || word->text.len >= sizeof text)
        return false;
    snprintf(text, sizeof text, "%.*s", BASE_SLICE_ARG(word->text));
    errno = 0;
    *out = strtoll(text, &end, 10);
    return *end == 0 && errno == 0;
}

/* The addresses as Python prints a list: ['127.0.0.1', '127.0.0.2'] */
static void print_replicas(const struct cli_ring *ring, const uint16_t *replicas, size_t count)
{
    putchar('[');
    for (size_t i = 0; i < count; i++)
        printf("%s'%s'", i ? ", " : "", ring->nodes[replicas[i]].host);
    puts("]");
}

/* SHOW REPLICAS token [keyspace] */
static void show_replicas(struct cli_shell *shell, const struct words *w)
{
    struct base_arena arena;
    struct base_buf keyspace;
    struct cli_ring ring;
    struct cli_replication replication;
    struct base_err err = {0};
    int64_t token;
    if (w->count < 3 || w->count > 4 || !token_of(&w->at[2], &token)) {
        improper(shell, w);
        return;
    }
    if (w->count == 3 && !shell->keyspace) {
        cli_shell_fail(shell, "SHOW REPLICAS: of which keyspace? USE one, or name it");
        return;
    }
    base_arena_init(&arena);
    base_buf_init(&keyspace, 65536);
    int rc = w->count == 4 ? cli_token_identifier(&w->at[3], &keyspace)
                           : base_buf_put(&keyspace, shell->keyspace, strlen(shell->keyspace) + 1);
    const char *name = (const char *)keyspace.data;
    if (rc == BASE_OK)
        rc = cli_ring_load(&ring, &arena, &shell->cql, &err);
    if (rc == BASE_OK)
        rc = cli_replication_load(&replication, &arena, &shell->cql, name, &err);
    if (rc == BASE_E_INVALID) { /* the node's error: the connection is good */
        cli_shell_fail(shell, "%s", err.text);
    } else if (rc != BASE_OK) {
        cli_shell_fail_call(shell, rc, &err);
    } else if (replication.kind == CLI_REPLICATION_NONE) {
        cli_shell_fail(shell, "SHOW REPLICAS: there is no keyspace %s with replicas", name);
    } else {
        uint16_t *replicas = base_arena_alloc(&arena, ring.node_count * sizeof *replicas);
        BASE_ASSERT(replicas);
        print_replicas(&ring, replicas,
                       cli_ring_replicas(&ring, &replication, token, replicas, ring.node_count));
    }
    base_buf_fini(&keyspace);
    base_arena_fini(&arena);
}

static void do_show(struct cli_shell *shell, const struct words *w)
{
    struct base_uuid id;
    struct base_slice text;
    if (w->count == 2 && cli_token_is(&w->at[1], "version")) {
        cli_shell_show_version(shell);
    } else if (w->count == 2 && cli_token_is(&w->at[1], "host")) {
        cli_shell_show_host(shell);
    } else if (w->count >= 2 && cli_token_is(&w->at[1], "replicas")) {
        show_replicas(shell, w);
    } else if (w->count >= 3 && cli_token_is(&w->at[1], "session")) {
        text = w->rest; /* a uuid may be several tokens */
        text.len -= (size_t)(w->at[2].text.data - text.data);
        text.data = w->at[2].text.data;
        while (text.len && text.data[text.len - 1] <= ' ')
            text.len--;
        if (base_uuid_parse(text, &id))
            cli_shell_show_trace(shell, id, false);
        else
            improper(shell, w);
    } else {
        improper(shell, w);
    }
}

/* Files. */

/* The path in quotes, ~ being HOME; malloc'ed. NULL: no string. */
static char *path_of(const struct cli_token *token)
{
    struct base_buf text, path;
    const char *home = getenv("HOME");
    char *out = NULL;
    if (token->kind != CLI_TOKEN_STRING)
        return NULL;
    base_buf_init(&text, 65536);
    base_buf_init(&path, 65536);
    int rc = cli_token_unquote(token, &text);
    bool is_home =
        rc == BASE_OK && home && text.data[0] == '~' && (text.data[1] == '/' || !text.data[1]);
    if (rc == BASE_OK && is_home)
        rc = base_buf_printf(&path, "%s", home);
    if (rc == BASE_OK)
        rc = base_buf_put(&path, text.data + is_home, text.len - is_home);
    if (rc == BASE_OK)
        out = cli_shell_strdup(base_buf_view(&path));
    base_buf_fini(&text);
    base_buf_fini(&path);
    return out;
}

static void do_source(struct cli_shell *shell, const struct words *w)
{
    struct cli_shell_input input = {0};
    char *path = w->count == 2 ? path_of(&w->at[1]) : NULL;
    if (!path) {
        improper(shell, w);
        return;
    }
    if (shell->depth == SOURCE_DEPTH_MAX) {
        cli_shell_fail(shell, "SOURCE inside SOURCE, %d deep: is a file reading itself?",
                       SOURCE_DEPTH_MAX);
    } else if (!(input.file = fopen(path, "re"))) {
        cli_shell_fail(shell, "Could not open '%s': %s", path, strerror(errno));
    } else {
        bool tty = shell->tty;
        input.name = path;
        shell->tty = false; /* no ---MORE--- */
        shell->depth++;
        cli_shell_run(shell, &input);
        shell->depth--;
        shell->tty = tty;
        shell->stop = false; /* EXIT in a file ends the file */
        fclose(input.file);
    }
    free(path);
}

bool cli_shell_end_capture(struct cli_shell *shell)
{
    BASE_ASSERT(shell->capture && shell->out != stdout);
    bool before = ferror(shell->out); /* when a page was flushed: errno is another's by now */
    errno = 0;
    bool good = fclose(shell->out) == 0 && !before;
    if (!good)
        cli_shell_fail(shell, "'%s': %s", shell->capture,
                       errno ? strerror(errno) : "not all could be written");
    shell->out = stdout;
    free(shell->capture);
    shell->capture = NULL;
    return good;
}

static void do_capture(struct cli_shell *shell, const struct words *w)
{
    if (w->count == 1) {
        if (shell->capture)
            printf("Currently capturing query output to '%s'.\n", shell->capture);
        else
            puts("Currently not capturing query output.");
        return;
    }
    if (w->count == 2 && cli_token_is(&w->at[1], "off")) {
        if (!shell->capture) {
            cli_shell_fail(shell, "Not currently capturing output.");
            return;
        }
        (void)cli_shell_end_capture(shell);
        return;
    }
    if (shell->capture) {
        cli_shell_fail(shell, "Already capturing output to %s. Use CAPTURE OFF to disable.",
                       shell->capture);
        return;
    }
    char *path = w->count == 2 ? path_of(&w->at[1]) : NULL;
    FILE *file = path ? fopen(path, "ae") : NULL;
    if (!path) {
        improper(shell, w);
    } else if (!file) {
        cli_shell_fail(shell, "Could not open '%s' for append: %s", path, strerror(errno));
        free(path);
    } else {
        shell->out = file;
        shell->capture = path;
        printf("Now capturing query output to '%s'.\n", path);
    }
}

/* The rest. */

static void do_login(struct cli_shell *shell, const struct words *w)
{
    struct base_buf text;
    struct base_err err = {0};
    char *user = shell->user, *password = shell->password;
    if (w->count < 2 || w->count > 3 || (w->count == 3 && w->at[2].kind != CLI_TOKEN_STRING)) {
        improper(shell, w);
        return;
    }
    base_buf_init(&text, 65536);
    if (cli_token_unquote(&w->at[1], &text) != BASE_OK)
        goto out;
    shell->user = cli_shell_strdup(base_buf_view(&text));
    base_buf_reset(&text);
    shell->password = NULL;
    if (w->count == 2)
        shell->password = cli_shell_ask_password("Password: ");
    else if (cli_token_unquote(&w->at[2], &text) == BASE_OK)
        shell->password = cli_shell_strdup(base_buf_view(&text));
    if (cli_shell_connect(shell, &err) == BASE_OK) {
        free(user);
        free(password);
        goto out;
    }
    cli_shell_fail(shell, "%s", err.text);
    free(shell->user); /* as whoever it was before */
    free(shell->password);
    shell->user = user;
    shell->password = password;
    if (cli_shell_connect(shell, &err) != BASE_OK)
        cli_shell_fail(shell, "%s", err.text);
out:
    if (text.data)
        explicit_bzero(text.data, text.cap);
    base_buf_fini(&text);
}

static void do_exit(struct cli_shell *shell, const struct words *w)
{
    (void)w;
    shell->stop = true;
}

static void do_clear(struct cli_shell *shell, const struct words *w)
{
    (void)shell, (void)w;
    fputs("\033[H\033[2J\033[3J", stdout);
}

static void do_history(struct cli_shell *shell, const struct words *w)
{
    char text[16] = "50";
    if (w->count == 2)
        snprintf(text, sizeof text, "%.*s", BASE_SLICE_ARG(w->at[1].text));
    if (shell->editor)
        cli_editor_history(shell->editor, stdout, atoi(text));
}

static void do_help(struct cli_shell *shell, const struct words *w)
{
    cli_shell_help(shell, w->rest);
}

bool cli_shell_command(struct cli_shell *shell, struct base_slice statement)
{
    static const struct {
        const char *name;
        void (*run)(struct cli_shell *shell, const struct words *words);
    } commands[] = {
        {"capture", do_capture}, {"clear", do_clear},
        {"cls", do_clear},       {"consistency", do_consistency},
        {"exit", do_exit},       {"expand", do_expand},
        {"help", do_help},       {"?", do_help},
        {"history", do_history}, {"login", do_login},
        {"paging", do_paging},   {"quit", do_exit},
        {"serial", do_serial},   {"show", do_show},
        {"source", do_source},   {"tracing", do_tracing},
    };
    struct words w = split(statement);
    if (w.count == 0)
        return true;
    if (cli_token_is(&w.at[0], "describe") || cli_token_is(&w.at[0], "desc")) {
        cli_shell_describe(shell, statement);
        return true;
    }
    if (cli_token_is(&w.at[0], "copy")) {
        cli_shell_copy(shell, statement);
        return true;
    }
    for (size_t i = 0; i < BASE_COUNT(commands); i++) {
        if (!cli_token_is(&w.at[0], commands[i].name))
            continue;
        if (w.count > WORDS_MAX)
            improper(shell, &w);
        else
            commands[i].run(shell, &w);
        return true;
    }
    return false;
}
