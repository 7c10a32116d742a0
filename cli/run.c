// SPDX-License-Identifier: Apache-2.0
// braid run: a worker in the foreground.
#include "base/logging.h"
#include "cli/cli.h"
#include "processor/pipeline_text.h"
#include "processor/worker.h"
#include "replay/archiver.h"
#include "replay/history.h"
#include "replay/host.h"
#include "replay/remote_history.h"
#include "replay/upgrade.h"

#include <limits.h>
#include <malloc.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEV_PORT 4222 // where the other commands look; another one when it is taken

// What is read ahead is memory beyond the budget; an epoch takes no more than 2 MiB at a time.
#define READ_AHEAD_BYTES ((size_t)8 << 20)       // all readers together,
#define READ_AHEAD_BYTES_LEAST ((size_t)1 << 20) // and one at least

#define SETTLE_WAIT_US INT64_C(1000000)
#define CONNECT_PAUSE_US 100000
#define LARGE_BUFFER_BYTES (512 << 10) // are mapped, and unmapped when freed

struct arguments {
    struct br_pipeline_arguments pipeline;
    struct br_connect_options connect;
    const char *path, *data;
    bool dev, json_log, memory;
    bool private_server; // --dev has started one
    enum br_level level;
    size_t budget_bytes;
    uint32_t epoch_messages;
    int64_t epoch_time_us, query_time_us, progress_us, archive_us;
    uint64_t query_rows_max;
    size_t query_memory_bytes;
    int replicas;
};

enum {
    KEY_DATA = 256,
    KEY_DEV,
    KEY_BUDGET,
    KEY_ROWS,
    KEY_TIME,
    KEY_QUERY_TIME,
    KEY_QUERY_ROWS,
    KEY_QUERY_MEMORY,
    KEY_LEVEL,
    KEY_LOG_JSON,
    KEY_PROGRESS,
    KEY_REPLICAS,
    KEY_MEMORY,
    KEY_ARCHIVE,
    KEY_CONNECTIONS
};

static const struct argp_option options[] = {
    {"data", KEY_DATA, "DIR", 0, "Folder for state (default: <pipeline>.braid-data)", 0},
    {"dev", KEY_DEV, NULL, 0, "Start a private nats-server and make the input streams, when no --server is given", 0},
    {"state-memory", KEY_BUDGET, "MIB", 0, "Memory for hot state, in MiB (default 256)", 0},
    {"epoch-rows", KEY_ROWS, "N", 0, "At most N messages an epoch (default: adaptive)", 0},
    {"epoch-time", KEY_TIME, "MS", 0, "Keep epochs shorter than this many milliseconds (default 100)", 0},
    {"query-time", KEY_QUERY_TIME, "MS", 0, "End a query that takes more than this many milliseconds (default 1000)",
     0},
    {"query-rows", KEY_QUERY_ROWS, "N", 0, "At most N rows for a query (default 1000000)", 0},
    {"query-memory", KEY_QUERY_MEMORY, "MIB", 0, "Memory for a query, and for its answer, in MiB (default 64)", 0},
    {"replicas", KEY_REPLICAS, "N", 0, "Replicas of the output stream, when it is made (default 1)", 0},
    {"memory", KEY_MEMORY, NULL, 0, "Keep the output stream in the server's memory, when it is made", 0},
    {"archive-every", KEY_ARCHIVE, "SECONDS", 0, "Close archived segments at least this often (default 60)", 0},
    {"connections", KEY_CONNECTIONS, "N", 0, "At most N connections to read with, shared by all tables (default 4)", 0},
    {"log-level", KEY_LEVEL, "LEVEL", 0, "debug, info, warn or error (default info)", 0},
    {"log-json", KEY_LOG_JSON, NULL, 0, "Log as JSON lines", 0},
    {"progress", KEY_PROGRESS, "SECONDS", 0, "A log line of progress this often (default 10; 0: none)", 0},
    {0},
};

static int64_t parse_number(const char *text, int64_t least, int64_t most, const char *what, struct argp_state *state) {
    char *end;
    long long value = strtoll(text, &end, 10);
    if (end == text || *end != '\0' || value < least || value > most)
        argp_error(state, "%s takes a number from %lld to %lld, not '%s'", what, (long long)least, (long long)most,
                   text);
    return value;
}

