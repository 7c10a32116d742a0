// SPDX-License-Identifier: Apache-2.0
// braid query and braid status: questions to a running worker, over NATS requests.
#include "base/json.h"
#include "cli/answer.h"
#include "cli/cli.h"
#include "cli/history.h"
#include "processor/task.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define REQUEST_TIMEOUT_US (30 * BR_US_PER_SECOND)

struct arguments {
    struct br_pipeline_arguments pipeline;
    struct br_connect_options connect;
    const char *words[2];
    int word_count;
    enum br_answer_form form;
    const char *over, *from, *to;
    double watch;
};

// --- the worker's answer: JSON lines, gathered as they come

static enum br_status gather(void *context, struct br_slice part, struct br_error *error) {
    (void)error;
    br_buffer_append_slice(context, part);
    return BR_OK;
}

// A pipeline by its name, or by its SQL file, which says the name.
static int pipeline_name(const struct arguments *arguments, const char *word, char *name, size_t size) {
    size_t len = strlen(word);
    if (len <= 4 || strcmp(word + len - 4, ".sql") != 0) {
        snprintf(name, size, "%s", word);
        return BR_EXIT_OK;
    }
    struct br_pipeline *pipeline = NULL;
    struct br_pipeline_options options = br_pipeline_options_of(&arguments->pipeline);
    int code = br_load_known_pipeline(word, &options, &arguments->connect, false, &pipeline);
    if (code == BR_EXIT_OK)
        snprintf(name, size, "%s", pipeline->name);
    br_pipeline_destroy(&pipeline);
    return code;
}

// Why nobody answers may show where the log is asked: no JetStream, a version that is too old.
static int tell_nobody(const struct arguments *arguments, const struct br_error *nobody) {
    struct br_log *log = br_connect(&arguments->connect);
    if (log == NULL)
        return BR_EXIT_FAILED;
    br_log_close(&log);
    return br_fail(nobody);
}

static int ask(const struct arguments *arguments, struct br_control *control, const char *pipeline, const char *what,
               struct br_slice request, struct br_buffer *answer) {
    char subject[300];
    struct br_error error;
    br_task_service_subject(pipeline, what, subject, sizeof subject);
    if (br_control_request(control, subject, request, REQUEST_TIMEOUT_US, gather, answer, &error) == BR_OK)
        return BR_EXIT_OK;
    br_error_context(&error, "pipeline %s", pipeline);
    return error.native == BR_CONTROL_NOBODY ? tell_nobody(arguments, &error) : br_fail(&error);
}

// --- status

static struct br_slice member_text(const struct br_json *object, const char *name, struct br_arena *arena) {
    struct br_json value;
    if (!br_json_member(object, name, arena, &value) || value.kind == BR_JSON_NULL)
        return br_slice_of("-");
    return value.kind == BR_JSON_STRING ? br_json_string(&value, arena) : value.text;
}

static void print_list(const struct br_json *status, const char *list, const char *const *names, size_t count,
                       struct br_arena *arena) {
    struct br_json array, item;
    struct br_slice name;
    if (!br_json_member(status, list, arena, &array) || array.kind != BR_JSON_ARRAY)
        return;
    struct br_json_walk walk = br_json_begin(&array);
    while (br_json_next(&walk, arena, &name, &item)) {
        for (size_t i = 0; i < count; i++) {
            struct br_slice text = member_text(&item, names[i], arena);
            if (i == 0)
                printf("  %-6.*s %-22.*s", (int)strlen(names[0]), names[0], (int)text.len, (const char *)text.ptr);
            else
                printf("  %s %.*s", names[i], (int)text.len, (const char *)text.ptr);
        }
        putchar('\n');
    }
}

static void print_warnings(const struct br_json *status, const char *list, struct br_arena *arena) {
    struct br_json array, item;
    struct br_slice name;
    if (!br_json_member(status, list, arena, &array) || array.kind != BR_JSON_ARRAY)
        return;
    struct br_json_walk walk = br_json_begin(&array);
    while (br_json_next(&walk, arena, &name, &item)) {
        struct br_slice text = br_json_string(&item, arena);
        printf("%-20s %.*s\n", "warning", (int)text.len, (const char *)text.ptr);
    }
}

