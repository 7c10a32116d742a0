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

// --- files and pipelines

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

int br_load_pipeline_with(const char *path, const struct br_pipeline_options *options, bool json,
                          struct br_pipeline **ret_pipeline) {
    struct br_buffer BR_CLEANUP(br_buffer_free) text = {0};
    if (!br_read_file(path, &text))
        return BR_EXIT_FAILED;
    if (text.len != 0 && memchr(text.ptr, '\0', text.len) != NULL) {
        br_complain("%s isn't SQL text: it has a NUL byte", path);
        return BR_EXIT_NO;
    }
    struct br_diagnostics *diagnostics = br_diagnostics_create(path, (const char *)text.ptr);
    struct br_error error = {0};
    enum br_status status = br_pipeline_load(path, (const char *)text.ptr, options, diagnostics, ret_pipeline, &error);
    print_diagnostics(diagnostics, json);
    print_diagnostics(options->select_diagnostics, json);
    bool told = diagnostics->error_count != 0 ||
                (options->select_diagnostics != NULL && options->select_diagnostics->error_count != 0);
    br_diagnostics_destroy(&diagnostics);
    if (status == BR_OK)
        return BR_EXIT_OK;
    if (!told)
        br_complain("%s", error.message);
    return status == BR_DATA ? BR_EXIT_NO : BR_EXIT_FAILED;
}

// --- servers

enum { KEY_CREDS = 256, KEY_USER, KEY_PASSWORD, KEY_CA, KEY_CERT, KEY_KEY };

static const struct argp_option connect_options[] = {
    {"server", 's', "URL", 0, "NATS server, several separated by commas (NATS_URL; default nats://127.0.0.1:4222)", 2},
    {"creds", KEY_CREDS, "FILE", 0, "Credentials file (NATS_CREDS)", 2},
    {"user", KEY_USER, "NAME", 0, "User name (NATS_USER)", 2},
    {"password", KEY_PASSWORD, "TEXT", 0, "Password (better: NATS_PASSWORD)", 2},
    {"tlsca", KEY_CA, "FILE", 0, "Certificates of the authority that signed the server's (NATS_CA)", 2},
    {"tlscert", KEY_CERT, "FILE", 0, "Client certificate (NATS_CERT)", 2},
    {"tlskey", KEY_KEY, "FILE", 0, "Its private key (NATS_KEY)", 2},
    {0},
};

static error_t parse_connect_option(int key, char *argument, struct argp_state *state) {
    struct br_connect_options *options = state->input;
    switch (key) {
    case 's':
        options->url = argument;
        return 0;
    case KEY_CREDS:
        options->creds_path = argument;
        return 0;
    case KEY_USER:
        options->user = argument;
        return 0;
    case KEY_PASSWORD:
        options->password = argument;
        return 0;
    case KEY_CA:
        options->tls_ca_path = argument;
        return 0;
    case KEY_CERT:
        options->tls_cert_path = argument;
        return 0;
    case KEY_KEY:
        options->tls_key_path = argument;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

const struct argp br_connect_argp = {connect_options, parse_connect_option, NULL, NULL, NULL, NULL, NULL};

void br_connect_defaults(struct br_connect_options *options, const char *name) {
    *options = (struct br_connect_options){.url = getenv("NATS_URL"),
                                           .creds_path = getenv("NATS_CREDS"),
                                           .user = getenv("NATS_USER"),
                                           .password = getenv("NATS_PASSWORD"),
                                           .tls_ca_path = getenv("NATS_CA"),
                                           .tls_cert_path = getenv("NATS_CERT"),
                                           .tls_key_path = getenv("NATS_KEY"),
                                           .name = name,
                                           .cancel = &br_stop_requested};
}

struct br_log *br_connect(const struct br_connect_options *options) {
    struct br_error error;
    struct br_log *log = NULL;
    if (br_log_connect_jetstream(options, &log, &error) != BR_OK) {
        br_complain("%s", error.message);
        return NULL;
    }
    return log;
}

enum br_status br_make_input_streams(struct br_log *log, const struct br_pipeline *pipeline, struct br_error *error) {
    for (uint32_t t = 0; t < pipeline->table_count; t++) {
        struct br_buffer BR_CLEANUP(br_buffer_free) filter = {0};
        char stream[256];
        br_subject_filter(pipeline->tables[t].subject, &filter);
        snprintf(stream, sizeof stream, "IN_%s_%s", pipeline->name, pipeline->tables[t].name);
        for (char *at = stream; *at != '\0'; at++)
            if ((unsigned char)*at <= ' ' || strchr(".*>/\\\x7f", *at) != NULL)
                *at = '_'; // what names of streams can't have
        BR_TRY(br_log_ensure_input(log, stream, (const char *)filter.ptr, error));
    }
    return BR_OK;
}
