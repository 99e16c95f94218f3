/* ringlet node: options of the command line over those of the file; then node_daemon_run. */
#include <stdio.h>

#include "cli/cli_private.h"

enum { OPTIONS_MAX = 128 };

static void write_log(struct base_log *log, enum base_log_level level, const char *text)
{
    static const char *const names[] = {"ERROR", "WARN", "INFO", "DEBUG"};
    (void)log;
    fprintf(stderr, "%-5s %s\n", names[level], text);
}

struct arguments {
    struct node_option options[OPTIONS_MAX];
    char names[OPTIONS_MAX][64];
    size_t count;
};

/* --name=value or --name value */
static int take_option(const struct cli_command *command, struct arguments *a, const char *text,
                       const char *next, bool *took_next)
{
    const char *equals = strchr(text, '=');
    size_t len = strncmp(text, "--", 2) != 0 ? 0
                 : equals                    ? (size_t)(equals - text) - 2
                                             : strlen(text) - 2;
    *took_next = !equals;
    if (len == 0 || len >= sizeof a->names[0])
        return cli_usage(command, "\"%s\" is no --option=value", text);
    if (!equals && !next)
        return cli_usage(command, "%s needs a value", text);
    if (a->count == OPTIONS_MAX)
        return cli_usage(command, "more than %d options", OPTIONS_MAX);
    memcpy(a->names[a->count], text + 2, len);
    a->names[a->count][len] = 0;
    a->options[a->count] = (struct node_option){a->names[a->count], equals ? equals + 1 : next};
    a->count++;
    return CLI_OK;
}

/* Those that are about the program, not the node's options, are taken out again. */
static void take_own(struct arguments *a, struct node_daemon_config *config)
{
    const struct node_option *last = &a->options[a->count - 1];
    const char **value = strcmp(last->name, "config") == 0   ? &config->config_file
                         : strcmp(last->name, "data") == 0   ? &config->node.dir
                         : strcmp(last->name, "listen") == 0 ? &config->listen
                                                             : NULL;
    if (!value)
        return;
    *value = last->value;
    a->count--;
}

int cli_node(const struct cli_options *options, const struct cli_command *command, int argc,
             char **argv)
{
    static struct arguments a;
    struct base_log log = {BASE_LOG_INFO, write_log};
    struct node_daemon_config config = {.node = {.dir = "ringlet-data", .log = &log}};
    struct base_err err = {0};
    (void)options;
    for (int i = 0; i < argc; i++) {
        bool took_next = false;
        if (take_option(command, &a, argv[i], i + 1 < argc ? argv[i + 1] : NULL, &took_next) !=
            CLI_OK)
            return CLI_USAGE;
        i += took_next;
        take_own(&a, &config);
    }
    config.node.options = a.options;
    config.node.option_count = a.count;
    return node_daemon_run(&config, &err) == BASE_OK ? CLI_OK : cli_fail(&err);
}
