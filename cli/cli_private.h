/* Inside cli/: a command is a row of a table (cli/main.c) and a function. */
#ifndef CLI_CLI_PRIVATE_H
#define CLI_CLI_PRIVATE_H

#include "node/client.h"

enum { CLI_OK = 0, CLI_FAILED = 1, CLI_USAGE = 2 };

struct cli_options {
    const char *host;
    unsigned short port;
    const char *secret_file;
    bool json;
    bool ssl; /* the node speaks https */
    /* PEM files for it; NULL: the system's authorities, no certificate of ours */
    const char *cacert, *cert, *key;
};

struct cli_command {
    const char *name;
    const char *arguments; /* as the usage line shows them */
    const char *summary;   /* one line */
    const char *help;      /* the rest of `ringlet help NAME` */
    int (*run)(const struct cli_options *options, const struct cli_command *command, int argc,
               char **argv);
};

extern const struct cli_command cli_commands[];
extern const size_t cli_command_count;

/* "ringlet: …" on stderr; return the exit code. */
int cli_fail(const struct base_err *err);
int cli_usage(const struct cli_command *command, const char *fmt, ...) BASE_PRINTF(2, 3);

/* What to tell sqlite3's .load: the extension beside this program, or where it is installed. */
const char *cli_extension(char path[4096]);

int cli_cluster(const struct cli_options *options, const struct cli_command *command, int argc,
                char **argv);
int cli_help(const struct cli_options *options, const struct cli_command *command, int argc,
             char **argv);
int cli_version(const struct cli_options *options, const struct cli_command *command, int argc,
                char **argv);
int cli_node(const struct cli_options *options, const struct cli_command *command, int argc,
             char **argv);
int cli_nodetool(const struct cli_options *options, const struct cli_command *command, int argc,
                 char **argv);
int cli_shell(const struct cli_options *options, const struct cli_command *command, int argc,
              char **argv);
int cli_stress(const struct cli_options *options, const struct cli_command *command, int argc,
               char **argv);
int cli_sstable(const struct cli_options *options, const struct cli_command *command, int argc,
                char **argv);

#endif
