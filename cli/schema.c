// SPDX-License-Identifier: Apache-2.0
// braid schema export: the .proto of a pipeline's views and derived tables, for subscribers and publishers to generate
// code from. braid schema lock is schema_lock.c.
#include "cli/cli.h"
#include "processor/codec/descriptors.h"

#include <stdio.h>

struct arguments {
    struct br_pipeline_arguments pipeline;
    const char *words[3];
    int word_count;
};

static error_t parse(int key, char *argument, struct argp_state *state) {
    struct arguments *arguments = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &arguments->pipeline;
        return 0;
    case ARGP_KEY_ARG:
        if (arguments->word_count == 3)
            argp_error(state, "too many words");
        arguments->words[arguments->word_count++] = argument;
        return 0;
    case ARGP_KEY_END:
        if (arguments->word_count < 2 || strcmp(arguments->words[0], "export") != 0)
            argp_error(state, "export PIPELINE.sql [TABLE-OR-VIEW], or lock PIPELINE.sql, please");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

struct list {
    const struct br_message_type **messages;
    struct br_message_comments *comments;
    uint32_t count;
};

// COMMENT ON COLUMN, by the fields that the columns are.
static const char **comments_of(const struct br_row_type *type, struct br_arena *arena) {
    const struct br_message_type *message = type->message;
    const char **comments = br_arena_array(arena, const char *, message->field_count + 1);
    for (uint32_t c = 0; c < type->column_count; c++)
        for (uint32_t f = 0; f < message->field_count; f++)
            if (strcmp(message->fields[f].name, type->columns[c].path) == 0)
                comments[f] = type->columns[c].comment;
    return comments;
}

// Messages that the user's own descriptor sets define are theirs to know.
static void add(struct list *list, const struct br_row_type *type, const char *comment, const char *wanted,
                struct br_arena *arena) {
    if (!type->message->derived || (wanted != NULL && strcmp(wanted, type->name) != 0))
        return;
    list->messages[list->count] = type->message;
    list->comments[list->count++] = (struct br_message_comments){comment, comments_of(type, arena)};
}

int br_command_schema(int argc, char **argv) {
    static const struct argp_child children[] = {{&br_pipeline_argp, 0, NULL, 0}, {0}};
    static const struct argp argp = {
        NULL,
        parse,
        "export PIPELINE.sql [TABLE-OR-VIEW]\nlock PIPELINE.sql",
        "export prints the .proto of the pipeline's views, and of tables and types that have no message of their own. "
        "lock keeps their field numbers in a file beside the SQL; braid schema lock --help tells more.",
        children,
        NULL,
        NULL};
    struct arguments arguments = {0};
    if (argc > 1 && strcmp(argv[1], "lock") == 0) {
        static char name[] = "braid schema lock";
        argv[1] = name;
        return br_command_schema_lock(argc - 1, argv + 1);
    }
    argp_parse(&argp, argc, argv, 0, NULL, &arguments);
    struct br_pipeline *pipeline = NULL;
    int code = br_load_pipeline(arguments.words[1], &arguments.pipeline, false, &pipeline);
    if (code != BR_EXIT_OK)
        return code;
    const char *wanted = arguments.word_count == 3 ? arguments.words[2] : NULL;
    uint32_t most = pipeline->table_count + pipeline->view_count + pipeline->type_count;
    struct list list = {br_calloc(most + 1, sizeof *list.messages), br_calloc(most + 1, sizeof *list.comments), 0};
    for (uint32_t t = 0; t < pipeline->type_count; t++)
        add(&list, pipeline->types[t], NULL, wanted, pipeline->arena);
    for (uint32_t t = 0; t < pipeline->table_count; t++)
        add(&list, &pipeline->tables[t].row_type, pipeline->tables[t].comment, wanted, pipeline->arena);
    for (uint32_t v = 0; v < pipeline->view_count; v++)
        add(&list, &pipeline->views[v].row_type, pipeline->views[v].comment, wanted, pipeline->arena);
    if (list.count == 0 && wanted != NULL) {
        br_complain("pipeline %s has no table, type or view \"%s\" with a message of its own", pipeline->name, wanted);
        code = BR_EXIT_NO;
    } else {
        struct br_buffer text = {0};
        br_descriptors_print_proto(list.messages, list.comments, list.count, pipeline->name, &text);
        if (text.len != 0)
            fwrite(text.ptr, 1, text.len, stdout);
        br_buffer_free(&text);
    }
    free(list.messages);
    free(list.comments);
    br_pipeline_destroy(&pipeline);
    return code;
}