static error_t parse(int key, char *argument, struct argp_state *state) {
    struct arguments *arguments = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &arguments->pipeline;
        state->child_inputs[1] = &arguments->connect;
        return 0;
    case KEY_DATA:
        arguments->data = argument;
        return 0;
    case KEY_DEV:
        arguments->dev = true;
        return 0;
    case KEY_BUDGET:
        arguments->budget_bytes = (size_t)parse_number(argument, 1, 1 << 20, "--state-memory", state) << 20;
        return 0;
    case KEY_ROWS:
        arguments->epoch_messages = (uint32_t)parse_number(argument, 1, UINT32_MAX, "--epoch-rows", state);
        return 0;
    case KEY_TIME:
        arguments->epoch_time_us = parse_number(argument, 1, 3600000, "--epoch-time", state) * 1000;
        return 0;
    case KEY_QUERY_TIME:
        arguments->query_time_us = parse_number(argument, 1, 3600000, "--query-time", state) * 1000;
        return 0;
    case KEY_QUERY_ROWS:
        arguments->query_rows_max = (uint64_t)parse_number(argument, 1, UINT32_MAX, "--query-rows", state);
        return 0;
    case KEY_QUERY_MEMORY:
        arguments->query_memory_bytes = (size_t)parse_number(argument, 1, 1 << 20, "--query-memory", state) << 20;
        return 0;
    case KEY_REPLICAS:
        arguments->replicas = (int)parse_number(argument, 1, 5, "--replicas", state);
        return 0;
    case KEY_MEMORY:
        arguments->memory = true;
        return 0;
    case KEY_ARCHIVE:
        arguments->archive_us = parse_number(argument, 1, 86400, "--archive-every", state) * BR_US_PER_SECOND;
        return 0;
    case KEY_CONNECTIONS:
        arguments->connect.reader_connections =
            (uint32_t)parse_number(argument, 1, BR_READER_CONNECTIONS_MAX, "--connections", state);
        return 0;
    case KEY_LEVEL:
        if (!br_log_level_parse(argument, &arguments->level))
            argp_error(state, "--log-level is debug, info, warn or error, not '%s'", argument);
        return 0;
    case KEY_LOG_JSON:
        arguments->json_log = true;
        return 0;
    case KEY_PROGRESS:
        arguments->progress_us = parse_number(argument, 0, 86400, "--progress", state) * BR_US_PER_SECOND;
        return 0;
    case ARGP_KEY_ARG:
        if (arguments->path != NULL)
            argp_error(state, "one PIPELINE.sql, please");
        arguments->path = argument;
        return 0;
    case ARGP_KEY_END:
        if (arguments->path == NULL)
            argp_error(state, "which PIPELINE.sql?");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static enum br_status start_dev_server(struct arguments *arguments, struct br_private_server **ret_server,
                                       struct br_error *error) {
    static char store[PATH_MAX];
    mkdir(arguments->data, 0700);
    snprintf(store, sizeof store, "%s/nats", arguments->data);
    BR_TRY(br_private_server_start(store, false, DEV_PORT, ret_server, error));
    arguments->connect.url = br_private_server_url(*ret_server);
    bool where_they_look = strcmp(arguments->connect.url, "nats://127.0.0.1:4222") == 0;
    fprintf(stderr, "braid: private nats-server at %s\n", arguments->connect.url);
    if (!where_they_look)
        fprintf(stderr, "for the other commands: export NATS_URL=%s\n", arguments->connect.url);
    return BR_OK;
}

// A worker may be started before its server: it waits for it as it waits for one that went away.
static enum br_status connect_patiently(const struct br_connect_options *connect, struct br_log **ret_log,
                                        struct br_error *error) {
    struct br_log_pace pace = {0};
    enum br_status status;
    while (status = br_log_connect_jetstream(connect, ret_log, error),
           br_log_may_pass(status, error) && !br_flag_is_set(&br_stop_requested)) {
        br_log_paced(&pace, BR_LEVEL_WARN, "waiting for the server", BR_STR("why", error->message));
        usleep(CONNECT_PAUSE_US); // a server that takes the connection and drops it costs no more than one that is away
    }
    return status;
}

// A word of a command line.
static void append_word(struct br_buffer *line, const char *option, const char *word) {
    bool plain = word[0] != '\0' && word[strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                                      "_-+=:,./@%")] == '\0';
    br_buffer_printf(line, "%s%s%s", option, option[0] == '\0' ? " " : "", plain ? "" : "'");
    for (; *word != '\0'; word++)
        br_buffer_append_text(line, *word == '\'' && !plain ? "'\\''" : (const char[]){*word, '\0'});
    br_buffer_append_text(line, plain ? "" : "'");
}

static void append_connection(struct br_buffer *line, const struct arguments *arguments) {
    if (arguments->private_server)
        append_word(line, " --server ", arguments->connect.url);
    br_connect_append_given(line, append_word);
}

