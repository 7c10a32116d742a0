// SPDX-License-Identifier: Apache-2.0
// braid check and braid explain: what can be said of a pipeline without running it.
#include "cli/cli.h"
#include "processor/input.h"
#include "processor/limits.h"
#include "processor/pipeline_text.h"
#include "processor/subject.h"
#include "replay/guard.h"
#include "replay/upgrade.h"

#include <stdio.h>

struct arguments {
    struct br_pipeline_arguments pipeline;
    const char *path, *former; // former: explain's --upgrade, check's --against
    bool json, streams;
    struct br_connect_options connect;
};

enum { KEY_UPGRADE = 256, KEY_STREAMS, KEY_AGAINST };

static const struct argp_option options[] = {
    {"json", 'j', NULL, 0, "JSON instead of text", 0},
    {"streams", KEY_STREAMS, NULL, 0,
     "Look at the server too: is there a stream for every table, and will its limits delete what the pipeline or a "
     "replay of it still needs?",
     0},
    {"against", KEY_AGAINST, "OLD.sql", 0,
     "Name every field number that means something else in PIPELINE.sql than in OLD.sql", 0},
    {0},
};

static const struct argp_option explain_options[] = {
    {"json", 'j', NULL, 0, "JSON instead of text", 0},
    {"upgrade", KEY_UPGRADE, "OLD.sql", 0,
     "What becomes of each view when OLD.sql is replaced by PIPELINE.sql: keep, rebuild, new, removed, and why", 0},
    {0},
};

