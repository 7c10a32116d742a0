// SPDX-License-Identifier: Apache-2.0
// A pipeline from its SQL file. See cli.h.
#include "cli/cli.h"
#include "processor/pipeline_text.h"

#include <stdio.h>

static const struct argp_option pipeline_options[] = {
    {"name", 'n', "NAME", 0, "Name of the pipeline (default: SET braid.pipeline, else the file's name)", 1},
    {"descriptors", 'd', "FILE", 0,
     "Protobuf descriptor set (protoc --include_imports --descriptor_set_out); may be given again", 1},
    {0},
};

static error_t parse_pipeline_option(int key, char *argument, struct argp_state *state) {
    struct br_pipeline_arguments *arguments = state->input;
    if (key == 'n') {
        arguments->name = argument;
    } else if (key == 'd') {
        if (arguments->descriptor_count == BR_DESCRIPTORS_MAX)
            argp_error(state, "more than %d descriptor sets", BR_DESCRIPTORS_MAX);
        else
            arguments->descriptors[arguments->descriptor_count++] = argument;
    } else {
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

const struct argp br_pipeline_argp = {pipeline_options, parse_pipeline_option, NULL, NULL, NULL, NULL, NULL};

struct br_pipeline_options br_pipeline_options_of(const struct br_pipeline_arguments *arguments) {
    return (struct br_pipeline_options){.name = arguments->name,
                                        .descriptor_paths = arguments->descriptors,
                                        .descriptor_path_count = arguments->descriptor_count};
}

int br_load_pipeline(const char *path, const struct br_pipeline_arguments *arguments, bool json,
                     struct br_pipeline **ret_pipeline) {
    struct br_pipeline_options options = br_pipeline_options_of(arguments);
    return br_load_pipeline_with(path, &options, json, ret_pipeline);
}

static void print_diagnostics(const struct br_diagnostics *diagnostics, bool json) {
    struct br_buffer BR_CLEANUP(br_buffer_free) report = {0};
    if (diagnostics == NULL)
        return;
    br_diagnostics_print(diagnostics, json, &report);
    if (report.len != 0)
        fwrite(report.ptr, 1, report.len, json ? stdout : stderr);
}

static int read_sql(const char *path, struct br_buffer *text) {
    if (!br_read_file(path, text))
        return BR_EXIT_FAILED;
    if (text->len == 0 || memchr(text->ptr, '\0', text->len) == NULL)
        return BR_EXIT_OK;
    br_complain("%s isn't SQL text: it has a NUL byte", path);
    return BR_EXIT_NO;
}

// Says what is wrong, or warned of.
static int tell(const struct br_pipeline_options *options, const struct br_diagnostics *diagnostics, bool json,
                enum br_status status, const struct br_error *error) {
    print_diagnostics(diagnostics, json);
    print_diagnostics(options->select_diagnostics, json);
    bool told = diagnostics->error_count != 0 ||
                (options->select_diagnostics != NULL && options->select_diagnostics->error_count != 0);
    if (status == BR_OK)
        return BR_EXIT_OK;
    if (!told)
        br_complain("%s", error->message);
    return status == BR_DATA ? BR_EXIT_NO : BR_EXIT_FAILED;
}

static int load_text(const char *path, const char *text, const struct br_pipeline_options *options, bool json,
                     struct br_pipeline **ret_pipeline) {
    struct br_diagnostics *diagnostics = br_diagnostics_create(path, text);
    struct br_error error = {0};
    enum br_status status = br_pipeline_load(path, text, options, diagnostics, ret_pipeline, &error);
    int code = tell(options, diagnostics, json, status, &error);
    br_diagnostics_destroy(&diagnostics);
    return code;
}

int br_load_pipeline_with(const char *path, const struct br_pipeline_options *options, bool json,
                          struct br_pipeline **ret_pipeline) {
    struct br_buffer BR_CLEANUP(br_buffer_free) text = {0};
    int code = read_sql(path, &text);
    return code != BR_EXIT_OK ? code : load_text(path, (const char *)text.ptr, options, json, ret_pipeline);
}

// --- files that a log may know

static bool differs(const struct br_pipeline *newest, const struct br_pipeline *older) {
    return older != NULL && (newest == NULL || older->plan_hash != newest->plan_hash);
}

int br_sql_file_open(const char *path, const struct br_pipeline_options *options, struct br_sql_file *file) {
    *file = (struct br_sql_file){.path = path, .options = *options};
    int code = read_sql(path, &file->text);
    if (code != BR_EXIT_OK)
        return code;
    const char *text = (const char *)file->text.ptr;
    struct br_pipeline **newest = &file->by_rules[BR_BINDING_RULES];
    file->diagnostics = br_diagnostics_create(path, text);
    file->status = br_pipeline_load(path, text, options, file->diagnostics, newest, &file->error);
    bool any = *newest != NULL;
    for (uint32_t rules = 0; rules < BR_BINDING_RULES; rules++) {
        struct br_error ignored;
        struct br_diagnostics *diagnostics = br_diagnostics_create(path, text);
        struct br_pipeline_options older = *options;
        older.rules = &rules;
        any |= br_pipeline_load(path, text, &older, diagnostics, &file->by_rules[rules], &ignored) == BR_OK;
        br_diagnostics_destroy(&diagnostics);
        file->depends_on_log |= differs(*newest, file->by_rules[rules]);
    }
    return any ? BR_EXIT_OK : tell(options, file->diagnostics, false, file->status, &file->error);
}

const struct br_pipeline *br_sql_file_any(const struct br_sql_file *file) {
    uint32_t rules = BR_BINDING_RULES;
    while (file->by_rules[rules] == NULL)
        rules--;
    return file->by_rules[rules];
}

// As the newest rules bind it, with whatever they have to say about it.
static int settle_newest(struct br_sql_file *file, bool json, struct br_pipeline **ret_pipeline) {
    *ret_pipeline = br_steal(&file->by_rules[BR_BINDING_RULES]);
    return tell(&file->options, file->diagnostics, json, file->status, &file->error);
}

// The newest that accept it.
static int settle_alone(struct br_sql_file *file, bool json, struct br_pipeline **ret_pipeline) {
    for (uint32_t rules = BR_BINDING_RULES; rules-- > 0 && file->by_rules[BR_BINDING_RULES] == NULL;)
        if (file->by_rules[rules] != NULL) {
            *ret_pipeline = br_steal(&file->by_rules[rules]);
            return BR_EXIT_OK;
        }
    return settle_newest(file, json, ret_pipeline);
}

enum br_status br_sql_file_settle(struct br_sql_file *file, struct br_log *log, bool json,
                                  struct br_pipeline **ret_pipeline, int *ret_code, struct br_error *error) {
    const struct br_pipeline *known;
    struct br_pipeline *owned;
    *ret_code = BR_EXIT_OK;
    BR_TRY(br_pipeline_recognise(log, (const struct br_pipeline *const *)file->by_rules, BR_BINDING_RULES + 1, &owned,
                                 &known, error));
    if (known == NULL || known == file->by_rules[BR_BINDING_RULES])
        *ret_code = settle_newest(file, json, ret_pipeline);
    else
        *ret_pipeline = owned != NULL ? owned : br_steal(&file->by_rules[known->rules]);
    return BR_OK;
}

static int settle_now(struct br_sql_file *file, struct br_log *log, bool json, struct br_pipeline **ret_pipeline) {
    struct br_error error;
    int code;
    return br_sql_file_settle(file, log, json, ret_pipeline, &code, &error) == BR_OK ? code : br_fail(&error);
}

void br_sql_file_close(struct br_sql_file *file) {
    for (uint32_t rules = 0; rules <= BR_BINDING_RULES; rules++)
        br_pipeline_destroy(&file->by_rules[rules]);
    br_diagnostics_destroy(&file->diagnostics);
    br_buffer_free(&file->text);
}

static int load_known(struct br_sql_file *file, const struct br_connect_options *connect, bool json,
                      struct br_pipeline **ret_pipeline) {
    if (!file->depends_on_log)
        return settle_newest(file, json, ret_pipeline);
    if (connect == NULL)
        return settle_alone(file, json, ret_pipeline);
    struct br_log *log = br_connect_control(connect);
    int code = log == NULL ? BR_EXIT_FAILED : settle_now(file, log, json, ret_pipeline);
    br_log_close(&log);
    return code;
}

int br_load_known_pipeline(const char *path, const struct br_pipeline_options *options,
                           const struct br_connect_options *connect, bool json, struct br_pipeline **ret_pipeline) {
    struct br_sql_file file;
    struct br_pipeline_options plain = *options;
    bool more = options->select != NULL || options->condition_count != 0;
    plain.select = NULL;
    plain.condition_count = 0;
    int code = br_sql_file_open(path, &plain, &file);
    if (code == BR_EXIT_OK)
        code = load_known(&file, connect, json, ret_pipeline);
    if (code == BR_EXIT_OK && more) {
        uint32_t rules = (*ret_pipeline)->rules;
        br_pipeline_destroy(ret_pipeline);
        plain = *options;
        plain.rules = &rules;
        code = load_text(path, (const char *)file.text.ptr, &plain, json, ret_pipeline);
    }
    br_sql_file_close(&file);
    return code;
}

int br_load_pipeline_on(struct br_log *log, const char *path, const struct br_pipeline_options *options,
                        struct br_pipeline **ret_pipeline) {
    struct br_sql_file file;
    int code = br_sql_file_open(path, options, &file);
    if (code == BR_EXIT_OK)
        code = settle_now(&file, log, false, ret_pipeline);
    br_sql_file_close(&file);
    return code;
}
