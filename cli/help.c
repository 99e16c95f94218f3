/* ringlet help, ringlet version: made from the table of commands, so that they agree with it. */
#include <stdio.h>

#include "cli/cli_private.h"
#include "config.h"

static void list_commands(void)
{
    puts("Cassandra's data model for SQLite: a node, and its tools.\n");
    puts("usage: ringlet [--host HOST] [--port 7000] [--json] [--secret-file FILE] COMMAND …\n");
    for (size_t i = 0; i < cli_command_count; i++)
        printf("  %-16s %s\n", cli_commands[i].name, cli_commands[i].summary);
    puts("\nOf a node that speaks https (internode_encryption: all): --ssl, or --cacert FILE; with "
         "mutual TLS also --cert FILE --key FILE.");
    puts("\nringlet help COMMAND says more. In SQLite: .load ringlet");
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
