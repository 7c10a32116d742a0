// SPDX-License-Identifier: Apache-2.0
// See former.h.
#include "replay/former.h"

#include "base/logging.h"
#include "processor/commit_reader.h"
#include "processor/pipeline_text.h"
#include "processor/semantics.h"
#include "processor/sql/sql.h"
#include "replay/commits.h"
#include "replay/history.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define WAIT_US 10000

struct br_former {
    struct br_former_options options;
    struct br_log *log;
    struct br_pipeline *owned; // NULL: the runner's
    const struct br_pipeline *pipeline;
    struct br_history *history;
    char lineage[64], path[4096];
    struct br_task *task;
};

static enum br_status open_store(void *context, bool set_aside, struct br_store **ret_store, struct br_error *error) {
    struct br_former *former = context;
    if (set_aside)
        BR_TRY(br_store_remove(former->options.runner->data_path, former->path, error));
    return br_worker_open_store(former->path, false, ret_store, error);
}

enum br_status br_former_load(struct br_log *log, const struct br_runner_options *options, uint64_t plan_hash,
                              struct br_pipeline **ret_owned, const struct br_pipeline **ret_pipeline,
                              struct br_error *error) {
    *ret_owned = NULL;
    if (options->pipeline != NULL && (plan_hash == 0 || options->pipeline->plan_hash == plan_hash)) {
        *ret_pipeline = options->pipeline;
        return BR_OK;
    }
    BR_TRY(br_pipeline_text_load(log, options->pipeline_name, plan_hash, ret_owned, error));
    if (*ret_owned == NULL)
        return br_error_set(error, BR_FATAL,
                            "the text of pipeline %s with plan %016" PRIx64
                            " isn't stored beside its commits: start a worker with that file once",
                            options->pipeline_name, plan_hash);
    *ret_pipeline = *ret_owned;
    return BR_OK;
}

enum br_status br_former_plan(struct br_log *log, const struct br_runner_options *options, const char *lineage,
                              uint64_t epoch, uint64_t sequence, struct br_pipeline **ret_owned,
                              const struct br_pipeline **ret_pipeline, bool *ret_otherwise, struct br_error *error) {
    const char *name = options->pipeline_name;
    struct br_buffer BR_CLEANUP(br_buffer_free) copy = {0}, BR_CLEANUP(br_buffer_free) words = {0};
    Braid__V1__Commit BR_CLEANUP(br_commit_cleanup) *commit = NULL;
    struct br_log_message message;
    char stream[256];
    bool found;
    br_task_output_stream(name, stream, sizeof stream);
    BR_TRY(br_log_get(log, stream, sequence, &copy, &message, &found, error));
    if (!found)
        return br_error_set(error, BR_FATAL,
                            "the commit of epoch %" PRIu64 " of lineage %s (stream sequence %" PRIu64 ") is gone",
                            epoch, lineage, sequence);
    BR_TRY(br_commit_of(name, &message, &commit, error));
    if (commit == NULL)
        return br_error_set(error, BR_FATAL,
                            "what stands at sequence %" PRIu64 " of stream %s isn't the commit of epoch %" PRIu64
                            " of lineage %s",
                            sequence, stream, epoch, lineage);
    BR_TRY(br_former_load(log, options, commit->plan_hash, ret_owned, ret_pipeline, error));
    *ret_otherwise = br_semantics_differ(*ret_pipeline, commit->semantics, &words);
    return BR_OK;
}

static enum br_status load_pipeline(struct br_former *former, uint64_t epoch, uint64_t sequence,
                                    struct br_error *error) {
    bool otherwise; // the first commit that is followed says so in words
    BR_TRY(br_former_plan(former->log, former->options.runner, former->lineage, epoch, sequence, &former->owned,
                          &former->pipeline, &otherwise, error));
    return br_history_create(former->pipeline, &former->history, error);
}

static enum br_status open_folder(struct br_former *former, struct br_error *error) {
    static atomic_uint made; // several may be built at once: each has a folder of its own
    const struct br_runner_options *options = former->options.runner;
    BR_TRY(br_worker_state_path(options->data_path, options->pipeline_name, "checkpoints", former->path,
                                sizeof former->path, error));
    size_t len = strlen(former->path);
    snprintf(former->path + len, sizeof former->path - len, "/former-%u", atomic_fetch_add(&made, 1));
    return br_store_remove(options->data_path, former->path, error);
}

static enum br_status open_task(struct br_former *former, struct br_error *error) {
    const struct br_runner_options *options = former->options.runner;
    struct br_task_options task = {.pipeline = former->pipeline,
                                   .log = former->log,
                                   .clock = br_clock_system(),
                                   .lineage = former->lineage,
                                   .role = BR_TASK_SHADOW,
                                   .open_input = br_history_open_input,
                                   .input_context = former->history,
                                   .graft = br_former_graft,
                                   .graft_context = &former->options,
                                   .worker = options->worker,
                                   .open_store = open_store,
                                   .store_context = former,
                                   .state_budget_bytes = options->state_budget_bytes,
                                   .stop = options->stop};
    BR_TRY(br_task_create(&task, &former->task, error));
    return br_task_recover(former->task, error);
}

static enum br_status follow_one(struct br_former *former, struct br_commits *commits, struct br_error *error) {
    const struct br_former_options *options = &former->options;
    const struct br_log_message *message;
    const Braid__V1__Commit *commit;
    if (br_flag_is_set(options->runner->stop))
        return br_error_set(error, BR_RETRY, "stopped while building the state of lineage %s", former->lineage);
    if (options->tick != NULL)
        BR_TRY(options->tick(options->tick_context, error));
    BR_TRY(br_commits_next(commits, &message, &commit, error));
    if (message == NULL) {
        br_log_wait(former->log, WAIT_US);
        return BR_OK;
    }
    BR_TRY(br_task_follow(former->task, message, error));
    br_commits_done(commits);
    return BR_OK;
}

