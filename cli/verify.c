// SPDX-License-Identifier: Apache-2.0
// braid verify: is what a worker keeps on this machine what it wrote, and what the log says? Reads all of it and
// changes nothing, also while a worker runs.
#include "base/json.h"
#include "cli/cli.h"
#include "processor/confirm.h"
#include "processor/worker.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#define LINEAGES_MAX 1000
#define STATE_BYTES ((size_t)16 << 20) // of hot entries: facts only

struct arguments {
    struct br_pipeline_arguments pipeline;
    struct br_connect_options connect;
    const char *path, *data, *lineage;
    bool state, json;
};

enum standing { UNASKED, CONFIRMED, DIFFERS };
static const char *const standing_words[] = {
    [UNASKED] = "unreachable", [CONFIRMED] = "confirmed", [DIFFERS] = "differs"};

// One lineage's folder.
struct finding {
    const char *lineage, *path;
    struct br_store_reading reading;
    struct br_confirm_record record;
    enum standing standing;
    struct br_error damage; // status BR_OK: none
};

static void put_text(struct br_buffer *out, const char *before, const char *text) {
    br_buffer_append_text(out, before);
    br_json_append_string(br_slice_of(text), out);
}

static bool sound(const struct finding *finding) {
    return finding->damage.status == BR_OK && finding->standing != DIFFERS;
}

static void print_json(const struct finding *finding) {
    struct br_buffer BR_CLEANUP(br_buffer_free) line = {0};
    const struct br_store_reading *reading = &finding->reading;
    put_text(&line, "{\"lineage\":", finding->lineage);
    put_text(&line, ",\"path\":", finding->path);
    br_buffer_printf(
        &line,
        ",\"sound\":%s,\"files\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"proof\":%s,\"flush\":%" PRIu64
        ",\"proven_flush\":%" PRIu64 ",\"epoch\":%" PRIu64 ",\"digest\":\"%016" PRIx64 "\",\"sequence\":%" PRIu64,
        sound(finding) ? "true" : "false", reading->files, reading->bytes, reading->has_proof ? "true" : "false",
        reading->flush, reading->proven_flush, finding->record.epoch, finding->record.digest, finding->record.sequence);
    put_text(&line, ",\"state_of\":", finding->record.lineage);
    put_text(&line, ",\"log\":", standing_words[finding->standing]);
    if (finding->damage.status != BR_OK)
        put_text(&line, ",\"damage\":", finding->damage.message);
    br_buffer_append_text(&line, "}\n");
    fwrite(line.ptr, 1, line.len, stdout);
}

static void print_text(const struct finding *finding) {
    const struct br_store_reading *reading = &finding->reading;
    printf("%s: %s\n", finding->lineage, sound(finding) ? "sound" : "not sound");
    if (finding->damage.status != BR_OK) {
        printf("  %s\n  The worker sets it aside when it is started, and rebuilds it from the log.\n",
               finding->damage.message);
        return;
    }
    printf("  %" PRIu64 " files, %" PRIu64 " bytes: all read, every checksum is right\n", reading->files,
           reading->bytes);
    if (reading->has_proof)
        printf("  flushes 1 to %" PRIu64 ": all there; PROOF names flush %" PRIu64 "\n", reading->flush,
               reading->proven_flush);
    else
        printf("  no PROOF: a version before it wrote this state; it gets one when a worker opens it\n");
    if (finding->record.epoch == 0) {
        printf("  no epoch yet\n");
        return;
    }
    printf("  epoch %" PRIu64 " of lineage %s, digest %016" PRIx64 ": ", finding->record.epoch, finding->record.lineage,
           finding->record.digest);
    if (finding->standing == CONFIRMED)
        printf("the log has it, at sequence %" PRIu64 "\n", finding->record.sequence);
    else if (finding->standing == UNASKED)
        printf("whether the log has it is not known, no server could be asked\n");
    else
        printf("the log doesn't have it at sequence %" PRIu64
               "; the worker sets the state aside when it is started, and rebuilds it from the log\n",
               finding->record.sequence);
}

static enum br_status read_state(struct br_store *take_store, struct br_log *log, const char *pipeline,
                                 struct finding *finding, struct br_error *error) {
    struct br_state *state = NULL;
    BR_TRY(br_state_create(take_store, STATE_BYTES, &state, error));
    enum br_status status = br_store_read_all(br_state_store(state), &br_stop_requested, &finding->reading, error);
    bool has = false;
    if (status == BR_OK)
        status = br_confirm_state(log, pipeline, state, &finding->record, &has, error);
    if (status == BR_OK && log != NULL && finding->record.epoch != 0)
        finding->standing = has ? CONFIRMED : DIFFERS;
    br_state_destroy(&state);
    return status;
}

static bool has_file(const char *folder, const char *name) {
    char path[PATH_MAX];
    int len = snprintf(path, sizeof path, "%s/%s", folder, name);
    return len > 0 && (size_t)len < sizeof path && access(path, F_OK) == 0;
}

static int verify(const struct arguments *arguments, struct br_log *log, const char *pipeline,
                  struct finding *finding) {
    struct br_store *store = NULL;
    struct br_error error;
    if (!has_file(finding->path, "CURRENT") && !has_file(finding->path, "PROOF")) {
        br_complain("no state in %s", finding->path);
        return BR_EXIT_FAILED;
    }
    enum br_status status = br_store_open_to_read(finding->path, &store, &finding->reading, &error);
    if (status == BR_OK)
        status = read_state(store, log, pipeline, finding, &error);
    if (status == BR_RETRY && br_stop_requested)
        return BR_EXIT_INTERRUPTED;
    if (status != BR_OK && error.native != BR_STORE_DAMAGED)
        return br_fail(&error);
    if (status != BR_OK)
        finding->damage = error;
    if (arguments->json)
        print_json(finding);
    else
        print_text(finding);
    return sound(finding) ? BR_EXIT_OK : BR_EXIT_NO;
}

