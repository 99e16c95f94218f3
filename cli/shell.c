/* ringlet shell: cqlsh's habits (shell_private.h). Options, the connection, where statements come
 * from. */
#include "cli/shell_private.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <strings.h>
#include <termios.h>
#include <unistd.h>

static volatile sig_atomic_t interrupted;

static void on_interrupt(int number)
{
    (void)number;
    interrupted = 1;
}

bool cli_shell_interrupted(const struct cli_shell *shell)
{
    (void)shell;
    return interrupted != 0;
}

void cli_shell_forget_interrupt(void)
{
    interrupted = 0;
}

char *cli_shell_strdup(struct base_slice s)
{
    char *copy = malloc(s.len + 1);
    BASE_ASSERT(copy);
    if (s.len)
        memcpy(copy, s.data, s.len);
    copy[s.len] = 0;
    return copy;
}

void cli_shell_fail(struct cli_shell *shell, const char *fmt, ...)
{
    va_list ap;
    shell->failed = true;
    fflush(shell->out);
    if (shell->colours)
        fputs(CLI_RED, stderr);
    if (shell->input && shell->input->name && shell->input->line)
        fprintf(stderr, "%s:%u:", shell->input->name, shell->input->line);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputs(shell->colours ? CLI_PLAIN "\n" : "\n", stderr);
}

void cli_shell_fail_call(struct cli_shell *shell, int rc, const struct base_err *err)
{
    if (rc == BASE_E_INTERRUPTED) {
        shell->failed = true;
        fputs("\n", stderr);
        return;
    }
    if (rc == BASE_E_TIMEOUT) {
        cli_shell_fail(shell, "OperationTimedOut: %s (--request-timeout says how long to wait)",
                       err->text);
        return;
    }
    cli_shell_fail(shell, "%s", err->text);
    shell->lost = true;
}

/* Passwords. */

char *cli_shell_ask_password(const char *prompt)
{
    struct termios before, silent;
    char line[512];
    FILE *terminal = fopen("/dev/tty", "r+e");
    if (!terminal)
        return NULL;
    if (tcgetattr(fileno(terminal), &before) != 0) {
        fclose(terminal);
        return NULL;
    }
    silent = before;
    silent.c_lflag &= ~(tcflag_t)ECHO;
    tcsetattr(fileno(terminal), TCSAFLUSH, &silent);
    fputs(prompt, terminal);
    fflush(terminal);
    char *got = fgets(line, sizeof line, terminal);
    tcsetattr(fileno(terminal), TCSAFLUSH, &before);
    fputs("\n", terminal);
    fclose(terminal);
    if (got)
        got = cli_shell_strdup(base_slice(line, strcspn(line, "\r\n")));
    explicit_bzero(line, sizeof line);
    return got;
}

/* The connection. */

static int learn_versions(struct cli_shell *shell, struct base_err *err)
{
    struct base_arena arena;
    struct cli_cql_reply reply;
    struct cql_value cells[3];
    base_arena_init(&arena);
    int rc = cli_cql_simple(
        &shell->cql, &arena,
        "SELECT cluster_name, release_version, cql_version FROM system.local WHERE key = 'local'",
        &reply, err);
    struct base_reader rows =
        rc == BASE_OK ? base_reader(reply.result.rows) : base_reader((struct base_slice){0});
    if (rc == BASE_OK && (reply.result.column_count != 3 || !cql_next_row(&rows, cells, 3)))
        rc = base_err_set(err, BASE_E_INVALID, "system.local has no row");
    if (rc == BASE_OK) {
        free(shell->cluster_name);
        free(shell->release_version);
        free(shell->cql_version);
        shell->cluster_name = cli_shell_strdup(cells[0].bytes);
        shell->release_version = cli_shell_strdup(cells[1].bytes);
        shell->cql_version = cli_shell_strdup(cells[2].bytes);
    }
    base_arena_fini(&arena);
    return rc;
}

