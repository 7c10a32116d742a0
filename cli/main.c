// SPDX-License-Identifier: Apache-2.0
// The `braid` command: one program, a command each.
#include "cli/cli.h"

#include <stdio.h>

static const struct br_command commands[] = {
    {"run", "run a pipeline: follow its inputs and publish its views", br_command_run},
    {"check", "report every error of a pipeline's SQL", br_command_check},
    {"explain", "show the operators, keys and state of a pipeline", br_command_explain},
    {"test", "run a pipeline over a file of events, without a server", br_command_test},
    {"capture", "write a slice of history as events for test", br_command_capture},
    {"publish", "publish JSON lines or CSV as events of a table", br_command_publish},
    {"tail", "follow the changes of a view", br_command_tail},
    {"query", "ask a SELECT: a running worker, or history", br_command_query},
    {"status", "show where a running worker is", br_command_status},
    {"schema", "print the protobuf schema of tables and views, or lock its field numbers", br_command_schema},
    {"quarantine", "list and show quarantined and late events", br_command_quarantine},
    {"replay", "run history again, compare, promote and roll back", br_command_replay},
    {"verify", "is the state on this machine what was written, and what the log says?", br_command_verify},
    {"archive", "list, check and print archived history", br_command_archive},
    {"import", "put existing data before a table's stream", br_command_import},
    {"reconcile", "are the live results what history gives? once, or every day", br_command_reconcile},
};
#define COMMAND_COUNT (sizeof commands / sizeof commands[0])

static void print_help(FILE *out) {
    fprintf(
        out,
        "Usage: braid COMMAND [OPTION…]\n\nA stream processor for NATS JetStream: SQL in, exactly-once views out.\n\n");
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        fprintf(out, "  %-11s %s\n", commands[i].name, commands[i].summary);
    fprintf(out, "\nbraid COMMAND --help tells the options of a command.\n"
                 "Exit status: 0 done, 1 the answer is no, 2 wrong usage, 3 it could not be done, 130 interrupted.\n");
}

static const struct br_command *find_command(const char *name) {
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

int main(int argc, char **argv) {
    br_program_version = BRAID_VERSION;
    if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0) {
        print_help(argc < 2 ? stderr : stdout);
        return argc < 2 ? BR_EXIT_USAGE : BR_EXIT_OK;
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("braid %s\n", BRAID_VERSION);
        return BR_EXIT_OK;
    }
    const struct br_command *command = find_command(argv[1]);
    if (command == NULL) {
        br_complain("there is no command '%s'; braid --help lists them", argv[1]);
        return BR_EXIT_USAGE;
    }
    char name[64];
    snprintf(name, sizeof name, "braid %s", command->name);
    argp_err_exit_status = BR_EXIT_USAGE;
    argv[1] = name;
    return command->run(argc - 1, argv + 1);
}
