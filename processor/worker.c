// SPDX-License-Identifier: Apache-2.0
// See worker.h.
#include "processor/worker.h"

#include "base/logging.h"
#include "processor/pipeline_text.h"
#include "processor/sql/sql.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <sys/random.h>
#include <unistd.h>

#define IDLE_WAIT_US 50000
#define FIRST_WAIT_US 1000000
#define STORE_TRIES_MAX 200 // 50 ms each
#define STORE_CACHE_BYTES ((size_t)64 << 20)
#define REBUILDS_MAX 1 // of state that was found damaged while it was used, since the start

enum br_status br_worker_state_path(const char *data_path, const char *pipeline, const char *lineage, char *path,
                                    size_t size, struct br_error *error) {
    size_t safe = strspn(lineage, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");
    if (lineage[0] == '\0' || lineage[safe] != '\0')
        return br_error_set(error, BR_FATAL, "\"%.64s\" is no name of a lineage", lineage);
    int length = snprintf(path, size, "%s/%s/%s", data_path, pipeline, lineage);
    if (length < 0 || (size_t)length >= size)
        return br_error_set(error, BR_FATAL, "the data path is too long: %s", data_path);
    return BR_OK;
}

enum br_status br_worker_open_store(void *context, bool set_aside, struct br_store **ret_store,
                                    struct br_error *error) {
    const char *path = context;
    if (set_aside) {
        char aside[4200];
        BR_TRY(br_store_set_aside(path, aside, sizeof aside, error));
        br_log_line(BR_LEVEL_WARN, "state set aside", BR_STR("path", aside));
    }
    return br_store_open_rocksdb(path, STORE_CACHE_BYTES, ret_store, error);
}

enum br_status br_worker_clear_checkpoints(const char *data_path, const char *pipeline, struct br_error *error) {
    char folder[4096], path[4400];
    BR_TRY(br_worker_state_path(data_path, pipeline, "checkpoints", folder, sizeof folder, error));
    DIR *listing = opendir(folder);
    if (listing == NULL)
        return BR_OK; // none was ever made
    uint64_t removed = 0;
    enum br_status status = BR_OK;
    for (const struct dirent *entry; status == BR_OK && (entry = readdir(listing)) != NULL;) {
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        if (br_store_is_open_elsewhere(path))
            continue;
        status = br_store_remove(data_path, path, error);
        removed += status == BR_OK;
    }
    closedir(listing);
    if (removed != 0)
        br_log_line(BR_LEVEL_INFO, "checkpoints that were left behind are removed", BR_STR("pipeline", pipeline),
                    BR_INT("count", removed));
    return status;
}

void br_worker_name(char *name, size_t size) {
    char host[64] = "host";
    gethostname(host, sizeof host - 1);
    uint32_t random;
    BR_CHECK(getrandom(&random, sizeof random, 0) == sizeof random);
    snprintf(name, size, "%s-%ld-%08x", host, (long)getpid(), random);
}

static void tell_progress(struct br_task *task) {
    struct br_task_status status;
    br_task_status(task, &status);
    br_log_line(BR_LEVEL_INFO, "progress", BR_INT("epoch", status.committed_epoch), BR_INT("messages", status.messages),
                BR_INT("rows_out", status.rows_out),
                status.lag_messages == BR_PENDING_UNKNOWN ? BR_STR("lag", "unknown")
                                                          : BR_INT("lag", status.lag_messages),
                BR_INT("late", status.late), BR_INT("quarantined", status.quarantined));
}

// What the worker works on: its own task at first, then those of lineages that took over.
struct worker {
    const struct br_worker_options *options;
    const struct br_pipeline *pipeline;
    struct br_pipeline *loaded; // the pipeline, when it isn't the worker's own
    char lineage[64];
    bool takes_over; // another lineage owned the outputs when the worker began
    char state_path[4096], checkpoint_path[4096];
    struct br_task *task;
    unsigned rebuilds;
    struct br_log_pace waits_pace;
};

static enum br_status run_until_stopped(struct worker *worker, struct br_task *task, struct br_log *log,
                                        struct br_error *error) {
    const struct br_worker_options *options = worker->options;
    const struct br_clock *clock = br_clock_system();
    int64_t told_us = clock->mono(clock).us;
    br_log_line(BR_LEVEL_INFO, "running", BR_STR("pipeline", options->pipeline->name),
                BR_STR("lineage", br_task_lineage(task)), BR_STR("worker", options->name),
                BR_INT("epoch", br_task_epoch(task)));
    while (!br_flag_is_set(options->stop)) {
        bool worked;
        BR_TRY(br_task_step(task, &worked, error));
        if (!worked)
            br_log_wait(log, br_task_idle_us(task, IDLE_WAIT_US));
        int64_t now_us = clock->mono(clock).us;
        if (options->progress_interval_us != 0 && now_us - told_us >= options->progress_interval_us) {
            tell_progress(task);
            told_us = now_us;
        }
    }
    BR_TRY(br_task_stop(task, error));
    br_log_line(BR_LEVEL_INFO, "stopped", BR_STR("pipeline", options->pipeline->name),
                BR_INT("epoch", br_task_epoch(task)));
    return BR_OK;
}

// So that a later worker can say what has changed. Nothing depends on it: what can't be stored is only told.
static void store_text(const struct worker *worker) {
    struct br_error error;
    if (br_pipeline_text_store(worker->options->log, worker->pipeline, &error) != BR_OK)
        br_log_line(BR_LEVEL_WARN, "the pipeline's text isn't stored beside its commits",
                    BR_STR("pipeline", worker->pipeline->name), BR_STR("why", error.message));
}

// Whoever promoted the lineage in another process on this machine is about to leave its folder.
static enum br_status open_own_store(void *context, bool set_aside, struct br_store **ret_store,
                                     struct br_error *error) {
    struct worker *worker = context;
    enum br_status status;
    int tries = worker->takes_over ? STORE_TRIES_MAX : 1;
    do
        status = br_worker_open_store(worker->state_path, set_aside, ret_store, error);
    while (status != BR_OK && error->native == BR_STORE_IN_USE && --tries > 0 &&
           !br_flag_is_set(worker->options->stop) && (br_log_wait(worker->options->log, IDLE_WAIT_US), true));
    return status;
}

static enum br_status start_task(struct worker *worker, struct br_error *error) {
    const struct br_worker_options *options = worker->options;
    const char *name = options->pipeline->name;
    BR_TRY(br_worker_state_path(options->data_path, name, worker->lineage, worker->state_path,
                                sizeof worker->state_path, error));
    BR_TRY(br_worker_state_path(options->data_path, name, "checkpoints", worker->checkpoint_path,
                                sizeof worker->checkpoint_path, error));
    struct br_task_options task_options = {.pipeline = worker->pipeline,
                                           .log = options->log,
                                           .clock = br_clock_system(),
                                           .lineage = worker->lineage,
                                           .open_input = options->open_input,
                                           .input_context = options->input_context,
                                           .graft = options->graft,
                                           .graft_context = options->replay_context,
                                           .checkpoint_path = worker->checkpoint_path,
                                           .worker = options->name,
                                           .open_store = open_own_store,
                                           .store_context = worker,
                                           .state_budget_bytes = options->state_budget_bytes,
                                           .epoch_messages = options->epoch_messages,
                                           .epoch_time_us = options->epoch_time_us,
                                           .output_replicas = options->output_replicas,
                                           .output_memory = options->output_memory,
                                           .stop = options->stop,
                                           .requests = options->requests,
                                           .query_time_us = options->query_time_us,
                                           .query_rows_max = options->query_rows_max,
                                           .query_memory_bytes = options->query_memory_bytes,
                                           .add_status = options->add_status,
                                           .status_context = options->status_context};
    BR_TRY(br_task_create(&task_options, &worker->task, error));
    BR_TRY(br_task_recover(worker->task, error));
    if (br_task_unfinished_takeover(worker->task) == NULL)
        return BR_OK;
    if (options->finish_takeover == NULL)
        return br_error_set(error, BR_FATAL, "a takeover of pipeline %s was cut; braid run can end it", name);
    return options->finish_takeover(options->replay_context, worker->task, worker->pipeline, error);
}

// The task that ends before another one begins has heard of what it has sent, and one whose input has lost what comes
// next keeps what it has read. The status is that which ended it, if nothing worse comes.
static enum br_status settle_ended(struct br_task *task, enum br_status status, struct br_error *error) {
    bool lost = status == BR_FATAL && error->native == BR_LOG_LOST;
    if (task == NULL || status != BR_FATAL || (error->native != BR_STORE_DAMAGED && !lost))
        return status;
    struct br_error why = *error;
    BR_TRY(lost ? br_task_stop(task, error) : br_task_settle(task, error));
    *error = why;
    return status;
}

static enum br_status run_own(struct worker *worker, char *superseded_by, size_t size, struct br_error *error) {
    enum br_status status = start_task(worker, error);
    if (status == BR_OK) {
        store_text(worker);
        status = run_until_stopped(worker, worker->task, worker->options->log, error);
    }
    status = settle_ended(worker->task, status, error);
    const char *by = worker->task == NULL ? NULL : br_task_superseded_by(worker->task);
    snprintf(superseded_by, size, "%s", status == BR_OK || by == NULL ? "" : by);
    br_task_destroy(&worker->task);
    return status;
}

static enum br_status run_successor(struct worker *worker, struct br_successor *successor, char *superseded_by,
                                    size_t size, struct br_error *error) {
    struct br_task_options serving = {.checkpoint_path = worker->checkpoint_path,
                                      .add_status = worker->options->add_status,
                                      .status_context = worker->options->status_context,
                                      .query_time_us = worker->options->query_time_us,
                                      .query_rows_max = worker->options->query_rows_max,
                                      .query_memory_bytes = worker->options->query_memory_bytes,
                                      .requests = worker->options->requests};
    br_task_serve_from_now(successor->task, &serving);
    enum br_status status = run_until_stopped(worker, successor->task, successor->log, error);
    status = settle_ended(successor->task, status, error);
    const char *by = br_task_superseded_by(successor->task);
    snprintf(superseded_by, size, "%s", status == BR_OK || by == NULL ? "" : by);
    br_task_destroy(&successor->task);
    successor->release(successor->owned);
    return status;
}

// Before there is a task, which does the same by itself.
static bool waits(struct worker *worker, enum br_status status, const struct br_error *why) {
    if (!br_log_may_pass(status, why) || br_flag_is_set(worker->options->stop))
        return false;
    br_log_paced(&worker->waits_pace, BR_LEVEL_WARN, "can't go on; trying again",
                 BR_STR("pipeline", worker->options->pipeline->name), BR_STR("why", why->message));
    br_log_wait(worker->options->log, FIRST_WAIT_US);
    return true;
}

static enum br_status find_owner(struct worker *worker, uint64_t *ret_plan_hash, struct br_error *error) {
    enum br_status status;
    struct br_owner owner;
    do {
        status = br_task_find_owner(worker->options->log, worker->options->pipeline->name, &owner, error);
    } while (waits(worker, status, error));
    BR_TRY(status);
    memcpy(worker->lineage, owner.lineage, sizeof worker->lineage);
    *ret_plan_hash = owner.plan_hash;
    return BR_OK;
}

// The lineage that has taken over may be of a changed pipeline: its text is beside its commits.
static enum br_status go_on_with_owner(struct worker *worker, struct br_error *error) {
    const struct br_worker_options *options = worker->options;
    uint64_t plan_hash;
    BR_TRY(find_owner(worker, &plan_hash, error));
    br_pipeline_destroy(&worker->loaded);
    worker->pipeline = options->pipeline;
    worker->takes_over = true;
    if (plan_hash == options->pipeline->plan_hash || plan_hash == 0)
        return BR_OK;
    BR_TRY(br_pipeline_text_load(options->log, options->pipeline->name, plan_hash, &worker->loaded, error));
    if (worker->loaded == NULL)
        return br_error_set(error, BR_FATAL,
                            "lineage %s has taken the outputs of pipeline %s over with a changed SQL file, which this "
                            "worker hasn't got: start it again with that file",
                            worker->lineage, options->pipeline->name);
    worker->pipeline = worker->loaded;
    return BR_OK;
}

// A new pipeline has no output stream yet: its first lineage is "live".
static enum br_status find_first_owner(struct worker *worker, struct br_error *error) {
    uint64_t plan_hash = 0;
    struct br_stream_info info;
    struct br_error missing;
    char stream[256];
    br_task_output_stream(worker->options->pipeline->name, stream, sizeof stream);
    snprintf(worker->lineage, sizeof worker->lineage, "live");
    enum br_status status;
    do
        status = br_log_stream_info(worker->options->log, stream, &info, &missing);
    while (waits(worker, status, &missing));
    if (status == BR_FATAL)
        return BR_OK;
    return find_owner(worker, &plan_hash, error);
}

// Damage that shows while the task runs ends it. The folder says so (P8 of state/proof.h): opened again it is set
// aside, and the state is rebuilt. Where that is damaged again something else is wrong.
static bool may_rebuild(struct worker *worker, struct br_error *error) {
    if (error->native != BR_STORE_DAMAGED)
        return false;
    if (worker->rebuilds++ < REBUILDS_MAX)
        return true;
    br_error_context(
        error, "the state was rebuilt since this start, and is damaged again: this machine's disk or memory "
               "doesn't keep what is written. Start the worker with --data on another disk, or on another machine");
    return false;
}

enum br_status br_worker_run(const struct br_worker_options *options, struct br_error *error) {
    struct worker worker = {.options = options, .pipeline = options->pipeline};
    char superseded_by[64] = "";
    enum br_status status = find_first_owner(&worker, error);
    if (status == BR_OK)
        status = run_own(&worker, superseded_by, sizeof superseded_by, error);
    while (status == BR_FATAL && (superseded_by[0] != '\0' || may_rebuild(&worker, error))) {
        struct br_successor successor;
        if (superseded_by[0] != '\0')
            br_log_line(BR_LEVEL_INFO, "another lineage has taken the outputs over",
                        BR_STR("pipeline", options->pipeline->name), BR_STR("lineage", superseded_by));
        if (superseded_by[0] != '\0' && options->successor != NULL &&
            options->successor(options->replay_context, superseded_by, &successor)) {
            status = run_successor(&worker, &successor, superseded_by, sizeof superseded_by, error);
            continue;
        }
        superseded_by[0] = '\0';
        status = go_on_with_owner(&worker, error);
        if (status == BR_OK)
            status = run_own(&worker, superseded_by, sizeof superseded_by, error);
    }
    br_pipeline_destroy(&worker.loaded);
    return status;
}