// The commands that roll a changed file out; where field numbers move, first what keeps them, as the replay is refused
// until then.
static void tell_roll_out(const struct arguments *arguments, const struct br_upgrade *upgrade) {
    struct br_buffer BR_CLEANUP(br_buffer_free) connection = {0}, file = {0}, mend = {0};
    append_connection(&connection, arguments);
    append_word(&file, " --pipeline ", arguments->path);
    for (size_t i = 0; i < arguments->pipeline.descriptor_count; i++)
        append_word(&file, " --descriptors ", arguments->pipeline.descriptors[i]);
    br_upgrade_mend(upgrade, arguments->path, NULL, br_buffer_slice(&connection), &mend);
    bool moves = upgrade->move_count != 0;
    fprintf(
        stderr,
        "%.*s%s:\nbraid replay start %s%.*s%.*s --wait\nthen, with the name that it prints:\nbraid replay promote %s "
        "NAME%.*s\n",
        (int)mend.len, (const char *)mend.ptr,
        moves ? "then roll it out, while a worker runs the former file, with (and with --allow-incompatible as it is, "
                "where nobody has the former schema)"
              : "roll it out, while a worker runs the former file, with",
        upgrade->after->name, (int)file.len, (const char *)file.ptr, (int)connection.len, (const char *)connection.ptr,
        upgrade->after->name, (int)connection.len, (const char *)connection.ptr);
}

// A worker that refuses a changed file says what the change means, when the former text can be found.
static void tell_upgrade(const struct arguments *arguments, struct br_log *log, const struct br_pipeline *pipeline) {
    struct br_error error;
    struct br_pipeline *former = NULL;
    uint64_t hash;
    if (log == NULL || br_pipeline_text_of_owner(log, pipeline->name, &hash, &former, &error) != BR_OK ||
        former == NULL)
        return;
    if (hash != pipeline->plan_hash) {
        struct br_upgrade *upgrade = br_upgrade_compare(former, pipeline);
        struct br_buffer BR_CLEANUP(br_buffer_free) text = {0};
        br_upgrade_print(upgrade, false, &text);
        fprintf(stderr, "%.*s", (int)text.len, (const char *)text.ptr);
        tell_roll_out(arguments, upgrade);
        br_upgrade_destroy(&upgrade);
    }
    br_pipeline_destroy(&former);
}

// The way out of a refusal: the command that goes with the one that was given. native: the refusal's.
static void tell_rebuild(const struct arguments *arguments, int native) {
    struct br_buffer BR_CLEANUP(br_buffer_free) line = {0};
    append_word(&line, "", arguments->path);
    if (arguments->pipeline.name != NULL)
        append_word(&line, " --name ", arguments->pipeline.name);
    for (size_t i = 0; i < arguments->pipeline.descriptor_count; i++)
        append_word(&line, " --descriptors ", arguments->pipeline.descriptors[i]);
    append_connection(&line, arguments);
    append_word(&line, " --data ", arguments->data);
    br_buffer_append_text(&line, native == BR_TASK_OTHERWISE ? "" : " --epochs fresh");
    br_buffer_append_text(&line, native == BR_LOG_LOST ? " --from oldest" : "");
    fprintf(stderr,
            "%sWhat it would read and change: braid replay rebuild%.*s --dry-run\n"
            "then, with the same words:\nbraid replay rebuild%.*s\n",
            native == BR_TASK_OTHERWISE ? "nothing was changed. " : "", (int)line.len, (const char *)line.ptr,
            (int)line.len, (const char *)line.ptr);
    if (arguments->dev)
        fprintf(stderr,
                "(the private server has ended with this worker: nats-server -js -sd %s/nats runs one like it)\n",
                arguments->data);
}

static enum br_status connect_archiver(void *context, struct br_log **ret_log, struct br_error *error) {
    return br_log_connect_jetstream(context, ret_log, error);
}

struct status_of {
    struct br_archiver_thread *archiver; // NULL: nothing is archived
    struct br_host *host;
    struct br_control *control;
};

static void add_status(void *context, struct br_buffer *out) {
    struct status_of *of = context;
    if (of->archiver != NULL)
        br_archiver_add_status(of->archiver, out);
    br_host_add_status(of->host, out);
    br_buffer_append_text(out, ",\"control\":");
    br_control_status(of->control, out);
}

