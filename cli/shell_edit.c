/* The line editor: libedit, with a history file of the user's own (0600) and completion.
 *
 * 1. While a line is edited, Ctrl-C is a key: it drops the statement. Otherwise it is a signal, and
 *    stops what runs.
 * 2. What may hold a password is not remembered. */
#include "cli/shell_private.h"

#include <errno.h>
#include <fcntl.h>
#include <histedit.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HISTORY_SIZE = 1000 };

struct cli_editor {
    struct cli_shell *shell;
    EditLine *line;
    History *history;
    char *path; /* of the history; NULL: it is not kept */
    const char *prompt;
    bool interrupted;
};

static const char *prompt_of(EditLine *line)
{
    struct cli_editor *e;
    el_get(line, EL_CLIENTDATA, &e);
    return e->prompt;
}

static unsigned char on_interrupt(EditLine *line, int key)
{
    struct cli_editor *e;
    (void)key;
    el_get(line, EL_CLIENTDATA, &e);
    e->interrupted = true;
    fputs("^C\n", stdout);
    return CC_EOF;
}

/* Ctrl-Z: as in any program, but the terminal is the caller's meanwhile. */
static unsigned char on_suspend(EditLine *line, int key)
{
    (void)key;
    el_set(line, EL_PREP_TERM, 0);
    kill(0, SIGTSTP); /* the job, as the terminal would */
    el_set(line, EL_PREP_TERM, 1);
    el_set(line, EL_REFRESH);
    return CC_REDISPLAY;
}

/* The longest beginning that all words have. */
static size_t common_length(const struct cli_completions *c)
{
    size_t len = strlen(c->words[0]);
    for (size_t i = 1; i < c->count; i++) {
        size_t same = 0;
        while (same < len && c->words[i][same] &&
               (c->words[i][same] | 32) == (c->words[0][same] | 32))
            same++;
        len = same;
    }
    return len;
}

static void list_words(const struct cli_completions *c)
{
    struct base_slice *names = calloc(c->count, sizeof *names);
    for (size_t i = 0; names && i < c->count; i++)
        names[i] = base_slice_str(c->words[i]);
    putchar('\n');
    if (names)
        cli_columnize(stdout, names, c->count, 80);
    free(names);
}

static unsigned char on_complete(EditLine *line, int key)
{
    struct cli_editor *e;
    struct base_buf text;
    struct cli_completions c;
    unsigned char answer = CC_ERROR;
    (void)key;
    el_get(line, EL_CLIENTDATA, &e);
    const LineInfo *info = el_line(line);
    base_buf_init(&text, 64 << 20);
    if (base_buf_put_slice(&text, base_buf_view(&e->shell->input->pending)) != BASE_OK ||
        base_buf_put(&text, info->buffer, (size_t)(info->cursor - info->buffer)) != BASE_OK) {
        base_buf_fini(&text);
        return CC_ERROR;
    }
    cli_shell_complete(e->shell, base_buf_view(&text), &c);
    size_t common = c.count ? common_length(&c) : 0;
    if (c.count && (common > c.prefix_len || c.count == 1)) {
        char *word = cli_shell_strdup(base_slice(c.words[0], common));
        const char *blank = c.count == 1 && !strpbrk(word, "('.") ? " " : "";
        if (c.prefix_len)
            el_deletestr(line, (int)c.prefix_len);
        el_insertstr(line, word);
        el_insertstr(line, blank);
        free(word);
        answer = CC_REFRESH;
    } else if (c.count > 1) {
        list_words(&c);
        answer = CC_REDISPLAY;
    }
    cli_completions_fini(&c);
    base_buf_fini(&text);
    return answer;
}

/* $XDG_STATE_HOME/ringlet/shell_history, made when it is not there; NULL: it cannot be, or what is
 * there is another's, or a link to something else: it would be written over. */
static char *history_path(void)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    char path[4096];
    int n;
    if (state && *state)
        n = snprintf(path, sizeof path, "%s", state);
    else if (home && *home)
        n = snprintf(path, sizeof path, "%s/.local/state", home);
    else
        return NULL;
    if (n < 0 || (size_t)n + 32 > sizeof path)
        return NULL;
    for (char *slash = path + 1; (slash = strchr(slash, '/')) != NULL; slash++) {
        *slash = 0;
        mkdir(path, 0700);
        *slash = '/';
    }
    mkdir(path, 0700);
    strcat(path, "/ringlet");
    mkdir(path, 0700);
    strcat(path, "/shell_history");
    struct stat st;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    bool ours = fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid() &&
                st.st_nlink == 1 && fchmod(fd, 0600) == 0;
    if (!ours)
        fprintf(stderr, "No history is kept: %s %s\n", path,
                fd < 0 ? strerror(errno) : "is not a file of yours alone");
    if (fd >= 0)
        close(fd);
    return ours ? cli_shell_strdup(base_slice_str(path)) : NULL;
}

