// SPDX-License-Identifier: Apache-2.0
// braid schema lock: writes the field numbers of a pipeline's derived messages beside its SQL file, so that columns
// keep them whatever is put before or taken out (docs/formats/fields.md).
//
// The numbers begin with those of the file that is there; with --against, of another SQL file; with --running, of the
// plan that runs. The file is written whole and put in place by one rename; nothing is written when nothing changes.
#include "cli/cli.h"
#include "processor/pipeline_text.h"
#include "processor/sql/field_lock.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#define RENUMBER_MAX 1024

struct arguments {
    struct br_pipeline_arguments pipeline;
    struct br_connect_options connect;
    const char *path, *against, *running;
    const char *renumber[RENUMBER_MAX];
    size_t renumber_count;
};

enum { KEY_AGAINST = 256, KEY_RUNNING, KEY_RENUMBER };

static const struct argp_option options[] = {
    {"against", KEY_AGAINST, "OLD.sql", 0, "Columns that OLD.sql has too keep the numbers that they have there", 0},
    {"running", KEY_RUNNING, "NAME", 0, "The same with the plan of the pipeline that runs as NAME", 0},
    {"renumber", KEY_RENUMBER, "NAME.COLUMN", 0,
     "This column of a table, view or type gets a new number: for a type that can't follow the former one, or where "
     "lines are lost and the column is new; may be repeated",
     0},
    {0},
};