// What the log has of the file otherwise than it says now.
static void tell_known(const struct br_pipeline *pipeline) {
    if (pipeline->rules != BR_BINDING_RULES)
        br_log_line(BR_LEVEL_INFO, "the file is bound by the rules of the build that planned it",
                    BR_STR("pipeline", pipeline->name), BR_INT("rules", pipeline->rules));
    if (pipeline->lateness_set)
        br_log_line(BR_LEVEL_WARN,
                    "a promoted replay has given the views with windows another lateness than the file says",
                    BR_STR("pipeline", pipeline->name), BR_INT("lateness_ms", pipeline->lateness_us / 1000));
}

// Which of the file's plans is the log's shows once the log can be asked: as patiently as for the server.
static enum br_status settle_file(struct br_sql_file *file, struct br_log *log, struct br_pipeline **ret_pipeline,
                                  int *ret_code, struct br_error *error) {
    enum br_status status;
    while (status = br_sql_file_settle(file, log, false, ret_pipeline, ret_code, error),
           br_log_may_pass(status, error) && !br_flag_is_set(&br_stop_requested)) {
        br_log_line(BR_LEVEL_WARN, "waiting for the server", BR_STR("why", error->message));
        br_log_wait(log, SETTLE_WAIT_US);
    }
    if (*ret_pipeline != NULL)
        tell_known(*ret_pipeline);
    return status;
}

// What is asked of the worker, by its task and by its host of replays. Both are there longer than who fills them.
struct service {
    struct br_control *control;
    struct br_requests *requests, *questions;
};

static enum br_status open_service(const struct arguments *arguments, const struct br_pipeline *pipeline,
                                   struct service *service, struct br_error *error) {
    char description[300];
    snprintf(description, sizeof description, "the pipeline %s", pipeline->name);
    struct br_control_service told = {.name = "braid", .version = br_program_version, .description = description};
    BR_TRY(br_control_open(&arguments->connect, &told, &service->control, error));
    br_task_serve(service->control, pipeline->name, service->requests);
    br_remote_history_serve(service->control, pipeline->name, service->questions);
    return BR_OK;
}

static enum br_status make_input_streams(const struct arguments *arguments, const struct br_pipeline *pipeline,
                                         struct br_error *error) {
    struct br_log *log = NULL;
    BR_TRY(br_log_connect_control(&arguments->connect, &log, error));
    enum br_status status = br_make_input_streams(log, pipeline, error);
    br_log_close(&log);
    return status;
}

static int run_pipeline(struct arguments *arguments, const struct br_pipeline *pipeline, struct br_log *log) {
    struct br_error error;
    enum br_status status = arguments->dev ? make_input_streams(arguments, pipeline, &error) : BR_OK;
    struct br_archiver_thread *archiver = NULL;
    if (status == BR_OK && br_archiver_needed(pipeline)) {
        struct br_archiver_options archiving = {.pipeline = pipeline,
                                                .roll_us = arguments->archive_us,
                                                .connect = connect_archiver,
                                                .connect_context = &arguments->connect};
        status = br_archiver_start(&archiving, &archiver, &error);
    }
    if (status == BR_OK)
        status = br_worker_clear_checkpoints(arguments->data, pipeline->name, &error);
    struct br_history *history = NULL;
    struct br_host *host = NULL;
    char name[128];
    br_worker_name(name, sizeof name);
    struct service service = {.requests = br_requests_create(), .questions = br_requests_create()};
    if (status == BR_OK)
        status = open_service(arguments, pipeline, &service, &error);
    if (status == BR_OK)
        status = br_history_create(pipeline, &history, &error);
    if (status == BR_OK) {
        struct br_host_options hosting = {.connect = arguments->connect,
                                          .control = service.control,
                                          .questions = service.questions,
                                          .pipeline = pipeline,
                                          .data_path = arguments->data,
                                          .worker = name,
                                          .state_budget_bytes = arguments->budget_bytes};
        status = br_host_start(&hosting, &host, &error);
    }
    if (status == BR_OK) {
        br_log_set_cancel(log, NULL);
        struct status_of status_of = {archiver, host, service.control};
        struct br_worker_options worker = {.pipeline = pipeline,
                                           .name = name,
                                           .log = log,
                                           .requests = service.requests,
                                           .data_path = arguments->data,
                                           .open_input = br_history_open_input,
                                           .input_context = history,
                                           .successor = br_host_take,
                                           .finish_takeover = br_host_finish_takeover,
                                           .graft = br_host_graft,
                                           .replay_context = host,
                                           .state_budget_bytes = arguments->budget_bytes,
                                           .epoch_messages = arguments->epoch_messages,
                                           .epoch_time_us = arguments->epoch_time_us,
                                           .query_time_us = arguments->query_time_us,
                                           .query_rows_max = arguments->query_rows_max,
                                           .query_memory_bytes = arguments->query_memory_bytes,
                                           .output_replicas = arguments->replicas,
                                           .output_memory = arguments->memory,
                                           .stop = &br_stop_requested,
                                           .progress_interval_us = arguments->progress_us,
                                           .add_status = add_status,
                                           .status_context = &status_of};
        status = br_worker_run(&worker, &error);
    }
    br_host_stop(&host);
    br_control_close(&service.control);
    br_requests_destroy(&service.requests);
    br_requests_destroy(&service.questions);
    br_archiver_stop(&archiver);
    br_history_destroy(&history);
    // The last words are those that somebody has to act on: nobody else writes lines any more.
    int code = status == BR_OK ? BR_EXIT_OK : br_fail(&error);
    if (status == BR_FATAL &&
        (error.native == BR_TASK_OTHERWISE || error.native == BR_LOG_CHANGED || error.native == BR_LOG_LOST))
        tell_rebuild(arguments, error.native);
    else if (status == BR_FATAL)
        tell_upgrade(arguments, log, pipeline);
    if (status == BR_RETRY && br_flag_is_set(&br_stop_requested))
        code = BR_EXIT_INTERRUPTED; // before its last commit was acknowledged: the next start sees to it
    return code;
}