static int use_keyspace(struct cli_shell *shell, struct base_err *err)
{
    struct base_arena arena;
    struct cli_cql_reply reply;
    struct base_buf text;
    base_arena_init(&arena);
    base_buf_init(&text, 65536);
    int rc = base_buf_printf(&text, "USE \"%s\"%c", shell->keyspace, 0);
    if (rc == BASE_OK)
        rc = cli_cql_simple(&shell->cql, &arena, (const char *)text.data, &reply, err);
    base_buf_fini(&text);
    base_arena_fini(&arena);
    return rc;
}

int cli_shell_connect(struct cli_shell *shell, struct base_err *err)
{
    cli_cql_close(&shell->cql);
    shell->config.user = shell->user;
    shell->config.password = shell->password;
    int rc = cli_cql_open(&shell->cql, &shell->config, err);
    if (rc != BASE_OK)
        return rc;
    rc = learn_versions(shell, err);
    if (rc == BASE_OK && shell->keyspace)
        rc = use_keyspace(shell, err);
    if (rc != BASE_OK)
        cli_cql_close(&shell->cql);
    shell->lost = rc != BASE_OK;
    return rc;
}

/* Statements. */

void cli_shell_execute(struct cli_shell *shell, struct base_slice statement)
{
    struct base_err err = {0};
    if (shell->lost) {
        int rc = cli_shell_connect(shell, &err);
        if (rc != BASE_OK) {
            cli_shell_fail(shell, "not connected: %s", err.text);
            return;
        }
    }
    if (!cli_shell_command(shell, statement))
        cli_shell_query(shell, statement);
    fflush(stdout);
}

static void make_prompt(const struct cli_shell *shell, bool more, char *out, size_t size)
{
    char who[64] = "";
    if (shell->user)
        snprintf(who, sizeof who, "%.60s@", shell->user);
    if (!more && shell->keyspace)
        snprintf(out, size, "%scqlsh:%s> ", who, shell->keyspace);
    else if (!more)
        snprintf(out, size, "%scqlsh> ", who);
    else
        snprintf(out, size, "%*s... ",
                 (int)(strlen(who) + (shell->keyspace ? strlen(shell->keyspace) + 4 : 3)), "");
}

/* The next line into pending, with its newline. END: there is none. */
static enum cli_edit next_line(struct cli_shell *shell, struct cli_shell_input *input)
{
    struct base_slice line = {0};
    char prompt[256], *text = NULL;
    size_t cap = 0;
    int rc;
    if (input->file) {
        ssize_t n = getline(&text, &cap, input->file);
        if (n < 0) {
            if (ferror(input->file) && !interrupted) /* a directory, a disk that fails */
                cli_shell_fail(shell, "Could not read '%s': %s", input->name, strerror(errno));
            free(text);
            return interrupted ? CLI_EDIT_INTERRUPT : CLI_EDIT_END;
        }
        line = base_slice(text, (size_t)n);
        if (input->line == 0 && n >= 3 &&
            memcmp(text, "\xEF\xBB\xBF", 3) == 0) /* a byte order mark */
            line = base_slice(text + 3, (size_t)n - 3);
    } else if (input->name) {
        const uint8_t *newline = memchr(input->text.data, '\n', input->text.len);
        line = base_slice(input->text.data,
                          newline ? (size_t)(newline - input->text.data) + 1 : input->text.len);
        if (line.len == 0)
            return CLI_EDIT_END;
        input->text = base_slice(input->text.data + line.len, input->text.len - line.len);
    } else {
        make_prompt(shell, input->pending.len > 0, prompt, sizeof prompt);
        enum cli_edit step = cli_editor_line(shell->editor, prompt, &line);
        if (step != CLI_EDIT_LINE)
            return step;
    }
    input->line++;
    rc = base_buf_put_slice(&input->pending, line);
    if (rc == BASE_OK && (line.len == 0 || line.data[line.len - 1] != '\n'))
        rc = base_buf_put_u8(&input->pending, '\n');
    free(text);
    if (rc != BASE_OK) {
        cli_shell_fail(shell, "the statement is too long");
        base_buf_reset(&input->pending);
    }
    return CLI_EDIT_LINE;
}

