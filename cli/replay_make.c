// SPDX-License-Identifier: Apache-2.0
// A replay from its options: pipelines, plan and job record. See replay.h.
#include "cli/replay.h"
#include "processor/pipeline_text.h"
#include "replay/plan_history.h"
#include "replay/remote_history.h"
#include "replay/selection.h"

#include <stdio.h>
#include <unistd.h>

int replay_pipeline_name(const struct replay_arguments *arguments, struct br_log *log, char *name, size_t size,
                         struct br_pipeline **ret_pipeline) {
    struct br_pipeline_options options = br_pipeline_options_of(&arguments->pipeline);
    size_t len = strlen(arguments->word);
    *ret_pipeline = NULL;
    if (len <= 4 || strcmp(arguments->word + len - 4, ".sql") != 0) {
        snprintf(name, size, "%s", arguments->word);
        return BR_EXIT_OK;
    }
    int code = br_load_pipeline_on(log, arguments->word, &options, ret_pipeline);
    if (code == BR_EXIT_OK)
        snprintf(name, size, "%s", (*ret_pipeline)->name);
    return code;
}

// The changed pipeline bears the name of the running one, whatever its file says.
static int load_changed(const struct replay_arguments *arguments, struct br_log *log, struct replay_draft *draft) {
    if (arguments->new_path == NULL)
        return BR_EXIT_OK;
    struct br_pipeline_options options = br_pipeline_options_of(&arguments->pipeline);
    options.name = draft->name;
    int code = br_load_pipeline_on(log, arguments->new_path, &options, &draft->after);
    if (code != BR_EXIT_OK)
        return code;
    Braid__V1__ReplayJob *record = &draft->record;
    record->sql = (char *)draft->after->text; // as it was read: a pipe can't be read again
    record->sql_name = (char *)arguments->new_path;
    record->binding_rules = draft->after->rules;
    record->n_descriptors = draft->after->descriptor_set_count;
    record->descriptors = br_arena_array(draft->arena, ProtobufCBinaryData, record->n_descriptors + 1);
    for (size_t i = 0; i < record->n_descriptors; i++) {
        struct br_slice set = draft->after->descriptor_sets[i];
        record->descriptors[i] = (ProtobufCBinaryData){set.len, (uint8_t *)set.ptr};
    }
    record->fields = (ProtobufCBinaryData){draft->after->fields.len, (uint8_t *)draft->after->fields.ptr};
    return BR_EXIT_OK;
}

// --- the plan

// What the last replay of this pipeline made, as the rate to be expected; 0: none has run.
static double last_rate(struct br_log *log, const char *name) {
    struct br_jobs *jobs = NULL;
    struct br_job_list list = {0};
    double rate = 0;
    if (br_jobs_open(log, name, &jobs, NULL) == BR_OK && br_jobs_list(jobs, &list, NULL) == BR_OK) {
        for (size_t i = 0; i < list.count; i++) {
            const Braid__V1__ReplayProgress *progress = list.jobs[i].record->progress;
            if (progress != NULL && progress->messages_per_second > 0)
                rate = progress->messages_per_second;
        }
    }
    br_job_list_free(&list);
    br_jobs_close(&jobs);
    return rate;
}

// The pipeline that runs, by what its worker has stored, when only its name was given. Without it the plan knows of no
// archive, and of no views.
static int load_running(struct br_log *log, struct replay_draft *draft) {
    struct br_error error;
    uint64_t hash;
    if (draft->before != NULL)
        return BR_EXIT_OK;
    enum br_status status = br_pipeline_text_of_owner(log, draft->name, &hash, &draft->before, &error);
    if (status == BR_OK)
        return BR_EXIT_OK;
    br_complain("%s", error.message);
    return BR_EXIT_FAILED;
}

