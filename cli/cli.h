// SPDX-License-Identifier: Apache-2.0
// What the commands of `braid` share: exit codes, options, loading a pipeline, connecting.
//
// Exit codes: 0 done; 1 the command's answer is "no" (errors in the SQL, rows that differ, nothing found); 2 wrong
// usage; 3 could not be done (server, disk, data); 130 interrupted before anything was finished.
#ifndef BR_CLI_CLI_H
#define BR_CLI_CLI_H

#include "processor/log/control.h"
#include "processor/log/nats/jetstream.h"
#include "processor/sql/sql.h"

#include <argp.h>

enum br_exit { BR_EXIT_OK = 0, BR_EXIT_NO = 1, BR_EXIT_USAGE = 2, BR_EXIT_FAILED = 3, BR_EXIT_INTERRUPTED = 130 };

struct br_command {
    const char *name;
    const char *summary;               // one line for `braid --help`
    int (*run)(int argc, char **argv); // argv[0] is "braid NAME"
};

int br_command_check(int argc, char **argv);
int br_command_explain(int argc, char **argv);
int br_command_run(int argc, char **argv);
int br_command_test(int argc, char **argv);
int br_command_capture(int argc, char **argv);
int br_command_publish(int argc, char **argv);
int br_command_tail(int argc, char **argv);
int br_command_query(int argc, char **argv);
int br_command_status(int argc, char **argv);
int br_command_schema(int argc, char **argv);
int br_command_schema_lock(int argc, char **argv); // schema's; argv[0] is "braid schema lock"
int br_command_quarantine(int argc, char **argv);
int br_command_replay(int argc, char **argv);
int br_command_verify(int argc, char **argv);
int br_command_archive(int argc, char **argv);
int br_command_import(int argc, char **argv);
int br_command_reconcile(int argc, char **argv);

// --- a pipeline file: an argp child parser for --name and --descriptors, then loading
#define BR_DESCRIPTORS_MAX 64
struct br_pipeline_arguments {
    const char *name;
    const char *descriptors[BR_DESCRIPTORS_MAX];
    size_t descriptor_count;
};
extern const struct argp br_pipeline_argp; // its input is a struct br_pipeline_arguments
// Reads and binds the file; says what is wrong on stderr (json: on stdout as JSON lines). Returns an exit code.
int br_load_pipeline(const char *path, const struct br_pipeline_arguments *arguments, bool json,
                     struct br_pipeline **ret_pipeline);
// The same with options of the caller's.
struct br_pipeline_options br_pipeline_options_of(const struct br_pipeline_arguments *arguments);
int br_load_pipeline_with(const char *path, const struct br_pipeline_options *options, bool json,
                          struct br_pipeline **ret_pipeline);

// The same for a command that works on a server's log: a pipeline that runs is what the log says it is. Where the
// binding rules of builds differ about the file, the log is asked by which of them it was planned (over a connection of
// its own); a file that it doesn't know is bound by the newest ones. connect NULL: there is no server to be asked, the
// newest rules that accept the file will do.
int br_load_known_pipeline(const char *path, const struct br_pipeline_options *options,
                           const struct br_connect_options *connect, bool json, struct br_pipeline **ret_pipeline);
// On a log that is open: what it knows by the same text is found too (planned with another lateness, say).
int br_load_pipeline_on(struct br_log *log, const char *path, const struct br_pipeline_options *options,
                        struct br_pipeline **ret_pipeline);
// In two steps, for those that connect in between. Zero-initialised by open; close it whatever came of that.
struct br_sql_file {
    const char *path;
    struct br_buffer text;
    struct br_pipeline_options options;
    struct br_pipeline *by_rules[BR_BINDING_RULES + 1]; // NULL: they refuse it
    bool depends_on_log;
    struct br_diagnostics *diagnostics; // of the newest rules, as all that follows
    enum br_status status;
    struct br_error error;
};
int br_sql_file_open(const char *path, const struct br_pipeline_options *options, struct br_sql_file *file);
const struct br_pipeline *br_sql_file_any(const struct br_sql_file *file); // its name and tables are those of all
// BR_OK with the command's exit code, which isn't BR_EXIT_OK when the file has errors, and the log doesn't know it.
enum br_status br_sql_file_settle(struct br_sql_file *file, struct br_log *log, bool json,
                                  struct br_pipeline **ret_pipeline, int *ret_code, struct br_error *error)
    BR_MUST_CHECK;
void br_sql_file_close(struct br_sql_file *file);

// The whole of a file, with a NUL behind its end; "-" is standard input. Says what is wrong on stderr.
bool br_read_file(const char *path, struct br_buffer *content);

// --- a server: an argp child parser for --server, --context, --creds, … (connect.c), and their environment variables
// (NATS_URL, NATS_CREDS, NATS_NKEY, NATS_USER, NATS_PASSWORD, NATS_TOKEN, NATS_CA, NATS_CERT, NATS_KEY)
extern const struct argp br_connect_argp; // its input is a struct br_connect_options
void br_connect_defaults(struct br_connect_options *options, const char *name);
// What the command line says of these, for another command's: without passwords and tokens.
void br_connect_append_given(struct br_buffer *line,
                             void (*append)(struct br_buffer *line, const char *option, const char *word));
// Connects; says what is wrong on stderr. NULL on failure. The data plane, for who reads whole streams.
struct br_log *br_connect(const struct br_connect_options *options);
// The same by the control plane (br_log_connect_control), for all the rest.
struct br_log *br_connect_control(const struct br_connect_options *options);
// To ask workers; NULL, and the words are said.
struct br_control *br_open_control(const struct br_connect_options *options);

// A stream named IN_<pipeline>_<table> for every table whose subject no stream holds yet.
enum br_status br_make_input_streams(struct br_log *log, const struct br_pipeline *pipeline, struct br_error *error)
    BR_MUST_CHECK;

// Set by SIGINT and SIGTERM once br_catch_signals has been called; a second signal ends the process at once.
extern const char *br_program_version; // main says it
extern struct br_flag br_stop_requested;
void br_catch_signals(void);

void br_complain(const char *format, ...) BR_PRINTF(1, 2); // "braid: …" on stderr
int br_fail(const struct br_error *error);                 // complains; returns BR_EXIT_FAILED

#endif
