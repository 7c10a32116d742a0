// SPDX-License-Identifier: Apache-2.0
// What a run stands on: the pipelines, with their history, and the shadow's folder. See runner_internal.h.
#include "replay/runner_internal.h"

#include "base/logging.h"
#include "processor/sql/sql.h"
#include "replay/selection.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define CHECKPOINT_TIMEOUT_US INT64_C(30000000)

void loaded_free(struct loaded *loaded) {
    br_history_destroy(&loaded->history);
    br_pipeline_destroy(&loaded->owned);
    br_pipeline_destroy(&loaded->text);
    br_pipeline_destroy(&loaded->whole);
    *loaded = (struct loaded){0};
}

static enum br_status load_stored(struct run *run, uint64_t plan_hash, struct loaded *loaded, struct br_error *error) {
    return br_former_load(run->log, run->options, plan_hash, &loaded->owned, &loaded->pipeline, error);
}

enum br_status run_load_base(struct run *run, uint64_t plan_hash, struct loaded *loaded, struct br_error *error) {
    BR_TRY(load_stored(run, plan_hash, loaded, error));
    return br_history_create(loaded->pipeline, &loaded->history, error);
}

// What runs is what was planned: the record's text may have been lost on the way, or be planned otherwise by this
// build.
static enum br_status check_plan(const Braid__V1__ReplayJob *record, const struct br_pipeline *pipeline,
                                 struct br_error *error) {
    if (record->plan_hash == pipeline->plan_hash)
        return BR_OK;
    return br_error_set(error, BR_DATA,
                        "replay %s was planned as plan %016" PRIx64 ", but the pipeline in its record (%s) is plan "
                        "%016" PRIx64 " to this build: start a new replay",
                        record->id, (uint64_t)record->plan_hash,
                        record->sql[0] == '\0' ? "that of the worker" : record->sql_name, pipeline->plan_hash);
}

enum br_status run_load_own(struct run *run, struct loaded *loaded, struct br_error *error) {
    const Braid__V1__ReplayJob *record = run->job.record;
    struct br_pipeline *changed;
    if (record->sql[0] == '\0') {
        BR_TRY(load_stored(run, record->base_plan_hash, loaded, error));
    } else {
        BR_TRY(br_selection_load(record, &loaded->owned, error));
        loaded->pipeline = loaded->owned;
    }
    BR_TRY(check_plan(record, loaded->pipeline, error));
    BR_TRY(br_selection_plan(loaded->pipeline, record, &changed, &loaded->whole, error));
    if (changed == NULL && loaded->pipeline->bound_otherwise) {
        // What this build makes of the text is what it can run.
        struct br_plan_changes changes = {.lateness_set = loaded->pipeline->lateness_set,
                                          .lateness_us = loaded->pipeline->lateness_us};
        BR_TRY(br_pipeline_change(loaded->pipeline, &changes, &changed, error));
    }
    if (changed != NULL) {
        loaded->text = loaded->owned;
        loaded->pipeline = loaded->owned = changed;
    }
    return br_history_create(loaded->pipeline, &loaded->history, error);
}

// --- the shadow's folder

// Nothing that is answered is used: whoever may publish can answer, and the folder is known.
static enum br_status take_answer(void *context, struct br_slice part, struct br_error *error) {
    (void)context;
    (void)part;
    (void)error;
    return BR_OK;
}

// Does the worker keep its state in our data folder? One that keeps it elsewhere would put its checkpoint there.
static bool is_owners_folder(const struct run *run) {
    const struct br_runner_options *options = run->options;
    struct br_error ignored;
    struct br_owner owner;
    struct stat status;
    char path[4096];
    return br_task_find_owner(run->log, options->pipeline_name, &owner, &ignored) == BR_OK &&
           br_worker_state_path(options->data_path, options->pipeline_name, owner.lineage, path, sizeof path,
                                &ignored) == BR_OK &&
           stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

enum br_status run_fetch_checkpoint(struct run *run, struct br_error *error) {
    const struct br_runner_options *options = run->options;
    char folder[4096], subject[320], body[128];
    BR_TRY(
        br_worker_state_path(options->data_path, options->pipeline_name, "checkpoints", folder, sizeof folder, error));
    int len = snprintf(run->checkpoint_path, sizeof run->checkpoint_path, "%s/%s", folder, run->id);
    if (len < 0 || (size_t)len >= sizeof run->checkpoint_path || strchr(run->id, '/') != NULL) {
        run->checkpoint_path[0] = '\0';
        return br_error_set(error, BR_FATAL, "replay \"%.64s\": no folder can have that name below %s", run->id,
                            folder);
    }
    snprintf(run->shadow_path, sizeof run->shadow_path, "%s", run->checkpoint_path);
    BR_TRY(br_store_remove(options->data_path, run->checkpoint_path, error));
    if (!is_owners_folder(run))
        return BR_OK;
    struct br_error nobody;
    br_task_service_subject(options->pipeline_name, "checkpoint", subject, sizeof subject);
    snprintf(body, sizeof body, "{\"name\":\"%s\"}", run->id);
    // Without a checkpoint the shadow begins empty, and follows from the first commit.
    enum br_status asked = br_control_request(options->control, subject, br_slice_of(body), CHECKPOINT_TIMEOUT_US,
                                              take_answer, NULL, &nobody);
    (void)asked;
    return BR_OK;
}

void run_remove_checkpoint(const struct run *run) {
    struct br_error why;
    if (run->checkpoint_path[0] != '\0' &&
        br_store_remove(run->options->data_path, run->checkpoint_path, &why) != BR_OK)
        br_log_line(BR_LEVEL_WARN, "a checkpoint stays behind", BR_STR("path", run->checkpoint_path),
                    BR_STR("why", why.message));
}

enum br_status run_open_shadow(void *context, bool set_aside, struct br_store **ret_store, struct br_error *error) {
    struct run *run = context;
    if (set_aside)
        BR_TRY(br_store_remove(run->options->data_path, run->shadow_path, error));
    return br_worker_open_store(run->shadow_path, false, ret_store, error);
}