/* What is left at the end of the input, without blanks and comments around it. */
static struct base_slice last_statement(struct base_slice rest)
{
    struct base_slice all = rest;
    struct cli_token token = cli_token_next(&rest);
    const uint8_t *begin = token.text.data, *end = begin;
    for (; token.kind != CLI_TOKEN_END; token = cli_token_next(&rest))
        end = token.text.data + token.text.len;
    return end > begin ? base_slice(begin, (size_t)(end - begin)) : all;
}

/* Run what is whole in pending and drop it. At the end of the input the rest is run as it is. */
static void run_pending(struct cli_shell *shell, struct cli_shell_input *input, bool at_end)
{
    struct base_slice rest = base_buf_view(&input->pending), statement;
    enum cli_statement_step step = CLI_STATEMENT_NONE;
    while (!shell->stop && !interrupted &&
           (step = cli_statement_next(&rest, &statement)) == CLI_STATEMENT_READY) {
        if (shell->editor && !input->name)
            cli_editor_remember(shell->editor, statement);
        cli_shell_execute(shell, statement);
    }
    if (!shell->stop && !interrupted && step == CLI_STATEMENT_OPEN && at_end) {
        if (input->file || !input->name)
            cli_shell_fail(shell, "Incomplete statement at end of file");
        else /* -e needs no semicolon */
            cli_shell_execute(shell, last_statement(rest));
        rest.len = 0;
    }
    if (step == CLI_STATEMENT_NONE || shell->stop || interrupted)
        rest.len = 0;
    if (rest.len)
        memmove(input->pending.data, rest.data, rest.len);
    input->pending.len = rest.len;
}

void cli_shell_run(struct cli_shell *shell, struct cli_shell_input *input)
{
    struct cli_shell_input *outer = shell->input;
    shell->input = input;
    base_buf_init(&input->pending, 256 << 20);
    while (!shell->stop) {
        enum cli_edit step = next_line(shell, input);
        if (step == CLI_EDIT_LINE)
            run_pending(shell, input, false);
        else if (step == CLI_EDIT_END)
            run_pending(shell, input, true);
        bool was_interrupted = interrupted || step == CLI_EDIT_INTERRUPT;
        if (was_interrupted && input->name) { /* a file ends where it is */
            shell->failed = true;
            break;
        }
        if (was_interrupted) {
            base_buf_reset(&input->pending);
            cli_shell_forget_interrupt();
        }
        if (step == CLI_EDIT_END)
            break;
    }
    if (!input->name && !shell->stop)
        putchar('\n'); /* Ctrl-D */
    base_buf_fini(&input->pending);
    shell->input = outer;
}

/* The command. */

struct arguments {
    const char *execute, *file;
    bool no_history, force_tty, colours, no_colours;
};

static bool milliseconds(const char *text, int *out)
{
    char *end;
    double seconds = strtod(text, &end);
    if (end == text || *end || !(seconds > 0) || seconds > 1e6)
        return false;
    *out = (int)(seconds * 1000);
    return true;
}

static int set_port(const struct cli_command *command, const char *text, struct cli_shell *shell)
{
    char *end;
    unsigned long port = strtoul(text, &end, 10);
    if (!*text || *end || port == 0 || port > 65535 || *text == '-')
        return cli_usage(command, "\"%s\" is no port", text);
    shell->config.port = (uint16_t)port;
    return CLI_OK;
}

static int set_version(const struct cli_command *command, const char *text, struct cli_shell *shell)
{
    char *end;
    long version = strtol(text, &end, 10);
    if (!*text || *end || version < CQL_WIRE_VERSION_MIN || version > CQL_WIRE_VERSION_MAX)
        return cli_usage(command, "--protocol-version takes 3, 4 or 5");
    shell->config.version = (int)version;
    return CLI_OK;
}

