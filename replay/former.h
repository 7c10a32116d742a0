// SPDX-License-Identifier: Apache-2.0
// A lineage's state as it was at one of its epochs, built from its first commit on: rare, and right whatever has become
// of the lineage's own folder since. A takeover that was cut is ended with it, and a lineage that took state from
// another one (processor/graft.c) is rebuilt with it.
//
// Thread: the caller's; it opens a connection of its own.
#ifndef BR_REPLAY_FORMER_H
#define BR_REPLAY_FORMER_H

#include "replay/runner.h"

struct br_former;

struct br_former_options {
    const struct br_runner_options *runner; // connection, pipeline, folder of the data, stop
    // Called for every epoch and now and then while rows are copied; NULL: not. What it returns ends the work.
    enum br_status (*tick)(void *context, struct br_error *error);
    void *tick_context;
};

// sequence: of the commit of that epoch in the pipeline's stream. BR_FATAL when commits or input are missing; BR_RETRY:
// stopped.
enum br_status br_former_build(const struct br_former_options *options, const char *lineage, uint64_t epoch,
                               uint64_t sequence, struct br_former **ret_former, struct br_error *error) BR_MUST_CHECK;
struct br_task *br_former_task(struct br_former *former);
const struct br_pipeline *br_former_pipeline(const struct br_former *former);
void br_former_destroy(struct br_former **former);

// The pipeline with this plan: the runner's own, else as it is stored beside the commits (*ret_owned, the caller's).
enum br_status br_former_load(struct br_log *log, const struct br_runner_options *options, uint64_t plan_hash,
                              struct br_pipeline **ret_owned, const struct br_pipeline **ret_pipeline,
                              struct br_error *error) BR_MUST_CHECK;
// The pipeline that computed the epoch whose commit stands at this sequence, and whether this build computes it
// otherwise (semantics.h): then the lineage can't be built.
enum br_status br_former_plan(struct br_log *log, const struct br_runner_options *options, const char *lineage,
                              uint64_t epoch, uint64_t sequence, struct br_pipeline **ret_owned,
                              const struct br_pipeline **ret_pipeline, bool *ret_otherwise, struct br_error *error)
    BR_MUST_CHECK;
// Has the lineage taken state from `other`, or from one that has? Then it can't be rebuilt without that one's commits.
enum br_status br_former_stands_on(struct br_log *log, const char *pipeline, const char *lineage, const char *other,
                                   bool *ret_stands, struct br_error *error) BR_MUST_CHECK;
// br_task_options.graft; context: struct br_former_options.
enum br_status br_former_graft(void *context, struct br_task *task, struct br_error *error) BR_MUST_CHECK;

#endif
