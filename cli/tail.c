// SPDX-License-Identifier: Apache-2.0
// braid tail: the changes of views, as they are committed, as JSON lines. braid quarantine: the events that were set
// aside.
#include "cli/cli.h"
#include "processor/task.h"
#include "replay/outputs.h"

#include <inttypes.h>
#include <stdio.h>

#define WAIT_US 100000

struct arguments {
    struct br_pipeline_arguments pipeline;
    struct br_connect_options connect;
    const char *path, *names[2];
    int name_count;
    bool from_start, no_follow, late;
    uint64_t limit;
};

struct reading {
    const struct arguments *arguments;
    const struct br_view *view; // NULL: all
    const char *about;          // reports of this table or view only; NULL: all
    bool reports;
    uint64_t sequence, given;
};

static bool enough(const struct reading *reading) {
    return reading->arguments->limit != 0 && reading->given >= reading->arguments->limit;
}

static enum br_status print_row(void *context, const struct br_output_row *row, struct br_error *error) {
    struct reading *reading = context;
    static const char *const ops[] = {"upsert", "delete", "insert", "remove"};
    (void)error;
    if (reading->reports || enough(reading) || (reading->view != NULL && row->view != reading->view))
        return BR_OK;
    const char *op = ops[row->op == 'U' ? 0 : row->op == 'D' ? 1 : row->op == 'I' ? 2 : 3];
    printf("{\"view\":\"%s\",\"op\":\"%s\",\"epoch\":%" PRIu64 ",\"row\":%.*s}\n", row->view->name, op, row->epoch,
           (int)row->row.len, (const char *)row->row.ptr);
    reading->given++;
    return BR_OK;
}

static enum br_status print_report(void *context, struct br_slice line, struct br_error *error) {
    struct reading *reading = context;
    (void)error;
    if (!reading->reports || enough(reading))
        return BR_OK;
    char start[300];
    for (int late = 0; late < 2; late++) {
        int len = snprintf(start, sizeof start, "{\"%s\":\"%s\"", late ? "late" : "quarantined",
                           reading->about != NULL ? reading->about : "");
        size_t shown = reading->about != NULL ? (size_t)len : (size_t)len - 2; // without the name's quotes
        if (line.len < shown || memcmp(line.ptr, start, shown) != 0)
            continue;
        printf("{\"sequence\":%" PRIu64 ",%.*s\n", reading->sequence, (int)line.len - 1, (const char *)line.ptr + 1);
        reading->given++;
    }
    return BR_OK;
}

static enum br_status follow(struct br_log *log, const struct br_pipeline *pipeline, uint64_t first, uint64_t last,
                             struct reading *reading, struct br_error *error) {
    char stream[256];
    enum br_status status;
    br_task_output_stream(pipeline->name, stream, sizeof stream);
    struct br_outputs *outputs = NULL;
    struct br_reader *reader = NULL;
    BR_TRY(br_outputs_create(pipeline, &outputs, error));
    struct br_outputs_each each = {.context = reading, .row = print_row, .report = print_report};
    do
        status = br_reader_open(log, stream, ">", first == 0 ? 1 : first, last, &reader, error);
    while (status == BR_RETRY && !br_stop_requested);
    while (status == BR_OK && !br_stop_requested && !enough(reading) && (last == 0 || reading->sequence < last)) {
        const struct br_log_message *messages;
        size_t count;
        status = br_reader_peek(reader, &messages, &count, error);
        for (size_t i = 0; i < count && status == BR_OK && !enough(reading); i++) {
            reading->sequence = messages[i].sequence;
            status = br_outputs_read(outputs, &messages[i], &each, error);
        }
        if (status == BR_RETRY)
            status = BR_OK;
        br_reader_consume(reader, count);
        br_reader_release(reader);
        fflush(stdout);
        if (ferror(stdout))
            break; // the reader of our output has gone
        if (count == 0)
            br_log_wait(log, WAIT_US);
    }
    br_reader_close(&reader);
    br_outputs_destroy(&outputs);
    return status;
}

