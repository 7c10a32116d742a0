// SPDX-License-Identifier: Apache-2.0
// See cli.h.
#include "cli/cli.h"

#include "processor/subject.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#define FILE_SIZE_MAX ((size_t)4 << 30)

void br_complain(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("braid: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
}

int br_fail(const struct br_error *error) {
    br_complain("%s", error->message);
    return BR_EXIT_FAILED;
}

// --- signals

const char *br_program_version = "0";
volatile bool br_stop_requested;

static void on_signal(int signal_number) {
    if (br_stop_requested) {
        signal(signal_number, SIG_DFL);
        raise(signal_number);
    }
    br_stop_requested = true;
}

void br_catch_signals(void) {
    struct sigaction action = {.sa_handler = on_signal};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
}

// --- files

bool br_read_file(const char *path, struct br_buffer *content) {
    bool is_stdin = strcmp(path, "-") == 0;
    FILE *file = is_stdin ? stdin : fopen(path, "rb");
    if (file == NULL) {
        br_complain("can't open %s: %s", path, strerror(errno));
        return false;
    }
    size_t got;
    do {
        got = fread(br_buffer_reserve(content, 65536), 1, 65536, file);
        content->len += got;
    } while (got != 0 && content->len <= FILE_SIZE_MAX);
    bool good = ferror(file) == 0 && content->len <= FILE_SIZE_MAX;
    if (!good)
        br_complain("can't read %s: %s", path, content->len > FILE_SIZE_MAX ? "it is too large" : strerror(errno));
    if (!is_stdin)
        fclose(file);
    *br_buffer_reserve(content, 1) = '\0';
    return good;
}

// --- servers

typedef enum br_status connect_function(const struct br_connect_options *options, struct br_log **ret_log,
                                        struct br_error *error);

static struct br_log *connect_by(connect_function *by, const struct br_connect_options *options) {
    struct br_error error;
    struct br_log *log = NULL;
    if (by(options, &log, &error) != BR_OK) {
        br_complain("%s", error.message);
        return NULL;
    }
    return log;
}

struct br_log *br_connect(const struct br_connect_options *options) {
    return connect_by(br_log_connect_jetstream, options);
}

struct br_log *br_connect_control(const struct br_connect_options *options) {
    return connect_by(br_log_connect_control, options);
}

struct br_control *br_open_control(const struct br_connect_options *options) {
    struct br_control *control = NULL;
    struct br_error error;
    if (br_control_open(options, NULL, &control, &error) != BR_OK)
        br_complain("%s", error.message);
    return control;
}

enum br_status br_make_input_streams(struct br_log *log, const struct br_pipeline *pipeline, struct br_error *error) {
    for (uint32_t t = 0; t < pipeline->table_count; t++) {
        struct br_buffer BR_CLEANUP(br_buffer_free) filter = {0};
        char stream[256];
        br_subject_filter(pipeline->tables[t].subject, &filter);
        const char *named = pipeline->tables[t].stream;
        if (named != NULL)
            snprintf(stream, sizeof stream, "%s", named);
        else
            snprintf(stream, sizeof stream, "IN_%s_%s", pipeline->name, pipeline->tables[t].name);
        for (char *at = stream; *at != '\0'; at++)
            if ((unsigned char)*at <= ' ' || strchr(".*>/\\\x7f", *at) != NULL)
                *at = '_'; // what names of streams can't have
        BR_TRY(br_log_ensure_input(log, stream, (const char *)filter.ptr, error));
    }
    return BR_OK;
}
