/* ringlet sstable: the offline tools over files that no node needs to serve. */
#include <stdio.h>

#include "cli/cli_private.h"

static int print(void *ctx, struct base_slice text)
{
    (void)ctx;
    return fwrite(text.data, 1, text.len, stdout) == text.len ? BASE_OK : BASE_E_IO;
}

int cli_sstable(const struct cli_options *options, const struct cli_command *command, int argc,
                char **argv)
{
    struct base_err err = {0};
    if (argc != 2 || (strcmp(argv[0], "dump") != 0 && strcmp(argv[0], "metadata") != 0 &&
                      strcmp(argv[0], "verify") != 0))
        return cli_usage(command, "say what to do and with which directory or file");
    int rc = node_sstable_command(argv[0], argv[1], options->json, print, NULL, &err);
    if (rc == BASE_OK && fflush(stdout) != 0)
        rc = base_err_set(&err, BASE_E_IO, "write to standard output");
    return rc == BASE_OK ? CLI_OK : cli_fail(&err);
}