// A hole may be one only from here: the worker may have the folder.
static void tell_archives(const struct br_pipeline *pipeline) {
    for (uint32_t t = 0; t < pipeline->table_count; t++) {
        const char *path = pipeline->tables[t].archive_path;
        if (path != NULL && access(path, R_OK) != 0)
            br_complain("the archive of table %s, %s, can't be read on this machine, and no worker answers",
                        pipeline->tables[t].name, path);
    }
}

// Archives are the worker's, wherever it runs; without one, and with --local, those of this machine.
static enum br_status plan_with_history(const struct replay_arguments *arguments, const struct replay_draft *draft,
                                        const struct br_replay_plan_options *options, struct br_replay_plan **ret_plan,
                                        struct br_error *error) {
    struct br_history *history = NULL;
    if (options->pipeline == NULL)
        return br_replay_plan_make(options, ret_plan, error);
    BR_TRY(br_history_create(options->pipeline, &history, error));
    struct br_control *control = NULL;
    if (!arguments->local && br_control_open(&arguments->connect, NULL, &control, error) != BR_OK) {
        br_history_destroy(&history);
        return error->status;
    }
    struct br_history_source here = br_plan_history(history);
    struct br_remote_history remote = {.control = control,
                                       .pipeline = options->pipeline_name,
                                       .job = &draft->record,
                                       .otherwise = &here,
                                       .nobody = arguments->local};
    struct br_history_source source = br_remote_history_source(&remote);
    struct br_replay_plan_options with_history = *options;
    with_history.history = &source;
    enum br_status status = br_replay_plan_make(&with_history, ret_plan, error);
    if (status == BR_OK && (*ret_plan)->hole_count != 0 && remote.nobody)
        tell_archives(options->pipeline);
    br_control_close(&control);
    br_history_destroy(&history);
    return status;
}

// Who only rolls a changed file out needs no view again that stays as it is. Any other replay is there to compute.
static bool takes_over(const struct replay_arguments *arguments) {
    return arguments->verb != REPLAY_REBUILD && arguments->new_path != NULL &&
           (arguments->from == NULL || strcmp(arguments->from, "beginning") == 0) && !arguments->fresh_epochs &&
           !arguments->include_late && !arguments->include_quarantine && arguments->lateness_us < 0 &&
           arguments->only_count == 0 && arguments->key == NULL;
}

static int make_plan(const struct replay_arguments *arguments, struct br_log *log, struct replay_draft *draft) {
    struct br_error error;
    const struct br_clock *clock = br_clock_system();
    double rate = last_rate(log, draft->name);
    struct br_replay_plan_options options = {
        .log = log,
        .pipeline_name = draft->name,
        .pipeline = draft->after != NULL ? draft->after : draft->before,
        .mode = arguments->verb == REPLAY_VERIFY ? BRAID__V1__REPLAY_MODE__REPLAY_MODE_VERIFY
                                                 : BRAID__V1__REPLAY_MODE__REPLAY_MODE_RECOMPUTE,
        .from = arguments->from,
        .to = arguments->to,
        .fresh_epochs = arguments->fresh_epochs,
        .now = clock->wall(clock),
        .messages_per_second = arguments->rate > 0 && (rate <= 0 || arguments->rate < rate) ? arguments->rate : rate,
    };
    if (draft->before != NULL && arguments->verb != REPLAY_VERIFY)
        draft->upgrade = br_upgrade_compare(draft->before, draft->after != NULL ? draft->after : draft->before);
    options.upgrade = draft->upgrade;
    options.take_over = takes_over(arguments);
    options.rebuild = arguments->verb == REPLAY_REBUILD;
    enum br_status status = plan_with_history(arguments, draft, &options, &draft->plan, &error);
    if (status == BR_OK)
        return BR_EXIT_OK;
    br_complain("%s", error.message);
    return status == BR_DATA ? BR_EXIT_NO : BR_EXIT_FAILED;
}