/* One option; its value in optarg. */
static int take_option(struct cli_shell *shell, struct arguments *a,
                       const struct cli_command *command, int option, char **argv)
{
    switch (option) {
    case 'e':
        a->execute = optarg;
        return CLI_OK;
    case 'f':
        a->file = optarg;
        return CLI_OK;
    case 'u':
        free(shell->user);
        shell->user = cli_shell_strdup(base_slice_str(optarg));
        return CLI_OK;
    case 'p':
        free(shell->password);
        shell->password = cli_shell_strdup(base_slice_str(optarg));
        memset(optarg, 'x', strlen(optarg)); /* not for ps to show */
        return CLI_OK;
    case 'k':
        free(shell->keyspace);
        shell->keyspace = cli_shell_strdup(base_slice_str(optarg));
        return CLI_OK;
    case 'C':
        a->colours = true;
        return CLI_OK;
    case 'N':
        a->no_colours = true;
        return CLI_OK;
    case 't':
    case 'T':
        a->force_tty = true;
        return CLI_OK;
    case 'H':
        a->no_history = true;
        return CLI_OK;
    case 'V':
        return set_version(command, optarg, shell);
    case 'R':
        return milliseconds(optarg, &shell->config.request_timeout_ms)
                   ? CLI_OK
                   : cli_usage(command, "--request-timeout takes seconds");
    case 'S':
        shell->config.ssl = true;
        return CLI_OK;
    case 'A':
        shell->config.ssl = true;
        shell->config.tls.ca = optarg;
        return CLI_OK;
    case 'c':
        shell->config.ssl = true;
        shell->config.tls.certificate = optarg;
        return CLI_OK;
    case 'K':
        shell->config.tls.key = optarg;
        return CLI_OK;
    case 'L':
        shell->config.cql_version = optarg;
        return CLI_OK;
    case 'E':
        return strcasecmp(optarg, "utf-8") == 0 || strcasecmp(optarg, "utf8") == 0
                   ? CLI_OK
                   : cli_usage(command, "--encoding: only UTF-8 is known here");
    case 'O':
        return milliseconds(optarg, &shell->config.connect_timeout_ms)
                   ? CLI_OK
                   : cli_usage(command, "--connect-timeout takes seconds");
    default:
        return cli_usage(command, "unknown or incomplete option %s", argv[optind - 1]);
    }
}

static int parse(struct cli_shell *shell, struct arguments *a, const struct cli_command *command,
                 int argc, char **argv)
{
    static const struct option options[] = {
        {"execute", required_argument, NULL, 'e'},
        {"file", required_argument, NULL, 'f'},
        {"username", required_argument, NULL, 'u'},
        {"password", required_argument, NULL, 'p'},
        {"keyspace", required_argument, NULL, 'k'},
        {"color", no_argument, NULL, 'C'},
        {"no-color", no_argument, NULL, 'N'},
        {"tty", no_argument, NULL, 'T'},
        {"disable-history", no_argument, NULL, 'H'},
        {"protocol-version", required_argument, NULL, 'V'},
        {"request-timeout", required_argument, NULL, 'R'},
        {"connect-timeout", required_argument, NULL, 'O'},
        {"ssl", no_argument, NULL, 'S'},
        {"cacert", required_argument, NULL, 'A'},
        {"cert", required_argument, NULL, 'c'},
        {"key", required_argument, NULL, 'K'},
        {"cqlversion", required_argument, NULL, 'L'},
        {"encoding", required_argument, NULL, 'E'},
        {NULL, 0, NULL, 0},
    };
    int option, rc = CLI_OK, place = 0;
    char **words = argv - 1; /* getopt begins behind a program's name */
    opterr = 0;
    optind = 0;
    while (rc == CLI_OK &&
           (option = getopt_long(argc + 1, words, "e:f:u:p:k:Ct", options, NULL)) != -1)
        rc = take_option(shell, a, command, option, words);
    for (; rc == CLI_OK && optind < argc + 1; optind++, place++) {
        if (place == 0)
            shell->config.host = words[optind];
        else if (place == 1)
            rc = set_port(command, words[optind], shell);
        else
            rc = cli_usage(command, "what is \"%s\"?", words[optind]);
    }
    return rc;
}

