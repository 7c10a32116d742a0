// SPDX-License-Identifier: Apache-2.0
// The other side of a comparison and of a takeover: the state of the lineage that owns the outputs, or, where this
// build computes that lineage otherwise than the one that wrote it, what it has published. See runner_internal.h.
#include "replay/runner_internal.h"

#include "base/logging.h"
#include "processor/pipeline_text.h"
#include "processor/semantics.h"
#include "processor/sql/sql.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define PUBLISHED_BUDGET_BYTES ((size_t)64 << 20)

// A text that is gone, or can't be planned any more, tells nothing of what was published under it.
static enum br_status load_former_plan(void *context, uint64_t plan_hash, struct br_pipeline **ret_owned,
                                       const struct br_pipeline **ret_pipeline, struct br_error *error) {
    const struct runner_plans *plans = context;
    const struct br_pipeline *own = plans->options->pipeline;
    *ret_owned = NULL;
    if (own != NULL && own->plan_hash == plan_hash) {
        *ret_pipeline = own;
        return BR_OK;
    }
    enum br_status status =
        br_pipeline_text_load(plans->log, plans->options->pipeline_name, plan_hash, ret_owned, error);
    *ret_pipeline = *ret_owned;
    return status == BR_DATA ? BR_OK : status;
}

static enum br_status open_published(struct runner_plans *plans, const char *name,
                                     const struct br_published_options *more, struct br_published **ret_published,
                                     struct br_error *error) {
    const struct br_runner_options *options = plans->options;
    struct br_published_options published = *more;
    BR_TRY(br_worker_state_path(options->data_path, options->pipeline_name, "checkpoints", plans->path,
                                sizeof plans->path, error));
    size_t len = strlen(plans->path);
    snprintf(plans->path + len, sizeof plans->path - len, "/published-%s", name);
    published.log = plans->log;
    published.load = load_former_plan;
    published.load_context = plans;
    published.budget_bytes = options->state_budget_bytes != 0 ? options->state_budget_bytes : PUBLISHED_BUDGET_BYTES;
    published.stop = options->stop;
    BR_TRY(br_store_remove(options->data_path, plans->path, error));
    BR_TRY(br_worker_open_store(plans->path, false, &published.take_store, error));
    return br_published_create(&published, ret_published, error);
}

void runner_close_published(struct runner_plans *plans) {
    struct br_error ignored;
    if (plans->path[0] != '\0' && br_store_remove(plans->options->data_path, plans->path, &ignored) != BR_OK)
        br_log_line(BR_LEVEL_WARN, "a folder stays behind", BR_STR("path", plans->path));
}

static enum br_status add_published(struct run *run, struct br_error *error) {
    struct br_published_options options = {.pipeline = run->base.pipeline,
                                           .changes = br_replay_published_changes,
                                           .changes_context = run->replay,
                                           .tick = run_tick_comparing,
                                           .tick_context = run};
    struct br_published *published = NULL;
    run->plans.options = run->options;
    run->plans.log = run->log;
    BR_TRY(open_published(&run->plans, run->id, &options, &published, error));
    br_replay_add_published(run->replay, published);
    return BR_OK;
}

bool run_is_anew(const struct run *run) {
    return run->job.record->rebuild && run->job.record->fresh_epochs && strcmp(run->lineage, run->id) == 0;
}

// The base's side of the comparison: its state, or, where this build computes it otherwise or a stream isn't what it
// read any more, what it has published.
enum br_status run_add_base_side(struct run *run, struct br_error *error) {
    struct br_buffer BR_CLEANUP(br_buffer_free) words = {0};
    if (run_is_anew(run) || br_semantics_differ(run->base.pipeline, run->base_semantics, &words))
        return add_published(run, error);
    BR_TRY(run_fetch_checkpoint(run, error));
    return br_replay_add_shadow(run->replay, run_open_shadow, run, error);
}

// --- a takeover that was cut

static enum br_status finish_with(struct br_task *task, const struct br_lineage_state *former,
                                  const struct br_pipeline *pipeline, struct br_error *error) {
    enum br_status status = br_replay_finish_takeover(task, former, pipeline, error);
    return status == BR_DATA ? BR_FATAL : status;
}

// Of a lineage that this build can't compute there is what it had published: by that the takeover was begun.
static enum br_status finish_by_published(struct runner_plans *plans, struct br_task *task,
                                          const struct br_pipeline *pipeline, const struct br_pipeline *base,
                                          struct br_error *error) {
    const Braid__V1__Takeover *record = br_task_unfinished_takeover(task);
    struct br_published_options options = {.pipeline = base};
    struct br_published *published = NULL;
    enum br_status status = open_published(plans, "takeover", &options, &published, error);
    if (status == BR_OK)
        status = br_published_follow(published, record->from_sequence, error);
    if (status == BR_OK && !br_published_stands_at(published, record->from_lineage, record->from_epoch))
        status = br_error_set(error, BR_FATAL,
                              "what lineage %s had published up to its epoch %" PRIu64
                              " can't be told any more: the takeover can't be ended",
                              record->from_lineage, (uint64_t)record->from_epoch);
    if (status == BR_OK) {
        struct br_lineage_state former = br_replay_published_state(published, base);
        status = finish_with(task, &former, pipeline, error);
    }
    br_published_destroy(&published);
    runner_close_published(plans);
    return status;
}

static enum br_status finish_by_state(const struct br_runner_options *options, struct br_task *task,
                                      const struct br_pipeline *pipeline, struct br_error *error) {
    struct br_former_options building = {.runner = options};
    const Braid__V1__Takeover *record = br_task_unfinished_takeover(task);
    struct br_former *former = NULL;
    BR_TRY(br_former_build(&building, record->from_lineage, record->from_epoch, record->from_sequence, &former, error));
    struct br_lineage_state state = br_replay_state_of(br_former_task(former), br_former_pipeline(former));
    enum br_status status = finish_with(task, &state, pipeline, error);
    br_former_destroy(&former);
    return status;
}

enum br_status br_runner_finish_takeover(void *context, struct br_task *task, const struct br_pipeline *pipeline,
                                         struct br_error *error) {
    const struct br_runner_options *options = context;
    const Braid__V1__Takeover *record = br_task_unfinished_takeover(task);
    struct runner_plans plans = {.options = options};
    struct br_pipeline *owned = NULL;
    const struct br_pipeline *base;
    bool otherwise = false;
    enum br_status status = br_log_connect_jetstream(options->connect, &plans.log, error);
    if (status == BR_OK)
        status = br_former_plan(plans.log, options, record->from_lineage, record->from_epoch, record->from_sequence,
                                &owned, &base, &otherwise, error);
    if (status == BR_OK)
        status = otherwise ? finish_by_published(&plans, task, pipeline, base, error)
                           : finish_by_state(options, task, pipeline, error);
    if (status == BR_FATAL && !otherwise && error->native == BR_LOG_CHANGED) // its input is another one by now
        status = finish_by_published(&plans, task, pipeline, base, error);
    br_pipeline_destroy(&owned);
    br_log_close(&plans.log);
    return status;
}
