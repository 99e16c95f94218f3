/* ringlet help, ringlet version: made from the table of commands, so that they agree with it. */
#include <stdio.h>
#include <unistd.h>

#include "cli/cli_private.h"
#include "config.h"

const char *cli_extension(char path[4096])
{
    static const char *const places[] = {"", "../lib/ringlet/"}; /* a build's, an installation's */
    char program[2048];
    ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);
    program[n > 0 ? n : 0] = 0;
    char *slash = strrchr(program, '/');
    for (size_t i = 0; slash && i < BASE_COUNT(places); i++) {
        slash[1] = 0;
        snprintf(path, 4096, "%s%sringlet.so", program, places[i]);
        if (access(path, R_OK) == 0) {
            path[strlen(path) - 3] = 0; /* SQLite adds it */
            return path;
        }
    }
    return "ringlet";
}

static void list_commands(void)
{
    puts("Cassandra's data model for SQLite: a node, and its tools.\n");
    puts("usage: ringlet [--host HOST] [--port 7000] [--json] [--secret-file FILE] COMMAND …\n");
    for (size_t i = 0; i < cli_command_count; i++)
        printf("  %-16s %s\n", cli_commands[i].name, cli_commands[i].summary);
    puts("\nOf a node that speaks https (internode_encryption: all): --ssl, or --cacert FILE; with "
         "mutual TLS also --cert FILE --key FILE.");
    char path[4096];
    printf("\nringlet help COMMAND says more. In SQLite: .load %s\n", cli_extension(path));
}

int cli_help(const struct cli_options *options, const struct cli_command *command, int argc,
             char **argv)
{
    (void)options, (void)command;
    if (argc == 0) {
        list_commands();
        return CLI_OK;
    }
    for (size_t i = 0; i < cli_command_count; i++) {
        const struct cli_command *c = &cli_commands[i];
        if (strcmp(c->name, argv[0]) != 0)
            continue;
        printf("usage: ringlet %s%s%s\n\n%s\n%s%s", c->name, c->arguments[0] ? " " : "",
               c->arguments, c->summary, c->help[0] ? "\n" : "", c->help);
        return CLI_OK;
    }
    return cli_usage(NULL, "there is no command \"%s\"", argv[0]);
}

int cli_version(const struct cli_options *options, const struct cli_command *command, int argc,
                char **argv)
{
    (void)command, (void)argc, (void)argv;
    if (options->json)
        printf("{\"version\": \"%s\"}\n", PACKAGE_VERSION);
    else
        printf("ringlet %s\n", PACKAGE_VERSION);
    return CLI_OK;
}