// From where to where; *ret_last 0: without end. *ret_any false: there is nothing to be read.
static int set_up(const struct arguments *arguments, const struct br_pipeline *pipeline, uint64_t *ret_first,
                  uint64_t *ret_last, bool *ret_any) {
    struct br_error error;
    struct br_stream_info info;
    char stream[256];
    br_task_output_stream(pipeline->name, stream, sizeof stream);
    struct br_log *log = br_connect_control(&arguments->connect);
    if (log == NULL)
        return BR_EXIT_FAILED;
    enum br_status status = br_log_stream_info(log, stream, &info, &error);
    br_log_close(&log);
    if (status != BR_OK) {
        br_error_context(&error, "pipeline %s has written nothing yet (is its worker running?)", pipeline->name);
        return br_fail(&error);
    }
    *ret_first = arguments->from_start ? info.first_sequence : info.last_sequence + 1;
    *ret_last = arguments->no_follow ? info.last_sequence : 0;
    *ret_any = !arguments->no_follow || (info.last_sequence != 0 && info.last_sequence >= *ret_first);
    return BR_EXIT_OK;
}

static int run(struct arguments *arguments, struct reading *reading, const struct br_pipeline *pipeline) {
    struct br_error error;
    uint64_t first = 0, last = 0;
    bool any = false;
    int code = set_up(arguments, pipeline, &first, &last, &any);
    if (code != BR_EXIT_OK || !any)
        return code;
    struct br_log *log = br_connect(&arguments->connect);
    if (log == NULL)
        return BR_EXIT_FAILED;
    enum br_status status = follow(log, pipeline, first, last, reading, &error);
    br_log_close(&log);
    return status == BR_OK ? BR_EXIT_OK : br_fail(&error);
}

enum { KEY_FROM_START = 256, KEY_NO_FOLLOW };