static int start(struct cli_shell *shell, const struct arguments *a, struct base_err *err)
{
    if (shell->user && !shell->password) {
        shell->password = cli_shell_ask_password("Password: ");
        if (!shell->password && interrupted)
            return base_err_set(err, BASE_E_INTERRUPTED, "no password was given");
        if (!shell->password)
            return base_err_set(err, BASE_E_INVALID,
                                "there is no terminal to ask for the password; give -p");
    }
    int rc = cli_shell_connect(shell, err);
    if (rc != BASE_OK || !shell->tty || a->execute || a->file)
        return rc;
    cli_shell_show_host(shell);
    cli_shell_show_version(shell);
    puts("Use HELP for help.");
    return cli_editor_open(shell, !a->no_history, &shell->editor, err);
}

static int run_input(struct cli_shell *shell, const struct arguments *a, struct base_err *err)
{
    struct cli_shell_input input = {0};
    if (a->execute) {
        input.name = "<stdin>";
        input.text = base_slice_str(a->execute);
    } else if (a->file) {
        input.name = a->file;
        input.file = fopen(a->file, "re");
        if (!input.file)
            return base_err_set(err, BASE_E_NOTFOUND, "Can't open '%s': %s", a->file,
                                strerror(errno));
    } else if (!shell->editor) {
        input.name = "<stdin>";
        input.file = stdin;
    }
    cli_shell_run(shell, &input);
    if (a->file)
        fclose(input.file);
    return BASE_OK;
}

int cli_shell(const struct cli_options *options, const struct cli_command *command, int argc,
              char **argv)
{
    struct cli_shell shell = {.config = {.host = options->host,
                                         .port = 9042,
                                         .connect_timeout_ms = 5000,
                                         .request_timeout_ms = 10000,
                                         .interrupted = &interrupted,
                                         .ssl = options->ssl,
                                         .tls = {.certificate = options->cert,
                                                 .key = options->key,
                                                 .ca = options->cacert}},
                              .cql = {.fd = -1},
                              .out = stdout,
                              .consistency = NODE_CL_ONE,
                              .serial_consistency = NODE_CL_SERIAL,
                              .paging = true,
                              .page_size = CLI_SHELL_PAGE_SIZE};
    struct arguments a = {0};
    struct base_err err = {0};
    const char *host = getenv("CQLSH_HOST"), *port = getenv("CQLSH_PORT");
    int rc = CLI_OK;
    if (argc > 0 && strcmp(argv[0], "-h") == 0) {
        char *name[] = {(char *)(uintptr_t)command->name};
        return cli_help(options, command, 1, name);
    }
    if (argc > 0 && (strcmp(argv[0], "-v") == 0 || strcmp(argv[0], "--version") == 0))
        return cli_version(options, command, 0, NULL);
    if (host && *host && strcmp(options->host, "127.0.0.1") == 0)
        shell.config.host = host;
    if (port && *port)
        rc = set_port(command, port, &shell);
    if (rc == CLI_OK)
        rc = parse(&shell, &a, command, argc, argv);
    if (rc == CLI_OK) {
        struct sigaction action = {.sa_handler = on_interrupt};
        sigaction(SIGINT, &action, NULL);
        shell.tty = (isatty(STDIN_FILENO) && !a.execute && !a.file) || a.force_tty;
        shell.colours = a.colours || (!a.no_colours && shell.tty && isatty(STDOUT_FILENO));
        int failed = start(&shell, &a, &err);
        if (failed == BASE_OK)
            failed = run_input(&shell, &a, &err);
        rc = failed != BASE_OK ? cli_fail(&err) : shell.failed && !shell.editor ? 2 : CLI_OK;
    }
    cli_editor_close(shell.editor);
    cli_cql_close(&shell.cql);
    if (shell.capture && !cli_shell_end_capture(&shell) && rc == CLI_OK)
        rc = 2;
    free(shell.keyspace);
    free(shell.user);
    free(shell.password);
    free(shell.cluster_name);
    free(shell.release_version);
    free(shell.cql_version);
    return rc;
}