static error_t parse(int key, char *argument, struct argp_state *state) {
    struct arguments *arguments = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &arguments->pipeline;
        state->child_inputs[1] = &arguments->connect;
        return 0;
    case KEY_STREAMS:
        arguments->streams = true;
        return 0;
    case 'j':
        arguments->json = true;
        return 0;
    case KEY_UPGRADE:
    case KEY_AGAINST:
        arguments->former = argument;
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

static const struct argp_child children[] = {{&br_pipeline_argp, 0, NULL, 0}, {0}};
static const struct argp_child check_children[] = {
    {&br_pipeline_argp, 0, NULL, 0}, {&br_connect_argp, 0, "Server (--streams):", 2}, {0}};

// Can the table apply what the view of another pipeline publishes? A line for each that it can't.
static void compare_with_view(const struct br_table *table, const char *pipeline, const struct br_view *view,
                              struct br_buffer *lines) {
    bool keyed = table->primary_key_count != 0;
    const char *why = view->layout == BR_LAYOUT_PACKED
                          ? "is packed: its changes are blocks of rows, which no table reads"
                      : view->root->append_only       ? NULL
                      : view->root->has_key && !keyed ? "replaces and deletes rows: give the table the view's key as "
                                                        "PRIMARY KEY"
                      : !view->root->has_key ? "takes rows back, which have no key: group it by one, or read its tables"
                                             : NULL;
    if (why != NULL)
        br_buffer_printf(lines, "table %s reads view %s of pipeline %s, which %s\n", table->name, view->name, pipeline,
                         why);
}

static enum br_status look_at_writer(struct br_log *log, const struct br_table *table, const char *stream,
                                     struct br_buffer *lines, struct br_error *error) {
    static const char prefix[] = "BRAID_";
    struct br_pipeline *writer = NULL;
    uint64_t hash;
    if (strncmp(stream, prefix, strlen(prefix)) != 0)
        return BR_OK;
    BR_TRY(br_pipeline_text_of_owner(log, stream + strlen(prefix), &hash, &writer, error));
    for (uint32_t v = 0; writer != NULL && v < writer->view_count; v++)
        if (br_subject_templates_overlap(table->subject, writer->views[v].subject))
            compare_with_view(table, writer->name, &writer->views[v], lines);
    br_pipeline_destroy(&writer);
    return BR_OK;
}

// What is only to be known is no line: the exit status stays 0.
static void look_at_limits(const struct br_table *table, const struct br_stream_info *info, struct br_buffer *lines) {
    struct br_buffer BR_CLEANUP(br_buffer_free) text = {0};
    enum br_limits limits = br_limits_describe(table, info, &text);
    if (limits == BR_LIMITS_NOTE)
        fprintf(stderr, "note: table %s: %s\n", table->name, (const char *)text.ptr);
    else if (limits != BR_LIMITS_NONE)
        br_buffer_printf(lines, "table %s: %s\n", table->name, (const char *)text.ptr);
}

static enum br_status look_at_streams(struct br_log *log, const struct br_pipeline *pipeline, struct br_buffer *lines,
                                      struct br_error *error) {
    struct br_jobs *jobs = NULL;
    struct br_error ignored;
    for (uint32_t t = 0; t < pipeline->table_count; t++) {
        struct br_stream_info info;
        enum br_status status = br_input_find_stream(log, &pipeline->tables[t], &info, error);
        if (status == BR_OK)
            look_at_limits(&pipeline->tables[t], &info, lines);
        if (status != BR_OK)
            return br_error_context(error, "table %s", pipeline->tables[t].name);
        BR_TRY(look_at_writer(log, &pipeline->tables[t], info.name, lines, error));
    }
    // A pipeline that has never run has no replays.
    if (br_jobs_open(log, pipeline->name, &jobs, &ignored) != BR_OK)
        jobs = NULL;
    enum br_status status = br_guard_survey(log, pipeline, jobs, lines, error);
    br_jobs_close(&jobs);
    return status;
}

// Warnings are what a script wants to know of: exit code 1.
static int check_streams(const struct arguments *arguments, const struct br_pipeline *pipeline) {
    struct br_buffer BR_CLEANUP(br_buffer_free) lines = {0};
    struct br_error error;
    struct br_log *log = br_connect_control(&arguments->connect);
    if (log == NULL)
        return BR_EXIT_FAILED;
    int code = look_at_streams(log, pipeline, &lines, &error) == BR_OK ? BR_EXIT_OK : br_fail(&error);
    br_log_close(&log);
    if (code != BR_EXIT_OK || lines.len == 0)
        return code;
    fwrite(lines.ptr, 1, lines.len, stderr);
    return BR_EXIT_NO;
}

static void print_move(const struct arguments *arguments, const struct br_field_move *move) {
    struct br_buffer BR_CLEANUP(br_buffer_free) line = {0};
    if (!arguments->json) {
        printf("%s: %s\n", arguments->path, move->text);
        return;
    }
    br_buffer_append_text(&line, "{\"message\":");
    br_json_append_string(br_slice_of(move->message), &line);
    br_buffer_append_text(&line, ",\"text\":");
    br_json_append_string(br_slice_of(move->text), &line);
    printf("%.*s}\n", (int)line.len, (const char *)line.ptr);
}

// Both files are one pipeline, and bear the new one's name.
static int check_against(const struct arguments *arguments, const struct br_pipeline *after) {
    struct br_pipeline *before = NULL;
    struct br_pipeline_options loading = br_pipeline_options_of(&arguments->pipeline);
    loading.name = after->name;
    int code = br_load_known_pipeline(arguments->former, &loading, NULL, false, &before);
    if (code == BR_EXIT_OK) {
        struct br_upgrade *upgrade = br_upgrade_compare(before, after);
        struct br_buffer BR_CLEANUP(br_buffer_free) mend = {0};
        for (uint32_t i = 0; i < upgrade->move_count; i++)
            print_move(arguments, &upgrade->moves[i]);
        code = upgrade->move_count == 0 ? BR_EXIT_OK : BR_EXIT_NO;
        br_upgrade_mend(upgrade, arguments->path, arguments->former, (struct br_slice){0}, &mend);
        fflush(stdout);
        fprintf(stderr, "%.*s", (int)mend.len, (const char *)mend.ptr);
        br_upgrade_destroy(&upgrade);
    }
    br_pipeline_destroy(&before);
    return code;
}

int br_command_check(int argc, char **argv) {
    static const struct argp argp = {options,
                                     parse,
                                     "PIPELINE.sql",
                                     "Reports every error of a pipeline's SQL, each with its place and a way out.",
                                     check_children,
                                     NULL,
                                     NULL};
    struct arguments arguments = {0};
    br_connect_defaults(&arguments.connect, "braid check");
    argp_parse(&argp, argc, argv, 0, NULL, &arguments);
    struct br_pipeline *pipeline = NULL;
    int code = br_load_pipeline(arguments.path, &arguments.pipeline, arguments.json, &pipeline);
    if (code == BR_EXIT_OK && arguments.streams)
        code = check_streams(&arguments, pipeline);
    if (code == BR_EXIT_OK && arguments.former != NULL)
        code = check_against(&arguments, pipeline);
    if (code != BR_EXIT_OK) {
        br_pipeline_destroy(&pipeline);
        return code;
    }
    if (!arguments.json)
        printf("%s: pipeline %s: %u table%s, %u view%s, no errors\n", arguments.path, pipeline->name,
               pipeline->table_count, pipeline->table_count == 1 ? "" : "s", pipeline->view_count,
               pipeline->view_count == 1 ? "" : "s");
    br_pipeline_destroy(&pipeline);
    return code;
}

// Both files are one pipeline, and bear the old one's name when none is given.
static int explain_upgrade(const struct arguments *arguments) {
    struct br_pipeline *before = NULL, *after = NULL;
    struct br_pipeline_options loading = br_pipeline_options_of(&arguments->pipeline);
    int code = br_load_known_pipeline(arguments->former, &loading, NULL, false, &before);
    if (code == BR_EXIT_OK) {
        loading.name = before->name;
        code = br_load_pipeline_with(arguments->path, &loading, false, &after);
    }
    if (code == BR_EXIT_OK) {
        struct br_upgrade *upgrade = br_upgrade_compare(before, after);
        struct br_buffer BR_CLEANUP(br_buffer_free) text = {0};
        br_upgrade_print(upgrade, arguments->json, &text);
        fwrite(text.ptr, 1, text.len, stdout);
        br_upgrade_destroy(&upgrade);
    }
    br_pipeline_destroy(&after);
    br_pipeline_destroy(&before);
    return code;
}

int br_command_explain(int argc, char **argv) {
    static const struct argp argp = {
        explain_options,
        parse,
        "PIPELINE.sql",
        "Shows the operators of every view, their keys, what is append-only, and which state tables they keep.",
        children,
        NULL,
        NULL};
    struct arguments arguments = {0};
    argp_parse(&argp, argc, argv, 0, NULL, &arguments);
    if (arguments.former != NULL)
        return explain_upgrade(&arguments);
    struct br_pipeline *pipeline = NULL;
    int code = br_load_pipeline(arguments.path, &arguments.pipeline, false, &pipeline);
    if (code != BR_EXIT_OK)
        return code;
    struct br_buffer text = {0};
    br_explain(pipeline, arguments.json, &text);
    fwrite(text.ptr, 1, text.len, stdout);
    br_buffer_free(&text);
    br_pipeline_destroy(&pipeline);
    return BR_EXIT_OK;
}