static void print_status(struct br_slice answer) {
    struct br_arena *arena = br_arena_create();
    struct br_json status, state;
    if (br_json_parse(answer, &status, NULL) == BR_OK && status.kind == BR_JSON_OBJECT) {
        static const char *const facts[] = {"pipeline",
                                            "lineage",
                                            "worker",
                                            "epoch",
                                            "committed",
                                            "digest",
                                            "lag",
                                            "late",
                                            "quarantined",
                                            "failed",
                                            "rows_out",
                                            "messages_per_second",
                                            "rows_out_per_second",
                                            "last_commit",
                                            "uptime_seconds"};
        for (size_t i = 0; i < sizeof facts / sizeof facts[0]; i++) {
            struct br_slice text = member_text(&status, facts[i], arena);
            printf("%-20s %.*s\n", facts[i], (int)text.len, (const char *)text.ptr);
        }
        if (br_json_member(&status, "state", arena, &state)) {
            struct br_slice hot = member_text(&state, "hot_bytes", arena),
                            budget = member_text(&state, "budget_bytes", arena),
                            disk = member_text(&state, "store_disk_bytes", arena);
            printf("%-20s %.*s of %.*s bytes hot, %.*s on disk\n", "state", (int)hot.len, (const char *)hot.ptr,
                   (int)budget.len, (const char *)budget.ptr, (int)disk.len, (const char *)disk.ptr);
        }
        print_list(&status, "inputs",
                   (const char *const[]){"table", "rows", "lag", "quarantined", "ahead", "watermark"}, 6, arena);
        print_list(&status, "views", (const char *const[]){"view", "rows", "late", "failed"}, 4, arena);
        print_list(&status, "archives", (const char *const[]){"table", "to"}, 2, arena);
        print_warnings(&status, "troubles", arena);
        print_warnings(&status, "warnings", arena);
        print_warnings(&status, "needs", arena);
    }
    br_arena_destroy(&arena);
}

// --- the commands

enum { KEY_JSON = 'j', KEY_CSV = 256, KEY_TABLE, KEY_WATCH, KEY_OVER, KEY_FROM, KEY_TO };

static const struct argp_option query_options[] = {
    {"json", KEY_JSON, NULL, 0, "Rows as JSON objects, one a line", 0},
    {"csv", KEY_CSV, NULL, 0, "Rows as CSV with a header", 0},
    {"table", KEY_TABLE, NULL, 0, "Rows as a table (the default)", 0},
    {"over", KEY_OVER, "history", 0,
     "Run the SELECT here, over the history of the pipeline's tables and views; PIPELINE is its SQL file", 0},
    {"from", KEY_FROM, "WHERE", 0,
     "Over history: streams from here on, a sequence, a time, '2 hours ago' (tables with a key are read whole)", 0},
    {"to", KEY_TO, "WHERE", 0, "Over history: up to here, included (default: what is there at the start)", 0},
    {0},
};
static const struct argp_option status_options[] = {
    {"json", KEY_JSON, NULL, 0, "One JSON object", 0},
    {"watch", KEY_WATCH, "SECONDS", 0, "Again and again, this often", 0},
    {0},
};