// Folders beside the lineages' bear names that are none: checkpoints, NAME.aside-1.
static bool is_lineage(const char *name) {
    return strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") == strlen(name) &&
           strcmp(name, "checkpoints") != 0;
}

static int compare_names(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int find_lineages(const char *folder, char **names, size_t *ret_count) {
    DIR *listing = opendir(folder);
    if (listing == NULL) {
        br_complain("no state in %s: %s (--data says where it is)", folder, strerror(errno));
        return BR_EXIT_FAILED;
    }
    const struct dirent *file;
    for (*ret_count = 0; (file = readdir(listing)) != NULL && *ret_count < LINEAGES_MAX;)
        if (is_lineage(file->d_name))
            names[(*ret_count)++] = br_strdup(file->d_name);
    closedir(listing);
    qsort(names, *ret_count, sizeof *names, compare_names);
    if (*ret_count == 0)
        br_complain("no state in %s (--data says where it is)", folder);
    return *ret_count == 0 ? BR_EXIT_FAILED : BR_EXIT_OK;
}

static int verify_each(const struct arguments *arguments, struct br_log *log, const char *pipeline) {
    char folder[PATH_MAX], path[4096], *names[LINEAGES_MAX];
    struct br_error error;
    size_t count = 0;
    snprintf(folder, sizeof folder, "%s/%s", arguments->data, pipeline);
    int worst = arguments->lineage != NULL ? BR_EXIT_OK : find_lineages(folder, names, &count);
    if (arguments->lineage != NULL)
        names[count++] = br_strdup(arguments->lineage);
    for (size_t i = 0; i < count; i++) {
        struct finding finding = {.lineage = names[i], .path = path};
        int code = br_worker_state_path(arguments->data, pipeline, names[i], path, sizeof path, &error) == BR_OK
                       ? verify(arguments, log, pipeline, &finding)
                       : br_fail(&error);
        worst = code > worst ? code : worst;
        free(names[i]);
    }
    return fflush(stdout) == 0 ? worst : BR_EXIT_FAILED;
}

// --- the command

enum { KEY_STATE = 256, KEY_DATA, KEY_LINEAGE, KEY_JSON };

static const struct argp_option options[] = {
    {"state", KEY_STATE, NULL, 0, "Verify the state on this machine", 0},
    {"data", KEY_DATA, "DIR", 0, "Folder of the state (default: <pipeline>.braid-data)", 0},
    {"lineage", KEY_LINEAGE, "NAME", 0, "Of this lineage only (default: of all that are there)", 0},
    {"json", KEY_JSON, NULL, 0, "JSON lines, one a lineage", 0},
    {0},
};

static error_t parse(int key, char *argument, struct argp_state *state) {
    struct arguments *arguments = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &arguments->pipeline;
        state->child_inputs[1] = &arguments->connect;
        return 0;
    case KEY_STATE:
        arguments->state = true;
        return 0;
    case KEY_DATA:
        arguments->data = argument;
        return 0;
    case KEY_LINEAGE:
        arguments->lineage = argument;
        return 0;
    case KEY_JSON:
        arguments->json = true;
        return 0;
    case ARGP_KEY_ARG:
        if (arguments->path != NULL)
            argp_error(state, "one PIPELINE.sql, please");
        arguments->path = argument;
        return 0;
    case ARGP_KEY_END:
        if (arguments->path == NULL)
            argp_error(state, "which PIPELINE.sql?");
        else if (!arguments->state)
            argp_error(state, "verify what? --state: the state on this machine (recorded epochs: braid replay verify; "
                              "archives: braid archive verify)");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static int run(struct arguments *arguments, const struct br_pipeline *pipeline) {
    char data[PATH_MAX];
    struct br_log *log = NULL;
    struct br_error error;
    snprintf(data, sizeof data, "%s.braid-data", pipeline->name);
    if (arguments->data == NULL)
        arguments->data = data;
    if (br_log_connect_control(&arguments->connect, &log, &error) != BR_OK) {
        if (br_stop_requested)
            return BR_EXIT_INTERRUPTED;
        br_complain("the log isn't asked: %s", error.message);
        log = NULL;
    }
    int code = verify_each(arguments, log, pipeline->name);
    br_log_close(&log);
    return code;
}

int br_command_verify(int argc, char **argv) {
    static const struct argp_child children[] = {
        {&br_pipeline_argp, 0, NULL, 0}, {&br_connect_argp, 0, "Server:", 2}, {0}};
    static const struct argp argp = {
        options,
        parse,
        "PIPELINE.sql --state",
        "Verifies the state that a worker keeps on this machine: reads every file to the end and looks at every "
        "checksum, that no flush is missing, that the files belong together, and that the log has the state's epoch "
        "with the same digest.\vChanges nothing, and may run beside the worker. The exit status is 1 when a state "
        "isn't "
        "sound. Without a server the log isn't asked.",
        children,
        NULL,
        NULL};
    struct arguments arguments = {0};
    br_connect_defaults(&arguments.connect, "braid verify");
    argp_parse(&argp, argc, argv, 0, NULL, &arguments);
    struct br_pipeline *pipeline = NULL;
    int code = br_load_pipeline(arguments.path, &arguments.pipeline, false, &pipeline);
    if (code != BR_EXIT_OK)
        return code;
    br_catch_signals();
    code = run(&arguments, pipeline);
    br_pipeline_destroy(&pipeline);
    return code;
}