int cli_editor_open(struct cli_shell *shell, bool keep, struct cli_editor **out,
                    struct base_err *err)
{
    struct cli_editor *e = calloc(1, sizeof *e);
    HistEvent event;
    *out = NULL;
    if (e) {
        e->shell = shell;
        e->line = el_init("ringlet", stdin, stdout, stderr);
        e->history = history_init();
    }
    if (!e || !e->line || !e->history) {
        cli_editor_close(e);
        return base_err_set(err, BASE_E_NOMEM, "the line editor");
    }
    el_set(e->line, EL_CLIENTDATA, e);
    el_set(e->line, EL_PROMPT, prompt_of);
    el_set(e->line, EL_EDITOR, "emacs");
    el_set(e->line, EL_HIST, history, e->history);
    el_set(e->line, EL_ADDFN, "shell-interrupt", "Drop the statement", on_interrupt);
    el_set(e->line, EL_ADDFN, "shell-complete", "Complete a word", on_complete);
    el_set(e->line, EL_ADDFN, "shell-suspend", "Stop the job", on_suspend);
    el_set(e->line, EL_BIND, "^C", "shell-interrupt", NULL);
    el_set(e->line, EL_BIND, "^Z", "shell-suspend", NULL);
    el_set(e->line, EL_BIND, "^I", "shell-complete", NULL);
    el_set(e->line, EL_BIND, "^R", "em-inc-search-prev", NULL);
    el_set(e->line, EL_SETTY, "-d", "-isig", NULL); /* while a line is edited */
    history(e->history, &event, H_SETSIZE, HISTORY_SIZE);
    history(e->history, &event, H_SETUNIQUE, 1);
    e->path = keep ? history_path() : NULL;
    if (e->path)
        history(e->history, &event, H_LOAD, e->path);
    *out = e;
    return BASE_OK;
}

void cli_editor_close(struct cli_editor *e)
{
    HistEvent event;
    if (!e)
        return;
    if (e->path)
        history(e->history, &event, H_SAVE, e->path);
    if (e->line)
        el_end(e->line);
    if (e->history)
        history_end(e->history);
    free(e->path);
    free(e);
}

enum cli_edit cli_editor_line(struct cli_editor *e, const char *prompt, struct base_slice *line)
{
    int len = 0;
    e->prompt = prompt;
    e->interrupted = false;
    /* el_gets does so only behind the prompt: a Ctrl-D typed between would be lost */
    el_set(e->line, EL_PREP_TERM, 1);
    const char *text = el_gets(e->line, &len);
    if (e->interrupted)
        return CLI_EDIT_INTERRUPT;
    if (!text || len <= 0)
        return errno == EINTR && cli_shell_interrupted(e->shell) ? CLI_EDIT_INTERRUPT
                                                                 : CLI_EDIT_END;
    *line = base_slice(text, (size_t)len);
    return CLI_EDIT_LINE;
}

static bool may_hold_password(struct base_slice statement)
{
    struct base_slice rest = statement;
    struct cli_token token = cli_token_next(&rest);
    if (cli_token_is(&token, "login"))
        return true;
    while (token.kind != CLI_TOKEN_END) {
        if (cli_token_is(&token, "password"))
            return true;
        token = cli_token_next(&rest);
    }
    return false;
}

void cli_editor_remember(struct cli_editor *e, struct base_slice statement)
{
    HistEvent event;
    if (may_hold_password(statement))
        return;
    char *text = malloc(statement.len + 3);
    if (!text)
        return;
    memcpy(text, statement.data, statement.len);
    text[statement.len] = 0;
    for (size_t i = 0; i < statement.len; i++)
        if (text[i] == '\n')
            text[i] = ' ';
    bool ends_itself = cli_statement_is_shell_word(base_slice(text, strcspn(text, " ;")));
    strcpy(text + statement.len, ends_itself ? "" : ";");
    history(e->history, &event, H_ENTER, text);
    free(text);
}

void cli_editor_history(struct cli_editor *e, FILE *out, int count)
{
    HistEvent event;
    int at = 0;
    for (int rc = history(e->history, &event, H_FIRST); rc != -1 && ++at < count;
         rc = history(e->history, &event, H_NEXT))
        ;
    if (at == 0)
        return;
    if (at < count)
        history(e->history, &event, H_LAST);
    do
        fprintf(out, "%s\n", event.str);
    while (history(e->history, &event, H_PREV) != -1);
}