static const struct argp_option tail_options[] = {
    {"from-start", KEY_FROM_START, NULL, 0, "From the first change that the stream still has, not only new ones", 0},
    {"no-follow", KEY_NO_FOLLOW, NULL, 0, "End at the last change there is now", 0},
    {"limit", 'l', "N", 0, "End after N changes", 0},
    {0},
};
static const struct argp_option quarantine_options[] = {
    {"limit", 'l', "N", 0, "At most N events", 0},
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
    case KEY_FROM_START:
        arguments->from_start = true;
        return 0;
    case KEY_NO_FOLLOW:
        arguments->no_follow = true;
        return 0;
    case 'l':
        arguments->limit = strtoull(argument, &end, 10);
        if (end == argument || *end != '\0' || arguments->limit == 0)
            argp_error(state, "--limit takes a number from 1 on, not '%s'", argument);
        return 0;
    case ARGP_KEY_ARG:
        if (arguments->path == NULL)
            arguments->path = argument;
        else if (arguments->name_count < 2)
            arguments->names[arguments->name_count++] = argument;
        else
            argp_error(state, "too many words");
        return 0;
    case ARGP_KEY_END:
        if (arguments->path == NULL)
            argp_error(state, "too few words");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_child children[] = {{&br_pipeline_argp, 0, NULL, 0}, {&br_connect_argp, 0, "Server:", 2}, {0}};

int br_command_tail(int argc, char **argv) {
    static const struct argp argp = {tail_options,
                                     parse,
                                     "PIPELINE.sql [VIEW]",
                                     "Prints the changes of a view (of all views) as JSON lines as they are committed.",
                                     children,
                                     NULL,
                                     NULL};
    struct arguments arguments = {0};
    br_connect_defaults(&arguments.connect, "braid tail");
    argp_parse(&argp, argc, argv, 0, NULL, &arguments);
    struct br_pipeline *pipeline = NULL;
    struct br_pipeline_options loading = br_pipeline_options_of(&arguments.pipeline);
    int code = br_load_known_pipeline(arguments.path, &loading, &arguments.connect, false, &pipeline);
    if (code != BR_EXIT_OK)
        return code;
    struct reading reading = {.arguments = &arguments};
    if (arguments.name_count != 0) {
        reading.view = br_pipeline_find_view(pipeline, arguments.names[0]);
        if (reading.view == NULL) {
            br_complain("pipeline %s has no view \"%s\"", pipeline->name, arguments.names[0]);
            br_pipeline_destroy(&pipeline);
            return BR_EXIT_NO;
        }
    }
    br_catch_signals();
    code = run(&arguments, &reading, pipeline);
    br_pipeline_destroy(&pipeline);
    return code;
}

// Prints one message of the output stream with its headers and what can be decoded of it.
static int show(struct arguments *arguments, const struct br_pipeline *pipeline, uint64_t sequence) {
    struct br_error error;
    struct br_log *log = br_connect_control(&arguments->connect);
    if (log == NULL)
        return BR_EXIT_FAILED;
    char stream[256];
    br_task_output_stream(pipeline->name, stream, sizeof stream);
    struct br_buffer BR_CLEANUP(br_buffer_free) copy = {0};
    struct br_log_message message;
    bool found;
    enum br_status status = br_log_get(log, stream, sequence, &copy, &message, &found, &error);
    struct br_outputs *outputs = NULL;
    if (status == BR_OK && !found)
        status = br_error_set(&error, BR_FATAL, "stream %s has no message %" PRIu64, stream, sequence);
    if (status == BR_OK)
        status = br_outputs_create(pipeline, &outputs, &error);
    if (status == BR_OK) {
        struct reading reading = {.arguments = arguments, .reports = true, .sequence = sequence};
        struct br_outputs_each each = {.context = &reading, .row = print_row, .report = print_report};
        printf("subject: %.*s\n", (int)message.subject.len, (const char *)message.subject.ptr);
        for (uint32_t h = 0; h < message.header_count; h++)
            printf("%.*s: %.*s\n", (int)message.headers[h].name.len, (const char *)message.headers[h].name.ptr,
                   (int)message.headers[h].value.len, (const char *)message.headers[h].value.ptr);
        status = br_outputs_read(outputs, &message, &each, &error);
    }
    br_outputs_destroy(&outputs);
    br_log_close(&log);
    return status == BR_OK ? BR_EXIT_OK : br_fail(&error);
}

int br_command_quarantine(int argc, char **argv) {
    static const struct argp argp = {quarantine_options,
                                     parse,
                                     "ls PIPELINE.sql [TABLE-OR-VIEW]\nshow PIPELINE.sql SEQUENCE",
                                     "Lists quarantined and late events, each with its reason, the row or the bytes, "
                                     "and its sequence on the output stream; "
                                     "show prints one of them with all its headers.",
                                     children,
                                     NULL,
                                     NULL};
    struct arguments arguments = {.from_start = true, .no_follow = true};
    br_connect_defaults(&arguments.connect, "braid quarantine");
    argp_parse(&argp, argc, argv, 0, NULL, &arguments);
    const char *verb = arguments.path;
    bool shows = strcmp(verb, "show") == 0;
    if ((!shows && strcmp(verb, "ls") != 0) || arguments.name_count < (shows ? 2 : 1)) {
        br_complain("braid quarantine ls PIPELINE.sql [TABLE-OR-VIEW], or show PIPELINE.sql SEQUENCE");
        return BR_EXIT_USAGE;
    }
    struct br_pipeline *pipeline = NULL;
    struct br_pipeline_options loading = br_pipeline_options_of(&arguments.pipeline);
    int code = br_load_known_pipeline(arguments.names[0], &loading, &arguments.connect, false, &pipeline);
    if (code != BR_EXIT_OK)
        return code;
    br_catch_signals();
    struct reading reading = {
        .arguments = &arguments, .reports = true, .about = arguments.name_count == 2 ? arguments.names[1] : NULL};
    if (shows)
        code = show(&arguments, pipeline, strtoull(arguments.names[1], NULL, 10));
    else
        code = run(&arguments, &reading, pipeline);
    br_pipeline_destroy(&pipeline);
    return code;
}