// A file that isn't what runs would be replayed as what runs, silently.
static int check_same_pipeline(const struct replay_arguments *arguments, const struct replay_draft *draft) {
    if (draft->before == NULL || draft->plan->base_lineage[0] == '\0' ||
        draft->before->plan_hash == draft->plan->base_plan_hash)
        return BR_EXIT_OK;
    br_complain("%s isn't the pipeline that runs as %s: it has changed. Give the name or the former file first, and "
                "the changed one with --pipeline: braid replay %s %s --pipeline %s",
                arguments->word, draft->name, arguments->verb == REPLAY_PLAN ? "plan" : "start", draft->name,
                arguments->word);
    return BR_EXIT_NO;
}

static int check_selection(struct br_log *log, const struct replay_draft *draft) {
    struct br_error error;
    const struct br_pipeline *pipeline = draft->after != NULL ? draft->after : draft->before;
    enum br_status status = br_selection_check(log, draft->name, pipeline, &draft->record, &error);
    if (status == BR_OK)
        return BR_EXIT_OK;
    br_complain("%s", error.message);
    return status == BR_DATA ? BR_EXIT_NO : BR_EXIT_FAILED;
}

// --- the record

char *replay_maker(struct br_arena *arena) {
    char host[128] = "";
    const char *user = getenv("USER");
    if (gethostname(host, sizeof host - 1) != 0)
        strcpy(host, "?");
    return br_arena_printf(arena, "%s@%s:%d", user == NULL ? "?" : user, host, (int)getpid());
}

static void fill_record(const struct replay_arguments *arguments, struct replay_draft *draft) {
    Braid__V1__ReplayJob *record = &draft->record;
    br_replay_plan_fill(draft->plan, record);
    record->created_by = replay_maker(draft->arena);
    record->reason = (char *)(arguments->reason == NULL ? "" : arguments->reason);
    record->plan_hash = draft->after != NULL ? draft->after->plan_hash : draft->plan->base_plan_hash;
    record->only = (char **)arguments->only;
    record->n_only = arguments->only_count;
    record->key = (char *)(arguments->key == NULL ? "" : arguments->key);
    record->include_late = arguments->include_late;
    record->include_quarantine = arguments->include_quarantine;
    record->lateness_us = arguments->lateness_us;
    record->rate = arguments->rate;
    record->behind_live = arguments->behind_live;
    record->publish = arguments->publish;
}

int replay_make(const struct replay_arguments *arguments, struct br_log *log, struct replay_draft *draft) {
    *draft = (struct replay_draft){.arena = br_arena_create()};
    braid__v1__replay_job__init(&draft->record);
    int code = replay_pipeline_name(arguments, log, draft->name, sizeof draft->name, &draft->before);
    if (code == BR_EXIT_OK)
        code = load_changed(arguments, log, draft);
    if (code == BR_EXIT_OK)
        code = load_running(log, draft);
    if (code == BR_EXIT_OK)
        code = make_plan(arguments, log, draft);
    if (code == BR_EXIT_OK)
        code = check_same_pipeline(arguments, draft);
    if (code == BR_EXIT_OK)
        fill_record(arguments, draft);
    if (code == BR_EXIT_OK)
        code = check_selection(log, draft);
    return code;
}

int replay_check_moves(const struct replay_arguments *arguments, const struct replay_draft *draft) {
    struct br_error error;
    if (draft->upgrade == NULL || draft->after == NULL || arguments->gates.allow_incompatible ||
        br_upgrade_check_moves(draft->upgrade, arguments->new_path, false, &error) == BR_OK)
        return BR_EXIT_OK;
    br_complain("%s", error.message);
    return BR_EXIT_NO;
}

void replay_draft_free(struct replay_draft *draft) {
    br_replay_plan_free(&draft->plan);
    br_upgrade_destroy(&draft->upgrade);
    br_pipeline_destroy(&draft->before);
    br_pipeline_destroy(&draft->after);
    br_arena_destroy(&draft->arena);
}