static enum br_status follow(struct br_former *former, uint64_t epoch, struct br_error *error) {
    struct br_commits *commits = NULL;
    BR_TRY(br_commits_open(former->log, former->options.runner->pipeline_name, 0, &commits, error));
    enum br_status status = BR_OK;
    while (status == BR_OK && br_task_epoch(former->task) < epoch)
        status = follow_one(former, commits, error);
    br_commits_close(&commits);
    return status;
}

static enum br_status build(struct br_former *former, uint64_t epoch, uint64_t sequence, struct br_error *error) {
    BR_TRY(br_log_connect_jetstream(former->options.runner->connect, &former->log, error));
    BR_TRY(load_pipeline(former, epoch, sequence, error));
    BR_TRY(open_folder(former, error));
    BR_TRY(open_task(former, error));
    return follow(former, epoch, error);
}

enum br_status br_former_build(const struct br_former_options *options, const char *lineage, uint64_t epoch,
                               uint64_t sequence, struct br_former **ret_former, struct br_error *error) {
    struct br_former *former = br_calloc(1, sizeof *former);
    former->options = *options;
    snprintf(former->lineage, sizeof former->lineage, "%s", lineage);
    enum br_status status = build(former, epoch, sequence, error);
    if (status == BR_OK)
        *ret_former = former;
    else
        br_former_destroy(&former);
    return status == BR_DATA ? BR_FATAL : status; // a digest that differs
}

struct br_task *br_former_task(struct br_former *former) {
    return former->task;
}

const struct br_pipeline *br_former_pipeline(const struct br_former *former) {
    return former->pipeline;
}

void br_former_destroy(struct br_former **former_ptr) {
    struct br_former *former = *former_ptr;
    if (former == NULL)
        return;
    struct br_error ignored;
    br_task_destroy(&former->task);
    br_history_destroy(&former->history);
    br_pipeline_destroy(&former->owned);
    br_log_close(&former->log);
    if (former->path[0] != '\0' && br_store_remove(former->options.runner->data_path, former->path, &ignored) != BR_OK)
        br_log_line(BR_LEVEL_WARN, "a folder stays behind", BR_STR("path", former->path));
    free(former);
    *former_ptr = NULL;
}

// --- who stands on whom

static bool any_sleeps(const Braid__V1__Commit *commit) {
    for (size_t v = 0; v < commit->n_views; v++)
        if (commit->views[v]->asleep)
            return true;
    return false;
}

// Whose state the lineage has taken, by the first of its own commits that says so; "": nobody's.
static enum br_status find_stock(struct br_log *log, const char *pipeline, const char *lineage, char *stock,
                                 size_t size, struct br_error *error) {
    struct br_reader *reader = NULL;
    char stream[256], subject[320];
    br_task_output_stream(pipeline, stream, sizeof stream);
    br_task_lineage_subject(pipeline, lineage, subject, sizeof subject);
    struct br_stream_info info;
    *stock = '\0';
    BR_TRY(br_log_stream_info(log, stream, &info, error));
    BR_TRY(br_reader_open(log, stream, subject, 1, info.last_sequence, &reader, error));
    enum br_status status = BR_OK;
    for (bool more = true; status == BR_OK && more;) {
        const struct br_log_message *messages;
        Braid__V1__Commit BR_CLEANUP(br_commit_cleanup) *commit = NULL;
        size_t count;
        bool ended = br_reader_caught_up(reader); // asked before: what comes in between is shown
        status = br_reader_peek(reader, &messages, &count, error);
        if (status == BR_OK && count == 0) {
            more = !ended;
            if (more)
                br_log_wait(log, WAIT_US);
            continue;
        }
        if (status == BR_OK)
            status = br_commit_of(pipeline, &messages[0], &commit, error);
        if (status != BR_OK)
            break;
        bool sleeps = commit != NULL && any_sleeps(commit);
        more = commit == NULL || (sleeps && commit->follows_lineage[0] == '\0'); // before it repeats anything
        if (sleeps)
            snprintf(stock, size, "%s", commit->follows_lineage);
        br_reader_consume(reader, 1);
        br_reader_release(reader);
    }
    br_reader_close(&reader);
    return status;
}

enum br_status br_former_stands_on(struct br_log *log, const char *pipeline, const char *lineage, const char *other,
                                   bool *ret_stands, struct br_error *error) {
    char stock[64], at[64];
    snprintf(at, sizeof at, "%s", lineage);
    for (*ret_stands = false; !*ret_stands && at[0] != '\0';) {
        BR_TRY(find_stock(log, pipeline, at, stock, sizeof stock, error));
        *ret_stands = strcmp(stock, other) == 0;
        snprintf(at, sizeof at, "%s", stock);
    }
    return BR_OK;
}

// --- the graft

enum br_status br_former_graft(void *context, struct br_task *task, struct br_error *error) {
    const struct br_former_options *options = context;
    struct br_former *former = NULL;
    const char *lineage;
    uint64_t sequence, epoch = br_task_follows(task, &lineage, &sequence);
    BR_TRY(br_former_build(options, lineage, epoch, sequence, &former, error));
    enum br_status status = br_task_graft(task, former->task, options->tick, options->tick_context, error);
    br_former_destroy(&former);
    return status;
}
