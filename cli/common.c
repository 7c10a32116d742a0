// SPDX-License-Identifier: Apache-2.0
// See cli.h.
#define _GNU_SOURCE // memrchr
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

enum { KEY_CREDS = 256, KEY_USER, KEY_PASSWORD, KEY_CA, KEY_CERT, KEY_KEY, KEY_INBOX };

static const struct argp_option connect_options[] = {
    {"server", 's', "URL", 0, "NATS server, several separated by commas (NATS_URL; default nats://127.0.0.1:4222)", 2},
    {"creds", KEY_CREDS, "FILE", 0, "Credentials file (NATS_CREDS)", 2},
    {"user", KEY_USER, "NAME", 0, "User name (NATS_USER)", 2},
    {"password", KEY_PASSWORD, "TEXT", 0, "Password (better: NATS_PASSWORD)", 2},
    {"tlsca", KEY_CA, "FILE", 0, "Certificates of the authority that signed the server's (NATS_CA)", 2},
    {"tlscert", KEY_CERT, "FILE", 0, "Client certificate (NATS_CERT)", 2},
    {"tlskey", KEY_KEY, "FILE", 0, "Its private key (NATS_KEY)", 2},
    {"inbox-prefix", KEY_INBOX, "SUBJECT", 0, "Own inboxes are below it; a worker answers there and below _INBOX", 2},
    {0},
};

// Whoever lists processes sees their arguments: a secret is taken away from there. (It has been there until now; the
// environment and files are better places.)
static const char *take_password(char *argument) {
    static char *kept;
    free(kept);
    kept = br_strdup(argument);
    memset(argument, 'x', strlen(argument));
    return kept;
}

// What stands between :// (or nothing) and @, in each of the URLs.
static const char *take_url(char *argument) {
    static char *kept;
    free(kept);
    kept = br_strdup(argument);
    for (char *at = argument; *at != '\0';) {
        size_t len = strcspn(at, " ,");
        char *scheme = strstr(at, "://"), *from = scheme != NULL && scheme < at + len ? scheme + 3 : at;
        char *end = memrchr(from, '@', (size_t)(at + len - from));
        if (end != NULL)
            memset(from, 'x', (size_t)(end - from));
        at += len + strspn(at + len, " ,");
    }
    return kept;
}

static error_t parse_connect_option(int key, char *argument, struct argp_state *state) {
    struct br_connect_options *options = state->input;
    switch (key) {
    case 's':
        options->url = take_url(argument);
        return 0;
    case KEY_CREDS:
        options->creds_path = argument;
        return 0;
    case KEY_USER:
        options->user = argument;
        return 0;
    case KEY_PASSWORD:
        options->password = take_password(argument);
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
    case KEY_INBOX:
        options->inbox_prefix = argument;
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