static error_t parse(int key, char *argument, struct argp_state *state) {
    struct arguments *arguments = state->input;
    char *end;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &arguments->pipeline;
        state->child_inputs[1] = &arguments->connect;
        return 0;
    case KEY_JSON:
        arguments->form = BR_ANSWER_JSON;
        return 0;
    case KEY_CSV:
        arguments->form = BR_ANSWER_CSV;
        return 0;
    case KEY_TABLE:
        arguments->form = BR_ANSWER_TABLE;
        return 0;
    case KEY_OVER:
        if (strcmp(argument, "history") != 0)
            argp_error(state, "--over history is all there is, not '%s'", argument);
        arguments->over = argument;
        return 0;
    case KEY_FROM:
        arguments->from = argument;
        return 0;
    case KEY_TO:
        arguments->to = argument;
        return 0;
    case KEY_WATCH:
        arguments->watch = strtod(argument, &end);
        if (end == argument || *end != '\0' || !(arguments->watch > 0 && arguments->watch < 86400))
            argp_error(state, "--watch takes seconds, not '%s'", argument);
        return 0;
    case ARGP_KEY_ARG:
        if (arguments->word_count == 2)
            argp_error(state, "too many words (quote the SELECT)");
        arguments->words[arguments->word_count++] = argument;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_child children[] = {{&br_pipeline_argp, 0, NULL, 0}, {&br_connect_argp, 0, "Server:", 2}, {0}};

int br_command_query(int argc, char **argv) {
    static const struct argp argp = {query_options,
                                     parse,
                                     "PIPELINE 'SELECT …'",
                                     "Asks the worker of a PIPELINE (its name, or its SQL file) a SELECT over its "
                                     "views, answered at an epoch boundary; or, with --over history, runs it here over "
                                     "all that its tables' streams hold.",
                                     children,
                                     NULL,
                                     NULL};
    struct arguments arguments = {0};
    br_connect_defaults(&arguments.connect, "braid query");
    argp_parse(&argp, argc, argv, 0, NULL, &arguments);
    if (arguments.word_count != 2) {
        br_complain("braid query PIPELINE 'SELECT …'");
        return BR_EXIT_USAGE;
    }
    if (arguments.over == NULL && (arguments.from != NULL || arguments.to != NULL)) {
        br_complain("--from and --to go with --over history");
        return BR_EXIT_USAGE;
    }
    if (arguments.over != NULL) {
        struct br_history_query query = {&arguments.pipeline, &arguments.connect, arguments.words[0],
                                         arguments.words[1],  arguments.from,     arguments.to,
                                         arguments.form};
        return br_query_history(&query);
    }
    char name[256];
    int code = pipeline_name(&arguments, arguments.words[0], name, sizeof name);
    if (code != BR_EXIT_OK)
        return code;
    struct br_control *control = br_open_control(&arguments.connect);
    if (control == NULL)
        return BR_EXIT_FAILED;
    struct br_buffer request = {0}, answer = {0};
    br_buffer_append_text(&request, "{\"sql\":");
    br_json_append_string(br_slice_of(arguments.words[1]), &request);
    br_buffer_append_byte(&request, '}');
    code = ask(&arguments, control, name, "query", br_buffer_slice(&request), &answer);
    if (code == BR_EXIT_OK)
        code = br_answer_print(arguments.form, br_buffer_slice(&answer));
    br_buffer_free(&request);
    br_buffer_free(&answer);
    br_control_close(&control);
    return code;
}

int br_command_status(int argc, char **argv) {
    static const struct argp argp = {
        status_options, parse, "PIPELINE", "Shows where the worker of a PIPELINE (its name, or its SQL file) is.",
        children,       NULL,  NULL};
    struct arguments arguments = {0};
    br_connect_defaults(&arguments.connect, "braid status");
    argp_parse(&argp, argc, argv, 0, NULL, &arguments);
    if (arguments.word_count != 1) {
        br_complain("braid status PIPELINE");
        return BR_EXIT_USAGE;
    }
    char name[256];
    int code = pipeline_name(&arguments, arguments.words[0], name, sizeof name);
    if (code != BR_EXIT_OK)
        return code;
    br_catch_signals();
    struct br_control *control = br_open_control(&arguments.connect);
    if (control == NULL)
        return BR_EXIT_FAILED;
    struct br_buffer answer = {0};
    do {
        br_buffer_clear(&answer);
        code = ask(&arguments, control, name, "status", br_slice_of("{}"), &answer);
        if (code == BR_EXIT_OK && arguments.form == BR_ANSWER_JSON)
            printf("%.*s\n", (int)answer.len, (const char *)answer.ptr);
        else if (code == BR_EXIT_OK)
            print_status(br_buffer_slice(&answer));
        fflush(stdout);
        struct timespec wait = {(time_t)arguments.watch,
                                (long)((arguments.watch - (double)(time_t)arguments.watch) * 1e9)};
        if (code == BR_EXIT_OK && arguments.watch > 0)
            nanosleep(&wait, NULL);
    } while (code == BR_EXIT_OK && arguments.watch > 0 && !br_flag_is_set(&br_stop_requested));
    br_buffer_free(&answer);
    br_control_close(&control);
    return code;
}
