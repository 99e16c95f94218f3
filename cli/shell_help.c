/* HELP: the shell's commands, one table; of CQL, where to read on. */
#include "cli/shell_private.h"

static const struct topic {
    const char *name, *text, *alias;
} topics[] = {
    {"CAPTURE",
     "CAPTURE '<file>'    append the output of queries to a file, instead of showing it\n"
     "CAPTURE OFF         show it again\n"
     "CAPTURE             what is captured now\n",
     NULL},
    {"CLEAR", "CLEAR, CLS    clear the screen\n", "CLS"},
    {"CONSISTENCY",
     "CONSISTENCY <level>    of the requests that follow: ANY, ONE, TWO, THREE, QUORUM, ALL, "
     "LOCAL_ONE,\n"
     "                       LOCAL_QUORUM, EACH_QUORUM; for SELECT also SERIAL, LOCAL_SERIAL\n"
     "CONSISTENCY            the level now (ONE at the start)\n",
     NULL},
    {"COPY",
     "COPY <table> [(<column>, ...)] TO   '<file>'|STDOUT [WITH <option> = <value> [AND ...]];\n"
     "COPY <table> [(<column>, ...)] FROM '<file>, ...'|STDIN [WITH ...];\n"
     "Of both: HEADER (false), DELIMITER (','), QUOTE ('\"'), ESCAPE ('\\'), NULL (''), "
     "DATETIMEFORMAT, DECIMALSEP ('.'),\n"
     "  THOUSANDSSEP (none), BOOLSTYLE ('True,False'), MAXATTEMPTS (5), REPORTFREQUENCY (0.25), "
     "RATEFILE, ENCODING (utf8, no other)\n"
     "TO: PAGESIZE (1000), PAGETIMEOUT (seconds; 10), BEGINTOKEN, ENDTOKEN, MAXOUTPUTSIZE (-1), "
     "FLOATPRECISION (5),\n"
     "  DOUBLEPRECISION (12)\n"
     "FROM: INGESTRATE (rows a second; 100000), MAXINFLIGHTMESSAGES (512), MAXROWS (-1), SKIPROWS "
     "(0), SKIPCOLS, TTL,\n"
     "  MAXPARSEERRORS (-1), MAXINSERTERRORS (1000), ERRFILE, MAXBACKOFFATTEMPTS (12; when "
     "overloaded), REQUESTTIMEOUT (60)\n"
     "What says in cqlsh how to spread the work over processes and batches is refused, by name.\n"
     "Rows that were not taken are in import_<keyspace>_<table>.err, or in ERRFILE.\n",
     NULL},
    {"DESCRIBE",
     "DESCRIBE (or DESC)\n"
     "  KEYSPACES, TABLES, TYPES, FUNCTIONS, AGGREGATES   their names\n"
     "  KEYSPACE [<keyspace>], TABLE <table>, INDEX <index>, TYPE <type>, MATERIALIZED VIEW "
     "<view>, <name>\n"
     "                                                    statements that make the same again\n"
     "  SCHEMA, FULL SCHEMA                               of everything\n"
     "  CLUSTER                                           name, partitioner, snitch, ranges\n",
     "DESC"},
    {"EXIT", "EXIT, QUIT, Ctrl-D    leave the shell\n", "QUIT"},
    {"EXPAND",
     "EXPAND ON|OFF    a row's columns one below the other\nEXPAND           which it is now\n",
     NULL},
    {"HELP", "HELP [<topic> ...]    this\n", NULL},
    {"HISTORY", "HISTORY [<n>]    the last statements (50)\n", NULL},
    {"LOGIN",
     "LOGIN <user> ['<password>']    as another user; without a password it is asked for\n", NULL},
    {"PAGING",
     "PAGING ON|OFF    results page by page, or whole\nPAGING <n>       with n rows a page "
     "(100)\nPAGING           which it is now\n",
     NULL},
    {"SERIAL",
     "SERIAL CONSISTENCY SERIAL|LOCAL_SERIAL    of conditional writes that follow\n"
     "SERIAL CONSISTENCY                        the level now\n",
     NULL},
    {"SHOW",
     "SHOW VERSION           of the shell, the node, CQL, the protocol\nSHOW HOST              "
     "where it is connected\n"
     "SHOW SESSION <uuid>    a trace\n"
     "SHOW REPLICAS <token> [<keyspace>]    the nodes that have the rows of a token\n",
     NULL},
    {"SOURCE", "SOURCE '<file>'    run the statements in a file; errors do not end it\n", NULL},
    {"TRACING",
     "TRACING ON|OFF    show what each statement did on the nodes\nTRACING           which it is "
     "now\n",
     NULL},
};

void cli_shell_help(struct cli_shell *shell, struct base_slice wanted)
{
    struct base_slice names[BASE_COUNT(topics)];
    struct cli_token token = cli_token_next(&wanted);
    if (token.kind == CLI_TOKEN_END) {
        for (size_t i = 0; i < BASE_COUNT(topics); i++)
            names[i] = base_slice_str(topics[i].name);
        puts("\nDocumented shell commands:\n===========================");
        cli_columnize(stdout, names, BASE_COUNT(topics), 80);
        puts("\nHELP <command> says more. CQL: docs/cql.md, or "
             "https://cassandra.apache.org/doc/5.0/cassandra/reference/cql-commands/\n");
        return;
    }
    for (; token.kind != CLI_TOKEN_END; token = cli_token_next(&wanted)) {
        bool found = false;
        for (size_t i = 0; i < BASE_COUNT(topics); i++) {
            bool same = cli_token_is(&token, topics[i].name) ||
                        (topics[i].alias && cli_token_is(&token, topics[i].alias));
            if (same)
                printf("\n%s\n", topics[i].text);
            found = found || same;
        }
        if (!found)
            cli_shell_fail(shell, "*** No help on %.*s", BASE_SLICE_ARG(token.text));
    }
}
