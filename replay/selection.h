// SPDX-License-Identifier: Apache-2.0
// What a replay job selects and changes of a pipeline: --only, --key and --lateness make another plan (processor/sql/
// narrow.c). --include late and quarantine make none: they are choices of the replay's epochs (replay.h).
#ifndef BR_REPLAY_SELECTION_H
#define BR_REPLAY_SELECTION_H

#include "braid/v1/replay.pb-c.h"
#include "processor/log/log.h"
#include "processor/sql/plan.h"

// Is it a part of the pipeline only? Then it can be compared, not promoted.
bool br_selection_is_part(const Braid__V1__ReplayJob *job);
// The pipeline as the job runs it; *ret_pipeline NULL: as it is. *ret_whole, when the job selects a key: the same with
// all keys, to tell whether the plan has changed otherwise; else NULL. Both are the caller's. BR_DATA in words when it
// can't be planned so.
enum br_status br_selection_plan(const struct br_pipeline *pipeline, const Braid__V1__ReplayJob *job,
                                 struct br_pipeline **ret_pipeline, struct br_pipeline **ret_whole,
                                 struct br_error *error) BR_MUST_CHECK;
// Can the job be planned? BR_DATA in words when not. pipeline NULL: the stored one of job->base_plan_hash; one that
// isn't stored is looked at when the job runs.
enum br_status br_selection_check(struct br_log *log, const char *pipeline_name, const struct br_pipeline *pipeline,
                                  const Braid__V1__ReplayJob *job, struct br_error *error) BR_MUST_CHECK;

// The pipeline of the job's own text (sql isn't empty), under the name job->pipeline.
enum br_status br_selection_load(const Braid__V1__ReplayJob *job, struct br_pipeline **ret_pipeline,
                                 struct br_error *error) BR_MUST_CHECK;

#endif