// All readers share what may be read ahead, however many there are.
static void share_read_ahead(struct arguments *arguments, const struct br_sql_file *file) {
    uint32_t tables = br_sql_file_any(file)->table_count;
    size_t share = READ_AHEAD_BYTES / (tables == 0 ? 1 : tables);
    arguments->connect.reader_queue_bytes = share < READ_AHEAD_BYTES_LEAST ? READ_AHEAD_BYTES_LEAST : share;
}

static int run_worker(struct arguments *arguments, struct br_sql_file *file) {
    struct br_error error;
    struct br_private_server *server = NULL;
    struct br_log *log = NULL;
    struct br_pipeline *pipeline = NULL;
    share_read_ahead(arguments, file);
    arguments->private_server = arguments->dev && arguments->connect.url == NULL;
    enum br_status status = br_control_check(&arguments->connect, &error);
    if (status == BR_OK && arguments->private_server)
        status = start_dev_server(arguments, &server, &error);
    if (status == BR_OK)
        status = connect_patiently(&arguments->connect, &log, &error);
    int code = BR_EXIT_OK;
    if (status == BR_OK)
        status = settle_file(file, log, &pipeline, &code, &error);
    if (status != BR_OK)
        code = br_fail(&error);
    if (status == BR_RETRY && br_flag_is_set(&br_stop_requested))
        code = BR_EXIT_INTERRUPTED;
    if (code == BR_EXIT_OK)
        code = run_pipeline(arguments, pipeline, log);
    br_pipeline_destroy(&pipeline);
    br_log_close(&log);
    br_private_server_stop(&server);
    return code;
}

int br_command_run(int argc, char **argv) {
    static const struct argp_child children[] = {
        {&br_pipeline_argp, 0, NULL, 0}, {&br_connect_argp, 0, "Server:", 2}, {0}};
    static const struct argp argp = {
        options,
        parse,
        "PIPELINE.sql",
        "Runs a pipeline: reads its tables' streams, keeps its views and publishes their changes, exactly once.\vStop "
        "it with "
        "Ctrl-C or SIGTERM: it commits, writes its state and ends. Killed any other way it recovers from the log.",
        children,
        NULL,
        NULL};
    struct arguments arguments = {.level = BR_LEVEL_INFO, .progress_us = 10 * BR_US_PER_SECOND};
    br_connect_defaults(&arguments.connect, "braid run");
    argp_parse(&argp, argc, argv, 0, NULL, &arguments);
    br_log_configure(arguments.level, arguments.json_log);
    struct br_pipeline_options loading = br_pipeline_options_of(&arguments.pipeline);
    struct br_sql_file file;
    char data[PATH_MAX];
    int code = br_sql_file_open(arguments.path, &loading, &file);
    if (code == BR_EXIT_OK && arguments.data == NULL) {
        snprintf(data, sizeof data, "%s.braid-data", br_sql_file_any(&file)->name);
        arguments.data = data;
    }
    // An epoch's large buffers go back to the system when they are freed, and don't stay as holes in the heap.
    mallopt(M_MMAP_THRESHOLD, LARGE_BUFFER_BYTES);
    br_catch_signals();
    if (code == BR_EXIT_OK)
        code = run_worker(&arguments, &file);
    br_sql_file_close(&file);
    return code;
}