static error_t parse(int key, char *argument, struct argp_state *state) {
    struct arguments *arguments = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &arguments->pipeline;
        state->child_inputs[1] = &arguments->connect;
        return 0;
    case KEY_AGAINST:
        arguments->against = argument;
        return 0;
    case KEY_RUNNING:
        arguments->running = argument;
        return 0;
    case KEY_RENUMBER:
        if (arguments->renumber_count == RENUMBER_MAX)
            argp_error(state, "--renumber more than %d times", RENUMBER_MAX);
        arguments->renumber[arguments->renumber_count++] = argument;
        return 0;
    case ARGP_KEY_ARG:
        if (arguments->path != NULL)
            argp_error(state, "one PIPELINE.sql, please");
        arguments->path = argument;
        return 0;
    case ARGP_KEY_END:
        if (arguments->path == NULL)
            argp_error(state, "which PIPELINE.sql?");
        if (arguments->against != NULL && arguments->running != NULL)
            argp_error(state, "--against or --running, not both");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static int fail(enum br_status status, const struct br_error *error) {
    br_complain("%s", error->message);
    return status == BR_DATA ? BR_EXIT_NO : BR_EXIT_FAILED;
}

// A file name of the SQL's own: what the hint suggests.
static void tell_setting(const char *path) {
    const char *slash = strrchr(path, '/'), *name = slash == NULL ? path : slash + 1;
    size_t len = strlen(name);
    len -= len > 4 && strcmp(name + len - 4, ".sql") == 0 ? 4 : 0;
    br_complain(
        "%s doesn't say which file holds its field numbers: write SET braid.fields = '%.*s.fields'; into it, and "
        "run this again",
        path, (int)len, name);
}

// The lock that is there; *ret_lock NULL: none is.
static int read_lock(const char *path, struct br_arena *arena, struct br_buffer *text,
                     struct br_field_lock **ret_lock) {
    struct br_error error;
    *ret_lock = NULL;
    if (access(path, F_OK) != 0 && errno == ENOENT)
        return BR_EXIT_OK;
    if (!br_read_file(path, text))
        return BR_EXIT_FAILED;
    enum br_status status = br_field_lock_parse(br_buffer_slice(text), path, arena, ret_lock, &error);
    return status == BR_OK ? BR_EXIT_OK : fail(status, &error);
}

static int load_running(struct arguments *arguments, struct br_pipeline **ret_pipeline) {
    struct br_error error;
    uint64_t hash;
    struct br_log *log = br_connect_control(&arguments->connect);
    if (log == NULL)
        return BR_EXIT_FAILED;
    enum br_status status = br_pipeline_text_of_owner(log, arguments->running, &hash, ret_pipeline, &error);
    br_log_close(&log);
    if (status == BR_OK && *ret_pipeline != NULL)
        return BR_EXIT_OK;
    if (status != BR_OK)
        return fail(status, &error);
    br_complain(hash == 0 ? "pipeline %s has committed nothing yet on this server"
                          : "the text of pipeline %s isn't stored beside its commits: use --against with its SQL file",
                arguments->running);
    return BR_EXIT_NO;
}

static void release_pipeline(void *pipeline) {
    struct br_pipeline *released = pipeline;
    br_pipeline_destroy(&released);
}

// The numbers to begin with; *ret_lock NULL: there are none.
static int find_numbers(struct arguments *arguments, const char *path, struct br_arena *arena, struct br_buffer *text,
                        struct br_field_lock **ret_lock) {
    struct br_error error;
    struct br_pipeline *other = NULL;
    struct br_pipeline_options loading = br_pipeline_options_of(&arguments->pipeline);
    struct br_field_lock *published;
    int code = read_lock(path, arena, text, ret_lock);
    if (code == BR_EXIT_OK && arguments->against != NULL)
        code = br_load_known_pipeline(arguments->against, &loading, NULL, false, &other);
    else if (code == BR_EXIT_OK && arguments->running != NULL)
        code = load_running(arguments, &other);
    if (code != BR_EXIT_OK || other == NULL)
        return code;
    br_arena_defer(arena, release_pipeline, other); // whose names the lock borrows
    enum br_status status = br_field_lock_of(other, arena, &published, &error);
    if (status != BR_OK)
        return fail(status, &error);
    *ret_lock = *ret_lock == NULL ? published : br_field_lock_merge(published, *ret_lock, arena);
    return BR_EXIT_OK;
}

static int write_file(const char *path, struct br_slice text) {
    char fresh[4096];
    if ((size_t)snprintf(fresh, sizeof fresh, "%s.new", path) >= sizeof fresh) {
        br_complain("the path %s is too long", path);
        return BR_EXIT_FAILED;
    }
    FILE *file = fopen(fresh, "wb");
    bool good = file != NULL && fwrite(text.ptr, 1, text.len, file) == text.len;
    good &= file != NULL && fflush(file) == 0 && fsync(fileno(file)) == 0;
    good &= file != NULL && fclose(file) == 0;
    if (good && rename(fresh, path) == 0)
        return BR_EXIT_OK;
    br_complain("can't write %s: %s", path, strerror(errno));
    if (file != NULL)
        remove(fresh);
    return BR_EXIT_FAILED;
}

static uint32_t count_fields(const struct br_field_lock *lock) {
    uint32_t count = 0;
    for (uint32_t m = 0; m < lock->count; m++)
        for (uint32_t i = 0; i < lock->messages[m].count; i++)
            count += !lock->messages[m].fields[i].reserved;
    return count;
}

static int write_lock(const char *path, const struct br_field_lock *lock, struct br_slice former,
                      const struct br_buffer *told) {
    struct br_buffer BR_CLEANUP(br_buffer_free) text = {0};
    br_field_lock_print(lock, &text);
    if (br_slice_equal(br_buffer_slice(&text), former)) {
        printf("%s: up to date\n", path);
        return BR_EXIT_OK;
    }
    int code = write_file(path, br_buffer_slice(&text));
    if (code != BR_EXIT_OK)
        return code;
    if (told->len != 0)
        fwrite(told->ptr, 1, told->len, stdout);
    printf("%s: %u fields of %u messages%s\n", path, count_fields(lock), lock->count,
           former.len == 0 ? ", a new file: keep it with the SQL file" : "");
    return BR_EXIT_OK;
}

static int lock_pipeline(struct arguments *arguments, const struct br_pipeline *pipeline) {
    struct br_error error;
    const char *path = pipeline->fields_path;
    struct br_arena *arena = br_arena_create();
    struct br_buffer BR_CLEANUP(br_buffer_free) former_text = {0}, told = {0};
    struct br_field_lock *former = NULL, *lock = NULL;
    int code = find_numbers(arguments, path, arena, &former_text, &former);
    if (code == BR_EXIT_OK) {
        enum br_status status = br_field_lock_update(former, path, pipeline, arguments->renumber,
                                                     arguments->renumber_count, arena, &lock, &told, &error);
        code = status == BR_OK ? BR_EXIT_OK : fail(status, &error);
    }
    if (code == BR_EXIT_OK)
        code = write_lock(path, lock, br_buffer_slice(&former_text), &told);
    br_arena_destroy(&arena);
    return code;
}

int br_command_schema_lock(int argc, char **argv) {
    static const struct argp_child children[] = {
        {&br_pipeline_argp, 0, NULL, 0}, {&br_connect_argp, 0, "Server (--running):", 2}, {0}};
    static const struct argp argp = {
        options,
        parse,
        "PIPELINE.sql",
        "Writes the field numbers of the pipeline's views, and of tables and types that have no message of their own, "
        "into the file that SET braid.fields names. A column that stays keeps its number, that of one that is gone is "
        "reserved, a new column gets one that was never used.",
        children,
        NULL,
        NULL};
    struct arguments arguments = {0};
    br_connect_defaults(&arguments.connect, "braid schema");
    argp_parse(&argp, argc, argv, 0, NULL, &arguments);
    struct br_pipeline *pipeline = NULL;
    struct br_pipeline_options loading = br_pipeline_options_of(&arguments.pipeline);
    loading.unlocked = true;
    int code = br_load_known_pipeline(arguments.path, &loading, NULL, false, &pipeline);
    if (code != BR_EXIT_OK)
        return code;
    if (pipeline->fields_path == NULL) {
        tell_setting(arguments.path);
        code = BR_EXIT_NO;
    } else {
        code = lock_pipeline(&arguments, pipeline);
    }
    br_pipeline_destroy(&pipeline);
    return code;
}
